//! The order in which GGUF keeps the rows of Q and K of the llama family.
//!
//! Hugging Face keeps the two halves of a head's rotary pairs apart; GGUF keeps them side by
//! side. Of a head with `2 n` rows, row `i` of half `j` is row `j * n + i` in Hugging Face's
//! order and row `2 * i + j` in GGUF's. Source: `LlamaModel.permute` of
//! convert_hf_to_gguf.py.

use crate::error::Result;
use crate::model::Shape;
use crate::stream::{Reader, Scratch};

/// Which order a tensor's rows have on disk, where they are wanted in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// GGUF's.
    Interleaved,
    /// Hugging Face's.
    Halves,
}

/// Rows that are stored in another order than they are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowOrder {
    head_rows: u64,
    row_elements: u64,
    stored: Stored,
}

impl RowOrder {
    /// Rows of `heads` heads; `None` if the shape cannot be cut so.
    pub(super) fn new(shape: &Shape, heads: u64, stored: Stored) -> Option<RowOrder> {
        let rows = *shape.dimensions().first()?;
        let head_rows = rows.checked_div(heads)?;
        let fits = head_rows * heads == rows && head_rows > 0 && head_rows % 2 == 0;
        fits.then(|| RowOrder {
            head_rows,
            row_elements: shape.elements() / rows,
            stored,
        })
    }

    /// Where the wanted `row` is stored.
    fn stored_row(&self, row: u64) -> u64 {
        let (head, within) = (row / self.head_rows, row % self.head_rows);
        let half = self.head_rows / 2;
        let stored = match self.stored {
            Stored::Interleaved => within % half * 2 + within / half,
            Stored::Halves => within % 2 * half + within / 2,
        };
        head * self.head_rows + stored
    }

    /// Replaces `out` by `count` elements from `first` on, in the wanted order. `row` is room
    /// for one row.
    pub(super) fn read(
        &self,
        reader: &Reader<'_>,
        first: u64,
        count: u64,
        out: &mut Vec<u8>,
        row: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        out.clear();
        let end = first + count;
        let mut first = first;
        while first < end {
            let (index, within) = (first / self.row_elements, first % self.row_elements);
            let count = (self.row_elements - within).min(end - first);
            let start = self.stored_row(index) * self.row_elements + within;
            reader.read(start, count, row, scratch)?;
            out.extend_from_slice(row);
            first += count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // numpy: np.arange(8).reshape(2, 2, 2).swapaxes(1, 2).ravel() is what GGUF holds of the
    // rows 0..8 of two heads: [0 2 1 3 4 6 5 7].
    #[test]
    fn rows_are_found_as_the_converter_put_them() {
        let shape = Shape::new([8, 3]).unwrap();
        let gguf = [0, 2, 1, 3, 4, 6, 5, 7];
        let wanted = RowOrder::new(&shape, 2, Stored::Interleaved).unwrap();
        let found: Vec<u64> = (0..8)
            .map(|row| gguf[wanted.stored_row(row) as usize])
            .collect();
        assert_eq!(found, [0, 1, 2, 3, 4, 5, 6, 7]);
        let back = RowOrder::new(&shape, 2, Stored::Halves).unwrap();
        let found: Vec<u64> = (0..8).map(|row| back.stored_row(row)).collect();
        assert_eq!(found, gguf);
        assert_eq!(RowOrder::new(&shape, 3, Stored::Halves), None);
        assert_eq!(RowOrder::new(&shape, 0, Stored::Halves), None);
    }
}

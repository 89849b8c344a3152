//! The order in which GGUF keeps the rows of Q and K of the llama family.
//!
//! Hugging Face keeps the two halves of a head's rotary pairs apart; GGUF keeps them side by
//! side. Of a head with `2 n` rows, row `i` of half `j` is row `j * n + i` in Hugging Face's
//! order and row `2 * i + j` in GGUF's. Source: `LlamaModel.permute` of
//! convert_hf_to_gguf.py.

use super::Shape;

/// Which order a tensor's rows have where they are stored; they are wanted in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredRows {
    /// GGUF's.
    Interleaved,
    /// Hugging Face's.
    Halves,
}

/// Rows that are stored in another order than they are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowOrder {
    head_rows: u64,
    row_elements: u64,
    stored: StoredRows,
}

/// Evenly spaced rows: where they are stored, and where they are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRun {
    /// The first, as it is stored.
    pub from: u64,
    /// Rows from one to the next where they are stored.
    pub from_step: u64,
    /// The first, as it is wanted.
    pub to: u64,
    /// Rows from one to the next where they are wanted.
    pub to_step: u64,
    /// How many.
    pub count: u64,
}

impl RowOrder {
    /// Rows of `heads` heads; `None` if the shape cannot be cut so.
    pub fn new(shape: &Shape, heads: u64, stored: StoredRows) -> Option<RowOrder> {
        let rows = *shape.dimensions().first()?;
        let head_rows = rows.checked_div(heads)?;
        let fits = head_rows * heads == rows && head_rows > 0 && head_rows % 2 == 0;
        fits.then(|| RowOrder {
            head_rows,
            row_elements: shape.elements() / rows,
            stored,
        })
    }

    /// Elements of one row.
    pub fn row_elements(&self) -> u64 {
        self.row_elements
    }

    /// Where the wanted `row` is stored.
    pub fn stored_row(&self, row: u64) -> u64 {
        let (head, within) = (row / self.head_rows, row % self.head_rows);
        let half = self.head_rows / 2;
        let stored = match self.stored {
            StoredRows::Interleaved => within % half * 2 + within / half,
            StoredRows::Halves => within % 2 * half + within / 2,
        };
        head * self.head_rows + stored
    }

    /// The wanted rows `first .. end` as runs of evenly spaced ones, a few for each head.
    pub fn runs(&self, first: u64, end: u64) -> impl Iterator<Item = RowRun> + use<> {
        let order = *self;
        let half = order.head_rows / 2;
        let heads = first / order.head_rows..end.div_ceil(order.head_rows);
        heads.flat_map(move |head| {
            let start = head * order.head_rows;
            [0, 1].into_iter().filter_map(move |part| {
                // Within a head, the rows that are wanted: every other, or one half of them.
                let (base, to_step, from_step) = match order.stored {
                    StoredRows::Halves => (start + part, 2, 1),
                    StoredRows::Interleaved => (start + part * half, 1, 2),
                };
                let skipped = first.saturating_sub(base).div_ceil(to_step);
                let last = end.saturating_sub(base).div_ceil(to_step).min(half);
                let count = last.checked_sub(skipped).filter(|count| *count > 0)?;
                let to = base + skipped * to_step;
                Some(RowRun {
                    from: order.stored_row(to),
                    from_step,
                    to,
                    to_step,
                    count,
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_rows_one_by_one() {
        let shape = Shape::new([12, 1]).unwrap();
        for stored in [StoredRows::Halves, StoredRows::Interleaved] {
            let order = RowOrder::new(&shape, 2, stored).unwrap();
            for first in 0..12 {
                for end in first..=12 {
                    let mut found: Vec<(u64, u64)> = order
                        .runs(first, end)
                        .flat_map(|run| {
                            (0..run.count).map(move |i| {
                                (run.to + i * run.to_step, run.from + i * run.from_step)
                            })
                        })
                        .collect();
                    found.sort_unstable();
                    let slow: Vec<_> = (first..end).map(|r| (r, order.stored_row(r))).collect();
                    assert_eq!(found, slow, "{stored:?} {first}..{end}");
                }
            }
        }
    }

    #[test]
    fn heads_must_divide_the_rows_into_pairs() {
        let shape = Shape::new([8, 3]).unwrap();
        for heads in [0, 3, 8] {
            assert_eq!(RowOrder::new(&shape, heads, StoredRows::Halves), None);
        }
        let empty = Shape::new([0, 3]).unwrap();
        assert_eq!(RowOrder::new(&empty, 1, StoredRows::Halves), None);
    }
}

//! Sparse tensors, written out densely.

use super::Reader;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{SparseLayout, Tensor};

/// The stored elements of a sparse tensor, by their place in the dense one.
#[derive(Debug)]
pub(super) struct Image {
    /// Bytes of one element.
    element: usize,
    /// Places of the stored elements, ascending.
    places: Vec<u64>,
    /// Their bytes, in the same order.
    values: Vec<u8>,
}

/// A stored element: its place in the dense tensor and its number among the values.
type Entry = (u64, u64);

impl Image {
    /// Reads the indices and values of `tensor`.
    ///
    /// Errors: `Malformed` if indices leave the shape or the parts do not match; `Limit` past
    /// [`limits::DENSE`] or [`limits::SPARSE_ELEMENTS`].
    pub(super) fn read(tensor: &Tensor, layout: SparseLayout, parts: &[Tensor]) -> Result<Image> {
        let element = tensor.dtype.element_bytes();
        let element = element.ok_or_else(|| {
            let dtype = tensor.dtype;
            Error::unsupported(format!("sparse {dtype} has no whole-byte elements"))
        })? as usize;
        let dense = tensor.byte_len().unwrap_or(u64::MAX);
        if dense > limits::DENSE {
            let allowed = limits::DENSE;
            let message = format!("takes {dense} bytes when dense; the limit is {allowed}");
            return Err(Error::limit(message));
        }
        let Some((values, indices)) = parts.split_last() else {
            return Err(Error::malformed("a sparse tensor has no values"));
        };
        if values.dtype != tensor.dtype {
            let (found, wanted) = (values.dtype, tensor.dtype);
            let message = format!("a sparse {wanted} tensor has {found} values");
            return Err(Error::malformed(message));
        }
        let mut stored = values.elements();
        for part in indices {
            stored = stored.max(part.elements());
        }
        if stored > limits::SPARSE_ELEMENTS {
            let allowed = limits::SPARSE_ELEMENTS;
            let message = format!("stores {stored} elements; the limit is {allowed}");
            return Err(Error::limit(message));
        }
        let mut entries = match (layout, indices) {
            (SparseLayout::Coo, [indices]) => coo(tensor, indices, values)?,
            (SparseLayout::Coo, _) => return Err(mismatch()),
            (_, [compressed, plain]) => {
                Compressed::new(tensor, layout, compressed, values)?.entries(compressed, plain)?
            }
            _ => return Err(mismatch()),
        };
        entries.sort_unstable();
        let bytes = Reader::open(values)?.read_all()?;
        gather(tensor.dtype, element, &entries, &bytes)
    }

    /// Fills `out` with the elements from `first` on.
    pub(super) fn fill(&self, first: u64, out: &mut [u8]) {
        out.fill(0);
        let end = first + (out.len() / self.element) as u64;
        let start = self.places.partition_point(|&place| place < first);
        for (index, &place) in self.places.iter().enumerate().skip(start) {
            if place >= end {
                break;
            }
            let to = (place - first) as usize * self.element;
            let from = index * self.element;
            out[to..to + self.element].copy_from_slice(&self.values[from..from + self.element]);
        }
    }
}

fn mismatch() -> Error {
    Error::malformed("the parts of a sparse tensor do not match its shape")
}

/// Puts values in the order of their places; those of one place are summed, as torch does
/// when it coalesces.
fn gather(dtype: DType, element: usize, entries: &[Entry], bytes: &[u8]) -> Result<Image> {
    let mut image = Image {
        element,
        places: Vec::with_capacity(entries.len()),
        values: Vec::with_capacity(entries.len() * element),
    };
    for &(place, index) in entries {
        let start = index as usize * element;
        let value = bytes.get(start..start + element).ok_or_else(mismatch)?;
        if image.places.last() == Some(&place) {
            let last = image.values.len() - element;
            add(dtype, &mut image.values[last..], value)?;
        } else {
            image.places.push(place);
            image.values.extend_from_slice(value);
        }
    }
    Ok(image)
}

/// The integers of an index tensor, none of them negative.
fn indices(tensor: &Tensor) -> Result<Vec<u64>> {
    let bytes = Reader::open(tensor)?.read_all()?;
    let found: Option<Vec<u64>> = match tensor.dtype {
        DType::I64 => {
            let (words, _) = bytes.as_chunks::<8>();
            let value = |word: &[u8; 8]| u64::try_from(i64::from_le_bytes(*word)).ok();
            words.iter().map(value).collect()
        }
        DType::I32 => {
            let (words, _) = bytes.as_chunks::<4>();
            let value = |word: &[u8; 4]| u64::try_from(i32::from_le_bytes(*word)).ok();
            words.iter().map(value).collect()
        }
        other => {
            let message = format!("the indices of a sparse tensor are {other}, not I64 or I32");
            return Err(Error::malformed(message));
        }
    };
    found.ok_or_else(|| Error::malformed("an index of a sparse tensor is negative"))
}

fn outside(index: u64, size: u64) -> Error {
    Error::malformed(format!(
        "an index of a sparse tensor is {index}, but the dimension has {size}"
    ))
}

/// Coordinates: `indices` is `[sparse dimensions, stored]`, `values` `[stored, dense...]`.
fn coo(tensor: &Tensor, positions: &Tensor, values: &Tensor) -> Result<Vec<Entry>> {
    let &[sparse, stored] = positions.shape.dimensions() else {
        return Err(mismatch());
    };
    let shape = tensor.shape.dimensions();
    let split = usize::try_from(sparse).ok();
    let (outer, inner) = split
        .and_then(|split| shape.split_at_checked(split))
        .ok_or_else(mismatch)?;
    match values.shape.dimensions().split_first() {
        Some((&count, rest)) if count == stored && rest == inner => {}
        _ => return Err(mismatch()),
    }
    let run: u64 = inner.iter().product();
    let positions = indices(positions)?;
    let stored_count = stored as usize;
    let mut entries = Vec::with_capacity(values.elements() as usize);
    for column in 0..stored_count {
        let mut place = 0;
        for (axis, &size) in outer.iter().enumerate() {
            let index = positions[axis * stored_count + column];
            if index >= size {
                return Err(outside(index, size));
            }
            place = place * size + index;
        }
        let first = column as u64 * run;
        entries.extend((0..run).map(|i| (place * run + i, first + i)));
    }
    Ok(entries)
}

/// The geometry of a compressed layout: `[batch..., rows, columns, dense...]`, stored in
/// blocks of which those of one row (or column) of blocks follow each other.
struct Compressed {
    /// Matrices.
    batch: u64,
    rows: u64,
    columns: u64,
    /// Rows and columns of a block; 1 and 1 if there are none.
    block: [u64; 2],
    /// Elements at one place of a matrix.
    run: u64,
    /// Stored blocks of one matrix.
    stored: u64,
    by_rows: bool,
}

impl Compressed {
    fn new(
        tensor: &Tensor,
        layout: SparseLayout,
        compressed: &Tensor,
        values: &Tensor,
    ) -> Result<Compressed> {
        let is_blocked = matches!(layout, SparseLayout::Bsr | SparseLayout::Bsc);
        let by_rows = matches!(layout, SparseLayout::Csr | SparseLayout::Bsr);
        let rank = compressed
            .shape
            .rank()
            .checked_sub(1)
            .ok_or_else(mismatch)?;
        let split = |dimensions: &[u64]| -> Option<(Vec<u64>, Vec<u64>)> {
            let (batch, rest) = dimensions.split_at_checked(rank)?;
            Some((batch.to_vec(), rest.to_vec()))
        };
        let (batch, rest) = split(tensor.shape.dimensions()).ok_or_else(mismatch)?;
        let (values_batch, stored) = split(values.shape.dimensions()).ok_or_else(mismatch)?;
        let (&[rows, columns], dense) = rest.split_first_chunk().ok_or_else(mismatch)?;
        let (&stored, mut rest) = stored.split_first().ok_or_else(mismatch)?;
        let mut block = [1, 1];
        if is_blocked {
            let (&found, after) = rest.split_first_chunk().ok_or_else(mismatch)?;
            (block, rest) = (found, after);
        }
        let fits = |size: u64, block: u64| block > 0 && size.is_multiple_of(block);
        let lines = match by_rows {
            true => rows.checked_div(block[0]),
            false => columns.checked_div(block[1]),
        };
        let pointers = compressed.shape.dimensions().last().copied();
        if values_batch != batch
            || compressed.shape.dimensions().get(..rank) != Some(&batch)
            || rest != dense
            || !fits(rows, block[0])
            || !fits(columns, block[1])
            || pointers != lines.map(|lines| lines + 1)
        {
            return Err(mismatch());
        }
        Ok(Compressed {
            batch: batch.iter().product(),
            rows,
            columns,
            block,
            run: dense.iter().product(),
            stored,
            by_rows,
        })
    }

    fn entries(&self, compressed: &Tensor, plain: &Tensor) -> Result<Vec<Entry>> {
        let pointers = indices(compressed)?;
        let plain = indices(plain)?;
        if plain.len() as u64 != self.batch * self.stored {
            return Err(mismatch());
        }
        let [block_rows, block_columns] = self.block;
        let (lines, across) = match self.by_rows {
            true => (self.rows / block_rows, self.columns / block_columns),
            false => (self.columns / block_columns, self.rows / block_rows),
        };
        let mut entries = Vec::new();
        for matrix in 0..self.batch {
            let start = (matrix * (lines + 1)) as usize;
            let pointers = &pointers[start..start + lines as usize + 1];
            let is_whole = pointers.first() == Some(&0) && pointers.last() == Some(&self.stored);
            if !is_whole || !pointers.is_sorted() {
                let message = "the compressed indices of a sparse tensor do not ascend to its end";
                return Err(Error::malformed(message));
            }
            for line in 0..lines {
                for stored in pointers[line as usize]..pointers[line as usize + 1] {
                    let number = matrix * self.stored + stored;
                    let other = plain[number as usize];
                    if other >= across {
                        return Err(outside(other, across));
                    }
                    let (row, column) = match self.by_rows {
                        true => (line, other),
                        false => (other, line),
                    };
                    self.add_block(matrix, row, column, number, &mut entries);
                }
            }
        }
        Ok(entries)
    }

    /// The entries of one block, at a row and column of blocks.
    fn add_block(&self, matrix: u64, row: u64, column: u64, number: u64, entries: &mut Vec<Entry>) {
        let [block_rows, block_columns] = self.block;
        let mut index = number * block_rows * block_columns * self.run;
        for i in 0..block_rows {
            let row = matrix * self.rows + row * block_rows + i;
            let place = (row * self.columns + column * block_columns) * self.run;
            let length = block_columns * self.run;
            entries.extend((0..length).map(|j| (place + j, index + j)));
            index += length;
        }
    }
}

/// Adds one little-endian element to another.
fn add(dtype: DType, to: &mut [u8], value: &[u8]) -> Result<()> {
    macro_rules! add_as {
        ($type:ty, $plus:expr) => {{
            const SIZE: usize = size_of::<$type>();
            let values = value.as_chunks::<SIZE>().0;
            for (to, value) in to.as_chunks_mut::<SIZE>().0.iter_mut().zip(values) {
                let plus: fn($type, $type) -> $type = $plus;
                *to =
                    plus(<$type>::from_le_bytes(*to), <$type>::from_le_bytes(*value)).to_le_bytes();
            }
        }};
    }
    match dtype {
        DType::Bool => add_as!(u8, |a, b| u8::from(a != 0 || b != 0)),
        DType::U8 | DType::I8 => add_as!(u8, u8::wrapping_add),
        DType::U16 | DType::I16 => add_as!(u16, u16::wrapping_add),
        DType::U32 | DType::I32 => add_as!(u32, u32::wrapping_add),
        DType::U64 | DType::I64 => add_as!(u64, u64::wrapping_add),
        DType::F16 | DType::C32 => add_as!(half::f16, |a, b| a + b),
        DType::BF16 => add_as!(half::bf16, |a, b| a + b),
        DType::F32 | DType::C64 => add_as!(f32, |a, b| a + b),
        DType::F64 | DType::C128 => add_as!(f64, |a, b| a + b),
        _ => {
            let message = format!("a sparse {dtype} tensor stores two elements at one place");
            return Err(Error::unsupported(message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Payload, Shape, Storage};

    fn stored(dtype: DType, shape: &[u64], bytes: Vec<u8>) -> Tensor {
        let payload = Payload::Stored(Storage::inline(bytes));
        Tensor::new("x", dtype, Shape::new(shape).unwrap(), payload)
    }

    fn longs(shape: &[u64], values: &[i64]) -> Tensor {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        stored(DType::I64, shape, bytes)
    }

    fn floats(shape: &[u64], values: &[f32]) -> Tensor {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        stored(DType::F32, shape, bytes)
    }

    fn dense(shape: &[u64], layout: SparseLayout, parts: Vec<Tensor>) -> Result<Vec<f32>> {
        let payload = Payload::Sparse {
            layout,
            parts: parts.into(),
        };
        let tensor = Tensor::new("x", DType::F32, Shape::new(shape).unwrap(), payload);
        let bytes = Reader::open(&tensor)?.read_all()?;
        let (words, _) = bytes.as_chunks::<4>();
        Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
    }

    #[test]
    fn sums_what_an_uncoalesced_tensor_stores_at_one_place() {
        let parts = vec![
            longs(&[2, 3], &[0, 0, 1, 2, 2, 0]),
            floats(&[3], &[1.0, 2.0, 3.0]),
        ];
        let found = dense(&[2, 3], SparseLayout::Coo, parts).unwrap();
        assert_eq!(found, [0.0, 0.0, 3.0, 3.0, 0.0, 0.0]);
    }

    #[test]
    fn writes_out_columns_of_blocks() {
        // torch.sparse_bsc_tensor([0, 1, 1], [0], [[[1, 2], [3, 4]]], (2, 4))
        let parts = vec![
            longs(&[3], &[0, 1, 1]),
            longs(&[1], &[0]),
            floats(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]),
        ];
        let found = dense(&[2, 4], SparseLayout::Bsc, parts).unwrap();
        assert_eq!(found, [1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0]);
    }

    #[test]
    fn refuses_indices_that_leave_the_shape() {
        for bad in [-1, 2, i64::MAX] {
            let parts = vec![longs(&[1, 1], &[bad]), floats(&[1], &[1.0])];
            assert!(dense(&[2], SparseLayout::Coo, parts).is_err());
            let parts = vec![
                longs(&[2], &[0, 1]),
                longs(&[1], &[bad]),
                floats(&[1], &[1.0]),
            ];
            assert!(dense(&[1, 2], SparseLayout::Csr, parts).is_err());
            let parts = vec![
                longs(&[2], &[0, bad]),
                longs(&[1], &[0]),
                floats(&[1], &[1.0]),
            ];
            assert!(dense(&[1, 2], SparseLayout::Csr, parts).is_err());
        }
        let parts = vec![longs(&[1], &[0]), longs(&[0], &[]), floats(&[0], &[])];
        assert!(dense(&[1, 2], SparseLayout::Csr, parts).is_err());
    }
}

//! The values of one tensor, or of a slice of it. Only what is shown is read.

mod find;
mod float;
mod numbers;
mod print;
mod slice;

pub use find::find;
pub use numbers::{Numbers, Precision};
pub use print::print;

use crate::dtype::{Class, DType};
use crate::error::{Error, Result};
use crate::model::Tensor;
use crate::stream::{Reader, Scratch};
use slice::Axis;

/// Values that are shown at once at most: 16 bytes each in memory.
const VALUES: u64 = 16 << 20;

/// Values up to which all are printed, as numpy's `threshold`.
const THRESHOLD: u64 = 1000;

/// Values that are printed at each end of a long axis, as numpy's `edgeitems`.
const EDGE: u64 = 3;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// As numpy does: the corners of a large tensor.
    Summary,
    /// All.
    Full,
}

/// Values of a tensor, or its corners.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The shape of the slice.
    pub shape: Vec<u64>,
    /// How many values of each axis are here: the first and the last `EDGE` of a longer one.
    pub held: Vec<u64>,
    /// The values, row by row.
    pub numbers: Numbers,
}

/// Reads the values of `tensor` that a slice such as `0:4, :8` selects.
///
/// GGUF blocks, quantised tensors and floats of eight bits or less are decoded to F32.
/// Errors: `Usage` for a slice that does not fit the shape, `Limit` for too many values, and
/// what [`Reader::open`] says of tensors that have no values.
pub fn show(tensor: &Tensor, slice: Option<&str>, extent: Extent) -> Result<Shown> {
    let in_tensor = |error: Error| error.in_tensor(&tensor.name);
    let dimensions = tensor.shape.dimensions();
    let axes = slice::parse(slice.unwrap_or(""), dimensions).map_err(in_tensor)?;
    let kept: Vec<Axis> = axes.iter().copied().filter(|axis| axis.is_kept).collect();
    let shape: Vec<u64> = kept.iter().map(|axis| axis.count).collect();
    let total = shape.iter().fold(1u64, |n, &count| n.saturating_mul(count));
    let is_summary = extent == Extent::Summary && total > THRESHOLD;
    let positions: Vec<u64> = axes
        .iter()
        .map(|axis| held(axis.count, is_summary))
        .collect();
    let count = positions
        .iter()
        .fold(1u64, |n, &held| n.saturating_mul(held));
    if count > VALUES {
        let message = format!("{count} values would be shown; the limit is {VALUES}");
        return Err(in_tensor(
            Error::limit(message).with_hint("`--slice` chooses some, as in `--slice 0:4,:8`"),
        ));
    }
    let picked: Vec<Vec<u64>> = axes
        .iter()
        .zip(&positions)
        .map(|(axis, &held)| axis.indices(held))
        .collect();
    let decoded = as_numbers(tensor);
    let reader = Reader::open(&decoded)?;
    let mut bytes = Vec::new();
    gather(&reader, &picked, &mut bytes)?;
    Ok(Shown {
        held: kept
            .iter()
            .map(|axis| held(axis.count, is_summary))
            .collect(),
        shape,
        numbers: Numbers::decode(decoded.dtype, &bytes).map_err(in_tensor)?,
    })
}

/// How many values of an axis are shown.
fn held(count: u64, is_summary: bool) -> u64 {
    match is_summary && count > 2 * EDGE {
        true => 2 * EDGE,
        false => count,
    }
}

/// The tensor itself, or a view of it in F32 if its own type is read through tables.
fn as_numbers(tensor: &Tensor) -> Tensor {
    let is_small = tensor.dtype.facts().block_bytes < 2 || tensor.dtype.element_bytes().is_none();
    let is_decoded = match tensor.dtype.class() {
        Class::Block | Class::Quantized => true,
        Class::Float => is_small,
        _ => false,
    };
    if !is_decoded {
        return tensor.clone();
    }
    tensor.cast(DType::F32)
}

/// Reads the elements at every combination of `picked` indices, one list for each dimension.
fn gather(reader: &Reader<'_>, picked: &[Vec<u64>], out: &mut Vec<u8>) -> Result<()> {
    let tensor = reader.tensor();
    let strides = tensor.shape.row_major_strides();
    let mut runs = Runs {
        reader,
        scratch: Scratch::default(),
        buffer: Vec::new(),
        out,
        first: 0,
        elements: 0,
    };
    if picked.iter().any(Vec::is_empty) {
        return Ok(());
    }
    let mut at = vec![0usize; picked.len()];
    loop {
        let index = picked.iter().zip(&at).zip(&strides);
        runs.add(
            index
                .map(|((indices, &i), stride)| indices[i] * stride)
                .sum(),
        )?;
        // Count up like an odometer.
        let mut axis = picked.len();
        loop {
            if axis == 0 {
                return runs.flush();
            }
            axis -= 1;
            at[axis] += 1;
            if at[axis] < picked[axis].len() {
                break;
            }
            at[axis] = 0;
        }
    }
}

/// Collects elements that follow each other, to read them at once.
struct Runs<'a, 't> {
    reader: &'a Reader<'t>,
    scratch: Scratch,
    buffer: Vec<u8>,
    out: &'a mut Vec<u8>,
    first: u64,
    elements: u64,
}

impl Runs<'_, '_> {
    /// Elements that are read at once.
    const MOST: u64 = 64 << 10;

    fn add(&mut self, element: u64) -> Result<()> {
        if element != self.first + self.elements || self.elements == Runs::MOST {
            self.flush()?;
            self.first = element;
        }
        self.elements += 1;
        Ok(())
    }

    /// Reads the run, widened to what the reader can start and end at.
    fn flush(&mut self) -> Result<()> {
        if self.elements == 0 {
            return Ok(());
        }
        let tensor = self.reader.tensor();
        let step = self.reader.granularity();
        let start = self.first / step * step;
        let end = (self.first + self.elements).next_multiple_of(step);
        let end = end.min(tensor.elements());
        self.reader
            .read(start, end - start, &mut self.buffer, &mut self.scratch)?;
        let element = tensor.dtype.element_bytes().unwrap_or(1) as usize;
        let skip = (self.first - start) as usize * element;
        let len = self.elements as usize * element;
        let bytes = self.buffer.get(skip..skip + len).unwrap_or_default();
        self.out.extend_from_slice(bytes);
        self.elements = 0;
        Ok(())
    }
}

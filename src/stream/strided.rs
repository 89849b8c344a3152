//! Ranges of strided views: gathered from windows of the storage that are read whole.

use crate::error::Result;
use crate::io::Source;
use crate::model::{Shape, Tensor};

/// Bytes of storage that are read at once.
const WINDOW: u64 = 512 << 10;

/// A run of at most this many bytes is read even if most of it is not needed.
const SMALL: u64 = 4096;

/// Bytes of storage that a view reaches into; `None` if they cannot be counted, or if the view
/// has another rank than the tensor.
pub(super) fn extent(tensor: &Tensor, first: u64, strides: &[u64]) -> Option<u64> {
    if tensor.shape.rank() != strides.len() {
        return None;
    }
    if tensor.elements() == 0 {
        return Some(0);
    }
    let dimensions = tensor.shape.dimensions().iter();
    let last = dimensions
        .zip(strides)
        .try_fold(first, |last, (count, stride)| {
            last.checked_add((count - 1).checked_mul(*stride)?)
        })?;
    let element = u64::from(tensor.dtype.element_bytes()?);
    last.checked_add(1)?.checked_mul(element)
}

/// A view of elements in a source.
pub(super) struct View<'a> {
    pub(super) source: &'a Source,
    /// Where element 0 of the storage lies.
    pub(super) offset: u64,
    /// Bytes of one element: 1, 2, 4, 8 or 16.
    pub(super) element: u32,
    /// Index of the view's first element in the storage.
    pub(super) first: u64,
    /// Step of each dimension, in elements.
    pub(super) strides: &'a [u64],
}

/// One dimension of a box: how many, and the steps in storage and output, in elements.
#[derive(Clone, Copy, Debug)]
struct Axis {
    count: u64,
    from: u64,
    to: u64,
}

impl View<'_> {
    /// Fills `out` with the elements `first .. first + elements` of the view, row by row.
    pub(super) fn gather(
        &self,
        shape: &Shape,
        first: u64,
        elements: u64,
        out: &mut [u8],
        window: &mut Vec<u8>,
    ) -> Result<()> {
        let mut boxes = Vec::new();
        cut_into_boxes(shape.dimensions(), first, elements, &mut |start, counts| {
            boxes.push((start.to_vec(), counts.to_vec()));
        });
        let mut done = 0u64;
        for (start, counts) in boxes {
            let steps = row_major(&counts);
            let axes: Vec<Axis> = counts
                .iter()
                .zip(self.strides)
                .zip(steps)
                .map(|((&count, &from), to)| Axis { count, from, to })
                .filter(|axis| axis.count > 1)
                .collect();
            let skipped: u64 = start.iter().zip(self.strides).map(|(i, s)| i * s).sum();
            self.copy_box(self.first + skipped, done, &axes, out, window)?;
            done += counts.iter().product::<u64>();
        }
        Ok(())
    }

    /// Copies a box, cut in halves until the storage under it fits a window that is mostly
    /// needed.
    fn copy_box(
        &self,
        from: u64,
        to: u64,
        axes: &[Axis],
        out: &mut [u8],
        window: &mut Vec<u8>,
    ) -> Result<()> {
        let element = u64::from(self.element);
        let span = 1 + axes.iter().map(|a| (a.count - 1) * a.from).sum::<u64>();
        let needed: u64 = axes.iter().map(|axis| axis.count).product();
        let bytes = span.saturating_mul(element);
        if bytes <= SMALL || (bytes <= WINDOW && needed.saturating_mul(4) >= span) {
            window.resize(bytes as usize, 0);
            self.source
                .read_exact_at(self.offset + from * element, window)?;
            match self.element {
                1 => scatter::<1>(window, axes, to, out),
                2 => scatter::<2>(window, axes, to, out),
                4 => scatter::<4>(window, axes, to, out),
                8 => scatter::<8>(window, axes, to, out),
                _ => scatter::<16>(window, axes, to, out),
            }
            return Ok(());
        }
        let widest = (0..axes.len()).max_by_key(|&i| (axes[i].count - 1) * axes[i].from);
        let Some(widest) = widest else {
            return Ok(());
        };
        let half = axes[widest].count / 2;
        let mut low = axes.to_vec();
        low[widest].count = half;
        let mut high = axes.to_vec();
        high[widest].count -= half;
        let (skip_from, skip_to) = (half * axes[widest].from, half * axes[widest].to);
        self.copy_box(from, to, &low, out, window)?;
        self.copy_box(from + skip_from, to + skip_to, &high, out, window)
    }
}

/// Copies elements of `N` bytes from a window to their places.
fn scatter<const N: usize>(window: &[u8], axes: &[Axis], to: u64, out: &mut [u8]) {
    let Some((inner, outer)) = axes.split_last() else {
        let to = to as usize * N;
        out[to..to + N].copy_from_slice(&window[..N]);
        return;
    };
    let mut index = vec![0u64; outer.len()];
    loop {
        let sum = |step: fn(&Axis) -> u64| -> u64 {
            index
                .iter()
                .zip(outer)
                .map(|(i, axis)| i * step(axis))
                .sum()
        };
        let from = sum(|axis| axis.from) as usize * N;
        let to = (to + sum(|axis| axis.to)) as usize * N;
        scatter_row::<N>(&window[from..], inner, &mut out[to..]);
        // Count up like an odometer.
        let mut axis = outer.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            if index[axis] < outer[axis].count {
                break;
            }
            index[axis] = 0;
        }
    }
}

fn scatter_row<const N: usize>(window: &[u8], axis: &Axis, out: &mut [u8]) {
    let count = axis.count as usize;
    if axis.from == 1 && axis.to == 1 {
        out[..count * N].copy_from_slice(&window[..count * N]);
        return;
    }
    let (from, to) = (axis.from as usize * N, axis.to as usize * N);
    for i in 0..count {
        let element: [u8; N] = window[i * from..i * from + N].try_into().unwrap_or([0; N]);
        out[i * to..i * to + N].copy_from_slice(&element);
    }
}

fn row_major(counts: &[u64]) -> Vec<u64> {
    let mut steps = vec![1; counts.len()];
    for axis in (1..counts.len()).rev() {
        steps[axis - 1] = steps[axis] * counts[axis];
    }
    steps
}

/// Cuts the run of elements `first .. first + elements` of `dimensions` into boxes, in order.
fn cut_into_boxes(
    dimensions: &[u64],
    first: u64,
    elements: u64,
    emit: &mut dyn FnMut(&[u64], &[u64]),
) {
    if elements == 0 {
        return;
    }
    let mut start = vec![0; dimensions.len()];
    let mut counts = vec![1; dimensions.len()];
    cut(
        dimensions,
        0,
        first,
        first + elements,
        &mut start,
        &mut counts,
        emit,
    );
}

/// Emits the boxes of `low .. high` within the sub-array that the axes before `axis` select.
fn cut(
    dimensions: &[u64],
    axis: usize,
    low: u64,
    high: u64,
    start: &mut [u64],
    counts: &mut [u64],
    emit: &mut dyn FnMut(&[u64], &[u64]),
) {
    let Some(rest) = dimensions.get(axis + 1..) else {
        emit(start, counts);
        return;
    };
    let row: u64 = rest.iter().product();
    let (mut low_row, high_row) = (low / row, high / row);
    let one_row = |index: u64,
                   low: u64,
                   high: u64,
                   start: &mut [u64],
                   counts: &mut [u64],
                   emit: &mut dyn FnMut(&[u64], &[u64])| {
        start[axis] = index;
        counts[axis] = 1;
        cut(dimensions, axis + 1, low, high, start, counts, emit);
    };
    if !low.is_multiple_of(row) || low_row == high_row {
        let end = high.min((low_row + 1) * row);
        one_row(
            low_row,
            low - low_row * row,
            end - low_row * row,
            start,
            counts,
            emit,
        );
        if end == high {
            return;
        }
        low_row += 1;
    }
    if high_row > low_row {
        start[axis] = low_row;
        counts[axis] = high_row - low_row;
        for inner in axis + 1..dimensions.len() {
            start[inner] = 0;
            counts[inner] = dimensions[inner];
        }
        emit(start, counts);
    }
    if !high.is_multiple_of(row) {
        one_row(high_row, 0, high - high_row * row, start, counts, emit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The obvious way: one element at a time.
    fn slow(storage: &[u32], first: u64, shape: &[u64], strides: &[u64]) -> Vec<u32> {
        let total: u64 = shape.iter().product();
        let steps = row_major(shape);
        (0..total)
            .map(|i| {
                let at = |axis: usize| i / steps[axis] % shape[axis] * strides[axis];
                storage[(first + (0..shape.len()).map(at).sum::<u64>()) as usize]
            })
            .collect()
    }

    #[test]
    fn gathers_any_range_of_any_view_like_the_slow_way() {
        let storage: Vec<u32> = (0..500_000).map(|i| i * 7).collect();
        let bytes: Vec<u8> = storage.iter().flat_map(|v| v.to_le_bytes()).collect();
        let source = Source::from_bytes("x", bytes);
        let views: [(u64, &[u64], &[u64]); 8] = [
            (0, &[700, 700], &[1, 700]),
            (5, &[3, 4, 5], &[0, 1, 4]),
            (17, &[2, 3, 200, 300], &[60_000, 20_000, 1, 200]),
            (9, &[100_000], &[4]),
            (0, &[3, 70_000], &[150_000, 2]),
            (3, &[], &[]),
            (0, &[5, 1, 7], &[7, 1234, 1]),
            (1, &[400, 3], &[0, 160_000]),
        ];
        for (first, dimensions, strides) in views {
            let expected = slow(&storage, first, dimensions, strides);
            let shape = Shape::new(dimensions).unwrap();
            let total = shape.elements();
            let view = View {
                source: &source,
                offset: 0,
                element: 4,
                first,
                strides,
            };
            for (low, high) in [(0, total), (total / 3, total / 2 + 1), (total - 1, total)] {
                let mut out = vec![0; (high - low) as usize * 4];
                view.gather(&shape, low, high - low, &mut out, &mut Vec::new())
                    .unwrap();
                let words: Vec<u32> = out
                    .chunks_exact(4)
                    .map(|c| u32::from_le_bytes(c.try_into().unwrap()))
                    .collect();
                assert_eq!(
                    words,
                    expected[low as usize..high as usize],
                    "{dimensions:?}"
                );
            }
        }
    }
}

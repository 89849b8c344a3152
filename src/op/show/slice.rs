//! Slices as numpy has them: `0:4, :8`, `-1`, `::2`, `...`.

use crate::error::{Error, Result};

/// Which indices of one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    start: u64,
    step: i64,
    /// How many.
    pub(super) count: u64,
    /// Whether the result has this dimension; a single index removes it.
    pub(super) is_kept: bool,
}

impl Axis {
    fn whole(dimension: u64) -> Axis {
        Axis {
            start: 0,
            step: 1,
            count: dimension,
            is_kept: true,
        }
    }

    /// The first and last indices, `held` together.
    pub(super) fn indices(&self, held: u64) -> Vec<u64> {
        let tail = if held < self.count { held / 2 } else { 0 };
        let head = 0..held - tail;
        head.chain(self.count - tail..self.count)
            .map(|position| self.index(position))
            .collect()
    }

    fn index(&self, position: u64) -> u64 {
        // The axis lies within the dimension, which is below 2^63.
        let skipped = position.wrapping_mul(self.step as u64);
        self.start.wrapping_add(skipped)
    }
}

/// Reads a slice of a tensor with these dimensions; dimensions that it does not name are whole.
pub(super) fn parse(text: &str, dimensions: &[u64]) -> Result<Vec<Axis>> {
    let inner = text.trim();
    let inner = inner
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(inner);
    let items: Vec<&str> = match inner.trim() {
        "" => Vec::new(),
        inner => inner
            .strip_suffix(',')
            .unwrap_or(inner)
            .split(',')
            .map(str::trim)
            .collect(),
    };
    let dots = items.iter().filter(|item| **item == "...").count();
    let named = items.len() - dots;
    if dots > 1 || named > dimensions.len() {
        let rank = dimensions.len();
        return Err(Error::usage(format!(
            "slice `{text}` has {named} indices; the tensor has {rank} dimensions"
        )));
    }
    let missing = dimensions.len() - named;
    let mut axes = Vec::with_capacity(dimensions.len());
    for item in &items {
        if *item == "..." {
            let from = axes.len();
            axes.extend(
                dimensions[from..from + missing]
                    .iter()
                    .map(|&d| Axis::whole(d)),
            );
            continue;
        }
        let axis = axes.len();
        axes.push(parse_item(item, axis, dimensions[axis])?);
    }
    let from = axes.len();
    axes.extend(dimensions[from..].iter().map(|&d| Axis::whole(d)));
    Ok(axes)
}

fn parse_item(item: &str, axis: usize, dimension: u64) -> Result<Axis> {
    let parts: Vec<&str> = item.split(':').map(str::trim).collect();
    let number = |text: &str| -> Result<Option<i64>> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| malformed(item))
    };
    // Dimensions are below 2^63.
    let size = dimension as i64;
    match parts.as_slice() {
        [index] => {
            let index = number(index)?.ok_or_else(|| malformed(item))?;
            let wrapped = if index < 0 {
                index.saturating_add(size)
            } else {
                index
            };
            if !(0..size).contains(&wrapped) {
                return Err(Error::usage(format!(
                    "index {index} is out of bounds for axis {axis} with size {size}"
                )));
            }
            Ok(Axis {
                start: wrapped as u64,
                step: 1,
                count: 1,
                is_kept: false,
            })
        }
        [start, stop] => span(number(start)?, number(stop)?, 1, size),
        [start, stop, step] => {
            let step = number(step)?.unwrap_or(1);
            if step == 0 {
                return Err(Error::usage(format!("slice `{item}` has step 0")));
            }
            span(number(start)?, number(stop)?, step, size)
        }
        _ => Err(malformed(item)),
    }
}

fn malformed(item: &str) -> Error {
    Error::usage(format!("`{item}` is no index or slice"))
        .with_hint("slices are written as in numpy: `0:4,:8`, `-1`, `::2`, `...,0`")
}

/// `start:stop:step` of a dimension of `size`, clipped as Python's `slice.indices` does.
fn span(start: Option<i64>, stop: Option<i64>, step: i64, size: i64) -> Result<Axis> {
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let clip = |index: i64| {
        let index = if index < 0 {
            index.saturating_add(size)
        } else {
            index
        };
        index.clamp(low, high)
    };
    let start = start.map_or(if step > 0 { low } else { high }, clip);
    let stop = stop.map_or(if step > 0 { high } else { low }, clip);
    let distance = if step > 0 { stop - start } else { start - stop };
    let count = match u64::try_from(distance) {
        Ok(distance) => distance.div_ceil(step.unsigned_abs()),
        Err(_) => 0,
    };
    Ok(Axis {
        start: u64::try_from(start).unwrap_or(0),
        step,
        count,
        is_kept: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(text: &str, dimensions: &[u64]) -> Vec<Vec<u64>> {
        let axes = parse(text, dimensions).unwrap();
        axes.iter().map(|axis| axis.indices(axis.count)).collect()
    }

    /// Expected: `list(range(n))[slice]` in Python.
    #[test]
    fn slices_select_what_python_selects() {
        for (text, expected) in [
            ("1:4", vec![1, 2, 3]),
            ("-2:", vec![5, 6]),
            ("::-3", vec![6, 3, 0]),
            ("5:1:-2", vec![5, 3]),
            ("4:100", vec![4, 5, 6]),
            ("4:2", vec![]),
            ("-100:2", vec![0, 1]),
            ("-1", vec![6]),
            (":-8:-1", vec![6, 5, 4, 3, 2, 1, 0]),
        ] {
            assert_eq!(indices(text, &[7]), [expected], "{text}");
        }
        assert_eq!(indices("..., 1", &[2, 3]), [vec![0, 1], vec![1]]);
        assert_eq!(indices("[1]", &[2, 3]), [vec![1], vec![0, 1, 2]]);
    }

    #[test]
    fn rejects_what_numpy_rejects() {
        for text in ["7", "-8", "a", "1,2", "...,...", "::0", "1:2:3:4", "1,,"] {
            assert!(parse(text, &[7]).is_err(), "{text}");
        }
        assert!(parse("0", &[]).is_err());
    }
}

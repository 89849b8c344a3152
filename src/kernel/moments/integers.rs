//! Tiles of 64-bit integers: sums as integers, without rounding.

use super::{Tile, fold};
use crate::kernel::double::Double;

/// Sums that run beside each other.
const LANES: usize = 16;

/// Measures a tile of signed 64-bit integers, at most [`super::TILE`] of them.
pub fn measure_i64(values: &[i64]) -> Tile {
    measure(values, 0)
}

/// Measures a tile of unsigned 64-bit integers, each less `2^63`: as signed integers of the
/// same order.
pub fn measure_u64(shifted: &[i64]) -> Tile {
    measure(shifted, 1 << 63)
}

/// `values` stand for themselves plus `origin`.
fn measure(values: &[i64], origin: i128) -> Tile {
    let Some(&pivot) = values.first() else {
        return Tile::EMPTY;
    };
    let mut least = i64::MAX;
    let mut greatest = i64::MIN;
    let mut sum = 0i128;
    let mut absolute = 0i128;
    let mut zeros = 0;
    for &value in values {
        least = least.min(value);
        greatest = greatest.max(value);
        let value = i128::from(value) + origin;
        sum += value;
        absolute += value.abs();
        zeros += u64::from(value == 0);
    }
    let count = values.len() as i128;
    let distance = (sum - (i128::from(pivot) + origin) * count) as f64;
    let spread = squares(values, pivot, least, greatest) - distance * (distance / count as f64);
    let range = (i128::from(least) + origin, i128::from(greatest) + origin);
    Tile {
        finite: values.len() as u64,
        zeros,
        min: range.0 as f64,
        max: range.1 as f64,
        integers: Some(range),
        sum: Double::from_integer(sum),
        absolute: Double::from_integer(absolute),
        spread: spread.max(0.0),
        ..Tile::EMPTY
    }
}

/// Sum of the squared distances from `pivot`.
fn squares(values: &[i64], pivot: i64, least: i64, greatest: i64) -> f64 {
    let mut lanes = [0.0; LANES];
    let is_close = greatest.checked_sub(least).is_some();
    for group in values.chunks(LANES) {
        for (lane, &value) in lanes.iter_mut().zip(group) {
            let distance = match is_close {
                true => (value - pivot) as f64,
                // So far apart that rounding each of them first does not show.
                false => value as f64 - pivot as f64,
            };
            *lane += distance * distance;
        }
    }
    fold(&lanes)
}

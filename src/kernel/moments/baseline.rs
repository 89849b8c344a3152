//! The passes as plain loops over arrays, which say what the faster ones mean.
//!
//! On AArch64 and other machines they are what runs: compilers turn each loop over the lanes
//! into vector instructions of the baseline.

use super::{LANES, Lanes, Narrow, TILE};

pub(super) fn sweep(kind: Narrow, bytes: &[u8], pivot: Option<f64>) -> Lanes {
    match kind {
        Narrow::F32 => sweep_as::<4>(bytes, pivot, f32::from_le_bytes, natural),
        Narrow::F16 => sweep_as::<2>(bytes, pivot, half, natural),
        Narrow::Bf16 => sweep_as::<2>(bytes, pivot, brain, paired),
        Narrow::I16 => sweep_as::<2>(bytes, pivot, |b| f32::from(i16::from_le_bytes(b)), natural),
        Narrow::U16 => sweep_as::<2>(bytes, pivot, |b| f32::from(u16::from_le_bytes(b)), natural),
    }
}

/// The elements of a tile, widened, in order.
pub(super) struct Values {
    values: [f64; TILE],
    count: usize,
}

impl Values {
    pub(super) fn values(&self) -> &[f64] {
        &self.values[..self.count]
    }
}

pub(super) fn decode(kind: Narrow, bytes: &[u8]) -> Values {
    let mut decoded = Values {
        values: [0.0; TILE],
        count: bytes.len() / kind.bytes(),
    };
    let elements = bytes.chunks_exact(kind.bytes());
    for (value, element) in decoded.values.iter_mut().zip(elements) {
        *value = value_of(kind, element);
    }
    decoded
}

/// The first element of a tile that is not empty.
pub(super) fn first(kind: Narrow, bytes: &[u8]) -> f64 {
    value_of(kind, bytes)
}

/// The element at the start of `bytes`.
pub(super) fn value_of(kind: Narrow, bytes: &[u8]) -> f64 {
    let short = [bytes[0], bytes[1]];
    match kind {
        Narrow::F32 => f64::from(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
        Narrow::F16 => f64::from(half(short)),
        Narrow::Bf16 => f64::from(brain(short)),
        Narrow::I16 => f64::from(i16::from_le_bytes(short)),
        Narrow::U16 => f64::from(u16::from_le_bytes(short)),
    }
}

fn brain(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

/// IEEE half precision without a branch: the exponent is moved by a multiplication, which also
/// makes subnormal halves normal.
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    let moved = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    let special = if bits & 0x7c00 == 0x7c00 {
        0x7f80_0000
    } else {
        0
    };
    f32::from_bits(moved.to_bits() | special | ((bits & 0x8000) << 16))
}

/// Which place of a group the element of a lane comes from: its own.
fn natural(lane: usize) -> usize {
    lane
}

/// The lower lanes take the even places, the upper ones the odd: what splitting 32-bit words
/// into their halves gives.
fn paired(lane: usize) -> usize {
    2 * (lane % (LANES / 2)) + lane / (LANES / 2)
}

#[inline(always)]
fn sweep_as<const BYTES: usize>(
    bytes: &[u8],
    pivot: Option<f64>,
    decode: impl Fn([u8; BYTES]) -> f32,
    place_of: impl Fn(usize) -> usize,
) -> Lanes {
    let pivot = pivot.unwrap_or(0.0);
    let mut lanes = Lanes::EMPTY;
    let (elements, _) = bytes.as_chunks::<BYTES>();
    let (groups, rest) = elements.as_chunks::<LANES>();
    for first in (0..LANES).step_by(PART) {
        let mut sums = Sums::new(pivot);
        for group in groups {
            for lane in 0..PART {
                sums.add(lane, decode(group[place_of(first + lane)]));
            }
        }
        sums.finish(first, &mut lanes);
    }
    for (lane, &element) in rest.iter().enumerate() {
        lanes.add(lane, decode(element), pivot);
    }
    lanes
}

/// Continues a pass over elements that fill no whole group: one a lane, from the first on.
#[cfg(target_arch = "x86_64")]
pub(super) fn finish(mut lanes: Lanes, kind: Narrow, rest: &[u8], pivot: Option<f64>) -> Lanes {
    for (lane, element) in rest.chunks_exact(kind.bytes()).enumerate() {
        // Exact: the value came from at most 24 bits.
        let value = value_of(kind, element) as f32;
        lanes.add(lane, value, pivot.unwrap_or(0.0));
    }
    lanes
}

impl Lanes {
    fn add(&mut self, lane: usize, value: f32, pivot: f64) {
        let distance = f64::from(value) - pivot;
        self.sum[lane] += distance;
        self.square[lane] += distance * distance;
        self.absolute[lane] += f64::from(value).abs();
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.zeros += u64::from(value == 0.0);
    }
}

/// Lanes that are summed in one go over the tile: what fits the registers of most machines.
const PART: usize = 8;

struct Sums {
    pivot: f64,
    sum: [f64; PART],
    square: [f64; PART],
    absolute: [f64; PART],
    min: [f32; PART],
    max: [f32; PART],
    zeros: [u32; PART],
}

impl Sums {
    fn new(pivot: f64) -> Sums {
        Sums {
            pivot,
            sum: [0.0; PART],
            square: [0.0; PART],
            absolute: [0.0; PART],
            min: [f32::INFINITY; PART],
            max: [f32::NEG_INFINITY; PART],
            zeros: [0; PART],
        }
    }

    #[inline(always)]
    fn add(&mut self, lane: usize, value: f32) {
        let wide = f64::from(value);
        let distance = wide - self.pivot;
        self.sum[lane] += distance;
        self.square[lane] += distance * distance;
        self.absolute[lane] += wide.abs();
        self.min[lane] = if value < self.min[lane] {
            value
        } else {
            self.min[lane]
        };
        self.max[lane] = if value > self.max[lane] {
            value
        } else {
            self.max[lane]
        };
        self.zeros[lane] += u32::from(value == 0.0);
    }

    /// Puts the sums where they belong: `first` is the first of these lanes.
    fn finish(self, first: usize, lanes: &mut Lanes) {
        lanes.sum[first..first + PART].copy_from_slice(&self.sum);
        lanes.square[first..first + PART].copy_from_slice(&self.square);
        lanes.absolute[first..first + PART].copy_from_slice(&self.absolute);
        lanes.min = self.min.iter().copied().fold(lanes.min, f32::min);
        lanes.max = self.max.iter().copied().fold(lanes.max, f32::max);
        lanes.zeros += self
            .zeros
            .iter()
            .map(|&zeros| u64::from(zeros))
            .sum::<u64>();
    }
}

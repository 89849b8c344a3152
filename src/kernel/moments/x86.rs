//! The passes with AVX2 and AVX-512.
//!
//! Products of elements of 24 bits are exact in an `f64`, so adding them in one instruction
//! (FMA) rounds as often as adding them in two. Distances from a pivot are longer: those take
//! two, as in the portable form.

use super::baseline::finish;
use super::{LANES, Lanes, Narrow};
use crate::kernel::InstructionSet;
use std::arch::x86_64::*;

const F32: u8 = Narrow::F32 as u8;
const F16: u8 = Narrow::F16 as u8;
const BF16: u8 = Narrow::Bf16 as u8;
const I16: u8 = Narrow::I16 as u8;
const U16: u8 = Narrow::U16 as u8;

/// Calls the pass compiled for this kind of element, around a pivot or not.
macro_rules! pass {
    ($pass:ident, $kind:expr, $bytes:expr, $pivot:expr) => {
        match ($kind, $pivot) {
            (Narrow::F32, None) => $pass::<F32, 4, false>($bytes, 0.0),
            (Narrow::F16, None) => $pass::<F16, 2, false>($bytes, 0.0),
            (Narrow::Bf16, None) => $pass::<BF16, 2, false>($bytes, 0.0),
            (Narrow::I16, None) => $pass::<I16, 2, false>($bytes, 0.0),
            (Narrow::U16, None) => $pass::<U16, 2, false>($bytes, 0.0),
            (Narrow::F32, Some(pivot)) => $pass::<F32, 4, true>($bytes, pivot),
            (Narrow::F16, Some(pivot)) => $pass::<F16, 2, true>($bytes, pivot),
            (Narrow::Bf16, Some(pivot)) => $pass::<BF16, 2, true>($bytes, pivot),
            (Narrow::I16, Some(pivot)) => $pass::<I16, 2, true>($bytes, pivot),
            (Narrow::U16, Some(pivot)) => $pass::<U16, 2, true>($bytes, pivot),
        }
    };
}

pub(super) fn sweep_avx512(kind: Narrow, bytes: &[u8], pivot: Option<f64>) -> Lanes {
    assert!(InstructionSet::best() >= InstructionSet::Avx512);
    // SAFETY: this machine has the features that the pass is compiled for.
    let lanes = unsafe { pass!(avx512, kind, bytes, pivot) };
    finish(lanes, kind, rest(kind, bytes), pivot)
}

pub(super) fn sweep_avx2(kind: Narrow, bytes: &[u8], pivot: Option<f64>) -> Lanes {
    assert!(InstructionSet::best() >= InstructionSet::Avx2);
    // SAFETY: this machine has the features that the pass is compiled for.
    let lanes = unsafe { pass!(avx2, kind, bytes, pivot) };
    finish(lanes, kind, rest(kind, bytes), pivot)
}

/// The elements that fill no whole group.
fn rest(kind: Narrow, bytes: &[u8]) -> &[u8] {
    let group = LANES * kind.bytes();
    &bytes[bytes.len() / group * group..]
}

/// Lanes 0 to 15 and 16 to 31 of the elements at `group`.
///
/// # Safety
/// There are 32 elements of this kind.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn load512<const KIND: u8>(group: *const u8) -> [__m512; 2] {
    // SAFETY: 32 elements are 128 bytes of F32 or 64 bytes of the other kinds, and the loads
    // ask for no alignment.
    unsafe {
        if KIND == F32 {
            return [
                _mm512_loadu_ps(group.cast()),
                _mm512_loadu_ps(group.add(64).cast()),
            ];
        }
        if KIND == BF16 {
            let pairs = _mm512_loadu_si512(group.cast());
            let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            return [
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)),
                _mm512_castsi512_ps(_mm512_and_si512(pairs, upper)),
            ];
        }
        [group, group.add(32)].map(|half| {
            let half = _mm256_loadu_si256(half.cast());
            match KIND {
                F16 => _mm512_cvtph_ps(half),
                I16 => _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(half)),
                _ => _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(half)),
            }
        })
    }
}

/// All lanes at once: twelve registers of sums.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,popcnt")]
fn avx512<const KIND: u8, const BYTES: usize, const AROUND: bool>(
    bytes: &[u8],
    pivot: f64,
) -> Lanes {
    let pivot = _mm512_set1_pd(pivot);
    let mut sum = [_mm512_setzero_pd(); 4];
    let mut square = sum;
    let mut absolute = sum;
    let mut min = _mm512_set1_ps(f32::INFINITY);
    let mut max = _mm512_set1_ps(f32::NEG_INFINITY);
    let mut zeros = 0u64;
    for group in bytes.chunks_exact(LANES * BYTES) {
        // SAFETY: a group holds 32 elements of this kind.
        let values = unsafe { load512::<KIND>(group.as_ptr()) };
        for (half, value) in values.into_iter().enumerate() {
            min = _mm512_min_ps(value, min);
            max = _mm512_max_ps(value, max);
            let equal = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(value, _mm512_setzero_ps());
            zeros += u64::from(equal.count_ones());
            let quarters = [
                _mm512_cvtps_pd(_mm512_castps512_ps256(value)),
                _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(value)),
            ];
            for (quarter, wide) in quarters.into_iter().enumerate() {
                let lane = 2 * half + quarter;
                absolute[lane] = _mm512_add_pd(absolute[lane], _mm512_abs_pd(wide));
                if AROUND {
                    let distance = _mm512_sub_pd(wide, pivot);
                    sum[lane] = _mm512_add_pd(sum[lane], distance);
                    let product = _mm512_mul_pd(distance, distance);
                    square[lane] = _mm512_add_pd(square[lane], product);
                } else {
                    sum[lane] = _mm512_add_pd(sum[lane], wide);
                    square[lane] = _mm512_fmadd_pd(wide, wide, square[lane]);
                }
            }
        }
    }
    Lanes {
        sum: spill512(sum),
        square: spill512(square),
        absolute: spill512(absolute),
        min: _mm512_reduce_min_ps(min),
        max: _mm512_reduce_max_ps(max),
        zeros,
    }
}

/// One quarter of the lanes after the other, as more sums would not fit the registers.
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2<const KIND: u8, const BYTES: usize, const AROUND: bool>(bytes: &[u8], pivot: f64) -> Lanes {
    let mut lanes = Lanes::EMPTY;
    avx2_quarter::<KIND, BYTES, AROUND, 0>(bytes, pivot, &mut lanes);
    avx2_quarter::<KIND, BYTES, AROUND, 1>(bytes, pivot, &mut lanes);
    avx2_quarter::<KIND, BYTES, AROUND, 2>(bytes, pivot, &mut lanes);
    avx2_quarter::<KIND, BYTES, AROUND, 3>(bytes, pivot, &mut lanes);
    lanes
}

/// Lanes `8 * QUARTER ..` of the elements at `group`, eight of them.
///
/// # Safety
/// There are 32 elements of this kind.
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn load256<const KIND: u8, const QUARTER: usize>(group: *const u8) -> __m256 {
    // SAFETY: 32 elements are 128 bytes of F32 or 64 bytes of the other kinds, and the loads
    // ask for no alignment.
    unsafe {
        if KIND == F32 {
            return _mm256_loadu_ps(group.add(32 * QUARTER).cast());
        }
        if KIND == BF16 {
            let pairs = _mm256_loadu_si256(group.add(32 * (QUARTER % 2)).cast());
            let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            return _mm256_castsi256_ps(match QUARTER {
                0 | 1 => _mm256_slli_epi32::<16>(pairs),
                _ => _mm256_and_si256(pairs, upper),
            });
        }
        let elements = _mm_loadu_si128(group.add(16 * QUARTER).cast());
        match KIND {
            F16 => _mm256_cvtph_ps(elements),
            I16 => _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(elements)),
            _ => _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(elements)),
        }
    }
}

/// A function of its own: inlined, the sums of the other quarters would be kept in registers.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2_quarter<const KIND: u8, const BYTES: usize, const AROUND: bool, const QUARTER: usize>(
    bytes: &[u8],
    pivot: f64,
    lanes: &mut Lanes,
) {
    let pivot = _mm256_set1_pd(pivot);
    let sign = _mm256_set1_pd(-0.0);
    let mut sum = [_mm256_setzero_pd(); 2];
    let mut square = sum;
    let mut absolute = sum;
    let mut min = _mm256_set1_ps(f32::INFINITY);
    let mut max = _mm256_set1_ps(f32::NEG_INFINITY);
    let mut zeros = _mm256_setzero_si256();
    for group in bytes.chunks_exact(LANES * BYTES) {
        // SAFETY: a group holds 32 elements of this kind.
        let value = unsafe { load256::<KIND, QUARTER>(group.as_ptr()) };
        min = _mm256_min_ps(value, min);
        max = _mm256_max_ps(value, max);
        let equal = _mm256_cmp_ps::<_CMP_EQ_OQ>(value, _mm256_setzero_ps());
        zeros = _mm256_sub_epi32(zeros, _mm256_castps_si256(equal));
        let halves = [
            _mm256_cvtps_pd(_mm256_castps256_ps128(value)),
            _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(value)),
        ];
        for (half, wide) in halves.into_iter().enumerate() {
            absolute[half] = _mm256_add_pd(absolute[half], _mm256_andnot_pd(sign, wide));
            if AROUND {
                let distance = _mm256_sub_pd(wide, pivot);
                sum[half] = _mm256_add_pd(sum[half], distance);
                let product = _mm256_mul_pd(distance, distance);
                square[half] = _mm256_add_pd(square[half], product);
            } else {
                sum[half] = _mm256_add_pd(sum[half], wide);
                square[half] = _mm256_fmadd_pd(wide, wide, square[half]);
            }
        }
    }
    spill256(sum, &mut lanes.sum[8 * QUARTER..]);
    spill256(square, &mut lanes.square[8 * QUARTER..]);
    spill256(absolute, &mut lanes.absolute[8 * QUARTER..]);
    let (least, greatest) = extremes(min, max);
    lanes.min = lanes.min.min(least);
    lanes.max = lanes.max.max(greatest);
    lanes.zeros += total(zeros);
}

#[target_feature(enable = "avx2")]
fn extremes(min: __m256, max: __m256) -> (f32, f32) {
    let mut least = [0f32; 8];
    let mut greatest = [0f32; 8];
    // SAFETY: each array holds the 32 bytes that are stored.
    unsafe {
        _mm256_storeu_ps(least.as_mut_ptr(), min);
        _mm256_storeu_ps(greatest.as_mut_ptr(), max);
    }
    (
        least.into_iter().fold(f32::INFINITY, f32::min),
        greatest.into_iter().fold(f32::NEG_INFINITY, f32::max),
    )
}

#[target_feature(enable = "avx2")]
fn total(counts: __m256i) -> u64 {
    let mut lanes = [0u32; 8];
    // SAFETY: the array holds the 32 bytes that are stored.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), counts) };
    lanes.into_iter().map(u64::from).sum()
}

#[target_feature(enable = "avx512f")]
fn spill512(registers: [__m512d; 4]) -> [f64; LANES] {
    let mut lanes = [0.0; LANES];
    for (register, part) in registers.into_iter().zip(lanes.chunks_exact_mut(8)) {
        // SAFETY: the part holds the 64 bytes that are stored.
        unsafe { _mm512_storeu_pd(part.as_mut_ptr(), register) };
    }
    lanes
}

#[target_feature(enable = "avx2")]
fn spill256(registers: [__m256d; 2], lanes: &mut [f64]) {
    for (register, part) in registers.into_iter().zip(lanes.chunks_exact_mut(4)) {
        // SAFETY: the part holds the 32 bytes that are stored.
        unsafe { _mm256_storeu_pd(part.as_mut_ptr(), register) };
    }
}

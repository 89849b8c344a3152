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

/// Lanes 0 to 7 and 8 to 15 of the 16 elements at `group`, which has that many.
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn load<const KIND: u8>(group: *const u8) -> [__m256; 2] {
    // SAFETY: the caller's elements are 64 bytes of F32 or 32 bytes of the other kinds, and the
    // loads ask for no alignment.
    unsafe {
        if KIND == F32 {
            return [
                _mm256_loadu_ps(group.cast()),
                _mm256_loadu_ps(group.add(32).cast()),
            ];
        }
        if KIND == BF16 {
            let pairs = _mm256_loadu_si256(group.cast());
            let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            return [
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)),
                _mm256_castsi256_ps(_mm256_and_si256(pairs, upper)),
            ];
        }
        let low = _mm_loadu_si128(group.cast());
        let high = _mm_loadu_si128(group.add(16).cast());
        match KIND {
            F16 => [_mm256_cvtph_ps(low), _mm256_cvtph_ps(high)],
            I16 => [
                _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(low)),
                _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(high)),
            ],
            _ => [
                _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(low)),
                _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(high)),
            ],
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,popcnt")]
fn avx512<const KIND: u8, const BYTES: usize, const AROUND: bool>(
    bytes: &[u8],
    pivot: f64,
) -> Lanes {
    let pivot = _mm512_set1_pd(pivot);
    let zero = _mm256_setzero_ps();
    let mut sum = [_mm512_setzero_pd(); 2];
    let mut square = sum;
    let mut absolute = sum;
    let mut min = _mm256_set1_ps(f32::INFINITY);
    let mut max = _mm256_set1_ps(f32::NEG_INFINITY);
    let mut zeros = 0u64;
    for group in bytes.chunks_exact(LANES * BYTES) {
        // SAFETY: a group holds 16 elements of this kind.
        let values = unsafe { load::<KIND>(group.as_ptr()) };
        for (half, value) in values.into_iter().enumerate() {
            min = _mm256_min_ps(value, min);
            max = _mm256_max_ps(value, max);
            zeros += u64::from(_mm256_cmp_ps_mask::<_CMP_EQ_OQ>(value, zero).count_ones());
            let wide = _mm512_cvtps_pd(value);
            absolute[half] = _mm512_add_pd(absolute[half], _mm512_abs_pd(wide));
            if AROUND {
                let distance = _mm512_sub_pd(wide, pivot);
                sum[half] = _mm512_add_pd(sum[half], distance);
                let product = _mm512_mul_pd(distance, distance);
                square[half] = _mm512_add_pd(square[half], product);
            } else {
                sum[half] = _mm512_add_pd(sum[half], wide);
                square[half] = _mm512_fmadd_pd(wide, wide, square[half]);
            }
        }
    }
    let (min, max) = extremes(min, max);
    Lanes {
        sum: spill512(sum),
        square: spill512(square),
        absolute: spill512(absolute),
        min,
        max,
        zeros,
    }
}

#[target_feature(enable = "avx2,fma,f16c,popcnt")]
fn avx2<const KIND: u8, const BYTES: usize, const AROUND: bool>(bytes: &[u8], pivot: f64) -> Lanes {
    let pivot = _mm256_set1_pd(pivot);
    let sign = _mm256_set1_pd(-0.0);
    let mut sum = [_mm256_setzero_pd(); 4];
    let mut square = sum;
    let mut absolute = sum;
    let mut min = _mm256_set1_ps(f32::INFINITY);
    let mut max = _mm256_set1_ps(f32::NEG_INFINITY);
    let mut zeros = 0u64;
    for group in bytes.chunks_exact(LANES * BYTES) {
        // SAFETY: a group holds 16 elements of this kind.
        let values = unsafe { load::<KIND>(group.as_ptr()) };
        for (half, value) in values.into_iter().enumerate() {
            min = _mm256_min_ps(value, min);
            max = _mm256_max_ps(value, max);
            let equal = _mm256_cmp_ps::<_CMP_EQ_OQ>(value, _mm256_setzero_ps());
            zeros += u64::from(_mm256_movemask_ps(equal).count_ones());
            let quarters = [
                _mm256_cvtps_pd(_mm256_castps256_ps128(value)),
                _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(value)),
            ];
            for (quarter, wide) in quarters.into_iter().enumerate() {
                let lane = 2 * half + quarter;
                let magnitude = _mm256_andnot_pd(sign, wide);
                absolute[lane] = _mm256_add_pd(absolute[lane], magnitude);
                if AROUND {
                    let distance = _mm256_sub_pd(wide, pivot);
                    sum[lane] = _mm256_add_pd(sum[lane], distance);
                    let product = _mm256_mul_pd(distance, distance);
                    square[lane] = _mm256_add_pd(square[lane], product);
                } else {
                    sum[lane] = _mm256_add_pd(sum[lane], wide);
                    square[lane] = _mm256_fmadd_pd(wide, wide, square[lane]);
                }
            }
        }
    }
    let (min, max) = extremes(min, max);
    Lanes {
        sum: spill256(sum),
        square: spill256(square),
        absolute: spill256(absolute),
        min,
        max,
        zeros,
    }
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

#[target_feature(enable = "avx512f")]
fn spill512(registers: [__m512d; 2]) -> [f64; LANES] {
    let mut lanes = [0.0; LANES];
    for (register, part) in registers.into_iter().zip(lanes.chunks_exact_mut(8)) {
        // SAFETY: the part holds the 64 bytes that are stored.
        unsafe { _mm512_storeu_pd(part.as_mut_ptr(), register) };
    }
    lanes
}

#[target_feature(enable = "avx2")]
fn spill256(registers: [__m256d; 4]) -> [f64; LANES] {
    let mut lanes = [0.0; LANES];
    for (register, part) in registers.into_iter().zip(lanes.chunks_exact_mut(4)) {
        // SAFETY: the part holds the 32 bytes that are stored.
        unsafe { _mm256_storeu_pd(part.as_mut_ptr(), register) };
    }
    lanes
}

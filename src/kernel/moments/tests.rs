//! Every form of the loops against the portable one, and that against slow sums.

use super::*;

const KINDS: [Narrow; 5] = [
    Narrow::F32,
    Narrow::F16,
    Narrow::Bf16,
    Narrow::I16,
    Narrow::U16,
];

/// Bytes without a pattern (Marsaglia's xorshift64).
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn close(found: f64, expected: f64) {
    let error = (found - expected).abs();
    assert!(
        error <= 1e-12 * expected.abs(),
        "{found:e} is not {expected:e}"
    );
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let mut compared = 0;
    for kind in KINDS {
        for elements in [
            0, 1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 64, 100, 1000, 8191, 8192,
        ] {
            // Any bits at all, then finite ones only: those of small magnitude.
            for mask in [0xff, 0x3f] {
                let mut bytes = noise(elements * kind.bytes());
                for upper in bytes
                    .iter_mut()
                    .skip(kind.bytes() - 1)
                    .step_by(kind.bytes())
                {
                    *upper &= mask;
                }
                for pivot in [None, Some(0.1)] {
                    let expected = sweep(InstructionSet::Baseline, kind, &bytes, pivot);
                    for set in InstructionSet::available() {
                        let found = sweep(set, kind, &bytes, pivot);
                        assert_eq!(bits(&found), bits(&expected), "{kind:?} {set:?} {elements}");
                        compared += 1;
                    }
                }
                let expected = measure(InstructionSet::Baseline, kind, &bytes);
                for set in InstructionSet::available() {
                    assert_eq!(measure(set, kind, &bytes), expected, "{kind:?} {set:?}");
                }
            }
        }
    }
    assert!(compared >= 300);
}

#[test]
fn every_instruction_set_gives_the_same_bits_for_wide_elements() {
    let mut values: Vec<f64> = noise(8 * TILE)
        .as_chunks::<8>()
        .0
        .iter()
        .map(|&word| f64::from_le_bytes(word))
        .collect();
    for round in 0..2 {
        for elements in [0, 1, 15, 16, 33, 1000, TILE] {
            let expected = measure_f64(InstructionSet::Baseline, &values[..elements]);
            for set in InstructionSet::available() {
                let found = measure_f64(set, &values[..elements]);
                assert_eq!(found, expected, "{set:?} {elements} {round}");
            }
        }
        // Finite ones only, of ordinary size.
        values.iter_mut().for_each(|value| {
            *value = f64::from_bits(value.to_bits() & 0xbfff_ffff_ffff_ffff | 0x3000 << 48);
        });
    }
}

/// The lanes' bits; all NaN alike, and what NaN makes meaningless left out.
fn bits(lanes: &Lanes) -> Vec<u64> {
    let sums = [lanes.sum, lanes.square, lanes.absolute].concat();
    let mut bits: Vec<u64> = sums
        .iter()
        .map(|sum| if sum.is_nan() { 1 } else { sum.to_bits() })
        .collect();
    if fold(&lanes.absolute).is_finite() {
        bits.push(lanes.zeros);
        bits.push(u64::from((lanes.min + 0.0).to_bits()));
        bits.push(u64::from((lanes.max + 0.0).to_bits()));
    }
    bits
}

#[test]
fn every_half_decodes_as_the_standard_says() {
    for code in 0..=u16::MAX {
        let expected = half::f16::from_bits(code).to_f64();
        let found = baseline::value_of(Narrow::F16, &code.to_le_bytes());
        assert!(found == expected || found.is_nan() && expected.is_nan());
        let expected = half::bf16::from_bits(code).to_f64();
        let found = baseline::value_of(Narrow::Bf16, &code.to_le_bytes());
        assert!(found == expected || found.is_nan() && expected.is_nan());
    }
}

#[test]
fn a_small_spread_around_a_large_mean_is_kept() {
    // 1e8 + {0, 8, 16, 24}: f32 has steps of 8 there. Variance 80, mean 1e8 + 12.
    let values: Vec<f32> = (0..4096).map(|i| 1e8 + (i % 4) as f32 * 8.0).collect();
    let tile = measure(InstructionSet::best(), Narrow::F32, &f32_bytes(&values));
    assert_eq!(tile.sum.value() / 4096.0, 1e8 + 12.0);
    close(tile.spread / 4096.0, 80.0);

    let values: Vec<f64> = (0..4096).map(|i| 1e15 + (i % 4) as f64).collect();
    let tile = measure_f64(InstructionSet::best(), &values);
    assert_eq!((tile.sum - Double::from(4096.0 * 1e15)).value(), 6144.0);
    close(tile.spread / 4096.0, 1.25);
}

#[test]
fn one_outlier_does_not_spoil_the_rest() {
    // The pivot is the worst there is. Spread: 1e12 * (1 - 1/4096).
    let mut values = vec![0f32; 4096];
    values[0] = 1e6;
    let tile = measure(InstructionSet::best(), Narrow::F32, &f32_bytes(&values));
    close(tile.spread, 1e12 * (1.0 - 1.0 / 4096.0));
    assert_eq!(tile.zeros, 4095);
}

#[test]
fn equal_elements_have_no_spread() {
    let tile = measure(
        InstructionSet::best(),
        Narrow::F32,
        &f32_bytes(&[0.1; 1000]),
    );
    assert_eq!(tile.spread, 0.0);
    assert_eq!(
        measure_f64(InstructionSet::best(), &[0.1; 1000]).spread,
        0.0
    );
}

#[test]
fn sums_that_cancel_keep_what_is_left() {
    let values = [1e30f32, 1.0, -1e30];
    let tile = measure(InstructionSet::best(), Narrow::F32, &f32_bytes(&values));
    assert_eq!(tile.sum.value(), 1.0);
    // 16 apart, so that all stand in one lane.
    let mut values = [0f64; 48];
    (values[0], values[16], values[32]) = (1e16, 1.0, -1e16);
    assert_eq!(
        measure_f64(InstructionSet::best(), &values).sum.value(),
        1.0
    );
}

#[test]
fn squares_leave_the_range_of_an_f64_without_harm() {
    let tile = measure_f64(InstructionSet::best(), &[1e300, -1e300, 1.7e308, -1.7e308]);
    assert_eq!((tile.exponent, tile.sum.value()), (600, 0.0));
    // Two of 1.7e308 and two of 1e300, as multiples of 2^600 = 4.149515568880993e180.
    let scaled = 1.7e308 / 4.149_515_568_880_993e180;
    close(tile.spread, 2.0 * scaled * scaled);

    let tile = measure_f64(InstructionSet::best(), &[5e-324, 0.0]);
    assert_eq!(tile.exponent, -600);
    // A distance of half of 2^-1074 for both, times 2^600.
    assert_eq!(tile.spread, 2.0 * slow::power_of_two(-475).powi(2));
}

#[test]
fn what_is_not_finite_is_counted_and_left_out() {
    let values = [1.0, f32::NAN, -0.0, f32::INFINITY, f32::NEG_INFINITY, -3.0];
    let tile = measure(InstructionSet::best(), Narrow::F32, &f32_bytes(&values));
    assert_eq!(
        (tile.finite, tile.zeros, tile.nans, tile.infs),
        (3, 1, 1, 2)
    );
    assert_eq!(tile.first_nonfinite, Some(1));
    assert_eq!((tile.min, tile.max), (-3.0, 1.0));
    assert_eq!((tile.sum.value(), tile.absolute.value()), (-2.0, 4.0));
    let none = measure_f64(InstructionSet::best(), &[f64::NAN, f64::INFINITY]);
    assert_eq!((none.finite, none.nans, none.infs), (0, 1, 1));
}

#[test]
fn the_negative_zero_is_zero() {
    let tile = measure(
        InstructionSet::best(),
        Narrow::F32,
        &f32_bytes(&[-0.0, -0.0]),
    );
    assert_eq!((tile.min.to_bits(), tile.max.to_bits()), (0, 0));
    assert_eq!(tile.zeros, 2);
}

#[test]
fn long_integers_are_exact() {
    let tile = measure_i64(&[i64::MIN, i64::MAX, 0]);
    assert_eq!(
        tile.integers,
        Some((i128::from(i64::MIN), i128::from(i64::MAX)))
    );
    assert_eq!((tile.sum.value(), tile.zeros), (-1.0, 1));
    close(tile.spread, 2f64.powi(127));
    // 2^60 + {0, 1, 2, 3}, of which an f64 sees nothing.
    let values: Vec<i64> = (0..4096).map(|i| (1 << 60) + i % 4).collect();
    close(measure_i64(&values).spread / 4096.0, 1.25);
    let shifted = [u64::MAX, 0].map(|value| value.wrapping_sub(1 << 63) as i64);
    let tile = measure_u64(&shifted);
    assert_eq!(tile.integers, Some((0, i128::from(u64::MAX))));
    assert_eq!(tile.zeros, 1);
}

//! Counts how often each byte, or each pattern of 16 bits, occurs.

use super::InstructionSet;

/// One counter for each pattern of 16 bits: 256 KiB, which stay in the second cache.
pub type Halves = [u32; 1 << 16];

/// Adds to `counts[b]` how often byte `b` occurs in `bytes`.
pub fn count_bytes(bytes: &[u8], counts: &mut [u64; 256]) {
    // Equal neighbours would wait for each other's store, so each of eight has its own table.
    let mut tables = [[0u32; 256]; 8];
    // Shorter than a table's range, so that no counter wraps.
    for part in bytes.chunks(1 << 24) {
        let mut words = part.chunks_exact(8);
        for word in &mut words {
            for (table, &byte) in tables.iter_mut().zip(word) {
                table[usize::from(byte)] += 1;
            }
        }
        for &byte in words.remainder() {
            tables[0][usize::from(byte)] += 1;
        }
        for table in &mut tables {
            for (total, count) in counts.iter_mut().zip(table) {
                *total += u64::from(std::mem::take(count));
            }
        }
    }
}

/// Counts elements of 16 bits; fewer than 2^32 between two resets.
pub fn count_halves(bytes: &[u8], counts: &mut Halves) {
    for &half in bytes.as_chunks::<2>().0 {
        counts[usize::from(u16::from_le_bytes(half))] += 1;
    }
}

/// Counts elements of 32 bits by their upper halves; fewer than 2^32 between two resets.
pub fn count_upper_halves(bytes: &[u8], counts: &mut Halves) {
    for &[_, _, low, high] in bytes.as_chunks::<4>().0 {
        counts[usize::from(u16::from_le_bytes([low, high]))] += 1;
    }
}

/// What a run of `f32` has beside their upper halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lower {
    /// Bits that are set in some element.
    pub any: u32,
    /// Whether an element is subnormal: not zero, with an exponent of zero.
    pub has_subnormals: bool,
}

/// Looks at little-endian `f32`.
pub fn lower(set: InstructionSet, bytes: &[u8]) -> Lower {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        fn avx512(bytes: &[u8]) -> Lower {
            lower_of(bytes)
        }
        #[target_feature(enable = "avx2")]
        fn avx2(bytes: &[u8]) -> Lower {
            lower_of(bytes)
        }
        match set.or_best() {
            // SAFETY (both): `or_best` gives no set that the machine lacks.
            InstructionSet::Avx512 => return unsafe { avx512(bytes) },
            InstructionSet::Avx2 => return unsafe { avx2(bytes) },
            InstructionSet::Baseline => {}
        }
    }
    let _ = set;
    lower_of(bytes)
}

#[inline(always)]
fn lower_of(bytes: &[u8]) -> Lower {
    const LARGEST_SUBNORMAL: u32 = (1 << 23) - 1;
    let mut any = 0;
    // Zero, less 1, is the largest.
    let mut least = u32::MAX;
    for &word in bytes.as_chunks::<4>().0 {
        let bits = u32::from_le_bytes(word);
        any |= bits;
        least = least.min((bits & (u32::MAX >> 1)).wrapping_sub(1));
    }
    Lower {
        any,
        has_subnormals: least < LARGEST_SUBNORMAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_counted_once() {
        let bytes: Vec<u8> = (0..1_003u32).map(|i| (i * i % 251) as u8).collect();
        let mut counts = [0; 256];
        count_bytes(&bytes, &mut counts);
        for byte in 0..=255u8 {
            let expected = bytes.iter().filter(|&&b| b == byte).count() as u64;
            assert_eq!(counts[usize::from(byte)], expected);
        }
    }

    #[test]
    fn halves_are_counted_wherever_they_stand() {
        let bytes: Vec<u8> = (0..40_001u32).map(|i| (i * i % 253) as u8).collect();
        let mut counts = Box::new([0; 1 << 16]);
        let mut upper = Box::new([0; 1 << 16]);
        count_halves(&bytes, &mut counts);
        count_upper_halves(&bytes, &mut upper);
        let halves: Vec<u16> = (bytes.chunks_exact(2))
            .map(|half| u16::from_le_bytes([half[0], half[1]]))
            .collect();
        let mut expected = [Box::new([0; 1 << 16]), Box::new([0; 1 << 16])];
        for (index, &half) in halves.iter().enumerate() {
            expected[0][usize::from(half)] += 1;
            expected[1][usize::from(half)] += (index % 2) as u32;
        }
        assert!(counts == expected[0] && upper == expected[1]);
    }

    #[test]
    fn subnormals_are_seen_with_any_instructions() {
        let least = f32::from_bits(1);
        let largest = f32::from_bits((1 << 23) - 1);
        let normal = f32::MIN_POSITIVE;
        for (odd, expected) in [
            (0.0, false),
            (-0.0, false),
            (normal, false),
            (-normal, false),
            (f32::NAN, false),
            (least, true),
            (-least, true),
            (largest, true),
            (-largest, true),
        ] {
            for place in [0, 15, 70, 99] {
                let mut values = [1.5f32; 100];
                values[place] = odd;
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                for set in InstructionSet::available() {
                    let found = lower(set, &bytes);
                    assert_eq!(found.has_subnormals, expected, "{set:?} {odd:e}");
                    assert_eq!(found.any, odd.to_bits() | 1.5f32.to_bits());
                }
            }
        }
    }
}

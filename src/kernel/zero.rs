//! Zeros in the place of the elements that matter least.
//!
//! An element's key is its bits without the sign; a smaller key is a smaller magnitude in every
//! IEEE-like type. What is zeroed becomes positive zero.

use super::{Inlined, Path, run};

macro_rules! width {
    ($flag:ident, $below:ident, $group:ident, $groups:ident, $word:ty, $bytes:literal) => {
        /// For each element of `bytes`, little-endian: 1 if it is a zero of either sign, else 0.
        fn $flag(path: Path, bytes: &[u8], flags: &mut [u8]) {
            let work = || {
                let elements = bytes.as_chunks::<$bytes>().0;
                for (flag, element) in flags.iter_mut().zip(elements) {
                    let bits = <$word>::from_le_bytes(*element);
                    *flag = u8::from(bits & (<$word>::MAX >> 1) == 0);
                }
            };
            run(path, Inlined(work));
        }

        /// Zeroes the elements of `bytes`, little-endian, whose key is below `limit`.
        fn $below(path: Path, bytes: &mut [u8], limit: $word) {
            let work = || {
                for element in bytes.as_chunks_mut::<$bytes>().0 {
                    let bits = <$word>::from_le_bytes(*element);
                    let is_below = bits & (<$word>::MAX >> 1) < limit;
                    *element = (if is_below { 0 } else { bits }).to_le_bytes();
                }
            };
            run(path, Inlined(work));
        }

        /// Zeroes the `zeroed` smallest of each `of` elements of `bytes`, little-endian; of
        /// equal ones the first.
        fn $groups(path: Path, bytes: &mut [u8], of: usize, zeroed: u32) {
            let work = || match of {
                2 => $group::<2>(bytes, zeroed),
                4 => $group::<4>(bytes, zeroed),
                8 => $group::<8>(bytes, zeroed),
                16 => $group::<16>(bytes, zeroed),
                _ => any_group::<$bytes>(bytes, of, zeroed),
            };
            run(path, Inlined(work));
        }

        #[inline(always)]
        fn $group<const M: usize>(bytes: &mut [u8], zeroed: u32) {
            for group in bytes.as_chunks_mut::<$bytes>().0.as_chunks_mut::<M>().0 {
                let bits = group.map(<$word>::from_le_bytes);
                let keys = bits.map(|bits| bits & (<$word>::MAX >> 1));
                let mut ranks = [0 as $word; M];
                for j in 0..M {
                    for i in 0..M {
                        let is_before = if j < i {
                            keys[j] <= keys[i]
                        } else {
                            keys[j] < keys[i]
                        };
                        ranks[i] += <$word>::from(is_before);
                    }
                }
                for i in 0..M {
                    let is_small = ranks[i] < zeroed as $word;
                    group[i] = (if is_small { 0 } else { bits[i] }).to_le_bytes();
                }
            }
        }
    };
}

width!(flags_8, below_8, group_8, groups_8, u8, 1);
width!(flags_16, below_16, group_16, groups_16, u16, 2);
width!(flags_32, below_32, group_32, groups_32, u32, 4);
width!(flags_64, below_64, group_64, groups_64, u64, 8);

/// As the others, for groups of any length.
fn any_group<const BYTES: usize>(bytes: &mut [u8], of: usize, zeroed: u32) {
    let (elements, _) = bytes.as_chunks_mut::<BYTES>();
    let mut order: Vec<usize> = Vec::with_capacity(of);
    for group in elements.chunks_exact_mut(of.max(1)) {
        order.clear();
        order.extend(0..group.len());
        order.sort_by_key(|&index| (key(&group[index]), index));
        for &index in order.iter().take(zeroed as usize) {
            group[index] = [0; BYTES];
        }
    }
}

/// The bits of a little-endian element without the sign.
fn key(element: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..element.len()].copy_from_slice(element);
    let sign = 1u64 << (element.len() * 8 - 1);
    u64::from_le_bytes(word) & !sign
}

/// Zeroes the elements of `width` bytes whose key is below `limit`.
pub fn below(path: Path, width: u32, bytes: &mut [u8], limit: u64) {
    // A limit above every key of the type is above all.
    match width {
        1 => below_8(path, bytes, limit.min(0x80) as u8),
        2 => below_16(path, bytes, limit.min(0x8000) as u16),
        4 => below_32(path, bytes, limit.min(0x8000_0000) as u32),
        _ => below_64(path, bytes, limit),
    }
}

/// Zeroes the `zeroed` smallest of each `of` elements of `width` bytes; of equal ones the first.
pub fn groups(path: Path, width: u32, bytes: &mut [u8], of: usize, zeroed: u32) {
    match width {
        1 => groups_8(path, bytes, of, zeroed),
        2 => groups_16(path, bytes, of, zeroed),
        4 => groups_32(path, bytes, of, zeroed),
        _ => groups_64(path, bytes, of, zeroed),
    }
}

/// For each element of `width` bytes, 1 if it is a zero of either sign, else 0.
pub fn flags(path: Path, width: u32, bytes: &[u8], flags: &mut [u8]) {
    match width {
        1 => flags_8(path, bytes, flags),
        2 => flags_16(path, bytes, flags),
        4 => flags_32(path, bytes, flags),
        _ => flags_64(path, bytes, flags),
    }
}

/// How many of the groups of `of` flags have at least `zeros` that are 1; `of` is at most 1024.
pub fn count_flagged(path: Path, flags: &[u8], of: usize, zeros: usize) -> u64 {
    match of {
        1 => count_groups::<1>(path, flags, zeros),
        2 => count_groups::<2>(path, flags, zeros),
        4 => count_groups::<4>(path, flags, zeros),
        8 => count_groups::<8>(path, flags, zeros),
        16 => count_groups::<16>(path, flags, zeros),
        _ => {
            let groups = flags.chunks_exact(of.max(1));
            let sum = |group: &[u8]| group.iter().map(|&flag| usize::from(flag)).sum::<usize>();
            groups.filter(|group| sum(group) >= zeros).count() as u64
        }
    }
}

fn count_groups<const M: usize>(path: Path, flags: &[u8], zeros: usize) -> u64 {
    let work = || {
        let mut count = 0u64;
        // Sums of at most 16, of at most 4096 groups at once.
        for some in flags.as_chunks::<M>().0.chunks(4096) {
            let mut conforming = 0u16;
            for group in some {
                let sum = group.iter().sum::<u8>();
                conforming += u16::from(usize::from(sum) >= zeros);
            }
            count += u64::from(conforming);
        }
        count
    };
    run(path, Inlined(work))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the groups of `of` elements of `width` bytes have at least `zeros` zeros.
    fn count_conforming(width: u32, bytes: &[u8], of: usize, zeros: usize) -> u64 {
        let element = width as usize;
        let groups = bytes.chunks_exact((of * element).max(1));
        let conforms = |group: &&[u8]| {
            let elements = group.chunks_exact(element);
            elements.filter(|element| key(element) == 0).count() >= zeros
        };
        groups.filter(conforms).count() as u64
    }

    fn bytes(width: usize) -> Vec<u8> {
        let random =
            (0..240 * width as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8);
        let mut bytes: Vec<u8> = random.collect();
        // Equal neighbours, zeros of both signs.
        bytes.copy_within(0..width * 8, width * 8);
        bytes[width * 20..width * 23].fill(0);
        bytes[width * 22 - 1] = 0x80;
        bytes
    }

    #[test]
    fn what_is_below_is_zeroed_and_nothing_else() {
        for width in [1usize, 2, 4, 8] {
            let before = bytes(width);
            let limit = key(&before[width * 5..][..width]);
            for path in [Path::Fast, Path::Portable] {
                let mut after = before.clone();
                below(path, width as u32, &mut after, limit);
                for (old, new) in before.chunks(width).zip(after.chunks(width)) {
                    let expected = if key(old) < limit {
                        vec![0; width]
                    } else {
                        old.to_vec()
                    };
                    assert_eq!(new, expected);
                }
                let mut all = before.clone();
                below(path, width as u32, &mut all, u64::MAX >> 1);
                assert!(width == 8 || all.iter().all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn flags_say_what_is_zero_and_groups_of_them_conform() {
        for width in [1usize, 2, 4, 8] {
            let bytes = bytes(width);
            for path in [Path::Fast, Path::Portable] {
                let mut found = vec![7; 240];
                flags(path, width as u32, &bytes, &mut found);
                let expected = bytes
                    .chunks(width)
                    .map(|element| u8::from(key(element) == 0));
                assert_eq!(found, expected.collect::<Vec<u8>>());
                for (of, zeros) in [(2, 1), (4, 2), (8, 3), (16, 1), (16, 16), (3, 2), (5, 0)] {
                    let slow = count_conforming(width as u32, &bytes, of, zeros);
                    assert_eq!(count_flagged(path, &found, of, zeros), slow, "{of} {zeros}");
                }
            }
        }
    }

    #[test]
    fn groups_lose_their_smallest_whatever_the_path() {
        for width in [1usize, 2, 4, 8] {
            for (of, zeroed) in [
                (2, 1),
                (4, 2),
                (4, 3),
                (8, 4),
                (16, 5),
                (3, 1),
                (5, 5),
                (4, 0),
            ] {
                let before = bytes(width);
                let (mut fast, mut portable) = (before.clone(), before.clone());
                groups(Path::Fast, width as u32, &mut fast, of, zeroed);
                groups(Path::Portable, width as u32, &mut portable, of, zeroed);
                assert_eq!(fast, portable);
                let mut slow = before.clone();
                match width {
                    1 => any_group::<1>(&mut slow, of, zeroed),
                    2 => any_group::<2>(&mut slow, of, zeroed),
                    4 => any_group::<4>(&mut slow, of, zeroed),
                    _ => any_group::<8>(&mut slow, of, zeroed),
                }
                assert_eq!(fast, slow, "{width} {of} {zeroed}");
                let whole = 240 / of as u64;
                assert_eq!(
                    count_conforming(width as u32, &fast, of, zeroed as usize),
                    whole
                );
            }
        }
    }
}

//! Counts how often each byte occurs.

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
}

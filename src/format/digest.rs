//! Hashes by which people name model files: whole files, or the part that does not change
//! when metadata does.

use crate::error::Result;
use crate::io::{Cursor, Source};
use crate::parallel::Progress;
use sha2::{Digest, Sha256};

/// Bytes hashed at once.
const BUFFER: u64 = 256 << 10;

/// Where AutoV1 begins, and how long it is.
const PART: (u64, u64) = (0x10_0000, 0x1_0000);

/// SHA-256 of the whole source, in lower-case hex.
pub fn sha256(source: &Source, progress: &dyn Progress) -> Result<String> {
    let mut state = Sha256::new();
    feed(source, progress, |bytes| state.update(bytes))?;
    Ok(hex(&state.finalize()))
}

/// SHA-256 of the bytes after a safetensors header (AutoV3, `sshs_model_hash`); `None` for a
/// file that has no such header.
pub fn sha256_of_data(source: &Source, progress: &dyn Progress) -> Result<Option<String>> {
    let head = source.read_prefix(0, 9)?;
    if head.get(8) != Some(&b'{') {
        return Ok(None);
    }
    let header = Cursor::new(source, 0).u64()?;
    let start = header.saturating_add(8);
    match source.len().checked_sub(start) {
        Some(len) => sha256(&source.slice(start, len)?, progress).map(Some),
        None => Ok(None),
    }
}

/// SHA-256 of 64 KiB from the first MiB on (AutoV1), or of what there is of them.
pub fn sha256_of_part(source: &Source) -> Result<String> {
    let bytes = source.read_prefix(PART.0, PART.1)?;
    Ok(hex(&Sha256::digest(bytes)))
}

/// CRC-32 of the whole source, as IEEE has it, in lower-case hex.
pub fn crc32(source: &Source, progress: &dyn Progress) -> Result<String> {
    let mut state = crc32fast::Hasher::new();
    feed(source, progress, |bytes| state.update(bytes))?;
    Ok(format!("{:08x}", state.finalize()))
}

fn feed(source: &Source, progress: &dyn Progress, mut take: impl FnMut(&[u8])) -> Result<()> {
    let mut buffer = vec![0; usize::try_from(source.len().min(BUFFER)).unwrap_or(0)];
    let mut offset = 0u64;
    while offset < source.len() {
        let count = source.len().saturating_sub(offset).min(BUFFER);
        let part = buffer.get_mut(..usize::try_from(count).unwrap_or(0));
        let part = part.unwrap_or_default();
        source.read_exact_at(offset, part)?;
        take(part);
        progress.add(count);
        offset = offset.saturating_add(count);
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::Silent;

    /// Expected values: `hashlib.sha256` and `zlib.crc32`.
    #[test]
    fn agrees_with_python() {
        let source = Source::from_bytes("x", b"abc".to_vec());
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&source, &Silent).unwrap(), sha);
        assert_eq!(crc32(&source, &Silent).unwrap(), "352441c2");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256_of_part(&source).unwrap(), empty);
        assert_eq!(sha256_of_data(&source, &Silent).unwrap(), None);
        let file = [&2u64.to_le_bytes()[..], b"{}abc"].concat();
        let found = sha256_of_data(&Source::from_bytes("x", file), &Silent).unwrap();
        assert_eq!(found.as_deref(), Some(sha));
    }
}

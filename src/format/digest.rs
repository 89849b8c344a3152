//! Hashes by which people name model files: whole files, or the part that does not change
//! when metadata does.

use crate::error::Result;
use crate::io::{Cursor, Source};
use crate::parallel::{self, Progress};
use sha2::{Digest, Sha256};

/// Bytes hashed at once.
const BUFFER: u64 = 256 << 10;

/// Where AutoV1 begins, and how long it is.
const PART: (u64, u64) = (0x10_0000, 0x1_0000);

/// Every hash by which a file is looked up, in lower-case hex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileHashes {
    /// SHA-256 of the file: the name of a blob on the Hugging Face Hub, and, cut to 10 digits,
    /// AutoV2.
    pub sha256: String,
    /// BLAKE3 of the file.
    pub blake3: String,
    /// CRC-32 of the file, as IEEE has it.
    pub crc32: String,
    /// SHA-256 of 64 KiB from the first MiB on, or of what there is of them; cut to 8 digits,
    /// AutoV1.
    pub sha256_of_part: String,
    /// SHA-256 of the bytes after a safetensors header (`sshs_model_hash`, ModelSpec's
    /// `hash_sha256`); cut to 12 digits, AutoV3. `None` for other files.
    pub sha256_of_data: Option<String>,
}

impl FileHashes {
    /// AutoV1, the oldest short hash of the Stable Diffusion web UI.
    pub fn auto_v1(&self) -> Option<&str> {
        self.sha256_of_part.get(..8)
    }

    /// AutoV2, its `Model hash`.
    pub fn auto_v2(&self) -> Option<&str> {
        self.sha256.get(..10)
    }

    /// AutoV3, its `Lora hashes`.
    pub fn auto_v3(&self) -> Option<&str> {
        self.sha256_of_data.as_deref()?.get(..12)
    }
}

/// What one pass over a file computes.
#[derive(Clone, Copy)]
enum Share {
    All,
    /// About half of the work, for one of two threads.
    Sha256,
    Others,
}

/// All hashes of each of `sources`, in one pass over each; in two at once, by as many threads,
/// where there are more threads than files.
///
/// Errors: that of the first file that cannot be read.
pub fn hash_files(
    sources: &[Source],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<FileHashes>> {
    let shares: &[Share] = match threads > sources.len() {
        true => &[Share::Sha256, Share::Others],
        false => &[Share::All],
    };
    let jobs: Vec<(&Source, Share)> = sources
        .iter()
        .flat_map(|source| shares.iter().map(move |&share| (source, share)))
        .collect();
    let work = |(): &mut (), job: usize| match jobs.get(job) {
        Some((source, share)) => hash_share(source, *share, progress),
        None => Ok(FileHashes::default()),
    };
    let found = parallel::map(threads, jobs.len(), || (), work)?;
    Ok(found.chunks(shares.len()).map(join).collect())
}

/// One file's hashes from those of its shares, each of which has some.
fn join(shares: &[FileHashes]) -> FileHashes {
    let mut joined = FileHashes::default();
    for share in shares {
        joined.sha256 += &share.sha256;
        joined.blake3 += &share.blake3;
        joined.crc32 += &share.crc32;
        joined.sha256_of_part += &share.sha256_of_part;
        joined.sha256_of_data = joined
            .sha256_of_data
            .or_else(|| share.sha256_of_data.clone());
    }
    joined
}

fn hash_share(source: &Source, share: Share, progress: &dyn Progress) -> Result<FileHashes> {
    let has_sha256 = matches!(share, Share::All | Share::Sha256);
    let has_others = matches!(share, Share::All | Share::Others);
    let data_start = match has_others {
        true => data_start(source)?,
        false => None,
    };
    let mut sha256 = Sha256::new();
    let mut of_data = Sha256::new();
    let mut blake3 = blake3::Hasher::new();
    let mut crc32 = crc32fast::Hasher::new();
    feed(source, |offset, bytes| {
        if has_sha256 {
            sha256.update(bytes);
            progress.add(bytes.len() as u64);
        }
        if has_others {
            blake3.update(bytes);
            crc32.update(bytes);
        }
        if let Some(start) = data_start {
            let skipped = usize::try_from(start.saturating_sub(offset)).unwrap_or(usize::MAX);
            of_data.update(bytes.get(skipped..).unwrap_or_default());
        }
    })?;
    let mut hashes = FileHashes::default();
    if has_sha256 {
        hashes.sha256 = hex(&sha256.finalize());
        hashes.sha256_of_part = sha256_of_part(source)?;
    }
    if has_others {
        hashes.blake3 = blake3.finalize().to_string();
        hashes.crc32 = format!("{:08x}", crc32.finalize());
        hashes.sha256_of_data = data_start.map(|_| hex(&of_data.finalize()));
    }
    Ok(hashes)
}

/// SHA-256 of the whole source, in lower-case hex.
pub fn sha256(source: &Source, progress: &dyn Progress) -> Result<String> {
    let mut state = Sha256::new();
    feed(source, |_, bytes| {
        state.update(bytes);
        progress.add(bytes.len() as u64);
    })?;
    Ok(hex(&state.finalize()))
}

/// BLAKE3 of the whole source, in lower-case hex.
pub fn blake3(source: &Source, progress: &dyn Progress) -> Result<String> {
    let mut state = blake3::Hasher::new();
    feed(source, |_, bytes| {
        state.update(bytes);
        progress.add(bytes.len() as u64);
    })?;
    Ok(state.finalize().to_string())
}

/// SHA-256 of the bytes after a safetensors header (AutoV3, `sshs_model_hash`); `None` for a
/// file that has no such header.
pub fn sha256_of_data(source: &Source, progress: &dyn Progress) -> Result<Option<String>> {
    let Some(start) = data_start(source)? else {
        return Ok(None);
    };
    let len = source.len().saturating_sub(start);
    sha256(&source.slice(start, len)?, progress).map(Some)
}

/// Where the data of a safetensors file begins; `None` for another file.
fn data_start(source: &Source) -> Result<Option<u64>> {
    let head = source.read_prefix(0, 9)?;
    if head.get(8) != Some(&b'{') {
        return Ok(None);
    }
    let header = Cursor::new(source, 0).u64()?;
    let start = header.saturating_add(8);
    Ok(Some(start).filter(|&start| start <= source.len()))
}

/// SHA-256 of 64 KiB from the first MiB on (AutoV1), or of what there is of them.
pub fn sha256_of_part(source: &Source) -> Result<String> {
    let bytes = source.read_prefix(PART.0, PART.1)?;
    Ok(hex(&Sha256::digest(bytes)))
}

/// CRC-32 of the whole source, as IEEE has it, in lower-case hex.
pub fn crc32(source: &Source, progress: &dyn Progress) -> Result<String> {
    let mut state = crc32fast::Hasher::new();
    feed(source, |_, bytes| {
        state.update(bytes);
        progress.add(bytes.len() as u64);
    })?;
    Ok(format!("{:08x}", state.finalize()))
}

/// The hash that stands in a file name by PyTorch hub's convention, `resnet50-0676ba61.pth`: a
/// prefix of the file's SHA-256, of at least 8 digits.
///
/// Source: `torch.hub.HASH_REGEX`, which takes fewer too; `-00001-of-00002.` is no hash.
pub fn hash_in_name(file: &str) -> Option<&str> {
    let (stem, _) = file.rsplit_once('.')?;
    let (_, hash) = stem.rsplit_once('-')?;
    let is_hash = hash.len() >= 8 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_hash.then_some(hash)
}

fn feed(source: &Source, mut take: impl FnMut(u64, &[u8])) -> Result<()> {
    let mut buffer = vec![0; usize::try_from(source.len().min(BUFFER)).unwrap_or(0)];
    let mut offset = 0u64;
    while offset < source.len() {
        let count = source.len().saturating_sub(offset).min(BUFFER);
        let part = buffer.get_mut(..usize::try_from(count).unwrap_or(0));
        let part = part.unwrap_or_default();
        source.read_exact_at(offset, part)?;
        take(offset, part);
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

    /// BLAKE3 of "abc" as `b3sum` prints it.
    #[test]
    fn one_pass_gives_what_each_hash_gives_alone() {
        let long: Vec<u8> = (0..3 << 20).map(|i: u32| (i % 251) as u8).collect();
        let header = [&6u64.to_le_bytes()[..], b"{}    "].concat();
        let sources = [
            Source::from_bytes("a", b"abc".to_vec()),
            Source::from_bytes("b", [header, long].concat()),
            Source::from_bytes("c", Vec::new()),
        ];
        for threads in [1, 3, 4, 9] {
            let found = hash_files(&sources, threads, &Silent).unwrap();
            assert_eq!(found.len(), 3);
            for (source, found) in sources.iter().zip(found) {
                let expected = FileHashes {
                    sha256: sha256(source, &Silent).unwrap(),
                    blake3: blake3(source, &Silent).unwrap(),
                    crc32: crc32(source, &Silent).unwrap(),
                    sha256_of_part: sha256_of_part(source).unwrap(),
                    sha256_of_data: sha256_of_data(source, &Silent).unwrap(),
                };
                assert_eq!(found, expected, "{} on {threads}", source.name());
            }
        }
        let abc = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        assert_eq!(blake3(&sources[0], &Silent).unwrap(), abc);
    }

    #[test]
    fn names_carry_hashes_of_eight_digits_or_more() {
        assert_eq!(hash_in_name("resnet50-0676ba61.pth"), Some("0676ba61"));
        assert_eq!(hash_in_name("model-00001-of-00002.bin"), None);
        assert_eq!(hash_in_name("yolo-model.pt"), None);
        assert_eq!(hash_in_name("abc"), None);
    }
}

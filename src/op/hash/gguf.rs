//! The hashes of llama.cpp's `gguf-hash`: of each tensor's bytes, and of all of them one after
//! another in file order. Names, types and shapes are not in them.
//!
//! Source: llama.cpp, `examples/gguf-hash/gguf-hash.cpp`.

use crate::error::Result;
use crate::model::Checkpoint;
use crate::parallel::Progress;
use crate::stream::{Reader, Scratch};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::Xxh3;
use xxhash_rust::xxh64::Xxh64;

/// Bytes that are read at once.
const CHUNK: u64 = 256 << 10;

/// What the UUID's SHA-1 starts with: `ef001206-dadc-5f6d-a15f-3359e577d4e5`.
const UUID_NAMESPACE: [u8; 16] = [
    0xef, 0x00, 0x12, 0x06, 0xda, 0xdc, 0x5f, 0x6d, 0xa1, 0x5f, 0x33, 0x59, 0xe5, 0x77, 0xd4, 0xe5,
];

/// One of the hashes that `gguf-hash` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// XXH64 with seed 0: its default.
    Xxh64,
    /// XXH3, 64 bits.
    Xxh3,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// A UUID of version 5 over all bytes; tensors have none.
    Uuid,
}

impl Algorithm {
    /// The word for it in `gguf-hash`'s lines.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Xxh64 => "xxh64",
            Algorithm::Xxh3 => "xxh3",
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha256 => "sha256",
            Algorithm::Uuid => "uuid",
        }
    }
}

/// Hashes as `gguf-hash` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GgufHashes {
    /// For each tensor in file order its name and its hashes, in the order they were asked
    /// for.
    pub tensors: Vec<(String, Vec<(Algorithm, String)>)>,
    /// The hashes of all of them.
    pub model: Vec<(Algorithm, String)>,
}

/// Hashes every tensor and all of them, in one pass.
///
/// Errors: those of reading a tensor.
pub fn gguf_hashes(
    checkpoint: &Checkpoint,
    algorithms: &[Algorithm],
    progress: &dyn Progress,
) -> Result<GgufHashes> {
    let states = || -> Vec<State> { algorithms.iter().map(|&a| State::new(a)).collect() };
    let of_tensors = |algorithm: &&Algorithm| **algorithm != Algorithm::Uuid;
    let mut model = states();
    let mut hashes = GgufHashes::default();
    let mut buffer = Vec::new();
    let mut scratch = Scratch::default();
    for tensor in &checkpoint.tensors {
        let algorithms = algorithms.iter().filter(of_tensors);
        let mut own: Vec<State> = algorithms.map(|&a| State::new(a)).collect();
        let reader = Reader::open(tensor)?;
        let granularity = reader.granularity().max(1);
        let bytes = tensor.dtype.byte_len(granularity).unwrap_or(1).max(1);
        let step = (CHUNK / bytes).max(1).saturating_mul(granularity);
        let mut first = 0u64;
        while first < tensor.elements() {
            let count = step.min(tensor.elements().saturating_sub(first));
            reader.read(first, count, &mut buffer, &mut scratch)?;
            for state in own.iter_mut().chain(&mut model) {
                state.update(&buffer);
            }
            progress.add(buffer.len() as u64);
            first = first.saturating_add(count);
        }
        let own = own.into_iter().map(State::finish).collect();
        hashes.tensors.push((tensor.name.clone(), own));
    }
    hashes.model = model.into_iter().map(State::finish).collect();
    Ok(hashes)
}

enum State {
    Xxh64(Box<Xxh64>),
    Xxh3(Box<Xxh3>),
    Sha1(Sha1),
    Sha256(Sha256),
    Uuid(Sha1),
}

impl State {
    fn new(algorithm: Algorithm) -> State {
        match algorithm {
            Algorithm::Xxh64 => State::Xxh64(Box::new(Xxh64::new(0))),
            Algorithm::Xxh3 => State::Xxh3(Box::new(Xxh3::new())),
            Algorithm::Sha1 => State::Sha1(Sha1::new()),
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Uuid => State::Uuid(Sha1::new_with_prefix(UUID_NAMESPACE)),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            State::Xxh64(state) => state.update(bytes),
            State::Xxh3(state) => state.update(bytes),
            State::Sha1(state) | State::Uuid(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
        }
    }

    fn finish(self) -> (Algorithm, String) {
        match self {
            State::Xxh64(state) => (Algorithm::Xxh64, format!("{:016x}", state.digest())),
            State::Xxh3(state) => (Algorithm::Xxh3, format!("{:016x}", state.digest())),
            State::Sha1(state) => (Algorithm::Sha1, hex(&state.finalize())),
            State::Sha256(state) => (Algorithm::Sha256, hex(&state.finalize())),
            State::Uuid(state) => (Algorithm::Uuid, uuid(&state.finalize())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first 16 bytes of a SHA-1 as a UUID of version 5 (RFC 9562).
fn uuid(sha1: &[u8]) -> String {
    let mut bytes = [0u8; 16];
    for (byte, &from) in bytes.iter_mut().zip(sha1) {
        *byte = from;
    }
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex(&bytes);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts: Vec<&str> = parts
        .into_iter()
        .filter_map(|part| text.get(part))
        .collect();
    parts.join("-")
}

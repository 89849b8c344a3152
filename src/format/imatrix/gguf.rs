//! The GGUF form: two tensors an entry.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::format::{self, ReadOptions};
use crate::io::Source;
use crate::limits;
use crate::model::{Checkpoint, Importance, ImportanceMatrix, Tensor, Value};
use crate::stream::Reader;
use std::collections::HashMap;

const DATASETS: &str = "imatrix.datasets";
const CHUNKS: &str = "imatrix.chunk_count";
const CHUNK_SIZE: &str = "imatrix.chunk_size";

const SUMS: &str = ".in_sum2";
const COUNTS: &str = ".counts";

pub(super) fn read(source: &Source) -> Result<ImportanceMatrix> {
    let checkpoint = format::read(source, &ReadOptions::SUMMARY)?;
    for key in [DATASETS, CHUNKS, CHUNK_SIZE] {
        if value(&checkpoint, key).is_none() {
            let error = Error::unsupported(format!(
                "is a GGUF file but no importance matrix: it has no `{key}`"
            ));
            return Err(error.with_hint("llama.cpp's `imatrix` makes one"));
        }
    }
    let counts = checkpoint.tensors.iter().filter_map(|tensor| {
        let name = tensor.name.strip_suffix(COUNTS)?;
        Some((name, tensor))
    });
    let mut counts: HashMap<&str, &Tensor> = counts.collect();
    let mut entries = Vec::new();
    for tensor in &checkpoint.tensors {
        let Some(name) = tensor.name.strip_suffix(SUMS) else {
            continue;
        };
        let counts = counts.remove(name).ok_or_else(|| {
            Error::malformed(format!("has no `{name}{COUNTS}`")).in_tensor(&tensor.name)
        })?;
        let importance = entry(tensor, counts).map_err(|error| error.in_tensor(name))?;
        entries.push((name.to_owned(), importance));
    }
    if let Some(name) = counts.keys().min() {
        return Err(Error::malformed(format!(
            "`{name}{COUNTS}` has no `{name}{SUMS}`"
        )));
    }
    if entries.is_empty() {
        return Err(Error::malformed(format!("has no tensors `NAME{SUMS}`")));
    }
    let chunks = value(&checkpoint, CHUNKS).and_then(Value::as_u64);
    Ok(ImportanceMatrix {
        path: String::new(),
        entries,
        datasets: datasets(value(&checkpoint, DATASETS)),
        chunks: chunks
            .and_then(|chunks| u32::try_from(chunks).ok())
            .unwrap_or(0),
    })
}

fn entry(sums: &Tensor, counts: &Tensor) -> Result<Importance> {
    for tensor in [sums, counts] {
        if tensor.dtype != DType::F32 {
            let found = tensor.dtype;
            return Err(Error::malformed(format!(
                "`{}` is {found}, not F32",
                tensor.name
            )));
        }
    }
    let matrices = counts.elements();
    if matrices > limits::IMPORTANCE_MATRICES {
        let allowed = limits::IMPORTANCE_MATRICES;
        let text = format!("has {matrices} matrices; the limit is {allowed}");
        return Err(Error::limit(text));
    }
    let bytes = Reader::open(counts)?.read_all()?;
    let counts = bytes.as_chunks::<4>().0.iter();
    Ok(Importance {
        sums: sums.clone(),
        counts: counts.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    })
}

fn value<'a>(checkpoint: &'a Checkpoint, key: &str) -> Option<&'a Value> {
    let mut entries = checkpoint.metadata.iter();
    entries
        .find(|(known, _)| known == key)
        .map(|(_, value)| value)
}

/// The texts' names; of very many the first.
fn datasets(value: Option<&Value>) -> Vec<String> {
    let values = match value {
        Some(Value::List(list)) => list.as_slice(),
        Some(Value::Array(array)) => array.first.as_slice(),
        _ => &[],
    };
    let texts = values.iter().filter_map(Value::as_text);
    texts.map(str::to_owned).collect()
}

//! The JSON of `ckpt hash`.

use super::Found;
use ckpt::format::digest::FileHashes;
use ckpt::op::hash::manifest::Relation;
use ckpt::op::hash::{Algorithm, GgufHashes, Row};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// The name and version of the layout.
pub(crate) const SCHEMA: &str = "ckpt.hash/1";

/// Everything about one path.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    schema: &'static str,
    path: &'a str,
    digest: Option<String>,
    tensors: Rows<'a>,
    files: Vec<FileEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Check<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gguf_hash: Option<GgufEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(found: &'a Found) -> Document<'a> {
        let hashes = found.hashes.as_ref();
        Document {
            schema: SCHEMA,
            path: &found.path,
            digest: hashes.and_then(|hashes| Some(hashes.root?.to_string())),
            tensors: Rows(hashes.map_or(&[], |hashes| &hashes.rows)),
            files: found.files.iter().map(FileEntry::new).collect(),
            check: found.comparison.as_ref().map(|comparison| Check {
                equal: comparison.equal,
                differing: Differing(&comparison.differing),
            }),
            gguf_hash: found.gguf.as_ref().map(GgufEntry::new),
            error: found.failure.as_ref().map(ToString::to_string),
        }
    }
}

struct Rows<'a>(&'a [Row]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|row| RowEntry {
            name: &row.name,
            dtype: row.dtype.to_string(),
            shape: row.shape.dimensions(),
            digest: row.digest.map(|digest| digest.to_string()),
        }))
    }
}

#[derive(Serialize)]
struct RowEntry<'a> {
    name: &'a str,
    dtype: String,
    shape: &'a [u64],
    digest: Option<String>,
}

#[derive(Serialize)]
struct FileEntry<'a> {
    file: &'a str,
    sha256: &'a str,
    autov1: Option<&'a str>,
    autov2: Option<&'a str>,
    autov3: Option<&'a str>,
    blake3: &'a str,
    crc32: &'a str,
    /// AutoV3 in full.
    sha256_of_data: Option<&'a str>,
}

impl<'a> FileEntry<'a> {
    fn new((file, hashes): &'a (String, FileHashes)) -> FileEntry<'a> {
        FileEntry {
            file,
            sha256: &hashes.sha256,
            autov1: hashes.auto_v1(),
            autov2: hashes.auto_v2(),
            autov3: hashes.auto_v3(),
            blake3: &hashes.blake3,
            crc32: &hashes.crc32,
            sha256_of_data: hashes.sha256_of_data.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Check<'a> {
    equal: u64,
    differing: Differing<'a>,
}

struct Differing<'a>(&'a [(String, Relation)]);

impl Serialize for Differing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            name: &'a str,
            is: &'static str,
        }
        serializer.collect_seq(self.0.iter().map(|(name, relation)| Entry {
            name,
            is: relation.name(),
        }))
    }
}

#[derive(Serialize)]
struct GgufEntry<'a> {
    model: BTreeMap<&'static str, &'a str>,
    tensors: Vec<GgufTensor<'a>>,
}

#[derive(Serialize)]
struct GgufTensor<'a> {
    name: &'a str,
    #[serde(flatten)]
    hashes: BTreeMap<&'static str, &'a str>,
}

impl<'a> GgufEntry<'a> {
    fn new(hashes: &'a GgufHashes) -> GgufEntry<'a> {
        let map = |hashes: &'a [(Algorithm, String)]| {
            let hashes = hashes.iter();
            hashes
                .map(|(algorithm, hash)| (algorithm.name(), &**hash))
                .collect()
        };
        let tensors = hashes.tensors.iter();
        GgufEntry {
            model: map(&hashes.model),
            tensors: tensors
                .map(|(name, hashes)| GgufTensor {
                    name,
                    hashes: map(hashes),
                })
                .collect(),
        }
    }
}

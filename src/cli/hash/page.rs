//! The page of `ckpt hash`: the manifest, a comparison, or the hashes of files.

use super::Found;
use ckpt::format::digest::{FileHashes, hash_in_name};
use ckpt::op::hash::manifest::{self, Comparison};
use ckpt::op::hash::{GgufHashes, Hashes};
use ckpt::report::{Block, Cell, Column, Facts, Kind, Page, Remark, Severity, Table};
use ckpt::text::escape;
use std::path::Path;

/// The manifest, or gguf-hash's lines.
pub(super) fn lines(found: &Found) -> Option<String> {
    if let Some(gguf) = &found.gguf {
        return Some(gguf_lines(&found.path, gguf));
    }
    let is_manifest = found.comparison.is_none() && found.files.is_empty();
    Some(manifest::write(
        found.hashes.as_ref().filter(|_| is_manifest)?,
    ))
}

/// `sha256    HEX  PATH:TENSOR` for each tensor, then a line for the model.
fn gguf_lines(path: &str, hashes: &GgufHashes) -> String {
    let mut out = String::new();
    let path = escape(path);
    for (name, of_tensor) in &hashes.tensors {
        for (algorithm, hash) in of_tensor {
            let name = escape(name);
            out += &format!("{:<8}  {hash}  {path}:{name}\n", algorithm.name());
        }
    }
    for (algorithm, hash) in &hashes.model {
        out += &format!("{:<8}  {hash}  {path}\n", algorithm.name());
    }
    out
}

pub(super) fn page(found: &Found) -> Page {
    let mut blocks = Vec::new();
    if let Some(gguf) = &found.gguf {
        blocks.push(Block::Table(gguf_table(gguf)));
    }
    if let Some(hashes) = &found.hashes {
        blocks.push(Block::Facts(root(hashes, found.comparison.as_ref())));
    }
    blocks.extend(
        found
            .files
            .iter()
            .map(|file| Block::Facts(file_facts(file))),
    );
    let mismatches = found.files.iter().filter_map(mismatch).collect::<Vec<_>>();
    if !mismatches.is_empty() {
        blocks.push(Block::Remarks(mismatches));
    }
    match (&found.hashes, &found.comparison) {
        (_, Some(comparison)) if comparison.differing.is_empty() => {}
        (_, Some(comparison)) => blocks.push(Block::Table(differing(comparison))),
        (Some(hashes), None) if found.files.is_empty() => {
            blocks.push(Block::Table(digests(hashes)));
        }
        _ => {}
    }
    Page {
        title: found.path.clone(),
        blocks,
    }
}

fn root(hashes: &Hashes, comparison: Option<&Comparison>) -> Facts {
    let root = hashes.root.map(|root| root.to_string());
    let mut entries = vec![
        (
            "digest".to_owned(),
            root.unwrap_or_else(|| "unknown".to_owned()),
        ),
        ("tensors".to_owned(), hashes.rows.len().to_string()),
    ];
    if let Some(comparison) = comparison {
        entries.push(("equal".to_owned(), comparison.equal.to_string()));
        entries.push((
            "differing".to_owned(),
            comparison.differing.len().to_string(),
        ));
    }
    Facts {
        title: String::new(),
        entries,
    }
}

fn file_facts((file, hashes): &(String, FileHashes)) -> Facts {
    let entries = [
        ("sha256", Some(&*hashes.sha256)),
        ("autov1", hashes.auto_v1()),
        ("autov2", hashes.auto_v2()),
        ("autov3", hashes.auto_v3()),
        ("data", hashes.sha256_of_data.as_deref()),
        ("blake3", Some(&*hashes.blake3)),
        ("crc32", Some(&*hashes.crc32)),
    ];
    let entries = entries.into_iter();
    Facts {
        title: file.clone(),
        entries: entries
            .filter_map(|(name, hash)| Some((name.to_owned(), hash?.to_owned())))
            .collect(),
    }
}

/// PyTorch hub puts the start of the SHA-256 into the file's name.
fn mismatch((file, hashes): &(String, FileHashes)) -> Option<Remark> {
    let name = Path::new(file).file_name()?.to_string_lossy();
    let said = hash_in_name(&name)?;
    let (severity, text) = match hashes.sha256.starts_with(said) {
        true => (
            Severity::Info,
            format!("`{name}`: the hash in its name is its own"),
        ),
        false => (
            Severity::Warning,
            format!(
                "`{name}`: `{said}` in its name is not the start of its SHA-256, as PyTorch hub's names have it"
            ),
        ),
    };
    Some(Remark { severity, text })
}

fn digests(hashes: &Hashes) -> Table {
    let cells = |row: &ckpt::op::hash::Row| {
        let digest = row.digest.map(|digest| digest.to_string());
        vec![
            Cell::text(&*row.name),
            Cell::text(row.dtype.to_string()),
            Cell::text(row.shape.to_string()),
            digest.map_or(Cell::Empty, Cell::Text),
        ]
    };
    Table {
        columns: vec![
            Column::new("name", Kind::Name),
            Column::new("dtype", Kind::Text),
            Column::new("shape", Kind::Text),
            Column::new("digest", Kind::Text),
        ],
        rows: hashes.rows.iter().map(cells).collect(),
    }
}

fn differing(comparison: &Comparison) -> Table {
    let rows = comparison.differing.iter();
    Table {
        columns: vec![
            Column::new("name", Kind::Name),
            Column::new("is", Kind::Text),
        ],
        rows: rows
            .map(|(name, relation)| vec![Cell::text(&**name), Cell::text(relation.name())])
            .collect(),
    }
}

fn gguf_table(hashes: &GgufHashes) -> Table {
    let mut rows = Vec::new();
    let tensors = hashes.tensors.iter();
    let all = tensors.map(|(name, own)| (name.as_str(), own));
    for (name, own) in all.chain([("", &hashes.model)]) {
        for (algorithm, hash) in own {
            rows.push(vec![
                Cell::text(name),
                Cell::text(algorithm.name()),
                Cell::text(&**hash),
            ]);
        }
    }
    Table {
        columns: vec![
            Column::new("name", Kind::Name),
            Column::new("algorithm", Kind::Text),
            Column::new("hash", Kind::Text),
        ],
        rows,
    }
}

//! `ckpt hash`: content digests, and a manifest to check them by.

mod document;
mod page;

use super::args::{Global, RootArgs, SelectionArgs};
use super::progress::Bar;
use super::report::{self, Report};
use super::{Status, output};
use ckpt::format;
use ckpt::format::digest::{FileHashes, hash_files};
use ckpt::io::{Source, read_small_text};
use ckpt::model::Checkpoint;
use ckpt::op::hash::manifest::{self, Comparison, Manifest};
use ckpt::op::hash::{self, Algorithm, GgufHashes, Hashes};
use ckpt::op::root::Choice;
use ckpt::op::select::Selection;
use ckpt::report::Page;
use ckpt::{Error, Result, limits};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// The arguments of `ckpt hash`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "A tensor's digest is BLAKE3 over its contiguous little-endian bytes, a line \
feed, its dtype and its shape (`BF16 [32000, 4096]`). The root is BLAKE3 over the manifest's \
lines, sorted by name. Neither knows files, shards, formats, padding or metadata: the same \
weights have the same root as .pt, .safetensors, in five shards or in GGUF of the same dtype \
and names.

Examples:
  ckpt hash model.safetensors > model.b3           the manifest: a root, a line a tensor
  ckpt hash --check model.b3 model.pt              exit 1 if a tensor differs, and which
  grep -v '^#' model.b3 | b3sum                    the root again, without ckpt
  ckpt hash --files model.safetensors              SHA-256, AutoV1/V2/V3, BLAKE3, CRC-32
  ckpt hash --gguf-hash=sha256 model.gguf          the lines that llama.cpp's gguf-hash prints
  ckpt hash a.pt b.safetensors --json | jq -r '.[].digest'"
)]
pub(crate) struct Args {
    /// Files, indexes or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Hold the tensors against a manifest that `ckpt hash` wrote
    #[arg(short, long, value_name = "MANIFEST", conflicts_with_all = ["files", "gguf_hash"])]
    check: Option<PathBuf>,
    /// The hashes of the files too, by which people look them up
    #[arg(long)]
    files: bool,
    /// The hashes of llama.cpp's gguf-hash instead: a list, or `all` [default: xxh64]
    #[arg(long, value_name = "LIST", num_args = 0..=1, require_equals = true,
          default_missing_value = "xxh64", value_delimiter = ',', conflicts_with = "files")]
    gguf_hash: Vec<GgufHash>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    root: RootArgs,
}

/// A hash of gguf-hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GgufHash {
    /// XXH64, its default
    Xxh64,
    /// XXH3 of 64 bits
    Xxh3,
    /// SHA-1
    Sha1,
    /// SHA-256
    Sha256,
    /// A UUID of the whole model
    Uuid,
    /// All but the UUID
    All,
}

impl GgufHash {
    fn algorithms(self) -> &'static [Algorithm] {
        use Algorithm::{Sha1, Sha256, Uuid, Xxh3, Xxh64};
        match self {
            GgufHash::Xxh64 => &[Xxh64],
            GgufHash::Xxh3 => &[Xxh3],
            GgufHash::Sha1 => &[Sha1],
            GgufHash::Sha256 => &[Sha256],
            GgufHash::Uuid => &[Uuid],
            GgufHash::All => &[Sha256, Sha1, Xxh64, Xxh3],
        }
    }
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    if args.check.is_some() && args.paths.len() > 1 {
        let found = args.paths.len();
        return Err(Error::usage(format!(
            "a manifest is about one checkpoint, but {found} paths are given"
        )));
    }
    report::run(&Request::new(args, global)?, global, &args.paths)
}

/// What was found at one path.
struct Found {
    path: String,
    hashes: Option<Hashes>,
    /// Why there are none.
    failure: Option<Error>,
    comparison: Option<Comparison>,
    files: Vec<(String, FileHashes)>,
    gguf: Option<GgufHashes>,
}

/// What was asked for.
struct Request<'a> {
    args: &'a Args,
    global: &'a Global,
    selection: Selection,
    choice: Choice,
    manifest: Option<Manifest>,
}

impl<'a> Request<'a> {
    fn new(args: &'a Args, global: &'a Global) -> Result<Request<'a>> {
        Ok(Request {
            args,
            global,
            selection: args.selection.selection()?,
            choice: args.root.choice(Choice::Auto),
            manifest: args.check.as_deref().map(read_manifest).transpose()?,
        })
    }

    /// The tensors that are hashed.
    fn restrict(&self, mut checkpoint: Checkpoint) -> Result<Checkpoint> {
        self.selection.apply(&mut checkpoint)?;
        self.global.restrict(checkpoint, &self.choice)
    }

    fn hash(&self, checkpoint: &Checkpoint, found: &mut Found) -> Result<()> {
        let bar = Bar::new(self.global, "hash", checkpoint.totals().1);
        if !self.args.gguf_hash.is_empty() {
            let asked = self.args.gguf_hash.iter();
            let mut algorithms: Vec<Algorithm> = Vec::new();
            for &algorithm in asked.flat_map(|hash| hash.algorithms()) {
                if !algorithms.contains(&algorithm) {
                    algorithms.push(algorithm);
                }
            }
            found.gguf = Some(hash::gguf_hashes(checkpoint, &algorithms, &bar)?);
            return Ok(());
        }
        let hashes = hash::hash(checkpoint, self.global.threads(), &bar)?;
        drop(bar);
        hashes.failures.iter().for_each(output::say_error);
        if let Some(manifest) = &self.manifest {
            let mut comparison = manifest::compare(&hashes, manifest);
            if !self.selection.is_everything() {
                let is_selected = |(_, relation): &(String, manifest::Relation)| {
                    *relation != manifest::Relation::Missing
                };
                comparison.differing.retain(is_selected);
                self.global.say("only the selected tensors are checked");
            }
            found.comparison = Some(comparison);
        }
        found.hashes = Some(hashes);
        Ok(())
    }

    /// The hashes of the file at `path`, and of those that `checkpoint` lies in.
    fn hash_files(
        &self,
        path: &Path,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Vec<(String, FileHashes)>> {
        let mut names: Vec<String> = Vec::new();
        if !path.is_dir() {
            names.push(path.to_string_lossy().into_owned());
        }
        let tensors = checkpoint.map_or(&[][..], |checkpoint| &checkpoint.tensors);
        let mut last = "";
        for source in tensors.iter().flat_map(|t| t.payload.sources()) {
            if source.name() != last && !names.iter().any(|name| name == source.name()) {
                names.push(source.name().to_owned());
            }
            last = source.name();
        }
        let sources: Vec<Source> = names
            .iter()
            .map(|name| Source::open(name.as_ref()))
            .collect::<Result<_>>()?;
        let total = sources.iter().map(Source::len).sum();
        let bar = Bar::new(self.global, "files", total);
        let hashes = hash_files(&sources, self.global.threads(), &bar)?;
        Ok(names.into_iter().zip(hashes).collect())
    }
}

impl Report for Request<'_> {
    type Found = Found;

    const SCHEMA: &'static str = document::SCHEMA;

    fn find(&self, path: &Path) -> Result<Found> {
        let mut found = Found {
            path: path.to_string_lossy().into_owned(),
            hashes: None,
            failure: None,
            comparison: None,
            files: Vec::new(),
            gguf: None,
        };
        let mut opened = format::open(path);
        if self.args.files {
            found.files = self.hash_files(path, opened.as_ref().ok())?;
        } else {
            opened = Ok(opened?);
        }
        let hashed = opened
            .and_then(|checkpoint| self.restrict(checkpoint))
            .and_then(|checkpoint| self.hash(&checkpoint, &mut found));
        match hashed {
            Err(error) if self.args.files => {
                // A file's hashes are what tells why it cannot be read.
                output::say_error(&error);
                found.failure = Some(error);
            }
            hashed => hashed?,
        }
        Ok(found)
    }

    fn document<'a>(&'a self, found: &'a Found) -> impl serde::Serialize + 'a {
        document::Document::new(found)
    }

    fn page(&self, found: &Found) -> Page {
        page::page(found)
    }

    fn lines(&self, found: &Found) -> Option<String> {
        page::lines(found)
    }

    fn status(&self, found: &Found) -> Status {
        let failures = found
            .hashes
            .as_ref()
            .map_or(0, |hashes| hashes.failures.len());
        let differing = found.comparison.as_ref().map_or(0, |c| c.differing.len());
        match (failures, differing) {
            _ if found.failure.is_some() => Status::Trouble,
            (0, 0) => Status::Done,
            (0, _) => Status::Findings,
            _ => Status::Trouble,
        }
    }
}

fn read_manifest(path: &Path) -> Result<Manifest> {
    let text = read_small_text(path, limits::INDEX)?;
    manifest::read(&text).map_err(|error| error.in_file(&path.to_string_lossy()))
}

//! The model files that a workflow needs, and whether they are there and right.
//!
//! [`read`] turns the texts of a workflow into [`Need`]s. [`check`] looks them up in a
//! [`Catalogue`] of model folders and judges what it finds. Nothing is opened here: the caller
//! lists the folders and hands in a [`Library`]. A name in a workflow is only ever compared
//! with listed names, never joined to a path.

mod check;
mod graph;
mod judge;
mod models;
mod needs;
mod nodes;
mod parameters;
mod ui;

pub use check::{Library, check};
pub use models::{
    Catalogue, ModelFile, ModelFolder, extra_folders, is_model_key, standard_folders,
};

use crate::error::{Error, Result};

/// In which format a workflow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphKind {
    /// As ComfyUI's editor saves it.
    Ui,
    /// As ComfyUI's server is sent it.
    Api,
    /// The parameters that A1111 writes under a picture.
    A1111,
}

impl GraphKind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            GraphKind::Ui => "ui",
            GraphKind::Api => "api",
            GraphKind::A1111 => "a1111",
        }
    }
}

/// Whether a node takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It runs.
    #[default]
    Active,
    /// It and what depends on it do not run.
    Muted,
    /// What it is given passes through.
    Bypassed,
    /// The node runs, but this file of its list is switched off.
    Off,
}

impl Mode {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Active => "active",
            Mode::Muted => "muted",
            Mode::Bypassed => "bypassed",
            Mode::Off => "off",
        }
    }

    /// This mode, or `other` if it is active.
    fn or(self, other: Mode) -> Mode {
        match self {
            Mode::Active => other,
            mode => mode,
        }
    }
}

/// What became of a need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nobody looked.
    #[default]
    Unknown,
    /// It is there, and nothing speaks against it.
    Found,
    /// It is not where it is looked for.
    Missing,
    /// It is another thing than what is needed.
    Wrong,
    /// It would run code in a program that trusts it.
    Unsafe,
}

impl Status {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Unknown => "unknown",
            Status::Found => "found",
            Status::Missing => "missing",
            Status::Wrong => "wrong",
            Status::Unsafe => "unsafe",
        }
    }
}

/// How a hash of a model file is made (A1111, kohya, Civitai).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digest {
    /// SHA-256 of the file.
    Sha256,
    /// SHA-256 of the bytes after a safetensors header.
    Sha256OfData,
    /// SHA-256 of 64 KiB from the first MiB on.
    Sha256OfPart,
    /// CRC-32 of the file.
    Crc32,
    /// BLAKE3 of the file.
    Blake3,
}

/// A hash as a workflow gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash {
    /// As it is spelled there.
    pub text: String,
    /// What it is called, there or by its length: `SHA256`, `AutoV1`, `AutoV2`, `AutoV3`, ...
    pub kind: String,
}

/// One model file that a workflow needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Need {
    /// As the workflow spells it.
    pub file: String,
    /// ComfyUI's name of the folder it is looked for in; `None` if nobody knows.
    pub folder: Option<String>,
    /// Whether that folder is certain, not guessed by the name of an input.
    pub is_folder_certain: bool,
    /// Whether any extension and any subfolder will do.
    pub is_loose: bool,
    /// The node's id; `3:12` inside a subgraph. `None` beside the nodes.
    pub node: Option<String>,
    /// The node's class.
    pub class: Option<String>,
    /// Whether the node takes part.
    pub mode: Mode,
    /// Places among the needs of the models that this one is applied to.
    pub bases: Vec<usize>,
    /// Where the workflow says it can be had.
    pub url: Option<String>,
    /// The hash that the workflow gives.
    pub hash: Option<Hash>,
    /// What became of it.
    pub status: Status,
    /// Where it was found.
    pub found_at: Option<String>,
    /// What is wrong with it, one sentence.
    pub problem: Option<String>,
}

impl Need {
    /// Whether the workflow loads it when it runs.
    pub fn is_active(&self) -> bool {
        self.mode == Mode::Active
    }

    /// Whether it keeps the workflow from running as it was meant to.
    pub fn is_trouble(&self) -> bool {
        let is_bad = matches!(
            self.status,
            Status::Missing | Status::Wrong | Status::Unsafe
        );
        is_bad && self.is_active()
    }
}

/// What a workflow needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// In which format it is.
    pub graph: GraphKind,
    /// In the order of its nodes.
    pub needs: Vec<Need>,
}

/// Reads a workflow from the texts of one file, each with the name its writer gave it.
///
/// The editor's format is preferred to the server's, and both to A1111's parameters; the
/// others fill in what the first does not say.
///
/// Errors: `Malformed` if none of the texts is a workflow, `Limit` past the bounds of
/// [`crate::limits`].
pub fn read<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Workflow> {
    let mut found: Vec<Workflow> = Vec::new();
    let mut failure = None;
    for (key, text) in texts {
        match read_text(text) {
            Ok(Some(workflow)) => found.push(workflow),
            Ok(None) => {}
            // Text under other keys is not ours to understand, but too much of it is too much.
            Err(error) if error.kind() == crate::Kind::Limit => return Err(error),
            Err(error) if matches!(key, "" | "workflow" | "prompt") => {
                failure.get_or_insert(error);
            }
            Err(_) => {}
        }
    }
    found.sort_by_key(|workflow| workflow.graph as u8);
    let mut found = found.into_iter();
    let Some(mut workflow) = found.next() else {
        let message = "holds no workflow: no ComfyUI graph, and no parameters of A1111";
        return Err(failure.unwrap_or_else(|| Error::malformed(message)));
    };
    for other in found {
        needs::supplement(&mut workflow, other);
    }
    Ok(workflow)
}

fn read_text(text: &str) -> Result<Option<Workflow>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return Ok(parameters::read(text).map(|needs| Workflow {
            graph: GraphKind::A1111,
            needs,
        }));
    }
    let value = match crate::model::json::parse(text) {
        // A prompt may begin with a bracket, too.
        Err(error) if error.kind() == crate::Kind::Malformed => {
            return match parameters::read(text) {
                Some(needs) => Ok(Some(Workflow {
                    graph: GraphKind::A1111,
                    needs,
                })),
                None => Err(error),
            };
        }
        parsed => parsed?,
    };
    let Some(graph) = graph::read(&value)? else {
        return Ok(None);
    };
    let needs = needs::collect(&graph)?;
    Ok(Some(Workflow {
        graph: graph.kind,
        needs,
    }))
}

//! The JSON of `ckpt inspect`.

use super::About;
use crate::cli::adapter::TrainingEntry;
use crate::cli::identity::IdentityEntry;
use crate::cli::json::{Entries, NoteEntry};
use crate::cli::licence::{LicenceFacts, StatementEntry};
use ckpt::model::{Checkpoint, Tensor};
use ckpt::op::inspect::{self, Totals};
use serde::{Serialize, Serializer};

/// The name and version of the layout.
pub(crate) const SCHEMA: &str = "ckpt.inspect/1";

/// Everything about one checkpoint. Tensors are written one by one as they stand.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    schema: &'static str,
    path: &'a str,
    format: &'a str,
    variant: &'a str,
    root: Option<&'a str>,
    tensors: Tensors<'a>,
    totals: TotalsEntry,
    metadata: Entries<'a>,
    values: Entries<'a>,
    notes: Vec<NoteEntry<'a>>,
    identity: IdentityEntry<'a>,
    licence: Vec<StatementEntry<'a>>,
    licence_facts: LicenceFacts<'a>,
    training: Option<TrainingEntry<'a>>,
}

impl<'a> Document<'a> {
    /// `all`: whether long arrays are written out.
    pub(crate) fn new(checkpoint: &'a Checkpoint, about: &'a About, all: bool) -> Document<'a> {
        let entries = |entries| Entries { entries, all };
        let (licences, training) = (&about.licences, about.training.as_ref());
        Document {
            schema: SCHEMA,
            path: &checkpoint.path,
            format: checkpoint.format,
            variant: &checkpoint.variant,
            root: checkpoint.root.as_deref(),
            tensors: Tensors(&checkpoint.tensors),
            totals: TotalsEntry::new(inspect::totals(checkpoint)),
            metadata: entries(&checkpoint.metadata),
            values: entries(&checkpoint.values),
            notes: checkpoint.notes.iter().map(NoteEntry::new).collect(),
            identity: IdentityEntry::new(&about.identity, about.health.as_ref()),
            licence: licences
                .statements
                .iter()
                .map(StatementEntry::new)
                .collect(),
            licence_facts: LicenceFacts::new(licences),
            training: training.map(TrainingEntry::new),
        }
    }
}

struct Tensors<'a>(&'a [Tensor]);

impl Serialize for Tensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(TensorEntry::new))
    }
}

#[derive(Serialize)]
struct TensorEntry<'a> {
    name: &'a str,
    dtype: String,
    shape: &'a [u64],
    elements: u64,
    bytes: Option<u64>,
    file: Option<&'a str>,
    offset: Option<u64>,
    contiguous: bool,
    tied_to: Option<&'a str>,
}

impl<'a> TensorEntry<'a> {
    fn new(tensor: &'a Tensor) -> TensorEntry<'a> {
        TensorEntry {
            name: &tensor.name,
            dtype: tensor.dtype.to_string(),
            shape: tensor.shape.dimensions(),
            elements: tensor.elements(),
            bytes: inspect::stored_bytes(tensor),
            file: tensor.payload.extent().map(|(source, _, _)| source.name()),
            offset: inspect::file_offset(tensor),
            contiguous: tensor.payload.is_contiguous(),
            tied_to: tensor.tied_to.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct TotalsEntry {
    tensors: u64,
    elements: u64,
    bytes: u64,
    by_dtype: Vec<DTypeEntry>,
}

#[derive(Serialize)]
struct DTypeEntry {
    dtype: String,
    tensors: u64,
    elements: u64,
    bytes: u64,
}

impl TotalsEntry {
    fn new(totals: Totals) -> TotalsEntry {
        let by_dtype = totals.by_dtype.iter().map(|of| DTypeEntry {
            dtype: of.dtype.to_string(),
            tensors: of.tensors,
            elements: of.elements,
            bytes: of.bytes,
        });
        TotalsEntry {
            tensors: totals.tensors,
            elements: totals.elements,
            bytes: totals.bytes,
            by_dtype: by_dtype.collect(),
        }
    }
}

//! What writing a format takes: where everything goes in one file.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::io::Source;
use crate::io::archive::ZipPlan;
use crate::model::{Checkpoint, Tensor, Value};
use std::collections::HashSet;

/// Arranges tensors in a file. The bytes are moved elsewhere.
pub trait Writer: Sync {
    /// The dtypes that the format can hold.
    fn dtypes(&self) -> Vec<DType>;

    /// What becomes of a tensor that is another name of an earlier one.
    fn ties(&self) -> Ties;

    /// How a checkpoint becomes several files.
    fn splits(&self) -> Splits;

    /// Arranges the tensors of one file.
    ///
    /// Errors: `Unsupported` for a tensor that the format cannot hold, `Limit` for a header
    /// larger than the format allows, `Usage` for a name that is given to two tensors.
    fn layout(&self, part: &Part<'_>) -> Result<Layout>;

    /// The bytes before the data of the file that `source` is, with the metadata of `part`: as
    /// many as there are, for the same tensors in the same places. `None` if they do not fit.
    fn edit(&self, part: &Part<'_>, source: &Source) -> Result<Option<Vec<u8>>> {
        let _ = (part, source);
        Ok(None)
    }
}

/// What becomes of a tensor that is another name of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// It is an entry of its own over the same bytes.
    Entries,
    /// The metadata says `alias: kept`.
    Metadata,
    /// The format knows no such thing: it is stored again.
    Copies,
}

/// How a checkpoint becomes several files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splits {
    /// Numbered shards and a JSON index.
    Index,
    /// Numbered files that say themselves which they are.
    Numbers,
    /// It does not.
    Never,
}

/// In which order tensors lie in a file whose official writer sorts them (safetensors).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The official writer's.
    #[default]
    Official,
    /// As they come.
    Source,
}

/// What one file is to hold.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The whole, for its metadata.
    pub checkpoint: &'a Checkpoint,
    /// The tensors that are stored.
    pub tensors: Vec<&'a Tensor>,
    /// Every name of those and which of them it means, in the checkpoint's order.
    pub names: Vec<(&'a str, usize)>,
    /// Which file this is, from 0.
    pub number: usize,
    /// How many there are.
    pub count: usize,
    /// In which order they are to lie, where the format has an order of its own.
    pub order: Order,
}

impl<'a> Part<'a> {
    /// Names that are not the one under which the tensor is stored, with that one.
    pub fn aliases(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let named = self.names.iter().filter_map(|&(name, index)| {
            let kept = self.tensors.get(index)?;
            Some((name, kept.name.as_str()))
        });
        named.filter(|(name, kept)| name != kept)
    }

    /// Errors: `Usage` if two entries of the file would have one name.
    pub fn check_names(&self) -> Result<()> {
        let mut seen = HashSet::with_capacity(self.names.len());
        match self.names.iter().find(|(name, _)| !seen.insert(*name)) {
            Some((name, _)) => {
                Err(Error::usage("the name is given to two tensors").in_tensor(name))
            }
            None => Ok(()),
        }
    }

    /// What a format without metadata says about it, if there is any.
    pub fn metadata_note(&self) -> Option<String> {
        const SHOWN: usize = 8;
        let keys = carried_metadata(self.checkpoint).map(|(key, _)| key.as_str());
        let mut shown: Vec<&str> = keys.clone().take(SHOWN).collect();
        if keys.count() > SHOWN {
            shown.push("...");
        }
        let shown_keys = shown.join(", ");
        (!shown.is_empty()).then(|| format!("the format has no metadata; left out: {shown_keys}"))
    }
}

/// The metadata of `checkpoint`, without what an index says about the files of a set.
pub(in crate::format) fn carried_metadata(
    checkpoint: &Checkpoint,
) -> impl Iterator<Item = &(String, Value)> + Clone {
    let is_of_set = checkpoint.variant == "sharded";
    let entries = checkpoint.metadata.iter();
    entries.filter(move |(key, _)| !is_of_set || key != "total_size")
}

/// Where everything goes in one file.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// The bytes before the data.
    pub header: Vec<u8>,
    /// What frames the data, where that depends on its checksums: `header` is empty then. Its
    /// members' data are the tensors in `order`.
    pub archive: Option<ZipPlan>,
    /// Where each tensor starts, in bytes from the start of the file.
    pub offsets: Vec<u64>,
    /// The tensors' places among those given, in the order in which they lie.
    pub order: Vec<usize>,
    /// Bytes of the file.
    pub len: u64,
    /// What the format could not keep, or what was chosen for want of better: a sentence each.
    pub notes: Vec<String>,
}

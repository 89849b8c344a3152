//! A checkpoint in the making: what is kept, under which name, and what goes.

use crate::error::{Error, Result};
use crate::model::{Note, Tensor};
use crate::op::convert::Reason;
use crate::op::rules::{Asked, Sparsity};
use std::collections::HashMap;

/// What kind of thing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tensor.
    Tensor,
    /// Something else in the file.
    Value,
    /// A file of the folder.
    File,
}

/// Something that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// What kind of thing.
    pub kind: Kind,
    /// Its name in the source.
    pub name: String,
    /// Why.
    pub reason: &'static str,
    /// Bytes that nothing else has; 0 for values.
    pub bytes: u64,
}

impl Dropped {
    pub(super) fn tensor(tensor: &Tensor, reason: &'static str) -> Dropped {
        let bytes = match tensor.tied_to {
            Some(_) => 0,
            None => tensor.byte_len().unwrap_or(0),
        };
        Dropped {
            kind: Kind::Tensor,
            name: tensor.name.clone(),
            reason,
            bytes,
        }
    }
}

/// A tensor that is kept.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// What it is called in the source.
    pub(super) source: String,
    /// Under its new name.
    pub(super) tensor: Tensor,
    /// Whether it is one of the model's: the others keep their names.
    pub(super) is_model: bool,
    /// Whether it was asked for by name, so that nothing may drop it.
    pub(super) is_pinned: bool,
    /// What was done to its elements.
    pub(super) reason: Option<Reason>,
    /// What a rule says of its dtype.
    pub(super) asked: Option<Asked>,
    /// What a rule says of how much of it is zeroed.
    pub(super) sparsity: Option<Sparsity>,
}

/// A checkpoint in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) items: Vec<Item>,
    pub(super) dropped: Vec<Dropped>,
    pub(super) notes: Vec<Note>,
}

impl Draft {
    /// Drops the items of which `reason` gives one, and says whether there were any.
    pub(super) fn drop_where(
        &mut self,
        mut reason: impl FnMut(&Item) -> Option<&'static str>,
    ) -> bool {
        let before = self.items.len();
        let dropped = &mut self.dropped;
        self.items.retain(|item| {
            let reason = reason(item);
            if let Some(reason) = reason {
                let mut gone = Dropped::tensor(&item.tensor, reason);
                gone.name.clone_from(&item.source);
                dropped.push(gone);
            }
            reason.is_none()
        });
        self.items.len() < before
    }

    /// The model's items by name.
    pub(super) fn by_name(&self) -> HashMap<&str, usize> {
        let items = self.items.iter().enumerate();
        items
            .filter(|(_, item)| item.is_model)
            .map(|(index, item)| (item.tensor.name.as_str(), index))
            .collect()
    }

    /// Errors: `Usage` if nothing is left, or if two tensors would have one name.
    pub(super) fn check(&self) -> Result<()> {
        if self.items.is_empty() && self.dropped.is_empty() {
            return Err(Error::usage("holds no tensors"));
        }
        if self.items.is_empty() {
            let mut reasons: Vec<&str> = Vec::new();
            for dropped in &self.dropped {
                if !reasons.contains(&dropped.reason) {
                    reasons.push(dropped.reason);
                }
            }
            let error = Error::usage(format!(
                "nothing would be left; out: {}",
                reasons.join(", ")
            ));
            return Err(error.with_hint("`--keep GLOB` keeps what a rule would leave out"));
        }
        let mut taken: HashMap<&str, &str> = HashMap::with_capacity(self.items.len());
        for item in &self.items {
            if let Some(other) = taken.insert(&item.tensor.name, &item.source) {
                return Err(Error::usage(format!(
                    "`{other}` and `{}` would both be called `{}`",
                    item.source, item.tensor.name
                )));
            }
        }
        Ok(())
    }
}

//! Members of a zip by name, as torch finds them: whatever the case.

use crate::error::{Error, Result};
use crate::io::archive::{Archive, Member};
use std::collections::HashMap;

/// An archive whose members are found by name.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) archive: Archive,
    /// By lower-case name: where in the directory, and whether that is the only one.
    by_name: HashMap<String, (usize, bool)>,
}

impl Members {
    pub(super) fn new(archive: Archive) -> Members {
        let mut by_name = HashMap::with_capacity(archive.members.len());
        for (index, member) in archive.members.iter().enumerate() {
            let found = by_name.entry(member.name.to_ascii_lowercase());
            found
                .and_modify(|found| *found = (index, false))
                .or_insert((index, true));
        }
        Members { archive, by_name }
    }

    /// The member called `name`, in any case.
    ///
    /// Errors: `Malformed` if there are several, for readers differ in which of them they take.
    pub(super) fn find(&self, name: &str) -> Result<Option<&Member>> {
        let Some(&(index, is_only)) = self.by_name.get(&name.to_ascii_lowercase()) else {
            return Ok(None);
        };
        let member = self.archive.members.get(index);
        match member {
            Some(member) if !is_only => {
                let message = "the archive has several members of this name, which torch reads \
                               in any case; only one may be there";
                let offset = self.archive.source().file_offset(member.directory_offset);
                Err(Error::malformed(message).in_member(&member.name).at(offset))
            }
            member => Ok(member),
        }
    }
}

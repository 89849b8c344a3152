//! The machine's memo: numbered values.

use super::Item;
use crate::error::{Error, Result};
use crate::limits;
use std::collections::HashMap;

/// How far ahead of the last number a new one may be and still lie in the dense part.
const GAP: usize = 64;

/// Numbered values. Writers count up, so most lie in a vector; the file chooses the numbers,
/// so wild ones (`LONG_BINPUT 0xFFFFFFFF`) go to a map.
#[derive(Debug, Default)]
pub(super) struct Memo {
    dense: Vec<Item>,
    wild: HashMap<u64, Item>,
    distinct: usize,
}

impl Memo {
    pub(super) fn get(&self, key: u64) -> Option<Item> {
        let index = usize::try_from(key).unwrap_or(usize::MAX);
        let found = match self.dense.get(index) {
            Some(item) if !item.is_absent() => Some(item),
            _ => self.wild.get(&key),
        };
        found.copied()
    }

    pub(super) fn put(&mut self, key: u64, item: Item) -> Result<()> {
        let index = usize::try_from(key).unwrap_or(usize::MAX);
        let is_dense = index < self.dense.len().saturating_add(GAP);
        let previous = if is_dense {
            if index >= self.dense.len() {
                self.dense.resize(index.saturating_add(1), Item::ABSENT);
            }
            // A key that was wild may have come within reach; only one place may hold it.
            let wild = match self.wild.is_empty() {
                true => None,
                false => self.wild.remove(&key),
            };
            let slot = self.dense.get_mut(index);
            let old = slot.map(|slot| std::mem::replace(slot, item));
            wild.or(old.filter(|old| !old.is_absent()))
        } else {
            self.wild.insert(key, item)
        };
        if previous.is_none() {
            self.distinct = self.distinct.saturating_add(1);
        }
        if self.distinct > limits::PICKLE_MEMO {
            let allowed = limits::PICKLE_MEMO;
            return Err(Error::limit(format!("memo has over {allowed} entries")));
        }
        Ok(())
    }

    /// How many numbers are in use: the number that MEMOIZE gives.
    pub(super) fn len(&self) -> u64 {
        self.distinct as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wild_numbers_cost_one_entry() {
        let mut memo = Memo::default();
        memo.put(u64::from(u32::MAX), Item::TRUE).unwrap();
        memo.put(5, Item::FALSE).unwrap();
        memo.put(5, Item::TRUE).unwrap();
        assert_eq!(memo.get(u64::from(u32::MAX)), Some(Item::TRUE));
        assert_eq!(memo.get(5), Some(Item::TRUE));
        assert_eq!(memo.get(4), None);
        assert_eq!(memo.len(), 2);
        assert!(memo.dense.len() < 100);
    }
}

//! Names without what wrappers put into them.

use super::draft::Draft;
use super::recipes::BOOKKEEPING;
use std::collections::HashSet;

/// Parts of names that a wrapper puts in, wherever it stands: `torch.compile`, FSDP, activation
/// checkpointing.
const ANYWHERE: [&str; 3] = [
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
];

/// First parts of names that a wrapper puts before all of them: Fabric, `DataParallel`.
const IN_FRONT: [&str; 2] = ["_forward_module", "module"];

/// What wrappers count beside the model: `torch.optim.swa_utils.AveragedModel`.
const COUNTERS: [&str; 1] = ["n_averaged"];

/// Takes wrappers off the names of the model's tensors, where that leaves every name its own.
pub(super) fn unwrap(draft: &mut Draft) {
    try_names(draft, |name| {
        let parts = name.split('.').filter(|part| !ANYWHERE.contains(part));
        Some(parts.collect::<Vec<_>>().join("."))
    });
    loop {
        let is_wrapped = IN_FRONT.iter().any(|wrapper| {
            let prefix = format!("{wrapper}.");
            let is_counter = |name: &str| COUNTERS.contains(&name);
            let mut model = draft.items.iter().filter(|item| item.is_model);
            let is_meant = model
                .all(|item| item.tensor.name.starts_with(&prefix) || is_counter(&item.tensor.name));
            let found =
                is_meant && try_names(draft, |name| name.strip_prefix(&prefix).map(str::to_owned));
            if found {
                draft.drop_where(|item| {
                    let is_counter =
                        item.is_model && !item.is_pinned && is_counter(&item.tensor.name);
                    is_counter.then_some(BOOKKEEPING)
                });
            }
            found
        });
        if !is_wrapped {
            return;
        }
    }
}

/// Renames the model's tensors, if some change and all stay different; says whether it did.
/// `rename` gives `None` for a name that stays.
fn try_names(draft: &mut Draft, rename: impl Fn(&str) -> Option<String>) -> bool {
    let mut taken: HashSet<String> = HashSet::with_capacity(draft.items.len());
    let mut renamed = Vec::with_capacity(draft.items.len());
    let mut changes = false;
    for item in &draft.items {
        let name = &item.tensor.name;
        let new = match item.is_model {
            true => rename(name).unwrap_or_else(|| name.clone()),
            false => name.clone(),
        };
        if new.is_empty() || !taken.insert(new.clone()) {
            return false;
        }
        changes |= new != *name;
        renamed.push(new);
    }
    if changes {
        for (item, name) in draft.items.iter_mut().zip(renamed) {
            item.tensor.name = name;
        }
    }
    changes
}

//! Which tensor of A is which tensor of B.
//!
//! Each step looks only at tensors that no step before has matched, and matches two of them if
//! the name it makes of them is the same and no other tensor of their side has it.

use crate::error::{Error, Result};
use crate::model::ROOT_KEYS;
use crate::op::names::hugging_face_names;
use crate::op::rename::{Rename, rename_all};
use std::collections::{HashMap, HashSet};

/// Prefixes that programs put in front of every name of a model they wrap.
const WRAPPERS: [&str; 4] = ["module.", "_orig_mod.", "_forward_module.", "model."];

/// Parts of a name that wrappers put anywhere in it.
const INNER: [&str; 4] = [
    "_orig_mod.",
    "_forward_module.",
    "_fsdp_wrapped_module.",
    "_checkpoint_wrapped_module.",
];

/// The names of one side.
pub(super) struct Names<'a> {
    pub(super) names: Vec<&'a str>,
    pub(super) is_gguf: bool,
}

/// Which tensors belong together.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// For each tensor of A, its counterpart in B.
    pub(super) b_of_a: Vec<Option<usize>>,
    /// What was assumed.
    pub(super) assumptions: Vec<String>,
}

/// Matches names. `is_exact`: apart from `renames`, only equal names are matched.
///
/// Errors: `Usage` for a rename that matches nothing, or that gives two tensors one name.
pub(super) fn match_names(
    a: &Names<'_>,
    b: &Names<'_>,
    renames: &[Rename],
    is_exact: bool,
) -> Result<Matches> {
    let mut assumptions = Vec::new();
    let renamed = rename(&a.names, renames)?;
    let mut a_names: Vec<&str> = renamed.iter().map(String::as_str).collect();
    let mut b_names = b.names.clone();
    if !is_exact {
        unwrap(&mut a_names, &mut b_names, &mut assumptions);
    }
    let mut matching = Matching::new(&a_names, &b_names);
    matching.step(&|name| vec![name.to_owned()], &|name| vec![name.to_owned()]);
    if !is_exact {
        let found = matching.step(&|name| vec![without_inner(name)], &|name| {
            vec![without_inner(name)]
        });
        assumptions.extend(say(
            &found,
            a,
            b,
            "matched without the parts that wrappers add",
        ));
        let found = matching.step(&|name| vec![bare(name)], &|name| vec![bare(name)]);
        assumptions.extend(say(&found, a, b, "matched without wrapper prefixes"));
        if a.is_gguf != b.is_gguf {
            let theirs = |name: &str| hugging_face_names(name);
            let own = |name: &str| vec![bare(name)];
            let found = match a.is_gguf {
                true => matching.step(&theirs, &own),
                false => matching.step(&own, &theirs),
            };
            let how = "matched by the names that GGUF and Hugging Face give them (llama family)";
            assumptions.extend(say(&found, a, b, how));
        }
    }
    Ok(Matches {
        b_of_a: matching.b_of_a,
        assumptions,
    })
}

fn rename(names: &[&str], renames: &[Rename]) -> Result<Vec<String>> {
    let renamed = rename_all(names, renames)?;
    match renamed
        .unused
        .first()
        .and_then(|&unused| renames.get(unused))
    {
        None => Ok(renamed.names),
        Some(unused) => {
            let error = Error::usage(format!("`--rename {unused}` matches no tensor of A"));
            Err(error.with_hint("it turns names of A into names of B"))
        }
    }
}

/// Takes off prefixes that all names of one side have, and not all of the other, unless fewer
/// names would be equal then.
fn unwrap<'n>(a: &mut [&'n str], b: &mut [&'n str], assumptions: &mut Vec<String>) {
    // Every round takes something off one side, so it ends.
    while let Some((prefix, is_a)) = WRAPPERS.iter().find_map(|prefix| removable(prefix, a, b)) {
        let (names, side) = if is_a { (&mut *a, "A") } else { (&mut *b, "B") };
        for name in names.iter_mut() {
            *name = &name[prefix.len()..];
        }
        assumptions.push(format!("`{prefix}` is taken off all names of {side}"));
    }
}

/// Whether `prefix` comes off one side, and whether that is A.
fn removable<'p>(prefix: &'p str, a: &[&str], b: &[&str]) -> Option<(&'p str, bool)> {
    let all = |names: &[&str]| names.iter().all(|name| name.starts_with(prefix));
    if a.is_empty() || b.is_empty() || all(a) == all(b) {
        return None;
    }
    let is_a = all(a);
    let (wrapped, others) = if is_a { (a, b) } else { (b, a) };
    let others: HashSet<&str> = others.iter().copied().collect();
    let equal = wrapped.iter().filter(|name| others.contains(*name));
    let bare = wrapped.iter().map(|name| &name[prefix.len()..]);
    let equal_then = bare.filter(|name| others.contains(name));
    (equal_then.count() >= equal.count()).then_some((prefix, is_a))
}

fn without_inner(name: &str) -> String {
    let mut out = name.to_owned();
    for part in INNER {
        if out.starts_with(part) {
            out.drain(..part.len());
        }
        out = out.replace(&format!(".{part}"), ".");
    }
    out
}

/// A name without anything that a wrapper adds, be it behind the key that holds the model.
fn bare(name: &str) -> String {
    let root = name.split_once('.');
    if let Some((root, rest)) = root.filter(|(root, _)| ROOT_KEYS.contains(root)) {
        // `model.` is both a root and a wrapper.
        if !WRAPPERS.contains(&format!("{root}.").as_str()) {
            return format!("{root}.{}", bare(rest));
        }
    }
    let name = without_inner(name);
    let mut bare = name.as_str();
    while let Some(rest) = WRAPPERS
        .iter()
        .find_map(|wrapper| bare.strip_prefix(wrapper))
    {
        bare = rest;
    }
    bare.to_owned()
}

/// What one step did, in a sentence.
fn say(found: &[(usize, usize)], a: &Names<'_>, b: &Names<'_>, how: &str) -> Option<String> {
    let &(first_a, first_b) = found.first()?;
    let (a, b) = (a.names[first_a], b.names[first_b]);
    Some(match found.len() {
        1 => format!("`{a}` and `{b}` are {how}"),
        count => format!("{count} tensors are {how}, such as `{a}` and `{b}`"),
    })
}

struct Matching<'n> {
    a: &'n [&'n str],
    b: &'n [&'n str],
    b_of_a: Vec<Option<usize>>,
    is_taken: Vec<bool>,
}

/// The names that a step makes of one, likeliest first.
type Make<'f> = &'f dyn Fn(&str) -> Vec<String>;

impl<'n> Matching<'n> {
    fn new(a: &'n [&'n str], b: &'n [&'n str]) -> Matching<'n> {
        Matching {
            a,
            b,
            b_of_a: vec![None; a.len()],
            is_taken: vec![false; b.len()],
        }
    }

    /// Matches what is left; returns the new pairs in A's order.
    fn step(&mut self, make_a: Make<'_>, make_b: Make<'_>) -> Vec<(usize, usize)> {
        let a = (0..self.a.len()).filter(|&a| self.b_of_a[a].is_none());
        let by_a = index(a.map(|a| (a, make_a(self.a[a]))));
        let b = (0..self.b.len()).filter(|&b| !self.is_taken[b]);
        let by_b = index(b.map(|b| (b, make_b(self.b[b]))));
        let mut found = Vec::new();
        for a in 0..self.a.len() {
            if self.b_of_a[a].is_some() {
                continue;
            }
            let mut names = make_a(self.a[a]).into_iter();
            let b = names.find_map(|name| match (by_a.get(&name), by_b.get(&name)) {
                (Some(Some(_)), Some(Some(b))) if !self.is_taken[*b] => Some(*b),
                _ => None,
            });
            if let Some(b) = b {
                self.b_of_a[a] = Some(b);
                self.is_taken[b] = true;
                found.push((a, b));
            }
        }
        found
    }
}

/// Which tensor has a name; `None` if several do.
fn index(names: impl Iterator<Item = (usize, Vec<String>)>) -> HashMap<String, Option<usize>> {
    let mut map: HashMap<String, Option<usize>> = HashMap::new();
    for (tensor, names) in names {
        for name in names {
            map.entry(name)
                .and_modify(|held| *held = None)
                .or_insert(Some(tensor));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side<'a>(names: &[&'a str]) -> Names<'a> {
        Names {
            names: names.to_vec(),
            is_gguf: names.iter().any(|n| n.starts_with("blk.")),
        }
    }

    fn pairs(a: &[&str], b: &[&str], renames: &[&str]) -> Vec<Option<usize>> {
        let renames: Vec<Rename> = renames.iter().map(|r| Rename::read(r).unwrap()).collect();
        match_names(&side(a), &side(b), &renames, false)
            .unwrap()
            .b_of_a
    }

    #[test]
    fn equal_names_come_before_all_else() {
        let found = pairs(&["model.x", "x"], &["x", "model.x"], &[]);
        assert_eq!(found, [Some(1), Some(0)]);
    }

    #[test]
    fn wrappers_are_taken_off_whole_sides_first() {
        let a = ["module._orig_mod.model.x", "module._orig_mod.x"];
        assert_eq!(pairs(&a, &["model.x", "x"], &[]), [Some(0), Some(1)]);
        let a = ["model.model.x", "model.lm_head"];
        assert_eq!(pairs(&a, &["model.x", "lm_head"], &[]), [Some(0), Some(1)]);
    }

    #[test]
    fn names_that_are_equal_keep_their_prefix() {
        let names = side(&["model.x", "optimizer.y"]);
        let matches = match_names(&side(&["model.x"]), &names, &[], false).unwrap();
        assert_eq!(matches.b_of_a, [Some(0)]);
        assert_eq!(matches.assumptions.len(), 0);
    }

    #[test]
    fn single_names_lose_wrappers_too_unless_that_is_ambiguous() {
        let a = ["model.norm", "lm_head", "layers.0._orig_mod.w"];
        let b = ["norm", "lm_head", "layers.0.w"];
        assert_eq!(pairs(&a, &b, &[]), [Some(0), Some(1), Some(2)]);
        assert_eq!(
            pairs(&["module.n", "model.n", "z"], &["n", "y"], &[]),
            [None; 3]
        );
    }

    #[test]
    fn gguf_names_find_their_counterpart() {
        let a = [
            "model.layers.0.block_sparse_moe.gate.weight",
            "lm_head.weight",
        ];
        let b = ["output.weight", "blk.0.ffn_gate_inp.weight"];
        assert_eq!(pairs(&a, &b, &[]), [Some(1), Some(0)]);
        assert_eq!(pairs(&b, &a, &[]), [Some(1), Some(0)]);
    }

    #[test]
    fn renames_turn_names_of_a_into_names_of_b() {
        let renames = [r"^enc\.(\d+)=encoder.layer\1x"];
        assert_eq!(
            pairs(&["enc.7.w"], &["encoder.layer7x.w"], &renames),
            [Some(0)]
        );
        let none = Rename::read("q=r").unwrap();
        assert!(match_names(&side(&["a"]), &side(&["a"]), &[none], true).is_err());
        let both = Rename::read("[ab]=c").unwrap();
        assert!(match_names(&side(&["a", "b"]), &side(&["c"]), &[both], true).is_err());
        assert!(Rename::read("(=x").is_err() && Rename::read("x").is_err());
    }

    #[test]
    fn exact_matching_assumes_nothing() {
        let matches = match_names(&side(&["module.x"]), &side(&["x"]), &[], true).unwrap();
        assert_eq!((matches.b_of_a, matches.assumptions.len()), (vec![None], 0));
    }
}

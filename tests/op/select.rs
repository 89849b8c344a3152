//! Selections.

use super::{checkpoint, names, tensor};
use ckpt::op::select::Selection;
use ckpt::{Checkpoint, DType, Kind, Result};

fn select(include: &[&str], exclude: &[&str], dtypes: &[&str]) -> Result<Vec<String>> {
    let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    let selection = Selection::new(&owned(include), &owned(exclude), &owned(dtypes))?;
    let mut checkpoint = sample();
    selection.apply(&mut checkpoint)?;
    Ok(owned(&names(&checkpoint)))
}

fn sample() -> Checkpoint {
    Checkpoint {
        tensors: vec![
            tensor("a.0.weight", DType::F32, &[2]),
            tensor("a.0.bias", DType::F16, &[2]),
            tensor("b/kernel", DType::F32, &[2]),
            tensor("ünï[0]", DType::I64, &[2]),
        ],
        ..Checkpoint::default()
    }
}

#[test]
fn globs_match_whole_names_across_dots_and_slashes() {
    assert_eq!(
        select(&["a*"], &[], &[]).unwrap(),
        ["a.0.weight", "a.0.bias"]
    );
    assert_eq!(select(&["*kernel"], &[], &[]).unwrap(), ["b/kernel"]);
    assert_eq!(
        select(&["a.?.{weight,bias}"], &["*bias"], &[]).unwrap(),
        ["a.0.weight"]
    );
    assert_eq!(select(&["*nï*"], &[], &[]).unwrap(), ["ünï[0]"]);
    assert_eq!(select(&["ünï[0]"], &[], &[]).unwrap(), ["ünï[0]"]);
}

#[test]
fn regular_expressions_match_anywhere() {
    assert_eq!(
        select(&["re:ker|bia"], &[], &[]).unwrap(),
        ["a.0.bias", "b/kernel"]
    );
    assert_eq!(
        select(&[], &["re:^a"], &[]).unwrap(),
        ["b/kernel", "ünï[0]"]
    );
}

#[test]
fn dtypes_are_chosen_in_any_case() {
    assert_eq!(
        select(&[], &[], &["f32"]).unwrap(),
        ["a.0.weight", "b/kernel"]
    );
    assert_eq!(
        select(&["a*"], &[], &["F32", "i64"]).unwrap(),
        ["a.0.weight"]
    );
}

#[test]
fn what_matches_nothing_is_named() {
    for (include, exclude, dtypes, named) in [
        (&["a*", "zz*"][..], &[][..], &[][..], "`zz*`"),
        (&[], &["re:zz"], &[], "`re:zz`"),
        (&[], &[], &["BF16"], "BF16"),
        (&["a{"], &[], &[], "`a{`"),
        (&["re:("], &[], &[], "`re:(`"),
        (&[], &[], &["F33"], "`F33`"),
    ] {
        let error = select(include, exclude, dtypes).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.message().contains(named), "{error}");
    }
}

#[test]
fn patterns_may_leave_out_the_root() {
    let mut checkpoint = checkpoint(&["model.a", "ema.a"], &[("model", 0..1), ("ema", 1..2)]);
    checkpoint.root = Some("model".to_owned());
    let selection = Selection::new(&["a".to_owned()], &[], &[]).unwrap();
    selection.apply(&mut checkpoint).unwrap();
    assert_eq!(names(&checkpoint), ["model.a"]);
    assert_eq!(checkpoint.groups[0].tensors, 0..1);
    assert!(checkpoint.groups[1].tensors.is_empty());
}

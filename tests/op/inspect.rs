//! What is in a checkpoint.

use super::{checkpoint, tensor};
use ckpt::op::inspect::{Order, fold, sort, totals, tree};
use ckpt::{Checkpoint, DType};

fn folded(names: &[&str]) -> Vec<(String, u64)> {
    let rows = fold(&checkpoint(names, &[]).tensors);
    rows.into_iter().map(|row| (row.name, row.count)).collect()
}

fn row(name: &str, count: u64) -> (String, u64) {
    (name.to_owned(), count)
}

#[test]
fn repeated_layers_are_one_row() {
    let names: Vec<String> = (0..32).map(|i| format!("layers.{i}.w")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("head");
    assert_eq!(
        folded(&names),
        [row("layers.{0..31}.w", 32), row("head", 1)]
    );
}

#[test]
fn layers_that_break_the_pattern_stand_apart() {
    let mut checkpoint = checkpoint(&["l.0.w", "l.1.w", "l.2.w", "l.3.w", "l.4.w"], &[]);
    checkpoint.tensors[2] = tensor("l.2.w", DType::F16, &[2]);
    let rows = fold(&checkpoint.tensors);
    let seen: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(seen, ["l.{0,1,3,4}.w", "l.2.w"]);
    assert_eq!(rows[0].bytes, Some(32));
    assert_eq!(rows[0].elements, 8);
}

#[test]
fn several_numbers_fold_if_every_combination_is_there() {
    assert_eq!(
        folded(&["l.0.e.0.w", "l.0.e.1.w", "l.1.e.0.w", "l.1.e.1.w"]),
        [row("l.{0,1}.e.{0,1}.w", 4)]
    );
    assert_eq!(
        folded(&[
            "l.0.e.0.w",
            "l.0.e.1.w",
            "l.1.e.0.w",
            "l.2.e.0.w",
            "l.2.e.1.w"
        ]),
        [row("l.{0,2}.e.{0,1}.w", 4), row("l.1.e.0.w", 1)]
    );
}

#[test]
fn every_tensor_is_in_exactly_one_row() {
    let mut names = Vec::new();
    for a in 0..7u32 {
        for b in 0..7u32 {
            for c in 0..7u32 {
                if (a * 31 + b * 17 + c * 5) % 3 != 0 {
                    names.push(format!("x_{a}.{b}/{c}"));
                }
            }
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows = folded(&names);
    let count: u64 = rows.iter().map(|(_, count)| count).sum();
    assert_eq!(count, names.len() as u64);
    assert!(rows.len() < names.len() / 2);
}

#[test]
fn tied_tensors_count_once() {
    let mut checkpoint = checkpoint(&["a", "b"], &[]);
    checkpoint.tensors[1].payload = checkpoint.tensors[0].payload.clone();
    checkpoint.mark_tied();
    let totals = totals(&checkpoint);
    assert_eq!((totals.tensors, totals.elements, totals.bytes), (2, 2, 8));
}

#[test]
fn dtypes_are_ordered_by_bytes() {
    let checkpoint = Checkpoint {
        tensors: vec![
            tensor("a", DType::F16, &[2]),
            tensor("b", DType::F32, &[2]),
            tensor("c", DType::F16, &[9]),
        ],
        ..Checkpoint::default()
    };
    let by_dtype = totals(&checkpoint).by_dtype;
    let seen: Vec<_> = by_dtype
        .iter()
        .map(|of| (of.dtype, of.tensors, of.bytes))
        .collect();
    assert_eq!(seen, [(DType::F16, 2, 22), (DType::F32, 1, 8)]);
}

#[test]
fn equal_branches_of_the_tree_are_one() {
    let names = ["m.0.a.w", "m.0.b", "m.1.a.w", "m.1.b", "m.2.b", "head.bias"];
    let branches = tree(&checkpoint(&names, &[]).tensors);
    let seen: Vec<_> = branches
        .iter()
        .map(|b| (b.depth, b.label.as_str(), b.count, b.tensors, b.bytes))
        .collect();
    assert_eq!(
        seen,
        [
            (0, "m", 1, 5, 40),
            (1, "{0,1}", 2, 4, 32),
            (2, "a.w", 1, 2, 16),
            (2, "b", 1, 2, 16),
            (1, "2.b", 1, 1, 8),
            (0, "head.bias", 1, 1, 8),
        ]
    );
}

#[test]
fn names_with_very_many_parts_do_not_exhaust_the_stack() {
    let deep = ".".repeat(60_000);
    let long = "1.".repeat(30_000);
    let names = [deep.as_str(), "a", long.as_str()];
    let checkpoint = checkpoint(&names, &[]);
    assert_eq!(fold(&checkpoint.tensors).len(), 3);
    assert!(tree(&checkpoint.tensors).len() < 100);
}

#[test]
fn sorts_by_size_the_largest_first() {
    let mut checkpoint = Checkpoint {
        tensors: vec![
            tensor("a.10", DType::F32, &[1]),
            tensor("a.9", DType::F32, &[3]),
            tensor("b", DType::F32, &[2]),
        ],
        ..Checkpoint::default()
    };
    sort(&mut checkpoint, Order::Size, false);
    assert_eq!(super::names(&checkpoint), ["a.9", "b", "a.10"]);
    sort(&mut checkpoint, Order::Name, true);
    assert_eq!(super::names(&checkpoint), ["b", "a.10", "a.9"]);
}

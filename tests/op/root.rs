//! The part of a training checkpoint that holds the model.

use super::{checkpoint, names};
use ckpt::model::{Checkpoint, Value};
use ckpt::op::root::{Choice, restrict};

fn training() -> Checkpoint {
    let mut checkpoint = checkpoint(
        &[
            "optimizer.0.m",
            "state_dict.fc.w",
            "state_dict.fc.b",
            "model.w",
        ],
        &[("optimizer", 0..1), ("state_dict", 1..3), ("model", 3..4)],
    );
    checkpoint.values = vec![
        ("epoch".to_owned(), Value::Int(3)),
        (
            "state_dict".to_owned(),
            Value::Map(vec![("steps".to_owned(), Value::Int(7))]),
        ),
    ];
    checkpoint
}

#[test]
fn the_first_key_in_the_list_wins_and_others_are_named() {
    let rooted = restrict(training(), &Choice::Auto).unwrap();
    assert_eq!(names(&rooted.checkpoint), ["fc.w", "fc.b"]);
    assert_eq!(rooted.checkpoint.root.as_deref(), Some("state_dict"));
    assert_eq!(
        rooted.checkpoint.values,
        [("steps".to_owned(), Value::Int(7))]
    );
    let note = &rooted.checkpoint.notes[0];
    assert!(note.text.contains("`model`") && note.text.contains("--root"));
    assert_eq!(rooted.left_out.tensors, 2);
    assert_eq!(rooted.left_out.bytes, 16);
    assert_eq!(rooted.left_out.keys, ["optimizer", "model", "epoch"]);
}

#[test]
fn a_key_can_be_asked_for() {
    let choice = Choice::Key("optimizer".to_owned());
    let rooted = restrict(training(), &choice).unwrap();
    assert_eq!(names(&rooted.checkpoint), ["0.m"]);
    let error = restrict(training(), &Choice::Key("net".to_owned())).unwrap_err();
    assert!(error.hint().unwrap().contains("`state_dict`"));
}

#[test]
fn everything_leaves_names_alone() {
    for choice in [Choice::Everything, Choice::Key(String::new())] {
        let rooted = restrict(training(), &choice).unwrap();
        assert_eq!(rooted.checkpoint.tensors.len(), 4);
        assert!(rooted.left_out.is_empty());
    }
}

#[test]
fn a_dotted_prefix_of_flat_names_is_no_root() {
    let flat = checkpoint(&["model.a", "model.b"], &[]);
    let rooted = restrict(flat, &Choice::Auto).unwrap();
    assert_eq!(names(&rooted.checkpoint), ["model.a", "model.b"]);
}

#[test]
fn ties_that_leave_the_root_are_cut() {
    let mut checkpoint = checkpoint(&["ema.w", "model.w"], &[("ema", 0..1), ("model", 1..2)]);
    checkpoint.tensors[1].payload = checkpoint.tensors[0].payload.clone();
    checkpoint.mark_tied();
    assert_eq!(checkpoint.tensors[1].tied_to.as_deref(), Some("ema.w"));
    let rooted = restrict(checkpoint, &Choice::Auto).unwrap();
    assert_eq!(rooted.checkpoint.tensors[0].tied_to, None);
    assert_eq!(rooted.left_out.bytes, 0);
}

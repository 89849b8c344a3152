//! Tensors that are one, by shared bytes and by equal ones.

use ckpt::DType;
use ckpt::model::{Checkpoint, Payload, Shape, Storage, Tensor};
use ckpt::op::tie;
use ckpt::parallel::Silent;

fn tensor(name: &str, shape: &[u64], byte: u8) -> Tensor {
    let shape = Shape::new(shape).unwrap();
    let bytes = vec![byte; shape.elements() as usize];
    let payload = Payload::Stored(Storage::inline(bytes));
    Tensor::new(name, DType::U8, shape, payload)
}

fn ties(checkpoint: &Checkpoint) -> Vec<Option<&str>> {
    let tensors = checkpoint.tensors.iter();
    tensors.map(|tensor| tensor.tied_to.as_deref()).collect()
}

#[test]
fn matrices_of_equal_bytes_are_tied_to_the_first() {
    let mut again = tensor("e", &[4, 2], 7);
    again.tied_to = Some("c".to_owned());
    let mut checkpoint = Checkpoint {
        tensors: vec![
            tensor("a", &[4, 2], 7),
            tensor("b", &[4, 2], 8),
            tensor("c", &[4, 2], 7),
            // Another shape, and vectors.
            tensor("d", &[2, 4], 7),
            again,
            tensor("f", &[8], 7),
            tensor("g", &[8], 7),
        ],
        ..Checkpoint::default()
    };
    assert_eq!(tie::bytes_to_read(&checkpoint), 24);
    tie::by_content(&mut checkpoint, 2, &Silent).unwrap();
    let a = Some("a");
    assert_eq!(ties(&checkpoint), [None, None, a, None, a, None, None]);
}

#[test]
fn ties_are_refused_by_name() {
    let mut b = tensor("b", &[2], 1);
    b.tied_to = Some("a".to_owned());
    let mut checkpoint = Checkpoint {
        tensors: vec![tensor("a", &[2], 1), b],
        ..Checkpoint::default()
    };
    let error = tie::refuse(&checkpoint).unwrap_err();
    assert_eq!(error.message(), "tensors share their bytes: `b` = `a`");
    checkpoint.tensors.pop();
    tie::refuse(&checkpoint).unwrap();
}

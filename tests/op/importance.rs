//! Importance matrices at work. Weights come from numpy, blocks from candle's own quantiser.

use crate::support::{read_json, testdata};
use ckpt::dtype::cast;
use ckpt::format::{self, imatrix};
use ckpt::model::{Checkpoint, Importance, ImportanceMatrix, Payload, Shape, Storage, Value};
use ckpt::op::convert::{Converted, Options, convert};
use ckpt::op::importance::{Weights, used};
use ckpt::stream::Reader;
use ckpt::{DType, Result, Tensor};
use std::sync::Arc;

fn tensor(name: &str, shape: &[u64]) -> Tensor {
    let shape = Shape::new(shape).unwrap();
    let value = |i: u64| ((i * 7919 + i / 77) % 1000) as f32 / 700.0 - 0.7;
    let bytes: Vec<u8> = (0..shape.elements())
        .flat_map(|i| value(i).to_le_bytes())
        .collect();
    Tensor::new(
        name,
        DType::F32,
        shape,
        Payload::Stored(Storage::inline(bytes)),
    )
}

fn measured() -> ImportanceMatrix {
    imatrix::open(&testdata("imatrix/measured.gguf")).unwrap()
}

fn quantised(
    tensors: Vec<Tensor>,
    dtype: DType,
    matrix: Option<ImportanceMatrix>,
) -> Result<Converted> {
    let checkpoint = Checkpoint {
        tensors,
        ..Checkpoint::default()
    };
    let options = Options {
        dtype: Some(dtype),
        holds: format::dtypes_of_target("x.gguf".as_ref()).unwrap(),
        importance: matrix.map(|matrix| Arc::new(Weights::new(matrix))),
        ..Options::default()
    };
    convert(checkpoint, &options)
}

fn blocks(tensor: &Tensor) -> Vec<u8> {
    Reader::open(tensor).unwrap().read_all().unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The weights that numpy finds.
fn weights(name: &str) -> Vec<f32> {
    let expected = read_json(&testdata("imatrix/expected.json"));
    serde_json::from_value(expected["gguf"][name].clone()).unwrap()
}

/// The square errors of `found` by the weights of the columns, row after row.
fn error(original: &Tensor, found: &Tensor, weights: &[f32]) -> f64 {
    let stored = blocks(found);
    let mut values = vec![0; original.elements() as usize * 4];
    cast::cast(found.dtype, DType::F32, &stored, &mut values).unwrap();
    let pairs = floats(&blocks(original)).into_iter().zip(floats(&values));
    let weighted = pairs.zip(weights.iter().cycle()).map(|((a, b), weight)| {
        let apart = f64::from(a) - f64::from(b);
        apart * apart * f64::from(*weight)
    });
    weighted.sum()
}

const KINDS: [(DType, candle_core::quantized::GgmlDType); 5] = {
    use candle_core::quantized::GgmlDType;
    [
        (DType::Q2K, GgmlDType::Q2K),
        (DType::Q3K, GgmlDType::Q3K),
        (DType::Q4K, GgmlDType::Q4K),
        (DType::Q5K, GgmlDType::Q5K),
        (DType::Q6K, GgmlDType::Q6K),
    ]
};

#[test]
fn weighted_blocks_are_those_of_candle_and_nearer_where_it_matters() {
    use candle_core::quantized::QTensor;
    let name = "blk.0.attn_q.weight";
    let original = tensor(name, &[16, 512]);
    let weights = weights(name);
    let values = floats(&blocks(&original));
    let theirs = candle_core::Tensor::from_vec(values, (16, 512), &candle_core::Device::Cpu);
    let theirs = theirs.unwrap();
    for (dtype, kind) in KINDS {
        let with = quantised(vec![original.clone()], dtype, Some(measured())).unwrap();
        let with = &with.checkpoint.tensors[0];
        let expected = QTensor::quantize_imatrix(&theirs, &weights, kind).unwrap();
        assert!(blocks(with) == *expected.data().unwrap(), "{dtype}");
        let without = quantised(vec![original.clone()], dtype, None).unwrap();
        let without = &without.checkpoint.tensors[0];
        let [a, b] = [with, without].map(|found| error(&original, found, &weights));
        assert!(a < b, "{dtype}: {a} with weights, {b} without");
    }
}

#[test]
fn experts_have_weights_of_their_own_under_every_name() {
    let stack = tensor("blk.0.ffn_up_exps.weight", &[3, 2, 256]);
    let bytes = blocks(&stack);
    let whole = quantised(vec![stack], DType::Q4K, Some(measured())).unwrap();
    let whole = blocks(&whole.checkpoint.tensors[0]);
    let single = |expert: usize, name: String| {
        let payload = Payload::Stored(Storage::inline(&bytes[expert * 2048..][..2048]));
        Tensor::new(name, DType::F32, Shape::new([2, 256]).unwrap(), payload)
    };
    for expert in 0..3 {
        let names = [
            format!("model.layers.0.mlp.experts.{expert}.up_proj.weight"),
            format!("model.layers.0.block_sparse_moe.experts.{expert}.w3.weight"),
            format!("blk.0.ffn_up.{expert}.weight"),
        ];
        let tensors = names.map(|name| single(expert, name)).to_vec();
        let converted = quantised(tensors, DType::Q4K, Some(measured())).unwrap();
        assert_eq!(used(&converted.checkpoint.tensors).with, 3);
        let own = &whole[expert * 288..][..288];
        for tensor in &converted.checkpoint.tensors {
            assert_eq!(blocks(tensor), own, "{}", tensor.name);
        }
    }
    let unweighted = quantised(vec![single(0, "x".into())], DType::Q4K, None).unwrap();
    assert_ne!(blocks(&unweighted.checkpoint.tensors[0]), whole[..288]);
}

#[test]
fn hugging_face_names_are_found_and_others_are_said() {
    let weights = Weights::new(measured());
    let found = |name: &str, columns: u64| {
        let found = weights.of(&tensor(name, &[2, columns])).unwrap();
        found.map(|importance: Importance| importance.sums.name)
    };
    let is = |name: &str, columns, entry: &str| {
        assert_eq!(found(name, columns).unwrap(), format!("{entry}.in_sum2"));
    };
    is("output.weight", 256, "output.weight");
    is("lm_head.weight", 256, "output.weight");
    is(
        "model.layers.0.self_attn.q_proj.weight",
        512,
        "blk.0.attn_q.weight",
    );
    is(
        "layers.0.mlp.down_proj.weight",
        256,
        "blk.0.ffn_down.weight",
    );
    assert_eq!(found("blk.1.attn_q.weight", 512), None);
    assert_eq!(
        found("model.layers.0.mlp.experts.x.up_proj.weight", 256),
        None
    );
}

#[test]
fn tensors_without_an_entry_are_counted() {
    let tensors = [
        "blk.0.attn_q.weight",
        "blk.1.attn_q.weight",
        "blk.2.attn_q.weight",
    ];
    let tensors = tensors.map(|name| tensor(name, &[2, 512])).to_vec();
    let converted = quantised(tensors.clone(), DType::Q6K, Some(measured())).unwrap();
    let found = used(&converted.checkpoint.tensors);
    assert_eq!(found.with, 1);
    assert_eq!(
        found.without,
        ["blk.1.attn_q.weight", "blk.2.attn_q.weight"]
    );
    let converted = quantised(tensors, DType::Q8_0, Some(measured())).unwrap();
    assert_eq!(used(&converted.checkpoint.tensors), Default::default());
}

#[test]
fn another_number_of_columns_is_an_error() {
    let message = |name: &str, shape: &[u64]| {
        let error = quantised(vec![tensor(name, shape)], DType::Q4K, Some(measured()));
        error.unwrap_err().to_string()
    };
    assert_eq!(
        message("blk.0.attn_q.weight", &[2, 256]),
        "tensor `blk.0.attn_q.weight`: the importance matrix has 512 weights in \
         `blk.0.attn_q.weight`, but [2, 256] needs 256"
    );
    assert!(message("blk.0.ffn_up_exps.weight", &[4, 2, 256]).ends_with("[4, 2, 256] needs 1024"));
    assert!(message("blk.0.ffn_up.3.weight", &[2, 256]).ends_with("[2, 256] needs 256"));
}

#[test]
fn the_result_says_what_its_weights_were() {
    let mut checkpoint = Checkpoint::default();
    Weights::new(measured()).record(&mut checkpoint);
    let get = |key: &str| {
        let key = format!("quantize.imatrix.{key}");
        let found = checkpoint.metadata.iter().find(|(known, _)| *known == key);
        found.unwrap().1.clone()
    };
    assert!(
        get("file")
            .as_text()
            .unwrap()
            .ends_with("imatrix/measured.gguf")
    );
    assert_eq!(get("dataset"), Value::text("calibration.txt"));
    assert_eq!(get("entries_count"), Value::Int(4));
    assert_eq!(get("chunks_count"), Value::Int(3));
    let types: Vec<&str> = checkpoint
        .metadata_types
        .iter()
        .map(|(_, kind)| *kind)
        .collect();
    assert_eq!(types, ["str", "str", "u32", "u32"]);
}

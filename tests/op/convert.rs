//! Conversion: what becomes of each kind of tensor. Expected numbers are torch 2.15's.

use crate::support::testdata;
use ckpt::format;
use ckpt::model::{Checkpoint, Payload, Quantization, Shape, Storage};
use ckpt::op::convert::{Change, Converted, Options, Reason, Scaling, Tied, convert};
use ckpt::stream::Reader;
use ckpt::{DType, Tensor};
use std::sync::Arc;

fn converted(file: &str, dtype: Option<DType>, tied: Tied) -> Converted {
    let checkpoint = format::open(&testdata(file)).unwrap();
    let options = Options {
        dtype,
        tied,
        holds: format::dtypes_of_target("x.safetensors".as_ref()).unwrap(),
        ..Default::default()
    };
    convert(checkpoint, &options).unwrap()
}

fn tensor<'a>(converted: &'a Converted, name: &str) -> &'a Tensor {
    converted.checkpoint.tensor(name).unwrap()
}

fn bytes(converted: &Converted, name: &str) -> Vec<u8> {
    let reader = Reader::open(tensor(converted, name)).unwrap();
    reader.read_all().unwrap()
}

/// The first six values of an F32 tensor.
fn values(converted: &Converted, name: &str) -> Vec<f32> {
    assert_eq!(tensor(converted, name).dtype, DType::F32);
    let bytes = bytes(converted, name);
    let values = bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    values.take(6).collect()
}

fn reason(converted: &Converted, name: &str) -> Reason {
    let tensors = converted.checkpoint.tensors.iter();
    let index = tensors.clone().position(|tensor| tensor.name == name);
    converted.changes[index.unwrap()].reason.clone()
}

#[test]
fn quantised_tensors_become_integers_with_scale_and_zero_point() {
    let converted = converted("pytorch/quantized.pt", None, Tied::Alias);
    assert_eq!(tensor(&converted, "qint8").dtype, DType::I8);
    assert_eq!(bytes(&converted, "qint8")[..6], [12, 10, 35, 0, 6, 232]);
    assert_eq!(tensor(&converted, "quint8").dtype, DType::U8);
    assert_eq!(
        bytes(&converted, "quint8")[..6],
        [137, 135, 160, 125, 131, 101]
    );
    assert_eq!(reason(&converted, "qint8"), Reason::Integers);
    assert_eq!(bytes(&converted, "qint8.scale"), 0.05f64.to_le_bytes());
    assert_eq!(bytes(&converted, "qint8.zero_point"), 3i64.to_le_bytes());
    assert_eq!(tensor(&converted, "channels.scale").elements(), 4);
    assert_eq!(
        bytes(&converted, "channels_unsigned.axis"),
        1i64.to_le_bytes()
    );
}

#[test]
fn quantised_tensors_stay_where_the_target_has_them() {
    let holds = format::dtypes_of_target("x.pt".as_ref()).unwrap();
    let options = Options {
        holds,
        ..Default::default()
    };
    for (file, count) in [("quantized.pt", 6), ("quantized-4bit.pt", 3)] {
        let source = format::open(&testdata("pytorch").join(file)).unwrap();
        let dtypes: Vec<DType> = source.tensors.iter().map(|tensor| tensor.dtype).collect();
        let converted = convert(source, &options).unwrap();
        let found = converted.checkpoint.tensors.iter();
        let found: Vec<DType> = found.map(|tensor| tensor.dtype).collect();
        assert_eq!((found.len(), found), (count, dtypes), "{file}");
        let is_kept = |change: &Change| change.reason == Reason::Kept;
        assert!(converted.changes.iter().all(is_kept), "{file}");
    }
}

/// PyTorch gives the rows of such tensors whole bytes, but packs them without gaps.
#[test]
fn four_bit_rows_that_end_within_a_byte_become_integers() {
    let stored = Payload::Stored(Storage::inline([0x21, 0x43, 0x65]));
    let mut packed = Tensor::new("w", DType::QU4x2, Shape::new([2, 3]).unwrap(), stored);
    packed.quantization = Some(Arc::new(Quantization::PerTensor {
        scale: 0.5,
        zero_point: 8,
    }));
    let checkpoint = Checkpoint {
        tensors: vec![packed],
        ..Checkpoint::default()
    };
    let options = Options {
        holds: format::dtypes_of_target("x.pt".as_ref()).unwrap(),
        ..Default::default()
    };
    let error = format::plan(&checkpoint, "x.pt".as_ref(), &Default::default()).unwrap_err();
    assert_eq!(
        error.message(),
        "rows of QU4X2 [2, 3] do not fill whole bytes"
    );
    let converted = convert(checkpoint, &options).unwrap();
    assert_eq!(bytes(&converted, "w"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(bytes(&converted, "w.scale"), 0.5f64.to_le_bytes());
}

#[test]
fn zero_points_that_pytorch_would_not_make_are_written_beside_the_integers() {
    let stored = |bytes: &[u8]| Payload::Stored(Storage::inline(bytes));
    let two = || Shape::new([2]).unwrap();
    let scales = [0.5f32, 2.0].map(f32::to_le_bytes).concat();
    let points = [1i32, -1].map(i32::to_le_bytes).concat();
    let mut tensor = Tensor::new("w", DType::QI8, two(), stored(&[3, 4]));
    tensor.quantization = Some(Arc::new(Quantization::PerChannel {
        scales: Box::new(Tensor::new("s", DType::F32, two(), stored(&scales))),
        zero_points: Box::new(Tensor::new("z", DType::I32, two(), stored(&points))),
        axis: 0,
    }));
    let checkpoint = Checkpoint {
        tensors: vec![tensor],
        ..Checkpoint::default()
    };
    let options = Options {
        holds: format::dtypes_of_target("x.pt".as_ref()).unwrap(),
        ..Default::default()
    };
    let converted = convert(checkpoint, &options).unwrap();
    assert_eq!(bytes(&converted, "w"), [3, 4]);
    assert_eq!(bytes(&converted, "w.zero_point"), points);
}

/// The same integers may stand for other numbers.
#[test]
fn quantised_tensors_of_other_scales_are_not_tied() {
    let source = format::open(&testdata("pytorch/flat-quantized.pt")).unwrap();
    let stored = source.tensor("qint8").unwrap();
    let tensor = |name: &str, scale| Tensor {
        name: name.to_owned(),
        quantization: Some(Arc::new(Quantization::PerTensor {
            scale,
            zero_point: 0,
        })),
        ..stored.clone()
    };
    let mut checkpoint = Checkpoint {
        tensors: vec![tensor("a", 0.5), tensor("b", 0.25), tensor("c", 0.5)],
        ..Checkpoint::default()
    };
    checkpoint.mark_tied();
    let ties = checkpoint.tensors.iter();
    let ties: Vec<Option<&str>> = ties.map(|tensor| tensor.tied_to.as_deref()).collect();
    assert_eq!(ties, [None, None, Some("a")]);
}

#[test]
fn quantised_tensors_become_their_numbers_where_a_dtype_is_asked_for() {
    let converted = converted("pytorch/quantized.pt", Some(DType::F32), Tied::Alias);
    let expected: [(&str, [f32; 6]); 5] = [
        ("qint8", [0.450_000_02, 0.35, 1.6, -0.15, 0.15, -1.35]),
        (
            "qint32",
            [0.437, 0.37, 1.582, -0.156, 0.151_000_01, -1.349_000_1],
        ),
        ("channels", [0.4, 0.4, 1.6, -0.2, 0.2, -1.300_000_1]),
        (
            "channels_unsigned",
            [0.4, -0.8, -0.900_000_04, 0.0, 0.4, -0.2],
        ),
        (
            "transposed",
            [0.450_000_02, -0.7, -0.900_000_04, -0.1, 0.35, -0.25],
        ),
    ];
    for (name, expected) in expected {
        assert_eq!(values(&converted, name), expected, "{name}");
        assert_eq!(reason(&converted, name), Reason::Dequantized);
    }
    assert!(converted.checkpoint.tensor("qint8.scale").is_none());
}

#[test]
fn complex_doubles_become_pairs() {
    let converted = converted("pytorch/dtypes.pt", None, Tied::Alias);
    let pairs = tensor(&converted, "complex128");
    assert_eq!(pairs.dtype, DType::F64);
    assert_eq!(pairs.shape.dimensions().last(), Some(&2));
    assert_eq!(reason(&converted, "complex128"), Reason::Pairs);
    assert_eq!(tensor(&converted, "complex64").dtype, DType::C64);
}

#[test]
fn a_dtype_is_for_floats_only() {
    let converted = converted("pytorch/dtypes.pt", Some(DType::BF16), Tied::Alias);
    for (name, dtype) in [
        ("int64", DType::I64),
        ("bool", DType::Bool),
        ("uint8", DType::U8),
        ("float64", DType::BF16),
        ("float8_e4m3fn", DType::BF16),
    ] {
        assert_eq!(tensor(&converted, name).dtype, dtype, "{name}");
    }
}

#[test]
fn tied_tensors_are_stored_once_or_cloned() {
    let alias = converted("pytorch/shared.pt", None, Tied::Alias);
    assert_eq!(
        tensor(&alias, "head.weight").tied_to.as_deref(),
        Some("embed.weight")
    );
    assert_eq!(reason(&alias, "head.weight"), Reason::Alias);
    // Another view of the same storage is a tensor of its own.
    assert_eq!(tensor(&alias, "flat.reshaped").tied_to, None);
    let clone = converted("pytorch/shared.pt", None, Tied::Clone);
    assert_eq!(tensor(&clone, "head.weight").tied_to, None);
    assert_eq!(bytes(&clone, "head.weight"), bytes(&clone, "embed.weight"));
}

#[test]
fn what_has_no_data_is_an_error_that_says_how_to_leave_it_out() {
    let checkpoint = format::open(&testdata("pytorch/meta.pt")).unwrap();
    let options = Options {
        dtype: None,
        tied: Tied::Alias,
        holds: format::dtypes_of_target("x.safetensors".as_ref()).unwrap(),
        ..Default::default()
    };
    let error = convert(checkpoint, &options).unwrap_err();
    assert!(error.place().tensor.is_some());
    assert!(error.hint().unwrap().contains("-x"), "{error}");
}

// torch 2: `scale = x.abs().max() / 448`, `(x / scale).to(torch.float8_e4m3fn)`.
#[test]
fn eight_bit_matrices_are_scaled_as_torch_does_it() {
    let bytes = [0.1f32, -0.75, 1.0, 0.003, 0.0, 1e-6].map(f32::to_le_bytes);
    let stored = |bytes: &[u8]| Payload::Stored(Storage::inline(bytes));
    let shape = |dimensions: &[u64]| Shape::new(dimensions).unwrap();
    let tensors = vec![
        Tensor::new(
            "a.weight",
            DType::F32,
            shape(&[2, 3]),
            stored(&bytes.concat()),
        ),
        Tensor::new("a.bias", DType::F32, shape(&[1]), stored(&[0; 4])),
        Tensor::new("zero", DType::F32, shape(&[1, 1]), stored(&[0; 4])),
    ];
    let checkpoint = Checkpoint {
        tensors,
        ..Checkpoint::default()
    };
    for scaling in [Scaling::Measured(2), Scaling::Planned] {
        let options = Options {
            dtype: Some(DType::F8E4M3),
            holds: format::dtypes_of_target("x.safetensors".as_ref()).unwrap(),
            scaling,
            ..Default::default()
        };
        let converted = convert(checkpoint.clone(), &options).unwrap().checkpoint;
        let of = |name: &str| converted.tensor(name).unwrap();
        assert_eq!(of("a.weight").dtype, DType::F8E4M3);
        assert_eq!(of("a.bias").dtype, DType::F32);
        assert_eq!(of("a.weight_scale").dtype, DType::F32);
        if scaling != Scaling::Planned {
            let read = |name: &str| Reader::open(of(name)).unwrap().read_all().unwrap();
            assert_eq!(read("a.weight"), [99, 250, 126, 59, 0, 0]);
            assert_eq!(read("a.weight_scale"), 991_054_117u32.to_le_bytes());
            assert_eq!(read("zero_scale"), 1f32.to_le_bytes());
        }
    }
}

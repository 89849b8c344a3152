//! Tensors as candle tensors. Values of blocks come from gguf-py 0.19.0 (`quants.dequantize`),
//! the others from the types' definitions.

use candle_core::quantized::{GgmlDType, gguf_file};
use candle_core::{DType as CandleType, Device, Tensor as CandleTensor};
use ckpt::candle::{load, to_candle, to_qtensor};
use ckpt::io::ByteOrder;
use ckpt::model::{Payload, Shape, Storage, Tensor};
use ckpt::{DType, Kind};

fn tensor(dtype: DType, shape: &[u64], bytes: &[u8]) -> Tensor {
    let payload = Payload::Stored(Storage::inline(bytes));
    Tensor::new("w", dtype, Shape::new(shape).unwrap(), payload)
}

fn loaded(dtype: DType, shape: &[u64], bytes: &[u8]) -> CandleTensor {
    to_candle(&tensor(dtype, shape, bytes), &Device::Cpu).unwrap()
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// `len` bytes of a fixed pattern, with 0.5 and 0.25 as f16 at these places.
fn pattern(len: usize, halves: &[usize]) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|i| (i * 37 + 11) as u8).collect();
    for (&at, bits) in halves.iter().zip([0x3800_u16, 0x3400]) {
        bytes[at..at + 2].copy_from_slice(&bits.to_le_bytes());
    }
    bytes
}

#[test]
fn floats_keep_their_type_shape_and_values() {
    let made = loaded(DType::F32, &[2, 3], &f32s(&[1.0, -2.0, 3.5, 0.0, 5.0, 6.0]));
    assert_eq!(made.dims(), [2, 3]);
    let rows = made.to_vec2::<f32>().unwrap();
    assert_eq!(rows, [[1.0, -2.0, 3.5], [0.0, 5.0, 6.0]]);

    for (dtype, kind, bytes) in [
        (DType::F16, CandleType::F16, vec![0x00, 0x3c, 0x00, 0xc1]),
        (DType::BF16, CandleType::BF16, vec![0x80, 0x3f, 0x20, 0xc0]),
        (DType::F8E4M3, CandleType::F8E4M3, vec![0x38, 0xc2]),
    ] {
        let made = loaded(dtype, &[2], &bytes);
        assert_eq!(made.dtype(), kind);
        let floats = made.to_dtype(CandleType::F32).unwrap();
        assert_eq!(floats.to_vec1::<f32>().unwrap(), [1.0, -2.5]);
    }
    let made = loaded(DType::F64, &[], &0.1f64.to_le_bytes());
    assert_eq!(made.to_scalar::<f64>().unwrap(), 0.1);
}

#[test]
fn integers_keep_their_type_or_get_the_next_that_holds_them() {
    let made = loaded(DType::I64, &[1], &(-5i64).to_le_bytes());
    assert_eq!(made.to_vec1::<i64>().unwrap(), [-5]);
    let made = loaded(DType::I32, &[1], &(-5i32).to_le_bytes());
    assert_eq!(made.to_vec1::<i32>().unwrap(), [-5]);
    let made = loaded(DType::I16, &[1], &(-5i16).to_le_bytes());
    assert_eq!(made.to_vec1::<i16>().unwrap(), [-5]);
    let made = loaded(DType::U32, &[1], &u32::MAX.to_le_bytes());
    assert_eq!(made.to_vec1::<u32>().unwrap(), [u32::MAX]);
    let made = loaded(DType::U8, &[3], &[0, 7, 255]);
    assert_eq!(made.to_vec1::<u8>().unwrap(), [0, 7, 255]);

    let made = loaded(DType::Bool, &[3], &[0, 1, 2]);
    assert_eq!(made.to_vec1::<u8>().unwrap(), [0, 1, 1]);
    let made = loaded(DType::I8, &[2], &[0x80, 5]);
    assert_eq!(made.to_vec1::<i16>().unwrap(), [-128, 5]);
    let made = loaded(DType::U16, &[1], &[0xff, 0xff]);
    assert_eq!(made.to_vec1::<u32>().unwrap(), [65535]);
    let made = loaded(DType::U64, &[1], &9u64.to_le_bytes());
    assert_eq!(made.to_vec1::<i64>().unwrap(), [9]);
}

#[test]
fn refuses_numbers_that_candle_cannot_hold() {
    let large = tensor(DType::U64, &[1], &u64::MAX.to_le_bytes());
    let error = to_candle(&large, &Device::Cpu).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `w`: holds 18446744073709551615; candle's largest integer is 9223372036854775807"
    );
    let complex = tensor(DType::C64, &[1], &[0; 8]);
    let error = to_candle(&complex, &Device::Cpu).unwrap_err();
    assert_eq!(error.to_string(), "tensor `w`: candle has no type for C64");
    assert!(error.hint().is_some());
}

#[test]
fn views_and_big_endian_tensors_come_out_in_order() {
    let storage = Storage::inline(f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let shape = Shape::new([3, 2]).unwrap();
    let transposed = Payload::view(storage, DType::F32, &shape, 0, [1, 3].into());
    let transposed = Tensor::new("w", DType::F32, shape, transposed);
    let made = to_candle(&transposed, &Device::Cpu).unwrap();
    let rows = made.to_vec2::<f32>().unwrap();
    assert_eq!(rows, [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);

    let big = Storage::inline(1.5f32.to_be_bytes()).with_order(ByteOrder::Big);
    let big = Tensor::new("w", DType::F32, Shape::scalar(), Payload::Stored(big));
    let made = to_candle(&big, &Device::Cpu).unwrap();
    assert_eq!(made.to_scalar::<f32>().unwrap(), 1.5);
}

#[test]
fn empty_tensors_are_tensors() {
    for dtype in [DType::F32, DType::I8, DType::U64, DType::Q4_0, DType::Q8K] {
        let made = loaded(dtype, &[2, 0], &[]);
        assert_eq!(made.dims(), [2, 0]);
    }
}

/// A block type, its pattern, and the first values, last values and sum that it decodes to.
type Block = (DType, usize, &'static [usize], [f32; 6], [f32; 3], f64);

const BLOCKS: [Block; 8] = [
    (
        DType::Q4_1,
        20,
        &[0, 2],
        [7.75, 2.25, 4.75, 7.25, 1.75, 4.25],
        [4.25, 5.25, 6.25],
        130.5,
    ),
    (
        DType::Q5_0,
        22,
        &[0],
        [4.5, -1.0, 1.5, -4.0, 6.5, -7.0],
        [-2.0, 7.0, 0.5],
        7.5,
    ),
    (
        DType::Q5_1,
        24,
        &[0, 2],
        [9.75, 12.25, 14.75, 9.25, 11.75, 6.25],
        [0.75, 1.75, 2.75],
        260.5,
    ),
    (
        DType::Q2K,
        84,
        &[80, 82],
        [16.5, 0.0, 5.5, 11.0, 16.5, 0.0],
        [-0.75, 2.25, 2.25],
        1029.5,
    ),
    (
        DType::Q3K,
        110,
        &[108],
        [40.5, -54.0, 13.5, -27.0, 40.5, -54.0],
        [-21.0, -14.0, 21.0],
        479.0,
    ),
    (
        DType::Q4K,
        144,
        &[0, 2],
        [157.75, -12.75, 64.75, 142.25, 219.75, 49.25],
        [9.25, 18.25, 24.25],
        27220.0,
    ),
    (
        DType::Q5K,
        176,
        &[0, 2],
        [405.75, -12.75, 312.75, 142.25, 467.75, 49.25],
        [39.25, 48.25, 54.25],
        58108.0,
    ),
    (
        DType::Q6K,
        210,
        &[208],
        [-715.5, 848.0, 291.5, -265.0, -821.5, 742.0],
        [75.0, -20.0, -30.0],
        2306.0,
    ),
];

#[test]
fn blocks_are_dequantised() {
    for (dtype, len, halves, first, last, sum) in BLOCKS {
        let row = u64::from(dtype.facts().block_elements);
        let made = loaded(dtype, &[1, row], &pattern(len, halves));
        assert_eq!(made.dtype(), CandleType::F32);
        let values = made.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values[..6], first, "{dtype}");
        assert_eq!(values[values.len() - 3..], last, "{dtype}");
        let found: f64 = values.iter().map(|&v| f64::from(v)).sum();
        assert_eq!(found, sum, "{dtype}");
    }
}

#[test]
fn blocks_can_stay_quantised() {
    let bytes = pattern(2 * 34, &[0, 34]);
    let made = to_qtensor(&tensor(DType::Q8_0, &[2, 32], &bytes), &Device::Cpu).unwrap();
    assert_eq!(made.dtype(), GgmlDType::Q8_0);
    assert_eq!(made.shape().dims(), [2, 32]);
    assert_eq!(made.data().unwrap().as_ref(), bytes);

    let norm = tensor(DType::F32, &[2], &f32s(&[1.5, -2.0]));
    let made = to_qtensor(&norm, &Device::Cpu).unwrap();
    let floats = made.dequantize(&Device::Cpu).unwrap();
    assert_eq!(floats.to_vec1::<f32>().unwrap(), [1.5, -2.0]);

    let error = to_qtensor(&tensor(DType::I8, &[1], &[0]), &Device::Cpu).unwrap_err();
    assert_eq!(error.message(), "candle has no quantised tensors of I8");
    let error = to_qtensor(&tensor(DType::F32, &[], &[0; 4]), &Device::Cpu).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn rows_that_are_no_whole_blocks_are_refused() {
    let reshaped = tensor(DType::Q8_0, &[2, 16], &[0; 34]);
    let error = to_qtensor(&reshaped, &Device::Cpu).unwrap_err();
    assert_eq!(
        error.message(),
        "rows of 16 elements are no whole blocks of Q8_0 (32)"
    );
}

#[test]
fn no_type_panics() {
    for &dtype in DType::ALL.iter().chain(&[DType::Unknown(99)]) {
        let facts = dtype.facts();
        let bytes = vec![0; facts.block_bytes as usize];
        let tensor = tensor(dtype, &[u64::from(facts.block_elements)], &bytes);
        for made in [
            to_candle(&tensor, &Device::Cpu).map(|_| ()),
            to_qtensor(&tensor, &Device::Cpu).map(|_| ()),
        ] {
            if let Err(error) = made {
                assert_eq!(error.kind(), Kind::Unsupported, "{dtype}");
                assert_eq!(error.place().tensor.as_deref(), Some("w"));
            }
        }
    }
}

/// A GGUF file of two F32 tensors of two elements, the second at `offset`.
fn two_tensors(offset: u8, data: &[f32]) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend([2u64, 0].map(u64::to_le_bytes).concat());
    for (name, offset) in [(b'a', 0), (b'b', offset)] {
        bytes.extend(1u64.to_le_bytes());
        bytes.push(name);
        bytes.extend([1u32.to_le_bytes(), 2u32.to_le_bytes(), [0; 4], [0; 4]].concat());
        bytes.extend(u64::from(offset).to_le_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes.extend(f32s(data));
    bytes
}

#[test]
fn a_whole_checkpoint_loads_in_file_order_and_ties_share_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    std::fs::write(&path, two_tensors(0, &[1.0, 2.0])).unwrap();
    let tensors = load(&path, &Device::Cpu).unwrap();
    let names: Vec<_> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(tensors[1].1.to_vec1::<f32>().unwrap(), [1.0, 2.0]);
    assert_eq!(tensors[0].1.id(), tensors[1].1.id());

    let values: Vec<f32> = (0..10).map(|i| i as f32).collect();
    std::fs::write(&path, two_tensors(32, &values)).unwrap();
    let tensors = load(&path, &Device::Cpu).unwrap();
    assert_eq!(tensors[1].1.to_vec1::<f32>().unwrap(), [8.0, 9.0]);
    assert_ne!(tensors[0].1.id(), tensors[1].1.id());
}

#[test]
fn candle_s_own_reader_finds_the_same_in_gguf_files() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/gguf");
    for name in ["version-1", "version-2", "alignment-64", "metadata"] {
        let path = folder.join(name).with_extension("gguf");
        let mut file = std::fs::File::open(&path).unwrap();
        let content = gguf_file::Content::read(&mut file).unwrap();
        let checkpoint = ckpt::format::open(&path).unwrap();
        assert_eq!(checkpoint.tensors.len(), content.tensor_infos.len());
        assert_eq!(checkpoint.metadata.len(), content.metadata.len());
        for tensor in &checkpoint.tensors {
            let theirs = content
                .tensor(&mut file, &tensor.name, &Device::Cpu)
                .unwrap();
            let ours = to_qtensor(tensor, &Device::Cpu).unwrap();
            assert_eq!(ours.shape(), theirs.shape(), "{name}: {}", tensor.name);
            assert_eq!(ours.dtype(), theirs.dtype());
            assert_eq!(ours.data().unwrap(), theirs.data().unwrap());
        }
    }
}

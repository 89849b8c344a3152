//! Casts against values that are known.

use super::*;

fn one(from: DType, to: DType, input: &[u8]) -> (Vec<u8>, Losses) {
    let elements = input.len() as u64 / u64::from(from.facts().block_bytes)
        * u64::from(from.facts().block_elements);
    let mut out = vec![0; to.byte_len(elements).unwrap() as usize];
    let losses = cast(from, to, input, &mut out).unwrap();
    (out, losses)
}

#[test]
fn doubles_are_rounded_once() {
    // Just above the middle between 1 and the next half; via f32 it would be a tie.
    let above = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
    let (out, _) = one(DType::F64, DType::F16, &above.to_le_bytes());
    assert_eq!(out, 0x3c01u16.to_le_bytes());
    let above = 1.0 + 2f64.powi(-8) + 2f64.powi(-40);
    let (out, _) = one(DType::F64, DType::BF16, &above.to_le_bytes());
    assert_eq!(out, 0x3f81u16.to_le_bytes());
    // The tie itself goes to even; just below the middle goes down.
    let (out, _) = one(
        DType::F64,
        DType::F16,
        &(1.0 + 2f64.powi(-11)).to_le_bytes(),
    );
    assert_eq!(out, 0x3c00u16.to_le_bytes());
    let below = 1.0 + 3.0 * 2f64.powi(-11) - 2f64.powi(-40);
    let (out, _) = one(DType::F64, DType::F16, &below.to_le_bytes());
    assert_eq!(out, 0x3c01u16.to_le_bytes());
}

#[test]
fn extreme_doubles_lose_and_say_so() {
    let input: Vec<u8> = [1e300, -1e300, 1e-300, 0.0, f64::INFINITY]
        .iter()
        .flat_map(|v: &f64| v.to_le_bytes())
        .collect();
    for (to, infinity) in [(DType::F16, 0x7c00u16), (DType::BF16, 0x7f80)] {
        let (out, losses) = one(DType::F64, to, &input);
        let expected = [infinity, infinity | 0x8000, 0, 0, infinity];
        let expected: Vec<u8> = expected.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(out, expected);
        assert_eq!((losses.overflow, losses.underflow), (2, 1));
    }
    let (_, losses) = one(DType::F64, DType::F32, &input);
    assert_eq!((losses.overflow, losses.underflow), (2, 1));
}

#[test]
fn integers_are_rounded_once() {
    // 2^24 + 1 is a tie for f32; with more below, it is not.
    let value = (1i64 << 60) + (1 << 52) + 1;
    let (out, _) = one(DType::I64, DType::BF16, &value.to_le_bytes());
    assert_eq!(out, 0x5d81u16.to_le_bytes());
    let (out, _) = one(DType::I64, DType::F32, &(-16_777_217i64).to_le_bytes());
    assert_eq!(out, (-16_777_216f32).to_le_bytes());
    let (out, _) = one(DType::U64, DType::F64, &u64::MAX.to_le_bytes());
    assert_eq!(out, 18_446_744_073_709_551_616f64.to_le_bytes());
    let (out, _) = one(DType::U32, DType::F32, &u32::MAX.to_le_bytes());
    assert_eq!(out, 4_294_967_296f32.to_le_bytes());
    let (out, _) = one(DType::I32, DType::F64, &(-5i32).to_le_bytes());
    assert_eq!(out, (-5f64).to_le_bytes());
    let (out, losses) = one(DType::I64, DType::F16, &100_000i64.to_le_bytes());
    assert_eq!(
        (out, losses.overflow),
        (0x7c00u16.to_le_bytes().to_vec(), 1)
    );
}

#[test]
fn every_cast_that_is_promised_is_made() {
    for &from in DType::ALL {
        for &to in DType::ALL {
            if check(from, to).is_err() {
                continue;
            }
            let facts = from.facts();
            let blocks = 2304 / facts.block_elements as usize;
            let (out, _) = one(from, to, &vec![0; blocks * facts.block_bytes as usize]);
            assert!(!out.is_empty(), "{from} {to}");
        }
    }
}

#[test]
fn refuses_lengths_that_do_not_fit() {
    let mut out = [0; 4];
    assert!(cast(DType::F32, DType::F16, &[0; 4], &mut out).is_err());
    assert!(cast(DType::F32, DType::F16, &[0; 7], &mut out).is_err());
    assert!(cast(DType::C64, DType::F32, &[0; 8], &mut out).is_err());
    assert!(cast(DType::Unknown(99), DType::F32, &[0; 4], &mut out).is_err());
}

#[test]
fn quantised_integers_unpack_from_the_lowest_bits() {
    assert_eq!(one(DType::QU4x2, DType::U8, &[0x21]).0, [1, 2]);
    assert_eq!(
        one(DType::QU2x4, DType::U8, &[0b11_10_01_00]).0,
        [0, 1, 2, 3]
    );
    assert_eq!(one(DType::QI8, DType::I8, &[0xff]).0, [0xff]);
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

macro_rules! encoded {
    ($name:literal) => {
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/testdata/encoded/",
            $name,
            ".bin"
        ))
        .as_slice()
    };
}

// Bytes of gguf-py's `quantize`: testdata/makers/encoded_files.py.
#[test]
fn blocks_are_those_of_gguf_py_byte_for_byte() {
    let files = [
        (DType::Q4_0, encoded!("Q4_0")),
        (DType::Q4_1, encoded!("Q4_1")),
        (DType::Q5_0, encoded!("Q5_0")),
        (DType::Q5_1, encoded!("Q5_1")),
        (DType::Q8_0, encoded!("Q8_0")),
        (DType::Tq1_0, encoded!("TQ1_0")),
        (DType::Tq2_0, encoded!("TQ2_0")),
        (DType::Mxfp4, encoded!("MXFP4")),
    ];
    for (dtype, file) in files {
        let facts = dtype.facts();
        let (elements, bytes) = (facts.block_elements as usize, facts.block_bytes as usize);
        let blocks = file.len() / (elements * 4 + bytes);
        assert!(blocks > 40, "{dtype}");
        let (values, expected) = file.split_at(blocks * elements * 4);
        for path in [Path::Fast, Path::Portable] {
            let mut out = vec![0; expected.len()];
            cast_by(path, DType::F32, dtype, values, &mut out).unwrap();
            let pairs = out.chunks(bytes).zip(expected.chunks(bytes));
            for (index, (found, expected)) in pairs.enumerate() {
                let block = &floats(values)[index * elements..][..elements];
                assert_eq!(found, expected, "{dtype} {path:?} {index} {block:?}");
            }
        }
    }
}

// torch 2: `.to(dtype)`, and `.clamp()` to the largest value before it.
#[test]
fn floats_are_those_of_torch() {
    let file = encoded!("torch");
    let (count, rest) = file.split_at(4);
    let count = u32::from_le_bytes(count.try_into().unwrap()) as usize;
    let (values, mut rest) = rest.split_at(count * 4);
    let mut check = |dtype: DType, overflow: Overflow| {
        let width = dtype.byte_len(1).unwrap() as usize;
        let (expected, after) = rest.split_at(count * width);
        rest = after;
        let options = Options {
            overflow: Some(overflow),
            importance: None,
        };
        let cast = Cast::new(DType::F32, dtype, &[count as u64], &options).unwrap();
        let mut out = vec![0; expected.len()];
        cast.run(Path::Fast, 0, values, &mut out).unwrap();
        let wide = |bytes: &[u8]| floats(&one(dtype, DType::F32, bytes).0);
        let pairs = out.chunks(width).zip(expected.chunks(width));
        for ((value, (found, bits)), expected) in
            floats(values).iter().zip(pairs).zip(wide(expected))
        {
            let same = found == bits || expected.is_nan() && wide(found)[0].is_nan();
            assert!(
                same,
                "{dtype} {overflow:?} {value}: {found:x?}, not {bits:x?}"
            );
        }
    };
    check(DType::BF16, Overflow::Infinity);
    check(DType::F16, Overflow::Infinity);
    use DType::{F8E4M3, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz};
    for dtype in [F8E4M3, F8E5M2, F8E4M3Fnuz, F8E5M2Fnuz] {
        // torch's cast to this one saturates by itself.
        check(
            dtype,
            match dtype {
                F8E4M3 => Overflow::Saturate,
                _ => Overflow::Infinity,
            },
        );
        check(dtype, Overflow::Saturate);
    }
    assert!(rest.is_empty());
}

#[test]
fn what_is_too_large_is_an_error_where_that_is_asked_for() {
    let options = Options {
        overflow: Some(Overflow::Error),
        importance: None,
    };
    let cast = Cast::new(DType::F32, DType::F16, &[3], &options).unwrap();
    let bytes = |values: [f32; 3]| values.map(f32::to_le_bytes).concat();
    let mut out = [0; 6];
    let fine = bytes([65504.0, f32::INFINITY, f32::NAN]);
    assert_eq!(
        cast.run(Path::Fast, 0, &fine, &mut out).unwrap(),
        Losses::default()
    );
    let error = cast.run(Path::Fast, 100, &bytes([1.0, 70000.0, 80000.0]), &mut out);
    assert_eq!(
        error.unwrap_err().message(),
        "element 101 is too large for F16"
    );
}

#[test]
fn doubles_saturate_where_that_is_asked_for() {
    let options = |overflow| Options {
        overflow: Some(overflow),
        importance: None,
    };
    let run = |overflow, value: f64| {
        let cast = Cast::new(DType::F64, DType::F32, &[1], &options(overflow)).unwrap();
        let mut out = [0; 4];
        let losses = cast
            .run(Path::Fast, 0, &value.to_le_bytes(), &mut out)
            .unwrap();
        (f32::from_le_bytes(out), losses.overflow, losses.nan)
    };
    assert_eq!(run(Overflow::Saturate, -1e300), (f32::MIN, 1, 0));
    assert_eq!(run(Overflow::Saturate, f64::INFINITY), (f32::MAX, 1, 0));
    assert_eq!(run(Overflow::Nan, f64::INFINITY), (f32::INFINITY, 0, 0));
    let (value, _, nan) = run(Overflow::Nan, 1e300);
    assert!(value.is_nan() && nan == 1);
}

#[test]
fn blocks_refuse_what_they_cannot_hold() {
    let message = |to: DType, value: f32, at: usize| {
        let mut values = [1f32; 2048];
        values[at] = value;
        let bytes = values.map(f32::to_le_bytes).concat();
        let mut out = vec![0; to.byte_len(2048).unwrap() as usize];
        let error = cast(DType::F32, to, &bytes, &mut out).unwrap_err();
        error.message().to_owned()
    };
    assert_eq!(
        message(DType::Q4_0, f32::NAN, 1500),
        "element 1500 is NaN, which Q4_0 blocks cannot hold"
    );
    assert_eq!(
        message(DType::Tq1_0, f32::INFINITY, 0),
        "element 0 is inf, which TQ1_0 blocks cannot hold"
    );
    assert_eq!(
        message(DType::Q8_0, 1e7, 1500),
        "the Q8_0 block from element 1472 on holds 10000000, too large for its scale"
    );
    assert!(check(DType::F32, DType::Iq2Xxs).is_err());
    assert!(check_rows(DType::Q4_0, &[64, 33]).is_err());
    assert!(check_rows(DType::Q4_0, &[]).is_err());
    assert!(check_rows(DType::Q4_0, &[3, 64]).is_ok());
}

#[test]
fn a_scale_that_vanishes_has_lost_its_values() {
    let values = [1e-12f32; 32].map(f32::to_le_bytes).concat();
    let mut out = [0; 34];
    let losses = cast(DType::F32, DType::Q8_0, &values, &mut out).unwrap();
    assert_eq!(losses.underflow, 32);
}

// The bytes of candle's own `QTensor::quantize` and `quantize_imatrix`.
#[cfg(feature = "candle")]
#[test]
fn k_quants_are_those_of_candle_for_any_chunks() {
    use candle_core::quantized::{GgmlDType, QTensor};
    let (rows, row) = (6, 512);
    let wave = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 700.0;
    let values: Vec<f32> = (0..rows * row).map(wave).collect();
    let weights: Vec<f32> = (0..row).map(|i| 0.1 + (i % 13) as f32).collect();
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let tensor = candle_core::Tensor::from_vec(values, (rows, row), &candle_core::Device::Cpu);
    let tensor = tensor.unwrap();
    let kinds = [
        (DType::Q2K, GgmlDType::Q2K),
        (DType::Q3K, GgmlDType::Q3K),
        (DType::Q4K, GgmlDType::Q4K),
        (DType::Q5K, GgmlDType::Q5K),
        (DType::Q6K, GgmlDType::Q6K),
    ];
    for (dtype, kind) in kinds {
        for importance in [None, Some(Arc::from(weights.as_slice()))] {
            let expected = match importance {
                None => QTensor::quantize(&tensor, kind),
                Some(_) => QTensor::quantize_imatrix(&tensor, &weights, kind),
            };
            let expected = expected.unwrap().data().unwrap().to_vec();
            let options = Options {
                overflow: None,
                importance,
            };
            let shape = [rows as u64, row as u64];
            let cast = Cast::new(DType::F32, dtype, &shape, &options).unwrap();
            // Chunks that start in the middle of a row.
            let mut found = Vec::new();
            for (index, input) in bytes.chunks(4 * 3 * 256).enumerate() {
                let mut out = vec![0; dtype.byte_len(input.len() as u64 / 4).unwrap() as usize];
                let first = (index * 3 * 256) as u64;
                cast.run(Path::Fast, first, input, &mut out).unwrap();
                found.extend(out);
            }
            assert!(
                found == expected,
                "{dtype} {}",
                options.importance.is_some()
            );
        }
    }
}

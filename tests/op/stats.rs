//! `op::stats`. Expected sums are those of Python's `fractions.Fraction` over the same elements,
//! rounded once; quantiles are numpy's.

use ckpt::io::Source;
use ckpt::kernel::InstructionSet;
use ckpt::model::{Checkpoint, Payload, Quantization, Shape, Storage, Tensor};
use ckpt::op::group::Grouping;
use ckpt::op::stats::{Measures, Number, Options, Outcome, Stats, stats};
use ckpt::{DType, Kind};
use std::sync::Arc;

fn tensor(name: &str, dtype: DType, elements: u64, bytes: Vec<u8>) -> Tensor {
    let shape = Shape::new([elements]).unwrap();
    Tensor::new(name, dtype, shape, Payload::Stored(Storage::inline(bytes)))
}

fn f32s(name: &str, values: impl IntoIterator<Item = f32>) -> Tensor {
    let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    tensor(name, DType::F32, bytes.len() as u64 / 4, bytes)
}

fn f64s(name: &str, values: impl IntoIterator<Item = f64>) -> Tensor {
    let bytes: Vec<u8> = values.into_iter().flat_map(f64::to_le_bytes).collect();
    tensor(name, DType::F64, bytes.len() as u64 / 8, bytes)
}

fn checkpoint(tensors: Vec<Tensor>) -> Checkpoint {
    Checkpoint {
        path: "a.test".to_owned(),
        format: "test",
        tensors,
        ..Checkpoint::default()
    }
}

fn measured(stats: &Stats, row: usize) -> &Measures {
    stats.rows[row].measures().unwrap()
}

fn of(tensor: Tensor) -> Measures {
    let stats = stats(&checkpoint(vec![tensor]), &Options::default()).unwrap();
    assert!(stats.failures.is_empty(), "{:?}", stats.failures);
    measured(&stats, 0).clone()
}

fn close(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    let error = (found - expected).abs();
    assert!(
        error <= 1e-9 * expected.abs(),
        "{found:e} is not {expected:e}"
    );
}

/// `[mean, std, l1, l2]`.
fn check_sums(tensor: Tensor, expected: [f64; 4]) {
    let found = of(tensor);
    close(found.mean(), expected[0]);
    close(found.std(), expected[1]);
    close(found.moments.l1(), expected[2]);
    close(found.moments.l2(), expected[3]);
}

fn mixed() -> impl Iterator<Item = f64> {
    (0..10_000).map(|i: i32| {
        let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
        sign * (1.0 + f64::from(i) / 16384.0) * 2f64.powi(i % 120 - 60)
    })
}

#[test]
fn a_large_mean_with_a_small_spread_keeps_its_digits() {
    let singles = (0..10_000).map(|i| 1e8 + 8.0 * (i % 5) as f32);
    check_sums(
        f32s("x", singles),
        [
            100000016.0,
            11.313708498984761,
            1000000160000.0,
            10000001600.000065,
        ],
    );
    let doubles = (0..10_000).map(|i| 1e8 + 1e-5 * f64::from(i * 7919 % 1000));
    check_sums(
        f64s("x", doubles),
        [
            100000000.004995,
            0.002886749881035659,
            1000000000049.95,
            10000000000.4995,
        ],
    );
}

#[test]
fn denormals_keep_their_digits() {
    check_sums(
        f32s("x", (0..10_000).map(|i| f32::from_bits(i % 7))),
        [
            4.2030546138958564e-45,
            2.8025267367305667e-45,
            4.2030546138958563e-41,
            5.051714975875116e-43,
        ],
    );
    let found = of(f64s("x", (0..10_000).map(|i| f64::from_bits(i % 7))));
    // Denormal results have few digits themselves.
    assert_eq!(found.mean(), Some(1.5e-323));
    assert_eq!(found.std(), Some(1e-323));
    assert_eq!(found.moments.l1(), Some(1.4819e-319));
    assert_eq!(found.moments.l2(), Some(1.784e-321));
}

#[test]
fn mixed_magnitudes_keep_their_digits() {
    let expected = [
        -4170841473653029.0,
        7.989450437329106e+16,
        1.2511745673523521e+20,
        8.000329835483139e+18,
    ];
    check_sums(f64s("x", mixed()), expected);
    check_sums(f32s("x", mixed().map(|value| value as f32)), expected);
}

#[test]
fn squares_beyond_an_f64_do_no_harm() {
    let values = (0..10_000).map(|i| {
        let sign = if i % 2 == 0 { 1.0 } else { -0.5 };
        sign * 1e300 * (1.0 + f64::from(i % 3))
    });
    check_sums(
        f64s("x", values),
        [
            5.0005000000000005e+299,
            1.6329650937787985e+300,
            1.4999500000000001e+304,
            1.707812928865454e+302,
        ],
    );
    // A sum that no f64 holds has a mean that one does.
    let found = of(f64s("x", [1.7e308, 1.7e308, 1.7e308]));
    close(found.mean(), 1.7e308);
    assert_eq!(found.moments.l1(), Some(f64::INFINITY));
}

/// Some of everything: long and short, finite and not.
fn assorted() -> Vec<Tensor> {
    let noise = |count: u64| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ count;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..count).map(|_| next()).collect::<Vec<u8>>()
    };
    let mut tensors = vec![f32s(
        "long",
        (0..2_200_000).map(|i| (i % 8191) as f32 * 1e-3 - 1.0),
    )];
    for &dtype in DType::ALL {
        let facts = dtype.facts();
        let elements = 12_288 + 3 * u64::from(facts.block_elements) * 256;
        let bytes = noise(dtype.byte_len(elements).unwrap());
        let mut tensor = tensor(&format!("noise.{dtype}"), dtype, elements, bytes);
        if dtype.class() == ckpt::dtype::Class::Quantized {
            tensor.quantization = Some(Arc::new(Quantization::PerTensor {
                scale: 0.1,
                zero_point: 3,
            }));
        }
        tensors.push(tensor);
    }
    tensors
}

#[test]
fn digits_do_not_depend_on_threads_chunks_or_instructions() {
    let checkpoint = checkpoint(assorted());
    let with = |threads, chunk_bytes, instructions| {
        let options = Options {
            threads,
            chunk_bytes,
            instructions,
            quantiles: vec![0.0, 0.1, 0.5, 1.0],
            bins: 8,
            ..Options::default()
        };
        stats(&checkpoint, &options).unwrap()
    };
    let expected = with(1, 256 << 10, InstructionSet::Baseline);
    let measured = expected.rows.iter().filter(|row| row.measures().is_some());
    assert!(measured.count() > 40);
    let best = InstructionSet::best();
    for (threads, chunk_bytes) in [(1, 1), (2, 100_000), (7, 3 << 20)] {
        let found = with(threads, chunk_bytes, best);
        for (found, expected) in found.rows.iter().zip(&expected.rows) {
            assert_eq!(found.measures(), expected.measures(), "{}", found.name);
        }
        assert_eq!(found.totals, expected.totals);
    }
}

#[test]
fn long_integers_have_all_of_their_digits() {
    let bytes = [i64::MIN, 9_007_199_254_740_993, -1].map(i64::to_le_bytes);
    let found = of(tensor("x", DType::I64, 3, bytes.concat()));
    assert_eq!(found.min(), Some(Number::Integer(i128::from(i64::MIN))));
    assert_eq!(found.max(), Some(Number::Integer(9_007_199_254_740_993)));
    assert_eq!(found.abs_max(), Some(Number::Integer(1 << 63)));
    let bytes = [u64::MAX, 0].map(u64::to_le_bytes);
    let found = of(tensor("x", DType::U64, 2, bytes.concat()));
    assert_eq!(found.max(), Some(Number::Integer(i128::from(u64::MAX))));
    assert_eq!(found.moments.zeros, 1);
    close(found.mean(), 9.223372036854775e18);
}

#[test]
fn bool_counts_any_byte_but_zero_as_one() {
    let found = of(tensor("x", DType::Bool, 4, vec![0, 1, 7, 0]));
    assert_eq!(found.max(), Some(Number::Integer(1)));
    assert_eq!((found.mean(), found.std()), (Some(0.5), Some(0.5)));
    assert_eq!(found.moments.zeros, 2);
}

#[test]
fn what_is_not_finite_is_counted_and_found() {
    let mut values = vec![1.0f32; 10_000];
    (values[4_999], values[5_000], values[9_999]) = (f32::INFINITY, f32::NAN, 3.0);
    let found = of(f32s("x", values));
    let moments = &found.moments;
    assert_eq!((moments.nans, moments.infs), (1, 1));
    assert_eq!(moments.first_nonfinite, Some(4_999));
    assert_eq!(found.max(), Some(Number::Float(3.0)));
    close(found.mean(), 10_000.0 / 9_998.0);
    // F8_E4M3: 0x7f is NaN, 0x38 is 1.
    let found = of(tensor("x", DType::F8E4M3, 3, vec![0x38, 0x7f, 0x38]));
    assert_eq!(found.moments.first_nonfinite, Some(1));
    assert_eq!(found.mean(), Some(1.0));
}

#[test]
fn nothing_finite_has_no_statistics() {
    for values in [vec![], vec![f32::NAN, f32::INFINITY]] {
        let found = of(f32s("x", values));
        assert_eq!(
            (found.min(), found.max(), found.abs_max()),
            (None, None, None)
        );
        assert_eq!((found.mean(), found.std()), (None, None));
        assert_eq!((found.moments.l1(), found.moments.l2()), (None, None));
        assert!(found.quantiles.is_empty());
    }
}

#[test]
fn complex_numbers_have_norms_only() {
    let bytes = [3.0f32, 4.0, 0.0, 0.0, f32::NAN, f32::INFINITY].map(f32::to_le_bytes);
    let found = of(tensor("x", DType::C64, 3, bytes.concat()));
    assert_eq!((found.min(), found.mean(), found.std()), (None, None, None));
    assert_eq!(found.abs_max(), Some(Number::Float(5.0)));
    assert_eq!(
        (found.moments.l1(), found.moments.l2()),
        (Some(5.0), Some(5.0))
    );
    let moments = &found.moments;
    assert_eq!((moments.zeros, moments.nans, moments.infs), (1, 1, 0));
}

#[test]
fn quantized_tensors_are_measured_after_dequantization() {
    // torch.quantize_per_tensor(...).dequantize(): (q - 3) * float32(0.1), in float32.
    let mut quantized = tensor("x", DType::QI8, 3, vec![3, 13, 0xff]);
    quantized.quantization = Some(Arc::new(Quantization::PerTensor {
        scale: 0.1,
        zero_point: 3,
    }));
    let found = of(quantized);
    assert_eq!(found.min(), Some(Number::Float(-0.4000000059604645)));
    assert_eq!(found.max(), Some(Number::Float(1.0)));
    assert_eq!(found.moments.zeros, 1);
}

#[test]
fn tensors_without_data_are_rows_without_statistics() {
    let shape = || Shape::new([2]).unwrap();
    let meta = Tensor::new("meta", DType::F32, shape(), Payload::Absent("meta device"));
    let unknown = tensor("unknown", DType::Unknown(42), 2, vec![0; 8]);
    let found = stats(&checkpoint(vec![meta, unknown]), &Options::default()).unwrap();
    assert!(found.failures.is_empty());
    let absent: Vec<&str> = found.absent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(absent, ["meta", "unknown"]);
}

#[test]
fn a_tensor_that_cannot_be_read_does_not_stop_the_others() {
    let source = Source::from_bytes("short", vec![0; 8]);
    let payload = Payload::Stored(Storage::extent(&source, 0, 400));
    let broken = Tensor::new("broken", DType::F32, Shape::new([100]).unwrap(), payload);
    let all = vec![broken, f32s("good", [1.0, 2.0])];
    let found = stats(&checkpoint(all), &Options::default()).unwrap();
    assert!(matches!(found.rows[0].outcome, Outcome::Failed(_)));
    assert_eq!(measured(&found, 1).mean(), Some(1.5));
    let [error] = found.failures.as_slice() else {
        panic!("{:?}", found.failures);
    };
    assert_eq!(error.kind(), Kind::Malformed);
    assert_eq!(error.place().tensor.as_deref(), Some("broken"));
}

#[test]
fn a_view_of_a_few_bytes_cannot_ask_for_days() {
    let storage = Storage::inline(vec![0; 4]);
    let payload = Payload::Strided {
        storage,
        first: 0,
        strides: Box::new([0]),
    };
    let huge = Tensor::new("huge", DType::F32, Shape::new([1 << 50]).unwrap(), payload);
    let found = stats(&checkpoint(vec![huge]), &Options::default()).unwrap();
    assert_eq!(found.failures[0].kind(), Kind::Limit);
}

#[test]
fn tied_tensors_are_rows_but_count_once() {
    let first = f32s("first", [0.0, 1.0]);
    let mut second = first.clone();
    second.name = "second".to_owned();
    second.tied_to = Some("first".to_owned());
    let found = stats(&checkpoint(vec![first, second]), &Options::default()).unwrap();
    assert_eq!(measured(&found, 0), measured(&found, 1));
    let totals = found.totals;
    assert_eq!((totals.tensors, totals.elements, totals.zeros), (2, 2, 1));
}

#[test]
fn groups_are_measured_as_if_they_were_one_tensor() {
    let halves = [
        mixed().take(777).collect::<Vec<f64>>(),
        mixed().skip(777).collect(),
    ];
    let tensors = vec![
        f64s("layers.0.a", halves[0].clone()),
        f32s("head", [1.0]),
        f64s("layers.0.b", halves[1].clone()),
    ];
    let options = Options {
        by: Some(Grouping::read("layer").unwrap()),
        quantiles: vec![0.5],
        ..Options::default()
    };
    let found = stats(&checkpoint(tensors), &options).unwrap();
    let names: Vec<&str> = found.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["layers.0", "head"]);
    assert_eq!((found.rows[0].tensors, found.rows[0].elements), (2, 10_000));
    let group = measured(&found, 0);
    close(group.mean(), -4170841473653029.0);
    close(group.std(), 7.989450437329106e+16);
    let whole = stats(
        &checkpoint(vec![f64s("x", mixed())]),
        &Options {
            quantiles: vec![0.5],
            ..Options::default()
        },
    );
    assert_eq!(group.quantiles, measured(&whole.unwrap(), 0).quantiles);
}

#[test]
fn quantiles_of_short_types_are_exact() {
    // numpy.quantile(float16(arange(1, 2049) / 16), [0.01, 0.5, 0.999])
    let bytes: Vec<u8> = (1..2049)
        .flat_map(|i| half::f16::from_f32(i as f32 / 16.0).to_le_bytes())
        .collect();
    let options = Options {
        quantiles: vec![0.01, 0.5, 0.999],
        ..Options::default()
    };
    let tensors = vec![tensor("x", DType::F16, 2048, bytes)];
    let found = stats(&checkpoint(tensors), &options).unwrap();
    let found = &measured(&found, 0).quantiles;
    for (found, expected) in found.iter().zip([1.341875, 64.03125, 127.8720625]) {
        close(Some(*found), expected);
    }
}

#[test]
fn quantiles_outside_of_their_range_are_refused() {
    for at in [-0.1, 1.1, f64::NAN] {
        let options = Options {
            quantiles: vec![at],
            ..Options::default()
        };
        let error = stats(&checkpoint(vec![]), &options).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
    }
}

//! What differs between two checkpoints: hand-made ones, compared in memory.

use ckpt::DType;
use ckpt::io::Source;
use ckpt::model::{Checkpoint, Payload, Quantization, Shape, Storage, Tensor, Value};
use ckpt::op::diff::{Difference, Metrics, Options, Row, Tolerance, Verdict, diff};
use ckpt::op::group::Grouping;
use ckpt::op::rename::Rename;
use ckpt::parallel::Silent;
use std::sync::Arc;

fn tensor(name: &str, dtype: DType, shape: &[u64], bytes: Vec<u8>) -> Tensor {
    let payload = Payload::Stored(Storage::inline(bytes));
    Tensor::new(name, dtype, Shape::new(shape).unwrap(), payload)
}

fn f32s(name: &str, shape: &[u64], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor(name, DType::F32, shape, bytes)
}

fn vector(name: &str, values: &[f32]) -> Tensor {
    f32s(name, &[values.len() as u64], values)
}

fn bf16s(name: &str, bits: &[u16]) -> Tensor {
    let bytes = bits.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor(name, DType::BF16, &[bits.len() as u64], bytes)
}

fn i64s(name: &str, values: &[i64]) -> Tensor {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor(name, DType::I64, &[values.len() as u64], bytes)
}

fn side(tensors: Vec<Tensor>) -> Checkpoint {
    Checkpoint {
        path: "x".to_owned(),
        format: "safetensors",
        tensors,
        ..Checkpoint::default()
    }
}

fn options() -> Options {
    Options {
        threads: 2,
        ..Options::default()
    }
}

fn compare(a: Vec<Tensor>, b: Vec<Tensor>) -> Difference {
    diff(&side(a), &side(b), &options(), &Silent).unwrap()
}

/// The only row of a comparison of two tensors of one name.
fn pair(a: Tensor, b: Tensor) -> Row {
    let mut difference = compare(vec![a], vec![b]);
    assert_eq!(difference.rows.len(), 1);
    difference.rows.remove(0)
}

fn verdict(a: Tensor, b: Tensor) -> Verdict {
    pair(a, b).verdict.unwrap()
}

fn verdicts(difference: &Difference) -> Vec<(&str, Verdict)> {
    let row = |row: &'_ Row| *row.verdict.as_ref().unwrap();
    let rows = difference.rows.iter();
    rows.map(|r| (r.name.as_str(), row(r))).collect()
}

/// Two float tensors whose metrics numpy has computed.
fn numpy_pair() -> (Vec<f32>, Vec<f32>) {
    let a: Vec<f32> = (0..3_000_000i64)
        .map(|i| ((i * 7919) % 1000 - 500) as f32 / 64.0)
        .collect();
    let moved = (0..).zip(&a);
    let b = moved.map(|(i, a): (i64, _)| a + ((i * 31) % 17 - 8) as f32 / 4096.0);
    let b = b.collect();
    (a, b)
}

#[track_caller]
fn assert_near(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!(
        (found / expected - 1.0).abs() < 1e-10,
        "{found}, not {expected}"
    );
}

#[test]
fn a_checkpoint_is_identical_to_itself_whatever_it_holds() {
    let tensors = || {
        vec![
            vector("nan", &[f32::NAN, 1.0]),
            vector("empty", &[]),
            i64s("long", &[i64::MAX]),
            // No decoder is needed for equal bytes.
            tensor("block", DType::Iq2Xxs, &[256], vec![7; 66]),
            f32s("scalar", &[], &[3.0]),
        ]
    };
    let difference = compare(tensors(), tensors());
    assert!(difference.is_same(&[]));
    assert_eq!(difference.count(Verdict::Identical), 5);
    assert_eq!(difference.rows[0].metrics.changed, Some(0));
    assert_eq!(difference.rows[0].metrics.rel_l2, Some(0.0));
    assert_eq!(difference.metadata, []);
}

// numpy 2: float64 over 3,000,000 elements.
#[test]
fn metrics_are_those_of_numpy() {
    let (a, b) = numpy_pair();
    let row = pair(vector("w", &a), vector("w", &b));
    assert_eq!(row.verdict.unwrap(), Verdict::Changed);
    let metrics = row.metrics;
    assert_eq!(metrics.changed, Some(2_823_529));
    assert_eq!(metrics.max_abs, Some(0.001953125));
    assert_eq!(metrics.max_abs_at, Some(0));
    assert_near(metrics.mean_abs, 0.00103400732421875);
    assert_near(metrics.rmse, 0.0011960399799150086);
    assert_near(metrics.rel_l2, 0.00026516479251168624);
    assert_near(metrics.cosine, 0.9999999648438183);
    assert_near(metrics.snr_db, 71.52968280541698);
}

// torch 2: `.to(torch.bfloat16)`, and numpy for the metrics.
#[test]
fn what_a_cast_explains_is_rounded() {
    let (a, _) = numpy_pair();
    let narrow: Vec<u16> = a
        .iter()
        .map(|&v| half::bf16::from_f32(v).to_bits())
        .collect();
    for swapped in [false, true] {
        let (wide, narrow) = (vector("w", &a), bf16s("w", &narrow));
        let row = match swapped {
            false => pair(wide, narrow),
            true => pair(narrow, wide),
        };
        assert_eq!(row.verdict.unwrap(), Verdict::Rounded);
        assert_eq!(row.metrics.changed, Some(732_000));
        assert_eq!(row.metrics.max_abs, Some(0.015625));
        assert_eq!(row.metrics.max_abs_at, Some(1));
        assert_near(row.metrics.rmse, 0.007718180647017793);
    }
    // One element that no cast explains.
    let mut wrong = narrow.clone();
    wrong[2_999_999] ^= 1;
    assert_eq!(
        verdict(vector("w", &a), bf16s("w", &wrong)),
        Verdict::Changed
    );
    // Widening loses nothing.
    let widened: Vec<f32> = narrow
        .iter()
        .map(|&v| half::bf16::from_bits(v).to_f32())
        .collect();
    assert_eq!(
        verdict(bf16s("w", &narrow), vector("w", &widened)),
        Verdict::EqualValues
    );
}

#[test]
fn digits_are_the_same_for_any_number_of_threads() {
    let (a, mut b) = numpy_pair();
    // The second piece is equal, and there is a NaN in the third.
    b[1 << 20..2 << 20].copy_from_slice(&a[1 << 20..2 << 20]);
    b[2_500_000] = f32::NAN;
    let a = side(vec![vector("w", &a), vector("v", &a)]);
    let b = side(vec![vector("w", &b), vector("v", &b)]);
    let metrics = |threads| -> Vec<Metrics> {
        let options = Options {
            threads,
            ..options()
        };
        let rows = diff(&a, &b, &options, &Silent).unwrap().rows;
        rows.iter().map(|row| row.metrics).collect()
    };
    let expected = metrics(1);
    assert_eq!(expected[0].first_non_finite, Some(2_500_000));
    for threads in [2, 7] {
        assert_eq!(metrics(threads), expected);
    }
    // Whether equal pieces were skipped at first makes no difference.
    let with_norms = Options {
        with_norms: true,
        ..options()
    };
    let rows = diff(&a, &b, &with_norms, &Silent).unwrap().rows;
    assert_eq!(
        rows.iter().map(|row| row.metrics).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn the_other_way_round_is_the_mirror() {
    let (a, b) = (
        vec![vector("w", &[1.0, 2.0]), vector("a", &[0.0])],
        vec![vector("w", &[1.0, 4.0])],
    );
    let there = compare(a.clone(), b.clone());
    let back = compare(b, a);
    assert_eq!(
        verdicts(&there),
        [("a", Verdict::OnlyInA), ("w", Verdict::Changed)]
    );
    assert_eq!(
        verdicts(&back),
        [("a", Verdict::OnlyInB), ("w", Verdict::Changed)]
    );
    assert_eq!(there.rows[1].metrics.max_abs, back.rows[1].metrics.max_abs);
    assert_eq!(there.rows[1].metrics.cosine, back.rows[1].metrics.cosine);
}

#[test]
fn the_order_of_files_does_not_matter() {
    let tensors: Vec<Tensor> = (0..20)
        .map(|i| vector(&format!("l.{i}.w"), &[i as f32]))
        .collect();
    let mut reversed = tensors.clone();
    reversed.reverse();
    let names = |difference: Difference| -> Vec<String> {
        difference.rows.into_iter().map(|row| row.name).collect()
    };
    let first = names(compare(tensors.clone(), reversed.clone()));
    assert_eq!(first, names(compare(reversed, tensors)));
    assert_eq!(first[2], "l.2.w");
}

#[test]
fn nan_never_hides_a_difference_nor_makes_one() {
    let nan = f32::NAN;
    let other_nan = f32::from_bits(0x7fc0_0001);
    let of = |a: &[f32], b: &[f32]| verdict(vector("w", a), vector("w", b));
    assert_eq!(of(&[nan, 1.0], &[nan, 1.0]), Verdict::Identical);
    assert_eq!(of(&[nan, 1.0], &[other_nan, 1.0]), Verdict::EqualValues);
    assert_eq!(of(&[nan, 1.0], &[2.0, 1.0]), Verdict::NonFinite);
    assert_eq!(of(&[1.0], &[f32::INFINITY]), Verdict::NonFinite);
    assert_eq!(of(&[nan, 1.0], &[2.0, 3.0]), Verdict::Changed);
    assert_eq!(of(&[0.0], &[-0.0]), Verdict::EqualValues);
    let row = pair(vector("w", &[nan, nan, 1.0]), vector("w", &[nan, 5.0, 1.0]));
    let metrics = row.metrics;
    assert_eq!(
        (metrics.both_nan, metrics.non_finite, metrics.changed),
        (1, 1, Some(1))
    );
    assert_eq!(
        (metrics.first_non_finite, metrics.max_abs),
        (Some(1), Some(0.0))
    );
}

#[test]
fn integers_are_compared_exactly() {
    let large = 1i64 << 53;
    let row = pair(i64s("n", &[large, 3]), i64s("n", &[large + 1, 3]));
    assert_eq!(row.metrics.changed, Some(1));
    assert_eq!(row.metrics.max_abs, Some(1.0));
    // 2^53 + 1 has no f64, so the cast explains it.
    let double = tensor("n", DType::F64, &[1], (large as f64).to_le_bytes().to_vec());
    assert_eq!(
        verdict(i64s("n", &[large]), double.clone()),
        Verdict::EqualValues
    );
    assert_eq!(verdict(i64s("n", &[large + 1]), double), Verdict::Rounded);
    let flags = tensor("n", DType::Bool, &[2], vec![0, 1]);
    assert_eq!(
        verdict(flags.clone(), i64s("n", &[0, 1])),
        Verdict::EqualValues
    );
    assert_eq!(verdict(flags, i64s("n", &[0, 2])), Verdict::Changed);
}

// numpy: abs(a - b).max(), norm(a - b) / norm(a), vdot(a, b).real / norm(a) / norm(b).
#[test]
fn complex_numbers_are_apart_by_the_size_of_their_difference() {
    let c64 = |values: &[[f32; 2]]| {
        let bytes = values
            .as_flattened()
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        tensor("z", DType::C64, &[values.len() as u64], bytes)
    };
    let row = pair(
        c64(&[[1.0, 2.0], [3.0, -4.0]]),
        c64(&[[1.0, 2.0], [0.0, 0.0]]),
    );
    assert_eq!(row.metrics.changed, Some(1));
    assert_eq!(
        (row.metrics.max_abs, row.metrics.max_abs_at),
        (Some(5.0), Some(1))
    );
    assert_near(row.metrics.rel_l2, (25f64 / 30.0).sqrt());
    assert_near(row.metrics.cosine, 5.0 / (30f64.sqrt() * 5f64.sqrt()));
}

// numpy.allclose([1, 100], [1.00001, 100.001], rtol=1e-5, atol=0) is True; with 0.9e-5, False.
#[test]
fn a_tolerance_is_that_of_numpy_allclose() {
    let of = |rtol: f64, atol: f64| {
        let options = Options {
            tolerance: Some(Tolerance { rtol, atol }),
            ..options()
        };
        let a = side(vec![vector("w", &[1.0, 100.0])]);
        let b = side(vec![vector("w", &[1.00001, 100.001])]);
        let difference = diff(&a, &b, &options, &Silent).unwrap();
        *difference.rows[0].verdict.as_ref().unwrap()
    };
    assert_eq!(of(1.1e-5, 0.0), Verdict::WithinTolerance);
    assert_eq!(of(0.9e-5, 0.0), Verdict::Changed);
    assert_eq!(of(0.0, 2e-3), Verdict::WithinTolerance);
    assert_eq!(of(0.0, 1e-4), Verdict::Changed);
}

#[test]
fn transposed_matrices_are_recognised() {
    let a: Vec<f32> = (0..300 * 200).map(|i| (i % 1009) as f32).collect();
    let b: Vec<f32> = (0..200 * 300).map(|i| a[i % 300 * 200 + i / 300]).collect();
    let transposed = f32s("w", &[200, 300], &b);
    assert_eq!(
        verdict(f32s("w", &[300, 200], &a), transposed.clone()),
        Verdict::Transposed
    );
    let mut other = b;
    other[59_999] += 1.0;
    assert_eq!(
        verdict(f32s("w", &[300, 200], &a), f32s("w", &[200, 300], &other)),
        Verdict::Shape
    );
    assert_eq!(
        verdict(
            f32s("w", &[300, 200], &a),
            f32s("w", &[300, 201], &[0.0; 60_300])
        ),
        Verdict::Shape
    );
    let square = |v: [f32; 4]| f32s("w", &[2, 2], &v);
    assert_eq!(
        verdict(square([1.0, 2.0, 3.0, 4.0]), square([1.0, 3.0, 2.0, 4.0])),
        Verdict::Transposed
    );
    let row = pair(f32s("w", &[300, 200], &a), transposed);
    assert_eq!(row.metrics, Metrics::default());
}

#[test]
fn structure_alone_reads_nothing() {
    let unreadable = |dtype| {
        let storage = Storage::extent(&Source::from_bytes("empty", vec![]), 0, 8);
        Tensor::new(
            "w",
            dtype,
            Shape::new([2]).unwrap(),
            Payload::Stored(storage),
        )
    };
    let options = Options {
        structure_only: true,
        ..options()
    };
    let of = |a, b| {
        let difference = diff(&side(vec![a]), &side(vec![b]), &options, &Silent).unwrap();
        *difference.rows[0].verdict.as_ref().unwrap()
    };
    assert_eq!(
        of(unreadable(DType::F32), unreadable(DType::F32)),
        Verdict::Identical
    );
    assert_eq!(
        of(unreadable(DType::F32), unreadable(DType::I32)),
        Verdict::Changed
    );
}

#[test]
fn a_tensor_that_cannot_be_read_fails_alone() {
    let storage = Storage::extent(&Source::from_bytes("short.bin", vec![0; 4]), 0, 8);
    let short = Tensor::new(
        "w",
        DType::F32,
        Shape::new([2]).unwrap(),
        Payload::Stored(storage),
    );
    let unknown = tensor("u", DType::Unknown(42), &[1], vec![0]);
    let a = vec![short, vector("v", &[1.0]), unknown.clone()];
    let b = vec![vector("w", &[0.0, 0.0]), vector("v", &[1.0]), unknown];
    let difference = compare(a, b);
    assert_eq!(difference.unreadable(), 2);
    assert!(!difference.is_same(&Verdict::ALL));
    assert_eq!(difference.count(Verdict::Identical), 1);
    let error = difference.rows[2].verdict.as_ref().unwrap_err();
    assert_eq!(
        error.to_string(),
        "short.bin: tensor `w`: needs 8 bytes, but only 4 remain (at byte 0)"
    );
}

#[test]
fn quantised_tensors_are_the_numbers_they_stand_for() {
    let quantised = |scale: f64, bytes: Vec<u8>| {
        let mut tensor = tensor("q", DType::QI8, &[2], bytes);
        let zero_point = 1;
        tensor.quantization = Some(Arc::new(Quantization::PerTensor { scale, zero_point }));
        tensor
    };
    let a = || quantised(0.5, vec![3, 0xff]);
    assert_eq!(verdict(a(), a()), Verdict::Identical);
    assert_eq!(
        verdict(a(), vector("q", &[1.0, -1.0])),
        Verdict::EqualValues
    );
    assert_eq!(
        verdict(a(), quantised(1.0, vec![2, 0])),
        Verdict::EqualValues
    );
    assert_eq!(
        verdict(a(), quantised(0.25, vec![3, 0xff])),
        Verdict::Changed
    );
}

/// A GGUF file of one layer with two heads of four rows.
fn gguf(tensors: Vec<Tensor>) -> Checkpoint {
    let metadata = [
        ("general.architecture", Value::text("llama")),
        ("llama.attention.head_count", Value::Int(2)),
        ("llama.attention.head_count_kv", Value::Int(1)),
    ];
    Checkpoint {
        format: "gguf",
        metadata: metadata
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect(),
        ..side(tensors)
    }
}

/// `rows` rows of three elements; row `r` holds `r`.
fn matrix(name: &str, rows: &[u16]) -> Tensor {
    let values: Vec<f32> = rows.iter().flat_map(|&r| [f32::from(r); 3]).collect();
    f32s(name, &[rows.len() as u64, 3], &values)
}

// numpy: arange(8).reshape(2, 2, 2).swapaxes(1, 2).ravel(), and reshape(1, 2, 2) for K.
#[test]
fn gguf_names_and_rows_are_those_of_hugging_face() {
    let (q, k) = ([0, 2, 1, 3, 4, 6, 5, 7], [0, 2, 1, 3]);
    let hugging_face = side(vec![
        matrix(
            "model.layers.0.self_attn.q_proj.weight",
            &[0, 1, 2, 3, 4, 5, 6, 7],
        ),
        matrix("model.layers.0.self_attn.k_proj.weight", &[0, 1, 2, 3]),
        matrix("model.layers.0.self_attn.v_proj.weight", &[0, 1, 2, 3]),
        vector("lm_head.weight", &[1.0]),
    ]);
    let gguf = gguf(vec![
        vector("output.weight", &[1.0]),
        matrix("blk.0.attn_v.weight", &[0, 1, 2, 3]),
        matrix("blk.0.attn_k.weight", &k),
        matrix("blk.0.attn_q.weight", &q),
    ]);
    for (a, b) in [(&hugging_face, &gguf), (&gguf, &hugging_face)] {
        let difference = diff(a, b, &options(), &Silent).unwrap();
        assert!(difference.is_same(&[]), "{:?}", verdicts(&difference));
        assert_eq!(difference.assumptions.len(), 2);
    }
    let exact = Options {
        is_exact: true,
        ..options()
    };
    let difference = diff(&hugging_face, &gguf, &exact, &Silent).unwrap();
    assert_eq!(difference.count(Verdict::OnlyInA), 4);
    assert_eq!(difference.count(Verdict::OnlyInB), 4);
    assert_eq!(difference.assumptions.len(), 0);
}

#[test]
fn stacked_experts_are_compared_one_by_one() {
    let expert = |e: u64, v: f32| {
        vector(
            &format!("model.layers.0.block_sparse_moe.experts.{e}.w1.weight"),
            &[v, v],
        )
    };
    let stack = f32s("blk.0.ffn_gate_exps.weight", &[2, 2], &[5.0, 5.0, 6.0, 7.0]);
    let a = side(vec![expert(0, 5.0), expert(1, 6.0)]);
    let difference = diff(&a, &gguf(vec![stack]), &options(), &Silent).unwrap();
    let found: Vec<Verdict> = verdicts(&difference).into_iter().map(|(_, v)| v).collect();
    assert_eq!(found, [Verdict::Identical, Verdict::Changed]);
    assert_eq!(
        difference.rows[1].b_name.as_deref(),
        Some("blk.0.ffn_gate.1.weight")
    );
}

#[test]
fn renames_and_wrappers_bring_names_together() {
    let a = vec![
        vector("module.enc.w", &[1.0]),
        vector("module.dec.w", &[2.0]),
    ];
    let b = vec![vector("encoder.w", &[1.0]), vector("dec.w", &[2.0])];
    let options = Options {
        renames: vec![Rename::read(r"^module\.enc\.=module.encoder.").unwrap()],
        ..options()
    };
    let difference = diff(&side(a), &side(b), &options, &Silent).unwrap();
    assert!(difference.is_same(&[]));
    assert_eq!(
        difference.assumptions,
        ["`module.` is taken off all names of A"]
    );
    assert_eq!(difference.rows[1].b_name.as_deref(), Some("encoder.w"));
}

#[test]
fn allowed_verdicts_count_as_the_same() {
    let difference = compare(
        vec![vector("w", &[1.0]), vector("x", &[1.0])],
        vec![vector("w", &[2.0])],
    );
    assert!(!difference.is_same(&[Verdict::Changed]));
    assert!(difference.is_same(&[Verdict::Changed, Verdict::OnlyInA]));
}

#[test]
fn metadata_and_values_differ_by_key() {
    let with = |step: i64| {
        let mut side = side(vec![]);
        side.metadata.push(("format".to_owned(), Value::text("pt")));
        side.values.push(("step".to_owned(), Value::Int(step)));
        side
    };
    let difference = diff(&with(1), &with(2), &options(), &Silent).unwrap();
    assert_eq!(difference.metadata.len(), 1);
    assert_eq!(difference.metadata[0].key, "step");
    assert_eq!(difference.metadata[0].b, Some(Value::Int(2)));
    assert!(difference.is_same(&[]));
}

// By hand: layer 0 moves by 1 of sqrt(4 + 1 + 4) = 3; layer 1 stands still.
#[test]
fn groups_say_which_layer_moved() {
    let a = vec![
        vector("l.0.a", &[2.0, 1.0]),
        vector("l.0.b", &[2.0]),
        vector("l.1.a", &[9.0]),
    ];
    let b = vec![
        vector("l.0.a", &[2.0, 2.0]),
        vector("l.0.b", &[2.0]),
        vector("l.1.a", &[9.0]),
    ];
    let options = Options {
        with_norms: true,
        ..options()
    };
    let difference = diff(&side(a), &side(b), &options, &Silent).unwrap();
    let groups = difference.groups(&Grouping::Layer);
    assert_eq!(groups.len(), 2);
    assert_eq!((groups[0].tensors, groups[0].identical), (2, 1));
    assert_near(groups[0].metrics.rel_l2, 1.0 / 3.0);
    assert_eq!(groups[0].verdict, Some(Verdict::Changed));
    assert_eq!(
        (groups[1].name.as_str(), groups[1].metrics.rel_l2),
        ("l.1", Some(0.0))
    );
}

//! What was written, read back. Expected errors are torch 2's, in `f64`.

use ckpt::format::{self, WriteOptions};
use ckpt::io::SinkOptions;
use ckpt::model::{Checkpoint, Payload, Shape, Storage};
use ckpt::op::convert::{Options, Scaling, convert};
use ckpt::op::verify::{Verified, verify};
use ckpt::parallel::Silent;
use ckpt::{DType, Error, Result, Tensor};
use std::path::Path;

const NUMBERS: [f32; 8] = [1.0, 1.0 / 3.0, -2.7, 1e-3, 65503.0, 0.1, 300.0, -1000.0];

/// `w` (F32) and `n` (I64), as they become with these options.
fn made(count: usize, dimensions: &[u64], options: Options) -> Checkpoint {
    let numbers = NUMBERS.iter().cycle().take(count);
    let w: Vec<u8> = numbers.flat_map(|value| value.to_le_bytes()).collect();
    let tensor = |name, dtype, shape: &[u64], bytes: Vec<u8>| {
        let payload = Payload::Stored(Storage::inline(bytes));
        Tensor::new(name, dtype, Shape::new(shape).unwrap(), payload)
    };
    let checkpoint = Checkpoint {
        tensors: vec![
            tensor("w", DType::F32, dimensions, w),
            tensor("n", DType::I64, &[2], (0..16).collect()),
        ],
        ..Checkpoint::default()
    };
    let holds = format::dtypes_of_target("x.safetensors".as_ref()).unwrap();
    convert(checkpoint, &Options { holds, ..options })
        .unwrap()
        .checkpoint
}

fn to(dtype: DType) -> Options {
    Options {
        dtype: Some(dtype),
        ..Options::default()
    }
}

fn options() -> WriteOptions {
    WriteOptions {
        sink: SinkOptions {
            replace: true,
            sync: false,
        },
        threads: 2,
        arrangement: format::Arrangement::default(),
        in_place: false,
    }
}

/// Writes `checkpoint` to `target`, and verifies it on so many threads before it has its name.
fn written(checkpoint: &Checkpoint, target: &Path, threads: usize) -> Vec<Verified> {
    let mut verified = Vec::new();
    let mut check = |found: &[Tensor]| {
        assert!(!target.exists());
        verified = verify(checkpoint, found, threads, &Silent)?;
        Ok(())
    };
    format::write_checked(checkpoint, target, &options(), &Silent, Some(&mut check)).unwrap();
    std::fs::remove_file(target).unwrap();
    verified
}

fn assert_near(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
}

#[test]
fn casts_are_measured_against_the_source_and_the_rest_is_identical() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.safetensors");
    let found = written(&made(6, &[6], to(DType::BF16)), &target, 2);
    let [w, n] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert!(n.is_identical() && !w.is_identical());
    let metrics = w.metrics();
    assert_eq!(metrics.max_abs, Some(33.0));
    assert_near(metrics.rel_l2, 0.000503793721236894);
    assert_near(metrics.snr_db, 65.95494498801506);
    // Every BF16 is an F64.
    let wide = written(&made(6, &[6], to(DType::F64)), &target, 2);
    assert!(!wide[0].is_identical());
    assert_eq!(wide[0].metrics().changed, Some(0));
}

#[test]
fn scaled_floats_are_measured_as_what_they_stand_for() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        scaling: Scaling::Measured(1),
        ..to(DType::F8E4M3)
    };
    let made = made(8, &[2, 4], options);
    let found = written(&made, &folder.path().join("a.safetensors"), 2);
    let metrics = found[0].metrics();
    assert_near(metrics.max_abs, 23.484359741210938);
    assert_near(metrics.rel_l2, 0.00037668436451392974);
    assert_near(metrics.snr_db, 68.48044812400732);
    assert!(found[1].is_identical());
}

#[test]
fn the_digits_are_the_same_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.safetensors");
    let made = made(3_000_001, &[3_000_001], to(DType::F16));
    let once = written(&made, &target, 1);
    for threads in [2, 7] {
        assert_eq!(written(&made, &target, threads), once);
    }
}

/// `a.safetensors` as `made` says, with one byte changed that lies `from_end` before its end.
fn damaged(made: &Checkpoint, folder: &Path, from_end: usize) -> Result<Vec<Verified>> {
    let target = folder.join("a.safetensors");
    format::write(made, &target, &options(), &Silent)?;
    let mut bytes = std::fs::read(&target).unwrap();
    let place = bytes.len() - from_end;
    bytes[place] ^= 1;
    std::fs::write(&target, bytes).unwrap();
    let mut found = format::open(&target)?.tensors;
    // As `made` has them.
    found.sort_by(|a, b| b.name.cmp(&a.name));
    verify(made, &found, 2, &Silent)
}

#[test]
fn one_bit_that_is_not_as_meant_is_an_error_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let of = |made: &Checkpoint, from_end| damaged(made, folder.path(), from_end).unwrap_err();
    let says = |error: Error, tensor: &str, element: &str| {
        let text = error.to_string();
        assert!(text.contains(tensor) && text.contains(element), "{text}");
    };
    // A kept tensor, a cast one, and one far behind the first piece: `n` comes first.
    let kept = made(8, &[8], Options::default());
    says(of(&kept, 1), "`w`", "element 7 ");
    says(of(&kept, 32 + 16), "`n`", "element 0 ");
    says(of(&made(8, &[8], to(DType::BF16)), 3), "`w`", "element 6 ");
    let long = made(3_000_000, &[3_000_000], to(DType::BF16));
    says(of(&long, 2), "`w`", "element 2999999 ");
}

#[test]
fn what_does_not_pass_gets_no_name_and_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.safetensors");
    std::fs::write(&target, "before").unwrap();
    let mut check = |_: &[Tensor]| Err(Error::usage("no"));
    let made = made(8, &[8], Options::default());
    let found = format::write_checked(&made, &target, &options(), &Silent, Some(&mut check));
    assert_eq!(found.unwrap_err().message(), "no");
    assert_eq!(std::fs::read(&target).unwrap(), b"before");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

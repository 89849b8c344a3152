//! Written files against those of the libraries that own the formats.

use crate::support::{assert_none, mismatches, testdata};
use ckpt::DType;
use ckpt::format::{self, WriteOptions};
use ckpt::io::SinkOptions;
use ckpt::model::{Checkpoint, Payload, Quantization, Shape, Storage, Tensor};
use ckpt::op::convert::{Options, Tied, convert};
use ckpt::op::verify::verify;
use ckpt::parallel::Silent;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Writes `checkpoint` as it is read, whatever the target holds of it.
fn write(checkpoint: Checkpoint, target: &Path) -> ckpt::Result<Checkpoint> {
    let options = Options {
        dtype: None,
        tied: match format::ties_of_target(target)? {
            format::Ties::Copies => Tied::Clone,
            _ => Tied::Alias,
        },
        holds: format::dtypes_of_target(target)?,
        ..Default::default()
    };
    let converted = convert(checkpoint, &options)?.checkpoint;
    let options = WriteOptions {
        sink: SinkOptions {
            replace: true,
            sync: false,
        },
        threads: 2,
        arrangement: format::Arrangement::default(),
        in_place: false,
    };
    let mut check = |found: &[Tensor]| verify(&converted, found, 2, &Silent).map(|_| ());
    format::write_checked(&converted, target, &options, &Silent, Some(&mut check))?;
    Ok(converted)
}

/// `torch.save` writes the same bytes, but for the 40 digits that identify the content and their
/// checksum, which are another hash: they stand in the last member.
#[test]
fn a_flat_dict_is_written_as_torch_does() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["flat", "flat-one", "flat-none", "flat-quantized"] {
        let path = testdata("pytorch").join(format!("{name}.pt"));
        let target = folder.path().join("ours.pt");
        write(format::open(&path).unwrap(), &target).unwrap();
        let (theirs, ours) = (
            std::fs::read(&path).unwrap(),
            std::fs::read(&target).unwrap(),
        );
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let id = b"archive/.data/serialization_id";
        let start = theirs
            .windows(id.len())
            .position(|part| part == id)
            .unwrap();
        assert_eq!(ours[..start], theirs[..start], "{name}");
        let differing = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
        assert!(differing <= 40 + 4 + 4, "{name}: {differing} bytes differ");
    }
}

/// `numpy.save` writes the same bytes.
#[test]
fn an_array_is_written_as_numpy_does() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["bool", "uint8", "int64", "float16", "float64", "complex64"] {
        let path = testdata("numpy").join(format!("{name}.npy"));
        let target = folder.path().join("ours.npy");
        write(format::open(&path).unwrap(), &target).unwrap();
        let (theirs, ours) = (
            std::fs::read(&path).unwrap(),
            std::fs::read(&target).unwrap(),
        );
        assert_eq!(ours, theirs, "{name}");
    }
}

/// Every kind of file that is written, read by the library that owns it. `CKPT_PYTHON` names a
/// Python that has torch, numpy, safetensors and gguf; without one there is nothing to ask.
#[test]
#[allow(clippy::print_stderr)]
fn the_library_that_owns_a_format_reads_what_is_written() {
    let Some(python) = std::env::var_os("CKPT_PYTHON") else {
        eprintln!("skipped: CKPT_PYTHON names no Python with torch, numpy, safetensors and gguf");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for (source, extension) in [
        ("pytorch/flat.pt", "pt"),
        ("pytorch/flat-quantized.pt", "pt"),
        ("pytorch/quantized.pt", "pt"),
        ("pytorch/quantized-4bit.pt", "pt"),
        ("pytorch/training.pt", "bin"),
        ("pytorch/strides.pt", "pt"),
        ("pytorch/shared.pt", "pt"),
        ("safetensors/torch.safetensors", "pt"),
        ("gguf/shapes.gguf", "pt"),
        ("pytorch/flat.pt", "safetensors"),
        ("gguf/metadata.gguf", "gguf"),
        ("gguf/types.gguf", "gguf"),
        ("gguf/shapes.gguf", "gguf"),
        ("gguf/alignment-64.gguf", "gguf"),
        ("gguf/version-1.gguf", "gguf"),
        ("pytorch/training.pt", "gguf"),
        ("pytorch/training.pt", "npz"),
        ("pytorch/strides.pt", "npz"),
        ("pytorch/bare-tensor.pt", "npy"),
    ] {
        let target = folder.path().join(format!("out.{extension}"));
        let written = format::open(&testdata(source)).and_then(|source| write(source, &target));
        if let Err(error) = written {
            failures.push(format!("{source} as {extension}: {error}"));
            continue;
        }
        let mut command = Command::new(&python);
        let command = command
            .args(["-W", "ignore", "-m", "makers.read_back"])
            .arg(&target);
        let output = command.current_dir(testdata("")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{source} as {extension}: {text}");
        let theirs: Json = serde_json::from_slice(&output.stdout).unwrap();
        let found = format::open(&target).unwrap();
        // Aliases stand in the metadata of a safetensors file, where its library does not look.
        let (tensors, is_other) = (&theirs["tensors"], extension == "safetensors");
        let theirs = json!({"tensors": tensors, "ordered": !is_other, "subset": is_other});
        for mismatch in mismatches(&found, &theirs) {
            failures.push(format!("{source} as {extension}: {mismatch}"));
        }
    }
    assert_none("files that their library reads differently", &failures);
}

/// A view of one value may claim any number of channels; the claim is checked before it is read.
#[test]
fn more_scales_than_are_held_in_memory_are_refused() {
    let channels = (1u64 << 24) + 1;
    let one = |dtype: DType| {
        let payload = Payload::Strided {
            storage: Storage::inline([0; 8]),
            first: 0,
            strides: [0].into(),
        };
        Box::new(Tensor::new(
            "one",
            dtype,
            Shape::new([channels]).unwrap(),
            payload,
        ))
    };
    let mut tensor = *one(DType::QI8);
    tensor.quantization = Some(Arc::new(Quantization::PerChannel {
        scales: one(DType::F64),
        zero_points: one(DType::I64),
        axis: 0,
    }));
    let checkpoint = Checkpoint {
        tensors: vec![tensor],
        ..Checkpoint::default()
    };
    let error = format::plan(&checkpoint, "x.pt".as_ref(), &Default::default()).unwrap_err();
    assert_eq!(
        error.message(),
        "scales and zero points take 268435472 bytes; the limit is 268435456"
    );
}

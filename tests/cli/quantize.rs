//! Quantising from the outside: in little memory, whatever the size, and by any number of
//! threads.

use super::shards::run;
use crate::support::testdata;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashSet;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Memory that the program may map, in KiB: its own and the threads' included.
const ADDRESS_SPACE: u64 = 256 << 10;

#[cfg(target_os = "linux")]
#[test]
fn a_file_larger_than_the_memory_is_quantised() {
    let folder = tempfile::tempdir().unwrap();
    let elements = (ADDRESS_SPACE << 10) / 4 + (16 << 20);
    let (rows, bytes) = (elements / 4096, elements * 4);
    let header =
        format!(r#"{{"w":{{"dtype":"F32","shape":[{rows},4096],"data_offsets":[0,{bytes}]}}}}"#);
    // All zeros but for one element: the file takes no room on disk.
    let mut file = std::fs::File::create(folder.path().join("a.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let end = 8 + header.len() as u64 + bytes;
    file.set_len(end).unwrap();
    file.write_all_at(&2f32.to_le_bytes(), end - 4).unwrap();
    let kinds = ["q8_0", "q4_k"];
    let kinds = kinds
        .iter()
        .filter(|kind| cfg!(feature = "candle") || **kind == "q8_0");
    for kind in kinds {
        let convert = format!("convert a.safetensors b.gguf --dtype {kind} -f -j 2 --no-sync");
        let script = format!("ulimit -v {ADDRESS_SPACE} && exec \"$0\" {convert}");
        let mut shell = std::process::Command::new("sh");
        let shell = shell.args(["-c", script.as_str(), env!("CARGO_BIN_EXE_ckpt")]);
        let output = shell.current_dir(folder.path()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{kind}: {error}");
        let read = ckpt::format::open(&folder.path().join("b.gguf")).unwrap();
        let quantised = &read.tensors[0];
        let reader = ckpt::stream::Reader::open(quantised).unwrap();
        let (mut last, mut scratch) = (Vec::new(), ckpt::stream::Scratch::default());
        reader
            .read(elements - 256, 256, &mut last, &mut scratch)
            .unwrap();
        let mut values = vec![0; 1024];
        ckpt::dtype::cast::cast(quantised.dtype, ckpt::DType::F32, &last, &mut values).unwrap();
        let value = f32::from_le_bytes(values[1020..].try_into().unwrap());
        assert!((value - 2.0).abs() < 0.01, "{kind}: {value}");
    }
}

/// Nine matrices, those of two layers with entries in `testdata/imatrix/measured.dat`.
fn write_matrices(path: &Path) {
    let names = ["q_proj", "k_proj", "v_proj"].map(|name| format!("self_attn.{name}.weight"));
    let matrices = (0..3).flat_map(|layer| {
        let of_layer = names.iter();
        of_layer.map(move |name| (layer, format!("model.layers.{layer}.{name}")))
    });
    let matrices: Vec<(String, Vec<u8>)> = matrices
        .enumerate()
        .map(|(place, (layer, name))| {
            let value = |i: usize| ((i * 37 + place * 11) % (101 + layer)) as f32 / 101.0 - 0.4;
            let bytes = (0..64 * 512).flat_map(|i| value(i).to_le_bytes());
            (name, bytes.collect())
        })
        .collect();
    let view = |bytes| TensorView::new(Dtype::F32, vec![64, 512], bytes).unwrap();
    let views = matrices.iter().map(|(name, bytes)| (name, view(bytes)));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn blocks_are_the_same_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_matrices(&folder.join("a.safetensors"));
    let matrix = testdata("imatrix/measured.dat");
    let weighed = ["--imatrix", matrix.to_str().unwrap()];
    let mut seen = HashSet::new();
    for dtype in ["q4_0", "q4_k", "q8_0"] {
        for weights in [&[][..], &weighed] {
            for cut in [&[][..], &["--shards", "3"]] {
                let outputs = ["1", "2", "7"].map(|threads| {
                    let inner = folder.join("out");
                    std::fs::create_dir(&inner).unwrap();
                    let args = ["convert", "a.safetensors", "out/o.gguf", "--no-sync"];
                    let how = ["--dtype", dtype, "--pure", "-j", threads];
                    run(folder, &[&args[..], &how, weights, cut].concat());
                    let found = files(&inner);
                    std::fs::remove_dir_all(&inner).unwrap();
                    found
                });
                let what = format!("{dtype} {weights:?} {cut:?}");
                let count = if cut.is_empty() { 1 } else { 3 };
                assert_eq!(outputs[0].len(), count, "{what}");
                assert!(outputs.iter().all(|files| *files == outputs[0]), "{what}");
                seen.insert(outputs[0].clone());
            }
        }
    }
    // Weights are for the k-quants only.
    assert_eq!(seen.len(), 8);
}

/// Names and bytes of the files in a folder, by name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

//! Every file of `testdata/` reads as the library that made it says.

use crate::support::{assert_none, good_files, mismatches, short, testdata};

/// Compares the files of one folder and prints all mismatches at once.
fn check(folder: &str) {
    let files: Vec<_> = good_files()
        .into_iter()
        .filter(|(path, _)| path.starts_with(testdata(folder)))
        .collect();
    assert!(!files.is_empty(), "no files in {folder}");
    let mut failures = Vec::new();
    for (path, expected) in &files {
        match ckpt::format::open(path) {
            Ok(found) => {
                let lines = mismatches(&found, expected);
                failures.extend(lines.iter().map(|line| format!("{}: {line}", short(path))));
            }
            Err(error) => failures.push(format!("{}: cannot be opened: {error}", short(path))),
        }
    }
    assert_none(&format!("differences in {} files", files.len()), &failures);
}

#[test]
fn safetensors_files_read_as_the_crate_reads_them() {
    check("safetensors");
    check("lossless");
}

#[test]
fn pytorch_files_read_as_torch_reads_them() {
    check("pytorch");
}

#[test]
fn gguf_files_read_as_gguf_py_reads_them() {
    check("gguf");
}

#[test]
fn numpy_files_read_as_numpy_reads_them() {
    check("numpy");
}

#[test]
fn sharded_checkpoints_read_as_one() {
    check("sharded");
}

#[test]
fn compressed_checkpoints_read_as_what_is_in_them() {
    check("wrapped");
}

#[test]
fn long_arrays_are_cut_and_say_how_long_they_are() {
    use ckpt::model::Value;
    let mut checked = 0;
    for (path, expected) in good_files() {
        for (key, length) in expected["long_metadata"].as_object().into_iter().flatten() {
            let found = ckpt::format::open(&path).unwrap();
            let value = found
                .metadata
                .iter()
                .find(|(k, _)| k == key)
                .map(|(_, v)| v);
            let Some(Value::Array(array)) = value else {
                panic!("{}: `{key}` is {value:?}", short(&path));
            };
            assert_eq!(Some(array.length), length.as_u64(), "{key}");
            assert!(
                !array.first.is_empty() && (array.first.len() as u64) < array.length,
                "{key}"
            );
            checked += 1;
        }
    }
    assert!(checked > 0);
}

#[test]
fn the_test_data_has_every_dtype() {
    let mut seen = std::collections::BTreeSet::new();
    for (_, expected) in good_files() {
        let tensors = expected["tensors"].as_array().unwrap();
        seen.extend(
            tensors
                .iter()
                .map(|t| t["dtype"].as_str().unwrap().to_owned()),
        );
    }
    let missing: Vec<String> = ckpt::DType::ALL
        .iter()
        .map(ToString::to_string)
        .filter(|name| !seen.contains(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

//! Importance matrices, against what gguf-py and numpy put into them.

use crate::support::{read_json, testdata};
use ckpt::format::imatrix;
use ckpt::io::Source;
use ckpt::model::{Importance, ImportanceMatrix};
use ckpt::stream::Reader;
use serde_json::Value as Json;

fn open(name: &str) -> ImportanceMatrix {
    imatrix::open(&testdata("imatrix").join(name)).unwrap()
}

/// The sums divided by the counts; ones where there is no count.
fn weights(importance: &Importance) -> Vec<f32> {
    let bytes = Reader::open(&importance.sums).unwrap().read_all().unwrap();
    let sums: Vec<f32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    let columns = sums.len() / importance.counts.len();
    let matrices = sums.chunks(columns).zip(importance.counts.iter());
    let divided = matrices.flat_map(|(sums, count)| {
        let one = move |sum: &f32| if *count > 0.0 { sum / count } else { 1.0 };
        sums.iter().map(one)
    });
    divided.collect()
}

fn assert_is(matrix: &ImportanceMatrix, form: &str) {
    let expected = read_json(&testdata("imatrix/expected.json"));
    let Json::Object(expected) = &expected[form] else {
        panic!("{form}");
    };
    assert_eq!(matrix.entries.len(), expected.len());
    for (name, importance) in &matrix.entries {
        let expected: Vec<f32> = serde_json::from_value(expected[name].clone()).unwrap();
        assert!(weights(importance) == expected, "{name}");
    }
}

#[test]
fn both_forms_hold_the_same_measurements() {
    let new = open("measured.gguf");
    assert_is(&new, "gguf");
    assert_eq!(new.datasets, ["calibration.txt", "more/calibration.txt"]);
    let old = open("measured.dat");
    assert_is(&old, "legacy");
    assert_eq!(old.datasets, ["calibration.txt"]);
    assert_eq!((new.chunks, old.chunks), (3, 3));
    let oldest = open("without-dataset.dat");
    assert_is(&oldest, "legacy");
    assert!(oldest.datasets.is_empty() && oldest.chunks == 0);
}

fn message(bytes: Vec<u8>) -> String {
    let error = imatrix::read(&Source::from_bytes("x", bytes)).unwrap_err();
    error.to_string().trim_start_matches("x: ").to_owned()
}

fn entry(name: &str, sums: &[f32]) -> Vec<u8> {
    let mut bytes = (name.len() as i32).to_le_bytes().to_vec();
    bytes.extend(name.bytes());
    bytes.extend(2i32.to_le_bytes());
    bytes.extend((sums.len() as i32).to_le_bytes());
    bytes.extend(sums.iter().flat_map(|sum| sum.to_le_bytes()));
    bytes
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let dat =
        |count: i32, entries: &[Vec<u8>]| [count.to_le_bytes().to_vec(), entries.concat()].concat();
    let good = entry("x", &[1.0]);
    assert_eq!(
        message(dat(0, &[])),
        "entries: 0; 1 to 1000000 are allowed (at byte 0)"
    );
    assert_eq!(
        message(dat(2, &[good.clone(), good.clone()])),
        "tensor `x`: the entry stands twice (at byte 38)"
    );
    assert_eq!(
        message(dat(1, &[entry("x", &[])])),
        "tensor `x`: sums: 0; 1 to 2147483647 are allowed (at byte 13)"
    );
    assert_eq!(
        message(dat(1, &[entry("", &[1.0])])),
        "a name has 0 bytes; 1 to 65536 are allowed (at byte 4)"
    );
    for (value, shown) in [(-1.0, "-1"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        assert_eq!(
            message(dat(1, &[entry("x", &[1.0, value])])),
            format!("tensor `x`: sum 1 is {shown}, which is none of squares between 0 and 1e20")
        );
    }
    let long = [0i32, 3].map(i32::to_le_bytes).concat();
    assert!(message(dat(1, &[good, long])).contains("3 bytes"));
    let model = std::fs::read(testdata("gguf/shapes.gguf")).unwrap();
    assert_eq!(
        message(model),
        "is a GGUF file but no importance matrix: it has no `imatrix.datasets`"
    );
}

#[test]
fn every_prefix_and_every_changed_byte_reads_or_fails() {
    let mut failed = 0;
    for name in ["measured.dat", "measured.gguf"] {
        let whole = std::fs::read(testdata("imatrix").join(name)).unwrap();
        let mut read = |bytes: Vec<u8>| {
            failed += u32::from(imatrix::read(&Source::from_bytes("x", bytes)).is_err());
        };
        for end in (0..whole.len()).step_by(7) {
            read(whole[..end].to_vec());
        }
        for place in (0..whole.len()).filter(|place| *place < 1200 || place % 31 == 0) {
            for byte in [0, 0x7f, 0x80, 0xff, whole[place] ^ 1] {
                let mut changed = whole.clone();
                changed[place] = byte;
                read(changed);
            }
        }
    }
    assert!(failed > 2000, "{failed}");
}

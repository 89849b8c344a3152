//! npy and npz, held against what NumPy itself wrote and read.

use ckpt::error::Kind;
use ckpt::format::{self, ReadOptions};
use ckpt::io::Source;
use ckpt::model::{Level, Value};
use ckpt::stream::Reader;
use ckpt::{Checkpoint, DType, Result};
use std::path::Path;

/// An npy file of version 1.0 with this header, not padded.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n")
}

fn read(bytes: &[u8]) -> Result<Checkpoint> {
    format::read(&Source::from_bytes("x", bytes), &ReadOptions::SUMMARY)
}

fn error(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

fn testdata(name: &str) -> Checkpoint {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/numpy");
    format::open(&folder.join(name)).unwrap()
}

/// What stands for an array that is no tensor.
fn only_value(checkpoint: &Checkpoint) -> &Value {
    assert_eq!(checkpoint.tensors.len(), 0);
    let (name, value) = only(&checkpoint.values);
    assert_eq!(name, "tensor");
    value
}

fn only(values: &[(String, Value)]) -> (&str, &Value) {
    let [(name, value)] = values else {
        panic!("{values:?}");
    };
    (name, value)
}

fn map(entries: &[(&str, Value)]) -> Value {
    let owned = |(key, value): &(&str, Value)| (key.to_string(), value.clone());
    Value::Map(entries.iter().map(owned).collect())
}

fn ints(values: &[i64]) -> Value {
    Value::List(values.iter().map(|&value| Value::Int(value)).collect())
}

#[test]
fn a_bare_array_is_called_tensor() {
    let checkpoint = read(&npy(&header("'<i2'", "(2, 1)"), &[1, 0, 2, 0])).unwrap();
    let [tensor] = checkpoint.tensors.as_slice() else {
        panic!("{checkpoint:?}");
    };
    assert_eq!((&*tensor.name, tensor.dtype), ("tensor", DType::I16));
    assert_eq!(tensor.shape.dimensions(), [2, 1]);
    assert_eq!((checkpoint.format, &*checkpoint.variant), ("numpy", "npy"));
    assert_eq!(checkpoint.notes, []);
}

#[test]
fn big_endian_fortran_arrays_are_brought_into_order() {
    // numpy.array([[1, 2, 3], [4, 5, 6]], '>u2', order='F')
    let header = "{'descr': '>u2', 'fortran_order': True, 'shape': (2, 3), }\n";
    let data = [0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6];
    let checkpoint = read(&npy(header, &data)).unwrap();
    let bytes = Reader::open(&checkpoint.tensors[0])
        .unwrap()
        .read_all()
        .unwrap();
    assert_eq!(bytes, [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]);
}

#[test]
fn strings_are_values() {
    // numpy.array(["one", "zwei", "três"]) and numpy.array([b"ab", b"c"])
    let strings = ["one", "zwei", "três"].map(Value::text);
    let expected = map(&[
        ("dtype", Value::text("<U4")),
        ("shape", ints(&[3])),
        ("values", Value::List(strings.to_vec())),
    ]);
    assert_eq!(only_value(&testdata("strings.npy")), &expected);
    let expected = map(&[
        ("dtype", Value::text("|S2")),
        ("shape", ints(&[2])),
        ("values", Value::List(["ab", "c"].map(Value::text).to_vec())),
    ]);
    assert_eq!(only_value(&testdata("bytes.npy")), &expected);
}

#[test]
fn a_single_string_is_its_own_value() {
    for name in ["stored.npz", "deflated.npz"] {
        let checkpoint = testdata(name);
        let expected = [("label".to_owned(), Value::text("text"))];
        assert_eq!(checkpoint.values, expected, "{name}");
        assert_eq!(checkpoint.notes, [], "{name}");
    }
}

#[test]
fn a_long_array_of_strings_shows_the_first() {
    let data: Vec<u8> = (0..200).collect();
    let checkpoint = read(&npy(&header("'|S1'", "(200,)"), &data)).unwrap();
    let Some(Value::Array(array)) = only_value(&checkpoint).get("values") else {
        panic!("{checkpoint:?}");
    };
    assert_eq!((array.length, array.first.len()), (200, 64));
}

#[test]
fn structures_dates_and_raw_bytes_are_described() {
    let described =
        |dtype: &str, shape: &[i64]| map(&[("dtype", Value::text(dtype)), ("shape", ints(shape))]);
    let structure = "[('größe', '<i4'), ('b', '<f8', (2,)), ('s', '<U3')]";
    for (name, dtype, shape) in [
        ("structured.npy", structure, [1]),
        ("datetime.npy", "<M8[D]", [2]),
        ("timedelta.npy", "<m8[s]", [2]),
        ("void.npy", "|V3", [1]),
    ] {
        assert_eq!(
            only_value(&testdata(name)),
            &described(dtype, &shape),
            "{name}"
        );
    }
}

#[test]
fn objects_are_values_and_said_to_be_a_pickle() {
    // objects[:] = [[1, "two"], [None, {"three": 3.5}]]
    let checkpoint = testdata("objects.npy");
    let values = vec![
        Value::Int(1),
        Value::text("two"),
        Value::Null,
        map(&[("three", Value::Float(3.5))]),
    ];
    let expected = map(&[
        ("dtype", Value::text("|O")),
        ("shape", ints(&[2, 2])),
        ("values", Value::List(values)),
    ]);
    assert_eq!(only_value(&checkpoint), &expected);
    let [note] = checkpoint.notes.as_slice() else {
        panic!("{:?}", checkpoint.notes);
    };
    assert_eq!((note.rule, note.level), ("object-array", Level::Warning));
    let expected = "the elements are a pickle, which np.load refuses without allow_pickle";
    assert_eq!(note.text, expected);

    // numpy.array({"a": 1, "b": [1.5, None]}, dtype=object)
    let list = Value::List(vec![Value::Float(1.5), Value::Null]);
    let expected = map(&[("a", Value::Int(1)), ("b", list)]);
    assert_eq!(only_value(&testdata("object-scalar.npy")), &expected);
}

#[test]
fn an_import_in_a_pickle_is_named() {
    // _reconstruct(ndarray, (0,), b'b') with the state (1, (1,), dtype('O'), False, [os.system])
    let dtype = "cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR(I3\nS'|'\nNNNI-1\nI-1\nI63\ntb";
    let pickle = format!(
        "cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\nt{dtype}I00\n(lcos\nsystem\natb."
    );
    let checkpoint = read(&npy(&header("'|O'", "(1,)"), pickle.as_bytes())).unwrap();
    let note = &checkpoint.notes[1];
    assert_eq!((note.rule, note.level), ("would-import", Level::Danger));
    assert_eq!(note.text, "would run os.system");
    let values = only_value(&checkpoint).get("values");
    assert_eq!(values, Some(&Value::List(vec![Value::text("os.system")])));
}

#[test]
fn arrays_among_the_objects_are_tensors() {
    // numpy.save of a dict, and an object array of two dicts in an archive.
    let checkpoint = testdata("object-arrays.npy");
    let names: Vec<&str> = checkpoint.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["weights", "layers.0", "layers.1"]);
    let expected = map(&[("epoch", Value::Int(3)), ("rate", Value::Float(0.5))]);
    assert_eq!(only(&checkpoint.values), ("tensor", &expected));

    let checkpoint = testdata("object-arrays.npz");
    let names: Vec<&str> = checkpoint.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["pair.0.w", "pair.1.w"]);
    assert_eq!(checkpoint.values, []);
}

#[test]
fn says_how_many_bytes_are_missing() {
    let header = header("'<f4'", "(2, 3)");
    let start = 10 + header.len();
    assert_eq!(
        error(&npy(&header, &[0; 20])),
        format!(
            "x: tensor `tensor`: <f4 [2, 3] takes 24 bytes, but only 20 remain: 4 are missing (at byte {start})"
        )
    );
}

#[test]
fn bytes_behind_the_array_are_noted() {
    let header = header("'<f4'", "(1,)");
    let checkpoint = read(&npy(&header, &[0; 9])).unwrap();
    let [note] = checkpoint.notes.as_slice() else {
        panic!("{:?}", checkpoint.notes);
    };
    assert_eq!(note.rule, "trailing-bytes");
    assert_eq!(
        note.text,
        "5 bytes follow the array; `numpy.load` does not see them"
    );
    assert_eq!(note.place.offset, Some(14 + header.len() as u64));
}

#[test]
fn says_what_is_wrong_with_a_header() {
    let cases = [
        (
            npy("{'descr': '<f4', 'shape': ()}", &[0; 4]),
            "header has no `fortran_order` (at byte 10)",
        ),
        (
            npy(&header("'<f4'", "3"), &[]),
            "`shape` is 3, no tuple (at byte 10)",
        ),
        (
            npy(&header("'<f4'", "('a',)"), &[]),
            "`shape` holds 'a', no number (at byte 10)",
        ),
        (
            npy(&header("'<f4'", "(-1,)"), &[]),
            "header has `-` where a value belongs (at byte 61)",
        ),
        (
            b"\x93NUMPY\x04\x00....".to_vec(),
            "npy version [4, 0] is not known; 1.0 to 3.0 are (at byte 6)",
        ),
        (
            b"\x93NUMPY\x01\x00\xff\xff{}".to_vec(),
            "needs 65535 bytes, but only 2 remain (at byte 10)",
        ),
        (
            b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(),
            "header says 4294967295 bytes; the limit is 65536 (at byte 8)",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(error(&bytes), format!("x: {expected}"));
    }
}

#[test]
fn shapes_that_overflow_are_refused() {
    for shape in [
        "(18446744073709551615, 2)",
        "(0, 9223372036854775807, 9223372036854775807)",
        "(9223372036854775807,)",
    ] {
        let found = read(&npy(&header("'<f8'", shape), &[])).unwrap_err();
        assert_eq!(found.kind(), Kind::Malformed, "{shape}");
    }
    let many = format!("({})", "1,".repeat(65));
    let found = read(&npy(&header("'<f8'", &many), &[0; 8])).unwrap_err();
    assert_eq!(found.kind(), Kind::Limit);
}

#[test]
fn every_prefix_and_every_change_of_one_byte_is_survived() {
    for bytes in [
        npy(&header("'<i2'", "(2,)"), &[1, 0, 2, 0]),
        npy(&header("[('a', '<i2'), ('b', '|O', (2,))]", "(1,)"), b"(l."),
    ] {
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
        for index in 0..bytes.len() {
            for byte in 0..=255 {
                let mut changed = bytes.clone();
                changed[index] = byte;
                let _ = read(&changed);
            }
        }
    }
}

#[test]
fn every_change_of_one_byte_of_an_archive_is_survived() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/numpy");
    let bytes = std::fs::read(folder.join("positional.npz")).unwrap();
    assert_eq!(read(&bytes).unwrap().tensors.len(), 2);
    for index in 0..bytes.len() {
        for mask in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[index] ^= mask;
            if let Ok(checkpoint) = read(&changed) {
                for tensor in &checkpoint.tensors {
                    let _ = Reader::open(tensor).and_then(|reader| reader.read_all());
                }
            }
        }
    }
}

//! The reader, held against the official crate.

use ckpt::error::Kind;
use ckpt::format::{self, ReadOptions};
use ckpt::io::Source;
use ckpt::model::{Level, Value};
use ckpt::stream::Reader;
use ckpt::{Checkpoint, DType, Result};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// A file of this header and this many bytes of data: 0, 1, 2 ...
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..data).map(|i| i as u8));
    bytes
}

fn read(bytes: &[u8]) -> Result<Checkpoint> {
    format::read(&Source::from_bytes("x", bytes), &ReadOptions::SUMMARY)
}

fn error(header: &str, data: usize) -> String {
    read(&file(header, data)).unwrap_err().to_string()
}

/// Rules of the notes, with their levels.
fn notes(checkpoint: &Checkpoint) -> Vec<(&'static str, Level)> {
    let notes = checkpoint.notes.iter();
    notes.map(|note| (note.rule, note.level)).collect()
}

fn bytes_of(checkpoint: &Checkpoint, name: &str) -> Vec<u8> {
    let tensor = checkpoint.tensor(name).unwrap();
    Reader::open(tensor).unwrap().read_all().unwrap()
}

#[test]
fn reads_every_dtype_as_the_crate_wrote_it() {
    let dtypes = [
        Dtype::BOOL,
        Dtype::F4,
        Dtype::F6_E2M3,
        Dtype::F6_E3M2,
        Dtype::U8,
        Dtype::I8,
        Dtype::F8_E5M2,
        Dtype::F8_E4M3,
        Dtype::F8_E8M0,
        Dtype::F8_E4M3FNUZ,
        Dtype::F8_E5M2FNUZ,
        Dtype::I16,
        Dtype::U16,
        Dtype::F16,
        Dtype::BF16,
        Dtype::I32,
        Dtype::U32,
        Dtype::F32,
        Dtype::C64,
        Dtype::F64,
        Dtype::I64,
        Dtype::U64,
    ];
    let contents: Vec<Vec<u8>> = dtypes
        .iter()
        .enumerate()
        .map(|(i, dtype)| vec![i as u8 + 1; 12 * dtype.bitsize() / 8])
        .collect();
    let views = dtypes.iter().zip(&contents).map(|(&dtype, content)| {
        let view = TensorView::new(dtype, vec![3, 1, 4], content).unwrap();
        (dtype.to_string(), view)
    });
    let bytes = safetensors::serialize(views, None).unwrap();

    let checkpoint = read(&bytes).unwrap();
    assert_eq!(checkpoint.format, "safetensors");
    assert_eq!(checkpoint.tensors.len(), dtypes.len());
    assert_eq!(notes(&checkpoint), []);
    for (dtype, content) in dtypes.iter().zip(&contents) {
        let tensor = checkpoint.tensor(&dtype.to_string()).unwrap();
        assert_eq!(tensor.dtype.to_string(), dtype.to_string());
        assert_eq!(tensor.shape.dimensions(), [3, 1, 4]);
        assert_eq!(&bytes_of(&checkpoint, &tensor.name), content);
    }
}

#[test]
fn reads_scalars_and_tensors_without_elements() {
    let header = r#"{"s":{"dtype":"I16","shape":[],"data_offsets":[0,2]},"z":{"dtype":"F32","shape":[0,7],"data_offsets":[2,2]}}"#;
    let checkpoint = read(&file(header, 2)).unwrap();
    assert_eq!(checkpoint.tensor("s").unwrap().elements(), 1);
    assert_eq!(bytes_of(&checkpoint, "s"), [0, 1]);
    assert!(bytes_of(&checkpoint, "z").is_empty());
    assert_eq!(read(&file("{}", 0)).unwrap().tensors.len(), 0);
}

#[test]
fn keeps_the_order_of_tensors_and_metadata() {
    let header = r#"{"z":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"__metadata__":{"z":"1","a":"","m":"ü"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let checkpoint = read(&file(header, 2)).unwrap();
    let names: Vec<&str> = checkpoint.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["z", "a"]);
    let text = |key: &str, value: &str| (key.to_owned(), Value::text(value));
    let expected = [text("z", "1"), text("a", ""), text("m", "ü")];
    assert_eq!(checkpoint.metadata, expected);
    assert!(notes(&checkpoint).contains(&("unsorted-tensors", Level::Info)));
}

#[test]
fn agrees_with_the_crate_on_every_change_of_one_byte() {
    let header = r#"{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}  "#;
    let original = file(header, 9);
    assert!(read(&original).is_ok());
    let mut accepted = 0;
    for index in 0..original.len() {
        for byte in 0..=255 {
            let mut bytes = original.clone();
            bytes[index] = byte;
            let theirs = SafeTensors::deserialize(&bytes);
            let ours = read(&bytes);
            assert_eq!(
                ours.is_ok(),
                theirs.is_ok(),
                "byte {index} = {byte}: {ours:?} {theirs:?}"
            );
            accepted += usize::from(ours.is_ok());
        }
    }
    assert!(accepted > 1000);
}

#[test]
fn agrees_with_the_crate_on_odd_headers() {
    let entry = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    let cases = [
        r#"{"a":["U8",[1],[0,1]]}"#.to_owned(),
        r#"{"a":["U8",[1],[0,1],0]}"#.to_owned(),
        r#"{"a":["U8",[1]]}"#.to_owned(),
        r#"{"a":{"dtype":{"U8":null},"shape":[1],"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"a":{"dtype":"C128","shape":[],"data_offsets":[0,16]}}"#.to_owned(),
        r#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"a":{"dtype":"U8","shape":[1]}}"#.to_owned(),
        r#"{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"a":{"dtype":"U8","shape":null,"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}"#.to_owned(),
        r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":[{}]}}"#.to_owned(),
        r#"{"a":null}"#.to_owned(),
        r#"{"__metadata__":null}"#.to_owned(),
        r#"{"__metadata__":{"a":1}}"#.to_owned(),
        r#"{"__metadata__":{"a":null}}"#.to_owned(),
        r#"{"__metadata__":[]}"#.to_owned(),
        r#"{"__metadata__":{},"__metadata__":{}}"#.to_owned(),
        r#"{"__metadata__":null,"__metadata__":{}}"#.to_owned(),
        r#"{"__metadata__":{"a":"1","a":"2"}}"#.to_owned(),
        format!(r#"{{"a":{entry},"a":{entry}}}"#),
        format!(r#"  {{"a":{entry}}}"#),
        format!("{{\"a\":{entry}}}\n\t "),
        format!("{{\"a\":{entry}}}\0"),
        format!(r#"{{"a":{entry}}}{{}}"#),
        format!(r#"{{"":{entry}}}"#),
        format!(r#"{{"\ud800":{entry}}}"#),
        format!(r#"{{"\u0000\n/..":{entry}}}"#),
        format!(r#"{{"a":{entry},}}"#),
        r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"a":{"dtype":"F6_E2M3","shape":[2],"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"a":{"dtype":"U8","shape":[18446744073709551615,2],"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]}}"#.to_owned(),
        r#"{"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}"#.to_owned(),
        r#"{"a":["U8",[2],[0,2]],"b":["U8",[1],[2,1]]}"#.to_owned(),
    ];
    for header in cases {
        for data in [0, 1, 3] {
            let bytes = file(&header, data);
            let (ours, theirs) = (read(&bytes), SafeTensors::deserialize(&bytes));
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{header} {data}: {ours:?}");
        }
    }
}

#[test]
fn every_prefix_of_a_file_is_an_error() {
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let bytes = file(header, 8);
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn says_how_many_bytes_are_missing_and_whose() {
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
    let start = 8 + header.len();
    assert_eq!(
        error(header, 11),
        format!(
            "x: tensor `b`: data ends at byte {}, but the file has {} bytes: the tensors need {}, 5 are missing (at byte {})",
            start + 16,
            start + 11,
            start + 16,
            start + 8
        )
    );
    assert_eq!(
        error(header, 19),
        format!(
            "x: 3 bytes follow the data of the last tensor, which ends at byte {0}; nothing may follow it: the official reader refuses such a file (at byte {0})",
            start + 16
        )
    );
}

#[test]
fn says_where_the_header_lies_about_its_length() {
    let mut bytes = file(
        r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
        1,
    );
    bytes[..8].copy_from_slice(&100u64.to_le_bytes());
    assert_eq!(
        read(&bytes).unwrap_err().to_string(),
        "x: header says 100 bytes, but the file has 54 after its first 8: 46 are missing (at byte 0)"
    );
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(
        read(&bytes).unwrap_err().to_string(),
        "x: header says 18446744073709551615 bytes, but the file has 54 after its first 8: 18446744073709551561 are missing (at byte 0)"
    );
}

#[test]
fn says_which_tensors_leave_a_gap_or_overlap() {
    let gap = r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[5,7]}}"#;
    let start = 8 + gap.len();
    assert_eq!(
        error(gap, 7),
        format!(
            "x: tensor `b`: data starts at byte {}, but what stands before it ends at byte {}: 3 bytes belong to no tensor (at byte {})",
            start + 5,
            start + 2,
            start + 5
        )
    );
    let overlap = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}}"#;
    assert_eq!(
        error(overlap, 7),
        format!(
            "x: tensor `b`: data starts at byte {}, inside that of `a`, which ends at byte {}: they overlap by 1 bytes (at byte {})",
            start + 3,
            start + 4,
            start + 3
        )
    );
}

#[test]
fn says_which_tensor_and_where_in_the_header() {
    let header = r#"{"a":{"dtype":"C128","shape":[],"data_offsets":[0,16]}}"#;
    let message = error(header, 16);
    let expected =
        "x: tensor `a`: header is not valid: unknown variant `C128`, expected one of `BOOL`";
    assert!(message.starts_with(expected), "{message}");
    let quote = 8 + header.find("C128").unwrap() + 4;
    assert!(
        message.ends_with(&format!("(at byte {quote})")),
        "{message}"
    );

    let header = r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,20]}}"#;
    let start = 8 + header.len();
    assert_eq!(
        error(header, 20),
        format!(
            "x: tensor `a`: F32 [2, 3] takes 24 bytes, but data_offsets [0, 20] hold 20 (at byte {start})"
        )
    );
}

#[test]
fn an_error_after_newlines_has_its_offset_in_the_file() {
    let header = "{\n\"a\":\n{\"dtype\": \"?\"}}";
    let message = error(header, 0);
    let quote = 8 + header.find('?').unwrap() + 1;
    assert!(
        message.ends_with(&format!("(at byte {quote})")),
        "{message}"
    );
}

#[test]
fn a_repeated_name_is_what_the_crate_loads() {
    let header = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#;
    let bytes = file(header, 2);
    let theirs = SafeTensors::deserialize(&bytes).unwrap();
    let ours = read(&bytes).unwrap();
    assert_eq!(bytes_of(&ours, "a"), theirs.tensor("a").unwrap().data());
    assert_eq!(bytes_of(&ours, "a#2"), [0]);
    assert!(notes(&ours).contains(&("duplicate-name", Level::Warning)));
}

#[test]
fn a_repeated_name_whose_first_entry_lies_is_left_out() {
    let header = r#"{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#;
    let bytes = file(header, 2);
    assert!(SafeTensors::deserialize(&bytes).is_ok());
    let checkpoint = read(&bytes).unwrap();
    assert_eq!(checkpoint.tensors.len(), 1);
    assert_eq!(
        notes(&checkpoint)[1..],
        [("duplicate-name", Level::Warning)]
    );
}

#[test]
fn a_gap_behind_a_repeated_name_is_explained() {
    let header = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    assert!(SafeTensors::deserialize(&file(header, 2)).is_err());
    let message = error(header, 2);
    let expected =
        "1 bytes belong to no tensor; the header has `a` more than once, and only the last counts";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn what_the_crate_passes_over_is_noted() {
    let header = r#"  {"__metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":[[1]]},"b":{"dtype":"I16","shape":[1],"data_offsets":[1,3]}}"#;
    let checkpoint = read(&file(header, 3)).unwrap();
    let expected = [
        ("leading-whitespace", Level::Warning),
        ("unaligned-header", Level::Info),
        ("null-metadata", Level::Info),
        ("unknown-field", Level::Warning),
        ("unaligned-tensors", Level::Info),
    ];
    assert_eq!(notes(&checkpoint), expected);
}

#[test]
fn aliases_in_the_metadata_come_back_as_tied_tensors() {
    let header = r#"{"__metadata__":{"head":"embed","format":"pt","x":"y"},"embed":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"pt":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    let mut checkpoint = read(&file(header, 2)).unwrap();
    checkpoint.mark_tied();
    let names: Vec<&str> = checkpoint.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["embed", "pt", "head"]);
    assert_eq!(checkpoint.tensors[2].tied_to.as_deref(), Some("embed"));
    assert_eq!(checkpoint.metadata.len(), 3);
}

#[test]
fn refuses_what_the_limits_do_not_grant() {
    let ones = vec!["1"; 65].join(",");
    let header = format!(r#"{{"a":{{"dtype":"U8","shape":[{ones}],"data_offsets":[0,1]}}}}"#);
    let found = read(&file(&header, 1)).unwrap_err();
    assert_eq!(found.kind(), Kind::Limit);
    assert_eq!(found.message(), "shape has over 64 dimensions, the limit");

    let name = "n".repeat(70_000);
    let header = format!(r#"{{"{name}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}}"#);
    assert_eq!(read(&file(&header, 1)).unwrap_err().kind(), Kind::Limit);
}

#[test]
fn deep_nesting_in_an_unknown_field_is_no_stack_overflow() {
    let deep = "[".repeat(2_000_000);
    let header = format!(r#"{{"a":{{"x":{deep}"#);
    assert!(read(&file(&header, 0)).is_err());
}

#[test]
fn recognises_a_file_by_its_content_alone() {
    assert!(read(&file("  {}", 0)).is_ok());
    assert!(read(b"").is_err());
    let error = read(&[255; 16]).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert_eq!(DType::from_name("f8_e8m0"), Some(DType::F8E8M0));
}

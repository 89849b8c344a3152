//! GGUF, from bytes that are laid out here field by field, as docs/gguf.md of ggml says.

use ckpt::format::{self, ReadOptions};
use ckpt::io::{ByteOrder, Source};
use ckpt::model::{Level, Payload, Value};
use ckpt::stream::Reader;
use ckpt::{Checkpoint, DType, Kind};
use std::path::Path;

const U8: u32 = 0;
const U16: u32 = 2;
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;
const U64: u32 = 10;

/// Lays out a GGUF file.
#[derive(Clone)]
struct Builder {
    version: u32,
    order: ByteOrder,
    alignment: usize,
    entries: Vec<Vec<u8>>,
    infos: Vec<Vec<u8>>,
    data: Vec<u8>,
}

impl Builder {
    fn new(version: u32) -> Builder {
        Builder {
            version,
            order: ByteOrder::Little,
            alignment: 32,
            entries: Vec::new(),
            infos: Vec::new(),
            data: Vec::new(),
        }
    }

    fn big_endian(version: u32) -> Builder {
        Builder {
            order: ByteOrder::Big,
            ..Builder::new(version)
        }
    }

    fn word(&self, value: u64, width: usize) -> Vec<u8> {
        match self.order {
            ByteOrder::Little => value.to_le_bytes()[..width].to_vec(),
            ByteOrder::Big => value.to_be_bytes()[8 - width..].to_vec(),
        }
    }

    fn length(&self, value: u64) -> Vec<u8> {
        self.word(value, if self.version == 1 { 4 } else { 8 })
    }

    fn text(&self, text: impl AsRef<[u8]>) -> Vec<u8> {
        let bytes = text.as_ref();
        [self.length(bytes.len() as u64), bytes.to_vec()].concat()
    }

    /// A pair whose value is given as it lies in the file.
    fn entry(mut self, key: impl AsRef<[u8]>, kind: u32, value: &[u8]) -> Builder {
        let head = [self.text(key), self.word(u64::from(kind), 4)].concat();
        self.entries.push([&head, value].concat());
        self
    }

    fn number(self, key: &str, kind: u32, value: u64, width: usize) -> Builder {
        let value = self.word(value, width);
        self.entry(key, kind, &value)
    }

    fn array(&self, kind: u32, count: u64, elements: &[u8]) -> Vec<u8> {
        let head = [self.word(u64::from(kind), 4), self.length(count)].concat();
        [&head, elements].concat()
    }

    /// An info with any offset, and no data.
    fn info(mut self, name: &str, dims: &[u64], id: u32, offset: u64) -> Builder {
        let dims_bytes: Vec<u8> = dims.iter().flat_map(|&d| self.length(d)).collect();
        let info = [
            self.text(name),
            self.word(dims.len() as u64, 4),
            dims_bytes,
            self.word(u64::from(id), 4),
            self.word(offset, 8),
        ];
        self.infos.push(info.concat());
        self
    }

    /// A tensor whose data follows that of the one before; `dims` innermost first.
    fn tensor(mut self, name: &str, dims: &[u64], id: u32, bytes: &[u8]) -> Builder {
        let padded = self.data.len().next_multiple_of(self.alignment);
        self.data.resize(padded, 0);
        self.data.extend_from_slice(bytes);
        self.info(name, dims, id, padded as u64)
    }

    fn header(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.word(u64::from(self.version), 4));
        out.extend(self.length(self.infos.len() as u64));
        out.extend(self.length(self.entries.len() as u64));
        out.extend(self.entries.concat());
        out.extend(self.infos.concat());
        out
    }

    fn build(&self) -> Vec<u8> {
        let mut out = self.header();
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out.extend(&self.data);
        out
    }

    fn read(&self) -> ckpt::Result<Checkpoint> {
        read(self.build())
    }
}

fn read(bytes: Vec<u8>) -> ckpt::Result<Checkpoint> {
    format::read(&Source::from_bytes("m.gguf", bytes), &ReadOptions::SUMMARY)
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn values_of<'a>(checkpoint: &'a Checkpoint, key: &str) -> &'a Value {
    let found = checkpoint.metadata.iter().find(|(k, _)| k == key);
    &found.unwrap().1
}

fn rules(checkpoint: &Checkpoint) -> Vec<&'static str> {
    checkpoint.notes.iter().map(|note| note.rule).collect()
}

#[track_caller]
fn fails(builder: &Builder, kind: Kind, expected: &str) {
    fails_with(builder.build(), kind, expected);
}

#[track_caller]
fn fails_with(bytes: Vec<u8>, kind: Kind, expected: &str) {
    let error = read(bytes).unwrap_err();
    assert_eq!(error.to_string(), format!("m.gguf: {expected}"));
    assert_eq!(error.kind(), kind);
}

#[test]
fn reads_every_version_in_both_orders() {
    for version in 1..=3 {
        for mut builder in [Builder::new(version), Builder::big_endian(version)] {
            let big = builder.order == ByteOrder::Big;
            builder = builder.number("a.count", U32, 7, 4);
            let data = f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
            let stored = if big { swapped(&data, 4) } else { data.clone() };
            let builder = builder.tensor("w", &[3, 2], 0, &stored);
            let checkpoint = builder.read().unwrap();

            let suffix = if big { "-be" } else { "" };
            assert_eq!(checkpoint.variant, format!("v{version}{suffix}"));
            assert_eq!(checkpoint.format, "gguf");
            assert_eq!(values_of(&checkpoint, "a.count"), &Value::Int(7));
            assert_eq!(checkpoint.notes, []);
            let tensor = &checkpoint.tensors[0];
            assert_eq!(tensor.shape.dimensions(), [2, 3]);
            assert_eq!(Reader::open(tensor).unwrap().read_all().unwrap(), data);
        }
    }
}

fn swapped(bytes: &[u8], width: usize) -> Vec<u8> {
    let words = bytes.chunks(width);
    words.flat_map(|word| word.iter().rev().copied()).collect()
}

#[test]
fn swaps_the_words_inside_big_endian_blocks() {
    // Q8_0: an f16 scale, which is swapped, and 32 bytes, which are not.
    let mut little = vec![0x00, 0x3c];
    little.extend(0..32);
    let mut big = little.clone();
    big.swap(0, 1);
    let builder = Builder::big_endian(3).tensor("w", &[32], 8, &big);
    let checkpoint = builder.read().unwrap();
    let found = Reader::open(&checkpoint.tensors[0]).unwrap().read_all();
    assert_eq!(found.unwrap(), little);
}

#[test]
fn reads_every_value_type_and_remembers_it() {
    let builder = Builder::new(3);
    let numbers = builder.array(I32, 2, &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    let texts = [builder.text("a"), builder.text("é")].concat();
    let texts = builder.array(TEXT, 2, &texts);
    let text = builder.text("llama");
    let checkpoint = builder
        .entry("u8", U8, &[200])
        .entry("i8", 1, &[0xfb])
        .number("u16", U16, 60000, 2)
        .number("i16", 3, 0xfed4, 2)
        .number("u32", U32, 4_000_000_000, 4)
        .number("i32", I32, 0xffff_fff9, 4)
        .entry("f32", F32, &0.1f32.to_le_bytes())
        .entry("bool", BOOL, &[1])
        .entry("str", TEXT, &text)
        .entry("numbers", ARRAY, &numbers)
        .entry("texts", ARRAY, &texts)
        .number("u64", U64, u64::MAX, 8)
        .number("i64", 11, u64::MAX, 8)
        .entry("f64", 12, &0.1f64.to_le_bytes())
        .read()
        .unwrap();
    let found: Vec<_> = checkpoint
        .metadata
        .iter()
        .zip(&checkpoint.metadata_types)
        .map(|((key, value), (type_key, kind))| {
            assert_eq!(key, type_key);
            (key.as_str(), *kind, value.clone())
        })
        .collect();
    let texts = vec![Value::text("a"), Value::text("é")];
    assert_eq!(
        found,
        [
            ("u8", "u8", Value::Int(200)),
            ("i8", "i8", Value::Int(-5)),
            ("u16", "u16", Value::Int(60000)),
            ("i16", "i16", Value::Int(-300)),
            ("u32", "u32", Value::Int(4_000_000_000)),
            ("i32", "i32", Value::Int(-7)),
            ("f32", "f32", Value::Float(f64::from(0.1f32))),
            ("bool", "bool", Value::Bool(true)),
            ("str", "str", Value::text("llama")),
            (
                "numbers",
                "arr[i32]",
                Value::List(vec![Value::Int(1), Value::Int(-1)])
            ),
            ("texts", "arr[str]", Value::List(texts)),
            ("u64", "u64", Value::Unsigned(u64::MAX)),
            ("i64", "i64", Value::Int(-1)),
            ("f64", "f64", Value::Float(0.1)),
        ]
    );
}

#[test]
fn cuts_long_arrays_unless_all_is_asked_for() {
    let builder = Builder::new(3);
    let tokens: Vec<u8> = (0..1000)
        .flat_map(|i| builder.text(format!("t{i}")))
        .collect();
    let array = builder.array(TEXT, 1000, &tokens);
    let builder = builder
        .entry("tokens", ARRAY, &array)
        .number("after", U32, 5, 4);

    let checkpoint = builder.read().unwrap();
    let Value::Array(array) = values_of(&checkpoint, "tokens") else {
        panic!("the array was not cut");
    };
    assert_eq!(
        (array.element.as_str(), array.length, array.first.len()),
        ("str", 1000, 64)
    );
    assert_eq!(array.first[63], Value::text("t63"));
    assert_eq!(values_of(&checkpoint, "after"), &Value::Int(5));

    let source = Source::from_bytes("m.gguf", builder.build());
    let checkpoint = format::read(&source, &ReadOptions::ALL).unwrap();
    let Value::List(all) = values_of(&checkpoint, "tokens") else {
        panic!("the array was cut");
    };
    assert_eq!(all[999], Value::text("t999"));
    assert_eq!(all.len(), 1000);
}

#[test]
fn lists_tensors_of_unknown_and_removed_types() {
    let checkpoint = Builder::new(3)
        .tensor("known", &[8], 0, &[0; 32])
        .info("removed", &[32], 4, 32)
        .info("fork", &[5, 3], 137, 64)
        .read()
        .unwrap();
    let dtypes: Vec<_> = checkpoint.tensors.iter().map(|t| t.dtype).collect();
    assert_eq!(dtypes, [DType::F32, DType::Unknown(4), DType::Unknown(137)]);
    assert_eq!(checkpoint.tensors[2].shape.dimensions(), [3, 5]);
    assert!(matches!(checkpoint.tensors[2].payload, Payload::Absent(_)));
    assert_eq!(rules(&checkpoint), ["unknown-type", "unknown-type"]);
    assert_eq!(
        checkpoint.notes[0].text,
        "tensors of type 4 (Q4_2, removed from the format), whose data cannot be read: 1, the first is `removed`"
    );
    let error = Reader::open(&checkpoint.tensors[2]).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn scalars_and_empty_tensors_are_tensors() {
    let checkpoint = Builder::new(3)
        .tensor("scalar", &[], 0, &f32s(&[2.5]))
        .tensor("empty", &[0, 3], 0, &[])
        .read()
        .unwrap();
    assert_eq!(checkpoint.tensors[0].shape.rank(), 0);
    assert_eq!(checkpoint.tensors[1].shape.dimensions(), [3, 0]);
    assert_eq!(checkpoint.tensors[1].byte_len(), Some(0));
    assert_eq!(checkpoint.notes, []);
}

#[test]
fn follows_another_alignment() {
    let mut builder = Builder::new(3).number("general.alignment", U32, 64, 4);
    builder.alignment = 64;
    let checkpoint = builder
        .tensor("a", &[1], 0, &f32s(&[1.0]))
        .tensor("b", &[1], 0, &f32s(&[2.0]))
        .read()
        .unwrap();
    assert_eq!(checkpoint.notes, []);
    let (_, a, _) = checkpoint.tensors[0].payload.extent().unwrap();
    let (_, b, _) = checkpoint.tensors[1].payload.extent().unwrap();
    assert_eq!((a % 64, b - a), (0, 64));
}

#[test]
fn notes_what_is_odd_but_readable() {
    let long = "n".repeat(64);
    let builder = Builder::new(3);
    let inner = [builder.array(U8, 1, &[1]), builder.array(U8, 2, &[2, 3])].concat();
    let nested = builder.array(ARRAY, 2, &inner);
    // Another number of elements, so it is not given back.
    let shape = builder.array(I32, 1, &[9, 0, 0, 0]);
    let broken = builder.text(b"llama\0");
    let mut bytes = builder
        .entry("nested", ARRAY, &nested)
        .entry("comfy.gguf.orig_shape.w", ARRAY, &shape)
        .entry("general.name", TEXT, &broken)
        .tensor(&long, &[8], 0, &[0; 32])
        .info("w", &[8], 0, 0)
        .build();
    bytes.extend([0; 7]);
    let checkpoint = read(bytes).unwrap();
    assert_eq!(
        rules(&checkpoint),
        [
            "gguf-text",
            "gguf-nested-array",
            "gguf-original-shape",
            "gguf-long-name",
            "gguf-offset",
            "trailing-bytes"
        ]
    );
    assert_eq!(checkpoint.notes[2].level, Level::Info);
    assert_eq!(
        checkpoint.notes[5].text,
        "7 bytes follow the last tensor; ggml and gguf-py do not see them"
    );
    assert_eq!(
        values_of(&checkpoint, "general.name"),
        &Value::text("llama")
    );
    let list = |items: &[i64]| Value::List(items.iter().map(|&i| Value::Int(i)).collect());
    let nested = Value::List(vec![list(&[1]), list(&[2, 3])]);
    assert_eq!(values_of(&checkpoint, "nested"), &nested);
}

#[test]
fn padding_after_the_last_tensor_may_be_there_or_not() {
    let mut bytes = Builder::new(3).tensor("w", &[1], 0, &[0; 4]).build();
    assert_eq!(read(bytes.clone()).unwrap().notes, []);
    bytes.extend([0; 28]);
    assert_eq!(read(bytes).unwrap().notes, []);
}

#[test]
fn rejects_versions_it_does_not_know() {
    fails(
        &Builder::new(0),
        Kind::Malformed,
        "version 0; versions start at 1 (at byte 4)",
    );
    fails(
        &Builder::new(4),
        Kind::Unsupported,
        "version 4; 1 to 3 are read (at byte 4)",
    );
}

#[test]
fn rejects_counts_that_exceed_the_file_or_the_limit() {
    let mut bytes = Builder::new(3).build();
    bytes[8] = 200;
    fails_with(
        bytes.clone(),
        Kind::Malformed,
        "200 tensors need at least 24 bytes each, but only 16 bytes remain (at byte 8)",
    );
    bytes[8..16].fill(0xff);
    fails_with(
        bytes.clone(),
        Kind::Limit,
        "asks for 18446744073709551615 tensors; the limit is 1000000 (at byte 8)",
    );
    bytes[8..16].fill(0);
    bytes[16] = 9;
    fails_with(
        bytes,
        Kind::Malformed,
        "9 metadata entries need at least 14 bytes each, but only 8 bytes remain (at byte 16)",
    );
}

#[test]
fn rejects_array_and_text_bombs_before_allocating() {
    let array = Builder::new(3).array(U32, 1 << 30, &[0; 16]);
    let builder = Builder::new(3).entry("a", ARRAY, &array);
    fails(
        &builder,
        Kind::Malformed,
        "1073741824 elements of `a` need at least 4 bytes each, but only 47 bytes remain (at byte 41)",
    );
    let array = Builder::new(3).array(U32, 1 << 62, &[]);
    let error = Builder::new(3)
        .entry("a", ARRAY, &array)
        .read()
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
    let text = 0x7fff_ffff_ffff_ffff_u64.to_le_bytes();
    let error = Builder::new(3).entry("a", TEXT, &text).read().unwrap_err();
    assert!(
        error
            .message()
            .starts_with("a text of 9223372036854775807 bytes")
    );
    // A lying length among the elements that are only passed over.
    let builder = Builder::new(3);
    let mut texts = builder.text("x").repeat(100);
    texts.extend(u64::MAX.to_le_bytes());
    let array = builder.array(TEXT, 101, &texts);
    let error = builder.entry("a", ARRAY, &array).read().unwrap_err();
    assert_eq!(error.kind(), Kind::Malformed);
}

#[test]
fn rejects_arrays_that_nest_too_deeply() {
    for (depth, count) in [(6, 1), (6, 100), (100_000, 1)] {
        let builder = Builder::new(3);
        let head = builder.array(ARRAY, 1, &[]);
        let mut array = builder.array(ARRAY, count, &head.repeat(depth));
        array.extend(builder.array(U8, 0, &[]).repeat(100));
        let error = builder.entry("a", ARRAY, &array).read().unwrap_err();
        assert_eq!(error.message(), "`a` nests arrays deeper than 4");
    }
}

#[test]
fn rejects_keys_and_types_that_ggml_refuses() {
    let twice = Builder::new(3).entry("k", U8, &[1]).entry("k", U8, &[2]);
    fails(&twice, Kind::Malformed, "metadata key `k` occurs twice");
    let empty = Builder::new(3).entry("", U8, &[1, 0]);
    fails(
        &empty,
        Kind::Malformed,
        "a metadata key is empty (at byte 24)",
    );
    let kind = Builder::new(3).entry("k", 13, &[1]);
    fails(
        &kind,
        Kind::Malformed,
        "value type 13; 0 to 12 exist (at byte 33)",
    );
}

#[test]
fn rejects_alignments_that_are_no_power_of_two() {
    for alignment in [0, 3, 48] {
        let builder = Builder::new(3).number("general.alignment", U32, alignment, 4);
        let message =
            format!("`general.alignment` is {alignment}; it must be a power of two (at byte 24)");
        fails(&builder, Kind::Malformed, &message);
    }
    let builder = Builder::new(3).entry("general.alignment", F32, &32f32.to_le_bytes());
    assert_eq!(builder.read().unwrap_err().kind(), Kind::Malformed);
    let huge = Builder::new(3)
        .number("general.alignment", U64, 1 << 63, 8)
        .tensor("w", &[1], 0, &[0; 4]);
    assert_eq!(huge.read().unwrap_err().kind(), Kind::Malformed);
}

#[test]
fn rejects_impossible_shapes() {
    let five = Builder::new(3).tensor("w", &[1, 1, 1, 1, 1], 0, &[0; 4]);
    fails(
        &five,
        Kind::Malformed,
        "tensor `w`: has 5 dimensions; the limit is 4 (at byte 33)",
    );
    let overflow = Builder::new(3).info("w", &[1 << 32, 1 << 31], 0, 0);
    assert_eq!(
        overflow.read().unwrap_err().place().tensor.as_deref(),
        Some("w")
    );
    let bytes = Builder::new(3).info("w", &[1 << 62], 28, 0);
    assert_eq!(bytes.read().unwrap_err().kind(), Kind::Malformed);
    // 64 elements are two blocks, but a row of 16 is none.
    let rows = Builder::new(3).tensor("w", &[16, 4], 8, &[0; 68]);
    fails(
        &rows,
        Kind::Malformed,
        "tensor `w`: rows of 16 elements are no whole blocks of Q8_0 (32) (at byte 33)",
    );
}

#[test]
fn rejects_data_past_the_end() {
    let short = Builder::new(3)
        .tensor("a", &[8], 0, &[0; 32])
        .tensor("b", &[8], 0, &[0; 20]);
    fails(
        &short,
        Kind::Malformed,
        "tensor `b`: needs 32 bytes, but only 20 remain (at byte 128)",
    );
    let far = Builder::new(3).info("a", &[8], 0, u64::MAX - 8);
    assert_eq!(far.read().unwrap_err().kind(), Kind::Malformed);
    let past = Builder::new(3).info("a", &[8], 0, 1 << 40);
    assert!(
        past.read()
            .unwrap_err()
            .message()
            .starts_with("needs 32 bytes, but only 0")
    );
}

#[test]
fn rejects_a_name_that_occurs_twice() {
    let twice = Builder::new(3)
        .tensor("w", &[1], 0, &[0; 4])
        .tensor("w", &[1], 0, &[0; 4]);
    fails(
        &twice,
        Kind::Malformed,
        "tensor `w`: the name occurs twice (at byte 57)",
    );
}

/// A header with one of everything.
fn full() -> Builder {
    let builder = Builder::new(3);
    let texts = builder.array(TEXT, 2, &[builder.text("a"), builder.text("b")].concat());
    let nested = builder.array(ARRAY, 1, &builder.array(U8, 2, &[1, 2]));
    let name = builder.text("llama");
    builder
        .entry("general.name", TEXT, &name)
        .entry("tokens", ARRAY, &texts)
        .entry("nested", ARRAY, &nested)
        .number("general.alignment", U32, 32, 4)
        .tensor("a", &[2, 2], 0, &[1; 16])
        .tensor("b", &[32], 8, &[2; 34])
}

#[test]
fn every_prefix_is_an_error() {
    let bytes = full().build();
    assert!(read(bytes.clone()).is_ok());
    for len in 0..bytes.len() {
        let error = read(bytes[..len].to_vec()).unwrap_err();
        assert_eq!(
            error.place().path.as_deref(),
            Some("m.gguf"),
            "{len}: {error}"
        );
    }
}

#[test]
fn no_changed_byte_of_the_header_panics() {
    let builder = full();
    let bytes = builder.build();
    for index in 0..builder.header().len() {
        for value in [
            0,
            1,
            2,
            0x7f,
            0x80,
            0xff,
            bytes[index] ^ 1,
            bytes[index] ^ 0x40,
        ] {
            let mut changed = bytes.clone();
            changed[index] = value;
            if let Ok(checkpoint) = read(changed) {
                for tensor in &checkpoint.tensors {
                    let _ = Reader::open(tensor).map(|reader| reader.read_all());
                }
            }
        }
    }
}

/// Writes parts of two tensors each into a folder.
fn write_parts(folder: &Path, count: u64, tweak: impl Fn(u64, Builder) -> Builder) {
    for number in 1..=count {
        let value = f32s(&[number as f32, 0.5]);
        let mut builder = Builder::new(3);
        if number == 1 {
            let name = builder.text("llama");
            builder = builder.entry("general.architecture", TEXT, &name);
        }
        builder = builder
            .number("split.no", U16, number - 1, 2)
            .number("split.count", U16, count, 2)
            .number("split.tensors.count", I32, 2 * count, 4)
            .tensor(&format!("a.{number}"), &[2], 0, &value)
            .tensor(&format!("b.{number}"), &[2], 0, &value);
        let bytes = tweak(number, builder).build();
        std::fs::write(part(folder, number, count), bytes).unwrap();
    }
}

fn part(folder: &Path, number: u64, count: u64) -> std::path::PathBuf {
    folder.join(format!("m-{number:05}-of-{count:05}.gguf"))
}

#[test]
fn any_part_opens_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    write_parts(folder.path(), 3, |_, builder| builder);
    for number in 1..=3 {
        let path = part(folder.path(), number, 3);
        let checkpoint = format::open(&path).unwrap();
        assert_eq!(checkpoint.variant, "split");
        assert_eq!(checkpoint.path, path.to_string_lossy());
        let keys: Vec<_> = checkpoint
            .metadata
            .iter()
            .map(|(key, _)| key.as_str())
            .collect();
        assert_eq!(keys, ["general.architecture"]);
        assert_eq!(checkpoint.notes, []);
        let names: Vec<_> = checkpoint.tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["a.1", "b.1", "a.2", "b.2", "a.3", "b.3"]);
        let tensor = &checkpoint.tensors[4];
        assert_eq!(
            Reader::open(tensor).unwrap().read_all().unwrap(),
            f32s(&[3.0, 0.5])
        );
        let (source, ..) = tensor.payload.extent().unwrap();
        assert!(source.name().ends_with("m-00003-of-00003.gguf"));
    }
}

#[track_caller]
fn split_fails(folder: &Path, file: u64, expected: &str) {
    let error = format::open(&part(folder, 1, 3)).unwrap_err();
    let named = part(folder, file, 3);
    assert_eq!(
        error.to_string(),
        format!("{}: {expected}", named.display())
    );
}

#[test]
fn names_the_part_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    write_parts(folder.path(), 3, |_, builder| builder);
    std::fs::remove_file(part(folder.path(), 2, 3)).unwrap();
    split_fails(folder.path(), 2, "part 2 of 3 is missing");
}

#[test]
fn rejects_parts_that_contradict_their_names_or_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_parts(path, 3, |_, builder| builder);
    std::fs::copy(part(path, 2, 3), part(path, 3, 3)).unwrap();
    split_fails(
        path,
        3,
        "`split.no` says that this is part 2, but the name says 3",
    );

    let extra = |number, builder: Builder| match number {
        2 => builder.tensor("c", &[1], 0, &[0; 4]),
        _ => builder,
    };
    write_parts(path, 3, extra);
    split_fails(
        path,
        1,
        "`split.tensors.count` says 6 tensors, but the 3 parts hold 7",
    );

    let same = |number, builder: Builder| match number {
        3 => builder.tensor("a.1", &[1], 0, &[0; 4]),
        _ => builder,
    };
    write_parts(path, 3, same);
    split_fails(
        path,
        3,
        "tensor `a.1`: the name occurs in an earlier part too",
    );
}

#[test]
fn a_part_under_another_name_stands_alone_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    write_parts(folder.path(), 2, |_, builder| builder);
    let renamed = folder.path().join("renamed.gguf");
    std::fs::rename(part(folder.path(), 1, 2), &renamed).unwrap();
    let checkpoint = format::open(&renamed).unwrap();
    assert_eq!(checkpoint.tensors.len(), 2);
    assert_eq!(rules(&checkpoint), ["gguf-split"]);
}

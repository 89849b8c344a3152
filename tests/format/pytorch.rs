//! Pickles that nobody's `torch.save` wrote: hand-assembled, most of them hostile.

use ckpt::error::{Error, Kind};
use ckpt::format::{self, ReadOptions};
use ckpt::io::Source;
use ckpt::model::{Checkpoint, Level, Value};
use ckpt::pickle;
use ckpt::stream::Reader;
use std::time::{Duration, Instant};

/// Reads a file that is a bare pickle of protocol 2 with this body.
fn read(body: &[u8]) -> Result<Checkpoint, Error> {
    let bytes = [b"\x80\x02", body].concat();
    format::read(&Source::from_bytes("x", bytes), &ReadOptions::SUMMARY)
}

fn value<'a>(checkpoint: &'a Checkpoint, key: &str) -> &'a Value {
    let found = checkpoint.values.iter().find(|(name, _)| name == key);
    &found.unwrap_or_else(|| panic!("no value {key}")).1
}

fn has_note(checkpoint: &Checkpoint, rule: &str) -> bool {
    checkpoint.notes.iter().any(|note| note.rule == rule)
}

#[test]
fn every_prefix_and_every_changed_byte_of_a_pickle_ends_in_ok_or_err() {
    let body: &[u8] = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01M\x02\x03J\x04\x05\x06\x07\
        G\x3f\xf0\x00\x00\x00\x00\x00\x00\x8a\x02\xff\x7fNe\x86q\x03h\x02ccollections\nOrderedDict\n\
        q\x04)Rq\x05}q\x06X\x01\x00\x00\x00bU\x01csbu.";
    for length in 0..body.len() {
        let source = Source::from_bytes("x", &body[..length]);
        assert!(pickle::read(&source, 0).is_err(), "{length} bytes");
    }
    for place in 2..body.len() {
        for byte in 0..=255 {
            let mut changed = body.to_vec();
            changed[place] = byte;
            let source = Source::from_bytes("x", changed);
            let _ = pickle::read(&source, 0);
            let _ = format::read(&source, &ReadOptions::ALL);
        }
    }
}

#[test]
fn refuses_what_no_unpickler_would_accept() {
    let cases: [(&[u8], &str); 18] = [
        (b"}\x9f.", "x: opcode 0x9f is not supported (at byte 3)"),
        (
            b"]h\x05.",
            "x: memo entry 5 is used before it is set (at byte 3)",
        ),
        (
            b"]R.",
            "x: needs a value, but the stack has none above its last mark (at byte 3)",
        ),
        (b"]K\x01\x85R.", "x: calls a list (at byte 6)"),
        (b"]}b.", "x: gives state to a list (at byte 4)"),
        (b"]Nb.", "x: gives state to a list (at byte 4)"),
        (b"]K\x01}b.", "x: gives state to an int (at byte 6)"),
        (b"}K\x01a.", "x: appends to a dict (at byte 5)"),
        (b"]K\x01K\x02s.", "x: sets items in a list (at byte 7)"),
        (
            b"}(K\x01u.",
            "x: a dict is given a key without a value (at byte 6)",
        ),
        (b"]e.", "x: needs a mark, but there is none (at byte 3)"),
        (
            b"](0a.",
            "x: needs a value, but the stack has none above its last mark (at byte 5)",
        ),
        (
            b"]\x97.",
            "x: asks for an out-of-band buffer, which a file cannot hold (at byte 3)",
        ),
        (
            b"]\x80\x07.",
            "x: pickle protocol 7 is not known; 0 to 5 are (at byte 3)",
        ),
        (
            b"]T\xff\xff\xff\xff.",
            "x: a length is negative (at byte 3)",
        ),
        (
            b"]\x8b\xff\xff\xff\x7f.",
            "x: an integer has 2147483647 bytes; the limit is 65536 (at byte 3)",
        ),
        (
            b"]\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
            "x: needs 18446744073709551615 bytes, but only 1 remain (at byte 12)",
        ),
        (b"]0.", "x: ends with nothing on the stack (at byte 4)"),
    ];
    for (body, message) in cases {
        assert_eq!(read(body).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_wild_memo_key_costs_one_entry() {
    let found = read(b"}r\xff\xff\xff\xffX\x01\x00\x00\x00aK\x05s.").unwrap();
    assert_eq!(value(&found, "a"), &Value::Int(5));
}

#[test]
fn objects_that_hold_themselves_are_cut() {
    // a = []; a.append(a); {'a': a}
    let found = read(b"}X\x01\x00\x00\x00a]q\x00h\x00as.").unwrap();
    assert_eq!(value(&found, "a"), &Value::List(vec![Value::text("...")]));
    assert!(has_note(&found, "cycle"));
    // d = {}; d['d'] = d
    let found = read(b"}q\x00X\x01\x00\x00\x00dh\x00s.").unwrap();
    assert_eq!(value(&found, "d"), &Value::text("..."));
    // An object whose state is itself.
    let found = read(b"}X\x01\x00\x00\x00ocm\nD\n)\x81q\x00h\x00bs.").unwrap();
    assert!(has_note(&found, "cycle"));
}

#[test]
fn a_tensor_that_is_rebuilt_from_itself_is_cut() {
    // args = ([p],) where p is the parameter that the call makes: only a state can close the
    // circle, so the parameter's state is a tuple that holds the parameter.
    let body = b"}X\x01\x00\x00\x00pctorch.nn.parameter\nParameter\n)\x81q\x00h\x00\x85bs.";
    let found = read(body).unwrap();
    assert!(found.tensors.is_empty());
    assert!(has_note(&found, "cycle"));
}

#[test]
fn deep_nesting_is_cut_and_uses_no_deep_recursion() {
    let mut body = b"}X\x01\x00\x00\x00a".to_vec();
    body.extend(std::iter::repeat_n(b']', 100_000));
    body.extend(std::iter::repeat_n(b'a', 99_999));
    body.extend(b"s.");
    let found = read(&body).unwrap();
    assert!(has_note(&found, "depth"));
}

#[test]
fn shared_containers_do_not_explode() {
    // l = ['x']; thirty times l = [l, l]: 2^30 leaves.
    let mut body = b"}X\x01\x00\x00\x00a]X\x01\x00\x00\x00xa".to_vec();
    for _ in 0..30 {
        body.extend(b"q\x00]h\x00ah\x00a\x86q\x020h\x02");
    }
    body.extend(b"s.");
    let start = Instant::now();
    let outcome = read(&body);
    assert!(start.elapsed() < Duration::from_secs(20));
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), Kind::Limit, "{error}");
}

#[test]
fn a_pickle_of_duplicates_stops_at_the_limit_of_the_stack() {
    let mut body = b"]".to_vec();
    body.extend(std::iter::repeat_n(b'2', 1_100_000));
    body.extend(b".");
    let error = read(&body).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
    assert_eq!(error.message(), "the stack holds over 1000000 values");
}

#[test]
fn nothing_is_called_and_what_would_be_is_said() {
    let found = read(b"}X\x01\x00\x00\x00acos\nsystem\nU\x02ls\x85Rs.").unwrap();
    assert_eq!(value(&found, "a"), &Value::text("os.system('ls')"));
    let note = found
        .notes
        .iter()
        .find(|note| note.rule == "would-import")
        .unwrap();
    assert_eq!(note.level, Level::Danger);
    assert!(note.text.contains("os.system"), "{}", note.text);
}

#[test]
fn keys_are_named_as_python_prints_them() {
    let found = read(
        b"}(X\x01\x00\x00\x00aNK\x01NNN\x88NG\x3f\xf8\x00\x00\x00\x00\x00\x00NK\x01K\x02\x86Ncm\nC\nNu.",
    );
    let names: Vec<String> = found
        .unwrap()
        .values
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        names,
        ["a", "1", "None", "True", "1.5", "(1, 2)", "<class 'm.C'>"]
    );
}

#[test]
fn the_last_of_equal_keys_counts() {
    let found = read(b"}(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00aK\x02u.").unwrap();
    assert_eq!(found.values, [("a".to_owned(), Value::Int(2))]);
}

#[test]
fn views_that_leave_their_storage_are_errors_that_name_the_tensor() {
    // {'w': _rebuild_tensor_v2(_load_from_bytes(..)...)}: the geometry is checked before the
    // storage is asked for.
    let tensor = |size: &[u8], stride: &[u8]| {
        let body = [
            b"}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(NK\x00".as_slice(),
            size,
            stride,
            b"\x89}tRs.",
        ];
        read(&body.concat()).unwrap_err().to_string()
    };
    assert_eq!(
        tensor(b"K\x02\x85", b")"),
        "x: tensor `w`: shape [2] has 1 dimensions, but 0 strides (at byte 53)"
    );
    assert_eq!(
        tensor(b"J\xff\xff\xff\xff\x85", b"K\x01\x85"),
        "x: tensor `w`: a size is negative: -1 (at byte 58)"
    );
    assert_eq!(
        tensor(b"K\x02\x85", b"J\xff\xff\xff\xff\x85"),
        "x: tensor `w`: a stride is negative: -1 (at byte 58)"
    );
    assert_eq!(
        tensor(b"K\x02\x85", b"K\x01\x85"),
        "x: tensor `w`: stands on something that is no storage (at byte 55)"
    );
}

#[test]
fn arrays_whose_bytes_do_not_match_their_shape_are_refused() {
    let array = |shape: &[u8]| {
        let body = [
            b"}X\x01\x00\x00\x00wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
                .as_slice(),
            shape,
            b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\
              \x89U\x08\x00\x00\x80\x3f\x00\x00\x00\x40tbs.",
        ];
        read(&body.concat())
    };
    let found = array(b"K\x02\x85").unwrap();
    let bytes = Reader::open(&found.tensors[0]).unwrap().read_all().unwrap();
    assert_eq!(bytes, [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]);
    for shape in [
        b"K\x03\x85".as_slice(),
        b"K\x01\x85",
        b"J\xff\xff\xff\xff\x85",
        b")",
    ] {
        let error = array(shape).unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed, "{error}");
        assert_eq!(error.place().tensor.as_deref(), Some("w"));
    }
}

//! Values as numpy prints them: every expected text is what `str(array)` gave in numpy 2.4.

use ckpt::model::{Checkpoint, Payload, Shape, Storage, Tensor};
use ckpt::op::show::{Extent, find, print, show};
use ckpt::{DType, Kind};

use super::{checkpoint, tensor};

/// Name, dtype, shape, little-endian bytes, slice, what numpy prints.
type Case = (
    &'static str,
    DType,
    &'static [u64],
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("a_row_of_singles", DType::F32, &[3], "cdcccc3d000020c000004040", "", "[ 0.1 -2.5  3. ]"),
    ("halves_have_few_digits", DType::F16, &[3], "662e5535ce63", "", "[9.998e-02 3.333e-01 9.990e+02]"),
    ("doubles_have_at_most_eight_digits", DType::F64, &[3], "555555555555d53f000000000020594000000000000000c0", "", "[  0.33333333 100.5         -2.        ]"),
    ("far_apart_is_scientific", DType::F32, &[2], "9a99993e7fada930", "", "[3.0000001e-01 1.2345679e-09]"),
    ("large_halves_are_scientific", DType::F16, &[2], "662edc65", "", "[1.0e-01 1.5e+03]"),
    ("nan_and_infinities_are_aligned", DType::F64, &[4], "000000000000e03f000000000000f87f000000000000f0ff0000000000105940", "", "[  0.5     nan   -inf 100.25]"),
    ("only_nan", DType::F32, &[2], "0000c07f0000807f", "", "[nan inf]"),
    ("complex", DType::C64, &[3], "0000803f000000400000003f6f1283ba0000c07f0000803f", "", "[1. +2.e+00j 0.5-1.e-03j nan+1.e+00j]"),
    ("complex_matrix", DType::C128, &[2, 2], "000000000000f03f00000000000000400000000000000080000000000000e0bf0000000000000a4000000000000000000000000000408f40000000000000f03f", "", "[[   1.  +2.j    -0.  -0.5j]\n [   3.25+0.j  1000.  +1.j ]]"),
    ("integers_are_right_aligned", DType::I64, &[2, 2], "fcffffffffffffff1e00000000000000c80000000000000018fcffffffffffff", "", "[[   -4    30]\n [  200 -1000]]"),
    ("large_unsigned", DType::U64, &[2], "0000000000000000ffffffffffffffff", "", "[                   0 18446744073709551615]"),
    ("booleans", DType::Bool, &[2, 2], "01000000", "", "[[ True False]\n [False False]]"),
    ("three_dimensions", DType::I8, &[2, 2, 3], "000102030405060708090a0b", "", "[[[ 0  1  2]\n  [ 3  4  5]]\n\n [[ 6  7  8]\n  [ 9 10 11]]]"),
    ("lines_are_broken", DType::F32, &[2, 9], "193da13a2df5983ecc5b8cbed4fd63bf9ccae8be8cdc7dbf2359763d2c8cab3f7e02fcbe71d71ebf94ccfa3ee5b9b63e6de3d73d27336ebf85a1efbc64ff313f390facbf9d4ceabe", "", "[[ 1.2301534e-03  2.9874554e-01 -2.7413785e-01 -8.9059186e-01\n  -4.5467079e-01 -9.9164653e-01  6.0143601e-02  1.3402152e+00\n  -4.9220651e-01]\n [-6.2047487e-01  4.8984206e-01  3.5688701e-01  1.0541425e-01\n  -9.3046802e-01 -2.9251823e-02  6.9530320e-01 -1.3442146e+00\n  -4.5761576e-01]]"),
    ("a_scalar", DType::F32, &[], "cdcccc3d", "", "0.1"),
    ("a_small_scalar", DType::F32, &[], "62bebc38", "", "9e-05"),
    ("a_large_scalar", DType::F32, &[], "38b49649", "", "1.234567e+06"),
    ("a_complex_scalar", DType::C128, &[], "000000000000f03f00000000000000c0", "", "(1-2j)"),
    ("a_boolean_scalar", DType::Bool, &[], "01", "", "True"),
    ("an_integer_scalar", DType::I64, &[], "f9ffffffffffffff", "", "-7"),
    ("nothing", DType::F32, &[0, 3], "", "", "[]"),
    ("negative_zero", DType::F32, &[3], "00000080000000000000803f", "", "[-0.  0.  1.]"),
    ("a_single_index", DType::I64, &[3, 4], "00000000000000000100000000000000020000000000000003000000000000000400000000000000050000000000000006000000000000000700000000000000080000000000000009000000000000000a000000000000000b00000000000000", "1", "[4 5 6 7]"),
    ("a_negative_step", DType::I64, &[3, 4], "00000000000000000100000000000000020000000000000003000000000000000400000000000000050000000000000006000000000000000700000000000000080000000000000009000000000000000a000000000000000b00000000000000", "::-1,::2", "[[ 8 10]\n [ 4  6]\n [ 0  2]]"),
    ("an_ellipsis", DType::U8, &[2, 3, 4], "000102030405060708090a0b0c0d0e0f1011121314151617", "...,-1", "[[ 3  7 11]\n [15 19 23]]"),
    ("an_empty_slice", DType::I64, &[3, 4], "00000000000000000100000000000000020000000000000003000000000000000400000000000000050000000000000006000000000000000700000000000000080000000000000009000000000000000a000000000000000b00000000000000", "3:,1", "[]"),
];

fn from_hex(text: &str) -> Vec<u8> {
    let digits = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

fn inline(dtype: DType, shape: &[u64], bytes: Vec<u8>) -> Tensor {
    let payload = Payload::Stored(Storage::inline(bytes));
    Tensor::new("x", dtype, Shape::new(shape).unwrap(), payload)
}

fn counting(shape: &[u64]) -> Tensor {
    let count: u64 = shape.iter().product();
    let bytes = (0..count as i32).flat_map(i32::to_le_bytes).collect();
    inline(DType::I32, shape, bytes)
}

fn text_of(tensor: &Tensor, slice: &str) -> String {
    print(&show(tensor, Some(slice), Extent::Summary).unwrap())
}

#[test]
fn values_read_as_in_numpy() {
    for (name, dtype, shape, bytes, slice, expected) in CASES {
        let tensor = inline(*dtype, shape, from_hex(bytes));
        assert_eq!(text_of(&tensor, slice), *expected, "{name}");
    }
}

#[test]
fn large_tensors_show_their_corners() {
    let expected = "[[   0    1    2 ...   97   98   99]\n [ 100  101  102 ...  197  198  199]\n [ 200  201  202 ...  297  298  299]\n ...\n [1700 1701 1702 ... 1797 1798 1799]\n [1800 1801 1802 ... 1897 1898 1899]\n [1900 1901 1902 ... 1997 1998 1999]]";
    assert_eq!(text_of(&counting(&[20, 100]), ""), expected);
    let expected = "[[[   0    1    2 ...  297  298  299]\n  [ 300  301  302 ...  597  598  599]\n  [ 600  601  602 ...  897  898  899]\n  ...\n  [1500 1501 1502 ... 1797 1798 1799]\n  [1800 1801 1802 ... 2097 2098 2099]\n  [2100 2101 2102 ... 2397 2398 2399]]\n\n [[2400 2401 2402 ... 2697 2698 2699]\n  [2700 2701 2702 ... 2997 2998 2999]\n  [3000 3001 3002 ... 3297 3298 3299]\n  ...\n  [3900 3901 3902 ... 4197 4198 4199]\n  [4200 4201 4202 ... 4497 4498 4499]\n  [4500 4501 4502 ... 4797 4798 4799]]\n\n [[4800 4801 4802 ... 5097 5098 5099]\n  [5100 5101 5102 ... 5397 5398 5399]\n  [5400 5401 5402 ... 5697 5698 5699]\n  ...\n  [6300 6301 6302 ... 6597 6598 6599]\n  [6600 6601 6602 ... 6897 6898 6899]\n  [6900 6901 6902 ... 7197 7198 7199]]]";
    assert_eq!(text_of(&counting(&[3, 8, 300]), ""), expected);
    let expected = "[   0    1    2 ... 1997 1998 1999]";
    assert_eq!(text_of(&counting(&[2000]), ""), expected);
}

#[test]
fn full_shows_all() {
    let shown = show(&counting(&[2000]), None, Extent::Full).unwrap();
    assert!(!print(&shown).contains("..."));
    assert_eq!(shown.numbers.len(), 2000);
}

/// 2^50 elements that the file does not have, but for the first: only they are asked for.
#[test]
fn reads_only_what_is_shown() {
    let source = ckpt::io::Source::from_bytes("x", vec![1u8, 2, 3, 4]);
    let payload = Payload::Stored(Storage::extent(&source, 0, 1 << 50));
    let shape = Shape::new([1u64 << 50]).unwrap();
    let tensor = Tensor::new("x", DType::U8, shape, payload);
    assert_eq!(text_of(&tensor, ":4"), "[1 2 3 4]");
    assert_eq!(text_of(&tensor, "3:0:-1"), "[4 3 2]");
    let error = show(&tensor, None, Extent::Full).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
}

#[test]
fn views_are_read_through_their_strides() {
    let bytes: Vec<u8> = (0..6).collect();
    let strides: Box<[u64]> = Box::new([1, 2]);
    let payload = Payload::Strided {
        storage: Storage::inline(bytes),
        first: 0,
        strides,
    };
    let tensor = Tensor::new("x", DType::U8, Shape::new([2, 3]).unwrap(), payload);
    assert_eq!(text_of(&tensor, ""), "[[0 2 4]\n [1 3 5]]");
    assert_eq!(text_of(&tensor, ":,1"), "[2 3]");
}

/// One Q8_0 block: scale 0.5 (f16 0x3800), quants 0 to 31.
#[test]
fn blocks_are_shown_as_numbers() {
    let mut bytes = vec![0x00, 0x38];
    bytes.extend(0..32);
    let tensor = inline(DType::Q8_0, &[1, 32], bytes);
    assert_eq!(text_of(&tensor, "0,:4"), "[0.  0.5 1.  1.5]");
    assert_eq!(text_of(&tensor, "0,-1"), "15.5");
}

#[test]
fn names_may_lack_the_root_and_wrong_ones_get_a_hint() {
    let checkpoint = checkpoint(
        &[
            "state_dict.fc.weight",
            "state_dict.conv.weight",
            "ema.conv.weight",
        ],
        &[("state_dict", 0..2), ("ema", 2..3)],
    );
    let found = |name: &str| find(&checkpoint, Some(name)).map(|t| t.name.clone());
    assert_eq!(found("fc.weight").unwrap(), "state_dict.fc.weight");
    assert_eq!(found("ema.conv.weight").unwrap(), "ema.conv.weight");
    assert_eq!(found("conv.weight").unwrap_err().kind(), Kind::Usage);
    let error = found("state_dict.fc.wieght").unwrap_err();
    assert_eq!(error.hint(), Some("did you mean `state_dict.fc.weight`"));
    assert!(find(&checkpoint, None).is_err());
    let single = Checkpoint {
        tensors: vec![tensor("only", DType::F32, &[2])],
        ..Checkpoint::default()
    };
    assert_eq!(find(&single, None).unwrap().name, "only");
}

#[test]
fn tensors_without_values_are_refused_by_name() {
    let unknown = inline(DType::Unknown(99), &[2], vec![0; 4]);
    let error = show(&unknown, None, Extent::Summary).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert_eq!(error.place().tensor.as_deref(), Some("x"));
}

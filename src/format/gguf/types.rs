//! The numbers by which GGUF names types of values and of tensors.

use crate::dtype::DType;

/// The type of a metadata value (`gguf_type` in gguf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

/// A row of the table of value types: the type, its name, an array's name.
type ValueRow = (ValueType, &'static str, &'static str);

/// Every value type, at the index that is its number.
const VALUE_TYPES: [ValueRow; 13] = [
    (ValueType::U8, "u8", "arr[u8]"),
    (ValueType::I8, "i8", "arr[i8]"),
    (ValueType::U16, "u16", "arr[u16]"),
    (ValueType::I16, "i16", "arr[i16]"),
    (ValueType::U32, "u32", "arr[u32]"),
    (ValueType::I32, "i32", "arr[i32]"),
    (ValueType::F32, "f32", "arr[f32]"),
    (ValueType::Bool, "bool", "arr[bool]"),
    (ValueType::Text, "str", "arr[str]"),
    (ValueType::Array, "arr", "arr[arr]"),
    (ValueType::U64, "u64", "arr[u64]"),
    (ValueType::I64, "i64", "arr[i64]"),
    (ValueType::F64, "f64", "arr[f64]"),
];

impl ValueType {
    /// The type that a file numbers `id`.
    pub(super) fn from_id(id: u32) -> Option<ValueType> {
        let row = VALUE_TYPES.get(usize::try_from(id).ok()?)?;
        Some(row.0)
    }

    /// The type called `name`: `u32`, `str`.
    pub(super) fn from_name(name: &str) -> Option<ValueType> {
        let row = VALUE_TYPES.iter().find(|row| row.1 == name);
        row.map(|row| row.0)
    }

    /// The number that files give it.
    pub(super) fn id(self) -> u32 {
        let index = VALUE_TYPES.iter().position(|row| row.0 == self);
        index
            .and_then(|index| u32::try_from(index).ok())
            .unwrap_or(u32::MAX)
    }

    /// `u32`, `str`, `arr`.
    pub(super) fn name(self) -> &'static str {
        self.row().1
    }

    /// `arr[u32]`.
    pub(super) fn array_name(self) -> &'static str {
        self.row().2
    }

    /// Bytes of one value; `None` for texts and arrays.
    pub(super) fn byte_len(self) -> Option<u64> {
        match self {
            ValueType::U8 | ValueType::I8 | ValueType::Bool => Some(1),
            ValueType::U16 | ValueType::I16 => Some(2),
            ValueType::U32 | ValueType::I32 | ValueType::F32 => Some(4),
            ValueType::U64 | ValueType::I64 | ValueType::F64 => Some(8),
            ValueType::Text | ValueType::Array => None,
        }
    }

    fn row(self) -> ValueRow {
        // 13 rows; every type has one.
        let found = VALUE_TYPES.iter().find(|row| row.0 == self);
        found.copied().unwrap_or((self, "unknown", "arr[unknown]"))
    }
}

/// Every tensor type and its number (`ggml_type` in ggml.h).
const TENSOR_TYPES: &[(u32, DType)] = &[
    (0, DType::F32),
    (1, DType::F16),
    (2, DType::Q4_0),
    (3, DType::Q4_1),
    (6, DType::Q5_0),
    (7, DType::Q5_1),
    (8, DType::Q8_0),
    (9, DType::Q8_1),
    (10, DType::Q2K),
    (11, DType::Q3K),
    (12, DType::Q4K),
    (13, DType::Q5K),
    (14, DType::Q6K),
    (15, DType::Q8K),
    (16, DType::Iq2Xxs),
    (17, DType::Iq2Xs),
    (18, DType::Iq3Xxs),
    (19, DType::Iq1S),
    (20, DType::Iq4Nl),
    (21, DType::Iq3S),
    (22, DType::Iq2S),
    (23, DType::Iq4Xs),
    (24, DType::I8),
    (25, DType::I16),
    (26, DType::I32),
    (27, DType::I64),
    (28, DType::F64),
    (29, DType::Iq1M),
    (30, DType::BF16),
    (34, DType::Tq1_0),
    (35, DType::Tq2_0),
    (39, DType::Mxfp4),
    (40, DType::Nvfp4),
    (41, DType::Q1_0),
    (42, DType::Q2_0),
];

/// Numbers of types that ggml has dropped from files; their layouts depended on the machine or
/// were never released.
const REMOVED: &[(u32, &str)] = &[
    (4, "Q4_2"),
    (5, "Q4_3"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (36, "IQ4_NL_4_4"),
    (37, "IQ4_NL_4_8"),
    (38, "IQ4_NL_8_8"),
];

/// The dtype that a file numbers `id`; [`DType::Unknown`] for removed and unknown numbers.
pub(super) fn tensor_type(id: u32) -> DType {
    // Linear: 35 rows, the common ones first.
    let found = TENSOR_TYPES.iter().find(|(number, _)| *number == id);
    found.map_or(DType::Unknown(id), |(_, dtype)| *dtype)
}

/// The number of a dtype; `None` if GGUF has no such type.
pub(super) fn tensor_number(dtype: DType) -> Option<u32> {
    let found = TENSOR_TYPES.iter().find(|(_, known)| *known == dtype);
    found.map(|(number, _)| *number)
}

/// Every dtype that has a number.
pub(super) fn dtypes() -> impl Iterator<Item = DType> {
    TENSOR_TYPES.iter().map(|(_, dtype)| *dtype)
}

/// The name of a type that was dropped from the format.
pub(super) fn removed_name(id: u32) -> Option<&'static str> {
    let found = REMOVED.iter().find(|(number, _)| *number == id);
    found.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_type_has_the_number_its_doc_states() {
        for &(id, dtype) in TENSOR_TYPES {
            assert_eq!(tensor_type(id), dtype);
            assert_eq!(removed_name(id), None);
        }
        let blocks = DType::ALL
            .iter()
            .filter(|d| d.class() == crate::dtype::Class::Block);
        for block in blocks {
            assert!(
                TENSOR_TYPES.iter().any(|(_, dtype)| dtype == block),
                "{block}"
            );
        }
        assert_eq!(tensor_type(4), DType::Unknown(4));
        assert_eq!(removed_name(33), Some("Q4_0_8_8"));
    }

    #[test]
    fn value_types_stand_at_their_numbers() {
        // gguf.h, enum gguf_type.
        assert_eq!(ValueType::from_id(8), Some(ValueType::Text));
        assert_eq!(ValueType::from_id(12), Some(ValueType::F64));
        assert_eq!(ValueType::from_id(13), None);
        assert_eq!(ValueType::U64.array_name(), "arr[u64]");
    }
}

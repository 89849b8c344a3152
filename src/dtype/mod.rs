//! Element types: one table of facts.
//!
//! | what | where |
//! |---|---|
//! | names, sizes, byte order | this file |
//! | bits of small floats to `f32` | [`float`] |
//! | GGUF blocks to `f32` | [`block`] |
//! | one type to another, and what is lost | [`cast`] |

pub mod block;
pub mod cast;
pub mod float;

use std::fmt;

/// What kind of numbers a dtype holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One byte, zero or not.
    Bool,
    /// Unsigned integers.
    Unsigned,
    /// Signed integers.
    Signed,
    /// Floating point, down to four bits.
    Float,
    /// A pair of floats: real, imaginary.
    Complex,
    /// PyTorch integers with a scale and a zero point.
    Quantized,
    /// GGUF quantised blocks.
    Block,
    /// A type id that no table knows: size and meaning are unknown.
    Unknown,
}

/// A run of multi-byte words inside a block, which a big-endian file stores swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// Byte offset of the first word in the block.
    pub offset: u16,
    /// Bytes of one word: 2, 4 or 8.
    pub width: u8,
    /// How many words follow each other.
    pub count: u8,
}

/// The facts of one dtype.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The name that people type and read.
    pub name: &'static str,
    /// What kind of numbers it holds.
    pub class: Class,
    /// Elements that are stored together; 1 for most types.
    pub block_elements: u32,
    /// Bytes of those.
    pub block_bytes: u32,
    /// Which of those bytes are multi-byte words.
    pub words: &'static [Words],
}

macro_rules! dtypes {
    ($($variant:ident $name:literal $class:ident $elements:literal $bytes:literal [$($words:tt),*] $doc:literal;)*) => {
        /// The type of a tensor's elements, as it is stored.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DType {
            $(#[doc = $doc] $variant,)*
            /// A type id that no table knows, as the file gives it.
            Unknown(u32),
        }

        impl DType {
            /// Every dtype that has a name of its own.
            pub const ALL: &'static [DType] = &[$(DType::$variant),*];

            /// The table's row for this dtype.
            pub const fn facts(self) -> Facts {
                match self {
                    $(DType::$variant => Facts {
                        name: $name,
                        class: Class::$class,
                        block_elements: $elements,
                        block_bytes: $bytes,
                        words: &[$(words!($words)),*],
                    },)*
                    DType::Unknown(_) => Facts {
                        name: "UNKNOWN",
                        class: Class::Unknown,
                        block_elements: 1,
                        block_bytes: 0,
                        words: &[],
                    },
                }
            }
        }
    };
}

/// `(offset width count)`.
macro_rules! words {
    (($offset:literal $width:literal $count:literal)) => {
        Words {
            offset: $offset,
            width: $width,
            count: $count,
        }
    };
}

// Sizes of blocks are the sums of their fields in ggml-common.h. Multi-byte words: every
// ggml_half, float, uint16_t, uint32_t and int16_t field; Q5_0 and Q5_1 copy a u32 into `qh`.
dtypes! {
    Bool "BOOL" Bool 1 1 [] "One byte a value, zero or not.";
    U8 "U8" Unsigned 1 1 [] "8-bit unsigned integer.";
    I8 "I8" Signed 1 1 [] "8-bit signed integer.";
    U16 "U16" Unsigned 1 2 [(0 2 1)] "16-bit unsigned integer.";
    I16 "I16" Signed 1 2 [(0 2 1)] "16-bit signed integer.";
    U32 "U32" Unsigned 1 4 [(0 4 1)] "32-bit unsigned integer.";
    I32 "I32" Signed 1 4 [(0 4 1)] "32-bit signed integer.";
    U64 "U64" Unsigned 1 8 [(0 8 1)] "64-bit unsigned integer.";
    I64 "I64" Signed 1 8 [(0 8 1)] "64-bit signed integer.";
    F16 "F16" Float 1 2 [(0 2 1)] "IEEE half precision.";
    BF16 "BF16" Float 1 2 [(0 2 1)] "The upper half of an `f32`.";
    F32 "F32" Float 1 4 [(0 4 1)] "IEEE single precision.";
    F64 "F64" Float 1 8 [(0 8 1)] "IEEE double precision.";
    C32 "C32" Complex 1 4 [(0 2 2)] "Two halves: real, imaginary (torch.complex32).";
    C64 "C64" Complex 1 8 [(0 4 2)] "Two singles: real, imaginary.";
    C128 "C128" Complex 1 16 [(0 8 2)] "Two doubles: real, imaginary.";
    F8E4M3 "F8_E4M3" Float 1 1 [] "torch.float8_e4m3fn: no infinity, NaN is 0x7f and 0xff.";
    F8E5M2 "F8_E5M2" Float 1 1 [] "torch.float8_e5m2: infinities and NaN as in IEEE.";
    F8E8M0 "F8_E8M0" Float 1 1 [] "torch.float8_e8m0fnu: powers of two, NaN is 0xff.";
    F8E4M3Fnuz "F8_E4M3FNUZ" Float 1 1 [] "torch.float8_e4m3fnuz: one zero, NaN is 0x80.";
    F8E5M2Fnuz "F8_E5M2FNUZ" Float 1 1 [] "torch.float8_e5m2fnuz: one zero, NaN is 0x80.";
    F6E2M3 "F6_E2M3" Float 4 3 [] "OCP MX FP6, four in three bytes.";
    F6E3M2 "F6_E3M2" Float 4 3 [] "OCP MX FP6, four in three bytes.";
    F4 "F4" Float 2 1 [] "OCP MX FP4 (E2M1), two in a byte.";
    QI8 "QI8" Quantized 1 1 [] "torch.qint8.";
    QU8 "QU8" Quantized 1 1 [] "torch.quint8.";
    QI32 "QI32" Quantized 1 4 [(0 4 1)] "torch.qint32.";
    QU4x2 "QU4X2" Quantized 2 1 [] "torch.quint4x2, two in a byte.";
    QU2x4 "QU2X4" Quantized 4 1 [] "torch.quint2x4, four in a byte.";
    Q4_0 "Q4_0" Block 32 18 [(0 2 1)] "ggml type 2.";
    Q4_1 "Q4_1" Block 32 20 [(0 2 2)] "ggml type 3.";
    Q5_0 "Q5_0" Block 32 22 [(0 2 1), (2 4 1)] "ggml type 6.";
    Q5_1 "Q5_1" Block 32 24 [(0 2 2), (4 4 1)] "ggml type 7.";
    Q8_0 "Q8_0" Block 32 34 [(0 2 1)] "ggml type 8.";
    Q8_1 "Q8_1" Block 32 36 [(0 2 2)] "ggml type 9.";
    Q2K "Q2_K" Block 256 84 [(80 2 2)] "ggml type 10.";
    Q3K "Q3_K" Block 256 110 [(108 2 1)] "ggml type 11.";
    Q4K "Q4_K" Block 256 144 [(0 2 2)] "ggml type 12.";
    Q5K "Q5_K" Block 256 176 [(0 2 2)] "ggml type 13.";
    Q6K "Q6_K" Block 256 210 [(208 2 1)] "ggml type 14.";
    Q8K "Q8_K" Block 256 292 [(0 4 1), (260 2 16)] "ggml type 15.";
    Iq2Xxs "IQ2_XXS" Block 256 66 [(0 2 33)] "ggml type 16.";
    Iq2Xs "IQ2_XS" Block 256 74 [(0 2 33)] "ggml type 17.";
    Iq3Xxs "IQ3_XXS" Block 256 98 [(0 2 1), (66 4 8)] "ggml type 18.";
    Iq1S "IQ1_S" Block 256 50 [(0 2 1), (34 2 8)] "ggml type 19.";
    Iq4Nl "IQ4_NL" Block 32 18 [(0 2 1)] "ggml type 20.";
    Iq3S "IQ3_S" Block 256 110 [(0 2 1)] "ggml type 21.";
    Iq2S "IQ2_S" Block 256 82 [(0 2 1)] "ggml type 22.";
    Iq4Xs "IQ4_XS" Block 256 136 [(0 2 2)] "ggml type 23.";
    Iq1M "IQ1_M" Block 256 56 [(48 2 4)] "ggml type 29.";
    Tq1_0 "TQ1_0" Block 256 54 [(52 2 1)] "ggml type 34.";
    Tq2_0 "TQ2_0" Block 256 66 [(64 2 1)] "ggml type 35.";
    Mxfp4 "MXFP4" Block 32 17 [] "ggml type 39.";
    Nvfp4 "NVFP4" Block 64 36 [] "ggml type 40.";
    Q1_0 "Q1_0" Block 128 18 [(0 2 1)] "ggml type 41.";
    Q2_0 "Q2_0" Block 64 18 [(0 2 1)] "ggml type 42.";
}

impl DType {
    /// The dtype that people call `name`, in any case.
    pub fn from_name(name: &str) -> Option<DType> {
        let found = DType::ALL
            .iter()
            .copied()
            .find(|dtype| dtype.facts().name.eq_ignore_ascii_case(name));
        found.or_else(|| {
            let upper = name.to_ascii_uppercase();
            let id = upper.strip_prefix("UNKNOWN(")?.strip_suffix(')')?;
            Some(DType::Unknown(id.parse().ok()?))
        })
    }

    /// What kind of numbers it holds.
    pub const fn class(self) -> Class {
        self.facts().class
    }

    /// Bytes of one element; `None` where several share a byte or a block, or nobody knows.
    pub const fn element_bytes(self) -> Option<u32> {
        let facts = self.facts();
        if facts.block_elements == 1 && facts.block_bytes > 0 {
            Some(facts.block_bytes)
        } else {
            None
        }
    }

    /// Bytes of `elements` elements. `None` if they are not whole blocks, the size overflows,
    /// or the type is unknown.
    pub const fn byte_len(self, elements: u64) -> Option<u64> {
        let facts = self.facts();
        if facts.block_bytes == 0 || !elements.is_multiple_of(facts.block_elements as u64) {
            return None;
        }
        (elements / facts.block_elements as u64).checked_mul(facts.block_bytes as u64)
    }

    /// Bits of one element on average, for tables; 0 for an unknown type.
    pub fn bits(self) -> f64 {
        let facts = self.facts();
        f64::from(facts.block_bytes) * 8.0 / f64::from(facts.block_elements)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DType::Unknown(id) => f.pad(&format!("UNKNOWN({id})")),
            dtype => f.pad(dtype.facts().name),
        }
    }
}

/// Reverses the bytes of every multi-byte word of `bytes`, whole blocks of `dtype`, in place.
pub fn swap_bytes(dtype: DType, bytes: &mut [u8]) {
    let facts = dtype.facts();
    if facts.words.is_empty() || facts.block_bytes == 0 {
        return;
    }
    for block in bytes.chunks_exact_mut(facts.block_bytes as usize) {
        for words in facts.words {
            let start = usize::from(words.offset);
            let len = usize::from(words.width) * usize::from(words.count);
            for word in block[start..start + len].chunks_exact_mut(usize::from(words.width)) {
                word.reverse();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_inside_their_block_and_never_overlap() {
        for dtype in DType::ALL {
            let facts = dtype.facts();
            let mut end = 0;
            for words in facts.words {
                assert!(u32::from(words.offset) >= end, "{dtype}");
                end = u32::from(words.offset) + u32::from(words.width) * u32::from(words.count);
            }
            assert!(end <= facts.block_bytes, "{dtype}");
        }
    }

    #[test]
    fn names_read_back_in_any_case() {
        for &dtype in DType::ALL {
            assert_eq!(
                DType::from_name(&dtype.to_string().to_lowercase()),
                Some(dtype)
            );
        }
        assert_eq!(DType::from_name("unknown(42)"), Some(DType::Unknown(42)));
        assert_eq!(DType::from_name("float"), None);
    }

    #[test]
    fn sizes_count_whole_blocks_only() {
        assert_eq!(DType::F4.byte_len(6), Some(3));
        assert_eq!(DType::F4.byte_len(5), None);
        assert_eq!(DType::Q4K.byte_len(512), Some(288));
        assert_eq!(DType::F64.byte_len(u64::MAX), None);
        assert_eq!(DType::Unknown(99).byte_len(1), None);
    }
}

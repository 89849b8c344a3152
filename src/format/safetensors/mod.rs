//! safetensors: a JSON header, then nothing but tensor data.
//!
//! | byte  | size | what                                                             |
//! |-------|------|------------------------------------------------------------------|
//! | 0     | 8    | `N`, the header's length: u64, at most 100,000,000               |
//! | 8     | N    | the header: one JSON object, UTF-8, may be padded with spaces    |
//! | 8 + N | rest | the data: little-endian, row by row, without gaps or overlaps    |
//!
//! Every key of the header is a tensor's name; its value is
//! `{"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}`, the offsets counted from the
//! end of the header. The key `__metadata__` holds a flat map of strings instead.
//!
//! The official crate decides what is valid: `read` rejects what it rejects, and what it
//! passes over in silence becomes a note. Its [`Dtype`] is the list of element types.

mod edit;
mod header;
mod read;
mod write;

use super::{Format, ReadOptions, Writer};
use crate::dtype::DType;
use crate::error::Result;
use crate::io::Source;
use crate::limits;
use crate::model::Checkpoint;
use safetensors::Dtype;

/// Bytes of the header's length, at the start of the file.
pub(super) const LENGTH_BYTES: u64 = 8;

/// The key of the header that is no tensor.
pub(super) const METADATA_KEY: &str = "__metadata__";

/// The safetensors format.
#[derive(Clone, Copy, Debug)]
pub struct Safetensors;

impl Format for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["safetensors"]
    }

    /// A plausible length and then a JSON object; or an implausible one and then an object
    /// that begins as every header does, so that a lying length is said to be one.
    fn detect(&self, head: &[u8], _source: &Source) -> bool {
        let Some((length, header)) = head.split_first_chunk() else {
            return false;
        };
        if u64::from_le_bytes(*length) <= limits::SAFETENSORS_HEADER {
            return header.trim_ascii_start().first() == Some(&b'{');
        }
        matches!(header, [b'{', b'"' | b'}' | b' ' | b'\n', ..])
    }

    fn read(&self, source: &Source, options: &ReadOptions) -> Result<Checkpoint> {
        read::read(source, options)
    }

    fn writer(&self, _extension: &str) -> Option<&dyn Writer> {
        Some(self)
    }
}

/// Our dtypes beside the crate's. Not in the crate, so not in a file: C32, C128, PyTorch's
/// quantised integers and GGUF's blocks.
const DTYPES: [(DType, Dtype); 22] = [
    (DType::Bool, Dtype::BOOL),
    (DType::F4, Dtype::F4),
    (DType::F6E2M3, Dtype::F6_E2M3),
    (DType::F6E3M2, Dtype::F6_E3M2),
    (DType::U8, Dtype::U8),
    (DType::I8, Dtype::I8),
    (DType::F8E5M2, Dtype::F8_E5M2),
    (DType::F8E4M3, Dtype::F8_E4M3),
    (DType::F8E8M0, Dtype::F8_E8M0),
    (DType::F8E4M3Fnuz, Dtype::F8_E4M3FNUZ),
    (DType::F8E5M2Fnuz, Dtype::F8_E5M2FNUZ),
    (DType::I16, Dtype::I16),
    (DType::U16, Dtype::U16),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::I32, Dtype::I32),
    (DType::U32, Dtype::U32),
    (DType::F32, Dtype::F32),
    (DType::C64, Dtype::C64),
    (DType::F64, Dtype::F64),
    (DType::I64, Dtype::I64),
    (DType::U64, Dtype::U64),
];

/// Our dtype for the crate's; `None` for one that a later crate adds.
pub(super) fn from_crate(dtype: Dtype) -> Option<DType> {
    let found = DTYPES.iter().find(|(_, theirs)| *theirs == dtype);
    found.map(|(ours, _)| *ours)
}

/// The crate's dtype for ours; `None` for one that a safetensors file cannot hold.
pub fn to_crate(dtype: DType) -> Option<Dtype> {
    let found = DTYPES.iter().find(|(ours, _)| *ours == dtype);
    found.map(|(_, theirs)| *theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_on_names_and_sizes() {
        for (ours, theirs) in DTYPES {
            assert_eq!(ours.to_string(), theirs.to_string());
            assert_eq!(ours.bits(), theirs.bitsize() as f64);
            assert_eq!(from_crate(theirs), Some(ours));
            assert_eq!(to_crate(ours), Some(theirs));
        }
    }

    #[test]
    fn every_dtype_of_the_crate_is_known() {
        // The error for an unknown dtype lists all that the crate has.
        let error = serde_json::from_str::<Dtype>("\"?\"")
            .unwrap_err()
            .to_string();
        let listed = error.split("expected one of ").nth(1).unwrap();
        let names: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
        assert_eq!(names.len(), DTYPES.len());
        for name in names {
            let dtype = serde_json::from_str(&format!("\"{name}\"")).unwrap();
            assert_eq!(from_crate(dtype).unwrap().to_string(), name);
        }
    }
}

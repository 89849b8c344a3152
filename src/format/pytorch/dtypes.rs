//! How PyTorch names its element types: storage classes, dtypes, tensor classes.

use crate::dtype::DType;

/// What a storage class or dtype name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) struct ElementType {
    /// The same type here.
    pub(in crate::format) dtype: DType,
    /// Whether `dtype` only holds the bits: PyTorch gives them another meaning.
    pub(in crate::format) is_stand_in: bool,
}

const fn exact(dtype: DType) -> ElementType {
    ElementType {
        dtype,
        is_stand_in: false,
    }
}

const fn stand_in(dtype: DType) -> ElementType {
    ElementType {
        dtype,
        is_stand_in: true,
    }
}

/// The type of a storage class without its `Storage`, or of a tensor class without its
/// `Tensor`: Python's names, then those that TorchScript alone uses.
///
/// Sources: torch/storage.py (`_dtype_to_storage_type_map`), c10/core/ScalarType.h.
pub(super) fn of_class(stem: &str) -> Option<ElementType> {
    Some(exact(match stem {
        "Double" => DType::F64,
        "Float" => DType::F32,
        "Half" => DType::F16,
        "BFloat16" => DType::BF16,
        "Long" => DType::I64,
        "Int" => DType::I32,
        "Short" => DType::I16,
        "Char" => DType::I8,
        "Byte" => DType::U8,
        "Bool" => DType::Bool,
        "ComplexHalf" => DType::C32,
        "ComplexFloat" => DType::C64,
        "ComplexDouble" => DType::C128,
        "QInt8" => DType::QI8,
        "QUInt8" => DType::QU8,
        "QInt32" => DType::QI32,
        "QUInt4x2" => DType::QU4x2,
        "QUInt2x4" => DType::QU2x4,
        "UInt16" => DType::U16,
        "UInt32" => DType::U32,
        "UInt64" => DType::U64,
        "Float8_e4m3fn" => DType::F8E4M3,
        "Float8_e5m2" => DType::F8E5M2,
        "Float8_e4m3fnuz" => DType::F8E4M3Fnuz,
        "Float8_e5m2fnuz" => DType::F8E5M2Fnuz,
        "Float8_e8m0fnu" => DType::F8E8M0,
        _ => return None,
    }))
}

/// The type that `torch.NAME` is.
///
/// Source: torch/csrc/utils/tensor_dtypes.cpp.
pub(in crate::format) fn of_name(name: &str) -> Option<ElementType> {
    Some(match name {
        "float64" | "double" => exact(DType::F64),
        "float32" | "float" => exact(DType::F32),
        "float16" | "half" => exact(DType::F16),
        "bfloat16" => exact(DType::BF16),
        "int64" | "long" => exact(DType::I64),
        "int32" | "int" => exact(DType::I32),
        "int16" | "short" => exact(DType::I16),
        "int8" => exact(DType::I8),
        "uint8" => exact(DType::U8),
        "uint16" => exact(DType::U16),
        "uint32" => exact(DType::U32),
        "uint64" => exact(DType::U64),
        "bool" => exact(DType::Bool),
        "complex32" | "chalf" => exact(DType::C32),
        "complex64" | "cfloat" => exact(DType::C64),
        "complex128" | "cdouble" => exact(DType::C128),
        "float8_e4m3fn" => exact(DType::F8E4M3),
        "float8_e5m2" => exact(DType::F8E5M2),
        "float8_e4m3fnuz" => exact(DType::F8E4M3Fnuz),
        "float8_e5m2fnuz" => exact(DType::F8E5M2Fnuz),
        "float8_e8m0fnu" => exact(DType::F8E8M0),
        "float4_e2m1fn_x2" => exact(DType::F4),
        "qint8" => exact(DType::QI8),
        "quint8" => exact(DType::QU8),
        "qint32" => exact(DType::QI32),
        "quint4x2" => exact(DType::QU4x2),
        "quint2x4" => exact(DType::QU2x4),
        "bits8" | "bits1x8" | "bits2x4" | "bits4x2" => stand_in(DType::U8),
        "bits16" => stand_in(DType::U16),
        "uint1" | "uint2" | "uint3" | "uint4" | "uint5" | "uint6" | "uint7" => stand_in(DType::U8),
        "int1" | "int2" | "int3" | "int4" | "int5" | "int6" | "int7" => stand_in(DType::I8),
        _ => return None,
    })
}

//! Where a tensor's bytes come from. Only `stream.rs` interprets this.

use super::{Importance, RowOrder, Shape, Tensor};
use crate::dtype::DType;
use crate::dtype::cast::Overflow;
use crate::io::{ByteOrder, Packed, Source};
use std::sync::Arc;

/// Where a tensor's bytes come from, and in which arrangement.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Payload {
    /// Contiguous, row by row: the common case.
    Stored(Storage),
    /// A view of a storage: a transposed, sliced or expanded PyTorch tensor, Fortran order.
    Strided {
        /// The elements viewed, of the tensor's dtype.
        storage: Storage,
        /// Index of the first element.
        first: u64,
        /// Step of each dimension, in elements; as many as the shape has dimensions.
        strides: Box<[u64]>,
    },
    /// Indices and values; absent elements are zero.
    Sparse {
        /// What the indices mean.
        layout: SparseLayout,
        /// COO: `[indices]`; the others: `[compressed, plain]`. Then the values.
        parts: Arc<[Tensor]>,
    },
    /// PyTorch's lazy complex bits: stored numbers that stand for their conjugate or negative.
    Lazy {
        /// The stored numbers.
        of: Box<Payload>,
        /// Negate the imaginary part.
        conjugate: bool,
        /// Negate the whole.
        negative: bool,
    },
    /// Another tensor's elements in another dtype.
    Cast(Arc<Tensor>),
    /// The same, with options of its own.
    CastWith(Arc<Tensor>, Arc<CastOptions>),
    /// Another tensor's elements as F32, each divided by a scale.
    Scaled(Arc<Tensor>, f32),
    /// The numbers that a PyTorch quantised tensor stands for, as F32 of the same shape.
    Dequantized(Arc<Tensor>),
    /// Another tensor's bytes under another dtype and shape of the same length.
    Reinterpreted(Arc<Tensor>),
    /// Another tensor's elements, some of them zeroed.
    Masked {
        /// The elements, each of 1, 2, 4 or 8 bytes with the sign in the highest bit.
        of: Arc<Tensor>,
        /// Which are zeroed.
        mask: Mask,
    },
    /// Another tensor's rows in another order.
    Rows {
        /// The rows as they are stored.
        of: Arc<Tensor>,
        /// Which is which.
        order: RowOrder,
    },
    /// Tensors of one dtype, one after the other.
    Stacked(Arc<[Tensor]>),
    /// The products of the elements of two tensors of one shape.
    Product(Arc<[Tensor; 2]>),
    /// Weight normalisation as torch computes it: each slice of a direction along an axis,
    /// divided by its L2 norm and multiplied by its magnitude.
    Normalized {
        /// The direction.
        direction: Arc<Tensor>,
        /// The magnitudes, one a slice.
        magnitude: Arc<Tensor>,
        /// Which axis; `None`: the whole tensor is one slice.
        axis: Option<usize>,
    },
    /// Nothing is stored (PyTorch's meta device); the text says why.
    Absent(&'static str),
}

/// How elements are cast.
#[derive(Clone, Debug, Default)]
pub struct CastOptions {
    /// What becomes of values beyond the largest; `None`: what is usual for the dtype.
    pub overflow: Option<Overflow>,
    /// How much the error of each column matters, for the k-quants.
    pub importance: Option<Importance>,
}

/// Which elements are zeroed. Magnitudes are compared by their bits without the sign, so that
/// NaN counts as the largest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Those whose magnitude is smaller.
    Below {
        /// Smaller than this: bits of the tensor's dtype without the sign.
        bits: u64,
        /// Elements of exactly that magnitude are zeroed too if their index is below this.
        ties: u64,
    },
    /// The smallest of each run of elements along the innermost dimension, of equal ones the
    /// first.
    Groups {
        /// Elements of a run; divides the innermost dimension.
        of: u64,
        /// How many of them are zeroed.
        zeroed: u32,
    },
    /// Whole slices along an axis.
    Slices {
        /// Which axis.
        axis: usize,
        /// For each index along it, whether that slice is zeroed.
        zeroed: Arc<[bool]>,
    },
}

/// A run of elements as they lie.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Where.
    pub bytes: Bytes,
    /// In which byte order.
    pub order: ByteOrder,
}

/// Where bytes lie.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// A run of a file.
    Extent {
        /// The open file.
        source: Source,
        /// First byte within `source`.
        offset: u64,
        /// Bytes.
        len: u64,
    },
    /// A compressed run, such as a deflated archive member.
    Packed {
        /// The compressed stream.
        packed: Arc<Packed>,
        /// First byte of the run within the inflated bytes.
        offset: u64,
        /// Bytes of the run.
        len: u64,
    },
    /// Bytes that came with the header.
    Inline(Arc<[u8]>),
}

impl Bytes {
    /// How many.
    pub fn len(&self) -> u64 {
        match self {
            Bytes::Extent { len, .. } | Bytes::Packed { len, .. } => *len,
            Bytes::Inline(bytes) => bytes.len() as u64,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Storage {
    /// Little-endian bytes of a file.
    pub fn extent(source: &Source, offset: u64, len: u64) -> Storage {
        Storage {
            bytes: Bytes::Extent {
                source: source.clone(),
                offset,
                len,
            },
            order: ByteOrder::Little,
        }
    }

    /// Little-endian bytes of a compressed stream: all of them.
    pub fn packed(packed: Packed) -> Storage {
        let len = packed.len();
        Storage {
            bytes: Bytes::Packed {
                packed: Arc::new(packed),
                offset: 0,
                len,
            },
            order: ByteOrder::Little,
        }
    }

    /// Little-endian bytes in memory.
    pub fn inline(bytes: impl Into<Arc<[u8]>>) -> Storage {
        Storage {
            bytes: Bytes::Inline(bytes.into()),
            order: ByteOrder::Little,
        }
    }

    /// The same bytes, of this order.
    #[must_use]
    pub fn with_order(mut self, order: ByteOrder) -> Storage {
        self.order = order;
        self
    }
}

/// How a sparse tensor's indices are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SparseLayout {
    /// `indices` is `[sparse dimensions, stored]`; values `[stored, dense dimensions...]`.
    Coo,
    /// Compressed rows.
    Csr,
    /// Compressed columns.
    Csc,
    /// Compressed rows of blocks.
    Bsr,
    /// Compressed columns of blocks.
    Bsc,
}

/// What turns a PyTorch quantised integer into a number: `(q - zero_point) * scale`.
#[derive(Clone, Debug)]
pub enum Quantization {
    /// One scale for the whole tensor.
    PerTensor {
        /// The step.
        scale: f64,
        /// The integer that means zero.
        zero_point: i64,
    },
    /// One scale for each index along an axis.
    PerChannel {
        /// `[channels]`, float.
        scales: Box<Tensor>,
        /// `[channels]`, integer (float for `per_channel_affine_float_qparams`).
        zero_points: Box<Tensor>,
        /// Which axis.
        axis: u64,
    },
}

impl Payload {
    /// A strided view, or the plain extent that it amounts to.
    ///
    /// `storage` holds elements of `dtype`; the caller has checked that the view lies in it.
    pub fn view(
        storage: Storage,
        dtype: DType,
        shape: &Shape,
        first: u64,
        strides: Box<[u64]>,
    ) -> Payload {
        let element = u64::from(dtype.facts().block_bytes);
        let whole = dtype.element_bytes().is_some();
        if whole && is_row_major(shape, &strides) {
            let start = first.saturating_mul(element);
            let len = shape.elements().saturating_mul(element);
            if let Some(bytes) = storage.bytes.part(start, len) {
                let order = storage.order;
                return Payload::Stored(Storage { bytes, order });
            }
        }
        Payload::Strided {
            storage,
            first,
            strides,
        }
    }

    /// Where the bytes lie, if they are one run of a file in the tensor's own arrangement.
    pub fn extent(&self) -> Option<(&Source, u64, u64)> {
        match self {
            Payload::Stored(Storage {
                bytes:
                    Bytes::Extent {
                        source,
                        offset,
                        len,
                    },
                ..
            }) if source.is_as_stored() => Some((source, *offset, *len)),
            _ => None,
        }
    }

    /// The open inputs that bytes come from.
    pub fn sources(&self) -> Vec<&Source> {
        match self {
            Payload::Stored(storage) | Payload::Strided { storage, .. } => match &storage.bytes {
                Bytes::Extent { source, .. } => vec![source],
                Bytes::Packed { packed, .. } => vec![packed.source()],
                Bytes::Inline(_) => Vec::new(),
            },
            Payload::Sparse { parts, .. } | Payload::Stacked(parts) => {
                let parts = parts.iter();
                parts.flat_map(|part| part.payload.sources()).collect()
            }
            Payload::Lazy { of, .. } => of.sources(),
            Payload::CastWith(from, options) => {
                let mut sources = from.payload.sources();
                let importance = options.importance.iter();
                sources.extend(importance.flat_map(|importance| importance.sums.payload.sources()));
                sources
            }
            Payload::Cast(from)
            | Payload::Scaled(from, _)
            | Payload::Dequantized(from)
            | Payload::Reinterpreted(from) => from.payload.sources(),
            Payload::Masked { of, .. } | Payload::Rows { of, .. } => of.payload.sources(),
            Payload::Product(pair) => {
                let tensors = pair.iter();
                tensors
                    .flat_map(|tensor| tensor.payload.sources())
                    .collect()
            }
            Payload::Normalized {
                direction,
                magnitude,
                ..
            } => {
                let mut sources = direction.payload.sources();
                sources.extend(magnitude.payload.sources());
                sources
            }
            Payload::Absent(_) => Vec::new(),
        }
    }

    /// Whether the elements lie row by row without gaps.
    pub fn is_contiguous(&self) -> bool {
        matches!(self, Payload::Stored(_))
    }
}

impl Bytes {
    /// The run of `len` bytes that starts at `start`; `None` if it does not lie inside.
    pub fn part(&self, start: u64, len: u64) -> Option<Bytes> {
        let end = start.checked_add(len)?;
        // Nothing lies nowhere: torch tolerates any offset for it.
        if len == 0 {
            return Some(Bytes::Inline(Arc::from([])));
        }
        if end > self.len() {
            return None;
        }
        Some(match self {
            Bytes::Extent { source, offset, .. } => Bytes::Extent {
                source: source.clone(),
                offset: offset.checked_add(start)?,
                len,
            },
            Bytes::Packed { packed, offset, .. } => Bytes::Packed {
                packed: Arc::clone(packed),
                offset: offset.checked_add(start)?,
                len,
            },
            Bytes::Inline(bytes) => {
                let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
                Bytes::Inline(Arc::from(bytes.get(range)?))
            }
        })
    }
}

/// Whether `strides` describe `shape` stored row by row. Dimensions of one element may have
/// any stride.
pub(crate) fn is_row_major(shape: &Shape, strides: &[u64]) -> bool {
    if shape.elements() == 0 {
        return true;
    }
    let mut expected = 1;
    for (&dimension, &stride) in shape.dimensions().iter().zip(strides).rev() {
        if dimension != 1 && stride != expected {
            return false;
        }
        expected *= dimension;
    }
    true
}

//! Tensors from the calls that would rebuild them.
//!
//! Offsets and strides are in elements. Source: torch/_utils.py (`_rebuild_*`),
//! torch/_tensor.py (`_rebuild_from_type_v2`).

mod parts;

use super::dtypes::{self, ElementType};
use super::storage::{StorageRef, Unpickled};
use crate::dtype::{Class, DType};
use crate::error::{Error, Result};
use crate::model::{Bytes, Payload, Quantization, Shape, SparseLayout, Storage, Tensor};
use crate::pickle::{Call, Item, View, numpy};
use crate::stream::Reader;
use std::sync::Arc;

/// The functions of torch._utils that rebuild tensors.
const REBUILDERS: [&str; 14] = [
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    "_rebuild_qtensor",
    "_rebuild_sparse_tensor",
    "_rebuild_sparse_csr_tensor",
    "_rebuild_nested_tensor",
    "_rebuild_meta_tensor_no_storage",
    "_rebuild_device_tensor_from_cpu_tensor",
    "_rebuild_device_tensor_from_numpy",
    "_rebuild_xla_tensor",
    "_rebuild_wrapper_subclass",
];

/// A tensor without its name.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub(super) dtype: DType,
    pub(super) shape: Shape,
    pub(super) payload: Payload,
    pub(super) quantization: Option<Arc<Quantization>>,
    /// PyTorch's own name of a type that has no equal here.
    pub(super) stand_in_for: Option<String>,
}

impl Built {
    fn new(dtype: DType, shape: Shape, payload: Payload) -> Built {
        Built {
            dtype,
            shape,
            payload,
            quantization: None,
            stand_in_for: None,
        }
    }

    /// With its name.
    pub(super) fn named(self, name: &str) -> Tensor {
        let mut tensor = Tensor::new(name, self.dtype, self.shape, self.payload);
        tensor.quantization = self.quantization;
        tensor
    }
}

/// What an object turned out to be.
#[derive(Debug)]
pub(super) enum Meaning {
    /// A tensor.
    Tensor(Built),
    /// A tensor with attributes of its own: the items hold them.
    TensorWith(Built, Item),
    /// Several tensors in one (nested).
    Tensors(Vec<Built>),
    /// The same as another item.
    Same(Item),
    /// A subclass of Tensor whose data is in its attributes: class, outer type and shape.
    Wrapper {
        class: String,
        outer: Option<(DType, Shape)>,
        state: Item,
        /// What it is made of, if its rebuild function is not known.
        args: Item,
    },
    /// No tensor.
    Other,
}

impl Unpickled {
    /// What `call` means.
    ///
    /// Errors: `Malformed` for a tensor whose parts contradict each other.
    pub(super) fn meaning(&self, call: &Call) -> Result<Meaning> {
        let Some(global) = self.graph.global(call.callable) else {
            return Ok(Meaning::Other);
        };
        let args = self.graph.args(call);
        let found = match &*global.module {
            "torch._utils" => self.rebuilt(&global.name, args),
            "torch._tensor" | "torch.tensor" | "torch._C._TensorBase" => {
                self.subclassed(&global.name, args)
            }
            "torch.nn.parameter" => self.old_parameter(&global.name, call),
            "torch.autograd.variable" | "torch.autograd" if &*global.name == "Variable" => {
                self.old_parameter("Variable", call)
            }
            "torch.jit._pickle" => Ok(match args.first() {
                Some(&inner) if &*global.name != "build_tensor_from_id" => Meaning::Same(inner),
                _ => Meaning::Other,
            }),
            module if module == "torch" || module.starts_with("torch.") => {
                self.old_tensor(&global.name, call)
            }
            _ => Ok(Meaning::Other),
        };
        found.map_err(|error| error.at(self.source.file_offset(call.offset)))
    }

    fn rebuilt(&self, name: &str, args: &[Item]) -> Result<Meaning> {
        let lacks = || Error::malformed(format!("`{name}` lacks arguments"));
        let built = match (name, args) {
            (
                "_rebuild_tensor" | "_rebuild_tensor_v2",
                &[storage, first, size, stride, ref rest @ ..],
            ) => {
                let metadata = rest.get(2).copied();
                let built = self.view(storage, first, size, stride, None)?;
                self.lazy(built, metadata)
            }
            ("_rebuild_tensor_v3", &[storage, first, size, stride, _, _, dtype, ref rest @ ..]) => {
                let dtype = self.dtype(dtype)?;
                let built = self.view(storage, first, size, stride, Some(dtype))?;
                self.lazy(built, rest.first().copied())
            }
            ("_rebuild_parameter", &[inner, ..]) => return Ok(Meaning::Same(inner)),
            ("_rebuild_parameter_with_state", &[inner, _, _, state]) => {
                return Ok(match self.plain_view(inner)? {
                    Some(built) => Meaning::TensorWith(built, state),
                    None => Meaning::Same(inner),
                });
            }
            ("_rebuild_qtensor", &[storage, first, size, stride, parameters, ..]) => {
                let mut built = self.view(storage, first, size, stride, None)?;
                built.quantization = Some(Arc::new(self.quantization(parameters, &built.shape)?));
                built
            }
            ("_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor", _) if !args.is_empty() => {
                self.sparse(args)?
            }
            ("_rebuild_nested_tensor", &[buffer, sizes, strides, offsets]) => {
                return self.nested(buffer, sizes, strides, offsets);
            }
            ("_rebuild_meta_tensor_no_storage", &[dtype, size, ..]) => {
                let element = self.dtype(dtype)?;
                absent(
                    element.dtype,
                    self.shape(size)?,
                    "it is on PyTorch's meta device",
                )
            }
            (
                "_rebuild_device_tensor_from_cpu_tensor"
                | "_rebuild_device_tensor_from_numpy"
                | "_rebuild_xla_tensor",
                &[inner, dtype, ..],
            ) => self.converted(inner, dtype)?,
            ("_rebuild_wrapper_subclass", &[class, dtype, size, ..]) => {
                return Ok(Meaning::Wrapper {
                    class: self.class_name(class),
                    outer: Some((self.dtype(dtype)?.dtype, self.shape(size)?)),
                    state: Item::NONE,
                    args: Item::ABSENT,
                });
            }
            (name, _) if REBUILDERS.contains(&name) => return Err(lacks()),
            _ => return Ok(Meaning::Other),
        };
        Ok(Meaning::Tensor(built))
    }

    /// `_rebuild_from_type_v2(function, type, args, state)`.
    fn subclassed(&self, name: &str, args: &[Item]) -> Result<Meaning> {
        let &[function, class, inner, state] = args else {
            return Ok(Meaning::Other);
        };
        if !matches!(name, "_rebuild_from_type_v2" | "_rebuild_from_type") {
            return Ok(Meaning::Other);
        }
        let Some(function) = self.graph.global(function) else {
            return Ok(Meaning::Other);
        };
        let args = self.graph.sequence(inner).unwrap_or_default();
        Ok(match self.rebuilt(&function.name, args)? {
            Meaning::Tensor(built) => Meaning::TensorWith(built, state),
            Meaning::Wrapper { outer, .. } => Meaning::Wrapper {
                class: self.class_name(class),
                outer,
                state,
                args: Item::ABSENT,
            },
            Meaning::Other => Meaning::Wrapper {
                class: self.class_name(class),
                outer: None,
                state,
                args: inner,
            },
            other => other,
        })
    }

    pub(super) fn class_name(&self, class: Item) -> String {
        let global = self.graph.global(class);
        global.map_or_else(|| "?".to_owned(), ToString::to_string)
    }

    /// The tensor behind `item`, if it is a single one.
    pub(super) fn built(&self, mut item: Item) -> Result<Option<Built>> {
        // Parameters of parameters: each step goes one call deeper, to an older object or
        // around a cycle.
        for _ in 0..8 {
            match self.graph.view(item) {
                View::Call(call) => match self.meaning_of_array(item)? {
                    Some(built) => return Ok(Some(built)),
                    None => match self.meaning_bounded(call)? {
                        Meaning::Tensor(built) | Meaning::TensorWith(built, _) => {
                            return Ok(Some(built));
                        }
                        Meaning::Same(inner) => item = inner,
                        _ => return Ok(None),
                    },
                },
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The tensor behind `item`, if it is a plain view of a storage.
    fn plain_view(&self, item: Item) -> Result<Option<Built>> {
        let View::Call(call) = self.graph.view(item) else {
            return Ok(None);
        };
        let name = self
            .graph
            .global(call.callable)
            .map_or("", |global| &*global.name);
        match name {
            "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3" => self.built(item),
            _ => Ok(None),
        }
    }

    /// As [`Unpickled::meaning`], for tensors inside tensors (scales, indices). Those are
    /// plain ones, so that a tensor cannot hold itself.
    fn meaning_bounded(&self, call: &Call) -> Result<Meaning> {
        let name = self
            .graph
            .global(call.callable)
            .map_or("", |global| &*global.name);
        match name {
            "_rebuild_tensor"
            | "_rebuild_tensor_v2"
            | "_rebuild_tensor_v3"
            | "_rebuild_parameter"
            | "_rebuild_meta_tensor_no_storage"
            | "_rebuild_wrapper_subclass" => self.meaning(call),
            "_rebuild_qtensor" => Err(Error::unsupported("a quantised tensor inside a tensor")),
            name if name.starts_with("_rebuild_") => {
                Err(Error::unsupported(format!("`{name}` inside a tensor")))
            }
            _ => self.meaning(call),
        }
    }

    /// The tensor that a NumPy array of numbers is.
    pub(super) fn meaning_of_array(&self, item: Item) -> Result<Option<Built>> {
        let Some(array) = numpy::array(&self.graph, &self.source, item)? else {
            return Ok(None);
        };
        let (numpy::Data::Bytes(raw), Some(dtype)) = (&array.data, array.element.dtype) else {
            return Ok(None);
        };
        let shape = Shape::new(array.shape)?;
        let storage = Storage {
            bytes: self.bytes(raw),
            order: array.element.order,
        };
        let payload = Payload::view(storage, dtype, &shape, 0, array.strides.into());
        Ok(Some(Built::new(dtype, shape, payload)))
    }

    fn bytes(&self, raw: &numpy::RawBytes) -> Bytes {
        match raw {
            numpy::RawBytes::Extent { offset, len } => Bytes::Extent {
                source: self.source.clone(),
                offset: *offset,
                len: *len,
            },
            numpy::RawBytes::Inline(bytes) => Bytes::Inline(Arc::from(bytes.as_slice())),
        }
    }

    /// A view of a storage.
    fn view(
        &self,
        storage: Item,
        first: Item,
        size: Item,
        stride: Item,
        dtype: Option<ElementName>,
    ) -> Result<Built> {
        let shape = self.shape(size)?;
        let first = self.count(first, "storage offset")?;
        let strides = self.counts(stride, "stride")?;
        if strides.len() != shape.rank() {
            let (rank, found) = (shape.rank(), strides.len());
            let message = format!("shape {shape} has {rank} dimensions, but {found} strides");
            return Err(Error::malformed(message));
        }
        let storage = self.storage(storage)?;
        let mut built = view_of(storage, first, shape, strides, dtype.as_ref())?;
        built.stand_in_for = dtype.filter(|d| d.is_stand_in).map(|d| d.name);
        Ok(built)
    }

    /// Applies the conjugate and negative bits that came with a view.
    fn lazy(&self, mut built: Built, metadata: Option<Item>) -> Built {
        let Some(View::Dict(pairs)) = metadata.map(|item| self.graph.view(item)) else {
            return built;
        };
        let bit = |name: &str| {
            pairs.iter().any(|&(key, value)| {
                let is_set = matches!(self.graph.view(value), View::Bool(true));
                is_set && self.graph.text(key).as_deref() == Some(name)
            })
        };
        let (conjugate, negative) = (bit("conj"), bit("neg"));
        if conjugate || negative {
            built.payload = Payload::Lazy {
                of: Box::new(built.payload),
                conjugate,
                negative,
            };
        }
        built
    }

    /// A tensor that was saved as one of another type.
    fn converted(&self, inner: Item, dtype: Item) -> Result<Built> {
        let built = self.built(inner)?;
        let built = built.ok_or_else(|| Error::malformed("a device tensor lacks its data"))?;
        let element = self.dtype(dtype)?;
        if element.dtype == built.dtype {
            return Ok(built);
        }
        let shape = built.shape.clone();
        let payload = Payload::Cast(Arc::new(built.named("data")));
        Ok(Built::new(element.dtype, shape, payload))
    }

    /// Parameters and variables that were pickled as objects, and lazy ones.
    fn old_parameter(&self, name: &str, call: &Call) -> Result<Meaning> {
        if matches!(name, "UninitializedParameter" | "UninitializedBuffer") {
            let shape = Shape::new([0])?;
            let built = absent(DType::F32, shape, "it was saved before it had a shape");
            return Ok(Meaning::Tensor(built));
        }
        if !matches!(name, "Parameter" | "Variable" | "Buffer") {
            return Ok(Meaning::Other);
        }
        let of_args = self.graph.args(call).first().copied();
        let of_state = self
            .graph
            .sequence(call.state)
            .and_then(|s| s.first().copied());
        let is_object =
            |item: &Item| matches!(self.graph.view(*item), View::Call(_) | View::Persistent(_));
        let inner = of_args.filter(is_object).or(of_state.filter(is_object));
        Ok(inner.map_or(Meaning::Other, Meaning::Same))
    }

    /// Tensors of 0.3 and before: `torch.FloatTensor()` with the state
    /// `(storage, first, size, stride)`.
    fn old_tensor(&self, name: &str, call: &Call) -> Result<Meaning> {
        let is_class = name == "Tensor"
            || name
                .strip_suffix("Tensor")
                .and_then(dtypes::of_class)
                .is_some();
        if !is_class {
            return Ok(Meaning::Other);
        }
        let state = self.graph.sequence(call.state);
        match state.unwrap_or_else(|| self.graph.args(call)) {
            &[storage, first, size, stride, ..] if self.is_storage(storage) => {
                let built = self.view(storage, first, size, stride, None)?;
                Ok(Meaning::Tensor(built))
            }
            _ => Ok(Meaning::Other),
        }
    }

    /// The dtype that `item` names.
    fn dtype(&self, item: Item) -> Result<ElementName> {
        let global = self.graph.global(item);
        let name = global.map_or("", |global| &*global.name);
        let found =
            dtypes::of_name(name).or_else(|| dtypes::of_class(name.strip_suffix("Tensor")?));
        let found = found
            .ok_or_else(|| Error::unsupported(format!("dtype `torch.{name}` is not known")))?;
        Ok(ElementName {
            element: found,
            name: format!("torch.{name}"),
        })
    }

    pub(super) fn shape(&self, item: Item) -> Result<Shape> {
        Shape::new(self.counts(item, "size")?)
    }

    /// A tuple of numbers that are not negative; `torch.Size` counts as one.
    fn counts(&self, item: Item, what: &str) -> Result<Vec<u64>> {
        let mut items = self.graph.sequence(item);
        if let View::Call(call) = self.graph.view(item) {
            let inner = self.graph.args(call).first();
            items = inner.and_then(|&inner| self.graph.sequence(inner));
        }
        let items = items.ok_or_else(|| Error::malformed(format!("has no {what}")))?;
        if items.len() > crate::limits::DIMENSIONS {
            let (found, allowed) = (items.len(), crate::limits::DIMENSIONS);
            let message = format!("has {found} dimensions; the limit is {allowed}");
            return Err(Error::limit(message));
        }
        items.iter().map(|&item| self.count(item, what)).collect()
    }

    fn count(&self, item: Item, what: &str) -> Result<u64> {
        let found = self.graph.int(item);
        let found = found.ok_or_else(|| Error::malformed(format!("a {what} is no number")))?;
        u64::try_from(found).map_err(|_| Error::malformed(format!("a {what} is negative: {found}")))
    }
}

/// A dtype and what PyTorch calls it.
pub(super) struct ElementName {
    element: ElementType,
    name: String,
}

impl std::ops::Deref for ElementName {
    type Target = ElementType;

    fn deref(&self) -> &ElementType {
        &self.element
    }
}

pub(super) fn absent(dtype: DType, shape: Shape, why: &'static str) -> Built {
    Built::new(dtype, shape, Payload::Absent(why))
}

fn stored(bytes: Vec<u8>) -> Payload {
    Payload::Stored(Storage::inline(bytes))
}

/// A whole storage as a vector.
pub(super) fn whole_storage(storage: StorageRef) -> Result<Built> {
    let dtype = storage.dtype.unwrap_or(DType::U8);
    let facts = dtype.facts();
    let byte_len = storage.bytes.as_ref().map_or(0, Bytes::len);
    let blocks = byte_len
        .checked_div(u64::from(facts.block_bytes))
        .unwrap_or(0);
    let elements = blocks.saturating_mul(u64::from(facts.block_elements));
    view_of(storage, 0, Shape::new([elements])?, vec![1], None)
}

/// A view of `storage`, checked to lie in it. `dtype`: what an untyped one holds.
pub(super) fn view_of(
    storage: StorageRef,
    first: u64,
    shape: Shape,
    strides: Vec<u64>,
    dtype: Option<&ElementName>,
) -> Result<Built> {
    let dtype = dtype
        .map(|name| name.dtype)
        .or(storage.dtype)
        .unwrap_or(DType::U8);
    let Some(bytes) = storage.bytes else {
        return Ok(absent(dtype, shape, "it is on PyTorch's meta device"));
    };
    let storage = Storage {
        bytes,
        order: storage.order,
    };
    match dtype {
        DType::F4 => pairs_of_f4(storage, first, &shape, &strides),
        _ if dtype.element_bytes().is_some() => {
            let element = dtype.element_bytes().unwrap_or(1);
            check_extent(&storage, first, &shape, &strides, element.into())?;
            let first = if shape.elements() == 0 { 0 } else { first };
            let payload = Payload::view(storage, dtype, &shape, first, strides.into());
            Ok(Built::new(dtype, shape, payload))
        }
        _ => packed_elements(storage, first, shape, &strides, dtype),
    }
}

/// Checks that every element of a view lies in its storage.
fn check_extent(
    storage: &Storage,
    first: u64,
    shape: &Shape,
    strides: &[u64],
    element: u64,
) -> Result<()> {
    if shape.elements() == 0 {
        return Ok(());
    }
    let steps = shape.dimensions().iter().zip(strides);
    let last = steps.fold(u128::from(first), |last, (&count, &stride)| {
        let span = u128::from(count.saturating_sub(1)).saturating_mul(stride.into());
        last.saturating_add(span)
    });
    let needed = last.saturating_add(1).saturating_mul(element.into());
    let available = storage.bytes.len();
    if needed > available.into() {
        return Err(Error::malformed(format!(
            "needs {needed} bytes of its storage, but that has {available}"
        )));
    }
    Ok(())
}

/// PyTorch counts pairs, one a byte; here each is an element.
fn pairs_of_f4(storage: Storage, first: u64, shape: &Shape, strides: &[u64]) -> Result<Built> {
    check_extent(&storage, first, shape, strides, 1)?;
    let view = Payload::view(storage, DType::U8, shape, first, strides.into());
    let mut dimensions = shape.dimensions().to_vec();
    let Some(last) = dimensions.last_mut().filter(|_| view.is_contiguous()) else {
        let mut built = Built::new(DType::U8, shape.clone(), view);
        built.stand_in_for = Some("torch.float4_e2m1fn_x2".to_owned());
        return Ok(built);
    };
    *last = last
        .checked_mul(2)
        .ok_or_else(|| Error::malformed("a dimension is too large"))?;
    Ok(Built::new(DType::F4, Shape::new(dimensions)?, view))
}

/// Types of which several elements share a byte: contiguous ones only.
fn packed_elements(
    storage: Storage,
    first: u64,
    shape: Shape,
    strides: &[u64],
    dtype: DType,
) -> Result<Built> {
    debug_assert_eq!(dtype.class(), Class::Quantized);
    let contiguous = shape.row_major_strides();
    let is_plain = shape
        .dimensions()
        .iter()
        .zip(strides.iter().zip(&contiguous))
        .all(|(&count, (found, wanted))| count <= 1 || found == wanted);
    let (Some(start), Some(len), true) = (
        dtype.byte_len(first),
        dtype.byte_len(shape.elements()),
        is_plain,
    ) else {
        let message = format!("a view of {dtype} does not start and end at whole bytes");
        return Err(Error::unsupported(message));
    };
    let available = storage.bytes.len();
    let bytes = storage.bytes.part(start, len).ok_or_else(|| {
        let needed = start.saturating_add(len);
        Error::malformed(format!(
            "needs {needed} bytes of its storage, but that has {available}"
        ))
    })?;
    let storage = Storage {
        bytes,
        order: storage.order,
    };
    Ok(Built::new(dtype, shape, Payload::Stored(storage)))
}

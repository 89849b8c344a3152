//! Converting: what becomes of each tensor in a format that cannot hold everything.
//!
//! Nothing moves here. The result is a checkpoint that a writer can write as it stands, and a
//! list of what was changed and why.

mod change;
mod roles;
mod spend;
mod target_size;

pub use change::{Change, Reason};
pub use roles::Role;
pub use target_size::{Fitted, fit, sampled_bytes};

use super::importance::{Weights, takes_weights};
use super::rules::{Asked, Wanted};
use super::scale;
use crate::dtype::cast::{Overflow, integers_of};
use crate::dtype::{Class, DType, cast};
use crate::error::{Error, Result};
use crate::model::{CastOptions, Checkpoint, Payload, Quantization, Shape, Storage, Tensor, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The dtype for every floating tensor; the others stay as they are.
    pub dtype: Option<DType>,
    /// What rules say of single tensors, in the checkpoint's order; it overrules all else.
    pub wanted: Vec<Option<Asked>>,
    /// What becomes of those that rules want without loss, as [`super::lossless::decide`] finds
    /// it: a dtype, or nothing.
    pub lossless: Vec<Option<DType>>,
    /// Dtypes that make the output fit a size, in the checkpoint's order; they overrule `dtype`.
    pub fitted: Vec<Option<DType>>,
    /// Whether outputs and embeddings become blocks as all other matrices.
    pub is_pure: bool,
    /// Whether rows that are no whole blocks are an error.
    pub no_fallback: bool,
    /// What becomes of tensors that are one.
    pub tied: Tied,
    /// The dtypes that the target can hold.
    pub holds: Vec<DType>,
    /// What becomes of values too large for the dtype; `None`: what is usual for it.
    pub overflow: Option<Overflow>,
    /// Whether matrices that become 8-bit floats get a scale.
    pub scaling: Scaling,
    /// How much the errors of the k-quants matter.
    pub importance: Option<Arc<Weights>>,
}

/// The dtype for one tensor, and who says so.
struct Choice {
    /// `None`: the one that it has.
    dtype: Option<DType>,
    reason: Reason,
}

impl Options {
    /// What is to become of the tensor at `index`.
    fn choose(&self, index: usize, tensor: &Tensor, names: Names) -> Choice {
        let asked = self.wanted.get(index).and_then(Option::as_ref);
        if let Some(asked) = asked {
            let rule = Reason::Rule(Arc::clone(&asked.rule));
            let (dtype, reason) = match asked.wanted {
                Wanted::DType(dtype) => (Some(dtype), rule),
                Wanted::Source => (None, rule),
                Wanted::Lossless => match self.lossless.get(index).copied().flatten() {
                    Some(dtype) => (Some(dtype), Reason::Lossless),
                    None => (None, Reason::Kept),
                },
            };
            return Choice { dtype, reason };
        }
        if let Some(dtype) = self.fitted.get(index).copied().flatten() {
            return Choice {
                dtype: Some(dtype),
                reason: Reason::TargetSize,
            };
        }
        self.by_role(tensor, names).unwrap_or(Choice {
            dtype: self.dtype,
            reason: Reason::Cast,
        })
    }

    /// What is usual for a tensor of its role where the others become blocks.
    fn by_role(&self, tensor: &Tensor, names: Names) -> Option<Choice> {
        let wanted = self.dtype.filter(|dtype| dtype.class() == Class::Block);
        let class = tensor.dtype.class();
        let is_number = matches!(class, Class::Float | Class::Block | Class::Quantized);
        let may_quantize = match wanted {
            Some(wanted) => self.holds.contains(&wanted),
            None => !self.fitted.is_empty() && self.holds.contains(&DType::Q8_0),
        };
        if !is_number || !may_quantize {
            return None;
        }
        let role = Role::of(&tensor.name, tensor.shape.dimensions())?;
        if role == Role::NoWeight && !names.has_weights {
            return None;
        }
        let reason = Reason::Default(role);
        if role.is_left_alone() {
            let dtype = (class != Class::Block).then_some(DType::F32);
            return Some(Choice { dtype, reason });
        }
        let row = tensor.shape.row_elements();
        let dtype = wanted.filter(|_| !self.is_pure);
        let dtype = dtype.and_then(|wanted| role.dtype(wanted, row, names.has_output));
        dtype.map(|dtype| Choice {
            dtype: Some(dtype),
            reason,
        })
    }

    /// `choice`, or where rows of `tensor` are no whole blocks of it, the nearest that they are.
    ///
    /// Errors: `Unsupported` if that is not wanted.
    fn fit_rows(&self, tensor: &Tensor, choice: (DType, Reason)) -> Result<(DType, Reason)> {
        let (dtype, row) = (choice.0, tensor.shape.row_elements());
        let block = dtype.facts().block_elements;
        let is_whole = row.is_multiple_of(block.into());
        if dtype.class() != Class::Block || dtype == tensor.dtype || is_whole {
            return Ok(choice);
        }
        if self.no_fallback {
            cast::check_rows(dtype, tensor.shape.dimensions())?;
        }
        let fallback = roles::fallback(dtype, row);
        Ok((fallback, Reason::Fallback { row, block }))
    }
}

/// Whether matrices (and tensors of more dimensions) that become 8-bit floats are divided by a
/// scale, which goes into a tensor `NAME_scale`. With a scale, vectors keep their dtype.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scaling {
    /// No.
    #[default]
    None,
    /// Yes, but the scales are not measured: for a plan of what would be written.
    Planned,
    /// Yes, measured by so many threads: reads those tensors.
    Measured(usize),
}

/// What becomes of a tensor that is another name of an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tied {
    /// It is stored once and the other name recorded.
    #[default]
    Alias,
    /// It is written again.
    Clone,
}

/// A checkpoint in the making.
#[derive(Clone, Debug)]
pub struct Converted {
    /// What is to be written.
    pub checkpoint: Checkpoint,
    /// What was done, for each tensor of `checkpoint`.
    pub changes: Vec<Change>,
}

/// Makes of `checkpoint` one that the target can hold.
///
/// Errors: `Unsupported` naming the tensor for types that nobody knows, tensors without data
/// and casts that do not exist; `Usage` if a name that is needed (`x.scale`) is taken.
pub fn convert(checkpoint: Checkpoint, options: &Options) -> Result<Converted> {
    let mut names: HashSet<String> = HashSet::with_capacity(checkpoint.tensors.len());
    names.extend(checkpoint.tensors.iter().map(|tensor| tensor.name.clone()));
    let mut result = Checkpoint {
        tensors: Vec::with_capacity(checkpoint.tensors.len()),
        ..empty_like(&checkpoint)
    };
    let mut changes = Vec::with_capacity(checkpoint.tensors.len());
    let names_tell = Names::of(&checkpoint);
    for (index, tensor) in retie(checkpoint.tensors, options.tied)
        .into_iter()
        .enumerate()
    {
        let name = tensor.name.clone();
        let choice = options.choose(index, &tensor, names_tell);
        let parts = convert_tensor(tensor, &choice, options, &mut result.metadata)
            .map_err(|error| error.in_tensor(&name))?;
        for (tensor, change) in parts {
            // A tensor that was there keeps its name; one that is made needs a free one.
            let is_made = matches!(change.reason, Reason::Quantization | Reason::Scale);
            if is_made && !names.insert(tensor.name.clone()) {
                let error = Error::usage(format!("`{}` is taken by another tensor", tensor.name));
                return Err(error.in_tensor(&name));
            }
            result.tensors.push(tensor);
            changes.push(change);
        }
    }
    forget_types(&mut result, &changes);
    Ok(Converted {
        checkpoint: result,
        changes,
    })
}

/// What the names of a checkpoint's matrices tell.
#[derive(Clone, Copy)]
struct Names {
    /// Whether there is an output beside the embeddings of tokens.
    has_output: bool,
    /// Whether matrices are called weights, so that what is not is something else.
    has_weights: bool,
}

impl Names {
    fn of(checkpoint: &Checkpoint) -> Names {
        let tensors = checkpoint.tensors.iter();
        let role = |tensor: &Tensor| Role::of(&tensor.name, tensor.shape.dimensions());
        let has = |wanted: Option<Role>| tensors.clone().any(|tensor| role(tensor) == wanted);
        Names {
            has_output: has(Some(Role::Output)),
            has_weights: has(None),
        }
    }
}

/// Leaves out what a GGUF source says of its tensors' types, if they are others now.
fn forget_types(checkpoint: &mut Checkpoint, changes: &[Change]) {
    let tensors = checkpoint.tensors.iter().zip(changes);
    let mut pairs = tensors.filter(|(_, change)| change.reason != Reason::Alias);
    if checkpoint.format != "gguf" || pairs.all(|(tensor, c)| tensor.dtype == c.from_dtype) {
        return;
    }
    let is_stale = |key: &str| ["general.file_type", "general.quantization_version"].contains(&key);
    checkpoint.metadata.retain(|(key, _)| !is_stale(key));
    checkpoint.metadata_types.retain(|(key, _)| !is_stale(key));
    checkpoint.stored_metadata.retain(|(key, _)| !is_stale(key));
}

fn empty_like(checkpoint: &Checkpoint) -> Checkpoint {
    Checkpoint {
        path: checkpoint.path.clone(),
        format: checkpoint.format,
        variant: checkpoint.variant.clone(),
        metadata: checkpoint.metadata.clone(),
        metadata_types: checkpoint.metadata_types.clone(),
        stored_metadata: checkpoint.stored_metadata.clone(),
        ..Checkpoint::default()
    }
}

/// Ties as they are wanted: none, or to the first of those that are there.
fn retie(mut tensors: Vec<Tensor>, tied: Tied) -> Vec<Tensor> {
    let present: HashSet<String> = match tied {
        Tied::Clone => HashSet::new(),
        Tied::Alias => {
            let untied = tensors.iter().filter(|tensor| tensor.tied_to.is_none());
            untied.map(|tensor| tensor.name.clone()).collect()
        }
    };
    // The one that all are tied to may have been left out; the first of the others stands in.
    let mut heirs: HashMap<String, String> = HashMap::new();
    for tensor in &mut tensors {
        let Some(kept) = tensor.tied_to.take() else {
            continue;
        };
        if tied == Tied::Clone {
            continue;
        }
        if present.contains(&kept) {
            tensor.tied_to = Some(kept);
        } else if let Some(heir) = heirs.get(&kept) {
            tensor.tied_to = Some(heir.clone());
        } else {
            heirs.insert(kept, tensor.name.clone());
        }
    }
    tensors
}

type Parts = Vec<(Tensor, Change)>;

fn convert_tensor(
    tensor: Tensor,
    choice: &Choice,
    options: &Options,
    metadata: &mut Vec<(String, Value)>,
) -> Result<Parts> {
    check_readable(&tensor)?;
    if tensor.dtype.class() == Class::Quantized {
        return convert_quantized(tensor, choice, options, metadata);
    }
    let (dtype, reason) = target_dtype(&tensor, choice, options)?;
    if tensor.dtype.class() == Class::Complex && dtype != tensor.dtype {
        return pairs(tensor, dtype).map(|part| vec![part]);
    }
    if dtype == tensor.dtype {
        return Ok(vec![part(tensor.clone(), &tensor, reason)]);
    }
    if !options.holds.contains(&dtype) {
        let text = format!("the target cannot hold {dtype}");
        let error = Error::unsupported(text);
        return Err(match dtype.class() {
            Class::Block => error.with_hint("blocks have their place in GGUF files only"),
            _ => error,
        });
    }
    let (dtype, reason) = options.fit_rows(&tensor, (dtype, reason))?;
    if dtype == tensor.dtype {
        return Ok(vec![part(tensor.clone(), &tensor, reason)]);
    }
    cast::check(tensor.dtype, dtype)?;
    if let Some(largest) = scale::largest_of(dtype)
        && options.scaling != Scaling::None
    {
        return scaled(tensor, (dtype, reason), largest, options);
    }
    let cast = cast_to(&tensor, dtype, options)?;
    Ok(vec![part(cast, &tensor, reason)])
}

/// `tensor` in another dtype.
fn cast_to(tensor: &Tensor, dtype: DType, options: &Options) -> Result<Tensor> {
    let weights = options.importance.as_ref();
    let weights = weights.filter(|_| takes_weights(dtype));
    let cast_options = CastOptions {
        overflow: options.overflow,
        importance: match weights {
            Some(weights) => weights.of(tensor)?,
            None => None,
        },
    };
    let is_plain = cast_options.overflow.is_none() && cast_options.importance.is_none();
    let shape = tensor.shape.clone();
    Ok(derived(tensor, dtype, shape, |tensor| match is_plain {
        true => Payload::Cast(tensor),
        false => Payload::CastWith(tensor, Arc::new(cast_options)),
    }))
}

/// `tensor` divided by a scale in an 8-bit float whose largest value is `largest`, and the
/// scale.
fn scaled(
    tensor: Tensor,
    (dtype, reason): (DType, Reason),
    largest: f32,
    options: &Options,
) -> Result<Parts> {
    if tensor.shape.dimensions().len() < 2 && options.holds.contains(&tensor.dtype) {
        return Ok(vec![part(tensor.clone(), &tensor, Reason::Kept)]);
    }
    let is_alias = tensor.tied_to.is_some();
    let scale = match options.scaling {
        Scaling::Measured(threads) if !is_alias => scale::scale(&tensor, largest, threads)?,
        _ => 1.0,
    };
    let single = derived(&tensor, DType::F32, tensor.shape.clone(), Payload::Cast);
    let divided = derived(&single, DType::F32, tensor.shape.clone(), |single| {
        Payload::Scaled(single, scale)
    });
    let cast = cast_to(&divided, dtype, options)?;
    let mut parts = vec![part(cast, &tensor, reason)];
    if !is_alias {
        let stored = Payload::Stored(Storage::inline(scale.to_le_bytes()));
        let name = format!("{}_scale", tensor.name);
        let made = Tensor::new(name, DType::F32, Shape::scalar(), stored);
        let (made, mut change) = part(made.clone(), &made, Reason::Scale);
        change.bytes_before = 0;
        change.from_name.clone_from(&tensor.name);
        parts.push((made, change));
    }
    Ok(parts)
}

fn check_readable(tensor: &Tensor) -> Result<()> {
    let problem = match (&tensor.payload, tensor.dtype) {
        (Payload::Absent(why), _) => format!("has no data: {why}"),
        (_, DType::Unknown(_)) => format!(
            "type {} is not known, so its bytes mean nothing",
            tensor.dtype
        ),
        _ => return Ok(()),
    };
    let error = Error::unsupported(problem);
    Err(error.with_hint(format!("`-x '{}'` leaves it out", tensor.name)))
}

/// What a tensor's elements become, and why.
fn target_dtype(tensor: &Tensor, choice: &Choice, options: &Options) -> Result<(DType, Reason)> {
    let dtype = tensor.dtype;
    let is_float = matches!(dtype.class(), Class::Float | Class::Block);
    let kept = match &tensor.payload {
        Payload::Sparse { .. } => Reason::Dense,
        _ if is_float && choice.reason != Reason::Cast => choice.reason.clone(),
        _ => Reason::Kept,
    };
    match choice.dtype {
        Some(wanted) if is_float && wanted != dtype => return Ok((wanted, choice.reason.clone())),
        _ if options.holds.contains(&dtype) => return Ok((dtype, kept)),
        _ if dtype.class() == Class::Block => return Ok((DType::F32, Reason::Decoded)),
        _ => {}
    }
    let real = match dtype {
        DType::C32 => DType::F16,
        DType::C64 => DType::F32,
        DType::C128 => DType::F64,
        _ => {
            let error = Error::unsupported(format!("the target cannot hold {dtype}"));
            return Err(match dtype.class() {
                Class::Float => error.with_hint("`--dtype f32` or another makes it one it can"),
                _ => error.with_hint(format!("`-x '{}'` leaves it out", tensor.name)),
            });
        }
    };
    Ok((real, Reason::Pairs))
}

/// Complex numbers as real ones, with a last dimension of two: real, imaginary.
fn pairs(tensor: Tensor, real: DType) -> Result<(Tensor, Change)> {
    let mut dimensions = tensor.shape.dimensions().to_vec();
    dimensions.push(2);
    let shape = Shape::new(dimensions)?;
    let pairs = derived(&tensor, real, shape, Payload::Reinterpreted);
    Ok(part(pairs, &tensor, Reason::Pairs))
}

fn convert_quantized(
    tensor: Tensor,
    choice: &Choice,
    options: &Options,
    metadata: &mut Vec<(String, Value)>,
) -> Result<Parts> {
    let quantization = tensor.quantization.clone().ok_or_else(|| {
        Error::unsupported(format!("{} has no scale to go with it", tensor.dtype))
    })?;
    let can_stay = options.holds.contains(&tensor.dtype) && is_usual(&tensor, &quantization);
    if choice.dtype.is_none() && can_stay {
        let reason = match choice.reason {
            Reason::Rule(_) => choice.reason.clone(),
            _ => Reason::Kept,
        };
        return Ok(vec![part(tensor.clone(), &tensor, reason)]);
    }
    if let Some(dtype) = choice.dtype {
        let (dtype, reason) = options.fit_rows(&tensor, (dtype, Reason::Dequantized))?;
        let numbers = derived(
            &tensor,
            DType::F32,
            tensor.shape.clone(),
            Payload::Dequantized,
        );
        let numbers = match dtype {
            DType::F32 => numbers,
            _ => {
                cast::check(DType::F32, dtype)?;
                cast_to(&numbers, dtype, options)?
            }
        };
        return Ok(vec![part(numbers, &tensor, reason)]);
    }
    let integer = integers_of(tensor.dtype).unwrap_or(DType::U8);
    let plain = derived(&tensor, integer, tensor.shape.clone(), |tensor| {
        match integer.byte_len(1) == tensor.dtype.byte_len(1) {
            true => Payload::Reinterpreted(tensor),
            false => Payload::Cast(tensor),
        }
    });
    let is_alias = plain.tied_to.is_some();
    let dtype = torch_name(tensor.dtype);
    metadata.push((format!("{}.dtype", tensor.name), Value::text(dtype)));
    let mut parts = vec![part(plain, &tensor, Reason::Integers)];
    if !is_alias {
        let made = quantization_tensors(&tensor.name, &quantization)?;
        let made = made.into_iter().map(|made| (made.clone(), made));
        parts.extend(made.map(|(made, source)| {
            let (made, mut change) = part(made, &source, Reason::Quantization);
            change.bytes_before = 0;
            change.from_name.clone_from(&tensor.name);
            (made, change)
        }));
    }
    Ok(parts)
}

/// Whether rows fill whole bytes, and scales and zero points are of types that PyTorch makes its
/// own of.
fn is_usual(tensor: &Tensor, quantization: &Quantization) -> bool {
    let in_a_byte = u64::from(tensor.dtype.facts().block_elements).max(1);
    let has_types = match quantization {
        Quantization::PerTensor { .. } => true,
        Quantization::PerChannel {
            scales,
            zero_points,
            ..
        } => {
            let (scales, points) = (scales.dtype, zero_points.dtype);
            let is_point = points == DType::I64 || points.class() == Class::Float;
            is_point && cast::check(scales, DType::F64).is_ok()
        }
    };
    has_types && tensor.shape.row_elements().is_multiple_of(in_a_byte)
}

/// `NAME.scale`, `NAME.zero_point` and, for channels, `NAME.axis`.
fn quantization_tensors(name: &str, quantization: &Quantization) -> Result<Vec<Tensor>> {
    let single = |part: &str, dtype: DType, bytes: [u8; 8]| {
        let payload = Payload::Stored(Storage::inline(bytes));
        Tensor::new(format!("{name}.{part}"), dtype, Shape::scalar(), payload)
    };
    let renamed = |part: &str, tensor: &Tensor| Tensor {
        name: format!("{name}.{part}"),
        tied_to: None,
        ..tensor.clone()
    };
    Ok(match quantization {
        Quantization::PerTensor { scale, zero_point } => vec![
            single("scale", DType::F64, scale.to_le_bytes()),
            single("zero_point", DType::I64, zero_point.to_le_bytes()),
        ],
        Quantization::PerChannel {
            scales,
            zero_points,
            axis,
        } => vec![
            renamed("scale", scales),
            renamed("zero_point", zero_points),
            single("axis", DType::I64, axis.to_le_bytes()),
        ],
    })
}

/// What PyTorch calls a quantised type.
fn torch_name(dtype: DType) -> &'static str {
    match dtype {
        DType::QI8 => "torch.qint8",
        DType::QU8 => "torch.quint8",
        DType::QI32 => "torch.qint32",
        DType::QU4x2 => "torch.quint4x2",
        _ => "torch.quint2x4",
    }
}

/// A tensor of the same name whose elements come from `tensor`.
fn derived(
    tensor: &Tensor,
    dtype: DType,
    shape: Shape,
    payload: impl FnOnce(Arc<Tensor>) -> Payload,
) -> Tensor {
    Tensor {
        name: tensor.name.clone(),
        dtype,
        shape,
        payload: payload(Arc::new(tensor.clone())),
        quantization: None,
        tied_to: tensor.tied_to.clone(),
    }
}

fn part(made: Tensor, source: &Tensor, reason: Reason) -> (Tensor, Change) {
    let is_alias = made.tied_to.is_some();
    let change = Change {
        from_name: source.name.clone(),
        from_dtype: source.dtype,
        reason: if is_alias { Reason::Alias } else { reason },
        bytes_before: if is_alias { 0 } else { stored_bytes(source) },
        bytes_after: match is_alias {
            true => 0,
            false => made.byte_len().unwrap_or(0),
        },
    };
    (made, change)
}

/// Bytes of a tensor as it lies: of a sparse one, its parts.
fn stored_bytes(tensor: &Tensor) -> u64 {
    match &tensor.payload {
        Payload::Sparse { parts, .. } => parts.iter().filter_map(Tensor::byte_len).sum(),
        _ => tensor.byte_len().unwrap_or(0),
    }
}

//! What GGUF cannot say of a tensor, and the metadata keeps for it.
//!
//! | key | value |
//! |---|---|
//! | `comfy.gguf.orig_shape.NAME` | the shape, outermost first: integers. ComfyUI-GGUF's key |
//! | `ckpt.original_name.NAME` | the name that is too long: text |
//!
//! NAME is what the tensor is called in the file. A shape of over four dimensions is stored with
//! its first ones multiplied together, so that rows stay what they are; a long name as its
//! beginning and a hash of the whole.

use super::metadata::{Metadata, ORIGINAL_SHAPE as SHAPE};
use crate::limits;
use crate::model::{Shape, Tensor, Value};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Before the name of a tensor that has another in the file.
const NAME: &str = "ckpt.original_name.";

/// Bytes of a name that programs keep which raise ggml's limit, such as ComfyUI-GGUF.
pub(super) const LONG_NAME: usize = 127;

/// Bytes of a name that ggml keeps (`GGML_MAX_NAME` is 64, with the NUL).
pub(super) const GGML_NAME: usize = 63;

/// Hex digits of the hash in a shortened name.
const DIGITS: usize = 16;

/// What a tensor is called in a file: its name, or what stands for one that nobody reads.
pub(super) fn stored_name(name: &str) -> Cow<'_, str> {
    if name.len() <= LONG_NAME {
        return Cow::Borrowed(name);
    }
    let hash = blake3::hash(name.as_bytes()).to_hex();
    let hash = hash.get(..DIGITS).unwrap_or_default();
    let mut room = GGML_NAME.saturating_sub(DIGITS + 1);
    while !name.is_char_boundary(room) {
        room = room.saturating_sub(1);
    }
    Cow::Owned(format!("{}~{hash}", name.get(..room).unwrap_or_default()))
}

/// The dimensions as a file has them, outermost first.
pub(super) fn stored_dimensions(shape: &Shape) -> Cow<'_, [u64]> {
    let dimensions = shape.dimensions();
    let kept = (limits::GGUF_DIMENSIONS as usize).saturating_sub(1);
    match dimensions.split_at_checked(dimensions.len().saturating_sub(kept)) {
        // Their product is known to fit.
        Some((first, rest)) if first.len() > 1 => {
            let product = first.iter().product();
            [&[product], rest].concat().into()
        }
        _ => dimensions.into(),
    }
}

/// Key, value and type of what has to be kept of `tensor`.
pub(super) fn kept(tensor: &Tensor) -> Vec<(String, Value, &'static str)> {
    let mut kept = Vec::new();
    let name = stored_name(&tensor.name);
    if name != tensor.name {
        let value = Value::text(tensor.name.as_str());
        kept.push((format!("{NAME}{name}"), value, "str"));
    }
    let dimensions = tensor.shape.dimensions();
    if dimensions.len() > limits::GGUF_DIMENSIONS as usize {
        let is_short = dimensions.iter().all(|d| i32::try_from(*d).is_ok());
        let values = dimensions.iter().map(|&dimension| Value::from(dimension));
        let kind = if is_short { "arr[i32]" } else { "arr[i64]" };
        kept.push((
            format!("{SHAPE}{name}"),
            Value::List(values.collect()),
            kind,
        ));
    }
    kept
}

/// Gives tensors the shapes and names that `metadata` keeps for them, and takes those from it.
/// What does not fit stays as it stands: a shape of other elements, or whose rows are no whole
/// blocks; a name that is not the one that was shortened, or is taken.
pub(super) fn restore(metadata: &mut Metadata, tensors: &mut [Tensor]) {
    let is_kept = |key: &str| key.starts_with(SHAPE) || key.starts_with(NAME);
    let entries = metadata.entries.iter();
    let kept: HashMap<String, Value> = entries.filter(|(key, _)| is_kept(key)).cloned().collect();
    if kept.is_empty() {
        return;
    }
    let mut names: HashSet<String> = tensors.iter().map(|tensor| tensor.name.clone()).collect();
    let mut done: HashSet<String> = HashSet::new();
    for tensor in tensors {
        let key = format!("{SHAPE}{}", tensor.name);
        if let Some(shape) = kept
            .get(&key)
            .and_then(|shape| original_shape(tensor, shape))
        {
            tensor.shape = shape;
            done.insert(key);
        }
        let key = format!("{NAME}{}", tensor.name);
        let name = kept.get(&key).and_then(Value::as_text);
        let is_shortened = |name: &&str| {
            name.len() as u64 <= limits::NAME && stored_name(name) == tensor.name.as_str()
        };
        if let Some(name) = name.filter(is_shortened)
            && names.insert(name.to_owned())
        {
            name.clone_into(&mut tensor.name);
            done.insert(key);
        }
    }
    metadata
        .original_shapes
        .retain(|(key, _)| !done.contains(key));
    metadata.entries.retain(|(key, _)| !done.contains(key));
    metadata.types.retain(|(key, _)| !done.contains(key));
    metadata.stored.retain(|(key, _)| !done.contains(key));
}

fn original_shape(tensor: &Tensor, shape: &Value) -> Option<Shape> {
    let Value::List(dimensions) = shape else {
        return None;
    };
    let dimensions: Option<Vec<u64>> = dimensions.iter().map(Value::as_u64).collect();
    let shape = Shape::new(dimensions?).ok()?;
    let block = u64::from(tensor.dtype.facts().block_elements);
    let is_fit =
        shape.elements() == tensor.elements() && shape.row_elements().is_multiple_of(block);
    is_fit.then_some(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_dimensions_are_multiplied_together() {
        let of = |dimensions: &[u64]| {
            let shape = Shape::new(dimensions).unwrap();
            stored_dimensions(&shape).into_owned()
        };
        assert_eq!(of(&[2, 3, 4, 5, 6]), [6, 4, 5, 6]);
        assert_eq!(of(&[2, 2, 2, 2, 2, 32]), [8, 2, 2, 32]);
        assert_eq!(of(&[2, 3, 4, 5]), [2, 3, 4, 5]);
        assert_eq!(of(&[]), [0u64; 0]);
    }

    #[test]
    fn short_names_stay_and_long_ones_differ_where_they_do() {
        let long = "ä".repeat(LONG_NAME);
        assert_eq!(stored_name(&long[..126]), long[..126]);
        let (a, b) = (format!("{long}a"), format!("{long}b"));
        assert_ne!(stored_name(&a), stored_name(&b));
        assert!(stored_name(&a).len() <= GGML_NAME);
    }
}

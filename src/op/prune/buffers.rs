//! Buffers: what every loader computes for itself, what counted only while training, and what
//! merging programs broke.
//!
//! A buffer goes by its values, not by its name alone: one that holds anything else than what
//! the model's code puts there is kept. Sources: transformers, `modeling_clip.py`,
//! `modeling_bert.py` (`position_ids`), `modeling_llama.py` (`inv_freq`), `modeling_gpt2.py`
//! (`attn.bias`, `attn.masked_bias`), which register them as not persistent since 4.32 and
//! ignored their absence before.

use super::draft::{Draft, Item};
use super::recipes::Recipe;
use crate::dtype::{Class, DType, cast};
use crate::error::Result;
use crate::model::{Level, Note, Payload, Storage, Tensor};
use crate::op::convert::Reason;
use crate::stream::{Reader, Scratch};
use std::collections::HashSet;

/// Why a buffer goes that every loader makes anew.
const RECOMPUTED: &str = "recomputed when loaded";

/// Why a counter goes that was asked for.
const COUNTER: &str = "counts training batches";

/// Positions of a sequence, or sides of a mask, that are looked at; real ones have 131,072 and
/// 8,192 at most.
const LONGEST: u64 = 1 << 20;
const WIDEST: u64 = 1 << 14;

/// Elements that are compared at once.
const PIECE: u64 = 1 << 15;

/// Which buffers go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffers {
    /// Also those that strict loaders of old models miss: `num_batches_tracked`.
    pub(super) drops_counters: bool,
    /// Whether the positions of Stable Diffusion's text encoder stay, as its own loaders expect.
    pub(super) keeps_positions: bool,
}

/// Leaves out the buffers that are of no use.
pub(super) fn leave_out(draft: &mut Draft, buffers: Buffers) -> Result<()> {
    let mut gone: HashSet<String> = HashSet::new();
    let mut masks: HashSet<String> = HashSet::new();
    let candidates = draft.items.iter();
    for item in candidates.filter(|item| item.is_model && !item.is_pinned) {
        let name = item.tensor.name.as_str();
        let ends = |end: &str| name == end || name.ends_with(&format!(".{end}"));
        if ends("position_ids") && !buffers.keeps_positions && counts_up(&item.tensor)?
            || ends("rotary_emb.inv_freq") && is_geometric(&item.tensor)?
        {
            gone.insert(name.to_owned());
        } else if (ends("attn.bias") || ends("attention.bias")) && is_triangle(&item.tensor)? {
            masks.insert(name.trim_end_matches("bias").to_owned());
            gone.insert(name.to_owned());
        }
    }
    draft.drop_where(|item| {
        let name = item.tensor.name.as_str();
        let is_fill = name
            .strip_suffix("masked_bias")
            .is_some_and(|stem| masks.contains(stem) && item.tensor.elements() == 1);
        let is_counter = buffers.drops_counters
            && (name == "num_batches_tracked" || name.ends_with(".num_batches_tracked"));
        match item.is_model && !item.is_pinned {
            true if is_fill || gone.contains(name) => Some(RECOMPUTED),
            true if is_counter => Some(COUNTER),
            _ => None,
        }
    });
    Ok(())
}

/// Mends what merging and training programs do to checkpoints of Stable Diffusion.
///
/// The positions of CLIP's tokens are the integers from 0 on; programs that merge or cast all
/// tensors alike make floats of them, and 75.9975 becomes 75 when it is loaded. NovelAI's
/// checkpoint, and what was merged from it, lacks `text_model.` in its text encoder's names.
pub(super) fn repair(draft: &mut Draft, recipe: &Recipe) -> Result<()> {
    if recipe.name != "ldm" {
        return Ok(());
    }
    rename_encoder(draft);
    let positions = draft.items.iter_mut().filter(|item| {
        let name = &item.tensor.name;
        item.is_model && !item.is_pinned && name.ends_with("text_model.embeddings.position_ids")
    });
    for item in positions {
        if item.tensor.dtype == DType::I64 && counts_up(&item.tensor)? {
            continue;
        }
        draft.notes.extend(mend_positions(item)?);
    }
    Ok(())
}

fn rename_encoder(draft: &mut Draft) {
    const ENCODER: &str = "cond_stage_model.transformer.";
    let parts = ["embeddings.", "encoder.", "final_layer_norm."];
    let taken: HashSet<&str> = draft.by_name().into_keys().collect();
    let new_name = |item: &Item| {
        let rest = item.tensor.name.strip_prefix(ENCODER)?;
        let is_meant = item.is_model && parts.iter().any(|part| rest.starts_with(part));
        let new = format!("{ENCODER}text_model.{rest}");
        (is_meant && !taken.contains(new.as_str())).then_some(new)
    };
    let new: Vec<Option<String>> = draft.items.iter().map(new_name).collect();
    let count = new.iter().flatten().count();
    if count == 0 {
        return;
    }
    for (item, new) in draft.items.iter_mut().zip(new) {
        item.tensor.name = new.unwrap_or_else(|| std::mem::take(&mut item.tensor.name));
    }
    let text = format!(
        "{count} tensors of the text encoder get the `text_model.` that loaders expect in their names"
    );
    draft
        .notes
        .push(Note::new("encoder-names", Level::Info, text));
}

/// Replaces the positions by those that they should be; says what they were.
fn mend_positions(item: &mut Item) -> Result<Option<Note>> {
    let tensor = &item.tensor;
    let count = tensor.elements();
    if !is_row(tensor) || count > LONGEST {
        return Ok(None);
    }
    let mut wrong = 0u64;
    let is_number = every(tensor, |index, value| {
        // As loaders read it: towards zero.
        wrong += u64::from(value.trunc() != index as f64);
        true
    })?;
    if !is_number {
        return Ok(None);
    }
    let numbers = (0..count).flat_map(|position| position.to_le_bytes());
    let bytes: Vec<u8> = numbers.collect();
    let text = format!(
        "the positions in `{}` were {}, {wrong} of {count} wrong; written as I64, 0 to {}",
        tensor.name,
        tensor.dtype,
        count.saturating_sub(1)
    );
    let note = Note::new("positions", Level::Info, text).on_tensor(&item.source);
    item.tensor = Tensor::new(
        tensor.name.clone(),
        DType::I64,
        tensor.shape.clone(),
        Payload::Stored(Storage::inline(bytes)),
    );
    item.reason = Some(Reason::Repaired);
    Ok(Some(note))
}

/// `[n]` or `[1, n]`.
fn is_row(tensor: &Tensor) -> bool {
    matches!(tensor.shape.dimensions(), [_] | [1, _]) && tensor.elements() > 0
}

/// Whether the elements are 0, 1, 2, ..., as far as the dtype can say so.
fn counts_up(tensor: &Tensor) -> Result<bool> {
    if !is_row(tensor) || tensor.elements() > LONGEST {
        return Ok(false);
    }
    let dtype = tensor.dtype;
    every(tensor, |index, value| {
        value == rounded(index, dtype).unwrap_or(index as f64)
    })
}

/// A position as a small float has it; `None` for types that hold every position.
fn rounded(position: u64, dtype: DType) -> Option<f64> {
    let size = match dtype {
        DType::F16 | DType::BF16 => 2,
        _ => return None,
    };
    let mut narrow = [0; 8];
    let narrow = narrow.get_mut(..size)?;
    let mut wide = [0; 8];
    let exact = (position as f64).to_le_bytes();
    cast::cast(DType::F64, dtype, &exact, narrow).ok()?;
    cast::cast(dtype, DType::F64, narrow, &mut wide).ok()?;
    Some(f64::from_le_bytes(wide))
}

/// Whether the elements are `base^(-i / n)`: rotary frequencies without any scaling.
fn is_geometric(tensor: &Tensor) -> Result<bool> {
    let count = tensor.elements();
    if tensor.shape.rank() != 1 || !(2..=LONGEST).contains(&count) {
        return Ok(false);
    }
    let tolerance = match tensor.dtype {
        DType::F16 | DType::BF16 => 1e-2,
        _ => 1e-4,
    };
    let mut step = 0.0;
    every(tensor, |index, value| match index {
        0 => value == 1.0,
        1 => {
            step = value.ln();
            step < 0.0
        }
        _ => (value.ln() - step * index as f64).abs() <= tolerance * index as f64,
    })
}

/// Whether a tensor of shape `[1, 1, n, n]` is one on and below its diagonal, and zero above.
fn is_triangle(tensor: &Tensor) -> Result<bool> {
    let [1, 1, rows, columns] = *tensor.shape.dimensions() else {
        return Ok(false);
    };
    if rows != columns || !(1..=WIDEST).contains(&rows) {
        return Ok(false);
    }
    every(tensor, |index, value| {
        let (row, column) = (index / columns, index % columns);
        value == f64::from(u8::from(column <= row))
    })
}

/// Whether `holds` of every element and its index; false for what are no plain numbers. Ends
/// with the first of which it does not.
fn every(tensor: &Tensor, mut holds: impl FnMut(u64, f64) -> bool) -> Result<bool> {
    let is_plain = matches!(
        tensor.dtype.class(),
        Class::Bool | Class::Unsigned | Class::Signed | Class::Float
    );
    if !is_plain || matches!(tensor.payload, Payload::Absent(_)) {
        return Ok(false);
    }
    let wide = tensor.cast(DType::F64);
    let reader = Reader::open(&wide)?;
    let (mut bytes, mut scratch) = (Vec::new(), Scratch::default());
    let count = tensor.elements();
    let mut first = 0;
    while first < count {
        let elements = PIECE.min(count - first);
        reader.read(first, elements, &mut bytes, &mut scratch)?;
        for (index, word) in (first..).zip(bytes.as_chunks::<8>().0) {
            if !holds(index, f64::from_le_bytes(*word)) {
                return Ok(false);
            }
        }
        first += elements;
    }
    Ok(true)
}

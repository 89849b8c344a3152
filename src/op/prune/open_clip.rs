//! Text encoders of OpenCLIP, as they stand in files of SD 2 and SDXL, under the names and in
//! the arrangement of transformers' `CLIPTextModelWithProjection`.
//!
//! OpenCLIP keeps query, key and value in one matrix, `in_proj_weight` `[3 * width, width]`,
//! and its projection as `[width, out]` where a linear layer has `[out, width]`. Nothing is
//! copied: the parts are views. Source: diffusers, `single_file_utils.py`
//! (`convert_open_clip_checkpoint`, `DIFFUSERS_TO_LDM_MAPPING["openclip"]`).

use super::draft::{Draft, Item};
use crate::error::{Error, Result};
use crate::model::{Payload, Shape, Storage, Tensor};

/// Why what only training uses goes.
const CONTRASTIVE: &str = "contrastive training";

/// Whole names.
const NAMES: &[(&str, &str)] = &[
    (
        "positional_embedding",
        "text_model.embeddings.position_embedding.weight",
    ),
    (
        "token_embedding.weight",
        "text_model.embeddings.token_embedding.weight",
    ),
    ("ln_final.weight", "text_model.final_layer_norm.weight"),
    ("ln_final.bias", "text_model.final_layer_norm.bias"),
];

/// Beginnings of what follows the number of a block.
const INSIDE: &[(&str, &str)] = &[
    ("ln_1.", "layer_norm1."),
    ("ln_2.", "layer_norm2."),
    ("attn.out_proj.", "self_attn.out_proj."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
];

/// Gives the items the names that transformers has for them, if they are OpenCLIP's.
///
/// Errors: `Malformed` for a matrix that does not divide in three; `Unsupported` for one of
/// which no part can be viewed.
pub(super) fn into_transformers(draft: &mut Draft) -> Result<()> {
    let is_meant = |item: &Item| item.tensor.name.starts_with("transformer.resblocks.");
    if !draft.items.iter().any(is_meant) {
        return Ok(());
    }
    draft.drop_where(|item| {
        let is_training = matches!(item.tensor.name.as_str(), "logit_scale" | "attn_mask");
        (is_training && !item.is_pinned).then_some(CONTRASTIVE)
    });
    let mut items = Vec::with_capacity(draft.items.len());
    for item in std::mem::take(&mut draft.items) {
        let source = item.source.clone();
        items.extend(convert(item).map_err(|error| error.in_tensor(&source))?);
    }
    draft.items = items;
    Ok(())
}

fn convert(mut item: Item) -> Result<Vec<Item>> {
    let name = item.tensor.name.as_str();
    if let Some((_, new)) = NAMES.iter().find(|(old, _)| *old == name) {
        item.tensor.name = (*new).to_owned();
        return Ok(vec![item]);
    }
    if name == "text_projection" && item.tensor.shape.rank() == 2 {
        item.tensor = transposed(&item.tensor)?;
        item.tensor.name = "text_projection.weight".to_owned();
        return Ok(vec![item]);
    }
    let block = name.strip_prefix("transformer.resblocks.");
    let Some((number, rest)) = block.and_then(|block| block.split_once('.')) else {
        return Ok(vec![item]);
    };
    let layer = format!("text_model.encoder.layers.{number}.");
    if let Some(end) = rest.strip_prefix("attn.in_proj_") {
        return thirds(&item, &layer, end);
    }
    if let Some((old, new)) = INSIDE.iter().find(|(old, _)| rest.starts_with(old)) {
        item.tensor.name = format!("{layer}{new}{}", &rest[old.len()..]);
    }
    Ok(vec![item])
}

/// Query, key and value. `end`: `weight` or `bias`.
fn thirds(item: &Item, layer: &str, end: &str) -> Result<Vec<Item>> {
    let tensor = &item.tensor;
    let mut dimensions = tensor.shape.dimensions().to_vec();
    let rows = dimensions.first().copied().unwrap_or(0);
    if rows % 3 != 0 || rows == 0 {
        let shape = &tensor.shape;
        return Err(Error::malformed(format!(
            "has shape {shape}, which is no query, key and value"
        )));
    }
    dimensions[0] = rows / 3;
    let (storage, first, strides) = view(tensor)?;
    let names = ["q_proj", "k_proj", "v_proj"].iter().zip(0u64..);
    let third = |(name, number): (&&str, u64)| {
        let step = strides.first().copied().unwrap_or(0);
        let skipped = (rows / 3)
            .checked_mul(step)
            .and_then(|s| s.checked_mul(number));
        let start = skipped.and_then(|skipped| first.checked_add(skipped));
        let payload = Payload::Strided {
            storage: storage.clone(),
            first: start.ok_or_else(|| Error::malformed("reaches beyond any file"))?,
            strides: strides.clone(),
        };
        let shape = Shape::new(dimensions.clone())?;
        let name = format!("{layer}self_attn.{name}.{end}");
        let mut part = item.clone();
        part.tensor = Tensor::new(name, tensor.dtype, shape, payload);
        Ok(part)
    };
    names.map(third).collect()
}

fn transposed(tensor: &Tensor) -> Result<Tensor> {
    let (storage, first, mut strides) = view(tensor)?;
    let mut dimensions = tensor.shape.dimensions().to_vec();
    dimensions.reverse();
    strides.reverse();
    let payload = Payload::Strided {
        storage,
        first,
        strides,
    };
    Ok(Tensor::new(
        "",
        tensor.dtype,
        Shape::new(dimensions)?,
        payload,
    ))
}

/// The elements of a tensor as a view: storage, first element, steps.
fn view(tensor: &Tensor) -> Result<(Storage, u64, Box<[u64]>)> {
    match &tensor.payload {
        Payload::Strided {
            storage,
            first,
            strides,
        } => Ok((storage.clone(), *first, strides.clone())),
        Payload::Stored(storage) if tensor.dtype.facts().block_elements == 1 => {
            let mut step = 1u64;
            let mut strides: Vec<u64> = Vec::new();
            for dimension in tensor.shape.dimensions().iter().rev() {
                strides.push(step);
                step = step.saturating_mul(*dimension);
            }
            strides.reverse();
            Ok((storage.clone(), 0, strides.into()))
        }
        _ => Err(Error::unsupported(format!(
            "is {}, which cannot be divided here",
            tensor.dtype
        ))),
    }
}

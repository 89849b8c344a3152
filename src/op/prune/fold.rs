//! Several tensors that stand for one.
//!
//! A mask of `torch.nn.utils.prune` is multiplied out as torch's `remove` does it: `mask * orig`,
//! in the original's dtype, to the last bit (negative zeros too).
//!
//! Weight normalisation (`weight_g`, `weight_v`; `parametrizations.weight.original0`,
//! `original1`) is computed in `f64` and rounded once; torch computes in the weight's own dtype,
//! so that its last bits may differ.

use super::draft::{Draft, Dropped};
use crate::model::{Payload, Tensor};
use crate::op::convert::Reason;
use std::sync::Arc;

/// Why a part goes.
const FOLDED: &str = "folded into the weight";

/// The ends of the names of two tensors, and the end of the name of what they stand for.
struct Pair {
    first: &'static str,
    second: &'static str,
    whole: &'static str,
    make: fn(&Tensor, &Tensor) -> Option<Tensor>,
}

/// What is folded.
const PAIRS: [Pair; 3] = [
    Pair {
        first: "_orig",
        second: "_mask",
        whole: "",
        make: product,
    },
    Pair {
        first: "weight_g",
        second: "weight_v",
        whole: "weight",
        make: normalized,
    },
    Pair {
        first: "parametrizations.weight.original0",
        second: "parametrizations.weight.original1",
        whole: "weight",
        make: normalized,
    },
];

/// Makes one of each pair, where both are there, fit each other, and the name is free.
pub(super) fn fold(draft: &mut Draft) {
    for pair in &PAIRS {
        let names = draft.by_name();
        let mut folds: Vec<(usize, usize, Tensor)> = Vec::new();
        for (&name, &first) in &names {
            let Some(stem) = name.strip_suffix(pair.first) else {
                continue;
            };
            let whole = format!("{stem}{}", pair.whole);
            let second = names.get(format!("{stem}{}", pair.second).as_str());
            let (Some(&second), false) = (
                second,
                whole.is_empty() || names.contains_key(whole.as_str()),
            ) else {
                continue;
            };
            let items = &draft.items;
            let is_pinned = items[first].is_pinned || items[second].is_pinned;
            let made = (pair.make)(&items[first].tensor, &items[second].tensor);
            if let (Some(mut made), false) = (made, is_pinned) {
                made.name = whole;
                folds.push((first, second, made));
            }
        }
        drop(names);
        folds.sort_by_key(|(first, _, _)| *first);
        let mut gone = vec![false; draft.items.len()];
        for (first, second, made) in folds {
            gone[second] = true;
            let mut part = Dropped::tensor(&draft.items[second].tensor, FOLDED);
            part.name.clone_from(&draft.items[second].source);
            draft.dropped.push(part);
            let item = &mut draft.items[first];
            item.tensor = made;
            item.reason = Some(Reason::Folded);
        }
        let mut index = 0;
        draft.items.retain(|_| {
            index += 1;
            !gone[index - 1]
        });
    }
}

fn product(original: &Tensor, mask: &Tensor) -> Option<Tensor> {
    use crate::dtype::DType::{BF16, Bool, F16, F32, F64, U8};
    let fits = original.shape == mask.shape
        && matches!(original.dtype, F64 | F32 | F16 | BF16)
        && matches!(mask.dtype, F64 | F32 | F16 | BF16 | Bool | U8);
    let pair = [mask.clone(), original.clone()];
    fits.then(|| {
        Tensor::new(
            "",
            original.dtype,
            original.shape.clone(),
            Payload::Product(Arc::new(pair)),
        )
    })
}

/// `magnitude` has one element for each slice along one axis of `direction`, and the same rank;
/// or one element for all.
fn normalized(magnitude: &Tensor, direction: &Tensor) -> Option<Tensor> {
    use crate::dtype::DType::{BF16, F16, F32, F64};
    let is_float = |tensor: &Tensor| matches!(tensor.dtype, F64 | F32 | F16 | BF16);
    if !is_float(magnitude) || !is_float(direction) {
        return None;
    }
    let (own, all) = (magnitude.shape.dimensions(), direction.shape.dimensions());
    let axis = match own.len() {
        0 => None,
        rank if rank == all.len() => {
            let wide: Vec<usize> = (0..rank).filter(|&axis| own[axis] != 1).collect();
            match wide.as_slice() {
                // One slice along the axis that torch takes by default.
                [] => Some(0).filter(|_| all[0] == 1),
                [axis] => Some(*axis),
                _ => return None,
            }
        }
        _ => return None,
    };
    let fits = axis.map_or(own.is_empty(), |axis| own[axis] == all[axis]);
    fits.then(|| {
        let payload = Payload::Normalized {
            direction: Arc::new(direction.clone()),
            magnitude: Arc::new(magnitude.clone()),
            axis,
        };
        Tensor::new("", direction.dtype, direction.shape.clone(), payload)
    })
}

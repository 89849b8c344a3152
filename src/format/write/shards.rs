//! Which tensors share a shard.

use super::layout::Splits;
use crate::error::{Error, Result};
use crate::model::Tensor;
use crate::text::{layer_of, natural_order};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Shards of one output: all are open until all are complete.
pub(super) const SHARDS: usize = 512;

/// Into how many files a checkpoint is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// One.
    #[default]
    Whole,
    /// As many as it takes when each holds at most so many bytes of tensor data, or one larger
    /// tensor.
    AtMost(u64),
    /// So many, of about equal size.
    Into(usize),
}

/// In which order tensors are dealt to shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShardOrder {
    /// As they come. With [`Cut::AtMost`] a shard is full when the next tensor does not fit, as
    /// in `huggingface_hub` and gguf-split.
    #[default]
    Source,
    /// Embeddings, then layer by layer, numbers as numbers, then the rest. A layer that fits into
    /// a shard is in one.
    Layer,
    /// The largest first, each to where the least is: few shards, of sizes as even as can be.
    Balanced,
}

/// What goes into a shard as a whole.
#[derive(Clone, Debug)]
struct Item {
    tensors: Vec<usize>,
    bytes: u64,
}

/// Deals `tensors`, by their places among all, to shards. None is empty, unless nothing is dealt.
///
/// Errors: `Limit` past [`SHARDS`]; `Usage` for more shards than tensors.
pub(super) fn deal(
    tensors: &[(usize, &Tensor)],
    cut: Cut,
    order: ShardOrder,
    splits: Splits,
) -> Result<Vec<Vec<usize>>> {
    let items = match order {
        ShardOrder::Layer => layers(tensors),
        _ => singles(tensors.iter().copied()),
    };
    let shards = match cut {
        Cut::Whole | Cut::Into(1) => vec![items],
        Cut::AtMost(limit) => match order {
            ShardOrder::Balanced => balanced_up_to(items, limit)?,
            ShardOrder::Layer => fill(split_large(items, tensors, limit), limit),
            // A split GGUF file keeps the order of its tensors.
            ShardOrder::Source if splits == Splits::Numbers => fill(items, limit),
            ShardOrder::Source => fill_around_large(items, limit),
        },
        Cut::Into(count) => {
            check_count(count)?;
            if tensors.len() < count {
                let message = format!("has {} tensors, too few for {count} shards", tensors.len());
                return Err(Error::usage(message));
            }
            match order {
                ShardOrder::Balanced => spread(&by_size(items), count),
                _ if items.len() < count => cut_evenly(single_items(items, tensors), count),
                _ => cut_evenly(items, count),
            }
        }
    };
    check_count(shards.len())?;
    let mut shards: Vec<Vec<usize>> = shards.into_iter().map(places).collect();
    if order == ShardOrder::Balanced {
        shards.iter_mut().for_each(|shard| shard.sort_unstable());
        shards.sort_unstable();
    }
    Ok(shards)
}

fn check_count(found: usize) -> Result<()> {
    if found > SHARDS {
        let error = Error::limit(format!("makes {found} shards; the limit is {SHARDS}"));
        return Err(error.with_hint("a larger `--max-shard-size` makes fewer"));
    }
    Ok(())
}

fn places(items: Vec<Item>) -> Vec<usize> {
    items.into_iter().flat_map(|item| item.tensors).collect()
}

fn singles<'a>(tensors: impl Iterator<Item = (usize, &'a Tensor)>) -> Vec<Item> {
    tensors
        .map(|(place, tensor)| Item {
            tensors: vec![place],
            bytes: tensor.byte_len().unwrap_or(0),
        })
        .collect()
}

/// The layers in order; what is in none is an item of its own.
fn layers(tensors: &[(usize, &Tensor)]) -> Vec<Item> {
    let mut sorted: Vec<(usize, &Tensor)> = tensors.to_vec();
    sorted.sort_by(|(_, a), (_, b)| in_layer_order(&a.name, &b.name));
    let is_one = |(_, a): &(usize, &Tensor), (_, b): &(usize, &Tensor)| {
        layer_of(&a.name).is_some() && layer_of(&a.name) == layer_of(&b.name)
    };
    let layers = sorted.chunk_by(is_one);
    layers
        .map(|layer| joined(singles(layer.iter().copied())))
        .collect()
}

fn joined(items: Vec<Item>) -> Item {
    Item {
        bytes: sum(&items),
        tensors: places(items),
    }
}

fn sum(items: &[Item]) -> u64 {
    let bytes = items.iter().map(|item| item.bytes);
    bytes.fold(0, u64::saturating_add)
}

fn in_layer_order(a: &str, b: &str) -> Ordering {
    let stage = |name: &str| match layer_of(name) {
        Some(_) => 1,
        None if is_embedding(name) => 0,
        None => 2,
    };
    let layer = |name: &str| layer_of(name).unwrap_or_default().to_owned();
    stage(a)
        .cmp(&stage(b))
        .then_with(|| natural_order(&layer(a), &layer(b)))
        .then_with(|| natural_order(a, b))
}

/// `embed_tokens`, `token_embd`, `embeddings`, GPT-2's `wte` and `wpe`.
fn is_embedding(name: &str) -> bool {
    let mut parts = name.split('.');
    parts.any(|part| part.contains("emb") || matches!(part, "wte" | "wpe"))
}

/// The items, those over the limit by their tensors.
fn split_large(items: Vec<Item>, tensors: &[(usize, &Tensor)], limit: u64) -> Vec<Item> {
    let split = |item: Item| match item.bytes > limit {
        true => single_items(vec![item], tensors),
        false => vec![item],
    };
    items.into_iter().flat_map(split).collect()
}

/// The items by their tensors, in the same order.
fn single_items(items: Vec<Item>, tensors: &[(usize, &Tensor)]) -> Vec<Item> {
    let known = |place: usize| {
        let index = tensors.binary_search_by_key(&place, |(place, _)| *place);
        index.ok().and_then(|index| tensors.get(index)).copied()
    };
    singles(places(items).into_iter().filter_map(known))
}

/// Fills shard after shard.
fn fill(items: Vec<Item>, limit: u64) -> Vec<Vec<Item>> {
    let mut shards = vec![Vec::new()];
    let mut size = 0u64;
    for item in items {
        let is_full = size.saturating_add(item.bytes) > limit;
        if is_full && shards.last().is_some_and(|shard| !shard.is_empty()) {
            shards.push(Vec::new());
            size = 0;
        }
        size = size.saturating_add(item.bytes);
        if let Some(shard) = shards.last_mut() {
            shard.push(item);
        }
    }
    shards
}

/// Fills shard after shard; one that is too large becomes a shard of its own, before the one that
/// is being filled. Source: `huggingface_hub`, `split_state_dict_into_shards_factory`.
fn fill_around_large(items: Vec<Item>, limit: u64) -> Vec<Vec<Item>> {
    let mut shards = Vec::new();
    let mut filled = Vec::new();
    let mut size = 0u64;
    for item in items {
        if item.bytes > limit {
            shards.push(vec![item]);
            continue;
        }
        if size.saturating_add(item.bytes) > limit {
            shards.push(std::mem::take(&mut filled));
            size = 0;
        }
        size = size.saturating_add(item.bytes);
        filled.push(item);
    }
    if !filled.is_empty() || shards.is_empty() {
        shards.push(filled);
    }
    shards
}

/// Cuts a list into `count` runs, each cut as near to its even share as the items allow: no run is
/// further from the mean than the largest item.
fn cut_evenly(items: Vec<Item>, count: usize) -> Vec<Vec<Item>> {
    let total = u128::from(sum(&items));
    let mut runs: Vec<Vec<Item>> = Vec::with_capacity(count);
    let mut rest = items.into_iter().peekable();
    let (mut done, mut left) = (0u128, rest.len());
    for number in 1..=count {
        // What this run and those before it should hold, times `count`.
        let share = total.saturating_mul(number as u128);
        let runs_after = count.saturating_sub(number);
        let mut run = Vec::new();
        while left > runs_after
            && let Some(next) = rest.peek()
        {
            let end = done.saturating_add(u128::from(next.bytes));
            let distance = |end: u128| end.saturating_mul(count as u128).abs_diff(share);
            let is_nearer = distance(end) <= distance(done);
            if !run.is_empty() && runs_after > 0 && !is_nearer {
                break;
            }
            done = end;
            left = left.saturating_sub(1);
            run.extend(rest.next());
        }
        runs.push(run);
    }
    runs
}

/// As few shards as are found, of sizes as even as can be; what is too large is alone.
///
/// The count is the least at which the largest first to the emptiest stays within the limit, or
/// what first fit takes, the largest first: at most 11/9 of the fewest, and one more.
fn balanced_up_to(items: Vec<Item>, limit: u64) -> Result<Vec<Vec<Item>>> {
    let (large, small): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|item| item.bytes > limit);
    let small = by_size(small);
    let least = sum(&small).div_ceil(limit.max(1)).max(1);
    let least = usize::try_from(least).unwrap_or(usize::MAX);
    check_count(least)?;
    let first_fit = first_fit(&small, limit);
    let mut counts = least..=first_fit.len();
    let even = counts.find_map(|count| {
        let even = spread(&small, count);
        let fits = even.iter().all(|shard| sum(shard) <= limit);
        fits.then_some(even)
    });
    let mut shards: Vec<Vec<Item>> = large.into_iter().map(|item| vec![item]).collect();
    shards.extend(even.unwrap_or(first_fit));
    shards.retain(|shard| !shard.is_empty());
    Ok(match shards.is_empty() {
        true => vec![Vec::new()],
        false => shards,
    })
}

/// The largest first; equal ones as they come.
fn by_size(mut items: Vec<Item>) -> Vec<Item> {
    items.sort_by_key(|item| Reverse(item.bytes));
    items
}

/// Each to the first shard with room. Quadratic at worst, over at most [`SHARDS`] and one shards:
/// what does not fit then is left to the last.
fn first_fit(items: &[Item], limit: u64) -> Vec<Vec<Item>> {
    let mut shards: Vec<(u64, Vec<Item>)> = Vec::new();
    for item in items {
        let fits = |size: u64| size.saturating_add(item.bytes) <= limit;
        let is_last = shards.len() > SHARDS;
        let found = shards.iter().position(|(size, _)| fits(*size));
        let found = found.or(is_last.then_some(SHARDS));
        match found.and_then(|index| shards.get_mut(index)) {
            Some((size, shard)) => {
                *size = size.saturating_add(item.bytes);
                shard.push(item.clone());
            }
            None => shards.push((item.bytes, vec![item.clone()])),
        }
    }
    shards.into_iter().map(|(_, shard)| shard).collect()
}

/// Each to the shard that has the least, of those the one with the fewest.
fn spread(items: &[Item], count: usize) -> Vec<Vec<Item>> {
    let mut shards: Vec<Vec<Item>> = vec![Vec::new(); count];
    let mut emptiest: BinaryHeap<Reverse<(u64, usize, usize)>> =
        (0..count).map(|index| Reverse((0, 0, index))).collect();
    for item in items {
        let Some(Reverse((size, members, index))) = emptiest.pop() else {
            break;
        };
        if let Some(shard) = shards.get_mut(index) {
            shard.push(item.clone());
        }
        let size = size.saturating_add(item.bytes);
        emptiest.push(Reverse((size, members.saturating_add(1), index)));
    }
    shards
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::model::{Payload, Shape, Storage};

    fn tensor(name: &str, bytes: u64) -> Tensor {
        let shape = Shape::new([bytes]).unwrap();
        let payload = Payload::Stored(Storage::inline(Vec::new()));
        Tensor::new(name, DType::U8, shape, payload)
    }

    fn dealt(tensors: &[Tensor], cut: Cut, order: ShardOrder) -> Vec<Vec<usize>> {
        let tensors: Vec<(usize, &Tensor)> = tensors.iter().enumerate().collect();
        deal(&tensors, cut, order, Splits::Index).unwrap()
    }

    fn of_sizes(sizes: &[u64], cut: Cut, order: ShardOrder) -> Vec<Vec<usize>> {
        let tensors: Vec<Tensor> = sizes.iter().map(|bytes| tensor("t", *bytes)).collect();
        let shards = dealt(&tensors, cut, order);
        let mut all: Vec<usize> = shards.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..sizes.len()), "{shards:?}");
        shards
    }

    fn loads(sizes: &[u64], shards: &[Vec<usize>]) -> Vec<u64> {
        let load = |shard: &Vec<usize>| shard.iter().map(|index| sizes[*index]).sum();
        shards.iter().map(load).collect()
    }

    /// Lists of 1 to 12 sizes below 20, the same at every run.
    fn lists(count: u64) -> impl Iterator<Item = Vec<u64>> {
        let mut state = 1u64;
        let mut next = move |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        (0..count).map(move |_| (0..=next(12)).map(|_| next(20)).collect())
    }

    /// Sizes, the limit, and the shards that they make.
    type Case<'a> = (&'a [u64], u64, &'a [&'a [usize]]);

    #[test]
    fn the_order_of_the_source_is_cut_as_huggingface_hub_does() {
        // `split_state_dict_into_shards_factory` of huggingface_hub 2.4.0.
        let expected: &[Case<'_>] = &[
            (&[6, 6, 2, 6, 2, 2], 10, &[&[0], &[1, 2], &[3, 4, 5]]),
            (&[3, 12, 3, 3, 12, 1], 6, &[&[1], &[0, 2], &[4], &[3, 5]]),
            (&[20, 20], 6, &[&[0], &[1]]),
            (&[1, 2, 3], 6, &[&[0, 1, 2]]),
            (
                &[5, 2, 6, 10, 0, 1, 13, 8, 1, 5, 9, 0, 14, 8],
                12,
                &[
                    &[0, 1],
                    &[2],
                    &[6],
                    &[3, 4, 5],
                    &[7, 8],
                    &[9],
                    &[12],
                    &[10, 11],
                    &[13],
                ],
            ),
            (
                &[3, 0, 1, 6, 6, 1, 3, 1, 8, 6, 0, 13, 9, 1],
                12,
                &[
                    &[0, 1, 2, 3],
                    &[4, 5, 6, 7],
                    &[8],
                    &[11],
                    &[9, 10],
                    &[12, 13],
                ],
            ),
        ];
        for (sizes, limit, shards) in expected {
            let found = of_sizes(sizes, Cut::AtMost(*limit), ShardOrder::Source);
            assert_eq!(&found, shards, "{sizes:?}");
        }
    }

    #[test]
    fn split_gguf_files_keep_the_order_of_their_tensors() {
        let tensors: Vec<Tensor> = [3, 12, 3].map(|bytes| tensor("t", bytes)).into();
        let tensors: Vec<(usize, &Tensor)> = tensors.iter().enumerate().collect();
        let (cut, order) = (Cut::AtMost(6), ShardOrder::Source);
        let found = deal(&tensors, cut, order, Splits::Numbers).unwrap();
        assert_eq!(found, [[0], [1], [2]]);
    }

    #[test]
    fn a_number_of_shards_is_met_with_even_sizes() {
        let even = of_sizes(&[1; 10], Cut::Into(4), ShardOrder::Source);
        assert_eq!(loads(&[1; 10], &even), [3, 2, 3, 2]);
        for sizes in lists(500) {
            let total: u64 = sizes.iter().sum();
            let largest = sizes.iter().max().unwrap();
            for (count, order) in
                (1..=sizes.len()).flat_map(|n| [(n, ShardOrder::Source), (n, ShardOrder::Balanced)])
            {
                let shards = of_sizes(&sizes, Cut::Into(count), order);
                assert_eq!(shards.len(), count);
                assert!(shards.iter().all(|shard| !shard.is_empty()), "{shards:?}");
                if order == ShardOrder::Source {
                    assert!(shards.concat().is_sorted());
                }
                for load in loads(&sizes, &shards) {
                    let apart = (load * count as u64).abs_diff(total);
                    assert!(apart <= largest * count as u64, "{sizes:?} {shards:?}");
                }
            }
        }
    }

    /// The fewest shards, by trying everything.
    fn fewest(sizes: &[u64], limit: u64, shards: &mut Vec<u64>, best: usize) -> usize {
        let Some((first, rest)) = sizes.split_first() else {
            return shards.len();
        };
        let mut best = best;
        for index in 0..shards.len() {
            if shards[index] + first <= limit {
                shards[index] += first;
                best = best.min(fewest(rest, limit, shards, best));
                shards[index] -= first;
            }
        }
        if shards.len() + 1 < best {
            shards.push(*first);
            best = best.min(fewest(rest, limit, shards, best));
            shards.pop();
        }
        best
    }

    #[test]
    fn balanced_shards_are_few_and_even() {
        let limit = 24;
        for sizes in lists(300) {
            let shards = of_sizes(&sizes, Cut::AtMost(limit), ShardOrder::Balanced);
            let loads = loads(&sizes, &shards);
            assert!(loads.iter().all(|load| *load <= limit));
            let fewest = fewest(&sizes, limit, &mut Vec::new(), sizes.len() + 1);
            assert_eq!(shards.len(), fewest, "{sizes:?}");
        }
        let sizes = [9, 2, 2, 2, 9, 2, 2, 2, 30];
        let shards = of_sizes(&sizes, Cut::AtMost(20), ShardOrder::Balanced);
        assert_eq!(loads(&sizes, &shards), [15, 15, 30]);
        assert_eq!(shards[2], [8]);
    }

    #[test]
    fn a_layer_stays_in_one_shard_where_it_fits() {
        let names = [
            "lm_head.weight",
            "model.embed_tokens.weight",
            "model.layers.10.b",
            "model.layers.10.a",
            "model.layers.2.a",
            "model.layers.2.b",
            "model.norm.weight",
        ];
        let tensors: Vec<Tensor> = names.iter().map(|name| tensor(name, 2)).collect();
        let deal = |cut| dealt(&tensors, cut, ShardOrder::Layer);
        let expected: [&[usize]; 3] = [&[1, 4, 5], &[3, 2, 0], &[6]];
        assert_eq!(deal(Cut::AtMost(6)), expected);
        let expected: [&[usize]; 4] = [&[1], &[4, 5], &[3, 2], &[0, 6]];
        assert_eq!(deal(Cut::AtMost(5)), expected);
        let expected: [&[usize]; 2] = [&[1, 4, 5], &[3, 2, 0, 6]];
        assert_eq!(deal(Cut::Into(2)), expected);
        // Neither layers too large for a shard nor too many shards are an obstacle.
        let expected: [&[usize]; 7] = [&[1], &[4], &[5], &[3], &[2], &[0], &[6]];
        assert_eq!(deal(Cut::AtMost(3)), expected);
        assert_eq!(deal(Cut::Into(7)), expected);
    }

    #[test]
    fn refuses_more_shards_than_tensors_and_too_many() {
        let tensors: Vec<Tensor> = (0..600).map(|_| tensor("t", 1)).collect();
        let tensors: Vec<(usize, &Tensor)> = tensors.iter().enumerate().collect();
        for order in [ShardOrder::Source, ShardOrder::Layer, ShardOrder::Balanced] {
            let deal = |tensors, cut| deal(tensors, cut, order, Splits::Index);
            assert!(deal(&tensors, Cut::AtMost(1)).is_err());
            assert!(deal(&tensors, Cut::Into(600)).is_err());
            assert!(deal(&tensors[..2], Cut::Into(3)).is_err());
            assert_eq!(deal(&[], Cut::AtMost(1)).unwrap(), [Vec::<usize>::new()]);
        }
    }
}

//! Repeated layers as one row: `layers.{0..31}.mlp.weight`.
//!
//! The numbers of a name are cut out of it; tensors that agree in what remains, in dtype and in
//! shape, are a family. A family whose numbers form a grid (every layer with every expert) is
//! one row. Of another, layers with the same inner numbers share a row. Linear in the number of
//! tensors.

use super::stored_bytes;
use crate::dtype::DType;
use crate::model::{Shape, Tensor};
use std::collections::{BTreeSet, HashMap};

/// Runs of numbers that are written out in a name; what follows is `...`.
const RUNS: usize = 24;

/// Numbers that are cut out of one name; real names have up to four.
const PLACES: usize = 8;

/// One tensor, or several that differ only in the numbers of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name, numbers as `{0..31}` where there are several.
    pub name: String,
    /// How many tensors.
    pub count: u64,
    /// Their dtype.
    pub dtype: DType,
    /// The shape of each.
    pub shape: Shape,
    /// Bytes of all together; `None` if nobody knows.
    pub bytes: Option<u64>,
    /// Elements of all together.
    pub elements: u64,
    /// The place of the first among the tensors.
    pub first: usize,
    /// The places of all, ascending.
    pub members: Vec<usize>,
}

/// The numbers that were cut out of one name, and the tensor's place.
type Member = (Vec<u32>, usize);

/// What the tensors of one family have in common.
#[derive(PartialEq, Eq, Hash)]
struct Family<'a> {
    /// The name's text around its numbers.
    pieces: Vec<&'a str>,
    dtype: DType,
    shape: &'a Shape,
    /// Strided tensors and other names of others are shown apart.
    is_plain: bool,
    /// What the caller shows apart.
    kind: usize,
}

/// Folds `tensors`, in order of first occurrence. Very long lists of numbers are cut.
pub fn fold(tensors: &[Tensor]) -> Vec<Row> {
    fold_up_to(RUNS, tensors, |_| 0)
}

/// Folds `tensors` where they are of one kind, too: `kind` numbers it, by place.
pub fn fold_by_kind(tensors: &[Tensor], kind: impl Fn(usize) -> usize) -> Vec<Row> {
    fold_up_to(RUNS, tensors, kind)
}

/// One name for `names`, the tensors of one row under other names; `None` if they cannot be
/// written as one.
pub fn fold_names(names: &[&str]) -> Option<String> {
    let (pieces, _) = cut(names.first()?);
    let mut members = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let (other, numbers) = cut(name);
        if other != pieces {
            return None;
        }
        members.push((numbers, index));
    }
    match grids(members).as_slice() {
        [grid] => Some(pattern(names.first()?, &grid.axes, RUNS)),
        _ => None,
    }
}

/// Folds `tensors` under names with all of their numbers.
pub fn fold_whole(tensors: &[Tensor]) -> Vec<Row> {
    fold_up_to(usize::MAX, tensors, |_| 0)
}

fn fold_up_to(runs: usize, tensors: &[Tensor], kind: impl Fn(usize) -> usize) -> Vec<Row> {
    let mut places: HashMap<Family<'_>, usize> = HashMap::new();
    let mut members: Vec<Vec<Member>> = Vec::new();
    for (index, tensor) in tensors.iter().enumerate() {
        let (pieces, numbers) = cut(&tensor.name);
        let family = Family {
            pieces,
            dtype: tensor.dtype,
            shape: &tensor.shape,
            is_plain: tensor.tied_to.is_none() && tensor.payload.is_contiguous(),
            kind: kind(index),
        };
        let place = *places.entry(family).or_insert_with(|| {
            members.push(Vec::new());
            members.len() - 1
        });
        members[place].push((numbers, index));
    }
    let mut rows = Vec::new();
    for family in members {
        for grid in grids(family) {
            rows.push(row(tensors, grid, runs));
        }
    }
    rows.sort_by_key(|row: &Row| row.first);
    rows
}

/// Every combination of these numbers, one set for each place in the name.
struct Grid {
    axes: Vec<Vec<u32>>,
    /// Places of the tensors, ascending.
    tensors: Vec<usize>,
}

fn row(tensors: &[Tensor], grid: Grid, runs: usize) -> Row {
    let first = &tensors[grid.tensors[0]];
    let all = || grid.tensors.iter().map(|&index| &tensors[index]);
    Row {
        name: match grid.tensors.len() {
            1 => first.name.clone(),
            _ => pattern(&first.name, &grid.axes, runs),
        },
        count: grid.tensors.len() as u64,
        dtype: first.dtype,
        shape: first.shape.clone(),
        bytes: all().map(stored_bytes).sum(),
        elements: all().map(Tensor::elements).fold(0, u64::saturating_add),
        first: grid.tensors[0],
        members: grid.tensors,
    }
}

/// Cuts a name at its numbers: runs of digits between `.`, `_`, `/`, `-` or the ends, without
/// leading zeros, so that the name can be put together again.
fn cut(name: &str) -> (Vec<&str>, Vec<u32>) {
    let mut pieces = Vec::new();
    let mut numbers = Vec::new();
    let mut start = 0;
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() && numbers.len() < PLACES {
        let is_start = at == 0 || is_separator(bytes[at - 1]);
        if !(is_start && bytes[at].is_ascii_digit()) {
            at += 1;
            continue;
        }
        let digits = bytes[at..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let end = at + digits;
        let is_whole = bytes.get(end).is_none_or(|&b| is_separator(b));
        let is_plain = digits == 1 || bytes[at] != b'0';
        if let (true, true, Ok(number)) = (is_whole, is_plain, name[at..end].parse()) {
            pieces.push(&name[start..at]);
            numbers.push(number);
            start = end;
        }
        at = end;
    }
    pieces.push(&name[start..]);
    (pieces, numbers)
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'.' | b'_' | b'/' | b'-')
}

/// Puts a name together again, with a set of numbers in each place.
fn pattern(name: &str, axes: &[Vec<u32>], runs: usize) -> String {
    let (pieces, _) = cut(name);
    let mut out = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        out.push_str(piece);
        if let Some(numbers) = axes.get(index) {
            out.push_str(&braces_up_to(runs, numbers));
        }
    }
    out
}

/// Distinct ascending numbers as a shell would expand them: `{0,1,3..31}`, `{0..30..2}`.
pub(super) fn braces(numbers: &[u32]) -> String {
    braces_up_to(RUNS, numbers)
}

fn braces_up_to(most: usize, numbers: &[u32]) -> String {
    if let [only] = numbers {
        return only.to_string();
    }
    let mut runs = Vec::new();
    let mut rest = numbers;
    while let [first, following @ ..] = rest {
        if runs.len() == most {
            runs.push("...".to_owned());
            break;
        }
        let step = following.first().map_or(1, |next| next - first);
        let steady = rest.windows(2).take_while(|w| w[1] - w[0] == step).count() + 1;
        // Two numbers, and three with gaps between them, are shorter written out.
        let (run, taken) = match (steady, step) {
            (3.., 1) => (format!("{first}..{}", rest[steady - 1]), steady),
            (4.., _) => (format!("{first}..{}..{step}", rest[steady - 1]), steady),
            _ => (first.to_string(), 1),
        };
        runs.push(run);
        rest = &rest[taken..];
    }
    format!("{{{}}}", runs.join(","))
}

/// Cuts a family into grids.
fn grids(members: Vec<Member>) -> Vec<Grid> {
    let places = members.first().map_or(0, |(numbers, _)| numbers.len());
    let mut out = Vec::new();
    // One place is settled at a time, from the left.
    let mut open: Vec<(usize, Vec<Vec<u32>>, Vec<Member>)> = vec![(0, Vec::new(), members)];
    while let Some((place, mut axes, members)) = open.pop() {
        let sets: Vec<BTreeSet<u32>> = (place..places)
            .map(|p| members.iter().map(|(numbers, _)| numbers[p]).collect())
            .collect();
        let product = sets
            .iter()
            .try_fold(1usize, |n, set| n.checked_mul(set.len()));
        // Names are unique, so as many members as combinations means all of them. Members that
        // share the settled places are counted once for each of their combinations.
        let settled: usize = axes.iter().map(Vec::len).product();
        if product.and_then(|n| n.checked_mul(settled)) == Some(members.len()) {
            axes.extend(
                sets.iter()
                    .map(|set| set.iter().copied().collect::<Vec<_>>()),
            );
            let mut tensors: Vec<usize> = members.into_iter().map(|(_, index)| index).collect();
            tensors.sort_unstable();
            out.push(Grid { axes, tensors });
            continue;
        }
        for (numbers, members) in alike(place, members) {
            let mut axes = axes.clone();
            axes.push(numbers);
            open.push((place + 1, axes, members));
        }
    }
    out
}

/// Groups members by their number at `place`, and joins groups that have the same further
/// numbers.
fn alike(place: usize, members: Vec<Member>) -> Vec<(Vec<u32>, Vec<Member>)> {
    let mut by_number: Vec<(u32, Vec<Member>)> = Vec::new();
    let mut places: HashMap<u32, usize> = HashMap::new();
    for member in members {
        let number = member.0[place];
        let at = *places.entry(number).or_insert_with(|| {
            by_number.push((number, Vec::new()));
            by_number.len() - 1
        });
        by_number[at].1.push(member);
    }
    let mut joined: Vec<(Vec<u32>, Vec<Member>)> = Vec::new();
    let mut known: HashMap<Vec<Vec<u32>>, usize> = HashMap::new();
    for (number, members) in by_number {
        let mut further: Vec<Vec<u32>> = members
            .iter()
            .map(|(numbers, _)| numbers[place + 1..].to_vec())
            .collect();
        further.sort_unstable();
        further.dedup();
        let at = *known.entry(further).or_insert_with(|| {
            joined.push((Vec::new(), Vec::new()));
            joined.len() - 1
        });
        joined[at].0.push(number);
        joined[at].1.extend(members);
    }
    for (numbers, _) in &mut joined {
        numbers.sort_unstable();
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_a_shell_expands_them() {
        assert_eq!(braces(&[7]), "7");
        assert_eq!(braces(&[0, 1]), "{0,1}");
        assert_eq!(braces(&[0, 1, 3, 4, 5, 9]), "{0,1,3..5,9}");
        assert_eq!(braces(&[0, 2, 4, 6]), "{0..6..2}");
    }

    #[test]
    fn only_whole_numbers_are_cut_out() {
        assert_eq!(cut("a.0.b1.12"), (vec!["a.", ".b1.", ""], vec![0, 12]));
        assert_eq!(cut("x_3_y.007.z9"), (vec!["x_", "_y.007.z9"], vec![3]));
        assert_eq!(cut("99999999999"), (vec!["99999999999"], vec![]));
    }
}

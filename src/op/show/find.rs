//! The tensor that a name means.

use crate::error::{Error, Result};
use crate::model::{Checkpoint, Tensor};

/// Names that a hint lists.
const LISTED: usize = 3;

/// Names up to this length are compared letter by letter.
const COMPARED: usize = 200;

/// The tensor called `name`: in full, or without the key of the outermost mapping if only one
/// tensor can be meant. Without a name: the only tensor.
///
/// Errors: `Usage` if there is none, with the names that come near, or if there are several.
pub fn find<'a>(checkpoint: &'a Checkpoint, name: Option<&str>) -> Result<&'a Tensor> {
    let Some(name) = name else {
        return only(checkpoint);
    };
    if let Some(tensor) = checkpoint.tensor(name) {
        return Ok(tensor);
    }
    let keys = checkpoint.groups.iter().map(|group| group.key.as_str());
    let full: Vec<&Tensor> = keys
        .filter_map(|key| checkpoint.tensor(&format!("{key}.{name}")))
        .collect();
    match full.as_slice() {
        [tensor] => Ok(tensor),
        [] => {
            let error = Error::usage(format!("has no tensor called `{name}`"));
            Err(match nearest(&checkpoint.tensors, name).as_slice() {
                [] => error,
                names => error.with_hint(format!("did you mean {}", names.join(" or "))),
            })
        }
        several => {
            let names: Vec<String> = several.iter().map(|t| format!("`{}`", t.name)).collect();
            let message = format!("`{name}` could be {}", names.join(" or "));
            Err(Error::usage(message))
        }
    }
}

fn only(checkpoint: &Checkpoint) -> Result<&Tensor> {
    match checkpoint.tensors.as_slice() {
        [tensor] => Ok(tensor),
        [] => Err(Error::usage("holds no tensors")),
        several => {
            let error = Error::usage(format!("holds {} tensors; name one", several.len()));
            let names = several.iter().take(LISTED).map(|t| format!("`{}`", t.name));
            let names: Vec<String> = names.collect();
            Err(error.with_hint(format!("the first are {}", names.join(", "))))
        }
    }
}

/// Names that contain `name`, or else those that differ in few letters.
fn nearest(tensors: &[Tensor], name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    let containing = tensors
        .iter()
        .filter(|tensor| !name.is_empty() && tensor.name.to_lowercase().contains(&lower));
    let names: Vec<String> = containing
        .take(LISTED)
        .map(|tensor| format!("`{}`", tensor.name))
        .collect();
    if !names.is_empty() {
        return names;
    }
    let limit = name.chars().count() / 3 + 1;
    let mut near: Vec<(usize, &str)> = tensors
        .iter()
        .filter(|tensor| tensor.name.len() <= COMPARED && name.len() <= COMPARED)
        .filter(|tensor| tensor.name.len().abs_diff(name.len()) <= limit)
        .map(|tensor| (distance(&tensor.name, name), tensor.name.as_str()))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    let best = near.first().map_or(0, |(distance, _)| *distance);
    near.retain(|(distance, _)| *distance <= best + 1);
    near.truncate(LISTED);
    near.iter().map(|(_, name)| format!("`{name}`")).collect()
}

/// Letters to insert, remove or replace to get from one name to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, &to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("weight", "weight"), 0);
    }
}

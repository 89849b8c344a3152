//! What differs beside the tensors.

use crate::model::{Checkpoint, Value};

/// One key whose values differ, or that only one side has.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataChange {
    /// The key; nested ones joined by dots.
    pub key: String,
    /// What A says.
    pub a: Option<Value>,
    /// What B says.
    pub b: Option<Value>,
}

/// The differences of metadata and of values, each sorted by key. An entry of a map or a list
/// counts for itself.
pub(super) fn compare(a: &Checkpoint, b: &Checkpoint) -> Vec<MetadataChange> {
    let mut changes = compare_entries(&a.metadata, &b.metadata);
    changes.extend(compare_entries(&a.values, &b.values));
    changes
}

fn compare_entries(a: &[(String, Value)], b: &[(String, Value)]) -> Vec<MetadataChange> {
    let (a, b) = (leaves(a), leaves(b));
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return changes,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let from_a = if order.is_le() { a.next() } else { None };
        let from_b = if order.is_ge() { b.next() } else { None };
        let key = from_a
            .as_ref()
            .or(from_b.as_ref())
            .map(|(key, _)| key.clone());
        let (a, b) = (
            from_a.map(|(_, value)| value),
            from_b.map(|(_, value)| value),
        );
        let equal = matches!((a, b), (Some(a), Some(b)) if is_equal(a, b));
        if let (Some(key), false) = (key, equal) {
            let (a, b) = (a.cloned(), b.cloned());
            changes.push(MetadataChange { key, a, b });
        }
    }
}

/// Every value that is no map and no list of containers, under its dotted key, sorted.
fn leaves(entries: &[(String, Value)]) -> Vec<(String, &Value)> {
    let mut out = Vec::new();
    // A stack and no recursion: the depth is a claim of the file.
    let mut open: Vec<(String, &Value)> = entries
        .iter()
        .map(|(key, value)| (key.clone(), value))
        .collect();
    while let Some((key, value)) = open.pop() {
        match value {
            Value::Map(inner) if !inner.is_empty() => {
                open.extend(inner.iter().map(|(k, v)| (format!("{key}.{k}"), v)));
            }
            Value::List(inner) if inner.iter().any(is_container) => {
                let inner = inner.iter().enumerate();
                open.extend(inner.map(|(index, v)| (format!("{key}.{index}"), v)));
            }
            _ => out.push((key, value)),
        }
    }
    out.sort_by(|(a, _), (b, _)| a.cmp(b));
    out
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::List(_))
}

/// Whether both say the same. Integers of any width are one kind; NaN equals NaN.
fn is_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_equal(a, b))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, Value)]) -> Vec<(String, Value)> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect()
    }

    #[test]
    fn nested_values_differ_under_dotted_keys() {
        let group = |rate| Value::List(vec![Value::Map(entries(&[("lr", Value::Float(rate))]))]);
        let a = entries(&[("epoch", Value::Int(3)), ("groups", group(0.1))]);
        let b = entries(&[
            ("groups", group(0.2)),
            ("epoch", Value::Int(3)),
            ("x", Value::Null),
        ]);
        let change = |key: &str, a, b| MetadataChange {
            key: key.to_owned(),
            a,
            b,
        };
        let expected = [
            change(
                "groups.0.lr",
                Some(Value::Float(0.1)),
                Some(Value::Float(0.2)),
            ),
            change("x", None, Some(Value::Null)),
        ];
        assert_eq!(compare_entries(&a, &b), expected);
        assert_eq!(compare_entries(&a, &a), []);
    }
}

//! Other metadata in a header whose other bytes stay as they are.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Deserializer;

/// `header` (the JSON and its padding) with `member` (`"key":value`) in the place of the member
/// called `key`, or in front of all if there is none: as long as it was, or `None`.
///
/// Where `member` is no longer than what it replaces, no byte behind it moves.
pub(super) fn replaced(header: &[u8], key: &str, member: &str) -> Option<Vec<u8>> {
    let found = find(header, key)?;
    let mut new = header.get(..found.start)?.to_vec();
    new.extend_from_slice(member.as_bytes());
    if found.is_missing && !found.is_alone {
        new.push(b',');
    }
    if !found.is_missing && new.len() < found.end {
        new.resize(found.end, b' ');
    }
    new.extend_from_slice(header.get(found.end..)?.trim_ascii_end());
    if new.len() > header.len() {
        return None;
    }
    new.resize(header.len(), b' ');
    Some(new)
}

/// Where a member stands, or may be put.
struct Found {
    start: usize,
    end: usize,
    is_missing: bool,
    /// Whether the object has no other member.
    is_alone: bool,
}

/// `None` if `header` is no object.
fn find(header: &[u8], key: &str) -> Option<Found> {
    let open = blanks(header, 0);
    if header.get(open) != Some(&b'{') {
        return None;
    }
    let inside = open.checked_add(1)?;
    let mut at = blanks(header, inside);
    let is_empty = header.get(at) == Some(&b'}');
    while header.get(at) == Some(&b'"') {
        let start = at;
        let (name, after) = value::<String>(header, at)?;
        at = blanks(header, after);
        if header.get(at) != Some(&b':') {
            return None;
        }
        let (_, end) = value::<IgnoredAny>(header, at.checked_add(1)?)?;
        // Blanks that an earlier change left are room.
        let end = blanks(header, end);
        if name == key {
            let (is_missing, is_alone) = (false, false);
            return Some(Found {
                start,
                end,
                is_missing,
                is_alone,
            });
        }
        at = end;
        if header.get(at) == Some(&b',') {
            at = blanks(header, at.checked_add(1)?);
        }
    }
    Some(Found {
        start: inside,
        end: inside,
        is_missing: true,
        is_alone: is_empty,
    })
}

/// The first place from `at` on that is no white space.
fn blanks(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let skipped = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
    at.saturating_add(skipped.count())
}

/// The value that starts at `at`, and where it ends.
fn value<'a, T: Deserialize<'a>>(text: &'a [u8], at: usize) -> Option<(T, usize)> {
    let mut values = Deserializer::from_slice(text.get(at..)?).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, at.checked_add(values.byte_offset())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(header: &str, member: &str) -> Option<String> {
        let new = replaced(header.as_bytes(), "m", member)?;
        assert_eq!(new.len(), header.len());
        Some(String::from_utf8(new).unwrap())
    }

    #[test]
    fn only_what_has_to_moves() {
        let found = edited(r#"{"m":{"a":"b"},"t":[1]} "#, r#""m":{}"#);
        assert_eq!(found.unwrap(), r#"{"m":{}       ,"t":[1]} "#);
        let found = edited(r#"{"m":{"a":"b"},"t":[1]}  "#, r#""m":{"a":"bc"}"#);
        assert_eq!(found.unwrap(), r#"{"m":{"a":"bc"},"t":[1]} "#);
        // Behind others, with white space and an escaped quote before it.
        let found = edited(r#" { "t\"" : [1] , "m" : {"a":"b"} }"#, r#""m":{"a":1}"#);
        assert_eq!(found.unwrap(), r#" { "t\"" : [1] , "m":{"a":1}     }"#);
    }

    #[test]
    fn a_member_that_is_new_comes_first() {
        let found = edited(r#"{"t":[1]}       "#, r#""m":{}"#);
        assert_eq!(found.unwrap(), r#"{"m":{},"t":[1]}"#);
        assert_eq!(edited("{}      ", r#""m":{}"#).unwrap(), r#"{"m":{}}"#);
    }

    #[test]
    fn what_has_no_room_or_is_no_object_is_left_alone() {
        assert_eq!(edited(r#"{"m":{},"t":[1]}"#, r#""m":{"a":"b"}"#), None);
        assert_eq!(edited(r#"[1]      "#, r#""m":{}"#), None);
    }
}

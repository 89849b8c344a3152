//! Several names in one: `layers.{0..31}.weight`, `{0,2,4..9}`, `{0..30..2}`, `{query,key}`, as
//! a shell expands them.

use crate::limits;

/// All names that `text` stands for; itself if it has no braces. Errors say what is wrong.
pub(super) fn expand(text: &str) -> Result<Vec<String>, String> {
    let Some((before, rest)) = text.split_once('{') else {
        return Ok(vec![text.to_owned()]);
    };
    let (inside, after) = rest
        .split_once('}')
        .ok_or("a brace is opened and not closed")?;
    let inside = alternatives(inside)?;
    let after = expand(after)?;
    let count = (inside.len() as u64).saturating_mul(after.len() as u64);
    if count > limits::TENSORS {
        return Err(format!("stands for over {} names", limits::TENSORS));
    }
    let join = |middle: &String, end: &String| format!("{before}{middle}{end}");
    Ok(inside
        .iter()
        .flat_map(|middle| after.iter().map(move |end| join(middle, end)))
        .collect())
}

fn alternatives(text: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            None => out.push(part.to_owned()),
            Some((first, rest)) => range(first, rest, part, &mut out)?,
        }
    }
    Ok(out)
}

/// `first..last` or `first..last..step`.
fn range(first: &str, rest: &str, part: &str, out: &mut Vec<String>) -> Result<(), String> {
    let (last, step) = rest.split_once("..").unwrap_or((rest, "1"));
    let number = |text: &str| {
        let number = text.trim().parse::<u64>();
        number.map_err(|_| format!("`{{{part}}}` is no range of numbers"))
    };
    let (first, last, step) = (number(first)?, number(last)?, number(step)?);
    if step == 0 || last < first || (last - first) / step >= limits::TENSORS {
        return Err(format!("`{{{part}}}` is no range of numbers that goes up"));
    }
    let mut next = Some(first);
    while let Some(number) = next.filter(|&number| number <= last) {
        out.push(number.to_string());
        next = number.checked_add(step);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_expand_as_in_a_shell() {
        assert_eq!(expand("a").unwrap(), ["a"]);
        assert_eq!(expand("a.{0..2}.b").unwrap(), ["a.0.b", "a.1.b", "a.2.b"]);
        assert_eq!(expand("{0,4..8..2}").unwrap(), ["0", "4", "6", "8"]);
        let pairs = ["q.0", "q.1", "k.0", "k.1"];
        assert_eq!(expand("{q,k}.{0..1}").unwrap(), pairs);
    }

    #[test]
    fn refuses_too_many_and_what_is_no_range() {
        for text in [
            "{0..1000000}",
            "{0..999}{0..999}{0..9}",
            "{5..1}",
            "{0..9..0}",
            "{a..b}",
            "{1",
        ] {
            assert!(expand(text).is_err(), "{text}");
        }
    }
}

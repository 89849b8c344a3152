//! Other names for tensors: regular expressions and what takes the place of their matches.

use crate::error::{Error, Result};
use crate::op::select::regex_reason;
use regex::Regex;
use std::collections::HashMap;
use std::fmt;

/// A regular expression and what takes the place of every match in a name.
#[derive(Clone, Debug)]
pub struct Rename {
    pattern: Regex,
    replacement: String,
}

impl Rename {
    /// Reads `REGEX=REPLACEMENT`; see [`Rename::new`].
    ///
    /// Errors: `Usage` if there is no `=` or the expression cannot be read.
    pub fn read(text: &str) -> Result<Rename> {
        let (pattern, replacement) = text.split_once('=').ok_or_else(|| {
            Error::usage(format!("`--rename {text}` has no `=`"))
                .with_hint("it is written REGEX=REPLACEMENT, such as '^encoder\\.=enc.'")
        })?;
        Rename::new(pattern, replacement)
    }

    /// Every match of `pattern`, anywhere in a name, becomes `replacement`, in which `$1` or
    /// `\1` stands for the first group.
    ///
    /// Errors: `Usage` if the expression cannot be read.
    pub fn new(pattern: &str, replacement: &str) -> Result<Rename> {
        let read = Regex::new(pattern).map_err(|error| {
            let reason = regex_reason(&error.to_string());
            Error::usage(format!(
                "`{pattern}` is no valid regular expression: {reason}"
            ))
        })?;
        Ok(Rename {
            pattern: read,
            replacement: dollars(replacement),
        })
    }

    /// What `name` becomes; `None` if nothing in it matches.
    pub fn apply(&self, name: &str) -> Option<String> {
        let replacement = self.replacement.as_str();
        self.pattern
            .is_match(name)
            .then(|| self.pattern.replace_all(name, replacement).into_owned())
    }
}

/// Shows the regular expression.
impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pattern.as_str())
    }
}

/// Python's `\1` as the regex crate's `${1}`; `$1x` as `${1}x`.
fn dollars(replacement: &str) -> String {
    let mut out = String::new();
    let mut rest = replacement;
    while let Some(at) = rest.find(['\\', '$']) {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            out.push_str(&format!("${{{}}}", &after[..digits]));
        } else {
            out.push_str(&rest[at..=at]);
        }
        rest = &after[digits..];
    }
    out + rest
}

/// Names after all renames.
#[derive(Clone, Debug)]
pub struct Renamed {
    /// One for each name that was given, in order.
    pub names: Vec<String>,
    /// The places of the renames that matched nothing.
    pub unused: Vec<usize>,
}

/// Applies `renames` to every name, each to what those before it made.
///
/// Errors: `Usage` if two names become one.
pub fn rename_all(names: &[&str], renames: &[Rename]) -> Result<Renamed> {
    let mut renamed = Renamed {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        unused: Vec::new(),
    };
    if renames.is_empty() {
        return Ok(renamed);
    }
    for (place, rename) in renames.iter().enumerate() {
        let mut found = false;
        for name in &mut renamed.names {
            if let Some(new) = rename.apply(name) {
                *name = new;
                found = true;
            }
        }
        if !found {
            renamed.unused.push(place);
        }
    }
    let mut seen: HashMap<&str, &str> = HashMap::with_capacity(names.len());
    for (new, old) in renamed.names.iter().zip(names) {
        if let Some(first) = seen.insert(new, old) {
            return Err(Error::usage(format!(
                "`{first}` and `{old}` would both be called `{new}`"
            ))
            .with_hint("names must differ after renaming"));
        }
    }
    Ok(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(names: &[&str], renames: &[&str]) -> Result<Renamed> {
        let renames: Vec<Rename> = renames.iter().map(|r| Rename::read(r).unwrap()).collect();
        rename_all(names, &renames)
    }

    #[test]
    fn each_rename_sees_what_those_before_it_made() {
        let renamed = renamed(&["a.x", "b.a"], &["^a=c", r"(c)\.=\1$1_", "q=r"]).unwrap();
        assert_eq!(renamed.names, ["cc_x", "b.a"]);
        assert_eq!(renamed.unused, [2]);
    }

    #[test]
    fn refuses_names_that_meet_and_names_both() {
        let error = renamed(&["a", "b"], &["[ab]=c"]).unwrap_err().to_string();
        assert!(error.contains("`a`") && error.contains("`b`"), "{error}");
        assert!(renamed(&["a", "b"], &["a=b"]).is_err());
        assert!(renamed(&["a", "b"], &["a=b", "^b=c"]).is_err());
    }
}

//! Rules: what becomes of which tensors, given as flags or in a file.
//!
//! A rule has a pattern on source names and says one or several things of the tensors that
//! match: they stay, they go, they get a dtype, they get another name. Rules are ordered, those
//! of flags before those of a file. Of each thing (stay or go, dtype) the first rule that
//! matches and says something of it decides. Renames come last: all of them, in order.
//! `sparsity` and `structured` are for pruning only.
//!
//! The file is TOML (`match` is a glob on whole names, or a regular expression after `re:`):
//!
//! ```toml
//! [[rule]]
//! match = "*norm*"
//! dtype = "F32"              # or "keep": the source's; or "auto": the smallest without loss
//!
//! [[rule]]
//! match = "*.position_ids"
//! drop = true                # or `keep = true`: no later rule drops it, nor the selection
//!
//! [[rule]]
//! match = "re:^transformer\\."
//! rename = "model."          # every match of the expression; `$1` is its first group
//!
//! [[rule]]
//! match = "*.mlp.*"
//! sparsity = 0.5             # the share that is zeroed; or `structured = "2:4"`
//! ```

mod file;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::op::rename::{Rename, rename_all};
use crate::op::select::{Pattern, read_dtype};
use std::fmt;
use std::sync::Arc;

/// What the elements of a tensor are to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// They stay as they are.
    Source,
    /// BF16 or F16 if that loses nothing; as they are otherwise.
    Lossless,
    /// This.
    DType(DType),
}

impl Wanted {
    /// Reads a dtype's name, `keep` or `auto`, in any case.
    ///
    /// Errors: `Usage` for anything else.
    pub fn read(text: &str) -> Result<Wanted> {
        match text.to_ascii_lowercase().as_str() {
            "keep" => Ok(Wanted::Source),
            "auto" => Ok(Wanted::Lossless),
            _ => read_dtype(text).map(Wanted::DType),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Source => f.write_str("keep"),
            Wanted::Lossless => f.write_str("auto"),
            Wanted::DType(dtype) => dtype.fmt(f),
        }
    }
}

/// Elements of a group of `N:M` at most.
pub const GROUP: u64 = 1024;

/// How much of a tensor is zeroed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sparsity {
    /// This share of its elements.
    Share(f64),
    /// All but so many of each group of so many neighbours along the innermost dimension.
    Groups {
        /// Elements that stay.
        kept: u32,
        /// Elements of a group.
        of: u64,
    },
}

impl Sparsity {
    /// Reads `N:M`; `None` for anything else.
    pub fn read_groups(text: &str) -> Option<Sparsity> {
        let (kept, of) = text.split_once(':')?;
        Some(Sparsity::Groups {
            kept: kept.parse().ok()?,
            of: of.parse().ok()?,
        })
    }

    /// Errors: `Usage` for a share outside 0 to 1, or groups that cannot be.
    pub fn check(self) -> Result<()> {
        match self {
            Sparsity::Share(share) if !(0.0..=1.0).contains(&share) => Err(Error::usage(format!(
                "a share of {share} is not between 0 and 1"
            ))),
            Sparsity::Groups { kept, of } if u64::from(kept) > of || of == 0 || of > GROUP => {
                Err(Error::usage(format!(
                    "{kept}:{of} keeps {kept} of each {of}; N is at most M, and M is 1 to {GROUP}"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Rules in the order in which they are asked.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    renames: Vec<Rename>,
    /// For each rename, how the caller wrote it.
    rename_origins: Vec<String>,
}

/// What is said of the tensors that match a pattern.
#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    /// How the caller wrote it: a flag, or a place in a file.
    origin: Arc<str>,
    /// Whether they stay.
    stays: Option<bool>,
    wanted: Option<Wanted>,
    sparsity: Option<Sparsity>,
}

impl Rule {
    /// Whether one of two names of a tensor matches, of which one ends with the other.
    fn matches(&self, name: &str, other: &str) -> bool {
        self.pattern.matches(name) || name.len() != other.len() && self.pattern.matches(other)
    }

    fn asked(&self) -> Option<Asked> {
        let rule = Arc::clone(&self.origin);
        self.wanted.map(|wanted| Asked { wanted, rule })
    }
}

/// What the rules say of one tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Whether it stays, if a rule says so: `Some(true)` overrules the selection too, but does
    /// not take in what stands outside the root.
    pub stays: Option<bool>,
    /// What its elements become, if a rule says so.
    pub asked: Option<Asked>,
    /// How much of it is zeroed, if a rule says so.
    pub sparsity: Option<Sparsity>,
}

/// What a rule says of a tensor's elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What they become.
    pub wanted: Wanted,
    /// How the caller wrote the rule: a flag, or a place in a file.
    pub rule: Arc<str>,
}

/// What the rules say of all tensors.
#[derive(Clone, Debug)]
pub struct Decisions {
    /// One for each name that was given.
    pub decisions: Vec<Decision>,
    /// How the caller wrote the rules that match no name.
    pub unused: Vec<String>,
}

impl Rules {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.renames.is_empty()
    }

    /// Adds what `--dtype-for GLOB=DTYPE` says. The last `=` divides.
    ///
    /// Errors: `Usage` for a missing `=`, a pattern or a dtype that cannot be read.
    pub fn add_dtype_for(&mut self, text: &str) -> Result<()> {
        let (pattern, dtype) = text.rsplit_once('=').ok_or_else(|| {
            Error::usage(format!("`--dtype-for {text}` has no `=`"))
                .with_hint("it is written GLOB=DTYPE, such as '*.weight=F16'")
        })?;
        self.rules.push(Rule {
            pattern: Pattern::read(pattern)?,
            origin: format!("`--dtype-for {text}`").into(),
            stays: None,
            wanted: Some(Wanted::read(dtype)?),
            sparsity: None,
        });
        Ok(())
    }

    /// Adds what `--drop GLOB` says.
    ///
    /// Errors: `Usage` for a pattern that cannot be read.
    pub fn add_drop(&mut self, pattern: &str) -> Result<()> {
        self.rules.push(Rule {
            pattern: Pattern::read(pattern)?,
            origin: format!("`--drop {pattern}`").into(),
            stays: Some(false),
            wanted: None,
            sparsity: None,
        });
        Ok(())
    }

    /// Adds what `--rename REGEX=REPLACEMENT` says.
    ///
    /// Errors: those of [`Rename::read`].
    pub fn add_rename(&mut self, text: &str) -> Result<()> {
        self.push_rename(Rename::read(text)?, format!("`--rename {text}`"));
        Ok(())
    }

    fn push_rename(&mut self, rename: Rename, origin: String) {
        self.renames.push(rename);
        self.rename_origins.push(origin);
    }

    /// Adds the rules of a file. `text`: its TOML.
    ///
    /// Errors: `Usage` with the line, for what is no TOML, unknown keys, and values that say
    /// nothing or cannot be read. The caller adds the file's name.
    pub fn add_file(&mut self, text: &str) -> Result<()> {
        file::add(self, text)
    }

    /// What the rules say of the tensors called `names`. `prefix`: what was cut off the front of
    /// the names; patterns look at names with and without it.
    pub fn decide(&self, names: &[&str], prefix: &str) -> Decisions {
        if prefix.is_empty() {
            return self.decide_either(names.iter().map(|name| [*name, *name]));
        }
        let full: Vec<String> = names.iter().map(|name| format!("{prefix}{name}")).collect();
        self.decide_either(names.iter().zip(&full).map(|(name, full)| [*name, full]))
    }

    /// What the rules say of tensors that patterns see under either of two names.
    pub fn decide_either<'a, I>(&self, names: I) -> Decisions
    where
        I: ExactSizeIterator<Item = [&'a str; 2]> + Clone,
    {
        let mut decisions = vec![Decision::default(); names.len()];
        let mut unused = Vec::new();
        for rule in &self.rules {
            let mut found = false;
            for (decision, [name, other]) in decisions.iter_mut().zip(names.clone()) {
                if rule.matches(name, other) {
                    found = true;
                    decision.stays = decision.stays.or(rule.stays);
                    decision.asked = decision.asked.take().or_else(|| rule.asked());
                    decision.sparsity = decision.sparsity.or(rule.sparsity);
                }
            }
            if !found {
                unused.push(rule.origin.as_ref().to_owned());
            }
        }
        Decisions { decisions, unused }
    }

    /// Whether a tensor that patterns see under either of two names stays, if a rule says so.
    pub fn stays(&self, [name, other]: [&str; 2]) -> Option<bool> {
        let matching = self.rules.iter().filter(|rule| rule.matches(name, other));
        matching.filter_map(|rule| rule.stays).next()
    }

    /// The names after all renames; and how the caller wrote the renames that match nothing.
    ///
    /// Errors: `Usage` naming both if two names become one.
    pub fn rename(&self, names: &[&str]) -> Result<(Vec<String>, Vec<String>)> {
        let renamed = rename_all(names, &self.renames)?;
        let unused = renamed.unused.iter();
        let unused = unused.filter_map(|&place| self.rename_origins.get(place).cloned());
        Ok((renamed.names, unused.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[[rule]]
match = "*.bias"
keep = true
dtype = "f32"

[[rule]]
match = "re:^dec"
drop = true

[[rule]]
match = 're:^enc(\d)'
dtype = "auto"
rename = "encoder.$1"

[[rule]]
match = "no.*"
dtype = "keep"
"#;

    fn decide(rules: &Rules, name: &str) -> (Option<bool>, Option<Wanted>) {
        let decisions = rules.decide(&[name], "").decisions;
        let asked = decisions[0].asked.as_ref();
        (decisions[0].stays, asked.map(|asked| asked.wanted))
    }

    #[test]
    fn the_first_rule_that_says_something_decides() {
        let mut rules = Rules::default();
        rules.add_file(FILE).unwrap();
        let f32 = Some(Wanted::DType(DType::F32));
        assert_eq!(decide(&rules, "dec.bias"), (Some(true), f32));
        assert_eq!(decide(&rules, "dec.weight"), (Some(false), None));
        assert_eq!(decide(&rules, "enc0.w"), (None, Some(Wanted::Lossless)));
        assert_eq!(decide(&rules, "other"), (None, None));
    }

    #[test]
    fn flags_come_before_the_file() {
        let mut rules = Rules::default();
        rules.add_dtype_for("dec.*=Q4_0").unwrap();
        rules.add_file(FILE).unwrap();
        let q4 = Some(Wanted::DType(DType::Q4_0));
        assert_eq!(decide(&rules, "dec.bias"), (Some(true), q4));
    }

    #[test]
    fn names_every_rule_that_matches_nothing() {
        let mut rules = Rules::default();
        rules.add_drop("*.x").unwrap();
        rules.add_rename("q=r").unwrap();
        rules.add_file(FILE).unwrap();
        let names = ["enc1.bias"];
        let unused = rules.decide(&names, "").unused;
        assert_eq!(
            unused,
            ["`--drop *.x`", "the rule on line 7", "the rule on line 16"]
        );
        let (names, unused) = rules.rename(&names).unwrap();
        assert_eq!(names, ["encoder.1.bias"]);
        assert_eq!(unused, ["`--rename q=r`"]);
    }

    #[test]
    fn patterns_see_names_with_and_without_the_prefix() {
        let mut rules = Rules::default();
        rules.add_drop("model.a").unwrap();
        rules.add_drop("b").unwrap();
        let decided = rules.decide(&["a", "b", "c"], "model.");
        let stays: Vec<_> = decided.decisions.iter().map(|d| d.stays).collect();
        assert_eq!(stays, [Some(false), Some(false), None]);
    }

    #[test]
    fn a_rule_without_wildcards_renames_that_name_only() {
        let mut rules = Rules::default();
        let text = "[[rule]]\nmatch = 'a.b'\nrename = 'c'\n";
        rules.add_file(text).unwrap();
        let (names, _) = rules.rename(&["a.b", "a_b", "a.b.c"]).unwrap();
        assert_eq!(names, ["c", "a_b", "a.b.c"]);
    }

    #[test]
    fn errors_of_a_file_say_the_line() {
        let cases = [
            ("[[rule]]\nmatch = 'a'\ndtpe = 'F32'\n", "line 3", "dtpe"),
            ("[[rules]]\nmatch = 'a'\n", "line 1", "rules"),
            ("[[rule]]\nmatch = 'a'\ndtype = 'F99'\n", "line 3", "F99"),
            ("\n[[rule]]\nmatch = 'a'\n", "line 2", "says nothing"),
            ("[[rule]]\ndrop = true\n", "line 1", "match"),
            ("[[rule]]\nmatch = 're:('\ndrop = true\n", "line 2", "re:("),
            (
                "[[rule]]\nmatch = 'a*'\nrename = 'b'\n",
                "line 3",
                "which part",
            ),
            (
                "[[rule]]\nmatch = 'a'\ndrop = true\nkeep = true\n",
                "line 1",
                "both",
            ),
            ("[[rule]\n", "line 1", ""),
            ("[[rule]]\nmatch = 'a'\nsparsity = 1.5\n", "line 1", "1.5"),
            (
                "[[rule]]\nmatch = 'a'\nstructured = '4:2'\n",
                "line 1",
                "4:2 keeps 4",
            ),
            (
                "[[rule]]\nmatch = 'a'\nstructured = '2'\n",
                "line 1",
                "not like",
            ),
        ];
        for (text, line, word) in cases {
            let error = Rules::default().add_file(text).unwrap_err().to_string();
            assert!(
                error.contains(line) && error.contains(word),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn errors_of_flags_name_them() {
        let mut rules = Rules::default();
        for (text, word) in [("a", "no `=`"), ("a=F99", "F99"), ("re:(=F16", "re:(")] {
            let error = rules.add_dtype_for(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(rules.is_empty());
    }
}

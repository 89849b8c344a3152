//! The language of the tables: what names and shapes a model has, in one line each.
//!
//! A *test* is one or more alternatives, parted by ` | `; it holds if one of them does:
//!
//! | alternative | holds if |
//! |---|---|
//! | `a.b.weight` | there is such a tensor |
//! | `a.b.*` | the name of some tensor starts so |
//! | `!a.b.weight` | there is none |
//! | `a.weight[0]=320,384` | there is one, and that dimension is one of these |
//! | `a.weight[0]>=320` | there is one, and that dimension is no less |
//! | `a.weight:2` | there is one of so many dimensions |
//! | `#layers.=12` | blocks `layers.0` ... `layers.11` are there, and no twelfth |
//!
//! A *measure* is a number that a shape proves: `a.weight[1]`, `a.weight[0]/64`, `#layers.`,
//! `a.weight[1]*2`, or the first of several, parted by ` | `, that exists. All names are meant
//! below the prefix at which the rule is tried.

use super::names::{Names, dimension};
use super::{Domain, Kind};
use crate::dtype::DType;
use crate::model::Tensor;

/// What one kind of model looks like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    pub(super) domain: Domain,
    /// A short stable word: `sdxl`.
    pub(super) family: &'static str,
    /// As people call it.
    pub(super) name: &'static str,
    /// All must hold.
    pub(super) tests: &'static [&'static str],
    /// The first that holds names the variant.
    pub(super) variants: &'static [Variant],
    /// What the shapes prove.
    pub(super) facts: &'static [Measure],
}

/// A variant, the name of its architecture in ModelSpec or in its library (`""` for none), and
/// what must hold.
pub(super) type Variant = (&'static str, &'static str, &'static [&'static str]);

/// The name of a fact, and the measure that proves it.
pub(super) type Measure = (&'static str, &'static str);

impl Rule {
    /// A rule for a whole model.
    pub(super) const fn new(
        domain: Domain,
        family: &'static str,
        name: &'static str,
        tests: &'static [&'static str],
    ) -> Rule {
        Rule {
            kind: Kind::Model,
            domain,
            family,
            name,
            tests,
            variants: &[],
            facts: &[],
        }
    }

    pub(super) const fn of_kind(mut self, kind: Kind) -> Rule {
        self.kind = kind;
        self
    }

    pub(super) const fn variants(mut self, variants: &'static [Variant]) -> Rule {
        self.variants = variants;
        self
    }

    pub(super) const fn facts(mut self, facts: &'static [Measure]) -> Rule {
        self.facts = facts;
        self
    }
}

/// Names below a prefix.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) prefix: &'a str,
}

impl<'a> Place<'a> {
    fn find(&self, name: &str) -> Option<&'a Tensor> {
        match name.strip_suffix('*') {
            Some(start) => self.names.first_below(&format!("{}{start}", self.prefix)),
            None if self.prefix.is_empty() => self.names.find(name),
            None => self.names.find(&format!("{}{name}", self.prefix)),
        }
    }

    fn count(&self, stem: &str) -> u64 {
        self.names.count_blocks(&format!("{}{stem}", self.prefix))
    }

    /// Whether all of `tests` hold; the tensors that decided go to `evidence`.
    pub(super) fn holds(&self, tests: &[&str], evidence: &mut Vec<&'a Tensor>) -> bool {
        tests.iter().all(|test| self.test(test, evidence))
    }

    /// Whether one of the test's alternatives holds.
    pub(super) fn test(&self, test: &str, evidence: &mut Vec<&'a Tensor>) -> bool {
        test.split(" | ").any(|one| match self.alternative(one) {
            Some(Some(tensor)) => {
                if !evidence.iter().any(|seen| std::ptr::eq(*seen, tensor)) {
                    evidence.push(tensor);
                }
                true
            }
            Some(None) => true,
            None => false,
        })
    }

    /// `Some` if it holds, with the tensor that says so if it is one.
    fn alternative(&self, text: &str) -> Option<Option<&'a Tensor>> {
        if let Some(name) = text.strip_prefix('!') {
            return self.find(name).is_none().then_some(None);
        }
        if let Some(rest) = text.strip_prefix('#') {
            let (stem, wanted) = rest.split_once('=')?;
            return is_among(self.count(stem), wanted).then_some(None);
        }
        if let Some((left, least)) = text.split_once(">=") {
            let (tensor, value) = self.dimension(left)?;
            return (value >= least.parse().ok()?).then_some(Some(tensor));
        }
        if let Some((left, wanted)) = text.split_once('=') {
            let (tensor, value) = self.dimension(left)?;
            return is_among(value, wanted).then_some(Some(tensor));
        }
        if let Some((name, rank)) = text.rsplit_once(':') {
            let tensor = self.find(name)?;
            return (tensor.shape.rank().to_string() == rank).then_some(Some(tensor));
        }
        self.find(text).map(Some)
    }

    /// `name[axis]`, `name[axis]/n` or `name[axis]*n`.
    fn dimension(&self, text: &str) -> Option<(&'a Tensor, u64)> {
        let (name, rest) = text.split_once('[')?;
        let (axis, end) = rest.split_once(']')?;
        // Bytes that pack several values have shapes of their own.
        let tensor = self.find(name).filter(|tensor| tensor.dtype != DType::U8)?;
        let value = dimension(&tensor.shape, axis.parse().ok()?)?;
        let scaled = match end.split_at_checked(1) {
            None => value,
            Some(("/", by)) => value.checked_div(by.parse().ok()?)?,
            Some((_, by)) => value.checked_mul(by.parse().ok()?)?,
        };
        Some((tensor, scaled))
    }

    /// The number that a measure gives.
    pub(super) fn measure(&self, text: &str) -> Option<u64> {
        text.split(" | ")
            .find_map(|one| match one.strip_prefix('#') {
                Some(stem) => Some(self.count(stem)).filter(|count| *count > 0),
                None => self.dimension(one).map(|(_, value)| value),
            })
    }
}

fn is_among(value: u64, wanted: &str) -> bool {
    wanted.split(',').any(|word| word.parse() == Ok(value))
}

//! Every licence that a checkpoint, and what lies beside it, states: a fact sheet.
//!
//! No legal advice: it says what stands where, in which class the named licence is commonly
//! put, and what contradicts what. Texts are recognised by their titles, not read.

mod table;

use crate::model::{Beside, Checkpoint, Value};
use crate::op::identity::Identity;
use table::{FAMILIES, LICENCES, Licence, MODELS, SPELLINGS, TEXTS, UNSPECIFIC};

/// That this is no advice.
pub const DISCLAIMER: &str = "a summary of what is stated, not legal advice";

/// Bytes of a text that are searched for the licence's title.
const TITLE: usize = 4 << 10;

/// Base models of one checkpoint that are looked at.
const BASES: u64 = 64;

/// What a licence allows, the widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Use, change and share, keeping notices.
    Permissive,
    /// Derivatives are shared under the same licence.
    ShareAlike,
    /// Some uses are forbidden.
    UseRestricted,
    /// No changed copies may be shared.
    NoDerivatives,
    /// No commercial use.
    NonCommercial,
    /// Research only.
    ResearchOnly,
    /// Nobody knows.
    Unknown,
}

impl Class {
    /// All of them, the widest first.
    pub const ALL: [Class; 7] = [
        Class::Permissive,
        Class::ShareAlike,
        Class::UseRestricted,
        Class::NoDerivatives,
        Class::NonCommercial,
        Class::ResearchOnly,
        Class::Unknown,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Permissive => "permissive",
            Class::ShareAlike => "share-alike",
            Class::UseRestricted => "use-restricted",
            Class::NoDerivatives => "no-derivatives",
            Class::NonCommercial => "non-commercial",
            Class::ResearchOnly => "research-only",
            Class::Unknown => "unknown",
        }
    }

    /// The class called `name`.
    pub fn parse(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// One place that states a licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Where: `README.md: license`, `general.license`, `LICENSE`.
    pub place: String,
    /// What stands there; of a long text its beginning.
    pub text: String,
    /// The licence's id on the Hub, if it is a known one.
    pub id: Option<&'static str>,
    /// What it allows.
    pub class: Class,
    /// What it asks for beyond that.
    pub asks: &'static str,
}

/// A model that this one is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Where it is named, or `tensors`.
    pub place: String,
    /// Its name.
    pub model: String,
    /// The licence that its authors published it under, if it is a well-known one.
    pub id: Option<&'static str>,
    /// What that allows.
    pub class: Class,
    /// What it asks for beyond that.
    pub asks: &'static str,
}

/// All there is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Licences {
    /// In the order in which they were found: the file first, then what lies beside it.
    pub statements: Vec<Statement>,
    /// Models that this one is made from.
    pub bases: Vec<Base>,
    /// What does not go together, one sentence each.
    pub conflicts: Vec<String>,
}

/// Finds what `checkpoint` and `beside` state. `identity` says what the tensors are.
pub fn find(checkpoint: &Checkpoint, beside: &Beside, identity: &Identity) -> Licences {
    let mut licences = Licences::default();
    add_metadata(&mut licences, checkpoint);
    if let Some(card) = &beside.card {
        add_card(&mut licences, card);
    }
    for (name, text) in &beside.licences {
        let is_policy = name.contains("POLICY")
            || name.eq_ignore_ascii_case("notice")
            || name.starts_with("NOTICE");
        // Notices and policies belong to a licence, and are none.
        if !is_policy {
            licences.state(name, text);
        }
    }
    let adapter = identity.adapter.as_ref();
    if let Some(model) = adapter.and_then(|adapter| adapter.base_model.as_deref()) {
        licences.add_base("adapter_config.json: base_model_name_or_path", model);
    }
    add_family(&mut licences, identity);
    add_conflicts(&mut licences);
    licences
}

impl Licences {
    /// What the statements allow together: the narrowest of their classes; `Unknown` if there
    /// is none.
    pub fn class(&self) -> Class {
        let classes = self.statements.iter().map(|statement| statement.class);
        classes.max().unwrap_or(Class::Unknown)
    }

    /// Statements and bases whose class is not among `allowed`, a sentence each; a checkpoint
    /// that states nothing counts as unknown.
    pub fn refusals(&self, allowed: &[Class]) -> Vec<String> {
        let is_refused = |class: &Class| !allowed.contains(class);
        let mut refusals = Vec::new();
        if self.statements.is_empty() && is_refused(&Class::Unknown) {
            refusals.push("no licence is stated".to_owned());
        }
        for statement in self.statements.iter().filter(|s| is_refused(&s.class)) {
            let (place, class) = (&statement.place, statement.class.name());
            let name = statement.id.unwrap_or(&statement.text);
            refusals.push(format!("`{place}` states `{name}`, which is {class}"));
        }
        // What nobody knows of a base says nothing.
        let known = self.bases.iter().filter(|base| base.id.is_some());
        for base in known.filter(|base| is_refused(&base.class)) {
            let (model, class) = (&base.model, base.class.name());
            let id = base.id.unwrap_or_default();
            refusals.push(format!(
                "it is made from `{model}`, published under `{id}`, which is {class}"
            ));
        }
        refusals
    }

    fn state(&mut self, place: &str, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        let found = recognise(text);
        self.statements.push(Statement {
            place: place.to_owned(),
            text: beginning(text),
            id: found.map(|licence| licence.id),
            class: found.map_or(Class::Unknown, |licence| licence.class),
            asks: found.map_or("", |licence| licence.asks),
        });
    }

    fn add_base(&mut self, place: &str, model: &str) {
        let model = model.trim();
        if model.is_empty() || self.bases.iter().any(|base| base.model == model) {
            return;
        }
        let lower = model.to_ascii_lowercase();
        let row = MODELS.iter().find(|(part, _)| lower.contains(part));
        self.push_base(place, model, row.map(|(_, id)| *id));
    }

    fn push_base(&mut self, place: &str, model: &str, id: Option<&'static str>) {
        let found = id.and_then(by_id);
        self.bases.push(Base {
            place: place.to_owned(),
            model: beginning(model),
            id: found.map(|licence| licence.id),
            class: found.map_or(Class::Unknown, |licence| licence.class),
            asks: found.map_or("", |licence| licence.asks),
        });
    }
}

/// Keys of metadata that state a licence.
const KEYS: &[&str] = &[
    "general.license",
    "general.license.name",
    "general.license.link",
    "modelspec.license",
    "license",
    "licence",
];

fn add_metadata(licences: &mut Licences, checkpoint: &Checkpoint) {
    let text = |key: &str| {
        let found = checkpoint.metadata.iter().find(|(k, _)| k == key);
        found.and_then(|(_, value)| value.as_text())
    };
    for key in KEYS {
        if let Some(text) = text(key) {
            // A name and an address say again what the id says, unless it says nothing.
            let is_more = key.ends_with(".name") || key.ends_with(".link");
            let is_said = licences.statements.iter().any(|s| s.id.is_some());
            if !(is_more && is_said) {
                licences.state(key, text);
            }
        }
    }
    for number in 0..BASES {
        let key = |end: &str| format!("general.base_model.{number}.{end}");
        let (address, name) = (key("repo_url"), key("name"));
        match (text(&address), text(&name)) {
            (Some(url), _) => {
                licences.add_base(&address, url.trim_start_matches("https://huggingface.co/"))
            }
            (None, Some(model)) => licences.add_base(&name, model),
            (None, None) => break,
        }
    }
    if let Some(merged) = text("modelspec.merged_from") {
        for model in merged.split(',').take(BASES as usize) {
            licences.add_base("modelspec.merged_from", model);
        }
    }
}

fn add_card(licences: &mut Licences, card: &Value) {
    let texts = |key: &str| -> Vec<&str> {
        match card.get(key) {
            Some(Value::Text(text)) => vec![text],
            Some(Value::List(items)) => items.iter().filter_map(Value::as_text).collect(),
            _ => Vec::new(),
        }
    };
    for id in texts("license") {
        let is_other = id.eq_ignore_ascii_case("other");
        let name = texts("license_name").first().copied().filter(|_| is_other);
        match name {
            Some(name) => licences.state("README.md: license_name", name),
            None => licences.state("README.md: license", id),
        }
    }
    for model in texts("base_model").into_iter().take(BASES as usize) {
        licences.add_base("README.md: base_model", model);
    }
}

/// What the tensors prove to come from a well-known model.
fn add_family(licences: &mut Licences, identity: &Identity) {
    let Some(family) = identity.family.as_deref() else {
        return;
    };
    let row = FAMILIES.iter().find(|(known, variant, _)| {
        *known == family
            && variant.is_none_or(|variant| identity.variant.as_deref() == Some(variant))
    });
    let Some((_, _, id)) = row else {
        return;
    };
    let is_known = licences.bases.iter().any(|base| base.id == Some(*id));
    if !is_known {
        let name = identity.name.as_deref().unwrap_or(family);
        licences.push_base("tensors", name, Some(id));
    }
}

fn add_conflicts(licences: &mut Licences) {
    let known: Vec<&Statement> = licences
        .statements
        .iter()
        .filter(|s| s.id.is_some())
        .collect();
    let mut conflicts = Vec::new();
    if let Some(first) = known.first() {
        for other in known.iter().filter(|other| other.id != first.id) {
            conflicts.push(format!(
                "`{}` states `{}`, but `{}` states `{}`",
                first.place,
                first.id.unwrap_or_default(),
                other.place,
                other.id.unwrap_or_default()
            ));
        }
        let widest = known.iter().map(|statement| statement.class).min();
        for base in licences
            .bases
            .iter()
            .filter(|base| base.id.is_some() && base.place != "tensors")
        {
            if widest.is_some_and(|widest| widest < base.class) {
                conflicts.push(format!(
                    "`{}` states `{}`, but it is made from `{}`, published under `{}` ({})",
                    first.place,
                    first.id.unwrap_or_default(),
                    base.model,
                    base.id.unwrap_or_default(),
                    base.class.name()
                ));
            }
        }
    }
    licences.conflicts = conflicts;
}

fn by_id(id: &str) -> Option<&'static Licence> {
    LICENCES.iter().find(|licence| licence.id == id)
}

/// The licence that an id, a name, an address or a text means.
fn recognise(text: &str) -> Option<&'static Licence> {
    let id = text.trim().to_ascii_lowercase().replace([' ', '_'], "-");
    if UNSPECIFIC.contains(&id.as_str()) {
        return None;
    }
    let spelled = SPELLINGS.iter().find(|(spelling, _)| *spelling == id);
    let id = spelled.map_or(id.as_str(), |(_, id)| id);
    if let Some(licence) = by_id(id) {
        return Some(licence);
    }
    let end = text.len().min(TITLE);
    let end = (0..=end)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    let words: Vec<&str> = text[..end].split_whitespace().collect();
    // Titles break over lines and have commas in odd places.
    let flat = words
        .join(" ")
        .to_ascii_lowercase()
        .replace(", version", " version");
    let (_, id) = TEXTS.iter().find(|(part, _)| flat.contains(part))?;
    by_id(id)
}

/// A text's beginning, on one line.
fn beginning(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().take(12).collect();
    let mut line = line.join(" ");
    if line.chars().count() > 80 {
        line = line.chars().take(77).collect();
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_everything_points_to_one() {
        for (index, licence) in LICENCES.iter().enumerate() {
            let first = LICENCES.iter().position(|other| other.id == licence.id);
            assert_eq!(first, Some(index), "{}", licence.id);
        }
        let targets = SPELLINGS
            .iter()
            .chain(TEXTS)
            .chain(MODELS)
            .map(|(_, id)| *id);
        for id in targets.chain(FAMILIES.iter().map(|(_, _, id)| *id)) {
            assert!(by_id(id).is_some(), "{id}");
        }
    }

    #[test]
    fn ids_names_addresses_and_texts_are_recognised() {
        let id = |text: &str| recognise(text).map(|licence| licence.id);
        assert_eq!(id("Apache-2.0"), Some("apache-2.0"));
        assert_eq!(id("Apache License 2.0"), Some("apache-2.0"));
        assert_eq!(id("llama-2"), Some("llama2"));
        assert_eq!(
            id("https://creativecommons.org/licenses/by-nc/4.0/"),
            Some("cc-by-nc-4.0")
        );
        assert_eq!(
            id("   Apache License\n   Version 2.0, January 2004"),
            Some("apache-2.0")
        );
        assert_eq!(
            id("GNU GENERAL PUBLIC LICENSE\n  Version 3, 29 June 2007"),
            Some("gpl-3.0")
        );
        assert_eq!(
            id("CreativeML Open RAIL++-M License\ndated July 26, 2023"),
            Some("openrail++")
        );
        assert_eq!(id("other"), None);
        assert_eq!(id("my own terms"), None);
    }
}

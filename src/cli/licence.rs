//! What licences are stated, as JSON and as facts.

use ckpt::op::licence::{Base, DISCLAIMER, Licences, Statement};
use ckpt::report::{Remark, Severity};
use serde::Serialize;

/// One place that states a licence.
#[derive(Serialize)]
pub(crate) struct StatementEntry<'a> {
    place: &'a str,
    text: &'a str,
    id: Option<&'a str>,
    class: &'static str,
    asks: &'a str,
}

impl<'a> StatementEntry<'a> {
    pub(crate) fn new(statement: &'a Statement) -> StatementEntry<'a> {
        StatementEntry {
            place: &statement.place,
            text: &statement.text,
            id: statement.id,
            class: statement.class.name(),
            asks: statement.asks,
        }
    }
}

/// What follows from all of them.
#[derive(Serialize)]
pub(crate) struct LicenceFacts<'a> {
    class: &'static str,
    bases: Vec<BaseEntry<'a>>,
    conflicts: &'a [String],
    disclaimer: &'static str,
}

#[derive(Serialize)]
struct BaseEntry<'a> {
    place: &'a str,
    model: &'a str,
    id: Option<&'a str>,
    class: &'static str,
    asks: &'a str,
}

impl<'a> LicenceFacts<'a> {
    pub(crate) fn new(licences: &'a Licences) -> LicenceFacts<'a> {
        let entry = |base: &'a Base| BaseEntry {
            place: &base.place,
            model: &base.model,
            id: base.id,
            class: base.class.name(),
            asks: base.asks,
        };
        LicenceFacts {
            class: licences.class().name(),
            bases: licences.bases.iter().map(entry).collect(),
            conflicts: &licences.conflicts,
            disclaimer: DISCLAIMER,
        }
    }
}

/// All of it in a few lines; `None` if nothing is stated.
pub(crate) fn line(licences: &Licences) -> Option<String> {
    let mut lines: Vec<String> = Vec::new();
    for statement in &licences.statements {
        let name = statement.id.unwrap_or(&statement.text);
        let asks = match statement.asks {
            "" => String::new(),
            asks => format!(": {asks}"),
        };
        let (class, place) = (statement.class.name(), &statement.place);
        lines.push(format!("{name} ({class}), by {place}{asks}"));
    }
    for base in &licences.bases {
        lines.push(match (base.id, base.place.as_str()) {
            (Some(id), "tensors") => format!(
                "also check {id} ({}): the tensors are those of {}",
                base.class.name(),
                base.model
            ),
            (Some(id), _) => format!(
                "also check {id} ({}) of its base {}",
                base.class.name(),
                base.model
            ),
            (None, _) => format!("also check the licence of its base {}", base.model),
        });
    }
    if lines.is_empty() {
        return None;
    }
    lines.push(format!("({DISCLAIMER})"));
    Some(lines.join("\n"))
}

/// What does not go together.
pub(crate) fn remarks(licences: &Licences) -> Vec<Remark> {
    let remark = |text: &String| Remark {
        severity: Severity::Warning,
        text: text.clone(),
    };
    licences.conflicts.iter().map(remark).collect()
}

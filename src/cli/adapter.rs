//! What an adapter changes and how it was trained, as JSON, facts and a table.

use super::json::Number;
use ckpt::op::identity::Identity;
use ckpt::op::identity::adapter::{Adapter, Health, Measured, Pair, Problem};
use ckpt::op::identity::training::Training;
use ckpt::report::{Cell, Column, Facts, Kind as Draw, Remark, Severity, Table};
use ckpt::text::grouped;
use serde::{Serialize, Serializer};

/// One module of an adapter whose values were read.
#[derive(Serialize)]
pub(super) struct PairEntry<'a> {
    module: &'a str,
    method: &'static str,
    dora: bool,
    rank: Option<u64>,
    alpha: Option<Number>,
    scale: Number,
    norm: Option<Number>,
    problems: Vec<String>,
}

impl<'a> PairEntry<'a> {
    pub(super) fn new((pair, measured): (&'a Pair, &'a Measured)) -> PairEntry<'a> {
        PairEntry {
            module: &pair.module,
            method: pair.method.name(),
            dora: pair.is_dora,
            rank: pair.rank,
            alpha: measured.alpha.map(Number),
            scale: Number(measured.scale),
            norm: measured.norm.map(Number),
            problems: measured.problems.iter().map(say).collect(),
        }
    }
}

/// What is wrong with a change, as a clause.
fn say(problem: &Problem) -> String {
    match problem {
        Problem::Nothing => "changes nothing: a factor is all zeros".to_owned(),
        Problem::NotFinite(tensor) => format!("NaN or infinite: `{tensor}`"),
        Problem::Outlier(times) => format!("{times:.0} times the median norm"),
        Problem::Unmeasured(why) => format!("not measured: {why}"),
    }
}

/// How a training went, for people.
#[derive(Serialize)]
pub(crate) struct TrainingEntry<'a> {
    facts: Texts<'a>,
    tags: Vec<TagEntry<'a>>,
    tag_count: usize,
    private: Vec<PrivateEntry<'a>>,
}

#[derive(Serialize)]
struct TagEntry<'a> {
    tag: &'a str,
    count: u64,
}

#[derive(Serialize)]
struct PrivateEntry<'a> {
    key: &'a str,
    paths: &'a [String],
}

/// Names and texts as an object.
struct Texts<'a>(&'a [(&'static str, String)]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'a> TrainingEntry<'a> {
    pub(crate) fn new(training: &'a Training) -> TrainingEntry<'a> {
        let tags = training.tags.iter();
        let private = training.private.iter();
        TrainingEntry {
            facts: Texts(&training.entries),
            tags: tags
                .map(|(tag, count)| TagEntry { tag, count: *count })
                .collect(),
            tag_count: training.tag_count,
            private: private
                .map(|(key, paths)| PrivateEntry { key, paths })
                .collect(),
        }
    }
}

/// Characters of one value of a training that are shown.
const SHORT: usize = 160;

/// The same as facts.
pub(crate) fn training(training: &Training) -> Facts {
    let short = |text: &str| -> String {
        let flat = text.replace(['\n', '\r'], " ");
        match flat.chars().count() > SHORT {
            true => format!("{}...", flat.chars().take(SHORT).collect::<String>()),
            false => flat,
        }
    };
    let entries = training.entries.iter();
    let mut entries: Vec<(String, String)> = entries
        .map(|(key, value)| ((*key).to_owned(), short(value)))
        .collect();
    if !training.tags.is_empty() {
        let tags = training
            .tags
            .iter()
            .map(|(tag, count)| format!("{tag} ({count})"));
        let mut text = tags.collect::<Vec<_>>().join(", ");
        let more = training.tag_count.saturating_sub(training.tags.len());
        if more > 0 {
            text.push_str(&format!(", {} more", grouped(more as u64)));
        }
        entries.push(("tags of captions".to_owned(), text));
    }
    Facts {
        title: "training".to_owned(),
        entries,
    }
}

/// Paths of the machine that it was trained on.
pub(crate) fn private(training: &Training) -> Vec<Remark> {
    let remark = |(key, paths): &(String, Vec<String>)| Remark {
        severity: Severity::Warning,
        text: format!(
            "metadata `{key}` holds a path of somebody's machine: {}",
            paths.join(", ")
        ),
    };
    training.private.iter().map(remark).collect()
}

/// Modules of an adapter that are remarked upon.
const REMARKS: usize = 5;

/// What is wrong with an adapter's values.
pub(crate) fn health_remarks(adapter: &Adapter, health: &Health) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let pairs = || adapter.pairs.iter().zip(&health.modules);
    let problems = || pairs().flat_map(|(pair, m)| m.problems.iter().map(move |p| (pair, p)));
    for (pair, problem) in problems().take(REMARKS) {
        let severity = match problem {
            Problem::NotFinite(_) => Severity::Error,
            Problem::Nothing | Problem::Outlier(_) => Severity::Warning,
            Problem::Unmeasured(_) => Severity::Info,
        };
        remarks.push(Remark {
            severity,
            text: format!("module `{}`: {}", pair.module, say(problem)),
        });
    }
    let more = problems().count().saturating_sub(REMARKS);
    if more > 0 {
        remarks.push(Remark {
            severity: Severity::Warning,
            text: format!("{} more such modules; --json has all", grouped(more as u64)),
        });
    }
    let nothing = problems()
        .filter(|(_, problem)| **problem == Problem::Nothing)
        .count();
    if nothing == adapter.pairs.len() {
        remarks.insert(
            0,
            Remark {
                severity: Severity::Warning,
                text: "the adapter changes nothing at all".to_owned(),
            },
        );
    }
    if adapter.pairs.iter().any(|pair| pair.is_dora) {
        remarks.push(Remark {
            severity: Severity::Info,
            text: "norms are those of the low-rank part: DoRA's magnitudes act upon the model's weights".to_owned(),
        });
    }
    remarks
}

/// The modules of an adapter as a table; `None` if it is none.
pub(crate) fn modules(identity: &Identity, health: Option<&Health>) -> Option<Table> {
    let (adapter, health) = (identity.adapter.as_ref()?, health?);
    let columns = vec![
        Column::new("module", Draw::Name),
        Column::new("method", Draw::Text),
        Column::new("rank", Draw::Number),
        Column::new("alpha", Draw::Number),
        Column::new("scale", Draw::Number),
        Column::new("norm", Draw::Number),
    ];
    let number = |value: Option<f64>| match value {
        Some(value) => Cell::Text(digits(value)),
        None => Cell::Empty,
    };
    let rows = adapter
        .pairs
        .iter()
        .zip(&health.modules)
        .map(|(pair, measured)| {
            vec![
                Cell::text(&pair.module),
                Cell::text(match pair.is_dora {
                    true => "DoRA",
                    false => pair.method.name(),
                }),
                pair.rank.map_or(Cell::Empty, Cell::Count),
                number(measured.alpha),
                number(Some(measured.scale)),
                number(measured.norm),
            ]
        });
    Some(Table {
        rows: rows.collect(),
        columns,
    })
}

/// Four significant digits.
fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) => {
            let places = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
            let text = format!("{value:.places$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
        _ => format!("{value:.3e}"),
    }
}

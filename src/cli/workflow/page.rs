//! The page of `ckpt workflow`: facts, the files, what is wrong with them.

use ckpt::Error;
use ckpt::op::workflow::{Need, Status, Workflow};
use ckpt::report::{Block, Cell, Column, Facts, Kind, Page, Remark, Severity, Table};

/// Statuses in the order in which they are counted.
const STATUSES: [Status; 5] = [
    Status::Unknown,
    Status::Found,
    Status::Missing,
    Status::Wrong,
    Status::Unsafe,
];

/// Draws what one workflow needs.
pub(super) fn page(path: &str, workflow: &Workflow) -> Page {
    let mut blocks = vec![Block::Facts(facts(path, workflow))];
    if !workflow.needs.is_empty() {
        blocks.push(Block::Table(Table {
            columns: columns(),
            rows: workflow.needs.iter().map(row).collect(),
        }));
    }
    let remarks: Vec<Remark> = workflow.needs.iter().flat_map(remarks).collect();
    if !remarks.is_empty() {
        blocks.push(Block::Remarks(remarks));
    }
    Page {
        title: path.to_owned(),
        blocks,
    }
}

/// The page of a file that is no workflow.
pub(super) fn failure(path: &str, error: &Error) -> Page {
    let remark = Remark {
        severity: Severity::Error,
        text: error.to_string(),
    };
    Page {
        title: path.to_owned(),
        blocks: vec![Block::Remarks(vec![remark])],
    }
}

fn facts(path: &str, workflow: &Workflow) -> Facts {
    let needs = &workflow.needs;
    let count = |status: &Status| {
        let count = needs.iter().filter(|need| need.status == *status).count();
        (count > 0 && *status != Status::Unknown).then(|| format!("{count} {}", status.name()))
    };
    let counts: Vec<String> = STATUSES.iter().filter_map(count).collect();
    let files = match counts.is_empty() {
        true => needs.len().to_string(),
        false => format!("{}: {}", needs.len(), counts.join(", ")),
    };
    let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Facts {
        title: String::new(),
        entries: vec![
            entry("path", path),
            entry("graph", workflow.graph.name()),
            entry("files", &files),
        ],
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("status", Kind::Text),
        Column::new("folder", Kind::Text),
        // Text, because names are shortened first and this is the one that matters.
        Column::new("file", Kind::Text),
        Column::new("node", Kind::Text),
        Column::new("class", Kind::Name),
    ]
}

fn row(need: &Need) -> Vec<Cell> {
    let status = match (need.is_active(), need.status) {
        (true, status) => status.name().to_owned(),
        (false, Status::Unknown) => need.mode.name().to_owned(),
        (false, _) => format!("{} ({})", need.status.name(), need.mode.name()),
    };
    let text = |text: &Option<String>| text.as_ref().map_or(Cell::Empty, Cell::text);
    vec![
        Cell::text(status),
        text(&need.folder),
        Cell::text(&need.file),
        text(&need.node),
        text(&need.class),
    ]
}

/// What is wrong with a file, and where a missing one can be had.
fn remarks(need: &Need) -> Option<Remark> {
    let is_bad = !matches!(need.status, Status::Unknown | Status::Found);
    if !is_bad && need.problem.is_none() {
        return None;
    }
    let severity = match need.status {
        _ if !need.is_active() => Severity::Info,
        Status::Unsafe => Severity::Danger,
        Status::Missing | Status::Wrong => Severity::Error,
        Status::Unknown | Status::Found => Severity::Warning,
    };
    let problem = need.problem.as_deref().unwrap_or("is not there");
    let mut text = format!("`{}`: {problem}", need.file);
    if let (Status::Missing | Status::Wrong, Some(url)) = (need.status, &need.url) {
        text.push_str(&format!("; from {url}"));
    }
    Some(Remark { severity, text })
}

//! The page of `ckpt workflow`: facts, the files, what is wrong with them.

use ckpt::op::workflow::{Need, Status, Workflow};
use ckpt::report::{Block, Cell, Column, Facts, Kind, Page, Remark, Severity, Table};

/// Statuses that are counted, in this order.
const STATUSES: [Status; 4] = [
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

/// Everything about each file as one row, for programs.
pub(super) fn sheet(path: &str, workflow: &Workflow) -> Page {
    let mut columns = columns();
    for title in ["mode", "found_at", "url", "hash", "problem"] {
        columns.push(Column::new(title, Kind::Text));
    }
    let text = |text: Option<&String>| text.map_or(Cell::Empty, Cell::text);
    let full = |need: &Need| {
        let mut cells = row(need);
        cells[0] = Cell::text(need.status.name());
        cells.push(Cell::text(need.mode.name()));
        cells.push(text(need.found_at.as_ref()));
        cells.push(text(need.url.as_ref()));
        cells.push(text(need.hash.as_ref().map(|hash| &hash.text)));
        cells.push(text(need.problem.as_ref()));
        cells
    };
    let rows = workflow.needs.iter().map(full).collect();
    Page {
        title: path.to_owned(),
        blocks: vec![Block::Table(Table { columns, rows })],
    }
}

fn facts(path: &str, workflow: &Workflow) -> Facts {
    let needs = &workflow.needs;
    let active = || needs.iter().filter(|need| need.is_active());
    let mut counts = Vec::new();
    for status in STATUSES {
        match active().filter(|need| need.status == status).count() {
            0 => {}
            count => counts.push(format!("{count} {}", status.name())),
        }
    }
    match needs.len() - active().count() {
        0 => {}
        count => counts.push(format!("{count} of nodes that do not run")),
    }
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
    // What does not run is not needed: whether it is there, the remarks say.
    let status = match need.is_active() {
        true => need.status.name(),
        false => need.mode.name(),
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

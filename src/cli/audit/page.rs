//! The page of `ckpt audit`: facts, then the findings.

use ckpt::model::Level;
use ckpt::op::audit::{Audit, Finding, RULES};
use ckpt::report::{Block, Cell, Column, Facts, Kind, Page, Remark, Severity, Table};

/// Severities that are counted, the worst first.
const LEVELS: [Level; 4] = [Level::Danger, Level::Error, Level::Warning, Level::Info];

/// Draws an audit for people.
pub(super) fn page(audit: &Audit) -> Page {
    let mut blocks = vec![Block::Facts(facts(audit))];
    if !audit.findings.is_empty() {
        let remarks = audit.findings.iter();
        let remarks = remarks.map(|finding| remark(finding, &audit.path));
        blocks.push(Block::Remarks(remarks.collect()));
    }
    Page {
        title: audit.path.clone(),
        blocks,
    }
}

/// Draws an audit as one table, a row a finding.
pub(super) fn sheet(audit: &Audit) -> Page {
    let texts = ["severity", "rule", "text", "tensor", "file", "member"];
    let mut columns: Vec<Column> = texts.map(|title| Column::new(title, Kind::Text)).into();
    columns.push(Column::new("offset", Kind::Number));
    let rows = audit.findings.iter().map(row).collect();
    Page {
        title: audit.path.clone(),
        blocks: vec![
            Block::Facts(facts(audit)),
            Block::Table(Table { columns, rows }),
        ],
    }
}

/// Every rule for people, in lines that the terminal need not cut.
pub(super) fn rule_lines() -> Page {
    let remark = |rule: &ckpt::op::audit::Rule| Remark {
        severity: severity(rule.severity),
        text: format!("{} ({}): {}", rule.name, rule.family.name(), rule.what),
    };
    Page {
        title: "rules".to_owned(),
        blocks: vec![Block::Remarks(RULES.iter().map(remark).collect())],
    }
}

/// Every rule as one table.
pub(super) fn rules() -> Page {
    let titles = ["rule", "family", "severity", "finds"];
    let row = |rule: &ckpt::op::audit::Rule| {
        let cells = [
            rule.name,
            rule.family.name(),
            rule.severity.name(),
            rule.what,
        ];
        cells.map(Cell::text).into()
    };
    let table = Table {
        columns: titles.map(|title| Column::new(title, Kind::Text)).into(),
        rows: RULES.iter().map(row).collect(),
    };
    Page {
        title: "rules".to_owned(),
        blocks: vec![Block::Table(table)],
    }
}

fn facts(audit: &Audit) -> Facts {
    let count = |level: Level| {
        let findings = audit.findings.iter();
        findings.filter(|finding| finding.severity == level).count()
    };
    let counted = LEVELS.iter().filter_map(|&level| match count(level) {
        0 => None,
        count => Some(format!("{count} {}", level.name())),
    });
    let counted: Vec<String> = counted.collect();
    let findings = match counted.is_empty() {
        true => "none".to_owned(),
        false => counted.join(", "),
    };
    let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Facts {
        title: String::new(),
        entries: vec![
            entry("path", &audit.path),
            entry("format", audit.format.unwrap_or("not read")),
            entry("verdict", audit.verdict().name()),
            entry("findings", &findings),
        ],
    }
}

fn remark(finding: &Finding, path: &str) -> Remark {
    let mut text = String::new();
    if let Some(file) = finding.file.as_deref().filter(|file| *file != path) {
        text.push_str(&format!("{file}: "));
    }
    if let Some(member) = &finding.member {
        text.push_str(&format!("`{member}`: "));
    }
    if let Some(tensor) = &finding.tensor {
        text.push_str(&format!("tensor `{tensor}`: "));
    }
    text.push_str(&finding.text);
    match finding.offset {
        Some(offset) => text.push_str(&format!(" (at byte {offset}) [{}]", finding.rule)),
        None => text.push_str(&format!(" [{}]", finding.rule)),
    }
    Remark {
        severity: severity(finding.severity),
        text,
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Info => Severity::Info,
        Level::Warning => Severity::Warning,
        Level::Error => Severity::Error,
        Level::Danger => Severity::Danger,
    }
}

fn row(finding: &Finding) -> Vec<Cell> {
    let text = |text: &Option<String>| text.as_ref().map_or(Cell::Empty, Cell::text);
    vec![
        Cell::text(finding.severity.name()),
        Cell::text(finding.rule),
        Cell::text(finding.text.as_str()),
        text(&finding.tensor),
        text(&finding.file),
        text(&finding.member),
        finding.offset.map_or(Cell::Empty, Cell::Count),
    ]
}

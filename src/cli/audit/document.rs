//! The JSON of `ckpt audit`.

use ckpt::op::audit::{Audit, Finding, RULES};
use serde::Serialize;

/// The name and version of the layout.
pub(super) const SCHEMA: &str = "ckpt.audit/1";

/// What was found at one path.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    schema: &'static str,
    path: &'a str,
    format: Option<&'static str>,
    verdict: &'static str,
    findings: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    rule: &'static str,
    severity: &'static str,
    text: &'a str,
    tensor: Option<&'a str>,
    file: Option<&'a str>,
    offset: Option<u64>,
    member: Option<&'a str>,
}

impl<'a> Document<'a> {
    pub(super) fn new(audit: &'a Audit) -> Document<'a> {
        Document {
            schema: SCHEMA,
            path: &audit.path,
            format: audit.format,
            verdict: audit.verdict().name(),
            findings: audit.findings.iter().map(Entry::new).collect(),
        }
    }
}

impl<'a> Entry<'a> {
    fn new(finding: &'a Finding) -> Entry<'a> {
        Entry {
            rule: finding.rule,
            severity: finding.severity.name(),
            text: &finding.text,
            tensor: finding.tensor.as_deref(),
            file: finding.file.as_deref(),
            offset: finding.offset,
            member: finding.member.as_deref(),
        }
    }
}

/// One rule, as `--list-rules` gives it.
#[derive(Serialize)]
pub(super) struct RuleEntry {
    rule: &'static str,
    family: &'static str,
    severity: &'static str,
    text: &'static str,
}

/// Every rule.
pub(super) fn rules() -> Vec<RuleEntry> {
    RULES
        .iter()
        .map(|rule| RuleEntry {
            rule: rule.name,
            family: rule.family.name(),
            severity: rule.severity.name(),
            text: rule.what,
        })
        .collect()
}

//! SARIF 2.1.0: what code-scanning services read.
//!
//! Source: OASIS, Static Analysis Results Interchange Format 2.1.0, sections 3.13 to 3.30.

use ckpt::model::Level;
use ckpt::op::audit::{Audit, Finding, RULES};
use serde::Serialize;

/// The schema that the log follows.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// One log of one run.
#[derive(Serialize)]
pub(super) struct Log<'a> {
    version: &'static str,
    #[serde(rename = "$schema")]
    schema: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
struct Run<'a> {
    tool: Tool,
    artifacts: Vec<Artifact>,
    results: Vec<Outcome<'a>>,
    #[serde(rename = "columnKind")]
    column_kind: &'static str,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: &'static str,
    short_description: Message<'static>,
    default_configuration: Configuration,
    properties: Properties,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Properties {
    tags: [&'static str; 1],
    #[serde(rename = "security-severity")]
    security_severity: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Artifact {
    location: ArtifactLocation,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Message<'a>,
    locations: [Location<'a>; 1],
    properties: OutcomeProperties,
}

#[derive(Serialize)]
struct OutcomeProperties {
    severity: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location<'a> {
    physical_location: PhysicalLocation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<LogicalLocation<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    byte_offset: u64,
    byte_length: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation<'a> {
    fully_qualified_name: &'a str,
    kind: &'static str,
}

impl<'a> Log<'a> {
    pub(super) fn new(audits: &'a [Audit]) -> Log<'a> {
        let artifact = |audit: &'a Audit| Artifact {
            location: location(&audit.path),
        };
        let results = audits.iter().flat_map(|audit| {
            let findings = audit.findings.iter();
            findings.map(|finding| Outcome::new(finding, &audit.path))
        });
        Log {
            version: "2.1.0",
            schema: SCHEMA,
            runs: [Run {
                tool: Tool {
                    driver: Driver {
                        name: "ckpt",
                        version: env!("CARGO_PKG_VERSION"),
                        rules: descriptors(),
                    },
                },
                artifacts: audits.iter().map(artifact).collect(),
                results: results.collect(),
                column_kind: "unicodeCodePoints",
            }],
        }
    }
}

impl<'a> Outcome<'a> {
    fn new(finding: &'a Finding, path: &'a str) -> Outcome<'a> {
        let logical = |name: &'a Option<String>, kind| {
            let name = name.as_deref()?;
            Some(LogicalLocation {
                fully_qualified_name: name,
                kind,
            })
        };
        let members = logical(&finding.member, "member");
        let tensors = logical(&finding.tensor, "object");
        Outcome {
            rule_id: finding.rule,
            rule_index: RULES
                .iter()
                .position(|rule| rule.name == finding.rule)
                .unwrap_or(0),
            level: level(finding.severity),
            message: Message {
                text: &finding.text,
            },
            locations: [Location {
                physical_location: PhysicalLocation {
                    artifact_location: location(finding.file.as_deref().unwrap_or(path)),
                    region: finding.offset.map(|offset| Region {
                        byte_offset: offset,
                        byte_length: 0,
                    }),
                },
                logical_locations: members.into_iter().chain(tensors).collect(),
            }],
            properties: OutcomeProperties {
                severity: finding.severity.name(),
            },
        }
    }
}

fn descriptors() -> Vec<Descriptor> {
    RULES
        .iter()
        .map(|rule| Descriptor {
            id: rule.name,
            short_description: Message { text: rule.what },
            default_configuration: Configuration {
                level: level(rule.severity),
            },
            properties: Properties {
                tags: [rule.family.name()],
                security_severity: match rule.severity {
                    Level::Danger => "9.5",
                    Level::Error => "7.0",
                    Level::Warning => "4.0",
                    Level::Info => "0.0",
                },
            },
        })
        .collect()
}

/// SARIF has no word beyond `error`.
fn level(level: Level) -> &'static str {
    match level {
        Level::Info => "note",
        Level::Warning => "warning",
        Level::Error | Level::Danger => "error",
    }
}

/// A path as a relative reference (RFC 3986): what is no plain character is escaped.
fn location(path: &str) -> ArtifactLocation {
    use std::fmt::Write;
    let mut uri = String::with_capacity(path.len());
    for byte in path.replace('\\', "/").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            // A String takes everything that is written to it.
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    ArtifactLocation { uri }
}

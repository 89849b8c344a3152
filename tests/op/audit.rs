//! `op::audit`: rules, what an audit amounts to, and that harmless files are called harmless.

use crate::support::{assert_none, files_below, good_files, short, testdata};
use ckpt::format::examine;
use ckpt::model::{Level, Note};
use ckpt::op::audit::{RULES, Verdict, audit, find_rule};
use ckpt::safety::Policy;
use std::path::Path;

#[test]
fn every_rule_stands_once() {
    let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert!(names.len() > 60, "{names:?}");
    let families: Vec<(&str, &str)> = RULES.iter().map(|r| (r.family.name(), r.name)).collect();
    for pair in families.windows(2) {
        let [(before, first), (after, second)] = pair else {
            continue;
        };
        assert!(
            before != after || first < second,
            "{first} stands before {second}"
        );
    }
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// The first string behind each `opening` in the sources below `src/`.
fn names_behind(opening: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut names = Vec::new();
    // Notes of transformations go to those who asked for them, not to audits.
    let is_transform =
        |path: &Path| path.starts_with(root.join("op")) && !path.starts_with(root.join("op/audit"));
    let files = files_below(&root, &|name| name.ends_with(".rs"));
    for path in files.into_iter().filter(|path| !is_transform(path)) {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (at, _) in code.match_indices(opening) {
            let rest = code[at + opening.len()..].trim_start();
            if let Some((name, _)) = rest.strip_prefix('"').and_then(|r| r.split_once('"')) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn every_note_has_a_rule() {
    let mut names = names_behind("Note::new(");
    names.extend(names_behind(".note("));
    names.extend(names_behind(".tensor_note("));
    names.extend(names_behind("self.odd("));
    names.extend(names_behind("rule: "));
    assert!(names.len() > 50, "{names:?}");
    names.sort_unstable();
    names.dedup();
    names.retain(|name| find_rule(name).is_none());
    assert_none("rules are not listed", &names);
}

#[test]
fn the_worst_finding_is_the_verdict() {
    let found = |levels: &[Level]| {
        let note = |level: &Level| Note::new("trailing-bytes", *level, "x");
        audit("a", None, levels.iter().map(note).collect()).verdict()
    };
    assert_eq!(found(&[]), Verdict::Clean);
    assert_eq!(found(&[Level::Info]), Verdict::Clean);
    assert_eq!(found(&[Level::Info, Level::Warning]), Verdict::Warnings);
    assert_eq!(found(&[Level::Error, Level::Warning]), Verdict::Errors);
    assert_eq!(found(&[Level::Danger, Level::Error]), Verdict::Dangerous);
}

/// Files that the libraries made, `attack.pkl` apart.
#[test]
fn files_of_the_libraries_are_neither_wrong_nor_dangerous() {
    let mut failures = Vec::new();
    let mut seen = 0;
    for (path, _) in good_files() {
        let name = short(&path);
        if name == "pytorch/attack.pkl" {
            continue;
        }
        let examined = examine(&path, &Policy::default()).unwrap();
        let audit = audit(&name, examined.checkpoint.as_ref(), examined.notes);
        seen += 1;
        for finding in &audit.findings {
            if finding.severity >= Level::Error {
                failures.push(format!("{name}: {}: {}", finding.rule, finding.text));
            }
            if find_rule(finding.rule).is_none() {
                failures.push(format!("{name}: no rule `{}`", finding.rule));
            }
        }
    }
    assert!(seen > 100, "{seen} files");
    assert_none("harmless files are blamed", &failures);
}

/// Files that cannot be read: an audit says so, or that it cannot look at them, except for faults
/// in data, which only reading finds.
#[test]
fn broken_files_are_not_clean() {
    const IN_DATA: [&str; 7] = [
        "zip-bomb.pt",
        "zip-deflate-long.pt",
        "zip-deflate-short.pt",
        "sparse-index-negative.pt",
        "sparse-index-too-large.pt",
        "sparse-too-dense.pt",
        "quantized-axis.pt",
    ];
    let mut failures = Vec::new();
    for (path, _) in crate::support::bad_files() {
        let name = short(&path);
        let file = name.rsplit('/').next().unwrap();
        let Ok(examined) = examine(&path, &Policy::default()) else {
            continue;
        };
        let audit = audit(&name, examined.checkpoint.as_ref(), examined.notes);
        if audit.verdict() == Verdict::Clean && !IN_DATA.contains(&file) {
            failures.push(name);
        }
    }
    assert_none("broken files are called clean", &failures);
}

#[test]
fn a_name_that_is_allowed_is_allowed_alone() {
    let path = testdata("audit/unknown-function.pkl");
    let verdict = |allowed: &str| {
        let policy = Policy {
            allowed: vec![allowed.to_owned()],
        };
        let examined = examine(&path, &policy).unwrap();
        audit("a", examined.checkpoint.as_ref(), examined.notes).verdict()
    };
    assert_eq!(verdict("somewhere.tools.launch"), Verdict::Clean);
    for other in [
        "somewhere.tools",
        "somewhere.tools.launcher",
        "tools.launch",
    ] {
        assert_eq!(verdict(other), Verdict::Errors, "{other}");
    }
}

/// Hostile files, each byte changed: an answer, whatever it is.
#[test]
fn every_changed_byte_is_survived() {
    let files = files_below(&testdata("audit"), &|name| !name.ends_with(".json"));
    assert!(files.len() > 90, "{} files", files.len());
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        // Of long files every few bytes, so that each takes as long.
        for at in (0..bytes.len()).step_by(bytes.len() / 300 + 1) {
            let mut changed = bytes.clone();
            changed[at] ^= [0xff, 0x80, 0x01][at % 3];
            let source = ckpt::io::Source::from_bytes(short(&path), changed);
            ckpt::safety::scan(&source, None, &Policy::default());
        }
    }
}

/// Files made to keep a reader busy, 100 kB of beginnings: under a second of work each, where
/// following every one of them to its end would take hours.
#[test]
fn many_beginnings_are_not_all_followed() {
    for beginning in [
        &b"\x80\x02}"[..],
        b"cos\nsystem\n",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"(",
    ] {
        let bytes = beginning.repeat(100_000 / beginning.len());
        let source = ckpt::io::Source::from_bytes("busy", [b"\0\xff", &bytes[..]].concat());
        ckpt::safety::scan(&source, None, &Policy::default());
        let source = ckpt::io::Source::from_bytes("busy.pkl", bytes);
        ckpt::safety::scan(&source, None, &Policy::default());
    }
}

/// Whatever is cut off a dangerous file, it is dangerous or not clean as long as the call is
/// whole.
#[test]
fn a_call_that_is_whole_is_found_in_every_prefix() {
    let bytes = std::fs::read(testdata("audit/leftover.pkl")).unwrap();
    let call = bytes.iter().position(|&byte| byte == b'R').unwrap() + 1;
    for end in call..=bytes.len() {
        let source = ckpt::io::Source::from_bytes("a.pkl", &bytes[..end]);
        let scanned = ckpt::safety::scan(&source, None, &Policy::default());
        let is_found = scanned.notes.iter().any(|n| n.rule == "dangerous-import");
        assert!(is_found, "cut to {end}: {:?}", scanned.notes);
    }
}

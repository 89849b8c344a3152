//! The walls of the house: who may import whom, and what may stand where.

use crate::support::{assert_none, files_below};
use std::path::Path;

/// A module of `src`, and the modules below it in the house that it may import. `cli` and
/// `main` are the binary: they may import all of the library.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("error", &["text"]),
    ("limits", &[]),
    ("text", &[]),
    ("report", &["error", "text"]),
    ("kernel", &[]),
    ("dtype", &["error", "kernel"]),
    ("io", &["error", "limits", "text"]),
    ("model", &["dtype", "error", "io", "limits", "text"]),
    ("pickle", &["dtype", "error", "io", "limits", "text"]),
    (
        "safety",
        &["error", "io", "limits", "model", "pickle", "text"],
    ),
    (
        "stream",
        &["dtype", "error", "io", "kernel", "limits", "model"],
    ),
    ("parallel", &["error", "model"]),
    (
        "format",
        &[
            "dtype", "error", "io", "limits", "model", "parallel", "pickle", "safety", "stream",
            "text",
        ],
    ),
    (
        "op",
        &[
            "dtype", "error", "kernel", "limits", "model", "parallel", "report", "stream", "text",
        ],
    ),
    ("candle", &["dtype", "error", "format", "model", "stream"]),
];

/// Files over the limit on length, each a table.
const LONG_TABLES: &[&str] = &[];

/// Lines that a file may have.
const LINES: usize = 600;

/// One source file: its path below `src`, its text, and its code.
struct Source {
    name: String,
    text: String,
    /// Without comments, and without the tests at its end.
    code: String,
}

impl Source {
    /// The folder or file directly below `src` that it belongs to.
    fn module(&self) -> &str {
        let top = self.name.split('/').next().unwrap();
        top.strip_suffix(".rs").unwrap_or(top)
    }

    /// Its own path of modules: `format/gguf/mod.rs` is `[format, gguf]`.
    fn path(&self) -> Vec<String> {
        let name = self.name.strip_suffix(".rs").unwrap();
        let mut path: Vec<String> = name.split('/').map(str::to_owned).collect();
        if matches!(
            path.last().map(String::as_str),
            Some("mod" | "lib" | "main")
        ) {
            path.pop();
        }
        path
    }

    /// Every path of this crate that its code mentions, from the crate's root.
    fn imports(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for (start, _) in self.code.match_indices("crate::") {
            if !starts_inside_a_word(&self.code, start) {
                expand(&self.code[start + "crate::".len()..], &[], &mut found);
            }
        }
        for (start, _) in self.code.match_indices("super::") {
            // The first of a chain `super::super::`, which `expand` then follows.
            if starts_inside_a_word(&self.code, start) || self.code[..start].ends_with("super::") {
                continue;
            }
            let mut base = self.path();
            let mut rest = &self.code[start..];
            while let Some(after) = rest.strip_prefix("super::") {
                base.pop();
                rest = after;
            }
            expand(rest, &base, &mut found);
        }
        found
    }
}

fn starts_inside_a_word(code: &str, start: usize) -> bool {
    code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
}

/// Appends the paths of a use tree such as `a::{b, c::d}`, each below `base`.
fn expand(tree: &str, base: &[String], found: &mut Vec<Vec<String>>) {
    let mut path = base.to_vec();
    let mut rest = tree;
    loop {
        if let Some(inner) = rest.strip_prefix('{') {
            for branch in branches(inner) {
                expand(branch, &path, found);
            }
            return;
        }
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        if end > 0 && &rest[..end] != "self" {
            path.push(rest[..end].to_owned());
        }
        match rest[end..].strip_prefix("::") {
            Some(after) => rest = after,
            None => break,
        }
    }
    found.push(path);
}

/// The branches of a group whose opening brace has been passed.
fn branches(inner: &str) -> Vec<&str> {
    let mut depth = 0;
    let mut start = 0;
    let mut out = Vec::new();
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                out.push(inner[start..at].trim());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    out.retain(|branch| !branch.is_empty());
    out
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files_below(&root, &|name| name.ends_with(".rs"));
    assert!(files.len() > 30, "{} source files found", files.len());
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let before_tests = text.split("#[cfg(test)]").next().unwrap();
        let lines = before_tests.lines().map(|line| match line.find("//") {
            // A URL in a string is no comment.
            Some(at) if !line[..at].ends_with(':') => &line[..at],
            _ => line,
        });
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        let code = lines.collect::<Vec<_>>().join("\n");
        Source { name, text, code }
    };
    files.iter().map(read).collect()
}

/// `FILE:LINE: what` for each line of code outside the `allowed` modules or files that has `word`.
fn lines_with(word: &str, allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources() {
        if allowed.contains(&source.module()) || allowed.contains(&source.name.as_str()) {
            continue;
        }
        for (number, line) in source.code.lines().enumerate() {
            let whole = line
                .match_indices(word)
                .any(|(at, _)| !starts_inside_a_word(line, at));
            if whole {
                found.push(format!("{}:{}: `{word}`", source.name, number + 1));
            }
        }
    }
    found
}

#[test]
fn arrows_point_down() {
    let mut failures = Vec::new();
    let mut seen = 0;
    for source in sources() {
        let module = source.module();
        if matches!(module, "cli" | "main" | "lib") {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            failures.push(format!(
                "{}: `{module}` has no place in the house",
                source.name
            ));
            continue;
        };
        for import in source.imports() {
            let Some(target) = import.first() else {
                continue;
            };
            seen += 1;
            // The crate's root re-exports a few types; they belong to modules of any layer.
            let is_module = MAY_IMPORT.iter().any(|(name, _)| name == target) || target == "cli";
            if is_module && target != module && !allowed.contains(&target.as_str()) {
                failures.push(format!("{}: imports `{}`", source.name, import.join("::")));
            }
        }
    }
    assert!(seen > 50, "{seen} imports found");
    assert_none("imports point up or sideways", &failures);
}

#[test]
fn formats_do_not_know_each_other() {
    let sources = sources();
    let folder_of = |name: &str| match name.split('/').collect::<Vec<_>>()[..] {
        ["format", folder, _, ..] => Some(folder.to_owned()),
        _ => None,
    };
    let mut folders: Vec<String> = sources.iter().filter_map(|s| folder_of(&s.name)).collect();
    folders.dedup();
    assert!(folders.len() >= 4, "{folders:?}");
    let mut failures = Vec::new();
    for source in &sources {
        let Some(own) = folder_of(&source.name) else {
            continue;
        };
        for import in source.imports() {
            if let [format, other, ..] = &import[..]
                && format == "format"
                && *other != own
                && folders.contains(other)
            {
                failures.push(format!("{}: imports `{}`", source.name, import.join("::")));
            }
        }
    }
    assert_none("formats import another", &failures);
}

#[test]
fn threads_start_in_one_file() {
    let mut failures = lines_with("rayon::", &["parallel"]);
    for call in ["thread::spawn", "thread::scope", "thread::Builder"] {
        failures.extend(lines_with(call, &["parallel"]));
    }
    assert_none("places start threads", &failures);
}

#[test]
fn unsafe_stands_in_the_kernel_only() {
    assert_none("unsafe places", &lines_with("unsafe ", &["kernel"]));
}

#[test]
fn the_library_never_prints_nor_exits() {
    let mut failures = Vec::new();
    for call in [
        "print!",
        "println!",
        "eprint!",
        "eprintln!",
        "dbg!",
        "process::exit",
        "process::abort",
        "io::stdout",
        "io::stderr",
    ] {
        failures.extend(lines_with(call, &["main", "cli"]));
    }
    assert_none("places print or exit", &failures);
}

#[test]
fn files_are_touched_in_io_and_cli_only() {
    let mut failures = lines_with("std::fs", &["io", "cli"]);
    failures.extend(lines_with("fs::", &["io", "cli"]));
    failures.dedup();
    assert_none("places touch files", &failures);
}

#[test]
fn results_have_an_order() {
    let mut failures = Vec::new();
    for source in sources() {
        if !matches!(source.module(), "model" | "op" | "report") {
            continue;
        }
        for (number, line) in source.code.lines().enumerate() {
            let line = line.trim();
            let is_public = line.starts_with("pub ") && !line.starts_with("pub use");
            if is_public && (line.contains("HashMap") || line.contains("HashSet")) {
                failures.push(format!("{}:{}: {line}", source.name, number + 1));
            }
        }
    }
    assert_none("public results without an order", &failures);
}

#[test]
fn every_file_is_short_and_says_what_it_is_for() {
    let mut failures = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LINES && !LONG_TABLES.contains(&source.name.as_str()) {
            failures.push(format!(
                "{}: {lines} lines; the limit is {LINES}",
                source.name
            ));
        }
        let first = source.text.lines().next().unwrap_or_default();
        if !first.starts_with("//! ") || first.len() < "//! A few words.".len() {
            failures.push(format!("{}: begins with `{first}`", source.name));
        }
    }
    assert_none("files out of form", &failures);
}

#[test]
fn use_trees_expand() {
    let source = Source {
        name: "format/gguf/read.rs".into(),
        text: String::new(),
        code:
            "use crate::{a, b::{c, self}}; use super::super::numpy::x; super::y(); crate::text::z"
                .into(),
    };
    let found: Vec<String> = source
        .imports()
        .iter()
        .map(|path| path.join("::"))
        .collect();
    assert_eq!(
        found,
        [
            "a",
            "b::c",
            "b",
            "text::z",
            "format::numpy::x",
            "format::gguf::y"
        ]
    );
}

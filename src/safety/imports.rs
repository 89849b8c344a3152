//! What a reader says in passing about the imports of a pickle that it reads: one note a level.

use super::globals::{self, Verdict};
use crate::io::Source;
use crate::model::{Level, Note};
use crate::pickle::{CallKind, Global, Graph};

/// Names listed in one note.
const LISTED: usize = 20;

/// The levels, the most alarming first, and what a program would do.
const LEVELS: [(Level, &str); 3] = [
    (Level::Danger, "would run"),
    (Level::Error, "would call"),
    (Level::Warning, "would import"),
];

/// Notes on every import that is not known to be harmless.
pub fn import_notes(graph: &Graph, source: &Source) -> Vec<Note> {
    let functions = called_functions(graph);
    let judged: Vec<(Level, &Global)> = graph
        .globals()
        .iter()
        .zip(functions)
        .filter_map(|(global, is_called)| Some((level(global, is_called)?, global)))
        .collect();
    let note = |(level, verb): (Level, &str)| {
        let globals = judged.iter().filter(|(at, _)| *at == level);
        let globals: Vec<&Global> = globals.map(|(_, global)| *global).collect();
        let offset = source.file_offset(globals.first()?.offset);
        Some(Note::new("would-import", level, listed(verb, &globals)).at(offset))
    };
    LEVELS.into_iter().filter_map(note).collect()
}

fn listed(verb: &str, globals: &[&Global]) -> String {
    let names: Vec<String> = globals.iter().take(LISTED).map(|g| g.to_string()).collect();
    let mut text = format!("{verb} {}", names.join(", "));
    if globals.len() > LISTED {
        let more = globals.len().saturating_sub(LISTED);
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// For each import, whether it is called as a function, not made as an object of a class.
fn called_functions(graph: &Graph) -> Vec<bool> {
    let mut called = vec![false; graph.globals().len()];
    let calls = graph.calls().iter();
    for call in calls.filter(|call| call.kind != CallKind::New) {
        let place = graph
            .global_index(call.callable)
            .and_then(|i| called.get_mut(i));
        if let Some(place) = place {
            *place = true;
        }
    }
    called
}

/// How alarming an import is; `None` for a harmless one.
fn level(global: &Global, is_called: bool) -> Option<Level> {
    match globals::judge(&global.module, &global.name) {
        Verdict::Harmless => None,
        Verdict::Dangerous(_) => Some(Level::Danger),
        // What it reaches, `ckpt audit` judges call by call.
        Verdict::Unknown if &*global.name == "getattr" => Some(Level::Warning),
        Verdict::Unknown if is_called && !globals::is_class_name(&global.name) => {
            Some(Level::Error)
        }
        Verdict::Unknown => Some(Level::Warning),
    }
}

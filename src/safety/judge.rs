//! What a pickle would do to a program that trusts it, import by import.

use super::Policy;
use super::globals::{self, Verdict};
use super::show::{call_text, show};
use crate::io::Source;
use crate::limits;
use crate::model::{Level, Note};
use crate::pickle::{Build, Call, CallKind, Global, Graph, Item, Trace, View};
use std::collections::HashMap;

/// Functions that call what they are given first.
const CALLERS: &[&str] = &[
    "_rebuild_from_type",
    "_rebuild_from_type_v2",
    "map",
    "filter",
    "partial",
    "reduce",
    "defaultdict",
];

/// Attributes by which an object becomes another, or runs code.
const HANDLES: &[&str] = &[
    "__class__",
    "__bases__",
    "__code__",
    "__globals__",
    "__builtins__",
    "__import__",
    "__getattr__",
    "__getattribute__",
    "__setattr__",
    "__call__",
    "__reduce__",
    "__reduce_ex__",
    "__setstate__",
    "__init__",
    "__new__",
    "__del__",
    "__path__",
    "__loader__",
    "__spec__",
];

/// Everything there is to say about one pickle, in the order of the file.
pub(super) fn notes(trace: &Trace, source: &Source, policy: &Policy) -> Vec<Note> {
    let mut judge = Judge {
        graph: &trace.graph,
        source,
        policy,
        uses: uses(&trace.graph),
        notes: Vec::new(),
    };
    for (index, global) in trace.graph.globals().iter().enumerate() {
        judge.global(index, global);
    }
    for call in trace.graph.calls() {
        judge.call(call);
    }
    for build in &trace.builds {
        judge.build(build);
    }
    judge.faults(trace);
    let mut notes = judge.notes;
    notes.sort_by_key(|note| note.place.offset);
    notes
}

/// Whether the pickle imports anything that could be imported: names that random bytes do not
/// make.
pub(super) fn imports(trace: &Trace) -> bool {
    let globals = trace.graph.globals();
    !globals.is_empty() && globals.iter().all(is_plausible)
}

/// Whether anything that it imports is known to be dangerous.
pub(super) fn is_dangerous(trace: &Trace) -> bool {
    let globals = trace.graph.globals().iter();
    let judge = |global: &Global| globals::judge(&global.module, &global.name);
    globals
        .filter(|global| is_plausible(global))
        .any(|global| matches!(judge(global), Verdict::Dangerous(_)))
}

fn is_plausible(global: &Global) -> bool {
    let is_name = |text: &str| {
        let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
        text.starts_with(is_start)
            && text
                .chars()
                .all(|c| is_start(c) || c.is_ascii_digit() || c == '.')
    };
    let is_either = |text: &str| is_name(text) || text == crate::pickle::COMPUTED;
    is_either(&global.module) && is_either(&global.name)
}

/// What is done with an import.
#[derive(Clone, Copy, Default)]
struct Use {
    /// The first call of it, among the calls of the graph.
    call: Option<usize>,
    /// Whether it is called itself.
    is_called: bool,
    /// Whether it is called otherwise than by `NEWOBJ`.
    is_function_call: bool,
    /// Whether a function that calls its arguments is given it.
    is_passed: bool,
}

fn uses(graph: &Graph) -> Vec<Use> {
    let mut uses = vec![Use::default(); graph.globals().len()];
    for (number, call) in graph.calls().iter().enumerate() {
        if let Some(used) = place(graph, call.callable, &mut uses) {
            used.call.get_or_insert(number);
            used.is_called = true;
            used.is_function_call |= call.kind != CallKind::New;
        }
        let is_caller = graph
            .global(call.callable)
            .is_none_or(|global| CALLERS.contains(&&*global.name) || is_unknown_function(global));
        if is_caller {
            for &argument in graph.args(call) {
                if let Some(used) = place(graph, argument, &mut uses) {
                    used.is_passed = true;
                    used.call.get_or_insert(number);
                }
            }
        }
    }
    uses
}

fn place<'a>(graph: &Graph, item: Item, uses: &'a mut [Use]) -> Option<&'a mut Use> {
    uses.get_mut(graph.global_index(item)?)
}

fn is_unknown_function(global: &Global) -> bool {
    globals::judge(&global.module, &global.name) != Verdict::Harmless
        && !globals::is_class_name(&global.name)
}

struct Judge<'a> {
    graph: &'a Graph,
    source: &'a Source,
    policy: &'a Policy,
    /// By the place of the import in the graph.
    uses: Vec<Use>,
    notes: Vec<Note>,
}

impl Judge<'_> {
    fn note(&mut self, rule: &'static str, level: Level, offset: u64, text: String) {
        if self.notes.len() < limits::FINDINGS {
            let note = Note::new(rule, level, text);
            self.notes.push(note.at(self.source.file_offset(offset)));
        }
    }

    fn global(&mut self, index: usize, global: &Global) {
        if self.policy.allows(&global.module, &global.name) {
            return;
        }
        let used = self.uses.get(index).copied().unwrap_or_default();
        if &*global.module == "copyreg" && global.name.starts_with("extension ") {
            let text = format!(
                "imports {}, which only the loading program's own registry can resolve",
                global.name
            );
            self.note("extension-code", Level::Error, global.offset, text);
            return;
        }
        match globals::judge(&global.module, &global.name) {
            Verdict::Harmless => {}
            Verdict::Dangerous(why) => {
                let rule = match global.to_string().contains(crate::pickle::COMPUTED) {
                    true => "computed-import",
                    false => "dangerous-import",
                };
                let (verb, offset) = self.verb(global, used);
                self.note(rule, Level::Danger, offset, format!("{verb}: {why}"));
            }
            Verdict::Unknown if is_getattr(global) && !used.is_passed && used.is_function_call => {
                // What it reaches is judged call by call.
            }
            Verdict::Unknown => {
                let (verb, offset) = self.verb(global, used);
                let is_run = used.is_function_call || used.is_passed;
                match is_run && !globals::is_class_name(&global.name) {
                    true => {
                        let text = format!("{verb}: a function that is not known to be harmless");
                        self.note("unknown-call", Level::Error, offset, text);
                    }
                    false => {
                        let text = format!("{verb}: not known to be harmless");
                        self.note("unknown-import", Level::Warning, offset, text);
                    }
                }
            }
        }
    }

    /// What would be done with an import, and where.
    fn verb(&self, global: &Global, used: Use) -> (String, u64) {
        let call = used.call.and_then(|number| self.graph.calls().get(number));
        match call {
            None => (format!("would import `{global}`"), global.offset),
            Some(call) if !used.is_called => {
                let shown = call_text(self.graph, call);
                (format!("would give `{global}` to `{shown}`"), call.offset)
            }
            Some(call) => {
                let verb = match call.kind {
                    CallKind::New if !used.is_function_call => "would make",
                    _ => "would call",
                };
                let text = format!("{verb} `{}`", call_text(self.graph, call));
                (text, call.offset)
            }
        }
    }

    /// Calls of what is no import by name: attributes, results, values.
    fn call(&mut self, call: &Call) {
        if self.graph.global(call.callable).is_some_and(is_getattr) {
            self.attribute(call);
            return;
        }
        let what = match self.graph.view(call.callable) {
            View::Global(_) | View::Absent => return,
            View::Persistent(_) if call.kind == CallKind::New => return,
            View::Persistent(_) => "what the loading program supplies".to_owned(),
            View::Call(inner) => match self.reached(call.callable, 0) {
                Some((module, name)) if self.policy.allows(&module, &name) => return,
                Some((module, name)) if globals::is_class_name(&name) => {
                    let text = format!("would make `{module}.{name}`: not known to be harmless");
                    self.note("unknown-import", Level::Warning, call.offset, text);
                    return;
                }
                _ => format!("the result of `{}`", call_text(self.graph, inner)),
            },
            _ => format!("`{}`", show(self.graph, call.callable)),
        };
        let args = show(self.graph, call.args);
        let text = format!("would call {what} with {args}: nothing is known of it");
        self.note("unknown-call", Level::Error, call.offset, text);
    }

    /// `getattr(thing, 'name')`: judged as the dotted name that it amounts to.
    fn attribute(&mut self, call: &Call) {
        let shown = call_text(self.graph, call);
        let args = self.graph.args(call);
        let name = args.get(1).and_then(|&name| self.graph.text(name));
        let Some(name) = name else {
            let text = format!("would call `{shown}`: an attribute whose name is computed");
            self.note("computed-import", Level::Danger, call.offset, text);
            return;
        };
        let target = args.first().copied().unwrap_or(Item::NONE);
        let (module, name) = self
            .reached(target, 0)
            .map(|(module, inner)| (module, format!("{inner}.{name}")))
            .unwrap_or_else(|| ("".to_owned(), name.into_owned()));
        if self.policy.allows(&module, &name) {
            return;
        }
        match globals::judge(&module, &name) {
            Verdict::Dangerous(why) => {
                let text = format!("would call `{shown}`: {why}");
                self.note("dangerous-import", Level::Danger, call.offset, text);
            }
            Verdict::Harmless => {}
            Verdict::Unknown => {
                let text = format!("would call `{shown}`: not known to be harmless");
                self.note("unknown-import", Level::Warning, call.offset, text);
            }
        }
    }

    /// The dotted name that `item` stands for: an import, or an attribute of one.
    fn reached(&self, item: Item, depth: usize) -> Option<(String, String)> {
        if depth > limits::EXAMINED_DEPTH {
            return None;
        }
        match self.graph.view(item) {
            View::Global(global) => Some((global.module.to_string(), global.name.to_string())),
            View::Call(call) if self.graph.global(call.callable).is_some_and(is_getattr) => {
                let &[target, name, ..] = self.graph.args(call) else {
                    return None;
                };
                let (module, inner) = self.reached(target, depth.saturating_add(1))?;
                let name = self.graph.text(name)?;
                Some((module, format!("{inner}.{name}")))
            }
            _ => None,
        }
    }

    fn build(&mut self, build: &Build) {
        let state = show(self.graph, build.state);
        let (rule, offset) = ("attribute-change", build.offset);
        match self.graph.view(build.target) {
            View::Global(global) => {
                let text = format!("would set attributes of `{global}` itself: {state}");
                self.note(rule, Level::Danger, offset, text);
            }
            View::Persistent(_) => {
                let text =
                    format!("would give state to what the loading program supplies: {state}");
                self.note(rule, Level::Error, offset, text);
            }
            View::Call(call) => {
                if let Some(handle) = self.handle(build.state) {
                    let text = format!(
                        "would set `{handle}` of `{}`, which changes what the object is",
                        call_text(self.graph, call)
                    );
                    self.note(rule, Level::Danger, offset, text);
                }
            }
            _ => {}
        }
    }

    /// The first attribute in a state that makes an object another.
    fn handle(&self, state: Item) -> Option<String> {
        let in_dict = |item: Item| match self.graph.view(item) {
            View::Dict(pairs) => pairs.iter().find_map(|&(key, _)| {
                let key = self.graph.text(key)?;
                HANDLES.contains(&&*key).then(|| key.into_owned())
            }),
            _ => None,
        };
        match self.graph.view(state) {
            View::Tuple(&[dict, slots]) => in_dict(dict).or_else(|| in_dict(slots)),
            _ => in_dict(state),
        }
    }

    fn faults(&mut self, trace: &Trace) {
        if trace.leftover > 0 && trace.is_finished {
            let text = format!(
                "the pickle makes {} objects beside its result",
                trace.leftover
            );
            let note = Note::new("leftover-objects", Level::Warning, text);
            self.notes.push(note.at(self.source.file_offset(trace.end)));
        }
        let Some(first) = trace.faults.first() else {
            return;
        };
        let rule = match trace
            .faults
            .iter()
            .any(|f| f.kind() == crate::error::Kind::Limit)
        {
            true => "not-examined",
            false => "broken-pickle",
        };
        let more = match trace.faults.len() {
            1 => String::new(),
            count => format!(", and {} more faults", count.saturating_sub(1)),
        };
        let text = format!(
            "cannot be followed: {}{more}; Python runs what stands before a fault",
            first.message()
        );
        let mut note = Note::new(rule, Level::Error, text);
        note.place.offset = first.place().offset;
        self.notes.push(note);
    }
}

fn is_getattr(global: &Global) -> bool {
    matches!(&*global.module, "builtins" | "__builtin__") && &*global.name == "getattr"
}

/// Counts notes by what they say, so that what a thousand members repeat is said once.
pub(super) fn fold(notes: Vec<Note>) -> Vec<Note> {
    let mut seen: HashMap<(&'static str, String), usize> = HashMap::new();
    let mut folded: Vec<(Note, usize)> = Vec::new();
    for note in notes {
        let key = (note.rule, note.text.clone());
        match seen.get(&key).and_then(|&at| folded.get_mut(at)) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => {
                seen.insert(key, folded.len());
                folded.push((note, 1));
            }
        }
    }
    let said = |(mut note, count): (Note, usize)| {
        if count > 1 {
            note.text.push_str(&format!(" ({count} times)"));
        }
        note
    };
    folded.into_iter().map(said).collect()
}

//! What a program that trusts a pickle would import, and how alarming that is.

use crate::io::Source;
use crate::model::{Level, Note};
use crate::pickle::{CallKind, Global, Graph};

/// Names listed in one note.
const LISTED: usize = 20;

/// Notes on every import that is not PyTorch's or NumPy's own everyday one: one note a level.
pub(super) fn notes(graph: &Graph, source: &Source) -> Vec<Note> {
    let functions = called_functions(graph);
    let mut by_level: [Vec<&Global>; 3] = Default::default();
    for (index, global) in graph.globals().iter().enumerate() {
        let is_called = functions.get(index).copied().unwrap_or(false);
        let place = match level(global, is_called) {
            Some(Level::Danger) => 0,
            Some(Level::Warning) => 1,
            Some(_) => 2,
            None => continue,
        };
        by_level
            .get_mut(place)
            .map(|list| list.push(global))
            .unwrap_or_default();
    }
    let [danger, warning, info] = by_level;
    [
        (Level::Danger, "would run", danger),
        (Level::Warning, "would call", warning),
        (Level::Info, "would import", info),
    ]
    .into_iter()
    .filter_map(|(level, verb, globals)| {
        let offset = source.file_offset(globals.first()?.offset);
        Some(Note::new("would-import", level, listed(verb, &globals)).at(offset))
    })
    .collect()
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

/// How alarming an import is; `None` for the everyday ones.
fn level(global: &Global, is_called: bool) -> Option<Level> {
    if is_dangerous(global) {
        return Some(Level::Danger);
    }
    if is_everyday(global) {
        return None;
    }
    let last = global.name.rsplit('.').next().unwrap_or_default();
    // Classes begin with a capital, except for a few old ones.
    let is_class = last.starts_with(|c: char| c.is_ascii_uppercase())
        || matches!(&*global.module, "datetime" | "pathlib" | "decimal" | "uuid");
    match is_called && !is_class {
        true => Some(Level::Warning),
        false => Some(Level::Info),
    }
}

/// Imports that give a program away: shells, code, files, network.
fn is_dangerous(global: &Global) -> bool {
    const MODULES: [&str; 37] = [
        "os",
        "posix",
        "nt",
        "sys",
        "subprocess",
        "commands",
        "pty",
        "popen2",
        "shutil",
        "socket",
        "runpy",
        "importlib",
        "imp",
        "ctypes",
        "_ctypes",
        "pickle",
        "_pickle",
        "cPickle",
        "marshal",
        "code",
        "codeop",
        "bdb",
        "pdb",
        "timeit",
        "trace",
        "profile",
        "cProfile",
        "webbrowser",
        "asyncio",
        "multiprocessing",
        "http",
        "urllib",
        "urllib2",
        "requests",
        "pip",
        "signal",
        "platform",
    ];
    const BUILTINS: [&str; 16] = [
        "eval",
        "exec",
        "execfile",
        "compile",
        "open",
        "file",
        "__import__",
        "input",
        "breakpoint",
        "globals",
        "locals",
        "vars",
        "setattr",
        "delattr",
        "apply",
        "getattr",
    ];
    let (module, name) = (&*global.module, &*global.name);
    let top = module.split('.').next().unwrap_or_default();
    if MODULES.contains(&top) {
        return true;
    }
    // From protocol 4 on a dotted name is followed: `torch` and `os.system`.
    let mut parts = name.split('.');
    let last = parts.next_back().unwrap_or_default();
    if parts.any(|part| MODULES.contains(&part) || part == "__builtins__") {
        return true;
    }
    match module {
        "builtins" | "__builtin__" => BUILTINS.contains(&last) && last != "getattr",
        "operator" | "_operator" => matches!(last, "attrgetter" | "methodcaller" | "itemgetter"),
        "types" => matches!(last, "CodeType" | "FunctionType"),
        "torch" | "torch.serialization" => last == "load",
        "torch.hub" | "torch.utils.cpp_extension" => true,
        "torch.jit" | "torch.jit._serialization" => last == "load",
        _ => module.starts_with("numpy.testing") || module.starts_with("numpy.f2py"),
    }
}

/// What every checkpoint imports.
fn is_everyday(global: &Global) -> bool {
    let (module, name) = (&*global.module, &*global.name);
    if name.contains('.') {
        return false;
    }
    match module {
        "torch" => {
            super::pytorch::dtypes::of_name(name).is_some()
                || name.ends_with("Storage")
                || name.ends_with("Tensor")
                || name.starts_with("per_")
                || matches!(
                    name,
                    "Size"
                        | "device"
                        | "dtype"
                        | "layout"
                        | "Generator"
                        | "contiguous_format"
                        | "channels_last"
                        | "preserve_format"
                        | "strided"
                        | "sparse_coo"
                )
        }
        "torch.cuda" | "torch.sparse" | "torch.cuda.sparse" => {
            name.ends_with("Storage") || name.ends_with("Tensor")
        }
        "torch._utils" => name.starts_with("_rebuild_"),
        "torch._tensor" | "torch.tensor" => name.starts_with("_rebuild_") || name == "Tensor",
        "torch.storage" => name.ends_with("Storage") || name == "_load_from_bytes",
        "torch.serialization" => name == "_get_layout",
        "torch.nn.parameter" | "torch.autograd.variable" => true,
        "torch.jit._pickle" => name.starts_with("build_") || name == "restore_type_tag",
        "collections" => matches!(name, "OrderedDict" | "defaultdict" | "Counter" | "deque"),
        "numpy" => matches!(name, "dtype" | "ndarray"),
        "builtins" | "__builtin__" => matches!(
            name,
            "set"
                | "frozenset"
                | "list"
                | "dict"
                | "tuple"
                | "int"
                | "float"
                | "complex"
                | "bool"
                | "str"
                | "bytes"
                | "bytearray"
                | "slice"
                | "range"
                | "xrange"
                | "object"
                | "long"
                | "unicode"
                | "Ellipsis"
        ),
        "copyreg" | "copy_reg" => name == "_reconstructor",
        "_codecs" => name == "encode",
        "ml_dtypes" => true,
        _ if module.starts_with("torch.nn.modules.") => name.starts_with(char::is_uppercase),
        _ if module == "__torch__" || module.starts_with("__torch__.") => true,
        _ => {
            let inner = module.strip_prefix("numpy._core.");
            let inner = inner.or_else(|| module.strip_prefix("numpy.core."));
            matches!(
                (inner, name),
                (Some("multiarray"), "_reconstruct" | "scalar")
                    | (Some("_internal"), "_reconstruct")
                    | (Some("numeric"), "_frombuffer")
            )
        }
    }
}

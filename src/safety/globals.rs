//! What pickles import: what is known to be harmless, what is known to be dangerous.
//!
//! Everything that is in neither list is unknown, and unknown is never clean: lists of dangers
//! do not end. The dangerous ones are listed to say what they do.
//!
//! Harmless: what `torch.load(weights_only=True)` allows (torch/_weights_only_unpickler.py) and
//! what else real checkpoints of PyTorch, NumPy, joblib and Python's own types need; the
//! functions among them build values out of their arguments and do nothing else.

use super::names::{
    BUILTINS, DANGEROUS, DANGEROUS_NAMES, DTYPES, HARMLESS, HARMLESS_FUNCTIONS, KINDS, WAYS_OUT,
};

/// What an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Known to be harmless.
    Harmless,
    /// Not known.
    Unknown,
    /// Known to be dangerous: what it does.
    Dangerous(&'static str),
}

/// What importing `name` from `module` amounts to. `name` may be dotted.
pub(super) fn judge(module: &str, name: &str) -> Verdict {
    // Spaces and control characters cannot be imported; what stands between them counts.
    let hidden = |c: char| c.is_whitespace() || c.is_control();
    let (module, name) = (module.trim_matches(hidden), name.trim_matches(hidden));
    if is_harmless(module, name) {
        return Verdict::Harmless;
    }
    if module == crate::pickle::COMPUTED || name == crate::pickle::COMPUTED {
        return Verdict::Dangerous("imports under a name that is computed, not written");
    }
    if let Some(why) = dangerous_module(module, name) {
        return Verdict::Dangerous(why);
    }
    if let Some((_, why, _)) = DANGEROUS_NAMES
        .iter()
        .find(|(of, _, names)| *of == module && has(names, first_part(name)))
    {
        return Verdict::Dangerous(why);
    }
    let is_special = |part: &str| part.starts_with("__") && part.ends_with("__") && part.len() > 4;
    if name.split('.').any(is_special) || module.split('.').any(|part| part == "__builtins__") {
        return Verdict::Dangerous("reaches behind an object, into the running program");
    }
    if name.split('.').any(|part| has(WAYS_OUT, part)) {
        return Verdict::Dangerous("reaches one module through another");
    }
    Verdict::Unknown
}

/// Whether `name` is one of the words of a table.
fn has(words: &str, name: &str) -> bool {
    words.split(' ').any(|word| word == name)
}

fn first_part(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn dangerous_module(module: &str, name: &str) -> Option<&'static str> {
    if matches!(module, "builtins" | "__builtin__")
        && (has(HARMLESS_FUNCTIONS, name) || name.ends_with("Error") || name == "Exception")
    {
        return None;
    }
    let is_below = |of: &&str| {
        let rest = module.strip_prefix(*of);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    // A module may be named by its last part, as an attribute of the package.
    let whole = format!("{module}.{name}");
    let is_it = |of: &&str| {
        let rest = whole.strip_prefix(*of);
        of.contains('.') && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let found = DANGEROUS
        .iter()
        .find(|(_, modules)| modules.split(' ').any(|of| is_below(&of) || is_it(&of)));
    found.map(|(why, _)| *why)
}

fn is_harmless(module: &str, name: &str) -> bool {
    if HARMLESS
        .iter()
        .any(|(of, names)| *of == module && has(names, name))
    {
        return true;
    }
    // TorchScript's own classes, which no other program can import.
    if module == "__torch__" || module.starts_with("__torch__.") {
        return true;
    }
    // From protocol 4 on a dotted name is followed.
    if name.contains('.') {
        return false;
    }
    match module {
        "builtins" | "__builtin__" => has(BUILTINS, name),
        "torch" => has(DTYPES, name) || is_bits(name) || is_tensor_type(name),
        "torch.cuda" | "torch.sparse" | "torch.cuda.sparse" | "torch.storage" => {
            is_tensor_type(name)
        }
        "numpy" => matches!(name, "dtype" | "ndarray" | "matrix") || is_scalar_type(name),
        "ml_dtypes" => is_scalar_type(name),
        "numpy.dtypes" => name.ends_with("DType"),
        _ if is_below(module, "torch.nn.modules")
            || is_below(module, "torch.optim")
            || is_below(module, "torch.nn.quantized")
            || is_below(module, "torch.ao.nn")
            || is_below(module, "torch.distributed.tensor")
            || module == "torch.distributed.device_mesh"
            || module == "torch.distributed._mesh_layout" =>
        {
            is_class_name(name)
        }
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

fn is_below(module: &str, of: &str) -> bool {
    let rest = module.strip_prefix(of);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn is_tensor_type(name: &str) -> bool {
    let kind = name.strip_suffix("Storage");
    let kind = kind.or_else(|| name.strip_suffix("Tensor"));
    kind.is_some_and(|kind| kind.is_empty() || has(KINDS, kind))
}

/// `bits8`, `uint3`, `int7`: types without arithmetic.
fn is_bits(name: &str) -> bool {
    let digits = name.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let is_kind = ["bits", "uint", "int"]
        .iter()
        .any(|kind| name.strip_suffix(digits) == Some(kind));
    is_kind && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'x')
}

/// `float64`, `int8`, `bool_`, `bfloat16`, `float8_e4m3fn`: a kind, then digits.
fn is_scalar_type(name: &str) -> bool {
    const KINDS: [&str; 8] = [
        "float",
        "bfloat",
        "int",
        "uint",
        "complex",
        "datetime",
        "timedelta",
        "bool",
    ];
    matches!(
        name,
        "str_"
            | "bytes_"
            | "bool_"
            | "bool"
            | "void"
            | "object_"
            | "longlong"
            | "ulonglong"
            | "intc"
            | "int_"
            | "float_"
            | "longdouble"
    ) || KINDS.iter().any(|kind| {
        let rest = name.strip_prefix(kind);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// Whether the last part of a name is written as classes are, or is one of the old ones that
/// are not.
pub(super) fn is_class_name(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let first = last.trim_start_matches('_').chars().next();
    first.is_some_and(|c| c.is_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_not_harmless() {
        let dangerous = |module, name| matches!(judge(module, name), Verdict::Dangerous(_));
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("builtins", "eval"),
            ("__builtin__", "__import__"),
            ("builtins", "open"),
            ("asyncio.unix_events", "_UnixSubprocessTransport._start"),
            ("collections", "OrderedDict.__init__.__globals__"),
            ("pathlib", "os.system"),
            ("torch", "serialization.os.system"),
            ("torch.serialization", "os"),
            ("torch", "hub"),
            ("torch", "load"),
            ("torch.utils", "collect_env.run"),
            (" os", "system"),
            ("os\r", "system"),
            ("builtins", "eval.__call__"),
            ("builtins", "exec"),
            ("operator", "attrgetter"),
            ("joblib", "load"),
            ("joblib.numpy_pickle", "load"),
            ("torch.storage", "os"),
            ("logging", "FileHandler"),
            ("io", "open"),
        ] {
            assert!(dangerous(module, name), "{module}.{name}");
        }
        for (module, name) in [
            ("torch.nn.modules.container", "Sequential.forward"),
            ("torch._utils", "_import_dotted_name"),
            ("functools", "partial"),
            ("models.yolo", "Model"),
            ("builtins", "getattr"),
            ("numpy.core.multiarray", "frombuffer"),
            ("", ""),
        ] {
            assert_eq!(judge(module, name), Verdict::Unknown, "{module}.{name}");
        }
    }

    #[test]
    fn what_checkpoints_need_is_harmless() {
        for (module, name) in [
            ("torch", "float8_e4m3fn"),
            ("torch", "uint3"),
            ("torch", "bits1x8"),
            ("torch", "BFloat16Storage"),
            ("torch.cuda", "FloatTensor"),
            ("torch._utils", "_rebuild_tensor_v2"),
            ("torch.nn.modules.linear", "Linear"),
            ("torch.optim.adam", "Adam"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy", "float64"),
            ("ml_dtypes", "float8_e4m3fn"),
            ("joblib.numpy_pickle", "NumpyArrayWrapper"),
            (
                "__torch__.torch.classes.quantized",
                "LinearPackedParamsBase",
            ),
            ("logging", "getLogger"),
        ] {
            assert_eq!(judge(module, name), Verdict::Harmless, "{module}.{name}");
        }
    }
}

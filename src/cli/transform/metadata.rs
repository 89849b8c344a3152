//! `--metadata KEY=VALUE[:TYPE]`.

use ckpt::model::{Checkpoint, Value};
use ckpt::{Error, Result};

/// The types that may be given, by GGUF's names.
const TYPES: [&str; 12] = [
    "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bool", "str",
];

/// Keys whose type programs rely on.
const KNOWN: [(&str, &str); 3] = [
    ("general.alignment", "u32"),
    ("general.file_type", "u32"),
    ("general.quantization_version", "u32"),
];

/// Sets what `arguments` say, in order.
///
/// Errors: `Usage` for an argument without `=` or a value that is none of its type.
pub(crate) fn set(checkpoint: &mut Checkpoint, arguments: &[String]) -> Result<()> {
    for argument in arguments {
        let wrong = |why: String| Error::usage(format!("`--metadata {argument}`: {why}"));
        let (key, rest) = argument
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| wrong("is not `KEY=VALUE`".to_owned()))?;
        let (text, kind) = text_and_type(checkpoint, key, rest);
        let value = value(text, kind).ok_or_else(|| {
            let error = wrong(format!("`{text}` is no {kind}"));
            let types = TYPES.join(", ");
            error.with_hint(format!("`KEY=VALUE:TYPE` gives another type: {types}"))
        })?;
        checkpoint.set_metadata(key, value, kind);
    }
    Ok(())
}

/// The value's text, and its type: the one given, that of the value it replaces, or text.
fn text_and_type<'a>(checkpoint: &Checkpoint, key: &str, rest: &'a str) -> (&'a str, &'static str) {
    let known = |kind: &str| TYPES.into_iter().find(|known| *known == kind);
    if let Some((text, kind)) = rest.rsplit_once(':')
        && let Some(kind) = known(kind)
    {
        return (text, kind);
    }
    let types = &checkpoint.metadata_types;
    let old = types.iter().find(|(known, _)| known == key);
    let old = old.and_then(|(_, kind)| known(kind));
    let standard = KNOWN.iter().find(|(known, _)| *known == key);
    let kind = old.or(standard.map(|(_, kind)| *kind));
    (rest, kind.unwrap_or("str"))
}

fn value(text: &str, kind: &str) -> Option<Value> {
    fn integer<T: TryFrom<i128>>(text: &str) -> Option<Value> {
        let number: i128 = text.parse().ok()?;
        T::try_from(number).ok()?;
        match i64::try_from(number) {
            Ok(number) => Some(Value::Int(number)),
            Err(_) => Some(Value::Unsigned(number.try_into().ok()?)),
        }
    }
    match kind {
        "u8" => integer::<u8>(text),
        "i8" => integer::<i8>(text),
        "u16" => integer::<u16>(text),
        "i16" => integer::<i16>(text),
        "u32" => integer::<u32>(text),
        "i32" => integer::<i32>(text),
        "u64" => integer::<u64>(text),
        "i64" => integer::<i64>(text),
        "f32" | "f64" => text.parse().ok().map(Value::Float),
        "bool" => text.to_ascii_lowercase().parse().ok().map(Value::Bool),
        _ => Some(Value::text(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_given_kept_or_text() {
        let mut checkpoint = Checkpoint::default();
        let mut set = |argument: &str| set(&mut checkpoint, &[argument.to_owned()]);
        set("url=https://x:80/y").unwrap();
        set("n=3:u16").unwrap();
        set("n=4").unwrap();
        set("general.alignment=64").unwrap();
        set("ok=True:bool").unwrap();
        assert!(set("n=70000").is_err());
        assert!(set("=1").is_err());
        assert!(set("nothing").is_err());
        let entries: Vec<_> = checkpoint.metadata.iter().map(|(_, value)| value).collect();
        let text = Value::text("https://x:80/y");
        let (four, alignment) = (Value::Int(4), Value::Int(64));
        assert_eq!(entries, [&text, &four, &alignment, &Value::Bool(true)]);
        assert_eq!(checkpoint.metadata_types[1].1, "u16");
    }
}

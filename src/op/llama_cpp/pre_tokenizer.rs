//! Which of llama.cpp's pre-tokenizers cuts texts as a `tokenizer.json` says.
//!
//! llama.cpp's converter knows them by a hash of what a whole tokenizer makes of a text. The
//! regular expressions that the file states say the same without running it.
//!
//! Source: llama-vocab.cpp, `llm_tokenizer_bpe`, which quotes the original expressions.

use crate::model::Value;

/// The expression of Llama 3.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Expressions that stand alone before the bytes, and their names.
const SPLITS: &[(&str, &str)] = &[
    (LLAMA3, "llama-bpe"),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "qwen2",
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "qwen35",
    ),
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "tekken",
    ),
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "gpt-4o",
    ),
];

/// The name for `tokenizer.json`, `None` if its cuts are none of the known ones.
///
/// `ignores_merges`: whether a word that is a token is taken whole. llama.cpp does so for
/// `llama-bpe`; `smaug-bpe` has the same expression and does not.
pub(super) fn name(tokenizer: &Value, ignores_merges: Option<bool>) -> Option<&'static str> {
    let steps = steps(tokenizer.get("pre_tokenizer")?)?;
    match steps.as_slice() {
        [Step::Bytes { is_cutting: true }] => Some("gpt-2"),
        [Step::Digits, Step::Bytes { is_cutting: true }] => Some("smollm"),
        [Step::Split(expression), Step::Bytes { is_cutting: false }] => {
            let (_, name) = SPLITS.iter().find(|(known, _)| known == expression)?;
            let is_llama3 = *expression == LLAMA3;
            Some(match is_llama3 && ignores_merges == Some(false) {
                true => "smaug-bpe",
                false => name,
            })
        }
        _ => None,
    }
}

/// One thing that is done to a text before its bytes are merged.
enum Step<'a> {
    /// Cut where the expression matches.
    Split(&'a str),
    /// Each digit stands alone.
    Digits,
    /// Bytes become letters, after cuts as GPT-2 makes them or without.
    Bytes { is_cutting: bool },
}

/// `None` if one of them is of another kind.
fn steps(value: &Value) -> Option<Vec<Step<'_>>> {
    let flag = |value: &Value, key: &str, default| match value.get(key) {
        Some(Value::Bool(flag)) => *flag,
        _ => default,
    };
    match value.get("type")?.as_text()? {
        "Sequence" => {
            let Value::List(inner) = value.get("pretokenizers")? else {
                return None;
            };
            // A sequence in a sequence occurs nowhere, and would be as deep as the file says.
            let is_plain = |value: &&Value| value.get("type") != Some(&Value::text("Sequence"));
            let plain: Vec<&Value> = inner.iter().filter(is_plain).collect();
            if plain.len() < inner.len() {
                return None;
            }
            let each: Option<Vec<_>> = plain.into_iter().map(steps).collect();
            Some(each?.into_iter().flatten().collect())
        }
        "Split" => {
            let is_isolated = value.get("behavior") == Some(&Value::text("Isolated"));
            let expression = value.get("pattern")?.get("Regex")?.as_text()?;
            let is_plain = is_isolated && !flag(value, "invert", false);
            is_plain.then(|| vec![Step::Split(expression)])
        }
        "Digits" => flag(value, "individual_digits", false).then(|| vec![Step::Digits]),
        "ByteLevel" => {
            let is_cutting = flag(value, "use_regex", true);
            (!flag(value, "add_prefix_space", true)).then(|| vec![Step::Bytes { is_cutting }])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json;

    fn found(pre_tokenizer: &str) -> Option<&'static str> {
        let text = format!("{{\"pre_tokenizer\": {pre_tokenizer}}}");
        name(&json::parse(&text).unwrap(), Some(true))
    }

    #[test]
    fn cuts_are_known_by_what_they_do() {
        let bytes = |cutting| {
            format!(r#"{{"type": "ByteLevel", "add_prefix_space": false, "use_regex": {cutting}}}"#)
        };
        let sequence = |first: &str, second: &str| {
            format!(r#"{{"type": "Sequence", "pretokenizers": [{first}, {second}]}}"#)
        };
        let split = |expression: &str| {
            let expression = serde_json::to_string(expression).unwrap();
            format!(
                r#"{{"type": "Split", "pattern": {{"Regex": {expression}}}, "behavior": "Isolated"}}"#
            )
        };
        assert_eq!(found(&bytes(true)), Some("gpt-2"));
        assert_eq!(found(&bytes(false)), None);
        let digits = r#"{"type": "Digits", "individual_digits": true}"#;
        assert_eq!(found(&sequence(digits, &bytes(true))), Some("smollm"));
        for (expression, name) in SPLITS {
            let sequence = sequence(&split(expression), &bytes(false));
            assert_eq!(found(&sequence), Some(*name));
        }
        assert_eq!(found(&sequence(&split(r"\p{N}"), &bytes(false))), None);
        assert_eq!(found("null"), None);
        let nested = sequence(&sequence(digits, digits), &bytes(true));
        assert_eq!(found(&nested), None);
    }
}

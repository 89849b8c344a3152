//! Tokens: from `tokenizer.model`, or else from `tokenizer.json`.
//!
//! Source: convert_hf_to_gguf.py, `TextModel._create_vocab_sentencepiece`, `get_vocab_base`
//! and gguf-py `LlamaHfVocab`.

use super::config::Config;
use super::entries::Entries;
use super::{pre_tokenizer, sentencepiece, special};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{LanguageFiles, Value};
use std::collections::{HashMap, HashSet};

/// What GGUF says a token is.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// The score of what was added to a sentencepiece model, and of rows without a token.
const ADDED: f32 = -1000.0;
const PADDING: f32 = -10_000.0;

/// The mark that sentencepiece has for a space.
const SPACE: &str = "\u{2581}";

const MODEL: &str = "tokenizer.model";
const TOKENIZER: &str = "tokenizer.json";
pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const ADDED_TOKENS: &str = "added_tokens.json";

/// A vocabulary in the making: as many tokens as the embedding has rows.
struct Vocabulary {
    texts: Vec<String>,
    scores: Vec<f32>,
    kinds: Vec<i32>,
    /// Tokens whose numbers have no row.
    outside: u64,
}

impl Vocabulary {
    fn new(rows: u32) -> Vocabulary {
        let rows = rows as usize;
        Vocabulary {
            texts: (0..rows).map(|row| format!("[PAD{row}]")).collect(),
            scores: vec![PADDING; rows],
            kinds: vec![UNUSED; rows],
            outside: 0,
        }
    }

    fn set(&mut self, row: u64, text: &str, score: f32, kind: i32) {
        let place = usize::try_from(row)
            .ok()
            .filter(|row| *row < self.texts.len());
        let Some(place) = place else {
            self.outside = self.outside.saturating_add(1);
            return;
        };
        text.clone_into(&mut self.texts[place]);
        self.scores[place] = score;
        self.kinds[place] = kind;
    }

    fn is_unused(&self, row: u64) -> bool {
        let place = usize::try_from(row).unwrap_or(usize::MAX);
        self.kinds.get(place) == Some(&UNUSED)
    }

    /// Adds it to the metadata; `is_scored`: with scores, as sentencepiece's tokenizers need.
    fn add(self, entries: &mut Entries, is_scored: bool, notes: &mut Vec<String>) {
        if self.outside > 0 {
            let (outside, rows) = (self.outside, self.texts.len());
            notes.push(format!(
                "warning: {outside} tokens have numbers beyond the {rows} rows of the embedding and are left out"
            ));
        }
        entries.texts("tokenizer.ggml.tokens", self.texts);
        if is_scored {
            entries.numbers("tokenizer.ggml.scores", self.scores.into_iter());
        }
        entries.integers("tokenizer.ggml.token_type", self.kinds.into_iter());
    }
}

/// Adds the tokenizer's keys. `rows`: those of the embedding.
pub(super) fn add(
    entries: &mut Entries,
    files: &LanguageFiles,
    config: Config<'_>,
    rows: u32,
    notes: &mut Vec<String>,
) -> Result<()> {
    if let Some(bytes) = &files.sentencepiece {
        if let Some(flag) = flag_of(files, "add_prefix_space")? {
            entries.flag("tokenizer.ggml.add_space_prefix", flag);
        }
        let vocabulary = from_sentencepiece(bytes, files, rows)?;
        entries.text("tokenizer.ggml.model", "llama");
        entries.text("tokenizer.ggml.pre", "default");
        vocabulary.add(entries, true, notes);
    } else if let Some(tokenizer) = &files.tokenizer {
        let path = files.path_of(TOKENIZER);
        let added = from_json(entries, tokenizer, files, rows, notes);
        added.map_err(|error| error.in_file(&path))?;
    } else {
        notes.push(format!(
            "warning: there is no `{MODEL}` or `{TOKENIZER}` beside it, and llama.cpp loads no model without a vocabulary"
        ));
        return Ok(());
    }
    special::add(entries, files, config, rows, notes)
}

fn flag_of(files: &LanguageFiles, key: &str) -> Result<Option<bool>> {
    let path = files.path_of(TOKENIZER_CONFIG);
    let value = files.tokenizer_config.as_ref();
    value.map_or(Ok(None), |value| Config { value, file: &path }.flag(key))
}

/// Pieces, then what was added to them.
fn from_sentencepiece(bytes: &[u8], files: &LanguageFiles, rows: u32) -> Result<Vocabulary> {
    let pieces = sentencepiece::read(bytes, limits::TOKENS)
        .map_err(|error| error.in_file(&files.path_of(MODEL)))?;
    let mut vocabulary = Vocabulary::new(rows);
    for (row, piece) in (0..).zip(pieces) {
        // llama.cpp's converter takes user-defined pieces for normal ones.
        let kind = if piece.kind == USER_DEFINED {
            NORMAL
        } else {
            piece.kind
        };
        vocabulary.set(row, &piece.text, piece.score, kind);
    }
    if let Some(Value::Map(added)) = &files.added_tokens {
        let path = files.path_of(ADDED_TOKENS);
        for (text, number) in added {
            let number = number
                .as_u64()
                .ok_or_else(|| no_number(text).in_file(&path))?;
            vocabulary.set(number, text, ADDED, USER_DEFINED);
        }
    }
    let decoder = files.tokenizer_config.as_ref();
    let decoder = decoder.and_then(|config| config.get("added_tokens_decoder"));
    if let Some(Value::Map(added)) = decoder {
        let path = files.path_of(TOKENIZER_CONFIG);
        for (number, token) in added {
            let row = number
                .parse()
                .map_err(|_| no_number(number).in_file(&path))?;
            let text = token.get("content").and_then(Value::as_text);
            let text = text.ok_or_else(|| {
                let message = format!("`added_tokens_decoder`: `{number}` has no `content`");
                Error::malformed(message).in_file(&path)
            })?;
            let is_special = token.get("special") == Some(&Value::Bool(true));
            let (text, kind) = added_token(text, is_special);
            vocabulary.set(row, &text, ADDED, kind);
        }
    }
    Ok(vocabulary)
}

fn no_number(token: &str) -> Error {
    Error::malformed(format!("token `{token}` has no number that is one"))
}

/// What becomes of a token that was added to a vocabulary: it steers, or it is text.
fn added_token(text: &str, is_special: bool) -> (String, i32) {
    match is_special || looks_special(text) {
        true => (text.to_owned(), CONTROL),
        false => (text.replace(SPACE, " "), USER_DEFINED),
    }
}

/// Tokens that steer, though some models do not mark them so.
///
/// Source: `TextModel.does_token_look_special`.
fn looks_special(text: &str) -> bool {
    let is_between = |start: &str, end: &str| text.starts_with(start) && text.ends_with(end);
    matches!(text, "<pad>" | "<mask>" | "<2mass>" | "[@BOS@]")
        || is_between("<|", "|>")
        || is_between("<\u{ff5c}", "\u{ff5c}>")
        || is_between("<unused", ">")
}

/// Byte pairs, with bytes as letters (GPT-2) or as tokens of their own (Llama 2).
fn from_json(
    entries: &mut Entries,
    tokenizer: &Value,
    files: &LanguageFiles,
    rows: u32,
    notes: &mut Vec<String>,
) -> Result<()> {
    let model = tokenizer.get("model").unwrap_or(&Value::Null);
    let kind = model.get("type").and_then(Value::as_text).unwrap_or("BPE");
    let Some(Value::Map(words)) = model.get("vocab").filter(|_| kind == "BPE") else {
        let path = files.path_of(TOKENIZER);
        notes.push(format!(
            "warning: {path}: a vocabulary of type `{kind}` is not carried over, and llama.cpp loads no model without one"
        ));
        return Ok(());
    };
    let has_bytes = model.get("byte_fallback") == Some(&Value::Bool(true));
    let merges = merges(model)?;
    let mut vocabulary = Vocabulary::new(rows);
    let scores = if has_bytes {
        scores(&merges)
    } else {
        HashMap::new()
    };
    for (text, number) in words {
        let row = number.as_u64().ok_or_else(|| no_number(text))?;
        let kind = match has_bytes && is_byte(text) {
            true => BYTE,
            false => NORMAL,
        };
        let score = scores.get(text.as_str()).copied().unwrap_or(ADDED);
        vocabulary.set(row, text, score, kind);
    }
    add_added(&mut vocabulary, tokenizer, words, files)?;
    if has_bytes {
        entries.text("tokenizer.ggml.model", "llama");
        entries.text("tokenizer.ggml.pre", "default");
        vocabulary.add(entries, true, notes);
        return Ok(());
    }
    let ignores_merges = match model.get("ignore_merges") {
        Some(Value::Bool(flag)) => Some(*flag),
        _ => None,
    };
    let pre = pre_tokenizer::name(tokenizer, ignores_merges);
    if pre.is_none() {
        let path = files.path_of(TOKENIZER);
        notes.push(format!(
            "warning: {path}: its `pre_tokenizer` is none that is known here, so `tokenizer.ggml.pre` is `default`; \
             `--metadata tokenizer.ggml.pre=NAME` sets it"
        ));
    }
    entries.text("tokenizer.ggml.model", "gpt2");
    entries.text("tokenizer.ggml.pre", pre.unwrap_or("default"));
    vocabulary.add(entries, false, notes);
    if !merges.is_empty() {
        let texts = merges
            .into_iter()
            .map(|(a, b)| format!("{a} {b}"))
            .collect();
        entries.texts("tokenizer.ggml.merges", texts);
    }
    Ok(())
}

/// `<0x0A>`
fn is_byte(text: &str) -> bool {
    let digits = text
        .strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|d| d.len() == 2 && d.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `added_tokens`, and the words that `tokenizer_config.json` gives a role.
fn add_added(
    vocabulary: &mut Vocabulary,
    tokenizer: &Value,
    words: &[(String, Value)],
    files: &LanguageFiles,
) -> Result<()> {
    let mut seen = HashSet::new();
    if let Some(Value::List(added)) = tokenizer.get("added_tokens") {
        for token in added {
            let text = token.get("content").and_then(Value::as_text);
            let text = text.ok_or_else(|| Error::malformed("an added token has no `content`"))?;
            let row = token
                .get("id")
                .and_then(Value::as_u64)
                .ok_or_else(|| no_number(text))?;
            let is_special = token.get("special") == Some(&Value::Bool(true));
            let (shown, kind) = added_token(text, is_special);
            vocabulary.set(row, &shown, ADDED, kind);
            seen.insert(text);
        }
    }
    let roles = special::roles(files);
    for (text, number) in words {
        if roles.contains(&text.as_str())
            && !seen.contains(text.as_str())
            && let Some(row) = number.as_u64().filter(|row| !vocabulary.is_unused(*row))
        {
            vocabulary.set(row, text, ADDED, CONTROL);
        }
    }
    Ok(())
}

/// Pairs that are merged, the first first. A space inside one is written as GPT-2 writes it.
fn merges(model: &Value) -> Result<Vec<(String, String)>> {
    let Some(Value::List(merges)) = model.get("merges") else {
        return Ok(Vec::new());
    };
    let wrong = || Error::malformed("a merge is no pair of texts");
    let part = |value: &Value| {
        let text = value.as_text().ok_or_else(wrong)?;
        Ok(text.replace(' ', "\u{120}"))
    };
    let pair = |merge: &Value| match merge {
        Value::Text(text) => {
            let (first, second) = text.split_once(' ').ok_or_else(wrong)?;
            Ok((first.to_owned(), second.to_owned()))
        }
        Value::List(parts) => match parts.as_slice() {
            [first, second] => Ok((part(first)?, part(second)?)),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    };
    merges.iter().map(pair).collect()
}

/// Scores by which sentencepiece's merging makes the same merges: what is merged first scores
/// highest. (llama.cpp's converter gives all tokens one score, which leaves the order open.)
fn scores(merges: &[(String, String)]) -> HashMap<String, f32> {
    let mut scores = HashMap::with_capacity(merges.len());
    for (first, second) in merges {
        let next = -(scores.len() as f32);
        scores.entry(format!("{first}{second}")).or_insert(next);
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_merged_first_scores_highest() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let scores = scores(&[pair("a", "b"), pair("ab", "c"), pair("a", "bc")]);
        assert_eq!(scores["ab"], 0.0);
        assert_eq!(scores["abc"], -1.0);
        assert!(is_byte("<0x0A>") && !is_byte("<0x0>") && !is_byte("<0xGG>"));
    }

    #[test]
    fn added_tokens_steer_or_are_text() {
        assert_eq!(
            added_token("<|im_end|>", false),
            ("<|im_end|>".to_owned(), CONTROL)
        );
        assert_eq!(added_token("</s>", true).1, CONTROL);
        let text = added_token("\u{2581}two\u{2581}words", false);
        assert_eq!(text, (" two words".to_owned(), USER_DEFINED));
    }
}

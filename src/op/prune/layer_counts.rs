//! What says how many layers a model has, after some are gone: GGUF's metadata, `config.json`.
//!
//! Sources: llama.cpp, `llama-model.cpp` (`get_key_or_arr`: lists of one entry a layer) and
//! `gguf-py/gguf/constants.py`; transformers, `configuration_*.py`.

use super::layers::DroppedLayers;
use crate::error::{Error, Result};
use crate::model::{Checkpoint, Level, Note, Value};
use serde_json::{Map, Value as Json};

/// Counts of layers in a GGUF's metadata, after the architecture and a dot, by stack.
const GGUF_COUNTS: [(&str, &str); 5] = [
    ("blk", "block_count"),
    ("enc.blk", "block_count"),
    ("dec.blk", "decoder_block_count"),
    ("v.blk", "vision.block_count"),
    ("a.blk", "audio.block_count"),
];

/// Lists in a GGUF's metadata that are none of layers, whatever their length.
const GGUF_OTHER_LISTS: [&str; 3] = [
    "rope.dimension_sections",
    "classifier.output_labels",
    "vision.image_grid_pinpoints",
];

/// Counts of a configuration that are those of the encoder, of the decoder, of any stack.
const ENCODER: [&str; 2] = ["encoder_layers", "num_encoder_layers"];
const DECODER: [&str; 2] = ["decoder_layers", "num_decoder_layers"];
const ANY: [&str; 5] = [
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "depth",
];

/// Lists of a configuration with one entry a layer whose names do not say `layer`.
const LISTS: [&str; 5] = [
    "num_query_heads",
    "num_kv_heads",
    "ffn_multipliers",
    "block_configs",
    "sliding_window_sizes",
];

/// Lists of numbers of layers.
const INDEXES: [&str; 5] = [
    "mlp_only_layers",
    "cross_attention_layers",
    "attn_layer_indices",
    "full_attn_idxs",
    "deepstack_visual_indexes",
];

/// Counts of the first layers that are dense.
const LEADING: [&str; 2] = ["first_k_dense_replace", "leading_dense_block_count"];

/// Patterns that repeat every so many layers: which layer is which changes when some go.
const PERIODS: [&str; 9] = [
    "sliding_window_pattern",
    "full_attention_interval",
    "attn_layer_period",
    "expert_layer_period",
    "decoder_sparse_step",
    "moe_layer_freq",
    "interleave_moe_layer_step",
    "no_rope_layer_interval",
    "attention_types",
];

/// Updates a GGUF's metadata, and says what should be looked at.
pub(super) fn update_metadata(
    checkpoint: &mut Checkpoint,
    dropped: &[DroppedLayers],
) -> Result<Vec<Note>> {
    let architecture = checkpoint.metadata.iter();
    let architecture = architecture
        .filter(|(key, _)| key == "general.architecture")
        .find_map(|(_, value)| value.as_text().map(str::to_owned));
    let Some(architecture) = architecture else {
        return Ok(Vec::new());
    };
    let mut notes = Vec::new();
    for layers in dropped {
        let known = GGUF_COUNTS.iter().find(|(stack, _)| *stack == layers.stack);
        let key = known.map(|(_, end)| format!("{architecture}.{end}"));
        let found = key.and_then(|key| {
            let mut metadata = checkpoint.metadata.iter();
            metadata.find(|(known, _)| *known == key).cloned()
        });
        let Some((key, Value::Int(count))) = found else {
            notes.push(uncounted("the metadata", &layers.stack));
            continue;
        };
        let count = u64::try_from(count).unwrap_or(0);
        let own = key.strip_suffix("block_count").unwrap_or(&key).to_owned();
        for (key, value) in checkpoint.metadata.clone() {
            if let Some(name) = key.strip_prefix(&own)
                && let Some(new) = updated_value(name, &value, layers, count, &mut notes)?
            {
                let types = checkpoint.metadata_types.iter();
                let kind = types.clone().find(|(known, _)| *known == key);
                let kind = kind.map_or("u32", |(_, kind)| *kind);
                checkpoint.set_metadata(&key, new, kind);
            }
        }
    }
    Ok(notes)
}

/// What the entry called `name`, without the architecture, becomes; `None` if it stays.
fn updated_value(
    name: &str,
    value: &Value,
    layers: &DroppedLayers,
    count: u64,
    notes: &mut Vec<Note>,
) -> Result<Option<Value>> {
    let is_count = name == "block_count" || name.ends_with("decoder_block_count");
    Ok(match value {
        Value::Int(number) if is_count || LEADING.contains(&name) => {
            let number = u64::try_from(*number).unwrap_or(0);
            let left = number - layers.gone_below(number);
            i64::try_from(left).ok().map(Value::Int)
        }
        Value::Int(2..) if PERIODS.iter().any(|period| name.ends_with(period)) => {
            notes.push(periodic("the metadata", name));
            None
        }
        Value::List(entries)
            if entries.len() as u64 == count && !GGUF_OTHER_LISTS.contains(&name) =>
        {
            Some(Value::List(without(entries, layers)))
        }
        Value::Array(array) if array.length == count && !GGUF_OTHER_LISTS.contains(&name) => {
            return Err(Error::unsupported(format!(
                "`{name}` has {count} entries, too many to leave some out"
            )));
        }
        _ => None,
    })
}

/// The entries of layers that are left.
fn without<T: Clone>(entries: &[T], layers: &DroppedLayers) -> Vec<T> {
    let left = (0u64..)
        .zip(entries)
        .filter(|(layer, _)| layers.renumbered(*layer).is_some());
    left.map(|(_, entry)| entry.clone()).collect()
}

fn uncounted(place: &str, stack: &str) -> Note {
    let text = format!("{place} does not say how many layers `{stack}` has, and stays as it is");
    Note::new("layer-count", Level::Warning, text)
}

fn periodic(place: &str, key: &str) -> Note {
    let text = format!(
        "`{key}` of {place} repeats every so many layers: with other numbers, layers may be taken for another kind"
    );
    Note::new("layer-pattern", Level::Warning, text)
}

/// The text of a `config.json` with the layers that are left, and what should be looked at.
/// `name`: that of the file, for notes.
pub fn update_config(name: &str, text: &str, dropped: &[DroppedLayers]) -> (String, Vec<Note>) {
    let Ok(Json::Object(mut config)) = serde_json::from_str::<Json>(text) else {
        let text_of_note = format!("{name} is no JSON object and stays as it is");
        let note = Note::new("layer-count", Level::Warning, text_of_note);
        return (text.to_owned(), vec![note]);
    };
    let mut notes = Vec::new();
    for layers in dropped {
        let key = sections(&layers.stack).into_iter().find(|key| {
            let section = section(&mut config, key);
            section.is_some_and(|section| !counts(section, layers).is_empty())
        });
        match key.and_then(|key| section(&mut config, key)) {
            Some(section) => update_section(name, section, layers, &mut notes),
            None => notes.push(uncounted(name, &layers.stack)),
        }
    }
    let written = serde_json::to_string_pretty(&config);
    (
        written.map_or_else(|_| text.to_owned(), |text| text + "\n"),
        notes,
    )
}

/// Where the configuration of a stack may stand; `""` is the outermost.
fn sections(stack: &str) -> Vec<&'static str> {
    let has = |word: &str| stack.split('.').any(|part| part.starts_with(word));
    if has("vis") {
        return vec!["vision_config"];
    }
    if has("audio") {
        return vec!["audio_config"];
    }
    let first = stack.split('.').next().unwrap_or_default();
    let own = match first {
        "encoder" => Some("encoder"),
        "decoder" => Some("decoder"),
        _ => None,
    };
    let rest = ["text_config", "llm_config", ""];
    own.into_iter().chain(rest).collect()
}

fn section<'a>(config: &'a mut Map<String, Json>, key: &str) -> Option<&'a mut Map<String, Json>> {
    match key {
        "" => Some(config),
        _ => config.get_mut(key).and_then(Json::as_object_mut),
    }
}

/// The keys that count the layers of this stack.
fn counts(section: &Map<String, Json>, layers: &DroppedLayers) -> Vec<&'static str> {
    let has = |word: &str| layers.stack.split('.').any(|part| part == word);
    let present = |keys: &[&'static str]| -> Vec<&'static str> {
        let keys = keys.iter().copied();
        keys.filter(|key| section.get(*key).is_some_and(Json::is_u64))
            .collect()
    };
    let own = match (has("encoder"), has("decoder")) {
        (_, true) => present(&DECODER),
        (true, _) => present(&ENCODER),
        _ => Vec::new(),
    };
    // Beside an encoder, a plain count is the encoder's.
    match has("decoder") && layers.is_one_of_several {
        true => own,
        false => own.into_iter().chain(present(&ANY)).collect(),
    }
}

fn update_section(
    name: &str,
    section: &mut Map<String, Json>,
    layers: &DroppedLayers,
    notes: &mut Vec<Note>,
) {
    let keys = counts(section, layers);
    let number = |section: &Map<String, Json>, key: &str| section.get(key).and_then(Json::as_u64);
    let count = keys.first().and_then(|key| number(section, key));
    let count = count.unwrap_or(layers.before);
    for key in keys.into_iter().chain(LEADING) {
        if let Some(number) = number(section, key) {
            section.insert(key.to_owned(), (number - layers.gone_below(number)).into());
        }
    }
    for (key, value) in section.iter_mut() {
        let Some(entries) = value.as_array_mut() else {
            continue;
        };
        if INDEXES.contains(&key.as_str()) {
            let numbers = entries.iter().filter_map(Json::as_u64);
            let left: Vec<Json> = numbers
                .filter_map(|layer| layers.renumbered(layer))
                .map(Json::from)
                .collect();
            *entries = left;
        } else if entries.len() as u64 == count
            && (key.contains("layer") || LISTS.contains(&key.as_str()))
        {
            *entries = without(entries, layers);
        }
    }
    let says_all = section.get("layer_types").is_some_and(Json::is_array);
    for key in PERIODS.iter().filter(|_| !says_all) {
        let value = section.get(*key);
        let repeats = value.is_some_and(|v| v.is_array() || v.as_u64().is_some_and(|n| n > 1));
        if repeats {
            notes.push(periodic(name, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(stack: &str, before: u64, gone: &[u64], is_one_of_several: bool) -> DroppedLayers {
        DroppedLayers {
            stack: stack.to_owned(),
            before,
            gone: gone.to_vec(),
            is_one_of_several,
        }
    }

    fn updated(config: &str, layers: &DroppedLayers) -> (Json, Vec<&'static str>) {
        let (text, notes) = update_config("config.json", config, std::slice::from_ref(layers));
        let rules = notes.iter().map(|note| note.rule).collect();
        (serde_json::from_str(&text).unwrap(), rules)
    }

    #[test]
    fn counts_lists_and_indexes_follow() {
        let config = r#"{"num_hidden_layers": 4, "layer_types": ["a", "b", "c", "d"], "hidden_size": 4,
            "mlp_only_layers": [0, 1, 3], "first_k_dense_replace": 2, "sliding_window_pattern": 6}"#;
        let (found, notes) = updated(config, &layers("model.layers", 4, &[1, 2], false));
        let expected = serde_json::json!({
            "num_hidden_layers": 2, "layer_types": ["a", "d"], "hidden_size": 4,
            "mlp_only_layers": [0, 1], "first_k_dense_replace": 1, "sliding_window_pattern": 6,
        });
        assert_eq!(found, expected);
        assert!(notes.is_empty());
    }

    #[test]
    fn encoders_and_decoders_have_counts_of_their_own() {
        let config = r#"{"encoder_layers": 3, "decoder_layers": 3, "num_hidden_layers": 3}"#;
        let decoder = layers("model.decoder.layers", 3, &[2], true);
        let (found, _) = updated(config, &decoder);
        let expected =
            serde_json::json!({"encoder_layers": 3, "decoder_layers": 2, "num_hidden_layers": 3});
        assert_eq!(found, expected);
        let (found, _) = updated(config, &layers("model.encoder.layers", 3, &[2], true));
        let expected =
            serde_json::json!({"encoder_layers": 2, "decoder_layers": 3, "num_hidden_layers": 2});
        assert_eq!(found, expected);
        // T5 without a count of its own for the decoder: the encoder's would be wrong.
        let (found, notes) = updated(
            r#"{"num_layers": 3}"#,
            &layers("decoder.block", 3, &[2], true),
        );
        assert_eq!(found, serde_json::json!({"num_layers": 3}));
        assert_eq!(notes, ["layer-count"]);
    }

    #[test]
    fn parts_have_sections_of_their_own() {
        let config = r#"{"text_config": {"num_hidden_layers": 3}, "vision_config": {"depth": 3}}"#;
        let (found, _) = updated(config, &layers("model.visual.blocks", 3, &[0], true));
        assert_eq!(found["vision_config"]["depth"], 2);
        let (found, _) = updated(
            config,
            &layers("model.language_model.layers", 3, &[0], true),
        );
        assert_eq!(found["text_config"]["num_hidden_layers"], 2);
    }

    #[test]
    fn patterns_that_repeat_are_pointed_at() {
        let config = r#"{"n_layer": 6, "full_attention_interval": 4}"#;
        let (found, notes) = updated(config, &layers("h", 6, &[5], false));
        assert_eq!(found["n_layer"], 5);
        assert_eq!(notes, ["layer-pattern"]);
        let (text, notes) = update_config("config.json", "[", &[layers("h", 6, &[5], false)]);
        assert_eq!((text.as_str(), notes.len()), ("[", 1));
    }
}

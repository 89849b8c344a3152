//! What llama.cpp needs to load a model of Hugging Face's libraries: GGUF's names and order of
//! rows, and the metadata that its own converter makes of the files beside the weights.
//!
//! | what | where |
//! |---|---|
//! | names, rows, experts | [`super::names`] |
//! | `general.*`: name, size, licence, where it comes from | `general` |
//! | hyperparameters, rotary positions | `parameters` |
//! | tokens, merges, special tokens | `vocabulary`, `sentencepiece`, `special` |
//! | which pre-tokenizer a vocabulary was made with | `pre_tokenizer` |
//!
//! Source: llama.cpp, convert_hf_to_gguf.py (`conversion/`) and gguf-py.

mod config;
mod entries;
mod general;
mod parameters;
mod pre_tokenizer;
mod sentencepiece;
mod special;
mod vocabulary;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::model::{Checkpoint, LanguageFiles, Payload, Shape, Storage, Tensor, Value};
use crate::op::names::{Heads, Named, to_gguf};
use config::Config;
use entries::Entries;
use parameters::{ARCHITECTURES, Architecture, Parameters};

const CONFIG: &str = "config.json";

/// A checkpoint for llama.cpp, or why it cannot be made.
#[derive(Clone, Debug)]
pub enum Found {
    /// Its architecture is known.
    Known(Box<Named>),
    /// It is not; what is missing, in a sentence.
    Unknown(String),
}

/// The models whose names are known here, as `config.json` calls them.
pub fn classes() -> Vec<&'static str> {
    ARCHITECTURES.iter().map(|row| row.class).collect()
}

/// Makes of `checkpoint`, a model of Hugging Face's libraries with these files beside it, what
/// llama.cpp loads. `with_metadata`: whether the target can hold it.
///
/// Errors name the file and the key, or the tensor: `Malformed` for numbers that make no sense
/// or do not go with the tensors, `Limit` for a vocabulary that is too large, `Unsupported` for
/// a tensor without a name in GGUF and for quantised weights.
pub fn to_llama_cpp(
    checkpoint: &Checkpoint,
    files: &LanguageFiles,
    with_metadata: bool,
) -> Result<Found> {
    let Some(value) = &files.beside.config else {
        return Ok(Found::Unknown(match files.beside.failures.first() {
            Some(failure) => failure.clone(),
            None => "there is no `config.json` beside it".to_owned(),
        }));
    };
    let path = files.path_of(CONFIG);
    let config = Config { value, file: &path };
    let architecture = match architecture(config) {
        Ok(architecture) => architecture,
        Err(missing) => return Ok(Found::Unknown(missing)),
    };
    refuse_quantized(config)?;
    let parameters = Parameters::read(config)?;
    let is_tied = config.flag("tie_word_embeddings")? == Some(true);
    let heads = architecture.is_reordered.then_some(Heads {
        queries: parameters.heads.into(),
        keys: parameters.key_heads.into(),
    });
    check(checkpoint, config, parameters)?;
    let mut named = to_gguf(checkpoint, heads, is_tied)?;
    add_rope_factors(&mut named, config, parameters)?;
    say_missing(&mut named, config, parameters);
    if with_metadata {
        describe(&mut named, files, config, architecture, parameters)?;
    }
    Ok(Found::Known(Box::new(named)))
}

/// Whether llama.cpp takes the tensor called `name` as F32 only: vectors, norms and the gates
/// of experts.
///
/// Source: `ModelBase.prepare_tensors`.
pub fn is_kept_f32(name: &str, rank: usize) -> bool {
    rank <= 1
        || name.ends_with("_norm.weight")
        || name.ends_with(".ffn_gate_inp.weight")
        || !name.ends_with(".weight")
}

/// The architecture, or what is missing.
fn architecture(config: Config<'_>) -> std::result::Result<Architecture, String> {
    let classes = match config.value.get("architectures") {
        Some(Value::List(classes)) => classes.as_slice(),
        _ => &[],
    };
    let Some(class) = classes.first().and_then(Value::as_text) else {
        return Err("`config.json` has no `architectures`".to_owned());
    };
    let known = ARCHITECTURES.iter().find(|row| row.class == class);
    known.copied().ok_or_else(|| {
        format!("GGUF's names for `{class}`, as `config.json` calls it, are not known here")
    })
}

fn refuse_quantized(config: Config<'_>) -> Result<()> {
    let Some(quantization) = config.inner("quantization_config") else {
        return Ok(());
    };
    let method = quantization.text("quant_method")?.unwrap_or("unknown");
    let message = format!("`quantization_config` says the weights are quantised by `{method}`");
    let error = Error::unsupported(message).in_file(config.file);
    Err(error.with_hint("only plain weights become GGUF; `--names keep` writes them as they are"))
}

/// Whether the tensors have the shapes that the configuration says.
fn check(checkpoint: &Checkpoint, config: Config<'_>, parameters: Parameters) -> Result<()> {
    let width = u64::from(parameters.head_width);
    let rows = |heads: u32| width.saturating_mul(heads.into());
    for tensor in &checkpoint.tensors {
        let dimensions = tensor.shape.dimensions();
        let (place, needed, key) = match tensor.name.as_str() {
            "model.embed_tokens.weight" => (1, parameters.embedding.into(), "hidden_size"),
            name if name.ends_with(".self_attn.q_proj.weight") => (
                0,
                rows(parameters.heads),
                "num_attention_heads` times `head_dim",
            ),
            name if name.ends_with(".self_attn.k_proj.weight") => (
                0,
                rows(parameters.key_heads),
                "num_key_value_heads` times `head_dim",
            ),
            _ => continue,
        };
        if dimensions.len() != 2 || dimensions.get(place) != Some(&needed) {
            let (name, shape) = (&tensor.name, &tensor.shape);
            let message = format!("`{key}` is {needed}, but tensor `{name}` has shape {shape}");
            return Err(Error::malformed(message).in_file(config.file));
        }
    }
    Ok(())
}

/// llama3's scaling of rotary positions is a tensor of its own, the first.
fn add_rope_factors(named: &mut Named, config: Config<'_>, parameters: Parameters) -> Result<()> {
    let Some(factors) = parameters::rope_factors(config, parameters.head_width)? else {
        return Ok(());
    };
    let shape = Shape::new([factors.len() as u64])?;
    let bytes: Vec<u8> = factors.iter().flat_map(|f| f.to_le_bytes()).collect();
    let payload = Payload::Stored(Storage::inline(bytes));
    let tensor = Tensor::new("rope_freqs.weight", DType::F32, shape, payload);
    named.checkpoint.tensors.insert(0, tensor);
    named.from.insert(0, None);
    Ok(())
}

/// Tensors of each layer without which no model works.
const NEEDED: &[&str] = &[
    "attn_norm",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "ffn_norm",
];

/// Says which tensors llama.cpp will miss.
fn say_missing(named: &mut Named, config: Config<'_>, parameters: Parameters) {
    let tensors = &named.checkpoint.tensors;
    let names: std::collections::HashSet<&str> =
        tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let global = ["token_embd.weight", "output_norm.weight"].map(str::to_owned);
    // A layer that has no tensor ends the search: the number of them is a claim.
    let layers = (0..parameters.layers).flat_map(|layer| {
        let of_layer = NEEDED.iter();
        of_layer.map(move |part| format!("blk.{layer}.{part}.weight"))
    });
    let mut wanted = global.into_iter().chain(layers);
    let missing = wanted.find(|name| !names.contains(name.as_str()));
    if let Some(name) = missing {
        let layers = parameters.layers;
        named.notes.push(format!(
            "warning: `{name}` is missing, so llama.cpp will not load it; {} says there are {layers} layers",
            config.file
        ));
    }
}

/// Puts the metadata before what the checkpoint has of its own.
fn describe(
    named: &mut Named,
    files: &LanguageFiles,
    config: Config<'_>,
    architecture: Architecture,
    parameters: Parameters,
) -> Result<()> {
    let mut entries = Entries::default();
    entries.text("general.architecture", architecture.name);
    entries.text("general.type", "model");
    general::add(&mut entries, files, config, &named.checkpoint.tensors)?;
    let vocabulary = vocabulary_size(named, config)?;
    let notes = &mut named.notes;
    parameters::add(
        &mut entries,
        config,
        architecture,
        parameters,
        vocabulary,
        notes,
    )?;
    entries.count("general.quantization_version", 2);
    vocabulary::add(&mut entries, files, config, vocabulary, notes)?;
    let checkpoint = &mut named.checkpoint;
    // What an index of shards counts is not about the new file.
    let old = std::mem::take(&mut checkpoint.metadata).into_iter();
    let old = old.filter(|(key, _)| !matches!(key.as_str(), "total_size" | "total_parameters"));
    for (key, value, kind) in entries.0 {
        checkpoint.metadata_types.push((key.clone(), kind));
        checkpoint.metadata.push((key, value));
    }
    checkpoint.metadata.extend(old);
    Ok(())
}

/// Rows of the embedding: as many tokens llama.cpp wants.
fn vocabulary_size(named: &mut Named, config: Config<'_>) -> Result<u32> {
    let stated = config.count(&["vocab_size"])?;
    let embedding = named.checkpoint.tensor("token_embd.weight");
    let rows = embedding.and_then(|tensor| tensor.shape.dimensions().first().copied());
    let Some(rows) = rows else {
        return Ok(stated.unwrap_or(0));
    };
    let allowed = crate::limits::TOKENS;
    let rows = match u32::try_from(rows) {
        Ok(rows) if u64::from(rows) <= allowed => rows,
        _ => {
            let message = format!("has {rows} rows, a token each; the limit is {allowed}");
            return Err(Error::limit(message).in_tensor("token_embd.weight"));
        }
    };
    if let Some(stated) = stated.filter(|stated| *stated != rows) {
        let file = config.file;
        named.notes.push(format!(
            "warning: {file}: `vocab_size` is {stated}, but the embedding has {rows} rows, which count"
        ));
    }
    Ok(rows)
}

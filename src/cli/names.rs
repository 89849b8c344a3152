//! `--names`: whose names the tensors of the output have.

use super::args::Global;
use super::transform::Dropped;
use ckpt::dtype::DType;
use ckpt::format;
use ckpt::io::{file_exists, is_folder};
use ckpt::model::Checkpoint;
use ckpt::op::llama_cpp::{self, Found};
use ckpt::op::names::{Named, to_hugging_face};
use ckpt::op::rules::{Asked, Wanted};
use ckpt::{Error, Result};
use clap::ValueEnum;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What `--names` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NamesArg {
    /// Those of the source
    Keep,
    /// Hugging Face's, with the rows of Q and K in their order
    Hf,
    /// GGUF's, with the metadata that llama.cpp needs, from `config.json` and the tokenizer beside the source
    Gguf,
}

/// A checkpoint under the names that are wanted.
pub(crate) struct Arranged {
    pub(crate) checkpoint: Checkpoint,
    /// The dtypes that are wanted, in its order.
    pub(crate) wanted: Vec<Option<Asked>>,
    pub(crate) dropped: Vec<Dropped>,
    /// What tensors are called in the source, by what they are called now; those that keep
    /// their names are not in it.
    pub(crate) source_names: HashMap<String, String>,
    /// Whether its metadata says what the files beside the source say.
    pub(crate) is_described: bool,
}

/// Whether GGUF's metadata holds what the file called `name` says.
pub(crate) fn is_in_metadata(name: &str) -> bool {
    const STARTS: [&str; 8] = [
        "config.json",
        "generation_config.json",
        "tokenizer",
        "special_tokens_map",
        "added_tokens",
        "chat_template",
        "vocab.json",
        "merges.txt",
    ];
    STARTS.iter().any(|start| name.starts_with(start))
}

/// Gives the tensors of `checkpoint`, read from `source`, the names that `names` says. Without
/// it GGUF files get GGUF's names if the architecture is known, and others keep theirs.
///
/// `wanted`: dtypes that rules say, in the checkpoint's order, or none at all.
pub(crate) fn arrange(
    checkpoint: Checkpoint,
    wanted: Vec<Option<Asked>>,
    names: Option<NamesArg>,
    source: &Path,
    target: &Path,
    global: &Global,
) -> Result<Arranged> {
    let is_from_gguf = checkpoint.format == "gguf";
    let extension = target.extension().unwrap_or_default();
    let is_to_gguf = extension.eq_ignore_ascii_case("gguf");
    let path = checkpoint.path.clone();
    let named = match (names, is_from_gguf) {
        (Some(NamesArg::Gguf), false) => to_gguf(&checkpoint, source, is_to_gguf)?
            .map_err(|missing| Error::usage(format!("`--names gguf`: {missing}")))
            .map_err(|error| error.in_file(&path).with_hint(known()))?,
        (None, false) if is_to_gguf => match to_gguf(&checkpoint, source, true)? {
            Ok(named) => named,
            Err(missing) => {
                global.say(&format!("{path}: names are kept: {missing}"));
                return Ok(kept(checkpoint, wanted));
            }
        },
        (Some(NamesArg::Hf), true) => {
            if !is_folder(source) || !file_exists(&source.join("config.json")) {
                global.say(&format!(
                    "{path}: of its metadata no `config.json` and no tokenizer are made, which Hugging Face's libraries need beside the output"
                ));
            }
            to_hugging_face(&checkpoint).map_err(|error| error.in_file(&path))?
        }
        (Some(NamesArg::Hf), false) => {
            global.say(&format!(
                "{path}: names are kept: `--names hf` is about those of GGUF files"
            ));
            return Ok(kept(checkpoint, wanted));
        }
        _ => return Ok(kept(checkpoint, wanted)),
    };
    for note in &named.notes {
        global.say(&format!("{path}: {note}"));
    }
    let is_for_llama_cpp = names != Some(NamesArg::Hf);
    let mut arranged = arranged(&checkpoint, named, &wanted, is_for_llama_cpp);
    arranged.is_described = is_for_llama_cpp && is_to_gguf;
    Ok(arranged)
}

fn known() -> String {
    let classes = llama_cpp::classes().join(", ");
    format!("known are {classes}; `--names keep` leaves all names")
}

fn kept(checkpoint: Checkpoint, wanted: Vec<Option<Asked>>) -> Arranged {
    Arranged {
        checkpoint,
        wanted,
        dropped: Vec::new(),
        source_names: HashMap::new(),
        is_described: false,
    }
}

/// With GGUF's names, or what is missing.
fn to_gguf(
    checkpoint: &Checkpoint,
    source: &Path,
    with_metadata: bool,
) -> Result<std::result::Result<Named, String>> {
    if source == Path::new("-") {
        return Ok(Err("nothing lies beside standard input".to_owned()));
    }
    let files = format::language_files(source)?;
    let found = llama_cpp::to_llama_cpp(checkpoint, &files, with_metadata);
    Ok(
        match found.map_err(|error| error.in_file(&checkpoint.path))? {
            Found::Known(named) => Ok(*named),
            Found::Unknown(missing) => Err(missing),
        },
    )
}

/// Puts dtypes and names in the new order.
fn arranged(
    source: &Checkpoint,
    named: Named,
    wanted: &[Option<Asked>],
    is_for_llama_cpp: bool,
) -> Arranged {
    let tensors = named.checkpoint.tensors.iter().zip(&named.from);
    let kept: Arc<str> = "what llama.cpp keeps".into();
    let of_tensor = |(tensor, from): (&ckpt::model::Tensor, &Option<usize>)| {
        let ruled = from.and_then(|from| wanted.get(from).cloned().flatten());
        let is_f32 = is_for_llama_cpp
            && llama_cpp::is_kept_f32(&tensor.name, tensor.shape.dimensions().len());
        ruled.or_else(|| {
            is_f32.then(|| Asked {
                wanted: Wanted::DType(DType::F32),
                rule: Arc::clone(&kept),
            })
        })
    };
    let wanted = tensors.clone().map(of_tensor).collect();
    let source_names = tensors
        .filter_map(|(tensor, from)| {
            let from = source.tensors.get((*from)?)?;
            Some((tensor.name.clone(), from.name.clone()))
        })
        .collect();
    let dropped = named.left_out.iter().filter_map(|(index, reason)| {
        let tensor = source.tensors.get(*index)?;
        Some(Dropped {
            kind: "tensor",
            name: tensor.name.clone(),
            reason,
            bytes: tensor.byte_len().unwrap_or(0),
        })
    });
    Arranged {
        dropped: dropped.collect(),
        checkpoint: named.checkpoint,
        wanted,
        source_names,
        is_described: false,
    }
}

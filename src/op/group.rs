//! Tensors taken together: by layer, by module, by dtype, or by a glob.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::text::layer_of;

/// What tensors of one group have in common.
#[derive(Clone, Debug)]
pub enum Grouping {
    /// The name up to its first number: `model.layers.3`.
    Layer,
    /// The name without its last part: `model.layers.3.mlp.up_proj`.
    Module,
    /// The dtype.
    DType,
    /// The shortest beginning of the name, in whole parts, that a glob matches.
    Glob(globset::GlobMatcher),
}

impl Grouping {
    /// Reads `layer`, `module`, `dtype` or a glob.
    ///
    /// Errors: `Usage` for a glob that cannot be read, and for a word that is none of these and
    /// has no wildcard: it could only be a slip.
    pub fn read(text: &str) -> Result<Grouping> {
        match text {
            "layer" => return Ok(Grouping::Layer),
            "module" => return Ok(Grouping::Module),
            "dtype" => return Ok(Grouping::DType),
            _ => {}
        }
        if !text.contains(['*', '?', '[', '{']) {
            return Err(Error::usage(format!(
                "`{text}` is no way to group; there are layer, module, dtype, and globs such as \
                 `model.layers.*`"
            )));
        }
        let glob = globset::Glob::new(text).map_err(|error| {
            Error::usage(format!("`{text}` is no valid glob: {}", error.kind()))
        })?;
        Ok(Grouping::Glob(glob.compile_matcher()))
    }

    /// The group of the tensor called `name`. Tensors without a layer, a module or a match are a
    /// group of their own name.
    pub fn key(&self, name: &str, dtype: DType) -> String {
        let key = match self {
            Grouping::Layer => layer_of(name),
            Grouping::Module => name.rsplit_once('.').map(|(module, _)| module),
            Grouping::DType => return dtype.to_string(),
            Grouping::Glob(glob) => beginnings(name).find(|part| glob.is_match(part)),
        };
        key.unwrap_or(name).to_owned()
    }
}

/// The beginnings of `name` in whole parts, shortest first; the name itself is the last.
fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(place, _)| place);
    dots.chain([name.len()]).map(|end| &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(by: &str, name: &str) -> String {
        Grouping::read(by).unwrap().key(name, DType::F32)
    }

    #[test]
    fn a_layer_ends_at_the_first_number() {
        assert_eq!(
            key("layer", "model.layers.3.mlp.0.weight"),
            "model.layers.3"
        );
        assert_eq!(key("layer", "blk.11.attn_q.weight"), "blk.11");
        assert_eq!(key("layer", "lm_head.weight"), "lm_head.weight");
    }

    #[test]
    fn a_module_is_the_name_without_its_last_part() {
        assert_eq!(key("module", "a.b.weight"), "a.b");
        assert_eq!(key("module", "weight"), "weight");
    }

    #[test]
    fn a_glob_takes_the_shortest_beginning() {
        assert_eq!(
            key("*.layers.*", "model.layers.3.mlp.weight"),
            "model.layers.3"
        );
        assert_eq!(
            key("*.layers.*.mlp", "model.layers.3.mlp.weight"),
            "model.layers.3.mlp"
        );
        assert_eq!(key("*.layers.*", "norm.weight"), "norm.weight");
    }

    #[test]
    fn a_word_without_a_wildcard_is_refused() {
        assert!(Grouping::read("layers").is_err());
        assert!(Grouping::read("[").is_err());
    }
}

//! Which tensors an operation is about: globs, regular expressions and dtypes.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::model::{Checkpoint, Tensor};

/// A choice of tensors. A tensor is chosen if an include pattern matches its name (or there is
/// none), no exclude pattern does, and its dtype is wanted (or none is named).
#[derive(Clone, Debug, Default)]
pub struct Selection {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    dtypes: Vec<DType>,
}

/// One pattern on full tensor names.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// As the caller wrote it.
    text: String,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    /// Holds for whole names.
    Glob(globset::GlobMatcher),
    /// Holds anywhere in a name.
    Regex(regex::Regex),
}

impl Selection {
    /// Reads patterns: globs in which `*` also matches dots and slashes, or regular expressions
    /// after `re:`, which may match anywhere in a name.
    ///
    /// Errors: `Usage` for a pattern or dtype that cannot be read.
    pub fn new(include: &[String], exclude: &[String], dtypes: &[String]) -> Result<Selection> {
        let read = |patterns: &[String]| -> Result<Vec<Pattern>> {
            patterns.iter().map(|text| Pattern::read(text)).collect()
        };
        Ok(Selection {
            include: read(include)?,
            exclude: read(exclude)?,
            dtypes: dtypes
                .iter()
                .map(|d| read_dtype(d))
                .collect::<Result<_>>()?,
        })
    }

    /// Whether every tensor is chosen.
    pub fn is_everything(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty() && self.dtypes.is_empty()
    }

    /// For each tensor of `checkpoint`, whether it is chosen.
    ///
    /// Patterns look at full names, and at the names without the root's prefix.
    /// Errors: `Usage` if a pattern or dtype matches nothing.
    pub fn choose(&self, checkpoint: &Checkpoint) -> Result<Vec<bool>> {
        let tensors = &checkpoint.tensors;
        let root = Root::of(checkpoint);
        let mut chosen = vec![self.include.is_empty(); tensors.len()];
        for pattern in &self.include {
            pattern.mark(tensors, &root, true, &mut chosen)?;
        }
        for pattern in &self.exclude {
            pattern.mark(tensors, &root, false, &mut chosen)?;
        }
        for &dtype in &self.dtypes {
            if !tensors.iter().any(|tensor| tensor.dtype == dtype) {
                let error = Error::usage(format!("`--only-dtype {dtype}` matches no tensor"));
                return Err(error.with_hint(format!("dtypes here: {}", list_dtypes(tensors))));
            }
        }
        if !self.dtypes.is_empty() {
            for (chosen, tensor) in chosen.iter_mut().zip(tensors) {
                *chosen &= self.dtypes.contains(&tensor.dtype);
            }
        }
        Ok(chosen)
    }

    /// For each pair of tensors, of which one may be missing, whether it is chosen: if an
    /// include pattern matches one of them (or there is none), no exclude pattern matches
    /// either, and the dtype of one is wanted (or none is named).
    ///
    /// `roots`: the prefixes that the names of either side have lost; patterns look at names
    /// with and without them. Errors: `Usage` if a pattern or dtype matches nothing.
    pub fn choose_pairs(
        &self,
        pairs: &[[Option<&Tensor>; 2]],
        roots: [Option<&str>; 2],
    ) -> Result<Vec<bool>> {
        let mut chosen = vec![self.include.is_empty(); pairs.len()];
        let mut mark = |pattern: &Pattern, value: bool| {
            let mut found = false;
            for (chosen, pair) in chosen.iter_mut().zip(pairs) {
                let is_match = |(tensor, root): (&Option<&Tensor>, &Option<&str>)| {
                    tensor.is_some_and(|tensor| {
                        pattern.matches(&tensor.name)
                            || root
                                .is_some_and(|r| pattern.matches(&format!("{r}.{}", tensor.name)))
                    })
                };
                if pair.iter().zip(&roots).any(is_match) {
                    *chosen = value;
                    found = true;
                }
            }
            match found {
                true => Ok(()),
                false => {
                    Err(pattern.matches_nothing(pairs.iter().flatten().flatten().copied().next()))
                }
            }
        };
        for pattern in &self.include {
            mark(pattern, true)?;
        }
        for pattern in &self.exclude {
            mark(pattern, false)?;
        }
        let is_of = |pair: &[Option<&Tensor>; 2], dtype: DType| {
            pair.iter().flatten().any(|tensor| tensor.dtype == dtype)
        };
        for &dtype in &self.dtypes {
            if !pairs.iter().any(|pair| is_of(pair, dtype)) {
                return Err(Error::usage(format!(
                    "`--only-dtype {dtype}` matches no tensor"
                )));
            }
        }
        for (chosen, pair) in chosen.iter_mut().zip(pairs) {
            let mut dtypes = self.dtypes.iter();
            *chosen &= self.dtypes.is_empty() || dtypes.any(|&dtype| is_of(pair, dtype));
        }
        Ok(chosen)
    }

    /// Leaves the chosen tensors only in `checkpoint`. Errors as for [`Selection::choose`].
    pub fn apply(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        if self.is_everything() {
            return Ok(());
        }
        let chosen = self
            .choose(checkpoint)
            .map_err(|error| error.in_file(&checkpoint.path))?;
        checkpoint.keep(&chosen);
        Ok(())
    }
}

/// The prefix that names may be written without.
struct Root {
    prefix: Option<String>,
}

impl Root {
    fn of(checkpoint: &Checkpoint) -> Root {
        let has_groups = !checkpoint.groups.is_empty();
        let root = checkpoint.root.as_ref().filter(|_| has_groups);
        Root {
            prefix: root.map(|key| format!("{key}.")),
        }
    }

    fn strip<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.prefix.as_deref()?)
    }
}

/// Takes the entries of the metadata whose keys match one of `patterns`, globs or `re:...`.
///
/// Errors: `Usage` for a pattern that cannot be read or matches nothing.
pub fn remove_metadata(checkpoint: &mut Checkpoint, patterns: &[String]) -> Result<()> {
    for text in patterns {
        let pattern = Pattern::read(text)?;
        let stays = |key: &str| !pattern.matches(key);
        let before = checkpoint.metadata.len();
        checkpoint.metadata.retain(|(key, _)| stays(key));
        checkpoint.metadata_types.retain(|(key, _)| stays(key));
        checkpoint.stored_metadata.retain(|(key, _)| stays(key));
        if checkpoint.metadata.len() == before {
            let error = Error::usage(format!("pattern `{text}` matches no key of the metadata"));
            return Err(error.with_hint("`ckpt inspect --metadata` shows them"));
        }
    }
    Ok(())
}

impl Pattern {
    /// Reads a glob, or a regular expression after `re:`.
    pub(super) fn read(text: &str) -> Result<Pattern> {
        let invalid =
            |reason: &str| Error::usage(format!("`{text}` is no valid pattern: {reason}"));
        let matcher = match text.strip_prefix("re:") {
            Some(expression) => {
                let read = regex::Regex::new(expression);
                Matcher::Regex(read.map_err(|e| invalid(&regex_reason(&e.to_string())))?)
            }
            None => {
                let glob = globset::GlobBuilder::new(text)
                    .literal_separator(false)
                    .backslash_escape(true)
                    .build();
                let glob = glob.map_err(|e| invalid(&e.kind().to_string()))?;
                Matcher::Glob(glob.compile_matcher())
            }
        };
        Ok(Pattern {
            text: text.to_owned(),
            matcher,
        })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match &self.matcher {
            // A name with brackets in it may also be given as it stands.
            Matcher::Glob(glob) => self.text == name || glob.is_match(name),
            Matcher::Regex(regex) => regex.is_match(name),
        }
    }

    /// Sets `chosen` to `value` for every tensor that matches.
    fn mark(
        &self,
        tensors: &[Tensor],
        root: &Root,
        value: bool,
        chosen: &mut [bool],
    ) -> Result<()> {
        let mut found = false;
        for (chosen, tensor) in chosen.iter_mut().zip(tensors) {
            let short = root.strip(&tensor.name);
            if self.matches(&tensor.name) || short.is_some_and(|name| self.matches(name)) {
                *chosen = value;
                found = true;
            }
        }
        if found {
            return Ok(());
        }
        Err(self.matches_nothing(tensors.first()))
    }

    /// `first`: a tensor whose name shows what names look like.
    fn matches_nothing(&self, first: Option<&Tensor>) -> Error {
        let error = Error::usage(format!("pattern `{}` matches no tensor", self.text));
        match first {
            Some(first) if !self.text.starts_with("re:") => error.with_hint(format!(
                "a pattern is held against whole names such as `{}`; `*` stands for any text",
                first.name
            )),
            _ => error,
        }
    }
}

/// What is wrong with a regular expression: the crate draws the place on several lines, and
/// says it on the last.
pub(super) fn regex_reason(message: &str) -> String {
    let last = message.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

pub(super) fn read_dtype(name: &str) -> Result<DType> {
    DType::from_name(name).ok_or_else(|| {
        Error::usage(format!("`{name}` is no dtype")).with_hint(
            "dtypes are written as in safetensors (F32, BF16, F8_E4M3, I64) or ggml (Q4_0, Q4_K)",
        )
    })
}

/// The dtypes that occur, in order of first occurrence.
fn list_dtypes(tensors: &[Tensor]) -> String {
    let mut seen: Vec<DType> = Vec::new();
    for tensor in tensors {
        if !seen.contains(&tensor.dtype) {
            seen.push(tensor.dtype);
        }
    }
    let names: Vec<String> = seen.iter().map(DType::to_string).collect();
    names.join(", ")
}

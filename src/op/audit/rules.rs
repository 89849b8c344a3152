//! Every rule under which something can be found: the only list of them.

use crate::model::Level;

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Whether the file is whole and says the same to every reader.
    Structure,
    /// Whether it carries code.
    Safety,
    /// Whether its numbers make sense; found with `--values` only.
    Values,
}

impl Family {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Family::Structure => "structure",
            Family::Safety => "safety",
            Family::Values => "values",
        }
    }
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its stable name.
    pub name: &'static str,
    /// What it is about.
    pub family: Family,
    /// How much it matters as a rule; single findings may matter less or more.
    pub severity: Level,
    /// What it finds, in a sentence.
    pub what: &'static str,
}

const fn rule(name: &'static str, family: Family, severity: Level, what: &'static str) -> Rule {
    Rule {
        name,
        family,
        severity,
        what,
    }
}

use Family::{Safety, Structure, Values};
use Level::{Danger, Error, Info, Warning};

/// Every rule, by family and then by name.
pub static RULES: &[Rule] = &[
    rule(
        "archive",
        Structure,
        Info,
        "the checkpoint lies in an archive",
    ),
    rule(
        "case-collision",
        Structure,
        Warning,
        "two names of tensors differ in case only",
    ),
    rule(
        "compressed",
        Structure,
        Info,
        "the file is compressed as a whole",
    ),
    rule(
        "config-mismatch",
        Structure,
        Warning,
        "a shape or a number of layers is not what the `config.json` beside it implies",
    ),
    rule("cycle", Structure, Warning, "an object holds itself"),
    rule(
        "depth",
        Structure,
        Warning,
        "objects are nested deeper than is shown",
    ),
    rule(
        "duplicate-member",
        Structure,
        Warning,
        "two members of an archive have one name, or names that differ in case only; which counts depends on the reader",
    ),
    rule(
        "duplicate-metadata",
        Structure,
        Warning,
        "a key of the metadata occurs twice",
    ),
    rule(
        "duplicate-name",
        Structure,
        Warning,
        "a tensor's name occurs twice, in one file or in several shards",
    ),
    rule(
        "gap",
        Structure,
        Error,
        "bytes between tensors belong to none",
    ),
    rule(
        "gguf-long-name",
        Structure,
        Warning,
        "a name is longer than ggml keeps",
    ),
    rule(
        "gguf-nested-array",
        Structure,
        Warning,
        "an array of arrays in the metadata, which ggml refuses",
    ),
    rule(
        "gguf-offset",
        Structure,
        Warning,
        "tensors lie elsewhere than ggml demands",
    ),
    rule(
        "gguf-original-shape",
        Structure,
        Info,
        "tensors are stored in another shape than they had",
    ),
    rule(
        "gguf-split",
        Structure,
        Warning,
        "what a split file says of its parts does not fit them",
    ),
    rule(
        "gguf-text",
        Structure,
        Warning,
        "a text is no UTF-8 or ends in NUL",
    ),
    rule(
        "identity",
        Structure,
        Warning,
        "what the metadata declare is not what names and shapes show",
    ),
    rule(
        "interrupted-run",
        Structure,
        Warning,
        "an index names shards as a run did that was killed while it replaced them",
    ),
    rule(
        "large-header",
        Structure,
        Info,
        "the header is larger than other readers allow",
    ),
    rule(
        "leading-whitespace",
        Structure,
        Warning,
        "blanks stand before the header's brace",
    ),
    rule(
        "licence",
        Structure,
        Warning,
        "a licence is none of those that `--licence` allows",
    ),
    rule(
        "link-outside",
        Structure,
        Warning,
        "a link leads out of the folder; into the cache of Hugging Face it is only worth knowing",
    ),
    rule(
        "linked-shard",
        Structure,
        Info,
        "a shard is a link to a file outside the folder",
    ),
    rule(
        "malformed",
        Structure,
        Error,
        "the file contradicts its own format: truncated, overlapping, a number that does not fit",
    ),
    rule(
        "member-path",
        Structure,
        Warning,
        "the name of an archive's member leads out of the folder that it is unpacked to",
    ),
    rule(
        "misplaced-tensor",
        Structure,
        Warning,
        "a tensor is in another shard than the index says",
    ),
    rule(
        "missing-shard",
        Structure,
        Error,
        "a shard that is listed or counted is not there",
    ),
    rule(
        "missing-tensor",
        Structure,
        Error,
        "a tensor that the index lists is in no shard",
    ),
    rule(
        "mixed-formats",
        Structure,
        Warning,
        "the shards are of several formats",
    ),
    rule(
        "no-index",
        Structure,
        Info,
        "shards were joined by their names, without an index",
    ),
    rule(
        "no-version",
        Structure,
        Warning,
        "a record that torch requires is missing",
    ),
    rule(
        "not-examined",
        Structure,
        Error,
        "something cannot be looked into: it is encrypted, packed in an unread way, too large or unreadable; never clean, exit status 2",
    ),
    rule(
        "not-read",
        Structure,
        Info,
        "something was left aside, or its tensors are not read though all of it was searched for code",
    ),
    rule("null-metadata", Structure, Info, "the metadata is null"),
    rule(
        "object-array",
        Structure,
        Warning,
        "an array of NumPy holds Python objects",
    ),
    rule(
        "odd-name",
        Structure,
        Warning,
        "a tensor's name is empty, holds control or bidi characters, or is a path",
    ),
    rule(
        "orphan-shard",
        Structure,
        Warning,
        "a shard lies beside an index that does not list it",
    ),
    rule("overlap", Structure, Error, "tensors overlap"),
    rule(
        "schema-count",
        Structure,
        Error,
        "more or fewer tensors match a pattern of the schema than it says",
    ),
    rule(
        "schema-dtype",
        Structure,
        Error,
        "a tensor has another dtype than the schema says",
    ),
    rule(
        "schema-missing",
        Structure,
        Error,
        "a tensor that the schema names is not there",
    ),
    rule(
        "schema-shape",
        Structure,
        Error,
        "a tensor has another shape than the schema says",
    ),
    rule(
        "schema-unexpected",
        Structure,
        Error,
        "a tensor is there that the schema does not name",
    ),
    rule(
        "several-roots",
        Structure,
        Warning,
        "several parts of a training checkpoint may be the model",
    ),
    rule(
        "stand-in-type",
        Structure,
        Info,
        "a type that other libraries lack is stored under another one",
    ),
    rule(
        "storage-length",
        Structure,
        Warning,
        "a storage has more bytes than it declares",
    ),
    rule(
        "stray-member",
        Structure,
        Warning,
        "a member lies outside the archive's folder",
    ),
    rule(
        "tensor-subclass",
        Structure,
        Info,
        "tensors are of a class of their own",
    ),
    rule(
        "total-size",
        Structure,
        Warning,
        "the index says another size than the tensors have",
    ),
    rule("trailing-bytes", Structure, Warning, "bytes follow the end"),
    rule(
        "truncated",
        Structure,
        Error,
        "the file ends before what it announces",
    ),
    rule(
        "unaligned-header",
        Structure,
        Info,
        "the header's length is no multiple of eight",
    ),
    rule(
        "unaligned-tensors",
        Structure,
        Info,
        "tensors do not start at multiples of their elements",
    ),
    rule(
        "unknown-field",
        Structure,
        Warning,
        "a field that the format does not have",
    ),
    rule(
        "unknown-type",
        Structure,
        Warning,
        "tensors of a type that is not known",
    ),
    rule(
        "unknown-version",
        Structure,
        Warning,
        "a version that torch does not have",
    ),
    rule(
        "unlisted-tensor",
        Structure,
        Warning,
        "a shard has a tensor that the index does not list",
    ),
    rule(
        "unseen-storage",
        Structure,
        Warning,
        "tensors show a small part of a storage; the rest was saved with them",
    ),
    rule(
        "unsorted-tensors",
        Structure,
        Info,
        "tensors do not lie in the order of the header",
    ),
    rule(
        "unused-storage",
        Structure,
        Info,
        "no tensor lies in a storage",
    ),
    rule(
        "values-cut",
        Structure,
        Info,
        "there are more values than are shown",
    ),
    rule(
        "zip-flags",
        Structure,
        Error,
        "directory and header of a member disagree on encryption",
    ),
    rule(
        "zip-gap",
        Structure,
        Warning,
        "bytes between the members of a zip belong to none",
    ),
    rule(
        "zip-headers-differ",
        Structure,
        Error,
        "the directory of a zip and a member's own header contradict each other",
    ),
    rule(
        "zip-hidden-member",
        Structure,
        Error,
        "a member that no directory lists",
    ),
    rule(
        "zip-prepended",
        Structure,
        Warning,
        "bytes stand before a zip, which readers deal with differently",
    ),
    rule(
        "zip-trailing-bytes",
        Structure,
        Warning,
        "bytes follow the end record of a zip, or its comment lies",
    ),
    rule(
        "zip-two-directories",
        Structure,
        Error,
        "a zip has two directories; which counts depends on the reader",
    ),
    rule(
        "attribute-change",
        Safety,
        Danger,
        "a pickle sets attributes of what it imports, or makes an object another",
    ),
    rule(
        "broken-pickle",
        Safety,
        Error,
        "a pickle that cannot be followed to its end; what it imports until there is judged",
    ),
    rule(
        "computed-import",
        Safety,
        Danger,
        "a pickle imports under a name that it computes",
    ),
    rule(
        "dangerous-import",
        Safety,
        Danger,
        "a pickle imports or calls what runs programs or code, reaches files, the network or the running program, or loads another pickle",
    ),
    rule(
        "extension-code",
        Safety,
        Error,
        "a pickle imports by a number, which only the loading program can resolve",
    ),
    rule(
        "hidden-pickle",
        Safety,
        Warning,
        "a pickle stands where no reader of the format looks",
    ),
    rule(
        "keras-code",
        Safety,
        Danger,
        "a Keras configuration carries code, or names what is not known to be harmless",
    ),
    rule(
        "leftover-objects",
        Safety,
        Warning,
        "a pickle makes objects beside its result",
    ),
    rule(
        "program-code",
        Safety,
        Info,
        "program code: TorchScript's own, or Python beside the weights",
    ),
    rule(
        "script-in-metadata",
        Safety,
        Warning,
        "a text of the metadata reads like program code",
    ),
    rule(
        "template-escape",
        Safety,
        Danger,
        "a chat template reaches behind its values, or loads another template",
    ),
    rule(
        "unknown-call",
        Safety,
        Error,
        "a pickle calls a function that is not known to be harmless",
    ),
    rule(
        "unknown-import",
        Safety,
        Warning,
        "a pickle imports, or makes objects of, what is not known to be harmless",
    ),
    rule(
        "would-import",
        Safety,
        Warning,
        "a reader's summary of the imports; `audit` lists them one by one instead",
    ),
    rule(
        "all-zero",
        Values,
        Warning,
        "all elements of a matrix are zero; of a vector it is only worth knowing",
    ),
    rule(
        "constant",
        Values,
        Warning,
        "all elements of a matrix are the same; of a vector it is only worth knowing",
    ),
    rule(
        "duplicate-tensor",
        Values,
        Warning,
        "a tensor has the bytes of another and is stored again; below 4 kB only worth knowing",
    ),
    rule(
        "extreme-magnitude",
        Values,
        Warning,
        "a magnitude is above --max-magnitude, by default 65504, the largest number of F16",
    ),
    rule("infinite", Values, Warning, "elements are infinite"),
    rule(
        "lora-idle",
        Values,
        Warning,
        "one half of a low-rank pair is zero, so that the pair does nothing",
    ),
    rule(
        "lora-unpaired",
        Values,
        Warning,
        "the other half of a low-rank pair is not there",
    ),
    rule("nan", Values, Error, "elements are NaN"),
    rule(
        "scale-outlier",
        Values,
        Warning,
        "the root mean square of a tensor is off the median of at least 8 siblings (same name but for its numbers, dtype and shape) by 8 typical deviations and by a factor of 10",
    ),
    rule(
        "wrong-checksum",
        Values,
        Warning,
        "a member of a zip has another checksum than declared",
    ),
];

/// The rule called `name`.
pub fn find(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

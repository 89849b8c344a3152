//! What went wrong, whose fault it is, and where.

use crate::text::escape;
use std::fmt;

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The world: a file that cannot be opened, read or written.
    Io,
    /// The file: it contradicts its own format.
    Malformed,
    /// Us: a valid file that we cannot handle.
    Unsupported,
    /// Policy: the file asks for more than `limits.rs` grants.
    Limit,
    /// The caller: an option or argument that makes no sense.
    Usage,
}

/// Where it went wrong. Every part is known by another layer, so each may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file or folder, as the caller named it.
    pub path: Option<String>,
    /// The member of an archive.
    pub member: Option<String>,
    /// The tensor.
    pub tensor: Option<String>,
    /// Bytes from the start of the file (of the member, where it is a compressed one).
    pub offset: Option<u64>,
}

/// One error: kind, message, place, an optional hint and an optional cause.
///
/// Displayed as one line: `a.gguf: tensor `x`: what is wrong, found and allowed (at byte 88)`.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    rule: Option<&'static str>,
    message: String,
    place: Place,
    hint: Option<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; lower case, no full stop, found and allowed.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            rule: None,
            message: message.into(),
            place: Place::default(),
            hint: None,
            cause: None,
        }))
    }

    /// The file contradicts its own format.
    pub fn malformed(message: impl Into<String>) -> Error {
        Error::new(Kind::Malformed, message)
    }

    /// A valid file that we cannot handle.
    pub fn unsupported(message: impl Into<String>) -> Error {
        Error::new(Kind::Unsupported, message)
    }

    /// The file asks for more than `limits.rs` grants.
    pub fn limit(message: impl Into<String>) -> Error {
        Error::new(Kind::Limit, message)
    }

    /// An option or argument that makes no sense.
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(Kind::Usage, message)
    }

    /// A failed system call; `doing` says which, as in "cannot read 4096 bytes".
    pub fn io(doing: impl Into<String>, cause: std::io::Error) -> Error {
        let mut error = Error::new(Kind::Io, doing);
        error.0.cause = Some(Box::new(cause));
        error
    }

    /// Adds the byte offset, unless a layer nearer to the fault has said it.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Error {
        self.0.place.offset.get_or_insert(offset);
        self
    }

    /// Adds the archive member, unless a layer nearer to the fault has said it.
    #[must_use]
    pub fn in_member(mut self, member: &str) -> Error {
        self.0.place.member.get_or_insert_with(|| member.to_owned());
        self
    }

    /// Adds the tensor's name, unless a layer nearer to the fault has said it.
    #[must_use]
    pub fn in_tensor(mut self, tensor: &str) -> Error {
        self.0.place.tensor.get_or_insert_with(|| tensor.to_owned());
        self
    }

    /// Adds the file, unless a layer nearer to the fault has said it.
    #[must_use]
    pub fn in_file(mut self, path: &str) -> Error {
        self.0.place.path.get_or_insert_with(|| path.to_owned());
        self
    }

    /// Adds a line that tells the user what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint.get_or_insert(hint.into());
        self
    }

    /// Says under which rule an audit lists it, where its kind does not say enough.
    #[must_use]
    pub fn under(mut self, rule: &'static str) -> Error {
        self.0.rule.get_or_insert(rule);
        self
    }

    /// The rule under which an audit lists it: whether the file is wrong, or could not be
    /// examined.
    pub fn rule(&self) -> &'static str {
        self.0.rule.unwrap_or(match self.kind() {
            Kind::Malformed => "malformed",
            _ => "not-examined",
        })
    }

    /// Whose fault it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Where it went wrong.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The system's own error number kind, where a system call failed.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        let cause = self.0.cause.as_deref()?;
        Some(cause.downcast_ref::<std::io::Error>()?.kind())
    }
}

impl fmt::Display for Error {
    /// Names come from files, so control and bidi characters are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.0.place;
        if let Some(path) = &place.path {
            write!(f, "{}: ", escape(path))?;
        }
        if let Some(member) = &place.member {
            write!(f, "member `{}`: ", escape(member))?;
        }
        if let Some(tensor) = &place.tensor {
            write!(f, "tensor `{}`: ", escape(tensor))?;
        }
        write!(f, "{}", escape(&self.0.message))?;
        if let Some(cause) = &self.0.cause {
            write!(f, ": {}", escape(&cause.to_string()))?;
        }
        match place.offset {
            Some(offset) => write!(f, " (at byte {offset})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

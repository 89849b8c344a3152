//! The start of an npy file: version, type, order and shape.

use super::MAGIC;
use super::literal::{self, Literal};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::Shape;

/// What the header of one array says.
#[derive(Debug)]
pub(super) struct Header {
    /// NumPy's description of an element.
    pub(super) descr: Literal,
    /// Whether the first index runs fastest.
    pub(super) is_fortran: bool,
    pub(super) shape: Shape,
    /// Bytes before the elements.
    pub(super) len: u64,
}

/// Gives the next bytes.
pub(super) type Next<'a> = dyn FnMut(u64) -> Result<Vec<u8>> + 'a;

/// Reads a header front to back; `next` gives the next bytes of the array, as many as asked
/// for. `base`: where the array starts, for errors.
///
/// Errors: `Malformed`, `Unsupported` for another version, `Limit` past
/// [`limits::NPY_HEADER`].
pub(super) fn read(base: u64, next: &mut Next<'_>) -> Result<Header> {
    let at = |offset: u64| base.saturating_add(offset);
    let magic = next(8)?;
    let version = match magic.strip_prefix(MAGIC) {
        Some([major, 0]) if (1..=3).contains(major) => *major,
        Some(version) => {
            let message = format!("npy version {version:?} is not known; 1.0 to 3.0 are");
            return Err(Error::unsupported(message).at(at(6)));
        }
        None => return Err(Error::malformed("does not start with `\\x93NUMPY`").at(at(0))),
    };
    let (length, start) = match version {
        1 => (u64::from(u16::from_le_bytes(array(&next(2)?))), 10u64),
        _ => (u64::from(u32::from_le_bytes(array(&next(4)?))), 12u64),
    };
    if length > limits::NPY_HEADER {
        let allowed = limits::NPY_HEADER;
        let message = format!("header says {length} bytes; the limit is {allowed}");
        return Err(Error::limit(message).at(at(8)));
    }
    let bytes = next(length)?;
    let text = match version {
        3 => String::from_utf8(bytes)
            .map_err(|_| Error::malformed("header is no UTF-8").at(at(start)))?,
        _ => bytes.iter().map(|&byte| char::from(byte)).collect(),
    };
    let dict = literal::parse(&text).map_err(|error| shifted(error, at(start)))?;
    interpret(&dict, start.saturating_add(length)).map_err(|error| error.at(at(start)))
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

/// The same error, its offset counted from the start of the file.
fn shifted(error: Error, start: u64) -> Error {
    let offset = error.place().offset.unwrap_or(0);
    Error::new(error.kind(), error.message()).at(start.saturating_add(offset))
}

fn interpret(dict: &Literal, len: u64) -> Result<Header> {
    let field = |key: &str| {
        dict.get(key)
            .ok_or_else(|| Error::malformed(format!("header has no `{key}`")))
    };
    let is_fortran = match field("fortran_order")? {
        Literal::Bool(value) => *value,
        other => {
            let message = format!("`fortran_order` is {other}; it is True or False");
            return Err(Error::malformed(message));
        }
    };
    let shape = match field("shape")? {
        Literal::Tuple(items) => dimensions(items)?,
        other => return Err(Error::malformed(format!("`shape` is {other}, no tuple"))),
    };
    Ok(Header {
        descr: field("descr")?.clone(),
        is_fortran,
        shape,
        len,
    })
}

fn dimensions(items: &[Literal]) -> Result<Shape> {
    let dimension = |item: &Literal| match item {
        Literal::Int(value) => Ok(*value),
        other => Err(Error::malformed(format!(
            "`shape` holds {other}, no number"
        ))),
    };
    let dimensions: Result<Vec<u64>> = items.iter().map(dimension).collect();
    Shape::new(dimensions?)
}

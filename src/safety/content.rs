//! What bytes are, by how they begin: archives, arrays, pickles, base64 of those.

use super::judge;
use crate::error::{Error, Result};
use crate::io::Source;
use crate::io::archive::Archive;
use crate::pickle::{self, Trace};

/// Bytes by which content is recognised.
pub(super) const HEAD: u64 = 4096;

/// Bytes of a first look.
pub(super) const SHORT: usize = 512;

/// Bytes of a text that is read as one character a byte.
pub(super) const LATIN: u64 = 16 << 20;

/// What something is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Zip,
    Gzip,
    Zlib,
    Tar,
    Array,
    /// Compressed or packed in a way that is not read here.
    Closed(&'static str),
    /// A format that holds no pickles, whose metadata is looked at elsewhere.
    Plain,
    /// A format that is known but not read, and holds no pickles; it is searched for them.
    Unread,
    Other,
}

impl Content {
    pub(super) fn of_file(head: &[u8], source: &Source) -> Content {
        match Content::of(head) {
            Content::Other if is_onnx(head) || is_of_tensorflow(source) => Content::Unread,
            content => content,
        }
    }

    pub(super) fn of(head: &[u8]) -> Content {
        const CLOSED: &[(&[u8], &str)] = &[
            (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
            (b"Rar!\x1a\x07", "a RAR archive"),
            (b"\xfd7zXZ\0", "compressed by xz"),
            (b"BZh", "compressed by bzip2"),
            (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
            (b"\x04\x22\x4d\x18", "compressed by lz4"),
            (b"\x5d\x00\x00", "compressed by lzma"),
            (b"LZIP", "compressed by lzip"),
            (
                b"\x89HDF\r\n\x1a\n",
                "an HDF5 file, which may hold a Keras model with code",
            ),
        ];
        if Archive::is_zip(head) {
            return Content::Zip;
        }
        if let Some((_, what)) = CLOSED.iter().find(|(start, _)| head.starts_with(start)) {
            return Content::Closed(what);
        }
        match head {
            [0x1f, 0x8b, ..] => Content::Gzip,
            [0x78, level @ (0x01 | 0x5e | 0x9c | 0xda), ..]
                if (0x7800u16 | u16::from(*level)).is_multiple_of(31) =>
            {
                Content::Zlib
            }
            _ if head.starts_with(b"\x93NUMPY") => Content::Array,
            _ if Archive::is_tar(head) => Content::Tar,
            [b'G', b'G', b'U', b'F', ..] => Content::Plain,
            // A safetensors header: its length, then JSON.
            [_, _, _, _, 0, 0, 0, 0, b'{', ..] => Content::Plain,
            _ => Content::Other,
        }
    }
}

/// An ONNX model: field 1 is a small version, then comes the producer, an opset or the graph.
fn is_onnx(head: &[u8]) -> bool {
    matches!(
        head,
        [
            0x08,
            1..=0x20,
            0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42,
            ..
        ]
    )
}

/// A table of TensorFlow (its last eight bytes say so), or the raw data beside one.
fn is_of_tensorflow(source: &Source) -> bool {
    const MAGIC: [u8; 8] = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];
    let end = source.read_prefix(source.len().saturating_sub(8), 8);
    let name = source.name().rsplit('/').next().unwrap_or_default();
    let is_shard = name.rsplit_once(".data-").is_some_and(|(_, shard)| {
        shard.len() == "00000-of-00001".len() && shard.get(5..9) == Some("-of-")
    });
    end.is_ok_and(|end| end == MAGIC) || is_shard
}

/// Whether bytes may be a pickle: they begin with opcodes, as far as they can be followed.
pub(super) fn may_be_pickle(head: &[u8]) -> bool {
    let is_marked = matches!(head, [0x80, 0..=5, ..]);
    const FIRST: &[u8] =
        b"(])}ciIFGJKLMNSTUVXBCP\x80\x82\x83\x84\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x95\x96";
    if !head.first().is_some_and(|first| FIRST.contains(first)) {
        return false;
    }
    if is_marked {
        return true;
    }
    // An opcode that nobody knows within the first bytes, and nothing imported until then.
    let short = Source::from_bytes("", head);
    let trace = pickle::trace(&short, 0);
    let is_cut = trace.end >= short.len() || trace.faults.is_empty();
    trace.is_finished || judge::imports(&trace) || is_cut || runs_on(&trace, head)
}

/// Whether a pickle without a mark calls what it imports: two lines of a word list import too.
pub(super) fn runs(trace: &Trace) -> bool {
    let graph = &trace.graph;
    let is_import = |call: &pickle::Call| graph.global(call.callable).is_some();
    graph.calls().iter().any(is_import) && (trace.is_finished || judge::is_dangerous(trace))
}

/// Whether the trace of a head ended because the head did.
fn runs_on(trace: &Trace, head: &[u8]) -> bool {
    let last = trace.faults.last().map(Error::message).unwrap_or_default();
    last.starts_with("needs ") && last.ends_with(" remain") && head.len() >= SHORT
}

/// Whether an import may begin here: a marked pickle, or the opcodes of an import by name.
pub(super) fn begins_import(bytes: &[u8]) -> bool {
    let is_name = |line: &[u8]| {
        let is_part = |&b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
        !line.is_empty() && line.len() < 200 && line.iter().all(is_part)
    };
    match bytes {
        [0x80, 2..=5, next, ..] => b"\x95}](ctXUTKJMNGBi\x88\x89\x8a\x8c\x8f)CSV".contains(next),
        [b'c' | b'i', rest @ ..] => {
            let mut lines = rest
                .get(..512.min(rest.len()))
                .unwrap_or_default()
                .split(|&b| b == b'\n');
            let (module, name) = (lines.next(), lines.next());
            lines.next().is_some() && module.is_some_and(is_name) && name.is_some_and(is_name)
        }
        [0x8c, len, rest @ ..] => {
            let (len, after) = (usize::from(*len), usize::from(*len).saturating_add(2));
            rest.get(..len).is_some_and(is_name)
                && matches!(rest.get(len), Some(0x8c | 0x94))
                && rest
                    .get(len..after.saturating_add(256).min(rest.len()))
                    .is_some_and(|r| r.contains(&0x93))
        }
        _ => false,
    }
}

/// What base64 of a pickle, a zip or a compressed stream decodes to. `head`: the first bytes.
pub(super) fn base64(head: &[u8], inner: &Source) -> Result<Option<Vec<u8>>> {
    // `gA`: 0x80 and a protocol; `Y2`, `KF`: protocol 0; `H4sI`: gzip; `eJ`, `eN`: zlib; `UEsD`: zip.
    const STARTS: [&[u8]; 9] = [
        b"gAJ", b"gAN", b"gAR", b"gAS", b"gAV", b"gAW", b"H4sI", b"UEsD", b"eJ",
    ];
    let is_start = STARTS.iter().any(|start| head.starts_with(start))
        || head.starts_with(b"Y")
        || head.starts_with(b"KF");
    let is_letter = |&b: &u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=' | b'\n' | b'\r')
    };
    if !is_start || head.len() < 8 || !head.iter().all(is_letter) {
        return Ok(None);
    }
    let text = inner.read_prefix(0, LATIN)?;
    Ok(decode_base64(&text).filter(|bytes| bytes.len() > 4))
}

/// Base64, both alphabets, line breaks passed over; `None` for anything else.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0u32);
    for &byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte.wrapping_sub(b'A'),
            b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            b'\n' | b'\r' => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count = count.wrapping_add(6);
        if count >= 8 {
            count = count.wrapping_sub(8);
            out.extend(u8::try_from(bits >> count & 0xff));
        }
    }
    Some(out)
}

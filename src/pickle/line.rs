//! The text arguments of protocol 0.

use crate::error::{Error, Result};

/// What an `INT` line holds.
pub(super) enum Number {
    Bool(bool),
    Int(i64),
    /// Two's complement, little-endian.
    Long(Vec<u8>),
}

/// Digits of a decimal integer: CPython's own limit.
const DIGITS: usize = 4300;

/// Reads the argument of `INT` and `LONG`: `00` and `01` are booleans in `INT`.
pub(super) fn parse_int(line: &[u8], is_long: bool) -> Result<Number> {
    let text = printable(line)?;
    let text = text.trim();
    if !is_long && text == "00" {
        return Ok(Number::Bool(false));
    }
    if !is_long && text == "01" {
        return Ok(Number::Bool(true));
    }
    let digits = text.strip_suffix('L').filter(|_| is_long).unwrap_or(text);
    if let Ok(value) = digits.parse() {
        return Ok(Number::Int(value));
    }
    let (negative, magnitude) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    if magnitude.is_empty() || !magnitude.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::malformed(format!("`{digits}` is no integer")));
    }
    if magnitude.len() > DIGITS {
        let found = magnitude.len();
        let message = format!("an integer has {found} digits; the limit is {DIGITS}");
        return Err(Error::limit(message));
    }
    Ok(Number::Long(two_complement(magnitude, negative)))
}

/// Bytes of a decimal number, little-endian, with room for the sign.
fn two_complement(magnitude: &str, negative: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for digit in magnitude.bytes() {
        let mut carry = u16::from(digit.wrapping_sub(b'0'));
        for byte in &mut bytes {
            let product = u16::from(*byte).wrapping_mul(10).wrapping_add(carry);
            let [low, high] = product.to_le_bytes();
            *byte = low;
            carry = u16::from(high);
        }
        if carry > 0 {
            let [low, _] = carry.to_le_bytes();
            bytes.push(low);
        }
    }
    bytes.push(0);
    if negative {
        let mut carry = true;
        for byte in &mut bytes {
            let (sum, overflow) = (!*byte).overflowing_add(u8::from(carry));
            *byte = sum;
            carry = overflow;
        }
    }
    bytes
}

/// Reads the argument of `FLOAT`.
pub(super) fn parse_float(line: &[u8]) -> Result<f64> {
    let text = printable(line)?;
    let value = text.trim().parse();
    value.map_err(|_| Error::malformed(format!("`{text}` is no float")))
}

/// Reads a decimal memo key.
pub(super) fn parse_key(line: &[u8]) -> Result<u64> {
    let text = printable(line)?;
    let value = text.trim().parse();
    value.map_err(|_| Error::malformed(format!("`{text}` is no memo key")))
}

fn printable(line: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(line).ok();
    text.ok_or_else(|| Error::malformed("a number holds bytes that are no text"))
}

/// Reads the argument of `STRING`: quoted, with Python's escapes.
pub(super) fn parse_string(line: &[u8]) -> Result<Vec<u8>> {
    let line = line.trim_ascii_end();
    let inner = match line {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => return Err(Error::malformed("a STRING is not quoted")),
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&escape, tail)) = rest.split_first() else {
            return Err(Error::malformed("a STRING ends inside an escape"));
        };
        rest = tail;
        match escape {
            b'\\' | b'\'' | b'"' => out.push(escape),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'x' => {
                let (value, tail) = digits(rest, 2, 16)?;
                out.extend(u8::try_from(value));
                rest = tail;
            }
            b'0'..=b'7' => {
                let (value, tail) = octal(escape, rest);
                out.push(value);
                rest = tail;
            }
            other => out.extend([b'\\', other]),
        }
    }
    Ok(out)
}

/// Up to two more octal digits.
fn octal(first: u8, mut rest: &[u8]) -> (u8, &[u8]) {
    let mut value = first.wrapping_sub(b'0');
    for _ in 0..2 {
        match rest.split_first() {
            Some((&digit @ b'0'..=b'7', tail)) => {
                value = value.wrapping_mul(8).wrapping_add(digit.wrapping_sub(b'0'));
                rest = tail;
            }
            _ => break,
        }
    }
    (value, rest)
}

/// Exactly `count` digits in `radix`.
fn digits(bytes: &[u8], count: usize, radix: u32) -> Result<(u32, &[u8])> {
    let parsed = bytes.split_at_checked(count).and_then(|(digits, rest)| {
        let text = std::str::from_utf8(digits).ok()?;
        Some((u32::from_str_radix(text, radix).ok()?, rest))
    });
    parsed.ok_or_else(|| Error::malformed(format!("an escape lacks its {count} digits")))
}

/// Reads the argument of `UNICODE`: Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
pub(super) fn parse_unicode(line: &[u8]) -> Result<String> {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let count = match (byte, tail.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                out.push(char::from(byte));
                continue;
            }
        };
        let (value, tail) = digits(tail.get(1..).unwrap_or_default(), count, 16)?;
        // A lone surrogate has no UTF-8.
        out.push(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = tail;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_strings_as_python_writes_them() {
        assert_eq!(
            parse_string(b"'a\\n\\x41\\101\\\\\\''").unwrap(),
            b"a\nAA\\'"
        );
        assert!(parse_string(b"'a").is_err());
        assert!(parse_string(b"'").is_err());
        assert!(parse_string(b"'\\x4'").is_err());
        assert_eq!(
            parse_unicode(b"h\\u00e9\xe9\\U0001F600").unwrap(),
            "h\u{e9}\u{e9}\u{1f600}"
        );
    }

    #[test]
    fn reads_integers_of_any_size() {
        let long = |text: &str| match parse_int(text.as_bytes(), true).unwrap() {
            Number::Long(bytes) => bytes,
            _ => panic!("{text} is not long"),
        };
        // The magic number of torch's legacy files.
        let magic = [
            0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0,
        ];
        assert_eq!(long("119547037146038801333356L"), magic);
        assert_eq!(
            long("-18446744073709551616L"),
            [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
        );
        assert!(parse_int(&[b'9'; 5000], true).is_err());
        assert!(parse_int(b"1_0x", false).is_err());
    }
}

//! Python literals, as far as NumPy headers go: strings, whole numbers, True, False, None,
//! tuples, lists and dicts. Parsed, never evaluated.

use crate::error::{Error, Result};
use std::fmt;

/// Depth of nesting: a structure of structures is three levels a step.
const DEPTH: usize = 32;

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Int(u64),
    Text(String),
    Tuple(Vec<Literal>),
    List(Vec<Literal>),
    Dict(Vec<(Literal, Literal)>),
}

impl Literal {
    /// The value under `key`, if this is a dict that has it; the last, as in Python.
    pub(super) fn get(&self, key: &str) -> Option<&Literal> {
        let Literal::Dict(entries) = self else {
            return None;
        };
        let is_it = |(k, _): &&(Literal, Literal)| matches!(k, Literal::Text(text) if text == key);
        entries.iter().rev().find(is_it).map(|(_, value)| value)
    }
}

/// As Python's `repr` prints it.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sequence = |f: &mut fmt::Formatter<'_>, items: &[Literal]| {
            for (index, item) in items.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                write!(f, "{comma}{item}")?;
            }
            Ok(())
        };
        match self {
            Literal::None => f.write_str("None"),
            Literal::Bool(true) => f.write_str("True"),
            Literal::Bool(false) => f.write_str("False"),
            Literal::Int(value) => write!(f, "{value}"),
            Literal::Text(text) => write!(f, "'{text}'"),
            Literal::Tuple(items) => {
                f.write_str("(")?;
                sequence(f, items)?;
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
            Literal::List(items) => {
                f.write_str("[")?;
                sequence(f, items)?;
                f.write_str("]")
            }
            Literal::Dict(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{key}: {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Parses `text`, which holds one literal and white space.
///
/// Errors: `Malformed`, with the offset within `text`.
pub(super) fn parse(text: &str) -> Result<Literal> {
    let mut parser = Parser { text, next: 0 };
    let literal = parser.literal(0)?;
    match parser.peek() {
        None => Ok(literal),
        Some(_) => Err(parser.unexpected("the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Offset of the next character.
    next: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.next..).unwrap_or_default()
    }

    /// The next character that is no white space, not yet taken.
    fn peek(&mut self) -> Option<char> {
        let trimmed = self.rest().trim_ascii_start();
        self.next = self.text.len().saturating_sub(trimmed.len());
        trimmed.chars().next()
    }

    fn advance(&mut self, bytes: usize) {
        self.next = self.next.saturating_add(bytes);
    }

    /// Takes `token` if it stands next.
    fn take(&mut self, token: &str) -> bool {
        self.peek();
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.advance(token.len());
        }
        is_next
    }

    fn unexpected(&self, wanted: &str) -> Error {
        let found = match self.rest().chars().next() {
            Some(found) => format!("`{found}`"),
            None => "its end".to_owned(),
        };
        let message = format!("header has {found} where {wanted} belongs");
        Error::malformed(message).at(self.next as u64)
    }

    fn literal(&mut self, depth: usize) -> Result<Literal> {
        if depth > DEPTH {
            let message = format!("header nests more than {DEPTH} deep, the limit");
            return Err(Error::limit(message).at(self.next as u64));
        }
        match self.peek() {
            Some('{') => self.dict(depth),
            Some('[') => Ok(Literal::List(self.sequence('[', "]", depth)?.0)),
            Some('(') => {
                let (mut items, has_comma) = self.sequence('(', ")", depth)?;
                // Parentheses around one literal mean nothing.
                match items.pop() {
                    Some(only) if items.is_empty() && !has_comma => Ok(only),
                    last => {
                        items.extend(last);
                        Ok(Literal::Tuple(items))
                    }
                }
            }
            Some('0'..='9') => self.int(),
            Some(_) => self.word(),
            None => Err(self.unexpected("a value")),
        }
    }

    /// Items up to `close`, and whether a comma stands behind the last.
    fn sequence(&mut self, open: char, close: &str, depth: usize) -> Result<(Vec<Literal>, bool)> {
        self.advance(open.len_utf8());
        let mut items = Vec::new();
        let mut has_comma = false;
        while !self.take(close) {
            if !items.is_empty() && !has_comma {
                return Err(self.unexpected("a comma"));
            }
            items.push(self.literal(depth.saturating_add(1))?);
            has_comma = self.take(",");
        }
        Ok((items, has_comma))
    }

    fn dict(&mut self, depth: usize) -> Result<Literal> {
        self.advance(1);
        let mut entries = Vec::new();
        let mut has_comma = true;
        while !self.take("}") {
            if !has_comma {
                return Err(self.unexpected("a comma"));
            }
            let key = self.literal(depth.saturating_add(1))?;
            if !self.take(":") {
                return Err(self.unexpected("a colon"));
            }
            entries.push((key, self.literal(depth.saturating_add(1))?));
            has_comma = self.take(",");
        }
        Ok(Literal::Dict(entries))
    }

    /// A whole number; Python 2 wrote long ones with an `L` behind.
    fn int(&mut self) -> Result<Literal> {
        let rest = self.rest();
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let digits = rest.get(..length).unwrap_or_default();
        let value = digits.parse().map_err(|_| {
            Error::malformed(format!(
                "header has the number {digits}, which exceeds 64 bits"
            ))
            .at(self.next as u64)
        })?;
        self.advance(length);
        self.take("L");
        Ok(Literal::Int(value))
    }

    /// A name, or a string with its prefix.
    fn word(&mut self) -> Result<Literal> {
        for (name, value) in [
            ("True", Literal::Bool(true)),
            ("False", Literal::Bool(false)),
            ("None", Literal::None),
        ] {
            if self.take(name) {
                return Ok(value);
            }
        }
        let _ = self.take("u") || self.take("b");
        match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => self.string(quote),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn string(&mut self, quote: char) -> Result<Literal> {
        let start = self.next;
        let mut out = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' => {
                    let escaped = characters.next().map(|(_, escaped)| escaped);
                    self.next = start.saturating_add(index);
                    out.push(
                        unescape(escaped, &mut characters)
                            .ok_or_else(|| self.unexpected("an escape that is known here"))?,
                    );
                }
                _ if character == quote => {
                    let end = index.saturating_add(quote.len_utf8());
                    self.next = start.saturating_add(end);
                    return Ok(Literal::Text(out));
                }
                _ => out.push(character),
            }
        }
        self.next = self.text.len();
        Err(self.unexpected("a closing quote"))
    }
}

/// What a backslash and `escaped` stand for; takes the digits of `\x`, `\u` and `\U`.
fn unescape(
    escaped: Option<char>,
    characters: &mut impl Iterator<Item = (usize, char)>,
) -> Option<char> {
    let mut hexadecimal = |digits: usize| {
        let text: String = characters.take(digits).map(|(_, c)| c).collect();
        let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_whole = is_hexadecimal && text.len() == digits;
        let code = is_whole.then(|| u32::from_str_radix(&text, 16).ok());
        char::from_u32(code??)
    };
    match escaped? {
        quote @ ('\'' | '"' | '\\') => Some(quote),
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        'x' => hexadecimal(2),
        'u' => hexadecimal(4),
        'U' => hexadecimal(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_numpy_writes() {
        let header = "{'descr': [('a', '<i4'), (('t', 'b'), '<f8', (2,))], 'fortran_order': False, 'shape': (3L, ), }  \n";
        let literal = parse(header).unwrap();
        assert_eq!(literal.get("fortran_order"), Some(&Literal::Bool(false)));
        assert_eq!(
            literal.get("shape"),
            Some(&Literal::Tuple(vec![Literal::Int(3)]))
        );
        let descr = literal.get("descr").unwrap().to_string();
        assert_eq!(descr, "[('a', '<i4'), (('t', 'b'), '<f8', (2,))]");
    }

    #[test]
    fn parentheses_alone_make_no_tuple() {
        assert_eq!(parse("(3)").unwrap(), Literal::Int(3));
        assert_eq!(
            parse("(3,)").unwrap(),
            Literal::Tuple(vec![Literal::Int(3)])
        );
        assert_eq!(parse("()").unwrap(), Literal::Tuple(vec![]));
    }

    #[test]
    fn strings_may_have_escapes_and_prefixes() {
        let text = |text: &str| Literal::Text(text.to_owned());
        assert_eq!(parse(r"'a\'b'").unwrap(), text("a'b"));
        assert_eq!(parse(r#"u"gr\xf6\u00dfe""#).unwrap(), text("größe"));
        assert!(parse(r"'\x+1'").is_err());
        assert!(parse("'abc").is_err());
    }

    #[test]
    fn everything_else_is_an_error() {
        let deep = "[".repeat(100_000);
        let cases = [
            "",
            "{",
            "{'a' 1}",
            "(1 2)",
            "(,)",
            "__import__('os')",
            "1.5",
            "-1",
            "1 2",
            "'a' 'b'",
            "18446744073709551616",
            "{'a': 1",
            "[1",
            deep.as_str(),
        ];
        for case in cases {
            assert!(parse(case).is_err(), "{case}");
        }
    }
}

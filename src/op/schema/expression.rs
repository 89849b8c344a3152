//! Dimensions as expressions: `4096`, `hidden`, `4*hidden`, `(heads + 2*kv_heads)*head_dim`.

use std::collections::BTreeMap;
use std::fmt;

/// Symbols and their values.
pub(super) type Symbols = BTreeMap<String, u64>;

/// Brackets inside brackets.
const DEPTH: usize = 16;

/// A whole number that may depend on symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression {
    text: String,
    root: Node,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Number(u64),
    Symbol(String),
    Binary(char, Box<[Node; 2]>),
}

impl Expression {
    /// Reads numbers, symbols (a letter or `_`, then letters, digits, `_`), `+ - * /` and
    /// brackets. Errors say what is wrong.
    pub(super) fn read(text: &str) -> Result<Expression, String> {
        let mut parser = Parser { rest: text.trim() };
        let root = parser.sum(0)?;
        match parser.rest {
            "" => Ok(Expression {
                text: text.trim().to_owned(),
                root,
            }),
            rest => Err(format!("`{rest}` cannot follow there")),
        }
    }

    pub(super) fn number(value: u64) -> Expression {
        Expression {
            text: value.to_string(),
            root: Node::Number(value),
        }
    }

    /// The symbol that this is, if it is one alone.
    pub(super) fn symbol(&self) -> Option<&str> {
        match &self.root {
            Node::Symbol(symbol) => Some(symbol),
            _ => None,
        }
    }

    /// The number that it comes to. Errors say why it comes to none.
    pub(super) fn value(&self, symbols: &Symbols) -> Result<u64, String> {
        self.root.value(symbols)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Node {
    fn value(&self, symbols: &Symbols) -> Result<u64, String> {
        match self {
            Node::Number(number) => Ok(*number),
            Node::Symbol(symbol) => {
                let value = symbols.get(symbol).copied();
                value.ok_or_else(|| format!("needs a value for `{symbol}`"))
            }
            Node::Binary(operator, sides) => {
                let [a, b] = [sides[0].value(symbols)?, sides[1].value(symbols)?];
                let value = match operator {
                    '+' => a.checked_add(b),
                    '-' => a.checked_sub(b),
                    '*' => a.checked_mul(b),
                    _ if b == 0 || !a.is_multiple_of(b) => {
                        return Err(format!("is no whole number: {a}/{b}"));
                    }
                    _ => Some(a / b),
                };
                value.ok_or_else(|| format!("is out of range: {a}{operator}{b}"))
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn sum(&mut self, depth: usize) -> Result<Node, String> {
        let mut left = self.product(depth)?;
        while let Some(operator) = self.take(&['+', '-']) {
            left = Node::Binary(operator, Box::new([left, self.product(depth)?]));
        }
        Ok(left)
    }

    fn product(&mut self, depth: usize) -> Result<Node, String> {
        let mut left = self.atom(depth)?;
        while let Some(operator) = self.take(&['*', '/']) {
            left = Node::Binary(operator, Box::new([left, self.atom(depth)?]));
        }
        Ok(left)
    }

    fn atom(&mut self, depth: usize) -> Result<Node, String> {
        if self.take(&['(']).is_some() {
            if depth == DEPTH {
                return Err(format!("has over {DEPTH} brackets inside each other"));
            }
            let inner = self.sum(depth + 1)?;
            let closed = self.take(&[')']);
            return closed
                .map(|_| inner)
                .ok_or("lacks a closing bracket".into());
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        match word.chars().next() {
            None => Err("lacks a number or a symbol".into()),
            Some(first) if first.is_ascii_digit() => {
                let number = word.parse().map_err(|_| format!("`{word}` is no number"))?;
                Ok(Node::Number(number))
            }
            Some(_) => Ok(Node::Symbol(word.to_owned())),
        }
    }

    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let first = self.rest.chars().next().filter(|c| wanted.contains(c))?;
        self.rest = self.rest.get(first.len_utf8()..)?.trim_start();
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_come_to_what_arithmetic_says() {
        let symbols = Symbols::from([("hidden".into(), 64), ("h".into(), 4)]);
        for (text, expected) in [
            ("4096", 4096),
            ("hidden", 64),
            ("4*hidden", 256),
            ("hidden / h + 1", 17),
            ("(h + 2*h)*16 - h", 188),
            ("hidden - h - h", 56),
        ] {
            let expression = Expression::read(text).unwrap();
            assert_eq!(expression.value(&symbols), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("hidden/3", "is no whole number: 64/3"),
            ("h - hidden", "is out of range: 4-64"),
            ("x", "needs a value for `x`"),
            ("h/0", "is no whole number: 4/0"),
            (
                "18446744073709551615*2",
                "is out of range: 18446744073709551615*2",
            ),
        ] {
            let expression = Expression::read(text).unwrap();
            assert_eq!(expression.value(&symbols), Err(expected.into()), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_expression() {
        let deep = format!("{}1{}", "(".repeat(17), ")".repeat(17));
        for text in [
            "",
            "4*",
            "(1",
            "1)",
            "a b",
            "4hidden",
            "99999999999999999999",
            "ä",
            &deep,
        ] {
            assert!(Expression::read(text).is_err(), "{text}");
        }
    }
}

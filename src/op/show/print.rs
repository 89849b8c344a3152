//! Values as numpy prints an array. Rules: numpy's `_core/arrayprint.py`, `_formatArray`.

use super::float::{self, Format};
use super::{EDGE, Numbers, Shown};

/// Columns of a line, as numpy's `linewidth`.
const WIDTH: usize = 75;

/// What `str(array)` gives in numpy.
pub fn print(shown: &Shown) -> String {
    if shown.shape.contains(&0) {
        return "[]".to_owned();
    }
    if shown.shape.is_empty() {
        return alone(&shown.numbers);
    }
    let mut printer = Printer {
        shown,
        words: Words::of(&shown.numbers),
        next: 0,
        out: String::new(),
    };
    printer.nest(0, WIDTH);
    printer.out
}

/// A scalar as `str` gives it.
fn alone(numbers: &Numbers) -> String {
    let text = match numbers {
        Numbers::Bool(values) => values.first().map(|v| python_bool(*v).to_owned()),
        Numbers::Integer(values) => values.first().map(i128::to_string),
        Numbers::Float(values, precision) => values.first().map(|v| float::alone(*v, *precision)),
        Numbers::Complex(values, precision) => {
            values.first().map(|v| float::alone_complex(*v, *precision))
        }
    };
    text.unwrap_or_default()
}

fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// How values of one array are written: all in the same width.
enum Words<'a> {
    Bool(&'a [bool]),
    Integer(&'a [i128], usize),
    Float(&'a [f64], Format),
    Complex(&'a [[f64; 2]], Format, Format),
}

impl Words<'_> {
    fn of(numbers: &Numbers) -> Words<'_> {
        match numbers {
            Numbers::Bool(values) => Words::Bool(values),
            Numbers::Integer(values) => {
                let width = |value: Option<&i128>| value.map_or(0, |v| v.to_string().len());
                let widest = width(values.iter().min()).max(width(values.iter().max()));
                Words::Integer(values, widest)
            }
            Numbers::Float(values, precision) => {
                Words::Float(values, Format::of(values, *precision, false))
            }
            Numbers::Complex(values, precision) => {
                let part = |index: usize| values.iter().map(move |v| v[index]).collect::<Vec<_>>();
                let real = Format::of(&part(0), *precision, false);
                let imaginary = Format::of(&part(1), *precision, true);
                Words::Complex(values, real, imaginary)
            }
        }
    }

    fn write(&self, index: usize) -> String {
        match self {
            Words::Bool(values) => format!("{:>5}", python_bool(values[index])),
            Words::Integer(values, width) => format!("{:>width$}", values[index]),
            Words::Float(values, format) => format.write(values[index]),
            Words::Complex(values, real, imaginary) => {
                let [r, i] = values[index];
                let i = imaginary.write(i);
                // The `j` comes before the blanks.
                let end = i.trim_end().len();
                format!("{}{}j{}", real.write(r), &i[..end], &i[end..])
            }
        }
    }
}

struct Printer<'a> {
    shown: &'a Shown,
    words: Words<'a>,
    /// The value that is written next.
    next: usize,
    out: String,
}

impl Printer<'_> {
    /// Writes the axis `axis` and what is inside. Lines inside start with one blank for each
    /// bracket that is open. Dimensions are at most 64, so recursion is.
    fn nest(&mut self, axis: usize, width: usize) {
        let held = self.shown.held[axis];
        let is_cut = held < self.shown.shape[axis];
        self.out.push('[');
        if axis + 1 == self.shown.shape.len() {
            self.row(axis + 1, held, is_cut, width - 1);
        } else {
            let breaks = "\n".repeat(self.shown.shape.len() - axis - 1);
            let indent = " ".repeat(axis + 1);
            for position in 0..held {
                if position > 0 {
                    self.out.push_str(&breaks);
                    self.out.push_str(&indent);
                }
                if is_cut && position == EDGE {
                    self.out.push_str("...");
                    self.out.push_str(&breaks);
                    self.out.push_str(&indent);
                }
                self.nest(axis + 1, width.saturating_sub(1).max(1));
            }
        }
        self.out.push(']');
    }

    /// Writes the innermost axis, in lines of at most `width`.
    fn row(&mut self, indent: usize, held: u64, is_cut: bool, width: usize) {
        let mut column = indent;
        for position in 0..held {
            if is_cut && position == EDGE {
                self.word("...", indent, &mut column, width);
                self.out.push(' ');
                column += 1;
            }
            let word = self.words.write(self.next);
            self.next += 1;
            self.word(&word, indent, &mut column, width);
            if position + 1 < held {
                self.out.push(' ');
                column += 1;
            }
        }
    }

    fn word(&mut self, word: &str, indent: usize, column: &mut usize, width: usize) {
        if *column + word.len() > width && *column > indent {
            self.out.truncate(self.out.trim_end_matches(' ').len());
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', indent));
            *column = indent;
        }
        self.out.push_str(word);
        *column += word.len();
    }
}

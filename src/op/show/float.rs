//! Floats as numpy prints them: the fewest digits that say which number is meant, at most
//! eight of them after the point, aligned. Rules: numpy's `_core/arrayprint.py`,
//! `FloatingFormat`, with `floatmode='maxprec'`.

use super::Precision;

/// Digits after the point at most, as numpy's `precision`.
const DIGITS: usize = 8;

/// How the floats of one array are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    precision: Precision,
    is_scientific: bool,
    /// Digits after the point: exactly so many if scientific.
    digits: usize,
    exponent_digits: usize,
    left: usize,
    right: usize,
    has_plus: bool,
}

impl Format {
    /// `has_plus`: write the sign of positive numbers too.
    pub(super) fn of(values: &[f64], precision: Precision, has_plus: bool) -> Format {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let mut format = Format {
            precision,
            is_scientific: is_scientific(finite(), precision),
            digits: 0,
            exponent_digits: 0,
            left: 0,
            right: 0,
            has_plus,
        };
        for value in finite() {
            if format.is_scientific {
                let (whole, fraction, exponent) = scientific(value, precision);
                format.left = format.left.max(whole.len() + format.plus(value));
                format.digits = format.digits.max(fraction.len());
                format.exponent_digits = format.exponent_digits.max(exponent.len());
            } else {
                let (whole, fraction) = positional(value, precision);
                format.left = format.left.max(whole.len() + format.plus(value));
                format.right = format.right.max(fraction.len());
            }
        }
        if format.is_scientific {
            format.right = 2 + format.exponent_digits + format.digits;
        }
        let others = values.iter().filter(|value| !value.is_finite());
        let has_sign = has_plus || values.contains(&f64::NEG_INFINITY);
        if others.count() > 0 {
            let needed = (3 + usize::from(has_sign)).saturating_sub(format.right + 1);
            let needed = needed.max(3usize.saturating_sub(format.right + 1));
            format.left = format.left.max(needed);
        }
        format
    }

    fn plus(&self, value: f64) -> usize {
        usize::from(self.has_plus && !value.is_sign_negative())
    }

    /// One number, padded to the width of all.
    pub(super) fn write(&self, value: f64) -> String {
        let plus = if self.plus(value) > 0 { "+" } else { "" };
        if !value.is_finite() {
            let text = if value.is_nan() { "nan" } else { "inf" };
            let sign = match value < 0.0 {
                true => "-",
                false if self.has_plus => "+",
                false => "",
            };
            let width = self.left + self.right + 1;
            return format!("{:>width$}", format!("{sign}{text}"));
        }
        let left = self.left;
        if self.is_scientific {
            let text = format!("{value:.*e}", self.digits);
            let (mantissa, exponent) = split_exponent(&text);
            let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
            let whole = format!("{plus}{whole}");
            let exponent = write_exponent(exponent, self.exponent_digits);
            return format!("{whole:>left$}.{fraction}e{exponent}");
        }
        let (whole, fraction) = positional(value, self.precision);
        let (whole, right) = (format!("{plus}{whole}"), self.right);
        format!("{whole:>left$}.{fraction:<right$}")
    }
}

/// A single number as `str(numpy.float32(x))` has it.
pub(super) fn alone(value: f64, precision: Precision) -> String {
    if !value.is_finite() {
        let sign = if value < 0.0 { "-" } else { "" };
        let text = if value.is_nan() { "nan" } else { "inf" };
        return format!("{sign}{text}");
    }
    let largest = match precision {
        Precision::F16 => 1e3,
        Precision::BF16 | Precision::F32 => 1e6,
        Precision::F64 => 1e16,
    };
    let magnitude = value.abs();
    let (digits, exponent) = shortest(value, precision);
    if magnitude != 0.0 && !(1e-4..largest).contains(&magnitude) {
        let fraction = &digits[1..];
        let point = if fraction.is_empty() { "" } else { "." };
        let sign = if value < 0.0 { "-" } else { "" };
        let exponent = write_exponent(exponent, 2);
        return format!("{sign}{}{point}{fraction}e{exponent}", &digits[..1]);
    }
    let (whole, fraction) = place_point(value, &digits, exponent);
    match fraction.as_str() {
        "" => format!("{whole}.0"),
        fraction => format!("{whole}.{fraction}"),
    }
}

/// A complex number's parts have no `.0`: `(1+2j)`.
pub(super) fn alone_complex([real, imaginary]: [f64; 2], precision: Precision) -> String {
    let part = |value: f64| {
        let text = alone(value, precision);
        text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
    };
    let plus = if imaginary.is_sign_negative() && !imaginary.is_nan() {
        ""
    } else {
        "+"
    };
    format!("({}{plus}{}j)", part(real), part(imaginary))
}

/// Whether the numbers are too large, too small or too far apart to be written in full.
fn is_scientific(finite: impl Iterator<Item = f64>, precision: Precision) -> bool {
    let (mut smallest, mut largest) = (f64::INFINITY, 0.0f64);
    for value in finite.filter(|value| *value != 0.0) {
        smallest = smallest.min(value.abs());
        largest = largest.max(value.abs());
    }
    if largest == 0.0 {
        return false;
    }
    // numpy compares in the array's own type.
    let (limit, tiny, ratio) = match precision {
        Precision::F16 => {
            let ratio = half::f16::from_f64(largest / smallest).to_f64();
            (1e3, half::f16::from_f64(1e-4).to_f64(), ratio)
        }
        Precision::BF16 | Precision::F32 => {
            let ratio = f64::from(largest as f32 / smallest as f32);
            (1e6, f64::from(1e-4f32), ratio)
        }
        Precision::F64 => (1e8, 1e-4, largest / smallest),
    };
    largest >= limit || smallest < tiny || ratio > 1000.0
}

/// The fewest significant digits that say which number is meant, and the power of ten of the
/// first.
fn shortest(value: f64, precision: Precision) -> (String, i32) {
    let magnitude = value.abs();
    let text = match precision {
        Precision::F64 => format!("{magnitude:e}"),
        Precision::F32 => format!("{:e}", magnitude as f32),
        // Five digits are enough for 11 bits, four for eight.
        Precision::F16 | Precision::BF16 => (0..5)
            .map(|digits| format!("{magnitude:.digits$e}"))
            .find(|text| rounds_to(text, magnitude, precision))
            .unwrap_or_else(|| format!("{magnitude:e}")),
    };
    let (mantissa, exponent) = split_exponent(&text);
    let digits = mantissa.replace('.', "");
    let trimmed = digits.trim_end_matches('0');
    let digits = if trimmed.is_empty() { "0" } else { trimmed };
    (digits.to_owned(), exponent)
}

fn rounds_to(text: &str, value: f64, precision: Precision) -> bool {
    let Ok(read) = text.parse::<f64>() else {
        return false;
    };
    let rounded = match precision {
        Precision::F16 => half::f16::from_f64(read).to_f64(),
        _ => half::bf16::from_f64(read).to_f64(),
    };
    rounded == value
}

fn split_exponent(text: &str) -> (&str, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    (mantissa, exponent.parse().unwrap_or(0))
}

fn write_exponent(exponent: i32, digits: usize) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    let digits = digits.max(2);
    format!("{sign}{:0digits$}", exponent.unsigned_abs())
}

/// The parts of a number in scientific notation: whole with its sign, fraction, exponent
/// without its sign.
fn scientific(value: f64, precision: Precision) -> (String, String, String) {
    let (digits, exponent) = shortest(value, precision);
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if digits.len() <= 1 + DIGITS {
        let exponent = format!("{:02}", exponent.unsigned_abs());
        return (
            format!("{sign}{}", &digits[..1]),
            digits[1..].to_owned(),
            exponent,
        );
    }
    let text = format!("{value:.DIGITS$e}");
    let (mantissa, exponent) = split_exponent(&text);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = format!("{:02}", exponent.unsigned_abs());
    let fraction = fraction.trim_end_matches('0').to_owned();
    (whole.to_owned(), fraction, exponent)
}

/// The parts of a number in full: whole with its sign, fraction of at most [`DIGITS`].
fn positional(value: f64, precision: Precision) -> (String, String) {
    let (digits, exponent) = shortest(value, precision);
    let (whole, fraction) = place_point(value, &digits, exponent);
    if fraction.len() <= DIGITS {
        return (whole, fraction);
    }
    let text = format!("{value:.DIGITS$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    (whole.to_owned(), fraction.trim_end_matches('0').to_owned())
}

/// Writes digits whose first stands for `10^exponent` without an exponent.
fn place_point(value: f64, digits: &str, exponent: i32) -> (String, String) {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let Ok(exponent) = usize::try_from(exponent) else {
        let zeros = exponent.unsigned_abs() as usize - 1;
        return (format!("{sign}0"), format!("{}{digits}", "0".repeat(zeros)));
    };
    let whole = exponent + 1;
    match digits.get(whole..) {
        Some(fraction) => (format!("{sign}{}", &digits[..whole]), fraction.to_owned()),
        None => {
            let zeros = "0".repeat(whole - digits.len());
            (format!("{sign}{digits}{zeros}"), String::new())
        }
    }
}

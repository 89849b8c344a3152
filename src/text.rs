//! Small conversions between numbers, names and the text that people read.

use std::borrow::Cow;
use std::cmp::Ordering;

/// Makes control, bidi and zero-width characters visible, as `\u{202e}`, so that a name in a
/// file cannot rearrange a terminal.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Characters that a terminal acts upon or does not show.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{e0000}'..='\u{e007f}')
}

/// A byte count as people read it: decimal, three significant digits, `2.91 GB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    scaled(bytes, &UNITS, " ")
}

/// A count as people read it: `7.24 B`, `345 M`, `512`.
pub fn human_count(count: u64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "B", "T", "Q", "QQ"];
    scaled(count, &UNITS, " ").trim_end().to_owned()
}

fn scaled(value: u64, units: &[&str], gap: &str) -> String {
    if value < 1000 {
        return format!("{value}{gap}{}", units[0]);
    }
    let mut scaled = value as f64;
    let mut unit = 0;
    // 999.5 would print as 1000 of the smaller unit.
    while scaled >= 999.5 && unit + 1 < units.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    let decimals = if scaled < 9.995 {
        2
    } else if scaled < 99.95 {
        1
    } else {
        0
    };
    format!("{scaled:.decimals$}{gap}{}", units[unit])
}

/// A float as people read it: four significant digits.
pub fn human_number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.3e}");
    let exponent = scientific.split_once('e').and_then(|(_, e)| e.parse().ok());
    match exponent {
        Some(exponent @ -3..=4) => {
            let decimals = usize::try_from(3 - exponent).unwrap_or(0);
            format!("{value:.decimals$}")
        }
        _ => scientific,
    }
}

/// A whole number with thin groups of three: `1,234,567`.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Reads a size option: `5GB` (decimal), `512MiB` (binary), `1000`. `None` if it is none.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let scale: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale);
    }
    let value = number.parse::<f64>().ok()? * scale as f64;
    (value.is_finite() && value < u64::MAX as f64).then_some(value as u64)
}

/// Compares names so that `layers.2` comes before `layers.10`.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let (Some(&l), Some(&r)) = (left.first(), right.first()) {
        let compared = if l.is_ascii_digit() && r.is_ascii_digit() {
            let (number_left, number_right);
            (number_left, left) = split_digits(left);
            (number_right, right) = split_digits(right);
            let by_length = number_left.len().cmp(&number_right.len());
            by_length.then_with(|| number_left.cmp(number_right))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            l.cmp(&r)
        };
        if compared != Ordering::Equal {
            return compared;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// The digits at the start, without leading zeros, and what follows them.
fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    (&digits[zeros..], rest)
}

/// The name up to its first whole part that is a number: `model.layers.3` of
/// `model.layers.3.mlp.0.weight`. `None` without one.
pub fn layer_of(name: &str) -> Option<&str> {
    let mut end = 0usize;
    for part in name.split('.') {
        end = end.saturating_add(part.len());
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            return name.get(..end);
        }
        end = end.saturating_add(1);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_a_terminal_would_act_upon() {
        assert_eq!(escape("a\u{1b}[31m"), "a\\u{1b}[31m");
        assert_eq!(escape("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(escape("plain.weight"), "plain.weight");
    }

    #[test]
    fn sizes_are_decimal_with_three_digits() {
        assert_eq!(human_bytes(999), "999 B");
        assert_eq!(human_bytes(1000), "1.00 kB");
        assert_eq!(human_bytes(2_912_345_678), "2.91 GB");
        assert_eq!(human_bytes(999_999), "1.00 MB");
        assert_eq!(human_count(7_241_732_096), "7.24 B");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn floats_have_four_digits() {
        let found = [
            0.0,
            1.0,
            -0.123_456,
            12345.6,
            1e6,
            1e-5,
            0.001_234_56,
            0.999_99,
        ]
        .map(human_number);
        let expected = [
            "0", "1.000", "-0.1235", "12346", "1.000e6", "1.000e-5", "0.001235", "1.000",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn sizes_read_back() {
        assert_eq!(parse_size("5GB"), Some(5_000_000_000));
        assert_eq!(parse_size("512MiB"), Some(512 << 20));
        assert_eq!(parse_size("1.5kB"), Some(1500));
        assert_eq!(parse_size("1000"), Some(1000));
        assert_eq!(parse_size("many"), None);
    }

    #[test]
    fn numbers_in_names_are_ordered_as_numbers() {
        let mut names = ["b.10", "b.2", "a", "b.02", "b", "b.2.c"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["a", "b", "b.02", "b.2", "b.2.c", "b.10"]);
    }
}

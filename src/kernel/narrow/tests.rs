//! Each format against a search through all of its values, on every instruction set.

use super::*;

/// A format as its specification has it.
#[derive(Clone, Copy)]
struct Spec {
    kind: Narrow,
    bytes: usize,
    mantissa: u32,
    bias: i32,
    largest: u32,
    infinity: Option<u32>,
    has_negative_zero: bool,
}

// OCP OFP8 1.0 table 1 for the 8-bit ones, IEEE 754 for F16, torch's documentation for the rest.
const SPECS: [Spec; 6] = [
    spec(Narrow::Bf16, 2, 7, 127, 0x7f7f, Some(0x7f80)),
    spec(Narrow::F16, 2, 10, 15, 0x7bff, Some(0x7c00)),
    spec(Narrow::F8E4M3, 1, 3, 7, 0x7e, None),
    spec(Narrow::F8E5M2, 1, 2, 15, 0x7b, Some(0x7c)),
    spec(Narrow::F8E4M3Fnuz, 1, 3, 8, 0x7f, None),
    spec(Narrow::F8E5M2Fnuz, 1, 2, 16, 0x7f, None),
];

const fn spec(
    kind: Narrow,
    bytes: usize,
    mantissa: u32,
    bias: i32,
    largest: u32,
    infinity: Option<u32>,
) -> Spec {
    Spec {
        kind,
        bytes,
        mantissa,
        bias,
        largest,
        infinity,
        has_negative_zero: !matches!(kind, Narrow::F8E4M3Fnuz | Narrow::F8E5M2Fnuz),
    }
}

impl Spec {
    /// What the bits of a positive finite value mean; one past the largest is what would
    /// follow it.
    fn value(self, code: u32) -> f64 {
        let exponent = (code >> self.mantissa) as i32;
        let fraction = f64::from(code & ((1 << self.mantissa) - 1));
        let whole = f64::from(1u32 << self.mantissa);
        match exponent {
            0 => fraction / whole * 2f64.powi(1 - self.bias),
            _ => (1.0 + fraction / whole) * 2f64.powi(exponent - self.bias),
        }
    }

    /// The code of the value nearest to a positive finite one, ties to the even code; past
    /// the largest one more.
    fn nearest(self, value: f64) -> u32 {
        let (mut below, mut above) = (0, self.largest + 1);
        if self.value(above) <= value {
            return above;
        }
        while above - below > 1 {
            let middle = (below + above) / 2;
            match self.value(middle) <= value {
                true => below = middle,
                false => above = middle,
            }
        }
        let (down, up) = (value - self.value(below), self.value(above) - value);
        if down < up || down == up && below.is_multiple_of(2) {
            below
        } else {
            above
        }
    }

    fn expected(self, overflow: Overflow, value: f32, losses: &mut Losses) -> Option<u32> {
        let sign_bit = 1 << (8 * self.bytes - 1);
        let sign = if value.is_sign_negative() {
            sign_bit
        } else {
            0
        };
        let code = match value {
            _ if value.is_nan() => return None,
            _ if value.is_infinite() => self.largest + 1,
            _ => self.nearest(f64::from(value.abs())),
        };
        if code <= self.largest {
            losses.underflow += u64::from(value != 0.0 && code == 0);
            let is_unsigned = code == 0 && !self.has_negative_zero;
            return Some(if is_unsigned { 0 } else { code | sign });
        }
        let kept = match (overflow, value.is_infinite()) {
            (Overflow::Saturate, _) => Some(self.largest),
            (Overflow::Nan, false) => None,
            _ => self.infinity,
        };
        let is_lost = value.is_finite() || kept == Some(self.largest);
        match kept {
            None => losses.nan += 1,
            Some(_) => losses.overflow += u64::from(is_lost),
        }
        kept.map(|code| code | sign)
    }

    fn is_nan(self, code: u32) -> bool {
        let sign_bit = 1 << (8 * self.bytes - 1);
        match self.has_negative_zero {
            true => code & (sign_bit - 1) > self.infinity.unwrap_or(self.largest),
            false => code == sign_bit,
        }
    }

    /// Around every value and every middle between two, of both signs, and a walk through all.
    fn patterns(self) -> Vec<f32> {
        let step = if self.bytes == 2 { 61 } else { 1 };
        let mut bits = vec![
            0,
            1,
            0x7f7f_ffff,
            0x7f80_0000,
            0x7f80_0001,
            0x7fc0_0000,
            0x7fff_ffff,
        ];
        let ends = (self.largest - 3)..=self.largest;
        for code in (0..self.largest).step_by(step).chain(0..4).chain(ends) {
            let (value, next) = (self.value(code), self.value(code + 1));
            for exact in [value, (value + next) / 2.0, next] {
                let near = (exact as f32).to_bits();
                bits.extend(near.saturating_sub(2)..=near + 2);
            }
        }
        bits.extend((0..0x8000_0000u32).step_by(if self.bytes == 2 { 399_989 } else { 39_989 }));
        let negative: Vec<u32> = bits.iter().map(|bits| bits | 0x8000_0000).collect();
        bits.extend(negative);
        bits.into_iter().map(f32::from_bits).collect()
    }
}

#[test]
fn every_kind_is_rounded_to_nearest_even_on_every_path() {
    for spec in SPECS {
        let values = spec.patterns();
        let input: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        for overflow in [Overflow::Saturate, Overflow::Infinity, Overflow::Nan] {
            let mut out = vec![0; values.len() * spec.bytes];
            let losses = f32_to(Path::Fast, spec.kind, overflow, &input, &mut out);
            let mut portable = vec![0; out.len()];
            let same = f32_to(Path::Portable, spec.kind, overflow, &input, &mut portable);
            assert_eq!((losses, &out), (same, &portable));
            let mut expected = Losses::default();
            for (value, bytes) in values.iter().zip(out.chunks(spec.bytes)) {
                let mut word = [0; 4];
                word[..spec.bytes].copy_from_slice(bytes);
                let found = u32::from_le_bytes(word);
                let place = (spec.kind, overflow, value, value.to_bits());
                match spec.expected(overflow, *value, &mut expected) {
                    Some(code) => assert_eq!(found, code, "{place:x?}"),
                    None => assert!(spec.is_nan(found), "{place:x?} gave {found:x}"),
                }
            }
            assert_eq!(losses, expected, "{:?} {overflow:?}", spec.kind);
        }
    }
}

// `half` is an independent implementation.
#[test]
fn sixteen_bits_are_those_of_half() {
    let bits = (0..=u32::MAX).step_by(4999);
    let values: Vec<f32> = bits.map(f32::from_bits).filter(|v| !v.is_nan()).collect();
    let input: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let mut out = vec![0; values.len() * 2];
    f32_to(
        Path::Fast,
        Narrow::F16,
        Overflow::Infinity,
        &input,
        &mut out,
    );
    for (value, found) in values.iter().zip(out.as_chunks::<2>().0) {
        let truth = half::f16::from_f32(*value).to_bits();
        assert_eq!(u16::from_le_bytes(*found), truth, "{value}");
        assert_eq!(half_bits(*value), truth, "{value}");
    }
    f32_to(
        Path::Fast,
        Narrow::Bf16,
        Overflow::Infinity,
        &input,
        &mut out,
    );
    for (value, found) in values.iter().zip(out.as_chunks::<2>().0) {
        let truth = half::bf16::from_f32(*value).to_bits();
        assert_eq!(u16::from_le_bytes(*found), truth, "{value}");
    }
}

#[test]
fn any_length_and_alignment_gives_the_same() {
    let values: Vec<u8> = (0..200u32)
        .flat_map(|i| (i as f32 * 0.37).to_le_bytes())
        .collect();
    for skip in 0..4 {
        for elements in 0..40 {
            let input = &values[skip..skip + elements * 4];
            let (mut fast, mut portable) = (vec![0; elements * 2], vec![0; elements * 2]);
            f32_to(
                Path::Fast,
                Narrow::F16,
                Overflow::Infinity,
                input,
                &mut fast,
            );
            f32_to(
                Path::Portable,
                Narrow::F16,
                Overflow::Infinity,
                input,
                &mut portable,
            );
            assert_eq!(fast, portable);
        }
    }
}

//! Bits of the small float types to `f32`: every value of theirs is one of `f32` exactly.
//!
//! | type | sign, exponent, mantissa | bias | specials |
//! |---|---|---|---|
//! | `F8_E4M3` | 1 4 3 | 7 | NaN 0x7f 0xff, no infinity |
//! | `F8_E5M2` | 1 5 2 | 15 | as in IEEE |
//! | `F8_E4M3FNUZ` | 1 4 3 | 8 | NaN 0x80, no infinity, one zero |
//! | `F8_E5M2FNUZ` | 1 5 2 | 16 | NaN 0x80, no infinity, one zero |
//! | `F8_E8M0` | 0 8 0 | 127 | NaN 0xff, no zero |
//! | `F6_E2M3` | 1 2 3 | 1 | none |
//! | `F6_E3M2` | 1 3 2 | 3 | none |
//! | `F4` | 1 2 1 | 1 | none |
//!
//! No file format says how elements below a byte are packed. `F4`: the first of a pair is the
//! low nibble, as torch packs `float4_e2m1fn_x2`. `F6`: a little-endian stream of bits, four
//! elements in three bytes. Source: OCP MX 1.0, OCP OFP8 1.0.

/// Every `F8_E4M3`.
pub static F8_E4M3: [f32; 256] = table(4, 3, 7, Specials::Fn);
/// Every `F8_E5M2`.
pub static F8_E5M2: [f32; 256] = table(5, 2, 15, Specials::Ieee);
/// Every `F8_E4M3FNUZ`.
pub static F8_E4M3_FNUZ: [f32; 256] = table(4, 3, 8, Specials::Fnuz);
/// Every `F8_E5M2FNUZ`.
pub static F8_E5M2_FNUZ: [f32; 256] = table(5, 2, 16, Specials::Fnuz);
/// Every `F8_E8M0`.
pub static F8_E8M0: [f32; 256] = powers();
/// Every `F6_E2M3`.
pub static F6_E2M3: [f32; 64] = table(2, 3, 1, Specials::None);
/// Every `F6_E3M2`.
pub static F6_E3M2: [f32; 64] = table(3, 2, 3, Specials::None);
/// Every `F4`.
pub static F4: [f32; 16] = table(2, 1, 1, Specials::None);

/// Which bits are no ordinary numbers.
#[derive(Clone, Copy)]
enum Specials {
    /// None.
    None,
    /// The largest exponent: infinity and NaN.
    Ieee,
    /// All ones below the sign: NaN.
    Fn,
    /// The sign alone: NaN.
    Fnuz,
}

/// Unpacks four 6-bit values from each three bytes of `input`.
pub fn decode_f6(table: &[f32; 64], input: &[u8], out: &mut [f32]) {
    for (bytes, values) in input
        .as_chunks::<3>()
        .0
        .iter()
        .zip(out.as_chunks_mut::<4>().0)
    {
        let bits = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        for (index, value) in values.iter_mut().enumerate() {
            *value = table[(bits >> (6 * index) & 63) as usize];
        }
    }
}

/// Unpacks two 4-bit values from each byte of `input`, the low nibble first.
pub fn decode_f4(input: &[u8], out: &mut [f32]) {
    for (byte, values) in input.iter().zip(out.as_chunks_mut::<2>().0) {
        *values = [F4[usize::from(byte & 15)], F4[usize::from(byte >> 4)]];
    }
}

/// Looks each byte of `input` up.
pub fn decode_f8(table: &[f32; 256], input: &[u8], out: &mut [f32]) {
    for (byte, value) in input.iter().zip(out) {
        *value = table[usize::from(*byte)];
    }
}

const fn table<const N: usize>(
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    specials: Specials,
) -> [f32; N] {
    let mut values = [0.0; N];
    let mut bits = 0;
    while bits < N {
        values[bits] = value(bits as u32, exponent_bits, mantissa_bits, bias, specials);
        bits += 1;
    }
    values
}

const fn value(
    bits: u32,
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    specials: Specials,
) -> f32 {
    let sign = bits >> (exponent_bits + mantissa_bits) == 1;
    let exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1);
    let mantissa = bits & ((1 << mantissa_bits) - 1);
    let largest = exponent == (1 << exponent_bits) - 1;
    let all_ones = largest && mantissa == (1 << mantissa_bits) - 1;
    let magnitude = match specials {
        Specials::Ieee if largest && mantissa == 0 => f32::INFINITY,
        Specials::Ieee if largest => f32::NAN,
        Specials::Fn if all_ones => f32::NAN,
        Specials::Fnuz if sign && exponent == 0 && mantissa == 0 => return f32::NAN,
        _ if exponent == 0 => mantissa as f32 * power(1 - bias - mantissa_bits as i32),
        _ => {
            let whole = mantissa | 1 << mantissa_bits;
            whole as f32 * power(exponent as i32 - bias - mantissa_bits as i32)
        }
    };
    if sign { -magnitude } else { magnitude }
}

const fn powers() -> [f32; 256] {
    let mut values = [f32::NAN; 256];
    let mut bits = 0;
    while bits < 255 {
        values[bits] = power(bits as i32 - 127);
        bits += 1;
    }
    values
}

/// `2^exponent`, for exponents from -149 to 127.
pub(crate) const fn power(exponent: i32) -> f32 {
    if exponent >= -126 {
        f32::from_bits(((exponent + 127) as u32) << 23)
    } else {
        f32::from_bits(1 << (exponent + 149))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The values of the OCP specifications' tables, and of torch for the FNUZ types.
    #[test]
    fn landmarks_are_those_of_the_specifications() {
        assert_eq!(F8_E4M3[0x7e], 448.0);
        assert_eq!(F8_E4M3[0x01], 2f32.powi(-9));
        assert!(F8_E4M3[0x7f].is_nan() && F8_E4M3[0xff].is_nan());
        assert_eq!(F8_E5M2[0x7b], 57344.0);
        assert_eq!(F8_E5M2[0xfc], f32::NEG_INFINITY);
        assert!(F8_E5M2[0x7d].is_nan());
        assert_eq!(F8_E4M3_FNUZ[0x7f], 240.0);
        assert!(F8_E4M3_FNUZ[0x80].is_nan());
        assert_eq!(F8_E5M2_FNUZ[0x7f], 57344.0);
        assert_eq!(F8_E8M0[0], 2f32.powi(-127));
        assert_eq!(F8_E8M0[254], 2f32.powi(127));
        assert!(F8_E8M0[255].is_nan());
        assert_eq!(F6_E2M3[31], 7.5);
        assert_eq!(F6_E3M2[31], 28.0);
        assert_eq!(F4[..8], [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]);
        assert!(F4[8].is_sign_negative() && F4[15] == -6.0);
    }

    #[test]
    fn packed_elements_come_in_order() {
        let mut four = [0.0; 4];
        decode_f4(&[0x21, 0x97], &mut four);
        assert_eq!(four, [0.5, 1.0, 6.0, -0.5]);
        // Elements 1, 2, 3, 31 from the lowest bit up.
        let bits = 1u32 | 2 << 6 | 3 << 12 | 31 << 18;
        decode_f6(&F6_E2M3, &bits.to_le_bytes()[..3], &mut four);
        assert_eq!(four, [0.125, 0.25, 0.375, 7.5]);
    }
}

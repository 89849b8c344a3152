//! The slow way to decode: one element at a time, as the tables of the layouts have it. Tests
//! hold the decoders to it.

use super::grids;
use crate::dtype::{DType, float};

const NON_LINEAR: [f32; 16] = [
    -127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0,
    89.0, 113.0,
];

/// Element `i` of a block.
pub(super) fn value(dtype: DType, block: &[u8], i: usize) -> f32 {
    let block = Block { bytes: block, i };
    match dtype {
        DType::Q8K => f32::from_bits(block.bits(0, 0, 32)) * block.signed(4 + i),
        DType::Iq1M => block.iq1_m(),
        DType::Mxfp4 => {
            let scale = 2f64.powi(i32::from(block.bytes[0]) - 127);
            (scale * f64::from(e2m1(block.nibble(1, 16)))) as f32
        }
        DType::Nvfp4 => block.nvfp4(),
        DType::Q2K | DType::Q3K | DType::Q4K | DType::Q5K | DType::Q6K => block.k(dtype),
        DType::Iq2Xxs | DType::Iq2Xs | DType::Iq2S | DType::Iq3Xxs | DType::Iq3S => {
            let (scale, point, is_negative) = block.signed_point(dtype);
            let value = scale * f32::from(point);
            if is_negative { -value } else { value }
        }
        _ => block.simple(dtype),
    }
}

/// ggml has no negative zero.
fn e2m1(code: usize) -> f32 {
    float::F4[code] + 0.0
}

struct Block<'a> {
    bytes: &'a [u8],
    i: usize,
}

impl Block<'_> {
    /// `count` bits from bit number `first` behind byte `at` on, the lowest first.
    fn bits(&self, at: usize, first: usize, count: usize) -> u32 {
        let bit = |k: usize| self.bytes[at + (first + k) / 8] >> ((first + k) % 8) & 1;
        (0..count).map(|k| u32::from(bit(k)) << k).sum()
    }

    fn half(&self, at: usize) -> f32 {
        half::f16::from_bits(self.bits(at, 0, 16) as u16).to_f32()
    }

    fn signed(&self, at: usize) -> f32 {
        f32::from(self.bytes[at] as i8)
    }

    /// Four bits: low nibbles of `width` bytes are the first as many of twice as many elements.
    fn nibble(&self, at: usize, width: usize) -> usize {
        let (run, i) = (self.i / (2 * width), self.i % (2 * width));
        self.bits(at + width * run + i % width, 4 * (i / width), 4) as usize
    }

    /// Two bits: 128 elements in 32 bytes.
    fn pair(&self, at: usize) -> u32 {
        let (run, i) = (self.i / 128, self.i % 128);
        self.bits(at + 32 * run + i % 32, 2 * (i / 32), 2)
    }

    /// One bit: bit `i / 32` of byte `i % 32`.
    fn single(&self, at: usize) -> u32 {
        self.bits(at + self.i % 32, self.i / 32, 1)
    }

    fn simple(&self, dtype: DType) -> f32 {
        let i = self.i;
        let fifth = |at| self.nibble(at + 4, 16) as f32 + 16.0 * self.bits(at, i, 1) as f32;
        match dtype {
            DType::Q4_0 => self.half(0) * (self.nibble(2, 16) as f32 - 8.0),
            DType::Q4_1 => self.half(0) * self.nibble(4, 16) as f32 + self.half(2),
            DType::Q5_0 => self.half(0) * (fifth(2) - 16.0),
            DType::Q5_1 => self.half(0) * fifth(4) + self.half(2),
            DType::Q8_0 => self.half(0) * self.signed(2 + i),
            DType::Q8_1 => self.half(0) * self.signed(4 + i),
            DType::Iq4Nl => self.half(0) * NON_LINEAR[self.nibble(2, 16)],
            DType::Iq4Xs => {
                let scale = self.bits(4, 4 * (i / 32), 4) + 16 * self.bits(2, 2 * (i / 32), 2);
                self.half(0) * (scale as f32 - 32.0) * NON_LINEAR[self.nibble(8, 16)]
            }
            DType::Tq1_0 => {
                let (at, trit) = match i {
                    0..160 => (i % 32, i / 32),
                    160..240 => (32 + i % 16, (i - 160) / 16),
                    _ => (48 + i % 4, (i - 240) / 4),
                };
                let fraction = u32::from(self.bytes[at]) * 3u32.pow(trit as u32) % 256;
                self.half(52) * ((fraction * 3 / 256) as f32 - 1.0)
            }
            DType::Tq2_0 => self.half(64) * (self.pair(0) as f32 - 1.0),
            DType::Q1_0 if self.bits(2, i, 1) == 1 => self.half(0),
            DType::Q1_0 => -self.half(0),
            DType::Q2_0 => self.half(0) * (self.bits(2, 2 * i, 2) as f32 - 1.0),
            DType::Iq1S => {
                let at = 34 + 2 * (i / 32);
                let upper = self.bits(at, 3 * (i % 32 / 8), 3);
                let scale = self.half(0) * (2 * self.bits(at, 12, 3) + 1) as f32;
                scale * self.shifted(2, upper, self.bits(at, 15, 1))
            }
            _ => unreachable!("{dtype} has no slow way"),
        }
    }

    fn nvfp4(&self) -> f32 {
        let code = self.bytes[self.i / 16];
        let (exponent, mantissa) = (i32::from(code >> 3 & 15), f32::from(code & 7));
        let scale = match exponent {
            _ if code == 0x7f => 0.0,
            0 => mantissa * 2f32.powi(-9),
            _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
        };
        scale * e2m1(self.nibble(4, 8))
    }

    fn k(&self, dtype: DType) -> f32 {
        let (group, sub) = (self.i / 16, self.i / 32);
        // Sub-blocks of Q4_K and Q5_K: what the first four leave of their bytes is the others'.
        let (scale, minimum) = match sub {
            0..4 => (self.bits(4 + sub, 0, 6), self.bits(8 + sub, 0, 6)),
            _ => (
                self.bits(8 + sub, 0, 4) + 16 * self.bits(sub, 6, 2),
                self.bits(8 + sub, 4, 4) + 16 * self.bits(4 + sub, 6, 2),
            ),
        };
        let packed = |quant: u32| {
            let (d, dmin) = (self.half(0), self.half(2));
            d * scale as f32 * quant as f32 - dmin * minimum as f32
        };
        match dtype {
            DType::Q2K => {
                let (d, dmin) = (self.half(80), self.half(82));
                let (scale, minimum) = (self.bits(group, 0, 4), self.bits(group, 4, 4));
                d * scale as f32 * self.pair(16) as f32 - dmin * minimum as f32
            }
            DType::Q3K => {
                let scale = self.bits(96 + group % 8, 4 * (group / 8), 4)
                    + 16 * self.bits(104 + group % 4, 2 * (group / 4), 2);
                let quant = self.pair(32) + 4 * self.single(0);
                self.half(108) * (scale as f32 - 32.0) * (quant as f32 - 4.0)
            }
            DType::Q4K => packed(self.nibble(16, 32) as u32),
            DType::Q5K => packed(self.nibble(48, 32) as u32 + 16 * self.single(16)),
            _ => {
                let quant = self.nibble(0, 64) as u32 + 16 * self.pair(128);
                self.half(208) * self.signed(192 + group) * (quant as f32 - 32.0)
            }
        }
    }

    /// A value of the grid of IQ1, moved by an eighth.
    fn shifted(&self, at: usize, upper: u32, is_down: u32) -> f32 {
        let index = u32::from(self.bytes[at + self.i / 8]) + 256 * upper;
        let point = f32::from(grids::IQ1[index as usize][self.i % 8]);
        point + if is_down == 1 { -0.125 } else { 0.125 }
    }

    fn iq1_m(&self) -> f32 {
        let d = (0..4).map(|word| self.bits(48 + 2 * word, 12, 4) << (4 * word));
        let d = half::f16::from_bits(d.sum::<u32>() as u16).to_f32();
        let i = self.i;
        let scale = self.bits(48 + 2 * (i / 64), 3 * (i % 64 / 16), 3);
        let (upper, is_down) = (
            self.bits(32, 4 * (i / 8), 3),
            self.bits(32, 4 * (i / 8) + 3, 1),
        );
        d * (2 * scale + 1) as f32 * self.shifted(0, upper, is_down)
    }

    /// Scale, grid value and sign.
    fn signed_point(&self, dtype: DType) -> (f32, i8, bool) {
        let i = self.i;
        let (group, eight, four, lane) = (i / 32, i / 8, i / 4, i % 8);
        let byte = |at: usize| usize::from(self.bytes[at]);
        // Seven signs; the eighth makes the number of set ones even.
        let sign = |at: usize, first: usize| match lane {
            7 => self.bits(at, first, 7).count_ones() % 2 == 1,
            _ => self.bits(at, first + lane, 1) == 1,
        };
        let scaled = |at: usize, first: usize, by: f32| {
            self.half(0) * (0.5 + self.bits(at, first, 4) as f32) * by
        };
        match dtype {
            DType::Iq2Xxs => {
                let at = 6 + 8 * group;
                let point = grids::IQ2_XXS[byte(2 + 8 * group + eight % 4)][lane];
                (scaled(at, 28, 0.25), point, sign(at, 7 * (eight % 4)))
            }
            DType::Iq2Xs => {
                let at = 2 + 2 * eight;
                let point = grids::IQ2_XS[self.bits(at, 0, 9) as usize][lane];
                (scaled(66, 4 * (i / 16), 0.25), point, sign(at, 9))
            }
            DType::Iq2S => {
                let index = byte(2 + eight) + 256 * self.bits(66, 2 * eight, 2) as usize;
                let is_negative = self.bits(34, i, 1) == 1;
                let scale = scaled(74, 4 * (i / 16), 0.25);
                (scale, grids::IQ2_S[index][lane], is_negative)
            }
            DType::Iq3Xxs => {
                let at = 66 + 4 * group;
                let point = grids::IQ3_XXS[byte(2 + four)][i % 4];
                (scaled(at, 28, 0.5), point, sign(at, 7 * (eight % 4)))
            }
            _ => {
                let index = byte(2 + four) + 256 * self.bits(66, four, 1) as usize;
                let scale = self.half(0) * (1 + 2 * self.bits(106, 4 * group, 4)) as f32;
                let is_negative = self.bits(74, i, 1) == 1;
                (scale, grids::IQ3_S[index][i % 4], is_negative)
            }
        }
    }
}

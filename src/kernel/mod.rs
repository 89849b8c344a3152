//! The hot loops, and the only place where `unsafe` is allowed.
//!
//! Each loop is written once, without branches, and compiled once for every instruction set
//! that is worth it; which one runs is found out at run time. The form compiled for the
//! baseline is the portable one: it says what the loop means, and tests hold the others equal
//! to it, bit for bit. (The loop of [`moments`] is written out for each: compilers do not find
//! its best form.)
//!
//! | loop | what |
//! |---|---|
//! | [`count`] | how often each byte occurs |
//! | [`difference`] | what tells two runs of floats apart |
//! | [`moments`] | sums behind mean, deviation and norms |
//! | [`narrow`] | `f32` to `F16` and `BF16`, and what is lost |
//! | [`widen`] | `F16` and `BF16` to `f32` |

#![allow(unsafe_code)]

pub mod count;
pub mod difference;
pub mod double;
pub mod moments;
pub mod narrow;
pub mod widen;

/// Which form of a loop runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// The fastest that this processor has.
    #[default]
    Fast,
    /// The portable one, for checks that must not share a fault with the other.
    Portable,
}

/// Which instructions a loop may use. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// What the program was compiled for: SSE2 on x86-64, NEON on AArch64.
    Baseline,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl InstructionSet {
    /// The fastest that this machine has. Cheap: the answer is remembered.
    pub fn best() -> InstructionSet {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
                && is_x86_feature_detected!("popcnt");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            match (avx2, avx512) {
                (true, true) => return InstructionSet::Avx512,
                (true, false) => return InstructionSet::Avx2,
                _ => {}
            }
        }
        InstructionSet::Baseline
    }

    /// All that this machine has, slowest first.
    pub fn available() -> impl Iterator<Item = InstructionSet> {
        use InstructionSet::{Avx2, Avx512, Baseline};
        let best = InstructionSet::best();
        [Baseline, Avx2, Avx512]
            .into_iter()
            .filter(move |&set| set <= best)
    }

    /// This one, or the best that the machine has if it lacks this one.
    #[must_use]
    pub fn or_best(self) -> InstructionSet {
        self.min(InstructionSet::best())
    }
}

/// Defines `$name(path, input, out)`, which runs `$body` compiled for the best instruction set.
macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident, $body:ident -> $result:ty) => {
        $(#[$doc])*
        pub fn $name(path: super::Path, input: &[u8], out: &mut [u8]) -> $result {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
                fn avx512(input: &[u8], out: &mut [u8]) -> $result {
                    $body(input, out)
                }
                #[target_feature(enable = "avx2")]
                fn avx2(input: &[u8], out: &mut [u8]) -> $result {
                    $body(input, out)
                }
                if path == super::Path::Fast {
                    if is_x86_feature_detected!("avx512f")
                        && is_x86_feature_detected!("avx512bw")
                        && is_x86_feature_detected!("avx512vl")
                        && is_x86_feature_detected!("avx512dq")
                    {
                        // SAFETY: the processor has been asked for every feature enabled.
                        return unsafe { avx512(input, out) };
                    }
                    if is_x86_feature_detected!("avx2") {
                        // SAFETY: the processor has been asked for every feature enabled.
                        return unsafe { avx2(input, out) };
                    }
                }
            }
            // On aarch64 the baseline has NEON, so the portable form is the fast one.
            let _ = path;
            $body(input, out)
        }
    };
}
pub(crate) use dispatched;

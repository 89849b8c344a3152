//! The hot loops, and the only place where `unsafe` is allowed.
//!
//! Each loop is written once, without branches, and compiled once for every instruction set
//! that is worth it; which one runs is found out at run time. The form compiled for the
//! baseline is the portable one: it says what the loop means, and tests hold the others equal
//! to it, bit for bit.
//!
//! | loop | what |
//! |---|---|
//! | [`difference`] | what tells two runs of floats apart |
//! | [`narrow`] | `f32` to `F16` and `BF16`, and what is lost |
//! | [`widen`] | `F16` and `BF16` to `f32` |

#![allow(unsafe_code)]

pub mod difference;
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

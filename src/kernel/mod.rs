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
//! | [`lossless`] | whether smaller floats hold a run exactly |
//! | [`moments`] | sums behind mean, deviation and norms |
//! | [`narrow`] | `f32` to floats of 16 and 8 bits, and what is lost |
//! | [`rank`] | where a magnitude stands among others |
//! | [`view`] | floats as bytes |
//! | [`widen`] | `F16` and `BF16` to `f32` |
//! | [`zero`] | zeros in the place of the smallest |

#![allow(unsafe_code)]

pub mod count;
pub mod difference;
pub mod double;
pub mod lossless;
pub mod moments;
pub mod narrow;
pub mod rank;
pub mod view;
pub mod widen;
pub mod zero;

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

/// A loop that [`run`] compiles for every instruction set.
pub trait Loop {
    /// What it finds.
    type Output;

    /// Does the work. Marked `#[inline(always)]`, as is all that it calls: what is not inlined
    /// is compiled for the baseline.
    fn run(self) -> Self::Output;
}

/// A loop that a closure runs, which calls nothing but what is inlined.
pub(crate) struct Inlined<F>(pub(crate) F);

impl<F: FnOnce() -> R, R> Loop for Inlined<F> {
    type Output = R;

    #[inline(always)]
    fn run(self) -> R {
        (self.0)()
    }
}

/// Runs `work` in the form that `path` asks for.
pub fn run<L: Loop>(path: Path, work: L) -> L::Output {
    match path {
        Path::Fast => run_on(InstructionSet::best(), work),
        Path::Portable => work.run(),
    }
}

/// Runs `work` with the instructions of `set`, or the best that this machine has.
pub fn run_on<L: Loop>(set: InstructionSet, work: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        fn avx512<L: Loop>(work: L) -> L::Output {
            work.run()
        }
        #[target_feature(enable = "avx2,f16c,popcnt")]
        fn avx2<L: Loop>(work: L) -> L::Output {
            work.run()
        }
        match set.or_best() {
            // SAFETY: the processor has every feature that its best set names.
            InstructionSet::Avx512 => return unsafe { avx512(work) },
            // SAFETY: as above.
            InstructionSet::Avx2 => return unsafe { avx2(work) },
            InstructionSet::Baseline => {}
        }
    }
    // On aarch64 the baseline has NEON, so the portable form is the fast one.
    let _ = set;
    work.run()
}

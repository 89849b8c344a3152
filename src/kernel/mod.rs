//! The hot loops, and the only place where `unsafe` is allowed.
//!
//! Each loop has a portable form that says what it means, and faster ones for instruction sets
//! that are found at run time; tests hold them equal, bit for bit.

pub mod count;
pub mod double;
pub mod moments;

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

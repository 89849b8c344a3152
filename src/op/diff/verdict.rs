//! One word for how two tensors relate.

use std::fmt;

/// How a tensor of A relates to its counterpart in B, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Same dtype, shape and bits.
    Identical,
    /// Every value is the same, in another dtype or other bits (`-0.0`, NaN payloads).
    EqualValues,
    /// B is exactly A cast to B's dtype, or the reverse.
    Rounded,
    /// Every element is as near as the tolerance asks.
    WithinTolerance,
    /// B is A with its two axes exchanged.
    Transposed,
    /// Only elements that are NaN or infinite differ.
    NonFinite,
    /// Elements differ.
    Changed,
    /// The shapes differ.
    Shape,
    /// B has no such tensor.
    OnlyInA,
    /// A has no such tensor.
    OnlyInB,
}

impl Verdict {
    /// Every verdict, mildest first.
    pub const ALL: [Verdict; 10] = [
        Verdict::Identical,
        Verdict::EqualValues,
        Verdict::Rounded,
        Verdict::WithinTolerance,
        Verdict::Transposed,
        Verdict::NonFinite,
        Verdict::Changed,
        Verdict::Shape,
        Verdict::OnlyInA,
        Verdict::OnlyInB,
    ];

    /// The word that people type and read.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Identical => "identical",
            Verdict::EqualValues => "equal_values",
            Verdict::Rounded => "rounded",
            Verdict::WithinTolerance => "within_tolerance",
            Verdict::Transposed => "transposed",
            Verdict::NonFinite => "non_finite",
            Verdict::Changed => "changed",
            Verdict::Shape => "shape",
            Verdict::OnlyInA => "only_in_a",
            Verdict::OnlyInB => "only_in_b",
        }
    }

    /// The verdict that people call `name`; hyphens may stand for underscores.
    pub fn from_name(name: &str) -> Option<Verdict> {
        let name = name.trim().replace('-', "_").to_ascii_lowercase();
        Verdict::ALL
            .into_iter()
            .find(|verdict| verdict.name() == name)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

//! Bits of the small float types to `f32`.

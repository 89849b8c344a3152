//! Any tensor as a `candle_core::Tensor`.

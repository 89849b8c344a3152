//! All integration tests, as one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod architecture;
#[cfg(feature = "candle")]
mod candle;
mod cli;
mod corpus;
mod format;
mod laws;
mod op;
mod support;

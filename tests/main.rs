//! All integration tests, as one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod architecture;
mod corpus;
mod format;
mod laws;
mod support;

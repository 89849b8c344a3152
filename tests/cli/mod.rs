//! The program itself.

mod audit;
mod convert;
mod crash;
mod diff;
mod edit;
mod hash;
#[cfg(feature = "candle")]
mod imatrix;
mod inputs;
mod inspect;
mod names;
mod plan;
mod prune;
mod quantize;
mod schema;
mod shards;
mod show;
mod support;
mod target_size;
mod tied;
mod usage;
mod workflow;

//! What can be done with checkpoints. Never prints, never opens.

pub mod audit;
pub mod convert;
pub mod diff;
pub mod group;
pub mod hash;
pub mod identity;
pub mod importance;
pub mod inspect;
pub mod licence;
pub mod llama_cpp;
pub mod lossless;
pub mod names;
pub mod prune;
pub mod rename;
pub mod root;
pub mod rules;
pub mod scale;
pub mod schema;
pub mod select;
pub mod show;
pub mod sparsity;
pub mod stats;
pub mod tie;
pub mod verify;
mod work;
pub mod workflow;

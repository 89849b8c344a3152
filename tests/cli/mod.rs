//! The program itself.

mod audit;
mod convert;
mod hash;
mod inspect;
mod prune;
mod show;
mod support;
mod usage;
mod workflow;

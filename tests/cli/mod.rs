//! The program itself.

mod convert;
mod hash;
mod inspect;
mod show;
mod support;
mod usage;
mod workflow;

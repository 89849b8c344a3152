//! The program itself.

mod convert;
mod inspect;
mod show;
mod support;
mod usage;
mod workflow;

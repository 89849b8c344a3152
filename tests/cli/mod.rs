//! The program itself.

mod inspect;
mod show;
mod support;
mod usage;

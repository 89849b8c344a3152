//! The hot loops, and the only place where `unsafe` is allowed.
//!
//! Each loop has a portable form that says what it means, and faster ones for instruction sets
//! that are found at run time; tests hold them equal, bit for bit.

#![allow(unsafe_code)]

pub mod difference;

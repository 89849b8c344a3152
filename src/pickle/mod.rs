//! The pickle language as data: bytes to a graph of objects. Nothing is imported, nothing is
//! called.
//!
//! | what | where |
//! |---|---|
//! | a value in eight bytes | [`Item`] |
//! | the pools that items point into | [`Graph`] |
//! | the opcodes of protocols 0 to 5 | [`read`] |
//! | the same, past every fault, to judge what it would do | [`trace`] |
//! | NumPy's arrays, dtypes and scalars | [`numpy`] |
//!
//! A pickle is a program for a stack machine that builds objects. Most opcodes push plain
//! values; `GLOBAL` names something to import, and `REDUCE`, `NEWOBJ`, `INST`, `OBJ` and `BUILD`
//! call it. Here an import is a [`Global`] and a call is a [`Call`]: what would be called, with
//! what, and what was then done to the result. Whoever reads the graph gives the few harmless
//! ones their meaning.
//!
//! ```
//! use ckpt::io::Source;
//! use ckpt::pickle::{self, View};
//!
//! # fn main() -> ckpt::Result<()> {
//! let source = Source::from_bytes("x", *b"cos\nsystem\n(S'ls'\ntR.");
//! let pickle = pickle::read(&source, 0)?;
//! let View::Call(call) = pickle.graph.view(pickle.root) else { panic!() };
//! let View::Global(global) = pickle.graph.view(call.callable) else { panic!() };
//! assert_eq!(global.to_string(), "os.system");
//! # Ok(())
//! # }
//! ```
#![cfg_attr(
    not(test),
    warn(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation
    )
)]

mod graph;
mod item;
mod line;
mod machine;
mod memo;
pub mod numpy;

pub use graph::{Call, CallKind, Global, Graph, LongText, TextKind, View};
pub use item::Item;
pub use machine::{Build, COMPUTED, Pickle, Trace, read, trace};

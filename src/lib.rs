//! `ckpt` opens model checkpoints of any format, says what is in them, and converts them,
//! without Python and without executing anything that stands in a file.
//!
//! # The one idea
//!
//! A [`model::Checkpoint`] is a plain value: an ordered list of tensors that say what they are
//! and where their bytes lie. Reading a file yields one without touching tensor data;
//! transforming it yields another, still without touching data. Bytes move only when a writer
//! or a measurement pulls them through [`stream`], piece by piece, in bounded memory.
//!
//! ```no_run
//! # fn main() -> ckpt::Result<()> {
//! let checkpoint = ckpt::format::open("model.pt".as_ref())?;
//! for tensor in &checkpoint.tensors {
//!     println!("{} {} {}", tensor.name, tensor.dtype, tensor.shape);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The map of the house, bottom up
//!
//! | module | what it is for |
//! |---|---|
//! | [`error`], [`limits`], [`text`], [`report`] | know nothing of ours |
//! | [`kernel`] | the hot loops; the only `unsafe` code |
//! | [`dtype`] | element types: a table of facts, bits to numbers and back |
//! | [`io`] | bytes in and out: [`io::Source`], [`io::Cursor`], [`io::Sink`], archives |
//! | [`model`] | the common tensor model: plain values |
//! | [`pickle`] | the pickle language as data: nothing is imported, nothing is called |
//! | [`stream`] | the one interpreter of [`model::Payload`] |
//! | [`parallel`] | the only file that starts threads |
//! | [`mod@format`] | the only place that knows file formats |
//! | [`op`] | what can be done with checkpoints; never prints, never opens |
//! | [`candle`] | any tensor as a `candle_core::Tensor` |

#[cfg(feature = "candle")]
pub mod candle;
pub mod dtype;
pub mod error;
pub mod format;
pub mod io;
pub mod kernel;
pub mod limits;
pub mod model;
pub mod op;
pub mod parallel;
pub mod pickle;
pub mod report;
pub mod safety;
pub mod stream;
pub mod text;

pub use dtype::DType;
pub use error::{Error, Kind, Result};
pub use model::{Checkpoint, Tensor};

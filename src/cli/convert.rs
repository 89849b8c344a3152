//! `ckpt convert`: another format, dtype or sharding.

use super::Status;
use super::args::Global;
use ckpt::{Error, Result};

/// The arguments of `ckpt convert`. (`-f/--force`, `-o`, `-q`, `-j` and `--json` are in
/// [`Global`].)
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    let _ = (args, global);
    Err(Error::unsupported("convert is not built yet"))
}

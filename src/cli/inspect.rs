//! `ckpt inspect`: what is in a checkpoint.

use super::Status;
use super::args::Global;
use ckpt::{Error, Result};

/// The arguments of `ckpt inspect`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    let _ = (args, global);
    Err(Error::unsupported("inspect is not built yet"))
}

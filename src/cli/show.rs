//! `ckpt show`: the values of one tensor.

use super::Status;
use super::args::Global;
use ckpt::{Error, Result};

/// The arguments of `ckpt show`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    let _ = (args, global);
    Err(Error::unsupported("show is not built yet"))
}

//! The commands: arguments in, pages out.

use std::process::ExitCode;

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    ExitCode::from(2)
}

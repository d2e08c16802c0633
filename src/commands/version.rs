//! `ssmx version`.

use super::context::Context;
use super::error::{CommandError, Exit};

/// Print the version
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints name and version, in the form of `--version`.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(ctx: &Context, _args: Args) -> Result<Exit, CommandError> {
    ctx.ui().data(concat!("ssmx ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(Exit::SUCCESS)
}

//! The `ssmx` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ssmx::cli::run(std::env::args_os())
}

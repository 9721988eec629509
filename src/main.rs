//! The reference node: a terminal for people, bots and tests, and a demonstration.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}

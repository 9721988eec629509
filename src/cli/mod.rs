//! What `spacepanda` does for each of its subcommands.

mod args;
mod backends;
mod chat;
mod demo;
mod screen;

use std::{future::Future, io, process::ExitCode};

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use self::args::{Args, Subcommand};

/// Reads the command line, does what it says, and says whether that went well.
pub(crate) fn run() -> ExitCode {
    let args = Args::parse();
    log_to_stderr();
    match args.subcommand {
        Subcommand::Demo => block_on(demo::run()),
        Subcommand::Chat(args) => block_on(chat::run(args)),
        Subcommand::Backends(args) => backends::run(&args),
    }
}

/// Logs are off unless the variable `RUST_LOG` asks for them: standard output is for the conversation.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

fn block_on(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            eprintln!(
                "The program's threads did not start: {error}. Nothing was changed. Try again."
            );
            ExitCode::FAILURE
        }
    }
}

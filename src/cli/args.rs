use std::path::PathBuf;

/// Chat without a server: end-to-end encrypted, peer to peer.
#[derive(Debug, clap::Parser)]
#[command(name = "spacepanda", version, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) subcommand: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Subcommand {
    /// Shows it at work: three nodes on this machine talk, sleep, catch up and part
    ///
    /// Alice, Bob and Carol each have a node of their own, with a SQLite store in a temporary folder
    /// and QUIC on 127.0.0.1. Every step is checked; the exit status is 0 only if all of them held.
    Demo,
    /// Opens your node and talks
    ///
    /// Lines that you type are messages to the current channel; lines that begin with a slash are
    /// commands, which `/help` lists; two slashes begin a message with one. `/quit`, the end of input
    /// and Ctrl-C close the node in good order.
    Chat(ChatArgs),
    /// Lists the stores and transports that URLs can name, and what this build lacks
    Backends(BackendsArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ChatArgs {
    /// The folder that holds your node; it is made, for you alone, if there is none
    #[arg(long, value_name = "DIR")]
    pub(super) data: PathBuf,
    /// What you are called at first; needed the first time
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Where everything is kept [default: sqlite:DIR/node.db]
    #[arg(long, value_name = "URL")]
    pub(super) store: Option<String>,
    /// Where others reach you; may be given several times
    #[arg(long, value_name = "URL", default_value = "quic://0.0.0.0:0")]
    pub(super) listen: Vec<String>,
    /// What others are told to dial, in place of the addresses found here: for a port that a router
    /// forwards, such as quic://192.0.2.7:4433; may be given several times
    #[arg(long, value_name = "URL")]
    pub(super) announce: Vec<String>,
    /// Where it is kept how far your device has come, outside of what is copied with your node
    /// [default: $XDG_STATE_HOME/spacepanda, or ~/.local/state/spacepanda]
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
    /// Says that no other copy of the data folder is in use, where nothing else says so
    #[arg(long)]
    pub(super) only_copy: bool,
    /// One JSON object per line: one reply to each line of input, and events
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct BackendsArgs {
    /// One JSON object instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}

//! `spacepanda backends`: which schemes this build knows.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde::Serialize;
use spacepanda::registry::{Kind, Registry};

use super::args::BackendsArgs;

/// Prints them; the exit status is a failure only if nobody reads standard output.
pub(super) fn run(args: &BackendsArgs) -> ExitCode {
    let list = List::of(&spacepanda::backends());
    let written = if args.json { list.write_json() } else { list.write_table() };
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct List {
    backends: Vec<Present>,
    missing: Vec<Missing>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Present {
    scheme: &'static str,
    kind: String,
    description: &'static str,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Missing {
    scheme: &'static str,
    kind: String,
    why: String,
}

impl List {
    fn of(registry: &Registry) -> Self {
        let stores = registry.stores().map(|store| (store.scheme, Kind::Store, store.description));
        let transports = registry
            .transports()
            .map(|transport| (transport.scheme, Kind::Transport, transport.description));
        Self {
            backends: stores
                .chain(transports)
                .map(|(scheme, kind, description)| Present {
                    scheme,
                    kind: kind.to_string(),
                    description,
                })
                .collect(),
            missing: registry
                .hints()
                .map(|hint| Missing {
                    scheme: hint.scheme,
                    kind: hint.kind.to_string(),
                    why: format!("built without the Cargo feature `{}`", hint.feature),
                })
                .collect(),
        }
    }

    fn write_json(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, self)?;
        writeln!(out)
    }

    fn write_table(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for Present { scheme, kind, description } in &self.backends {
            writeln!(out, "{:<12}{kind:<12}{description}", format!("{scheme}:"))?;
        }
        for Missing { scheme, kind, why } in &self.missing {
            writeln!(out, "{:<12}{kind:<12}missing: {why}", format!("{scheme}:"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_lacks_is_listed_with_the_feature_that_brings_it() {
        let mut registry = Registry::new();
        registry.hint(Kind::Transport, "quic", "transport-quic");
        let json = serde_json::to_string(&List::of(&registry)).unwrap();
        assert_eq!(
            json,
            "{\"backends\":[],\"missing\":[{\"scheme\":\"quic\",\"kind\":\"transport\",\"why\":\
             \"built without the Cargo feature `transport-quic`\"}]}"
        );
    }
}

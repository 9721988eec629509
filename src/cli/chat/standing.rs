//! Whether this node's folder may be an old copy, or one of two.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use spacepanda::{Continuity, Node};

use super::{output::Output, told::Told};

/// The folder that was named; else the system's for state, if there is one.
pub(super) fn state_folder(named: Option<&Path>) -> Option<PathBuf> {
    let xdg = || env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env::home_dir().map(|home| home.join(".local").join("state"));
    match named {
        Some(named) => Some(named.to_owned()),
        None => xdg().or_else(home).map(|state| state.join("spacepanda")),
    }
}

/// Takes its person's word that there is no other copy, if given, and tells what stands in the way of
/// writing, if anything does.
pub(super) async fn greet(node: &Node, only_copy: bool, output: &Output) -> io::Result<()> {
    if only_copy && let Err(error) = node.confirm_only_copy().await {
        let (code, message) = (error.code(), error.to_string());
        output.tell(&Told::Notice { code, message })?;
    }
    match node.status().await {
        // It may have become another device before anybody listened.
        Ok(status) if status.gave_up.is_some() => {
            output.tell(&Told::continuity(Continuity::RolledBack))
        }
        Ok(status) if status.continuity != Continuity::Sure => {
            output.tell(&Told::continuity(status.continuity))
        }
        // A node that has ended says so itself.
        Ok(_) | Err(_) => Ok(()),
    }
}

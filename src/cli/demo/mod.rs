//! `spacepanda demo`: three nodes on this machine, and every step checked.

mod person;
mod stage;
mod story;

use std::process::ExitCode;

use self::stage::Stage;

/// Plays the story; the exit status says whether every step held.
pub(super) async fn run() -> ExitCode {
    let mut stage = Stage::new();
    match story::play(&mut stage).await {
        Ok(()) => {
            stage.ends_well();
            ExitCode::SUCCESS
        }
        Err(failure) => {
            stage.ends_badly(&failure);
            ExitCode::FAILURE
        }
    }
}

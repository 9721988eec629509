use std::{future::pending, path::PathBuf, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};

use super::mirror::{Mirror, Place};
use crate::{
    app::{engine::Finding, os},
    base::{DeviceId, Result},
};

/// The mirror is written at most this often, so it lags by as much.
const PERIOD: Duration = Duration::from_secs(1);
/// How often it is read while nothing is saved.
const LOOK: Duration = Duration::from_secs(30);
/// What the mirror told and the driver has not heard.
const HEARD_MAX: usize = 16;

/// Says where a store stands outside of it, in a mirror that is written after each save and so may lag
/// and never leads; and finds out what was said before.
///
/// The mirror is a help and no more: one that cannot be read or written is told of, and counts as none.
pub(super) struct Mirroring {
    folder: Option<PathBuf>,
    /// The last generation that is known to be saved: as good as a mirror while this process lives.
    saved: u64,
    found: Option<Found>,
    /// Whether what was found is taken into account, durably.
    judged: bool,
    /// Whether another run was found to write the mirror since. Its task tells that once and ends, and what
    /// the machine makes of it may be lost with a save that fails.
    shared: bool,
    task: Option<Task>,
}

/// What was found before this run wrote anything.
struct Found {
    /// The device that it is about.
    device: DeviceId,
    finding: Finding,
    /// The mirror's place, if there is a folder, and the run that wrote it last.
    place: Option<Place>,
    before: Option<[u8; 16]>,
}

struct Task {
    saved: watch::Sender<u64>,
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<()>,
}

/// What the mirror tells.
pub(super) enum Heard {
    /// Another run writes it.
    Shared,
    /// It cannot be used; said once until it can.
    Failed(String),
}

impl Mirroring {
    /// A mirror in `folder`; without one nothing is known but what this process itself has saved.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, saved: 0, found: None, judged: false, shared: false, task: None }
    }

    /// Compares a device's mirror with the generation that its store held when it was opened, 0 if that
    /// is new. Says also why the mirror cannot be used, if it cannot.
    ///
    /// Of a store that this process opens again it knows itself how far it was, and whether another run was
    /// found meanwhile.
    pub(super) fn find(&mut self, device: &DeviceId, stored: u64) -> (Finding, Option<String>) {
        if self.found.as_ref().is_some_and(|found| found.device != *device) {
            // The node went on with another device, and was read again before it could say so.
            *self = Self::new(self.folder.take());
        }
        if let Some(Found { finding, .. }) = &self.found {
            let finding = match (self.shared, self.judged) {
                (true, _) => Finding::Shared,
                (false, true) => Finding::Agrees,
                (false, false) => *finding,
            };
            return (finding, None);
        }
        let place = self.folder.as_deref().map(|folder| Place::new(folder, device));
        let (mirror, failed) = match place.as_ref().map_or(Ok(None), Place::read) {
            Ok(mirror) => (mirror, None),
            Err(error) => (None, Some(unusable(&error))),
        };
        let finding = match mirror {
            Some(mirror) if mirror.generation > stored => Finding::Ahead,
            Some(_) => Finding::Agrees,
            None if stored == 0 => Finding::Agrees,
            None => Finding::Unknown,
        };
        self.saved = self.saved.max(stored);
        let before = mirror.map(|mirror| mirror.run);
        self.found = Some(Found { device: *device, finding, place, before });
        (finding, failed)
    }

    /// Goes on with a device that was just made: nobody else can have written its mirror.
    ///
    /// # Errors
    /// If the system gives no entropy.
    pub(super) fn renew(&mut self, device: &DeviceId) -> Result<()> {
        // The old device's mirror is written once more, and ends.
        (self.task, self.shared) = (None, false);
        let place = self.folder.as_deref().map(|folder| Place::new(folder, device));
        let finding = Finding::Agrees;
        self.found = Some(Found { device: *device, finding, place, before: None });
        self.begin()
    }

    /// Writes the mirror from now on.
    ///
    /// # Errors
    /// If the system gives no entropy.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.judged = true;
        let Some(Found { place: Some(place), before, .. }) = &self.found else { return Ok(()) };
        if self.task.is_some() {
            return Ok(());
        }
        let (saved, to_write) = watch::channel(0);
        let (tell, heard) = mpsc::channel(HEARD_MAX);
        let (place, before, run) = (place.clone(), *before, run_number()?);
        let writer = Writer { place, before, run, written: 0, failing: false };
        saved.send_replace(self.saved);
        let task = tokio::spawn(keep(writer, to_write, tell));
        self.task = Some(Task { saved, heard, task });
        Ok(())
    }

    /// Leaves this run's mark on the mirror of a device that had come further: whoever else runs with
    /// it learns of this one.
    ///
    /// # Errors
    /// If the system gives no entropy.
    pub(super) fn mark(&mut self) -> Result<()> {
        let Some(Found { place: Some(place), .. }) = &self.found else { return Ok(()) };
        let run = run_number()?;
        if let Ok(Some(mirror)) = place.read() {
            // A mark that cannot be left is none: the other one learns by its peers.
            let _ = place.write(&Mirror { run, ..mirror });
        }
        Ok(())
    }

    /// Notes a save.
    pub(super) fn saved(&mut self, generation: u64) {
        self.saved = generation;
        if let Some(task) = &self.task {
            task.saved.send_replace(generation);
        }
    }

    /// Waits for what the mirror tells, for ever if there is nothing. Cancel safe.
    pub(super) async fn next(&mut self) -> Heard {
        if let Some(task) = &mut self.task
            && let Some(heard) = task.heard.recv().await
        {
            self.shared |= matches!(heard, Heard::Shared);
            return heard;
        }
        pending().await
    }

    /// Writes what was saved last, and ends.
    pub(super) async fn finish(&mut self) {
        let Some(Task { saved, task, .. }) = self.task.take() else { return };
        drop(saved);
        // A task that panicked has left a mirror that lags.
        let _ = task.await;
    }
}

/// Writes the mirror after saves until there are no more, or another run is found to write it too.
async fn keep(mut writer: Writer, mut saved: watch::Receiver<u64>, tell: mpsc::Sender<Heard>) {
    loop {
        let ended = matches!(timeout(LOOK, saved.changed()).await, Ok(Err(_)));
        let generation = *saved.borrow_and_update();
        let turned = spawn_blocking(move || {
            let heard = writer.turn(generation);
            (writer, heard)
        });
        let Ok((back, heard)) = turned.await else { return };
        writer = back;
        let is_shared = matches!(heard, Some(Heard::Shared));
        if let Some(heard) = heard {
            // The driver may be gone, or slow and told enough.
            let _ = tell.try_send(heard);
        }
        if ended || is_shared {
            return;
        }
        let mut ending = saved.clone();
        tokio::select! {
            () = sleep(PERIOD) => {}
            () = async { while ending.changed().await.is_ok() {} } => {}
        }
    }
}

struct Writer {
    place: Place,
    /// The run that wrote the mirror before this one did.
    before: Option<[u8; 16]>,
    run: [u8; 16],
    written: u64,
    failing: bool,
}

impl Writer {
    /// Looks whether the mirror is this run's still, and brings it up to `generation`.
    fn turn(&mut self, generation: u64) -> Option<Heard> {
        let turned = self.place.read().or_else(|error| match error.kind() {
            // What is damaged is written anew.
            std::io::ErrorKind::InvalidData => Ok(None),
            _ => Err(error),
        });
        let turned = turned.and_then(|held| match held {
            Some(held) if held.run != self.run && Some(held.run) != self.before => {
                // Written once more, so that the other run finds this one as well.
                let generation = generation.max(held.generation);
                self.place.write(&Mirror { generation, run: self.run })?;
                Ok(Some(Heard::Shared))
            }
            Some(_) if generation <= self.written => Ok(None),
            _ if generation == 0 => Ok(None),
            _ => {
                self.place.write(&Mirror { generation, run: self.run })?;
                (self.written, self.before) = (generation, None);
                Ok(None)
            }
        });
        let was_failing = std::mem::replace(&mut self.failing, turned.is_err());
        match turned {
            Ok(heard) => heard,
            Err(error) => (!was_failing).then(|| Heard::Failed(unusable(&error))),
        }
    }
}

/// A number that no other run has.
fn run_number() -> Result<[u8; 16]> {
    let seed = os::seed()?;
    Ok(seed.expose()[..16].try_into().expect("16 of 32 bytes"))
}

fn unusable(error: &std::io::Error) -> String {
    format!(
        "What is kept outside the data folder about how far this device has come cannot be used: \
         {error}. The node goes on; a copy of the folder that is restored may not be noticed."
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

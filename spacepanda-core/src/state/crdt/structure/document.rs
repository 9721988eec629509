use std::collections::BTreeMap;

use automerge::{
    ActorId, Automerge, AutomergeError, ChangeHash, ObjId, ObjType, ROOT, ReadDoc, ScalarValue,
    Value, transaction::CommitOptions, transaction::Transactable, transaction::Transaction,
};

use crate::base::ChannelId;

/// The 16 bytes by which Automerge tells authors apart.
pub(super) type Actor = [u8; 16];

const NAME: &str = "name";
const ORDER: &str = "order";
const CHANNELS: &str = "channels";

/// The document could not do what was asked. Nothing of it changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecuteError {
    /// Two changes of one actor would have one number: they are of two branches of a log.
    #[error("the actor's changes are no chain")]
    Sequence,
    /// Automerge refused.
    #[error(transparent)]
    Refused(#[from] AutomergeError),
}

/// One write to the document.
pub(super) enum Write<'a> {
    ServerName(&'a str),
    Channel { id: ChannelId, order: u64, name: &'a str },
}

/// The Automerge document: `{ name, channels: { id in hexadecimal: { name, order } } }`.
///
/// Every replica begins with the same change, which makes the map of channels: two replicas that each
/// made their own would see only one of them.
pub(super) struct Document {
    automerge: Automerge,
    base: ChangeHash,
    /// How many changes each actor has made.
    sequences: BTreeMap<Actor, u64>,
}

impl Document {
    pub(super) fn new() -> Result<Self, ExecuteError> {
        let mut automerge = Automerge::new();
        let base = commit(&mut automerge, [0; 16], |tx| {
            tx.put_object(ROOT, CHANNELS, ObjType::Map).map(|_| ())
        })?;
        Ok(Self { automerge, base, sequences: BTreeMap::new() })
    }

    /// Executes `write` on the document as it was at `past` and merges what comes of it.
    ///
    /// If `past` holds all heads, it is the document itself; that takes no fork, and makes the same change.
    pub(super) fn execute(
        &mut self,
        past: &[ChangeHash],
        actor: Actor,
        write: &Write<'_>,
    ) -> Result<ChangeHash, ExecuteError> {
        let heads = self.automerge.get_heads();
        let is_whole = heads.iter().all(|head| *head == self.base || past.contains(head));
        let sequence = self.sequences.get(&actor).copied().unwrap_or(0) + 1;
        let hash = if is_whole {
            commit(&mut self.automerge, actor, |tx| perform(tx, write))?
        } else {
            self.execute_beside(past, actor, sequence, write)?
        };
        self.sequences.insert(actor, sequence);
        Ok(hash)
    }

    fn execute_beside(
        &mut self,
        past: &[ChangeHash],
        actor: Actor,
        sequence: u64,
        write: &Write<'_>,
    ) -> Result<ChangeHash, ExecuteError> {
        let base = [self.base];
        let mut fork = self.automerge.fork_at(if past.is_empty() { &base } else { past })?;
        let hash = commit(&mut fork, actor, |tx| perform(tx, write))?;
        let made = fork.get_change_by_hash(&hash).map(|change| change.seq());
        if made != Some(sequence) {
            return Err(ExecuteError::Sequence);
        }
        self.automerge.merge(&mut fork)?;
        Ok(hash)
    }

    /// The hashes of the changes that no other has in its past, ascending.
    pub(super) fn heads(&self) -> Vec<[u8; 32]> {
        let mut heads: Vec<_> = self.automerge.get_heads().iter().map(|head| head.0).collect();
        heads.sort_unstable();
        heads
    }

    pub(super) fn server_name(&self) -> Option<String> {
        text(&self.automerge, &ROOT, NAME)
    }

    pub(super) fn channel_name(&self, id: &ChannelId) -> Option<String> {
        let (_, channels) = self.automerge.get(ROOT, CHANNELS).ok()??;
        let (_, channel) = self.automerge.get(channels, id.to_string()).ok()??;
        text(&self.automerge, &channel, NAME)
    }
}

fn perform(tx: &mut Transaction<'_>, write: &Write<'_>) -> Result<(), AutomergeError> {
    match write {
        Write::ServerName(name) => tx.put(ROOT, NAME, *name),
        Write::Channel { id, order, name } => {
            let (_, channels) = tx
                .get(ROOT, CHANNELS)?
                .ok_or_else(|| AutomergeError::InvalidObjId(CHANNELS.to_owned()))?;
            let channel = tx.put_object(channels, id.to_string(), ObjType::Map)?;
            tx.put(&channel, NAME, *name)?;
            tx.put(&channel, ORDER, ScalarValue::Uint(*order))
        }
    }
}

/// Commits what `write` does as one change of `actor`, at time zero and without a message. Where it
/// changes nothing, such as a name that is the name already, the change is empty.
fn commit(
    document: &mut Automerge,
    actor: Actor,
    write: impl FnOnce(&mut Transaction<'_>) -> Result<(), AutomergeError>,
) -> Result<ChangeHash, AutomergeError> {
    document.set_actor(ActorId::from(actor));
    let options = || CommitOptions::default().with_time(0);
    let done = document
        .transact_with::<_, _, AutomergeError, _>(|()| options(), write)
        .map_err(|failure| failure.error)?;
    if let Some(hash) = done.hash {
        return Ok(hash);
    }
    document.set_actor(ActorId::from(actor));
    Ok(document.empty_commit(options()))
}

fn text(document: &Automerge, object: &ObjId, key: &str) -> Option<String> {
    match document.get(object, key).ok()?? {
        (Value::Scalar(value), _) => value.as_str().map(str::to_owned),
        (Value::Object(_), _) => None,
    }
}

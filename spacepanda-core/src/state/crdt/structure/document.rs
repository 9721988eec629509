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
    /// Automerge refused. What it says may hold ids, so it is not part of the sentence.
    #[error("Automerge refused the operation")]
    Refused(#[from] AutomergeError),
}

/// One write to the document.
pub(super) enum Write<'a> {
    ServerName(&'a str),
    Channel { id: ChannelId, order: u64, name: &'a str },
}

/// The Automerge document: `{ name, channels: { id in hexadecimal: { name, order } } }`.
///
/// Every replica begins with the same change, which makes the map of channels: of two maps that two
/// replicas made each on its own, only one would be seen.
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
    /// If `past` holds all heads, that is the document itself: it takes no fork, and the change is the
    /// same. An empty `past` is the beginning.
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn two_branches_under_one_actor_are_refused_and_change_nothing() {
        let mut document = Document::new().unwrap();
        document.execute(&[], [1; 16], &Write::ServerName("den")).unwrap();
        let before = document.heads();
        let refused = document.execute(&[], [1; 16], &Write::ServerName("lair"));
        assert!(matches!(refused, Err(ExecuteError::Sequence)));
        assert_eq!(document.heads(), before);
        assert_eq!(document.server_name().as_deref(), Some("den"));
    }

    #[test]
    fn a_past_that_is_not_there_is_refused() {
        let mut document = Document::new().unwrap();
        document.execute(&[], [1; 16], &Write::ServerName("den")).unwrap();
        let refused = document.execute(&[ChangeHash([9; 32])], [2; 16], &Write::ServerName("lair"));
        assert!(matches!(refused, Err(ExecuteError::Refused(_))));
    }

    #[test]
    fn a_change_is_the_same_with_and_without_a_fork() {
        let whole = |document: &mut Document| {
            let first = document.execute(&[], [1; 16], &Write::ServerName("den")).unwrap();
            (first, document.execute(&[first], [2; 16], &Write::ServerName("lair")).unwrap())
        };
        let (first, direct) = whole(&mut Document::new().unwrap());
        let mut other = Document::new().unwrap();
        other.execute(&[], [1; 16], &Write::ServerName("den")).unwrap();
        other.execute(&[], [3; 16], &Write::ServerName("hole")).unwrap();
        let forked = other.execute(&[first], [2; 16], &Write::ServerName("lair")).unwrap();
        assert_eq!(direct, forked);
    }
}

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use spacepanda_core::{
    base::{
        ChannelId, DeviceId, EnvelopeId, Error, ErrorKind, Frontier, Name, Result, Secret,
        ServerId, StateId, cbor,
    },
    state::{
        authority::{Operation, control_channel},
        envelope::{Envelope, PayloadType, Verified},
        identity::{KeyPair, VerifiedCertificate},
        link::Me,
        mls::{Group, MlsError, Rows, ScopeKey},
    },
    store::Namespace,
};

use super::super::kept::Kept;

const NODE: Namespace = Namespace::new("node");
const TREE: Namespace = Namespace::new("tree");
const MLS: Namespace = Namespace::new("mls");
const ACCOUNT: &[u8] = b"account";

/// What a node's store says of its identity and device.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Account {
    #[cbor(n(0), with = "minicbor::bytes")]
    identity: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    device: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    certificate: Vec<u8>,
    #[n(3)]
    name: Name,
}

/// What it says of a state of the group.
#[derive(Decode)]
#[cbor(map)]
struct State {
    #[n(1)]
    state: StateId,
    #[n(4)]
    stand: bool,
}

/// Everything that a node keeps of a server and of itself.
pub(super) struct Held {
    pub(super) me: Me,
    pub(super) identity: KeyPair,
    pub(super) server: ServerId,
    pub(super) control: ChannelId,
    pub(super) logs: BTreeMap<ChannelId, Log>,
    /// The states whose keys it has, the stand last.
    pub(super) groups: Vec<Group>,
}

/// What is held of a channel, each envelope after its past.
pub(super) struct Log {
    pub(super) frontier: Frontier,
    pub(super) entries: Vec<Verified>,
}

impl Held {
    /// Reads it; nothing where there is nobody yet.
    pub(super) fn read(
        kept: &Kept,
        server: ServerId,
        channels: &BTreeSet<ChannelId>,
    ) -> Result<Option<Self>> {
        let Some(row) = kept.row(&NODE, ACCOUNT)? else { return Ok(None) };
        let (me, identity) = account(&row).ok_or_else(|| unreadable("the account"))?;
        let control = control_channel(&server);
        let mut logs = BTreeMap::new();
        for channel in channels.iter().chain([&control]) {
            let (frontier, entries) = kept.log(channel)?;
            let entries = entries.iter().filter_map(|entry| {
                let envelope = Envelope::decode(&entry.bytes).ok()?;
                envelope.trust().ok()
            });
            logs.insert(*channel, Log { frontier, entries: entries.collect() });
        }
        Ok(Some(Self { me, identity, server, control, logs, groups: groups(kept)? }))
    }

    pub(super) fn device(&self) -> DeviceId {
        self.me.certificate.device()
    }

    pub(super) fn log(&self, channel: &ChannelId) -> &[Verified] {
        self.logs.get(channel).map(|log| log.entries.as_slice()).unwrap_or_default()
    }

    /// The channels in which something can be said.
    pub(super) fn channels(&self) -> Vec<ChannelId> {
        self.logs.keys().copied().filter(|channel| *channel != self.control).collect()
    }

    /// Every operation of the control channel, with its envelope.
    pub(super) fn operations(&self) -> Vec<(EnvelopeId, Operation)> {
        let of_authority = self.payloads(PayloadType::Authority);
        of_authority
            .filter_map(|(id, payload)| Some((id, Operation::decode(payload).ok()?)))
            .collect()
    }

    /// What the control channel's envelopes of a type carry.
    pub(super) fn payloads(
        &self,
        of: PayloadType,
    ) -> impl Iterator<Item = (EnvelopeId, &[u8])> + '_ {
        let log = self.log(&self.control).iter();
        let found = log.filter(move |envelope| envelope.header().payload_type == of);
        found.map(|envelope| (envelope.id(), envelope.header().payload.as_slice()))
    }
}

/// Else a member who means harm would do none, and nobody would notice.
fn unreadable(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("read what a node keeps: {what} has another form"))
}

fn account(row: &[u8]) -> Option<(Me, KeyPair)> {
    let account: Account = cbor::decode_lenient(row).ok()?;
    let me = Me {
        certificate: VerifiedCertificate::decode(&account.certificate).ok()?,
        device: KeyPair::from_secret(Secret::new(account.device)),
    };
    Some((me, KeyPair::from_secret(Secret::new(account.identity))))
}

fn groups(kept: &Kept) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for (key, row) in kept.prefix(&TREE, &bytes::Bytes::new())? {
        let state = cbor::decode_lenient::<State>(&row).map_err(|_| unreadable("a state"))?;
        let rows = kept.prefix(&MLS, &key)?;
        if let Some(group) = group(&key, &rows) {
            debug_assert_eq!(group.state_id(), state.state);
            groups.push((state.stand, group));
        }
    }
    groups.sort_by_key(|(stand, _)| *stand);
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

fn group(scope: &[u8], rows: &[(bytes::Bytes, bytes::Bytes)]) -> Option<Group> {
    let (_, key) = rows.iter().find(|(place, _)| place == scope)?;
    let key = ScopeKey::new(Secret::new(key[..].try_into().ok()?));
    let unwrapped = rows.iter().filter(|(place, _)| place != scope).map(|(place, value)| {
        let place = &place[scope.len()..];
        Ok((place.to_vec(), key.unwrap(place, value)?))
    });
    Group::load(unwrapped.collect::<std::result::Result<Rows, MlsError>>().ok()?).ok()
}

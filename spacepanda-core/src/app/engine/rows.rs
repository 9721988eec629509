//! Where the machine keeps what: namespaces, keys and records. Keys hold local numbers,
//! sequence numbers and times, never an id, but for address records.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::{
    base::{
        ChannelId, DeviceId, EnvelopeId, MessageId, Name, ServerId, StateId, Timestamp, Tip, cbor,
    },
    state::crdt::Reason,
    store::{Batch, Namespace},
};

pub(super) const NODE: Namespace = Namespace::new("node");
pub(super) const VIEW: Namespace = Namespace::new("view");
pub(super) const MLS: Namespace = Namespace::new("mls");
pub(super) const TREE: Namespace = Namespace::new("tree");

/// The key of the account's row.
pub(super) const ACCOUNT: &[u8] = b"account";

/// The key of the row that says whether the store may write with its device.
pub(super) const TENURE: &[u8] = b"tenure";

/// Devices that a node remembers to have been: of more, the earliest are forgotten.
pub(super) const FORMER_DEVICES_MAX: usize = 64;

/// Whose node this is.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct AccountRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub identity: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub device: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    pub certificate: Vec<u8>,
    #[n(3)]
    pub name: Name,
    /// The devices that it was before, the last one last.
    #[cbor(n(4), decode_with = "cbor::decode_list::<_, _, FORMER_DEVICES_MAX>")]
    pub former: Vec<DeviceId>,
}

/// A local number and what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Numbered {
    Server(ServerId),
    Channel(ChannelId),
    Device(DeviceId),
}

impl Numbered {
    fn kind(self) -> u8 {
        match self {
            Self::Server(_) => 1,
            Self::Channel(_) => 2,
            Self::Device(_) => 3,
        }
    }

    fn bytes(&self) -> &[u8; 32] {
        match self {
            Self::Server(id) => id.as_bytes(),
            Self::Channel(id) => id.as_bytes(),
            Self::Device(id) => id.as_bytes(),
        }
    }
}

pub(super) fn numbers_prefix() -> Bytes {
    Bytes::from_static(b"#")
}

pub(super) fn put_number(batch: &mut Batch, number: u32, what: Numbered) {
    let mut value = vec![what.kind()];
    value.extend_from_slice(what.bytes());
    batch.put(NODE, key(b'#', &[&number.to_be_bytes()]), value);
}

pub(super) fn read_number(key: &[u8], value: &[u8]) -> Option<(u32, Numbered)> {
    let number = u32::from_be_bytes(key.get(1..)?.try_into().ok()?);
    let (kind, id) = value.split_first()?;
    let id = id.try_into().ok()?;
    let what = match kind {
        1 => Numbered::Server(ServerId::new(id)),
        2 => Numbered::Channel(ChannelId::new(id)),
        3 => Numbered::Device(DeviceId::new(id)),
        _ => return None,
    };
    Some((number, what))
}

/// A kept state of a group.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(super) struct StateRow {
    #[n(0)]
    pub server: u32,
    #[n(1)]
    pub state: StateId,
    /// When the stand moved away from it.
    #[n(2)]
    pub left: Option<Timestamp>,
    /// Bytes of its rows when it was kept.
    #[n(3)]
    pub bytes: u64,
    /// Whether the stand is here.
    #[n(4)]
    pub stand: bool,
    /// Whether its leaf is of a device that this node no longer is: it opens what others wrote in it,
    /// and nothing is encrypted or committed in it.
    #[n(5)]
    pub outlived: bool,
}

pub(super) fn state_key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

pub(super) fn put_state(batch: &mut Batch, number: u64, row: &StateRow) {
    batch.put(TREE, state_key(number), cbor::encode(row));
}

/// The key of one of OpenMLS's rows in the scope of a state.
pub(super) fn mls_key(state: u64, row: &[u8]) -> Bytes {
    [&state.to_be_bytes()[..], row].concat().into()
}

/// The scope of what belongs to no state: private parts of key packages, per server and package.
pub(super) fn package_prefix(server: u32, package: u32) -> Bytes {
    [&0u64.to_be_bytes()[..], &server.to_be_bytes(), &package.to_be_bytes()].concat().into()
}

/// A key package of one's own, whose private part is kept.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(super) struct PackageRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub reference: [u8; 32],
    #[n(1)]
    pub last_resort: bool,
    /// The state that it pleads for.
    #[n(2)]
    pub lost: Option<StateId>,
    /// Since when another is used in its place.
    #[n(3)]
    pub retired: Option<Timestamp>,
}

pub(super) fn packages_prefix(server: u32) -> Bytes {
    key(b'k', &[&server.to_be_bytes()])
}

pub(super) fn package_key(server: u32, package: u32) -> Bytes {
    key(b'k', &[&server.to_be_bytes(), &package.to_be_bytes()])
}

pub(super) fn read_package_key(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(5..)?.try_into().ok()?))
}

/// The heads of a channel: what nothing held names yet, each with its order.
#[derive(Encode, Decode, Default)]
#[cbor(map)]
pub(super) struct HeadsRow {
    #[n(0)]
    pub heads: Vec<Head>,
    /// The greatest timestamp received.
    #[n(1)]
    pub greatest: Timestamp,
    /// One's own last timestamp.
    #[n(2)]
    pub own: Timestamp,
    /// The order of the last envelope of one's own, as the device that this node is.
    #[n(3)]
    pub own_order: u64,
}

/// An envelope that nothing held names yet.
#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(array)]
pub(super) struct Head {
    #[n(0)]
    pub tip: Tip,
    #[n(1)]
    pub order: u64,
}

pub(super) fn heads_key(channel: u32) -> Bytes {
    key(b'h', &[&channel.to_be_bytes()])
}

/// From a place of a log on, what its author named in the control channel.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(array)]
pub(super) struct ControlRow {
    #[n(0)]
    pub device: DeviceId,
    #[n(1)]
    pub number: u64,
    #[n(2)]
    pub control: Vec<EnvelopeId>,
}

pub(super) fn control_prefix(channel: u32) -> Bytes {
    key(b'c', &[&channel.to_be_bytes()])
}

pub(super) fn control_key(channel: u32, device: u32, number: u64) -> Bytes {
    key(b'c', &[&channel.to_be_bytes(), &device.to_be_bytes(), &number.to_be_bytes()])
}

/// Of a log with several tips: what its author had named in the control channel at each.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(array)]
pub(super) struct ForksRow {
    #[n(0)]
    pub device: DeviceId,
    #[n(1)]
    pub tips: Vec<NamedTip>,
}

/// A tip, and what its author had named.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(array)]
pub(super) struct NamedTip {
    #[n(0)]
    pub id: EnvelopeId,
    #[n(1)]
    pub control: Vec<EnvelopeId>,
}

pub(super) fn forks_prefix(channel: u32) -> Bytes {
    key(b'f', &[&channel.to_be_bytes()])
}

pub(super) fn forks_key(channel: u32, device: u32) -> Bytes {
    key(b'f', &[&channel.to_be_bytes(), &device.to_be_bytes()])
}

/// How far one's own logs of a channel have come: of each device that this node was, one.
#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(array)]
pub(super) struct Progress {
    #[n(0)]
    pub device: DeviceId,
    #[n(1)]
    pub sent: u64,
    #[n(2)]
    pub delivered: u64,
}

/// One of one's own messages that is not delivered yet.
#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(array)]
pub(super) struct UndeliveredRow {
    #[n(0)]
    pub device: DeviceId,
    #[n(1)]
    pub number: u64,
    #[n(2)]
    pub message: MessageId,
}

pub(super) fn progress_key(channel: u32) -> Bytes {
    key(b'p', &[&channel.to_be_bytes()])
}

/// One's own messages that are not delivered yet, by their place in one's logs.
pub(super) fn undelivered_prefix(channel: u32) -> Bytes {
    key(b'u', &[&channel.to_be_bytes()])
}

pub(super) fn undelivered_key(channel: u32, device: u32, number: u64) -> Bytes {
    key(b'u', &[&channel.to_be_bytes(), &device.to_be_bytes(), &number.to_be_bytes()])
}

/// Address records, by device.
pub(super) fn addresses_prefix() -> Bytes {
    Bytes::from_static(b"a")
}

pub(super) fn address_key(device: &DeviceId) -> Bytes {
    key(b'a', &[device.as_bytes()])
}

/// A join that is under way.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(super) struct JoinRow {
    #[n(0)]
    pub link: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub request: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub reference: [u8; 32],
    #[n(3)]
    pub complete: bool,
}

/// What came of a commit that was tried: nobody tries it again once its parent is gone.
#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(array)]
pub(super) struct VerdictRow {
    #[n(0)]
    pub commit: EnvelopeId,
    #[n(1)]
    pub valid: bool,
}

pub(super) fn verdicts_prefix(server: u32) -> Bytes {
    key(b'v', &[&server.to_be_bytes()])
}

pub(super) fn verdict_key(server: u32, device: u32, tip: &Tip) -> Bytes {
    let branch = &tip.id.as_bytes()[..4];
    key(b'v', &[&server.to_be_bytes(), &device.to_be_bytes(), &tip.number.to_be_bytes(), branch])
}

pub(super) fn joins_prefix() -> Bytes {
    Bytes::from_static(b"j")
}

pub(super) fn join_key(server: u32) -> Bytes {
    key(b'j', &[&server.to_be_bytes()])
}

pub(super) fn read_join_key(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(1..)?.try_into().ok()?))
}

/// Messages that wait for a state of their group, or for somebody to hand them over.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(array)]
pub(super) struct UnopenedRow {
    #[n(0)]
    pub channel: ChannelId,
    #[n(1)]
    pub tip: Tip,
    #[n(2)]
    pub state: StateId,
    /// Why no state of the group opens it here any more; `None` while one may.
    #[n(3)]
    pub lost: Option<Reason>,
}

pub(super) fn unopened_prefix(server: u32) -> Bytes {
    key(b'w', &[&server.to_be_bytes()])
}

pub(super) fn unopened_key(server: u32, channel: u32, device: u32, tip: &Tip) -> Bytes {
    let branch = &tip.id.as_bytes()[..4];
    let parts = [&server.to_be_bytes()[..], &channel.to_be_bytes(), &device.to_be_bytes()];
    key(b'w', &[&parts.concat(), &tip.number.to_be_bytes(), branch])
}

/// A head that is out of reach.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(super) struct LostRow {
    #[n(0)]
    pub head: StateId,
    /// Since when it is the head.
    #[n(1)]
    pub changed: Timestamp,
    /// Since when the head is out of reach, whichever it was.
    #[n(2)]
    pub since: Timestamp,
    /// The head against which this device stood up for its own branch.
    #[n(3)]
    pub stood_up: Option<StateId>,
}

pub(super) fn lost_key(server: u32) -> Bytes {
    key(b'l', &[&server.to_be_bytes()])
}

/// When everything that a peer showed of a server was held.
pub(super) fn caught_up_key(server: u32) -> Bytes {
    key(b't', &[&server.to_be_bytes()])
}

fn key(tag: u8, parts: &[&[u8]]) -> Bytes {
    let mut key = vec![tag];
    for part in parts {
        key.extend_from_slice(part);
    }
    key.into()
}

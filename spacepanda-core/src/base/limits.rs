//! Every limit of the protocol, by name. A limit is checked before anything is allocated for it.

use std::time::Duration;

/// Bytes of an envelope's payload.
pub const PAYLOAD_LEN_MAX: usize = 16 * 1024;
/// Bytes of an envelope's body.
pub const BODY_LEN_MAX: usize = 256 * 1024;
/// Bytes of an envelope's header: a payload, its parents and the fixed fields.
pub const HEADER_LEN_MAX: usize = 24 * 1024;
/// Bytes of a whole envelope on a link.
pub const ENVELOPE_LEN_MAX: usize = HEADER_LEN_MAX + BODY_LEN_MAX + 256;
/// Bytes of a message's text.
pub const TEXT_LEN_MAX: usize = 32 * 1024;
/// Parents of an envelope, in its own channel and in the control channel together.
pub const PARENTS_MAX: usize = 64;
/// Envelopes of one author that wait for something missing.
pub const WAITING_PER_AUTHOR_MAX: usize = 256;
/// Envelopes of one server that wait for something missing.
pub const WAITING_PER_SERVER_MAX: usize = 4_096;
/// Bytes of the envelopes of one server that wait for something missing.
pub const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Of what may wait the part that somebody may fill whom nobody here knows as a member yet.
pub const WAITING_OF_STRANGERS_PART: usize = 4;
/// Bytes of a ratchet tree served on a link.
pub const TREE_LEN_MAX: usize = 4 * 1024 * 1024;
/// Characters of a name.
pub const NAME_CHARS_MAX: usize = 100;
/// Channels of a server.
pub const CHANNELS_MAX: usize = 500;
/// Members of a server.
pub const MEMBERS_MAX: usize = 1_000;
/// Leaves of a group.
pub const LEAVES_MAX: usize = 2_000;
/// Devices of one identity that count.
pub const DEVICES_PER_IDENTITY_MAX: usize = 8;
/// Additions in one commit.
pub const ADDITIONS_PER_COMMIT_MAX: usize = 64;
/// Lines of `heard` in one operation.
pub const HEARD_LINES_MAX: usize = 128;
/// Messages that one request asks to be handed over.
pub const HAND_OVER_TIPS_MAX: usize = 64;
/// Addresses in one address record.
pub const ADDRESSES_MAX: usize = 8;
/// Bytes of one address.
pub const ADDRESS_LEN_MAX: usize = 256;
/// Bytes of a join link before it is written in base64url.
pub const JOIN_LINK_LEN_MAX: usize = 2 * 1024;
/// How far a clock follows stamps that are ahead of it.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(10 * 60);
/// Bytes held for one peer.
pub const PEER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Depth of nested values in CBOR.
pub const CBOR_DEPTH_MAX: usize = 8;
/// Bytes of a store's key.
pub const KEY_LEN_MAX: usize = 512;
/// Bytes of a store's value.
pub const VALUE_LEN_MAX: usize = 8 * 1024 * 1024;
/// Entries in one page of a scan.
pub const PAGE_LIMIT_MAX: usize = 4_096;

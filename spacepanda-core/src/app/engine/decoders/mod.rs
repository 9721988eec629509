//! Every decoder of bytes from outside or from disk, in one table.

mod frames;
mod rows;

use crate::{
    base::decoder::Decoder,
    state::{authority, crdt, envelope, identity, link, mls, sync},
    store,
};

/// The table. Whoever adds a decoder adds its line, to a room's `decoders` or to the lists beside this.
pub fn decoders() -> Vec<Decoder> {
    let rooms = [
        identity::decoders::decoders(),
        envelope::decoders::decoders(),
        authority::decoders::decoders(),
        mls::decoders::decoders(),
        crdt::decoders::decoders(),
        sync::decoders::decoders(),
        link::decoders::decoders(),
        store::decoders(),
        frames::decoders(),
        rows::decoders(),
    ];
    rooms.concat()
}

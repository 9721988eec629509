//! Somebody else's node in the simulated world.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use spacepanda_conformance::sim::{Guest, Plan, Setup, World};
use spacepanda_core::{
    app::engine::{Act, Input, JoinLink},
    base::{Secret, Timestamp},
};

/// What reached a guest, in order.
#[derive(Debug, Default)]
struct Met {
    addresses: Vec<String>,
    invited: usize,
    opened: usize,
    ended: usize,
}

/// Dials whoever wrote its invite, and says what is no frame.
struct Knocker(Arc<Mutex<Met>>);

impl Guest for Knocker {
    fn take(&mut self, input: Input, _: Timestamp, _: Secret<32>) -> Vec<Act> {
        let mut met = self.0.lock().unwrap();
        match input {
            Input::Addresses(addresses) => met.addresses = addresses,
            Input::Connected { link, dial } => {
                met.opened += 1;
                assert_eq!(dial, Some(1), "nobody was told where it is");
                return vec![Act::Send(link, Bytes::from_static(b"Good evening"))];
            }
            Input::Disconnected { .. } => met.ended += 1,
            other => panic!("{other:?} without a call or a link that lasts"),
        }
        Vec::new()
    }

    fn invited(&mut self, link: &str, _: Timestamp, _: Secret<32>) -> Vec<Act> {
        self.0.lock().unwrap().invited += 1;
        let addresses = JoinLink::decode(link).unwrap().addresses;
        vec![Act::Dial(1, addresses.concat())]
    }

    fn deadline(&self) -> Option<Timestamp> {
        None
    }
}

#[test]
fn a_guest_that_speaks_no_protocol_is_turned_away_and_disturbs_nobody() {
    let plan = Plan::draw(7, Setup { nodes: Some(3), steps: 40, ..Setup::default() });
    let met = Arc::new(Mutex::new(Met::default()));
    let world = || World::builder(&plan).guest(Box::new(Knocker(met.clone())));
    let once = world().run().unwrap();
    assert!(once.totals.messages > 0 && once.totals.lost == 0, "{once:?}");
    {
        let met = met.lock().unwrap();
        assert_eq!((met.invited, met.opened, met.ended), (1, 1, 1), "{met:?}");
        assert!(!met.addresses.is_empty(), "{met:?}");
    }
    assert_eq!(world().run().unwrap(), once, "a world with a guest has one course, too");
}

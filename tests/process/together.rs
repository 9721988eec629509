//! What people at several processes do together.

use std::time::Instant;

use serde_json::Value;

use super::{Chat, PATIENCE};

/// Alice makes a server, the guests come in by one link, and everybody sees everybody.
pub(crate) fn meet(alice: &mut Chat, guests: &mut [&mut Chat]) {
    let made = alice.ask("/server create Pandas");
    let link = invite(alice);
    for guest in guests.iter_mut() {
        let joined = guest.ask(&format!("/join {link}"));
        assert_eq!((&joined["server"], &joined["channel"]), (&made["server"], &made["channel"]));
        let name = guest.name.clone();
        alice.event("member_joined", |event| event["name"] == name.as_str());
    }
    let all: Vec<_> = [alice.name.clone()]
        .into_iter()
        .chain(guests.iter().map(|guest| guest.name.clone()))
        .collect();
    for person in [alice].into_iter().chain(guests.iter_mut().map(|guest| &mut **guest)) {
        person.until("/members", |reply| names(reply) == all);
    }
}

/// A link into the current server.
pub(crate) fn invite(host: &mut Chat) -> String {
    host.ask("/invite")["link"].as_str().unwrap().to_owned()
}

fn names(reply: &Value) -> Vec<&str> {
    let members = reply["members"].as_array().unwrap().iter();
    members.map(|member| member["name"].as_str().unwrap()).collect()
}

/// Waits until all have one state, of so many members, and stand on its head.
pub(crate) fn converge(people: &mut [&mut Chat], members: usize) {
    let until = Instant::now() + PATIENCE;
    loop {
        let all: Vec<_> = people.iter_mut().map(|person| person.ask("/status")).collect();
        let same = |key: &str| all.iter().all(|status| status[key] == all[0][key]);
        if ["state_hash", "epoch", "stand", "head"].into_iter().all(same)
            && all[0]["stand"] == all[0]["head"]
            && all[0]["members"] == members
        {
            return;
        }
        assert!(Instant::now() < until, "no one state: {all:#?}");
        for person in people.iter_mut() {
            person.pause();
        }
    }
}

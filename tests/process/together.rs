//! What people at several processes do together.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Chat;

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
    let [first, others @ ..] = people else { return };
    for _ in 0..3 {
        let mut hashes = BTreeSet::new();
        let of_first = first.until("/status", |status| {
            status["members"] == members && status["stand"] == status["head"]
        });
        hashes.insert(of_first["state_hash"].as_str().unwrap().to_owned());
        for other in others.iter_mut() {
            let status = other.until("/status", |status| {
                ["state_hash", "stand"].iter().all(|key| status[*key] == of_first[*key])
            });
            assert_eq!(status["epoch"], of_first["epoch"]);
            assert_eq!(status["head"], of_first["head"]);
        }
        let now = first.ask("/status")["state_hash"].as_str().unwrap().to_owned();
        hashes.insert(now);
        if hashes.len() == 1 {
            return;
        }
    }
    panic!("the states go on changing");
}

//! A member who comes and goes: each is somebody new, in a process of their own.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::person::{Person, Sent};

const MEMBERS: &str = "/members";

/// How far a guest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Joining,
    In,
    /// Alice was told to remove them, and has not answered.
    Leaving,
}

pub(crate) struct Guest {
    pub(crate) person: Person,
    pub(crate) stage: Stage,
    /// Whether the host lists them. Who lets them in is whoever is there, and the host may be told later
    /// than they: until then it would answer a removal with "unknown", and nobody would be removed.
    pub(crate) known: bool,
}

impl Guest {
    /// Starts the process of somebody who joins by a link.
    pub(crate) fn join(number: usize, link: &str) -> Self {
        let mut person = Person::new(&format!("Guest {number}"));
        person.type_line(&format!("/join {link}"));
        Self { person, stage: Stage::Joining, known: false }
    }

    /// Goes on when the join is complete, and when the host knows of it.
    pub(crate) fn look(&mut self, host: &mut Person) {
        if self.stage == Stage::Joining && self.person.is_in {
            self.stage = Stage::In;
        }
        if self.stage == Stage::In && !self.known {
            self.known = self.is_listed_by(host);
        }
    }

    fn is_listed_by(&self, host: &mut Person) -> bool {
        let lists = |reply: &Value| {
            let mut members = reply["members"].as_array().into_iter().flatten();
            members.any(|member| member["name"] == self.person.name.as_str())
        };
        let listed = host.replies.iter().any(|(line, reply)| line == MEMBERS && lists(reply));
        if !listed && !host.waits_for(MEMBERS) {
            host.type_line(MEMBERS);
        }
        listed
    }

    /// What this guest wrote and the host has heard: the host's removal does not cut it off.
    pub(crate) fn heard_by(&self, heard: &BTreeSet<String>) -> Vec<Sent> {
        let sent = self.person.acknowledged.iter();
        sent.filter(|sent| heard.contains(&sent.id)).cloned().collect()
    }

    pub(crate) fn removal(&self) -> String {
        format!("/remove {}", self.person.name)
    }

    /// Whether the host has answered that this guest is removed. An answer that the host's end swallowed
    /// is asked for again.
    pub(crate) fn is_removed(&self, host: &mut Person) -> bool {
        let removal = self.removal();
        let removed = host.replies.iter().any(|(line, reply)| {
            *line == removal && (reply["ok"] == true || reply["code"] == "member.unknown")
        });
        if !removed && !host.waits_for(&removal) {
            host.type_line(&removal);
        }
        removed
    }
}

//! Links on which nobody has proven a device: few, and not for long.

use std::time::Duration;

use super::{Links, Open};
use crate::{
    app::engine::{
        input::Link,
        machine::{Cx, Machine},
    },
    base::Timestamp,
};

/// Links that somebody else dialled and that have not proven themselves, at once. The oldest yields to
/// one more: who wants in needs to be faster than as many others, and nobody can shut the door.
const UNPROVEN_MAX: usize = 256;
/// How long either side may take to prove its device. A handshake is four frames.
const PROOF_MAX: Duration = Duration::from_secs(10);

impl Links {
    /// When the next link must have proven itself.
    pub(super) fn unproven_until(&self) -> Option<Timestamp> {
        let unproven = self.open.values().filter(|open| !open.proven);
        unproven.map(|open| open.since.saturating_add(PROOF_MAX)).min()
    }

    /// The link that yields to one more that somebody else dials; `None` while there is room.
    pub(super) fn yields(&self) -> Option<Link> {
        let unproven = |open: &Open| !open.proven && open.dial.is_none();
        let waiting = || self.open.iter().filter(|(_, open)| unproven(open));
        if waiting().count() < UNPROVEN_MAX {
            return None;
        }
        waiting().min_by_key(|(link, open)| (open.since, **link)).map(|(link, _)| *link)
    }

    fn overdue(&self, now: Timestamp) -> Vec<Link> {
        let is_due = |open: &Open| !open.proven && open.since.saturating_add(PROOF_MAX) <= now;
        self.open.iter().filter(|(_, open)| is_due(open)).map(|(link, _)| *link).collect()
    }
}

impl Machine {
    /// Ends the links that had time enough to prove themselves.
    pub(in crate::app::engine) fn end_unproven(&mut self, cx: &mut Cx<'_>) {
        for link in self.node.links.overdue(cx.now) {
            self.drop_link(link, cx);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        app::engine::{
            account::Account,
            chance::Chance,
            input::{Act, Input, Step},
            reads::Loaded,
        },
        base::{Name, Secret, decoder::Sampler},
        state::{
            identity::decoders::certificate,
            link::{Me, Session},
        },
    };

    /// A node of which nothing but its links matters here.
    struct Door {
        machine: Machine,
        now: Timestamp,
        steps: u64,
    }

    impl Door {
        fn open() -> Self {
            let mut machine = Machine::new(None);
            let now = Timestamp::from_micros(1_700_000_000_000_000);
            let name = Name::new("Alice").unwrap();
            let account = Account::create(name, now, &mut Chance::new(Secret::new([1; 32])));
            machine.node.account = Some(account);
            machine.node.work.clear();
            Self { machine, now, steps: 0 }
        }

        fn hear(&mut self, input: Input) -> Vec<Act> {
            self.machine.push(input);
            let mut acts = Vec::new();
            loop {
                self.steps += 1;
                let seed = Sampler::new(self.steps).bytes();
                match self.machine.step(&Loaded::default(), self.now, Secret::new(seed)) {
                    Step::Done(effects) => acts.extend(effects.acts),
                    Step::Idle => return acts,
                    Step::Load(reads) => panic!("nothing is to be read: {reads:?}"),
                }
            }
        }

        fn dialled(&mut self, link: Link) -> Vec<Act> {
            self.hear(Input::Connected { link, dial: None })
        }
    }

    fn closed(acts: &[Act]) -> Vec<Link> {
        let closed = acts.iter().filter_map(|act| match act {
            Act::Close(link) => Some(*link),
            _ => None,
        });
        closed.collect()
    }

    /// The first frame of somebody who dials.
    fn first_frame() -> Bytes {
        let (device, certificate) = certificate(&mut Sampler::new(1));
        Session::dial(&Secret::new([7; 32]), Me { certificate, device }, None).unwrap().1
    }

    #[test]
    fn a_link_on_which_nobody_proves_a_device_ends() {
        let mut door = Door::open();
        door.dialled(1);
        let due = door.machine.deadline().unwrap();
        assert_eq!(due, door.now.saturating_add(PROOF_MAX));
        door.now = Timestamp::from_micros(due.micros() - 1);
        assert_eq!(closed(&door.hear(Input::Tick)), [] as [Link; 0]);
        // That half of a handshake was heard puts off nothing.
        door.hear(Input::Frame { link: 1, bytes: first_frame() });
        door.now = due;
        assert_eq!(closed(&door.hear(Input::Tick)), [1]);
        assert_eq!(door.machine.deadline(), None);
    }

    #[test]
    fn of_ten_thousand_that_never_prove_themselves_few_are_held_and_the_next_is_answered() {
        let mut door = Door::open();
        let info = allocation_counter::measure(|| {
            for link in 1..=10_000 {
                door.dialled(link);
            }
        });
        assert_eq!(door.machine.node.links.open.len(), UNPROVEN_MAX);
        assert!(info.bytes_current < 4 * 1024 * 1024, "{} bytes are held", info.bytes_current);
        assert_eq!(closed(&door.dialled(10_001)), [10_001 - UNPROVEN_MAX as u64]);
        let answer = door.hear(Input::Frame { link: 10_001, bytes: first_frame() });
        assert!(matches!(answer[..], [Act::Send(10_001, _)]), "{answer:?}");
    }
}

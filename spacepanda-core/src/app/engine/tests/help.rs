use crate::{
    app::engine::{
        account::Account,
        chance::Chance,
        event::Event,
        input::{Call, Command, Effects, Reply, Tell},
        machine::{Cx, Machine},
        reads::Loaded,
        server::Server,
    },
    base::{Name, Secret, ServerId, Timestamp},
    state::{envelope::Envelope, mls::tree::Window},
};

/// A machine that has its account, and of which a test makes each step by hand.
pub(in crate::app::engine) struct ByHand {
    pub(in crate::app::engine) machine: Machine,
    /// What the next step finds loaded.
    pub(in crate::app::engine) loaded: Loaded,
    steps: u8,
    person: u8,
}

impl ByHand {
    /// The machine of a person who has a number; each has a chance of their own.
    pub(in crate::app::engine) fn new(person: u8) -> Self {
        let mut machine = Machine::new(None);
        machine.node.work.clear();
        let mut chance = Chance::new(Secret::new([person; 32]));
        let name = Name::new(&format!("Person {person}")).unwrap();
        machine.node.account = Some(Account::create(name, Timestamp::ZERO, &mut chance));
        Self { machine, loaded: Loaded::default(), steps: 0, person }
    }

    /// Makes one step, a second after the last one.
    pub(in crate::app::engine) fn step<T>(
        &mut self,
        act: impl FnOnce(&mut Machine, &mut Cx<'_>) -> T,
    ) -> (T, Effects) {
        self.steps += 1;
        let now = Timestamp::from_micros(u64::from(self.steps) * 1_000_000);
        let chance = Chance::new(Secret::new([self.person ^ self.steps.rotate_left(4); 32]));
        let mut cx = Cx { now, chance, fx: Effects::default(), loaded: &self.loaded };
        let made = act(&mut self.machine, &mut cx);
        (made, cx.fx)
    }

    /// Makes a server of one's own.
    pub(in crate::app::engine) fn found(&mut self) -> (ServerId, Effects) {
        let (reply, effects) =
            self.step(|machine, cx| machine.create_server("Server", Window::default(), cx));
        let Ok(Reply::Server { server, .. }) = reply else { panic!("{reply:?}") };
        (server, effects)
    }

    /// Makes a call, which must be answered at once.
    pub(in crate::app::engine) fn call(&mut self, command: Command) -> (Reply, Effects) {
        let ((), effects) = self.step(|machine, cx| machine.command(Call(0), command, cx));
        let reply = effects.tells.iter().find_map(|tell| match tell {
            Tell::Reply(_, reply) => Some(reply.clone()),
            _ => None,
        });
        (reply.unwrap().unwrap(), effects)
    }

    /// Keeps what somebody wrote in the control channel of a server.
    pub(in crate::app::engine) fn keep(&mut self, id: ServerId, written: &Effects) {
        self.step(|machine, cx| {
            let server = machine.servers.get_mut(&id).unwrap();
            for (channel, entry) in &written.log {
                assert_eq!(*channel, server.control);
                let envelope = Envelope::decode(&entry.bytes).and_then(Envelope::trust).unwrap();
                server.append(&mut machine.node, &envelope, cx);
            }
            server.resettle_quietly(&mut machine.node);
        });
    }

    pub(in crate::app::engine) fn server(&self, id: &ServerId) -> &Server {
        &self.machine.servers[id]
    }

    /// Draws the consequences of what is known of a server.
    pub(in crate::app::engine) fn settle(&mut self, id: ServerId) -> Effects {
        self.step(|machine, cx| {
            let server = machine.servers.get_mut(&id).unwrap();
            server.settle(&mut machine.node, cx);
        })
        .1
    }
}

/// The events that a step told.
pub(in crate::app::engine) fn events(effects: &Effects) -> Vec<Event> {
    let event = |tell: &Tell| match tell {
        Tell::Event(event) => Some(event.clone()),
        _ => None,
    };
    effects.tells.iter().filter_map(event).collect()
}

use std::time::Duration;

use spacepanda_core::{
    app::engine::{AppError, Reply},
    base::{ChannelId, MessageId, ServerId},
};

use super::chance::Chance;

/// How long people do things.
const LASTS: Duration = Duration::from_secs(120);
/// When the last of them begins to join.
const JOINS_UNTIL: Duration = Duration::from_secs(45);
/// When somebody may be removed at the earliest.
const REMOVALS_FROM: Duration = Duration::from_secs(50);

/// Something that somebody does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    /// Joins by a link.
    Join(usize),
    /// Writes a message in a channel they know.
    Say(usize),
    /// The founder makes a channel.
    MakeChannel,
    /// Somebody tries to make a channel, and may not.
    TryChannel(usize),
    /// The founder removes somebody.
    Remove(usize),
    /// Somebody leaves.
    Leave(usize),
    /// People have done what they do.
    End,
}

/// What a call that is not answered yet was for.
pub(super) enum Asked {
    Server,
    Invite,
    SingleUse,
    Say { channel: ChannelId, text: String },
    Do(Action),
    Check,
}

/// A message that was accepted.
pub(super) struct Said {
    pub(super) node: usize,
    pub(super) channel: ChannelId,
    pub(super) id: MessageId,
    pub(super) text: String,
}

/// What people do, and what came of it.
pub(super) struct Story {
    pub(super) chance: Chance,
    pub(super) server: Option<ServerId>,
    pub(super) link: Option<String>,
    /// An invite for one, which two people use.
    pub(super) single: Option<String>,
    pub(super) over: bool,
    pub(super) texts: usize,
    pub(super) people: Vec<Person>,
    pub(super) said: Vec<Said>,
    /// The answer to the check's last question.
    pub(super) answer: Option<Result<Reply, AppError>>,
}

/// What is known of a person.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// Whether the node has begun to join.
    pub(super) begun: bool,
    /// Whether it told that the join is complete.
    pub(super) joined: bool,
    /// Whether it leaves or is removed, perhaps.
    pub(super) out: bool,
    /// Whether it comes by an invite that may be used up.
    pub(super) doubtful: bool,
    /// The channels that it was told of.
    pub(super) channels: Vec<ChannelId>,
}

impl Story {
    pub(super) fn new(seed: u64, count: usize) -> Self {
        let mut chance = Chance::new(seed, "story");
        let duel = count > 3 && chance.once_in(3);
        let doubtful = |index| duel && index + 2 >= count;
        let person = |index| Person { doubtful: doubtful(index), ..Person::default() };
        Self {
            chance,
            server: None,
            link: None,
            single: None,
            over: false,
            texts: 0,
            people: (0..count).map(person).collect(),
            said: Vec::new(),
            answer: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn has_duel(&self) -> bool {
        self.people.iter().any(|person| person.doubtful)
    }

    /// What happens when, from the moment at which everybody has a link.
    pub(super) fn plan(&mut self) -> Vec<(Duration, Action)> {
        let (chance, count) = (&mut self.chance, self.people.len());
        let mut plan = vec![(LASTS, Action::End)];
        for index in 0..count {
            if index > 0 {
                plan.push((chance.within(JOINS_UNTIL), Action::Join(index)));
            }
            let messages = 4 + chance.below(12);
            plan.extend((0..messages).map(|_| (chance.within(LASTS), Action::Say(index))));
        }
        for _ in 0..=chance.below(2) {
            plan.push((chance.within(LASTS), Action::MakeChannel));
        }
        let other = 1 + chance.index(count - 1);
        plan.push((chance.within(LASTS), Action::TryChannel(other)));
        let who = 1 + chance.index(count - 1);
        let removed_at = REMOVALS_FROM + chance.within(LASTS - REMOVALS_FROM);
        match chance.below(4) {
            0 => plan.push((removed_at, Action::Leave(who))),
            1 | 2 => plan.push((removed_at, Action::Remove(who))),
            _ => {}
        }
        plan
    }
}

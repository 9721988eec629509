use spacepanda_core::{
    app::engine::{AppError, Reply},
    base::{ChannelId, MessageId, ServerId, Timestamp},
};

use super::{chance::Chance, plan::Step};

/// What a call that is not answered yet was for.
#[derive(Debug)]
pub(super) enum Asked {
    Server,
    /// Which servers there are at a node that has started again.
    Where,
    /// An invite; whether whoever comes by it must get in.
    Invite {
        step: Option<Step>,
        sure: bool,
    },
    /// A join by this link.
    Join {
        step: Step,
        link: usize,
    },
    Say {
        channel: ChannelId,
        text: String,
    },
    Do(Step),
    Check,
}

/// A message that was accepted.
pub(super) struct Said {
    pub(super) node: usize,
    pub(super) channel: ChannelId,
    pub(super) id: MessageId,
    pub(super) text: String,
    pub(super) at: Timestamp,
}

/// An invite's link.
pub(super) struct Invite {
    pub(super) by: usize,
    pub(super) link: String,
    /// Whether whoever comes by it must get in.
    pub(super) sure: bool,
}

/// What people do, and what came of it.
pub(super) struct Story {
    pub(super) chance: Chance,
    pub(super) server: Option<ServerId>,
    /// The invites, the founder's first one first.
    pub(super) invites: Vec<Invite>,
    /// Whether people have done what the plan says.
    pub(super) over: bool,
    /// Everything that anybody tried to say, by whom.
    pub(super) texts: Vec<usize>,
    pub(super) people: Vec<Person>,
    pub(super) said: Vec<Said>,
    /// The answer to the check's last question.
    pub(super) answer: Option<Result<Reply, AppError>>,
}

/// What is known of a person.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// Whether its node told that a join is complete.
    pub(super) joined: bool,
    /// How often it asked to come in and was not told yet that it is.
    pub(super) joins: usize,
    /// Whether it left or was removed, perhaps.
    pub(super) out: bool,
    /// The invite by which it asked to come in last.
    pub(super) by: Option<usize>,
    /// The channels that it was told of.
    pub(super) channels: Vec<ChannelId>,
}

impl Story {
    pub(super) fn new(seed: u64, people: usize) -> Self {
        Self {
            chance: Chance::new(seed, "story"),
            server: None,
            invites: Vec::new(),
            over: false,
            texts: Vec::new(),
            people: (0..people).map(|_| Person::default()).collect(),
            said: Vec::new(),
            answer: None,
        }
    }

    /// Whether somebody came by an invite that lets everybody in, and has been nothing but a member
    /// since they asked.
    pub(super) fn is_sure(&self, who: usize) -> bool {
        let person = &self.people[who];
        who == 0 || !person.out && person.by.is_some_and(|invite| self.invites[invite].sure)
    }

    /// The invite by which somebody comes who was invited by `by`.
    pub(super) fn invite(&self, by: usize) -> Option<usize> {
        let newest = self.invites.iter().rposition(|invite| invite.by == by);
        newest.or_else(|| (!self.invites.is_empty()).then_some(0))
    }

    /// A new text of somebody's, unlike all others.
    pub(super) fn text(&mut self, who: usize) -> String {
        self.texts.push(who);
        format!("text {} of p{who}", self.texts.len() - 1)
    }

    /// Whether somebody said this text, or tried to.
    pub(super) fn is_theirs(&self, who: usize, text: &str) -> bool {
        let number = text.strip_prefix("text ").and_then(|rest| rest.split(' ').next());
        let number = number.and_then(|number| number.parse::<usize>().ok());
        number.is_some_and(|number| {
            self.texts.get(number) == Some(&who) && text == format!("text {number} of p{who}")
        })
    }
}

//! Members who mean harm: their node runs as everybody's does, and beside it somebody with its keys
//! writes envelopes and frames of their own.
//!
//! What a deed comes to follows from what the node keeps when it is done, and from the deed's number.

mod forge;
mod frames;
mod held;
mod intrude;
mod operations;
mod plot;
mod puppet;
mod speech;
mod states;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    plan::{Deed, Malice},
    trace::Kind,
    world::{Happening, World},
};

use held::Held;
use plot::Plot;
pub(super) use puppet::Puppet;

impl World<'_> {
    /// Whether somebody is a member who means harm, or plays one.
    pub(super) fn is_hostile(&self, node: usize) -> bool {
        self.puppets.contains_key(&node)
    }

    /// What does not hold of somebody who means harm need not hold.
    pub(super) fn unless_hostile(
        &self,
        node: usize,
        what: Result<(), String>,
    ) -> Result<(), String> {
        if self.is_hostile(node) { Ok(()) } else { what }
    }

    /// Notes who means harm.
    pub(super) fn note_hostile(&mut self, node: usize) {
        if let Some((identity, _)) = self.nodes[node].ids.filter(|_| self.is_hostile(node)) {
            self.known.hostile.insert(identity);
        }
    }

    /// Whether nobody who means harm was handed what is not for them.
    pub(super) fn hands_over_nothing_amiss(&mut self) -> Result<(), String> {
        for puppet in self.puppets.values() {
            let handed = self.nodes[*puppet].puppet_mut().map(Puppet::take_handed);
            for (device, tip) in handed.into_iter().flatten() {
                if let Some(message) = self.known.not_for(&device, &tip.id) {
                    return Err(format!("{message:?} is handed over to {device:?}"));
                }
            }
        }
        Ok(())
    }

    /// Does a deed, or later if its doer is not there.
    pub(super) fn misbehave(&mut self, deed: Deed) -> Result<(), String> {
        let who = deed.who;
        let (Some(puppet), Some(server)) = (self.puppets.get(&who).copied(), self.story.server)
        else {
            return Ok(());
        };
        if self.nodes[who].gone {
            return Ok(());
        }
        if !self.nodes[who].is_started() || !self.story.people[who].joined {
            if !self.story.over {
                self.after(self.pause(), Happening::Misbehave(deed));
            }
            return Ok(());
        }
        let channels: BTreeSet<_> = self.known.channels.clone();
        let held = self.nodes[who].kept().map(|kept| Held::read(kept, server, &channels));
        let Some(held) = held.transpose().map_err(|error| format!("read what is held: {error}"))?
        else {
            return Ok(());
        };
        let Some(held) = held else { return Ok(()) };
        let ours = 0..self.plan_nodes();
        let honest = ours.filter(|node| !self.is_hostile(*node) && !self.nodes[*node].gone);
        let links = self.story.invites.iter().map(|invite| invite.link.clone()).collect();
        let messages = match deed.malice {
            Malice::Ask => self.known.tips(),
            _ => BTreeMap::new(),
        };
        let plot = Plot::new(held, deed, self.now, honest.collect(), links, puppet, messages);
        let errands = plot.errands(deed.malice);
        self.note(Kind::World, who, format_args!("{deed:?}: {} errands", errands.len()));
        self.outcome.deeds += usize::from(!errands.is_empty());
        let now = self.now;
        let acts = self.nodes[puppet].puppet_mut().map(|it| it.send(errands, now));
        acts.into_iter().flatten().for_each(|act| self.act(puppet, act));
        Ok(())
    }
}

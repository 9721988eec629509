use std::collections::{BTreeMap, BTreeSet};

use spacepanda_core::{
    app::engine::{Command, Message, MessageState, Reply, ServerStatus, ServerSummary, Text},
    base::{ChannelId, DeviceId, IdentityId, ServerId, StateId, limits::WAITING_PER_SERVER_MAX},
};

use super::{
    known::Name,
    node::{Node, Shown},
    people::SERVER_NAME,
    story::Said,
    trace::Kind,
    world::World,
};

/// Steps that a node has to make at once, at most.
const WORK_MAX: usize = 20_000;
/// Links of one node, at most.
const LINKS_MAX: usize = 100;
/// States of a group that a node keeps, at most: four windows of 16 where nobody was met, the stand and
/// the head.
const KEPT_MAX: usize = 66;
/// Groups that a node holds in memory, at most.
const GROUPS_MAX: usize = 5;

/// What one node shows.
struct View {
    node: usize,
    identity: IdentityId,
    device: DeviceId,
    channels: BTreeMap<ChannelId, Vec<Message>>,
}

impl World<'_> {
    /// Checks what must hold when it is quiet.
    pub(super) fn check(&mut self) -> Result<(), String> {
        let asked = self.asked.iter().find(|((node, _), _)| !self.is_hostile(*node));
        if let Some(((node, call), asked)) = asked {
            return Err(format!("node {node} never answers {call:?}, {asked:?}"));
        }
        if let Some(message) = self.known.message_for_removed() {
            return Err(format!("{message:?} is encrypted for somebody known to be removed"));
        }
        if let Some(state) = self.known.unlawful() {
            return Err(format!("{state:?} was adopted, which its author may not make"));
        }
        self.hands_over_nothing_amiss()?;
        if self.plan.breaks_nothing() && self.point.is_none() && self.known.pleas() > 0 {
            return Err("somebody pleads though nothing ever broke".into());
        }
        let server = self.story.server.ok_or("there is no server")?;
        let members = self.members();
        let good = self.in_good_standing(server, &members)?;
        self.outcome.members = good.len();
        let stand = self.one_state(server, &good, &members)?;
        self.is_by_the_rules(&good, stand)?;
        let mut views = Vec::new();
        for node in good {
            self.lists_members(server, node, &members)?;
            views.push(self.view(server, node)?);
        }
        self.count_lost(&views);
        for view in &views {
            self.nothing_is_lost(view, &views)?;
            self.nothing_is_forged(view)?;
            for other in &views {
                self.both_agree(view, other)?;
            }
        }
        let unread = views.iter().flat_map(|view| view.channels.values().flatten());
        self.outcome.unread =
            unread.filter(|message| !matches!(message.text, Text::Known(_))).count();
        for node in 0..self.nodes.len() {
            let out = self.nodes[node].ids.filter(|(identity, _)| !members.contains(identity));
            if let Some((identity, _)) = out.filter(|_| self.nodes[node].is_started()) {
                self.reads_nothing_after(server, node, &identity)?;
            }
        }
        Ok(())
    }

    /// Whether all members are in and stand on one head, with one state hash and nobody else.
    pub(super) fn is_in_one_state(&mut self) -> Result<(), String> {
        let server = self.story.server.ok_or("there is no server")?;
        let members = self.members();
        let good = self.in_good_standing(server, &members)?;
        self.one_state(server, &good, &members).map(drop)
    }

    /// The members, by all that is not gone for ever.
    fn members(&mut self) -> BTreeSet<IdentityId> {
        let gone: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].gone).collect();
        self.known.note_gone(&gone, &[]);
        let members: BTreeSet<_> = self.known.rules.members().into_iter().collect();
        if !self.plan.crowds() {
            return members;
        }
        // Of more branches than are kept as they come members keep what a member names, and nobody tells them
        // what only those keep who are out.
        let is_out =
            |node: &Node| node.ids.is_none_or(|(identity, _)| !members.contains(&identity));
        let nodes = self.nodes.iter().enumerate();
        let aside = nodes.filter(|(at, node)| self.is_hostile(*at) || is_out(node));
        let aside: Vec<usize> = aside.map(|(at, _)| at).collect();
        self.known.note_gone(&gone, &aside);
        self.known.rules.members().into_iter().collect()
    }

    /// The nodes of the members, but for those that went for ever. All of them are in; nobody who
    /// should be is missing.
    fn in_good_standing(
        &mut self,
        server: ServerId,
        members: &BTreeSet<IdentityId>,
    ) -> Result<Vec<usize>, String> {
        let mut good = Vec::new();
        for node in 0..self.nodes.len() {
            if self.nodes[node].gone
                || !self.nodes[node].is_running()
                || self.nodes[node].is_guest()
                || self.is_hostile(node)
            {
                continue;
            }
            let (identity, _) =
                self.nodes[node].ids.ok_or_else(|| format!("node {node} is nobody"))?;
            if !members.contains(&identity) {
                if self.story.is_sure(node) {
                    return Err(format!("node {node} is no member"));
                }
                continue;
            }
            let servers = match self.ask(node, Command::Servers)? {
                Ok(Reply::Servers(servers)) => servers,
                other => return Err(format!("node {node} lists no servers: {other:?}")),
            };
            let here = servers.iter().find(|summary| summary.server == server);
            let is_named = |summary: &&ServerSummary| summary.joined && summary.name != SERVER_NAME;
            if let Some(other) = here.filter(is_named) {
                return Err(format!("node {node} shows a name that nobody may give: {other:?}"));
            }
            match here.map(|summary| (summary.joined, summary.member)) {
                Some((true, true)) => good.push(node),
                other => {
                    return Err(format!("node {node} is a member; (joined, member) is {other:?}"));
                }
            }
        }
        Ok(good)
    }

    /// The state that all of `good` stand on, their state hashes being equal; the members have a leaf
    /// in it, and nobody else.
    fn one_state(
        &mut self,
        server: ServerId,
        good: &[usize],
        members: &BTreeSet<IdentityId>,
    ) -> Result<StateId, String> {
        let mut first: Option<ServerStatus> = None;
        for node in good.iter().copied() {
            let status = match self.ask(node, Command::Status { server: Some(server) })? {
                Ok(Reply::Status(status)) => status.server,
                other => return Err(format!("node {node} has no status: {other:?}")),
            };
            let mut status =
                status.ok_or_else(|| format!("node {node} has no status of the server"))?;
            if !self.each_speaks_alone() || self.nodes[node].restored.is_some() {
                // What a hostile member wrote, or a copy with a key that was used, nobody can open,
                // perhaps, and who came in later is to open less of it and asks others; so does who
                // went on from an old copy, of their own words that nobody else had opened. What
                // anybody can open is compared message by message.
                (status.unopened, status.asked) = (0, Vec::new());
            }
            if !status.missing.is_empty() && self.keeps_all() {
                return Err(format!("node {node} misses what nobody ever lost: {status:?}"));
            }
            status.missing = Vec::new();
            if self.known.has_forks() {
                // What is said in a log that forks is not held alike by who came in later.
                let hash = self.nodes[node].control_hash(&server);
                status.state_hash = hash.ok_or_else(|| format!("node {node} does not run"))?;
            }
            let at = (status.stand, status.state_hash);
            self.note(Kind::State, node, format_args!("{:?} {:?}", at.0, at.1));
            if status.stand != status.head {
                return Err(format!("node {node} stands beside the head: {status:?}"));
            }
            match &first {
                None => first = Some(status),
                Some(first) if *first == status => {}
                Some(first) => {
                    return Err(format!(
                        "node {node} differs: {status:?}, node {} {first:?}",
                        good[0]
                    ));
                }
            }
        }
        let stand = first.and_then(|status| status.stand).ok_or("nobody stands anywhere")?;
        let roster = self.known.roster(&stand);
        if !roster.is_subset(members) || !self.ours(members).is_subset(&roster) {
            return Err(format!("the roster differs from the members: {roster:?}, {members:?}"));
        }
        Ok(stand)
    }

    /// Those of the members who are a node's that means no harm. Of somebody else a hostile member may
    /// say that they come in with keys that are none: they are members and have no leaf.
    fn ours(&self, members: &BTreeSet<IdentityId>) -> BTreeSet<IdentityId> {
        let nodes = (0..self.nodes.len()).filter(|node| !self.is_hostile(*node));
        let ours = nodes.filter_map(|node| Some(self.nodes[node].ids?.0));
        ours.filter(|identity| members.contains(identity)).collect()
    }

    /// All stand where the rules of the commit tree say, and whoever left a branch said that they had
    /// stood on it. A member who means harm writes what no rule counts, and a device of which a copy ran
    /// writes in two places.
    fn is_by_the_rules(&self, good: &[usize], stand: StateId) -> Result<(), String> {
        if !self.each_speaks_alone() {
            return Ok(());
        }
        let head = good.first().and_then(|node| self.known.head(*node));
        if let Some(head) = head.filter(|head| *head != stand) {
            return Err(format!("all stand on {stand:?}, and ought to on {head:?}"));
        }
        // One that was started again may have found both branches in what it keeps.
        let first_life = |node: usize| self.nodes[node].ids.filter(|_| self.nodes[node].life == 1);
        match self.known.unsaid(|node| first_life(node).map(|ids| ids.0)) {
            Some((node, state)) => {
                Err(format!("node {node} left {state:?} and never said it stood there"))
            }
            None => Ok(()),
        }
    }

    fn lists_members(
        &mut self,
        server: ServerId,
        node: usize,
        members: &BTreeSet<IdentityId>,
    ) -> Result<(), String> {
        let listed = match self.ask(node, Command::Members { server })? {
            Ok(Reply::Members(listed)) => listed,
            other => return Err(format!("node {node} lists no members: {other:?}")),
        };
        // A member who means harm is called as they like; nobody else by a name that is not their own.
        for member in &listed {
            let is_theirs = |of: &Node| of.ids.is_some_and(|(it, _)| it == member.identity);
            let whose = self.nodes.iter().position(is_theirs);
            let whose = whose.filter(|of| !self.is_hostile(*of) && !self.nodes[*of].is_guest());
            if whose.is_some_and(|of| member.name != Node::name_of(of)) {
                return Err(format!("node {node} shows a name that nobody may give: {member:?}"));
            }
        }
        let listed: BTreeSet<_> = listed.iter().map(|member| member.identity).collect();
        if listed == *members {
            return Ok(());
        }
        Err(format!("node {node} lists other members: {listed:?} for {members:?}"))
    }

    fn view(&mut self, server: ServerId, node: usize) -> Result<View, String> {
        let channels =
            self.channels(server, node)?.ok_or_else(|| format!("node {node} lists no channels"))?;
        if !channels.iter().copied().collect::<BTreeSet<_>>().eq(&self.known.channels) {
            return Err(format!("node {node} lists other channels than the founder made"));
        }
        let (identity, device) = self.nodes[node].ids.ok_or("nobody")?;
        let mut view = View { node, identity, device, channels: BTreeMap::new() };
        for channel in channels {
            let messages = self.messages(server, node, channel)?;
            let messages = messages.ok_or_else(|| format!("node {node} lists no messages"))?;
            self.look_at(node, &messages)?;
            view.channels.insert(channel, messages);
        }
        Ok(view)
    }

    /// Whatever is shown is shown once, by whoever signed it, as they said it; and nothing that was shown is
    /// taken back.
    pub(super) fn look_at(&mut self, node: usize, messages: &[Message]) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for message in messages {
            if !names.insert(name(message)) {
                return Err(format!("node {node} lists a message twice: {message:?}"));
            }
            let author = self.nodes.iter().position(|node| {
                node.ids.is_some_and(|(identity, _)| {
                    let hostile = self.known.hostile.contains(&identity);
                    let theirs = hostile || node.devices.contains(&message.device);
                    identity == message.author && theirs
                })
            });
            let author =
                author.ok_or_else(|| format!("node {node} shows a stranger: {message:?}"))?;
            let ours = !self.nodes[author].is_guest() && !self.is_hostile(author);
            let said = |text: &String| self.story.is_theirs(author, text);
            if ours && matches!(&message.text, Text::Known(text) if !said(text)) {
                return Err(format!("node {node} shows what nobody said: {message:?}"));
            }
            let shown = Shown {
                text: matches!(message.text, Text::Known(_)),
                delivered: message.state == MessageState::Delivered,
            };
            // An old copy knows less, of two messages with one name either is shown, and what a copy said
            // that ran beside this node has to be handed over, though its text waited here, too.
            let stays = self.known.is_one(&name(message))
                && self.nodes[node].restored.is_none()
                && !self.known.cloned.contains(&message.device);
            let before = self.nodes[node].shown.insert(name(message), shown);
            if before.is_some_and(|before| stays && shown.is_less_than(before)) {
                return Err(format!("node {node} takes back what it showed: {message:?}"));
            }
        }
        Ok(())
    }

    /// Whatever is shown was written, and counts.
    fn nothing_is_forged(&self, view: &View) -> Result<(), String> {
        let node = view.node;
        let queued = |message: &&Message| message.state == MessageState::Queued;
        for message in view.channels.values().flatten().filter(|message| !queued(message)) {
            if !self.known.is_written(&name(message)) {
                return Err(format!("node {node} lists what nobody wrote: {message:?}"));
            }
            if !self.known.counts(&name(message)) {
                return Err(format!("node {node} lists what does not count: {message:?}"));
            }
            let readable = matches!(message.text, Text::Known(_));
            if readable && self.known.is_before(&name(message), &view.device) {
                return Err(format!("node {node} reads what is from before its time: {message:?}"));
            }
        }
        Ok(())
    }

    /// What the person of `view` said stands in it as it was said, if it counts, and has arrived if it
    /// is for anybody.
    fn nothing_is_lost(&self, view: &View, views: &[View]) -> Result<(), String> {
        let node = view.node;
        for said in self.story.said.iter().filter(|said| said.node == node) {
            let text = &said.text;
            let Some(message) = self.written(said) else {
                // Who meets no member keeps it until they meet one.
                if views.len() < 2 || self.nodes[node].may_have_lost(said.at) {
                    continue;
                }
                return Err(format!("node {node} never wrote what it accepted: {text:?}"));
            };
            if !self.known.counts_surely(&message) {
                continue;
            }
            // Of what was said before the node went on from an older copy, it has what others have: who
            // lists or reads it is compared with it message by message.
            let lost = self.nodes[node].may_have_lost(said.at);
            // Who went for ever, is out, or went on from an older copy too gives it to nobody.
            let has_it = |other: &View| {
                other.node != node
                    && !self.nodes[other.node].may_have_lost(said.at)
                    && self.known.is_kept_at(&message, other.node)
            };
            let listed = view.channels.get(&said.channel).into_iter().flatten();
            let Some(listed) = listed.into_iter().find(|listed| name(listed) == message) else {
                if lost && !views.iter().any(has_it) {
                    continue;
                }
                return Err(format!("node {node} does not list what it accepted: {text:?}"));
            };
            if lost && !matches!(listed.text, Text::Known(_)) {
                continue;
            }
            if listed.text != Text::Known(text.clone()) {
                return Err(format!("node {node} lists {text:?} as {:?}", listed.text));
            }
            let others = views.iter().filter(|other| other.identity != view.identity);
            let for_anybody =
                others.into_iter().any(|other| self.known.is_for(&message, &other.device));
            if for_anybody && listed.state != MessageState::Delivered {
                return Err(format!("node {node} lists {text:?} as {:?}", listed.state));
            }
        }
        Ok(())
    }

    /// The name under which what was accepted was written, as whichever of its author's devices.
    fn written(&self, said: &Said) -> Option<Name> {
        let devices = self.nodes[said.node].devices.iter();
        let mut names = devices.map(|device| (*device, said.id, said.channel));
        names.find(|name| self.known.is_written(name))
    }

    /// Counts the messages that were accepted and that nobody reads though they are for somebody; apart from
    /// others those that nobody who is there ever held.
    fn count_lost(&mut self, views: &[View]) {
        let mut lost = Vec::new();
        for said in self.story.said.iter().filter(|said| !self.is_hostile(said.node)) {
            let reads = |view: &View| {
                let listed = view.channels.get(&said.channel).into_iter().flatten();
                let mut same = listed.filter(|message| message.id == said.id);
                same.any(|message| message.text == Text::Known(said.text.clone()))
            };
            if views.iter().any(reads) {
                continue;
            }
            let written = self.written(said);
            let is_for = |view: &View| match &written {
                Some(name) => self.known.is_for(name, &view.device),
                // It waits at its author, who is there or went for ever; who is out has nobody to write to.
                None => view.node == said.node || self.nodes[said.node].gone,
            };
            let holds = |view: &View| {
                let written = written.as_ref();
                let kept = written.is_some_and(|name| self.known.is_kept_at(name, view.node));
                let has_it = kept || view.node == said.node;
                has_it && !self.nodes[view.node].may_have_lost(said.at)
            };
            let counts = written.as_ref().is_none_or(|name| self.known.counts_surely(name));
            if counts && views.iter().any(is_for) {
                lost.push((said.node, said.text.clone(), views.iter().any(holds)));
            }
        }
        self.outcome.lost = lost.iter().filter(|(.., is_held)| *is_held).count();
        self.outcome.lost_with_holders = lost.len() - self.outcome.lost;
        for (node, text, _) in lost {
            self.note(Kind::World, node, format_args!("said what nobody reads: {text:?}"));
        }
    }

    /// `other` lists everything in `view` that is for it, in the same order, and reads what it can.
    fn both_agree(&self, view: &View, other: &View) -> Result<(), String> {
        let (one, two) = (view.node, other.node);
        if one == two {
            return Ok(());
        }
        for (channel, messages) in &view.channels {
            let theirs = other.channels.get(channel).map(Vec::as_slice).unwrap_or_default();
            let by_name: BTreeMap<Name, &Message> =
                theirs.iter().map(|message| (name(message), message)).collect();
            let mut shared = Vec::new();
            for message in messages {
                let at = name(message);
                match by_name.get(&at) {
                    Some(same) => {
                        shared.extend(Some(at).filter(|at| self.known.is_one(at)));
                        self.is_readable(message, same, other)?;
                    }
                    None if self.known.is_one(&at) && self.known.is_for(&at, &other.device) => {
                        return Err(format!("node {two} lacks what node {one} lists: {message:?}"));
                    }
                    None => {}
                }
            }
            let held: BTreeSet<&Name> = shared.iter().collect();
            let order: Vec<Name> = theirs.iter().map(name).filter(|at| held.contains(at)).collect();
            if order != shared {
                let differ = shared.iter().zip(&order).find(|(here, there)| here != there);
                return Err(format!(
                    "nodes {one} and {two} list {channel:?} in different order: {differ:?}, {} and {}",
                    shared.len(),
                    order.len()
                ));
            }
        }
        Ok(())
    }

    /// What is for `other` it reads: what somebody says who means no harm, and of the rest, and of what was
    /// said as a device of which a copy ran, what is read by whoever lists `message`, since that is handed
    /// over. Both read the same.
    fn is_readable(&self, message: &Message, same: &Message, other: &View) -> Result<(), String> {
        let (read, readable) = (&message.text, matches!(same.text, Text::Known(_)));
        // Which of several messages of one name is listed depends on where each begins to read.
        if !self.known.is_named_once(&name(same)) {
            return Ok(());
        }
        if readable && matches!(read, Text::Known(_)) && *read != same.text {
            return Err(format!("node {} reads {same:?}, and another {message:?}", other.node));
        }
        let unread = self.known.may_fork(&same.device) && !matches!(read, Text::Known(_));
        if readable || unread || !self.known.is_for(&name(same), &other.device) {
            return Ok(());
        }
        Err(format!("node {} cannot read what it could: {same:?}", other.node))
    }

    /// Somebody who is no member reads nothing of those who knew that.
    fn reads_nothing_after(
        &mut self,
        server: ServerId,
        node: usize,
        identity: &IdentityId,
    ) -> Result<(), String> {
        for channel in self.channels(server, node)?.unwrap_or_default() {
            let messages = self.messages(server, node, channel)?.unwrap_or_default();
            let known = messages.iter().filter(|message| matches!(message.text, Text::Known(_)));
            let mut known = known.filter(|message| message.author != *identity);
            if let Some(message) =
                known.find(|message| self.known.knew_of_removal(&name(message), identity))
            {
                return Err(format!("node {node} is out and reads {message:?}"));
            }
        }
        Ok(())
    }

    /// Whether nobody means harm, and no copy of a node ran beside it.
    pub(super) fn each_speaks_alone(&self) -> bool {
        self.puppets.is_empty() && self.known.cloned.is_empty()
    }

    /// Whether nobody ever lost what they held, and nobody left with it or hides it.
    fn keeps_all(&self) -> bool {
        let mut nodes = self.nodes.iter();
        let stays = self.outcome.removals == 0 && self.each_speaks_alone();
        stays && nodes.all(|node| node.restored.is_none() && !node.gone)
    }

    /// Counts what was handed over to a node since it was last asked.
    pub(super) fn count_handed_over(&mut self, node: usize) {
        let Some(sizes) = self.nodes[node].sizes() else { return };
        let before = std::mem::replace(&mut self.nodes[node].handed_over, sizes.handed_over);
        self.outcome.handed_over += sizes.handed_over.saturating_sub(before);
    }

    /// What a node holds in memory stays within bounds, and no key is used twice.
    pub(super) fn is_bounded(&self, node: usize) -> Result<(), String> {
        let Some(sizes) = self.nodes[node].sizes() else { return Ok(()) };
        let bounds = [
            ("steps to make", sizes.work, WORK_MAX),
            ("links", sizes.links, LINKS_MAX),
            ("envelopes that wait", sizes.waiting, WAITING_PER_SERVER_MAX),
            ("kept states", sizes.kept, KEPT_MAX),
            ("groups in memory", sizes.groups, GROUPS_MAX),
        ];
        if sizes.reused > 0 && self.each_speaks_alone() {
            return Err(format!("node {node} met a key that was used for two messages"));
        }
        match bounds.iter().find(|(_, size, most)| size > most) {
            Some((what, size, _)) => Err(format!("node {node} holds too many {what}: {size}")),
            None => Ok(()),
        }
    }
}

fn name(message: &Message) -> Name {
    (message.device, message.id, message.channel)
}

use super::{
    account::{Account, Numbers},
    channel::Channel,
    error::AppError,
    input::Tell,
    join::Join,
    machine::{Cx, Machine, Work},
    reads::{Loaded, Missing, Reads},
    rows::{self, JoinRow, MLS, NODE, StateRow, TREE, UnopenedRow, VIEW},
    server::{Kept, Server},
};
use crate::{
    base::{ChannelId, Frontier, Name, Secret, ServerId, cbor, limits::NAME_CHARS_MAX},
    state::{
        crdt::timeline,
        envelope::Envelope,
        mls::{Group, MlsError, Rows, ScopeKey},
    },
};

/// Entries of the control channel loaded in one round.
const CONTROL_PAGE: usize = 512;
/// Bytes of the control channel loaded in one round.
const CONTROL_PAGE_BYTES: usize = 4 * 1024 * 1024;

pub(super) fn reads() -> Reads {
    Reads {
        rows: vec![(NODE, rows::ACCOUNT.into()), (NODE, rows::TENURE.into())],
        prefixes: vec![
            (NODE, rows::numbers_prefix()),
            (VIEW, rows::addresses_prefix()),
            (VIEW, rows::joins_prefix()),
            (TREE, bytes::Bytes::new()),
            (timeline::DRAFTS, bytes::Bytes::new()),
        ],
        ..Reads::default()
    }
}

impl Machine {
    pub(super) fn start(&mut self, cx: &mut Cx<'_>) {
        let started = self.find_account(cx).map(|account| {
            let ids = (account.identity(), account.device());
            self.node.account = Some(account);
            ids
        });
        let failed = started.is_err();
        cx.fx.tells.push(Tell::Started(started));
        if failed {
            self.node.work.clear();
            return;
        }
        self.node.take_tenure(cx);
        self.node.numbers = Numbers::load(cx.loaded.prefix(&NODE, &rows::numbers_prefix()));
        self.node.links.load_book(cx.loaded.prefix(&VIEW, &rows::addresses_prefix()));
        for (id, number) in self.node.numbers.servers() {
            let mut server = Server::new(id, number);
            self.node.channels.insert(server.control, id);
            self.node.numbers.channel(server.control, &mut cx.fx.batch);
            server.take_rows(cx.loaded);
            self.servers.insert(id, server);
            // Before whatever was pushed meanwhile: calls find their servers.
            self.node.work.push_front(Work::LoadServer(id));
        }
        self.node.next_state = next_number(cx.loaded, &TREE);
        self.node.next_draft = next_number(cx.loaded, &timeline::DRAFTS);
    }

    fn find_account(&self, cx: &mut Cx<'_>) -> Result<Account, AppError> {
        let row = cx.loaded.rows.get(&(NODE, rows::ACCOUNT.into())).cloned().flatten();
        if let Some(row) = row {
            return Account::read(&row).ok_or_else(|| {
                AppError::new(
                    "store.corrupt",
                    "The identity in this store cannot be read: the store is damaged. Nothing was \
                     changed; restore the folder from a copy.",
                )
            });
        }
        let name = self.node.first_name.clone().ok_or_else(|| {
            AppError::new(
                "name.needed",
                "This store holds no identity yet, and making one needs a name. Nothing was made; \
                 give a name.",
            )
        })?;
        let name = checked_name(&name)?;
        let account = Account::create(name, cx.now, &mut cx.chance);
        account.put(&mut cx.fx.batch);
        Ok(account)
    }

    pub(super) fn load_server(&mut self, id: ServerId, cx: &mut Cx<'_>) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let number = self.node.numbers.channel(server.control, &mut cx.fx.batch);
        let channel = Channel::load(server.control, number, cx.loaded);
        server.channels.insert(server.control, channel);
        for (_, value) in cx.loaded.prefix(&VIEW, &rows::unopened_prefix(server.number)) {
            if let Ok(row) = cbor::decode::<UnopenedRow>(value) {
                server.take_unopened(&row, cx.now);
            }
        }
        if let Some(stand) = server.stand
            && !server.bring_group(&stand, cx.loaded)
        {
            tracing::error!("the group's rows cannot be read; nothing can be sent in this server");
        }
        server.load_packages(cx.loaded);
        server.load_lost(cx.loaded);
        server.load_verdicts(cx.loaded);
        server.caught_up_at = cx.loaded.row(&VIEW, &rows::caught_up_key(server.number));
        self.node.work.push_front(Work::LoadControl(id, Frontier::new()));
    }

    pub(super) fn load_control(&mut self, id: ServerId, have: Frontier, cx: &mut Cx<'_>) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let asked = server.control_page(&have);
        let entries = cx
            .loaded
            .missing
            .iter()
            .find(|(missing, _)| *missing == asked)
            .map(|(_, entries)| entries.clone())
            .unwrap_or_default();
        let mut held = have;
        for entry in &entries {
            held.advance(entry.tip(), entry.previous.as_ref());
            if let Ok(envelope) = Envelope::decode(&entry.bytes).and_then(Envelope::trust) {
                server.take_in_control(&envelope);
            }
        }
        if !entries.is_empty() {
            self.node.work.push_front(Work::LoadControl(id, held));
            return;
        }
        server.loaded = true;
        server.open_for_sync(&mut self.node, server.control, cx.now);
        server.note_gaps(cx.now);
        server.resettle_quietly(&mut self.node);
        self.node.settle(id);
        // The last of them may have been kept, and not looked at, when the node stopped.
        for state in server.unopened.keys() {
            server.open_waiting(&mut self.node, state);
        }
        self.node.flush(id);
    }

    pub(super) fn load_channel(&mut self, id: ServerId, channel: ChannelId, cx: &mut Cx<'_>) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let number = self.node.numbers.channel(channel, &mut cx.fx.batch);
        server.channels.insert(channel, Channel::load(channel, number, cx.loaded));
        self.node.channels.insert(channel, id);
        server.open_for_sync(&mut self.node, channel, cx.now);
        server.note_gaps(cx.now);
    }
}

impl Server {
    /// Takes what the first read brought of this server.
    fn take_rows(&mut self, loaded: &Loaded) {
        for (key, value) in loaded.prefix(&TREE, &bytes::Bytes::new()) {
            let number = <[u8; 8]>::try_from(&key[..]).map(u64::from_be_bytes);
            let (Ok(number), Ok(row)) = (number, cbor::decode::<StateRow>(value)) else { continue };
            if row.server == self.number {
                if row.stand {
                    self.stand = Some(row.state);
                }
                self.kept.insert(row.state, Kept { number, row, key: None });
            }
        }
        for (key, value) in loaded.prefix(&VIEW, &rows::joins_prefix()) {
            if rows::read_join_key(key) == Some(self.number)
                && let Ok(row) = cbor::decode::<JoinRow>(value)
            {
                self.join = Join::load(row);
            }
        }
        for (key, value) in loaded.prefix(&timeline::DRAFTS, &bytes::Bytes::new()) {
            let number = <[u8; 8]>::try_from(&key[..]).map(u64::from_be_bytes);
            if let (Ok(number), Ok(draft)) = (number, timeline::decode_draft(value))
                && draft.server == self.id
            {
                self.drafts.push_back((number, draft));
            }
        }
    }

    pub(super) fn load_reads(&self, control: u32) -> Reads {
        let mut reads = Channel::reads(self.control, control);
        reads.prefixes.push((VIEW, rows::unopened_prefix(self.number)));
        reads.prefixes.push((VIEW, rows::packages_prefix(self.number)));
        reads.prefixes.push((VIEW, rows::verdicts_prefix(self.number)));
        reads.rows.push((VIEW, rows::caught_up_key(self.number)));
        reads.rows.push((VIEW, rows::lost_key(self.number)));
        if let Some(kept) = self.stand.and_then(|stand| self.kept.get(&stand)) {
            reads.prefixes.push((MLS, rows::state_key(kept.number)));
        }
        reads
    }

    /// The next page of the control channel beyond what is loaded.
    pub(super) fn control_reads(&self, have: &Frontier, _loaded: &Loaded) -> Reads {
        Reads { missing: vec![self.control_page(have)], ..Reads::default() }
    }

    fn control_page(&self, have: &Frontier) -> Missing {
        Missing {
            channel: self.control,
            floors: self.control_channel().floors_of_all(),
            have: have.clone(),
            limit: CONTROL_PAGE,
            bytes_max: CONTROL_PAGE_BYTES,
        }
    }

    /// A state's group from its loaded rows, and what they are wrapped by: the row without a name.
    pub(super) fn load_group(
        &self,
        state: &crate::base::StateId,
        loaded: &Loaded,
    ) -> Option<(Group, ScopeKey)> {
        let scope = rows::state_key(self.kept.get(state)?.number);
        let rows = loaded.prefix(&MLS, &scope);
        let (_, key) = rows.iter().find(|(place, _)| *place == scope)?;
        let key = ScopeKey::new(Secret::new(key[..].try_into().ok()?));
        let unwrapped = rows.iter().filter(|(place, _)| *place != scope).map(|(place, value)| {
            let place = &place[scope.len()..];
            Ok((place.to_vec(), key.unwrap(place, value)?))
        });
        let rows = unwrapped.collect::<Result<Rows, MlsError>>().ok()?;
        Some((Group::load(rows).ok()?, key))
    }
}

/// What somebody typed, as a name.
pub(super) fn checked_name(text: &str) -> Result<Name, AppError> {
    Name::new(text).map_err(|_| {
        let chars = text.trim().chars().count();
        AppError::new(
            "name.invalid",
            format!(
                "A name has 1 to {NAME_CHARS_MAX} characters and no control characters; this one \
                 has {chars}. Nothing was changed; choose another."
            ),
        )
    })
}

fn next_number(loaded: &Loaded, namespace: &crate::store::Namespace) -> u64 {
    let rows = loaded.prefix(namespace, &bytes::Bytes::new());
    let last = rows.last().and_then(|(key, _)| <[u8; 8]>::try_from(&key[..]).ok());
    last.map_or(1, |last| u64::from_be_bytes(last).saturating_add(1))
}

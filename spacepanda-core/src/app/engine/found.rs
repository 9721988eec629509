use super::{
    commands::internal,
    error::AppError,
    input::Reply,
    machine::{Cx, Machine, Work},
    server::Server,
    start::checked_name,
};
use crate::{
    base::ChannelId,
    state::{
        authority::{GENESIS_VERSION, Genesis, Operation, server_of},
        crdt::StructureOp,
        envelope::PayloadType,
        mls::{Group, RootPayload, Settings, group_id},
    },
};

/// The first channel of a server.
const FIRST_CHANNEL: &str = "general";
/// The window of a new group.
const SETTINGS: Settings = Settings { generation: 0, window_hours: 72, window_states: 16 };

impl Machine {
    /// One step, one batch: the founder's control log from 1 to 5, and the group.
    pub(super) fn create_server(&mut self, name: &str, cx: &mut Cx<'_>) -> Result<Reply, AppError> {
        let name = checked_name(name)?;
        let node = &mut self.node;
        let account = node.me();
        let genesis = Operation::Genesis(Genesis {
            version: GENESIS_VERSION,
            nonce: *cx.chance.secret().expose(),
            owners: vec![account.certificate.certificate().clone()],
        });
        let id = server_of(&genesis.encode());
        let group = Group::create(
            &account.device_key,
            &account.certificate,
            &group_id(&id, SETTINGS.generation),
            SETTINGS,
            &cx.chance.secret(),
        )
        .map_err(|error| internal(&error))?;

        let mut server = Server::begin(node, id, cx);
        server.compared = true;
        let root = RootPayload { generation: SETTINGS.generation, state: group.state_id() };
        let nickname = Operation::SetNickname { target: None, name: node.me().name.clone() };
        let server_name = StructureOp::SetServerName { name };
        let channel = StructureOp::CreateChannel { name: checked_name(FIRST_CHANNEL)? };
        let mut first_channel = None;
        for (payload_type, payload) in [
            (PayloadType::Authority, genesis.encode()),
            (PayloadType::Root, root.encode()),
            (PayloadType::Authority, nickname.encode()),
            (PayloadType::Structure, server_name.encode()),
            (PayloadType::Structure, channel.encode()),
        ] {
            let written = server.write_control(node, payload_type, payload, cx);
            first_channel = written.map(|envelope| ChannelId::new(*envelope.id().as_bytes()));
        }
        let state = group.state_id();
        server.keep_state(node, state, group, cx);
        server.resettle_quietly(node);
        self.servers.insert(id, server);
        node.queue(Work::StandOn(id, state));
        Ok(Reply::Server { server: id, channel: first_channel })
    }
}

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
        mls::{Group, RootPayload, Settings, group_id, tree::Window},
    },
};

/// The first channel of a server.
const FIRST_CHANNEL: &str = "general";
/// The generation of a group that was never started over.
const FIRST_GENERATION: u32 = 0;

impl Machine {
    /// One step, one batch: the founder's control log from 1 to 5, and the group.
    pub(super) fn create_server(
        &mut self,
        name: &str,
        window: Window,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, AppError> {
        let name = checked_name(name)?;
        let settings = settings(window)?;
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
            &group_id(&id, settings.generation),
            settings,
            &cx.chance.secret(),
        )
        .map_err(|error| internal(&error))?;

        let mut server = Server::begin(node, id, cx);
        server.compared = true;
        let root = RootPayload { generation: settings.generation, state: group.state_id() };
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

fn settings(window: Window) -> Result<Settings, AppError> {
    let Window { hours, states } = Window::SHORTEST;
    if window.hours < hours || window.states < states {
        return Err(AppError::new(
            "window.too_short",
            format!(
                "A group keeps its states for {hours} hour and {states} states at the least. Nothing \
                 was made; choose a longer window."
            ),
        ));
    }
    Ok(Settings {
        generation: FIRST_GENERATION,
        window_hours: window.hours,
        window_states: window.states,
    })
}

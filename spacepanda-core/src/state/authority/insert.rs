use super::{
    ControlOp, Genesis, Operation, OperationError, Standing,
    devices::introduces_itself,
    facts::{self, Facts},
    genesis::{GENESIS_VERSION, server_of},
    judge,
    log::{Log, Node, Op, Refused},
    view::View,
};
use crate::{
    base::{ChannelId, EnvelopeId, IdentityId, ServerId},
    state::envelope::{Header, Index, Past, PayloadType, Verified, order_after},
};

/// Why an envelope was not taken into the control channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// This is not here yet: it must wait for that.
    #[error("it must wait for {0}")]
    Missing(EnvelopeId),
    /// It belongs to another channel.
    #[error("it does not belong to this control channel")]
    Channel,
    /// Neither its past nor itself certifies its device: it is dropped.
    #[error("neither its past nor itself certifies its device")]
    Stranger,
    /// It names nothing, and is not the beginning of this server.
    #[error("it names nothing, and is not the genesis of this server")]
    NotGenesis,
    /// What it says is before it in its log is not.
    #[error("the entry before it is not the one right before it in its log")]
    Previous,
    /// Its order is not what its parents give.
    #[error("its order does not follow from its parents")]
    Order,
}

/// What an envelope is to authority, now that it is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It was here already.
    Known,
    /// An operation, or the making of a channel: what it does shows after `settle`.
    Operation,
    /// Nothing that authority looks at.
    Other,
    /// A payload without effect: of a newer version, or no operation.
    Ineffective(OperationError),
}

/// What an envelope of the control channel says to authority, by its bytes alone.
pub(super) fn read(envelope: &Verified, server: &ServerId) -> Result<ControlOp, OperationError> {
    let header = envelope.header();
    if header.payload_type != PayloadType::Authority {
        return Ok(ControlOp::Nothing);
    }
    let operation = Operation::decode(&header.payload)?;
    let sound = match &operation {
        Operation::Genesis(genesis) => is_beginning(header, genesis, server)?,
        Operation::Admit(request) => request.server == *server && request.verify().is_ok(),
        Operation::AddDevice { certificate } => introduces_itself(header, certificate),
        _ => true,
    };
    if sound { Ok(ControlOp::Operation(operation)) } else { Err(OperationError::Invalid) }
}

fn is_beginning(
    header: &Header,
    genesis: &Genesis,
    server: &ServerId,
) -> Result<bool, OperationError> {
    if genesis.version != GENESIS_VERSION {
        return Err(OperationError::Newer);
    }
    Ok(header.named().next().is_none()
        && server_of(&header.payload) == *server
        && genesis.owners.first().is_some_and(|founder| founder.device == header.sender)
        && genesis.owners.iter().all(|owner| owner.clone().verify().is_ok()))
}

/// Takes an envelope in: into the causality of the channel, and as what it `does` to authority.
pub(super) fn insert(
    log: &mut Log,
    channel: &ChannelId,
    envelope: &Verified,
    does: ControlOp,
) -> Result<(Index, bool), InsertError> {
    let header = envelope.header();
    if header.channel != *channel || header.control.is_some() {
        return Err(InsertError::Channel);
    }
    let named: Vec<_> = header.named().collect();
    let past = log.dag.closure(&named).map_err(InsertError::Missing)?;
    let follows = |previous: EnvelopeId| {
        let before = log.dag.index(&previous).map(|index| log.dag.tip(index));
        before.is_some_and(|tip| {
            tip.device == header.sender && tip.number.checked_add(1) == Some(header.sequence)
        })
    };
    // Else whoever got the entry that stands there first would hold another log than all others.
    if !header.previous.is_none_or(follows) {
        return Err(InsertError::Previous);
    }
    let author = author(log, &past, header, &does)?;
    let parents: Vec<_> = named.iter().filter_map(|id| log.dag.index(id)).collect();
    let orders = parents.iter().map(|parent| log.nodes[parent].order);
    if header.order != order_after(header.timestamp, orders) {
        return Err(InsertError::Order);
    }
    let heads = log.heads_of(parents);
    let op = op(log, &past, &heads, envelope, author, does);
    let index = log
        .dag
        .insert(envelope.tip(), header.previous, header.parents.iter().map(|tip| tip.id))
        .map_err(InsertError::Missing)?;
    let is_op = op.is_some();
    let heads = if is_op { vec![index] } else { heads };
    log.nodes.insert(index, Node { order: header.order, heads });
    if let Some(op) = op {
        file(log, index, op);
    }
    Ok((index, is_op))
}

fn author(
    log: &Log,
    past: &Past,
    header: &Header,
    does: &ControlOp,
) -> Result<IdentityId, InsertError> {
    if header.named().next().is_some() {
        let introduced = || match does {
            ControlOp::Operation(Operation::AddDevice { certificate }) => {
                Some(certificate.identity).filter(|who| log.is_known(past, who))
            }
            _ => None,
        };
        let author = log.certifies(past, &header.sender).or_else(introduced);
        return author.ok_or(InsertError::Stranger);
    }
    match does {
        ControlOp::Operation(Operation::Genesis(genesis)) => {
            genesis.owners.first().map(|owner| owner.identity).ok_or(InsertError::NotGenesis)
        }
        _ => Err(InsertError::NotGenesis),
    }
}

/// The operation, judged by its past alone.
fn op(
    log: &Log,
    past: &Past,
    heads: &[Index],
    envelope: &Verified,
    author: IdentityId,
    does: ControlOp,
) -> Option<Op> {
    let header = envelope.header();
    let (mut facts, lets_write) = match &does {
        ControlOp::Nothing => return None,
        ControlOp::ChannelMade { .. } => {
            (facts::of_channel(author), log.is_device_in(past, &author, &header.sender))
        }
        ControlOp::Operation(operation) => (
            facts::facts(log, past, author, header.timestamp, operation, envelope.id()),
            log.lets_write(past, &author, &header.sender, operation),
        ),
    };
    if !lets_write {
        facts.ways.clear();
    }
    let refused = judge::judge(log, heads);
    let (way, standing) = entitled(log, past, &refused, &does, &facts);
    Some(Op {
        id: envelope.id(),
        author,
        order: header.order,
        timestamp: header.timestamp,
        does,
        facts,
        standing,
        way,
        refused,
        size: judge::size(log, heads) + 1,
    })
}

fn entitled(
    log: &Log,
    past: &Past,
    refused: &Refused,
    does: &ControlOp,
    facts: &Facts,
) -> (Option<facts::Way>, Option<Standing>) {
    if matches!(does, ControlOp::Operation(Operation::Genesis(_))) {
        return (None, Some(Standing::GENESIS));
    }
    judge::entitled(&View::whole(log, past, refused), facts)
        .map_or((None, None), |(way, standing)| (Some(way), Some(standing)))
}

/// Files it, and notes whether it counts in its own past.
fn file(log: &mut Log, index: Index, op: Op) {
    log.file(index, op);
    if !judge::counts(log, log.dag.past_of(index), &log.op(index).refused, index)
        && let Some(op) = log.ops.get_mut(&index)
    {
        op.refused.insert(index);
    }
}

use std::time::Duration;

use spacepanda_core::{
    base::{Name, Secret, ServerId, Timestamp},
    state::{
        authority::{
            Authority, GENESIS_VERSION, Genesis, IssueInvite, JoinRequest, Operation, Role,
            authorize, control_channel,
        },
        envelope::{Header, Origin, PayloadType, VERSION, Verified, order_after},
        identity::KeyPair,
        link::Me,
        mls::{Built, Merged},
    },
};

/// A server of a hostile member's own, in which nobody else may do anything and whoever they like is
/// let in: it lets every commit through that one of its own would.
pub(super) struct Forge {
    authority: Authority,
    me: Me,
    last: Option<Verified>,
    now: Timestamp,
}

impl Forge {
    pub(super) fn new(me: &Me, now: Timestamp) -> Self {
        let owners = vec![me.certificate.certificate().clone()];
        let genesis = Genesis { version: GENESIS_VERSION, nonce: [1; 32], owners };
        let server: ServerId = genesis.clone().server();
        let authority = Authority::new(server);
        let mut forge = Self { authority, me: me.clone(), last: None, now };
        forge.write(&Operation::Genesis(genesis));
        forge
    }

    /// Lets somebody in.
    pub(super) fn admit(&mut self, guest: &Me, package: Vec<u8>) {
        let key = KeyPair::from_secret(Secret::new([2; 32]));
        self.write(&Operation::IssueInvite(IssueInvite {
            invite_public_key: *key.public(),
            meeting_secret: [3; 32],
            role: Role::Everyone,
            max_uses: None,
            expires: self.now.saturating_add(Duration::from_secs(60 * 60)),
        }));
        let name = Name::new("guest").expect("a short word is a name");
        let server = self.authority.server();
        let (certificate, device) = (&guest.certificate, &guest.device);
        let request = JoinRequest::sign(server, name, certificate, package, [4; 16], &key, device);
        if let Ok(request) = request {
            self.write(&Operation::Admit(Box::new(request)));
        }
    }

    /// Merges a commit as if it were one of the server's own.
    pub(super) fn merge(&self, built: Built) -> Option<Merged> {
        let origin = Origin {
            channel: control_channel(&self.authority.server()),
            device: self.me.certificate.device(),
            timestamp: self.now,
            past: self.last.iter().map(Verified::id).collect(),
        };
        let authorized = authorize(&self.authority, built.open(origin)).ok()?;
        built.merge(authorized).ok()
    }

    fn write(&mut self, operation: &Operation) {
        let before = self.last.as_ref();
        let header = Header {
            version: VERSION,
            channel: control_channel(&self.authority.server()),
            sender: self.me.certificate.device(),
            sequence: before.map_or(1, |before| before.header().sequence + 1),
            previous: before.map(Verified::id),
            parents: Vec::new(),
            control: None,
            timestamp: self.now,
            order: order_after(self.now, before.map(|before| before.header().order)),
            payload_type: PayloadType::Authority,
            payload: operation.encode(),
            body: None,
        };
        let Ok(envelope) = Verified::sign(header, None, &self.me.device) else { return };
        if self.authority.insert(&envelope).is_ok() {
            let _ = self.authority.settle();
            self.last = Some(envelope);
        }
    }
}

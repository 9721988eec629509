//! Requests to come in that nobody honest would make.

use spacepanda_core::{
    app::engine::JoinLink,
    base::{Name, cbor},
    state::{
        authority::{JoinRequest, Operation},
        envelope::PayloadType,
        identity::KeyPair,
        link::{Kind, Me},
    },
};

use super::{
    frames::RequestFrame,
    plot::Plot,
    puppet::{Errand, Parcel},
};

/// Strangers who come by one invite at most.
const STRANGERS_MAX: u64 = 3;

impl Plot {
    pub(super) fn intrude(&mut self) -> Vec<Errand> {
        match self.chance.below(3) {
            0 => self.write_guests(),
            1 => self.ask_again(),
            _ => self.ask_as_strangers(),
        }
    }

    /// Lets people in without anybody's asking, with an invite made for it.
    fn write_guests(&mut self) -> Vec<Errand> {
        let (invite, mut admit) = self.invite_and_guest();
        if let Operation::Admit(request) = &mut admit
            && self.chance.once_in(3)
        {
            request.device_signature = self.bytes();
        }
        let payloads = [invite, admit].map(|it| (PayloadType::Authority, it.encode()));
        let written = self.chain(self.held.control, payloads.to_vec());
        self.tell(&written)
    }

    /// Hands in what others asked with.
    fn ask_again(&mut self) -> Vec<Errand> {
        let requests = self.requests();
        let Some(request) = self.one_of(&requests) else { return Vec::new() };
        let message = self.request(&request);
        let to = self.some();
        to.into_iter()
            .map(|to| self.errand(to, vec![Parcel::Message(Kind::JoinRequest, message.clone())]))
            .collect()
    }

    /// Comes by an invite as several people at once, each asking somebody else.
    fn ask_as_strangers(&mut self) -> Vec<Errand> {
        let link = self.one_of(&self.links.clone());
        let Some(link) = link.and_then(|link| JoinLink::decode(&link).ok()) else {
            return Vec::new();
        };
        let mut errands = Vec::new();
        for _ in 0..=self.chance.below(STRANGERS_MAX) {
            let guest = self.stranger();
            let Some(request) = self.request_by(&link, &guest) else { continue };
            let message = self.request(&request);
            for to in self.some() {
                let parcels = vec![Parcel::Message(Kind::JoinRequest, message.clone())];
                let meeting = Some(link.meeting_secret.clone());
                let me = guest.clone();
                errands.push(Errand { to, me, meeting, parcels, lies: false });
            }
        }
        errands
    }

    fn request_by(&mut self, link: &JoinLink, guest: &Me) -> Option<JoinRequest> {
        let package = match self.chance.once_in(4) {
            true => self.noise(300),
            false => self.package(guest),
        };
        let name = Name::new("stranger").ok()?;
        let invite = KeyPair::from_secret(link.invite_key.clone());
        let nonce = self.bytes();
        JoinRequest::sign(
            self.held.server,
            name,
            &guest.certificate,
            package,
            nonce,
            &invite,
            &guest.device,
        )
        .ok()
    }

    fn request(&self, request: &JoinRequest) -> Vec<u8> {
        let (server, request) = (self.held.server, request.encode());
        cbor::encode(&RequestFrame { server, request })
    }
}

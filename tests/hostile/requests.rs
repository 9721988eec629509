//! Requests to be let in that nobody honest would make, and links that were altered.

use minicbor::{Decoder, Encoder};
use spacepanda::{JoinLink, ServerId, base::Secret, transport::memory::MemoryNetwork};
use spacepanda_core::state::{
    authority::{JoinRequest, Name, Operation},
    envelope::{Envelope, PayloadType},
    identity::{KeyPair, VerifiedCertificate},
    link::{Kind, Me},
    mls::{PackageUse, key_package},
};

use crate::{
    bytes::spoilt,
    puppet::{Puppet, stranger},
    scene::Scene,
    world::{Person, Place, converged, found, join, until},
};

const UNKNOWN: u8 = 0;
const INVALID: u8 = 1;

fn frame(server: ServerId, request: &[u8]) -> Vec<u8> {
    let mut e = Encoder::new(Vec::new());
    e.map(2).unwrap().u8(0).unwrap().bytes(server.as_bytes()).unwrap();
    e.u8(1).unwrap().bytes(request).unwrap();
    e.into_writer()
}

/// Sends a request; why it was refused, or that it was not.
async fn ask(puppet: &mut Puppet, server: ServerId, request: &[u8]) -> Option<u8> {
    puppet.send(Kind::JoinRequest, &frame(server, request)).await;
    let reply = puppet.next(Kind::JoinReply).await.expect("an answer");
    let mut d = Decoder::new(&reply);
    let fields = d.map().unwrap().unwrap();
    assert_eq!((d.u8().unwrap(), d.bytes().unwrap()), (0, &server.as_bytes()[..]));
    if fields == 1 {
        return None;
    }
    assert_eq!(d.u8().unwrap(), 1);
    d.u8().ok()
}

fn package(me: &Me) -> Vec<u8> {
    let seed = Secret::new([6; 32]);
    key_package(&me.device, &me.certificate, PackageUse::Once, &seed).unwrap().package
}

fn request(
    server: ServerId,
    invite: &Secret<32>,
    certificate: &VerifiedCertificate,
    package: Vec<u8>,
    device: &KeyPair,
) -> Vec<u8> {
    let (name, nonce) = (Name::new("Eve").unwrap(), [2; 16]);
    let invite = KeyPair::from_secret(invite.clone());
    let signed = JoinRequest::sign(
        server,
        name.clone(),
        certificate,
        package.clone(),
        nonce,
        &invite,
        device,
    );
    // For somebody else's certificate nobody honest signs.
    let forged = || JoinRequest {
        server,
        invite: *invite.public(),
        name,
        certificate: certificate.certificate().clone(),
        key_package: package,
        nonce,
        invite_signature: invite.sign("spacepanda-invite-v1", b"forged"),
        device_signature: device.sign("spacepanda-join-v1", b"forged"),
    };
    signed.unwrap_or_else(|_| forged()).encode()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_request_that_is_sound_in_every_part_lets_somebody_in() {
    let scene = Scene::set().await;
    let link = JoinLink::decode(&scene.link).unwrap();
    let (eve, other) = (stranger(), stranger());
    let mut puppet = scene.puppet_as(eve.clone(), Some(link.meeting_secret.clone())).await.unwrap();
    let invite = &link.invite_key;
    let sound = request(scene.server, invite, &eve.certificate, package(&eve), &eve.device);
    for spoilt in spoilt(&sound) {
        let refused = ask(&mut puppet, scene.server, &spoilt).await;
        assert_eq!(refused, Some(INVALID));
    }
    scene.check_unharmed("requests cut or altered").await;

    let elsewhere = ServerId::new([9; 32]);
    let mallory = &scene.mallory;
    let wrong = Secret::new([1; 32]);
    for (server, request, why) in [
        (elsewhere, sound.clone(), UNKNOWN),
        (
            scene.server,
            request(elsewhere, invite, &eve.certificate, package(&eve), &eve.device),
            INVALID,
        ),
        // By an invite that nobody issued.
        (
            scene.server,
            request(scene.server, &wrong, &eve.certificate, package(&eve), &eve.device),
            UNKNOWN,
        ),
        // With somebody else's certificate, key package or both, or signed by somebody else.
        (
            scene.server,
            request(scene.server, invite, &mallory.certificate, package(mallory), &eve.device),
            INVALID,
        ),
        (
            scene.server,
            request(scene.server, invite, &mallory.certificate, package(&eve), &eve.device),
            INVALID,
        ),
        (
            scene.server,
            request(scene.server, invite, &eve.certificate, package(&other), &eve.device),
            INVALID,
        ),
        (
            scene.server,
            request(scene.server, invite, &eve.certificate, package(&eve), &other.device),
            INVALID,
        ),
        (
            scene.server,
            request(scene.server, invite, &eve.certificate, vec![0xff; 400], &eve.device),
            INVALID,
        ),
    ] {
        assert_eq!(ask(&mut puppet, server, &request).await, Some(why));
    }
    scene.check_unharmed("false requests").await;

    // Those by which the others came are good for nothing more.
    let (_, entries) = scene.log(scene.control()).await;
    let mut repeated = 0;
    for entry in &entries {
        let envelope = Envelope::decode(&entry.bytes).unwrap();
        if envelope.header().payload_type == PayloadType::Authority
            && let Ok(Operation::Admit(request)) = Operation::decode(&envelope.header().payload)
        {
            ask(&mut puppet, scene.server, &request.encode()).await;
            repeated += 1;
        }
    }
    assert_eq!(repeated, 2, "Bob's and Mallory's");
    scene.check_unharmed("repeated requests").await;
    scene.check_goes_on().await;

    // Sound in every part it lets Eve in, once however often it is sent.
    for _ in 0..3 {
        assert_eq!(ask(&mut puppet, scene.server, &sound).await, None);
    }
    until("Eve is in", async || {
        let members = scene.bob.members(scene.server).await.unwrap();
        if members.len() == 4 { Ok(()) } else { Err(members) }
    })
    .await;
    converged(&[&scene.alice, &scene.bob], scene.server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_request_of_somebody_who_was_removed_lets_nobody_in_again() {
    let scene = Scene::set().await;
    let link = JoinLink::decode(&scene.link).unwrap();
    let mallory = scene.mallory.certificate.identity();
    scene.alice.remove_member(scene.server, mallory).await.unwrap();
    converged(&[&scene.alice, &scene.bob], scene.server).await;
    let (_, entries) = scene.log(scene.control()).await;
    let mut puppet = scene.puppet_as(stranger(), Some(link.meeting_secret)).await.unwrap();
    for entry in &entries {
        let envelope = Envelope::decode(&entry.bytes).unwrap();
        if let Ok(Operation::Admit(request)) = Operation::decode(&envelope.header().payload) {
            ask(&mut puppet, scene.server, &request.encode()).await;
        }
    }
    scene.check_goes_on().await;
    for node in [&scene.alice, &scene.bob] {
        let members = node.members(scene.server).await.unwrap();
        assert!(members.iter().all(|member| member.identity != mallory), "{members:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_link_leads_nowhere_and_is_in_nobodys_way() {
    let network = MemoryNetwork::new();
    let alice = Person::new(&network, "alice", Place::memory().await).open().await;
    let bob = Person::new(&network, "bob", Place::memory().await).open().await;
    let (server, channel, link) = found(&alice).await;
    let real = JoinLink::decode(&link).unwrap();
    let right = |link: &JoinLink| (link.server, *link.invite_key.expose());
    let before = alice.server_status(server).await.unwrap().state_hash;
    for spoilt in spoilt(link.as_bytes()) {
        let Ok(text) = String::from_utf8(spoilt) else { continue };
        // Whoever has the invite's key may come in, whatever else the link says.
        if JoinLink::decode(&text).is_ok_and(|read| right(&read) == right(&real)) {
            continue;
        }
        // What can be read begins a join by an invite that nobody knows.
        if let Err(error) = bob.join_server(&text).await {
            assert_eq!(error.code(), "invite.invalid");
        }
    }
    assert_eq!(alice.server_status(server).await.unwrap().state_hash, before);
    assert_eq!(alice.members(server).await.unwrap().len(), 1);
    assert_eq!(join(&bob, &link).await, (server, channel));
    converged(&[&alice, &bob], server).await;
}

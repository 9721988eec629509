//! Messages handed over to whom they are not for, and answers that lie.

use minicbor::{Decode, Encode};
use spacepanda::{
    ChannelId, MessageId, Node, ServerId, Text, Timestamp,
    base::{DeviceId, StateId, Tip, cbor},
    transport::memory::MemoryNetwork,
};
use spacepanda_core::state::{
    crdt::{Content, timeline},
    envelope::{Envelope, Header, PayloadType, VERSION, Verified, order_after},
    link::Kind,
    mls::{MessagePayload, commitment},
};

use crate::{
    frames::news,
    puppet::{Puppet, stranger, take_over},
    scene::{Scene, log},
    world::{Person, Place, converged, found, join, reads, texts, until},
};

const ASKS: u8 = 1;
const ANSWERS: u8 = 2;
const SALT: [u8; 32] = [8; 32];
const TEXT: &str = "nobody can decrypt this";

#[derive(Encode, Decode)]
#[cbor(map)]
struct Frame {
    #[n(0)]
    tag: u8,
    #[n(1)]
    server: ServerId,
    #[n(2)]
    channel: ChannelId,
    #[n(3)]
    tips: Option<Vec<Tip>>,
    #[n(4)]
    answers: Option<Vec<Answer>>,
}

#[derive(Encode, Decode, Clone)]
#[cbor(map)]
struct Answer {
    #[n(0)]
    tip: Tip,
    #[n(1)]
    handed: Option<Handed>,
}

#[derive(Encode, Decode, Clone)]
#[cbor(map)]
struct Handed {
    #[cbor(n(0), with = "minicbor::bytes")]
    salt: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    content: Vec<u8>,
}

/// The next frame of its kind with this tag.
async fn next(puppet: &mut Puppet, tag: u8) -> Frame {
    loop {
        let frame = puppet.next(Kind::HandOver).await.expect("the link stands");
        let frame: Frame = cbor::decode(&frame).unwrap();
        if frame.tag == tag {
            return frame;
        }
    }
}

async fn say(puppet: &mut Puppet, frame: &Frame) {
    puppet.send(Kind::HandOver, &cbor::encode(frame)).await;
}

/// Asks for messages; what comes of each is its content, or nothing.
async fn ask(
    puppet: &mut Puppet,
    (server, channel): (ServerId, ChannelId),
    tips: &[Tip],
) -> Vec<Option<Vec<u8>>> {
    let tips = tips.to_vec();
    let frame = Frame { tag: ASKS, server, channel, tips: Some(tips.clone()), answers: None };
    say(puppet, &frame).await;
    let answers = next(puppet, ANSWERS).await.answers.unwrap();
    assert!(answers.iter().map(|answer| answer.tip).eq(tips), "an answer for each, in order");
    answers.into_iter().map(|answer| answer.handed.map(|handed| handed.content)).collect()
}

fn content(text: &str) -> Vec<u8> {
    Content::Text { text: timeline::Text::new(text).unwrap() }.encode()
}

/// The places of all that stands in a channel, in the order of its log.
async fn tips(place: &Place, channel: ChannelId) -> Vec<Tip> {
    log(place, channel).await.1.iter().map(|entry| entry.tip()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_gets_what_is_for_them_and_nothing_else() {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", Place::memory().await);
    let mallorys = Person::new(&network, "mallory", Place::memory().await);
    let (alice, mallory) = (alices.open().await, mallorys.open().await);
    let (server, channel, link) = found(&alice).await;
    let at = (server, channel);
    alice.send_message(server, channel, "before Mallory").await.unwrap();
    join(&mallory, &link).await;
    converged(&[&alice, &mallory], server).await;
    alice.send_message(server, channel, "for Mallory").await.unwrap();
    reads(&mallory, server, channel, "for Mallory").await;
    mallory.close().await.unwrap();
    let me = take_over(&mallorys.place).await;
    let mut held = tips(&alices.place, channel).await;
    assert_eq!(held.len(), 2);
    let made_up = Tip { number: 9, ..held[0] };

    let dial = async |me, meeting| Puppet::dial(&network, "alice", me, meeting).await.unwrap();
    let mut puppet = dial(me.clone(), None).await;
    let given = ask(&mut puppet, at, &[held[0], held[1], made_up]).await;
    assert_eq!(given, [None, Some(content("for Mallory")), None]);
    // Nothing stands in another channel, and nothing of people's in the control channel.
    let elsewhere = spacepanda_core::state::authority::control_channel(&server);
    assert_eq!(ask(&mut puppet, (server, elsewhere), &held).await, [None, None]);
    let invite = spacepanda::JoinLink::decode(&link).unwrap();
    let mut outside = dial(stranger(), Some(invite.meeting_secret)).await;
    assert_eq!(ask(&mut outside, at, &held).await, [None, None]);

    alice.remove_member(server, me.certificate.identity()).await.unwrap();
    alice.send_message(server, channel, "after Mallory").await.unwrap();
    until("it is written", async || {
        held = tips(&alices.place, channel).await;
        if held.len() == 3 { Ok(()) } else { Err(held.len()) }
    })
    .await;
    assert_eq!(ask(&mut puppet, at, &held).await, [None, None, None]);
    let mut again = dial(me, None).await;
    assert_eq!(ask(&mut again, at, &held).await, [None, None, None]);
}

/// A message of Mallory's in a state that nobody ever was in.
async fn unopenable(scene: &Scene) -> Verified {
    let (held, entries) = scene.log(scene.channel).await;
    let (control, _) = scene.log(scene.control()).await;
    let sender = DeviceId::new(*scene.mallory.device.public());
    let own = held.of(&sender).next();
    let mut parents: Vec<_> = held.tips().filter(|tip| Some(*tip) != own).collect();
    let mut control: Vec<_> = control.tips().collect();
    parents.sort_unstable();
    control.sort_unstable();
    let orders = entries.iter().map(|entry| Envelope::decode(&entry.bytes).unwrap().header().order);
    let last = orders.max().unwrap();
    let timestamp = Timestamp::from_micros(last + 1);
    let payload = MessagePayload {
        id: MessageId::new([9; 16]),
        state: StateId::new([0xaa; 32]),
        commitment: commitment(&SALT, &content(TEXT)),
    };
    let header = Header {
        version: VERSION,
        channel: scene.channel,
        sender,
        sequence: own.map_or(1, |own| own.number + 1),
        previous: own.map(|own| own.id),
        parents,
        control: Some(control),
        timestamp,
        order: order_after(timestamp, [last]),
        payload_type: PayloadType::Message,
        payload: payload.encode(),
        body: None,
    };
    Verified::sign(header, Some(b"not a ciphertext".as_slice().into()), &scene.mallory.device)
        .unwrap()
}

struct Lie<'a> {
    scene: &'a Scene,
    tip: Tip,
}

impl Lie<'_> {
    fn frame(&self, tip: Tip, handed: Option<Handed>) -> Frame {
        let answers = Some(vec![Answer { tip, handed }]);
        let (server, channel) = (self.scene.server, self.scene.channel);
        Frame { tag: ANSWERS, server, channel, tips: None, answers }
    }

    fn truth(&self) -> Frame {
        self.frame(self.tip, Some(Handed { salt: SALT, content: content(TEXT) }))
    }

    fn of_another_salt(&self) -> Frame {
        self.frame(self.tip, Some(Handed { salt: [1; 32], content: content(TEXT) }))
    }

    fn lies(&self) -> Vec<Frame> {
        let truth = || Some(Handed { salt: SALT, content: content(TEXT) });
        let other = Some(Handed { salt: SALT, content: content("something else") });
        let (elsewhere, next) = (self.scene.control(), Tip { number: 99, ..self.tip });
        vec![
            self.of_another_salt(),
            self.frame(self.tip, other),
            self.frame(self.tip, Some(Handed { salt: SALT, content: Vec::new() })),
            self.frame(next, truth()),
            Frame { channel: elsewhere, ..self.truth() },
            Frame { server: ServerId::new([3; 32]), ..self.truth() },
            self.frame(self.tip, None),
            Frame { answers: Some(Vec::new()), ..self.truth() },
        ]
    }
}

async fn is_unread(scene: &Scene, node: &Node) -> Text {
    let page = node.list_messages(scene.server, scene.channel, None, 100).await.unwrap();
    let id = MessageId::new([9; 16]);
    let text = page.messages.into_iter().find(|message| message.id == id).unwrap().text;
    assert!(!matches!(text, Text::Known(_)), "{text:?}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_its_author_did_not_commit_to_changes_nothing() {
    let scene = Scene::set().await;
    let message = unopenable(&scene).await;
    let lie = Lie { scene: &scene, tip: message.tip() };
    let mut puppet = scene.puppet().await;
    say(&mut puppet, &lie.truth()).await;
    assert!(puppet.worked_off(scene.server).await);
    scene.check_unharmed("an answer that nobody asked for").await;

    puppet.send(Kind::Sync, &news(scene.channel, &[&message.encode()])).await;
    for lie in lie.lies() {
        let asked = next(&mut puppet, ASKS).await;
        assert_eq!(asked.tips, Some(vec![message.tip()]));
        say(&mut puppet, &lie).await;
        assert!(puppet.worked_off(scene.server).await);
        let text = is_unread(&scene, &scene.alice).await.to_string();
        assert!(text.contains("asked") && text.contains("mallory"), "{text}");
        // Whoever connects anew is asked anew.
        puppet = scene.puppet().await;
    }
    next(&mut puppet, ASKS).await;
    say(&mut puppet, &lie.truth()).await;
    reads(&scene.alice, scene.server, scene.channel, TEXT).await;
    scene.check_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_false_answer_the_next_holder_is_asked() {
    let scene = Scene::set().await;
    let message = unopenable(&scene).await;
    let lie = Lie { scene: &scene, tip: message.tip() };
    let mut to_alice = scene.puppet().await;
    let me = scene.mallory.clone();
    let mut to_bob = Puppet::dial(&scene.network, "bob", me, None).await.unwrap();
    to_alice.send(Kind::Sync, &news(scene.channel, &[&message.encode()])).await;
    next(&mut to_bob, ASKS).await;
    say(&mut to_bob, &lie.truth()).await;
    reads(&scene.bob, scene.server, scene.channel, TEXT).await;
    next(&mut to_alice, ASKS).await;
    say(&mut to_alice, &lie.of_another_salt()).await;
    reads(&scene.alice, scene.server, scene.channel, TEXT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_here_holds_waits_over_a_restart_until_somebody_does() {
    let scene = Scene::set().await;
    let message = unopenable(&scene).await;
    let frame = Lie { scene: &scene, tip: message.tip() }.truth();
    let mut puppet = scene.puppet().await;
    puppet.send(Kind::Sync, &news(scene.channel, &[&message.encode()])).await;
    assert!(puppet.worked_off(scene.server).await);
    drop(puppet);
    let of_bob = is_asked(&scene.alice, scene.server, "bob").await;
    assert_eq!(of_bob, 1);
    let Scene { alice, alices, network, server, channel, mallory, bob, .. } = scene;
    alice.close().await.unwrap();

    let alice = alices.open().await;
    assert_eq!(is_asked(&alice, server, "bob").await, 1);
    assert!(!texts(&alice, server, channel).await.contains(&TEXT.to_owned()));
    let mut puppet = Puppet::dial(&network, "alice", mallory, None).await.unwrap();
    next(&mut puppet, ASKS).await;
    say(&mut puppet, &frame).await;
    reads(&alice, server, channel, TEXT).await;
    let status = alice.server_status(server).await.unwrap();
    assert_eq!((status.unopened, status.asked.len()), (0, 0));
    bob.close().await.unwrap();
}

/// Waits until somebody was asked for what cannot be opened, and returns how much that is.
async fn is_asked(node: &Node, server: ServerId, name: &str) -> usize {
    until("somebody is asked", async || {
        let status = node.server_status(server).await.unwrap();
        if status.asked.iter().any(|asked| asked == name) {
            Ok(status.unopened)
        } else {
            Err(status)
        }
    })
    .await
}

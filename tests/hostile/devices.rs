//! Devices that are claimed, forged, one too many, or should be silent.

use std::collections::BTreeMap;

use spacepanda::{
    DeviceId,
    base::{Secret, Timestamp, Tip},
};
use spacepanda_core::state::{
    authority::{Name, Operation},
    envelope::{Envelope, Header, PayloadType, VERSION, Verified, order_after},
    identity::{DeviceCertificate, KeyPair},
};

use crate::{envelopes::deliver, scene::Scene, world::until};

/// What writes one envelope of the control channel after the other, each knowing all before it.
struct Pen<'a> {
    scene: &'a Scene,
    parents: Vec<Tip>,
    order: u64,
    logs: BTreeMap<DeviceId, Tip>,
}

impl<'a> Pen<'a> {
    async fn new(scene: &'a Scene) -> Self {
        let (held, entries) = scene.log(scene.control()).await;
        let headers = entries.iter().map(|entry| Envelope::decode(&entry.bytes).unwrap());
        let order = headers.map(|envelope| envelope.header().order).max().unwrap();
        let logs = held.tips().map(|tip| (tip.device, tip)).collect();
        let mut parents: Vec<_> = held.tips().collect();
        parents.sort_unstable();
        Self { scene, parents, order, logs }
    }

    fn write(&mut self, keys: &KeyPair, operation: &Operation) -> Vec<u8> {
        let sender = device(keys);
        let previous = self.logs.get(&sender).copied();
        let timestamp = Timestamp::from_micros(self.order + 1);
        let header = Header {
            version: VERSION,
            channel: self.scene.control(),
            sender,
            sequence: previous.map_or(1, |previous| previous.number + 1),
            previous: previous.map(|previous| previous.id),
            parents: self.parents.iter().copied().filter(|tip| Some(*tip) != previous).collect(),
            control: None,
            timestamp,
            order: order_after(timestamp, [self.order]),
            payload_type: PayloadType::Authority,
            payload: operation.encode(),
            body: None,
        };
        self.order = header.order;
        let made = Verified::sign(header, None, keys).unwrap();
        self.parents = vec![made.tip()];
        self.logs.insert(sender, made.tip());
        made.encode().to_vec()
    }
}

fn device(keys: &KeyPair) -> DeviceId {
    DeviceId::new(*keys.public())
}

fn keys(n: u8) -> KeyPair {
    KeyPair::from_secret(Secret::new([n; 32]))
}

/// The introduction of a device by whatever identity signs for it.
fn introduction(identity: &KeyPair, keys: &KeyPair) -> Operation {
    let made = DeviceCertificate::issue(identity, device(keys), Timestamp::from_micros(1));
    Operation::AddDevice { certificate: made.certificate().clone() }
}

fn rename(name: &str) -> Operation {
    Operation::SetNickname { target: None, name: Name::new(name).unwrap() }
}

/// Waits until both call Mallory this.
async fn called(scene: &Scene, name: &str) {
    for node in [&scene.alice, &scene.bob] {
        until("Mallory has another name", async || {
            let members = node.members(scene.server).await.unwrap();
            let found = members.iter().any(|member| member.name == name);
            if found { Ok(()) } else { Err(members) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_of_somebody_elses_or_of_nobodys_identity_is_not_let_in() {
    let scene = Scene::set().await;
    let mallory = scene.mallorys_identity().await;
    let (new, stranger) = (keys(71), keys(72));
    let Operation::AddDevice { certificate } = introduction(&mallory, &new) else { panic!() };
    let forged = Operation::AddDevice {
        certificate: DeviceCertificate { identity: scene.bob.identity(), ..certificate },
    };
    for operation in [forged, introduction(&stranger, &new), rename("Nobody"), Operation::Leave] {
        let envelope = Pen::new(&scene).await.write(&new, &operation);
        deliver(&scene, scene.control(), &[envelope]).await;
        scene.check_unharmed(&format!("{operation:?}")).await;
    }
    scene.check_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_that_the_identity_did_not_sign_revokes_nothing() {
    let scene = Scene::set().await;
    let mallory = scene.mallorys_identity().await;
    let mut pen = Pen::new(&scene).await;
    let mut envelopes = Vec::new();
    for victim in [scene.alice.device(), scene.bob.device()] {
        for signer in [&mallory, &scene.mallory.device] {
            let forged = Operation::revoke_device(signer, &scene.server, victim);
            envelopes.push(pen.write(&scene.mallory.device, &forged));
        }
    }
    envelopes.push(pen.write(&scene.mallory.device, &rename("Forger")));
    deliver(&scene, scene.control(), &envelopes).await;
    called(&scene, "Forger").await;
    scene.check_goes_on().await;
    assert_eq!(scene.alice.members(scene.server).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ninth_device_is_one_too_many() {
    let scene = Scene::set().await;
    let mallory = scene.mallorys_identity().await;
    let mut pen = Pen::new(&scene).await;
    let mut envelopes = Vec::new();
    for n in 2..=9 {
        envelopes.push(pen.write(&keys(n), &introduction(&mallory, &keys(n))));
        envelopes.push(pen.write(&keys(n), &rename(&format!("Device {n}"))));
    }
    deliver(&scene, scene.control(), &envelopes).await;
    called(&scene, "Device 8").await;
    scene.check_goes_on().await;
    called(&scene, "Device 8").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_says_nothing_more_after_its_revocation() {
    let scene = Scene::set().await;
    let mallory = scene.mallorys_identity().await;
    let (new, old) = (keys(71), &scene.mallory.device);
    let mut pen = Pen::new(&scene).await;
    let revocation = Operation::revoke_device(&mallory, &scene.server, device(old));
    let envelopes = [
        pen.write(&new, &introduction(&mallory, &new)),
        pen.write(&new, &rename("New")),
        pen.write(&new, &revocation),
        pen.write(old, &rename("Old")),
        pen.write(old, &introduction(&mallory, old)),
        pen.write(old, &Operation::revoke_device(&mallory, &scene.server, device(&new))),
        pen.write(old, &Operation::Leave),
    ];
    deliver(&scene, scene.control(), &envelopes).await;
    called(&scene, "New").await;
    scene.check_goes_on().await;
    called(&scene, "New").await;
    let members = scene.bob.members(scene.server).await.unwrap();
    assert_eq!(members.len(), 3);
}

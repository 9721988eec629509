//! The bytes of version 1, pinned.

use super::{super::*, people::*};
use crate::{
    base::{DeviceId, EnvelopeId, MessageId, StateId, Tip, cbor::CborError},
    state::envelope::hash,
};

fn hex_of(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

#[test]
fn a_root_and_a_vote_are_pinned() {
    let state = StateId::new([0xaa; 32]);
    let root = RootPayload { generation: 300, state };
    let aa = "aa".repeat(32);
    assert_eq!(hex_of(&root.encode()), format!("a20019012c015820{aa}"));
    assert_eq!(RootPayload::decode(&root.encode()), Ok(root));
    let vote = VotePayload { state };
    assert_eq!(hex_of(&vote.encode()), format!("a1005820{aa}"));
    assert_eq!(VotePayload::decode(&vote.encode()), Ok(vote));
}

#[test]
fn a_commit_is_pinned() {
    let payload = CommitPayload {
        parent: StateId::new([0xaa; 32]),
        child: StateId::new([0xbb; 32]),
        adds: vec![Addition { device: DeviceId::new([1; 32]), package: [2; 32] }],
        removes: vec![DeviceId::new([3; 32])],
    };
    let [aa, bb, one, two, three] = ["aa", "bb", "01", "02", "03"].map(|byte| byte.repeat(32));
    assert_eq!(
        hex_of(&payload.encode()),
        format!("a4005820{aa}015820{bb}0281825820{one}5820{two}03815820{three}"),
    );
    assert_eq!(CommitPayload::decode(&payload.encode()), Ok(payload));
    let body = CommitBody { commit: vec![1, 2], welcome: None };
    assert_eq!(hex_of(&body.encode()), "82420102f6");
    assert_eq!(CommitBody::decode(&body.encode()), Ok(body));
    let body = CommitBody { commit: vec![1, 2], welcome: Some(vec![3]) };
    assert_eq!(hex_of(&body.encode()), "824201024103");
    assert_eq!(CommitBody::decode(&body.encode()), Ok(body));
}

#[test]
fn a_key_package_is_pinned() {
    let (one, aa) = ("01".repeat(32), "aa".repeat(32));
    let mut payload = KeyPackagePayload {
        device: DeviceId::new([1; 32]),
        last_resort: true,
        package: vec![7, 8],
        lost: None,
    };
    assert_eq!(hex_of(&payload.encode()), format!("a3005820{one}01f502420708"));
    assert_eq!(KeyPackagePayload::decode(&payload.encode()), Ok(payload.clone()));
    payload.lost = Some(StateId::new([0xaa; 32]));
    assert_eq!(hex_of(&payload.encode()), format!("a4005820{one}01f502420708035820{aa}"));
    assert_eq!(KeyPackagePayload::decode(&payload.encode()), Ok(payload));
}

#[test]
fn a_message_is_pinned() {
    let payload = MessagePayload {
        id: MessageId::new([1; 16]),
        state: StateId::new([0xaa; 32]),
        commitment: commitment(&[5; 32], b"content"),
    };
    assert_eq!(
        payload.commitment,
        hash("spacepanda-commitment-v1", &[&[5; 32][..], b"content"].concat()),
    );
    let (one, aa) = ("01".repeat(16), "aa".repeat(32));
    let commitment = "75cc6b79adfaef03634b19ab9b591fbb92c74ce048b4f5cdec3f6c43302968cf";
    assert_eq!(hex_of(&payload.encode()), format!("a30050{one}015820{aa}025820{commitment}"));
    assert_eq!(MessagePayload::decode(&payload.encode()), Ok(payload));
    let sealed = payload::Sealed { salt: [5; 32], content: b"content".to_vec() };
    assert_eq!(
        hex_of(&crate::base::cbor::encode(&sealed)),
        format!("825820{}47636f6e74656e74", "05".repeat(32)),
    );
}

#[test]
fn the_authenticated_data_of_a_commit_are_pinned() {
    let adds = [Addition { device: DeviceId::new([1; 32]), package: [2; 32] }];
    let tip = Tip { device: DeviceId::new([4; 32]), number: 5, id: EnvelopeId::new([6; 32]) };
    let parents = Parents { parents: &[tip], control: Some(&[tip]) };
    let parent = StateId::new([0xaa; 32]);
    let elsewhere = commit_aad(&parent, &adds, &[DeviceId::new([3; 32])], parents);
    assert_eq!(
        hex_of(&elsewhere),
        "0fae722f343750c44a2060a3c00015004c6a8e964951bde4892e74e518c8aefe"
    );
    let in_control = commit_aad(&parent, &adds, &[], Parents { control: None, ..parents });
    assert_eq!(
        hex_of(&in_control),
        "b0ab8890071d0ad6eadb73119c43e96a8ec771907b3250b14fe2690f0780b331"
    );
}

#[test]
fn the_states_and_key_packages_that_a_seed_makes_are_pinned() {
    let founded = Person::new(1).found();
    assert_eq!(
        founded.state_id().to_string(),
        "c7773ec2be9f276909ae612deeba6c6bfe12dc80675ef2789742b028b3e21d4a"
    );
    assert_eq!(
        hex_of(&Person::new(2).package(9).reference),
        "1d266facc6276fddf09be60baacf24ef293b68463889725d0789434578d1d34c"
    );
}

#[test]
fn the_settings_in_the_context_are_pinned() {
    let settings = Settings { generation: 3, window_hours: 72, window_states: 16 };
    let extensions = settings.extensions(1).unwrap();
    let content = &extensions.unknown(0xF0A1).unwrap().0;
    assert_eq!(hex_of(content), "850103011848 10".replace(' ', ""));
    assert_eq!(Person::new(1).found().settings(), SETTINGS);
}

#[test]
fn lists_unsorted_doubled_or_too_long_are_refused() {
    let sound = CommitPayload {
        parent: StateId::new([1; 32]),
        child: StateId::new([2; 32]),
        adds: Vec::new(),
        removes: Vec::new(),
    };
    let addition = |byte| Addition { device: DeviceId::new([byte; 32]), package: [byte; 32] };
    let refused = |payload: &CommitPayload| {
        assert_eq!(CommitPayload::decode(&payload.encode()), Err(MlsError::List));
    };
    refused(&CommitPayload { adds: vec![addition(2), addition(1)], ..sound.clone() });
    let doubled = Addition { package: [9; 32], ..addition(1) };
    refused(&CommitPayload { adds: vec![addition(1), doubled], ..sound.clone() });
    refused(&CommitPayload { adds: (0..65).map(addition).collect(), ..sound.clone() });
    let removes = [2, 1].map(|byte| DeviceId::new([byte; 32])).to_vec();
    refused(&CommitPayload { removes, ..sound });
}

#[test]
fn bytes_of_another_form_are_refused() {
    assert_eq!(VotePayload::decode(&[]), Err(MlsError::Form(CborError::Malformed)));
    assert_eq!(VotePayload::decode(&[0xa0]), Err(MlsError::Form(CborError::Shape)));
    assert_eq!(CommitBody::decode(&[0x81, 0x40]), Err(MlsError::Form(CborError::Shape)));
    let huge = [0xa1, 0x02, 0x9b, 255, 255, 255, 255, 255, 255, 255, 255];
    assert_eq!(CommitPayload::decode(&huge), Err(MlsError::Form(CborError::Malformed)));
}

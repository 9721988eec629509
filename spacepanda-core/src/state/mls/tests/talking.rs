use super::{super::*, people::*};
use crate::state::envelope::PayloadType;

#[test]
fn who_was_added_talks_both_ways() {
    let (people, mut groups) = group_of(2);
    let (alice, bob) = (&people[0], &people[1]);
    let [of_alice, of_bob] = &mut groups[..] else { panic!("two groups") };
    assert_eq!(of_alice.state_id(), of_bob.state_id());
    assert_eq!((of_alice.epoch(), of_bob.epoch()), (1, 1));
    assert_eq!(of_bob.settings(), SETTINGS);
    assert_eq!(of_bob.devices(), [alice.device(), bob.device()]);
    assert_eq!(of_bob.leaves().unwrap(), [alice.certificate.clone(), bob.certificate.clone()]);
    let hello = alice.write(of_alice, b"hello", 20);
    assert_eq!(read(of_bob, &hello).unwrap().content, b"hello");
    let answer = bob.write(of_bob, b"hi", 21);
    let answer = read(of_alice, &answer).unwrap();
    assert_eq!((answer.content.as_slice(), answer.id.as_bytes()[0]), (&b"hi"[..], 21));
}

#[test]
fn each_sees_who_wrote_and_a_message_opens_once() {
    let (people, mut groups) = group_of(3);
    let message = people[2].write(&mut groups[2], b"from carol", 20);
    for reader in [0, 1] {
        let opened = groups[reader].decrypt(&message, &seed(1)).unwrap();
        assert_eq!(opened.origin().device, people[2].device());
        assert_eq!(opened.content().content, b"from carol");
        assert_eq!(read(&mut groups[reader], &message), Err(MlsError::Used));
    }
    assert_eq!(read(&mut groups[2], &message), Err(MlsError::Own));
}

#[test]
fn messages_open_in_any_order_within_the_tolerance() {
    let (people, mut groups) = group_of(2);
    let messages: Vec<_> =
        (0..4).map(|number| people[0].write(&mut groups[0], &[number], number)).collect();
    for number in [2, 0, 3, 1] {
        assert_eq!(read(&mut groups[1], &messages[number]).unwrap().content, [number as u8]);
    }
}

#[test]
fn a_message_far_behind_or_far_ahead_is_named_as_such() {
    let (people, mut groups) = group_of(2);
    let first = people[0].write(&mut groups[0], b"first", 1);
    for _ in 0..4_100 {
        people[0].write(&mut groups[0], b"skipped", 2);
    }
    let ahead = people[0].write(&mut groups[0], b"ahead", 3);
    assert_eq!(read(&mut groups[1], &ahead), Err(MlsError::TooNew));
    let (people, mut groups) = group_of(2);
    let behind = people[0].write(&mut groups[0], b"behind", 1);
    for _ in 0..300 {
        people[0].write(&mut groups[0], b"skipped", 2);
    }
    let newest = people[0].write(&mut groups[0], b"newest", 3);
    assert_eq!(read(&mut groups[1], &newest).unwrap().content, b"newest");
    assert_eq!(read(&mut groups[1], &behind), Err(MlsError::TooOld));
    assert_eq!(read(&mut groups[1], &first), Err(MlsError::TooOld));
}

#[test]
fn a_state_goes_on_from_its_rows() {
    let (people, mut groups) = group_of(2);
    let before = people[0].write(&mut groups[0], b"before", 20);
    read(&mut groups[1], &before).unwrap();
    let mut again: Vec<_> = groups
        .iter_mut()
        .map(|group| Group::load(round_trip(group.rows().unwrap())).unwrap())
        .collect();
    assert_eq!((again[0].epoch(), again[0].state_id()), (1, groups[0].state_id()));
    assert_eq!(read(&mut again[1], &before), Err(MlsError::Used));
    let after = people[0].write(&mut again[0], b"after", 21);
    assert_eq!(read(&mut again[1], &after).unwrap().content, b"after");
}

#[test]
fn the_changes_of_each_step_add_up_to_the_rows() {
    let (people, mut groups) = group_of(2);
    let mut kept: std::collections::BTreeMap<Vec<u8>, bytes::Bytes> = Default::default();
    let mut keep = |changes: Vec<RowChange>| {
        for RowChange { key, value } in changes {
            match value {
                Some(value) => kept.insert(key, value),
                None => kept.remove(&key),
            };
        }
        kept.clone().into_iter().collect::<Rows>()
    };
    assert_eq!(keep(groups[1].take_changes().unwrap()), groups[1].rows().unwrap());
    assert!(groups[1].take_changes().unwrap().is_empty());
    for number in 0..3 {
        let message = people[0].write(&mut groups[0], b"text", number);
        read(&mut groups[1], &message).unwrap();
        let changes = groups[1].take_changes().unwrap();
        assert_eq!(changes.len(), 1, "a message writes one row");
        assert_eq!(keep(changes), groups[1].rows().unwrap());
    }
}

#[test]
fn rows_that_lack_one_or_are_damaged_are_refused_and_never_panic() {
    let (_, mut groups) = group_of(2);
    let rows = groups[1].rows().unwrap();
    for (left_out, _) in rows.iter() {
        let fewer: Rows = rows
            .iter()
            .filter(|(key, _)| *key != left_out)
            .map(|(key, value)| (key.to_vec(), value.clone()))
            .collect();
        let loaded = Group::load(fewer);
        assert!(loaded.is_err() || left_out.starts_with(b"epoch-keys"), "{left_out:?}");
        let damaged: Rows = rows
            .iter()
            .map(|(key, value)| {
                let value =
                    if key == left_out { value.slice(..value.len() / 2) } else { value.clone() };
                (key.to_vec(), value)
            })
            .collect();
        let loaded = Group::load(damaged);
        assert!(loaded.is_err() || left_out.starts_with(b"epoch-keys"), "{left_out:?}");
    }
}

#[test]
fn a_package_made_before_a_restart_opens_a_welcome_after_it() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let mut made = bob.package(9);
    let sent = alice.commit(&alice.found(), &adding(&[&made]), 2);
    made.private = round_trip(made.private);
    let mut of_bob = enter(&sent, &made);
    let mut of_alice = sent.group;
    let hello = alice.write(&mut of_alice, b"hello", 20);
    assert_eq!(read(&mut of_bob, &hello).unwrap().content, b"hello");
    assert!(made.private.iter().all(|(key, _)| of_bob.rows().unwrap().get(key).is_none()));
}

#[test]
fn one_package_opens_the_welcomes_of_two_branches() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    for package_use in [PackageUse::Once, PackageUse::LastResort] {
        let made = key_package(&bob.keys, &bob.certificate, package_use, &seed(9)).unwrap();
        let founded = alice.found();
        let first = alice.commit(&founded, &adding(&[&made]), 2);
        let renewed = alice.commit(&founded, &Change::default(), 3);
        let second = alice.commit(&renewed.group, &adding(&[&made]), 4);
        let private = made.private.clone();
        assert_ne!(enter(&first, &made).state_id(), enter(&second, &made).state_id());
        assert_eq!(made.private, private);
    }
}

#[test]
fn a_state_is_looked_at_before_it_is_entered() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let made = bob.package(9);
    let sent = alice.commit(&alice.found(), &adding(&[&made]), 2);
    let (welcome, tree) = (sent.welcome.unwrap(), sent.group.tree().unwrap());
    let joined = join(&welcome, &tree, &made.private, &seed(1)).unwrap();
    assert_eq!(joined.state_id(), sent.payload.child);
    assert_eq!((joined.group_id(), joined.settings()), (&b"a group"[..], SETTINGS));
    assert_eq!(joined.sender(), alice.device());
    assert_eq!(joined.leaves(), [alice.certificate.clone(), bob.certificate.clone()]);
    assert!(joined.enter().is_active());
}

#[test]
fn a_welcome_is_for_the_packages_it_was_made_for() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let (made, other) = (bob.package(9), bob.package(10));
    let sent = alice.commit(&alice.found(), &adding(&[&made]), 2);
    let welcome = sent.welcome.unwrap();
    assert!(welcome_is_for(&welcome, &made.reference));
    assert!(!welcome_is_for(&welcome, &other.reference));
    assert!(!welcome_is_for(&welcome[..9], &made.reference));
    let tree = sent.group.tree().unwrap();
    let joined = join(&welcome, &tree, &other.private, &seed(1));
    assert_eq!(joined.map(|_| ()), Err(MlsError::NotForMe));
}

#[test]
fn two_devices_in_one_process_never_see_each_others_rows() {
    let (people, mut groups) = group_of(2);
    let secret = |group: &mut Group, label: &[u8]| {
        let rows = group.rows().unwrap();
        rows.iter().find(|(key, _)| key.starts_with(label)).map(|(_, value)| value.clone())
    };
    assert_ne!(
        secret(&mut groups[0], b"own-leaf-index"),
        secret(&mut groups[1], b"own-leaf-index")
    );
    let mut of_bob = groups[1].copy().unwrap();
    let id = crate::base::MessageId::new([1; 16]);
    let as_alice = of_bob.encrypt(&people[0].keys, &CHANNEL, b"text", id, &seed(1));
    assert_eq!(as_alice, Err(MlsError::WrongSender));
    let as_alice = of_bob.build(&people[0].keys, &Change::default(), NO_PARENTS, &seed(1));
    assert_eq!(as_alice.map(|_| ()), Err(MlsError::WrongSender));
}

#[test]
fn the_same_seed_makes_the_same_bytes() {
    let make = || {
        let (alice, bob, carol) = (Person::new(1), Person::new(2), Person::new(3));
        let packages = [bob.package(9), carol.package(9)];
        let added = alice.commit(&alice.found(), &adding(&[&packages[0], &packages[1]]), 2);
        let mut removed = alice.commit(&added.group, &removing(&[&bob]), 3);
        let message = alice.write(&mut removed.group, b"text", 4);
        let envelopes = [added.envelope, removed.envelope, message].map(|sent| sent.encode());
        (packages, added.welcome, envelopes, removed.payload)
    };
    assert_eq!(make(), make());
}

#[test]
fn another_seed_makes_other_bytes() {
    let alice = Person::new(1);
    let founded = alice.found();
    let [a, b] = [2, 3].map(|number| alice.commit(&founded, &Change::default(), number).payload);
    assert_eq!(a.parent, b.parent);
    assert_ne!(a.child, b.child);
}

#[test]
fn padding_hides_how_long_a_short_message_is() {
    let (people, mut groups) = group_of(2);
    let len = |content: &[u8], groups: &mut Vec<Group>| {
        people[0].write(&mut groups[0], content, 1).body().unwrap().len()
    };
    assert_eq!(len(b"a longer text", &mut groups), len(b"a text that is longer", &mut groups));
}

#[test]
fn only_a_message_is_decrypted_and_only_a_commit_is_staged() {
    let (people, mut groups) = group_of(2);
    let vote = people[0].envelope(PayloadType::Vote, Vec::new(), None);
    assert_eq!(read(&mut groups[1], &vote), Err(MlsError::Malformed("message")));
    let staged = groups[1].stage(&vote, &seed(1));
    assert_eq!(staged.map(|_| ()), Err(MlsError::Malformed("commit")));
}

fn round_trip(rows: Rows) -> Rows {
    rows.iter().map(|(key, value)| (key.to_vec(), bytes::Bytes::copy_from_slice(value))).collect()
}

#[test]
fn messages_opened_before_their_secrets_are_written_stay_opened_when_one_is_refused() {
    let (people, mut groups) = group_of(3);
    let messages: Vec<_> =
        (0..70).map(|number| people[0].write(&mut groups[0], b"text", number)).collect();
    let (payload, body) = (messages[69].header().payload.clone(), messages[69].body().cloned());
    let stolen = people[1].envelope(PayloadType::Message, payload, body.map(|body| body.to_vec()));
    for message in &messages[..69] {
        read(&mut groups[2], message).unwrap();
        assert_eq!(read(&mut groups[2], &stolen), Err(MlsError::WrongSender));
    }
    assert_eq!(read(&mut groups[2], &messages[68]), Err(MlsError::Used));
    let answer = people[2].write(&mut groups[2], b"answer", 80);
    assert_eq!(read(&mut groups[2], &stolen), Err(MlsError::WrongSender));
    assert_eq!(read(&mut groups[2], &messages[0]), Err(MlsError::Used));
    let second = people[2].write(&mut groups[2], b"second", 81);
    let mut again = groups[2].copy().unwrap();
    assert_eq!(read(&mut groups[2], &messages[69]).unwrap().content, b"text");
    for answer in [&answer, &second] {
        assert!(read(&mut groups[1], answer).is_ok());
    }
    // A state that was not written since is as it was when it last was.
    assert_eq!(read(&mut again, &messages[69]).unwrap().content, b"text");
}

use super::{super::*, people::*};
use crate::state::{
    authority::{Act, Authorized, Need, ProposalFacts},
    envelope::PayloadType,
};

#[test]
fn an_addition_has_no_path_and_a_removal_has_one() {
    let (people, groups) = group_of(3);
    let dave = Person::new(4);
    let package = dave.package(9);
    let alice = &people[0];
    let add = groups[0].build(&alice.keys, &adding(&[&package]), NO_PARENTS, &seed(1)).unwrap();
    assert!(add.facts().path.is_none());
    assert_eq!(add.facts().sender, Some(alice.device()));
    let [ProposalFacts::Add(leaf)] = &add.facts().proposals[..] else { panic!("one addition") };
    assert_eq!(leaf.certificate.as_ref(), Some(&dave.certificate));
    assert!(leaf.endless && leaf.capable);
    assert_eq!(add.facts().need(), Need::Commit(add.facts().clone()));
    let change = removing(&[&people[2]]);
    let remove = groups[0].build(&alice.keys, &change, NO_PARENTS, &seed(1)).unwrap();
    let path = remove.facts().path.as_ref().unwrap();
    assert_eq!(path.certificate.as_ref(), Some(&alice.certificate));
    assert_eq!(remove.facts().proposals, [ProposalFacts::Remove(people[2].device())]);
    assert_eq!((remove.facts().suite, remove.facts().version), (3, GROUP_VERSION));
}

#[test]
fn author_and_receivers_read_the_same_facts_off_a_commit() {
    let (people, groups) = group_of(3);
    let newcomers = [Person::new(4), Person::new(5)];
    let packages = newcomers.each_ref().map(|person| person.package(9));
    let change =
        Change { removes: vec![people[1].device()], ..adding(&[&packages[0], &packages[1]]) };
    let built = groups[0].build(&people[0].keys, &change, NO_PARENTS, &seed(3)).unwrap();
    let facts = built.facts().clone();
    let (adds, removes) = built.lists();
    assert_eq!((adds.len(), removes), (2, &[people[1].device()][..]));
    let Merged { payload, body, .. } = people[0].merge(built);
    let sent = people[0].envelope(PayloadType::Commit, payload.encode(), Some(body.encode()));
    for group in &groups[1..] {
        let (opened, staged) = group.stage(&sent, &seed(1)).unwrap();
        assert_eq!((opened.content(), staged.facts()), (&facts, &facts));
        assert_eq!(opened.origin(), &people[0].origin());
    }
}

#[test]
fn a_removed_member_opens_nothing_that_follows() {
    let (people, groups) = group_of(3);
    let sent = people[0].commit(&groups[0], &removing(&[&people[2]]), 3);
    let mut of_alice = sent.group;
    let mut of_bob = follow(&groups[1], &sent.envelope).unwrap();
    let (opened, staged) = groups[2].stage(&sent.envelope, &seed(1)).unwrap();
    assert!(staged.removes_me());
    let mut of_carol = staged.merge(allowed(opened)).unwrap();
    assert!(!of_carol.is_active());
    assert_eq!(of_carol.state_id(), sent.payload.child);
    let message = people[0].write(&mut of_alice, b"without carol", 20);
    assert_eq!(read(&mut of_bob, &message).unwrap().content, b"without carol");
    assert_eq!(read(&mut of_carol, &message), Err(MlsError::Inactive));
    let mut before = groups[2].copy().unwrap();
    assert_eq!(read(&mut before, &message), Err(MlsError::WrongState));
    let id = crate::base::MessageId::new([1; 16]);
    let write = of_carol.encrypt(&people[2].keys, &CHANNEL, b"text", id, &seed(1));
    assert_eq!(write, Err(MlsError::Inactive));
    assert!(!Group::load(of_carol.rows().unwrap()).unwrap().is_active());
}

#[test]
fn a_leaf_is_renewed_by_a_commit_of_nothing_else() {
    let (people, groups) = group_of(3);
    let sent = people[1].commit(&groups[1], &Change::default(), 3);
    let mut of_carol = follow(&groups[2], &sent.envelope).unwrap();
    let mut of_bob = sent.group;
    let message = people[1].write(&mut of_bob, b"renewed", 20);
    assert_eq!(read(&mut of_carol, &message).unwrap().content, b"renewed");
}

#[test]
fn a_device_is_removed_and_added_again_in_one_commit() {
    let (people, groups) = group_of(3);
    let package = people[2].package(77);
    let change = Change { removes: vec![people[2].device()], ..adding(&[&package]) };
    let sent = people[0].commit(&groups[0], &change, 3);
    let mut again = enter(&sent, &package);
    let mut of_bob = follow(&groups[1], &sent.envelope).unwrap();
    let message = people[2].write(&mut again, b"back", 20);
    assert_eq!(read(&mut of_bob, &message).unwrap().content, b"back");
    assert!(!follow(&groups[2], &sent.envelope).unwrap().is_active());
}

#[test]
fn two_branches_of_one_parent_are_kept_apart() {
    let (people, mut groups) = group_of(3);
    let dave = Person::new(4);
    let package = dave.package(9);
    let rows = groups[2].rows().unwrap();
    let a = people[0].commit(&groups[0], &adding(&[&package]), 3);
    let b = people[1].commit(&groups[1], &Change::default(), 4);
    let mut on_a = follow(&groups[2], &a.envelope).unwrap();
    let mut on_b = follow(&groups[2], &b.envelope).unwrap();
    assert_eq!((on_a.epoch(), on_b.epoch()), (2, 2));
    assert_ne!(on_a.state_id(), on_b.state_id());
    assert_eq!(groups[2].rows().unwrap(), rows, "the parent is untouched");
    let (mut of_alice, mut of_bob) = (a.group, b.group);
    let to_a = people[0].write(&mut of_alice, b"on a", 20);
    let to_b = people[1].write(&mut of_bob, b"on b", 21);
    assert_eq!(read(&mut on_a, &to_b), Err(MlsError::WrongState));
    assert_eq!(read(&mut on_a, &to_a).unwrap().content, b"on a");
    assert_eq!(read(&mut on_b, &to_b).unwrap().content, b"on b");
    // The other branch is still reached after one's own commit, and again from stored rows.
    let b_again = follow(&Group::load(rows).unwrap(), &b.envelope).unwrap();
    assert_eq!(b_again.state_id(), on_b.state_id());
    assert_eq!(follow(&groups[0], &b.envelope).unwrap().state_id(), on_b.state_id());
}

#[test]
fn ones_own_commit_leaves_its_parent_and_cannot_be_staged_if_it_has_a_path() {
    let (people, mut groups) = group_of(2);
    let rows = groups[0].rows().unwrap();
    let renewed = people[0].commit(&groups[0], &Change::default(), 3);
    assert_eq!(groups[0].rows().unwrap(), rows);
    assert_eq!(follow(&groups[0], &renewed.envelope).map(|_| ()), Err(MlsError::Own));
    let package = Person::new(3).package(9);
    let added = people[0].commit(&groups[0], &adding(&[&package]), 3);
    assert_eq!(follow(&groups[0], &added.envelope).unwrap().state_id(), added.payload.child);
    let message = people[0].write(&mut groups[0], b"still here", 20);
    assert_eq!(read(&mut groups[1], &message).unwrap().content, b"still here");
}

#[test]
fn a_commit_staged_or_built_and_not_merged_leaves_nothing() {
    let (people, mut groups) = group_of(2);
    groups.iter_mut().for_each(|group| drop(group.take_changes().unwrap()));
    let rows: Vec<_> = groups.iter_mut().map(|group| group.rows().unwrap()).collect();
    let sent = people[0].commit(&groups[0], &Change::default(), 3);
    drop(groups[1].stage(&sent.envelope, &seed(1)).unwrap());
    drop(groups[0].build(&people[0].keys, &Change::default(), NO_PARENTS, &seed(5)).unwrap());
    for (group, rows) in groups.iter_mut().zip(rows) {
        assert_eq!(group.rows().unwrap(), rows);
        assert!(group.take_changes().unwrap().is_empty());
    }
}

#[test]
fn a_merge_takes_only_what_was_authorized() {
    let (people, groups) = group_of(2);
    let sent = people[0].commit(&groups[0], &Change::default(), 3);
    let (opened, staged) = groups[1].stage(&sent.envelope, &seed(1)).unwrap();
    let (mut origin, mut facts) = opened.into_parts();
    origin.device = people[1].device();
    let elsewhere = Authorized::in_test(origin.clone(), facts.clone());
    assert_eq!(staged.merge(elsewhere).map(|_| ()), Err(MlsError::NotAuthorized));
    origin.device = people[0].device();
    facts.path = None;
    let other = Authorized::in_test(origin, facts);
    let (_, staged) = groups[1].stage(&sent.envelope, &seed(1)).unwrap();
    assert_eq!(staged.merge(other.clone()).map(|_| ()), Err(MlsError::NotAuthorized));
    let built = groups[1].build(&people[1].keys, &Change::default(), NO_PARENTS, &seed(5)).unwrap();
    assert_eq!(built.merge(other).map(|_| ()), Err(MlsError::NotAuthorized));
}

#[test]
fn a_new_state_is_taken_whole() {
    let (people, groups) = group_of(2);
    let mut sent = people[0].commit(&groups[0], &Change::default(), 3);
    let mut followed = follow(&groups[1], &sent.envelope).unwrap();
    for group in [&mut sent.group, &mut followed] {
        let changes = group.take_changes().unwrap();
        let rows: Rows =
            changes.into_iter().map(|change| (change.key, change.value.unwrap())).collect();
        assert_eq!(rows, group.rows().unwrap());
        assert_eq!(Group::load(rows).unwrap().state_id(), sent.payload.child);
    }
}

#[test]
fn sixty_four_are_added_at_once_and_not_one_more() {
    let alice = Person::new(1);
    let people: Vec<_> = (2..=66).map(Person::new).collect();
    let packages: Vec<_> = people.iter().map(|person| person.package(9)).collect();
    let founded = alice.found();
    let all = adding(&packages.iter().collect::<Vec<_>>());
    let built = founded.build(&alice.keys, &all, NO_PARENTS, &seed(1));
    assert_eq!(built.map(|_| ()), Err(MlsError::List));
    let sent = alice.commit(&founded, &adding(&packages[..64].iter().collect::<Vec<_>>()), 2);
    assert_eq!(sent.payload.adds.len(), 64);
    assert_eq!(CommitPayload::decode(&sent.payload.encode()), Ok(sent.payload.clone()));
    let last = people.iter().position(|p| p.device() == sent.payload.adds[63].device).unwrap();
    assert_eq!(enter(&sent, &packages[last]).devices().len(), 65);
}

#[test]
fn what_makes_no_commit_is_named() {
    let (people, groups) = group_of(2);
    let alice = &people[0];
    let build = |change: &Change| {
        groups[0].build(&alice.keys, change, NO_PARENTS, &seed(1)).map(|_| ()).unwrap_err()
    };
    let stranger = Person::new(9);
    assert_eq!(build(&removing(&[&stranger])), MlsError::UnknownDevice(stranger.device()));
    assert_eq!(build(&removing(&[&people[1], &people[1]])), MlsError::List);
    assert!(matches!(build(&removing(&[alice])), MlsError::Library(_)));
    let package = stranger.package(9);
    assert_eq!(build(&adding(&[&package, &package])), MlsError::List);
    assert!(matches!(build(&adding(&[&people[1].package(8)])), MlsError::Library(_)));
    let garbage = Change { adds: vec![b"garbage".to_vec()], ..Change::default() };
    assert_eq!(build(&garbage), MlsError::Malformed("key package"));
}

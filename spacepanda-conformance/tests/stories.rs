//! Stories of groups in virtual time, each told to its end: everybody is in one group and talks, nothing
//! that was accepted is lost, and a newcomer comes in, also 90 days later.

use spacepanda_conformance::sim::{Plan, Totals, World, run_caught};

fn plan(story: &str) -> Plan {
    story.parse().expect("the story is a plan")
}

/// What people are told in a story of one kind of event, in order.
fn events(story: &str, of: &str) -> Vec<String> {
    let plan = plan(story);
    let (mut told, event) = (Vec::new(), format!("Event({of}"));
    let mut watch =
        |line: &str| told.extend(line.split_once(&event).map(|(_, what)| what.to_owned()));
    let ran = World::builder(&plan).watch(&mut watch).run();
    ran.unwrap_or_else(|violation| panic!("{violation}\n{plan}"));
    told
}

fn told(story: &str) -> Totals {
    let plan = plan(story);
    match run_caught(&plan) {
        Ok(outcome) => outcome.totals,
        Err(violation) => panic!("{violation}\n{plan}"),
    }
}

#[test]
fn a_group_starts_over_once_where_nobody_is_left_who_stands_on_its_head() {
    let totals = told(include_str!("../stories/start_over.txt"));
    assert_eq!((totals.restarts, totals.lost), (1, 0), "{totals:?}");
    assert!(totals.pleas >= 6, "three pleas of each of two members: {totals:?}");
}

#[test]
fn who_slept_through_a_start_over_is_in_by_their_last_resort_package_and_renews_their_leaf() {
    let totals = told(include_str!("../stories/last_resort.txt"));
    assert_eq!((totals.restarts, totals.lost), (1, 0), "{totals:?}");
    // Three pleas of each of the two who were awake, none of the third.
    assert_eq!((totals.pleas, totals.last_resorts_renewed), (6, 1), "{totals:?}");
}

#[test]
fn a_key_package_whose_first_addition_lost_a_race_opens_the_next_welcome() {
    let totals = told(include_str!("../stories/lost_race.txt"));
    assert_eq!(totals.lost, 0, "{totals:?}");
    assert!(totals.packages_reused >= 1 && totals.switches >= 1, "{totals:?}");
}

#[test]
fn a_clock_that_is_set_back_renews_a_leaf_once() {
    let totals = told(include_str!("../stories/clock_set_back.txt"));
    assert!(totals.commits <= 16, "a leaf is renewed over and over: {totals:?}");
}

#[test]
fn a_founder_whose_copy_knows_nobody_is_found_by_those_who_knew_them() {
    let totals = told(include_str!("../stories/alone_in_a_copy.txt"));
    // Alone, as it seems, they have begun a group anew, which all come over to.
    assert_eq!((totals.rollbacks, totals.lost, totals.restarts), (1, 0, 1), "{totals:?}");
}

#[test]
fn whoever_was_let_in_again_and_does_not_know_it_hears_it() {
    let totals = told(include_str!("../stories/let_in_unheard.txt"));
    assert_eq!((totals.rollbacks, totals.lost), (1, 0), "{totals:?}");
}

#[test]
fn a_copy_that_runs_beside_its_original_ends_both_until_one_is_a_new_device() {
    let totals = told(include_str!("../stories/cloned.txt"));
    assert_eq!((totals.clones, totals.lost), (1, 0), "{totals:?}");
}

#[test]
fn whoever_lacks_what_nobody_holds_any_more_is_told_whose_words_they_are() {
    let told = events(include_str!("../stories/gap.txt"), "Missing");
    // Once as it was found, and once as that node had started again.
    let of_the_author = |event: &String| event.contains(r#"of: ["p1"]"#);
    assert!(told.len() == 2 && told.iter().all(of_the_author), "{told:?}");
}

#[test]
fn whoever_is_left_behind_is_told_what_the_group_waits_for_and_that_it_is_whole_again() {
    let told = events(include_str!("../stories/come_back.txt"), "Healing");
    let says = |what: &str| told.iter().any(|event| event.contains(what));
    assert!(says(r#"Some("waiting for a member who is on the chosen branch")"#), "{told:?}");
    assert!(told.last().is_some_and(|event| event.contains("waiting: None")), "{told:?}");
}

/// 2 is let in while a disk has trouble, and 1 writes all the while.
fn troubled(trouble: &str) -> String {
    let mut plan = format!(
        "spacepanda-sim plan 1\nseed 7\nprofile calm\nnodes 3\n500 join 1 0\n4000 say 1\n\
         5000 join 2 0\n{trouble}\n"
    );
    for at in (5_000..12_000).step_by(250) {
        plan += &format!("{at} say 1\n");
    }
    plan + "15000 say 2\n"
}

#[test]
fn everybody_has_everything_when_a_disk_stalls_while_somebody_is_let_in() {
    for whose in [0, 1] {
        for from_ms in (5_000..7_000).step_by(200) {
            let totals = told(&troubled(&format!("{from_ms} stall {whose} 6000")));
            let held = (totals.lost, totals.unread, totals.messages >= 30);
            assert_eq!(held, (0, 0, true), "the disk of {whose} from {from_ms} ms: {totals:?}");
        }
    }
}

#[test]
fn everybody_has_everything_when_a_disk_cannot_be_read_while_somebody_is_let_in() {
    for whose in [0, 1, 2] {
        for at_ms in (5_000..7_000).step_by(100) {
            let totals = told(&troubled(&format!("{at_ms} failload {whose}")));
            let held = (totals.lost, totals.unread, totals.messages >= 20, totals.failed_loads);
            assert_eq!(held, (0, 0, true, 1), "the disk of {whose} at {at_ms} ms: {totals:?}");
        }
    }
}

//! Partitions, races, stale commits, removals and a hostile member, until everything is quiet.

#![allow(clippy::unwrap_used)]

mod facts;
mod reconcile;
mod world;

use std::collections::BTreeSet;

use facts::Said;
use world::{Draft, World, name};

use super::{View, fixture::*};
use crate::base::{IdentityId, StateId};

const SEEDS: u64 = 300;
const ROUNDS_MAX: usize = 200;
const MEMBERS_MAX: usize = 9;

#[test]
fn honest_members_end_at_one_head_with_the_right_roster() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 5);
        trouble(&mut world);
        heal(&mut world, seed);
        assert_one_group(&world, seed);
    }
}

#[test]
fn a_hostile_member_who_forges_withholds_and_forks_splits_nobody() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 6);
        world.members[5].hostile = true;
        trouble(&mut world);
        heal(&mut world, seed);
        assert_one_group(&world, seed);
    }
}

#[test]
fn a_lone_member_with_thirty_stale_commits_moves_nobody() {
    for seed in 0..20 {
        let mut world = World::new(seed, 5);
        (0..10).for_each(|n| update(&mut world, 1 + n % 3));
        connect(&mut world, &[0, 1, 2, 3]);
        let head = world.members[1].chosen.clone().unwrap();
        for commits in [1, 30] {
            (0..commits).for_each(|_| update(&mut world, 4));
            heal(&mut world, seed);
            let path = &world.members[1].chosen.as_ref().unwrap().path;
            assert_eq!(path[..head.path.len()], head.path[..], "seed {seed}, {commits} commits");
        }
        assert_one_group(&world, seed);
    }
}

fn trouble(world: &mut World) {
    for _ in 0..30 + world.below(40) {
        let (one, other) = (world.below(world.members.len()), world.below(world.members.len()));
        match world.below(10) {
            0 => {
                (0..world.members.len()).for_each(|member| world.partition[member] = world.below(3))
            }
            1..=4 if world.partition[one] == world.partition[other] => world.sync(one, other),
            5 => admit(world, one),
            6 if world.below(3) == 0 => ban(world),
            7 => (0..1 + world.below(3)).for_each(|_| update(world, one)),
            8 if world.members.iter().any(|member| member.hostile) => attack(world, 5),
            _ => {
                take_turns(world, world.partition[one], true);
            }
        }
    }
}

/// Who is in admits somebody new, who is told of nothing yet.
fn admit(world: &mut World, by: usize) {
    let entitled = !world.eyes(by).is_out(&world.members[by].identity);
    if entitled && world.members.len() < MEMBERS_MAX {
        let newcomer = person(&name(world.members.len()));
        world.arrive();
        world.write(by, |_| Said::Admit(newcomer));
    }
}

/// The founder bans somebody, two at most, never those who keep the honest majority.
fn ban(world: &mut World) {
    let target = 3 + world.below(world.members.len() - 3);
    let banned = world.facts.all.iter().filter(|fact| matches!(fact.said, Said::Ban(_))).count();
    let target = world.members[target].identity;
    if banned < 2 && !world.eyes(0).is_out(&target) {
        world.write(0, |_| Said::Ban(target));
        world.settle(0);
    }
}

/// A leaf update at one's stand, wherever that is.
fn update(world: &mut World, by: usize) {
    let member = &world.members[by];
    let Some(stand) = &member.stand else { return };
    let head = stand.head;
    let again = member.tree.commits_on(&head).iter().any(|it| it.identity == member.identity);
    if !again && !world.eyes(by).is_out(&member.identity) {
        world.commit(by, head, Draft::default());
        world.settle(by);
    }
}

fn attack(world: &mut World, by: usize) {
    let Some(stand) = world.members[by].stand.as_ref().map(|stand| stand.head) else { return };
    let somewhere = any_state(world, by);
    let victim = device(&name(world.below(5)));
    let evict = Draft { removes: vec![victim], invalid: true, ..Draft::default() };
    let withheld = world.below(2) == 0;
    match world.below(6) {
        0 => world.commit(by, stand, evict),
        1 => world.commit(by, somewhere, Draft { withheld, ..evict }),
        2 => world.commit(by, stand, Draft { withheld: true, ..Draft::default() }),
        3 => {
            let claimed = Some(any_state(world, by));
            world.commit(by, somewhere, Draft { claimed, blind: withheld, ..evict })
        }
        4 => {
            let newcomer = addition(&name(world.members.len() - 1));
            let garbage = Draft { adds: vec![newcomer], invalid: true, ..Draft::default() };
            world.commit(by, stand, garbage)
        }
        _ => {
            world.commit(by, stand, Draft::default());
            world.commit(by, stand, Draft::default())
        }
    };
    world.settle(by);
}

fn any_state(world: &mut World, known_to: usize) -> StateId {
    let states: Vec<StateId> = world.members[known_to].kept.iter().copied().collect();
    states[world.below(states.len())]
}

/// Each in turn reconciles; the others mostly hear of it before their turn.
fn take_turns(world: &mut World, partition: usize, races: bool) -> bool {
    let turns = world.turns(partition);
    let mut acted = false;
    for member in turns.clone() {
        if world.reconcile(member) {
            acted = true;
            if !races {
                return true;
            }
            if world.below(4) != 0 {
                turns.iter().for_each(|other| world.sync(member, *other));
            }
        }
    }
    acted
}

fn connect(world: &mut World, members: &[usize]) {
    for _ in 0..2 {
        for one in members {
            members.iter().for_each(|other| world.sync(*one, *other));
        }
    }
}

/// Everybody meets everybody until nobody has anything left to say.
fn heal(world: &mut World, seed: u64) {
    world.partition.iter_mut().for_each(|partition| *partition = 0);
    for _ in 0..ROUNDS_MAX {
        let said = world.facts.all.len();
        let mut everybody: Vec<usize> = (0..world.members.len()).collect();
        (0..everybody.len()).for_each(|at| everybody.swap(at, world.below(at + 1)));
        connect(world, &everybody);
        let acted = take_turns(world, 0, false);
        if !acted && world.facts.all.len() == said {
            return;
        }
    }
    panic!("seed {seed}: still not quiet after {ROUNDS_MAX} rounds");
}

fn assert_one_group(world: &World, seed: u64) {
    let due = world.eyes(0).members();
    let head = world.members[0].chosen.as_ref().unwrap().head;
    for (number, member) in world.members.iter().enumerate() {
        if member.hostile || !due.contains(&member.identity) {
            continue;
        }
        let chosen = member.chosen.as_ref().map(|chosen| chosen.head);
        assert_eq!(chosen, Some(head), "seed {seed}: the head of member {number}");
        let stand = member.stand.as_ref().map(|stand| stand.head);
        assert_eq!(stand, Some(head), "seed {seed}: the stand of member {number}");
        let roster = &member.chosen.as_ref().unwrap().roster;
        let roster: BTreeSet<IdentityId> = roster.values().copied().collect();
        assert_eq!(roster, due, "seed {seed}: the roster that member {number} sees");
    }
}

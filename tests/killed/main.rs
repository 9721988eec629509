//! Whoever is killed, and whenever: what was accepted is there once, at everybody entitled to it.
//!
//! `SPACEPANDA_KILLS` says how often somebody is killed at random, `SPACEPANDA_SEED` in which order; the
//! processes' own pace is nobody's, so that a seed plays the same hand against another game.
#![allow(clippy::unwrap_used)]

mod chance;
mod checks;
mod guest;
mod moments;
mod mortal;
mod person;
#[path = "../process/mod.rs"]
mod process;
mod story;
#[path = "../world/mod.rs"]
mod world;

use std::{
    env,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use story::Story;

/// Kills where nobody says how many.
const KILLS: u64 = 8;

#[tokio::test]
async fn whoever_is_killed_at_random_moments_no_word_is_lost_or_said_twice() {
    let kills = number("SPACEPANDA_KILLS").unwrap_or(KILLS);
    let seed = number("SPACEPANDA_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    });
    let begun = Instant::now();
    println!("{kills} kills, SPACEPANDA_SEED={seed}");
    let mut story = Story::begin(seed);
    for _ in 0..kills {
        story.round();
    }
    let killing = begun.elapsed();
    story.come_to_rest();
    checks::all_is_well(&mut story);
    checks::no_log_has_forked(&mut story).await;
    println!(
        "{kills} kills in {killing:.1?}, over {} lines without an answer; {} guests; all well after {:.1?}",
        story.unanswered,
        story.guests,
        begun.elapsed()
    );
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

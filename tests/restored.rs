//! A data folder that is restored from a copy, over real processes and QUIC.
#![allow(clippy::unwrap_used)]

mod process;

use std::{fs, path::Path};

use process::{Chat, converge};
use tempfile::tempdir;

#[test]
fn yesterdays_folder_says_so_and_comes_in_again_as_another_device_and_a_killed_node_goes_on() {
    let (alices, bobs, copy) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let mut alice = Chat::start("Alice", alices.path());
    let mut bob = Chat::start("Bob", bobs.path());
    alice.ask("/server create Pandas");
    let link = alice.ask("/invite")["link"].as_str().unwrap().to_owned();
    bob.ask(&format!("/join {link}"));
    hear(&mut alice, &mut bob, "yesterday");
    alice.quit();
    copy_folder(alices.path(), copy.path());

    let mut alice = Chat::start("Alice", alices.path());
    hear(&mut alice, &mut bob, "today");
    // What is kept outside lags when a node is killed, and that is no reason for doubt.
    alice.kill();
    let mut alice = Chat::start("Alice", alices.path());
    assert_eq!(alice.ask("/status")["continuity"], "sure");
    hear(&mut alice, &mut bob, "tonight");
    let old = alice.ask("/status")["device"].clone();
    alice.kill();

    let state = tempdir().unwrap();
    let elsewhere = ["--state", state.path().to_str().unwrap()];
    let mut alice = Chat::start_with("Alice", copy.path(), &elsewhere);
    let told = alice.event("continuity", |event| event["continuity"] == "rolled_back");
    let why = told["message"].as_str().unwrap();
    assert!(why.contains("older than what this device has already sent"), "{why}");
    let status = alice.until("/status", |status| status["device"] != old);
    assert_eq!(status["gave_up"], old);
    hear(&mut alice, &mut bob, "once more");
    hear(&mut bob, &mut alice, "welcome back");
    alice.ask("/channel create games");
    for person in [&mut alice, &mut bob] {
        let all = ["yesterday", "today", "tonight", "once more", "welcome back"];
        person.reads(&all);
    }
    converge(&mut [&mut alice, &mut bob], 2);
    alice.quit();
    bob.quit();
}

/// One says something, and it arrives.
fn hear(one: &mut Chat, other: &mut Chat, text: &str) {
    let id = one.ask(text)["id"].clone();
    other.event("message", |event| event["id"] == id && event["text"] == text);
    one.event("message_state", |event| event["id"] == id && event["state"] == "delivered");
}

fn copy_folder(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

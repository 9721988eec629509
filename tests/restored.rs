//! A data folder that is restored from a copy, over real processes and QUIC.
#![allow(clippy::unwrap_used)]

mod process;

use std::{fs, path::Path};

use process::{Chat, read};
use tempfile::tempdir;

#[test]
fn yesterdays_folder_says_so_and_sends_nothing_and_a_killed_node_goes_on() {
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
    alice.kill();

    let state = tempdir().unwrap();
    let elsewhere = ["--state", state.path().to_str().unwrap()];
    let mut alice = Chat::start_with("Alice", copy.path(), &elsewhere);
    alice.event("continuity", |event| event["continuity"] == "rolled_back");
    alice.ask("once more");
    alice.event("message_held", |event| event["code"] == "device.rolled_back");
    assert_eq!(alice.refused("/channel create games"), "device.rolled_back");
    assert_eq!(alice.refused("/device only-copy"), "device.rolled_back");
    let because = alice.ask("/status")["because"].as_str().unwrap().to_owned();
    assert!(because.contains("older than what this device has already sent"), "{because}");
    alice.quit();
    assert_eq!(read(&bob.ask("/history")), ["yesterday", "today", "tonight"]);
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

//! What goes wrong before and while people talk is told with a stable code and a sentence.
#![allow(clippy::unwrap_used)]

mod process;

use std::path::Path;

use process::Chat;
use spacepanda::{AppError, InviteOptions, Node, ServerId};
use tempfile::tempdir;

const LISTEN: [&str; 2] = ["--listen", "quic://127.0.0.1:0"];

/// The code with which somebody's node does not open in `folder`.
fn failed(folder: &Path, arguments: &[&str]) -> String {
    Chat::spawn("Alice", folder, &[&LISTEN, arguments].concat()).failed()
}

#[test]
fn a_url_that_cannot_be_used_is_refused() {
    let folder = tempdir().unwrap();
    let named = ["--name", "Alice"];
    for (url, code) in [
        ("stone:tablet", "store.scheme_unknown"),
        ("here", "store.url_invalid"),
        ("sqlite:", "store.url_invalid"),
        ("sqlite:/no/such/folder/node.db", "store.url_invalid"),
    ] {
        assert_eq!(failed(folder.path(), &[&named[..], &["--store", url]].concat()), code, "{url}");
    }
    for (url, code) in
        [("carrier-pigeon:", "listen.scheme_unknown"), ("quic://example.org", "listen.url_invalid")]
    {
        let arguments = [&named[..], &["--listen", url]].concat();
        assert_eq!(failed(folder.path(), &arguments), code, "{url}");
    }
    for (url, code) in [
        ("carrier-pigeon:roof", "announce.scheme_unknown"),
        ("quic://example.org:4433", "announce.url_invalid"),
        ("quic://192.0.2.7:0", "announce.url_invalid"),
    ] {
        let arguments = [&named[..], &["--announce", url]].concat();
        assert_eq!(failed(folder.path(), &arguments), code, "{url}");
    }
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_stays_as_it_is() {
    let folder = tempdir().unwrap();
    Chat::start("Alice", folder.path()).quit();
    let file = folder.path().join("node.db");
    // Of the header of a SQLite file, bytes 60 to 63 are the user version (file format, 1.3).
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[63] += 1;
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(failed(folder.path(), &[]), "store.newer");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[test]
fn a_first_start_needs_a_name_and_says_that_keys_are_unencrypted_once() {
    let folder = tempdir().unwrap();
    assert_eq!(failed(folder.path(), &[]), "name.needed");
    for first in [true, false] {
        let arguments = if first { ["--name", "Alice"].as_slice() } else { &[] };
        let mut alice = Chat::spawn("Alice", folder.path(), &[&LISTEN, arguments].concat());
        let code = |chat: &mut Chat| chat.event("notice", |_| true)["code"].clone();
        if first {
            assert_eq!(code(&mut alice), "keys.unencrypted");
        } else {
            alice.ask("/help");
            assert!(alice.told("ready") && !alice.told("notice"));
        }
        alice.quit();
    }
}

#[test]
fn a_second_node_on_one_folder_or_store_is_refused_and_the_first_goes_on() {
    let (folder, other) = (tempdir().unwrap(), tempdir().unwrap());
    let mut alice = Chat::start("Alice", folder.path());
    assert_eq!(failed(folder.path(), &["--name", "Alice"]), "node.locked");
    let store = format!("sqlite://{}", folder.path().join("node.db").display());
    assert_eq!(failed(other.path(), &["--name", "Alice", "--store", &store]), "store.locked");
    alice.ask("/status");
    alice.quit();
}

#[test]
fn every_line_has_one_reply_in_order_whatever_it_says() {
    let folder = tempdir().unwrap();
    let mut alice = Chat::start("Alice", folder.path());
    let lines = [
        ("", "message", "input.empty"),
        ("/dance", "dance", "input.unknown"),
        ("/use", "use", "input.usage"),
        ("Hello?", "message", "channel.none"),
        ("/invite", "invite", "channel.none"),
        ("/history 0", "history", "input.usage"),
        ("/join https://example.org", "join", "invite.invalid"),
        ("/join spacepanda:join/AAAA", "join", "invite.invalid"),
    ];
    for (line, _, _) in lines {
        alice.type_line(line);
    }
    for (line, name, code) in lines {
        let reply = alice.reply();
        let answered = (&reply["reply"], &reply["ok"], &reply["code"]);
        assert_eq!(answered, (&name.into(), &false.into(), &code.into()), "{line}");
    }
    alice.ask("/server create Pandas");
    assert_eq!(alice.refused("/use salmon"), "channel.unknown");
    assert_eq!(alice.refused("/remove Bob"), "member.unknown");
    let twins: Vec<_> = (0..2)
        .map(|_| alice.ask("/channel create twin")["channel"].as_str().unwrap().to_owned())
        .collect();
    let reply = alice.try_ask("/use twin");
    assert_eq!(reply["code"], "name.ambiguous");
    assert!(twins.iter().all(|id| reply["message"].as_str().unwrap().contains(id)), "{reply}");
    assert_eq!(alice.ask(&format!("/use {}", twins[1]))["channel"], twins[1].as_str());
    alice.end_input();
}

#[test]
fn a_join_whose_inviter_cannot_be_reached_waits_and_goes_on_by_itself() {
    let (inviting, joining) = (tempdir().unwrap(), tempdir().unwrap());
    let mut alice = Chat::start("Alice", inviting.path());
    let server = alice.ask("/server create Pandas")["server"].clone();
    let link = alice.ask("/invite")["link"].as_str().unwrap().to_owned();
    alice.quit();

    let mut bob = Chat::start("Bob", joining.path());
    let reply = bob.try_ask(&format!("/join {link}"));
    assert_eq!((&reply["code"], &reply["retryable"]), (&"join.waiting".into(), &true.into()));
    assert!(reply["message"].as_str().unwrap().contains("to be reachable"), "{reply}");

    let alice = Chat::start("Alice", inviting.path());
    bob.event("joined", |event| event["server"] == server);
    bob.ask("Here I am");
    alice.quit();
    bob.quit();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_that_is_used_up_or_revoked_lets_nobody_in() {
    let alice = node("Alice").await.unwrap();
    let (server, _) = alice.create_server("Pandas").await.unwrap();
    let used_up = invite(&alice, server, Some(1)).await;
    let guest = node("Guest").await.unwrap();
    guest.join(used_up.clone()).await.unwrap();

    // Whoever is removed is told by which open invites they could come back.
    let revoked = invite(&alice, server, None).await;
    for open in alice.remove_member(server, guest.identity()).await.unwrap() {
        alice.revoke_invite(server, open).await.unwrap();
    }

    let codes = tokio::task::spawn_blocking(move || {
        let folder = tempdir().unwrap();
        let mut bob = Chat::start("Bob", folder.path());
        let codes = [used_up, revoked].map(|link| bob.refused(&format!("/join {link}")));
        bob.quit();
        codes
    });
    assert_eq!(codes.await.unwrap(), ["invite.used_up", "invite.revoked"]);
    guest.close().await.unwrap();
    alice.close().await.unwrap();
}

async fn node(name: &str) -> Result<Node, AppError> {
    let builder = Node::builder().registry(spacepanda::backends()).name(name);
    builder.store("memory:").listen("quic://127.0.0.1:0").open().await
}

async fn invite(node: &Node, server: ServerId, max_uses: Option<u32>) -> String {
    let options = InviteOptions { max_uses, ..InviteOptions::default() };
    node.create_invite_with(server, options).await.unwrap()
}

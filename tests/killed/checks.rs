//! What has to hold once the killing is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;
use spacepanda::{
    ChannelId, ServerId, backends,
    registry::Setup,
    store::{CrdtStore as _, LogStore},
};
use spacepanda_core::state::authority::control_channel;

use crate::{
    person::{Person, Sent},
    process::{Chat, converge},
    story::Story,
};

const HISTORY: &str = "/history 1000";
/// The only reason for which somebody who came late may not read a message.
const TOO_EARLY: &str = "before you were in";

/// A message as it is listed: its id, its author and its text.
type Listed = [Value; 3];

/// Everybody has one state and everything that was accepted, once; all can talk on.
pub(crate) fn all_is_well(story: &mut Story) {
    have_one_state(story);
    // From here on everybody knows who is in: what is said is for all of them.
    let last = last_words(story);
    have_one_state(story);
    let people = &mut story.people;
    let of_all: Vec<_> = people.iter_mut().map(|person| lists(person, &last, |_| false)).collect();
    let people = &story.people;
    let accepted = people.iter().flat_map(|person| &person.acknowledged);
    let accepted: Vec<_> = accepted.chain(&story.kept_of_guests).chain(&last).collect();
    for (person, listed) in people.iter().zip(&of_all) {
        holds_once(&person.name, listed, &accepted);
        assert_eq!(*listed, of_all[0], "{} lists what Alice does not, or not so", person.name);
    }
    println!("{} messages accepted, {} listed", accepted.len(), of_all[0].len());
    if let Some(guest) = &mut story.guest {
        lists(&mut guest.person, &last, |message| message["reason"] == TOO_EARLY);
    }
}

fn have_one_state(story: &mut Story) {
    let mut chats: Vec<&mut Chat> = story.everybody().map(|person| &mut person.chat).collect();
    let members = chats.len();
    converge(&mut chats, members);
}

/// Everybody says one thing more.
fn last_words(story: &mut Story) -> Vec<Sent> {
    let say = |person: &mut Person| {
        let text = format!("last from {}", person.name);
        let id = person.chat.ask(&text)["id"].as_str().unwrap().to_owned();
        Sent { id, text }
    };
    story.everybody().map(say).collect()
}

/// Waits until the last words are listed, everything has a text, unless it is `excused`, and everything
/// of one's own is delivered; then returns what is listed.
fn lists(person: &mut Person, last: &[Sent], excused: impl Fn(&Value) -> bool) -> Vec<Listed> {
    let messages = |history: &Value| history["messages"].as_array().unwrap().clone();
    let history = person.chat.until(HISTORY, |history| {
        let messages = messages(history);
        let ids: BTreeSet<_> =
            messages.iter().filter_map(|message| message["id"].as_str()).collect();
        last.iter().all(|sent| ids.contains(sent.id.as_str()))
            && messages.iter().all(|message| message["text"].is_string() || excused(message))
    });
    person.chat.until("/status", |status| status["pending"] == 0);
    let messages = messages(&history);
    let listed = |message: &Value| ["id", "name", "text"].map(|key| message[key].clone());
    messages.iter().map(listed).collect()
}

/// No id and no text twice, and everything that was accepted, as it was written.
fn holds_once(name: &str, listed: &[Listed], accepted: &[&Sent]) {
    let texts: BTreeSet<_> = listed.iter().filter_map(|[.., text]| text.as_str()).collect();
    assert_eq!(texts.len(), listed.len(), "{name}: a text twice");
    let by_id: BTreeMap<_, _> =
        listed.iter().map(|[id, _, text]| (id.as_str().unwrap(), text.as_str().unwrap())).collect();
    assert_eq!(by_id.len(), listed.len(), "{name}: an id twice");
    for sent in accepted {
        assert_eq!(by_id.get(sent.id.as_str()), Some(&sent.text.as_str()), "{name}: {sent:?}");
    }
}

/// Closes everybody's node; in no store has a log two ends.
pub(crate) async fn no_log_has_forked(story: &mut Story) {
    let status = story.people[0].chat.ask("/status");
    let server: ServerId = status["server"].as_str().unwrap().parse().unwrap();
    let channel: ChannelId = status["channel"].as_str().unwrap().parse().unwrap();
    for person in story.everybody() {
        person.chat.kill_and_read();
        for channel in [channel, control_channel(&server)] {
            one_end_each(&person.name, person.folder.path(), &channel).await;
        }
    }
}

async fn one_end_each(name: &str, folder: &Path, channel: &ChannelId) {
    let url = format!("sqlite://{}/node.db", folder.display());
    let store = backends().open_store(&url, Setup::new()).await.unwrap();
    let logs = LogStore::open(store).await.unwrap();
    let frontier = logs.frontier(channel).await.unwrap();
    let ends: Vec<_> = frontier.tips().map(|tip| tip.device).collect();
    let devices: BTreeSet<_> = ends.iter().collect();
    assert!(!ends.is_empty(), "{name}: nothing is kept");
    assert_eq!(devices.len(), ends.len(), "{name}: a log has two ends");
}

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
    let Story { people, guest, kept_of_guests, .. } = story;
    let mut guest = guest.as_mut().map(|guest| &mut guest.person);
    let everybody = people.iter().chain(guest.as_deref());
    let accepted = everybody.flat_map(|person| &person.acknowledged).chain(&*kept_of_guests);
    let accepted: Vec<Sent> = accepted.chain(&last).cloned().collect();
    let has_all = |messages: &[Value]| {
        let ids: BTreeSet<_> =
            messages.iter().filter_map(|message| message["id"].as_str()).collect();
        accepted.iter().all(|sent| ids.contains(sent.id.as_str()))
            && messages.iter().all(|message| message["text"].is_string())
    };
    let of_all: Vec<_> = people.iter_mut().map(|person| lists(person, has_all)).collect();
    for (person, listed) in people.iter().zip(&of_all) {
        holds_once(&person.name, listed, &accepted);
        assert_eq!(*listed, of_all[0], "{} lists what Alice does not, or not so", person.name);
    }
    println!("{} messages accepted, {} listed", accepted.len(), of_all[0].len());
    if let Some(guest) = &mut guest {
        reads_on(guest, &last, &of_all[0]);
    }
}

/// Of each author somebody who came late reads nothing, or everything from some message on, since whoever
/// wrote that knew of them: once, and in the order of all.
fn reads_on(late: &mut Person, last: &[Sent], all: &[Listed]) {
    let authors: BTreeSet<_> = all.iter().filter_map(|[_, author, _]| author.as_str()).collect();
    let due = |read: &[Listed]| {
        let of_author = |author: &str| {
            let by = all.iter().filter(move |[_, by, _]| by == author);
            by.skip_while(|message| !read.contains(message)).count()
        };
        authors.iter().map(|author| of_author(author)).sum::<usize>()
    };
    let listed = lists(late, |messages| {
        let is_read = |message: &&Value| message["text"].is_string();
        let read: Vec<Listed> = messages.iter().filter(is_read).map(listed).collect();
        let has = |sent: &Sent| read.iter().any(|[id, ..]| id == sent.id.as_str());
        let excused = |message: &Value| message["reason"] == TOO_EARLY;
        messages.iter().all(|message| is_read(&message) || excused(message))
            && last.iter().all(has)
            && read.len() == due(&read)
    });
    let ids: BTreeSet<_> = listed.iter().filter_map(|[id, ..]| id.as_str()).collect();
    assert_eq!(ids.len(), listed.len(), "{}: an id twice", late.name);
    let read: Vec<_> = listed.iter().filter(|[.., text]| text.is_string()).collect();
    let in_order = all.iter().filter(|message| read.contains(message));
    assert!(read.iter().copied().eq(in_order), "{} lists in another order than Alice", late.name);
    println!("{}, who came late, reads {} of them", late.name, read.len());
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

/// Waits until what is listed is as it has to be, and everything of one's own is delivered; then returns
/// what is listed.
fn lists(person: &mut Person, is_whole: impl Fn(&[Value]) -> bool) -> Vec<Listed> {
    let messages = |history: &Value| history["messages"].as_array().unwrap().clone();
    let history = person.chat.until(HISTORY, |history| is_whole(&messages(history)));
    person.chat.until("/status", |status| status["pending"] == 0);
    messages(&history).iter().map(listed).collect()
}

fn listed(message: &Value) -> Listed {
    ["id", "name", "text"].map(|key| message[key].clone())
}

/// No id and no text twice, and everything that was accepted, as it was written.
fn holds_once(name: &str, listed: &[Listed], accepted: &[Sent]) {
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

use std::sync::Arc;

use super::help::{CHANNEL, SERVER, World, done, on_call, saves, tells, waits};
use crate::{
    app::{
        ChannelSummary, Event, ServerSummary,
        engine::{Command, Input, Reply, Tell},
        os,
    },
    base::Timestamp,
};

#[tokio::test(start_paused = true)]
async fn joining_waits_until_the_join_is_complete_or_refused() {
    let joining = Reply::Servers(vec![server(false)]);
    let rule = move |input: &Input| match input {
        Input::Command(call, Command::JoinServer { .. }) => {
            let reply = Reply::Server { server: SERVER, channel: None };
            vec![tells(vec![Tell::Reply(*call, Ok(reply))])]
        }
        Input::Command(call, Command::Servers) => {
            vec![tells(vec![Tell::Reply(*call, Ok(joining.clone()))])]
        }
        Input::Command(call, Command::CreateChannel { name, .. }) => {
            let event = match name.as_str() {
                "joined" => Event::Joined { server: SERVER, channel: CHANNEL },
                _ => Event::JoinFailed {
                    server: SERVER,
                    code: "invite.expired",
                    message: "The invite has expired.".to_owned(),
                },
            };
            vec![tells(vec![Tell::Event(event), done(*call)])]
        }
        _ => Vec::new(),
    };
    let world = World::open(Arc::new(rule)).await;
    let join = || {
        let node = world.node.clone();
        tokio::spawn(async move { node.join("link").await })
    };
    let mut joins = join();
    assert!(waits(&mut joins).await);
    world.call("joined").await.unwrap().unwrap();
    assert_eq!(joins.await.unwrap(), Ok((SERVER, CHANNEL)));

    let mut joins = join();
    assert!(waits(&mut joins).await);
    world.call("refused").await.unwrap().unwrap();
    assert_eq!(joins.await.unwrap().unwrap_err().code(), "invite.expired");
}

#[tokio::test(start_paused = true)]
async fn joining_a_server_that_one_is_in_already_does_not_wait() {
    let rule = move |input: &Input| match input {
        Input::Command(call, Command::JoinServer { .. }) => {
            let reply = Reply::Server { server: SERVER, channel: Some(CHANNEL) };
            vec![tells(vec![Tell::Reply(*call, Ok(reply))])]
        }
        Input::Command(call, Command::Servers) => {
            vec![tells(vec![Tell::Reply(*call, Ok(Reply::Servers(vec![server(true)])))])]
        }
        _ => Vec::new(),
    };
    let world = World::open(Arc::new(rule)).await;
    assert_eq!(world.node.join("link").await, Ok((SERVER, CHANNEL)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_kind_is_a_fault_and_not_taken_for_one() {
    let rule = on_call(|call, _| vec![tells(vec![Tell::Reply(call, Ok(Reply::Done))])]);
    let world = World::open(rule).await;
    assert_eq!(world.call("a").await.unwrap().unwrap_err().code(), "node.fault");
}

#[tokio::test(start_paused = true)]
async fn a_tick_comes_at_the_deadline_and_not_before() {
    let mut world = World::open(on_call(|call, _| vec![tells(vec![done(call)])])).await;
    *world.due.lock().unwrap() = Some(Timestamp::YEAR_2100);
    world.call("a").await.unwrap().unwrap();
    let tick = |input: &Input| matches!(input, Input::Tick).then_some(());
    assert!(waits(world.hear(tick)).await);
    *world.due.lock().unwrap() = Some(os::now());
    world.call("b").await.unwrap().unwrap();
    world.hear(tick).await;
}

#[tokio::test(start_paused = true)]
async fn while_a_save_hangs_only_so_much_is_gathered_and_the_rest_waits_its_turn() {
    let mut world = World::open(on_call(|call, name| vec![saves(name, Vec::new(), call)])).await;
    let mut calls: Vec<_> = (0..3_000).map(|call| world.call(&call.to_string())).collect();
    assert!(waits(&mut calls[0]).await);
    let mut asked = 0;
    while let Ok(input) = world.heard.try_recv() {
        asked += usize::from(matches!(input, Input::Command(..)));
    }
    assert_eq!(asked, 1 + 1_024);
    world.store.open_gate();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(world.store.saved().iter().all(|rows| *rows <= 1_024), "{:?}", world.store.saved());
}

fn server(joined: bool) -> ServerSummary {
    let channels = vec![ChannelSummary { channel: CHANNEL, name: "general".to_owned() }];
    ServerSummary {
        server: SERVER,
        name: "Pandas".to_owned(),
        channels,
        joined,
        joining: !joined,
        member: joined,
    }
}

//! Two nodes say hello: memory stores, QUIC on 127.0.0.1, no server anywhere.
//!
//! Run it with `cargo run --example hello`; it needs no network and ends by itself.

use std::{error::Error, time::Duration};

use spacepanda::{Event, Events, Node, Text};
use tokio::time::timeout;

/// How long this example waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    timeout(PATIENCE, hello()).await?
}

async fn hello() -> Result<(), Box<dyn Error>> {
    let alice = node("Alice").await?;
    let bob = node("Bob").await?;

    // A server is made by whoever wants one; a link brings others in.
    let (server, channel) = alice.create_server("Pandas").await?;
    let link = alice.create_invite(server).await?;
    bob.join(link).await?;
    println!("Bob has joined Pandas");

    // Events are told from the moment one listens.
    let (mut to_alice, mut to_bob) = (alice.events(), bob.events());
    bob.send_message(server, channel, "Hello, Alice!").await?;
    println!("Alice reads: {}", next_text(&mut to_alice).await?);
    alice.send_message(server, channel, "Hello, Bob!").await?;
    println!("Bob reads: {}", next_text(&mut to_bob).await?);

    // What was said is kept, in one order for everybody.
    let page = bob.list_messages(server, channel, None, 10).await?;
    println!("Bob's node holds {} messages", page.messages.len());

    bob.close().await?;
    alice.close().await?;
    Ok(())
}

/// A node that forgets everything when it ends, and that only this machine can reach.
async fn node(name: &str) -> Result<Node, spacepanda::AppError> {
    Node::builder()
        .registry(spacepanda::backends())
        .name(name)
        .store("memory:")
        .listen("quic://127.0.0.1:0")
        .open()
        .await
}

/// Waits for the next message of somebody else.
async fn next_text(events: &mut Events) -> Result<String, Box<dyn Error>> {
    while let Some(event) = events.next().await {
        if let Event::Message { message, .. } = event?
            && let Text::Known(text) = message.text
        {
            return Ok(format!("{}: {text}", message.name));
        }
    }
    Err("the node has closed".into())
}

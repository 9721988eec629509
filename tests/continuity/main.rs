//! Identity, groups and messages go on where they were, whatever restarts; over both stores.
#![cfg(all(feature = "store-memory", feature = "store-sqlite"))]
#![allow(clippy::unwrap_used)]

#[path = "../world/mod.rs"]
mod world;

use spacepanda::{Event, Events};

use crate::world::within;

mod absence;
mod coming_back;
mod handing_over;
mod joining;
mod keys;
mod removal;
mod renewing;
mod restarting;
mod window;

/// Plays each story over a memory store that outlives its node, and over SQLite.
macro_rules! over_both_stores {
    ($($story:ident),* $(,)?) => {
        mod over_memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    Box::pin(super::$story(crate::world::Place::memory)).await;
                }
            )*
        }

        mod over_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    Box::pin(super::$story(crate::world::Place::sqlite)).await;
                }
            )*
        }
    };
}
pub(crate) use over_both_stores;

/// The next event that `pick` takes.
async fn event<T>(events: &mut Events, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
    let next = async {
        loop {
            let event = events.next().await.expect("the node is open").expect("none was missed");
            if let Some(picked) = pick(&event) {
                break picked;
            }
        }
    };
    within(what, next).await
}

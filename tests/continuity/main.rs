//! Identity, groups and messages go on where they were, whatever restarts; over both stores.
#![cfg(all(feature = "store-memory", feature = "store-sqlite"))]
#![allow(clippy::unwrap_used)]

#[path = "../world/mod.rs"]
mod world;

mod joining;
mod keys;
mod removal;
mod restarting;

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

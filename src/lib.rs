//! Chat without a server: end-to-end encrypted, peer to peer, shaped like Discord.
//!
//! A [`Node`] is put together from a store and transports, each named by a URL or given as a value:
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), spacepanda::AppError> {
//! use spacepanda::Node;
//!
//! let new = || Node::builder().store("memory:").listen("quic://127.0.0.1:0");
//! let alice = new().name("Alice").open().await?;
//! let bob = new().name("Bob").open().await?;
//!
//! let (server, channel) = alice.create_server("Pandas").await?;
//! let link = alice.create_invite(server).await?;
//! bob.join(link).await?;
//!
//! let mut events = alice.events();
//! bob.send_message(server, channel, "Hello, Alice").await?;
//! while let Some(event) = events.next().await {
//!     if let Ok(spacepanda::Event::Message { message, .. }) = event {
//!         println!("{}: {}", message.name, message.text);
//!         break;
//!     }
//! }
//!
//! bob.close().await?;
//! alice.close().await
//! # }
//! ```
//!
//! Each backend is a crate of its own behind a Cargo feature: `store-memory`, `store-sqlite`,
//! `transport-quic`. A feature makes its URLs work; that is all it does.

pub use spacepanda_core::{
    app::{
        AppError, ChannelSummary, Continuity, Event, Events, Hold, IdentityContext, InviteOptions,
        JoinLink, JoinStep, Member, Message, MessagePage, MessageState, Missed, Node, NodeBuilder,
        ServerOptions, ServerStatus, ServerSummary, Status, Text, Window,
    },
    base::{self, ChannelId, DeviceId, IdentityId, MessageId, ServerId, StateId, Timestamp},
    register_store, register_transport, registry, store, transport,
};

use registry::Registry;

/// The backends that this build has: everything that was linked, and the plug-ins of its features.
///
/// [`NodeBuilder`] opens URLs by everything that was linked. In a development static library what is
/// not named may not be linked: pass this to [`NodeBuilder::registry`] there.
pub fn backends() -> Registry {
    let mut registry = Registry::linked();
    spacepanda_core::app::hint(&mut registry);
    #[cfg(feature = "store-memory")]
    registry.add_store(&spacepanda_store_memory::BACKEND);
    #[cfg(feature = "store-sqlite")]
    registry.add_store(&spacepanda_store_sqlite::BACKEND);
    #[cfg(feature = "transport-quic")]
    registry.add_transport(&spacepanda_transport_quic::BACKEND);
    registry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_brings_its_scheme_and_what_is_missing_is_hinted_at() {
        let registry = backends();
        let stores: Vec<_> = registry.stores().map(|store| store.scheme).collect();
        let transports: Vec<_> = registry.transports().map(|transport| transport.scheme).collect();
        assert_eq!(stores.contains(&"memory"), cfg!(feature = "store-memory"));
        assert_eq!(stores.contains(&"sqlite"), cfg!(feature = "store-sqlite"));
        assert_eq!(transports.contains(&"quic"), cfg!(feature = "transport-quic"));
        assert_eq!(registry.hints().count() + stores.len() + transports.len(), 3);
    }
}

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

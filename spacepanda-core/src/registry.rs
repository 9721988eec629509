//! Which backends there are, by kind and URL scheme.
//!
//! A plug-in crate describes its backend in a static and registers that with [`register_store!`] or
//! [`register_transport!`]; whoever composes a node asks [`Registry::linked`] for everything that was
//! linked, or builds a [`Registry`] by hand.
//!
//! [`register_store!`]: crate::register_store
//! [`register_transport!`]: crate::register_transport

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use crate::{
    base::{Error, ErrorKind, Result},
    store::ProviderStorageBackend,
    transport::Transport,
};

pub use futures::future::BoxFuture;
#[doc(hidden)]
pub use inventory;
pub use url::Url;

/// What a backend is given beside its URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setup {
    /// Where the backend may keep files of its own, if anywhere.
    pub folder: Option<PathBuf>,
}

impl Setup {
    /// A setup that gives nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says where the backend may keep files of its own.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }
}

/// What a scheme names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A store: a [`ProviderStorageBackend`].
    Store,
    /// A transport: a [`Transport`].
    Transport,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store => "store",
            Self::Transport => "transport",
        })
    }
}

/// A backend being opened.
pub type Opening<P> = BoxFuture<'static, Result<Arc<P>>>;

/// Describes a store that a URL can name.
#[derive(Debug)]
pub struct StoreBackend {
    /// The scheme of its URLs, in lower case, such as `sqlite`.
    pub scheme: &'static str,
    /// What it is, in one line for people.
    pub description: &'static str,
    /// Opens the store that the URL names.
    pub open: fn(Url, Setup) -> Opening<dyn ProviderStorageBackend>,
}

/// Describes a transport that a URL can name.
#[derive(Debug)]
pub struct TransportBackend {
    /// The scheme of its URLs, in lower case, such as `quic`.
    pub scheme: &'static str,
    /// What it is, in one line for people.
    pub description: &'static str,
    /// Opens the transport that the URL names.
    pub open: fn(Url, Setup) -> Opening<dyn Transport>,
    /// Whether the URL is one that others could dial; `Config` says how such a one is written.
    pub check_dialled: fn(&Url) -> Result<()>,
}

/// A scheme that this build lacks, and the Cargo feature that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hint {
    /// What the scheme names.
    pub kind: Kind,
    /// The scheme.
    pub scheme: &'static str,
    /// The Cargo feature of `spacepanda` that brings it.
    pub feature: &'static str,
}

/// The backends that can be opened by URL, one per kind and scheme.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    stores: BTreeMap<&'static str, &'static StoreBackend>,
    transports: BTreeMap<&'static str, &'static TransportBackend>,
    hints: BTreeMap<(Kind, &'static str), &'static str>,
}

impl Registry {
    /// A registry of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that linked crates have registered.
    ///
    /// A crate is linked if something of it is named; of two with one scheme and kind the one whose
    /// description comes first in order is taken, whatever the order of linking.
    pub fn linked() -> Self {
        let mut registry = Self::new();
        let mut stores: Vec<_> = inventory::iter::<LinkedStore>.into_iter().map(|s| s.0).collect();
        stores.sort_by_key(|store| std::cmp::Reverse(store.description));
        for store in stores {
            registry.add_store(store);
        }
        let mut transports: Vec<_> =
            inventory::iter::<LinkedTransport>.into_iter().map(|t| t.0).collect();
        transports.sort_by_key(|transport| std::cmp::Reverse(transport.description));
        for transport in transports {
            registry.add_transport(transport);
        }
        registry
    }

    /// Adds a store; it replaces one of the same scheme.
    pub fn add_store(&mut self, backend: &'static StoreBackend) -> &mut Self {
        self.stores.insert(backend.scheme, backend);
        self
    }

    /// Adds a transport; it replaces one of the same scheme.
    pub fn add_transport(&mut self, backend: &'static TransportBackend) -> &mut Self {
        self.transports.insert(backend.scheme, backend);
        self
    }

    /// Says which Cargo feature brings `scheme`, for the error of whoever asks for it in vain.
    pub fn hint(&mut self, kind: Kind, scheme: &'static str, feature: &'static str) -> &mut Self {
        self.hints.insert((kind, scheme), feature);
        self
    }

    /// The stores, by scheme.
    pub fn stores(&self) -> impl Iterator<Item = &'static StoreBackend> + '_ {
        self.stores.values().copied()
    }

    /// The transports, by scheme.
    pub fn transports(&self) -> impl Iterator<Item = &'static TransportBackend> + '_ {
        self.transports.values().copied()
    }

    /// What this build lacks and could have, by kind and scheme.
    pub fn hints(&self) -> impl Iterator<Item = Hint> + '_ {
        self.hints
            .iter()
            .map(|(&(kind, scheme), &feature)| Hint { kind, scheme, feature })
            .filter(|hint| !self.schemes(hint.kind).contains(&hint.scheme))
    }

    /// Opens the store at `url`.
    ///
    /// # Errors
    /// `Config` if `url` is no URL; `Unsupported` if no store has its scheme; else the backend's own.
    pub async fn open_store(
        &self,
        url: &str,
        setup: Setup,
    ) -> Result<Arc<dyn ProviderStorageBackend>> {
        let url = parse(Kind::Store, url)?;
        let Some(backend) = self.stores.get(url.scheme()) else {
            return Err(self.unknown(Kind::Store, url.scheme()));
        };
        (backend.open)(url, setup).await
    }

    /// Opens the transport at `url`.
    ///
    /// # Errors
    /// `Config` if `url` is no URL; `Unsupported` if no transport has its scheme; else the backend's
    /// own.
    pub async fn open_transport(&self, url: &str, setup: Setup) -> Result<Arc<dyn Transport>> {
        let url = parse(Kind::Transport, url)?;
        (self.transport(&url)?.open)(url, setup).await
    }

    /// Checks that `url` is one at which others could dial.
    ///
    /// # Errors
    /// `Config` if it is not; `Unsupported` if no transport has its scheme.
    pub fn check_dialled(&self, url: &str) -> Result<()> {
        let url = parse(Kind::Transport, url)?;
        (self.transport(&url)?.check_dialled)(&url)
    }

    fn transport(&self, url: &Url) -> Result<&'static TransportBackend> {
        let backend = self.transports.get(url.scheme()).copied();
        backend.ok_or_else(|| self.unknown(Kind::Transport, url.scheme()))
    }

    fn schemes(&self, kind: Kind) -> Vec<&'static str> {
        match kind {
            Kind::Store => self.stores.keys().copied().collect(),
            Kind::Transport => self.transports.keys().copied().collect(),
        }
    }

    fn unknown(&self, kind: Kind, scheme: &str) -> Error {
        let mut sentence = format!("open {kind}: this build knows no {kind} `{scheme}:`");
        let schemes = self.schemes(kind);
        if schemes.is_empty() {
            sentence.push_str(", nor any other");
        } else {
            sentence.push_str(&format!("; it knows `{}:`", schemes.join(":`, `")));
        }
        if let Some(hint) = self.hints().find(|hint| hint.kind == kind && hint.scheme == scheme) {
            let feature = hint.feature;
            sentence.push_str(&format!("; the Cargo feature `{feature}` brings `{scheme}:`"));
        }
        Error::new(ErrorKind::Unsupported, sentence)
    }
}

/// Reads a URL. The sentence does not repeat it: it may hold a password.
fn parse(kind: Kind, url: &str) -> Result<Url> {
    Url::parse(url).map_err(|error| {
        let sentence = format!("open {kind}: what was given is no URL such as `scheme:path`");
        Error::new(ErrorKind::Config, sentence).with_source(error)
    })
}

/// A registered store, as [`register_store!`](crate::register_store) submits it.
#[doc(hidden)]
pub struct LinkedStore(pub &'static StoreBackend);

/// A registered transport, as [`register_transport!`](crate::register_transport) submits it.
#[doc(hidden)]
pub struct LinkedTransport(pub &'static TransportBackend);

inventory::collect!(LinkedStore);
inventory::collect!(LinkedTransport);

/// Registers a static [`StoreBackend`] with [`Registry::linked`] of whoever links this crate.
///
/// [`StoreBackend`]: crate::registry::StoreBackend
/// [`Registry::linked`]: crate::registry::Registry::linked
#[macro_export]
macro_rules! register_store {
    ($backend:path) => {
        $crate::registry::inventory::submit! { $crate::registry::LinkedStore(&$backend) }
    };
}

/// Registers a static [`TransportBackend`] with [`Registry::linked`] of whoever links this crate.
///
/// [`TransportBackend`]: crate::registry::TransportBackend
/// [`Registry::linked`]: crate::registry::Registry::linked
#[macro_export]
macro_rules! register_transport {
    ($backend:path) => {
        $crate::registry::inventory::submit! { $crate::registry::LinkedTransport(&$backend) }
    };
}

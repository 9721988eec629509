#![allow(clippy::unwrap_used)]

use super::*;

static NULL: StoreBackend = StoreBackend {
    scheme: "null",
    description: "Says where it was asked to open",
    open: |url, setup| {
        let sentence = format!("{} in {:?}", url.path(), setup.folder);
        Box::pin(async move { Err(Error::new(ErrorKind::Locked, sentence)) })
    },
};
static VOID: TransportBackend = TransportBackend {
    scheme: "void",
    description: "Never opens",
    open: |_, _| Box::pin(async { Err(Error::new(ErrorKind::Unavailable, "open")) }),
    check_dialled: |url| match url.path() {
        "" => Err(Error::new(ErrorKind::Config, "dial nobody")),
        _ => Ok(()),
    },
};
crate::register_store!(NULL);
crate::register_transport!(VOID);

async fn refused(registry: &Registry, url: &str) -> Error {
    registry.open_store(url, Setup::new()).await.err().unwrap()
}

#[test]
fn what_is_registered_is_linked() {
    let registry = Registry::linked();
    assert!(registry.stores().any(|store| store.scheme == "null"));
    assert!(registry.transports().any(|transport| transport.scheme == "void"));
    assert_eq!(Registry::new().stores().count(), 0);
}

#[tokio::test]
async fn the_backend_of_the_scheme_is_given_url_and_setup() {
    let mut registry = Registry::new();
    registry.add_store(&NULL).add_transport(&VOID);
    let error = registry.open_store("NULL:a/b", Setup::new().folder("home")).await.err();
    let error = error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(error.to_string(), r#"a/b in Some("home")"#);
    let error = registry.open_transport("void:", Setup::new()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn the_backend_of_the_scheme_says_whether_others_could_dial() {
    let mut registry = Registry::new();
    registry.add_transport(&VOID);
    let kind = |url| registry.check_dialled(url).map_err(|error| error.kind());
    assert_eq!(kind("void:somebody"), Ok(()));
    assert_eq!(kind("void:"), Err(ErrorKind::Config));
    assert_eq!(kind("full:somebody"), Err(ErrorKind::Unsupported));
}

#[tokio::test]
async fn what_is_no_url_is_a_matter_of_configuration_and_not_repeated() {
    let error = refused(&Registry::linked(), "secret place").await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!error.to_string().contains("secret"));
}

#[tokio::test]
async fn an_unknown_scheme_names_those_known_and_the_feature() {
    let mut registry = Registry::new();
    let error = refused(&registry, "rocks:x").await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("nor any other"), "{error}");

    registry.add_store(&NULL).hint(Kind::Store, "rocks", "store-rocks");
    let sentence = refused(&registry, "rocks:x").await.to_string();
    assert!(sentence.contains("`null:`"), "{sentence}");
    assert!(sentence.contains("`store-rocks`"), "{sentence}");
    assert!(!refused(&registry, "void:").await.to_string().contains("feature"));
}

#[test]
fn a_hint_is_listed_until_its_scheme_is_there() {
    let mut registry = Registry::new();
    registry.hint(Kind::Store, "null", "store-null").hint(Kind::Transport, "null", "null");
    assert_eq!(registry.hints().count(), 2);
    registry.add_store(&NULL);
    let left: Vec<_> = registry.hints().collect();
    assert_eq!(left, [Hint { kind: Kind::Transport, scheme: "null", feature: "null" }]);
}

#![allow(clippy::unwrap_used)]

use super::*;
use crate::transport::memory::MemoryNetwork;

fn links() -> Links {
    Links::new(Arc::new(MemoryNetwork::new().transport("")))
}

fn connected(link: Link, dial: Option<u64>) -> String {
    format!("{:?}", [Input::Connected { link, dial }])
}

fn shown(inputs: &[Input]) -> String {
    format!("{inputs:?}")
}

fn frame() -> Bytes {
    Bytes::from_static(b"frame")
}

#[tokio::test]
async fn a_link_announced_while_nobody_dials_is_somebody_elses() {
    let mut links = links();
    assert_eq!(shown(&links.announced(LinkId(1), BTreeSet::new())), connected(1, None));
    assert!(links.announced(LinkId(1), BTreeSet::new()).is_empty());
    assert!(matches!(links.frame(LinkId(1), frame())[..], [Input::Frame { link: 1, .. }]));
    assert!(matches!(links.ended(LinkId(1))[..], [Input::Disconnected { link: 1 }]));
    assert!(links.ended(LinkId(1)).is_empty() && links.links.is_empty());
}

#[tokio::test]
async fn a_dialled_link_is_told_once_whether_announced_before_or_after_its_dial_returns() {
    let mut links = links();
    assert!(links.announced(LinkId(1), BTreeSet::from([5])).is_empty());
    assert_eq!(shown(&links.dialled(5, Some(LinkId(1)), Some(50))), connected(1, Some(50)));

    assert_eq!(shown(&links.dialled(6, Some(LinkId(2)), Some(60))), connected(2, Some(60)));
    assert!(links.announced(LinkId(2), BTreeSet::new()).is_empty());
}

#[tokio::test]
async fn a_held_link_is_somebody_elses_once_every_dial_has_returned_without_it() {
    let mut links = links();
    assert!(links.announced(LinkId(1), BTreeSet::from([5, 6])).is_empty());
    let inputs = links.dialled(5, None, Some(50));
    assert!(matches!(inputs[..], [Input::DialFailed { dial: 50 }]));
    assert_eq!(
        shown(&links.dialled(6, Some(LinkId(2)), Some(60))),
        shown(&[
            Input::Connected { link: 2, dial: Some(60) },
            Input::Connected { link: 1, dial: None }
        ])
    );
}

#[tokio::test]
async fn a_frame_on_a_held_link_shows_that_somebody_else_dialled() {
    let mut links = links();
    links.announced(LinkId(1), BTreeSet::from([5]));
    let inputs = links.frame(LinkId(1), frame());
    assert!(matches!(
        inputs[..],
        [Input::Connected { link: 1, dial: None }, Input::Frame { link: 1, .. }]
    ));
    let inputs = links.dialled(5, Some(LinkId(1)), Some(50));
    assert!(matches!(
        inputs[..],
        [Input::Disconnected { link: 1 }, Input::DialFailed { dial: 50 }]
    ));
}

#[tokio::test]
async fn a_link_that_ends_before_its_dial_returns_is_a_dial_that_failed() {
    let mut links = links();
    links.announced(LinkId(1), BTreeSet::from([5]));
    assert!(links.ended(LinkId(1)).is_empty());
    let inputs = links.dialled(5, Some(LinkId(1)), Some(50));
    assert!(matches!(inputs[..], [Input::DialFailed { dial: 50 }]));
    assert!(links.links.is_empty());
}

#[tokio::test]
async fn a_link_whose_asker_is_gone_is_closed_and_not_told() {
    let mut links = links();
    links.announced(LinkId(1), BTreeSet::from([5]));
    assert!(links.dialled(5, Some(LinkId(1)), None).is_empty());
    assert!(links.frame(LinkId(1), frame()).is_empty());
    assert!(links.ended(LinkId(1)).is_empty() && links.links.is_empty());
}

#[tokio::test]
async fn a_closed_link_is_told_once_and_heard_no_more() {
    let mut links = links();
    links.announced(LinkId(1), BTreeSet::new());
    assert!(matches!(links.close(1)[..], [Input::Disconnected { link: 1 }]));
    assert!(links.frame(LinkId(1), frame()).is_empty() && links.send(1, frame()).is_empty());
    assert!(links.close(1).is_empty() && links.ended(LinkId(1)).is_empty());
}

use super::*;
use crate::base::{IdentityId, Secret, ServerId};

fn join() -> Join {
    let link = JoinLink {
        server: ServerId::new([1; 32]),
        invite_key: Secret::new([2; 32]),
        meeting_secret: Secret::new([3; 32]),
        addresses: Vec::new(),
        inviter: IdentityId::new([4; 32]),
    };
    let (link, request) = (link.encode(), Vec::new());
    Join::load(JoinRow { link, request, reference: [5; 32], complete: false }).unwrap()
}

#[test]
fn the_longer_nobody_lets_one_in_the_rarer_one_asks() {
    let at = |seconds: u64| Timestamp::from_micros(seconds * 1_000_000);
    let mut join = join();
    assert_eq!(join.again(at(9), NEXT_MEMBER), at(9).saturating_add(NEXT_MEMBER));
    join.tried_since = Some(at(0));
    let pause = |hours: u64| {
        let done = at(hours * 3_600);
        join.again(done, NEXT_MEMBER).since(done).as_secs()
    };
    assert_eq!([0, 1, 24, 240, 2_400].map(pause), [5, 14, 337, 1_800, 1_800]);
}

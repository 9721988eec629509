use super::help::ByHand;

#[test]
fn every_device_that_this_node_was_is_revoked_whichever_was_the_last() {
    let mut alice = ByHand::new(1);
    let (server, _) = alice.found();
    let first = alice.machine.node.device();
    // The second never came in here.
    alice.step(|machine, cx| {
        let account = machine.node.account.as_mut().unwrap();
        account.renew(cx.now, &mut cx.chance);
    });
    alice.step(|machine, cx| machine.renew_device(cx));
    assert!(!alice.server(&server).authority.is_revoked(&first));

    let settled = alice.settle(server);
    assert!(alice.server(&server).authority.is_revoked(&first));
    assert!(!settled.log.is_empty());
    let (device, identity) = (alice.machine.node.device(), alice.machine.node.me().identity());
    alice.settle(server);
    assert_eq!(alice.server(&server).matrix.device(&device), Some(identity));
    assert!(alice.settle(server).log.is_empty(), "once");
}

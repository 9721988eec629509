use spacepanda::{JoinStep, MessageState, Text, Timestamp};

use super::*;

fn json(event: Event) -> String {
    serde_json::to_string(&Told::event(event).unwrap()).unwrap()
}

#[test]
fn an_event_names_itself_and_then_its_keys_in_order() {
    let message = Message {
        id: MessageId::new([1; 16]),
        channel: ChannelId::new([2; 32]),
        device: DeviceId::new([3; 32]),
        author: IdentityId::new([4; 32]),
        name: "Bob".to_owned(),
        text: Text::Known("Hi".to_owned()),
        at: Timestamp::from_micros(5_000),
        state: MessageState::Delivered,
    };
    let server = ServerId::new([5; 32]);
    let (id, channel) = ("01".repeat(16), "02".repeat(32));
    let (author, of) = ("04".repeat(32), "05".repeat(32));
    assert_eq!(
        json(Event::Message { server, message }),
        format!(
            "{{\"event\":\"message\",\"server\":\"{of}\",\"channel\":\"{channel}\",\"id\":\"{id}\",\
             \"author\":\"{author}\",\"name\":\"Bob\",\"text\":\"Hi\",\"at\":5}}"
        )
    );
    assert_eq!(
        json(Event::JoinProgress { server, step: JoinStep::Adding }),
        format!(
            "{{\"event\":\"join_progress\",\"step\":\"adding\",\"waiting_for\":\"a member to add \
             this device to the group\",\"server\":\"{of}\"}}"
        )
    );
    let (by, name, message) = (IdentityId::new([4; 32]), "Bob".to_owned(), "No.".to_owned());
    assert_eq!(
        json(Event::JoinRefused { server, by, name, code: "server.full", message }),
        format!(
            "{{\"event\":\"join_refused\",\"code\":\"server.full\",\"message\":\"No.\",\
             \"server\":\"{of}\",\"identity\":\"{author}\",\"name\":\"Bob\"}}"
        )
    );
    assert_eq!(
        json(Event::Reloaded),
        format!("{{\"event\":\"reloaded\",\"message\":\"{RELOADED}\"}}")
    );
    assert_eq!(
        json(Event::Healing { server, waiting: Some("waiting for Bob".to_owned()) }),
        format!("{{\"event\":\"healing\",\"server\":\"{of}\",\"waiting\":\"waiting for Bob\"}}")
    );
    assert_eq!(
        json(Event::Unopened { server, count: 3, asked: vec!["Alice".to_owned()] }),
        format!(
            "{{\"event\":\"unopened\",\"server\":\"{of}\",\"count\":3,\"asked\":[\"Alice\"],\
             \"message\":\"3 messages cannot be opened yet: asked Alice\"}}"
        )
    );
    assert_eq!(
        json(Event::Missing { server, of: vec!["Alice".to_owned(), "Bob".to_owned()] }),
        format!(
            "{{\"event\":\"missing\",\"server\":\"{of}\",\"of\":[\"Alice\",\"Bob\"],\
             \"message\":\"something of Alice, Bob is missing: nobody who was here holds it\"}}"
        )
    );
}

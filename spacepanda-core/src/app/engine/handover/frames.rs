use std::fmt;

use minicbor::{Decode, Encode};

use crate::{
    base::{
        ChannelId, ServerId, Tip,
        cbor::{self, CborError},
        limits::HAND_OVER_TIPS_MAX,
    },
    state::crdt::timeline::CONTENT_LEN_MAX,
};

const ASKS: u8 = 1;
const ANSWERS: u8 = 2;

/// What is said to hand messages over: it asks for some, or answers. Unknown keys are skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Frame {
    Asks(Asks),
    Answers(Answers),
}

/// Asks for messages that cannot be opened here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Asks {
    pub server: ServerId,
    pub channel: ChannelId,
    pub tips: Vec<Tip>,
}

/// Answers for some of the messages that were asked for, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Answers {
    pub server: ServerId,
    pub channel: ChannelId,
    pub answers: Vec<Answer>,
}

/// What is handed over of one message; nothing if it is not held.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(in super::super) struct Answer {
    #[n(0)]
    pub tip: Tip,
    #[n(1)]
    pub handed: Option<Handed>,
}

/// What a message's header commits its author to. Its `Debug` shows neither.
#[derive(Encode, Decode, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(in super::super) struct Handed {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub salt: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub content: Vec<u8>,
}

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handed({} bytes)", self.content.len())
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[n(0)]
    tag: u8,
    #[n(1)]
    server: ServerId,
    #[n(2)]
    channel: ChannelId,
    #[n(3)]
    tips: Option<Vec<Tip>>,
    #[n(4)]
    answers: Option<Vec<Answer>>,
}

impl Frame {
    /// The frame's bytes.
    pub(in super::super) fn encode(self) -> Vec<u8> {
        cbor::encode(&match self {
            Self::Asks(Asks { server, channel, tips }) => {
                Wire { tag: ASKS, server, channel, tips: Some(tips), answers: None }
            }
            Self::Answers(Answers { server, channel, answers }) => {
                Wire { tag: ANSWERS, server, channel, tips: None, answers: Some(answers) }
            }
        })
    }

    /// Decodes a frame and checks that its lists and contents are no longer than allowed.
    ///
    /// # Errors
    /// If it is none.
    pub(in super::super) fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let Wire { tag, server, channel, tips, answers } = cbor::decode_lenient(bytes)?;
        match (tag, tips, answers) {
            (ASKS, Some(tips), None) if tips.len() <= HAND_OVER_TIPS_MAX => {
                Ok(Self::Asks(Asks { server, channel, tips }))
            }
            (ANSWERS, None, Some(answers)) if are_bounded(&answers) => {
                Ok(Self::Answers(Answers { server, channel, answers }))
            }
            _ => Err(CborError::Shape),
        }
    }
}

fn are_bounded(answers: &[Answer]) -> bool {
    let mut handed = answers.iter().filter_map(|answer| answer.handed.as_ref());
    answers.len() <= HAND_OVER_TIPS_MAX && handed.all(|one| one.content.len() <= CONTENT_LEN_MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{DeviceId, EnvelopeId};

    const SERVER: ServerId = ServerId::new([1; 32]);
    const CHANNEL: ChannelId = ChannelId::new([2; 32]);

    fn tip(number: u64) -> Tip {
        Tip { device: DeviceId::new([3; 32]), number, id: EnvelopeId::new([4; 32]) }
    }

    fn asks(count: usize) -> Frame {
        Frame::Asks(Asks { server: SERVER, channel: CHANNEL, tips: vec![tip(5); count] })
    }

    fn answers(answers: Vec<Answer>) -> Frame {
        Frame::Answers(Answers { server: SERVER, channel: CHANNEL, answers })
    }

    fn handed(len: usize) -> Answer {
        let handed = Handed { salt: [6; 32], content: vec![7; len] };
        Answer { tip: tip(5), handed: Some(handed) }
    }

    fn both() -> [Frame; 2] {
        [asks(1), answers(vec![handed(2), Answer { tip: tip(8), handed: None }])]
    }

    #[test]
    fn the_bytes_of_both_frames_are_pinned() {
        let of = |byte: &str| format!("5820{}", byte.repeat(32));
        let head = |tag: u8| format!("a4000{tag}01{}02{}", of("01"), of("02"));
        let tip = |number: u8| format!("83{}0{number}{}", of("03"), of("04"));
        let golden = [
            format!("{}0381{}", head(1), tip(5)),
            format!("{}0482a200{}01a200{}01420707a100{}", head(2), tip(5), of("06"), tip(8)),
        ];
        for (frame, golden) in both().into_iter().zip(golden) {
            assert_eq!(hex::encode(frame.clone().encode()), golden);
            assert_eq!(Frame::decode(&hex::decode(golden).unwrap()), Ok(frame));
        }
    }

    #[test]
    fn keys_of_a_newer_version_are_skipped() {
        for frame in both() {
            let mut newer = frame.clone().encode();
            newer[0] += 1;
            newer.extend([0x18, 99, 0x81, 0x01]);
            assert_eq!(Frame::decode(&newer), Ok(frame));
        }
    }

    #[test]
    fn lists_and_contents_are_bounded() {
        let is_taken = |frame: Frame| Frame::decode(&frame.encode()).is_ok();
        assert!(is_taken(asks(HAND_OVER_TIPS_MAX)));
        assert!(!is_taken(asks(HAND_OVER_TIPS_MAX + 1)));
        assert!(is_taken(answers(vec![handed(1); HAND_OVER_TIPS_MAX])));
        assert!(!is_taken(answers(vec![handed(1); HAND_OVER_TIPS_MAX + 1])));
        assert!(is_taken(answers(vec![handed(CONTENT_LEN_MAX)])));
        assert!(!is_taken(answers(vec![handed(CONTENT_LEN_MAX + 1)])));
    }

    #[test]
    fn a_frame_that_is_neither_is_refused() {
        let wire = |tag, tips, answers| {
            let (server, channel) = (SERVER, CHANNEL);
            Frame::decode(&cbor::encode(&Wire { tag, server, channel, tips, answers }))
        };
        assert!(wire(ASKS, Some(Vec::new()), None).is_ok());
        for refused in [
            wire(0, None, None),
            wire(3, Some(Vec::new()), None),
            wire(ASKS, None, Some(Vec::new())),
            wire(ANSWERS, Some(Vec::new()), Some(Vec::new())),
        ] {
            assert_eq!(refused, Err(CborError::Shape));
        }
    }

    #[test]
    fn what_is_handed_over_is_never_printed() {
        let printed = format!("{:?}", handed(2));
        assert!(printed.contains("Handed(2 bytes)"), "{printed}");
    }

    proptest! {
        #[test]
        fn damaged_frames_never_panic(which in 0usize..2, at in 0usize..400, byte: u8) {
            let mut bytes = both()[which].clone().encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Frame::decode(&bytes);
        }
    }
}

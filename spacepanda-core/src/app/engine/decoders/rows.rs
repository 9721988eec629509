use super::{
    super::{
        account::Account,
        chance::Chance,
        continuity::Continuity,
        frames::AddressRecord,
        rows::{
            ControlRow, ForksRow, Head, HeadsRow, JoinRow, LostRow, NamedTip, Numbered, PackageRow,
            Progress, StateRow, UndeliveredRow, UnopenedRow, VerdictRow, put_number, read_number,
        },
        tenure::TenureRow,
    },
    frames::record,
};
use crate::{
    base::{
        Name, Secret, Timestamp, cbor,
        decoder::{Decoder, Form, Sampler, exact},
    },
    state::crdt::Reason,
    store::Batch,
};

/// Rows of the machine.
pub(super) fn decoders() -> Vec<Decoder> {
    let row = |name, samples, decode| Decoder { name, form: Form::Exact, samples, decode };
    vec![
        row("rows account", accounts, |bytes| {
            Account::read(&bytes.to_vec().into()).map(|account| put(|batch| account.put(batch)))
        }),
        row("rows number", numbers, |bytes| {
            let (number, what) = read_number(b"#\0\0\0\x07", bytes)?;
            Some(put(|batch| put_number(batch, number, what)))
        }),
        row("rows state", states, exact::<StateRow>),
        row("rows heads", heads, exact::<HeadsRow>),
        row("rows control", controls, exact::<ControlRow>),
        row("rows forks", forks, exact::<ForksRow>),
        row("rows progress", progress, exact::<Progress>),
        row("rows verdict", verdicts, exact::<VerdictRow>),
        row("rows join", joins, exact::<JoinRow>),
        row("rows unopened", unopened, exact::<UnopenedRow>),
        row("rows undelivered", undelivered, exact::<UndeliveredRow>),
        row("rows package", packages, exact::<PackageRow>),
        row("rows lost", lost, exact::<LostRow>),
        row("rows tenure", tenures, exact::<TenureRow>),
        row("rows address", |s| vec![cbor::encode(&record(s))], exact::<AddressRecord>),
        row("rows caught up", |s| vec![cbor::encode(&s.stamp())], exact::<Timestamp>),
    ]
}

/// The one value that a batch was given.
fn put(write: impl FnOnce(&mut Batch)) -> Vec<u8> {
    let mut batch = Batch::new();
    write(&mut batch);
    batch.changes()[0].value().expect("a row was written").to_vec()
}

fn accounts(s: &mut Sampler) -> Vec<Vec<u8>> {
    let name = Name::new("Alice").expect("a name");
    let mut chance = Chance::new(Secret::new(s.bytes()));
    let mut account = Account::create(name, s.stamp(), &mut chance);
    let first = put(|batch| account.put(batch));
    account.renew(s.stamp(), &mut chance);
    vec![first, put(|batch| account.put(batch))]
}

fn numbers(s: &mut Sampler) -> Vec<Vec<u8>> {
    let all = [
        Numbered::Server(s.server()),
        Numbered::Channel(s.channel()),
        Numbered::Device(s.device()),
    ];
    all.map(|what| put(|batch| put_number(batch, 7, what))).to_vec()
}

fn states(s: &mut Sampler) -> Vec<Vec<u8>> {
    [None, Some(s.stamp())]
        .map(|left| {
            let (server, state, bytes) = (3, s.state(), s.number());
            cbor::encode(&StateRow {
                server,
                state,
                left,
                bytes,
                stand: left.is_none(),
                outlived: false,
            })
        })
        .to_vec()
}

fn heads(s: &mut Sampler) -> Vec<Vec<u8>> {
    let heads = s.tips(20).into_iter().map(|tip| Head { tip, order: s.number() }).collect();
    vec![cbor::encode(&HeadsRow {
        heads,
        greatest: s.stamp(),
        own: s.stamp(),
        own_order: s.number(),
    })]
}

fn controls(s: &mut Sampler) -> Vec<Vec<u8>> {
    let control = (0..s.below(30)).map(|_| s.envelope()).collect();
    vec![cbor::encode(&ControlRow { device: s.device(), number: s.number(), control })]
}

fn forks(s: &mut Sampler) -> Vec<Vec<u8>> {
    let named = |s: &mut Sampler| {
        let control = (0..s.below(3)).map(|_| s.envelope()).collect();
        NamedTip { id: s.envelope(), control }
    };
    let tips = (0..s.below(4)).map(|_| named(s)).collect();
    vec![cbor::encode(&ForksRow { device: s.device(), tips })]
}

fn verdicts(s: &mut Sampler) -> Vec<Vec<u8>> {
    [true, false].map(|valid| cbor::encode(&VerdictRow { commit: s.envelope(), valid })).to_vec()
}

fn progress(s: &mut Sampler) -> Vec<Vec<u8>> {
    let (device, sent, delivered) = (s.device(), s.number(), s.below(9));
    vec![cbor::encode(&Progress { device, sent, delivered })]
}

fn joins(s: &mut Sampler) -> Vec<Vec<u8>> {
    let (request, reference) = (s.blob(3_000), s.bytes());
    vec![cbor::encode(&JoinRow { link: "link".into(), request, reference, complete: false })]
}

fn unopened(s: &mut Sampler) -> Vec<Vec<u8>> {
    let lost = [None, Some(Reason::KeysGone)];
    lost.map(|lost| {
        let (channel, tip, state) = (s.channel(), s.tip(), s.state());
        cbor::encode(&UnopenedRow { channel, tip, state, lost })
    })
    .to_vec()
}

fn undelivered(s: &mut Sampler) -> Vec<Vec<u8>> {
    let (device, number, message) = (s.device(), s.number(), s.message());
    vec![cbor::encode(&UndeliveredRow { device, number, message })]
}

fn packages(s: &mut Sampler) -> Vec<Vec<u8>> {
    [(true, None), (false, Some(s.state()))]
        .map(|(last_resort, lost)| {
            let (reference, retired) = (s.bytes(), lost.map(|_| s.stamp()));
            cbor::encode(&PackageRow { reference, last_resort, lost, retired })
        })
        .to_vec()
}

fn lost(s: &mut Sampler) -> Vec<Vec<u8>> {
    let (head, changed, since) = (s.state(), s.stamp(), s.stamp());
    vec![cbor::encode(&LostRow { head, changed, since, stood_up: Some(s.state()) })]
}

fn tenures(s: &mut Sampler) -> Vec<Vec<u8>> {
    let unasked = (0..s.below(9)).map(|_| 7).collect();
    vec![cbor::encode(&TenureRow { continuity: Continuity::Unsure, unasked })]
}

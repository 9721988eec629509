use std::collections::BTreeMap;

use bytes::Bytes;
use minicbor::{Decode, Encode};

use super::{
    entry::{Entry, Reading, RowError, decode_entry},
    key::{NAMES, Place, TIMELINE, beside_key, name_key, row_key},
};
#[cfg(any(test, fuzzing))]
use crate::base::decoder::{Decoder, Form, exact};
use crate::{
    base::{EnvelopeId, cbor},
    store::{Batch, Namespace},
};

/// Rows that were loaded, by namespace and key; `None` where there is none. They show everything that
/// was put before, saved or not.
pub type Rows = BTreeMap<(Namespace, Bytes), Option<Bytes>>;

/// How far a step came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a step may need rows, and then it did nothing"]
pub enum Step<T> {
    /// It is done.
    Done(T),
    /// Nothing changed: it needs these rows beside those it was given.
    Load(Vec<(Namespace, Bytes)>),
}

impl<T> Step<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Step<U> {
        match self {
            Self::Done(done) => Step::Done(f(done)),
            Self::Load(rows) => Step::Load(rows),
        }
    }
}

/// Takes the value out of a step, or returns the rows that it needs.
macro_rules! loaded {
    ($step:expr) => {
        match $step {
            Step::Done(done) => done,
            Step::Load(rows) => return Ok(Step::Load(rows)),
        }
    };
}

/// Who has a name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct NameRow {
    #[n(0)]
    envelope: EnvelopeId,
    #[n(1)]
    order: u64,
    #[n(2)]
    device_no: u32,
    #[n(3)]
    number: u64,
}

impl NameRow {
    fn place(&self, channel: u32) -> Place {
        Place { channel, order: self.order, device: self.device_no, number: self.number }
    }
}

/// What decodes the row of a name.
#[cfg(any(test, fuzzing))]
pub(crate) fn rows_decoder() -> Decoder {
    Decoder {
        name: "crdt name row",
        form: Form::Exact,
        samples: |s| {
            let (envelope, order) = (s.envelope(), s.number());
            vec![cbor::encode(&NameRow { envelope, order, device_no: 3, number: s.number() })]
        },
        decode: exact::<NameRow>,
    }
}

/// Keeps `entry` at `place`, or keeps it anew, and returns it as it is kept.
///
/// It decides [`Entry::first`]: of two envelopes with one name the first by (`order`, id) has it,
/// whichever arrived first; one that loses its name to this one is kept again without it. Whether
/// they count plays no part, so that no verdict moves a name.
///
/// # Errors
/// If a loaded row cannot be read.
pub fn put(
    batch: &mut Batch,
    rows: &Rows,
    place: &Place,
    mut entry: Entry,
) -> Result<Step<Entry>, RowError> {
    let name_key = name_key(place.channel, place.device, &entry.message);
    let (spot, name) = match (spot(rows, place, &entry.envelope)?, load(rows, &NAMES, &name_key)) {
        (Step::Done(spot), Step::Done(name)) => (spot, name),
        (spot, name) => return Ok(Step::Load([lacking(spot), lacking(name)].concat())),
    };
    let holder = name.map(|row| cbor::decode::<NameRow>(row)).transpose()?;
    entry.first = holder
        .as_ref()
        .is_none_or(|holder| (place.order, entry.envelope) <= (holder.order, holder.envelope));
    if let Some(holder) = holder.filter(|holder| entry.first && holder.envelope != entry.envelope) {
        let place = holder.place(place.channel);
        let found = loaded!(find_row(rows, &place, &holder.envelope)?);
        if let Some((key, holder)) = found {
            batch.put(TIMELINE, key, cbor::encode(&Entry { first: false, ..holder }));
        }
    }
    if entry.first {
        let row = NameRow {
            envelope: entry.envelope,
            order: place.order,
            device_no: place.device,
            number: place.number,
        };
        batch.put(NAMES, name_key, cbor::encode(&row));
    }
    batch.put(TIMELINE, spot.key, cbor::encode(&entry));
    Ok(Step::Done(entry))
}

/// Finds the entry of an envelope; `None` if there is none.
///
/// # Errors
/// If a loaded row cannot be read.
pub fn find(rows: &Rows, place: &Place, id: &EnvelopeId) -> Result<Step<Option<Entry>>, RowError> {
    Ok(find_row(rows, place, id)?.map(|found| found.map(|(_, entry)| entry)))
}

/// Takes a message in or out of what people see, as authority's recount says, and returns its entry as
/// it is kept then; `None` if there is none. One that is so already is not written.
///
/// # Errors
/// If a loaded row cannot be read.
pub fn set_counts(
    batch: &mut Batch,
    rows: &Rows,
    place: &Place,
    id: &EnvelopeId,
    counts: bool,
) -> Result<Step<Option<Entry>>, RowError> {
    revise(batch, rows, place, id, |entry| entry.counts = counts)
}

/// Says anew what of a message can be read, such as once it was handed over, and returns its entry as
/// it is kept then; `None` if there is none. One that is so already is not written.
///
/// # Errors
/// If a loaded row cannot be read.
pub fn set_reading(
    batch: &mut Batch,
    rows: &Rows,
    place: &Place,
    id: &EnvelopeId,
    reading: Reading,
) -> Result<Step<Option<Entry>>, RowError> {
    revise(batch, rows, place, id, |entry| entry.reading = reading)
}

fn revise(
    batch: &mut Batch,
    rows: &Rows,
    place: &Place,
    id: &EnvelopeId,
    change: impl FnOnce(&mut Entry),
) -> Result<Step<Option<Entry>>, RowError> {
    let found = loaded!(find_row(rows, place, id)?);
    let Some((key, before)) = found else { return Ok(Step::Done(None)) };
    let mut entry = before.clone();
    change(&mut entry);
    if entry != before {
        batch.put(TIMELINE, key, cbor::encode(&entry));
    }
    Ok(Step::Done(Some(entry)))
}

/// An entry and its key.
type Found = Option<(Bytes, Entry)>;

fn find_row(rows: &Rows, place: &Place, id: &EnvelopeId) -> Result<Step<Found>, RowError> {
    Ok(spot(rows, place, id)?.map(|spot| spot.entry.map(|entry| (spot.key, entry))))
}

/// The key of an envelope's entry, and the entry if it is kept.
struct Spot {
    key: Bytes,
    entry: Option<Entry>,
}

/// Finds where an envelope's entry is, or would be: at its place, or beside whoever took that.
fn spot(rows: &Rows, place: &Place, id: &EnvelopeId) -> Result<Step<Spot>, RowError> {
    let key = row_key(place);
    let entry = loaded!(entry_at(rows, &key)?);
    if entry.as_ref().is_none_or(|entry| entry.envelope == *id) {
        return Ok(Step::Done(Spot { key, entry }));
    }
    let key = beside_key(place, id);
    Ok(entry_at(rows, &key)?.map(|entry| Spot { key, entry }))
}

fn entry_at(rows: &Rows, key: &Bytes) -> Result<Step<Option<Entry>>, RowError> {
    let value = loaded!(load(rows, &TIMELINE, key));
    let entry = value.map(|value| decode_entry(key, value)).transpose()?;
    Ok(Step::Done(entry.map(|row| row.entry)))
}

fn load<'a>(rows: &'a Rows, namespace: &Namespace, key: &Bytes) -> Step<Option<&'a Bytes>> {
    let row = (namespace.clone(), key.clone());
    match rows.get(&row) {
        Some(value) => Step::Done(value.as_ref()),
        None => Step::Load(vec![row]),
    }
}

fn lacking<T>(step: Step<T>) -> Vec<(Namespace, Bytes)> {
    match step {
        Step::Done(_) => Vec::new(),
        Step::Load(rows) => rows,
    }
}

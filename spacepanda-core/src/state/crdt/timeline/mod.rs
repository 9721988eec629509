//! A channel's timeline: the set of its messages, ordered by (`order`, id), kept as rows.
//!
//! Pure functions over rows. What a step needs it names as keys ([`Step::Load`]) or as a page of a scan
//! ([`History::scan`]); the caller loads that and calls again, and nothing changes before all is there.
//! A message costs the same at any size of the history: two rows are read and two written.
//!
//! | namespace | key | value |
//! |---|---|---|
//! | [`TIMELINE`] | channel u32, 2^64 - 1 - `order` u64, device u32, number u64, of a second branch also 8 bytes of the envelope's id | [`Entry`] |
//! | [`NAMES`] | channel u32, device u32, message id 16 bytes | which envelope has the name |
//! | [`DRAFTS`] | number u64 | [`Draft`] |
//!
//! All numbers are big endian; channel and device are local numbers. Stores scan forwards
//! only, and people read from the newest back: so `order` is kept inverted, and a scan from the start
//! of a channel gives the newest first.

mod draft;
mod entry;
mod history;
mod key;
mod post;
mod rows;
mod text;

#[cfg(test)]
mod tests;

pub use draft::{DRAFTS, Draft, decode_draft, draft_key, draft_number, put_draft, remove_draft};
pub use entry::{Entry, Reading, Reason, Row, RowError, decode_entry};
pub use history::{Cursor, Entries, History, TIES_MAX, Turn};
pub use key::{NAMES, Place, TIMELINE, name_key, prefix, row_key};
pub use post::{CONTENT_LEN_MAX, Content, Post, PostError, decode_post};
#[cfg(any(test, fuzzing))]
pub(crate) use rows::rows_decoder;
pub use rows::{Rows, Step, find, put, set_counts, set_reading};
pub use text::{Salt, Text, TextError};

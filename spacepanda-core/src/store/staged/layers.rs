use std::{
    collections::{BTreeMap, VecDeque},
    iter::Peekable,
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;

use crate::store::{Batch, Namespace, Page};

/// What the changes of one or more batches come to: per key its value, or that it is gone.
type Layer = BTreeMap<Namespace, BTreeMap<Bytes, Option<Bytes>>>;

/// Names the saves that a scan may have missed: those that ended since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Pin(u64);

/// Everything not known to be saved, and what was saved while a scan went on.
///
/// A scan reads the backend at some moment between its beginning and its end. Laid over that, all
/// changes since the beginning, saved or not, give the state at its end, whichever moment it was.
#[derive(Debug, Default)]
pub(super) struct Layers {
    staged: Layer,
    saving: Option<Arc<Layer>>,
    /// Saved layers that a scan under way still needs, oldest first.
    saved: VecDeque<(Pin, Arc<Layer>)>,
    now: Pin,
    scans: BTreeMap<Pin, usize>,
    failures: u64,
}

impl Layers {
    pub(super) fn stage(&mut self, batch: Batch) {
        for change in batch.into_changes() {
            let (namespace, key) = (change.namespace().clone(), change.key().clone());
            let value = change.value().cloned();
            self.staged.entry(namespace).or_default().insert(key, value);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    /// How often everything staged was dropped.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    /// Turns what is staged into the batch that is being saved; `None` if there is nothing.
    pub(super) fn begin_save(&mut self) -> Option<Batch> {
        if self.staged.is_empty() {
            return None;
        }
        let layer = Arc::new(std::mem::take(&mut self.staged));
        let mut batch = Batch::new();
        for (namespace, rows) in layer.iter() {
            for (key, value) in rows {
                match value {
                    Some(value) => batch.put(namespace.clone(), key.clone(), value.clone()),
                    None => batch.delete(namespace.clone(), key.clone()),
                }
            }
        }
        self.saving = Some(layer);
        Some(batch)
    }

    pub(super) fn end_save(&mut self, saved: bool) {
        if !saved {
            self.clear();
            return;
        }
        if let Some(layer) = self.saving.take() {
            self.saved.push_back((self.now, layer));
            self.now.0 += 1;
            self.forget_saved();
        }
    }

    pub(super) fn clear(&mut self) {
        self.staged.clear();
        self.saving = None;
        self.failures += 1;
    }

    pub(super) fn pin(&mut self) -> Pin {
        *self.scans.entry(self.now).or_default() += 1;
        self.now
    }

    pub(super) fn unpin(&mut self, pin: Pin) {
        if let Some(count) = self.scans.get_mut(&pin) {
            *count -= 1;
            if *count == 0 {
                self.scans.remove(&pin);
            }
        }
        self.forget_saved();
    }

    fn forget_saved(&mut self) {
        let oldest = self.scans.keys().next().copied();
        while let Some((pin, _)) = self.saved.front()
            && oldest.is_none_or(|oldest| *pin < oldest)
        {
            self.saved.pop_front();
        }
    }

    /// The value that is staged or being saved at `key`, `Some(None)` if it is deleted.
    pub(super) fn load(&self, namespace: &Namespace, key: &[u8]) -> Option<Option<Bytes>> {
        let layers = [Some(&self.staged), self.saving.as_deref()];
        layers.into_iter().flatten().find_map(|layer| layer.get(namespace)?.get(key).cloned())
    }

    /// The page, from the `rows` that a scan has read so far and everything changed since it began.
    /// Without `ended` only keys up to the last of `rows` are known.
    pub(super) fn merge(
        &self,
        pin: Pin,
        namespace: &Namespace,
        page: &Page,
        rows: &[(Bytes, Bytes)],
        ended: bool,
    ) -> Vec<(Bytes, Bytes)> {
        let since = self.saved.iter().filter(|(saved, _)| *saved >= pin).map(|(_, layer)| &**layer);
        let oldest_first = since.chain(self.saving.as_deref()).chain([&self.staged]);
        let ranges = oldest_first.filter_map(|layer| layer.get(namespace));
        let mut sources: Vec<Peekable<Source<'_>>> = vec![base(rows).peekable()];
        sources.extend(ranges.map(|rows| range(rows, page).peekable()));

        let known_to = if ended { None } else { rows.last().map(|(key, _)| key) };
        let mut merged = Vec::new();
        while merged.len() < page.limit {
            let Some((key, value)) = next(&mut sources) else { break };
            if known_to.is_some_and(|last| key > last) {
                break;
            }
            merged.extend(value.map(|value| (key.clone(), value.clone())));
        }
        merged
    }
}

type Source<'a> = Box<dyn Iterator<Item = (&'a Bytes, Option<&'a Bytes>)> + 'a>;

fn base(rows: &[(Bytes, Bytes)]) -> Source<'_> {
    Box::new(rows.iter().map(|(key, value)| (key, Some(value))))
}

fn range<'a>(rows: &'a BTreeMap<Bytes, Option<Bytes>>, page: &'a Page) -> Source<'a> {
    let from = match &page.after {
        Some(after) if *after >= page.prefix => Bound::Excluded(after.clone()),
        _ => Bound::Included(page.prefix.clone()),
    };
    let rows = rows.range((from, Bound::Unbounded));
    let inside = rows.take_while(|(key, _)| key.starts_with(&page.prefix));
    Box::new(inside.map(|(key, value)| (key, value.as_ref())))
}

/// The least key of all sources, with the value of the last source that has it.
fn next<'a>(sources: &mut [Peekable<Source<'a>>]) -> Option<(&'a Bytes, Option<&'a Bytes>)> {
    let least = sources.iter_mut().filter_map(|source| source.peek()).map(|(key, _)| *key).min()?;
    let mut found = None;
    for source in sources {
        found = source.next_if(|(key, _)| *key == least).or(found);
    }
    found
}

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::PermissionMatrix;
use crate::state::envelope::Index;

/// How many matrices of pasts are kept at a time.
const MATRICES_MAX: usize = 128;

/// The matrices last asked for, by the last operations of the past that they belong to.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    by_heads: BTreeMap<Vec<Index>, Arc<PermissionMatrix>>,
    by_age: VecDeque<Vec<Index>>,
}

impl Resolved {
    pub(super) fn find(&self, heads: &[Index]) -> Option<Arc<PermissionMatrix>> {
        self.by_heads.get(heads).cloned()
    }

    pub(super) fn keep(&mut self, heads: Vec<Index>, matrix: Arc<PermissionMatrix>) {
        if self.by_heads.insert(heads.clone(), matrix).is_none() {
            self.by_age.push_back(heads);
        }
        if self.by_age.len() > MATRICES_MAX
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.by_heads.remove(&oldest);
        }
    }
}

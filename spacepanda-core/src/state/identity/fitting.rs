use std::{cell::RefCell, collections::HashSet};

/// Signatures remembered per thread, twice: those of late, and those before them.
const GENERATION_MAX: usize = 2_048;

thread_local! {
    static FITTING: RefCell<Fitting> = RefCell::default();
}

/// Hashes of what was found to fit: one certificate is checked at every link and in every request that
/// carries it, and several nodes in one process are sent the same envelopes.
#[derive(Default)]
struct Fitting {
    late: HashSet<[u8; 32]>,
    before: HashSet<[u8; 32]>,
}

impl Fitting {
    fn holds(&self, hash: &[u8; 32]) -> bool {
        self.late.contains(hash) || self.before.contains(hash)
    }

    fn insert(&mut self, hash: [u8; 32]) {
        if self.late.len() >= GENERATION_MAX {
            self.before = std::mem::take(&mut self.late);
        }
        self.late.insert(hash);
    }
}

/// Checks a signature unless this thread found lately that the same one, by the same rule, fits the same
/// bytes. What does not fit is not remembered.
///
/// # Errors
/// Those of `check`.
pub(crate) fn remembering<E>(
    rule: &str,
    signed: [&[u8]; 3],
    check: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let mut hasher = blake3::Hasher::new_derive_key(rule);
    for part in signed {
        hasher.update(&part.len().to_be_bytes()).update(part);
    }
    let hash = *hasher.finalize().as_bytes();
    if FITTING.with_borrow(|fitting| fitting.holds(&hash)) {
        return Ok(());
    }
    check()?;
    FITTING.with_borrow_mut(|fitting| fitting.insert(hash));
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn only_what_fitted_is_remembered() {
        let checks = Cell::new(0);
        let check = |outcome: Result<(), ()>| {
            remembering("a test", [b"key", b"signature", b"bytes"], || {
                checks.set(checks.get() + 1);
                outcome
            })
        };
        assert_eq!((check(Err(())), check(Err(()))), (Err(()), Err(())));
        assert_eq!((check(Ok(())), check(Err(()))), (Ok(()), Ok(())));
        assert_eq!(checks.get(), 3);
    }

    #[test]
    fn another_rule_and_other_parts_are_checked_anew() {
        let fits = || Ok::<(), ()>(());
        let differs = || Err::<(), ()>(());
        remembering("one", [b"key", b"signature", b"bytes"], fits).unwrap();
        assert!(remembering("two", [b"key", b"signature", b"bytes"], differs).is_err());
        assert!(remembering("one", [b"keys", b"ignature", b"bytes"], differs).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        for number in 0..GENERATION_MAX * 3 {
            remembering("many", [b"", b"", &number.to_be_bytes()], || Ok::<(), ()>(())).unwrap();
        }
        let remembered = FITTING.with_borrow(|fitting| fitting.late.len() + fitting.before.len());
        assert!(remembered <= 2 * GENERATION_MAX, "{remembered} are remembered");
    }
}

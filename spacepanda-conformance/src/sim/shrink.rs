use std::time::{Duration, Instant};

use super::{Plan, Violation, plan::What, run::run_caught};

/// Cuts a plan that fails down to fewer entries that fail in the same way, for at most `within` of this
/// machine's time, and returns it with what it violates.
pub fn shrink(plan: &Plan, violation: Violation, within: Duration) -> (Plan, Violation) {
    let until = Instant::now() + within;
    let mut best = (plan.clone(), violation);
    // Faults first: what fails without any is the clearest.
    for faults in [true, false] {
        let mut portion = best.0.entries.len().div_ceil(2);
        while portion > 0 {
            let mut removed = false;
            let mut from = 0;
            while let Some(smaller) = without(&best.0, faults, from, portion) {
                if Instant::now() >= until {
                    return best;
                }
                match run_caught(&smaller) {
                    Err(again) if again.kind() == best.1.kind() => {
                        best = (smaller, again);
                        removed = true;
                    }
                    _ => from += portion,
                }
            }
            if !removed || portion > 1 {
                portion /= 2;
            }
        }
    }
    best
}

/// The plan without so many of its faults, or else steps, from one on; `None` beyond the last.
fn without(plan: &Plan, faults: bool, from: usize, count: usize) -> Option<Plan> {
    let mut at = 0;
    let mut smaller = plan.clone();
    smaller.entries.retain(|entry| {
        if matches!(entry.what, What::Break(_)) != faults {
            return true;
        }
        at += 1;
        !(from..from + count).contains(&(at - 1))
    });
    (smaller.entries.len() < plan.entries.len()).then_some(smaller)
}

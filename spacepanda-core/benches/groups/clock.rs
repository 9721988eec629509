//! Processor time.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// How long `work` took per time, in milliseconds of processor time, over so many `times`. What it needs
/// is made before, and not measured.
pub(crate) fn ms_per_time<T, R>(
    times: u32,
    mut prepare: impl FnMut() -> T,
    mut work: impl FnMut(T) -> R,
) -> f64 {
    let mut spent = Duration::ZERO;
    for _ in 0..times {
        let prepared = prepare();
        let (before, begun) = (processor_time(), Instant::now());
        let result = work(prepared);
        spent += match (before, processor_time()) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            _ => begun.elapsed(),
        };
        drop(result);
    }
    spent.as_secs_f64() * 1_000.0 / f64::from(times)
}

/// What all threads of this process have had of processors so far, where the system says so.
fn processor_time() -> Option<Duration> {
    // The system counts the thread that runs only when it gives way, or once per tick.
    thread::yield_now();
    let threads = fs::read_dir("/proc/self/task").ok()?;
    let spent = threads.filter_map(|entry| {
        let said = fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        said.split(' ').next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(spent.sum()))
}

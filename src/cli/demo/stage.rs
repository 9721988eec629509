//! Where the story is told: what happens, when, and whether it held.

use std::{
    fmt::{self, Display},
    future::Future,
    io,
    time::{Duration, Instant},
};

use spacepanda::AppError;
use tokio::time::timeout;

use crate::cli::screen::{Tone, has_colours, toned};

/// How long any one step may take.
const STEP_MAX: Duration = Duration::from_secs(20);

/// A step that did not hold.
#[derive(Debug)]
pub(super) struct Failure(String);

impl Failure {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        Self(format!("{error} [{}]", error.code()))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(format!("a temporary folder: {error}"))
    }
}

/// Fails with `why` unless `holds`.
pub(super) fn check(holds: bool, why: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(why)) }
}

/// Standard output, and what was played so far.
pub(super) struct Stage {
    begun: Instant,
    colours: bool,
    steps: usize,
    step: &'static str,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), colours: has_colours(), steps: 0, step: "" }
    }

    /// Plays one step, within a bounded time, and tells how it went.
    pub(super) async fn step<T>(
        &mut self,
        step: &'static str,
        play: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.step = step;
        let begun = Instant::now();
        let played = timeout(STEP_MAX, play).await.unwrap_or_else(|_| {
            Err(Failure::new(format!("it was not done after {} s", STEP_MAX.as_secs())))
        })?;
        self.steps += 1;
        let took = format!("{:>5} ms", begun.elapsed().as_millis());
        println!("{} {} {step}", self.toned("✓", Tone::Good), self.toned(took, Tone::Dim));
        Ok(played)
    }

    /// Tells what somebody wrote or sees, below the step before it.
    pub(super) fn says(&self, who: &str, what: &str) {
        println!("             {} {what}", self.toned(format!("{who}:"), Tone::Name));
    }

    pub(super) fn ends_well(&self) {
        let (steps, seconds) = (self.steps, self.begun.elapsed().as_secs_f32());
        println!(
            "{}",
            self.toned(format!("All {steps} steps held, in {seconds:.1} s."), Tone::Good)
        );
    }

    pub(super) fn ends_badly(&self, failure: &Failure) {
        println!("{} {}: {failure}", self.toned("✗", Tone::Bad), self.step);
    }

    fn toned(&self, text: impl Display, tone: Tone) -> String {
        toned(text, tone, self.colours)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_hangs_fails_and_is_named() {
        let mut stage = Stage::new();
        let hanging = std::future::pending::<Result<(), Failure>>();
        let failure = stage.step("Bob waits", hanging).await.unwrap_err();
        assert_eq!((stage.step, stage.steps), ("Bob waits", 0));
        assert!(failure.to_string().contains("20 s"), "{failure}");
        stage.step("Bob goes", async { check(true, "no") }).await.unwrap();
        assert_eq!(stage.steps, 1);
    }
}

use std::{fmt, str::FromStr, time::Duration};

use super::{Deed, Entry, Fault, Plan, Step, What};

/// The first line of a plan: what it is, and the version of what follows.
const FIRST: &str = "spacepanda-sim plan 1";
/// What begins a line that is for readers only.
const COMMENT: char = '#';

/// What begins the line that says how long it idles.
const IDLE: &str = "idle";

/// A text that is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the plan: {what}")]
pub struct PlanError {
    line: usize,
    what: String,
}

/// One line each: what it is, seed, profile, nodes, how many seconds it idles if it does, and every entry
/// as milliseconds, word and numbers.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST}\nseed {}\nprofile {}\nnodes {}", self.seed, self.profile, self.nodes)?;
        if !self.idle.is_zero() {
            writeln!(f, "{IDLE} {}", self.idle.as_secs())?;
        }
        for entry in &self.entries {
            let (word, numbers) = match &entry.what {
                What::Do(step) => step.words(),
                What::Break(fault) => fault.words(),
                What::Harm(deed) => deed.words(),
            };
            write!(f, "{} {word}", entry.at.as_millis())?;
            numbers.iter().try_for_each(|number| write!(f, " {number}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let is_said = |line: &str| !line.trim().is_empty() && !line.starts_with(COMMENT);
        let mut lines = text.lines().enumerate().filter(|(_, line)| is_said(line));
        let mut head = |word: &str| {
            let (at, line) = lines.next().unwrap_or((0, ""));
            let value = line.trim().strip_prefix(word).map(str::trim);
            value.ok_or_else(|| error(at, format!("it should begin with {word:?}")))
        };
        head(FIRST)?;
        let seed = number(head("seed")?)?;
        let profile = head("profile")?.parse().map_err(|what| error(2, what))?;
        let nodes = number(head("nodes")?)?;
        let mut lines = lines.peekable();
        let idle = lines.next_if(|(_, line)| line.trim().starts_with(IDLE));
        let idle = idle.map(|(_, line)| number(line.trim().trim_start_matches(IDLE).trim()));
        let idle = Duration::from_secs(idle.transpose()?.unwrap_or(0));
        let entries = lines.map(|(at, line)| entry(at, line)).collect::<Result<_, _>>()?;
        Ok(Self { seed, profile, nodes, entries, idle })
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, PlanError> {
    text.parse().map_err(|_| error(1, format!("{text:?} is not a number here")))
}

fn entry(at: usize, line: &str) -> Result<Entry, PlanError> {
    let wrong = || error(at, format!("{line:?} is nothing that can happen"));
    let mut words = line.split_whitespace();
    let ms = words.next().and_then(|ms| ms.parse().ok()).ok_or_else(wrong)?;
    let word = words.next().ok_or_else(wrong)?;
    let numbers: Vec<i64> = words.map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
    let what = Step::read(word, &numbers)
        .map(What::Do)
        .or_else(|| Fault::read(word, &numbers).map(What::Break))
        .or_else(|| Deed::read(word, &numbers).map(What::Harm));
    Ok(Entry { at: Duration::from_millis(ms), what: what.ok_or_else(wrong)? })
}

fn error(at: usize, what: String) -> PlanError {
    PlanError { line: at + 1, what }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Profile, Setup};
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        for profile in Profile::ALL {
            for seed in 0..50 {
                let plan = Plan::draw(seed, Setup { profile, ..Setup::default() });
                assert_eq!(plan.to_string().parse(), Ok(plan));
            }
        }
    }

    #[test]
    fn what_cannot_happen_is_named_with_its_line() {
        let text = format!("{FIRST}\nseed 1\nprofile calm\nnodes 3\n10 say 1\n20 fly 1\n");
        let error = text.parse::<Plan>().unwrap_err().to_string();
        assert!(error.contains("line 6") && error.contains("fly"), "{error}");
    }
}

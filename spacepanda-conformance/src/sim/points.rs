//! Every save of a story as a point at which a node may crash, or the save fail.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    node::Harm,
    outcome::{Outcome, Violation},
    plan::CrashAt,
    run::caught,
    world::{World, WorldBuilder},
};

/// How long a node is down that crashed at a point.
const DOWN: Duration = Duration::from_secs(2);

/// A save of a node, and what befalls it there. It is written as in `2:17:before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Which node.
    pub node: usize,
    /// Which of its saves, from 1 on.
    pub save: u32,
    /// What befalls it.
    pub befalls: Befalls,
}

/// What befalls a node as it saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Befalls {
    /// It crashes before anything of the save is kept.
    CrashBefore,
    /// It crashes once the save is kept, before anything is sent or told.
    CrashAfter,
    /// The save fails.
    Failure,
}

impl Befalls {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CrashBefore, Self::CrashAfter, Self::Failure];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::CrashBefore => "before",
            Self::CrashAfter => "after",
            Self::Failure => "fails",
        }
    }

    fn harm(self) -> Harm {
        match self {
            Self::CrashBefore => Harm::Crash(CrashAt::BeforeSave, DOWN),
            Self::CrashAfter => Harm::Crash(CrashAt::AfterSave, DOWN),
            Self::Failure => Harm::Fails,
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.node, self.save, self.befalls.name())
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let mut parts = text.split(':');
            let node = parts.next()?.parse().ok()?;
            let save = parts.next()?.parse().ok()?;
            let name = parts.next().filter(|_| parts.clone().next().is_none())?;
            let befalls = Befalls::ALL.into_iter().find(|befalls| befalls.name() == name)?;
            Some(Self { node, save, befalls })
        };
        read().ok_or_else(|| format!("{text:?} is no point: 2:17:before, after or fails"))
    }
}

impl WorldBuilder<'_> {
    /// Runs the plan, and names all points that it has until all is well and quiet again.
    ///
    /// # Errors
    /// What does not hold though nothing went wrong.
    pub fn points(self) -> Result<Vec<Point>, Violation> {
        let mut saves = Vec::new();
        World::new(self).finish(|world| {
            world.live_the_plan()?;
            saves = world.nodes.iter().map(|node| node.saves).collect();
            world.go_on()
        })?;
        let points = saves.into_iter().enumerate().flat_map(|(node, saves)| {
            let at = move |save| Befalls::ALL.map(|befalls| Point { node, save, befalls });
            (1..=saves).flat_map(at)
        });
        Ok(points.collect())
    }

    /// Runs the plan with what befalls its node at `point`, and checks at the end what must hold, again
    /// after a restart, and after everybody has said something more. A panic is a violation.
    ///
    /// # Errors
    /// What does not hold.
    pub fn run_at(self, point: Point) -> Result<Outcome, Violation> {
        let mut world = World::new(self);
        world.point = Some(point);
        caught(world.seed(), || {
            world.finish(|world| {
                world.live_the_plan()?;
                match world.point {
                    Some(point) => Err(format!("nothing is saved at the point {point}")),
                    None => world.go_on(),
                }
            })
        })
    }
}

impl World<'_> {
    /// A save of a node ends, and meets what is to befall it.
    pub(super) fn meet_point(&mut self, node: usize) {
        self.nodes[node].saves += 1;
        let save = self.nodes[node].saves;
        if let Some(point) = self.point.take_if(|point| (point.node, point.save) == (node, save)) {
            self.nodes[node].harm = Some(point.befalls.harm());
        }
    }

    /// What was kept is what everybody goes on from.
    fn go_on(&mut self) -> Result<(), String> {
        self.restart_all()?;
        self.until_quiet()?;
        self.last_words();
        self.until_quiet()?;
        self.check()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_as_it_was_written() {
        for befalls in Befalls::ALL {
            let point = Point { node: 2, save: 17, befalls };
            assert_eq!(point.to_string().parse(), Ok(point));
        }
        for text in ["", "2:17", "2:x:before", "2:17:never", "2:17:before:1"] {
            assert!(text.parse::<Point>().is_err(), "{text}");
        }
    }
}

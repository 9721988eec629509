use std::time::Duration;

/// Something that breaks. What lasts is whole again by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// All links between two nodes are lost, with what is under way.
    Cut {
        /// One of them.
        one: usize,
        /// The other.
        other: usize,
    },
    /// What `from` sends to `to` on their links is lost, until they notice and the links end.
    Mute {
        /// Who is not heard.
        from: usize,
        /// By whom.
        to: usize,
    },
    /// One bit of the next frame for a node arrives altered.
    Alter {
        /// Whose.
        to: usize,
    },
    /// The next frame for a node arrives twice.
    Double {
        /// Whose.
        to: usize,
    },
    /// Whatever a node sends and receives takes longer.
    Slow {
        /// Which node.
        who: usize,
        /// By how much.
        late: Duration,
        /// For how long.
        lasts: Duration,
    },
    /// `far` and all others cannot reach each other.
    Part {
        /// Who is on the far side.
        far: Vec<usize>,
        /// For how long.
        lasts: Duration,
    },
    /// Nobody can make a link to a node, which can make links itself.
    Shut {
        /// Which.
        who: usize,
        /// For how long.
        lasts: Duration,
    },
    /// A node stands still, and its links are lost.
    Sleep {
        /// Which.
        who: usize,
        /// For how long.
        lasts: Duration,
    },
    /// A node's clock jumps, and stays so.
    Clock {
        /// Whose.
        who: usize,
        /// By how many milliseconds, forwards or back.
        by_ms: i64,
    },
    /// A node stops at once, and starts again.
    Crash {
        /// Which.
        who: usize,
        /// When.
        when: CrashAt,
        /// For how long it is down.
        down: Duration,
    },
    /// The next save of a node fails.
    FailSave {
        /// Whose.
        who: usize,
    },
    /// The next read of a node fails.
    FailLoad {
        /// Whose.
        who: usize,
    },
    /// All saves of a node fail.
    Full {
        /// Whose.
        who: usize,
        /// For how long.
        lasts: Duration,
    },
    /// No save of a node ends.
    Stall {
        /// Whose.
        who: usize,
        /// For how long.
        lasts: Duration,
    },
    /// A node stops and never starts again.
    Gone {
        /// Which.
        who: usize,
    },
    /// A copy of what a node keeps is put aside.
    Copy {
        /// Whose.
        who: usize,
    },
    /// A node stops and goes on from the copy that was put aside, if there is one.
    Restore {
        /// Which.
        who: usize,
    },
    /// A copy of what a node keeps runs beside it, and is never started again after that.
    Clone {
        /// Of which node.
        who: usize,
        /// For how long.
        lasts: Duration,
    },
}

/// When a node crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashAt {
    /// At once; a save under way is not made.
    Now,
    /// As the next save is made, before it is.
    BeforeSave,
    /// As soon as the next save is made, before anything is sent or told.
    AfterSave,
}

impl CrashAt {
    const ALL: [Self; 3] = [Self::Now, Self::BeforeSave, Self::AfterSave];

    pub(super) fn nth(number: usize) -> Self {
        Self::ALL[number % Self::ALL.len()]
    }
}

impl Fault {
    /// How long it lasts; zero for what happens once.
    pub fn lasts(&self) -> Duration {
        match self {
            Self::Slow { lasts, .. }
            | Self::Part { lasts, .. }
            | Self::Shut { lasts, .. }
            | Self::Sleep { lasts, .. }
            | Self::Full { lasts, .. }
            | Self::Stall { lasts, .. }
            | Self::Clone { lasts, .. } => *lasts,
            Self::Crash { down, .. } => *down,
            _ => Duration::ZERO,
        }
    }

    /// Its word and numbers, as [`read`](Self::read) takes them.
    pub(super) fn words(&self) -> (&'static str, Vec<i64>) {
        // Durations are drawn and read as small numbers of milliseconds.
        let ms = |duration: &Duration| duration.as_millis() as i64;
        let node = |node: &usize| *node as i64;
        match self {
            Self::Cut { one, other } => ("cut", vec![node(one), node(other)]),
            Self::Mute { from, to } => ("mute", vec![node(from), node(to)]),
            Self::Alter { to } => ("alter", vec![node(to)]),
            Self::Double { to } => ("double", vec![node(to)]),
            Self::Slow { who, late, lasts } => ("slow", vec![node(who), ms(late), ms(lasts)]),
            Self::Part { far, lasts } => {
                ("part", [ms(lasts)].into_iter().chain(far.iter().map(node)).collect())
            }
            Self::Shut { who, lasts } => ("shut", vec![node(who), ms(lasts)]),
            Self::Sleep { who, lasts } => ("sleep", vec![node(who), ms(lasts)]),
            Self::Clock { who, by_ms } => ("clock", vec![node(who), *by_ms]),
            Self::Crash { who, when, down } => ("crash", vec![node(who), *when as i64, ms(down)]),
            Self::FailSave { who } => ("failsave", vec![node(who)]),
            Self::FailLoad { who } => ("failload", vec![node(who)]),
            Self::Full { who, lasts } => ("full", vec![node(who), ms(lasts)]),
            Self::Stall { who, lasts } => ("stall", vec![node(who), ms(lasts)]),
            Self::Gone { who } => ("gone", vec![node(who)]),
            Self::Copy { who } => ("copy", vec![node(who)]),
            Self::Restore { who } => ("restore", vec![node(who)]),
            Self::Clone { who, lasts } => ("clone", vec![node(who), ms(lasts)]),
        }
    }

    pub(super) fn read(word: &str, numbers: &[i64]) -> Option<Self> {
        if let ("clock", &[who, by_ms]) = (word, numbers) {
            return Some(Self::Clock { who: usize::try_from(who).ok()?, by_ms });
        }
        let numbers: Option<Vec<usize>> =
            numbers.iter().map(|n| usize::try_from(*n).ok()).collect();
        let ms = |number: usize| Duration::from_millis(number as u64);
        Some(match (word, numbers?.as_slice()) {
            ("cut", &[one, other]) => Self::Cut { one, other },
            ("mute", &[from, to]) => Self::Mute { from, to },
            ("alter", &[to]) => Self::Alter { to },
            ("double", &[to]) => Self::Double { to },
            ("slow", &[who, late, lasts]) => Self::Slow { who, late: ms(late), lasts: ms(lasts) },
            ("part", [lasts, far @ ..]) => Self::Part { far: far.to_vec(), lasts: ms(*lasts) },
            ("shut", &[who, lasts]) => Self::Shut { who, lasts: ms(lasts) },
            ("sleep", &[who, lasts]) => Self::Sleep { who, lasts: ms(lasts) },
            ("crash", &[who, when, down]) => {
                Self::Crash { who, when: *CrashAt::ALL.get(when)?, down: ms(down) }
            }
            ("failsave", &[who]) => Self::FailSave { who },
            ("failload", &[who]) => Self::FailLoad { who },
            ("full", &[who, lasts]) => Self::Full { who, lasts: ms(lasts) },
            ("stall", &[who, lasts]) => Self::Stall { who, lasts: ms(lasts) },
            ("gone", &[who]) => Self::Gone { who },
            ("copy", &[who]) => Self::Copy { who },
            ("restore", &[who]) => Self::Restore { who },
            ("clone", &[who, lasts]) => Self::Clone { who, lasts: ms(lasts) },
            _ => return None,
        })
    }
}

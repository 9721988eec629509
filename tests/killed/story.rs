//! Three who talk all the time, a guest who comes and goes, and a hand that kills.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    chance::Chance,
    guest::{Guest, Stage},
    person::{Person, Sent},
};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(70);
/// The longest time between a start and the next kill, unless somebody is to be met first.
const NEXT_KILL_MS_MAX: u64 = 250;
/// How long a process that was started may take until it meets somebody, before the next is killed.
const MEETING_MAX: Duration = Duration::from_secs(3);
/// For how long one process is listened to before the others are.
const TURN: Duration = Duration::from_millis(5);
/// What is said while a guest is there, in the end.
const WORDS_TO_A_GUEST: usize = 20;
/// Messages in all: a history lists a thousand.
const MESSAGES_MAX: usize = 900;

pub(crate) struct Story {
    seed: u64,
    chance: Chance,
    /// Alice, who founds the server, Bob and Carol.
    pub(crate) people: Vec<Person>,
    pub(crate) guest: Option<Guest>,
    link: String,
    /// What guests who were removed wrote, and Alice had heard.
    pub(crate) kept_of_guests: Vec<Sent>,
    typed: usize,
    kills: usize,
    /// Lines that somebody died over.
    pub(crate) unanswered: usize,
    pub(crate) guests: usize,
    killed_last: String,
}

impl Story {
    /// Lets the three meet.
    pub(crate) fn begin(seed: u64) -> Self {
        let mut people: Vec<_> = ["Alice", "Bob", "Carol"].map(Person::new).into();
        let [alice, bob, carol] = &mut people[..] else { unreachable!("there are three") };
        crate::process::meet(&mut alice.chat, &mut [&mut bob.chat, &mut carol.chat]);
        let link = crate::process::invite(&mut alice.chat);
        for person in &mut people {
            person.is_in = true;
        }
        Self {
            seed,
            chance: Chance::new(seed),
            people,
            guest: None,
            link,
            kept_of_guests: Vec::new(),
            typed: 0,
            kills: 0,
            unanswered: 0,
            guests: 0,
            killed_last: String::new(),
        }
    }

    /// Some talk, now and then somebody comes or goes, and somebody is killed.
    pub(crate) fn round(&mut self) {
        for _ in 0..=self.chance.below(3) {
            self.say_something();
        }
        if self.chance.one_in(6) {
            self.change_members();
        }
        let wait = Duration::from_millis(self.chance.below(NEXT_KILL_MS_MAX));
        self.listen(Instant::now() + wait);
        // Once more at once, so that something is under way.
        self.say_something();
        self.kill_somebody();
        if self.chance.one_in(2) {
            self.listen(Instant::now());
        } else {
            self.until_met();
        }
    }

    fn say_something(&mut self) {
        if self.typed == MESSAGES_MAX {
            return;
        }
        self.typed += 1;
        let at = self.chance.place(self.people.len() + 1);
        let guest = self.guest.as_mut().filter(|guest| guest.stage == Stage::In);
        let person = match (self.people.get_mut(at), guest) {
            (Some(person), _) => person,
            (None, Some(guest)) => &mut guest.person,
            (None, None) => &mut self.people[0],
        };
        person.type_line(&format!("{} from {}", self.typed, person.name));
    }

    /// A guest comes, or is removed; one who is under way, or whom Alice does not know yet, is left alone.
    fn change_members(&mut self) {
        let alice = &mut self.people[0];
        match &mut self.guest {
            None => {
                self.guests += 1;
                self.guest = Some(Guest::join(self.guests, &self.link));
            }
            Some(guest) if guest.stage == Stage::In && guest.known => {
                self.kept_of_guests.extend(guest.heard_by(&alice.heard));
                guest.stage = Stage::Leaving;
                alice.type_line(&guest.removal());
            }
            Some(_) => {}
        }
    }

    fn kill_somebody(&mut self) {
        let at = self.chance.place(self.people.len());
        let guest = self.guest.as_mut().filter(|_| self.chance.one_in(6));
        let victim = match guest {
            Some(guest) => &mut guest.person,
            None => &mut self.people[at],
        };
        self.kills += 1;
        self.killed_last.clone_from(&victim.name);
        self.unanswered += victim.die_and_start();
    }

    fn until_met(&mut self) {
        let until = Instant::now() + MEETING_MAX;
        while Instant::now() < until && !self.everybody().all(|person| person.met) {
            self.listen(Instant::now() + TURN);
        }
    }

    /// Takes what everybody says until a moment.
    pub(crate) fn listen(&mut self, until: Instant) {
        loop {
            for person in self.everybody() {
                person.listen(Instant::now());
            }
            self.look_at_guest();
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            let turn = Instant::now() + left.min(TURN);
            self.people[0].listen(turn);
        }
    }

    fn look_at_guest(&mut self) {
        let Some(guest) = &mut self.guest else { return };
        guest.look(&mut self.people[0]);
        if guest.stage == Stage::Leaving && guest.is_removed(&mut self.people[0]) {
            self.guest = None;
        }
    }

    /// Lets a guest be there, to whom something is said, and waits until nothing that was begun is under way
    /// any more.
    pub(crate) fn come_to_rest(&mut self) {
        if self.guest.is_none() {
            self.change_members();
        }
        let until = Instant::now() + PATIENCE;
        let under_way =
            |story: &Self| story.guest.as_ref().is_some_and(|guest| guest.stage != Stage::In);
        while under_way(self) {
            assert!(Instant::now() < until, "a guest who neither comes nor goes");
            self.listen(Instant::now() + TURN);
        }
        for _ in 0..WORDS_TO_A_GUEST {
            self.say_something();
            self.listen(Instant::now() + TURN);
        }
        for person in self.everybody() {
            person.quiet(PATIENCE);
        }
    }

    /// The three, and the guest who is in.
    pub(crate) fn everybody(&mut self) -> impl Iterator<Item = &mut Person> {
        let guest = self.guest.as_mut().map(|guest| &mut guest.person);
        self.people.iter_mut().chain(guest)
    }
}

/// A story that failed says how to play it again, and keeps what it left.
impl Drop for Story {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let Self { seed, kills, killed_last, .. } = &*self;
        eprintln!("SPACEPANDA_SEED={seed}: after {kills} kills, the last of {killed_last}");
        for person in self.everybody() {
            person.show();
        }
    }
}

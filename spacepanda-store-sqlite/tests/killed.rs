//! Kills a process that saves, and looks whether everything it was told is there.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    env,
    error::Error,
    hash::{BuildHasher, Hasher},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
};

use futures::future::try_join_all;
use libtest_mimic::{Arguments, Failed, Trial};
use spacepanda_core::store::{Batch, Namespace, Page, ProviderStorageBackend};
use spacepanda_store_sqlite::SqliteStore;
use tokio::runtime::Runtime;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const BATCHES: Namespace = Namespace::new("batches");
/// Tells the process that it is the one to be killed, and where to save.
const PLACE_VARIABLE: &str = "SPACEPANDA_KILLED_PLACE";
/// Tells it the number of its first batch.
const FIRST_VARIABLE: &str = "SPACEPANDA_KILLED_FIRST";
const ROUNDS: usize = 5;
/// Lines after which a process is killed at the latest.
const LINES_MAX: u64 = 200;
/// How often the killer gives its turn away before it strikes, at most: it shall not always strike
/// right after a line.
const YIELDS_MAX: u64 = 500;
/// Saves under way at once.
const AT_ONCE: u64 = 3;
/// Values of one batch, and the length of each: a save takes longer than it takes to be killed.
const VALUES: u8 = 40;
const VALUE_LEN: usize = 6_000;
/// What a line says of the number after it.
const BEGUN: &str = "begun ";
const SAVED: &str = "saved ";

fn main() -> ExitCode {
    if let Ok(place) = env::var(PLACE_VARIABLE) {
        return match save_for_ever(Path::new(&place)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let name = "what save returned for outlives the process that is killed";
    let trial = Trial::test(name, || kill_again_and_again().map_err(Failed::from));
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn save_for_ever(place: &Path) -> Result<()> {
    let first: u64 = env::var(FIRST_VARIABLE)?.parse()?;
    Runtime::new()?.block_on(async {
        let store = SqliteStore::open(place).await?;
        for group in 0.. {
            let first = first + group * AT_ONCE;
            try_join_all((first..first + AT_ONCE).map(|number| save(&store, number))).await?;
        }
        Ok(())
    })
}

async fn save(store: &SqliteStore, number: u64) -> Result<()> {
    let mut batch = Batch::new();
    for part in 0..VALUES {
        let key = [&number.to_be_bytes()[..], &[part]].concat();
        batch.put(BATCHES, key, vec![part; VALUE_LEN]);
    }
    say(BEGUN, number)?;
    store.save(batch).await?;
    say(SAVED, number)
}

fn say(what: &str, number: u64) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}{number}")?;
    Ok(out.flush()?)
}

fn kill_again_and_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("store.db");
    let mut first = 0;
    for round in 0..ROUNDS {
        let (lines, yields) = (1 + any_below(LINES_MAX), any_below(YIELDS_MAX));
        let promised = kill_after(&place, first, lines, yields)?;
        let held = Runtime::new()?.block_on(held(&place))?;
        let what = format!("round {round}, killed after {lines} lines and {yields} yields");
        for (number, parts) in &held {
            assert_eq!(*parts, VALUES, "batch {number} is half there; {what}");
        }
        for number in &promised {
            assert!(held.contains_key(number), "batch {number} is lost; {what}");
        }
        let count = held.len() as u64;
        assert!(held.keys().copied().eq(0..count), "a batch before a later one is lost; {what}");
        first = count;
    }
    Ok(())
}

fn any_below(bound: u64) -> u64 {
    RandomState::new().build_hasher().finish() % bound
}

/// Starts a process that saves, kills it some time after it has said so many lines, and returns the
/// numbers of which it said that they are saved.
fn kill_after(place: &Path, first: u64, lines: u64, yields: u64) -> Result<Vec<u64>> {
    let mut child = Command::new(env::current_exe()?)
        .env(PLACE_VARIABLE, place)
        .env(FIRST_VARIABLE, first.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().ok_or("the child has no output")?;
    let mut promised = Vec::new();
    let mut said = 0;
    for line in BufReader::new(out).lines() {
        // What is read after the kill was said before it, so it counts.
        if let Some(number) = line?.strip_prefix(SAVED) {
            promised.push(number.parse()?);
        }
        said += 1;
        if said == lines {
            (0..yields).for_each(|_| thread::yield_now());
            child.kill()?;
        }
    }
    let status = child.wait()?;
    assert!(!status.success() && said >= lines, "it ended by itself: {status}");
    Ok(promised)
}

/// The numbers of the batches that are there, and how many values of each.
async fn held(place: &Path) -> Result<BTreeMap<u64, u8>> {
    let store = SqliteStore::open(place).await?;
    let mut held = BTreeMap::new();
    let mut after = None;
    loop {
        let page = Page { prefix: Default::default(), after, limit: 500 };
        let entries = store.scan(&BATCHES, page).await?;
        for (key, value) in &entries {
            let (number, part) = key.split_at(8);
            assert_eq!(value[..], vec![part[0]; VALUE_LEN]);
            *held.entry(u64::from_be_bytes(number.try_into()?)).or_default() += 1;
        }
        let Some((last, _)) = entries.into_iter().last() else { break };
        after = Some(last);
    }
    store.close().await?;
    Ok(held)
}

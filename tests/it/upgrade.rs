//! Journals that earlier versions left: a version that is reshaped reads them, tells the same of them, and goes on from
//! them to the same end.
//!
//! Each directory of `tests/fixtures/2026-11` is a simulated life that was cut off: its journal as SQL text, byte for byte
//! what was stored, its world, what else is needed to go on, and what the version of then (commit 36b6875) made of it: what
//! it folded from the journal, the documents it showed, and the end to which it came when it went on without further
//! trouble. Together they hold every kind of row (kind, scope, step, keys of the data) that occurs in 3,000 random lives,
//! which `combinations.txt` lists, and moments that those meet seldom, made by hand.
//!
//! The fixture is never recorded anew to make a change pass: it is what users have on their disks. Where a document gains a
//! key on purpose, or a promise is kept better, `expected.json` alone is amended, by hand, and the change says so. It was
//! recorded from commit 36b6875 by
//!
//! ```text
//! cargo test --test it -- --ignored --exact upgrade::lives_made_by_hand_are_written
//! cargo test --test it -- --ignored --exact --nocapture upgrade::random_lives_are_written
//! ```
//!
//! With `STILLFRAME_UPGRADE_TRACE=NN` and `--nocapture` the test prints how the life of directory NN goes on.
//!
//! A version that writes something new records a directory of its own, beside this one.

mod by_hand;
mod combinations;
mod differ;
mod documents;
mod dump;
mod fold;
mod lending;
mod life;
mod rest;
mod search;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use stillframe::journal::sqlite::SqliteJournal;

use self::life::{Life, Saved};
use crate::simulation::draw;
use crate::simulation::live::live_until;

const EXPECTED: &str = "expected.json";
/// So many seeds are searched.
const SEEDS: u64 = 3000;
/// So many differences are shown of each directory.
const SHOWN: usize = 12;

/// A runtime and a simulated time of its own.
fn within<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}

/// What this version makes of a directory.
fn made_of(dir: &Path) -> Value {
    let saved = Saved::read(dir);
    let (fold, documents) = within(async {
        let journal = SqliteJournal::read_only(saved.state.path()).expect("a journal");
        let fold = fold::fold(&journal, saved.state.path(), &saved.life.plans).await;
        (fold, documents::documents(&journal, &saved).await)
    });
    let number = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('-').next());
    let traced = std::env::var("STILLFRAME_UPGRADE_TRACE").is_ok_and(|wanted| Some(wanted.as_str()) == number);
    let end = within(rest::end(saved, traced));
    json!({ "fold": fold, "documents": documents, "end": end })
}

/// Does something with each directory, on all processors; the answers, in order.
fn each<T: Send>(work: impl Fn(&Path) -> T + Sync) -> Vec<T> {
    let directories = life::directories();
    let (next, answers) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((n, dir)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, directories.get(n)?)))
                {
                    let answer = work(dir);
                    answers.lock().expect("whole").push((n, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().expect("whole");
    answers.sort_by_key(|(n, _)| *n);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[test]
fn what_an_earlier_version_left_is_read_and_goes_on_as_before() {
    let wrong: Vec<String> = each(|dir| {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let made = std::panic::catch_unwind(|| made_of(dir));
        let Ok(made) = made else { return Some(format!("{name}: it panicked")) };
        let text = fs::read_to_string(dir.join(EXPECTED)).expect("what is expected");
        let recorded: Value = serde_json::from_str(&text).expect("JSON");
        let differ = differ::differences(&recorded, &made, SHOWN);
        (!differ.is_empty()).then(|| format!("{name}:\n    {}", differ.join("\n    ")))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(
        wrong.is_empty(),
        "{} lives of November 2026 are told or end otherwise:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_kind_of_row_is_among_them() {
    let there: BTreeSet<String> =
        each(|dir| combinations::of_rows(&dump::events(Saved::read(dir).state.path()))).into_iter().flatten().collect();
    let wanted = combinations::wanted();
    let missing: Vec<&String> = wanted.difference(&there).collect();
    assert!(wanted.len() > 100, "{} combinations are listed", wanted.len());
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Writes what is expected of a directory; or why it cannot serve.
fn expect(dir: &Path) -> Result<(), String> {
    let made = std::panic::catch_unwind(|| (made_of(dir), made_of(dir)));
    let Ok((made, again)) = made else { return Err("it panics".into()) };
    if made != again {
        return Err(format!("it does not replay: {:?}", differ::differences(&made, &again, 2)));
    }
    let broken = &made["end"]["broken"];
    fs::write(dir.join(EXPECTED), made.to_string() + "\n").expect("written");
    if *broken != json!([]) { Err(format!("it breaks {broken}")) } else { Ok(()) }
}

/// The same lives, told by a projection that tells more: only ever with the version that recorded them.
#[test]
#[ignore = "it writes the fixture"]
fn what_is_expected_is_written_again() {
    let bad: Vec<String> =
        each(|dir| expect(dir).err().map(|why| format!("{}: {why}", dir.display()))).into_iter().flatten().collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// The directories whose names hold `-seed-`, or those whose do not, are removed.
fn remove(random: bool) {
    for dir in life::directories().iter().filter(|dir| dir.to_string_lossy().contains("-seed-") == random) {
        fs::remove_dir_all(dir).expect("removed");
    }
}

/// See the top of this file for when.
#[test]
#[ignore = "it writes the fixture"]
fn lives_made_by_hand_are_written() {
    fs::create_dir_all(life::fixture()).expect("a directory");
    remove(false);
    let mut bad = Vec::new();
    for (n, make) in (1..).zip(by_hand::all()) {
        let dir = within(async {
            let (words, what, mut rig) = make().await;
            let dir = life::fixture().join(format!("{n:02}-{words}"));
            let life = Life::of(&rig, what, 0, 30);
            life::save(&dir, &mut rig, &life).await;
            dir
        });
        bad.extend(expect(&dir).err().map(|why| format!("{}: {why}", dir.display())));
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// After those, since it adds only what they lack. See the top of this file for when.
#[test]
#[ignore = "it writes the fixture"]
fn random_lives_are_written() {
    remove(true);
    let held = |dir: &Path| combinations::of_rows(&dump::events(Saved::read(dir).state.path()));
    let mut covered: BTreeSet<String> = each(held).into_iter().flatten().collect();
    let mut count = by_hand::all().len();
    let mut found = search::search(0..SEEDS);
    let list: Vec<&str> = found.combinations.iter().map(String::as_str).collect();
    fs::write(life::fixture().join(combinations::FILE), list.join("\n") + "\n").expect("written");
    while let Some((moment, adds)) = found.best(&covered) {
        count += 1;
        let kind = adds.split(' ').next().unwrap_or_default().replace(['.', '_'], "-");
        let dir = life::fixture().join(format!("{count:02}-seed-{}-{kind}", moment.seed));
        within(async {
            let plot = draw::plot(moment.seed);
            let mut rig = live_until(&plot, moment.cut).await;
            let what = format!("seed {}, journal {}, {:?}; for {adds}", moment.seed, moment.cut.0, moment.cut.2);
            let life = Life::of(&rig, &what, moment.seed, plot.down);
            life::save(&dir, &mut rig, &life).await;
        });
        let (serves, has) = (expect(&dir), held(&dir));
        let new = has.difference(&covered).count();
        println!("{}: {serves:?}, {new} more to {} of {}", dir.display(), covered.len(), found.combinations.len());
        if serves.is_ok() && new > 0 {
            covered.extend(has);
        } else {
            fs::remove_dir_all(&dir).expect("removed");
            found.bans(&moment);
            count -= 1;
        }
    }
    let missing: Vec<&String> = found.combinations.difference(&covered).collect();
    assert!(missing.is_empty(), "no moment serves for {missing:#?}");
}

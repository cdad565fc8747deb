//! How much was tried, in numbers: so that no kind of trouble silently never happens.

use std::collections::BTreeMap;
use std::fmt;

/// Counts of one life, or of many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    pub seeds: u64,
    /// Seconds of the world's time.
    pub seconds: u64,
    pub crashes: u64,
    pub restarts: u64,
    pub losses: u64,
    pub reloads: u64,
    pub requests: u64,
    pub images: u64,
    pub reboots: u64,
    pub deletions: u64,
    pub copies: u64,
    pub permissions: u64,
    pub grants: u64,
    /// By kind: what went wrong with AWS, each time it hit a call.
    pub faults: BTreeMap<&'static str, u64>,
    /// By kind: what people did.
    pub people: BTreeMap<&'static str, u64>,
    /// By kind: what happened to the daemon and its machine.
    pub moves: BTreeMap<&'static str, u64>,
    /// By decision.
    pub occurrences: BTreeMap<String, u64>,
    /// By outcome.
    pub targets: BTreeMap<String, u64>,
}

impl Figures {
    /// Adds those of other lives.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.seeds, other.seeds),
            (&mut self.seconds, other.seconds),
            (&mut self.crashes, other.crashes),
            (&mut self.restarts, other.restarts),
            (&mut self.losses, other.losses),
            (&mut self.reloads, other.reloads),
            (&mut self.requests, other.requests),
            (&mut self.images, other.images),
            (&mut self.reboots, other.reboots),
            (&mut self.deletions, other.deletions),
            (&mut self.copies, other.copies),
            (&mut self.permissions, other.permissions),
            (&mut self.grants, other.grants),
        ] {
            *mine += theirs;
        }
        merge(&mut self.faults, &other.faults);
        merge(&mut self.people, &other.people);
        merge(&mut self.moves, &other.moves);
        merge(&mut self.occurrences, &other.occurrences);
        merge(&mut self.targets, &other.targets);
    }
}

fn merge<K: Ord + Clone>(mine: &mut BTreeMap<K, u64>, theirs: &BTreeMap<K, u64>) {
    for (key, n) in theirs {
        *mine.entry(key.clone()).or_default() += n;
    }
}

fn list<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    counts.iter().map(|(key, n)| format!("{key} {n}")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss)] // shown to one digit
        let days = self.seconds as f64 / 86_400.0;
        writeln!(f, "{} seeds, {days:.1} simulated days", self.seeds)?;
        writeln!(
            f,
            "  daemon: crashes {}, restarts {}, journals lost {}, reloads {}; {}",
            self.crashes,
            self.restarts,
            self.losses,
            self.reloads,
            list(&self.moves)
        )?;
        writeln!(f, "  faults injected: {}", list(&self.faults))?;
        writeln!(f, "  people: {}", list(&self.people))?;
        writeln!(
            f,
            "  API requests {}: images made {}, reboots {}, deletions {}",
            self.requests, self.images, self.reboots, self.deletions
        )?;
        writeln!(
            f,
            "  distribution: copies made {}, permissions changed {}, grants made {}",
            self.copies, self.permissions, self.grants
        )?;
        write!(f, "  occurrences: {}; targets: {}", list(&self.occurrences), list(&self.targets))
    }
}

//! Finds few moments of few simulated lives in which, together, every kind of row occurs that occurs in any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use stillframe::domain::fact::Kind;
use stillframe::domain::fact::codec::encode;

use crate::support::rows::Draft;

use super::combinations;
use super::within;
use crate::simulation::draw;
use crate::simulation::journal::{Death, Op};
use crate::simulation::live::{CutAt, live_until};

/// A life that is never cut off, but whose journals remember all.
const NEVER: CutAt = (usize::MAX, 0, Death::After(0));
/// So many moments of each journal are looked at beside those at which something is written for the first time.
const MOMENTS: usize = 8;

/// A set of combinations, by their numbers.
type Bits = [u64; 8];

/// A moment at which a life may be cut off.
#[derive(Clone, Copy)]
pub struct Moment {
    pub seed: u64,
    pub cut: CutAt,
    /// How much is under way.
    open: u32,
    events: usize,
    has: Bits,
}

/// All moments of many lives, and the combinations that occur in them.
pub struct Found {
    pub combinations: BTreeSet<String>,
    names: BTreeMap<String, usize>,
    moments: Vec<Moment>,
    banned: BTreeSet<(u64, usize, u32)>,
}

/// Lives all these seeds.
pub fn search(seeds: Range<u64>) -> Found {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new((BTreeMap::new(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let journals: Vec<Vec<(u32, Op)>> = within(async {
                        let plot = draw::plot(seed);
                        let rig = live_until(&plot, NEVER).await;
                        rig.journals_before.iter().chain([&rig.journal]).map(|journal| journal.ops()).collect()
                    });
                    let mut found = found.lock().expect("whole");
                    let (names, moments) = &mut *found;
                    for (nth, ops) in journals.iter().enumerate() {
                        scan(seed, nth, ops, names, moments);
                    }
                }
            });
        }
    });
    let (names, moments): (BTreeMap<String, usize>, _) = found.into_inner().expect("whole");
    assert!(names.len() <= 64 * Bits::default().len(), "{} combinations", names.len());
    Found { combinations: names.keys().cloned().collect(), names, moments, banned: BTreeSet::new() }
}

fn has(bits: &Bits, n: usize) -> bool {
    bits[n / 64] & (1 << (n % 64)) != 0
}

fn scan(seed: u64, nth: usize, ops: &[(u32, Op)], names: &mut BTreeMap<String, usize>, moments: &mut Vec<Moment>) {
    let (mut bits, mut events, mut open) = (Bits::default(), 0, BTreeMap::new());
    let (mut first, mut middle) = (Vec::new(), Vec::new());
    for (at, (number, op)) in ops.iter().enumerate() {
        let Op::Append(_, drafts) = op else { continue };
        let before = bits;
        for draft in drafts {
            let known = names.len();
            let n = *names.entry(combinations::of_draft(&encode(draft))).or_insert(known);
            bits[n / 64] |= 1 << (n % 64);
            goes_on(&mut open, &encode(draft));
        }
        events += drafts.len();
        // What the next write tells may have happened already.
        let next = ops[at + 1..].iter().find_map(|(number, op)| match op {
            Op::Append(_, drafts) => Some((*number, drafts.iter().any(|d| d.kind() == Kind::StepDone))),
            _ => None,
        });
        let cut = match next {
            Some((next, true)) if next == number + 1 => (nth, next, Death::Before(next)),
            _ => (nth, *number, Death::After(*number)),
        };
        let moment = Moment { seed, cut, open: open.values().sum(), events, has: bits };
        if bits != before {
            first.push(moment);
        }
        if moment.open > 0 {
            middle.push(moment);
        }
    }
    let step = middle.len().div_ceil(MOMENTS).max(1);
    moments.extend(first);
    moments.extend(middle.iter().rev().step_by(step));
}

/// What is under way, with how much it weighs.
fn goes_on(open: &mut BTreeMap<(String, String, String), u32>, draft: &Draft) {
    let subject = draft.subject.as_ref().map(ToString::to_string).unwrap_or_default();
    let of = |step: &str| (draft.run.clone(), subject.clone(), step.to_owned());
    match draft.kind {
        Kind::StepIntent => drop(open.insert(of(&draft.step), 2)),
        Kind::StepUnknown => drop(open.insert(of(&draft.step), 4)),
        Kind::StepDone => {
            open.remove(&of(&draft.step));
            if draft.step == "image" || draft.step.starts_with("copy:") || draft.step.starts_with("via:") {
                open.insert(of(&draft.step), 1);
            }
        }
        Kind::StepObserved | Kind::StepRefused | Kind::StepAbandoned => drop(open.remove(&of(&draft.step))),
        Kind::SlotTaken => drop(open.insert(of("slot"), 2)),
        Kind::SlotFreed => drop(open.remove(&of("slot"))),
        Kind::LoanGiven => drop(open.insert(of("loan"), 2)),
        Kind::LoanReturned => drop(open.remove(&of("loan"))),
        Kind::RunFinished => open.retain(|(run, _, step), _| *run != draft.run || step == "slot" || step == "loan"),
        _ => {}
    }
}

impl Found {
    /// The moment that adds most to what is `covered`, small lives and much under way first; what it adds.
    pub fn best(&self, covered: &BTreeSet<String>) -> Option<(Moment, String)> {
        let mut missing = Bits::default();
        for (_, n) in self.names.iter().filter(|(name, _)| !covered.contains(*name)) {
            missing[n / 64] |= 1 << (n % 64);
        }
        let mut best: Option<(f64, Moment)> = None;
        for moment in self.moments.iter().filter(|m| !self.banned.contains(&(m.seed, m.cut.0, m.cut.1))) {
            let new: u32 = moment.has.iter().zip(&missing).map(|(has, missing)| (has & missing).count_ones()).sum();
            if new == 0 {
                continue;
            }
            let middle = 1.0 + f64::from(moment.open.min(8)) / 16.0;
            #[allow(clippy::cast_precision_loss)] // small
            let score = f64::from(new) * middle / (150 + moment.events) as f64;
            let better = best.as_ref().is_none_or(|(known, other)| {
                let order = (moment.seed, moment.cut.0, moment.cut.1).cmp(&(other.seed, other.cut.0, other.cut.1));
                score > *known || (score >= *known && order.is_lt())
            });
            if better {
                best = Some((score, *moment));
            }
        }
        let (_, moment) = best?;
        let adds = self.names.iter().find(|(_, n)| has(&moment.has, **n) && has(&missing, **n));
        Some((moment, adds.map(|(name, _)| name.clone()).unwrap_or_default()))
    }

    /// That moment does not serve.
    pub fn bans(&mut self, moment: &Moment) {
        self.banned.insert((moment.seed, moment.cut.0, moment.cut.1));
    }
}

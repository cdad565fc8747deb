//! A model of the driver, around the pure decision: every life of a chain of eight links, with a crash at each record or
//! between an effect and its record, a drain and the end of the window at each point, each link refused, each answer lost, and
//! each link that gives back failing for a while. And mutations of the decision, each of which must break it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// mute, before hook, deregister | image | return, register, after hook, unmute.
const CHAIN: [Link; 8] = [
    Link { part: Part::Take, downs: false },
    Link { part: Part::Take, downs: true },
    Link { part: Part::Take, downs: true },
    Link { part: Part::Make, downs: true },
    Link { part: Part::Gate, downs: true },
    Link { part: Part::Give { of: 2 }, downs: false },
    Link { part: Part::Give { of: 1 }, downs: false },
    Link { part: Part::Give { of: 0 }, downs: false },
];
const MAKE: usize = 3;
const GATE: usize = 4;
/// Later than anything.
const NEVER: usize = 10_000;
/// A drain lasts for so many moments.
const DRAIN: usize = 6;
/// A life that takes longer does not end.
const END: usize = 400;

type Decide = fn(&[Phase], &[Link], bool, &Verdict, bool) -> Next;

#[derive(Debug, Clone, PartialEq)]
enum Fact {
    Intent(usize),
    Good(usize),
    Refused(usize),
    Lost(usize),
    NotMade(usize),
    Stuck(usize),
    SlotTaken,
    SlotFreed,
    Finished(Ended),
}

/// As the fold must tell it.
fn fold(log: &[Fact]) -> (Vec<Phase>, bool, Option<Ended>) {
    let (mut phase, mut slot, mut finished) = (vec![Phase::None; CHAIN.len()], false, None);
    for fact in log {
        match *fact {
            Fact::Intent(i) => {
                phase[i] = Phase::Intended;
                for (g, link) in CHAIN.iter().enumerate() {
                    match (CHAIN[i].part, link.part) {
                        (Part::Take, Part::Give { of }) if of == i => phase[g] = Phase::None,
                        (Part::Make, Part::Gate) => phase[g] = Phase::None,
                        _ => {}
                    }
                }
            }
            Fact::Good(i) => {
                phase[i] = Phase::Good;
                if let Part::Give { of } = CHAIN[i].part {
                    phase[of] = Phase::NotMade;
                }
            }
            Fact::Refused(i) => phase[i] = Phase::Failed,
            Fact::Lost(i) => phase[i] = Phase::Unknown,
            Fact::NotMade(i) => phase[i] = Phase::NotMade,
            Fact::Stuck(i) => phase[i] = Phase::Stuck,
            Fact::SlotTaken => slot = true,
            Fact::SlotFreed => slot = false,
            Fact::Finished(end) => finished = Some(end),
        }
    }
    (phase, slot, finished)
}

#[derive(Debug, Clone, Copy)]
struct Life {
    /// The process dies at this moment.
    crash: usize,
    /// The daemon drains from here on.
    drain: usize,
    /// The window is over from here on.
    window: usize,
    /// This link is refused.
    refused: Option<usize>,
    /// The answer of this link is lost, and whether it was made.
    lost: Option<(usize, bool)>,
    /// This link of the way up fails at first, and a person is called for it.
    stuck: Option<usize>,
}

/// The world and the journal.
struct Told {
    log: Vec<Fact>,
    moment: usize,
    taken: BTreeSet<usize>,
    ever: BTreeSet<usize>,
    given: BTreeSet<usize>,
    reboots: u32,
    healthy: bool,
}

/// The process died.
struct Died;

impl Told {
    fn moment(&mut self, life: &Life) -> Result<(), Died> {
        self.moment += 1;
        if self.moment == life.crash { Err(Died) } else { Ok(()) }
    }

    fn write(&mut self, life: &Life, facts: &[Fact]) -> Result<(), Died> {
        self.log.extend_from_slice(facts);
        self.moment(life)
    }

    fn wrong(&self, what: &str) -> String {
        format!("{what}: {:?}", self.log)
    }
}

/// Lives it to its end; what is wrong with it.
fn live(life: Life, decide: Decide) -> Result<Ended, String> {
    let mut told = Told {
        log: Vec::new(),
        moment: 0,
        taken: BTreeSet::new(),
        ever: BTreeSet::new(),
        given: BTreeSet::new(),
        reboots: 0,
        healthy: true,
    };
    let (mut lost, mut called) = (life.lost, life.stuck);
    for _ in 0..END {
        let (_, slot, finished) = fold(&told.log);
        if let (Some(end), false) = (finished, slot) {
            return at_rest(&told, end);
        }
        match step(&mut told, &life, decide, &mut lost, &mut called) {
            Ok(()) => {}
            Err(Some(wrong)) => return Err(wrong),
            Err(None) => {} // a new process goes on
        }
    }
    Err(told.wrong("it does not end"))
}

fn at_rest(told: &Told, end: Ended) -> Result<Ended, String> {
    if !told.taken.is_empty() {
        return Err(told.wrong(&format!("{:?} is left taken", told.taken)));
    }
    if told.reboots > 1 {
        return Err(told.wrong("rebooted twice"));
    }
    if !told.ever.is_subset(&told.given) {
        return Err(told.wrong("something was never given back"));
    }
    Ok(end)
}

/// What the driver does at one moment; what is wrong, or nothing where the process has died.
fn step(
    told: &mut Told,
    life: &Life,
    decide: Decide,
    lost: &mut Option<(usize, bool)>,
    called: &mut Option<usize>,
) -> Result<(), Option<String>> {
    let died = |_: Died| None;
    let (phase, slot, finished) = fold(&told.log);
    let stopping = (life.drain..life.drain + DRAIN).contains(&told.moment);
    let may = if told.moment >= life.window { Verdict::No(Why::Window(1)) } else { Verdict::Go };
    let next = decide(&phase, &CHAIN, slot, &may, stopping);
    if next.bracket == Bracket::Close {
        if !told.taken.is_empty() || !told.healthy {
            return Err(Some(told.wrong("the slot is freed, and it is not as it was")));
        }
        return told.write(life, &[Fact::SlotFreed]).map_err(died);
    }
    if let (Some(end), None) = (next.target, finished)
        && (!slot || end == Ended::NotBack)
    {
        return told.write(life, &[Fact::Finished(end)]).map_err(died);
    }
    let Some(i) = pick(&next, &phase) else {
        if !stopping {
            return Err(Some(told.wrong("nothing is left to do, and it has not ended")));
        }
        if !told.taken.is_empty() && told.reboots == 0 {
            return Err(Some(told.wrong("it stops before the call, and something is taken")));
        }
        return told.moment(life).map_err(died);
    };
    match CHAIN[i].part {
        Part::Gate if stopping => told.moment(life).map_err(died),
        Part::Gate if *called == Some(i) => {
            *called = None;
            told.write(life, &[Fact::Stuck(i)]).map_err(died)
        }
        Part::Gate => {
            told.healthy = true;
            told.write(life, &[Fact::Good(i)]).map_err(died)
        }
        Part::Give { of } => give(told, life, i, of, called),
        Part::Take | Part::Make if matches!(phase[i], Phase::Intended | Phase::Unknown) => {
            let there = told.taken.contains(&i) || i == MAKE && told.reboots > 0;
            told.write(life, &[if there { Fact::Good(i) } else { Fact::NotMade(i) }]).map_err(died)
        }
        Part::Take | Part::Make => {
            if may != Verdict::Go || stopping {
                return Err(Some(told.wrong(&format!("{i} is begun although it may not be"))));
            }
            take(told, life, i, slot, lost)
        }
    }
}

/// One at a time; the image's own end before the way up, so that its answer is known.
fn pick(next: &Next, phase: &[Phase]) -> Option<usize> {
    let last = *next.start.last()?;
    let open = matches!(phase[MAKE], Phase::Intended | Phase::Unknown) && next.start.contains(&MAKE);
    Some(if CHAIN[last].part == Part::Gate && open { MAKE } else { last })
}

fn take(
    told: &mut Told,
    life: &Life,
    i: usize,
    slot: bool,
    lost: &mut Option<(usize, bool)>,
) -> Result<(), Option<String>> {
    let died = |_: Died| None;
    let mut facts = vec![Fact::Intent(i)];
    if CHAIN[i].downs && !slot {
        facts.push(Fact::SlotTaken);
    }
    told.write(life, &facts).map_err(died)?;
    if life.refused == Some(i) {
        return told.write(life, &[Fact::Refused(i)]).map_err(died);
    }
    if i == MAKE && told.taken.len() != MAKE {
        return Err(Some(told.wrong("the image is made, and not all is taken")));
    }
    let answer = lost.take_if(|(of, _)| *of == i);
    if answer.is_none_or(|(_, made)| made) {
        if i == MAKE {
            told.reboots += 1;
            told.healthy = false;
        } else {
            told.taken.insert(i);
            told.ever.insert(i);
        }
    }
    told.moment(life).map_err(died)?; // made, and not written
    told.write(life, &[if answer.is_some() { Fact::Lost(i) } else { Fact::Good(i) }]).map_err(died)
}

fn give(told: &mut Told, life: &Life, i: usize, of: usize, called: &mut Option<usize>) -> Result<(), Option<String>> {
    let died = |_: Died| None;
    if told.reboots > 0 && !told.healthy {
        return Err(Some(told.wrong(&format!("{i} gives back before it is healthy"))));
    }
    // What a person was called for holds up nothing else.
    let (phase, ..) = fold(&told.log);
    let waits = |later: &usize| later_give(*later).is_none_or(|give| phase[give] != Phase::Stuck);
    if told.taken.iter().any(|later| *later > of && waits(later)) {
        return Err(Some(told.wrong(&format!("{of} is given back before what was taken after it"))));
    }
    if called.take_if(|called| *called == i).is_some() {
        // Others go on; it is tried again until it works.
        return told.write(life, &[Fact::Intent(i), Fact::Stuck(i)]).map_err(died);
    }
    told.write(life, &[Fact::Intent(i)]).map_err(died)?;
    told.taken.remove(&of);
    told.given.insert(of);
    told.moment(life).map_err(died)?;
    told.write(life, &[Fact::Good(i)]).map_err(died)
}

/// The link that gives back what `take` has taken.
fn later_give(take: usize) -> Option<usize> {
    CHAIN.iter().position(|link| link.part == Part::Give { of: take })
}

/// All lives; how they end, or the first that goes wrong.
fn all(decide: Decide, every: usize) -> Result<BTreeMap<String, u32>, String> {
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    let points = |n: usize| (0..n).chain([NEVER]).step_by(every);
    let refused: Vec<Option<usize>> = (0..=MAKE).map(Some).chain([None]).collect();
    let lost: Vec<Option<(usize, bool)>> =
        (0..=MAKE).flat_map(|i| [Some((i, true)), Some((i, false))]).chain([None]).collect();
    let stuck = || (GATE..CHAIN.len()).map(Some).chain([None]);
    for crash in points(30) {
        for drain in points(24) {
            for window in points(24) {
                for refused in &refused {
                    for lost in &lost {
                        for stuck in stuck() {
                            let life = Life { crash, drain, window, refused: *refused, lost: *lost, stuck };
                            let end = live(life, decide).map_err(|why| format!("{life:?}\n{why}"))?;
                            *ends.entry(format!("{end:?}")).or_default() += 1;
                        }
                    }
                }
            }
        }
    }
    Ok(ends)
}

#[test]
fn every_life_gives_back_what_it_took() {
    let ends = all(next, 2).unwrap_or_else(|wrong| panic!("{wrong}"));
    for end in ["Done", "Failed(0)", "Failed(1)", "Failed(2)", "Failed(3)", "NotBack", "NotNow"] {
        assert!(ends.contains_key(end), "no life ends {end}: {ends:?}");
    }
}

/// Takes the way down on although it must turn.
fn never_turns(phase: &[Phase], chain: &[Link], slot: bool, _: &Verdict, _: bool) -> Next {
    next(phase, chain, slot, &Verdict::Go, false)
}

/// Frees the slot as soon as the image is made.
fn frees_early(phase: &[Phase], chain: &[Link], slot: bool, may: &Verdict, stopping: bool) -> Next {
    let mut next = next(phase, chain, slot, may, stopping);
    if slot && phase[MAKE] == Phase::Good {
        next.bracket = Bracket::Close;
    }
    next
}

/// Gives back at once, without waiting for the instance.
fn skips_gates(phase: &[Phase], chain: &[Link], slot: bool, may: &Verdict, stopping: bool) -> Next {
    let mut phase = phase.to_vec();
    phase[GATE] = Phase::Good;
    next(&phase, chain, slot, may, stopping)
}

/// Takes what was refused, or lost, for not taken.
fn forgets_what_was_lost(phase: &[Phase], chain: &[Link], slot: bool, may: &Verdict, stopping: bool) -> Next {
    let known = |phase: &Phase| if *phase == Phase::Unknown { Phase::Failed } else { *phase };
    next(&phase.iter().map(known).collect::<Vec<_>>(), chain, slot, may, stopping)
}

/// Makes the image before all is taken.
fn makes_first(phase: &[Phase], chain: &[Link], slot: bool, may: &Verdict, stopping: bool) -> Next {
    let mut phase = phase.to_vec();
    if phase[2] == Phase::None {
        phase[2] = Phase::Good;
    }
    next(&phase, chain, slot, may, stopping)
}

/// Gives back in the order in which it was taken.
fn gives_back_backwards(phase: &[Phase], chain: &[Link], slot: bool, may: &Verdict, stopping: bool) -> Next {
    let mut next = next(phase, chain, slot, may, stopping);
    if let Some(last) = next.start.last_mut()
        && let Part::Give { .. } = chain[*last].part
        && let Some(other) = (*last + 1..chain.len()).rev().find(|i| {
            matches!(chain[*i].part, Part::Give { of } if phase[of].may_be_there()) && phase[*i] != Phase::Good
        })
    {
        *last = other;
    }
    next
}

#[test]
fn each_mutation_breaks_it() {
    let mutations: [(&str, Decide); 6] = [
        ("never turns", never_turns),
        ("frees early", frees_early),
        ("skips gates", skips_gates),
        ("forgets what was lost", forgets_what_was_lost),
        ("makes first", makes_first),
        ("gives back backwards", gives_back_backwards),
    ];
    for (name, mutation) in mutations {
        assert!(all(mutation, 3).is_err(), "{name} breaks nothing");
    }
}

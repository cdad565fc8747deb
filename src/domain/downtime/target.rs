//! The chain that every target goes through, and how its steps are read by the bracket.

use super::{Link, Next, Part, Phase, Verdict, next};
use crate::domain::event::Outcome;
use crate::domain::fact::StepId;
use crate::domain::prevented::Hindrance;
use crate::domain::saga::{self, Slot, TargetState};

/// What a target goes through: the steps, each with what it is.
pub type Chain = Vec<(StepId, Link)>;

/// What is taken from an instance before its image is made: the step, whether the instance counts as down from it on, and
/// the step that gives it back.
pub type Take = (StepId, bool, StepId);

/// The chain with these takes, in their order; what is given back goes the other way.
#[must_use]
pub fn chain(takes: &[Take]) -> Chain {
    let down = takes.iter().map(|(take, downs, _)| (take.clone(), Link { part: Part::Take, downs: *downs }));
    let image = [
        (StepId::Image, Link { part: Part::Make, downs: true }),
        (StepId::Return, Link { part: Part::Gate, downs: true }),
    ];
    let give = |(of, (_, _, give)): (usize, &Take)| (give.clone(), Link { part: Part::Give { of }, downs: false });
    down.chain(image).chain(takes.iter().enumerate().rev().map(give)).collect()
}

/// How far a step has come. What was refused may have been made in an earlier attempt all the same: then its slot was not
/// freed, or its debt not settled, with the refusal.
fn phase(target: &TargetState, step: &StepId, part: Part, chain: &[(StepId, Link)]) -> Phase {
    let state = target.steps.get(step);
    if let Part::Give { of } = part {
        // What was never taken, or is given back, is as good as given back.
        let Some(owed) = target.steps.get(&chain[of].0).and_then(|take| take.owed) else { return Phase::Good };
        // An end before the debt was another one's.
        return match state.filter(|state| state.attempt >= owed) {
            None => Phase::None,
            Some(state) if state.alarmed => Phase::Stuck,
            Some(state) => phase_of(&state.phase, Phase::Stuck),
        };
    }
    let Some(state) = state else { return Phase::None };
    match part {
        Part::Take => {
            let end = phase_of(&state.phase, if state.owed.is_some() { Phase::Abandoned } else { Phase::Failed });
            // Given back: it may be taken again.
            let given = state.owed.is_none() && state.back.is_some() && end != Phase::Failed;
            if given { Phase::NotMade } else { end }
        }
        Part::Make => {
            // The slot may be held by what was taken before.
            let taken = target.steps.values().any(|step| step.back.is_some());
            let may_be_there = matches!(target.slot, Slot::Taken(_)) && !(state.unmade && taken);
            phase_of(&state.phase, if may_be_there { Phase::Abandoned } else { Phase::Failed })
        }
        Part::Gate | Part::Give { .. } => phase_of(&state.phase, Phase::Stuck),
    }
}

/// The same word; `bad` where it ended without being good.
fn phase_of(phase: &saga::Phase, bad: Phase) -> Phase {
    match phase {
        saga::Phase::Intended => Phase::Intended,
        saga::Phase::NotMade => Phase::NotMade,
        saga::Phase::Unknown => Phase::Unknown,
        saga::Phase::Done => Phase::Done,
        saga::Phase::Good => Phase::Good,
        saga::Phase::Left(_) | saga::Phase::Bad(_) => bad,
    }
}

/// What comes next for a target.
#[must_use]
pub fn next_of(target: &TargetState, chain: &[(StepId, Link)], stopping: bool) -> Next {
    let of = |(step, link): &(StepId, Link)| phase(target, step, link.part, chain);
    let phases: Vec<Phase> = chain.iter().map(of).collect();
    let links: Vec<Link> = chain.iter().map(|(_, link)| *link).collect();
    // Each take, and what makes the image, asks by itself whether it may go down, right before the call, and its step tells
    // why not.
    next(&phases, &links, matches!(target.slot, Slot::Taken(_)), &Verdict::Go, stopping)
}

/// How a target has ended, and why, by what its steps tell.
#[must_use]
pub fn end_of(target: &TargetState, chain: &[(StepId, Link)]) -> (Outcome, Hindrance) {
    let ends = |wanted: fn(&saga::Phase) -> Option<&String>| -> Vec<String> {
        let why = |(step, _): &(StepId, Link)| Some(format!("{step}: {}", wanted(&target.steps.get(step)?.phase)?));
        chain.iter().filter_map(why).collect()
    };
    let bad = ends(|phase| if let saga::Phase::Bad(why) = phase { Some(why) } else { None });
    let left = ends(|phase| if let saga::Phase::Left(why) = phase { Some(why) } else { None });
    match (bad.is_empty(), left.is_empty()) {
        (false, _) => (Outcome::Failed, bad.join("; ").into()),
        (true, false) => {
            let prevented = chain.iter().find_map(|(step, _)| target.steps.get(step)?.prevented);
            (Outcome::Skipped, Hindrance { reason: left.join("; "), prevented })
        }
        (true, true) => (Outcome::Done, String::new().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::saga::tests::target;

    /// What to start, `*` at what goes on although a person was called; or how it has ended.
    fn word(target: &TargetState, chain: &[(StepId, Link)]) -> String {
        let next = next_of(target, chain, false);
        let start: Vec<String> = next.start.iter().map(|i| chain[*i].0.to_string()).collect();
        match next.target {
            None => start.join(" "),
            Some(_) => {
                let (outcome, why) = end_of(target, chain);
                let end = format!("{} {}", outcome.as_str(), why.reason).trim_end().to_owned();
                if start.is_empty() { end } else { format!("{end} | {}", start.join(" ")) }
            }
        }
    }

    #[test]
    fn what_comes_next() {
        // Facts, and what comes next: steps, or the end of the target and what goes on beyond it.
        let table = [
            ("sel", "image"),
            ("sel i+ down", "image return"),
            ("sel i+ down i?", "image return"),
            ("sel i+ down i? i+2", "image return"),
            ("sel i+ down i=", "image return"),
            ("sel i+ down i= r+ r= rg back", "image"),
            ("sel i+ down i= ig", "return"),
            ("sel i+ down i= ig r+ r= rg back", "done"),
            ("sel i+ down i= r+ r= rg back ig", "done"),
            ("sel i+ down i= r+ r= rg back ib", "failed image: failed"),
            ("sel i+ down i= r+ r= rf", "image return"),
            ("sel i+ down i= r+ r= rf ig", "failed return: unwell | return"),
            ("sel i+ down i= r+ r= rf ib", "failed image: failed; return: unwell | return"),
            ("sel i+ down i= r+ r= rf ig back", "failed return: unwell"),
            ("sel i- ", "failed image: no"),
            ("sel i+ down i- back", "failed image: no"),
            ("sel i+ down i? i-", "return"), // an earlier attempt may have rebooted it
            ("sel is", "skipped image: late"),
            ("sel i+ down is back", "skipped image: late"),
            ("sel i+ down ia", "image"), // certainly not made: the gate counts from its next intent on
            ("sel i+ down i? ix", "return"),
            ("sel i+ down i? ix r+ r= rg back", "failed image: lost"),
            ("sel i+ down i= i! r+ r= rg back ig", "done"),
            ("still", "image"),
            ("still i+", "image"),
            ("still i+ i= ig", "done"),
            ("still i+ i= ib", "failed image: failed"),
        ];
        for (events, expected) in table {
            assert_eq!(word(&target(events), &chain(&[])), expected, "{events}");
        }
    }

    /// With something taken by the step `t` (`o` owed, `p` settled), which the step `u` gives back.
    #[test]
    fn what_comes_next_where_something_is_taken() {
        let (take, give) = (StepId::Lend("d".into()), StepId::Reclaim("d".into()));
        let taken = "sel t+ to down t= tg";
        let table = [
            ("sel", "lend:d"),
            ("sel t+ to down", "lend:d"),
            (taken, "image"),
            ("sel tg", "image"), // there was nothing to take
            ("sel tg i+ down i= ig r+ r= rg back", "done"),
            ("T i+", "image return"),
            ("T i+ i= ig", "return"),
            ("T i+ i= ig r+ r= rg", "reclaim:d"),
            ("T i+ i= r+ r= rg", "image reclaim:d"),
            ("T i+ i= ig r+ r= rg u+", "reclaim:d"),
            ("T i+ i= ig r+ r= rg u+ u!", "done | reclaim:d"), // a person was called
            ("T i+ i= ig r+ r= rg u+ u! u= ug tp", "done"),
            ("T i+ i= ig r+ r= rf", "failed return: unwell | return"),
            ("T i+ i= ig r+ r= rf rg", "reclaim:d"),
            ("T is", "reclaim:d"),
            ("T is u+ u= ug tp", "skipped image: late"),
            ("sel t+ to down t- tp back", "failed lend:d: no"),
            ("sel ts", "skipped lend:d: late"),
            ("sel t+ to down t? t-", "reclaim:d"), // an earlier attempt may have taken it
            ("sel t+ to down tx", "reclaim:d"),
            ("sel t+ to down tx u+ u= ug tp", "failed lend:d: lost"),
            // Given back by a drain, and taken once more.
            ("T u+ u= ug tp", "lend:d"),
            ("T u+ u= ug tp t+2 to2 t=2 tg2", "image"),
            ("T u+ u= ug tp t+2 to2 t=2 tg2 i+ i= ig r+ r= rg", "reclaim:d"),
            ("T u+ u= ug tp t+2 to2 t=2 tg2 i+ i= ig r+ r= rg u+2 u=2 ug2 tp2", "done"),
        ];
        for (events, expected) in table {
            let told = events.replace('T', taken);
            assert_eq!(word(&target(&told), &chain(&[(take.clone(), true, give.clone())])), expected, "{events}");
        }
    }

    #[test]
    fn a_drain_turns_the_way_down() {
        let chain = chain(&[(StepId::Lend("d".into()), true, StepId::Reclaim("d".into()))]);
        let start = |events: &str| {
            let next = next_of(&target(events), &chain, true);
            next.start.iter().map(|i| chain[*i].0.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(start("sel"), "");
        assert_eq!(start("sel t+ to down t= tg"), "reclaim:d");
        assert_eq!(start("sel t+ to down"), "reclaim:d");
        assert_eq!(start("sel t+ to down t= tg i+"), "image return", "after the call it goes on");
    }
}

//! The chain that every target goes through, and how its steps are read by the bracket.

use super::{Link, Next, Part, Phase, Verdict, next};
use crate::domain::event::Outcome;
use crate::domain::fact::StepId;
use crate::domain::saga::{self, Slot, StepState, TargetState};

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
/// freed, or its debt not settled, with the refusal. What was given back may be taken again. `since`: of what gives back,
/// the attempt that it gives back; an end before it was another one's.
fn phase(step: Option<&StepState>, part: Part, slot: Slot, since: Option<u32>) -> Phase {
    let Some(step) = step.filter(|step| since.is_none_or(|since| step.attempt >= since)) else { return Phase::None };
    match (&step.phase, part) {
        (saga::Phase::Left(_) | saga::Phase::Bad(_), Part::Take) if step.owed.is_some() => Phase::Abandoned,
        (saga::Phase::Left(_) | saga::Phase::Bad(_), Part::Take) => Phase::Failed,
        (saga::Phase::Done | saga::Phase::Good, Part::Take) if step.owed.is_none() => Phase::NotMade,
        (_, Part::Give { .. }) if step.alarmed && !step.ended() => Phase::Stuck,
        (saga::Phase::Intended, _) => Phase::Intended,
        (saga::Phase::NotMade, _) => Phase::NotMade,
        (saga::Phase::Unknown, _) => Phase::Unknown,
        (saga::Phase::Done, _) => Phase::Done,
        (saga::Phase::Good, _) => Phase::Good,
        (saga::Phase::Left(_) | saga::Phase::Bad(_), Part::Gate | Part::Give { .. }) => Phase::Stuck,
        (saga::Phase::Left(_) | saga::Phase::Bad(_), Part::Make) if matches!(slot, Slot::Taken(_)) => Phase::Abandoned,
        (saga::Phase::Left(_) | saga::Phase::Bad(_), Part::Make) => Phase::Failed,
    }
}

/// What comes next for a target.
#[must_use]
pub fn next_of(target: &TargetState, chain: &[(StepId, Link)], stopping: bool) -> Next {
    let of = |(step, link): &(StepId, Link)| {
        let since = match link.part {
            Part::Give { of } => target.steps.get(&chain[of].0).and_then(|take| take.owed),
            Part::Take | Part::Make | Part::Gate => None,
        };
        phase(target.steps.get(step), link.part, target.slot, since)
    };
    let phases: Vec<Phase> = chain.iter().map(of).collect();
    let links: Vec<Link> = chain.iter().map(|(_, link)| *link).collect();
    // Each take, and what makes the image, asks by itself whether it may go down, right before the call, and its step tells
    // why not.
    next(&phases, &links, matches!(target.slot, Slot::Taken(_)), &Verdict::Go, stopping)
}

/// How a target has ended, and why, by what its steps tell.
#[must_use]
pub fn end_of(target: &TargetState, chain: &[(StepId, Link)]) -> (Outcome, String) {
    let ends = |wanted: fn(&saga::Phase) -> Option<&String>| -> Vec<String> {
        let why = |(step, _): &(StepId, Link)| Some(format!("{step}: {}", wanted(&target.steps.get(step)?.phase)?));
        chain.iter().filter_map(why).collect()
    };
    let bad = ends(|phase| if let saga::Phase::Bad(why) = phase { Some(why) } else { None });
    let left = ends(|phase| if let saga::Phase::Left(why) = phase { Some(why) } else { None });
    match (bad.is_empty(), left.is_empty()) {
        (false, _) => (Outcome::Failed, bad.join("; ")),
        (true, false) => (Outcome::Skipped, left.join("; ")),
        (true, true) => (Outcome::Done, String::new()),
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
                let end = format!("{} {why}", outcome.as_str()).trim_end().to_owned();
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
}

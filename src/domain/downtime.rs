//! The downtime bracket of one instance: one list of what is taken from it, the image that is made, what its way up waits for,
//! and what is given back. The way down goes through the list in order; the way up leaves out what was never taken.
//!
//! It belongs to the engine, not to a run: it may outlive its run, and the process.

mod target;
mod verdict;

pub use self::target::{Chain, Take, chain, end_of, next_of};
pub use self::verdict::{Asked, Gates, Verdict, Why, may_go_down};

/// What a link of the chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Takes something, which must be given back.
    Take,
    /// Makes the image. Each chain has one.
    Make,
    /// Waits for the instance before anything is given back. It does not end by time.
    Gate,
    /// Gives back what the link at `of` has taken.
    Give {
        /// The place of that link in the chain.
        of: usize,
    },
}

/// One link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// What it is.
    pub part: Part,
    /// Of a take, or of what makes the image: the instance counts as down from its intent on. Of a gate: it is needed only
    /// where the instance counts as down.
    pub downs: bool,
}

/// How far a link has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of it.
    None,
    /// The intent is written; whether the effect was made is not known.
    Intended,
    /// The effect was certainly not made, or was given back; it may be made in another attempt.
    NotMade,
    /// The effect's answer was lost.
    Unknown,
    /// The effect was made; what it brought about has not ended.
    Done,
    /// Ended well.
    Good,
    /// Ended, certainly without effect.
    Failed,
    /// Ended; the effect may be there.
    Abandoned,
    /// Of what gives back, and of a gate: a person was called; it goes on.
    Stuck,
}

impl Phase {
    /// Whether its effect may be there: then it has to be given back.
    #[must_use]
    pub fn may_be_there(self) -> bool {
        match self {
            Self::Intended | Self::Unknown | Self::Done | Self::Good | Self::Abandoned => true,
            Self::None | Self::NotMade | Self::Failed | Self::Stuck => false,
        }
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub fn ended(self) -> bool {
        match self {
            Self::Good | Self::Failed | Self::Abandoned => true,
            Self::None | Self::Intended | Self::NotMade | Self::Unknown | Self::Done | Self::Stuck => false,
        }
    }
}

/// Whether the instance counts as down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bracket {
    /// It does not.
    Untouched,
    /// It does, and goes on to.
    Open,
    /// Nothing is owed any more: its slot is freed now. Nothing else frees one.
    Close,
}

/// How the target has ended. The bracket may be open still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Imaged, and back.
    Done,
    /// This link was not made, or what makes the image ended badly.
    Failed(usize),
    /// It is not back in time.
    NotBack,
    /// It may not go down any more, and nothing was made.
    NotNow,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Links to begin, or to go on with.
    pub start: Vec<usize>,
    /// Whether it counts as down.
    pub bracket: Bracket,
    /// How the target has ended, if it has.
    pub target: Option<Ended>,
}

/// The pure decision, by how far each link of `chain` has come. `slot`: whether the instance counts as down. `may`: whether it
/// may go down now, asked anew each time. `stopping`: the daemon drains; then the way down turns.
///
/// How far a link has come is the fold's to say: what was given back is [`Phase::NotMade`] again, a new intent of a take clears
/// what gives it back, one of what makes the image clears the gates.
///
/// # Panics
/// The chain makes no image.
#[must_use]
pub fn next(phase: &[Phase], chain: &[Link], slot: bool, may: &Verdict, stopping: bool) -> Next {
    let make = chain.iter().position(|link| link.part == Part::Make).expect("each chain makes one image");
    let called = phase[make].may_be_there();
    // A take that was given up may be there: it is given back like one that was made.
    let failed = (0..=make).find(|i| phase[*i] == Phase::Failed || (*i < make && phase[*i] == Phase::Abandoned));
    // A give-back that has begun is finished first: whether what it gives back is still taken is not known.
    let begun = |i: &usize| !matches!(phase[*i], Phase::None | Phase::Good);
    let half = (make + 1..chain.len()).filter(|i| matches!(chain[*i].part, Part::Give { .. })).any(|i| begun(&i));
    let turned = called || failed.is_some() || half || stopping || matches!(may, Verdict::No(_));
    let bracket = if slot { Bracket::Open } else { Bracket::Untouched };
    let mut next = Next { start: Vec::new(), bracket, target: None };
    if !turned {
        // Down: each after the one before is good.
        let taken = (0..make).any(|i| phase[i].may_be_there());
        let open = (0..=make).find(|i| phase[*i] != Phase::Good);
        next.start.extend(open.filter(|_| taken || slot || *may == Verdict::Go));
        return next;
    }
    if called && !phase[make].ended() {
        next.start.push(make); // goes on beside the way up
    }
    for i in make + 1..chain.len() {
        let needed = match chain[i].part {
            Part::Gate => called && (slot || !chain[i].downs),
            Part::Give { of } => phase[of].may_be_there(),
            Part::Take | Part::Make => false,
        };
        if !needed || phase[i] == Phase::Good {
            continue;
        }
        next.start.push(i);
        match (chain[i].part, phase[i]) {
            // It holds up nothing else.
            (Part::Give { .. }, Phase::Stuck) => {}
            (_, Phase::Stuck) => {
                next.target = phase[make].ended().then_some(Ended::NotBack);
                return next;
            }
            _ => return next,
        }
    }
    if next.start.iter().any(|i| *i != make) {
        // A person was called for what is left.
        next.target = phase[make].ended().then_some(Ended::NotBack);
        return next;
    }
    if slot {
        next.bracket = Bracket::Close;
    }
    next.target = match (called, phase[make], failed) {
        (true, Phase::Good, _) => Some(Ended::Done),
        (true, Phase::Abandoned, _) => Some(Ended::Failed(make)),
        (true, ..) => None, // its image is pending
        (false, _, Some(i)) => Some(Ended::Failed(i)),
        (false, _, None) if matches!(may, Verdict::No(_)) => Some(Ended::NotNow),
        (false, ..) => None, // drained: it goes on after the restart
    };
    next
}

#[cfg(test)]
mod model;

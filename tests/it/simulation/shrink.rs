//! Shrinks a plot that breaks a promise, as long as it still breaks the same one: fewer moves, fewer instances, fewer
//! plans, in a bounded number of tries.

use super::plot::Plot;

/// Shrinks `plot`; `fails` says whether a smaller one still shows it, and is asked at most `tries` times.
pub fn shrink(plot: &Plot, tries: u32, mut fails: impl FnMut(&Plot) -> bool) -> Plot {
    let mut left = tries;
    let mut best = plot.clone();
    let mut ask = |candidate: &Plot, best: &mut Plot| {
        if left == 0 || candidate == best {
            return false;
        }
        left -= 1;
        let shown = fails(candidate);
        if shown {
            best.clone_from(candidate);
        }
        shown
    };
    // Delta debugging: halves, quarters, ..., single moves; from the end, since what follows the breach goes first.
    let mut chunk = best.moves.len().div_ceil(2);
    while chunk > 0 {
        let mut end = best.moves.len();
        while end > 0 {
            let begin = end.saturating_sub(chunk);
            let mut smaller = best.clone();
            smaller.moves.drain(begin..end.min(smaller.moves.len()));
            ask(&smaller, &mut best);
            end = begin;
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    for list in [Part::Instances, Part::Plans] {
        let mut at = list.len(&best);
        while at > 0 {
            at -= 1;
            if list.len(&best) > 1 {
                let mut smaller = best.clone();
                list.remove(&mut smaller, at);
                ask(&smaller, &mut best);
            }
        }
    }
    if best.encore {
        let smaller = Plot { encore: false, ..best.clone() };
        ask(&smaller, &mut best);
    }
    best
}

/// What a world is made of.
enum Part {
    Instances,
    Plans,
}

impl Part {
    fn len(&self, plot: &Plot) -> usize {
        match self {
            Self::Instances => plot.fleet.instances.len(),
            Self::Plans => plot.plans.len(),
        }
    }

    fn remove(&self, plot: &mut Plot, at: usize) {
        match self {
            Self::Instances => drop(plot.fleet.instances.remove(at)),
            Self::Plans => drop(plot.plans.remove(at)),
        }
    }
}

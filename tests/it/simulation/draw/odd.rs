//! What AWS tells that no version can read, drawn apart, so that a seed means the rest as before.

use fastrand::Rng;

use crate::simulation::plot::{Move, Oddity, Plot};

/// In every fourth life something is odd for a while.
pub fn with_oddities(mut plot: Plot) -> Plot {
    let mut rng = Rng::with_seed(plot.seed ^ 0x006f_6464);
    if rng.u32(0..4) > 0 {
        return plot;
    }
    for _ in 0..rng.u32(1..=4) {
        let what = [Oddity::Instance, Oddity::ImageState, Oddity::Undated][rng.usize(..3)];
        let at = rng.u64(0..plot.end);
        plot.moves.push((at, Move::Odd { nth: rng.usize(..8), what }));
        if rng.bool() {
            plot.moves.push((at + rng.u64(10..3000), Move::Plain));
        }
    }
    plot.moves.sort_by_key(|(at, _)| *at);
    plot
}

//! Trouble in the middle of a removal, drawn apart, so that a seed means the rest as before.

use fastrand::Rng;

use crate::simulation::plot::{Move, Plot};
use crate::simulation::weather::{Kind, Weather};

/// In every sixth life the process dies right after an image was deregistered; in every sixth its snapshots may not be
/// deleted for a while, and another run comes after that.
pub fn with_torn_removals(mut plot: Plot) -> Plot {
    let mut rng = Rng::with_seed(plot.seed ^ 0x0074_6f72);
    let at = rng.u64(0..plot.end);
    match rng.u32(0..6) {
        0 => plot.moves.push((at, Move::DiesAtRemoval)),
        1 => {
            let lasts = rng.u64(600..3600);
            let (api, kind) = ("DeleteSnapshot".to_owned(), Kind::Denied);
            plot.moves.push((at, Move::Weather(Weather { api, region: None, kind, every: 1, times: u32::MAX, lasts })));
            plot.encore = true;
        }
        _ => return plot,
    }
    plot.moves.sort_by_key(|(at, _)| *at);
    plot
}

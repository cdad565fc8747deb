//! What AWS leaves out, and what people forge, drawn apart, so that a seed means the rest as before.

use fastrand::Rng;

use crate::simulation::plot::{Move, Plot};
use crate::simulation::weather::{Kind, Weather};

/// In some lives lists leave out what they should show, in some the images of an instance name no snapshots until they are
/// there, in some somebody forges a mapping, and in some the answer to CreateImage is lost and a person removes what it
/// made. In every eighth an old journal is put back.
pub fn with_unkindness(mut plot: Plot) -> Plot {
    let mut rng = Rng::with_seed(plot.seed ^ 0x756e_6b69);
    for _ in 0..rng.u32(1..=3) {
        let at = rng.u64(0..plot.end);
        let what = match rng.u32(0..18) {
            0..=2 => {
                let api = ["DescribeSnapshots", "DescribeInstanceStatus"][rng.usize(..2)];
                Move::Omits { api, lasts: rng.u64(5..900) }
            }
            3..=5 => Move::Unnamed { nth: rng.usize(..8) },
            6..=8 => Move::Forged { nth: rng.usize(..16) },
            9..=11 => {
                let (api, kind, lasts) = ("CreateImage".to_owned(), Kind::CutAfter, rng.u64(60..3600));
                let after = at + rng.u64(1..lasts);
                plot.moves.push((after, Move::NewestRemoved));
                Move::Weather(Weather { api, region: None, kind, every: 1, times: rng.u32(1..=2), lasts })
            }
            _ => continue,
        };
        plot.moves.push((at, what));
    }
    if rng.u32(0..8) == 0 {
        plot.moves.push((rng.u64(plot.end / 4..plot.end), Move::Restored { lost: rng.usize(3..150) }));
    }
    plot.moves.sort_by_key(|(at, _)| *at);
    plot
}

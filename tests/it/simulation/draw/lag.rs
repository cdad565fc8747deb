//! How far the world's status checks are behind the truth, drawn apart, so that a seed means the rest as before.

use fastrand::Rng;
use stillframe::domain::evidence::Lags;

use crate::simulation::plot::Plot;

/// Most fleets lag as AWS is known to, some not at all, and a few further than the settings allow for.
pub fn with_lags(mut plot: Plot) -> Plot {
    let mut rng = Rng::with_seed(plot.seed ^ 0x006c_6167);
    let kind = rng.u32(0..20);
    if kind < 8 {
        return plot;
    }
    let lags = Lags { trust_snapshot_time: kind == 18, ..Lags::default() };
    let (limit, reset) = (lags.status.as_secs_f64(), lags.shutdown.as_secs_f64());
    let fleet = &mut plot.fleet;
    let most = if kind == 19 { limit * (1.1 + rng.f64()) } else { limit * rng.f64() };
    fleet.status_lag = [most * rng.f64(), most];
    // Guests that hang are reset.
    fleet.shutdown_seconds = [0.0, reset * 1.5 * rng.f64()];
    // Only where nobody trusts them: with early snapshots the switch is not for this account.
    fleet.early_snapshots = !lags.trust_snapshot_time && rng.bool();
    for member in &mut fleet.instances {
        if rng.f64() < 0.15 {
            member.reboot_seconds = Some(f64::from(rng.u32(300..1200)));
        }
    }
    plot.lags = lags;
    plot.beyond = kind == 19;
    plot
}

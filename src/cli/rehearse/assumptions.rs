//! What a rehearsal rests on, in words: nothing that it shows is more certain than this.

use super::drive::Rehearsal;
use super::fleet::{IMAGE_SECONDS, REBOOT_SECONDS};

/// All of them.
pub fn all(r: &Rehearsal<'_>) -> Vec<String> {
    let mut all = vec![
        "Days are days of UTC. The rehearsal begins without any image, with a daemon that never stops and a fleet that \
         nobody changes."
            .to_owned(),
        format!(
            "The decisions are those of the daemon itself: the same code runs on a simulated EC2 in simulated time, \
             with the documented token buckets of each API, of which it takes {} % (cloud.api_share).",
            percent(r.api_share)
        ),
    ];
    all.extend(r.about_fleet.iter().cloned());
    all.push(durations(r));
    all.push(match r.faults {
        "none" => "Nothing goes wrong by chance: see --faults typical or harsh.".to_owned(),
        "typical" => "What goes wrong by chance (faults typical): a request in some 200 is throttled, fails or is late, \
                      an image in 1,000 fails, one in 200 takes hours, an instance in 2,000 reboots does not come back \
                      until a person repairs it within 4 hours; now and then a region is silent for up to 20 minutes. \
                      The rates are chosen, not measured."
            .to_owned(),
        _ => "What goes wrong by chance (faults harsh, far beyond any real cloud): a request in 7 is throttled, fails or \
              is late, an image in 30 fails and as many take hours, an instance in 100 reboots does not come back \
              until a person repairs it within 6 hours; regions are silent for up to 45 minutes and credentials \
              expire. The rates are chosen, not measured."
            .to_owned(),
    });
    all.push(format!(
        "Storage: the oldest snapshot of a volume that is kept holds all of its GiB, each later one the blocks \
         that changed since the one before: {} % of all blocks change each day, whichever they are (--change). Empty \
         blocks, compression and archive tiers are not reckoned with.",
        percent(r.change)
    ));
    if r.plans.iter().any(|plan| !plan.copies.is_empty()) {
        all.push(
            "Copies: in each destination the oldest one that is kept holds all of a volume, each later one what changed \
             since, as long as they are under one key. What AWS charges for the transfer between regions is not \
             reckoned with. Volumes are encrypted where the fleet says so (kms_key); made-up ones are under the key that \
             AWS manages in plans with a via_key, else under none."
                .to_owned(),
        );
    }
    all.push(format!(
        "Cost: {} USD for a GB-month (--price), 30.4 days a month, the storage of snapshots alone. Prices differ by \
         region and change: look at AWS's price list. API calls cost nothing.",
        r.price
    ));
    all
}

fn durations(r: &Rehearsal<'_>) -> String {
    let minutes = |seconds: f64| (seconds / 6.0).round() / 10.0;
    let f = r.fleet;
    let [least, most] = f.image_seconds;
    let ([down_least, down_most], [lag_least, lag_most]) = (f.shutdown_seconds, f.status_lag);
    let own = || f.instances.iter().map(|m| m.reboot_seconds.unwrap_or(f.reboot_seconds));
    let (shortest, longest) = own().fold((f64::MAX, 0.0), |(a, b), s| (s.min(a), s.max(b)));
    let [at_least, at_most] = REBOOT_SECONDS;
    let chosen = f.image_seconds == IMAGE_SECONDS && shortest >= at_least && longest <= at_most;
    let reboot = if chosen {
        format!("{at_least} to {at_most} s")
    } else if longest - shortest < 0.5 {
        format!("{} s", f.reboot_seconds)
    } else {
        format!("{shortest} to {longest} s")
    };
    format!(
        "A reboot takes {reboot} after a shutdown of {down_least} to {down_most} s, and the status checks show it {} to {} \
         min late; a slot is free when they prove it, or {} min after the call (cloud.shutdown_limit + \
         cloud.status_lag). An image takes {} to {} min until it is available{}.",
        minutes(lag_least),
        minutes(lag_most),
        minutes(r.lags.proof_by_time().as_secs_f64()),
        minutes(least),
        minutes(most),
        if chosen { ". All of this is chosen; large or busy volumes take longer" } else { ", as the fleet says" }
    )
}

fn percent(part: f64) -> f64 {
    (part * 10_000.0).round() / 100.0
}

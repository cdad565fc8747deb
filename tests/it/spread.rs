//! Copies of many images to several regions stay within every token bucket and quota, and take no longer than these ask.

use crate::support::spread;

/// The longest wait between two looks at the same thing, in seconds: a slot is given back that late.
const LOOK: f64 = 60.0;

#[test]
fn many_copies_stay_within_every_bucket_and_quota() {
    let images = 130;
    let spread = spread::run(images, &["eu-west-1", "eu-west-3"]);
    assert_eq!((spread.throttled, spread.refused), (0, 0), "{spread:#?}");
    assert_eq!(spread.outcome, "done");
    assert_eq!(spread.calls["CopyImage"], 2 * images as usize, "each once");
    for of in &spread.destinations {
        assert_eq!(of.good, images as usize, "{of:?}");
        assert!(of.pending <= 50, "half of the quota of 100: {of:?}");
        assert!(of.called >= of.rate_bound, "{of:?}");
        assert!(of.makespan >= of.bound(), "{of:?}");
        // Each slot is given back a look late, as often as there are rounds.
        let rounds = (f64::from(images) / 50.0).ceil();
        let most = of.ideal + rounds * LOOK;
        assert!(of.makespan <= most, "more than {most} s: {of:?}");
    }
}

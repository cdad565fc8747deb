//! Copies of many images to several regions, in simulated time: what they take, and what they could not be faster than.

#[path = "../../tests/it/support/spread.rs"]
mod spread;

/// Prints what one run with a copy of each image in each of three regions comes to.
pub fn table(images: u32) {
    let spread = spread::run(images, &["eu-west-1", "eu-west-3", "eu-north-1"]);
    println!(
        "{images} images, copies in {} regions that take 5 to 30 min each, api_share = 0.5, simulated time\n",
        spread.destinations.len()
    );
    for of in &spread.destinations {
        println!(
            "  {:<12} {} good; first call to last copy {:>7.1} s; bound {:>7.1} s (slots {:.1} s, rate {:.1} s), ratio {:.4}; in this \
             order without any delay {:>7.1} s, ratio {:.4}; at most {} in progress",
            of.region,
            of.good,
            of.makespan,
            of.bound(),
            of.slot_bound,
            of.rate_bound,
            of.makespan / of.bound().max(1.0),
            of.ideal,
            of.makespan / of.ideal.max(1.0),
            of.pending
        );
    }
    println!("  RequestLimitExceeded {}, ResourceLimitExceeded {}", spread.throttled, spread.refused);
    let each: Vec<String> =
        spread.calls.iter().map(|(api, calls)| format!("{api} {:.2}", *calls as f64 / f64::from(images))).collect();
    println!("  calls per image: {}", each.join(", "));
    println!("  the run ended: {}\n", spread.outcome);
}

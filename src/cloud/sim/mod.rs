//! The simulated world: a plain synchronous state machine in EC2's own words.

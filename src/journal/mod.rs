//! The durable record of decisions and steps.

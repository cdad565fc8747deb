//! When a plan is due: cron lines in a zone, the DST rule, catch-up and what was missed.

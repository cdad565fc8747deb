//! Tables: who may go down, who counts as back, which plan halts.

use super::*;
use crate::domain::place::Place;

fn subject(id: &str) -> Subject {
    Place::new("111111111111", "eu-central-1").subject(id)
}

/// `web:i-1 db:i-2!`: who is down for which plan; `!` halts it.
fn slots(text: &str) -> Slots {
    let mut slots = Slots::default();
    for word in text.split_whitespace() {
        let (plan, id) = word.split_once(':').unwrap();
        let subject = subject(id.trim_end_matches('!'));
        let down = Down {
            run: format!("{plan}@1"),
            plan: plan.into(),
            since: DateTime::<Utc>::UNIX_EPOCH,
            overdue: false,
            halts: false,
        };
        slots.take(subject.clone(), down);
        if id.ends_with('!') {
            slots.overdue(&subject, true);
        }
    }
    slots
}

#[test]
fn who_may_go_down() {
    for (down, id, max, free) in [
        ("", "i-1", 0, false),
        ("", "i-1", 1, true),
        ("web:i-1", "i-1", 1, false),
        ("web:i-1", "i-1", 2, false), // never twice at once
        ("web:i-1", "i-2", 1, false),
        ("web:i-1", "i-2", 2, true),
        ("db:i-1", "i-2", 1, false), // counted over all plans
        ("web:i-1 db:i-2", "i-3", 2, false),
        ("web:i-1 db:i-2", "i-3", 3, true),
    ] {
        assert_eq!(slots(down).free_for(&subject(id), max), free, "{down} | {id} | {max}");
        assert_eq!(slots(down).room(max), down.split_whitespace().count() < max as usize);
    }
}

#[test]
fn only_the_run_that_took_a_slot_frees_it() {
    for (run, freed) in [("web@1", true), ("web@2", false), ("db@1", false)] {
        let mut slots = slots("web:i-1 db:i-2");
        assert_eq!(slots.free(&subject("i-1"), run), freed, "{run}");
        assert_eq!(slots.is_down(&subject("i-1")), !freed, "{run}");
        assert!(!slots.free(&subject("i-1"), run) || !freed, "once");
        assert!(slots.is_down(&subject("i-2")));
    }
    assert!(!slots("").free(&subject("i-1"), "web@1"));
}

#[test]
fn a_plan_halts_for_its_own_instances_until_they_are_back() {
    let mut slots = slots("web:i-1 web:i-2! db:i-3");
    assert_eq!(slots.halted_by("web").map(|(s, _)| s.id.as_str()), Some("i-2"));
    assert_eq!(slots.halted_by("db"), None);
    assert!(slots.free(&subject("i-2"), "web@1"));
    assert_eq!(slots.halted_by("web"), None);
    slots.overdue(&subject("i-9"), true); // is not down
    assert_eq!(slots.iter().count(), 2);
}

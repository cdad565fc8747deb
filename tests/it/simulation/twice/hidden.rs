//! The step `deprecate`, twice. A run drives it with what it has judged, so each row is a run.

use stillframe::domain::keep::Keep;
use stillframe::sim::faults::{Fault, FaultKind};

use super::super::copies::{FRIEND, rig_of, share};
use super::super::journal::Death;
use super::super::promises;
use super::super::rig::{id, mins, secs};
const DEPRECATE: &str = "deprecate";

/// What happens at the first one.
#[derive(Debug, Clone, Copy)]
enum Part {
    Nothing,
    Call(FaultKind),
    /// The process dies right after the call; whether AWS shows in the next life what it did.
    Dies {
        shown: bool,
    },
    /// It dies when that is journaled.
    DiesTold {
        shown: bool,
    },
}

/// What happens, and how many calls reach AWS's end of it.
const TABLE: &[(&str, Part, usize)] = &[
    (DEPRECATE, Part::Nothing, 1),
    (DEPRECATE, Part::Call(FaultKind::CutBefore), 1),
    (DEPRECATE, Part::Call(FaultKind::CutAfter), 1),
    (DEPRECATE, Part::Call(FaultKind::ErrorAfter), 1),
    (DEPRECATE, Part::Call(FaultKind::Throttle), 1),
    (DEPRECATE, Part::Dies { shown: true }, 1),
    (DEPRECATE, Part::Dies { shown: false }, 2),
    (DEPRECATE, Part::DiesTold { shown: true }, 1),
    (DEPRECATE, Part::DiesTold { shown: false }, 2), // the next run sees that it is not
];

pub fn steps() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(step, ..)| *step)
}

#[tokio::test(start_paused = true)]
async fn a_deprecation_twice() {
    for (_, part, calls) in TABLE {
        let mut rig = rig_of(1, "", Vec::new());
        rig.plans[0].schedule.cron = vec!["0,20,40 2 * * *".into()];
        rig.plans[0].keep = Keep { last: 1, ..Keep::default() };
        rig.plans[0].share = Some(share(&[FRIEND]));
        match *part {
            Part::Nothing => {}
            Part::Call(kind) => rig.fault(Fault::once("EnableImageDeprecation", kind)),
            Part::Dies { .. } | Part::DiesTold { .. } => {
                let after = matches!(part, Part::DiesTold { .. });
                let journal = std::rc::Rc::clone(&rig.journal);
                rig.journal.cuts(Box::new(move |number, words| {
                    let first = words.contains(DEPRECATE) && !journal.is_cut();
                    first.then_some(if after { Death::After(number) } else { Death::Before(number) })
                }));
            }
        }
        rig.start();
        let lived = rig.run(mins(30)).await;
        if let Part::Dies { shown } | Part::DiesTold { shown } = *part {
            assert!(!lived, "{part:?}: it dies\n{}", rig.story());
            let image = rig.images_of(&id(1))[0].id.clone();
            let shows = rig.world().images[&image].deprecated;
            assert!(shows.is_some(), "{part:?}\n{}", rig.story());
            if !shown {
                rig.world().images.get_mut(&image).expect("there").deprecated = None;
            }
            rig.run(secs(60)).await;
            rig.start();
        }
        rig.run(mins(50)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        let first = rig.images_of(&id(1))[0].clone();
        let made = rig
            .calls("EnableImageDeprecation")
            .into_iter()
            .filter(|c| c.effect && c.parameters.values().any(|v| *v == first.id));
        let (told, unseen) = (rig.journal.conflicts(), matches!(part, Part::DiesTold { shown: false }));
        assert!(told.is_empty(), "{part:?}: {told:?}\n{}", rig.story());
        assert_eq!(made.count(), *calls, "{part:?}\n{}", rig.story());
        assert!(first.deprecated.is_some() || unseen, "{part:?}\n{}", rig.story());
    }
}

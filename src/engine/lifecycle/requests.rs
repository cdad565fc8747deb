//! Requests of people: each becomes one occurrence of its plan, or a skip that says why.

use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::event::{Decision, Occurrence, Trigger};
use crate::domain::fact::{Draft, Fact};
use crate::domain::hold::{Act, Cause};
use crate::domain::naming;
use crate::engine::lifecycle::daemon::{Engine, Mode, decided};
use crate::engine::lifecycle::recover;
use crate::journal::{Answer, Request};

/// A request that nobody took up for so long is not run any more: who made it does not expect a reboot now.
const REQUEST_AGE: TimeDelta = TimeDelta::seconds(60);
/// A request moves on by at most so many seconds to leave the schedule's own alone.
const SECONDS_MAX: i64 = 240;

impl Engine {
    /// Whether a request waits until the journal is rebuilt: for as long as who made it expects a reboot.
    pub(crate) fn must_wait(&self, request: &Request) -> bool {
        let plan = &request.wish.plan;
        let stale = self.mode == Mode::Daemon && self.shared.clock.now() - request.at > REQUEST_AGE;
        !stale && self.shared.unproven.borrow().holds(plan, self.shared.clock.instant()).is_some()
    }

    /// Takes up a request of a person: `due` is now, moved on to the plan's next free second.
    pub(crate) async fn take_up(&mut self, request: &Request) -> Answer<()> {
        let sh = Rc::clone(&self.shared);
        let plan = request.wish.plan.clone();
        let only: Vec<String> = request.wish.instance.clone().into_iter().collect();
        let now = sh.clock.now();
        let mut due = sh.clock.now_secs();
        let timetable = self.scheduled.get(&plan).map(|s| &s.timetable);
        let scheduled =
            |due: DateTime<Utc>| timetable.is_some_and(|t| t.next_after(due - TimeDelta::seconds(1)) == Some(due));
        // A second of the schedule stays the schedule's: free or not, it is not ours to take. A plan that is due every
        // second leaves none: then the first free one.
        let mut free = None;
        for second in 0.. {
            let at = due + TimeDelta::seconds(second);
            if sh.journal.reader().occurrence(&plan, at).await?.is_some() {
                continue;
            }
            free.get_or_insert(at);
            if second > SECONDS_MAX || !scheduled(at) {
                due = if scheduled(at) { free.unwrap_or(at) } else { at };
                break;
            }
        }
        let known = self.scheduled.get(&plan).map(|s| (Rc::clone(&s.plan), s.hash.clone()));
        let stale = self.mode == Mode::Daemon && now - request.at > REQUEST_AGE;
        // Where nobody waits for the clock to be set right, the run says of each instance what prevents it.
        let clock = sh.holding(Act::Decide, Some(&plan)).is_some_and(|hold| hold.cause == Cause::ClockOff);
        let held = self.held(&plan).filter(|_| self.mode == Mode::Daemon || !clock);
        let (decision, reason) = match (&known, held) {
            (_, held) if stale => (
                Decision::Skip,
                format!(
                    "asked for at {} and not taken up in time; ask again{}",
                    naming::rfc3339(request.at),
                    held.map_or_else(String::new, |why| format!(" ({why})"))
                ),
            ),
            (None, _) => (
                Decision::Skip,
                format!("the running daemon knows no plan `{plan}`; reload it (`systemctl reload stillframe`)"),
            ),
            (_, Some(why)) => (Decision::Skip, why),
            _ => (Decision::Run, String::new()),
        };
        let hash = known.as_ref().map_or_else(String::new, |(_, hash)| hash.clone());
        let occurrence =
            Occurrence { plan, due, trigger: Trigger::Manual, decision, reason, decided_at: now, plan_hash: hash };
        let name = occurrence.run();
        // The event first: a run that goes on after a crash must know what was asked.
        let accepted = Fact::RequestAccepted { request: request.id, only };
        sh.record(&[Draft::of_run(&name, accepted)]).await?;
        let stored = sh.decide(&occurrence, Some(request.id)).await?;
        self.answered.push((stored, known.map(|(plan, _)| plan)));
        self.carry_on().await
    }

    /// Tells of the requests that were answered, and begins their runs. They are open no more, so that what the journal
    /// keeps from being told now is told at the next tick.
    pub(crate) async fn carry_on(&mut self) -> Answer<()> {
        while let Some((stored, plan)) = self.answered.first().cloned() {
            self.shared.record(&[decided(&stored, false)]).await?;
            if let Some(plan) = plan.filter(|_| stored.decision == Decision::Run) {
                recover::start(&self.shared, plan, stored).await?;
            }
            self.answered.remove(0);
        }
        Ok(())
    }
}

//! The moves of copies, shares and keys; and what must have come of them when all trouble is over.

use crate::support::rows::Event;
use serde_json::json;
use stillframe::domain::event::{Decision, Outcome};
use stillframe::domain::fact::Kind;
use stillframe::domain::naming::parse_run_name;
use stillframe::domain::plan::Plan;
use stillframe::sim::people::Deed as KeyDeed;

use super::super::copies::DR;
use super::super::promises::Broken;
use super::super::rig::{ACCOUNT, secs};
use super::super::truth;
use super::Scene;

impl Scene<'_> {
    /// Somebody disables or enables the so-manieth key.
    pub(super) fn set_key(&self, nth: usize, enabled: bool) -> bool {
        let place = {
            let world = self.rig.world();
            let keys: Vec<_> = world.keys.values().collect();
            let Some(key) = keys.get(nth.checked_rem(keys.len()).unwrap_or(0)) else { return false };
            (key.place.clone(), key.arn.clone())
        };
        let deed = if enabled { KeyDeed::EnableKey(place.1) } else { KeyDeed::DisableKey(place.1) };
        let now = self.rig.clock.now();
        self.rig.world().person(now, &place.0, &deed).is_ok()
    }

    /// What the role of the other account may not do from now on.
    pub(super) fn set_role(&self, denied: Option<&str>) -> bool {
        let mut world = self.rig.world();
        let Some(account) = world.accounts.get_mut(DR) else { return false };
        for role in &mut account.roles {
            role.denied = denied.iter().map(|what| (*what).to_owned()).collect();
        }
        true
    }

    /// Keys and roles work again.
    pub(super) fn set_all_right(&self) {
        let keys = self.rig.world().keys.len();
        for nth in 0..keys {
            self.set_key(nth, true);
        }
        self.set_role(None);
    }

    /// Every plan in force runs once more, so that each could make up for what the trouble left.
    pub(super) async fn run_all_once_more(&mut self) {
        let begun = self.rig.own_now();
        for plan in &self.rig.plans {
            if self.rig.journal.ask(begun, &json!({ "plan": plan.name })).is_err() {
                return;
            }
        }
        self.pass(secs(60)).await;
        self.settle(false).await;
        let ended = self.rig.told(&Kind::RunFinished);
        let ran = |plan: &Plan| {
            let of_it =
                |e: &Event| parse_run_name(&e.draft.run).is_some_and(|(name, due)| name == plan.name && due >= begun);
            ended.iter().any(of_it)
        };
        self.rested = self.rig.plans.iter().all(ran) && self.rig.shared().barred.borrow().is_none();
    }

    /// Nothing is lent for no purpose.
    pub(super) fn lent(&self, broken: &mut Broken) {
        let (watch, lost) = (&self.rig.watch, self.rig.watch.figures.borrow().losses > 0);
        if !self.rested || watch.forgot() {
            return;
        }
        for what in watch.left(&self.rig.world()) {
            broken.push(4, format!("{what} at rest{}, for no purpose", if lost { ", after a loss" } else { "" }));
        }
    }

    /// What a run made and told to be done has its copies.
    pub(super) async fn copied(&self, broken: &mut Broken) {
        let watch = &self.rig.watch;
        if watch.misled.get() || watch.forgot() || watch.figures.borrow().losses > 0 {
            return;
        }
        let now = self.rig.clock.now();
        let reader = self.rig.journal.rows();
        for row in reader.occurrences(None, u32::MAX).await.expect("readable") {
            let Some(text) =
                reader.revision(&row.plan_hash).await.expect("readable").filter(|_| row.decision == Decision::Run)
            else {
                continue;
            };
            let plan: Plan = serde_json::from_str(&text).expect("a plan");
            let events = reader.events_of(&row.run()).await.expect("readable");
            let state = reader.run(&row.run()).await.expect("readable");
            // Of a run that was found again the revision is today's.
            if plan.copies.is_empty() || state.rebuilt || state.finished != Some(Outcome::Done) {
                continue;
            }
            // Later runs may have removed copies again, by the rules of the destination.
            let ended = events.iter().rfind(|e| e.draft.kind == Kind::RunFinished).map(|e| e.at);
            for (subject, target) in &state.targets {
                let Some(image) = target.image().filter(|_| matches!(target.finished, Some((Outcome::Done, _)))) else {
                    continue;
                };
                let world = self.rig.world();
                let Some(source) = world.images.get(image).filter(|i| truth::good(i, now)) else { continue };
                let Some(key) = truth::ours(source) else { continue };
                for to in plan.copies.iter().map(|copy| copy.place(ACCOUNT)).filter(|to| *to != subject.place) {
                    let made = |i: &stillframe::sim::image::SimImage| {
                        let since = ended.is_none_or(|at| i.created <= at);
                        i.place == to && truth::copied_by_us(i).as_ref() == Some(&key) && !i.fails && since
                    };
                    if !world.images.values().any(|i| made(i)) && !watch.edited_in(&to, &key) {
                        broken.push(5, format!("{} is done, and {image} has no copy in {to}", row.run()));
                    }
                }
            }
        }
    }
}

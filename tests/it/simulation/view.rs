//! What can be read off a rig: calls, images, reboots, outcomes, the story.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::rows::Event;
use stillframe::domain::fact::{self, Kind};
use stillframe::domain::naming::parse_run_name;
use stillframe::report::logs;
use stillframe::sim::calls::Call;
use stillframe::sim::image::SimImage;

use super::rig::Rig;

impl Rig {
    /// The calls of one API, as the world logged them.
    pub fn calls(&self, api: &str) -> Vec<Call> {
        self.world().calls.of(api).cloned().collect()
    }

    /// How often each instance was rebooted.
    pub fn reboots(&self) -> BTreeMap<String, usize> {
        self.world().instances.iter().map(|(id, i)| (id.clone(), i.reboot_count())).collect()
    }

    /// All reboots of the fleet.
    pub fn all_reboots(&self) -> usize {
        self.reboots().values().sum()
    }

    /// Registered images that CreateImage made of `instance`, the oldest first.
    pub fn images_of(&self, instance: &str) -> Vec<SimImage> {
        let world = self.world();
        let of_it = |i: &SimImage| i.registered() && i.source_instance.as_deref() == Some(instance);
        let mut images: Vec<SimImage> = world.images.values().filter(|i| of_it(i)).map(|i| (**i).clone()).collect();
        images.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        images
    }

    /// The ids of the fleet with this tag, in order.
    pub fn tagged(&self, key: &str, value: &str) -> BTreeSet<String> {
        let world = self.world();
        let bears = |i: &&stillframe::sim::instance::SimInstance| i.tags.get(key).is_some_and(|v| v == value);
        world.instances.values().filter(bears).map(|i| i.id.clone()).collect()
    }

    /// Events of this kind so far.
    pub fn told(&self, kind: &Kind) -> Vec<Event> {
        self.events.borrow().iter().filter(|e| e.draft.kind == *kind).cloned().collect()
    }

    /// Events that call a person.
    pub fn errors(&self) -> Vec<Event> {
        self.events
            .borrow()
            .iter()
            .filter(|e| logs::level(&fact::Event::from(*e)) == tracing::Level::ERROR)
            .cloned()
            .collect()
    }

    /// Those of them that are not the end of a run in which nobody was imaged.
    pub fn alarms(&self) -> Vec<Event> {
        self.errors().into_iter().filter(|e| e.draft.kind != Kind::RunFinished).collect()
    }

    /// The outcomes of one plan's runs, in the order in which they ended: `02:00 done`.
    pub fn outcomes(&self, plan: &str) -> Vec<String> {
        let word = |e: &Event| {
            let (name, due) = parse_run_name(&e.draft.run)?;
            let text = match e.draft.kind {
                Kind::RunFinished => e.text("outcome").unwrap_or("?").to_owned(),
                Kind::OccurrenceSkipped => "skipped".into(),
                Kind::OccurrenceMissed => "missed".into(),
                _ => return None,
            };
            (name == plan).then(|| format!("{} {text}", due.format("%H:%M")))
        };
        self.events.borrow().iter().filter_map(word).collect()
    }

    /// Why each target of one occurrence (`02:00`) was skipped or how it ended, by instance: `skipped: ...`.
    pub fn targets(&self, plan: &str, time: &str) -> BTreeMap<String, String> {
        let mut targets = BTreeMap::new();
        for event in self.events.borrow().iter() {
            let Some((name, due)) = parse_run_name(&event.draft.run) else { continue };
            let ends = matches!(event.draft.kind, Kind::TargetFinished | Kind::TargetSkipped);
            if let (true, Some(subject)) =
                (ends && name == plan && due.format("%H:%M").to_string() == time, &event.draft.subject)
            {
                let outcome = event.text("outcome").unwrap_or("?");
                let reason = event.text("reason").unwrap_or_default();
                targets.insert(subject.id.clone(), format!("{outcome}: {reason}"));
            }
        }
        targets
    }

    /// The story so far, for messages of failed checks.
    pub fn story(&self) -> String {
        let mut story = String::new();
        for e in self.events.borrow().iter() {
            let subject = e.draft.subject.as_ref().map_or("", |s| &s.id);
            let line = format!(
                "{} {} {} {subject} {}#{} {}\n",
                e.at.format("%H:%M:%S"),
                e.draft.kind.as_str(),
                e.draft.run,
                e.draft.step,
                e.draft.attempt,
                e.draft.data
            );
            story.push_str(&line);
        }
        for c in self.world().calls.iter().filter(|c| !c.api.starts_with("Describe")) {
            let about = ["InstanceId", "ImageId", "SnapshotId"].iter().find_map(|k| c.parameters.get(*k));
            let line =
                format!("{} call {} {about:?} {} effect={}\n", c.at.format("%H:%M:%S"), c.api, c.result, c.effect);
            story.push_str(&line);
        }
        story
    }
}

//! The documents that `status`, `history` and `explain` print, of a life that was cut off.

use std::rc::Rc;

use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::{Map, Value, json};
use stillframe::clock::Clock;
use stillframe::cloud::governed::Governed;
use stillframe::engine::context::us::Us;
use stillframe::journal::Reader;
use stillframe::report::document::Document;
use stillframe::report::run::History;
use stillframe::report::table::Paint;
use stillframe::sim::SimCloud;
use stillframe::view::explain::{Ask, tell};
use stillframe::view::history::{self, Filter};
use stillframe::view::status;

use super::life::Saved;
use crate::simulation::rig::DAEMON;

/// All of them, with the daemon's clock of the life.
pub async fn documents(reader: &dyn Reader, saved: &Saved) -> Value {
    let life = &saved.life;
    let status = status::gather(Some((reader, "journal.sqlite")), DAEMON, &life.plans, None, life.own_now).await;
    let status = status.expect("readable");
    let all = Filter {
        plan: None,
        instance: None,
        since: DateTime::UNIX_EPOCH,
        until: DateTime::<Utc>::MAX_UTC,
        outcome: None,
        limit: usize::MAX,
    };
    let runs = history::read(reader, &all).await.expect("readable");
    let text: String = runs.iter().map(|run| run.text(Paint::PLAIN)).collect();
    let mut images = Map::new();
    let ours = |name: &str| name.starts_with(&format!("stillframe/{DAEMON}/"));
    for (id, _) in saved.world.images.iter().filter(|(_, image)| ours(&image.name)) {
        images.insert(id.clone(), explain(reader, saved, id).await);
    }
    json!({
        "status": { "json": parsed(&status.json()), "text": status.text(Paint::PLAIN) },
        "history": { "json": parsed(&History { runs, short: false }.json()), "text": text },
        "explain": images,
    })
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}

/// Each image is explained at the same instant, in a world of its own.
async fn explain(reader: &dyn Reader, saved: &Saved, id: &str) -> Value {
    let life = &saved.life;
    let clock = Clock::simulated(life.now);
    let cloud = SimCloud::new(saved.world.clone(), clock).with_roles(life.roles());
    let cloud = Governed::new(Rc::new(cloud), clock, 0.5);
    let ask = Ask {
        image: id,
        us: Us { daemon: DAEMON, installation: &life.installation, taken_over_at: life.taken_over_at },
        plans: &life.plans,
        regions: &saved.world.regions,
        only: None,
        now: life.own_now.trunc_subsecs(0),
    };
    let document = tell(&cloud, Some(reader), ask).await.expect("readable");
    json!({ "json": parsed(&document.json()), "text": document.text(Paint::PLAIN) })
}

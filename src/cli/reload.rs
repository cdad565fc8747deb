//! SIGHUP: reads the whole configuration again, and puts it into force whole, or not at all.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::notify::Manager;
use super::signals::Signals;
use crate::config::{self, Loaded, Problems, Settings, Severity};
use crate::domain::plan::Plan;
use crate::domain::zone::ZoneSource;
use crate::engine::context::Context;
use crate::engine::host::Host as _;
use crate::engine::lifecycle::plans::Change;
use crate::report::format;

/// So many problems are written out; `check` shows them all.
const SHOWN_MAX: usize = 10;
/// A reload waits for credentials for so long.
const RENEW_LIMIT: Duration = Duration::from_secs(30);

/// Reloads at each SIGHUP.
pub struct Reloads {
    /// The configuration directory.
    pub dir: PathBuf,
    /// The settings in force.
    pub settings: RefCell<Settings>,
    /// How long a stop waits.
    pub deadline: Rc<Cell<Duration>>,
    /// To the engine.
    pub changes: mpsc::Sender<Change>,
    /// Who is told.
    pub manager: Rc<Manager>,
    /// Whose credentials are read anew.
    pub shared: Rc<Context>,
}

impl Reloads {
    /// Reloads for ever.
    pub async fn serve(&self, signals: &mut Signals) {
        loop {
            signals.next().await;
            self.manager.reloading();
            self.renew().await;
            self.reload().await;
            self.manager.ready();
        }
    }

    /// Reads the credentials anew, also where the configuration is refused: whoever rotates them asks for this.
    async fn renew(&self) {
        match self.shared.clock.timeout(RENEW_LIMIT, self.shared.cloud.renew()).await {
            Some(Ok(true)) => tracing::info!(event = "credentials.renewed", "other credentials are used from now on"),
            Some(Ok(false)) => {}
            Some(Err(fault)) => tracing::warn!(
                event = "credentials.kept", reason = %fault,
                "the credentials that are there now cannot be used; those from before are used on"
            ),
            None => tracing::warn!(
                event = "credentials.kept",
                "whoever gives the credentials did not answer within {} s; those from before are used on",
                RENEW_LIMIT.as_secs()
            ),
        }
    }

    async fn reload(&self) {
        tracing::info!(event = "config.reloading", "reading {} again", self.dir.display());
        let dir = self.dir.clone();
        // In a thread of its own: a file system that hangs must not hold the engine.
        let read = tokio::task::spawn_blocking(move || config::load(&dir, config::environment())).await;
        // A thread that came to grief has read nothing.
        let loaded = read
            .map_err(|e| format!("the configuration was not read: {e}"))
            .and_then(|loaded| loaded.map_err(|problems| refusal(&problems)));
        let plans = match &loaded {
            Err(why) => Err(why.clone()),
            Ok(loaded) => self.unchangeable(loaded),
        };
        let (done, answer) = oneshot::channel();
        if self.changes.send(Change { plans, done }).await.is_err() {
            return; // it stops
        }
        let (Ok(Ok(())), Ok(loaded)) = (answer.await, loaded) else { return };
        warn(&loaded.warnings);
        zones(&loaded.zones);
        let new = loaded.settings;
        self.deadline.set(Duration::from_secs(new.daemon.drain_deadline));
        format::set_level(new.log.level.as_str());
        *self.settings.borrow_mut() = new;
    }

    /// The plans, unless something else has changed that a running daemon cannot change.
    fn unchangeable(&self, loaded: &Loaded) -> Result<Vec<Plan>, String> {
        let keys = self.settings.borrow().needs_restart(&loaded.settings);
        if keys.is_empty() {
            return Ok(loaded.plans.clone());
        }
        Err(format!(
            "{} changed, which takes a restart (`systemctl restart stillframe`); nothing of the new configuration is \
             in force, plans included",
            keys.join(", ")
        ))
    }
}

/// Says what is allowed but will surprise.
pub fn warn(warnings: &Problems) {
    for warning in warnings.iter() {
        tracing::warn!(event = "config.warning", reason = %warning.to_string().trim_end());
    }
}

/// Says whose rules the zones of the plans follow from now on.
pub fn zones(zones: &ZoneSource) {
    tracing::info!(event = "config.zones", "time zones of {zones}");
}

/// All errors in one text, a line each would be too many for a log.
fn refusal(problems: &Problems) -> String {
    let errors: Vec<String> = problems
        .iter()
        .filter(|p| p.severity == Severity::Error)
        .map(|p| {
            let hint = p.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
            format!("{}{hint}", p.headline())
        })
        .collect();
    let more = errors.len().saturating_sub(SHOWN_MAX);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!(
        "the configuration has {} error{}, the old one stays in force: {}{more}. See `stillframe check`",
        errors.len(),
        if errors.len() == 1 { "" } else { "s" },
        errors.iter().take(SHOWN_MAX).map(String::as_str).collect::<Vec<_>>().join("; ")
    )
}

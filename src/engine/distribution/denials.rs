//! Copies that AWS denied: in scheduled runs nothing is lent for them while it says, asked with DryRun, that it would deny them
//! again. Once a day, after a reload or a restart, and where a person asks for a run, they are tried all the same.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::cloud::classify::Class;
use crate::cloud::port::DryRun;
use crate::domain::event::Trigger;
use crate::domain::place::Subject;
use crate::engine::context::run::Run;
use crate::engine::context::{Context, Stop};
use crate::engine::distribution::leg::Leg;

/// For so long a denial stands.
const STANDS: Duration = Duration::from_secs(24 * 3600);

/// When it was denied last, and why.
#[derive(Default)]
struct Denials(RefCell<BTreeMap<(String, String), (Instant, String)>>);

impl Context {
    /// AWS denied the copies of a plan to a destination.
    pub(crate) fn note_denied(&self, plan: &str, to: &str, why: String) {
        let denied = (self.clock.instant(), why);
        self.of::<Denials>().0.borrow_mut().insert((plan.to_owned(), to.to_owned()), denied);
    }

    /// Somebody may have mended what was denied.
    pub(crate) fn forget_denials(&self) {
        self.of::<Denials>().0.borrow_mut().clear();
    }
}

/// Why the copies of a run to a destination are not tried, if AWS denied them lately and, asked with DryRun, does so still.
pub(crate) async fn lately(run: &Run, source: &Subject, leg: &Leg) -> Result<Option<String>, Stop> {
    let key = (run.plan.name.clone(), leg.label.clone());
    let denied = run.shared.of::<Denials>().0.borrow().get(&key).cloned();
    let Some((at, why)) = denied.filter(|(at, _)| run.shared.clock.instant() - *at < STANDS) else { return Ok(None) };
    if run.occurrence.trigger != Trigger::Schedule {
        return Ok(None);
    }
    let (source_image, source_region) = (source.id.clone(), source.place.region.clone());
    let request = DryRun::CopyImage { source_image, source_region };
    let tried = run.shared.unless_drained(run.shared.cloud.try_out(&leg.to, &request)).await?;
    if !tried.is_err_and(|fault| fault.class == Class::Denied) {
        return Ok(None); // somebody has mended it, or the copy itself will tell
    }
    let hours = (run.shared.clock.instant() - at).as_secs() / 3600;
    Ok(Some(format!("AWS denied it {hours} h ago and does so still, so nothing is lent for it: {why}")))
}

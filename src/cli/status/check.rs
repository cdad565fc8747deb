//! `stillframe status --check`: one line and an exit code for monitoring, as its plugins have them (Monitoring Plugins
//! Development Guidelines: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN).

use crate::view::status::StatusDocument;

/// So much of the first need is said.
const SAID_MAX: usize = 200;

/// The line and the code of a status; `expected`: somebody expects a daemon to run.
pub(super) fn tell(document: &StatusDocument, expected: bool) -> u8 {
    let stopped = expected && document.daemon.running != Some(true);
    let not_running = || format!("stillframe {} is not running", document.daemon.daemon);
    match (document.needs_person.first(), look_at(document)) {
        (Some(need), _) => {
            let others = document.needs_person.len() - 1;
            let more = if others == 0 { String::new() } else { format!(" (and {others} more)") };
            say("CRITICAL", &format!("{}{more}", cut(&need.reason)), 2)
        }
        (None, _) if stopped => say("CRITICAL", &not_running(), 2),
        (None, Some(why)) => say("WARNING", &why, 1),
        (None, None) => {
            let (plans, instances) = (document.plans.len(), document.instances.len());
            say("OK", &format!("{plans} plans, {instances} instances with images, nothing needs a person"), 0)
        }
    }
}

/// What is worth a look, though nobody must act.
fn look_at(document: &StatusDocument) -> Option<String> {
    let protection = document.protection.as_ref()?;
    if protection.late > 0 {
        return Some(format!("{} instances are late: see `stillframe status`", protection.late));
    }
    let at = protection.listed_at.as_deref().unwrap_or_default();
    protection.stale.then(|| format!("the fleet was listed last at {at}: see the daemon's log"))
}

/// It cannot be told.
pub(super) fn unknown(why: &str) -> u8 {
    say("UNKNOWN", &cut(why), 3)
}

fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(SAID_MAX) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}

fn say(word: &str, what: &str, code: u8) -> u8 {
    match super::super::print_text(&format!("{word}: {what}\n")) {
        0 => code,
        failed => failed,
    }
}

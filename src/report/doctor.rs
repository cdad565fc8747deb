//! What `doctor` found, as a document and as text: each call that the plans need, in each place, and what to add where
//! it is denied.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::document::{SCHEMA, line};
use super::table::{Cell, Paint, Table, Tone};
use crate::domain::zone::ZoneSource;

/// The reason of what cannot be told before there is an image.
pub const UNTRIED: &str = "not denied outright; a sure answer needs an image of ours there";

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It may.
    Allowed,
    /// It may not, or what it needs does not work.
    Denied,
    /// Nobody can tell.
    Unknown,
}

impl Answer {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Allowed => Tone::Good,
            Self::Denied => Tone::Bad,
            Self::Unknown => Tone::Warn,
        }
    }
}

/// A statement that would allow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// The policy that it belongs to, in words.
    pub policy: String,
    /// The statement.
    pub statement: Value,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckRow {
    /// AWS's name of it.
    pub call: String,
    /// What it was tried on.
    pub about: String,
    /// Whether it may be made.
    pub outcome: Answer,
    /// Whether AWS was reached and answered.
    pub answered: bool,
    /// Why it is not allowed, or what is not known.
    pub reason: String,
    /// The IAM action that is missing.
    pub action: Option<String>,
    /// The resource that it is missing on.
    pub resource: Option<String>,
    /// What to add.
    pub add: Vec<Statement>,
}

/// One place that plans use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceDocument {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The name under `[accounts]`; nothing for the own account.
    pub name: Option<String>,
    /// What it is to the plans, in words.
    pub uses: Vec<String>,
    /// Each call.
    pub calls: Vec<CheckRow>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountDocument {
    /// The name under `[accounts]`; nothing for the own account.
    pub name: Option<String>,
    /// Twelve digits, once known.
    pub account: Option<String>,
    /// Who we are there.
    pub arn: Option<String>,
    /// Whether its role can be assumed.
    #[serde(flatten)]
    pub row: CheckRow,
}

/// The document of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoctorDocument {
    /// When it was made.
    pub at: String,
    /// The daemon's name.
    pub daemon: String,
    /// Whose rules the zones of the plans follow on this host; left out where nobody has looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones: Option<ZoneSource>,
    /// What would keep every run from beginning, or from rebooting anything, whatever is allowed; left out where nothing would.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub barred: Vec<String>,
    /// Who we are, in each account.
    pub accounts: Vec<AccountDocument>,
    /// Each place.
    pub places: Vec<PlaceDocument>,
}

impl DoctorDocument {
    /// One line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            doctor: &'a DoctorDocument,
        }
        line(&Document { schema: SCHEMA, doctor: self })
    }

    /// Whether nothing is denied, and all that could be asked was answered.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.rows().all(|row| row.outcome != Answer::Denied && row.answered)
    }

    fn rows(&self) -> impl Iterator<Item = &CheckRow> {
        self.accounts.iter().map(|a| &a.row).chain(self.places.iter().flat_map(|p| &p.calls))
    }

    /// Lines for people.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for why in &self.barred {
            let _ = writeln!(text, "{}", paint.tone(Tone::Bad, &format!("NOTHING WOULD BE DONE: {why}")));
        }
        let mut table = Table::headed(0, &["ACCOUNT", "ID", "WHO WE ARE THERE", "RESULT"]);
        for a in &self.accounts {
            let name = a.name.as_deref().unwrap_or("(own)");
            let (id, arn) = (a.account.as_deref().unwrap_or("-"), a.arn.as_deref().unwrap_or("-"));
            table.row([name.into(), id.into(), arn.into(), word(a.row.outcome)]);
        }
        text += &table.text(paint);
        self.accounts.iter().filter(|a| a.row.outcome != Answer::Allowed).for_each(|a| text += &a.row.advice(2, paint));
        for place in &self.places {
            let name = place.name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
            let title = format!("{}/{}{name}", place.account, place.region);
            let _ = writeln!(text, "\n{}: {}", paint.tone(Tone::Head, &title), place.uses.join("; "));
            text += &place.text(paint);
        }
        let count = |wanted| self.rows().filter(|row| row.outcome == wanted).count();
        let (allowed, denied, unknown) = (count(Answer::Allowed), count(Answer::Denied), count(Answer::Unknown));
        let _ = writeln!(text, "\n{allowed} allowed, {denied} denied, {unknown} unknown");
        if self.rows().any(|row| row.reason == UNTRIED) {
            let _ = writeln!(text, "unknown without more words: {UNTRIED}");
        }
        if let Some(zones) = &self.zones {
            let _ = writeln!(text, "time zones of {zones}");
        }
        text
    }
}

fn word(outcome: Answer) -> Cell {
    Cell::toned(outcome.tone(), outcome.as_str())
}

impl PlaceDocument {
    /// One table, cut where a call has more to say.
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::headed(2, &["CALL", "ON", "RESULT"]);
        for row in &self.calls {
            table.row([(&*row.call).into(), (&*row.about).into(), word(row.outcome)]);
        }
        let lines = table.text(paint);
        let mut lines = lines.lines();
        let mut text = String::new();
        lines.next().into_iter().for_each(|head| text += &format!("{head}\n"));
        for (row, line) in self.calls.iter().zip(lines) {
            let _ = writeln!(text, "{line}");
            if row.outcome != Answer::Allowed && row.reason != UNTRIED {
                text += &row.advice(6, paint);
            }
        }
        text
    }
}

impl CheckRow {
    /// Why, and what to add.
    fn advice(&self, indent: usize, paint: Paint) -> String {
        let pad = " ".repeat(indent);
        let mut text = format!("{pad}{}\n", paint.tone(self.outcome.tone(), &self.reason));
        if let (Some(action), Some(resource)) = (&self.action, &self.resource) {
            let _ = writeln!(text, "{pad}action {action} on resource {resource}");
        }
        for add in &self.add {
            let _ = writeln!(text, "{pad}add to {}:", add.policy);
            let _ = writeln!(text, "{pad}  {}", add.statement);
        }
        text
    }
}

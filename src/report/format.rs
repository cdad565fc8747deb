//! The two formats of a log line: JSON for machines and the night, text for a person at a terminal.

use std::fmt::{self, Write as _};
use std::sync::OnceLock;

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;
use crate::domain::text::{seen, seen_lines};

/// How log lines look.
#[derive(Debug, Clone)]
pub struct Format {
    /// The daemon's name, in each JSON line.
    pub daemon: String,
    /// JSON, or text.
    pub json: bool,
    /// Whether text may be coloured.
    pub colour: bool,
}

/// Fields by name, in the order in which they were given.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.push((field.name(), value));
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(name, _)| *name == key)?;
        match self.0.remove(at).1 {
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, json!(value));
    }
}

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut w: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let name = fields.take("event").unwrap_or_else(|| event.metadata().target().to_owned());
        let level = event.metadata().level().as_str();
        let now = Clock::Wall.now();
        if self.json {
            // Written by hand so that the line begins with what an eye looks for first.
            write!(
                w,
                r#"{{"ts":{},"level":{},"event":{},"daemon":{}"#,
                json!(now.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
                json!(level),
                json!(name),
                json!(self.daemon)
            )?;
            for (key, value) in fields.0 {
                write!(w, ",{}:{value}", json!(key))?;
            }
            return writeln!(w, "}}");
        }
        let (paint, plain) = match (self.colour, level) {
            (true, "ERROR") => ("\x1b[1;31m", "\x1b[0m"),
            (true, "WARN") => ("\x1b[33m", "\x1b[0m"),
            _ => ("", ""),
        };
        let mut line = format!("{} {paint}{level:<5}{plain} {name:<18}", now.format("%H:%M:%S"));
        // The run tells plan and due; the place is in the JSON and in `history`.
        let in_run = fields.0.iter().any(|(name, _)| *name == "run");
        let elsewhere = |name: &str| matches!(name, "due" | "account" | "region") || in_run && name == "plan";
        fields.0.retain(|(name, _)| !elsewhere(name));
        for key in ["run", "plan", "instance", "image", "copy", "snapshot", "step", "outcome"] {
            if let Some(text) = fields.take(key) {
                write!(line, " {}{}", if key == "copy" { "-> " } else { "" }, seen(&text))?;
            }
        }
        let reason =
            [fields.take("message"), fields.take("reason")].into_iter().flatten().collect::<Vec<_>>().join(": ");
        for (key, value) in fields.0 {
            if key == "elapsed_ms" {
                write!(line, " in {:.1}s", value.as_f64().unwrap_or(0.0) / 1000.0)?;
            } else {
                write!(line, " {key}={}", seen(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)))?;
            }
        }
        if !reason.is_empty() {
            write!(line, ": {paint}{}{plain}", seen_lines(&reason))?;
        }
        writeln!(w, "{}", line.trim_end())
    }
}

/// Sets the least level of the installed logs.
type SetLevel = Box<dyn Fn(&str) + Send + Sync>;

/// Of the logs in force.
static LEVEL: OnceLock<SetLevel> = OnceLock::new();

/// Of the libraries only errors: what matters of theirs is said where it is decided.
fn filter(level: &str) -> EnvFilter {
    EnvFilter::new(format!("error,stillframe={level}"))
}

/// Sends all logs to stderr in `format`, from `level` on.
pub fn install(format: Format, level: &str) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .event_format(format)
        .with_env_filter(filter(level))
        .with_filter_reloading();
    let handle = builder.reload_handle();
    // A second call (in tests) leaves the first in force.
    if builder.try_init().is_ok() {
        // Gone only with the subscriber, and then nobody logs.
        let _ = LEVEL.set(Box::new(move |level| drop(handle.reload(filter(level)))));
    }
}

/// Writes from `level` on from now on.
pub fn set_level(level: &str) {
    if let Some(set) = LEVEL.get() {
        set(level);
    }
}

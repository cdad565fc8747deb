//! The two formats of a log line: JSON for machines and the night, text for a person at a terminal.

use std::fmt::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, reload};

use super::journald::Journald;
use super::out;
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

impl Format {
    /// The line of an event, without its end; `fields` are all but `event`.
    fn line(&self, level: Level, name: &str, mut fields: Fields) -> Result<String, fmt::Error> {
        let now = Clock::Wall.now();
        let level = level.as_str();
        let mut line = String::new();
        if self.json {
            // Written by hand so that the line begins with what an eye looks for first.
            write!(
                line,
                r#"{{"ts":{},"level":{},"event":{},"daemon":{}"#,
                json!(now.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
                json!(level),
                json!(name),
                json!(self.daemon)
            )?;
            for (key, value) in fields.0 {
                write!(line, ",{}:{value}", json!(key))?;
            }
            line.push('}');
            return Ok(line);
        }
        let (paint, plain) = match (self.colour, level) {
            (true, "ERROR") => ("\x1b[1;31m", "\x1b[0m"),
            (true, "WARN") => ("\x1b[33m", "\x1b[0m"),
            _ => ("", ""),
        };
        write!(line, "{} {paint}{level:<5}{plain} {name:<18}", now.format("%H:%M:%S"))?;
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
        Ok(line.trim_end().to_owned())
    }
}

/// A line of the log, and what it is made of.
#[derive(Debug)]
pub struct Line<'a> {
    /// How bad it is.
    pub level: Level,
    /// The daemon's name.
    pub daemon: &'a str,
    /// The event's name.
    pub event: &'a str,
    /// The other fields, `message` among them.
    pub fields: &'a [(&'static str, Value)],
    /// As it is written, without the end of the line.
    pub text: &'a str,
}

/// Where lines go. It never fails: nothing ends because it cannot be logged.
pub trait Sink: Send + Sync {
    /// Takes a line.
    fn take(&self, line: &Line<'_>);
}

/// Stderr.
#[derive(Debug)]
struct Stderr;

impl Sink for Stderr {
    fn take(&self, line: &Line<'_>) {
        out::note(line.text);
    }
}

/// Every event becomes a line.
pub struct Logs {
    format: Format,
    sink: Box<dyn Sink>,
}

impl Logs {
    /// Lines that look like `format` says, and go to `sink`.
    #[must_use]
    pub fn new(format: Format, sink: Box<dyn Sink>) -> Self {
        Self { format, sink }
    }
}

impl<S: Subscriber> Layer<S> for Logs {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let name = fields.take("event").unwrap_or_else(|| event.metadata().target().to_owned());
        let level = *event.metadata().level();
        let all = fields.0.clone();
        let Ok(text) = self.format.line(level, &name, fields) else { return }; // a text takes all
        self.sink.take(&Line { level, daemon: &self.format.daemon, event: &name, fields: &all, text: &text });
    }
}

/// Whether lines go to systemd's journal natively.
static NATIVE: AtomicBool = AtomicBool::new(false);

/// Whether lines go to systemd's journal natively.
#[must_use]
pub fn natively() -> bool {
    NATIVE.load(Ordering::Relaxed)
}

/// Sets the least level of the installed logs.
type SetLevel = Box<dyn Fn(&str) + Send + Sync>;

/// Of the logs in force.
static LEVEL: OnceLock<SetLevel> = OnceLock::new();

/// Of the libraries only errors: what matters of theirs is said where it is decided.
fn filter(level: &str) -> EnvFilter {
    EnvFilter::new(format!("error,stillframe={level}"))
}

/// Sends all logs to stderr, or to the journal that it leads to, in `format`, from `level` on.
pub fn install(format: Format, level: &str) {
    let sink: Box<dyn Sink> = match Journald::of_this_process() {
        Some(journald) => {
            NATIVE.store(true, Ordering::Relaxed);
            Box::new(journald)
        }
        None => Box::new(Stderr),
    };
    let (filter_layer, handle) = reload::Layer::new(filter(level));
    let installed = tracing_subscriber::registry().with(filter_layer).with(Logs::new(format, sink)).try_init();
    // A second call (in tests) leaves the first in force.
    if installed.is_ok() {
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

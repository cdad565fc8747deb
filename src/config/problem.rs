//! A mistake in the configuration: its place, what is wrong, what was expected, and what to type instead.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::domain::text::{seen, seen_lines};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It is taken, but something about it will surprise.
    Warning,
}

/// The line of a file that a problem is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// The line, without its end.
    pub text: String,
    /// The bytes of it that are wrong.
    pub marked: Range<usize>,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file or directory, or the name of the environment variable.
    pub file: String,
    /// Counted from 1; 0 for what is no file. A problem of a whole file stands at 1:1.
    pub line: usize,
    /// In characters, counted from 1; 0 for what is no file.
    pub col: usize,
    /// The dotted key, or empty for a whole file.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub expected: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Error or warning.
    pub severity: Severity,
    /// Whether what is written there may be a secret: then there is no hint, which might repeat it.
    #[serde(skip)]
    pub(super) hides: bool,
    /// The line to show with a caret, where there is one.
    #[serde(skip)]
    pub source: Option<SourceLine>,
}

impl Problem {
    /// A problem of a whole file or directory.
    #[must_use]
    pub fn of_file(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 1,
            col: 1,
            key: String::new(),
            what: what.into(),
            expected: None,
            hint: None,
            severity: Severity::Error,
            hides: false,
            source: None,
        }
    }

    /// The same, as a warning.
    #[must_use]
    pub fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// The same, with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl Problem {
    /// Its place and what is wrong, without the lines below: `web.toml:3:5: keep.daily: ...`.
    #[must_use]
    pub fn headline(&self) -> String {
        let mut text = self.file.clone();
        if self.line > 0 {
            text.push_str(&format!(":{}:{}", self.line, self.col));
        }
        if !self.key.is_empty() {
            text.push_str(&format!(": {}", self.key));
        }
        if self.severity == Severity::Warning {
            text.push_str(": warning");
        }
        seen(&(text + ": " + &self.what))
    }
}

/// As a person reads it. What is written in a file, or is its name, steers no terminal.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        let mut group = Group::with_level(Level::ERROR);
        if let Some(source) = &self.source {
            let caret = AnnotationKind::Primary.span(source.marked.clone());
            group = group.element(Snippet::source(source.text.as_str()).line_start(self.line).annotation(caret));
        }
        if let Some(expected) = &self.expected {
            group = group.element(Level::NOTE.with_name("expected").message(expected.as_str()));
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        if !group.is_empty() {
            let report = [group];
            write!(f, "\n{}", seen_lines(&Renderer::plain().render(&report)))?;
        }
        Ok(())
    }
}

/// All that was found, sorted by place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Puts them in order of place: file, line, column.
    #[must_use]
    pub fn new(mut all: Vec<Problem>) -> Self {
        all.iter_mut().filter(|p| p.hides).for_each(|p| p.hint = None);
        all.sort_by(|a, b| (&a.file, a.line, a.col, &a.key, &a.what).cmp(&(&b.file, b.line, b.col, &b.key, &b.what)));
        all.dedup();
        Self(all)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are, warnings included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many of them refuse the configuration.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.iter().filter(|p| p.severity == Severity::Error).count()
    }

    /// Each, by place.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.iter().enumerate() {
            if nth > 0 {
                write!(f, "\n\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

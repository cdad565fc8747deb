//! Holds "imports run one way": reads the paths in src/**/*.rs and refuses what points the wrong way.

use std::fs;
use std::path::Path;

/// What each module may import of the crate, beside itself.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("statedir", &[]),
    ("domain", &[]),
    ("defect", &["domain"]),
    ("config", &["domain", "clock"]),
    ("journal", &["domain", "clock", "defect", "statedir"]),
    ("cloud", &["domain", "clock", "defect", "statedir"]),
    ("engine", &["domain", "config", "journal", "cloud", "clock", "defect", "statedir"]),
    ("report", &["domain", "journal", "clock"]),
    ("cli", &["domain", "config", "journal", "cloud", "engine", "report", "clock", "statedir"]),
];

/// Crates that live in one place: how their paths begin, and how the files that may use them begin.
const CONFINED: &[(&str, &str)] = &[
    ("aws_sdk_", "cloud/aws"),
    ("aws_config", "cloud/aws"),
    ("aws_smithy", "cloud/aws"),
    ("aws_types", "cloud/aws"),
    ("aws_credential_types", "cloud/aws"),
    ("rusqlite", "journal/sqlite"),
    ("tokio_cron_scheduler", "engine/heartbeat.rs"),
    ("use config::", "config/settings"),
    ("::config::", "config/settings"),
    ("config::Config", "config/settings"),
    ("config::Environment", "config/settings"),
    ("config::File", "config/settings"),
];

/// Where JSON is known: the codec of facts, documents (AWS's policies are some), the journal, configurations, the back ends,
/// and the files of the state directory.
const JSON: &[&str] = &[
    "domain/fact/codec",
    "domain/copying/",
    "report/",
    "cli/check.rs",
    "cli/doctor/policy.rs",
    "journal/",
    "config/",
    "cloud/",
    "statedir.rs",
];

/// What the pure core does without.
const IMPURE: &[&str] = &[
    "tokio",
    "async",
    "await",
    "Utc::now",
    "Local::now",
    "SystemTime",
    "Instant::now",
    "rusqlite",
    "rand",
    "fastrand",
    "uuid",
    "std::fs",
    "std::env",
    "std::net",
    "std::thread",
];

#[test]
fn imports_run_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 10, "found only {} files under {}", files.len(), root.display());
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let name = path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
            violations(&name, &fs::read_to_string(path).expect("readable"))
        })
        .collect();
    assert!(wrong.is_empty(), "imports run the wrong way:\n{}", wrong.join("\n"));
}

fn collect(dir: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// What is wrong with a file, `name` being its path below src.
fn violations(name: &str, text: &str) -> Vec<String> {
    let module = name.split(['/', '.']).next().unwrap_or_default();
    let code: String = text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    let mut wrong = Vec::new();
    let mut say = |at: usize, what: String| {
        wrong.push(format!("src/{name}:{}: {what}", code[..at].lines().count().max(1)));
    };
    if !["lib", "main"].contains(&module) {
        let allowed = MAY_IMPORT.iter().find(|(m, _)| *m == module).map(|(_, allowed)| *allowed);
        if allowed.is_none() {
            say(0, format!("{module} has no rule: say in tests/it/imports.rs what it may import"));
        }
        for (at, imported) in imported_modules(name, &code) {
            let known = MAY_IMPORT.iter().any(|(m, _)| *m == imported);
            if known && imported != module && !allowed.unwrap_or_default().contains(&imported.as_str()) {
                say(at, format!("{module} must not import {imported}"));
            }
        }
    }
    for (path, home) in CONFINED.iter().filter(|(_, home)| !name.starts_with(home)) {
        // A name may go on after `aws_sdk_`, but none may stand before it.
        for at in positions(&code, path).filter(|at| !joined_before(&code, *at)) {
            say(at, format!("{path} belongs in {home} only"));
        }
    }
    let shipped = if name.ends_with("tests.rs") { 0 } else { code.find("#[cfg(test)]").unwrap_or(code.len()) };
    if !JSON.iter().any(|home| name.starts_with(home)) {
        for at in positions(&code[..shipped], "serde_json") {
            say(at, "JSON is known in the codec, in documents and at the edges only".into());
        }
    }
    if module == "domain" {
        for word in IMPURE {
            let whole = |at: &usize| {
                !is_name(code[..*at].chars().next_back()) && !is_name(code[at + word.len()..].chars().next())
            };
            for at in positions(&code, word).filter(whole) {
                say(at, format!("the pure core must do without {word}"));
            }
        }
    }
    wrong
}

/// The line up to its comment; `://` in an address is none.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

fn positions<'a>(code: &'a str, what: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(what).map(|(at, _)| at)
}

fn is_name(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Whether what begins at `at` is the tail of a longer name or path, as `config::` is in `crate::config::`.
fn joined_before(code: &str, at: usize) -> bool {
    let before = &code[..at];
    let absolute = before.strip_suffix("::").is_some_and(|b| !is_name(b.chars().next_back()) && !b.ends_with('>'));
    is_name(before.chars().next_back()) || (before.ends_with("::") && !absolute)
}

/// The top modules that a file names by `crate::` or by enough `super::`, with where; groups are taken apart.
fn imported_modules(name: &str, code: &str) -> Vec<(usize, String)> {
    // The file cloud/port.rs is the module crate::cloud::port: two `super::` lead to the crate.
    let depth = name.trim_end_matches("/mod.rs").split('/').count();
    let mut found = Vec::new();
    for root in ["crate::".to_owned(), "super::".repeat(depth)] {
        for at in positions(code, &root).filter(|at| !is_name(code[..*at].chars().next_back())) {
            let rest = &code[at + root.len()..];
            found.extend(heads(rest).into_iter().map(|head| (at, head)));
        }
    }
    found
}

/// The first names of `a::b`, or of each branch of `{a::b, c::{d, e}}`.
fn heads(rest: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| is_name(Some(*c))).collect::<String>();
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let mut level = 0;
    let mut heads = vec![name(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => level += 1,
            '}' if level == 0 => break,
            '}' => level -= 1,
            ',' if level == 0 => heads.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    heads
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let table = [
        // Made-up offending lines.
        ("domain/plan.rs", "use crate::engine::machine;", 1),
        ("domain/plan.rs", "use super::super::clock::Clock;", 1),
        ("domain/schedule/line.rs", "use super::super::super::clock::Clock;", 1),
        ("domain/plan.rs", "let now = chrono::Utc::now();", 1),
        ("domain/plan.rs", "pub async fn f() {}", 1),
        ("domain/plan.rs", "fn f() -> u8 { fastrand::u8(..) }", 1),
        ("cloud/port.rs", "use crate::{domain::place::Place, engine::{a, b}};", 1),
        ("cloud/port.rs", "use crate::{\n    domain::place::Place,\n    journal,\n    config,\n};", 2),
        ("engine/steps/image.rs", "fn f(r: crate::report::Logs) {}", 1),
        ("report/logs.rs", "use crate::engine::Daemon;", 1),
        ("cloud/governed.rs", "use aws_sdk_ec2::Client;", 1),
        ("engine/machine.rs", "let c = aws_config::imds::Client::builder();", 1),
        ("journal/memory.rs", "use rusqlite::Connection;", 1),
        ("engine/daemon.rs", "use tokio_cron_scheduler::Job;", 1),
        ("config/check.rs", "let c = ::config::Config::builder();", 2),
        ("cli/check.rs", "let c = config::Config::builder();", 1),
        ("engine/run.rs", "let data = serde_json::json!({});", 1),
        ("domain/saga.rs", "use serde_json::Value;", 1),
        ("extra.rs", "", 1),
        // And what is right.
        ("domain/plan.rs", "use super::keep::Keep; // not crate::engine, no tokio", 0),
        ("domain/schedule/line.rs", "use crate::domain::keep; use super::super::naming; let brand = 1;", 0),
        ("cloud/governed.rs", "use super::port::Ec2; use super::super::clock::Clock;", 0),
        ("cloud/aws/mod.rs", "use aws_sdk_ec2::Client;", 0),
        ("journal/sqlite/schema.rs", "use rusqlite::Connection;", 0),
        ("config/settings.rs", "let c = config::Config::builder();", 0),
        ("cli/check.rs", "use crate::{config, engine, report}; let c = crate::config::load(\"http://tokio\");", 0),
        ("domain/saga.rs", "#[cfg(test)]\nmod tests { use serde_json::json; }", 0),
        ("domain/fact/codec/data.rs", "use serde_json::Value;", 0),
        ("lib.rs", "pub use crate::engine;", 0),
    ];
    for (name, code, expected) in table {
        let wrong = violations(name, code);
        assert_eq!(wrong.len(), expected, "{name}: {code}\n{wrong:?}");
    }
}

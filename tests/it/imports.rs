//! Holds "imports run one way": reads the paths in src/**/*.rs and refuses what points the wrong way.

use std::collections::BTreeSet;
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
    ("sim", &["domain", "cloud", "clock", "statedir"]),
    ("engine", &["domain", "config", "journal", "cloud", "clock", "defect", "statedir"]),
    ("view", &["domain", "config", "journal", "cloud", "engine"]),
    ("report", &["domain", "view", "clock"]),
    ("cli", &["domain", "config", "journal", "cloud", "engine", "view", "report", "sim", "clock", "statedir"]),
];

/// The engine's folders: each may import those before it, and the last stands apart.
const ENGINE: &[&str] = &["context", "drive", "images", "distribution", "rollout", "retention", "lifecycle"];
/// What only the process itself, and nothing of the engine, asks.
const APART: &str = "host";

/// Crates that live in one place: how their paths begin, and how the files that may use them begin.
const CONFINED: &[(&str, &str)] = &[
    ("aws_sdk_", "cloud/aws"),
    ("aws_config", "cloud/aws"),
    ("aws_smithy", "cloud/aws"),
    ("aws_types", "cloud/aws"),
    ("aws_credential_types", "cloud/aws"),
    ("rusqlite", "journal/sqlite"),
    ("tokio_cron_scheduler", "engine/host/heartbeat.rs"),
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
    "view/doctor",
    "journal/",
    "config/",
    "cloud/",
    "sim/",
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

/// A module and its own children count as one.
#[test]
fn no_circles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    for module in ["engine", "domain"] {
        let of = |path: &std::path::PathBuf| {
            let name = path.strip_prefix(&root).ok()?.to_string_lossy().into_owned();
            name.starts_with(&format!("{module}/")).then(|| (name, fs::read_to_string(path).expect("readable")))
        };
        let texts: Vec<(String, String)> = files.iter().filter_map(of).collect();
        let edges = edges(module, &texts);
        assert!(edges.len() > 5, "found only {} imports in {module}: the checker reads nothing", edges.len());
        assert_eq!(circle(&edges), None, "in {module}");
    }
}

/// Which children of `module` import which others of its children.
fn edges(module: &str, texts: &[(String, String)]) -> BTreeSet<(String, String)> {
    let child = |name: &str| name.split(['/', '.']).nth(1).unwrap_or_default().to_owned();
    let children: BTreeSet<String> = texts.iter().map(|(name, _)| child(name)).filter(|c| c != "mod").collect();
    let mut edges = BTreeSet::new();
    for (name, text) in texts.iter().filter(|(name, _)| child(name) != "mod") {
        let code: String = text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
        let shipped = code.find("#[cfg(test)]").map_or(&*code, |at| &code[..at]);
        let up = name.trim_end_matches("/mod.rs").split('/').count() - 1;
        for root in [format!("crate::{module}::"), "super::".repeat(up)] {
            for at in positions(shipped, &root).filter(|at| !joined_before(shipped, *at)) {
                let heads = heads(&shipped[at + root.len()..]);
                let others = heads.into_iter().filter(|head| children.contains(head) && *head != child(name));
                edges.extend(others.map(|head| (child(name), head)));
            }
        }
    }
    edges
}

/// A circle, if there is one.
fn circle(edges: &BTreeSet<(String, String)>) -> Option<Vec<String>> {
    let mut left: BTreeSet<&String> = edges.iter().flat_map(|(a, b)| [a, b]).collect();
    // Whoever imports nobody that is left is in no circle.
    while let Some(free) = left.iter().copied().find(|m| !edges.iter().any(|(a, b)| a == *m && left.contains(b))) {
        left.remove(free);
    }
    (!left.is_empty()).then(|| left.into_iter().cloned().collect())
}

#[test]
fn the_checker_sees_circles() {
    let seen = |texts: &[(&str, &str)]| {
        let texts: Vec<_> = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        circle(&edges("engine", &texts)).map(|circle| circle.join(" "))
    };
    let (a, b) = (("engine/a.rs", "use crate::engine::b;"), ("engine/b/inner.rs", "use super::super::{c, d::D};"));
    let (c, d) = (("engine/c.rs", "use super::d; // crate::engine::a"), ("engine/d.rs", "mod inner;"));
    assert_eq!(seen(&[a, b, c, d]), None);
    assert_eq!(seen(&[a, b, c, ("engine/d.rs", "fn f() { super::c::g() }")]).as_deref(), Some("a b c d"));
    let inner = ("engine/d.rs", "#[cfg(test)]\nuse crate::engine::c;");
    assert_eq!(seen(&[a, b, c, inner]), None);
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
    let folder = |path: &str| path.split(['/', '.']).next().unwrap_or_default().to_owned();
    if let Some(inside) = name.strip_prefix("engine/").filter(|inside| *inside != "mod.rs") {
        let place = |folder: &str| ENGINE.iter().position(|known| *known == folder);
        let own = folder(inside);
        if own != APART && place(&own).is_none() {
            say(0, format!("engine/{own} has no rule: say in tests/it/imports.rs where it stands"));
        }
        for (at, other) in positions(&code, "crate::engine::")
            .flat_map(|at| heads(&code[at + "crate::engine::".len()..]).into_iter().map(move |head| (at, head)))
        {
            let later = place(&other) > place(&own);
            if other != own && (later || own == APART) {
                say(at, format!("engine/{own} must not import engine/{other}"));
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
        ("domain/plan.rs", "use crate::engine::host::machine;", 1),
        ("domain/plan.rs", "use super::super::clock::Clock;", 1),
        ("domain/schedule/line.rs", "use super::super::super::clock::Clock;", 1),
        ("domain/plan.rs", "let now = chrono::Utc::now();", 1),
        ("domain/plan.rs", "pub async fn f() {}", 1),
        ("domain/plan.rs", "fn f() -> u8 { fastrand::u8(..) }", 1),
        ("cloud/port.rs", "use crate::{domain::place::Place, engine::{a, b}};", 1),
        ("cloud/port.rs", "use crate::{\n    domain::place::Place,\n    journal,\n    config,\n};", 2),
        ("engine/rollout/image.rs", "fn f(r: crate::report::Logs) {}", 1),
        ("report/logs.rs", "use crate::engine::Daemon;", 1),
        ("cloud/governed.rs", "use aws_sdk_ec2::Client;", 1),
        ("engine/host/machine.rs", "let c = aws_config::imds::Client::builder();", 1),
        ("journal/memory.rs", "use rusqlite::Connection;", 1),
        ("engine/lifecycle/daemon.rs", "use tokio_cron_scheduler::Job;", 1),
        ("config/check.rs", "let c = ::config::Config::builder();", 2),
        ("cli/check.rs", "let c = config::Config::builder();", 1),
        ("engine/lifecycle/conduct.rs", "let data = serde_json::json!({});", 1),
        ("domain/saga.rs", "use serde_json::Value;", 1),
        ("extra.rs", "", 1),
        ("engine/extra.rs", "", 1),
        ("engine/drive/executor.rs", "use crate::engine::rollout::choose;", 1),
        ("engine/context.rs", "use crate::engine::{drive::Step, context::run};", 1),
        ("engine/host/machine.rs", "use crate::engine::context::Context;", 1),
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
        ("engine/rollout/choose.rs", "use crate::engine::context::run::Run; use crate::engine::rollout::image;", 0),
    ];
    for (name, code, expected) in table {
        let wrong = violations(name, code);
        assert_eq!(wrong.len(), expected, "{name}: {code}\n{wrong:?}");
    }
}

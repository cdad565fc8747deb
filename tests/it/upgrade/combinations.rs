//! What kinds of rows a journal holds: kind, scope, step and the keys of the data, told apart as the columns must be read
//! together.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use stillframe::domain::naming::parse_run_name;

use super::dump::Row;
use super::life::fixture;
use crate::support::rows::Draft;

/// The file that lists those which occur in many simulated lives.
pub const FILE: &str = "combinations.txt";

/// The combination of a row.
pub fn of_row(row: &Row) -> String {
    let data: Value = serde_json::from_str(&row.data).expect("JSON");
    let id = row.subject.rsplit_once('/').map_or("", |(_, id)| id);
    // The ARN of a key holds slashes.
    let id = if row.subject.contains("/arn:") { "arn:" } else { id };
    of(&row.kind, &row.run, id, &row.step, &data)
}

/// The combination of what is to be written.
pub fn of_draft(draft: &Draft) -> String {
    let id = draft.subject.as_ref().map_or("", |subject| &subject.id);
    of(draft.kind.as_str(), &draft.run, id, &draft.step, &draft.data)
}

fn of(kind: &str, run: &str, id: &str, step: &str, data: &Value) -> String {
    let key = |(key, value): (&String, &Value)| if value.is_null() { format!("{key}=null") } else { key.clone() };
    let keys: Vec<String> = data.as_object().into_iter().flatten().map(key).collect();
    format!("{kind} | {} | {} | {}", scope(kind, run, id), step_kind(kind, run, id, step), keys.join(","))
}

/// To what the row belongs, and about what it is.
fn scope(kind: &str, run: &str, id: &str) -> String {
    let run = match run {
        "" => "daemon",
        _ if parse_run_name(run).is_some() => "run",
        // A plan may bear these names: the kind decides.
        "keys" if kind.starts_with("key.") => "keys",
        "foreign" if !id.is_empty() => "foreign",
        _ => "plan",
    };
    let about = ["i-", "ami-", "snap-", "arn:"].into_iter().find(|prefix| id.starts_with(prefix));
    format!("{run} {}", about.unwrap_or(if id.is_empty() { "whole" } else { "?" }))
}

/// What the column `step` means here.
fn step_kind(kind: &str, run: &str, id: &str, step: &str) -> String {
    match kind {
        "retain.decided" => return format!("role {step}"),
        "key.lent" | "key.returned" => {
            return if step.ends_with(":root") { "PLAN:root" } else { "PLAN:GRANTEE" }.into();
        }
        _ => {}
    }
    let mishap = id.is_empty() && !step.is_empty() && parse_run_name(run).is_some();
    let what = match step.split_once(':') {
        // A region, or the number of a reload.
        None if mishap && step.contains('-') => "REGION".into(),
        None => step
            .split(' ')
            .map(|word| if word.bytes().all(|b| b.is_ascii_digit()) && !word.is_empty() { "N" } else { word })
            .collect::<Vec<_>>()
            .join(" "),
        Some((what, rest)) => format!("{what}:*{}", if rest.ends_with(".pending") { ".pending" } else { "" }),
    };
    if mishap { format!("mishap {what}") } else { what }
}

/// Those of the journal in a directory.
pub fn of_rows(rows: &[Row]) -> BTreeSet<String> {
    rows.iter().map(of_row).collect()
}

/// Those that are to be covered.
pub fn wanted() -> BTreeSet<String> {
    let text = fs::read_to_string(fixture().join(FILE)).expect("the list of combinations");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_same_word_is_read_by_its_kind_and_scope() {
    let data = serde_json::json!({ "b": 1, "a": null });
    for (kind, run, id, step, expected) in [
        ("retain.decided", "web@20260302T020000Z", "i-1", "image", "retain.decided | run i- | role image | a=null,b"),
        (
            "key.lent",
            "keys",
            "arn:aws:kms:eu:1:key/1",
            "copy:arn:aws:iam::2:root",
            "key.lent | keys arn: | PLAN:root | a=null,b",
        ),
        ("plan.first_seen", "keys", "", "", "plan.first_seen | plan whole |  | a=null,b"),
        (
            "step.refused",
            "web@20260302T020000Z",
            "",
            "retain:eu-west-1",
            "step.refused | run whole | mishap retain:* | a=null,b",
        ),
        (
            "step.needs_person",
            "web@20260302T020000Z",
            "ami-1",
            "copy:dr/eu-west-1.pending",
            "step.needs_person | run ami- | copy:*.pending | a=null,b",
        ),
    ] {
        assert_eq!(of(kind, run, id, step, &data), expected);
    }
}

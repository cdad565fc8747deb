//! Where two JSON values differ, for people.

use serde_json::Value;

/// So much of a value is shown.
const SHOWN: usize = 300;

/// A line for each place where `now` is not what was `recorded`, at most `limit`.
pub fn differences(recorded: &Value, now: &Value, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    walk("", recorded, now, limit, &mut found);
    found
}

fn walk(path: &str, recorded: &Value, now: &Value, limit: usize, found: &mut Vec<String>) {
    if recorded == now || found.len() >= limit {
        return;
    }
    match (recorded, now) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let path = format!("{path}/{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => walk(&path, a, b, limit, found),
                    (a, b) => tell(&path, a, b, found),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                walk(&format!("{path}/{n}"), a, b, limit, found);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            let gone = a.iter().filter(|value| !b.contains(value));
            let new = b.iter().filter(|value| !a.contains(value));
            gone.take(3).for_each(|value| tell(path, Some(value), None, found));
            new.take(3).for_each(|value| tell(path, None, Some(value), found));
            found.push(format!("{path}: {} were recorded, now there are {}", a.len(), b.len()));
        }
        (Value::String(a), Value::String(b)) if a.contains('\n') || b.contains('\n') => {
            let differ = a.lines().zip(b.lines()).position(|(a, b)| a != b);
            let at = differ.unwrap_or(a.lines().count().min(b.lines().count()));
            let line = |text: &str| Value::from(text.lines().nth(at).unwrap_or("(ends)"));
            tell(&format!("{path}, line {}", at + 1), Some(&line(a)), Some(&line(b)), found);
        }
        _ => tell(path, Some(recorded), Some(now), found),
    }
}

fn tell(path: &str, recorded: Option<&Value>, now: Option<&Value>, found: &mut Vec<String>) {
    let shown = |value: Option<&Value>| {
        let text = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
        let short: String = text.chars().take(SHOWN).collect();
        if short.len() < text.len() { short + "..." } else { short }
    };
    found.push(format!("{path}:\n      recorded {}\n      now      {}", shown(recorded), shown(now)));
}

#[test]
fn a_difference_is_told_by_its_path() {
    let a = serde_json::json!({ "runs": { "web": { "steps": [1, { "phase": "done" }] } }, "same": 1 });
    let b = serde_json::json!({ "runs": { "web": { "steps": [1, { "phase": "good" }], "late": null } }, "same": 1 });
    assert_eq!(
        differences(&a, &b, 9),
        [
            "/runs/web/steps/1/phase:\n      recorded \"done\"\n      now      \"good\"",
            "/runs/web/late:\n      recorded nothing\n      now      null"
        ]
    );
    assert!(differences(&a, &a, 9).is_empty());
}

//! As much as a generator may write: each mistake and each plan takes no longer than the one before.

use std::fs;

use super::mutated::checked;
use super::plans::PLAN;

/// As many unknown keys as a file holds, in lines of their own and in one, and 400 plans that select the same: each took
/// minutes when every problem, or plan, was held against each other.
#[test]
fn many_mistakes_take_no_longer_each() {
    const SETTINGS: &str = "[daemon]\nname = \"prod\"\nstate_dir = \"state\"\n";
    // Without a zone whose rules may be old, which is said, too.
    let plan = PLAN.replace("Europe/Berlin", "UTC");
    let site = |plans: &[(String, String)]| {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("plans.d")).expect("made");
        fs::write(dir.path().join("stillframe.toml"), SETTINGS).expect("written");
        for (name, text) in plans {
            fs::write(dir.path().join(format!("plans.d/{name}.toml")), text).expect("written");
        }
        dir
    };
    let keys: String = (0..40_000).map(|n| format!("k{n} = {n}\n")).collect();
    let dir = site(&[("web".into(), format!("{plan}[unknown]\n{keys}"))]);
    assert_eq!(checked(dir.path(), false).0, Some(2));
    let dir = site(&[("web".into(), format!("{keys}{plan}"))]);
    let (code, _, err) = checked(dir.path(), false);
    assert!(code == Some(2) && err.ends_with("40000 errors\n"), "{code:?} {}", err.len());
    let line: String = (0..40_000).map(|n| format!("k{n}={n},")).collect();
    let dir = site(&[("web".into(), plan.replace("[rollout]", &format!("rollout = {{ {line} }}\n[odd]")))]);
    assert_eq!(checked(dir.path(), false).0, Some(2));
    let nth = |n: usize| (format!("p{n:03}"), plan.replace("30 2 * * *", &format!("{} {} * * *", n % 60, n / 60)));
    let dir = site(&(0..400).map(nth).collect::<Vec<_>>());
    let (code, out, err) = checked(dir.path(), false);
    assert!(code == Some(0) && out.starts_with("ok: 400 plans") && err.is_empty(), "{code:?} {err}");
    let dir = site(&(0..400).map(|n| (format!("p{n:03}"), plan.to_owned())).collect::<Vec<_>>());
    let (code, _, err) = checked(dir.path(), false);
    assert!(code == Some(0) && err.matches("is due together with plan `p000`").count() == 399, "{code:?}");
}

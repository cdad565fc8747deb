//! What is legal but odd is told, and what is sensible is left alone.

use super::plans::PLAN;
use super::{SETTINGS, golden, of_plan, of_text, said, table};

/// A plan with these lines in place of the sections of the same name.
fn odd(cron: &str, keep: &str) -> String {
    let plan = PLAN.replace("\"30 2 * * *\"", cron).replace("last = 3\nwithin = \"14d\"\ndaily = 7\n", keep);
    of_text(&plan.replace("catch_up = \"1h\"\nwindow = \"3h\"\n", ""))
}

const ORGANIZATION: &str = "arn:aws:organizations::111111111111:organization/o-abc";

/// A plan with these lines before its tags.
fn before_tags(lines: &str) -> String {
    of_plan("[tags]\n", &format!("{lines}\n[tags]\n"))
}

#[test]
fn warnings() {
    let ids = "instances = [\"i-00000001\", \"i-00000002\", \"i-00000003\", \"i-00000004\"]";
    let four = PLAN.replace("instances = [\"i-0123456789abcdef0\"]", ids).replace("\"3m\"", "\"10m\"");
    let four = four.replace("\"1h\"", "\"5m\"").replace("\"3h\"", "\"20m\"");
    let no_regions = PLAN.replace("regions = [\"eu-central-1\"]\n", "");
    let settings = ("stillframe.toml", SETTINGS.as_bytes());
    let unnamed: [(&str, &[u8]); 2] = [settings, ("plans.d/web.toml", no_regions.as_bytes())];
    let weekly = PLAN.replace("\"30 2 * * *\"", "\"30 2 * * SUN\"").replace("daily = 7\n", "");
    let twins: [(&str, &[u8]); 3] =
        [settings, ("plans.d/nightly.toml", PLAN.as_bytes()), ("plans.d/weekly.toml", weekly.as_bytes())];
    let nightly = "\"30 2 * * *\"";
    let third = format!(
        "[[copy]]\nregion = \"eu-west-1\"\naccount = \"dr\"\nkms_key = \"{}\"",
        "arn:aws:kms:eu-west-1:555555555555:alias/backup",
    );
    let rows = [
        ("a window too short for the reboots", of_text(&four)),
        ("a window shorter than catch_up", of_plan("window = \"3h\"", "window = \"30m\"")),
        ("no region", said(&unnamed, &[])),
        ("no region, but the environment's", said(&unnamed, &[("AWS_REGION", "eu-west-1")])),
        ("a region that AWS is not known to have", of_plan("eu-central-1", "eu-centrall-1")),
        ("a zone without a summer", of_plan("Europe/Berlin", "EST")),
        ("all that is selected is excluded", of_plan("\"stillframe:skip\" =", "Backup =")),
        ("each minute", odd("\"* 2 * * *\"", "last = 3\n")),
        ("each second", odd("\"* 30 2 * * *\"", "last = 3\n")),
        ("each minute of the day", odd("\"* * * * *\"", "last = 3\n")),
        ("seconds where minutes were meant", odd("\"*/5 * * * * *\"", "last = 3\n")),
        ("six fields where five were meant", odd("\"30 2 * * * *\"", "last = 3\n")),
        ("tags as AWS writes them", of_plan("{ Backup = \"nightly\" }", "{ Key = \"Backup\", Value = \"nightly\" }")),
        ("a tag as a filter", of_plan("{ Backup = \"nightly\" }", "{ Name = \"tag:Backup\", Values = [\"nightly\"] }")),
        ("days of the month or a weekday", odd("\"30 2 1-7 * MON\"", "last = 3\n")),
        ("every other day or a weekday", odd("\"30 2 */2 * MON\"", "last = 3\n")),
        ("a line twice in other words", odd("[\"30 2 * * *\", \"0 30 2 * * *\"]", "last = 3\n")),
        ("a line within another", odd("[\"30 2 * * SUN\", \"30 2 * * *\"]", "last = 3\n")),
        ("hours of a nightly plan", odd(nightly, "hourly = 24\ndaily = 7\n")),
        ("hours and days of a weekly plan", odd("\"30 2 * * SUN\"", "hourly = 24\ndaily = 7\nweekly = 4\n")),
        ("weeks of a monthly plan", odd("\"30 2 1 * *\"", "weekly = 4\nmonthly = 12\n")),
        ("a time of one night", odd(nightly, "within = \"1d\"\ndaily = 7\n")),
        ("a time shorter than a week", odd("\"30 2 * * SUN\"", "within = \"6d\"\n")),
        ("min above all counts", odd(nightly, "last = 3\nmin = 5\n")),
        ("a copy to a region that AWS is not known to have", before_tags("[[copy]]\nregion = \"eu-wset-1\"")),
        ("a copy under a key of a third account", before_tags(&third)),
        ("hours of a copy's own", before_tags("[[copy]]\nregion = \"eu-west-1\"\nkeep = { hourly = 24, daily = 7 }")),
        ("snapshots for an organization", before_tags(&format!("[share]\norganizations = [\"{ORGANIZATION}\"]"))),
        ("two plans at the same time", said(&twins, &[])),
    ];
    golden("warnings", &table(&rows));
    for (title, text) in rows {
        assert!(text.starts_with("ok\n\nDIR/"), "{title}: no warning, or refused:\n{text}");
    }
}

#[test]
fn what_is_sensible_has_no_warning() {
    let ok = "ok\n\n";
    let rows = [
        ("\"30 2 * * *\"", "last = 3\nwithin = \"14d\"\ndaily = 7\nweekly = 4\nmonthly = 12\nyearly = 3\n"),
        ("\"30 2 * * *\"", "within = \"2d\"\n"),
        ("\"30 2 * * *\"", "hourly = 1\nmin = 1\n"),
        ("\"0 */6 * * *\"", "hourly = 24\ndaily = 7\n"),
        ("\"15 * * * *\"", "hourly = 24\ndaily = 14\nmin = 2\n"),
        ("\"*/15 * * * *\"", "within = \"1h\"\nhourly = 24\n"),
        ("\"30 2 * * MON-FRI\"", "daily = 5\nweekly = 4\n"),
        ("\"*/5 * * * *\"", "last = 3\n"),
        ("\"0 0 * * * *\"", "last = 3\n"),
        ("\"0 30 * * * *\"", "last = 3\n"),
        ("\"0 30 2 * * *\"", "last = 3\n"),
        ("\"30 2 * * SUN\"", "weekly = 4\nmonthly = 12\nwithin = \"14d\"\n"),
        ("\"30 2 1,15 * *\"", "weekly = 4\nmonthly = 12\n"),
        ("\"0 3 1 1 *\"", "yearly = 7\n"),
        ("\"30 2 1-7 * +MON\"", "last = 3\n"),
        ("\"30 2 * * MON#1\"", "last = 3\n"),
        ("\"30 2 ? * MON-FRI\"", "last = 3\n"),
        ("[\"30 2 1 * *\", \"30 2 * * SUN\"]", "weekly = 4\nmonthly = 12\n"),
        ("[\"30 2 * * *\", \"30 14 * * SUN\"]", "hourly = 8\ndaily = 7\n"),
        ("[\"30 2 * * MON\", \"30 2 * * TUE\"]", "last = 3\nmin = 3\n"),
    ];
    for (cron, keep) in rows {
        assert_eq!(odd(cron, keep), ok, "{cron} {keep}");
    }
    for lines in [
        "[[copy]]\nregion = \"eu-west-1\"\nkms_key = \"alias/aws/ebs\"\n[[copy]]\nregion = \"eu-west-2\"",
        "[[copy]]\nregion = \"eu-central-1\"\naccount = \"dr\"\nvia_key = \"alias/share\"\nkeep.last = 2",
        "[[copy]]\nregion = \"eu-west-1\"\naccount = \"dr\"\n[share]\naccounts = [\"222222222222\"]\ngrace = \"1d\"",
        &format!("[share]\naccounts = [\"333333333333\"]\norganizations = [\"{ORGANIZATION}\"]\nvia_key = \"alias/x\""),
        &format!("[share]\nsnapshots = false\norganizations = [\"{ORGANIZATION}\"]"),
    ] {
        assert_eq!(before_tags(lines), ok, "{lines}");
    }
    let settings = ("stillframe.toml", SETTINGS.as_bytes());
    let later = PLAN.replace("30 2", "30 3");
    let other = PLAN.replace("nightly", "weekly");
    // Only the night on which the clock is set forward brings these two together.
    let moved = PLAN.replace("30 2", "45 2");
    for other in [later, other, moved] {
        let two: [(&str, &[u8]); 3] =
            [settings, ("plans.d/a.toml", PLAN.as_bytes()), ("plans.d/b.toml", other.as_bytes())];
        assert_eq!(said(&two, &[]), ok);
    }
    let simulated = format!("{SETTINGS}[cloud]\nbackend = \"sim\"\n");
    let anywhere = PLAN.replace("regions = [\"eu-central-1\"]\n", "");
    let anywhere = anywhere.replace("\"30 2 * * *\"", "\"*/20 * * * * *\"");
    let anywhere = anywhere.replace("within = \"14d\"\ndaily = 7\n", "");
    let one: [(&str, &[u8]); 2] = [("stillframe.toml", simulated.as_bytes()), ("plans.d/a.toml", anywhere.as_bytes())];
    assert_eq!(said(&one, &[]), ok, "the simulated world has one region");
}

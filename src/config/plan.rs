//! From the shape of a plan file to a checked plan: what no single key can tell.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{self, DAEMON_NAME_MAX, PLAN_NAME_MAX, show_duration};
use super::distribution::{self, Accounts};
use super::fields::PLAN;
use super::kind::{Kind, TagEntry};
use super::problem::Problem;
use super::shape;
use super::sheet::Sheet;
use super::source::Source;
use super::zones::Zones;
use crate::domain::copying::names::COPY_SUFFIX;
use crate::domain::keep::Keep;
use crate::domain::naming::{NAME_MAX, TAGS_MAX};
use crate::domain::plan::{Consistency, Mode, OnUnhealthy, Plan, Rollout, Schedule, Seconds, Select};
use crate::domain::sharing::LENT_TAGS_MAX;
use crate::domain::zone::Zone;

/// The time to become healthy that is proposed at least, in seconds: the default.
const ENOUGH: Seconds = 15 * 60;

/// `daemon`, `installation`, `plan`, `due`, `instance`, `run`, `role`, `source`, `consistency`, `schema`, those that
/// remember whom an image was lent to, and `Name`.
const OWN_TAGS: usize = 11 + LENT_TAGS_MAX;
/// The longest instance id: `i-` and 17 digits.
const INSTANCE_ID_MAX: usize = 19;
/// `20261120T023000Z`.
const COMPACT_LEN: usize = 16;

// `stillframe/<daemon>/<plan>/<instance>/<due>` always fits into the name of an image, and so does that of its copies.
const _: () = assert!(
    "stillframe".len() + DAEMON_NAME_MAX + PLAN_NAME_MAX + INSTANCE_ID_MAX + COMPACT_LEN + "////".len() + COPY_SUFFIX
        <= NAME_MAX
);

/// A plan without errors, and where each of its keys stands.
#[derive(Debug)]
pub struct Checked {
    /// The plan.
    pub plan: Plan,
    /// What its file says.
    pub sheet: Sheet,
    /// Its file.
    pub source: Source,
}

/// Reads and checks one plan, called `name`. Nothing if it has an error.
pub(super) fn check(
    name: &str,
    source: Source,
    accounts: Accounts<'_>,
    zones: &Zones,
    problems: &mut Vec<Problem>,
) -> Option<Checked> {
    let mut found = Vec::new();
    let sheet = shape::read(&source, &PLAN, true, &mut found);
    let zone = zone(&sheet, &source, zones, problems, &mut found);
    across(&sheet, &source, &mut found);
    distribution::across(&sheet, &source, accounts, &mut found);
    let plan = if found.is_empty() { build(name, &sheet, zone, accounts) } else { None };
    problems.append(&mut found);
    plan.map(|plan| Checked { plan, sheet, source })
}

/// The zone of the plan. A name that no table knows is an error; that a table cannot be used, a warning.
fn zone(
    sheet: &Sheet,
    source: &Source,
    zones: &Zones,
    warnings: &mut Vec<Problem>,
    errors: &mut Vec<Problem>,
) -> Option<Zone> {
    let key = "schedule.timezone";
    let name = sheet.text(key)?;
    let Ok(zone) = zones.find(name, warnings) else {
        let complaint = check::no_zone(name);
        let expected = Some(format_of(key));
        errors.push(Problem { expected, hint: complaint.hint, ..source.problem(sheet.span(key), key, complaint.what) });
        return None;
    };
    Some(zone)
}

/// What a good value of a key in a section looks like.
fn format_of(path: &str) -> String {
    let inner = path.split_once('.').and_then(|(section, key)| PLAN.field(section)?.kind.table()?.field(key));
    inner.map_or_else(String::new, |field| field.form.to_owned())
}

/// What only several keys together can tell.
fn across(sheet: &Sheet, source: &Source, problems: &mut Vec<Problem>) {
    let mut say = |at: &str, key: &str, what: String, expected: Option<&str>, hint: Option<String>| {
        let expected = expected.map(str::to_owned);
        problems.push(Problem { expected, hint, ..source.problem(sheet.span(at), key, what) });
    };
    // One of the keys without which a section says nothing.
    let says = |section: &str| match PLAN.field(section).map(|field| field.kind) {
        Some(Kind::Section(table)) => table.some.iter().any(|key| sheet.says(&format!("{section}.{key}"))),
        _ => false,
    };
    if sheet.sound(&["select"]) && !says("select") {
        let at = if sheet.span("select.instances").is_some() { "select.instances" } else { "select" };
        say(
            at,
            "select",
            "selects nothing".into(),
            Some("tags or instances, or both"),
            Some("add `tags = { Backup = \"nightly\" }` in [select]".into()),
        );
    }
    if sheet.sound(&["keep"]) && !says("keep") {
        say(
            "keep",
            "keep",
            "has no rule: which images should stay?".into(),
            Some("at least one of last, within, hourly, daily, weekly, monthly, yearly"),
            Some("add `daily = 7` in [keep]".into()),
        );
    }
    let pace = ["rollout.settle", "rollout.healthy_within"];
    if let [Some(settle), Some(limit)] = pace.map(|path| sheet.seconds(path))
        && sheet.sound(&pace)
        && limit <= settle
    {
        let enough = show_duration(ENOUGH.max(settle.saturating_mul(2)));
        let (settle, limit) = (show_duration(settle), show_duration(limit));
        let at = if sheet.span(pace[1]) == sheet.span("rollout") { pace[0] } else { pace[1] };
        say(
            at,
            at,
            format!(
                "healthy_within ({limit}) is not longer than settle ({settle}): no instance could be healthy in time"
            ),
            None,
            Some(format!("write healthy_within = \"{enough}\", or any time well above {settle}")),
        );
    }
    let tags = sheet.tags("tags");
    let own = tags.iter().filter(|(key, _)| key.text != "Name").count();
    if own > TAGS_MAX - OWN_TAGS {
        let most = TAGS_MAX - OWN_TAGS;
        let hint =
            format!("keep at most {most}: EC2 allows {TAGS_MAX} for each image, and {OWN_TAGS} are stillframe's own");
        say("tags", "tags", format!("holds {own} tags"), None, Some(hint));
    }
}

fn build(name: &str, sheet: &Sheet, zone: Option<Zone>, accounts: Accounts<'_>) -> Option<Plan> {
    let texts = |path: &str| -> Vec<String> { sheet.texts(path).iter().map(|item| item.text.clone()).collect() };
    let sets = |entries: &[TagEntry]| -> BTreeMap<String, BTreeSet<String>> {
        let set = |(key, values): &TagEntry| (key.text.clone(), values.iter().map(|v| v.text.clone()).collect());
        entries.iter().map(set).collect()
    };
    let kept = keep(sheet, "keep");
    Some(Plan {
        name: name.to_owned(),
        description: sheet.text("description").map(str::to_owned),
        schedule: Schedule {
            cron: texts("schedule.cron"),
            timezone: zone?,
            catch_up: sheet.seconds("schedule.catch_up"),
            window: sheet.seconds("schedule.window"),
        },
        select: Select {
            regions: texts("select.regions"),
            tags: sets(sheet.tags("select.tags")),
            exclude_tags: sets(sheet.tags("select.exclude_tags")),
            instances: texts("select.instances").into_iter().collect(),
            allow_auto_scaling: sheet.flag("select.allow_auto_scaling"),
        },
        consistency: Consistency {
            mode: Mode::parse(sheet.text("consistency.mode")?)?,
            resend_unknown: sheet.flag("consistency.resend_unknown"),
        },
        rollout: Rollout {
            max_in_flight: sheet.count("rollout.max_in_flight"),
            settle: sheet.seconds("rollout.settle")?,
            healthy_within: sheet.seconds("rollout.healthy_within")?,
            on_unhealthy: OnUnhealthy::parse(sheet.text("rollout.on_unhealthy")?)?,
        },
        copies: distribution::copies(sheet, &kept, accounts)?,
        share: distribution::shared(sheet),
        keep: kept,
        tags: {
            let one = |(key, values): &TagEntry| Some((key.text.clone(), values.first()?.text.clone()));
            sheet.tags("tags").iter().filter_map(one).collect()
        },
    })
}

/// The keep rules below `path`.
pub(super) fn keep(sheet: &Sheet, path: &str) -> Keep {
    let count = |rule: &str| sheet.count(&format!("{path}.{rule}"));
    Keep {
        last: count("last"),
        within: sheet.seconds(&format!("{path}.within")),
        hourly: count("hourly"),
        daily: count("daily"),
        weekly: count("weekly"),
        monthly: count("monthly"),
        yearly: count("yearly"),
        min: count("min"),
        max_deletions: count("max_deletions"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::problem::Problems;
    use crate::domain::plan::CopyTo;

    /// A plan called `web` of this text.
    pub(crate) fn parse(text: &str) -> Result<Plan, Problems> {
        let source = Source::new("web.toml", text);
        let mut problems = Vec::new();
        check("web", source, None, &Zones::look(&BTreeMap::new()), &mut problems)
            .map(|checked| checked.plan)
            .ok_or_else(|| Problems::new(problems))
    }

    #[test]
    fn the_least_plan_has_the_defaults_of_the_contract() {
        let plan = parse("schedule.cron = \"30 2 * * *\"\nselect.tags.Backup = \"nightly\"\nkeep.last = 3\n").unwrap();
        let expected = Plan {
            select: Select {
                tags: [("Backup".to_owned(), BTreeSet::from(["nightly".to_owned()]))].into(),
                ..Select::default()
            },
            keep: Keep { last: 3, ..Keep::default() },
            ..Plan::named("web", "30 2 * * *")
        };
        assert_eq!(plan, expected);
        // What was journaled of older plans keeps its hash.
        let written = serde_json::to_value(&plan).unwrap();
        assert!(written.get("copies").is_none() && written.get("share").is_none(), "{written}");
    }

    #[test]
    fn copies_and_a_share() {
        let base = "schedule.cron = \"30 2 * * *\"\nselect.tags.Backup = \"nightly\"\nkeep.last = 3\nkeep.min = 2\n";
        let plan = parse(&format!(
            "{base}[[copy]]\nregion = \"eu-west-1\"\nkms_key = \"alias/backup\"\n\
             [[copy]]\nregion = \"eu-west-2\"\nkeep = {{ last = 2, monthly = 12 }}\n\
             [share]\naccounts = [\"333333333333\"]\n"
        ))
        .unwrap();
        let to = |region: &str, kms_key: Option<&str>, keep| CopyTo {
            region: region.into(),
            account: None,
            kms_key: kms_key.map(str::to_owned),
            via_key: None,
            keep,
        };
        let own = Keep { last: 2, monthly: 12, ..Keep::default() };
        assert_eq!(plan.copies, [to("eu-west-1", Some("alias/backup"), plan.keep.clone()), to("eu-west-2", None, own)]);
        let share = plan.share.as_ref().unwrap();
        assert_eq!((share.snapshots, share.grace, share.accounts.len()), (true, 7 * 86_400, 1));
        let again: Plan = serde_json::from_value(serde_json::to_value(&plan).unwrap()).unwrap();
        assert_eq!(again, plan);
    }
}

//! Tables: a series in one line, and the words of the reasons.

use chrono::{NaiveDate, TimeDelta};

use super::*;
use crate::domain::naming::image_name;
use crate::domain::observed::SharedTags;

const INSTANCE: &str = "i-0123456789abcdef0";

pub(super) fn candidate(due: DateTime<Utc>, state: ImageState) -> Candidate {
    let name = image_name("prod", "web", INSTANCE, due);
    let marks = Marks {
        daemon: "prod".into(),
        installation: "x".into(),
        plan: "web".into(),
        due,
        instance: INSTANCE.into(),
        role: Role::Image,
        source: None,
        consistency: "reboot".into(),
    };
    let image = Image {
        id: format!("ami-{:010}", due.timestamp()),
        name,
        owner: "111111111111".into(),
        state,
        state_reason: None,
        created: Some(due + TimeDelta::seconds(3)),
        odd: None,
        source_instance: Some(INSTANCE.into()),
        source_image: None,
        snapshots: vec![],
        product_codes: false,
        deprecated: None,
        tags: SharedTags::default(),
    };
    Candidate { image, marks }
}

static UTC: Zone = Zone::UTC;

/// At `now`, with nothing in use.
pub(super) fn situation_at(now: DateTime<Utc>, nothing: &BTreeMap<String, String>) -> Situation<'_> {
    Situation { now, zone: &UTC, in_use: nothing, busy: nothing, grace: None }
}

#[test]
fn a_shared_image_is_deprecated_before_it_goes() {
    let nothing = BTreeMap::new();
    let mut list: Vec<Candidate> = ["20", "21"].map(|day| candidate(due(day), ImageState::Available)).into();
    let shared = BTreeSet::from([list[0].image.id.clone()]);
    let grace = Some(Grace { lasts: 7 * 86_400, shared: &shared });
    let verdict = |list: &[Candidate], now: &str, grace| {
        let s = Situation { grace, ..situation_at(due(now), &nothing) };
        let verdicts = decide(&keep("last=1"), list, &s);
        let old = verdicts.last().expect("two");
        (old.delete, old.deprecate, old.reasons.join("; "))
    };
    assert_eq!(verdict(&list, "22", None), (true, false, "no rule keeps it".into()));
    let first = "no rule keeps it; shared: deprecated first, it goes 7 d later";
    assert_eq!(verdict(&list, "22", grace), (false, true, first.into()));
    list[0].image.deprecated = Some(due("22"));
    let then = "no rule keeps it; shared: deprecated since 2026-11-22T00:00:00Z, it goes 7 d later";
    assert_eq!(verdict(&list, "28", grace), (false, false, then.into()));
    assert_eq!(verdict(&list, "29", grace), (true, false, "no rule keeps it".into()));
}

/// `20`, `1020`, `251020`: a day of November 2026, of another month, of another year; `T02` or `T0230` goes on.
pub(super) fn due(text: &str) -> DateTime<Utc> {
    let (day, time) = text.split_once('T').unwrap_or((text, "00"));
    let two = |text: &str, at: usize| text.get(at..at + 2).map(|t| t.parse::<u32>().expect("two digits"));
    let day = format!("{}{day}", &"261120"[..6 - day.len()]);
    let date = NaiveDate::from_ymd_opt(
        2000 + i32::try_from(two(&day, 0).unwrap_or(0)).expect("a year"),
        two(&day, 2).expect("a month"),
        two(&day, 4).expect("a day"),
    );
    let time = date.expect("a date").and_hms_opt(two(time, 0).unwrap_or(0), two(time, 2).unwrap_or(0), 0);
    time.expect("a time").and_utc()
}

/// `last=3 within=14d daily=7 ... min=1 max=3`; no limit on deletions unless said.
fn keep(text: &str) -> Keep {
    let mut keep = Keep { max_deletions: u32::MAX, ..Keep::default() };
    for part in text.split_whitespace() {
        let (rule, value) = part.split_once('=').expect("rule=number");
        let days = value.strip_suffix('d').unwrap_or(value);
        let number: u32 = days.parse().expect("a number");
        match rule {
            "last" => keep.last = number,
            "within" => keep.within = Some(u64::from(number) * 86_400),
            "hourly" => keep.hourly = number,
            "daily" => keep.daily = number,
            "weekly" => keep.weekly = number,
            "monthly" => keep.monthly = number,
            "yearly" => keep.yearly = number,
            "min" => keep.min = number,
            "max" => keep.max_deletions = number,
            other => panic!("no rule {other}"),
        }
    }
    keep
}

/// A series in one line: `+` stays and `-` goes, then the due, then what is special after a colon: its state, or
/// `hold`, `used`, `busy`, `future`, `odd`, `undated`.
struct Grid {
    candidates: Vec<Candidate>,
    expected: Vec<(String, bool)>,
    in_use: BTreeMap<String, String>,
    busy: BTreeMap<String, String>,
}

fn grid(text: &str) -> Grid {
    let mut grid = Grid { candidates: vec![], expected: vec![], in_use: BTreeMap::new(), busy: BTreeMap::new() };
    for token in text.split_whitespace() {
        let (instant, special) = token[1..].split_once(':').unwrap_or((&token[1..], ""));
        let mut c = candidate(due(instant), ImageState::Available);
        let id = c.image.id.clone();
        match special {
            "" => {}
            "hold" => drop(c.image.tags.insert(HOLD_TAG.into(), String::new())),
            "used" => drop(grid.in_use.insert(id.clone(), "i-1".into())),
            "busy" => drop(grid.busy.insert(id.clone(), "being copied".into())),
            "odd" => c.image.odd = Some("its state is `frozen`".into()),
            "undated" => c.image.created = None,
            "future" => c.image.created = Some(c.marks.due - TimeDelta::minutes(6)),
            state => c.image.state = serde_json::from_str(&format!("\"{state}\"")).expect("a state"),
        }
        grid.expected.push((id, token.starts_with('-')));
        grid.candidates.push(c);
    }
    grid
}

#[test]
fn what_stays_and_what_goes() {
    let berlin = &Zone::from(chrono_tz::Europe::Berlin);
    let table = [
        // What cannot be read is kept, not counted, and no anchor.
        (&UTC, "last=1", "+20:odd +19 +18:undated -17"),
        (&UTC, "last=1 within=2d", "+20:odd +19 +18 -16"),
        // Counts.
        (&UTC, "last=2", "+20 +19 -18 -17"),
        (&UTC, "last=9", "+20 +19"),
        (&UTC, "last=1 min=3", "+20 +19 +18 -17"),
        (&UTC, "within=2d", "+20 +19 -18 -17"),
        (&UTC, "within=2d", "+10 +09 -08 -07"),
        (&UTC, "within=1d last=1", "+20T12 +19T13 -19T12 -19T11"),
        // No rule at all deletes nothing.
        (&UTC, "min=1", "+20 +19 +18"),
        // Buckets: the newest of each of the newest that have one.
        (&UTC, "hourly=2", "+20T0459 -20T0430 +20T0210 -20T0200 -20T0159"),
        (&UTC, "daily=2", "+20T12 -20T02 +18T12 -18T02 -17T12"),
        (&UTC, "weekly=2", "+16 +15 -14 -09 -08"),
        (&UTC, "monthly=3", "+20 -01 +1031 -1001 +0801 -0731"),
        (&UTC, "yearly=2", "+20 -0101 +251231 -251230 -241231"),
        // ISO weeks across the year's end: 2024-12-30 and 2025-01-05 are of one week.
        (&UTC, "weekly=2", "+250106 +250105 -250101 -241230 -241229"),
        // Rules add up.
        (&UTC, "last=1 daily=2 monthly=2", "+20T12 -20T02 +19T12 -18 +1031 -1030"),
        // The plan's zone decides: 23:30 UTC is the next day in Berlin, and 00:30 there.
        (berlin, "daily=2", "+20T2330 +20T2200 -20T0000 -19T2359"),
        (&UTC, "daily=2", "+20T2330 -20T2200 -20T0000 +19T2359"),
        // The hour that Berlin's clock repeats is two hours.
        (berlin, "hourly=3", "+1025T0130 +1025T0030 +1024T2330 -1024T2230"),
        // What protects.
        (&UTC, "last=1", "+20 -19 +18:hold -17 +16:used -15 +14:busy -13"),
        (&UTC, "last=1 min=3", "+20 +19 +18:hold -17"),
        (&UTC, "last=1 min=2", "+20 -19 +18:hold -17"),
        // Not good: never counted, never an anchor.
        (&UTC, "last=2", "+20:pending +19 +18 -17"),
        (&UTC, "last=2", "+20:disabled +19:transient +18:deregistered +17 +16 -15"),
        (&UTC, "within=2d", "+20:pending +15 +14 -13"),
        (&UTC, "last=1", "+20:future +19 -18 +17:future"),
        (&UTC, "daily=2", "+20T12:pending +20T02 +19 -18"),
        // Half-made ones go after a day, but for the only trace.
        (&UTC, "last=2", "+20 -19:failed -18:error -17:invalid +16 -15"),
        (&UTC, "last=2", "+21T1330:failed +20 +19 -18"),
        (&UTC, "last=2", "+20:failed -19:failed"),
        (&UTC, "last=2", "+20:pending -19:failed"),
        (&UTC, "last=2 max=2", "+20 +19:failed +18:failed -17:failed -16:failed"),
        // The oldest go first, as many as may.
        (&UTC, "last=1 max=2", "+20 +19 +18 -17 -16"),
        (&UTC, "last=1 max=2", "+20 +19:failed +18 -17:failed -16"),
        (&UTC, "last=1 max=0", "+20 +19"),
        (&UTC, "last=1 max=1 min=2", "+20 +19 +18 -17"),
    ];
    for (zone, rules, line) in table {
        let g = grid(line);
        let s = situation(&g, zone);
        let verdicts = decide(&keep(rules), &g.candidates, &s);
        let found: Vec<(String, bool)> = verdicts.iter().map(|v| (v.image.clone(), v.delete)).collect();
        assert_eq!(found, g.expected, "{rules}: {line}\n{verdicts:#?}");
        assert!(verdicts.iter().all(|v| !v.reasons.is_empty()), "{rules}: {line}");
    }
}

/// At 2026-11-21T14:00Z.
fn situation<'a>(g: &'a Grid, zone: &'a Zone) -> Situation<'a> {
    Situation { now: due("21T14"), zone, in_use: &g.in_use, busy: &g.busy, grace: None }
}

#[test]
fn reasons_are_an_operators_words() {
    let g = grid("+20T12 +19 +18:hold +17:used +16:pending +15:future -14:failed +13:busy -12 -11");
    let s = situation(&g, &UTC);
    let reasons = |s: &Situation<'_>, rules: &str| -> Vec<String> {
        decide(&keep(rules), &g.candidates, s).into_iter().map(|v| v.reasons.join("; ")).collect()
    };
    assert_eq!(
        reasons(&s, "last=1 daily=2 within=1d max=2"),
        [
            "last 1; within 1d of the newest good image; daily 2: the newest of 2026-11-20; newest good image of its series",
            "daily 2: the newest of 2026-11-19",
            "on hold (tag stillframe:hold)",
            "in use by i-1",
            "pending: not finished yet",
            "not understood: due 2026-11-15T00:00:00Z but already created 2026-11-14T23:54:00Z",
            "half-made (failed), older than a day; would go; max_deletions (2) reached: next run",
            "busy: being copied",
            "no rule keeps it",
            "no rule keeps it",
        ]
    );
    assert_eq!(
        reasons(&s, "last=1 min=6")[0..2],
        ["last 1; newest good image of its series", "min 6: no fewer good images"]
    );
}

#[test]
fn an_image_dated_in_the_future_is_no_anchor() {
    let mut g = grid("+21T1406 +20 +19 -18");
    g.candidates[0].image.created = Some(due("21T1410"));
    let verdicts = decide(&keep("within=2d"), &g.candidates, &situation(&g, &UTC));
    assert_eq!(verdicts[0].reasons, ["not understood: due 2026-11-21T14:06:00Z, which is in the future"]);
    assert_eq!(verdicts.iter().map(|v| v.delete).collect::<Vec<_>>(), [false, false, false, true]);
    // Five minutes are a clock's tolerance.
    let g = grid("+21T1405 +20 -18");
    let verdicts = decide(&keep("within=2d"), &g.candidates, &situation(&g, &UTC));
    assert_eq!(verdicts.iter().map(|v| v.delete).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn a_series_has_a_name() {
    let place = Place::new("111111111111", "eu-central-1");
    let series = Series { plan: "web".into(), instance: "i-1".into(), place, role: Role::Copy };
    assert_eq!(series.to_string(), "web of 111111111111/eu-central-1/i-1 (copy)");
}

/// All that holds the one image of the series that is marked with `?`, and what would end each.
fn held(g: &Grid, rules: &str, due_of: &str) -> Vec<String> {
    let id = candidate(due(due_of), ImageState::Available).image.id;
    let s = situation(g, &UTC);
    standing_of(&keep(rules), &g.candidates, &s, &id).iter().map(|why| format!("{why} | {}", why.until())).collect()
}

#[test]
fn each_reason_says_what_would_end_it() {
    let table = [
        ("last=3", "+20 +19 +18 -17", "20", "last 3 | until 3 more good images of its series are made"),
        ("last=3", "+20 +19 +18 -17", "18", "last 3 | until one more good image of its series is made"),
        (
            "within=2d",
            "+20 +19 -18",
            "19",
            "within 2d of the newest good image | until there is a good image due 2026-11-21T00:00:00Z or later",
        ),
        (
            "daily=3",
            "+20 +19 -16",
            "20",
            "daily 3: the newest of 2026-11-20 | until a newer image of 2026-11-20 is made, or 3 more newer days have \
             an image",
        ),
        ("daily=3", "+20 +19 -16", "19", "daily 3: the newest of 2026-11-19 | until 2 more newer days have an image"),
        (
            "monthly=2",
            "+20 +1015",
            "1015",
            "monthly 2: the newest of 2026-10 | until one more newer month has an image",
        ),
        (
            "last=1 min=2",
            "+20 +19 -18",
            "19",
            "min 2: no fewer good images | until 2 other good images of its series stay",
        ),
        (
            "last=1",
            "+20 +19:hold",
            "19",
            "on hold (tag stillframe:hold) | until somebody removes the tag stillframe:hold",
        ),
        ("last=1", "+20 +19:used", "19", "in use by i-1 | until i-1 is terminated"),
        ("last=1", "+20 +19:busy", "19", "busy: being copied | until that run is finished with it"),
        ("last=1", "+20:pending +19", "20", "pending: not finished yet | until it is available, or failed"),
        ("min=1", "+20 +19", "19", "no keep rule: nothing is deleted | until the plan has a keep rule"),
        ("last=1", "+20 -19", "19", ""),
        ("last=1", "+20", "1", ""),
    ];
    for (rules, line, of, expected) in table {
        let found = held(&grid(line), rules, of);
        let newest = "newest good image of its series | until a newer good image of its series is made";
        let rest: Vec<&str> = found.iter().map(String::as_str).filter(|why| *why != newest).collect();
        assert_eq!(rest.join("\n"), expected, "{rules}: {line}");
    }
}

/// Daily occurrences from the 21st on: the one after which nothing holds the image.
#[test]
fn the_occurrence_after_which_nothing_holds_an_image() {
    let dues = || (0..4_000).map(|day| due("21") + TimeDelta::days(day));
    let table = [
        ("last=3", "+20 +19 +18", "18", Some("21")),
        ("last=3", "+20 +19 +18", "20", Some("23")),
        ("last=1", "+20", "20", Some("21")),
        ("within=5d", "+20 +19", "20", Some("25")),
        ("last=1 daily=7", "+20 +19", "19", Some("26")),
        // The first of a month is its newest only until the second; the last is its newest for good.
        ("last=1 monthly=2", "+20 +1031", "20", Some("21")),
        ("last=1 monthly=2", "+20 +1031", "1031", Some("1201")),
        ("last=1 min=3", "+20 +19", "19", Some("22")),
        ("last=2", "+20 +19:hold", "19", None),
        ("last=2", "+20 +19:used", "19", None),
        ("last=2", "+20:pending +19", "20", None),
        ("last=5000", "+20", "20", None),
        ("min=1", "+20 +19", "19", None),
    ];
    for (rules, line, of, expected) in table {
        let g = grid(line);
        let id = candidate(due(of), ImageState::Available).image.id;
        let found = leaves_at(&keep(rules), &g.candidates, &situation(&g, &UTC), &id, dues());
        assert_eq!(found, expected.map(due), "{rules}: {line}, {of}");
    }
}

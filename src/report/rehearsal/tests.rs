//! The page and the text of a small document: what users wrote cannot leave its place, and nothing is fetched.

use serde_json::Value;

use super::*;
use crate::report::document::Document as _;
use crate::report::table::Paint;

const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=\"a\"> & 'b' \u{2028}\x1b[31m";

fn counted(reason: &str, count: u64) -> Counted {
    Counted { reason: reason.into(), count }
}

fn stored(images: u64) -> Stored {
    Stored {
        images,
        images_most: images + 1,
        snapshots: 2 * images,
        snapshots_most: 2 * images,
        gib: 1234.5,
        gb_months: 40.6,
        cost: 2.03,
        cost_per_month: 61.73,
    }
}

fn plan(name: &str, reboots: &[u32]) -> PlanRehearsal {
    let total: u64 = reboots.iter().map(|n| u64::from(*n)).sum();
    let most = Most { count: 50, at: Some("2026-12-01".into()) };
    PlanRehearsal {
        plan: name.into(),
        description: Some(HOSTILE.into()),
        cron: vec!["30 2 * * *".into()],
        timezone: "Europe/Berlin".into(),
        regions: vec!["eu-central-1".into()],
        consistency: if total == 0 { "none" } else { "reboot" },
        window_s: Some(3 * 3600),
        max_in_flight: 1,
        keeps_days: 372,
        instances: 50,
        occurrences: Occurrences { run: 3, done: 3, ..Occurrences::default() },
        targets: Targets {
            done: 90,
            skipped: 60,
            reasons: vec![counted("the window of 10800 s after due is over", 60), counted(HOSTILE, 1)],
            ..Targets::default()
        },
        reboots: Reboots { total, per_day: 33.3, most, down: Most { count: 1, at: None } },
        longest_down: Some(LongestRun { run: format!("{name}@20261201T013000Z"), seconds: 9_200 }),
        longest_run: None,
        window: Window { runs: 3, targets: 60, of: 150 },
        stored: stored(90),
        deleted: vec![counted("no rule keeps it", 1234)],
        kept_by: vec![counted("daily 7", 90), counted("would go; max_deletions (3) reached: next run", 1)],
        without_image: vec![GapDocument {
            account: "111111111111".into(),
            region: "eu-central-1".into(),
            instance: "i-0123456789abcdef0".into(),
            name: Some(HOSTILE.into()),
            seconds: 90_000,
            from: "2026-12-01T00:00:00Z".into(),
            until: "2026-12-02T01:00:00Z".into(),
            images: 0,
        }],
        never_imaged: 5,
        alarms: vec![counted("look at it", 2)],
        daily: Days { reboots: reboots.to_vec(), down: reboots.iter().map(|n| (*n).min(1)).collect() },
    }
}

fn kept(plan: &str, region: &str) -> Kept {
    Kept {
        plan: plan.into(),
        account: "111111111111".into(),
        region: region.into(),
        stored: stored(90),
        images: vec![30, 60, 90],
        snapshots: vec![60, 120, 180],
        gib: vec![1000.0, 1100.5, 1234.5],
    }
}

fn document() -> RehearsalDocument {
    RehearsalDocument {
        daemon: "prod".into(),
        from: "2026-12-30".into(),
        days: 3,
        seed: 7,
        faults: "none".into(),
        fleet: FleetDocument {
            source: HOSTILE.into(),
            instances: 100,
            volumes: 150,
            gib: 5800,
            unselected: (1..=5).map(|n| format!("i-{n:017x}")).collect(),
        },
        warnings: Vec::new(),
        totals: Totals { runs: 6, reboots: 100, reboots_per_day: 33.3, stored: stored(180), ..Totals::default() },
        plans: vec![plan("db", &[0, 0, 0]), plan("web", &[50, 0, 50])],
        kept: vec![kept("db", "eu-central-1"), kept("web", "eu-central-1")],
        rebooted_by_several: vec![counted("db, web", 1)],
        down: vec![1, 0, 1],
        calls: vec![CallsDocument {
            account: "111111111111".into(),
            region: "eu-central-1".into(),
            api: "CreateImage".into(),
            calls: 12_345,
            most: Most { count: 170, at: Some("2026-12-01T01:15:00Z".into()) },
            aws_allows: 350.0,
            share_allows: 175.0,
        }],
        injected: vec![counted("throttle", 3)],
        price: 0.05,
        assumptions: vec![HOSTILE.into()],
    }
    .warned()
}

#[test]
fn warnings_name_what_to_do() {
    let document = document();
    let warnings: Vec<String> = document
        .warnings
        .iter()
        .map(|w| w.plan.as_ref().map_or(w.reason.clone(), |plan| format!("{plan}: {}", w.reason)))
        .collect();
    let left_out = format!("1 target is left out, mostly: {HOSTILE}");
    let of_plan = |plan: &str| {
        [
            "it never fits into its window of 3h: 20 of 50 targets are then skipped; raise schedule.window or \
             rollout.max_in_flight",
            left_out.as_str(),
            "5 instances that it names never got a good image: i-0123456789abcdef0 and 4 more",
            "it calls a person 2 times",
            "at the end 1 image is still to be deleted: keep.max_deletions lets so many go in one run only",
        ]
        .map(|reason| format!("{plan}: {reason}"))
    };
    let mut expected: Vec<String> = [
        "1 instance is rebooted by more than one plan: db, web",
        "no plan selects 5 instances: i-00000000000000001, i-00000000000000002, i-00000000000000003 and 2 more",
        "CreateImage in eu-central-1 needs all of the daemon's share of its rate (170 calls in a minute): runs wait for \
         it; raise cloud.api_share, or spread the plans",
    ]
    .map(str::to_owned)
    .into();
    expected.extend(of_plan("db"));
    expected.extend(of_plan("web"));
    expected.push(
        "what is stored still grows at the end, since the keep rules of db, web reach back up to 372 days: rehearse \
         more days to see where it levels off"
            .into(),
    );
    assert_eq!(warnings, expected);
    // What went well is not warned of, and some of it is worse than all of it.
    let mut fine = plan("web", &[1, 1, 1]);
    fine.window = Window { runs: 1, targets: 2, of: 50 };
    (fine.never_imaged, fine.keeps_days) = (0, 3);
    fine.alarms.clear();
    fine.targets.reasons = vec![counted("excluded by its tag a=b (select.exclude_tags)", 9)];
    fine.kept_by.clear();
    let fine = RehearsalDocument { plans: vec![fine], rebooted_by_several: Vec::new(), calls: Vec::new(), ..document };
    let mut fine = RehearsalDocument { fleet: FleetDocument { unselected: Vec::new(), ..fine.fleet.clone() }, ..fine };
    let reasons: Vec<String> = fine.clone().warned().warnings.into_iter().map(|w| w.reason).collect();
    let part = "it does not fit into its window of 3h in 1 of 3 runs: 2 of 50 targets are then skipped; raise \
                schedule.window or rollout.max_in_flight";
    assert_eq!(reasons, [part]);
    fine.plans[0].window = Window::default();
    assert_eq!(fine.warned().warnings, []);
}

#[test]
fn the_text_is_a_table_and_cannot_steer_the_terminal() {
    let text = document().text(Paint::PLAIN);
    assert!(!text.contains('\x1b'));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "rehearsal of prod: 3 days from 2026-12-30 to 2027-01-01 (UTC), 2 plans, 100 instances, faults none, seed 7"
    );
    // Figures end where their headings end.
    let heading = lines.iter().position(|l| l.contains("HOW OFTEN")).expect("the reasons");
    let end = |line: &str, word: &str| line.find(word).expect(word) + word.len();
    assert_eq!(end(lines[heading], "HOW OFTEN"), end(lines[heading + 1], " 60"));
    for part in ["LOOK AT", "WHAT RAN", "2h 33m", "12,345", "1,234.5", "ASSUMPTIONS"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// The JSON that the page holds.
fn inside(html: &str) -> Value {
    let begin = "<script type=\"application/json\" id=\"rehearsal\">";
    let (_, rest) = html.split_once(begin).expect("the document");
    let (json, _) = rest.split_once("</script>").expect("its end");
    serde_json::from_str(json).expect("JSON")
}

#[test]
fn the_page_holds_the_document_and_nothing_of_it_is_markup() {
    let document = document();
    let html = document.html();
    let json: Value = serde_json::from_str(&document.json()).expect("JSON");
    assert_eq!(inside(&html), json);
    assert_eq!(json["schema"], 1);
    assert_eq!(html.matches("<script").count(), 1, "only the document");
    assert_eq!(html.matches("</script>").count(), 1);
    assert!(!html.contains("<img") && !html.contains("alert(1)</script>"));
    assert!(!html.contains('\x1b'));
    for reference in ["http://", "https://", "src=", "href=", "@import", "url(", "//"] {
        let page = html.replace("&lt;img src=x", "");
        let page = page.split_once("<script").expect("the document").0;
        assert!(!page.contains(reference), "{reference}");
    }
}

/// Each tag that is opened is closed, in order.
#[test]
fn the_page_is_well_formed() {
    let html = document().html();
    let mut open: Vec<&str> = Vec::new();
    let body = html.split_once("<html").expect("html").1;
    for part in body.split('<').skip(1) {
        let tag = part.split_once('>').expect("a whole tag").0;
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().expect("a name");
        if tag.starts_with('/') {
            if name != "html" {
                assert_eq!(open.pop(), Some(name), "{}", &part[..part.len().min(60)]);
            }
        } else if !tag.ends_with('/') && name != "meta" && !tag.starts_with('!') {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

/// What the drawings tell is what the document says.
#[test]
fn the_drawings_agree_with_the_document() {
    let html = document().html();
    // The calendar: days with no reboot are there too; the year changes within the block.
    let cell = |text: &str| html.contains(&format!("<title>{text}, at most "));
    assert!(
        cell("Wed 2026-12-30: 50 reboots") && cell("Thu 2026-12-31: 0 reboots") && cell("Fri 2027-01-01: 50 reboots")
    );
    assert!(html.contains("<title>2027-01-01\ndb, eu-central-1: 90\nweb, eu-central-1: 90</title>"));
    assert!(html.contains("db, eu-central-1: 1,234.5\nweb, eu-central-1: 1,234.5\n123.45 USD/month</title>"));
    assert!(html.contains("It reboots nothing: its instances are imaged while they run."));
    // Many places become one line for each plan, and many plans a line for the smallest.
    let mut document = document();
    document.kept = (0..12).map(|n| kept(&format!("plan-{n:02}"), "eu-central-1")).collect();
    let html = document.html();
    assert!(html.contains("</i>5 other plans</li>") && html.contains("5 other plans: 450"));
    document.kept = (0..12).map(|n| kept("web", &format!("region-{n}"))).collect();
    assert!(document.html().contains("2026-12-30\n360 images"));
}

/// A rehearsal without plans, days of one kind, or anything kept is a page too.
#[test]
fn an_empty_rehearsal_is_a_page() {
    let document = RehearsalDocument {
        days: 1,
        plans: Vec::new(),
        kept: Vec::new(),
        down: vec![0],
        calls: Vec::new(),
        ..document()
    }
    .warned();
    let html = document.html();
    assert!(html.contains("there are no plans: nothing happens"));
    assert!(!html.contains("NaN") && !html.contains("inf"));
}

//! The tables of a rehearsal, once for the terminal and the page: the two cannot disagree.

use super::columns::{Section, figure, prose, text};
use super::document::{Counted, RehearsalDocument, Stored};
use super::plan::LongestRun;
use super::words::{count, decimal};
use crate::domain::schedule::words;

impl RehearsalDocument {
    /// All tables that have rows.
    pub(super) fn sections(&self) -> Vec<Section> {
        let all = [
            self.plans_section(),
            self.reasons_section(),
            self.stored_section(),
            self.months_section(),
            self.retention_section(),
            self.gaps_section(),
            self.calls_section(),
            self.faults_section(),
        ];
        all.into_iter().filter(|section| !section.rows.is_empty()).collect()
    }

    fn plans_section(&self) -> Section {
        let longest = |run: &Option<LongestRun>| run.as_ref().map_or("-".into(), |run| words(run.seconds));
        let rows = self.plans.iter().map(|p| {
            let (o, t, r) = (&p.occurrences, &p.targets, &p.reboots);
            vec![
                p.plan.clone(),
                count(o.run),
                count(o.skipped),
                count(o.missed),
                count(o.failed),
                count(t.done),
                count(t.failed),
                count(t.skipped),
                count(r.total),
                decimal(r.per_day, 1),
                count(r.most.count),
                count(r.down.count),
                longest(&p.longest_down),
                longest(&p.longest_run),
            ]
        });
        Section {
            id: "plans",
            title: "What ran",
            note: "Occurrences that ran, were skipped or missed, and runs that failed; targets of all runs that are done, \
                   failed or were left out. Back after, ended after: the longest time from due until the last target \
                   was back in service, and until images and retention were done."
                .into(),
            columns: vec![
                text("PLAN"),
                figure("RUN"),
                figure("SKIPPED"),
                figure("MISSED"),
                figure("RUNS FAILED"),
                figure("DONE"),
                figure("FAILED"),
                figure("LEFT OUT"),
                figure("REBOOTS"),
                figure("A DAY"),
                figure("MOST A DAY"),
                figure("MOST DOWN"),
                figure("BACK AFTER"),
                figure("ENDED AFTER"),
            ],
            rows: rows.collect(),
        }
    }

    fn reasons_section(&self) -> Section {
        let mut rows = Vec::new();
        for p in &self.plans {
            let mut add = |what: &str, list: &[Counted]| {
                let row = |c: &Counted| vec![p.plan.clone(), what.to_owned(), count(c.count), c.reason.clone()];
                rows.extend(list.iter().map(row));
            };
            add("occurrence skipped", &p.occurrences.reasons);
            add("run failed", &p.occurrences.failures);
            add("target left out", &p.targets.reasons);
            add("target failed", &p.targets.failures);
            add("person called", &p.alarms);
        }
        Section {
            id: "reasons",
            title: "What did not go as planned, and why",
            note: String::new(),
            columns: vec![text("PLAN"), text("WHAT"), figure("HOW OFTEN"), prose("WHY")],
            rows,
        }
    }

    fn stored_section(&self) -> Section {
        let cells = |s: &Stored| {
            [
                count(s.images),
                count(s.images_most),
                count(s.snapshots),
                count(s.snapshots_most),
                decimal(s.gib, 1),
                decimal(s.gb_months, 1),
                decimal(s.cost, 2),
                decimal(s.cost_per_month, 2),
            ]
        };
        let row = |plan: &str, account: &str, region: &str, s: &Stored| {
            [plan, account, region].into_iter().map(str::to_owned).chain(cells(s)).collect::<Vec<_>>()
        };
        let mut rows: Vec<Vec<String>> =
            self.kept.iter().map(|k| row(&k.plan, &k.account, &k.region, &k.stored)).collect();
        if rows.len() > 1 {
            rows.push(row("all", "", "", &self.totals.stored));
        }
        Section {
            id: "stored",
            title: "What is kept, and what it costs",
            note: format!(
                "Counted at the end of each day. GiB, GB-months and USD are estimates from the assumptions below: \
                 storage of EBS snapshots alone, {} USD for a GB-month; prices differ by region.",
                self.price
            ),
            columns: vec![
                text("PLAN"),
                text("ACCOUNT"),
                text("REGION"),
                figure("IMAGES"),
                figure("MOST"),
                figure("SNAPSHOTS"),
                figure("MOST"),
                figure("GIB"),
                figure("GB-MONTHS"),
                figure("USD IN ALL"),
                figure("USD A MONTH AT THE END"),
            ],
            rows,
        }
    }

    /// One row for each calendar month: the curves as a table.
    fn months_section(&self) -> Section {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let days = self.days as usize;
        let (mut reboots, mut down) = (0, 0);
        for n in 0..days {
            reboots += self.reboots_on(n);
            down = down.max(u64::from(self.down.get(n).copied().unwrap_or_default()));
            let month = self.date(n).format("%Y-%m").to_string();
            let last = n + 1 == days || self.date(n + 1).format("%Y-%m").to_string() != month;
            if last {
                let (images, snapshots, gib) = self.kept_on(n);
                rows.push(vec![
                    month,
                    count(reboots),
                    count(down),
                    count(images),
                    count(snapshots),
                    decimal(gib, 1),
                    decimal(gib * self.price, 2),
                ]);
                (reboots, down) = (0, 0);
            }
        }
        Section {
            id: "months",
            title: "Month by month",
            note: "Reboots and the most down at one time within the month; the rest at its end.".into(),
            columns: vec![
                text("MONTH"),
                figure("REBOOTS"),
                figure("MOST DOWN"),
                figure("IMAGES"),
                figure("SNAPSHOTS"),
                figure("GIB"),
                figure("USD A MONTH"),
            ],
            rows,
        }
    }

    fn retention_section(&self) -> Section {
        let mut rows = Vec::new();
        for p in &self.plans {
            for (what, list) in [("deleted", &p.deleted), ("kept at the end", &p.kept_by)] {
                let row = |c: &Counted| vec![p.plan.clone(), what.to_owned(), count(c.count), c.reason.clone()];
                rows.extend(list.iter().map(row));
            }
        }
        Section {
            id: "retention",
            title: "What retention deletes, and what keeps the rest",
            note: "As the newest verdict on each series says. An image that several rules keep is counted under each."
                .into(),
            columns: vec![text("PLAN"), text("VERDICT"), figure("IMAGES"), prose("WHY")],
            rows,
        }
    }

    fn gaps_section(&self) -> Section {
        let rows = self.plans.iter().flat_map(|p| {
            p.without_image.iter().map(|g| {
                vec![
                    p.plan.clone(),
                    g.instance.clone(),
                    g.name.clone().unwrap_or_else(|| "-".into()),
                    g.region.clone(),
                    words(g.seconds),
                    g.from.clone(),
                    g.until.clone(),
                    count(g.images),
                ]
            })
        });
        Section {
            id: "without",
            title: "The longest time without a good image",
            note:
                "From the moment one good image was taken to the next one, counting the beginning and the end of the \
                   rehearsal: what was written to a volume in that time was in no image of the plan. The worst of \
                   each plan."
                    .into(),
            columns: vec![
                text("PLAN"),
                text("INSTANCE"),
                text("NAME"),
                text("REGION"),
                figure("LONGEST"),
                text("FROM"),
                text("UNTIL"),
                figure("GOOD IMAGES"),
            ],
            rows: rows.collect(),
        }
    }

    fn calls_section(&self) -> Section {
        let rows = self.calls.iter().map(|c| {
            vec![
                c.region.clone(),
                c.api.clone(),
                count(c.calls),
                count(c.most.count),
                c.most.at.clone().unwrap_or_else(|| "-".into()),
                decimal(c.share_allows, 0),
                decimal(c.aws_allows, 0),
            ]
        });
        Section {
            id: "calls",
            title: "API calls, and what AWS admits",
            note:
                "The busiest minute of each API against what its token bucket admits in a minute (its burst and what \
                   flows in), and against the part of it that the daemon takes (cloud.api_share)."
                    .into(),
            columns: vec![
                text("REGION"),
                text("API"),
                figure("CALLS"),
                figure("MOST A MINUTE"),
                text("AT"),
                figure("OUR SHARE ALLOWS"),
                figure("AWS ADMITS"),
            ],
            rows: rows.collect(),
        }
    }

    fn faults_section(&self) -> Section {
        Section {
            id: "faults",
            title: "What went wrong on the way",
            note: format!("The faults that `--faults {}` put in.", self.faults),
            columns: vec![text("FAULT"), figure("HOW OFTEN")],
            rows: self.injected.iter().map(|c| vec![c.reason.clone(), count(c.count)]).collect(),
        }
    }
}

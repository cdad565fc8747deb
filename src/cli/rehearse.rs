//! `stillframe rehearse`: the user's plans on a simulated fleet over months of simulated time, as a table and a page.

mod assumptions;
mod calls;
pub mod drive;
mod fleet;
mod gather;
mod live;
mod others;
mod page;
mod storage;

use std::io::IsTerminal as _;
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use self::drive::Rehearsal;
use self::page::Page;
use super::output::Output;
use super::{WRONG, complain, open_read_only, start};
use crate::clock::Clock;
use crate::config::{DaemonInstance, Loaded};
use crate::domain::machine::OwnMachine;
use crate::report::out;
use crate::sim::Fleet;
use crate::sim::trouble::Profile;

/// Where a plan names no region and the environment neither.
const HOME: &str = "eu-central-1";
/// The last day that a rehearsal may begin on: dates beyond are a slip.
const LAST_DAY: &str = "9000-01-01";

/// Options of `stillframe rehearse`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "The plans are checked as `run` does, and decided by the daemon's own code, on a simulated EC2 in \
                  simulated time: months pass in seconds. It reads no journal, needs no AWS account, and writes \
                  nothing but the page. Only --from-aws asks AWS (Describe calls and GetCallerIdentity).\n\nThe same \
                  arguments give the same answer, byte for byte; another --seed draws other durations and faults.\n\n\
                  Exit codes: 0 rehearsed, whatever it showed; 1 the fleet could not be read, or the page not be \
                  written; 2 wrong usage or configuration."
)]
pub struct RehearseArgs {
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
    /// How many days
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub days: u32,
    /// The first day, such as 2026-12-01 (UTC); without it, today
    #[arg(long, value_name = "DATE")]
    pub from: Option<String>,
    /// So many instances for each plan, made up so that it selects them
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub instances: u32,
    /// The fleet from a file instead (JSON, in the format of `sim --fleet`)
    #[arg(long, value_name = "FILE", conflicts_with = "instances")]
    pub fleet: Option<PathBuf>,
    /// The instances that the plans select now in your account instead; they are only read
    #[arg(long, conflicts_with_all = ["instances", "fleet"])]
    pub from_aws: bool,
    /// What goes wrong by chance; without it, what the fleet's file says, or nothing
    #[arg(long, value_enum, value_name = "PROFILE")]
    pub faults: Option<Profile>,
    /// Of all chance: durations, ids, faults; without it, what the fleet's file says, or 0
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How much of a volume changes in a day, in percent, for the estimate of storage
    #[arg(long, value_name = "PERCENT", default_value_t = 3.0, value_parser = percent, allow_negative_numbers = true)]
    pub change: f64,
    /// USD for a GB-month of snapshots, for the estimate of cost
    #[arg(long, value_name = "USD", default_value_t = 0.05, value_parser = price, allow_negative_numbers = true)]
    pub price: f64,
    /// Text or JSON.
    #[command(flatten)]
    pub output: Output,
    /// Write a page with curves and a calendar as well; it holds all that it needs
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

fn number(text: &str, most: f64, example: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| (0.0..=most).contains(value));
    value.ok_or_else(|| format!("write a number from 0 to {most}, such as {example}"))
}

fn percent(text: &str) -> Result<f64, String> {
    number(text, 100.0, "3")
}

fn price(text: &str) -> Result<f64, String> {
    number(text, 1000.0, "0.05")
}

/// Rehearses, and prints it.
#[must_use]
pub fn run(args: &RehearseArgs) -> u8 {
    let begin = match begin(args.from.as_deref()) {
        Ok(begin) => begin,
        Err(why) => {
            complain(&format!("--from {}: {why}", args.from.as_deref().unwrap_or_default()));
            return WRONG;
        }
    };
    let mut loaded = match open_read_only::load(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    // A rehearsal is the same on every machine.
    for plan in &mut loaded.plans {
        plan.schedule.timezone = plan.schedule.timezone.as_compiled();
    }
    let page = match args.html.as_deref().map(Page::at).transpose() {
        Ok(page) => page,
        Err(why) => return complain(&why),
    };
    let told = rehearse(args, &loaded, begin).and_then(|document| {
        if let Some(page) = &page {
            page.write(&document.html())?;
        }
        Ok(document)
    });
    match told {
        Ok(document) => args.output.print(&document),
        Err(why) => complain(&why),
    }
}

/// The first midnight.
fn begin(from: Option<&str>) -> Result<DateTime<Utc>, String> {
    let day = match from {
        None => Clock::Wall.now().date_naive(),
        Some(text) => {
            let last: NaiveDate = LAST_DAY.parse().unwrap_or(NaiveDate::MAX);
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
            day.filter(|day| (NaiveDate::default()..last).contains(day))
                .ok_or("write a day such as 2026-12-01; it begins at midnight UTC")?
        }
    };
    Ok(day.and_time(NaiveTime::MIN).and_utc())
}

fn rehearse(
    args: &RehearseArgs,
    loaded: &Loaded,
    begin: DateTime<Utc>,
) -> Result<crate::report::rehearsal::RehearsalDocument, String> {
    let settings = &loaded.settings;
    let mut found = find(args, loaded)?;
    let roles = start::roles(settings);
    others::provide(&mut found.fleet, &loaded.plans, &roles);
    let fleet = Fleet {
        trouble: args.faults.unwrap_or(found.fleet.trouble),
        seed: args.seed.unwrap_or(found.fleet.seed),
        ..found.fleet
    };
    let faults = match fleet.trouble {
        Profile::None => "none",
        Profile::Typical => "typical",
        Profile::Harsh => "harsh",
    };
    let rehearsal = Rehearsal {
        daemon: &settings.daemon.name,
        api_share: settings.cloud.api_share,
        lags: settings.cloud.lags(),
        own: match &settings.daemon.instance {
            Some(DaemonInstance::Id(id)) => OwnMachine::Instance(id.clone()),
            Some(DaemonInstance::None) | None => OwnMachine::NotEc2,
        },
        plans: &loaded.plans,
        roles: &roles,
        fleet: &fleet,
        source: found.source,
        about_fleet: found.about,
        begin,
        days: args.days,
        change: args.change / 100.0,
        price: args.price,
        faults,
    };
    let shown = std::io::stderr().is_terminal();
    let document = rehearsal.run(|day| {
        if shown {
            out::progress(&format!("\rrehearsed {day} of {} days", args.days));
        }
    });
    if shown {
        out::progress("\r\x1b[K");
    }
    document.map_err(|why| match &args.fleet {
        Some(path) => format!("{}: {why}", path.display()),
        None => why,
    })
}

/// A fleet, and what is to be said of it.
struct Found {
    fleet: Fleet,
    source: String,
    about: Vec<String>,
}

/// The fleet that the arguments name.
fn find(args: &RehearseArgs, loaded: &Loaded) -> Result<Found, String> {
    const SIZES: &str = "The root volume of an instance has 8 GiB, each other one 100 GiB.";
    if let Some(path) = &args.fleet {
        let fleet = fleet::read(path)?;
        let source = format!("the fleet of {}", path.display());
        return Ok(Found { fleet, source, about: vec![SIZES.into()] });
    }
    if args.from_aws {
        let runtime = start::runtime()?;
        let (fleet, left_out) = runtime.block_on(live::read(&loaded.plans, loaded.settings.cloud.api_share))?;
        let mut about = vec![format!(
            "The fleet is what the plans select in account {} now: instances, their tags, states and number of volumes. \
             {SIZES}",
            fleet.account
        )];
        if left_out > 0 {
            about.push(format!("{left_out} instances that are neither running nor stopped are left out."));
        }
        let source = format!("the instances that the plans select in account {}", fleet.account);
        return Ok(Found { fleet, source, about });
    }
    let home = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|key| std::env::var(key).ok());
    let home = home.filter(|home| !home.is_empty()).unwrap_or_else(|| HOME.to_owned());
    let about = format!(
        "The fleet is made up: {} instances for each plan, tagged so that it selects them and spread over its regions, \
         with one and two volumes by turns. {SIZES}",
        args.instances
    );
    Ok(Found {
        fleet: Fleet {
            account: others::own_account(&loaded.plans, &start::roles(&loaded.settings)),
            ..fleet::made_up(&loaded.plans, args.instances, &home, args.seed.unwrap_or_default())
        },
        source: format!("{} made-up instances for each plan", args.instances),
        about: vec![about],
    })
}

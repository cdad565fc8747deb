//! `stillframe iam-policy`: what a policy must allow for this configuration, in each account. It asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::{WRONG, open_read_only, print};
use crate::cloud::api::{Api, Does, Service};
use crate::config::Loaded;
use crate::domain::machine::OwnMachine;
use crate::domain::naming::TAG_PREFIX;
use crate::domain::place::Place;
use crate::report::out;
use crate::view::doctor::needs::{Needs, needs};

/// Stands for our own account where nobody has met it yet.
const OWN: &str = "OWN_ACCOUNT";

/// Options of `stillframe iam-policy`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "It reads the configuration only. What is changed or removed is limited to what bears the tag \
                        stillframe:daemon, everything to the regions of the plans. `stillframe doctor` tells what is missing \
                        in the policies that are there.")]
pub struct IamPolicyArgs {
    /// The policy of the role of this account, a name under [accounts]; without it, that of stillframe's own role
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: String,
    effect: &'static str,
    action: BTreeSet<String>,
    resource: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<String, BTreeSet<String>>>,
}

/// Prints the policy.
#[must_use]
pub fn run(args: &IamPolicyArgs) -> u8 {
    let loaded = match open_read_only::load(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let settings = &loaded.settings;
    let account = match &args.account {
        None => None,
        Some(name) => match settings.accounts.get(name) {
            Some(account) => Some(account.id.clone()),
            None => {
                out::note(&format!("stillframe: there is no account `{name}` under [accounts]"));
                return WRONG;
            }
        },
    };
    let known = open_read_only::installation(settings, &OwnMachine::NotEc2).ok();
    let own = known.and_then(|(content, _)| content?.account).unwrap_or_else(|| OWN.to_owned());
    print(&policy(&loaded, &own, account.as_deref()))
}

/// The policy of `account`, or of our own one.
fn policy(loaded: &Loaded, own: &str, account: Option<&str>) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Policy {
        version: &'static str,
        statement: Vec<Statement>,
    }
    // Where a plan names no region, it is the one of the machine.
    let regions = |plan: &crate::domain::plan::Plan| match plan.select.regions.is_empty() {
        true => vec!["*".to_owned()],
        false => plan.select.regions.clone(),
    };
    let needs = needs(&loaded.plans, own, regions);
    let of_account = |place: &&Place| place.account == account.unwrap_or(own);
    let here: BTreeMap<&Place, &Needs<'_>> = needs.iter().filter(|(place, _)| of_account(place)).collect();
    let mut statement = statements(&here, &loaded.settings.daemon.name);
    let roles: BTreeSet<String> = loaded.settings.accounts.values().map(|account| account.role_arn.clone()).collect();
    if account.is_none() && !roles.is_empty() {
        let action = BTreeSet::from(["sts:AssumeRole".to_owned()]);
        statement.push(Statement {
            sid: "Roles".into(),
            effect: "Allow",
            action,
            resource: roles,
            condition: BTreeMap::new(),
        });
    }
    let policy = Policy { version: "2012-10-17", statement };
    // Text keys and plain values only: this always has a JSON form.
    crate::statedir::text(&policy).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

/// What must be allowed in one account: one statement for each kind of call.
fn statements(here: &BTreeMap<&Place, &Needs<'_>>, daemon: &str) -> Vec<Statement> {
    // By kind: the calls, and where.
    let mut kinds: BTreeMap<&'static str, (BTreeSet<Api>, BTreeSet<String>)> = BTreeMap::new();
    for (place, needs) in here {
        for api in needs.apis() {
            let kind = match (api.service(), api.does()) {
                (Service::Kms, _) => "Keys",
                (_, Does::Reads) => "Reads",
                (_, Does::Makes) if api == Api::CreateTags => "Tags",
                (_, Does::Makes) => "Makes",
                (_, Does::Changes) => "ChangesItsOwn",
            };
            let (apis, regions) = kinds.entry(kind).or_default();
            apis.insert(api);
            regions.insert(place.region.clone());
        }
    }
    let of = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
    let mut all = Vec::new();
    for (kind, (apis, regions)) in kinds {
        let mut equals = BTreeMap::new();
        if !regions.contains("*") {
            equals.insert("aws:RequestedRegion".to_owned(), regions);
        }
        if kind == "ChangesItsOwn" {
            equals.insert(format!("aws:ResourceTag/{TAG_PREFIX}daemon"), of(&[daemon]));
        }
        let condition = if equals.is_empty() { BTreeMap::new() } else { BTreeMap::from([("StringEquals", equals)]) };
        all.push(Statement {
            sid: kind.into(),
            effect: "Allow",
            action: apis.iter().map(|api| api.action()).collect(),
            resource: of(&["*"]),
            condition,
        });
    }
    // Images of encrypted volumes, and copies under a key, use it through EC2 alone.
    let uses = [
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncrypt*",
    ];
    let via =
        here.keys().filter(|place| place.region != "*").map(|place| format!("ec2.{}.amazonaws.com", place.region));
    let via: BTreeSet<String> = via.collect();
    let via = || match via.is_empty() {
        true => BTreeMap::from([(
            "StringLike",
            BTreeMap::from([("kms:ViaService".to_owned(), of(&["ec2.*.amazonaws.com"]))]),
        )]),
        false => BTreeMap::from([("StringEquals", BTreeMap::from([("kms:ViaService".to_owned(), via.clone())]))]),
    };
    let statement = |sid: &str, actions: &[&str], condition| Statement {
        sid: sid.into(),
        effect: "Allow",
        action: of(actions),
        resource: of(&["*"]),
        condition,
    };
    all.push(statement("KeysOfVolumes", &uses, via()));
    let mut granting = via();
    granting.insert("Bool", BTreeMap::from([("kms:GrantIsForAWSResource".to_owned(), of(&["true"]))]));
    all.push(statement("GrantsOfEc2", &["kms:CreateGrant"], granting));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// All that the engine calls is allowed where the plans need it, and nothing that they do not.
    #[test]
    fn each_account_gets_what_it_needs() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/two-accounts");
        let loaded = config::load(&dir, std::iter::empty()).expect("the demo");
        let read = |account: Option<&str>| policy(&loaded, "111111111111", account);
        let own = read(None);
        for api in [Api::CreateImage, Api::DeregisterImage, Api::ModifyImageAttribute, Api::CreateGrant] {
            assert!(own.contains(&format!("\"{}\"", api.action())), "{}: {own}", api.action());
        }
        assert!(own.contains("sts:AssumeRole") && own.contains("aws:ResourceTag/stillframe:daemon"), "{own}");
        let there = read(loaded.settings.accounts.values().next().map(|account| account.id.as_str()));
        assert!(there.contains("ec2:CopyImage") && !there.contains("ec2:CreateImage"), "{there}");
        assert!(!there.contains("sts:AssumeRole"), "{there}");
    }
}

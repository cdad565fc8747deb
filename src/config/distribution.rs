//! `[[copy]]` and `[share]`: what only several keys together tell, with the accounts of stillframe.toml beside them, and
//! the checked values.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::arns::{EBS_ALIAS, arn_partition, key_home};
use super::installation;
use super::plan::keep;
use super::problem::Problem;
use super::sheet::Sheet;
use super::source::Source;
use super::suggest::did_you_mean;
use crate::domain::keep::Keep;
use crate::domain::place::partition;
use crate::domain::plan::{Account, CopyTo, Share};
use crate::domain::sharing::{GRANTEES_MAX, Grantee, LENT_TAGS_MAX, lent_tags};

/// `[accounts]` of stillframe.toml; nothing if that could not be read, which is told of itself.
pub(super) type Accounts<'a> = Option<&'a BTreeMap<String, installation::Account>>;

/// Where the problems go.
struct Told<'a> {
    source: &'a Source,
    problems: &'a mut Vec<Problem>,
}

impl Told<'_> {
    fn say(&mut self, at: Option<Range<usize>>, key: &str, what: String, hint: String) {
        self.problems.push(self.source.problem(at, key, what).hint(hint));
    }
}

/// What only several keys together tell of `[[copy]]` and `[share]`.
pub(super) fn across(sheet: &Sheet, source: &Source, accounts: Accounts<'_>, problems: &mut Vec<Problem>) {
    let mut told = Told { source, problems };
    let mut places = BTreeMap::new();
    for path in sheet.tables("copy") {
        let (region_key, account_key) = (format!("{path}.region"), format!("{path}.account"));
        keep_rule(sheet, &path, &mut told);
        account(sheet, &account_key, accounts, &mut told);
        needless_via(sheet, &path, &mut told);
        if !sheet.sound(&[&region_key, &account_key]) {
            continue;
        }
        let Some(region) = sheet.text(&region_key) else { continue };
        let name = sheet.text(&account_key);
        let id = name.map(|name| accounts.and_then(|all| all.get(name)).map_or(name, |account| &account.id));
        let at = sheet.span(&region_key);
        let line = at.as_ref().map_or(0, |span| source.line_of(span));
        if let Some(first) = places.insert((id.map(str::to_owned), region.to_owned()), line) {
            let to = name.map_or_else(|| region.to_owned(), |name| format!("{name}/{region}"));
            let what = format!("is a second copy to {to}");
            told.say(at.clone(), &region_key, what, format!("take one of the two out: the first is in line {first}"));
        }
        let sources = sheet.texts("select.regions");
        if name.is_none() && sheet.sound(&["select.regions"]) && sources.len() == 1 && sources[0].text == region {
            let what = format!("{region:?} is where the images are: nothing would be copied");
            told.say(at, &region_key, what, "name another region, or add `account = \"NAME\"`".into());
        }
        key_region(sheet, &format!("{path}.kms_key"), &[region], "the copies are made in", &mut told);
        if !sources.is_empty() && sheet.sound(&["select.regions"]) {
            let sources: Vec<&str> = sources.iter().map(|item| item.text.as_str()).collect();
            key_region(sheet, &format!("{path}.via_key"), &sources, "the images are made in", &mut told);
        }
    }
    one_partition(sheet, accounts, &mut told);
    if sheet.has("share") {
        share(sheet, &mut told);
        shared_copies(sheet, accounts, &mut told);
    }
    grantees(sheet, accounts, &mut told);
}

fn keep_rule(sheet: &Sheet, path: &str, told: &mut Told<'_>) {
    let keep = format!("{path}.keep");
    let rules = ["last", "within", "hourly", "daily", "weekly", "monthly", "yearly"];
    let says = rules.iter().any(|rule| sheet.says(&format!("{keep}.{rule}")));
    if sheet.has(&keep) && sheet.sound(&[&keep]) && !says {
        let problem = told.source.problem(sheet.span(&keep), &keep, "has no rule: which copies should stay?");
        told.problems.push(Problem {
            expected: Some(format!("at least one of {}", rules.join(", "))),
            ..problem.hint("write `keep = { last = 2 }`, or take it out: copies are then kept as [keep] says")
        });
    }
}

fn account(sheet: &Sheet, key: &str, accounts: Accounts<'_>, told: &mut Told<'_>) {
    let (Some(name), Some(accounts)) = (sheet.text(key), accounts) else { return };
    if accounts.contains_key(name) {
        return;
    }
    let digits = name.len() == 12 && name.bytes().all(|b| b.is_ascii_digit());
    let named = accounts.iter().find(|(_, account)| account.id == name);
    let hint = match (named, did_you_mean(name, accounts.keys().map(String::as_str))) {
        (Some((known, _)), _) => format!("write the name of the account: \"{known}\""),
        (None, Some(hint)) => format!("{hint} Or add [accounts.{name}] to stillframe.toml"),
        (None, None) if digits => {
            format!("give the account a name in stillframe.toml, [accounts.dr] with `id = \"{name}\"`, and write that")
        }
        (None, None) => format!("add [accounts.{name}] to stillframe.toml, with `id` and `role_arn`"),
    };
    let known: Vec<&str> = accounts.keys().map(String::as_str).collect();
    let problem = told.source.problem(sheet.span(key), key, format!("there is no account {name:?} in stillframe.toml"));
    let expected = (!known.is_empty()).then(|| format!("one of {}", known.join(", ")));
    told.problems.push(Problem { expected, ..problem.hint(hint) });
}

fn needless_via(sheet: &Sheet, path: &str, told: &mut Told<'_>) {
    let via = format!("{path}.via_key");
    if sheet.text(&via).is_some() && sheet.text(&format!("{path}.account")).is_none() && sheet.sound(&[path]) {
        let what = "is needless: nothing is lent where the copy stays in the same account".to_owned();
        told.say(sheet.span(&via), &via, what, "take it out; `kms_key` says what the copy is encrypted under".into());
    }
}

/// A key that names its region must be in one of `regions`.
fn key_region(sheet: &Sheet, key: &str, regions: &[&str], made: &str, told: &mut Told<'_>) {
    let Some((_, region)) = sheet.text(key).and_then(key_home) else { return };
    if !regions.contains(&region) {
        let what =
            format!("is a key in {region}, but {made} {}: KMS keys work in their own region only", regions.join(", "));
        told.say(sheet.span(key), key, what, "name a key of that region; an alias is looked up there".into());
    }
}

/// What the first of all regions says; each other, each role and each ARN must be of the same partition.
fn one_partition(sheet: &Sheet, accounts: Accounts<'_>, told: &mut Told<'_>) {
    let copies = sheet.tables("copy");
    let mut regions: Vec<(String, Option<Range<usize>>, String)> = Vec::new();
    for item in sheet.texts("select.regions") {
        regions.push(("select.regions".into(), Some(item.span.clone()), item.text.clone()));
    }
    for key in copies.iter().map(|path| format!("{path}.region")) {
        if let Some(region) = sheet.text(&key) {
            let region = region.to_owned();
            regions.push((key.clone(), sheet.span(&key), region));
        }
    }
    let Some((_, _, first)) = regions.first().cloned() else { return };
    let home = partition(&first);
    let ways = "images and keys never leave their partition: use a second stillframe there, with its own credentials";
    for (key, at, region) in regions.iter().skip(1).filter(|(key, ..)| key != "select.regions") {
        let own = partition(region);
        if own != home {
            let what = format!("{region} is in the partition {own}, {first} in {home}: no image can be copied across");
            told.say(at.clone(), key, what, ways.into());
        }
    }
    for path in &copies {
        let key = format!("{path}.account");
        let account = sheet.text(&key).and_then(|name| Some((name, accounts?.get(name)?)));
        if let Some((name, account)) = account
            && let Some(own) = arn_partition(&account.role_arn).filter(|own| *own != home)
        {
            let what = format!(
                "the role of [accounts.{name}] is in the partition {own}, {first} in {home}: no image can be copied across"
            );
            told.say(sheet.span(&key), &key, what, ways.into());
        }
    }
    for key in ["share.organizations", "share.organizational_units"] {
        for item in sheet.texts(key) {
            if let Some(own) = arn_partition(&item.text).filter(|own| *own != home) {
                let what = format!("{:?} is in the partition {own}, but {first} is in {home}", item.text);
                told.say(Some(item.span.clone()), key, what, ways.into());
            }
        }
    }
}

fn share(sheet: &Sheet, told: &mut Told<'_>) {
    let lists = ["share.accounts", "share.organizations", "share.organizational_units"];
    if sheet.sound(&["share"]) && !lists.iter().any(|list| sheet.says(list)) {
        let problem = told.source.problem(sheet.span("share"), "share", "shares with nobody");
        told.problems.push(Problem {
            expected: Some("at least one of accounts, organizations, organizational_units".into()),
            ..problem.hint("add `accounts = [\"333333333333\"]` in [share], or take the section out")
        });
    }
    let sources: Vec<&str> = sheet.texts("select.regions").iter().map(|item| item.text.as_str()).collect();
    if !sources.is_empty() && sheet.sound(&["select.regions"]) {
        key_region(sheet, "share.via_key", &sources, "the images are made in", told);
    }
}

/// Copies are shared as their images are, and what is under AWS's own key can be lent to nobody.
fn shared_copies(sheet: &Sheet, accounts: Accounts<'_>, told: &mut Told<'_>) {
    if !sheet.sound(&["share", "copy"]) {
        return;
    }
    let members = sheet.says("share.organizations") || sheet.says("share.organizational_units");
    for path in sheet.tables("copy") {
        let key = format!("{path}.kms_key");
        let own = sheet.text(&format!("{path}.account")).and_then(|name| Some(&accounts?.get(name)?.id));
        let others = members || sheet.texts("share.accounts").iter().any(|item| Some(&item.text) != own);
        if others && sheet.text(&key).is_some_and(|key| key.ends_with(EBS_ALIAS)) {
            let what = "is a key that AWS manages: what is encrypted under it can be shared with no other account, and \
                        [share] is for the copies too";
            let hint = "name a key of your own, such as \"alias/backup\"";
            told.say(sheet.span(&key), &key, what.into(), hint.into());
        }
    }
}

/// All that are ever let in are written in tags of the image.
fn grantees(sheet: &Sheet, accounts: Accounts<'_>, told: &mut Told<'_>) {
    let texts = |key: &str| sheet.texts(key).iter().map(|item| item.text.clone()).collect::<Vec<_>>();
    let mut all: BTreeSet<Grantee> = texts("share.accounts").into_iter().map(Grantee::Account).collect();
    all.extend(texts("share.organizations").into_iter().map(Grantee::Organization));
    all.extend(texts("share.organizational_units").into_iter().map(Grantee::Unit));
    let names = sheet.tables("copy").into_iter().map(|path| format!("{path}.account"));
    let ids = names.filter_map(|key| Some(accounts?.get(sheet.text(&key)?)?.id.clone()));
    all.extend(ids.map(Grantee::Account));
    let key = if sheet.has("share") { "share" } else { "copy.1" };
    if all.len() > GRANTEES_MAX {
        let what = format!("lets in {} accounts, organizations and units, with those that are copied to", all.len());
        let hint = format!(
            "name at most {GRANTEES_MAX}; an organization or an organizational unit stands for all its accounts"
        );
        told.say(sheet.span(key), key, what, hint);
    } else if lent_tags(&all.iter().map(|g| g.short().to_owned()).collect()).len() > LENT_TAGS_MAX {
        let what = "the ids of all that are let in do not fit into the tags that remember them".to_owned();
        told.say(sheet.span(key), key, what, "name fewer organizational units, or the one above them".into());
    }
}

/// `[[copy]]`; nothing if an account of it is not known.
pub(super) fn copies(sheet: &Sheet, own: &Keep, accounts: Accounts<'_>) -> Option<Vec<CopyTo>> {
    let text = |key: String| sheet.text(&key).map(str::to_owned);
    let copy = |path: String| {
        let account = match text(format!("{path}.account")) {
            Some(name) => Some(Account { id: accounts?.get(&name)?.id.clone(), name }),
            None => None,
        };
        let inner = format!("{path}.keep");
        Some(CopyTo {
            region: text(format!("{path}.region"))?,
            account,
            kms_key: text(format!("{path}.kms_key")),
            via_key: text(format!("{path}.via_key")),
            keep: if sheet.has(&inner) { keep(sheet, &inner) } else { own.clone() },
        })
    };
    sheet.tables("copy").into_iter().map(copy).collect()
}

/// `[share]`.
pub(super) fn shared(sheet: &Sheet) -> Option<Share> {
    if !sheet.has("share") {
        return None;
    }
    let texts = |key: &str| sheet.texts(key).iter().map(|item| item.text.clone()).collect();
    Some(Share {
        accounts: texts("share.accounts"),
        organizations: texts("share.organizations"),
        organizational_units: texts("share.organizational_units"),
        snapshots: sheet.flag("share.snapshots"),
        grace: sheet.seconds("share.grace")?,
        via_key: sheet.text("share.via_key").map(str::to_owned),
    })
}

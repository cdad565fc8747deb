//! What a source's disks allow: by which keys another account could read them, and the way out where by none.

use std::collections::{BTreeMap, BTreeSet};

use super::{Described, Encryption, Key, Source, keys};

/// The reasons found against it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub never: Vec<String>,
    pub not_now: Vec<String>,
}

/// What another account needs in order to read the disks.
#[derive(Debug, Default)]
pub(super) struct Lent {
    /// The key that they are copied under first.
    pub via: Option<String>,
    /// The keys that the other account must be able to use.
    pub keys: BTreeSet<String>,
}

/// Whether any disk is encrypted; one whose key could not be read is.
pub(super) fn encrypted(source: &Source) -> bool {
    source.disks.iter().any(|disk| disk.encryption != Encryption::None)
}

/// A key of some disks.
struct Used<'a> {
    key: Result<&'a Key, &'a str>,
    disks: Vec<&'a str>,
}

/// Each key once, by its ARN.
fn by_key(source: &Source) -> BTreeMap<&str, Used<'_>> {
    let mut keys: BTreeMap<&str, Used<'_>> = BTreeMap::new();
    for disk in &source.disks {
        let (arn, key) = match &disk.encryption {
            Encryption::None => continue,
            Encryption::Key(key) => (&key.arn, Ok(key)),
            Encryption::Unread { arn, why } => (arn, Err(why.as_str())),
        };
        keys.entry(arn).or_insert_with(|| Used { key, disks: Vec::new() }).disks.push(&disk.id);
    }
    keys
}

/// `vol-1, vol-2 of i-1`.
fn shown(source: &Source, used: &Used<'_>) -> String {
    format!("{} of {}", used.disks.join(", "), source.id)
}

/// The verb for these disks.
fn are(used: &Used<'_>) -> &'static str {
    if used.disks.len() == 1 { "is" } else { "are" }
}

/// For a copy in the same account: the keys of the disks must work. One that cannot be described may.
pub(super) fn usable(source: &Source, found: &mut Found) {
    for (arn, used) in by_key(source) {
        if let Ok(key) = used.key {
            found.not_now.extend(keys::asleep(key, &format!("the key {arn} of {}", shown(source, &used))));
        }
    }
}

/// For another account, called `whom`: what must be lent to it. `section` is where a `via_key` would be written.
pub(super) fn lend(
    source: &Source,
    whom: &str,
    section: &str,
    via: Option<&(String, Described)>,
    found: &mut Found,
) -> Lent {
    let mut lent = Lent::default();
    let mut instead = false;
    for (arn, used) in by_key(source) {
        let disks = shown(source, &used);
        match used.key {
            Ok(key) => {
                found.not_now.extend(keys::asleep(key, &format!("the key {arn} of {disks}")));
                if !key.aws_managed {
                    lent.keys.insert(arn.to_owned());
                    continue;
                }
                instead = true;
                if via.is_none() {
                    found.never.push(format!(
                        "{disks} {} encrypted under {arn}, which AWS manages: snapshots under it can be lent to no other \
                         account, so {whom} could not read them; write `via_key = \"alias/...\"` in {section}, a key of \
                         your own in {}, and they are copied under that first",
                        are(&used),
                        source.region
                    ));
                }
            }
            Err(why) => {
                instead = true;
                if via.is_none() {
                    found.not_now.push(format!(
                        "the key {arn} of {disks} cannot be described: {why}; allow kms:DescribeKey on it, so that it \
                         can be lent to {whom}, or write `via_key = \"alias/...\"` in {section}, a key of your own in {}",
                        source.region
                    ));
                }
            }
        }
    }
    if let Some((written, described)) = via.filter(|_| instead) {
        lent.keys.clear();
        lent.via = via_key(source, written, described, section, found);
        lent.keys.extend(lent.via.clone());
    }
    lent
}

/// The ARN of the key that is copied under first, if it will do.
fn via_key(source: &Source, written: &str, described: &Described, section: &str, found: &mut Found) -> Option<String> {
    let name = format!("via_key of {section}");
    let arn = keys::usable(written, described, &source.region, &name, found)?;
    let before = found.never.len();
    if described.as_ref().is_ok_and(|key| key.aws_managed) {
        found.never.push(format!(
            "{name}, {written}, is a key that AWS manages: it can be lent to no other account either; name a key of your \
             own in {}",
            source.region
        ));
    }
    if keys::account(&arn).is_some_and(|account| account != source.account) {
        found.never.push(format!(
            "{name}, {arn}, is a key of another account than {}: name a key of {} in {}",
            source.id, source.account, source.region
        ));
    }
    (found.never.len() == before).then_some(arn)
}

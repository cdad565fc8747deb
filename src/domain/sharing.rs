//! Who may use an image or a snapshot, and what to change so that it is as wanted: added is what is missing, taken back
//! only what nobody wants any more and was added by us.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::observed::Tags;

/// The tag of an image or a snapshot that names whom we have let in: account ids, `o-...`, `ou-...`, with a space between.
/// What does not fit goes on in `stillframe:lent.2`, and so on.
pub const LENT_TAG: &str = "stillframe:lent";

/// The tag of an image that says that we have let somebody in to its snapshots whom a person had let in to the image itself: its
/// own [`LENT_TAG`] must not name them, since that is not ours to take back.
pub const LENT_IN_PART_TAG: &str = "stillframe:lent-snapshots";
/// At most so many accounts, organizations and units of one plan, its copies' accounts among them: they fit into
/// [`LENT_TAGS_MAX`] tags, and stay well below the 1,000 that EC2 allows for an image.
pub const GRANTEES_MAX: usize = 60;
/// At most so many of the 50 tags of an image hold it.
pub const LENT_TAGS_MAX: usize = 5;
/// Characters of a tag's value (EC2 user guide, "Tag restrictions").
const VALUE_MAX: usize = 256;

/// One entry of a permission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grantee {
    /// Twelve digits.
    Account(String),
    /// An organization's ARN; images only.
    Organization(String),
    /// An organizational unit's ARN; images only.
    Unit(String),
    /// The group `all`: public.
    Everyone,
}

impl Grantee {
    /// The account, if it is one.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        if let Self::Account(id) = self { Some(id) } else { None }
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => f.write_str(id),
            Self::Organization(arn) | Self::Unit(arn) => f.write_str(arn),
            Self::Everyone => f.write_str("everyone"),
        }
    }
}

impl Grantee {
    /// How the tag names it: an account's id, or the last part of an ARN.
    #[must_use]
    pub fn short(&self) -> &str {
        match self {
            Self::Account(id) => id,
            Self::Organization(arn) | Self::Unit(arn) => arn.rsplit('/').next().unwrap_or(arn),
            Self::Everyone => "all",
        }
    }
}

/// Whom we have let in, as the tags of the image or snapshot say.
#[must_use]
pub fn lent(tags: &Tags) -> BTreeSet<String> {
    // Retention asks this of every image in every run: the few keys that begin so, not all of them.
    let near = tags
        .range::<str, _>((Bound::Included(LENT_TAG), Bound::Unbounded))
        .take_while(|(key, _)| key.starts_with(LENT_TAG));
    let values = near.filter(|(key, _)| is_lent_tag(key)).map(|(_, value)| value.as_str());
    values.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// The tags that say it; none for nobody.
#[must_use]
pub fn lent_tags(lent: &BTreeSet<String>) -> Tags {
    let mut values: Vec<String> = Vec::new();
    for name in lent {
        match values.last_mut().filter(|value| value.len() + 1 + name.len() <= VALUE_MAX) {
            Some(value) => {
                value.push(' ');
                value.push_str(name);
            }
            None => values.push(name.clone()),
        }
    }
    (1..).zip(values).map(|(n, value)| (lent_key(n), value)).collect()
}

fn lent_key(n: usize) -> String {
    if n == 1 { LENT_TAG.to_owned() } else { format!("{LENT_TAG}.{n}") }
}

fn is_lent_tag(key: &str) -> bool {
    (1..=LENT_TAGS_MAX).any(|n| lent_key(n) == key)
}

/// The keys of `tags` that say whom we have let in and that `wanted` does not hold.
#[must_use]
pub fn stale_keys(tags: &Tags, wanted: &Tags) -> Vec<String> {
    tags.keys().filter(|key| is_lent_tag(key) && !wanted.contains_key(*key)).cloned().collect()
}

/// What lies between what is wanted on one image or snapshot and what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gap {
    /// Who is missing.
    pub add: BTreeSet<Grantee>,
    /// Whom we have let in and nobody wants any more.
    pub remove: BTreeSet<Grantee>,
    /// What the tag must say before the change ...
    pub before: BTreeSet<String>,
    /// ... and after it.
    pub after: BTreeSet<String>,
    /// Who may use it, not wanted and not through us: left alone.
    pub foreign: BTreeSet<Grantee>,
    /// What the tag says now.
    pub told: BTreeSet<String>,
}

impl Gap {
    /// Whether nothing is to do.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.after == self.told
    }
}

/// The gap between `wanted` and `actual`, where the tag says that we have let in `told`.
#[must_use]
pub fn gap(wanted: &BTreeSet<Grantee>, actual: &BTreeSet<Grantee>, told: BTreeSet<String>) -> Gap {
    let ours = |g: &Grantee| told.contains(g.short());
    let add: BTreeSet<Grantee> = wanted.difference(actual).cloned().collect();
    let unwanted = || actual.difference(wanted);
    // Whom we have let in just before may not be listed yet: who is let out must not come to light afterwards.
    let account = |short: &&String| short.len() == 12 && short.bytes().all(|b| b.is_ascii_digit());
    let unlisted = told.iter().filter(account).map(|id| Grantee::Account(id.clone())).filter(|g| !wanted.contains(g));
    let remove = unwanted().filter(|g| ours(g)).cloned().chain(unlisted).collect();
    let foreign = unwanted().filter(|g| !ours(g)).cloned().collect();
    let shorts = |set: &BTreeSet<Grantee>| set.iter().map(|g| g.short().to_owned()).collect::<BTreeSet<String>>();
    let before: BTreeSet<String> = told.union(&shorts(&add)).cloned().collect();
    let after = before.intersection(&shorts(wanted)).cloned().collect();
    Gap { add, remove, before, after, foreign, told }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(ids: &str) -> BTreeSet<Grantee> {
        words(ids).into_iter().map(Grantee::Account).collect()
    }

    /// Account ids, of which only what differs is written.
    fn words(text: &str) -> BTreeSet<String> {
        text.split_whitespace().map(|id| format!("{id:0>12}")).collect()
    }

    #[test]
    fn only_what_we_added_and_nobody_wants_is_taken_back() {
        // wanted, actual, told: add, remove, before, after, foreign
        let table = [
            ("", "", "", "", "", "", "", ""),
            ("1", "", "", "1", "", "1", "1", ""),
            ("1", "1", "1", "", "", "1", "1", ""),
            // A person let 1 in: it is wanted, but never ours to take back.
            ("1", "1", "", "", "", "", "", ""),
            ("", "1", "", "", "", "", "", "1"),
            ("", "1", "1", "", "1", "1", "", ""),
            ("2", "1 3", "1", "2", "1", "1 2", "2", "3"),
            // Told before a change that was cut off, or that is made and not listed yet.
            ("", "", "1", "", "1", "1", "", ""),
            ("1", "", "1", "1", "", "1", "1", ""),
        ];
        for (wanted, actual, told, add, remove, before, after, foreign) in table {
            let found = gap(&accounts(wanted), &accounts(actual), words(told));
            let expected = Gap {
                add: accounts(add),
                remove: accounts(remove),
                before: words(before),
                after: words(after),
                foreign: accounts(foreign),
                told: words(told),
            };
            assert_eq!(found, expected, "{wanted} / {actual} / {told}");
        }
    }

    #[test]
    fn the_tag_holds_as_many_as_are_lent_to() {
        let many: BTreeSet<String> = (0..60).map(|n| format!("{n:012}")).collect();
        let tags = lent_tags(&many);
        assert_eq!(
            tags.keys().map(String::as_str).collect::<Vec<_>>(),
            ["stillframe:lent", "stillframe:lent.2", "stillframe:lent.3", "stillframe:lent.4",]
        );
        assert!(tags.values().all(|value| value.len() <= VALUE_MAX));
        assert_eq!(lent(&tags), many);
        let few = lent_tags(&words("a"));
        assert_eq!(stale_keys(&tags, &few), ["stillframe:lent.2", "stillframe:lent.3", "stillframe:lent.4"]);
        assert!(lent_tags(&BTreeSet::new()).is_empty());
        let arn = "arn:aws:organizations::111111111111:ou/o-abc/ou-1-x";
        assert_eq!(Grantee::Unit(arn.into()).short(), "ou-1-x");
    }
}

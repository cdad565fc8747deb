//! The keys of `[[copy]]` and `[share]`.

use super::plan::{KEEP, LIST_MAX, REGION, TRUE_FALSE, WITHIN_MAX};
use super::{DURATION, Field, Table, field, like, optional, required, with};
use crate::config::check;
use crate::config::kind::Kind;

const KEY: &str = "an alias such as \"alias/backup\", the id of a key, or its ARN";
const KEY_PATTERN: &str = "^((arn:aws(-cn|-us-gov)?:kms:[a-z0-9-]+:[0-9]{12}:)?alias/[A-Za-z0-9/_-]{1,250}\
                           |(arn:aws(-cn|-us-gov)?:kms:[a-z0-9-]+:[0-9]{12}:key/)?\
                           ([0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|mrk-[0-9a-f]{32}))$";
const ORGANIZATION: &str = "^arn:aws(-cn|-us-gov)?:organizations::[0-9]{12}:organization/o-[a-z0-9]{1,65}$";
const UNIT: &str = "^arn:aws(-cn|-us-gov)?:organizations::[0-9]{12}:ou/o-[a-z0-9]{1,65}/ou-[a-z0-9-]{1,65}$";

const fn via(doc: &'static str) -> Field {
    like(KEY_PATTERN, field("via_key", Kind::Text(check::via_key), KEY, doc))
}

/// `[[copy]]`.
pub(super) static COPY: Table = Table {
    some: &[],
    fields: &[
        like(
            REGION,
            required(
                "region",
                Kind::Text(check::region),
                "a region such as \"eu-west-1\"",
                "where the copies are made",
            ),
        ),
        like(
            "^[a-z0-9_-]{1,40}$",
            field(
                "account",
                Kind::Text(check::account_name),
                "a name under [accounts] of stillframe.toml, such as \"dr\"",
                "another account; default: the same one",
            ),
        ),
        like(
            KEY_PATTERN,
            field(
                "kms_key",
                Kind::Text(check::kms_key),
                KEY,
                "a key of the destination; default: its EBS key if the source is encrypted, none if it is not",
            ),
        ),
        via("a key of the source's place to copy under first, where its own cannot be lent to another account"),
        optional("keep", &KEEP, "which copies stay; default: as [keep]"),
    ],
};

/// `[share]`.
pub(super) static SHARE: Table = Table {
    some: &["accounts", "organizations", "organizational_units"],
    fields: &[
        like(
            "^[0-9]{12}$",
            field(
                "accounts",
                Kind::Texts { check: check::shared_account, alone: false, max: LIST_MAX },
                "a list of account ids such as [\"333333333333\"]",
                "they may launch the images, and copy them if `snapshots` is true",
            ),
        ),
        like(
            ORGANIZATION,
            field(
                "organizations",
                Kind::Texts { check: check::organization, alone: false, max: LIST_MAX },
                "a list of ARNs such as [\"arn:aws:organizations::111111111111:organization/o-abc\"]",
                "their accounts may launch the images",
            ),
        ),
        like(
            UNIT,
            field(
                "organizational_units",
                Kind::Texts { check: check::organizational_unit, alone: false, max: LIST_MAX },
                "a list of ARNs such as [\"arn:aws:organizations::111111111111:ou/o-abc/ou-abcd-12345678\"]",
                "their accounts may launch the images",
            ),
        ),
        with("true", field("snapshots", Kind::Flag, TRUE_FALSE, "whether `accounts` may copy too, not only launch")),
        with(
            "7d",
            field(
                "grace",
                Kind::Duration { max: WITHIN_MAX, off: false },
                DURATION,
                "a shared image is deprecated this long before it is deleted",
            ),
        ),
        via("a key to copy under first, where the image's own cannot be shared"),
    ],
};

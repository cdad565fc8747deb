//! Names and tokens of what distribution makes: pure functions of what they stand for, so that doing a thing twice is
//! doing it once.

use sha2::{Digest as _, Sha256};

use crate::domain::place::Place;

/// The digits of a hash in the name of a copy.
const COPY_DIGITS: usize = 8;
/// What a copy's name is longer than its source's: a slash and the digits.
pub const COPY_SUFFIX: usize = 1 + COPY_DIGITS;
/// The digits of a hash in the name of a grant.
const GRANT_DIGITS: usize = 32;
/// EC2 guide, "Ensuring idempotency": at most 64 characters.
const TOKEN_DIGITS: usize = 64;

/// The first digits of the hash of these words; no two lists of words run together.
fn hash(words: &[&str], digits: usize) -> String {
    let mut hasher = Sha256::new();
    for word in words {
        hasher.update((word.len() as u64).to_be_bytes());
        hasher.update(word.as_bytes());
    }
    let mut text = String::with_capacity(TOKEN_DIGITS);
    for byte in hasher.finalize() {
        text.push_str(&format!("{byte:02x}"));
    }
    text.truncate(digits);
    text
}

/// The name of the copy of `image_name` in `to` under `key`: one image may be copied within its own place too.
#[must_use]
pub fn copy_name(image_name: &str, to: &Place, key: Option<&str>) -> String {
    let digits = hash(&[&to.account, &to.region, key.unwrap_or_default()], COPY_DIGITS);
    format!("{image_name}/{digits}")
}

/// The ClientToken of the `attempt`-th copy of a recovery point, which is what `image_name` in `source` names. Within its
/// own place there may be one copy under each `key`.
#[must_use]
pub fn token(source: &Place, image_name: &str, to: &Place, key: Option<&str>, attempt: u32) -> String {
    let attempt = attempt.to_string();
    let mut parts = vec![&*source.account, &source.region, image_name, &to.account, &to.region, &attempt];
    parts.extend(key.filter(|_| source == to));
    hash(&parts, TOKEN_DIGITS)
}

/// The name of the grant by which `grantee` may use `key` for `plan`: KMS answers a second request of the same name with
/// the same grant.
#[must_use]
pub fn grant_name(daemon: &str, plan: &str, key: &str, grantee: &str) -> String {
    format!("stillframe-{daemon}-{}", hash(&[plan, key, grantee], GRANT_DIGITS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_says_all_that_it_stands_for() {
        let (here, there) = (Place::new("111111111111", "eu-central-1"), Place::new("222222222222", "eu-west-1"));
        let name = "stillframe/prod/web/i-0123456789abcdef0/20261120T023000Z";
        let tokens: BTreeSet<String> = [
            token(&here, name, &there, None, 1),
            token(&here, name, &there, None, 2),
            token(&here, name, &here, None, 1),
            token(&there, name, &there, None, 1),
            token(&here, "other", &there, None, 1),
            token(&here, name, &here, Some("k1"), 1),
            token(&here, name, &here, Some("k2"), 1),
        ]
        .into();
        assert_eq!(tokens.len(), 7);
        assert!(tokens.iter().all(|token| token.len() == TOKEN_DIGITS && token.is_ascii()));
        let with = token(&here, name, &there, Some("k1"), 1);
        assert_eq!(token(&here, name, &there, None, 1), with, "elsewhere there is one, whatever its key");
        let names: BTreeSet<String> = [
            copy_name(name, &there, None),
            copy_name(name, &here, None),
            copy_name(name, &there, Some("alias/backup")),
            copy_name(name, &Place::new("222222222222", "eu-west-2"), None),
        ]
        .into();
        assert_eq!(names.len(), 4);
        assert!(names.iter().all(|copy| copy.len() == name.len() + COPY_SUFFIX && copy.starts_with(name)));
        // No two lists of words run together.
        assert_ne!(hash(&["a", "bc"], 8), hash(&["ab", "c"], 8));
        let grant =
            grant_name("prod", "web", "arn:aws:kms:eu-west-1:111111111111:key/1", "arn:aws:iam::222222222222:root");
        assert!(grant.len() <= 256 && grant.starts_with("stillframe-prod-"), "{grant}");
    }

    #[test]
    fn they_never_change() {
        // Images and grants in people's accounts bear these: another hash would make them all anew.
        let (here, there) = (Place::new("111111111111", "eu-central-1"), Place::new("222222222222", "eu-west-1"));
        assert_eq!(copy_name("n", &there, None), "n/24f77d5a");
        assert_eq!(
            token(&here, "n", &there, None, 1),
            "fd9ad2f8793a7af71ea34363082abe8120846cc675dc65878b20608188bb1c4b"
        );
        assert_eq!(grant_name("prod", "web", "k", "g"), "stillframe-prod-186abcb5d8cecc0c8d40e4a6dbc44877");
    }
}

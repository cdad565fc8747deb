//! The keys of one place: those that the plans name, the default one, and those of the volumes.

use std::collections::BTreeSet;

use super::ask::{Asker, row};
use super::needs::Needs;
use super::policy;
use crate::cloud::classify::Class;
use crate::cloud::port::Read;
use crate::domain::copying::Key;
use crate::view::doctor::{Answer, CheckRow};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// Copies are made under it here.
    Copies,
    /// Images are copied under it, and it is lent to other accounts.
    Lending,
    /// Volumes are under it. Whether it is lent, and whether images are copied under another one first.
    Volumes { lent: bool, via: bool },
}

impl Asker<'_> {
    /// The keys under which copies are made here, and those that are lent. `encrypted`: whether anything is copied
    /// that is encrypted already.
    pub async fn keys(&mut self, needs: &Needs<'_>, volumes: &BTreeSet<String>, encrypted: bool) {
        // Copies are shared, too: their keys are lent then.
        let lent = needs.lends_keys();
        for key in &needs.kms_keys {
            if let Some(found) = self.key(key, For::Copies).await.filter(|_| lent) {
                self.lending(key, &found.arn).await;
            }
        }
        for key in &needs.via_keys {
            // Policies and grants are asked for by ARN: KMS takes no alias there.
            if let Some(found) = self.key(key, For::Lending).await {
                self.lending(key, &found.arn).await;
            }
        }
        if needs.default_key && encrypted {
            let answer = self.cloud.default_key(self.place).await;
            self.push(row("GetEbsDefaultKmsKeyId", "-", &answer, self.principal));
            if let Ok(key) = answer {
                self.key(&key, For::Copies).await;
            }
        }
        if !needs.distributes() {
            for key in volumes {
                self.plain(key).await;
            }
            return;
        }
        let via = !needs.via_keys.is_empty();
        for key in volumes {
            let found = self.key(key, For::Volumes { lent, via }).await;
            if lent && found.is_none_or(|found| !found.aws_managed) {
                self.lending(key, key).await;
            }
        }
    }

    /// One key, as far as it may be seen.
    async fn key(&mut self, name: &str, wanted: For) -> Option<Key> {
        let answer = self.cloud.key(self.place, name).await;
        let about = match &answer {
            Ok(key) if key.arn != name => format!("{name} = {}", key.arn),
            _ => name.to_owned(),
        };
        let mut row = row("DescribeKey", &about, &answer, self.principal);
        if let Err(fault) = &answer
            && (fault.class == Class::NotFound || fault.code.starts_with("NotFound"))
        {
            (row.outcome, row.reason) = if name == "alias/aws/ebs" {
                (Answer::Unknown, "AWS makes it with the first encrypted volume of the region".into())
            } else {
                (Answer::Denied, format!("there is no key {name} in {}: make it, or name another one", self.place))
            };
        }
        if row.action.is_some() {
            let arn = answer.as_ref().map_or(name, |key| &key.arn);
            row.add = match wanted {
                For::Copies => policy::use_key(self.principal, arn),
                For::Lending | For::Volumes { .. } => {
                    [policy::use_key(self.principal, arn), policy::lend_key(self.principal, arn)].concat()
                }
            };
        }
        if let Some(why) = answer.as_ref().ok().and_then(|key| unfit(key, wanted, &self.place.region)) {
            (row.outcome, row.reason) = (Answer::Denied, why);
        }
        self.push(row);
        answer.ok()
    }

    /// The key of a volume of which images are made, and nothing more. Whether whoever makes them needs rights on it is
    /// not known (AWS's page for DLM asks its roles for them), and nothing tries it: it is told, and denied is nothing.
    async fn plain(&mut self, key: &str) {
        // Nobody needs rights on a key of AWS's own.
        if self.cloud.key(self.place, key).await.is_ok_and(|key| key.aws_managed) {
            return;
        }
        let mut row = row("CreateGrant", key, &Ok(()), self.principal);
        row.outcome = Answer::Unknown;
        row.reason =
            "volumes are under this key, and its use cannot be tried. If images fail with a KMS error, add the \
                      statements of README, \"Encrypted volumes\", to the IAM policy and to the key's"
                .into();
        self.push(row);
    }

    /// Whether it may be seen who may use a key, which comes before every grant.
    async fn lending(&mut self, name: &str, arn: &str) {
        let read: Read<_> = self.cloud.key_policy(self.place, arn).await;
        self.key_row("GetKeyPolicy", (name, arn), &read);
        let read = self.cloud.grants(self.place, arn).await;
        self.key_row("ListGrants", (name, arn), &read);
    }

    fn key_row<T>(&mut self, call: &str, (name, arn): (&str, &str), answer: &Read<T>) {
        let mut row: CheckRow = row(call, name, answer, self.principal);
        if row.action.is_some() {
            row.add = policy::lend_key(self.principal, arn);
        }
        self.push(row);
    }
}

/// Why a key cannot serve.
fn unfit(key: &Key, wanted: For, region: &str) -> Option<String> {
    let arn = &key.arn;
    if !key.symmetric {
        return Some(format!("{arn} is asymmetric, which EBS cannot use: name a symmetric key"));
    }
    if key.state != "Enabled" {
        let advice = match key.state.as_str() {
            "Disabled" => "enable it (`aws kms enable-key`)",
            "PendingDeletion" => "cancel its deletion (`aws kms cancel-key-deletion`) and enable it",
            _ => "mend it",
        };
        return Some(format!(
            "{arn} is {}, so nothing can be copied with it: {advice}, or name another key",
            key.state
        ));
    }
    if arn.split(':').nth(3).is_some_and(|its| its != region) {
        return Some(format!("{arn} is not in {region}, where it is needed: name a key of that region"));
    }
    match wanted {
        For::Lending if key.aws_managed => {
            Some(format!("{arn} is managed by AWS and can be lent to nobody: via_key takes a customer-managed key"))
        }
        For::Volumes { lent: true, via: false } if key.aws_managed => Some(format!(
            "volumes are under {arn}, which AWS manages, so their snapshots cannot be shared: set via_key to a \
             customer-managed key of {region}"
        )),
        _ => None,
    }
}

//! Reading what shares and deprecates; permissions in the form of today and in that of old.

use chrono::DateTime;

use super::{Query, bad};
use crate::domain::sharing::Grantee;
use crate::sim::action::Action;
use crate::sim::error::ApiError;

/// Who is added and who is removed.
type Lists = (Vec<Grantee>, Vec<Grantee>);

impl Query {
    /// The action of this name, if it is one of these.
    pub(super) fn sharing(&mut self, api: &str) -> Result<Option<Action>, ApiError> {
        Ok(Some(match api {
            "DescribeImageAttribute" => {
                Action::DescribeImageAttribute { image: self.text("ImageId")?, attribute: self.text("Attribute")? }
            }
            "ModifyImageAttribute" => {
                let image = self.text("ImageId")?;
                let (add, remove) = self.change("launchPermission", "LaunchPermission", true)?;
                Action::ModifyImageAttribute { image, add, remove }
            }
            "DescribeSnapshotAttribute" => Action::DescribeSnapshotAttribute {
                snapshot: self.text("SnapshotId")?,
                attribute: self.text("Attribute")?,
            },
            "ModifySnapshotAttribute" => {
                let snapshot = self.text("SnapshotId")?;
                // API reference, ModifySnapshotAttribute: users and the group only.
                let (add, remove) = self.change("createVolumePermission", "CreateVolumePermission", false)?;
                Action::ModifySnapshotAttribute { snapshot, add, remove }
            }
            "EnableImageDeprecation" => {
                let (image, text) = (self.text("ImageId")?, self.text("DeprecateAt")?);
                let at = DateTime::parse_from_rfc3339(&text).map_err(|_| bad("DeprecateAt", &text))?.to_utc();
                Action::EnableImageDeprecation { image, at }
            }
            _ => return Ok(None),
        }))
    }

    /// `LaunchPermission.Add.N.UserId` and the like; or, of old, `OperationType` with `UserId.N`, `UserGroup.N`.
    fn change(&mut self, attribute: &str, key: &str, organizations: bool) -> Result<Lists, ApiError> {
        if let Some(other) = self.maybe("Attribute").filter(|given| given != attribute) {
            return Err(bad("Attribute", &other));
        }
        let mut add = self.entries(&format!("{key}.Add"), organizations)?;
        let mut remove = self.entries(&format!("{key}.Remove"), organizations)?;
        let old = self.of_old(organizations)?;
        if !old.is_empty() || self.0.contains_key("OperationType") {
            match self.text("OperationType")?.as_str() {
                "add" => add.extend(old),
                "remove" => remove.extend(old),
                other => return Err(bad("OperationType", other)),
            }
        }
        if add.is_empty() && remove.is_empty() && self.0.is_empty() {
            return Err(ApiError::client("InvalidParameterCombination", "No attributes specified."));
        }
        Ok((add, remove))
    }

    fn entries(&mut self, prefix: &str, organizations: bool) -> Result<Vec<Grantee>, ApiError> {
        let mut entries = Vec::new();
        for n in self.numbers(prefix) {
            entries.extend(self.maybe(&format!("{prefix}.{n}.UserId")).map(Grantee::Account));
            if organizations {
                entries.extend(self.maybe(&format!("{prefix}.{n}.OrganizationArn")).map(Grantee::Organization));
                entries.extend(self.maybe(&format!("{prefix}.{n}.OrganizationalUnitArn")).map(Grantee::Unit));
            }
            let group = format!("{prefix}.{n}.Group");
            entries.extend(self.maybe(&group).map(|word| everyone(&group, &word)).transpose()?);
        }
        Ok(entries)
    }

    fn of_old(&mut self, organizations: bool) -> Result<Vec<Grantee>, ApiError> {
        let mut entries: Vec<Grantee> = self.list("UserId").into_iter().map(Grantee::Account).collect();
        if organizations {
            entries.extend(self.list("OrganizationArn").into_iter().map(Grantee::Organization));
            entries.extend(self.list("OrganizationalUnitArn").into_iter().map(Grantee::Unit));
        }
        for word in self.list("UserGroup") {
            entries.push(everyone("UserGroup", &word)?);
        }
        Ok(entries)
    }
}

/// API reference, LaunchPermission: the only group is `all`.
fn everyone(key: &str, word: &str) -> Result<Grantee, ApiError> {
    if word == "all" { Ok(Grantee::Everyone) } else { Err(bad(key, word)) }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn both_forms_of_a_permission_read_alike() {
        let read = |text: &str| {
            let all = format!("Version=2016-11-15&Action=ModifyImageAttribute&ImageId=ami-1&{text}");
            parse(form_urlencoded::parse(all.as_bytes()).into_owned().collect()).expect("whole").0
        };
        let org = "OrganizationArn";
        let table = [
            ("LaunchPermission.Add.1.UserId=2", "Attribute=launchPermission&OperationType=add&UserId.1=2"),
            ("LaunchPermission.Remove.1.Group=all", "OperationType=remove&UserGroup.1=all"),
            (
                &format!("LaunchPermission.Add.1.UserId=2&LaunchPermission.Add.2.{org}=o") as &str,
                &format!("OperationType=add&{org}.1=o&UserId.1=2"),
            ),
        ];
        for (new, old) in table {
            assert_eq!(read(new), read(old));
        }
        let both = read("LaunchPermission.Add.1.UserId=2&LaunchPermission.Remove.1.UserId=3");
        let (add, remove) = (vec![Grantee::Account("2".into())], vec![Grantee::Account("3".into())]);
        assert_eq!(both, Action::ModifyImageAttribute { image: "ami-1".into(), add, remove });
    }
}

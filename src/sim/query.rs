//! Reading EC2 Query requests: `Filter.1.Name`, `TagSpecification.1.Tag.1.Key`, ... into an [`Action`].
//!
//! A parameter that this world does not serve is refused, so that nothing a client asks for is silently left out.

mod sharing;

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, Filter, Listing, Paging, TagSpec};
use super::error::ApiError;
use super::served::Request;

/// Parameters that are taken and change nothing here.
const IGNORED: [(&str, &[&str]); 4] = [
    ("RunInstances", &["InstanceType", "ClientToken", "SubnetId", "KeyName"]),
    ("RegisterImage", &["Architecture", "VirtualizationType", "BootMode", "EnaSupport"]),
    ("StopInstances", &["Force"]),
    ("TerminateInstances", &["Force"]),
];

/// The parameters of one request, each taken at most once.
pub struct Query(BTreeMap<String, String>);

/// The action that `parameters` ask for, and whether only as a DryRun.
///
/// # Errors
/// `MissingAction`, `InvalidAction`, `MissingParameter`, `UnknownParameter`, `InvalidParameterValue`.
pub fn parse(parameters: BTreeMap<String, String>) -> Result<(Action, bool), ApiError> {
    let mut query = Query(parameters);
    let version = query.maybe("Version");
    let Some(api) = query.maybe("Action") else {
        return Err(ApiError::client("MissingAction", "The request is missing an action."));
    };
    let dry_run = query.flag("DryRun")?.unwrap_or(false);
    let action = query.action(&api, version.as_deref())?;
    let ignored = IGNORED.iter().find(|(of, _)| *of == api).map_or(&[][..], |(_, keys)| keys);
    match query.0.keys().find(|key| !ignored.contains(&key.as_str())) {
        None => Ok((action, dry_run)),
        Some(key) => Err(ApiError::client(
            "UnknownParameter",
            format!("The parameter {key} is not recognized (the simulated world does not serve it in {api})"),
        )),
    }
}

impl Query {
    fn action(&mut self, api: &str, version: Option<&str>) -> Result<Action, ApiError> {
        let invalid = || {
            let version = version.unwrap_or("none");
            ApiError::client(
                "InvalidAction",
                format!("The action {api} is not valid for this web service (version {version})."),
            )
        };
        match (api, version) {
            ("GetCallerIdentity", Some("2011-06-15")) => return Ok(Action::GetCallerIdentity),
            ("AssumeRole", Some("2011-06-15")) => {
                return Ok(Action::AssumeRole {
                    role: self.text("RoleArn")?,
                    session: self.text("RoleSessionName")?,
                    external_id: self.maybe("ExternalId"),
                });
            }
            (_, Some("2016-11-15")) => {}
            _ => return Err(invalid()),
        }
        Ok(match api {
            "DescribeInstances" => Action::DescribeInstances(self.listing("InstanceId")?),
            "DescribeInstanceStatus" => Action::DescribeInstanceStatus {
                list: self.listing("InstanceId")?,
                include_all: self.flag("IncludeAllInstances")?,
            },
            "DescribeVolumes" => Action::DescribeVolumes(self.listing("VolumeId")?),
            "DescribeImages" => Action::DescribeImages {
                list: self.listing("ImageId")?,
                owners: self.list("Owner"),
                executable_by: self.list("ExecutableBy"),
                include_disabled: self.flag("IncludeDisabled")?,
                include_deprecated: self.flag("IncludeDeprecated")?,
            },
            "DescribeSnapshots" => {
                Action::DescribeSnapshots { list: self.listing("SnapshotId")?, owners: self.list("Owner") }
            }
            "CreateImage" => Action::CreateImage {
                instance: self.text("InstanceId")?,
                name: self.text("Name")?,
                description: self.maybe("Description"),
                no_reboot: self.flag("NoReboot")?,
                tags: self.specs()?,
            },
            "DeregisterImage" => Action::DeregisterImage {
                image: self.text("ImageId")?,
                delete_snapshots: self.flag("DeleteAssociatedSnapshots")?,
            },
            "DeleteSnapshot" => Action::DeleteSnapshot { snapshot: self.text("SnapshotId")? },
            "CopyImage" => Action::CopyImage {
                source_image: self.text("SourceImageId")?,
                source_region: self.text("SourceRegion")?,
                name: self.text("Name")?,
                description: self.maybe("Description"),
                copy_tags: self.flag("CopyImageTags")?,
                encrypted: self.flag("Encrypted")?,
                kms_key: self.maybe("KmsKeyId"),
                client_token: self.maybe("ClientToken"),
                tags: self.specs()?,
            },
            "RegisterImage" => Action::RegisterImage {
                name: self.text("Name")?,
                description: self.maybe("Description"),
                root_device: self.maybe("RootDeviceName"),
                mappings: self.mappings()?,
                tags: self.specs()?,
            },
            "CreateTags" => Action::CreateTags { resources: self.some("ResourceId")?, tags: self.tags("Tag")? },
            "DeleteTags" => Action::DeleteTags { resources: self.some("ResourceId")?, tags: self.loose_tags()? },
            "StartInstances" => Action::StartInstances { instances: self.some("InstanceId")? },
            "StopInstances" => Action::StopInstances { instances: self.some("InstanceId")? },
            "RebootInstances" => Action::RebootInstances { instances: self.some("InstanceId")? },
            "TerminateInstances" => Action::TerminateInstances { instances: self.some("InstanceId")? },
            "RunInstances" => Action::RunInstances {
                image: self.text("ImageId")?,
                min: self.number("MinCount")?.ok_or_else(|| missing("MinCount"))?,
                max: self.number("MaxCount")?.ok_or_else(|| missing("MaxCount"))?,
                tags: self.specs()?,
            },
            _ => match Request::read(api, self)? {
                Some(request) => Action::Served(request),
                None => return self.sharing(api)?.ok_or_else(invalid),
            },
        })
    }

    pub(super) fn maybe(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    pub(super) fn text(&mut self, key: &str) -> Result<String, ApiError> {
        self.maybe(key).ok_or_else(|| missing(key))
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, ApiError> {
        match self.maybe(key).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(bad(key, other)),
        }
    }

    pub(super) fn number(&mut self, key: &str) -> Result<Option<u32>, ApiError> {
        self.maybe(key).map(|text| text.parse().map_err(|_| bad(key, &text))).transpose()
    }

    /// The numbers N of `prefix.N` and `prefix.N.anything`, in order.
    pub(super) fn numbers(&self, prefix: &str) -> BTreeSet<u32> {
        let rest = |key: &str| key.strip_prefix(prefix)?.strip_prefix('.')?.split('.').next()?.parse().ok();
        self.0.keys().filter_map(|key| rest(key)).collect()
    }

    pub(super) fn list(&mut self, prefix: &str) -> Vec<String> {
        self.numbers(prefix).into_iter().filter_map(|n| self.maybe(&format!("{prefix}.{n}"))).collect()
    }

    /// At least one.
    pub(super) fn some(&mut self, prefix: &str) -> Result<Vec<String>, ApiError> {
        let values = self.list(prefix);
        if values.is_empty() { Err(missing(prefix)) } else { Ok(values) }
    }

    pub(super) fn listing(&mut self, ids: &str) -> Result<Listing, ApiError> {
        let mut filters = Vec::new();
        for n in self.numbers("Filter") {
            let name = self.text(&format!("Filter.{n}.Name"))?;
            filters.push(Filter { name, values: self.list(&format!("Filter.{n}.Value")) });
        }
        let page = Paging { max: self.number("MaxResults")?, token: self.maybe("NextToken") };
        Ok(Listing { ids: self.list(ids), filters, page })
    }

    pub(super) fn loose_tags(&mut self) -> Result<Vec<(String, Option<String>)>, ApiError> {
        let mut tags = Vec::new();
        for n in self.numbers("Tag") {
            tags.push((self.text(&format!("Tag.{n}.Key"))?, self.maybe(&format!("Tag.{n}.Value"))));
        }
        Ok(tags)
    }

    pub(super) fn tags(&mut self, prefix: &str) -> Result<Vec<(String, String)>, ApiError> {
        let mut tags = Vec::new();
        for n in self.numbers(prefix) {
            let key = self.text(&format!("{prefix}.{n}.Key"))?;
            tags.push((key, self.maybe(&format!("{prefix}.{n}.Value")).unwrap_or_default()));
        }
        if tags.is_empty() { Err(missing(prefix)) } else { Ok(tags) }
    }

    pub(super) fn specs(&mut self) -> Result<Vec<TagSpec>, ApiError> {
        let mut specs = Vec::new();
        for n in self.numbers("TagSpecification") {
            let resource = self.text(&format!("TagSpecification.{n}.ResourceType"))?;
            specs.push(TagSpec { resource, tags: self.tags(&format!("TagSpecification.{n}.Tag"))? });
        }
        Ok(specs)
    }

    pub(super) fn mappings(&mut self) -> Result<Vec<(String, String)>, ApiError> {
        let mut mappings = Vec::new();
        for n in self.numbers("BlockDeviceMapping") {
            let device = self.text(&format!("BlockDeviceMapping.{n}.DeviceName"))?;
            mappings.push((device, self.text(&format!("BlockDeviceMapping.{n}.Ebs.SnapshotId"))?));
        }
        Ok(mappings)
    }
}

fn missing(key: &str) -> ApiError {
    ApiError::client("MissingParameter", format!("The request must contain the parameter {key}"))
}

fn bad(key: &str, value: &str) -> ApiError {
    ApiError::value(format!("Invalid value '{value}' for parameter {key}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::sharing::Grantee;

    fn params(text: &str) -> BTreeMap<String, String> {
        form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    }

    fn listing() -> impl Strategy<Value = Listing> {
        let words = || prop::collection::vec("[a-z*:-]{1,6}", 1..13);
        let filter = ("[a-z:-]{1,6}", words()).prop_map(|(name, values)| Filter { name, values });
        let page = (prop::option::of(0..2000_u32), prop::option::of("[a-z:]{1,5}"));
        (prop::collection::vec("[a-z0-9-]{1,8}", 0..13), prop::collection::vec(filter, 0..3), page)
            .prop_map(|(ids, filters, (max, token))| Listing { ids, filters, page: Paging { max, token } })
    }

    fn specs() -> impl Strategy<Value = Vec<TagSpec>> {
        let tags = prop::collection::vec(("\\PC{1,5}", "\\PC{0,5}"), 1..12);
        prop::collection::vec(("[a-z]{1,8}", tags).prop_map(|(resource, tags)| TagSpec { resource, tags }), 0..3)
    }

    fn action() -> impl Strategy<Value = Action> {
        let flag = || prop::option::of(any::<bool>());
        let words = || prop::collection::vec("[a-z]{1,4}", 0..3);
        prop_oneof![
            listing().prop_map(Action::DescribeInstances),
            (listing(), flag()).prop_map(|(list, include_all)| Action::DescribeInstanceStatus { list, include_all }),
            (listing(), words(), words(), flag(), flag()).prop_map(
                |(list, owners, executable_by, include_disabled, include_deprecated)| Action::DescribeImages {
                    list,
                    owners,
                    executable_by,
                    include_disabled,
                    include_deprecated
                }
            ),
            ("\\PC{0,9}", "\\PC{0,9}", prop::option::of("\\PC{0,9}"), flag(), specs()).prop_map(
                |(instance, name, description, no_reboot, tags)| Action::CreateImage {
                    instance,
                    name,
                    description,
                    no_reboot,
                    tags
                }
            ),
            ("[a-z]{1,4}", flag())
                .prop_map(|(image, delete_snapshots)| Action::DeregisterImage { image, delete_snapshots }),
            (
                prop::collection::vec("[a-z]{1,4}", 1..13),
                prop::collection::vec(("[a-z]{1,4}", prop::option::of("[a-z]{0,4}")), 0..3)
            )
                .prop_map(|(resources, tags)| Action::DeleteTags { resources, tags }),
            (words(), words()).prop_map(|(add, remove)| {
                let list = |ids: Vec<String>| ids.into_iter().map(Grantee::Account).collect::<Vec<_>>();
                let (mut add, remove) = (list(add), list(remove));
                add.extend([Grantee::Organization("o".into()), Grantee::Unit("u".into()), Grantee::Everyone]);
                Action::ModifyImageAttribute { image: "ami".into(), add, remove }
            }),
            words().prop_map(|ids| {
                let add = ids.into_iter().map(Grantee::Account).chain([Grantee::Everyone]).collect();
                Action::ModifySnapshotAttribute { snapshot: "snap".into(), add, remove: Vec::new() }
            }),
            ("\\PC{1,9}", prop::option::of("\\PC{0,9}"), flag(), prop::option::of("[a-z]{1,4}"), specs()).prop_map(
                |(name, client_token, encrypted, kms_key, tags)| Action::CopyImage {
                    source_image: "ami".into(),
                    source_region: "r".into(),
                    name,
                    description: None,
                    copy_tags: None,
                    client_token,
                    encrypted,
                    kms_key,
                    tags,
                }
            ),
            (1..9_u32, 1..9_u32, specs()).prop_map(|(min, max, tags)| Action::RunInstances {
                image: "ami".into(),
                min,
                max,
                tags
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_an_action_is_sent_as_reads_as_that_action(action in action()) {
            let mut sent = action.parameters();
            sent.insert("Action".into(), action.api().into());
            sent.insert("Version".into(), "2016-11-15".into());
            prop_assert_eq!(parse(sent), Ok((action, false)));
        }
    }

    #[test]
    fn refusals_name_the_parameter() {
        let version = "Version=2016-11-15";
        let table = [
            ("Name=x", "MissingAction"),
            ("Action=DescribeImages", "InvalidAction"),
            ("Action=DescribeImages&Version=2011-06-15", "InvalidAction"),
            ("Action=MakeCoffee", "InvalidAction"),
            ("Action=CreateImage&Name=x", "MissingParameter"),
            ("Action=CreateImage&Name=x&InstanceId=i-1&NoReboot=no", "InvalidParameterValue"),
            ("Action=CopyImage&Name=x&SourceImageId=a&SourceRegion=r&KmsKeyId=k", "ok"),
            ("Action=CopyImage&Name=x&SourceImageId=a&SourceRegion=r&DestinationOutpostArn=o", "UnknownParameter"),
            ("Action=ModifyImageAttribute&ImageId=a", "InvalidParameterCombination"),
            ("Action=ModifyImageAttribute&ImageId=a&Attribute=description", "InvalidParameterValue"),
            ("Action=ModifyImageAttribute&ImageId=a&LaunchPermission.Add.1.Group=some", "InvalidParameterValue"),
            ("Action=ModifyImageAttribute&ImageId=a&UserId.1=2", "MissingParameter"),
            ("Action=ModifyImageAttribute&ImageId=a&OperationType=lend&UserId.1=2", "InvalidParameterValue"),
            ("Action=ModifySnapshotAttribute&SnapshotId=s&OperationType=add&OrganizationArn.1=o", "UnknownParameter"),
            (
                "Action=ModifySnapshotAttribute&SnapshotId=s&CreateVolumePermission.Add.1.OrganizationArn=o",
                "UnknownParameter",
            ),
            ("Action=EnableImageDeprecation&ImageId=a&DeprecateAt=soon", "InvalidParameterValue"),
            ("Action=EnableImageDeprecation&ImageId=a&DeprecateAt=2026-11-20T02:30:00.000Z", "ok"),
            ("Action=AssumeRole&Version=2011-06-15&RoleArn=r", "MissingParameter"),
            ("Action=CreateTags&ResourceId.1=x", "MissingParameter"),
            ("Action=StopInstances&Force=true", "MissingParameter"),
            ("Action=StopInstances&Force=true&InstanceId.1=i", "ok"),
        ];
        for (text, want) in table {
            let text = if text.contains("Version") || want == "MissingAction" || text == "Action=DescribeImages" {
                text.to_owned()
            } else {
                format!("{text}&{version}")
            };
            let code = parse(params(&text)).map_or_else(|e| e.code, |_| "ok".into());
            assert_eq!(code, want, "{text}");
        }
    }
}

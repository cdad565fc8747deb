//! The requests that the world understands, as typed values and as the Query parameters they are sent as.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::served::Request;
use crate::domain::naming::rfc3339;
use crate::domain::sharing::Grantee;

/// `Filter.N`: all filters must match, each by any of its values (`*` and `?` are wildcards).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// `tag:Name`, `image-id`, ...
    pub name: String,
    /// At least one.
    pub values: Vec<String>,
}

impl Filter {
    /// A filter from its parts.
    #[must_use]
    pub fn new(name: &str, values: &[String]) -> Self {
        Self { name: name.into(), values: values.to_vec() }
    }
}

/// `TagSpecification.N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSpec {
    /// `image`, `snapshot`, `instance`, ...
    pub resource: String,
    /// In the order sent.
    pub tags: Vec<(String, String)>,
}

/// `MaxResults` and `NextToken`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paging {
    /// `MaxResults`.
    pub max: Option<u32>,
    /// `NextToken`.
    pub token: Option<String>,
}

/// What every list request carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// `InstanceId.N`, `ImageId.N`, `SnapshotId.N`, `VolumeId.N`: one unknown id fails the whole call.
    pub ids: Vec<String>,
    /// `Filter.N`.
    pub filters: Vec<Filter>,
    /// The page.
    pub page: Paging,
}

/// One request. Options are what the request may leave out; `None` is "not sent".
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // EC2's own words, parameter by parameter
pub enum Action {
    DescribeInstances(Listing),
    DescribeInstanceStatus {
        list: Listing,
        include_all: Option<bool>,
    },
    DescribeVolumes(Listing),
    DescribeImages {
        list: Listing,
        owners: Vec<String>,
        /// `ExecutableBy.N`: `self`, `all` or an account.
        executable_by: Vec<String>,
        include_disabled: Option<bool>,
        include_deprecated: Option<bool>,
    },
    DescribeSnapshots {
        list: Listing,
        owners: Vec<String>,
    },
    CreateImage {
        instance: String,
        name: String,
        description: Option<String>,
        no_reboot: Option<bool>,
        tags: Vec<TagSpec>,
    },
    DeregisterImage {
        image: String,
        delete_snapshots: Option<bool>,
    },
    DeleteSnapshot {
        snapshot: String,
    },
    CopyImage {
        source_image: String,
        source_region: String,
        name: String,
        description: Option<String>,
        copy_tags: Option<bool>,
        client_token: Option<String>,
        encrypted: Option<bool>,
        kms_key: Option<String>,
        tags: Vec<TagSpec>,
    },
    RegisterImage {
        name: String,
        description: Option<String>,
        root_device: Option<String>,
        /// Device name and snapshot.
        mappings: Vec<(String, String)>,
        tags: Vec<TagSpec>,
    },
    CreateTags {
        resources: Vec<String>,
        tags: Vec<(String, String)>,
    },
    DeleteTags {
        resources: Vec<String>,
        /// Without a value the tag goes whatever its value is; no tags at all means all of them.
        tags: Vec<(String, Option<String>)>,
    },
    StartInstances {
        instances: Vec<String>,
    },
    StopInstances {
        instances: Vec<String>,
    },
    RebootInstances {
        instances: Vec<String>,
    },
    TerminateInstances {
        instances: Vec<String>,
    },
    RunInstances {
        image: String,
        min: u32,
        max: u32,
        tags: Vec<TagSpec>,
    },
    DescribeImageAttribute {
        image: String,
        attribute: String,
    },
    ModifyImageAttribute {
        image: String,
        /// `LaunchPermission.Add.N`.
        add: Vec<Grantee>,
        /// `LaunchPermission.Remove.N`.
        remove: Vec<Grantee>,
    },
    DescribeSnapshotAttribute {
        snapshot: String,
        attribute: String,
    },
    ModifySnapshotAttribute {
        snapshot: String,
        /// `CreateVolumePermission.Add.N`.
        add: Vec<Grantee>,
        /// `CreateVolumePermission.Remove.N`.
        remove: Vec<Grantee>,
    },
    EnableImageDeprecation {
        image: String,
        at: DateTime<Utc>,
    },
    /// One that is told in a place of its own.
    Served(Request),
    GetCallerIdentity,
    AssumeRole {
        role: String,
        session: String,
        external_id: Option<String>,
    },
    DescribeKey {
        key: String,
    },
    GetKeyPolicy {
        key: String,
    },
    ListGrants {
        key: String,
        max: Option<u32>,
        marker: Option<String>,
    },
    CreateGrant {
        key: String,
        grantee: String,
        operations: Vec<String>,
        name: Option<String>,
    },
    RevokeGrant {
        key: String,
        grant: String,
    },
}

impl Action {
    /// The API's name.
    #[must_use]
    pub fn api(&self) -> &'static str {
        match self {
            Self::DescribeInstances(_) => "DescribeInstances",
            Self::DescribeInstanceStatus { .. } => "DescribeInstanceStatus",
            Self::DescribeVolumes(_) => "DescribeVolumes",
            Self::DescribeImages { .. } => "DescribeImages",
            Self::DescribeSnapshots { .. } => "DescribeSnapshots",
            Self::CreateImage { .. } => "CreateImage",
            Self::DeregisterImage { .. } => "DeregisterImage",
            Self::DeleteSnapshot { .. } => "DeleteSnapshot",
            Self::CopyImage { .. } => "CopyImage",
            Self::RegisterImage { .. } => "RegisterImage",
            Self::CreateTags { .. } => "CreateTags",
            Self::DeleteTags { .. } => "DeleteTags",
            Self::StartInstances { .. } => "StartInstances",
            Self::StopInstances { .. } => "StopInstances",
            Self::RebootInstances { .. } => "RebootInstances",
            Self::TerminateInstances { .. } => "TerminateInstances",
            Self::RunInstances { .. } => "RunInstances",
            Self::DescribeImageAttribute { .. } => "DescribeImageAttribute",
            Self::ModifyImageAttribute { .. } => "ModifyImageAttribute",
            Self::DescribeSnapshotAttribute { .. } => "DescribeSnapshotAttribute",
            Self::ModifySnapshotAttribute { .. } => "ModifySnapshotAttribute",
            Self::EnableImageDeprecation { .. } => "EnableImageDeprecation",
            Self::Served(request) => request.api(),
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::AssumeRole { .. } => "AssumeRole",
            Self::DescribeKey { .. } => "DescribeKey",
            Self::GetKeyPolicy { .. } => "GetKeyPolicy",
            Self::ListGrants { .. } => "ListGrants",
            Self::CreateGrant { .. } => "CreateGrant",
            Self::RevokeGrant { .. } => "RevokeGrant",
        }
    }

    /// The image that it is about, where EC2 may not know yet of one that was just made or lent.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        match self {
            Self::CopyImage { source_image, .. } => Some(source_image),
            Self::DescribeImageAttribute { image, .. }
            | Self::ModifyImageAttribute { image, .. }
            | Self::EnableImageDeprecation { image, .. } => Some(image),
            Self::CreateTags { resources, .. } => {
                resources.iter().map(String::as_str).find(|id| id.starts_with("ami-"))
            }
            _ => None,
        }
    }

    /// Whether it only reads.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.listing().is_some()
            || matches!(self, Self::Served(request) if request.reads())
            || matches!(
                self,
                Self::GetCallerIdentity
                    | Self::DescribeImageAttribute { .. }
                    | Self::DescribeSnapshotAttribute { .. }
                    | Self::DescribeKey { .. }
                    | Self::GetKeyPolicy { .. }
                    | Self::ListGrants { .. }
            )
    }

    /// What a list request lists by.
    #[must_use]
    pub fn listing(&self) -> Option<&Listing> {
        match self {
            Self::DescribeInstances(list)
            | Self::DescribeVolumes(list)
            | Self::DescribeInstanceStatus { list, .. }
            | Self::DescribeImages { list, .. }
            | Self::DescribeSnapshots { list, .. } => Some(list),
            _ => None,
        }
    }

    /// The Query parameters it is sent as, for the call log.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let mut flat = Flat::default();
        match self {
            Self::DescribeInstances(list) => flat.listing("InstanceId", list),
            Self::DescribeInstanceStatus { list, include_all } => {
                flat.listing("InstanceId", list);
                flat.option("IncludeAllInstances", *include_all);
            }
            Self::DescribeVolumes(list) => flat.listing("VolumeId", list),
            Self::DescribeImages { list, owners, executable_by, include_disabled, include_deprecated } => {
                flat.listing("ImageId", list);
                flat.list("Owner", owners);
                flat.list("ExecutableBy", executable_by);
                flat.option("IncludeDisabled", *include_disabled);
                flat.option("IncludeDeprecated", *include_deprecated);
            }
            Self::DescribeSnapshots { list, owners } => {
                flat.listing("SnapshotId", list);
                flat.list("Owner", owners);
            }
            Self::CreateImage { instance, name, description, no_reboot, tags } => {
                flat.put("InstanceId", instance);
                flat.put("Name", name);
                flat.option("Description", description.as_ref());
                flat.option("NoReboot", *no_reboot);
                flat.specs(tags);
            }
            Self::DeregisterImage { image, delete_snapshots } => {
                flat.put("ImageId", image);
                flat.option("DeleteAssociatedSnapshots", *delete_snapshots);
            }
            Self::DeleteSnapshot { snapshot } => flat.put("SnapshotId", snapshot),
            Self::CopyImage {
                source_image,
                source_region,
                name,
                description,
                copy_tags,
                client_token,
                encrypted,
                kms_key,
                tags,
            } => {
                flat.put("SourceImageId", source_image);
                flat.put("SourceRegion", source_region);
                flat.put("Name", name);
                flat.option("Description", description.as_ref());
                flat.option("CopyImageTags", *copy_tags);
                flat.option("ClientToken", client_token.as_ref());
                flat.option("Encrypted", *encrypted);
                flat.option("KmsKeyId", kms_key.as_ref());
                flat.specs(tags);
            }
            Self::RegisterImage { name, description, root_device, mappings, tags } => {
                flat.put("Name", name);
                flat.option("Description", description.as_ref());
                flat.option("RootDeviceName", root_device.as_ref());
                for (n, (device, snapshot)) in (1..).zip(mappings) {
                    flat.put(format!("BlockDeviceMapping.{n}.DeviceName"), device);
                    flat.put(format!("BlockDeviceMapping.{n}.Ebs.SnapshotId"), snapshot);
                }
                flat.specs(tags);
            }
            Self::CreateTags { resources, tags } => {
                flat.list("ResourceId", resources);
                flat.tags("Tag", tags);
            }
            Self::DeleteTags { resources, tags } => {
                flat.list("ResourceId", resources);
                for (n, (key, value)) in (1..).zip(tags) {
                    flat.put(format!("Tag.{n}.Key"), key);
                    flat.option(format!("Tag.{n}.Value"), value.as_ref());
                }
            }
            Self::StartInstances { instances }
            | Self::StopInstances { instances }
            | Self::RebootInstances { instances }
            | Self::TerminateInstances { instances } => flat.list("InstanceId", instances),
            Self::RunInstances { image, min, max, tags } => {
                flat.put("ImageId", image);
                flat.put("MinCount", min);
                flat.put("MaxCount", max);
                flat.specs(tags);
            }
            Self::DescribeImageAttribute { image, attribute } => {
                flat.put("ImageId", image);
                flat.put("Attribute", attribute);
            }
            Self::ModifyImageAttribute { image, add, remove } => {
                flat.put("ImageId", image);
                flat.grantees("LaunchPermission.Add", add);
                flat.grantees("LaunchPermission.Remove", remove);
            }
            Self::DescribeSnapshotAttribute { snapshot, attribute } => {
                flat.put("SnapshotId", snapshot);
                flat.put("Attribute", attribute);
            }
            Self::ModifySnapshotAttribute { snapshot, add, remove } => {
                flat.put("SnapshotId", snapshot);
                flat.grantees("CreateVolumePermission.Add", add);
                flat.grantees("CreateVolumePermission.Remove", remove);
            }
            Self::EnableImageDeprecation { image, at } => {
                flat.put("ImageId", image);
                flat.put("DeprecateAt", rfc3339(*at));
            }
            Self::AssumeRole { role, session, .. } => {
                // The external id is a secret.
                flat.put("RoleArn", role);
                flat.put("RoleSessionName", session);
            }
            Self::DescribeKey { key } | Self::GetKeyPolicy { key } => flat.put("KeyId", key),
            Self::ListGrants { key, max, marker } => {
                flat.put("KeyId", key);
                flat.option("Limit", *max);
                flat.option("Marker", marker.as_ref());
            }
            Self::CreateGrant { key, grantee, operations, name } => {
                flat.put("KeyId", key);
                flat.put("GranteePrincipal", grantee);
                flat.list("Operations", operations);
                flat.option("Name", name.as_ref());
            }
            Self::RevokeGrant { key, grant } => {
                flat.put("KeyId", key);
                flat.put("GrantId", grant);
            }
            Self::Served(request) => request.send(&mut flat),
            Self::GetCallerIdentity => {}
        }
        flat.0
    }
}

/// Flattens values into `Name.N.Member` parameters.
#[derive(Default)]
pub struct Flat(BTreeMap<String, String>);

impl Flat {
    pub(super) fn put(&mut self, key: impl Into<String>, value: impl ToString) {
        self.0.insert(key.into(), value.to_string());
    }

    pub(super) fn option(&mut self, key: impl Into<String>, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    pub(super) fn list(&mut self, key: &str, values: &[String]) {
        for (n, value) in (1..).zip(values) {
            self.put(format!("{key}.{n}"), value);
        }
    }

    pub(super) fn tags(&mut self, key: &str, tags: &[(String, String)]) {
        for (n, (name, value)) in (1..).zip(tags) {
            self.put(format!("{key}.{n}.Key"), name);
            self.put(format!("{key}.{n}.Value"), value);
        }
    }

    pub(super) fn grantees(&mut self, key: &str, grantees: &[Grantee]) {
        for (n, grantee) in (1..).zip(grantees) {
            match grantee {
                Grantee::Account(id) => self.put(format!("{key}.{n}.UserId"), id),
                Grantee::Organization(arn) => self.put(format!("{key}.{n}.OrganizationArn"), arn),
                Grantee::Unit(arn) => self.put(format!("{key}.{n}.OrganizationalUnitArn"), arn),
                Grantee::Everyone => self.put(format!("{key}.{n}.Group"), "all"),
            }
        }
    }

    pub(super) fn specs(&mut self, specs: &[TagSpec]) {
        for (n, spec) in (1..).zip(specs) {
            self.put(format!("TagSpecification.{n}.ResourceType"), &spec.resource);
            self.tags(&format!("TagSpecification.{n}.Tag"), &spec.tags);
        }
    }

    pub(super) fn listing(&mut self, ids: &str, list: &Listing) {
        self.list(ids, &list.ids);
        for (n, filter) in (1..).zip(&list.filters) {
            self.put(format!("Filter.{n}.Name"), &filter.name);
            self.list(&format!("Filter.{n}.Value"), &filter.values);
        }
        self.option("MaxResults", list.page.max);
        self.option("NextToken", list.page.token.as_ref());
    }
}

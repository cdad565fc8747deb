//! The one list of all AWS calls that stillframe makes: what each is called, whose it is, what it costs, what a policy calls
//! it. Governor, doctor, policies and rehearsals read it; a new call is a line here.

/// Whose API it is: the prefix of its actions in policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// EC2.
    Ec2,
    /// KMS.
    Kms,
    /// STS.
    Sts,
}

impl Service {
    /// As policies write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Kms => "kms",
            Self::Sts => "sts",
        }
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// It reads.
    Reads,
    /// It makes something: an image, a tag, a grant.
    Makes,
    /// It changes or removes something of ours, which has our tag.
    Changes,
}

/// What a policy can name as its resource (Service Authorization Reference).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Nothing but `*`.
    Any,
    /// Images.
    Image,
    /// Snapshots.
    Snapshot,
    /// Images and snapshots.
    ImageAndSnapshot,
    /// The instance, and the image and snapshots that are made of it.
    InstanceAndImage,
    /// One key.
    Key,
}

/// What a place must be used for, that a call is made there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// For anything.
    Anything,
    /// Instances are imaged there.
    Images,
    /// CopyImage is called there.
    Copies,
    /// Images of there are copied or shared.
    Distributes,
    /// Permissions of images are changed there.
    ImagePermissions,
    /// Permissions of snapshots are changed there.
    SnapshotPermissions,
    /// Images of there are shared.
    Shares,
    /// Keys of there are lent.
    LendsKeys,
}

macro_rules! apis {
    ($($name:ident: $service:ident, $does:ident, $resource:ident, $capacity:literal, $refill:literal, [$($need:ident),*];)*) => {
        /// The requests that have a bucket of their own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs)] // AWS's own words
        pub enum Api {
            $($name,)*
            /// Whatever is tried without being done.
            DryRun,
        }

        impl Api {
            /// All of them.
            pub const ALL: &[Api] = &[$(Self::$name,)*];

            /// AWS's name of it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::DryRun => "DryRun",
                }
            }

            /// The one of this name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Whose it is.
            #[must_use]
            pub fn service(self) -> Service {
                match self {
                    $(Self::$name => Service::$service,)*
                    Self::DryRun => Service::Ec2,
                }
            }

            /// What it does.
            #[must_use]
            pub fn does(self) -> Does {
                match self {
                    $(Self::$name => Does::$does,)*
                    Self::DryRun => Does::Reads,
                }
            }

            /// What a policy can name.
            #[must_use]
            pub fn resource(self) -> Resource {
                match self {
                    $(Self::$name => Resource::$resource,)*
                    Self::DryRun => Resource::Any,
                }
            }

            /// What it is made for, any of these; nothing: whoever calls needs no permission for it, or it is not a matter
            /// of plans.
            #[must_use]
            pub fn needed_for(self) -> &'static [Need] {
                match self {
                    $(Self::$name => &[$(Need::$need),*],)*
                    Self::DryRun => &[],
                }
            }

            /// Capacity in tokens, and refill in tokens per second. EC2:
            /// docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html, where what has no row of its own is
            /// "mutating" or "non-mutating"; a call with ids can be neither filtered nor paged. KMS: developer guide,
            /// "Request quotas", per second and account, without a burst beyond it. STS: 600 per second; once a start is
            /// enough.
            #[must_use]
            pub fn documented(self) -> (f64, f64) {
                match self {
                    $(Self::$name => ($capacity, $refill),)*
                    Self::DryRun => (50.0, 5.0),
                }
            }

            /// The action that a policy must allow.
            #[must_use]
            pub fn action(self) -> String {
                format!("{}:{}", self.service().as_str(), self.as_str())
            }
        }
    };
}

apis! {
    DescribeInstances: Ec2, Reads, Any, 100.0, 20.0, [Anything];
    DescribeInstanceStatus: Ec2, Reads, Any, 50.0, 10.0, [Images];
    DescribeVolumes: Ec2, Reads, Any, 100.0, 20.0, [Images];
    DescribeImages: Ec2, Reads, Any, 100.0, 20.0, [Anything];
    DescribeSnapshots: Ec2, Reads, Any, 100.0, 20.0, [Anything];
    CreateImage: Ec2, Makes, InstanceAndImage, 50.0, 5.0, [Images];
    DeregisterImage: Ec2, Changes, Image, 100.0, 5.0, [Anything];
    DeleteSnapshot: Ec2, Changes, Snapshot, 100.0, 5.0, [Anything];
    GetCallerIdentity: Sts, Reads, Any, 50.0, 10.0, [];
    CopyImage: Ec2, Makes, ImageAndSnapshot, 100.0, 1.0, [Copies];
    DescribeImageAttribute: Ec2, Reads, Image, 100.0, 20.0, [ImagePermissions];
    DescribeSnapshotAttribute: Ec2, Reads, Snapshot, 100.0, 20.0, [SnapshotPermissions];
    ModifyImageAttribute: Ec2, Changes, Image, 100.0, 5.0, [ImagePermissions];
    ModifySnapshotAttribute: Ec2, Changes, Snapshot, 100.0, 5.0, [SnapshotPermissions];
    CreateTags: Ec2, Makes, ImageAndSnapshot, 100.0, 10.0, [Anything];
    DeleteTags: Ec2, Changes, ImageAndSnapshot, 100.0, 10.0, [ImagePermissions];
    EnableImageDeprecation: Ec2, Changes, Image, 50.0, 5.0, [Shares];
    GetEbsDefaultKmsKeyId: Ec2, Reads, Any, 100.0, 20.0, [Copies, Distributes];
    GetEbsEncryptionByDefault: Ec2, Reads, Any, 100.0, 20.0, [Copies, Distributes];
    GetAllowedImagesSettings: Ec2, Reads, Any, 100.0, 20.0, [Copies];
    DescribeKey: Kms, Reads, Key, 50.0, 50.0, [Distributes, LendsKeys];
    GetKeyPolicy: Kms, Reads, Key, 15.0, 15.0, [Distributes, LendsKeys];
    ListGrants: Kms, Reads, Key, 50.0, 50.0, [LendsKeys];
    CreateGrant: Kms, Makes, Key, 50.0, 50.0, [LendsKeys];
    RevokeGrant: Kms, Changes, Key, 15.0, 15.0, [LendsKeys];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_goes_there_and_back() {
        for api in Api::ALL {
            assert_eq!(Api::parse(api.as_str()), Some(*api));
        }
        assert_eq!((Api::parse("DryRun"), Api::parse("RunInstances")), (None, None));
        assert_eq!(Api::CreateGrant.action(), "kms:CreateGrant");
    }
}

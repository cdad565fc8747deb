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

macro_rules! apis {
    ($($name:ident: $service:ident, $does:ident, $resource:ident, $capacity:literal, $refill:literal;)*) => {
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
    DescribeInstances: Ec2, Reads, Any, 100.0, 20.0;
    DescribeInstanceStatus: Ec2, Reads, Any, 50.0, 10.0;
    DescribeVolumes: Ec2, Reads, Any, 100.0, 20.0;
    DescribeImages: Ec2, Reads, Any, 100.0, 20.0;
    DescribeSnapshots: Ec2, Reads, Any, 100.0, 20.0;
    CreateImage: Ec2, Makes, InstanceAndImage, 50.0, 5.0;
    DeregisterImage: Ec2, Changes, Image, 100.0, 5.0;
    DeleteSnapshot: Ec2, Changes, Snapshot, 100.0, 5.0;
    GetCallerIdentity: Sts, Reads, Any, 50.0, 10.0;
    CopyImage: Ec2, Makes, ImageAndSnapshot, 100.0, 1.0;
    DescribeImageAttribute: Ec2, Reads, Image, 100.0, 20.0;
    DescribeSnapshotAttribute: Ec2, Reads, Snapshot, 100.0, 20.0;
    ModifyImageAttribute: Ec2, Changes, Image, 100.0, 5.0;
    ModifySnapshotAttribute: Ec2, Changes, Snapshot, 100.0, 5.0;
    CreateTags: Ec2, Makes, ImageAndSnapshot, 100.0, 10.0;
    DeleteTags: Ec2, Changes, ImageAndSnapshot, 100.0, 10.0;
    EnableImageDeprecation: Ec2, Changes, Image, 50.0, 5.0;
    GetEbsDefaultKmsKeyId: Ec2, Reads, Any, 100.0, 20.0;
    GetEbsEncryptionByDefault: Ec2, Reads, Any, 100.0, 20.0;
    GetAllowedImagesSettings: Ec2, Reads, Any, 100.0, 20.0;
    DescribeKey: Kms, Reads, Key, 50.0, 50.0;
    GetKeyPolicy: Kms, Reads, Key, 15.0, 15.0;
    ListGrants: Kms, Reads, Key, 50.0, 50.0;
    CreateGrant: Kms, Makes, Key, 50.0, 50.0;
    RevokeGrant: Kms, Changes, Key, 15.0, 15.0;
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

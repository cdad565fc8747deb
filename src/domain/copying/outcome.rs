//! What AWS makes of the encryption of a copy: the raw table of the EC2 user guide ("Encryption and copying").
//!
//! `copy` keeps to the cells that are the same everywhere; the simulated cloud answers by all of them.

/// What the source of a copy is encrypted under, as the account that copies sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Unencrypted,
    /// A key of the copying account.
    OwnKey,
    /// The key that AWS manages in the copying account.
    AwsManaged,
    /// A key of another account, that shared the snapshots.
    SharedWithMe,
}

/// What the call says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// Nothing.
    None,
    /// `Encrypted=true` alone.
    Encrypted,
    /// `Encrypted=true` and `KmsKeyId`.
    Key,
    /// `KmsKeyId` alone.
    KeyWithoutEncrypted,
    /// `Encrypted=false`.
    Unencrypted,
}

/// What the copy is encrypted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Under {
    /// Nothing; where the destination encrypts by default, its default EBS key.
    Nothing,
    /// The source's key. It is the same key in the same region only.
    SameKey,
    /// The default EBS key of the copying account in the destination.
    DefaultKey,
    /// The key that was given.
    GivenKey,
}

/// Why EC2 refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A copy cannot be decrypted.
    Decrypting,
    /// A key needs `Encrypted`.
    KeyWithoutEncrypted,
}

impl Under {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "unencrypted, or the destination's default EBS key where it encrypts by default",
            Self::SameKey => "the source's key",
            Self::DefaultKey => "the destination's default EBS key",
            Self::GivenKey => "the given key",
        }
    }
}

impl Refused {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decrypting => "a copy of an encrypted snapshot cannot be unencrypted",
            Self::KeyWithoutEncrypted => "KmsKeyId needs Encrypted=true beside it",
        }
    }
}

/// What becomes of a copy.
///
/// # Errors
/// Why EC2 refuses it.
pub fn outcome(source: Kind, parameters: Parameters) -> Result<Under, Refused> {
    match (source, parameters) {
        (_, Parameters::KeyWithoutEncrypted) => Err(Refused::KeyWithoutEncrypted),
        (_, Parameters::Key) => Ok(Under::GivenKey),
        (Kind::Unencrypted, Parameters::None | Parameters::Unencrypted) => Ok(Under::Nothing),
        (_, Parameters::Unencrypted) => Err(Refused::Decrypting),
        (Kind::Unencrypted | Kind::SharedWithMe, Parameters::Encrypted) | (Kind::SharedWithMe, Parameters::None) => {
            Ok(Under::DefaultKey)
        }
        (Kind::OwnKey | Kind::AwsManaged, Parameters::None | Parameters::Encrypted) => Ok(Under::SameKey),
    }
}

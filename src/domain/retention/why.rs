//! One reason for which an image stays: its words, and what would end it.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::naming::{HOLD_TAG, rfc3339};
use crate::domain::observed::ImageState;
use crate::domain::plan::Seconds;
use crate::domain::schedule::words;

/// How the words begin with which an image is busy that waits for its copy.
pub const COPY_OWED: &str = "its copy to ";

/// A reason. `Display` is what journal and log say; [`until`](Why::until) is what would end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// A person's tag.
    Hold,
    /// An instance runs from it.
    InUse(String),
    /// Something still works with it: what.
    Busy(String),
    /// The plan has no keep rule at all.
    NoRule,
    /// `keep.last`.
    Last {
        /// How many stay.
        wanted: u32,
        /// How many good ones are newer.
        newer: u32,
    },
    /// `keep.within`.
    Within {
        /// How far back from the newest good image.
        within: Seconds,
        /// When the image was due.
        due: DateTime<Utc>,
    },
    /// One of `keep.hourly` to `keep.yearly`.
    Bucket {
        /// The rule's name.
        rule: &'static str,
        /// How many stretches.
        wanted: u32,
        /// The stretch of which it is the newest.
        stretch: String,
        /// How many newer stretches have an image.
        newer: u32,
    },
    /// The newest good one.
    Newest,
    /// `keep.min`.
    Min(usize),
    /// Half-made, and younger than a day.
    Resting {
        /// In what words.
        what: String,
        /// The end of its rest.
        until: DateTime<Utc>,
    },
    /// Half-made, in these words, and nothing else tells of the series.
    OnlyTrace(String),
    /// Its dates contradict each other, or the clock: how.
    NotUnderstood(String),
    /// Not finished.
    Pending,
    /// In a state in which it is left alone.
    Aside(ImageState),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold => write!(f, "on hold (tag {HOLD_TAG})"),
            Self::InUse(by) => write!(f, "in use by {by}"),
            Self::Busy(why) => write!(f, "busy: {why}"),
            Self::NoRule => write!(f, "no keep rule: nothing is deleted"),
            Self::Last { wanted, .. } => write!(f, "last {wanted}"),
            Self::Within { within, .. } => write!(f, "within {} of the newest good image", words(*within)),
            Self::Bucket { rule, wanted, stretch, .. } => write!(f, "{rule} {wanted}: the newest of {stretch}"),
            Self::Newest => write!(f, "newest good image of its series"),
            Self::Min(floor) => write!(f, "min {floor}: no fewer good images"),
            Self::Resting { what, .. } => write!(f, "{what}: kept for a day"),
            Self::OnlyTrace(what) => write!(f, "{what}: the only trace of its series"),
            Self::NotUnderstood(how) => write!(f, "not understood: {how}"),
            Self::Pending => write!(f, "pending: not finished yet"),
            Self::Aside(state) => write!(f, "{}: not counted, left alone", state.as_str()),
        }
    }
}

impl Why {
    /// What would end it, as far as it can be told.
    #[must_use]
    pub fn until(&self) -> String {
        match self {
            Self::Hold => format!("until somebody removes the tag {HOLD_TAG}"),
            Self::InUse(by) => format!("until {by} is terminated"),
            Self::Busy(why) if why.starts_with(COPY_OWED) => "until that copy is there".into(),
            Self::Busy(_) => "until that run is finished with it".into(),
            Self::NoRule => "until the plan has a keep rule".into(),
            Self::Last { wanted, newer } => match wanted.saturating_sub(*newer) {
                1 => "until one more good image of its series is made".into(),
                left => format!("until {left} more good images of its series are made"),
            },
            Self::Within { within, due } => {
                let seconds = i64::try_from(*within).unwrap_or(i64::MAX / 1000);
                match TimeDelta::try_seconds(seconds).and_then(|within| due.checked_add_signed(within)) {
                    Some(end) => format!("until there is a good image due {} or later", rfc3339(end)),
                    None => "for longer than dates reach".into(),
                }
            }
            Self::Bucket { rule, wanted, stretch, newer } => {
                let unit = match *rule {
                    "hourly" => "hour",
                    "daily" => "day",
                    "weekly" => "week",
                    "monthly" => "month",
                    _ => "year",
                };
                let later = match wanted.saturating_sub(*newer) {
                    1 => format!("one more newer {unit} has an image"),
                    left => format!("{left} more newer {unit}s have an image"),
                };
                // Newer images come into the newest stretch only.
                if *newer == 0 {
                    format!("until a newer image of {stretch} is made, or {later}")
                } else {
                    format!("until {later}")
                }
            }
            Self::Newest => "until a newer good image of its series is made".into(),
            Self::Min(floor) => format!("until {floor} other good images of its series stay"),
            Self::Resting { until, .. } => format!("until {}", rfc3339(*until)),
            Self::OnlyTrace(_) => "until there is another image of its series".into(),
            Self::NotUnderstood(_) => "for good: only a person can tell what it is".into(),
            Self::Pending => "until it is available, or failed".into(),
            Self::Aside(ImageState::Disabled) => "until somebody enables it, or removes it".into(),
            Self::Aside(_) => "until EC2 says another state of it".into(),
        }
    }
}

//! Which step: the one list of all there are.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

macro_rules! steps {
    (
        one { $($(#[$doc:meta])* $name:ident = $text:literal,)* }
        several { $($(#[$of_doc:meta])* $of_name:ident = $of_text:literal,)* }
    ) => {
        /// A step of a subject.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum StepId {
            $($(#[$doc])* $name,)*
            $($(#[$of_doc])* $of_name(String),)*
        }

        impl StepId {
            /// The kinds of step that there are.
            pub const WORDS: &[&str] = &[$($text,)* $($of_text,)*];

            /// The kind of step: `copy` of `copy:dr/eu-west-1`.
            #[must_use]
            pub fn word(&self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    $(Self::$of_name(_) => $of_text,)*
                }
            }

            /// Of which destination or key it is, where there may be several.
            #[must_use]
            pub fn of(&self) -> Option<&str> {
                match self {
                    $(Self::$name => None,)*
                    $(Self::$of_name(of) => Some(of),)*
                }
            }

            fn parse(word: &str, of: Option<&str>) -> Option<Self> {
                match (word, of) {
                    $(($text, None) => Some(Self::$name),)*
                    $(($of_text, Some(of)) => Some(Self::$of_name(of.to_owned())),)*
                    _ => None,
                }
            }
        }
    };
}

steps! {
    one {
        /// Hides an image from those whom it is shared with, before it goes.
        Deprecate = "deprecate",
        /// Makes the image.
        Image = "image",
        /// Removes an image and its snapshots.
        Retain = "retain",
        /// Waits until the instance is back in service.
        Return = "return",
        /// Brings who may use an image to what `[share]` wants.
        Share = "share",
    }
    several {
        /// Makes a copy in a destination.
        Copy = "copy",
        /// Lets a destination in.
        Lend = "lend",
        /// Takes back what was lent to a destination.
        Reclaim = "reclaim",
        /// Makes a copy under another key, in the source's own place.
        Via = "via",
    }
}

impl StepId {
    /// Whether it belongs to copying and sharing.
    #[must_use]
    pub fn distributes(&self) -> bool {
        match self {
            Self::Copy(_) | Self::Lend(_) | Self::Reclaim(_) | Self::Share | Self::Via(_) => true,
            Self::Deprecate | Self::Image | Self::Retain | Self::Return => false,
        }
    }

    /// The destination that it is for.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        match self {
            Self::Copy(to) | Self::Lend(to) | Self::Reclaim(to) => Some(to),
            Self::Deprecate | Self::Image | Self::Retain | Self::Return | Self::Share | Self::Via(_) => None,
        }
    }
}

/// As their texts sort.
impl Ord for StepId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.word().cmp(other.word()).then_with(|| self.of().cmp(&other.of()))
    }
}

impl PartialOrd for StepId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of() {
            None => f.write_str(self.word()),
            Some(of) => write!(f, "{}:{of}", self.word()),
        }
    }
}

/// The text names no step that this version knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownStep;

impl FromStr for StepId {
    type Err = UnknownStep;

    fn from_str(text: &str) -> Result<Self, UnknownStep> {
        let (word, of) = text.split_once(':').map_or((text, None), |(word, of)| (word, Some(of)));
        Self::parse(word, of).ok_or(UnknownStep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_goes_there_and_back_and_sorts_as_its_text() {
        let key = "via:arn:aws:kms:eu-west-1:111111111111:key/k";
        let (copy, lend, reclaim) = ("copy:dr/eu-west-1", "lend:dr/eu-west-1", "reclaim:eu-west-1");
        let texts = [copy, "deprecate", "image", lend, reclaim, "retain", "return", "share", key];
        let steps: Vec<StepId> = texts.iter().map(|text| text.parse().expect("a step")).collect();
        assert_eq!(steps.iter().map(ToString::to_string).collect::<Vec<_>>(), texts);
        assert!(steps.is_sorted());
        for text in ["", "copy", "image:x", "images", "mute", "select"] {
            assert_eq!(text.parse::<StepId>(), Err(UnknownStep), "{text}");
        }
    }
}

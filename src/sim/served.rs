//! Requests of which each is told in one place: how it is read, sent, carried out and answered. A new one is its own file
//! under `served/` and a word in the list below.

mod settings;

use std::fmt::Debug;

use chrono::{DateTime, Utc};

pub use self::settings::{GetAllowedImagesSettings, GetEbsDefaultKmsKeyId, GetEbsEncryptionByDefault};
use super::action::Flat;
use super::error::ApiError;
use super::query::Query;
use super::world::World;
use super::xml::Xml;
use crate::domain::place::Place;

/// One request.
pub trait Served: Debug + Clone + PartialEq + Eq {
    /// What it is answered.
    type Answer: Debug + Clone + PartialEq;
    /// Whether it only reads.
    const READS: bool = true;

    /// Reads its parameters; what is left over is refused.
    fn read(query: &mut Query) -> Result<Self, ApiError>;

    /// The same the other way.
    fn send(&self, flat: &mut Flat);

    /// Does it.
    fn carry_out(&self, world: &mut World, now: DateTime<Utc>, place: &Place) -> Result<Self::Answer, ApiError>;

    /// Writes the answer, below the request id.
    fn write(answer: &Self::Answer, xml: &mut Xml);
}

/// A request and its answer among the others.
pub trait Listed: Served {
    /// Among the others.
    fn request(self) -> Request;

    /// Its answer, if this is one.
    fn answer(given: Given) -> Option<Self::Answer>;
}

macro_rules! served {
    ($($name:ident),* $(,)?) => {
        /// Any of these requests.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs)] // AWS's own words
        pub enum Request {
            $($name($name),)*
        }

        /// The answer to any of them.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)] // AWS's own words
        pub enum Given {
            $($name(<$name as Served>::Answer),)*
        }

        impl Request {
            pub(super) fn api(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            pub(super) fn reads(&self) -> bool {
                match self {
                    $(Self::$name(_) => $name::READS,)*
                }
            }

            pub(super) fn read(api: &str, query: &mut Query) -> Result<Option<Self>, ApiError> {
                match api {
                    $(stringify!($name) => $name::read(query).map(|it| Some(Self::$name(it))),)*
                    _ => Ok(None),
                }
            }

            pub(super) fn send(&self, flat: &mut Flat) {
                match self {
                    $(Self::$name(it) => it.send(flat),)*
                }
            }

            pub(super) fn carry_out(&self, world: &mut World, now: DateTime<Utc>, place: &Place) -> Result<Given, ApiError> {
                match self {
                    $(Self::$name(it) => it.carry_out(world, now, place).map(Given::$name),)*
                }
            }
        }

        impl Given {
            pub(super) fn write(&self, xml: &mut Xml) {
                match self {
                    $(Self::$name(answer) => $name::write(answer, xml),)*
                }
            }
        }

        $(
            impl Listed for $name {
                fn request(self) -> Request {
                    Request::$name(self)
                }

                fn answer(given: Given) -> Option<Self::Answer> {
                    match given {
                        Given::$name(answer) => Some(answer),
                        _ => None,
                    }
                }
            }
        )*
    };
}

served! {
    GetAllowedImagesSettings,
    GetEbsDefaultKmsKeyId,
    GetEbsEncryptionByDefault,
}

//! Time zones: a name, and the rules by which its wall clock goes. They come from the table that is compiled in, or
//! from a zone file whose bytes somebody else has read: nothing is read here.

use std::fmt;
use std::sync::Arc;

use chrono::{FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone as Rules};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time zone. Two of one name are equal, whatever their rules: a plan does not change when a government does.
#[derive(Clone)]
pub struct Zone(Origin);

#[derive(Clone)]
enum Origin {
    /// The compiled table.
    Compiled(Tz),
    /// A zone file.
    File(Arc<File>),
    /// A name that the compiled table does not know, as a journal may hold it: its clock is UTC's.
    Unknown(Arc<str>),
}

struct File {
    name: String,
    rules: Rules,
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(Origin::Compiled(Tz::UTC));

    /// The zone of this name by the compiled table.
    #[must_use]
    pub fn compiled(name: &str) -> Option<Self> {
        name.parse::<Tz>().ok().map(Self::from)
    }

    /// The zone that a zone file (RFC 9636) describes.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn from_file(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let rules = Rules::tzif(name, bytes).map_err(|e| e.to_string())?;
        Ok(Self(Origin::File(Arc::new(File { name: name.to_owned(), rules }))))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.0 {
            Origin::Compiled(tz) => tz.name(),
            Origin::File(file) => &file.name,
            Origin::Unknown(name) => name,
        }
    }

    /// Whether nothing but the name is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.0, Origin::Unknown(_))
    }

    /// The same by the compiled table, which is the same on every machine; as it is, where that does not know the name.
    #[must_use]
    pub fn as_compiled(&self) -> Self {
        Self::compiled(self.name()).unwrap_or_else(|| self.clone())
    }

    /// How far its clock is ahead of UTC at an instant, in seconds.
    #[must_use]
    pub fn ahead(&self, at: i64) -> i64 {
        match &self.0 {
            Origin::Compiled(tz) => {
                let utc = chrono::DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
                i64::from(tz.offset_from_utc_datetime(&utc).fix().local_minus_utc())
            }
            Origin::File(file) => i64::from(file.rules.to_offset(instant(at)).seconds()),
            Origin::Unknown(_) => 0,
        }
    }

    fn at(&self, seconds: i64, utc: NaiveDateTime) -> ZoneOffset {
        // Zone files hold at most 26 hours (RFC 9636, 3.2), chrono takes less than a day.
        let ahead = i32::try_from(seconds).ok().and_then(FixedOffset::east_opt);
        ZoneOffset { zone: self.clone(), ahead: ahead.unwrap_or_else(|| Offset::fix(&chrono::Utc)), utc }
    }

    /// What it calls its time at an instant: `CET`, or `-03` where there is no name.
    fn abbreviation(&self, at: NaiveDateTime) -> String {
        match &self.0 {
            Origin::Compiled(tz) => tz.offset_from_utc_datetime(&at).to_string(),
            Origin::File(file) => {
                file.rules.to_offset_info(instant(at.and_utc().timestamp())).abbreviation().to_owned()
            }
            Origin::Unknown(_) => "UTC".to_owned(),
        }
    }
}

/// Which table is in use, for people and documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneSource {
    /// `system` or `compiled`.
    pub source: &'static str,
    /// Such as `2026f`.
    pub version: String,
    /// The directory of the system's zone files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

impl fmt::Display for ZoneSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.directory {
            Some(dir) => write!(f, "{}, the system's ({dir})", self.version),
            None => write!(f, "{}, compiled in", self.version),
        }
    }
}

fn instant(at: i64) -> Timestamp {
    Timestamp::from_second(at).unwrap_or(if at < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

impl From<Tz> for Zone {
    fn from(tz: Tz) -> Self {
        Self(Origin::Compiled(tz))
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A journal holds the name alone.
impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

/// By the compiled table; whoever knows better rules puts them in its place.
impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let name = String::deserialize(d)?;
        Ok(Self::compiled(&name).unwrap_or_else(|| Self(Origin::Unknown(name.into()))))
    }
}

/// The offset of a zone at an instant.
#[derive(Clone)]
pub struct ZoneOffset {
    zone: Zone,
    ahead: FixedOffset,
    utc: NaiveDateTime,
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        self.ahead
    }
}

impl fmt::Debug for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.zone.abbreviation(self.utc))
    }
}

impl TimeZone for Zone {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.zone.clone()
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<ZoneOffset> {
        self.offset_from_local_datetime(&local.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<ZoneOffset> {
        let read = local.and_utc().timestamp();
        let with = |ahead: i64| self.at(ahead, *local - chrono::TimeDelta::seconds(ahead));
        match &self.0 {
            Origin::Compiled(tz) => {
                let fixed = tz.offset_from_local_datetime(local);
                fixed.map(|offset| with(i64::from(offset.fix().local_minus_utc())))
            }
            Origin::File(file) => {
                let Some(civil) = civil_of(read) else { return MappedLocalTime::None };
                match file.rules.to_ambiguous_timestamp(civil).offset() {
                    AmbiguousOffset::Unambiguous { offset } => MappedLocalTime::Single(with(offset.seconds().into())),
                    AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
                    AmbiguousOffset::Fold { before, after } => {
                        MappedLocalTime::Ambiguous(with(before.seconds().into()), with(after.seconds().into()))
                    }
                }
            }
            Origin::Unknown(_) => MappedLocalTime::Single(with(0)),
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        self.at(self.ahead(utc.and_utc().timestamp()), *utc)
    }
}

/// A local time, given as the seconds since the epoch that it would be in UTC.
fn civil_of(read: i64) -> Option<civil::DateTime> {
    Some(Timestamp::from_second(read).ok()?.to_zoned(Rules::UTC).datetime())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use proptest::prelude::*;

    use super::*;

    const BERLIN: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/zoneinfo/Europe/Berlin"));

    fn berlin() -> [Zone; 2] {
        [chrono_tz::Europe::Berlin.into(), Zone::from_file("Europe/Berlin", BERLIN).expect("a zone file")]
    }

    #[test]
    fn a_journal_holds_the_name() {
        for zone in berlin() {
            let json = serde_json::to_string(&zone).unwrap();
            assert_eq!(json, "\"Europe/Berlin\"");
            assert_eq!(serde_json::from_str::<Zone>(&json).unwrap(), zone);
        }
        let unknown: Zone = serde_json::from_str("\"Mars/Olympus\"").unwrap();
        assert!(unknown.is_unknown() && unknown.ahead(0) == 0 && unknown.name() == "Mars/Olympus");
        assert!(!berlin()[1].as_compiled().is_unknown());
    }

    #[test]
    fn both_read_the_same_clock() {
        let hour = TimeDelta::minutes(30);
        let mut at: DateTime<Utc> = "2026-03-20T00:00:00Z".parse().unwrap();
        let until: DateTime<Utc> = "2026-11-02T00:00:00Z".parse().unwrap();
        while at < until {
            let [compiled, file] = berlin().map(|zone| {
                let local = at.with_timezone(&zone);
                let again = zone.from_local_datetime(&local.naive_local());
                (local.format("%F %T %:z %Z").to_string(), again.map(|t| t.to_utc()))
            });
            assert_eq!(compiled, file);
            at += hour;
        }
        let gap = "2026-03-29T02:30:00".parse().unwrap();
        assert!(berlin().iter().all(|zone| zone.from_local_datetime(&gap) == MappedLocalTime::None));
    }

    proptest! {
        /// A damaged file is refused, or read as some clock; it never makes the schedule panic.
        #[test]
        fn damage_makes_nothing_panic(
            cut in 0..BERLIN.len(),
            flips in proptest::collection::vec((0..BERLIN.len(), any::<u8>()), 0..4),
            at in any::<i64>(),
        ) {
            let mut bytes = BERLIN.to_vec();
            for (place, byte) in flips {
                bytes[place] = byte;
            }
            for bytes in [&bytes[..], &bytes[..cut]] {
                if let Ok(zone) = Zone::from_file("Europe/Berlin", bytes) {
                    let _ = zone.ahead(at);
                    let when = DateTime::from_timestamp(at.rem_euclid(4_000_000_000), 0).unwrap().with_timezone(&zone);
                    let _ = (when.to_string(), zone.from_local_datetime(&when.naive_utc()));
                    let _ = crate::domain::schedule::next_in(&zone, when.timestamp());
                }
            }
        }
    }
}

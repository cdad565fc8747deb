//! Names and tags of all that stillframe makes, and the test of what is ours.
//!
//! The image name is the compare-and-set of CreateImage, which has no client token: it must be a pure
//! function of daemon, plan, instance and due.

use std::ops::Range;

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _, Utc};

use super::observed::{Image, ImageState, Tags};

/// The prefix of every tag key of ours.
pub const TAG_PREFIX: &str = "stillframe:";
/// The key of one of our tags.
macro_rules! key {
    ($word:literal) => {
        concat!("stillframe:", $word)
    };
}
/// A tag that a person puts on an image to keep it.
pub const HOLD_TAG: &str = "stillframe:hold";
/// Version of the tags' meaning (`stillframe:schema`).
pub const SCHEMA: &str = "1";
/// EC2 allows 3-128 characters in an image name (CreateImage, API reference).
pub const NAME_MAX: usize = 128;
/// A resource holds at most 50 tags (EC2 user guide, "Tag restrictions").
pub const TAGS_MAX: usize = 50;
/// A `:due` later than the image's creation, or than now, by more than this is not understood.
pub const DUE_TOLERANCE: chrono::Duration = chrono::Duration::minutes(5);

/// The compact form of an instant in names: `20261120T023000Z` (EC2 names allow no colon).
#[must_use]
pub fn compact(at: DateTime<Utc>) -> String {
    written(at, "", "")
}

/// The RFC 3339 form of an instant in tags: `2026-11-20T02:30:00Z`.
#[must_use]
pub fn rfc3339(at: DateTime<Utc>) -> String {
    written(at, "-", ":")
}

/// By hand, as is the reading: every image of every list comes through here, and chrono's formats take several times
/// as long.
fn written(at: DateTime<Utc>, dash: &str, colon: &str) -> String {
    let Ok(year @ 0..=9999) = u32::try_from(at.year()) else { return at.to_rfc3339() }; // no tag of ours
    let mut text = String::with_capacity("0000-00-00T00:00:00Z".len());
    let mut put = |number: u32, after: &str| {
        text.extend([number / 10 % 10, number % 10].map(|digit| char::from_digit(digit, 10).unwrap_or('0')));
        text.push_str(after);
    };
    put(year / 100, "");
    put(year, dash);
    put(at.month(), dash);
    put(at.day(), "T");
    put(at.hour(), colon);
    put(at.minute(), colon);
    put(at.second(), "Z");
    text
}

/// Reads what [`compact`] wrote.
#[must_use]
pub fn parse_compact(text: &str) -> Option<DateTime<Utc>> {
    read(text, "00000000T000000Z")
}

/// Reads what [`rfc3339`] wrote, and nothing else: the tag must be exactly ours.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<DateTime<Utc>> {
    read(text, "0000-00-00T00:00:00Z")
}

/// The instant of a text of this shape, in which each zero stands for a digit.
fn read(text: &str, shape: &str) -> Option<DateTime<Utc>> {
    let mut digits = Vec::with_capacity(shape.len());
    for (byte, wanted) in text.bytes().zip(shape.bytes()) {
        match char::from(byte).to_digit(10) {
            Some(digit) if wanted == b'0' => digits.push(digit),
            _ if byte == wanted => {}
            _ => return None,
        }
    }
    let number = |range: Range<usize>| digits.get(range).map(|d| d.iter().fold(0, |n, digit| n * 10 + digit));
    let year = i32::try_from(number(0..4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(4..6)?, number(6..8)?)?;
    let at = date.and_hms_opt(number(8..10)?, number(10..12)?, number(12..14)?)?;
    (text.len() == shape.len()).then(|| at.and_utc())
}

/// The name of a run: `<plan>@<20261120T023000Z>`.
#[must_use]
pub fn run_name(plan: &str, due: DateTime<Utc>) -> String {
    format!("{plan}@{}", compact(due))
}

/// The plan and due of a run's name.
#[must_use]
pub fn parse_run_name(run: &str) -> Option<(&str, DateTime<Utc>)> {
    let (plan, due) = run.rsplit_once('@')?;
    Some((plan, parse_compact(due)?))
}

/// The name of the image that one occurrence makes of one instance.
#[must_use]
pub fn image_name(daemon: &str, plan: &str, instance: &str, due: DateTime<Utc>) -> String {
    format!("stillframe/{daemon}/{plan}/{instance}/{}", compact(due))
}

/// The name of the image that a snapshot with these tags was made for; of a copy, what comes before the hash.
#[must_use]
pub fn image_name_by(tags: &Tags) -> Option<String> {
    let tag = |key: &str| tags.get(&format!("{TAG_PREFIX}{key}"));
    Some(image_name(tag("daemon")?, tag("plan")?, tag("instance")?, parse_rfc3339(tag("due")?)?))
}

/// Whether a snapshot bears the tags that we give to the image called `name` and to its snapshots alike.
#[must_use]
pub fn is_snapshot_of(tags: &Tags, name: &str) -> bool {
    let role = |role: Role| tags.get(key!("role")).is_some_and(|told| told == role.as_str());
    image_name_by(tags).is_some_and(|made| match name.strip_prefix(&made) {
        Some("") => role(Role::Image),
        Some(rest) => rest.starts_with('/') && role(Role::Copy),
        None => false,
    })
}

/// Whether a snapshot bears the tags that the daemon of this name gives to those of any image.
#[must_use]
pub fn is_snapshot_of_daemon(tags: &Tags, daemon: &str) -> bool {
    tags.get(key!("daemon")).is_some_and(|told| told == daemon) && image_name_by(tags).is_some()
}

/// The role of an image in its recovery point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Made by CreateImage.
    Image,
    /// Made by CopyImage.
    Copy,
}

impl Role {
    /// The word in the tag `stillframe:role`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Copy => "copy",
        }
    }
}

/// What the tags of one of our images say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// The installation's name, the ownership boundary.
    pub daemon: String,
    /// The installation's random id.
    pub installation: String,
    /// The plan that made it.
    pub plan: String,
    /// The occurrence that made it.
    pub due: DateTime<Utc>,
    /// The instance it was made of.
    pub instance: String,
    /// Image or copy.
    pub role: Role,
    /// For a copy: the image it was made from.
    pub source: Option<String>,
    /// What was asked: reboot, stop or none.
    pub consistency: String,
}

impl Marks {
    /// All `stillframe:*` tags, `Name` and the plan's own, for image and snapshots alike.
    #[must_use]
    pub fn tags(&self, own: &Tags) -> Tags {
        let mut tags = own.clone();
        tags.entry("Name".into()).or_insert_with(|| format!("{} {}", run_name(&self.plan, self.due), self.instance));
        let mut put = |key: &str, value: &str| tags.insert(format!("{TAG_PREFIX}{key}"), value.to_owned());
        put("daemon", &self.daemon);
        put("installation", &self.installation);
        put("plan", &self.plan);
        put("due", &rfc3339(self.due));
        put("instance", &self.instance);
        put("run", &run_name(&self.plan, self.due));
        put("role", self.role.as_str());
        put("consistency", &self.consistency);
        put("schema", SCHEMA);
        if let Some(source) = &self.source {
            put("source", source);
        }
        tags
    }
}

/// Whether an image is ours, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// In our account, all tags there, name and source as derived from them.
    Ours(Marks),
    /// Bears our daemon name but is not provably ours, or cannot be understood: never deleted, never counted.
    Foreign(String),
    /// Nothing of ours about it.
    Unrelated,
}

/// Decides whether `image`, found in `account`, was made by the daemon called `daemon`.
///
/// Tags alone are not ownership: a person's copy made with CopyImageTags carries them all.
#[must_use]
pub fn ownership(image: &Image, daemon: &str, account: &str) -> Ownership {
    owned(image, daemon, account, None)
}

/// The same for the images of one plan: those of another one are unrelated to it.
#[must_use]
pub fn ownership_in(plan: &str, image: &Image, daemon: &str, account: &str) -> Ownership {
    owned(image, daemon, account, Some(plan))
}

fn owned(image: &Image, daemon: &str, account: &str, only: Option<&str>) -> Ownership {
    match image.tags.get(key!("daemon")) {
        Some(name) if name == daemon => {}
        None if rest(&image.name, &["stillframe", daemon]).is_some_and(|rest| rest.starts_with('/')) => {
            return Ownership::Foreign("has a name like ours but not our tags".into());
        }
        _ => return Ownership::Unrelated,
    }
    match read_marks(image, daemon, account, only) {
        Ok(Some(marks)) => Ownership::Ours(marks),
        Ok(None) => Ownership::Unrelated,
        Err(why) => Ownership::Foreign(why),
    }
}

/// One condition of ownership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is looked at.
    pub check: &'static str,
    /// Whether it fits.
    pub ok: bool,
    /// What was found.
    pub found: String,
}

/// Every condition of [`ownership`], each judged alone, for people who ask why: it is ours if, and only if, all fit.
#[must_use]
pub fn checks(image: &Image, daemon: &str, account: &str) -> Vec<Check> {
    let tag = |key: &str| image.tags.get(&format!("{TAG_PREFIX}{key}")).map(String::as_str);
    let shown = |value: Option<&str>| value.map_or("absent".to_owned(), |v| format!("`{v}`"));
    let role = tag("role");
    let mut wanted = vec!["installation", "plan", "due", "instance", "run", "role", "consistency"];
    wanted.extend((role == Some("copy")).then_some("source"));
    let lacking: Vec<&str> = wanted.into_iter().filter(|key| tag(key).is_none()).collect();
    let due = tag("due").and_then(parse_rfc3339);
    let run = tag("plan").zip(due).map(|(plan, due)| run_name(plan, due));
    let name = tag("plan").zip(tag("instance")).zip(due).map(|((p, i), due)| image_name(daemon, p, i, due));
    let copy = name.as_ref().map(|name| format!("{name}/"));
    let known = matches!(role, Some("image" | "copy"));
    let source = match role {
        Some("copy") => (tag("source"), image.source_image.as_deref()),
        _ => (tag("instance"), image.source_instance.as_deref()),
    };
    let made_from = match source.1.or(image.source_instance.as_deref()).or(image.source_image.as_deref()) {
        Some(id) => format!("`{id}`"),
        None => "something that EC2 does not tell".into(),
    };
    let check = |check, ok, found: String| Check { check, ok, found };
    let all = if lacking.is_empty() { "all there".into() } else { format!("lacks {}", lacking.join(", ")) };
    vec![
        check("account", image.owner == account, format!("belongs to {}, looked for in {account}", image.owner)),
        check("daemon", tag("daemon") == Some(daemon), format!("{}, ours is `{daemon}`", shown(tag("daemon")))),
        check("schema", tag("schema") == Some(SCHEMA), format!("{}, known is `{SCHEMA}`", shown(tag("schema")))),
        check("tags", lacking.is_empty(), all),
        check("due", due.is_some(), shown(tag("due"))),
        check("role", known, shown(role)),
        check("run", run.is_some() && tag("run") == run.as_deref(), {
            let fits = run.map_or("cannot be derived".into(), |run| format!("from plan and due: `{run}`"));
            format!("{}, {fits}", shown(tag("run")))
        }),
        check(
            "name",
            match role {
                Some("copy") => copy.as_ref().is_some_and(|start| image.name.starts_with(start)),
                _ => name.as_ref() == Some(&image.name),
            },
            {
                let derived = if role == Some("copy") { copy.map(|start| start + "...") } else { name };
                let fits = derived.map_or("cannot be derived".into(), |name| format!("from the tags: `{name}`"));
                format!("`{}`, {fits}", image.name)
            },
        ),
        check(
            "source",
            source.0.is_some() && (source.0 == source.1 || is_early(image)),
            format!("made from {made_from}, by its tags from {}", shown(source.0)),
        ),
    ]
}

/// Whether EC2 tells nothing yet of what a pending image is made from: whether it ever does so late is UNVERIFIED. What
/// is told, and differs, is a person's copy.
fn is_early(image: &Image) -> bool {
    image.state == ImageState::Pending && image.source_instance.is_none() && image.source_image.is_none()
}

/// Whether all says that an image is ours but what it was made from, which EC2 does not tell.
#[must_use]
pub fn lacks_its_source(image: &Image, daemon: &str, account: &str) -> bool {
    let early = || Image { state: ImageState::Pending, ..image.clone() };
    let ours = |image: &Image| matches!(ownership(image, daemon, account), Ownership::Ours(_));
    image.source_instance.is_none() && image.source_image.is_none() && !ours(image) && ours(&early())
}

/// Why an image is no good of which EC2 does not tell what it was made from.
#[must_use]
pub fn unsourced(image: &str, of: &str) -> String {
    format!(
        "the image {image} is there, and EC2 does not tell that it was made from {of}: it can never be proven ours, so it \
         counts in no rule and is never deleted. Keep it or remove it by hand, and report this"
    )
}

/// What is left of `name` after these parts with a slash between them.
fn rest<'a>(name: &'a str, parts: &[&str]) -> Option<&'a str> {
    let (first, others) = parts.split_first()?;
    others.iter().try_fold(name.strip_prefix(first)?, |rest, part| rest.strip_prefix('/')?.strip_prefix(part))
}

/// The marks of an image that is ours; none if `only` names another plan than its own.
fn read_marks(image: &Image, daemon: &str, account: &str, only: Option<&str>) -> Result<Option<Marks>, String> {
    let tag = |key: &str| match image.tags.get(key) {
        Some(value) => Ok(value.as_str()),
        None => Err(format!("bears our daemon name but lacks the tag {key}")),
    };
    if image.owner != account {
        return Err(format!("belongs to account {}", image.owner));
    }
    let schema = tag(key!("schema"))?;
    if schema != SCHEMA {
        return Err(format!("is of schema {schema}, which this version does not understand"));
    }
    let due_text = tag(key!("due"))?;
    let due = parse_rfc3339(due_text).ok_or_else(|| format!("its {TAG_PREFIX}due `{due_text}` is not an instant"))?;
    let role = match tag(key!("role"))? {
        "image" => Role::Image,
        "copy" => Role::Copy,
        other => return Err(format!("its {TAG_PREFIX}role `{other}` is unknown")),
    };
    let (installation, plan) = (tag(key!("installation"))?, tag(key!("plan"))?);
    let instance = tag(key!("instance"))?;
    let source = if role == Role::Copy { Some(tag(key!("source"))?) } else { None };
    let (consistency, run) = (tag(key!("consistency"))?, tag(key!("run"))?);
    let stamp = compact(due);
    if run.strip_prefix(plan).and_then(|rest| rest.strip_prefix('@')) != Some(stamp.as_str()) {
        return Err(format!("its {TAG_PREFIX}run `{run}` does not fit its plan and due"));
    }
    let beyond = rest(&image.name, &["stillframe", daemon, plan, instance, &stamp]);
    match role {
        Role::Image if beyond != Some("") => return Err("its name is not the one derived from its tags".into()),
        Role::Image if image.source_instance.as_deref() != Some(instance) && !is_early(image) => {
            return Err(format!(
                "was made from {}, not from {instance}: a copy of one of ours",
                image.source_instance.as_deref().or(image.source_image.as_deref()).unwrap_or("something else"),
            ));
        }
        Role::Copy if !beyond.is_some_and(|rest| rest.starts_with('/')) => {
            return Err("its name is not the one derived from its tags".into());
        }
        Role::Copy if image.source_image.as_deref() != source && !is_early(image) => {
            return Err("its source is not the one in its tags".into());
        }
        Role::Image | Role::Copy => {}
    }
    Ok(only.is_none_or(|only| only == plan).then(|| Marks {
        daemon: daemon.to_owned(),
        installation: installation.to_owned(),
        plan: plan.to_owned(),
        due,
        instance: instance.to_owned(),
        role,
        source: source.map(str::to_owned),
        consistency: consistency.to_owned(),
    }))
}

#[cfg(test)]
mod tests;

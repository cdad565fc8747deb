//! The reads: lists with filters, ids and pages.

use std::collections::BTreeMap;
use std::ops::Bound;

use chrono::{DateTime, Utc};

use super::action::{Action, Listing, Paging};
use super::answer::{Answer, Checks, Page, Seen};
use super::error::ApiError;
use super::filter::{Field, Filters, of_tags};
use super::image::SimImage;
use super::instance::SimInstance;
use super::rules::{self, PAGE_MAX, PAGE_MIN, STATUS_IDS_MAX};
use super::snapshot::SimSnapshot;
use super::volume::SimVolume;
use super::world::World;
use crate::domain::observed::{InstanceState, Shared, SharedTags, Tags};
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;

impl World {
    pub(super) fn describe_instances(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        list: &Listing,
    ) -> Result<Answer, ApiError> {
        ids_or_page("instancesSet", list)?;
        let filters = Filters::new(&list.filters, |name| instance_field(name, None, now, &|_| false))?;
        self.known_instances(now, place, &list.ids)?;
        let launched;
        // Retention asks before each removal; it must not walk a large fleet.
        let candidates: Box<dyn Iterator<Item = &SimInstance>> = match filters.exactly("image-id") {
            Some(images) if list.ids.is_empty() => {
                launched = self.launched_from(images);
                Box::new(launched.iter().filter_map(|id| self.instances.get(id)))
            }
            _ => by_id(&self.instances, list, filters.exactly("instance-id")),
        };
        let found = candidates
            .filter(|i| i.place == *place && self.still_visible(i, now))
            .filter(|i| filters.match_all(|name, wanted| instance_field(name, Some(i), now, wanted)))
            .map(|i| (i.id.as_str(), i));
        let page = paged(found, &list.page, PAGE_MIN)?;
        Ok(Answer::Instances(page.map(|i| Seen { it: i.clone(), state: i.state(now) })))
    }

    pub(super) fn describe_status(
        &self,
        now: DateTime<Utc>,
        place: &Place,
        list: &Listing,
        include_all: bool,
    ) -> Result<Answer, ApiError> {
        ids_or_page("instancesSet", list)?;
        if list.ids.len() > STATUS_IDS_MAX {
            return Err(ApiError::value(format!("The maximum number of instance IDs is {STATUS_IDS_MAX}")));
        }
        let filters = Filters::new(&list.filters, |name| status_field(name, None, now, &|_| false))?;
        self.known_instances(now, place, &list.ids)?;
        let omitted = self.leaves_out("DescribeInstanceStatus", now);
        let found = by_id(&self.instances, list, None)
            .filter(|i| i.place == *place && self.still_visible(i, now) && !i.traits.status_hidden && !omitted)
            // API reference: without IncludeAllInstances "only running instances".
            .filter(|i| include_all || i.state(now) == InstanceState::Running)
            .filter(|i| filters.match_all(|name, wanted| status_field(name, Some(i), now, wanted)))
            .map(|i| (i.id.as_str(), i));
        let page = paged(found, &list.page, PAGE_MIN)?;
        Ok(Answer::Statuses(page.map(|i| {
            let (system, reachability) = i.checks(now);
            Checks {
                instance: i.id.clone(),
                region: i.place.region.clone(),
                state: i.state(now),
                state_word: i.traits.state_word.clone().unwrap_or_else(|| i.state(now).as_str().to_owned()),
                system,
                reachability,
                attached_ebs: i.attached_ebs(now),
            }
        })))
    }

    pub(super) fn describe_volumes(&self, place: &Place, list: &Listing) -> Result<Answer, ApiError> {
        let filters = Filters::new(&list.filters, |name| volume_field(name, None, &|_| false))?;
        for id in &list.ids {
            rules::id("vol", id, "InvalidVolumeID.Malformed")?;
            self.volumes.get(id).filter(|v| v.place == *place).ok_or_else(|| ApiError::no_volume(id))?;
        }
        let found = by_id(&self.volumes, list, filters.exactly("volume-id"))
            .filter(|v| v.place == *place)
            .filter(|v| filters.match_all(|name, wanted| volume_field(name, Some(v), wanted)))
            .map(|v| (v.id.as_str(), v));
        Ok(Answer::Volumes(paged(found, &list.page, PAGE_MIN)?.map(SimVolume::clone)))
    }

    pub(super) fn describe_images(
        &self,
        now: DateTime<Utc>,
        place: &Place,
        action: &Action,
    ) -> Result<Answer, ApiError> {
        let Action::DescribeImages { list, owners, executable_by, include_disabled, include_deprecated } = action
        else {
            return Err(ApiError::internal());
        };
        let filters = Filters::new(&list.filters, |name| image_field(name, None, true, now, &|_| false))?;
        let own = |image: &SimImage| image.place.account == place.account;
        let seen = |image: &SimImage| {
            image.place.region == place.region && image.visible(now) && self.knows_image(place, image)
        };
        // What is another's is shown without its tags (user guide, "Shared AMIs").
        let shown = |image: &Shared<SimImage>| {
            let mut image = image.clone();
            if !own(&image) {
                image.tags = SharedTags::default();
            }
            image
        };
        let mut unknown = Vec::new();
        for id in &list.ids {
            rules::id("ami", id, "InvalidAMIID.Malformed")?;
            if !self.images.get(id).is_some_and(|image| seen(image)) {
                unknown.push(id.as_str());
            }
        }
        if !unknown.is_empty() {
            return Err(ApiError::no_image(&unknown));
        }
        let ids = by_id(&self.images, list, filters.exactly("image-id"));
        let named;
        // A look-up by name is frequent and must not walk a large world.
        let candidates: Box<dyn Iterator<Item = &Shared<SimImage>>> = match filters.exactly("name") {
            // It finds one's own alone.
            Some(names) if list.ids.is_empty() && owners.iter().any(|o| o == "self") && owners.len() == 1 => {
                let mut found: Vec<&Shared<SimImage>> = names
                    .iter()
                    .filter_map(|name| self.images.get(self.names.get(&Self::name_key(place, name))?))
                    .collect();
                found.sort_by(|a, b| a.id.cmp(&b.id));
                named = found;
                Box::new(named.into_iter())
            }
            _ => Box::new(ids),
        };
        let found = candidates
            .filter(|i| seen(i) && owned(owners, &i.place.account, &place.account))
            .filter(|i| executable_by.is_empty() || executable_by.iter().any(|who| executable(i, who, &place.account)))
            // API reference, IncludeDisabled: "Default: No disabled AMIs are included in the response."
            .filter(|i| include_disabled.unwrap_or(false) || !i.disabled)
            // IncludeDeprecated: "If you are the AMI owner, all deprecated AMIs appear in the response regardless".
            .filter(|i| own(i) || include_deprecated.unwrap_or(false) || i.deprecated.is_none_or(|at| now < at))
            .filter(|i| filters.match_all(|name, wanted| image_field(name, Some(i), own(i), now, wanted)))
            .map(|i| (i.id.as_str(), i));
        let page = paged(found, &list.page, 1)?;
        Ok(Answer::Images(page.map(|i| Seen { it: shown(i), state: i.state(now) })))
    }

    pub(super) fn describe_snapshots(
        &self,
        now: DateTime<Utc>,
        place: &Place,
        list: &Listing,
        owners: &[String],
    ) -> Result<Answer, ApiError> {
        ids_or_page("snapshotSet", list)?;
        let filters = Filters::new(&list.filters, |name| snapshot_field(name, None, true, now, &|_| false))?;
        let own = |snapshot: &SimSnapshot| snapshot.place.account == place.account;
        let seen = |snapshot: &SimSnapshot| {
            snapshot.place.region == place.region
                && snapshot.visible <= now
                && self.knows_snapshot(&place.account, snapshot)
        };
        let shown = |snapshot: &SimSnapshot| {
            let tags = if own(snapshot) { snapshot.tags.clone() } else { Tags::new() };
            SimSnapshot { tags, ..snapshot.clone() }
        };
        for id in &list.ids {
            rules::id("snap", id, "InvalidSnapshotID.Malformed")?;
            self.snapshots.get(id).filter(|s| seen(s)).ok_or_else(|| ApiError::no_snapshot(id))?;
        }
        let omitted = self.leaves_out("DescribeSnapshots", now);
        let found = by_id(&self.snapshots, list, filters.exactly("snapshot-id"))
            .filter(|s| !omitted && seen(s) && owned(owners, &s.place.account, &place.account))
            .filter(|s| filters.match_all(|name, wanted| snapshot_field(name, Some(s), own(s), now, wanted)))
            .map(|s| (s.id.as_str(), s));
        let page = paged(found, &list.page, PAGE_MIN)?;
        Ok(Answer::Snapshots(page.map(|s| Seen { it: shown(s), state: s.state(now) })))
    }

    /// Fails whole on one unknown id, as EC2 does.
    pub(super) fn known_instances(&self, now: DateTime<Utc>, place: &Place, ids: &[String]) -> Result<(), ApiError> {
        let mut unknown = Vec::new();
        for id in ids {
            rules::id("i", id, "InvalidInstanceID.Malformed")?;
            if !self.instances.get(id).is_some_and(|i| i.place == *place && self.still_visible(i, now)) {
                unknown.push(id.as_str());
            }
        }
        if unknown.is_empty() { Ok(()) } else { Err(ApiError::no_instance(&unknown)) }
    }

    fn still_visible(&self, instance: &SimInstance, now: DateTime<Utc>) -> bool {
        instance.state(now) != InstanceState::Terminated
            || now < instance.life.at + self.span(rules::TERMINATED_VISIBLE_SECONDS)
    }
}

/// The objects of `ids` if there are any, else of the exact filter values if there are any, else all beyond the page
/// before.
fn by_id<'a, T>(
    all: &'a BTreeMap<String, T>,
    list: &'a Listing,
    exact: Option<&[&'a str]>,
) -> Box<dyn Iterator<Item = &'a T> + 'a> {
    let mut wanted: Vec<&str> = match exact {
        _ if !list.ids.is_empty() => list.ids.iter().map(String::as_str).collect(),
        Some(exact) => exact.to_vec(),
        None => {
            let start = after(&list.page).ok().flatten().map_or(Bound::Unbounded, Bound::Excluded);
            return Box::new(all.range::<str, _>((start, Bound::Unbounded)).map(|(_, it)| it));
        }
    };
    wanted.sort_unstable();
    wanted.dedup();
    Box::new(wanted.into_iter().filter_map(|id| all.get(id)))
}

impl<T> Page<T> {
    fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}

/// API reference: "You cannot specify this parameter and the ... IDs parameter in the same request."
fn ids_or_page(parameter: &str, list: &Listing) -> Result<(), ApiError> {
    if list.ids.is_empty() || list.page.max.is_none() {
        return Ok(());
    }
    Err(ApiError::client(
        "InvalidParameterCombination",
        format!("The parameter {parameter} cannot be used with the parameter maxResults"),
    ))
}

/// The token names the last id of its page, so that a list that changes meanwhile loses nothing that stays.
const TOKEN: &str = "after:";

fn paged<'a, T>(found: impl Iterator<Item = (&'a str, T)>, page: &Paging, least: u32) -> Result<Page<T>, ApiError> {
    let size = match page.max {
        Some(max) if max < least => {
            return Err(ApiError::value(format!(
                "Value ( {max} ) for parameter maxResults is invalid. Expecting a value of at least {least}."
            )));
        }
        Some(max) => max.min(PAGE_MAX) as usize,
        None => usize::MAX,
    };
    let after = after(page)?;
    let mut items = Vec::new();
    let mut last = "";
    for (id, item) in found.filter(|(id, _)| after.is_none_or(|after| *id > after)) {
        if items.len() == size {
            return Ok(Page { items, next: Some(format!("{TOKEN}{last}")) });
        }
        items.push(item);
        last = id;
    }
    Ok(Page { items, next: None })
}

/// The id after which the page begins.
fn after(page: &Paging) -> Result<Option<&str>, ApiError> {
    let Some(token) = &page.token else { return Ok(None) };
    let invalid = || ApiError::client("InvalidNextToken", format!("The token '{token}' is invalid"));
    token.strip_prefix(TOKEN).map(Some).ok_or_else(invalid)
}

/// `Owner.N`: `self` or an account.
fn owned(owners: &[String], owner: &str, me: &str) -> bool {
    owners.is_empty() || owners.iter().any(|o| if o == "self" { owner == me } else { o == owner })
}

/// `ExecutableBy.N`: `self` and an account are found by an explicit permission, `all` is public (API reference).
fn executable(image: &SimImage, who: &str, me: &str) -> bool {
    let grantee = match who {
        "all" => Grantee::Everyone,
        "self" => Grantee::Account(me.into()),
        account => Grantee::Account(account.into()),
    };
    image.lent.contains(&grantee)
}

fn instance_field(name: &str, of: Option<&SimInstance>, now: DateTime<Utc>, wanted: &dyn Fn(&str) -> bool) -> Field {
    let known = match name {
        "instance-id" => of.is_some_and(|i| wanted(&i.id)),
        "image-id" => of.and_then(|i| i.image.as_deref()).is_some_and(wanted),
        "instance-state-name" => of.is_some_and(|i| wanted(i.state(now).as_str())),
        "root-device-type" => of.is_some_and(|i| wanted(if i.ebs_root { "ebs" } else { "instance-store" })),
        "block-device-mapping.volume-id" => of.is_some_and(|i| i.volumes.iter().any(|(_, v)| wanted(v))),
        _ => return of_tags(name, of.map(|i| &i.tags), wanted),
    };
    Some(known)
}

fn status_field(name: &str, of: Option<&SimInstance>, now: DateTime<Utc>, wanted: &dyn Fn(&str) -> bool) -> Field {
    match name {
        "instance-state-name" => Some(of.is_some_and(|i| wanted(i.state(now).as_str()))),
        "system-status.status" => Some(of.is_some_and(|i| wanted(i.checks(now).0))),
        "instance-status.status" => Some(of.is_some_and(|i| wanted(i.checks(now).1))),
        // DescribeInstanceStatus filters by no id and, in this world, by no tag.
        _ => None,
    }
}

fn volume_field(name: &str, of: Option<&SimVolume>, wanted: &dyn Fn(&str) -> bool) -> Field {
    match name {
        "volume-id" => Some(of.is_some_and(|v| wanted(&v.id))),
        "multi-attach-enabled" => Some(of.is_some_and(|v| wanted(if v.multi_attach { "true" } else { "false" }))),
        "attachment.instance-id" => Some(of.is_some_and(|v| wanted(&v.instance))),
        _ => of_tags(name, of.map(|v| &v.tags), wanted),
    }
}

fn image_field(
    name: &str,
    of: Option<&SimImage>,
    own: bool,
    now: DateTime<Utc>,
    wanted: &dyn Fn(&str) -> bool,
) -> Field {
    let known = match name {
        "image-id" => of.is_some_and(|i| wanted(&i.id)),
        "name" => of.is_some_and(|i| wanted(&i.name)),
        "state" => of.is_some_and(|i| wanted(i.state(now).as_str())),
        "source-instance-id" => of.and_then(|i| i.sources(i.state(now)).0).is_some_and(wanted),
        "source-image-id" => of.and_then(|i| i.sources(i.state(now)).1).is_some_and(wanted),
        "owner-id" => of.is_some_and(|i| wanted(&i.place.account)),
        "block-device-mapping.snapshot-id" => of.is_some_and(|i| i.snapshots().any(wanted)),
        "is-public" => of.is_some_and(|i| wanted(if i.lent.contains(&Grantee::Everyone) { "true" } else { "false" })),
        _ => return of_tags(name, of.filter(|_| own).map(|i| &*i.tags), wanted),
    };
    Some(known)
}

fn snapshot_field(
    name: &str,
    of: Option<&SimSnapshot>,
    own: bool,
    now: DateTime<Utc>,
    wanted: &dyn Fn(&str) -> bool,
) -> Field {
    let known = match name {
        "snapshot-id" => of.is_some_and(|s| wanted(&s.id)),
        "volume-id" => of.is_some_and(|s| wanted(&s.volume)),
        "status" => of.is_some_and(|s| wanted(s.state(now))),
        "owner-id" => of.is_some_and(|s| wanted(&s.place.account)),
        _ => return of_tags(name, of.filter(|_| own).map(|s| &s.tags), wanted),
    };
    Some(known)
}

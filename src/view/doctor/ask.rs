//! Asks AWS for each thing that the plans need. Reads are made; everything else is tried with DryRun.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::needs::{Needs, needs};
use super::policy;
use crate::cloud::api::{Api, Does};
use crate::cloud::classify::Class;
use crate::cloud::governed::Governed;
use crate::cloud::port::{DryRun, ImageQuery, InstanceQuery, Read};
use crate::config::Settings;
use crate::domain::machine::OwnMachine;
use crate::domain::naming::{TAG_PREFIX, rfc3339};
use crate::domain::observed::ImageState;
use crate::domain::place::Place;
use crate::domain::plan::Plan;
use crate::domain::select::Choice;
use crate::engine::rollout::choose;
use crate::view::doctor::{AccountDocument, Answer, CheckRow, DoctorDocument, PlaceDocument, UNTRIED};

/// Where STS is asked for an account that no plan uses, and no region is known.
const ANYWHERE: &str = "us-east-1";
/// What is tried where there is nothing yet: EC2 checks permissions before it looks for it.
const NO_IMAGE: &str = "ami-00000000000000000";
const NO_SNAPSHOT: &str = "snap-00000000000000000";

/// What a place has to try calls on.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// Our newest image, with one of its snapshots.
    image: Option<(String, Option<String>)>,
    /// One instance that a plan selects.
    instance: Option<String>,
    /// The keys of the volumes of all selected instances.
    keys: BTreeSet<String>,
    /// Whether those could be read.
    keys_known: bool,
}

/// Asks in one place.
pub(super) struct Asker<'a> {
    pub(super) cloud: &'a Governed,
    pub(super) place: &'a Place,
    /// Whose permissions they are.
    pub(super) principal: &'a str,
    rows: Vec<CheckRow>,
}

/// The row of an answer.
pub(super) fn row<T>(call: &str, about: &str, answer: &Read<T>, principal: &str) -> CheckRow {
    let mut row = CheckRow {
        call: call.to_owned(),
        about: about.to_owned(),
        outcome: Answer::Allowed,
        answered: true,
        reason: String::new(),
        action: None,
        resource: None,
        add: Vec::new(),
    };
    let Err(fault) = answer else { return row };
    row.reason = fault.to_string().replacen("DryRun in", &format!("{call} in"), 1);
    row.outcome = if fault.class == Class::Denied { Answer::Denied } else { Answer::Unknown };
    row.answered = !fault.class.passes() && fault.class != Class::Credentials;
    let action = Api::parse(call).map_or_else(|| format!("ec2:{call}"), Api::action);
    if let Some(denial) = policy::denial(fault, &action) {
        // What follows stands under the row, in full.
        row.reason = row.reason.split("; add to its policy").next().unwrap_or_default().to_owned();
        if !denial.explicit {
            row.add = vec![policy::identity(principal, &denial.action, &denial.resource)];
        }
        (row.action, row.resource) = (Some(denial.action), Some(denial.resource));
    }
    row
}

/// Examines what the plans need.
pub async fn examine(cloud: &Governed, settings: &Settings, plans: &[Plan], now: DateTime<Utc>) -> DoctorDocument {
    let mut document = DoctorDocument {
        zones: None,
        at: rfc3339(now),
        daemon: settings.daemon.name.clone(),
        barred: Vec::new(),
        accounts: Vec::new(),
        places: Vec::new(),
    };
    let caller = cloud.whoami().await;
    let own = caller.as_ref().map(|caller| policy::principal(&caller.arn)).unwrap_or_default();
    document.accounts.push(AccountDocument {
        name: None,
        account: caller.as_ref().ok().map(|caller| caller.account.clone()),
        arn: caller.as_ref().ok().map(|caller| caller.arn.clone()),
        row: row("GetCallerIdentity", "-", &caller, &own),
    });
    let Ok(caller) = caller else { return document };
    let needs = needs(plans, &caller.account, |plan| cloud.regions(plan));
    let mut principals = BTreeMap::from([(caller.account.clone(), own.clone())]);
    for (name, account) in &settings.accounts {
        let used = needs.keys().find(|place| place.account == account.id).map(|place| place.region.clone());
        let region = used.or_else(|| cloud.home_region()).unwrap_or_else(|| ANYWHERE.to_owned());
        let there = cloud.whoami_in(&Place::new(&account.id, region)).await;
        let mut row = row("AssumeRole", &account.role_arn, &there, &own);
        if let Err(fault) = &there
            && !fault.class.passes()
        {
            // STS tells nobody whether the role's trust or the own permission is missing.
            (row.outcome, row.answered) = (Answer::Denied, true);
            (row.action, row.resource) = (Some("sts:AssumeRole".into()), Some(account.role_arn.clone()));
            row.add = policy::trust(&own, &account.role_arn, name, account.external_id.is_some());
        }
        if there.is_ok() {
            principals.insert(account.id.clone(), account.role_arn.clone());
        }
        document.accounts.push(AccountDocument {
            name: Some(name.clone()),
            account: Some(account.id.clone()),
            arn: there.ok().map(|caller| caller.arn),
            row,
        });
    }
    places(cloud, &settings.daemon.name, &needs, &principals, &mut document).await;
    document
}

/// Each place in which we are somebody. First all are looked at, since copies are tried with images of elsewhere.
async fn places(
    cloud: &Governed,
    daemon: &str,
    needs: &BTreeMap<Place, Needs<'_>>,
    principals: &BTreeMap<String, String>,
    document: &mut DoctorDocument,
) {
    let mut askers = Vec::new();
    let mut seen = BTreeMap::new();
    for (place, need) in needs {
        let Some(principal) = principals.get(&place.account) else { continue }; // its account has said why
        let mut asker = Asker { cloud, place, principal, rows: Vec::new() };
        seen.insert(place, asker.look(daemon, need).await);
        askers.push((need, asker));
    }
    for (need, mut asker) in askers {
        let encrypted =
            need.copies.iter().filter_map(|(_, from)| seen.get(from)).any(|s| !s.keys_known || !s.keys.is_empty());
        let here = &seen[asker.place];
        asker.keys(need, &here.keys, encrypted).await;
        asker.settings(need).await;
        asker.permissions(need, here).await;
        asker.try_out(need, here, |from| seen.get(from).and_then(|s| s.image.as_ref()).map(|(id, _)| id.clone())).await;
        document.places.push(PlaceDocument {
            account: asker.place.account.clone(),
            region: asker.place.region.clone(),
            name: need.name.clone(),
            uses: need.uses(),
            calls: asker.rows,
        });
    }
}

impl Asker<'_> {
    pub(super) fn push(&mut self, row: CheckRow) {
        self.rows.push(row);
    }

    fn ask<T>(&mut self, call: &str, about: &str, answer: &Read<T>) {
        let row = row(call, about, answer, self.principal);
        self.push(row);
    }

    /// The reads that every run makes here, and what they find.
    async fn look(&mut self, daemon: &str, needs: &Needs<'_>) -> Seen {
        let (cloud, place) = (self.cloud, self.place);
        let mut seen = Seen::default();
        let from = InstanceQuery::LaunchedFrom(vec![NO_IMAGE.into()]);
        self.ask("DescribeInstances", "-", &cloud.instances(place, &from).await);
        if !needs.images.is_empty() {
            self.ask("DescribeVolumes", "-", &cloud.multi_attach_volumes(place).await);
            self.selected(needs, &mut seen).await;
            if let Some(id) = &seen.instance {
                let statuses = cloud.statuses(place, std::slice::from_ref(id)).await;
                self.ask("DescribeInstanceStatus", id, &statuses);
            }
        }
        let tag = format!("{TAG_PREFIX}daemon");
        let images = cloud.images(place, &ImageQuery::Tag(tag.clone(), daemon.to_owned())).await;
        self.ask("DescribeImages", "-", &images);
        let newest = images.ok().into_iter().flatten().filter(|image| image.state == ImageState::Available);
        let newest = newest.max_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        seen.image = newest.map(|image| (image.id, image.snapshots.into_iter().next()));
        let snapshot = seen.image.as_ref().and_then(|(_, snapshot)| snapshot.clone());
        let snapshots = cloud.snapshots(place, &[snapshot.unwrap_or_else(|| NO_SNAPSHOT.into())]).await;
        self.ask("DescribeSnapshots", "-", &snapshots);
        seen
    }

    /// The instances that the plans take here. What cannot be listed has said so already.
    async fn selected(&self, needs: &Needs<'_>, seen: &mut Seen) {
        let mut volumes = BTreeSet::new();
        for plan in &needs.images {
            let Ok(found) = choose::find(self.cloud, plan, self.place).await else { return };
            for (id, choice) in choose::judge(plan, &[], &found, &OwnMachine::NotEc2, &BTreeMap::new()) {
                if matches!(choice, Choice::Target { .. }) {
                    volumes.extend(found.instances.get(&id).into_iter().flat_map(|i| i.volumes.iter().cloned()));
                    seen.instance.get_or_insert(id);
                }
            }
        }
        if let Ok(volumes) = self.cloud.volumes(self.place, &volumes.into_iter().collect::<Vec<_>>()).await {
            seen.keys = volumes.into_iter().filter_map(|volume| volume.key).collect();
            seen.keys_known = true;
        }
    }

    /// Whether the account sees the images that are lent to it.
    async fn settings(&mut self, needs: &Needs<'_>) {
        let lenders: BTreeSet<&str> = needs.copies.iter().map(|(_, from)| from.account.as_str()).collect();
        let lenders: Vec<&str> = lenders.into_iter().filter(|account| *account != self.place.account).collect();
        if lenders.is_empty() {
            return;
        }
        let answer = self.cloud.allowed_images(self.place).await;
        let mut row = row("GetAllowedImagesSettings", "-", &answer, self.principal);
        if let Ok(allowed) = &answer {
            let hidden: Vec<&str> = lenders.into_iter().filter(|account| allowed.hides(account)).collect();
            if allowed.is_vague() {
                row.outcome = Answer::Unknown;
                row.reason = format!(
                    "the Allowed AMIs setting of {} goes by other criteria than providers, or by none: it may hide the \
                     images that are lent to it, which the first copy tells",
                    self.place
                );
            } else if !hidden.is_empty() {
                row.outcome = Answer::Denied;
                row.reason = format!(
                    "the Allowed AMIs setting of {} hides the images of account {}, so they cannot be copied: add it to \
                     ImageProviders (`aws ec2 replace-image-criteria-in-allowed-images-settings`)",
                    self.place,
                    hidden.join(", ")
                );
            }
        }
        self.push(row);
    }

    /// Whether it may be seen who may use an image and its snapshots.
    async fn permissions(&mut self, needs: &Needs<'_>, seen: &Seen) {
        let (image, snapshot) = seen.ids();
        if needs.changes_images() {
            let answer = self.cloud.image_permissions(self.place, image).await;
            self.on("DescribeImageAttribute", image, &answer, true);
        }
        if needs.changes_snapshots() {
            let answer = self.cloud.snapshot_permissions(self.place, snapshot).await;
            self.on("DescribeSnapshotAttribute", snapshot, &answer, true);
        }
    }

    /// Each effect, tried only.
    async fn try_out(&mut self, needs: &Needs<'_>, seen: &Seen, image_of: impl Fn(&Place) -> Option<String>) {
        let (image, snapshot) = seen.ids();
        let (image, snapshot) = (image.to_owned(), snapshot.to_owned());
        let mut tries = Vec::new();
        if let (false, Some(instance)) = (needs.images.is_empty(), &seen.instance) {
            tries.push((DryRun::CreateImage { instance: instance.clone() }, instance.clone()));
        }
        let from = needs.copies.iter().map(|(_, from)| from.clone());
        let from: BTreeSet<Place> = from.chain((!needs.via_keys.is_empty()).then(|| self.place.clone())).collect();
        for from in from.into_iter().filter(|_| needs.copies_images()) {
            let source_image = image_of(&from).unwrap_or_else(|| NO_IMAGE.into());
            let about =
                if source_image == NO_IMAGE { source_image.clone() } else { format!("{source_image} of {from}") };
            tries.push((DryRun::CopyImage { source_image, source_region: from.region }, about));
        }
        tries.push((DryRun::CreateTags { resource: image.clone() }, image.clone()));
        if needs.changes_images() {
            tries.push((DryRun::DeleteTags { resource: image.clone() }, image.clone()));
            tries.push((DryRun::ModifyImageAttribute { image: image.clone() }, image.clone()));
        }
        if needs.changes_snapshots() {
            tries.push((DryRun::ModifySnapshotAttribute { snapshot: snapshot.clone() }, snapshot.clone()));
        }
        if !needs.shares.is_empty() {
            tries.push((DryRun::EnableImageDeprecation { image: image.clone() }, image.clone()));
        }
        tries.push((DryRun::DeregisterImage { image: image.clone() }, image));
        tries.push((DryRun::DeleteSnapshot { snapshot: snapshot.clone() }, snapshot));
        for (request, about) in tries {
            let answer = self.cloud.try_out(self.place, &request).await;
            let whole = request.api() != "CreateTags" || needs.changes_images();
            self.on(request.api(), &about, &answer, whole);
        }
        if !needs.images.is_empty() && seen.instance.is_none() {
            let mut row = row("CreateImage", "-", &Ok(()), self.principal);
            row.outcome = Answer::Unknown;
            row.reason = "no plan selects an instance here now, so there is nothing to try it on".into();
            self.push(row);
        }
    }

    /// An answer about an object, which may be made up.
    fn on<T>(&mut self, call: &str, about: &str, answer: &Read<T>, whole: bool) {
        let mut row = row(call, about, answer, self.principal);
        let made_up = about == NO_IMAGE || about == NO_SNAPSHOT;
        if made_up {
            row.about = if about == NO_IMAGE { "no image yet" } else { "no snapshot yet" }.to_owned();
        }
        // EC2 has found the object, and so has asked the policies that speak of it.
        if answer.as_ref().is_err_and(|fault| fault.class == Class::InUse) && !made_up {
            (row.outcome, row.reason) = (Answer::Allowed, String::new());
        }
        match row.outcome {
            Answer::Denied if !whole => {
                row.outcome = Answer::Unknown;
                row.reason += ". That is right if the policy allows it for what CreateImage and CopyImage make \
                               (ec2:CreateAction)";
            }
            // A policy that is limited to a tag denies what bears none.
            Answer::Denied if made_up && Api::parse(call).is_some_and(|api| api.does() == Does::Changes) => {
                row.outcome = Answer::Unknown;
                row.reason += &format!(
                    ". It was tried on {about}, since nothing of ours is here yet: that is right if the policy allows it \
                     for what bears the tag {TAG_PREFIX}daemon"
                );
            }
            Answer::Unknown if row.answered && made_up => {
                UNTRIED.clone_into(&mut row.reason);
            }
            Answer::Unknown if row.answered => row.reason = format!("not denied outright: {}", row.reason),
            _ => {}
        }
        self.push(row);
    }
}

impl Seen {
    /// The objects to try calls on, made up where there are none.
    fn ids(&self) -> (&str, &str) {
        let (image, snapshot) =
            self.image.as_ref().map_or((None, None), |(image, snapshot)| (Some(image), snapshot.as_ref()));
        (image.map_or(NO_IMAGE, String::as_str), snapshot.map_or(NO_SNAPSHOT, String::as_str))
    }
}

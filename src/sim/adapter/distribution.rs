//! The port `Distribution` on the simulated world.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::{SimCloud, astray, page_of};
use crate::cloud::classify::classify;
use crate::cloud::port::{
    AllowedImages, Ask, Change, CopyImage, Distribution, DryRun, Effect, Fault, Page, Read, made_image,
};
use crate::domain::observed::{Tags, Volume};
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;
use crate::sim::action::{Action, Filter, Listing, TagSpec};
use crate::sim::answer::Answer;
use crate::sim::served::{GetAllowedImagesSettings, GetEbsDefaultKmsKeyId, GetEbsEncryptionByDefault};

const LAUNCH: &str = "launchPermission";
const CREATE_VOLUME: &str = "createVolumePermission";
/// The name of an image that is only tried.
const TRIED: &str = "stillframe/tried";

#[async_trait(?Send)]
impl Distribution for SimCloud {
    async fn copy_image(&self, place: &Place, request: &CopyImage) -> Effect<String> {
        let tags: Vec<_> = request.tags.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let specs = ["image", "snapshot"].map(|resource| TagSpec { resource: resource.into(), tags: tags.clone() });
        let action = Action::CopyImage {
            source_image: request.source_image.clone(),
            source_region: request.source_region.clone(),
            name: request.name.clone(),
            description: Some(request.description.clone()),
            copy_tags: None,
            client_token: Some(request.client_token.clone()),
            encrypted: request.encrypted.then_some(true),
            kms_key: request.kms_key.clone(),
            tags: if tags.is_empty() { Vec::new() } else { specs.into() },
        };
        let id = |answer| match answer {
            Answer::Image(id) => made_image("CopyImage", Some(id)),
            other => Err(astray(&other)),
        };
        self.effect(place, action, id).await
    }

    async fn image_permissions(&self, place: &Place, image: &str) -> Read<BTreeSet<Grantee>> {
        let ask = Action::DescribeImageAttribute { image: image.into(), attribute: LAUNCH.into() };
        self.permissions(place, ask).await
    }

    async fn change_image_permissions(&self, place: &Place, image: &str, change: &Change) -> Effect<()> {
        let (add, remove) = lists(change);
        self.effect(place, Action::ModifyImageAttribute { image: image.into(), add, remove }, |_| Ok(())).await
    }

    async fn snapshot_permissions(&self, place: &Place, snapshot: &str) -> Read<BTreeSet<Grantee>> {
        let ask = Action::DescribeSnapshotAttribute { snapshot: snapshot.into(), attribute: CREATE_VOLUME.into() };
        self.permissions(place, ask).await
    }

    async fn change_snapshot_permissions(&self, place: &Place, snapshot: &str, change: &Change) -> Effect<()> {
        let (add, remove) = lists(change);
        let action = Action::ModifySnapshotAttribute { snapshot: snapshot.into(), add, remove };
        self.effect(place, action, |_| Ok(())).await
    }

    async fn tag(&self, place: &Place, resources: &[String], tags: &Tags) -> Effect<()> {
        let tags = tags.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        self.effect(place, Action::CreateTags { resources: resources.to_vec(), tags }, |_| Ok(())).await
    }

    async fn untag(&self, place: &Place, resources: &[String], keys: &[String]) -> Effect<()> {
        let tags = keys.iter().map(|key| (key.clone(), None)).collect();
        self.effect(place, Action::DeleteTags { resources: resources.to_vec(), tags }, |_| Ok(())).await
    }

    async fn deprecate_image(&self, place: &Place, image: &str, at: DateTime<Utc>) -> Effect<()> {
        self.effect(place, Action::EnableImageDeprecation { image: image.into(), at }, |_| Ok(())).await
    }

    async fn volumes(&self, place: &Place, ids: &[String], page: Ask<'_>) -> Read<Page<Volume>> {
        let list = Listing { ids: Vec::new(), filters: vec![Filter::new("volume-id", ids)], page: page_of(page) };
        match self.send(place, Action::DescribeVolumes(list)).await?.0 {
            Answer::Volumes(page) => {
                let items = page.items.into_iter().map(|v| Volume { id: v.id, key: v.key });
                Ok(Page { items: items.collect(), next: page.next })
            }
            other => Err(astray(&other)),
        }
    }

    async fn default_key(&self, place: &Place) -> Read<String> {
        self.ask(place, GetEbsDefaultKmsKeyId).await
    }

    async fn encrypts_by_default(&self, place: &Place) -> Read<bool> {
        self.ask(place, GetEbsEncryptionByDefault).await
    }

    async fn allowed_images(&self, place: &Place) -> Read<AllowedImages> {
        let (state, providers) = self.ask(place, GetAllowedImagesSettings).await?;
        let providers = providers.into_iter().collect();
        Ok(AllowedImages { enabled: state == "enabled", providers, by_other_means: false })
    }

    async fn try_out(&self, place: &Place, request: &DryRun) -> Read<()> {
        let caller = self.caller(place).await?;
        let now = self.clock.now();
        let action = tried(now, place, request);
        let reply = self.world().serve_dry(now, &caller, &place.region, &action);
        match reply.outcome {
            Ok(_) => Ok(()),
            Err(error) if error.code == "DryRunOperation" => Ok(()),
            Err(error) => Err(Fault {
                class: classify(error.status, &error.code, &error.message),
                code: error.code,
                message: error.message,
                request_id: Some(reply.request_id),
            }),
        }
    }
}

impl SimCloud {
    async fn permissions(&self, place: &Place, ask: Action) -> Read<BTreeSet<Grantee>> {
        match self.send(place, ask).await?.0 {
            Answer::Permissions(_, grantees) => Ok(grantees),
            other => Err(astray(&other)),
        }
    }
}

fn lists(change: &Change) -> (Vec<Grantee>, Vec<Grantee>) {
    match change {
        Change::Add(who) => (who.iter().cloned().collect(), Vec::new()),
        Change::Remove(who) => (Vec::new(), who.iter().cloned().collect()),
    }
}

/// The request that `request` stands for, with values that change nothing if it were done.
fn tried(now: DateTime<Utc>, place: &Place, request: &DryRun) -> Action {
    let me = || vec![Grantee::Account(place.account.clone())];
    match request {
        DryRun::CopyImage { source_image, source_region } => Action::CopyImage {
            source_image: source_image.clone(),
            source_region: source_region.clone(),
            name: TRIED.into(),
            description: None,
            copy_tags: None,
            client_token: None,
            encrypted: None,
            kms_key: None,
            tags: Vec::new(),
        },
        DryRun::CreateImage { instance } => Action::CreateImage {
            instance: instance.clone(),
            name: TRIED.into(),
            description: None,
            no_reboot: Some(true),
            tags: Vec::new(),
        },
        DryRun::CreateTags { resource } => {
            Action::CreateTags { resources: vec![resource.clone()], tags: vec![(TRIED.into(), String::new())] }
        }
        DryRun::DeleteTags { resource } => {
            Action::DeleteTags { resources: vec![resource.clone()], tags: vec![(TRIED.into(), None)] }
        }
        DryRun::DeregisterImage { image } => {
            Action::DeregisterImage { image: image.clone(), delete_snapshots: Some(true) }
        }
        DryRun::DeleteSnapshot { snapshot } => Action::DeleteSnapshot { snapshot: snapshot.clone() },
        DryRun::DescribeImages => Action::DescribeImages {
            list: Listing { page: page_of(Ask::FIRST), ..Listing::default() },
            owners: vec!["self".into()],
            executable_by: Vec::new(),
            include_disabled: Some(true),
            include_deprecated: None,
        },
        DryRun::EnableImageDeprecation { image } => {
            Action::EnableImageDeprecation { image: image.clone(), at: now + TimeDelta::days(1) }
        }
        DryRun::ModifyImageAttribute { image } => {
            Action::ModifyImageAttribute { image: image.clone(), add: me(), remove: Vec::new() }
        }
        DryRun::ModifySnapshotAttribute { snapshot } => {
            Action::ModifySnapshotAttribute { snapshot: snapshot.clone(), add: me(), remove: Vec::new() }
        }
    }
}

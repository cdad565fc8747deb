//! The ports on the simulated world, by actions and answers only.

mod distribution;
mod keys;
mod roles;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::roles::Roles;
use super::action::{Action, Filter, Listing, Paging, TagSpec};
use super::answer::Answer;
use super::error::ApiError;
use super::fleet::Fleet;
use super::save;
use super::serve::Delivery;
use super::served::Listed;
use super::world::{Caller as Who, World};
use crate::clock::Clock;
use crate::cloud::classify::{Class, classify};
use crate::cloud::port::{
    Ask, Caller, CreateImage, Ec2, Effect, Fault, Identity, ImageQuery, InstanceQuery, Page, Read, SnapshotEnd,
    made_image,
};
use crate::domain::observed::{Image, Instance, InstanceState, InstanceStatus, Snapshot};
use crate::domain::place::Place;

/// The largest page that the adapter asks for (API reference, MaxResults: 1000).
const PAGE: u32 = 1000;

/// A client of the simulated world.
#[derive(Debug, Clone)]
pub struct SimCloud {
    world: Arc<Mutex<World>>,
    clock: Clock,
    account: String,
    home: String,
    dir: Option<PathBuf>,
    roles: Roles,
}

/// What an answered request brought, and its id.
type Answered = (Answer, Option<String>);

impl SimCloud {
    /// A client of `world` in its own account and home region; nothing is saved.
    #[must_use]
    pub fn new(world: World, clock: Clock) -> Self {
        let (account, home) = (world.account.clone(), world.home_region().to_owned());
        Self { world: Arc::new(Mutex::new(world)), clock, account, home, dir: None, roles: Roles::default() }
    }

    /// The world saved in `dir`, or one that begins with `fleet` and is saved there. A saved world wins over `fleet`.
    ///
    /// # Errors
    /// The directory cannot be read or written, holds no world where one should be, or the fleet is impossible.
    pub fn open(dir: &Path, fleet: &Fleet, clock: Clock) -> io::Result<Self> {
        let world = match save::load(dir)? {
            Some(world) => world,
            None => {
                let invalid = |why| io::Error::new(io::ErrorKind::InvalidData, format!("the fleet: {why}"));
                let mut world = fleet.world(clock.now()).map_err(invalid)?;
                save::save(dir, &world)?;
                world.take_dirty();
                world
            }
        };
        Ok(Self { dir: Some(dir.to_owned()), ..Self::new(world, clock) })
    }

    /// The same world to look at: nothing that happens in it is saved, and nothing is made in `dir`.
    ///
    /// # Errors
    /// What is saved there cannot be read, or the fleet is impossible.
    pub fn peek(dir: &Path, fleet: &Fleet, clock: Clock) -> io::Result<Self> {
        let invalid = |why| io::Error::new(io::ErrorKind::InvalidData, format!("the fleet: {why}"));
        let saved = save::load(dir)?;
        Ok(Self::new(saved.map_or_else(|| fleet.world(clock.now()).map_err(invalid), Ok)?, clock))
    }

    /// The world itself, for tests and for the door. Do not hold it across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        // A panic of another holder leaves a world that is still whole: no change is half made.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world to share with the door.
    #[must_use]
    pub fn shared(&self) -> Arc<Mutex<World>> {
        Arc::clone(&self.world)
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// One request, as the client sees it end.
    async fn send(&self, place: &Place, action: Action) -> Result<Answered, Fault> {
        let caller = self.caller(place).await?;
        self.send_as(&caller, &place.region, action).await
    }

    async fn send_as(&self, caller: &Who, region: &str, action: Action) -> Result<Answered, Fault> {
        let reply = {
            let now = self.clock.now();
            let mut world = self.world();
            let reply = world.serve(now, caller, region, &action);
            self.save(&mut world)?;
            reply
        };
        let request_id = Some(reply.request_id);
        match reply.delivery {
            Delivery::Now => {}
            Delivery::Late(seconds) => {
                self.clock.sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default()).await;
            }
            Delivery::Cut => {
                let message = format!("{}: the connection was closed before an answer came", action.api());
                return Err(Fault { class: Class::Transient, code: "Connection".into(), message, request_id: None });
            }
        }
        match reply.outcome {
            Ok(answer) => Ok((answer, request_id)),
            Err(ApiError { status, code, message }) => {
                Err(Fault { class: classify(status, &code, &message), code, message, request_id })
            }
        }
    }

    /// One request that is told in a place of its own, and its answer.
    async fn ask<R: Listed>(&self, place: &Place, request: R) -> Read<R::Answer> {
        match self.send(place, Action::Served(request.request())).await?.0 {
            Answer::Served(given) => R::answer(given.clone()).ok_or_else(|| astray(&Answer::Served(given))),
            other => Err(astray(&other)),
        }
    }

    async fn list_snapshots(&self, place: &Place, filter: Filter, page: Ask<'_>) -> Read<Page<Snapshot>> {
        let list = Listing { ids: Vec::new(), filters: vec![filter], page: page_of(page) };
        match self.send(place, Action::DescribeSnapshots { list, owners: vec!["self".into()] }).await?.0 {
            Answer::Snapshots(page) => {
                Ok(Page { items: page.items.into_iter().map(Into::into).collect(), next: page.next })
            }
            other => Err(astray(&other)),
        }
    }

    fn save(&self, world: &mut World) -> Result<(), Fault> {
        let Some(dir) = &self.dir else { return Ok(()) };
        if !world.take_dirty() {
            return Ok(());
        }
        save::save(dir, world).map_err(|error| {
            world.touch();
            Fault {
                class: Class::Transient,
                code: "InternalError".into(),
                message: error.to_string(),
                request_id: None,
            }
        })
    }

    async fn effect<T>(
        &self,
        place: &Place,
        action: Action,
        value: impl FnOnce(Answer) -> Result<T, Fault>,
    ) -> Effect<T> {
        let done = self.send(place, action).await.and_then(|(answer, id)| Ok((value(answer)?, id)));
        match done {
            Ok((value, request_id)) => Effect::Done { value, request_id },
            // A 5xx or a cut: the client cannot tell whether it took effect.
            Err(fault) if fault.class == Class::Transient => Effect::Unknown(fault),
            Err(fault) => Effect::Refused(fault),
        }
    }
}

fn page_of(page: Ask<'_>) -> Paging {
    Paging { max: Some(page.size(PAGE)), token: page.token.map(str::to_owned) }
}

/// An answer of another kind than its action's: a slip of the world, never of the caller.
fn astray(answer: &Answer) -> Fault {
    Fault {
        class: Class::Transient,
        code: "InternalError".into(),
        message: format!("the simulated world gave an answer of another kind: {answer:?}"),
        request_id: None,
    }
}

#[async_trait(?Send)]
impl Ec2 for SimCloud {
    async fn instances(&self, place: &Place, query: &InstanceQuery, page: Ask<'_>) -> Read<Page<Instance>> {
        let filters = match query {
            InstanceQuery::Ids(ids) => vec![Filter::new("instance-id", ids)],
            InstanceQuery::LaunchedFrom(images) => vec![Filter::new("image-id", images)],
            InstanceQuery::Tags(tags) => {
                tags.iter().map(|(key, values)| Filter::new(&format!("tag:{key}"), values)).collect()
            }
        };
        let list = Listing { ids: Vec::new(), filters, page: page_of(page) };
        match self.send(place, Action::DescribeInstances(list)).await?.0 {
            Answer::Instances(page) => {
                Ok(Page { items: page.items.into_iter().map(Into::into).collect(), next: page.next })
            }
            other => Err(astray(&other)),
        }
    }

    async fn instance_status(&self, place: &Place, ids: &[String]) -> Read<Vec<InstanceStatus>> {
        let list = Listing { ids: ids.to_vec(), ..Listing::default() };
        match self.send(place, Action::DescribeInstanceStatus { list, include_all: Some(true) }).await?.0 {
            Answer::Statuses(page) => Ok(page
                .items
                .into_iter()
                .map(|checks| InstanceStatus {
                    instance: checks.instance,
                    state: if checks.state_word == checks.state.as_str() {
                        checks.state
                    } else {
                        InstanceState::Unknown
                    },
                    system: checks.system.into(),
                    reachability: checks.reachability.into(),
                    attached_ebs: checks.attached_ebs.map(Into::into),
                })
                .collect()),
            other => Err(astray(&other)),
        }
    }

    async fn multi_attach_volumes(&self, place: &Place, page: Ask<'_>) -> Read<Page<String>> {
        let filters = vec![Filter::new("multi-attach-enabled", &["true".into()])];
        let list = Listing { ids: Vec::new(), filters, page: page_of(page) };
        match self.send(place, Action::DescribeVolumes(list)).await?.0 {
            Answer::Volumes(page) => {
                Ok(Page { items: page.items.into_iter().map(|v| v.id).collect(), next: page.next })
            }
            other => Err(astray(&other)),
        }
    }

    async fn images(&self, place: &Place, query: &ImageQuery, page: Ask<'_>) -> Read<Page<Image>> {
        let filter = match query {
            ImageQuery::Ids(ids) => Filter::new("image-id", ids),
            ImageQuery::Names(names) => Filter::new("name", names),
            ImageQuery::SourceInstances(ids) => Filter::new("source-instance-id", ids),
            ImageQuery::Tag(key, value) => Filter::new(&format!("tag:{key}"), std::slice::from_ref(value)),
        };
        let action = Action::DescribeImages {
            list: Listing { ids: Vec::new(), filters: vec![filter], page: page_of(page) },
            owners: vec!["self".into()],
            executable_by: Vec::new(),
            include_disabled: Some(true),
            include_deprecated: None,
        };
        match self.send(place, action).await?.0 {
            Answer::Images(page) => {
                Ok(Page { items: page.items.into_iter().map(Into::into).collect(), next: page.next })
            }
            other => Err(astray(&other)),
        }
    }

    async fn snapshots(&self, place: &Place, ids: &[String], page: Ask<'_>) -> Read<Page<Snapshot>> {
        self.list_snapshots(place, Filter::new("snapshot-id", ids), page).await
    }

    async fn snapshots_tagged(&self, place: &Place, key: &str, value: &str, page: Ask<'_>) -> Read<Page<Snapshot>> {
        self.list_snapshots(place, Filter::new(&format!("tag:{key}"), &[value.to_owned()]), page).await
    }

    async fn create_image(&self, place: &Place, request: &CreateImage) -> Effect<String> {
        let tags: Vec<_> = request.tags.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let specs = ["image", "snapshot"].map(|resource| TagSpec { resource: resource.into(), tags: tags.clone() });
        let action = Action::CreateImage {
            instance: request.instance.clone(),
            name: request.name.clone(),
            description: Some(request.description.clone()),
            no_reboot: Some(request.no_reboot),
            tags: if tags.is_empty() { Vec::new() } else { specs.into() },
        };
        let id = |answer| match answer {
            Answer::Image(id) => made_image("CreateImage", Some(id)),
            other => Err(astray(&other)),
        };
        self.effect(place, action, id).await
    }

    async fn deregister_image(&self, place: &Place, image: &str, whole: bool) -> Effect<Vec<SnapshotEnd>> {
        let action = Action::DeregisterImage { image: image.into(), delete_snapshots: Some(whole) };
        let ends = |answer| match answer {
            Answer::Deregistered(ends) => {
                let end = |(snapshot, result): (String, &str)| SnapshotEnd { snapshot, result: result.into() };
                Ok(ends.into_iter().map(end).collect())
            }
            other => Err(astray(&other)),
        };
        self.effect(place, action, ends).await
    }

    async fn delete_snapshot(&self, place: &Place, snapshot: &str) -> Effect<()> {
        self.effect(place, Action::DeleteSnapshot { snapshot: snapshot.into() }, |_| Ok(())).await
    }
}

#[async_trait(?Send)]
impl Identity for SimCloud {
    async fn whoami(&self) -> Read<Caller> {
        let home = Place::new(&self.account, &self.home);
        match self.send(&home, Action::GetCallerIdentity).await?.0 {
            Answer::Identity { account, arn } => Ok(Caller { account, arn }),
            other => Err(astray(&other)),
        }
    }

    async fn whoami_in(&self, place: &Place) -> Read<Caller> {
        match self.send(place, Action::GetCallerIdentity).await?.0 {
            Answer::Identity { account, arn } => Ok(Caller { account, arn }),
            other => Err(astray(&other)),
        }
    }

    fn home_region(&self) -> Option<String> {
        Some(self.home.clone())
    }
}

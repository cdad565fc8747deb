//! What AWS refuses, and what people do at a chosen moment: a back end in front of the simulated world, which the
//! world's own faults cannot express.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::support::rows::Event;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use stillframe::clock::Clock;
use stillframe::cloud::classify::{Class, classify};
use stillframe::cloud::port::{
    AllowedImages, Ask, Caller, Change, CopyImage, CreateGrant, CreateImage, Distribution, DryRun, Ec2, Effect, Fault,
    Grant, Identity, ImageQuery, InstanceQuery, Keys, Page, Read, SnapshotEnd,
};
use stillframe::domain::copying::Key;
use stillframe::domain::observed::{Image, Instance, InstanceStatus, Snapshot, Tags, Volume};
use stillframe::domain::place::Place;
use stillframe::domain::sharing::Grantee;
use stillframe::sim::action::Action;
use stillframe::sim::{SimCloud, World, world};

use super::journal::{Death, Mortal};
use super::rig::ACCOUNT;
use super::watch::{Known, Watch, lent};
use super::weather::{Kind, Sky};

/// Refuses requests. Reads are named by what they list: `DescribeImages:ids`, `:names`, `:tag`, `:source`,
/// `DescribeInstances:ids`, `:tags`, `:image`.
struct Refusal {
    api: String,
    /// Only requests about this instance, image or snapshot.
    about: Option<String>,
    times: u32,
    code: String,
    message: String,
}

/// What somebody does once an event is told.
struct Moment {
    when: Box<dyn Fn(&Event) -> bool>,
    then: Box<dyn FnOnce()>,
}

/// All that is scripted; it outlives processes.
#[derive(Default)]
pub struct Script {
    refusals: RefCell<Vec<Refusal>>,
    moments: RefCell<Vec<Moment>>,
    /// DeregisterImage leaves the snapshots where they are.
    pub leaves_snapshots: Cell<bool>,
    /// The process dies at the first write after the next one.
    pub dies_at_removal: Cell<bool>,
    /// What answers tell of the daemon's clock.
    pub clock_ahead: Cell<Option<TimeDelta>>,
    /// Whose credentials we have, if not ours.
    pub account: RefCell<Option<String>>,
    /// How many requests were refused.
    pub refused: Cell<u32>,
    /// What is wrong with AWS for a while.
    pub sky: Sky,
}

impl Script {
    /// The next `times` requests of `api` (about `about`, if anything) are refused with this EC2 error code.
    pub fn refuse(&self, api: &str, about: Option<String>, times: u32, code: &str, message: &str) {
        let (api, code, message) = (api.into(), code.into(), message.into());
        self.refusals.borrow_mut().push(Refusal { api, about, times, code, message });
    }

    /// AWS allows everything again.
    pub fn relents(&self) {
        self.refusals.borrow_mut().clear();
    }

    /// `then`, once, as soon as an event is told for which `when` holds.
    pub fn once(&self, when: impl Fn(&Event) -> bool + 'static, then: impl FnOnce() + 'static) {
        self.moments.borrow_mut().push(Moment { when: Box::new(when), then: Box::new(then) });
    }

    /// An event was told.
    pub fn hear(&self, event: &Event) {
        let at = self.moments.borrow().iter().position(|m| (m.when)(event));
        let moment = at.map(|at| self.moments.borrow_mut().remove(at));
        if let Some(moment) = moment {
            (moment.then)();
        }
    }

    fn fault(&self, api: &str, about: &[String]) -> Option<Fault> {
        let mut refusals = self.refusals.borrow_mut();
        let hit = |r: &&mut Refusal| r.api == api && r.about.as_ref().is_none_or(|id| about.contains(id));
        let refusal = refusals.iter_mut().filter(|r| r.times > 0).find(hit)?;
        refusal.times -= 1;
        self.refused.set(self.refused.get() + 1);
        Some(Fault {
            class: classify(400, &refusal.code, &refusal.message),
            code: refusal.code.clone(),
            message: refusal.message.clone(),
            request_id: Some("scripted".into()),
        })
    }

    fn read(&self, api: &str, about: &[String]) -> Read<()> {
        self.fault(api, about).map_or(Ok(()), Err)
    }
}

/// The world behind the script, as one process sees it, with the watch between them.
pub struct Scripted {
    pub world: SimCloud,
    pub clock: Clock,
    /// The process's own clock, where answers tell how far it is off.
    pub own_clock: Option<Clock>,
    pub script: Rc<Script>,
    pub watch: Rc<Watch>,
    /// The journal that the process writes.
    pub journal: Rc<Mortal>,
}

type Call<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A call that was sent: its answer, or what will bring it.
enum Sent<'a, T> {
    Answered(T),
    Waiting(Call<'a, T>),
}

/// Sends a call: the world carries it out at once, its answer may come later, or to nobody.
async fn send<T>(mut call: Call<'_, T>) -> Sent<'_, T> {
    match poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
        Poll::Ready(answer) => Sent::Answered(answer),
        Poll::Pending => Sent::Waiting(call),
    }
}

impl Scripted {
    /// What is wrong with this call.
    fn hit(&self, api: &str, place: &Place) -> Option<Kind> {
        let kind = self.script.sky.hit(self.clock.instant(), api, &place.region)?;
        *self.watch.figures.borrow_mut().faults.entry(kind.name()).or_default() += 1;
        self.watch.note(|| format!("fault {api} {}: {}", place.region, kind.name()));
        if kind.refuses() && api.starts_with("Describe") {
            self.watch.refused(&place.region);
        }
        Some(kind)
    }

    /// The newest call that the world logged: the one that was just sent.
    fn told(&self) -> bool {
        let world = self.world.world();
        let Some(call) = world.calls.iter().next_back() else { return false };
        self.watch.called(call);
        call.effect
    }

    /// The answer to what was sent, as it reaches the client.
    async fn answer<T>(&self, kind: Option<Kind>, sent: Sent<'_, T>, lost: impl FnOnce(Fault) -> T) -> T {
        let answer = match sent {
            Sent::Answered(answer) => answer,
            Sent::Waiting(call) => call.await,
        };
        match kind {
            Some(Kind::SilentAfter) => pending().await,
            Some(Kind::Slow(seconds)) => {
                self.clock.sleep(Duration::from_secs(seconds.into())).await;
                answer
            }
            Some(kind) => kind.fault().map_or(answer, lost),
            None => answer,
        }
    }

    /// A read, in whatever weather there is.
    async fn read<T>(&self, api: &str, place: &Place, call: Call<'_, Read<T>>) -> Read<T> {
        let kind = self.hit(api, place);
        match kind {
            Some(kind) if !kind.takes_effect() => match kind.fault() {
                Some(fault) => Err(fault),
                None => pending().await,
            },
            _ => {
                let sent = send(call).await;
                self.told();
                self.answer(kind, sent, Err).await
            }
        }
    }

    /// CreateImage, in whatever weather there is.
    async fn create(&self, place: &Place, request: &CreateImage) -> Effect<String> {
        let known = self.watch.known_of(&self.journal, request).await;
        self.watch.sends(request, &known, self.own_clock.unwrap_or(self.clock).now());
        self.watch.looked(&self.world.world(), place, request);
        if let Some(fault) = self.script.fault("CreateImage", std::slice::from_ref(&request.instance)) {
            return Effect::Refused(fault);
        }
        let kind = self.hit("CreateImage", place);
        if let Some(kind) = kind.filter(|kind| !kind.takes_effect()) {
            return kept(kind).await;
        }
        let sent = send(self.world.create_image(place, request)).await;
        if self.told() {
            self.watch.made(&self.world.world(), place, request, &known);
        }
        self.answer(kind, sent, end).await
    }
}

/// How an effect ends that is answered with this fault.
fn end<T>(fault: Fault) -> Effect<T> {
    if fault.class == Class::Transient { Effect::Unknown(fault) } else { Effect::Refused(fault) }
}

/// How an effect ends in weather that keeps it from AWS.
async fn kept<T>(kind: Kind) -> Effect<T> {
    match kind.fault() {
        Some(fault) => end(fault),
        None => pending().await,
    }
}

#[async_trait(?Send)]
impl Ec2 for Scripted {
    async fn instances(&self, place: &Place, query: &InstanceQuery, page: Ask<'_>) -> Read<Page<Instance>> {
        match query {
            InstanceQuery::Ids(ids) => self.script.read("DescribeInstances:ids", ids)?,
            InstanceQuery::Tags(_) => self.script.read("DescribeInstances:tags", &[])?,
            InstanceQuery::LaunchedFrom(images) => self.script.read("DescribeInstances:image", images)?,
        }
        self.read("DescribeInstances", place, self.world.instances(place, query, page)).await
    }

    async fn instance_status(&self, place: &Place, ids: &[String]) -> Read<Vec<InstanceStatus>> {
        self.script.read("DescribeInstanceStatus", ids)?;
        self.read("DescribeInstanceStatus", place, self.world.instance_status(place, ids)).await
    }

    async fn multi_attach_volumes(&self, place: &Place, page: Ask<'_>) -> Read<Page<String>> {
        self.read("DescribeVolumes", place, self.world.multi_attach_volumes(place, page)).await
    }

    async fn images(&self, place: &Place, query: &ImageQuery, page: Ask<'_>) -> Read<Page<Image>> {
        match query {
            ImageQuery::Ids(ids) => self.script.read("DescribeImages:ids", ids)?,
            ImageQuery::Names(names) => self.script.read("DescribeImages:names", names)?,
            ImageQuery::SourceInstances(ids) => self.script.read("DescribeImages:source", ids)?,
            ImageQuery::Tag(..) => self.script.read("DescribeImages:tag", &[])?,
        }
        let answer = self.read("DescribeImages", place, self.world.images(place, query, page)).await?;
        if matches!(query, ImageQuery::Tag(..)) && answer.next.is_none() {
            self.watch.listed(place);
        }
        Ok(answer)
    }

    async fn snapshots(&self, place: &Place, ids: &[String], page: Ask<'_>) -> Read<Page<Snapshot>> {
        self.script.read("DescribeSnapshots", ids)?;
        self.read("DescribeSnapshots", place, self.world.snapshots(place, ids, page)).await
    }

    async fn snapshots_tagged(&self, place: &Place, key: &str, value: &str, page: Ask<'_>) -> Read<Page<Snapshot>> {
        self.script.read("DescribeSnapshots:tag", &[])?;
        self.read("DescribeSnapshots", place, self.world.snapshots_tagged(place, key, value, page)).await
    }

    async fn create_image(&self, place: &Place, request: &CreateImage) -> Effect<String> {
        let end = self.create(place, request).await;
        if !matches!(end, Effect::Unknown(_)) {
            self.watch.duty.answered(&request.name);
        }
        end
    }

    async fn deregister_image(&self, place: &Place, image: &str, whole: bool) -> Effect<Vec<SnapshotEnd>> {
        let known = self.watch.known_removal(&self.journal, place, image).await;
        self.watch.removes(&self.world.world(), place, image, &known);
        if let Some(fault) = self.script.fault("DeregisterImage", &[image.to_owned()]) {
            return Effect::Refused(fault);
        }
        let kind = self.hit("DeregisterImage", place);
        if let Some(kind) = kind.filter(|kind| !kind.takes_effect()) {
            return kept(kind).await;
        }
        let there = self.world.world().images.get(image).is_some_and(|i| i.registered());
        if self.script.leaves_snapshots.get() && there {
            let action = Action::DeregisterImage { image: image.into(), delete_snapshots: Some(false) };
            let now = self.clock.now();
            let caller = world::Caller::new(&place.account);
            self.world.world().call(now, &caller, &place.region, &action).expect("it is registered");
            self.removed(image, &known);
            return self.answer(kind, Sent::Answered(Effect::Done { value: Vec::new(), request_id: None }), end).await;
        }
        let sent = send(self.world.deregister_image(place, image, whole)).await;
        if self.told() {
            self.removed(image, &known);
        }
        self.answer(kind, sent, end).await
    }

    async fn delete_snapshot(&self, place: &Place, snapshot: &str) -> Effect<()> {
        self.watch.deletes(&self.world.shared(), &self.journal, place, snapshot).await;
        let call = self.world.delete_snapshot(place, snapshot);
        self.affect("DeleteSnapshot", &[snapshot.to_owned()], place, call, |_| {}).await
    }
}

impl Scripted {
    /// DeregisterImage took effect.
    fn removed(&self, image: &str, known: &Known) {
        self.watch.removed(&self.world.world(), image, known);
        if self.script.dies_at_removal.take() {
            self.journal.dies(Death::Before(self.journal.written() + 1));
        }
    }

    /// An effect about `about`, in whatever weather there is; `made` is called as soon as it took effect.
    async fn affect<T>(
        &self,
        api: &str,
        about: &[String],
        place: &Place,
        call: Call<'_, Effect<T>>,
        made: impl FnOnce(&World),
    ) -> Effect<T> {
        if let Some(fault) = self.script.fault(api, about) {
            return Effect::Refused(fault);
        }
        let kind = self.hit(api, place);
        if let Some(kind) = kind.filter(|kind| !kind.takes_effect()) {
            return kept(kind).await;
        }
        let sent = send(call).await;
        if self.told() {
            made(&self.world.world());
        }
        self.answer(kind, sent, end).await
    }
}

#[async_trait(?Send)]
impl Distribution for Scripted {
    async fn copy_image(&self, place: &Place, request: &CopyImage) -> Effect<String> {
        let about = std::slice::from_ref(&request.source_image);
        self.watch.copies(request);
        let before = self.world.world().images.len();
        let made = |world: &World| {
            if world.images.len() > before {
                self.watch.copied(world, place, request);
            }
        };
        let answer = self.affect("CopyImage", about, place, self.world.copy_image(place, request), made).await;
        if !matches!(answer, Effect::Unknown(_)) {
            self.watch.copy_answered(request);
        }
        answer
    }

    async fn image_permissions(&self, place: &Place, image: &str) -> Read<BTreeSet<Grantee>> {
        self.script.read("DescribeImageAttribute", &[image.to_owned()])?;
        self.read("DescribeImageAttribute", place, self.world.image_permissions(place, image)).await
    }

    async fn change_image_permissions(&self, place: &Place, image: &str, change: &Change) -> Effect<()> {
        let call = self.world.change_image_permissions(place, image, change);
        let before = lent(&self.world.world(), image);
        let made = |world: &World| self.watch.permits(world, image, &before, change);
        self.affect("ModifyImageAttribute", &[image.to_owned()], place, call, made).await
    }

    async fn snapshot_permissions(&self, place: &Place, snapshot: &str) -> Read<BTreeSet<Grantee>> {
        self.script.read("DescribeSnapshotAttribute", &[snapshot.to_owned()])?;
        self.read("DescribeSnapshotAttribute", place, self.world.snapshot_permissions(place, snapshot)).await
    }

    async fn change_snapshot_permissions(&self, place: &Place, snapshot: &str, change: &Change) -> Effect<()> {
        let call = self.world.change_snapshot_permissions(place, snapshot, change);
        let before = lent(&self.world.world(), snapshot);
        let made = |world: &World| self.watch.permits(world, snapshot, &before, change);
        self.affect("ModifySnapshotAttribute", &[snapshot.to_owned()], place, call, made).await
    }

    async fn tag(&self, place: &Place, resources: &[String], tags: &Tags) -> Effect<()> {
        self.affect("CreateTags", resources, place, self.world.tag(place, resources, tags), |_| {}).await
    }

    async fn untag(&self, place: &Place, resources: &[String], keys: &[String]) -> Effect<()> {
        self.affect("DeleteTags", resources, place, self.world.untag(place, resources, keys), |_| {}).await
    }

    async fn deprecate_image(&self, place: &Place, image: &str, at: DateTime<Utc>) -> Effect<()> {
        let call = self.world.deprecate_image(place, image, at);
        self.affect("EnableImageDeprecation", &[image.to_owned()], place, call, |_| {}).await
    }

    async fn volumes(&self, place: &Place, ids: &[String], page: Ask<'_>) -> Read<Page<Volume>> {
        self.script.read("DescribeVolumes", ids)?;
        self.read("DescribeVolumes", place, self.world.volumes(place, ids, page)).await
    }

    async fn default_key(&self, place: &Place) -> Read<String> {
        self.script.read("GetEbsDefaultKmsKeyId", &[])?;
        self.read("GetEbsDefaultKmsKeyId", place, self.world.default_key(place)).await
    }

    async fn encrypts_by_default(&self, place: &Place) -> Read<bool> {
        self.script.read("GetEbsEncryptionByDefault", &[])?;
        self.read("GetEbsEncryptionByDefault", place, self.world.encrypts_by_default(place)).await
    }

    async fn allowed_images(&self, place: &Place) -> Read<AllowedImages> {
        self.script.read("GetAllowedImagesSettings", &[])?;
        self.read("GetAllowedImagesSettings", place, self.world.allowed_images(place)).await
    }

    async fn try_out(&self, place: &Place, request: &DryRun) -> Read<()> {
        self.script.read(&format!("DryRun:{}", request.api()), &[])?;
        self.read(request.api(), place, self.world.try_out(place, request)).await
    }
}

#[async_trait(?Send)]
impl Keys for Scripted {
    async fn key(&self, place: &Place, key: &str) -> Read<Key> {
        self.script.read("DescribeKey", &[key.to_owned()])?;
        self.read("DescribeKey", place, self.world.key(place, key)).await
    }

    async fn key_policy(&self, place: &Place, key: &str) -> Read<String> {
        self.script.read("GetKeyPolicy", &[key.to_owned()])?;
        self.read("GetKeyPolicy", place, self.world.key_policy(place, key)).await
    }

    async fn grants(&self, place: &Place, key: &str, page: Ask<'_>) -> Read<Page<Grant>> {
        self.script.read("ListGrants", &[key.to_owned()])?;
        self.read("ListGrants", place, self.world.grants(place, key, page)).await
    }

    async fn create_grant(&self, place: &Place, request: &CreateGrant) -> Effect<String> {
        let about = std::slice::from_ref(&request.key);
        let call = self.world.create_grant(place, request);
        self.affect("CreateGrant", about, place, call, |_| self.watch.grants(request)).await
    }

    async fn revoke_grant(&self, place: &Place, key: &str, grant: &str) -> Effect<()> {
        let call = self.world.revoke_grant(place, key, grant);
        self.watch.revokes(&self.world.world(), key, grant);
        self.affect("RevokeGrant", &[key.to_owned()], place, call, |_| {}).await
    }
}

#[async_trait(?Send)]
impl Identity for Scripted {
    async fn whoami(&self) -> Read<Caller> {
        self.script.read("GetCallerIdentity", &[])?;
        let home = Place::new(ACCOUNT, self.world.home_region().unwrap_or_default());
        let caller = self.read("GetCallerIdentity", &home, self.world.whoami()).await?;
        let account = self.script.account.borrow().clone().unwrap_or(caller.account);
        Ok(Caller { account, ..caller })
    }

    async fn whoami_in(&self, place: &Place) -> Read<Caller> {
        self.script.read("GetCallerIdentity", &[])?;
        self.read("GetCallerIdentity", place, self.world.whoami_in(place)).await
    }

    fn home_region(&self) -> Option<String> {
        self.world.home_region()
    }

    fn clock_ahead(&self) -> Option<TimeDelta> {
        let told = self.own_clock.map(|own| own.now() - self.clock.now());
        self.script.clock_ahead.get().or(told)
    }
}

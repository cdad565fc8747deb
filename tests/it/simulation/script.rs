//! What AWS refuses, and what people do at a chosen moment: a back end in front of the simulated world, which the
//! world's own faults cannot express.

use std::cell::{Cell, RefCell};

use async_trait::async_trait;
use chrono::TimeDelta;
use stillframe::cloud::classify::classify;
use stillframe::cloud::port::{
    Caller, CreateImage, Ec2, Effect, Fault, Identity, ImageQuery, InstanceQuery, Page, Read, SnapshotEnd,
};
use stillframe::cloud::sim::action::Action;
use stillframe::cloud::sim::{SimCloud, world};
use stillframe::domain::event::Event;
use stillframe::domain::observed::{Image, Instance, InstanceStatus, Snapshot};
use stillframe::domain::place::Place;

use super::rig::ACCOUNT;

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
    /// What answers tell of the daemon's clock.
    pub clock_ahead: Cell<Option<TimeDelta>>,
    /// How many requests were refused.
    pub refused: Cell<u32>,
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

/// The world behind the script.
pub struct Scripted {
    pub world: SimCloud,
    pub clock: stillframe::clock::Clock,
    pub script: std::rc::Rc<Script>,
}

#[async_trait(?Send)]
impl Ec2 for Scripted {
    async fn instances(&self, place: &Place, query: &InstanceQuery, page: Option<&str>) -> Read<Page<Instance>> {
        match query {
            InstanceQuery::Ids(ids) => self.script.read("DescribeInstances:ids", ids)?,
            InstanceQuery::Tags(_) => self.script.read("DescribeInstances:tags", &[])?,
            InstanceQuery::LaunchedFrom(images) => self.script.read("DescribeInstances:image", images)?,
        }
        self.world.instances(place, query, page).await
    }

    async fn instance_status(&self, place: &Place, ids: &[String]) -> Read<Vec<InstanceStatus>> {
        self.script.read("DescribeInstanceStatus", ids)?;
        self.world.instance_status(place, ids).await
    }

    async fn multi_attach_volumes(&self, place: &Place, page: Option<&str>) -> Read<Page<String>> {
        self.world.multi_attach_volumes(place, page).await
    }

    async fn images(&self, place: &Place, query: &ImageQuery, page: Option<&str>) -> Read<Page<Image>> {
        match query {
            ImageQuery::Ids(ids) => self.script.read("DescribeImages:ids", ids)?,
            ImageQuery::Names(names) => self.script.read("DescribeImages:names", names)?,
            ImageQuery::SourceInstances(ids) => self.script.read("DescribeImages:source", ids)?,
            ImageQuery::Tag(..) => self.script.read("DescribeImages:tag", &[])?,
        }
        self.world.images(place, query, page).await
    }

    async fn snapshots(&self, place: &Place, ids: &[String], page: Option<&str>) -> Read<Page<Snapshot>> {
        self.script.read("DescribeSnapshots", ids)?;
        self.world.snapshots(place, ids, page).await
    }

    async fn snapshots_tagged(
        &self,
        place: &Place,
        key: &str,
        value: &str,
        page: Option<&str>,
    ) -> Read<Page<Snapshot>> {
        self.script.read("DescribeSnapshots:tag", &[])?;
        self.world.snapshots_tagged(place, key, value, page).await
    }

    async fn create_image(&self, place: &Place, request: &CreateImage) -> Effect<String> {
        match self.script.fault("CreateImage", std::slice::from_ref(&request.instance)) {
            Some(fault) => Effect::Refused(fault),
            None => self.world.create_image(place, request).await,
        }
    }

    async fn deregister_image(&self, place: &Place, image: &str) -> Effect<Vec<SnapshotEnd>> {
        if let Some(fault) = self.script.fault("DeregisterImage", &[image.to_owned()]) {
            return Effect::Refused(fault);
        }
        if !self.script.leaves_snapshots.get() {
            return self.world.deregister_image(place, image).await;
        }
        let action = Action::DeregisterImage { image: image.into(), delete_snapshots: Some(false) };
        let now = self.clock.now();
        self.world.world().call(now, &world::Caller::new(ACCOUNT), &place.region, &action).expect("it is registered");
        Effect::Done { value: Vec::new(), request_id: None }
    }

    async fn delete_snapshot(&self, place: &Place, snapshot: &str) -> Effect<()> {
        match self.script.fault("DeleteSnapshot", &[snapshot.to_owned()]) {
            Some(fault) => Effect::Refused(fault),
            None => self.world.delete_snapshot(place, snapshot).await,
        }
    }
}

#[async_trait(?Send)]
impl Identity for Scripted {
    async fn whoami(&self) -> Read<Caller> {
        self.script.read("GetCallerIdentity", &[])?;
        self.world.whoami().await
    }

    fn home_region(&self) -> Option<String> {
        self.world.home_region()
    }

    fn clock_ahead(&self) -> Option<TimeDelta> {
        self.script.clock_ahead.get()
    }
}

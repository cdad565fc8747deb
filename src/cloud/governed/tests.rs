//! A scripted back end under paused time: what is sent, how often, and when.

use std::collections::{BTreeSet, VecDeque};
use std::future::pending;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::*;
use crate::cloud::port::{AllowedImages, Change, CopyImage, CreateGrant, DryRun, Grant};
use crate::domain::copying::Key;
use crate::domain::observed::{InstanceState, Tags, Volume};
use crate::domain::sharing::Grantee;

/// What the back end does to one request; with nothing left of the script it answers an empty last page.
enum Play {
    Items(Vec<String>, Option<&'static str>),
    Fail(Class, &'static str, &'static str),
    Unknown,
    Hang,
}

fn items(ids: &[&str], next: Option<&'static str>) -> Play {
    Play::Items(ids.iter().map(ToString::to_string).collect(), next)
}

struct Scripted {
    script: RefCell<VecDeque<Play>>,
    /// Each request, with the millisecond it came in.
    calls: RefCell<Vec<(i64, String)>>,
    clock: Clock,
    /// Every list says that there is more.
    endless: bool,
    /// What comes of reading the credentials anew.
    renews: RefCell<VecDeque<bool>>,
}

impl Scripted {
    async fn play(&self, call: String) -> Result<(Vec<String>, Option<String>), (Fault, bool)> {
        let at = (self.clock.now() - base()).num_milliseconds();
        self.calls.borrow_mut().push((at, call));
        let next = self.script.borrow_mut().pop_front();
        let fault = |class, code: &str, message: &str| Fault {
            class,
            code: code.into(),
            message: message.into(),
            request_id: Some("r-1".into()),
        };
        match next {
            None => Ok((Vec::new(), self.endless.then(|| "more".to_owned()))),
            Some(Play::Items(ids, next)) => Ok((ids, next.map(str::to_owned))),
            Some(Play::Fail(class, code, message)) => Err((fault(class, code, message), false)),
            Some(Play::Unknown) => Err((fault(Class::Transient, "InternalError", "cut"), true)),
            Some(Play::Hang) => pending().await,
        }
    }

    async fn accounts(&self, call: String) -> Read<BTreeSet<Grantee>> {
        let (ids, _) = self.play(call).await.map_err(|e| e.0)?;
        Ok(ids.into_iter().map(Grantee::Account).collect())
    }

    async fn effect(&self, call: String) -> Effect<String> {
        match self.play(call).await {
            Ok((ids, _)) => Effect::Done { value: ids.first().cloned().unwrap_or_default(), request_id: None },
            Err((fault, true)) => Effect::Unknown(fault),
            Err((fault, false)) => Effect::Refused(fault),
        }
    }
}

fn base() -> chrono::DateTime<chrono::Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("in range")
}

fn instance(id: String) -> Instance {
    Instance {
        id,
        state: InstanceState::Running,
        ebs_root: true,
        hibernation: false,
        volumes: Vec::new(),
        image: None,
        managed_by: None,
        product_codes: false,
        odd: None,
        tags: BTreeMap::new(),
    }
}

#[async_trait(?Send)]
impl Ec2 for Scripted {
    async fn instances(&self, _: &Place, query: &InstanceQuery, page: Ask<'_>) -> Read<Page<Instance>> {
        let count = match query {
            InstanceQuery::Ids(ids) | InstanceQuery::LaunchedFrom(ids) => ids.len(),
            InstanceQuery::Tags(tags) => tags.len(),
        };
        let (ids, next) = self.play(format!("instances {count} {}", shown(page))).await.map_err(|e| e.0)?;
        Ok(Page { items: ids.into_iter().map(instance).collect(), next })
    }
    async fn instance_status(&self, _: &Place, ids: &[String]) -> Read<Vec<InstanceStatus>> {
        let (ids, _) = self.play(format!("status {}", ids.len())).await.map_err(|e| e.0)?;
        let status = |instance| InstanceStatus {
            instance,
            state: InstanceState::Running,
            system: "ok".into(),
            reachability: "ok".into(),
            attached_ebs: None,
        };
        Ok(ids.into_iter().map(status).collect())
    }
    async fn multi_attach_volumes(&self, _: &Place, page: Ask<'_>) -> Read<Page<String>> {
        let (items, next) = self.play(format!("volumes {}", shown(page))).await.map_err(|e| e.0)?;
        Ok(Page { items, next })
    }
    async fn images(&self, _: &Place, _: &ImageQuery, page: Ask<'_>) -> Read<Page<Image>> {
        let (_, next) = self.play(format!("images {}", shown(page))).await.map_err(|e| e.0)?;
        Ok(Page { items: Vec::new(), next })
    }
    async fn snapshots(&self, _: &Place, ids: &[String], _: Ask<'_>) -> Read<Page<Snapshot>> {
        let (ids, next) = self.play(format!("snapshots {}", ids.len())).await.map_err(|e| e.0)?;
        let snapshot = |id| Snapshot {
            id,
            volume: None,
            description: None,
            state: "completed".into(),
            started: None,
            key: None,
            tags: BTreeMap::new(),
        };
        Ok(Page { items: ids.into_iter().map(snapshot).collect(), next })
    }
    async fn snapshots_tagged(&self, place: &Place, _: &str, _: &str, page: Ask<'_>) -> Read<Page<Snapshot>> {
        self.snapshots(place, &[], page).await
    }
    async fn create_image(&self, _: &Place, request: &CreateImage) -> Effect<String> {
        self.effect(format!("create {}", request.name)).await
    }
    async fn deregister_image(&self, _: &Place, image: &str, _: bool) -> Effect<Vec<SnapshotEnd>> {
        match self.effect(format!("deregister {image}")).await {
            Effect::Done { request_id, .. } => Effect::Done { value: Vec::new(), request_id },
            Effect::Refused(fault) => Effect::Refused(fault),
            Effect::Unknown(fault) => Effect::Unknown(fault),
        }
    }
    async fn delete_snapshot(&self, _: &Place, snapshot: &str) -> Effect<()> {
        drop_value(self.effect(format!("delete {snapshot}")).await)
    }
}

/// The token, and how often the page is halved.
fn shown(page: Ask<'_>) -> String {
    let token = page.token.unwrap_or("-");
    if page.halved == 0 { token.to_owned() } else { format!("{token} 1/{}", 1 << page.halved) }
}

/// An effect without a value.
fn drop_value<T>(end: Effect<T>) -> Effect<()> {
    match end {
        Effect::Done { request_id, .. } => Effect::Done { value: (), request_id },
        Effect::Refused(fault) => Effect::Refused(fault),
        Effect::Unknown(fault) => Effect::Unknown(fault),
    }
}

#[async_trait(?Send)]
impl Distribution for Scripted {
    async fn copy_image(&self, _: &Place, request: &CopyImage) -> Effect<String> {
        self.effect(format!("copy {}", request.name)).await
    }
    async fn image_permissions(&self, _: &Place, image: &str) -> Read<BTreeSet<Grantee>> {
        self.accounts(format!("permissions {image}")).await
    }
    async fn change_image_permissions(&self, _: &Place, image: &str, _: &Change) -> Effect<()> {
        drop_value(self.effect(format!("permit {image}")).await)
    }
    async fn snapshot_permissions(&self, _: &Place, snapshot: &str) -> Read<BTreeSet<Grantee>> {
        self.accounts(format!("permissions {snapshot}")).await
    }
    async fn change_snapshot_permissions(&self, _: &Place, snapshot: &str, _: &Change) -> Effect<()> {
        drop_value(self.effect(format!("permit {snapshot}")).await)
    }
    async fn tag(&self, _: &Place, resources: &[String], _: &Tags) -> Effect<()> {
        drop_value(self.effect(format!("tag {}", resources.len())).await)
    }
    async fn untag(&self, _: &Place, resources: &[String], _: &[String]) -> Effect<()> {
        drop_value(self.effect(format!("untag {}", resources.len())).await)
    }
    async fn deprecate_image(&self, _: &Place, image: &str, _: DateTime<Utc>) -> Effect<()> {
        drop_value(self.effect(format!("deprecate {image}")).await)
    }
    async fn volumes(&self, _: &Place, ids: &[String], _: Ask<'_>) -> Read<Page<Volume>> {
        let (ids, next) = self.play(format!("volumes {}", ids.len())).await.map_err(|e| e.0)?;
        Ok(Page { items: ids.into_iter().map(|id| Volume { id, key: None }).collect(), next })
    }
    async fn default_key(&self, _: &Place) -> Read<String> {
        self.play("default key".into()).await.map_err(|e| e.0)?;
        Ok("alias/aws/ebs".into())
    }
    async fn encrypts_by_default(&self, _: &Place) -> Read<bool> {
        self.play("encrypts".into()).await.map_err(|e| e.0)?;
        Ok(false)
    }
    async fn allowed_images(&self, _: &Place) -> Read<AllowedImages> {
        self.play("allowed".into()).await.map_err(|e| e.0)?;
        Ok(AllowedImages::default())
    }
    async fn try_out(&self, _: &Place, request: &DryRun) -> Read<()> {
        self.play(format!("try {}", request.api())).await.map_err(|e| e.0)?;
        Ok(())
    }
}

#[async_trait(?Send)]
impl Keys for Scripted {
    async fn key(&self, _: &Place, key: &str) -> Read<Key> {
        self.play(format!("key {key}")).await.map_err(|e| e.0)?;
        Ok(Key { arn: key.into(), aws_managed: false, state: "Enabled".into(), symmetric: true })
    }
    async fn key_policy(&self, _: &Place, key: &str) -> Read<String> {
        self.play(format!("policy {key}")).await.map_err(|e| e.0)?;
        Ok("{}".into())
    }
    async fn grants(&self, _: &Place, key: &str, page: Ask<'_>) -> Read<Page<Grant>> {
        let (ids, next) = self.play(format!("grants {key} {}", shown(page))).await.map_err(|e| e.0)?;
        let grant = |id| Grant { id, name: None, grantee: "arn".into(), operations: BTreeSet::new() };
        Ok(Page { items: ids.into_iter().map(grant).collect(), next })
    }
    async fn create_grant(&self, _: &Place, request: &CreateGrant) -> Effect<String> {
        self.effect(format!("grant {}", request.name)).await
    }
    async fn revoke_grant(&self, _: &Place, _: &str, grant: &str) -> Effect<()> {
        drop_value(self.effect(format!("revoke {grant}")).await)
    }
}

#[async_trait(?Send)]
impl Identity for Scripted {
    async fn whoami(&self) -> Read<Caller> {
        let _ = self.play("whoami".into()).await.map_err(|e| e.0)?;
        Ok(Caller { account: "111111111111".into(), arn: "arn:aws:iam::111111111111:user/x".into() })
    }
    async fn whoami_in(&self, _: &Place) -> Read<Caller> {
        self.whoami().await
    }
    async fn renew(&self) -> Read<bool> {
        self.calls.borrow_mut().push((0, "renew".into()));
        Ok(self.renews.borrow_mut().pop_front().unwrap_or(false))
    }
    fn home_region(&self) -> Option<String> {
        Some("eu-central-1".into())
    }
}

fn place() -> Place {
    Place::new("111111111111", "eu-central-1")
}

fn governed(script: Vec<Play>) -> (Rc<Scripted>, Governed) {
    governed_at(script, 0.5, false)
}

fn governed_at(script: Vec<Play>, share: f64, endless: bool) -> (Rc<Scripted>, Governed) {
    fastrand::seed(7);
    let clock = Clock::simulated(base());
    let inner = Rc::new(Scripted {
        script: RefCell::new(script.into()),
        calls: RefCell::default(),
        clock,
        endless,
        renews: RefCell::default(),
    });
    (Rc::clone(&inner), Governed::new(inner, clock, share))
}

fn calls(inner: &Scripted) -> Vec<String> {
    inner.calls.borrow().iter().map(|(_, call)| call.clone()).collect()
}

fn ids(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("i-{n:05}")).collect()
}

fn request(name: &str) -> CreateImage {
    CreateImage {
        instance: "i-1".into(),
        name: name.into(),
        description: String::new(),
        no_reboot: false,
        tags: BTreeMap::new(),
    }
}

/// For tables: done, refused or unknown, with its code.
fn end<T>(effect: &Effect<T>) -> String {
    match effect {
        Effect::Done { .. } => "done".into(),
        Effect::Refused(fault) => format!("refused {}", fault.code),
        Effect::Unknown(fault) => format!("unknown {}", fault.code),
    }
}

const THROTTLE: (Class, &str) = (Class::Throttled, "RequestLimitExceeded");

fn fails(n: usize, class: Class, code: &'static str) -> Vec<Play> {
    (0..n).map(|_| Play::Fail(class, code, "no")).collect()
}

#[tokio::test(start_paused = true)]
async fn reads_are_asked_again_only_while_the_fault_may_pass() {
    // (class, failures before an answer, requests sent, answered)
    let table = [
        (Class::Throttled, 4, 5, true),
        (Class::Transient, 4, 5, true),
        (Class::NeverSent, 4, 5, true),
        (Class::Transient, 5, 5, false),
        (Class::Denied, 1, 1, false),
        (Class::Final, 1, 1, false),
        (Class::Credentials, 1, 2, false), // sent once; the other is about the credentials
        (Class::NotFound, 1, 1, false),
        (Class::NotLent, 1, 1, false),
    ];
    for (class, failures, sent, answered) in table {
        let (inner, cloud) = governed(fails(failures, class, "X"));
        let answer = cloud.whoami().await;
        assert_eq!((inner.calls.borrow().len(), answer.is_ok()), (sent, answered), "{class:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_effect_is_sent_again_after_a_throttle_and_after_nothing_else() {
    let table = [
        (fails(5, THROTTLE.0, THROTTLE.1), 6, "done"),
        (fails(6, THROTTLE.0, THROTTLE.1), 6, "refused RequestLimitExceeded"),
        (vec![Play::Unknown], 1, "unknown InternalError"),
        (vec![Play::Hang], 1, "unknown Timeout"),
        (fails(1, Class::NeverSent, "Connection"), 1, "refused Connection"),
        (fails(1, Class::Busy, "ResourceLimitExceeded"), 1, "refused ResourceLimitExceeded"),
        (fails(1, Class::DuplicateName, "InvalidAMIName.Duplicate"), 1, "refused InvalidAMIName.Duplicate"),
    ];
    for (script, sent, outcome) in table {
        let (inner, cloud) = governed(script);
        let answer = cloud.create_image(&place(), &request("n")).await;
        assert_eq!((inner.calls.borrow().len(), end(&answer).as_str()), (sent, outcome));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_after_a_throttle_stops_there() {
    let (inner, cloud) = governed(vec![Play::Fail(THROTTLE.0, THROTTLE.1, ""), Play::Unknown]);
    assert_eq!(end(&cloud.delete_snapshot(&place(), "snap-1").await), "unknown InternalError");
    assert_eq!(calls(&inner), ["delete snap-1", "delete snap-1"]);
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_thirty_seconds_for_reads_and_sixty_for_effects() {
    let (inner, cloud) = governed(vec![Play::Hang, Play::Hang, Play::Hang, Play::Hang, Play::Hang]);
    let fault = cloud.multi_attach_volumes(&place()).await.expect_err("nobody answers");
    assert_eq!((fault.class, fault.code.as_str()), (Class::Transient, "Timeout"));
    assert_eq!(fault.message, "DescribeVolumes in 111111111111/eu-central-1: no answer within 30 s");
    let at: Vec<i64> = inner.calls.borrow().iter().map(|(at, _)| *at).collect();
    for (n, pair) in at.windows(2).enumerate() {
        let (wait, longest) = (pair[1] - pair[0] - 30_000, 500 << n);
        assert!(wait >= longest / 2 && wait <= longest + 1, "wait {n} was {wait} ms");
    }

    let (inner, cloud) = governed(vec![Play::Hang]);
    assert_eq!(end(&cloud.deregister_image(&place(), "ami-1", true).await), "unknown Timeout");
    assert_eq!((inner.clock.now() - base()).num_seconds(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_all_its_pages_or_a_fault() {
    let script = vec![items(&["i-2", "i-1"], Some("a")), items(&[], Some("b")), items(&["i-2", "i-3"], None)];
    let (inner, cloud) = governed(script);
    let query = InstanceQuery::Tags(vec![("Backup".into(), vec!["x".into()])]);
    let found = cloud.instances(&place(), &query).await.expect("complete");
    assert_eq!(found.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["i-1", "i-2", "i-3"]);
    assert_eq!(calls(&inner), ["instances 1 -", "instances 1 a", "instances 1 b"]);

    let script = vec![items(&["i-1"], Some("a")), Play::Fail(Class::Denied, "UnauthorizedOperation", "no")];
    let (_, cloud) = governed(script);
    assert_eq!(cloud.instances(&place(), &query).await.expect_err("half a list").code, "UnauthorizedOperation");

    let script =
        vec![items(&["i-1"], Some("a")), Play::Fail(Class::Transient, "InternalError", "no"), items(&["i-2"], None)];
    let (inner, cloud) = governed(script);
    assert_eq!(cloud.instances(&place(), &query).await.map(|found| found.len()), Ok(2));
    assert_eq!(calls(&inner), ["instances 1 -", "instances 1 a", "instances 1 a"]);

    let (inner, cloud) = governed_at(Vec::new(), 1.0, true);
    assert_eq!(cloud.multi_attach_volumes(&place()).await.expect_err("endless").code, "EndlessList");
    assert_eq!(inner.calls.borrow().len(), PAGES_MAX);
}

#[tokio::test(start_paused = true)]
async fn after_a_time_out_the_pages_of_a_list_are_half_as_long() {
    let script =
        vec![items(&["i-1"], Some("a")), Play::Hang, Play::Hang, items(&["i-2"], Some("b")), items(&["i-3"], None)];
    let (inner, cloud) = governed(script);
    let query = InstanceQuery::Tags(vec![("Backup".into(), vec!["x".into()])]);
    assert_eq!(cloud.instances(&place(), &query).await.map(|found| found.len()), Ok(3));
    let sent = ["instances 1 -", "instances 1 a", "instances 1 a 1/2", "instances 1 a 1/4", "instances 1 b 1/4"];
    assert_eq!(calls(&inner), sent);
    let sizes: Vec<u32> = (0..40).step_by(6).map(|halved| Ask { token: None, halved }.size(1_000)).collect();
    assert_eq!(sizes, [1_000, 50, 50, 50, 50, 50, 50], "there is a least size");
    assert_eq!((Ask { token: None, halved: 1 }.size(500), Ask { token: None, halved: 9 }.size(20)), (250, 20));
}

#[tokio::test(start_paused = true)]
async fn a_request_with_refused_credentials_is_sent_again_once_there_are_others() {
    for class in [Class::Expired, Class::Credentials] {
        let (inner, cloud) = governed(fails(1, class, "X"));
        inner.renews.borrow_mut().push_back(true);
        assert_eq!(end(&cloud.create_image(&place(), &request("n")).await), "done");
        assert_eq!(calls(&inner), ["create n", "renew", "create n"]);

        // The same ones, and soon after: nobody is asked again.
        let (inner, cloud) = governed(fails(3, class, "X"));
        for _ in 0..2 {
            assert_eq!(end(&cloud.create_image(&place(), &request("n")).await), "refused X");
        }
        assert!(cloud.whoami().await.is_err());
        assert_eq!(calls(&inner), ["create n", "renew", "create n", "whoami"]);

        // Others that are refused as well.
        let (inner, cloud) = governed(fails(2, class, "X"));
        inner.renews.borrow_mut().push_back(true);
        assert!(cloud.whoami().await.is_err());
        assert_eq!(calls(&inner), ["whoami", "renew", "whoami"]);
    }
    let (inner, cloud) = governed(fails(1, Class::Denied, "X"));
    assert!(cloud.whoami().await.is_err());
    assert_eq!(calls(&inner), ["whoami"]);
}

#[tokio::test(start_paused = true)]
async fn values_go_in_batches_each_once_and_none_ask_nothing() {
    let (inner, cloud) = governed(Vec::new());
    let mut many = ids(450);
    many.extend(ids(450));
    cloud.instances(&place(), &InstanceQuery::Ids(many.clone())).await.expect("empty");
    cloud.instances(&place(), &InstanceQuery::LaunchedFrom(ids(201))).await.expect("empty");
    cloud.snapshots(&place(), &ids(200)).await.expect("empty");
    cloud.statuses(&place(), &ids(150)).await.expect("empty");
    assert_eq!(
        calls(&inner),
        [
            "instances 200 -",
            "instances 200 -",
            "instances 50 -",
            "instances 200 -",
            "instances 1 -",
            "snapshots 200",
            "status 100",
            "status 50"
        ]
    );
    inner.calls.borrow_mut().clear();
    assert_eq!(cloud.instances(&place(), &InstanceQuery::Ids(Vec::new())).await, Ok(Vec::new()));
    assert_eq!(cloud.images(&place(), &ImageQuery::Names(Vec::new())).await, Ok(Vec::new()));
    assert_eq!(cloud.snapshots(&place(), &[]).await, Ok(Vec::new()));
    assert_eq!(cloud.statuses(&place(), &[]).await, Ok(Vec::new()));
    for tags in [vec![], vec![("Backup".into(), vec![])]] {
        let fault = cloud.instances(&place(), &InstanceQuery::Tags(tags)).await.expect_err("would find all");
        assert_eq!((fault.class, fault.code.as_str()), (Class::Final, "EmptyQuery"));
    }
    assert!(calls(&inner).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_is_left_out_of_the_status_call() {
    let missing =
        || Play::Fail(Class::NotFound, "InvalidInstanceID.NotFound", "The instance ID 'i-00001' does not exist");
    let (inner, cloud) =
        governed(vec![missing(), items(&["i-00000", "i-00002"], None), items(&["i-00000", "i-00002"], None)]);
    assert_eq!(cloud.statuses(&place(), &ids(3)).await.map(|found| found.len()), Ok(2));
    assert_eq!(calls(&inner), ["status 3", "instances 3 -", "status 2"]);

    // The filter still shows it: the message names it.
    let (inner, cloud) = governed(vec![missing(), items(&["i-00000", "i-00001"], None), items(&["i-00000"], None)]);
    assert_eq!(cloud.statuses(&place(), &ids(2)).await.map(|found| found.len()), Ok(1));
    assert_eq!(calls(&inner), ["status 2", "instances 2 -", "status 1"]);

    // None exists: nothing is asked, which would mean all.
    let (inner, cloud) = governed(vec![missing(), items(&[], None)]);
    assert_eq!(cloud.statuses(&place(), &ids(2)).await, Ok(Vec::new()));
    assert_eq!(calls(&inner), ["status 2", "instances 2 -"]);

    // No way to tell which: the fault goes up instead of the same call for ever.
    let vague = || Play::Fail(Class::NotFound, "InvalidInstanceID.NotFound", "one of them");
    let (inner, cloud) = governed(vec![vague(), items(&["i-00000", "i-00001"], None), vague()]);
    assert_eq!(
        cloud.statuses(&place(), &ids(2)).await.map_err(|fault| fault.code),
        Err("InvalidInstanceID.NotFound".into())
    );
    assert_eq!(inner.calls.borrow().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_waiters_pass_in_order_at_the_rate() {
    const WAITERS: usize = 10_000;
    let (inner, cloud) = governed(Vec::new());
    let mut waiters: FuturesUnordered<_> = (0..WAITERS)
        .map(|n| {
            let cloud = &cloud;
            async move { cloud.create_image(&place(), &request(&format!("{n:05}"))).await }
        })
        .collect();
    while waiters.next().await.is_some() {}
    let calls = inner.calls.borrow();
    assert!(calls.is_sorted(), "first come, first served");
    // 25 at once, then 2.5 a second; tokio's timer rounds each wait up to a millisecond.
    assert_eq!(calls.iter().filter(|(at, _)| *at == 0).count(), 25);
    let seconds = calls.last().expect("all").0 / 1_000;
    assert!((3_990..=4_000).contains(&seconds), "{seconds} s");
}

#[tokio::test(start_paused = true)]
async fn each_place_and_api_has_its_own_bucket_and_a_throttle_slows_only_that_one() {
    let (inner, cloud) = governed(fails(1, THROTTLE.0, THROTTLE.1));
    let (here, there) = (place(), Place::new("111111111111", "eu-west-1"));
    cloud.delete_snapshot(&here, "snap-0").await;
    let start = inner.clock.now();
    for n in 0..25 {
        cloud.create_image(&here, &request(&n.to_string())).await;
        cloud.delete_snapshot(&there, "snap-x").await;
    }
    assert_eq!(inner.clock.now(), start, "both have their burst");
    cloud.delete_snapshot(&here, "snap-1").await;
    let start = inner.clock.now();
    cloud.delete_snapshot(&here, "snap-2").await;
    // 5/s, of it a half, of it a half (and a little more that came back).
    let waited = (inner.clock.now() - start).num_milliseconds();
    assert!((750..=850).contains(&waited), "{waited} ms");
}

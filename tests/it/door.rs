//! The real EC2 client at the door of the simulated world: what it sends is understood, what it reads is right.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::{Credentials, Region};
use aws_sdk_ec2::error::SdkError;
use aws_sdk_ec2::operation::create_image::{CreateImageError, CreateImageOutput};
use aws_sdk_ec2::types::{Filter, ImageState, ResourceType, SnapshotState, SummaryStatus, Tag, TagSpecification};
use stillframe::clock::Clock;
use stillframe::cloud::sim::faults::{Fault, FaultKind};
use stillframe::cloud::sim::{Fleet, World, door};

/// A client, and the world that it talks to.
struct Rig {
    ec2: Client,
    world: Arc<Mutex<World>>,
    endpoint: String,
}

async fn rig() -> Rig {
    let fleet = Fleet { speed: 100.0, ..Fleet::demo() };
    let world = Arc::new(Mutex::new(fleet.world(Clock::Wall.now()).unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(door::serve(listener, Arc::clone(&world), Clock::Wall, std::future::pending()));
    Rig { ec2: client(&endpoint, "111111111111", "eu-central-1"), world, endpoint }
}

fn client(endpoint: &str, account: &str, region: &str) -> Client {
    let config = aws_sdk_ec2::Config::builder()
        .behavior_version_latest()
        .endpoint_url(endpoint)
        .region(Region::new(region.to_owned()))
        .credentials_provider(Credentials::new(account, "simulated", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

impl Rig {
    /// The id of the instance with this Name.
    async fn id(&self, name: &str) -> String {
        let found = self.ec2.describe_instances().filters(filter("tag:Name", name)).send().await.unwrap();
        found.reservations()[0].instances()[0].instance_id().unwrap().to_owned()
    }

    async fn create(&self, instance: &str, name: &str) -> Result<CreateImageOutput, SdkError<CreateImageError>> {
        let tags = |kind| {
            let tag = Tag::builder().key("stillframe:due").value("2026-11-20T02:30:00Z & <more>").build();
            TagSpecification::builder().resource_type(kind).tags(tag).build()
        };
        self.ec2
            .create_image()
            .instance_id(instance)
            .name(name)
            .no_reboot(false)
            .tag_specifications(tags(ResourceType::Image))
            .tag_specifications(tags(ResourceType::Snapshot))
            .send()
            .await
    }

    fn reboots(&self, instance: &str) -> usize {
        self.world.lock().unwrap().instances[instance].reboot_count()
    }

    fn fault(&self, api: &str, kind: FaultKind) {
        self.world.lock().unwrap().faults.push(Fault::once(api, kind));
    }

    /// Polls until the image leaves `pending`; the bound only ends a test that would hang.
    async fn settled(&self, image: &str) -> aws_sdk_ec2::types::Image {
        for _ in 0..1000 {
            let page = self.ec2.describe_images().owners("self").filters(filter("image-id", image)).send().await;
            let found = page.unwrap().images()[0].clone();
            if found.state() != Some(&ImageState::Pending) {
                return found;
            }
            Clock::Wall.sleep(Duration::from_millis(10)).await;
        }
        panic!("{image} is still pending");
    }
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

fn code<T, E>(result: Result<T, SdkError<E>>) -> String
where
    E: aws_sdk_ec2::error::ProvideErrorMetadata,
{
    match result {
        Ok(_) => "ok".into(),
        Err(SdkError::ServiceError(error)) => error.err().code().unwrap_or("none").into(),
        Err(SdkError::DispatchFailure(_)) => "dispatch".into(),
        Err(SdkError::ResponseError(_)) => "response".into(),
        Err(_) => "other".into(),
    }
}

#[tokio::test]
async fn an_image_from_create_to_deregister() {
    let rig = rig().await;
    let id = rig.id("db-1").await;
    let image = rig.create(&id, "stillframe/a").await.unwrap().image_id().unwrap().to_owned();
    let found = rig.settled(&image).await;
    assert_eq!(found.state(), Some(&ImageState::Available));
    assert_eq!(found.name(), Some("stillframe/a"));
    assert_eq!(found.owner_id(), Some("111111111111"));
    assert_eq!(found.source_instance_id(), Some(id.as_str()));
    assert_eq!(found.tags()[0].key(), Some("stillframe:due"));
    assert_eq!(found.tags()[0].value(), Some("2026-11-20T02:30:00Z & <more>"));
    assert_eq!(rig.reboots(&id), 1);

    let snapshots: Vec<&str> =
        found.block_device_mappings().iter().map(|m| m.ebs().unwrap().snapshot_id().unwrap()).collect();
    assert_eq!(snapshots.len(), 2);
    let listed = rig.ec2.describe_snapshots().owner_ids("self").send().await.unwrap();
    for snapshot in listed.snapshots() {
        assert!(snapshots.contains(&snapshot.snapshot_id().unwrap()));
        assert_eq!(snapshot.state(), Some(&SnapshotState::Completed));
        assert!(snapshot.volume_id().unwrap().starts_with("vol-"));
        assert_eq!(snapshot.tags(), found.tags());
    }
    let in_use = rig.ec2.delete_snapshot().snapshot_id(snapshots[0]).send().await;
    assert_eq!(code(in_use), "InvalidSnapshot.InUse");

    assert_eq!(code(rig.create(&id, "stillframe/a").await), "InvalidAMIName.Duplicate");
    assert_eq!(code(rig.create(&id, "02:30").await), "InvalidAMIName.Malformed");
    assert_eq!(rig.reboots(&id), 1, "what is refused reboots nothing");

    let gone = rig.ec2.deregister_image().image_id(&image).delete_associated_snapshots(true).send().await.unwrap();
    let ends: Vec<_> = gone.delete_snapshot_results().iter().map(|r| r.return_code().unwrap().as_str()).collect();
    assert_eq!(ends, ["success", "success"]);
    let again = rig.ec2.deregister_image().image_id(&image).send().await;
    assert_eq!(code(again), "InvalidAMIID.Unavailable");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let rig = rig().await;
    let mut pages =
        rig.ec2.describe_instances().filters(filter("tag:Backup", "night*")).max_results(5).into_paginator().send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.unwrap().reservations().len());
    }
    assert_eq!(sizes, [5, 5, 2]);

    for n in 1..=4 {
        let id = rig.id(&format!("web-{n}")).await;
        rig.create(&id, &format!("stillframe/{n}")).await.unwrap();
        let id = rig.id(&format!("app-{n}")).await;
        rig.create(&id, &format!("other/{n}")).await.unwrap();
    }
    let mut pages =
        rig.ec2.describe_images().owners("self").filters(filter("name", "*/?")).max_results(5).into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        names.extend(page.unwrap().images().iter().map(|i| i.name().unwrap().to_owned()));
    }
    names.sort();
    let mut want: Vec<String> = (1..=4).flat_map(|n| [format!("stillframe/{n}"), format!("other/{n}")]).collect();
    want.sort();
    assert_eq!(names, want);
}

#[tokio::test]
async fn status_checks_begin_anew_after_a_reboot() {
    let rig = rig().await;
    let id = rig.id("web-1").await;
    rig.world.lock().unwrap().reboot_seconds = 1e6;
    rig.ec2.reboot_instances().instance_ids(&id).send().await.unwrap();
    let status = rig.ec2.describe_instance_status().instance_ids(&id).include_all_instances(true).send().await;
    let status = status.unwrap().instance_statuses()[0].clone();
    assert_eq!(status.instance_state().unwrap().name().unwrap().as_str(), "running");
    assert_eq!(status.instance_status().unwrap().status(), Some(&SummaryStatus::Initializing));
    assert_eq!(status.system_status().unwrap().status(), Some(&SummaryStatus::Initializing));
}

#[tokio::test]
async fn faults_reach_the_client_as_on_the_wire() {
    let rig = rig().await;
    let id = rig.id("web-1").await;
    // (what happens, what the client sees, whether the image was made)
    let table: [(FaultKind, &[&str], bool); 5] = [
        (FaultKind::Throttle, &["RequestLimitExceeded"], false),
        (FaultKind::ErrorBefore, &["InternalError"], false),
        (FaultKind::ErrorAfter, &["InternalError"], true),
        (FaultKind::CutBefore, &["dispatch", "response"], false),
        (FaultKind::CutAfter, &["dispatch", "response"], true),
    ];
    for (n, (kind, want, made)) in table.into_iter().enumerate() {
        rig.fault("CreateImage", kind);
        let name = format!("image {n}");
        let before = rig.reboots(&id);
        let seen = code(rig.create(&id, &name).await);
        assert!(want.contains(&seen.as_str()), "{kind:?}: {seen}");
        let found = rig.ec2.describe_images().owners("self").filters(filter("name", &name)).send().await.unwrap();
        assert_eq!(found.images().len(), usize::from(made), "{kind:?}");
        assert_eq!(rig.reboots(&id) - before, usize::from(made), "{kind:?}");
    }
    let world = rig.world.lock().unwrap();
    let last = world.calls.of("CreateImage").next_back().unwrap();
    assert_eq!((last.result.as_str(), last.effect), ("cut", true));
    assert_eq!(last.parameters["NoReboot"], "false");
    assert_eq!(last.parameters["TagSpecification.2.ResourceType"], "snapshot");
    assert_eq!(world.calls.of("CreateImage").count(), table.len(), "each was sent once");
}

#[tokio::test]
async fn accounts_and_regions_come_from_the_signature() {
    let rig = rig().await;
    let stranger = client(&rig.endpoint, "222222222222", "eu-central-1");
    assert!(stranger.describe_instances().send().await.unwrap().reservations().is_empty());
    let elsewhere = client(&rig.endpoint, "111111111111", "us-east-1");
    assert_eq!(code(elsewhere.describe_instances().send().await), "AuthFailure");
    let dry = rig.ec2.delete_snapshot().snapshot_id("snap-00000000000000000").dry_run(true).send().await;
    assert_eq!(code(dry), "InvalidSnapshot.NotFound");
    let id = rig.id("web-1").await;
    let dry = rig.ec2.reboot_instances().instance_ids(&id).dry_run(true).send().await;
    assert_eq!(code(dry), "DryRunOperation");
    assert_eq!(rig.reboots(&id), 0);
}

#[tokio::test]
async fn the_world_is_steered_over_http() {
    let rig = rig().await;
    let id = rig.id("web-1").await;
    let endpoint = rig.endpoint.clone();
    let instance = id.clone();
    // ureq blocks, and the door runs on this thread.
    let (faults, traits, wrong, calls) = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let post = |path: &str, body: &str| {
            let mut answer = agent.post(format!("{endpoint}/_sim/{path}")).send(body).unwrap();
            (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
        };
        let faults = post("faults", r#"[{"api": "CreateImage", "kind": "throttle"}]"#);
        let traits = post(&format!("instances/{instance}"), r#"{"never_healthy": true}"#);
        let wrong = post(&format!("instances/{instance}"), r#"{"never_helthy": true}"#);
        let calls = agent.get(format!("{endpoint}/_sim/calls")).call().unwrap().body_mut().read_to_string().unwrap();
        (faults, traits, wrong, calls)
    })
    .await
    .unwrap();
    assert_eq!((faults.0, traits.0, wrong.0), (200, 200, 400), "{faults:?} {traits:?} {wrong:?}");
    assert!(wrong.1.contains("unknown field `never_helthy`"), "{}", wrong.1);
    assert!(calls.contains(r#""api":"DescribeInstances""#), "{calls}");
    assert_eq!(code(rig.create(&id, "image").await), "RequestLimitExceeded");
    assert!(rig.world.lock().unwrap().instances[&id].traits.never_healthy);
}

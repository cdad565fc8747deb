//! The door of the simulated world beside the ports, which the contract holds: signatures, DryRun, and steering.

use std::sync::{Arc, Mutex};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::{Credentials, Region};
use aws_sdk_ec2::error::SdkError;
use aws_sdk_ec2::operation::create_image::{CreateImageError, CreateImageOutput};
use aws_sdk_ec2::types::Filter;
use stillframe::clock::Clock;
use stillframe::sim::{Fleet, World, door};

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
        self.ec2.create_image().instance_id(instance).name(name).send().await
    }

    fn reboots(&self, instance: &str) -> usize {
        self.world.lock().unwrap().instances[instance].reboot_count()
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
        Err(_) => "other".into(),
    }
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
    let (faults, traits, wrong, calls, trouble) = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let post = |path: &str, body: &str| {
            let mut answer = agent.post(format!("{endpoint}/_sim/{path}")).send(body).unwrap();
            (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
        };
        let faults = post("faults", r#"[{"api": "CreateImage", "kind": "throttle"}]"#);
        let traits = post(&format!("instances/{instance}"), r#"{"never_healthy": true}"#);
        let wrong = post(&format!("instances/{instance}"), r#"{"never_helthy": true}"#);
        let calls = agent.get(format!("{endpoint}/_sim/calls")).call().unwrap().body_mut().read_to_string().unwrap();
        let trouble = ["harsh", "dreadful", "none"].map(|profile| post("trouble", profile));
        assert_eq!(post("complete", "").0, 204);
        (faults, traits, wrong, calls, trouble)
    })
    .await
    .unwrap();
    assert_eq!((faults.0, traits.0, wrong.0), (200, 200, 400), "{faults:?} {traits:?} {wrong:?}");
    assert_eq!(trouble.each_ref().map(|answer| answer.0), [200, 400, 200], "{trouble:?}");
    assert!(trouble[0].1.contains(r#""profile":"harsh""#) && trouble[1].1.contains("typical or harsh"), "{trouble:?}");
    assert!(wrong.1.contains("unknown field `never_helthy`"), "{}", wrong.1);
    assert!(calls.contains(r#""api":"DescribeInstances""#), "{calls}");
    assert_eq!(code(rig.create(&id, "image").await), "RequestLimitExceeded");
    assert!(rig.world.lock().unwrap().instances[&id].traits.never_healthy);
}

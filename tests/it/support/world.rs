//! A simulated EC2 behind its HTTP door, in a thread of the test: what came in on the wire and what is in the world
//! can be read, and steered, beside the processes that talk to it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use stillframe::clock::Clock;
use stillframe::domain::observed::Tags;
use stillframe::domain::sharing::{Grantee, LENT_TAG};
use stillframe::sim::action::Action;
use stillframe::sim::calls::Call;
use stillframe::sim::faults::{Fault, FaultKind};
use stillframe::sim::fleet::{ACCOUNT, Member};
use stillframe::sim::world::Caller;
use stillframe::sim::{Fleet, World, door};
use tokio::sync::oneshot;

use super::site::REGION;

/// A world and its door, which closes with this value.
pub struct Door {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    world: Arc<Mutex<World>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The id of the `n`-th instance of [`fleet`].
pub fn instance(n: usize) -> String {
    format!("i-{n:017x}")
}

/// `tagged` instances with Backup=nightly, then `untagged` ones, with one and two volumes by turns; quick.
pub fn fleet(tagged: usize, untagged: usize) -> Fleet {
    let member = |n: usize| Member {
        id: Some(instance(n)),
        name: Some(format!("server-{n}")),
        tags: if n < tagged { Tags::from([("Backup".into(), "nightly".into())]) } else { Tags::new() },
        ..Member::default()
    };
    Fleet { speed: 20.0, instances: (0..tagged + untagged).map(member).collect(), ..Fleet::demo() }
}

impl Door {
    /// Opens the door of a world that begins with `fleet`.
    pub fn open(fleet: &Fleet) -> Self {
        let world = Arc::new(Mutex::new(fleet.world(Clock::Wall.now()).expect("a fleet that can be")));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("set");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&world);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("registered");
                let stopped = async {
                    let _ = stopped.await; // dropped means the same
                };
                door::serve(listener, shared, Clock::Wall, stopped).await.expect("served");
            });
        });
        Self { endpoint, world, stop: Some(stop), thread: Some(thread) }
    }

    /// The environment of a process that is to talk to it.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        env(&self.endpoint)
    }

    /// The world.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no holder panicked")
    }

    /// The world, to be kept.
    pub fn shared(&self) -> Arc<Mutex<World>> {
        Arc::clone(&self.world)
    }

    /// Carries out an action as a person at the console does, and answers the id of the image that it makes.
    pub fn by_hand(&self, action: &Action) -> String {
        let now = Clock::Wall.now();
        match self.world().call(now, &Caller::new(ACCOUNT), REGION, action) {
            Ok(stillframe::sim::answer::Answer::Image(id)) => id,
            other => panic!("{action:?}: {other:?}"),
        }
    }

    /// Lets the next call of `api` go wrong.
    pub fn fault(&self, api: &str, kind: FaultKind) {
        self.world().faults.push(Fault::once(api, kind));
    }

    /// All calls of one API.
    pub fn calls(&self, api: &str) -> Vec<Call> {
        self.world().calls.of(api).cloned().collect()
    }

    /// How often an instance was rebooted.
    pub fn reboots(&self, id: &str) -> usize {
        self.world().instances[id].reboot_count()
    }

    /// From now on images stay pending until [`Self::complete`].
    pub fn images_take_long(&self) {
        self.world().image_seconds = [1e7, 1e7];
    }

    /// From now on images are made in no time.
    pub fn images_are_quick(&self) {
        self.world().image_seconds = [0.0, 0.0];
    }

    /// Completes all that takes time.
    pub fn complete(&self) {
        self.world().complete(Clock::Wall.now());
    }
}

/// All that is lent in a world: who may use images and snapshots, tags that say so, and grants.
pub fn lent(world: &World) -> Vec<String> {
    let mut lent = Vec::new();
    let mut note = |id: &str, to: &BTreeSet<Grantee>, tags: &Tags| {
        lent.extend(to.iter().map(|who| format!("{id} to {who}")));
        let tags = tags.iter().filter(|(key, _)| key.starts_with(LENT_TAG));
        lent.extend(tags.map(|(key, value)| format!("{id} is tagged {key}={value}")));
    };
    for image in world.images.values().filter(|image| image.registered()) {
        note(&image.id, &image.lent, &image.tags);
    }
    for snapshot in world.snapshots.values() {
        note(&snapshot.id, &snapshot.lent, &snapshot.tags);
    }
    for key in world.keys.values() {
        lent.extend(key.grants.iter().map(|grant| format!("{} to {}", key.arn, grant.grantee)));
    }
    lent
}

/// The environment of a process that is to talk to a door at `endpoint`.
pub fn env(endpoint: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCOUNT.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "simulated".to_owned()),
    ]
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(()); // gone already if it failed
        }
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            panic!("the door failed");
        }
    }
}

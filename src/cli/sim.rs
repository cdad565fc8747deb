//! `stillframe sim`: the simulated world behind its HTTP door.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::io::AsyncReadExt as _;

use crate::clock::Clock;
use crate::report::out;
use crate::sim::trouble::Profile;
use crate::sim::{Fleet, door};

/// Serves a simulated EC2 on loopback, for trying plans, for boto3 and for the AWS CLI. Nothing is saved.
#[derive(Debug, Clone, clap::Args)]
pub struct SimArgs {
    /// Where to listen; loopback only. Port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8485")]
    pub listen: SocketAddr,
    /// The fleet to begin with (JSON); without it, a dozen demonstration instances in eu-central-1.
    #[arg(long, value_name = "FILE")]
    pub fleet: Option<PathBuf>,
    /// Divides every duration of the world: 60 makes a minute of it a second.
    #[arg(long, value_name = "N")]
    pub speed: Option<f64>,
    /// What goes wrong by chance: throttles, server errors and cut connections before or after the effect, late
    /// answers, credentials that expire, regions that fall silent, images that fail or take hours, instances that do
    /// not come back from a reboot. The same seed and requests meet the same trouble.
    #[arg(long, value_enum, value_name = "PROFILE")]
    pub trouble: Option<Profile>,
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// What cannot be read, bound or served, in words for the user.
pub fn run(args: SimArgs) -> Result<(), String> {
    let mut fleet = match &args.fleet {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Fleet::from_json(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => Fleet::demo(),
    };
    if let Some(speed) = args.speed {
        fleet.speed = speed;
    }
    if let Some(trouble) = args.trouble {
        fleet.trouble = trouble;
    }
    let world = fleet.world(Clock::Wall.now()).map_err(|error| match &args.fleet {
        Some(path) => format!("{}: {error}", path.display()),
        None => format!("the demonstration fleet: {error}"),
    })?;
    let (account, region) = (world.account.clone(), world.home_region().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        if !args.listen.ip().is_loopback() {
            return Err(format!("--listen {}: the simulated world is served on loopback only", args.listen));
        }
        let mut signals = signals().map_err(|error| format!("cannot listen for signals: {error}"))?;
        let listener = tokio::net::TcpListener::bind(args.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        announce(address, &account, &region);
        let stopped = async {
            // Any byte, and the end of the pipe too, is a signal.
            let _ = signals.read(&mut [0]).await;
        };
        door::serve(listener, Arc::new(Mutex::new(world)), Clock::Wall, stopped)
            .await
            .map_err(|error| error.to_string())
    })
}

/// What to export, on stdout: whoever started it waits for the first line.
fn announce(address: SocketAddr, account: &str, region: &str) {
    // Whoever asks it for something may well have been told its address by other means.
    let _ = out::facts(&format!(
        "listening on http://{address}\n\
         export AWS_ENDPOINT_URL=http://{address} AWS_ACCESS_KEY_ID={account} AWS_SECRET_ACCESS_KEY=simulated \
         AWS_REGION={region} AWS_DEFAULT_REGION={region} AWS_EC2_METADATA_DISABLED=true\n"
    ));
}

/// Both signals write into one pipe.
fn signals() -> std::io::Result<tokio::net::UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGINT, write.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGTERM, write)?;
    tokio::net::UnixStream::from_std(read)
}

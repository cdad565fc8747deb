//! The service manager's protocol (sd_notify): what systemd is told, if it listens.

use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::engine::host::Host;

/// A stop may take this much longer than the drain deadline before the service manager ends it.
const GRACE: Duration = Duration::from_secs(10);

/// The service manager, or nobody: without `NOTIFY_SOCKET` nothing is sent.
///
/// The socket is our own, since the crate's waits while it is full: whoever does not listen must not hold the engine.
pub struct Manager {
    socket: Option<UnixDatagram>,
    /// Whether it wants to hear that we are alive (`WATCHDOG_USEC`).
    watched: bool,
    said: RefCell<String>,
    deaf: Cell<bool>,
}

impl Manager {
    /// As this process's environment says.
    #[must_use]
    pub fn from_env() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|path| {
            connect(&path).inspect_err(unheard).ok() // we run as well without it
        });
        let watched = sd_notify::watchdog_enabled().is_some();
        Self { socket, watched, said: RefCell::default(), deaf: Cell::default() }
    }

    /// A new configuration is being read; [`Host::ready`] ends it.
    pub fn reloading(&self) {
        // systemd 253 and later match the two by time; earlier ones ignore it.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(_) => self.send(&[NotifyState::Reloading]),
        }
    }

    /// It stops, which takes at most `deadline`.
    pub fn stopping(&self, deadline: Duration) {
        let most = u32::try_from((deadline + GRACE).as_micros()).unwrap_or(u32::MAX);
        let status = format!("stopping: waits up to {} s for calls under way", deadline.as_secs());
        self.send(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(most), NotifyState::Status(&status)]);
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let text = states.iter().fold(String::new(), |mut text, state| {
            let _ = writeln!(text, "{state}"); // a text takes all
            text
        });
        let sent = socket.send(text.as_bytes());
        if let Err(e) = &sent
            && !self.deaf.get()
        {
            unheard(e);
        }
        self.deaf.set(sent.is_err());
    }
}

/// A socket to the service manager that never waits: a path, or with `@` an abstract name.
fn connect(path: &OsStr) -> io::Result<UnixDatagram> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn unheard(e: &io::Error) {
    tracing::warn!(event = "notify.failed", reason = %e, "the service manager cannot be told how this daemon is");
}

impl Host for Manager {
    fn ready(&self) {
        self.send(&[NotifyState::Ready]);
    }

    fn alive(&self) {
        if self.watched {
            self.send(&[NotifyState::Watchdog]);
        }
    }

    fn status(&self, line: &str) {
        if *self.said.borrow() != line {
            line.clone_into(&mut self.said.borrow_mut());
            self.send(&[NotifyState::Status(line)]);
        }
    }
}

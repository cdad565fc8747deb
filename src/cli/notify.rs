//! The service manager's protocol (sd_notify): what systemd is told, if it listens.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::engine::host::Host;

/// A stop may take this much longer than the drain deadline before the service manager ends it.
const GRACE: Duration = Duration::from_secs(10);

/// The service manager, or nobody: without `NOTIFY_SOCKET` nothing is sent.
pub struct Manager {
    /// Whether it wants to hear that we are alive (`WATCHDOG_USEC`).
    watched: bool,
    said: RefCell<String>,
    deaf: RefCell<bool>,
}

impl Manager {
    /// As this process's environment says.
    #[must_use]
    pub fn from_env() -> Self {
        Self { watched: sd_notify::watchdog_enabled().is_some(), said: RefCell::default(), deaf: RefCell::default() }
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
        let sent = sd_notify::notify(states);
        let was_deaf = self.deaf.replace(sent.is_err());
        if let Err(e) = sent
            && !was_deaf
            && e.kind() != io::ErrorKind::WouldBlock
        {
            tracing::warn!(event = "notify.failed", reason = %e, "the service manager cannot be told how we are");
        }
    }
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

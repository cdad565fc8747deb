//! A service manager for one process: the socket that it notifies.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::child::until;
use super::site::Site;

/// How long one read waits.
const WAIT: Duration = Duration::from_millis(25);

/// The socket, and what came in so far.
pub struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    /// A manager of `site`'s processes that wants to hear every `watchdog`.
    pub fn of(site: Site, watchdog: Option<Duration>) -> (Self, Site) {
        let path = site.path("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(WAIT)).expect("set");
        let site = site.with("NOTIFY_SOCKET", path.to_str());
        let site = match watchdog {
            Some(limit) => site.with("WATCHDOG_USEC", Some(&limit.as_micros().to_string())),
            None => site,
        };
        (Self { socket, heard: Vec::new() }, site)
    }

    /// All lines so far, in order.
    pub fn heard(&mut self) -> &[String] {
        let mut message = [0; 4096];
        loop {
            match self.socket.recv(&mut message) {
                Ok(n) => self.heard.extend(String::from_utf8_lossy(&message[..n]).lines().map(str::to_owned)),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return &self.heard,
                Err(e) => panic!("the socket failed: {e}"),
            }
        }
    }

    /// Forgets what came in so far.
    pub fn forget(&mut self) {
        self.heard();
        self.heard.clear();
    }

    /// Waits for a line that begins so.
    ///
    /// # Panics
    /// If it does not come.
    pub fn hears(&mut self, beginning: &str) -> String {
        until(&format!("{beginning} at the service manager"), || {
            self.heard().iter().find(|line| line.starts_with(beginning)).cloned()
        })
    }

    /// Waits for so many lines that are just this.
    ///
    /// # Panics
    /// If they do not come.
    pub fn hears_times(&mut self, line: &str, times: usize) {
        until(&format!("{times} times {line}"), || {
            (self.heard().iter().filter(|heard| *heard == line).count() >= times).then_some(())
        });
    }
}

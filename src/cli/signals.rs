//! Signals as futures: SIGTERM and SIGINT ask to stop, SIGHUP to reload. Nothing happens in a handler.

use std::io;
use std::os::unix::net::UnixStream as StdStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

/// A stream of signals of one meaning.
pub struct Signals {
    stream: UnixStream,
}

impl Signals {
    /// Those that ask to stop: the first drains, the second stops at once. Needs a tokio runtime.
    ///
    /// # Errors
    /// The pipe cannot be made.
    pub fn stops() -> io::Result<Self> {
        Self::of(&[SIGINT, SIGTERM])
    }

    /// Those that ask to read the configuration again. Needs a tokio runtime.
    ///
    /// # Errors
    /// The pipe cannot be made.
    pub fn reloads() -> io::Result<Self> {
        Self::of(&[SIGHUP])
    }

    fn of(signals: &[i32]) -> io::Result<Self> {
        let (read, write) = StdStream::pair()?;
        for signal in signals {
            pipe::register(*signal, write.try_clone()?)?;
        }
        read.set_nonblocking(true)?;
        Ok(Self { stream: UnixStream::from_std(read)? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        let mut byte = [0];
        // The write end lives as long as the process, so this ends by a byte only; an error is taken for one.
        let _ = self.stream.read(&mut byte).await;
    }
}

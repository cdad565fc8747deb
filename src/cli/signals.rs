//! SIGTERM and SIGINT as futures: the first drains, the second stops at once. Nothing happens in a handler.

use std::io;
use std::os::unix::net::UnixStream as StdStream;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

/// The stream of signals that ask to stop.
pub struct Stops {
    stream: UnixStream,
}

impl Stops {
    /// Registers for the signals. Needs a tokio runtime.
    ///
    /// # Errors
    /// The pipe cannot be made.
    pub fn new() -> io::Result<Self> {
        let (read, write) = StdStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            pipe::register(signal, write.try_clone()?)?;
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

//! Reads one file whole, and only what is a file: nothing here waits for a writer, or reads what has no end.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Why a file was not read.
#[derive(Debug)]
pub enum Unread {
    /// A directory, a pipe, a device, a socket.
    NotAFile,
    /// There is more of it than was asked for.
    TooLarge,
    /// It looks like a file, but waits for somebody to write, as `/proc/kmsg` does.
    Waits,
    /// What the system says.
    Io(io::Error),
}

impl From<io::Error> for Unread {
    fn from(e: io::Error) -> Self {
        if e.kind() == ErrorKind::WouldBlock { Self::Waits } else { Self::Io(e) }
    }
}

/// The bytes of the file that `path` names, or that a link there leads to: at most `most` of them.
///
/// # Errors
/// [`Unread`].
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    // Looked at first, since opening a device may already do something; and again, since it may be another by then.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Unread::NotAFile);
    }
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Unread::NotAFile);
    }
    // What counts is what there is to read: the files of /proc have a size of 0.
    let mut bytes = Vec::new();
    File::by_ref(&mut file).take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(Unread::TooLarge) } else { Ok(bytes) }
}

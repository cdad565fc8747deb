//! Writing to stdout and stderr without ever failing the program: `println!` and its like end it where they cannot write.
//!
//! What is printed on stdout is an answer: whoever closes it early has read enough, and only another failure counts. What
//! goes to stderr is for whoever may be there to read it.

use std::io::{self, ErrorKind, Write};

/// Stdout. A reader that has gone is served to the end, as it were.
#[derive(Debug)]
pub struct Facts;

impl Write for Facts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_gone(io::stdout().lock().write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_gone(io::stdout().lock().flush(), ())
    }
}

/// Stderr, where nothing can be done about what cannot be written.
#[derive(Debug)]
pub struct Notes;

impl Write for Notes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Part of it, or none: the rest would fail as well, and is not tried.
        let _ = io::stderr().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints an answer.
///
/// # Errors
/// It could not be written, other than for a reader that has read enough.
pub fn facts(text: &str) -> io::Result<()> {
    Facts.write_all(text.as_bytes()).and_then(|()| Facts.flush())
}

/// Says a line to whoever reads stderr.
pub fn note(line: &str) {
    progress(&format!("{line}\n")); // in one piece, beside others who write
}

/// The same without an end of line.
pub fn progress(text: &str) {
    let _ = Notes.write_all(text.as_bytes()); // it never fails
}

fn unless_gone<T>(result: io::Result<T>, done: T) -> io::Result<T> {
    match result {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(done),
        other => other,
    }
}

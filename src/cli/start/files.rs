//! Whether the files are still there under which an engine works.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::{LOCK, Opened};
use crate::journal::sqlite::FILE as JOURNAL;
use crate::statedir;

/// They are looked at this often.
const WATCH: Duration = Duration::from_secs(5);

impl Opened {
    /// From now on it is noticed when the lock or the journal is removed or replaced under the engine: what it writes then is
    /// lost, and another engine may hold a lock of the same name. Nothing more is begun until they are back.
    pub fn watch_files(&self) {
        let shared = Rc::clone(&self.shared);
        let dir = self.dir.clone();
        let known = |path: &Path| Some((path.to_owned(), statedir::named(path)?));
        let held: Vec<_> = [LOCK, JOURNAL].iter().filter_map(|name| known(&dir.join(name))).collect();
        self.shared.spawn(async move {
            let mut told = false;
            while shared.pause(WATCH).await.is_ok() {
                let gone = held.iter().find(|(path, file)| statedir::named(path) != Some(*file));
                match gone {
                    Some((path, _)) if !told && shared.barred.borrow().is_none() => {
                        let why = format!(
                            "{} was removed or replaced under the running daemon, so that what it writes is lost. Put the \
                             state directory back; or stop stillframe, and start it with --take-over",
                            path.display()
                        );
                        tracing::error!(event = "state.gone", reason = %why, "nothing is begun");
                        shared.bar(why);
                        told = true;
                    }
                    None if told => {
                        tracing::info!(event = "state.back", "the state directory {} is there again", dir.display());
                        shared.unbar();
                        told = false;
                    }
                    _ => {}
                }
            }
        });
    }
}

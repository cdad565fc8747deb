//! The installation file beside the journal: which installation this is, and on which host it lives.
//!
//! A host that was restored or cloned from an image carries the same file; its binding then differs, and nothing
//! may be done until a person takes over. Opening never creates the file: an empty state directory may be a lost
//! one, and only the caller, who sees the images, can tell.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::machine::OwnMachine;
use crate::statedir;

/// The file's name in `daemon.state_dir`.
pub const FILE: &str = "installation.json";

/// The content of the file: the identity, and the binding to a host, each value once it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// A random id, in the tag `stillframe:installation` of all that it makes.
    pub installation: String,
    /// The EC2 instance that the daemon runs on.
    pub instance: Option<String>,
    /// The host's `/etc/machine-id`.
    pub machine_id: Option<String>,
    /// When a person last took over: images of other installations up to then are no alarm.
    #[serde(default)]
    pub taken_over_at: Option<DateTime<Utc>>,
    /// The account that it works in, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// Whether the state directory belongs to this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Neither file nor journal. If images of this daemon name exist, the state directory was lost.
    Fresh,
    /// The binding agrees, as far as it is known.
    Same,
    /// Do nothing until `stillframe run --take-over`.
    Differs {
        /// What contradicts what.
        why: String,
    },
}

/// The opened file.
#[derive(Debug, Clone)]
pub struct InstallationFile {
    path: PathBuf,
    content: Installation,
    /// Whether the content came from the file, or was written to it.
    stored: bool,
    machine_id: Option<String>,
}

/// Opens the file in `state_dir`. `machine_id_path` is `/etc/machine-id`, or nothing for the simulated world.
///
/// Values that have become known are written to a file whose binding agrees.
///
/// # Errors
/// The file cannot be read, understood or written; the text says what to do.
pub fn open(
    state_dir: &Path,
    machine_id_path: Option<&Path>,
    own: &OwnMachine,
    journal_exists: bool,
) -> Result<(InstallationFile, Verdict), String> {
    let path = state_dir.join(FILE);
    let machine_id = machine_id_path.and_then(read_machine_id);
    let stored = read(&path)?;
    statedir::mend(&path, statedir::GROUP_READS); // an earlier version went by the umask
    let mut file = InstallationFile {
        stored: stored.is_some(),
        content: stored.unwrap_or_else(|| Installation {
            installation: uuid::Uuid::new_v4().to_string(),
            instance: None,
            machine_id: None,
            taken_over_at: None,
            account: None,
        }),
        path,
        machine_id,
    };
    let verdict = match (file.stored, journal_exists) {
        (true, _) => file.recheck(own)?,
        (false, false) => Verdict::Fresh,
        (false, true) => missing(&file.path),
    };
    Ok((file, verdict))
}

/// Looks at the file without writing anything: what is in it, and whether it belongs to this host. The rest is as in
/// [`open`].
///
/// # Errors
/// The file cannot be read or understood.
pub fn peek(
    state_dir: &Path,
    machine_id_path: Option<&Path>,
    own: &OwnMachine,
    journal_exists: bool,
) -> Result<(Option<Installation>, Verdict), String> {
    let path = state_dir.join(FILE);
    let content = read(&path)?;
    let verdict = match &content {
        Some(content) => match bind(content, known(own), machine_id_path.and_then(read_machine_id).as_deref()) {
            Ok(_) => Verdict::Same,
            Err(why) => Verdict::Differs { why },
        },
        None if journal_exists => missing(&path),
        None => Verdict::Fresh,
    };
    Ok((content, verdict))
}

fn missing(path: &Path) -> Verdict {
    let path = path.display();
    Verdict::Differs {
        why: format!("{path} is missing beside the journal: put it back, or start with `stillframe run --take-over`"),
    }
}

impl InstallationFile {
    /// The installation's id; a new one, not yet written, where there was no file.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.content.installation
    }

    /// The content.
    #[must_use]
    pub fn content(&self) -> &Installation {
        &self.content
    }

    /// Compares the binding again, when the machine has become known; writes what is new. Nothing is compared
    /// before the file exists.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn recheck(&mut self, own: &OwnMachine) -> Result<Verdict, String> {
        if !self.stored {
            return Ok(Verdict::Fresh);
        }
        match bind(&self.content, known(own), self.machine_id.as_deref()) {
            Ok(bound) => {
                if bound != self.content {
                    write(&self.path, &bound)?;
                    self.content = bound;
                }
                Ok(Verdict::Same)
            }
            Err(why) => Ok(Verdict::Differs { why }),
        }
    }

    /// Writes the file for the first time, bound to this host.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(&mut self, own: &OwnMachine) -> Result<(), String> {
        self.rebind(own, self.content.taken_over_at)
    }

    /// Binds the file to this host because a person said so. An id from the file is kept.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn take_over(&mut self, own: &OwnMachine, now: DateTime<Utc>) -> Result<(), String> {
        self.rebind(own, Some(now))
    }

    /// Writes the account that it works in.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn learn_account(&mut self, account: &str) -> Result<(), String> {
        let known = Installation { account: Some(account.to_owned()), ..self.content.clone() };
        if self.stored {
            write(&self.path, &known)?;
        }
        self.content = known;
        Ok(())
    }

    fn rebind(&mut self, own: &OwnMachine, taken_over_at: Option<DateTime<Utc>>) -> Result<(), String> {
        let bound = Installation {
            installation: self.content.installation.clone(),
            instance: known(own).map(str::to_owned),
            machine_id: self.machine_id.clone(),
            taken_over_at,
            account: None, // a person said that it works here from now on
        };
        write(&self.path, &bound)?;
        self.content = bound;
        self.stored = true;
        Ok(())
    }
}

/// The recorded binding, completed by what is known now, or what contradicts it: a value known now against the
/// recorded one of its kind, the instance id deciding where both have it.
fn bind(recorded: &Installation, instance: Option<&str>, machine_id: Option<&str>) -> Result<Installation, String> {
    let differs = |kind: &str, was: &str, is: &str| {
        Err(format!(
            "the state directory belongs to {kind} {was}, but this is {is}: a restored or cloned host? \
             If the other one no longer runs, start with `stillframe run --take-over`"
        ))
    };
    match (&recorded.instance, instance, &recorded.machine_id, machine_id) {
        (Some(was), Some(is), ..) if was != is => return differs("instance", was, is),
        (Some(_), Some(_), ..) => {}
        (_, _, Some(was), Some(is)) if was != is => return differs("machine-id", was, is),
        _ => {}
    }
    Ok(Installation {
        installation: recorded.installation.clone(),
        instance: instance.map(str::to_owned).or_else(|| recorded.instance.clone()),
        machine_id: machine_id.map(str::to_owned).or_else(|| recorded.machine_id.clone()),
        taken_over_at: recorded.taken_over_at,
        account: recorded.account.clone(),
    })
}

fn known(own: &OwnMachine) -> Option<&str> {
    match own {
        OwnMachine::Instance(id) => Some(id),
        OwnMachine::NotEc2 | OwnMachine::Unknown(_) => None,
    }
}

/// `uninitialized` stands in the file during a first boot (machine-id(5)).
fn read_machine_id(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty() && id != "uninitialized")
}

fn read(path: &Path) -> Result<Option<Installation>, String> {
    let text = match statedir::read(path) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        Err(e) => {
            return Err(format!(
                "cannot read the installation file {}: {e}; the user that runs stillframe must own it",
                path.display()
            ));
        }
    };
    let corrupt = |why: String| {
        format!(
            "the installation file {} is damaged ({why}): restore it from a backup; or, if no other host runs under \
             this daemon name, remove it and start with `stillframe run --take-over`",
            path.display()
        )
    };
    let content: Installation = statedir::parse(&text).map_err(corrupt)?;
    uuid::Uuid::parse_str(&content.installation).map_err(|e| corrupt(format!("installation is no id: {e}")))?;
    Ok(Some(content))
}

fn write(path: &Path, content: &Installation) -> Result<(), String> {
    let attempt = || -> std::io::Result<()> {
        let text = statedir::text(content)?;
        // `status` of a member of the group reads it; it holds no secret.
        statedir::replace(path, &text, statedir::GROUP_READS)
    };
    attempt().map_err(|e| {
        let advice = match e.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free space in its file system",
            _ => "the user that runs stillframe must own the directory, and its file system must be writable",
        };
        format!("cannot write the installation file {}: {e}; {advice}", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: &str) -> OwnMachine {
        OwnMachine::Instance(id.into())
    }

    #[test]
    fn what_is_known_now_contradicts_or_completes() {
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        // recorded instance and machine-id; known now; expected afterwards, or what differs.
        let table = [
            ("i-1 m1", "i-1 m1", Ok("i-1 m1")),
            ("i-1 m1", "i-2 m1", Err("instance i-1")),
            ("i-1 m1", "i-1 m2", Ok("i-1 m2")),
            ("i-1 m1", "- m1", Ok("i-1 m1")),
            ("i-1 m1", "- m2", Err("machine-id m1")),
            ("i-1 m1", "- -", Ok("i-1 m1")),
            ("i-1 -", "- m2", Ok("i-1 m2")),
            ("- m1", "i-2 m1", Ok("i-2 m1")),
            ("- m1", "i-2 m2", Err("machine-id m1")),
            ("- m1", "i-2 -", Ok("i-2 m1")),
            ("- -", "i-2 m2", Ok("i-2 m2")),
        ];
        for (recorded, now, expected) in table {
            let parts = |text: &str| text.split_once(' ').map(|(i, m)| (some(i), some(m))).expect("two words");
            let (i, m) = parts(recorded);
            let record = Installation {
                installation: "x".into(),
                instance: i,
                machine_id: m,
                taken_over_at: None,
                account: None,
            };
            let (i, m) = parts(now);
            match (bind(&record, i.as_deref(), m.as_deref()), expected) {
                (Ok(bound), Ok(text)) => {
                    assert_eq!((bound.instance, bound.machine_id), parts(text), "{recorded} / {now}");
                }
                (Err(why), Err(part)) => assert!(why.contains(part), "{recorded} / {now}: {why}"),
                (got, _) => panic!("{recorded} / {now}: {got:?}"),
            }
        }
    }

    #[test]
    fn the_file_over_its_life() {
        let dir = tempfile::tempdir().expect("a directory");
        let machine = dir.path().join("machine-id");
        fs::write(&machine, "m1\n").expect("written");
        let open = |own: &OwnMachine, journal| open(dir.path(), Some(&machine), own, journal).expect("opens");

        let (mut file, verdict) = open(&OwnMachine::NotEc2, false);
        assert_eq!(verdict, Verdict::Fresh);
        assert!(!dir.path().join(FILE).exists(), "opening creates nothing");
        assert!(matches!(open(&OwnMachine::NotEc2, true).1, Verdict::Differs { .. }));

        file.take_over(&OwnMachine::Unknown("silent".into()), DateTime::UNIX_EPOCH).expect("written");
        let id = file.id().to_owned();
        // The instance becomes known, also on a running daemon, and stays known.
        assert_eq!(file.recheck(&instance("i-1")), Ok(Verdict::Same));
        let (again, verdict) = open(&OwnMachine::NotEc2, false);
        assert_eq!((again.id(), verdict), (id.as_str(), Verdict::Same));
        assert_eq!(again.content().instance.as_deref(), Some("i-1"));

        // A clone: nothing is written until a person takes over, and the id stays.
        let (mut clone, verdict) = open(&instance("i-2"), true);
        assert!(matches!(&verdict, Verdict::Differs { why } if why.contains("--take-over")), "{verdict:?}");
        assert_eq!(clone.content().instance.as_deref(), Some("i-1"));
        clone.take_over(&instance("i-2"), DateTime::UNIX_EPOCH).expect("written");
        let (moved, verdict) = open(&instance("i-2"), true);
        assert_eq!((moved.id(), verdict), (id.as_str(), Verdict::Same));
    }

    #[test]
    fn a_damaged_file_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        for text in ["", "{", "[]", r#"{"installation":""}"#, r#"{"installation":7}"#] {
            fs::write(dir.path().join(FILE), text).expect("written");
            let why = open(dir.path(), None, &OwnMachine::NotEc2, true).expect_err(text);
            assert!(why.contains(FILE) && why.contains("restore it") && why.contains("--take-over"), "{why}");
        }
    }
}

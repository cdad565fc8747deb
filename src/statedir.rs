//! The files of the state directory: how they are opened, written, and for whom they are.
//!
//! Root may run a command in a directory that belongs to the daemon's user. So nothing here follows a symbolic link,
//! waits for a pipe, or writes to a name that somebody else could have prepared; and what root makes belongs to the
//! directory's owner. Whatever the umask, members of the group read what `status` and its like need, and others nothing.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

/// For the owner alone.
pub const PRIVATE: u32 = 0o600;
/// Members of the group read it too.
pub const GROUP_READS: u32 = 0o640;
/// Of a state directory that is made here; one that is there keeps its own.
const DIRECTORY: u32 = 0o750;
/// Never through a link; and a pipe in the place of a file is found out, not waited for.
const CAREFULLY: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// Makes the directory if it is not there.
///
/// # Errors
/// The file system's.
pub fn make(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIRECTORY).create(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(DIRECTORY)) // the umask may have taken the group's part
}

/// Which file it is: its device and its number there, whatever name it has.
pub type Identity = (u64, u64);

/// Which file this is.
#[must_use]
pub fn identity(of: &Metadata) -> Identity {
    (of.dev(), of.ino())
}

/// Which file bears this name, if one does.
#[must_use]
pub fn named(path: &Path) -> Option<Identity> {
    fs::symlink_metadata(path).ok().as_ref().map(identity)
}

/// The file, to read from, if it is there.
///
/// # Errors
/// The file system's; a link, or anything else that is no plain file.
pub fn look(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).custom_flags(CAREFULLY).open(path) {
        Ok(file) => plain(file).map(Some),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(linked(e)),
    }
}

/// What is in the file, if it is there.
///
/// # Errors
/// As [`look`].
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(mut file) = look(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Replaces the file whole: a reader finds the old one or the new one, whatever crashes. It is written under a name
/// that nobody can know beforehand.
///
/// # Errors
/// The file system's; nothing is left beside the file then.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", uuid::Uuid::new_v4().simple()));
    let beside = dir.join(name);
    let write = || {
        let mut file = create_new(&beside, mode)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?; // a link in its place is replaced, not followed
        // The rename itself must last too.
        File::open(dir)?.sync_all()
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&beside); // it may not be there
    })
}

/// Opens the file for writing, and makes it if it is not there; what is in it stays.
///
/// # Errors
/// The file system's; a link, or anything else that is no plain file.
pub fn open(path: &Path, mode: u32) -> io::Result<File> {
    loop {
        match create_new(path, mode) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            made => return made,
        }
        match OpenOptions::new().read(true).write(true).custom_flags(CAREFULLY).open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {} // it went meanwhile
            opened => {
                let file = plain(opened.map_err(linked)?)?;
                settle(&file, path, mode);
                return Ok(file);
            }
        }
    }
}

/// Makes an empty file if nothing is there. One that is there is not opened: closing it would take the locks of SQLite
/// away from a connection of this process.
///
/// # Errors
/// The file system's.
pub fn make_file(path: &Path, mode: u32) -> io::Result<()> {
    match create_new(path, mode) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.map(|_| ()),
    }
}

/// Gives a file that is there its mode and its owner, as far as this user may: an earlier version, or a person, made
/// it otherwise. Not for a file that this process has open.
pub fn mend(path: &Path, mode: u32) {
    if let Ok(Some(file)) = look(path) {
        settle(&file, path, mode);
    }
}

/// Whether anything has this name, a link that leads nowhere too.
#[must_use]
pub fn taken(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// A new file, of the directory's owner, with exactly this mode.
fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE).open(path)?;
    settle(&file, path, mode);
    Ok(file)
}

/// Mode and owner, where they are not right and can be set. Only root can give a file away, and only one that has no
/// other name: that could be anybody's. For others it is theirs already, or the next who opens it says what is wrong.
fn settle(file: &File, path: &Path, mode: u32) {
    let Ok(meta) = file.metadata() else { return };
    if meta.nlink() != 1 {
        return;
    }
    let dir = path.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
    if let Some(Ok(dir)) = dir.map(fs::metadata)
        && meta.uid() != dir.uid()
    {
        let _ = fchown(file, Some(dir.uid()), Some(dir.gid()));
    }
    if mode_of(&meta) != mode {
        let _ = file.set_permissions(Permissions::from_mode(mode));
    }
}

fn mode_of(meta: &Metadata) -> u32 {
    meta.mode() & 0o7777
}

/// Refuses what is no plain file.
fn plain(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(io::Error::new(ErrorKind::IsADirectory, "Is a directory"))
    } else {
        Err(io::Error::other("it is no plain file; move it away"))
    }
}

/// What the kernel calls "too many levels" of a link that is not followed, in words.
fn linked(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::ELOOP) {
        io::Error::other("it is a symbolic link, which is not followed; put the file itself there")
    } else {
        error
    }
}

/// The content of a file of ours that is JSON.
///
/// # Errors
/// It is not what it should be, in words for people.
pub fn parse<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|e| e.to_string())
}

/// The same, as it is written.
///
/// # Errors
/// It has no JSON form.
pub fn text(content: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(content)?;
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{lchown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        mode_of(&fs::symlink_metadata(path).unwrap())
    }

    #[test]
    fn nothing_follows_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let [elsewhere, missing, name] = ["elsewhere", "missing", "name"].map(|name| dir.path().join(name));
        fs::write(&elsewhere, "theirs").unwrap();
        fs::set_permissions(&elsewhere, Permissions::from_mode(0o644)).unwrap();
        for target in [&elsewhere, &missing] {
            let _ = fs::remove_file(&name);
            symlink(target, &name).unwrap();
            for refused in [read(&name).map(|_| ()), open(&name, PRIVATE).map(|_| ())] {
                let why = refused.unwrap_err().to_string();
                assert!(why.contains("symbolic link"), "{why}");
            }
            make_file(&name, PRIVATE).unwrap(); // whoever opens it refuses it
            mend(&name, PRIVATE);
            assert!(taken(&name));
            assert_eq!(mode(&elsewhere), 0o644);
            replace(&name, b"ours", PRIVATE).unwrap();
            assert!(fs::symlink_metadata(&name).unwrap().is_file(), "it took the link's place");
            assert!(!missing.exists());
        }
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "theirs");
        assert_eq!(read(&name).unwrap().as_deref(), Some(b"ours".as_slice()));
    }

    #[test]
    fn a_pipe_or_a_directory_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), dir.path()] {
            assert!(open(path, PRIVATE).is_err(), "{}", path.display());
            assert!(read(path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn modes_are_exact_and_nothing_is_left_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for want in [PRIVATE, GROUP_READS] {
            replace(&path, b"x", want).unwrap();
            assert_eq!(mode(&path), want);
            fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
            drop(open(&path, want).unwrap());
            assert_eq!(mode(&path), want, "one that was there");
            fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
            mend(&path, want);
            assert_eq!(mode(&path), want);
        }
        assert_eq!(read(&dir.path().join("none")).unwrap(), None);
        fs::create_dir(dir.path().join("full")).unwrap();
        replace(&dir.path().join("full"), b"x", PRIVATE).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "what failed left nothing");
    }

    #[test]
    fn what_root_made_belongs_to_the_directorys_owner() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new, two, other] = ["old", "new", "two", "other"].map(|name| dir.path().join(name));
        fs::write(&old, "").unwrap();
        fs::write(&two, "").unwrap();
        fs::hard_link(&two, &other).unwrap();
        let me = fs::metadata(&old).unwrap().uid();
        // Anybody but root has made files of one owner only: then nothing changes.
        let owner = if me == 0 { 4242 } else { me };
        if me == 0 {
            lchown(dir.path(), Some(owner), Some(owner)).unwrap();
        }
        mend(&old, GROUP_READS);
        mend(&two, GROUP_READS);
        replace(&new, b"x", GROUP_READS).unwrap();
        for path in [&old, &new] {
            assert_eq!(fs::metadata(path).unwrap().uid(), owner, "{}", path.display());
        }
        assert_eq!(fs::metadata(&two).unwrap().uid(), me, "it has another name, which may be anybody's");
    }
}

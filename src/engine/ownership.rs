//! To whom the files of the state directory belong: to the directory's owner, whoever made them.
//!
//! Root may run a `backup` before the daemon has ever started. What that leaves must not lock the daemon's user out.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

/// Gives `path` to the owner and the group of its directory. Only root can; for others it is theirs already, or the
/// next who opens it says what is wrong.
pub fn give(path: &Path) {
    let of = |path: &Path| fs::symlink_metadata(path).map(|meta| (meta.uid(), meta.gid()));
    let Some(Ok(dir)) = path.parent().map(of) else { return };
    if of(path).is_ok_and(|own| own.0 != dir.0) {
        let _ = lchown(path, Some(dir.0), Some(dir.1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_made_belongs_to_the_directorys_owner() {
        let dir = tempfile::tempdir().expect("a directory");
        let (file, link) = (dir.path().join("lock"), dir.path().join("link"));
        fs::write(&file, "").expect("written");
        std::os::unix::fs::symlink("/etc/hostname", &link).expect("made");
        let root = fs::metadata(&file).expect("there").uid() == 0;
        // Anybody but root has made files of one owner only: then nothing changes.
        let owner = if root { 4242 } else { fs::metadata(dir.path()).expect("there").uid() };
        if root {
            lchown(dir.path(), Some(owner), Some(owner)).expect("root may");
        }
        for path in [&file, &link, &dir.path().join("missing")] {
            give(path);
        }
        assert_eq!(fs::metadata(&file).expect("there").uid(), owner);
        assert_eq!(fs::symlink_metadata(&link).expect("there").uid(), owner, "the link itself");
        assert!(fs::metadata("/etc/hostname").map_or(true, |meta| meta.uid() != 4242), "not what it points to");
    }
}

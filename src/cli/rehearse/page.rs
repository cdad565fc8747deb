//! The file of the page: tried before the rehearsal, replaced whole after it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A file that can be written.
pub struct Page {
    path: PathBuf,
    temporary: PathBuf,
}

impl Page {
    /// Tries whether `path` can be written, and leaves no trace.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn at(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
            return Err(format!(
                "cannot write the page {shown}: it is a directory; name a file, such as rehearsal.html"
            ));
        };
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}", uuid::Uuid::new_v4().simple()));
        let page = Self { path: path.to_owned(), temporary: path.with_file_name(temporary) };
        page.open().map_err(|e| page.oops(&e))?;
        let _ = fs::remove_file(&page.temporary); // ours, and empty
        Ok(page)
    }

    /// Writes it: a reader finds the old page or the new one, whole.
    ///
    /// # Errors
    /// The file system's, with the path.
    pub fn write(&self, html: &str) -> Result<(), String> {
        let write = || -> std::io::Result<()> {
            let mut file = self.open()?;
            file.write_all(html.as_bytes())?;
            file.sync_all()?;
            fs::rename(&self.temporary, &self.path)
        };
        write().map_err(|e| {
            let _ = fs::remove_file(&self.temporary); // it may not be there
            self.oops(&e)
        })
    }

    fn open(&self) -> std::io::Result<File> {
        // Never what somebody else has put there, in a directory such as /tmp.
        File::options().write(true).create_new(true).open(&self.temporary)
    }

    fn oops(&self, e: &std::io::Error) -> String {
        format!("cannot write the page {}: {e}; its directory must be there and writable", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_replaced_whole_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page.html");
        let page = Page::at(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        page.write("one").unwrap();
        page.write("two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let why = |path: &Path| Page::at(path).err().unwrap();
        assert!(why(dir.path()).contains("is a directory"));
        assert!(why(&dir.path().join("no/page.html")).contains("must be there and writable"));
    }
}

//! Saving and loading a world: one JSON file, replaced atomically.

use std::io;
use std::path::Path;

use super::world::World;
use crate::statedir;

/// The file in the directory given.
pub const FILE: &str = "world.json";

/// The world saved in `dir`, if there is one.
///
/// # Errors
/// It cannot be read, or is not a world.
pub fn load(dir: &Path) -> io::Result<Option<World>> {
    let path = dir.join(FILE);
    let text = match statedir::read(&path) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        Err(error) => return Err(named(&error, "read the simulated world", &path)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: not a simulated world: {error}; delete the file to begin anew", path.display()),
        )
    })
}

/// Writes `world` into `dir`: a reader finds the old file or the new one, whole, whatever crashes.
///
/// # Errors
/// The file system's, with the path.
pub fn save(dir: &Path, world: &World) -> io::Result<()> {
    let path = dir.join(FILE);
    // `preview` and `explain` of a member of the group read it.
    let write = || statedir::replace(&path, &serde_json::to_vec(world)?, statedir::GROUP_READS);
    write().map_err(|error| named(&error, "save the simulated world", &path))
}

fn named(error: &io::Error, what: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} in {}: {error}", path.display()))
}

//! The Python environment of the tests: moto and boto3, pinned by hash, made once under the target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

const REQUIREMENTS: &str = include_str!("requirements.txt");
/// Where the support files lie.
pub const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support");

/// The environment's directory; its interpreter is `venv().join("bin/python")`. Made by the first caller.
///
/// # Panics
/// Without python3, its venv module or the package registry: a test that cannot run has not passed.
pub fn venv() -> &'static Path {
    static VENV: OnceLock<PathBuf> = OnceLock::new();
    VENV.get_or_init(make)
}

/// A command that runs the script `name` of this directory, cut off from any AWS configuration of the machine.
pub fn script(name: &str) -> Command {
    let mut command = Command::new(venv().join("bin/python"));
    command
        .arg(Path::new(HERE).join(name))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    for key in ["AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL"] {
        command.env_remove(key);
    }
    command
}

fn make() -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(base).unwrap_or_else(|e| panic!("cannot make {}: {e}", base.display()));
    // Several test processes may want it at once; the lock goes with the file.
    let lock = base.join("python.lock");
    let lock = File::create(&lock).unwrap_or_else(|e| panic!("cannot make {}: {e}", lock.display()));
    lock.lock().expect("the lock of the tests' Python environment");

    let dir = base.join("python");
    let stamp = dir.join("stillframe-requirements");
    let wanted: String = Sha256::digest(REQUIREMENTS).iter().map(|byte| format!("{byte:02x}")).collect();
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return dir;
    }
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir),
        "make the tests' Python environment",
        "these tests need python3 (3.11 or later) with its venv module (Debian: python3-venv)",
    );
    run(
        Command::new(dir.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"])
            .arg(Path::new(HERE).join("requirements.txt")),
        "install moto and boto3 for the tests",
        "these tests need the Python package registry once (set PIP_INDEX_URL for a mirror)",
    );
    fs::write(&stamp, wanted).unwrap_or_else(|e| panic!("cannot write {}: {e}", stamp.display()));
    dir
}

fn run(command: &mut Command, what: &str, hint: &str) {
    let output = command.output().unwrap_or_else(|e| panic!("cannot {what}: {e}\n{hint}\n{command:?}"));
    assert!(
        output.status.success(),
        "cannot {what}: {}\n{hint}\n{command:?}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

//! Checks that saving can continue after root privileges are dropped.
//!
//! The first file is created as root, then root is dropped (`-Z`). Without this
//! check, creating the second file an hour later would fail. So before the first
//! packet is read, the system is asked whether the next file or its folder is
//! writable and whether the program of `-z` is executable. access(2) respects
//! access control lists and read-only file systems, and creates no file.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Whether a file can be written, or created if it does not exist.
#[cfg(unix)]
pub(crate) fn to_write(file: &Path) -> Result<(), String> {
    use rustix::fs::Access;
    let allowed = match file.exists() {
        true => allows(file, Access::WRITE_OK),
        false => allows(folder(file), Access::WRITE_OK | Access::EXEC_OK),
    };
    match allowed {
        // Cannot be checked now: with -G it may be tomorrow's folder.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        allowed => allowed.map_err(|error| format!("cannot write {}: {error}", file.display())),
    }
}

/// Whether a program can be run; searched for as `execvp` does.
#[cfg(unix)]
pub(super) fn to_run(program: &OsStr) -> Result<(), String> {
    use rustix::fs::Access;
    let found = candidates(program);
    let can_run = |path: &PathBuf| path.is_file() && allows(path, Access::EXEC_OK).is_ok();
    if found.iter().any(can_run) {
        return Ok(());
    }
    let why = match found.iter().any(|path| path.is_file()) {
        true => "no permission",
        false => "no such program",
    };
    Err(format!("cannot be run: {why}"))
}

#[cfg(unix)]
fn allows(path: &Path, access: rustix::fs::Access) -> std::io::Result<()> {
    // The effective user id: `setcap` and `sudo` may change only one of real
    // and effective.
    let flags = rustix::fs::AtFlags::EACCESS;
    Ok(rustix::fs::accessat(rustix::fs::CWD, path, access, flags)?)
}

#[cfg(unix)]
fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Paths at which a program may be.
#[cfg(unix)]
fn candidates(program: &OsStr) -> Vec<PathBuf> {
    const USUAL: &str = "/bin:/usr/bin";
    if Path::new(program).components().count() > 1 {
        return vec![program.into()];
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| USUAL.into());
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .collect()
}

#[cfg(not(unix))]
pub(crate) fn to_write(_file: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn to_run(_program: &OsStr) -> Result<(), String> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_they_will_be() {
        assert_eq!(to_run(OsStr::new("sh")), Ok(()));
        assert_eq!(to_run(OsStr::new("/bin/sh")), Ok(()));
        let missing = to_run(OsStr::new("no-such-program")).unwrap_err();
        assert!(missing.ends_with("no such program"), "{missing}");
        // The current folder is not in PATH, and this file is not executable.
        assert!(to_run(OsStr::new("Cargo.toml")).is_err());
        let refused = to_run(OsStr::new("./Cargo.toml")).unwrap_err();
        assert!(refused.ends_with("no permission"), "{refused}");
    }

    #[test]
    fn files_and_their_folders() {
        assert_eq!(to_write(Path::new("not-there.pcap")), Ok(()));
        assert_eq!(to_write(Path::new("Cargo.toml")), Ok(()));
        assert_eq!(to_write(Path::new("no/such/folder/f")), Ok(()));
        let refused = to_write(Path::new("Cargo.toml/f")).unwrap_err();
        assert!(
            refused.starts_with("cannot write Cargo.toml/f: "),
            "{refused}"
        );
    }
}

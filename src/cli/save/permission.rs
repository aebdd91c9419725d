//! Whether saving can go on as whoever we are by now.
//!
//! The first file is created by root, then root is given up (`-Z`), and an hour
//! later the second file cannot be created. So it is tried before the first
//! packet is read: may we write to the next file or its folder, can we run the
//! program of `-z`? Asked of the system, which knows of access control lists and
//! read-only file systems, without leaving a file behind.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Whether a file can be written, created or not.
#[cfg(unix)]
pub(crate) fn to_write(file: &Path) -> Result<(), String> {
    use rustix::fs::Access;
    let allowed = match file.exists() {
        true => allows(file, Access::WRITE_OK),
        false => allows(folder(file), Access::WRITE_OK | Access::EXEC_OK),
    };
    match allowed {
        // Nobody can tell: with -G it may be tomorrow's folder.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        allowed => allowed.map_err(|error| format!("cannot write {}: {error}", file.display())),
    }
}

/// Whether a program can be run, found as `execvp` finds it.
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
        false => "there is no such program",
    };
    Err(format!("cannot be run: {why}"))
}

#[cfg(unix)]
fn allows(path: &Path, access: rustix::fs::Access) -> std::io::Result<()> {
    // The effective user: `setcap` changes rights, `sudo` may change only one
    // of the two.
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

/// Where a program may be.
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
        assert!(missing.ends_with("there is no such program"), "{missing}");
        // A file here is none of the PATH, and this one cannot be run anyway.
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

//! Who the program is while it parses packets: nobody in particular.
//!
//! ```text
//! as whoever typed the command      as the heir
//! open the interface, the file, … │ read packets, write files
//!                                 └ no root, no groups, no capability, and
//!                                   no way back (no_new_privs)
//! ```
//! A packet comes from anybody, and the code that reads it must not be worth
//! breaking. Opening needs rights; reading what was opened does not.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User, initgroups, setgid, setgroups, setuid};

/// Whom root becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heir {
    /// By name, if it has one.
    name: Option<String>,
    uid: Uid,
    gid: Gid,
    /// It was asked for with `-Z`.
    asked: bool,
}

impl Heir {
    /// The user of `-Z`, else who called sudo, else nobody. `None` when there is
    /// nothing to inherit, or root is to stay root.
    pub(crate) fn choose(asked: Option<&str>) -> Result<Option<Self>, String> {
        if !Uid::effective().is_root() {
            return match asked {
                Some(user) => Err(format!("-Z {user}: only root can become another user")),
                None => Ok(None),
            };
        }
        let heir = match asked {
            Some(name) => Self::named(name, true)?,
            None => match Self::sudo() {
                Some(heir) => heir,
                // A system without nobody is small indeed.
                None => Self::named("nobody", false).unwrap_or(Self {
                    name: None,
                    uid: Uid::from_raw(65_534),
                    gid: Gid::from_raw(65_534),
                    asked: false,
                }),
            },
        };
        Ok(Some(heir).filter(|heir| !heir.uid.is_root()))
    }

    fn named(name: &str, asked: bool) -> Result<Self, String> {
        match User::from_name(name) {
            Ok(Some(user)) => Ok(Self::user(user, asked)),
            Ok(None) => Err(format!("-Z {name}: there is no such user")),
            Err(error) => Err(format!("-Z {name}: {error}")),
        }
    }

    /// Who called sudo. Inside a container that one may be unknown by name.
    fn sudo() -> Option<Self> {
        let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
        let uid = Uid::from_raw(number("SUDO_UID").filter(|uid| *uid != 0)?);
        if let Ok(Some(user)) = User::from_uid(uid) {
            return Some(Self::user(user, false));
        }
        Some(Self {
            name: None,
            uid,
            gid: Gid::from_raw(number("SUDO_GID")?),
            asked: false,
        })
    }

    fn user(user: User, asked: bool) -> Self {
        Self {
            name: Some(user.name),
            uid: user.uid,
            gid: user.gid,
            asked,
        }
    }

    /// Becomes this user, in the groups of that user and no others.
    fn inherit(&self) -> Result<(), Errno> {
        match self.name.as_deref().map(CString::new) {
            Some(Ok(name)) => initgroups(&name, self.gid)?,
            _ => setgroups(&[self.gid])?,
        }
        setgid(self.gid)?;
        setuid(self.uid)?;
        // Root must not come back, whatever the system thinks setuid means.
        match setuid(Uid::from_raw(0)) {
            Ok(()) => Err(Errno::EPERM),
            Err(_) => Ok(()),
        }
    }

    /// Gives a file that root has created to this user, who is going to write it
    /// again. Not what is no file, nor one that somebody has put in its place.
    pub(crate) fn bequeath(&self, path: &Path) -> Result<(), String> {
        if path.as_os_str() == "-" {
            return Ok(());
        }
        let told = |error: io::Error| format!("{}: {error}", path.display());
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(path);
        let file = match file {
            Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => return Ok(()),
            other => other.map_err(told)?,
        };
        let metadata = file.metadata().map_err(told)?;
        if !metadata.is_file() || metadata.nlink() != 1 {
            return Ok(());
        }
        fchown(&file, Some(self.uid.as_raw()), Some(self.gid.as_raw())).map_err(told)
    }

    /// How messages name it.
    pub(crate) fn name(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => format!("uid {}", self.uid),
        }
    }
}

/// Gives up everything that is not needed any more. Called while there is only
/// one thread: capabilities are a thread's own.
pub(crate) fn give_up(heir: Option<&Heir>) -> Result<(), String> {
    if let Some(heir) = heir {
        heir.inherit().map_err(|error| {
            let name = heir.name();
            let hint = match heir.asked {
                true => "",
                false => " (-Z USER names another, -Z root stays root)",
            };
            format!("cannot become {name}: {error}{hint}")
        })?;
    }
    // Root that was asked to stay root keeps what makes it root.
    if !Uid::effective().is_root() {
        drop_capabilities()?;
    }
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_no_new_privs()
        .map_err(|error| format!("cannot refuse new privileges: {error}"))?;
    Ok(())
}

/// Those of a program that was given them (`setcap`), of a container, or of
/// systemd's `AmbientCapabilities`.
#[cfg(target_os = "linux")]
fn drop_capabilities() -> Result<(), String> {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(|error| format!("cannot give up capabilities: {error}"))
}

#[cfg(not(target_os = "linux"))]
fn drop_capabilities() -> Result<(), String> {
    Ok(())
}

/// How to be allowed to capture.
pub(crate) fn how_to_be_allowed() -> String {
    let program = std::env::current_exe().map_or_else(
        |_| "mqttdump".to_owned(),
        |program| program.display().to_string(),
    );
    format!(
        "run it with sudo, or allow this program for good: sudo setcap cap_net_raw=ep {program}"
    )
}

//! Drops privileges before packets are parsed.
//!
//! ```text
//! as the calling user               as the target user
//! open the interface, the file, … │ read packets, write files
//!                                 └ no root, no groups, no capabilities, and
//!                                   no way back (no_new_privs)
//! ```
//! Packets come from untrusted senders. Opening the interface needs privileges;
//! parsing what is read from it does not.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User, initgroups, setgid, setgroups, setuid};
use rustix::fs::OFlags;

#[cfg(target_os = "linux")]
use super::super::sandbox;

/// The user that root changes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetUser {
    /// Its name, if it has one.
    name: Option<String>,
    uid: Uid,
    gid: Gid,
    /// It was given with `-Z`.
    asked: bool,
}

impl TargetUser {
    /// The user of `-Z`, else the caller of sudo, else nobody. `None` if the
    /// process is not root, or is to stay root.
    pub(crate) fn choose(asked: Option<&str>) -> Result<Option<Self>, String> {
        if !Uid::effective().is_root() {
            return match asked {
                Some(user) => Err(format!("-Z {user}: only root can become another user")),
                None => Ok(None),
            };
        }
        let target_user = match asked {
            Some(name) => Self::named(name, true)?,
            None => match Self::sudo() {
                Some(target_user) => target_user,
                // Without a user nobody, use its usual ids.
                None => Self::named("nobody", false).unwrap_or(Self {
                    name: None,
                    uid: Uid::from_raw(65_534),
                    gid: Gid::from_raw(65_534),
                    asked: false,
                }),
            },
        };
        Ok(Some(target_user).filter(|target_user| !target_user.uid.is_root()))
    }

    fn named(name: &str, asked: bool) -> Result<Self, String> {
        match User::from_name(name) {
            Ok(Some(user)) => Ok(Self::user(user, asked)),
            Ok(None) => Err(format!("-Z {name}: no such user")),
            Err(error) => Err(format!("-Z {name}: {error}")),
        }
    }

    /// The caller of sudo. Inside a container the uid may have no name.
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

    /// Changes to this user and its groups.
    fn switch(&self) -> Result<(), Errno> {
        match self.name.as_deref().map(CString::new) {
            Some(Ok(name)) => initgroups(&name, self.gid)?,
            _ => setgroups(&[self.gid])?,
        }
        setgid(self.gid)?;
        setuid(self.uid)?;
        // Verify that root cannot be regained.
        match setuid(Uid::from_raw(0)) {
            Ok(()) => Err(Errno::EPERM),
            Err(_) => Ok(()),
        }
    }

    /// Changes the owner of a file created by root to this user, who will write it
    /// again. Skips what is not a regular file, and a file that was replaced.
    pub(crate) fn give_file(&self, path: &Path) -> Result<(), String> {
        if path.as_os_str() == "-" {
            return Ok(());
        }
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        let file = match file {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Ok(());
            }
            other => other.map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.nlink() != 1 {
            return Ok(());
        }
        fchown(&file, Some(self.uid.as_raw()), Some(self.gid.as_raw())).map_err(failed)
    }

    /// The name used in messages.
    pub(crate) fn name(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => format!("uid {}", self.uid),
        }
    }
}

/// Drops all privileges that are no longer needed. Call it while there is one
/// thread: capabilities belong to threads.
pub(crate) fn drop_privileges(target_user: Option<&TargetUser>) -> Result<(), String> {
    if let Some(target_user) = target_user {
        // It needs a capability that is lost with root.
        #[cfg(target_os = "linux")]
        sandbox::empty_bounding_set()?;
        target_user.switch().map_err(|error| {
            let name = target_user.name();
            let hint = match target_user.asked {
                true => "",
                false => " (-Z USER names another, -Z root stays root)",
            };
            format!("cannot become {name}: {error}{hint}")
        })?;
    }
    #[cfg(target_os = "linux")]
    match Uid::effective().is_root() {
        // With `-Z root`, capabilities are kept.
        true => sandbox::refuse_new_privileges()?,
        false => sandbox::drop_capabilities()?,
    }
    Ok(())
}

/// How to get permission to capture.
pub(crate) fn permission_hint() -> String {
    let program = std::env::current_exe().map_or_else(
        |_| "mqttdump".to_owned(),
        |program| program.display().to_string(),
    );
    format!("run it with sudo, or grant the capability: sudo setcap cap_net_raw=ep {program}")
}

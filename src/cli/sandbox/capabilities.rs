//! Capabilities and new privileges.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};

/// What root keeps to read and write files of other users, as one expects of root.
const FILES: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);

/// Gives up what reading files does not need. The user stays: as another one, root could
/// not open the next of the files that were named.
pub(super) fn keep_files() -> Result<(), String> {
    refuse_new_privileges()?;
    let there = capabilities(None).map_err(failed)?;
    match there.effective.intersects(FILES) {
        true => {
            empty_bounding_set_but(FILES)?;
            keep(FILES)
        }
        false => drop_capabilities(),
    }
}

/// Gives up all capabilities. They may come from `setcap`, a container, or systemd's
/// `AmbientCapabilities`.
pub(crate) fn drop_capabilities() -> Result<(), String> {
    refuse_new_privileges()?;
    empty_bounding_set()?;
    keep(CapabilitySet::empty())
}

/// No set-user-ID program and no program with capabilities of its own gets any.
pub(crate) fn refuse_new_privileges() -> Result<(), String> {
    set_no_new_privs(true).map_err(|error| format!("cannot refuse new privileges: {error}"))
}

/// Empties the set of capabilities that any program started later could have.
pub(crate) fn empty_bounding_set() -> Result<(), String> {
    empty_bounding_set_but(CapabilitySet::empty())
}

fn empty_bounding_set_but(kept: CapabilitySet) -> Result<(), String> {
    for capability in CapabilitySet::all().difference(kept).iter() {
        match remove_capability_from_bounding_set(capability) {
            // Unknown to this kernel; not allowed without CAP_SETPCAP.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

fn keep(kept: CapabilitySet) -> Result<(), String> {
    let there = capabilities(None).map_err(failed)?;
    let rest = CapabilitySets {
        effective: there.effective & kept,
        permitted: there.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, rest).map_err(failed)
}

fn failed(error: Errno) -> String {
    format!("cannot give up capabilities: {error}")
}

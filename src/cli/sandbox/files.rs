//! Landlock: which files can be opened, and that no TCP connection is made.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
};

use super::{Sandbox, place};

/// The newest version whose rights are known here. Older kernels lack some.
const KNOWN: ABI = ABI::V5;

/// Restricts this thread and those that it starts.
pub(super) fn restrict(sandbox: &Sandbox) -> Result<(), String> {
    let status = apply(sandbox).map_err(|error| format!("files are not restricted: {error}"))?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => {
            Err("this kernel restricts files in part: its Landlock is older".into())
        }
        RulesetStatus::NotEnforced => {
            Err("files are not restricted: this kernel has no Landlock".into())
        }
    }
}

fn apply(sandbox: &Sandbox) -> Result<RestrictionStatus, RulesetError> {
    let all = AccessFs::from_all(KNOWN);
    let mut ruleset = Ruleset::default().handle_access(all)?;
    if !sandbox.names {
        ruleset = ruleset.handle_access(AccessNet::from_all(KNOWN))?;
    }
    let mut rules = ruleset.create()?;
    if sandbox.names {
        // The resolver reads its settings, and libraries.
        allow(&mut rules, "/".as_ref(), AccessFs::from_read(KNOWN))?;
    }
    for path in &sandbox.reads {
        allow(&mut rules, path, AccessFs::ReadFile.into())?;
    }
    for path in &sandbox.writes {
        allow(&mut rules, &place(path), all)?;
    }
    rules.restrict_self()
}

/// What cannot be opened now, such as a file that is not there, needs no rule: it cannot
/// be opened later either.
fn allow(
    rules: &mut RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<(), RulesetError> {
    let Ok(file) = PathFd::new(path) else {
        return Ok(());
    };
    let access = match path.is_dir() {
        true => access & !AccessFs::Execute,
        false => access & (AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate),
    };
    match rules.add_rule(PathBeneath::new(file, access)) {
        Ok(_) => Ok(()),
        // Pipes and sockets of /proc/self/fd: they are not restricted.
        Err(RulesetError::AddRules(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

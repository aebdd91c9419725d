//! Gives up what a run does not need, before it reads the first packet.
//!
//! | given up | by |
//! |---|---|
//! | capabilities, also of programs started later | capset(2), the bounding set |
//! | new privileges, as of set-user-ID programs | `no_new_privs` |
//! | files but the inputs and the folders of outputs; TCP ports and connections | Landlock |
//! | starting programs, connecting, tracing, mounting, loading kernel code … | seccomp |
//!
//! Rust and the limits of [`mqttdump::limits`] are the first line; this is for faults in
//! libpcap and for those that are not known. What the kernel does not offer is
//! passed over, and reported with `-v`.
//!
//! Programs of `-z` would inherit all of it, and what they do is not known here. So with
//! `-z` new privileges are refused, and nothing else.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
mod files;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::console::complain;

#[cfg(all(target_os = "linux", feature = "live"))]
pub(crate) use capabilities::{drop_capabilities, empty_bounding_set, refuse_new_privileges};

/// What a run needs.
#[derive(Debug, Default)]
pub(crate) struct Sandbox {
    /// A command has said what it writes.
    is_on: bool,
    /// Files that are read.
    reads: Vec<PathBuf>,
    /// Files and folders that are written.
    pub(crate) writes: Vec<PathBuf>,
    /// Programs are started.
    pub(crate) programs: bool,
    /// Names of hosts may have to be resolved, in a BPF expression.
    pub(crate) names: bool,
    /// Report what could not be given up.
    verbose: bool,
    is_done: AtomicBool,
}

impl Sandbox {
    /// For a run that reads these files.
    pub(crate) fn reading<'a>(files: impl IntoIterator<Item = &'a Path>) -> Self {
        Self {
            reads: files.into_iter().map(Path::to_owned).collect(),
            ..Self::default()
        }
    }

    /// Confines the run to this. Not called, a run is not confined.
    pub(crate) fn confine<'a>(
        &mut self,
        verbose: bool,
        writes: impl IntoIterator<Item = Option<&'a Path>>,
    ) {
        self.is_on = true;
        self.verbose = verbose;
        let writes = writes.into_iter().flatten();
        self.writes.extend(writes.map(Path::to_owned));
    }

    /// Gives up everything else, for good. Call it while there is one thread; a second
    /// call has no effect.
    pub(crate) fn enter(&self) {
        if !self.is_on || self.is_done.swap(true, Ordering::Relaxed) {
            return;
        }
        for problem in self.problems() {
            if self.verbose {
                complain(&format!("sandbox: {problem}"));
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.programs {
            problems.extend(capabilities::refuse_new_privileges().err());
            problems.push("only new privileges are refused, because of -z".into());
            return problems;
        }
        problems.extend(capabilities::keep_files().err());
        problems.extend(files::restrict(self).err());
        problems.extend(calls::restrict(self.names).err());
        problems
    }

    #[cfg(not(target_os = "linux"))]
    fn problems(&self) -> Vec<String> {
        vec!["this system has none that is supported".into()]
    }
}

/// What must be writable for a file: its folder, or the nearest that exists, as a name
/// may have parts that depend on the time (`%Y`). Of a folder, a device or a pipe, itself.
#[cfg(target_os = "linux")]
fn place(path: &Path) -> PathBuf {
    let real = path.canonicalize();
    if let Ok(real) = &real
        && !real.is_file()
    {
        return real.clone();
    }
    let mut folder = real.as_deref().unwrap_or(path);
    loop {
        folder = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ if folder.is_absolute() => Path::new("/"),
            _ => Path::new("."),
        };
        if folder.is_dir() {
            return folder.to_owned();
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn folders_of_outputs() {
        let folder = |path: &str| place(path.as_ref());
        assert_eq!(folder("a.pcap"), Path::new("."));
        assert_eq!(folder("no/such/%Y/a.pcap"), Path::new("."));
        assert_eq!(folder("src/no/such/a.pcap"), Path::new("src"));
        assert_eq!(folder("/no-such-folder/a"), Path::new("/"));
        assert_eq!(
            folder("src"),
            Path::new("src").canonicalize().expect("a folder")
        );
        assert_eq!(folder("/dev/null"), Path::new("/dev/null"));
    }
}

//! `-z`: runs a program for each completed file.
//!
//! ```text
//! file complete ─→ waiting ─→ running ─→ reaped; a bad exit status is reported
//!                     └─────→ skipped, if the ring reuses the file first
//! ```
//!
//! The program gets the file's name as its only argument, as in tcpdump, without
//! a shell. It runs in a process group of its own, so that Ctrl-C does not
//! interrupt it, and at the lowest priority, so that it does not slow the
//! capture. mqttdump waits for all of them before it exits.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use mqttdump::limits::{SAVE_COMMANDS, SAVE_COMMANDS_WAITING};

use super::super::console::complain;

/// Running programs, and files still waiting for theirs.
#[derive(Debug)]
pub(super) struct Commands {
    program: OsString,
    running: Vec<(Child, PathBuf)>,
    waiting: VecDeque<PathBuf>,
    /// At least one could not be run or exited with an error.
    failed: bool,
    /// The warning that they are too slow was printed.
    slow: bool,
    most_waiting: usize,
}

impl Commands {
    pub(super) fn new(program: OsString) -> Self {
        Self {
            program,
            running: Vec::new(),
            waiting: VecDeque::new(),
            failed: false,
            slow: false,
            most_waiting: SAVE_COMMANDS_WAITING,
        }
    }

    pub(super) fn program(&self) -> &OsString {
        &self.program
    }

    /// Adds a completed file.
    pub(super) fn completed(&mut self, file: PathBuf) {
        self.waiting.push_back(file);
        self.poll();
        if self.waiting.len() > self.most_waiting {
            if !std::mem::replace(&mut self.slow, true) {
                complain(&format!(
                    "-z {}: {} files are waiting for it; capturing is paused",
                    self.program.display(),
                    self.most_waiting
                ));
            }
            self.wait_for_one();
        }
    }

    /// A file is about to be overwritten.
    pub(super) fn overwriting(&mut self, file: &Path) {
        self.poll();
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting != file);
        let trouble = if self.waiting.len() < before {
            "before the program could run"
        } else if self.running.iter().any(|(_, running)| running == file) {
            "while the program is running"
        } else {
            return;
        };
        self.failed = true;
        complain(&format!(
            "-z {} {}: the file is overwritten {trouble}",
            self.program.display(),
            file.display()
        ));
    }

    /// Reaps programs that have ended, and starts waiting ones.
    pub(super) fn poll(&mut self) {
        let mut index = 0;
        while let Some((child, _)) = self.running.get_mut(index) {
            match child.try_wait() {
                Ok(None) => index += 1,
                ended => {
                    let (_, file) = self.running.swap_remove(index);
                    self.report(&file, ended.map(Option::unwrap_or_default));
                }
            }
        }
        while self.running.len() < SAVE_COMMANDS
            && let Some(file) = self.waiting.pop_front()
        {
            self.start(file);
        }
    }

    /// Waits for all; returns whether all succeeded.
    pub(super) fn finish(mut self) -> bool {
        self.poll();
        while !self.running.is_empty() {
            self.wait_for_one();
        }
        !self.failed
    }

    fn start(&mut self, file: PathBuf) {
        let mut command = Command::new(&self.program);
        command.arg(&file).stdin(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        match command.spawn() {
            Ok(child) => {
                yield_to_others(&child);
                self.running.push((child, file));
            }
            Err(error) => {
                self.failed = true;
                complain(&format!(
                    "-z {} {}: cannot run: {error}",
                    self.program.display(),
                    file.display()
                ));
            }
        }
    }

    fn wait_for_one(&mut self) {
        if !self.running.is_empty() {
            let (mut child, file) = self.running.remove(0);
            let ended = child.wait();
            self.report(&file, ended);
        }
        self.poll();
    }

    fn report(&mut self, file: &Path, ended: std::io::Result<ExitStatus>) {
        let trouble = match ended {
            Ok(status) if status.success() => return,
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        self.failed = true;
        complain(&format!(
            "-z {} {}: {trouble}",
            self.program.display(),
            file.display()
        ));
    }
}

/// As in tcpdump, the lowest priority. Failure is ignored.
#[cfg(unix)]
fn yield_to_others(child: &Child) {
    use rustix::process::{Pid, setpriority_process};
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let _ = setpriority_process(id, 19);
}

#[cfg(not(unix))]
fn yield_to_others(_child: &Child) {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn few_programs_run_at_once_and_few_files_wait() {
        // Its argument is the file: seconds to sleep.
        let mut commands = Commands {
            most_waiting: 3,
            ..Commands::new("sleep".into())
        };
        let mut most = (0, 0);
        for n in 0..SAVE_COMMANDS + 6 {
            commands.completed("0.4".into());
            most.0 = most.0.max(commands.running.len());
            most.1 = most.1.max(commands.waiting.len());
            // The last three have to wait for one that ends.
            assert!(!commands.slow || n > SAVE_COMMANDS);
        }
        assert_eq!(most, (SAVE_COMMANDS, 3));
        assert!(commands.slow);
        assert!(commands.finish(), "all have succeeded");
    }
}

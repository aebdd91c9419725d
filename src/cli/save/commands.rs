//! `-z`: a program for each file that is complete.
//!
//! ```text
//! file complete ─→ waiting ─→ running ─→ reaped: its exit status is told if bad
//!                     └─────→ not run: the ring came round to the file first
//! ```
//!
//! The program gets the file's name as its only argument, as in tcpdump: there
//! is no shell. It has its own process group, so that the Ctrl-C that ends us
//! does not end it half-way, and the lowest priority, so that it takes nothing
//! from capturing. We wait for all of them before we end.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use mqttdump::limits::{SAVE_COMMANDS, SAVE_COMMANDS_WAITING};

use super::super::console::complain;

/// The programs that run, and the files that wait for theirs.
#[derive(Debug)]
pub(super) struct Commands {
    program: OsString,
    running: Vec<(Child, PathBuf)>,
    waiting: VecDeque<PathBuf>,
    /// At least one did not do what it should.
    failed: bool,
    /// It was said that they are too slow.
    slow: bool,
}

impl Commands {
    pub(super) fn new(program: OsString) -> Self {
        Self {
            program,
            running: Vec::new(),
            waiting: VecDeque::new(),
            failed: false,
            slow: false,
        }
    }

    pub(super) fn program(&self) -> &OsString {
        &self.program
    }

    /// A file is complete.
    pub(super) fn completed(&mut self, file: PathBuf) {
        self.waiting.push_back(file);
        self.turn();
        if self.waiting.len() > SAVE_COMMANDS_WAITING {
            if !std::mem::replace(&mut self.slow, true) {
                complain(&format!(
                    "-z {}: {SAVE_COMMANDS_WAITING} files wait for it, so capturing has to wait too",
                    self.program.display()
                ));
            }
            self.wait_for_one();
        }
    }

    /// A file is about to be written again.
    pub(super) fn overwriting(&mut self, file: &Path) {
        self.turn();
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting != file);
        let trouble = if self.waiting.len() < before {
            "before this could be done"
        } else if self.running.iter().any(|(_, running)| running == file) {
            "while this is being done"
        } else {
            return;
        };
        self.failed = true;
        complain(&format!(
            "-z {} {}: the file is written again {trouble}",
            self.program.display(),
            file.display()
        ));
    }

    /// Looks after those that have ended, and starts what can be started.
    pub(super) fn turn(&mut self) {
        let mut index = 0;
        while let Some((child, _)) = self.running.get_mut(index) {
            match child.try_wait() {
                Ok(None) => index += 1,
                ended => {
                    let (_, file) = self.running.swap_remove(index);
                    self.told(&file, ended.map(Option::unwrap_or_default));
                }
            }
        }
        while self.running.len() < SAVE_COMMANDS
            && let Some(file) = self.waiting.pop_front()
        {
            self.start(file);
        }
    }

    /// Waits for all; returns whether all did what they should.
    pub(super) fn finish(mut self) -> bool {
        self.turn();
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
            self.told(&file, ended);
        }
        self.turn();
    }

    fn told(&mut self, file: &Path, ended: std::io::Result<ExitStatus>) {
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

/// Like tcpdump: the lowest priority. Nothing is lost if that fails.
#[cfg(unix)]
fn yield_to_others(child: &Child) {
    use rustix::process::{Pid, setpriority_process};
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let _ = setpriority_process(id, 19);
}

#[cfg(not(unix))]
fn yield_to_others(_child: &Child) {}

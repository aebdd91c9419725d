//! Runs the binary.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The program, in UTC, without colour, in the project's root folder, so that
/// file names in messages are the same everywhere.
pub fn mqttdump() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttdump"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    command
}

/// Runs it and waits.
#[track_caller]
pub fn run(args: &[&str]) -> Run {
    Run::from(mqttdump().args(args).output().expect("the program starts"))
}

/// Runs it with these bytes on standard input.
#[track_caller]
pub fn run_with_input(args: &[&str], input: &[u8]) -> Run {
    let mut child = mqttdump()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // It may stop reading early; that is its affair.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer ends");
    Run::from(output)
}

/// Output of a run.
#[derive(Debug)]
pub struct Run {
    pub out: String,
    pub err: String,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
}

impl Run {
    /// Standard output, if the run succeeded and had nothing to complain of.
    #[track_caller]
    pub fn clean(self) -> String {
        assert_eq!(
            (self.code, self.err.as_str()),
            (Some(0), ""),
            "{}",
            self.out
        );
        self.out
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }
}

/// A path inside the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A folder that goes away with this value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "folder-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir_all(&path).expect("the test folder can be made");
        Self(path)
    }

    /// Where a file in it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same, to be typed.
    pub fn name(&self, name: &str) -> String {
        let path = self.path(name);
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    /// Writes a file and returns its name.
    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).expect("the test folder can be written");
        self.name(name)
    }

    /// Its files, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("the folder");
        let names = entries.flatten().map(|entry| entry.file_name());
        let mut names: Vec<_> = names.map(|n| n.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A file that goes away with this value.
#[derive(Debug)]
pub struct TempFile(PathBuf);

impl TempFile {
    /// A file with these bytes.
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir_all(&folder).expect("the test folder can be made");
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("the test folder can be written");
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Some(folder) = self.0.parent() {
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

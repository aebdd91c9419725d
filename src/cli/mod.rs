//! The outer ring: arguments in, exit code out.
//!
//! Only the binary has it, so that nothing in the library can come to depend
//! on it. What was typed ([`args`]) becomes a plan ([`config`]), which is then
//! carried out ([`run`]). Here alone standard output, standard error and exit
//! codes are known:
//!
//! | code | |
//! |---|---|
//! | 0 | done; a reader who closed the pipe is content too |
//! | 1 | `check` has findings at or above `--fail-on` |
//! | 2 | something that was asked for could not be done or read |

mod args;
mod check;
mod closing;
mod config;
mod explain;
mod gate;
mod generate;
mod keylog;
#[cfg(feature = "metrics")]
mod listen;
#[cfg(feature = "live")]
mod live;
mod output;
mod overhead;
mod progress;
mod run;
mod save;
mod settings;
mod signals;
mod source;
mod view;
mod watch;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::Args;
use config::{Surroundings, Task};

/// Reads the arguments and does what they say.
pub(crate) fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return not_arguments(&error),
    };
    let around = Surroundings {
        stdin_terminal: io::stdin().is_terminal(),
        stdin_file: std::fs::metadata("/dev/stdin").is_ok_and(|it| it.is_file()),
        stdout_terminal: io::stdout().is_terminal(),
        stderr_terminal: io::stderr().is_terminal(),
        columns: terminal_size::terminal_size().map(|(width, _)| width.0.into()),
        colour: anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
        is_file: &Path::is_file,
    };
    match Task::new(args, &around) {
        Ok(Task::Generate(what)) => match generate::write(what, &mut io::stdout().lock()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                complain(&format!("standard output: {error}"));
                ExitCode::from(2)
            }
            _ => ExitCode::SUCCESS,
        },
        Ok(Task::Check(plan)) => check::run(&plan),
        Ok(Task::Overhead(plan)) => overhead::run(&plan),
        Ok(Task::Interfaces) => list_interfaces(),
        Ok(Task::Explain(rules)) => explain::run(&rules),
        Ok(Task::Read(plan)) => match run::run(&plan) {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(2),
        },
        Err(message) => {
            complain(&message);
            ExitCode::from(2)
        }
    }
}

/// `-D`. Without live capture it was refused before.
fn list_interfaces() -> ExitCode {
    #[cfg(feature = "live")]
    match live::list() {
        Ok(lines) => {
            // A reader who went away is content.
            let _ = io::stdout().lock().write_all(lines.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(message) => complain(&message),
    }
    ExitCode::from(2)
}

/// `--help`, `--version`, or a mistake.
fn not_arguments(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nothing can be done about a reader who went away.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => {
            complain(&in_short(&error.render().to_string()));
            ExitCode::from(2)
        }
    }
}

/// What is wrong, without the usage that follows: one clear message.
fn in_short(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let lines: Vec<_> = message
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n")
}

/// A message on standard error, in the way of all messages.
fn complain(message: &str) {
    let _ = writeln!(io::stderr().lock(), "mqttdump: {message}");
}

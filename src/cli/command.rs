//! The interface of a command: its name, its options, and how to run it.
//!
//! A command is a file with a struct of options that implements [`Command`],
//! and an entry in [`COMMANDS`](super::commands::COMMANDS). Parsing, help, the
//! manual page, completions and the settings file follow from these two.

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::{ArgMatches, Args, FromArgMatches};

use super::stop::Stop;
use super::surroundings::Surroundings;

/// A command, implemented by the struct of its options.
pub(crate) trait Command: Args + FromArgMatches {
    /// Name of the subcommand; empty for reading.
    const NAME: &'static str;
    /// One line of help.
    const ABOUT: &'static str;
    /// First paragraph of `--help`; [`Command::ABOUT`] if empty.
    const DESCRIPTION: &'static str = "";
    /// Synopsis, one line for each form.
    const USAGE: &'static str;
    /// Example command lines, each with a remark, for `--help` and the manual page.
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[];
    /// Options shown by `-h`, by long name or letter; `--help` shows all.
    const SHORT_HELP: &'static [&'static str];
    /// Options that the settings file may set, by long name. The file comes with a
    /// repository, so options that write files, run programs or read other files
    /// are excluded.
    const SETTINGS: &'static [&'static str] = &[];

    /// Runs the command.
    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop>;
}

/// Exit code of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Done: 0.
    Success,
    /// `check` has findings at or above `--fail-on`: 1.
    Findings,
    /// Something requested could not be done or read: 2. It has been reported.
    Trouble,
}

impl Exit {
    /// Success if `done`, else trouble.
    pub(crate) fn success(done: bool) -> Self {
        match done {
            true => Self::Success,
            false => Self::Trouble,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Findings => Self::from(1),
            Exit::Trouble => Self::from(2),
        }
    }
}

/// A command in the table of commands.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) examples: &'static [(&'static str, &'static str)],
    pub(crate) settings: &'static [&'static str],
    pub(crate) short_help: &'static [&'static str],
    define: fn(clap::Command) -> clap::Command,
    run: fn(&ArgMatches, &Surroundings<'_>) -> Result<Exit, Stop>,
}

impl Entry {
    /// The entry of a command.
    pub(crate) const fn of<C: Command>() -> Self {
        Self {
            name: C::NAME,
            usage: C::USAGE,
            examples: C::EXAMPLES,
            settings: C::SETTINGS,
            short_help: C::SHORT_HELP,
            define: define::<C>,
            run: run::<C>,
        }
    }

    /// The definition of its options.
    pub(crate) fn define(&self) -> clap::Command {
        let name = match self.name {
            "" => "mqttdump",
            name => name,
        };
        let usage = self.usage.replace('\n', "\n       ");
        (self.define)(clap::Command::new(name))
            .override_usage(usage)
            .max_term_width(100)
            .version(clap::crate_version!())
            .disable_version_flag(!self.name.is_empty())
            .disable_help_subcommand(true)
            // An option given twice replaces the first, so that aliases and habits
            // (`-n -nn`, `-s 0 -s 0`) never fail.
            .args_override_self(true)
            .after_long_help(self.examples_text())
    }

    /// Runs the command with these options.
    pub(crate) fn run(
        &self,
        matches: &ArgMatches,
        around: &Surroundings<'_>,
    ) -> Result<Exit, Stop> {
        (self.run)(matches, around)
    }

    fn examples_text(&self) -> String {
        let width = self.examples.iter().map(|(line, _)| line.len()).max();
        let width = width.unwrap_or(0);
        let mut text = String::new();
        for (line, remark) in self.examples {
            text += match text.is_empty() {
                true => "Examples:",
                false => "",
            };
            text += &format!("\n  {line:width$}  {remark}");
        }
        text
    }
}

/// All commands: reading, which has no name, and the others.
#[derive(Clone, Copy)]
pub(crate) struct Commands {
    pub(crate) read: &'static Entry,
    pub(crate) others: &'static [&'static Entry],
}

impl Commands {
    /// The definition of the program.
    pub(crate) fn define(&self) -> clap::Command {
        self.others.iter().fold(self.read.define(), |root, entry| {
            root.subcommand(entry.define())
        })
    }

    /// The command of this name.
    pub(crate) fn named(&self, word: &OsStr) -> Option<&'static Entry> {
        self.others
            .iter()
            .copied()
            .find(|entry| word == OsStr::new(entry.name))
    }
}

fn define<C: Command>(command: clap::Command) -> clap::Command {
    // Doc comments of the option groups describe structs, not the command.
    let command = C::augment_args(command).about(C::ABOUT);
    match C::DESCRIPTION {
        "" => command.long_about(None),
        text => command.long_about(text),
    }
}

fn run<C: Command>(matches: &ArgMatches, around: &Surroundings<'_>) -> Result<Exit, Stop> {
    let options = C::from_arg_matches(matches).map_err(|error| Stop::Failed(error.to_string()))?;
    options.run(around)
}

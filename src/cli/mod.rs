//! The command line: arguments in, exit code out.
//!
//! It belongs to the binary, so nothing in the library can depend on it. The
//! arguments are parsed into a command and its options ([`parse`]), which the
//! command runs ([`command`], [`commands`]). Standard output, standard error and
//! exit codes are used only here:
//!
//! | code | |
//! |---|---|
//! | 0 | done; a closed pipe is success |
//! | 1 | `check` has findings at or above `--fail-on` |
//! | 2 | something requested could not be done or read |

mod annotate;
mod args;
mod baseline;
mod bounded;
mod check;
mod checksum;
mod closing;
mod command;
mod commands;
mod console;
mod counts;
mod driver;
mod explain;
mod export;
mod fields;
mod gate;
mod generate;
mod hanging;
mod help;
mod hex;
mod in_order;
mod keylog;
#[cfg(feature = "metrics")]
mod listen;
#[cfg(feature = "live")]
mod live;
mod look_ahead;
mod markdown;
mod matching;
mod memory;
mod merge;
mod messages;
mod nearest;
mod output;
mod overhead;
mod parse;
mod parse_error;
mod progress;
mod range;
mod read;
mod reading;
mod records;
mod redact;
mod reduce;
mod reread;
mod sandbox;
mod save;
mod sessions;
mod settings;
mod shard;
mod signals;
mod source;
mod state;
mod stats;
mod stop;
mod surroundings;
mod tables;
mod unmatched;
mod view;
mod watch;
mod zone;

use std::process::ExitCode;

use command::Exit;
use commands::COMMANDS;
use console::complain;
use parse::Parsed;
use stop::Stop;
use surroundings::Surroundings;

/// Parses the arguments and runs the command.
pub(crate) fn main() -> ExitCode {
    #[cfg(unix)]
    signals::keep_on_at_the_size_limit();
    let exit = match run() {
        Ok(exit) => exit,
        Err(Stop::ReaderGone) => Exit::Success,
        Err(Stop::Failed(message)) => {
            complain(&message);
            Exit::Trouble
        }
    };
    exit.into()
}

fn run() -> Result<Exit, Stop> {
    let around = Surroundings::find();
    let words = std::env::args_os().skip(1).collect();
    match parse::parse(&COMMANDS, words, &around)? {
        Parsed::Run(entry, matches) => entry.run(&matches, &around),
        Parsed::Print(text) => {
            output::print(&text)?;
            Ok(Exit::Success)
        }
        Parsed::Complain(text) => {
            output::print_error(&text);
            Ok(Exit::Trouble)
        }
    }
}

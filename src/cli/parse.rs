//! Parses the command line into a command and its options.
//!
//! ```text
//! mqttdump -v check f --allow-empty
//!   │ the command first, so that options may stand anywhere
//! mqttdump check -v f --allow-empty
//!   │ options of the settings file first, so that typed ones replace them
//! mqttdump check --fail-on=warning -v f --allow-empty
//!   │ clap
//! Entry of check, its ArgMatches
//! ```
//! Without a command's name the words belong to the reading command.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches};

use super::command::{Commands, Entry};
use super::gate::is_bpf_word;
use super::generate::{self, Generate};
use super::help;
use super::nearest::nearest;
use super::parse_error::in_short;
use super::settings;
use super::surroundings::{Stdin, Surroundings};

/// Result of parsing.
pub(crate) enum Parsed {
    /// A command, with its options.
    Run(&'static Entry, ArgMatches),
    /// Text for standard output: help, the version, or a generated page.
    Print(Vec<u8>),
    /// Text for standard error: usage, because there were no arguments.
    Complain(String),
}

/// Parses the command line, without the program's name.
pub(crate) fn parse(
    commands: &Commands,
    words: Vec<OsString>,
    around: &Surroundings<'_>,
) -> Result<Parsed, String> {
    if words.is_empty() && around.stdin == Stdin::Nothing {
        return Ok(Parsed::Complain(help::short(commands, commands.read)));
    }
    let words = command_first(commands, words);
    let (entry, typed) = match words.split_first() {
        Some((first, rest)) => match commands.named(first) {
            Some(entry) => (entry, rest),
            None => (commands.read, &words[..]),
        },
        None => (commands.read, &words[..]),
    };
    if entry.name.is_empty() {
        refuse_a_misspelt_command(commands, typed, around)?;
    }
    let parse = |words: &[OsString]| {
        let name = OsString::from("mqttdump");
        let words = [name].into_iter().chain(words.iter().cloned());
        entry.define().try_get_matches_from(words)
    };
    let matches = match parse(typed) {
        Ok(matches) => matches,
        Err(error) => return not_options(commands, entry, typed, &error),
    };
    if let Ok(Some(what)) = matches.try_get_one::<Generate>("generate") {
        return generate::text(commands, *what).map(Parsed::Print);
    }
    let set = settings::read(entry, &matches)?;
    if set.is_empty() {
        return Ok(Parsed::Run(entry, matches));
    }
    match parse(&[&set[..], typed].concat()) {
        Ok(matches) => Ok(Parsed::Run(entry, matches)),
        Err(error) => Err(in_short(&error)),
    }
}

/// Moves the command's name to the front: the first word that is neither an
/// option nor an option's value.
fn command_first(commands: &Commands, mut words: Vec<OsString>) -> Vec<OsString> {
    // Nearly always; the options of all commands take a million instructions to define.
    let is_name = |word: &OsString| word == "help" || commands.named(word).is_some();
    match words.first() {
        Some(first) if commands.named(first).is_some() => return words,
        _ if !words.iter().any(is_name) => return words,
        _ => {}
    }
    let root = commands.define();
    let Some(at) = first_word(&root, &words) else {
        return words;
    };
    if words[at] == "help" {
        words[at] = "--help".into();
        return match first_word(&root, &words) {
            Some(_) => command_first(commands, words),
            None => words,
        };
    }
    if commands.named(&words[at]).is_some() {
        let name = words.remove(at);
        words.insert(0, name);
    }
    words
}

/// Rejects a misspelt command, such as `mqttdump chek f`: libpcap would resolve
/// the first word as a host name.
fn refuse_a_misspelt_command(
    commands: &Commands,
    words: &[OsString],
    around: &Surroundings<'_>,
) -> Result<(), String> {
    let is_file = |word: &OsString| (around.is_file)(Path::new(word));
    let is_known = |word: &OsString| {
        let text = word.to_string_lossy();
        text.starts_with('-') || is_bpf_word(&text) || is_file(word)
    };
    if words.iter().all(is_known) {
        return Ok(());
    }
    let Some(at) = first_word(&commands.define(), words) else {
        return Ok(());
    };
    let (word, rest) = (&words[at], &words[at + 1..]);
    let Some(text) = word.to_str().filter(|text| !is_bpf_word(text)) else {
        return Ok(());
    };
    let names = || commands.others.iter().map(|entry| entry.name);
    if is_file(word) {
        return Ok(());
    }
    if let Some(name) = nearest(text, names()) {
        return Err(format!("no such command '{text}': did you mean {name}?"));
    }
    let is_name = text.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_name && rest.first().is_some_and(is_file) {
        let names: Vec<_> = names().collect();
        return Err(format!(
            "no such command '{text}'; expected one of {}",
            names.join(", ")
        ));
    }
    Ok(())
}

/// `--help`, `--version`, or a usage error.
fn not_options(
    commands: &Commands,
    entry: &'static Entry,
    typed: &[OsString],
    error: &clap::Error,
) -> Result<Parsed, String> {
    match error.kind() {
        ErrorKind::DisplayHelp if typed.iter().any(|word| word == "--help") => {
            Ok(Parsed::Print(help::long(commands, entry).into()))
        }
        ErrorKind::DisplayHelp => Ok(Parsed::Print(help::short(commands, entry).into())),
        ErrorKind::DisplayVersion => Ok(Parsed::Print(error.render().to_string().into())),
        ErrorKind::UnknownArgument => {
            let others = option_of_others(commands, entry, error);
            Err(others.unwrap_or_else(|| in_short(error)))
        }
        _ => Err(in_short(error)),
    }
}

/// The error message for an option that only other commands have.
fn option_of_others(commands: &Commands, entry: &Entry, error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let option = option.split('=').next().unwrap_or(option);
    let has = |other: &&&Entry| other.define().get_arguments().any(|arg| is(arg, option));
    let all = commands.others.iter().chain([&commands.read]);
    let homes: Vec<&str> = all.filter(has).map(|other| shown(other)).collect();
    let (last, before) = homes.split_last()?;
    let homes = match before {
        [] => (*last).to_owned(),
        _ => format!("{} and {last}", before.join(", ")),
    };
    Some(match entry.name {
        "" if option == "--filter" => {
            format!(
                "--filter is an option of {homes}; without a command, type the expression without an option"
            )
        }
        "" => format!("{option} is an option of {homes}"),
        name => format!("{option} is an option of {homes}, not of {name}"),
    })
}

/// The name of a command in messages.
fn shown(entry: &Entry) -> &'static str {
    match entry.name {
        "" => "mqttdump without a command",
        name => name,
    }
}

fn is(arg: &Arg, option: &str) -> bool {
    match option.strip_prefix("--") {
        Some(long) => {
            arg.get_long() == Some(long)
                || arg
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(&long))
        }
        None => option.strip_prefix('-').is_some_and(|letters| {
            let mut letters = letters.chars();
            arg.get_short() == letters.next() && letters.next().is_none()
        }),
    }
}

/// Index of the first word that is neither an option nor an option's value.
fn first_word(root: &clap::Command, words: &[OsString]) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let text = word.to_string_lossy();
        if text == "--" {
            return None;
        }
        if !text.starts_with('-') || text == "-" {
            return Some(at);
        }
        at += 1 + usize::from(wants_value(root, &text));
    }
    None
}

/// Whether the next word is the option's value.
fn wants_value(root: &clap::Command, word: &str) -> bool {
    let takes_value = |option: &str| {
        let of = |command: &clap::Command| {
            let mut arguments = command.get_arguments();
            arguments.any(|arg| is(arg, option) && arg.get_action().takes_values())
        };
        of(root) || root.get_subcommands().any(of)
    };
    if word.starts_with("--") {
        return !word.contains('=') && takes_value(word);
    }
    // Combined letters: the value follows the first one that takes one.
    let mut letters = word.chars().skip(1);
    match letters.find(|letter| takes_value(&format!("-{letter}"))) {
        Some(_) => letters.next().is_none(),
        None => false,
    }
}

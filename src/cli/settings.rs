//! `.mqttdump.toml`: settings of a repository.
//!
//! ```toml
//! [check]
//! fail-on = "warning"
//! allow = ["delivered-qos"]
//! baseline = "captures/known.txt"
//! max-ack-ms = 500
//! max-bytes-per-message = ["alarm/#=300", "500"]
//! level = "l3"
//! require-qos = ["alarm/#=1"]
//! ```
//!
//! The nearest file is used: in the current folder, or in one above it up to the
//! repository's root (where `.git` is). A section is a command, a key is one of
//! its long options ([`Entry::settings`]).
//!
//! A setting becomes an option placed *before* the typed ones. An option given
//! twice replaces the first, and lists are appended, so typed options take
//! precedence without any merging code, and settings are validated like options.
//! An environment variable for the same option takes precedence over the file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches};

use super::command::Entry;
use super::parse_error::in_short;

const NAME: &str = ".mqttdump.toml";
/// Maximum size of a settings file.
const MOST_BYTES: u64 = 1 << 20;

/// Options that can also be set by an environment variable.
const ENVIRONMENT: [(&str, &str); 1] = [("color", "NO_COLOR")];

/// The options that the settings file sets for a command.
pub(crate) fn read(entry: &Entry, typed: &ArgMatches) -> Result<Vec<OsString>, String> {
    if entry.settings.is_empty() {
        return Ok(Vec::new());
    }
    let given = typed.try_get_one::<PathBuf>("config").ok().flatten();
    let path = match given {
        Some(path) => path.clone(),
        None => match std::env::current_dir().ok().and_then(|dir| nearest(&dir)) {
            Some(path) => path,
            None => return Ok(Vec::new()),
        },
    };
    let text = super::bounded::read_text(&path, MOST_BYTES)
        .map_err(|error| format!("--config {}: {error}", path.display()))?;
    options(entry, &text, &path).map_err(|error| format!("{}: {error}", path.display()))
}

/// `line 3: unknown field …`, without the source snippet that the parser adds.
fn in_one_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!(
            "line {}: {}",
            before.matches('\n').count() + 1,
            error.message()
        ),
        None => error.message().to_owned(),
    }
}

fn nearest(from: &Path) -> Option<PathBuf> {
    for folder in from.ancestors() {
        let path = folder.join(NAME);
        if path.is_file() {
            return Some(path);
        }
        if folder.join(".git").exists() {
            break;
        }
    }
    None
}

/// The options that `text` sets for this command.
fn options(entry: &Entry, text: &str, path: &Path) -> Result<Vec<OsString>, String> {
    let definition = entry.define();
    let file: toml::Table = toml::from_str(text).map_err(|error| in_one_line(text, &error))?;
    let section = match file.get(entry.name) {
        None => return Ok(Vec::new()),
        Some(toml::Value::Table(section)) => section,
        Some(_) => return Err(format!("'{0}' is a section: [{0}]", entry.name)),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut options = Vec::new();
    for (key, value) in section {
        let arg = definition
            .get_arguments()
            .find(|arg| arg.get_long() == Some(key) && entry.settings.contains(&key.as_str()))
            .ok_or_else(|| {
                format!(
                    "unknown setting '{key}' in [{}]; there are {}",
                    entry.name,
                    entry.settings.join(", ")
                )
            })?;
        let in_environment = |(option, variable): &(&str, &str)| {
            option == key && std::env::var_os(variable).is_some_and(|value| !value.is_empty())
        };
        if !ENVIRONMENT.iter().any(in_environment) {
            options.extend(option(arg, key, value, folder)?);
        }
    }
    let words = std::iter::once("mqttdump".into()).chain(options.iter().cloned());
    match definition.try_get_matches_from(words) {
        Ok(_) => Ok(options),
        Err(error) => Err(in_short(&error)),
    }
}

/// A setting as command-line options.
fn option(
    arg: &Arg,
    key: &str,
    value: &toml::Value,
    folder: &Path,
) -> Result<Vec<OsString>, String> {
    let list = match value {
        toml::Value::Array(values) if matches!(arg.get_action(), ArgAction::Append) => &values[..],
        one => std::slice::from_ref(one),
    };
    let is_path = arg.get_value_hint() == clap::ValueHint::FilePath;
    let mut options = Vec::new();
    for value in list {
        let text = match value {
            toml::Value::Boolean(on) if !arg.get_action().takes_values() => {
                if *on {
                    options.push(format!("--{key}").into());
                }
                continue;
            }
            toml::Value::String(text) if is_path => {
                let mut option = OsString::from(format!("--{key}="));
                option.push(folder.join(text));
                options.push(option);
                continue;
            }
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            other => {
                return Err(format!(
                    "{key}: expected {}, found {}",
                    match arg.get_action() {
                        ArgAction::Append => "a string, a number or a list of these",
                        action if action.takes_values() => "a string or a number",
                        _ => "true or false",
                    },
                    other.type_str()
                ));
            }
        };
        options.push(format!("--{key}={text}").into());
    }
    Ok(options)
}

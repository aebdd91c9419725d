//! `-h`, which fits a screen, and `--help`, which lists everything.

use super::command::{Commands, Entry};

/// The text of `--help`.
pub(crate) fn long(commands: &Commands, entry: &Entry) -> String {
    definition(commands, entry)
        .render_long_help()
        .ansi()
        .to_string()
}

/// The text of `-h`: the most used options in one list, and a pointer to the
/// rest.
pub(crate) fn short(commands: &Commands, entry: &Entry) -> String {
    let name = match entry.name {
        "" => "mqttdump".to_owned(),
        name => format!("mqttdump {name}"),
    };
    let mut command = definition(commands, entry)
        .mut_args(|arg| {
            let letter = arg.get_short().map(String::from);
            let is_shown = [arg.get_long(), letter.as_deref()]
                .into_iter()
                .flatten()
                .any(|name| entry.short_help.contains(&name));
            let takes_value = arg.get_action().takes_values();
            let arg = arg.help_heading(None::<&str>).hide(!is_shown);
            let first = arg.get_help().map(|help| first_clause(&help.to_string()));
            let arg = match first {
                Some(help) => arg.help(help),
                None => arg,
            };
            match takes_value {
                true => arg.hide_possible_values(true).hide_default_value(true),
                false => arg,
            }
        })
        .disable_help_flag(true)
        .disable_version_flag(true)
        .after_help(format!("All options and examples: {name} --help"));
    command.render_help().ansi().to_string()
}

/// The first clause of an option's help.
fn first_clause(help: &str) -> String {
    let ends = ["; ", ": ", ". ", " ["];
    let end = ends.iter().filter_map(|end| help.find(end)).min();
    help.get(..end.unwrap_or(help.len()))
        .unwrap_or(help)
        .to_owned()
}

fn definition(commands: &Commands, entry: &Entry) -> clap::Command {
    match entry.name {
        "" => commands.define(),
        _ => entry.define(),
    }
}

//! The table of commands, from which parsing, help, the manual page and shell
//! completions are built.

use super::check::CheckArgs;
use super::command::{Commands, Entry};
use super::explain::ExplainArgs;
use super::fields::FieldsArgs;
use super::merge::MergeArgs;
use super::overhead::OverheadArgs;
use super::read::ReadArgs;
use super::redact::RedactArgs;
use super::reduce::ReduceArgs;
use super::sessions::SessionsArgs;
use super::shard::ShardArgs;
use super::stats::StatsArgs;
use super::tables::TablesArgs;

/// All commands, in the order of help.
pub(crate) static COMMANDS: Commands = Commands {
    read: &const { Entry::of::<ReadArgs>() },
    others: &[
        &const { Entry::of::<CheckArgs>() },
        &const { Entry::of::<OverheadArgs>() },
        &const { Entry::of::<SessionsArgs>() },
        &const { Entry::of::<StatsArgs>() },
        &const { Entry::of::<ShardArgs>() },
        &const { Entry::of::<TablesArgs>() },
        &const { Entry::of::<MergeArgs>() },
        &const { Entry::of::<RedactArgs>() },
        &const { Entry::of::<ReduceArgs>() },
        &const { Entry::of::<FieldsArgs>() },
        &const { Entry::of::<ExplainArgs>() },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn definitions() -> Vec<clap::Command> {
        let mut root = COMMANDS.define();
        root.build();
        let others: Vec<_> = root.get_subcommands().cloned().collect();
        std::iter::once(root).chain(others).collect()
    }

    #[test]
    fn the_definitions_are_sound() {
        COMMANDS.define().debug_assert();
    }

    #[test]
    fn every_option_has_help_and_a_heading() {
        for command in definitions() {
            for arg in command.get_arguments() {
                let id = arg.get_id().as_str();
                if matches!(id, "help" | "version") {
                    continue;
                }
                let name = command.get_name();
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.len() > 10, "{name} {id} has no help");
                assert!(!help.ends_with('.'), "{name} {id}: no full stop");
                assert!(arg.get_help_heading().is_some(), "{name} {id}: no heading");
            }
        }
    }

    #[test]
    fn no_letter_differs_from_tcpdump() {
        // The letters of tcpdump 4.99 with the same meaning here. Add a new letter
        // to this list only after checking tcpdump's. -V differs (in tcpdump: a file
        // that lists captures), -Y is tshark's, and tcpdump has no -o.
        let same = "ABCDFGQSUWXZacdehilnpqrstvwxyz#";
        for command in definitions() {
            for arg in command.get_arguments() {
                if let Some(letter) = arg.get_short() {
                    assert!(
                        same.contains(letter) || matches!(letter, 'V' | 'Y' | 'o'),
                        "-{letter}"
                    );
                }
            }
        }
    }

    /// Options are parsed before the command they belong to is known.
    #[test]
    fn an_option_of_several_commands_takes_a_value_in_all_or_none() {
        let mut kinds = BTreeMap::new();
        for command in definitions() {
            for arg in command.get_arguments() {
                let takes = arg.get_action().takes_values();
                let long = arg.get_long().map(|long| format!("--{long}"));
                let short = arg.get_short().map(|short| format!("-{short}"));
                for name in [long, short].into_iter().flatten() {
                    let known = *kinds.entry(name.clone()).or_insert(takes);
                    assert_eq!(known, takes, "{name} of {}", command.get_name());
                }
            }
        }
    }

    #[test]
    fn settings_and_short_help_name_options() {
        let entries = [&COMMANDS.read].into_iter().chain(COMMANDS.others);
        for entry in entries {
            let command = entry.define();
            let has = |name: &str| {
                command.get_arguments().any(|arg| {
                    arg.get_long() == Some(name)
                        || arg
                            .get_short()
                            .is_some_and(|letter| name == letter.to_string())
                })
            };
            for name in entry.settings.iter().chain(entry.short_help) {
                assert!(has(name), "{} has no --{name}", entry.name);
            }
        }
    }
}

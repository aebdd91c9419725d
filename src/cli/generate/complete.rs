//! Shell completions: clap's, extended by names that clap does not know.
//!
//! Rules and profiles are written into the script. Interfaces depend on the
//! machine, so the script runs `mqttdump -D`.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, Command};
use clap_complete::{Generator, Shell};
use mqttdump::overhead;
use mqttdump::rules::RULES;

use super::super::command::Commands;

/// For bash.
pub(super) fn bash(commands: &Commands) -> String {
    let mut script = String::new();
    let mut is_interface = false;
    for line in generated(Shell::Bash, commands).lines() {
        let case = line.trim();
        if case.ends_with(')') && case.starts_with('-') {
            is_interface = matches!(case, "--interface)" | "-i)");
        }
        let line = match line.strip_suffix("COMPREPLY=(\"${cur}\")") {
            Some(indent) if is_interface => {
                format!(
                    "{indent}COMPREPLY=($(compgen -W \"$(_mqttdump_interfaces)\" -- \"${{cur}}\"))"
                )
            }
            _ => line.to_owned(),
        };
        script += &line;
        script.push('\n');
    }
    script
        + "\n_mqttdump_interfaces() {\n    mqttdump -D 2>/dev/null | sed 's/^[0-9]*\\.\\([^ ]*\\).*/\\1/'\n}\n"
}

/// For zsh.
pub(super) fn zsh(commands: &Commands) -> String {
    const INTERFACES: &str = "\
_mqttdump_interfaces() {
    local -a interfaces
    interfaces=(${(f)\"$(mqttdump -D 2>/dev/null | sed 's/^[0-9]*\\.\\([^ ]*\\).*/\\1/')\"})
    compadd -a interfaces
}

";
    let script = generated(Shell::Zsh, commands)
        .replace(":IF: ' \\", ":IF:_mqttdump_interfaces' \\")
        // A single word may also be a file.
        .replace(
            "\":: :_mqttdump_commands\" \\",
            "\":: :{_mqttdump_commands; _files}\" \\",
        );
    match script.split_once("\n\n") {
        // The first line, `#compdef`, has to stay the first.
        Some((first, rest)) => format!("{first}\n\n{INTERFACES}{rest}"),
        None => script,
    }
}

/// For fish.
pub(super) fn fish(commands: &Commands) -> String {
    const INTERFACES: &str =
        " -f -a \"(mqttdump -D 2>/dev/null | string replace -r '^\\d+\\.(\\S+).*' '\\$1')\"";
    let mut script = String::new();
    for line in generated(Shell::Fish, commands).lines() {
        script += line;
        if line.contains(" -l interface ") {
            script += INTERFACES;
        }
        script.push('\n');
    }
    script
}

fn generated(shell: Shell, commands: &Commands) -> String {
    let mut command = definition(commands);
    command.set_bin_name("mqttdump");
    command.build();
    let mut script = Vec::new();
    // Into memory, because clap_complete panics on write errors.
    shell.generate(&command, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The program without the BPF expression, next to which shells do not complete
/// subcommands, and with names as values.
fn definition(commands: &Commands) -> Command {
    let root = commands.read.define();
    let options = root.get_arguments().filter(|arg| !arg.is_positional());
    let program = Command::new("mqttdump")
        .version(clap::crate_version!())
        .disable_help_subcommand(true)
        .args(options.cloned().map(named));
    commands.others.iter().fold(program, |program, entry| {
        program.subcommand(entry.define().mut_args(named))
    })
}

fn named(arg: Arg) -> Arg {
    let names: Vec<PossibleValue> = match arg.get_id().as_str() {
        "rule" | "allow" => RULES.iter().map(|rule| rule.id.into()).collect(),
        "link" => overhead::profiles()
            .into_keys()
            .map(PossibleValue::new)
            .collect(),
        _ => return arg,
    };
    arg.value_parser(PossibleValuesParser::new(names))
}

//! The manual page and the shells' completions, from the definitions of the
//! options.

use clap::ValueEnum;
use clap_complete::Shell;

use super::command::Commands;

/// What `--generate` writes.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Generate {
    /// The manual page, in roff
    Man,
    /// Completions for bash
    CompleteBash,
    /// Completions for zsh
    CompleteZsh,
    /// Completions for fish
    CompleteFish,
}

/// What was asked for.
pub(crate) fn text(commands: &Commands, what: Generate) -> Result<Vec<u8>, String> {
    let mut command = commands.define();
    // Generators write to memory, because clap_complete panics when it cannot
    // write, and a closed pipe is no reason to.
    let mut text = Vec::new();
    match what {
        Generate::Man => clap_mangen::Man::new(command)
            .render(&mut text)
            .map_err(|error| error.to_string())?,
        Generate::CompleteBash => complete(Shell::Bash, &mut command, &mut text),
        Generate::CompleteZsh => complete(Shell::Zsh, &mut command, &mut text),
        Generate::CompleteFish => complete(Shell::Fish, &mut command, &mut text),
    }
    Ok(text)
}

fn complete(shell: Shell, command: &mut clap::Command, out: &mut Vec<u8>) {
    clap_complete::generate(shell, command, "mqttdump", out);
}

//! The manual page and shell completions, generated from the option definitions.

mod complete;
mod man;

use clap::ValueEnum;

use super::command::Commands;

/// What `--generate` prints.
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

/// The generated text.
pub(crate) fn text(commands: &Commands, what: Generate) -> Result<Vec<u8>, String> {
    match what {
        Generate::Man => man::page(commands).map_err(|error| error.to_string()),
        Generate::CompleteBash => Ok(complete::bash(commands).into()),
        Generate::CompleteZsh => Ok(complete::zsh(commands).into()),
        Generate::CompleteFish => Ok(complete::fish(commands).into()),
    }
}

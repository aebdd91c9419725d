//! The manual page and the shells' completions, from the definitions of the
//! options.

mod complete;
mod man;

use clap::ValueEnum;

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
    match what {
        Generate::Man => man::page(commands).map_err(|error| error.to_string()),
        Generate::CompleteBash => Ok(complete::bash(commands).into()),
        Generate::CompleteZsh => Ok(complete::zsh(commands).into()),
        Generate::CompleteFish => Ok(complete::fish(commands).into()),
    }
}

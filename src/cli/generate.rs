//! The manual page and the shells' completions, from the argument definitions.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::{Args, Generate};

/// Writes what was asked for.
pub(crate) fn write(what: Generate, out: &mut dyn Write) -> io::Result<()> {
    let mut command = Args::command();
    // Generators write to memory, because clap_complete panics when it cannot
    // write, and a closed pipe is no reason to.
    let mut text = Vec::new();
    match what {
        Generate::Man => clap_mangen::Man::new(command).render(&mut text)?,
        Generate::CompleteBash => complete(Shell::Bash, &mut command, &mut text),
        Generate::CompleteZsh => complete(Shell::Zsh, &mut command, &mut text),
        Generate::CompleteFish => complete(Shell::Fish, &mut command, &mut text),
    }
    out.write_all(&text)?;
    out.flush()
}

fn complete(shell: Shell, command: &mut clap::Command, out: &mut Vec<u8>) {
    clap_complete::generate(shell, command, "mqttdump", out);
}

//! The environment of the program as a value, so that tests need no terminal.

use std::fs::FileType;
use std::io::{self, IsTerminal};
use std::path::Path;

/// Terminals and files around the program.
pub(crate) struct Surroundings<'a> {
    /// Type of standard input.
    pub(crate) stdin: Stdin,
    /// Standard output is a terminal.
    pub(crate) stdout_terminal: bool,
    /// Standard error is a terminal.
    pub(crate) stderr_terminal: bool,
    /// Columns of the terminal at standard output.
    pub(crate) columns: Option<usize>,
    /// Standard output supports colour: a capable terminal, and no `NO_COLOR`.
    pub(crate) colour: bool,
    /// Whether a path names an existing file.
    pub(crate) is_file: &'a dyn Fn(&Path) -> bool,
}

/// Type of standard input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stdin {
    /// A terminal, or nothing.
    Nothing,
    /// A regular file.
    File,
    /// A pipe or socket, which may still grow.
    Pipe,
}

impl Surroundings<'static> {
    /// Inspects standard input.
    pub(crate) fn find() -> Self {
        Self {
            stdin: Stdin::find(),
            stdout_terminal: io::stdout().is_terminal(),
            stderr_terminal: io::stderr().is_terminal(),
            columns: terminal_size::terminal_size().map(|(width, _)| width.0.into()),
            colour: anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
            // A named pipe (`<(zcat …)`) counts as a file.
            is_file: &|path| {
                std::fs::metadata(path).is_ok_and(|it| it.is_file() || is_pipe(it.file_type()))
            },
        }
    }
}

impl Stdin {
    fn find() -> Self {
        if io::stdin().is_terminal() {
            return Self::Nothing;
        }
        match std::fs::metadata("/dev/stdin").map(|it| it.file_type()) {
            Ok(kind) if kind.is_file() => Self::File,
            // /dev/null, as under cron, is empty.
            #[cfg(unix)]
            Ok(kind) if std::os::unix::fs::FileTypeExt::is_char_device(&kind) => Self::Nothing,
            // A socket cannot be examined by this path.
            _ => Self::Pipe,
        }
    }
}

#[cfg(unix)]
fn is_pipe(kind: FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&kind)
}

#[cfg(not(unix))]
fn is_pipe(_kind: FileType) -> bool {
    false
}

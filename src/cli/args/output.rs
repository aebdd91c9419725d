//! Output options common to all commands that print.

use clap::{Args, ValueEnum};

/// Colour and buffering.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// When to colour; NO_COLOR is respected
    #[arg(long, value_name = "WHEN", value_enum, visible_alias = "colour",
          default_value_t = When::Auto)]
    pub(crate) color: When,

    /// Write each line as soon as it is complete
    ///
    /// On a terminal, and while an input pipe has no more data, lines are always
    /// written at once.
    #[arg(short = 'l')]
    pub(crate) line_buffered: bool,

    /// Print and read times in UTC instead of the local time zone
    #[arg(long)]
    pub(crate) utc: bool,
}

/// When to colour.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum When {
    /// When standard output is a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl When {
    /// Whether to colour, where `auto` is what the terminal supports.
    pub(crate) fn is_on(self, auto: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => auto,
        }
    }
}

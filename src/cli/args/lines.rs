//! Output of the reading command.

use clap::{ArgAction, Args};
use mqttdump::report::REPORTS;

use super::value;

/// How control packets are printed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Lines")]
pub(crate) struct Lines {
    /// Print only type, QoS and DUP, as `MQTTFrame { … }`
    #[arg(short = 'q', long = "quiet")]
    pub(crate) quiet: bool,

    /// Print all fields; -vv: properties, offsets and TCP details too
    #[arg(short = 'v', long = "verbose", action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Print the bytes of each message as text below its line
    #[arg(short = 'A')]
    pub(crate) ascii: bool,

    /// Print the bytes of each message in hexadecimal below its line
    #[arg(short = 'x', action = ArgAction::Count)]
    pub(crate) hex: u8,

    /// Print the bytes of each message in hexadecimal and as text
    #[arg(short = 'X', action = ArgAction::Count)]
    pub(crate) hex_ascii: u8,

    /// Print the link-layer header of the packet that completed each message
    #[arg(short = 'e', id = "link_header")]
    pub(crate) link_header: bool,

    /// One terminal row per message (compact), or the whole message (line) [default:
    /// compact on a terminal without -v, else line]
    #[arg(long, value_name = "STYLE", value_parser = ["compact", "line"])]
    pub(crate) style: Option<String>,

    /// Time: -t none, -tt seconds since 1970, -ttt since the previous line,
    /// -tttt with date, -ttttt since the first line
    #[arg(short = 't', action = ArgAction::Count)]
    pub(crate) time: u8,

    /// Print nanoseconds instead of microseconds
    #[arg(long)]
    pub(crate) nano: bool,

    /// Start each line with the packet number
    #[arg(short = '#', long = "number")]
    pub(crate) number: bool,

    /// With -vv, print absolute TCP sequence numbers
    #[arg(short = 'S', long = "absolute-tcp-sequence-numbers")]
    pub(crate) absolute: bool,

    /// Bytes of each payload to print; the rest is counted [default: 4096; 1 MiB if
    /// payloads are decoded]
    #[arg(long, value_name = "N|all", value_parser = value::payload)]
    pub(crate) payload: Option<u32>,

    /// Print passwords instead of ***
    #[arg(long)]
    pub(crate) show_secrets: bool,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text",
          value_parser = value::formats(REPORTS.iter().map(|format| (format.name, format.help))))]
    pub(crate) format: String,

    /// Write only the payload bytes of the selected messages
    #[arg(long, conflicts_with_all = ["count", "quiet", "verbose", "ascii", "hex", "hex_ascii",
          "link_header", "number", "format", "line_buffered"])]
    pub(crate) payload_only: bool,

    /// In CSV, put ' before cells that a spreadsheet would run as a formula
    #[arg(long)]
    pub(crate) csv_safe: bool,

    /// Stop after printing this many messages
    #[arg(long, value_name = "N", value_parser = value::count)]
    pub(crate) frames: Option<u64>,

    /// Print only the number of selected messages
    #[arg(long, conflicts_with = "print")]
    pub(crate) count: bool,
}

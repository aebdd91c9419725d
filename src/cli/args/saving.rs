//! Saving packets to files.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::value;

/// `-w` and its options.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Saving packets")]
pub(crate) struct Saving {
    /// Save packets instead of printing; `-` is standard output
    ///
    /// With a selection (--topic, --client, --type, --qos, --connection), saves all
    /// packets of every connection that has a selected message; without one, every
    /// packet that matches the BPF expression. The format is pcapng if the name ends
    /// in `.pcapng` or if packets have several link types, else pcap. If the disk is
    /// full, reading and printing continue and the packets not saved are counted.
    #[arg(short = 'w', long = "write", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) write: Option<PathBuf>,

    /// With -w, write each packet to the file at once
    #[arg(short = 'U', long = "packet-buffered")]
    pub(crate) packet_buffered: bool,

    /// With -w, start the next file after this many million bytes; or 500k, 20m, 1g,
    /// as powers of 1024
    ///
    /// As in tcpdump, files after the first have a number appended to their name. A
    /// file ends with the packet that makes it larger than SIZE. Every file is a
    /// complete capture.
    #[arg(short = 'C', value_name = "SIZE", requires = "write", value_parser = value::file_size)]
    pub(crate) file_size: Option<u64>,

    /// With -w, start the next file every this many seconds; the name may contain a
    /// time as in strftime(3), such as mqtt-%Y%m%d-%H%M%S.pcap
    ///
    /// Seconds are capture time: packet timestamps, or the clock in live capture,
    /// whether or not packets arrive. The time in the name is the local time at
    /// which the file starts.
    #[arg(short = 'G', value_name = "SECONDS", requires = "write",
          value_parser = value::number(1u32.., "a number of seconds from 1"))]
    pub(crate) file_seconds: Option<u32>,

    /// With -C, reuse this many names in a ring; with -G alone, stop after this
    /// many files
    ///
    /// With -C, the numbers have leading zeros, so that they sort. With both, the
    /// ring restarts in each period of -G.
    #[arg(short = 'W', value_name = "COUNT", requires = "write",
          value_parser = value::number(1u32.., "a number of files from 1"))]
    pub(crate) file_count: Option<u32>,

    /// With -w, run this program for each completed file, with the file's name as
    /// its argument
    ///
    /// For example gzip. It runs without a shell, in parallel with the capture, at
    /// the lowest priority. mqttdump waits for running programs before it exits.
    #[arg(short = 'z', value_name = "PROGRAM", requires = "write",
          value_hint = ValueHint::CommandName)]
    pub(crate) command: Option<OsString>,

    /// With -w and a selection, save whole connections, or only the packets of
    /// exchanges
    ///
    /// exchanges are the selected messages with their acknowledgements, and the
    /// opening of their connections. Files are read twice, so it does not work
    /// for pipes and interfaces.
    #[arg(
        long,
        value_name = "WHAT",
        requires = "write",
        value_enum,
        default_value_t
    )]
    pub(crate) save: What,

    /// With -w, add comments to packets: client, topic, and what `check` finds
    ///
    /// Wireshark shows them as packet comments, and filters by frame.comment. The file
    /// must be a .pcapng. Files are read twice, so it does not work for pipes and
    /// interfaces.
    #[arg(long, requires = "write")]
    pub(crate) annotate: bool,

    /// Write each selected payload to a file of its own in this folder, instead
    /// of printing
    ///
    /// The folder gets a manifest.ndjson with the topic, time, packet and
    /// client of each file. Existing files are never overwritten.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) export: Option<PathBuf>,

    /// With --export, names of files: {topic} {client} {connection} {time}
    /// {packet} {number} {ext} [default: {topic}/{time}-{packet}.{ext}]
    ///
    /// Each topic level is a folder. Bytes other than letters, digits and -_.+=,@ are
    /// written as %XX, and a name in use gets a number.
    #[arg(long, value_name = "NAME", requires = "export")]
    pub(crate) export_name: Option<String>,

    /// With -w or --export, print as well
    #[arg(long)]
    pub(crate) print: bool,
}

/// What `-w` saves of the selection.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum What {
    /// All packets of connections with a selected message
    #[default]
    Connections,
    /// The packets of selected messages and their acknowledgements
    Exchanges,
}

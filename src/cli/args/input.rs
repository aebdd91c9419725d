//! Input: files, interfaces, and which packets are read.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum, ValueHint};
use mqttdump::engine::Decode;

use super::value;

/// Input options of every command that takes FILEs.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Captures {
    /// Captures to read, each reported separately; `-` is standard input
    ///
    /// Files given with -r together form one more capture. Without any FILE, a
    /// capture is read from standard input if that is a pipe.
    #[arg(value_name = "FILE", help_heading = "Input", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) input: Input,

    #[command(flatten)]
    pub(crate) live: Live,

    /// Read only packets that match this BPF expression
    ///
    /// In the language of pcap-filter(7), for example `host 10.0.0.1 and tcp
    /// port 1883`.
    #[arg(
        long,
        value_name = "EXPRESSION",
        help_heading = "Packets",
        conflicts_with = "filter_file"
    )]
    pub(crate) filter: Option<String>,

    #[command(flatten)]
    pub(crate) packets: Packets,

    /// Read up to N captures at the same time [default: one for each processor]
    ///
    /// The output is the same for any number. A capture is read by one thread, and its
    /// results are kept until those before it are reported, so that N captures take N
    /// times the memory.
    #[arg(long, value_name = "N", help_heading = "Input", value_parser = value::count)]
    pub(crate) threads: Option<u64>,
}

/// Files and how to decode them.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Input")]
pub(crate) struct Input {
    /// Read this capture; `-` is standard input. Repeatable for the parts of one
    /// capture
    ///
    /// pcap and pcapng, optionally compressed with gzip, zstd or lz4, recognised by
    /// content. Several files are the parts of one capture (rotated files) and are
    /// merged by time, so that a message may start in one file and end in the next.
    /// A pipe may still be growing.
    #[arg(short = 'r', long = "read", value_name = "FILE", action = ArgAction::Append,
          value_hint = ValueHint::FilePath)]
    pub(crate) read: Vec<PathBuf>,

    /// Keep reading as the file grows, until Ctrl-C
    ///
    /// The file must be an uncompressed pcap or pcapng file; of several, the
    /// last one grows. Start its writer with `tcpdump -U`: packets still in the
    /// writer's buffer are not visible.
    #[arg(long, conflicts_with = "interface")]
    pub(crate) follow: bool,

    /// Decrypt TLS with the keys in this file (NSS key log format)
    ///
    /// Browsers, curl and programs that use OpenSSL write such a file when the
    /// environment variable SSLKEYLOGFILE names one. Without this option, the file
    /// that SSLKEYLOGFILE names is read. The file may still be growing. Keys in
    /// pcapng files are always used. Keys are never printed.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) tls_keylog: Option<PathBuf>,

    /// Decode this TCP port as MQTT (mqtt), MQTT over TLS (mqtts), over
    /// WebSocket (ws) or over both (wss)
    ///
    /// Port 1883 is decoded as mqtt and 8883 as mqtts by default. On other ports a
    /// connection is recognised by its first bytes; use this option when the capture
    /// starts later.
    #[arg(long, value_name = "PORT=PROTOCOL", action = ArgAction::Append,
          value_parser = value::decode)]
    pub(crate) decode: Vec<(u16, Decode)>,

    /// Look for MQTT only on ports 1883, 8883 and those of --decode
    #[arg(long)]
    pub(crate) only_known_ports: bool,

    /// Show a connection that was captured under several addresses as many times
    ///
    /// By default a connection that was captured before and after NAT, or on both
    /// sides of a router, is recognised by its sequence numbers and first bytes,
    /// read once, and counted.
    #[arg(long)]
    pub(crate) keep_duplicates: bool,

    /// Verify TCP checksums; where overlapping segments differ, prefer the one with
    /// a correct checksum
    ///
    /// Off by default: checksum offloading leaves wrong checksums in captures
    /// of correct traffic.
    #[arg(long)]
    pub(crate) verify_checksums: bool,

    /// Memory to use, such as 128M or 2G [default: 512M, of tables 256M]
    ///
    /// When more is needed, the connections that have been silent longest are evicted,
    /// with the oldest sessions and details; their number is reported. What the output
    /// itself needs, such as rows of a report, can exceed it, which is reported as well.
    #[arg(long, value_name = "SIZE", value_parser = value::memory)]
    pub(crate) max_memory: Option<usize>,

    #[command(flatten)]
    pub(crate) rotation: RotationArgs,
}

/// State that is handed over from one file of a rotated capture to the next.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Rotation")]
pub(crate) struct RotationArgs {
    /// Continue the capture whose state is in this file
    ///
    /// The file was written by --state-out. Connections, half messages, exchanges and
    /// sessions go on as if the files had been one. Reports are about all files so far;
    /// without a command, only what is new is shown, and `tables` writes rows that are
    /// new and complete.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) state_in: Option<PathBuf>,

    /// Write the state at the end of the capture to this file, for --state-in
    ///
    /// What is open at the end, and in `tables` all sessions and deliveries, is left to
    /// the last run, which has no --state-out. The file is a capture of the packets that
    /// a later run needs, and holds what they hold, keys included.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) state_out: Option<PathBuf>,

    /// Maximum size of the state: 64K, 256M, 1G [default: 256M]
    ///
    /// Beyond it, connections without packets for longest are dropped, which is
    /// reported: later reports and tables lack them, and later reports exit with 2.
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub(crate) state_limit: Option<u64>,
}

/// Capturing from an interface.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Live capture")]
pub(crate) struct Live {
    /// Capture from this interface, or from `any`, until Ctrl-C; a name, or a
    /// number from -D
    ///
    /// Without a BPF expression, packets of TCP ports 1883, 8883 and those of
    /// --decode are captured, with up to two VLAN tags. Requires root, which is
    /// dropped before the first packet is read (see -Z), or the capability
    /// cap_net_raw, which `setcap cap_net_raw=ep` grants to the executable.
    #[arg(short = 'i', long = "interface", value_name = "IF", action = ArgAction::Append,
          conflicts_with = "read", value_hint = ValueHint::Other)]
    pub(crate) interface: Vec<String>,

    /// Do not put the interface into promiscuous mode
    #[arg(short = 'p', long = "no-promiscuous-mode")]
    pub(crate) no_promiscuous: bool,

    /// Snapshot length in bytes [default: 0, unlimited]
    #[arg(short = 's', long = "snapshot-length", value_name = "N",
          value_parser = value::number(0u32.., "a number of bytes"))]
    pub(crate) snapshot_length: Option<u32>,

    /// Size of the kernel's buffer in KiB [default: 65536]
    ///
    /// The buffer holds packets until the program reads them. A small buffer loses
    /// bursts; below 16384, lines are printed with a short delay. Losses are counted
    /// and reported at the end.
    #[arg(short = 'B', long = "buffer-size", value_name = "KIB",
          value_parser = value::number(1u32..=2 << 20, "a number from 1 to 2097152"))]
    pub(crate) buffer: Option<u32>,

    /// Link type to request, such as LINUX_SLL
    #[arg(short = 'y', long = "linktype", value_name = "TYPE")]
    pub(crate) link_type: Option<String>,

    /// Capture only packets sent in this direction
    #[arg(short = 'Q', long = "direction", value_name = "DIRECTION", value_enum)]
    pub(crate) direction: Option<PacketDirection>,

    /// When running as root, change to this user before the first packet is read
    /// [default: the user who called sudo, else nobody]
    ///
    /// Files created later belong to this user. `-Z root` stays root.
    #[arg(short = 'Z', long = "relinquish-privileges", value_name = "USER",
          value_hint = ValueHint::Username)]
    pub(crate) user: Option<String>,
}

/// Direction of packets at the interface.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PacketDirection {
    /// Received
    In,
    /// Sent
    Out,
    /// Both
    Inout,
}

/// Which captured packets are read.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Packets")]
pub(crate) struct Packets {
    /// Read the BPF expression from a file
    ///
    /// `#` starts a comment that ends with its line.
    #[arg(short = 'F', long = "filter-file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) filter_file: Option<PathBuf>,

    /// Stop after this many captured packets, counted after the BPF expression
    #[arg(short = 'c', value_name = "N", value_parser = value::count)]
    pub(crate) max: Option<u64>,

    /// Report only what was captured from this time on: 2014-06-30T10:15:00Z,
    /// '2014-06-30 10:15:00', @1404123300, or +10s from the first packet
    ///
    /// Times without an offset are local, or UTC with --utc. Earlier packets are
    /// decoded but not reported, so that clients, Topic Aliases and exchanges are
    /// known.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,

    /// Report only what was captured up to this time, in the same forms
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,

    /// Do not resolve names; accepted for compatibility with tcpdump, names are
    /// never resolved
    #[arg(short = 'n', action = ArgAction::Count)]
    pub(crate) numeric: u8,
}

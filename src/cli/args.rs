//! What was typed, and nothing more.
//!
//! [`Args`] is the one table from which parsing, `-h`, `--help`, the man page
//! and the shell completions come. It only records; what the options mean
//! together is decided by [`super::config`]. A letter that tcpdump has means
//! what it means in tcpdump, so that old habits work:
//!
//! ```text
//! mqttdump -nr f.pcap -c 5 host 10.0.0.1 and tcp port 1883
//! mqttdump -ttttnnr f.pcap -vvv
//! tcpdump -U -s 0 -w - | mqttdump -l -r -
//! ```
//!
//! Options may stand anywhere, before, between and after the words of the BPF
//! expression; `--` ends them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Parser, ValueEnum};
use mqttdump::engine::Decode;
use mqttdump::mqtt::PacketType;
use mqttdump::report::REPORTS;
use mqttdump::report::findings::FINDINGS_REPORTS;
use mqttdump::report::overhead::OVERHEAD_REPORTS;

const INPUT: &str = "Input";
const LIVE: &str = "Capturing from an interface";
const PACKETS: &str = "Which packets are read";
const MESSAGES: &str = "Which messages are shown";
const LINES: &str = "What is shown of each";
const OUTPUT: &str = "Output";
const SAVING: &str = "Saving packets";
const HAPPENING: &str = "As it happens";
const JUDGING: &str = "With the command check";
const COUNTING: &str = "With the command overhead";
const OTHER: &str = "Other";

const BEFORE: &str = "\
Reads MQTT off the wire and out of packet captures, and prints one line per control packet, with what \
is missing, doubtful or wrong said in place.

Commands, in the place of the BPF expression:
  mqttdump check [OPTIONS] FILE...   judge each capture: did both sides keep to the protocol?
  mqttdump overhead [OPTIONS] FILE...  where every byte goes, what a message costs, what would change it
  mqttdump explain [RULE]            what a rule says, why it matters, good and bad examples

All options may be given with every command, in any order.";

const AFTER: &str = "\
Examples:
  mqttdump -r capture.pcap                        every MQTT message of a capture
  mqttdump -i eth0                                as they happen, until Ctrl-C
  mqttdump check -i eth0 --every 10s              what breaks a rule, as it arises
  mqttdump -i eth0 -w r.pcap -C 100 -W 20         keep the last 2 GB of packets
  mqttdump -r capture.pcap host 10.0.0.7          the same, for one host (BPF, as in tcpdump)
  mqttdump -r a.pcap -r b.pcap --topic 'plant/#'  rotated files; messages of some topics
  ssh box tcpdump -U -w - | mqttdump -l -r -      while it happens
  mqttdump -r capture.pcap --client s7 -w s7.pcap the packets of one client's connections
  mqttdump check capture.pcap                     what breaks a rule, and who did it
  mqttdump explain id-in-use                      what that rule says

Exit status: 0 when all was done, 1 when check has findings (see --fail-on), 2 when \
something could not be done or read (what could be read is still shown). A closed pipe is success.";

/// Packet-capture analyser and protocol dissector for MQTT 3.1, 3.1.1 and 5.0
#[derive(Parser, Clone, Debug, Default)]
#[command(
    name = "mqttdump",
    version,
    about,
    long_about = BEFORE,
    after_help = "Try --help for more on each option, or the manual page.",
    after_long_help = AFTER,
    override_usage = "mqttdump [OPTIONS] -r FILE [BPF EXPRESSION]...\n       mqttdump [OPTIONS] -i IF [BPF EXPRESSION]...\n       mqttdump check [OPTIONS] FILE...\n       mqttdump overhead [OPTIONS] FILE...\n       mqttdump explain [RULE]",
    max_term_width = 100,
    // An option given twice replaces the first, so that aliases and habits
    // (`-n -nn`, `-s 0 -s 0`) never fail.
    args_override_self = true
)]
pub(crate) struct Args {
    /// Read this capture; `-` is standard input. Repeat for the parts of one
    /// capture
    ///
    /// pcap and pcapng, also compressed with gzip, zstd or lz4, recognised by
    /// content. Several files are taken as the parts of one capture (rotated
    /// files) and merged by time, so that a message may begin in one and end
    /// in the next. A pipe may still be growing.
    #[arg(short = 'r', long = "read", value_name = "FILE", help_heading = INPUT,
          action = ArgAction::Append, value_hint = clap::ValueHint::FilePath)]
    pub(crate) read: Vec<PathBuf>,

    /// Go on with what is written to the file, until Ctrl-C
    ///
    /// The file must be a plain pcap or pcapng that grows; of several, the
    /// last. Its writer had better not collect packets (tcpdump -U): what it
    /// holds back cannot be seen.
    #[arg(long, help_heading = INPUT, conflicts_with = "interface")]
    pub(crate) follow: bool,

    /// Decrypt TLS with the keys in this file (NSS key log format)
    ///
    /// Browsers, curl and OpenSSL's programs write such a file if the
    /// environment variable SSLKEYLOGFILE names one, and that one is read here
    /// if this option is not given. It may still be growing. Keys within pcapng
    /// files are used in any case. Nothing of it is ever shown.
    #[arg(long, value_name = "FILE", help_heading = INPUT, value_hint = clap::ValueHint::FilePath)]
    pub(crate) tls_keylog: Option<PathBuf>,

    /// Take a TCP port for MQTT, or for MQTT over TLS (mqtts), WebSocket (ws)
    /// or both (wss)
    ///
    /// Port 1883 is taken for mqtt and 8883 for mqtts without being asked. On
    /// other ports a connection is recognised by its first bytes; this option
    /// is for those whose beginning is not in the capture.
    #[arg(long, value_name = "PORT=mqtt|mqtts|ws|wss", help_heading = INPUT, action = ArgAction::Append,
          value_parser = decode)]
    pub(crate) decode: Vec<(u16, Decode)>,

    /// Do not look for MQTT on other ports than 1883, 8883 and those of --decode
    #[arg(long, help_heading = INPUT)]
    pub(crate) only_known_ports: bool,

    /// Verify TCP checksums; of overlapping segments that differ, prefer the
    /// one whose checksum is right
    ///
    /// Off by default: offloading leaves wrong checksums in honest captures.
    #[arg(long, help_heading = INPUT)]
    pub(crate) verify_checksums: bool,

    /// Capture from this interface, or from `any`, until Ctrl-C; a name, or a
    /// number of -D
    ///
    /// Without a BPF expression, TCP ports 1883, 8883 and those of --decode,
    /// behind VLAN tags too. Needs root, which is given up before the first
    /// packet is read (see -Z), or the capability cap_net_raw, which `setcap
    /// cap_net_raw=ep` gives to the program's file. Works with every command that
    /// takes files.
    #[arg(short = 'i', long = "interface", value_name = "IF", help_heading = LIVE,
          action = ArgAction::Append, conflicts_with = "read")]
    pub(crate) interface: Vec<String>,

    /// List the interfaces that can be captured on
    #[arg(short = 'D', long = "list-interfaces", help_heading = LIVE)]
    pub(crate) list_interfaces: bool,

    /// Do not put the interface into promiscuous mode
    #[arg(short = 'p', long = "no-promiscuous-mode", help_heading = LIVE)]
    pub(crate) no_promiscuous: bool,

    /// Bytes to keep of each packet; 0, and without it, all
    #[arg(short = 's', long = "snapshot-length", value_name = "N", help_heading = LIVE)]
    pub(crate) snapshot_length: Option<u32>,

    /// Size of the kernel's buffer in KiB, 65536 without it
    ///
    /// It holds packets while this program is busy; one that is too small loses
    /// bursts, and with less than 16384 lines come a little later. Losses are
    /// said, and counted at the end.
    #[arg(short = 'B', long = "buffer-size", value_name = "KIB", help_heading = LIVE,
          value_parser = clap::value_parser!(u32).range(1..=2 << 20))]
    pub(crate) buffer: Option<u32>,

    /// The link type to ask for, such as LINUX_SLL
    #[arg(short = 'y', long = "linktype", value_name = "TYPE", help_heading = LIVE)]
    pub(crate) link_type: Option<String>,

    /// Only packets that come in, or go out
    #[arg(short = 'Q', long = "direction", value_name = "WAY", help_heading = LIVE, value_enum)]
    pub(crate) direction: Option<Direction>,

    /// As root, become this user before the first packet is read; without it,
    /// who called sudo, else nobody
    ///
    /// What has to be written later is written by this user. `-Z root` stays
    /// root.
    #[arg(short = 'Z', long = "relinquish-privileges", value_name = "USER", help_heading = LIVE)]
    pub(crate) user: Option<String>,

    /// Read only packets that match a BPF expression, as in tcpdump
    ///
    /// All words that are not options form one expression in the language of
    /// pcap-filter(7), for example `host 10.0.0.1 and tcp port 1883`. It
    /// decides which captured packets are read at all; to choose among
    /// messages, see --topic and its neighbours.
    #[arg(value_name = "BPF EXPRESSION", help_heading = PACKETS)]
    pub(crate) expression: Vec<String>,

    /// Read the BPF expression from a file
    ///
    /// `#` starts a comment that ends with its line.
    #[arg(short = 'F', long = "filter-file", value_name = "FILE", help_heading = PACKETS,
          conflicts_with = "expression", value_hint = clap::ValueHint::FilePath)]
    pub(crate) filter_file: Option<PathBuf>,

    /// Read only packets that match a BPF expression, with a command
    #[arg(long, value_name = "EXPRESSION", help_heading = PACKETS,
          conflicts_with = "filter_file")]
    pub(crate) filter: Option<String>,

    /// Stop after this many captured packets, counted after the BPF expression
    #[arg(short = 'c', value_name = "N", help_heading = PACKETS,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) packets: Option<u64>,

    /// Show only messages of these topics; wildcards as in a subscription.
    /// Repeatable
    ///
    /// Matching follows the specification: `+` is one level, `#` the rest,
    /// and neither begins to match a topic that starts with `$`. Kept are
    /// PUBLISH packets of the topics (through Topic Aliases too), SUBSCRIBE
    /// and UNSUBSCRIBE with a filter that overlaps, CONNECT with such a will,
    /// and the acknowledgements of all these. A message whose topic nobody
    /// can tell (the capture lacks its beginning, or the message that it
    /// acknowledges) is kept and marked `?`.
    #[arg(long, value_name = "FILTER", help_heading = MESSAGES, action = ArgAction::Append)]
    pub(crate) topic: Vec<String>,

    /// Show only the connections of this client identifier. Repeatable
    ///
    /// The identifier is the one of the CONNECT, or the one that the server
    /// assigned. Connections whose client is not known are not shown.
    #[arg(long, value_name = "ID", help_heading = MESSAGES, action = ArgAction::Append)]
    pub(crate) client: Vec<String>,

    /// Show only control packets of these types, such as connect,connack
    #[arg(long = "type", value_name = "TYPE", help_heading = MESSAGES, action = ArgAction::Append,
          value_delimiter = ',', ignore_case = true, value_parser = packet_type())]
    pub(crate) types: Vec<PacketType>,

    /// Show only PUBLISH packets of this QoS, with their acknowledgements
    ///
    /// An acknowledgement has the QoS of the PUBLISH that it answers; where
    /// the capture lacks that one, PUBACK stands for 1, PUBREC, PUBREL and
    /// PUBCOMP for 2. Other control packets have no QoS.
    #[arg(long, value_name = "N", help_heading = MESSAGES, action = ArgAction::Append,
          value_delimiter = ',', value_parser = clap::value_parser!(u8).range(0..=3))]
    pub(crate) qos: Vec<u8>,

    /// Show only this TCP connection, by the number that -v shows. Repeatable
    ///
    /// Numbers count from 1 in the order of first packets: Wireshark's
    /// tcp.stream plus 1.
    #[arg(long, value_name = "N", help_heading = MESSAGES, action = ArgAction::Append,
          value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) connection: Vec<u64>,

    /// Stop after this many messages were shown
    #[arg(long, value_name = "N", help_heading = MESSAGES,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,

    /// Print `MQTTFrame { type: …, qos: …, dup:… }` alone, nothing else
    #[arg(short = 'q', long = "quiet", help_heading = LINES)]
    pub(crate) quiet: bool,

    /// Print all fields; twice: properties, offsets and TCP facts too
    #[arg(short = 'v', long = "verbose", help_heading = LINES, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Print each message's bytes as text below its line
    #[arg(short = 'A', help_heading = LINES)]
    pub(crate) ascii: bool,

    /// Print each message's bytes in hexadecimal below its line
    #[arg(short = 'x', help_heading = LINES, action = ArgAction::Count)]
    pub(crate) hex: u8,

    /// Print each message's bytes in hexadecimal and as text
    #[arg(short = 'X', help_heading = LINES, action = ArgAction::Count)]
    pub(crate) hex_ascii: u8,

    /// Print link-layer facts of the packet that completed each message
    #[arg(short = 'e', id = "link_header", help_heading = LINES)]
    pub(crate) link_header: bool,

    /// Time: -t none, -tt seconds since 1970, -ttt since the previous line,
    /// -tttt with date, -ttttt since the first line
    #[arg(short = 't', help_heading = LINES, action = ArgAction::Count)]
    pub(crate) time: u8,

    /// Print nanoseconds where times have microseconds
    #[arg(long, help_heading = LINES)]
    pub(crate) nano: bool,

    /// Begin each line with the number of its captured packet
    #[arg(short = '#', long = "number", help_heading = LINES)]
    pub(crate) number: bool,

    /// With -vv, print TCP sequence numbers too, not only offsets in the stream
    #[arg(
        short = 'S',
        long = "absolute-tcp-sequence-numbers",
        help_heading = LINES
    )]
    pub(crate) absolute: bool,

    /// Bytes of each payload that are kept for printing, or `all`; the rest is
    /// counted
    #[arg(long, value_name = "N|all", help_heading = LINES, default_value = "4096",
          value_parser = payload)]
    pub(crate) payload: u32,

    /// Print passwords, which otherwise appear as ***
    #[arg(long, help_heading = LINES)]
    pub(crate) show_secrets: bool,

    /// Do not resolve names: always so, accepted for tcpdump's sake
    #[arg(short = 'n', help_heading = LINES, action = ArgAction::Count)]
    pub(crate) numeric: u8,

    /// One text line per message, one JSON object per line, or a table; with
    /// check: text, json, ndjson, junit, sarif, github
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, default_value = "text",
          value_parser = format())]
    pub(crate) format: String,

    /// Colour by type of control packet; NO_COLOR is respected
    #[arg(long, value_name = "WHEN", help_heading = OUTPUT, value_enum,
          visible_alias = "colour", default_value_t = When::Auto)]
    pub(crate) color: When,

    /// Write each line as soon as it is complete
    ///
    /// On a terminal and while a pipe has nothing more to read this happens
    /// by itself.
    #[arg(short = 'l', help_heading = OUTPUT)]
    pub(crate) line_buffered: bool,

    /// Print only how many messages there were
    #[arg(long, help_heading = OUTPUT, conflicts_with = "print")]
    pub(crate) count: bool,

    /// Save packets instead of printing; `-` is standard output
    ///
    /// With a selection (--topic, --client, --type, --qos, --connection), all
    /// packets of every connection that has a selected message; without one,
    /// every packet that the BPF expression lets through. A name that ends in
    /// `.pcapng`, or packets of several link types, give pcapng. When the disk
    /// is full, reading and printing go on, and what was not saved is counted.
    #[arg(short = 'w', long = "write", value_name = "FILE", help_heading = SAVING,
          value_hint = clap::ValueHint::FilePath)]
    pub(crate) write: Option<PathBuf>,

    /// With -w, write each packet to the file at once
    #[arg(short = 'U', long = "packet-buffered", help_heading = SAVING)]
    pub(crate) packet_buffered: bool,

    /// With -w, begin the next file after this many million bytes; or 500k,
    /// 20m, 1g, as powers of 1024
    ///
    /// As in tcpdump, files after the first have a number after their name. A
    /// file ends with the packet that makes it larger. Every file is complete
    /// by itself.
    #[arg(short = 'C', value_name = "SIZE", help_heading = SAVING, requires = "write",
          value_parser = file_size)]
    pub(crate) file_size: Option<u64>,

    /// With -w, begin the next file every so many seconds; the name holds a
    /// time as in strftime(3), such as mqtt-%Y%m%d-%H%M%S.pcap
    ///
    /// Seconds of the capture: of its packets, and of the clock when it is
    /// live, with or without packets. The time in the name is the local one of
    /// the file's beginning.
    #[arg(short = 'G', value_name = "SECONDS", help_heading = SAVING, requires = "write",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) file_seconds: Option<u32>,

    /// With -C, use so many names again and again; with -G alone, stop after
    /// so many files
    ///
    /// With -C the numbers have leading zeros, so that they sort. With both, the
    /// names are used again within each period of -G.
    #[arg(short = 'W', value_name = "COUNT", help_heading = SAVING, requires = "write",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) file_count: Option<u32>,

    /// With -w, run this program for each file when it is complete, with the
    /// file's name as its argument
    ///
    /// Such as gzip. It is run without a shell, beside the capture, at the
    /// lowest priority; what runs when all is done is waited for.
    #[arg(short = 'z', value_name = "PROGRAM", help_heading = SAVING, requires = "write",
          value_hint = clap::ValueHint::CommandName)]
    pub(crate) command: Option<OsString>,

    /// With -w, print as well
    #[arg(long, help_heading = SAVING, requires = "write")]
    pub(crate) print: bool,

    /// With check and overhead, say what there is so far after each so much time:
    /// 500ms, 10s, 5m, 1h
    ///
    /// Time is that of the capture. With check, findings are told as they arise,
    /// and what is overdue when its time is up.
    #[arg(long, value_name = "TIME", help_heading = HAPPENING, value_parser = super::watch::duration)]
    pub(crate) every: Option<std::time::Duration>,

    /// Serve figures for Prometheus at http://ADDRESS:PORT/metrics
    ///
    /// For what is not over: with -i, with a file that grows, or a pipe. A port
    /// alone is of this machine (127.0.0.1); for others to see the figures, type
    /// an address.
    #[arg(long, value_name = "[ADDRESS:]PORT", help_heading = HAPPENING)]
    pub(crate) listen: Option<String>,

    /// What makes the exit status 1
    ///
    /// A violation is proven by what the capture holds. A warning rests on
    /// configuration, timing or other connections. Where something looks wrong
    /// but the capture lacks what would prove it, nobody can tell.
    #[arg(long, value_name = "VERDICT", help_heading = JUDGING, value_enum,
          default_value_t = FailOn::Violation)]
    pub(crate) fail_on: FailOn,

    /// Judge by this rule only. Repeatable
    #[arg(long, value_name = "RULE", help_heading = JUDGING, action = ArgAction::Append)]
    pub(crate) rule: Vec<String>,

    /// Say nothing of this rule. Repeatable
    #[arg(long, value_name = "RULE", help_heading = JUDGING, action = ArgAction::Append)]
    pub(crate) allow: Vec<String>,

    /// Say nothing of the findings in this file, which --write-baseline wrote
    #[arg(long, value_name = "FILE", help_heading = JUDGING, value_hint = clap::ValueHint::FilePath)]
    pub(crate) baseline: Option<PathBuf>,

    /// Write what was found to this file, for --baseline
    #[arg(long, value_name = "FILE", help_heading = JUDGING, value_hint = clap::ValueHint::FilePath)]
    pub(crate) write_baseline: Option<PathBuf>,

    /// Vouch that every connection of these clients is in the capture, so that
    /// one connection is proof for the next
    #[arg(long, help_heading = JUDGING)]
    pub(crate) complete: bool,

    /// A capture without MQTT is no failure
    #[arg(long, help_heading = JUDGING)]
    pub(crate) allow_empty: bool,

    /// A file that ends within a packet is no failure
    #[arg(long, help_heading = JUDGING)]
    pub(crate) allow_truncated: bool,

    /// Fail when a capture has fewer messages
    #[arg(long, value_name = "N", help_heading = JUDGING)]
    pub(crate) min_frames: Option<u64>,

    /// Fail when an acknowledgement takes longer, in milliseconds
    #[arg(long, value_name = "N", help_heading = JUDGING)]
    pub(crate) max_ack_ms: Option<u64>,

    /// Fail when a PUBLISH packet has more bytes, of all topics or of some; with
    /// --level, when its whole exchange has. Repeatable
    #[arg(long, value_name = "[TOPIC=]N", help_heading = JUDGING, action = ArgAction::Append)]
    pub(crate) max_bytes_per_message: Vec<String>,

    /// Fail when a client publishes to such a topic with a lower QoS.
    /// Repeatable
    #[arg(long, value_name = "TOPIC=N", help_heading = JUDGING, action = ArgAction::Append)]
    pub(crate) require_qos: Vec<String>,

    /// Fail when somebody publishes to such a topic. Repeatable
    #[arg(long, value_name = "FILTER", help_heading = JUDGING, action = ArgAction::Append)]
    pub(crate) forbid_topic: Vec<String>,

    /// What counts: l2 (frames as captured), l3 (IP packets), l3+N (and N bytes
    /// for each), tcp (TCP payload), mqtt (control packets), app (PUBLISH payload)
    ///
    /// Without it, what the first profile of --link bills, or l2. With check it
    /// says what --max-bytes-per-message counts.
    #[arg(long, value_name = "LEVEL", help_heading = COUNTING)]
    pub(crate) level: Option<String>,

    /// How the headers of a frame are divided among the messages in it:
    /// proportional (to their bytes), equal, first (all to the first),
    /// completes (to those that end in it)
    #[arg(long, value_name = "POLICY", help_heading = COUNTING)]
    pub(crate) share: Option<String>,

    /// Bill by these links and plans only; without it, by all that are known.
    /// Repeatable
    ///
    /// Profiles tell what a link or plan counts, how it rounds, how fast it
    /// is. They come with the program, with their sources; see --profiles.
    #[arg(long, value_name = "PROFILE", help_heading = COUNTING, action = ArgAction::Append,
          value_delimiter = ',')]
    pub(crate) link: Vec<String>,

    /// More profiles, in the form of those that come with the program
    #[arg(long, value_name = "FILE", help_heading = COUNTING, value_hint = clap::ValueHint::FilePath)]
    pub(crate) profiles: Option<PathBuf>,

    /// Project to a month: devices=N, every=TIME between messages of each,
    /// reconnect=TIME; what is not given is as in the capture
    #[arg(long, value_name = "LIST", help_heading = COUNTING)]
    pub(crate) project: Option<String>,

    /// What would change it: qos=N, alias, deflate, deflate-dict, zstd,
    /// zstd-dict, batch=N, batch=TIME, keep-alive=TIME, no-timestamps,
    /// resegment, one-connection, connection-per-message, tls[=1.2|psk|mutual], ws,
    /// mqtt-sn, coap; joined by `+`, at once
    #[arg(long, value_name = "LIST", help_heading = COUNTING, action = ArgAction::Append,
          value_delimiter = ',')]
    pub(crate) what_if: Vec<String>,

    /// What topics of other names would save, as s/old/new/. Repeatable
    #[arg(long, value_name = "s/OLD/NEW/", help_heading = COUNTING, action = ArgAction::Append)]
    pub(crate) rename: Vec<String>,

    /// Say also what the medium adds that no capture shows: check sequence,
    /// gaps, padding
    #[arg(long, help_heading = COUNTING)]
    pub(crate) link_extras: bool,

    /// Settings for check, instead of the nearest .mqttdump.toml
    #[arg(long, value_name = "FILE", help_heading = JUDGING, value_hint = clap::ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,

    /// Print the manual page or a shell's completions
    #[arg(long, value_name = "WHAT", help_heading = OTHER, value_enum, exclusive = true)]
    pub(crate) generate: Option<Generate>,
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

/// Which way packets pass the interface.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// Received
    In,
    /// Sent
    Out,
    /// Both
    Inout,
}

/// What makes `check` fail.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FailOn {
    /// What is proven to be wrong
    #[default]
    Violation,
    /// That, and what rests on configuration, timing or other connections
    Warning,
    /// That, and what nobody can tell
    CannotTell,
    /// Nothing
    Never,
}

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

/// `1884=mqtt`.
fn decode(typed: &str) -> Result<(u16, Decode), String> {
    let (port, protocol) = typed
        .split_once('=')
        .ok_or("expected PORT=mqtt, mqtts, ws or wss, such as 1884=mqtt")?;
    let port = port
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("expected a port from 1 to 65535, found {port:?}"))?;
    match protocol {
        "mqtt" => Ok((port, Decode::Mqtt)),
        "mqtts" => Ok((port, Decode::Mqtts)),
        "ws" => Ok((port, Decode::Ws)),
        "wss" => Ok((port, Decode::Wss)),
        _ => Err(format!(
            "expected mqtt, mqtts, ws or wss, found {protocol:?}"
        )),
    }
}

/// `10` (millions of bytes), `500k`, `20m` or `1g`, as tcpdump has it from
/// version 4.99.5 on.
fn file_size(typed: &str) -> Result<u64, String> {
    let (number, unit) = match typed.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (typed.get(..at), 1 << 10),
        Some((at, 'm' | 'M')) => (typed.get(..at), 1 << 20),
        Some((at, 'g' | 'G')) => (typed.get(..at), 1 << 30),
        _ => (Some(typed), 1_000_000),
    };
    number
        .and_then(|number| number.parse::<u64>().ok())
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "expected a size such as 10 (million bytes), 500k, 20m or 1g".to_owned())
}

/// `4096` or `all`.
fn payload(typed: &str) -> Result<u32, String> {
    match typed {
        "all" => Ok(u32::MAX),
        _ => typed
            .parse()
            .map_err(|_| "expected a number of bytes, or all".to_owned()),
    }
}

/// Names of the report formats.
fn format() -> PossibleValuesParser {
    let of_frames = REPORTS
        .iter()
        .map(|format| PossibleValue::new(format.name).help(format.help));
    let of_findings = FINDINGS_REPORTS
        .iter()
        .filter(|format| REPORTS.iter().all(|other| other.name != format.name))
        .map(|format| PossibleValue::new(format.name).help(format!("check: {}", format.help)));
    let of_accounts = OVERHEAD_REPORTS
        .iter()
        .filter(|format| REPORTS.iter().all(|other| other.name != format.name))
        .filter(|format| {
            FINDINGS_REPORTS
                .iter()
                .all(|other| other.name != format.name)
        })
        .map(|format| PossibleValue::new(format.name).help(format!("overhead: {}", format.help)));
    PossibleValuesParser::new(of_frames.chain(of_findings).chain(of_accounts))
}

/// Names of packet types, in any case.
fn packet_type() -> impl TypedValueParser<Value = PacketType> {
    PossibleValuesParser::new(PacketType::ALL.map(PacketType::name)).try_map(|name| {
        PacketType::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(&name))
            .ok_or("no such type")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, String> {
        Args::try_parse_from(std::iter::once("mqttdump").chain(line.split_whitespace()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_option_has_help_and_a_heading() {
        let mut command = Args::command();
        command.build();
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            if matches!(id, "help" | "version") {
                continue;
            }
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.len() > 10, "{id} has no help");
            assert!(
                !help.ends_with('.'),
                "{id}: the first sentence of help has no full stop"
            );
            assert!(arg.get_help_heading().is_some(), "{id} has no heading");
        }
    }

    #[test]
    fn no_letter_differs_from_tcpdump() {
        // The letters of tcpdump 4.99 with the same meaning here. A new letter
        // has to be put in this list, and so to be thought about; -V is the
        // one that differs (tcpdump: a file that lists captures).
        let same = "ABCDFGQSUWXZacdehilnpqrstvwxyz#";
        let mut command = Args::command();
        command.build();
        for arg in command.get_arguments() {
            if let Some(letter) = arg.get_short() {
                assert!(same.contains(letter) || letter == 'V', "-{letter}");
            }
        }
    }

    #[test]
    fn tcpdump_habits() {
        let args = parse("-nr f.pcap -c 5 host 10.0.0.1 and tcp port 1883").unwrap();
        assert_eq!(args.read, [PathBuf::from("f.pcap")]);
        assert_eq!((args.numeric, args.packets), (1, Some(5)));
        assert_eq!(args.expression.join(" "), "host 10.0.0.1 and tcp port 1883");

        let args = parse("-ttttnnr f.pcap").unwrap();
        assert_eq!((args.time, args.numeric), (4, 2));
        assert_eq!(args.read, [PathBuf::from("f.pcap")]);

        assert_eq!(parse("-r f -vvv").unwrap().verbose, 3);
        assert_eq!(
            parse("-s 0 -r f -s0 -n -nn").unwrap().snapshot_length,
            Some(0)
        );
        assert_eq!(parse("-r f -v -s 0 -A tcp port 1883").unwrap().verbose, 1);
        assert!(parse("-# -r f").unwrap().number);
        assert!(parse("--number -r f").unwrap().number);
        assert_eq!(parse("-rf.pcap -XX").unwrap().hex_ascii, 2);
        assert_eq!(parse("-r -").unwrap().read, [PathBuf::from("-")]);
        assert!(parse("-lr -").unwrap().line_buffered);
        assert_eq!(
            parse("-r f -w - -U").unwrap().write,
            Some(PathBuf::from("-"))
        );
    }

    #[test]
    fn options_may_follow_the_expression() {
        let args = parse("host ::1 and ( port 1883 or port 1884 ) -r f -q not vlan").unwrap();
        assert_eq!(
            args.expression.join(" "),
            "host ::1 and ( port 1883 or port 1884 ) not vlan"
        );
        assert!(args.quiet);
        // A word that begins with a minus sign comes after `--`.
        let args = parse("-r f -- tcp[0] > -1").unwrap();
        assert_eq!(args.expression.join(" "), "tcp[0] > -1");
    }

    #[test]
    fn selections() {
        let args = parse(
            "-r f --type connect,ConnAck --type PUBLISH --qos 1,2 --topic a/# --topic b \
             --connection 3 --client x",
        )
        .unwrap();
        assert_eq!(
            args.types,
            [
                PacketType::Connect,
                PacketType::Connack,
                PacketType::Publish
            ]
        );
        assert_eq!(args.qos, [1, 2]);
        assert_eq!(args.topic, ["a/#", "b"]);
        assert_eq!(args.connection, [3]);
        let size = |typed| parse(&format!("-r f -w o -C {typed}")).unwrap().file_size;
        assert_eq!(size("2"), Some(2_000_000));
        assert_eq!(size("2k"), Some(2048));
        assert_eq!(size("3M"), Some(3 << 20));
        assert_eq!(size("1g"), Some(1 << 30));
        let args = parse("-r f -w %H -G 60 -W 5 -z gzip -U --print").unwrap();
        assert_eq!((args.file_seconds, args.file_count), (Some(60), Some(5)));
        assert_eq!(args.command, Some("gzip".into()));
        // A client identifier may hold a comma.
        assert_eq!(parse("-r f --client a,b").unwrap().client, ["a,b"]);
    }

    #[test]
    fn values() {
        assert_eq!(
            parse("--decode 1884=mqtt -r f").unwrap().decode,
            [(1884, Decode::Mqtt)]
        );
        assert_eq!(parse("-r f").unwrap().payload, 4096);
        assert_eq!(parse("-r f --payload all").unwrap().payload, u32::MAX);
        assert_eq!(parse("-r f --color always").unwrap().color, When::Always);
        assert_eq!(parse("-r f --colour=never").unwrap().color, When::Never);
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "-r f -c 0",
            "-r f -c x",
            "-r f --frames 0",
            "-r f --qos 4",
            "-r f --type PUBLSH",
            "-r f --decode 1884",
            "-r f --decode 0=mqtt",
            "-r f --decode 443=quic",
            "-r f --decode x=mqtt",
            "-r f --payload many",
            "-r f --format xml",
            "-r f --connection 0",
            "-r f -F filter tcp",
            "-r f --print",
            "-r f -C 1",
            "-r f -w o -C 0",
            "-r f -w o -C 0k",
            "-r f -w o -C 1.5",
            "-r f -w o -C -1",
            "-r f -w o -C k",
            "-r f -w o -C 99999999999999999g",
            "-r f -w o -G 0",
            "-r f -w o -W 0",
            "-r f -z gzip",
            "-r f --nonsense",
            "-r",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}

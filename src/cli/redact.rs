//! `mqttdump redact`: a capture that can be shared.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgAction, Args, ValueEnum, ValueHint};
use mqttdump::capture::{
    Block, Capture, Interface, Item, Options, OwnedPacket, Packet, Plan, Writer,
};
use mqttdump::engine::{self, Decode};
use mqttdump::limits;
use mqttdump::packet::CapturedPacket;
use mqttdump::redact::{self, Kind, Mapping, Reading, Redactor, Survey};

use super::args::value;
use super::command::{Command, Exit};
use super::console::complain;
use super::reread::{each_item, regular_file, spare};
use super::sandbox::Sandbox;
use super::save::OutputFile;
use super::stop::Stop;
use super::surroundings::Surroundings;

/// Options of `redact`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RedactArgs {
    /// The capture: pcap or pcapng, which may be compressed
    #[arg(value_name = "FILE", help_heading = "Input", value_hint = ValueHint::FilePath,
          required = true)]
    file: PathBuf,

    /// Decode this TCP port as MQTT (mqtt) or MQTT over WebSocket (ws)
    #[arg(long, value_name = "PORT=PROTOCOL", help_heading = "Input",
          action = ArgAction::Append, value_parser = value::decode)]
    decode: Vec<(u16, Decode)>,

    /// Look for MQTT only on ports 1883, 8883 and those of --decode
    #[arg(long, help_heading = "Input")]
    only_known_ports: bool,

    /// Write the redacted capture to this file; pcapng if it ends in .pcapng
    #[arg(short = 'w', long = "write", value_name = "OUT", help_heading = "Output",
          value_hint = ValueHint::FilePath, required = true)]
    write: PathBuf,

    /// Derive pseudonyms from the contents of this file, at least 16 bytes
    ///
    /// Captures that are redacted with the same key have the same pseudonyms. Keep the
    /// file secret: with it, pseudonyms can be reversed. Without this option, the key is
    /// random and not kept.
    #[arg(long, value_name = "FILE", help_heading = "Redaction", value_hint = ValueHint::FilePath)]
    key: Option<PathBuf>,

    /// Leave these kinds of values as they are, separated by commas
    #[arg(long, value_name = "KINDS", help_heading = "Redaction", value_enum,
          value_delimiter = ',', action = ArgAction::Append)]
    keep: Vec<KeepArg>,

    /// Write original values and their pseudonyms to this file, as CSV
    ///
    /// Payloads and passwords are not listed. The file is readable only by its owner.
    #[arg(long, value_name = "FILE", help_heading = "Redaction", value_hint = ValueHint::FilePath)]
    map: Option<PathBuf>,
}

/// Kinds of values that can stay.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum KeepArg {
    /// IP addresses
    Addresses,
    /// Client identifiers
    ClientIds,
    /// MAC addresses
    Macs,
    /// Payloads
    Payloads,
    /// Ports of clients
    Ports,
    /// Topic names and filters
    Topics,
    /// User names
    UserNames,
}

impl From<KeepArg> for Kind {
    fn from(arg: KeepArg) -> Self {
        match arg {
            KeepArg::Addresses => Self::Addresses,
            KeepArg::ClientIds => Self::ClientIds,
            KeepArg::Macs => Self::Macs,
            KeepArg::Payloads => Self::Payloads,
            KeepArg::Ports => Self::Ports,
            KeepArg::Topics => Self::Topics,
            KeepArg::UserNames => Self::UserNames,
        }
    }
}

impl Command for RedactArgs {
    const NAME: &'static str = "redact";
    const ABOUT: &'static str = "Write a capture to share: names and payloads become pseudonyms";
    const DESCRIPTION: &'static str = "\
Writes a capture with the same control packets, in which client identifiers, user names, passwords, topic levels, \
payloads, IP and MAC addresses and the ports of clients are replaced by pseudonyms of the same length and kind. JSON \
keeps its structure; wildcards, topics that start with $, Sparkplug words, times, lengths and checksums stay, so that \
`check` has the same findings and `overhead` the same totals. TCP payload that is not MQTT, and other protocols, are \
overwritten. Comments, names of interfaces and addresses, and keys are left out. TLS is refused.";
    const USAGE: &'static str = "mqttdump redact [OPTIONS] -w OUT FILE";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "mqttdump redact -w shared.pcap a.pcap",
            "pseudonyms under a random key",
        ),
        (
            "mqttdump redact --key key --map map.csv -w shared.pcapng a.pcapng",
            "the same pseudonyms in every capture, and a list of them",
        ),
        (
            "mqttdump redact --keep topics,addresses -w shared.pcap a.pcap",
            "topics and addresses stay",
        ),
    ];
    const SHORT_HELP: &'static [&'static str] = &["write", "key", "keep", "map"];

    fn run(self, _around: &Surroundings<'_>) -> Result<Exit, Stop> {
        run(&self)
    }
}

fn run(args: &RedactArgs) -> Result<Exit, Stop> {
    regular_file(&args.file, "redact")?;
    spare(
        [Some(&args.file), args.key.as_ref()],
        [Some(&args.write), args.map.as_ref()],
    )?;
    let mut config = engine::Config {
        only_known_ports: args.only_known_ports,
        ..engine::Config::default()
    };
    config.ports.extend(args.decode.iter().copied());
    let options = redact::Options {
        key: key(args.key.as_deref())?,
        keep: args.keep.iter().map(|&keep| keep.into()).collect(),
        mapping: args.map.is_some(),
        engine: config,
    };

    let mut sandbox = Sandbox::reading([args.file.as_path()]);
    sandbox.confine(false, [Some(args.write.as_path()), args.map.as_deref()]);
    sandbox.enter();

    let refused = |error: redact::Refused| {
        Stop::Failed(format!("{}: not redacted: {error}", args.file.display()))
    };
    let mut survey = Survey::new(&options.engine);
    let mut original = Reading::new(&options.engine);
    let mut is_whole = each_item(&args.file, |item| match item {
        Item::Packet(packet) => {
            original.push(&packet.packet);
            survey.push(&packet.packet).map_err(refused)
        }
        _ => Ok(()),
    })?;
    let surveyed = survey.finish().map_err(refused)?;

    let mut plan = Plan::new(&args.write, &[Capture::open(&args.file, 0)?]);
    plan.look_ahead(&[&args.file]);
    let at = |error: io::Error| format!("{}: {error}", args.write.display());
    let (mut output, file) = OutputFile::create(&args.write, true).map_err(at)?;
    let mut writing = Writing {
        redactor: Redactor::new(&options, surveyed),
        waiting: VecDeque::new(),
        interfaces: HashMap::new(),
        writer: Writer::later(plan),
        reading: Reading::new(&options.engine),
    };
    let written = writing
        .writer
        .next_file(&args.write, Ok(file))
        .map_err(Stop::from)
        .and_then(|()| {
            each_item(&args.file, |item| {
                writing.item(&item).map_err(|e| e.of(refused))
            })
        })
        .and_then(|whole| {
            is_whole &= whole;
            writing.redactor.finish();
            writing.settle().map_err(Stop::from)?;
            Ok(writing.writer.finish()?)
        });
    let written = written.and_then(|()| match writing.reading.finish() == original.finish() {
        true => Ok(()),
        false => Err(Stop::Failed(format!(
            "{}: not redacted: the result would not have the same control packets",
            args.file.display()
        ))),
    });
    if let Err(stop) = written {
        output.take_back(&args.write);
        return Err(stop);
    }
    output.complete(false).map_err(at)?;
    if let (Some(path), Some(mapping)) = (&args.map, writing.redactor.mapping()) {
        write_mapping(path, &mapping).map_err(|error| format!("{}: {error}", path.display()))?;
        if writing.redactor.lacks_values() {
            complain(&format!(
                "{}: lacks values: the limit is {}",
                path.display(),
                limits::REDACTED_VALUES
            ));
        }
    }
    if !is_whole {
        complain(&format!(
            "{}: cut off; what precedes is redacted",
            args.file.display()
        ));
    }
    Ok(Exit::success(is_whole))
}

/// The second pass.
struct Writing {
    redactor: Redactor,
    /// Metadata of packets that are not redacted yet.
    waiting: VecDeque<OwnedPacket>,
    /// Interfaces without names, by section and number.
    interfaces: HashMap<(u32, u32), Arc<Interface>>,
    writer: Writer,
    /// Reads what is written.
    reading: Reading,
}

enum Failure {
    Refused(redact::Refused),
    Stop(Stop),
}

impl Failure {
    fn of(self, refused: impl Fn(redact::Refused) -> Stop) -> Stop {
        match self {
            Self::Refused(error) => refused(error),
            Self::Stop(stop) => stop,
        }
    }
}

/// Counters in statistics blocks, from isb_starttime to isb_usrdeliv.
const COUNTERS: [u16; 7] = [2, 3, 4, 5, 6, 7, 8];
/// epb_flags and epb_dropcount of packets.
const PACKET_OPTIONS: [u16; 2] = [2, 4];

impl Writing {
    fn item(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        match item {
            Item::Packet(packet) => {
                self.redactor
                    .push(&packet.packet)
                    .map_err(Failure::Refused)?;
                // Without the bytes, which the redactor has.
                self.waiting.push_back(OwnedPacket::from(&Packet {
                    packet: CapturedPacket {
                        data: &[],
                        ..packet.packet
                    },
                    ..*packet
                }));
                self.settle().map_err(|error| Failure::Stop(error.into()))
            }
            Item::Block(block) => self
                .block(block)
                .map_err(|error| Failure::Stop(error.into())),
            Item::Tick(_) | Item::Dropped(_) => Ok(()),
        }
    }

    /// Descriptions and counters of interfaces; names, keys, comments and what vendors
    /// add are left out.
    fn block(&mut self, block: &Block<'_>) -> Result<(), mqttdump::capture::Error> {
        match block {
            Block::Section { file, .. } => self.writer.block(&Block::Section {
                file: *file,
                options: Options::NONE,
            }),
            Block::Interface(interface) => {
                let interface = self.interface(interface);
                self.writer.block(&Block::Interface(&interface))
            }
            Block::Statistics {
                interface,
                ticks,
                options,
            } => {
                let bytes = options.only(&COUNTERS);
                let interface = self.interface(interface);
                self.writer.block(&Block::Statistics {
                    interface: &interface,
                    ticks: *ticks,
                    options: Options::new(&bytes, options.order()),
                })
            }
            _ => Ok(()),
        }
    }

    fn interface(&mut self, interface: &Arc<Interface>) -> Arc<Interface> {
        let key = (interface.section, interface.number);
        let known = self.interfaces.entry(key);
        Arc::clone(known.or_insert_with(|| Arc::new(interface.anonymous())))
    }

    /// Writes the packets that are redacted.
    fn settle(&mut self) -> Result<(), mqttdump::capture::Error> {
        while let Some(data) = self.redactor.take()
            && let Some(owned) = self.waiting.pop_front()
        {
            let packet = owned.lend();
            let options = packet.options.only(&PACKET_OPTIONS);
            let interface = self.interface(packet.interface);
            let redacted = CapturedPacket {
                data: &data,
                ..packet.packet
            };
            self.reading.push(&redacted);
            self.writer.packet(&Packet {
                packet: redacted,
                interface: &interface,
                options: Options::new(&options, packet.options.order()),
                ..packet
            })?;
        }
        Ok(())
    }
}

/// The key from a file, or a random one.
fn key(path: Option<&Path>) -> Result<Vec<u8>, String> {
    const RANDOM: usize = 32;
    const SHORTEST: usize = 16;
    const LONGEST: u64 = 1 << 20;
    let Some(path) = path else {
        let mut key = vec![0; RANDOM];
        File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut key))
            .map_err(|error| format!("no random key: {error}; give one with --key"))?;
        return Ok(key);
    };
    let name = path.display();
    let mut key = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST).read_to_end(&mut key))
        .map_err(|error| format!("{name}: {error}"))?;
    match key.len() {
        SHORTEST.. => Ok(key),
        len => Err(format!(
            "{name}: a key has at least {SHORTEST} bytes, found {len}"
        )),
    }
}

fn write_mapping(path: &Path, mapping: &Mapping) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let mut csv = csv::Writer::from_writer(file);
    csv.write_record(["kind", "original", "pseudonym"])?;
    for ((kind, original), pseudonym) in mapping {
        let row: [&[u8]; 3] = [kind.name().as_bytes(), original, pseudonym];
        csv.write_record(row)?;
    }
    csv.flush()
}

//! Writes captures: pcap for one link type, pcapng for everything.
//!
//! A pcap file is its header and the packets. A pcapng file is one section, in
//! little-endian order, with the metadata of all inputs:
//!
//! ```text
//! inputs    section(a) if0 packet…   section(b) if0 if1 secrets packet…
//! output    section(a) if0 packet…              if1 if2 secrets packet…
//! ```
//!
//! Interfaces are renumbered; an interface that the next part of a rotated
//! capture describes identically is the same one. Names, secrets, statistics
//! and vendors' blocks are copied in place, so secrets precede the packets that
//! need them. The comments of a second section, which has no header in the
//! output, go to its first interface.
//!
//! A writer can continue in a next file. Each file is a complete capture: it
//! starts with the header, all interfaces under the same numbers, names and
//! secrets.
//!
//! ```text
//! first     section(a) if0 secrets packet…
//! second    section(a) if0 secrets packet… if1 packet…
//! third     section(a) if0 if1 secrets packet…
//! ```

mod plan;
mod records;
mod section;

use super::error::{Error, Place, Problem};
use super::item::{Block, Item, Packet};
use super::sink::{Lost, Sink};
use crate::packet::LinkType;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use records::Records;
use section::Section;

pub use plan::{FileFormat, Plan};

/// The largest snap length that libpcap and Wireshark accept; readers cut
/// packets at the header's snap length, so it must not be too small.
const SNAP_LENGTH: u32 = 262_144;
/// Link type of a capture without packets, if none is known.
const ETHERNET: LinkType = LinkType(1);

/// A capture file being written, or several in succession.
///
/// A failed write (a full disk) is reported once; from then on packets are
/// counted in [`Writer::lost`], until [`Writer::next_file`] succeeds.
pub struct Writer {
    name: String,
    sink: Sink,
    flush: bool,
    kind: Kind,
    lost: Option<Lost>,
}

enum Kind {
    Pcap(Records),
    Pcapng(Box<Section>),
}

impl Writer {
    /// Creates a file, over one that is there; `-` is standard output.
    pub fn create(path: &Path, plan: Plan) -> Result<Self, Error> {
        let name = path.display().to_string();
        let sink = if path.as_os_str() == "-" {
            standard_output().map(Sink::stream)
        } else {
            File::create(path).map(Sink::file)
        };
        match sink {
            Ok(sink) => Ok(Self::new(sink, &name, plan)),
            Err(error) => Err(Error::new(&name, Place::File, Problem::Write(error))),
        }
    }

    /// For a file whose name depends on its first packet: everything is buffered until
    /// [`Writer::next_file`].
    pub fn later(plan: Plan) -> Self {
        Self::new(Sink::later(), "", plan)
    }

    /// Writes to anything; `name` is for messages.
    pub fn to_write(out: Box<dyn Write + Send>, name: &str, plan: Plan) -> Self {
        Self::new(Sink::stream(out), name, plan)
    }

    fn new(sink: Sink, name: &str, plan: Plan) -> Self {
        Self {
            name: name.to_owned(),
            sink,
            flush: plan.flush,
            kind: match plan.format {
                FileFormat::Pcap => Kind::Pcap(Records::new(&plan)),
                FileFormat::Pcapng => Kind::Pcapng(Box::new(Section::new(&plan))),
            },
            lost: None,
        }
    }

    /// Writes a packet, or passes on another block.
    pub fn item(&mut self, item: &Item<'_>) -> Result<(), Error> {
        match item {
            Item::Packet(packet) => self.packet(packet),
            Item::Block(block) => self.block(block),
            // Not of the capture, but of its reading.
            Item::Tick(_) | Item::Dropped(_) => Ok(()),
        }
    }

    /// Writes a packet.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        if !self.has_begun() {
            if let Kind::Pcap(records) = &mut self.kind {
                records.expect_first(packet);
            }
            self.begin(false)?;
        }
        let out = &mut self.sink.bytes;
        let fits = match &mut self.kind {
            Kind::Pcap(records) => records.packet(out, packet),
            Kind::Pcapng(section) => {
                section.packet(out, packet);
                Ok(())
            }
        };
        let id = packet.packet.id;
        let mut done = match fits {
            Ok(()) => self.sink.end_record(Some(id)).map_err(Problem::Write),
            Err(problem) => {
                Lost::add(&mut self.lost, id);
                Err(problem)
            }
        };
        if self.flush && done.is_ok() {
            done = self.sink.flush().map_err(Problem::Write);
        }
        self.checked(done)
    }

    /// Copies a block other than a packet. Dropped in a pcap file.
    pub fn block(&mut self, block: &Block<'_>) -> Result<(), Error> {
        match (&mut self.kind, block) {
            (Kind::Pcap(records), Block::Interface(interface)) => {
                records.expect(interface);
                Ok(())
            }
            (Kind::Pcap(_), _) => Ok(()),
            (Kind::Pcapng(section), block) => {
                section.block(&mut self.sink.bytes, block);
                let done = self.sink.end_record(None);
                self.checked(done.map_err(Problem::Write))
            }
        }
    }

    /// Flushes everything written so far, including the file's header.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.begin(false)?;
        let done = self.sink.flush().map_err(Problem::Write);
        self.checked(done)
    }

    /// Completes the file: even without packets it is valid. Later records are
    /// lost, unless there is a [next file](Writer::next_file).
    pub fn finish(&mut self) -> Result<(), Error> {
        let begun = self.begin(true);
        let done = self.sink.flush().map_err(Problem::Write);
        self.sink.close();
        begun?;
        self.checked(done)
    }

    /// Continues in another file, which will be complete by itself: with all
    /// interfaces, and with the names and secrets in force ([`Plan::carry`]).
    /// The caller creates it; if that failed, the error is reported, and
    /// records are lost until the next one.
    pub fn next_file(&mut self, path: &Path, created: io::Result<File>) -> Result<(), Error> {
        self.name = path.display().to_string();
        let sink = match created {
            Ok(file) if self.sink.is_waiting() => {
                self.sink.open(file);
                return Ok(());
            }
            Ok(file) => Ok(Sink::file(file)),
            Err(error) => Err(error),
        };
        self.lost = self.lost();
        match &mut self.kind {
            Kind::Pcap(records) => records.begun = false,
            Kind::Pcapng(section) => section.begun = false,
        }
        let (sink, done) = match sink {
            Ok(sink) => (sink, Ok(())),
            Err(error) => (Sink::nowhere(), Err(Problem::Write(error))),
        };
        self.sink = sink;
        self.checked(done)
    }

    /// Bytes of the current file so far; after a failure, of the complete file.
    #[inline]
    pub fn size(&self) -> u64 {
        self.sink.size()
    }

    /// Whether there is no file yet.
    pub fn is_waiting(&self) -> bool {
        self.sink.is_waiting()
    }

    /// Whether the next packets may be written.
    pub fn is_open(&self) -> bool {
        self.sink.is_open()
    }

    /// Packets so far that are in no file.
    pub fn lost(&self) -> Option<Lost> {
        match (self.lost, self.sink.lost) {
            (Some(earlier), Some(now)) => Some(Lost {
                packets: earlier.packets + now.packets,
                ..earlier
            }),
            (earlier, now) => earlier.or(now),
        }
    }

    /// Those that would be in the current file.
    pub fn lost_here(&self) -> Option<Lost> {
        self.sink.lost
    }

    /// Blocks with names or secrets that could not be carried into later files.
    pub fn left_behind(&self) -> u64 {
        match &self.kind {
            Kind::Pcapng(section) => section.left_behind(),
            Kind::Pcap(_) => 0,
        }
    }

    fn has_begun(&self) -> bool {
        match &self.kind {
            Kind::Pcap(records) => records.begun,
            Kind::Pcapng(section) => section.begun,
        }
    }

    /// Writes the beginning of the file, if nothing else has. That of a file
    /// to which nothing will come may say what it does not know.
    #[cold]
    fn begin(&mut self, last: bool) -> Result<(), Error> {
        let out = &mut self.sink.bytes;
        match &mut self.kind {
            Kind::Pcap(records) if last || records.is_settled() => records.begin(out),
            Kind::Pcap(_) => return Ok(()),
            Kind::Pcapng(section) => {
                section.begin(out);
                if last && !section.has_interface() {
                    section.stand_in(out);
                }
            }
        }
        let done = self.sink.end_record(None);
        self.checked(done.map_err(Problem::Write))
    }

    fn checked(&self, done: Result<(), Problem>) -> Result<(), Error> {
        done.map_err(|problem| Error::new(&self.name, Place::File, problem))
    }
}

/// Standard output as a plain file: the standard library's is line-buffered.
#[cfg(unix)]
fn standard_output() -> io::Result<Box<dyn Write + Send>> {
    use std::os::fd::AsFd;
    let out = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Box::new(File::from(out)))
}

#[cfg(not(unix))]
fn standard_output() -> io::Result<Box<dyn Write + Send>> {
    Ok(Box::new(io::stdout()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::{Arc, Mutex};

    use super::super::bytes::ByteOrder;
    use super::super::source::Capture;
    use super::super::testing::{BOTH, Bytes, capture, plain, seen};
    use super::super::{Merge, Options, OwnedPacket};
    use super::*;

    const MICRO: u32 = 0xa1b2_c3d4;
    const NANO: u32 = 0xa1b2_3c4d;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        fn bytes(&self) -> Vec<u8> {
            self.0.lock().expect("no panic").clone()
        }
    }

    const PCAP: Plan = Plan {
        format: FileFormat::Pcap,
        link_type: None,
        nanoseconds: false,
        flush: false,
        carry: true,
    };
    const PCAPNG: Plan = Plan {
        format: FileFormat::Pcapng,
        ..PCAP
    };

    fn copy(plan: Plan, files: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
        let captures = (0..).zip(files).map(|(index, bytes)| {
            Capture::from_read(Box::new(Cursor::new(bytes.clone())), "in", index)
        });
        let mut merge = Merge::new(captures.collect::<Result<_, _>>()?);
        let out = Shared::default();
        let mut writer = Writer::to_write(Box::new(out.clone()), "out", plan);
        while let Some(item) = merge.next()? {
            match item {
                // As a selection does that cannot decide yet.
                Item::Packet(packet) => writer.packet(&OwnedPacket::from(&packet).lend())?,
                Item::Block(block) => writer.block(&block)?,
                Item::Tick(_) | Item::Dropped(_) => {}
            }
        }
        writer.finish()?;
        Ok(out.bytes())
    }

    /// The items of a file as text, one per line.
    fn listed(bytes: &[u8]) -> Vec<String> {
        fn options(options: Options<'_>) -> String {
            let options = options.iter();
            let options = options.map(|(code, value)| format!(" {code}={value:?}"));
            options.collect()
        }
        let mut capture = capture(bytes).expect("a header");
        let mut lines = Vec::new();
        while let Some(item) = capture.next().expect("no damage") {
            lines.push(match item {
                Item::Packet(p) => format!(
                    "packet if{} {:?} {}/{} {:?}{}",
                    p.interface.number,
                    p.packet.time,
                    p.packet.data.len(),
                    p.packet.original_len,
                    p.packet.data,
                    options(p.options)
                ),
                Item::Block(Block::Section { options: o, .. }) => format!("section{}", options(o)),
                Item::Block(Block::Interface(i)) => format!(
                    "interface {} {} {}{}",
                    i.number,
                    i.link_type.0,
                    i.snap_length,
                    options(i.options())
                ),
                Item::Block(Block::Names {
                    records,
                    options: o,
                }) => format!("names{} /{}", options(records), options(o)),
                Item::Block(Block::Secrets {
                    kind,
                    data,
                    options: o,
                }) => format!("secrets {kind:x} {data:?}{}", options(o)),
                Item::Block(Block::Statistics {
                    interface,
                    ticks,
                    options: o,
                }) => format!("statistics if{} {ticks}{}", interface.number, options(o)),
                Item::Block(Block::Custom { vendor, data }) => format!("custom {vendor} {data:?}"),
                Item::Block(Block::Journal(text)) => format!("journal {text:?}"),
                Item::Tick(_) | Item::Dropped(_) => continue,
            });
        }
        lines
    }

    /// A file with one of everything.
    fn everything(order: ByteOrder) -> Bytes {
        let int = |value: u64| Bytes::new(order).u64(value).bytes;
        let word = |value: u32| Bytes::new(order).u32(value).bytes;
        Bytes::new(order)
            .section(order, |body| {
                body.option(1, b"a comment").option(4, b"dumpcap").end()
            })
            .interface(1, 96, |body| {
                let vendor = Bytes::new(order).u32(32473).raw(b"theirs").bytes;
                body.option(2, b"eth0")
                    .option(9, &[0x80 | 40])
                    .option(14, &int((-5_i64).cast_unsigned()))
                    .option(8, &int(1_000_000_000))
                    .option(2988, &vendor)
                    .option(19372, &vendor)
                    .end()
            })
            .interface(1, 96, |body| body.option(2, b"eth1"))
            .block(4, |body| {
                body.option(1, b"\x0a\0\0\x01broker\0")
                    .u32(0)
                    .option(2, b"dns")
                    .end()
            })
            .block(10, |body| {
                let body = body.u32(0x544c_534b).u32(5).raw(b"CLIEN\0\0\0");
                body.option(1, b"keys").end()
            })
            .enhanced(1, 0x1_2345_6789, 70, b"hello", |body| {
                let body = body.option(1, b"look here").option(2, &word(0x0600_0001));
                let body = body.option(4, &int(3)).option(7, &{
                    let mut verdict = vec![1];
                    verdict.extend(int(4));
                    verdict
                });
                body.end()
            })
            .enhanced(0, 7 << 40 | 3, 4, b"four", plain)
            .block(3, |body| body.u32(6).raw(b"simple"))
            .block(0xbad, |body| body.u32(32473).raw(b"own "))
            .block(0x4000_0bad, |body| body.u32(32473).raw(b"mine"))
            .block(5, |body| {
                let body = body.u32(1).u32(1).u32(2);
                body.option(2, &[word(1), word(2)].concat())
                    .option(4, &int(99))
                    .end()
            })
    }

    #[test]
    fn pcapng_keeps_what_its_input_said_whatever_its_order() {
        let [little, big] = BOTH.map(|order| {
            let copied = copy(PCAPNG, &[everything(order).bytes]).expect("no error");
            assert_eq!(copied[8..12], [0x4d, 0x3c, 0x2b, 0x1a], "little-endian");
            listed(&copied)
        });
        let mut expected = listed(&everything(ByteOrder::Little).bytes);
        // Must not be copied.
        let uncopied = " 19372=[217, 126, 0, 0, 116, 104, 101, 105, 114, 115]";
        assert!(expected[1].contains(uncopied));
        expected[1] = expected[1].replace(uncopied, "");
        assert_eq!(little, expected);
        assert_eq!(big, expected);
    }

    #[test]
    fn several_sections_become_one() {
        let [_, order] = BOTH;
        let part = |comment: &[u8], name: &[u8], second: u64| {
            Bytes::new(order)
                .section(order, |body| body.option(1, comment).end())
                .interface(1, 0, |body| body.option(2, name))
                .interface(1, 0, |body| body.option(2, name))
                .enhanced(0, second * 1_000_000, 1, b"a", plain)
                .enhanced(1, second * 1_000_000, 1, b"b", plain)
                .bytes
        };
        let files = [
            part(b"first", b"eth0", 1),
            part(b"second", b"eth0", 2),
            Bytes::pcap(order, NANO, 4, 101).record(3, 1, b"c").bytes,
        ];
        let lines = listed(&copy(PCAPNG, &files).expect("no error"));
        let starts: Vec<_> = lines
            .iter()
            .map(|line| line.split(" 2=").next().unwrap_or(""))
            .collect();
        assert_eq!(
            starts,
            [
                "section 1=[102, 105, 114, 115, 116]",
                "interface 0 1 0",
                "interface 1 1 0",
                // Has a comment more than the first, so it is another one.
                "interface 2 1 0",
                // The fourth is, word for word, the first.
                "packet if0 1.000000000 1/1 [97]",
                "packet if1 1.000000000 1/1 [98]",
                "packet if2 2.000000000 1/1 [97]",
                "packet if0 2.000000000 1/1 [98]",
                "interface 3 101 65535 9=[9]",
                "packet if3 3.000000001 1/1 [99]",
            ]
        );
        assert!(lines[3].ends_with("1=[115, 101, 99, 111, 110, 100]"));
    }

    #[test]
    fn pcap_roundtrip() {
        for order in BOTH {
            for (magic, nanos) in [(MICRO, 5000), (NANO, 5)] {
                let file = Bytes::pcap(order, magic, 4, 276)
                    .record(4_294_967_295, 0, b"late")
                    .u32(1)
                    .u32(5)
                    .u32(2)
                    .u32(1400)
                    .raw(b"cu");
                let copied = copy(PCAP, std::slice::from_ref(&file.bytes)).expect("no error");
                let expected = Bytes::pcap(ByteOrder::Little, magic, 4, 276);
                assert_eq!(copied[..4], expected.bytes[..4]);
                let (packets, errors) = seen(&mut capture(&copied).expect("a header"));
                assert!(errors.is_empty());
                assert_eq!((packets, errors.len()), (file.seen().0, 0));
                assert_eq!(file.seen().0[1].nanos, 1_000_000_000 + nanos);
            }
        }
    }

    #[test]
    fn an_empty_copy_is_a_capture() {
        let header = Bytes::pcap(ByteOrder::Big, NANO, 4, 113).bytes;
        for plan in [PCAP, PCAPNG] {
            let captures = [capture(&header).expect("a header")];
            let mut known = Plan::new("out".as_ref(), &captures);
            known.format = plan.format;
            let copied = copy(known, std::slice::from_ref(&header)).expect("no error");
            let mut copied = capture(&copied).expect("a header");
            if let Some(interface) = copied.interface() {
                assert_eq!(interface.link_type, LinkType(113));
                assert_eq!(interface.clock, super::super::Clock::NANOSECONDS);
            }
            assert!(seen(&mut copied).0.is_empty());
        }
    }

    #[test]
    fn a_second_link_type_does_not_fit_pcap() {
        let [order, _] = BOTH;
        let mixed = Bytes::new(order)
            .section(order, plain)
            .interface(1, 0, plain)
            .interface(113, 0, plain)
            .enhanced(0, 0, 1, b"a", plain)
            .enhanced(1, 0, 1, b"b", plain)
            .bytes;
        let error = copy(PCAP, std::slice::from_ref(&mixed)).expect_err("two link types");
        let message = error.to_string();
        assert!(message.starts_with("out: link type "), "{message}");
        assert!(message.ends_with("name the file .pcapng"), "{message}");
        assert_eq!(listed(&copy(PCAPNG, &[mixed]).expect("no error")).len(), 5);
    }

    #[test]
    fn names_and_link_types_decide_the_format() {
        let [order, _] = BOTH;
        let capture = |link_type| {
            let file = Bytes::pcap(order, MICRO, 4, link_type);
            file.capture().expect("a header")
        };
        let format = |name: &str, captures: &[Capture]| Plan::new(name.as_ref(), captures).format;
        assert_eq!(
            format("a.pcap", &[capture(1), capture(1)]),
            FileFormat::Pcap
        );
        assert_eq!(format("-", &[capture(1), capture(113)]), FileFormat::Pcapng);
        assert_eq!(format("a.pcapng", &[]), FileFormat::Pcapng);
        assert_eq!(format("pcapng", &[]), FileFormat::Pcap);
    }

    #[test]
    fn every_packet_at_once_when_asked() {
        let [order, _] = BOTH;
        let file = Bytes::pcap(order, MICRO, 4, 1).record(0, 0, b"a");
        for (flush, expected) in [(false, 0), (true, 24 + 17)] {
            let out = Shared::default();
            let plan = Plan { flush, ..PCAP };
            let mut writer = Writer::to_write(Box::new(out.clone()), "out", plan);
            let mut capture = file.capture().expect("a header");
            if let Ok(Some(item)) = capture.next() {
                writer.item(&item).expect("no error");
            }
            assert_eq!(out.bytes().len(), expected);
        }
    }

    #[test]
    fn errors_name_the_file() {
        let error = Writer::create("/nonexistent/out.pcap".as_ref(), PCAP).err();
        let message = error.expect("no such directory").to_string();
        assert!(message.starts_with("/nonexistent/out.pcap: cannot write: "));
    }
}

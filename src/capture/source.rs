//! One capture file, read packet by packet.
//!
//! ```text
//! Input ─bytes→ Buffer ─records→ Pcap | Pcapng ─Framed→ Capture ─Item→
//! ```
//!
//! A record is *framed* first (its position, time and lengths: numbers only)
//! and lent out second, as slices of the buffer it was read into. Nothing is
//! copied or allocated per packet, and a merge of several files can use the
//! time of a packet before it is taken.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::packet::{CapturedPacket, PacketRef};
use crate::time::Timestamp;

use super::error::{Compression, Error, Place, Problem};
use super::framed::Framed;
use super::input::Input;
use super::interface::Interface;
use super::item::{Item, Packet};
use super::magic::{self, Format};
use super::meanwhile::{Lost, Meanwhile};
use super::options::Options;
use super::origin::{self, Origin};
use super::pcap::{Pcap, WholeRecord};
use super::pcapng::Pcapng;
use super::snoop::Snoop;

/// How far the time of a followed file stays behind the clock, so that its
/// writer has time to write.
const FOLLOW_BEHIND: Duration = Duration::from_secs(1);

/// An opened capture file (or pipe, or standard input).
///
/// ```no_run
/// use mqttdump::capture::{Capture, Item};
/// # fn main() -> Result<(), mqttdump::capture::Error> {
/// let mut capture = Capture::open("broker.pcapng.gz".as_ref(), 0)?;
/// while let Some(item) = capture.next()? {
///     if let Item::Packet(packet) = item {
///         println!("{} bytes", packet.packet.data.len());
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Capture {
    name: String,
    file: u32,
    input: Input,
    reader: Reader,
    /// It holds the state before the other parts of the capture.
    precedes: bool,
    /// Packets framed so far.
    number: u64,
    /// Bytes of the record that `framed` describes.
    used: usize,
    framed: Option<Framed>,
    /// A framed record that is next, after the losses that it reports.
    next: Option<Framed>,
    /// Time of the latest packet.
    latest: Timestamp,
    /// There are no more records, only `errors`.
    ended: bool,
    /// At most one that cost single packets, then one that ended the reading.
    errors: Vec<Error>,
}

enum Reader {
    Pcap(Pcap, Arc<Interface>),
    Pcapng(Pcapng),
    Snoop(Snoop, Arc<Interface>),
}

impl Capture {
    /// Opens a file and reads its header; `-` is standard input. `file` is its
    /// index among the parts of the capture, from 0.
    pub fn open(path: &Path, file: u32) -> Result<Self, Error> {
        Self::opened(path, file, Input::open(path, None))
    }

    /// The same; a pipe is read until `stop` is set, and then as long as it goes on, for
    /// a second at most.
    pub fn open_until(path: &Path, file: u32, stop: Arc<AtomicBool>) -> Result<Self, Error> {
        Self::opened(path, file, Input::open(path, Some(stop)))
    }

    fn opened(path: &Path, file: u32, input: Result<Input, Problem>) -> Result<Self, Error> {
        let name = path.display().to_string();
        match input {
            Ok(input) => Self::new(name, file, input),
            Err(problem) => Err(Error::new(&name, Place::File, problem)),
        }
    }

    /// Opens a file that is still being written, and reads it as it grows,
    /// until `stop` is set. Waits for the file's header.
    pub fn follow(path: &Path, file: u32, stop: Arc<AtomicBool>) -> Result<Self, Error> {
        Self::opened(path, file, Input::follow(path, stop))
    }

    /// Reads a capture from anything; `name` is for messages.
    pub fn from_read(reader: Box<dyn Read + Send>, name: &str, file: u32) -> Result<Self, Error> {
        let input = Input::new(reader, None);
        let input = input.map_err(|problem| Error::new(name, Place::File, problem))?;
        Self::new(name.to_owned(), file, input)
    }

    fn new(name: String, file: u32, mut input: Input) -> Result<Self, Error> {
        let reader = Reader::open(&mut input, file).map_err(|problem| {
            Error::new(
                &name,
                Place::File,
                decompressing(input.compression, problem),
            )
        })?;
        let precedes = match &reader {
            Reader::Pcapng(pcapng) => pcapng.origin().is_some_and(|it| it.state.is_some()),
            _ => false,
        };
        Ok(Self {
            name,
            file,
            input,
            reader,
            precedes,
            number: 0,
            used: 0,
            framed: None,
            next: None,
            latest: Timestamp::MIN,
            ended: false,
            errors: Vec::new(),
        })
    }

    /// The next packet or block; `None` at the end.
    ///
    /// Errors are returned at the end: first the one that cost single packets,
    /// if any, then the one that ended the reading; after them, `None`.
    #[allow(clippy::should_implement_trait)] // An iterator could not lend.
    #[inline]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Error> {
        // 140 instructions less a packet than framing it first.
        if let Some(record) = self.whole_record() {
            return Ok(self.whole_packet(record));
        }
        match self.advance() {
            Ok(true) => Ok(self.item()),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds the next record, if it is one that nearly all are: of a pcap file,
    /// buffered to its end, with plausible lengths. Leaves others to
    /// [`Capture::advance`], which would make the same of these.
    #[inline]
    fn whole_record(&mut self) -> Option<WholeRecord> {
        let Reader::Pcap(pcap, _) = &self.reader else {
            return None;
        };
        if self.ended || self.next.is_some() {
            return None;
        }
        self.input.buffer.consume(std::mem::take(&mut self.used));
        let record = pcap.whole_record(self.input.buffer.unread())?;
        self.number += 1;
        self.used = record.len();
        self.latest = self.latest.max(record.time);
        Some(record)
    }

    #[inline]
    fn whole_packet(&self, record: WholeRecord) -> Option<Item<'_>> {
        let Reader::Pcap(_, interface) = &self.reader else {
            return None;
        };
        Some(Item::Packet(Packet {
            packet: CapturedPacket {
                id: PacketRef {
                    number: self.number,
                    file: self.file,
                },
                time: record.time,
                link_type: interface.link_type,
                original_len: record.original,
                data: record.data(self.input.buffer.unread())?,
            },
            interface,
            ticks: Some(record.ticks),
            options: Options {
                bytes: &[],
                order: interface.order,
            },
        }))
    }

    /// The next call of [`Capture::next`] may wait for more input: the time to
    /// flush output. Never true of a regular file.
    pub fn may_wait(&self) -> bool {
        if self.input.size.is_some()
            || self.ended
            || self.next.is_some()
            || self.input.buffer.ended()
        {
            return false;
        }
        let next = self.input.buffer.unread().get(self.used..);
        let next = next.unwrap_or_default();
        !match &self.reader {
            Reader::Pcap(pcap, _) => pcap.is_complete(next),
            Reader::Pcapng(pcapng) => pcapng.is_complete(next),
            Reader::Snoop(snoop, _) => snoop.is_complete(next),
        }
    }

    /// Name of the file as the user gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Index of the file among the parts of the capture, from 0.
    pub fn file(&self) -> u32 {
        self.file
    }

    /// The one interface of a pcap file. Those of a pcapng file become known
    /// as it is read.
    pub fn interface(&self) -> Option<&Arc<Interface>> {
        match &self.reader {
            Reader::Pcap(_, interface) | Reader::Snoop(_, interface) => Some(interface),
            Reader::Pcapng(_) => None,
        }
    }

    /// The description of a derived capture: a shard, or a state file.
    pub fn origin(&self) -> Option<&Origin> {
        match &self.reader {
            Reader::Pcapng(pcapng) => pcapng.origin(),
            _ => None,
        }
    }

    /// Whether it, or a file of its packets' origin, may hold keys of TLS connections.
    pub fn may_hold_keys(&self) -> bool {
        match &self.reader {
            Reader::Pcapng(pcapng) => pcapng.origin().is_none_or(|origin| origin.may_hold_keys),
            _ => false,
        }
    }

    /// Number of files that its packets come from.
    pub fn origins(&self) -> u32 {
        let files = self.origin().map_or(1, |origin| origin.files.len());
        u32::try_from(files).unwrap_or(u32::MAX)
    }

    /// How the file is compressed.
    pub fn compression(&self) -> Option<Compression> {
        self.input.compression
    }

    /// Bytes read of the file so far, compressed or not, in steps of a buffer.
    pub fn position(&self) -> u64 {
        self.input.read.load(Ordering::Relaxed)
    }

    /// Bytes of the file, when it is a regular file.
    pub fn size(&self) -> Option<u64> {
        self.input.size
    }

    /// Frames the next packet or block; false at the end.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        loop {
            self.input.buffer.consume(std::mem::take(&mut self.used));
            if self.ended {
                self.framed = None;
                return match self.errors.is_empty() {
                    true => Ok(false),
                    false => Err(self.errors.remove(0)),
                };
            }
            let framed = match self.next.is_some() {
                true => {
                    self.framed = self.next.take();
                    Ok(true)
                }
                false => self.frame(),
            };
            match framed {
                Ok(true) => {
                    if self.keep() {
                        return Ok(true);
                    }
                }
                Ok(false) => self.ended = true,
                Err(Problem::Read(error)) if Meanwhile::is_in(&error) => {
                    let told = Meanwhile::of(&error).map(|told| self.timed(told));
                    self.framed = told.map(Framed::Meanwhile);
                    return Ok(true);
                }
                // The rest of this record may be written later, to others.
                Err(Problem::Cut { .. }) if self.input.grows => self.ended = true,
                Err(problem) => self.fail(problem),
            }
        }
    }

    /// Finds the next record; false where the file ends between two. It is put
    /// where it is kept: each move would cost 25 instructions a packet.
    #[inline]
    fn frame(&mut self) -> Result<bool, Problem> {
        let buffer = &mut self.input.buffer;
        let framed = &mut self.framed;
        match &mut self.reader {
            Reader::Pcap(pcap, interface) => {
                return pcap.frame(buffer, interface.link_type, framed);
            }
            Reader::Pcapng(pcapng) => *framed = pcapng.frame(buffer)?,
            Reader::Snoop(snoop, interface) => {
                *framed = snoop.frame(buffer, interface.link_type)?
            }
        }
        Ok(framed.is_some())
    }

    /// Converts a report's clock time to capture time.
    fn timed(&self, told: Meanwhile) -> Meanwhile {
        let Meanwhile::Still(elapsed) = told else {
            return told;
        };
        // Within a record there are unwritten packets.
        let elapsed = match self.input.buffer.unread() {
            [] => elapsed.saturating_sub(FOLLOW_BEHIND),
            _ => Duration::ZERO,
        };
        Meanwhile::Tick(self.latest.after(elapsed))
    }

    /// Loads the framed record; false if it has nothing to return.
    #[inline]
    fn keep(&mut self) -> bool {
        if let Some(dropped) = self.framed.as_mut().and_then(Framed::take_dropped) {
            self.next = self.framed.take();
            self.framed = Some(Framed::Meanwhile(Meanwhile::Dropped(dropped)));
            return true;
        }
        match &self.framed {
            Some(Framed::Packet(packet)) => {
                self.number += 1;
                self.used = packet.record;
                self.latest = self.latest.max(packet.time);
                if packet.captured > packet.original {
                    let problem = Problem::Lengths {
                        captured: packet.captured,
                        original: packet.original,
                    };
                    self.doubt(problem);
                }
                true
            }
            Some(Framed::Block { record, .. }) => {
                self.used = *record;
                true
            }
            Some(Framed::Meanwhile(_)) => true,
            _ => self.skip(),
        }
    }

    /// Skips the framed record without returning it.
    #[cold]
    fn skip(&mut self) -> bool {
        match self.framed.take() {
            Some(Framed::Skipped { record }) => self.used = record,
            Some(Framed::Lost { record, problem }) => {
                self.number += 1;
                self.used = record;
                self.doubt(problem);
            }
            _ => {}
        }
        false
    }

    /// An error in this packet that does not affect later ones. Reported at the
    /// end, once, with a count.
    #[cold]
    fn doubt(&mut self, problem: Problem) {
        match self.errors.first_mut() {
            Some(first) => first.others += 1,
            None => {
                let place = self.packet_place(self.number);
                self.errors.push(Error::new(&self.name, place, problem));
            }
        }
    }

    /// Nothing after this can be read.
    #[cold]
    fn fail(&mut self, problem: Problem) {
        self.ended = true;
        if let Problem::Read(error) = &problem
            && let Some(lost) = Lost::of(error)
        {
            let problem = Problem::InterfaceLost(lost.0.clone());
            let error = Error::new(&self.name, Place::File, problem);
            return self.errors.push(error);
        }
        let in_packet = match &self.reader {
            Reader::Pcap(..) | Reader::Snoop(..) => true,
            Reader::Pcapng(pcapng) => pcapng.is_packet(self.input.buffer.unread()),
        };
        let place = if in_packet {
            self.packet_place(self.number + 1)
        } else {
            Place::Block {
                after: self.number,
                offset: self.input.buffer.offset(),
                uncompressed: self.input.compression.is_some(),
            }
        };
        let problem = decompressing(self.input.compression, problem);
        self.errors.push(Error::new(&self.name, place, problem));
    }

    fn packet_place(&self, number: u64) -> Place {
        Place::Packet {
            number,
            offset: self.input.buffer.offset(),
            uncompressed: self.input.compression.is_some(),
        }
    }

    /// The item framed last.
    #[inline(always)]
    pub(super) fn item(&self) -> Option<Item<'_>> {
        let unread = self.input.buffer.unread();
        let part = |part: &Range<usize>| unread.get(part.clone()).unwrap_or_default();
        match (self.framed.as_ref()?, &self.reader) {
            (Framed::Packet(framed), reader) => {
                let id = PacketRef {
                    number: self.number,
                    file: self.file,
                };
                let (id, interface) = match reader {
                    Reader::Pcap(_, interface) | Reader::Snoop(_, interface) => (id, interface),
                    Reader::Pcapng(pcapng) => (
                        pcapng.identity(self.number),
                        pcapng.interface(framed.interface)?,
                    ),
                };
                Some(Item::Packet(Packet {
                    packet: CapturedPacket {
                        id,
                        time: framed.time,
                        link_type: framed.link_type,
                        original_len: framed.original.max(framed.captured),
                        data: part(&framed.data),
                    },
                    interface,
                    ticks: framed.ticks,
                    options: Options {
                        bytes: match framed.options.is_empty() {
                            true => &[],
                            false => part(&framed.options),
                        },
                        order: interface.order,
                    },
                }))
            }
            (Framed::Block { kind, body, .. }, Reader::Pcapng(pcapng)) => {
                pcapng.block(*kind, part(body)).map(Item::Block)
            }
            (Framed::Meanwhile(Meanwhile::Tick(time)), _) => Some(Item::Tick(*time)),
            (Framed::Meanwhile(Meanwhile::Dropped(dropped)), _) => Some(Item::Dropped(*dropped)),
            // Was made a tick.
            (Framed::Meanwhile(Meanwhile::Still(_)), _) => None,
            _ => None,
        }
    }

    /// Time of the item framed last, for merging: items other than packets and marks
    /// precede all waiting packets, and so does all of a state file.
    pub(super) fn time(&self) -> Timestamp {
        match &self.framed {
            Some(Framed::Packet(packet)) if !self.precedes => packet.time,
            Some(Framed::Block { .. }) if !self.precedes => self.time_of_mark(),
            _ => Timestamp::MIN,
        }
    }

    #[cold]
    fn time_of_mark(&self) -> Timestamp {
        let mark = match self.item() {
            Some(Item::Block(block)) => origin::time_of_mark(&block),
            _ => None,
        };
        mark.unwrap_or(Timestamp::MIN)
    }
}

impl Reader {
    fn open(input: &mut Input, file: u32) -> Result<Self, Problem> {
        let there = input.buffer.want(4).map_err(Problem::Read)?;
        if there == 0 {
            return Err(Problem::Empty);
        }
        let magic = input.buffer.unread().first_chunk::<4>();
        match magic.and_then(|magic| magic::recognise(*magic)) {
            // Of a pipe, nothing is waited for that may come late.
            Some(Format::Pcapng) if input.size.is_none() => Ok(Self::Pcapng(Pcapng::new(file))),
            Some(Format::Pcapng) => Ok(Self::Pcapng(Pcapng::open(file, &mut input.buffer))),
            Some(Format::Pcap {
                order,
                nanoseconds,
                modified,
            }) => {
                let (pcap, interface) =
                    Pcap::open(&mut input.buffer, file, order, nanoseconds, modified)?;
                Ok(Self::Pcap(pcap, Arc::new(interface)))
            }
            Some(Format::Snoop) => {
                let (snoop, interface) = Snoop::open(&mut input.buffer, file)?;
                Ok(Self::Snoop(snoop, Arc::new(interface)))
            }
            None => {
                // Enough for the longest magic number, and a line of text. Not
                // waited for: a pipe may have no more.
                Err(magic::foreign(input.buffer.unread()))
            }
        }
    }
}

/// Failing to read a compressed file is failing to unpack it.
fn decompressing(compression: Option<Compression>, problem: Problem) -> Problem {
    match (compression, problem) {
        (Some(compression), Problem::Read(error)) => Problem::Decompress(compression, error),
        (_, problem) => problem,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};
    use std::sync::mpsc;

    use super::super::bytes::ByteOrder;
    use super::super::testing::{Bytes, Trickle, capture, plain, seen};
    use super::*;

    fn pcap() -> Bytes {
        Bytes::pcap(ByteOrder::Little, 0xa1b2_c3d4, 4, 1)
    }

    fn many() -> Bytes {
        (0..3000u32).fold(pcap(), |file, n| {
            let data: Vec<u8> = (0..n % 300).map(|i| ((i * n) >> 3) as u8).collect();
            file.record(n, n, &data)
        })
    }

    /// Every compression, of one piece and of two.
    fn compressed(bytes: &[u8]) -> Vec<(Compression, Vec<u8>)> {
        let gzip = |bytes: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("in memory");
            encoder.finish().expect("in memory")
        };
        let zstd = |bytes: &[u8]| {
            use ruzstd::encoding::{CompressionLevel, compress_to_vec};
            compress_to_vec(bytes, CompressionLevel::Fastest)
        };
        let lz4 = |bytes: &[u8]| {
            use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
            let blocks = FrameInfo::new().block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(blocks, Vec::new());
            encoder.write_all(bytes).expect("in memory");
            encoder.finish().expect("in memory")
        };
        let (first, second) = bytes.split_at(bytes.len() / 3);
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'a', b'b', b'c'];
        vec![
            (Compression::Gzip, gzip(bytes)),
            (Compression::Gzip, [gzip(first), gzip(second)].concat()),
            (Compression::Zstd, zstd(bytes)),
            (Compression::Zstd, [zstd(first), zstd(second)].concat()),
            (
                Compression::Zstd,
                [&skippable[..], &zstd(first), &skippable, &zstd(second)].concat(),
            ),
            (Compression::Lz4, lz4(bytes)),
            (Compression::Lz4, [lz4(first), lz4(second)].concat()),
        ]
    }

    #[test]
    fn compressed_files_give_the_same_packets() {
        let file = many();
        let (expected, _) = file.seen();
        assert_eq!(expected.len(), 3000);
        for (compression, bytes) in compressed(&file.bytes) {
            let mut capture = capture(&bytes).expect("a header");
            assert_eq!(capture.compression(), Some(compression));
            let (packets, errors) = seen(&mut capture);
            assert!(errors.is_empty(), "{errors:?}");
            assert!(packets == expected, "{compression} differs");
            assert_eq!(capture.position(), bytes.len() as u64);
        }
    }

    #[test]
    fn a_compressed_file_that_is_cut_gives_its_start_and_says_so() {
        for (compression, bytes) in compressed(&many().bytes) {
            let mut capture = capture(&bytes[..bytes.len() / 2]).expect("a header");
            let (packets, errors) = seen(&mut capture);
            assert_eq!(errors.len(), 1, "{compression}");
            assert!(packets.len() > 500, "{compression}: only {}", packets.len());
            assert!(errors[0].is_truncation(), "{}", errors[0]);
            let message = errors[0].to_string();
            let at = format!("test, packet {} at byte ", packets.len() + 1);
            assert!(message.starts_with(&at), "{message}");
            assert!(message.contains("(uncompressed)"), "{message}");
        }
    }

    #[test]
    fn damaged_compression_is_no_truncation() {
        let (_, mut gzip) = compressed(&many().bytes).swap_remove(0);
        let middle = gzip.len() / 2;
        gzip[middle..middle + 400].fill(0xff);
        let (packets, errors) = seen(&mut capture(&gzip).expect("a header"));
        assert!(packets.len() > 1000, "only {}", packets.len());
        assert!(!errors[0].is_truncation());
        assert!(errors[0].to_string().contains("gzip data is damaged"));
    }

    /// A pipe into which someone else puts bytes.
    struct Pipe(mpsc::Receiver<u8>);

    impl Read for Pipe {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            match (self.0.recv(), out) {
                (Ok(byte), [first, ..]) => {
                    *first = byte;
                    Ok(1)
                }
                _ => Ok(0),
            }
        }
    }

    #[test]
    fn nothing_is_asked_of_a_pipe_beyond_the_packet() {
        let order = ByteOrder::Little;
        let pcapng = Bytes::new(order)
            .section(order, plain)
            .interface(1, 0, plain)
            .enhanced(0, 1, 3, b"abc", plain)
            .enhanced(0, 2, 3, b"def", plain);
        let pcap = pcap().record(1, 0, b"abc").record(2, 0, b"def");
        for file in [pcapng, pcap] {
            // A byte at a time, and the sender waits for each packet.
            let (byte_in, byte_out) = mpsc::sync_channel::<u8>(0);
            let (packet_in, packet_out) = mpsc::channel::<Vec<u8>>();
            let reader = std::thread::spawn(move || {
                let pipe = Box::new(Pipe(byte_out));
                let mut capture = Capture::from_read(pipe, "pipe", 0).expect("a header");
                loop {
                    assert!(capture.may_wait(), "every byte is waited for");
                    match capture.next().expect("no error") {
                        Some(Item::Packet(packet)) => {
                            packet_in.send(packet.packet.data.to_vec()).expect("open");
                        }
                        Some(_) => {}
                        None => break,
                    }
                }
            });
            let last = file.bytes.len();
            // Both formats: two records of equal length at the end.
            let record = if file.bytes[0] == 0x0a { 36 } else { 19 };
            for (sent, byte) in file.bytes.iter().enumerate() {
                byte_in.send(*byte).expect("the reader reads");
                if sent + 1 == last - record {
                    assert_eq!(packet_out.recv().expect("a packet"), b"abc");
                }
            }
            assert_eq!(packet_out.recv().expect("a packet"), b"def");
            drop(byte_in);
            reader.join().expect("no panic");
        }
    }

    /// A record that is read at once and one that is framed first are the same.
    #[test]
    fn whole_records_are_those_that_are_framed() {
        for (order, magic) in [
            (ByteOrder::Little, 0xa1b2_c3d4),
            (ByteOrder::Big, 0xa1b2_3c4d),
        ] {
            let file = Bytes::pcap(order, magic, 4, 1)
                .record(1, 999_999, b"abc")
                .record(u32::MAX, 0, b"")
                .u64(0)
                .u32(2)
                .u32(70)
                .raw(b"xy")
                .bytes;
            for len in 24..=file.len() {
                let capture = || {
                    let input = Cursor::new(file[..len].to_vec());
                    Capture::from_read(Box::new(input), "it", 7).expect("a header")
                };
                let (mut at_once, mut framed) = (capture(), capture());
                loop {
                    let expected = match framed.advance() {
                        Ok(true) => Ok(framed.item()),
                        Ok(false) => Ok(None),
                        Err(error) => Err(error),
                    };
                    let found = at_once.next();
                    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
                    if let Ok(None) = found {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_buffered_is_not_waited_for() {
        let bytes = pcap().record(1, 0, b"abc").record(2, 0, b"def").bytes;
        let input = Cursor::new(bytes.clone());
        let mut all = Capture::from_read(Box::new(input), "all", 0).expect("a header");
        assert!(!all.may_wait());
        all.next().expect("no error");
        assert!(!all.may_wait());
        all.next().expect("no error");
        assert!(all.may_wait(), "more may come");
        assert!(all.next().expect("no error").is_none());
        assert!(!all.may_wait());

        let trickle = Trickle(Cursor::new(bytes));
        let mut trickle = Capture::from_read(Box::new(trickle), "one", 0).expect("a header");
        assert_eq!(seen(&mut trickle).0.len(), 2);
    }

    #[test]
    fn files_that_are_no_captures() {
        let refused = |bytes: &[u8]| capture(bytes).err().expect("no capture").to_string();
        assert_eq!(
            refused(b""),
            "test: is empty (0 bytes), expected a pcap or pcapng header"
        );
        assert_eq!(
            refused(b"Hello,\nworld"),
            "test: is text (\"Hello,\"), expected a pcap or pcapng capture"
        );
        assert_eq!(
            refused(b"\x02\x01\xff\xff\0\0"),
            "test: starts with 02 01 ff ff, expected a pcap or pcapng capture"
        );
        assert!(refused(b"snoop\0\0\0\0\0\0\x02").contains("file header"));
        let missing = Capture::open("/nonexistent/capture.pcap".as_ref(), 0).err();
        let message = missing.expect("no such file").to_string();
        assert!(message.starts_with("/nonexistent/capture.pcap: cannot open: "));
        let directory = Capture::open("/".as_ref(), 0).err().expect("a directory");
        assert_eq!(
            directory.to_string(),
            "/: is a directory, expected a capture file"
        );
    }
}

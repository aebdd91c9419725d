//! `-w`: saves packets as they were captured.
//!
//! Without a selection, every packet that matches the BPF expression is written
//! as it is read. With one, the complete connections that have a selected frame
//! are written, so that the file can be analysed on its own. The frame that
//! decides may come late: after the handshake, after the CONNECT, or at the end
//! of the capture.
//!
//! ```text
//!           which connections?           their packets
//! files     first pass                   second pass
//! pipes     while reading                buffered until decided, then written;
//!                                        the oldest undecided are dropped when
//!                                        the buffer is full
//! ```
//!
//! From a pipe, buffered packets are written when their connection is selected.
//! Each connection is in order, but its first packets may be written after later
//! packets of others. A reader of the file sees it grow, and little is lost if
//! the pipe breaks.
//!
//! Packets go into one file or into a [`Series`] of files. A packet goes into the
//! file that is current when it is written, so with buffering a file may start
//! with packets captured earlier. Across all files each connection is complete
//! and in order.
//!
//! All fragments of an IP packet belong to the connection that the reassembled
//! packet belongs to ([`Placed::fragments`]). Blocks other than packets (names,
//! secrets, interfaces) are copied.

mod buffer;
mod commands;
mod exchanges;
mod names;
mod notes;
mod output_file;
mod permission;
mod plan;
mod schedule;
mod series;

use std::collections::{HashMap, HashSet, VecDeque};

use mqttdump::capture::{Block, Error, OwnedPacket, Packet};
use mqttdump::engine::Placed;
use mqttdump::facts::FrameFact;
use mqttdump::limits::{SAVE_BUFFERED_BYTES, SAVE_CLOSED, SAVE_FRAGMENTS, SAVE_SPANS};
use mqttdump::packet::PacketRef;
use mqttdump::time::Timestamp;

use buffer::PacketBuffer;
use schedule::{Rotation, Schedule, Step};

pub(crate) use exchanges::{Exchanges, Span};
pub(crate) use notes::Notes;
pub(crate) use output_file::{OutputFile, WholeFile, beside, is_same};
pub(crate) use permission::to_write as may_write;
pub(crate) use plan::Save;
pub(crate) use schedule::now;
pub(crate) use series::Series;

/// Saves packets while a capture is read.
pub(crate) enum Saver {
    /// Every packet.
    All(Box<Series>),
    /// Writes nothing: finds the connections that a second pass has to write.
    FirstPass(Box<FirstPass>),
    /// Packets from a pipe, buffered until their connection is selected.
    Buffer(Box<Buffering>),
    /// The second pass: writes the connections that the first one found.
    SecondPass(Box<SecondPass>),
}

/// The second of two passes.
pub(crate) struct SecondPass {
    wanted: WantedPackets,
    series: Series,
}

/// Connections that were selected or closed since the last call.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    pub(crate) selected: Vec<u64>,
    pub(crate) closed: Vec<u64>,
    /// With `--save exchanges`, in place of `selected`.
    pub(crate) exchanges: Option<Exchanges>,
}

impl Connections {
    /// Takes the next control packet.
    pub(crate) fn frame(&mut self, fact: &FrameFact<'_>, is_selected: bool) {
        let number = fact.frame.connection.number;
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.frame(fact, is_selected);
        } else if is_selected && self.selected.last() != Some(&number) {
            self.selected.push(number);
        }
    }

    /// Nothing more comes of a connection.
    pub(crate) fn ended(&mut self, connection: u64) {
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.ended(connection);
        }
        self.closed.push(connection);
    }
}

/// Result of saving.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// What a second pass has to write, if one is needed.
    pub(crate) wanted: Option<Wanted>,
    /// Packets of selected connections that were dropped from the buffer.
    pub(crate) unsaved: u64,
    /// An error occurred and has been reported.
    pub(crate) failed: bool,
}

impl Saver {
    /// For the first of two passes.
    pub(crate) fn first_pass(rotation: Rotation) -> Self {
        Self::FirstPass(Box::new(FirstPass {
            wanted: Wanted::default(),
            schedule: Schedule::new(rotation, None),
            over: false,
        }))
    }

    /// For the second pass, which writes what the first found.
    pub(crate) fn second_pass(wanted: Wanted, series: Series) -> Self {
        Self::SecondPass(Box::new(SecondPass {
            wanted: wanted.into_packets(),
            series,
        }))
    }

    /// For a pipe.
    pub(crate) fn buffering(series: Series) -> Self {
        Self::Buffer(Box::new(Buffering {
            series,
            buffer: PacketBuffer::new(SAVE_BUFFERED_BYTES),
            wanted: HashSet::new(),
            closed: VecDeque::new(),
            unsaved: 0,
        }))
    }

    /// Whether it needs to know which connections are selected and closed.
    pub(crate) fn selects(&self) -> bool {
        !matches!(self, Self::All(_))
    }

    fn files(&self) -> Option<&Series> {
        match self {
            Self::All(series) => Some(series),
            Self::FirstPass(_) => None,
            Self::Buffer(buffering) => Some(&buffering.series),
            Self::SecondPass(second_pass) => Some(&second_pass.series),
        }
    }

    fn series(&mut self) -> Option<&mut Series> {
        match self {
            Self::All(series) => Some(series),
            Self::FirstPass(_) => None,
            Self::Buffer(buffering) => Some(&mut buffering.series),
            Self::SecondPass(second_pass) => Some(&mut second_pass.series),
        }
    }

    /// The files, if one was created.
    pub(crate) fn into_series(self) -> Option<Series> {
        match self {
            Self::All(series) => Some(*series),
            Self::FirstPass(_) => None,
            Self::Buffer(buffering) => Some(buffering.series),
            Self::SecondPass(second_pass) => Some(second_pass.series),
        }
    }

    /// The file currently being written, if any.
    #[cfg(feature = "live")]
    pub(crate) fn path(&self) -> Option<&std::path::Path> {
        self.files().and_then(Series::path)
    }

    /// Whether saving can continue as the current user.
    pub(crate) fn may_continue(&self) -> Result<(), String> {
        self.files().map_or(Ok(()), Series::may_continue)
    }

    /// A packet of this time is about to be read. It may be past the last file:
    /// see [`Saver::is_over`].
    #[inline]
    pub(crate) fn at(&mut self, time: Timestamp) -> Result<(), Error> {
        if let Self::FirstPass(pass) = self {
            pass.over |= pass.schedule.at(time) == Step::Over;
        }
        self.series().map_or(Ok(()), |series| series.at(time))
    }

    /// Time has reached `now` without packets.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Result<(), Error> {
        self.series().map_or(Ok(()), |series| series.tick(now))
    }

    /// Whether the number of files given with `-W` (with `-G`) are complete.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::FirstPass(pass) => pass.over,
            _ => self.files().is_some_and(Series::is_over),
        }
    }

    /// Whether nothing more can be saved.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.files().is_some_and(Series::is_hopeless)
    }

    /// Copies a block that is not a packet.
    pub(crate) fn block(&mut self, block: &Block<'_>) -> Result<(), Error> {
        self.series().map_or(Ok(()), |series| series.block(block))
    }

    /// Saves a packet, or buffers it, by its connection.
    #[inline]
    pub(crate) fn packet(&mut self, packet: &Packet<'_>, placed: Placed<'_>) -> Result<(), Error> {
        match self {
            Self::All(series) => series.packet(packet),
            Self::FirstPass(pass) => {
                let wanted = &mut pass.wanted;
                if let Some(connection) = placed.connection {
                    wanted.note_fragments(connection, placed.fragments);
                }
                Ok(())
            }
            Self::Buffer(buffering) => buffering.packet(packet, placed),
            Self::SecondPass(second_pass) => {
                match second_pass
                    .wanted
                    .contains(packet.packet.id, placed.connection)
                {
                    true => second_pass.series.packet(packet),
                    false => Ok(()),
                }
            }
        }
    }

    /// A frame of this connection was selected.
    pub(crate) fn select(&mut self, connection: u64) -> Result<(), Error> {
        match self {
            Self::All(_) | Self::SecondPass(_) => Ok(()),
            Self::FirstPass(pass) => {
                let wanted = &mut pass.wanted;
                wanted.connections.insert(connection);
                Ok(())
            }
            Self::Buffer(buffering) => buffering.select(connection),
        }
    }

    /// Packets of a connection carry a selected exchange.
    pub(crate) fn select_span(&mut self, span: Span) {
        if let Self::FirstPass(pass) = self {
            pass.wanted.span(span);
        }
    }

    /// A connection has ended.
    pub(crate) fn closed(&mut self, connection: u64) {
        match self {
            Self::All(_) | Self::SecondPass(_) => {}
            Self::FirstPass(pass) => pass.wanted.drop_unless_wanted(connection),
            Self::Buffer(buffering) => buffering.closed(connection),
        }
    }

    /// Flushes everything written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.series().map_or(Ok(()), Series::flush)
    }

    /// The capture has ended.
    pub(crate) fn finish(self) -> Result<Saved, Error> {
        let (series, unsaved) = match self {
            Self::All(series) => (*series, 0),
            Self::Buffer(buffering) => (buffering.series, buffering.unsaved),
            Self::SecondPass(second_pass) => (second_pass.series, 0),
            Self::FirstPass(pass) => {
                let wanted = pass.wanted;
                return Ok(Saved {
                    unsaved: wanted.unsaved,
                    wanted: Some(wanted),
                    failed: false,
                });
            }
        };
        Ok(Saved {
            wanted: None,
            unsaved,
            failed: !series.finish()?,
        })
    }
}

/// The first of two passes.
pub(crate) struct FirstPass {
    wanted: Wanted,
    /// The same as in the second pass, so that both end at the same packet.
    schedule: Schedule,
    over: bool,
}

/// What a second pass has to write.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    connections: HashSet<u64>,
    /// Of other connections, the first and last packets of what is wanted.
    spans: HashMap<u64, Vec<(Position, Position)>>,
    /// How many there are in `spans`.
    spanned: usize,
    /// Packets whose IP fragments were completed by a later packet, by
    /// connection.
    fragments: HashMap<u64, Vec<PacketRef>>,
    /// Number of packets in `fragments`.
    noted: usize,
    /// Fragments not noted because the limit was reached.
    unsaved: u64,
}

/// The packets that a second pass writes.
struct WantedPackets {
    connections: HashSet<u64>,
    /// In order, and apart from each other.
    spans: HashMap<u64, Vec<(Position, Position)>>,
    fragments: HashSet<PacketRef>,
}

/// The order of packets over all files: the file, and the number there.
type Position = (u32, u64);

fn position(packet: PacketRef) -> Position {
    (packet.file, packet.number)
}

impl WantedPackets {
    fn contains(&self, packet: PacketRef, connection: Option<u64>) -> bool {
        connection.is_some_and(|connection| {
            self.connections.contains(&connection) || self.spans_over(packet, connection)
        }) || self.fragments.contains(&packet)
    }

    fn spans_over(&self, packet: PacketRef, connection: u64) -> bool {
        let at = position(packet);
        self.spans.get(&connection).is_some_and(|spans| {
            let next = spans.partition_point(|(_, last)| *last < at);
            spans.get(next).is_some_and(|(first, _)| *first <= at)
        })
    }
}

impl Wanted {
    fn into_packets(self) -> WantedPackets {
        let fragments = self
            .fragments
            .into_iter()
            .filter(|(connection, _)| {
                self.connections.contains(connection) || self.spans.contains_key(connection)
            })
            .flat_map(|(_, packets)| packets)
            .collect();
        let mut spans = self.spans;
        for spans in spans.values_mut() {
            spans.sort_unstable();
            spans.dedup_by(|next, last| {
                let overlaps = next.0 <= last.1;
                if overlaps {
                    last.1 = last.1.max(next.1);
                }
                overlaps
            });
        }
        WantedPackets {
            connections: self.connections,
            spans,
            fragments,
        }
    }

    fn span(&mut self, span: Span) {
        if self.spanned == SAVE_SPANS {
            // More than asked for, and nothing less.
            self.connections.insert(span.connection);
            return;
        }
        let last = position(span.last);
        let first = span.first.map_or((0, 0), position);
        // Of files from two places that are read as one, either may be first.
        let span_of = (first.min(last), first.max(last));
        self.spans.entry(span.connection).or_default().push(span_of);
        self.spanned += 1;
    }

    fn note_fragments(&mut self, connection: u64, packets: &[PacketRef]) {
        if packets.is_empty() {
            return;
        }
        let room = SAVE_FRAGMENTS.saturating_sub(self.noted);
        let (fit, rest) = packets.split_at(packets.len().min(room));
        self.fragments.entry(connection).or_default().extend(fit);
        self.noted += fit.len();
        self.unsaved += rest.len() as u64;
    }

    fn drop_unless_wanted(&mut self, connection: u64) {
        if !self.connections.contains(&connection)
            && !self.spans.contains_key(&connection)
            && let Some(packets) = self.fragments.remove(&connection)
        {
            self.noted -= packets.len();
        }
    }
}

/// Saves from a pipe.
pub(crate) struct Buffering {
    series: Series,
    buffer: PacketBuffer<OwnedPacket>,
    wanted: HashSet<u64>,
    /// Selected connections that have closed. The most recent ones stay selected,
    /// for acknowledgements after the close.
    closed: VecDeque<u64>,
    unsaved: u64,
}

impl Buffering {
    fn packet(&mut self, packet: &Packet<'_>, placed: Placed<'_>) -> Result<(), Error> {
        let Some(connection) = placed.connection else {
            self.push(packet, None);
            return Ok(());
        };
        if !placed.fragments.is_empty() {
            self.buffer.assign(placed.fragments, connection);
        }
        if !self.wanted.contains(&connection) {
            self.push(packet, Some(connection));
            return Ok(());
        }
        if !placed.fragments.is_empty() {
            self.release(connection)?;
        }
        self.series.packet(packet)
    }

    fn push(&mut self, packet: &Packet<'_>, connection: Option<u64>) {
        let id = packet.packet.id;
        let packet = OwnedPacket::from(packet);
        self.buffer.push(id, connection, packet.size(), packet);
    }

    fn select(&mut self, connection: u64) -> Result<(), Error> {
        match self.wanted.insert(connection) {
            true => self.release(connection),
            false => Ok(()),
        }
    }

    fn release(&mut self, connection: u64) -> Result<(), Error> {
        let (packets, dropped) = self.buffer.release(connection);
        self.unsaved += dropped;
        packets
            .iter()
            .try_for_each(|packet| self.series.packet(&packet.lend()))
    }

    fn closed(&mut self, connection: u64) {
        if !self.wanted.contains(&connection) {
            self.buffer.drop_connection(connection);
            return;
        }
        self.closed.push_back(connection);
        if self.closed.len() > SAVE_CLOSED
            && let Some(oldest) = self.closed.pop_front()
        {
            self.wanted.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use mqttdump::capture::{Capture, Item, Plan, Writer};

    use super::*;

    /// A pcap of `count` Ethernet packets whose only byte is their number.
    fn pcap(count: u8) -> Vec<u8> {
        let mut file = Vec::new();
        file.extend(0xa1b2_c3d4_u32.to_le_bytes());
        file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
        for number in 1..=count {
            for field in [u32::from(number), 0, 1, 1] {
                file.extend(field.to_le_bytes());
            }
            file.push(number);
        }
        file
    }

    fn numbers(pcap: Vec<u8>) -> Vec<u8> {
        let mut numbers = Vec::new();
        let mut capture = Capture::from_read(Box::new(io::Cursor::new(pcap)), "test", 0).unwrap();
        while let Some(item) = capture.next().unwrap() {
            if let Item::Packet(packet) = item {
                numbers.extend(packet.packet.data);
            }
        }
        numbers
    }

    /// What happens at a packet: its connection (0 for none), the earlier
    /// packets whose fragments it completes, the connections selected by it.
    type Step<'a> = (u64, &'a [u64], &'a [u64]);

    /// All ways of saving must give the same result.
    fn saved(steps: &[Step<'_>]) -> Vec<u8> {
        let (buffer, two_passes) = (from_pipe(steps), from_file(steps));
        let mut sorted = buffer.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, two_passes);
        buffer
    }

    fn from_pipe(steps: &[Step<'_>]) -> Vec<u8> {
        let buffer = Buffer::default();
        let plan = Plan::new(Path::new("x.pcap"), &[]);
        let writer = Writer::to_write(Box::new(buffer.clone()), "test", plan);
        let mut saver = Saver::buffering(Series::to_writer(writer));
        push(&mut saver, steps);
        let saved = saver.finish().unwrap();
        assert_eq!((saved.unsaved, saved.failed), (0, false));
        let bytes = buffer.0.lock().unwrap().clone();
        numbers(bytes)
    }

    fn from_file(steps: &[Step<'_>]) -> Vec<u8> {
        let mut saver = Saver::first_pass(Rotation::default());
        push(&mut saver, steps);
        let wanted = saver.finish().unwrap().wanted.unwrap().into_packets();
        (1..)
            .zip(steps)
            .filter(|(number, step)| wanted.contains(id(*number), (step.0 > 0).then_some(step.0)))
            .map(|(number, _)| number as u8)
            .collect()
    }

    fn push(saver: &mut Saver, steps: &[Step<'_>]) {
        let file = io::Cursor::new(pcap(steps.len() as u8));
        let mut capture = Capture::from_read(Box::new(file), "test", 0).unwrap();
        for (connection, fragments, selected) in steps {
            let Some(Item::Packet(packet)) = capture.next().unwrap() else {
                panic!("expected a packet");
            };
            let fragments: Vec<_> = fragments.iter().map(|number| id(*number)).collect();
            let placed = Placed {
                connection: (*connection > 0).then_some(*connection),
                fragments: &fragments,
            };
            saver.packet(&packet, placed).unwrap();
            for connection in *selected {
                saver.select(*connection).unwrap();
            }
        }
    }

    fn id(number: u64) -> PacketRef {
        PacketRef { number, file: 0 }
    }

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whole_connections_are_saved() {
        // The third packet selects connection 1; connection 2 is never selected.
        let steps: &[Step<'_>] = &[
            (1, &[], &[]),
            (2, &[], &[]),
            (1, &[], &[]),
            (0, &[], &[]),
            (1, &[], &[1]),
            (2, &[], &[]),
            (1, &[], &[]),
        ];
        assert_eq!(saved(steps), [1, 3, 5, 7]);
    }

    #[test]
    fn fragments_are_saved_with_what_they_are_fragments_of() {
        // Packets 1 and 3 are fragments that 4 completes; 2 and 5 are others'.
        let steps: &[Step<'_>] = &[
            (0, &[], &[]),
            (0, &[], &[]),
            (0, &[], &[]),
            (1, &[1, 3], &[1]),
            (0, &[], &[]),
            (0, &[], &[]),
            (1, &[6], &[]),
        ];
        assert_eq!(saved(steps), [1, 3, 4, 6, 7]);
    }

    #[test]
    fn late_packets_of_connections_that_closed_long_ago_are_not_saved() {
        let plan = Plan::new(Path::new("x.pcap"), &[]);
        let writer = Writer::to_write(Box::new(Buffer::default()), "test", plan);
        let Saver::Buffer(mut saver) = Saver::buffering(Series::to_writer(writer)) else {
            panic!()
        };
        for connection in 0..SAVE_CLOSED as u64 {
            saver.select(connection).unwrap();
            saver.closed(connection);
        }
        assert!(saver.wanted.contains(&0));
        saver.select(1 << 40).unwrap();
        saver.closed(1 << 40);
        assert!(!saver.wanted.contains(&0) && saver.wanted.contains(&1));
        assert_eq!(saver.wanted.len(), SAVE_CLOSED);
    }

    #[test]
    fn fragments_beyond_the_limit_are_counted() {
        let mut wanted = Wanted {
            noted: SAVE_FRAGMENTS - 2,
            ..Wanted::default()
        };
        wanted.connections.insert(1);
        wanted.note_fragments(1, &[id(1), id(2), id(3)]);
        wanted.note_fragments(1, &[id(4)]);
        assert_eq!((wanted.noted, wanted.unsaved), (SAVE_FRAGMENTS, 2));
        let packets = wanted.into_packets();
        let is_saved = |number: &u64| packets.contains(id(*number), None);
        assert_eq!((1..=4).filter(is_saved).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn beyond_the_limit_of_spans_whole_connections_are_saved() {
        let mut wanted = Wanted {
            spanned: SAVE_SPANS - 1,
            ..Wanted::default()
        };
        let span = |connection: u64| Span {
            connection,
            first: None,
            last: id(5),
        };
        wanted.span(span(1));
        wanted.span(span(2));
        let packets = wanted.into_packets();
        let saved = |connection: u64| {
            let all = (1..=9).filter(|number| packets.contains(id(*number), Some(connection)));
            all.count()
        };
        assert_eq!((saved(1), saved(2), saved(3)), (5, 9, 0));
    }

    #[test]
    fn a_connection_that_closed_unselected_is_given_up() {
        let mut saver = Saver::first_pass(Rotation::default());
        push(&mut saver, &[(0, &[], &[]), (1, &[1], &[])]);
        saver.closed(1);
        let Saver::FirstPass(pass) = saver else {
            panic!()
        };
        let wanted = pass.wanted;
        assert_eq!((wanted.noted, wanted.fragments.len()), (0, 0));
    }
}

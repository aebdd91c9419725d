//! `-w`: packets are saved as they were captured.
//!
//! Without a selection that is simple: every packet that the BPF expression
//! lets through is written as it is read. With one, the whole connections that
//! have a selected frame are written, so that the file can be read again on its
//! own. But the frame that decides comes late: after the handshake, after the
//! CONNECT, perhaps at the end of the capture.
//!
//! ```text
//!           which connections?           their packets
//! files     first pass                   second pass
//! pipes     while reading                held until decided, then written;
//!                                        the oldest undecided are dropped when
//!                                        too many are held
//! ```
//!
//! From a pipe, packets that were held are written when their connection is
//! decided: each connection is in order, but its beginning may come after later
//! packets of others. So a reader of the file sees it grow, and little is lost
//! when the pipe is cut.
//!
//! What is written goes into one file or into a [`Series`] of them. A packet
//! goes into the file of the time when it is written, so when packets were
//! held, a file may begin with some that were captured before it was begun: the
//! opening of the connections that were decided since. Each connection is in
//! order over all the files, and all of it is there.
//!
//! `--save exchanges` writes less: of the connections that have a selected frame
//! only the packets that carry selected messages and their acknowledgements
//! ([`Exchanges`]), and the opening. It takes two passes.
//!
//! An IP packet that came in fragments belongs to a connection with all of
//! them, though only the last shows it ([`Placed::fragments`]). What is not a
//! packet (names, secrets, interfaces) is passed on as it is.

mod commands;
mod exchanges;
mod held;
mod names;
mod permission;
mod place;
mod plan;
mod schedule;
mod series;

use std::collections::{HashMap, HashSet, VecDeque};

use mqttdump::capture::{Block, Error, OwnedPacket, Packet};
use mqttdump::engine::Placed;
use mqttdump::facts::FrameFact;
use mqttdump::limits::{SAVE_CLOSED, SAVE_FRAGMENTS, SAVE_HELD_BYTES, SAVE_SPANS};
use mqttdump::packet::PacketRef;
use mqttdump::time::Timestamp;

use held::Held;
use schedule::{Rotation, Schedule, Step};

pub(crate) use exchanges::{Exchanges, Span};
pub(crate) use permission::to_write as may_write;
pub(crate) use place::{beside, is_same};
pub(crate) use plan::Save;
pub(crate) use schedule::now;
pub(crate) use series::Series;

/// Saves while the capture is read for the first time.
pub(crate) enum Saver {
    /// Every packet.
    All(Box<Series>),
    /// Nothing yet: only finds out what a second pass is to write.
    Find(Finding),
    /// Packets of a pipe, once their connection is wanted.
    Hold(Box<Holding>),
    /// The second pass: the packets of connections that the first found.
    Again(Box<Again>),
}

/// The second of two passes.
pub(crate) struct Again {
    wanted: WantedPackets,
    series: Series,
}

/// Connections that were selected, and that closed, since a saver was told.
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

/// What saving came to.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// What a second pass is to write, if there has to be one.
    pub(crate) wanted: Option<Wanted>,
    /// Packets that should have been written and could not be held.
    pub(crate) unsaved: u64,
    /// Something went wrong, and has been said.
    pub(crate) failed: bool,
}

impl Saver {
    /// For the first of two passes.
    pub(crate) fn find(rotation: Rotation) -> Self {
        Self::Find(Finding {
            wanted: Wanted::default(),
            schedule: Schedule::new(rotation, None),
            over: false,
        })
    }

    /// For the second pass, which writes what the first found.
    pub(crate) fn again(wanted: Wanted, series: Series) -> Self {
        Self::Again(Box::new(Again {
            wanted: wanted.into_packets(),
            series,
        }))
    }

    /// For a pipe.
    pub(crate) fn hold(series: Series) -> Self {
        Self::Hold(Box::new(Holding {
            series,
            held: Held::new(SAVE_HELD_BYTES),
            wanted: HashSet::new(),
            closed: VecDeque::new(),
            unsaved: 0,
        }))
    }

    /// Whether it wants to hear which connections are selected and closed.
    pub(crate) fn selects(&self) -> bool {
        !matches!(self, Self::All(_))
    }

    fn files(&self) -> Option<&Series> {
        match self {
            Self::All(series) => Some(series),
            Self::Find(_) => None,
            Self::Hold(holding) => Some(&holding.series),
            Self::Again(again) => Some(&again.series),
        }
    }

    fn series(&mut self) -> Option<&mut Series> {
        match self {
            Self::All(series) => Some(series),
            Self::Find(_) => None,
            Self::Hold(holding) => Some(&mut holding.series),
            Self::Again(again) => Some(&mut again.series),
        }
    }

    /// The files, if they have been begun.
    pub(crate) fn into_series(self) -> Option<Series> {
        match self {
            Self::All(series) => Some(*series),
            Self::Find(_) => None,
            Self::Hold(holding) => Some(holding.series),
            Self::Again(again) => Some(again.series),
        }
    }

    /// The file that is being written, if there is one.
    #[cfg(feature = "live")]
    pub(crate) fn path(&self) -> Option<&std::path::Path> {
        self.files().and_then(Series::path)
    }

    /// Whether saving can go on as whoever we have become.
    pub(crate) fn may_go_on(&self) -> Result<(), String> {
        self.files().map_or(Ok(()), Series::may_go_on)
    }

    /// A packet of this time is about to be read. It may be one too many: see
    /// [`Saver::is_over`].
    #[inline]
    pub(crate) fn at(&mut self, time: Timestamp) -> Result<(), Error> {
        if let Self::Find(finding) = self {
            finding.over |= finding.schedule.at(time) == Step::Over;
        }
        self.series().map_or(Ok(()), |series| series.at(time))
    }

    /// Time has come to this point without packets.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Result<(), Error> {
        self.series().map_or(Ok(()), |series| series.tick(now))
    }

    /// Whether as many files as were asked for are full (`-W` with `-G`).
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Find(finding) => finding.over,
            _ => self.files().is_some_and(Series::is_over),
        }
    }

    /// Whether nothing can be saved any more, now or later.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.files().is_some_and(Series::is_hopeless)
    }

    /// Something that is not a packet.
    pub(crate) fn block(&mut self, block: &Block<'_>) -> Result<(), Error> {
        self.series().map_or(Ok(()), |series| series.block(block))
    }

    /// A packet that was read, and where it belongs.
    #[inline]
    pub(crate) fn packet(&mut self, packet: &Packet<'_>, placed: Placed<'_>) -> Result<(), Error> {
        match self {
            Self::All(series) => series.packet(packet),
            Self::Find(Finding { wanted, .. }) => {
                if let Some(connection) = placed.connection {
                    wanted.note_fragments(connection, placed.fragments);
                }
                Ok(())
            }
            Self::Hold(holding) => holding.packet(packet, placed),
            Self::Again(again) => {
                match again.wanted.contains(packet.packet.id, placed.connection) {
                    true => again.series.packet(packet),
                    false => Ok(()),
                }
            }
        }
    }

    /// A connection has a selected frame.
    pub(crate) fn select(&mut self, connection: u64) -> Result<(), Error> {
        match self {
            Self::All(_) | Self::Again(_) => Ok(()),
            Self::Find(Finding { wanted, .. }) => {
                wanted.connections.insert(connection);
                Ok(())
            }
            Self::Hold(holding) => holding.select(connection),
        }
    }

    /// Packets of a connection carry a selected exchange.
    pub(crate) fn select_span(&mut self, span: Span) {
        if let Self::Find(Finding { wanted, .. }) = self {
            wanted.span(span);
        }
    }

    /// A connection has ended.
    pub(crate) fn closed(&mut self, connection: u64) {
        match self {
            Self::All(_) | Self::Again(_) => {}
            Self::Find(Finding { wanted, .. }) => wanted.forget_unless_wanted(connection),
            Self::Hold(holding) => holding.closed(connection),
        }
    }

    /// Hands everything written so far to the system.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.series().map_or(Ok(()), Series::flush)
    }

    /// The capture has ended.
    pub(crate) fn finish(self) -> Result<Saved, Error> {
        let (series, unsaved) = match self {
            Self::All(series) => (*series, 0),
            Self::Hold(holding) => (holding.series, holding.unsaved),
            Self::Again(again) => (again.series, 0),
            Self::Find(Finding { wanted, .. }) => {
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
pub(crate) struct Finding {
    wanted: Wanted,
    /// That of the files of the second pass, so that both end at the same
    /// packet.
    schedule: Schedule,
    over: bool,
}

/// What a second pass is to write.
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
    /// How many there are in `fragments`.
    noted: usize,
    /// Fragments for which there was no room.
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

    fn forget_unless_wanted(&mut self, connection: u64) {
        if !self.connections.contains(&connection)
            && !self.spans.contains_key(&connection)
            && let Some(packets) = self.fragments.remove(&connection)
        {
            self.noted -= packets.len();
        }
    }
}

/// Saves from a pipe.
pub(crate) struct Holding {
    series: Series,
    held: Held<OwnedPacket>,
    wanted: HashSet<u64>,
    /// Wanted connections that have closed. The last ones stay wanted, for the
    /// acknowledgements that come after the end.
    closed: VecDeque<u64>,
    unsaved: u64,
}

impl Holding {
    fn packet(&mut self, packet: &Packet<'_>, placed: Placed<'_>) -> Result<(), Error> {
        let Some(connection) = placed.connection else {
            self.hold(packet, None);
            return Ok(());
        };
        if !placed.fragments.is_empty() {
            self.held.assign(placed.fragments, connection);
        }
        if !self.wanted.contains(&connection) {
            self.hold(packet, Some(connection));
            return Ok(());
        }
        if !placed.fragments.is_empty() {
            self.release(connection)?;
        }
        self.series.packet(packet)
    }

    fn hold(&mut self, packet: &Packet<'_>, connection: Option<u64>) {
        let id = packet.packet.id;
        let packet = OwnedPacket::from(packet);
        self.held.hold(id, connection, packet.size(), packet);
    }

    fn select(&mut self, connection: u64) -> Result<(), Error> {
        match self.wanted.insert(connection) {
            true => self.release(connection),
            false => Ok(()),
        }
    }

    fn release(&mut self, connection: u64) -> Result<(), Error> {
        let (packets, dropped) = self.held.release(connection);
        self.unsaved += dropped;
        packets
            .iter()
            .try_for_each(|packet| self.series.packet(&packet.lend()))
    }

    fn closed(&mut self, connection: u64) {
        if !self.wanted.contains(&connection) {
            self.held.forget(connection);
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

    /// Every way of saving has to come to the same.
    fn saved(steps: &[Step<'_>]) -> Vec<u8> {
        let (held, two_passes) = (from_pipe(steps), from_file(steps));
        let mut sorted = held.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, two_passes);
        held
    }

    fn from_pipe(steps: &[Step<'_>]) -> Vec<u8> {
        let buffer = Buffer::default();
        let plan = Plan::new(Path::new("x.pcap"), &[]);
        let writer = Writer::to_write(Box::new(buffer.clone()), "test", plan);
        let mut saver = Saver::hold(Series::to_writer(writer));
        push(&mut saver, steps);
        let saved = saver.finish().unwrap();
        assert_eq!((saved.unsaved, saved.failed), (0, false));
        let bytes = buffer.0.lock().unwrap().clone();
        numbers(bytes)
    }

    fn from_file(steps: &[Step<'_>]) -> Vec<u8> {
        let mut saver = Saver::find(Rotation::default());
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
        // The third packet of connection 1 decides; connection 2 never does.
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
    fn a_connection_that_closed_unselected_is_given_up() {
        let mut saver = Saver::find(Rotation::default());
        push(&mut saver, &[(0, &[], &[]), (1, &[1], &[])]);
        saver.closed(1);
        let Saver::Find(Finding { wanted, .. }) = saver else {
            panic!()
        };
        assert_eq!((wanted.noted, wanted.fragments.len()), (0, 0));
    }
}

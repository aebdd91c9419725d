//! Reads the records of all shards in the order of the capture.
//!
//! Packets of a file keep its order, whatever their times are; of the first packets of
//! all files, the earliest comes next, as when captures are read together.
//! Connections are numbered anew, by their first packets, as one process numbers them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fmt;
use std::io::{self, BufRead};

use super::row::{Frame, Row};
use super::{Counts, Header};
use crate::engine::{Attempt, Output, SessionStarts, Tcp};
use crate::event::{ConnectionEnd, Event};
use crate::frame::{Connection, MQTTFrame};
use crate::mqtt::{self, Text};
use crate::packet::PacketRef;
use crate::shard::Portion;
use crate::time::Timestamp;

/// Why records cannot be merged.
#[derive(Debug)]
pub enum Unmerged {
    /// A file cannot be read.
    Read(String, io::Error),
    /// A file is not one of records, or of another version.
    Format(String, String),
    /// A shard in this file is in another one as well.
    Twice(String),
}

impl fmt::Display for Unmerged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(name, error) => write!(f, "{name}: {error}"),
            Self::Format(name, why) => write!(f, "{name}: {why}"),
            Self::Twice(name) => write!(f, "{name}: this shard is in another file as well"),
        }
    }
}

/// Where a group of rows stands among those of other shards: those of a packet, by its
/// file, number and time; then, at the end, those of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    /// [`END`] at the end.
    file: u32,
    number: u64,
    /// Not of the packet itself, but of the clock that it moves on.
    is_packet: bool,
    time: Timestamp,
}

/// Follows all files.
const END: u32 = u32::MAX;

impl Key {
    const fn at_end(connection: u64) -> Self {
        Self {
            file: END,
            number: connection,
            is_packet: true,
            time: Timestamp::MAX,
        }
    }
}

/// The records of several shards.
pub struct Records {
    shards: Vec<Shard>,
    /// Shards with rows, by the file and the packet of the next ones.
    waiting: BTreeMap<u32, BinaryHeap<Reverse<(Key, usize)>>>,
    files: Vec<String>,
    connections: u64,
    counts: Counts,
    portion: Portion,
    sessions: SessionStarts,
    pauses: Vec<(Timestamp, Timestamp)>,
    /// What is missing or damaged.
    problems: Vec<String>,
}

/// A file of records.
pub struct Input {
    /// Its name in messages.
    pub name: String,
    /// Its bytes.
    pub bytes: Box<dyn BufRead>,
    /// It does not end with [`Header::END`].
    pub is_cut: bool,
}

/// The file of a shard.
struct Shard {
    name: String,
    input: Box<dyn BufRead>,
    /// The next row, which is not of the current packet.
    next: Vec<u8>,
    /// Whether `next` holds a row.
    there: bool,
    at_end: bool,
    /// The index of each of its files among all.
    files: Vec<u32>,
    /// Numbers among all, by those in the shard.
    numbers: HashMap<u64, u64, foldhash::fast::FixedState>,
    connections: HashMap<u64, Open, foldhash::fast::FixedState>,
}

/// A connection, and its CONNECT while that has no answer.
struct Open {
    connection: Connection,
    attempt: Option<Attempt>,
}

/// The longest row: a control packet as far as it is kept, and its connection.
const LONGEST: usize = 1 << 26;

impl Records {
    /// Reads the headers of these files. Shards that are missing are
    /// [`Records::problems`].
    pub fn new(inputs: Vec<Input>) -> Result<Self, Unmerged> {
        let mut this = Self {
            shards: Vec::new(),
            waiting: BTreeMap::new(),
            files: Vec::new(),
            connections: 0,
            counts: Counts {
                whole: true,
                ..Counts::default()
            },
            portion: Portion::default(),
            sessions: SessionStarts::default(),
            pauses: Vec::new(),
            problems: Vec::new(),
        };
        for Input {
            name,
            mut bytes,
            is_cut,
        } in inputs
        {
            let header = header(&name, &mut *bytes)?;
            if !this.portion.merge(&header.portion) {
                return Err(Unmerged::Twice(name));
            }
            if is_cut {
                this.counts.whole = false;
                this.problems.push(format!("{name}: cut off"));
            }
            let files = header.files.iter().map(|file| this.file(file)).collect();
            this.shards.push(Shard {
                name,
                input: bytes,
                next: Vec::new(),
                there: false,
                at_end: false,
                files,
                numbers: HashMap::default(),
                connections: HashMap::default(),
            });
        }
        let missing = this.portion.missing().into_iter();
        this.problems.extend(missing.map(|(number, of, first)| {
            format!(
                "shard-{number:03} of {of} of {first} is missing: cannot tell what depends on it"
            )
        }));
        for index in 0..this.shards.len() {
            this.advance(index)?;
        }
        Ok(this)
    }

    /// Names of the files that packets refer to.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// What is missing or damaged.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The shards that are there.
    pub fn portion(&self) -> &Portion {
        &self.portion
    }

    /// Whether packets of connections that are there may be missing: a file was cut, or
    /// a capture damaged.
    pub fn lacks_packets(&self) -> bool {
        !self.counts.whole
    }

    /// Sums of the counts, at the end.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes the pauses of the whole capture that were read: they come before whatever is
    /// read next.
    pub fn take_pauses(&mut self) -> Vec<(Timestamp, Timestamp)> {
        std::mem::take(&mut self.pauses)
    }

    /// TCP connections so far.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// Passes on the outputs that come from the next packet; false at the end.
    pub fn next(&mut self, out: &mut dyn FnMut(Output<'_>)) -> Result<bool, Unmerged> {
        let Some((key, index)) = self.choose() else {
            return Ok(false);
        };
        while let Some(shard) = self.shards.get_mut(index).filter(|shard| shard.there) {
            let bytes = std::mem::take(&mut shard.next);
            let row = parse(&bytes, &shard.name)?;
            let is_another = match shard.start(&row) {
                Some(start) => start != key,
                // At the end, each connection is a group.
                None => shard.at_end && shard.key_of(&row) != key,
            };
            if is_another {
                drop(row);
                shard.next = bytes;
                self.wait(index)?;
                break;
            }
            match row {
                Row::Opened(number) => {
                    self.connections += 1;
                    shard.numbers.insert(number, self.connections);
                }
                Row::Counts(counts) => self.counts.add(&counts),
                Row::Pause { from, until } => self.pauses.push((from, until)),
                row => shard.output(row, &mut self.sessions, out),
            }
            shard.next = bytes;
            self.fetch(index)?;
        }
        Ok(true)
    }

    /// The shard whose rows are next: that of the earliest of the files' first packets.
    fn choose(&mut self) -> Option<(Key, usize)> {
        let first = |heap: &BinaryHeap<Reverse<(Key, usize)>>| heap.peek().map(|it| it.0.0.time);
        let files = self.waiting.iter();
        let (_, file) = files
            .filter_map(|(file, heap)| Some((first(heap)?, *file)))
            .min()?;
        let Reverse(next) = self.waiting.get_mut(&file)?.pop()?;
        Some(next)
    }

    /// Reads the first row of a shard.
    fn advance(&mut self, index: usize) -> Result<(), Unmerged> {
        self.fetch(index)?;
        self.wait(index)
    }

    /// Reads the next row.
    fn fetch(&mut self, index: usize) -> Result<(), Unmerged> {
        match self.shards.get_mut(index) {
            Some(shard) => shard.fetch(),
            None => Ok(()),
        }
    }

    /// Puts a shard with a next row where it belongs among the others.
    fn wait(&mut self, index: usize) -> Result<(), Unmerged> {
        let Some(shard) = self.shards.get_mut(index).filter(|shard| shard.there) else {
            return Ok(());
        };
        let row = parse(&shard.next, &shard.name)?;
        let key = shard.start(&row).unwrap_or_else(|| shard.key_of(&row));
        shard.at_end |= matches!(row, Row::AtEnd);
        let heap = self.waiting.entry(key.file).or_default();
        heap.push(Reverse((key, index)));
        Ok(())
    }

    fn file(&mut self, name: &str) -> u32 {
        let known = self.files.iter().position(|file| file == name);
        let index = known.unwrap_or_else(|| {
            self.files.push(name.to_owned());
            self.files.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }
}

fn header(name: &str, input: &mut dyn BufRead) -> Result<Header, Unmerged> {
    let mut line = Vec::new();
    input
        .read_until(b'\n', &mut line)
        .map_err(|error| Unmerged::Read(name.into(), error))?;
    let header: Header = serde_json::from_slice(&line)
        .map_err(|_| Unmerged::Format(name.into(), "expected a file of --facts-out".into()))?;
    match header.version {
        Header::VERSION => Ok(header),
        other => Err(Unmerged::Format(
            name.into(),
            format!("expected version {}, found {other}", Header::VERSION),
        )),
    }
}

fn parse<'a>(bytes: &'a [u8], name: &str) -> Result<Row<'a>, Unmerged> {
    postcard::from_bytes(bytes)
        .map_err(|error| Unmerged::Format(name.into(), format!("damaged: {error}")))
}

impl Shard {
    /// Reads the next row into `next`.
    fn fetch(&mut self) -> Result<(), Unmerged> {
        let (input, name) = (&mut self.input, &self.name);
        let mut read = |bytes: &mut [u8]| match input.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(Unmerged::Read(name.clone(), error)),
        };
        let mut length = [0; 4];
        self.there = false;
        if !read(&mut length)? {
            return Ok(());
        }
        if Header::END.starts_with(&length) {
            return Ok(());
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            let why = format!("damaged: a row of {length} bytes");
            return Err(Unmerged::Format(self.name.clone(), why));
        }
        self.next.resize(length, 0);
        self.there = read(&mut self.next)?;
        Ok(())
    }

    /// Where the rows after this one belong.
    fn start(&self, row: &Row<'_>) -> Option<Key> {
        match row {
            Row::At {
                time,
                packet,
                is_clock,
            } => {
                let PacketRef { number, file } = self.packet(*packet);
                Some(Key {
                    file,
                    number,
                    is_packet: !is_clock,
                    time: *time,
                })
            }
            Row::AtEnd => Some(Key::at_end(0)),
            _ => None,
        }
    }

    /// Where a row at the end belongs: by connection.
    fn key_of(&self, row: &Row<'_>) -> Key {
        let number = match row {
            Row::Connection(connection) => connection.number,
            Row::Frame(frame) => frame.connection,
            Row::Event {
                connection: Some(connection),
                ..
            }
            | Row::Tcp { connection, .. }
            | Row::Ended { connection, .. } => *connection,
            _ => return Key::at_end(u64::MAX),
        };
        let global = self.numbers.get(&number).copied();
        Key::at_end(global.unwrap_or(number))
    }

    fn packet(&self, packet: PacketRef) -> PacketRef {
        let file = self.files.get(packet.file as usize).copied();
        PacketRef {
            file: file.unwrap_or(packet.file),
            ..packet
        }
    }

    /// Passes on the output of a row.
    fn output(
        &mut self,
        row: Row<'_>,
        sessions: &mut SessionStarts,
        out: &mut dyn FnMut(Output<'_>),
    ) {
        match row {
            Row::Connection(mut connection) => {
                let number = connection.number;
                connection.number = self.numbers.get(&number).copied().unwrap_or(number);
                // A session may have begun in another shard: it is followed here.
                let known = self.connections.remove(&number);
                let (attempt, uid) = known.map_or((None, None), |known| {
                    (known.attempt, known.connection.session_uid)
                });
                connection.session_uid = uid;
                let open = Open {
                    connection,
                    attempt,
                };
                self.connections.insert(number, open);
            }
            Row::Frame(frame) => self.frame(&frame, sessions, out),
            Row::Event {
                kind,
                time,
                packet,
                connection,
                direction,
                bytes,
            } => {
                let open = |number| Some(&self.connections.get(&number)?.connection);
                let about = connection.map(open);
                if about != Some(None) {
                    out(Output::Event(&Event {
                        kind,
                        time,
                        packet: self.packet(packet),
                        connection: about.flatten(),
                        direction,
                        bytes,
                    }));
                }
            }
            Row::Tcp {
                connection,
                from,
                fact,
                packet,
                time,
            } => {
                if let Some(Open { connection, .. }) = self.connections.get(&connection) {
                    out(Output::Tcp(&Tcp {
                        connection,
                        from,
                        fact,
                        packet: self.packet(packet),
                        time,
                    }));
                }
            }
            Row::Ended {
                connection,
                reason,
                packet,
                time,
            } => {
                if let Some(Open { connection, .. }) = self.connections.get(&connection) {
                    out(Output::Ended(&ConnectionEnd {
                        connection,
                        reason,
                        packet: self.packet(packet),
                        time,
                    }));
                }
                self.connections.remove(&connection);
            }
            Row::At { .. }
            | Row::AtEnd
            | Row::Opened(_)
            | Row::Counts(_)
            | Row::Pause { .. }
            | Row::Done => {}
        }
    }

    fn frame(
        &mut self,
        row: &Frame<'_>,
        sessions: &mut SessionStarts,
        out: &mut dyn FnMut(Output<'_>),
    ) {
        let Some(open) = self.connections.get_mut(&row.connection) else {
            return;
        };
        let decoded = mqtt::decode(row.header, row.bytes, row.version);
        if !row.unfinished {
            let of = (row.direction, &decoded.packet, row.version, row.time);
            sessions.follow(&mut open.connection, &mut open.attempt, of);
        }
        let Some(Open { connection, .. }) = self.connections.get(&row.connection) else {
            return;
        };
        let frame = MQTTFrame {
            header: row.header,
            packet: &decoded.packet,
            defects: &decoded.defects,
            topic: row.topic.map(Text),
            bytes: row.bytes,
            payload_digest: row.payload_digest,
            missing: row.missing,
            unfinished: row.unfinished,
            resynchronised: row.resynchronised,
            version: row.version,
            connection,
            direction: row.direction,
            number: row.number,
            first: self.packet(row.first),
            last: self.packet(row.last),
            time: row.time,
            offset: row.offset,
            range: row.range,
            started: row.started,
            received: row.received,
        };
        out(match row.unfinished {
            true => Output::Unfinished(&frame),
            false => Output::Frame(&frame),
        });
    }
}

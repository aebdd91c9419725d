//! The files of `shard`: one pcapng file for each shard, with its checksum.
//!
//! A fragment that was captured before the first fragment of its datagram waits for
//! it, and everything after it waits too, so that each shard has the order of the
//! capture.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mqttdump::capture::{
    Block, ByteOrder, Dropped, FileFormat, Interface, Options, Origin, OwnedPacket, Packet, Plan,
    ShardOf, Writer, clock_mark, identified, pause_mark,
};
use mqttdump::limits;
use mqttdump::packet::CapturedPacket;
use mqttdump::packet::PacketRef;
use mqttdump::shard::{PAUSE, Part, Router, SourceFile};
use mqttdump::time::Timestamp;

use crate::cli::checksum::Checksum;
use crate::cli::save::OutputFile;
use crate::cli::stop::Stop;

/// The files being written.
pub(super) struct Parts {
    parts: Vec<Shard>,
    /// Options of the packet being written.
    options: Vec<u8>,
    /// Packets lost so far by each interface, according to its packets.
    dropped: HashMap<(u32, u32, u32), u64>,
}

struct Shard {
    path: PathBuf,
    output: OutputFile,
    writer: Writer,
    digest: Arc<Mutex<Checksum>>,
    packets: u64,
    /// Time of its latest packet.
    latest: Timestamp,
}

/// For how long after a packet something in a shard may wait for time to pass.
const WAITING: Duration = Duration::from_secs(limits::CLOSED_SECONDS + 2);

/// Writes to a file and computes its checksum.
struct Summed {
    file: File,
    digest: Arc<Mutex<Checksum>>,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        let mut digest = self.digest.lock().unwrap_or_else(PoisonError::into_inner);
        digest.add(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Parts {
    /// Creates the files, under temporary names.
    pub(super) fn create(
        folder: &Path,
        shards: u32,
        by: &str,
        origin: &Origin,
    ) -> Result<Self, Stop> {
        let plan = Plan {
            format: FileFormat::Pcapng,
            link_type: None,
            nanoseconds: false,
            flush: false,
            carry: false,
        };
        let mut parts = Vec::new();
        for number in 0..shards {
            let path = folder.join(format!("shard-{number:03}.pcapng"));
            let at = |error: io::Error| format!("{}: {error}", path.display());
            let (output, file) = OutputFile::create(&path, true).map_err(at)?;
            let digest = Arc::new(Mutex::new(Checksum::default()));
            let summed = Summed {
                file,
                digest: Arc::clone(&digest),
            };
            let mut writer = Writer::to_write(Box::new(summed), &path.display().to_string(), plan);
            let origin = Origin {
                shard: Some(ShardOf {
                    number,
                    shards,
                    by: by.into(),
                }),
                ..origin.clone()
            };
            let options = origin.to_options();
            writer.block(&Block::Section {
                file: u32::MAX,
                options: Options::new(&options, ByteOrder::Little),
            })?;
            parts.push(Shard {
                path,
                output,
                writer,
                digest,
                packets: 0,
                latest: Timestamp::MIN,
            });
        }
        Ok(Self {
            parts,
            options: Vec::new(),
            dropped: HashMap::new(),
        })
    }

    #[inline]
    fn packet(&mut self, shard: u32, packet: &Packet<'_>) -> Result<(), Stop> {
        let order = identified(packet.packet.id, &packet.options, &mut self.options);
        let Some(part) = self.parts.get_mut(shard as usize) else {
            return Ok(());
        };
        part.packets += 1;
        part.latest = part.latest.max(packet.packet.time);
        Ok(part.writer.packet(&Packet {
            options: Options::new(&self.options, order),
            // A simple packet block has no options. It has no time either: tick 0.
            ticks: packet.ticks.or(Some(0)),
            ..*packet
        })?)
    }

    /// Marks the clock of the capture, in shards where something may wait for it.
    #[cold]
    fn clock(&mut self, mark: &Mark, at_end: bool) -> Result<(), Stop> {
        let options = clock_mark(mark.id);
        let block = statistics(mark, &options);
        let now = mark.time;
        let mut waiting = self
            .parts
            .iter_mut()
            .filter(|part| part.packets > 0 && (at_end || now.since(part.latest) <= WAITING));
        Ok(waiting.try_for_each(|part| part.writer.block(&block))?)
    }

    /// Marks a pause of the whole capture that this packet ends.
    #[cold]
    fn pause(&mut self, mark: &Mark, from: Timestamp) -> Result<(), Stop> {
        let options = pause_mark(mark.id, from);
        self.block(&statistics(mark, &options))
    }

    /// A packet states that others are missing before it; in the shards without it,
    /// the counters of its interface do.
    #[cold]
    fn dropped(&mut self, packet: &Packet<'_>, lost: u64, shard: Option<u32>) -> Result<(), Stop> {
        const ISB_IFDROP: [u8; 4] = [5, 0, 8, 0];
        let interface = packet.interface;
        let key = (interface.file, interface.section, interface.number);
        let total = self.dropped.entry(key).or_default();
        *total += lost;
        let options = [&ISB_IFDROP[..], &total.to_le_bytes()].concat();
        let block = Block::Statistics {
            interface,
            ticks: packet.ticks.unwrap_or(0),
            options: Options::new(&options, ByteOrder::Little),
        };
        let all = (0..).zip(&mut self.parts);
        let mut others = all.filter(|(number, _)| Some(*number) != shard);
        Ok(others.try_for_each(|(_, part)| part.writer.block(&block))?)
    }

    /// A block that applies to all packets.
    fn block(&mut self, block: &Block<'_>) -> Result<(), Stop> {
        let mut all = self.parts.iter_mut();
        Ok(all.try_for_each(|part| part.writer.block(block))?)
    }

    /// Completes the files.
    fn finish(&mut self) -> Result<Vec<Part>, Stop> {
        let all = self.parts.iter_mut();
        all.map(|part| {
            part.writer.finish()?;
            let at = |error: io::Error| format!("{}: {error}", part.path.display());
            part.output.complete(false).map_err(at)?;
            let digest =
                std::mem::take(&mut *part.digest.lock().unwrap_or_else(PoisonError::into_inner));
            let file = part.path.file_name().unwrap_or_default();
            Ok(Part {
                file: file.to_string_lossy().into_owned(),
                packets: part.packets,
                bytes: digest.bytes(),
                xxh64: digest.text(),
            })
        })
        .collect()
    }
}

/// The block of a mark.
fn statistics<'a>(mark: &'a Mark, options: &'a [u8]) -> Block<'a> {
    Block::Statistics {
        interface: &mark.interface,
        ticks: mark.ticks,
        options: Options::new(options, ByteOrder::Little),
    }
}

/// A packet, as far as marks of the clock need it.
struct Mark {
    id: PacketRef,
    time: Timestamp,
    interface: Arc<Interface>,
    ticks: u64,
}

impl Mark {
    fn of(packet: &Packet<'_>) -> Self {
        Self {
            id: packet.packet.id,
            time: packet.packet.time,
            interface: Arc::clone(packet.interface),
            ticks: packet.ticks.unwrap_or(0),
        }
    }

    /// Becomes that of a later packet.
    #[inline]
    fn update(&mut self, packet: &Packet<'_>) {
        (self.id, self.time) = (packet.packet.id, packet.packet.time);
        self.ticks = packet.ticks.unwrap_or(0);
        if !Arc::ptr_eq(&self.interface, packet.interface) {
            self.interface = Arc::clone(packet.interface);
        }
    }
}

/// A packet whose shard may not be known.
struct Waiting {
    packet: OwnedPacket,
    shard: Option<u32>,
}

/// Packets on their way to the shards.
pub(super) struct Splitting {
    router: Router,
    parts: Parts,
    /// The first of them waits for the first fragment of its datagram.
    queue: VecDeque<Waiting>,
    queued: usize,
    /// Packets of each file.
    counts: HashMap<u32, u64>,
    last: (u32, u64),
    /// Packets that are missing before the next one.
    dropped: u64,
    /// The last TCP segment: with it, the clock stops.
    latest: Option<Mark>,
    /// Time of the last packet.
    before: Option<Timestamp>,
    /// Fragments whose first fragment did not come in time.
    pub(super) fragments_apart: u64,
}

impl Splitting {
    pub(super) fn new(router: Router, parts: Parts) -> Self {
        Self {
            router,
            parts,
            queue: VecDeque::new(),
            queued: 0,
            counts: HashMap::new(),
            last: (0, 0),
            dropped: 0,
            latest: None,
            before: None,
            fragments_apart: 0,
        }
    }

    #[inline]
    pub(super) fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Stop> {
        let file = packet.packet.id.file;
        if self.last.0 != file {
            *self.counts.entry(self.last.0).or_default() += std::mem::take(&mut self.last.1);
            self.last.0 = file;
        }
        self.last.1 += 1;
        let shard = self.router.place(&packet.packet);
        let time = packet.packet.time;
        if let Some(before) = self.before.replace(time)
            && (time.since(before) > PAUSE || before.since(time) > PAUSE)
        {
            self.parts.pause(&Mark::of(packet), before)?;
        }
        if self.router.is_tcp() {
            match &mut self.latest {
                Some(mark) => mark.update(packet),
                None => self.latest = Some(Mark::of(packet)),
            }
            if self.router.ticks(time)
                && let Some(mark) = &self.latest
            {
                self.parts.clock(mark, false)?;
            }
        }
        if self.dropped > 0 {
            self.parts
                .dropped(packet, std::mem::take(&mut self.dropped), shard)?;
        }
        if let Some(shard) = shard
            && self.queue.is_empty()
        {
            return self.parts.packet(shard, packet);
        }
        self.wait(packet, shard)
    }

    #[cold]
    fn wait(&mut self, packet: &Packet<'_>, shard: Option<u32>) -> Result<(), Stop> {
        let owned = OwnedPacket::from(packet);
        self.queued += owned.size();
        self.queue.push_back(Waiting {
            packet: owned,
            shard,
        });
        self.release(Some(packet.packet.time))
    }

    /// Writes packets from the front of the queue; all of them without a time.
    fn release(&mut self, now: Option<Timestamp>) -> Result<(), Stop> {
        const SECOND: std::time::Duration = std::time::Duration::from_secs(1);
        while let Some(first) = self.queue.front() {
            let packet: CapturedPacket<'_> = first.packet.lend().packet;
            let shard = first.shard.or_else(|| self.router.place(&packet));
            let is_late = self.queued > limits::FRAGMENT_BYTES
                || now.is_none_or(|now| now.since(packet.time) > SECOND);
            let shard = match shard {
                Some(shard) => shard,
                None if is_late => {
                    self.fragments_apart += 1;
                    self.router.settle(&packet)
                }
                None => return Ok(()),
            };
            if let Some(first) = self.queue.pop_front() {
                self.queued -= first.packet.size();
                self.parts.packet(shard, &first.packet.lend())?;
            }
        }
        Ok(())
    }

    /// Names, keys, interfaces and counters belong to every shard.
    pub(super) fn block(&mut self, block: &Block<'_>) -> Result<(), Stop> {
        self.dropped = 0;
        self.parts.block(block)
    }

    /// Packets are missing, of unknown connections; the next item states it.
    pub(super) fn dropped(&mut self, dropped: &Dropped) {
        self.dropped = dropped.packets;
    }

    pub(super) fn finish(&mut self) -> Result<Vec<Part>, Stop> {
        self.release(None)?;
        if let Some(last) = self.latest.take() {
            self.parts.clock(&last, true)?;
        }
        self.parts.finish()
    }

    /// Packets of each file.
    pub(super) fn files(&self, names: &[String]) -> Vec<SourceFile> {
        let packets = |file: u32| {
            let now = if self.last.0 == file { self.last.1 } else { 0 };
            self.counts.get(&file).copied().unwrap_or(0) + now
        };
        let files = (0..).zip(names);
        files
            .map(|(file, name)| SourceFile {
                name: name.clone(),
                packets: packets(file),
            })
            .collect()
    }

    pub(super) fn aggregates_apart(&self) -> u64 {
        self.router.aggregates_apart()
    }

    /// Removes what was written.
    pub(super) fn take_back(&mut self) {
        for mut part in self.parts.parts.drain(..) {
            part.output.take_back(&part.path);
        }
    }
}

//! The packets of a state, in memory until it is written.
//!
//! Beyond the limit, the connection without packets for longest goes, with all of its
//! packets; a packet without connection counts as a connection of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;

use mqttdump::capture::{
    Block, ByteOrder, FileFormat, Options, Origin, OwnedPacket, Packet, Plan, StateOf, Writer,
    identified,
};
use mqttdump::engine::Placed;
use mqttdump::packet::PacketRef;

use crate::cli::save::WholeFile;
use crate::cli::stop::Stop;

/// Memory per packet besides the packet itself.
const OVERHEAD: usize = 96;

/// What was dropped because of the limit.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    /// Numbers of connections: some may go on, and be dropped again.
    pub(super) connections: HashSet<u64>,
    pub(super) packets: u64,
}

/// Packets and other blocks, within a limit.
pub(super) struct Keeper {
    origin: Origin,
    limit: usize,
    bytes: usize,
    /// By order of arrival.
    packets: BTreeMap<u64, OwnedPacket>,
    arrived: u64,
    connections: HashMap<u64, Kept>,
    /// Latest arrival, and the connection; `None` for packets without one.
    idle: BTreeSet<(u64, Option<u64>)>,
    /// Packets without connection, which may turn out to be fragments of one.
    loose: HashMap<PacketRef, u64>,
    /// Names and keys, encoded.
    blocks: Vec<OwnedBlock>,
    dropped: Dropped,
    until: Option<i64>,
    file: WholeFile,
}

/// The packets of a connection, by their arrival.
#[derive(Default)]
struct Kept {
    packets: Vec<u64>,
    latest: u64,
}

/// Names, or keys.
#[derive(PartialEq, Eq)]
enum OwnedBlock {
    Names(Vec<u8>, ByteOrder),
    Secrets(u32, Vec<u8>),
}

impl Keeper {
    pub(super) fn new(limit: u64, origin: Origin, file: WholeFile) -> Self {
        Self {
            origin,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            bytes: 0,
            packets: BTreeMap::new(),
            arrived: 0,
            connections: HashMap::new(),
            idle: BTreeSet::new(),
            loose: HashMap::new(),
            blocks: Vec::new(),
            dropped: Dropped::default(),
            until: None,
            file,
        }
    }

    pub(super) fn packet(&mut self, packet: &Packet<'_>, placed: Placed<'_>) {
        let time = packet.packet.time.nanos();
        self.until = self.until.max(Some(time));
        let owned = OwnedPacket::from(packet);
        self.bytes += owned.size() + OVERHEAD;
        self.arrived += 1;
        let arrival = self.arrived;
        self.packets.insert(arrival, owned);
        match placed.connection {
            Some(connection) => {
                self.add(connection, arrival);
                for id in placed.fragments {
                    if let Some(earlier) = self.loose.remove(id) {
                        self.idle.remove(&(earlier, None));
                        self.add(connection, earlier);
                    }
                }
            }
            None => {
                self.loose.insert(packet.packet.id, arrival);
                self.idle.insert((arrival, None));
            }
        }
        while self.bytes > self.limit && self.drop_idle() {}
    }

    fn add(&mut self, connection: u64, arrival: u64) {
        let kept = self.connections.entry(connection).or_default();
        if kept.latest > 0 {
            self.idle.remove(&(kept.latest, Some(connection)));
        }
        kept.packets.push(arrival);
        kept.latest = kept.latest.max(arrival);
        self.idle.insert((kept.latest, Some(connection)));
    }

    /// Names and keys hold for all packets that follow.
    pub(super) fn block(&mut self, block: &Block<'_>) {
        let owned = match block {
            Block::Names { records, .. } => {
                let mut bytes = Vec::new();
                for (code, value) in records.iter() {
                    put(&mut bytes, code, value);
                }
                OwnedBlock::Names(bytes, ByteOrder::Little)
            }
            Block::Secrets { kind, data, .. } => OwnedBlock::Secrets(*kind, data.to_vec()),
            _ => return,
        };
        if !self.blocks.contains(&owned) {
            self.blocks.push(owned);
        }
    }

    /// Drops the connection without packets for longest.
    fn drop_idle(&mut self) -> bool {
        let Some((latest, connection)) = self.idle.pop_first() else {
            return false;
        };
        let arrivals = match connection {
            Some(connection) => {
                self.dropped.connections.insert(connection);
                let kept = self.connections.remove(&connection);
                kept.map_or_else(Vec::new, |kept| kept.packets)
            }
            None => vec![latest],
        };
        for arrival in arrivals {
            if let Some(packet) = self.packets.remove(&arrival) {
                self.dropped.packets += 1;
                self.bytes -= packet.size() + OVERHEAD;
                if connection.is_none() {
                    self.loose.remove(&packet.lend().packet.id);
                }
            }
        }
        true
    }

    pub(super) fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    /// Writes the state.
    pub(super) fn write(mut self, state: StateOf) -> Result<(), Stop> {
        let path = self.file.path().to_owned();
        let at = |error: io::Error| Stop::Failed(format!("{}: {error}", path.display()));
        let plan = Plan {
            format: FileFormat::Pcapng,
            link_type: None,
            nanoseconds: false,
            flush: false,
            carry: false,
        };
        let to = self.file.file().try_clone().map_err(at)?;
        let mut writer = Writer::to_write(Box::new(to), &path.display().to_string(), plan);
        self.put(&mut writer, state)?;
        writer.finish()?;
        self.file.complete().map_err(at)
    }

    fn put(&self, writer: &mut Writer, state: StateOf) -> Result<(), Stop> {
        let origin = Origin {
            state: Some(StateOf {
                until: self.until,
                packets: self.packets.len() as u64,
                ..state
            }),
            ..self.origin.clone()
        };
        let options = origin.to_options();
        writer.block(&Block::Section {
            file: u32::MAX,
            options: Options::new(&options, ByteOrder::Little),
        })?;
        for block in &self.blocks {
            writer.block(&match block {
                OwnedBlock::Names(records, order) => Block::Names {
                    records: Options::new(records, *order),
                    options: Options::NONE,
                },
                OwnedBlock::Secrets(kind, data) => Block::Secrets {
                    kind: *kind,
                    data,
                    options: Options::NONE,
                },
            })?;
        }
        let mut options = Vec::new();
        for owned in self.packets.values() {
            let packet = owned.lend();
            let order = identified(packet.packet.id, &packet.options, &mut options);
            writer.packet(&Packet {
                options: Options::new(&options, order),
                ticks: packet.ticks.or(Some(0)),
                ..packet
            })?;
        }
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

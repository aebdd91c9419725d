//! `--state-in` and `--state-out`: what one file of a rotated capture leaves open goes
//! on in the next.
//!
//! ```text
//! run 1   a.pcap ─────────────→ report of a       state ← packets of a
//! run 2   state, b.pcap ──────→ report of a + b   state ← packets of a + b
//! run 3   state, c.pcap ──────→ report of a + b + c
//! ```
//! The state is a capture: of the packets so far, with their numbers and files. The
//! next run reads it before its own file, through the same stages: so every stage is
//! in the state in which it was, whatever it had buffered, and the report is that of
//! one capture. Nothing else is stored, so nothing can disagree.
//!
//! The size of a state is limited. Beyond the limit, connections are dropped, those
//! without packets for longest first; that is reported, and recorded in the state.

mod keeper;

use std::path::{Path, PathBuf};
use std::time::Duration;

use mqttdump::capture::{Block, Capture, Item, Origin, Packet, StateOf};
use mqttdump::engine::{Placed, Summary};
use mqttdump::packet::CapturedPacket;
use mqttdump::time::Timestamp;

use super::args::RotationArgs;
use super::console::{are, complain, counted};
use super::save::{WholeFile, is_same};
use super::source::Source;
use super::stop::Stop;

use keeper::Keeper;

/// Default of `--state-limit`.
const LIMIT: u64 = 256 << 20;
/// A file may begin by so much before the end of the previous one: cards with several
/// queues do not keep the order of packets.
const OVERLAP: Duration = Duration::from_secs(10);

/// How a job uses the state of an earlier run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rotation {
    /// It looks ahead: nothing is written.
    None,
    /// Its report is about everything, the earlier files included.
    Whole,
    /// It shows what is new.
    New,
}

/// Options of rotation, validated.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatePlan {
    input: Option<(PathBuf, StateOf)>,
    output: Option<PathBuf>,
    limit: u64,
}

impl StatePlan {
    /// Makes the state of an earlier run the first part of the capture.
    pub(crate) fn new(typed: &RotationArgs, captures: &mut [Source]) -> Result<Self, String> {
        let mut plan = Self {
            input: None,
            output: typed.state_out.clone(),
            limit: typed.state_limit.unwrap_or(LIMIT),
        };
        if typed.state_in.is_none() && typed.state_out.is_none() {
            return match typed.state_limit {
                Some(_) => Err("--state-limit needs --state-out".into()),
                None => Ok(plan),
            };
        }
        let [Source::Files(paths)] = captures else {
            return Err(
                "--state-in and --state-out go with one capture in files: give its parts with -r"
                    .into(),
            );
        };
        if let Some(path) = &typed.state_out
            && let Some(read) = paths.iter().find(|read| is_same(read, path))
        {
            return Err(format!("--state-out would overwrite {}", read.display()));
        }
        if let Some(path) = &typed.state_in {
            plan.input = Some((path.clone(), state_of(path)?));
            paths.insert(0, path.clone());
        }
        Ok(plan)
    }

    /// Whether a state is read or written.
    pub(crate) fn is_used(&self) -> bool {
        self.input.is_some() || self.output.is_some()
    }
}

/// The description in a state file, all packets of which are there.
fn state_of(path: &Path) -> Result<StateOf, String> {
    let name = path.display();
    let mut capture = Capture::open(path, 0).map_err(|error| format!("--state-in {error}"))?;
    let origin = capture.origin();
    if let Some(origin) = origin
        && origin.version != Origin::VERSION
    {
        return Err(format!(
            "--state-in {name}: expected version {}, found {} of mqttdump {}",
            Origin::VERSION,
            origin.version,
            origin.program
        ));
    }
    let state = origin
        .and_then(|origin| origin.state.clone())
        .ok_or_else(|| format!("--state-in {name}: expected a file that --state-out wrote"))?;
    let mut packets = 0;
    while let Some(item) = capture
        .next()
        .map_err(|error| format!("--state-in {error}"))?
    {
        packets += u64::from(matches!(item, Item::Packet(_)));
    }
    if packets != state.packets {
        return Err(format!(
            "--state-in {name}: expected {}, found {packets}: the file was cut off or changed",
            counted(state.packets, "packet")
        ));
    }
    Ok(state)
}

/// Use of a state in one run.
pub(crate) struct State {
    /// Parts from this one on are new.
    new_from: u32,
    /// Known packets are context.
    shows_new: bool,
    /// Time of the latest known packet, until the first new one.
    until: Option<Timestamp>,
    before: StateOf,
    kept: Option<Keeper>,
}

impl State {
    /// `None` if no state is used.
    pub(crate) fn begin(
        plan: &StatePlan,
        rotation: Rotation,
        source: &Source,
        captures: &[Capture],
    ) -> Result<Option<Self>, Stop> {
        if !plan.is_used() {
            return Ok(None);
        }
        let before = plan.input.as_ref().map(|(_, state)| state.clone());
        let new_from = match plan.input {
            Some(_) => captures.first().map_or(0, Capture::origins),
            None => 0,
        };
        let output = plan
            .output
            .as_deref()
            .filter(|_| rotation != Rotation::None);
        let keeper = |path: &Path| {
            let may_hold_keys = captures.iter().any(Capture::may_hold_keys);
            let origin = Origin::new(source.names(), may_hold_keys);
            let file = WholeFile::create(path)
                .map_err(|error| format!("--state-out {}: {error}", path.display()))?;
            Ok::<_, String>(Keeper::new(plan.limit, origin, file))
        };
        Ok(Some(Self {
            new_from,
            shows_new: rotation == Rotation::New,
            until: before
                .as_ref()
                .and_then(|state| state.until)
                .map(Timestamp::from_nanos),
            before: before.unwrap_or_default(),
            kept: output.map(keeper).transpose()?,
        }))
    }

    /// What the state of the earlier run lacks.
    pub(crate) fn lacking(&self) -> Option<String> {
        let dropped = self.before.dropped_packets;
        (dropped > 0).then(|| {
            format!(
                "{} missing: dropped from the state of earlier files, see --state-limit",
                are(dropped, "packet")
            )
        })
    }

    /// Whether the packet is context that an earlier run has shown. Fails if the new
    /// file is older than the state.
    #[inline]
    pub(crate) fn is_known(&mut self, packet: &CapturedPacket<'_>) -> Result<bool, Stop> {
        if packet.id.file < self.new_from {
            return Ok(self.shows_new);
        }
        match self.until.take() {
            Some(until) => Self::follows(packet, until),
            None => Ok(false),
        }
    }

    #[cold]
    fn follows(packet: &CapturedPacket<'_>, until: Timestamp) -> Result<bool, Stop> {
        match until.since(packet.time) > OVERLAP {
            true => Err(Stop::Failed(format!(
                "--state-in: the first packet is {} s older than the end of the state: expected \
                 the file that follows",
                until.since(packet.time).as_secs()
            ))),
            false => Ok(false),
        }
    }

    /// Whether what is open at the end is left to a later run.
    pub(crate) fn continues(&self) -> bool {
        self.shows_new && self.kept.is_some()
    }

    /// A packet was read.
    #[inline]
    pub(crate) fn packet(&mut self, packet: &Packet<'_>, placed: Placed<'_>) {
        if let Some(keeper) = &mut self.kept {
            keeper.packet(packet, placed);
        }
    }

    /// Another block was read.
    pub(crate) fn block(&mut self, block: &Block<'_>) {
        if let Some(keeper) = &mut self.kept {
            keeper.block(block);
        }
    }

    /// Writes the state.
    pub(crate) fn finish(self, summary: Option<&Summary>) -> Result<(), Stop> {
        let Some(keeper) = self.kept else {
            return Ok(());
        };
        let connections = summary.map_or(0, |summary| {
            summary.mqtt_connections + summary.other_connections
        });
        let dropped = keeper.dropped();
        if dropped.packets > 0 {
            complain(&format!(
                "--state-limit: dropped {} of {} without packets for longest: later reports and \
                 tables lack them",
                counted(dropped.packets, "packet"),
                counted(dropped.connections.len() as u64, "connection")
            ));
        }
        let state = StateOf {
            until: None,
            packets: 0,
            connections,
            dropped_packets: self.before.dropped_packets + dropped.packets,
        };
        keeper.write(state)
    }
}

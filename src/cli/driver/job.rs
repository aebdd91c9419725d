//! [`Job`]: what a command does with one capture.

use mqttdump::capture;
use mqttdump::engine::{Placed, Summary};
use mqttdump::facts::{self, Sink};
use mqttdump::packet::{CapturedPacket, PacketRef};
use mqttdump::rules::Tally;
use mqttdump::shard::Portion;
use mqttdump::time::Timestamp;

use super::super::console::complain;
use super::super::save::{Connections, Save};
use super::super::state::Rotation;
use super::super::stop::Stop;
use super::super::watch::Interval;

/// What a command does with one capture.
pub(crate) trait Job {
    /// The sink of the facts.
    type Sink: Sink;

    /// The sink of the facts.
    fn sink(&mut self) -> &mut Self::Sink;

    /// Options of the facts stage.
    fn options(&self) -> facts::Options {
        facts::Options::default()
    }

    /// Whether facts are needed at all; `false` if packets are only copied.
    fn needs_facts(&self) -> bool {
        true
    }

    /// Whether its output comes at the end.
    fn reports(&self) -> bool {
        true
    }

    /// Where packets are saved, and of which connections; `None` without `-w`.
    fn saving(&self) -> Option<(&Save, Select)> {
        None
    }

    /// Connections that were selected or closed since the last call.
    fn connections(&mut self) -> Option<&mut Connections> {
        None
    }

    /// Privileges were given up: whether the job can still do what it has to do
    /// later.
    fn may_begin(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// The following facts come from this packet; `None` at the end.
    fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        let _ = packet;
    }

    /// The following facts come from the clock of the whole capture, in a shard of it:
    /// from this packet, of another shard.
    fn clock(&mut self, packet: PacketRef, time: Timestamp) {
        let _ = (packet, time);
    }

    /// The whole capture had no packet between these times, in a shard of it; this packet,
    /// of any shard, ended that.
    fn pause(&mut self, packet: PacketRef, from: Timestamp, until: Timestamp) {
        let _ = (packet, from, until);
    }

    /// The packet was read, and belongs there.
    #[inline]
    fn after(&mut self, placed: Placed<'_>) {
        let _ = placed;
    }

    /// Called between two packets: writes output that is due.
    fn settle(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    /// Memory that it needs for a moment when room is made.
    fn reserved(&self) -> usize {
        0
    }

    /// Copies of a payload that are in memory at once.
    fn copies(&self) -> usize {
        2
    }

    /// Writes all output, before a wait for input.
    fn flush(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    /// An interval of `--every` has passed.
    fn interval(&mut self, interval: Interval, summary: &Summary) -> Result<(), Stop> {
        let _ = (interval, summary);
        Ok(())
    }

    /// Packets were lost by the capture.
    fn dropped(&mut self, packets: u64) {
        let _ = packets;
    }

    /// Whether files of `check --facts-out` are enough, which have no packets.
    fn takes_records(&self) -> bool {
        false
    }

    /// What is read are shards of a capture, without the others.
    fn only_part(&mut self, portion: &Portion) -> Result<(), Stop> {
        let _ = portion;
        Ok(())
    }

    /// Counts of findings, for metrics.
    fn tally(&self) -> Option<&Tally> {
        None
    }

    /// The input is damaged. Returns whether the job accepts that.
    fn trouble(&mut self, trouble: &Trouble) -> bool {
        complain(&trouble.message);
        false
    }

    /// Whether the job needs no more packets.
    fn is_done(&self) -> bool {
        false
    }

    /// How it uses the state of an earlier run (`--state-in`, `--state-out`).
    fn rotation(&self) -> Rotation {
        Rotation::None
    }

    /// Whether it writes to standard output, so that reading ends when the reader
    /// is gone.
    fn writes_to_stdout(&self) -> bool {
        true
    }
}

/// Which connections are saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Select {
    /// All.
    All,
    /// Those that [`Job::connections`] names.
    Some,
    /// Of those, the packets that [`Connections::exchanges`] names.
    Exchanges,
}

/// An error in the input.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// What is wrong, and where.
    pub(crate) message: String,
    /// The file ends in the middle of a packet.
    pub(crate) is_truncation: bool,
}

impl From<&capture::Error> for Trouble {
    fn from(error: &capture::Error) -> Self {
        Self {
            message: error.to_string(),
            is_truncation: error.is_truncation(),
        }
    }
}

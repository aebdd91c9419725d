//! One application message in the account, and what messages are grouped by.

use super::cause::{Cause, Mechanism, Purpose};
use crate::frame::{Direction, PerDirection};
use crate::mqtt::PacketType;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// One application message on one connection: a PUBLISH and what completes it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Number on its connection, from 1.
    pub number: u64,
    /// Captured packet that completed its PUBLISH for the first time.
    pub completed_by: PacketRef,
    /// Time of the packet that completed its PUBLISH.
    pub time: Timestamp,
    /// Which way it went.
    pub direction: Direction,
    /// QoS.
    pub qos: u8,
    /// Index of its topic.
    pub topic: u32,
    /// A Topic Alias stood for its topic.
    pub by_alias: bool,
    /// Bytes of its payload, if known.
    pub payload: Option<u32>,
    /// Bytes of its PUBLISH packet.
    pub packet: u32,
    /// Bytes that it owns, up and down.
    pub bytes: PerDirection<u64>,
    /// The same bytes by cause.
    pub causes: MessageCauses,
    /// Its part of what the connection cost besides.
    pub fixed_share: u64,
}

impl Message {
    /// Bytes that it owns.
    pub fn marginal(&self) -> u64 {
        self.bytes.up + self.bytes.down
    }

    /// The same with its part of what the connection cost besides.
    pub fn loaded(&self) -> u64 {
        self.marginal() + self.fixed_share
    }
}

/// Bytes of a message by cause: of all purposes, only these three occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCauses([[u64; 3]; 3]);

impl MessageCauses {
    pub(super) const PURPOSES: [Purpose; 3] = [Purpose::Msg, Purpose::MsgDup, Purpose::MsgAck];
    pub(super) const MECHANISMS: [Mechanism; 3] =
        [Mechanism::Packet, Mechanism::Retx, Mechanism::Ack];

    /// Row and column of a cause.
    pub(super) fn place(cause: Cause) -> Option<(usize, usize)> {
        let row = Self::PURPOSES.iter().position(|&p| p == cause.0)?;
        let column = Self::MECHANISMS.iter().position(|&m| m == cause.1)?;
        Some((row, column))
    }

    pub(super) fn add(&mut self, cause: Cause, bytes: u64) {
        if let Some((row, column)) = Self::place(cause) {
            self.0[row][column] += bytes;
        }
    }

    /// Causes that have bytes, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Self::PURPOSES
            .into_iter()
            .zip(&self.0)
            .flat_map(|(purpose, row)| {
                Self::MECHANISMS
                    .into_iter()
                    .zip(row)
                    .map(move |(mechanism, &bytes)| (Cause(purpose, mechanism), bytes))
            })
            .filter(|(_, bytes)| *bytes > 0)
    }
}

/// What messages have in common that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// Index of the topic.
    pub topic: u32,
    /// QoS.
    pub qos: u8,
    /// Which way.
    pub direction: Direction,
}

/// The frames of one message.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// What the message is like.
    pub key: GroupKey,
    /// Number of its connection.
    pub connection: u64,
    /// Its number there.
    pub message: u64,
    /// Bytes that it owns.
    pub marginal: u64,
    /// Its frames, by time.
    pub steps: Vec<Step>,
}

/// A message's part of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// When.
    pub time: Timestamp,
    /// Which way.
    pub direction: Direction,
    /// The control packet that it carried or acknowledged.
    pub packet_type: Option<PacketType>,
    /// Why.
    pub cause: Cause,
    /// Bytes, with their part of the headers.
    pub bytes: u64,
}

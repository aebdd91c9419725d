//! Counts as a table for printing.

use std::cmp::Reverse;
use std::time::Duration;

use super::By;
use crate::frame::MQTTFrame;
use crate::mqtt::ControlPacket;
use crate::overhead::Distribution;
use crate::time::Timestamp;

/// The messages of one key.
#[derive(Clone, Debug)]
pub struct Row {
    /// Control packets.
    pub messages: u64,
    /// Their bytes, fixed headers included.
    pub bytes: u64,
    /// Bytes of PUBLISH payloads.
    pub payload_bytes: u64,
    /// PUBLISH packets with RETAIN.
    pub retained: u64,
    /// PUBLISH packets with DUP.
    pub duplicates: u64,
    /// Time of the first message; `None` if there is none.
    pub first: Option<Timestamp>,
    /// When the last was.
    pub last: Option<Timestamp>,
    /// Bytes of each control packet.
    pub sizes: Distribution,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            messages: 0,
            bytes: 0,
            payload_bytes: 0,
            retained: 0,
            duplicates: 0,
            first: None,
            last: None,
            sizes: Distribution::coarse(),
        }
    }
}

impl Row {
    pub(super) fn add(&mut self, frame: &MQTTFrame<'_>) {
        let bytes = frame.header.packet_len();
        self.messages += 1;
        self.bytes += bytes;
        self.sizes.add(bytes, 1);
        if let ControlPacket::Publish(publish) = &frame.packet {
            self.payload_bytes += u64::from(publish.payload_len.unwrap_or(0));
            self.retained += u64::from(frame.header.retain());
            self.duplicates += u64::from(frame.header.dup());
        }
        self.first.get_or_insert(frame.time);
        self.last = Some(frame.time);
    }

    fn merge(&mut self, other: &Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.payload_bytes += other.payload_bytes;
        self.retained += other.retained;
        self.duplicates += other.duplicates;
        self.first = match (self.first, other.first) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.last = self.last.max(other.last);
        self.sizes.merge_shifted(&other.sizes, 0);
    }
}

/// The counts of a capture, or of one period.
#[derive(Clone, Debug)]
pub struct Table {
    /// Key by which messages are grouped.
    pub by: By,
    /// Start of the period, or time of the first message.
    pub from: Timestamp,
    /// End of the period; the last message.
    pub to: Timestamp,
    /// By key, in no order: see [`Table::order`].
    pub rows: Vec<(Box<[u8]>, Row)>,
    /// Messages whose key is unknown.
    pub unknown: Row,
    /// Messages of all keys that have no row.
    pub other: Row,
}

/// Column by which rows are sorted, in descending order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// Messages.
    #[default]
    Messages,
    /// Bytes.
    Bytes,
    /// Payload bytes.
    Payload,
    /// The key, the least first; numbers as numbers.
    Key,
}

impl Table {
    /// Puts rows in order, and joins those after the first `top`.
    pub fn order(&mut self, order: Order, top: Option<usize>) {
        let by = self.by;
        let number = |key: &[u8]| std::str::from_utf8(key).ok()?.parse::<u64>().ok();
        let by_key = |(key, _): &(Box<[u8]>, Row)| {
            let number = number(key).filter(|_| by.is_number());
            (number, key.clone())
        };
        self.rows.sort_by_key(by_key);
        match order {
            Order::Messages => self.rows.sort_by_key(|(_, row)| Reverse(row.messages)),
            Order::Bytes => self.rows.sort_by_key(|(_, row)| Reverse(row.bytes)),
            Order::Payload => self.rows.sort_by_key(|(_, row)| Reverse(row.payload_bytes)),
            Order::Key => {}
        }
        let top = top.unwrap_or(usize::MAX).min(self.rows.len());
        for (_, row) in self.rows.drain(top..) {
            self.other.merge(&row);
        }
    }

    /// How long it was.
    pub fn duration(&self) -> Duration {
        self.to.since(self.from)
    }

    /// A rate per second; `None` for a duration of zero.
    pub fn rate(&self, count: u64) -> Option<f64> {
        let seconds = self.duration().as_secs_f64();
        (seconds > 0.0).then(|| count as f64 / seconds)
    }
}

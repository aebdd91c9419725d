//! Counts, bytes and rates of messages by topic, client, type, QoS or connection.
//!
//! ```text
//! frames ─→ Stats ─→ Row per key ─→ Table, of the whole capture or of each period
//! ```
//!
//! A [`Table`] is complete in itself, so periods that are over can be printed while
//! others are counted.

mod table;

pub use table::{Order, Row, Table};

use std::collections::HashMap;
use std::time::Duration;

use crate::facts::{Fact, Sink};
use crate::frame::MQTTFrame;
use crate::limits;
use crate::mqtt::{ControlPacket, PacketType};
use crate::time::Timestamp;

/// Key by which messages are grouped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum By {
    /// The topic of PUBLISH packets, Topic Aliases resolved.
    #[default]
    Topic,
    /// The client identifier of the connection.
    Client,
    /// The packet type.
    Type,
    /// The QoS of PUBLISH packets.
    Qos,
    /// The TCP connection.
    Connection,
}

impl By {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Topic,
        Self::Client,
        Self::Type,
        Self::Qos,
        Self::Connection,
    ];

    /// Its name in options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Client => "client",
            Self::Type => "type",
            Self::Qos => "qos",
            Self::Connection => "connection",
        }
    }

    /// The key of NDJSON and CSV.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Client => "client_id",
            other => other.name(),
        }
    }

    /// Whether its values are numbers.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Qos | Self::Connection)
    }
}

/// Counts messages.
#[derive(Debug)]
pub struct Stats {
    by: By,
    every: Option<Duration>,
    rows: HashMap<Box<[u8]>, Row>,
    /// Messages whose key is unknown: a topic whose alias was not captured, a client
    /// without CONNECT.
    unknown: Row,
    /// Messages of keys beyond [`limits::STATS_KEYS`].
    other: Row,
    /// How many keys to distinguish: no more, once memory is short.
    most: usize,
    /// Times of the first and the last message in the period.
    span: Option<(Timestamp, Timestamp)>,
    /// Periods that are over.
    done: Vec<Table>,
}

impl Stats {
    /// Counts by this key, for the whole capture or for periods of this length, which
    /// start at the first message.
    pub fn new(by: By, every: Option<Duration>) -> Self {
        Self {
            by,
            every,
            rows: HashMap::new(),
            unknown: Row::default(),
            other: Row::default(),
            most: limits::STATS_KEYS,
            span: None,
            done: Vec::new(),
        }
    }

    /// Counts a message.
    pub fn frame(&mut self, frame: &MQTTFrame<'_>) {
        self.at(frame.time);
        let is_publish = frame.header.packet_type() == PacketType::Publish;
        let mut digits = [0; 20];
        let key: Option<&[u8]> = match self.by {
            By::Topic | By::Qos if !is_publish => return,
            By::Topic => topic(frame),
            By::Client => client(frame),
            By::Type => Some(frame.header.packet_type().name().as_bytes()),
            By::Qos => Some(decimal(frame.header.qos().into(), &mut digits)),
            By::Connection => Some(decimal(frame.connection.number, &mut digits)),
        };
        let row = match key {
            None => &mut self.unknown,
            // Twice looked up, rather than allocated for each message.
            Some(key) if self.rows.contains_key(key) || self.rows.len() < self.most => {
                match self.rows.contains_key(key) {
                    true => self.rows.get_mut(key).unwrap_or(&mut self.other),
                    false => self.rows.entry(key.into()).or_default(),
                }
            }
            Some(_) => &mut self.other,
        };
        row.add(frame);
    }

    /// Time has reached `now`: completes the periods before it.
    pub fn at(&mut self, now: Timestamp) {
        let (start, last) = *self.span.get_or_insert((now, now));
        let Some(every) = self.every else {
            self.span = Some((start, last.max(now)));
            return;
        };
        let end = start.after(every);
        if now < end {
            self.span = Some((start, last.max(now)));
            return;
        }
        let table = self.take((start, end));
        self.done.push(table);
        // Empty periods are skipped; the next starts on the grid.
        let nanos = i64::try_from(every.as_nanos()).unwrap_or(i64::MAX).max(1);
        let periods = now.nanos().saturating_sub(start.nanos()) / nanos;
        let start = start.nanos().saturating_add(periods.saturating_mul(nanos));
        self.span = Some((Timestamp::from_nanos(start), now));
    }

    /// The completed periods that were not taken yet.
    pub fn finished(&mut self) -> std::vec::Drain<'_, Table> {
        self.done.drain(..)
    }

    /// The counts since the last period, or of the whole capture.
    pub fn rest(&mut self) -> Table {
        let now = Timestamp::default();
        let (start, last) = self.span.unwrap_or((now, now));
        let end = self.every.map_or(last, |every| start.after(every));
        self.take((start, end))
    }

    fn take(&mut self, (from, to): (Timestamp, Timestamp)) -> Table {
        let rows = std::mem::take(&mut self.rows);
        Table {
            by: self.by,
            from,
            to,
            rows: rows.into_iter().collect(),
            unknown: std::mem::take(&mut self.unknown),
            other: std::mem::take(&mut self.other),
        }
    }
}

impl Sink for Stats {
    fn fact(&mut self, fact: Fact<'_>) {
        if let Fact::Frame(fact) = fact {
            self.frame(fact.frame);
        }
    }

    fn tick(&mut self, now: Timestamp) {
        if self.span.is_some() {
            self.at(now);
        }
    }

    fn make_room(&mut self) -> bool {
        self.most = self.most.min(self.rows.len());
        false
    }
}

fn topic<'a>(frame: &'a MQTTFrame<'_>) -> Option<&'a [u8]> {
    frame.topic.map(|topic| topic.bytes())
}

fn client<'a>(frame: &'a MQTTFrame<'_>) -> Option<&'a [u8]> {
    match (&frame.connection.client_id, &frame.packet) {
        (Some(id), _) => Some(id),
        (None, ControlPacket::Connect(connect)) => connect.client_id.map(|id| id.bytes()),
        _ => None,
    }
}

fn decimal(number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut rest = number;
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_keys() {
        for number in [0, 7, 10, 1234, u64::MAX] {
            let mut digits = [0; 20];
            assert_eq!(decimal(number, &mut digits), number.to_string().as_bytes());
        }
    }

    #[test]
    fn periods_lie_on_a_grid_and_quiet_ones_are_passed_over() {
        let mut stats = Stats::new(By::Type, Some(Duration::from_secs(2)));
        let at = |seconds| Timestamp::from_parts(seconds, 0);
        for seconds in [10, 11, 12, 17, 18] {
            stats.at(at(seconds));
        }
        let periods: Vec<_> = stats
            .finished()
            .map(|table| (table.from, table.to))
            .collect();
        assert_eq!(
            periods,
            [(at(10), at(12)), (at(12), at(14)), (at(16), at(18))]
        );
        let rest = stats.rest();
        assert_eq!((rest.from, rest.to), (at(18), at(20)));
    }
}

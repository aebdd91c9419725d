//! What-ifs: models of the same traffic with changes.
//!
//! Each what-if changes a model of every connection (its messages by size, their
//! frames, the cost of set-up and keep-alive) and computes the effect on the bill.
//! The model of an unchanged connection is the measured one, so changing nothing
//! gives the measured total.

mod connection;
mod datagrams;
mod http;
mod messages;
mod model;
mod trials;

use std::cell::OnceCell;
use std::collections::HashMap;

use super::account::Account;
use super::amount::{Amount, Bill};
use super::compress::Codec;
use super::error::OptionError;
use super::message::GroupKey;
use super::outcome::{Mark, Outcome};
use super::project::{Basis, Projection, period, seconds};
use super::term::Term;
use super::traffic::{GroupTraffic, Shape};
use crate::frame::{Direction, PerDirection};
pub use http::Http;
use model::{Group, Model};
use trials::Trials;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum WhatIf {
    /// Every message with this QoS.
    Qos(u8),
    /// Topic Aliases, as far as the receiver allows them.
    Alias,
    /// A replacement in topics.
    Rename(String, String),
    /// Payloads compressed, one by one.
    Compress(Codec),
    /// N messages in one segment.
    Batch(f64),
    /// The messages of N seconds in one segment.
    BatchSeconds(f64),
    /// Another Keep Alive, in seconds; 0 for none.
    KeepAlive(f64),
    /// No TCP timestamps.
    NoTimestamps,
    /// Segments as the link carries them, where the capture shows longer ones.
    Resegment,
    /// One connection of each client, which stays.
    OneConnection,
    /// A connection for each message.
    ConnectionPerMessage,
    /// TLS around MQTT.
    Tls(Tls),
    /// WebSocket around MQTT.
    WebSocket,
    /// MQTT-SN 1.2 over UDP.
    MqttSn,
    /// CoAP PUT over UDP.
    Coap,
    /// HTTP over TCP.
    Http(Http),
}

/// Kinds of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// TLS 1.3 with a server certificate (ECDSA P-256, leaf and CA).
    V1_3,
    /// TLS 1.2 with AES-GCM and the same certificates.
    V1_2,
    /// TLS 1.3 with a pre-shared key.
    Psk,
    /// TLS 1.3 with certificates on both sides (RSA-2048).
    Mutual,
}

impl Tls {
    /// Bytes of the handshake with two session tickets, up and down, and bytes that a
    /// record adds. Measured with OpenSSL 3 (1.2: its records by the specification, its
    /// handshake assumed to be that of 1.3).
    const fn costs(self) -> (PerDirection<f64>, f64) {
        const fn both(up: f64, down: f64) -> PerDirection<f64> {
            PerDirection { up, down }
        }
        match self {
            Self::V1_3 => (both(391.0, 1592.0), 22.0),
            Self::V1_2 => (both(391.0, 1592.0), 29.0),
            Self::Psk => (both(478.0, 480.0), 22.0),
            Self::Mutual => (both(2183.0, 4012.0), 22.0),
        }
    }
}

/// What is expected where none of them was found.
const KNOWN: &str = "qos=N, alias, deflate, deflate-dict, batch=N, batch=TIME, keep-alive=TIME, no-timestamps, resegment, one-connection, \
                     connection-per-message, tls, tls=1.2, tls=psk, tls=mutual, ws, mqtt-sn, coap, \
                     http, http=close or http=2";

/// The what-ifs that are estimated by default.
pub const USUAL: &[&str] = &[
    "qos=0",
    "alias",
    "deflate",
    "deflate-dict",
    "batch=10",
    "keep-alive=20m",
    "no-timestamps",
    "one-connection",
    "mqtt-sn",
    "coap",
    "http",
    "ws",
    "tls",
];

impl WhatIf {
    /// Reads one, such as `qos=0`.
    ///
    /// # Errors
    ///
    /// What was expected and what was found.
    ///
    /// ```
    /// use mqttdump::overhead::WhatIf;
    ///
    /// assert_eq!(WhatIf::parse("qos=0"), Ok(WhatIf::Qos(0)));
    /// assert!(WhatIf::parse("qos=3").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, OptionError> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let known = Codec::ALL.into_iter().find(|codec| codec.name() == text);
        if let Some(codec) = known {
            return Ok(Self::Compress(codec));
        }
        Ok(match (key, value) {
            ("qos", "0" | "1" | "2") => Self::Qos(value.as_bytes()[0] - b'0'),
            ("qos", _) => return Err(OptionError::form(text, "qos=0, qos=1 or qos=2")),
            ("alias", "") => Self::Alias,
            ("batch", _) => match value.parse::<u32>() {
                Ok(n) if n > 0 => Self::Batch(n.into()),
                _ => Self::BatchSeconds(seconds("batch", value)?),
            },
            ("keep-alive", "0") => Self::KeepAlive(0.0),
            ("keep-alive", _) => match seconds("keep-alive", value)? {
                seconds @ 1.0..=65_535.0 => Self::KeepAlive(seconds),
                _ => return Err(OptionError::form(text, "0, or from 1s to 65535s")),
            },
            ("no-timestamps", "") => Self::NoTimestamps,
            ("resegment", "") => Self::Resegment,
            ("one-connection", "") => Self::OneConnection,
            ("connection-per-message", "") => Self::ConnectionPerMessage,
            ("tls", "" | "1.3") => Self::Tls(Tls::V1_3),
            ("tls", "1.2") => Self::Tls(Tls::V1_2),
            ("tls", "psk") => Self::Tls(Tls::Psk),
            ("tls", "mutual") => Self::Tls(Tls::Mutual),
            ("ws", "") => Self::WebSocket,
            ("mqtt-sn", "") => Self::MqttSn,
            ("coap", "") => Self::Coap,
            ("http", "") => Self::Http(Http::Persistent),
            ("http", "close") => Self::Http(Http::Close),
            ("http", "2") => Self::Http(Http::V2),
            _ => {
                return Err(OptionError::form(text, KNOWN));
            }
        })
    }

    /// Reads `s/old/new/`; any character may stand for the slash.
    ///
    /// # Errors
    ///
    /// What was expected and what was found.
    pub fn rename(text: &str) -> Result<Self, OptionError> {
        let wrong = || OptionError::form(text, "s/old/new/");
        let rest = text.strip_prefix('s').ok_or_else(wrong)?;
        let slash = rest.chars().next().ok_or_else(wrong)?;
        let parts: Vec<&str> = rest[slash.len_utf8()..].split(slash).collect();
        match parts[..] {
            [old, new, ""] if !old.is_empty() => Ok(Self::Rename(old.to_owned(), new.to_owned())),
            _ => Err(wrong()),
        }
    }

    /// Whether it needs decoded control packets.
    fn needs_packets(&self) -> bool {
        !matches!(self, Self::NoTimestamps | Self::Resegment)
    }

    /// Its drawbacks and requirements.
    fn risk(&self) -> String {
        match self {
            Self::Qos(0) => "lost messages stay lost".into(),
            Self::Qos(1) => "may arrive twice".into(),
            Self::Qos(_) | Self::NoTimestamps => String::new(),
            Self::Resegment => "as on the link".into(),
            Self::Alias => "needs 5.0 on both sides".into(),
            Self::Rename(..) => "both sides must change".into(),
            Self::Compress(_) => "both sides have to support it".into(),
            Self::Batch(_) | Self::BatchSeconds(_) => String::new(),
            Self::KeepAlive(_) => {
                "changes dead-peer detection; needs a long-lived NAT mapping".into()
            }
            Self::OneConnection => "needs a long-lived NAT mapping".into(),
            Self::ConnectionPerMessage => "a handshake before each".into(),
            Self::Tls(_) | Self::WebSocket => String::new(),
            Self::MqttSn => "needs a gateway".into(),
            Self::Coap => "no broker, no subscriptions".into(),
            Self::Http(Http::Close) => "no subscriptions: a message down waits for a poll".into(),
            Self::Http(_) => {
                "no subscriptions: a long poll for each message down; the connection stays".into()
            }
        }
    }
}

/// Several changes at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// As typed.
    pub name: String,
    changes: Vec<WhatIf>,
}

impl Scenario {
    /// Reads what-ifs joined by `+`, such as `qos=0+alias`. Nothing is the
    /// identity.
    ///
    /// # Errors
    ///
    /// What was expected and what was found.
    pub fn parse(text: &str) -> Result<Self, OptionError> {
        let parts = text.split('+').filter(|part| !part.is_empty());
        Ok(Self {
            name: text.to_owned(),
            changes: parts.map(WhatIf::parse).collect::<Result<_, _>>()?,
        })
    }

    fn needs_packets(&self) -> bool {
        self.changes.iter().any(WhatIf::needs_packets)
    }

    /// Whether it is still MQTT over TCP.
    pub fn keeps_mqtt(&self) -> bool {
        let other =
            |change: &WhatIf| matches!(change, WhatIf::MqttSn | WhatIf::Coap | WhatIf::Http(_));
        !self.changes.iter().any(other)
    }

    /// The same with topics renamed.
    pub fn renamed(name: &str, rename: WhatIf) -> Self {
        Self {
            name: format!("rename {name}"),
            changes: vec![rename],
        }
    }
}

/// Which bound of an unknown value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Low,
    Likely,
    High,
}

/// Plays scenarios through.
#[derive(Debug)]
pub struct Stage<'a> {
    account: &'a Account,
    basis: &'a Basis<'a>,
    projection: Projection,
    /// Bare acknowledgements for each segment with a packet, of messages with
    /// QoS 1 and 2; `None` if there were none.
    acks: Option<f64>,
    /// The groups of each connection in order: what a scenario changes is made
    /// of them again each time.
    groups: Vec<Vec<(GroupKey, &'a GroupTraffic)>>,
    /// Compression tried on a sample, by codec; at most once.
    trials: [OnceCell<Trials>; Codec::ALL.len()],
}

impl<'a> Stage<'a> {
    /// For the connections of a basis.
    pub fn new(account: &'a Account, basis: &'a Basis<'a>, projection: Projection) -> Self {
        let (mut data, mut acks) = (0, 0);
        let groups = basis.connections.iter().flat_map(|c| &c.groups);
        for (_, group) in groups.filter(|(key, _)| key.qos > 0) {
            data += group.frames.data.iter().sum::<u64>();
            acks += group.frames.acks.iter().sum::<u64>();
        }
        let groups = basis.connections.iter().map(|connection| {
            let groups = connection.groups.iter();
            let mut groups: Vec<_> = groups.map(|(&key, group)| (key, group)).collect();
            groups.sort_unstable_by_key(|&(key, _)| key);
            groups
        });
        Self {
            groups: groups.collect(),
            account,
            basis,
            projection,
            acks: (data > 0).then(|| acks as f64 / data as f64),
            trials: Default::default(),
        }
    }

    /// Results of compressing a sample of the payloads.
    fn trials(&self, codec: Codec) -> &Trials {
        let Account { topics, .. } = self.account;
        self.trials[codec as usize]
            .get_or_init(|| Trials::new(topics, codec, self.account.message_count()))
    }

    /// The unchanged scenario.
    pub fn identity(&self) -> Outcome {
        self.play(&Scenario::default())
    }

    /// Whether a scenario can be estimated: not if it needs decoded control packets and
    /// all connections are encrypted.
    pub fn can_tell(&self, scenario: &Scenario) -> bool {
        let is_read = self.basis.connections.iter().any(|c| c.is_read);
        is_read || self.basis.connections.is_empty() || !scenario.needs_packets()
    }

    /// Plays a scenario through.
    pub fn play(&self, scenario: &Scenario) -> Outcome {
        let (mut outcome, depends_on_bound) = self.once(scenario, Bound::Likely);
        if outcome.mark > Mark::Exact && depends_on_bound {
            let low = self.once(scenario, Bound::Low).0.bill;
            let high = self.once(scenario, Bound::High).0.bill;
            if low != high {
                outcome.bounds = Some((low, high));
                if self.acks.is_none() {
                    outcome.mark = Mark::Bound;
                }
            }
        }
        outcome
    }

    /// Plays a scenario through with a bound. Whether the bill depends on that.
    fn once(&self, scenario: &Scenario, bound: Bound) -> (Outcome, bool) {
        let mut keep_alive: HashMap<u16, u64> = HashMap::new();
        for value in self.basis.connections.iter().filter_map(|c| c.keep_alive) {
            *keep_alive.entry(value).or_default() += 1;
        }
        let usual = keep_alive.into_iter().max_by_key(|&(value, n)| (n, value));
        let mut outcome = Outcome {
            bill: Bill::default(),
            bounds: None,
            mark: Mark::Exact,
            shapes: Vec::new(),
            pings: 0.0,
            connections: self.basis.connections.len() as f64,
            connects_for_each: false,
            keep_alive: usual
                .map(|(value, _)| f64::from(value))
                .filter(|&k| k > 0.0),
            cycle: PerDirection::default(),
            batch: 1.0,
            latency: None,
            notes: Vec::new(),
        };
        let (mut cycles, mut depends_on_bound) = (0.0, false);
        // Of a bound, only the bill is asked for.
        let with_shapes = bound == Bound::Likely;
        if with_shapes {
            let groups = self.groups.iter().flatten();
            let shapes = groups.map(|(_, group)| group.shapes.len()).sum();
            outcome.shapes.reserve_exact(shapes);
        }
        for (connection, groups) in self.basis.connections.iter().zip(&self.groups) {
            let mut model = Model::new(connection, groups, self, bound);
            for change in &scenario.changes {
                model.apply(change, &mut outcome);
            }
            depends_on_bound |= model.depends_on_bound;
            outcome.bill += model.bill;
            outcome.pings += model.pings;
            for group in model.groups.iter().filter(|_| with_shapes) {
                let (direction, qos) = (group.key.direction, group.qos);
                let shapes = group.shapes.iter();
                outcome
                    .shapes
                    .extend(shapes.map(|&(shape, n)| (shape, direction, qos, n as f64)));
            }
            let cycle = model.cycle;
            for (sum, part) in outcome.cycle.iter_mut().zip(cycle) {
                *sum += part;
            }
            cycles += 1.0;
        }
        if outcome.shapes.len() > MANY_SHAPES {
            merge(&mut outcome.shapes);
        }
        for cycle in &mut outcome.cycle {
            *cycle = *cycle * (1.0 / f64::max(cycles, 1.0));
        }
        if self.account.shape.omitted > 0 && !scenario.changes.is_empty() {
            outcome.mark = outcome.mark.max(Mark::Model);
        }
        for change in &scenario.changes {
            self.across_connections(change, &mut outcome);
            let risk = change.risk();
            if !risk.is_empty() {
                outcome.notes.push(risk);
            }
            if let WhatIf::Compress(codec) = change {
                outcome.notes.push(self.trials(*codec).about());
            }
        }
        let unread = self.basis.connections.iter().filter(|c| !c.is_read).count();
        if unread > 0 && scenario.needs_packets() {
            outcome
                .notes
                .push(format!("without {unread} that cannot be read"));
        }
        (outcome, depends_on_bound)
    }

    /// What changes the number of connections.
    fn across_connections(&self, change: &WhatIf, outcome: &mut Outcome) {
        let connections = match change {
            WhatIf::OneConnection => (self.basis.clients as f64).min(outcome.connections),
            WhatIf::ConnectionPerMessage => self.basis.messages as f64,
            WhatIf::KeepAlive(seconds) => {
                outcome.keep_alive = (*seconds > 0.0).then_some(*seconds);
                return;
            }
            WhatIf::Coap | WhatIf::Http(Http::Persistent | Http::V2) => {
                outcome.keep_alive = None;
                return;
            }
            WhatIf::Http(Http::Close) => {
                // Its models have a connection for each message already.
                outcome.keep_alive = None;
                outcome.connects_for_each = true;
                outcome.connections = self.basis.messages as f64;
                return;
            }
            _ => return,
        };
        let factor = connections / outcome.connections.max(1.0);
        for direction in Direction::ALL {
            let part = outcome.bill.get_mut(Term::Connection, direction);
            *part = *part * factor;
        }
        if *change == WhatIf::ConnectionPerMessage {
            outcome.pings = 0.0;
            outcome.connects_for_each = true;
            outcome.keep_alive = None;
            for direction in Direction::ALL {
                *outcome.bill.get_mut(Term::Time, direction) = Amount::default();
            }
        }
        outcome.connections = connections;
    }

    /// Seconds between messages of a kind.
    fn interval(&self, group: &Group<'_>) -> f64 {
        match (self.projection.every, group.span) {
            (Some(every), _) => every,
            (None, span) if group.n > 1.0 => span / (group.n - 1.0),
            _ => 0.0,
        }
    }
}

/// More sizes of messages are merged where they are the same, as those of many
/// connections are; of fewer, that costs more time than it saves memory.
const MANY_SHAPES: usize = 1 << 16;

/// Makes one of those that are the same.
fn merge(shapes: &mut Vec<(Shape, Direction, u8, f64)>) {
    shapes.sort_by_key(|&(shape, direction, qos, _)| (shape, direction, qos));
    shapes.dedup_by(|next, kept| {
        let same = (next.0, next.1, next.2) == (kept.0, kept.1, kept.2);
        if same {
            kept.3 += next.3;
        }
        same
    });
    shapes.shrink_to_fit();
}

/// For a reader: `up to 9 min later, 4.5 min on average`.
pub fn latency_text((mean, longest): (f64, f64)) -> String {
    match longest > 0.0 {
        true => format!(
            "waits {} on average, {} at most",
            period(mean),
            period(longest)
        ),
        false => "no later".to_owned(),
    }
}

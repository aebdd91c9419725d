//! What would change the bill: models of the same traffic done otherwise.
//!
//! Each what-if changes a model of every connection (its messages by size, the
//! frames they took, what its set-up and keep-alive cost) and says what that
//! does to the bill. The model of an unchanged connection is what was measured,
//! so that changing nothing returns the measured total.

use std::collections::HashMap;

use super::DIRECTIONS;
use super::account::{Account, GroupKey, Term, Topic};
use super::amount::{Amount, Bill};
use super::compress::{Codec, Trial, trial};
use super::project::{Basis, Projection, period, seconds};
use super::traffic::{ConnectionTraffic, Headers, Shape};
use crate::frame::Direction;
use crate::limits;
use crate::mqtt::Version;

/// One thing done otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum WhatIf {
    /// Every message with this QoS.
    Qos(u8),
    /// Topic Aliases, as far as the receiver takes them.
    Alias,
    /// In topics, something replaced.
    Rename(String, String),
    /// Payloads compressed, one by one.
    Compress(Codec),
    /// So many messages in one segment.
    Batch(f64),
    /// The messages of so many seconds in one segment.
    BatchSeconds(f64),
    /// Another Keep Alive, in seconds; 0 for none.
    KeepAlive(f64),
    /// No TCP timestamps.
    NoTimestamps,
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
    /// Bytes of the handshake with two session tickets, up and down, and bytes
    /// that a record adds. Measured with OpenSSL 3 (1.2: its records by rule,
    /// its handshake taken to be that of 1.3).
    const fn costs(self) -> ([f64; 2], f64) {
        match self {
            Self::V1_3 => ([391.0, 1592.0], 22.0),
            Self::V1_2 => ([391.0, 1592.0], 29.0),
            Self::Psk => ([478.0, 480.0], 22.0),
            Self::Mutual => ([2183.0, 4012.0], 22.0),
        }
    }
}

/// How sure a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Bytes changed within segments that stay.
    Exact,
    /// Frames appear or vanish; how receivers acknowledge is taken from this
    /// capture.
    Model,
    /// Only a lower and an upper value are known.
    Bound,
}

impl Mark {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Model => "model",
            Self::Bound => "bound",
        }
    }
}

/// The what-ifs that are tried unasked.
pub const USUAL: &[&str] = &[
    "qos=0",
    "alias",
    "deflate",
    "deflate-dict",
    "zstd-dict",
    "batch=10",
    "no-timestamps",
    "one-connection",
    "mqtt-sn",
    "coap",
    "ws",
    "tls",
];

impl WhatIf {
    /// Reads one, such as `qos=0`.
    ///
    /// # Errors
    ///
    /// What was expected and what was there.
    ///
    /// ```
    /// use mqttdump::overhead::WhatIf;
    ///
    /// assert_eq!(WhatIf::parse("qos=0"), Ok(WhatIf::Qos(0)));
    /// assert!(WhatIf::parse("qos=3").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let known = Codec::ALL.into_iter().find(|codec| codec.name() == text);
        if let Some(codec) = known {
            return Ok(Self::Compress(codec));
        }
        Ok(match (key, value) {
            ("qos", "0" | "1" | "2") => Self::Qos(value.as_bytes()[0] - b'0'),
            ("qos", _) => return Err(format!("{text:?}: expected qos=0, qos=1 or qos=2")),
            ("alias", "") => Self::Alias,
            ("batch", _) => match value.parse::<u32>() {
                Ok(n) if n > 0 => Self::Batch(n.into()),
                _ => Self::BatchSeconds(seconds("batch", value)?),
            },
            ("keep-alive", "0") => Self::KeepAlive(0.0),
            ("keep-alive", _) => Self::KeepAlive(seconds("keep-alive", value)?),
            ("no-timestamps", "") => Self::NoTimestamps,
            ("one-connection", "") => Self::OneConnection,
            ("connection-per-message", "") => Self::ConnectionPerMessage,
            ("tls", "" | "1.3") => Self::Tls(Tls::V1_3),
            ("tls", "1.2") => Self::Tls(Tls::V1_2),
            ("tls", "psk") => Self::Tls(Tls::Psk),
            ("tls", "mutual") => Self::Tls(Tls::Mutual),
            ("ws", "") => Self::WebSocket,
            ("mqtt-sn", "") => Self::MqttSn,
            ("coap", "") => Self::Coap,
            _ => {
                return Err(format!(
                    "{text:?}: expected qos=N, alias, deflate, deflate-dict, zstd, zstd-dict, batch=N, \
                     batch=TIME, keep-alive=TIME, no-timestamps, one-connection, \
                     connection-per-message, tls, tls=1.2, tls=psk, tls=mutual, ws, mqtt-sn or coap"
                ));
            }
        })
    }

    /// Reads `s/old/new/`; any character may stand for the slash.
    ///
    /// # Errors
    ///
    /// What was expected and what was there.
    pub fn rename(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?}: expected s/old/new/");
        let rest = text.strip_prefix('s').ok_or_else(wrong)?;
        let slash = rest.chars().next().ok_or_else(wrong)?;
        let parts: Vec<&str> = rest[slash.len_utf8()..].split(slash).collect();
        match parts[..] {
            [old, new, ""] if !old.is_empty() => Ok(Self::Rename(old.to_owned(), new.to_owned())),
            _ => Err(wrong()),
        }
    }

    /// What else it costs, or what it needs.
    fn risk(&self) -> String {
        match self {
            Self::Qos(0) => "what is lost stays lost".into(),
            Self::Qos(1) => "may arrive twice".into(),
            Self::Qos(_) | Self::NoTimestamps => String::new(),
            Self::Alias => "needs 5.0 on both sides".into(),
            Self::Rename(..) => "both sides must change".into(),
            Self::Compress(_) => "both sides must know".into(),
            Self::Batch(_) | Self::BatchSeconds(_) => String::new(),
            Self::KeepAlive(_) => "the dead are noticed at another time".into(),
            Self::OneConnection => "NAT must keep it".into(),
            Self::ConnectionPerMessage => "a handshake before each".into(),
            Self::Tls(_) | Self::WebSocket => String::new(),
            Self::MqttSn => "needs a gateway".into(),
            Self::Coap => "no broker, no subscriptions".into(),
        }
    }
}

/// Several things done otherwise at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// As it was asked for.
    pub name: String,
    changes: Vec<WhatIf>,
}

impl Scenario {
    /// Reads what-ifs joined by `+`, such as `qos=0+alias`. Nothing is the
    /// identity.
    ///
    /// # Errors
    ///
    /// What was expected and what was there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split('+').filter(|part| !part.is_empty());
        Ok(Self {
            name: text.to_owned(),
            changes: parts.map(WhatIf::parse).collect::<Result<_, _>>()?,
        })
    }

    /// The same with topics renamed.
    pub fn renamed(name: &str, rename: WhatIf) -> Self {
        Self {
            name: format!("rename {name}"),
            changes: vec![rename],
        }
    }
}

/// What a scenario comes to, in the capture.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What would have been paid.
    pub bill: Bill,
    /// The least and the most, where acknowledgements are a guess.
    pub bounds: Option<(Bill, Bill)>,
    /// How sure that is.
    pub mark: Mark,
    /// Messages by their sizes: shape, direction, QoS, how many.
    pub shapes: Vec<(Shape, Direction, u8, f64)>,
    /// PINGREQ packets.
    pub pings: f64,
    /// Connections.
    pub connections: f64,
    /// There is one for each message.
    pub connects_for_each: bool,
    /// Keep Alive in seconds, of most connections.
    pub keep_alive: Option<f64>,
    /// What one keep-alive cycle takes, up and down.
    pub cycle: [Amount; 2],
    /// Messages in one go: wake-ups for messages are fewer by this factor.
    pub batch: f64,
    /// Seconds that a message waits, mean and longest.
    pub latency: Option<(f64, f64)>,
    /// What else it costs, needs, or was assumed.
    pub notes: Vec<String>,
}

/// Which end of what is not known.
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
        Self {
            account,
            basis,
            projection,
            acks: (data > 0).then(|| acks as f64 / data as f64),
        }
    }

    /// Nothing done otherwise.
    pub fn identity(&self) -> Outcome {
        self.play(&Scenario::default())
    }

    /// Plays a scenario through.
    pub fn play(&self, scenario: &Scenario) -> Outcome {
        let mut outcome = self.once(scenario, Bound::Likely);
        if outcome.mark > Mark::Exact {
            let low = self.once(scenario, Bound::Low).bill;
            let high = self.once(scenario, Bound::High).bill;
            if low != high {
                outcome.bounds = Some((low, high));
                if self.acks.is_none() {
                    outcome.mark = Mark::Bound;
                }
            }
        }
        outcome
    }

    fn once(&self, scenario: &Scenario, bound: Bound) -> Outcome {
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
            cycle: [Amount::default(); 2],
            batch: 1.0,
            latency: None,
            notes: Vec::new(),
        };
        let mut trials = None;
        let mut cycles = 0.0;
        for connection in &self.basis.connections {
            let mut model = Model::new(connection, self, bound);
            for change in &scenario.changes {
                model.apply(change, &mut outcome, &mut trials);
            }
            outcome.bill += model.bill;
            outcome.pings += model.pings;
            for group in &model.groups {
                let (direction, qos) = (group.key.direction, group.qos);
                let shapes = group.shapes.iter();
                outcome
                    .shapes
                    .extend(shapes.map(|&(shape, n)| (shape, direction, qos, n)));
            }
            let cycle = model.cycle();
            for (sum, part) in outcome.cycle.iter_mut().zip(cycle) {
                *sum += part;
            }
            cycles += 1.0;
        }
        for cycle in &mut outcome.cycle {
            *cycle = *cycle * (1.0 / f64::max(cycles, 1.0));
        }
        for change in &scenario.changes {
            self.across_connections(change, &mut outcome);
            let risk = change.risk();
            if !risk.is_empty() {
                outcome.notes.push(risk);
            }
        }
        outcome.notes.extend(trials.map(|trials| trials.about()));
        outcome
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
            _ => return,
        };
        let factor = connections / outcome.connections.max(1.0);
        for direction in DIRECTIONS {
            let part = outcome.bill.get_mut(Term::Connection, direction);
            *part = *part * factor;
        }
        if *change == WhatIf::ConnectionPerMessage {
            outcome.pings = 0.0;
            outcome.connects_for_each = true;
            outcome.keep_alive = None;
            for direction in DIRECTIONS {
                *outcome.bill.get_mut(Term::Time, direction) = Amount::default();
            }
        }
        outcome.connections = connections;
    }

    /// Seconds between messages of a kind.
    fn interval(&self, group: &Group) -> f64 {
        match (self.projection.every, group.span) {
            (Some(every), _) => every,
            (None, span) if group.n > 1.0 => span / (group.n - 1.0),
            _ => 0.0,
        }
    }
}

/// What compressing the payloads of each topic came to.
#[derive(Debug)]
struct Trials {
    by_topic: Vec<Option<Trial>>,
    all: Trial,
}

impl Trials {
    fn new(topics: &[Topic], codec: Codec) -> Self {
        let mut all = Trial::default();
        let by_topic = topics.iter().take(limits::SAMPLED_TOPICS + 1).map(|topic| {
            let trial = trial(topic.samples.payloads(), codec)?;
            all.tested += trial.tested;
            all.before += trial.before;
            all.after += trial.after;
            all.dictionary += trial.dictionary;
            Some(trial)
        });
        Self {
            by_topic: by_topic.collect(),
            all,
        }
    }

    /// Part of the bytes that is left of payloads of a topic; of a topic that
    /// was not tried, that of all.
    fn ratio(&self, topic: u32) -> f64 {
        match self.by_topic.get(topic as usize) {
            Some(trial) => trial.map_or(1.0, |trial| trial.ratio()),
            None => self.all.ratio(),
        }
    }

    fn about(&self) -> String {
        let Trial {
            tested, dictionary, ..
        } = self.all;
        match (tested, dictionary) {
            (0, _) => "too few payloads to try".to_owned(),
            (_, 0) => format!("{tested} tried"),
            _ => format!("{tested} tried, dictionaries of {dictionary} B"),
        }
    }
}

/// Messages of a connection that are alike.
#[derive(Debug)]
struct Group {
    key: GroupKey,
    qos: u8,
    n: f64,
    shapes: Vec<(Shape, f64)>,
    data: [f64; 2],
    acks: [f64; 2],
    /// Seconds from the first to the last.
    span: f64,
}

/// A connection as it might have been.
struct Model<'a> {
    connection: &'a ConnectionTraffic,
    stage: &'a Stage<'a>,
    bound: Bound,
    bill: Bill,
    groups: Vec<Group>,
    pings: f64,
    is_v5: bool,
}

impl<'a> Model<'a> {
    fn new(connection: &'a ConnectionTraffic, stage: &'a Stage<'a>, bound: Bound) -> Self {
        let groups = connection.groups.iter().map(|(&key, group)| Group {
            key,
            qos: key.qos,
            n: group.n as f64,
            shapes: group.shapes.iter().map(|&(s, n)| (s, n as f64)).collect(),
            data: group.frames.data.map(|n| n as f64),
            acks: group.frames.acks.map(|n| n as f64),
            span: group
                .span
                .map_or(0.0, |(first, last)| last.since(first).as_secs_f64()),
        });
        let mut groups: Vec<Group> = groups.collect();
        groups.sort_unstable_by_key(|group| group.key);
        Self {
            connection,
            stage,
            bound,
            bill: connection.terms.into(),
            groups,
            pings: connection.pings as f64,
            is_v5: connection.version == Some(Version::V5),
        }
    }

    /// Mean headers of a frame that is no SYN.
    fn header(&self, direction: Direction) -> Amount {
        let mean = |headers: &Headers| {
            let n = headers.sum.packets as f64;
            (n > 0.0).then(|| Amount::from(headers.sum) * (1.0 / n))
        };
        let of = |direction: Direction| mean(&self.connection.headers[direction as usize]);
        of(direction)
            .or_else(|| of(direction.reversed()))
            .unwrap_or_default()
    }

    /// What a PINGREQ, its answer and an acknowledgement of that take.
    fn cycle(&self) -> [Amount; 2] {
        let acks = match self.bound {
            Bound::Low => 1.0,
            _ => 2.0,
        };
        let (up, down) = (self.header(Direction::Up), self.header(Direction::Down));
        let ping = Amount::mqtt(2.0);
        [up * 2.0 + ping, down * acks + ping]
    }

    fn add(&mut self, term: Term, direction: Direction, amount: Amount) {
        *self.bill.get_mut(term, direction) += amount;
    }

    fn apply(&mut self, change: &WhatIf, outcome: &mut Outcome, trials: &mut Option<Trials>) {
        let at_least = |outcome: &mut Outcome, mark: Mark| outcome.mark = outcome.mark.max(mark);
        match change {
            WhatIf::Qos(qos) => {
                at_least(outcome, Mark::Model);
                (0..self.groups.len()).for_each(|i| self.qos(i, *qos));
            }
            WhatIf::Alias => {
                if !self.is_v5 {
                    at_least(outcome, Mark::Model);
                }
                self.alias();
            }
            WhatIf::Rename(old, new) => (0..self.groups.len()).for_each(|i| {
                let name = &self.stage.account.topics[self.groups[i].key.topic as usize].name;
                let name = String::from_utf8_lossy(name);
                let renamed = name.replacen(old.as_str(), new, 1).len();
                self.resize(i, |shape| Shape {
                    topic: if shape.topic == 0 { 0 } else { renamed as u16 },
                    ..shape
                });
            }),
            WhatIf::Compress(codec) => (0..self.groups.len()).for_each(|i| {
                let trials =
                    trials.get_or_insert_with(|| Trials::new(&self.stage.account.topics, *codec));
                let ratio = trials.ratio(self.groups[i].key.topic);
                self.resize(i, |shape| Shape {
                    payload: (f64::from(shape.payload) * ratio).round() as u32,
                    ..shape
                });
            }),
            WhatIf::Batch(k) => {
                at_least(outcome, Mark::Model);
                (0..self.groups.len()).for_each(|i| self.batch(i, *k, outcome));
            }
            WhatIf::BatchSeconds(seconds) => {
                at_least(outcome, Mark::Model);
                for i in 0..self.groups.len() {
                    let interval = self.stage.interval(&self.groups[i]);
                    let k = match interval > 0.0 {
                        true => (seconds / interval).floor() + 1.0,
                        false => self.groups[i].n.max(1.0),
                    };
                    self.batch(i, k, outcome);
                }
            }
            WhatIf::KeepAlive(seconds) => {
                at_least(outcome, Mark::Model);
                self.keep_alive(*seconds);
            }
            WhatIf::NoTimestamps => self.no_timestamps(),
            WhatIf::OneConnection | WhatIf::ConnectionPerMessage => {
                at_least(outcome, Mark::Model);
            }
            WhatIf::Tls(tls) => {
                at_least(outcome, Mark::Model);
                let ([up, down], record) = tls.costs();
                // Two flights and three, and an acknowledgement of each side.
                self.open(Direction::Up, up + 2.0 + record, 3.0);
                self.open(Direction::Down, down + 2.0 + record, 4.0);
                self.each_write(|_, _| record);
            }
            WhatIf::WebSocket => {
                at_least(outcome, Mark::Model);
                // A request and its answer, as browsers' and brokers' are.
                self.open(Direction::Up, 188.0, 2.0);
                self.open(Direction::Down, 159.0, 2.0);
                self.each_write(|direction, len| {
                    let length = match len {
                        len if len < 126.0 => 2.0,
                        len if len < 65_536.0 => 4.0,
                        _ => 10.0,
                    };
                    length + if direction == Direction::Up { 4.0 } else { 0.0 }
                });
            }
            WhatIf::MqttSn => {
                at_least(outcome, Mark::Model);
                self.mqtt_sn();
            }
            WhatIf::Coap => {
                at_least(outcome, Mark::Model);
                self.coap();
            }
        }
    }

    /// Changes the sizes of PUBLISH packets.
    fn resize(&mut self, i: usize, change: impl Fn(Shape) -> Shape) {
        let group = &mut self.groups[i];
        let (mut bytes, mut app) = (0.0, 0.0);
        for (shape, n) in &mut group.shapes {
            let new = change(*shape);
            bytes += *n * (new.packet_len() as f64 - shape.packet_len() as f64);
            app += *n * (f64::from(new.payload) - f64::from(shape.payload));
            *shape = new;
        }
        let direction = group.key.direction;
        let change = Amount {
            app,
            ..Amount::mqtt(bytes)
        };
        self.add(Term::Message, direction, change);
    }

    /// Changes the number of frames that messages take.
    fn frames(&mut self, i: usize, data: [f64; 2], acks: [f64; 2]) {
        for direction in DIRECTIONS {
            let at = direction as usize;
            let group = &mut self.groups[i];
            let more = data[at] - group.data[at] + acks[at] - group.acks[at];
            (group.data[at], group.acks[at]) = (data[at], acks[at]);
            let header = self.header(direction);
            self.add(Term::Message, direction, header * more);
        }
    }

    fn qos(&mut self, i: usize, qos: u8) {
        /// Packets after the PUBLISH: against its direction, and along it.
        const ANSWERS: [(f64, f64); 3] = [(0.0, 0.0), (1.0, 0.0), (2.0, 1.0)];
        /// Of each, without reason and properties.
        const ANSWER: f64 = 4.0;
        let (old, n) = (self.groups[i].qos, self.groups[i].n);
        if old == qos || old > 2 {
            return;
        }
        self.resize(i, |shape| Shape {
            packet_id: qos > 0,
            ..shape
        });
        let group = &mut self.groups[i];
        group.qos = qos;
        let (along, against) = (group.key.direction, group.key.direction.reversed());
        let (before, after) = (ANSWERS[usize::from(old)], ANSWERS[usize::from(qos)]);
        // Packets that share segments go on sharing them.
        let packets = n * (1.0 + before.0 + before.1);
        let per_packet = (group.data.iter().sum::<f64>() / packets).min(1.0);
        let d = 1.0 + after.0 + after.1;
        let a = match (self.bound, self.stage.acks) {
            (Bound::Low, _) => 1.0,
            (Bound::High, _) => d,
            (Bound::Likely, acks) => (acks.unwrap_or(0.75) * d).clamp(1.0, d),
        };
        let mut data = [0.0; 2];
        let mut acks = [0.0; 2];
        data[along as usize] = n * per_packet * (1.0 + after.1);
        data[against as usize] = n * per_packet * after.0;
        // The last packet gets a bare acknowledgement; others by chance.
        let last = if qos == 0 { against } else { along };
        acks[last as usize] = n * per_packet;
        acks[last.reversed() as usize] = n * per_packet * (a - 1.0);
        self.frames(i, data, acks);
        let answers = |n: f64| Amount::mqtt(ANSWER * n);
        self.add(Term::Message, against, answers(n * (after.0 - before.0)));
        self.add(Term::Message, along, answers(n * (after.1 - before.1)));
    }

    fn alias(&mut self) {
        /// Aliases that a receiver is taken to allow if it did not say.
        const USUAL: u16 = 10;
        if !self.is_v5 {
            // A byte in each of these packets, and in each PUBLISH.
            for i in 0..self.groups.len() {
                self.resize(i, |shape| Shape {
                    properties: shape.properties.or(Some(0)),
                    ..shape
                });
            }
            let tax = Amount::mqtt(self.connection.taxed as f64 / 2.0);
            self.add(Term::Connection, Direction::Up, tax);
            self.add(Term::Connection, Direction::Down, tax);
        }
        for direction in DIRECTIONS {
            let maximum = match self.is_v5 && self.connection.is_from_start {
                true => self.connection.alias_maximum[direction as usize],
                false => USUAL,
            };
            // Topics with what they would save, whatever the QoS.
            let mut topics: HashMap<u32, f64> = HashMap::new();
            // Topic 0 is several.
            let here = |g: &&Group| g.key.direction == direction && g.key.topic > 0;
            for group in self.groups.iter().filter(here) {
                let saved = group.shapes.iter().filter(|(shape, _)| !shape.alias);
                let saved: f64 = saved
                    .map(|(shape, n)| n * (f64::from(shape.topic) - 3.0))
                    .sum();
                *topics.entry(group.key.topic).or_default() += saved;
            }
            let mut topics: Vec<_> = topics
                .into_iter()
                .filter(|(_, saved)| *saved > 0.0)
                .collect();
            topics.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            topics.truncate(maximum.into());
            for (topic, _) in topics {
                let mut first = true;
                for i in 0..self.groups.len() {
                    let key = self.groups[i].key;
                    if (key.topic, key.direction) == (topic, direction) {
                        self.alias_group(i, &mut first);
                    }
                }
            }
        }
    }

    /// The first message still names its topic.
    fn alias_group(&mut self, i: usize, first: &mut bool) {
        let direction = self.groups[i].key.direction;
        let mut bytes = 0.0;
        let mut shapes = Vec::new();
        for (shape, n) in std::mem::take(&mut self.groups[i].shapes) {
            if shape.alias {
                shapes.push((shape, n));
                continue;
            }
            let named = Shape {
                alias: true,
                properties: shape.properties.map(|len| len + 3),
                ..shape
            };
            let unnamed = Shape { topic: 0, ..named };
            let names = if std::mem::take(first) {
                n.min(1.0)
            } else {
                0.0
            };
            let len = |shape: Shape| shape.packet_len() as f64;
            bytes += names * len(named) + (n - names) * len(unnamed) - n * len(shape);
            shapes.extend([(named, names), (unnamed, n - names)]);
        }
        self.groups[i].shapes = shapes;
        self.add(Term::Message, direction, Amount::mqtt(bytes));
    }

    fn batch(&mut self, i: usize, k: f64, outcome: &mut Outcome) {
        let interval = self.stage.interval(&self.groups[i]);
        let group = &self.groups[i];
        let at = group.key.direction as usize;
        let publishes = group.data[at].min(group.n);
        // In the capture there are only so many, in a month there are more.
        // Those that share segments already do.
        let left = match self.stage.projection.every {
            Some(_) => publishes.min(group.n / k),
            None => publishes.min((group.n / k).ceil()),
        };
        let factor = match publishes > 0.0 {
            true => left / publishes,
            false => 1.0,
        };
        let mut data = group.data;
        data[at] -= publishes - left;
        let acks = group.acks.map(|n| n * factor);
        let together = if left > 0.0 { group.n / left } else { 1.0 };
        outcome.batch = outcome.batch.max(together);
        self.frames(i, data, acks);
        let (mean, longest) = outcome.latency.unwrap_or_default();
        outcome.latency = Some((
            mean.max((k - 1.0) / 2.0 * interval),
            longest.max((k - 1.0) * interval),
        ));
    }

    /// Pings as the gaps of the connection would need them, under the policy
    /// that explains those that were sent best: after silence of the client, or
    /// of both.
    fn keep_alive(&mut self, seconds: f64) {
        let connection = self.connection;
        let Some(old) = connection.keep_alive.filter(|&k| k > 0) else {
            return;
        };
        let old = f64::from(old);
        let needed = |gaps: &super::Distribution, keep_alive: f64| -> f64 {
            let pings = |gap: u64| {
                ((gap as f64 - 1.0) / (1000.0 * keep_alive))
                    .floor()
                    .max(0.0)
            };
            gaps.iter().map(|(gap, n)| n as f64 * pings(gap)).sum()
        };
        let seen = connection.pings as f64;
        let off = |gaps| (needed(gaps, old) - seen).abs();
        let gaps = match off(&connection.gaps_out) <= off(&connection.gaps_any) {
            true => &connection.gaps_out,
            false => &connection.gaps_any,
        };
        let pings = match seconds > 0.0 {
            false => 0.0,
            true => (seen + needed(gaps, seconds) - needed(gaps, old)).max(0.0),
        };
        for direction in DIRECTIONS {
            let measured = self.bill.get(Term::Time, direction);
            let new = match seen > 0.0 {
                true => measured * (pings / seen),
                false => measured + self.cycle()[direction as usize] * pings,
            };
            *self.bill.get_mut(Term::Time, direction) = new;
        }
        self.pings = pings;
    }

    fn no_timestamps(&mut self) {
        for direction in DIRECTIONS {
            let headers = &self.connection.headers[direction as usize];
            let saved = headers.timestamps as f64;
            let all: f64 = Term::ALL
                .into_iter()
                .map(|term| self.connection.terms.get(term, direction).packets as f64)
                .sum();
            for term in Term::ALL {
                let packets = self.connection.terms.get(term, direction).packets as f64;
                let part = if all > 0.0 { packets / all } else { 0.0 };
                self.add(term, direction, lower(saved * part));
            }
        }
        let syn = self.connection.syn.timestamps as f64 / 2.0;
        self.add(Term::Connection, Direction::Up, lower(syn));
        self.add(Term::Connection, Direction::Down, lower(syn));
    }

    /// What opening the connection takes besides.
    fn open(&mut self, direction: Direction, bytes: f64, frames: f64) {
        if self.connection.is_from_start {
            let header = self.header(direction) * frames;
            self.add(Term::Connection, direction, header + Amount::tcp(bytes));
        }
    }

    /// What each segment with control packets takes besides.
    fn each_write(&mut self, more: impl Fn(Direction, f64) -> f64) {
        for direction in DIRECTIONS {
            let at = direction as usize;
            let writes = self.connection.writes[at] as f64;
            let bytes: f64 = Term::ALL
                .into_iter()
                .map(|term| self.connection.terms.get(term, direction).mqtt as f64)
                .sum();
            let each = more(direction, if writes > 0.0 { bytes / writes } else { 0.0 });
            let messages: f64 = self.groups.iter().map(|group| group.data[at]).sum();
            let rest = (writes - messages - self.pings).max(0.0);
            for (term, n) in [
                (Term::Message, messages),
                (Term::Time, self.pings),
                (Term::Connection, rest),
            ] {
                self.add(term, direction, Amount::tcp(each * n));
            }
        }
    }

    /// Headers of a UDP datagram on the same link.
    fn datagram(&self, direction: Direction) -> Amount {
        const UDP: f64 = 8.0;
        let headers = &self.connection.headers[direction as usize];
        let n = headers.sum.packets.max(1) as f64;
        let tcp = headers.tcp as f64 / n;
        let mut header = self.header(direction);
        header.l2 += UDP - tcp;
        header.l3 += UDP - tcp;
        header
    }

    /// Starts the bill anew: nothing of TCP and MQTT is left.
    fn replace(&mut self) {
        self.bill = Bill::default();
    }

    fn send(&mut self, term: Term, direction: Direction, n: f64, len: f64, app: f64) {
        let datagram = Amount {
            app,
            ..Amount::mqtt(len)
        };
        let header = self.datagram(direction);
        self.add(term, direction, (header + datagram) * n);
    }

    fn mqtt_sn(&mut self) {
        self.replace();
        let groups = std::mem::take(&mut self.groups);
        let mut topics: Vec<(u32, Direction, usize)> = Vec::new();
        for group in &groups {
            let (along, against) = (group.key.direction, group.key.direction.reversed());
            for (shape, n) in &group.shapes {
                let payload = f64::from(shape.payload);
                let header = if payload > 248.0 { 9.0 } else { 7.0 };
                self.send(Term::Message, along, *n, header + payload, payload);
            }
            match group.qos {
                1 => self.send(Term::Message, against, group.n, 7.0, 0.0),
                2 => {
                    self.send(Term::Message, against, 2.0 * group.n, 4.0, 0.0);
                    self.send(Term::Message, along, group.n, 4.0, 0.0);
                }
                _ => {}
            }
            let name = &self.stage.account.topics[group.key.topic as usize].name;
            topics.push((group.key.topic, along, name.len()));
        }
        topics.sort_unstable();
        topics.dedup();
        for (_, direction, len) in topics {
            self.send(Term::Connection, direction, 1.0, 6.0 + len as f64, 0.0);
            self.send(Term::Connection, direction.reversed(), 1.0, 7.0, 0.0);
        }
        if self.connection.is_from_start {
            let client_id = self.connection.client_id as f64;
            self.send(Term::Connection, Direction::Up, 1.0, 6.0 + client_id, 0.0);
            self.send(Term::Connection, Direction::Down, 1.0, 3.0, 0.0);
            self.send(Term::Connection, Direction::Up, 1.0, 2.0, 0.0);
            self.send(Term::Connection, Direction::Down, 1.0, 2.0, 0.0);
        }
        self.send(Term::Time, Direction::Up, self.pings, 2.0, 0.0);
        self.send(Term::Time, Direction::Down, self.pings, 2.0, 0.0);
        self.groups = groups;
    }

    fn coap(&mut self) {
        /// Bytes of a token that tells concurrent requests apart.
        const TOKEN: f64 = 2.0;
        self.replace();
        let groups = std::mem::take(&mut self.groups);
        for group in &groups {
            let (along, against) = (group.key.direction, group.key.direction.reversed());
            let name = &self.stage.account.topics[group.key.topic as usize].name;
            // One option for each level; a longer one has an extended length.
            let options: usize = name
                .split(|&byte| byte == b'/')
                .map(|level| level.len() + if level.len() > 12 { 2 } else { 1 })
                .sum();
            for (shape, n) in &group.shapes {
                let payload = f64::from(shape.payload);
                let len = 4.0 + TOKEN + options as f64 + 1.0 + payload;
                self.send(Term::Message, along, *n, len, payload);
            }
            if group.qos > 0 {
                self.send(Term::Message, against, group.n, 4.0 + TOKEN, 0.0);
            }
        }
        self.groups = groups;
        self.pings = 0.0;
    }
}

/// So many bytes less in headers.
fn lower(bytes: f64) -> Amount {
    Amount {
        l2: -bytes,
        l3: -bytes,
        ..Amount::default()
    }
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

//! Where every byte of a capture went, what a message costs, and what would
//! change that.
//!
//! ```text
//! Fact::Packet ─┐
//! Fact::Frame  ─┼→ Ledger ─→ books of each connection ─→ Account
//! Fact::Event  ─┘   tells MQTT from others, fragments, second copies
//! ```
//! Three exact partitions of the same bytes: by [`Layer`], by [`Cause`] (purpose
//! and mechanism), and by owner (a message, or its connection). Everything is an
//! integer; what has to be divided is divided by [`apportion`], so that parts
//! add up. Lengths are those on the wire, whatever the snap length.
//!
//! Ratios, projections and what-ifs are computed from the [`Account`], and
//! never the other way round.

mod account;
mod amount;
mod apportion;
mod books;
mod carriage;
mod cause;
mod compress;
mod distribution;
mod figures;
mod label;
mod layer;
mod level;
mod profile;
mod project;
mod ranges;
mod share;
mod totals;
mod traffic;
mod wake;
mod whatif;

use std::collections::{HashMap, VecDeque};

pub use account::{
    Account, ConnectionAccount, Costs, Doubts, Group, GroupKey, Ladder, Message, MessageCauses,
    Step, Term, Terms, Topic,
};
pub use amount::{Amount, Bill};
pub use apportion::apportion;
pub use cause::{Cause, Causes, Mechanism, Purpose};
pub use compress::{Codec, Samples, Trial, trial};
pub use distribution::Distribution;
pub use figures::{Figures, Ratios, Request, Saving};
pub use layer::{Layer, Layers};
pub use level::{Level, Measures};
pub use profile::{Counts, Lora, Per, Profile, Profiles, profiles, read_profiles};
pub use project::{Basis, Billed, Count, DAY, MONTH, Month, Projection, bill, period};
pub use share::Share;
pub use totals::Totals;
pub use traffic::{ConnectionTraffic, Frames, GroupTraffic, Headers, Shape, Traffic, varint_len};
pub use wake::{TAILS_MILLIS, Wakes};
pub use whatif::{Mark, Outcome, Scenario, Stage, Tls, USUAL, WhatIf, latency_text};

use books::{Books, Head, Messages, Rules};

/// Fast, and seeded at random.
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

use crate::engine::{Captured, CapturedSegment, Span};
use crate::event::ConnectionEnd;
use crate::facts::{Fact, FrameFact, Needs, Sink};
use crate::frame::Connection;
use crate::limits;
use crate::mqtt::ControlPacket;
use crate::net::{Anatomy, Endpoint};
use crate::packet::PacketRef;

/// What to count, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What counts.
    pub level: Level,
    /// How headers of shared frames are divided.
    pub share: Share,
    /// Keep messages one by one.
    pub messages: bool,
    /// Keep sums alone: nothing of a connection that is over, of topics and
    /// clients.
    pub sums_only: bool,
    /// Keep some payloads for trying out compression.
    pub samples: bool,
    /// Only the connections of these clients; empty for all.
    pub clients: Vec<Box<[u8]>>,
    /// Only these connections, by number; empty for all.
    pub connections: Vec<u64>,
}

impl Options {
    fn wants(&self, connection: &ConnectionAccount) -> bool {
        let id = connection.client_id.as_ref();
        let client = self.clients.is_empty() || id.is_some_and(|id| self.clients.contains(id));
        let number = self.connections.is_empty() || self.connections.contains(&connection.number);
        client && number
    }
}

/// Keeps the books of a capture: a [`Sink`].
#[derive(Debug, Default)]
pub struct Ledger {
    options: Options,
    connections: Map<u64, Entry>,
    account: Account,
    fragments: Fragments,
    messages: Messages,
    topics: Map<Box<[u8]>, u32>,
    messages_kept: u64,
    /// Groups of all connections that are kept.
    groups: usize,
}

#[derive(Debug)]
enum Entry {
    /// Nobody knows yet whether it carries MQTT.
    Undecided(Vec<Held>),
    Mqtt(Box<Books>),
}

/// A segment of a connection that is undecided.
#[derive(Debug)]
struct Held {
    captured: Captured<'static>,
    segment: CapturedSegment<'static>,
    head: Head,
    whole: Measures,
}

impl Ledger {
    /// Empty books.
    pub fn new(options: Options) -> Self {
        let account = Account {
            level: options.level,
            share: options.share,
            // Of messages whose topic is not known, or not remembered.
            topics: vec![Topic::default()],
            ..Account::default()
        };
        Self {
            options,
            account,
            ..Self::default()
        }
    }

    fn rules(&self) -> Rules {
        Rules {
            level: self.options.level,
            share: self.options.share,
            room: self.groups < limits::ACCOUNTED_GROUPS,
            keep: self.options.messages && self.messages_kept < limits::ACCOUNTED_MESSAGES,
        }
    }

    /// The sums up to now.
    pub fn totals(&self) -> Totals {
        let account = &self.account;
        let mut totals = Totals {
            level: account.level,
            all: account.all,
            foreign: account.foreign,
            layers: account.layers,
            causes: account.causes,
            open: 0,
        };
        for entry in self.connections.values() {
            if let Entry::Mqtt(books) = entry
                && self.options.wants(books.so_far())
            {
                totals.layers.merge(&books.so_far().layers);
                totals.causes.merge(&books.so_far().causes);
                totals.open += u64::from(!books.is_finished());
            }
        }
        totals
    }

    /// The capture has ended; everything is accounted for.
    pub fn finish(mut self) -> Account {
        let mut open: Vec<u64> = self.connections.keys().copied().collect();
        open.sort_unstable();
        for number in open {
            if let Some(entry) = self.connections.remove(&number) {
                self.close(entry);
            }
        }
        for (_, measures) in self.fragments.waiting.values() {
            self.account.foreign += *measures;
        }
        self.account
            .connections
            .sort_by_key(|connection| connection.number);
        self.account
    }

    fn packet(&mut self, captured: &Captured<'_>) {
        let whole = measures_of(&captured.anatomy, captured.segment.is_some());
        let account = &mut self.account;
        account.all += whole;
        account.doubts.cut += u64::from(captured.is_cut);
        account.span = match account.span {
            Some((first, last)) => Some((first.min(captured.time), last.max(captured.time))),
            None => Some((captured.time, captured.time)),
        };
        let Some(segment) = &captured.segment else {
            match captured.is_fragment {
                true => {
                    let head = Head::new(&captured.anatomy);
                    let dropped = self.fragments.hold(captured.packet, head, whole);
                    self.account.foreign += dropped;
                }
                false => self.account.foreign += whole,
            }
            return;
        };
        let mut head = Head::new(&captured.anatomy);
        let mut whole = whole;
        for fragment in segment.fragments {
            if let Some((earlier, measures)) = self.fragments.waiting.remove(fragment) {
                head.add(&earlier);
                whole += measures;
            }
        }
        self.segment(captured, segment, head, whole);
    }

    fn segment(
        &mut self,
        captured: &Captured<'_>,
        segment: &CapturedSegment<'_>,
        head: Head,
        whole: Measures,
    ) {
        let rules = self.rules();
        let number = segment.number;
        let ends = segment
            .connection
            .map(|connection| (connection.client, connection.server));
        if let (Some(ends), Some(Entry::Undecided(_)) | None) =
            (ends, self.connections.get(&number))
        {
            self.decide(number, ends, rules);
        }
        match self.connections.get_mut(&number) {
            Some(Entry::Mqtt(_)) if segment.carried.copy => {
                self.account.copies += whole;
                self.account.foreign += whole;
            }
            Some(Entry::Mqtt(books)) => {
                if let Some(connection) = segment.connection {
                    books.learn(connection);
                }
                books.segment(captured, segment, head, rules);
            }
            entry if segment.is_decided => {
                if entry.is_some()
                    && let Some(entry) = self.connections.remove(&number)
                {
                    self.close(entry);
                }
                self.account.foreign += whole;
            }
            _ => self.hold(captured, segment, head, whole),
        }
    }

    /// Keeps a segment until it is clear what its connection is.
    fn hold(
        &mut self,
        captured: &Captured<'_>,
        segment: &CapturedSegment<'_>,
        head: Head,
        whole: Measures,
    ) {
        let entry = self
            .connections
            .entry(segment.number)
            .or_insert_with(|| Entry::Undecided(Vec::new()));
        let Entry::Undecided(held) = entry else {
            return;
        };
        if held.len() >= limits::UNDECIDED_SEGMENTS {
            self.account.foreign += held.remove(0).whole;
        }
        held.push(Held {
            captured: Captured {
                segment: None,
                ..*captured
            },
            segment: CapturedSegment {
                connection: None,
                fragments: &[],
                ..*segment
            },
            head,
            whole,
        });
    }

    /// A connection turned out to be one of those that count.
    fn decide(&mut self, number: u64, (client, server): (Endpoint, Endpoint), rules: Rules) {
        let mut books = Box::new(Books::new(number, client, server));
        if let Some(Entry::Undecided(held)) = self.connections.remove(&number) {
            for held in held {
                if held.segment.carried.copy {
                    self.account.copies += held.whole;
                    self.account.foreign += held.whole;
                } else {
                    books.segment(&held.captured, &held.segment, held.head, rules);
                }
            }
        }
        self.connections.insert(number, Entry::Mqtt(books));
    }

    fn span(&mut self, span: &Span<'_>) {
        let rules = self.rules();
        if let Some(books) = self.books(span.connection, rules) {
            books.span(span, rules);
        }
    }

    /// The books of a connection that counts.
    fn books(&mut self, connection: &Connection, rules: Rules) -> Option<&mut Books> {
        let number = connection.number;
        if !matches!(self.connections.get(&number), Some(Entry::Mqtt(_))) {
            self.decide(number, (connection.client, connection.server), rules);
        }
        match self.connections.get_mut(&number) {
            Some(Entry::Mqtt(books)) => Some(books),
            _ => None,
        }
    }

    fn frame(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let rules = self.rules();
        let mut topic = 0;
        if let ControlPacket::Publish(publish) = &frame.packet {
            topic = frame.topic.map_or(0, |topic| self.topic(topic.bytes()));
            if self.options.samples && (topic as usize) <= limits::SAMPLED_TOPICS {
                self.account.topics[topic as usize]
                    .samples
                    .offer(publish.payload, publish.payload_len);
            }
        }
        let mut messages = std::mem::take(&mut self.messages);
        if let Some(books) = self.books(frame.connection, rules) {
            let before = books.group_count();
            books.frame(fact, &mut messages, topic, rules);
            let more = books.group_count() - before;
            self.groups += more;
        }
        self.messages = messages;
    }

    fn topic(&mut self, name: &[u8]) -> u32 {
        if self.options.sums_only {
            return 0;
        }
        if let Some(&index) = self.topics.get(name) {
            return index;
        }
        let index = self.account.topics.len();
        if index > limits::ACCOUNTED_TOPICS {
            return 0;
        }
        self.account.topics.push(Topic {
            name: name.into(),
            samples: Samples::default(),
        });
        self.topics.insert(name.into(), index as u32);
        index as u32
    }

    /// Nothing comes any more of a connection.
    fn close(&mut self, entry: Entry) {
        let books = match entry {
            Entry::Mqtt(books) => books,
            Entry::Undecided(held) => {
                for held in held {
                    self.account.foreign += held.whole;
                }
                return;
            }
        };
        let mut closed = books.close(self.rules());
        let account = &mut self.account;
        let connection = &mut closed.account;
        if !self.options.wants(connection) {
            account.foreign += connection.bytes.up + connection.bytes.down;
            return;
        }
        account.layers.merge(&connection.layers);
        account.causes.merge(&connection.causes);
        account.terms.merge(&closed.terms);
        account.wakes.merge(&closed.wakes);
        account.orphans += connection.orphans;
        account.connection_count += 1;
        let doubts = &mut account.doubts;
        doubts.offloaded += closed.doubts.offloaded;
        doubts.offload_frames += closed.doubts.offload_frames;
        doubts.one_sided += closed.doubts.one_sided;
        doubts.joined += closed.doubts.joined;
        doubts.unparsed += closed.doubts.unparsed;
        doubts.forgotten += closed.doubts.forgotten;

        account.short += closed.short;
        if self.options.sums_only {
            self.groups = self.groups.saturating_sub(closed.groups.len());
            return;
        }
        let room = limits::LADDERS.saturating_sub(account.ladders.len());
        account
            .ladders
            .extend(closed.ladders.into_iter().take(room));
        let n = connection.message_count;
        let share = match n {
            0 => 0,
            n => (connection.fixed + n / 2) / n,
        };
        let id = connection.client_id.clone().unwrap_or_default();
        let clients = account.clients.len();
        let client = match account.clients.get_mut(&id) {
            Some(client) => client,
            None if clients < limits::ACCOUNTED_CONNECTIONS => {
                account.clients.entry(id).or_default()
            }
            None => account.clients.entry(Box::default()).or_default(),
        };
        for (key, books) in &closed.groups {
            client.load(&books.costs, share);
            let group = account.groups.entry(*key).or_default();
            group.costs.load(&books.costs, share);
            group.by_alias += books.by_alias;
        }
        let messages = &mut connection.messages;
        let room = limits::ACCOUNTED_MESSAGES - self.messages_kept;
        messages.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        if messages.len() as u64 == n {
            let shares = apportion(connection.fixed, &vec![1; messages.len()]);
            for (message, share) in messages.iter_mut().zip(shares) {
                message.fixed_share = share;
            }
        } else {
            for message in messages.iter_mut() {
                let more = u64::from(message.number <= connection.fixed % n.max(1));
                message.fixed_share = connection.fixed / n.max(1) + more;
            }
        }
        self.messages_kept += messages.len() as u64;
        if self.options.messages {
            account.messages_omitted += n - messages.len() as u64;
        }
        if account.connections.len() < limits::ACCOUNTED_CONNECTIONS {
            account.connections.push(closed.account);
            account.shape.connections.push(closed.traffic);
        } else {
            account.shape.omitted += 1;
            self.groups = self.groups.saturating_sub(closed.groups.len());
        }
    }
}

impl Sink for Ledger {
    fn needs(&self) -> Needs {
        Needs::PACKETS | Needs::EXCHANGES
    }

    fn fact(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Packet(captured) => self.packet(captured),
            Fact::Frame(fact) => self.frame(&fact),
            Fact::Ended(ConnectionEnd { connection, .. }) => {
                let rules = self.rules();
                if let Some(Entry::Mqtt(books)) = self.connections.get_mut(&connection.number) {
                    books.learn(connection);
                    books.finish(rules);
                }
            }
            Fact::Evicted(number) => {
                if let Some(entry) = self.connections.remove(&number) {
                    self.close(entry);
                }
            }
            Fact::Span(span) => self.span(span),
            Fact::Unfinished(_) | Fact::Event(_) | Fact::Tcp(_) | Fact::Session(_) => {}
        }
    }
}

/// A whole frame at the levels below MQTT.
fn measures_of(anatomy: &Anatomy, is_tcp: bool) -> Measures {
    Measures {
        l2: anatomy.total().into(),
        l3: anatomy.l3().into(),
        packets: 1,
        tcp: if is_tcp { anatomy.payload.into() } else { 0 },
        ..Measures::default()
    }
}

/// Frames that wait for the rest of their IP datagram.
#[derive(Debug, Default)]
struct Fragments {
    waiting: Map<PacketRef, (Head, Measures)>,
    order: VecDeque<PacketRef>,
}

impl Fragments {
    /// Keeps one; returns what was given up for it.
    fn hold(&mut self, packet: PacketRef, head: Head, whole: Measures) -> Measures {
        self.waiting.insert(packet, (head, whole));
        self.order.push_back(packet);
        let mut dropped = Measures::default();
        while self.order.len() > limits::WAITING_FRAGMENTS {
            let oldest = self.order.pop_front();
            if let Some((_, measures)) = oldest.and_then(|packet| self.waiting.remove(&packet)) {
                dropped += measures;
            }
        }
        dropped
    }
}

//! [`Ledger`]: the sink that accounts for a capture.
//!
//! ```text
//! Fact::Packet ─┐          ┌ fragments            wait for their segment
//! Fact::Span   ─┼→ Ledger ─┼ connections undecided wait until they are recognised
//! Fact::Frame  ─┤          └ ConnectionLedger ─┬ StreamLedger  labels, captured ranges, waiting frames
//! Fact::Ended  ─┘                              ├ message       exchanges and their owners
//!                                              └ charge        bytes to cause and owner ─→ Account
//! ```

mod charge;
mod connection;
mod fragments;
mod head;
mod message;
mod open;
mod stream;

use super::account::{Account, Topic};
use super::apportion;
use super::compress::Samples;
use super::level::{Level, Measures};
use super::share::Share;
use super::totals::Totals;
use super::{Map, Options};
use crate::engine::{Captured, CapturedSegment, Span};
use crate::event::ConnectionEnd;
use crate::facts::{Fact, FrameFact, Needs, Sink};
use crate::frame::Connection;
use crate::limits;
use crate::mqtt::ControlPacket;
use crate::net::Anatomy;
use charge::{Division, Portion};
use connection::ConnectionLedger;
use fragments::Fragments;
use head::Head;
pub(super) use head::HeaderBytes;
use message::Exchanges;

/// How to account.
#[derive(Clone, Copy, Debug, Default)]
struct Policy {
    level: Level,
    share: Share,
    /// Whether messages are kept individually, and the limit is not reached.
    keep: bool,
    /// Whether the limit of topics is not reached.
    room: bool,
}

/// The policy, and vectors of which one does for all connections.
#[derive(Debug, Default)]
struct Workspace {
    policy: Policy,
    /// Number of groups over all connections.
    groups: usize,
    exchanges: Exchanges,
    portions: Vec<Portion>,
    division: Division,
}

/// Accounts for a capture: a [`Sink`].
#[derive(Debug, Default)]
pub struct Ledger {
    options: Options,
    /// Connections that carry MQTT, by number.
    connections: Map<u64, Box<ConnectionLedger>>,
    /// Segments of connections whose protocol is not recognised yet.
    undecided: Map<u64, Vec<Pending>>,
    account: Account,
    fragments: Fragments,
    topics: Map<Box<[u8]>, u32>,
    messages_kept: u64,
    ws: Workspace,
}

/// A segment of a connection that is undecided.
#[derive(Debug)]
struct Pending {
    captured: Captured<'static>,
    segment: CapturedSegment<'static>,
    head: Head,
    whole: Measures,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(options: Options) -> Self {
        let account = Account {
            level: options.level,
            share: options.share,
            // Messages whose topic is unknown or not kept.
            topics: vec![Topic::default()],
            ..Account::default()
        };
        let mut ledger = Self {
            account,
            ..Self::default()
        };
        ledger.ws.policy = Policy {
            level: options.level,
            share: options.share,
            keep: options.messages,
            room: true,
        };
        ledger.options = options;
        ledger
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
        for connection in self.connections.values() {
            if self
                .options
                .wants(connection.number, connection.client_id())
            {
                totals.layers.merge(&connection.layers);
                totals.causes.merge(&connection.causes);
                totals.open += u64::from(!connection.is_finished());
            }
        }
        totals
    }

    /// The capture has ended; returns the account.
    pub fn finish(mut self) -> Account {
        let mut open: Vec<u64> = self.connections.keys().copied().collect();
        open.sort_unstable();
        for number in open {
            self.close(number);
        }
        for pending in self.undecided.values().flatten() {
            self.account.foreign += pending.whole;
        }
        self.account.foreign += self.fragments.rest();
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
        for &fragment in segment.fragments {
            if let Some((earlier, measures)) = self.fragments.take(fragment) {
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
        let number = segment.number;
        if let Some(connection) = segment.connection {
            let (ledger, ws) = self.ledger_of(connection);
            ledger.learn(connection);
            if !segment.carried.copy {
                ledger.segment(captured, segment, head, ws);
                return;
            }
        }
        match self.connections.get_mut(&number) {
            Some(_) if segment.carried.copy => {
                self.account.copies += whole;
                self.account.foreign += whole;
            }
            Some(ledger) => ledger.segment(captured, segment, head, &mut self.ws),
            None if segment.is_decided => {
                for pending in self.undecided.remove(&number).into_iter().flatten() {
                    self.account.foreign += pending.whole;
                }
                self.account.foreign += whole;
            }
            None => self.hold(captured, segment, head, whole),
        }
    }

    /// Keeps a segment until its connection is recognised.
    fn hold(
        &mut self,
        captured: &Captured<'_>,
        segment: &CapturedSegment<'_>,
        head: Head,
        whole: Measures,
    ) {
        let pending = self.undecided.entry(segment.number).or_default();
        if pending.len() >= limits::UNDECIDED_SEGMENTS {
            self.account.foreign += pending.remove(0).whole;
        }
        pending.push(Pending {
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

    /// The ledger of a connection that counts: one that carries MQTT.
    fn ledger_of(&mut self, connection: &Connection) -> (&mut ConnectionLedger, &mut Workspace) {
        let ledger = self
            .connections
            .entry(connection.number)
            .or_insert_with(|| {
                let Connection { client, server, .. } = *connection;
                let mut ledger = Box::new(ConnectionLedger::new(connection.number, client, server));
                let pending = self.undecided.remove(&connection.number);
                for pending in pending.into_iter().flatten() {
                    if pending.segment.carried.copy {
                        self.account.copies += pending.whole;
                        self.account.foreign += pending.whole;
                    } else {
                        let Pending {
                            captured, segment, ..
                        } = &pending;
                        ledger.segment(captured, segment, pending.head, &mut self.ws);
                    }
                }
                ledger
            });
        (ledger, &mut self.ws)
    }

    fn span(&mut self, span: &Span<'_>) {
        let (ledger, ws) = self.ledger_of(span.connection);
        ledger.span(span, ws);
    }

    fn frame(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let mut topic = 0;
        if let ControlPacket::Publish(publish) = &frame.packet {
            topic = frame.topic.map_or(0, |topic| self.topic(topic.bytes()));
            if self.options.samples && (topic as usize) <= limits::SAMPLED_TOPICS {
                self.account.topics[topic as usize]
                    .samples
                    .offer(publish.payload, publish.payload_len);
            }
        }
        let (ledger, ws) = self.ledger_of(frame.connection);
        ledger.frame(fact, topic, ws);
        ws.policy.room = ws.groups < limits::ACCOUNTED_GROUPS;
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

    /// The connection is over.
    fn close(&mut self, number: u64) {
        for pending in self.undecided.remove(&number).into_iter().flatten() {
            self.account.foreign += pending.whole;
        }
        let Some(ledger) = self.connections.remove(&number) else {
            return;
        };
        let mut closed = ledger.close(&mut self.ws);
        let account = &mut self.account;
        let connection = &mut closed.account;
        if !self
            .options
            .wants(connection.number, connection.client_id.as_deref())
        {
            account.foreign += connection.bytes.up + connection.bytes.down;
            self.ws.groups = self.ws.groups.saturating_sub(closed.groups.len());
            return;
        }
        account.layers.merge(&connection.layers);
        account.causes.merge(&connection.causes);
        account.terms.merge(&closed.terms);
        account.wakes.merge(&closed.wakes);
        account.orphans += connection.orphans;
        account.connection_count += 1;
        account.doubts.add_connection(&closed.doubts);
        account.short += closed.short;
        if self.options.sums_only {
            self.ws.groups = self.ws.groups.saturating_sub(closed.groups.len());
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
        for (key, ours) in &closed.groups {
            client.load(&ours.costs, share);
            let group = account.groups.entry(*key).or_default();
            group.costs.load(&ours.costs, share);
            group.by_alias += ours.by_alias;
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
            self.ws.policy.keep = self.messages_kept < limits::ACCOUNTED_MESSAGES;
        }
        if account.connections.len() < limits::ACCOUNTED_CONNECTIONS {
            let groups = closed.groups.into_iter();
            closed.traffic.groups = groups.map(|(key, group)| (key, group.traffic)).collect();
            account.connections.push(closed.account);
            account.shape.connections.push(closed.traffic);
        } else {
            account.shape.omitted += 1;
            self.ws.groups = self.ws.groups.saturating_sub(closed.groups.len());
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
                if let Some(ledger) = self.connections.get_mut(&connection.number) {
                    ledger.learn(connection);
                    ledger.finish(&mut self.ws);
                }
            }
            Fact::Evicted(number) => self.close(number),
            Fact::Span(span) => self.span(span),
            Fact::Unfinished(_)
            | Fact::Event(_)
            | Fact::Tcp(_)
            | Fact::Segment(_)
            | Fact::Session(_) => {}
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

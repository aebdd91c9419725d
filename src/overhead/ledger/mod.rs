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
mod cost;
mod fragments;
mod head;
mod loads;
mod message;
mod open;
mod stream;
mod tally;

use super::account::{Account, Topic};
use super::apportion;
use super::compress::Samples;
use super::level::{Level, Measures};
use super::share::Share;
use super::totals::Totals;
use super::{Map, Options};
use crate::engine::{Captured, CapturedSegment, Span};
use crate::event::ConnectionEnd;
use crate::facts::by_connection::ByConnection;
use crate::facts::{Fact, FrameFact, Needs, Sink};
use crate::flow::Carried;
use crate::frame::{Connection, PerDirection};
use crate::limits;
use crate::mqtt::ControlPacket;
use crate::net::{Anatomy, Endpoint};
use crate::time::Timestamp;
use charge::{Division, Portion};
use connection::{ClosedOwn, ConnectionLedger};
use cost::Costs;
pub use cost::{Cost, Costed};
use fragments::Fragments;
use head::Head;
pub(super) use head::HeaderBytes;
use loads::GroupSums;
use message::Exchanges;
use open::OpenMessages;
use stream::Queues;
use tally::Tally;

/// How to account.
#[derive(Clone, Copy, Debug, Default)]
struct Policy {
    level: Level,
    share: Share,
    /// Whether messages are kept individually, and the limit is not reached.
    keep: bool,
    /// Whether the limit of topics is not reached.
    room: bool,
    /// Whether nothing of single messages, topics and clients is kept.
    sums_only: bool,
    /// Whether bytes of messages are reported by cause and layer.
    costs: bool,
}

/// The policy, and what all connections share.
#[derive(Debug, Default)]
struct Workspace {
    policy: Policy,
    /// Groups and costs that are kept of connections, over all of them.
    entries: usize,
    /// Counts of connections that are not kept individually.
    sums: Tally,
    /// Sums of their messages.
    groups: GroupSums,
    exchanges: Exchanges,
    open: OpenMessages,
    queues: Queues,
    portions: Vec<Portion>,
    division: Division,
    /// Costs of messages and connections that are closed.
    costs: Costs,
    /// The next frame is not selected.
    unselected: bool,
}

/// Accounts for a capture: a [`Sink`].
#[derive(Debug, Default)]
pub struct Ledger {
    options: Options,
    /// Connections that carry MQTT, by number.
    connections: ByConnection<Box<ConnectionLedger>>,
    /// Segments of connections whose protocol is not recognised yet.
    undecided: Map<u64, Box<Undecided>>,
    account: Account,
    fragments: Fragments,
    topics: Map<Box<[u8]>, u32>,
    messages_kept: u64,
    /// Connections that are kept individually, and are not closed.
    kept_open: usize,
    /// Memory is short: what comes from now on is only summed up, as beyond the limits.
    is_full: bool,
    ws: Workspace,
}

/// A segment, as far as the ledger of its connection needs it.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    time: Timestamp,
    anatomy: Anatomy,
    carried: Carried,
    src: Endpoint,
}

/// A connection that is undecided.
#[derive(Debug, Default)]
struct Undecided {
    segments: Vec<Pending>,
    /// Client and server of one that counts although nothing has answered its SYN: as
    /// [`CapturedSegment::expected`].
    expected: Option<PerDirection<Endpoint>>,
}

/// A segment of a connection that is undecided.
#[derive(Debug)]
struct Pending {
    segment: Arrived,
    /// The headers and bytes of all frames of a fragmented one.
    fragments: Option<Box<(Head, Measures)>>,
}

impl Pending {
    fn head(&self) -> Head {
        let whole = || Head::new(&self.segment.anatomy);
        self.fragments.as_ref().map_or_else(whole, |parts| parts.0)
    }

    fn measures(&self) -> Measures {
        let whole = || measures_of(&self.segment.anatomy, true);
        self.fragments.as_ref().map_or_else(whole, |parts| parts.1)
    }
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
            keep: options.messages > 0,
            room: true,
            sums_only: options.sums_only,
            costs: options.costs,
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
        totals.layers.merge(&self.ws.sums.layers);
        totals.causes.merge(&self.ws.sums.causes);
        for connection in self.connections.iter() {
            if self
                .options
                .wants(connection.number, connection.client_id())
            {
                if let Some(own) = &connection.own {
                    totals.layers.merge(&own.tally.layers);
                    totals.causes.merge(&own.tally.causes);
                }
                totals.open += u64::from(!connection.is_finished());
            }
        }
        totals
    }

    /// The capture has ended; returns the account.
    pub fn finish(mut self) -> Account {
        self.close_all(|_| {});
        self.account.foreign += self.fragments.rest();
        self.ws.sums.enter(&mut self.account);
        if !self.options.sums_only {
            for (key, sums) in &self.ws.groups {
                self.account.groups.entry(*key).or_default().charge(sums);
            }
        }
        self.account
            .connections
            .sort_by_key(|connection| connection.number);
        self.account
    }

    /// Takes the costs of messages and connections that are closed, with
    /// [`Options::costs`].
    pub fn drain_costs(&mut self, each: impl FnMut(Cost<'_>)) {
        self.ws.costs.drain(each);
    }

    /// Sets whether the frames that follow are selected, for [`Costed::is_selected`].
    /// Without a call, they are.
    pub fn select(&mut self, selected: bool) {
        self.ws.unselected = !selected;
    }

    /// The capture has ended: closes all connections, and calls `closed` after each.
    pub fn close_all(&mut self, mut closed: impl FnMut(&mut Self)) {
        let undecided = self.undecided.keys().copied();
        let open = self.connections.numbers().into_iter();
        let mut open: Vec<u64> = open.chain(undecided).collect();
        open.sort_unstable();
        for number in open {
            self.close(number);
            closed(self);
        }
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
        let arrived = Arrived {
            time: captured.time,
            anatomy: captured.anatomy,
            carried: segment.carried,
            src: segment.src,
        };
        for &fragment in segment.fragments {
            if let Some((earlier, measures)) = self.fragments.take(fragment) {
                head.add(&earlier);
                whole += measures;
            }
        }
        self.segment(&arrived, segment, head, whole);
    }

    fn segment(
        &mut self,
        arrived: &Arrived,
        segment: &CapturedSegment<'_>,
        head: Head,
        whole: Measures,
    ) {
        let number = segment.number;
        if let Some(connection) = segment.connection {
            let (ledger, ws) = self.ledger_of(connection);
            ledger.learn(connection);
            if !segment.carried.copy {
                ledger.segment(arrived, head, ws);
                return;
            }
        }
        match self.connections.get_mut(number) {
            Some(_) if segment.carried.copy => {
                self.account.copies += whole;
                self.account.foreign += whole;
            }
            Some(ledger) => ledger.segment(arrived, head, &mut self.ws),
            None if segment.is_decided => {
                self.disown(number);
                self.account.foreign += whole;
            }
            None => self.hold(arrived, segment, head, whole),
        }
    }

    /// Segments of a connection that is not MQTT.
    fn disown(&mut self, number: u64) {
        let undecided = self.undecided.remove(&number).unwrap_or_default();
        for pending in undecided.segments {
            self.account.foreign += pending.measures();
        }
    }

    /// Keeps a segment until its connection is recognised.
    fn hold(
        &mut self,
        arrived: &Arrived,
        segment: &CapturedSegment<'_>,
        head: Head,
        whole: Measures,
    ) {
        let undecided = self.undecided.entry(segment.number).or_default();
        undecided.expected = segment.expected;
        let pending = &mut undecided.segments;
        if pending.len() >= limits::UNDECIDED_SEGMENTS {
            self.account.foreign += pending.remove(0).measures();
        }
        // Most have a single one: a SYN without an answer.
        if pending.is_empty() {
            pending.reserve_exact(1);
        }
        pending.push(Pending {
            segment: *arrived,
            fragments: (!segment.fragments.is_empty()).then(|| Box::new((head, whole))),
        });
    }

    /// The ledger of a connection that counts: one that carries MQTT.
    fn ledger_of(&mut self, connection: &Connection) -> (&mut ConnectionLedger, &mut Workspace) {
        let ends = PerDirection {
            up: connection.client,
            down: connection.server,
        };
        self.ledger_between(connection.number, ends)
    }

    fn ledger_between(
        &mut self,
        number: u64,
        ends: PerDirection<Endpoint>,
    ) -> (&mut ConnectionLedger, &mut Workspace) {
        let ledger = self.connections.get_or_insert_with(number, || {
            // With a selection by client all are kept, until it is known whose they are.
            let n = self.account.connections.len() + self.kept_open;
            let has_room = !self.is_full && n < limits::ACCOUNTED_CONNECTIONS;
            let is_kept = self.options.selects() || !self.options.sums_only && has_room;
            self.kept_open += usize::from(is_kept);
            let mut ledger = Box::new(ConnectionLedger::new(number, ends, is_kept));
            let undecided = self.undecided.remove(&number).unwrap_or_default();
            for pending in undecided.segments {
                if pending.segment.carried.copy {
                    self.account.copies += pending.measures();
                    self.account.foreign += pending.measures();
                } else {
                    ledger.segment(&pending.segment, pending.head(), &mut self.ws);
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
        let room = ws.entries < limits::ACCOUNTED_GROUPS;
        self.ws.policy.room = room && !self.is_full;
    }

    fn topic(&mut self, name: &[u8]) -> u32 {
        if self.options.sums_only {
            return 0;
        }
        if let Some(&index) = self.topics.get(name) {
            return index;
        }
        let index = self.account.topics.len();
        if self.is_full || index > limits::ACCOUNTED_TOPICS {
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
        match self.undecided.get(&number).and_then(|it| it.expected) {
            Some(ends) => {
                self.ledger_between(number, ends);
            }
            None => self.disown(number),
        }
        let Some(ledger) = self.connections.remove(number) else {
            return;
        };
        let closed = ledger.close(&mut self.ws);
        let n = closed.message_count;
        let share = match n {
            0 => 0,
            n => (closed.fixed + n / 2) / n,
        };
        let id = || closed.client_id.clone().unwrap_or_default();
        match closed.own {
            Some(own) => {
                self.kept_open -= 1;
                self.close_own(*own, share);
            }
            None => {
                self.account.connection_count += 1;
                self.ws.entries = self.ws.entries.saturating_sub(closed.loads.len());
                if !self.options.sums_only {
                    closed.loads.enter(id(), share, &mut self.account);
                    self.account.shape.omitted += 1;
                    self.account.messages_omitted += match self.options.messages {
                        0 => 0,
                        _ => n,
                    };
                }
            }
        }
    }

    /// The end of a connection that is kept individually.
    fn close_own(&mut self, mut closed: ClosedOwn, share: u64) {
        let account = &mut self.account;
        let connection = &mut closed.account;
        let forgotten = self.ws.entries.saturating_sub(closed.groups.len());
        if !self
            .options
            .wants(connection.number, connection.client_id.as_deref())
        {
            account.foreign += connection.bytes.up + connection.bytes.down;
            self.ws.entries = forgotten;
            return;
        }
        closed.tally.enter(account);
        account.connection_count += 1;
        if self.options.sums_only {
            self.ws.entries = forgotten;
            return;
        }
        let room = limits::LADDERS.saturating_sub(account.ladders.len());
        account
            .ladders
            .extend(closed.ladders.into_iter().take(room));
        let n = connection.message_count;
        let client = account.client(connection.client_id.clone().unwrap_or_default());
        for ours in closed.groups.values() {
            client.charge(&ours.sums);
            client.load(&ours.marginal, share);
        }
        for (key, ours) in &closed.groups {
            let group = account.groups.entry(*key).or_default();
            group.charge(&ours.sums);
            group.costs.load(&ours.marginal, share);
        }
        let messages = &mut connection.messages;
        let room = match self.is_full {
            true => 0,
            false => self.options.messages.saturating_sub(self.messages_kept),
        };
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
        if self.options.messages > 0 {
            account.messages_omitted += n - messages.len() as u64;
            self.ws.policy.keep = !self.is_full && self.messages_kept < self.options.messages;
        }
        if account.connections.len() < limits::ACCOUNTED_CONNECTIONS {
            let groups = closed.groups.into_iter();
            closed.traffic.groups = groups.map(|(key, group)| (key, group.traffic)).collect();
            account.connections.push(closed.account);
            account.shape.connections.push(closed.traffic);
        } else {
            account.shape.omitted += 1;
            self.ws.entries = forgotten;
        }
    }
}

impl Sink for Ledger {
    fn needs(&self) -> Needs {
        Needs::PACKETS | Needs::EXCHANGES | Needs::TOPICS.when(self.options.costs)
    }

    fn fact(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Packet(captured) => self.packet(captured),
            Fact::Frame(fact) => self.frame(&fact),
            Fact::Ended(ConnectionEnd { connection, .. }) => {
                if let Some(ledger) = self.connections.get_mut(connection.number) {
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

    fn make_room(&mut self) -> bool {
        (self.ws.policy.keep, self.ws.policy.room) = (false, false);
        !std::mem::replace(&mut self.is_full, true)
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

//! Connections: client, messages, end and its cause, latency.
//!
//! ```text
//! Fact ─→ Sessions ─┬ tcp         TCP signals: SYN, FIN, RST, acknowledgements
//!                   ├ evidence    facts about a connection when it ends
//!                   ├ servers     connections to the same server
//!                   ├ close       the verdict
//!                   ├ latency     response times
//!                   └ record      the result, one per connection ─→ report
//! ```
//! [`Sessions`] is a [`Sink`]. A connection is judged two seconds after its end,
//! because the verdict depends on what the server does to its other connections
//! meanwhile. The result is a [`Record`], which a report takes with
//! [`Sessions::take_finished`]. State is limited by [`crate::limits`]; evicted
//! records are counted.

mod cause;
mod close;
mod deliveries;
mod equal;
mod evidence;
mod ladder;
mod latency;
mod mark;
mod open;
mod publication;
mod reconnects;
mod record;
mod servers;
mod stall;
mod tcp;
mod topics;
mod words;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use crate::engine::{Segment, Tcp};
use crate::event::{Event, EventKind};
use crate::facts::{ConnectionFacts, Fact, FrameFact, Needs, Reason, SessionFact, Sink};
use crate::flow::{Carried, TcpFact};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::limits;
use crate::mqtt::ControlPacket;
use crate::net::{Endpoint, TcpFlags};
use crate::packet::PacketRef;
use crate::rules::{Finding, Judge, Part};
use crate::time::Timestamp;

use evidence::Takeover;
use open::{Open, mark};
use servers::Servers;

pub use cause::{By, Cause, Certainty, Close};
pub use deliveries::Deliveries;
pub use ladder::{Ladder, LadderOptions, Participant, Rung, Shown};
pub use latency::{Distribution, Latency};
pub use mark::Mark;
pub use publication::{Delivery, Match, Peer, Publication, Settled, Unpublished, Unseen};
pub use reconnects::{ClientDelays, Growth, Herd, Loop, Reconnects};
pub use record::{Record, Subscription, Will, WillState};
pub use stall::{Stall, StallCause};
pub use topics::{TopicCount, Topics};

/// Delay between the end of a connection and its verdict.
const SETTLE: Duration = Duration::from_secs(2);

/// Follows the connections of one capture.
#[derive(Debug)]
pub struct Sessions {
    judge: Judge,
    open: HashMap<u64, Box<Open>, foldhash::fast::FixedState>,
    /// Connections of which nothing but one SYN was captured, and that SYN: there may be
    /// a million of them.
    syns: HashMap<u64, Mark, foldhash::fast::FixedState>,
    /// Connections that were judged, until the flow table evicts them: late packets
    /// are ignored.
    judged: HashSet<u64, foldhash::fast::FixedState>,
    /// Closed connections that are not judged yet, in the order of their ends.
    over: VecDeque<(Timestamp, u64)>,
    servers: Servers,
    /// Connections with a will that is not delivered yet, by its topic.
    wills: HashMap<Box<[u8]>, Vec<u64>>,
    /// The wills of connections that were judged: a server may deliver them later, to a
    /// client that was away.
    left: HashMap<u64, LeftWill>,
    finished: BTreeMap<u64, Box<Record>>,
    /// How many of them to keep.
    most_finished: usize,
    findings: Vec<Finding>,
    evicted: u64,
    topics: Topics,
    keep: Keep,
    now: Timestamp,
}

/// The will of a connection that was judged.
#[derive(Debug)]
struct LeftWill {
    server: Endpoint,
    payload: Box<[u8]>,
    delivered: bool,
}

/// Optional details of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// How many of the last control packets, gaps and ends to keep for each
    /// connection: [`Record::last`].
    pub last: usize,
    /// Keep findings, not only their number: [`Record::findings`].
    pub findings: bool,
    /// Keep all findings, also those of no connection: [`Sessions::take_findings`].
    pub all_findings: bool,
    /// Keep acknowledgement times by topic: [`Topics::latencies`].
    pub latencies: bool,
}

impl Sessions {
    /// Starts without connections; `judge` applies the rules, whose findings are counted.
    pub fn new(judge: Judge) -> Self {
        Self::keeping(judge, Keep::default())
    }

    /// Like [`Self::new`], with optional details.
    pub fn keeping(judge: Judge, keep: Keep) -> Self {
        let topics = Topics::default();
        Self {
            judge,
            open: HashMap::default(),
            syns: HashMap::default(),
            judged: HashSet::default(),
            over: VecDeque::new(),
            servers: Servers::default(),
            wills: HashMap::new(),
            left: HashMap::new(),
            finished: BTreeMap::new(),
            most_finished: limits::SESSION_RECORDS,
            findings: Vec::new(),
            evicted: 0,
            topics: match keep.latencies {
                true => topics.with_latencies(),
                false => topics,
            },
            keep,
            now: Timestamp::MIN,
        }
    }

    /// Keeps up to this number of records until they are taken, instead of
    /// [`limits::SESSION_RECORDS`]; beyond that, the oldest are evicted.
    #[must_use]
    pub fn up_to(self, records: usize) -> Self {
        Self {
            most_finished: records,
            ..self
        }
    }

    /// Takes the records of judged connections, in the order of their numbers.
    pub fn take_finished(&mut self) -> Vec<Box<Record>> {
        std::mem::take(&mut self.finished).into_values().collect()
    }

    /// Whether [`Self::take_finished`] has records.
    pub fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// What is read are shards of a capture, without the others: see
    /// [`Judge::only_part`].
    pub fn only_part(&mut self, part: Part) {
        self.judge.only_part(part);
    }

    /// Takes the findings on closed connections, with [`Keep::all_findings`].
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Number of records evicted because the table was full.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Messages by topic.
    pub const fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Takes a fact of a packet before `from`: it counts, but findings that it gives do
    /// not.
    pub fn context(&mut self, fact: Fact<'_>, from: Timestamp) {
        self.judge.earlier(fact, from);
        self.follow(fact);
    }

    fn follow(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Frame(fact) => self.frame(&fact),
            Fact::Event(event) => self.event(event),
            Fact::Segment(segment) => self.segment(segment),
            Fact::Tcp(tcp) => self.tcp(tcp),
            Fact::Evicted(number) => {
                self.judged.remove(&number);
                self.syns.remove(&number);
            }
            Fact::Session(SessionFact::Closed(facts)) => self.closed(facts),
            _ => {}
        }
    }

    /// State of a connection; `None` once it is judged.
    fn open(
        &mut self,
        connection: &Connection,
        now: Timestamp,
        packet: PacketRef,
    ) -> Option<&mut Open> {
        match self.open.entry(connection.number) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(_) if self.judged.contains(&connection.number) => None,
            Entry::Vacant(new) => {
                let syn = self.syns.remove(&connection.number);
                let at = syn.unwrap_or(Mark { packet, time: now });
                let mut open = Box::new(Open::new(connection, at.time, at.packet));
                if let Some(syn) = syn {
                    open.evidence.trail.segment(tcp::TcpSegment::syn(syn));
                }
                Some(new.insert(open))
            }
        }
    }

    /// Whether it is the first SYN of a connection, of which no more has to be kept yet.
    fn is_first_syn(&self, segment: &Segment<'_>) -> bool {
        let Carried { flags, len, .. } = segment.carried;
        let number = segment.connection.number;
        flags.has(TcpFlags::SYN)
            && !flags.has(TcpFlags::ACK)
            && len == 0
            && segment.from == Direction::Up
            && !self.open.contains_key(&number)
            && !self.syns.contains_key(&number)
            && !self.judged.contains(&number)
    }

    fn segment(&mut self, segment: &Segment<'_>) {
        let Segment {
            connection,
            from,
            carried,
            packet,
            time,
        } = *segment;
        self.advance(time);
        let at = Mark { packet, time };
        if self.is_first_syn(segment) {
            self.syns.insert(connection.number, at);
            return;
        }
        let Some(open) = self.open(connection, time, packet) else {
            return;
        };
        let gap = time.since(open.last);
        let stall = open.evidence.trail.segment(tcp::TcpSegment {
            at,
            from,
            offset: carried.offset,
            len: carried.len,
            acked: carried.acked,
            flags: carried.flags,
        });
        open.last = open.last.max(time);
        if carried.len > 0 {
            open.longest_idle = open.longest_idle.max(gap);
        }
        if let Some(stall) = stall {
            open.stalls.add(stall);
        }
    }

    /// Records zero windows and other events of the flow table.
    fn tcp(&mut self, tcp: &Tcp<'_>) {
        let at = Mark {
            packet: tcp.packet,
            time: tcp.time,
        };
        let Some(open) = self.open.get_mut(&tcp.connection.number) else {
            return;
        };
        let trail = &mut open.evidence.trail;
        match tcp.fact {
            TcpFact::ZeroWindow => trail.window_closed(tcp.from, at),
            TcpFact::WindowOpened => {
                if let Some(stall) = trail.window_opened(tcp.from, at) {
                    open.stalls.add(stall);
                }
            }
            TcpFact::Reset(reset) => trail.ttl(at, reset.ttl, reset.usual_ttl),
            _ => {}
        }
    }

    fn frame(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let number = frame.connection.number;
        self.advance(frame.time);
        self.topics.frame(fact);
        let last = self.keep.last;
        let Some(open) = self.open(frame.connection, frame.time, frame.first) else {
            return;
        };
        open.frame(fact);
        if last > 0 {
            open.keep_last(Rung::of(fact, 0), last);
        }
        if open.evidence.frames == 1 {
            self.servers
                .open(frame.connection.server, number, frame.time);
        }
        match &frame.packet {
            ControlPacket::Connect(connect) if frame.direction == Direction::Up => {
                if let Some(id) = connect.client_id.filter(|id| !id.bytes().is_empty()) {
                    self.connects(frame, id.bytes());
                }
            }
            ControlPacket::Connack(connack) if frame.direction == Direction::Down => {
                self.accepts(frame, connack.code);
            }
            ControlPacket::Publish(_) if frame.direction == Direction::Down => {
                self.is_will(frame);
            }
            _ => {}
        }
    }

    /// Finds the connection that a CONNECT with this identifier replaces.
    fn connects(&mut self, frame: &MQTTFrame<'_>, id: &[u8]) {
        let connection = frame.connection;
        let before = self
            .servers
            .connect(connection.server, id, connection.number);
        if let Some(before) = before
            && let Some(older) = self.open.get_mut(&before)
        {
            older.evidence.takeover.get_or_insert(Takeover {
                connection: connection.number,
                client: connection.client,
                connect: mark(frame),
                accepted: false,
            });
            if let Some(open) = self.open.get_mut(&connection.number) {
                open.replaces = Some(before);
            }
        }
        if let Some(open) = self.open.get(&connection.number)
            && let Some(will) = &open.will
            && self.wills.len() < limits::PUBLICATIONS
        {
            let owners = self.wills.entry(will.topic.clone()).or_default();
            owners.push(connection.number);
        }
    }

    fn accepts(&mut self, frame: &MQTTFrame<'_>, code: Option<u8>) {
        let number = frame.connection.number;
        let Some(open) = self.open.get(&number) else {
            return;
        };
        if code == Some(0)
            && let Some(before) = open.replaces
            && let Some(older) = self.open.get_mut(&before)
            && let Some(takeover) = &mut older.evidence.takeover
            && takeover.connection == number
        {
            takeover.accepted = true;
        }
    }

    /// Records that a delivery is the will of a client.
    fn is_will(&mut self, frame: &MQTTFrame<'_>) {
        if self.wills.is_empty() {
            return;
        }
        let (ControlPacket::Publish(publish), Some(topic)) = (&frame.packet, frame.topic) else {
            return;
        };
        let Some(owners) = self.wills.get(topic.bytes()) else {
            return;
        };
        let equals = |server: Endpoint, payload: &[u8]| {
            server == frame.connection.server
                && publish.payload_len == u32::try_from(payload.len()).ok()
                && payload.starts_with(publish.payload)
        };
        for owner in owners {
            if let Some(open) = self.open.get_mut(owner)
                && equals(open.connection.server, &open.will_payload)
            {
                open.will_published = Some(mark(frame));
            } else if let Some(left) = self.left.get_mut(owner)
                && !std::mem::replace(&mut left.delivered, equals(left.server, &left.payload))
                && left.delivered
                && let Some(record) = self.finished.get_mut(owner)
                && let Some(will) = &mut record.will
            {
                will.state = WillState::Published(frame.last);
            }
        }
    }

    /// A connection with a will was judged: the will stays, if it is owed.
    fn leave_will(&mut self, number: u64, will: &Will, left: LeftWill) {
        let is_owed = will.state == WillState::Owed;
        if is_owed && self.left.len() < limits::PUBLICATIONS {
            self.left.insert(number, left);
        } else if let Some(owners) = self.wills.get_mut(&will.topic) {
            owners.retain(|owner| *owner != number);
            if owners.is_empty() {
                self.wills.remove(&will.topic);
            }
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        if !matches!(event.kind, EventKind::Dropped { .. }) {
            self.advance(event.time);
        }
        let Some(connection) = event.connection else {
            if matches!(event.kind, EventKind::Dropped { .. }) {
                for open in self.open.values_mut() {
                    open.evidence.taint(None, Reason::Dropped);
                }
            }
            return;
        };
        let last = self.keep.last;
        let Some(open) = self.open(connection, event.time, event.packet) else {
            return;
        };
        open.event(event);
        if last > 0
            && let Some(rung) = Rung::of_event(event, 0)
        {
            open.keep_last(rung, last);
        }
    }

    /// The connection is over, and the rules have judged it.
    fn closed(&mut self, facts: &ConnectionFacts) {
        let findings = match self.judge.has_finished() {
            true => self.judge.take_finished(),
            false => Vec::new(),
        };
        for finding in findings {
            if self.keep.all_findings {
                self.findings.push(finding.clone());
            }
            if let Some(number) = finding.connection
                && let Some(open) = self.open.get_mut(&number)
            {
                open.finding(&finding);
                if self.keep.findings {
                    open.findings.push(finding);
                }
            }
        }
        let number = facts.number;
        let Some(open) = self.open.get_mut(&number) else {
            return;
        };
        if open.evidence.is_only_opened() {
            // No other connection can explain it.
            return self.judge_one(number);
        }
        let (at, by) = open.end();
        let server = open.connection.server;
        self.servers
            .close(server, open.connection.client_id.as_deref(), number, at, by);
        self.over.push_back((self.now, number));
    }

    fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some(&(since, number)) = self.over.front()
            && self.now.since(since) >= SETTLE
        {
            self.over.pop_front();
            self.judge_one(number);
        }
    }

    /// Judges what is over, although packets of it may still come.
    pub fn judge_all(&mut self) {
        for (_, number) in std::mem::take(&mut self.over) {
            self.judge_one(number);
        }
    }

    /// A connection becomes a record.
    fn judge_one(&mut self, number: u64) {
        let Some(mut open) = self.open.remove(&number) else {
            return;
        };
        self.judged.insert(number);
        let left = LeftWill {
            server: open.connection.server,
            payload: std::mem::take(&mut open.will_payload),
            delivered: false,
        };
        let (at, by) = open.end();
        if by == Some(Direction::Down) {
            open.evidence.stop = self.servers.stop(open.connection.server, at);
        }
        open.evidence.until = self.now;
        if self.finished.len() >= self.most_finished {
            self.evicted += 1;
            self.finished.pop_first();
        }
        let record = Box::new(open.into_record());
        if let Some(will) = &record.will {
            self.leave_will(number, will, left);
        }
        self.finished.insert(number, record);
    }
}

impl Sink for Sessions {
    fn needs(&self) -> Needs {
        self.judge.needs() | Needs::EXCHANGES | Needs::SEGMENTS | Needs::SESSION_UIDS
    }

    fn fact(&mut self, fact: Fact<'_>) {
        self.judge.fact(fact);
        self.follow(fact);
    }

    fn tick(&mut self, now: Timestamp) {
        self.judge.tick(now);
        self.advance(now);
    }

    /// Judges what is over, although packets of it may still come, and evicts the oldest
    /// records.
    fn make_room(&mut self) -> bool {
        self.judge_all();
        let share = self.finished.len().div_ceil(16);
        for _ in 0..share {
            self.finished.pop_first();
        }
        self.evicted += share as u64;
        share > 0
    }

    fn finish(&mut self) {
        self.judge.finish();
        if self.keep.all_findings {
            self.findings.append(&mut self.judge.take_finished());
        }
        self.judge_all();
    }
}

/// The packets of a verdict by their numbers.
pub fn numbers(packets: &[PacketRef]) -> Vec<u64> {
    packets.iter().map(|packet| packet.number).collect()
}

//! The books of one MQTT connection: each frame waits until it is known what
//! its bytes are, and is then posted.
//!
//! ```text
//! segment ─→ layers, what is new of it ──┐ waits for
//! bare ACK ─→ what it newly acknowledges ┤ the labels
//! control packet ─→ label ───────────────┴─→ pieces ─→ cause, owner, share
//! ```

mod head;
mod lane;
mod message;
mod post;

pub(super) use head::Head;

use super::Map;
use super::account::{ConnectionAccount, Costs, Doubts, GroupKey, Ladder, Terms};
use super::carriage::Carriage;
use super::cause::{Cause, Causes, Mechanism, Purpose};
use super::label::{Label, is_of_exchange};
use super::layer::{Layer, Layers};
use super::level::Level;
use super::share::Share;
use super::traffic;
use super::wake::Wakes;
use crate::engine::{Captured, CapturedSegment, Span};
use crate::facts::FrameFact;
use crate::flow::Carried;
use crate::frame::{Connection, Direction, PerDirection};
use crate::limits;
use crate::net::{Endpoint, TcpFlags};
use lane::{Fresh, Kind, Lane, Progress, Waiting};
pub(super) use message::Messages;
use message::Open;
use post::Piece;

/// The shortest Ethernet frame, without check sequence.
const SHORTEST: u64 = 60;

/// How to keep the books.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    pub(super) level: Level,
    pub(super) share: Share,
    /// Whether messages are to be kept one by one.
    pub(super) keep: bool,
    /// Whether there is room for more topics.
    pub(super) room: bool,
}

/// The books of one connection.
#[derive(Debug)]
pub(super) struct Books {
    account: ConnectionAccount,
    terms: Terms,
    wakes: Wakes,
    lanes: PerDirection<Lane>,
    open: Vec<Option<Open>>,
    free: Vec<u32>,
    groups: Map<GroupKey, GroupBooks>,
    traffic: traffic::ConnectionTraffic,
    doubts: Doubts,
    ladders: Vec<Ladder>,
    /// Of the frame that is being posted; kept for its room.
    pieces: Vec<Piece>,
    /// Frames shorter than Ethernet's shortest lack so many bytes.
    short: u64,
    /// Nothing that waits can get a label any more.
    finished: bool,
    is_from_start: bool,
}

#[derive(Debug, Default)]
pub(super) struct GroupBooks {
    pub(super) costs: Costs,
    pub(super) by_alias: u64,
}

/// What is left when the books are closed.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) account: ConnectionAccount,
    pub(super) terms: Terms,
    pub(super) wakes: Wakes,
    pub(super) groups: Map<GroupKey, GroupBooks>,
    pub(super) traffic: traffic::ConnectionTraffic,
    pub(super) doubts: Doubts,
    pub(super) ladders: Vec<Ladder>,
    pub(super) short: u64,
}

impl Books {
    pub(super) fn new(number: u64, client: Endpoint, server: Endpoint) -> Self {
        Self {
            account: ConnectionAccount {
                number,
                client,
                server,
                client_id: None,
                version: None,
                frames: PerDirection::default(),
                bytes: PerDirection::default(),
                layers: Layers::default(),
                causes: Causes::default(),
                fixed: 0,
                message_count: 0,
                orphans: 0,
                messages: Vec::new(),
            },
            terms: Terms::default(),
            wakes: Wakes::default(),
            lanes: Default::default(),
            open: Vec::new(),
            free: Vec::new(),
            groups: Map::default(),
            traffic: traffic::ConnectionTraffic::new(),
            doubts: Default::default(),
            ladders: Vec::new(),
            pieces: Vec::new(),
            short: 0,
            finished: false,
            is_from_start: false,
        }
    }

    /// Learns what the connection turned out to be.
    pub(super) fn learn(&mut self, connection: &Connection) {
        if self.account.client_id.is_none() {
            self.account.client_id = connection.client_id.clone();
        }
        self.account.version = connection.version.or(self.account.version);
    }

    /// A segment, with the frames that carried it.
    pub(super) fn segment(
        &mut self,
        captured: &Captured<'_>,
        segment: &CapturedSegment<'_>,
        mut head: Head,
        rules: Rules,
    ) {
        let carried = segment.carried;
        let direction = match segment.src == self.account.client {
            true => Direction::Up,
            false => Direction::Down,
        };
        let (me, peer) = (direction, direction.reversed());
        head.settle_fragments(carried.len.into());
        self.count_frame(direction, captured, &carried, &head, rules);

        let has = |flag| carried.flags.has(flag);
        let next = self.lanes[me].seen.end().unwrap_or(0);
        let to = carried.offset + i64::from(carried.len);
        // Data on a RST is a message about the reset (RFC 1122, 4.2.2.12).
        let in_stream = !has(TcpFlags::RST);
        let fresh = match in_stream {
            true => self.lanes[me].seen.insert(carried.offset, to),
            false => Vec::new(),
        };
        self.lanes[me].syn |= has(TcpFlags::SYN);
        self.is_from_start |= has(TcpFlags::SYN);
        if has(TcpFlags::FIN) {
            self.lanes[me].fin.get_or_insert(to);
        }
        let progress = match carried.acked {
            Some(acked) => self.lanes[peer].acknowledge(acked),
            None => Progress::Unknown,
        };
        let waiting = |kind, from, to, head| Waiting {
            kind,
            direction,
            from,
            to,
            head,
            time: captured.time,
        };

        let is_control = [TcpFlags::SYN, TcpFlags::FIN, TcpFlags::RST]
            .into_iter()
            .any(has);
        let control = |purpose| Cause(purpose, Mechanism::TcpCtl);
        let is_old = carried.len <= 1 && fresh.is_empty() && carried.offset + 1 == next;
        if is_old && !is_control && !progress.is_new() {
            // A probe (RFC 9293, 3.8.4): its sender asks whether the peer lives.
            self.lanes[me].probed = true;
            let cause = control(Purpose::Keepalive);
            self.post_whole(direction, cause, &head, carried.offset, rules);
        } else if head.payload > 0 && in_stream {
            let to = carried.offset + head.payload as i64;
            let kind = Kind::Data(Fresh::new(fresh, carried.offset, to));
            self.wait(me, waiting(kind, carried.offset, to, head), rules);
        } else if head.payload > 0 {
            let unknown = Cause(Purpose::Unknown, Mechanism::Packet);
            self.count(Layer::Unparsed, head.payload, rules);
            self.post_all(direction, unknown, &head, rules);
        } else if let (Progress::Bytes { from, to }, false) = (progress, is_control) {
            self.wait(peer, waiting(Kind::Ack, from, to, head), rules);
        } else {
            let cause = match progress {
                _ if has(TcpFlags::SYN) => control(Purpose::Setup),
                _ if is_control => control(Purpose::Teardown),
                Progress::Syn => control(Purpose::Setup),
                Progress::Fin => control(Purpose::Teardown),
                Progress::None if std::mem::take(&mut self.lanes[peer].probed) => {
                    control(Purpose::Keepalive)
                }
                Progress::None => Cause(Purpose::Recovery, Mechanism::DupAck),
                Progress::Bytes { .. } | Progress::Unknown => {
                    Cause(Purpose::Unknown, Mechanism::Ack)
                }
            };
            self.post_all(direction, cause, &head, rules);
        }
    }

    /// What does not depend on what the payload is.
    fn count_frame(
        &mut self,
        direction: Direction,
        captured: &Captured<'_>,
        carried: &Carried,
        head: &Head,
        rules: Rules,
    ) {
        let (me, peer) = (direction, direction.reversed());
        let measures = head.measures();
        self.wakes.packet(captured.time);
        self.account.frames[me] += measures.packets;
        self.short += SHORTEST.saturating_sub(measures.l2 + head.payload);
        for (layer, bytes) in head.layers {
            self.count(layer, bytes, rules);
        }
        let is_syn = carried.flags.has(TcpFlags::SYN);
        self.traffic.segment(direction, is_syn, &measures, captured);
        self.lanes[me].mss = captured.anatomy.mss.or(self.lanes[me].mss);
        if let Some(mss) = self.lanes[peer].mss.filter(|&mss| mss > 0)
            && carried.len > u32::from(mss)
        {
            let room = u32::from(mss).saturating_sub(captured.anatomy.tcp_options);
            self.doubts.offloaded += 1;
            let more = u64::from(carried.len.div_ceil(room.max(1))) - 1;
            self.doubts.offload_frames += more;
            self.traffic.joined_segments[me] += more;
        }
    }

    /// A control packet: what its bytes are, and whose.
    pub(super) fn frame(
        &mut self,
        fact: &FrameFact<'_>,
        messages: &mut Messages,
        topic: u32,
        rules: Rules,
    ) {
        let frame = fact.frame;
        self.learn(frame.connection);
        let owner = match is_of_exchange(frame.header.packet_type()) {
            true => self.owner(fact, messages, topic, rules),
            false => None,
        };
        self.traffic.frame(frame);
        if let Some(open) = owner.and_then(|owner| self.open[owner.slot as usize].as_mut()) {
            open.labels += 1;
            open.is_incomplete &= !owner.is_some_and(|owner| owner.completes);
        }
        let lane = frame.direction;
        let slot = owner.map(|owner| owner.slot);
        let label = Label::of(frame, slot);
        match self.lanes[lane].carriage.take() {
            None => self.lanes[lane].labels.push(label),
            Some(mut carriage) => {
                carriage.packet(label, rules.share, &mut |label| self.label(lane, label));
                self.put_back(lane, carriage, rules);
            }
        }
        self.settle(lane, rules);
        self.prune(lane, rules);
    }

    /// What a stretch of a stream with layers below MQTT is.
    pub(super) fn span(&mut self, span: &Span<'_>, rules: Rules) {
        let lane = span.direction;
        let mut carriage = self.lanes[lane].carriage.take().unwrap_or_default();
        carriage.span(span.range, span.kind, rules.share, &mut |label| {
            self.label(lane, label);
        });
        self.put_back(lane, carriage, rules);
        self.settle(lane, rules);
        self.prune(lane, rules);
    }

    /// A label of what carries MQTT, or of a part of a control packet.
    fn label(&mut self, lane: Direction, label: Label) {
        if let Some(slot) = label.owner
            && let Some(open) = self.open[slot as usize].as_mut()
        {
            open.labels += 1;
        }
        if label.packet.is_some() {
            let carriers = label.parts.iter().filter(|(layer, _)| layer.is_carrier());
            let bytes: u32 = carriers.map(|(_, bytes)| bytes).sum();
            self.traffic.carriers[lane] += u64::from(bytes);
        }
        self.lanes[lane].labels.push(label);
    }

    fn put_back(&mut self, lane: Direction, mut carriage: Box<Carriage>, rules: Rules) {
        for owner in carriage.take_released() {
            self.unname(owner, rules);
        }
        self.lanes[lane].carriage = Some(carriage);
    }

    /// What was posted so far.
    pub(super) fn so_far(&self) -> &ConnectionAccount {
        &self.account
    }

    /// Topics with QoS and direction that are told apart.
    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Has a frame wait, or posts it if its labels are there.
    fn wait(&mut self, lane: Direction, waiting: Waiting, rules: Rules) {
        if self.finished || waiting.to <= self.lanes[lane].labels.cursor {
            self.post(lane, &waiting, rules);
            return;
        }
        self.lanes[lane].waiting.push(waiting);
        if self.lanes[lane].waiting.len() > limits::WAITING_FRAMES {
            self.lanes[lane].fold();
        }
    }

    /// Posts what waits and has its labels now.
    fn settle(&mut self, lane: Direction, rules: Rules) {
        let cursor = match self.finished {
            true => i64::MAX,
            false => self.lanes[lane].labels.cursor,
        };
        if self.lanes[lane].waiting.iter().all(|w| w.to > cursor) {
            return;
        }
        let all = std::mem::take(&mut self.lanes[lane].waiting);
        let (ready, waiting): (Vec<_>, Vec<_>) = all.into_iter().partition(|w| w.to <= cursor);
        self.lanes[lane].waiting = waiting;
        for frame in ready {
            self.post(lane, &frame, rules);
        }
    }

    /// Forgets labels and closes the books of messages that nothing names any
    /// more.
    fn prune(&mut self, lane: Direction, rules: Rules) {
        let here = &mut self.lanes[lane];
        let waiting = here.waiting.iter().map(|w| w.from).min();
        let needed = here.acked.unwrap_or(0).min(waiting.unwrap_or(i64::MAX));
        let mut owners = Vec::new();
        here.labels.prune(needed, |owner| owners.push(owner));
        for owner in owners {
            self.unname(owner, rules);
        }
    }

    /// The connection is over, as far as its streams go: what waits gets no
    /// label any more. Stragglers may still come.
    pub(super) fn finish(&mut self, rules: Rules) {
        if !self.finished {
            for lane in Direction::ALL {
                if let Some(mut carriage) = self.lanes[lane].carriage.take() {
                    carriage.finish(rules.share, &mut |label| self.label(lane, label));
                    self.put_back(lane, carriage, rules);
                }
            }
            self.finished = true;
            self.settle(Direction::Up, rules);
            self.settle(Direction::Down, rules);
        }
    }

    /// Whether the connection is over, as far as its streams go.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Nothing comes any more.
    pub(super) fn close(mut self, rules: Rules) -> Closed {
        self.finish(rules);
        for lane in Direction::ALL {
            self.lanes[lane].labels.take();
        }
        for slot in 0..self.open.len() {
            self.retire(slot as u32, rules);
        }
        let frames = self.account.frames;
        self.doubts.one_sided = u64::from(frames.up == 0 || frames.down == 0);
        self.doubts.joined = u64::from(!self.is_from_start);
        let account = &mut self.account;
        account
            .messages
            .sort_unstable_by_key(|message| message.number);
        self.traffic.close(account, self.terms, self.is_from_start);
        Closed {
            account: self.account,
            terms: self.terms,
            wakes: self.wakes,
            groups: self.groups,
            traffic: self.traffic,
            doubts: self.doubts,
            ladders: self.ladders,
            short: self.short,
        }
    }
}

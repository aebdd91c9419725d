//! The books of one MQTT connection: each frame waits until it is known what
//! its bytes are, and is then posted.
//!
//! ```text
//! segment ─→ layers, what is new of it ──┐ waits for
//! bare ACK ─→ what it newly acknowledges ┤ the labels
//! control packet ─→ label ───────────────┴─→ pieces ─→ cause, owner, share
//! ```

use std::collections::HashMap;

use super::account::{
    ConnectionAccount, Costs, GroupKey, Ladder, Message, MessageCauses, Step, Term, Terms,
};
use super::cause::{Cause, Causes, Mechanism, Purpose};
use super::label::{Label, Labels, is_of_exchange};
use super::layer::{Layer, Layers};
use super::level::{Level, Measures};
use super::ranges::{Ranges, overlap};
use super::share::{Share, parts};
use super::traffic;
use super::wake::Wakes;
use crate::engine::{Captured, CapturedSegment};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::limits;
use crate::mqtt::ControlPacket;
use crate::mqtt::PacketType;
use crate::net::{Anatomy, Endpoint, TcpFlags};
use crate::time::Timestamp;

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

/// The headers of frames, and what they carry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    layers: [(Layer, u64); 8],
    frames: u64,
    /// Bytes of payload that the frames have.
    payload: u64,
}

impl Head {
    pub(super) fn new(anatomy: &Anatomy) -> Self {
        Self {
            layers: [
                (Layer::LinkHeader, anatomy.link.into()),
                (Layer::LinkVlan, anatomy.vlan.into()),
                (Layer::LinkTrailer, anatomy.trailer.into()),
                (Layer::Tunnel, anatomy.tunnel.into()),
                (Layer::IpHeader, anatomy.ip.into()),
                (Layer::IpOptions, anatomy.ip_options.into()),
                (Layer::TcpHeader, anatomy.tcp.into()),
                (Layer::TcpOptions, anatomy.tcp_options.into()),
            ],
            frames: 1,
            payload: anatomy.payload.into(),
        }
    }

    /// Adds another frame's headers, or a fragment's.
    pub(super) fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.layers.iter_mut().zip(other.layers) {
            ours.0 = theirs.0;
            ours.1 += theirs.1;
        }
        self.frames += other.frames;
        self.payload += other.payload;
    }

    /// What fragments hold beyond the segment that was joined from them: the
    /// headers of a tunnel that was fragmented, and bytes that came twice.
    fn settle_fragments(&mut self, segment: u64) {
        let more = self.payload.saturating_sub(segment);
        self.payload -= more;
        self.layers[3] = (Layer::Tunnel, self.layers[3].1 + more);
    }

    /// The headers at every level.
    fn measures(&self) -> Measures {
        let mut measures = Measures {
            packets: self.frames,
            ..Measures::default()
        };
        for (layer, bytes) in self.layers {
            measures.l2 += bytes;
            measures.l3 += if layer.is_ip() { bytes } else { 0 };
        }
        measures
    }
}

/// A frame that waits for the labels of a stream.
#[derive(Debug)]
struct Waiting {
    kind: Kind,
    /// Which way it went.
    direction: Direction,
    /// The stretch of the stream that it carries, or acknowledges.
    from: i64,
    to: i64,
    head: Head,
    time: Timestamp,
}

#[derive(Debug)]
enum Kind {
    /// Payload; which parts of it are new.
    Data(Fresh),
    /// An acknowledgement of these bytes.
    Ack,
}

#[derive(Debug)]
enum Fresh {
    All,
    Nothing,
    Some(Vec<(i64, i64)>),
}

/// One direction's stream.
#[derive(Debug, Default)]
struct Lane {
    labels: Labels,
    seen: Ranges,
    /// Whether the SYN was seen.
    syn: bool,
    /// Up to where the peer has acknowledged; −1 before the SYN is.
    acked: Option<i64>,
    /// Where the stream ends, once a FIN was seen.
    fin: Option<i64>,
    /// Frames that carry or acknowledge this stream and wait for its labels.
    waiting: Vec<Waiting>,
    /// The sender probed the connection; the peer's answer is still to come.
    probed: bool,
    /// The largest segment that the sender offers to take.
    mss: Option<u16>,
}

/// A message whose books are still open.
#[derive(Debug)]
struct Open {
    message: Message,
    shape: traffic::Shape,
    frames: traffic::Frames,
    /// Its frames, of the first few messages.
    steps: Option<Vec<Step>>,
    /// Labels that still name it.
    labels: u32,
    /// Its exchange is not complete.
    is_incomplete: bool,
}

/// The message that a control packet belongs to.
#[derive(Clone, Copy, Debug)]
struct Owner {
    slot: u32,
    /// Whether the packet completes its exchange.
    completes: bool,
}

/// Messages of a connection whose frames are noted one by one, and how many.
const LADDERS: u64 = 8;
const LADDER_STEPS: usize = 40;

/// The books of one connection.
#[derive(Debug)]
pub(super) struct Books {
    account: ConnectionAccount,
    terms: Terms,
    wakes: Wakes,
    lanes: [Lane; 2],
    open: Vec<Option<Open>>,
    free: Vec<u32>,
    /// Incomplete exchanges by the direction and identifier of their PUBLISH.
    exchanges: HashMap<(Direction, u16), (u32, u8)>,
    groups: HashMap<GroupKey, GroupBooks>,
    traffic: traffic::ConnectionTraffic,
    doubts: super::account::Doubts,
    ladders: Vec<Ladder>,
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
    pub(super) groups: HashMap<GroupKey, GroupBooks>,
    pub(super) traffic: traffic::ConnectionTraffic,
    pub(super) doubts: super::account::Doubts,
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
                frames: [0; 2],
                bytes: [Measures::default(); 2],
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
            exchanges: HashMap::new(),
            groups: HashMap::new(),
            traffic: traffic::ConnectionTraffic::new(),
            doubts: Default::default(),
            ladders: Vec::new(),
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
        let direction = if segment.src == self.account.client {
            Direction::Up
        } else {
            Direction::Down
        };
        let (me, peer) = (direction as usize, direction.reversed() as usize);
        head.settle_fragments(carried.len.into());
        self.wakes.packet(captured.time);
        self.account.frames[me] += head.frames;
        self.short += SHORTEST.saturating_sub(head.measures().l2 + head.payload);
        for (layer, bytes) in head.layers {
            self.count(layer, bytes, rules);
        }
        let flags = carried.flags;
        let has = |flag| flags.has(flag);
        let is_control = has(TcpFlags::SYN) || has(TcpFlags::FIN) || has(TcpFlags::RST);
        self.traffic
            .segment(direction, has(TcpFlags::SYN), &head.measures(), captured);

        self.lanes[me].mss = captured.anatomy.mss.or(self.lanes[me].mss);
        if let Some(mss) = self.lanes[peer].mss.filter(|&mss| mss > 0)
            && carried.len > u32::from(mss)
        {
            let room = u32::from(mss)
                .saturating_sub(captured.anatomy.tcp_options)
                .max(1);
            self.doubts.offloaded += 1;
            self.doubts.offload_frames += u64::from(carried.len.div_ceil(room)) - 1;
        }

        let next = self.lanes[me].seen.end().unwrap_or(0);
        let to = carried.offset + i64::from(carried.len);
        let charged = carried.offset + head.payload as i64;
        // Data on a RST is a message about the reset (RFC 1122, 4.2.2.12).
        let in_stream = !has(TcpFlags::RST);
        let fresh = match carried.len {
            0 => Vec::new(),
            _ if in_stream => self.lanes[me].seen.insert(carried.offset, to),
            _ => vec![(carried.offset, to)],
        };
        if has(TcpFlags::SYN) {
            self.lanes[me].syn = true;
            self.is_from_start = true;
        }
        if has(TcpFlags::FIN) {
            self.lanes[me].fin.get_or_insert(to);
        }
        let progress = carried.acked.map(|acked| self.acknowledge(peer, acked));

        let control = |purpose| Cause(purpose, Mechanism::TcpCtl);
        let is_probe = carried.len <= 1
            && !is_control
            && carried.offset + 1 == next
            && fresh.is_empty()
            && !progress.is_some_and(|progress| progress.is_new());
        if is_probe {
            self.lanes[me].probed = true;
            self.post_whole(
                direction,
                control(Purpose::Keepalive),
                &head,
                carried.offset,
                rules,
            );
            return;
        }
        if head.payload > 0 {
            let fresh = match &fresh[..] {
                [] => Fresh::Nothing,
                [(from, until)] if *from <= carried.offset && *until >= charged => Fresh::All,
                _ => Fresh::Some(fresh),
            };
            let waiting = Waiting {
                kind: Kind::Data(fresh),
                direction,
                from: carried.offset,
                to: charged,
                head,
                time: captured.time,
            };
            match in_stream {
                true => self.wait(me, waiting, rules),
                false => {
                    let unknown = Cause(Purpose::Unknown, Mechanism::Packet);
                    self.count(Layer::Unparsed, head.payload, rules);
                    self.post_all(direction, unknown, &head, rules);
                }
            }
            return;
        }
        let cause = if has(TcpFlags::SYN) {
            control(Purpose::Setup)
        } else if has(TcpFlags::FIN) || has(TcpFlags::RST) {
            control(Purpose::Teardown)
        } else {
            match progress {
                Some(Progress::Syn) => control(Purpose::Setup),
                Some(Progress::Fin) => control(Purpose::Teardown),
                Some(Progress::Bytes { from, to }) => {
                    let waiting = Waiting {
                        kind: Kind::Ack,
                        direction,
                        from,
                        to,
                        head,
                        time: captured.time,
                    };
                    self.wait(peer, waiting, rules);
                    return;
                }
                Some(Progress::None) if std::mem::take(&mut self.lanes[peer].probed) => {
                    control(Purpose::Keepalive)
                }
                Some(Progress::None) => Cause(Purpose::Recovery, Mechanism::DupAck),
                Some(Progress::Unknown) | None => Cause(Purpose::Unknown, Mechanism::Ack),
            }
        };
        self.post_all(direction, cause, &head, rules);
    }

    /// The peer of lane `me` has acknowledged its stream up to an offset.
    fn acknowledge(&mut self, me: usize, acked: i64) -> Progress {
        let lane = &mut self.lanes[me];
        let seen = lane.seen.start();
        let before = match (lane.acked, lane.syn) {
            (Some(before), _) => before,
            (None, true) => -1,
            // Joined in the middle: what came before is not known.
            (None, false) => match seen {
                Some(start) if start < acked => start,
                _ => {
                    lane.acked = Some(acked);
                    return Progress::Unknown;
                }
            },
        };
        if acked <= before {
            return Progress::None;
        }
        lane.acked = Some(acked);
        let last = lane.fin.map_or(acked, |fin| fin.min(acked));
        let first = before.max(0);
        if acked <= 0 {
            Progress::Syn
        } else if first < last {
            Progress::Bytes {
                from: first,
                to: last,
            }
        } else {
            Progress::Fin
        }
    }

    /// A control packet: what its bytes are, and whose.
    pub(super) fn frame(&mut self, frame: &MQTTFrame<'_>, topic: u32, rules: Rules) {
        self.learn(frame.connection);
        let owner = match is_of_exchange(frame.header.packet_type()) {
            true => self.owner(frame, topic, rules),
            false => None,
        };
        self.traffic.frame(frame);
        if let Some(open) = owner.and_then(|owner| self.open[owner.slot as usize].as_mut()) {
            open.labels += 1;
            open.is_incomplete &= !owner.is_some_and(|owner| owner.completes);
        }
        let lane = frame.direction as usize;
        let slot = owner.map(|owner| owner.slot);
        self.lanes[lane].labels.push(Label::of(frame, slot));
        self.settle(lane, rules);
        self.prune(lane, rules);
    }

    /// Topics with QoS and direction that are told apart.
    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The message that a packet of an exchange belongs to.
    fn owner(&mut self, frame: &MQTTFrame<'_>, topic: u32, rules: Rules) -> Option<Owner> {
        let direction = frame.direction;
        let answered = direction.reversed();
        let failed = |code: Option<u8>| code.is_some_and(|code| code >= 0x80);
        match &frame.packet {
            ControlPacket::Publish(publish) => {
                let key = publish.packet_id.map(|id| (direction, id));
                if let Some(key) = key.filter(|_| frame.header.dup())
                    && let Some(&(slot, _)) = self.exchanges.get(&key)
                {
                    return Some(Owner {
                        slot,
                        completes: false,
                    });
                }
                let slot = self.begin(frame, publish, topic);
                if let Some(key) = key
                    && let Some((old, _)) = self.exchanges.insert(key, (slot, frame.header.qos()))
                {
                    self.complete(old, rules);
                }
                Some(Owner {
                    slot,
                    completes: key.is_none(),
                })
            }
            ControlPacket::Puback(ack) | ControlPacket::Pubcomp(ack) => {
                self.answer((answered, ack.packet_id?), true)
            }
            ControlPacket::Pubrec(ack) => self.answer((answered, ack.packet_id?), failed(ack.code)),
            ControlPacket::Pubrel(ack) => self.answer((direction, ack.packet_id?), false),
            _ => None,
        }
    }

    fn answer(&mut self, key: (Direction, u16), completes: bool) -> Option<Owner> {
        let Some(&(slot, _)) = self.exchanges.get(&key) else {
            self.account.orphans += 1;
            return None;
        };
        if completes {
            self.exchanges.remove(&key);
        }
        Some(Owner { slot, completes })
    }

    /// Its exchange is over; its bytes may still come again.
    fn complete(&mut self, slot: u32, rules: Rules) {
        if let Some(open) = &mut self.open[slot as usize] {
            open.is_incomplete = false;
            if open.labels == 0 {
                self.retire(slot, rules);
            }
        }
    }

    /// Only the first messages of the first connections have ladders.
    fn has_ladder(&self) -> bool {
        self.account.message_count <= LADDERS && self.account.number <= limits::LADDERS as u64
    }

    fn begin(
        &mut self,
        frame: &MQTTFrame<'_>,
        publish: &crate::mqtt::packet::Publish<'_>,
        topic: u32,
    ) -> u32 {
        self.account.message_count += 1;
        let open = Open {
            message: Message {
                number: self.account.message_count,
                completed_by: frame.last,
                time: frame.time,
                direction: frame.direction,
                qos: frame.header.qos(),
                topic,
                by_alias: publish.topic.is_some_and(|t| t.bytes().is_empty())
                    && publish.topic_alias.is_some(),
                payload: publish.payload_len,
                packet: frame.header.packet_len() as u32,
                bytes: [0; 2],
                causes: MessageCauses::default(),
                fixed_share: 0,
            },
            shape: traffic::Shape::of(frame, publish),
            frames: traffic::Frames::default(),
            steps: self.has_ladder().then(Vec::new),
            labels: 0,
            is_incomplete: true,
        };
        match self.free.pop() {
            Some(slot) => {
                self.open[slot as usize] = Some(open);
                slot
            }
            None => {
                self.open.push(Some(open));
                (self.open.len() - 1) as u32
            }
        }
    }

    /// Has a frame wait, or posts it if its labels are there.
    fn wait(&mut self, lane: usize, waiting: Waiting, rules: Rules) {
        if self.finished || waiting.to <= self.lanes[lane].labels.cursor {
            self.post(lane, &waiting, rules);
            return;
        }
        self.lanes[lane].waiting.push(waiting);
        if self.lanes[lane].waiting.len() > limits::WAITING_FRAMES {
            self.fold(lane);
        }
    }

    /// Makes many waiting frames few. Those that lie within a single control
    /// packet, as all but the first must that follow each other without one
    /// having ended, are posted alike: their headers add up.
    fn fold(&mut self, lane: usize) {
        let lane = &mut self.lanes[lane];
        lane.waiting
            .sort_by_key(|w| (matches!(w.kind, Kind::Ack), w.from));
        let mut folded: Vec<Waiting> = Vec::new();
        for waiting in lane.waiting.drain(..) {
            if let Some(last) = folded.last_mut()
                && last.from >= lane.labels.cursor
                && last.to == waiting.from
                && last.direction == waiting.direction
                && matches!(
                    (&last.kind, &waiting.kind),
                    (Kind::Data(Fresh::All), Kind::Data(Fresh::All)) | (Kind::Ack, Kind::Ack)
                )
            {
                last.to = waiting.to;
                last.head.add(&waiting.head);
            } else {
                folded.push(waiting);
            }
        }
        lane.waiting = folded;
        if lane.waiting.len() > limits::WAITING_FRAMES / 2 {
            // Holes all over the place: what comes later has no label.
            lane.labels.cursor = lane.waiting[lane.waiting.len() / 2].to;
        }
    }

    /// Posts what waits and has its labels now.
    fn settle(&mut self, lane: usize, rules: Rules) {
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
    fn prune(&mut self, lane: usize, rules: Rules) {
        let here = &mut self.lanes[lane];
        let waiting = here.waiting.iter().map(|w| w.from).min();
        let needed = here.acked.unwrap_or(0).min(waiting.unwrap_or(i64::MAX));
        let mut owners = Vec::new();
        here.labels.prune(needed, |owner| owners.push(owner));
        for owner in owners {
            self.unname(owner, rules);
        }
    }

    fn unname(&mut self, slot: u32, rules: Rules) {
        let Some(open) = &mut self.open[slot as usize] else {
            return;
        };
        open.labels -= 1;
        if open.labels == 0 && !open.is_incomplete {
            self.retire(slot, rules);
        }
    }

    /// Closes the books of a message.
    fn retire(&mut self, slot: u32, rules: Rules) {
        let Some(open) = self.open[slot as usize].take() else {
            return;
        };
        self.free.push(slot);
        let message = open.message;
        let mut key = GroupKey {
            topic: message.topic,
            qos: message.qos,
            direction: message.direction,
        };
        if !rules.room && !self.groups.contains_key(&key) {
            key.topic = 0;
        }
        let group = self.groups.entry(key).or_default();
        group.costs.add(&message);
        group.by_alias += u64::from(message.by_alias);
        self.traffic
            .message(key, open.shape, &open.frames, message.time);
        if let Some(mut steps) = open.steps {
            steps.sort_by_key(|step| step.time);
            self.ladders.push(Ladder {
                key,
                connection: self.account.number,
                message: message.number,
                marginal: message.marginal(),
                steps,
            });
        }
        if rules.keep {
            self.account.messages.push(message);
        }
    }

    /// Divides a frame among those whose bytes it carries or acknowledges.
    fn post(&mut self, lane: usize, frame: &Waiting, rules: Rules) {
        let pieces = match &frame.kind {
            Kind::Data(fresh) => self.carried(lane, frame, fresh, rules),
            Kind::Ack => self.acknowledged(lane, frame),
        };
        let weights = match frame.kind {
            Kind::Data(_) => {
                let weight = |piece: &Piece| (piece.bytes(), piece.ends);
                rules.share.weights(pieces.iter().map(weight))
            }
            Kind::Ack => pieces.iter().map(Piece::bytes).collect(),
        };
        let head = frame.head.measures();
        let (l2, l3) = (parts(head.l2, &weights), parts(head.l3, &weights));
        let packets = parts(head.packets, &weights);
        for (i, piece) in pieces.iter().enumerate() {
            let head = Measures {
                l2: l2[i],
                l3: l3[i],
                packets: packets[i],
                ..Measures::default()
            };
            self.post_piece(frame, piece, head, rules);
        }
    }

    fn post_piece(&mut self, frame: &Waiting, piece: &Piece, head: Measures, rules: Rules) {
        let mut post = |mechanism, measures| {
            let cause = Cause(piece.purpose, mechanism);
            self.step(frame, piece, cause, &measures, rules);
            self.book(frame.direction, cause, piece.owner, measures, rules);
        };
        if let Kind::Ack = frame.kind {
            post(Mechanism::Ack, head);
            return;
        }
        if piece.old.l2 == 0 {
            post(Mechanism::Packet, head + piece.new);
        } else if piece.new.l2 == 0 {
            post(Mechanism::Retx, head + piece.old);
        } else {
            let weights = [piece.new.l2, piece.old.l2];
            let (l2, l3) = (parts(head.l2, &weights), parts(head.l3, &weights));
            let packets = parts(head.packets, &weights);
            let part = |i: usize| Measures {
                l2: l2[i],
                l3: l3[i],
                packets: packets[i],
                ..Measures::default()
            };
            post(Mechanism::Packet, part(0) + piece.new);
            post(Mechanism::Retx, part(1) + piece.old);
        }
    }

    /// The control packets whose bytes a frame carries.
    fn carried(&mut self, lane: usize, frame: &Waiting, fresh: &Fresh, rules: Rules) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut layers = Layers::default();
        for stretch in self.lanes[lane].labels.stretches(frame.from, frame.to) {
            let (from, to) = (stretch.from, stretch.to);
            let total = (to - from) as u64;
            let new = match fresh {
                Fresh::All => total,
                Fresh::Nothing => 0,
                Fresh::Some(ranges) => overlap(ranges, from, to),
            };
            let mut mqtt = 0;
            let mut app = 0;
            match stretch.label {
                Some(label) => label.layers(from, to, |layer, bytes| {
                    layers.add(layer, bytes);
                    mqtt += if layer.is_mqtt() { bytes } else { 0 };
                    app += if layer == Layer::App { bytes } else { 0 };
                }),
                None => layers.add(Layer::Unparsed, total),
            }
            let part = |bytes: u64| Measures {
                l2: bytes,
                l3: bytes,
                packets: 0,
                tcp: bytes,
                mqtt: (mqtt * bytes).checked_div(total).unwrap_or(0),
                app: (app * bytes).checked_div(total).unwrap_or(0),
            };
            let (new, mut old) = (part(new), part(total - new));
            old.mqtt = mqtt - new.mqtt;
            old.app = app - new.app;
            pieces.push(Piece {
                packet_type: stretch.label.map(|l| l.packet_type),
                purpose: stretch.label.map_or(Purpose::Unknown, |l| l.purpose),
                owner: stretch.label.and_then(|l| l.owner),
                ends: stretch.label.is_some_and(|l| l.end == to),
                new,
                old,
            });
            if stretch.label.is_none() {
                self.doubts.unparsed += new.l2;
                self.doubts.forgotten += old.l2;
            }
        }
        for (layer, bytes) in layers.iter() {
            self.count(layer, bytes, rules);
        }
        pieces
    }

    /// The control packets whose bytes a frame acknowledges, and those bytes
    /// that were not seen.
    fn acknowledged(&self, lane: usize, frame: &Waiting) -> Vec<Piece> {
        let lane = &self.lanes[lane];
        let mut pieces = Vec::new();
        let mut push = |bytes: u64, label: Option<&Label>| {
            if bytes > 0 {
                pieces.push(Piece {
                    packet_type: label.map(|l| l.packet_type),
                    purpose: label.map_or(Purpose::Unknown, |l| l.purpose),
                    owner: label.and_then(|l| l.owner),
                    ends: false,
                    new: Measures {
                        l2: bytes,
                        ..Measures::default()
                    },
                    old: Measures::default(),
                });
            }
        };
        for stretch in lane.labels.stretches(frame.from, frame.to) {
            let seen = lane.seen.within(stretch.from, stretch.to);
            push(seen, stretch.label);
            push((stretch.to - stretch.from) as u64 - seen, None);
        }
        pieces
    }

    /// Posts a frame of the connection's own, whose payload (of a probe) has
    /// labels.
    fn post_whole(
        &mut self,
        direction: Direction,
        cause: Cause,
        head: &Head,
        offset: i64,
        rules: Rules,
    ) {
        let waiting = Waiting {
            kind: Kind::Data(Fresh::Nothing),
            direction,
            from: offset,
            to: offset + head.payload as i64,
            head: *head,
            time: Timestamp::MIN,
        };
        let carried = self.carried(direction as usize, &waiting, &Fresh::Nothing, rules);
        let payload: Measures = carried.iter().map(|piece| piece.old).sum();
        self.book(direction, cause, None, head.measures() + payload, rules);
    }

    fn post_all(&mut self, direction: Direction, cause: Cause, head: &Head, rules: Rules) {
        let payload = Measures {
            l2: head.payload,
            l3: head.payload,
            tcp: head.payload,
            ..Measures::default()
        };
        self.book(direction, cause, None, head.measures() + payload, rules);
    }

    fn count(&mut self, layer: Layer, bytes: u64, rules: Rules) {
        if rules.level.counts(layer) {
            self.account.layers.add(layer, bytes);
        }
    }

    /// Notes a frame on the ladder of its message, if that has one.
    fn step(
        &mut self,
        frame: &Waiting,
        piece: &Piece,
        cause: Cause,
        measures: &Measures,
        rules: Rules,
    ) {
        let open = piece
            .owner
            .and_then(|slot| self.open[slot as usize].as_mut());
        if let Some(open) = open
            && let Some(steps) = &mut open.steps
            && steps.len() < LADDER_STEPS
        {
            steps.push(Step {
                time: frame.time,
                direction: frame.direction,
                packet_type: piece.packet_type,
                cause,
                bytes: rules.level.of(measures),
            });
        }
    }

    /// Every byte passes here once.
    fn book(
        &mut self,
        direction: Direction,
        cause: Cause,
        owner: Option<u32>,
        measures: Measures,
        rules: Rules,
    ) {
        let bytes = rules.level.of(&measures);
        self.account.bytes[direction as usize] += measures;
        self.account.causes.add(cause, bytes);
        let open = owner.and_then(|slot| self.open[slot as usize].as_mut());
        let term = Term::of(cause, open.is_some());
        self.terms.add(term, direction, measures);
        match open {
            Some(open) => {
                open.message.bytes[direction as usize] += bytes;
                open.message.causes.add(cause, bytes);
                open.frames.add(cause, direction, measures.packets);
            }
            None => self.account.fixed += bytes,
        }
    }

    /// The connection is over, as far as its streams go: what waits gets no
    /// label any more. Stragglers may still come.
    pub(super) fn finish(&mut self, rules: Rules) {
        if !self.finished {
            self.finished = true;
            self.settle(0, rules);
            self.settle(1, rules);
        }
    }

    /// Nothing comes any more.
    pub(super) fn close(mut self, rules: Rules) -> Closed {
        self.finish(rules);
        for lane in 0..2 {
            self.lanes[lane].labels.take();
        }
        for slot in 0..self.open.len() {
            self.retire(slot as u32, rules);
        }
        let frames = self.account.frames;
        self.doubts.one_sided = u64::from(frames[0] == 0 || frames[1] == 0);
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

/// What an acknowledgement newly acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing.
    None,
    /// The SYN alone.
    Syn,
    /// Bytes, whatever else.
    Bytes { from: i64, to: i64 },
    /// The FIN alone.
    Fin,
    /// Nobody knows: the capture begins in the middle.
    Unknown,
}

impl Progress {
    fn is_new(self) -> bool {
        matches!(self, Self::Syn | Self::Bytes { .. } | Self::Fin)
    }
}

/// What one control packet (or bytes without a label) has in a frame.
#[derive(Debug)]
struct Piece {
    packet_type: Option<PacketType>,
    purpose: Purpose,
    owner: Option<u32>,
    /// Its last byte is in the frame.
    ends: bool,
    new: Measures,
    old: Measures,
}

impl Piece {
    fn bytes(&self) -> u64 {
        self.new.l2 + self.old.l2
    }
}

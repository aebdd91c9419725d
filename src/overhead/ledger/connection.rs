//! The ledger of one MQTT connection: each frame waits until its bytes are
//! labelled, and is then charged to their owners.
//!
//! ```text
//! segment ─→ layers, new bytes ──────────┐ waits for
//! bare ACK ─→ what it newly acknowledges ┤ the labels
//! control packet ─→ label ───────────────┴─→ portions ─→ cause, owner
//! ```

use super::super::Map;
use super::super::account::{Charged, ConnectionAccount};
use super::super::carriage::Carriage;
use super::super::cause::{Cause, Mechanism, Purpose};
use super::super::distribution::Distribution;
use super::super::label::{Label, is_of_exchange};
use super::super::layer::Layer;
use super::super::message::{GroupKey, Ladder, Message};
use super::super::ranges::Fresh;
use super::super::traffic::{ConnectionTraffic, GroupTraffic};
use super::cost::ByCause;
use super::head::{Head, HeaderBytes};
use super::loads::Loads;
use super::open::First;
use super::stream::{Kind, Progress, StreamLedger, Waiting};
use super::tally::Tally;
use super::{Arrived, Workspace};
use crate::engine::Span;
use crate::facts::FrameFact;
use crate::frame::{Connection, Direction, PerDirection};
use crate::identity::ConnectionId;
#[cfg(doc)]
use crate::limits;
use crate::mqtt::Version;
use crate::net::{Endpoint, TcpFlags};
use crate::time::Timestamp;

/// The shortest Ethernet frame, without check sequence.
const SHORTEST: u64 = 60;

/// The ledger of one connection.
#[derive(Debug)]
pub(super) struct ConnectionLedger {
    pub(super) number: u64,
    client: Endpoint,
    client_id: Option<Box<[u8]>>,
    /// Time of its latest packet.
    latest: Option<Timestamp>,
    /// Bytes that no message owns.
    pub(super) fixed: u64,
    /// The same by cause and layer, if they are reported.
    pub(super) fixed_cost: ByCause,
    pub(super) message_count: u64,
    pub(super) streams: PerDirection<StreamLedger>,
    /// Its messages whose account is open.
    pub(super) open: First,
    /// What is kept of it individually; without, its frames are counted in
    /// [`Workspace::sums`], and the costs of its messages in `loads`.
    pub(super) own: Option<Box<Own>>,
    pub(super) loads: Loads,
    /// Whether packets of a direction were captured.
    is_captured: PerDirection<bool>,
    /// Waiting frames will get no more labels.
    finished: bool,
    is_from_start: bool,
}

/// What is kept of one of the first [`limits::ACCOUNTED_CONNECTIONS`].
#[derive(Debug)]
pub(super) struct Own {
    server: Endpoint,
    started: Option<Timestamp>,
    version: Option<Version>,
    frames: PerDirection<u64>,
    pub(super) tally: Tally,
    pub(super) messages: Vec<Message>,
    pub(super) groups: Map<GroupKey, Box<GroupLedger>>,
    traffic: ConnectionTraffic,
    pub(super) ladders: Vec<Ladder>,
}

/// Where frames of a connection are counted.
pub(super) fn tally<'a>(own: &'a mut Option<Box<Own>>, sums: &'a mut Tally) -> &'a mut Tally {
    match own {
        Some(own) => &mut own.tally,
        None => sums,
    }
}

/// Messages of a connection alike in topic, QoS and direction.
#[derive(Debug, Default)]
pub(super) struct GroupLedger {
    pub(super) sums: Charged,
    /// Bytes that each owns.
    pub(super) marginal: Distribution,
    pub(super) traffic: GroupTraffic,
}

/// What is left of a closed connection.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) client_id: Option<Box<[u8]>>,
    pub(super) fixed: u64,
    pub(super) message_count: u64,
    pub(super) loads: Loads,
    pub(super) own: Option<Box<ClosedOwn>>,
}

/// The same of one that was kept individually.
#[derive(Debug)]
pub(super) struct ClosedOwn {
    pub(super) account: ConnectionAccount,
    pub(super) tally: Tally,
    pub(super) groups: Map<GroupKey, Box<GroupLedger>>,
    pub(super) traffic: ConnectionTraffic,
    pub(super) ladders: Vec<Ladder>,
}

impl ConnectionLedger {
    /// An empty one, of a connection that is kept individually or not.
    pub(super) fn new(number: u64, ends: PerDirection<Endpoint>, is_kept: bool) -> Self {
        Self {
            number,
            client: ends.up,
            client_id: None,
            latest: None,
            fixed: 0,
            fixed_cost: ByCause::default(),
            message_count: 0,
            streams: PerDirection::default(),
            open: First::default(),
            own: is_kept.then(|| {
                Box::new(Own {
                    server: ends.down,
                    started: None,
                    version: None,
                    frames: PerDirection::default(),
                    tally: Tally::default(),
                    messages: Vec::new(),
                    groups: Map::default(),
                    traffic: ConnectionTraffic::default(),
                    ladders: Vec::new(),
                })
            }),
            loads: Loads::default(),
            is_captured: PerDirection::default(),
            finished: false,
            is_from_start: false,
        }
    }

    /// The connection's protocol was recognised.
    pub(super) fn learn(&mut self, connection: &Connection) {
        if self.client_id.is_none() {
            self.client_id = connection.client_id.clone();
        }
        if let Some(own) = &mut self.own {
            own.version = connection.version.or(own.version);
            own.started = Some(connection.started);
        }
    }

    /// Its Client Identifier, if known.
    pub(super) fn client_id(&self) -> Option<&[u8]> {
        self.client_id.as_deref()
    }

    /// A segment, with the headers of the frames that carried it.
    pub(super) fn segment(&mut self, segment: &Arrived, mut head: Head, ws: &mut Workspace) {
        let carried = segment.carried;
        let me = match segment.src == self.client {
            true => Direction::Up,
            false => Direction::Down,
        };
        let peer = me.reversed();
        head.settle_fragments(carried.len.into());
        let header = head.bytes();
        self.count_frame(me, segment, &head, &header, ws);

        let has = |flag| carried.flags.has(flag);
        let stream = &mut self.streams[me];
        let next = stream.seen.end().unwrap_or(0);
        let to = carried.offset + i64::from(carried.len);
        // Data on a RST is a message about the reset (RFC 1122, 4.2.2.12).
        let in_stream = !has(TcpFlags::RST);
        let fresh = match in_stream {
            true => stream.seen.insert(carried.offset, to),
            false => Fresh::Nothing,
        };
        stream.syn |= has(TcpFlags::SYN);
        self.is_from_start |= has(TcpFlags::SYN);
        if has(TcpFlags::FIN) {
            stream.end_at(to);
        }
        let progress = match carried.acked {
            Some(acked) => self.streams[peer].acknowledge(acked),
            None => Progress::Unknown,
        };
        let waiting = |kind, from, to| Waiting {
            kind,
            direction: me,
            from,
            to,
            header,
            time: segment.time,
        };

        let is_control = has(TcpFlags::SYN) || has(TcpFlags::FIN) || has(TcpFlags::RST);
        let control = |purpose| Cause(purpose, Mechanism::TcpCtl);
        let is_old = carried.len <= 1 && fresh == Fresh::Nothing && carried.offset + 1 == next;
        if is_old && !is_control && !progress.is_new() {
            // A probe (RFC 9293, 3.8.4).
            self.streams[me].probed = true;
            let cause = control(Purpose::Keepalive);
            self.charge_probe(me, cause, &head, carried.offset, ws);
        } else if head.payload > 0 && in_stream {
            let to = carried.offset + head.payload as i64;
            self.wait(me, waiting(Kind::Data(fresh), carried.offset, to), ws);
        } else if head.payload > 0 {
            let unknown = Cause(Purpose::Unknown, Mechanism::Packet);
            if ws.policy.level.counts(Layer::Unparsed) {
                let tally = tally(&mut self.own, &mut ws.sums);
                tally.layers.add(Layer::Unparsed, head.payload);
            }
            self.charge_whole(me, unknown, &head, ws);
        } else if let (Progress::Bytes { from, to }, false) = (progress, is_control) {
            self.wait(peer, waiting(Kind::Ack, from, to), ws);
        } else {
            let cause = match progress {
                _ if has(TcpFlags::SYN) => control(Purpose::Setup),
                _ if is_control => control(Purpose::Teardown),
                Progress::Syn => control(Purpose::Setup),
                Progress::Fin => control(Purpose::Teardown),
                Progress::None if std::mem::take(&mut self.streams[peer].probed) => {
                    control(Purpose::Keepalive)
                }
                Progress::None => Cause(Purpose::Recovery, Mechanism::DupAck),
                Progress::Bytes { .. } | Progress::Unknown => {
                    Cause(Purpose::Unknown, Mechanism::Ack)
                }
            };
            self.charge_whole(me, cause, &head, ws);
        }
    }

    /// Counts that do not depend on labels.
    fn count_frame(
        &mut self,
        me: Direction,
        segment: &Arrived,
        head: &Head,
        header: &HeaderBytes,
        ws: &mut Workspace,
    ) {
        let Arrived {
            carried, anatomy, ..
        } = segment;
        let tally = tally(&mut self.own, &mut ws.sums);
        tally.wakes.packet(&mut self.latest, segment.time);
        tally.short += SHORTEST.saturating_sub(header.l2 + head.payload);
        for (layer, bytes) in head.layers() {
            if ws.policy.level.counts(layer) {
                tally.layers.add(layer, bytes);
            }
        }
        self.is_captured[me] = true;
        if let Some(mss) = anatomy.mss {
            self.streams[me].mss = Some(mss);
        }
        let mut joined = 0;
        if let Some(mss) = self.streams[me.reversed()].mss.filter(|&mss| mss > 0)
            && carried.len > u32::from(mss)
        {
            let room = u32::from(mss).saturating_sub(anatomy.tcp_options);
            joined = u64::from(carried.len.div_ceil(room.max(1))) - 1;
            tally.doubts.offloaded += 1;
            tally.doubts.offload_frames += joined;
        }
        if let Some(own) = &mut self.own {
            own.frames[me] += header.packets;
            let is_syn = carried.flags.has(TcpFlags::SYN);
            own.traffic.segment(me, is_syn, header, anatomy);
            own.traffic.joined_segments[me] += joined;
        }
    }

    /// A control packet: labels its range.
    pub(super) fn frame(&mut self, fact: &FrameFact<'_>, topic: u32, ws: &mut Workspace) {
        let frame = fact.frame;
        self.learn(frame.connection);
        let direction = frame.direction;
        let mut label = Label::of(frame);
        if is_of_exchange(frame.header.packet_type())
            && let Some(owner) = self.owner(fact, topic, label.properties(), ws)
        {
            let open = &mut ws.open[owner.slot];
            open.labels += 1;
            open.is_incomplete &= !owner.completes;
            label.set_owner(owner.slot);
        }
        if let Some(own) = &mut self.own {
            own.traffic.frame(frame);
        }
        match self.streams[direction].carriage.take() {
            None => self.push_label(direction, label, ws),
            Some(mut carriage) => {
                let share = ws.policy.share;
                carriage.packet(label, share, &mut |label| self.label(direction, label, ws));
                self.put_back(direction, carriage, ws);
            }
        }
        self.settle(direction, ws);
    }

    /// A range of a stream with layers below MQTT.
    pub(super) fn span(&mut self, span: &Span<'_>, ws: &mut Workspace) {
        let direction = span.direction;
        let mut carriage = self.streams[direction].carriage.take().unwrap_or_default();
        let share = ws.policy.share;
        carriage.span(span.range, span.kind, share, &mut |label| {
            self.label(direction, label, ws);
        });
        self.put_back(direction, carriage, ws);
        self.settle(direction, ws);
    }

    /// A label of a layer below MQTT, or of a part of a control packet.
    fn label(&mut self, direction: Direction, label: Label, ws: &mut Workspace) {
        if let Some(slot) = label.owner() {
            ws.open[slot].labels += 1;
        }
        if let Some(own) = &mut self.own
            && label.packet().is_some()
        {
            let carriers = label.parts.iter().filter(|(layer, _)| layer.is_carrier());
            let bytes: u64 = carriers.map(|(_, bytes)| u64::from(bytes)).sum();
            own.traffic.carriers[direction] += bytes;
        }
        self.push_label(direction, label, ws);
    }

    /// Adds a label, and drops those that are not needed any more.
    fn push_label(&mut self, direction: Direction, label: Label, ws: &mut Workspace) {
        while let Some(dropped) = self.streams[direction].prune() {
            if let Some(owner) = dropped.owner() {
                self.unname(owner, ws);
            }
        }
        self.streams[direction].labels.push(label);
    }

    fn put_back(&mut self, direction: Direction, mut carriage: Box<Carriage>, ws: &mut Workspace) {
        for owner in carriage.take_released() {
            self.unname(owner, ws);
        }
        self.streams[direction].carriage = Some(carriage);
    }

    /// Has a frame wait, or charges it if its labels are there.
    fn wait(&mut self, stream: Direction, waiting: Waiting, ws: &mut Workspace) {
        if self.finished || waiting.to <= self.streams[stream].labels.cursor {
            self.charge_frame(stream, &waiting, ws);
            return;
        }
        self.streams[stream].wait(waiting, &mut ws.queues);
        self.settle(stream, ws);
    }

    /// Charges waiting frames that are completely labelled.
    fn settle(&mut self, stream: Direction, ws: &mut Workspace) {
        loop {
            let cursor = match self.finished {
                true => i64::MAX,
                false => self.streams[stream].labels.cursor,
            };
            let Some(frame) = self.streams[stream].next_ready(cursor, &mut ws.queues) else {
                return;
            };
            self.charge_frame(stream, &frame, ws);
        }
    }

    /// The streams of the connection have ended: waiting frames get no more labels.
    /// Late packets may follow.
    pub(super) fn finish(&mut self, ws: &mut Workspace) {
        if self.finished {
            return;
        }
        for direction in Direction::ALL {
            if let Some(mut carriage) = self.streams[direction].carriage.take() {
                let share = ws.policy.share;
                carriage.finish(share, &mut |label| self.label(direction, label, ws));
                self.put_back(direction, carriage, ws);
            }
        }
        self.finished = true;
        for direction in Direction::ALL {
            self.settle(direction, ws);
            self.streams[direction].shrink();
        }
    }

    /// Whether the connection is over, as far as its streams go.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The connection is over.
    pub(super) fn close(mut self, ws: &mut Workspace) -> Closed {
        self.finish(ws);
        while let Some(slot) = self.open.slot() {
            self.retire(slot, ws);
        }
        if ws.policy.costs {
            let fixed = std::mem::take(&mut self.fixed_cost);
            ws.costs.close(self.number, None, &fixed);
        }
        let doubts = &mut tally(&mut self.own, &mut ws.sums).doubts;
        doubts.one_sided += u64::from(!self.is_captured.up || !self.is_captured.down);
        doubts.joined += u64::from(!self.is_from_start);
        let own = self.own.map(|own| {
            let Own {
                server,
                started,
                version,
                frames,
                tally,
                mut messages,
                groups,
                mut traffic,
                ladders,
            } = *own;
            messages.sort_unstable_by_key(|message| message.number);
            let client_id = self.client_id.as_deref();
            traffic.close(version, self.is_from_start, client_id, self.client);
            traffic.terms = tally.terms;
            Box::new(ClosedOwn {
                account: ConnectionAccount {
                    number: self.number,
                    id: started.map(|started| ConnectionId {
                        client: self.client,
                        server,
                        started,
                    }),
                    client: self.client,
                    server,
                    client_id: self.client_id.clone(),
                    version,
                    frames,
                    bytes: PerDirection::from_fn(|direction| tally.terms.total(direction)),
                    layers: tally.layers,
                    causes: tally.causes,
                    fixed: self.fixed,
                    message_count: self.message_count,
                    orphans: tally.orphans,
                    messages,
                },
                tally,
                groups,
                traffic,
                ladders,
            })
        });
        Closed {
            client_id: self.client_id,
            fixed: self.fixed,
            message_count: self.message_count,
            loads: self.loads,
            own,
        }
    }
}

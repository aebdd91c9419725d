//! Posting: a frame's bytes go to their cause and their owner, each once.

use super::super::account::{Step, Term};
use super::super::apportion;
use super::super::cause::{Cause, Mechanism, Purpose};
use super::super::label::{Label, Packet};
use super::super::layer::{Layer, Layers};
use super::super::level::Measures;
use super::super::ranges::overlap;
use super::head::Head;
use super::lane::{Fresh, Kind, Waiting};
use super::{Books, Rules};
use crate::frame::Direction;
use crate::time::Timestamp;

/// Frames of a message that are noted one by one.
const LADDER_STEPS: usize = 40;

/// What one control packet (or bytes without a label) has in a frame.
#[derive(Debug)]
pub(super) struct Piece {
    packet: Option<Packet>,
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

    /// Whether it is of the same control packet, or of none for the same thing.
    fn is_of_same(&self, other: &Self) -> bool {
        (self.packet, self.purpose, self.owner) == (other.packet, other.purpose, other.owner)
    }

    fn join(&mut self, other: Self) {
        self.new += other.new;
        self.old += other.old;
        self.ends |= other.ends;
    }
}

/// Another piece, which may go on with the one before.
fn add(pieces: &mut Vec<Piece>, piece: Piece) {
    match pieces.last_mut() {
        Some(last) if last.is_of_same(&piece) => last.join(piece),
        _ => pieces.push(piece),
    }
}

/// Headers divided by weights.
fn divide(head: &Measures, weights: &[u64]) -> Vec<Measures> {
    let l2 = apportion(head.l2, weights);
    let l3 = apportion(head.l3, weights);
    let packets = apportion(head.packets, weights);
    let parts = l2.into_iter().zip(l3).zip(packets);
    parts
        .map(|((l2, l3), packets)| Measures {
            l2,
            l3,
            packets,
            ..Measures::default()
        })
        .collect()
}

impl Books {
    /// Divides a frame among those whose bytes it carries or acknowledges.
    pub(super) fn post(&mut self, lane: Direction, frame: &Waiting, rules: Rules) {
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.clear();
        match &frame.kind {
            Kind::Data(fresh) => self.carried(lane, frame, fresh, rules, &mut pieces),
            Kind::Ack => self.acknowledged(lane, frame, &mut pieces),
        }
        let head = frame.head.measures();
        match &pieces[..] {
            // Nearly always: nothing is to be divided.
            [piece] => self.post_piece(frame, piece, head, rules),
            _ => {
                let weight = |piece: &Piece| (piece.bytes(), piece.ends);
                let weights = match frame.kind {
                    Kind::Data(_) => rules.share.weights(pieces.iter().map(weight)),
                    Kind::Ack => pieces.iter().map(Piece::bytes).collect(),
                };
                for (piece, head) in pieces.iter().zip(divide(&head, &weights)) {
                    self.post_piece(frame, piece, head, rules);
                }
            }
        }
        self.pieces = pieces;
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
            // In part seen before: so are its headers.
            let heads = divide(&head, &[piece.new.l2, piece.old.l2]);
            post(Mechanism::Packet, heads[0] + piece.new);
            post(Mechanism::Retx, heads[1] + piece.old);
        }
    }

    /// The control packets whose bytes a frame carries.
    fn carried(
        &mut self,
        lane: Direction,
        frame: &Waiting,
        fresh: &Fresh,
        rules: Rules,
        pieces: &mut Vec<Piece>,
    ) {
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
            let piece = Piece {
                packet: stretch.label.and_then(|l| l.packet),
                purpose: stretch.label.map_or(Purpose::Unknown, |l| l.purpose),
                owner: stretch.label.and_then(|l| l.owner),
                ends: stretch.label.is_some_and(|l| l.ends && l.end == to),
                new,
                old,
            };
            add(pieces, piece);
            if stretch.label.is_none() {
                self.doubts.unparsed += new.l2;
                self.doubts.forgotten += old.l2;
            }
        }
        for (layer, bytes) in layers.iter() {
            self.count(layer, bytes, rules);
        }
    }

    /// The control packets whose bytes a frame acknowledges, and those bytes
    /// that were not seen.
    fn acknowledged(&self, lane: Direction, frame: &Waiting, pieces: &mut Vec<Piece>) {
        let lane = &self.lanes[lane];
        let mut push = |bytes: u64, label: Option<&Label>| {
            if bytes > 0 {
                let piece = Piece {
                    packet: label.and_then(|l| l.packet),
                    purpose: label.map_or(Purpose::Unknown, |l| l.purpose),
                    owner: label.and_then(|l| l.owner),
                    ends: false,
                    new: Measures {
                        l2: bytes,
                        ..Measures::default()
                    },
                    old: Measures::default(),
                };
                add(pieces, piece);
            }
        };
        for stretch in lane.labels.stretches(frame.from, frame.to) {
            let seen = lane.seen.within(stretch.from, stretch.to);
            push(seen, stretch.label);
            push((stretch.to - stretch.from) as u64 - seen, None);
        }
    }

    /// Posts a frame of the connection's own, whose payload (of a probe) has
    /// labels.
    pub(super) fn post_whole(
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
        let mut pieces = Vec::new();
        self.carried(direction, &waiting, &Fresh::Nothing, rules, &mut pieces);
        let payload: Measures = pieces.iter().map(|piece| piece.old).sum();
        self.book(direction, cause, None, head.measures() + payload, rules);
    }

    pub(super) fn post_all(
        &mut self,
        direction: Direction,
        cause: Cause,
        head: &Head,
        rules: Rules,
    ) {
        let payload = Measures {
            l2: head.payload,
            l3: head.payload,
            tcp: head.payload,
            ..Measures::default()
        };
        self.book(direction, cause, None, head.measures() + payload, rules);
    }

    pub(super) fn count(&mut self, layer: Layer, bytes: u64, rules: Rules) {
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
                packet_type: piece.packet.map(|packet| packet.packet_type),
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
        self.account.bytes[direction] += measures;
        self.account.causes.add(cause, bytes);
        let open = owner.and_then(|slot| self.open[slot as usize].as_mut());
        let term = Term::of(cause, open.is_some());
        self.terms.add(term, direction, measures);
        match open {
            Some(open) => {
                open.message.bytes[direction] += bytes;
                open.message.causes.add(cause, bytes);
                open.frames.add(cause, direction, measures.packets);
            }
            None => self.account.fixed += bytes,
        }
    }
}

//! Charging: a frame's bytes go to their cause and their owner, each once.

use super::super::apportion::apportion_into;
use super::super::cause::{Cause, Mechanism, Purpose};
use super::super::label::{Label, Packet};
use super::super::layer::Layer;
use super::super::level::Measures;
use super::super::message::Step;
use super::super::ranges::Fresh;
use super::super::term::Term;
use super::Workspace;
use super::connection::{ConnectionLedger, tally};
use super::head::{Head, HeaderBytes, Payload};
use super::stream::{Kind, Waiting};
use super::tally::Tally;
use crate::frame::Direction;

/// The bytes of one control packet (or without a label) in a frame.
#[derive(Debug)]
pub(super) struct Portion {
    packet: Option<Packet>,
    owner: Option<u32>,
    purpose: Purpose,
    /// Its last byte is in the frame.
    ends: bool,
    new: Payload,
    old: Payload,
}

impl Portion {
    /// An empty one of a label, or of bytes without one.
    fn of(label: Option<&Label>) -> Self {
        Self {
            packet: label.and_then(Label::packet),
            owner: label.and_then(|l| l.owner()),
            purpose: label.map_or(Purpose::Unknown, |l| l.purpose),
            ends: false,
            new: Payload::default(),
            old: Payload::default(),
        }
    }

    fn bytes(&self) -> u64 {
        self.new.bytes + self.old.bytes
    }

    /// Whether it has the same control packet, or none and the same purpose.
    fn is_of_same(&self, other: &Self) -> bool {
        (self.packet, self.purpose, self.owner) == (other.packet, other.purpose, other.owner)
    }
}

/// Bytes of a frame for one cause, owned by messages or by none. Those of all
/// messages in a frame are summed up before the connection is charged.
#[derive(Clone, Copy, Debug)]
struct Charge {
    cause: Cause,
    is_owned: bool,
    measures: Measures,
}

impl Charge {
    /// Bytes that no message owns.
    fn fixed(cause: Cause, measures: Measures) -> Self {
        Self {
            cause,
            is_owned: false,
            measures,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.cause, self.is_owned) == (other.cause, other.is_owned)
    }
}

/// Another portion, which may go on with the one before.
fn add(portions: &mut Vec<Portion>, portion: Portion) {
    match portions.last_mut() {
        Some(last) if last.is_of_same(&portion) => {
            last.new.add(portion.new);
            last.old.add(portion.old);
            last.ends |= portion.ends;
        }
        _ => portions.push(portion),
    }
}

/// Headers divided by weights. Its vectors are used again.
#[derive(Debug, Default)]
pub(super) struct Division {
    weights: Vec<u64>,
    l2: Vec<u64>,
    l3: Vec<u64>,
    packets: Vec<u64>,
}

impl Division {
    fn divide(&mut self, header: &HeaderBytes) {
        apportion_into(header.l2, &self.weights, &mut self.l2);
        apportion_into(header.l3, &self.weights, &mut self.l3);
        apportion_into(header.packets, &self.weights, &mut self.packets);
    }

    fn part(&self, i: usize) -> HeaderBytes {
        HeaderBytes {
            l2: self.l2[i],
            l3: self.l3[i],
            packets: self.packets[i],
        }
    }
}

impl ConnectionLedger {
    /// Divides a frame among those whose bytes it carries or acknowledges.
    pub(super) fn charge_frame(&mut self, stream: Direction, frame: &Waiting, ws: &mut Workspace) {
        let mut portions = std::mem::take(&mut ws.portions);
        portions.clear();
        match &frame.kind {
            Kind::Data(fresh) => {
                self.carried(stream, frame.from, frame.to, fresh, ws, &mut portions);
            }
            Kind::Ack => self.acknowledged(stream, frame, &mut portions),
        }
        let mut sum = None;
        match &portions[..] {
            // The most common case: nothing to divide.
            [portion] => self.charge_portion(frame, portion, frame.header, &mut sum, ws),
            _ => {
                let mut division = std::mem::take(&mut ws.division);
                division.weights.clear();
                match frame.kind {
                    Kind::Data(_) => {
                        let weights = portions.iter().map(|p| (p.bytes(), p.ends));
                        ws.policy.share.weights(weights, &mut division.weights);
                    }
                    Kind::Ack => division.weights.extend(portions.iter().map(Portion::bytes)),
                }
                division.divide(&frame.header);
                for (i, portion) in portions.iter().enumerate() {
                    self.charge_portion(frame, portion, division.part(i), &mut sum, ws);
                }
                ws.division = division;
            }
        }
        if let Some(sum) = sum {
            self.charge(frame.direction, sum, ws);
        }
        ws.portions = portions;
    }

    fn charge_portion(
        &mut self,
        frame: &Waiting,
        portion: &Portion,
        header: HeaderBytes,
        sum: &mut Option<Charge>,
        ws: &mut Workspace,
    ) {
        let mut charge = |mechanism, measures: Measures| {
            let cause = Cause(portion.purpose, mechanism);
            let charge = Charge {
                cause,
                is_owned: portion.owner.is_some(),
                measures,
            };
            match sum {
                Some(sum) if sum.is_like(&charge) => sum.measures += measures,
                _ => {
                    if let Some(other) = sum.replace(charge) {
                        self.charge(frame.direction, other, ws);
                    }
                }
            }
            let Some(slot) = portion.owner else { return };
            let bytes = ws.policy.level.of(&measures);
            let step = Step {
                time: frame.time,
                direction: frame.direction,
                packet_type: portion.packet.map(|packet| packet.packet_type),
                cause,
                bytes,
            };
            ws.open.charge(slot, step, &measures);
        };
        let (new, old) = (portion.new, portion.old);
        if let Kind::Ack = frame.kind {
            charge(Mechanism::Ack, header.with(Payload::default()));
        } else if old.bytes == 0 {
            charge(Mechanism::Packet, header.with(new));
        } else if new.bytes == 0 {
            charge(Mechanism::Retx, header.with(old));
        } else {
            // Partly retransmitted: so are its headers.
            let mut division = Division {
                weights: vec![new.bytes, old.bytes],
                ..Division::default()
            };
            division.divide(&header);
            charge(Mechanism::Packet, division.part(0).with(new));
            charge(Mechanism::Retx, division.part(1).with(old));
        }
    }

    /// The control packets whose bytes a frame carries.
    fn carried(
        &mut self,
        stream: Direction,
        from: i64,
        to: i64,
        fresh: &Fresh,
        ws: &mut Workspace,
        portions: &mut Vec<Portion>,
    ) {
        let level = ws.policy.level;
        let Tally { layers, doubts, .. } = tally(&mut self.own, &mut ws.sums);
        let mut count = |layer, bytes| {
            if level.counts(layer) {
                layers.add(layer, bytes);
            }
        };
        for range in self.streams[stream].labels.ranges(from, to) {
            let (from, to) = (range.from, range.to);
            let total = (to - from) as u64;
            let new = fresh.within(from, to);
            let mut portion = Portion::of(range.label);
            let Some(label) = range.label else {
                count(Layer::Unparsed, total);
                portion.new.bytes = new;
                portion.old.bytes = total - new;
                doubts.unparsed += new;
                doubts.unlabelled += total - new;
                add(portions, portion);
                continue;
            };
            portion.ends = label.ends && label.end == to;
            let mut all = Payload::other(total);
            label.layers(from, to, |layer, bytes| {
                count(layer, bytes);
                all.mqtt += if layer.is_mqtt() { bytes } else { 0 };
                all.app += if layer == Layer::App { bytes } else { 0 };
            });
            (portion.new, portion.old) = match new {
                _ if new == total => (all, Payload::default()),
                0 => (Payload::default(), all),
                _ => {
                    let part = |bytes: u64| bytes * new / total;
                    let fresh = Payload {
                        bytes: new,
                        mqtt: part(all.mqtt),
                        app: part(all.app),
                    };
                    let old = Payload {
                        bytes: total - new,
                        mqtt: all.mqtt - fresh.mqtt,
                        app: all.app - fresh.app,
                    };
                    (fresh, old)
                }
            };
            add(portions, portion);
        }
    }

    /// The control packets whose bytes a frame acknowledges, and acknowledged bytes
    /// that were not captured.
    fn acknowledged(&self, stream: Direction, frame: &Waiting, portions: &mut Vec<Portion>) {
        let stream = &self.streams[stream];
        let mut push = |bytes: u64, label: Option<&Label>| {
            if bytes > 0 {
                let new = Payload::other(bytes);
                add(
                    portions,
                    Portion {
                        new,
                        ..Portion::of(label)
                    },
                );
            }
        };
        for range in stream.labels.ranges(frame.from, frame.to) {
            let seen = stream.seen.within(range.from, range.to);
            push(seen, range.label);
            push((range.to - range.from) as u64 - seen, None);
        }
    }

    /// Charges the connection with a frame whose payload (a probe) has labels.
    pub(super) fn charge_probe(
        &mut self,
        direction: Direction,
        cause: Cause,
        head: &Head,
        offset: i64,
        ws: &mut Workspace,
    ) {
        let mut portions = Vec::new();
        let to = offset + head.payload as i64;
        self.carried(direction, offset, to, &Fresh::Nothing, ws, &mut portions);
        let mut payload = Payload::default();
        portions.iter().for_each(|portion| payload.add(portion.old));
        let measures = head.bytes().with(payload);
        self.charge(direction, Charge::fixed(cause, measures), ws);
    }

    /// Charges the connection with a frame whose payload, if any, is not MQTT.
    pub(super) fn charge_whole(
        &mut self,
        direction: Direction,
        cause: Cause,
        head: &Head,
        ws: &mut Workspace,
    ) {
        let measures = head.bytes().with(Payload::other(head.payload));
        self.charge(direction, Charge::fixed(cause, measures), ws);
    }

    /// The only place where a connection is charged. Messages are charged with their
    /// parts of the same bytes.
    fn charge(&mut self, direction: Direction, charge: Charge, ws: &mut Workspace) {
        let bytes = ws.policy.level.of(&charge.measures);
        let tally = tally(&mut self.own, &mut ws.sums);
        tally.causes.add(charge.cause, bytes);
        let term = Term::of(charge.cause, charge.is_owned);
        tally.terms.add(term, direction, charge.measures);
        if !charge.is_owned {
            self.fixed += bytes;
            if ws.policy.costs {
                self.fixed_cost.add(charge.cause, &charge.measures);
            }
        }
    }
}

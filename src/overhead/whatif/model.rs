//! A connection as it might have been.

use std::borrow::Cow;

use super::super::amount::{Amount, Bill};
use super::super::message::GroupKey;
use super::super::outcome::{Mark, Outcome};
use super::super::term::Term;
use super::super::traffic::{ConnectionTraffic, GroupTraffic, Headers, Shape};
use super::{Bound, Stage, WhatIf};
use crate::frame::{Direction, PerDirection, Transport};
use crate::limits;
use crate::mqtt::Version;

/// Messages of a connection that are alike.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) key: GroupKey,
    pub(super) qos: u8,
    pub(super) n: f64,
    pub(super) shapes: Cow<'a, [(Shape, u64)]>,
    /// Which of them the first message had.
    pub(super) first: usize,
    pub(super) data: PerDirection<f64>,
    pub(super) acks: PerDirection<f64>,
    /// Seconds from the first to the last.
    pub(super) span: f64,
}

/// A connection as it might have been.
pub(super) struct Model<'a> {
    pub(super) connection: &'a ConnectionTraffic,
    pub(super) stage: &'a Stage<'a>,
    bound: Bound,
    /// The bill depends on the bound: otherwise all bounds are the same.
    pub(super) depends_on_bound: bool,
    pub(super) bill: Bill,
    pub(super) groups: Vec<Group<'a>>,
    pub(super) pings: f64,
    /// Cost of a PINGREQ, its answer and the acknowledgements: as measured, or
    /// estimated if none was sent. Every change of frames or control packets
    /// applies to it too, so that pings which only a projection adds have the
    /// right cost.
    pub(super) cycle: PerDirection<Amount>,
    /// Frames of that.
    pub(super) ping_frames: PerDirection<f64>,
    /// Segments with control packets that are neither messages nor pings.
    pub(super) other_writes: PerDirection<f64>,
    /// Bytes that a change took off the headers of each frame.
    pub(super) header_less: PerDirection<f64>,
    /// Number of connections that replace this one.
    pub(super) opens: f64,
    pub(super) is_v5: bool,
    /// A message became longer: it may no longer fit its segment.
    grows: bool,
}

impl<'a> Model<'a> {
    pub(super) fn new(
        connection: &'a ConnectionTraffic,
        groups: &[(GroupKey, &'a GroupTraffic)],
        stage: &'a Stage<'a>,
        bound: Bound,
    ) -> Self {
        let groups = groups.iter().map(|&(key, group)| Group {
            key,
            qos: key.qos,
            n: group.n as f64,
            shapes: Cow::Borrowed(&group.shapes),
            first: group.first,
            data: group.frames.data.map(|n| n as f64),
            acks: group.frames.acks.map(|n| n as f64),
            span: group
                .span
                .map_or(0.0, |(first, last)| last.since(first).as_secs_f64()),
        });
        let groups: Vec<Group<'_>> = groups.collect();
        let pings = connection.pings as f64;
        let other_writes = PerDirection::from_fn(|direction| {
            let messages: f64 = groups.iter().map(|group| group.data[direction]).sum();
            (connection.writes[direction] as f64 - messages - pings).max(0.0)
        });
        let mut model = Self {
            connection,
            stage,
            bound,
            depends_on_bound: false,
            bill: connection.terms.into(),
            groups,
            pings,
            cycle: PerDirection::default(),
            ping_frames: PerDirection::default(),
            other_writes,
            header_less: PerDirection::default(),
            opens: 1.0,
            is_v5: connection.version == Some(Version::V5),
            grows: false,
        };
        model.price_pings();
        model
    }

    /// Cost of a keep-alive cycle.
    fn price_pings(&mut self) {
        if self.pings > 0.0 {
            let measured = |direction| {
                Amount::from(self.connection.terms.get(Term::Time, direction)) * (1.0 / self.pings)
            };
            self.cycle = PerDirection::from_fn(measured);
            self.ping_frames = self.cycle.map(|amount| amount.packets);
            return;
        }
        // The client acknowledges the answer; the server's answer acknowledges the
        // request.
        let acks = match self.bound {
            Bound::Low => 1.0,
            Bound::Likely | Bound::High => 2.0,
        };
        self.ping_frames = PerDirection {
            up: 2.0,
            down: acks,
        };
        self.cycle = PerDirection::from_fn(|direction| {
            self.header(direction) * self.ping_frames[direction]
                + Amount::mqtt(2.0)
                + self.carrier(direction)
        });
    }

    /// The bound, for what the bill depends on.
    pub(super) fn bound(&mut self) -> Bound {
        self.depends_on_bound = true;
        self.bound
    }

    /// Whether changes of message sizes are exact: each message lies in one segment and
    /// stays in it, nothing was retransmitted, and every size is known.
    fn resizes_exactly(&self) -> bool {
        let lost = |direction| self.connection.terms.get(Term::Recovery, direction).packets > 0;
        let is_known = |group: &Group<'_>| {
            group.key.topic > 0
                && group.shapes.len() < limits::ACCOUNTED_SHAPES
                && group.data[group.key.direction] <= group.n
        };
        !self.grows && !Direction::ALL.into_iter().any(lost) && self.groups.iter().all(is_known)
    }

    /// Mean headers of a frame that is no SYN.
    pub(super) fn header(&self, direction: Direction) -> Amount {
        let mean = |headers: &Headers| {
            let n = headers.packets as f64;
            (n > 0.0).then(|| headers.amount() * (1.0 / n))
        };
        let of = |direction: Direction| mean(&self.connection.headers[direction]);
        let header = of(direction)
            .or_else(|| of(direction.reversed()))
            .unwrap_or_default();
        header + Amount::less_header(self.header_less[direction])
    }

    /// Mean bytes that TLS and WebSocket add to a segment with control packets.
    fn carrier(&self, direction: Direction) -> Amount {
        let at = direction;
        match self.connection.writes[at] {
            0 => Amount::default(),
            writes => Amount::tcp(self.connection.carriers[at] as f64 / writes as f64),
        }
    }

    pub(super) fn add(&mut self, term: Term, direction: Direction, amount: Amount) {
        *self.bill.get_mut(term, direction) += amount;
    }

    pub(super) fn apply(&mut self, change: &WhatIf, outcome: &mut Outcome) {
        if change.needs_packets() && !self.connection.is_read {
            return;
        }
        let at_least = |outcome: &mut Outcome, mark: Mark| outcome.mark = outcome.mark.max(mark);
        if self.connection.transport != Transport::TCP {
            // How many records and frames there would be is a guess.
            at_least(outcome, Mark::Model);
        }
        match change {
            WhatIf::Qos(qos) => {
                at_least(outcome, Mark::Model);
                (0..self.groups.len()).for_each(|i| self.qos(i, *qos));
            }
            WhatIf::Alias => {
                self.alias();
                if !self.is_v5 || !self.connection.is_from_start || !self.resizes_exactly() {
                    at_least(outcome, Mark::Model);
                }
            }
            WhatIf::Rename(old, new) => {
                for i in 0..self.groups.len() {
                    let name = &self.stage.account.topics[self.groups[i].key.topic as usize].name;
                    let name = String::from_utf8_lossy(name);
                    let renamed = name.replacen(old.as_str(), new, 1).len();
                    self.resize(i, |shape| Shape {
                        topic: if shape.topic == 0 { 0 } else { renamed as u16 },
                        ..shape
                    });
                }
                if !self.resizes_exactly() {
                    at_least(outcome, Mark::Model);
                }
            }
            WhatIf::Compress(codec) => {
                // A sample stands for all payloads.
                at_least(outcome, Mark::Model);
                let trials = self.stage.trials(*codec);
                for i in 0..self.groups.len() {
                    let ratio = trials.ratio(self.groups[i].key.topic);
                    self.resize(i, |shape| Shape {
                        payload: (f64::from(shape.payload) * ratio).round() as u32,
                        ..shape
                    });
                }
            }
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
            WhatIf::Resegment => {
                for direction in Direction::ALL {
                    let more = self.connection.joined_segments[direction];
                    let headers = self.header(direction) * more as f64;
                    self.add(Term::Message, direction, headers);
                }
            }
            WhatIf::OneConnection | WhatIf::ConnectionPerMessage => {
                at_least(outcome, Mark::Model);
            }
            WhatIf::Tls(_) if self.connection.transport.is_tls() => {}
            WhatIf::WebSocket if self.connection.transport.is_websocket() => {}
            WhatIf::Tls(tls) => {
                at_least(outcome, Mark::Model);
                let (PerDirection { up, down }, record) = tls.costs();
                // Two flights and three, and an acknowledgement of each side.
                self.open(Direction::Up, up + 2.0 + record, 3.0);
                self.open(Direction::Down, down + 2.0 + record, 4.0);
                self.each_write(|_, _| record);
            }
            WhatIf::WebSocket => {
                at_least(outcome, Mark::Model);
                // A request and its answer, as browsers and brokers send them.
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
            WhatIf::Http(http) => {
                at_least(outcome, Mark::Model);
                self.pings = 0.0;
                self.http(*http);
            }
        }
    }

    /// Changes the sizes of PUBLISH packets.
    pub(super) fn resize(&mut self, i: usize, change: impl Fn(Shape) -> Shape) {
        let group = &mut self.groups[i];
        let (mut bytes, mut app) = (0.0, 0.0);
        for (shape, n) in group.shapes.to_mut() {
            let new = change(*shape);
            let (before, after) = (shape.packet_len(), new.packet_len());
            self.grows |= after > before;
            bytes += *n as f64 * (after as f64 - before as f64);
            app += *n as f64 * (f64::from(new.payload) - f64::from(shape.payload));
            *shape = new;
        }
        let direction = group.key.direction;
        let change = Amount {
            app,
            ..Amount::mqtt(bytes)
        };
        self.add(Term::Message, direction, change);
    }

    /// Changes the number of frames of messages.
    pub(super) fn frames(&mut self, i: usize, data: PerDirection<f64>, acks: PerDirection<f64>) {
        for direction in Direction::ALL {
            let at = direction;
            let group = &mut self.groups[i];
            let more_data = data[at] - group.data[at];
            let more = more_data + acks[at] - group.acks[at];
            (group.data[at], group.acks[at]) = (data[at], acks[at]);
            let headers = self.header(direction) * more + self.carrier(direction) * more_data;
            self.add(Term::Message, direction, headers);
        }
    }
}

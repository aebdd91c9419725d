//! Messages done otherwise: QoS, Topic Aliases, batches.

use std::collections::HashMap;

use super::super::amount::Amount;
use super::super::outcome::Outcome;
use super::super::term::Term;
use super::super::traffic::Shape;
use super::Bound;
use super::model::{Group, Model};
use crate::frame::{Direction, PerDirection};

impl Model<'_> {
    pub(super) fn qos(&mut self, i: usize, qos: u8) {
        /// Packets after the PUBLISH: against its direction, and along it.
        const ANSWERS: [(f64, f64); 3] = [(0.0, 0.0), (1.0, 0.0), (2.0, 1.0)];
        /// Of each, without reason and properties.
        const ANSWER: f64 = 4.0;
        let (old, n) = (self.groups[i].qos, self.groups[i].n);
        if old == qos || old > 2 {
            return;
        }
        self.resize(i, |shape| Shape {
            packet_id: qos > 0,
            ..shape
        });
        let group = &mut self.groups[i];
        group.qos = qos;
        let (along, against) = (group.key.direction, group.key.direction.reversed());
        let (before, after) = (ANSWERS[usize::from(old)], ANSWERS[usize::from(qos)]);
        // Packets that share segments go on sharing them.
        let packets = n * (1.0 + before.0 + before.1);
        let per_packet = (group.data.iter().sum::<f64>() / packets).min(1.0);
        let d = 1.0 + after.0 + after.1;
        let a = match (self.bound(), self.stage.acks) {
            (Bound::Low, _) => 1.0,
            (Bound::High, _) => d,
            (Bound::Likely, acks) => (acks.unwrap_or(0.75) * d).clamp(1.0, d),
        };
        let mut data = PerDirection::default();
        let mut acks = PerDirection::default();
        data[along] = n * per_packet * (1.0 + after.1);
        data[against] = n * per_packet * after.0;
        // The last packet gets a bare acknowledgement; others by chance.
        let last = if qos == 0 { against } else { along };
        acks[last] = n * per_packet;
        acks[last.reversed()] = n * per_packet * (a - 1.0);
        self.frames(i, data, acks);
        let answers = |n: f64| Amount::mqtt(ANSWER * n);
        self.add(Term::Message, against, answers(n * (after.0 - before.0)));
        self.add(Term::Message, along, answers(n * (after.1 - before.1)));
    }

    pub(super) fn alias(&mut self) {
        /// Topic Alias Maximum that is assumed if the receiver sent none.
        const USUAL: u16 = 10;
        if !self.is_v5 {
            // A byte in each of these packets, and in each PUBLISH.
            for i in 0..self.groups.len() {
                self.resize(i, |shape| Shape {
                    properties: shape.properties.or(Some(0)),
                    ..shape
                });
            }
            let tax = Amount::mqtt(self.connection.taxed as f64 / 2.0);
            self.add(Term::Connection, Direction::Up, tax);
            self.add(Term::Connection, Direction::Down, tax);
        }
        for direction in Direction::ALL {
            let maximum = match self.is_v5 && self.connection.is_from_start {
                true => self.connection.alias_maximum[direction],
                false => USUAL,
            };
            // Topics with their possible savings, whatever the QoS.
            let mut topics: HashMap<u32, f64> = HashMap::new();
            // Topic 0 is several.
            let here = |g: &&Group<'_>| g.key.direction == direction && g.key.topic > 0;
            for group in self.groups.iter().filter(here) {
                let saved = group.shapes.iter().filter(|(shape, _)| !shape.alias);
                let saved: f64 = saved
                    .map(|&(shape, n)| n as f64 * (f64::from(shape.topic) - 3.0))
                    .sum();
                *topics.entry(group.key.topic).or_default() += saved;
            }
            let mut topics: Vec<_> = topics
                .into_iter()
                .filter(|(_, saved)| *saved > 0.0)
                .collect();
            topics.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            topics.truncate(maximum.into());
            for (topic, _) in topics {
                let mut first = true;
                for i in 0..self.groups.len() {
                    let key = self.groups[i].key;
                    if (key.topic, key.direction) == (topic, direction) {
                        self.alias_group(i, &mut first);
                    }
                }
            }
        }
    }

    /// The first message still names its topic.
    pub(super) fn alias_group(&mut self, i: usize, first: &mut bool) {
        let direction = self.groups[i].key.direction;
        let mut bytes = 0.0;
        let mut shapes = Vec::new();
        let group = &mut self.groups[i];
        if group.first < group.shapes.len() {
            group.shapes.to_mut().swap(0, group.first);
            group.first = 0;
        }
        for &(shape, n) in group.shapes.iter() {
            if shape.alias {
                shapes.push((shape, n));
                continue;
            }
            let named = Shape {
                alias: true,
                properties: shape.properties.map(|len| len + 3),
                ..shape
            };
            let unnamed = Shape { topic: 0, ..named };
            let names = match std::mem::take(first) {
                true => n.min(1),
                false => 0,
            };
            let len = |shape: Shape| shape.packet_len() as f64;
            let others = n - names;
            bytes +=
                names as f64 * len(named) + others as f64 * len(unnamed) - n as f64 * len(shape);
            shapes.extend([(named, names), (unnamed, others)]);
        }
        self.groups[i].shapes = shapes.into();
        self.add(Term::Message, direction, Amount::mqtt(bytes));
    }

    pub(super) fn batch(&mut self, i: usize, k: f64, outcome: &mut Outcome) {
        let interval = self.stage.interval(&self.groups[i]);
        let group = &self.groups[i];
        let at = group.key.direction;
        let publishes = group.data[at].min(group.n);
        // The capture has only this many; a month has more. Those that share
        // segments are batched already.
        let left = match self.stage.projection.every {
            Some(_) => publishes.min(group.n / k),
            None => publishes.min((group.n / k).ceil()),
        };
        let factor = match publishes > 0.0 {
            true => left / publishes,
            false => 1.0,
        };
        let mut data = group.data;
        data[at] -= publishes - left;
        let acks = group.acks.map(|n| n * factor);
        let together = if left > 0.0 { group.n / left } else { 1.0 };
        outcome.batch = outcome.batch.max(together);
        self.frames(i, data, acks);
        let (mean, longest) = outcome.latency.unwrap_or_default();
        outcome.latency = Some((
            mean.max((k - 1.0) / 2.0 * interval),
            longest.max((k - 1.0) * interval),
        ));
    }
}

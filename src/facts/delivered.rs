//! Deliveries on a connection: those made, and those still expected.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::rc::Rc;

use crate::frame::MQTTFrame;
use crate::limits;
use crate::mqtt::topic;
use crate::time::Timestamp;

use super::frame_ref::FrameRef;
use super::missed::PRECISION;
use super::publication::Publication;

/// Deliveries of a connection.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    recent: VecDeque<(u64, Timestamp)>,
    /// The latest publication, by a hash of its publisher's connection, QoS and
    /// topic.
    latest: HashMap<u64, (u64, FrameRef), foldhash::fast::FixedState>,
    /// Expected deliveries.
    expected: Vec<Expected>,
    /// Messages for several subscriptions of which one copy was delivered.
    overlaps: Vec<Overlap>,
}

/// An expected delivery.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) publication: Rc<Publication>,
    pub(super) because: Because,
    /// Its publication, or the SUBSCRIBE that requests it.
    pub(super) of: FrameRef,
    /// From when on it is due.
    pub(super) since: Timestamp,
    /// A later message of the same publisher, topic and QoS, which was delivered before
    /// it.
    pub(super) overtaken_by: Option<FrameRef>,
}

/// Why a delivery is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Because {
    /// It was published to a topic that the client is subscribed to.
    Published,
    /// It was published while the client was offline; its session was kept.
    Queued,
    /// It is retained, and the client has subscribed.
    Retained,
    /// It is the will of a client that went away.
    Will,
    /// A copy of it was delivered that does not cover all matching subscriptions.
    Overlap(Lacks),
}

/// What the only copy of a message for several subscriptions lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lacks {
    /// The highest QoS that was granted.
    Qos {
        /// Expected value.
        expected: u8,
        /// Actual value.
        found: u8,
    },
    /// A Subscription Identifier.
    Identifier(u32),
}

/// A message for several subscriptions.
#[derive(Clone, Debug)]
struct Overlap {
    key: u64,
    lacks: Lacks,
    publication: Rc<Publication>,
    since: Timestamp,
}

impl Delivered {
    /// A message was delivered; returns the time of the previous delivery of the same.
    pub(super) fn again(&mut self, key: u64, frame: &MQTTFrame<'_>) -> Option<Timestamp> {
        let before = self.recent.iter().rev().find(|(other, _)| *other == key);
        let before = before.map(|(_, time)| *time);
        if self.recent.len() == limits::DELIVERIES {
            self.recent.pop_front();
        }
        self.recent.push_back((key, frame.time));
        if !self.expected.is_empty() {
            let topic = frame.topic.map_or(&[][..], |topic| topic.bytes());
            // Another message may have been retained in the meantime, by a
            // client that was not captured.
            self.expected.retain(|expected| {
                let retained = expected.because == Because::Retained
                    && *expected.publication.topic == *topic
                    && frame.header.retain();
                expected.publication.key != key && !retained
            });
        }
        // With two copies, each is for one subscription.
        self.overlaps.retain(|overlap| overlap.key != key);
        before
    }

    /// The publication that overtook this one, if one did.
    pub(super) fn in_order(&mut self, publication: &Publication) -> Option<FrameRef> {
        if self.latest.len() >= limits::DELIVERIES {
            self.latest.clear();
        }
        for expected in &mut self.expected {
            let other = &expected.publication;
            let same = other.seen.connection == publication.seen.connection
                && other.qos == publication.qos
                && !other.will
                && other.topic == publication.topic;
            if same && other.order < publication.order {
                expected.overtaken_by.get_or_insert(publication.seen);
            }
        }
        let at = (
            publication.seen.connection,
            publication.qos,
            &publication.topic,
        );
        let hasher = foldhash::fast::FixedState::default();
        let latest = self
            .latest
            .entry(hasher.hash_one(at))
            .or_insert((publication.order, publication.seen));
        if publication.order < latest.0 {
            return Some(latest.1);
        }
        *latest = (publication.order, publication.seen);
        None
    }

    /// Expects a delivery, unless it was made since it was published.
    pub(super) fn expect(&mut self, expected: Expected) {
        let published = match expected.because {
            Because::Retained => expected.since,
            _ => expected.of.time,
        };
        let key = expected.publication.key;
        let came =
            |(other, time): &(u64, Timestamp)| *other == key && time.after(PRECISION) >= published;
        if self.expected.len() < limits::DELIVERIES && !self.recent.iter().any(came) {
            self.expected.push(expected);
        }
    }

    /// One copy of a message for several subscriptions was delivered.
    pub(super) fn overlap(&mut self, publication: &Rc<Publication>, lacks: Lacks, now: Timestamp) {
        if self.overlaps.len() < limits::DELIVERIES {
            self.overlaps.push(Overlap {
                key: publication.key,
                lacks,
                publication: publication.clone(),
                since: now,
            });
        }
    }

    /// The client unsubscribes: removes expected deliveries for the filter.
    pub(super) fn unsubscribe(&mut self, filter: &[u8]) {
        let bare = topic::shared(filter).map_or(filter, |(_, filter)| filter);
        self.expected
            .retain(|expected| !topic::matches(bare, &expected.publication.topic));
    }

    /// Removes the expected will of that CONNECT.
    pub(super) fn forget_will(&mut self, connect: FrameRef) {
        self.expected
            .retain(|expected| expected.because != Because::Will || expected.of != connect);
    }

    /// Takes over expected deliveries of an earlier connection of the session.
    pub(super) fn inherit(&mut self, earlier: Vec<Expected>) {
        self.expected.extend(earlier);
    }

    /// Messages of QoS 1 or 2 published to the client and not delivered.
    pub(super) fn take_queued(&mut self) -> Vec<Expected> {
        let mut queued = std::mem::take(&mut self.expected);
        queued.retain(|expected| matches!(expected.because, Because::Published | Because::Queued));
        for expected in &mut queued {
            expected.because = Because::Queued;
        }
        queued
    }

    pub(super) fn expected(&self) -> impl Iterator<Item = Expected> + '_ {
        let overlaps = self.overlaps.iter().map(|overlap| Expected {
            publication: overlap.publication.clone(),
            because: Because::Overlap(overlap.lacks),
            of: overlap.publication.seen,
            since: overlap.since,
            overtaken_by: None,
        });
        self.expected.iter().cloned().chain(overlaps)
    }
}

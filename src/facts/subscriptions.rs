//! The subscriptions of a session.
//!
//! A subscription is identified by its Topic Filter with the share name (5.0:
//! 3.8.4): `t`, `$share/a/t` and `$share/b/t` are three. Servers offer shared
//! subscriptions to clients of 3.1.1 as well, so a filter with a share name
//! counts as shared in every version.

use std::collections::HashMap;

use crate::limits;
use crate::mqtt::topic;

use super::doubt::{Doubt, Reason};
use super::frame_ref::FrameRef;
use super::request::Request;
use super::topic_tree::TopicTree;

/// The Topic Filters a client subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    all: Vec<Subscription>,
    /// By filter with share name.
    by_filter: HashMap<Box<[u8]>, u32, foldhash::fast::FixedState>,
    /// Those without wildcards, by filter without share name.
    exact: HashMap<Box<[u8]>, Vec<u32>, foldhash::fast::FixedState>,
    /// Those with wildcards, by filter without share name.
    wild: TopicTree<u32>,
    /// Why there may be others.
    pub past: Doubt,
}

/// A subscription that is, or was.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The Topic Filter, with its share name.
    pub filter: Box<[u8]>,
    /// Whether it has a share name.
    pub shared: bool,
    /// Subscription Options of its latest SUBSCRIBE.
    pub options: u8,
    /// Highest QoS that was ever granted; `None` until SUBACK.
    pub granted: Option<u8>,
    /// QoS that the answer to its latest SUBSCRIBE granted.
    pub current: Option<u8>,
    /// Subscription Identifier of its latest SUBSCRIBE.
    pub id: Option<u32>,
    /// All Subscription Identifiers that it had.
    pub ids: Vec<u32>,
    /// Its first SUBSCRIBE, or the first after it was ended.
    pub first: FrameRef,
    /// Its latest SUBSCRIBE.
    pub since: FrameRef,
    /// The SUBACK to its latest SUBSCRIBE.
    pub settled: Option<FrameRef>,
    /// The UNSUBSCRIBE that is to end it.
    pub ending: Option<FrameRef>,
    /// The UNSUBACK that ended it.
    pub until: Option<FrameRef>,
    /// The server refused it.
    pub refused: bool,
}

impl Subscription {
    /// The filter without the share name.
    pub fn bare(&self) -> &[u8] {
        bare(&self.filter)
    }

    /// Whether a topic matches its filter.
    pub fn matches(&self, topic: &[u8]) -> bool {
        topic::matches(self.bare(), topic)
    }

    /// The highest QoS that a delivery may have for it: while a SUBSCRIBE is
    /// pending, the requested one.
    pub fn highest_qos(&self) -> u8 {
        let asked = match self.settled {
            None => self.options & 3,
            Some(_) => 0,
        };
        self.granted.unwrap_or(0).max(asked)
    }

    /// Whether it is stable: granted, and not being ended.
    pub fn is_settled(&self) -> bool {
        self.settled.is_some()
            && self.current.is_some()
            && self.ending.is_none()
            && self.until.is_none()
            && !self.refused
    }

    /// Whether it was settled, as it is, before `seen` began.
    pub fn was_settled_before(&self, seen: FrameRef) -> bool {
        let settled = self.settled.is_some_and(|by| by.time < seen.started);
        settled && self.is_settled()
    }
}

impl Subscriptions {
    /// The indices of those that match a topic, including ended ones but not
    /// refused ones.
    pub(super) fn matching(&self, topic: &[u8]) -> Vec<u32> {
        let mut found = self.exact.get(topic).cloned().unwrap_or_default();
        if !self.wild.is_empty() {
            self.wild.matching(topic, |at| found.push(at));
        }
        found.retain(|at| !self.all[*at as usize].refused);
        found
    }

    /// The subscription with this index.
    pub(super) fn at(&self, place: u32) -> &Subscription {
        &self.all[place as usize]
    }

    /// All of them, ended ones included.
    pub fn all(&self) -> impl Iterator<Item = &Subscription> {
        self.all.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    fn find(&mut self, filter: &[u8]) -> Option<&mut Subscription> {
        let at = *self.by_filter.get(filter)?;
        Some(&mut self.all[at as usize])
    }

    pub(super) fn subscribe(&mut self, request: &Request) {
        for (filter, options) in &request.filters {
            // Invalid filters are reported elsewhere; as a share it counts in
            // every version.
            if topic::check_filter(filter, true).is_err() {
                continue;
            }
            if let Some(known) = self.find(filter) {
                if known.since == request.seen {
                    continue;
                }
                if known.until.is_some() {
                    known.first = request.seen;
                }
                known.options = *options;
                known.since = request.seen;
                known.settled = None;
                known.ending = None;
                known.until = None;
                known.id = request.subscription_id;
                let new = known.id.filter(|id| !known.ids.contains(id));
                known.ids.extend(new);
                continue;
            }
            let bare = bare(filter);
            if self.len() >= limits::SUBSCRIPTIONS || !TopicTree::<u32>::takes(bare) {
                self.past.get_or_insert(Reason::Bound);
                return;
            }
            self.insert(Subscription {
                filter: filter.clone(),
                shared: topic::shared(filter).is_some(),
                options: *options,
                granted: None,
                current: None,
                id: request.subscription_id,
                ids: request.subscription_id.into_iter().collect(),
                first: request.seen,
                since: request.seen,
                settled: None,
                ending: None,
                until: None,
                refused: false,
            });
        }
    }

    fn insert(&mut self, new: Subscription) {
        let at = self.all.len() as u32;
        let bare = new.bare();
        if topic::check_wildcards(bare).is_ok() {
            self.exact.entry(bare.into()).or_default().push(at);
        } else {
            self.wild.insert(bare, at);
        }
        self.by_filter.insert(new.filter.clone(), at);
        self.all.push(new);
    }

    /// SUBACK was received.
    pub(super) fn granted(&mut self, request: &Request, codes: &[u8], by: FrameRef) {
        for ((filter, _), &code) in request.filters.iter().zip(codes) {
            let Some(known) = self.find(filter) else {
                continue;
            };
            let latest = known.since == request.seen;
            if code <= 2 {
                known.granted = known.granted.max(Some(code));
                known.refused = false;
            } else if known.granted.is_none() {
                known.refused = true;
            }
            if latest {
                known.settled = Some(by);
                known.current = (code <= 2).then_some(code).or(known.current);
            }
        }
    }

    /// UNSUBSCRIBE was sent: from now on deliveries may stop.
    pub(super) fn ending(&mut self, request: &Request) {
        for (filter, _) in &request.filters {
            if let Some(known) = self.find(filter) {
                known.ending = Some(request.seen);
            }
        }
    }

    /// UNSUBACK was received, with codes from 5.0 on. A code of 0x80 and above
    /// leaves the subscription unchanged.
    pub(super) fn unsubscribed(&mut self, request: &Request, codes: &[u8], by: FrameRef) {
        for (at, (filter, _)) in request.filters.iter().enumerate() {
            let Some(known) = self.find(filter) else {
                continue;
            };
            known.ending = None;
            if codes.get(at).is_none_or(|code| *code < 0x80) {
                known.until = Some(by);
            }
        }
    }

    /// Keeps only subscriptions of this connection.
    pub(super) fn keep_only(&mut self, connection: u64) {
        let old = std::mem::take(self);
        self.past = old.past;
        for subscription in old.all {
            if subscription.since.connection == connection {
                self.insert(subscription);
            }
        }
    }
}

#[cfg(test)]
impl Subscriptions {
    /// So many of them.
    pub(super) fn some(count: usize) -> Self {
        let mut all = Self::default();
        for n in 0..count {
            all.insert(Subscription {
                filter: format!("topic/{n}").into_bytes().into(),
                shared: false,
                options: 0,
                granted: None,
                current: None,
                id: None,
                ids: Vec::new(),
                first: FrameRef::default(),
                since: FrameRef::default(),
                settled: None,
                ending: None,
                until: None,
                refused: false,
            });
        }
        all
    }
}

/// The filter without a share name.
fn bare(filter: &[u8]) -> &[u8] {
    topic::shared(filter).map_or(filter, |(_, filter)| filter)
}

//! Budgets of a project, beyond the specification.

use std::time::Duration;

use crate::mqtt::TopicFilter;

/// Budgets.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    /// Maximum time of an acknowledgement.
    pub ack: Option<Duration>,
    /// Bytes that a PUBLISH may have, its fixed header included.
    pub message: SizeBudget,
    /// The least QoS with which clients publish to these topics.
    pub qos: Vec<(TopicFilter, u8)>,
    /// Forbidden topics.
    pub forbidden: Vec<TopicFilter>,
}

/// Bytes that messages may have.
#[derive(Clone, Debug, Default)]
pub struct SizeBudget {
    /// Messages of these topics; the first that matches counts.
    pub topics: Vec<(TopicFilter, u64)>,
    /// All others.
    pub others: Option<u64>,
}

impl SizeBudget {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.others.is_none()
    }

    /// The budget for messages of a topic, if there is one.
    pub fn most(&self, topic: Option<&[u8]>) -> Option<u64> {
        let matches = |(filter, _): &&(TopicFilter, u64)| topic.is_some_and(|t| filter.matches(t));
        match self.topics.iter().find(matches) {
            Some((_, most)) => Some(*most),
            None => self.others,
        }
    }
}

impl Budgets {
    /// Whether there are any.
    pub fn any(&self) -> bool {
        self.ack.is_some()
            || !self.message.is_empty()
            || !self.qos.is_empty()
            || !self.forbidden.is_empty()
    }
}

//! Compression, tried on a sample of the payloads.

use super::super::account::Topic;
use super::super::compress::{Codec, Compressor, Trial};
use crate::limits;

/// Results of compressing a sample of payloads.
#[derive(Debug)]
pub(super) struct Trials {
    by_topic: Vec<Option<Trial>>,
    all: Trial,
    /// Topics whose payloads were compressed.
    topics: usize,
    /// Number of payloads in the capture, which the sample stands for.
    messages: u64,
}

impl Trials {
    /// Tries the topics with most bytes of payload, and some payloads of each:
    /// [`limits::TRIED_PAYLOADS`] in all.
    pub(super) fn new(topics: &[Topic], codec: Codec, messages: u64) -> Self {
        let sampled = |&at: &usize| !topics[at].samples.payloads().is_empty();
        let mut order: Vec<usize> = (0..topics.len()).filter(sampled).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(topics[at].samples.seen_bytes));
        order.truncate(limits::TRIED_TOPICS);
        let each = limits::TRIED_PAYLOADS / order.len().max(1);
        let mut trials = Self {
            by_topic: vec![None; topics.len()],
            all: Trial::default(),
            topics: 0,
            messages,
        };
        let mut compressor = Compressor::new(codec);
        for at in order {
            let Some(trial) = compressor.trial(topics[at].samples.payloads(), each) else {
                continue;
            };
            trials.topics += 1;
            trials.all.tested += trial.tested;
            trials.all.before += trial.before;
            trials.all.after += trial.after;
            trials.all.dictionary += trial.dictionary;
            trials.by_topic[at] = Some(trial);
        }
        trials
    }

    /// Compression ratio for payloads of a topic; for a topic without a sample, that of
    /// all.
    pub(super) fn ratio(&self, topic: u32) -> f64 {
        let trial = self.by_topic.get(topic as usize).copied().flatten();
        trial.unwrap_or(self.all).ratio()
    }

    /// Description of the sample.
    pub(super) fn about(&self) -> String {
        let Trial {
            tested, dictionary, ..
        } = self.all;
        if tested == 0 {
            return "too few payloads to try".to_owned();
        }
        let topics = match self.topics {
            1 => "1 topic".to_owned(),
            n => format!("{n} topics"),
        };
        let sample = format!("sample of {tested} of {} payloads, {topics}", self.messages);
        match dictionary {
            0 => sample,
            _ => format!("{sample}, dictionaries of {dictionary} B"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_payloads_of_the_largest_topics_are_compressed() {
        let mut topics = vec![Topic::default()];
        for n in 1..=2 * limits::TRIED_TOPICS {
            let mut topic = Topic::default();
            let payload = vec![b'a'; 10 * n];
            for _ in 0..50 {
                topic.samples.offer(&payload, Some(payload.len() as u32));
            }
            topics.push(topic);
        }
        let trials = Trials::new(&topics, Codec::Deflate, 800);
        assert_eq!(trials.topics, limits::TRIED_TOPICS);
        assert_eq!(trials.all.tested, limits::TRIED_PAYLOADS);
        assert_eq!(trials.about(), "sample of 24 of 800 payloads, 8 topics");
        // For the small ones the ratio of all is taken.
        assert!(trials.by_topic[limits::TRIED_TOPICS].is_none());
        assert!(trials.by_topic[limits::TRIED_TOPICS + 1].is_some());
        assert_eq!(trials.ratio(1), trials.all.ratio());
    }
}

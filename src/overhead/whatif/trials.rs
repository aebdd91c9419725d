//! Compression, tried on payloads of the capture.

use super::super::account::Topic;
use super::super::compress::{Codec, Trial, trial};
use crate::limits;

/// What compressing the payloads of each topic came to.
#[derive(Debug)]
pub(super) struct Trials {
    by_topic: Vec<Option<Trial>>,
    all: Trial,
}

impl Trials {
    pub(super) fn new(topics: &[Topic], codec: Codec) -> Self {
        let mut all = Trial::default();
        let by_topic = topics.iter().take(limits::SAMPLED_TOPICS + 1).map(|topic| {
            let trial = trial(topic.samples.payloads(), codec)?;
            all.tested += trial.tested;
            all.before += trial.before;
            all.after += trial.after;
            all.dictionary += trial.dictionary;
            Some(trial)
        });
        Self {
            by_topic: by_topic.collect(),
            all,
        }
    }

    /// Part of the bytes that is left of payloads of a topic; of a topic that
    /// was not tried, that of all.
    pub(super) fn ratio(&self, topic: u32) -> f64 {
        match self.by_topic.get(topic as usize) {
            Some(trial) => trial.map_or(1.0, |trial| trial.ratio()),
            None => self.all.ratio(),
        }
    }

    pub(super) fn about(&self) -> String {
        let Trial {
            tested, dictionary, ..
        } = self.all;
        match (tested, dictionary) {
            (0, _) => "too few payloads to try".to_owned(),
            (_, 0) => format!("{tested} tried"),
            _ => format!("{tested} tried, dictionaries of {dictionary} B"),
        }
    }
}

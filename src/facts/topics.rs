//! [`Topic`]: a topic that many keep, in memory once.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// A Topic Name that is kept. Those of neighbouring messages that are equal share their
/// memory, with [`Needs::TOPICS`](super::Needs::TOPICS).
///
/// ```
/// use mqttdump::facts::Topic;
///
/// let topic = Topic::new(b"plant/1");
/// assert_eq!(&*topic, b"plant/1");
/// ```
#[derive(Clone)]
pub struct Topic {
    bytes: Arc<[u8]>,
    /// Another one for each that is shared; 0 if it is not.
    number: u64,
}

/// Topics that are shared at a time: a power of two. Beyond it, sharing begins anew.
pub const SHARED_TOPICS: usize = 4096;
/// Longest topic that is shared, in bytes.
const LONGEST: usize = 1024;

impl Topic {
    /// A topic that shares no memory with others.
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.into(),
            number: 0,
        }
    }

    /// Which of all shared topics it is: the place among [`SHARED_TOPICS`] ones, and how many were
    /// shared before these. `None` if it is not shared.
    #[inline]
    pub fn place(&self) -> Option<(usize, u64)> {
        let place = self.number as usize % SHARED_TOPICS;
        (self.number > 0).then_some((place, self.number / SHARED_TOPICS as u64))
    }
}

impl Deref for Topic {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self).fmt(f)
    }
}

/// The topics that are shared.
#[derive(Debug)]
pub(super) struct Topics {
    all: Vec<Topic>,
    places: HashMap<Arc<[u8]>, u32, RandomState>,
    /// Number of the first.
    first: u64,
    /// One that is too long.
    long: Topic,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            places: HashMap::default(),
            first: SHARED_TOPICS as u64,
            long: Topic::new(b""),
        }
    }
}

impl Topics {
    /// The topic with this text.
    pub(super) fn get(&mut self, text: &[u8]) -> &Topic {
        if text.len() > LONGEST {
            self.long = Topic::new(text);
            return &self.long;
        }
        let at = match self.places.get(text) {
            Some(at) => *at,
            None => self.add(text),
        };
        &self.all[at as usize]
    }

    fn add(&mut self, text: &[u8]) -> u32 {
        if self.all.len() == SHARED_TOPICS {
            self.all.clear();
            self.places.clear();
            self.first += SHARED_TOPICS as u64;
        }
        let at = self.all.len() as u32;
        let topic = Topic {
            bytes: text.into(),
            number: self.first + u64::from(at),
        };
        self.places.insert(topic.bytes.clone(), at);
        self.all.push(topic);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_topics_are_shared() {
        let mut topics = Topics::default();
        let one = topics.get(b"a/1").clone();
        let other = topics.get(b"a/2").clone();
        let again = topics.get(b"a/1").clone();
        assert!(Arc::ptr_eq(&one.bytes, &again.bytes));
        assert_eq!((one.place(), again.place()), (Some((0, 1)), Some((0, 1))));
        assert_eq!(other.place(), Some((1, 1)));
        let long = vec![b'x'; LONGEST + 1];
        assert_eq!(topics.get(&long).place(), None);
        assert_eq!(**topics.get(&long), long[..]);
    }

    #[test]
    fn no_two_topics_have_the_same_number() {
        let mut topics = Topics::default();
        let mut seen = std::collections::HashSet::new();
        for n in 0..2 * SHARED_TOPICS + 1 {
            let text = n.to_string();
            let topic = topics.get(text.as_bytes()).clone();
            assert_eq!(&*topic, text.as_bytes());
            assert!(seen.insert(topic.number), "{n}");
        }
        assert_eq!(topics.all.len(), 1, "memory is bounded");
        assert_eq!(topics.get(b"0").place(), Some((1, 3)));
    }
}

//! Which shards of a capture are read together, and which are missing.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Shards that are read together. Without any, a capture is whole.
///
/// ```
/// use mqttdump::shard::Portion;
///
/// let files = ["tap.pcap".to_owned()];
/// let mut portion = Portion::default();
/// portion.add(&files, 4, true, 1);
/// assert!(!portion.is_whole());
/// assert_eq!(portion.to_string(), "shard-001 of 4");
/// for number in [0, 2, 3] {
///     portion.add(&files, 4, true, number);
/// }
/// assert!(portion.is_whole());
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Portion {
    sets: Vec<Set>,
}

/// Shards of one run of `shard`, such as of one tap.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Set {
    /// The files that were split.
    files: Vec<String>,
    /// Into how many shards.
    of: u32,
    by_session: bool,
    /// Those that are there.
    numbers: BTreeSet<u32>,
}

impl Portion {
    /// Adds the shard of this number, of those into which `files` were split. Returns
    /// whether it is new.
    pub fn add(&mut self, files: &[String], of: u32, by_session: bool, number: u32) -> bool {
        let known = self.sets.iter().position(|set| set.is(files, of));
        let at = known.unwrap_or_else(|| {
            self.sets.push(Set {
                files: files.to_vec(),
                of,
                by_session,
                numbers: BTreeSet::new(),
            });
            self.sets.len() - 1
        });
        self.sets
            .get_mut(at)
            .is_some_and(|set| set.numbers.insert(number))
    }

    /// Adds all of another portion. Returns whether all of its shards are new.
    pub fn merge(&mut self, other: &Self) -> bool {
        let mut new = true;
        for set in &other.sets {
            for number in &set.numbers {
                new &= self.add(&set.files, set.of, set.by_session, *number);
            }
        }
        new
    }

    /// Whether there are no shards: the capture is not divided.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Whether no shard is missing.
    pub fn is_whole(&self) -> bool {
        self.sets.iter().all(Set::is_whole)
    }

    /// Whether all connections of a client are there or missing together.
    pub fn keeps_sessions(&self) -> bool {
        let mut parts = self.sets.iter().filter(|set| !set.is_whole());
        parts.all(|set| set.by_session)
    }

    /// Missing shards: their number, how many there are, and the first file that was
    /// split. In order.
    pub fn missing(&self) -> Vec<(u32, u32, &str)> {
        let missing = |set: &'_ Set| {
            let lacks: Vec<u32> = (0..set.of)
                .filter(|number| !set.numbers.contains(number))
                .collect();
            lacks
        };
        let all = self.sets.iter().flat_map(|set| {
            let first = set.files.first().map_or("", String::as_str);
            missing(set)
                .into_iter()
                .map(move |number| (number, set.of, first))
        });
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all
    }
}

impl Set {
    fn is(&self, files: &[String], of: u32) -> bool {
        self.of == of && self.files == files
    }

    fn is_whole(&self) -> bool {
        self.numbers.range(..self.of).count() == self.of as usize
    }
}

/// The shards of which others are missing: `shard-001 of 4`, `3 of 32 shards`.
impl fmt::Display for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.sets.iter().filter(|set| !set.is_whole());
        let mut names: Vec<String> = parts
            .map(|set| match set.numbers.first() {
                Some(number) if set.numbers.len() == 1 => {
                    format!("shard-{number:03} of {}", set.of)
                }
                _ => format!("{} of {} shards", set.numbers.len(), set.of),
            })
            .collect();
        // Shards of one number, of several taps.
        names.dedup();
        f.write_str(&names.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[u32], files: &[String]) -> Portion {
        let mut portion = Portion::default();
        for number in numbers {
            portion.add(files, 3, false, *number);
        }
        portion
    }

    #[test]
    fn portions_of_taps_are_whole_only_together() {
        let (a, b) = (["a".to_owned()], ["b".to_owned()]);
        let mut all = of(&[0, 1, 2], &a);
        assert!(all.is_whole() && all.keeps_sessions());
        assert!(all.merge(&of(&[0, 2], &b)));
        assert!(!all.is_whole() && !all.keeps_sessions());
        assert_eq!(all.missing(), [(1, 3, "b")]);
        assert_eq!(all.to_string(), "2 of 3 shards");
        assert!(!all.merge(&of(&[1, 2], &b)), "shard 2 is there already");
        assert!(all.is_whole());
    }

    #[test]
    fn a_capture_that_is_no_shard_is_whole() {
        assert!(Portion::default().is_whole());
        assert_eq!(Portion::default().missing(), []);
    }
}

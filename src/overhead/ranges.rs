//! Sets of captured byte ranges of a stream.

/// Ranges of offsets, in order, that do not touch. Nearly always there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    earlier: Vec<(i64, i64)>,
    /// The last of them; empty if there is none.
    last: (i64, i64),
}

/// Maximum number of ranges of one direction; beyond that, the oldest gap counts as
/// captured.
const KEPT: usize = 256;

/// Which bytes of a segment are new.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    All,
    Nothing,
    /// These ranges, in order.
    Some(Box<[(i64, i64)]>),
}

impl Fresh {
    /// How many offsets of `from..to` are fresh.
    pub(super) fn within(&self, from: i64, to: i64) -> u64 {
        match self {
            Self::All => (to - from).max(0) as u64,
            Self::Nothing => 0,
            Self::Some(ranges) => overlap(ranges, from, to),
        }
    }
}

impl Ranges {
    /// Adds `from..to`, and returns which of it is new.
    pub(super) fn insert(&mut self, from: i64, to: i64) -> Fresh {
        if from >= to {
            return Fresh::Nothing;
        }
        match self.last {
            // The most common case: it extends the last range.
            (start, end) if end == from && start < end => {
                self.last.1 = to;
                Fresh::All
            }
            (start, end) if start <= from && to <= end => Fresh::Nothing,
            (start, end) if start == end => {
                self.last = (from, to);
                Fresh::All
            }
            (_, end) if end < from => {
                self.earlier.push(self.last);
                self.last = (from, to);
                self.limit();
                Fresh::All
            }
            _ => self.insert_among(from, to),
        }
    }

    /// Adds one that does not simply follow the last.
    #[cold]
    fn insert_among(&mut self, from: i64, to: i64) -> Fresh {
        self.earlier.push(self.last);
        let ranges = &mut self.earlier;
        let first = ranges.partition_point(|range| range.1 < from);
        let mut fresh = Vec::new();
        let (mut start, mut end, mut at, mut last) = (from, to, from, first);
        while let Some(&(known, until)) = ranges.get(last).filter(|range| range.0 <= to) {
            if at < known {
                fresh.push((at, known));
            }
            at = at.max(until);
            (start, end) = (start.min(known), end.max(until));
            last += 1;
        }
        if at < to {
            fresh.push((at, to));
        }
        ranges.splice(first..last, [(start, end)]);
        self.last = ranges.pop().unwrap_or_default();
        self.limit();
        match fresh[..] {
            [] => Fresh::Nothing,
            [(start, end)] if start == from && end == to => Fresh::All,
            _ => Fresh::Some(fresh.into()),
        }
    }

    fn limit(&mut self) {
        if self.earlier.len() >= KEPT {
            let (oldest, _) = self.earlier.remove(0);
            let next = self.earlier.first_mut().unwrap_or(&mut self.last);
            next.0 = oldest;
        }
    }

    /// Number of captured bytes in `from..to`.
    pub(super) fn within(&self, from: i64, to: i64) -> u64 {
        overlap(&self.earlier, from, to) + overlap(&[self.last], from, to)
    }

    /// Start of the first range.
    pub(super) fn start(&self) -> Option<i64> {
        let first = self.earlier.first().unwrap_or(&self.last);
        (first.0 < first.1).then_some(first.0)
    }

    /// Where the last of them ends.
    pub(super) fn end(&self) -> Option<i64> {
        (self.last.0 < self.last.1).then_some(self.last.1)
    }
}

/// Number of offsets of `from..to` in ranges that are in order and do not overlap.
fn overlap(ranges: &[(i64, i64)], from: i64, to: i64) -> u64 {
    let first = ranges.partition_point(|range| range.1 <= from);
    ranges[first..]
        .iter()
        .take_while(|range| range.0 < to)
        .map(|range| (range.1.min(to) - range.0.max(from)) as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn like_a_set(inserted in prop::collection::vec((0i64..60, 0i64..12), 0..30)) {
            let mut ranges = Ranges::default();
            let mut set = BTreeSet::new();
            for (from, len) in inserted {
                let to = from + len;
                let fresh = ranges.insert(from, to);
                for at in from..to {
                    let is_fresh = fresh.within(at, at + 1) == 1;
                    prop_assert_eq!(is_fresh, set.insert(at));
                }
                prop_assert_eq!(ranges.within(0, 100), set.len() as u64);
                prop_assert_eq!(ranges.start(), set.first().copied());
                prop_assert_eq!(ranges.end(), set.last().map(|at| at + 1));
                let mut all = ranges.earlier.clone();
                all.push(ranges.last);
                prop_assert!(all.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
        }
    }
}

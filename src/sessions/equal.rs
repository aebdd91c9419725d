//! [`Equal`]: publications that only their order distinguishes.

/// The numbers of publications that have the same key, oldest first: mostly one.
#[derive(Debug)]
pub(super) enum Equal {
    One(u64),
    Many(Box<Queue>),
}

#[derive(Debug)]
pub(super) struct Queue {
    numbers: Vec<u64>,
    /// How many of them were removed.
    removed: usize,
}

impl Equal {
    pub(super) fn all(&self) -> &[u64] {
        match self {
            Self::One(number) => std::slice::from_ref(number),
            Self::Many(queue) => &queue.numbers[queue.removed..],
        }
    }

    pub(super) fn push(&mut self, number: u64) {
        match self {
            Self::One(first) => {
                *self = Self::Many(Box::new(Queue {
                    numbers: vec![*first, number],
                    removed: 0,
                }));
            }
            Self::Many(queue) => queue.numbers.push(number),
        }
    }

    /// Removes the oldest. Returns whether there are others.
    pub(super) fn remove_first(&mut self) -> bool {
        let Self::Many(queue) = self else {
            return false;
        };
        queue.removed += 1;
        if queue.removed > queue.numbers.len() / 2 {
            queue.numbers.drain(..queue.removed);
            queue.removed = 0;
        }
        !queue.numbers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_publications_leave_oldest_first() {
        let mut equal = Equal::One(1);
        (2..=1000).for_each(|number| equal.push(number));
        for first in 1..1000 {
            assert_eq!(equal.all().first(), Some(&first));
            assert_eq!(equal.all().len() as u64, 1001 - first);
            assert!(equal.remove_first());
        }
        assert_eq!(equal.all(), [1000]);
        assert!(!equal.remove_first());
        assert!(!Equal::One(1).remove_first());
    }
}

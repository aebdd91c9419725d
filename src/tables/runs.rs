//! [`Runs`]: the values of a column, equal neighbours counted.

/// A value, and how many rows have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    /// A number, or what stands for a text; 0 if there is none.
    pub(super) value: u64,
    pub(super) rows: u32,
    pub(super) is_null: bool,
}

/// The values of a column. Columns of neighbouring rows are mostly equal: adding such a
/// value is a comparison, and encoding a thousand of them one step.
#[derive(Debug)]
pub(super) struct Runs {
    done: Vec<Run>,
    /// Without rows only at the beginning.
    last: Run,
}

impl Runs {
    pub(super) const fn new() -> Self {
        let last = Run {
            value: 0,
            rows: 0,
            is_null: false,
        };
        Self {
            done: Vec::new(),
            last,
        }
    }

    /// Adds `value`, `rows` times.
    #[inline]
    pub(super) fn push(&mut self, value: u64, rows: u32) {
        if self.last.value == value && !self.last.is_null {
            self.last.rows += rows;
        } else {
            self.begin(Run {
                value,
                rows,
                is_null: false,
            });
        }
    }

    /// Adds rows without a value.
    #[inline]
    pub(super) fn push_null(&mut self, rows: u32) {
        if self.last.is_null {
            self.last.rows += rows;
        } else {
            self.begin(Run {
                value: 0,
                rows,
                is_null: true,
            });
        }
    }

    /// Adds rows with the last value, or without one as the last row.
    #[inline]
    pub(super) fn repeat(&mut self, rows: u32) {
        self.last.rows += rows;
    }

    #[inline]
    fn begin(&mut self, run: Run) {
        let before = std::mem::replace(&mut self.last, run);
        if before.rows > 0 {
            self.done.push(before);
        }
    }

    /// The last value, unless the last row has none.
    #[inline]
    pub(super) fn last(&self) -> Option<u64> {
        (self.last.rows > 0 && !self.last.is_null).then_some(self.last.value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Run> + Clone {
        let last = (self.last.rows > 0).then_some(self.last);
        self.done.iter().copied().chain(last)
    }

    /// How many runs there are, at most.
    pub(super) fn len(&self) -> usize {
        self.done.len() + 1
    }

    /// How many rows.
    pub(super) fn rows(&self) -> usize {
        self.iter().map(|run| run.rows as usize).sum()
    }

    /// Removes all, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.done.clear();
        self.last = Self::new().last;
    }

    /// Those that have values.
    pub(super) fn values(&self) -> impl Iterator<Item = (u64, usize)> + Clone {
        let some = self.iter().filter(|run| !run.is_null);
        some.map(|run| (run.value, run.rows as usize))
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.done.len() * size_of::<Run>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_are_one_run() {
        let mut runs = Runs::new();
        assert_eq!(runs.iter().count(), 0);
        for (value, rows) in [
            (Some(0), 1),
            (Some(0), 2),
            (None, 1),
            (None, 3),
            (Some(0), 1),
        ] {
            match value {
                Some(value) => runs.push(value, rows),
                None => runs.push_null(rows),
            }
        }
        let found: Vec<_> = runs.iter().map(|run| (run.rows, run.is_null)).collect();
        assert_eq!(found, [(3, false), (4, true), (1, false)]);
        assert_eq!(runs.values().collect::<Vec<_>>(), [(0, 3), (0, 1)]);
        assert_eq!(runs.last(), Some(0));
    }
}

//! [`Runs`]: the values of a column in a page, equal neighbours once.

/// A value, and the first row that has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Start {
    /// A number, or what stands for a text; 0 if there is none.
    value: u64,
    row: u32,
    is_null: bool,
}

/// The values of a column. Columns of neighbouring rows are mostly equal: a row whose value
/// is that of the row before takes no step at all, and encoding a thousand of them takes
/// one.
#[derive(Debug)]
pub(super) struct Runs {
    done: Vec<Start>,
    last: Start,
    has_nulls: bool,
}

impl Runs {
    pub(super) const fn new() -> Self {
        let last = Start {
            value: 0,
            row: 0,
            is_null: false,
        };
        Self {
            done: Vec::new(),
            last,
            has_nulls: false,
        }
    }

    /// The value of `row`, and of those after it, until another is set. Rows are set in
    /// their order.
    #[inline]
    pub(super) fn set(&mut self, value: u64, row: u32) {
        if self.last.value != value || self.last.is_null {
            self.begin(Start {
                value,
                row,
                is_null: false,
            });
        }
    }

    /// `row`, and those after it, have no value.
    #[inline]
    pub(super) fn set_null(&mut self, row: u32) {
        if !self.last.is_null {
            self.has_nulls = true;
            self.begin(Start {
                value: 0,
                row,
                is_null: true,
            });
        }
    }

    #[inline]
    fn begin(&mut self, next: Start) {
        if self.last.row < next.row {
            self.done.push(self.last);
        }
        self.last = next;
    }

    /// The last value, unless the last row has none; 0 before the first row.
    #[inline]
    pub(super) fn last(&self) -> Option<u64> {
        (!self.last.is_null).then_some(self.last.value)
    }

    /// Whether there may be rows without a value.
    pub(super) const fn has_nulls(&self) -> bool {
        self.has_nulls
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.done.len() + 1
    }

    /// Each of them, where there are so many rows: its value if it has one, and how many
    /// rows it has.
    #[inline]
    pub(super) fn each(&self, rows: u32, mut f: impl FnMut(Option<u64>, u32)) {
        let value = |start: &Start| (!start.is_null).then_some(start.value);
        let mut starts = self.done.iter();
        if let Some(mut start) = starts.next() {
            for next in starts {
                f(value(start), next.row - start.row);
                start = next;
            }
            f(value(start), self.last.row - start.row);
        }
        f(value(&self.last), rows - self.last.row);
    }

    /// Each of them that has a value.
    #[inline]
    pub(super) fn each_value(&self, rows: u32, mut f: impl FnMut(u64, u32)) {
        self.each(rows, |value, rows| {
            if let Some(value) = value {
                f(value, rows);
            }
        });
    }

    /// The next page begins, with the value of the last row, now known as `value`.
    pub(super) fn turn(&mut self, value: u64) {
        self.done.clear();
        self.last.row = 0;
        self.has_nulls = self.last.is_null;
        if !self.last.is_null {
            self.last.value = value;
        }
    }

    /// Removes all, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.done.clear();
        self.last = Self::new().last;
        self.has_nulls = false;
    }

    /// Bytes of memory of its values.
    pub(super) fn memory(&self) -> usize {
        self.done.len() * size_of::<Start>()
    }

    /// Bytes of memory that it takes.
    pub(super) fn footprint(&self) -> usize {
        self.done.capacity() * size_of::<Start>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(runs: &Runs, rows: u32) -> Vec<(Option<u64>, u32)> {
        let mut all = Vec::new();
        runs.each(rows, |value, rows| all.push((value, rows)));
        all
    }

    #[test]
    fn equal_neighbours_are_one_run() {
        let mut runs = Runs::new();
        for (row, value) in [
            (0, Some(0)),
            (1, Some(0)),
            (3, None),
            (4, None),
            (7, Some(0)),
        ] {
            match value {
                Some(value) => runs.set(value, row),
                None => runs.set_null(row),
            }
        }
        assert_eq!(all(&runs, 9), [(Some(0), 3), (None, 4), (Some(0), 2)]);
        let mut values = Vec::new();
        runs.each_value(9, |value, rows| values.push((value, rows)));
        assert_eq!(values, [(0, 3), (0, 2)]);
        assert_eq!((runs.last(), runs.len()), (Some(0), 3));
    }

    #[test]
    fn a_page_begins_with_the_value_of_the_one_before() {
        let mut runs = Runs::new();
        runs.set(7, 0);
        runs.set(8, 1);
        runs.turn(1);
        assert_eq!(all(&runs, 2), [(Some(1), 2)]);
        runs.set(2, 0);
        assert_eq!(
            all(&runs, 2),
            [(Some(2), 2)],
            "no rows had the value before"
        );
    }
}

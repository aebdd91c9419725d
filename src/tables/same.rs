//! [`Same`]: the columns that all rows of a connection have in common.
//!
//! Rows of many connections take turns. Their names and addresses have numbers, and looking
//! one up touches memory in several places; here all numbers of a connection are together.

/// Most columns of a table that are in common.
pub(super) const COMMON: usize = 10;
/// Most connections that are remembered: the latest with each remainder.
const CONNECTIONS: usize = 1024;
/// As many at first.
const FEW: usize = 16;

/// The values of a connection, as its columns have them: [`Runs`](super::runs::Runs).
#[derive(Clone, Copy, Debug)]
struct Values {
    stamp: u64,
    values: [Option<u64>; COMMON],
}

/// The connection of the row, and the values of connections.
#[derive(Debug, Default)]
pub(super) struct Same {
    /// What the connection of the row is known by; 0 for none.
    stamp: u64,
    state: State,
    /// Columns of the row that were passed.
    passed: usize,
    remembered: Vec<Values>,
    /// Rows whose connection was not remembered, since `remembered` has grown.
    missed: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// It is that of the row before.
    Repeated,
    /// Its values are remembered.
    Remembered,
    /// Nothing is remembered of it.
    #[default]
    New,
}

/// The values of some columns.
pub(super) enum Next<'a> {
    /// Those of the row before.
    Repeated,
    /// These.
    Remembered(&'a [Option<u64>]),
    /// Not known: to be [remembered](Same::remember), at these places.
    New(std::ops::Range<usize>),
}

impl Same {
    /// A row of this connection begins.
    #[inline]
    pub(super) fn turn_to(&mut self, stamp: u64) {
        self.passed = 0;
        if stamp == self.stamp && stamp > 0 {
            self.state = State::Repeated;
            return;
        }
        self.stamp = stamp;
        let known = self.remembered.get(self.place());
        self.state = match known {
            Some(known) if known.stamp == stamp && stamp > 0 => State::Remembered,
            _ => State::New,
        };
        if matches!(self.state, State::New) && stamp > 0 {
            self.miss();
        }
    }

    /// Where the connection of the row is remembered.
    #[inline]
    fn place(&self) -> usize {
        self.stamp as usize % self.remembered.len().max(1)
    }

    /// Makes room where connections displace each other.
    fn miss(&mut self) {
        const NONE: Values = Values {
            stamp: 0,
            values: [None; COMMON],
        };
        let length = self.remembered.len();
        self.missed += 1;
        if self.missed > length && length < CONNECTIONS {
            self.missed = 0;
            self.remembered.clear();
            self.remembered.resize((4 * length).max(FEW), NONE);
        }
    }

    /// The values of the next columns, so many of them.
    #[inline]
    pub(super) fn next(&mut self, columns: usize) -> Next<'_> {
        let columns = self.passed..self.passed + columns;
        self.passed = columns.end;
        match self.state {
            State::Repeated => Next::Repeated,
            State::Remembered => Next::Remembered(&self.remembered[self.place()].values[columns]),
            State::New => Next::New(columns),
        }
    }

    /// The value of a column that [`Self::next`] did not know.
    pub(super) fn remember(&mut self, column: usize, value: Option<u64>) {
        if self.stamp == 0 {
            return;
        }
        let place = self.place();
        let known = &mut self.remembered[place];
        known.stamp = self.stamp;
        known.values[column] = value;
    }

    /// Removes all: numbers of texts begin anew.
    pub(super) fn clear(&mut self) {
        self.remembered.iter_mut().for_each(|known| known.stamp = 0);
        self.stamp = 0;
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.remembered.len() * size_of::<Values>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of both columns of a row, and where they come from.
    fn row(same: &mut Same, stamp: u64, value: u64) -> (&'static str, Vec<Option<u64>>) {
        same.turn_to(stamp);
        let next = match same.next(2) {
            Next::Repeated => return ("repeated", Vec::new()),
            Next::Remembered(values) => return ("remembered", values.to_vec()),
            Next::New(columns) => columns,
        };
        for column in next {
            same.remember(column, Some(value).filter(|_| column > 0));
        }
        ("new", Vec::new())
    }

    #[test]
    fn connections_that_take_turns_are_remembered() {
        let mut same = Same::default();
        let (other, third) = (7 + FEW as u64, 8);
        assert_eq!(row(&mut same, 7, 1).0, "new");
        assert_eq!(row(&mut same, 7, 1).0, "repeated");
        assert_eq!(row(&mut same, third, 3).0, "new");
        assert_eq!(row(&mut same, 7, 1), ("remembered", vec![None, Some(1)]));
        assert_eq!(row(&mut same, other, 2).0, "new", "the same remainder");
        assert_eq!(row(&mut same, 7, 1).0, "new");
        assert_eq!(
            row(&mut same, third, 3),
            ("remembered", vec![None, Some(3)])
        );
        same.clear();
        assert_eq!(row(&mut same, third, 3).0, "new");
    }

    #[test]
    fn many_connections_get_room() {
        let mut same = Same::default();
        for _ in 0..20 {
            (1..=1000).for_each(|stamp| drop(row(&mut same, stamp, stamp)));
        }
        assert_eq!(same.remembered.len(), CONNECTIONS);
        for stamp in 1..=1000 {
            let values = vec![None, Some(stamp)];
            assert_eq!(row(&mut same, stamp, stamp), ("remembered", values));
        }
    }

    #[test]
    fn what_no_connection_has_is_not_remembered() {
        let mut same = Same::default();
        assert_eq!(row(&mut same, 0, 1).0, "new");
        assert_eq!(row(&mut same, 0, 1).0, "new");
    }
}

//! Stands for the ciphers where they were not built in: nothing opens.

use super::suite::Suite;

/// Opens nothing; there is none.
pub(super) enum Opener {}

/// Content of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Opened {
    /// Type of the content.
    pub(super) kind: u8,
    /// Bytes of content.
    pub(super) len: usize,
    /// Whether there is more than has to be after it.
    pub(super) padded: bool,
}

impl Opener {
    pub(super) fn suite(&self) -> Suite {
        match *self {}
    }

    pub(super) fn open(
        &self,
        _sequence: u64,
        _record: &[u8],
        _out: &mut Vec<u8>,
    ) -> Option<Opened> {
        match *self {}
    }
}

//! The ledgers of connections, by number.

use super::super::Map;
use super::connection::ConnectionLedger;

/// The ledgers of connections that are not closed.
#[derive(Debug, Default)]
pub(super) struct Ledgers {
    #[expect(clippy::vec_box, reason = "places are used again, ledgers are large")]
    places: Vec<Option<Box<ConnectionLedger>>>,
    free: Vec<u32>,
    index: Map<u64, u32>,
    /// The connection that was asked for last, and its place: packets and control
    /// packets come in runs.
    latest: (u64, u32),
}

impl Ledgers {
    /// The place of a connection.
    #[inline]
    pub(super) fn find(&mut self, number: u64) -> Option<u32> {
        if self.latest.0 != number {
            self.latest = (number, *self.index.get(&number)?);
        }
        Some(self.latest.1)
    }

    /// The ledger in a place that [`Self::find`] or [`Self::insert`] returned.
    #[inline]
    pub(super) fn at(&mut self, place: u32) -> Option<&mut ConnectionLedger> {
        self.places.get_mut(place as usize)?.as_deref_mut()
    }

    /// The ledger of a connection.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut ConnectionLedger> {
        let place = self.find(number)?;
        self.at(place)
    }

    /// Adds one; there must be none of this number.
    pub(super) fn insert(&mut self, number: u64, ledger: Box<ConnectionLedger>) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            (self.places.len() - 1) as u32
        });
        self.places[place as usize] = Some(ledger);
        self.index.insert(number, place);
        self.latest = (number, place);
        place
    }

    /// Takes one.
    pub(super) fn remove(&mut self, number: u64) -> Option<Box<ConnectionLedger>> {
        let place = self.index.remove(&number)?;
        self.free.push(place);
        self.latest = (0, 0);
        self.places[place as usize].take()
    }

    /// The numbers of the connections, in no order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.index.keys().copied()
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ConnectionLedger> {
        self.places.iter().flatten().map(|ledger| &**ledger)
    }
}

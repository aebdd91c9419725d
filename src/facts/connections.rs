//! [`Connections`]: the open connections by number.
//!
//! Facts come in runs: what a packet shows of TCP, its control packets and what
//! they bring about are all of one connection, which is looked up once.

use std::collections::HashMap;

use super::connection::ConnectionFacts;

/// The facts of each open connection, by its number.
#[derive(Debug, Default)]
pub(super) struct Connections {
    places: HashMap<u64, u32, foldhash::fast::FixedState>,
    all: Vec<Option<Box<ConnectionFacts>>>,
    free: Vec<u32>,
    /// The one that was asked for last, and its place.
    latest: Option<(u64, u32)>,
}

impl Connections {
    #[inline]
    fn place(&self, number: u64) -> Option<u32> {
        match self.latest {
            Some((latest, place)) if latest == number => Some(place),
            _ => self.places.get(&number).copied(),
        }
    }

    #[inline]
    pub(super) fn get(&self, number: u64) -> Option<&ConnectionFacts> {
        self.all[self.place(number)? as usize].as_deref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut ConnectionFacts> {
        let place = self.place(number)?;
        self.latest = Some((number, place));
        self.all[place as usize].as_deref_mut()
    }

    /// The one with this number, which `new` makes if there is none.
    #[inline]
    pub(super) fn get_or_insert_with(
        &mut self,
        number: u64,
        new: impl FnOnce() -> Box<ConnectionFacts>,
    ) -> &mut ConnectionFacts {
        let place = match self.place(number) {
            Some(place) => place,
            None => self.insert(number),
        };
        self.latest = Some((number, place));
        self.all[place as usize].get_or_insert_with(new)
    }

    fn insert(&mut self, number: u64) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            (self.all.len() - 1) as u32
        });
        self.places.insert(number, place);
        place
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Box<ConnectionFacts>> {
        let place = self.places.remove(&number)?;
        self.latest = None;
        self.free.push(place);
        self.all[place as usize].take()
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.place(number).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// All of them, in no order that means anything.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ConnectionFacts> {
        self.all.iter_mut().filter_map(Option::as_deref_mut)
    }

    /// Their numbers in order.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.places.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }
}

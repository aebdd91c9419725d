//! [`ByConnection`]: values of open connections, by the connection's number.
//!
//! Facts come in runs: what a packet shows of TCP, its control packets and what
//! they bring about are all of one connection, which is looked up once.

use std::collections::HashMap;

/// A value for each open connection, by its number.
#[derive(Debug)]
pub(crate) struct ByConnection<T> {
    places: HashMap<u64, u32, foldhash::fast::FixedState>,
    all: Vec<Option<T>>,
    free: Vec<u32>,
    /// The one that was asked for last, and its place.
    latest: Option<(u64, u32)>,
}

impl<T> Default for ByConnection<T> {
    fn default() -> Self {
        Self {
            places: HashMap::default(),
            all: Vec::new(),
            free: Vec::new(),
            latest: None,
        }
    }
}

impl<T> ByConnection<T> {
    #[inline]
    fn place(&self, number: u64) -> Option<u32> {
        match self.latest {
            Some((latest, place)) if latest == number => Some(place),
            _ => self.places.get(&number).copied(),
        }
    }

    #[inline]
    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        self.all[self.place(number)? as usize].as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let place = self.place(number)?;
        self.latest = Some((number, place));
        self.all[place as usize].as_mut()
    }

    /// The one with this number, which `new` makes if there is none.
    #[inline]
    pub(crate) fn get_or_insert_with(&mut self, number: u64, new: impl FnOnce() -> T) -> &mut T {
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

    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let place = self.places.remove(&number)?;
        self.latest = None;
        self.free.push(place);
        self.all[place as usize].take()
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.place(number).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// All of them, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.all.iter().flatten()
    }

    /// The same, to change.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.all.iter_mut().flatten()
    }

    /// Their numbers in order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.places.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }
}

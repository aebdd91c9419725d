//! [`OpenExchanges`]: values beside the exchanges that are open.

use std::collections::HashMap;

use super::tracker::First;

/// A value for each exchange that is open, such as what is known of it so far.
#[derive(Debug)]
pub struct OpenExchanges<T> {
    /// By [`First::slot`].
    open: Vec<Option<T>>,
    /// The slots of each connection.
    slots: HashMap<u64, Vec<u32>, foldhash::fast::FixedState>,
}

impl<T> Default for OpenExchanges<T> {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            slots: HashMap::default(),
        }
    }
}

impl<T> OpenExchanges<T> {
    /// An exchange is opened. Returns the value of the one that it replaces.
    pub fn open(&mut self, connection: u64, first: First, value: T) -> Option<T> {
        let slot = first.slot as usize;
        if slot >= self.open.len() {
            self.open.resize_with(slot + 1, || None);
        }
        let before = self.open[slot].replace(value);
        if before.is_none() {
            self.slots.entry(connection).or_default().push(first.slot);
        }
        before
    }

    /// The value of an open exchange.
    pub fn get_mut(&mut self, first: First) -> Option<&mut T> {
        self.open.get_mut(first.slot as usize)?.as_mut()
    }

    /// An exchange is complete. Returns its value.
    pub fn complete(&mut self, connection: u64, first: First) -> Option<T> {
        let value = self.open.get_mut(first.slot as usize)?.take()?;
        if let Some(slots) = self.slots.get_mut(&connection)
            && let Some(at) = slots.iter().position(|slot| *slot == first.slot)
        {
            slots.swap_remove(at);
        }
        Some(value)
    }

    /// A connection is over. Returns the values of its exchanges that are open.
    pub fn ended(&mut self, connection: u64) -> Vec<T> {
        let mut slots = self.slots.remove(&connection).unwrap_or_default();
        slots.sort_unstable();
        let open = slots.into_iter();
        open.filter_map(|slot| self.open.get_mut(slot as usize)?.take())
            .collect()
    }

    /// The capture has ended. Returns the values of all exchanges that are open, by
    /// connection.
    pub fn finish(&mut self) -> Vec<T> {
        let mut connections: Vec<u64> = self.slots.keys().copied().collect();
        connections.sort_unstable();
        let all = connections.into_iter();
        all.flat_map(|connection| self.ended(connection)).collect()
    }
}

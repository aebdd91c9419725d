//! [`OpenExchanges`]: values beside the exchanges that are open.

use std::collections::HashMap;

use super::tracker::First;

/// A value for each exchange that is open, such as what is known of it so far.
#[derive(Debug)]
pub struct OpenExchanges<T> {
    /// By [`First::slot`], with the place of the slot in those of its connection.
    open: Vec<Option<(T, u32)>>,
    /// The slots of each connection, in no order.
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
        if let Some((before, _)) = &mut self.open[slot] {
            return Some(std::mem::replace(before, value));
        }
        let slots = self.slots.entry(connection).or_default();
        self.open[slot] = Some((value, slots.len() as u32));
        slots.push(first.slot);
        None
    }

    /// The value of an open exchange.
    pub fn get_mut(&mut self, first: First) -> Option<&mut T> {
        let (value, _) = self.open.get_mut(first.slot as usize)?.as_mut()?;
        Some(value)
    }

    /// The values of the open exchanges of a connection.
    pub fn of(&self, connection: u64) -> impl Iterator<Item = &T> {
        let slots = self.slots.get(&connection).into_iter().flatten();
        slots.filter_map(|slot| {
            let (value, _) = self.open.get(*slot as usize)?.as_ref()?;
            Some(value)
        })
    }

    /// An exchange is complete. Returns its value.
    pub fn complete(&mut self, connection: u64, first: First) -> Option<T> {
        let (value, at) = self.open.get_mut(first.slot as usize)?.take()?;
        let at = at as usize;
        if let Some(slots) = self.slots.get_mut(&connection)
            && slots.get(at) == Some(&first.slot)
        {
            slots.swap_remove(at);
            if let Some(moved) = slots.get(at)
                && let Some(Some((_, place))) = self.open.get_mut(*moved as usize)
            {
                *place = at as u32;
            }
        }
        Some(value)
    }

    /// A connection is over. Returns the values of its exchanges that are open.
    pub fn ended(&mut self, connection: u64) -> Vec<T> {
        let mut slots = self.slots.remove(&connection).unwrap_or_default();
        slots.sort_unstable();
        let open = slots.into_iter();
        let taken = open.filter_map(|slot| self.open.get_mut(slot as usize)?.take());
        taken.map(|(value, _)| value).collect()
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

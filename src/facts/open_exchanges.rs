//! [`OpenExchanges`]: values beside the exchanges that are open.

use std::collections::HashMap;

use super::tracker::First;

/// A value for each exchange that is open, such as what is known of it so far.
#[derive(Debug)]
pub struct OpenExchanges<T> {
    /// By [`First::slot`].
    open: Vec<Option<Open<T>>>,
    /// How many were opened.
    opened: u64,
    /// The slots of each connection, in no order.
    slots: HashMap<u64, Vec<u32>, foldhash::fast::FixedState>,
}

#[derive(Debug)]
struct Open<T> {
    value: T,
    /// The place of the slot in those of its connection.
    place: u32,
    /// How many were opened until then.
    order: u64,
}

impl<T> Default for OpenExchanges<T> {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            opened: 0,
            slots: HashMap::default(),
        }
    }
}

impl<T> OpenExchanges<T> {
    /// An exchange is opened. Returns the value of the one that it replaces.
    pub fn open(&mut self, connection: u64, first: First, value: T) -> Option<T> {
        let slot = first.slot as usize;
        self.opened += 1;
        if slot >= self.open.len() {
            self.open.resize_with(slot + 1, || None);
        }
        if let Some(open) = &mut self.open[slot] {
            open.order = self.opened;
            return Some(std::mem::replace(&mut open.value, value));
        }
        let slots = self.slots.entry(connection).or_default();
        self.open[slot] = Some(Open {
            value,
            place: slots.len() as u32,
            order: self.opened,
        });
        slots.push(first.slot);
        None
    }

    /// The value of an open exchange.
    pub fn get_mut(&mut self, first: First) -> Option<&mut T> {
        let open = self.open.get_mut(first.slot as usize)?.as_mut()?;
        Some(&mut open.value)
    }

    /// The values of the open exchanges of a connection.
    pub fn of(&self, connection: u64) -> impl Iterator<Item = &T> {
        let slots = self.slots.get(&connection).into_iter().flatten();
        slots.filter_map(|slot| Some(&self.open.get(*slot as usize)?.as_ref()?.value))
    }

    /// An exchange is complete. Returns its value.
    pub fn complete(&mut self, connection: u64, first: First) -> Option<T> {
        let Open { value, place, .. } = self.open.get_mut(first.slot as usize)?.take()?;
        let at = place as usize;
        if let Some(slots) = self.slots.get_mut(&connection)
            && slots.get(at) == Some(&first.slot)
        {
            slots.swap_remove(at);
            if let Some(moved) = slots.get(at)
                && let Some(Some(open)) = self.open.get_mut(*moved as usize)
            {
                open.place = place;
            }
        }
        Some(value)
    }

    /// A connection is over. Returns the values of its exchanges that are open, in the order
    /// in which they were opened: slots are used again in any order.
    pub fn ended(&mut self, connection: u64) -> Vec<T> {
        let slots = self.slots.remove(&connection).unwrap_or_default();
        let open = slots.into_iter();
        let taken = open.filter_map(|slot| self.open.get_mut(slot as usize)?.take());
        let mut all: Vec<Open<T>> = taken.collect();
        all.sort_unstable_by_key(|open| open.order);
        all.into_iter().map(|open| open.value).collect()
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

//! Directions of a connection between client and server, and values for each.
//!
//! [`Direction`] names a byte stream of a connection; [`Side`] names a peer, such
//! as the one that closed or broke a rule. [`Direction::sender`] maps one to the
//! other. The TCP stage runs before it is known which peer is the client; there
//! the peers are the two ends of a connection, [`crate::flow::End`].

use serde::{Deserialize, Serialize};

use std::ops::{Index, IndexMut};

/// A byte stream of a connection, by its sender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Direction {
    /// From client to server.
    Up,
    /// From server to client.
    Down,
}

impl Direction {
    /// Both, the client's first.
    pub const ALL: [Self; 2] = [Self::Up, Self::Down];

    /// `up` or `down`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// The other direction.
    pub const fn reversed(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }

    /// The peer that sends in this direction.
    pub const fn sender(self) -> Side {
        match self {
            Self::Up => Side::Client,
            Self::Down => Side::Server,
        }
    }
}

/// A peer of an MQTT connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

impl Side {
    /// `client` or `server`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// The direction in which this peer sends.
    pub const fn sends(self) -> Direction {
        match self {
            Self::Client => Direction::Up,
            Self::Server => Direction::Down,
        }
    }
}

/// One value for each direction, indexed by [`Direction`].
///
/// ```
/// use mqttdump::direction::{Direction, PerDirection};
///
/// let mut frames = PerDirection::<u64>::default();
/// frames[Direction::Up] += 1;
/// assert_eq!(frames, PerDirection { up: 1, down: 0 });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct PerDirection<T> {
    /// From client to server.
    pub up: T,
    /// From server to client.
    pub down: T,
}

impl<T> PerDirection<T> {
    /// The value that `of` gives for each direction.
    pub fn from_fn(mut of: impl FnMut(Direction) -> T) -> Self {
        Self {
            up: of(Direction::Up),
            down: of(Direction::Down),
        }
    }

    /// The same value for both.
    pub const fn both(value: T) -> Self
    where
        T: Copy,
    {
        Self {
            up: value,
            down: value,
        }
    }

    /// Each value turned into another.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> PerDirection<U> {
        PerDirection {
            up: f(self.up),
            down: f(self.down),
        }
    }

    /// References to both.
    pub const fn each_ref(&self) -> PerDirection<&T> {
        PerDirection {
            up: &self.up,
            down: &self.down,
        }
    }

    /// The value of a direction, and that of the other.
    pub const fn split_mut(&mut self, direction: Direction) -> (&mut T, &mut T) {
        match direction {
            Direction::Up => (&mut self.up, &mut self.down),
            Direction::Down => (&mut self.down, &mut self.up),
        }
    }

    /// Both values, the client's first.
    pub fn iter(&self) -> std::array::IntoIter<&T, 2> {
        [&self.up, &self.down].into_iter()
    }

    /// Both values, to change.
    pub fn iter_mut(&mut self) -> std::array::IntoIter<&mut T, 2> {
        [&mut self.up, &mut self.down].into_iter()
    }
}

impl<T> IntoIterator for PerDirection<T> {
    type Item = T;
    type IntoIter = std::array::IntoIter<T, 2>;

    fn into_iter(self) -> Self::IntoIter {
        [self.up, self.down].into_iter()
    }
}

impl<'a, T> IntoIterator for &'a PerDirection<T> {
    type Item = &'a T;
    type IntoIter = std::array::IntoIter<&'a T, 2>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut PerDirection<T> {
    type Item = &'a mut T;
    type IntoIter = std::array::IntoIter<&'a mut T, 2>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T> Index<Direction> for PerDirection<T> {
    type Output = T;

    #[inline]
    fn index(&self, direction: Direction) -> &T {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }
}

impl<T> IndexMut<Direction> for PerDirection<T> {
    #[inline]
    fn index_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

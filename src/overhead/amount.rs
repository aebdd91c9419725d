//! Counts that need not be whole: means, models, projections.

use std::ops::{Add, AddAssign, Mul, Sub};

use super::level::{Level, Measures};
use super::term::{Term, Terms};
use crate::frame::{Direction, PerDirection};

/// [`Measures`] in fractions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Amount {
    pub l2: f64,
    pub l3: f64,
    pub packets: f64,
    pub tcp: f64,
    pub mqtt: f64,
    pub app: f64,
}

impl Amount {
    /// This many bytes of control packets.
    pub fn mqtt(bytes: f64) -> Self {
        Self {
            mqtt: bytes,
            ..Self::tcp(bytes)
        }
    }

    /// This many bytes of TCP payload that is not MQTT.
    pub fn tcp(bytes: f64) -> Self {
        Self {
            l2: bytes,
            l3: bytes,
            tcp: bytes,
            ..Self::default()
        }
    }

    /// So many bytes less in headers.
    pub(super) fn less_header(bytes: f64) -> Self {
        Self {
            l2: -bytes,
            l3: -bytes,
            ..Self::default()
        }
    }

    /// The bytes that count at a level.
    pub fn at(&self, level: Level) -> f64 {
        match level {
            Level::L2 => self.l2,
            Level::L3 => self.l3,
            Level::L3Plus(more) => self.l3 + f64::from(more) * self.packets,
            Level::Tcp => self.tcp,
            Level::Mqtt => self.mqtt,
            Level::App => self.app,
        }
    }

    fn with(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            l2: f(self.l2, other.l2),
            l3: f(self.l3, other.l3),
            packets: f(self.packets, other.packets),
            tcp: f(self.tcp, other.tcp),
            mqtt: f(self.mqtt, other.mqtt),
            app: f(self.app, other.app),
        }
    }
}

impl From<Measures> for Amount {
    fn from(measures: Measures) -> Self {
        Self {
            l2: measures.l2 as f64,
            l3: measures.l3 as f64,
            packets: measures.packets as f64,
            tcp: measures.tcp as f64,
            mqtt: measures.mqtt as f64,
            app: measures.app as f64,
        }
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }
}

impl Mul<f64> for Amount {
    type Output = Self;

    fn mul(self, by: f64) -> Self {
        self.with(self, |a, _| a * by)
    }
}

/// Fractions of bytes by what they scale with, up and down.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bill([PerDirection<Amount>; Term::ALL.len()]);

impl Bill {
    /// Bytes that scale with something, in one direction.
    pub fn get(&self, term: Term, direction: Direction) -> Amount {
        self.0[term as usize][direction]
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, term: Term, direction: Direction) -> &mut Amount {
        &mut self.0[term as usize][direction]
    }

    /// Bytes that scale with something, in both directions.
    pub fn both(&self, term: Term) -> Amount {
        self.get(term, Direction::Up) + self.get(term, Direction::Down)
    }

    /// Everything.
    pub fn total(&self) -> Amount {
        Term::ALL
            .into_iter()
            .map(|term| self.both(term))
            .fold(Amount::default(), Add::add)
    }
}

impl From<Terms> for Bill {
    fn from(terms: Terms) -> Self {
        Self(Term::ALL.map(|term| {
            PerDirection::from_fn(|direction| Amount::from(terms.get(term, direction)))
        }))
    }
}

impl AddAssign for Bill {
    fn add_assign(&mut self, other: Self) {
        for (ours, theirs) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            *ours += *theirs;
        }
    }
}

//! Reading one direction of TLS 1.3.
//!
//! ```text
//!           ClientHello    EndOfEarlyData    Finished          KeyUpdate
//! client   plain ──────── early ──────────── handshake ─────── data 0 ──── data 1 …
//! server   plain ──────── (none) ─────────── handshake ─────── data 0 ──── data 1 …
//!            ServerHello                     Finished          KeyUpdate
//! ```
//! Every record that is sealed claims to be application data; which of
//! these keys it is sealed with, and its real type, only opening it shows.
//! So the messages that end an epoch are the quick way to know the next keys,
//! and trying later keys on a record that did not open is the sure one: it
//! needs none of the messages, and finds a way over early data that a server
//! refused, a lost Finished or a lost KeyUpdate.

use super::cipher::{Opened, Opener};
use super::keylog::{Label, Secret, Secrets};
use super::schedule;
use super::search::Trial;
use super::suite::{Hash, Suite};
use crate::direction::Direction;
use crate::limits;

/// The keys of one direction, and how far it is.
#[derive(Default)]
pub(super) struct Reader {
    epoch: Epoch,
    /// The keys of the epoch, once known.
    current: Option<Keys>,
    sequence: u64,
}

/// Which keys a side writes with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) enum Epoch {
    /// None yet.
    #[default]
    Plain,
    /// Those of early data.
    Early,
    /// Those of the handshake.
    Handshake,
    /// Those of the connection.
    Data,
}

struct Keys {
    opener: Opener,
    secret: Secret,
}

/// Outcome of a record.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It opened.
    Opened(Opened, Jump),
    /// A secret that it may need is not known.
    Missing,
    /// The same, but the secret will not come.
    Absent,
    /// Its cipher was agreed on in a hello that is not known.
    Unknown,
    /// It does not open with any key that it could be sealed with.
    Refused,
}

/// How far a record lies from the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Jump {
    /// Records that were missed under the keys that opened it.
    pub(super) missed: u64,
    /// Which keys these are.
    pub(super) keys: Under,
}

/// Which keys opened a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Under {
    /// Those that were in use, or known to be the next.
    Same,
    /// Those that come after them in the handshake.
    Next,
    /// Those after a KeyUpdate that was missed.
    Updated,
}

/// Known properties of the connection.
pub(super) struct Known<'a> {
    pub(super) direction: Direction,
    pub(super) secrets: Option<&'a Secrets>,
    /// The suite, if the ServerHello is known.
    pub(super) suite: Option<Suite>,
    /// Those that the client offered.
    pub(super) offered: &'a [u16],
    /// Whether the client may send early data.
    pub(super) early: bool,
}

impl Reader {
    /// Opens a record.
    pub(super) fn open(&mut self, known: &Known<'_>, mut trial: Trial<'_>) -> Outcome {
        if let Some(current) = &self.current
            && let Some((sequence, opened)) = trial.open(&current.opener, self.sequence)
        {
            let missed = sequence - self.sequence;
            self.sequence = sequence.saturating_add(1);
            let keys = Under::Same;
            return Outcome::Opened(opened, Jump { missed, keys });
        }
        let (mut missing, mut absent) = (false, false);
        for epoch in [Epoch::Early, Epoch::Handshake, Epoch::Data] {
            if epoch < self.epoch || (epoch == self.epoch && self.current.is_some()) {
                continue;
            }
            let Some(label) = label(epoch, known) else {
                continue;
            };
            let Some(secret) = known.secrets.and_then(|secrets| secrets.traffic(label)) else {
                // A key log has them in this order: where a later one is
                // known, an earlier one will not come.
                missing = epoch == Epoch::Data;
                absent |= epoch == Epoch::Early;
                continue;
            };
            for keys in suites(known, secret).filter_map(|suite| Keys::new(suite, secret)) {
                let under = match epoch == self.epoch {
                    true => Under::Same,
                    false => Under::Next,
                };
                if let Some(outcome) = self.open_under(keys, under, epoch, &mut trial) {
                    return outcome;
                }
                if let (Epoch::Data, Some(suite)) = (epoch, known.suite)
                    && let Some(outcome) = self.open_updated(Keys::new(suite, secret), &mut trial)
                {
                    return outcome;
                }
            }
        }
        if let (Epoch::Data, Some(current)) = (self.epoch, &self.current)
            && let Some(outcome) = self.open_updated(current.again(), &mut trial)
        {
            return outcome;
        }
        match (missing, absent) {
            (true, _) => Outcome::Missing,
            (false, true) => Outcome::Absent,
            (false, false) => Outcome::Refused,
        }
    }

    /// Opens a record after a gap in which there may have been a KeyUpdate.
    fn open_updated(&mut self, keys: Option<Keys>, trial: &mut Trial<'_>) -> Option<Outcome> {
        let mut keys = keys?;
        if trial.is_sure() {
            return None;
        }
        for _ in 0..limits::TLS_KEY_UPDATES {
            keys = keys.updated()?;
            let outcome = self.open_under(keys.again()?, Under::Updated, Epoch::Data, trial);
            if outcome.is_some() {
                return outcome;
            }
        }
        None
    }

    /// Opens a record with keys that have not opened any; goes over to them.
    fn open_under(
        &mut self,
        new: Keys,
        keys: Under,
        epoch: Epoch,
        trial: &mut Trial<'_>,
    ) -> Option<Outcome> {
        let (missed, opened) = trial.open_anew(&new.opener)?;
        self.current = Some(new);
        self.epoch = epoch;
        self.sequence = missed.saturating_add(1);
        Some(Outcome::Opened(opened, Jump { missed, keys }))
    }

    /// The side's Finished, or EndOfEarlyData, was read.
    pub(super) fn next_epoch(&mut self) {
        self.epoch = match self.epoch {
            Epoch::Plain | Epoch::Early => Epoch::Handshake,
            Epoch::Handshake | Epoch::Data => Epoch::Data,
        };
        self.current = None;
        self.sequence = 0;
    }

    /// A KeyUpdate was read.
    pub(super) fn update(&mut self) {
        self.current = self.current.as_ref().and_then(Keys::updated);
        self.sequence = 0;
    }

    /// Which keys opened the last record.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The suite of the keys in use.
    pub(super) fn suite(&self) -> Option<Suite> {
        self.current.as_ref().map(|keys| keys.opener.suite())
    }
}

impl Keys {
    fn new(suite: Suite, secret: &Secret) -> Option<Self> {
        let opener = schedule::traffic(suite, secret)?;
        let secret = secret.clone();
        Some(Self { opener, secret })
    }

    fn again(&self) -> Option<Self> {
        Self::new(self.opener.suite(), &self.secret)
    }

    fn updated(&self) -> Option<Self> {
        let suite = self.opener.suite();
        Self::new(suite, &schedule::updated(suite.hash, &self.secret)?)
    }
}

fn label(epoch: Epoch, known: &Known<'_>) -> Option<Label> {
    match (epoch, known.direction) {
        (Epoch::Early, Direction::Up) if known.early => Some(Label::ClientEarly),
        (Epoch::Plain | Epoch::Early, _) => None,
        (Epoch::Handshake, Direction::Up) => Some(Label::ClientHandshake),
        (Epoch::Handshake, Direction::Down) => Some(Label::ServerHandshake),
        (Epoch::Data, Direction::Up) => Some(Label::ClientTraffic),
        (Epoch::Data, Direction::Down) => Some(Label::ServerTraffic),
    }
}

/// The suites that a secret may be used with: the one that was chosen, or,
/// when that was not captured, those of its length that were offered.
fn suites(known: &Known<'_>, secret: &Secret) -> impl Iterator<Item = Suite> {
    let hash = Hash::of_secret(secret.bytes().len());
    let (chosen, offered) = (known.suite, known.offered);
    let others = hash.into_iter().flat_map(Suite::v13);
    let fits = move |suite: &Suite| match chosen {
        Some(_) => false,
        None => offered.is_empty() || offered.contains(&suite.id),
    };
    chosen.into_iter().chain(others.filter(fits))
}

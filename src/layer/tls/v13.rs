//! Reading one direction of TLS 1.3.
//!
//! ```text
//!           ClientHello    EndOfEarlyData    Finished          KeyUpdate
//! client   plain ──────── early ──────────── handshake ─────── data 0 ──── data 1 …
//! server   plain ──────── (none) ─────────── handshake ─────── data 0 ──── data 1 …
//!            ServerHello                     Finished          KeyUpdate
//! ```
//! Every record that is sealed says that it is application data; which of
//! these keys it is sealed with, and what it really is, only opening it tells.
//! So the messages that end an epoch are the quick way to know the next keys,
//! and trying later keys on a record that did not open is the sure one: it
//! needs none of the messages, and finds a way over early data that a server
//! refused, a lost Finished or a lost KeyUpdate.

use super::cipher::{Opened, Opener};
use super::keylog::{Label, Secret, Secrets};
use super::schedule;
use super::search::Trial;
use super::suite::{Hash, Suite};
use crate::layer::Way;
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

/// What came of a record.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It opened.
    Opened(Opened, Jump),
    /// A secret that it may need is not known.
    Missing,
    /// What it is sealed with was agreed on in a hello that is not known.
    Unknown,
    /// It does not open with any key that it could be sealed with.
    Refused,
}

/// How far a record lies from the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Jump {
    /// Records that were missed under the keys that opened it.
    pub(super) missed: u64,
    /// These keys were in use before, or known to be the next.
    pub(super) same_keys: bool,
}

/// What is known of the connection.
pub(super) struct Known<'a> {
    pub(super) way: Way,
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
        if let Some(current) = &self.current {
            let next = self.sequence;
            if let Some((sequence, opened)) = trial.open(&current.opener, next) {
                self.sequence = sequence.saturating_add(1);
                let jump = Jump {
                    missed: sequence - next,
                    same_keys: true,
                };
                return Outcome::Opened(opened, jump);
            }
        }
        if self.epoch == Epoch::Data && self.current.is_some() {
            return self.open_updated(trial);
        }
        let mut missing = false;
        for epoch in [Epoch::Early, Epoch::Handshake, Epoch::Data] {
            let passed = epoch < self.epoch || (epoch == self.epoch && self.current.is_some());
            let Some(label) = label(epoch, known) else {
                continue;
            };
            if passed {
                continue;
            }
            let Some(secret) = known.secrets.and_then(|secrets| secrets.traffic(label)) else {
                // A key log has them in this order: where a later one is
                // known, an earlier one will not come.
                missing = epoch == Epoch::Data;
                continue;
            };
            for suite in suites(known, secret) {
                let Some(opener) = schedule::traffic(suite, secret) else {
                    continue;
                };
                if let Some((sequence, opened)) = trial.open_anew(&opener) {
                    let secret = secret.clone();
                    self.current = Some(Keys { opener, secret });
                    self.sequence = sequence.saturating_add(1);
                    let jump = Jump {
                        missed: sequence,
                        same_keys: std::mem::replace(&mut self.epoch, epoch) == epoch,
                    };
                    return Outcome::Opened(opened, jump);
                }
            }
        }
        match missing {
            true => Outcome::Missing,
            false => Outcome::Refused,
        }
    }

    /// Opens a record after a hole in which there may have been a KeyUpdate.
    fn open_updated(&mut self, mut trial: Trial<'_>) -> Outcome {
        if trial.doubt.most == 0 {
            return Outcome::Refused;
        }
        let mut next = self.current.as_ref().and_then(Keys::updated);
        for _ in 0..limits::TLS_KEY_UPDATES {
            let Some(keys) = next else { break };
            if let Some((sequence, opened)) = trial.open_anew(&keys.opener) {
                self.current = Some(keys);
                self.sequence = sequence.saturating_add(1);
                let jump = Jump {
                    missed: sequence,
                    same_keys: false,
                };
                return Outcome::Opened(opened, jump);
            }
            next = keys.updated();
        }
        Outcome::Refused
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
    fn updated(&self) -> Option<Self> {
        let suite = self.opener.suite();
        let secret = schedule::updated(suite.hash, &self.secret)?;
        let opener = schedule::traffic(suite, &secret)?;
        Some(Self { opener, secret })
    }
}

fn label(epoch: Epoch, known: &Known<'_>) -> Option<Label> {
    match (epoch, known.way) {
        (Epoch::Early, Way::Up) if known.early => Some(Label::ClientEarly),
        (Epoch::Plain | Epoch::Early, _) => None,
        (Epoch::Handshake, Way::Up) => Some(Label::ClientHandshake),
        (Epoch::Handshake, Way::Down) => Some(Label::ServerHandshake),
        (Epoch::Data, Way::Up) => Some(Label::ClientTraffic),
        (Epoch::Data, Way::Down) => Some(Label::ServerTraffic),
    }
}

/// The suites that a secret may be used with: the one that was chosen, or,
/// when that was not seen, those of its length that were offered.
fn suites(known: &Known<'_>, secret: &Secret) -> Vec<Suite> {
    if let Some(suite) = known.suite {
        return vec![suite];
    }
    let Some(hash) = Hash::of_secret(secret.bytes().len()) else {
        return Vec::new();
    };
    let offered = |suite: &Suite| known.offered.is_empty() || known.offered.contains(&suite.id);
    Suite::v13(hash).filter(offered).collect()
}

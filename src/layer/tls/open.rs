//! How a record is to be read, and the keys that it takes.
//!
//! ```text
//! header type ─┬─ plain                      before the ChangeCipherSpec
//! and version  ├─ v12: keys of the handshake that turned its cipher on
//!              └─ v13: keys of the epoch, or of the next
//!                   └─ ClientHello lost: of which connection of the key log?
//! ```
//! A record that cannot be opened waits as long as its keys can come; then the
//! reason is reported. Where records were missed before one that opens, this is
//! where it is known how much content they had, if it can be.

use super::Tls;
use super::cipher::Opened;
use super::facts::EarlyData;
use super::info::TlsVersion;
use super::keylog::KeyLog;
use super::record::{HEADER, Record, kind};
use super::search::Trial;
use super::stream::StreamState;
use super::suite::Suite;
use super::unreadable::Unreadable;
use super::v13::{Epoch, Jump, Known, Outcome, Under};
use crate::direction::Direction;
use crate::limits;

/// Outcome of a record.
pub(super) enum Read {
    /// It is not sealed.
    Plain,
    /// It turned a cipher on, or pretends to.
    Change,
    /// It opened; its content begins so many bytes into its body.
    Opened(Opened, usize, Option<u64>),
    /// It may be read later.
    Wait,
    /// It cannot be read, and why.
    Sealed(Unreadable, Concern),
}

/// The scope of the reason that a record cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Concern {
    /// Nothing: it is part of a handshake after which the keys are known.
    Handshake,
    /// Data before the handshake was over.
    EarlyData,
    /// All that follows in its direction, as far as is known.
    All,
}

impl Tls {
    /// Decides how a record is to be read, and opens it.
    pub(super) fn read(
        &mut self,
        direction: Direction,
        record: &Record<'_>,
        early: bool,
        keys: &KeyLog,
        out: &mut Vec<u8>,
    ) -> Read {
        let plain = self.stream(direction).v12.is_plain();
        match (self.facts.version, record.kind()) {
            (Some(TlsVersion::V13), kind::CHANGE_CIPHER_SPEC) => Read::Change,
            (Some(TlsVersion::V13), kind::HANDSHAKE | kind::ALERT) => Read::Plain,
            (Some(TlsVersion::V13), _) => self.open_v13(direction, record, early, keys, out),
            (_, kind::CHANGE_CIPHER_SPEC) => {
                self.stream(direction).v12.change();
                Read::Change
            }
            (None, kind::HANDSHAKE) if plain => Read::Plain,
            (None, kind::ALERT) if plain && record.body().len() == 2 => Read::Plain,
            (None, _) => self.open_v13(direction, record, early, keys, out),
            (Some(_), kind::HANDSHAKE | kind::ALERT) if plain => {
                // Unless the message that turned the cipher on was lost.
                let doubt = self.stream(direction).doubt.most > 0 && self.facts.can_have_keys();
                match doubt.then(|| self.open_v12(direction, record, keys, out)) {
                    Some(read @ Read::Opened(..)) => read,
                    _ => Read::Plain,
                }
            }
            (Some(_), _) => self.open_v12(direction, record, keys, out),
        }
    }

    fn open_v12(
        &mut self,
        direction: Direction,
        record: &Record<'_>,
        keys: &KeyLog,
        out: &mut Vec<u8>,
    ) -> Read {
        if let Some(why) = self.facts.unreadable {
            return Read::Sealed(why, Concern::All);
        }
        let stream = match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        };
        let was_plain = stream.v12.is_plain();
        let finished = stream.v12.is_finished();
        let mut outcome = {
            let trial = Trial::new(record, stream.doubt, &mut stream.budget, out);
            stream
                .v12
                .open(direction, &self.facts.negotiated, keys, trial)
        };
        // Whose ServerHello is it, when no ClientHello was captured?
        if let (Outcome::Unknown, Some(unasked)) = (&outcome, self.facts.unasked()) {
            outcome = Outcome::Missing;
            let mut guess = self.facts.negotiated.clone();
            for (random, _) in keys.newest().take(limits::TLS_STRANGERS) {
                if let Some(negotiated) = guess.get_mut(unasked) {
                    negotiated.client_random = Some(*random);
                }
                let trial = Trial::new(record, stream.doubt, &mut stream.budget, out);
                let opened = stream.v12.open(direction, &guess, keys, trial);
                if let Outcome::Opened(..) = opened {
                    self.facts.identified(*random);
                    outcome = opened;
                    break;
                }
                stream.v12.drop_keys();
            }
        }
        let suite = stream.v12.suite();
        let lost = |stream: &StreamState, jump: Jump| match jump.keys {
            // After Finished nothing but data comes, as a rule.
            Under::Same if finished => missed_content(stream, jump, suite),
            Under::Next if !was_plain => None,
            _ => (jump.missed <= 1).then_some(0),
        };
        self.outcome(direction, outcome, suite, keys, lost, Concern::All)
    }

    fn open_v13(
        &mut self,
        direction: Direction,
        record: &Record<'_>,
        early: bool,
        keys: &KeyLog,
        out: &mut Vec<u8>,
    ) -> Read {
        if let Some(why) = self.facts.unreadable {
            return Read::Sealed(why, Concern::All);
        }
        let facts = &self.facts;
        let mut known = Known {
            direction,
            secrets: facts.secrets(keys),
            suite: facts.suite,
            offered: &facts.offered,
            early: facts.early(),
        };
        let stream = match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        };
        let mut outcome = {
            let trial = Trial::new(record, stream.doubt, &mut stream.budget, out);
            stream.v13.open(&known, trial)
        };
        // Whose connection is it, when no ClientHello was captured?
        if facts.client_random.is_none() && !facts.awaits(Direction::Up) {
            for (random, secrets) in keys.newest().take(limits::TLS_STRANGERS) {
                known.secrets = Some(secrets);
                let trial = Trial::new(record, stream.doubt, &mut stream.budget, out);
                let guess = stream.v13.open(&known, trial);
                if let Outcome::Opened(..) = guess {
                    self.facts.identified(*random);
                    outcome = guess;
                    break;
                }
            }
        }
        let (suite, after) = (stream.v13.suite(), stream.v13.epoch());
        if let Outcome::Opened(_, jump) = &outcome
            && jump.keys != Under::Same
        {
            // No message goes over a change of keys (RFC 8446, 5.1).
            stream.messages.restart(jump.missed > 0);
        }
        let has_later = self.facts.secrets(keys).is_some_and(|s| s.is_v13());
        let opened = matches!(outcome, Outcome::Opened(..));
        if let (Direction::Up, Outcome::Opened(_, jump)) = (direction, &outcome)
            && after > Epoch::Early
        {
            self.decide_early_data(*jump);
        }
        let may_miss_early = direction == Direction::Up && self.facts.may_have_early_data();
        if let (true, Some(suite)) = (opened, suite) {
            self.facts.fitted(suite);
        } else if self.facts.version.is_none() {
            // It may be TLS 1.2 as well, until the server's hello is here.
            return match self.facts.awaits(direction.reversed()) || self.facts.awaits(direction) {
                true if !self.gives_up(keys) => Read::Wait,
                _ => Read::Sealed(Unreadable::NoHello, Concern::All),
            };
        }
        let lost = |stream: &StreamState, jump: Jump| match (jump.keys, after) {
            (Under::Same, Epoch::Handshake) => Some(0),
            // The first that a server sends are tickets.
            (Under::Same, _) if direction == Direction::Down && !stream.data => None,
            (Under::Same, _) => missed_content(stream, jump, suite),
            // Before the data of the connection there is only early data.
            (Under::Next, _) => (jump.missed == 0 && !may_miss_early).then_some(0),
            (Under::Updated, _) => None,
        };
        let concern = match early && has_later {
            true => Concern::Handshake,
            false => Concern::All,
        };
        self.outcome(direction, outcome, suite, keys, lost, concern)
    }

    fn outcome(
        &self,
        direction: Direction,
        outcome: Outcome,
        suite: Option<Suite>,
        keys: &KeyLog,
        lost: impl Fn(&StreamState, Jump) -> Option<u64>,
        concern: Concern,
    ) -> Read {
        let stream = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        let waits = !keys.is_closed() && !self.gives_up(keys);
        let concern = match outcome {
            Outcome::Absent => Concern::EarlyData,
            _ => concern,
        };
        let why = match outcome {
            Outcome::Opened(opened, jump) => {
                let before = suite.map_or(0, Suite::before);
                let missed = match stream.missed.bytes {
                    0 => Some(0),
                    _ => lost(stream, jump),
                };
                return Read::Opened(opened, before, missed);
            }
            Outcome::Missing if waits => return Read::Wait,
            Outcome::Unknown if !self.gives_up(keys) && !self.lost_handshake(direction) => {
                return Read::Wait;
            }
            _ if !cfg!(feature = "tls") => Unreadable::NotBuilt,
            Outcome::Missing if keys.is_empty() => Unreadable::NoKeyLog,
            Outcome::Missing | Outcome::Absent => Unreadable::NoSecret,
            Outcome::Unknown => Unreadable::HandshakeCut,
            Outcome::Refused if stream.budget.is_spent() => Unreadable::NumberNotFound,
            Outcome::Refused if stream.has_gaps => Unreadable::LossNotBridged,
            Outcome::Refused => Unreadable::NotVerified,
        };
        Read::Sealed(why, concern)
    }

    /// The client has gone on to the keys of the handshake. Had the server taken
    /// its early data, it would have marked the end of it (RFC 8446, 4.5).
    fn decide_early_data(&mut self, jump: Jump) {
        if self.facts.early_data != EarlyData::Undecided {
            return;
        }
        if jump.missed == 0 && self.up.missed.bytes == 0 {
            self.facts.decide(EarlyData::Rejected);
        } else if !self.down.waits() {
            self.facts.decide(EarlyData::Unknowable);
        }
    }

    /// Whether a part of the handshake may be lost.
    fn lost_handshake(&self, direction: Direction) -> bool {
        let other = match direction {
            Direction::Up => &self.down,
            Direction::Down => &self.up,
        };
        other.has_gaps || self.facts.lost.contains(&true)
    }
}

/// How many bytes of content were in the records that were missed, if all of
/// them were application data and not padded, as all before were.
fn missed_content(stream: &StreamState, jump: Jump, suite: Option<Suite>) -> Option<u64> {
    let suite = suite?;
    if stream.padded {
        return None;
    }
    // That of CBC depends on the content.
    suite.content(1 << 14)?;
    let own = (HEADER + suite.before() + suite.after()) as u64;
    stream
        .missed
        .bytes
        .checked_sub(jump.missed.checked_mul(own)?)
}

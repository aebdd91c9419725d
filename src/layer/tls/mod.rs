//! Reading TLS from outside, with the secrets of a key log.
//!
//! ```text
//!                 ┌ KeyLog ┐                what both said: Facts
//!                 └───┬────┘                 ↑            │
//! Stream ─→ Records ──┼→ wait ─→ v12, v13 ─→ content ─→ Messages
//!           Chain     │          Opener       └→ Stream, Own, Note
//!           ↑ holes   └ late secrets
//! ```
//! A [`Tls`] takes both directions of a connection and pushes out what was in
//! the records of application data, each byte with its own place in the TCP
//! stream: sealed and open bytes correspond one to one. What else the records
//! consist of is told as [`Own`].
//!
//! - **Nothing is guessed.** A record is handed on when it verifies under a key
//!   and a sequence number, and never else.
//! - **Secrets may come late.** Records wait for them, up to
//!   [`limits::TLS_WAITING`]; what is given up is still counted, so that later
//!   records open when the secret comes after all.
//! - **A hole costs what it covers.** Where a record is known to be missing its
//!   successor is; else it is looked for ([`chain`]), and the sequence number
//!   that opens it tells how many records, and so how many bytes of content,
//!   were lost ([`search`]).
//! - **Each direction goes by itself**, except that most of them need the other
//!   side's hello. Of a client alone TLS 1.3 can be read all the same.
//!
//! TLS 1.2 and 1.3 are read with the cipher suites of [`suite`]; others, and
//! versions before, are named. Without feature `tls` everything here works but
//! opening records.
//!
//! What is pushed below must have as many bytes as places; so it is of TCP, and
//! of the PROXY protocol.

mod chain;
#[cfg(feature = "tls")]
mod cipher;
#[cfg(not(feature = "tls"))]
#[path = "sealed.rs"]
mod cipher;
mod detect;
mod facts;
mod flight;
mod handshake;
mod info;
mod keylog;
mod lane;
mod names;
mod record;
#[cfg(feature = "tls")]
mod schedule;
#[cfg(not(feature = "tls"))]
#[path = "unscheduled.rs"]
mod schedule;
mod search;
mod suite;
#[cfg(test)]
mod tests;
mod v12;
mod v13;
mod x509;

use std::fmt;

pub use detect::client_hello;
pub use info::{CipherSuite, TlsInfo, TlsVersion};
pub use keylog::KeyLog;

use super::{Note, Own, Passed, Sink, Stream, Way};
use crate::flow::At;
use crate::limits;
use cipher::Opened;
use facts::{Facts, Negotiated};
use flight::Flight;
use handshake::Message;
use lane::{Lane, own, tell_content};
use record::{HEADER, Hole, Item, Record, kind};
use search::{Budget, Trial};
use suite::Suite;
use v13::{Epoch, Jump, Known, Outcome, Under};

/// Reads one connection.
#[derive(Default)]
pub struct Tls {
    facts: Facts,
    flight: Flight,
    up: Lane,
    down: Lane,
    /// It was told that nothing can be read.
    told: bool,
    /// Key log with which waiting was given up.
    gave_up: Option<u64>,
    /// The content of a record.
    content: Vec<u8>,
}

/// What is in a record.
struct Content<'a> {
    kind: u8,
    /// How many bytes into the body it begins.
    before: usize,
    bytes: &'a [u8],
    sealed: bool,
}

/// What became of a record.
enum Read {
    /// It is not sealed.
    Plain,
    /// It turned a cipher on, or pretends to.
    Change,
    /// It opened; its content begins so many bytes into its body.
    Opened(Opened, usize, Option<u64>),
    /// It may be read later.
    Wait,
    /// It cannot be read, and why; not worth telling when it is part of a
    /// handshake after which the keys are known.
    Sealed(&'static str, bool),
}

impl Tls {
    /// For both directions from their first byte, or from wherever they were
    /// joined.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what comes next in one direction.
    pub fn push(&mut self, way: Way, stream: Stream<'_>, keys: &KeyLog, out: Sink<'_>) {
        let mut records = std::mem::take(&mut self.lane(way).records);
        records.push(stream, &mut |item| self.arrive(way, item, keys, out));
        self.lane(way).records = records;
        self.settle(keys, out);
    }

    /// Goes on with what waits, if anything new is known.
    pub fn settle(&mut self, keys: &KeyLog, out: Sink<'_>) {
        loop {
            let before = self.facts.changes;
            self.go_on(Way::Up, keys, out);
            self.go_on(Way::Down, keys, out);
            if self.facts.changes != before {
                continue;
            }
            if self.up.waiting_bytes() + self.down.waiting_bytes() <= limits::TLS_WAITING {
                return;
            }
            let at = At::default();
            let note = Note::Bound("too many TLS records wait for their secrets");
            out(Way::Up, Passed::Note(note, self.latest().unwrap_or(at)));
            self.gave_up = Some(keys.generation());
        }
    }

    /// Stops waiting for secrets until new ones come, to free what is kept.
    pub fn give_up(&mut self, keys: &KeyLog, out: Sink<'_>) {
        self.gave_up = Some(keys.generation());
        self.settle(keys, out);
    }

    /// Nothing more comes: what still waits is given up.
    pub fn finish(&mut self, keys: &KeyLog, out: Sink<'_>) {
        for way in [Way::Up, Way::Down] {
            let mut records = std::mem::take(&mut self.lane(way).records);
            records.finish(&mut |item| self.arrive(way, item, keys, out));
            self.facts.lose(way);
        }
        self.settle(keys, out);
        self.give_up(keys, out);
        for way in [Way::Up, Way::Down] {
            if self.lane(way).has_hole() {
                self.lane(way).tell_missed(way, None, None, out);
            }
        }
        if !self.facts.info.decrypted && !self.told {
            let why = self.facts.unreadable;
            let why = why.unwrap_or("its handshake was not completed, or not captured");
            let at = self.latest().unwrap_or_default();
            self.tell_encrypted(Way::Up, why, at, out);
        }
    }

    /// What was seen of the connection so far.
    pub fn info(&self) -> &TlsInfo {
        &self.facts.info
    }

    /// Bytes that are kept.
    pub fn kept(&self) -> usize {
        self.up.kept() + self.down.kept() + self.content.capacity()
    }

    fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    fn latest(&self) -> Option<At> {
        [self.up.last, self.down.last]
            .into_iter()
            .flatten()
            .max_by_key(|at| (at.time, at.packet))
    }

    fn arrive(&mut self, way: Way, item: Item<'_>, keys: &KeyLog, out: Sink<'_>) {
        let mut early = false;
        if let Item::Record(record) = &item {
            let sends_early = self.facts.info.early_data && !self.facts.answered();
            let suite = self.facts.suite;
            early = self.flight.has(way, record, suite, sends_early);
            self.lane(way).last = Some(record.at());
        }
        if self.lane(way).waits() || !self.take(way, item, early, keys, out) {
            self.lane(way).wait(item, early);
        }
    }

    fn go_on(&mut self, way: Way, keys: &KeyLog, out: Sink<'_>) {
        let now = Some((keys.generation(), self.facts.changes));
        let gave_up = self.gives_up(keys);
        let lane = self.lane(way);
        if !lane.waits() || (lane.stuck == now && !gave_up) {
            return;
        }
        if lane.stuck.map(|(generation, _)| generation) != now.map(|(generation, _)| generation) {
            // With other secrets it is worth trying again.
            lane.budget = Budget::default();
        }
        while let Some(kept) = self.lane(way).next() {
            let (item, early) = kept.item();
            if !self.take(way, item, early, keys, out) {
                self.lane(way).put_back(kept);
                break;
            }
        }
    }

    fn gives_up(&self, keys: &KeyLog) -> bool {
        self.gave_up == Some(keys.generation())
    }

    /// Takes the next item of a direction; whether it is done with.
    fn take(
        &mut self,
        way: Way,
        item: Item<'_>,
        early: bool,
        keys: &KeyLog,
        out: Sink<'_>,
    ) -> bool {
        let began = std::mem::replace(&mut self.lane(way).began, true);
        match item {
            Item::Record(record) => return self.record(way, &record, early, keys, out),
            Item::Hole(hole) => {
                self.hole(way, hole);
            }
            Item::Foreign(at, byte) => {
                self.facts.lose(way);
                self.lane(way).holes = true;
                match (began, way, byte) {
                    (false, Way::Up, 0x80..) => {
                        self.facts.unreadable =
                            Some("it begins with a hello of SSL 2.0, which is not decoded");
                        self.facts.info.version.get_or_insert(TlsVersion::SSL2);
                    }
                    (false, ..) => {}
                    (true, ..) => {
                        let note = Note::Broken("no TLS record begins where one should");
                        out(way, Passed::Note(note, at));
                    }
                }
            }
        }
        true
    }

    fn hole(&mut self, way: Way, hole: &Hole) {
        if self.facts.awaits(way) {
            self.facts.lose(way);
        }
        self.lane(way).miss(hole);
    }

    fn record(
        &mut self,
        way: Way,
        record: &Record<'_>,
        early: bool,
        keys: &KeyLog,
        out: Sink<'_>,
    ) -> bool {
        let mut content = std::mem::take(&mut self.content);
        let read = self.read(way, record, early, keys, &mut content);
        let len = record.bytes.len();
        match read {
            Read::Wait => {
                self.lane(way).stuck = Some((keys.generation(), self.facts.changes));
                self.content = content;
                return false;
            }
            Read::Plain => {
                self.miss_told(way, record, Some(0), out);
                let lane = self.lane(way);
                let doubt = lane.doubt.after_all();
                lane.caught_up();
                lane.doubt = doubt;
                let content = Content {
                    kind: record.kind(),
                    before: 0,
                    bytes: record.body(),
                    sealed: false,
                };
                self.content(way, record, &content, out);
            }
            Read::Change => {
                self.miss_told(way, record, Some(0), out);
                self.lane(way).caught_up();
                own(way, record, 0..len, Own::TlsHandshake, out);
            }
            Read::Opened(opened, before, missed) => {
                self.facts.info.decrypted = true;
                self.miss_told(way, record, missed, out);
                let lane = self.lane(way);
                lane.budget.earn(len as u64 + lane.missed.bytes);
                lane.caught_up();
                lane.padded |= opened.padded;
                let content = Content {
                    kind: opened.kind,
                    before,
                    bytes: content.get(..opened.len).unwrap_or_default(),
                    sealed: true,
                };
                self.content(way, record, &content, out);
            }
            Read::Sealed(why, worth_telling) => {
                if self.lane(way).has_hole() {
                    self.lane(way).tell_missed(way, None, None, out);
                }
                if worth_telling {
                    self.tell_sealed(way, why, record.at(), out);
                }
                let lane = self.lane(way);
                lane.doubt.one();
                lane.missed.bytes += len as u64;
                lane.messages.lost();
                self.sealed(way, record, early, out);
            }
        }
        self.content = content;
        self.content.clear();
        self.content.shrink_to(4096);
        true
    }

    /// Tells what was missed before a record that was read, if anything.
    fn miss_told(&mut self, way: Way, record: &Record<'_>, len: Option<u64>, out: Sink<'_>) {
        let lane = self.lane(way);
        if lane.missed.bytes > 0 {
            lane.tell_missed(way, Some(record.start), len, out);
        }
    }

    /// Decides how a record is to be read, and opens it.
    fn read(
        &mut self,
        way: Way,
        record: &Record<'_>,
        early: bool,
        keys: &KeyLog,
        out: &mut Vec<u8>,
    ) -> Read {
        let plain = self.lane(way).v12.is_plain();
        match (self.facts.version, record.kind()) {
            (Some(TlsVersion::V13), kind::CHANGE_CIPHER_SPEC) => Read::Change,
            (Some(TlsVersion::V13), kind::HANDSHAKE | kind::ALERT) => Read::Plain,
            (Some(TlsVersion::V13), _) => self.open_v13(way, record, early, keys, out),
            (_, kind::CHANGE_CIPHER_SPEC) => {
                self.lane(way).v12.change();
                Read::Change
            }
            (None, kind::HANDSHAKE) if plain => Read::Plain,
            (None, kind::ALERT) if plain && record.body().len() == 2 => Read::Plain,
            (None, _) => self.open_v13(way, record, early, keys, out),
            (Some(_), kind::HANDSHAKE | kind::ALERT) if plain => {
                // Unless what turned the cipher on was lost.
                let doubt = self.lane(way).doubt.most > 0 && self.facts.can_have_keys();
                match doubt.then(|| self.open_v12(way, record, keys, out)) {
                    Some(read @ Read::Opened(..)) => read,
                    _ => Read::Plain,
                }
            }
            (Some(_), _) => self.open_v12(way, record, keys, out),
        }
    }

    fn open_v12(
        &mut self,
        way: Way,
        record: &Record<'_>,
        keys: &KeyLog,
        out: &mut Vec<u8>,
    ) -> Read {
        if let Some(why) = self.facts.unreadable {
            return Read::Sealed(why, true);
        }
        let lane = match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        };
        let was_plain = lane.v12.is_plain();
        let finished = lane.v12.is_finished();
        let mut outcome = {
            let trial = Trial::new(record, lane.doubt, &mut lane.budget, out);
            lane.v12.open(way, &self.facts.said, keys, trial)
        };
        // Whose ServerHello is it, when no ClientHello was seen?
        if let (Outcome::Unknown, Some(half)) = (&outcome, self.facts.half_said.clone()) {
            outcome = Outcome::Missing;
            for (random, _) in keys.newest().take(limits::TLS_STRANGERS) {
                let said = Negotiated {
                    client_random: *random,
                    ..half.clone()
                };
                let trial = Trial::new(record, lane.doubt, &mut lane.budget, out);
                let guess = lane.v12.open(way, &[said], keys, trial);
                if let Outcome::Opened(..) = guess {
                    self.facts.identified(*random);
                    outcome = guess;
                    break;
                }
                lane.v12.forget_keys();
            }
        }
        let suite = lane.v12.suite();
        let lost = |lane: &Lane, jump: Jump| match jump.keys {
            // After Finished nothing but data comes, as a rule.
            Under::Same if finished => missed_content(lane, jump, suite),
            Under::Next if !was_plain => None,
            _ => (jump.missed <= 1).then_some(0),
        };
        self.outcome(way, outcome, suite, keys, lost, true)
    }

    fn open_v13(
        &mut self,
        way: Way,
        record: &Record<'_>,
        early: bool,
        keys: &KeyLog,
        out: &mut Vec<u8>,
    ) -> Read {
        if let Some(why) = self.facts.unreadable {
            return Read::Sealed(why, true);
        }
        let facts = &self.facts;
        let mut known = Known {
            way,
            secrets: facts.secrets(keys),
            suite: facts.suite,
            offered: &facts.offered,
            early: facts.early(),
        };
        let lane = match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        };
        let mut outcome = {
            let trial = Trial::new(record, lane.doubt, &mut lane.budget, out);
            lane.v13.open(&known, trial)
        };
        // Whose connection is it, when no ClientHello was seen?
        if facts.client_random.is_none() && !facts.awaits(Way::Up) {
            for (random, secrets) in keys.newest().take(limits::TLS_STRANGERS) {
                known.secrets = Some(secrets);
                let trial = Trial::new(record, lane.doubt, &mut lane.budget, out);
                let guess = lane.v13.open(&known, trial);
                if let Outcome::Opened(..) = guess {
                    self.facts.identified(*random);
                    outcome = guess;
                    break;
                }
            }
        }
        let (suite, after) = (lane.v13.suite(), lane.v13.epoch());
        if let Outcome::Opened(_, jump) = &outcome
            && jump.keys != Under::Same
        {
            // No message goes over a change of keys (RFC 8446, 5.1).
            lane.messages.restart(jump.missed > 0);
        }
        let has_later = self.facts.secrets(keys).is_some_and(|s| s.is_v13());
        let opened = matches!(outcome, Outcome::Opened(..));
        if let (true, Some(suite)) = (opened, suite) {
            self.facts.fitted(suite);
        } else if self.facts.version.is_none() {
            // It may be TLS 1.2 as well, until the server's hello is here.
            return match self.facts.awaits(way.reversed()) || self.facts.awaits(way) {
                true if !self.gives_up(keys) => Read::Wait,
                _ => Read::Sealed("the hello of one side was not captured", true),
            };
        }
        let lost = |lane: &Lane, jump: Jump| match (jump.keys, after) {
            (Under::Same, Epoch::Handshake) => Some(0),
            // The first that a server sends are tickets.
            (Under::Same, _) if way == Way::Down && !lane.data => None,
            (Under::Same, _) => missed_content(lane, jump, suite),
            (Under::Next, _) => (jump.missed == 0 && !lane.data).then_some(0),
            (Under::Updated, _) => None,
        };
        self.outcome(way, outcome, suite, keys, lost, !(early && has_later))
    }

    fn outcome(
        &self,
        way: Way,
        outcome: Outcome,
        suite: Option<Suite>,
        keys: &KeyLog,
        lost: impl Fn(&Lane, Jump) -> Option<u64>,
        worth_telling: bool,
    ) -> Read {
        let lane = match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        };
        let waits = !keys.is_closed() && !self.gives_up(keys);
        let why = match outcome {
            Outcome::Opened(opened, jump) => {
                let before = suite.map_or(0, Suite::before);
                let missed = match lane.missed.bytes {
                    0 => Some(0),
                    _ => lost(lane, jump),
                };
                return Read::Opened(opened, before, missed);
            }
            Outcome::Missing if waits => return Read::Wait,
            Outcome::Unknown if !self.gives_up(keys) && !self.lost_handshake(way) => {
                return Read::Wait;
            }
            _ if !cfg!(feature = "tls") => NOT_BUILT,
            Outcome::Missing if keys.is_empty() => "there is no key log",
            Outcome::Missing => "the key log does not have its secret",
            Outcome::Unknown => "its handshake was not captured as a whole",
            Outcome::Refused if lane.budget.is_spent() => "its sequence number was not found",
            Outcome::Refused if lane.holes => "what was lost cannot be bridged",
            Outcome::Refused => "it does not verify with the secret of the key log",
        };
        Read::Sealed(why, worth_telling)
    }

    /// Whether what both must have said may be lost.
    fn lost_handshake(&self, way: Way) -> bool {
        let other = match way {
            Way::Up => &self.down,
            Way::Down => &self.up,
        };
        other.holes || self.facts.lost.contains(&true)
    }

    /// Tells what is in a record, and reads what is for TLS itself.
    fn content(&mut self, way: Way, record: &Record<'_>, content: &Content<'_>, out: Sink<'_>) {
        let len = record.bytes.len();
        let what = match content.kind {
            kind::APPLICATION if !content.bytes.is_empty() => {
                self.lane(way).data = true;
                return tell_content(way, record, content.before, content.bytes, out);
            }
            kind::HANDSHAKE => {
                self.messages(way, content.bytes, content.sealed);
                Own::TlsHandshake
            }
            kind::CHANGE_CIPHER_SPEC => Own::TlsHandshake,
            kind::ALERT => Own::TlsAlert,
            _ => Own::TlsRecord,
        };
        own(way, record, 0..len, what, out);
        if content.kind == kind::ALERT {
            let (alerts, _) = content.bytes.as_chunks();
            for &[level, description] in alerts.iter().take(2) {
                let note = Note::Alert { level, description };
                out(way, Passed::Note(note, record.at()));
            }
        }
    }

    fn messages(&mut self, way: Way, content: &[u8], sealed: bool) {
        let v13 = self.facts.version == Some(TlsVersion::V13);
        for message in self.lane(way).messages.push(content, v13) {
            let reader = &mut self.lane(way).v13;
            match (&message, reader.epoch()) {
                _ if !v13 || !sealed => {}
                (Message::EndOfEarlyData, Epoch::Early) | (Message::Finished, Epoch::Handshake) => {
                    reader.next_epoch()
                }
                (Message::KeyUpdate, Epoch::Data) => reader.update(),
                _ => {}
            }
            self.facts.take(way, message, sealed);
        }
    }

    /// Tells a record that is not read.
    fn sealed(&mut self, way: Way, record: &Record<'_>, early: bool, out: Sink<'_>) {
        let len = record.bytes.len();
        let v13 = matches!(self.facts.version, Some(TlsVersion::V13) | None);
        let whole = match record.kind() {
            kind::HANDSHAKE => Some(Own::TlsHandshake),
            kind::ALERT => Some(Own::TlsAlert),
            kind::APPLICATION if !(v13 && early) => None,
            kind::APPLICATION => Some(Own::TlsHandshake),
            _ => Some(Own::TlsRecord),
        };
        if let Some(whole) = whole {
            return own(way, record, 0..len, whole, out);
        }
        let (before, after) = match self.facts.suite {
            Some(Suite {
                cipher: suite::Cipher::Cbc(..),
                ..
            }) => (16, 0),
            Some(suite) => (suite.before(), suite.after()),
            None => (0, 0),
        };
        let begin = (HEADER + before).min(len);
        let end = len.saturating_sub(after).max(begin);
        own(way, record, 0..begin, Own::TlsRecord, out);
        own(way, record, begin..end, Own::Unread, out);
        own(way, record, end..len, Own::TlsRecordEnd, out);
    }

    fn tell_sealed(&mut self, way: Way, why: &'static str, at: At, out: Sink<'_>) {
        if !self.facts.info.decrypted {
            return self.tell_encrypted(way, why, at, out);
        }
        if !std::mem::replace(&mut self.lane(way).told, true) {
            out(way, Passed::Note(Note::Undecrypted(why), at));
        }
    }

    fn tell_encrypted(&mut self, way: Way, why: &'static str, at: At, out: Sink<'_>) {
        if !std::mem::replace(&mut self.told, true) {
            out(way, Passed::Note(Note::Encrypted(why), at));
        }
    }
}

const NOT_BUILT: &str = "this program was built without TLS decryption (feature tls)";

/// How many bytes of content were in the records that were missed, if all of
/// them were application data and not padded, as all before were.
fn missed_content(lane: &Lane, jump: Jump, suite: Option<Suite>) -> Option<u64> {
    let suite = suite?;
    if lane.padded {
        return None;
    }
    // That of CBC depends on the content.
    suite.content(1 << 14)?;
    let own = (HEADER + suite.before() + suite.after()) as u64;
    lane.missed.bytes.checked_sub(jump.missed.checked_mul(own)?)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("info", self.info())
            .finish_non_exhaustive()
    }
}

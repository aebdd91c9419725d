//! Reading TLS from outside, with the secrets of a key log.
//!
//! ```text
//!                 ┌ KeyLog ┐          both sides' messages: Facts
//!                 └───┬────┘                    ↑            │
//! Stream ─→ Records ──┼→ wait ─→ v12, v13 ─→ content ─→ Messages
//!           Chain     │          Opener         └→ Sequencer ─→ Chunk, LayerBytes, Note
//!           ↑ gaps   └ late secrets               in the order of the capture
//! ```
//! A [`Tls`] takes both directions of a connection and pushes out the content of
//! the records of application data, each byte with its own position in the TCP
//! stream: sealed and open bytes correspond one to one. The other bytes of records
//! are reported as [`LayerBytes`].
//!
//! - **Nothing is guessed.** A record is passed on when it verifies under a key
//!   and a sequence number, and never else.
//! - **Secrets may come late.** Records wait for them, up to
//!   [`limits::TLS_WAITING`], and later bytes of the other direction
//!   wait with them (`sequencer`); dropped records are still counted, so that
//!   later records open when the secret comes after all.
//! - **Early data counts when the server took it.** Until that is known it is
//!   queued; rejected data is not passed on.
//! - **A gap costs what it covers.** Where a record is known to be missing its
//!   successor is; else it is looked for (`chain`), and the sequence number
//!   that opens it shows how many records, and so how many bytes of content,
//!   were lost (`search`).
//! - **Each direction goes by itself**, except that most of them need the other
//!   side's hello. Of a client alone TLS 1.3 can be read all the same.
//!
//! TLS 1.2 and 1.3 are read with the cipher suites of `suite`; others, and
//! versions before, are named. Without feature `tls` everything here works but
//! opening records.
//!
//! Its input must have as many bytes as ranges; so it is of TCP, and
//! of the PROXY protocol.

mod chain;
#[cfg(feature = "tls")]
mod cipher;
#[cfg(not(feature = "tls"))]
#[path = "sealed.rs"]
mod cipher;
mod detect;
mod emit;
mod facts;
mod flight;
mod handshake;
mod header;
mod info;
mod keylog;
mod names;
mod open;
mod record;
#[cfg(feature = "tls")]
mod schedule;
#[cfg(not(feature = "tls"))]
#[path = "unscheduled.rs"]
mod schedule;
mod search;
mod sequencer;
mod stream;
mod suite;
#[cfg(test)]
mod tests;
mod unreadable;
mod v12;
mod v13;
mod x509;

use crate::direction::Direction;
use std::fmt;

pub use detect::{begins_record, client_hello};
pub use info::{CipherSuite, TlsInfo, TlsVersion};
pub use keylog::KeyLog;
pub use unreadable::Unreadable;

use super::{
    Broken, Chunk, Layer, LayerBytes, LayerContext, LayerFacts, LayerOutput, LayerType, Note, Sink,
};
use crate::flow::At;
use crate::limits::{self, Limit};
use emit::{Content, own};
use facts::{EarlyData, Facts};
use flight::Flight;
use open::Read;
use record::{Item, Record, RecordGap, kind};
use search::Budget;
use sequencer::Sequencer;
use stream::StreamState;
use v13::Epoch;

/// Reads one connection.
#[derive(Default)]
pub struct Tls {
    facts: Facts,
    flight: Flight,
    up: StreamState,
    down: StreamState,
    sequencer: Sequencer,
    /// The packet of the latest bytes.
    heard: Option<At>,
    /// It was reported that TLS is read.
    announced: bool,
    /// It was reported that it no longer waits for keys.
    shed: bool,
    /// A record of application data has come.
    has_data: bool,
    /// It was reported that nothing can be read.
    reported: bool,
    /// State of the key log when waiting ended.
    gave_up: Option<u64>,
    /// The content of a record.
    content: Vec<u8>,
}

/// TLS as a layer. It can be joined anywhere.
pub static LAYER: LayerType = LayerType {
    name: "tls",
    in_transport: true,
    encrypts: true,
    opens: client_hello,
    answers: Some(detect::server_hello),
    begin: || Box::new(Tls::new()),
    join: Some(|| Box::new(Tls::new())),
};

impl Layer for Tls {
    fn push<'a>(
        &mut self,
        direction: Direction,
        chunk: Chunk<'a>,
        cx: LayerContext<'_>,
        out: Sink<'_>,
    ) -> Option<Chunk<'a>> {
        self.announcing(out, |tls, out| tls.push(direction, chunk, cx.keys, out));
        None
    }

    fn settle(&mut self, cx: LayerContext<'_>, out: Sink<'_>) {
        self.announcing(out, |tls, out| tls.settle(cx.keys, out));
    }

    fn shed(&mut self, cx: LayerContext<'_>, out: Sink<'_>) {
        if !std::mem::replace(&mut self.shed, true) {
            let note = Note::Limit(Limit::TlsConnections);
            out(Direction::Up, LayerOutput::Note(note, cx.now));
        }
        self.announcing(out, |tls, out| tls.give_up(cx.keys, out));
    }

    fn finish(&mut self, cx: LayerContext<'_>, out: Sink<'_>) {
        self.announcing(out, |tls, out| tls.finish(cx.keys, out));
    }

    fn kept(&self) -> usize {
        self.kept()
    }

    fn facts(&self) -> LayerFacts<'_> {
        LayerFacts::Tls(self.info())
    }

    fn names_mqtt(&self) -> bool {
        self.info().names_mqtt()
    }

    fn is_unreadable(&self, cx: LayerContext<'_>) -> bool {
        !cx.expects_keys && cx.keys.is_empty() && self.hellos_are_over()
    }
}

impl Tls {
    /// Reports with the first bytes that are passed on that TLS is read.
    fn announcing(&mut self, out: Sink<'_>, f: impl FnOnce(&mut Self, Sink<'_>)) {
        let mut announced = self.announced;
        f(self, &mut |direction, output| {
            if let LayerOutput::Chunk(Chunk::Data(data)) = output
                && !std::mem::replace(&mut announced, true)
            {
                out(direction, LayerOutput::Note(Note::Tls, data.at));
            }
            out(direction, output);
        });
        self.announced = announced;
    }

    /// For both directions from their first byte, or from wherever they were
    /// joined.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk of one direction.
    pub fn push(&mut self, direction: Direction, chunk: Chunk<'_>, keys: &KeyLog, out: Sink<'_>) {
        if let Chunk::Data(data) = chunk {
            self.heard = Some(data.at);
        }
        let mut records = std::mem::take(&mut self.stream(direction).records);
        records.push(chunk, &mut |item| self.arrive(direction, item, keys, out));
        self.stream(direction).records = records;
        self.settle(keys, out);
    }

    /// Goes on with waiting records, if anything new is known.
    pub fn settle(&mut self, keys: &KeyLog, out: Sink<'_>) {
        self.go_on(keys, out);
        if self.waiting_bytes() > limits::TLS_WAITING {
            let note = Note::Limit(Limit::TlsRecords);
            out(
                Direction::Up,
                LayerOutput::Note(note, self.latest().unwrap_or_default()),
            );
            self.give_up(keys, out);
        }
    }

    /// Stops waiting for secrets until new ones come, to free the buffers.
    pub fn give_up(&mut self, keys: &KeyLog, out: Sink<'_>) {
        self.gave_up = Some(keys.generation());
        (self.up.stuck, self.down.stuck) = (None, None);
        self.go_on(keys, out);
        if self.sequencer.has_early_data() {
            self.facts.decide(EarlyData::Unknowable);
            self.go_on(keys, out);
        }
    }

    /// Nothing more comes: waiting records are dropped.
    pub fn finish(&mut self, keys: &KeyLog, out: Sink<'_>) {
        for direction in Direction::ALL {
            let mut records = std::mem::take(&mut self.stream(direction).records);
            records.finish(&mut |item| self.arrive(direction, item, keys, out));
            self.facts.lose(direction);
        }
        self.go_on(keys, out);
        self.give_up(keys, out);
        for direction in Direction::ALL {
            if self.stream(direction).has_unreported_gap() {
                self.stream(direction)
                    .emit_missed(direction, None, None, out);
            }
        }
        if !self.facts.info.decrypted && !self.reported {
            let why = self.facts.unreadable;
            let why = why.unwrap_or(Unreadable::HandshakeIncomplete);
            if let Some(at) = self.latest() {
                self.report_encrypted(Direction::Up, why, at, out);
            }
        }
    }

    /// Properties of the connection so far.
    pub fn info(&self) -> &TlsInfo {
        &self.facts.info
    }

    /// Whether the protocol is no longer negotiated in the clear:
    /// both hellos were read, or are lost, or data has come after them.
    pub fn hellos_are_over(&self) -> bool {
        self.has_data || !self.facts.awaits(Direction::Up) && !self.facts.awaits(Direction::Down)
    }

    /// Bytes that are kept.
    pub fn kept(&self) -> usize {
        let streams = self.up.kept() + self.down.kept();
        streams + self.sequencer.bytes() + self.content.capacity()
    }

    fn stream(&mut self, direction: Direction) -> &mut StreamState {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    fn latest(&self) -> Option<At> {
        [self.up.last, self.down.last]
            .into_iter()
            .flatten()
            .max_by_key(|at| (at.time, at.packet))
            .or(self.heard)
    }

    /// Bytes that wait for a secret, or for bytes that do.
    fn waiting_bytes(&self) -> usize {
        self.up.waiting_bytes() + self.down.waiting_bytes() + self.sequencer.bytes()
    }

    fn arrive(&mut self, direction: Direction, item: Item<'_>, keys: &KeyLog, out: Sink<'_>) {
        let arrival = self.sequencer.arrive();
        let mut early = false;
        if let Item::Record(record) = &item {
            let sends_early = self.facts.info.early_data && !self.facts.answered();
            let suite = self.facts.suite;
            early = self.flight.has(direction, record, suite, sends_early);
            self.stream(direction).last = Some(record.at());
            self.has_data |= record.kind() == kind::APPLICATION;
        }
        if self.stream(direction).waits() || !self.take(direction, arrival, item, early, keys, out)
        {
            self.stream(direction).wait(arrival, item, early);
        }
    }

    /// Takes records that need not wait any more, in the order of arrival,
    /// and passes on the buffered output.
    fn go_on(&mut self, keys: &KeyLog, out: Sink<'_>) {
        while let Some(direction) = self.next_direction(keys) {
            let stream = self.stream(direction);
            if stream
                .stuck
                .is_some_and(|(then, _)| then != keys.generation())
            {
                // With other secrets it is worth trying again.
                stream.budget = Budget::default();
            }
            let Some((arrival, waiting)) = stream.next() else {
                break;
            };
            let (item, early) = waiting.item();
            if !self.take(direction, arrival, item, early, keys, out) {
                self.stream(direction).put_back(arrival, waiting);
            }
        }
        let (up, down) = (self.up.first_arrival(), self.down.first_arrival());
        let waits = |direction| match direction {
            Direction::Up => up,
            Direction::Down => down,
        };
        self.sequencer.release(self.facts.early_data, waits, out);
    }

    /// The direction that can go on; of two the one whose item came first.
    fn next_direction(&self, keys: &KeyLog) -> Option<Direction> {
        let now = Some((keys.generation(), self.facts.changes));
        let first = |stream: &StreamState| stream.first_arrival().filter(|_| stream.stuck != now);
        match (first(&self.up), first(&self.down)) {
            (Some(up), Some(down)) if down < up => Some(Direction::Down),
            (Some(_), _) => Some(Direction::Up),
            (None, Some(_)) => Some(Direction::Down),
            (None, None) => None,
        }
    }

    fn gives_up(&self, keys: &KeyLog) -> bool {
        self.gave_up == Some(keys.generation())
    }

    /// Takes the next item of a direction; whether it is done with.
    fn take(
        &mut self,
        direction: Direction,
        arrival: u64,
        item: Item<'_>,
        early: bool,
        keys: &KeyLog,
        out: Sink<'_>,
    ) -> bool {
        let began = std::mem::replace(&mut self.stream(direction).began, true);
        match item {
            Item::Record(record) => {
                return self.record(direction, arrival, &record, early, keys, out);
            }
            Item::Gap(gap) => {
                self.gap(direction, gap);
            }
            Item::Foreign(at, byte) => {
                self.facts.lose(direction);
                self.stream(direction).has_gaps = true;
                match (began, direction, byte) {
                    (false, Direction::Up, 0x80..) => {
                        self.facts.unreadable = Some(Unreadable::Ssl2);
                        self.facts.info.version.get_or_insert(TlsVersion::SSL2);
                    }
                    (false, ..) => {}
                    (true, ..) => {
                        let note = Note::Broken(Broken::NoTlsRecord);
                        self.in_order(direction, arrival, out, |_, out| {
                            out(direction, LayerOutput::Note(note, at));
                        });
                    }
                }
            }
        }
        true
    }

    fn gap(&mut self, direction: Direction, gap: &RecordGap) {
        if self.facts.awaits(direction) {
            self.facts.lose(direction);
        }
        self.stream(direction).miss(gap);
    }

    fn record(
        &mut self,
        direction: Direction,
        arrival: u64,
        record: &Record<'_>,
        early: bool,
        keys: &KeyLog,
        out: Sink<'_>,
    ) -> bool {
        let mut content = std::mem::take(&mut self.content);
        let read = self.read(direction, record, early, keys, &mut content);
        let taken = !matches!(read, Read::Wait);
        match taken {
            true => self.in_order(direction, arrival, out, |tls, out| {
                tls.emit(direction, record, read, early, &content, out);
            }),
            false => self.stream(direction).stuck = Some((keys.generation(), self.facts.changes)),
        }
        content.clear();
        // Of many connections nearly all have small records.
        content.shrink_to(4096);
        self.content = content;
        taken
    }

    /// Queues the output, if something that arrived earlier waits.
    fn in_order(
        &mut self,
        direction: Direction,
        arrival: u64,
        out: Sink<'_>,
        emit: impl FnOnce(&mut Self, Sink<'_>),
    ) {
        let early = direction == Direction::Up
            && self.up.v13.epoch() == Epoch::Early
            && self.facts.early_data != EarlyData::Accepted;
        let other = match direction {
            Direction::Up => self.down.first_arrival(),
            Direction::Down => self.up.first_arrival(),
        };
        if !early && !self.sequencer.must_queue(direction, arrival, other) {
            return emit(self, out);
        }
        let mut sequencer = std::mem::take(&mut self.sequencer);
        emit(self, &mut |direction, output| {
            sequencer.queue(arrival, early, direction, output);
        });
        self.sequencer = sequencer;
    }

    /// Reports the outcome of a record, and the loss before it.
    fn emit(
        &mut self,
        direction: Direction,
        record: &Record<'_>,
        read: Read,
        early: bool,
        content: &[u8],
        out: Sink<'_>,
    ) {
        let len = record.bytes.len();
        match read {
            Read::Wait => {}
            Read::Plain => {
                self.emit_missed_before(direction, record, self.missed_before_data(direction), out);
                let stream = self.stream(direction);
                let doubt = stream.doubt.after_all();
                stream.caught_up();
                stream.doubt = doubt;
                let content = Content {
                    kind: record.kind(),
                    before: 0,
                    bytes: record.body(),
                    sealed: false,
                };
                self.content(direction, record, &content, out);
            }
            Read::Change => {
                self.emit_missed_before(direction, record, self.missed_before_data(direction), out);
                self.stream(direction).caught_up();
                own(direction, record, 0..len, LayerBytes::TlsHandshake, out);
            }
            Read::Opened(opened, before, missed) => {
                self.facts.info.decrypted = true;
                self.emit_missed_before(direction, record, missed, out);
                let stream = self.stream(direction);
                stream.budget.earn(len as u64 + stream.missed.bytes);
                stream.caught_up();
                stream.padded |= opened.padded;
                let content = Content {
                    kind: opened.kind,
                    before,
                    bytes: content.get(..opened.len).unwrap_or_default(),
                    sealed: true,
                };
                self.content(direction, record, &content, out);
            }
            Read::Sealed(why, concern) => {
                if self.stream(direction).has_unreported_gap() {
                    self.stream(direction)
                        .emit_missed(direction, None, None, out);
                }
                self.report_sealed(direction, why, concern, record.at(), out);
                let stream = self.stream(direction);
                stream.doubt.one();
                stream.missed.bytes += len as u64;
                stream.messages.lost();
                self.sealed(direction, record, early, out);
            }
        }
    }

    /// How much content was missed before a record that is not sealed: none,
    /// unless there can have been some already.
    fn missed_before_data(&self, direction: Direction) -> Option<u64> {
        let (stream, early) = match direction {
            Direction::Up => (&self.up, self.facts.may_have_early_data()),
            Direction::Down => (&self.down, false),
        };
        (!stream.data && !early).then_some(0)
    }

    /// Reports the loss before a record that was read, if any.
    fn emit_missed_before(
        &mut self,
        direction: Direction,
        record: &Record<'_>,
        len: Option<u64>,
        out: Sink<'_>,
    ) {
        let stream = self.stream(direction);
        if stream.missed.bytes > 0 {
            stream.emit_missed(direction, Some(record.start), len, out);
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("info", self.info())
            .finish_non_exhaustive()
    }
}

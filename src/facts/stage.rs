//! [`Facts`]: the stage between the engine and every sink.
//!
//! ```text
//! CapturedPacket ─→ Engine ─Output→ Facts ─Fact→ Sink
//!                                     ├ tracker    Needs::EXCHANGES
//!                                     ├ topics     Needs::TOPICS
//!                                     └ Sequencer ─→ Analysis   Needs::SESSIONS
//! ```
//! The combined needs of the sinks decide what runs. Without needs, a frame
//! goes from the engine directly to the sink.

use std::time::Duration;

use crate::engine::{Config, Engine, Output, Placed, Summary};
use crate::net::Endpoint;
use crate::packet::{CapturedPacket, PacketRef};
use crate::time::Timestamp;

use super::sequencer::Sequencer;
use super::sink::{Fact, FrameFact, Sink};
use super::topics::Topics;
use super::tracker::Tracker;
use super::{Analysis, GivenUp, Needs, PATIENCE};

/// How facts are gathered.
#[derive(Clone, Debug)]
pub struct Options {
    /// The user asserts that every connection of these clients was captured.
    pub complete: bool,
    /// The capture grows: report overdue answers at their deadline, not only at
    /// the end.
    pub live: bool,
    /// The user's limit for acknowledgements.
    pub ack: Option<Duration>,
    /// Time limit for answers without a specified one.
    pub patience: Duration,
    /// Addresses of one server: the second is replaced by the first.
    pub same_server: Vec<(Endpoint, Endpoint)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            complete: false,
            live: false,
            ack: None,
            patience: PATIENCE,
            same_server: Vec::new(),
        }
    }
}

/// Reads one capture and passes facts to the sinks.
///
/// ```
/// use mqttdump::capture::{Capture, Item};
/// use mqttdump::engine::Config;
/// use mqttdump::facts::{Fact, Facts, Options, Sink};
///
/// struct Print;
///
/// impl Sink for Print {
///     fn fact(&mut self, fact: Fact<'_>) {
///         if let Fact::Frame(fact) = fact {
///             println!("{}", fact.frame);
///         }
///     }
/// }
///
/// # fn main() -> Result<(), mqttdump::capture::Error> {
/// # let path = "fixtures/captures/fusesource-qos2.pcap";
/// let mut sink = Print;
/// let mut facts = Facts::new(Config::default(), Options::default(), &sink);
/// let mut capture = Capture::open(path.as_ref(), 0)?;
/// while let Some(item) = capture.next()? {
///     if let Item::Packet(packet) = item {
///         facts.push(&packet.packet, &mut sink);
///     }
/// }
/// facts.finish(&mut sink);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Facts {
    engine: Engine,
    stage: Stage,
    /// Connections that made room for others.
    evicted: u64,
}

/// The stages between the engine and the sinks.
#[derive(Debug)]
struct Stage {
    exchanges: Option<Box<Tracker>>,
    topics: Option<Box<Topics>>,
    sessions: Option<Box<InOrder>>,
}

/// Facts of connections and sessions, in the order in which they happened.
#[derive(Debug)]
struct InOrder {
    sequencer: Sequencer,
    analysis: Analysis,
}

impl InOrder {
    fn take(&mut self, output: Output<'_>, sink: &mut (impl Sink + ?Sized)) {
        let analysis = &mut self.analysis;
        if let Output::Frame(frame) = output {
            analysis.arrives(frame);
        }
        self.sequencer
            .push(output, &mut |output| analysis.push(output, sink));
    }

    #[inline]
    fn packet_read(&mut self, sink: &mut (impl Sink + ?Sized)) {
        let analysis = &mut self.analysis;
        self.sequencer
            .packet_read(&mut |output| analysis.push(output, sink));
    }

    fn tick(&mut self, now: Timestamp, sink: &mut (impl Sink + ?Sized)) {
        let analysis = &mut self.analysis;
        self.sequencer
            .tick(now, &mut |output| analysis.push(output, sink));
        analysis.tick(now, sink);
    }

    fn finish(&mut self, sink: &mut (impl Sink + ?Sized)) {
        let analysis = &mut self.analysis;
        self.sequencer
            .finish(&mut |output| analysis.push(output, sink));
        analysis.finish(sink);
    }
}

impl Facts {
    /// A stage for a new capture, for sinks with these needs. [`Config::fields`] is
    /// set by them; [`Config::digests`], [`Config::follow_tcp`],
    /// [`Config::follow_packets`], [`Config::follow_segments`] and
    /// [`Config::follow_sessions`] are switched on as needed.
    pub fn new(mut config: Config, options: Options, sink: &(impl Sink + ?Sized)) -> Self {
        let needs = sink.needs();
        config.fields = needs.contains(Needs::FIELDS);
        config.digests |= needs.contains(Needs::DIGESTS);
        config.follow_tcp |= needs.contains(Needs::TCP);
        config.follow_packets |= needs.contains(Needs::PACKETS);
        config.follow_segments |= needs.contains(Needs::SEGMENTS);
        config.follow_sessions |= needs.contains(Needs::SESSION_UIDS);
        let exchanges = needs.contains(Needs::EXCHANGES).then(Box::default);
        let topics = needs.contains(Needs::TOPICS).then(Box::default);
        let sessions = needs.contains(Needs::SESSIONS).then(|| {
            Box::new(InOrder {
                sequencer: Sequencer::default(),
                analysis: Analysis::new(&options),
            })
        });
        Self {
            engine: Engine::new(config),
            stage: Stage {
                exchanges,
                topics,
                sessions,
            },
            evicted: 0,
        }
    }

    /// Reads the next captured packet. Returns where it belongs.
    #[inline]
    pub fn push(
        &mut self,
        packet: &CapturedPacket<'_>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Placed<'_> {
        let stage = &mut self.stage;
        if let Some(sessions) = &mut stage.sessions {
            sessions.analysis.captured(packet.time);
        }
        let placed = self
            .engine
            .push(packet, &mut |output| stage.take(output, sink));
        stage.packet_read(sink);
        placed
    }

    /// Capture time has reached `now` without a packet: time limits are applied, and
    /// overdue answers are reported.
    pub fn tick(&mut self, now: Timestamp, sink: &mut (impl Sink + ?Sized)) {
        let stage = &mut self.stage;
        self.engine
            .tick(now, &mut |output| stage.take(output, sink));
        stage.packet_read(sink);
        self.settle(now, sink);
    }

    /// Reports what is overdue at `now`, with [`Options::live`].
    pub fn settle(&mut self, now: Timestamp, sink: &mut (impl Sink + ?Sized)) {
        if let Some(sessions) = &mut self.stage.sessions {
            sessions.tick(now, sink);
        }
        sink.tick(now);
    }

    /// Makes room: evicts the sixteenth part of the connections, those silent longest, and of
    /// the sessions without a connection. Returns whether anything was evicted.
    pub fn make_room(&mut self, sink: &mut (impl Sink + ?Sized)) -> bool {
        let stage = &mut self.stage;
        let connections = self
            .engine
            .make_room(&mut |output| stage.take(output, sink));
        self.evicted += connections;
        let sessions = self.stage.sessions.as_mut();
        let sessions = sessions.map_or(0, |it| it.analysis.sessions.make_room());
        let rest = sink.make_room();
        connections + sessions > 0 || rest
    }

    /// The capture lost packets, at the latest at `until`: absence proves nothing.
    pub fn dropped(&mut self, packets: u64, until: Timestamp, sink: &mut (impl Sink + ?Sized)) {
        let stage = &mut self.stage;
        self.engine
            .dropped(packets, until, &mut |output| stage.take(output, sink));
    }

    /// The clock of the whole capture, in a shard of it: see [`Engine::clock`].
    pub fn clock(&mut self, packet: PacketRef, time: Timestamp, sink: &mut (impl Sink + ?Sized)) {
        let stage = &mut self.stage;
        self.engine
            .clock(packet, time, &mut |output| stage.take(output, sink));
        stage.packet_read(sink);
    }

    /// The whole capture had no packet between these times, with [`Facts::replay`].
    pub fn pause(&mut self, from: Timestamp, until: Timestamp) {
        if let Some(sessions) = &mut self.stage.sessions {
            let open = sessions.analysis.connections.len();
            sessions.analysis.pauses.add(from, until, open);
        }
    }

    /// Takes an output that an engine gave elsewhere: see [`super::record`]. After those of
    /// a packet comes [`Facts::replayed`].
    pub fn replay(&mut self, output: Output<'_>, sink: &mut (impl Sink + ?Sized)) {
        self.stage.take(output, sink);
    }

    /// All outputs of a packet were replayed.
    pub fn replayed(&mut self, sink: &mut (impl Sink + ?Sized)) {
        self.stage.packet_read(sink);
    }

    /// The capture has ended: buffered frames are passed on, and all sinks are
    /// finished.
    pub fn finish(&mut self, sink: &mut (impl Sink + ?Sized)) {
        let stage = &mut self.stage;
        self.engine.finish(&mut |output| stage.take(output, sink));
        if let Some(sessions) = &mut self.stage.sessions {
            sessions.finish(sink);
        }
        sink.finish();
    }

    /// TLS keys may arrive, although [`Config::expects_keys`] is not set.
    pub fn expect_secrets(&mut self) {
        self.engine.expect_secrets();
    }

    /// Adds TLS keys: text in the NSS key log format, in chunks of any size.
    pub fn secrets(&mut self, text: &[u8]) {
        self.engine.secrets(text);
    }

    /// Counts of what was read so far.
    pub fn summary(&self) -> Summary {
        self.engine.summary()
    }

    /// Counts of evicted entries.
    pub fn given_up(&self) -> GivenUp {
        let sessions = self.stage.sessions.as_ref();
        let exchanges = self.stage.exchanges.as_ref();
        GivenUp {
            connections: self.evicted,
            exchanges: exchanges.map_or(0, |tracker| tracker.evicted()),
            ..sessions.map_or_else(GivenUp::default, |sessions| sessions.analysis.given_up())
        }
    }
}

impl Stage {
    #[inline]
    fn packet_read(&mut self, sink: &mut (impl Sink + ?Sized)) {
        if let Some(sessions) = &mut self.sessions {
            sessions.packet_read(sink);
        }
    }

    #[inline]
    fn take(&mut self, output: Output<'_>, sink: &mut (impl Sink + ?Sized)) {
        let mut exchange = None;
        if let Some(tracker) = &mut self.exchanges {
            match output {
                Output::Frame(frame) => exchange = tracker.classify(frame),
                Output::Event(event) => tracker.event(event),
                Output::Ended(ended) => tracker.remove(ended.connection.number),
                _ => {}
            }
        }
        let fact = match output {
            Output::Frame(frame) => Fact::Frame(FrameFact {
                frame,
                exchange: exchange.as_ref(),
                topic: match (&mut self.topics, frame.topic) {
                    (Some(topics), Some(topic)) => Some(topics.get(topic.bytes())),
                    _ => None,
                },
            }),
            Output::Unfinished(frame) => Fact::Unfinished(frame),
            Output::Event(event) => Fact::Event(event),
            Output::Tcp(tcp) => Fact::Tcp(tcp),
            Output::Segment(segment) => Fact::Segment(segment),
            Output::Packet(captured) => Fact::Packet(captured),
            Output::Span(span) => Fact::Span(span),
            Output::Ended(ended) => Fact::Ended(ended),
            Output::Evicted(number) => Fact::Evicted(number),
        };
        sink.fact(fact);
        if let Some(sessions) = &mut self.sessions {
            sessions.take(output, sink);
        }
    }
}

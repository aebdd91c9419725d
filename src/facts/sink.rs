//! [`Sink`]: the consumer of a capture, and [`Fact`]: what it receives.

use crate::engine::{Captured, Segment, Span, Tcp};
use crate::event::{ConnectionEnd, Event};
use crate::frame::MQTTFrame;
use crate::identity::ExchangeId;
use crate::mqtt::PacketType;
use crate::time::Timestamp;

use super::close::StillOpen;
use super::connection::ConnectionFacts;
use super::missed::Missed;
use super::overdue::{Overdue, Undelivered};
use super::silence::Silence;
use super::topics::Topic;
use super::tracker::ExchangeFact;
use super::{FrameFacts, Needs, Stream};

/// A fact of a capture. A sink also receives facts that only other sinks need, and
/// ignores them.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// A control packet, in the order of capture.
    Frame(FrameFact<'a>),
    /// An unfinished control packet at the end of its stream, decoded as far as
    /// possible; before the event
    /// [`EventKind::Unfinished`](crate::event::EventKind::Unfinished).
    Unfinished(&'a MQTTFrame<'a>),
    /// An event.
    Event(&'a Event<'a>),
    /// A fact of TCP, with [`Needs::TCP`].
    Tcp(&'a Tcp<'a>),
    /// A TCP segment of a connection, before its content, with [`Needs::SEGMENTS`].
    Segment(&'a Segment<'a>),
    /// A captured packet, before its content, with [`Needs::PACKETS`].
    Packet(&'a Captured<'a>),
    /// The layers of a chunk of a TCP stream, with [`Needs::PACKETS`]. It precedes the
    /// frame that contains these bytes.
    Span(&'a Span<'a>),
    /// A connection is over: no frame or event of it follows. Not at the end of
    /// the capture.
    Ended(&'a ConnectionEnd<'a>),
    /// The TCP connection with this number was removed from the flow table, with
    /// [`Needs::PACKETS`] or [`Needs::SEGMENTS`].
    Evicted(u64),
    /// A fact about connections and sessions, in order of events, with
    /// [`Needs::SESSIONS`].
    Session(SessionFact<'a>),
}

/// A control packet with its role in an exchange.
#[derive(Clone, Copy, Debug)]
pub struct FrameFact<'a> {
    /// The control packet.
    pub frame: &'a MQTTFrame<'a>,
    /// Its role in its exchange, with [`Needs::EXCHANGES`]; `None` if it belongs to no
    /// exchange: PUBLISH of QoS 0 and DISCONNECT, or a packet whose identifier was not
    /// captured.
    pub exchange: Option<&'a ExchangeFact>,
    /// The topic of a PUBLISH, with [`Needs::TOPICS`]: that of its frame, to be kept.
    pub topic: Option<&'a Topic>,
}

impl<'a> FrameFact<'a> {
    /// A control packet whose topic is not kept.
    pub fn without_topic(frame: &'a MQTTFrame<'a>, exchange: Option<&'a ExchangeFact>) -> Self {
        Self {
            frame,
            exchange,
            topic: None,
        }
    }

    /// Identity of its exchange on its connection. A PUBLISH without acknowledgement is
    /// an exchange of its own.
    pub fn exchange_id(&self) -> Option<ExchangeId> {
        match self.exchange {
            Some(exchange) => exchange.id(self.frame),
            None => {
                let header = self.frame.header;
                let is_alone = header.packet_type() == PacketType::Publish && header.qos() == 0;
                is_alone.then_some(ExchangeId {
                    direction: self.frame.direction,
                    packet_id: 0,
                    number: self.frame.number,
                })
            }
        }
    }
}

/// A fact about a connection and its session. A frame follows every frame of the other
/// direction that its sender had received, by TCP's acknowledgements, even if the
/// capture has them in another order.
#[derive(Clone, Copy, Debug)]
pub enum SessionFact<'a> {
    /// A control packet, with the connection as it was before.
    Frame(&'a FrameFacts<'a>),
    /// An unfinished control packet at the end of its stream, decoded as far as
    /// possible.
    Unfinished(&'a FrameFacts<'a>),
    /// An answer is missing.
    Overdue(&'a Overdue<'a>),
    /// A message was not delivered.
    Undelivered(&'a Undelivered<'a>),
    /// Deliveries may be of messages that were not captured before them.
    Missed(&'a Missed),
    /// A connection is open that had to be closed.
    StillOpen(&'a StillOpen<'a>),
    /// A client was silent for longer than its Keep Alive.
    Silence(&'a Silence<'a>),
    /// Bytes cannot be framed.
    Unreadable(&'a Stream<'a>),
    /// The connection is over; no more facts about it follow.
    Closed(&'a ConnectionFacts),
}

/// A consumer of facts. A command is a sink, a report and its options.
///
/// ```
/// use mqttdump::facts::{Fact, Needs, Role, Sink};
///
/// /// Counts messages of QoS 1 and 2 that were acknowledged to their end.
/// #[derive(Default)]
/// struct Acknowledged(u64);
///
/// impl Sink for Acknowledged {
///     fn needs(&self) -> Needs {
///         Needs::EXCHANGES
///     }
///
///     fn fact(&mut self, fact: Fact<'_>) {
///         if let Fact::Frame(fact) = fact
///             && let Some(exchange) = fact.exchange
///             && exchange.is_message()
///             && exchange.role == Role::Completes
///         {
///             self.0 += 1;
///         }
///     }
/// }
/// ```
///
/// Sinks are combined in tuples, slices and options; each member receives every
/// fact.
pub trait Sink {
    /// What it needs besides the fixed headers of frames, and events. Called once,
    /// before the first fact.
    fn needs(&self) -> Needs {
        Needs::FIELDS
    }

    /// Takes the next fact.
    fn fact(&mut self, fact: Fact<'_>);

    /// Takes a fact of a packet before `from`, the start of the time range. It provides
    /// context for later facts, and is itself neither shown nor counted.
    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        let _ = (fact, from);
    }

    /// Capture time has reached `now` without a packet. Called only while a capture
    /// grows.
    fn tick(&mut self, now: Timestamp) {
        let _ = now;
    }

    /// Drops details that the result can do without, because memory is short. Returns
    /// whether anything was dropped.
    fn make_room(&mut self) -> bool {
        false
    }

    /// The capture has ended: no more facts follow.
    fn finish(&mut self) {}
}

/// Passes facts to another sink as facts from before the time range: see
/// [`Sink::earlier`].
#[derive(Debug)]
pub struct Before<S> {
    /// The sink.
    pub sink: S,
    /// Where the range begins.
    pub from: Timestamp,
}

impl<S: Sink> Sink for Before<S> {
    fn needs(&self) -> Needs {
        self.sink.needs()
    }

    #[inline]
    fn fact(&mut self, fact: Fact<'_>) {
        self.sink.earlier(fact, self.from);
    }

    fn make_room(&mut self) -> bool {
        self.sink.make_room()
    }
}

/// Needs nothing: the capture is read only for its connections' numbers.
impl Sink for () {
    fn needs(&self) -> Needs {
        Needs::NONE
    }

    fn fact(&mut self, _: Fact<'_>) {}
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn needs(&self) -> Needs {
        (**self).needs()
    }

    #[inline]
    fn fact(&mut self, fact: Fact<'_>) {
        (**self).fact(fact);
    }

    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        (**self).earlier(fact, from);
    }

    fn tick(&mut self, now: Timestamp) {
        (**self).tick(now);
    }

    fn make_room(&mut self) -> bool {
        (**self).make_room()
    }

    fn finish(&mut self) {
        (**self).finish();
    }
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn needs(&self) -> Needs {
        (**self).needs()
    }

    #[inline]
    fn fact(&mut self, fact: Fact<'_>) {
        (**self).fact(fact);
    }

    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        (**self).earlier(fact, from);
    }

    fn tick(&mut self, now: Timestamp) {
        (**self).tick(now);
    }

    fn make_room(&mut self) -> bool {
        (**self).make_room()
    }

    fn finish(&mut self) {
        (**self).finish();
    }
}

impl<S: Sink> Sink for Option<S> {
    fn needs(&self) -> Needs {
        self.as_ref().map_or(Needs::NONE, Sink::needs)
    }

    #[inline]
    fn fact(&mut self, fact: Fact<'_>) {
        if let Some(sink) = self {
            sink.fact(fact);
        }
    }

    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        if let Some(sink) = self {
            sink.earlier(fact, from);
        }
    }

    fn tick(&mut self, now: Timestamp) {
        if let Some(sink) = self {
            sink.tick(now);
        }
    }

    fn make_room(&mut self) -> bool {
        self.as_mut().is_some_and(Sink::make_room)
    }

    fn finish(&mut self) {
        if let Some(sink) = self {
            sink.finish();
        }
    }
}

impl<S: Sink> Sink for [S] {
    fn needs(&self) -> Needs {
        self.iter()
            .fold(Needs::NONE, |needs, sink| needs | sink.needs())
    }

    fn fact(&mut self, fact: Fact<'_>) {
        self.iter_mut().for_each(|sink| sink.fact(fact));
    }

    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        self.iter_mut().for_each(|sink| sink.earlier(fact, from));
    }

    fn tick(&mut self, now: Timestamp) {
        self.iter_mut().for_each(|sink| sink.tick(now));
    }

    fn make_room(&mut self) -> bool {
        self.iter_mut()
            .fold(false, |any, sink| sink.make_room() | any)
    }

    fn finish(&mut self) {
        self.iter_mut().for_each(Sink::finish);
    }
}

macro_rules! sink_for_tuple {
    ($($sink:ident)+) => {
        impl<$($sink: Sink),+> Sink for ($($sink,)+) {
            fn needs(&self) -> Needs {
                #[allow(non_snake_case, reason = "type and value share a name")]
                let ($($sink,)+) = self;
                Needs::NONE $(| $sink.needs())+
            }

            #[inline]
            fn fact(&mut self, fact: Fact<'_>) {
                #[allow(non_snake_case, reason = "type and value share a name")]
                let ($($sink,)+) = self;
                $($sink.fact(fact);)+
            }

            fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
                #[allow(non_snake_case, reason = "type and value share a name")]
                let ($($sink,)+) = self;
                $($sink.earlier(fact, from);)+
            }

            fn tick(&mut self, now: Timestamp) {
                #[allow(non_snake_case, reason = "type and value share a name")]
                let ($($sink,)+) = self;
                $($sink.tick(now);)+
            }

            fn make_room(&mut self) -> bool {
                #[allow(non_snake_case, reason = "type and value share a name")]
                let ($($sink,)+) = self;
                false $(| $sink.make_room())+
            }

            fn finish(&mut self) {
                #[allow(non_snake_case, reason = "type and value share a name")]
                let ($($sink,)+) = self;
                $($sink.finish();)+
            }
        }
    };
}

sink_for_tuple!(A B);
sink_for_tuple!(A B C);
sink_for_tuple!(A B C D);

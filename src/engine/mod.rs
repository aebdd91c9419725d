//! The stages wired together: captured packets in, frames and events out.
//!
//! ```text
//! CapturedPacket ─→ link, net ─Segment→ flow ─StreamEvent→ recognise ─→ conversation ─→ MQTTFrame
//!                                                              └→ stack ──↑ framer, decoder    Event
//!                                                           PROXY, TLS, WebSocket
//! ```
//! A connection whose TCP streams are MQTT streams goes straight to its
//! conversation; one with layers between them through a stack of these.
//!
//! The engine never opens a file, reads a clock, prints or starts a thread.
//! One engine reads one capture from its first packet to its last; what it
//! keeps is bounded by [`crate::limits`].

mod conversation;
mod order;
mod provenance;
mod recognise;
mod stack;

use std::collections::BTreeMap;

use crate::event::{ConnectionEnd, Event, EventKind};
use crate::flow::{
    At, Carried, Closed, End, FlowInfo, FlowTable, Handler, Interest, StreamEvent, TcpFact,
};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::layer::tls::KeyLog;
use crate::layer::{ByteRange, LayerBytes, LayerType, tls, websocket};
use crate::limits;
use crate::net::{self, Anatomy, Decoded, Decoder, Endpoint, Other, Subframe};
use crate::packet::{CapturedPacket, PacketRef};
use crate::time::Timestamp;

use conversation::Conversation;
use recognise::{Found, Prefix};
use stack::Stack;

/// What the engine pushes out.
#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    /// An MQTT control packet, when its last byte is known.
    Frame(&'a MQTTFrame<'a>),
    /// A control packet that its stream ends in, read as far as it goes:
    /// [`MQTTFrame::missing`] bytes of it lack. Before the event
    /// [`EventKind::Unfinished`].
    Unfinished(&'a MQTTFrame<'a>),
    /// Something that is not a frame.
    Event(&'a Event<'a>),
    /// What TCP itself tells, with [`Config::follow_tcp`].
    Tcp(&'a Tcp<'a>),
    /// A captured packet, before what it carries, with
    /// [`Config::follow_packets`].
    Packet(&'a Captured<'a>),
    /// What a range of a TCP stream with layers below MQTT is, with
    /// [`Config::follow_packets`]. Comes before the frame whose bytes lie there.
    Span(&'a Span<'a>),
    /// A connection is over. Not at the end of the capture.
    Ended(&'a ConnectionEnd<'a>),
    /// The TCP connection of this number was evicted: nothing more of it
    /// follows. With [`Config::follow_packets`].
    Evicted(u64),
}

/// A captured packet in numbers. 802.11 aggregates give one for each frame.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// The packet.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
    /// What its bytes are.
    pub anatomy: Anatomy,
    /// The TCP segment that it carried or completed.
    pub segment: Option<CapturedSegment<'a>>,
    /// It carried an IP fragment that others are needed for.
    pub is_fragment: bool,
    /// The snap length cut it.
    pub is_cut: bool,
}

/// A TCP segment in its connection.
#[derive(Clone, Copy, Debug)]
pub struct CapturedSegment<'a> {
    /// Number of the TCP connection.
    pub number: u64,
    /// Whether it is clear what the connection carries.
    pub is_decided: bool,
    /// The connection, once it is known to carry MQTT (or that it should).
    pub connection: Option<&'a Connection>,
    /// Sender.
    pub src: Endpoint,
    /// Receiver.
    pub dst: Endpoint,
    /// Who sent the SYN, as far as that is known.
    pub opener: Option<Endpoint>,
    /// Where it stands.
    pub carried: Carried,
    /// Earlier packets whose IP fragments were joined into it.
    pub fragments: &'a [PacketRef],
}

/// What TCP itself tells of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// Which side's packet told it: what that side sends goes this way.
    pub from: Direction,
    /// What it told.
    pub fact: TcpFact,
    /// The packet.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
}

/// A range of one direction's TCP stream. Those of a direction ascend, and
/// leave out only what the capture lacks.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// Which way its bytes went.
    pub direction: Direction,
    /// Where it lies.
    pub range: ByteRange,
    /// What it is.
    pub kind: SpanKind,
}

/// What a range of a TCP stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A layer's own.
    Own(LayerBytes),
    /// Bytes of the MQTT stream.
    Mqtt {
        /// Position of the first of them in the MQTT stream
        /// ([`MQTTFrame::offset`]).
        offset: u64,
        /// How many. Other than the length of the range where they were
        /// compressed.
        len: u64,
        /// Position in the TCP stream after the TLS record or compressed message
        /// that they are sealed in.
        seal: Option<u64>,
    },
}

/// What a TCP port is known to carry. What a connection begins with tells what
/// it really carries; where the capture begins in its middle, this does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decode {
    /// MQTT over TCP alone.
    Mqtt,
    /// MQTT over TLS.
    Mqtts,
    /// MQTT over WebSocket.
    Ws,
    /// MQTT over WebSocket over TLS.
    Wss,
}

impl Decode {
    /// The layers between TCP and MQTT, from the lowest up.
    fn layers(self) -> &'static [&'static LayerType] {
        static TLS_WEBSOCKET: [&LayerType; 2] = [&tls::LAYER, &websocket::LAYER];
        match self {
            Self::Mqtt => &[],
            Self::Mqtts => &TLS_WEBSOCKET[..1],
            Self::Ws => &TLS_WEBSOCKET[1..],
            Self::Wss => &TLS_WEBSOCKET,
        }
    }
}

/// How an engine reads a capture.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ports that are known to carry MQTT.
    pub ports: BTreeMap<u16, Decode>,
    /// Do not look for MQTT, nor for what may carry it, on other ports.
    pub only_known_ports: bool,
    /// Keys to TLS may come ([`Engine::secrets`]), so that connections on other
    /// ports are worth waiting for.
    pub expects_keys: bool,
    /// Bytes of each PUBLISH payload to keep for output.
    pub payload: u32,
    /// Digest payloads while they pass: [`MQTTFrame::payload_digest`].
    pub digests: bool,
    /// Verify TCP checksums, and prefer the copy with a right one.
    pub verify_checksums: bool,
    /// Tell what TCP itself tells, as [`Output::Tcp`].
    pub follow_tcp: bool,
    /// Tell of every captured packet, as [`Output::Packet`].
    pub follow_packets: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ports: BTreeMap::from([(1883, Decode::Mqtt), (8883, Decode::Mqtts)]),
            only_known_ports: false,
            expects_keys: false,
            payload: 4096,
            digests: false,
            verify_checksums: false,
            follow_tcp: false,
            follow_packets: false,
        }
    }
}

/// Where a captured packet belongs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Placed<'a> {
    /// Number of its TCP connection, if it carried a TCP segment.
    pub connection: Option<u64>,
    /// Earlier packets whose IP fragments it completed.
    pub fragments: &'a [PacketRef],
}

/// What was read, in numbers.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Captured packets.
    pub packets: u64,
    /// Frames pushed out.
    pub frames: u64,
    /// Segments that were duplicates of an earlier packet.
    pub duplicates: u64,
    /// TCP connections that carried MQTT, or were on an MQTT port.
    pub mqtt_connections: u64,
    /// All other TCP connections.
    pub other_connections: u64,
    /// Those of them that begin as HTTP/2 does, in clear or decrypted: it can
    /// carry WebSockets, and is not decoded.
    pub http2_connections: u64,
    /// Those of them that are TLS, and whose port does not say that it is MQTT's.
    pub tls_connections: u64,
    /// What was met below TCP.
    pub net: net::Counters,
}

/// One engine reads one capture.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    net: Decoder,
    flows: FlowTable<Tracked>,
    shared: Shared,
    keys: KeyLog,
    /// How much was known of keys when connections last looked.
    keys_seen: u64,
    packets: u64,
    last: PacketRef,
    /// The fragments that the last packet completed.
    fragments: Vec<PacketRef>,
    /// The packet being read, if it is to be reported with its segment; with the
    /// fragments that it completes.
    captured: Option<(Captured<'static>, Vec<PacketRef>)>,
}

/// What all connections share.
#[derive(Debug, Default)]
struct Shared {
    frames: u64,
    mqtt_connections: u64,
    http2_connections: u64,
    tls_connections: u64,
    /// Bytes kept of incomplete control packets.
    kept: usize,
    /// And in layers, or until it is clear what they are.
    layers_kept: usize,
}

/// What the engine keeps of a TCP connection.
#[derive(Debug, Default)]
enum Tracked {
    /// No byte of it was seen yet, or too few to tell what it is.
    #[default]
    New,
    /// Its first bytes could be those of MQTT, or of what carries it.
    Undecided(Box<Prefix>),
    /// Its streams carry MQTT, directly or in layers, or may, or should because of
    /// its port.
    Stack(Box<Stack>),
    /// It carries something else.
    Other,
}

impl Engine {
    /// An engine that has read nothing yet.
    pub fn new(config: Config) -> Self {
        let mut keys = KeyLog::default();
        if !config.expects_keys {
            keys.close();
        }
        Self {
            net: Decoder::new(config.verify_checksums),
            config,
            flows: FlowTable::default(),
            shared: Shared::default(),
            keys,
            keys_seen: 0,
            packets: 0,
            last: PacketRef::default(),
            fragments: Vec::new(),
            captured: None,
        }
    }

    /// Reads the next captured packet and pushes out what it completes.
    pub fn push(
        &mut self,
        packet: &CapturedPacket<'_>,
        out: &mut dyn FnMut(Output<'_>),
    ) -> Placed<'_> {
        self.packets += 1;
        self.last = packet.id;
        let mut cx = Context {
            config: &self.config,
            shared: &mut self.shared,
            keys: &self.keys,
            captured: &mut self.captured,
            out,
        };
        let mut connection = None;
        self.fragments.clear();
        let mut subframe = Some(Subframe::default());
        // Nearly always one; an 802.11 aggregate holds several frames.
        while let Some(this) = subframe {
            let decoded = self.net.decode_subframe(packet, this);
            if cx.config.follow_packets {
                cx.captured(packet, this, &decoded);
            }
            if let Decoded::Segment(segment) = &decoded {
                connection = Some(self.flows.push(segment, &mut cx));
                self.fragments.extend_from_slice(segment.fragments);
            }
            subframe = self.net.next_subframe();
        }
        Placed {
            connection,
            fragments: &self.fragments,
        }
    }

    /// Says that keys to TLS may come, although [`Config::expects_keys`] does not
    /// say so: the capture is of a kind that can hold them.
    pub fn expect_secrets(&mut self) {
        self.keys.reopen();
    }

    /// Takes keys to TLS: text in the NSS key log format, in chunks of any size.
    /// They are looked at by what comes next, and by [`Engine::tick`].
    pub fn secrets(&mut self, text: &[u8]) {
        self.keys.push(text);
    }

    /// Says that capture time has come to `now`, although no packet shows it:
    /// what waits for time, or for keys, is settled.
    pub fn tick(&mut self, now: Timestamp, out: &mut dyn FnMut(Output<'_>)) {
        let mut cx = Context {
            config: &self.config,
            shared: &mut self.shared,
            keys: &self.keys,
            captured: &mut self.captured,
            out,
        };
        if self.keys_seen != self.keys.generation() {
            self.keys_seen = self.keys.generation();
            self.flows.each(|flow, state, now| {
                if let Tracked::Stack(stack) = state {
                    stack.settle(flow, now, &mut cx);
                }
            });
        }
        self.flows.tick(now, &mut cx);
    }

    /// Says that packets were lost to the capture, at the latest at `until`, so
    /// that what is absent proves nothing.
    pub fn dropped(&mut self, packets: u64, until: Timestamp, out: &mut dyn FnMut(Output<'_>)) {
        out(Output::Event(&Event {
            kind: EventKind::Dropped { packets },
            time: until,
            packet: self.last,
            connection: None,
            direction: None,
            bytes: None,
        }));
    }

    /// Says that the capture has ended: pushes out what still waits.
    pub fn finish(&mut self, out: &mut dyn FnMut(Output<'_>)) {
        let mut cx = Context {
            config: &self.config,
            shared: &mut self.shared,
            keys: &self.keys,
            captured: &mut self.captured,
            out,
        };
        self.flows.finish(&mut cx);
    }

    /// What was read so far.
    pub fn summary(&self) -> Summary {
        Summary {
            packets: self.packets,
            frames: self.shared.frames,
            duplicates: self.flows.duplicates(),
            mqtt_connections: self.shared.mqtt_connections,
            other_connections: self.flows.connections() - self.shared.mqtt_connections,
            http2_connections: self.shared.http2_connections,
            tls_connections: self.shared.tls_connections,
            net: self.net.counters().clone(),
        }
    }
}

impl Shared {
    /// A layer no longer keeps so many bytes.
    fn forget_kept(&mut self, bytes: usize) {
        self.layers_kept = self.layers_kept.saturating_sub(bytes);
    }
}

/// The flow table's view of the engine, for the time of one call.
struct Context<'a, 'o> {
    config: &'a Config,
    shared: &'a mut Shared,
    keys: &'a KeyLog,
    captured: &'a mut Option<(Captured<'static>, Vec<PacketRef>)>,
    out: &'a mut (dyn FnMut(Output<'_>) + 'o),
}

impl Context<'_, '_> {
    /// Which end is the client, on a port that is known to carry MQTT, and how:
    /// who opened the connection, else who is not on that port.
    fn client_by_port(&self, flow: &FlowInfo) -> Option<(End, Decode)> {
        let known = |end: End| self.config.ports.get(&flow.ends[end].port);
        match (known(End::A), known(End::B)) {
            (None, None) => None,
            (Some(&a), Some(&b)) => flow.initiator.map(|opener| match opener {
                End::A => (opener, b),
                End::B => (opener, a),
            }),
            (Some(&a), None) => Some((flow.initiator.unwrap_or(End::B), a)),
            (None, Some(&b)) => Some((flow.initiator.unwrap_or(End::A), b)),
        }
    }

    /// Reports a packet, or waits for the flow table to say where its segment
    /// stands.
    #[cold]
    fn captured(&mut self, packet: &CapturedPacket<'_>, subframe: Subframe, decoded: &Decoded<'_>) {
        let captured = Captured {
            packet: packet.id,
            time: packet.time,
            anatomy: Anatomy::of(packet, subframe),
            segment: None,
            is_fragment: matches!(decoded, Decoded::Other(Other::Fragment)),
            is_cut: packet.data.len() < packet.original_len as usize,
        };
        match decoded {
            Decoded::Segment(segment) => {
                *self.captured = Some((captured, segment.fragments.to_vec()));
            }
            Decoded::Other(_) => (self.out)(Output::Packet(&captured)),
        }
    }

    /// Begins to keep state of a connection on a port that is known to carry MQTT.
    fn adopt(&mut self, flow: &FlowInfo, state: &mut Tracked) {
        if let Tracked::New = state
            && let Some((client, known)) = self.client_by_port(flow)
        {
            let conversation = self.start(flow, client);
            let stack = Stack::on_known_port(known, conversation, client);
            *state = Tracked::Stack(Box::new(stack));
        }
    }

    fn start(&mut self, flow: &FlowInfo, client: End) -> Box<Conversation> {
        self.shared.mqtt_connections += 1;
        let mut conversation = Box::new(Conversation::new(flow, client));
        conversation.announce(flow, self.out);
        conversation
    }

    /// Looks at the first bytes of a connection on a port that says nothing.
    fn probe(
        &mut self,
        flow: &FlowInfo,
        mut prefix: Box<Prefix>,
        from: End,
        event: StreamEvent<'_>,
        now: At,
    ) -> Tracked {
        let StreamEvent::Chunk(chunk) = event else {
            return Tracked::Undecided(prefix);
        };
        self.shared.forget_kept(prefix.kept());
        match prefix.push(from, chunk) {
            Found::More => {
                let kept = self.shared.layers_kept + prefix.kept();
                if kept > limits::LAYERS_KEPT {
                    return Tracked::Other;
                }
                self.shared.layers_kept = kept;
                Tracked::Undecided(prefix)
            }
            Found::Nothing => {
                self.shared.http2_connections += u64::from(prefix.is_http2());
                Tracked::Other
            }
            Found::Mqtt(client) => {
                let mut stack = Box::new(Stack::plain(self.start(flow, client), client));
                prefix.replay(|from, chunk| stack.push(flow, from, chunk, now, self));
                Tracked::Stack(stack)
            }
            Found::Layer(carrier, client) => {
                let mut stack = Box::new(Stack::layered(carrier, client));
                prefix.replay(|from, chunk| stack.push(flow, from, chunk, now, self));
                Tracked::Stack(stack)
            }
        }
    }
}

impl Handler<Tracked> for Context<'_, '_> {
    fn opened(&mut self, flow: &FlowInfo, state: &mut Tracked, _now: At) {
        match state {
            // Of SYNs without an answer there is nothing to keep, unless
            // somebody wants to know of each packet.
            Tracked::New
                if flow.established || self.config.follow_tcp || self.config.follow_packets =>
            {
                self.adopt(flow, state);
            }
            Tracked::New => {}
            // The SYN came after what it should precede.
            Tracked::Stack(stack) => stack.announce(flow, self),
            Tracked::Undecided(_) | Tracked::Other => {}
        }
    }

    fn stream(
        &mut self,
        flow: &FlowInfo,
        state: &mut Tracked,
        from: End,
        event: StreamEvent<'_>,
        now: At,
    ) -> Interest {
        if let Tracked::New = state {
            self.adopt(flow, state);
        }
        match state {
            Tracked::New if self.config.only_known_ports => *state = Tracked::Other,
            Tracked::New => *state = self.probe(flow, Box::default(), from, event, now),
            Tracked::Undecided(prefix) => {
                let prefix = std::mem::take(prefix);
                *state = self.probe(flow, prefix, from, event, now);
            }
            Tracked::Stack(stack) => stack.stream(flow, from, event, now, self),
            Tracked::Other => {}
        }
        match state {
            Tracked::Stack(stack) if stack.is_over() => {
                if stack.connection().is_none() {
                    self.shared.tls_connections += u64::from(stack.is_sealed(self));
                    stack.leave(self);
                    *state = Tracked::Other;
                }
                Interest::Ignored
            }
            Tracked::Other => Interest::Ignored,
            _ => Interest::Wanted,
        }
    }

    fn follows_tcp(&self) -> bool {
        self.config.follow_tcp
    }

    fn tcp(&mut self, _: &FlowInfo, state: &mut Tracked, from: End, fact: TcpFact, now: At) {
        match state {
            Tracked::Stack(stack) => stack.tcp(from, fact, now, self),
            Tracked::New | Tracked::Undecided(_) | Tracked::Other => {}
        }
    }

    fn follows_segments(&self) -> bool {
        self.config.follow_packets
    }

    fn segment(
        &mut self,
        flow: &FlowInfo,
        state: &mut Tracked,
        from: End,
        carried: Carried,
        _now: At,
    ) {
        let Some((captured, fragments)) = self.captured.take() else {
            return;
        };
        let end = |end: End| flow.ends[end];
        (self.out)(Output::Packet(&Captured {
            segment: Some(CapturedSegment {
                number: flow.number,
                is_decided: match state {
                    Tracked::Other => true,
                    Tracked::Stack(stack) => stack.connection().is_some(),
                    Tracked::New | Tracked::Undecided(_) => false,
                },
                connection: match state {
                    Tracked::Stack(stack) => stack.connection(),
                    _ => None,
                },
                src: end(from),
                dst: end(from.peer()),
                opener: flow.initiator.map(end),
                carried,
                fragments: &fragments,
            }),
            ..captured
        }));
    }

    fn evicted(&mut self, flow: &FlowInfo) {
        if self.config.follow_packets {
            (self.out)(Output::Evicted(flow.number));
        }
    }

    fn closing(&mut self, flow: &FlowInfo, state: &mut Tracked, how: Closed, at: At) {
        self.adopt(flow, state);
        if let Tracked::Stack(stack) = state {
            stack.closing(how, at, self);
        }
    }

    fn closed(&mut self, flow: &FlowInfo, state: &mut Tracked, how: Closed, at: At) {
        self.adopt(flow, state);
        match std::mem::replace(state, Tracked::Other) {
            Tracked::Stack(stack) => {
                self.shared.tls_connections += u64::from(stack.is_sealed(self));
                stack.close(flow, how, at, self);
            }
            Tracked::Undecided(prefix) => self.shared.forget_kept(prefix.kept()),
            Tracked::New | Tracked::Other => {}
        }
    }
}

//! Connects the stages: captured packets in, frames and events out.
//!
//! ```text
//! CapturedPacket ─→ link, net ─Segment→ flow ─StreamEvent→ recognise ─→ conversation ─→ MQTTFrame
//!                                                              └→ stack ──↑ framer, decoder    Event
//!                                                           PROXY, TLS, WebSocket
//! ```
//! A connection whose TCP streams are MQTT streams goes directly to its conversation;
//! one with layers between them goes through a stack.
//!
//! The engine never opens a file, reads a clock, prints or starts a thread. One engine
//! reads one capture from its first packet to its last; its memory is limited by
//! [`crate::limits`].

mod conversation;
mod frame_sink;
mod order;
mod output;
mod provenance;
mod recognise;
mod session_starts;
mod stack;

use crate::event::{Event, EventKind};
use crate::flow::{
    At, Carried, Closed, End, FlowInfo, FlowTable, Handler, Interest, StreamEvent, TcpFact,
};
use crate::frame::{Direction, PerDirection};
use crate::layer::tls::KeyLog;
use crate::layer::{LayerType, tls, websocket};
use crate::limits;
use crate::mqtt::PacketType;
use crate::net::{self, Anatomy, Application, Datagram, Decoded, Decoder, Other, Subframe};
use crate::packet::{CapturedPacket, PacketRef};
use crate::time::Timestamp;
use std::collections::BTreeMap;

use conversation::Conversation;
use recognise::{Found, Prefix};
use stack::Stack;

pub use output::{Captured, CapturedSegment, Output, Segment, Span, SpanKind, Tcp};
pub(crate) use session_starts::{Attempt, SessionStarts};

/// Protocol of a TCP port. The first bytes of a connection take precedence; the port
/// decides where the capture starts in the middle of a connection.
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
    /// Ports of MQTT and its transports.
    pub ports: BTreeMap<u16, Decode>,
    /// Do not look for MQTT or its transports on other ports.
    pub only_known_ports: bool,
    /// Read a connection that was captured under several addresses (before and
    /// after a router that translates them) as many times.
    pub keep_views: bool,
    /// TLS keys may arrive ([`Engine::secrets`]), so that TLS connections on
    /// other ports are kept.
    pub expects_keys: bool,
    /// Decode the fields of control packets. Without, frames have their fixed header,
    /// and limits and defects of fields are not reported.
    pub fields: bool,
    /// Bytes of each PUBLISH payload to keep for output.
    pub payload: u32,
    /// Bytes to keep of incomplete control packets, on all connections together.
    pub kept: usize,
    /// Digest payloads while they pass: `MQTTFrame::payload_digest`.
    pub digests: bool,
    /// Verify TCP checksums, and prefer the copy with a correct one.
    pub verify_checksums: bool,
    /// Output facts of TCP, as [`Output::Tcp`].
    pub follow_tcp: bool,
    /// Output every captured packet, as [`Output::Packet`].
    pub follow_packets: bool,
    /// Output the TCP segments of connections, as [`Output::Segment`].
    pub follow_segments: bool,
    /// Follow when sessions began: `Connection::session_uid`.
    pub follow_sessions: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ports: BTreeMap::from([(1883, Decode::Mqtt), (8883, Decode::Mqtts)]),
            only_known_ports: false,
            keep_views: false,
            expects_keys: false,
            fields: true,
            payload: 4096,
            kept: limits::KEPT_TOTAL,
            digests: false,
            verify_checksums: false,
            follow_tcp: false,
            follow_packets: false,
            follow_segments: false,
            follow_sessions: false,
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

/// Counts of what was read.
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
    /// Connections captured before under other addresses, and not read twice.
    pub views: u64,
    /// All other TCP connections.
    pub other_connections: u64,
    /// Those that start as HTTP/2 does, in clear or decrypted: it can carry WebSockets,
    /// and is not decoded.
    pub http2_connections: u64,
    /// Those that are TLS, on ports that are not MQTT's.
    pub tls_connections: u64,
    /// Those that might have become MQTT, but too many were undecided at once
    /// ([`limits::LAYERS_KEPT`]).
    pub undecided_connections: u64,
    /// Those of which the capture has no beginning, and that look like MQTT without
    /// enough evidence: their number by the lower port. Up to 64 ports.
    pub likely_connections: BTreeMap<u16, u64>,
    /// UDP datagrams that may carry MQTT in a form that is not decoded, by what
    /// they carry and the port of the gateway or server.
    pub datagrams: BTreeMap<(Application, u16), u64>,
    /// Counts below TCP.
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
    /// Number of keys when connections last tried them.
    keys_seen: u64,
    packets: u64,
    last: PacketRef,
    /// The fragments that the last packet completed.
    fragments: Vec<PacketRef>,
    /// The packet being read, if it is to be reported with its segment; with the
    /// fragments that it completes.
    captured: Option<(Captured<'static>, Vec<PacketRef>)>,
}

/// State shared by all connections.
#[derive(Debug, Default)]
struct Shared {
    frames: u64,
    mqtt_connections: u64,
    http2_connections: u64,
    tls_connections: u64,
    undecided_connections: u64,
    views: u64,
    likely_connections: BTreeMap<u16, u64>,
    datagrams: BTreeMap<(Application, u16), u64>,
    session_starts: SessionStarts,
    /// Bytes kept of incomplete control packets.
    kept: usize,
    /// Bytes buffered in layers, or until they are recognised.
    layers_kept: usize,
}

/// State of a TCP connection.
#[derive(Debug, Default)]
enum Tracked {
    /// No byte was read yet, or too few to recognise it.
    #[default]
    New,
    /// Its first bytes may be MQTT or one of its transports.
    Undecided(Box<Prefix>),
    /// Its streams carry MQTT, directly or in layers, or may, or should because of
    /// its port.
    Stack(Box<Stack>),
    /// It carries another protocol.
    Other,
}

impl Engine {
    /// An engine for a new capture.
    pub fn new(config: Config) -> Self {
        let mut keys = KeyLog::default();
        if !config.expects_keys {
            keys.close();
        }
        Self {
            net: Decoder::new(config.verify_checksums),
            flows: FlowTable::keeping_views(config.keep_views),
            config,
            shared: Shared::default(),
            keys,
            keys_seen: 0,
            packets: 0,
            last: PacketRef::default(),
            fragments: Vec::new(),
            captured: None,
        }
    }

    /// Reads the next captured packet and outputs what it completes.
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
        // Nearly always one; an 802.11 aggregate has several frames.
        while let Some(this) = subframe {
            let decoded = self.net.decode_subframe(packet, this);
            if cx.config.follow_packets {
                cx.captured(packet, this, &decoded);
            }
            match &decoded {
                Decoded::Segment(segment) => {
                    connection = Some(self.flows.push(segment, &mut cx));
                    if !segment.fragments.is_empty() {
                        self.fragments.extend_from_slice(segment.fragments);
                    }
                }
                Decoded::Datagram(datagram) => cx.shared.datagram(datagram),
                Decoded::Other(_) => {}
            }
            subframe = self.net.next_subframe();
        }
        Placed {
            connection,
            fragments: &self.fragments,
        }
    }

    /// TLS keys may arrive, although [`Config::expects_keys`] is not set: the
    /// capture is of a kind that can contain them.
    pub fn expect_secrets(&mut self) {
        self.keys.reopen();
    }

    /// Adds TLS keys: text in the NSS key log format, in chunks of any size.
    /// They are used for the following packets, and by [`Engine::tick`].
    pub fn secrets(&mut self, text: &[u8]) {
        self.keys.push(text);
    }

    /// Capture time has reached `now` without a packet: applies time limits,
    /// and keys that have arrived.
    pub fn tick(&mut self, now: Timestamp, out: &mut dyn FnMut(Output<'_>)) {
        let have_arrived = self.keys_seen != self.keys.generation();
        self.keys_seen = self.keys.generation();
        let (flows, mut cx) = self.parts(out);
        if have_arrived {
            flows.each(|flow, state, now| {
                if let Tracked::Stack(stack) = state {
                    stack.settle(flow, now, &mut cx);
                }
            });
        }
        flows.tick(now, &mut cx);
    }

    /// Evicts the sixteenth part of the connections, those silent longest. Returns how
    /// many that were.
    pub fn make_room(&mut self, out: &mut dyn FnMut(Output<'_>)) -> u64 {
        let (flows, mut cx) = self.parts(out);
        flows.make_room(&mut cx)
    }

    /// The clock of the whole capture, in a shard of it: what waits for time to pass is
    /// settled at the same packets as in the capture.
    pub fn clock(&mut self, packet: PacketRef, time: Timestamp, out: &mut dyn FnMut(Output<'_>)) {
        let (flows, mut cx) = self.parts(out);
        flows.tick_at(packet, time, &mut cx);
    }

    /// The capture lost packets, at the latest at `until`: absence proves nothing.
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

    /// The capture has ended: outputs everything that is still buffered.
    pub fn finish(&mut self, out: &mut dyn FnMut(Output<'_>)) {
        let (flows, mut cx) = self.parts(out);
        flows.finish(&mut cx);
    }

    /// The connections, and what they need when something happens to them.
    fn parts<'a, 'o>(
        &'a mut self,
        out: &'a mut (dyn FnMut(Output<'_>) + 'o),
    ) -> (&'a mut FlowTable<Tracked>, Context<'a, 'o>) {
        let cx = Context {
            config: &self.config,
            shared: &mut self.shared,
            keys: &self.keys,
            captured: &mut self.captured,
            out,
        };
        (&mut self.flows, cx)
    }

    /// Counts of what was read so far.
    pub fn summary(&self) -> Summary {
        Summary {
            packets: self.packets,
            frames: self.shared.frames,
            duplicates: self.flows.duplicates(),
            mqtt_connections: self.shared.mqtt_connections,
            views: self.shared.views,
            other_connections: self.flows.connections()
                - self.shared.mqtt_connections
                - self.shared.views,
            http2_connections: self.shared.http2_connections,
            tls_connections: self.shared.tls_connections,
            undecided_connections: self.shared.undecided_connections,
            likely_connections: self.shared.likely_connections.clone(),
            datagrams: self.shared.datagrams.clone(),
            net: self.net.counters().clone(),
        }
    }
}

impl Shared {
    /// Counts a connection that looks like MQTT and was not recognised.
    fn note_likely(&mut self, port: u16) {
        let ports = &mut self.likely_connections;
        if ports.len() < LIKELY_PORTS || ports.contains_key(&port) {
            *ports.entry(port).or_default() += 1;
        }
    }

    /// Counts a datagram of MQTT over UDP. Others are only counted all together.
    #[cold]
    fn datagram(&mut self, datagram: &Datagram<'_>) {
        if datagram.application != Application::Other {
            let key = (datagram.application, datagram.service_port());
            *self.datagrams.entry(key).or_default() += 1;
        }
    }

    /// A layer has released this many bytes.
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
    /// Which end is the client, on a port of MQTT, and how that is known: the
    /// end that opened the connection, else the one not on that port.
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

    /// Outputs a packet, or keeps it until the flow table has placed its segment.
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
            Decoded::Datagram(_) | Decoded::Other(_) => (self.out)(Output::Packet(&captured)),
        }
    }

    /// Outputs a segment of a connection that is MQTT, or should be.
    fn carried(&mut self, flow: &FlowInfo, state: &Tracked, from: End, carried: Carried, now: At) {
        let without_state;
        let connection = match state {
            // Nothing but SYNs and resets.
            Tracked::New if flow.may_be_view => return,
            Tracked::New => {
                let Some((client, _)) = self.client_by_port(flow) else {
                    return;
                };
                without_state = conversation::connection(flow, client);
                &without_state
            }
            Tracked::Stack(stack) => match stack.connection() {
                Some(connection) => connection,
                None => return,
            },
            Tracked::Undecided(_) | Tracked::Other => return,
        };
        let from = match flow.ends[from] == connection.client {
            true => Direction::Up,
            false => Direction::Down,
        };
        (self.out)(Output::Segment(&Segment {
            connection,
            from,
            carried,
            packet: now.packet,
            time: now.time,
        }));
    }

    /// Creates the state of a connection on a port of MQTT.
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

    /// MQTT whose beginning the capture does not have.
    fn joined(&mut self, flow: &FlowInfo, prefix: &Prefix, client: End, now: At) -> Box<Stack> {
        let mut stack = Box::new(Stack::plain(self.start(flow, client), client));
        prefix.replay(|from, chunk| stack.push(flow, from, chunk, now, self));
        stack
    }

    /// Recognises the first bytes of a connection on another port.
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
                    self.shared.undecided_connections += 1;
                    return Tracked::Other;
                }
                self.shared.layers_kept = kept;
                Tracked::Undecided(prefix)
            }
            Found::Nothing => {
                self.shared.http2_connections += u64::from(prefix.is_http2());
                Tracked::Other
            }
            Found::Joined(from, first) => {
                let client = client_of(flow, from, first);
                Tracked::Stack(self.joined(flow, &prefix, client, now))
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
            // SYNs without an answer need no state.
            Tracked::New if flow.established => self.adopt(flow, state),
            Tracked::New => {}
            // The SYN was captured after bytes that it precedes.
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
            Tracked::New => {
                let from_start = flow.from_start.a && flow.from_start.b;
                let prefix = match from_start || flow.initiator.is_some() {
                    true => Prefix::default(),
                    false => Prefix::joined(),
                };
                *state = self.probe(flow, Box::new(prefix), from, event, now);
            }
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

    fn has_state(&self, state: &Tracked) -> bool {
        !matches!(state, Tracked::New)
    }

    fn follows_tcp(&self) -> bool {
        self.config.follow_tcp
    }

    fn tcp(&mut self, flow: &FlowInfo, state: &mut Tracked, from: End, fact: TcpFact, now: At) {
        if let TcpFact::SynAgain { .. } | TcpFact::Reset(_) = fact {
            self.adopt(flow, state);
        }
        match state {
            Tracked::Stack(stack) => stack.tcp(from, fact, now, self),
            Tracked::New | Tracked::Undecided(_) | Tracked::Other => {}
        }
    }

    fn follows_segments(&self) -> bool {
        self.config.follow_packets || self.config.follow_segments
    }

    fn segment(
        &mut self,
        flow: &FlowInfo,
        state: &mut Tracked,
        from: End,
        carried: Carried,
        now: At,
    ) {
        if self.config.follow_segments && !carried.copy {
            self.carried(flow, state, from, carried, now);
        }
        let Some((captured, fragments)) = self.captured.take() else {
            return;
        };
        let end = |end: End| flow.ends[end];
        let expected = match state {
            Tracked::New => self.client_by_port(flow),
            _ => None,
        };
        let expected = expected.map(|(client, _)| PerDirection {
            up: end(client),
            down: end(client.peer()),
        });
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
                expected,
                src: end(from),
                dst: end(from.peer()),
                opener: flow.initiator.map(end),
                carried,
                fragments: &fragments,
            }),
            ..captured
        }));
    }

    fn captured_twice(&mut self, _: &FlowInfo, state: &mut Tracked) {
        self.shared.views += 1;
        *state = Tracked::Other;
    }

    fn evicted(&mut self, flow: &FlowInfo) {
        if self.follows_segments() {
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
            Tracked::Undecided(mut prefix) => {
                self.shared.forget_kept(prefix.kept());
                match prefix.joined_at_end() {
                    Some((Found::Joined(from, first), _)) => {
                        let client = client_of(flow, from, first);
                        let stack = self.joined(flow, &prefix, client, at);
                        stack.close(flow, how, at, self);
                    }
                    Some((_, bits)) if bits >= LIKELY_BITS => {
                        let port = flow.ends.a.port.min(flow.ends.b.port);
                        self.shared.note_likely(port);
                    }
                    _ => {}
                }
            }
            Tracked::New | Tracked::Other => {}
        }
    }
}

/// Ports of connections that look like MQTT that are told apart.
const LIKELY_PORTS: usize = 64;
/// Evidence in bits with which a connection that was not recognised is worth
/// trying: half of what recognises it at its end.
const LIKELY_BITS: u32 = 12;

/// Which end is the client of a connection that was joined in its middle: by who
/// sends such control packets, else by who opened it, else the one with the
/// higher port, as systems give them to clients.
fn client_of(flow: &FlowInfo, from: End, first: PacketType) -> End {
    use PacketType as P;
    match first {
        P::Connect | P::Subscribe | P::Unsubscribe | P::Pingreq => from,
        P::Connack | P::Suback | P::Unsuback | P::Pingresp => from.peer(),
        _ => flow.initiator.unwrap_or({
            match flow.ends.a.port < flow.ends.b.port {
                true => End::B,
                false => End::A,
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;

    /// A TCP segment without SYN, from port `port` to port 8080.
    fn segment(port: u16, payload: &[u8]) -> Vec<u8> {
        let length = (40 + payload.len() as u16).to_be_bytes();
        [
            &[0x45, 0, length[0], length[1], 0, 1, 0x40, 0, 64, 6, 0, 0][..],
            &[10, 0, 0, 7, 10, 0, 1, 1],
            &port.to_be_bytes(),
            &8080_u16.to_be_bytes(),
            &[0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0],
            payload,
        ]
        .concat()
    }

    #[test]
    fn connections_that_are_undecided_beyond_the_limit_are_counted() {
        let mut engine = Engine::new(Config::default());
        let push = |engine: &mut Engine, port| {
            let data = segment(port, b"GET /mqtt HTTP/1.1\r\nHost: ");
            engine.push(
                &CapturedPacket {
                    id: PacketRef::default(),
                    time: Timestamp::from_nanos(1),
                    link_type: LinkType(101),
                    original_len: data.len() as u32,
                    data: &data,
                },
                &mut |_| {},
            );
            engine.summary().undecided_connections
        };
        assert_eq!(push(&mut engine, 1), 0);
        let each = engine.shared.layers_kept;
        assert!(each > 0);
        // As much as others may keep.
        engine.shared.layers_kept = limits::LAYERS_KEPT - each;
        assert_eq!(push(&mut engine, 2), 0);
        assert_eq!(push(&mut engine, 3), 1);
        assert_eq!(engine.shared.layers_kept, limits::LAYERS_KEPT);
    }
}

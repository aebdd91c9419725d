//! Captures that can be shared: names, payloads and addresses become pseudonyms of the
//! same length and kind.
//!
//! ```text
//! first pass    Survey     refuses what cannot be redacted; learns assumed versions
//! second pass   Redactor   CapturedPacket ─→ engine ─→ frames, spans ─→ replacements
//!                                    └→ waits until its stream is read ─→ packet
//! ```
//! The engine reads the capture as every command does, and its frames say which bytes of
//! the TCP streams are MQTT. Only these are taken over, with their values replaced in
//! place; payload that was not read as MQTT is overwritten, so that nothing is left of
//! it. Lengths, times, sequence numbers, packet identifiers, QoS and reason codes stay,
//! and with them what `check` finds and `overhead` counts.
//!
//! What cannot be replaced in place is refused ([`Refused`]): TLS, compressed WebSocket
//! messages, MQTT in tunnels and IP fragments, retransmissions with other bytes.

mod control_packet;
mod headers;
mod pseudonym;
mod reading;
mod shape;
mod stream;
mod websocket;

pub use pseudonym::{Kind, Mapping};
pub use reading::Reading;

use std::collections::{HashMap, VecDeque};

use crate::engine::{Captured, Config, Engine, Output, Span, SpanKind};
use crate::event::EventKind;
use crate::frame::MQTTFrame;
use crate::layer::{LayerBytes, Note};
use crate::limits;
use crate::mqtt::Version;
use crate::net::Endpoint;
use crate::packet::{CapturedPacket, PacketRef};
use headers::Layout;
use pseudonym::Pseudonyms;
use stream::Stream;

/// Why a capture is not redacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packet {packet}: {problem}", packet = .packet.number)]
pub struct Refused {
    /// The packet that shows it.
    pub packet: PacketRef,
    /// What it is.
    pub problem: Problem,
}

/// What cannot be redacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A link type whose header is not known well enough.
    #[error("link type {0} cannot be redacted (Ethernet, raw IP, null and Linux cooked can)")]
    LinkType(u16),
    /// Encrypted bytes cannot be replaced.
    #[error(
        "TLS cannot be redacted: encrypted bytes cannot be replaced; leave these connections out"
    )]
    Tls,
    /// Addresses in PROXY, HTTP CONNECT and SOCKS headers.
    #[error("connections through a PROXY, HTTP CONNECT or SOCKS header cannot be redacted")]
    Proxy,
    /// Compression depends on the bytes that are replaced.
    #[error("compressed WebSocket messages cannot be redacted")]
    Compressed,
    /// A retransmission differs from the first transmission.
    #[error("a retransmission with other bytes cannot be redacted")]
    Conflict,
    /// Fragments have no lengths and checksums of their own.
    #[error("MQTT in IP fragments cannot be redacted")]
    Fragments,
    /// The segment is not where the headers say.
    #[error("MQTT in tunnels and unusual headers cannot be redacted")]
    Unusual,
    /// Another view of a connection is not read, and would be overwritten.
    #[error("connections captured under several addresses (NAT) cannot be redacted")]
    Views,
    /// Too many packets wait for the end of a control packet.
    #[error("too many packets wait for the end of a control packet")]
    Waiting,
}

/// How to redact.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The secret that pseudonyms depend on; at least 16 bytes that cannot be guessed.
    pub key: Vec<u8>,
    /// Kinds of values that stay.
    pub keep: Vec<Kind>,
    /// Collect the [`Mapping`].
    pub mapping: bool,
    /// How the capture is read.
    pub engine: Config,
}

/// What the first pass learns.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// Versions of connections whose CONNECT was not captured, by number.
    versions: HashMap<u64, Version>,
}

/// The first pass over a capture.
#[derive(Debug)]
pub struct Survey {
    engine: Engine,
    learned: Surveyed,
    problem: Option<Refused>,
}

fn config(of: &Config) -> Config {
    Config {
        // Whole payloads.
        payload: u32::MAX,
        follow_packets: true,
        ..of.clone()
    }
}

impl Survey {
    /// Before the first packet.
    pub fn new(config: &Config) -> Self {
        Self {
            engine: Engine::new(Config {
                payload: 0,
                ..self::config(config)
            }),
            learned: Surveyed::default(),
            problem: None,
        }
    }

    /// Reads a packet.
    ///
    /// # Errors
    ///
    /// If the capture cannot be redacted.
    pub fn push(&mut self, packet: &CapturedPacket<'_>) -> Result<(), Refused> {
        let Self {
            engine,
            learned,
            problem,
        } = self;
        let layout = Layout::of(packet).map_err(|problem| Refused {
            packet: packet.id,
            problem,
        })?;
        let mut found = None;
        engine.push(packet, &mut |output| {
            found = found.or_else(|| learned.output(&output, Some((&layout, packet))));
        });
        *problem = problem.or(found.map(|problem| Refused {
            packet: packet.id,
            problem,
        }));
        problem.map_or(Ok(()), Err)
    }

    /// The capture has ended.
    ///
    /// # Errors
    ///
    /// If the capture cannot be redacted.
    pub fn finish(mut self) -> Result<Surveyed, Refused> {
        let (learned, mut found) = (&mut self.learned, None);
        let mut last = PacketRef::default();
        self.engine.finish(&mut |output| {
            if let Output::Event(event) = &output {
                last = event.packet;
            }
            found = found.or_else(|| learned.output(&output, None));
        });
        if self.engine.summary().views > 0 {
            found = found.or(Some(Problem::Views));
        }
        match found {
            Some(problem) => Err(Refused {
                packet: last,
                problem,
            }),
            None => Ok(self.learned),
        }
    }
}

impl Surveyed {
    fn output(
        &mut self,
        output: &Output<'_>,
        packet: Option<(&Layout, &CapturedPacket<'_>)>,
    ) -> Option<Problem> {
        match output {
            Output::Event(event) => match event.kind {
                EventKind::Conflict { .. } => Some(Problem::Conflict),
                EventKind::Layer(Note::Tls | Note::Encrypted(_) | Note::Undecrypted(_)) => {
                    Some(Problem::Tls)
                }
                EventKind::Layer(Note::Proxied { .. }) => Some(Problem::Proxy),
                _ => None,
            },
            Output::Span(span) => match span.kind {
                SpanKind::Own(
                    LayerBytes::TlsHandshake
                    | LayerBytes::TlsAlert
                    | LayerBytes::TlsRecord
                    | LayerBytes::TlsRecordEnd,
                ) => Some(Problem::Tls),
                SpanKind::Own(LayerBytes::Proxy) => Some(Problem::Proxy),
                SpanKind::Mqtt { len, seal, .. } if seal.is_some() || len != span.range.len() => {
                    Some(Problem::Compressed)
                }
                _ => None,
            },
            Output::Packet(captured) => {
                let (segment, (layout, packet)) = (captured.segment?, packet?);
                if !segment.fragments.is_empty() {
                    return Some(Problem::Fragments);
                }
                match layout.tcp_payload(packet.data.len()) {
                    Some((_, wire)) if wire == segment.carried.len as usize => None,
                    // The snap length cut the TCP header: nothing of it is left.
                    None if captured.is_cut && segment.carried.len == 0 => None,
                    _ => Some(Problem::Unusual),
                }
            }
            Output::Frame(frame) | Output::Unfinished(frame) => {
                if frame.connection.version_assumed
                    && let Some(version) = frame.connection.version
                {
                    self.versions.insert(frame.connection.number, version);
                }
                None
            }
            _ => None,
        }
    }
}

/// The second pass: packets in, redacted packets out, in the same order.
pub struct Redactor {
    engine: Engine,
    state: State,
}

struct State {
    names: Pseudonyms,
    versions: HashMap<u64, Version>,
    connections: HashMap<u64, Connection>,
    /// Packets from the oldest that is not taken.
    queue: VecDeque<Held>,
    /// Index of the first in the queue, counted from the first packet.
    first: u64,
    held_bytes: usize,
    most_held_bytes: usize,
}

struct Connection {
    ends: [Endpoint; 2],
    /// Which end is the server. Decided once, so that ports stay the same.
    server: usize,
    /// Of what each end sent.
    streams: [Stream; 2],
}

struct Held {
    data: Vec<u8>,
    layout: Layout,
    /// Offset of the TCP payload in its stream, if it is to be replaced.
    offset: i64,
    source_is_client: Option<bool>,
    is_done: bool,
}

impl Redactor {
    /// Before the first packet of the second pass.
    pub fn new(options: &Options, surveyed: Surveyed) -> Self {
        let ports = options.engine.ports.keys().copied().collect();
        let names = Pseudonyms::new(&options.key, options.keep.clone(), ports, options.mapping);
        Self {
            engine: Engine::new(config(&options.engine)),
            state: State {
                names,
                versions: surveyed.versions,
                connections: HashMap::new(),
                queue: VecDeque::new(),
                first: 0,
                held_bytes: 0,
                most_held_bytes: limits::REDACT_HELD_BYTES,
            },
        }
    }

    /// Reads a packet. Its redacted bytes come from [`Redactor::take`] later.
    ///
    /// # Errors
    ///
    /// If it cannot be redacted.
    pub fn push(&mut self, packet: &CapturedPacket<'_>) -> Result<(), Refused> {
        let refused = |problem| Refused {
            packet: packet.id,
            problem,
        };
        let layout = Layout::of(packet).map_err(refused)?;
        let state = &mut self.state;
        state.held_bytes += packet.data.len();
        if state.held_bytes > state.most_held_bytes {
            return Err(refused(Problem::Waiting));
        }
        let index = state.first + state.queue.len() as u64;
        state.queue.push_back(Held {
            data: packet.data.to_vec(),
            layout,
            offset: 0,
            source_is_client: None,
            is_done: false,
        });
        let mut has_segment = false;
        self.engine.push(packet, &mut |output| {
            has_segment |= state.output(&output, index);
        });
        if !has_segment {
            state.complete(index, &[]);
        }
        Ok(())
    }

    /// The capture has ended: all packets can be taken.
    pub fn finish(&mut self) {
        let state = &mut self.state;
        self.engine.finish(&mut |output| {
            state.output(&output, u64::MAX);
        });
        let numbers: Vec<u64> = state.connections.keys().copied().collect();
        for number in numbers {
            state.end(number);
        }
    }

    /// The next packet that is redacted, in the order in which they were pushed.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let state = &mut self.state;
        let held = match state.queue.front() {
            Some(held) if held.is_done => state.queue.pop_front()?,
            _ => return None,
        };
        state.first += 1;
        state.held_bytes -= held.data.len();
        Some(held.data)
    }

    /// The original values and their pseudonyms, if they were asked for.
    pub fn mapping(&mut self) -> Option<Mapping> {
        self.state.names.take_mapping()
    }

    /// Whether there were more values than the mapping has room for
    /// ([`limits::REDACTED_VALUES`]).
    pub fn lacks_values(&self) -> bool {
        self.state.names.lacks_values()
    }
}

impl State {
    /// Takes an output of the engine while the packet of this index is read. Returns
    /// whether it is that packet's segment.
    fn output(&mut self, output: &Output<'_>, index: u64) -> bool {
        match output {
            Output::Packet(captured) => return self.segment(captured, index),
            Output::Span(span) => self.span(span),
            Output::Frame(frame) | Output::Unfinished(frame) => self.frame(frame),
            Output::Event(event) => {
                if let (
                    EventKind::Malformed { .. } | EventKind::NotMqtt { .. },
                    Some(connection),
                    Some(direction),
                ) = (&event.kind, event.connection, event.direction)
                {
                    // Nothing more of this stream is read.
                    let (source, _) = connection.endpoints(direction);
                    self.resolve(connection.number, source, u64::MAX);
                }
            }
            Output::Ended(end) => self.end(end.connection.number),
            Output::Evicted(number) => {
                self.end(*number);
                self.connections.remove(number);
            }
            Output::Tcp(_) | Output::Segment(_) => {}
        }
        false
    }

    fn segment(&mut self, captured: &Captured<'_>, index: u64) -> bool {
        let Some(segment) = &captured.segment else {
            return false;
        };
        let connection = self.connections.entry(segment.number).or_insert_with(|| {
            let ends = [segment.src, segment.dst];
            let server = match segment.opener {
                Some(opener) => usize::from(opener == segment.src),
                // As the engine decides where nothing else shows it.
                None => usize::from(segment.dst.port < segment.src.port),
            };
            Connection {
                ends,
                server,
                streams: Default::default(),
            }
        });
        let end = usize::from(segment.src != connection.ends[0]);
        let Some(held) = self.queue.get_mut((index - self.first) as usize) else {
            return false;
        };
        held.source_is_client = Some(end != connection.server);
        held.offset = segment.carried.offset;
        let payload = held.layout.tcp_payload(held.data.len());
        let len = payload.map_or(0, |(range, _)| range.len());
        let is_foreign = segment.is_decided && segment.connection.is_none();
        if len == 0 {
            self.complete(index, &[]);
        } else {
            connection.streams[end].wait(index, segment.carried.offset, len);
        }
        if is_foreign {
            self.end(segment.number);
        } else {
            self.resolve(segment.number, segment.src, 0);
        }
        true
    }

    /// Everything of the connection is read.
    fn end(&mut self, number: u64) {
        if let Some(connection) = self.connections.get(&number) {
            for end in connection.ends {
                self.resolve(number, end, u64::MAX);
            }
        }
    }

    /// A stream is read up to a position: completes its packets.
    fn resolve(&mut self, number: u64, source: Endpoint, position: u64) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let end = usize::from(source != connection.ends[0]);
        let stream = &mut connection.streams[end];
        for (index, payload) in stream.resolve(position) {
            self.complete(index, &payload);
        }
    }

    fn complete(&mut self, index: u64, payload: &[u8]) {
        let Some(at) = index.checked_sub(self.first) else {
            return;
        };
        if let Some(held) = self.queue.get_mut(at as usize)
            && !held.is_done
        {
            let client = held.source_is_client;
            held.data = held
                .layout
                .redact(&held.data, payload, client, &mut self.names);
            held.is_done = true;
        }
    }

    fn stream(&mut self, number: u64, source: Endpoint) -> Option<&mut Stream> {
        let connection = self.connections.get_mut(&number)?;
        let end = usize::from(source != connection.ends[0]);
        connection.streams.get_mut(end)
    }

    /// Bytes of a stream as they were captured; those that were not are 0.
    fn raw(&mut self, number: u64, source: Endpoint, start: u64, end: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
        let first = self.first;
        let waiting: Vec<u64> = match self.stream(number, source) {
            Some(stream) => stream.waiting(start, end).collect(),
            None => Vec::new(),
        };
        // The first transmission is the one that was read.
        for index in waiting.into_iter().rev() {
            let held = index
                .checked_sub(first)
                .and_then(|at| self.queue.get(at as usize));
            let Some(held) = held.filter(|held| !held.is_done) else {
                continue;
            };
            let Some((range, _)) = held.layout.tcp_payload(held.data.len()) else {
                continue;
            };
            let payload = &held.data[range];
            for (position, byte) in (held.offset..).zip(payload) {
                if let Ok(position) = u64::try_from(position)
                    && (start..end).contains(&position)
                {
                    bytes[(position - start) as usize] = *byte;
                }
            }
        }
        bytes
    }

    fn span(&mut self, span: &Span<'_>) {
        let number = span.connection.number;
        let (source, _) = span.connection.endpoints(span.direction);
        let (start, end) = (span.range.start, span.range.end);
        match span.kind {
            SpanKind::Mqtt { offset, .. } => {
                if let Some(stream) = self.stream(number, source) {
                    stream.map(offset, start, end);
                }
            }
            SpanKind::Own(kind) => {
                let is_kept = matches!(
                    kind,
                    LayerBytes::WsFrame
                        | LayerBytes::WsUpgrade
                        | LayerBytes::WsPing
                        | LayerBytes::WsClose
                );
                if is_kept {
                    let mut bytes = self.raw(number, source, start, end);
                    match kind {
                        LayerBytes::WsUpgrade => websocket::head(&mut bytes, &mut self.names),
                        LayerBytes::WsPing | LayerBytes::WsClose => {
                            let is_close = kind == LayerBytes::WsClose;
                            websocket::control_frame(&mut bytes, is_close, &mut self.names);
                        }
                        _ => {}
                    }
                    if let Some(stream) = self.stream(number, source) {
                        stream.replace(start, bytes);
                    }
                }
                // Not the bytes before it that wait for the rest of their control packet.
                let incomplete = self.stream(number, source).and_then(|s| s.incomplete());
                self.resolve(number, source, end.min(incomplete.unwrap_or(end)));
            }
        }
    }

    fn frame(&mut self, frame: &MQTTFrame<'_>) {
        let connection = frame.connection;
        let number = connection.number;
        let (source, _) = connection.endpoints(frame.direction);
        let version = match self.versions.get(&number) {
            Some(&version) if connection.version_assumed => version,
            _ => frame.version,
        };
        let mut bytes = frame.bytes.to_vec();
        control_packet::redact(&mut bytes, &frame.header, version, &mut self.names);
        let Some(stream) = self.stream(number, source) else {
            return;
        };
        let chunks = stream.places(frame.offset, frame.range, bytes.len() as u64);
        for (at, start, end) in chunks {
            let Some(new) = bytes.get(at..at + (end - start) as usize) else {
                continue;
            };
            let mut new = new.to_vec();
            if connection.websocket.is_some() {
                // Masked: what changes in the plain bytes changes in those on the wire.
                let raw = self.raw(number, source, start, end);
                let plain = &frame.bytes[at..at + new.len()];
                for ((new, raw), plain) in new.iter_mut().zip(raw).zip(plain) {
                    *new ^= raw ^ plain;
                }
            }
            if let Some(stream) = self.stream(number, source) {
                stream.replace(start, new);
            }
        }
        self.resolve(number, source, frame.range.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;
    use crate::time::Timestamp;

    /// A TCP segment of a client to port 1883, in Ethernet.
    fn segment(seq: u32, payload: &[u8]) -> Vec<u8> {
        let length = (40 + payload.len() as u16).to_be_bytes();
        let ip = [0x45, 0, length[0], length[1], 0, 1, 0x40, 0, 64, 6, 0, 0];
        let ports = [0x9c, 0x40, 0x07, 0x5b];
        [
            &[2; 12][..],
            &[8, 0],
            &ip,
            &[10, 0, 0, 7, 10, 0, 1, 1],
            &ports,
            &seq.to_be_bytes(),
            &1_u32.to_be_bytes(),
            &[0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0],
            payload,
        ]
        .concat()
    }

    #[test]
    fn a_control_packet_that_never_ends_is_refused() {
        let surveyed = Surveyed::default();
        let mut redactor = Redactor::new(&Options::default(), surveyed);
        redactor.state.most_held_bytes = 10_000;
        let mut push = |number: u64, data: &[u8]| {
            redactor.push(&CapturedPacket {
                id: PacketRef { number, file: 0 },
                time: Timestamp::from_nanos(number as i64),
                link_type: LinkType(1),
                original_len: data.len() as u32,
                data,
            })
        };
        // A CONNECT of 60,000 bytes.
        let start = b"\x10\xe0\xd4\x03\0\x04MQTT\x04\x02\0\x3c\xea\x54";
        let mut start = start.to_vec();
        start.resize(946, b'a');
        for n in 0..10_u32 {
            let payload = match n {
                0 => &start[..],
                _ => &[b'a'; 946],
            };
            assert!(
                push(n.into(), &segment(1 + 946 * n, payload)).is_ok(),
                "{n}"
            );
        }
        let refused = push(10, &segment(9461, b"a")).expect_err("no room");
        assert_eq!(
            (refused.packet.number, refused.problem),
            (10, Problem::Waiting)
        );
        assert_eq!(redactor.take(), None);
    }
}

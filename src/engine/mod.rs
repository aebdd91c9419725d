//! The stages wired together: captured packets in, frames and events out.
//!
//! ```text
//! CapturedPacket ─→ link, net ─Segment→ flow ─StreamEvent→ recognise ─→ conversation ─→ MQTTFrame
//!                                                                        └ framer, decoder    Event
//! ```
//! The engine never opens a file, reads a clock, prints or starts a thread.
//! One engine reads one capture from its first packet to its last; what it
//! keeps is bounded by [`crate::limits`].

mod conversation;
mod provenance;
mod recognise;

use std::collections::BTreeMap;

use crate::event::{Event, EventKind};
use crate::flow::{
    At, Carried, Closed, End, FlowInfo, FlowTable, Handler, Interest, StreamEvent, TcpFact,
};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::net::{self, Anatomy, Decoded, Decoder, Endpoint, Other};
use crate::packet::{CapturedPacket, PacketRef};
use crate::time::Timestamp;

use conversation::Conversation;
use recognise::{Answer, Prefix};

/// What the engine pushes out.
#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    /// An MQTT control packet, when its last byte is known.
    Frame(&'a MQTTFrame<'a>),
    /// Something that is not a frame.
    Event(&'a Event<'a>),
    /// What TCP itself tells, with [`Config::follow_tcp`].
    Tcp(&'a Tcp<'a>),
    /// A captured packet, before what it brings, with
    /// [`Config::follow_packets`].
    Packet(&'a Captured<'a>),
    /// Nothing more will be said of the TCP connection of this number, with
    /// [`Config::follow_packets`].
    Forgotten(u64),
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

/// What a TCP port is taken for, whatever its first bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decode {
    /// MQTT in clear.
    Mqtt,
}

/// How an engine reads a capture.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ports that are known to carry MQTT.
    pub ports: BTreeMap<u16, Decode>,
    /// Do not look for CONNECT on other ports.
    pub only_known_ports: bool,
    /// Bytes of each PUBLISH payload to keep for output.
    pub payload: u32,
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
            ports: BTreeMap::from([(1883, Decode::Mqtt)]),
            only_known_ports: false,
            payload: 4096,
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
    /// Segments that were second copies of an earlier packet.
    pub duplicates: u64,
    /// TCP connections that carried MQTT, or were on an MQTT port.
    pub mqtt_connections: u64,
    /// All other TCP connections.
    pub other_connections: u64,
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
    packets: u64,
    last: PacketRef,
    /// The fragments that the last packet completed.
    fragments: Vec<PacketRef>,
    /// The packet being read, if it is to be told of with its segment; with the
    /// fragments that it completes.
    captured: Option<(Captured<'static>, Vec<PacketRef>)>,
}

/// What all connections share.
#[derive(Debug, Default)]
struct Shared {
    frames: u64,
    mqtt_connections: u64,
    /// Bytes kept of incomplete control packets.
    kept: usize,
}

/// What the engine keeps of a TCP connection.
#[derive(Debug, Default)]
enum Tracked {
    /// No byte of it was seen yet, or too few to tell what it is.
    #[default]
    New,
    /// Its first bytes look like a CONNECT so far.
    Undecided(Box<Prefix>),
    /// It carries MQTT, or is on a port that should.
    Mqtt(Box<Conversation>),
    /// It carries something else.
    Other,
}

impl Engine {
    /// An engine that has read nothing yet.
    pub fn new(config: Config) -> Self {
        Self {
            net: Decoder::new(config.verify_checksums),
            config,
            flows: FlowTable::default(),
            shared: Shared::default(),
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
            captured: &mut self.captured,
            out,
        };
        let mut connection = None;
        self.fragments.clear();
        let mut decoded = Some(self.net.decode(packet));
        // Nearly always one; an 802.11 aggregate holds several frames.
        for subframe in 0.. {
            let Some(next) = decoded else { break };
            if cx.config.follow_packets {
                cx.captured(packet, subframe, &next);
            }
            if let Decoded::Segment(segment) = next {
                connection = Some(self.flows.push(&segment, &mut cx));
                self.fragments.extend_from_slice(segment.fragments);
            }
            decoded = self.net.more(packet);
        }
        Placed {
            connection,
            fragments: &self.fragments,
        }
    }

    /// Says that capture time has come to `now`, although no packet shows it:
    /// what waits for time to pass is settled.
    pub fn tick(&mut self, now: Timestamp, out: &mut dyn FnMut(Output<'_>)) {
        let mut cx = Context {
            config: &self.config,
            shared: &mut self.shared,
            captured: &mut self.captured,
            out,
        };
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
            net: self.net.counters().clone(),
        }
    }
}

/// The flow table's view of the engine, for the time of one call.
struct Context<'a, 'o> {
    config: &'a Config,
    shared: &'a mut Shared,
    captured: &'a mut Option<(Captured<'static>, Vec<PacketRef>)>,
    out: &'a mut (dyn FnMut(Output<'_>) + 'o),
}

impl Context<'_, '_> {
    /// Which end is the client, on a port that is known to carry MQTT: who
    /// opened the connection, else who is not on that port.
    fn client_by_port(&self, flow: &FlowInfo) -> Option<End> {
        let known = |end: End| self.config.ports.contains_key(&flow.ends[end.index()].port);
        match (known(End::A), known(End::B)) {
            (false, false) => None,
            (true, true) => flow.opener,
            (true, false) => flow.opener.or(Some(End::B)),
            (false, true) => flow.opener.or(Some(End::A)),
        }
    }

    /// Tells of a packet, or waits for the flow table to say where its segment
    /// stands.
    #[cold]
    fn captured(&mut self, packet: &CapturedPacket<'_>, subframe: usize, decoded: &Decoded<'_>) {
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
        match prefix.push(from, event) {
            (Answer::More, _) => Tracked::Undecided(prefix),
            (Answer::No, _) => Tracked::Other,
            (Answer::Mqtt, client) => {
                let mut conversation = self.start(flow, client);
                prefix.replay(|from, event| conversation.stream(flow, from, event, now, self));
                Tracked::Mqtt(conversation)
            }
        }
    }
}

impl Handler<Tracked> for Context<'_, '_> {
    fn opened(&mut self, flow: &FlowInfo, state: &mut Tracked, _now: At) {
        match state {
            Tracked::New => {
                if let Some(client) = self.client_by_port(flow) {
                    *state = Tracked::Mqtt(self.start(flow, client));
                }
            }
            // The SYN came after what it should precede.
            Tracked::Mqtt(conversation) => conversation.announce(flow, self.out),
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
        match state {
            Tracked::New if self.config.only_known_ports => *state = Tracked::Other,
            Tracked::New => *state = self.probe(flow, Box::default(), from, event, now),
            Tracked::Undecided(prefix) => {
                let prefix = std::mem::take(prefix);
                *state = self.probe(flow, prefix, from, event, now);
            }
            Tracked::Mqtt(conversation) => {
                conversation.stream(flow, from, event, now, self);
                if conversation.is_over() {
                    return Interest::Ignored;
                }
            }
            Tracked::Other => {}
        }
        match state {
            Tracked::Other => Interest::Ignored,
            _ => Interest::Wanted,
        }
    }

    fn follows_tcp(&self) -> bool {
        self.config.follow_tcp
    }

    fn tcp(&mut self, _: &FlowInfo, state: &mut Tracked, from: End, fact: TcpFact, now: At) {
        if let Tracked::Mqtt(conversation) = state {
            conversation.tcp(from, fact, now, self.out);
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
        let end = |end: End| flow.ends[end.index()];
        (self.out)(Output::Packet(&Captured {
            segment: Some(CapturedSegment {
                number: flow.number,
                is_decided: matches!(state, Tracked::Mqtt(_) | Tracked::Other),
                connection: match state {
                    Tracked::Mqtt(conversation) => Some(conversation.connection()),
                    _ => None,
                },
                src: end(from),
                dst: end(from.peer()),
                opener: flow.opener.map(end),
                carried,
                fragments: &fragments,
            }),
            ..captured
        }));
    }

    fn forgotten(&mut self, flow: &FlowInfo) {
        if self.config.follow_packets {
            (self.out)(Output::Forgotten(flow.number));
        }
    }

    fn closed(&mut self, _flow: &FlowInfo, state: &mut Tracked, how: Closed, at: At) {
        if let Tracked::Mqtt(mut conversation) = std::mem::replace(state, Tracked::Other) {
            conversation.close(how, at, self);
        }
    }
}

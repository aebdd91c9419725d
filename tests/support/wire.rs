//! A conversation on the wire: TCP segments, and the changes that networks and captures
//! do to them.
//!
//! [`Wire::new`] turns a transcript into an ideal connection: handshake, one
//! segment per line, an acknowledgement for each, FINs at the end. Everything
//! else makes it less ideal, one operation at a time:
//!
//! ```ignore
//! let wire = Wire::new(&conversation)
//!     .starting_at([u32::MAX - 5, 7])    // sequence numbers wrap
//!     .split(Up, &[1, 40])               // segment borders at these offsets
//!     .reorder(&[0, 2, 1])               // causally
//!     .duplicate(4, 2);                  // segment 4 again, two segments later
//! let packets = wire.packets(&Stack::default());
//! ```
//!
//! Offsets count bytes of one direction's stream from 0 at the first byte
//! after the SYN. Sequence numbers are relative until the packets are built,
//! so that an operation never has to think of the wrap.

use std::net::SocketAddr;
use std::time::Duration;

use mqttdump::frame::Direction::{self, Down, Up};

use super::stack::{OwnedPacket, Stack};
use super::transcript::{Conversation, Step, Upgrade};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// One TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub way: Direction,
    /// Sequence number, counted from the SYN at 0: byte 0 of the stream is 1.
    pub seq: i64,
    /// Acknowledgement number, counted like `seq` of the other direction.
    pub ack: i64,
    pub flags: u8,
    pub window: u16,
    pub payload: Vec<u8>,
    /// When it is captured, in nanoseconds since the epoch.
    pub time: i64,
    /// IPv4 identification: a second copy of the packet has the same, a
    /// retransmission another.
    pub ip_id: u16,
}

impl Segment {
    /// Sequence number after its payload, SYN and FIN.
    pub fn end(&self) -> i64 {
        let controls = i64::from(self.flags & SYN != 0) + i64::from(self.flags & FIN != 0);
        self.seq + self.payload.len() as i64 + controls
    }

    /// Offsets of its payload in the stream.
    pub fn range(&self) -> std::ops::Range<i64> {
        let start = self.seq - 1 + i64::from(self.flags & SYN != 0);
        start..start + self.payload.len() as i64
    }
}

/// A connection, or several: segments in the order of their capture.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The segments.
    pub segments: Vec<Segment>,
    /// Address of the client.
    pub client: SocketAddr,
    /// Address of the server.
    pub server: SocketAddr,
    /// Sequence number of each side's SYN.
    pub isn: [u32; 2],
    /// All bytes that each side sent, captured or not.
    pub streams: [Vec<u8>; 2],
    next_ip_id: u16,
}

/// 2014-06-30 10:15:00 UTC.
pub const START: i64 = 1_404_123_300_000_000_000;
/// Time between two segments: 1 ms.
pub const STEP: i64 = 1_000_000;

impl Wire {
    /// The ideal connection: each segment is acknowledged at once.
    pub fn new(conversation: &Conversation) -> Self {
        Self::build(conversation, true)
    }

    /// The same with no acknowledgements but those on data.
    pub fn without_pure_acks(conversation: &Conversation) -> Self {
        Self::build(conversation, false)
    }

    fn build(conversation: &Conversation, pure_acks: bool) -> Self {
        let mut wire = Self {
            segments: Vec::new(),
            client: "10.0.0.7:40122".parse().expect("an address"),
            server: "10.0.1.1:1883".parse().expect("an address"),
            isn: [0x1000_0000, 0x7000_0000],
            streams: [Vec::new(), Vec::new()],
            next_ip_id: 1,
        };
        let mut now = Clock {
            next: [0, 0],
            time: START,
        };
        wire.send(&mut now, Up, SYN, &[], false);
        wire.send(&mut now, Down, SYN | ACK, &[], false);
        wire.send(&mut now, Up, ACK, &[], false);
        if let Some(upgrade) = &conversation.websocket {
            for way in [Up, Down] {
                wire.send(&mut now, way, PSH | ACK, &head(upgrade, way), false);
                wire.send(&mut now, way.reversed(), ACK, &[], false);
            }
        }
        if conversation.midstream {
            wire.segments.clear();
        }
        let mut closed = [false, false];
        for step in &conversation.steps {
            match step {
                Step::Send {
                    direction,
                    packets,
                    lost,
                    text,
                } => {
                    let mut bytes: Vec<u8> = packets
                        .iter()
                        .flat_map(|p| p.encoded.bytes.clone())
                        .collect();
                    if conversation.websocket.is_some() {
                        bytes = message(*direction, *text, &bytes);
                    }
                    wire.send(&mut now, *direction, PSH | ACK, &bytes, *lost);
                    if pure_acks {
                        wire.send(&mut now, direction.reversed(), ACK, &[], false);
                    }
                }
                Step::Gap { direction, bytes } => {
                    wire.send(&mut now, *direction, ACK, &vec![0; *bytes as usize], true);
                    wire.send(&mut now, direction.reversed(), ACK, &[], false);
                }
                Step::Wait(time) => now.time += nanos(*time),
                Step::Fin(way) => {
                    wire.send(&mut now, *way, FIN | ACK, &[], false);
                    closed[*way as usize] = true;
                }
                Step::Reset(way) => {
                    wire.send(&mut now, *way, RST | ACK, &[], false);
                    closed = [true, true];
                }
            }
        }
        if closed != [true, true] && !conversation.open {
            for way in [Up, Down] {
                if !closed[way as usize] {
                    wire.send(&mut now, way, FIN | ACK, &[], false);
                }
            }
            wire.send(&mut now, Up, ACK, &[], false);
        }
        wire
    }

    fn send(&mut self, now: &mut Clock, way: Direction, flags: u8, payload: &[u8], lost: bool) {
        let segment = Segment {
            way,
            seq: now.next[way as usize],
            ack: now.next[way.reversed() as usize],
            flags,
            window: 64_240,
            payload: payload.to_vec(),
            time: now.time,
            ip_id: self.next_ip_id,
        };
        self.next_ip_id = self.next_ip_id.wrapping_add(1);
        now.next[way as usize] = segment.end();
        now.time += STEP;
        self.streams[way as usize].extend_from_slice(payload);
        if !lost {
            self.segments.push(segment);
        }
    }

    /// With other addresses.
    pub fn between(mut self, client: &str, server: &str) -> Self {
        self.client = client.parse().expect("an address and port");
        self.server = server.parse().expect("an address and port");
        self
    }

    /// Over IPv6.
    pub fn over_ipv6(self) -> Self {
        self.between("[2001:db8::7]:40122", "[2001:db8:1::1]:1883")
    }

    /// With these sequence numbers on the SYNs.
    pub fn starting_at(mut self, isn: [u32; 2]) -> Self {
        self.isn = isn;
        self
    }

    /// Everything later.
    pub fn after(mut self, time: Duration) -> Self {
        for segment in &mut self.segments {
            segment.time += nanos(time);
        }
        self
    }

    /// Puts segment borders at these offsets of one direction.
    pub fn split(mut self, way: Direction, offsets: &[usize]) -> Self {
        for &offset in offsets {
            let cut = offset as i64;
            let inside = |s: &Segment| {
                s.way == way && s.flags & SYN == 0 && s.range().start < cut && cut < s.range().end
            };
            while let Some(at) = self.segments.iter().position(inside) {
                let whole = &mut self.segments[at];
                let keep = (cut - whole.range().start) as usize;
                let payload = whole.payload.split_off(keep);
                whole.payload.shrink_to_fit();
                let mut rest = Segment {
                    payload,
                    ..whole.clone()
                };
                whole.flags &= !FIN;
                rest.seq = cut + 1;
                rest.ip_id = self.next_ip_id;
                self.next_ip_id = self.next_ip_id.wrapping_add(1);
                self.segments.insert(at + 1, rest);
            }
        }
        self
    }

    /// Another order in which no acknowledgement comes before the bytes it
    /// acknowledges and resets stay where they are. Each choice takes one of
    /// the next few segments that may come; zeros (and no choices) keep the
    /// order, so that a failing order shrinks towards the honest one.
    pub fn reorder(mut self, choices: &[u8]) -> Self {
        const WINDOW: usize = 6;
        let mut waiting = std::mem::take(&mut self.segments);
        let mut times: Vec<i64> = waiting.iter().map(|s| s.time).collect();
        times.sort_unstable();
        let mut choices = choices.iter();
        for time in times {
            let window = WINDOW.min(waiting.len());
            let resets = waiting.iter().take(window).position(|s| s.flags & RST != 0);
            let window = resets.map_or(window, |at| at.max(1));
            let ready: Vec<usize> = (0..window)
                .filter(|&i| {
                    let this = &waiting[i];
                    // The bytes it acknowledges, and the SYN of its own side.
                    !waiting.iter().take_while(|s| *s != this).any(|s| {
                        let acked = this.flags & ACK != 0 && s.end() <= this.ack;
                        (s.way != this.way && s.end() > s.seq && acked)
                            || (s.way == this.way && s.flags & SYN != 0)
                    })
                })
                .collect();
            let choice = usize::from(choices.next().copied().unwrap_or(0));
            let pick = match ready.len() {
                0 => 0,
                n => ready[choice % n],
            };
            let mut segment = waiting.remove(pick);
            segment.time = time;
            self.segments.push(segment);
        }
        self
    }

    /// Retransmits segment `index` (a new packet, the same bytes) so many
    /// segments later.
    pub fn duplicate(mut self, index: usize, later: usize) -> Self {
        let mut copy = self.segments[index].clone();
        copy.ip_id = self.next_ip_id;
        self.next_ip_id = self.next_ip_id.wrapping_add(1);
        self.insert(index + 1 + later, copy);
        self
    }

    /// Retransmits these stream bytes in a segment of their own, whatever the
    /// borders were, before segment `index`.
    pub fn retransmit(self, index: usize, way: Direction, range: std::ops::Range<usize>) -> Self {
        let bytes = self.streams[way as usize][range.clone()].to_vec();
        self.inject(index, way, range.start as i64, &bytes)
    }

    /// A segment with any bytes at any offset, before segment `index`.
    pub fn inject(mut self, index: usize, way: Direction, offset: i64, bytes: &[u8]) -> Self {
        let earlier = &self.segments[..index.min(self.segments.len())];
        let ack = |way| {
            earlier
                .iter()
                .filter(|s| s.way == way)
                .map(Segment::end)
                .max()
        };
        let segment = Segment {
            way,
            seq: offset + 1,
            ack: ack(way.reversed()).unwrap_or(1),
            flags: PSH | ACK,
            window: 64_240,
            payload: bytes.to_vec(),
            time: 0,
            ip_id: self.next_ip_id,
        };
        self.next_ip_id = self.next_ip_id.wrapping_add(1);
        self.insert(index, segment);
        self
    }

    /// Inserts a segment, captured at the moment of the one before it.
    pub fn insert(&mut self, index: usize, mut segment: Segment) {
        let index = index.min(self.segments.len());
        let before = index.checked_sub(1).and_then(|i| self.segments.get(i));
        segment.time = before.map_or(START - STEP, |s| s.time + 1_000);
        self.segments.insert(index, segment);
    }

    /// Removes from the capture the segments for which this is true.
    pub fn lose(mut self, lost: impl Fn(usize, &Segment) -> bool) -> Self {
        let mut index = 0;
        self.segments.retain(|segment| {
            index += 1;
            !lost(index - 1, segment)
        });
        self
    }

    /// Each packet twice, one right after the other, as mirror ports do it.
    pub fn captured_twice(mut self) -> Self {
        self.segments = self
            .segments
            .into_iter()
            .flat_map(|first| {
                let mut second = first.clone();
                second.time += 1_000;
                [first, second]
            })
            .collect();
        self
    }

    /// The index of the n-th segment (from 0) with payload in a direction.
    #[track_caller]
    pub fn data(&self, way: Direction, n: usize) -> usize {
        let mut with_data = (0..self.segments.len())
            .filter(|&i| self.segments[i].way == way && !self.segments[i].payload.is_empty());
        with_data.nth(n).expect("so many segments with data")
    }

    /// The packets of this connection.
    pub fn packets(&self, stack: &Stack) -> Vec<OwnedPacket> {
        self.segments
            .iter()
            .flat_map(|segment| stack.packets(self, segment))
            .collect()
    }

    /// The TCP header and payload of a segment, its checksum still zero.
    pub fn tcp(&self, segment: &Segment) -> Vec<u8> {
        let (src, dst) = self.endpoints(segment.way);
        let way = segment.way as usize;
        let seq = self.isn[way].wrapping_add(segment.seq as u32);
        let ack = match segment.flags & ACK {
            0 => 0,
            _ => self.isn[1 - way].wrapping_add(segment.ack as u32),
        };
        let options: &[u8] = match segment.flags & SYN {
            0 => &[],
            _ => &[2, 4, 0x05, 0xb4],
        };
        let mut bytes = Vec::new();
        bytes.extend(src.port().to_be_bytes());
        bytes.extend(dst.port().to_be_bytes());
        bytes.extend(seq.to_be_bytes());
        bytes.extend(ack.to_be_bytes());
        bytes.push((((20 + options.len()) / 4) << 4) as u8);
        bytes.push(segment.flags);
        bytes.extend(segment.window.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(options);
        bytes.extend(&segment.payload);
        bytes
    }

    /// Source and destination of packets of this direction.
    pub fn endpoints(&self, way: Direction) -> (SocketAddr, SocketAddr) {
        match way {
            Up => (self.client, self.server),
            Down => (self.server, self.client),
        }
    }
}

/// The request or the answer that opens a WebSocket.
fn head(upgrade: &Upgrade, way: Direction) -> Vec<u8> {
    let (first, name) = match way {
        Up => (
            "GET /mqtt HTTP/1.1\r\nHost: broker\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            &upgrade.offer,
        ),
        Down => (
            "HTTP/1.1 101 Switching Protocols\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            &upgrade.select,
        ),
    };
    let mut head = format!("{first}Upgrade: websocket\r\nConnection: Upgrade\r\n");
    if !name.is_empty() {
        head += &format!("Sec-WebSocket-Protocol: {name}\r\n");
    }
    head += "\r\n";
    head.into_bytes()
}

/// A WebSocket message in one frame.
fn message(way: Direction, text: bool, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let masked = if way == Up { 0x80 } else { 0 };
    let mut bytes = vec![if text { 0x81 } else { 0x82 }];
    match payload.len() {
        len @ 0..=125 => bytes.push(masked | len as u8),
        len @ 126..=0xffff => {
            bytes.push(masked | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(masked | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    if way == Up {
        bytes.extend(KEY);
        bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(b, k)| b ^ k));
    } else {
        bytes.extend(payload);
    }
    bytes
}

struct Clock {
    next: [i64; 2],
    time: i64,
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).expect("less than 292 years")
}

mod tests {
    use super::*;

    fn wire() -> Wire {
        Wire::new(&Conversation::new(
            "> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t payload=abc\n> DISCONNECT",
        ))
    }

    #[test]
    fn an_ideal_connection() {
        let flags: Vec<u8> = wire().segments.iter().map(|s| s.flags).collect();
        let data = [PSH | ACK, ACK];
        let mut expected = vec![SYN, SYN | ACK, ACK];
        expected.extend(data.repeat(4));
        expected.extend([FIN | ACK, FIN | ACK, ACK]);
        assert_eq!(flags, expected);
    }

    #[test]
    fn splitting_keeps_the_stream() {
        let stream = wire().streams[0].clone();
        let split = wire().split(Up, &[1, 5, 6, 17]);
        let mut joined = vec![0; stream.len()];
        for s in split
            .segments
            .iter()
            .filter(|s| s.way == Up && !s.payload.is_empty())
        {
            joined[s.range().start.max(0) as usize..][..s.payload.len()]
                .copy_from_slice(&s.payload);
        }
        assert_eq!(joined, stream);
        assert_eq!(split.segments.len(), wire().segments.len() + 4);
    }

    #[test]
    fn reordering_is_causal_and_loses_nothing() {
        let split = wire().split(Up, &[1, 5, 6, 17, 20]);
        assert_eq!(split.clone().reorder(&[]).segments, split.segments);
        let shuffled = split.clone().reorder(&[0, 1, 0, 2, 1, 3, 2, 1, 5, 4]);
        assert_ne!(shuffled.segments, split.segments);
        assert_eq!(shuffled.segments.len(), split.segments.len());
        for (i, s) in shuffled.segments.iter().enumerate() {
            let late = &shuffled.segments[i + 1..];
            assert!(
                s.flags & ACK == 0
                    || !late
                        .iter()
                        .any(|l| l.way != s.way && l.end() > l.seq && l.end() <= s.ack)
            );
        }
    }
}

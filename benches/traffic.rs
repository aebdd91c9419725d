//! Synthetic captures: the same bytes for the same kind and size, on every
//! machine.
//!
//! | kind | what | measures |
//! |---|---|---|
//! | a | small messages of all versions and QoS, 1,000 packets per connection | the usual case |
//! | b | few connections, bodies of 20 kB to 1 MB | counting through bodies |
//! | c | 20 packets per connection, all open at once | the flow table |
//! | d | one connection, a dozen messages in each segment | decoding and printing |
//! | e | 30 packets per connection, each closed before the next, one a millisecond | endless running |
//! | f | 25 packets per connection, never closed, one every ten seconds | connections that are given up |
//! | g | a SYN per connection, never answered | port scans, half-open connections |
//! | h | clients of one broker that publish, subscribe and reconnect to their sessions | what concerns several connections |
//!
//! Packets are Ethernet, IPv4 and TCP with timestamps, checksums right, no
//! segment lost or out of order: what tcpdump shows of a healthy broker.

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    A,
    B,
    C,
    D,
    E,
    F,
    G,
    H,
}

impl Kind {
    /// From its letter.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "a" => Some(Self::A),
            "b" => Some(Self::B),
            "c" => Some(Self::C),
            "d" => Some(Self::D),
            "e" => Some(Self::E),
            "f" => Some(Self::F),
            "g" => Some(Self::G),
            "h" => Some(Self::H),
            _ => None,
        }
    }

    fn connections(self, packets: u64) -> u64 {
        let per_connection = match self {
            Self::A => 1_000,
            Self::B => 50_000,
            Self::C => 20,
            Self::D => return 1,
            // One after the other, or as the broker's clients come.
            Self::E | Self::F | Self::G | Self::H => return 0,
        };
        (packets / per_connection).max(1)
    }
}

/// Generates so many packets and hands on each: nanoseconds since the epoch,
/// and its bytes.
pub(crate) fn generate(kind: Kind, packets: u64, out: &mut dyn FnMut(u64, &[u8])) {
    let mut wire = Wire {
        out,
        left: packets,
        time: 1_404_123_300_000_000_000,
        random: Random(0x9e37_79b9_7f4a_7c15),
        packet: Vec::new(),
        ip_id: 0,
    };
    let mut connections: Vec<_> = (0..kind.connections(packets))
        .map(Connection::new)
        .collect();
    // Opened one after the other, but talking at the same time.
    for connection in &mut connections {
        wire.open(connection);
    }
    let mut message = Vec::new();
    if kind == Kind::G {
        for number in 1..=packets {
            wire.segment(&mut Connection::new(number), UP, SYN, &[]);
        }
        return;
    }
    if kind == Kind::H {
        wire.broker(packets);
        return;
    }
    if let Kind::E | Kind::F = kind {
        for number in 1.. {
            if wire.left == 0 {
                return;
            }
            wire.short(kind, &mut Connection::new(number), &mut message);
        }
    }
    while wire.left > 0 {
        let chosen = wire.random.below(connections.len() as u64) as usize;
        let connection = &mut connections[chosen];
        match kind {
            Kind::A => wire.exchange(connection, 60..400, &mut message),
            Kind::C => wire.exchange(connection, 20..290, &mut message),
            Kind::B => wire.body(connection, &mut message),
            Kind::D | Kind::E | Kind::F | Kind::G | Kind::H => wire.flood(connection, &mut message),
        }
    }
}

const UP: usize = 0;
const DOWN: usize = 1;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
/// Payload of a full Ethernet packet beside TCP timestamps.
const SEGMENT: usize = 1_448;

struct Connection {
    number: u64,
    /// Connections of the same client before.
    turn: u16,
    next: [u32; 2],
    version: u8,
    packet_id: u16,
}

impl Connection {
    fn new(number: u64) -> Self {
        Self::again(number, 0)
    }

    /// Another connection of a client.
    fn again(number: u64, turn: u16) -> Self {
        let seed = number.wrapping_mul(0x9e37_79b9) | 1;
        let hash = Random(seed ^ u64::from(turn) << 40).next();
        Self {
            number,
            turn,
            next: [hash as u32, (hash >> 32) as u32],
            version: [4, 5, 3, 4, 5, 4][(number % 6) as usize],
            packet_id: 0,
        }
    }

    fn client(&self) -> ([u8; 4], u16) {
        let n = self.number;
        let port = 20_000 + ((n + 7 * u64::from(self.turn)) % 40_000) as u16;
        ([10, (n >> 16) as u8, (n >> 8) as u8, n as u8], port)
    }
}

struct Wire<'a> {
    out: &'a mut dyn FnMut(u64, &[u8]),
    left: u64,
    time: u64,
    random: Random,
    packet: Vec<u8>,
    ip_id: u16,
}

impl Wire<'_> {
    fn open(&mut self, connection: &mut Connection) {
        self.segment(connection, UP, SYN, &[]);
        self.segment(connection, DOWN, SYN | ACK, &[]);
        self.segment(connection, UP, ACK, &[]);
        let client = format!("sensor-{}", connection.number);
        let name: &[u8] = match connection.version {
            3 => b"\x00\x06MQIsdp\x03",
            4 => b"\x00\x04MQTT\x04",
            _ => b"\x00\x04MQTT\x05",
        };
        let mut body = [name, &[2, 0, 60]].concat();
        if connection.version == 5 {
            body.extend([5, 0x11, 0, 0, 0, 60]);
        }
        body.extend((client.len() as u16).to_be_bytes());
        body.extend(client.as_bytes());
        let mut message = Vec::new();
        packet(0x10, &body, &mut message);
        self.segment(connection, UP, PSH | ACK, &message);
        self.segment(connection, DOWN, ACK, &[]);
        let connack: &[u8] = match connection.version {
            5 => &[0x20, 6, 0, 0, 3, 0x22, 0, 10],
            _ => &[0x20, 2, 0, 0],
        };
        self.segment(connection, DOWN, PSH | ACK, connack);
        self.segment(connection, UP, ACK, &[]);
    }

    /// A small message of QoS 0, 1 or 2 and its handshake, or a ping.
    fn exchange(
        &mut self,
        connection: &mut Connection,
        sizes: std::ops::Range<u64>,
        message: &mut Vec<u8>,
    ) {
        let kind = self.random.below(10);
        message.clear();
        if kind == 9 {
            self.segment(connection, UP, PSH | ACK, &[0xc0, 0]);
            self.segment(connection, DOWN, PSH | ACK, &[0xd0, 0]);
            self.segment(connection, UP, ACK, &[]);
            return;
        }
        let qos = [0, 0, 0, 1, 1, 1, 1, 2, 2][kind as usize];
        let size = (sizes.start + self.random.below(sizes.end - sizes.start)) as usize;
        let id = publish(connection, qos, size, message);
        self.segment(connection, UP, PSH | ACK, message);
        let [high, low] = id.to_be_bytes();
        match qos {
            0 => self.segment(connection, DOWN, ACK, &[]),
            1 => self.segment(connection, DOWN, PSH | ACK, &[0x40, 2, high, low]),
            _ => {
                self.segment(connection, DOWN, PSH | ACK, &[0x50, 2, high, low]);
                self.segment(connection, UP, PSH | ACK, &[0x62, 2, high, low]);
                self.segment(connection, DOWN, PSH | ACK, &[0x70, 2, high, low]);
            }
        }
        if qos > 0 {
            self.segment(connection, UP, ACK, &[]);
        }
    }

    /// A device that wakes up, says what it has to say, and goes to sleep, or
    /// is never heard of again.
    fn short(&mut self, kind: Kind, connection: &mut Connection, message: &mut Vec<u8>) {
        self.open(connection);
        for _ in 0..4 {
            self.exchange(connection, 20..290, message);
        }
        if kind == Kind::F {
            self.time += 10_000_000_000;
            return;
        }
        self.segment(connection, UP, PSH | ACK, &[0xe0, 0]);
        self.segment(connection, UP, FIN | ACK, &[]);
        self.segment(connection, DOWN, FIN | ACK, &[]);
        self.segment(connection, UP, ACK, &[]);
        self.time += 1_000_000;
    }

    /// Clients with persistent sessions, in groups of four that subscribe to what the
    /// next group publishes.
    fn broker(&mut self, packets: u64) {
        const GROUP: u64 = 4;
        let count = (packets / 2_000).max(2) * GROUP;
        let mut clients: Vec<Connection> = (0..count).map(Connection::new).collect();
        for client in &mut clients {
            self.join(client, count / GROUP);
        }
        let mut sequence = 0_u64;
        while self.left > 0 {
            let chosen = self.random.below(count);
            let client = &mut clients[chosen as usize];
            if self.random.below(100) < 2 {
                self.segment(client, UP, PSH | ACK, &[0xe0, 0]);
                self.segment(client, UP, FIN | ACK, &[]);
                self.segment(client, DOWN, FIN | ACK, &[]);
                self.segment(client, UP, ACK, &[]);
                *client = Connection::again(client.number, client.turn + 1);
                self.join(client, count / GROUP);
                continue;
            }
            sequence += 1;
            let group = chosen / GROUP;
            let qos = [0, 0, 1, 1, 1, 2][self.random.below(6) as usize];
            self.pass(client, UP, qos, group, sequence);
            let next = (group + 1) % (count / GROUP) * GROUP;
            // Now and then the broker loses a delivery, or raises its QoS.
            let lost = sequence.is_multiple_of(1009);
            let granted = if sequence.is_multiple_of(1013) {
                2
            } else {
                qos.min(1)
            };
            for subscriber in next + u64::from(lost)..next + GROUP {
                self.pass(
                    &mut clients[subscriber as usize],
                    DOWN,
                    granted,
                    group,
                    sequence,
                );
            }
        }
    }

    /// Connects to a session that goes on, or begins one with its subscription.
    fn join(&mut self, client: &mut Connection, groups: u64) {
        self.segment(client, UP, SYN, &[]);
        self.segment(client, DOWN, SYN | ACK, &[]);
        self.segment(client, UP, ACK, &[]);
        client.version = [4, 5][(client.number % 2) as usize];
        let is_5 = client.version == 5;
        let mut body = b"\x00\x04MQTT\x04\x00\x00\x3c".to_vec();
        body[6] = client.version;
        if is_5 {
            body.extend([5, 0x11, 0, 0, 0x0e, 0x10]);
        }
        let id = format!("client-{}", client.number);
        body.extend((id.len() as u16).to_be_bytes());
        body.extend(id.as_bytes());
        let mut message = Vec::new();
        packet(0x10, &body, &mut message);
        self.segment(client, UP, PSH | ACK, &message);
        let present = u8::from(client.turn > 0);
        let connack = [0x20, 2 + u8::from(is_5), present, 0, 0];
        self.segment(client, DOWN, PSH | ACK, &connack[..4 + usize::from(is_5)]);
        self.segment(client, UP, ACK, &[]);
        if client.turn > 0 {
            return;
        }
        let group = client.number / 4;
        let filter = format!("site/{}/#", (group + groups - 1) % groups);
        let mut body = vec![0, 1];
        if is_5 {
            body.push(0);
        }
        body.extend((filter.len() as u16).to_be_bytes());
        body.extend(filter.as_bytes());
        body.push(1);
        message.clear();
        packet(0x82, &body, &mut message);
        self.segment(client, UP, PSH | ACK, &message);
        let suback = [0x90, 3 + u8::from(is_5), 0, 1, u8::from(!is_5), 1];
        self.segment(client, DOWN, PSH | ACK, &suback[..5 + usize::from(is_5)]);
        self.segment(client, UP, ACK, &[]);
    }

    /// A message, and its handshake.
    fn pass(&mut self, of: &mut Connection, way: usize, qos: u8, group: u64, sequence: u64) {
        let topic = format!("site/{group}/value");
        let mut body = (topic.len() as u16).to_be_bytes().to_vec();
        body.extend(topic.as_bytes());
        of.packet_id = of.packet_id % 60_000 + 1;
        let [high, low] = of.packet_id.to_be_bytes();
        if qos > 0 {
            body.extend([high, low]);
        }
        if of.version == 5 {
            body.push(0);
        }
        body.extend(format!("{sequence}|{}", "x".repeat((sequence % 50) as usize)).bytes());
        let mut message = Vec::new();
        packet(0x30 | qos << 1, &body, &mut message);
        self.segment(of, way, PSH | ACK, &message);
        let back = 1 - way;
        match qos {
            0 => return self.segment(of, back, ACK, &[]),
            1 => self.segment(of, back, PSH | ACK, &[0x40, 2, high, low]),
            _ => {
                self.segment(of, back, PSH | ACK, &[0x50, 2, high, low]);
                self.segment(of, way, PSH | ACK, &[0x62, 2, high, low]);
                self.segment(of, back, PSH | ACK, &[0x70, 2, high, low]);
            }
        }
        self.segment(of, way, ACK, &[]);
    }

    /// A large message, acknowledged every second segment.
    fn body(&mut self, connection: &mut Connection, message: &mut Vec<u8>) {
        message.clear();
        let size = 20_000 + self.random.below(1_000_000) as usize;
        let id = publish(connection, 1, size, message);
        for (n, part) in message.chunks(SEGMENT).enumerate() {
            self.segment(connection, UP, ACK, part);
            if n % 2 == 1 {
                self.segment(connection, DOWN, ACK, &[]);
            }
        }
        let [high, low] = id.to_be_bytes();
        self.segment(connection, DOWN, PSH | ACK, &[0x40, 2, high, low]);
    }

    /// Three segments full of messages of QoS 0, then an acknowledgement.
    fn flood(&mut self, connection: &mut Connection, message: &mut Vec<u8>) {
        for _ in 0..3 {
            message.clear();
            for _ in 0..14 {
                let size = 24 + self.random.below(20) as usize;
                publish(connection, 0, size, message);
            }
            self.segment(connection, UP, PSH | ACK, message);
        }
        self.segment(connection, DOWN, ACK, &[]);
    }

    fn segment(&mut self, connection: &mut Connection, way: usize, flags: u8, payload: &[u8]) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        self.time += 1_000 + self.random.below(20_000);
        self.ip_id = self.ip_id.wrapping_add(1);
        let server = ([10, 255, 0, 1], 1883);
        let client = connection.client();
        let (src, dst) = if way == UP {
            (client, server)
        } else {
            (server, client)
        };
        let seq = connection.next[way];
        let ack = if flags & ACK == 0 {
            0
        } else {
            connection.next[1 - way]
        };
        let control = u32::from(flags & (SYN | FIN) != 0);
        connection.next[way] = seq.wrapping_add(payload.len() as u32 + control);

        let p = &mut self.packet;
        p.clear();
        p.extend([
            2,
            0,
            0,
            0,
            0,
            2 - way as u8,
            2,
            0,
            0,
            0,
            0,
            1 + way as u8,
            8,
            0,
        ]);
        p.extend([0x45, 0]);
        p.extend((20 + 32 + payload.len() as u16).to_be_bytes());
        p.extend(self.ip_id.to_be_bytes());
        p.extend([0x40, 0, 64, 6, 0, 0]);
        p.extend(src.0);
        p.extend(dst.0);
        let sum = checksum(&p[14..34], 0);
        p[24..26].copy_from_slice(&sum.to_be_bytes());
        p.extend(src.1.to_be_bytes());
        p.extend(dst.1.to_be_bytes());
        p.extend(seq.to_be_bytes());
        p.extend(ack.to_be_bytes());
        p.extend([0x80, flags, 0xfa, 0xf0, 0, 0, 0, 0, 1, 1, 8, 10]);
        let clock = (self.time / 1_000_000) as u32;
        p.extend(clock.to_be_bytes());
        p.extend(clock.wrapping_sub(3).to_be_bytes());
        p.extend(payload);
        let length = (p.len() - 34) as u64;
        let sum = checksum(&p[26..], 6 + length);
        p[50..52].copy_from_slice(&sum.to_be_bytes());
        (self.out)(self.time, p);
    }
}

/// Appends a PUBLISH with a payload of `size` bytes; returns its identifier.
fn publish(connection: &mut Connection, qos: u8, size: usize, message: &mut Vec<u8>) -> u16 {
    let mut body = Vec::with_capacity(size + 80);
    let topic = format!(
        "plant/{}/line/{}/temperature",
        connection.number % 97,
        size % 13
    );
    body.extend((topic.len() as u16).to_be_bytes());
    body.extend(topic.as_bytes());
    if qos > 0 {
        connection.packet_id = connection.packet_id.checked_add(1).unwrap_or(1);
        body.extend(connection.packet_id.to_be_bytes());
    }
    if connection.version == 5 {
        // Payload is text, expires in a minute, user property unit: deg C.
        let properties = b"\x01\x01\x02\x00\x00\x00\x3c\x26\x00\x04unit\x00\x05deg C";
        body.push(properties.len() as u8);
        body.extend(properties);
    }
    body.extend((0..size).map(|i| b"123|456|789|000|06-30-2014-10:15:00;"[i % 36]));
    packet(0x30 | qos << 1, &body, message);
    connection.packet_id
}

/// Appends a control packet.
fn packet(first: u8, body: &[u8], message: &mut Vec<u8>) {
    message.push(first);
    let mut length = body.len();
    loop {
        let more = length > 127;
        message.push((length % 128) as u8 | u8::from(more) << 7);
        length /= 128;
        if !more {
            break;
        }
    }
    message.extend(body);
}

/// RFC 1071, over an even number of header bytes before an odd end.
fn checksum(bytes: &[u8], start: u64) -> u16 {
    let mut pairs = bytes.chunks_exact(2);
    let mut sum = start;
    for pair in &mut pairs {
        sum += u64::from(u16::from_be_bytes([pair[0], pair[1]]));
    }
    if let [last] = pairs.remainder() {
        sum += u64::from(*last) << 8;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Marsaglia's xorshift: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }
}

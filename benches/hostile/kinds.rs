//! Kinds of hostile captures: each makes one table of the program grow with `n`.

use std::io::Write;

/// Writes a capture of a kind.
pub(crate) type Generate = fn(&mut Wire<'_>, u32);

/// Name, generator, and what grows.
pub(crate) const KINDS: &[(&str, Generate, &str)] = &[
    (
        "half-open",
        half_open,
        "SYNs that nobody answers, each of another client",
    ),
    (
        "connections",
        connections,
        "connections with a CONNECT, all open",
    ),
    (
        "sessions",
        sessions,
        "sessions with a subscription, without a connection",
    ),
    (
        "reconnects",
        reconnects,
        "reconnects of one client with an unfinished QoS 2",
    ),
    (
        "in-flight",
        in_flight,
        "messages of QoS 1 that are not acknowledged",
    ),
    ("topics", topics, "topics"),
    ("retained", retained, "retained topics"),
    ("subscriptions", subscriptions, "wildcard filters"),
    ("aliases", aliases, "topic aliases"),
    (
        "incomplete",
        incomplete,
        "messages of 256 MB of which the beginning was captured",
    ),
    (
        "missing",
        missing,
        "segments of which every second is missing",
    ),
    ("overlapping", overlapping, "segments that overlap"),
    (
        "fragments",
        fragments,
        "IP fragments without their datagram",
    ),
    ("tls", tls, "TLS connections without keys"),
    ("upgrades", upgrades, "HTTP heads without end"),
    ("faults", faults, "connections with a violation"),
    ("pings", pings, "PINGREQs, many in a segment"),
    ("years", years, "packets that are a month apart"),
    (
        "acknowledged",
        acknowledged,
        "acknowledgements, the latest of 30,000 messages in flight first",
    ),
    (
        "clock",
        clock,
        "requests without answer, and a clock that is then set by decades",
    ),
    (
        "gaps",
        gaps,
        "gaps on a connection with 1,000 wildcard filters",
    ),
    ("short", short, "topics with 16 to 21 messages of one byte"),
    (
        "keys",
        keys,
        "CBOR payloads with maps as keys of maps as keys",
    ),
    (
        "bombs",
        bombs,
        "WebSocket messages of 1 MB that are compressed to 1 KB",
    ),
    (
        "aggregates",
        aggregates,
        "segments, 100 in each 802.11 aggregate",
    ),
];

/// The generator of a name.
pub(crate) fn find(name: &str) -> Option<Generate> {
    let kind = KINDS.iter().find(|(known, ..)| *known == name);
    kind.map(|(_, generate, _)| *generate)
}

/// Writes a pcap file of a kind.
pub(crate) fn write(generate: Generate, n: u32, out: &mut dyn FnMut(&[u8])) {
    let mut wire = Wire {
        out,
        link: ETHERNET,
        begun: false,
        aggregate: None,
        micros: 1_700_000_000_000_000,
        step: 100,
    };
    generate(&mut wire, n);
}

/// Link types.
const ETHERNET: u8 = 1;
const IEEE802_11: u8 = 105;
const IEEE802_11_HEADER: usize = 26;

/// Where packets go, and the time of the next.
pub(crate) struct Wire<'a> {
    out: &'a mut dyn FnMut(&[u8]),
    /// The link type, until the first packet is written.
    link: u8,
    begun: bool,
    /// IP packets go into this 802.11 frame.
    aggregate: Option<Vec<u8>>,
    micros: u64,
    step: u64,
}

const SYN: u8 = 2;
const FIN: u8 = 1;
const PUSH: u8 = 8;
const ACK: u8 = 16;

/// A TCP connection: both sides' next sequence numbers.
struct Connection {
    client: u32,
    port: u16,
    next: [u32; 2],
}

impl Connection {
    fn new(client: u32, port: u16) -> Self {
        Self {
            client,
            port,
            // Each connection has an initial sequence number of its own (RFC 6528).
            next: [
                client.wrapping_mul(0x9e37_79b1),
                client.wrapping_mul(77_777),
            ],
        }
    }
}

impl Wire<'_> {
    fn frame(&mut self, packet: &[u8]) {
        if !std::mem::replace(&mut self.begun, true) {
            let head = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0";
            (self.out)(&[&head[..], &[self.link, 0, 0, 0]].concat());
        }
        let length = (packet.len() as u32).to_le_bytes();
        let mut record = Vec::with_capacity(16 + packet.len());
        record.extend(((self.micros / 1_000_000) as u32).to_le_bytes());
        record.extend(((self.micros % 1_000_000) as u32).to_le_bytes());
        record.extend(length);
        record.extend(length);
        record.extend(packet);
        (self.out)(&record);
        self.micros += self.step;
    }

    fn ip(&mut self, (source, target): ([u8; 4], [u8; 4]), fragment: u16, id: u16, body: &[u8]) {
        let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        packet.extend([0x45, 0]);
        packet.extend((20 + body.len() as u16).to_be_bytes());
        packet.extend(id.to_be_bytes());
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, 6, 0, 0]);
        packet.extend(source);
        packet.extend(target);
        packet.extend(body);
        let Some(aggregate) = &mut self.aggregate else {
            return self.frame(&packet);
        };
        // Its addresses, and LLC with SNAP instead of an EtherType.
        let ip = &packet[12..];
        let begin = (aggregate.len() - IEEE802_11_HEADER).next_multiple_of(4);
        aggregate.resize(IEEE802_11_HEADER + begin, 0);
        aggregate.extend(&packet[..12]);
        aggregate.extend((6 + ip.len() as u16).to_be_bytes());
        aggregate.extend([0xaa, 0xaa, 3, 0, 0, 0]);
        aggregate.extend(ip);
    }

    /// A segment of a side (0: the client), at an offset from its next sequence number.
    fn segment(&mut self, of: &mut Connection, side: usize, flags: u8, ahead: u32, data: &[u8]) {
        let client = of.client.to_be_bytes();
        // 10.0.0.0/8 and more clients than it has addresses.
        let client = [10 + client[0], client[1], client[2], client[3]];
        let local = 1024 + (of.client % 60_000) as u16;
        let server = [192, 168, 0, 1];
        let (addresses, ports) = match side {
            0 => ((client, server), [local, of.port]),
            _ => ((server, client), [of.port, local]),
        };
        let mut tcp = Vec::with_capacity(20 + data.len());
        tcp.extend(ports[0].to_be_bytes());
        tcp.extend(ports[1].to_be_bytes());
        tcp.extend(of.next[side].wrapping_add(ahead).to_be_bytes());
        let acked = if flags & ACK == 0 {
            0
        } else {
            of.next[1 - side]
        };
        tcp.extend(acked.to_be_bytes());
        tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(data);
        self.ip(addresses, 0x4000, of.client as u16, &tcp);
    }

    /// The same in order.
    fn send(&mut self, of: &mut Connection, side: usize, data: &[u8]) {
        self.segment(of, side, ACK | PUSH, 0, data);
        of.next[side] = of.next[side].wrapping_add(data.len() as u32);
    }

    fn open(&mut self, of: &mut Connection) {
        self.segment(of, 0, SYN, 0, &[]);
        of.next[0] = of.next[0].wrapping_add(1);
        self.segment(of, 1, SYN | ACK, 0, &[]);
        of.next[1] = of.next[1].wrapping_add(1);
    }

    fn close(&mut self, of: &mut Connection) {
        for side in [0, 1] {
            self.segment(of, side, FIN | ACK, 0, &[]);
            of.next[side] = of.next[side].wrapping_add(1);
        }
    }

    /// An open connection of a client with CONNECT and CONNACK.
    fn connect(&mut self, client: u32, id: &str, clean: bool, present: bool) -> Connection {
        let mut connection = Connection::new(client, 1883);
        self.open(&mut connection);
        self.send(&mut connection, 0, &connect(id, clean));
        self.send(&mut connection, 1, &[0x20, 2, present.into(), 0]);
        connection
    }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut left = body.len();
    loop {
        let more = if left > 127 { 128 } else { 0 };
        bytes.push((left % 128) as u8 | more);
        left /= 128;
        if left == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

fn connect(id: &str, clean: bool) -> Vec<u8> {
    let head = [0, 4, b'M', b'Q', b'T', b'T', 4, u8::from(clean) << 1, 0, 0];
    packet(0x10, &[&head[..], &text(id)].concat())
}

fn publish(flags: u8, topic: &str, id: u16, payload: &[u8]) -> Vec<u8> {
    let id = match flags & 6 {
        0 => Vec::new(),
        _ => id.to_be_bytes().to_vec(),
    };
    packet(0x30 | flags, &[text(topic), id, payload.to_vec()].concat())
}

fn id_of(n: u32) -> u16 {
    (n % 65_535) as u16 + 1
}

fn half_open(wire: &mut Wire<'_>, n: u32) {
    for client in 0..n {
        wire.segment(&mut Connection::new(client, 1883), 0, SYN, 0, &[]);
    }
}

fn connections(wire: &mut Wire<'_>, n: u32) {
    for client in 0..n {
        wire.connect(client, &format!("client-{client}"), true, false);
    }
}

fn sessions(wire: &mut Wire<'_>, n: u32) {
    for client in 0..n {
        let mut connection = wire.connect(client, &format!("client-{client}"), false, false);
        let filter = [&[0, 1][..], &text(&format!("site/{client}/#")), &[1]].concat();
        wire.send(&mut connection, 0, &packet(0x82, &filter));
        wire.send(&mut connection, 1, &[0x90, 3, 0, 1, 1]);
        wire.close(&mut connection);
    }
}

fn reconnects(wire: &mut Wire<'_>, n: u32) {
    for round in 0..n {
        let mut connection = wire.connect(round, "one", false, round > 0);
        let message = publish(4, "t", id_of(round), b"payload");
        wire.send(&mut connection, 0, &message);
        wire.close(&mut connection);
    }
}

fn in_flight(wire: &mut Wire<'_>, n: u32) {
    let mut connection = wire.connect(1, "one", true, false);
    for message in 0..n {
        wire.send(&mut connection, 0, &publish(2, "t", id_of(message), b"x"));
    }
}

fn topics(wire: &mut Wire<'_>, n: u32) {
    let mut connection = wire.connect(1, "one", true, false);
    for topic in 0..n {
        let topic = format!("{topic}/{}", "level/".repeat(30));
        wire.send(&mut connection, 0, &publish(0, &topic, 0, b"x"));
    }
}

fn retained(wire: &mut Wire<'_>, n: u32) {
    let mut connection = wire.connect(1, "one", true, false);
    for topic in 0..n {
        let topic = format!("state/{topic}");
        wire.send(&mut connection, 0, &publish(3, &topic, id_of(1), b"on"));
    }
}

fn subscriptions(wire: &mut Wire<'_>, n: u32) {
    let mut connection = wire.connect(1, "one", true, false);
    for filter in 0..n {
        let id = id_of(filter).to_be_bytes();
        let filter = text(&format!("+/{filter}/+/+/#"));
        wire.send(
            &mut connection,
            0,
            &packet(0x82, &[&id[..], &filter, &[1]].concat()),
        );
        wire.send(&mut connection, 1, &packet(0x90, &[&id[..], &[1]].concat()));
        wire.send(&mut connection, 1, &publish(0, "a/b/c/d/e", 0, b"x"));
    }
}

fn aliases(wire: &mut Wire<'_>, n: u32) {
    for client in 0..n.div_ceil(1_000) {
        let mut connection = Connection::new(client, 1883);
        wire.open(&mut connection);
        let id = text(&format!("client-{client}"));
        let head = [0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0];
        wire.send(
            &mut connection,
            0,
            &packet(0x10, &[&head[..], &id].concat()),
        );
        // Topic Alias Maximum 65535.
        wire.send(&mut connection, 1, &[0x20, 6, 0, 0, 3, 0x22, 0xff, 0xff]);
        for alias in 1..=1_000_u16 {
            let topic = text(&"level/".repeat(100));
            let alias = alias.to_be_bytes();
            let body = [&topic[..], &[3, 0x23], &alias, b"x"].concat();
            wire.send(&mut connection, 0, &packet(0x30, &body));
        }
    }
}

fn incomplete(wire: &mut Wire<'_>, n: u32) {
    for client in 0..n {
        let mut connection = wire.connect(client, &format!("client-{client}"), true, false);
        let head = [0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b't'];
        wire.send(&mut connection, 0, &[&head[..], &[b'x'; 1_400]].concat());
    }
}

fn missing(wire: &mut Wire<'_>, n: u32) {
    let mut connection = wire.connect(1, "one", true, false);
    let message = publish(0, "t", 0, &[b'x'; 700]);
    for _ in 0..n {
        let len = message.len() as u32;
        connection.next[0] = connection.next[0].wrapping_add(len);
        wire.send(&mut connection, 0, &message);
    }
}

fn overlapping(wire: &mut Wire<'_>, n: u32) {
    let mut connection = wire.connect(1, "one", true, false);
    let message = publish(0, "t", 0, &[b'x'; 700]);
    for round in 0..n {
        // The first of them is missing, the others overlap.
        wire.segment(&mut connection, 0, ACK, 1 + round % 4_000 * 300, &message);
        if round % 4_000 == 3_999 {
            connection.next[0] = connection.next[0].wrapping_add(4_000 * 300 + 2_000);
        }
    }
}

fn fragments(wire: &mut Wire<'_>, n: u32) {
    for id in 0..n {
        let client = id.to_be_bytes();
        let addresses = ([10, client[0], client[1], client[2]], [192, 168, 0, 1]);
        wire.ip(addresses, 0x2000, id as u16, &[b'x'; 1_480]);
    }
}

fn tls(wire: &mut Wire<'_>, n: u32) {
    for client in 0..n {
        let mut connection = Connection::new(client, 8883);
        wire.open(&mut connection);
        let random = client.to_be_bytes().repeat(8);
        let hello = [&[3, 3][..], &random, &[0, 0, 2, 0x13, 1, 1, 0]].concat();
        let hello = [&[1, 0, 0, hello.len() as u8][..], &hello].concat();
        let record = [&[22, 3, 1, 0, hello.len() as u8][..], &hello].concat();
        wire.send(&mut connection, 0, &record);
        let data = [&[23, 3, 3, 5, 0xa0][..], &[b'x'; 1_440]].concat();
        for side in [0, 1, 0, 1] {
            wire.send(&mut connection, side, &data[..1_440]);
        }
    }
}

fn upgrades(wire: &mut Wire<'_>, n: u32) {
    for client in 0..n {
        let mut connection = Connection::new(client, 80);
        wire.open(&mut connection);
        let head = format!(
            "GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\nX: {}",
            "x".repeat(1_300)
        );
        wire.send(&mut connection, 0, head.as_bytes());
    }
}

fn faults(wire: &mut Wire<'_>, n: u32) {
    for client in 0..n {
        let mut connection = wire.connect(client, &format!("client-{client}"), true, false);
        wire.send(&mut connection, 0, &publish(8, "t", 0, b"x"));
        wire.send(&mut connection, 0, &[0xc1, 0]);
    }
}

fn pings(wire: &mut Wire<'_>, n: u32) {
    let mut connection = wire.connect(1, "one", true, false);
    for _ in 0..n {
        wire.send(&mut connection, 0, &[0xc0, 0].repeat(700));
    }
}

fn years(wire: &mut Wire<'_>, n: u32) {
    wire.step = 30 * 86_400 * 1_000_000;
    for client in 0..n {
        // pcap counts seconds in 32 bits.
        wire.micros %= 4_000_000_000_000_000;
        wire.segment(&mut Connection::new(client % 50, 1883), 0, SYN, 0, &[]);
    }
}

fn acknowledged(wire: &mut Wire<'_>, n: u32) {
    let mut connection = wire.connect(1, "one", true, false);
    for message in 0..n {
        let id = id_of(message % 30_000);
        if message >= 30_000 {
            let ack = [&[0x40, 2][..], &id_of(message % 2 + 29_998).to_be_bytes()].concat();
            wire.send(&mut connection, 1, &ack);
        }
        let id = match message {
            0..30_000 => id,
            _ => id_of(message % 2 + 29_998),
        };
        wire.send(&mut connection, 0, &publish(2, "t", id, b"x"));
    }
}

fn clock(wire: &mut Wire<'_>, n: u32) {
    wire.micros = 0;
    let mut open = Vec::new();
    for client in 0..n {
        let mut connection = wire.connect(client, &format!("client-{client}"), true, false);
        let filter = [&[0, 1][..], &text("site/#"), &[1]].concat();
        wire.send(&mut connection, 0, &packet(0x82, &filter));
        wire.segment(&mut connection, 1, ACK, 0, &[]);
        open.push(connection);
    }
    wire.micros = 1_700_000_000_000_000;
    for mut connection in open {
        wire.send(&mut connection, 0, &[0xc0, 0]);
    }
}

fn gaps(wire: &mut Wire<'_>, n: u32) {
    let mut connection = wire.connect(1, "one", true, false);
    for filter in 0..1_000 {
        let id = id_of(filter).to_be_bytes();
        let filter = [&id[..], &text(&format!("+/{filter}/+/#")), &[1]].concat();
        wire.send(&mut connection, 0, &packet(0x82, &filter));
        wire.send(&mut connection, 1, &packet(0x90, &[&id[..], &[1]].concat()));
    }
    for _ in 0..n {
        for side in [0, 1] {
            connection.next[side] = connection.next[side].wrapping_add(100);
            wire.send(&mut connection, side, &publish(0, "a/7/c/d", 0, b"x"));
        }
    }
}

fn short(wire: &mut Wire<'_>, n: u32) {
    let mut connection = wire.connect(1, "one", true, false);
    for topic in 0..n {
        for message in 0..16 + topic % 6 {
            let payload = [(topic.wrapping_mul(31) ^ message) as u8];
            wire.send(
                &mut connection,
                0,
                &publish(0, &format!("t/{topic}"), 0, &payload),
            );
        }
    }
}

fn keys(wire: &mut Wire<'_>, n: u32) {
    let mut connection = wire.connect(1, "one", true, false);
    // A map of one entry, whose key is a map of one entry, and so on; then the values.
    let payload = [&[0xa1; 40][..], &[0x61, b'"'], &[0; 40]].concat();
    for _ in 0..n {
        wire.send(&mut connection, 0, &publish(0, "t", 0, &payload));
    }
}

fn bombs(wire: &mut Wire<'_>, n: u32) {
    let mut connection = Connection::new(1, 80);
    wire.open(&mut connection);
    let request = "GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    wire.send(&mut connection, 0, request.as_bytes());
    let response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n";
    wire.send(&mut connection, 1, response.as_bytes());
    let hello = connect("one", true);
    let masked = [&[0x82, 0x80 | hello.len() as u8, 0, 0, 0, 0][..], &hello].concat();
    wire.send(&mut connection, 0, &masked);
    wire.send(&mut connection, 1, &[0x82, 4, 0x20, 2, 0, 0]);
    let head = [0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b't'];
    let bombs = [deflated(&head, 1 << 20), deflated(&[], 1 << 20)];
    for message in 0..n {
        let bomb = &bombs[usize::from(message % 200 > 0)];
        let length = (bomb.len() as u16).to_be_bytes();
        wire.send(
            &mut connection,
            1,
            &[&[0xc2, 126][..], &length, bomb].concat(),
        );
    }
}

/// A compressed message of a WebSocket (RFC 7692): these bytes and zeros.
fn deflated(head: &[u8], zeros: usize) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(head).expect("memory");
    encoder.write_all(&vec![0; zeros]).expect("memory");
    encoder.flush().expect("memory");
    let mut bytes = encoder.get_ref().clone();
    // It ends with an empty block, of which the last four bytes are left out.
    bytes.truncate(bytes.len() - 4);
    bytes
}

fn aggregates(wire: &mut Wire<'_>, n: u32) {
    wire.link = IEEE802_11;
    let mut connection = Connection::new(1, 1883);
    for _ in 0..n.div_ceil(100) {
        // QoS data to the access point; bit 7 of its QoS control: an aggregate.
        let mut frame = vec![0x88, 1, 0, 0];
        frame.extend([2; 18]);
        frame.extend([0, 0, 0x80, 0]);
        wire.aggregate = Some(frame);
        for _ in 0..100 {
            wire.send(&mut connection, 0, &[0xc0, 0]);
        }
        if let Some(frame) = wire.aggregate.take() {
            wire.frame(&frame);
        }
    }
}

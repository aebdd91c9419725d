//! Conversations that are made up: any suite, any content, any record sizes.

use proptest::prelude::*;

use super::*;
use crate::layer::tls::cipher::Opener;
use crate::layer::tls::keylog::Secret;
use crate::layer::tls::schedule;

/// Actions of a side after the handshake.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Sends a record of data, with some padding.
    Data(Vec<u8>, usize),
    /// TLS 1.3: changes its keys.
    Update,
    /// TLS 1.3, from the server: a ticket.
    Ticket,
}

/// A conversation, sealed.
pub(super) struct Conversation {
    /// Records in the order in which they are sent.
    pub(super) records: Vec<(Direction, Sent)>,
    pub(super) keys: String,
}

#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) bytes: Vec<u8>,
    /// The application data in it, and how many bytes into it that begins.
    pub(super) data: Vec<u8>,
    pub(super) begins: usize,
}

impl Conversation {
    /// By way: position and value of every byte of data.
    pub(super) fn expected(&self) -> [Vec<(u64, u8)>; 2] {
        let mut out = [Vec::new(), Vec::new()];
        let mut next = [0u64; 2];
        for (direction, sent) in &self.records {
            let side = *direction as usize;
            let start = next[side] + sent.begins as u64;
            out[side].extend((start..).zip(sent.data.iter().copied()));
            next[side] += sent.bytes.len() as u64;
        }
        out
    }

    pub(super) fn reader(&self) -> Reader {
        Reader::new(&self.keys)
    }

    /// The lines of the key log, but for those with a word.
    pub(super) fn keys_without(&self, word: &str) -> String {
        let lines = self.keys.split_inclusive('\n');
        lines.filter(|line| !line.contains(word)).collect()
    }
}

/// One side's keys, as they are used.
struct Writer {
    direction: Direction,
    suite: Suite,
    secret: Secret,
    opener: Opener,
    sequence: u64,
}

impl Writer {
    fn v13(direction: Direction, suite: Suite, secret: Secret) -> Self {
        let opener = schedule::traffic(suite, &secret).unwrap();
        Self {
            direction,
            suite,
            secret,
            opener,
            sequence: 0,
        }
    }

    fn seal(&mut self, kind: u8, content: &[u8], padding: usize) -> (Direction, Sent) {
        let bytes = self.opener.seal(self.sequence, kind, content, padding);
        self.sequence += 1;
        let data = match kind {
            kind::APPLICATION => content.to_vec(),
            _ => Vec::new(),
        };
        let begins = HEADER + self.suite.before();
        (
            self.direction,
            Sent {
                bytes,
                data,
                begins,
            },
        )
    }

    fn update(&mut self) {
        let secret = schedule::updated(self.suite.hash, &self.secret).unwrap();
        *self = Self::v13(self.direction, self.suite, secret);
    }
}

const CLIENT_RANDOM: [u8; 32] = [0xC1; 32];
const SERVER_RANDOM: [u8; 32] = [0x5E; 32];

fn plain(direction: Direction, kind: u8, content: &[u8]) -> (Direction, Sent) {
    let len = content.len() as u16;
    let header = [&[kind, 3, 3][..], &len.to_be_bytes()].concat();
    let sent = Sent {
        bytes: [header, content.to_vec()].concat(),
        data: Vec::new(),
        begins: 0,
    };
    (direction, sent)
}

pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    [&[kind][..], &len[1..], body].concat()
}

/// Data that a client sends before the handshake is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Early<'a> {
    /// A record each.
    pub(super) data: &'a [&'a [u8]],
    /// Whether the server takes it.
    pub(super) accepted: bool,
}

fn client_hello_message(suite: u16, v13: bool, early: bool) -> Vec<u8> {
    let mut body = [&[3, 3][..], &CLIENT_RANDOM, &[0, 0, 2]].concat();
    body.extend(suite.to_be_bytes());
    body.extend([1, 0]);
    let mut extensions = hex("0000 000d 000b 00 0008 62726f6b65722e61");
    extensions.extend(hex("0010 0007 0005 04 6d717474"));
    if v13 {
        extensions.extend(hex("002b 0003 02 0304"));
    }
    if early {
        extensions.extend(hex("002a 0000"));
    }
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    message(1, &body)
}

fn server_hello_message(suite: u16, v13: bool, psk: bool, encrypt_then_mac: bool) -> Vec<u8> {
    let mut body = [&[3, 3][..], &SERVER_RANDOM, &[0]].concat();
    body.extend(suite.to_be_bytes());
    body.push(0);
    let mut extensions = Vec::new();
    if v13 {
        extensions.extend(hex("002b 0002 0304"));
    }
    if psk {
        extensions.extend(hex("0029 0002 0000"));
    }
    if encrypt_then_mac {
        extensions.extend(hex("0016 0000"));
    }
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    message(2, &body)
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A handshake of TLS 1.3, and the data after it.
pub(super) fn v13(suite: Suite, acts: &[(Direction, Act)]) -> Conversation {
    v13_early(suite, None, acts)
}

/// The same, with data before the handshake is over.
pub(super) fn v13_early(
    suite: Suite,
    early: Option<Early<'_>>,
    acts: &[(Direction, Act)],
) -> Conversation {
    let secret = |n: u8| Secret::new(&vec![n; suite.hash.len()]);
    let labels = [
        ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 1),
        ("SERVER_HANDSHAKE_TRAFFIC_SECRET", 2),
        ("CLIENT_TRAFFIC_SECRET_0", 3),
        ("SERVER_TRAFFIC_SECRET_0", 4),
        ("CLIENT_EARLY_TRAFFIC_SECRET", 5),
    ];
    let labels = &labels[..4 + usize::from(early.is_some())];
    let accepted = early.is_some_and(|early| early.accepted);
    let random = digits(&CLIENT_RANDOM);
    let line =
        |(label, n): &(&str, u8)| format!("{label} {random} {}\n", digits(secret(*n).bytes()));
    let hello = client_hello_message(suite.id, true, early.is_some());
    let mut records = vec![plain(Direction::Up, 22, &hello)];
    let mut before = Writer::v13(Direction::Up, suite, secret(5));
    for data in early.iter().flat_map(|early| early.data) {
        let (direction, mut sent) = before.seal(23, data, 0);
        if !accepted {
            sent.data.clear();
        }
        records.push((direction, sent));
    }
    let hello = server_hello_message(suite.id, true, accepted, false);
    records.push(plain(Direction::Down, 22, &hello));
    records.push(plain(Direction::Down, 20, &[1]));
    let mut server = Writer::v13(Direction::Down, suite, secret(2));
    // Messages over records, and several in one.
    let agreed = match accepted {
        true => "000d 0010 0005 0003 02 6869 002a 0000",
        false => "0009 0010 0005 0003 02 6869",
    };
    let flight = [
        message(8, &hex(agreed)),
        message(11, &[0xA5; 700]),
        message(15, &[7; 100]),
        message(20, &[9; 32]),
    ]
    .concat();
    for part in flight.chunks(300) {
        records.push(server.seal(22, part, 0));
    }
    if accepted {
        records.push(before.seal(22, &message(5, &[]), 0));
    }
    records.push(plain(Direction::Up, 20, &[1]));
    let mut client = Writer::v13(Direction::Up, suite, secret(1));
    records.push(client.seal(22, &message(20, &[8; 32]), 0));
    let mut client = Writer::v13(Direction::Up, suite, secret(3));
    let mut server = Writer::v13(Direction::Down, suite, secret(4));
    for (direction, act) in acts {
        let writer = match direction {
            Direction::Up => &mut client,
            Direction::Down => &mut server,
        };
        match act {
            Act::Data(content, padding) => records.push(writer.seal(23, content, *padding)),
            Act::Ticket => records.push(writer.seal(22, &message(4, &[5; 150]), 0)),
            Act::Update => {
                records.push(writer.seal(22, &message(24, &[0]), 0));
                writer.update();
            }
        }
    }
    Conversation {
        records,
        keys: labels.iter().map(line).collect(),
    }
}

/// A handshake of TLS 1.2, and the data after it.
pub(super) fn v12(suite: Suite, encrypt_then_mac: bool, acts: &[(Direction, Act)]) -> Conversation {
    let master = Secret::new(&[0x3A; 48]);
    let agreed = Negotiated {
        suite,
        client_random: Some(CLIENT_RANDOM),
        server_random: SERVER_RANDOM,
        encrypt_then_mac,
    };
    let writer = |direction| Writer {
        direction,
        suite,
        secret: master.clone(),
        opener: schedule::connection(&agreed, &master, direction).unwrap(),
        sequence: 0,
    };
    let (mut client, mut server) = (writer(Direction::Up), writer(Direction::Down));
    let flight = [
        server_hello_message(suite.id, false, false, encrypt_then_mac),
        message(11, &[0xA5; 900]),
        message(12, &[7; 100]),
        message(14, &[]),
    ]
    .concat();
    let mut records = vec![plain(
        Direction::Up,
        22,
        &client_hello_message(suite.id, false, false),
    )];
    for part in flight.chunks(400) {
        records.push(plain(Direction::Down, 22, part));
    }
    records.push(plain(Direction::Up, 22, &message(16, &[3; 70])));
    records.push(plain(Direction::Up, 20, &[1]));
    records.push(client.seal(22, &message(20, &[8; 12]), 0));
    records.push(plain(Direction::Down, 20, &[1]));
    records.push(server.seal(22, &message(20, &[9; 12]), 0));
    for (direction, act) in acts {
        let writer = match direction {
            Direction::Up => &mut client,
            Direction::Down => &mut server,
        };
        if let Act::Data(content, padding) = act {
            records.push(writer.seal(23, content, *padding));
        }
    }
    let random = digits(&CLIENT_RANDOM);
    Conversation {
        records,
        keys: format!("CLIENT_RANDOM {random} {}\n", "3a".repeat(48)),
    }
}

/// Every way to seal.
pub(super) fn suites() -> Vec<(Suite, bool)> {
    let find = |id: &u16| Suite::find(*id).unwrap();
    let plain = [
        0x1301, 0x1302, 0x1303, 0x1304, 0x1305, 0xC02F, 0xC030, 0xCCA8, 0xC0AC, 0xC0AD, 0xC0AE,
        0xC0AF,
    ];
    let chained = [0xC013, 0xC014, 0xC027, 0x003D, 0xC028];
    let plain = plain.iter().map(|id| (find(id), false));
    let twice = |id| [(find(id), false), (find(id), true)];
    plain.chain(chained.iter().flat_map(twice)).collect()
}

pub(super) fn make(suite: (Suite, bool), acts: &[(Direction, Act)]) -> Conversation {
    match suite.0.v13 {
        true => v13(suite.0, acts),
        false => v12(suite.0, suite.1, acts),
    }
}

pub(super) fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Up), Just(Direction::Down)]
}

fn data(padding: usize) -> impl Strategy<Value = Act> {
    let content = prop::collection::vec(any::<u8>(), 1..300);
    (content, 0..=padding).prop_map(|(content, padding)| Act::Data(content, padding))
}

pub(super) fn acts(padding: usize) -> impl Strategy<Value = Vec<(Direction, Act)>> {
    let act = prop_oneof![
        8 => data(padding),
        1 => Just(Act::Update),
        1 => Just(Act::Ticket),
    ];
    prop::collection::vec((direction(), act), 1..12)
}

pub(super) fn any_suite() -> impl Strategy<Value = (Suite, bool)> {
    prop::sample::select(suites())
}

#[test]
fn every_suite_and_any_segmentation() {
    let acts: Vec<_> = (0..6u8)
        .map(|n| {
            let direction = Direction::ALL[usize::from(n % 2)];
            (direction, Act::Data(vec![n; 40 + usize::from(n) * 7], 40))
        })
        .collect();
    for suite in suites() {
        let talk = make(suite, &acts);
        for size in [1, 13, 5000] {
            let mut reader = talk.reader();
            for (direction, sent) in &talk.records {
                sent.bytes
                    .chunks(size)
                    .for_each(|p| reader.data(*direction, p));
            }
            let (got, info) = reader.finish();
            assert_eq!(got.bytes, talk.expected(), "{suite:?} in chunks of {size}");
            assert_eq!(got.notes, [], "{suite:?}");
            assert_eq!(info.server_name.as_deref(), Some("broker.a"));
            assert_eq!(info.alpn_offered, ["mqtt"]);
            assert_eq!(info.alpn.as_deref(), suite.0.v13.then_some("hi"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However both directions are cut and interleaved, and whenever the
    /// secrets come.
    #[test]
    fn any_interleaving_and_late_secrets(
        suite in any_suite(),
        acts in acts(30),
        cuts in prop::collection::vec((direction(), 1usize..700), 0..60),
        late in 0usize..60,
    ) {
        let talk = make(suite, &acts);
        let mut streams = [Vec::new(), Vec::new()];
        for (direction, sent) in &talk.records {
            streams[*direction as usize].extend(&sent.bytes);
        }
        let mut reader = Reader::new("");
        let mut at = [0; 2];
        for (n, (direction, len)) in cuts.iter().enumerate() {
            if n == late {
                reader.secrets(&talk.keys);
            }
            let side = *direction as usize;
            let end = (at[side] + len).min(streams[side].len());
            reader.data(*direction, &streams[side][at[side]..end]);
            at[side] = end;
        }
        for direction in Direction::ALL {
            reader.data(direction, &streams[direction as usize][at[direction as usize]..]);
        }
        reader.secrets(&talk.keys);
        let (got, _) = reader.finish();
        prop_assert_eq!(got.bytes, talk.expected());
        prop_assert_eq!(got.gaps, [vec![], vec![]]);
    }
}

//! Conversations written as frames, read in chunks of any size, with gaps.

use crate::direction::{Direction, PerDirection};
use std::ops::Range;

use flate2::{Compress, Compression as Level, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::super::{Broken, ByteRange, Chunk, Data, LayerBytes, LayerOutput, Note, Seal, Unusual};
use super::*;
use crate::flow::At;
use crate::limits;

/// Bytes that one direction sent, and the MQTT in them.
#[derive(Clone, Debug, Default)]
struct Wire {
    bytes: Vec<u8>,
    /// Where frames, and the head, begin.
    starts: Vec<usize>,
    /// MQTT bytes with their positions; of compressed ones that of the payload.
    clear: Vec<(u8, usize)>,
}

impl Wire {
    fn head(direction: Direction, extensions: &str) -> Self {
        let extensions = match extensions {
            "" => String::new(),
            list => format!("Sec-WebSocket-Extensions: {list}\r\n"),
        };
        let head = match direction {
            Direction::Up => {
                "GET /mqtt HTTP/1.1\r\nHost: broker\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Version: 13\r\n"
            }
            Direction::Down => {
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\n"
            }
        };
        let head = format!("{head}Sec-WebSocket-Protocol: mqtt\r\n{extensions}\r\n");
        Self {
            bytes: head.into_bytes(),
            starts: vec![0],
            clear: Vec::new(),
        }
    }

    /// Appends a frame; returns where its payload lies.
    fn frame(&mut self, first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Range<usize> {
        self.starts.push(self.bytes.len());
        let masked = if key.is_some() { 0x80 } else { 0 };
        self.bytes.push(first);
        match payload.len() {
            len @ 0..=125 => self.bytes.push(masked | len as u8),
            len @ 126..=0xffff => {
                self.bytes.push(masked | 126);
                self.bytes.extend((len as u16).to_be_bytes());
            }
            len => {
                self.bytes.push(masked | 127);
                self.bytes.extend((len as u64).to_be_bytes());
            }
        }
        self.bytes.extend(key.into_iter().flatten());
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        if let Some(key) = key {
            header::mask(&mut self.bytes[start..], key, 0);
        }
        start..self.bytes.len()
    }

    fn plain(&mut self, first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> &mut Self {
        let range = self.frame(first, key, payload);
        self.clear.extend(payload.iter().copied().zip(range));
        self
    }

    fn control(&mut self, first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> &mut Self {
        self.frame(first, key, payload);
        self
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn mqtt(&self) -> Vec<u8> {
        self.clear.iter().map(|(byte, _)| *byte).collect()
    }
}

/// A chunk for each range between cuts, each in a packet of its own.
fn chunks(len: usize, cuts: &[usize]) -> Vec<Range<usize>> {
    let mut cuts: Vec<usize> = cuts.iter().copied().filter(|cut| *cut <= len).collect();
    cuts.extend([0, len]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// Output of one direction.
#[derive(Debug, Default)]
struct Output {
    /// Bytes passed on, with positions (of compressed bytes the first one's)
    /// and packets.
    data: Vec<(u8, u64, u64)>,
    own: Vec<(ByteRange, LayerBytes)>,
    gaps: Vec<(ByteRange, Option<u64>)>,
    notes: Vec<(Note, u64)>,
    seals: Vec<(ByteRange, Option<Seal>)>,
    /// Position after the last that was accounted for.
    end: u64,
    /// Bytes that were accounted for.
    total: u64,
}

impl Output {
    fn bytes(&self) -> Vec<u8> {
        self.data.iter().map(|(byte, ..)| *byte).collect()
    }

    fn notes(&self) -> Vec<Note> {
        self.notes.iter().map(|(note, _)| *note).collect()
    }

    fn own_of(&self, wanted: LayerBytes) -> u64 {
        let mine = self.own.iter().filter(|(_, own)| *own == wanted);
        mine.map(|(range, _)| range.len()).sum()
    }

    /// LayerBytes bytes, joined where they touch.
    fn spans(&self) -> Vec<(ByteRange, LayerBytes)> {
        let mut spans: Vec<(ByteRange, LayerBytes)> = Vec::new();
        for &(range, own) in &self.own {
            match spans.last_mut() {
                Some((last, kind)) if *kind == own && last.end == range.start => {
                    last.end = range.end;
                }
                _ => spans.push((range, own)),
            }
        }
        spans
    }
}

struct Reader {
    layer: WebSocket,
    output: PerDirection<Output>,
    pushed: PerDirection<u64>,
    most_kept: usize,
}

impl Reader {
    fn new(layer: WebSocket) -> Self {
        Self {
            layer,
            output: Default::default(),
            pushed: PerDirection::default(),
            most_kept: 0,
        }
    }

    fn push(&mut self, direction: Direction, chunk: Chunk<'_>) -> &mut Self {
        self.pushed[direction] += match chunk {
            Chunk::Data(chunk) => chunk.range.len(),
            Chunk::Gap { range, .. } => range.len(),
        };
        let output = &mut self.output;
        let mut next = Some(chunk);
        while let Some(chunk) = next {
            next = self.layer.push(direction, chunk, &mut |direction, passed| {
                take(output, direction, passed)
            });
        }
        self.most_kept = self.most_kept.max(self.layer.kept());
        self
    }

    fn data(&mut self, direction: Direction, bytes: &[u8], range: Range<usize>) -> &mut Self {
        let (start, end) = (range.start as u64, range.end as u64);
        let chunk = Data {
            bytes: &bytes[range],
            range: ByteRange { start, end },
            at: at(start),
            seal: None,
        };
        self.push(direction, Chunk::Data(chunk))
    }

    fn gap(&mut self, direction: Direction, range: Range<usize>) -> &mut Self {
        let (start, end) = (range.start as u64, range.end as u64);
        let range = ByteRange { start, end };
        let len = Some(range.len());
        self.push(direction, Chunk::Gap { range, len })
    }

    /// Pushes all chunks; those that lie in a gap are gaps.
    fn all(
        &mut self,
        direction: Direction,
        wire: &Wire,
        cuts: &[usize],
        lost: Range<usize>,
    ) -> &mut Self {
        let mut cuts = cuts.to_vec();
        cuts.extend([lost.start, lost.end]);
        if !lost.is_empty() {
            cuts.retain(|cut| *cut <= lost.start || *cut >= lost.end);
        }
        for range in chunks(wire.bytes.len(), &cuts) {
            match lost.contains(&range.start) {
                true => self.gap(direction, range),
                false => self.data(direction, &wire.bytes, range),
            };
        }
        self
    }

    fn finish(mut self) -> ([Output; 2], WebSocketInfo) {
        let output = &mut self.output;
        self.layer
            .finish(&mut |direction, passed| take(output, direction, passed));
        for direction in Direction::ALL {
            let total = self.output[direction].total;
            assert_eq!(
                total, self.pushed[direction],
                "all is reported, {direction:?}"
            );
        }
        let PerDirection { up, down } = self.output;
        ([up, down], self.layer.info().clone())
    }
}

fn at(packet: u64) -> At {
    let mut at = At::default();
    at.packet.number = packet;
    at
}

fn take(output: &mut PerDirection<Output>, direction: Direction, passed: LayerOutput<'_>) {
    let output = &mut output[direction];
    let range = match passed {
        LayerOutput::Chunk(Chunk::Data(chunk)) => {
            assert!(!chunk.bytes.is_empty(), "a chunk without bytes");
            assert!(!chunk.range.is_empty(), "a chunk without a range");
            let one_to_one = chunk.range.len() == chunk.bytes.len() as u64;
            let step = u64::from(one_to_one);
            for (i, byte) in chunk.bytes.iter().enumerate() {
                let position = chunk.range.start + i as u64 * step;
                output.data.push((*byte, position, chunk.at.packet.number));
            }
            output.seals.push((chunk.range, chunk.seal));
            chunk.range
        }
        LayerOutput::Chunk(Chunk::Gap { range, len }) => {
            output.gaps.push((range, len));
            range
        }
        LayerOutput::Own(range, own) => {
            assert!(!range.is_empty(), "own bytes that are none");
            output.own.push((range, own));
            range
        }
        LayerOutput::Note(note, at) => return output.notes.push((note, at.packet.number)),
    };
    assert!(range.start >= output.end, "{range} after {}", output.end);
    output.end = range.end;
    output.total += range.len();
}

/// Reads two directions, the first chunks of each in turn.
fn read(up: &Wire, down: &Wire, cuts: &[usize]) -> ([Output; 2], WebSocketInfo) {
    let mut reader = Reader::new(WebSocket::new());
    let wires = [(Direction::Up, up), (Direction::Down, down)];
    let mut queues = wires.map(|(_, wire)| chunks(wire.bytes.len(), cuts).into_iter());
    loop {
        let mut any = false;
        for ((direction, wire), queue) in wires.iter().zip(&mut queues) {
            if let Some(range) = queue.next() {
                reader.data(*direction, &wire.bytes, range);
                any = true;
            }
        }
        if !any {
            return reader.finish();
        }
    }
}

const KEY: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    crate::mqtt::varint::encode(body.len() as u32, &mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

fn connect() -> Vec<u8> {
    packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x03ws1")
}

fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    body.extend_from_slice(payload);
    packet(0x30, &body)
}

fn up() -> Wire {
    Wire::head(Direction::Up, "")
}

fn down() -> Wire {
    Wire::head(Direction::Down, "")
}

#[test]
fn a_conversation_from_its_first_byte() {
    let mut up = up();
    let head = up.bytes.len() as u64;
    up.plain(0x82, KEY, &connect())
        .control(0x89, KEY, b"hi")
        // One packet over two frames with a pong between, then two in one.
        .plain(0x02, KEY, b"\x30")
        .control(0x8a, KEY, b"")
        .plain(0x80, KEY, b"\x05\x00\x01ahi")
        .plain(0x82, KEY, b"\xc0\x00\xe0\x00")
        .control(0x88, KEY, b"\x03\xe8bye");
    let mut down = down();
    down.plain(0x82, None, b"\x20\x02\x00\x00")
        .plain(0x82, None, &publish("t", &[b'x'; 300]))
        .plain(0x82, None, &publish("t", &vec![b'y'; 70_000]))
        .control(0x88, None, b"");
    let ([u, d], info) = read(&up, &down, &[]);
    assert_eq!(u.bytes(), up.mqtt());
    assert_eq!(d.bytes(), down.mqtt());
    assert_eq!(u.notes(), [Note::WsClose { code: Some(1000) }]);
    assert_eq!(d.notes(), [Note::WebSocket, Note::WsClose { code: None }]);
    assert_eq!(u.own_of(LayerBytes::WsUpgrade), head);
    assert_eq!(u.own_of(LayerBytes::WsFrame), 4 * 6);
    assert_eq!(u.own_of(LayerBytes::WsPing), 8 + 6);
    assert_eq!(u.own_of(LayerBytes::WsClose), 6 + 5);
    assert_eq!(d.own_of(LayerBytes::WsFrame), 2 + 4 + 10);
    assert_eq!(info.path.as_deref(), Some("/mqtt"));
    assert_eq!((info.status, info.deflate), (Some(101), None));
    assert_eq!(info.offered, ["mqtt"]);
    assert_eq!(info.selected.as_deref(), Some("mqtt"));
}

/// Unusual frames, and how to build them.
type Case<'a> = (Option<Unusual>, &'a dyn Fn(&mut Wire));

#[test]
fn rule_violations_are_reported_and_read() {
    let text = |wire: &mut Wire| {
        wire.plain(0x81, KEY, &connect());
    };
    let cases: [Case<'_>; 10] = [
        (None, &text),
        (Some(Unusual::NotMasked), &|wire| {
            wire.plain(0x82, None, &connect());
        }),
        (Some(Unusual::ReservedBit), &|wire| {
            wire.plain(0xa2, KEY, &connect());
        }),
        (Some(Unusual::CompressionNotAgreed), &|wire| {
            wire.plain(0xc2, KEY, &connect());
        }),
        (Some(Unusual::StrayContinuation), &|wire| {
            wire.plain(0x80, KEY, &connect());
        }),
        (Some(Unusual::MessageInMessage), &|wire| {
            wire.plain(0x02, KEY, &connect())
                .plain(0x82, KEY, b"\xc0\0");
        }),
        (Some(Unusual::LongLength), &|wire| {
            let at = wire.bytes.len() + 8;
            wire.raw(b"\x82\xfe\x00\x02\0\0\0\0\xc0\0");
            wire.clear = vec![(0xc0, at), (0, at + 1)];
        }),
        (Some(Unusual::FragmentedControl), &|wire| {
            wire.control(0x09, KEY, b"").plain(0x82, KEY, b"\xc0\0");
        }),
        (Some(Unusual::LongControl), &|wire| {
            wire.control(0x89, KEY, &[0; 126])
                .plain(0x82, KEY, b"\xc0\0");
        }),
        (Some(Unusual::AfterClose), &|wire| {
            wire.control(0x88, KEY, b"").plain(0x82, KEY, b"\xc0\0");
        }),
    ];
    for (what, build) in cases {
        let mut wire = up();
        build(&mut wire);
        let mut reader = Reader::new(WebSocket::new());
        reader.all(Direction::Up, &wire, &[], 0..0);
        reader.data(Direction::Down, &down().bytes, 0..down().bytes.len());
        let ([output, _], _) = reader.finish();
        assert_eq!(output.bytes(), wire.mqtt(), "{what:?}");
        let mut notes = output.notes();
        notes.retain(|note| !matches!(note, Note::WsClose { .. }));
        let expected = what.map_or(Note::TextMessage, Note::Unusual);
        assert_eq!(notes, [expected]);
    }
    let mut masked = down();
    masked.plain(0x82, KEY, b"\x20\x02\0\0");
    let ([_, output], _) = read(&up(), &masked, &[]);
    assert_eq!(output.bytes(), masked.mqtt());
    assert_eq!(output.notes()[1], Note::Unusual(Unusual::Masked));
}

#[test]
fn text_is_reported_once() {
    let mut wire = up();
    wire.plain(0x81, KEY, &connect())
        .plain(0x81, KEY, b"\xc0\0");
    let ([output, _], _) = read(&wire, &down(), &[]);
    assert_eq!(output.notes(), [Note::TextMessage]);
}

#[test]
fn a_text_message_is_reported_with_its_first_byte() {
    // An empty one is not reported.
    let mut wire = up();
    wire.plain(0x81, KEY, b"")
        .plain(0x82, KEY, &connect())
        .plain(0x01, KEY, b"")
        .plain(0x80, KEY, b"")
        .plain(0x82, KEY, b"\xc0\0");
    let ([output, _], _) = read(&wire, &down(), &[]);
    assert_eq!(output.notes(), []);
    assert_eq!(output.bytes(), wire.mqtt());

    // In fragments the first of which is empty, the second is reported.
    wire.plain(0x01, KEY, b"");
    let start = wire.bytes.len();
    wire.plain(0x80, KEY, b"\xc0\0");
    let mut reader = Reader::new(WebSocket::new());
    reader.all(Direction::Down, &down(), &[], 0..0);
    reader.all(Direction::Up, &wire, &[start], 0..0);
    let ([output, _], _) = reader.finish();
    assert_eq!(output.notes, [(Note::TextMessage, start as u64)]);
}

#[test]
fn status_codes_of_close_frames() {
    for (body, code, unusual) in [
        (&b""[..], None, false),
        (b"\x03", None, true),
        (b"\x03\xe9", Some(1001), false),
        (b"\x03\xee", Some(1006), true),
        (b"\x0f\xa0why", Some(4000), false),
        (b"\xff\xff", Some(65535), true),
    ] {
        let mut wire = up();
        wire.control(0x88, KEY, body);
        for cuts in [vec![], (0..wire.bytes.len()).collect()] {
            let ([output, _], _) = read(&wire, &down(), &cuts);
            let notes = output.notes();
            assert_eq!(notes.last(), Some(&Note::WsClose { code }), "{body:x?}");
            assert_eq!(notes.len(), 1 + usize::from(unusual), "{body:x?}");
        }
    }
}

#[test]
fn lost_bytes_of_a_close_frame_are_not_invented() {
    for (direction, key) in [(Direction::Up, KEY), (Direction::Down, None)] {
        let mut wire = Wire::head(direction, "");
        wire.plain(0x82, key, &connect());
        let payload = wire.frame(0x88, key, b"\x03\xe8bye");
        for start in payload.clone() {
            for end in start + 1..=payload.end {
                let mut reader = Reader::new(WebSocket::new());
                reader.all(direction, &wire, &[], start..end);
                let (output, _) = reader.finish();
                let notes = output[direction as usize].notes();
                let code = (start >= payload.start + 2).then_some(1000);
                assert_eq!(
                    notes.last(),
                    Some(&Note::WsClose { code }),
                    "{start}..{end}"
                );
                assert!(
                    !notes.iter().any(|note| matches!(note, Note::Unusual(_))),
                    "{notes:?}"
                );
            }
        }
    }
}

#[test]
fn invalid_frames_end_the_direction_until_one_is_found() {
    for bad in [&b"\x83\x80abcd"[..], b"\x82\xff\x80\0\0\0\0\0\0\0abcd"] {
        let mut wire = up();
        wire.plain(0x82, KEY, &connect()).raw(bad);
        let lost = wire.bytes.len() - bad.len();
        let found = wire.bytes.len();
        wire.plain(0x82, KEY, &publish("a/b", b"21"))
            .plain(0x82, KEY, &publish("a/b", b"22"));
        for cuts in [vec![found], (lost..found + 1).collect()] {
            let ([output, _], _) = read(&wire, &down(), &cuts);
            assert_eq!(output.bytes(), wire.mqtt());
            assert_eq!(output.own_of(LayerBytes::Unread), bad.len() as u64);
            assert!(
                matches!(output.notes()[..], [Note::Broken(_)]),
                "{output:?}"
            );
            let start = lost as u64;
            assert_eq!(output.gaps, [(ByteRange { start, end: start }, None)]);
        }
    }
}

#[test]
fn who_breaks_the_format_again_and_again_is_read_no_more() {
    let mut wire = up();
    for _ in 0..200 {
        wire.raw(b"\x83\x80abcd");
        wire.plain(0x82, KEY, &publish("a/b", b"21"));
        wire.plain(0x82, KEY, &publish("a/b", b"22"));
    }
    let cuts = wire.starts.clone();
    let ([output, _], _) = read(&wire, &down(), &cuts);
    assert!(matches!(output.notes().last(), Some(Note::Limit(_))));
    assert!(output.notes().len() < 50);
    assert!(output.own_of(LayerBytes::Unread) > wire.bytes.len() as u64 / 2);
}

#[test]
fn a_refused_upgrade_leaves_everything_unread() {
    let mut wire = up();
    wire.plain(0x82, KEY, &connect());
    let head =
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n";
    let mut refusal = Wire::default();
    refusal.raw(head.as_bytes()).raw(b"no");
    for cuts in [vec![], (0..200).collect::<Vec<_>>()] {
        let mut reader = Reader::new(WebSocket::new());
        let head_up = up().bytes.len();
        reader.data(Direction::Up, &wire.bytes, 0..head_up);
        reader.all(Direction::Down, &refusal, &cuts, 0..0);
        reader.data(Direction::Up, &wire.bytes, head_up..wire.bytes.len());
        let (output, info) = reader.finish();
        assert!(info.is_refused());
        assert_eq!(info.status, Some(403));
        for output in &output {
            assert!(output.data.is_empty());
        }
        assert_eq!(output[0].notes(), []);
        assert_eq!(output[1].notes(), [Note::Refused { status: 403 }]);
        assert_eq!(output[1].own_of(LayerBytes::WsUpgrade), head.len() as u64);
        assert_eq!(output[1].own_of(LayerBytes::Unread), 2);
    }
}

#[test]
fn a_client_that_was_refused_may_ask_again() {
    let mut second = up();
    second.plain(0x82, KEY, &connect());
    let mut opened = down();
    opened.plain(0x82, None, b"\x20\x02\x00\x00");
    for (body, is_read) in [
        ("Content-Length: 0\r\n\r\n", true),
        ("Content-Length: 5\r\n\r\nsorry", true),
        ("\r\n", false),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false),
    ] {
        let mut first = up();
        let asked = first.bytes.len();
        first.raw(&second.bytes);
        let mut answers = Wire::default();
        let refusal = format!("HTTP/1.1 401 Unauthorized\r\n{body}");
        answers.raw(refusal.as_bytes()).raw(&opened.bytes);
        for step in [1, 7, 1000] {
            let mut reader = Reader::new(WebSocket::new());
            let mut send = |direction, wire: &Wire, range: Range<usize>| {
                for start in range.clone().step_by(step) {
                    reader.data(direction, &wire.bytes, start..(start + step).min(range.end));
                }
            };
            let head = asked + up().bytes.len();
            send(Direction::Up, &first, 0..asked);
            send(Direction::Down, &answers, 0..refusal.len());
            send(Direction::Up, &first, asked..head);
            send(
                Direction::Down,
                &answers,
                refusal.len()..answers.bytes.len(),
            );
            send(Direction::Up, &first, head..first.bytes.len());
            let ([u, d], info) = reader.finish();
            let refused = Note::Refused { status: 401 };
            if is_read {
                assert_eq!((u.bytes(), d.bytes()), (second.mqtt(), opened.mqtt()));
                assert_eq!(d.notes(), [refused, Note::WebSocket]);
                assert_eq!((info.status, info.is_refused()), (Some(101), false));
            } else {
                assert_eq!((u.bytes(), d.bytes()), (vec![], vec![]));
                assert_eq!(d.notes(), [refused]);
            }
            assert_eq!(u.notes(), [], "{body}");
        }
    }
}

#[test]
fn an_endless_head_is_limited() {
    let mut reader = Reader::new(WebSocket::new());
    let mut line = b"GET / HTTP/1.1\r\n".to_vec();
    let mut start = 0;
    for _ in 0..2_000 {
        reader.data(
            Direction::Up,
            &[vec![0; start], line.clone()].concat(),
            start..start + line.len(),
        );
        start += line.len();
        line = b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".to_vec();
    }
    assert!(reader.most_kept < 4 * limits::UPGRADE_BYTES);
    let ([output, _], _) = reader.finish();
    assert!(matches!(output.notes()[..], [Note::Limit(_)]));
}

/// Who looks at the info before pushing on knows all about the opening when the
/// first bytes behind it come.
#[test]
fn bytes_after_a_head_are_handed_back() {
    let mut up = up();
    let head = up.bytes.len();
    up.plain(0x82, KEY, &connect());
    let chunk = |range: Range<usize>| Data {
        bytes: &up.bytes[range.clone()],
        range: ByteRange {
            start: range.start as u64,
            end: range.end as u64,
        },
        at: at(0),
        seal: None,
    };
    for cut in [1, 2, 100, head - 1] {
        let mut layer = WebSocket::new();
        let mut sink = |_, passed: LayerOutput<'_>| {
            assert!(
                !matches!(passed, LayerOutput::Chunk(_)),
                "reported too early"
            );
        };
        let start = Chunk::Data(chunk(0..cut));
        assert_eq!(layer.push(Direction::Up, start, &mut sink), None);
        assert_eq!(layer.info().path, None);
        let end = up.bytes.len();
        let rest = Chunk::Data(chunk(cut..end));
        let left = layer.push(Direction::Up, rest, &mut sink);
        assert_eq!(left, Some(Chunk::Data(chunk(head..end))));
        assert_eq!(layer.info().path.as_deref(), Some("/mqtt"));
    }
}

#[test]
fn frames_before_the_answer_was_captured() {
    let (mut up, mut down) = (up(), down());
    up.plain(0x82, KEY, &connect());
    down.plain(0x82, None, b"\x20\x02\0\0");
    for first in Direction::ALL {
        let mut reader = Reader::new(WebSocket::new());
        for (direction, wire) in [(first, [&up, &down]), (first.reversed(), [&up, &down])] {
            reader.all(direction, wire[direction as usize], &[], 0..0);
        }
        let ([u, d], info) = reader.finish();
        assert_eq!((u.bytes(), d.bytes()), (up.mqtt(), down.mqtt()));
        assert_eq!(info.status, Some(101));
    }
}

/// Ranges of a layer below have gaps of that layer's own between them.
#[test]
fn ranges_of_a_layer_below() {
    let mut wire = up();
    wire.plain(0x82, KEY, &connect())
        .plain(0x02, KEY, b"\xc0")
        .plain(0x80, KEY, b"\0");
    let sealed = Seal {
        end: 9_999,
        at: at(7),
    };
    let mut reader = Reader::new(WebSocket::new());
    for (i, byte) in wire.bytes.chunks(3).enumerate() {
        let start = i as u64 * 30;
        let chunk = Data {
            bytes: byte,
            range: ByteRange {
                start,
                end: start + byte.len() as u64,
            },
            at: at(start),
            seal: Some(sealed),
        };
        reader.push(Direction::Up, Chunk::Data(chunk));
    }
    let ([output, _], _) = reader.finish();
    assert_eq!(output.bytes(), wire.mqtt());
    for ((_, position, _), (_, original)) in output.data.iter().zip(&wire.clear) {
        assert_eq!(*position, (original / 3 * 30 + original % 3) as u64);
    }
    assert!(output.seals.iter().all(|(_, seal)| *seal == Some(sealed)));
}

/// Gaps.
mod gaps {
    use super::*;

    #[test]
    fn inside_a_payload_it_is_counted_through() {
        let mut wire = up();
        wire.plain(0x82, KEY, &connect());
        let start = wire.bytes.len();
        wire.plain(0x82, KEY, &publish("a/b", &[b'z'; 200]));
        wire.plain(0x82, KEY, b"\xc0\0");
        let mut reader = Reader::new(WebSocket::new());
        // Three bytes into the payload: the mask has to go on in phase.
        let lost = start + 8 + 21..start + 8 + 60;
        reader.all(Direction::Up, &wire, &[], lost.clone());
        let ([output, _], _) = reader.finish();
        let kept: Vec<u8> = wire
            .clear
            .iter()
            .filter(|(_, at)| !lost.contains(at))
            .map(|(byte, _)| *byte)
            .collect();
        assert_eq!(output.bytes(), kept);
        let (start, end) = (lost.start as u64, lost.end as u64);
        assert_eq!(output.gaps, [(ByteRange { start, end }, Some(39))]);
        assert!(output.notes().is_empty());
    }

    #[test]
    fn inside_a_ping_nothing_of_mqtt_is_lost() {
        let mut wire = up();
        wire.control(0x89, KEY, &[1; 50])
            .plain(0x82, KEY, b"\xc0\0");
        let lost = wire.bytes.len() - 30..wire.bytes.len() - 10;
        let mut reader = Reader::new(WebSocket::new());
        reader.all(Direction::Up, &wire, &[], lost);
        let ([output, _], _) = reader.finish();
        assert_eq!(output.bytes(), b"\xc0\0");
        assert_eq!(output.gaps[0].1, Some(0));
    }

    /// The frame of an acknowledgement suffices, at the end and with another
    /// behind it.
    #[test]
    fn over_a_header_the_next_frame_is_found() {
        for (direction, key) in [(Direction::Up, KEY), (Direction::Down, None)] {
            let mut wire = Wire::head(direction, "");
            wire.plain(0x82, key, &publish("a/b", b"gone"));
            let lost = wire.starts[1]..wire.bytes.len();
            let first = wire.clear.len();
            for id in 1..=3 {
                wire.plain(0x82, key, &[0x40, 2, 0, id]);
            }
            for keep in 1..=3 {
                let end = *wire.starts.get(2 + keep).unwrap_or(&wire.bytes.len());
                let mut cut = wire.clone();
                cut.bytes.truncate(end);
                let mut reader = Reader::new(WebSocket::new());
                reader.all(direction, &cut, &wire.starts, lost.clone());
                let (output, _) = reader.finish();
                let output = &output[direction as usize];
                assert_eq!(
                    output.bytes(),
                    wire.mqtt()[first..first + 4 * keep],
                    "{direction:?}"
                );
                assert_eq!(output.gaps.len(), 1);
                assert_eq!(output.gaps[0].1, None);
            }
        }
    }

    #[test]
    fn a_lost_answer_or_request_does_not_matter() {
        let (mut up, mut down) = (up(), down());
        up.plain(0x82, KEY, &connect()).plain(0x82, KEY, b"\xc0\0");
        down.plain(0x82, None, b"\x20\x02\0\0")
            .plain(0x82, None, b"\xd0\0")
            .plain(0x82, None, b"\xd0\0");
        for lost in Direction::ALL {
            let mut reader = Reader::new(WebSocket::new());
            for (direction, wire) in [(Direction::Up, &up), (Direction::Down, &down)] {
                let lost = if direction == lost {
                    10..wire.starts[1]
                } else {
                    0..0
                };
                reader.all(direction, wire, &wire.starts, lost);
            }
            let ([u, d], info) = reader.finish();
            assert_eq!((u.bytes(), d.bytes()), (up.mqtt(), down.mqtt()), "{lost:?}");
            assert_eq!(info.status.is_none(), lost == Direction::Down);
            assert_eq!(info.path.is_none(), lost == Direction::Up);
        }
    }

    #[test]
    fn joining_in_the_middle() {
        let (mut up, mut down) = (Wire::default(), Wire::default());
        up.raw(b"tail of a frame \x82")
            .plain(0x82, KEY, &publish("a/b", b"1"))
            .plain(0x82, KEY, &publish("a/b", b"2"));
        down.plain(0x82, None, b"\x40\x02\0\x01")
            .plain(0x82, None, b"\x40\x02\0\x02");
        let mut reader = Reader::new(WebSocket::joining());
        reader.all(Direction::Up, &up, &up.starts, 0..0);
        reader.all(Direction::Down, &down, &down.starts, 0..0);
        let ([u, d], info) = reader.finish();
        assert_eq!((u.bytes(), d.bytes()), (up.mqtt(), down.mqtt()));
        assert_eq!(u.own_of(LayerBytes::Unread), 17);
        assert_eq!(u.notes(), [Note::WebSocket]);
        assert_eq!(info, WebSocketInfo::default());
    }

    /// Random bytes are searched in vain.
    #[test]
    fn nothing_is_found_in_random_bytes() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = vec![0; 2 << 20];
        for byte in &mut bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
        for direction in Direction::ALL {
            let mut reader = Reader::new(WebSocket::joining());
            let mut start = 0;
            for len in (1..200).cycle() {
                let end = (start + len * 7).min(bytes.len());
                if start == end {
                    break;
                }
                reader.data(direction, &bytes, start..end);
                start = end;
            }
            let most = reader.most_kept;
            let (output, _) = reader.finish();
            assert!(output[direction as usize].data.is_empty());
            assert!(most < 4 * limits::RESYNC_BYTES, "{most}");
        }
    }

    #[test]
    fn the_beginning_of_a_long_payload_is_evidence_enough() {
        let mut wire = Wire::default();
        let payload = [connect(), publish("a/b", &[b'x'; 100_000])].concat();
        wire.plain(0x82, KEY, &payload);
        let decided = 14 + limits::WEBSOCKET_GLANCE;
        let mut reader = Reader::new(WebSocket::joining());
        reader.data(Direction::Up, &wire.bytes, 0..decided - 1);
        assert!(reader.output.up.data.is_empty());
        reader.data(Direction::Up, &wire.bytes, decided - 1..decided);
        assert!(!reader.output.up.data.is_empty());
    }

    /// The same empty frame over and over is no proof of anything.
    #[test]
    fn headers_alone_prove_nothing() {
        let bytes = b"\x82\0".repeat(50_000);
        let mut reader = Reader::new(WebSocket::joining());
        for start in (1..bytes.len() - 1000).step_by(1000) {
            reader.data(Direction::Down, &bytes, start..start + 1000);
        }
        let ([_, output], _) = reader.finish();
        assert_eq!(output.own_of(LayerBytes::WsFrame), 0);
    }
}

/// Compression.
mod compressed {
    use super::*;

    pub(super) const BOTH: &str = "permessage-deflate; server_no_context_takeover; \
        client_no_context_takeover";

    /// Compresses messages as RFC 7692 (7.2.1) has it.
    pub(super) struct Deflater {
        stream: Compress,
        afresh: bool,
    }

    impl Deflater {
        pub(super) fn new(afresh: bool, bits: u8) -> Self {
            Self {
                stream: Compress::new_with_window_bits(Level::default(), false, bits),
                afresh,
            }
        }

        pub(super) fn message(&mut self, bytes: &[u8]) -> Vec<u8> {
            let mut out = Vec::with_capacity(bytes.len() + 1000);
            self.stream
                .compress_vec(bytes, &mut out, FlushCompress::Sync)
                .unwrap();
            assert!(out.ends_with(b"\0\0\xff\xff"));
            out.truncate(out.len() - 4);
            if self.afresh {
                self.stream.reset();
            }
            out
        }
    }

    fn wires(extensions: &str) -> (Wire, Wire) {
        (
            Wire::head(Direction::Up, extensions),
            Wire::head(Direction::Down, extensions),
        )
    }

    impl Wire {
        /// A compressed message in as many frames as there are parts.
        fn deflated(&mut self, key: Option<[u8; 4]>, parts: &[&[u8]], clear: &[u8]) {
            let mut range = None;
            for (i, part) in parts.iter().enumerate() {
                let first = match (i, i + 1 == parts.len()) {
                    (0, true) => 0xc2,
                    (0, false) => 0x42,
                    (_, true) => 0x80,
                    (_, false) => 0,
                };
                range = range.or(Some(self.frame(first, key, part)));
            }
            let at = range.map_or(0, |range| range.start);
            self.clear.extend(clear.iter().map(|byte| (*byte, at)));
        }
    }

    /// The examples of RFC 7692, 7.2.3.
    #[test]
    fn as_the_rfc_has_it() {
        let hello = &b"Hello"[..];
        let examples: [(&[&[u8]], &[u8]); 7] = [
            (&[b"\xf2\x48\xcd\xc9\xc9\x07\x00"], hello),
            (&[b"\xf2\x48\xcd", b"\xc9\xc9\x07\x00"], hello),
            // With the window of the ones before.
            (&[b"\xf2\x00\x11\x00\x00"], hello),
            (&[b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"], hello),
            (&[b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"], hello),
            (
                &[b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"],
                hello,
            ),
            (&[b"\x00"], b""),
        ];
        let (up, mut down) = wires("permessage-deflate");
        for (parts, clear) in examples {
            down.deflated(None, parts, clear);
        }
        // An empty frame at the end, and an empty message without a byte.
        down.deflated(None, &[b"\xf2\x48\xcd\xc9\xc9\x07\x00", b""], hello);
        down.deflated(None, &[b""], b"");
        down.deflated(None, &[b"\xf2\x48\xcd\xc9\xc9\x07\x00"], hello);
        for cuts in [vec![], (0..down.bytes.len()).collect()] {
            let ([_, output], info) = read(&up, &down, &cuts);
            assert_eq!(output.bytes(), down.mqtt(), "{output:?}");
            assert_eq!(output.notes(), [Note::WebSocket]);
            assert_eq!(info.deflate, Some(Deflate::default()));
        }
    }

    #[test]
    fn inflated_bytes_are_sealed_with_their_chunks() {
        let (up, mut down) = wires("permessage-deflate");
        down.deflated(None, &[b"\xf2\x48\xcd\xc9\xc9\x07\x00"], b"Hello");
        let ([_, output], _) = read(&up, &down, &[down.bytes.len() - 4]);
        for (range, seal) in output.seals {
            let expected = Seal {
                end: range.end,
                at: at(match range.end < down.bytes.len() as u64 {
                    true => 0,
                    false => down.bytes.len() as u64 - 4,
                }),
            };
            assert_eq!(seal, Some(expected));
        }
    }

    fn messages(count: usize) -> Vec<Vec<u8>> {
        (0..count)
            .map(|i| {
                publish(
                    "sensors/room/temperature",
                    format!("value {}", i * 7919).as_bytes(),
                )
            })
            .collect()
    }

    /// A conversation of plain messages and compressed ones with the window
    /// of those before.
    fn looking_back(afresh: bool, bits: u8, messages: &[Vec<u8>]) -> (Wire, Wire) {
        let extensions = match afresh {
            true => BOTH,
            false => "permessage-deflate; server_max_window_bits=9",
        };
        let (up, mut down) = wires(extensions);
        let mut deflater = Deflater::new(afresh, bits);
        for message in messages {
            let bytes = deflater.message(message);
            down.deflated(None, &[&bytes], message);
        }
        (up, down)
    }

    #[test]
    fn every_window_is_large_enough() {
        for bits in 9..=15 {
            for afresh in [true, false] {
                let messages: Vec<_> = (0..200_u32)
                    .map(|i| {
                        let noise = i.wrapping_mul(0x9e37_79b1).to_string().repeat(20);
                        publish("t", noise.as_bytes())
                    })
                    .collect();
                let (up, down) = looking_back(afresh, bits, &messages);
                let ([_, output], _) = read(&up, &down, &[]);
                assert_eq!(output.bytes(), down.mqtt(), "{bits} bits");
            }
        }
    }

    #[test]
    fn after_a_gap_messages_that_start_afresh_are_read() {
        let messages = messages(6);
        let (up, down) = looking_back(true, 15, &messages);
        let from = down.starts[3] + 5;
        let mut reader = Reader::new(WebSocket::new());
        reader.all(Direction::Up, &up, &[], 0..0);
        reader.all(Direction::Down, &down, &[], from..from + 4);
        let ([_, output], _) = reader.finish();
        let without: Vec<u8> = messages.concat();
        let (before, after) = (messages[..2].concat(), messages[3..].concat());
        let bytes = output.bytes();
        assert!(bytes.starts_with(&before) && bytes.ends_with(&after));
        assert!(bytes.len() < without.len());
        assert_eq!(output.gaps.len(), 1);
        let lost = Note::Broken(Broken::MessageCut);
        assert_eq!(output.notes(), [Note::WebSocket, lost]);
    }

    #[test]
    fn after_a_gap_messages_that_look_back_at_it_are_lost() {
        let mut messages = messages(6);
        // Nothing in common with any other: read again.
        messages.push(b"\xc0\0".to_vec());
        let (up, down) = looking_back(false, 15, &messages);
        let from = down.starts[3] + 5;
        let mut reader = Reader::new(WebSocket::new());
        reader.all(Direction::Up, &up, &[], 0..0);
        reader.all(Direction::Down, &down, &[], from..from + 4);
        let ([_, output], _) = reader.finish();
        assert!(output.bytes().starts_with(&messages[..2].concat()));
        assert!(output.bytes().ends_with(b"\xc0\0"));
        assert!(output.bytes().len() < messages[..4].concat().len());
        let lost = Note::Broken(Broken::MessageCut);
        assert_eq!(output.notes(), [Note::WebSocket, lost], "reported once");
    }

    #[test]
    fn without_an_answer_the_offer_counts() {
        let messages = messages(4);
        for afresh in [true, false] {
            let (up, down) = looking_back(afresh, 15, &messages);
            let mut reader = Reader::new(WebSocket::new());
            reader.all(Direction::Up, &up, &[], 0..0);
            reader.all(Direction::Down, &down, &down.starts, 9..down.starts[1]);
            let ([_, output], info) = reader.finish();
            assert_eq!(output.bytes(), down.mqtt());
            assert_eq!(info.deflate, None);
        }
    }

    #[test]
    fn joining_among_compressed_messages() {
        let (_, down) = looking_back(true, 15, &messages(6));
        let mut reader = Reader::new(WebSocket::joining());
        let len = down.bytes.len();
        for range in chunks(len, &down.starts).into_iter().skip(1) {
            reader.data(Direction::Down, &down.bytes, range);
        }
        let ([_, output], _) = reader.finish();
        assert_eq!(output.bytes(), down.mqtt());
        let unusual = Unusual::CompressionUnknown;
        assert_eq!(output.notes(), [Note::WebSocket, Note::Unusual(unusual)]);
    }

    #[test]
    fn garbage_is_reported() {
        let (up, mut down) = wires("permessage-deflate");
        down.deflated(None, &[&[0xff; 20]], b"");
        down.plain(0x82, None, b"\xd0\0");
        let ([_, output], _) = read(&up, &down, &[]);
        assert_eq!(output.bytes(), b"\xd0\0");
        let broken = Note::Broken(Broken::NotInflated);
        assert_eq!(output.notes(), [Note::WebSocket, broken]);
        assert_eq!(output.own_of(LayerBytes::Unread), 20);
        assert_eq!(output.gaps.len(), 1);
    }

    /// 100 MiB in 100 KiB.
    #[test]
    fn a_bomb_goes_off_within_limits() {
        let mut stream = Compress::new(Level::best(), false);
        let mut block = Vec::with_capacity(4096);
        stream
            .compress_vec(&vec![0; 1 << 20], &mut block, FlushCompress::Full)
            .unwrap();
        for extensions in [BOTH, "permessage-deflate"] {
            let (up, mut down) = wires(extensions);
            let bomb = block.repeat(100);
            down.frame(0xc2, None, &bomb[..bomb.len() - 4]);
            let inside = down.bytes.len();
            down.deflated(None, &[b"\xf2\x48\xcd\xc9\xc9\x07\x00"], b"Hello");
            let mut layer = WebSocket::new();
            let (mut passed_on, mut largest, mut notes) = (0, 0, Vec::new());
            let mut last = Vec::new();
            let mut sink = |_: Direction, passed: LayerOutput<'_>| match passed {
                LayerOutput::Chunk(Chunk::Data(chunk)) => {
                    passed_on += chunk.bytes.len() as u64;
                    largest = largest.max(chunk.bytes.len());
                    assert!(!chunk.range.is_empty());
                    if chunk.range.start >= inside as u64 {
                        last.extend_from_slice(chunk.bytes);
                    }
                }
                LayerOutput::Note(note, _) => notes.push(note),
                _ => {}
            };
            for (direction, wire) in [(Direction::Up, &up), (Direction::Down, &down)] {
                let cuts: Vec<usize> = (0..wire.bytes.len()).step_by(1400).collect();
                for range in chunks(wire.bytes.len(), &cuts) {
                    let position = ByteRange {
                        start: range.start as u64,
                        end: range.end as u64,
                    };
                    let chunk = Data {
                        bytes: &wire.bytes[range],
                        range: position,
                        at: at(0),
                        seal: None,
                    };
                    let mut next = Some(Chunk::Data(chunk));
                    while let Some(chunk) = next {
                        next = layer.push(direction, chunk, &mut sink);
                    }
                    assert!(layer.kept() < 64 << 10);
                }
            }
            assert!(passed_on < budget(&down));
            assert!(largest <= 64 << 10);
            assert!(
                matches!(notes[..], [Note::WebSocket, Note::Limit(_)]),
                "{notes:?}"
            );
            assert_eq!(last, b"Hello");
        }
    }

    /// More than the output allowed for the input.
    fn budget(sent: &Wire) -> u64 {
        let earned = sent.bytes.len() as u64 * limits::INFLATED_RATIO;
        limits::INFLATED_BYTES + earned + (64 << 10)
    }

    #[test]
    fn many_bombs_go_off_within_the_same_limits() {
        // Each of 1 MiB, and a thousandth of that on the wire.
        let mut stream = Compress::new(Level::best(), false);
        let mut block = Vec::with_capacity(4096);
        stream
            .compress_vec(&vec![0; 1 << 20], &mut block, FlushCompress::Full)
            .unwrap();
        for extensions in [BOTH, "permessage-deflate"] {
            let (up, mut down) = wires(extensions);
            for _ in 0..400 {
                down.frame(0xc2, None, &block[..block.len() - 4]);
            }
            let mut reader = Reader::new(WebSocket::new());
            reader.all(Direction::Up, &up, &[], 0..0);
            let mut passed_on = 0;
            let mut notes = Vec::new();
            let mut sink = |_: Direction, passed: LayerOutput<'_>| match passed {
                LayerOutput::Chunk(Chunk::Data(chunk)) => passed_on += chunk.bytes.len() as u64,
                LayerOutput::Note(note, _) => notes.push(note),
                _ => {}
            };
            let len = down.bytes.len() as u64;
            let mut next = Some(Chunk::Data(Data {
                bytes: &down.bytes,
                range: ByteRange { start: 0, end: len },
                at: at(0),
                seal: None,
            }));
            while let Some(chunk) = next {
                next = reader.layer.push(Direction::Down, chunk, &mut sink);
            }
            let expected = limits::INFLATED_BYTES..budget(&down);
            assert!(expected.contains(&passed_on), "{passed_on} bytes");
            assert!(
                matches!(notes[..], [Note::WebSocket, Note::Limit(_)]),
                "{notes:?}"
            );
        }
    }

    #[test]
    fn memory_can_be_freed() {
        let messages = messages(5);
        let (up, down) = looking_back(false, 15, &messages);
        let mut reader = Reader::new(WebSocket::new());
        reader.all(Direction::Up, &up, &[], 0..0);
        let middle = down.starts[3] + 5;
        reader.data(Direction::Down, &down.bytes, 0..middle);
        assert!(reader.layer.kept() > 32 << 10);
        let Reader { layer, output, .. } = &mut reader;
        layer.shed(&mut |direction, passed| take(output, direction, passed));
        assert!(reader.layer.kept() < 1 << 10);
        reader.data(Direction::Down, &down.bytes, middle..down.bytes.len());
        let ([_, output], _) = reader.finish();
        assert!(output.bytes().starts_with(&messages[..2].concat()));
        assert!(matches!(
            output.notes()[..],
            [Note::WebSocket, Note::Limit(_)]
        ));
    }
}

/// Properties.
mod properties {
    use super::compressed::{BOTH, Deflater};
    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// Bytes that are cut into so many frames.
        Message(Vec<u8>, Vec<Index>),
        Ping(Vec<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let payload = prop_oneof![
            "[a-z/]{1,12}".prop_flat_map(|topic| {
                vec(any::<u8>(), 0..60).prop_map(move |payload| publish(&topic, &payload))
            }),
            (1..=u16::MAX).prop_map(|id| packet(0x40, &id.to_be_bytes())),
            Just(publish("long/topic", &[7; 400])),
        ];
        let message = vec(payload, 1..3).prop_map(|packets| packets.concat());
        prop_oneof![
            6 => (message, vec(any::<Index>(), 0..3)).prop_map(|(m, cuts)| Step::Message(m, cuts)),
            1 => vec(any::<u8>(), 0..20).prop_map(Step::Ping),
        ]
    }

    fn wire(direction: Direction, steps: &[Step], key: u32) -> Wire {
        let mut wire = Wire::head(direction, "");
        let mut key = key;
        for step in steps {
            key = key.wrapping_mul(0x9e37_79b1).wrapping_add(1);
            let mask = (direction == Direction::Up).then_some(key.to_be_bytes());
            match step {
                Step::Ping(body) => {
                    wire.control(0x89, mask, body);
                }
                Step::Message(bytes, cuts) => {
                    let cuts: Vec<usize> = cuts.iter().map(|i| i.index(bytes.len())).collect();
                    let parts = chunks(bytes.len(), &cuts);
                    for (i, range) in parts.iter().enumerate() {
                        let first = if i == 0 { 2 } else { 0 };
                        let last = if i + 1 == parts.len() { 0x80 } else { 0 };
                        wire.plain(first | last, mask, &bytes[range.clone()]);
                    }
                }
            }
        }
        wire
    }

    fn cuts(len: usize, indices: &[Index]) -> Vec<usize> {
        indices.iter().map(|index| index.index(len)).collect()
    }

    fn cases(default: u32) -> ProptestConfig {
        let cases = std::env::var("PROPTEST_CASES").ok();
        ProptestConfig {
            cases: cases.and_then(|c| c.parse().ok()).unwrap_or(default),
            failure_persistence: None,
            ..ProptestConfig::default()
        }
    }

    proptest! {
        #![proptest_config(cases(100))]

        /// However the bytes come, each of them is accounted for in the same way.
        #[test]
        fn chunk_sizes_do_not_matter(
            up in vec(step(), 0..8),
            down in vec(step(), 0..8),
            key: u32,
            indices in vec(any::<Index>(), 0..40),
        ) {
            let (up, down) = (wire(Direction::Up, &up, key), wire(Direction::Down, &down, key));
            let (whole, info) = read(&up, &down, &[]);
            let (split, same_info) = read(&up, &down, &cuts(up.bytes.len(), &indices));
            let each: Vec<usize> = (0..up.bytes.len().max(down.bytes.len())).collect();
            let (bytes, _) = read(&up, &down, &each);
            prop_assert_eq!(info, same_info);
            for (direction, wire) in [(0, &up), (1, &down)] {
                prop_assert_eq!(whole[direction].bytes(), wire.mqtt());
                for output in [&split[direction], &bytes[direction]] {
                    prop_assert_eq!(output.notes(), whole[direction].notes());
                    prop_assert_eq!(output.spans(), whole[direction].spans());
                    let ranges = |output: &Output| output.data.iter().map(|d| (d.0, d.1)).collect::<Vec<_>>();
                    prop_assert_eq!(ranges(output), ranges(&whole[direction]));
                    prop_assert_eq!(output.gaps.len(), 0);
                }
                // Each byte comes with the packet that carried it.
                prop_assert!(bytes[direction].data.iter().all(|(_, at, packet)| at == packet));
            }
        }

        /// A gap takes the bytes that it covers, and, where it covers a header,
        /// the bytes before the next chunk that begins with a frame.
        #[test]
        fn a_gap_costs_only_the_bytes_it_covers(
            steps in vec(step(), 1..12),
            key: u32,
            up: bool,
            from in any::<Index>(),
            len in 1..200_usize,
            stop in any::<Index>(),
        ) {
            let direction = if up { Direction::Up } else { Direction::Down };
            let wire = wire(direction, &steps, key);
            let head = wire.starts.get(1).copied().unwrap_or(wire.bytes.len());
            let start = head + from.index(wire.bytes.len() - head + 1);
            let end = match stop.index(2) {
                0 => (start + len).min(wire.bytes.len()),
                // As most gaps: up to where a chunk begins.
                _ => *wire.starts.iter().find(|at| **at > start).unwrap_or(&wire.bytes.len()),
            };
            let mut reader = Reader::new(WebSocket::new());
            reader.all(direction, &wire, &wire.starts, start..end);
            let (output, _) = reader.finish();
            let output = &output[direction as usize];
            // Nothing is invented, and nothing before the gap is lost.
            let mut rest = wire.clear.iter();
            for (byte, at, _) in &output.data {
                prop_assert!(rest.any(|(b, a)| (*b, *a as u64) == (*byte, *at)));
            }
            let read = |at: usize| output.data.iter().any(|(_, a, _)| *a == at as u64);
            let whole = wire.starts.iter().all(|at| {
                let header = header::FrameHeader::read(&wire.bytes[*at..]);
                let header_end = at + header.map_or(0, |h| h.header_len());
                *at == 0 || header_end <= start || *at >= end
            });
            // Frames after the one that is hit, if they can be known.
            let next = wire.starts.iter().copied().find(|at| *at >= end);
            let after = next.filter(|_| !output.gaps.iter().any(|gap| gap.1.is_none()));
            for (_, at) in &wire.clear {
                if *at < start || (whole && *at >= end) || after.is_some_and(|next| *at >= next) {
                    prop_assert!(read(*at), "byte {at} of {start}..{end}");
                }
            }
            // Two packets in frames of their own are enough to go on.
            let enough = next.filter(|next| {
                let frames = wire.starts.iter().filter(|at| *at >= next);
                frames.filter(|at| {
                    let bytes = &wire.bytes[**at..];
                    let payload = header::FrameHeader::read(bytes).map_or(0, |h| h.header_len());
                    let first = wire.clear.iter().find(|(_, a)| *a == *at + payload);
                    bytes[0] == 0x82 && first.is_some_and(|(byte, _)| matches!(byte, 0x30 | 0x40))
                }).count() >= 3
            });
            if let Some(next) = enough {
                let last = wire.clear.last().filter(|(_, at)| *at >= next);
                prop_assert!(last.is_none_or(|(_, at)| read(*at)), "found again");
            }
        }

        /// Compressed or not, masked or not, in chunks or not.
        #[test]
        fn compression_does_not_matter(
            steps in vec(("[a-d]{1,300}", any::<bool>()), 1..8),
            afresh: bool,
            bits in 9..=15_u8,
            indices in vec(any::<Index>(), 0..30),
            lost in prop::option::of((any::<Index>(), 1..40_usize)),
        ) {
            let extensions = if afresh { BOTH } else { "permessage-deflate" };
            let mut deflater = Deflater::new(afresh, bits);
            let down = Wire::head(Direction::Down, extensions);
            let mut up = Wire::head(Direction::Up, extensions);
            let mut messages = Vec::new();
            for (text, fragment) in &steps {
                let bytes = deflater.message(text.as_bytes());
                let cut = if *fragment { bytes.len() / 2 } else { 0 };
                let key = Some((bytes.len() as u32).to_be_bytes());
                let start = up.bytes.len();
                if *fragment {
                    up.frame(0x42, key, &bytes[..cut]);
                    up.frame(0x89, key, b"between");
                    up.frame(0x80, key, &bytes[cut..]);
                } else {
                    up.frame(0xc2, key, &bytes);
                }
                messages.push((start..up.bytes.len(), text.as_bytes()));
            }
            let mut reader = Reader::new(WebSocket::new());
            reader.all(Direction::Down, &down, &[], 0..0);
            let head = up.starts[1];
            let range = lost.map_or(0..0, |(from, len)| {
                let start = head + from.index(up.bytes.len() - head);
                start..(start + len).min(up.bytes.len())
            });
            reader.all(Direction::Up, &up, &cuts(up.bytes.len(), &indices), range.clone());
            let ([output, _], _) = reader.finish();
            // Where frames are lost, how soon one is found is another matter.
            let lost = Note::Broken(Broken::FrameHeaderCut);
            let in_step = !output.notes().contains(&lost);
            // Whatever is read of a message is how it begins.
            for (covered, text) in messages {
                let mine: Vec<u8> = output
                    .data
                    .iter()
                    .filter(|(_, at, _)| covered.contains(&(*at as usize)))
                    .map(|(byte, ..)| *byte)
                    .collect();
                prop_assert!(text.starts_with(&mine) || !in_step);
                if range.is_empty() || covered.end <= range.start {
                    prop_assert_eq!(&mine, text);
                }
            }
        }

        /// Damage makes no panic, and every byte is accounted for (the reader sees to
        /// that).
        #[test]
        fn damage_does_no_harm(
            steps in vec(step(), 0..8),
            key: u32,
            joining: bool,
            damage in vec((any::<Index>(), any::<u8>()), 1..12),
            indices in vec(any::<Index>(), 0..12),
            lost in (any::<Index>(), 0..50_usize),
        ) {
            for direction in Direction::ALL {
                let mut wire = wire(direction, &steps, key);
                for (index, byte) in &damage {
                    let at = index.index(wire.bytes.len());
                    wire.bytes[at] = *byte;
                }
                let layer = if joining { WebSocket::joining() } else { WebSocket::new() };
                let mut reader = Reader::new(layer);
                let start = lost.0.index(wire.bytes.len());
                let end = (start + lost.1).min(wire.bytes.len());
                let cuts = cuts(wire.bytes.len(), &indices);
                reader.all(direction, &wire, &cuts, start..end);
                reader.finish();
            }
        }
    }
}

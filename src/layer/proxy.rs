//! The PROXY protocol: the real endpoints, named by a proxy in front of
//! everything else.
//!
//! ```text
//! v1  PROXY TCP4 192.0.2.7 198.51.100.1 40122 1883\r\n          at most 107 bytes
//! v2  0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A | version, command | family
//!     | length 2 | addresses and ports | whatever else the length has room for
//! ```
//! HAProxy's `proxy-protocol.txt` defines both. The header goes up once; the
//! bytes after it, and all that come down, are passed on as they are. `LOCAL` (a proxy
//! that speaks for itself) and `UNKNOWN` name none.

use crate::direction::Direction;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::IResult;
use nom::Parser;
use nom::number::complete::{be_u16, be_u32, be_u128};

use super::{
    Answer, Broken, ByteRange, Chunk, Data, Layer, LayerBytes, LayerContext, LayerOutput,
    LayerType, Note, Sink, Unusual,
};
use crate::flow::At;
use crate::net::Endpoint;

/// Whether bytes begin with a header of the PROXY protocol.
pub fn header(bytes: &[u8]) -> Answer {
    let mut answer = Answer::No;
    if let Some(rest) = bytes.strip_prefix(SIGNATURE) {
        return match rest.first() {
            Some(version) if version >> 4 == 2 => Answer::Yes,
            Some(_) => Answer::No,
            None => Answer::More,
        };
    }
    for start in STARTS {
        if bytes.starts_with(start) {
            return Answer::Yes;
        }
        if start.starts_with(bytes) {
            answer = Answer::More;
        }
    }
    answer
}

/// Reads the header and passes on the rest.
#[derive(Debug)]
pub struct Proxy {
    state: State,
    /// Packet that carried the last bytes, for facts that a gap reveals.
    last: At,
}

#[derive(Debug)]
enum State {
    /// Within the header: its bytes so far, but not those after the addresses.
    Header(Vec<u8>),
    /// Within the header, and so many bytes of it to come that mean nothing
    /// about addresses.
    Tail(u64),
    /// After it.
    Passing,
    /// It could not be read, nor where it ends.
    Unread,
}

impl Default for Proxy {
    fn default() -> Self {
        Self::new()
    }
}

/// The PROXY protocol as a layer. It has no answer, and nothing to join.
pub static LAYER: LayerType = LayerType {
    name: "proxy",
    in_transport: false,
    encrypts: false,
    opens: header,
    answers: None,
    begin: || Box::new(Proxy::new()),
    join: None,
};

impl Layer for Proxy {
    fn push<'a>(
        &mut self,
        direction: Direction,
        chunk: Chunk<'a>,
        _: LayerContext<'_>,
        out: Sink<'_>,
    ) -> Option<Chunk<'a>> {
        match (direction, chunk) {
            (Direction::Up, Chunk::Data(data)) => self.data(data, out),
            (Direction::Up, Chunk::Gap { range, len }) => self.gap(range, len, out),
            (Direction::Down, _) => out(direction, LayerOutput::Chunk(chunk)),
        }
        None
    }

    fn kept(&self) -> usize {
        match &self.state {
            State::Header(bytes) => bytes.capacity(),
            _ => 0,
        }
    }
}

impl Proxy {
    /// From the first byte of the connection.
    pub fn new() -> Self {
        Self {
            state: State::Header(Vec::new()),
            last: At::default(),
        }
    }

    fn data(&mut self, data: Data<'_>, out: Sink<'_>) {
        self.last = data.at;
        let mut rest = data;
        while !rest.bytes.is_empty() {
            match &mut self.state {
                State::Header(_) => rest = self.header(rest, out),
                State::Tail(left) => {
                    let here = usize::try_from(*left)
                        .map_or(rest.bytes.len(), |left| left.min(rest.bytes.len()));
                    *left -= here as u64;
                    if *left == 0 {
                        self.state = State::Passing;
                    }
                    let (mine, after) = rest.split_at(here);
                    own(mine.range, LayerBytes::Proxy, out);
                    rest = after;
                }
                State::Passing => return out(Direction::Up, LayerOutput::Chunk(Chunk::Data(rest))),
                State::Unread => return own(rest.range, LayerBytes::Unread, out),
            }
        }
    }

    /// Takes as much of a chunk as belongs to the header; returns the rest.
    fn header<'a>(&mut self, data: Data<'a>, out: Sink<'_>) -> Data<'a> {
        let State::Header(kept) = &mut self.state else {
            return data;
        };
        let mut here = 0;
        let mut found = Found::More;
        for &byte in data.bytes {
            kept.push(byte);
            here += 1;
            found = find(kept);
            if !matches!(found, Found::More) {
                break;
            }
        }
        let (mine, rest) = data.split_at(here);
        let note = match found {
            Found::More => None,
            Found::Header { who, tail } => {
                self.state = match tail {
                    0 => State::Passing,
                    _ => State::Tail(tail),
                };
                match who {
                    Who::Named { client, server } => Some(Note::Proxied { client, server }),
                    Who::Unnamed => None,
                    Who::Unusual(why) => Some(Note::Unusual(why)),
                }
            }
            Found::Endless => {
                self.state = State::Unread;
                own(mine.range, LayerBytes::Unread, out);
                let why = Broken::ProxyTooLong;
                out(Direction::Up, LayerOutput::Note(Note::Broken(why), data.at));
                return rest;
            }
        };
        own(mine.range, LayerBytes::Proxy, out);
        if let Some(note) = note {
            out(Direction::Up, LayerOutput::Note(note, data.at));
        }
        rest
    }

    fn gap(&mut self, range: ByteRange, len: Option<u64>, out: Sink<'_>) {
        let left = match &self.state {
            State::Passing | State::Unread => {
                return out(Direction::Up, LayerOutput::Chunk(Chunk::Gap { range, len }));
            }
            State::Tail(left) => Some(*left),
            State::Header(kept) => {
                let why = Broken::ProxyCut;
                out(
                    Direction::Up,
                    LayerOutput::Note(Note::Broken(why), self.last),
                );
                binary_len(kept).map(|whole| whole - kept.len() as u64)
            }
        };
        let (Some(left), Some(len)) = (left, len) else {
            // Where the header ends is lost with it.
            self.state = State::Passing;
            return out(
                Direction::Up,
                LayerOutput::Chunk(Chunk::Gap { range, len: None }),
            );
        };
        let inside = left.min(len);
        let cut = range.start + inside.min(range.len());
        let (header, rest) = (
            ByteRange { end: cut, ..range },
            ByteRange {
                start: cut,
                ..range
            },
        );
        // No passed-on byte is lost with the header.
        let mut gap = |range, len| {
            let len = Some(len);
            out(Direction::Up, LayerOutput::Chunk(Chunk::Gap { range, len }));
        };
        gap(header, 0);
        if len > inside {
            gap(rest, len - inside);
        }
        self.state = match left - inside {
            0 => State::Passing,
            left => State::Tail(left),
        };
    }
}

fn own(range: ByteRange, own: LayerBytes, out: Sink<'_>) {
    if !range.is_empty() {
        out(Direction::Up, LayerOutput::Own(range, own));
    }
}

/// Kind of the first bytes of a header, as soon as it is certain.
const STARTS: [&[u8]; 4] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN", SIGNATURE];

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const BINARY_HEAD: usize = 16;
/// The longest text header, line end included.
const TEXT: usize = 107;

/// Kind of some bytes from the start of a header.
enum Found {
    More,
    Header {
        who: Who,
        /// Bytes of it that are still to come.
        tail: u64,
    },
    Endless,
}

enum Who {
    Named { client: Endpoint, server: Endpoint },
    Unnamed,
    Unusual(Unusual),
}

fn find(kept: &[u8]) -> Found {
    if let Some(whole) = binary_len(kept) {
        // Two addresses and ports.
        let addresses = match kept.get(SIGNATURE.len() + 1).map(|family| family >> 4) {
            Some(1) => 12,
            Some(2) => 36,
            _ => 0,
        };
        let read = whole.min(BINARY_HEAD as u64 + addresses);
        return match kept.len() as u64 >= read {
            true => Found::Header {
                who: binary(kept),
                tail: whole - read,
            },
            false => Found::More,
        };
    }
    if kept.starts_with(b"\r") {
        return Found::More;
    }
    match kept.strip_suffix(b"\r\n") {
        Some(line) => Found::Header {
            who: text(line),
            tail: 0,
        },
        None if kept.len() >= TEXT => Found::Endless,
        None => Found::More,
    }
}

/// Bytes of a whole binary header, once that is known.
fn binary_len(kept: &[u8]) -> Option<u64> {
    if !kept.starts_with(SIGNATURE) {
        return None;
    }
    let length = kept.get(BINARY_HEAD - 2..BINARY_HEAD)?.first_chunk()?;
    Some(BINARY_HEAD as u64 + u64::from(u16::from_be_bytes(*length)))
}

fn binary(kept: &[u8]) -> Who {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    let Some(&[command, family, _, _]) = kept.get(SIGNATURE.len()..).and_then(<[u8]>::first_chunk)
    else {
        return Who::Unnamed;
    };
    let addresses = kept.get(BINARY_HEAD..).unwrap_or_default();
    match (command, family >> 4) {
        (LOCAL, _) => Who::Unnamed,
        (PROXY, 1) => named(both(addresses, |input| {
            let (rest, addr) = be_u32(input)?;
            Ok((rest, Ipv4Addr::from(addr).into()))
        })),
        (PROXY, 2) => named(both(addresses, |input| {
            let (rest, addr) = be_u128(input)?;
            Ok((rest, Ipv6Addr::from(addr).into()))
        })),
        // Unspecified, and sockets of the proxy's own machine.
        (PROXY, 0 | 3) => Who::Unnamed,
        (PROXY, _) => Who::Unusual(Unusual::ProxyFamily),
        _ => Who::Unusual(Unusual::ProxyCommand),
    }
}

/// Two addresses, then two ports.
fn both(
    input: &[u8],
    addr: impl Fn(&[u8]) -> IResult<&[u8], IpAddr>,
) -> IResult<&[u8], (Endpoint, Endpoint)> {
    let (rest, (from, to, from_port, to_port)) = (&addr, &addr, be_u16, be_u16).parse(input)?;
    let client = Endpoint {
        addr: from,
        port: from_port,
    };
    let server = Endpoint {
        addr: to,
        port: to_port,
    };
    Ok((rest, (client, server)))
}

fn named(read: IResult<&[u8], (Endpoint, Endpoint)>) -> Who {
    match read {
        Ok((_, (client, server))) => Who::Named { client, server },
        Err(_) => Who::Unusual(Unusual::ProxyTooShort),
    }
}

fn text(line: &[u8]) -> Who {
    let words = std::str::from_utf8(line).map(|line| line.split(' ').collect::<Vec<_>>());
    match words.as_deref() {
        Ok([_, "UNKNOWN", ..]) => Who::Unnamed,
        Ok([_, _, from, to, from_port, to_port]) => {
            let end = |addr: &str, port: &str| {
                Some(Endpoint {
                    addr: addr.parse().ok()?,
                    port: port.parse().ok()?,
                })
            };
            match (end(from, from_port), end(to, to_port)) {
                (Some(client), Some(server)) => Who::Named { client, server },
                _ => Who::Unusual(Unusual::ProxyAddresses),
            }
        }
        _ => Who::Unusual(Unusual::ProxyAddresses),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layer::tls::KeyLog;

    fn context(keys: &KeyLog) -> LayerContext<'_> {
        LayerContext {
            keys,
            expects_keys: false,
            now: At::default(),
        }
    }

    const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 40122 1883\r\n";
    /// TCP over IPv4, with three bytes more of type 4 (nothing).
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x12\
        \xc0\x00\x02\x07\xc6\x33\x64\x01\x9c\xba\x07\x5b\x04\x00\x03abc";
    const V2_IPV6: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24\
        \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\
        \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x9c\xba\x07\x5b";
    const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    const REST: &[u8] = b"\x10\x0c\0\x04MQTT";

    #[derive(Debug, Default, PartialEq)]
    struct Output {
        passed: Vec<(u8, u64)>,
        header: u64,
        unread: u64,
        notes: Vec<Note>,
        gaps: Vec<(ByteRange, Option<u64>)>,
        end: u64,
    }

    fn read(bytes: &[u8], cuts: &[usize], lost: std::ops::Range<usize>) -> Output {
        let mut output = Output::default();
        let mut proxy = Proxy::new();
        let mut cuts = [cuts, &[0, bytes.len(), lost.start, lost.end]].concat();
        cuts.retain(|cut| *cut <= lost.start || *cut >= lost.end);
        cuts.sort_unstable();
        for pair in cuts.windows(2).filter(|pair| pair[0] < pair[1]) {
            let range = ByteRange {
                start: pair[0] as u64,
                end: pair[1] as u64,
            };
            let chunk = match lost.contains(&pair[0]) {
                true => Chunk::Gap {
                    range,
                    len: Some(range.len()),
                },
                false => Chunk::Data(Data {
                    bytes: &bytes[pair[0]..pair[1]],
                    range,
                    at: At::default(),
                    seal: None,
                }),
            };
            let keys = KeyLog::default();
            let cx = context(&keys);
            let _ = proxy.push(Direction::Up, chunk, cx, &mut |direction, passed| {
                assert_eq!(direction, Direction::Up);
                let range = match passed {
                    LayerOutput::Chunk(Chunk::Data(data)) => {
                        output
                            .passed
                            .extend(data.bytes.iter().copied().zip(data.range.start..));
                        data.range
                    }
                    LayerOutput::Chunk(Chunk::Gap { range, len }) => {
                        output.gaps.push((range, len));
                        range
                    }
                    LayerOutput::Own(range, own) => {
                        match own {
                            LayerBytes::Proxy => output.header += range.len(),
                            _ => output.unread += range.len(),
                        }
                        range
                    }
                    LayerOutput::Note(note, _) => return output.notes.push(note),
                };
                assert_eq!(range.start, output.end);
                output.end = range.end;
            });
            assert!(proxy.kept() <= 256);
        }
        assert_eq!(output.end, bytes.len() as u64, "all is reported");
        output
    }

    fn named(client: &str, server: &str) -> Note {
        let end = |text: &str| {
            let address: std::net::SocketAddr = text.parse().unwrap();
            Endpoint {
                addr: address.ip(),
                port: address.port(),
            }
        };
        Note::Proxied {
            client: end(client),
            server: end(server),
        }
    }

    #[test]
    fn headers_of_both_versions() {
        let v4 = named("192.0.2.7:40122", "198.51.100.1:1883");
        let v6 = named("[2001:db8::7]:40122", "[2001:db8::1]:1883");
        let v1_ipv6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 40122 1883\r\n";
        let unreadable = Note::Unusual(Unusual::ProxyAddresses);
        for (start, note) in [
            (V1, Some(v4)),
            (v1_ipv6, Some(v6)),
            (b"PROXY UNKNOWN\r\n", None),
            (b"PROXY UNKNOWN ff::1 ff::2 1 2\r\n", None),
            (b"PROXY TCP4 here there 1 2\r\n", Some(unreadable)),
            (V2, Some(v4)),
            (V2_IPV6, Some(v6)),
            (LOCAL, None),
            (
                b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x04abcd",
                Some(Note::Unusual(Unusual::ProxyTooShort)),
            ),
        ] {
            assert_eq!(header(start), Answer::Yes);
            let bytes = [start, REST].concat();
            let each: Vec<usize> = (0..bytes.len()).collect();
            for cuts in [&[][..], &each] {
                let output = read(&bytes, cuts, 0..0);
                assert_eq!(output.notes, note.into_iter().collect::<Vec<_>>());
                assert_eq!(output.header, start.len() as u64);
                let rest = REST.iter().copied().zip(start.len() as u64..);
                assert_eq!(output.passed, rest.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn only_headers_are_taken_for_one() {
        for (bytes, answer) in [
            (&b""[..], Answer::More),
            (b"PRO", Answer::More),
            (b"PROXY TCP", Answer::More),
            (b"\r\n\r\n\0\r\n", Answer::More),
            (b"PROXY TCP4 1", Answer::Yes),
            (b"PROXY MQTT ", Answer::No),
            (b"PROPFIND / HTTP/1.1\r\n", Answer::No),
            (b"\r\n\r\nGET", Answer::No),
            (b"\x10\x0c\0\x04MQTT", Answer::No),
        ] {
            assert_eq!(header(bytes), answer, "{bytes:x?}");
        }
        // Version 3 is not known to anybody.
        assert_eq!(header(b"\r\n\r\n\0\r\nQUIT\n\x31"), Answer::No);
    }

    #[test]
    fn one_that_does_not_end_is_not_read() {
        let bytes = [&b"PROXY TCP4 "[..], &[b'x'; 500]].concat();
        let output = read(&bytes, &[50], 0..0);
        assert!(matches!(output.notes[..], [Note::Broken(_)]));
        assert!(output.passed.is_empty());
    }

    #[test]
    fn gaps_are_counted_through_where_the_length_is_known() {
        let bytes = [V2, REST].concat();
        let broken = Note::Broken(Broken::ProxyCut);
        let output = read(&bytes, &[], 20..30);
        assert_eq!(output.notes, [broken]);
        assert_eq!(output.gaps, [(ByteRange { start: 20, end: 30 }, Some(0))]);
        assert_eq!(output.passed.len(), REST.len());
        // After the addresses nothing of interest is lost.
        let output = read(&bytes, &[], 29..V2.len() + 3);
        let cut = V2.len() as u64;
        let gaps = [(29, cut, 0), (cut, cut + 3, 3)];
        let gaps = gaps.map(|(start, end, len)| (ByteRange { start, end }, Some(len)));
        assert_eq!(output.gaps, gaps);
        assert!(matches!(output.notes[..], [Note::Proxied { .. }]));
        // Where a line ends is lost with its end.
        let bytes = [V1, REST].concat();
        let output = read(&bytes, &[], 20..V1.len());
        let (start, end) = (20, V1.len() as u64);
        assert_eq!(output.gaps, [(ByteRange { start, end }, None)]);
        assert_eq!(output.passed.len(), REST.len());
    }

    #[test]
    fn what_comes_down_is_passed_on() {
        let mut proxy = Proxy::new();
        let range = ByteRange { start: 3, end: 9 };
        let gap = Chunk::Gap { range, len: None };
        let mut count = 0;
        let keys = KeyLog::default();
        let _ = proxy.push(
            Direction::Down,
            gap,
            context(&keys),
            &mut |direction, passed| {
                assert!(
                    direction == Direction::Down
                        && matches!(passed, LayerOutput::Chunk(s) if s == gap)
                );
                count += 1;
            },
        );
        assert_eq!(count, 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

        /// No damage makes a panic, and all is accounted for.
        #[test]
        fn damage_does_no_harm(
            start in prop::sample::select(&[V1, V2, V2_IPV6, LOCAL][..]),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            from: prop::sample::Index,
            len in 0..30_usize,
            cut: prop::sample::Index,
        ) {
            let mut bytes = [start, REST].concat();
            for (index, byte) in damage {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            let from = from.index(bytes.len());
            let end = (from + len).min(bytes.len());
            read(&bytes, &[cut.index(bytes.len())], from..end);
        }
    }
}

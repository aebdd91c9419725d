//! HTTP/1.1 before MQTT: the CONNECT request to a proxy (RFC 9110, 9.3.6), and
//! requests that come before the one that opens a WebSocket.
//!
//! ```text
//! CONNECT broker:1883 HTTP/1.1         HTTP/1.1 200 Connection established
//! MQTT, or TLS                         MQTT, or TLS
//!
//! GET /status HTTP/1.1                 HTTP/1.1 200 OK
//! GET /mqtt HTTP/1.1                   Content-Length: 2
//! Upgrade: websocket                   {}
//!                                      HTTP/1.1 101 Switching Protocols
//! ```
//! Both are the same conversation, with another end: requests and responses are
//! read until one of them makes way for something else, and counted through until
//! then. A proxy that wants a password first refuses, and is asked again. A
//! connection that breaks the format or exceeds a limit is no longer followed.

mod body;
mod head;

use std::collections::VecDeque;

pub(crate) use body::Body;
pub(crate) use head::{BlankLine, fields};

use body::Taken;
use head::Head;

use super::pending::Pending;
use super::{
    Answer, ByteRange, Chunk, Data, Layer, LayerBytes, LayerContext, LayerOutput, LayerType, Sink,
};
use crate::direction::{Direction, PerDirection};
use crate::limits;

/// A CONNECT request to a proxy, and its answer.
pub static CONNECT: LayerType = LayerType {
    name: "http-connect",
    in_transport: false,
    encrypts: false,
    opens: opens_tunnel,
    answers: None,
    begin: || Box::new(Http::new(LayerBytes::Proxy)),
    join: None,
};

/// Requests before the one that opens a WebSocket.
pub static REQUESTS: LayerType = LayerType {
    name: "http",
    in_transport: false,
    encrypts: false,
    opens: request,
    answers: None,
    begin: || Box::new(Http::new(LayerBytes::WsUpgrade)),
    join: None,
};

/// Methods of requests that clients of a broker's web pages send.
const METHODS: [&[u8]; 5] = [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS "];

fn opens_tunnel(bytes: &[u8]) -> Answer {
    whole_head(bytes, &[b"CONNECT "], |_| true)
}

fn request(bytes: &[u8]) -> Answer {
    whole_head(bytes, &METHODS, |head| !opens_websocket(head))
}

fn opens_websocket(head: &Head) -> bool {
    head.has_token("Upgrade", "websocket")
}

/// Whether bytes begin with the whole head of such a request.
fn whole_head(bytes: &[u8], methods: &[&[u8]], fits: fn(&Head) -> bool) -> Answer {
    let begins = methods.iter().any(|method| bytes.starts_with(method));
    let may_begin = methods.iter().any(|method| method.starts_with(bytes));
    if !begins {
        return match may_begin {
            true => Answer::More,
            false => Answer::No,
        };
    }
    match BlankLine::default().find(bytes) {
        None if bytes.len() >= limits::UPGRADE_BYTES => Answer::No,
        None => Answer::More,
        Some(end) => {
            let head = fields(bytes.get(..end).unwrap_or_default(), Direction::Up);
            match head.is_some_and(|head| fits(&head)) {
                true => Answer::Yes,
                false => Answer::No,
            }
        }
    }
}

/// Follows requests and responses.
#[derive(Debug)]
struct Http {
    /// The use of its bytes.
    own: LayerBytes,
    steps: PerDirection<Step>,
    /// Requests without a response so far.
    asked: VecDeque<Asked>,
    requests: u32,
    /// Bytes of bodies so far.
    bodies: u64,
    abandoned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Connect,
    Head,
    Other,
}

/// State of a direction.
#[derive(Debug)]
enum Step {
    /// In a head, which is kept.
    Head(Pending, BlankLine),
    Body(Body),
    /// After CONNECT: the following bytes wait for the answer.
    Waiting(Pending),
    /// Everything goes up.
    Passing,
    Unread,
}

impl Step {
    fn head() -> Self {
        Self::Head(Pending::default(), BlankLine::default())
    }

    /// In a body, unless it is empty.
    fn body(body: Body) -> Self {
        match body {
            Body::Length(0) => Self::head(),
            body => Self::Body(body),
        }
    }

    fn pending(&mut self) -> Option<&mut Pending> {
        match self {
            Self::Head(pending, _) | Self::Waiting(pending) => Some(pending),
            Self::Body(_) | Self::Passing | Self::Unread => None,
        }
    }
}

impl Layer for Http {
    fn push<'a>(
        &mut self,
        direction: Direction,
        chunk: Chunk<'a>,
        _: LayerContext<'_>,
        out: Sink<'_>,
    ) -> Option<Chunk<'a>> {
        match chunk {
            Chunk::Data(data) => self.data(direction, data, out),
            Chunk::Gap { range, len } => self.gap(direction, range, len, out),
        }
        None
    }

    fn shed(&mut self, _: LayerContext<'_>, out: Sink<'_>) {
        if self.kept() > 0 {
            self.give_up(out);
        }
    }

    fn finish(&mut self, _: LayerContext<'_>, out: Sink<'_>) {
        for direction in Direction::ALL {
            if let Some(pending) = self.steps[direction].pending() {
                pending.own(direction, LayerBytes::Unread, out);
            }
        }
    }

    fn kept(&self) -> usize {
        let kept = |step: &Step| match step {
            Step::Head(pending, _) | Step::Waiting(pending) => pending.kept(),
            Step::Body(_) | Step::Passing | Step::Unread => 0,
        };
        self.steps.iter().map(kept).sum()
    }

    fn is_unreadable(&self, _: LayerContext<'_>) -> bool {
        self.abandoned
    }
}

impl Http {
    fn new(own: LayerBytes) -> Self {
        Self {
            own,
            steps: PerDirection::from_fn(|_| Step::head()),
            asked: VecDeque::new(),
            requests: 0,
            bodies: 0,
            abandoned: false,
        }
    }

    fn data(&mut self, direction: Direction, data: Data<'_>, out: Sink<'_>) {
        let mut rest = data;
        while !rest.bytes.is_empty() {
            match &mut self.steps[direction] {
                Step::Head(pending, blank) => match blank.find(rest.bytes) {
                    Some(end) => {
                        let (head, after) = rest.split_at(end);
                        pending.push(head);
                        self.head(direction, out);
                        rest = after;
                    }
                    None => {
                        pending.push(rest);
                        if pending.bytes().len() > limits::UPGRADE_BYTES {
                            self.give_up(out);
                        }
                        return;
                    }
                },
                Step::Body(body) => {
                    let (end, is_over) = match body.take(rest.bytes) {
                        Taken::All => (rest.bytes.len(), false),
                        Taken::Ends(end) => (end, true),
                        Taken::Malformed => {
                            self.give_up(out);
                            continue;
                        }
                    };
                    let (mine, after) = rest.split_at(end);
                    out(direction, LayerOutput::Own(mine.range, self.own));
                    rest = after;
                    if is_over {
                        self.steps[direction] = Step::head();
                        self.make_way();
                    }
                    self.bodies += end as u64;
                    if self.bodies > limits::HTTP_BODIES {
                        self.give_up(out);
                    }
                }
                Step::Waiting(pending) => {
                    pending.push(rest);
                    if pending.bytes().len() > limits::UPGRADE_BYTES {
                        self.give_up(out);
                    }
                    return;
                }
                Step::Passing => return out(direction, LayerOutput::Chunk(Chunk::Data(rest))),
                Step::Unread => {
                    return out(direction, LayerOutput::Own(rest.range, LayerBytes::Unread));
                }
            }
        }
    }

    /// A head is complete.
    fn head(&mut self, direction: Direction, out: Sink<'_>) {
        let Step::Head(pending, _) = &mut self.steps[direction] else {
            return;
        };
        let Some(head) = fields(pending.bytes(), direction) else {
            return self.give_up(out);
        };
        if direction == Direction::Up && opens_websocket(&head) {
            // It is the next layer's.
            pending.pass(direction, out);
            self.steps.up = Step::Passing;
            return self.make_way();
        }
        pending.own(direction, self.own, out);
        match direction {
            Direction::Up => self.request(&head, out),
            Direction::Down => self.response(&head, out),
        }
    }

    fn request(&mut self, head: &Head, out: Sink<'_>) {
        self.requests += 1;
        if self.requests > limits::HTTP_REQUESTS {
            return self.give_up(out);
        }
        let (asked, step) = match head.method.as_str() {
            "CONNECT" => (Asked::Connect, Step::Waiting(Pending::default())),
            "HEAD" => (Asked::Head, Step::head()),
            _ => (Asked::Other, Step::body(head.request_body())),
        };
        self.asked.push_back(asked);
        self.steps.up = step;
    }

    fn response(&mut self, head: &Head, out: Sink<'_>) {
        self.steps.down = Step::head();
        let is_interim = (100..200).contains(&head.status) && head.status != 101;
        if is_interim {
            return;
        }
        let is_success = (200..300).contains(&head.status);
        match self.asked.pop_front() {
            Some(Asked::Connect) if is_success => {
                self.steps.down = Step::Passing;
                let up = std::mem::replace(&mut self.steps.up, Step::Passing);
                if let Step::Waiting(mut waiting) = up {
                    waiting.pass(Direction::Up, out);
                }
            }
            Some(Asked::Connect) => {
                self.steps.down = Step::body(head.response_body());
                // The client asks again.
                let up = std::mem::replace(&mut self.steps.up, Step::head());
                if let Step::Waiting(mut waiting) = up {
                    waiting.release(usize::MAX, |data| self.data(Direction::Up, data, out));
                }
            }
            Some(Asked::Head) => {}
            Some(Asked::Other) if head.status != 101 => {
                self.steps.down = Step::body(head.response_body());
            }
            Some(Asked::Other) | None => self.give_up(out),
        }
        self.make_way();
    }

    /// Once all requests before the one for a WebSocket are answered, its answer
    /// comes.
    fn make_way(&mut self) {
        let is_done = matches!(&self.steps.down, Step::Head(pending, _) if pending.is_empty());
        if matches!(self.steps.up, Step::Passing) && self.asked.is_empty() && is_done {
            self.steps.down = Step::Passing;
        }
    }

    fn gap(&mut self, direction: Direction, range: ByteRange, len: Option<u64>, out: Sink<'_>) {
        let step = &mut self.steps[direction];
        let is_inside = match (&mut *step, len) {
            (Step::Passing | Step::Unread, _) => false,
            (_, Some(0)) => true,
            (Step::Body(Body::Length(left)), Some(len)) if len <= *left => {
                *left -= len;
                true
            }
            _ => {
                self.give_up(out);
                false
            }
        };
        // No passed-on byte is lost within a body.
        let len = match is_inside {
            true => Some(0),
            false => len,
        };
        out(direction, LayerOutput::Chunk(Chunk::Gap { range, len }));
        if is_inside && matches!(self.steps[direction], Step::Body(Body::Length(0))) {
            self.steps[direction] = Step::head();
            self.make_way();
        }
    }

    fn give_up(&mut self, out: Sink<'_>) {
        self.abandoned = true;
        for direction in Direction::ALL {
            if let Some(pending) = self.steps[direction].pending() {
                pending.own(direction, LayerBytes::Unread, out);
            }
            self.steps[direction] = Step::Unread;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::At;
    use crate::layer::tls::KeyLog;

    const UP: Direction = Direction::Up;
    const DOWN: Direction = Direction::Down;
    const UPGRADE: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\n\r\n";

    #[derive(Debug, Default, PartialEq)]
    struct Output {
        passed: PerDirection<Vec<u8>>,
        own: u64,
        unread: u64,
        abandoned: bool,
    }

    /// Reads messages in chunks of `each` bytes. Every byte is accounted for, in
    /// order.
    fn read(messages: &[(Direction, &[u8])], each: usize) -> Output {
        let keys = KeyLog::default();
        let cx = LayerContext {
            keys: &keys,
            expects_keys: false,
            now: At::default(),
        };
        let mut http = Http::new(LayerBytes::Proxy);
        let mut got = Output::default();
        let (mut sent, mut reported) = (PerDirection::both(0), PerDirection::both(0));
        let mut out = |way: Direction, output: LayerOutput<'_>| {
            let range = match output {
                LayerOutput::Chunk(Chunk::Data(data)) => {
                    got.passed[way].extend_from_slice(data.bytes);
                    data.range
                }
                LayerOutput::Own(range, LayerBytes::Unread) => {
                    got.unread += range.len();
                    range
                }
                LayerOutput::Own(range, _) => {
                    got.own += range.len();
                    range
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(range.start, reported[way], "{way:?}");
            reported[way] = range.end;
        };
        for (direction, message) in messages {
            for bytes in message.chunks(each) {
                let start = sent[*direction];
                let end = start + bytes.len() as u64;
                sent[*direction] = end;
                let data = Data {
                    bytes,
                    range: ByteRange { start, end },
                    at: At::default(),
                    seal: None,
                };
                let _ = http.push(*direction, Chunk::Data(data), cx, &mut out);
            }
        }
        http.finish(cx, &mut out);
        assert_eq!(reported, sent);
        got.abandoned = http.abandoned;
        got
    }

    #[track_caller]
    fn passes(opening: &[(Direction, &[u8])], up: &[u8], down: &[u8]) {
        let rest = [(UP, up), (DOWN, down)];
        for each in [1, 7, 100_000] {
            let got = read(&[opening, &rest].concat(), each);
            assert_eq!(got.passed.up, up);
            assert_eq!(got.passed.down, down);
            assert_eq!((got.unread, got.abandoned), (0, false));
        }
    }

    #[test]
    fn a_tunnel_opens_when_the_proxy_agrees() {
        let connect = b"CONNECT broker:1883 HTTP/1.1\r\nHost: broker:1883\r\n\r\n";
        let agreed = b"HTTP/1.1 200 Connection established\r\n\r\n";
        let refused = b"HTTP/1.1 407 No\r\nContent-Length: 4\r\n\r\nword";
        let opening: [(Direction, &[u8]); 2] = [(UP, connect), (DOWN, agreed)];
        assert_eq!(opens_tunnel(connect), Answer::Yes);
        passes(&opening, b"\x10connect", b"\x20connack");
        let asked_again = [&[(UP, &connect[..]), (DOWN, refused)], &opening[..]].concat();
        passes(&asked_again, b"\x10connect", b"\x20connack");
    }

    #[test]
    fn requests_are_counted_through_until_one_opens_a_websocket() {
        let get = b"GET /status HTTP/1.1\r\nHost: b\r\n\r\n";
        let post = b"POST /login HTTP/1.1\r\nContent-Length: 11\r\n\r\nGET / HTTP/\n";
        let head = b"HEAD / HTTP/1.1\r\n\r\n";
        let okay = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        let of_head = b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n";
        assert_eq!(request(get), Answer::Yes);
        assert_eq!(request(UPGRADE), Answer::No);
        let one_by_one: [(Direction, &[u8]); 6] = [
            (UP, get),
            (DOWN, okay),
            (UP, &post[..post.len() - 1]),
            (DOWN, chunked),
            (UP, head),
            (DOWN, of_head),
        ];
        let switched = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        passes(&one_by_one, UPGRADE, switched);
        // All requests at once, and the answers after them.
        let at_once: [(Direction, &[u8]); 4] =
            [(UP, get), (UP, head), (DOWN, okay), (DOWN, of_head)];
        passes(&at_once, UPGRADE, switched);
    }

    #[test]
    fn unsupported_messages_are_abandoned() {
        let get = &b"GET / HTTP/1.1\r\n\r\n"[..];
        let endless: [(Direction, &[u8]); 2] = [
            (UP, get),
            (DOWN, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"),
        ];
        let body = vec![b'x'; limits::HTTP_BODIES as usize + 1];
        let many = vec![(UP, get); limits::HTTP_REQUESTS as usize + 1];
        let long = vec![b'x'; limits::UPGRADE_BYTES];
        for messages in [
            [&endless[..], &[(DOWN, &body[..])]].concat(),
            many,
            vec![(UP, get), (UP, b"GET /"), (UP, &long)],
            vec![(DOWN, b"HTTP/1.1 200 OK\r\n\r\n")],
            vec![(UP, b"\x10\x0c\0\x04MQTT\n\n")],
        ] {
            assert!(read(&messages, 100_000).abandoned);
        }
    }
}

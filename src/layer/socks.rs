//! SOCKS before MQTT: a client asks a proxy for a connection, in version 4, 4a or
//! 5 (RFC 1928, RFC 1929).
//!
//! ```text
//! 5   05 n methods…                          05 method
//!     01 length user length password         01 status        if the method is 2
//!     05 01 00 address port                  05 reply 00 address port
//! 4   04 01 port IPv4 user 00 [name 00]      00 5a port IPv4
//! ```
//! The bytes after it are passed on as they are. Anything else that SOCKS can do (other
//! methods than none and a password, BIND, UDP) is no longer followed, and so is a
//! connection of whose opening bytes are missing.

use super::pending::Pending;
use super::{
    Answer, ByteRange, Chunk, Data, Layer, LayerBytes, LayerContext, LayerOutput, LayerType, Sink,
};
use crate::direction::{Direction, PerDirection};

/// SOCKS as a layer.
pub static LAYER: LayerType = LayerType {
    name: "socks",
    in_transport: false,
    encrypts: false,
    opens,
    answers: None,
    begin: || Box::new(Socks::default()),
    join: None,
};

const NO_PASSWORD: u8 = 0;
const PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
/// The longest message: version, user and password of 255 bytes each.
const LONGEST: usize = 520;

/// Whether a client begins with SOCKS: a greeting and nothing after it, or a
/// whole request of version 4 for a connection.
fn opens(bytes: &[u8]) -> Answer {
    match bytes {
        [] => Answer::More,
        [5] => Answer::More,
        [5, count @ 1..=8, methods @ ..] => {
            let count = usize::from(*count);
            // Methods that IANA has assigned.
            let known = methods.iter().take(count).all(|method| *method <= 9);
            match methods.len() {
                _ if !known => Answer::No,
                len if len < count => Answer::More,
                len if len == count => Answer::Yes,
                _ => Answer::No,
            }
        }
        [4] => Answer::More,
        [4, CONNECT, ..] => match version_4(bytes) {
            Length::Is(len) if len == bytes.len() => Answer::Yes,
            Length::More if bytes.len() < LONGEST => Answer::More,
            _ => Answer::No,
        },
        _ => Answer::No,
    }
}

/// How long the message is that some bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Is(usize),
    More,
    Unknown,
}

/// 04 01, port, address, a name that ends with 0; and a host that does, where the
/// address is 0.0.0.x.
fn version_4(bytes: &[u8]) -> Length {
    let Some(text) = bytes.get(8..) else {
        return Length::More;
    };
    let has_host = matches!(bytes.get(4..8), Some([0, 0, 0, last]) if *last > 0);
    let mut zeros = (8..).zip(text).filter(|(_, byte)| **byte == 0);
    match zeros.nth(usize::from(has_host)) {
        Some((at, _)) => Length::Is(at + 1),
        None => Length::More,
    }
}

/// 05, command or reply, 00, an address by its type, port.
fn version_5(bytes: &[u8]) -> Length {
    let address = match bytes.get(3..) {
        None | Some([]) => return Length::More,
        Some([1, ..]) => 4,
        Some([3]) => return Length::More,
        Some([3, len, ..]) => 1 + usize::from(*len),
        Some([4, ..]) => 16,
        Some(_) => return Length::Unknown,
    };
    match 4 + address + 2 {
        length if length <= bytes.len() => Length::Is(length),
        _ => Length::More,
    }
}

/// 01, user, password, each with its length.
fn password(bytes: &[u8]) -> Length {
    let Some(user) = bytes.get(1) else {
        return Length::More;
    };
    let user = usize::from(*user);
    match bytes.get(2 + user) {
        Some(password) if bytes.len() >= 3 + user + usize::from(*password) => {
            Length::Is(3 + user + usize::from(*password))
        }
        _ => Length::More,
    }
}

/// State of a direction.
#[derive(Debug)]
enum Step {
    /// In a message, which is kept.
    Message(Pending),
    /// After the client's request: the following bytes wait for the reply.
    Waiting(Pending),
    /// Everything goes up.
    Passing,
    Unread,
}

/// Follows the opening.
#[derive(Debug)]
struct Socks {
    steps: PerDirection<Step>,
    /// The client's greeting was read, so that requests and passwords follow.
    greeted: bool,
    /// The server has selected a method, so that replies follow.
    selected: bool,
    abandoned: bool,
}

impl Default for Socks {
    fn default() -> Self {
        Self {
            steps: PerDirection::from_fn(|_| Step::Message(Pending::default())),
            greeted: false,
            selected: false,
            abandoned: false,
        }
    }
}

impl Layer for Socks {
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

    fn finish(&mut self, _: LayerContext<'_>, out: Sink<'_>) {
        for direction in Direction::ALL {
            if let Step::Message(pending) | Step::Waiting(pending) = &mut self.steps[direction] {
                pending.own(direction, LayerBytes::Unread, out);
            }
        }
    }

    fn kept(&self) -> usize {
        let kept = |step: &Step| match step {
            Step::Message(pending) | Step::Waiting(pending) => pending.kept(),
            Step::Passing | Step::Unread => 0,
        };
        self.steps.iter().map(kept).sum()
    }

    fn is_unreadable(&self, _: LayerContext<'_>) -> bool {
        self.abandoned
    }
}

impl Socks {
    fn data(&mut self, direction: Direction, data: Data<'_>, out: Sink<'_>) {
        match &mut self.steps[direction] {
            Step::Message(pending) => {
                pending.push(data);
                self.messages(direction, out);
            }
            Step::Waiting(pending) => {
                pending.push(data);
                if pending.bytes().len() > crate::limits::UPGRADE_BYTES {
                    self.give_up(out);
                }
            }
            Step::Passing => out(direction, LayerOutput::Chunk(Chunk::Data(data))),
            Step::Unread => out(direction, LayerOutput::Own(data.range, LayerBytes::Unread)),
        }
    }

    /// Takes the messages that are whole.
    fn messages(&mut self, direction: Direction, out: Sink<'_>) {
        while let Step::Message(pending) = &mut self.steps[direction] {
            let bytes = pending.bytes();
            let length = match direction {
                Direction::Up => from_client(bytes, self.greeted),
                Direction::Down => from_server(bytes, self.selected),
            };
            let is_long = bytes.len() > LONGEST;
            match length {
                Length::Is(length) => {
                    let message = bytes.get(..length).unwrap_or_default().to_vec();
                    pending.release(length, |data| {
                        out(direction, LayerOutput::Own(data.range, LayerBytes::Proxy));
                    });
                    self.message(direction, &message, out);
                }
                Length::More if !is_long => return,
                Length::More | Length::Unknown => self.give_up(out),
            }
        }
    }

    fn message(&mut self, direction: Direction, message: &[u8], out: Sink<'_>) {
        match (direction, message) {
            (Direction::Up, [5, ..]) if !self.greeted => self.greeted = true,
            (Direction::Up, [4 | 5, CONNECT, ..]) => {
                let rest = self.take_pending(direction);
                self.steps.up = Step::Waiting(rest);
            }
            (Direction::Up, [1, ..]) | (Direction::Down, [1, 0]) => {}
            (Direction::Down, [5, NO_PASSWORD | PASSWORD]) => self.selected = true,
            (Direction::Down, [5, 0, ..] | [0, 0x5a, ..]) => {
                for direction in Direction::ALL {
                    let mut rest = self.take_pending(direction);
                    rest.pass(direction, out);
                    self.steps[direction] = Step::Passing;
                }
            }
            _ => self.give_up(out),
        }
    }

    fn take_pending(&mut self, direction: Direction) -> Pending {
        match &mut self.steps[direction] {
            Step::Message(pending) | Step::Waiting(pending) => std::mem::take(pending),
            Step::Passing | Step::Unread => Pending::default(),
        }
    }

    fn gap(&mut self, direction: Direction, range: ByteRange, len: Option<u64>, out: Sink<'_>) {
        let is_open = matches!(self.steps[direction], Step::Passing | Step::Unread);
        if !is_open && len != Some(0) {
            self.give_up(out);
        }
        out(direction, LayerOutput::Chunk(Chunk::Gap { range, len }));
    }

    fn give_up(&mut self, out: Sink<'_>) {
        self.abandoned = true;
        for direction in Direction::ALL {
            self.take_pending(direction)
                .own(direction, LayerBytes::Unread, out);
            self.steps[direction] = Step::Unread;
        }
    }
}

/// The message that the client sends next.
fn from_client(bytes: &[u8], greeted: bool) -> Length {
    match bytes {
        [] => Length::More,
        [5] => Length::More,
        [5, count, methods @ ..] if !greeted => match usize::from(*count) {
            count if count <= methods.len() => Length::Is(2 + count),
            _ => Length::More,
        },
        [5, ..] => version_5(bytes),
        [4, ..] => version_4(bytes),
        [1, ..] if greeted => password(bytes),
        _ => Length::Unknown,
    }
}

/// The message that the server sends next.
fn from_server(bytes: &[u8], selected: bool) -> Length {
    match bytes {
        [] | [_] => Length::More,
        [5, _, ..] if !selected => Length::Is(2),
        [0, ..] if !selected && bytes.len() >= 8 => Length::Is(8),
        [0, ..] if !selected => Length::More,
        [1, _, ..] if selected => Length::Is(2),
        [5, ..] => version_5(bytes),
        _ => Length::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::At;
    use crate::layer::tls::KeyLog;

    const UP: Direction = Direction::Up;
    const DOWN: Direction = Direction::Down;

    /// The bytes that go up, as text, and the number of SOCKS's own.
    fn read(messages: &[(Direction, &[u8])], each: usize) -> (PerDirection<Vec<u8>>, u64, bool) {
        let keys = KeyLog::default();
        let cx = LayerContext {
            keys: &keys,
            expects_keys: false,
            now: At::default(),
        };
        let mut socks = Socks::default();
        let mut passed = PerDirection::from_fn(|_| Vec::new());
        let mut own = 0;
        let mut positions = PerDirection::both(0);
        for (direction, message) in messages {
            for bytes in message.chunks(each) {
                let start = positions[*direction];
                let end = start + bytes.len() as u64;
                positions[*direction] = end;
                let data = Data {
                    bytes,
                    range: ByteRange { start, end },
                    at: At::default(),
                    seal: None,
                };
                let chunk = Chunk::Data(data);
                let _ = socks.push(*direction, chunk, cx, &mut |way, output| match output {
                    LayerOutput::Chunk(Chunk::Data(data)) => {
                        passed[way].extend_from_slice(data.bytes);
                    }
                    LayerOutput::Own(range, LayerBytes::Proxy) => own += range.len(),
                    other => assert!(matches!(other, LayerOutput::Own(_, LayerBytes::Unread))),
                });
            }
        }
        (passed, own, socks.abandoned)
    }

    #[test]
    fn what_follows_the_opening_goes_up() {
        let name = b"\x05\x01\x00\x03\x06broker\x07\x5b";
        let reply = b"\x05\x00\x00\x01\x0a\x00\x00\x01\x07\x5b";
        let plain: &[(Direction, &[u8])] = &[
            (UP, b"\x05\x01\x00"),
            (DOWN, b"\x05\x00"),
            (UP, name),
            (DOWN, reply),
        ];
        let with_password: &[(Direction, &[u8])] = &[
            (UP, b"\x05\x02\x00\x02"),
            (DOWN, b"\x05\x02"),
            (UP, b"\x01\x04user\x06secret"),
            (DOWN, b"\x01\x00"),
            (UP, name),
            (DOWN, reply),
        ];
        let version_4: &[(Direction, &[u8])] = &[
            (UP, b"\x04\x01\x07\x5b\x00\x00\x00\x01me\x00broker\x00"),
            (DOWN, b"\x00\x5a\x07\x5b\x00\x00\x00\x00"),
        ];
        for opening in [plain, with_password, version_4] {
            let first = opening[0].1;
            assert_eq!(opens(first), Answer::Yes);
            for len in 0..first.len() {
                assert_eq!(opens(&first[..len]), Answer::More);
            }
            let rest: [(Direction, &[u8]); 2] = [(UP, b"\x10connect"), (DOWN, b"\x20connack")];
            let all = [opening, &rest].concat();
            for each in [1, 3, 1000] {
                let (passed, own, abandoned) = read(&all, each);
                assert_eq!(passed.up, b"\x10connect");
                assert_eq!(passed.down, b"\x20connack");
                let bytes: usize = opening.iter().map(|(_, bytes)| bytes.len()).sum();
                assert_eq!((own, abandoned), (bytes as u64, false));
            }
            // Refused.
            let mut refused = opening.to_vec();
            let last = refused.len() - 1;
            let mut reply = refused[last].1.to_vec();
            reply[1] = 0x5b;
            refused[last].1 = &reply;
            let (passed, _, abandoned) = read(&[&refused[..], &rest].concat(), 1000);
            assert!(abandoned && passed.up.is_empty() && passed.down.is_empty());
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not_taken_for_it() {
        for bytes in [
            &b"\x05\x01\x00more"[..],
            b"\x05\x01\x77",
            b"\x05\x00",
            b"\x05\xff",
            b"\x04\x02\x00",
            b"\x10\x0c",
        ] {
            assert_eq!(opens(bytes), Answer::No, "{bytes:x?}");
        }
    }
}

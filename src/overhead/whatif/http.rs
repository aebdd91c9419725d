//! The same messages over HTTP.
//!
//! A message up is a POST with its topic as the path; the answer acknowledges it. HTTP
//! cannot send to a client, so a message down is the answer to a GET that waited for it
//! (a long poll); every poll is answered with a message. Requests and answers are the
//! minimum that RFC 9110, RFC 9112 and RFC 9113 allow: real clients and servers add
//! User-Agent, Server, Content-Type. Each request carries the user name and password
//! of the CONNECT.

use super::super::amount::Amount;
use super::super::term::Term;
use super::super::traffic::Shape;
use super::model::Model;
use crate::frame::{Direction, PerDirection};

/// Kinds of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1 on a connection that stays.
    Persistent,
    /// HTTP/1.1 with a connection for each message.
    Close,
    /// HTTP/2 without TLS, known beforehand (RFC 9113, 3.3).
    V2,
}

/// Characters of the host in requests: `broker.example.com`.
const HOST: f64 = 18.0;
/// `Date: Tue, 15 Nov 1994 08:12:31 GMT` and its end of line, which a server with
/// a clock has to send (RFC 9110, 6.6.1).
const DATE: f64 = 37.0;
/// `Connection: close` and its end of line.
const CLOSE: f64 = 19.0;
/// Bytes of a segment: Ethernet's MTU, TCP timestamps.
const MSS: f64 = 1448.0;

/// Characters of a whole number.
fn digits(n: u32) -> f64 {
    n.to_string().len() as f64
}

/// Bytes of a request and of its answer.
struct Sizes {
    up: f64,
    down: f64,
}

/// `POST /topic HTTP/1.1`, `Host`, `Content-Length`, an empty line, the payload;
/// `HTTP/1.1 204 No Content`, `Date`, an empty line. Down: `GET /topic HTTP/1.1`
/// and `HTTP/1.1 200 OK` with the payload.
fn version_1(direction: Direction, shape: &Shape, topic: f64, credentials: f64) -> Sizes {
    let payload = f64::from(shape.payload);
    let length = 18.0 + digits(shape.payload);
    let authorization = match credentials > 0.0 {
        true => 21.0 + 4.0 * (credentials / 3.0).ceil() + 2.0,
        false => 0.0,
    };
    let host = 8.0 + HOST;
    match direction {
        Direction::Up => Sizes {
            up: 17.0 + topic + host + authorization + length + 2.0 + payload,
            down: 25.0 + DATE + 2.0,
        },
        Direction::Down => Sizes {
            up: 16.0 + topic + host + authorization + 2.0,
            down: 17.0 + DATE + length + 2.0 + payload,
        },
    }
}

/// HEADERS and DATA with 9 bytes each; fields that came before are one byte of
/// HPACK (RFC 7541), `content-length` and `date` are literal.
fn version_2(direction: Direction, shape: &Shape, credentials: f64) -> Sizes {
    const FRAME: f64 = 9.0;
    const DATE: f64 = 31.0;
    let payload = f64::from(shape.payload);
    let length = 3.0 + digits(shape.payload);
    let request = FRAME + 4.0 + if credentials > 0.0 { 1.0 } else { 0.0 };
    let answer = FRAME + 1.0 + DATE;
    match direction {
        Direction::Up => Sizes {
            up: request + length + FRAME + payload,
            down: answer,
        },
        Direction::Down => Sizes {
            up: request,
            down: answer + length + FRAME + payload,
        },
    }
}

impl Model<'_> {
    pub(super) fn http(&mut self, http: Http) {
        self.replace();
        let credentials = self.connection.credentials as f64;
        let mut groups = std::mem::take(&mut self.groups);
        let mut messages = 0.0;
        for group in &mut groups {
            let along = group.key.direction;
            let topic = self.stage.account.topics[group.key.topic as usize]
                .name
                .len() as f64;
            let mut segments = [0.0; 2];
            let headers = PerDirection::from_fn(|direction| self.header(direction));
            for (shape, n) in group.shapes.iter() {
                let n = *n as f64;
                let mut sizes = match http {
                    Http::V2 => version_2(along, shape, credentials),
                    _ => version_1(along, shape, topic, credentials),
                };
                if http == Http::Close {
                    sizes.up += CLOSE;
                    sizes.down += CLOSE;
                }
                let app = f64::from(shape.payload);
                let up = self.segments(&headers, Direction::Up, n, sizes.up, (along, app));
                let down = self.segments(&headers, Direction::Down, n, sizes.down, (along, app));
                segments[0] += up;
                segments[1] += down;
            }
            // The answer acknowledges the request; a bare acknowledgement, the
            // answer.
            self.add(
                Term::Message,
                Direction::Up,
                self.header(Direction::Up) * group.n,
            );
            group.data.up = segments[0];
            group.data.down = segments[1];
            messages += group.n;
            if http == Http::V2 {
                // The path in full, the first time.
                self.add(Term::Connection, Direction::Up, Amount::tcp(1.0 + topic));
            }
        }
        self.groups = groups;
        match http {
            Http::Close => self.tcp_connections(messages),
            _ if !self.connection.is_from_start => {}
            Http::Persistent => self.tcp_connections(1.0),
            Http::V2 => {
                self.tcp_connections(1.0);
                // Preface, SETTINGS, its acknowledgement; names in full.
                let encoded = 4.0 * (credentials / 3.0).ceil();
                let names = HOST
                    + 1.0
                    + if credentials > 0.0 {
                        8.0 + encoded
                    } else {
                        0.0
                    };
                let up = self.header(Direction::Up) + Amount::tcp(24.0 + 9.0 + 9.0 + names);
                let down = self.header(Direction::Down) + Amount::tcp(9.0 + 9.0);
                self.add(Term::Connection, Direction::Up, up);
                self.add(Term::Connection, Direction::Down, down);
            }
        }
    }

    /// A number of writes of a number of bytes each, in segments; returns the number of
    /// segments.
    fn segments(
        &mut self,
        headers: &PerDirection<Amount>,
        direction: Direction,
        n: f64,
        len: f64,
        (along, app): (Direction, f64),
    ) -> f64 {
        let each = (len / MSS).ceil().max(1.0);
        let payload = Amount {
            app: if along == direction { app } else { 0.0 },
            ..Amount::tcp(len)
        };
        let header = headers[direction];
        self.add(Term::Message, direction, (header * each + payload) * n);
        each * n
    }

    /// Three segments that open a connection, four that close it.
    fn tcp_connections(&mut self, n: f64) {
        self.opens = n;
        let syn = &self.connection.syn;
        for (direction, others) in [(Direction::Up, 3.0), (Direction::Down, 2.0)] {
            let header = self.header(direction);
            let syn = match syn.packets {
                0 => header,
                packets => syn.amount() * (1.0 / packets as f64),
            };
            self.add(Term::Connection, direction, (syn + header * others) * n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counted from the requests as text.
    #[test]
    fn sizes_are_those_of_the_text() {
        let shape = Shape {
            payload: 5,
            ..Shape::default()
        };
        let post =
            "POST /plant/7 HTTP/1.1\r\nHost: broker.example.com\r\nContent-Length: 5\r\n\r\nhello";
        let no_content = "HTTP/1.1 204 No Content\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\n\r\n";
        let sizes = version_1(Direction::Up, &shape, 7.0, 0.0);
        assert_eq!(sizes.up, post.len() as f64);
        assert_eq!(sizes.down, no_content.len() as f64);

        let get = "GET /plant/7 HTTP/1.1\r\nHost: broker.example.com\r\nAuthorization: Basic dTpw\r\n\r\n";
        let ok = "HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: 5\r\n\r\nhello";
        let sizes = version_1(Direction::Down, &shape, 7.0, 3.0);
        assert_eq!(sizes.up, get.len() as f64);
        assert_eq!(sizes.down, ok.len() as f64);
    }
}

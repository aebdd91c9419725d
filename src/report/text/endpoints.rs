//! Who sends to whom, and for which client: the part of a line that is the same
//! for every message of one direction of a connection.

use crate::frame::{Connection, Direction};
use crate::report::escape::{self, Within};
use crate::report::put;

/// Directions of connections whose text is remembered; one more with the same
/// remainder takes the place of another.
const REMEMBERED: usize = 2048;

/// Writes endpoints, and remembers what it wrote.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    texts: Vec<Text>,
}

#[derive(Clone, Debug, Default)]
struct Text {
    /// Number of the connection; 0 is none.
    connection: u64,
    client_id: Option<Box<[u8]>>,
    text: Vec<u8>,
}

impl Endpoints {
    /// `10.0.0.7:40122 > 10.0.1.1:1883 [sensor-7] `
    pub(super) fn put(&mut self, connection: &Connection, direction: Direction, out: &mut Vec<u8>) {
        if self.texts.is_empty() {
            self.texts.resize(REMEMBERED, Text::default());
        }
        let place = connection.number as usize * 2 + direction as usize;
        let text = &mut self.texts[place % REMEMBERED];
        if text.connection != connection.number || text.client_id != connection.client_id {
            text.connection = connection.number;
            text.client_id.clone_from(&connection.client_id);
            write(connection, direction, &mut text.text);
        }
        out.extend_from_slice(&text.text);
    }
}

fn write(connection: &Connection, direction: Direction, out: &mut Vec<u8>) {
    let (src, dst) = connection.endpoints(direction);
    out.clear();
    put::endpoint(src, out);
    out.extend_from_slice(b" > ");
    put::endpoint(dst, out);
    out.push(b' ');
    if let Some(client_id) = &connection.client_id {
        out.push(b'[');
        escape::escaped(client_id, Within::Brackets, out);
        out.extend_from_slice(b"] ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Version;
    use crate::report::sample;

    #[test]
    fn what_is_remembered_is_of_the_same_connection_and_client() {
        let mut endpoints = Endpoints::default();
        let mut connection = sample::connection(Version::V5);
        let mut says = |connection: &Connection, direction| {
            let mut out = Vec::new();
            endpoints.put(connection, direction, &mut out);
            String::from_utf8(out).unwrap()
        };
        connection.client_id = None;
        let first = says(&connection, Direction::Up);
        assert!(!first.contains('['), "{first}");
        connection.client_id = Some(b"a]b".as_slice().into());
        let with_client = says(&connection, Direction::Up);
        assert_eq!(with_client, format!("{first}[a\\]b] "));
        assert_ne!(says(&connection, Direction::Down), with_client);
        // Another connection in the same place.
        connection.number += REMEMBERED as u64 / 2;
        connection.client.port += 1;
        assert_ne!(says(&connection, Direction::Up), with_client);
        connection.number -= REMEMBERED as u64 / 2;
        connection.client.port -= 1;
        assert_eq!(says(&connection, Direction::Up), with_client);
    }
}

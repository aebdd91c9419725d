//! Cache of the text that the frames of one direction of a connection share.
//!
//! Endpoints and the client identifier are a large part of every line and the same
//! for each message: copying them takes a fifth of the instructions of formatting
//! them.

use std::sync::Arc;

use crate::frame::{Connection, Direction};

/// Directions of connections whose text is cached; another one with the same
/// remainder replaces it.
const KEPT: usize = 2048;

/// Texts by connection and direction.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    texts: Vec<Text>,
}

#[derive(Clone, Debug, Default)]
struct Text {
    /// Number of the connection; 0 is none.
    connection: u64,
    client_id: Option<Box<[u8]>>,
    session_uid: Option<Arc<str>>,
    text: Vec<u8>,
}

impl Prefixes {
    /// Appends the text that `write` appends for this direction of the connection. It
    /// must be the same as long as the client identifier and the session are.
    pub(super) fn put(
        &mut self,
        connection: &Connection,
        direction: Direction,
        out: &mut Vec<u8>,
        write: impl FnOnce(&Connection, Direction, &mut Vec<u8>),
    ) {
        if self.texts.is_empty() {
            self.texts.resize(KEPT, Text::default());
        }
        let place = connection.number as usize * 2 + direction as usize;
        let text = &mut self.texts[place % KEPT];
        if text.connection != connection.number
            || text.client_id != connection.client_id
            || text.session_uid != connection.session_uid
        {
            text.connection = connection.number;
            text.client_id.clone_from(&connection.client_id);
            text.session_uid.clone_from(&connection.session_uid);
            text.text.clear();
            write(connection, direction, &mut text.text);
        }
        out.extend_from_slice(&text.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Version;
    use crate::report::{put, sample};

    fn write(connection: &Connection, direction: Direction, out: &mut Vec<u8>) {
        let (src, _) = connection.endpoints(direction);
        put::endpoint(src, out);
        out.extend_from_slice(connection.client_id.as_deref().unwrap_or_default());
    }

    #[test]
    fn what_is_kept_is_of_the_same_connection_and_client() {
        let mut prefixes = Prefixes::default();
        let mut connection = sample::connection(Version::V5);
        let mut text = |connection: &Connection, direction| {
            let mut out = Vec::new();
            prefixes.put(connection, direction, &mut out, write);
            String::from_utf8(out).unwrap()
        };
        connection.client_id = None;
        let first = text(&connection, Direction::Up);
        connection.client_id = Some(b"ab".as_slice().into());
        let with_client = text(&connection, Direction::Up);
        assert_eq!(with_client, format!("{first}ab"));
        assert_ne!(text(&connection, Direction::Down), with_client);
        // Another connection in the same slot.
        connection.number += KEPT as u64 / 2;
        connection.client.port += 1;
        assert_ne!(text(&connection, Direction::Up), with_client);
        connection.number -= KEPT as u64 / 2;
        connection.client.port -= 1;
        assert_eq!(text(&connection, Direction::Up), with_client);
    }
}

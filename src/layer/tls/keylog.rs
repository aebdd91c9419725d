//! Secrets out of a key log: the NSS format that `SSLKEYLOGFILE` names.
//!
//! ```text
//! # comment
//! CLIENT_RANDOM 52362c…(64 digits) 1eb3f0…(96 digits)     TLS 1.2: master secret
//! SERVER_TRAFFIC_SECRET_0 52362c…  7a3c91…(64 or 96)      TLS 1.3
//! └─ label                └─ client random: whose it is
//! ```
//! The text may come in chunks that are cut anywhere, as a file does that is
//! still being written. A line counts when its end has been captured: a secret
//! that is cut would look like a shorter one, so a caller that knows that a text is
//! complete pushes a final line end. A line of another format is counted,
//! not an error: key logs are appended to by several programs at once.
//!
//! No secret is ever printed: types that hold one have a `Debug` that does not
//! show it.

use std::collections::VecDeque;
use std::fmt;

use hashbrown::HashMap;

use crate::limits;

/// The client random of the hello, under which its secrets are filed
/// under.
pub(super) type Random = [u8; 32];

/// Secrets by connection.
#[derive(Default)]
pub struct KeyLog {
    sessions: HashMap<Random, Secrets, foldhash::fast::RandomState>,
    /// The keys of `sessions`, oldest first.
    order: VecDeque<Random>,
    /// A line whose end has not come.
    line: Vec<u8>,
    /// Whether that line is too long to be one.
    overlong: bool,
    generation: u64,
    skipped: u64,
    dropped: u64,
    closed: bool,
}

/// Secrets of one connection.
#[derive(Clone, Default)]
pub(super) struct Secrets {
    /// TLS 1.2.
    pub(super) master: Option<Secret>,
    /// TLS 1.2, before the master secret was made of it.
    pub(super) premaster: Option<Secret>,
    /// TLS 1.3, by [`Label`].
    traffic: [Option<Secret>; 5],
}

/// Which traffic secret of TLS 1.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Label {
    /// Data that the client sends before the handshake.
    ClientEarly,
    /// The client's handshake.
    ClientHandshake,
    /// The server's handshake.
    ServerHandshake,
    /// The client's data.
    ClientTraffic,
    /// The server's data.
    ServerTraffic,
}

/// Bytes that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(Box<[u8]>);

impl KeyLog {
    /// Takes more of the text, which may end in the middle of a line.
    pub fn push(&mut self, text: &[u8]) {
        let mut lines = text.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for end in lines {
            self.extend(end);
            let line = std::mem::take(&mut self.line);
            if self.overlong || !self.take(&line) {
                self.skipped += 1;
            }
            self.overlong = false;
            self.line = line;
            self.line.clear();
        }
        self.extend(last);
    }

    /// Declares that no more secrets will come, so that nothing needs to wait for
    /// them. Lines that are pushed all the same are still taken.
    pub fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.generation += 1;
        }
    }

    /// Declares that some may come after all.
    pub fn reopen(&mut self) {
        self.closed = false;
    }

    /// Grows whenever something new is known.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Connections of which a secret is known.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Lines that were neither secrets, comments nor empty; those of labels
    /// that are of no use here (exporters, ECH) do not count.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Connections whose secrets were evicted for newer ones, at
    /// [`limits::TLS_SESSIONS`].
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether nothing was ever known.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Whether no more secrets will come.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Secrets of the connection with this client random.
    pub(super) fn find(&self, random: &Random) -> Option<&Secrets> {
        self.sessions.get(random)
    }

    /// The newest connections, newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = (&Random, &Secrets)> {
        let known = |random| self.sessions.get_key_value(random);
        self.order.iter().rev().filter_map(known)
    }

    /// Lengthens the line that has not ended.
    fn extend(&mut self, more: &[u8]) {
        if self.line.len() + more.len() > limits::TLS_KEY_LINE {
            self.overlong = true;
            self.line.clear();
        }
        if !self.overlong {
            self.line.extend_from_slice(more);
        }
    }

    /// Reads a line; whether it was one.
    fn take(&mut self, line: &[u8]) -> bool {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return true;
        }
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let (Some(label), Some(random), Some(secret), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return false;
        };
        // `RSA` lines, which are filed under the encrypted premaster secret,
        // went out of use with the key exchange.
        if matches!(
            label,
            b"EXPORTER_SECRET" | b"EARLY_EXPORTER_SECRET" | b"ECH_SECRET" | b"ECH_CONFIG" | b"RSA"
        ) {
            return true;
        }
        let Some(random) = unhex(random).and_then(|r| Random::try_from(&*r).ok()) else {
            return false;
        };
        let Some(secret) = unhex(secret) else {
            return false;
        };
        self.file(label, random, Secret(secret.into()))
    }

    fn file(&mut self, label: &[u8], random: Random, secret: Secret) -> bool {
        let len = secret.0.len();
        let traffic = |label| (len == 32 || len == 48).then_some(Slot::Traffic(label));
        let slot = match label {
            b"CLIENT_RANDOM" => (len == 48).then_some(Slot::Master),
            b"PMS_CLIENT_RANDOM" => (len != 0).then_some(Slot::Premaster),
            b"CLIENT_EARLY_TRAFFIC_SECRET" => traffic(Label::ClientEarly),
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => traffic(Label::ClientHandshake),
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => traffic(Label::ServerHandshake),
            b"CLIENT_TRAFFIC_SECRET_0" => traffic(Label::ClientTraffic),
            b"SERVER_TRAFFIC_SECRET_0" => traffic(Label::ServerTraffic),
            _ => None,
        };
        let Some(slot) = slot else { return false };
        if !self.sessions.contains_key(&random) {
            while self.order.len() >= limits::TLS_SESSIONS {
                if let Some(oldest) = self.order.pop_front() {
                    self.sessions.remove(&oldest);
                    self.dropped += 1;
                }
            }
            self.order.push_back(random);
        }
        let secrets = self.sessions.entry(random).or_default();
        let range = match slot {
            Slot::Master => &mut secrets.master,
            Slot::Premaster => &mut secrets.premaster,
            Slot::Traffic(label) => secrets.slot(label),
        };
        // The same line again, from a file that is read from its start again,
        // is nothing new.
        if range.as_ref() != Some(&secret) {
            *range = Some(secret);
            self.generation += 1;
        }
        true
    }
}

/// Where a secret is filed.
enum Slot {
    Master,
    Premaster,
    Traffic(Label),
}

impl Secrets {
    /// A traffic secret of TLS 1.3.
    pub(super) fn traffic(&self, label: Label) -> Option<&Secret> {
        let [early, client_hs, server_hs, client, server] = &self.traffic;
        match label {
            Label::ClientEarly => early,
            Label::ClientHandshake => client_hs,
            Label::ServerHandshake => server_hs,
            Label::ClientTraffic => client,
            Label::ServerTraffic => server,
        }
        .as_ref()
    }

    fn slot(&mut self, label: Label) -> &mut Option<Secret> {
        let [early, client_hs, server_hs, client, server] = &mut self.traffic;
        match label {
            Label::ClientEarly => early,
            Label::ClientHandshake => client_hs,
            Label::ServerHandshake => server_hs,
            Label::ClientTraffic => client,
            Label::ServerTraffic => server,
        }
    }

    /// Whether it has a secret of TLS 1.3.
    pub(super) fn is_v13(&self) -> bool {
        self.traffic.iter().any(Option::is_some)
    }
}

impl Secret {
    #[cfg(feature = "tls")]
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret of {} bytes", self.0.len())
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLog of {} connections", self.sessions.len())
    }
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(label: &str, random: u8, secret: u8, len: usize) -> String {
        let random = format!("{random:02x}").repeat(32);
        format!("{label} {random} {}\n", format!("{secret:02X}").repeat(len))
    }

    fn master(log: &KeyLog, random: u8) -> Option<&Secret> {
        log.find(&[random; 32])?.master.as_ref()
    }

    #[test]
    fn lines_of_the_format_are_taken_and_others_counted() {
        let mut log = KeyLog::default();
        let text = [
            "# made by hand\r\n\n".to_owned(),
            line("CLIENT_RANDOM", 1, 0xAB, 48),
            line("SERVER_TRAFFIC_SECRET_0", 2, 3, 32),
            line("EXPORTER_SECRET", 2, 3, 32),
            line("CLIENT_RANDOM", 4, 5, 47),
            line("CLIENT_TRAFFIC_SECRET_0", 4, 5, 31),
            line("SOMETHING_NEW", 4, 5, 32),
            "CLIENT_RANDOM zz 00\nnonsense\n".to_owned(),
            "x".repeat(5000) + "\n",
            line("CLIENT_RANDOM", 6, 7, 48).replace('\n', "\r\n"),
        ]
        .concat();
        log.push(text.as_bytes());
        assert_eq!(master(&log, 1).unwrap().bytes(), [0xAB; 48]);
        assert!(master(&log, 6).is_some());
        let found = log.find(&[2; 32]).unwrap();
        assert_eq!(
            found.traffic(Label::ServerTraffic).unwrap().bytes(),
            [3; 32]
        );
        assert!(found.traffic(Label::ClientTraffic).is_none());
        assert!(log.find(&[4; 32]).is_none());
        assert_eq!((log.sessions(), log.skipped(), log.generation()), (3, 6, 3));
    }

    #[test]
    fn a_line_counts_when_its_end_has_come() {
        let mut log = KeyLog::default();
        let text = line("CLIENT_TRAFFIC_SECRET_0", 1, 2, 48);
        // Cut where it would be a whole secret of the other length.
        log.push(&text.as_bytes()[..text.len() - 33]);
        assert!(log.is_empty());
        log.push(&text.as_bytes()[text.len() - 33..]);
        assert_eq!(log.generation(), 1);
        log.push(text.as_bytes());
        assert_eq!(log.generation(), 1, "nothing new");
    }

    #[test]
    fn a_line_of_any_length_takes_little_memory() {
        let secret = line("CLIENT_RANDOM", 1, 2, 48);
        for (len, sessions) in [
            (limits::TLS_KEY_LINE, 1),
            (limits::TLS_KEY_LINE + 1, 0),
            (1 << 20, 0),
        ] {
            let mut log = KeyLog::default();
            let blanks = " ".repeat(len + 1 - secret.len());
            for part in [blanks, secret.clone()].concat().as_bytes().chunks(1000) {
                log.push(part);
                assert!(log.line.len() <= limits::TLS_KEY_LINE);
            }
            assert_eq!(
                (log.sessions(), log.skipped()),
                (sessions, 1 - sessions as u64)
            );
            // The next line is one again.
            log.push(line("CLIENT_RANDOM", 3, 4, 48).as_bytes());
            assert_eq!(log.sessions(), sessions + 1);
        }
    }

    #[test]
    fn old_secrets_make_room_and_it_is_counted() {
        let mut log = KeyLog::default();
        for n in 0..limits::TLS_SESSIONS as u32 + 3 {
            let random = format!("{n:064x}");
            log.push(format!("CLIENT_RANDOM {random} {}\n", "00".repeat(48)).as_bytes());
        }
        assert_eq!((log.sessions(), log.dropped()), (limits::TLS_SESSIONS, 3));
        assert!(log.find(&[0; 32]).is_none());
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut log = KeyLog::default();
        log.push(line("CLIENT_RANDOM", 1, 0xAB, 48).as_bytes());
        let shown = format!("{log:?} {:?}", master(&log, 1));
        assert!(!shown.to_lowercase().contains("ab"), "{shown}");
        assert!(!shown.contains("171"), "{shown}");
    }

    proptest! {
        #[test]
        fn chunks_of_any_size_are_the_same(cuts in prop::collection::vec(0usize..400, 0..8)) {
            let text = [
                line("CLIENT_RANDOM", 1, 2, 48),
                "garbage\r\n".to_owned(),
                line("CLIENT_EARLY_TRAFFIC_SECRET", 3, 4, 32),
                line("CLIENT_RANDOM", 5, 6, 48),
            ].concat();
            let mut log = KeyLog::default();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (data, after) = rest.split_at(cut.min(rest.len()));
                log.push(data);
                rest = after;
            }
            log.push(rest);
            prop_assert_eq!((log.sessions(), log.skipped(), log.generation()), (3, 1, 3));
        }
    }
}

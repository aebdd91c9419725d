//! Facts of the handshake, put together from the messages of both sides.
//!
//! One direction's records cannot be read without the other's hello. So the
//! content of the messages is kept here for both; [`Facts::changes`] shows a direction
//! that waits when it is worth trying again.

use super::handshake::{ClientHello, Message, ServerHello};
use super::info::{CipherSuite, TlsInfo, TlsVersion};
use super::keylog::{KeyLog, Random, Secrets};
use super::suite::Suite;
use super::unreadable::Unreadable;
use crate::direction::Direction;
use crate::limits;

/// Facts of the handshake.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) info: TlsInfo,
    /// The random that secrets are filed under.
    pub(super) client_random: Option<Random>,
    /// The version, once the server has chosen it (or a secret fitted).
    pub(super) version: Option<TlsVersion>,
    /// The suite, once the server has chosen it, if it can be decoded.
    pub(super) suite: Option<Suite>,
    /// The suites that the client offered.
    pub(super) offered: Vec<u16>,
    /// TLS 1.2: the parameters of each handshake.
    pub(super) negotiated: Vec<Negotiated>,
    /// Why it cannot be read, whatever the key log has.
    pub(super) unreadable: Option<Unreadable>,
    /// Outcome of the client's early data, if it sends any.
    pub(super) early_data: EarlyData,
    /// Whether a hello will not come any more, by way.
    pub(super) lost: [bool; 2],
    /// Grows with each new fact.
    pub(super) changes: u64,
    /// The client's random of a handshake whose ServerHello has not come.
    asked: Option<Random>,
    session_id: Vec<u8>,
    ticket: bool,
    /// A HelloRetryRequest was captured, but not yet the second ClientHello.
    retry: bool,
    /// Whether a server has answered.
    answered: bool,
}

/// Outcome of data that a client sent before the handshake was over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum EarlyData {
    /// It is not known yet.
    #[default]
    Undecided,
    /// The server took it.
    Accepted,
    /// The server did not.
    Rejected,
    /// The record that would show it was lost, or cannot be read.
    Unknowable,
}

/// The parameters that a handshake of TLS 1.2 has negotiated.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "tls"), expect(dead_code))]
pub(super) struct Negotiated {
    pub(super) suite: Suite,
    /// Not known while the ClientHello is not: it may be lost, or come later,
    /// for directions are captured each by itself.
    pub(super) client_random: Option<Random>,
    pub(super) server_random: Random,
    pub(super) encrypt_then_mac: bool,
}

impl Facts {
    /// Takes a message of a side. `sealed` is whether it was encrypted.
    pub(super) fn take(&mut self, direction: Direction, message: Message, sealed: bool) {
        match (direction, message) {
            (Direction::Up, Message::ClientHello(hello)) => self.client_hello(*hello, sealed),
            (Direction::Down, Message::ServerHello(hello)) => self.server_hello(hello, sealed),
            (Direction::Down, Message::EncryptedExtensions { alpn, early_data }) => {
                self.info.alpn = alpn;
                self.decide(match early_data {
                    true => EarlyData::Accepted,
                    false => EarlyData::Rejected,
                });
            }
            // Only a client that knows that it was accepted marks its end.
            (Direction::Up, Message::EndOfEarlyData) if sealed => self.decide(EarlyData::Accepted),
            (Direction::Up, Message::Certificate { subject }) => {
                self.info.client_certificate = subject.or(self.info.client_certificate.take());
            }
            (Direction::Down, Message::Certificate { subject }) => {
                self.info.server_certificate = subject.or(self.info.server_certificate.take());
            }
            _ => return,
        }
        self.changes += 1;
    }

    /// Whether the client may send early data.
    pub(super) fn early(&self) -> bool {
        self.info.early_data || self.lost[0]
    }

    /// Whether the client may have sent early data that the server took.
    pub(super) fn may_have_early_data(&self) -> bool {
        let v13 = matches!(self.version, None | Some(TlsVersion::V13));
        v13 && self.early() && self.early_data != EarlyData::Rejected
    }

    /// The outcome of early data is known; the first decision stays.
    pub(super) fn decide(&mut self, early_data: EarlyData) {
        if matches!(self.early_data, EarlyData::Undecided) {
            self.early_data = early_data;
            self.changes += 1;
        }
    }

    /// TLS 1.2: whether records may be sealed by now.
    pub(super) fn can_have_keys(&self) -> bool {
        !self.negotiated.is_empty()
    }

    /// Whether the ServerHello is known.
    pub(super) fn answered(&self) -> bool {
        self.answered
    }

    /// A hello of this side will not come any more.
    pub(super) fn lose(&mut self, direction: Direction) {
        let hello = match direction {
            Direction::Up => self.client_random.is_some(),
            Direction::Down => self.answered,
        };
        let lost = match (direction, &mut self.lost) {
            (Direction::Up, [lost, _]) | (Direction::Down, [_, lost]) => lost,
        };
        if !hello && !*lost {
            *lost = true;
            self.changes += 1;
        }
    }

    /// Whether a hello of this side can still come.
    pub(super) fn awaits(&self, direction: Direction) -> bool {
        match (direction, self.lost) {
            (Direction::Up, [lost, _]) => self.client_random.is_none() && !lost,
            (Direction::Down, [_, lost]) => !self.answered && !lost,
        }
    }

    /// The secrets of the connection in the key log.
    pub(super) fn secrets<'a>(&self, keys: &'a KeyLog) -> Option<&'a Secrets> {
        keys.find(self.client_random.as_ref()?)
    }

    /// A client random whose secret fitted: so the connection is that one.
    pub(super) fn identified(&mut self, random: Random) {
        self.client_random.get_or_insert(random);
        self.answers(random);
        self.changes += 1;
    }

    /// A secret of TLS 1.3 fitted: so the version is TLS 1.3.
    pub(super) fn fitted(&mut self, suite: Suite) {
        if self.suite.is_none() {
            self.suite = Some(suite);
            self.version = Some(TlsVersion::V13);
            self.info.version = self.version;
            self.info.cipher_suite = Some(CipherSuite(suite.id));
            self.changes += 1;
        }
    }

    /// The first handshake of TLS 1.2 whose ClientHello is not known.
    pub(super) fn unasked(&self) -> Option<usize> {
        let unknown = |negotiated: &Negotiated| negotiated.client_random.is_none();
        self.negotiated.iter().position(unknown)
    }

    /// Whether a captured ServerHello answers this ClientHello.
    fn answers(&mut self, random: Random) -> bool {
        if self
            .negotiated
            .iter()
            .any(|negotiated| negotiated.client_random == Some(random))
        {
            return true;
        }
        let first = self
            .unasked()
            .and_then(|first| self.negotiated.get_mut(first));
        first.is_some_and(|negotiated| {
            negotiated.client_random = Some(random);
            true
        })
    }

    fn client_hello(&mut self, hello: ClientHello, sealed: bool) {
        // A second one outside the encryption is an answer to a
        // HelloRetryRequest, or unknown.
        if self.client_random.is_some() && !sealed && !self.retry {
            return;
        }
        self.retry = false;
        self.asked = (!self.answers(hello.random)).then_some(hello.random);
        if sealed {
            return;
        }
        self.client_random = Some(hello.random);
        self.session_id = hello.session_id;
        self.ticket = hello.ticket;
        self.offered = hello.suites;
        if !self.answered {
            self.info.version = Some(TlsVersion(hello.version));
        }
        self.info.server_name = hello.server_name;
        self.info.alpn_offered = hello.alpn;
        // A second ClientHello may not offer it (RFC 8446, 4.1.2), but the
        // data may have been sent already.
        self.info.early_data |= hello.early_data;
    }

    fn server_hello(&mut self, hello: ServerHello, sealed: bool) {
        if self.answered && !sealed {
            return;
        }
        let version = TlsVersion(hello.version);
        let suite = Suite::find(hello.suite);
        self.version = Some(version);
        self.info.version = Some(version);
        self.info.cipher_suite = Some(CipherSuite(hello.suite));
        self.suite = suite.filter(|suite| suite.v13 == (version == TlsVersion::V13));
        if hello.is_retry() {
            self.retry = true;
            self.decide(EarlyData::Rejected);
            return;
        }
        if !hello.psk {
            // It needs a key that both had before.
            self.decide(EarlyData::Rejected);
        }
        self.answered = true;
        self.info.alpn = hello.alpn.clone();
        self.unreadable = unreadable(&hello, self.suite);
        match version {
            TlsVersion::V13 => {
                self.info.resumed = hello.psk && self.ticket;
                self.info.psk = hello.psk && !self.ticket;
            }
            _ => {
                self.info.resumed =
                    !hello.session_id.is_empty() && hello.session_id == self.session_id;
                let name = CipherSuite(hello.suite).name();
                self.info.psk = name.is_some_and(|name| name.contains("PSK"));
            }
        }
        let asked = self.asked.take();
        if let (TlsVersion::V12, Some(suite)) = (version, self.suite) {
            if self.negotiated.len() >= limits::TLS_HANDSHAKES {
                self.unreadable = Some(Unreadable::TooManyHandshakes);
                return;
            }
            self.negotiated.push(Negotiated {
                suite,
                client_random: asked,
                server_random: hello.random,
                encrypt_then_mac: hello.encrypt_then_mac,
            });
        }
    }
}

fn unreadable(hello: &ServerHello, suite: Option<Suite>) -> Option<Unreadable> {
    Some(match hello.version {
        0x0300 => Unreadable::Ssl3,
        0x0301 => Unreadable::Tls10,
        0x0302 => Unreadable::Tls11,
        0x0303 | 0x0304 if suite.is_none() => Unreadable::CipherSuite,
        0x0303 if hello.compressed => Unreadable::Compressed,
        0x0303 if hello.truncated_hmac => Unreadable::TruncatedHmac,
        0x0303 | 0x0304 => return None,
        0x7F00..=0x7FFF => Unreadable::Draft,
        _ => Unreadable::OtherVersion,
    })
}

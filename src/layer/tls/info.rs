//! Properties of a TLS connection.

use serde::{Deserialize, Serialize};

use std::fmt;

use super::suite;

/// Properties of a TLS connection, as far as it was captured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsInfo {
    /// The negotiated version; the client's offer until the server has answered.
    pub version: Option<TlsVersion>,
    /// The cipher suite that the server chose.
    pub cipher_suite: Option<CipherSuite>,
    /// The server's name as the client calls it (SNI).
    pub server_name: Option<String>,
    /// Application protocols that the client offers, best first.
    pub alpn_offered: Vec<String>,
    /// The application protocol that the server chose. In TLS 1.3 only the
    /// key shows it.
    pub alpn: Option<String>,
    /// Subject of the client's certificate. In TLS 1.3 only the key shows it.
    pub client_certificate: Option<String>,
    /// Subject of the server's certificate. In TLS 1.3 only the key shows it.
    pub server_certificate: Option<String>,
    /// An earlier session goes on, by its identifier or a ticket.
    pub resumed: bool,
    /// Both had a key before that is of no earlier session.
    pub psk: bool,
    /// The client asked to send data before the handshake was over.
    pub early_data: bool,
    /// Data of either side could be read.
    pub decrypted: bool,
}

/// A version of TLS or SSL, by its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TlsVersion(pub u16);

impl TlsVersion {
    /// SSL 2.0.
    pub const SSL2: Self = Self(0x0002);
    /// TLS 1.2.
    pub const V12: Self = Self(0x0303);
    /// TLS 1.3.
    pub const V13: Self = Self(0x0304);

    /// A number alone: `1.3`; `SSL 3.0` for the protocol before TLS.
    pub fn number(self) -> Option<&'static str> {
        Some(match self.0 {
            0x0002 => "SSL 2.0",
            0x0300 => "SSL 3.0",
            0x0301 => "1.0",
            0x0302 => "1.1",
            0x0303 => "1.2",
            0x0304 => "1.3",
            _ => return None,
        })
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(old) if old.starts_with("SSL") => f.write_str(old),
            Some(number) => write!(f, "TLS {number}"),
            None => write!(f, "TLS version 0x{:04X}", self.0),
        }
    }
}

/// A cipher suite, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CipherSuite(pub u16);

impl CipherSuite {
    /// Its registered name.
    pub fn name(self) -> Option<&'static str> {
        suite::name(self.0)
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:04X}", self.0),
        }
    }
}

/// Names of MQTT in ALPN: the registered one, and that of AWS for its port 443.
const ALPN: [&str; 2] = ["mqtt", "x-amzn-mqtt-ca"];

impl TlsInfo {
    /// Whether TLS itself names MQTT: the server by its choice,
    /// else the client by its only offer.
    pub fn names_mqtt(&self) -> bool {
        match (&self.alpn, &self.alpn_offered[..]) {
            (Some(alpn), _) => ALPN.contains(&alpn.as_str()),
            (None, []) => false,
            (None, offered) => offered.iter().all(|alpn| ALPN.contains(&alpn.as_str())),
        }
    }
}

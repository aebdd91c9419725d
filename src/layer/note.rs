//! The notes that a layer reports besides bytes and gaps, and their reasons.

use super::alert_name;
use serde::{Deserialize, Serialize};

use super::tls::Unreadable;
use crate::limits::Limit;
use crate::net::Endpoint;

/// A note of a layer on the connection, for people. Where it concerns a side,
/// the direction with which it is pushed is the one that this side sends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Note {
    /// A proxy names the endpoints that it connects.
    Proxied {
        /// The client's own address.
        client: Endpoint,
        /// The address that it connected to.
        server: Endpoint,
    },
    /// TLS is read. Reported once a connection.
    Tls,
    /// TLS that will not be read, and why. Reported once a connection.
    Encrypted(Unreadable),
    /// TLS bytes were lost, or cannot be decrypted from here on, and why.
    Undecrypted(Unreadable),
    /// The server rejected data that the client sent before the TLS
    /// handshake was over: it was not read.
    EarlyDataRejected,
    /// TLS ended, or went wrong, as a peer's alert has it.
    Alert {
        /// 1 warning, 2 fatal.
        level: u8,
        /// As registered by IANA; 0 is close_notify.
        description: u8,
    },
    /// A WebSocket was opened.
    WebSocket,
    /// The server refused to open a WebSocket.
    Refused {
        /// Status code of its HTTP response.
        status: u16,
    },
    /// A WebSocket close frame.
    WsClose {
        /// Status code (RFC 6455, 7.4), if it has one.
        code: Option<u16>,
    },
    /// A WebSocket message that is text although it carries MQTT.
    TextMessage,
    /// Bytes that break the layer's format, or bytes that it needs were lost; the
    /// direction cannot be followed further, or not until it is found again.
    Broken(Broken),
    /// Bytes that break a rule of the layer; they are read all the same.
    Unusual(Unusual),
    /// A limit was reached.
    Limit(Limit),
}

impl Note {
    /// The name of the event that it becomes, in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Proxied { .. } => "proxied",
            Self::Tls => "tls",
            Self::Encrypted(_) => "encrypted",
            Self::Undecrypted(_) => "undecrypted",
            Self::EarlyDataRejected => "early_data_rejected",
            Self::Alert { .. } => "tls_alert",
            Self::WebSocket => "websocket",
            Self::Refused { .. } => "websocket_refused",
            Self::WsClose { .. } => "websocket_close",
            Self::TextMessage => "text_message",
            Self::Unusual(_) => "odd",
            Self::Broken(_) => "malformed",
            Self::Limit(_) => "bound",
        }
    }

    /// Why, if it says so.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Encrypted(reason) => Some(reason.text()),
            Self::Undecrypted(reason) => Some(reason.text()),
            Self::Unusual(reason) => Some(reason.text()),
            Self::Broken(reason) => Some(reason.text()),
            Self::Limit(limit) => Some(limit.text()),
            Self::Alert { description, .. } => alert_name(*description),
            _ => None,
        }
    }
}

reasons! {
    /// An error in the format of a layer, or a loss of bytes that it needs: the
    /// direction cannot be followed further, or not until it is found again.
    Broken {
        NoTlsRecord = "no TLS record begins where one should",
        ProxyTooLong = "a PROXY header that does not end within 107 bytes",
        ProxyCut = "a part of the PROXY header was lost",
        NoRequest = "no request comes before the first frame",
        NoAnswer = "no answer comes before the first frame",
        ReservedOpcode = "a frame with a reserved opcode",
        FrameLength = "a frame length with its highest bit set",
        NotInflated = "compressed bytes that cannot be inflated",
        RequestCut = "a part of the upgrade request was lost",
        AnswerCut = "a part of the answer to the upgrade request was lost",
        FrameHeaderCut = "the header of a frame was lost",
        UnknownLoss = "an unknown number of bytes was lost",
        MessageCut = "a part of a compressed message was lost",
    }
}

reasons! {
    /// An error against a rule of a layer that does not hide its content.
    Unusual {
        ProxyFamily = "a PROXY header with an unknown address family",
        ProxyCommand = "a PROXY header with an unknown version or command",
        ProxyTooShort = "a PROXY header that is too short for its addresses",
        ProxyAddresses = "a PROXY header whose addresses cannot be read",
        RequestNotHttp = "an upgrade request that cannot be read as HTTP",
        NoConnectionUpgrade = "an upgrade request without Connection: Upgrade",
        NoKey = "an upgrade request without Sec-WebSocket-Key",
        OtherVersion = "an upgrade request for another version of WebSocket than 13",
        NoHost = "an upgrade request without Host",
        NoneOffered = "the client offers no subprotocol; MQTT is mqtt",
        MqttNotOffered = "the client does not offer the subprotocol mqtt",
        AnswerNotHttp = "an answer to the upgrade request that cannot be read as HTTP",
        NoUpgrade = "status 101 without Upgrade: websocket",
        SeveralSelected = "the server selects more than one subprotocol",
        NoneSelected = "the server selects no subprotocol; MQTT is mqtt",
        SelectedNotOffered = "the server selects a subprotocol that the client did not offer",
        MqttNotSelected = "the server selects another subprotocol than mqtt",
        CompressionNotOffered = "the server agrees to a compression that the client did not offer",
        DeflateParameter = "permessage-deflate with a parameter that it does not have",
        ReservedBit = "a frame with a reserved bit set",
        LongLength = "a frame whose length takes more bytes than it needs",
        NotMasked = "a client's frame that is not masked",
        Masked = "a server's frame that is masked",
        AfterClose = "a frame after a close frame",
        FragmentedControl = "a control frame in fragments",
        LongControl = "a control frame of more than 125 bytes",
        CompressedControl = "a control frame that is compressed",
        CompressedContinuation = "a continuation with the bit for compression set",
        StrayContinuation = "a continuation of no message",
        MessageInMessage = "a message that begins within another",
        CompressionNotAgreed = "a compressed message, although no compression was agreed on",
        CompressionUnknown = "messages are compressed, and the upgrade that negotiated it was not captured",
        HalfCloseCode = "a close frame with one byte of a status code",
        CloseCode = "a close frame with a status code that must not be sent",
    }
}

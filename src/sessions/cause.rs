//! How a connection ended, as it is reported: by whom, why, how sure.

use crate::event::Side;
use crate::frame::Direction;
use crate::packet::PacketRef;

/// Who closed a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum By {
    /// The client.
    Client,
    /// The server.
    Server,
    /// Something between them.
    Network,
    /// It was open when the capture ended.
    StillOpen,
    /// The packets do not show it.
    Unknown,
}

/// Why a connection was closed. The list is closed: it is part of the output's
/// contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// A DISCONNECT packet.
    Disconnect,
    /// CONNACK with another code than 0.
    Refused,
    /// RST answered the SYN.
    TcpRefused,
    /// Nothing answered the SYN.
    TcpUnanswered,
    /// The server closed a client that was silent for longer than its Keep Alive.
    KeepAlive,
    /// The client gave up a server that did not answer.
    PingUnanswered,
    /// The same client identifier connected elsewhere.
    TakenOver,
    /// Closed in answer to a violation.
    ProtocolError,
    /// A packet was larger than its receiver takes.
    TooLarge,
    /// A TLS alert other than `close_notify`.
    TlsAlert,
    /// A WebSocket close frame without DISCONNECT.
    WebSocketClose,
    /// The HTTP request for a WebSocket was refused.
    HttpRefused,
    /// Retransmissions without an answer.
    NetworkLoss,
    /// FIN without DISCONNECT.
    NoDisconnect,
    /// RST without a visible cause.
    Reset,
    /// The server closed all its connections within a moment.
    BrokerStopped,
    /// The connection was open when the capture ended.
    StillOpen,
    /// The capture does not show the end.
    Unknown,
}

/// How sure a verdict is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Certainty {
    /// The packets do not decide it.
    CannotTell,
    /// The packets support it, and something missing could change it.
    Likely,
    /// Nothing that may be missing from the capture could change it.
    Proved,
}

/// The end of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Close {
    /// Who.
    pub by: By,
    /// Why.
    pub cause: Cause,
    /// How sure.
    pub certainty: Certainty,
    /// The code that a packet gives: of CONNACK or DISCONNECT, TLS alert, WebSocket
    /// close, HTTP status.
    pub reason_code: Option<u16>,
    /// Its name.
    pub reason: Option<String>,
    /// The captured packets that show it, in ascending order.
    pub packets: Vec<PacketRef>,
    /// One plain sentence with the arithmetic and the packets.
    pub message: String,
}

impl By {
    /// The value in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Network => "network",
            Self::StillOpen => "nobody",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn sends(direction: Direction) -> Self {
        match direction {
            Direction::Up => Self::Client,
            Direction::Down => Self::Server,
        }
    }
}

impl From<Side> for By {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::Server => Self::Server,
        }
    }
}

impl Cause {
    /// All causes, in the order of the contract.
    pub const ALL: [Self; 18] = [
        Self::Disconnect,
        Self::Refused,
        Self::TcpRefused,
        Self::TcpUnanswered,
        Self::KeepAlive,
        Self::PingUnanswered,
        Self::TakenOver,
        Self::ProtocolError,
        Self::TooLarge,
        Self::TlsAlert,
        Self::WebSocketClose,
        Self::HttpRefused,
        Self::NetworkLoss,
        Self::NoDisconnect,
        Self::Reset,
        Self::BrokerStopped,
        Self::StillOpen,
        Self::Unknown,
    ];

    /// The value in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Refused => "refused",
            Self::TcpRefused => "tcp_refused",
            Self::TcpUnanswered => "tcp_unanswered",
            Self::KeepAlive => "keep_alive",
            Self::PingUnanswered => "ping_unanswered",
            Self::TakenOver => "taken_over",
            Self::ProtocolError => "protocol_error",
            Self::TooLarge => "too_large",
            Self::TlsAlert => "tls_alert",
            Self::WebSocketClose => "websocket_close",
            Self::HttpRefused => "http_refused",
            Self::NetworkLoss => "network_loss",
            Self::NoDisconnect => "no_disconnect",
            Self::Reset => "reset",
            Self::BrokerStopped => "broker_stopped",
            Self::StillOpen => "still_open",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a user would look into it: neither a DISCONNECT nor an open
    /// connection.
    pub const fn is_abnormal(self) -> bool {
        !matches!(self, Self::Disconnect | Self::StillOpen)
    }
}

impl Certainty {
    /// The value in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CannotTell => "cannot_tell",
            Self::Likely => "likely",
            Self::Proved => "proved",
        }
    }
}

impl Close {
    /// Whether it deserves attention: abnormal, or a DISCONNECT that reports an error.
    pub fn is_abnormal(&self) -> bool {
        self.cause.is_abnormal() || self.reason_code.is_some_and(|code| code >= 0x80)
    }
}

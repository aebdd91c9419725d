//! Causes: why a byte was sent, and by which mechanism. A second partition of
//! the same bytes.
//!
//! The keys have two parts because the cost of, say, keeping a connection alive
//! is PINGREQ and PINGRESP *and* the bare acknowledgements for them.

use crate::mqtt::PacketType;

/// Purpose of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Opening the connection: SYN, CONNECT, CONNACK, AUTH.
    Setup,
    /// SUBSCRIBE, UNSUBSCRIBE and their answers.
    Sub,
    /// PUBLISH.
    Msg,
    /// PUBLISH with DUP set.
    MsgDup,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    MsgAck,
    /// PINGREQ, PINGRESP, TCP keep-alive probes.
    Keepalive,
    /// DISCONNECT, FIN, RST.
    Teardown,
    /// Acknowledgements without progress.
    Recovery,
    /// Bytes that could not be read as MQTT.
    Unknown,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Setup,
        Self::Sub,
        Self::Msg,
        Self::MsgDup,
        Self::MsgAck,
        Self::Keepalive,
        Self::Teardown,
        Self::Recovery,
        Self::Unknown,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Sub => "sub",
            Self::Msg => "msg",
            Self::MsgDup => "msg.dup",
            Self::MsgAck => "msg.ack",
            Self::Keepalive => "keepalive",
            Self::Teardown => "teardown",
            Self::Recovery => "recovery",
            Self::Unknown => "unknown",
        }
    }

    /// Purpose of a control packet.
    pub const fn of(packet_type: PacketType, dup: bool) -> Self {
        match packet_type {
            PacketType::Connect | PacketType::Connack | PacketType::Auth => Self::Setup,
            PacketType::Subscribe
            | PacketType::Suback
            | PacketType::Unsubscribe
            | PacketType::Unsuback => Self::Sub,
            PacketType::Publish if dup => Self::MsgDup,
            PacketType::Publish => Self::Msg,
            PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => {
                Self::MsgAck
            }
            PacketType::Pingreq | PacketType::Pingresp => Self::Keepalive,
            PacketType::Disconnect => Self::Teardown,
            PacketType::Reserved => Self::Unknown,
        }
    }
}

/// Mechanism by which bytes were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// Payload, and its share of the headers, the first time.
    Packet,
    /// The same again.
    Retx,
    /// TCP opening, closing and probing.
    TcpCtl,
    /// An acknowledgement without payload.
    Ack,
    /// One that acknowledges nothing new.
    DupAck,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Packet,
        Self::Retx,
        Self::TcpCtl,
        Self::Ack,
        Self::DupAck,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Retx => "retx",
            Self::TcpCtl => "tcp.ctl",
            Self::Ack => "ack",
            Self::DupAck => "dupack",
        }
    }
}

/// Why bytes were sent, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause(pub Purpose, pub Mechanism);

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.0.name(), self.1.name())
    }
}

/// Bytes by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes([[u64; Mechanism::ALL.len()]; Purpose::ALL.len()]);

impl Causes {
    /// Adds bytes.
    pub fn add(&mut self, cause: Cause, bytes: u64) {
        self.0[cause.0 as usize][cause.1 as usize] += bytes;
    }

    /// Bytes of a cause.
    pub fn get(&self, cause: Cause) -> u64 {
        self.0[cause.0 as usize][cause.1 as usize]
    }

    /// Bytes for a purpose, by all mechanisms.
    pub fn purpose(&self, purpose: Purpose) -> u64 {
        self.0[purpose as usize].iter().sum()
    }

    /// Bytes by a mechanism, for all purposes.
    pub fn mechanism(&self, mechanism: Mechanism) -> u64 {
        self.0.iter().map(|row| row[mechanism as usize]).sum()
    }

    /// Causes that have bytes, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Purpose::ALL
            .into_iter()
            .flat_map(|purpose| Mechanism::ALL.map(|mechanism| Cause(purpose, mechanism)))
            .map(|cause| (cause, self.get(cause)))
            .filter(|(_, bytes)| *bytes > 0)
    }

    /// Bytes of all causes.
    pub fn total(&self) -> u64 {
        self.0.iter().flatten().sum()
    }

    /// Adds another count.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            *ours += theirs;
        }
    }

    /// What is left without a part.
    #[must_use]
    pub(super) fn less(&self, part: &Self) -> Self {
        let mut left = *self;
        for (ours, theirs) in left.0.iter_mut().flatten().zip(part.0.iter().flatten()) {
            *ours = ours.saturating_sub(*theirs);
        }
        left
    }
}

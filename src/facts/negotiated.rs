//! Parameters that CONNECT and CONNACK negotiate for a connection.

use crate::frame::MQTTFrame;
use crate::mqtt::Version;
use crate::mqtt::packet::{Connack, Connect};

use super::frame_ref::FrameRef;
use super::properties as p;
use super::publication::Carried;

/// Content of a CONNECT.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The CONNECT.
    pub seen: FrameRef,
    /// Its version.
    pub version: Version,
    /// Protocol level as on the wire.
    pub level: u8,
    /// Protocol Name.
    pub protocol_name: Box<[u8]>,
    /// Connect Flags.
    pub flags: u8,
    /// Clean Start (5.0), Clean Session before.
    pub clean_start: bool,
    /// Keep Alive in seconds.
    pub keep_alive: u16,
    /// Client Identifier, empty if the server is to assign one.
    pub client_id: Box<[u8]>,
    /// User name.
    pub username: Option<Box<[u8]>>,
    /// It marked itself as a bridge.
    pub bridge: bool,
    /// The will.
    pub will: Option<Will>,
    /// Whether bytes of it are not as they should be.
    pub malformed: bool,
    /// Whether all of it could be read.
    pub whole: bool,
    /// Session Expiry Interval in seconds; 0 if absent.
    pub session_expiry: u32,
    /// Receive Maximum for packets of the server.
    pub receive_maximum: u32,
    /// Maximum Packet Size for packets of the server.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum for packets of the server; 0 if absent.
    pub topic_alias_maximum: u32,
    /// Request Response Information.
    pub request_response: bool,
    /// Request Problem Information.
    pub request_problem: bool,
    /// Authentication Method.
    pub auth_method: Option<Box<[u8]>>,
}

/// The will of a CONNECT.
#[derive(Clone, Debug)]
pub struct Will {
    /// Will Topic.
    pub topic: Box<[u8]>,
    /// Will Payload.
    pub payload: Box<[u8]>,
    /// Will QoS.
    pub qos: u8,
    /// Will Retain.
    pub retain: bool,
    /// Will Delay Interval in seconds (5.0).
    pub delay: u32,
    /// Message Expiry Interval in seconds (5.0).
    pub expiry: Option<u32>,
    /// The properties that are passed on (5.0).
    pub carried: Carried,
}

/// Content of a CONNACK.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// The CONNACK.
    pub seen: FrameRef,
    /// Return code or Reason Code.
    pub code: u8,
    /// Session Present; `None` in 3.1.
    pub session_present: Option<bool>,
    /// Session Expiry Interval that the server chose.
    pub session_expiry: Option<u32>,
    /// Receive Maximum for packets of the client.
    pub receive_maximum: u32,
    /// Maximum QoS for packets of the client.
    pub maximum_qos: u8,
    /// Retain Available.
    pub retain_available: bool,
    /// Maximum Packet Size for packets of the client.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum for packets of the client; 0 if absent.
    pub topic_alias_maximum: u32,
    /// Wildcard Subscription Available.
    pub wildcard_available: bool,
    /// Subscription Identifiers Available.
    pub subscription_id_available: bool,
    /// Shared Subscription Available.
    pub shared_available: bool,
    /// Server Keep Alive in seconds.
    pub keep_alive: Option<u16>,
    /// Whether all of it could be read.
    pub whole: bool,
}

impl Opening {
    pub(super) fn of(frame: &MQTTFrame<'_>, connect: &Connect<'_>) -> Self {
        let properties = connect.properties;
        let number = |id| p::number(properties, id);
        Self {
            seen: FrameRef::of(frame),
            version: frame.version,
            level: connect.protocol_level.unwrap_or(0),
            protocol_name: connect.protocol_name.map_or(&[][..], |n| n.bytes()).into(),
            flags: connect.flags.unwrap_or(0),
            clean_start: connect.clean_start().unwrap_or(false),
            keep_alive: connect.keep_alive.unwrap_or(0),
            client_id: connect.client_id.map_or(&[][..], |id| id.bytes()).into(),
            username: connect.username.map(|name| name.bytes().into()),
            bridge: connect.is_bridge(),
            will: connect.will.as_ref().map(|will| Will {
                topic: will.topic.map_or(&[][..], |topic| topic.bytes()).into(),
                payload: will.payload.unwrap_or_default().into(),
                qos: will.qos,
                retain: will.retain,
                delay: p::number(will.properties, p::WILL_DELAY).unwrap_or(0),
                expiry: p::number(will.properties, p::MESSAGE_EXPIRY),
                carried: Carried::of(will.properties),
            }),
            malformed: !frame.defects.is_empty(),
            whole: frame.missing == 0 && connect.client_id.is_some(),
            session_expiry: number(p::SESSION_EXPIRY).unwrap_or(0),
            receive_maximum: number(p::RECEIVE_MAXIMUM).unwrap_or(65_535),
            maximum_packet_size: number(p::MAXIMUM_PACKET_SIZE),
            topic_alias_maximum: number(p::TOPIC_ALIAS_MAXIMUM).unwrap_or(0),
            request_response: number(p::REQUEST_RESPONSE_INFORMATION) == Some(1),
            request_problem: number(p::REQUEST_PROBLEM_INFORMATION) != Some(0),
            auth_method: p::bytes(properties, p::AUTH_METHOD),
        }
    }

    /// The will, if all of it was captured.
    pub(super) fn whole_will(&self) -> Option<&Will> {
        self.will.as_ref().filter(|_| self.whole)
    }

    /// The session ends with this connection, as requested by the client.
    pub fn session_ends_with_connection(&self) -> bool {
        match self.version {
            Version::V3_1 | Version::V3_1_1 => self.clean_start,
            Version::V5 => self.session_expiry == 0,
        }
    }
}

impl Acceptance {
    pub(super) fn of(frame: &MQTTFrame<'_>, connack: &Connack<'_>) -> Self {
        let properties = connack.properties;
        let number = |id| p::number(properties, id);
        let available = |id| number(id) != Some(0);
        Self {
            seen: FrameRef::of(frame),
            code: connack.code.unwrap_or(0xff),
            session_present: connack.session_present(frame.version),
            session_expiry: number(p::SESSION_EXPIRY),
            receive_maximum: number(p::RECEIVE_MAXIMUM).unwrap_or(65_535),
            maximum_qos: number(p::MAXIMUM_QOS).unwrap_or(2) as u8,
            retain_available: available(p::RETAIN_AVAILABLE),
            maximum_packet_size: number(p::MAXIMUM_PACKET_SIZE),
            topic_alias_maximum: number(p::TOPIC_ALIAS_MAXIMUM).unwrap_or(0),
            wildcard_available: available(p::WILDCARD_AVAILABLE),
            subscription_id_available: available(p::SUBSCRIPTION_ID_AVAILABLE),
            shared_available: available(p::SHARED_AVAILABLE),
            keep_alive: number(p::SERVER_KEEP_ALIVE).map(|value| value as u16),
            whole: frame.missing == 0 && connack.code.is_some(),
        }
    }

    /// Whether the connection was accepted.
    pub fn accepted(&self) -> bool {
        self.code == 0
    }
}

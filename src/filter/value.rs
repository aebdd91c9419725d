//! The subject of a filter, and the values of fields.

use std::net::IpAddr;
use std::time::Duration;

use crate::frame::MQTTFrame;
use crate::net::Endpoint;
use crate::payload;
use crate::time::Timestamp;

/// A control packet with everything that a filter can read.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The control packet.
    pub frame: &'a MQTTFrame<'a>,
    /// Time of the first packet of the capture, for `frame.time_relative`.
    pub origin: Option<Timestamp>,
    /// The decoded payload, if the filter needs it.
    pub payload: Option<&'a payload::Lazy<'a>>,
    /// The exchange that the control packet belongs to, if the filter needs it.
    pub exchange: Exchange,
    /// Ids of the rules with a finding about it, if the filter needs them.
    pub findings: &'a [&'static str],
}

impl<'a> Subject<'a> {
    /// The frame alone.
    pub fn of(frame: &'a MQTTFrame<'a>) -> Self {
        Self {
            frame,
            origin: None,
            payload: None,
            exchange: Exchange::default(),
            findings: &[],
        }
    }
}

/// Facts of the exchange of a control packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// From the request to the packet that ended the exchange.
    pub latency: Option<Duration>,
    /// Whether it was ended in the capture.
    pub acked: Option<bool>,
}

/// One occurrence of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Flag(bool),
    Number(u64),
    Real(f64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Address(IpAddr),
    Endpoint(Endpoint),
    Time(Timestamp),
    /// Nanoseconds.
    Elapsed(i64),
    Item(&'a payload::Value),
    /// A protocol, or anything else that is present without a value.
    There,
}

impl<'a> Value<'a> {
    /// The bytes of a value that has some.
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Text(bytes) | Self::Bytes(bytes) => Some(bytes),
            Self::Item(item) => item.bytes(),
            _ => None,
        }
    }
}

//! Ranges of a control packet that hold secrets, so that dumps can mask them.
//!
//! Passwords: the last field of a CONNECT (3.1.1: 3.1.3, 5.0: 3.1.3), behind up to
//! five others whose lengths are on the wire:
//!
//! ```text
//! fixed header | name level flags keep-alive [properties] |
//!     client id | [will properties, topic, payload] | [user name] | [PASSWORD]
//! ```
//!
//! Bytes after the last field that the flags announce are masked too: a CONNECT
//! with a user name or a password but without its flag has it there.
//! Authentication Data (5.0: 3.1.2.11.10), such as a SASL PLAIN password: a
//! property of CONNECT, CONNACK and AUTH.
//!
//! The walk does not trust the decoded fields: a CONNECT whose user name is cut
//! short has no decoded password, but its bytes may hold one. Where the walk cannot
//! continue, everything that follows is masked: masking too much of a broken packet
//! does less harm.

use std::borrow::Cow;
use std::ops::Range;

use crate::frame::MQTTFrame;
use crate::mqtt::{PacketType, Properties, PropertyValue, Version};

/// Printed in place of a secret.
pub(super) const MASK: &str = "***";

/// Property Identifier of the Authentication Data.
pub(super) const AUTHENTICATION_DATA: u32 = 0x16;

/// Ranges of bytes to mask, in order.
pub(super) type Masked = Vec<Range<usize>>;

/// The request target of a WebSocket with the values of its query masked, and the
/// user name and password of an absolute URI: tokens are sent there.
pub(super) fn target(target: &str) -> Cow<'_, str> {
    let (before, query) = match target.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (target, None),
    };
    let user = before.find("://").and_then(|scheme| {
        let start = scheme + 3;
        let authority = before[start..].split('/').next()?;
        Some(start..start + authority.rfind('@')?)
    });
    if query.is_none() && user.is_none() {
        return Cow::Borrowed(target);
    }
    let mut out = before.to_owned();
    if let Some(user) = user {
        out.replace_range(user, MASK);
    }
    for (at, field) in query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .enumerate()
    {
        out.push(if at == 0 { '?' } else { '&' });
        if let Some((name, _)) = field.split_once('=') {
            out += name;
            out.push('=');
        }
        out += MASK;
    }
    Cow::Owned(out)
}

/// The name of a subprotocol, or the mask if it is too long for a registered name:
/// browsers let scripts set no other header, so bearer tokens are sent as
/// subprotocols.
pub(super) fn subprotocol(name: &str) -> &str {
    if name.len() > 32 { MASK } else { name }
}

/// The ranges of [`MQTTFrame::bytes`] that hold, or may hold, secrets.
pub(super) fn secrets(frame: &MQTTFrame<'_>) -> Masked {
    let mut walk = Walk {
        bytes: frame.bytes,
        at: frame.header.header_len(),
        masked: Vec::new(),
    };
    let has_properties = frame.version == Version::V5;
    let walked = match frame.header.packet_type() {
        PacketType::Connect => walk.connect(has_properties),
        // CONNACK: flags and reason code. AUTH: reason code.
        PacketType::Connack if has_properties => walk.skip(2).and_then(|()| walk.properties()),
        PacketType::Auth if walk.at < frame.bytes.len() => {
            walk.skip(1).and_then(|()| walk.properties())
        }
        _ => return walk.masked,
    };
    if walked.is_err() {
        let end = frame.bytes.len();
        walk.masked.push(walk.at.min(end)..end);
    }
    walk.masked
}

const WILL: u8 = 0x04;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

struct Lost;

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    masked: Masked,
}

impl Walk<'_> {
    fn connect(&mut self, has_properties: bool) -> Result<(), Lost> {
        self.field()?;
        let &[_level, flags, _, _] = self.peek(4)? else {
            return Err(Lost);
        };
        self.skip(4)?;
        if has_properties {
            self.properties()?;
        }
        self.field()?;
        if flags & WILL != 0 {
            if has_properties {
                self.properties()?;
            }
            self.field()?;
            self.field()?;
        }
        if flags & USERNAME != 0 {
            self.field()?;
        }
        if flags & PASSWORD != 0 {
            // The length is not secret.
            self.skip(2)?;
        }
        // The password and everything after it.
        let end = self.bytes.len();
        if self.at < end {
            self.masked.push(self.at..end);
        }
        Ok(())
    }

    /// Two bytes of length, and that many bytes.
    fn field(&mut self) -> Result<(), Lost> {
        let &[high, low] = self.peek(2)? else {
            return Err(Lost);
        };
        self.skip(2 + usize::from(u16::from_be_bytes([high, low])))
    }

    /// A Variable Byte Integer, and that many bytes of properties.
    fn properties(&mut self) -> Result<(), Lost> {
        let mut length = 0;
        for taken in 1..=4 {
            let &byte = self.peek(taken)?.last().ok_or(Lost)?;
            length |= usize::from(byte & 0x7f) << (7 * (taken - 1));
            if byte & 0x80 == 0 {
                self.skip(taken)?;
                self.authentication_data(length);
                return self.skip(length);
            }
        }
        Err(Lost)
    }

    /// Masks the values of Authentication Data among the properties, and everything
    /// after one that cannot be read.
    fn authentication_data(&mut self, length: usize) {
        let start = self.at;
        let end = start.saturating_add(length).min(self.bytes.len());
        let properties = Properties {
            bytes: self.bytes.get(start..end).unwrap_or_default(),
            offset: 0,
        };
        let mut next = start;
        for property in properties.iter() {
            next = start + property.offset as usize + property.len;
            if let (AUTHENTICATION_DATA, PropertyValue::Binary(data)) =
                (property.id, property.value)
            {
                self.masked.push(next - data.len()..next);
            }
        }
        if next < end {
            self.masked.push(next..end);
        }
    }

    fn peek(&self, count: usize) -> Result<&[u8], Lost> {
        let end = self.at.checked_add(count).ok_or(Lost)?;
        self.bytes.get(self.at..end).ok_or(Lost)
    }

    fn skip(&mut self, count: usize) -> Result<(), Lost> {
        self.peek(count)?;
        self.at += count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::Sample;

    /// Everything except the secrets is in lower case: the mask must cover exactly the
    /// capitals.
    #[track_caller]
    fn check(bytes: &[u8], version: Version) {
        let sample = Sample::raw(bytes, version);
        let masked = sample.with(secrets);
        let capitals: Vec<_> = (0..bytes.len())
            .filter(|&at| bytes[at].is_ascii_uppercase())
            .collect();
        assert_eq!(masked.into_iter().flatten().collect::<Vec<_>>(), capitals);
    }

    const V4: &[u8] = b"\x10\x1b\x00\x04mqtt\x04\xc2\x00\x3c\x00\x02id\x00\x03joe\x00\x04PASS";
    const V5: &[u8] = b"\x10\x2b\x00\x04mqtt\x05\xc6\x00\x3c\x02\x17\x01\x00\x02id\x05\x18\x00\x00\x00\x09\x00\x01t\x00\x03msg\x00\x03joe\x00\x02PW";

    #[test]
    fn masks_the_password_and_nothing_else() {
        check(V4, Version::V3_1_1);
        check(V5, Version::V5);
        check(&[V4, b"MORE"].concat(), Version::V3_1_1);
    }

    #[test]
    fn fields_without_their_flag_are_masked() {
        // The Password flag is 0, and a third field is there.
        let bytes = b"\x10\x1a\x00\x04mqtt\x04\x82\x00\x3c\x00\x02id\x00\x02me\x00\x04pass";
        let masked = Sample::raw(bytes, Version::V3_1_1).with(secrets);
        assert_eq!(masked, vec![20..bytes.len()]);
        let bytes = b"\x10\x10\x00\x04mqtt\x04\x02\x00\x3c\x00\x04abcd";
        check(bytes, Version::V3_1_1);
    }

    #[test]
    fn authentication_data_is_masked() {
        let connect =
            b"\x10\x20\x00\x04mqtt\x05\x02\x00\x3c\x10\x15\x00\x05plain\x16\x00\x05SASLX\x00\x02id";
        check(connect, Version::V5);
        let auth = b"\xf0\x14\x18\x12\x15\x00\x05plain\x16\x00\x04DATA\x11\x00\x00";
        // The last property is cut short, and may be anything.
        let masked = Sample::raw(auth, Version::V5).with(secrets);
        assert_eq!(masked, [15..19, 19..22]);
        check(
            b"\xf0\x0f\x18\x0d\x15\x00\x05plain\x16\x00\x02PW",
            Version::V5,
        );
        check(b"\x20\x08\x00\x00\x05\x16\x00\x02PW", Version::V5);
        check(b"\xf0\x00", Version::V5);
    }

    #[test]
    fn tokens_of_a_websocket_are_masked() {
        assert_eq!(target("/mqtt"), "/mqtt");
        assert_eq!(target("/mqtt?a=1&b=&t"), "/mqtt?a=***&b=***&***");
        assert_eq!(target("ws://me:pw@h/m?x=y"), "ws://***@h/m?x=***");
        assert_eq!(target("/a@b://c"), "/a@b://c");
        assert_eq!(subprotocol("mqttv3.1"), "mqttv3.1");
        assert_eq!(subprotocol(&"e".repeat(33)), "***");
    }

    #[test]
    fn a_cut_secret_is_masked_as_far_as_it_goes() {
        for (bytes, version) in [(V4, Version::V3_1_1), (V5, Version::V5)] {
            for end in 2..bytes.len() {
                let sample = Sample::raw(&bytes[..end], version);
                let masked = sample.with(secrets);
                for (at, byte) in bytes[..end].iter().enumerate() {
                    let hidden = masked.iter().any(|range| range.contains(&at));
                    assert!(!byte.is_ascii_uppercase() || hidden);
                }
            }
        }
    }

    #[test]
    fn a_length_that_runs_over_hides_the_rest() {
        let bytes = b"\x10\x1b\x00\x04mqtt\x04\xc2\x00\x3c\x00\x02id\xff\xffjoe\x00\x04PASS";
        let sample = Sample::raw(bytes, Version::V3_1_1);
        assert_eq!(sample.with(secrets), vec![16..bytes.len()]);
    }
}

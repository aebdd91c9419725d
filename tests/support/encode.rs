//! MQTT control packets from named fields: the straightforward way.
//!
//! It shares no line with the decoder under test, so that a mistake has to be
//! made twice to go unnoticed. Nothing is checked for being legal: the tests
//! want illegal packets too, and five fields exist for them alone:
//!
//! | field | effect |
//! |---|---|
//! | `flags=N` | the lower 4 bits of the first byte, instead of the right one |
//! | `length=N` | Remaining Length is N, whatever follows |
//! | `length_bytes=N` | Remaining Length takes at least N bytes (1 to 4) |
//! | `cut=N` | the last N bytes are left out before the length is counted |
//! | `append=hex:…` | bytes after the end, counted in the length |

/// The protocol level: 3, 4 or 5.
pub type Level = u8;

/// A packet, and its expected decoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The bytes on the wire.
    pub bytes: Vec<u8>,
    /// Packet Identifier, where the packet has one.
    pub id: Option<u16>,
    /// Topic Name of a PUBLISH as written: empty under an alias.
    pub topic: Option<Vec<u8>>,
    /// Topic Alias of a PUBLISH.
    pub alias: Option<u16>,
    /// Payload of a PUBLISH.
    pub payload: Option<Vec<u8>>,
    /// The protocol level that a CONNECT asked for.
    pub level: Option<Level>,
}

/// Encodes the packet of this name from its fields.
pub fn packet(name: &str, mut fields: Fields, level: Level) -> Result<Encoded, String> {
    let kind = NAMES
        .iter()
        .position(|n| *n == name)
        .ok_or_else(|| format!("`{name}` is no packet type; known: {}", NAMES.join(", ")))?;
    let mut encoded = Encoded::default();
    let mut flags = match kind {
        6 | 8 | 10 => 2,
        _ => 0,
    };
    let mut body = Vec::new();
    match kind {
        1 => connect(&mut fields, &mut body, &mut encoded)?,
        2 => {
            let session = fields.flag("session_present")?;
            let ack_flags = fields.number("ack_flags", 255)?;
            body.push(ack_flags.unwrap_or(u32::from(session)) as u8);
            body.push(fields.number("code", 255)?.unwrap_or(0) as u8);
            properties_if(level, &mut fields, "", &mut body)?;
        }
        3 => {
            let qos = fields.number("qos", 3)?.unwrap_or(0);
            flags = (u8::from(fields.flag("dup")?) << 3)
                | ((qos as u8) << 1)
                | u8::from(fields.flag("retain")?);
            let topic = fields.bytes("topic").unwrap_or_default();
            string(&topic, &mut body)?;
            encoded.topic = Some(topic);
            if qos > 0 {
                identifier(&mut fields, &mut body, &mut encoded)?;
            }
            encoded.alias = fields.peek_number("topic_alias").map(|a| a as u16);
            properties_if(level, &mut fields, "", &mut body)?;
            let mut payload = fields.bytes("payload").unwrap_or_default();
            if let Some(size) = fields.number("payload_size", 268_435_455)? {
                payload = pattern(size as usize);
            }
            body.extend_from_slice(&payload);
            encoded.payload = Some(payload);
        }
        4..=7 => {
            flags |= u8::from(fields.flag("dup")?) << 3;
            identifier(&mut fields, &mut body, &mut encoded)?;
            code_and_properties(level, &mut fields, &mut body)?;
        }
        8 => {
            flags |= u8::from(fields.flag("dup")?) << 3;
            identifier(&mut fields, &mut body, &mut encoded)?;
            properties_if(level, &mut fields, "", &mut body)?;
            for filter in fields.all("filter") {
                let at = filter
                    .iter()
                    .rposition(|&b| b == b':')
                    .ok_or("filter= wants FILTER:OPTIONS, such as a/+:1")?;
                string(&filter[..at], &mut body)?;
                body.push(number(&filter[at + 1..], 255)? as u8);
            }
        }
        9 | 11 => {
            identifier(&mut fields, &mut body, &mut encoded)?;
            properties_if(level, &mut fields, "", &mut body)?;
            if let Some(codes) = fields.bytes("codes") {
                for code in codes.split(|&b| b == b',') {
                    body.push(number(code, 255)? as u8);
                }
            }
        }
        10 => {
            flags |= u8::from(fields.flag("dup")?) << 3;
            identifier(&mut fields, &mut body, &mut encoded)?;
            properties_if(level, &mut fields, "", &mut body)?;
            for filter in fields.all("filter") {
                string(&filter, &mut body)?;
            }
        }
        14 | 15 => code_and_properties(level, &mut fields, &mut body)?,
        _ => {}
    }
    if let Some(cut) = fields.number("cut", 268_435_455)? {
        let keep = body.len().checked_sub(cut as usize);
        body.truncate(keep.ok_or("cut= is longer than the packet")?);
    }
    body.extend(fields.bytes("append").unwrap_or_default());
    if let Some(other) = fields.number("flags", 15)? {
        flags = other as u8;
    }
    let length = fields.number("length", 268_435_455)?;
    let length = length.unwrap_or(body.len() as u32);
    let length_bytes = fields.number("length_bytes", 4)?.unwrap_or(1);
    fields.finish(name)?;

    encoded.bytes.push((kind as u8) << 4 | flags);
    variable_byte_integer(length, length_bytes as usize, &mut encoded.bytes);
    encoded.bytes.extend(body);
    Ok(encoded)
}

/// `size` bytes that differ from their neighbours at every distance up to
/// 250, so that bytes in the wrong position are noticed.
pub fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| b'!' + (i % 89) as u8).collect()
}

fn connect(fields: &mut Fields, body: &mut Vec<u8>, encoded: &mut Encoded) -> Result<(), String> {
    let level = match fields.bytes("version").as_deref() {
        None | Some(b"4" | b"3.1.1") => 4,
        Some(b"3" | b"3.1") => 3,
        Some(b"5" | b"5.0") => 5,
        Some(other) => return Err(format!("version {} ?", String::from_utf8_lossy(other))),
    };
    encoded.level = Some(level);
    let default_name = if level == 3 { "MQIsdp" } else { "MQTT" };
    let name = fields.bytes("name");
    string(&name.unwrap_or(default_name.into()), body)?;
    let bridge = u8::from(fields.flag("bridge")?) << 7;
    let on_wire = fields.number("level", 255)?;
    body.push(on_wire.map_or(level | bridge, |l| l as u8));

    let will_topic = fields.bytes("will_topic");
    let will_payload = fields.bytes("will_payload");
    let user = fields.bytes("user");
    let password = fields.bytes("password");
    let clean = fields.number("clean", 1)?.unwrap_or(1) as u8;
    let mut flags = clean << 1;
    flags |= u8::from(will_topic.is_some()) << 2;
    flags |= (fields.number("will_qos", 3)?.unwrap_or(0) as u8) << 3;
    flags |= u8::from(fields.flag("will_retain")?) << 5;
    flags |= u8::from(password.is_some()) << 6;
    flags |= u8::from(user.is_some()) << 7;
    body.push(fields.number("connect_flags", 255)?.unwrap_or(flags.into()) as u8);
    let keep_alive = fields.number("keep_alive", 65_535)?.unwrap_or(60);
    body.extend((keep_alive as u16).to_be_bytes());
    properties_if(level, fields, "", body)?;
    string(&fields.bytes("client").unwrap_or_default(), body)?;
    if let Some(topic) = will_topic {
        properties_if(level, fields, "will.", body)?;
        string(&topic, body)?;
        string(&will_payload.unwrap_or_default(), body)?;
    }
    for text in [user, password].into_iter().flatten() {
        string(&text, body)?;
    }
    Ok(())
}

fn identifier(
    fields: &mut Fields,
    body: &mut Vec<u8>,
    encoded: &mut Encoded,
) -> Result<(), String> {
    let id = fields.number("id", 65_535)?;
    let id = id.ok_or("id= is missing")? as u16;
    encoded.id = Some(id);
    body.extend(id.to_be_bytes());
    Ok(())
}

/// The short forms of 5.0: no code means 0x00, no properties means none.
fn code_and_properties(
    level: Level,
    fields: &mut Fields,
    body: &mut Vec<u8>,
) -> Result<(), String> {
    let code = fields.number("code", 255)?;
    let mut properties = Vec::new();
    properties_if(level, fields, "", &mut properties)?;
    if let Some(code) = code {
        body.push(code as u8);
    } else if properties.len() > 1 {
        body.push(0);
    }
    if properties.len() > 1 {
        body.extend(properties);
    }
    Ok(())
}

fn properties_if(
    level: Level,
    fields: &mut Fields,
    prefix: &str,
    body: &mut Vec<u8>,
) -> Result<(), String> {
    let mut properties = Vec::new();
    for (name, id, kind) in PROPERTIES {
        for value in fields.all(&format!("{prefix}{name}")) {
            properties.push(*id);
            match kind {
                Kind::Byte => properties.push(number(&value, 255)? as u8),
                Kind::Two => {
                    properties.extend((number(&value, 65_535)? as u16).to_be_bytes());
                }
                Kind::Four => properties.extend(number(&value, u32::MAX)?.to_be_bytes()),
                Kind::Variable => {
                    variable_byte_integer(number(&value, 268_435_455)?, 1, &mut properties);
                }
                Kind::String => string(&value, &mut properties)?,
                Kind::Pair => {
                    let at = value.iter().position(|&b| b == b':');
                    let at = at.ok_or_else(|| format!("{name}= wants NAME:VALUE"))?;
                    string(&value[..at], &mut properties)?;
                    string(&value[at + 1..], &mut properties)?;
                }
            }
        }
    }
    properties.extend(
        fields
            .bytes(&format!("{prefix}properties"))
            .unwrap_or_default(),
    );
    if level == 5 {
        variable_byte_integer(properties.len() as u32, 1, body);
        body.extend(properties);
    } else if !properties.is_empty() {
        return Err("properties exist only in version 5".into());
    }
    Ok(())
}

fn string(text: &[u8], body: &mut Vec<u8>) -> Result<(), String> {
    let length = u16::try_from(text.len()).map_err(|_| "a string of more than 65,535 bytes")?;
    body.extend(length.to_be_bytes());
    body.extend_from_slice(text);
    Ok(())
}

fn variable_byte_integer(mut value: u32, at_least: usize, out: &mut Vec<u8>) {
    for written in 1.. {
        let more = value > 127 || written < at_least;
        out.push((value % 128) as u8 | if more { 128 } else { 0 });
        value /= 128;
        if !more {
            break;
        }
    }
}

fn number(text: &[u8], max: u32) -> Result<u32, String> {
    let text = String::from_utf8_lossy(text);
    let value = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    match value {
        Ok(value) if value <= max => Ok(value),
        _ => Err(format!("`{text}` is no number from 0 to {max}")),
    }
}

/// The fields of one packet, taken one by one so that a misspelt one is left
/// over and noticed.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<(String, Vec<u8>)>);

impl Fields {
    fn bytes(&mut self, name: &str) -> Option<Vec<u8>> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    fn all(&mut self, name: &str) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.bytes(name)).collect()
    }

    fn number(&mut self, name: &str, max: u32) -> Result<Option<u32>, String> {
        let value = self.bytes(name);
        let value = value.map(|v| number(&v, max)).transpose();
        value.map_err(|e| format!("{name}=: {e}"))
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        Ok(self.number(name, 1)? == Some(1))
    }

    fn peek_number(&self, name: &str) -> Option<u32> {
        let (_, value) = self.0.iter().find(|(n, _)| n == name)?;
        number(value, u32::MAX).ok()
    }

    fn finish(&self, packet: &str) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                "{packet} has no field `{name}` here (misspelt, repeated, or of another type)"
            )),
        }
    }
}

/// By type number.
const NAMES: [&str; 16] = [
    "RESERVED",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];

enum Kind {
    Byte,
    Two,
    Four,
    Variable,
    String,
    Pair,
}

/// Table 2-4 of the specification of 5.0. Binary Data is written as a string.
const PROPERTIES: &[(&str, u8, Kind)] = &[
    ("payload_format_indicator", 0x01, Kind::Byte),
    ("message_expiry_interval", 0x02, Kind::Four),
    ("content_type", 0x03, Kind::String),
    ("response_topic", 0x08, Kind::String),
    ("correlation_data", 0x09, Kind::String),
    ("subscription_identifier", 0x0b, Kind::Variable),
    ("session_expiry_interval", 0x11, Kind::Four),
    ("assigned_client_identifier", 0x12, Kind::String),
    ("server_keep_alive", 0x13, Kind::Two),
    ("authentication_method", 0x15, Kind::String),
    ("authentication_data", 0x16, Kind::String),
    ("request_problem_information", 0x17, Kind::Byte),
    ("will_delay_interval", 0x18, Kind::Four),
    ("request_response_information", 0x19, Kind::Byte),
    ("response_information", 0x1a, Kind::String),
    ("server_reference", 0x1c, Kind::String),
    ("reason_string", 0x1f, Kind::String),
    ("receive_maximum", 0x21, Kind::Two),
    ("topic_alias_maximum", 0x22, Kind::Two),
    ("topic_alias", 0x23, Kind::Two),
    ("maximum_qos", 0x24, Kind::Byte),
    ("retain_available", 0x25, Kind::Byte),
    ("user_property", 0x26, Kind::Pair),
    ("maximum_packet_size", 0x27, Kind::Four),
    ("wildcard_subscription_available", 0x28, Kind::Byte),
    ("subscription_identifier_available", 0x29, Kind::Byte),
    ("shared_subscription_available", 0x2a, Kind::Byte),
];

//! Conversations as text: the `.mqtt` notation.
//!
//! ```text
//! # A client reports a temperature; everything after # at the start of a line is a comment.
//! > CONNECT client=sensor-7 version=5 keep_alive=60
//! < CONNACK code=0 topic_alias_maximum=10
//! > PUBLISH qos=1 id=7 topic=plant/7/temp payload="21.5 C"
//! < PUBACK id=7
//! > PINGREQ
//! + DISCONNECT code=4
//! ```
//!
//! One control packet a line. `>` goes up (client to server), `<` down, and
//! `+` goes into the same TCP segment as the packet above it. Then the packet
//! type as the specification spells it, then `name=value` fields:
//!
//! | type | fields (default) |
//! |---|---|
//! | CONNECT | `client` ("") `version` (4; or 3, 5, 3.1, 3.1.1, 5.0) `keep_alive` (60) `clean` (1) `user` `password` `will_topic` `will_payload` `will_qos` `will_retain` `bridge`, and to be wrong on purpose `name` `level` `connect_flags` |
//! | CONNACK | `code` (0) `session_present` (0), `ack_flags` |
//! | PUBLISH | `topic` ("") `payload` ("") `payload_size` (so many bytes of a pattern) `qos` `dup` `retain` (0) `id` |
//! | PUBACK PUBREC PUBREL PUBCOMP | `id`, `code` (absent) |
//! | SUBSCRIBE | `id`, `filter=FILTER:OPTIONS` (repeated) |
//! | SUBACK UNSUBACK | `id`, `codes=1,2,0x80` |
//! | UNSUBSCRIBE | `id`, `filter=FILTER` (repeated) |
//! | DISCONNECT AUTH | `code` (absent) |
//!
//! In version 5 every property is a field by its name in snake case
//! (`topic_alias=3`, `user_property=name:value`); those of a will have `will.`
//! in front; `properties=hex:…` adds raw bytes to them. All packets take the
//! fields of [`encode`] that make them wrong on purpose.
//!
//! Numbers are decimal or `0x…`. Values without spaces stand bare; others in
//! quotes with `\"` `\\` `\n` `\r` `\t` `\0` `\xNN`; `hex:00ff` gives bytes.
//!
//! | line | meaning |
//! |---|---|
//! | `> hex 30 04 00 01 61 62` | these bytes as they are |
//! | `! gap 40` | 40 bytes of the direction of the next line are lost; `! gap 40 <` names it |
//! | `! lost` | the packets of the next line are sent, but missing from the capture |
//! | `! wait 30s` | time passes (`ms`, `s`, `m`, `h`) |
//! | `! fin >` | the client closes its side; `! reset <`: the server resets |
//! | `! midstream` | (first) the capture starts in the middle: no handshake is in it |
//! | `! open` | the capture ends while the connection is open: no FINs at the end |
//! | `! version 5` | later packets are encoded by this version, when no CONNECT shows it |
//! | `! websocket` | (first) over WebSocket, each line a message; `offer=mqtt,x` and `select=mqtt` are the subprotocols (nothing behind `=`: none) |
//! | `! text` | the next line is a text message of it |

use std::collections::HashMap;
use std::time::Duration;

use mqttdump::frame::Direction;

use super::encode::{self, Encoded, Fields, Level};

/// A conversation over one TCP connection.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Whether the capture joins in the middle.
    pub midstream: bool,
    /// Whether the capture ends while the connection is open.
    pub open: bool,
    /// How the WebSocket is opened, if it goes over one.
    pub websocket: Option<Upgrade>,
    /// Events, in order.
    pub steps: Vec<Step>,
}

/// How a WebSocket is opened.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// Subprotocols that the client offers, as a list; empty for none.
    pub offer: String,
    /// The one that the server selects; empty for none.
    pub select: String,
}

/// One thing that happens in a conversation.
#[derive(Clone, Debug)]
pub enum Step {
    /// A TCP segment with whole control packets (or raw bytes).
    Send {
        /// Which way.
        direction: Direction,
        /// Its content.
        packets: Vec<Packet>,
        /// Whether it is missing from the capture.
        lost: bool,
        /// Whether it is a text message, over WebSocket.
        text: bool,
    },
    /// Bytes that were sent but not captured.
    Gap {
        /// Which way.
        direction: Direction,
        /// How many.
        bytes: u32,
    },
    /// Time passes.
    Wait(Duration),
    /// One side sends FIN.
    Fin(Direction),
    /// One side sends RST.
    Reset(Direction),
}

/// A control packet of a conversation and its expected decoding.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    /// Its bytes and fields.
    pub encoded: Encoded,
    /// The topic of a PUBLISH, its alias resolved; `None` when it cannot be.
    pub topic: Option<Vec<u8>>,
    /// Raw bytes from a `hex` line rather than a packet.
    pub raw: bool,
}

impl Conversation {
    /// Reads a transcript; panics with the line's number and the error.
    #[track_caller]
    pub fn new(text: &str) -> Self {
        match Self::parse(text) {
            Ok(conversation) => conversation,
            Err(message) => panic!("transcript, {message}"),
        }
    }

    /// Reads a transcript; the error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser::default();
        for (at, line) in text.lines().enumerate() {
            parser
                .line(line.trim())
                .map_err(|e| format!("line {}: {e}\n  {}", at + 1, line.trim()))?;
        }
        match (parser.pending_gap, parser.lost) {
            (Some(_), _) => Err("`! gap` at the end does not name a direction".into()),
            (None, true) => Err("`! lost` at the end loses nothing".into()),
            (None, false) if parser.text => Err("`! text` at the end is no message".into()),
            (None, false) => Ok(parser.conversation),
        }
    }

    /// The packets that went one way, in order.
    pub fn packets(&self, way: Direction) -> Vec<&Packet> {
        let mut all = Vec::new();
        for step in &self.steps {
            if let Step::Send {
                direction, packets, ..
            } = step
                && *direction == way
            {
                all.extend(packets.iter());
            }
        }
        all
    }
}

#[derive(Default)]
struct Parser {
    conversation: Conversation,
    level: Option<Level>,
    aliases: HashMap<(Direction, u16), Vec<u8>>,
    pending_gap: Option<u32>,
    lost: bool,
    text: bool,
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let (sign, rest) = match line.split_at_checked(1) {
            None => return Ok(()),
            Some((sign, rest)) => (sign, rest.trim()),
        };
        let steps = &mut self.conversation.steps;
        let direction = match sign {
            "#" => return Ok(()),
            "!" => return self.directive(rest),
            ">" => Direction::Up,
            "<" => Direction::Down,
            "+" => match steps.last() {
                Some(Step::Send { direction, .. }) => *direction,
                _ => return Err("`+` has no packet above it".into()),
            },
            _ => return Err("a line starts with `>`, `<`, `+`, `!` or `#`".into()),
        };
        if let Some(bytes) = self.pending_gap.take() {
            steps.push(Step::Gap { direction, bytes });
        }
        let packet = self.packet(direction, rest)?;
        let steps = &mut self.conversation.steps;
        match steps.last_mut() {
            Some(Step::Send { packets, .. }) if sign == "+" => packets.push(packet),
            _ => steps.push(Step::Send {
                direction,
                packets: vec![packet],
                lost: std::mem::take(&mut self.lost),
                text: std::mem::take(&mut self.text),
            }),
        }
        Ok(())
    }

    fn packet(&mut self, direction: Direction, text: &str) -> Result<Packet, String> {
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if name == "hex" {
            let bytes = hex(rest)?;
            return Ok(Packet {
                encoded: Encoded {
                    bytes,
                    ..Encoded::default()
                },
                topic: None,
                raw: true,
            });
        }
        let encoded = encode::packet(name, fields(rest)?, self.level.unwrap_or(4))?;
        if encoded.level.is_some() {
            self.level = encoded.level;
            self.aliases.clear();
        }
        let topic = match (&encoded.topic, encoded.alias) {
            (Some(topic), Some(alias)) if topic.is_empty() => {
                self.aliases.get(&(direction, alias)).cloned()
            }
            (Some(topic), Some(alias)) => {
                self.aliases.insert((direction, alias), topic.clone());
                Some(topic.clone())
            }
            (topic, _) => topic.clone(),
        };
        Ok(Packet {
            encoded,
            topic,
            raw: false,
        })
    }

    fn directive(&mut self, text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let steps = &mut self.conversation.steps;
        match words.as_slice() {
            ["gap", bytes] => self.pending_gap = Some(bytes.parse().map_err(|_| "gap how long?")?),
            ["gap", bytes, way] => steps.push(Step::Gap {
                direction: self::way(way)?,
                bytes: bytes.parse().map_err(|_| "gap how long?")?,
            }),
            ["lost"] => self.lost = true,
            ["text"] if self.conversation.websocket.is_some() => self.text = true,
            ["websocket", options @ ..] if steps.is_empty() => {
                self.conversation.websocket = Some(upgrade(options)?);
            }
            ["wait", time] => steps.push(Step::Wait(duration(time)?)),
            ["fin", way] => steps.push(Step::Fin(self::way(way)?)),
            ["reset", way] => steps.push(Step::Reset(self::way(way)?)),
            ["midstream"] if steps.is_empty() => self.conversation.midstream = true,
            ["open"] => self.conversation.open = true,
            ["version", "3" | "3.1"] => self.level = Some(3),
            ["version", "4" | "3.1.1"] => self.level = Some(4),
            ["version", "5" | "5.0"] => self.level = Some(5),
            _ => {
                return Err(
                    "`!` knows gap N [>|<], lost, wait TIME, fin >|<, reset >|<, \
                            midstream (first), version V, websocket (first), text (over websocket)"
                        .into(),
                );
            }
        }
        Ok(())
    }
}

fn upgrade(options: &[&str]) -> Result<Upgrade, String> {
    let mut upgrade = Upgrade {
        offer: "mqtt".to_owned(),
        select: "mqtt".to_owned(),
    };
    for option in options {
        match option.split_once('=') {
            Some(("offer", names)) => upgrade.offer = names.to_owned(),
            Some(("select", name)) => upgrade.select = name.to_owned(),
            _ => return Err(format!("`{option}`: write offer=NAME,NAME or select=NAME")),
        }
    }
    Ok(upgrade)
}

fn way(word: &str) -> Result<Direction, String> {
    match word {
        ">" => Ok(Direction::Up),
        "<" => Ok(Direction::Down),
        _ => Err(format!("`{word}` is no direction; write > or <")),
    }
}

fn duration(word: &str) -> Result<Duration, String> {
    let at = word
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(word.len());
    let (digits, unit) = word.split_at(at);
    let number: u64 = digits.parse().map_err(|_| "wait how long?")?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("`{unit}` is no unit of time; write ms, s, m or h")),
    };
    Ok(Duration::from_millis(number * millis))
}

/// `name=value name="quoted value" name=hex:00ff`
fn fields(text: &str) -> Result<Fields, String> {
    let mut fields = Fields::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .ok_or_else(|| format!("expected name=value, found `{rest}`"))?;
        if name.contains(char::is_whitespace) {
            return Err(format!("expected name=value, found `{name}`"));
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                let (word, after) = after.split_at(end);
                match word.strip_prefix("hex:") {
                    Some(digits) => (hex(digits)?, after),
                    None => (word.as_bytes().to_vec(), after),
                }
            }
        };
        fields.0.push((name.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(fields)
}

/// The value of a quoted string and the text after its closing quote.
fn unquote(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut value = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push(b'\n'),
                Some((_, 'r')) => value.push(b'\r'),
                Some((_, 't')) => value.push(b'\t'),
                Some((_, '0')) => value.push(0),
                Some((_, c @ ('"' | '\\'))) => value.push(c as u8),
                Some((at, 'x')) => {
                    let digits = text.get(at + 1..at + 3).ok_or("\\x wants two hex digits")?;
                    value.extend(hex(digits)?);
                    chars.nth(1);
                }
                _ => return Err("unknown escape; known: \\\" \\\\ \\n \\r \\t \\0 \\xNN".into()),
            },
            c => value.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err("a quote that does not end".into())
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    if !digits.len().is_multiple_of(2) {
        return Err("an odd number of hex digits".into());
    }
    digits
        .chunks(2)
        .map(|pair| {
            let pair: String = pair.iter().collect();
            u8::from_str_radix(&pair, 16).map_err(|_| format!("`{pair}` is not hex"))
        })
        .collect()
}

mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<Vec<u8>> {
        let conversation = Conversation::new(text);
        Direction::ALL
            .iter()
            .flat_map(|way| conversation.packets(*way))
            .map(|p| p.encoded.bytes.clone())
            .collect()
    }

    /// Against bytes written down by hand from the specification's examples.
    #[test]
    fn packets_by_hand() {
        assert_eq!(
            bytes("> CONNECT client=a version=5 keep_alive=10 session_expiry_interval=10"),
            [b"\x10\x13\x00\x04MQTT\x05\x02\x00\x0a\x05\x11\x00\x00\x00\x0a\x00\x01a"]
        );
        assert_eq!(
            bytes("> CONNECT client=a version=3.1 user=u password=\"p\" will_topic=w will_payload=x will_qos=1"),
            [b"\x10\x1b\x00\x06MQIsdp\x03\xce\x00\x3c\x00\x01a\x00\x01w\x00\x01x\x00\x01u\x00\x01p".as_slice()]
        );
        assert_eq!(
            bytes("> PUBLISH topic=a/b qos=1 id=10 dup=1 retain=1 payload=\"\\x00\\\"\""),
            [b"\x3b\x09\x00\x03a/b\x00\x0a\x00\""]
        );
        assert_eq!(
            bytes("> SUBSCRIBE id=10 filter=a/b:1 filter=c/d:2"),
            [b"\x82\x0e\x00\x0a\x00\x03a/b\x01\x00\x03c/d\x02"]
        );
        assert_eq!(
            bytes(
                "! version 5\n< PUBACK id=1\n< PUBACK id=1 code=0x10\n< PUBACK id=1 reason_string=x"
            ),
            [
                b"\x40\x02\x00\x01".as_slice(),
                b"\x40\x03\x00\x01\x10",
                b"\x40\x08\x00\x01\x00\x04\x1f\x00\x01x",
            ]
        );
        assert_eq!(
            bytes("> PINGREQ length_bytes=2\n> RESERVED flags=3 append=hex:ff\n> hex 30 04"),
            [b"\xc0\x80\x00".as_slice(), b"\x03\x01\xff", b"\x30\x04"]
        );
    }

    #[test]
    fn aliases_belong_to_a_direction() {
        let c = Conversation::new(
            "> CONNECT version=5\n> PUBLISH topic=up topic_alias=1\n< PUBLISH topic=down topic_alias=1\n\
             > PUBLISH topic_alias=1\n< PUBLISH topic_alias=1\n> PUBLISH topic_alias=2",
        );
        let topics = |way| -> Vec<_> {
            let packets = c.packets(way).into_iter();
            packets
                .map(|p| p.topic.as_deref().map(String::from_utf8_lossy))
                .collect()
        };
        assert_eq!(
            topics(Direction::Down),
            [Some("down".into()), Some("down".into())]
        );
        assert_eq!(topics(Direction::Up)[2..], [Some("up".into()), None]);
    }

    #[test]
    fn errors_name_the_line_and_the_word() {
        for (text, words) in [
            ("> PUBLISH topic=a\n> PUBLISH topc=a", ["line 2", "`topc`"]),
            ("> PUBISH", ["line 1", "PUBLISH"]),
            ("> PUBACK", ["line 1", "id="]),
            ("# x\n\n< PUBACK id=70000", ["line 3", "65535"]),
            ("+ PINGREQ", ["line 1", "above"]),
            ("> PINGREQ\n! gpa 3", ["line 2", "gap N"]),
            ("> PUBLISH topic=\"a", ["line 1", "quote"]),
            ("> PUBLISH topic_alias=1", ["line 1", "version 5"]),
        ] {
            let message = Conversation::parse(text).unwrap_err();
            for word in words {
                assert!(message.contains(word), "{word:?} not in {message:?}");
            }
        }
    }
}

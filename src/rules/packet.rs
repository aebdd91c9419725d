//! Content of single control packets, by sender.

use crate::facts::FrameFacts;
use crate::facts::properties as p;
use crate::frame::Direction;
use crate::mqtt::{ControlPacket, PacketType as P, Text, Version};

use super::clause::{v5, v31, v311};
use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Judged, note, violation, warning};

pub(super) static RULES: &[&Rule] = &[
    &DIRECTION,
    &CLIENT_SUBSCRIPTION_ID,
    &SERVER_SESSION_EXPIRY,
    &NO_SUBSCRIBERS_ROLE,
    &DISCONNECT_ROLE,
    &AUTH_ROLE,
    &AUTH_METHOD_MISSING,
    &AUTH_DATA_ALONE,
    &REFUSED_SESSION_PRESENT,
    &EMPTY_CLIENT_ID,
    &LONG_CLIENT_ID,
    &PAYLOAD_FORMAT,
    &OVERLONG_LENGTH,
    &CONTROL_CHARACTERS,
    &DOLLAR_TOPIC,
];

static DIRECTION: Rule = Rule {
    id: "packet-direction",
    title: "Each packet type is sent only in its direction",
    why: "A server that sends SUBSCRIBE, or a client that sends SUBACK, confuses its roles: often a bridge or a proxy that forwards what it should answer.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("U-2.1-2"), v5("U-2.1-2")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c
< CONNACK
< SUBSCRIBE id=1 filter=a:0",
        cut: "",
    },
    check: Check::Frame(&P::ALL, direction),
};

fn direction(f: &FrameFacts<'_>) -> Judged {
    let kind = f.frame.header.packet_type();
    let from_client = f.frame.direction == Direction::Up;
    let wrong = match kind {
        P::Connect | P::Subscribe | P::Unsubscribe | P::Pingreq => !from_client,
        P::Connack | P::Suback | P::Unsuback | P::Pingresp => from_client,
        P::Disconnect => !from_client && f.frame.version != Version::V5,
        _ => false,
    };
    // Only CONNECT shows which side is the client.
    wrong.then(|| {
        violation(format!(
            "expected no {kind} from a {}, found one",
            if from_client { "client" } else { "server" }
        ))
        .unless(f.any_doubt())
    })
}

static CLIENT_SUBSCRIPTION_ID: Rule = Rule {
    id: "client-subscription-id",
    title: "A PUBLISH from a client has no Subscription Identifier",
    why: "The identifier tells a client which of its own subscriptions matched; from a client it has no meaning, and servers close the connection.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v5("MQTT-3.3.4-6")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a subscription_identifier=1",
        cut: "\
! midstream
! version 5
> PUBLISH topic=a qos=1 id=1 subscription_identifier=1
< PUBACK id=1 code=0 reason_string=x
> PUBLISH topic=a qos=1 id=2 subscription_identifier=1
< PUBACK id=2 code=0 reason_string=x",
    },
    check: Check::Frame(&[P::Publish], client_subscription_id),
};

fn client_subscription_id(f: &FrameFacts<'_>) -> Judged {
    let up = f.frame.direction == Direction::Up;
    (up && p::has(f.frame.packet.properties(), p::SUBSCRIPTION_ID)).then(|| {
        violation("expected no Subscription Identifier in a PUBLISH from a client, found one")
            .unless(f.doubt_of_sender())
    })
}

static SERVER_SESSION_EXPIRY: Rule = Rule {
    id: "server-session-expiry",
    title: "A DISCONNECT from a server has no Session Expiry Interval",
    why: "Only the client decides how long its session lasts after this point.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v5("MQTT-3.14.2-2")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
< DISCONNECT code=0x8b",
        bad: "\
> CONNECT client=c version=5
< CONNACK
< DISCONNECT code=0x8b session_expiry_interval=5",
        cut: "\
> CONNECT client=c version=5
< CONNACK
! gap 40 <
< PINGRESP
< DISCONNECT code=0x8b session_expiry_interval=5",
    },
    check: Check::Frame(&[P::Disconnect], server_session_expiry),
};

fn server_session_expiry(f: &FrameFacts<'_>) -> Judged {
    let down = f.frame.direction == Direction::Down;
    (down && p::has(f.frame.packet.properties(), p::SESSION_EXPIRY)).then(|| {
        violation("expected no Session Expiry Interval in a DISCONNECT from a server, found one")
            .unless(f.doubt_of_sender())
    })
}

static NO_SUBSCRIBERS_ROLE: Rule = Rule {
    id: "no-subscribers-role",
    title: "Reason Code 0x10, No matching subscribers, is sent by servers only",
    why: "A client has no subscribers; the code was copied from the wrong table.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[
        v5("U-3.4-2"),
        v5("MQTT-3.4.2-1").packet(P::Puback),
        v5("MQTT-3.5.2-1").packet(P::Pubrec),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1 code=0x10",
        bad: "\
> CONNECT client=c version=5
< CONNACK
< PUBLISH topic=a qos=1 id=1
> PUBACK id=1 code=0x10",
        cut: "\
> CONNECT client=c version=5
< CONNACK
< PUBLISH topic=a qos=1 id=1
! gap 40 >
> PUBACK id=1 code=0x10",
    },
    check: Check::Frame(&[P::Puback, P::Pubrec], no_subscribers_role),
};

fn no_subscribers_role(f: &FrameFacts<'_>) -> Judged {
    let up = f.frame.direction == Direction::Up;
    (up && f.frame.packet.code() == Some(0x10)).then(|| {
        violation(
            "expected 0x10 (No matching subscribers) from a server only, found it from a client",
        )
        .unless(f.doubt_of_sender())
    })
}

static DISCONNECT_ROLE: Rule = Rule {
    id: "disconnect-role",
    title: "The Reason Code of DISCONNECT is allowed for its sender",
    why: "0x04 is a client's request to publish its will; most codes from 0x89 on are for servers.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[v5("U-3.14-2"), v5("MQTT-3.14.2-1")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> DISCONNECT code=4",
        bad: "\
> CONNECT client=c version=5
< CONNACK
< DISCONNECT code=4",
        cut: "\
> CONNECT client=c version=5
< CONNACK
! gap 40 <
< PINGRESP
< DISCONNECT code=4",
    },
    check: Check::Frame(&[P::Disconnect], disconnect_role),
};

fn disconnect_role(f: &FrameFacts<'_>) -> Judged {
    let code = f.frame.packet.code()?;
    let wrong = match f.frame.direction {
        // Table 3-10 lists 0x9B for servers only, but 3.3.4 requires a client
        // to use it.
        Direction::Up => matches!(
            code,
            0x87 | 0x89
                | 0x8b
                | 0x8d
                | 0x8e
                | 0x8f
                | 0x9a
                | 0x9c
                | 0x9d
                | 0x9e
                | 0x9f
                | 0xa0
                | 0xa1
                | 0xa2
        ),
        Direction::Down => code == 0x04,
    };
    if code == 0x8c {
        return Some(warning(
            "DISCONNECT: 0x8c (Bad authentication method) is in table 2-6 of the specification, but not in that of DISCONNECT",
        ));
    }
    wrong.then(|| {
        violation(format!(
            "expected a Reason Code for a {}, found 0x{code:02x} in DISCONNECT",
            if f.frame.direction == Direction::Up {
                "client"
            } else {
                "server"
            }
        ))
        .unless(f.doubt_of_sender())
    })
}

static AUTH_ROLE: Rule = Rule {
    id: "auth-role",
    title: "The Reason Code of AUTH is allowed for its sender: 0x00 for servers, 0x19 for clients",
    why: "Re-authentication is started by the client and completed by the server.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[v5("MQTT-3.15.2-1")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=M
> AUTH code=0x18 authentication_method=M
< CONNACK authentication_method=M",
        bad: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=M
> AUTH code=0x00 authentication_method=M",
        cut: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=M
! gap 40 >
> AUTH code=0x00 authentication_method=M
> AUTH code=0x00 authentication_method=M",
    },
    check: Check::Frame(&[P::Auth], auth_role),
};

fn auth_role(f: &FrameFacts<'_>) -> Judged {
    let code = f.frame.packet.code().unwrap_or(0);
    let wrong = match f.frame.direction {
        Direction::Up => code == 0x00 && f.frame.header.remaining_length > 0,
        Direction::Down => code == 0x19,
    };
    wrong.then(|| {
        violation(format!(
            "expected 0x18, or 0x{} from a {}, found 0x{code:02x} in AUTH",
            if f.frame.direction == Direction::Up {
                "19"
            } else {
                "00"
            },
            if f.frame.direction == Direction::Up {
                "client"
            } else {
                "server"
            },
        ))
        .unless(f.doubt_of_sender())
    })
}

static AUTH_METHOD_MISSING: Rule = Rule {
    id: "auth-method-missing",
    title: "AUTH carries an Authentication Method",
    why: "Without it the exchange that the data belongs to is unknown. The empty form of AUTH is allowed elsewhere in the specification, so it is a warning.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v5("U-3.15-1")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=M",
        bad: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 reason_string=x",
        cut: "\
> CONNECT client=c version=5 authentication_method=M
! gap 40 <
< AUTH code=0x18 reason_string=x
< AUTH code=0x18 reason_string=x",
    },
    check: Check::Frame(&[P::Auth], auth_method_missing),
};

fn auth_method_missing(f: &FrameFacts<'_>) -> Judged {
    if !f.frame.defects.is_empty() || f.frame.missing > 0 {
        return None;
    }
    (!p::has(f.frame.packet.properties(), p::AUTH_METHOD)).then(|| {
        violation("expected an Authentication Method in AUTH, found none")
            .only_warning_if(f.frame.header.remaining_length == 0)
            .unless(f.doubt_of_sender())
    })
}

static AUTH_DATA_ALONE: Rule = Rule {
    id: "auth-data-alone",
    title: "In a CONNECT, Authentication Data comes with an Authentication Method",
    why: "The server cannot interpret it.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v5("U-3.1-4")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 authentication_method=M authentication_data=x
< CONNACK authentication_method=M",
        bad: "> CONNECT client=c version=5 authentication_data=x",
        cut: "",
    },
    check: Check::Frame(&[P::Connect], auth_data_alone),
};

fn auth_data_alone(f: &FrameFacts<'_>) -> Judged {
    let properties = f.frame.packet.properties();
    (p::has(properties, p::AUTH_DATA) && !p::has(properties, p::AUTH_METHOD)).then(|| {
        violation("expected an Authentication Method with the Authentication Data, found none")
            .unless(f.doubt_of_sender())
    })
}

static REFUSED_SESSION_PRESENT: Rule = Rule {
    id: "refused-session-present",
    title: "A CONNACK with an error code has Session Present 0",
    why: "A client that checks the flag first keeps state for a session that does not exist.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v311("MQTT-3.2.2-4"), v5("MQTT-3.2.2-6")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK code=5",
        bad: "\
> CONNECT client=c
< CONNACK code=5 session_present=1",
        cut: "\
! midstream
> CONNECT client=c
! gap 20 <
< CONNACK code=5 session_present=1",
    },
    check: Check::Frame(&[P::Connack], refused_session_present),
};

fn refused_session_present(f: &FrameFacts<'_>) -> Judged {
    let ControlPacket::Connack(connack) = &f.frame.packet else {
        return None;
    };
    let refused = connack.code.is_some_and(|code| code != 0);
    (refused && connack.session_present(f.frame.version) == Some(true)).then(|| {
        violation("expected Session Present 0 in a CONNACK that refuses, found 1")
            .unless(f.doubt_of_sender())
    })
}

static EMPTY_CLIENT_ID: Rule = Rule {
    id: "empty-client-id",
    title: "An empty Client Identifier comes with Clean Session 1",
    why: "A persistent session needs a name.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-3.1.3-7")],
    examples: Examples {
        good: r#"> CONNECT client="" clean=1
< CONNACK"#,
        bad: r#"> CONNECT client="" clean=0"#,
        cut: "",
    },
    check: Check::Frame(&[P::Connect], empty_client_id),
};

fn empty_client_id(f: &FrameFacts<'_>) -> Judged {
    let ControlPacket::Connect(connect) = &f.frame.packet else {
        return None;
    };
    let empty = connect.client_id.is_some_and(|id| id.bytes().is_empty());
    if f.frame.version == Version::V3_1 {
        return empty.then(|| {
            violation("expected a Client Identifier of 1 to 23 characters, found none")
                .unless(f.doubt_of_sender())
        });
    }
    (empty && connect.clean_start() == Some(false)).then(|| {
        violation("expected Clean Session 1 with an empty Client Identifier, found 0")
            .unless(f.doubt_of_sender())
    })
}

static LONG_CLIENT_ID: Rule = Rule {
    id: "long-client-id",
    title: "A Client Identifier of 3.1 has at most 23 characters",
    why: "Servers of 3.1 refuse longer ones; most current servers accept them.",
    binds: Binds::Client,
    severity: Severity::Info,
    clauses: &[v31()],
    examples: Examples {
        good: "\
> CONNECT client=c version=3
< CONNACK",
        bad: "\
> CONNECT client=abcdefghijklmnopqrstuvwxyz version=3
< CONNACK",
        cut: "",
    },
    check: Check::Frame(&[P::Connect], long_client_id),
};

fn long_client_id(f: &FrameFacts<'_>) -> Judged {
    let ControlPacket::Connect(connect) = &f.frame.packet else {
        return None;
    };
    let characters = connect.client_id?.lossy().chars().count();
    (characters > 23 && !connect.is_bridge()).then(|| {
        note(format!(
            "expected a Client Identifier of at most 23 characters, found {characters}"
        ))
    })
}

static PAYLOAD_FORMAT: Rule = Rule {
    id: "payload-format",
    title: "A payload declared as UTF-8 is UTF-8",
    why: "Receivers may refuse the message with 0x99, or fail where they decode it.",
    binds: Binds::Both,
    severity: Severity::Warn,
    clauses: &[v5("U-3.3-4")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a payload_format_indicator=1 payload=text",
        bad: r#"> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a payload_format_indicator=1 payload="\xff\xfe""#,
        cut: r#"> CONNECT client=c version=5
< CONNACK
! gap 40 >
> PUBLISH topic=a payload_format_indicator=1 payload="\xff\xfe"
> PUBLISH topic=a payload_format_indicator=1 payload="\xff\xfe"
> PINGREQ
< PINGRESP"#,
    },
    check: Check::Frame(&[P::Publish], payload_format),
};

fn payload_format(f: &FrameFacts<'_>) -> Judged {
    let ControlPacket::Publish(publish) = &f.frame.packet else {
        return None;
    };
    if p::number(publish.properties, p::PAYLOAD_FORMAT) != Some(1) {
        return None;
    }
    let error = std::str::from_utf8(publish.payload).err()?;
    let whole = publish.payload_len == Some(publish.payload.len() as u32);
    // The kept part may end within a character.
    (whole || error.error_len().is_some()).then(|| {
        warning(format!(
            "expected a payload of UTF-8, as its Payload Format Indicator says, found other bytes from {} on",
            error.valid_up_to()
        ))
        .unless(f.doubt_of_sender())
    })
}

static OVERLONG_LENGTH: Rule = Rule {
    id: "overlong-length",
    title: "Remaining Length has the minimum number of bytes",
    why: "Before 5.0 nothing forbids a longer form, but some receivers refuse it.",
    binds: Binds::Both,
    severity: Severity::Info,
    clauses: &[v31(), v311("U-2.1-5")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PINGREQ
< PINGRESP",
        bad: "\
> CONNECT client=c
< CONNACK
> PINGREQ length_bytes=2
< PINGRESP",
        cut: "",
    },
    check: Check::Frame(&P::ALL, overlong_length),
};

fn overlong_length(f: &FrameFacts<'_>) -> Judged {
    let header = f.frame.header;
    let needed = crate::mqtt::varint::len(header.remaining_length);
    (header.length_bytes > needed).then(|| {
        note(format!(
            "{}: Remaining Length {} takes {} bytes where {needed} would do",
            header.packet_type(),
            header.remaining_length,
            header.length_bytes
        ))
        .unless(f.doubt_of_sender())
    })
}

static CONTROL_CHARACTERS: Rule = Rule {
    id: "control-characters",
    title: "Strings contain no control characters and non-characters",
    why: "They are discouraged, and a receiver may close the connection. In a topic they are nearly always a mistake.",
    binds: Binds::Both,
    severity: Severity::Info,
    clauses: &[v311("U-1.5-1"), v5("U-1.5-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a/b",
        bad: r#"> CONNECT client=c
< CONNACK
> PUBLISH topic="a\n""#,
        cut: "",
    },
    check: Check::Frame(&[P::Connect, P::Publish, P::Subscribe], control_characters),
};

fn control_characters(f: &FrameFacts<'_>) -> Judged {
    let (what, text) = match &f.frame.packet {
        ControlPacket::Connect(connect) => ("Client Identifier", connect.client_id?.bytes()),
        ControlPacket::Publish(publish) => ("Topic Name", publish.topic?.bytes()),
        ControlPacket::Subscribe(subscribe) => {
            let odd = |filter: &[u8]| odd_character(filter).is_some();
            let mut filters = subscribe.filters();
            (
                "Topic Filter",
                filters.find(|s| odd(s.filter.bytes()))?.filter.bytes(),
            )
        }
        _ => return None,
    };
    let found = odd_character(text)?;
    Some(note(format!("{what} holds U+{:04X}", u32::from(found))).unless(f.doubt_of_sender()))
}

/// The first control character or non-character of a string that is one.
fn odd_character(text: &[u8]) -> Option<char> {
    if Text(text).is_printable() {
        return None;
    }
    std::str::from_utf8(text).ok()?.chars().find(|&c| {
        let code = u32::from(c);
        // U+0000 has a rule of its own.
        matches!(code, 1..=0x1f | 0x7f..=0x9f | 0xfdd0..=0xfdef) || code & 0xfffe == 0xfffe
    })
}

static DOLLAR_TOPIC: Rule = Rule {
    id: "dollar-topic",
    title: "Clients do not publish to topics that start with $",
    why: "Servers reserve them ($SYS) and often drop such messages silently.",
    binds: Binds::Client,
    severity: Severity::Info,
    clauses: &[v31(), v311("U-4.8-2")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=$a/b",
        cut: "\
> CONNECT client=c
< CONNACK
! gap 40 >
> PUBLISH topic=$a/b qos=1 id=1
< PUBACK id=1
> PUBLISH topic=$a/b qos=1 id=2
< PUBACK id=2",
    },
    check: Check::Frame(&[P::Publish], dollar_topic),
};

fn dollar_topic(f: &FrameFacts<'_>) -> Judged {
    let up = f.frame.direction == Direction::Up;
    (up && f.frame.topic?.bytes().first() == Some(&b'$')).then(|| {
        note("a client publishes to a topic that begins with $").unless(f.doubt_of_sender())
    })
}

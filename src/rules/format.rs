//! Rules of the packet format: the decoder finds the defects, these rules map them to
//! statements.

use crate::event::Side;
use crate::mqtt::{DefectCode as D, PacketType as P};

use super::clause::{Case, v5, v31, v311};
use super::rule::{Binds, Check, Examples, Rule, Severity, wrong};

pub(super) static RULES: &[&Rule] = &[
    &STRING_UTF8,
    &NUL_IN_STRING,
    &FIXED_FLAGS,
    &PACKET_ID_ZERO,
    &SHORTEST_INTEGER,
    &FOUR_BYTE_INTEGER,
    &FIELDS_FILL_PACKET,
    &PACKET_TYPE,
    &PUBLISH_QOS_3,
    &WILL_QOS_3,
    &SUBSCRIBE_QOS_3,
    &SUBSCRIBE_RESERVED_BITS,
    &RETAIN_HANDLING_3,
    &SHARED_NO_LOCAL,
    &DUP_WITH_QOS_0,
    &TOPIC_WILDCARD,
    &EMPTY_TOPIC,
    &EMPTY_FILTER,
    &FILTER_HASH,
    &FILTER_PLUS,
    &SHARE_NAME,
    &NOT_EMPTY,
    &PROTOCOL_NAME,
    &CONNECT_RESERVED_FLAG,
    &WILL_FLAGS,
    &PASSWORD_NEEDS_USER,
    &CONNACK_FLAGS,
    &REASON_CODE,
    &PROPERTY_PLACE,
    &PROPERTY_ONCE,
    &PROPERTIES_FIT,
    &PROPERTY_VALUE,
];

static STRING_UTF8: Rule = Rule {
    id: "string-utf8",
    title: "Strings are well-formed UTF-8, without surrogates",
    why: "A receiver has to close the connection for one bad string, so a topic in Latin-1, or cut in the middle of a character, disconnects the client.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[
        v311("MQTT-1.5.3-1"),
        v311("MQTT-3.1.3-4").field("Client Identifier"),
        v311("MQTT-3.1.3-10").field("Will Topic"),
        v311("MQTT-3.1.3-11").field("User Name"),
        v311("MQTT-3.3.2-1").field("Topic Name"),
        v311("MQTT-3.8.3-1").packet(P::Subscribe),
        v311("MQTT-3.10.3-1").packet(P::Unsubscribe),
        v5("MQTT-1.5.4-1"),
        v5("MQTT-1.5.7-1").field("User Property"),
        v5("MQTT-3.1.3-4").field("Client Identifier"),
        v5("MQTT-3.1.3-11").field("Will Topic"),
        v5("MQTT-3.1.3-12").field("User Name"),
        v5("MQTT-3.3.2-1").field("Topic Name"),
        v5("MQTT-3.3.2-13").field("Response Topic"),
        v5("MQTT-3.3.2-19").field("Content Type"),
        v5("MQTT-3.8.3-1").packet(P::Subscribe),
        v5("MQTT-3.10.3-1").packet(P::Unsubscribe),
    ],
    examples: Examples {
        good: r#"> CONNECT client=c
< CONNACK
> PUBLISH topic="café""#,
        bad: r#"> CONNECT client=c
< CONNACK
> PUBLISH topic="caf\xe9""#,
        cut: "",
    },
    check: Check::Format(&[wrong(D::BadUtf8)]),
};

static NUL_IN_STRING: Rule = Rule {
    id: "nul-in-string",
    title: "No string contains U+0000",
    why: "Brokers written in C end the string there: two clients then disagree about the name of a topic, or a filter that is checked is not the one that is used.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[
        v311("MQTT-1.5.3-2"),
        v311("MQTT-4.7.3-2").field("Topic Name"),
        v311("MQTT-4.7.3-2").field("Topic Filter"),
        v5("MQTT-1.5.4-2"),
        v5("MQTT-4.7.3-2").field("Topic Name"),
        v5("MQTT-4.7.3-2").field("Topic Filter"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a/b",
        bad: r#"> CONNECT client=c
< CONNACK
> PUBLISH topic="a\0b""#,
        cut: "",
    },
    check: Check::Format(&[wrong(D::NulInString)]),
};

static FIXED_FLAGS: Rule = Rule {
    id: "fixed-flags",
    title: "The reserved flags of the fixed header have their fixed value",
    why: "PUBREL, SUBSCRIBE and UNSUBSCRIBE carry 0010, all others but PUBLISH 0000. A strict receiver closes the connection; a lenient one hides the bug until the client meets a strict one.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[
        v31(),
        v311("MQTT-2.2.2-1"),
        v311("MQTT-3.6.1-1").packet(P::Pubrel),
        v311("MQTT-3.8.1-1").packet(P::Subscribe),
        v311("MQTT-3.10.1-1").packet(P::Unsubscribe),
        v5("MQTT-2.1.3-1"),
        v5("MQTT-3.6.1-1").packet(P::Pubrel),
        v5("MQTT-3.8.1-1").packet(P::Subscribe),
        v5("MQTT-3.10.1-1").packet(P::Unsubscribe),
        v5("MQTT-3.15.1-1").packet(P::Auth),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0 flags=0",
        cut: "",
    },
    check: Check::Format(&[wrong(D::ReservedFlags)]),
};

static PACKET_ID_ZERO: Rule = Rule {
    id: "packet-id-zero",
    title: "A Packet Identifier is not 0",
    why: "Many stacks use 0 for \"none\", so the acknowledgement is lost in the sender's own bookkeeping.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[
        v31(),
        v311("MQTT-2.3.1-1"),
        v5("MQTT-2.2.1-3").by(Side::Client),
        v5("MQTT-2.2.1-4").by(Side::Server),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=0",
        cut: "",
    },
    check: Check::Format(&[wrong(D::PacketId0)]),
};

static SHORTEST_INTEGER: Rule = Rule {
    id: "shortest-integer",
    title: "A Variable Byte Integer has the minimum number of bytes",
    why: "Two encodings of one length let a filter and a broker read different packets from the same bytes.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v5("MQTT-1.5.5-1")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PINGREQ
< PINGRESP",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> PINGREQ length_bytes=2",
        cut: "",
    },
    check: Check::Format(&[wrong(D::OverlongInteger)]),
};

static FOUR_BYTE_INTEGER: Rule = Rule {
    id: "four-byte-integer",
    title: "A Variable Byte Integer has at most four bytes",
    why: "A fifth byte makes the length undefined, so nothing after it can be read.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("U-2.1-3"), v5("U-2.1-3")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a payload=x",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> hex 30 08 00 01 61 80 80 80 80 01",
        cut: "",
    },
    check: Check::Format(&[wrong(D::MalformedInteger)]),
};

static FIELDS_FILL_PACKET: Rule = Rule {
    id: "fields-fill-packet",
    title: "The fields of a packet fill its Remaining Length exactly",
    why: "A field that runs over the end, or bytes left after the last one, mean that sender and receiver disagree about the layout: usually a version mix-up or a wrong length calculation.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[
        v31(),
        v311("MQTT-3.1.2-9").field("Will Topic"),
        v311("MQTT-3.1.2-9").field("Will Payload"),
        v311("MQTT-3.1.2-19").field("User Name"),
        v311("MQTT-3.1.2-21").field("Password"),
        v311("MQTT-3.1.3-3").field("Client Identifier"),
        v311("MQTT-3.1.3-1").packet(P::Connect),
        v311("MQTT-3.10.3-1").packet(P::Unsubscribe),
        v311("U-3.12-1").packet(P::Pingreq),
        v311("U-3.12-1").packet(P::Pingresp),
        v311("U-3.12-1").packet(P::Disconnect),
        v311("U-2.1-4"),
        v311("MQTT-3.1.2-11")
            .packet(P::Connect)
            .when(Case::Trailing),
        v311("MQTT-3.1.2-18")
            .packet(P::Connect)
            .when(Case::Trailing),
        v311("MQTT-3.1.2-20")
            .packet(P::Connect)
            .when(Case::Trailing),
        v5("MQTT-2.2.2-1").field("Property Length"),
        v5("MQTT-3.1.2-9").field("Will Topic"),
        v5("MQTT-3.1.2-9").field("Will Payload"),
        v5("MQTT-3.1.2-17").field("User Name"),
        v5("MQTT-3.1.2-19").field("Password"),
        v5("MQTT-3.1.3-3").field("Client Identifier"),
        v5("MQTT-3.1.3-1").packet(P::Connect),
        v5("U-3.4-1").packet(P::Puback),
        v5("U-3.4-1").packet(P::Pubrec),
        v5("U-3.4-1").packet(P::Pubrel),
        v5("U-3.4-1").packet(P::Pubcomp),
        v5("U-3.12-1").packet(P::Pingreq),
        v5("U-3.12-1").packet(P::Pingresp),
        v5("U-2.1-4"),
        v5("MQTT-3.1.2-16").packet(P::Connect).when(Case::Trailing),
        v5("MQTT-3.1.2-18").packet(P::Connect).when(Case::Trailing),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1 append=hex:00",
        cut: "",
    },
    check: Check::Format(&[
        wrong(D::MissingField),
        wrong(D::PastEnd),
        wrong(D::TrailingBytes),
    ]),
};

static PACKET_TYPE: Rule = Rule {
    id: "packet-type",
    title: "Packet type 0 is never used, and 15 only by 5.0",
    why: "It shows that framing was lost, or that the port carries another protocol.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("U-2.1-1"), v5("U-2.1-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PINGREQ
< PINGRESP",
        bad: "\
> CONNECT client=c
< CONNACK
> RESERVED",
        cut: "",
    },
    check: Check::Format(&[wrong(D::ReservedType)]),
};

static PUBLISH_QOS_3: Rule = Rule {
    id: "publish-qos-3",
    title: "A PUBLISH has QoS 0, 1 or 2",
    why: "Setting both QoS bits is a bug in encoding the flags; the receiver has to close the connection.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-3.3.1-4"), v5("MQTT-3.3.1-4")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
< PUBCOMP id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=3 id=1",
        cut: "",
    },
    check: Check::Format(&[wrong(D::Qos3).on("QoS")]),
};

static WILL_QOS_3: Rule = Rule {
    id: "will-qos-3",
    title: "Will QoS is 0, 1 or 2",
    why: "A server that accepts the will would publish with a QoS that does not exist.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-3.1.2-14"), v5("MQTT-3.1.2-12")],
    examples: Examples {
        good: "\
> CONNECT client=c will_topic=w will_qos=2
< CONNACK",
        bad: "\
> CONNECT client=c will_topic=w will_qos=3",
        cut: "",
    },
    check: Check::Format(&[wrong(D::Qos3).on("Will QoS")]),
};

static SUBSCRIBE_QOS_3: Rule = Rule {
    id: "subscribe-qos-3",
    title: "A subscription asks for QoS 0, 1 or 2",
    why: "The QoS granted for it is undefined.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("U-3.8-4"), v5("U-3.8-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:2
< SUBACK id=1 codes=2",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:3",
        cut: "",
    },
    check: Check::Format(&[wrong(D::Qos3).on("Subscription Options")]),
};

static SUBSCRIBE_RESERVED_BITS: Rule = Rule {
    id: "subscribe-reserved-bits",
    title: "The reserved bits of Subscription Options are 0",
    why: "A client that speaks 3.1.1 with options of 5.0 (No Local, Retain Handling) gets neither, or is cut off.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v311("U-3.8-4"), v5("U-3.8-3")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a:0x2d
< SUBACK id=1 codes=1",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a:0x41",
        cut: "",
    },
    check: Check::Format(&[wrong(D::ReservedOptions)]),
};

static RETAIN_HANDLING_3: Rule = Rule {
    id: "retain-handling-3",
    title: "Retain Handling is 0, 1 or 2",
    why: "The value 3 has no meaning; a server has to refuse the packet.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v5("U-3.8-2")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a:0x20
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a:0x30",
        cut: "",
    },
    check: Check::Format(&[wrong(D::RetainHandling3)]),
};

static SHARED_NO_LOCAL: Rule = Rule {
    id: "shared-no-local",
    title: "No Local is not set on a shared subscription",
    why: "A group whose members skip their own messages would lose them: no other member gets a copy.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v5("MQTT-3.8.3-4")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g/a:1
< SUBACK id=1 codes=1",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g/a:5",
        cut: "",
    },
    check: Check::Format(&[wrong(D::SharedNoLocal)]),
};

static DUP_WITH_QOS_0: Rule = Rule {
    id: "dup-with-qos-0",
    title: "A PUBLISH of QoS 0 has DUP 0",
    why: "QoS 0 is never retransmitted, so DUP means that the sender's retry logic ignores the QoS.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[
        v311("MQTT-3.3.1-2"),
        v311("MQTT-4.3.1-1"),
        v5("MQTT-3.3.1-2"),
        v5("MQTT-4.3.1-1"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a dup=1",
        cut: "",
    },
    check: Check::Format(&[wrong(D::DupWithQos0)]),
};

static TOPIC_WILDCARD: Rule = Rule {
    id: "topic-wildcard",
    title: "A Topic Name contains no + or #",
    why: "No filter matches only that name, and access rules with wildcards may allow it.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[
        v31(),
        v311("MQTT-4.7.1-1"),
        v311("MQTT-3.3.2-2").packet(P::Publish),
        v5("MQTT-4.7.0-1"),
        v5("MQTT-3.3.2-2").field("Topic Name"),
        v5("MQTT-3.3.2-14").field("Response Topic"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a/b",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a/+",
        cut: "",
    },
    check: Check::Format(&[wrong(D::WildcardInTopic)]),
};

static EMPTY_TOPIC: Rule = Rule {
    id: "empty-topic",
    title: "A Topic Name has at least one character, unless a Topic Alias stands for it",
    why: "The name was not set: the message is not delivered, and the connection is closed.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[
        v31(),
        v311("MQTT-4.7.3-1"),
        v5("MQTT-4.7.3-1"),
        v5("U-3.3-1").field("Topic Name"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a",
        bad: r#"> CONNECT client=c
< CONNACK
> PUBLISH topic="""#,
        cut: "",
    },
    check: Check::Format(&[wrong(D::EmptyTopic)]),
};

static EMPTY_FILTER: Rule = Rule {
    id: "empty-filter",
    title: "A Topic Filter has at least one character",
    why: "It matches nothing; the filter was not set.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-4.7.3-1"), v5("MQTT-4.7.3-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=:0",
        cut: "",
    },
    check: Check::Format(&[wrong(D::EmptyFilter)]),
};

static FILTER_HASH: Rule = Rule {
    id: "filter-hash",
    title: "In a Topic Filter, # is the whole last level",
    why: "Servers that accept it match different topics.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-4.7.1-2"), v5("MQTT-4.7.1-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/#:0
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/#/b:0",
        cut: "",
    },
    check: Check::Format(&[wrong(D::BadFilter).on("Topic Filter #")]),
};

static FILTER_PLUS: Rule = Rule {
    id: "filter-plus",
    title: "In a Topic Filter, + is a whole level",
    why: "A filter such as sensor+ does not match the topics that were intended.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-4.7.1-3"), v5("MQTT-4.7.1-2")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a+:0",
        cut: "",
    },
    check: Check::Format(&[wrong(D::BadFilter).on("Topic Filter +")]),
};

static SHARE_NAME: Rule = Rule {
    id: "share-name",
    title: "A shared subscription has a share name without / + #, and a filter after it",
    why: "Without them there is no group: each member gets every message, or none does.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v5("MQTT-4.8.2-1"), v5("MQTT-4.8.2-2")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g/a:0
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g+/a:0",
        cut: "",
    },
    check: Check::Format(&[wrong(D::BadShare)]),
};

static NOT_EMPTY: Rule = Rule {
    id: "requests-not-empty",
    title: "SUBSCRIBE and UNSUBSCRIBE have at least one Topic Filter",
    why: "A client that sends an empty list after all its topics were removed is disconnected.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[
        v31(),
        v311("MQTT-3.8.3-3").packet(P::Subscribe),
        v311("MQTT-3.10.3-2").packet(P::Unsubscribe),
        v5("MQTT-3.8.3-2").packet(P::Subscribe),
        v5("MQTT-3.10.3-2").packet(P::Unsubscribe),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> UNSUBSCRIBE id=1 filter=a
< UNSUBACK id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> UNSUBSCRIBE id=1",
        cut: "",
    },
    check: Check::Format(&[wrong(D::EmptyPayload).of(&[P::Subscribe, P::Unsubscribe])]),
};

static PROTOCOL_NAME: Rule = Rule {
    id: "protocol-name",
    title: "The protocol name is that of the protocol level: MQIsdp with 3, MQTT with 4 and 5",
    why: "A server may close the connection silently, which looks like a network problem.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("U-3.1-3"), v5("MQTT-3.1.2-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK",
        bad: "\
> CONNECT client=c name=MQIsdp level=5 version=5",
        cut: "",
    },
    check: Check::Format(&[wrong(D::UnknownProtocol).on("Protocol Name")]),
};

static CONNECT_RESERVED_FLAG: Rule = Rule {
    id: "connect-reserved-flag",
    title: "Bit 0 of the Connect Flags is 0",
    why: "The server has to disconnect: the flags byte is encoded wrongly.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v311("U-3.1-2"), v5("U-3.1-2")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK",
        bad: "\
> CONNECT client=c connect_flags=3",
        cut: "",
    },
    check: Check::Format(&[wrong(D::ReservedConnectFlag)]),
};

static WILL_FLAGS: Rule = Rule {
    id: "will-flags",
    title: "Without the Will Flag, Will QoS and Will Retain are 0",
    why: "The client relies on a will that is never published.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[
        v311("MQTT-3.1.2-11"),
        v311("MQTT-3.1.2-13").field("Will QoS"),
        v311("MQTT-3.1.2-15").field("Will Retain"),
        v5("MQTT-3.1.2-11").field("Will QoS"),
        v5("MQTT-3.1.2-13").field("Will Retain"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c will_topic=w will_retain=1
< CONNACK",
        bad: "\
> CONNECT client=c connect_flags=0x22",
        cut: "",
    },
    check: Check::Format(&[wrong(D::WillFlags)]),
};

static PASSWORD_NEEDS_USER: Rule = Rule {
    id: "password-needs-user",
    title: "A password comes with a user name",
    why: "Before 5.0 there is no password without a user name; token logins need 5.0.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-3.1.2-22")],
    examples: Examples {
        good: "\
> CONNECT client=c user=u password=p
< CONNACK",
        bad: "\
> CONNECT client=c connect_flags=0x42 append=hex:000170",
        cut: "",
    },
    check: Check::Format(&[wrong(D::PasswordWithoutUsername)]),
};

static CONNACK_FLAGS: Rule = Rule {
    id: "connack-flags",
    title: "Bits 7 to 1 of the Connect Acknowledge Flags are 0",
    why: "Clients that test the whole byte treat any bit as Session Present.",
    binds: Binds::Server,
    severity: Severity::Fatal,
    clauses: &[v311("U-3.2-1"), v5("MQTT-3.2.2-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK",
        bad: "\
> CONNECT client=c
< CONNACK ack_flags=2",
        cut: "",
    },
    check: Check::Format(&[wrong(D::ReservedConnackFlags)]),
};

static REASON_CODE: Rule = Rule {
    id: "reason-code",
    title: "A return or reason code is defined for the packet type",
    why: "The other side can only treat it as an unspecified error, or as success.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-3.2.2-6").packet(P::Connack),
        v311("MQTT-3.9.3-2").packet(P::Suback),
        v5("MQTT-3.2.2-8").packet(P::Connack),
        v5("MQTT-3.4.2-1").packet(P::Puback),
        v5("MQTT-3.5.2-1").packet(P::Pubrec),
        v5("MQTT-3.6.2-1").packet(P::Pubrel),
        v5("MQTT-3.7.2-1").packet(P::Pubcomp),
        v5("MQTT-3.9.3-2").packet(P::Suback),
        v5("MQTT-3.8.4-7").packet(P::Suback),
        v5("MQTT-3.11.3-2").packet(P::Unsuback),
        v5("MQTT-3.14.2-1").packet(P::Disconnect),
        v5("MQTT-3.15.2-1").packet(P::Auth),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1 code=0x87",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1 code=0x44",
        cut: "",
    },
    check: Check::Format(&[wrong(D::UnknownCode)]),
};

static PROPERTY_PLACE: Rule = Rule {
    id: "property-place",
    title: "Properties are known, and allowed in their packet",
    why: "A property whose identifier is unknown has an unknown length: everything after it is lost.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v5("U-2.2-1")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a content_type=x",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a receive_maximum=3",
        cut: "",
    },
    check: Check::Format(&[wrong(D::UnknownProperty), wrong(D::MisplacedProperty)]),
};

static PROPERTY_ONCE: Rule = Rule {
    id: "property-once",
    title: "A property other than User Property occurs once",
    why: "Implementations differ in which of the two they use.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v5("U-2.2-2"), v5("U-3.8-5").packet(P::Subscribe)],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a user_property=k:1 user_property=k:2",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a content_type=x content_type=y",
        cut: "",
    },
    check: Check::Format(&[wrong(D::RepeatedProperty)]),
};

static PROPERTIES_FIT: Rule = Rule {
    id: "properties-fit",
    title: "Properties fit their Property Length, and that fits the packet",
    why: "Sender and receiver disagree about where the payload begins.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v5("U-2.2-3"), v5("MQTT-2.2.2-1")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a payload_format_indicator=1",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> hex 30 05 00 01 61 09 01",
        cut: "",
    },
    check: Check::Format(&[wrong(D::PropertyLength), wrong(D::PropertyPastEnd)]),
};

static PROPERTY_VALUE: Rule = Rule {
    id: "property-value",
    title: "A property has a value in its range",
    why: "Zero where zero is forbidden (Receive Maximum, Topic Alias) stops the connection at once; other values mean nothing.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[
        v5("U-3.1-5").field("Receive Maximum"),
        v5("U-3.1-6").field("Maximum Packet Size"),
        v5("U-3.1-7").field("Request Response Information"),
        v5("U-3.1-8").field("Request Problem Information"),
        v5("U-3.2-2").field("Maximum QoS"),
        v5("U-3.2-3").field("Retain Available"),
        v5("U-3.2-4").field("Wildcard Subscription Available"),
        v5("U-3.2-5").field("Subscription Identifier Available"),
        v5("U-3.2-6").field("Shared Subscription Available"),
        v5("U-3.3-3").field("Payload Format Indicator"),
        v5("MQTT-3.3.2-8").field("Topic Alias"),
        v5("U-3.3-5")
            .packet(P::Publish)
            .field("Subscription Identifier"),
        v5("U-3.8-5")
            .packet(P::Subscribe)
            .field("Subscription Identifier"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 receive_maximum=1
< CONNACK",
        bad: "\
> CONNECT client=c version=5 receive_maximum=0",
        cut: "",
    },
    check: Check::Format(&[wrong(D::PropertyValue)]),
};

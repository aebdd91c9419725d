//! The tables and their columns.
//!
//! `docs/tables.md` has the same columns; a test compares them. A column that is added
//! goes to the end of its table; any other change raises [`VERSION`].

/// Version of the schema, in the metadata of every file.
pub const VERSION: u32 = 1;

/// Type of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Unsigned integers.
    U8,
    /// Of 16 bits.
    U16,
    /// Of 32 bits.
    U32,
    /// Of 64 bits.
    U64,
    /// A digest, of 64 bits.
    Digest,
    /// True or false.
    Bool,
    /// UTF-8, with U+FFFD for what is not.
    Text,
    /// The identity of an exchange, as text.
    Exchange,
    /// Any bytes.
    Bytes,
    /// A point in time: nanoseconds since 1970, UTC.
    Time,
    /// A list of unsigned integers of 64 bits.
    U64List,
    /// A list of texts.
    TextList,
}

impl Kind {
    /// Its name in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 | Self::Digest => "uint64",
            Self::Bool => "boolean",
            Self::Text | Self::Exchange => "text",
            Self::Bytes => "bytes",
            Self::Time => "time",
            Self::U64List => "list of uint64",
            Self::TextList => "list of text",
        }
    }
}

impl Kind {
    /// Whether its values are lists.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::U64List | Self::TextList)
    }

    /// Whether Parquet stores it in 32 bits.
    pub(super) const fn is_narrow(self) -> bool {
        matches!(self, Self::U8 | Self::U16 | Self::U32)
    }

    /// Numbers of the kind that differ from its values in these bits have their order:
    /// times may be before 1970.
    pub(super) const fn order(self) -> u64 {
        match self {
            Self::Time => 1 << 63,
            _ => 0,
        }
    }
}

/// A column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// It may be null: not applicable, or not in the capture.
    pub optional: bool,
    /// Unit of its values, such as `ns`; empty for none.
    pub unit: &'static str,
    /// Its values mostly differ from row to row: they are kept one by one.
    pub(super) dense: bool,
}

impl Column {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            optional: false,
            unit: "",
            dense: false,
        }
    }

    const fn dense(self) -> Self {
        Self {
            dense: true,
            ..self
        }
    }

    /// The same, and it may be null.
    const fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }

    const fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }
}

/// A table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// Its name, and that of its file.
    pub name: &'static str,
    /// What a row is.
    pub row: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
    /// The column by which rows belong to an hour (`--partition hour`).
    pub time: &'static str,
}

const fn text(name: &'static str) -> Column {
    Column::new(name, Kind::Text)
}

const fn time(name: &'static str) -> Column {
    Column::new(name, Kind::Time).unit("ns")
}

const fn flag(name: &'static str) -> Column {
    Column::new(name, Kind::Bool)
}

const fn u8(name: &'static str) -> Column {
    Column::new(name, Kind::U8)
}

const fn u16(name: &'static str) -> Column {
    Column::new(name, Kind::U16)
}

const fn u32(name: &'static str) -> Column {
    Column::new(name, Kind::U32)
}

const fn u64(name: &'static str) -> Column {
    Column::new(name, Kind::U64)
}

const fn bytes(name: &'static str) -> Column {
    Column::new(name, Kind::U64).unit("bytes")
}

const fn nanos(name: &'static str) -> Column {
    Column::new(name, Kind::U64).unit("ns")
}

const FILE: Column = text("file");
const PACKET: Column = u64("packet");
const CONNECTION: Column = u64("connection");
const CONNECTION_UID: Column = text("connection_uid");
const SESSION_UID: Column = text("session_uid").optional();
const EXCHANGE_UID: Column = Column::new("exchange_uid", Kind::Exchange).optional();
const CLIENT_ID: Column = text("client_id").optional();
const CLIENT_ADDRESS: Column = text("client_address");
const CLIENT_PORT: Column = u16("client_port");
const SERVER_ADDRESS: Column = text("server_address");
const SERVER_PORT: Column = u16("server_port");
const DIRECTION: Column = text("direction");
const TOPIC: Column = text("topic").optional();

/// All tables, in the order of the documentation.
pub static TABLES: &[Table] = &[
    FRAMES,
    EXCHANGES,
    CONNECTIONS,
    SESSIONS,
    SUBSCRIPTIONS,
    DELIVERIES,
    FINDINGS,
    OVERHEAD,
    EVENTS,
];

/// `frames`
pub const FRAMES: Table = Table {
    name: "frames",
    row: "an MQTT control packet",
    time: "time",
    columns: &[
        FILE,
        PACKET,
        u64("last_packet"),
        time("time"),
        time("started"),
        CONNECTION,
        CONNECTION_UID,
        SESSION_UID,
        EXCHANGE_UID,
        u64("frame").dense(),
        DIRECTION,
        CLIENT_ADDRESS,
        CLIENT_PORT,
        SERVER_ADDRESS,
        SERVER_PORT,
        CLIENT_ID,
        text("version"),
        flag("version_assumed"),
        text("transport"),
        text("type"),
        u8("qos"),
        flag("dup"),
        flag("retain"),
        bytes("length").dense(),
        bytes("missing"),
        flag("resynchronised"),
        u16("packet_id").optional(),
        TOPIC.dense(),
        u16("topic_alias").optional(),
        bytes("payload_length").optional().dense(),
        Column::new("payload", Kind::Bytes).optional(),
        Column::new("payload_digest", Kind::Digest)
            .optional()
            .dense(),
        u8("reason_code").optional(),
        text("reason").optional(),
        flag("session_present").optional(),
        flag("clean_start").optional(),
        u16("keep_alive").optional().unit("s"),
        text("username").optional(),
        text("will_topic").optional(),
        text("properties").optional(),
        Column::new("filters", Kind::TextList).optional(),
        Column::new("defects", Kind::TextList).optional(),
    ],
};

/// `exchanges`
pub const EXCHANGES: Table = Table {
    name: "exchanges",
    row: "a request and its answers: CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, AUTH",
    time: "opened",
    columns: &[
        FILE,
        PACKET,
        u64("last_packet"),
        time("opened"),
        time("closed").optional(),
        CONNECTION,
        CONNECTION_UID,
        SESSION_UID,
        Column::new("exchange_uid", Kind::Exchange),
        u64("frame").dense(),
        DIRECTION,
        SERVER_ADDRESS,
        SERVER_PORT,
        CLIENT_ID,
        text("kind"),
        u16("packet_id").optional(),
        u8("qos"),
        flag("retain"),
        TOPIC.dense(),
        bytes("payload_length").optional().dense(),
        Column::new("payload_digest", Kind::Digest)
            .optional()
            .dense(),
        u32("frames"),
        bytes("bytes").dense(),
        u32("repeats"),
        nanos("latency").optional(),
        nanos("first_answer").optional(),
        text("outcome"),
        u8("reason_code").optional(),
        text("reason").optional(),
        text("doubt").optional(),
        Column::new("continues", Kind::Exchange).optional(),
    ],
};

/// `connections`
pub const CONNECTIONS: Table = Table {
    name: "connections",
    row: "a TCP connection that carries MQTT, or should",
    time: "first_seen",
    columns: &[
        FILE,
        PACKET,
        CONNECTION,
        CONNECTION_UID,
        SESSION_UID,
        CLIENT_ADDRESS,
        CLIENT_PORT,
        SERVER_ADDRESS,
        SERVER_PORT,
        CLIENT_ID,
        text("username").optional(),
        text("version").optional(),
        flag("version_assumed"),
        text("transport"),
        time("first_seen"),
        time("last_seen"),
        time("opened").optional(),
        time("closed").optional(),
        flag("clean_start").optional(),
        flag("session_present").optional(),
        u16("keep_alive").optional().unit("s"),
        u32("session_expiry").optional().unit("s"),
        text("will_topic").optional(),
        u8("will_qos").optional(),
        flag("will_retain").optional(),
        text("will_sent").optional(),
        u64("frames_up"),
        u64("frames_down"),
        u64("messages_up"),
        u64("messages_down"),
        bytes("bytes_up"),
        bytes("bytes_down"),
        u64("violations"),
        u64("warnings"),
        text("close_by"),
        text("close_cause"),
        text("close_certainty"),
        u16("close_reason_code").optional(),
        text("close_reason").optional(),
        text("close_message"),
        Column::new("close_packets", Kind::U64List),
        nanos("connect_latency").optional(),
        nanos("longest_idle"),
        u32("stalls"),
        nanos("stalled"),
    ],
};

/// `sessions`
pub const SESSIONS: Table = Table {
    name: "sessions",
    row: "an MQTT session: the connections of a client with the same state",
    time: "started",
    columns: &[
        FILE,
        PACKET,
        text("session_uid"),
        SERVER_ADDRESS,
        SERVER_PORT,
        CLIENT_ID,
        text("username").optional(),
        time("started"),
        time("last_seen"),
        flag("began_before"),
        text("first_connection_uid"),
        text("last_connection_uid"),
        u32("connections"),
        u32("taken_over"),
        u32("without_disconnect"),
        u64("messages_up"),
        u64("messages_down"),
        bytes("bytes_up"),
        bytes("bytes_down"),
        u64("violations"),
        u64("warnings"),
    ],
};

/// `subscriptions`
pub const SUBSCRIPTIONS: Table = Table {
    name: "subscriptions",
    row: "a filter of a SUBSCRIBE or UNSUBSCRIBE",
    time: "time",
    columns: &[
        FILE,
        PACKET,
        time("time"),
        CONNECTION,
        CONNECTION_UID,
        SESSION_UID,
        EXCHANGE_UID,
        SERVER_ADDRESS,
        SERVER_PORT,
        CLIENT_ID,
        text("action"),
        text("filter"),
        text("share").optional(),
        u8("qos").optional(),
        flag("no_local").optional(),
        flag("retain_as_published").optional(),
        u8("retain_handling").optional(),
        u32("subscription_identifier").optional(),
        u8("code").optional(),
        u8("granted_qos").optional(),
        flag("refused").optional(),
        nanos("latency").optional(),
    ],
};

/// `deliveries`
pub const DELIVERIES: Table = Table {
    name: "deliveries",
    row: "a message from its publisher to one subscriber, or to none",
    time: "published",
    columns: &[
        FILE,
        PACKET,
        time("published"),
        SERVER_ADDRESS,
        SERVER_PORT,
        text("connection_uid").optional(),
        SESSION_UID,
        EXCHANGE_UID,
        CLIENT_ID,
        text("topic").dense(),
        u8("qos"),
        flag("retain"),
        bytes("payload_length").optional().dense(),
        Column::new("payload_digest", Kind::Digest).dense(),
        text("match"),
        u64("delivered_packet").optional(),
        time("delivered").optional(),
        text("delivered_connection_uid").optional(),
        text("delivered_session_uid").optional(),
        Column::new("delivered_exchange_uid", Kind::Exchange).optional(),
        text("delivered_client_id").optional(),
        u8("delivered_qos").optional(),
        flag("retained").optional(),
        flag("queued").optional(),
        nanos("latency").optional(),
        text("filter").optional(),
    ],
};

/// `findings`
pub const FINDINGS: Table = Table {
    name: "findings",
    row: "a finding of `check`",
    time: "time",
    columns: &[
        FILE,
        PACKET,
        time("time"),
        u64("connection").optional(),
        text("connection_uid").optional(),
        SESSION_UID,
        CLIENT_ID,
        TOPIC,
        text("rule"),
        text("verdict"),
        text("reason").optional(),
        text("severity"),
        text("by").optional(),
        u64("count"),
        text("message"),
        Column::new("statements", Kind::TextList),
        Column::new("packets", Kind::U64List),
        EXCHANGE_UID,
    ],
};

/// `overhead`
pub const OVERHEAD: Table = Table {
    name: "overhead",
    row: "bytes of an exchange in one layer, for one purpose, by one mechanism",
    time: "time",
    columns: &[
        FILE,
        PACKET,
        time("time"),
        CONNECTION,
        CONNECTION_UID,
        SESSION_UID,
        EXCHANGE_UID,
        CLIENT_ID,
        TOPIC,
        u8("qos").optional(),
        text("direction").optional(),
        text("layer").dense(),
        text("purpose"),
        text("mechanism").dense(),
        bytes("bytes").dense(),
    ],
};

/// `events`
pub const EVENTS: Table = Table {
    name: "events",
    row: "what is not a control packet: connections, gaps, layers, limits",
    time: "time",
    columns: &[
        FILE,
        PACKET,
        time("time"),
        u64("connection").optional(),
        text("connection_uid").optional(),
        SESSION_UID,
        CLIENT_ID,
        text("event"),
        text("direction").optional(),
        bytes("bytes").optional(),
        text("by").optional(),
        text("reason").optional(),
        text("message"),
    ],
};

/// The table of this name.
pub fn find(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct_and_the_time_is_a_column() {
        for table in TABLES {
            let names: BTreeSet<_> = table.columns.iter().map(|column| column.name).collect();
            assert_eq!(names.len(), table.columns.len(), "{}", table.name);
            let time = table
                .columns
                .iter()
                .find(|column| column.name == table.time);
            assert!(time.is_some_and(|time| time.kind == Kind::Time && !time.optional));
            assert_eq!(&table.columns[..2], &[FILE, PACKET]);
        }
    }
}

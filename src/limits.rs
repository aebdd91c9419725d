//! All limits on what input can make the program keep.
//!
//! The limits are generous: normal traffic does not reach them. A limit that is
//! reached is reported, as an event or a count, and never changes the output
//! silently.

reasons! {
    /// A limit that was reached on a connection, and what was dropped.
    Limit {
        SegmentsWaiting = "too many bytes of one connection wait for a missing segment",
        AllSegmentsWaiting = "too many bytes of all connections wait for missing segments",
        UndecidedNotes = "event buffer full before the protocol was recognised: some events were dropped",
        TlsConnections = "too many connections wait for the secrets of TLS",
        TlsRecords = "too many TLS records wait for their secrets",
        UpgradeBytes = "an upgrade of more than 16 KiB: it is not read",
        Inflaters = "too many compressed WebSockets: the compression context of this one was dropped",
        Inflated = "compressed messages that become far more than was sent: what is too much is not read",
        WebSocketBreaks = "the format was broken too often: nothing more is read",
        IncompleteMessages = "limit on incomplete messages reached: the rest of this one is only counted",
        LongPacket = "a control packet of more than 1 MiB that is no PUBLISH: the rest of it is only counted",
        Properties = "properties of a PUBLISH that are too long to keep: its payload is not shown",
        TopicAliases = "limit on bytes of aliased topic names reached: this alias is dropped",
    }
}

/// Nested IP headers and tunnels decoded in one packet; packets with more are
/// counted.
pub const TUNNEL_DEPTH: usize = 8;
/// IP datagrams that may be incomplete at once, or be remembered to recognise
/// duplicates of their fragments. The oldest make room, and are counted if they
/// were incomplete.
pub const FRAGMENTED_DATAGRAMS: usize = 1024;
/// Bytes of IP fragments that may be waiting for the others. The oldest datagrams
/// make room, and are counted.
pub const FRAGMENT_BYTES: usize = 16 << 20;
/// Seconds (of capture time) that a datagram may wait for its fragments, as in RFC
/// 791 and RFC 8200. Then it is dropped, and counted.
pub const FRAGMENT_SECONDS: u64 = 60;
/// Levels of fragmentation within fragmented tunnels that are reassembled; packets
/// with more are counted.
pub const FRAGMENT_DEPTH: usize = 3;
/// Frames of one 802.11 aggregate that are decoded: the standard's longest
/// aggregate has room for 715 empty ones. The next one counts as malformed.
pub const AGGREGATED_FRAMES: usize = 1024;
/// Directions of connections whose exported PDUs are counted at once; beyond that,
/// counting starts again, and streams go on as other connections.
pub const EXPORTED_STREAMS: usize = 1 << 16;
/// Largest captured packet that a file may claim, in bytes. tcpdump's own
/// largest snap length is 262,144; USB captures reach a few megabytes.
pub const PACKET_BYTES: usize = 16 << 20;
/// Largest pcapng block that is read, in bytes: the largest packet with its
/// header and options.
pub const BLOCK_BYTES: usize = PACKET_BYTES + (1 << 20);
/// Interfaces that one section of a pcapng file may describe; a file with more is
/// refused.
pub const INTERFACES: usize = 1 << 16;

/// TCP connections tracked at once; beyond that, those idle longest are evicted.
pub const FLOWS: usize = 1 << 20;
/// Seconds of capture time for which a closed connection is kept, so that late
/// packets are attributed to it.
pub const CLOSED_SECONDS: u64 = 30;
/// Seconds of capture time after which a silent connection that has not carried
/// a byte is evicted, such as an unanswered port scan.
pub const IDLE_EMPTY_SECONDS: u64 = 300;
/// Seconds of capture time after which a silent connection that does not carry
/// MQTT is evicted.
pub const IDLE_SECONDS: u64 = 2 * 3600;
/// Seconds of capture time after which a silent MQTT connection is evicted: more
/// than 1.5 times the longest Keep Alive (65,535 s).
pub const IDLE_MQTT_SECONDS: u64 = 30 * 3600;

/// Seconds by which two consecutive packets may advance the clock for all these
/// limits. A larger step is a clock that was set, or a pause of the capture.
pub const CLOCK_STEP_SECONDS: u64 = 600;

/// Bytes of one direction of a connection that may be buffered while an earlier
/// segment is missing. Linux lets a receive window grow to 6 MiB by default.
pub const WAITING_BYTES: usize = 8 << 20;
/// The same over all connections.
pub const WAITING_BYTES_TOTAL: usize = 64 << 20;
/// Memory that a buffered segment counts for besides its payload.
pub const WAITING_SEGMENT: usize = 64;
/// Packets of a connection after which acknowledged bytes that were not captured
/// are declared a gap. Network cards with several queues, and captures on `any`,
/// deliver an acknowledgement before its data, but not by much.
pub const GAP_PACKETS: u32 = 32;
/// The same in milliseconds of capture time, whichever comes first.
pub const GAP_MILLIS: u64 = 1_000;
/// The same in packets if the peer was never captured, so that nothing is
/// acknowledged: then only a retransmission could fill the gap.
pub const BLIND_GAP_PACKETS: u32 = 256;
/// The same in milliseconds of capture time.
pub const BLIND_GAP_MILLIS: u64 = 60_000;
/// Bytes (over all MQTT connections) kept for comparison with retransmissions.
pub const HISTORY_BYTES: usize = 1 << 20;

/// Notes of layers that are kept for a connection until it is known to carry MQTT.
/// Further ones are dropped, which is reported then.
pub const UNDECIDED_NOTES: usize = 16;
/// Bytes buffered in the layers of all connections together, until it is clear
/// what they are or until their keys arrive, and for decompression. A connection
/// that exceeds it drops its own buffers.
pub const LAYERS_KEPT: usize = 128 << 20;

/// Bytes kept of an incomplete control packet other than PUBLISH. The rest is not
/// decoded, which is reported.
pub const PACKET_KEPT: usize = 1 << 20;
/// Bytes kept of topic and properties of a PUBLISH. If they are longer, the
/// payload cannot be printed.
pub const PUBLISH_HEAD_KEPT: usize = 32 << 20;
/// Bytes kept of incomplete control packets on all connections together, but no more than
/// a quarter of `--max-memory`; if whole payloads were requested, that quarter. Of a packet
/// for which there is no room the rest is only counted, which is reported.
pub const KEPT_TOTAL: usize = 64 << 20;
/// Bytes buffered while searching for the next control packet after framing was
/// lost.
pub const RESYNC_BYTES: usize = 64 << 10;
/// Bytes of an HTTP request or response that opens a WebSocket. Servers take 8 KiB
/// by default, some 16 KiB. The connection of a longer one is not read, which is
/// reported.
pub const UPGRADE_BYTES: usize = 16 << 10;
/// Header fields of it. A head with more is not one of a WebSocket.
pub const UPGRADE_FIELDS: usize = 128;
/// HTTP requests that are followed before one that opens a WebSocket or a tunnel;
/// then the connection is not read.
pub const HTTP_REQUESTS: u32 = 32;
/// Bytes of their bodies, and of those of their responses, that are counted
/// through.
pub const HTTP_BODIES: u64 = 4 << 20;
/// Bytes that the compressed messages of one direction of a WebSocket may inflate
/// to, whatever was sent. They are not kept: this limits the time that a few
/// compressed bytes may cost.
pub const INFLATED_BYTES: u64 = 64 << 20;
/// Additional inflated bytes for each byte of payload. Useful data is seldom
/// compressed to less than a tenth of that; deflate reaches 1032.
pub const INFLATED_RATIO: u64 = 64;
/// Number of format errors in one direction of a WebSocket after which framing is
/// no longer searched for, which is reported.
pub const WEBSOCKET_BREAKS: u8 = 16;
/// Bytes of a compressed or masked WebSocket payload that are searched for
/// evidence of MQTT while framing is lost.
pub const WEBSOCKET_GLANCE: usize = 512;

/// Bytes of topic names that the aliases of one direction may hold. An alias beyond
/// that is dropped, which is reported.
pub const ALIAS_BYTES: usize = 1 << 20;

/// Exchanges tracked over all connections, including complete ones: about
/// 128 MiB.
pub const TRACKED_EXCHANGES: usize = 1 << 20;
/// Complete exchanges tracked per connection, so that duplicate answers are
/// attributed to them; the oldest make room.
pub const SETTLED_EXCHANGES: usize = 1024;

/// Bytes of packets buffered while saving from a pipe, until it is known whether
/// their connections are selected. The oldest make room, and are counted.
pub const SAVE_BUFFERED_BYTES: usize = 64 << 20;
/// Closed connections whose late packets are still saved from a pipe; the oldest
/// make room.
pub const SAVE_CLOSED: usize = 1 << 16;
/// Bytes of names and secrets that are repeated at the start of each file after the
/// first. The oldest make room, and are counted.
pub const SAVE_CARRIED_BYTES: usize = 16 << 20;
/// Programs of `-z` that run at the same time.
pub const SAVE_COMMANDS: usize = 8;
/// Files waiting for their program; beyond that, capturing pauses.
pub const SAVE_COMMANDS_WAITING: usize = 4096;
/// IP fragments remembered for the second pass while saving from files: about 32
/// MiB. Further ones are not saved, and counted.
pub const SAVE_FRAGMENTS: usize = 1 << 21;
/// Pairs of a flow and a client in a plan of `shard --by session`: some 600 MiB.
/// Further ones are counted, and their flows placed by their addresses.
pub const PLAN_FLOWS: usize = 1 << 22;
/// Runs of packets that `--save exchanges` remembers for its second pass: about
/// 128 MiB. Beyond it, whole connections are saved.
pub const SAVE_SPANS: usize = 1 << 22;

/// Frames of one direction of a connection that `overhead` keeps until their
/// bytes are attributed; beyond that, those within one control packet are merged.
/// More than [`BLIND_GAP_PACKETS`], so that a gap is declared first.
pub const WAITING_FRAMES: usize = 1024;
/// Control packets of one direction of a connection whose ranges `overhead` keeps
/// until the peer has acknowledged them. The oldest make room; if their bytes are
/// sent again, these count as unlabelled.
pub const LABELS: usize = 1024;
/// The same while a frame is not completely attributed: the largest IP packet has
/// room for this many PINGREQ packets.
pub const WAITING_LABELS: usize = 1 << 15;
/// Ranges of one direction of a connection, reported by the layers below MQTT, that
/// are kept until the ones before them arrive, or until the connection is known to
/// carry MQTT.
pub const UNORDERED_SPANS: usize = 1024;
/// Such ranges that `overhead` keeps until their control packets are known. A
/// PUBLISH in full TLS records has room for 89 MB.
pub const WAITING_SPANS: usize = 1 << 14;
/// Control packets of one direction kept until the ranges that carry them are known.
pub const WAITING_PACKETS: usize = 4096;
/// Segments of a connection that `overhead` keeps until its protocol is recognised.
/// The oldest make room, and count as foreign.
pub const UNDECIDED_SEGMENTS: usize = 256;
/// IP fragments that `overhead` keeps while others of their datagram are missing.
/// The oldest make room, and count as foreign.
pub const WAITING_FRAGMENTS: usize = 1 << 16;
/// Messages that `overhead` keeps individually, for JSON and CSV; further ones are
/// only summed up: about 200 MiB.
pub const ACCOUNTED_MESSAGES: u64 = 1 << 20;
/// Connections that `overhead` keeps individually, for what-ifs: the first.
/// Further ones are only summed up.
pub const ACCOUNTED_CONNECTIONS: usize = 1 << 14;
/// Topics that `overhead` distinguishes; further ones count as one.
pub const ACCOUNTED_TOPICS: usize = 1 << 16;
/// Topics with QoS and direction that `overhead` distinguishes on each of its
/// connections (of those that are not kept individually, with the cost of a
/// message), over all of them: about 80 MiB. Further ones count as one topic.
pub const ACCOUNTED_GROUPS: usize = 1 << 18;
/// Sizes of messages that `overhead` distinguishes for each connection, topic, QoS
/// and direction. Further ones count as the nearest.
pub const ACCOUNTED_SHAPES: usize = 256;
/// Messages whose frames `overhead` keeps individually, to show a typical one.
pub const LADDERS: usize = 1024;
/// Payloads of a topic that `overhead` keeps to estimate compression. When there
/// are more, every second one is kept, then every fourth, and so on.
pub const SAMPLES: usize = 128;
/// Bytes of them.
pub const SAMPLE_BYTES: usize = 128 << 10;
/// Payloads that are compressed for a what-if, of all topics together.
pub const TRIED_PAYLOADS: usize = 24;
/// Topics that they are taken from: those with most bytes of payload.
pub const TRIED_TOPICS: usize = 8;
/// Topics of which payloads are kept for compression; the others are estimated by
/// their mean.
pub const SAMPLED_TOPICS: usize = 64;

/// Ended exchanges that `check` keeps for each direction of a session, to
/// distinguish a late duplicate of an answer from an answer to nothing.
pub const ENDED_EXCHANGES: usize = 64;
/// Control packets of one direction of a connection that broke a rule; `check`
/// keeps them because they excuse their answers. When there are more, all answers
/// are excused.
pub const FAULTY_PACKETS: usize = 4096;
/// Reasons to close a connection that `check` keeps for one connection: the first.
pub const CLOSE_CAUSES: usize = 4;
/// Sessions without a connection that `check` keeps. The oldest are evicted, and
/// counted.
pub const SESSIONS: usize = 1 << 16;
/// Subscriptions and exchanges of all these sessions: about 128 MiB. The oldest
/// sessions are evicted, and counted.
pub const SESSION_ITEMS: usize = 1 << 20;
/// Subscriptions that `check` keeps of a session. With more, what depends on them
/// is inconclusive.
pub const SUBSCRIPTIONS: usize = 4096;
/// Requests that `check` tracks until TCP acknowledges them, for each direction of
/// a connection. If those before them are not answered, it is inconclusive.
pub const UNACKED_REQUESTS: usize = 1024;
/// Findings that `check` keeps, for a report at the end or while their connection
/// is open; further ones are only counted.
pub const FINDINGS: usize = 100_000;
/// Publications, retained topics and wills of a server that `check` keeps, to match
/// deliveries with. The oldest make room, and their deliveries are not checked.
pub const PUBLICATIONS: usize = 4096;
/// Bytes of names and properties of those publications, and as much for retained
/// topics.
pub const PUBLICATION_BYTES: usize = 1 << 20;
/// Servers whose publications `check` keeps. The oldest are evicted, and counted.
pub const SERVERS: usize = 256;
/// Deliveries to a connection that `check` keeps. Further missing ones are not
/// looked for.
pub const DELIVERIES: usize = 64;
/// Number of open connections up to which `check` looks for missing deliveries.
pub const WATCHED_SUBSCRIBERS: usize = 64;

/// Connections whose TLS secrets are kept; the oldest are evicted: about 64 MiB.
pub const TLS_SESSIONS: usize = 1 << 17;
/// Maximum bytes in a line of a TLS key log; a longer one is skipped, and counted.
/// The longest useful line has 226.
pub const TLS_KEY_LINE: usize = 4096;
/// Bytes of TLS records of one connection buffered until their secrets arrive.
/// Beyond that they are not read, which is reported.
pub const TLS_WAITING: usize = 256 << 10;
/// Bytes kept of a TLS handshake message: the beginning. Hellos and certificates
/// have a few thousand.
pub const TLS_MESSAGE_KEPT: usize = 64 << 10;
/// Application protocols of a ClientHello that are kept: the first.
pub const TLS_ALPN: usize = 16;
/// Bytes kept of the name in a certificate, approximately; `…` stands for the rest.
pub const TLS_SUBJECT: usize = 1024;
/// Handshakes tracked on one TLS connection. After that it is not decrypted, which
/// is reported.
pub const TLS_HANDSHAKES: usize = 64;
/// Possible starts of a TLS record that are tracked at once after a gap. One in
/// 2²⁴ positions of ciphertext looks like one.
pub const TLS_CANDIDATES: usize = 64;
/// Bytes that may be decrypted unsuccessfully, for one direction of a connection,
/// to find a sequence number after a gap: some milliseconds. Then the search ends,
/// which is reported.
pub const TLS_TRIAL_BYTES: u64 = 4 << 20;
/// Additional such bytes for each byte that was sent.
pub const TLS_TRIAL_RATIO: u64 = 64;
/// Connections of the key log that are tried, newest first, when a ClientHello was
/// lost. If it is none of them, the connection is encrypted.
pub const TLS_STRANGERS: usize = 256;
/// KeyUpdates that a gap may have contained; after more, the direction is not
/// decrypted, which is reported.
pub const TLS_KEY_UPDATES: usize = 3;

/// Frames and events of a connection buffered until it is known what their sender
/// had received; longer than the time after which a gap is declared. Beyond that
/// they are taken as captured, and what their order could explain is inconclusive.
pub const BUFFERED_FRAMES: usize = 256;
/// Bytes of such frames over all connections.
pub const BUFFERED_BYTES: usize = 8 << 20;
/// Pauses of the whole capture, each shorter than the one before, that may hide a clock
/// that was set.
pub const PAUSES: usize = 64;
/// Closed connections whose late frames are attributed to them.
pub const CLOSED_CONNECTIONS: usize = 256;

/// Nesting depth of a decoded payload.
pub const PAYLOAD_DEPTH: usize = 64;
/// Bytes of the name of an entry whose key is not text, as it is printed. Keys in keys
/// are quoted again at each level, which doubles their length.
pub const PAYLOAD_NAME: usize = 4096;
/// Values in a decoded payload: about 4 MiB.
pub const PAYLOAD_VALUES: usize = 100_000;
/// Metric aliases defined by Sparkplug birth messages, over all edge nodes: about
/// 20 MiB. Further ones are counted.
pub const SPARKPLUG_ALIASES: usize = 200_000;
/// Keys of a `stats` table or period: about 100 MiB with their sizes.
pub const STATS_KEYS: usize = 100_000;
/// Exchanges of earlier connections of a session, the oldest, that are reported
/// when a connection ends without continuing them.
pub const CARRIED_OVERDUE: usize = 64;
/// Connections whose records `sessions` keeps until they are reported; beyond that,
/// the oldest are evicted.
pub const SESSION_RECORDS: usize = 200_000;
/// Packets that `-w` with `--annotate` writes comments on: about 200 MiB. Further
/// ones are saved without, and counted.
pub const ANNOTATED_PACKETS: usize = 1 << 21;
/// Ends of connections that are kept for each server, to see whether it closed all
/// of them at once: the latest. If it closed more, their number is a lower limit.
pub const SERVER_ENDS: usize = 4096;
/// Publications that `sessions --deliveries` keeps until they are delivered; beyond
/// that, the oldest are evicted.
pub const DELIVERED_PUBLICATIONS: usize = 200_000;
/// Publications that `tables` keeps until they are delivered: a row is written when one
/// leaves them. Somewhat less than a power of two, so that memory for those that have just
/// left them is not reserved anew.
pub const STREAMED_PUBLICATIONS: usize = 32_000;
/// Messages selected by `-Y` that `tables` remembers: findings that are only about earlier
/// ones have no rows.
pub const FILTERED_PACKETS: usize = 1 << 19;
/// Lines of a ladder that are kept; further ones are counted.
pub const LADDER_RUNGS: usize = 20_000;
/// Topics whose messages `sessions` counts individually; further ones are counted
/// as one.
pub const TOPIC_COUNTS: usize = 50_000;
/// Topics of which `sessions -v` measures how long acknowledgements take: those
/// that have one first. Those of the others are measured together.
pub const TOPIC_LATENCIES: usize = 256;

/// Packets of a capture that `reduce` reads, as it keeps the connection of each:
/// about 256 MiB. A larger capture is refused.
pub const REDUCED_PACKETS: usize = 1 << 26;
/// Bytes of packets that `reduce` keeps after it has left out connections. If more
/// are left, it leaves out nothing else, which is reported.
pub const REDUCED_BYTES: usize = 256 << 20;
/// Bytes of TLS keys that `reduce` keeps; more are refused.
pub const REDUCED_SECRETS: usize = 64 << 20;
/// Bytes of packets that `redact` holds until the control packets in them are
/// complete; a capture that needs more is refused.
pub const REDACT_HELD_BYTES: usize = 256 << 20;
/// Pseudonyms that `redact` remembers, and lists in its mapping. Further values are
/// replaced alike, but not listed, which is reported.
pub const REDACTED_VALUES: usize = 1 << 20;

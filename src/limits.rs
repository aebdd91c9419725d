//! Every bound on what input can make the program keep, in one place.
//!
//! Bounds are generous: honest traffic does not meet them. One that bites is
//! said, with an event or a count, and never changes silently what is shown.

/// Nested IP headers and tunnels that are followed in one packet.
pub const TUNNEL_DEPTH: usize = 8;
/// IP datagrams that may be waiting for fragments at once, or be remembered
/// to recognise second copies of their fragments.
pub const FRAGMENTED_DATAGRAMS: usize = 1024;
/// Bytes of IP fragments that may be waiting.
pub const FRAGMENT_BYTES: usize = 16 << 20;
/// Seconds (of capture time) a datagram may wait for its fragments, as RFC 791
/// and RFC 8200 have it.
pub const FRAGMENT_SECONDS: u64 = 60;
/// Levels of fragments within fragmented tunnels that are joined.
pub const FRAGMENT_DEPTH: usize = 3;
/// Frames of one 802.11 aggregate that are read: the standard's longest
/// aggregate has room for 715 empty ones.
pub const AGGREGATED_FRAMES: usize = 1024;
/// Directions of connections whose exported PDUs are counted at once; when
/// there are more, counting starts again.
pub const EXPORTED_STREAMS: usize = 1 << 16;
/// Largest captured packet that a file may claim, in bytes. tcpdump's own
/// largest snap length is 262,144; USB captures reach a few megabytes.
pub const PACKET_BYTES: usize = 16 << 20;
/// Largest pcapng block that is read, in bytes: the largest packet with its
/// header and options.
pub const BLOCK_BYTES: usize = PACKET_BYTES + (1 << 20);
/// Interfaces that one section of a pcapng file may describe.
pub const INTERFACES: usize = 1 << 16;

/// TCP connections that are kept at once; beyond it the longest idle ones are
/// given up.
pub const FLOWS: usize = 1 << 20;
/// Seconds of capture time after which a closed connection is forgotten, so
/// that stragglers still find it.
pub const CLOSED_SECONDS: u64 = 30;
/// Seconds of capture time after which a silent connection that has not carried
/// a byte is forgotten: nobody answers a port scan.
pub const IDLE_EMPTY_SECONDS: u64 = 300;
/// Seconds of capture time after which a silent connection that does not carry
/// MQTT is forgotten.
pub const IDLE_SECONDS: u64 = 2 * 3600;
/// Seconds of capture time after which a silent MQTT connection is forgotten:
/// one and a half times the longest Keep Alive (65,535 s), and some.
pub const IDLE_MQTT_SECONDS: u64 = 30 * 3600;

/// Seconds by which two packets in a row may advance the clock for all these
/// limits. More is a clock that was set, or a silence that says nothing of the
/// connections.
pub const CLOCK_STEP_SECONDS: u64 = 600;

/// Bytes of one direction of a connection that may wait for an earlier
/// segment. Linux lets a receive window grow to 6 MiB by default.
pub const WAITING_BYTES: usize = 8 << 20;
/// Bytes that may wait on all connections together.
pub const WAITING_BYTES_TOTAL: usize = 64 << 20;
/// What a waiting segment counts for besides its payload.
pub const WAITING_SEGMENT: usize = 64;
/// Packets of a connection after which bytes that the peer has acknowledged,
/// but the capture has not shown, are taken to be lost to the capture. Cards
/// with several queues, and captures on `any`, show an acknowledgement before
/// its data, but not by much.
pub const HOLE_PACKETS: u32 = 32;
/// The same in milliseconds of capture time, whichever comes first.
pub const HOLE_MILLIS: u64 = 1_000;
/// The same in packets when the peer was never seen, so that nothing is
/// acknowledged: then only a retransmission could fill the hole.
pub const BLIND_HOLE_PACKETS: u32 = 256;
/// And in milliseconds.
pub const BLIND_HOLE_MILLIS: u64 = 60_000;
/// Traffic (over all MQTT connections) that retransmissions are compared with,
/// in bytes.
pub const HISTORY_BYTES: usize = 1 << 20;

/// What layers tell of a connection is kept until it is known to carry MQTT: so
/// many notes.
pub const UNDECIDED_NOTES: usize = 16;
/// Bytes that wait in the layers of all connections together until it is clear
/// what they are or until their keys come, and that compressed ones look back
/// at. A connection that wants more gives up what it has.
pub const LAYERS_KEPT: usize = 128 << 20;

/// Bytes kept of a control packet other than PUBLISH while it is incomplete.
pub const PACKET_KEPT: usize = 1 << 20;
/// Bytes kept of topic and properties of a PUBLISH. Of one whose properties are
/// longer, the payload cannot be shown.
pub const PUBLISH_HEAD_KEPT: usize = 8 << 20;
/// Bytes kept of incomplete control packets on all connections together,
/// unless whole payloads were asked for.
pub const KEPT_TOTAL: usize = 64 << 20;
/// Bytes held while looking for the next control packet after framing was
/// lost.
pub const RESYNC_BYTES: usize = 64 << 10;
/// Bytes of an HTTP request or response that opens a WebSocket. Servers take
/// 8 KiB by default, some 16 KiB.
pub const UPGRADE_BYTES: usize = 16 << 10;
/// Header fields of it.
pub const UPGRADE_FIELDS: usize = 128;
/// Bytes that the compressed messages of one direction of a WebSocket may
/// inflate to, whatever was sent. Nothing is kept of them: this is about the time
/// that a few compressed bytes may cost.
pub const INFLATED_BYTES: u64 = 64 << 20;
/// Bytes more of them for each byte of payload that was sent. What is worth
/// sending is seldom compressed by a tenth of that; deflate gets to 1032.
pub const INFLATED_RATIO: u64 = 64;
/// Times that one direction of a WebSocket may break its format and be found
/// again.
pub const WEBSOCKET_BREAKS: u8 = 16;
/// Bytes of a compressed or masked WebSocket payload that are looked at for
/// evidence of MQTT while frames are lost.
pub const WEBSOCKET_GLANCE: usize = 512;

/// Bytes of topic names that the aliases of one direction may hold.
pub const ALIAS_BYTES: usize = 1 << 20;

/// Exchanges that are tracked over all connections, complete ones included: about
/// 128 MiB.
pub const TRACKED_EXCHANGES: usize = 1 << 20;
/// Complete exchanges that are tracked per connection, so that answers that come
/// twice still belong to them.
pub const SETTLED_EXCHANGES: usize = 1024;

/// Bytes of packets that saving from a pipe holds while it is undecided whether
/// their connections are wanted.
pub const SAVE_HELD_BYTES: usize = 64 << 20;
/// Connections that have closed and whose stragglers are saved from a pipe.
pub const SAVE_CLOSED: usize = 1 << 16;
/// Bytes of names and secrets that are written again at the start of each file
/// after the first.
pub const SAVE_CARRIED_BYTES: usize = 16 << 20;
/// Programs of `-z` that run at the same time.
pub const SAVE_COMMANDS: usize = 8;
/// Files that wait for theirs; beyond it, capturing waits too.
pub const SAVE_COMMANDS_WAITING: usize = 4096;
/// IP fragments that saving from files remembers, for its second pass: about
/// 32 MiB.
pub const SAVE_FRAGMENTS: usize = 1 << 21;
/// Runs of packets that `--save exchanges` remembers for its second pass: about
/// 128 MiB. Beyond it, whole connections are saved.
pub const SAVE_SPANS: usize = 1 << 22;

/// Frames of one direction of a connection that `overhead` has wait for what
/// their bytes are; beyond it, those within one control packet are put together.
/// More than [`BLIND_HOLE_PACKETS`], so that a gap is declared first.
pub const WAITING_FRAMES: usize = 1024;
/// Control packets of one direction of a connection of which `overhead`
/// remembers where they lie, while the peer has not acknowledged them.
pub const LABELS: usize = 1024;
/// The same while a frame waits for the rest of its labels: the largest IP
/// packet holds this many PINGREQ packets.
pub const WAITING_LABELS: usize = 1 << 15;
/// Stretches of one direction of a connection, by the layers below MQTT, that wait
/// for the ones before them, or until it is known to carry MQTT.
pub const UNORDERED_SPANS: usize = 1024;
/// Those of which `overhead` waits to hear which control packets they carry. A PUBLISH in full TLS records has room for 89 MB.
pub const WAITING_SPANS: usize = 1 << 14;
/// Control packets of one direction that wait for the stretches which carry them.
pub const WAITING_PACKETS: usize = 4096;
/// Segments of a connection that `overhead` keeps while nobody knows what it
/// carries.
pub const UNDECIDED_SEGMENTS: usize = 256;
/// IP fragments that `overhead` keeps while others of their datagram lack.
pub const WAITING_FRAGMENTS: usize = 1 << 16;
/// Messages that `overhead` keeps one by one, for JSON and CSV; more are in
/// the sums: about 200 MiB.
pub const ACCOUNTED_MESSAGES: u64 = 1 << 20;
/// Connections that `overhead` keeps one by one, and asks what else they could
/// have been; more are in the sums.
pub const ACCOUNTED_CONNECTIONS: usize = 1 << 14;
/// Topics that `overhead` tells apart; more count as one.
pub const ACCOUNTED_TOPICS: usize = 1 << 16;
/// Topics with QoS and direction that `overhead` tells apart on each of its
/// connections, over all of them: about 160 MiB. More count as one topic.
pub const ACCOUNTED_GROUPS: usize = 1 << 18;
/// Sizes of messages that `overhead` tells apart for each connection, topic,
/// QoS and direction.
pub const ACCOUNTED_SHAPES: usize = 256;
/// Messages whose frames `overhead` keeps one by one, to show a typical one.
pub const LADDERS: usize = 1024;
/// Payloads of a topic that `overhead` keeps for trying out compression.
pub const SAMPLES: usize = 128;
/// Bytes of them.
pub const SAMPLE_BYTES: usize = 128 << 10;
/// Payloads that are compressed for a what-if, of all topics together.
pub const TRIED_PAYLOADS: usize = 128;
/// Topics that they are taken from: those with most bytes of payload.
pub const TRIED_TOPICS: usize = 8;
/// Topics of which payloads are kept for it; the mean of these stands for the
/// others.
pub const SAMPLED_TOPICS: usize = 64;

/// Ended exchanges that `check` remembers for each direction of a session, to
/// tell late copies of an answer from answers to nothing.
pub const ENDED_EXCHANGES: usize = 64;
/// Reasons for which `check` waits for one connection to be closed.
pub const CLOSE_CAUSES: usize = 4;
/// Sessions without a connection that `check` remembers.
pub const SESSIONS: usize = 1 << 16;
/// Subscriptions and exchanges of all these: about 128 MiB.
pub const SESSION_ITEMS: usize = 1 << 20;
/// Subscriptions that `check` remembers of a session.
pub const SUBSCRIPTIONS: usize = 4096;
/// Requests that `check` follows until TCP acknowledges them, for each
/// direction of a connection.
pub const UNACKED_REQUESTS: usize = 1024;
/// Findings that `check` keeps, for a report at the end or while their connection
/// is open; more are only counted.
pub const FINDINGS: usize = 100_000;
/// Publications, retained topics and wills of a server that `check` remembers,
/// to match deliveries with.
pub const PUBLICATIONS: usize = 4096;
/// Bytes of names and properties of those publications, and again of those
/// retained topics.
pub const PUBLICATION_BYTES: usize = 1 << 20;
/// Servers of which `check` remembers what was published through them.
pub const SERVERS: usize = 256;
/// Deliveries to a connection that `check` remembers.
pub const DELIVERIES: usize = 64;
/// Connections of a server up to which `check` looks for deliveries that are
/// missing. With more of them it does not.
pub const WATCHED_SUBSCRIBERS: usize = 64;

/// Connections whose TLS secrets are kept; the oldest make room: about 64 MiB.
pub const TLS_SESSIONS: usize = 1 << 17;
/// Bytes of a line of a TLS key log. The longest that is of use has 226.
pub const TLS_KEY_LINE: usize = 4096;
/// Bytes of TLS records of one connection that may wait for their secrets.
pub const TLS_WAITING: usize = 256 << 10;
/// Bytes kept of a TLS handshake message. Hellos and certificates have a few
/// thousand.
pub const TLS_MESSAGE_KEPT: usize = 64 << 10;
/// Application protocols of a ClientHello that are kept.
pub const TLS_ALPN: usize = 16;
/// Bytes of the name in a certificate that are kept, or a little more.
pub const TLS_SUBJECT: usize = 1024;
/// Handshakes on one TLS connection that are followed.
pub const TLS_HANDSHAKES: usize = 64;
/// Places where a TLS record may begin that are followed at once, after a
/// hole. One in 2²⁴ positions of ciphertext looks like one.
pub const TLS_CANDIDATES: usize = 64;
/// Bytes that may be decrypted in vain, for one direction of a connection,
/// to find a sequence number after a hole: some milliseconds.
pub const TLS_TRIAL_BYTES: u64 = 4 << 20;
/// Bytes more of them for each byte that was sent.
pub const TLS_TRIAL_RATIO: u64 = 64;
/// Connections of the key log that are tried, newest first, when a ClientHello
/// was lost.
pub const TLS_STRANGERS: usize = 256;
/// KeyUpdates that may have been in a hole.
pub const TLS_KEY_UPDATES: usize = 3;

/// Frames and events of a connection that wait for what their sender had
/// received: for longer than a gap waits.
pub const HELD_FRAMES: usize = 256;
/// Bytes of frames that wait so, over all connections.
pub const HELD_BYTES: usize = 8 << 20;
/// Connections that closed and whose late frames are told from those of others.
pub const CLOSED_CONNECTIONS: usize = 256;

/// Containers within each other in a payload that is decoded.
pub const PAYLOAD_DEPTH: usize = 64;
/// Values in a payload that is decoded: about 4 MiB.
pub const PAYLOAD_VALUES: usize = 100_000;
/// Aliases of metrics that Sparkplug's births define, over all edge nodes: about
/// 20 MiB.
pub const SPARKPLUG_ALIASES: usize = 200_000;
/// Keys that messages are counted by, in a table or a period: about 100 MiB with
/// their sizes.
pub const STATS_KEYS: usize = 100_000;
/// Exchanges of earlier connections of a session, the oldest, that are reported
/// when a connection ends without continuing them.
pub const CARRIED_OVERDUE: usize = 64;
/// Connections whose records `sessions` keeps until they are reported; of more, the
/// oldest are evicted.
pub const SESSION_RECORDS: usize = 200_000;
/// Ends of connections that are kept of each server, to see that it closed all of
/// them at once.
pub const SERVER_ENDS: usize = 4096;
/// Publications that wait for their deliveries with `sessions --deliveries`; of more,
/// the oldest are evicted.
pub const DELIVERED_PUBLICATIONS: usize = 200_000;
/// Lines of a ladder that are kept; more are counted.
pub const LADDER_RUNGS: usize = 20_000;
/// Topics whose messages are counted by `sessions`; those of others are counted
/// together.
pub const TOPIC_COUNTS: usize = 50_000;

//! A dissector and analyser for MQTT 3.1, 3.1.1 and 5.0 in packet captures.
//!
//! The program `mqttdump` is a thin ring around this library. This page is the
//! tour: what comes in, what goes out, where things are, and where to add one.
//!
//! # Data flow
//!
//! ```text
//! Source ─CapturedPacket→ link, net ─Segment→ flow ─chunks→ layer ─→ mqtt ─MQTTFrame→ engine
//!  file      headers, tunnels,       order,        TLS,      framing,                  │ Output
//!  pipe      fragments               gaps          WebSocket decoding                  ↓
//!  device                                                                            facts
//!                                                                                      │ Fact
//!                                             ┌─────────┬──────────┬──────────┬────────┴┐
//!                                            read     check    overhead   sessions   metrics    each a Sink
//!                                             └─────────┴──────────┴──────────┴─────────┘
//!                                                               report → bytes
//! ```
//!
//! Each stage pushes values into the next; nothing is pulled, and no stage keeps
//! a reference to another. Packet bytes are borrowed from the reader's buffer
//! all the way to the report. Everything but [`capture`] and the program's own
//! `cli` is pure: it opens no file, reads no clock, prints nothing and starts no
//! thread.
//!
//! # Ten lines
//!
//! ```
//! use mqttdump::capture::{Capture, Item};
//! use mqttdump::engine::{Config, Engine, Output};
//!
//! let mut capture = Capture::open("fixtures/captures/fusesource-qos2.pcap".as_ref(), 0)?;
//! let mut engine = Engine::new(Config::default());
//! let mut print = |output: Output<'_>| {
//!     if let Output::Frame(frame) = output {
//!         println!("{frame}"); // MQTTFrame { type: CONNECT, qos: AT_MOST_ONCE, dup:false }
//!     }
//! };
//! while let Some(item) = capture.next()? {
//!     if let Item::Packet(packet) = item {
//!         engine.push(&packet.packet, &mut print);
//!     }
//! }
//! engine.finish(&mut print);
//! # Ok::<(), mqttdump::capture::Error>(())
//! ```
//!
//! What needs more than frames (exchanges, sessions, latency, payload digests)
//! implements [`facts::Sink`], declares its [`facts::Needs`] and is given to
//! [`facts::Facts`] instead of an engine of its own.
//!
//! # Where things are
//!
//! | module | knows |
//! |---|---|
//! | [`capture`] | files, pipes and interfaces: pcap, pcapng, snoop, compression, BPF, writing |
//! | [`link`], [`net`] | headers from the first captured byte to the TCP segment; tunnels, IP fragments |
//! | [`flow`] | TCP connections: order, gaps, duplicates, conflicts |
//! | [`layer`] | what lies between TCP and MQTT: TLS, WebSocket, PROXY |
//! | [`mqtt`] | control packets, their framing, and framing found again after a gap |
//! | [`engine`] | the stages wired together; which connections carry MQTT |
//! | [`facts`] | connections, sessions, exchanges, latency, digests, doubts: once, for every sink |
//! | [`select`], [`filter`] | which frames a user asked for: by option, by display filter |
//! | [`rules`] | the rules of the specifications, with clauses and conversations |
//! | [`overhead`] | the account of every captured byte, and what would change it |
//! | [`sessions`] | who connected, how a connection ended and why |
//! | [`payload`] | payload formats: JSON, CBOR, MessagePack, Protobuf, Sparkplug B |
//! | [`report`] | values to bytes: text, NDJSON, CSV, JUnit, SARIF … |
//! | [`limits`] | every limit on what input can make the program keep |
//!
//! # Where to add something
//!
//! | what | new file | and |
//! |---|---|---|
//! | a rule | a static in the file of its chapter in `rules/` | its entry in the list of that file |
//! | a report format | `report/…/<name>.rs` | its entry in the table of its command |
//! | a layer on TCP | `layer/<name>.rs` | its entry in the table of carriers in `engine/` |
//! | a link type | `link/<name>.rs` | its entry in [`link::LINKS`] |
//! | a tunnel | `net/tunnel/<name>.rs` | its entry in the table of ports or protocols there |
//! | a command | `cli/<name>.rs` | its entry in `cli/commands.rs` |
//!
//! The tables are the documentation as well: help, pages and tests walk them.
//! `tests/architecture.rs` holds the table of who may import whom, and fails when
//! an import crosses it.

pub mod capture;
pub mod clock;
pub mod direction;
pub mod engine;
pub mod event;
pub mod facts;
pub mod filter;
pub mod flow;
pub mod frame;
pub mod layer;
pub mod limits;
pub mod link;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod mqtt;
pub mod net;
pub mod overhead;
pub mod packet;
pub mod payload;
pub mod report;
pub mod rules;
pub mod select;
pub mod sessions;
pub mod stats;
pub mod time;

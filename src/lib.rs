//! A dissector and analyser for MQTT 3.1, 3.1.1 and 5.0 in packet captures.
//!
//! The program `mqttdump` is the command line of this library. This page describes
//! the data flow and the modules, gives an example, and lists the extension points.
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
//! Each stage pushes values into the next one and keeps no reference to it. Packet
//! bytes are borrowed from the reader's buffer all the way to the report; they are
//! copied only where a control packet spans segments or a segment arrives early.
//!
//! Everything except [`capture`] and the program's `cli` is pure: it opens no file,
//! reads no clock, prints nothing and starts no thread. The same code therefore
//! serves files, pipes and live capture, and tests push values into a stage and
//! compare the results.
//!
//! # Example
//!
//! This prints the control packets of a capture:
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
//! The engine outputs frames and events. An analysis that needs more (exchanges,
//! sessions, latency, payload digests) implements [`facts::Sink`], declares what it
//! needs in [`facts::Needs`], and is driven by [`facts::Facts`], which contains an
//! engine. Facts that no sink needs are not collected.
//!
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | [`capture`] | files, pipes and interfaces: pcap, pcapng, snoop, compression, BPF, writing |
//! | [`link`], [`net`] | headers from the first captured byte to the TCP segment; tunnels, IP fragments |
//! | [`flow`] | TCP connections: order, gaps, duplicates, conflicts |
//! | [`layer`] | protocols between TCP and MQTT: TLS, WebSocket, PROXY |
//! | [`mqtt`] | control packets, framing, resynchronisation after a gap |
//! | [`engine`] | connects the stages; recognises the connections that carry MQTT |
//! | [`facts`] | connections, sessions, exchanges, latency, digests, doubts; collected once for all sinks |
//! | [`select`], [`filter`] | selection of frames by options and display filters |
//! | [`rules`] | the rules of the specifications, with clauses and example conversations |
//! | [`overhead`] | the account of every captured byte, bills, what-ifs |
//! | [`sessions`] | a record of each connection: its end and cause, latency, deliveries |
//! | [`shard`] | division of captures among files, by flow or client; plans, manifests |
//! | [`redact`] | captures that can be shared: keyed pseudonyms in place of names and payloads |
//! | [`reduce`] | the smallest capture found that still gives a finding |
//! | [`stats`] | counts by topic, client, type, QoS or connection |
//! | [`payload`] | payload formats: JSON, CBOR, MessagePack, Protobuf, Sparkplug B |
//! | [`report`] | output formats: text, NDJSON, CSV, JUnit, SARIF … |
//! | [`limits`] | all limits on memory |
//!
//! # Extending
//!
//! | what | file | and |
//! |---|---|---|
//! | a rule | a static in a file of `rules/` | an entry in the list at the top of that file |
//! | a report format | `report/…/<name>.rs` | an entry in the table of its result type, such as [`report::REPORTS`] |
//! | a layer on TCP | `layer/<name>.rs` | its entry in [`layer::LAYERS`] |
//! | a link type | `link/<name>.rs` | an entry in [`link::LINKS`] |
//! | a tunnel | `net/tunnel/<name>.rs` | an entry in the table of ports or protocols there |
//! | a command | `cli/<name>.rs` | an entry in `cli/commands.rs` |
//!
//! To add a rule: copy a rule of the same file; change its requirement, its reason, the
//! side that it binds, its clauses, its three conversations (good, bad, cut) and its
//! function; add it to the list. `cargo test rules` runs the conversations,
//! and `BLESS=1 cargo test catalogue` writes its page in `docs/rules`. The module
//! documentation of [`rules`], [`report`] and [`link`] has the details.
//!
//! To add a command: implement `Command` (see `cli/command.rs`) for the struct of its
//! options, and a `Job` (see `cli/driver`) around a [`facts::Sink`]. The driver
//! opens, filters, reads and saves; `cli/stats.rs` is a short example.
//!
//! Help, documentation pages and tests are generated from these tables.
//! `tests/architecture.rs` lists the imports that each module may have, and fails on
//! any other.

#[macro_use]
mod reasons;

pub mod capture;
pub mod clock;
pub mod direction;
pub mod engine;
pub mod event;
pub mod facts;
pub mod filter;
pub mod flow;
pub mod frame;
pub mod identity;
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
pub mod redact;
pub mod reduce;
pub mod report;
pub mod rules;
pub mod select;
pub mod sessions;
pub mod shard;
pub mod stats;
#[cfg(feature = "tables")]
pub mod tables;
pub mod time;

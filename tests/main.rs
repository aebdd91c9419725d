//! The one integration test binary: linked once, run in parallel.
//!
//! Contents:

/// Tools of the tests: transcripts, the wire, capture files.
#[allow(dead_code, unreachable_pub)]
mod support;

/// Any options, settings and damaged captures.
#[cfg(unix)]
mod arbitrary;
/// Who may import whom in `src`, and the limits of the core.
mod architecture;
/// Captures with known verdicts.
mod cases;
/// Every statement of the specifications has a rule or a reason; the pages of
/// the rules are up to date.
mod catalogue;
/// No file of `src` needs itself through others.
mod circles;
/// Jobs on clusters, against one process.
mod clusters;
/// The same part of every packet or connection is missing: snap lengths, one direction.
mod cuts;
/// README, help and manual match the program.
mod docs;
/// One conversation in every link type, tag and tunnel.
mod encapsulations;
/// Hostile text in every format of every command.
mod escaping;
/// A fault excuses its consequences.
mod excuses;
/// Captures with their frames written down beside them.
mod expected_frames;
/// Builds files for other programs to read; ignored unless asked for.
mod export;
/// Payloads as files, packets of exchanges, bytes typed in hexadecimal.
mod extract;
/// Display filters, and the same by tshark.
mod filters;
/// Files that grow while they are read.
mod follow;
/// The fuzz targets, called with seeds and captures.
mod fuzz;
/// Whole runs of the program against stored output; wrong inputs; pipes.
mod golden;
/// Input made to hurt: lengths, floods, mutations, memory.
mod hostile;
/// Identities of connections, sessions and exchanges.
mod identities;
/// Kinds of conversations, and the findings on each.
mod kinds;
/// Laws of accounting, over generated and real traffic.
mod laws;
/// The page of limits lists every limit, and the tests that it names exist.
mod limits;
/// Cost of a lost segment over TLS and WebSocket.
mod losses;
/// A ceiling of memory over all hostile captures.
mod memory;
/// The order of capture.
mod order;
/// Output for other programs.
mod others;
/// Every byte accounted for, against the accounts of others.
mod overhead;
/// Payloads, against other decoders.
mod payloads;
/// Promises of the command line.
mod promises;
/// The same conversation in many encodings: one expectation, many paths.
mod properties;
/// Situations from bug reports, and the output for them.
mod reading;
/// Captures that can be shared.
mod redact;
/// A small capture with the same finding.
mod reduce;
/// A capture in several files, read one by one.
mod rotation;
/// The rules by their conversations, and on captures.
mod rules;
/// What the program may no longer do once its files are open.
mod sandbox;
/// Saving: files one after another, full disks, signals.
mod save;
/// Output for other programs, by their schemas.
mod schemas;
/// Which rules a connection alone decides.
mod scopes;
/// How connections end, and the evidence for it.
mod sessions;
/// `sessions` as a program: selection, formats, the page in a browser.
mod sessions_program;
/// The packets of captures, divided among files.
mod shard;
/// Some shards of a capture, without the others.
mod shard_alone;
/// Laws of shards: frames, findings and accounts are those of the capture.
mod shard_laws;
/// Every split point, every carrier, every file format, exhaustively.
mod splits;
/// Full disks, closed pipes, signals, limits of the system.
#[cfg(unix)]
mod surroundings;
/// Captures as tables.
mod tables;
/// Output on terminals of several widths.
#[cfg(unix)]
mod terminal;
/// Several captures at once.
mod threads;
/// One test per way in which TCP and captures depart from the ideal.
mod transport;
/// MQTT over TLS and WebSocket: the same frames as in clear.
mod transports;
/// How the program is called: settings, help, mistakes.
mod usage;
/// The same findings, however the conversation was carried.
mod verdicts;
/// Interim and live reports.
mod watching;

//! Reports: frames and events become bytes.
//!
//! ```text
//! MQTTFrame ─┐                 ┌─ text    one line for a reader, dumps, colour
//!            ├─ trait Report ──┼─ ndjson  one JSON object per line, for programs
//! Event ─────┘                 └─ csv     one row per frame, for tables
//! ```
//!
//! A report turns values into bytes and appends them to a buffer. It never
//! fetches, waits, prints or decides what is shown: selecting happened before,
//! and writing the buffer out (to a file, a pipe, a terminal) happens after.
//! So every format is tested by *give it this, expect these bytes*.
//!
//! What a format prints is a promise to other people's scripts; it is told in
//! `docs/formats.md`, whose examples are checked by the tests of this module.
//!
//! # Adding a format
//!
//! 1. `src/report/<name>.rs`: a type that implements [`Report`], and a
//!    `pub static` [`Format`] that makes one.
//! 2. Here: `mod <name>;` and an entry in [`REPORTS`], which feeds `--format`,
//!    its help and the completions.
//! 3. `docs/formats.md`: what it promises.
//!
//! Text from the wire goes through `escape` unless the format has escapes of
//! its own, and a password is written only with [`Options::show_secrets`].

mod csv;
mod escape;
pub mod findings;
mod layer;
mod message;
mod ndjson;
pub mod overhead;
mod put;
#[cfg(test)]
#[allow(dead_code)]
mod sample;
mod secret;
pub mod sessions;
mod text;
mod utc;

use crate::event::Event;
use crate::frame::MQTTFrame;

pub use csv::CSV;
pub use ndjson::NDJSON;
pub use text::{Detail, Dump, TEXT, TextOptions, TextReport, TimeStyle};

/// A report format at work. It appends bytes and keeps only what the next line
/// needs, such as the time of the previous one.
pub trait Report {
    /// What comes before everything else, such as the heading of a table.
    fn begin(&mut self, _out: &mut Vec<u8>) {}

    /// A frame. `topic_unknown` marks one that was kept by a topic selection
    /// only because nobody can tell its topic.
    fn frame(&mut self, frame: &MQTTFrame<'_>, topic_unknown: bool, out: &mut Vec<u8>);

    /// Something that is not a frame.
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>);

    /// Whether the format has a place for events. Where it has none,
    /// [`Report::event`] does nothing, and the caller hands events to a
    /// [`TextReport`] on standard error instead.
    fn takes_events(&self) -> bool {
        true
    }

    /// Text about the link header (`-e`) of the packet that completes the
    /// frames to come, shown by formats meant for reading until it is set
    /// again; empty for none.
    fn link_header(&mut self, _text: &str) {}
}

/// A format that can be asked for by name.
pub struct Format {
    /// The name, as in `--format NAME`.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// Makes a report of this format.
    pub new: fn(&Options) -> Box<dyn Report>,
}

/// All formats; the first is the default.
pub static REPORTS: &[&Format] = &[&TEXT, &NDJSON, &CSV];

/// What the formats are told.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of the capture's parts, by the index in `PacketRef::file`. With
    /// fewer than two, no line names a file.
    pub files: Vec<String>,
    /// Print passwords, which otherwise appear as `***`.
    pub show_secrets: bool,
    /// What concerns the text format only.
    pub text: TextOptions,
}

impl Options {
    /// The name of a part of the capture, when there are several.
    fn file(&self, packet: crate::packet::PacketRef) -> Option<&str> {
        if self.files.len() < 2 {
            return None;
        }
        let index = usize::try_from(packet.file).ok()?;
        self.files.get(index).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// One of every packet type gives a line in every format, and no format
    /// lets a control character or a password through.
    #[test]
    fn every_packet_type_gives_one_line() {
        for format in REPORTS {
            let mut report = (format.new)(&Options::default());
            for (name, sample) in sample::all() {
                let mut out = Vec::new();
                sample.with(|frame| report.frame(frame, false, &mut out));
                let line = String::from_utf8(out).expect("reports are UTF-8");
                let body = line.strip_suffix('\n').expect("a line ends");
                assert!(
                    !body.contains(char::is_control),
                    "{} {name}: {line}",
                    format.name
                );
                assert!(!body.contains("S3CRET"), "{} {name}: {line}", format.name);
                if format.name == "ndjson" {
                    let object: serde_json::Value = serde_json::from_str(body).expect(name);
                    assert!(object["type"].is_string() && object["length"].is_u64());
                }
            }
        }
    }

    #[test]
    fn formats_are_told_apart_and_explained() {
        let names: BTreeSet<_> = REPORTS.iter().map(|format| format.name).collect();
        assert_eq!(names.len(), REPORTS.len());
        for format in REPORTS {
            assert!(format.name.bytes().all(|b| b.is_ascii_lowercase()));
            assert!(!format.help.is_empty() && !format.help.contains('\n'));
        }
        assert_eq!(REPORTS.first().map(|format| format.name), Some("text"));
    }
}

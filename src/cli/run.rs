//! Carries a [`Plan`] out: packets in, lines (and packets) out.
//!
//! ```text
//! Merge ─Item→ Filter ─→ Engine ─→ Selector ─→ Report ─→ Output
//!          └──────────→ Writer (-w)
//! ```
//! Everything readable is reported before a complaint about what is not; a
//! reader who closes the pipe ends the work, and is content.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use jiff::tz::TimeZone;

use mqttdump::capture::{self, Capture, Filter, Item, Merge, Writer};
use mqttdump::engine::{Engine, Output as Pushed};
use mqttdump::net;
use mqttdump::packet::CapturedPacket;
use mqttdump::report::{
    self, Detail, Dump, Options, REPORTS, Report, TextOptions, TextReport, TimeStyle,
};
use mqttdump::select::{Selector, Verdict};

use super::complain;
use super::config::{Expression, Plan, Print};
use super::output::{Ended, Output};
use super::progress::Progress;

/// Reads the capture and does what was asked with it.
pub(crate) fn run(plan: Plan) -> ExitCode {
    match Run::new(plan).and_then(Run::drive) {
        Ok(code) => code,
        Err(Stopped::ReaderGone) => ExitCode::SUCCESS,
        Err(Stopped::Because(message)) => {
            complain(&message);
            ExitCode::from(2)
        }
    }
}

/// Why the work ends early.
enum Stopped {
    ReaderGone,
    Because(String),
}

impl From<Ended> for Stopped {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::ReaderGone => Self::ReaderGone,
            Ended::Failed(error) => Self::Because(format!("standard output: {error}")),
        }
    }
}

impl From<capture::Error> for Stopped {
    fn from(error: capture::Error) -> Self {
        match error.is_closed_pipe() {
            true => Self::ReaderGone,
            false => Self::Because(error.to_string()),
        }
    }
}

struct Run {
    plan: Plan,
    merge: Merge,
    filter: Option<Filter>,
    writer: Option<Writer>,
    engine: Engine,
    /// What was wrong with the input; told after everything readable.
    complaints: Vec<String>,
}

/// What frames and events become.
struct Printer {
    report: Box<dyn Report>,
    /// Where events go when the format has no place for them.
    events: Option<TextReport>,
    show_events: bool,
    lines: Output<Box<dyn Write>>,
    selector: Selector,
    print: bool,
    frames: u64,
    max_frames: u64,
}

impl Run {
    fn new(plan: Plan) -> Result<Self, Stopped> {
        let mut captures = Vec::new();
        let mut complaints = Vec::new();
        for (file, path) in (0..).zip(&plan.sources) {
            match Capture::open(path, file) {
                Ok(capture) => captures.push(capture),
                Err(error) => complaints.push(error.to_string()),
            }
        }
        if captures.is_empty() {
            let mut complaints = complaints.into_iter();
            let last = complaints.next_back().unwrap_or_default();
            complaints.for_each(|message| complain(&message));
            return Err(Stopped::Because(last));
        }
        let links: Vec<_> = captures
            .iter()
            .filter_map(|capture| capture.interface().map(|interface| interface.link_type))
            .collect();
        let filter = match expression(&plan.expression)? {
            Some(text) => Some(
                Filter::new(&text, &links).map_err(|error| Stopped::Because(error.to_string()))?,
            ),
            None => None,
        };
        let writer = match &plan.save {
            Some(save) => {
                refuse_overwriting(&save.path, &plan.sources)?;
                let mut how = capture::Plan::new(&save.path, &captures);
                how.flush = save.packet_buffered;
                let files: Vec<&Path> = plan
                    .sources
                    .iter()
                    .map(AsRef::as_ref)
                    .filter(|path: &&Path| path.is_file())
                    .collect();
                how.look_ahead(&files);
                Some(Writer::create(&save.path, how)?)
            }
            None => None,
        };
        Ok(Self {
            engine: Engine::new(plan.engine.clone()),
            merge: Merge::new(captures),
            plan,
            filter,
            writer,
            complaints,
        })
    }

    fn drive(mut self) -> Result<ExitCode, Stopped> {
        let mut printer = Printer::new(&self.plan);
        let mut progress = Progress::new(self.plan.progress);
        let (mut packets, mut hidden) = (0_u64, 0_u64);
        // Frames are needed for printing and counting, not for copying.
        let reading = self.plan.print.is_some() || self.plan.count;
        printer.begin();
        loop {
            if self.merge.may_wait() {
                printer.lines.flush()?;
            }
            let item = match self.merge.next() {
                Ok(Some(item)) => item,
                Ok(None) => break,
                // Another file may go on, so this is not the end.
                Err(error) => {
                    self.complaints.push(error.to_string());
                    continue;
                }
            };
            let packet = match &item {
                Item::Packet(packet) => packet.packet,
                Item::Block(_) => {
                    if let Some(writer) = &mut self.writer {
                        writer.item(&item)?;
                    }
                    continue;
                }
            };
            if let Some(filter) = &mut self.filter {
                let passes = filter.matches(&packet).unwrap_or_else(|error| {
                    self.complaints.push(error.to_string());
                    false
                });
                if !passes {
                    hidden += u64::from(hidden_by_encapsulation(filter, &packet));
                    continue;
                }
            }
            if let Some(writer) = &mut self.writer {
                writer.item(&item)?;
            }
            packets += 1;
            if reading {
                self.engine
                    .push(&packet, &mut |pushed| printer.take(pushed));
            }
            printer.lines.settle()?;
            let merge = &self.merge;
            progress.step(|| (merge.position(), merge.size()));
            if self.plan.max_packets.is_some_and(|max| packets >= max) || printer.is_full() {
                break;
            }
        }
        progress.clear();
        if !printer.is_full() {
            self.engine.finish(&mut |pushed| printer.take(pushed));
        }
        if self.plan.count {
            let count = printer.frames;
            let line = format!("{count} message{}\n", if count == 1 { "" } else { "s" });
            printer.lines.lines.extend(line.as_bytes());
        }
        printer.lines.flush()?;
        if let Some(writer) = self.writer.take() {
            writer.finish()?;
        }
        Ok(self.conclude(packets, hidden, reading))
    }

    /// What remains to be said, on standard error, and the exit code.
    fn conclude(self, packets: u64, hidden: u64, reading: bool) -> ExitCode {
        let summary = self.engine.summary();
        let mut nothing_decodable = false;
        for (link_type, count) in &summary.undecodable {
            complain(&format!(
                "{count} packet{} of link type {link_type} ({}) cannot be decoded",
                plural(*count),
                link_type.0
            ));
            nothing_decodable |= reading && *count == packets;
        }
        if summary.other_connections > 0 && self.plan.selection.is_empty() && reading {
            let other = summary.other_connections;
            complain(&format!(
                "{other} TCP connection{} without MQTT",
                plural(other)
            ));
        }
        if hidden > 0 {
            complain(&format!(
                "{hidden} packet{} matched only inside a VLAN tag or tunnel, which the BPF \
                 expression does not look into (try: vlan and …)",
                plural(hidden)
            ));
        }
        for message in &self.complaints {
            complain(message);
        }
        match self.complaints.is_empty() && !nothing_decodable {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(2),
        }
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The BPF expression, from where it is written.
fn expression(expression: &Expression) -> Result<Option<String>, Stopped> {
    let path = match expression {
        Expression::All => return Ok(None),
        Expression::Text(text) => return Ok(Some(text.clone())),
        Expression::File(path) => path,
    };
    let text = match path.as_os_str() == "-" {
        true => io::read_to_string(io::stdin().lock()),
        false => std::fs::read_to_string(path),
    };
    let text = text.map_err(|error| Stopped::Because(format!("{}: {error}", path.display())))?;
    // As in tcpdump, # begins a comment.
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .collect();
    Ok(Some(lines.join(" ")))
}

/// Whether a packet that the expression refused would have passed without
/// what is around its innermost IP packet.
fn hidden_by_encapsulation(filter: &mut Filter, packet: &CapturedPacket<'_>) -> bool {
    net::inner_ip(packet).is_some_and(|inner| filter.matches_raw_ip(inner))
}

/// `-w` must not destroy what `-r` reads.
fn refuse_overwriting(to: &Path, sources: &[std::path::PathBuf]) -> Result<(), Stopped> {
    let Ok(target) = to.canonicalize() else {
        return Ok(());
    };
    match sources
        .iter()
        .any(|from| from.canonicalize().is_ok_and(|from| from == target))
        && to.is_file()
    {
        true => Err(Stopped::Because(format!(
            "{}: -w would overwrite the file that -r reads",
            to.display()
        ))),
        false => Ok(()),
    }
}

impl Printer {
    fn new(plan: &Plan) -> Self {
        let options = plan
            .print
            .as_ref()
            .map(|print| options(print, plan))
            .unwrap_or_default();
        let format = plan
            .print
            .as_ref()
            .map_or("text", |print| print.format.name());
        let new = REPORTS
            .iter()
            .find(|report| report.name == format)
            .map_or(report::TEXT.new, |report| report.new);
        let report = new(&options);
        let events = (!report.takes_events()).then(|| TextReport::new(&options));
        let to: Box<dyn Write> = match plan.print.as_ref().is_some_and(|print| print.to_stderr) {
            true => Box::new(io::stderr()),
            false => Box::new(io::stdout()),
        };
        Self {
            report,
            events,
            show_events: plan.print.as_ref().is_some_and(|print| print.events),
            lines: Output::new(
                to,
                plan.print.as_ref().is_some_and(|print| print.line_buffered),
            ),
            selector: Selector::new(plan.selection.clone()),
            print: plan.print.is_some(),
            frames: 0,
            max_frames: plan.max_frames.unwrap_or(u64::MAX),
        }
    }

    fn begin(&mut self) {
        if self.print {
            self.report.begin(&mut self.lines.lines);
        }
    }

    /// Whether as many frames were shown as were asked for.
    fn is_full(&self) -> bool {
        self.frames >= self.max_frames
    }

    fn take(&mut self, pushed: Pushed<'_>) {
        if self.is_full() {
            return;
        }
        match pushed {
            Pushed::Frame(frame) => {
                let verdict = self.selector.frame(frame);
                if !verdict.is_shown() {
                    return;
                }
                self.frames += 1;
                if self.print {
                    let unknown = verdict == Verdict::TopicUnknown;
                    self.report.frame(frame, unknown, &mut self.lines.lines);
                }
            }
            Pushed::Event(event) => {
                if !self.selector.event(event) || !self.show_events {
                    return;
                }
                match &mut self.events {
                    Some(text) => {
                        let mut line = Vec::new();
                        text.event(event, &mut line);
                        let _ = io::stderr().lock().write_all(&line);
                    }
                    None => self.report.event(event, &mut self.lines.lines),
                }
            }
        }
    }
}

fn options(print: &Print, plan: &Plan) -> Options {
    Options {
        files: plan
            .sources
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        show_secrets: print.secrets,
        text: TextOptions {
            detail: match (print.quiet, print.detail) {
                (true, _) => Detail::Notation,
                (false, 0) => Detail::Line,
                (false, 1) => Detail::Fields,
                (false, _) => Detail::Everything,
            },
            time: match print.time {
                0 => TimeStyle::TimeOfDay,
                1 => TimeStyle::None,
                2 => TimeStyle::Epoch,
                3 => TimeStyle::SincePrevious,
                4 => TimeStyle::DateTime,
                _ => TimeStyle::SinceFirst,
            },
            nanoseconds: false,
            zone: TimeZone::system(),
            dump: match (print.hex_ascii, print.hex, print.ascii) {
                (true, _, _) => Some(Dump::HexAscii),
                (_, true, _) => Some(Dump::Hex),
                (_, _, true) => Some(Dump::Ascii),
                _ => None,
            },
            number: print.number,
            colour: print.colour,
            width: print.width,
        },
    }
}

//! Selects, counts and prints frames and events.

use std::io::{self, Write};

use jiff::tz::TimeZone;
use mqttdump::facts::{Fact, FrameFact, Needs, Sink};
use mqttdump::payload::{Decoder, Lazy, Message};
use mqttdump::report::{
    Detail, Dump, Format, FrameItem, Frames, Options, PAYLOAD_BYTES, Report, Style, TEXT,
    TextOptions, TextReport, TimeStyle,
};
use mqttdump::select::{Selector, Verdict};
use mqttdump::time::Timestamp;

use super::args::{Lines, Output as OutputArgs};
use super::export::Export;
use super::memory;
use super::output::{Ended, Output};
use super::save::Connections;
use super::source::Source;
use super::stop::Stop;
use super::surroundings::Surroundings;

/// Options of printing.
pub(crate) struct Print {
    /// The format.
    pub(crate) format: &'static Format<Frames>,
    /// Print events; not with `-q`.
    pub(crate) events: bool,
    /// `MQTTFrame { … }` alone.
    pub(crate) quiet: bool,
    /// Level of detail, 0 to 2.
    pub(crate) detail: u8,
    /// Layout of each message.
    pub(crate) style: Style,
    /// Escape cells that a spreadsheet would run.
    pub(crate) csv_safe: bool,
    /// Bytes as text.
    pub(crate) ascii: bool,
    /// Bytes in hexadecimal.
    pub(crate) hex: bool,
    /// Bytes in hexadecimal and as text.
    pub(crate) hex_ascii: bool,
    /// Print the link-layer header: `-e`.
    pub(crate) link: bool,
    /// Number of `-t`, 0 to 5.
    pub(crate) time: u8,
    /// Print packet numbers.
    pub(crate) number: bool,
    /// Nanoseconds instead of microseconds.
    pub(crate) nanoseconds: bool,
    pub(crate) absolute: bool,
    /// Print passwords.
    pub(crate) secrets: bool,
    /// Time zone of printed times.
    pub(crate) zone: TimeZone,
    /// Terminal colours.
    pub(crate) colour: bool,
    /// Columns of the terminal, if lines go to one.
    pub(crate) width: Option<usize>,
    /// Write each line as soon as it is complete.
    pub(crate) line_buffered: bool,
    /// Print decoded payloads.
    pub(crate) payloads: bool,
    /// Print to standard error, because standard output has the packets of `-w -`.
    pub(crate) to_stderr: bool,
}

impl Print {
    /// `to_stderr`: standard output has packets.
    pub(crate) fn new(
        args: &Lines,
        output: &OutputArgs,
        around: &Surroundings<'_>,
        zone: TimeZone,
        to_stderr: bool,
    ) -> Self {
        let terminal = match to_stderr {
            true => around.stderr_terminal,
            false => around.stdout_terminal,
        };
        Self {
            // The names were checked when they were parsed.
            format: match args.payload_only {
                true => &PAYLOAD_BYTES,
                false => format(&args.format).unwrap_or(&TEXT),
            },
            events: !args.quiet,
            quiet: args.quiet,
            detail: args.verbose.min(2),
            style: match args.style.as_deref() {
                Some("line") => Style::Line,
                Some(_) => Style::Compact,
                // -v prints fields and bytes, which need the whole line.
                None if terminal && args.verbose == 0 => Style::Compact,
                None => Style::Line,
            },
            csv_safe: args.csv_safe,
            ascii: args.ascii,
            hex: args.hex > 0,
            hex_ascii: args.hex_ascii > 0,
            link: args.link_header,
            time: args.time,
            number: args.number,
            nanoseconds: args.nano,
            absolute: args.absolute,
            secrets: args.show_secrets,
            zone,
            colour: output.color.is_on(around.colour && !to_stderr),
            width: around.columns.filter(|_| terminal),
            line_buffered: output.line_buffered || terminal,
            payloads: false,
            to_stderr,
        }
    }
}

impl Print {
    /// Lines of control packets that have no time and no connection.
    pub(crate) fn of_bytes(&self) -> Box<dyn Report<Frames>> {
        let mut options = options(self, Vec::new());
        options.text.style = Style::Line;
        options.text.time = TimeStyle::None;
        options.text.bare = true;
        (TEXT.new)(&options)
    }
}

/// Selects, counts and prints frames and events.
pub(crate) struct View {
    /// `None` if everything is selected.
    selector: Option<Selector>,
    /// Decodes payloads, if they are printed or filtered.
    decoder: Option<Decoder>,
    printer: Option<Printer>,
    /// Number of selected frames.
    pub(crate) shown: u64,
    /// Number of messages that were not kept whole, for lack of memory.
    pub(crate) unkept: u64,
    max_frames: u64,
    /// Connections that were selected and closed, if they are saved.
    pub(crate) connections: Option<Connections>,
    /// Writes payloads to files.
    pub(crate) export: Option<Export>,
}

impl View {
    /// `connections`: collect selected and closed connections.
    pub(crate) fn new(
        selector: Option<Selector>,
        decoder: Option<Decoder>,
        print: Option<&Print>,
        source: &Source,
        max_frames: Option<u64>,
        connections: Option<Connections>,
        export: Option<Export>,
    ) -> Self {
        Self {
            selector,
            decoder,
            printer: print.map(|print| Printer::new(print, source)),
            shown: 0,
            unkept: 0,
            max_frames: max_frames.unwrap_or(u64::MAX),
            connections,
            export,
        }
    }

    /// Whether every frame is printed as it is, and nothing else is done with it.
    #[inline]
    fn shows_all(&self) -> bool {
        self.selector.is_none()
            && self.decoder.is_none()
            && self.connections.is_none()
            && self.export.is_none()
    }

    /// Prints a frame of which nothing more than that is wanted.
    #[inline]
    fn show(&mut self, fact: &FrameFact<'_>) {
        self.shown += 1;
        if let Some(printer) = &mut self.printer {
            let item = FrameItem::Frame {
                frame: fact.frame,
                exchange: fact.exchange,
                payload: None,
                topic_unknown: false,
            };
            printer.report.put(&item, &mut printer.out.lines);
            printer.out.spill();
        }
    }

    /// Whether the limit of `--frames` is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.shown >= self.max_frames
    }

    /// Sets the capture time of the next packet.
    pub(crate) fn packet(&mut self, time: Timestamp) {
        if let Some(selector) = &mut self.selector {
            selector.packet(time);
        }
    }

    /// Sets the link header of the next packet, if headers are printed.
    pub(crate) fn link_header(&mut self, text: impl FnOnce() -> String) {
        if let Some(printer) = self.printer.as_mut().filter(|printer| printer.link) {
            let item = FrameItem::LinkHeader(&text());
            printer.report.put(&item, &mut printer.out.lines);
        }
    }

    /// Between two packets: writes what it is time to write.
    #[inline]
    pub(crate) fn settle(&mut self) -> Result<(), Stop> {
        if let Some(export) = &mut self.export {
            export.settle()?;
        }
        if let Some(printer) = &mut self.printer {
            printer.each_output(Output::settle)?;
        }
        Ok(())
    }

    /// Writes everything.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        if let Some(export) = &mut self.export {
            export.flush()?;
        }
        if let Some(printer) = &mut self.printer {
            printer.each_output(Output::flush)?;
        }
        Ok(())
    }
}

impl Sink for View {
    fn needs(&self) -> Needs {
        let selecting = self.selector.as_ref().map(Selector::needs);
        let printing = self.printer.as_ref().map(|printer| printer.needs);
        let fields = Needs::FIELDS.when(self.decoder.is_some() || self.export.is_some());
        let saves_exchanges = |it: &Connections| it.exchanges.is_some();
        let saving = Needs::EXCHANGES.when(self.connections.as_ref().is_some_and(saves_exchanges));
        selecting.unwrap_or(Needs::NONE) | printing.unwrap_or(Needs::NONE) | saving | fields
    }

    fn fact(&mut self, fact: Fact<'_>) {
        if self.is_full() {
            return;
        }
        match fact {
            Fact::Frame(fact) if self.shows_all() => self.show(&fact),
            Fact::Frame(fact) => {
                let frame = fact.frame;
                let (verdict, payload) = select(&mut self.selector, &mut self.decoder, &fact);
                if let Some(connections) = &mut self.connections {
                    connections.frame(&fact, verdict.is_shown());
                }
                if !verdict.is_shown() {
                    return;
                }
                self.shown += 1;
                if let Some(export) = &mut self.export
                    && let Some(message) = Message::of(frame)
                {
                    let decoded = payload.as_ref().and_then(Lazy::get);
                    export.frame(frame, &message, decoded);
                }
                if let Some(Printer {
                    report,
                    out,
                    payloads,
                    ..
                }) = &mut self.printer
                {
                    let decoded = payload.as_ref().filter(|_| *payloads);
                    let item = FrameItem::Frame {
                        frame,
                        exchange: fact.exchange,
                        payload: decoded.and_then(Lazy::get),
                        topic_unknown: verdict == Verdict::TopicUnknown,
                    };
                    report.put(&item, &mut out.lines);
                    out.spill();
                }
            }
            Fact::Ended(ended) => {
                if let Some(news) = &mut self.connections {
                    news.ended(ended.connection.number);
                }
                if let Some(printer) = &mut self.printer {
                    let item = FrameItem::Ended(ended.connection.number);
                    printer.report.put(&item, &mut printer.out.lines);
                }
            }
            Fact::Event(event) => {
                self.unkept += u64::from(memory::is_cut(event));
                let shown = match &self.selector {
                    Some(selector) => selector.event(event),
                    None => true,
                };
                if let Some(printer) = self.printer.as_mut().filter(|_| shown) {
                    let item = FrameItem::Event(event);
                    match &mut printer.events {
                        Events::InPlace => printer.report.put(&item, &mut printer.out.lines),
                        Events::Apart(report, out) => report.put(&item, &mut out.lines),
                        Events::Nowhere => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn earlier(&mut self, fact: Fact<'_>, _: Timestamp) {
        if let Fact::Frame(fact) = fact {
            select(&mut self.selector, &mut self.decoder, &fact);
        }
    }

    fn finish(&mut self) {
        if let Some(printer) = &mut self.printer {
            printer.report.finish(&mut printer.out.lines);
        }
    }
}

/// Whether a frame was asked for, and its payload, if it may be wanted.
fn select<'a>(
    selector: &mut Option<Selector>,
    decoder: &'a mut Option<Decoder>,
    fact: &'a FrameFact<'a>,
) -> (Verdict, Option<Lazy<'a>>) {
    let message = decoder.as_mut().and_then(|decoder| {
        let message = Message::of(fact.frame)?;
        decoder.observe(&message);
        Some(message)
    });
    let payload = match (&*decoder, message) {
        (Some(decoder), Some(message)) => Some(Lazy::new(decoder, message)),
        _ => None,
    };
    let verdict = match selector {
        Some(selector) => selector.frame(fact, payload.as_ref()),
        None => Verdict::Selected,
    };
    (verdict, payload)
}

/// A report and its output.
struct Printer {
    report: Box<dyn Report<Frames>>,
    out: Output<Box<dyn Write>>,
    events: Events,
    link: bool,
    /// What the report needs.
    needs: Needs,
    /// The report prints decoded payloads.
    payloads: bool,
}

enum Events {
    /// Printed among the frames.
    InPlace,
    /// As text on standard error, for formats without events.
    Apart(Box<TextReport>, Output<Box<dyn Write>>),
    Nowhere,
}

impl Printer {
    fn new(print: &Print, source: &Source) -> Self {
        let mut options = options(print, source.names());
        let needs = (print.format.needs.facts)(&options);
        let mut report = (print.format.new)(&options);
        let events = if !print.events {
            Events::Nowhere
        } else if print.format.needs.events {
            Events::InPlace
        } else {
            options.colour = false;
            options.width = None;
            options.text.style = Style::Line;
            Events::Apart(
                Box::new(TextReport::new(&options)),
                Output::new(Box::new(io::stderr()), false),
            )
        };
        let to: Box<dyn Write> = match print.to_stderr {
            true => Box::new(io::stderr()),
            false => Box::new(io::stdout().lock()),
        };
        let mut out = Output::new(to, print.line_buffered);
        report.begin(&mut out.lines);
        Self {
            report,
            out,
            events,
            link: print.link || source.is_any(),
            needs,
            payloads: print.payloads,
        }
    }

    #[inline]
    fn each_output(
        &mut self,
        mut of: impl FnMut(&mut Output<Box<dyn Write>>) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        if let Events::Apart(_, out) = &mut self.events {
            of(out)?;
        }
        of(&mut self.out)
    }
}

fn options(print: &Print, files: Vec<String>) -> Options {
    Options {
        files,
        show_secrets: print.secrets,
        colour: print.colour,
        width: print.width,
        zone: print.zone.clone(),
        text: TextOptions {
            detail: match (print.quiet, print.detail) {
                (true, _) => Detail::Notation,
                (false, 0) => Detail::Line,
                (false, 1) => Detail::Fields,
                (false, _) => Detail::Everything,
            },
            style: print.style,
            time: match print.time {
                0 => TimeStyle::TimeOfDay,
                1 => TimeStyle::None,
                2 => TimeStyle::Epoch,
                3 => TimeStyle::SincePrevious,
                4 => TimeStyle::DateTime,
                _ => TimeStyle::SinceFirst,
            },
            nanoseconds: print.nanoseconds,
            sequence_numbers: print.absolute,
            // As in tcpdump, the most detailed dump is printed.
            dump: if print.hex_ascii {
                Some(Dump::HexAscii)
            } else if print.hex {
                Some(Dump::Hex)
            } else {
                print.ascii.then_some(Dump::Ascii)
            },
            number: print.number,
            bare: false,
        },
        csv_safe: print.csv_safe,
        ..Options::default()
    }
}

/// The format of that name.
fn format(name: &str) -> Option<&'static Format<Frames>> {
    mqttdump::report::REPORTS
        .iter()
        .copied()
        .find(|format| format.name == name)
}

//! What is seen of the facts: selected, counted and printed.

use std::io::{self, Write};

use jiff::tz::TimeZone;
use mqttdump::event::EventKind;
use mqttdump::facts::{Fact, Sink};
use mqttdump::report::{Detail, Dump, Format, Options, Report, TextOptions, TextReport, TimeStyle};
use mqttdump::select::{Selector, Verdict};

use super::config::{Plan, Print};
use super::output::{Ended, Output};

/// Selects, counts and prints frames and events.
pub(crate) struct View {
    /// `None` when everything was asked for.
    selector: Option<Selector>,
    printer: Option<Printer>,
    /// Frames that were selected.
    pub(crate) shown: u64,
    max_frames: u64,
    /// What a saver has to hear of since the last packet.
    pub(crate) news: News,
}

/// Connections that had a selected frame, and connections that closed.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) wanted: bool,
    pub(crate) selected: Vec<u64>,
    pub(crate) closed: Vec<u64>,
}

impl View {
    /// `tell_connections`: collect [`News`].
    pub(crate) fn new(plan: &Plan, tell_connections: bool) -> Self {
        let selecting = !plan.selection.is_empty();
        Self {
            selector: selecting.then(|| Selector::new(plan.selection.clone())),
            printer: plan.print.as_ref().map(|print| Printer::new(print, plan)),
            shown: 0,
            max_frames: plan.max_frames.unwrap_or(u64::MAX),
            news: News {
                wanted: tell_connections,
                ..News::default()
            },
        }
    }

    /// Whether as many frames were shown as were asked for.
    pub(crate) fn is_full(&self) -> bool {
        self.shown >= self.max_frames
    }

    /// How many exchanges the selection could not remember.
    pub(crate) fn forgotten(&self) -> u64 {
        self.selector.as_ref().map_or(0, Selector::forgotten)
    }

    /// Where the printer wants to know about the link header of each packet.
    pub(crate) fn link_header(&mut self) -> Option<&mut dyn Report> {
        let printer = self.printer.as_mut()?;
        printer.link.then_some(&mut *printer.report)
    }

    /// Between two packets: writes what it is time to write.
    pub(crate) fn settle(&mut self) -> Result<(), Ended> {
        match &mut self.printer {
            Some(printer) => printer.each_output(Output::settle),
            None => Ok(()),
        }
    }

    /// Writes everything.
    pub(crate) fn flush(&mut self) -> Result<(), Ended> {
        match &mut self.printer {
            Some(printer) => printer.each_output(Output::flush),
            None => Ok(()),
        }
    }
}

impl Sink for View {
    fn fact(&mut self, fact: Fact<'_>) {
        if self.is_full() {
            return;
        }
        match fact {
            Fact::Frame(fact) => {
                let frame = fact.frame;
                let verdict = match &mut self.selector {
                    Some(selector) => selector.frame(frame),
                    None => Verdict::Selected,
                };
                if !verdict.is_shown() {
                    return;
                }
                self.shown += 1;
                self.news.selected(frame.connection.number);
                if let Some(Printer { report, out, .. }) = &mut self.printer {
                    let unknown = verdict == Verdict::TopicUnknown;
                    report.frame(frame, unknown, &mut out.lines);
                    out.spill();
                }
            }
            Fact::Event(event) => {
                if let (EventKind::Closed { .. }, Some(connection)) = (event.kind, event.connection)
                {
                    self.news.closed(connection.number);
                }
                let shown = match &mut self.selector {
                    Some(selector) => selector.event(event),
                    None => true,
                };
                if let Some(printer) = self.printer.as_mut().filter(|_| shown) {
                    match &mut printer.events {
                        Events::InPlace => printer.report.event(event, &mut printer.out.lines),
                        Events::Apart(report, out) => report.event(event, &mut out.lines),
                        Events::Nowhere => {}
                    }
                }
            }
            _ => {}
        }
    }
}

impl News {
    fn selected(&mut self, connection: u64) {
        if self.wanted && self.selected.last() != Some(&connection) {
            self.selected.push(connection);
        }
    }

    fn closed(&mut self, connection: u64) {
        if self.wanted {
            self.closed.push(connection);
        }
    }
}

/// A report, and where its lines go.
struct Printer {
    report: Box<dyn Report>,
    out: Output<Box<dyn Write>>,
    events: Events,
    link: bool,
}

enum Events {
    /// Among the frames.
    InPlace,
    /// As text on standard error, because the format has no place for them.
    Apart(Box<TextReport>, Output<Box<dyn Write>>),
    Nowhere,
}

impl Printer {
    fn new(print: &Print, plan: &Plan) -> Self {
        let mut options = options(print, plan);
        let mut report = (print.format.new)(&options);
        let events = if !print.events {
            Events::Nowhere
        } else if report.takes_events() {
            Events::InPlace
        } else {
            options.text.colour = false;
            options.text.width = None;
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
            link: print.link || plan.source.is_any(),
        }
    }

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

fn options(print: &Print, plan: &Plan) -> Options {
    Options {
        files: plan.source.names(),
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
            nanoseconds: print.nanoseconds,
            sequence_numbers: print.absolute,
            zone: TimeZone::system(),
            // As in tcpdump, the fuller dump wins.
            dump: if print.hex_ascii {
                Some(Dump::HexAscii)
            } else if print.hex {
                Some(Dump::Hex)
            } else {
                print.ascii.then_some(Dump::Ascii)
            },
            number: print.number,
            colour: print.colour,
            width: print.width,
        },
    }
}

/// The format of that name; the first is the default.
pub(crate) fn format(name: &str) -> Option<&'static Format> {
    mqttdump::report::REPORTS
        .iter()
        .copied()
        .find(|format| format.name == name)
}

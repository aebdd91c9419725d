//! `mqttdump sessions`: one report for each connection.

mod jobs;

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum, ValueHint};
use mqttdump::overhead::{self, Ledger};
use mqttdump::report::sessions::{
    Carried, Connections, ConnectionsItem, Followed, LadderStyle, Page, SESSIONS_REPORTS, Sort,
    put_html, put_ladder,
};
use mqttdump::report::{Format, Options, Report};
use mqttdump::rules::{self, Judge};
use mqttdump::select::{Foresight, Selection};
use mqttdump::sessions::{Deliveries, Keep, Ladder, LadderOptions, Sessions};

use super::args::{Captures, Output as OutputArgs, Selecting, Watching, value};
use super::command::{Command, Exit};
use super::driver::Driver;
use super::in_order::{Turn, read_all};
use super::look_ahead::look_ahead;
use super::matching::Matching;
use super::messages::{Messages, Selected};
use super::output::Output;
use super::reading::{Reading, Verb};
use super::source::Source;
use super::stop::Stop;
use super::surroundings::Surroundings;
use jobs::{Chosen, DeliveriesJob, LadderJob, Live, SessionsJob, Wanted};

/// Options of `sessions`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    captures: Captures,

    #[command(flatten)]
    selecting: Selecting,

    #[command(flatten)]
    watching: Watching,

    #[command(flatten)]
    choosing: Choosing,

    #[command(flatten)]
    drawing: Drawing,

    #[command(flatten)]
    output: OutputArgs,

    /// Report deliveries instead: each message from its publisher through the
    /// server to each subscriber
    #[arg(long, help_heading = "Connections")]
    deliveries: bool,

    /// Also write an HTML page to this file, self-contained and without scripts
    #[arg(long, value_name = "FILE", help_heading = "Output", value_hint = ValueHint::FilePath)]
    html: Option<PathBuf>,

    /// Output format
    #[arg(long, value_name = "FORMAT", help_heading = "Output", default_value = "text",
          value_parser = value::formats(SESSIONS_REPORTS.iter().map(|format| (format.name, format.help))))]
    format: String,

    /// Print subscriptions, topics, percentiles of latency, and the last control
    /// packets of each connection
    #[arg(short = 'v', long = "verbose", help_heading = "Output", action = ArgAction::Count)]
    verbose: u8,
}

/// In which order connections are reported.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connections")]
struct Choosing {
    /// Order of the table
    #[arg(long, value_name = "KEY", value_enum, default_value_t = SortKey::Connection)]
    sort: SortKey,

    /// Maximum number of rows of the table and of each list below it [default: all rows, 20 of a list]
    #[arg(long, value_name = "N", value_parser = value::count)]
    limit: Option<u64>,
}

/// A ladder instead of connections.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Ladder")]
struct Drawing {
    /// Draw control packets as a ladder diagram instead, as wide as the terminal
    /// (80 columns if there is none)
    ///
    /// One line for each control packet, one column for each client. --connection,
    /// --client, --topic, -Y and --id select what is drawn; --limit how much.
    #[arg(long, conflicts_with = "deliveries")]
    ladder: bool,

    /// Draw only control packets with this Packet Identifier. Repeatable
    #[arg(long, value_name = "ID", requires = "ladder",
          value_parser = value::number(1u16..=65535, "a Packet Identifier from 1 to 65535"))]
    id: Vec<u16>,

    /// Also draw TCP events: retransmissions, closed windows, FIN and RST
    #[arg(long, requires = "ladder")]
    tcp: bool,

    /// Draw with ASCII characters only
    #[arg(long)]
    ascii: bool,
}

/// Sort keys of the table.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
enum SortKey {
    /// Number of the connection
    #[default]
    Connection,
    /// Client identifier
    Client,
    /// Longest first
    Duration,
    /// Most messages first
    Messages,
    /// Most bytes first
    Bytes,
    /// Slowest CONNACK first
    Latency,
    /// Unusual ends first
    Cause,
}

impl From<SortKey> for Sort {
    fn from(key: SortKey) -> Self {
        match key {
            SortKey::Connection => Self::Connection,
            SortKey::Client => Self::Client,
            SortKey::Duration => Self::Duration,
            SortKey::Messages => Self::Messages,
            SortKey::Bytes => Self::Bytes,
            SortKey::Latency => Self::Latency,
            SortKey::Cause => Self::Cause,
        }
    }
}

impl Command for SessionsArgs {
    const NAME: &'static str = "sessions";
    const ABOUT: &'static str = "Report each connection: client, messages, end and cause";
    const DESCRIPTION: &'static str = "\
Reports each connection: the client, the messages exchanged, who closed it and why, and how long answers took. \
Each verdict names the packets that support it and its certainty: proved, likely, or cannot tell.";
    const USAGE: &'static str = "mqttdump sessions [OPTIONS] FILE...";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("mqttdump sessions capture.pcap", "one line per connection"),
        (
            "mqttdump sessions --sort cause --limit 10 a.pcap",
            "unusual ends first",
        ),
        (
            "mqttdump sessions -v --client pump a.pcap",
            "one client in detail, with its last packets",
        ),
        (
            "mqttdump sessions --ladder --topic plant/# a.pcap",
            "a ladder diagram of some topics",
        ),
        (
            "mqttdump sessions --html a.html a.pcap",
            "a page to send to a colleague",
        ),
        (
            "mqttdump sessions --format ndjson a.pcap",
            "one JSON object per connection",
        ),
    ];
    const SHORT_HELP: &'static [&'static str] = &[
        "client",
        "topic",
        "deliveries",
        "ladder",
        "html",
        "sort",
        "limit",
        "read",
        "interface",
        "filter",
        "format",
        "verbose",
    ];

    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        let plan = SessionsPlan::new(self, around)?;
        let mut printer = Printer {
            report: (plan.format.new)(&plan.options),
            out: Output::new(io::stdout(), plan.reading.line_buffered),
            whole: true,
        };
        if !plan.args.drawing.ladder {
            printer.report.begin(&mut printer.out.lines);
        }
        let work = |driver: &mut Driver<'_>, source: &Source, turn: &mut Turn<'_, Printer>| {
            let foresight = look_ahead(driver, source, &plan.reading.selection)?;
            let mut place = Place {
                driver,
                source,
                foresight,
                turn,
            };
            let whole = match (plan.args.deliveries, plan.args.drawing.ladder) {
                (true, _) => plan.deliveries(&mut place)?,
                (_, true) => plan.ladder(&mut place)?,
                _ => plan.connections(&mut place)?,
            };
            let printer = place.turn.take()?;
            printer.whole &= whole;
            Ok(printer.out.settle()?)
        };
        let (mut printer, has_selected) = read_all(&plan.reading, printer, work)?;
        printer.out.flush()?;
        Ok(Exit::success(printer.whole && has_selected))
    }
}

/// What to report, and how.
struct SessionsPlan {
    args: SessionsArgs,
    reading: Reading,
    format: &'static Format<Connections>,
    options: Options,
    limit: Option<usize>,
}

/// One capture, and where its report goes.
struct Place<'a, 'b, 't> {
    driver: &'a mut Driver<'b>,
    source: &'a Source,
    foresight: Foresight,
    turn: &'a mut Turn<'t, Printer>,
}

/// What captures share.
struct Printer {
    report: Box<dyn Report<Connections>>,
    out: Output<io::Stdout>,
    /// Everything could be read.
    whole: bool,
}

impl Printer {
    fn put(&mut self, item: &ConnectionsItem<'_>) {
        self.report.put(item, &mut self.out.lines);
    }
}

/// Control packets of each connection that `-v` and the page draw.
const LAST: usize = 12;

impl SessionsPlan {
    fn new(args: SessionsArgs, around: &Surroundings<'_>) -> Result<Self, Stop> {
        let verb = Verb {
            command: SessionsArgs::NAME,
            verb: "list",
        };
        let mut reading = Reading::of_command(
            &args.captures,
            &args.watching,
            None,
            &args.output,
            around,
            verb,
        )?;
        reading.select(&args.selecting)?;
        reading
            .sandbox
            .confine(args.verbose > 0, [args.html.as_deref()]);
        let format: &Format<Connections> = SESSIONS_REPORTS
            .iter()
            .find(|format| format.name == args.format)
            .ok_or_else(|| "--format: no such format".to_owned())?;
        if args.deliveries && !format.needs.deliveries {
            return Err(Stop::Failed(format!(
                "--deliveries has no --format {}: expected text or ndjson",
                format.name
            )));
        }
        if args.drawing.ladder && format.name != "text" {
            return Err(Stop::Failed(format!(
                "--ladder has no --format {}: expected text",
                format.name
            )));
        }
        if args.html.is_some() && reading.captures.len() > 1 {
            return Err(Stop::Failed(
                "--html takes one capture: give several parts of one with -r".into(),
            ));
        }
        Ok(Self {
            options: Options {
                width: around.columns.filter(|_| around.stdout_terminal),
                colour: args.output.color.is_on(around.colour),
                zone: reading.zone.clone(),
                many: reading.captures.len() > 1,
                verbose: args.verbose > 0,
                ..Options::default()
            },
            limit: args.choosing.limit.and_then(|limit| limit.try_into().ok()),
            format,
            reading,
            args,
        })
    }

    fn style(&self) -> LadderStyle {
        LadderStyle {
            width: self.options.width.unwrap_or(80),
            unicode: !self.args.drawing.ascii,
            colour: self.options.colour,
            limit: self.limit,
        }
    }

    /// The control packets that are wanted, as a ladder.
    fn drawn(&self, foresight: Foresight) -> Selected<Ladder> {
        let drawing = &self.args.drawing;
        Selected {
            messages: Messages::new(&self.reading.selection, foresight),
            sink: Ladder::new(LadderOptions {
                ids: drawing.id.clone(),
                tcp: drawing.tcp,
            }),
        }
    }

    fn ladder(&self, place: &mut Place<'_, '_, '_>) -> Result<bool, Stop> {
        let mut job = LadderJob(self.drawn(std::mem::take(&mut place.foresight)));
        let outcome = place.driver.read(place.source, &mut job)?;
        let lines = &mut place.turn.take()?.out.lines;
        put_ladder(&job.0.sink, self.style(), lines);
        if let Some(messages) = &job.0.messages {
            messages.note_if_none(&place.source.name(), &outcome);
        }
        Ok(outcome.whole)
    }

    fn deliveries(&self, place: &mut Place<'_, '_, '_>) -> Result<bool, Stop> {
        let foresight = std::mem::take(&mut place.foresight);
        let mut job = DeliveriesJob(Chosen {
            messages: Messages::new(&self.reading.selection, foresight),
            deliveries: Deliveries::default(),
        });
        let outcome = place.driver.read(place.source, &mut job)?;
        let Chosen {
            messages,
            mut deliveries,
        } = job.0;
        deliveries.retain_selected();
        if let Some(messages) = &messages {
            messages.note_if_none(&place.source.name(), &outcome);
        }
        let carried = Carried {
            name: &place.source.name(),
            deliveries: &deliveries,
            limit: self.limit,
        };
        place
            .turn
            .take()?
            .put(&ConnectionsItem::Deliveries(carried));
        Ok(outcome.whole)
    }

    fn connections(&self, place: &mut Place<'_, '_, '_>) -> Result<bool, Stop> {
        let selection = &self.reading.selection;
        let name = &place.source.name();
        let keep = match self.args.html.is_some() || self.options.verbose {
            true => Keep {
                last: LAST,
                findings: self.args.html.is_some(),
                all_findings: false,
                latencies: true,
            },
            false => Keep::default(),
        };
        let foresight = std::mem::take(&mut place.foresight);
        let page = self.args.html.is_some().then(|| {
            let options = overhead::Options {
                clients: selection.clients.clone(),
                connections: selection.connections.clone(),
                ..overhead::Options::default()
            };
            (self.drawn(foresight.clone()), Ledger::new(options))
        });
        let matching = Self::matching(selection, foresight);
        let wanted = &Wanted::new(selection.clone());
        let judge = Judge::new(rules::Options {
            most_findings: self.reading.most_findings(),
            ..rules::Options::default()
        });
        let mut job = SessionsJob {
            sinks: (Sessions::keeping(judge, keep), page, matching),
            wanted,
            live: None,
        };
        if self.reading.watch.endless && self.args.html.is_none() {
            job.live = Some(Live {
                name,
                turn: &mut *place.turn,
            });
        }
        let outcome = place.driver.read(place.source, &mut job)?;
        if job.live.is_some() {
            super::driver::Job::settle(&mut job)?;
            return Ok(outcome.whole);
        }
        let (mut sessions, page, matching) = job.sinks;
        if let Some(matching) = &matching {
            matching.messages().note_if_none(name, &outcome);
        }
        let mut records = sessions.take_finished();
        records.retain(|record| wanted.has(record, matching.as_ref()));
        let followed = Followed {
            name,
            records: &records,
            topics: sessions.topics(),
            evicted: sessions.evicted(),
            sort: self.args.choosing.sort.into(),
            ladder: self.style(),
            limit: self.limit,
            selecting: !selection.is_empty(),
        };
        place.turn.take()?.put(&ConnectionsItem::Capture(followed));
        if let (Some(path), Some((ladder, ledger))) = (&self.args.html, page) {
            let page = Page {
                followed,
                ladder: &ladder.sink,
                account: &ledger.finish(),
            };
            let mut html = Vec::new();
            put_html(&page, &mut html);
            fs::write(path, html)
                .map_err(|why| Stop::Failed(format!("--html {}: {why}", path.display())))?;
        }
        Ok(outcome.whole)
    }

    /// Finds the connections with selected messages, if messages are selected.
    fn matching(selection: &Selection, foresight: Foresight) -> Option<Matching<u64>> {
        let messages = Messages::new(selection, foresight)?;
        selection
            .parts_connections()
            .then(|| Matching::connections(messages))
    }
}

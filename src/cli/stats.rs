//! `mqttdump stats`: counts, bytes and rates of messages.

use std::io;
use std::time::Duration;

use clap::{Args, ValueEnum};
use mqttdump::facts::{Fact, Needs, Sink};
use mqttdump::packet::CapturedPacket;
use mqttdump::report::stats::{Counts, STATS_REPORTS, StatsTable};
use mqttdump::report::{Options, Report};
use mqttdump::stats::{By, Order, Stats, Table};
use mqttdump::time::Timestamp;

use super::args::value;
use super::args::{Captures, Output as OutputArgs, Selecting, Watching};
use super::command::{Command, Exit};
use super::driver::{Driver, Job};
use super::in_order::{Turn, read_all};
use super::look_ahead::look_ahead;
use super::messages::Messages;
use super::output::Output;
use super::reading::{Reading, Verb};
use super::source::Source;
use super::state::Rotation;
use super::stop::Stop;
use super::surroundings::Surroundings;

/// Options of `stats`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    captures: Captures,

    #[command(flatten)]
    selecting: Selecting,

    #[command(flatten)]
    counting: Counting,

    #[command(flatten)]
    watching: Watching,

    #[command(flatten)]
    output: OutputArgs,

    /// Output format
    #[arg(long, value_name = "FORMAT", help_heading = "Output", default_value = "text",
          value_parser = value::formats(STATS_REPORTS.iter().map(|format| (format.name, format.help))))]
    format: String,
}

/// Options of counting.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Counting")]
struct Counting {
    /// Group messages by this key
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = ByArg::Topic)]
    by: ByArg,

    /// Print a table for each period of capture time: 500ms, 10s, 5m, 1h
    ///
    /// In live capture on a terminal, the table is redrawn in place every second, or
    /// every TIME.
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    every: Option<Duration>,

    /// Number of rows; the others are summed up in one
    #[arg(long, value_name = "N", value_parser = value::count)]
    top: Option<u64>,

    /// Sort rows by this column, in descending order
    #[arg(long, value_name = "COLUMN", value_enum, default_value_t = OrderArg::Messages)]
    sort: OrderArg,
}

/// Keys by which messages are grouped.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
enum ByArg {
    /// Topic of PUBLISH packets
    #[default]
    Topic,
    /// Client identifier
    Client,
    /// Packet type
    Type,
    /// QoS of PUBLISH packets
    Qos,
    /// TCP connection
    Connection,
}

/// Columns by which rows are sorted.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
enum OrderArg {
    /// Messages
    #[default]
    Messages,
    /// Bytes
    Bytes,
    /// Payload bytes
    Payload,
    /// The key, in ascending order
    Key,
}

impl Command for StatsArgs {
    const NAME: &'static str = "stats";
    const ABOUT: &'static str = "Count messages, bytes and rates by topic, client or type";
    const DESCRIPTION: &'static str = "\
Counts control packets by topic, client, type, QoS or connection: messages, their bytes, payload bytes, rates, \
RETAIN and DUP, the median and 99th percentile of their sizes, and the times of the first and the last.";
    const USAGE: &'static str = "mqttdump stats [OPTIONS] FILE...";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("mqttdump stats capture.pcap", "messages by topic"),
        (
            "mqttdump stats --by client --sort bytes --top 10 a.pcap",
            "top ten clients by bytes",
        ),
        (
            "mqttdump stats --by type --every 1s --format csv a.pcap",
            "counts per second as CSV",
        ),
        ("mqttdump stats -i eth0", "live, redrawn in place"),
    ];
    const SHORT_HELP: &'static [&'static str] = &[
        "by",
        "every",
        "top",
        "sort",
        "format",
        "topic",
        "client",
        "filter",
        "interface",
    ];

    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        run(self, around)
    }
}

fn run(args: StatsArgs, around: &Surroundings<'_>) -> Result<Exit, Stop> {
    let verb = Verb {
        command: StatsArgs::NAME,
        verb: "count",
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
    reading.sandbox.confine(false, []);
    let selection = reading.selection.clone();
    let format = STATS_REPORTS
        .iter()
        .find(|format| format.name == args.format)
        .ok_or_else(|| "--format: no such format".to_owned())?;
    let in_place = around.stdout_terminal && reading.watch.endless && args.format == "text";
    let every = args
        .counting
        .every
        .or(in_place.then(|| Duration::from_secs(1)));
    let by = match args.counting.by {
        ByArg::Topic => By::Topic,
        ByArg::Client => By::Client,
        ByArg::Type => By::Type,
        ByArg::Qos => By::Qos,
        ByArg::Connection => By::Connection,
    };
    let options = Options {
        many: reading.captures.len() > 1,
        width: around.columns.filter(|_| around.stdout_terminal),
        ..Options::default()
    };
    let mut shared = Shared {
        report: (format.new)(&options),
        out: Output::new(io::stdout(), reading.line_buffered),
        whole: true,
    };
    shared.report.begin(&mut shared.out.lines);
    let work = |driver: &mut Driver<'_>, source: &Source, turn: &mut Turn<'_, Shared>| {
        let foresight = look_ahead(driver, source, &selection)?;
        let mut job = StatsJob {
            counter: Counter {
                messages: Messages::new(&selection, foresight),
                stats: Stats::new(by, every),
            },
            printer: Printer {
                turn,
                name: source.name(),
                is_period: every.is_some(),
                order: match args.counting.sort {
                    OrderArg::Messages => Order::Messages,
                    OrderArg::Bytes => Order::Bytes,
                    OrderArg::Payload => Order::Payload,
                    OrderArg::Key => Order::Key,
                },
                top: args.counting.top.and_then(|top| usize::try_from(top).ok()),
                in_place,
            },
        };
        let outcome = driver.read(source, &mut job)?;
        job.settle()?;
        if let Some(messages) = &job.counter.messages {
            messages.note_if_none(&source.name(), &outcome);
        }
        let rest = job.counter.stats.rest();
        job.printer.put(rest)?;
        turn.take()?.whole &= outcome.whole;
        Ok(())
    };
    let (mut shared, has_selected) = read_all(&reading, shared, work)?;
    shared.report.finish(&mut shared.out.lines);
    shared.out.flush()?;
    Ok(Exit::success(shared.whole && has_selected))
}

/// What captures share.
struct Shared {
    report: Box<dyn Report<Counts>>,
    out: Output<io::Stdout>,
    /// Everything could be read.
    whole: bool,
}

/// Counts selected messages.
struct Counter {
    messages: Option<Messages>,
    stats: Stats,
}

impl Sink for Counter {
    fn needs(&self) -> Needs {
        self.messages
            .as_ref()
            .map_or(Needs::FIELDS, Messages::needs)
    }

    fn fact(&mut self, fact: Fact<'_>) {
        let Fact::Frame(fact) = fact else { return };
        if let Some(messages) = &mut self.messages
            && !messages.selects(&fact)
        {
            return;
        }
        self.stats.frame(fact.frame);
    }

    fn earlier(&mut self, fact: Fact<'_>, _: Timestamp) {
        if let (Fact::Frame(fact), Some(messages)) = (fact, &mut self.messages) {
            messages.matches(&fact);
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.stats.tick(now);
    }

    fn make_room(&mut self) -> bool {
        self.stats.make_room()
    }
}

struct StatsJob<'a, 'b> {
    counter: Counter,
    printer: Printer<'a, 'b>,
}

struct Printer<'a, 'b> {
    turn: &'a mut Turn<'b, Shared>,
    /// Name of the capture.
    name: String,
    /// Tables are those of periods.
    is_period: bool,
    order: Order,
    top: Option<usize>,
    /// Redraw each table in place of the previous one.
    in_place: bool,
}

/// Moves the cursor to the top left and clears the screen.
const HOME: &[u8] = b"\x1b[H\x1b[J";

impl Printer<'_, '_> {
    fn put(&mut self, mut table: Table) -> Result<(), Stop> {
        table.order(self.order, self.top);
        let Shared { report, out, .. } = self.turn.take()?;
        if self.in_place {
            out.lines.extend_from_slice(HOME);
        }
        let item = StatsTable {
            table: &table,
            name: &self.name,
            is_period: self.is_period,
        };
        report.put(&item, &mut out.lines);
        Ok(out.settle()?)
    }
}

impl Job for StatsJob<'_, '_> {
    type Sink = Counter;

    fn sink(&mut self) -> &mut Counter {
        &mut self.counter
    }

    fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        if let (Some(packet), Some(messages)) = (packet, &mut self.counter.messages) {
            messages.packet(packet.time);
        }
    }

    fn rotation(&self) -> Rotation {
        Rotation::Whole
    }

    fn settle(&mut self) -> Result<(), Stop> {
        let done: Vec<_> = self.counter.stats.finished().collect();
        done.into_iter()
            .try_for_each(|table| self.printer.put(table))
    }

    fn flush(&mut self) -> Result<(), Stop> {
        self.settle()?;
        match self.printer.turn.taken() {
            Some(shared) => Ok(shared.out.flush()?),
            None => Ok(()),
        }
    }
}

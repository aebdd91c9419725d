//! `mqttdump sessions`: one report for each connection.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use jiff::tz::TimeZone;
use mqttdump::facts;
use mqttdump::mqtt::TopicFilter;
use mqttdump::report::sessions::{
    Carried, Connections, ConnectionsItem, Followed, LadderStyle, Page, SESSIONS_REPORTS, Sort,
    put_html, put_ladder,
};
use mqttdump::report::{Format, Options, Report};
use mqttdump::rules::{self, Judge};
use mqttdump::sessions::{Deliveries, Ladder, LadderOf, Record, Sessions};

use super::args::{Captures, Output as OutputArgs, Watching, value};
use super::command::{Command, Exit};
use super::driver::{Driver, Job};
use super::output::Output;
use super::reading::{Reading, Verb};
use super::stop::Stop;
use super::surroundings::Surroundings;

/// Options of `sessions`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    captures: Captures,

    #[command(flatten)]
    watching: Watching,

    #[command(flatten)]
    choosing: Choosing,

    #[command(flatten)]
    output: OutputArgs,

    /// Report deliveries instead: each message from its publisher through the
    /// server to each subscriber
    #[arg(long)]
    deliveries: bool,

    /// Draw control packets as a ladder diagram instead, as wide as the terminal
    /// (80 columns if there is none)
    ///
    /// One line for each control packet, one column for each client. --connection,
    /// --client, --topic and --id select what is drawn; --limit how much.
    #[arg(long, conflicts_with = "deliveries")]
    ladder: bool,

    /// Draw only messages of these topics, with their acknowledgements.
    /// Repeatable
    #[arg(long, value_name = "FILTER", requires = "ladder")]
    topic: Vec<String>,

    /// Draw only control packets with this Packet Identifier. Repeatable
    #[arg(long, value_name = "ID", requires = "ladder",
          value_parser = value::number(1u16..=65535, "a Packet Identifier from 1 to 65535"))]
    id: Vec<u16>,

    /// Draw with ASCII characters only
    #[arg(long, requires = "ladder")]
    ascii: bool,

    /// Also write an HTML page to this file, self-contained and without scripts
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    html: Option<PathBuf>,

    /// Output format
    #[arg(long, value_name = "FORMAT", help_heading = "Output", default_value = "text",
          value_parser = value::formats(SESSIONS_REPORTS.iter().map(|format| (format.name, format.help))))]
    format: String,
}

/// Which connections are reported, and in which order.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connections")]
struct Choosing {
    /// Report the connections of this client identifier only. Repeatable
    #[arg(long, value_name = "ID")]
    client: Vec<String>,

    /// Report this TCP connection only. Repeatable
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = value::count)]
    connection: Vec<u64>,

    /// Order of the table
    #[arg(long, value_name = "KEY", value_enum, default_value_t = SortKey::Connection)]
    sort: SortKey,

    /// Maximum number of rows of the table and of each list below it [default:
    /// all rows, 20 of a list]
    #[arg(long, value_name = "N", value_parser = value::count)]
    limit: Option<u64>,
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
            "mqttdump sessions --ladder --client pump a.pcap",
            "a ladder diagram of one client",
        ),
        ("mqttdump sessions --html a.html a.pcap", "an HTML page"),
        (
            "mqttdump sessions --format ndjson a.pcap",
            "one JSON object per connection",
        ),
    ];
    const SHORT_HELP: &'static [&'static str] = &[
        "client",
        "deliveries",
        "sort",
        "limit",
        "read",
        "interface",
        "filter",
        "format",
    ];

    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        let verb = Verb {
            command: Self::NAME,
            verb: "list",
        };
        let reading = Reading::of_command(
            &self.captures,
            &self.watching,
            None,
            &self.output,
            around,
            verb,
        )?;
        let format: &Format<Connections> = SESSIONS_REPORTS
            .iter()
            .find(|format| format.name == self.format)
            .unwrap_or(&SESSIONS_REPORTS[0]);
        let options = Options {
            width: around.columns.filter(|_| around.stdout_terminal),
            colour: self.output.color.is_on(around.colour),
            zone: TimeZone::system(),
            many: reading.captures.len() > 1,
            ..Options::default()
        };
        let limit = self.choosing.limit.and_then(|limit| limit.try_into().ok());
        let mut report = (format.new)(&options);
        if self.deliveries && !format.needs.deliveries {
            return Err(Stop::Failed(format!(
                "--deliveries has no --format {}: expected text or ndjson",
                format.name
            )));
        }
        if self.html.is_some() && reading.captures.len() > 1 {
            return Err(Stop::Failed(
                "--html takes one capture: give the parts of one capture with -r".into(),
            ));
        }
        let topics = self.topic.iter().map(|filter| {
            TopicFilter::parse(filter.as_bytes())
                .map_err(|why| format!("--topic {filter:?} is not a topic filter: {why}"))
        });
        let of = LadderOf {
            connections: self.choosing.connection.clone(),
            clients: self
                .choosing
                .client
                .iter()
                .map(|id| id.as_bytes().into())
                .collect(),
            topics: topics.collect::<Result<_, String>>()?,
            ids: self.id.clone(),
        };
        let style = LadderStyle {
            width: options.width.unwrap_or(80),
            unicode: !self.ascii,
            colour: options.colour,
            limit,
        };
        let mut driver = Driver::new(&reading)?;
        let mut out = Output::new(io::stdout().lock(), reading.line_buffered);
        if !self.deliveries && !self.ladder {
            report.begin(&mut out.lines);
        }
        let mut whole = true;
        for source in &reading.captures {
            let name = &source.name();
            if self.deliveries {
                let mut job = DeliveriesJob::default();
                whole &= driver.read(source, &mut job)?.whole;
                let carried = Carried {
                    name,
                    deliveries: &job.0,
                    limit,
                };
                report.put(&ConnectionsItem::Deliveries(carried), &mut out.lines);
            } else if self.ladder {
                let mut job = LadderJob(Ladder::new(of.clone()));
                whole &= driver.read(source, &mut job)?.whole;
                put_ladder(&job.0, style, &mut out.lines);
            } else {
                let ladder = self.html.is_some().then(|| Ladder::new(of.clone()));
                let mut job = SessionsJob::new(ladder);
                if reading.watch.endless && self.html.is_none() {
                    job.live = Some(Live {
                        name,
                        choosing: &self.choosing,
                        report: report.as_mut(),
                        out: &mut out,
                    });
                }
                whole &= driver.read(source, &mut job)?.whole;
                if job.live.is_some() {
                    job.settle()?;
                    continue;
                }
                let (sessions, ladder) = &mut job.sinks;
                let mut records = sessions.take_finished();
                records.retain(|record| self.choosing.wants(record));
                let followed = Followed {
                    name,
                    records: &records,
                    evicted: sessions.evicted(),
                    sort: self.choosing.sort.into(),
                    limit,
                };
                report.put(&ConnectionsItem::Capture(followed), &mut out.lines);
                if let (Some(path), Some(ladder)) = (&self.html, ladder) {
                    let page = Page {
                        name,
                        records: &records,
                        ladder,
                        topics: sessions.topics(),
                    };
                    let mut html = Vec::new();
                    put_html(&page, &mut html);
                    fs::write(path, html)
                        .map_err(|why| Stop::Failed(format!("--html {}: {why}", path.display())))?;
                }
            }
            out.settle()?;
        }
        out.flush()?;
        whole &= driver.finish();
        Ok(Exit::success(whole))
    }
}

impl Choosing {
    fn wants(&self, record: &Record) -> bool {
        let client = record.client_id.as_deref();
        (self.client.is_empty() || self.client.iter().any(|id| Some(id.as_bytes()) == client))
            && (self.connection.is_empty() || self.connection.contains(&record.connection))
    }
}

struct SessionsJob<'a, W: io::Write> {
    sinks: (Sessions, Option<Ladder>),
    options: facts::Options,
    live: Option<Live<'a, W>>,
}

/// Reports connections as they close, while the capture is growing.
struct Live<'a, W: io::Write> {
    name: &'a str,
    choosing: &'a Choosing,
    report: &'a mut dyn Report<Connections>,
    out: &'a mut Output<W>,
}

impl<W: io::Write> SessionsJob<'_, W> {
    fn new(ladder: Option<Ladder>) -> Self {
        let options = rules::Options::default();
        Self {
            options: options.facts(),
            sinks: (Sessions::new(Judge::new(options)), ladder),
            live: None,
        }
    }
}

impl<W: io::Write> Job for SessionsJob<'_, W> {
    type Sink = (Sessions, Option<Ladder>);

    fn sink(&mut self) -> &mut Self::Sink {
        &mut self.sinks
    }

    fn options(&self) -> facts::Options {
        self.options.clone()
    }

    fn settle(&mut self) -> Result<(), Stop> {
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        if self.sinks.0.has_finished() {
            for record in self.sinks.0.take_finished() {
                if live.choosing.wants(&record) {
                    let item = ConnectionsItem::Closed(live.name, &record);
                    live.report.put(&item, &mut live.out.lines);
                }
            }
        }
        live.out.settle()?;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if let Some(live) = &mut self.live {
            live.out.flush()?;
        }
        Ok(())
    }
}

struct LadderJob(Ladder);

impl Job for LadderJob {
    type Sink = Ladder;

    fn sink(&mut self) -> &mut Ladder {
        &mut self.0
    }
}

#[derive(Default)]
struct DeliveriesJob(Deliveries);

impl Job for DeliveriesJob {
    type Sink = Deliveries;

    fn sink(&mut self) -> &mut Deliveries {
        &mut self.0
    }
}

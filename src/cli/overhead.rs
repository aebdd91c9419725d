//! `mqttdump overhead`: accounts for every byte of captures.
//!
//! ```text
//! capture ─packet→ gate → engine ─packet, frame, event→ ledger ─account→ report
//! ```
//!
//! As in `check`, each positional FILE is a capture of its own; the files given
//! with `-r` are parts of one.

use std::io;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueHint};
use mqttdump::engine::Summary;
use mqttdump::limits;
use mqttdump::overhead::{
    self, Asked, Counts, Figures, Ledger, Level, Profiles, Projection, Request, Scenario, Share,
    Totals, USUAL, WhatIf,
};
use mqttdump::packet::CapturedPacket;
use mqttdump::report::overhead::{Counted, OVERHEAD_REPORTS, Overhead, OverheadItem, Passed};
use mqttdump::report::{Format, Options, Report};

use super::args::value;
use super::args::{Captures, Interim, Output as OutputArgs, Selecting, Watching};
use super::bounded;
use super::closing;
use super::command::{Command, Exit};
use super::console::complain;
use super::driver::{Driver, Job, Outcome, Trouble};
use super::in_order::{Turn, read_all};
use super::look_ahead::look_ahead;
use super::matching::Matching;
use super::messages::Messages;
use super::output::Output;
use super::reading::{Reading, Verb};
use super::source::Source;
use super::state::Rotation;
use super::stop::Stop;
use super::surroundings::Surroundings;
use super::watch::Interval;

/// Options of `overhead`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct OverheadArgs {
    #[command(flatten)]
    captures: Captures,

    #[command(flatten)]
    selecting: Selecting,

    #[command(flatten)]
    counting: Counting,

    #[command(flatten)]
    interim: Interim,

    #[command(flatten)]
    watching: Watching,

    #[command(flatten)]
    output: OutputArgs,

    /// Output format
    #[arg(long, value_name = "FORMAT", help_heading = "Output", default_value = "text",
          value_parser = value::formats(OVERHEAD_REPORTS.iter().map(|format| (format.name, format.help))))]
    format: String,

    /// Print connections and all topics
    #[arg(short = 'v', long = "verbose", help_heading = "Output", action = ArgAction::Count)]
    verbose: u8,
}

/// What is counted and derived.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Counting")]
struct Counting {
    /// Layer at which bytes are counted: l2 (frames as captured), l3 (IP
    /// packets), l3+N (IP packets and N bytes for each), tcp (TCP payload),
    /// mqtt (control packets), app (PUBLISH payload) [default: the layer that
    /// the first profile of --link bills, else l2]
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,

    /// How the headers of a frame are divided among its messages: proportional
    /// (to their bytes), equal, first (all to the first), completes (to those
    /// that end in it) [default: proportional]
    #[arg(long, value_name = "POLICY")]
    share: Option<String>,

    /// Bill by these links and plans only [default: all]. Repeatable
    ///
    /// A profile describes what a link or plan counts, how it rounds, and its speed.
    /// The program includes profiles, with their sources; add more with
    /// --profiles.
    #[arg(long, value_name = "PROFILE", action = ArgAction::Append, value_delimiter = ',')]
    link: Vec<String>,

    /// Read more profiles from this file, in the format of the included ones
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    profiles: Option<PathBuf>,

    /// Project to a month: devices=N, every=TIME between messages of each,
    /// reconnect=TIME; values not given are those of the capture
    #[arg(long, value_name = "LIST")]
    project: Option<String>,

    /// Estimate a change: qos=N, alias, deflate, deflate-dict,
    /// batch=N, batch=TIME, keep-alive=TIME, no-timestamps, resegment,
    /// one-connection, connection-per-message, tls[=1.2|psk|mutual], ws,
    /// mqtt-sn, coap, http[=close|2]; `+` combines several
    #[arg(long, value_name = "LIST", action = ArgAction::Append, value_delimiter = ',')]
    what_if: Vec<String>,

    /// Estimate the savings of renamed topics. Repeatable
    #[arg(long, value_name = "s/OLD/NEW/", action = ArgAction::Append)]
    rename: Vec<String>,

    /// Add bytes on the medium that captures do not contain: frame check sequence,
    /// interframe gap, padding
    #[arg(long)]
    link_extras: bool,

    /// Read settings from this file instead of the nearest .mqttdump.toml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
}

impl Command for OverheadArgs {
    const NAME: &'static str = "overhead";
    const ABOUT: &'static str = "Count where every byte goes and what a message costs";
    const DESCRIPTION: &'static str = "\
Accounts for every byte of the captures by layer and by cause, and derives the cost of a message, the monthly \
cost of a device, and the effect of changes. Each FILE is reported separately. --topic, --type, --qos and -Y select \
connections that have such a control packet, and count them as a whole: handshakes and acknowledgements belong to the \
cost of a message. The captures are then read twice, so an interface or a pipe is refused.";
    const USAGE: &'static str = "mqttdump overhead [OPTIONS] FILE...";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "mqttdump overhead capture.pcap",
            "bytes by layer and cause; cost of a message",
        ),
        (
            "mqttdump overhead --link nb-iot --project devices=500,every=15m a.pcap",
            "monthly cost of 500 devices",
        ),
        (
            "mqttdump overhead --what-if qos=0,deflate-dict+batch=10 a.pcap",
            "estimate two changes",
        ),
    ];
    const SHORT_HELP: &'static [&'static str] = &[
        "level",
        "link",
        "project",
        "what-if",
        "rename",
        "client",
        "filter",
        "interface",
        "format",
        "verbose",
    ];
    const SETTINGS: &'static [&'static str] = &[
        "level",
        "share",
        "link",
        "profiles",
        "project",
        "link-extras",
    ];

    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        run(&OverheadPlan::new(&self, around)?)
    }
}

/// The validated options.
struct OverheadPlan {
    reading: Reading,
    options: overhead::Options,
    request: Request,
    format: &'static Format<Overhead>,
    report: Options,
}

impl OverheadPlan {
    fn new(args: &OverheadArgs, around: &Surroundings<'_>) -> Result<Self, String> {
        let mut reading = Reading::of_command(
            &args.captures,
            &args.watching,
            args.interim.every,
            &args.output,
            around,
            Verb {
                command: "overhead",
                verb: "count",
            },
        )?;
        let format = OVERHEAD_REPORTS
            .iter()
            .find(|format| format.name == args.format)
            .ok_or("--format: no such format")?;
        let request = request(&args.counting)?;
        reading.engine.payload = 32 << 10;
        reading.sandbox.confine(args.verbose > 0, []);
        reading.select(&args.selecting)?;
        Ok(Self {
            options: overhead::Options {
                level: level(&args.counting, &request.links)?,
                share: share(args.counting.share.as_deref())?,
                messages: match format.needs.messages {
                    true => limits::ACCOUNTED_MESSAGES,
                    false => 0,
                },
                sums_only: false,
                costs: false,
                samples: true,
                clients: reading.selection.clients.clone(),
                connections: reading.selection.connections.clone(),
            },
            request,
            format,
            report: Options {
                many: reading.captures.len() > 1,
                verbose: args.verbose > 0,
                zone: reading.zone.clone(),
                colour: args.output.color.is_on(around.colour),
                width: around.columns.filter(|_| around.stdout_terminal),
                ..Options::default()
            },
            reading,
        })
    }
}

impl OverheadPlan {
    /// The options for one capture: if messages are selected, a first reading finds the
    /// connections that have one.
    fn options_for(
        &self,
        driver: &mut Driver<'_>,
        source: &Source,
    ) -> Result<overhead::Options, Stop> {
        let mut options = self.options.clone();
        let selection = &self.reading.selection;
        if !selection.parts_connections() {
            return Ok(options);
        }
        if !source.can_be_read_twice() {
            return Err(Stop::Failed(
                "-Y, --topic, --type, --qos: which connections have such a message is known only \
                 when the whole capture was read: read a file instead of a pipe or an interface"
                    .into(),
            ));
        }
        let foresight = look_ahead(driver, source, selection)?;
        let found = Messages::new(selection, foresight).map(Matching::connections);
        let mut job = FirstReading(found);
        let outcome = driver.read(source, &mut job)?;
        if let Some(matching) = &job.0 {
            matching.messages().note_if_none(&source.name(), &outcome);
        }
        options.connections = job
            .0
            .map(Matching::into_found)
            .unwrap_or_default()
            .into_iter()
            .collect();
        if options.connections.is_empty() {
            // No connection has this number.
            options.connections.push(0);
        }
        Ok(options)
    }
}

/// Finds the connections with selected messages.
struct FirstReading(Option<Matching<u64>>);

impl Job for FirstReading {
    type Sink = Option<Matching<u64>>;

    fn sink(&mut self) -> &mut Self::Sink {
        &mut self.0
    }

    fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        if let (Some(packet), Some(matching)) = (packet, &mut self.0) {
            matching.packet(packet.time);
        }
    }

    // The reading that follows reports it.
    fn trouble(&mut self, _: &Trouble) -> bool {
        true
    }
}

/// The typed level, else the one that the chosen link bills.
fn level(args: &Counting, links: &Profiles) -> Result<Level, String> {
    match (&args.level, &args.link[..]) {
        (Some(text), _) => parse_level(text),
        (None, [first, ..]) => Ok(match links.get(first).map(|profile| profile.counts()) {
            Some(Counts::Level(level)) => level,
            _ => Level::L2,
        }),
        (None, []) => Ok(Level::L2),
    }
}

/// Maximum size of a file of profiles.
const PROFILES_BYTES: u64 = 1 << 20;

/// What is to be derived.
fn request(args: &Counting) -> Result<Request, String> {
    let mut known = overhead::profiles();
    if let Some(path) = &args.profiles {
        let name = path.display();
        let text = bounded::read_text(path, PROFILES_BYTES)
            .map_err(|error| format!("--profiles {name}: {error}"))?;
        let profiles = overhead::read_profiles(&text);
        known.extend(profiles.map_err(|error| format!("--profiles {name}: {error}"))?);
    }
    let mut links = Profiles::new();
    for name in &args.link {
        let profile = known.get(name).ok_or_else(|| {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            format!(
                "--link {name}: no such profile; expected one of {}",
                names.join(", ")
            )
        })?;
        links.insert(name.clone(), profile.clone());
    }
    if links.is_empty() {
        links = known;
    }
    let projection = match &args.project {
        Some(text) => Projection::parse(text).map_err(|error| format!("--project {error}"))?,
        None => Projection::default(),
    };
    let what_if = |text: &str| Scenario::parse(text).map_err(|error| format!("--what-if {error}"));
    let mut scenarios: Vec<Scenario> = args
        .what_if
        .iter()
        .map(|text| what_if(text))
        .collect::<Result<_, _>>()?;
    for text in &args.rename {
        let rename = WhatIf::rename(text).map_err(|error| format!("--rename {error}"))?;
        scenarios.push(Scenario::renamed(text, rename));
    }
    if scenarios.is_empty() {
        scenarios = USUAL
            .iter()
            .map(|text| what_if(text))
            .collect::<Result<_, _>>()?;
    }
    Ok(Request {
        projection,
        scenarios,
        links,
        extras: args.link_extras,
        asked: Asked {
            what_if: !args.what_if.is_empty() || !args.rename.is_empty(),
            link: !args.link.is_empty(),
            project: args.project.is_some(),
        },
    })
}

/// Parses `--level`.
pub(super) fn parse_level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| {
        format!("--level {text}: expected l2, l3, l3+N (such as l3+54), tcp, mqtt or app")
    })
}

fn share(text: Option<&str>) -> Result<Share, String> {
    let text = text.unwrap_or(Share::default().name());
    Share::ALL
        .into_iter()
        .find(|share| share.name() == text)
        .ok_or_else(|| format!("--share {text}: expected proportional, equal, first or completes"))
}

/// Counts and reports.
fn run(plan: &OverheadPlan) -> Result<Exit, Stop> {
    let mut printer = Printer {
        report: (plan.format.new)(&plan.report),
        out: Output::new(io::stdout(), plan.reading.line_buffered),
        whole: true,
    };
    printer.report.begin(&mut printer.out.lines);
    let work = |driver: &mut Driver<'_>, source: &Source, turn: &mut Turn<'_, Printer>| {
        let options = plan.options_for(driver, source)?;
        let mut job = OverheadJob {
            ledger: Ledger::new(options),
            name: source.name(),
            reported: (Totals::default(), 0),
            turn,
        };
        let outcome = driver.read(source, &mut job)?;
        let mut whole = outcome.whole;
        if outcome.opened {
            whole &= job.conclude(plan, &outcome)?;
        }
        let printer = turn.take()?;
        printer.whole &= whole;
        Ok(printer.out.settle()?)
    };
    let (mut printer, has_selected) = read_all(&plan.reading, printer, work)?;
    printer.report.finish(&mut printer.out.lines);
    printer.out.flush()?;
    Ok(Exit::success(printer.whole && has_selected))
}

/// What captures share.
struct Printer {
    report: Box<dyn Report<Overhead>>,
    out: Output<io::Stdout>,
    /// Everything could be read.
    whole: bool,
}

/// State of counting one capture.
struct OverheadJob<'a, 'b> {
    ledger: Ledger,
    name: String,
    /// Sums and number of control packets at the end of the last interval.
    reported: (Totals, u64),
    turn: &'a mut Turn<'b, Printer>,
}

impl OverheadJob<'_, '_> {
    /// Reports the account; returns whether everything could be decoded.
    fn conclude(self, plan: &OverheadPlan, outcome: &Outcome) -> Result<bool, Stop> {
        let frames = outcome.frames();
        let (notes, failed) = closing::notes(&closing::Facts {
            summary: outcome.summary.clone(),
            shown: frames,
            selecting: true,
            stopped: outcome.stopped,
            expression: plan.reading.expression.as_deref(),
            hidden: outcome.hidden,
            ..closing::Facts::default()
        });
        notes.iter().for_each(|note| complain(note));
        if let Some(counts) = &outcome.counts {
            counts.report(outcome.passed, frames, "counted");
        }
        let account = self.ledger.finish();
        let item = OverheadItem::Capture(Counted {
            name: &self.name,
            selecting: !plan.reading.selection.is_empty(),
            figures: &Figures::new(&account, &plan.request),
        });
        let printer = self.turn.take()?;
        printer.report.put(&item, &mut printer.out.lines);
        Ok(!failed)
    }
}

impl Job for OverheadJob<'_, '_> {
    type Sink = Ledger;

    fn sink(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    fn rotation(&self) -> Rotation {
        Rotation::Whole
    }

    fn flush(&mut self) -> Result<(), Stop> {
        match self.turn.taken() {
            Some(printer) => Ok(printer.out.flush()?),
            None => Ok(()),
        }
    }

    fn interval(&mut self, interval: Interval, summary: &Summary) -> Result<(), Stop> {
        let totals = self.ledger.totals();
        let item = OverheadItem::Interval(Passed {
            name: &self.name,
            from: interval.from,
            to: interval.to,
            totals: &totals.since(&self.reported.0),
            control_packets: summary.frames - self.reported.1,
        });
        let printer = self.turn.take()?;
        printer.report.put(&item, &mut printer.out.lines);
        self.reported = (totals, summary.frames);
        Ok(printer.out.settle()?)
    }
}

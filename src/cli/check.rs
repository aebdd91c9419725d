//! `mqttdump check`: checks captures against the rules.
//!
//! ```text
//! Fact ─→ Judge ─finding→ FindingFilter ─→ report
//!     └─→ Ledger          allowed, known
//! ```
//!
//! Each positional FILE is a capture of its own; the files given with `-r` are
//! parts of one.
//!
//! While a capture grows, a finding is reported when it arises, once for each
//! connection; the summaries have the counts. Formats that are one document
//! report at the end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args, ValueHint};
use mqttdump::engine::{Placed, Summary};
use mqttdump::facts;
use mqttdump::limits;
use mqttdump::mqtt::TopicFilter;
use mqttdump::net::Endpoint;
use mqttdump::overhead::{self, Ledger, Level};
use mqttdump::packet::{CapturedPacket, PacketRef};
use mqttdump::report::findings::{self, CaptureResult, FINDINGS_REPORTS, FindingItem, Findings};
use mqttdump::report::{Format, Options, Report};
use mqttdump::rules::{
    self, Baseline, Budgets, FailOn, Finding, FindingFilter, Judge, Part, Rule, SizeBudget, Tally,
};
use mqttdump::select::Selection;
use mqttdump::shard::Portion;
use mqttdump::time::Timestamp;

use super::args::value;
use super::args::{Captures, Interim, Output as OutputArgs, Selecting, Watching};
use super::baseline;
use super::command::{Command, Exit};
use super::console::{complain, counted, plain, were};
use super::driver::{Driver, Job, Outcome, Trouble};
use super::explain::unknown;
use super::in_order::{Turn, read_all};
use super::look_ahead::look_ahead;
use super::matching::Matching;
use super::messages::Messages;
use super::output::Output;
use super::overhead::parse_level;
use super::reading::{Reading, Verb};
use super::records::FactsOut;
use super::source::Source;
use super::state::Rotation;
use super::stop::Stop;
use super::surroundings::Surroundings;
use super::watch::Interval;

/// Options of `check`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    captures: Captures,

    #[command(flatten)]
    selecting: Selecting,

    #[command(flatten)]
    checking: Checking,

    #[command(flatten)]
    budgets: BudgetArgs,

    #[command(flatten)]
    interim: Interim,

    #[command(flatten)]
    watching: Watching,

    #[command(flatten)]
    output: OutputArgs,

    /// Output format
    #[arg(long, value_name = "FORMAT", help_heading = "Output", default_value = "text",
          value_parser = value::formats(FINDINGS_REPORTS.iter().map(|format| (format.name, format.help))))]
    format: String,

    /// Print the frames around each finding
    #[arg(short = 'v', long = "verbose", help_heading = "Output", action = ArgAction::Count)]
    verbose: u8,
}

/// Which rules are checked, and which findings fail.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Checking")]
struct Checking {
    /// Lowest verdict that makes the exit status 1: violation, warning, cannot-tell
    /// or never; RULE=VERDICT overrides it for one rule
    ///
    /// A violation is proven by the capture. A warning depends on configuration,
    /// timing or other connections. The verdict is cannot tell if something looks
    /// wrong but the capture is not sufficient proof. Example:
    /// `warning,qos-raised=never`.
    #[arg(long, value_name = "VERDICT", default_value = "violation",
          value_parser = FailOn::parse)]
    fail_on: FailOn,

    /// Check this rule only. Repeatable
    #[arg(long, value_name = "RULE", action = ArgAction::Append)]
    rule: Vec<String>,

    /// Do not report findings of this rule. Repeatable
    #[arg(long, value_name = "RULE", action = ArgAction::Append)]
    allow: Vec<String>,

    /// Do not report findings listed in this file, written by --write-baseline
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    baseline: Option<PathBuf>,

    /// Write the findings to this file, for --baseline
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    write_baseline: Option<PathBuf>,

    /// Also write what findings are made from to this file, to check all shards of a
    /// capture together: `mqttdump check *.facts`
    ///
    /// The file has control packets up to their payloads, digests of payloads, events
    /// and acknowledgements.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    facts_out: Option<PathBuf>,

    /// Assume that the capture has every connection of these clients, so that
    /// evidence from one connection counts as proof for the next
    #[arg(long)]
    complete: bool,

    /// Time after which a missing answer or delivery is reported
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = value::duration)]
    patience: Duration,

    /// Treat two addresses as one server, as ADDRESS:PORT=ADDRESS:PORT. Repeatable
    ///
    /// Messages published at one address are expected to be delivered at the other.
    /// Two ports of one address are treated as one server only with this option.
    #[arg(long, value_name = "A=B", action = ArgAction::Append, value_parser = value::endpoints)]
    same_server: Vec<(Endpoint, Endpoint)>,

    /// Accept a file that ends in the middle of a packet
    #[arg(long)]
    allow_truncated: bool,

    /// Read settings from this file instead of the nearest .mqttdump.toml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
}

/// Limits of a project.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Budgets")]
struct BudgetArgs {
    /// Fail if a capture has fewer messages than N
    #[arg(long, value_name = "N", value_parser = value::whole)]
    min_frames: Option<u64>,

    /// Fail if an acknowledgement takes more than N milliseconds
    #[arg(long, value_name = "N", value_parser = value::whole)]
    max_ack_ms: Option<u64>,

    /// Fail if a PUBLISH packet, of TOPIC or of all others, has more than N bytes;
    /// with --level, its whole exchange. Repeatable
    #[arg(long, value_name = "[TOPIC=]N", action = ArgAction::Append)]
    max_bytes_per_message: Vec<String>,

    /// Bytes counted by --max-bytes-per-message: l2 (frames as captured), l3 (IP
    /// packets), l3+N (IP packets and N bytes for each), tcp (TCP payload), mqtt
    /// (control packets), app (PUBLISH payload)
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,

    /// Fail if a client publishes to this topic with a lower QoS. Repeatable
    #[arg(long, value_name = "TOPIC=N", action = ArgAction::Append)]
    require_qos: Vec<String>,

    /// Fail if a client publishes to this topic. Repeatable
    #[arg(long, value_name = "FILTER", action = ArgAction::Append)]
    forbid_topic: Vec<String>,
}

impl Command for CheckArgs {
    const NAME: &'static str = "check";
    const ABOUT: &'static str = "Check captures against the rules of MQTT";
    const DESCRIPTION: &'static str = "\
Checks captures against the rules of MQTT 3.1, 3.1.1 and 5.0 and reports which rules were broken, by whom, and where. \
Each FILE is checked and reported separately.";
    const USAGE: &'static str = "mqttdump check [OPTIONS] FILE...";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "mqttdump check capture.pcap",
            "exit status 1 if there are violations",
        ),
        (
            "mqttdump check --fail-on warning --format junit *.pcap",
            "for a build server",
        ),
        (
            "mqttdump check --write-baseline known.txt a.pcap",
            "accept the current findings",
        ),
        (
            "mqttdump check --baseline known.txt a.pcap",
            "report new findings only",
        ),
        (
            "mqttdump check -i eth0 --every 10s",
            "live, with a summary every 10 s",
        ),
    ];
    const SHORT_HELP: &'static [&'static str] = &[
        "fail-on",
        "rule",
        "allow",
        "baseline",
        "write-baseline",
        "format",
        "topic",
        "client",
        "filter",
        "interface",
        "verbose",
    ];
    const SETTINGS: &'static [&'static str] = &[
        "fail-on",
        "allow",
        "baseline",
        "complete",
        "patience",
        "same-server",
        "allow-empty",
        "allow-truncated",
        "min-frames",
        "max-ack-ms",
        "max-bytes-per-message",
        "level",
        "require-qos",
        "forbid-topic",
        "color",
    ];

    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        run(&CheckPlan::new(self, around)?)
    }
}

/// The validated options.
struct CheckPlan {
    reading: Reading,
    options: rules::Options,
    /// Budgets of whole exchanges, and the level at which bytes are counted.
    costs: Option<(SizeBudget, Level)>,
    format: &'static Format<Findings>,
    report: Options,
    allow: Vec<&'static Rule>,
    baseline: Option<PathBuf>,
    facts_out: Option<PathBuf>,
    write_baseline: Option<PathBuf>,
    allow_truncated: bool,
    min_frames: u64,
}

impl CheckPlan {
    /// Whether the report prints findings one by one.
    fn streams(&self) -> bool {
        self.format.needs.streaming.is_on(self.report.live)
    }

    fn new(args: CheckArgs, around: &Surroundings<'_>) -> Result<Self, String> {
        let mut reading = Reading::of_command(
            &args.captures,
            &args.watching,
            args.interim.every,
            &args.output,
            around,
            Verb {
                command: "check",
                verb: "check",
            },
        )?;
        let CheckArgs {
            selecting,
            checking,
            budgets: limits,
            ..
        } = args;
        let known = |id: &String| rules::find(id).ok_or_else(|| unknown(id));
        let rules = checking.rule.iter().map(known).collect::<Result<_, _>>()?;
        let allow = checking.allow.iter().map(known).collect::<Result<_, _>>()?;
        let format = FINDINGS_REPORTS
            .iter()
            .find(|format| format.name == args.format)
            .ok_or("--format: no such format")?;
        let mut budgets = budgets(&limits)?;
        let level = limits.level.as_deref().map(parse_level).transpose()?;
        let costs = match level {
            Some(level) if !budgets.message.is_empty() => {
                Some((std::mem::take(&mut budgets.message), level))
            }
            _ => None,
        };
        reading.select(&selecting)?;
        reading.sandbox.confine(
            args.verbose > 0,
            [
                checking.write_baseline.as_deref(),
                checking.facts_out.as_deref(),
            ],
        );
        if checking.facts_out.is_some() && !matches!(reading.captures[..], [Source::Files(_)]) {
            return Err("--facts-out goes with one capture in files".into());
        }
        let live = reading.watch.endless;
        Ok(Self {
            options: rules::Options {
                complete: checking.complete,
                ladders: format.needs.ladders,
                session_uids: format.needs.session_uids,
                rules,
                selection: reading.selection.clone(),
                budgets,
                live,
                patience: checking.patience,
                same_server: checking.same_server,
                most_findings: reading.most_findings(),
            },
            costs,
            format,
            report: Options {
                verbose: args.verbose > 0,
                colour: args.output.color.is_on(around.colour),
                width: around.columns.filter(|_| around.stdout_terminal),
                zone: reading.zone.clone(),
                many: reading.captures.len() > 1,
                live,
                fail_on: checking.fail_on,
                ..Options::default()
            },
            allow,
            baseline: checking.baseline,
            facts_out: checking.facts_out,
            write_baseline: checking.write_baseline,
            allow_truncated: checking.allow_truncated,
            min_frames: limits.min_frames.unwrap_or(0),
            reading,
        })
    }
}

impl CheckPlan {
    fn filter(&self) -> Result<FindingFilter, String> {
        let known = match &self.baseline {
            Some(path) => baseline::read(path)?,
            None => Baseline::default(),
        };
        let mut filter = FindingFilter::new(self.allow.clone(), known);
        if self.write_baseline.is_some() {
            filter.record = Some(Baseline::default());
        }
        Ok(filter)
    }
}

/// Budgets for PUBLISH packets, by topic filter.
fn sizes(typed: &[String]) -> Result<SizeBudget, String> {
    let mut sizes = SizeBudget::default();
    for text in typed {
        let error = || format!("--max-bytes-per-message {text:?}: expected N or TOPIC=N");
        match text.rsplit_once('=') {
            Some((topic, most)) => {
                let filter = TopicFilter::parse(topic.as_bytes()).map_err(|why| {
                    format!("--max-bytes-per-message {topic:?} is not a topic filter: {why}")
                })?;
                let most = most.parse().map_err(|_| error())?;
                sizes.topics.insert(0, (filter, most));
            }
            // The last one applies: typed options come after the settings file.
            None => sizes.others = Some(text.parse().map_err(|_| error())?),
        }
    }
    Ok(sizes)
}

fn budgets(args: &BudgetArgs) -> Result<Budgets, String> {
    let filter = |option: &str, text: &str| {
        TopicFilter::parse(text.as_bytes())
            .map_err(|why| format!("{option} {text:?} is not a topic filter: {why}"))
    };
    let qos = |text: &String| {
        let (topic, qos) = text.rsplit_once('=').ok_or_else(|| {
            format!("--require-qos {text:?}: expected TOPIC=N, such as alarm/#=1")
        })?;
        let least = match qos {
            "1" => 1,
            "2" => 2,
            _ => {
                return Err(format!(
                    "--require-qos {text:?}: expected a QoS of 1 or 2, found {qos:?}"
                ));
            }
        };
        Ok((filter("--require-qos", topic)?, least))
    };
    Ok(Budgets {
        ack: args.max_ack_ms.map(Duration::from_millis),
        message: sizes(&args.max_bytes_per_message)?,
        qos: args.require_qos.iter().map(qos).collect::<Result<_, _>>()?,
        forbidden: args
            .forbid_topic
            .iter()
            .map(|text| filter("--forbid-topic", text))
            .collect::<Result<_, _>>()?,
    })
}

/// Checks and reports.
fn run(plan: &CheckPlan) -> Result<Exit, Stop> {
    let mut run = CheckRun {
        plan,
        filter: plan.filter()?,
        report: (plan.format.new)(&plan.report),
        out: Output::new(io::stdout(), plan.reading.line_buffered),
        trouble: false,
        failed: false,
    };
    run.report.begin(&mut run.out.lines);
    let (mut run, has_selected) = read_all(&plan.reading, run, |driver, source, turn| {
        capture(plan, driver, source, turn)
    })?;
    run.trouble |= !has_selected;
    run.report.finish(&mut run.out.lines);
    run.out.flush()?;
    run.finish()
}

/// A run over all captures.
struct CheckRun<'a> {
    plan: &'a CheckPlan,
    filter: FindingFilter,
    report: Box<dyn Report<Findings>>,
    out: Output<io::Stdout>,
    /// Something could not be done or read.
    trouble: bool,
    /// A finding at or above `--fail-on` was reported.
    failed: bool,
}

/// Checks a capture.
fn capture<'p>(
    plan: &'p CheckPlan,
    driver: &mut Driver<'_>,
    source: &Source,
    turn: &mut Turn<'_, CheckRun<'p>>,
) -> Result<(), Stop> {
    let ledger = plan.costs.as_ref().map(|(_, level)| {
        Ledger::new(overhead::Options {
            level: *level,
            messages: limits::ACCOUNTED_MESSAGES,
            ..overhead::Options::default()
        })
    });
    let selection = &plan.reading.selection;
    let foresight = look_ahead(driver, source, selection)?;
    // The judge applies all other criteria.
    let matching = selection.filter.as_ref().and_then(|filter| {
        let selection = Selection {
            filter: Some(Arc::clone(filter)),
            ..Selection::default()
        };
        Messages::new(&selection, foresight).map(Matching::packets)
    });
    let facts_out = plan.facts_out.as_deref();
    let facts_out = facts_out
        .map(|path| FactsOut::create(path, source.paths(), source.names()))
        .transpose()?;
    let mut job = CheckJob {
        sinks: (
            Judge::new(plan.options.clone()),
            ledger,
            matching,
            facts_out,
        ),
        result: CaptureResult {
            name: match plan.format.name {
                // Annotations name files relative to the repository.
                "sarif" | "github" => relative(source.name()),
                _ => source.name(),
            },
            files: source.names(),
            ..CaptureResult::default()
        },
        left_out: 0,
        waiting: Vec::new(),
        plan,
        turn,
    };
    let outcome = driver.read(source, &mut job)?;
    job.conclude(&outcome)?;
    turn.take()?.trouble |= !outcome.whole;
    if let Some(counts) = &outcome.counts {
        counts.report(outcome.passed, outcome.frames(), "judged");
    }
    Ok(())
}

impl CheckRun<'_> {
    /// Writes the baseline and returns the exit code.
    fn finish(self) -> Result<Exit, Stop> {
        if let (Some(path), Some(baseline)) = (&self.plan.write_baseline, &self.filter.record) {
            baseline::write(path, baseline)?;
        }
        match self.filter.gone() {
            0 => {}
            1 => complain("1 finding of the baseline no longer occurs"),
            gone => complain(&format!("{gone} findings of the baseline no longer occur")),
        }
        if self.filter.unrecorded > 0 {
            complain(&format!(
                "{} not written to the baseline: limit reached",
                counted(self.filter.unrecorded, "finding")
            ));
        }
        Ok(match (self.trouble, self.failed) {
            (true, _) => Exit::Trouble,
            (false, true) => Exit::Findings,
            (false, false) => Exit::Success,
        })
    }
}

/// Path relative to the current folder, if below it.
fn relative(name: String) -> String {
    let folder = std::env::current_dir().ok();
    let below = folder.and_then(|folder| {
        let path = Path::new(&name).strip_prefix(folder).ok()?;
        Some(path.to_str()?.to_owned())
    });
    below.unwrap_or(name)
}

/// One capture being checked.
struct CheckJob<'a, 'b, 'p> {
    sinks: (
        Judge,
        Option<Ledger>,
        Option<Matching<PacketRef>>,
        Option<FactsOut>,
    ),
    result: CaptureResult,
    /// Findings beyond the limit of a report at the end.
    left_out: u64,
    /// Findings that wait for the turn of the capture.
    waiting: Vec<Finding>,
    plan: &'p CheckPlan,
    turn: &'a mut Turn<'b, CheckRun<'p>>,
}

/// Findings that may wait for the turn of their capture.
const WAITING: usize = 4096;

impl CheckJob<'_, '_, '_> {
    /// Reports the results after the capture was read.
    fn conclude(&mut self, outcome: &Outcome) -> Result<(), Stop> {
        let plan = self.plan;
        if let Some(facts_out) = self.sinks.3.take() {
            let summary = outcome.summary.clone().unwrap_or_default();
            facts_out.finish(&summary, self.result.summary.dropped, outcome.whole)?;
        }
        self.turn.take()?;
        self.pass_on()?;
        if let (Some(ledger), Some((budget, level))) = (self.sinks.1.take(), &plan.costs) {
            for finding in rules::expensive(&ledger.finish(), budget, *level) {
                self.pass(finding)?;
            }
        }
        let frames = outcome.frames();
        let name = &self.result.name;
        if outcome.opened && frames == 0 && !plan.reading.allow_empty {
            let packets = outcome.summary.as_ref().map_or(0, |it| it.packets);
            let packets = counted(packets, "packet");
            self.complain(format!(
                "{name}: no MQTT messages in {packets}: nothing to check (accept with --allow-empty)"
            ))?;
        } else if outcome.opened && frames < plan.min_frames {
            self.complain(format!(
                "{name}: expected at least {} messages, found {frames}",
                plan.min_frames
            ))?;
        }
        if let (Some(matching), true) = (&self.sinks.2, frames > 0)
            && !matching.messages().any()
            && !plan.reading.allow_empty
        {
            let name = &self.result.name;
            self.complain(format!(
                "{name}: -Y selects none of {} (accept with --allow-empty)",
                counted(frames, "message")
            ))?;
        }
        for (count, what) in [
            (outcome.evicted.sessions, "session"),
            (outcome.evicted.servers, "server"),
        ] {
            if count > 0 {
                complain(&format!(
                    "{}: {} evicted: table full",
                    self.result.name,
                    were(count, what)
                ));
            }
        }
        self.sum_up(frames);
        let run = self.turn.take()?;
        let item = FindingItem::Capture(&self.result);
        run.report.put(&item, &mut run.out.lines);
        Ok(run.out.settle()?)
    }

    /// Reports an error or damage on standard error and in the report.
    fn complain(&mut self, message: String) -> Result<(), Stop> {
        complain(&message);
        self.result.errors.push(plain(&message));
        self.turn.take()?.trouble = true;
        Ok(())
    }

    /// Updates the summary.
    fn sum_up(&mut self, frames: u64) {
        let judge = &self.sinks.0;
        let judged = judge.judged();
        let summary = &mut self.result.summary;
        summary.frames = frames;
        summary.connections = judge.connections();
        summary.rules_evaluated = judged.len() as u64;
        summary.more = judge.uncounted() + self.left_out;
        self.result.judged = judged;
        self.result.tally = self.plan.options.live.then(|| judge.tally().clone());
    }

    /// Takes new findings: those that arose, or those that are settled. They wait for
    /// the turn of the capture, unless they are many.
    fn pass_on(&mut self) -> Result<(), Stop> {
        let judge = &mut self.sinks.0;
        let arisen = judge.take_arisen();
        let settled = judge.take_finished();
        let found = match self.plan.options.live && self.plan.streams() {
            true => arisen,
            false => settled,
        };
        if self.turn.taken().is_none() && self.waiting.len() + found.len() <= WAITING {
            self.waiting.extend(found);
            return Ok(());
        }
        for finding in std::mem::take(&mut self.waiting).into_iter().chain(found) {
            self.pass(finding)?;
        }
        Ok(())
    }

    fn pass(&mut self, finding: Finding) -> Result<(), Stop> {
        if let Some(matching) = &self.sinks.2
            && !finding.packets.is_empty()
            && !finding.packets.iter().any(|packet| matching.has(packet))
        {
            return Ok(());
        }
        let run = self.turn.take()?;
        if !run.filter.passes(&finding) {
            self.result.summary.suppressed += 1;
            return Ok(());
        }
        self.result.summary.count(finding.verdict);
        run.failed |= run.plan.report.fail_on.fails(&finding);
        if run.plan.streams() {
            let item = FindingItem::Finding {
                capture: &self.result.name,
                finding: &finding,
            };
            run.report.put(&item, &mut run.out.lines);
        } else if self.result.findings.len() < self.plan.options.most_findings {
            self.result.findings.push(finding);
        } else {
            self.left_out += 1;
        }
        Ok(())
    }
}

impl Job for CheckJob<'_, '_, '_> {
    type Sink = (
        Judge,
        Option<Ledger>,
        Option<Matching<PacketRef>>,
        Option<FactsOut>,
    );

    fn sink(&mut self) -> &mut Self::Sink {
        &mut self.sinks
    }

    fn rotation(&self) -> Rotation {
        Rotation::Whole
    }

    fn options(&self) -> facts::Options {
        self.plan.options.facts()
    }

    fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        if let (Some(packet), Some(matching)) = (packet, &mut self.sinks.2) {
            matching.packet(packet.time);
        }
        if let Some(facts_out) = &mut self.sinks.3 {
            facts_out.before(packet);
        }
    }

    fn clock(&mut self, packet: PacketRef, time: Timestamp) {
        if let Some(facts_out) = &mut self.sinks.3 {
            facts_out.clock(packet, time);
        }
    }

    fn pause(&mut self, packet: PacketRef, from: Timestamp, until: Timestamp) {
        if let Some(facts_out) = &mut self.sinks.3 {
            facts_out.pause(packet, from, until);
        }
    }

    fn after(&mut self, placed: Placed<'_>) {
        if let Some(facts_out) = &mut self.sinks.3 {
            facts_out.after(placed);
        }
    }

    /// To learn at the end that the baseline cannot be written would be late.
    fn may_begin(&mut self) -> Result<(), String> {
        match &self.plan.write_baseline {
            Some(path) => baseline::may_write(path),
            None => Ok(()),
        }
    }

    fn settle(&mut self) -> Result<(), Stop> {
        if let Some(facts_out) = &mut self.sinks.3 {
            facts_out.settle()?;
        }
        if self.sinks.0.has_finished() || self.sinks.0.has_arisen() {
            self.pass_on()?;
            if let Some(run) = self.turn.taken() {
                run.out.settle()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Stop> {
        match self.turn.taken() {
            Some(run) => Ok(run.out.flush()?),
            None => Ok(()),
        }
    }

    fn interval(&mut self, interval: Interval, summary: &Summary) -> Result<(), Stop> {
        if interval.is_cut {
            return Ok(());
        }
        self.pass_on()?;
        self.sum_up(summary.frames);
        let interval = findings::Interval {
            from: interval.from,
            to: interval.to,
        };
        let run = self.turn.take()?;
        let item = FindingItem::Interval(interval, &self.result);
        run.report.put(&item, &mut run.out.lines);
        Ok(run.out.settle()?)
    }

    fn dropped(&mut self, packets: u64) {
        self.result.summary.dropped += packets;
    }

    fn takes_records(&self) -> bool {
        self.sinks.1.is_none()
    }

    fn only_part(&mut self, portion: &Portion) -> Result<(), Stop> {
        let name = portion.to_string();
        if self.sinks.3.is_none() {
            complain(&format!(
                "{}: this is {name}: cannot tell what depends on connections in the others; check \
                 all shards together, or their files of --facts-out",
                self.result.name
            ));
        }
        self.sinks.0.only_part(Part {
            keeps_sessions: portion.keeps_sessions(),
            name: name.clone(),
        });
        self.result.summary.part = Some(name);
        Ok(())
    }

    fn tally(&self) -> Option<&Tally> {
        Some(self.sinks.0.tally())
    }

    fn trouble(&mut self, trouble: &Trouble) -> bool {
        complain(&trouble.message);
        self.result.errors.push(plain(&trouble.message));
        self.result.summary.damaged = true;
        self.plan.allow_truncated && trouble.is_truncation
    }
}

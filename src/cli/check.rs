//! `mqttdump check`: judges captures.
//!
//! ```text
//! capture ─packet→ gate → engine ─frame, event, TCP fact→ judge ─finding→ sieve ─→ report
//!                                                                       allowed, known
//! ```
//!
//! Each positional FILE is a capture of its own; the parts given with `-r` are
//! one together.
//!
//! What is not over is judged as it happens: findings are told when they arise,
//! each once on its connection, and how often they came is in the summaries. The
//! formats that are one document tell what is settled, at the end.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum, ValueHint};
use jiff::tz::TimeZone;
use mqttdump::capture::{Block, Dropped, Merge, Packet};
use mqttdump::facts::Facts;
use mqttdump::limits;
use mqttdump::mqtt::TopicFilter;
use mqttdump::overhead::{self, Account, Ledger, Level};
use mqttdump::report::findings::fingerprint::fingerprint;
use mqttdump::report::findings::{
    self, CaptureResult, CheckSummary, FINDINGS_REPORTS, FindingsFormat, FindingsOptions,
    FindingsReport,
};
use mqttdump::rules::{
    self, Budgets, Expensive, Finding, Judge, MOST_PACKETS, Rule, SizeBudget, Verdict,
};
use mqttdump::time::Timestamp;

use super::args::value;
use super::args::{Captures, Interim, Output as OutputArgs, Selecting, Watching};
use super::bounded;
use super::command::{Command, Exit};
use super::console::{complain, counted};
use super::explain::unknown;
use super::gate::Gate;
use super::keylog::{self, KeyLogFile};
use super::output::Output;
use super::overhead::parse_level;
use super::progress::Progress;
use super::reading::{Reading, Verb};
use super::run::{Consumer, Lookout, read};
use super::save::may_write;
use super::source::Source;
use super::stop::Stop;
use super::surroundings::Surroundings;
use super::watch::{Interval, Watch};

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

/// Which rules are checked, and what fails.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Checking")]
struct Checking {
    /// Lowest verdict that makes the exit status 1
    ///
    /// A violation is proven by the capture. A warning rests on configuration,
    /// timing or other connections. The verdict is cannot tell when something
    /// looks wrong but the capture lacks the proof.
    #[arg(long, value_name = "VERDICT", value_enum, default_value_t = FailOn::Violation)]
    fail_on: FailOn,

    /// Check this rule only. Repeatable
    #[arg(long, value_name = "RULE", action = ArgAction::Append)]
    rule: Vec<String>,

    /// Do not report findings of this rule. Repeatable
    #[arg(long, value_name = "RULE", action = ArgAction::Append)]
    allow: Vec<String>,

    /// Do not report the findings in this file, which --write-baseline wrote
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    baseline: Option<PathBuf>,

    /// Write the findings to this file, for --baseline
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    write_baseline: Option<PathBuf>,

    /// Assume that every connection of these clients is in the capture, so that
    /// one connection is proof for the next
    #[arg(long)]
    complete: bool,

    /// Accept a capture without MQTT
    #[arg(long)]
    allow_empty: bool,

    /// Accept a file that ends within a packet
    #[arg(long)]
    allow_truncated: bool,

    /// Read settings from this file instead of the nearest .mqttdump.toml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
}

/// Limits that a project sets for itself.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Budgets")]
struct BudgetArgs {
    /// Fail if a capture has fewer messages
    #[arg(long, value_name = "N", value_parser = value::whole)]
    min_frames: Option<u64>,

    /// Fail if an acknowledgement takes longer, in milliseconds
    #[arg(long, value_name = "N", value_parser = value::whole)]
    max_ack_ms: Option<u64>,

    /// Fail if a PUBLISH packet has more bytes, of all topics or of some; with
    /// --level, if its whole exchange has. Repeatable
    #[arg(long, value_name = "[TOPIC=]N", action = ArgAction::Append)]
    max_bytes_per_message: Vec<String>,

    /// What --max-bytes-per-message counts: l2 (frames as captured), l3 (IP
    /// packets), l3+N (and N bytes for each), tcp (TCP payload), mqtt (control
    /// packets), app (PUBLISH payload)
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,

    /// Fail if a client publishes to such a topic with a lower QoS. Repeatable
    #[arg(long, value_name = "TOPIC=N", action = ArgAction::Append)]
    require_qos: Vec<String>,

    /// Fail if a client publishes to such a topic. Repeatable
    #[arg(long, value_name = "FILTER", action = ArgAction::Append)]
    forbid_topic: Vec<String>,
}

/// What makes `check` fail.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
enum FailOn {
    /// What is proven to be wrong
    #[default]
    Violation,
    /// Also what rests on configuration, timing or other connections
    Warning,
    /// Also what the capture cannot prove
    CannotTell,
    /// Nothing
    Never,
}

impl Command for CheckArgs {
    const NAME: &'static str = "check";
    const ABOUT: &'static str = "Check captures against the rules of MQTT";
    const DESCRIPTION: &'static str = "\
Checks captures against the rules of MQTT 3.1, 3.1.1 and 5.0 and reports which were broken, by whom, and where. \
Each FILE is a capture with a result of its own.";
    const USAGE: &'static str = "mqttdump check [OPTIONS] FILE...";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "mqttdump check capture.pcap",
            "violations fail: exit status 1",
        ),
        (
            "mqttdump check --fail-on warning --format junit *.pcap",
            "for a build server",
        ),
        (
            "mqttdump check --write-baseline known.txt a.pcap",
            "accept what there is",
        ),
        (
            "mqttdump check --baseline known.txt a.pcap",
            "report what is new",
        ),
        (
            "mqttdump check -i eth0 --every 10s",
            "live, as findings arise",
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

/// What to check, and how.
struct CheckPlan {
    reading: Reading,
    options: rules::Options,
    /// What messages may cost with all that belongs to them, and what counts.
    costs: Option<(SizeBudget, Level)>,
    format: &'static FindingsFormat,
    report: FindingsOptions,
    fail_on: FailOn,
    allow: Vec<&'static Rule>,
    baseline: Option<PathBuf>,
    write_baseline: Option<PathBuf>,
    allow_empty: bool,
    allow_truncated: bool,
    min_frames: u64,
}

impl CheckPlan {
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
        reading.engine.payload = DIGESTED;
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
        let live = reading.watch.endless;
        Ok(Self {
            options: rules::Options {
                complete: checking.complete,
                ladders: args.verbose > 0,
                rules,
                selection: selecting.selection()?,
                budgets,
                live,
            },
            costs,
            format,
            report: FindingsOptions {
                verbose: args.verbose > 0,
                colour: args.output.color.is_on(around.colour),
                width: around.columns.filter(|_| around.stdout_terminal),
                zone: TimeZone::system(),
                many: reading.captures.len() > 1,
                live,
            },
            fail_on: checking.fail_on,
            allow,
            baseline: checking.baseline,
            write_baseline: checking.write_baseline,
            allow_empty: checking.allow_empty,
            allow_truncated: checking.allow_truncated,
            min_frames: limits.min_frames.unwrap_or(0),
            reading,
        })
    }
}

/// Bytes of each payload that rules see.
const DIGESTED: u32 = 4096;

/// Bytes that messages may have, of some topics and of all others.
fn sizes(typed: &[String]) -> Result<SizeBudget, String> {
    let mut sizes = SizeBudget::default();
    for text in typed {
        let told = || format!("--max-bytes-per-message {text:?}: expected N or TOPIC=N");
        match text.rsplit_once('=') {
            Some((topic, most)) => {
                let filter = TopicFilter::parse(topic.as_bytes()).map_err(|why| {
                    format!("--max-bytes-per-message {topic:?} is not a topic filter: {why}")
                })?;
                let most = most.parse().map_err(|_| told())?;
                sizes.topics.insert(0, (filter, most));
            }
            // The last one counts: what is typed comes after the settings file.
            None => sizes.others = Some(text.parse().map_err(|_| told())?),
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
    let expression = plan.reading.expression.as_deref();
    let mut sieve = Sieve::new(plan).map_err(Stop::Failed)?;
    let mut report = (plan.format.new)(&plan.report);
    let mut out = Output::new(io::stdout().lock(), plan.reading.line_buffered);
    let mut progress = Progress::new(plan.reading.progress);
    let mut trouble = false;
    let mut watch = Watch::new(&plan.reading.watch).map_err(Stop::Failed)?;
    for source in &plan.reading.captures {
        let mut judge = Judge::new(plan.options.clone());
        let mut ledger = plan.costs.as_ref().map(|(_, level)| {
            Ledger::new(overhead::Options {
                level: *level,
                messages: true,
                ..overhead::Options::default()
            })
        });
        let sinks = (&mut judge, &mut ledger, &mut watch);
        let facts = Facts::new(plan.reading.engine.clone(), plan.options.facts(), &sinks);
        let court = Court {
            facts,
            keys: plan.reading.keys.open().map_err(Stop::Failed)?,
            judge,
            ledger,
            watch: &mut watch,
            now: None,
            ahead: None,
            sieve: &mut sieve,
            report: report.as_mut(),
            out: &mut out,
            result: CaptureResult {
                name: source.name(),
                files: source.names(),
                ..CaptureResult::default()
            },
            live: plan.reading.watch.endless,
            left_out: 0,
        };
        trouble |= court.try_capture(plan, source, expression, &mut progress)?;
    }
    progress.clear();
    report.finish(&mut out.lines);
    out.flush()?;
    for message in sieve.finish().map_err(Stop::Failed)? {
        complain(&message);
    }
    Ok(match (trouble, sieve.failed) {
        (true, _) => Exit::Trouble,
        (false, true) => Exit::Findings,
        (false, false) => Exit::Success,
    })
}

/// One capture before the judge.
struct Court<'a, W: io::Write> {
    facts: Facts,
    keys: KeyLogFile,
    judge: Judge,
    ledger: Option<Ledger>,
    watch: &'a mut Watch,
    /// Capture time, as far as it is known.
    now: Option<Timestamp>,
    /// A packet said that it was much later.
    ahead: Option<Timestamp>,
    sieve: &'a mut Sieve,
    report: &'a mut dyn FindingsReport,
    out: &'a mut Output<W>,
    result: CaptureResult,
    /// Findings are told as they arise.
    live: bool,
    /// Findings that were too many for a report at the end.
    left_out: u64,
}

impl<W: io::Write> Court<'_, W> {
    /// Judges a capture; returns whether something could not be done.
    fn try_capture(
        mut self,
        plan: &CheckPlan,
        source: &Source,
        expression: Option<&str>,
        progress: &mut Progress,
    ) -> Result<bool, Stop> {
        let mut opened = source.open()?;
        let mut trouble = false;
        for error in &opened.errors {
            trouble = true;
            self.complain(error.to_string());
        }
        let mut gate = Gate::new(expression, plan.reading.max_packets, &opened.link_types())
            .map_err(|error| Stop::Failed(error.to_string()))?;
        let is_open = !opened.captures.is_empty();
        opened.begin(|| self.sieve.may_write())?;
        // Opened as whoever we were; parsed as nobody in particular.
        self.keys.read_on(&mut self.facts);
        self.watch.start(&opened).map_err(Stop::Failed)?;
        let mut merge = Merge::new(std::mem::take(&mut opened.captures));
        let lookout = Lookout {
            opened: &opened,
            stdout: true,
        };
        let errors = read(&mut merge, &mut gate, progress, &mut self, &lookout)?;
        for error in errors {
            let forgiven = plan.allow_truncated && error.is_truncation();
            trouble |= !forgiven;
            self.result.summary.damaged = true;
            self.complain(error.to_string());
        }
        for error in std::mem::take(&mut gate.refused) {
            trouble = true;
            self.complain(error.to_string());
        }
        self.facts
            .finish(&mut (&mut self.judge, &mut self.ledger, &mut *self.watch));
        self.pass_on();
        let tally = self.judge.tally();
        self.watch.settle_now(self.now, &self.facts, Some(tally));
        if let (Some(ledger), Some((budget, level))) = (self.ledger.take(), &plan.costs) {
            for finding in expensive(&ledger.finish(), budget, *level) {
                self.pass(finding);
            }
        }
        let frames = self.facts.summary().frames;
        if is_open && frames == 0 && !plan.allow_empty {
            trouble = true;
            self.complain(format!(
                "{}: nothing to judge: no MQTT message in {} (--allow-empty lets that pass)",
                self.result.name,
                counted(self.facts.summary().packets, "packet")
            ));
        } else if is_open && frames < plan.min_frames {
            trouble = true;
            self.complain(format!(
                "{}: expected at least {} messages, found {frames}",
                self.result.name, plan.min_frames
            ));
        }
        let given_up = self.facts.given_up();
        for (count, what) in [
            (given_up.sessions, "session without a connection"),
            (given_up.servers, "server"),
        ] {
            if count > 0 {
                complain(&forgotten(&self.result.name, count, what));
            }
        }
        self.sum_up();
        self.report.capture(&self.result, &mut self.out.lines);
        self.out.settle()?;
        if let Some(counts) = opened.counts() {
            counts.say(gate.passed, frames, "judged");
        }
        Ok(trouble)
    }

    /// Says it, and has the report say it.
    fn complain(&mut self, message: String) {
        complain(&message);
        self.result.errors.push(message);
    }

    /// What the capture has come to by now.
    fn sum_up(&mut self) {
        let judged = self.judge.judged();
        let summary = &mut self.result.summary;
        summary.frames = self.facts.summary().frames;
        summary.connections = self.judge.connections();
        summary.rules_evaluated = judged.len() as u64;
        summary.more = self.judge.uncounted() + self.left_out;
        self.result.judged = judged;
        self.result.tally = self.live.then(|| self.judge.tally().clone());
    }

    /// What a packet says of the time. One that is far ahead of all others may have
    /// a clock of its own, and then nothing is overdue: the next has to agree.
    fn time_of(&mut self, packet: Timestamp) -> Timestamp {
        let before = self.now.unwrap_or(packet);
        if packet.since(before) <= JUMP {
            self.ahead = None;
            return packet;
        }
        match self.ahead.replace(packet) {
            Some(ahead) => ahead.min(packet),
            None => before,
        }
    }

    /// Capture time has come to `now`, and nothing later was looked at.
    fn time(&mut self, now: Timestamp) -> Result<(), Stop> {
        let before = self.now.unwrap_or(now);
        let now = before.max(now);
        self.now = Some(now);
        if now.since(before) > PAUSE {
            // What lacks before a pause is known to lack before anybody is
            // accused of it.
            let nanos = before.nanos().saturating_add(PAUSE.as_nanos() as i64);
            self.facts.tick(
                Timestamp::from_nanos(nanos),
                &mut (&mut self.judge, &mut self.ledger, &mut *self.watch),
            );
        }
        if let Some(Interval { from, to }) = self.watch.time(now) {
            self.facts.settle(to, &mut self.judge);
            self.pass_on();
            self.sum_up();
            let interval = findings::Interval { from, to };
            self.report
                .interval(interval, &self.result, &mut self.out.lines);
            self.out.settle()?;
        }
        Ok(())
    }

    /// After something was looked at.
    fn settle(&mut self, at_once: bool) -> Result<(), Stop> {
        if self.live {
            if let Some(now) = self.now {
                self.facts.settle(now, &mut self.judge);
            }
            let tally = self.judge.tally();
            match at_once {
                true => self.watch.settle_now(self.now, &self.facts, Some(tally)),
                false => self.watch.settle(self.now, &self.facts, Some(tally)),
            }
        }
        if self.judge.has_finished() || self.judge.has_arisen() {
            self.pass_on();
            self.out.settle()?;
        }
        Ok(())
    }

    /// Takes what is known by now: what has arisen, or what is settled.
    fn pass_on(&mut self) {
        let arisen = self.judge.take_arisen();
        let settled = self.judge.take_finished();
        let news = match self.live && self.report.streams() {
            true => arisen,
            false => settled,
        };
        for finding in news {
            self.pass(finding);
        }
    }

    fn pass(&mut self, finding: Finding) {
        if !self.sieve.passes(&finding, &mut self.result.summary) {
            return;
        }
        if self.report.streams() {
            self.report
                .finding(&self.result.name, &finding, &mut self.out.lines);
        } else if self.result.findings.len() < limits::FINDINGS {
            self.result.findings.push(finding);
        } else {
            self.left_out += 1;
        }
    }
}

impl<W: io::Write> Consumer for Court<'_, W> {
    fn before_waiting(&mut self) -> Result<(), Stop> {
        self.keys.read_on(&mut self.facts);
        self.settle(true)?;
        Ok(self.out.flush()?)
    }

    fn block(&mut self, block: &Block<'_>) -> Result<(), Stop> {
        keylog::from_block(block, &mut self.facts);
        Ok(())
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Stop> {
        if self.live {
            let now = self.time_of(packet.packet.time);
            self.time(now)?;
        }
        self.facts.push(
            &packet.packet,
            &mut (&mut self.judge, &mut self.ledger, &mut *self.watch),
        );
        self.settle(false)
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), Stop> {
        self.keys.read_on(&mut self.facts);
        self.time(now)?;
        self.facts.tick(
            now,
            &mut (&mut self.judge, &mut self.ledger, &mut *self.watch),
        );
        self.before_waiting()
    }

    fn dropped(&mut self, dropped: &Dropped) -> Result<(), Stop> {
        self.result.summary.dropped += dropped.packets;
        self.facts.dropped(
            dropped.packets,
            dropped.until,
            &mut (&mut self.judge, &mut self.ledger, &mut *self.watch),
        );
        Ok(())
    }

    fn is_done(&self) -> bool {
        false
    }
}

/// Further than this one packet alone does not move the time.
const JUMP: Duration = Duration::from_secs(60);

/// After so long without a packet the engine declares holes.
const PAUSE: Duration = Duration::from_millis(limits::HOLE_MILLIS + 50);

/// A bound that bit is said. Nobody is accused for want of what was forgotten.
fn forgotten(name: &str, count: u64, what: &str) -> String {
    let (what, were) = match (count, what.split_once(' ')) {
        (1, _) => (what.to_owned(), "was"),
        (_, Some((first, rest))) => (format!("{first}s {rest}"), "were"),
        (_, None) => (format!("{what}s"), "were"),
    };
    format!("{name}: {count} {what} {were} forgotten, because there were too many at once")
}

/// Messages that cost more than they may: a finding for each connection, topic
/// and direction.
fn expensive(account: &Account, budget: &SizeBudget, level: Level) -> Vec<Finding> {
    let level = level.to_string();
    let mut findings: Vec<Finding> = Vec::new();
    for connection in &account.connections {
        let first = findings.len();
        for message in &connection.messages {
            let name = account.topics[message.topic as usize].name.as_ref();
            let topic = (message.topic > 0).then_some(name);
            let (Some(most), cost) = (budget.most(topic), message.marginal()) else {
                continue;
            };
            if cost <= most {
                continue;
            }
            let finding = Expensive {
                connection: connection.number,
                client_id: connection.client_id.as_deref(),
                direction: message.direction,
                topic,
                packet: message.completed_by,
                time: message.time,
                cost,
                most,
                level: &level,
            }
            .finding();
            let same =
                |known: &&mut Finding| known.topic == finding.topic && known.by == finding.by;
            match findings[first..].iter_mut().find(same) {
                Some(known) => {
                    known.count += 1;
                    if known.packets.len() < MOST_PACKETS {
                        known.packets.push(message.completed_by);
                    }
                }
                None => findings.push(finding),
            }
        }
    }
    findings
}

/// What of the findings is reported, and what it means for the exit code.
struct Sieve {
    allow: Vec<&'static Rule>,
    fail_on: FailOn,
    known: BTreeSet<String>,
    met: BTreeSet<String>,
    write: Option<PathBuf>,
    all: BTreeSet<String>,
    /// Findings that were too many for the baseline.
    unwritten: u64,
    failed: bool,
}

impl Sieve {
    fn new(plan: &CheckPlan) -> Result<Self, String> {
        Ok(Self {
            allow: plan.allow.clone(),
            fail_on: plan.fail_on,
            known: match &plan.baseline {
                Some(path) => read_baseline(path)?,
                None => BTreeSet::new(),
            },
            met: BTreeSet::new(),
            write: plan.write_baseline.clone(),
            all: BTreeSet::new(),
            unwritten: 0,
            failed: false,
        })
    }

    fn passes(&mut self, finding: &Finding, summary: &mut CheckSummary) -> bool {
        let mark = fingerprint(finding);
        let allowed = self
            .allow
            .iter()
            .any(|rule| std::ptr::eq(*rule, finding.rule));
        let known = self.known.contains(&mark);
        if known {
            self.met.insert(mark.clone());
        }
        if self.write.is_some() && !allowed {
            match self.all.len() < limits::FINDINGS || self.all.contains(&mark) {
                true => drop(self.all.insert(mark)),
                false => self.unwritten += 1,
            }
        }
        if allowed || known {
            summary.suppressed += 1;
            return false;
        }
        summary.count(finding.verdict);
        self.failed |= match (self.fail_on, finding.verdict) {
            (FailOn::Never, _) | (_, Verdict::Note) => false,
            (_, Verdict::Violation) => true,
            (FailOn::Violation, _) => false,
            (FailOn::Warning, verdict) => verdict == Verdict::Warning,
            (FailOn::CannotTell, _) => true,
        };
        true
    }

    /// Whether the baseline can be written, as whoever we are now: to learn at
    /// the end that it cannot would be late.
    fn may_write(&self) -> Result<(), String> {
        match &self.write {
            Some(path) => may_write(path).map_err(|error| format!("--write-baseline: {error}")),
            None => Ok(()),
        }
    }

    /// Writes the baseline; what is left to say.
    fn finish(&self) -> Result<Vec<String>, String> {
        if let Some(path) = &self.write {
            let mut text = HEADER.to_owned();
            for mark in &self.all {
                text += mark;
                text.push('\n');
            }
            fs::write(path, text)
                .map_err(|error| format!("--write-baseline {}: {error}", path.display()))?;
        }
        let gone = self.known.len() - self.met.len();
        let mut notes = match gone {
            0 => Vec::new(),
            1 => vec!["1 finding of the baseline was not found any more".to_owned()],
            _ => vec![format!(
                "{gone} findings of the baseline were not found any more"
            )],
        };
        if self.unwritten > 0 {
            notes.push(format!(
                "{} not written to the baseline, because there were too many",
                counted(self.unwritten, "finding")
            ));
        }
        Ok(notes)
    }
}

/// Longer than this is no baseline.
const BASELINE_BYTES: u64 = 64 << 20;

const HEADER: &str = "# mqttdump baseline: findings that are known, one a line\n";

fn read_baseline(path: &Path) -> Result<BTreeSet<String>, String> {
    let text = bounded::read_text(path, BASELINE_BYTES)
        .map_err(|error| format!("--baseline {}: {error}", path.display()))?;
    if !text.starts_with("# mqttdump baseline") {
        return Err(format!(
            "--baseline {}: expected a file that --write-baseline wrote, found another",
            path.display()
        ));
    }
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

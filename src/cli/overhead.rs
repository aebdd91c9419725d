//! `mqttdump overhead`: counts captures.
//!
//! ```text
//! capture ─packet→ gate → engine ─packet, frame, event→ ledger ─account→ report
//! ```
//!
//! As with `check`, each positional FILE is a capture of its own; the parts
//! given with `-r` are one together.

use std::io;
use std::process::ExitCode;

use jiff::tz::TimeZone;
use mqttdump::capture::{Block, Dropped, Merge, Packet};
use mqttdump::engine;
use mqttdump::facts::{self, Facts};
use mqttdump::overhead::{
    self, Counts, Figures, Ledger, Level, Profiles, Projection, Request, Scenario, Share, Totals,
    USUAL, WhatIf,
};
use mqttdump::report::overhead::{
    Counted, OVERHEAD_REPORTS, OverheadFormat, OverheadOptions, OverheadReport, Passed,
};
use mqttdump::time::Timestamp;

use super::args::{Args, When};
use super::closing;
use super::complain;
use super::config::{Expression, Surroundings};
use super::gate::{self, Gate};
use super::keylog::{self, KeyLogFile, KeyLogPlan};
use super::output::Output;
use super::progress::Progress;
use super::run::{Consumer, Lookout, Stop, read};
use super::source::Source;
use super::watch::{Interval, Watch, WatchPlan};

/// What to count, and how.
pub(crate) struct OverheadPlan {
    /// The captures. Never empty.
    captures: Vec<Source>,
    keys: KeyLogPlan,
    expression: Expression,
    max_packets: Option<u64>,
    engine: engine::Config,
    options: overhead::Options,
    request: Request,
    format: &'static OverheadFormat,
    report: OverheadOptions,
    progress: bool,
    line_buffered: bool,
    watch: WatchPlan,
}

impl OverheadPlan {
    pub(super) fn new(args: &Args, around: &Surroundings<'_>) -> Result<Self, String> {
        if args.write.is_some() || args.count {
            return Err(
                "overhead neither saves packets nor counts messages: leave out -w and --count"
                    .into(),
            );
        }
        if !args.topic.is_empty() || !args.types.is_empty() || !args.qos.is_empty() {
            return Err(
                "overhead accounts for whole connections: choose them by --client or --connection"
                    .into(),
            );
        }
        let (captures, expression) = Source::of_command(args, around, "overhead", "count")?;
        let watch = WatchPlan::new(args, &captures, around)?;
        let format = OVERHEAD_REPORTS
            .iter()
            .find(|format| format.name == args.format)
            .ok_or_else(|| {
                let known: Vec<_> = OVERHEAD_REPORTS.iter().map(|format| format.name).collect();
                format!(
                    "--format {} is for another command; overhead knows {}",
                    args.format,
                    known.join(", ")
                )
            })?;
        let request = request(args)?;
        let mut engine = engine::Config {
            only_known_ports: args.only_known_ports,
            verify_checksums: args.verify_checksums,
            payload: 32 << 10,
            ..engine::Config::default()
        };
        let keys = KeyLogPlan::new(args);
        engine.expects_keys = keys.is_given();
        engine.ports.extend(args.decode.iter().copied());
        Ok(Self {
            keys,
            expression,
            max_packets: args.packets,
            engine,
            options: overhead::Options {
                level: level(args, &request.links)?,
                share: share(args.share.as_deref())?,
                messages: format.messages,
                sums_only: false,
                samples: true,
                clients: args.client.iter().map(|id| id.as_bytes().into()).collect(),
                connections: args.connection.clone(),
            },
            request,
            format,
            report: OverheadOptions {
                many: captures.len() > 1,
                verbose: args.verbose > 0,
                zone: TimeZone::system(),
                colour: match args.color {
                    When::Always => true,
                    When::Never => false,
                    When::Auto => around.colour,
                },
                width: around
                    .columns
                    .filter(|_| around.stdout_terminal)
                    .unwrap_or(80),
            },
            progress: around.stderr_terminal
                && !around.stdout_terminal
                && captures.iter().all(Source::is_files),
            line_buffered: args.line_buffered || around.stdout_terminal || watch.endless,
            watch,
            captures,
        })
    }
}

/// What is typed, else what the link that was asked for counts.
fn level(args: &Args, links: &Profiles) -> Result<Level, String> {
    match (&args.level, &args.link[..]) {
        (Some(text), _) => parse_level(text),
        (None, [first, ..]) => Ok(match links.get(first).map(|profile| profile.counts()) {
            Some(Counts::Level(level)) => level,
            _ => Level::L2,
        }),
        (None, []) => Ok(Level::L2),
    }
}

/// What is to be derived.
fn request(args: &Args) -> Result<Request, String> {
    let mut known = overhead::profiles();
    if let Some(path) = &args.profiles {
        let told = |error: String| format!("--profiles {}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
        known.extend(overhead::read_profiles(&text).map_err(told)?);
    }
    let mut links = Profiles::new();
    for name in &args.link {
        let profile = known.get(name).ok_or_else(|| {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            format!(
                "--link {name}: there is no such profile; there are {}",
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
    })
}

/// What `--level` says.
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

/// Counts, reports, and says by the exit code whether all could be read.
pub(crate) fn run(plan: &OverheadPlan) -> ExitCode {
    match try_run(plan) {
        Ok(true) | Err(Stop::ReaderGone) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(Stop::Failed(message)) => {
            complain(&message);
            ExitCode::from(2)
        }
    }
}

fn try_run(plan: &OverheadPlan) -> Result<bool, Stop> {
    let expression = gate::text(&plan.expression).map_err(Stop::Failed)?;
    let mut report = (plan.format.new)(&plan.report);
    let mut out = Output::new(io::stdout().lock(), plan.line_buffered);
    let mut progress = Progress::new(plan.progress);
    let mut watch = Watch::new(&plan.watch).map_err(Stop::Failed)?;
    let mut whole = true;
    for source in &plan.captures {
        let mut ledger = Ledger::new(plan.options.clone());
        let facts = Facts::new(
            plan.engine.clone(),
            facts::Options::default(),
            &(&mut ledger, &mut watch),
        );
        let counting = Counting {
            facts,
            ledger,
            keys: plan.keys.open().map_err(Stop::Failed)?,
            watch: &mut watch,
            name: source.name(),
            now: None,
            told: (Totals::default(), 0),
            report: report.as_mut(),
            out: &mut out,
        };
        whole &= counting.try_capture(plan, source, expression.as_deref(), &mut progress)?;
        out.settle()?;
    }
    progress.clear();
    report.finish(&mut out.lines);
    out.flush()?;
    Ok(whole)
}

/// One capture being counted.
struct Counting<'a, W: io::Write> {
    facts: Facts,
    ledger: Ledger,
    keys: KeyLogFile,
    watch: &'a mut Watch,
    name: String,
    /// Capture time, as far as it is known.
    now: Option<Timestamp>,
    /// Sums and control packets up to the last interval.
    told: (Totals, u64),
    report: &'a mut dyn OverheadReport,
    out: &'a mut Output<W>,
}

impl<W: io::Write> Counting<'_, W> {
    /// Counts a capture; returns whether all of it could be read.
    fn try_capture(
        mut self,
        plan: &OverheadPlan,
        source: &Source,
        expression: Option<&str>,
        progress: &mut Progress,
    ) -> Result<bool, Stop> {
        let mut opened = source.open()?;
        let mut whole = opened.errors.is_empty();
        for error in &opened.errors {
            complain(&error.to_string());
        }
        if opened.captures.is_empty() {
            return Ok(false);
        }
        let mut gate = Gate::new(expression, plan.max_packets, &opened.link_types())
            .map_err(|error| Stop::Failed(error.to_string()))?;
        opened.begin(|| Ok(()))?;
        self.watch.start(&opened).map_err(Stop::Failed)?;
        let mut merge = Merge::new(std::mem::take(&mut opened.captures));
        self.keys.read_on(&mut self.facts);
        let lookout = Lookout {
            opened: &opened,
            stdout: true,
        };
        let errors = read(&mut merge, &mut gate, progress, &mut self, &lookout)?;
        let refused = gate.refused.iter().map(ToString::to_string);
        for error in errors.iter().map(ToString::to_string).chain(refused) {
            whole = false;
            complain(&error);
        }
        self.facts.finish(&mut (&mut self.ledger, &mut *self.watch));
        self.watch.settle_now(self.now, &self.facts, None);
        if let Some(interval) = self.now.and_then(|now| self.watch.rest(now)) {
            self.interval(interval);
        }
        let (notes, failed) = closing::notes(&closing::Facts {
            summary: Some(self.facts.summary()),
            shown: self.facts.summary().frames,
            selecting: true,
            stopped: gate.is_closed(),
            expression,
            hidden: gate.hidden,
            ..closing::Facts::default()
        });
        notes.iter().for_each(|note| complain(note));
        if let Some(counts) = opened.counts() {
            let frames = self.facts.summary().frames;
            counts.say(gate.passed, frames, "counted");
        }
        let account = self.ledger.finish();
        self.report.capture(
            &Counted {
                name: &self.name,
                figures: &Figures::new(&account, &plan.request),
            },
            &mut self.out.lines,
        );
        Ok(whole && !failed)
    }

    /// Capture time has come to `now`, and nothing later was looked at.
    fn time(&mut self, now: Timestamp) -> Result<(), Stop> {
        let now = self.now.map_or(now, |before| before.max(now));
        self.now = Some(now);
        if let Some(interval) = self.watch.time(now) {
            self.interval(interval);
            self.out.settle()?;
        }
        Ok(())
    }

    fn interval(&mut self, interval: Interval) {
        let totals = self.ledger.totals();
        let control_packets = self.facts.summary().frames;
        self.report.interval(
            &Passed {
                name: &self.name,
                from: interval.from,
                to: interval.to,
                totals: &totals.since(&self.told.0),
                control_packets: control_packets - self.told.1,
            },
            &mut self.out.lines,
        );
        self.told = (totals, control_packets);
    }
}

impl<W: io::Write> Consumer for Counting<'_, W> {
    fn before_waiting(&mut self) -> Result<(), Stop> {
        self.keys.read_on(&mut self.facts);
        self.watch.settle_now(self.now, &self.facts, None);
        Ok(self.out.flush()?)
    }

    fn block(&mut self, block: &Block<'_>) -> Result<(), Stop> {
        keylog::from_block(block, &mut self.facts);
        Ok(())
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Stop> {
        self.time(packet.packet.time)?;
        self.facts
            .push(&packet.packet, &mut (&mut self.ledger, &mut *self.watch));
        self.watch.settle(self.now, &self.facts, None);
        Ok(())
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), Stop> {
        self.keys.read_on(&mut self.facts);
        self.time(now)?;
        self.facts
            .tick(now, &mut (&mut self.ledger, &mut *self.watch));
        self.before_waiting()
    }

    fn dropped(&mut self, dropped: &Dropped) -> Result<(), Stop> {
        self.facts.dropped(
            dropped.packets,
            dropped.until,
            &mut (&mut self.ledger, &mut *self.watch),
        );
        Ok(())
    }

    fn is_done(&self) -> bool {
        false
    }
}

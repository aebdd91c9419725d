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

use mqttdump::capture::{Block, Dropped, Merge, Packet};
use mqttdump::engine::{self, Engine};
use mqttdump::overhead::{
    self, Counts, Figures, Ledger, Level, Profiles, Projection, Request, Scenario, Share, USUAL,
    WhatIf,
};
use mqttdump::report::overhead::{Counted, OVERHEAD_REPORTS, OverheadFormat, OverheadOptions};

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
            follow_packets: true,
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
                samples: true,
                clients: args.client.iter().map(|id| id.as_bytes().into()).collect(),
                connections: args.connection.clone(),
            },
            request,
            format,
            report: OverheadOptions {
                many: captures.len() > 1,
                verbose: args.verbose > 0,
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
    let mut out = Output::new(io::stdout().lock(), false);
    let mut progress = Progress::new(plan.progress);
    let mut whole = true;
    for source in &plan.captures {
        whole &= count(
            plan,
            source,
            expression.as_deref(),
            &mut progress,
            |counted| {
                report.capture(counted, &mut out.lines);
            },
        )?;
        out.settle()?;
    }
    progress.clear();
    report.finish(&mut out.lines);
    out.flush()?;
    Ok(whole)
}

/// Counts a capture; returns whether all of it could be read.
fn count(
    plan: &OverheadPlan,
    source: &Source,
    expression: Option<&str>,
    progress: &mut Progress,
    report: impl FnOnce(&Counted<'_>),
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
    let keys = plan.keys.open().map_err(Stop::Failed)?;
    opened.begin(|| Ok(()))?;
    let mut merge = Merge::new(std::mem::take(&mut opened.captures));
    let lookout = Lookout {
        opened: &opened,
        stdout: true,
    };
    let mut counting = Counting {
        engine: Engine::new(plan.engine.clone()),
        ledger: Ledger::new(plan.options.clone()),
        keys,
    };
    counting.keys.read_on(&mut counting.engine);
    let errors = read(&mut merge, &mut gate, progress, &mut counting, &lookout)?;
    let refused = gate.refused.iter().map(ToString::to_string);
    for error in errors.iter().map(ToString::to_string).chain(refused) {
        whole = false;
        complain(&error);
    }
    let Counting {
        mut engine,
        mut ledger,
        ..
    } = counting;
    engine.finish(&mut |output| ledger.push(output));
    let (notes, failed) = closing::notes(&closing::Facts {
        summary: Some(engine.summary()),
        shown: engine.summary().frames,
        selecting: true,
        stopped: gate.is_closed(),
        expression,
        hidden: gate.hidden,
        ..closing::Facts::default()
    });
    notes.iter().for_each(|note| complain(note));
    if let Some(counts) = opened.counts() {
        let frames = engine.summary().frames;
        counts.say(gate.passed, frames, "counted");
    }
    let account = ledger.finish();
    report(&Counted {
        name: &source.name(),
        figures: &Figures::new(&account, &plan.request),
    });
    Ok(whole && !failed)
}

/// One capture being counted.
struct Counting {
    engine: Engine,
    ledger: Ledger,
    keys: KeyLogFile,
}

impl Consumer for Counting {
    fn before_waiting(&mut self) -> Result<(), Stop> {
        self.keys.read_on(&mut self.engine);
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> Result<(), Stop> {
        keylog::from_block(block, &mut self.engine);
        Ok(())
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Stop> {
        let ledger = &mut self.ledger;
        self.engine
            .push(&packet.packet, &mut |output| ledger.push(output));
        Ok(())
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), Stop> {
        self.keys.read_on(&mut self.engine);
        let ledger = &mut self.ledger;
        self.engine.tick(now, &mut |output| ledger.push(output));
        Ok(())
    }

    fn dropped(&mut self, dropped: &Dropped) -> Result<(), Stop> {
        let ledger = &mut self.ledger;
        self.engine
            .dropped(dropped.packets, dropped.until, &mut |output| {
                ledger.push(output);
            });
        Ok(())
    }

    fn is_done(&self) -> bool {
        false
    }
}

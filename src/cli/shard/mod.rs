//! `mqttdump shard`: splits captures so that many processes can work on them.

mod learn;
mod parts;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use mqttdump::capture::{Capture, Item, Merge, ORIGINS, Origin};
use mqttdump::shard::{Grouping, Manifest, Plan, Router, SHARDS};

use super::args::{Captures, Output, Watching, value};
use super::checksum::Checksum;
use super::command::{Command, Exit};
use super::console::complain;
use super::gate::Gate;
use super::range::Place;
use super::reading::{Reading, Verb};
use super::save::OutputFile;
use super::source::Source;
use super::stop::Stop;
use super::surroundings::Surroundings;

use parts::{Parts, Splitting};

/// Options of `shard`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ShardArgs {
    #[command(flatten)]
    captures: Captures,

    #[command(flatten)]
    output: Output,

    /// Write the shards and their manifest into this folder
    #[arg(short = 'o', long = "output", value_name = "DIR", help_heading = "Shards",
          value_hint = ValueHint::DirPath, required_unless_present = "plan_out")]
    folder: Option<PathBuf>,

    /// Number of shards
    #[arg(long, value_name = "N", help_heading = "Shards", default_value = "16",
          value_parser = value::number(1u32..=SHARDS, "a number from 1 to 512"))]
    shards: u32,

    /// What is kept in one shard
    #[arg(long, value_name = "WHAT", help_heading = "Shards", value_enum, default_value_t = ByArg::Flow)]
    by: ByArg,

    /// Place sessions by this plan, with --by session
    ///
    /// Without it, the files are read once before, to learn which flow carried which
    /// client.
    #[arg(long, value_name = "FILE", help_heading = "Shards", value_hint = ValueHint::FilePath)]
    plan: Option<PathBuf>,

    /// Write the plan to this file: which flow carried which client
    ///
    /// Plans of several machines are put together by `mqttdump merge`. Without -o,
    /// only the plan is written.
    #[arg(long, value_name = "FILE", help_heading = "Shards", value_hint = ValueHint::FilePath,
          conflicts_with = "plan")]
    plan_out: Option<PathBuf>,
}

/// What is kept together.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
enum ByArg {
    /// TCP connections
    #[default]
    Flow,
    /// All connections of a client
    Session,
}

impl ByArg {
    fn name(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Session => "session",
        }
    }
}

impl Command for ShardArgs {
    const NAME: &'static str = "shard";
    const ABOUT: &'static str = "Split captures by flow, so that many processes can work on them";
    const DESCRIPTION: &'static str = "\
Splits the packets of all FILEs into N pcapng files by a hash of addresses and ports, so that each TCP connection is \
whole in one shard, with IP fragments and tunnels; or by client. Every shard has the interfaces, names and keys of the \
originals. Packets keep their numbers and files: every command reports those of the originals. The manifest lists the \
shards with their checksums, so that a missing or damaged shard is noticed. See docs/clusters.md.";
    const USAGE: &'static str = "mqttdump shard [OPTIONS] -o DIR FILE...";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "mqttdump shard -o shards --shards 32 tap1-*.pcap tap2-*.pcap",
            "32 shards, each connection in one of them",
        ),
        (
            "mqttdump shard --by session --plan-out plan.json a.pcap",
            "only learn which flow carried which client",
        ),
        (
            "mqttdump shard --by session --plan all.json -o shards a.pcap",
            "all connections of a client in one shard",
        ),
    ];
    const SHORT_HELP: &'static [&'static str] = &["output", "shards", "by", "plan", "plan-out"];

    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        run(&self, around)
    }
}

fn run(args: &ShardArgs, around: &Surroundings<'_>) -> Result<Exit, Stop> {
    if !args.captures.live.interface.is_empty() {
        return Err(Stop::Failed(
            "shard reads files; save the packets of an interface with -w first".into(),
        ));
    }
    let rotation = &args.captures.input.rotation;
    if rotation.state_in.is_some() || rotation.state_out.is_some() {
        return Err(Stop::Failed(
            "shard takes all parts of a capture at once".into(),
        ));
    }
    let is_by_session = args.by == ByArg::Session;
    if !is_by_session && args.plan.is_some() {
        return Err(Stop::Failed("--plan needs --by session".into()));
    }
    let verb = Verb {
        command: ShardArgs::NAME,
        verb: "split",
    };
    let watching = Watching::default();
    let mut reading =
        Reading::of_command(&args.captures, &watching, None, &args.output, around, verb)?;
    // All files are parts of one capture: a connection may go on in another.
    let paths = reading.captures.iter().flat_map(|it| it.paths().to_vec());
    let source = Source::Files(paths.collect());
    reading.captures = vec![source.clone()];
    let writes = [args.folder.as_deref(), args.plan_out.as_deref()];
    reading.sandbox.confine(false, writes);

    let learns = args.plan_out.is_some() || (is_by_session && args.plan.is_none());
    if learns && args.folder.is_some() && !source.can_be_read_twice() {
        return Err(Stop::Failed(
            "the files are read twice to learn their clients, which a pipe cannot do: \
             give --plan, or leave out -o"
                .into(),
        ));
    }
    let mut whole = true;
    let mut plan = None;
    if let Some(path) = &args.plan {
        plan = Some(read_plan(path)?);
    } else if learns {
        let (learned, is_whole) = learn::learn(&mut reading, &source)?;
        whole &= is_whole;
        if let Some(path) = &args.plan_out {
            write_whole(path, learned.to_json().as_bytes())?;
        }
        plan = Some(learned);
    }
    if let Some(plan) = &plan
        && plan.left_out() > 0
    {
        complain(&format!(
            "the plan is full: {} flows are placed by their addresses",
            plan.left_out()
        ));
    }
    if let Some(folder) = &args.folder {
        whole &= split(
            args,
            folder,
            &reading,
            &source,
            plan.filter(|_| is_by_session),
        )?;
    }
    Ok(Exit::success(whole))
}

/// Writes the shards and the manifest. Returns whether the input is whole.
fn split(
    args: &ShardArgs,
    folder: &Path,
    reading: &Reading,
    source: &Source,
    plan: Option<Plan>,
) -> Result<bool, Stop> {
    let names = source.names();
    if names.len() > ORIGINS {
        return Err(Stop::Failed(format!(
            "expected at most {ORIGINS} files, found {}",
            names.len()
        )));
    }
    let manifest = folder.join(Manifest::NAME);
    if manifest.exists() {
        return Err(Stop::Failed(format!(
            "{}: there are shards already; give another folder",
            manifest.display()
        )));
    }
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let opened = source.open(false)?;
    reading.sandbox.enter();
    let mut whole = opened.errors.is_empty();
    opened
        .errors
        .iter()
        .for_each(|error| complain(&error.to_string()));
    if opened.captures.is_empty() {
        return Ok(false);
    }
    let link_types = opened.link_types();
    let mut gate = Gate::new(
        reading.expression.as_deref(),
        reading.range,
        reading.max_packets,
        &link_types,
    )
    .map_err(|error| Stop::Failed(error.to_string()))?;
    let grouping = plan.as_ref().map_or_else(Grouping::default, Plan::grouping);
    let may_hold_keys = opened.captures.iter().any(Capture::may_hold_keys);
    let origin = Origin::new(names.clone(), may_hold_keys);
    let router = Router::new(args.shards, grouping);
    let parts = Parts::create(folder, args.shards, args.by.name(), &origin)?;
    let mut splitting = Splitting::new(router, parts);
    let mut merge = Merge::new(opened.captures);
    let read = loop {
        if gate.is_closed() {
            break Ok(());
        }
        let done = match merge.next() {
            Ok(Some(Item::Packet(packet))) => match gate.place(&packet.packet) {
                Place::Outside => Ok(()),
                // With its context: the time is selected when shards are read.
                Place::Inside | Place::Before(_) => splitting.packet(&packet),
            },
            Ok(Some(Item::Block(block))) => splitting.block(&block),
            Ok(Some(Item::Dropped(dropped))) => {
                splitting.dropped(&dropped);
                Ok(())
            }
            Ok(Some(Item::Tick(_))) => Ok(()),
            Ok(None) => break Ok(()),
            Err(error) => {
                complain(&error.to_string());
                whole = false;
                Ok(())
            }
        };
        if done.is_err() {
            break done;
        }
    };
    for error in &gate.refused {
        complain(&error.to_string());
        whole = false;
    }
    let plan = plan.map(|plan| Checksum::of(plan.to_json().as_bytes()).text());
    let written = read.and_then(|()| splitting.finish());
    let list = match written {
        Ok(list) => list,
        Err(stop) => {
            splitting.take_back();
            return Err(stop);
        }
    };
    if splitting.fragments_apart > 0 {
        complain(&format!(
            "{} IP fragments without a first fragment may not be in the shard of their connection",
            splitting.fragments_apart
        ));
    }
    let manifest_of = Manifest {
        format: Manifest::FORMAT.into(),
        version: Manifest::VERSION,
        program: env!("CARGO_PKG_VERSION").into(),
        by: args.by.name().into(),
        plan,
        packets: list.iter().map(|part| part.packets).sum(),
        files: splitting.files(&names),
        complete: whole,
        fragments_apart: splitting.fragments_apart,
        aggregates_apart: splitting.aggregates_apart(),
        shards: list,
    };
    write_whole(&manifest, manifest_of.to_json().as_bytes())?;
    Ok(whole)
}

/// Reads a plan.
pub(super) fn read_plan(path: &Path) -> Result<Plan, Stop> {
    let name = path.display();
    let json = fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    Plan::from_json(&json).map_err(|why| Stop::Failed(format!("{name}: not a plan: {why}")))
}

/// Writes a file beside its name and renames it.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Stop> {
    use std::io::Write;
    let write = || {
        let (mut output, mut file) = OutputFile::create(path, true)?;
        match file.write_all(bytes) {
            Ok(()) => output.complete(false),
            Err(error) => {
                output.take_back(path);
                Err(error)
            }
        }
    };
    write().map_err(|error| Stop::Failed(format!("{}: {error}", path.display())))
}

//! `mqttdump merge`: puts the results of many shards and machines together.

mod json;
mod shards;
#[cfg(feature = "tables")]
mod tables;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, FromArgMatches, ValueHint};
use mqttdump::report::findings::FINDINGS_REPORTS;
use mqttdump::shard::Plan;

use super::args::value;
use super::check::CheckArgs;
use super::command::{Command, Exit};
use super::console::{complain, counted};
use super::records;
use super::sandbox::Sandbox;
use super::shard::read_plan;
use super::stop::Stop;
use super::surroundings::Surroundings;

use json::{Kind, Results};

/// Options of `merge`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct MergeArgs {
    /// Results of one kind, or folders of shards, which are verified
    #[arg(value_name = "FILE", help_heading = "Input", value_hint = ValueHint::AnyPath,
          required = true)]
    files: Vec<PathBuf>,

    /// Write the merged tables to this folder, which is created
    #[arg(short = 'o', long = "output", value_name = "DIR", help_heading = "Output",
          value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,

    /// Output format of the report that files of `check --facts-out` become [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Output",
          value_parser = value::formats(FINDINGS_REPORTS.iter().map(|format| (format.name, format.help))))]
    format: Option<String>,
}

impl Command for MergeArgs {
    const NAME: &'static str = "merge";
    const ABOUT: &'static str = "Put the results of many shards together";
    const DESCRIPTION: &'static str = "\
Puts results of many shards or machines together. Files of `check --facts-out` become one report, as `check *.facts`; \
plans of `shard --plan-out` one plan; reports of `overhead --format json` one account; lines of \
`stats --format ndjson` one table; lines of `sessions --format ndjson` one list; folders of `tables` one folder (-o). A folder with a manifest of `shard` is \
verified: each shard has to be there, with its checksum. The order of files does not matter.";
    const USAGE: &'static str = "mqttdump merge [OPTIONS] FILE|DIR...";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "mqttdump merge shards *.facts",
            "the findings of all shards",
        ),
        ("mqttdump merge overhead-*.json", "one account"),
        ("mqttdump merge -o day tables-*", "one folder of tables"),
        (
            "mqttdump merge plan-*.json > plan.json",
            "one plan for all machines",
        ),
    ];
    const SHORT_HELP: &'static [&'static str] = &["format"];

    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        run(&self, around)
    }
}

fn run(args: &MergeArgs, around: &Surroundings<'_>) -> Result<Exit, Stop> {
    let mut sandbox = Sandbox::reading(args.files.iter().map(PathBuf::as_path));
    sandbox.confine(false, [args.out.as_deref()]);
    sandbox.enter();
    let mut whole = true;
    let mut facts = Vec::new();
    let mut plans = Vec::new();
    let mut results = Results::default();
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in &args.files {
        if is_tables(path) {
            folders.push(path.clone());
        } else if path.is_dir() {
            let (count, problems) = shards::verify(path)?;
            problems.iter().for_each(|problem| complain(problem));
            if problems.is_empty() {
                let shards = counted(count as u64, "shard");
                complain(&format!("{}: {shards} verified", path.display()));
            }
            whole &= problems.is_empty();
        } else if records::is_records(path) {
            facts.push(path.clone());
        } else {
            match results.add(path)? {
                Some(Kind::Plan) => plans.push(path.clone()),
                Some(Kind::Result) => {}
                None => {
                    return Err(Stop::Failed(format!(
                        "{}: expected results of --facts-out, --plan-out, overhead --format json, \
                         stats or sessions --format ndjson",
                        path.display()
                    )));
                }
            }
        }
    }
    let kinds = [
        !facts.is_empty(),
        !plans.is_empty(),
        !results.is_empty(),
        !folders.is_empty(),
    ];
    if kinds.iter().filter(|there| **there).count() > 1 {
        return Err(Stop::Failed("expected results of one kind".into()));
    }
    if let Some(out) = args.out.as_deref().filter(|_| folders.is_empty()) {
        return Err(Stop::Failed(format!(
            "-o {} is for folders of tables",
            out.display()
        )));
    }
    if let Some(format) = args.format.as_deref().filter(|_| facts.is_empty()) {
        return Err(Stop::Failed(format!(
            "--format {format} is for files of check --facts-out: other results keep their format"
        )));
    }
    if !folders.is_empty() {
        whole &= merge_tables(&folders, args.out.as_deref())?;
    }
    if !facts.is_empty() {
        let exit = check(&facts, args.format.as_deref().unwrap_or("text"), around)?;
        return Ok(if whole { exit } else { Exit::Trouble });
    }
    if !plans.is_empty() {
        let mut all = Plan::default();
        for path in &plans {
            all.merge(read_plan(path)?);
        }
        put(all.to_json().as_bytes())?;
    }
    if !results.is_empty() {
        put(&results.merged())?;
    }
    Ok(Exit::success(whole))
}

/// Whether a folder has tables.
fn is_tables(path: &Path) -> bool {
    #[cfg(feature = "tables")]
    return path.is_dir() && tables::is_tables(path);
    #[cfg(not(feature = "tables"))]
    return path.join("frames.parquet").exists();
}

/// Puts tables together.
#[cfg(feature = "tables")]
fn merge_tables(folders: &[PathBuf], to: Option<&Path>) -> Result<bool, Stop> {
    let to = to.ok_or_else(|| {
        Stop::Failed("folders of tables need -o DIR, where the merged tables go".into())
    })?;
    tables::merge_all(folders, to).map_err(Stop::Failed)
}

#[cfg(not(feature = "tables"))]
fn merge_tables(_: &[PathBuf], _: Option<&Path>) -> Result<bool, Stop> {
    Err(super::tables::without_feature())
}

/// Checks the records of all shards.
fn check(facts: &[PathBuf], format: &str, around: &Surroundings<'_>) -> Result<Exit, Stop> {
    let command = CheckArgs::augment_args(clap::Command::new(CheckArgs::NAME));
    let words = [
        Path::new(CheckArgs::NAME),
        Path::new("--format"),
        Path::new(format),
    ];
    let words = words.into_iter().chain(facts.iter().map(PathBuf::as_path));
    let failed = |error: clap::Error| Stop::Failed(super::parse_error::in_short(&error));
    let matches = command.try_get_matches_from(words).map_err(failed)?;
    CheckArgs::from_arg_matches(&matches)
        .map_err(failed)?
        .run(around)
}

fn put(bytes: &[u8]) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Stop::ReaderGone),
        Err(error) => Err(Stop::Failed(format!("standard output: {error}"))),
    }
}

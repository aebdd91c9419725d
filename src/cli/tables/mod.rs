//! `mqttdump tables`: captures as Parquet files, or one table as an Arrow stream.

#[cfg(feature = "tables")]
mod files;
#[cfg(feature = "tables")]
mod job;

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::args::{Captures, Output as OutputArgs, Selecting, Watching, value};
use super::command::{Command, Exit};
use super::stop::Stop;
use super::surroundings::Surroundings;
#[cfg(feature = "tables")]
pub(super) use files::vacant;

/// Options of `tables`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TablesArgs {
    #[command(flatten)]
    captures: Captures,

    #[command(flatten)]
    selecting: Selecting,

    #[command(flatten)]
    watching: Watching,

    #[command(flatten)]
    output: OutputArgs,

    /// Write the tables to this folder, which is created; `-` writes one table (--table)
    /// to standard output as an Arrow IPC stream
    ///
    /// Each table is a Parquet file, written beside its place and renamed when it is
    /// complete. manifest.json, which names the files and counts their rows, comes last.
    #[arg(short = 'o', long = "output", value_name = "DIR", required = true,
          help_heading = "Tables", value_hint = ValueHint::DirPath)]
    out: PathBuf,

    /// Write only these tables [default: all]
    #[arg(long = "table", value_name = "NAME[,NAME]", value_delimiter = ',',
          help_heading = "Tables", value_parser = NAMES)]
    tables: Vec<String>,

    /// Divide each table into files by these
    ///
    /// The files are DIR/TABLE/hour=2026-11-30T12/server=10.0.1.1:1883/0.parquet, as
    /// DuckDB, Spark and polars read them.
    #[arg(
        long,
        value_name = "BY[,BY]",
        value_enum,
        value_delimiter = ',',
        help_heading = "Tables"
    )]
    partition: Vec<By>,

    /// Bytes of each payload to write; the rest is counted [default: 4096]
    #[arg(long, value_name = "N|all", help_heading = "Tables", value_parser = value::payload)]
    payload: Option<u32>,
}

/// The names of the tables, also where they cannot be written.
const NAMES: [&str; 9] = [
    "frames",
    "exchanges",
    "connections",
    "sessions",
    "subscriptions",
    "deliveries",
    "findings",
    "overhead",
    "events",
];

/// What tables are divided by.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    /// The hour, UTC
    Hour,
    /// The server
    Server,
}

impl Command for TablesArgs {
    const NAME: &'static str = "tables";
    const ABOUT: &'static str = "Write captures as Parquet tables for SQL";
    const DESCRIPTION: &'static str = "\
Writes everything known about captures as Parquet: control packets, exchanges, connections, sessions, subscriptions, \
deliveries, findings, overhead and events, for DuckDB, Spark, pandas and polars. docs/tables.md describes every column. \
Needs a build with the feature 'tables'.";
    const USAGE: &'static str = "mqttdump tables [OPTIONS] -o DIR FILE...";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("mqttdump tables -o day capture.pcap", "all tables"),
        (
            "mqttdump tables -o day --partition hour,server *.pcap",
            "many captures, divided",
        ),
        (
            "mqttdump tables -o - --table frames a.pcap | python3 plot.py",
            "one table as an Arrow stream",
        ),
        (
            "duckdb -c \"select topic, count(*) from 'day/frames.parquet' group by all\"",
            "SQL",
        ),
    ];
    const SHORT_HELP: &'static [&'static str] = &[
        "output",
        "table",
        "partition",
        "payload",
        "read",
        "filter",
        "from",
        "to",
    ];

    #[cfg(feature = "tables")]
    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        job::run(self, around)
    }

    #[cfg(not(feature = "tables"))]
    fn run(self, _: &Surroundings<'_>) -> Result<Exit, Stop> {
        Err(without_feature())
    }
}

/// Why nothing can be done with tables.
#[cfg(not(feature = "tables"))]
pub(super) fn without_feature() -> Stop {
    Stop::Failed(
        "this build has no tables: they need the feature 'tables', which \
         cargo install mqttdump --features tables builds"
            .into(),
    )
}

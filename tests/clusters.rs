//! The jobs of `examples/spark`, against one process.
//!
//! ```sh
//! MQTTDUMP_PYTHON=venv/bin/python3 cargo test --features tables clusters
//! ```

use std::path::Path;
use std::process::Command;

use crate::support::program::{Folder, project};

/// Python with these modules; `None`, and a note, if it is missing.
fn python(modules: &str) -> Option<Command> {
    let python = std::env::var("MQTTDUMP_PYTHON").unwrap_or_else(|_| "python3".into());
    let there = |command: &mut Command| command.output().is_ok_and(|it| it.status.success());
    let missing = if !there(Command::new(PROGRAM).args(TABLES)) {
        "the feature tables"
    } else if !there(Command::new(&python).args(["-c", modules])) {
        modules
    } else if modules.contains("pyspark") && !there(Command::new("java").arg("-version")) {
        "java"
    } else {
        return Some(Command::new(python));
    };
    eprintln!("skipped: there is no {missing}");
    None
}

/// A run that needs the feature `tables`.
const TABLES: [&str; 5] = ["tables", "-o", "-", "--table=frames", CAPTURE];
const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/captures/bridge.pcap");
const PROGRAM: &str = env!("CARGO_BIN_EXE_mqttdump");
const CAPTURES: [&str; 2] = [
    "fixtures/captures/bridge.pcap",
    "fixtures/captures/aedes-mqttjs-3.1.1.pcap",
];

/// Tables and findings of one process.
fn one_process(folder: &Folder) {
    let status = Command::new(PROGRAM)
        .current_dir(project(""))
        .args(["tables", "-o", &folder.name("one")])
        .args(CAPTURES.iter().flat_map(|path| ["-r", path]))
        .status();
    assert!(status.expect("the program starts").success());
}

fn compare(folder: &Folder, shards: &str) {
    let mut command = python("import duckdb").expect("it was there");
    let script = project("examples/spark/compare.py");
    let output = command
        .args([&script, Path::new(shards), &folder.path("one")])
        .output()
        .expect("Python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
}

#[test]
fn spark_gives_the_tables_of_one_process() {
    let Some(mut spark) = python("import pyspark, duckdb") else {
        return;
    };
    let folder = Folder::new();
    one_process(&folder);
    let output = spark
        .current_dir(project(""))
        .arg(project("examples/spark/job.py"))
        .args([
            "--mqttdump",
            PROGRAM,
            "--work",
            &folder.name("w"),
            "--shards",
            "3",
        ])
        .args(["--tap", CAPTURES[0], "--tap", CAPTURES[1]])
        .env("PYSPARK_SUBMIT_ARGS", "--master local[2] pyspark-shell")
        .output()
        .expect("Python starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    compare(&folder, &folder.name("w/tables"));
}

#[test]
fn xargs_gives_the_tables_of_one_process() {
    if python("import duckdb").is_none() {
        return;
    }
    let folder = Folder::new();
    one_process(&folder);
    let output = Command::new(project("examples/spark/xargs.sh"))
        .current_dir(project(""))
        .arg(folder.name("w"))
        .args(CAPTURES)
        .env("MQTTDUMP", PROGRAM)
        .env("SHARDS", "3")
        .env(
            "PYTHON",
            std::env::var("MQTTDUMP_PYTHON").unwrap_or_else(|_| "python3".into()),
        )
        .output()
        .expect("a shell starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    compare(&folder, &folder.name("w/tables"));
}

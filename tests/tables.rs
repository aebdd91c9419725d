//! Tables: their columns as documented, their rows as the other commands count them,
//! and questions in SQL.

#[cfg(not(feature = "tables"))]
#[test]
fn tables_without_the_feature_explain_how_to_get_it() {
    let output = crate::support::program::run(&["tables", "-o", "x", "fixtures/captures/cut.pcap"]);
    assert_eq!(output.code, Some(2));
    assert!(output.err.contains("--features tables"), "{}", output.err);
}

#[cfg(feature = "tables")]
mod with_the_feature {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs::{self, File};
    use std::path::Path;
    use std::process::Command;

    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt64Type;
    use arrow_array::{Array, RecordBatch};
    use mqttdump::tables::schema::{self, TABLES};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use serde_json::Value;

    use crate::support::files::Format;
    use crate::support::program::{Folder, mqttdump, project, run};
    use crate::support::scene::scene;

    const DOCUMENT: &str = "docs/tables.md";

    fn document() -> String {
        fs::read_to_string(project(DOCUMENT)).expect("the document")
    }

    #[test]
    fn tables_are_documented() {
        let document = document();
        let columns = document.split("## Columns").nth(1).expect("a chapter");
        let columns = columns.split("\n## ").next().expect("a chapter");
        let mut documented: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for chapter in columns.split("\n### ").skip(1) {
            let (name, rows) = chapter.split_once('\n').expect("a heading");
            let rows = rows.lines().filter(|line| line.starts_with("| `"));
            let row = |line: &str| {
                let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
                let name = cells
                    .next()
                    .unwrap_or_default()
                    .trim_matches('`')
                    .to_owned();
                name + " " + cells.next().unwrap_or_default()
            };
            documented.insert(name, rows.map(row).collect());
        }
        assert_eq!(documented.len(), TABLES.len());
        for table in TABLES {
            let columns = table.columns.iter().map(|column| {
                let optional = if column.optional { "?" } else { "" };
                format!("{} {}{optional}", column.name, column.kind.name())
            });
            let columns: Vec<_> = columns.collect();
            assert_eq!(documented[table.name], columns, "{}", table.name);
        }
        assert!(document.contains(&format!("`mqttdump.schema_version` ({})", schema::VERSION)));
    }

    fn batches(path: &Path) -> Vec<RecordBatch> {
        let file = File::open(path).expect("a table");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        let metadata = reader.schema().metadata();
        assert_eq!(
            metadata.get("mqttdump.schema_version").map(String::as_str),
            Some("1")
        );
        let reader = reader.build().expect("a reader");
        reader.map(|batch| batch.expect("rows")).collect()
    }

    fn texts(batches: &[RecordBatch], column: &str) -> Vec<Option<String>> {
        let arrays = batches
            .iter()
            .map(|batch| batch.column_by_name(column).expect("a column"));
        arrays
            .flat_map(|array| {
                let array = array.as_string::<i32>().clone();
                (0..array.len())
                    .map(|at| array.is_valid(at).then(|| array.value(at).to_owned()))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn sum(batches: &[RecordBatch], column: &str) -> u64 {
        let arrays = batches
            .iter()
            .map(|batch| batch.column_by_name(column).expect("a column"));
        arrays
            .map(|array| {
                array
                    .as_primitive::<UInt64Type>()
                    .values()
                    .iter()
                    .sum::<u64>()
            })
            .sum()
    }

    fn lines(args: &[&str]) -> Vec<Value> {
        let out = run(args).out;
        out.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    #[test]
    fn tables_agree_with_the_other_commands() {
        for capture in [
            "fixtures/captures/fusesource-qos2.pcap",
            "fixtures/captures/aedes-mqttjs-3.1.1.pcap",
            "fixtures/captures/ejabberd-paho-5.0.pcap",
            "fixtures/captures/bridge.pcap",
            "fixtures/captures/cut.pcap",
        ] {
            let folder = Folder::new();
            let dir = folder.name("tables");
            let output = run(&["tables", "-o", &dir, capture]);
            assert!(output.code.is_some_and(|code| code != 1), "{}", output.err);
            let manifest = fs::read(folder.path("tables/manifest.json")).expect("a manifest");
            let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
            let of = |name: &str| batches(&folder.path(&format!("tables/{name}.parquet")));
            for table in TABLES {
                let rows: usize = of(table.name).iter().map(RecordBatch::num_rows).sum();
                assert_eq!(
                    manifest["tables"][table.name]["rows"], rows,
                    "{}",
                    table.name
                );
            }
            let rows = |name: &str| manifest["tables"][name]["rows"].as_u64().expect("rows");

            let read = lines(&["-r", capture, "--format", "ndjson"]);
            let (frames, events): (Vec<_>, Vec<_>) =
                read.into_iter().partition(|line| line["type"].is_string());
            assert_eq!(rows("frames"), frames.len() as u64, "{capture}");
            assert_eq!(rows("events"), events.len() as u64, "{capture}");
            for key in ["connection_uid", "session_uid", "exchange_uid", "topic"] {
                let expected: Vec<_> = frames.iter().map(|frame| frame[key].as_str()).collect();
                let found = texts(&of("frames"), key);
                let found: Vec<_> = found.iter().map(Option::as_deref).collect();
                assert_eq!(found, expected, "{capture}: {key}");
            }
            let exchanges: BTreeSet<_> = texts(&of("frames"), "exchange_uid")
                .into_iter()
                .flatten()
                .collect();
            let known: BTreeSet<_> = texts(&of("exchanges"), "exchange_uid")
                .into_iter()
                .flatten()
                .collect();
            assert_eq!(exchanges, known, "{capture}");

            let sessions = lines(&["sessions", "--format", "ndjson", capture]);
            assert_eq!(rows("connections"), sessions.len() as u64, "{capture}");
            let uids: BTreeSet<_> = sessions
                .iter()
                .filter_map(|it| it["session_uid"].as_str())
                .collect();
            assert_eq!(rows("sessions"), uids.len() as u64, "{capture}");

            let findings = lines(&["check", "--format", "ndjson", "--fail-on", "never", capture]);
            let findings = findings.iter().filter(|line| line["rule"].is_string());
            assert_eq!(rows("findings"), findings.count() as u64, "{capture}");

            let account = run(&["overhead", "--format", "json", capture]).out;
            let account: Value = serde_json::from_str(&account).expect("JSON");
            let causes = account["causes"].as_object().expect("causes").values();
            let bytes: u64 = causes.filter_map(Value::as_u64).sum();
            assert_eq!(sum(&of("overhead"), "bytes"), bytes, "{capture}");
        }
    }

    #[test]
    fn tables_in_parts_and_as_a_stream() {
        let folder = Folder::new();
        let dir = folder.name("parts");
        let capture = "fixtures/captures/fusesource-qos2.pcap";
        let args = ["tables", "-o", &dir, "--partition", "hour,server", capture];
        run(&args).clean();
        let manifest = fs::read_to_string(folder.path("parts/manifest.json")).expect("a manifest");
        let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
        let name = manifest["tables"]["frames"]["files"][0]["name"]
            .as_str()
            .expect("a file");
        assert!(
            name.starts_with("frames/hour=") && name.contains("/server="),
            "{name}"
        );
        assert!(!batches(&folder.path("parts").join(name)).is_empty());
        // A folder with tables is not written to.
        let again = run(&args);
        assert_eq!(again.code, Some(2));
        assert!(again.err.contains("holds no tables"), "{}", again.err);

        let output = mqttdump()
            .args(["tables", "-o", "-", "--table", "frames", capture])
            .output()
            .expect("the program starts");
        assert!(output.status.success());
        let reader = arrow_ipc::reader::StreamReader::try_new(&output.stdout[..], None);
        let rows = reader
            .expect("a stream")
            .map(|batch| batch.expect("rows").num_rows());
        let expected = manifest["tables"]["frames"]["rows"].as_u64();
        assert_eq!(Some(rows.sum::<usize>() as u64), expected);
        for (args, message) in [
            (&["-o", "-"][..], "name it with --table"),
            (
                &["-o", "-", "--table", "frames", "--partition", "hour"],
                "one stream",
            ),
        ] {
            let refused = run(&[&["tables"], args, &[capture]].concat());
            assert_eq!(refused.code, Some(2));
            assert!(refused.err.contains(message), "{}", refused.err);
        }
    }

    /// Python with DuckDB: of `MQTTDUMP_PYTHON`, else `python3`.
    fn python() -> Option<String> {
        let python = std::env::var("MQTTDUMP_PYTHON").unwrap_or_else(|_| "python3".into());
        let works = Command::new(&python).args(["-c", "import duckdb"]).output();
        works.is_ok_and(|it| it.status.success()).then_some(python)
    }

    /// Prints the rows that the query on standard input has in the tables of a folder.
    const QUERY: &str = "
import duckdb, glob, os, sys
os.chdir(sys.argv[1])
db = duckdb.connect()
for path in glob.glob('*.parquet'):
    db.execute(f\"create view {path[:-8]} as from '{path}'\")
rows = db.execute(sys.stdin.read())
cell = lambda value: '' if value is None else str(value).lower() if isinstance(value, bool) else str(value)
table = [[column[0] for column in rows.description]] + [list(map(cell, row)) for row in rows.fetchall()]
widths = [max(map(len, column)) for column in zip(*table)]
for row in table:
    print('  '.join(value.ljust(width) for value, width in zip(row, widths)).rstrip())
";

    fn answer(python: &str, folder: &str, sql: &str) -> String {
        use std::io::Write;
        let mut child = Command::new(python)
            .args(["-c", QUERY, folder])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(sql.as_bytes()).expect("the query");
        drop(stdin);
        let output = child.wait_with_output().expect("Python ends");
        assert!(output.status.success(), "{sql}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The answers in the document are those of DuckDB; `BLESS=1` writes them.
    #[test]
    fn tables_answer_questions() {
        let Some(python) = python() else {
            eprintln!("skipped: there is no Python with DuckDB (pip install duckdb)");
            return;
        };
        let transcript =
            fs::read_to_string(project("fixtures/tables/plant.mqtt")).expect("a scene");
        let folder = Folder::new();
        let capture = folder.write("plant.pcapng", &Format::PCAPNG.write(&scene(&transcript)));
        let dir = folder.name("tables");
        run(&["tables", "-o", &dir, &capture]).clean();
        let (before, questions) = document_parts();
        let mut document = before;
        let mut count = 0;
        for question in questions.split("\n### ").skip(1) {
            let (text, rest) = question.split_once("```sql\n").expect("SQL");
            let (sql, rest) = rest.split_once("```").expect("the end of it");
            let (between, rest) = rest.split_once("```text\n").expect("an answer");
            let (expected, rest) = rest.split_once("```").expect("the end of it");
            let found = answer(&python, &dir, sql);
            assert!(found.lines().count() > 1, "no rows: {sql}");
            if std::env::var_os("BLESS").is_none() {
                assert_eq!(found, expected, "{sql}");
            }
            document += &format!("\n### {text}```sql\n{sql}```{between}```text\n{found}```{rest}");
            count += 1;
        }
        assert_eq!(count, 10);
        if std::env::var_os("BLESS").is_some() {
            fs::write(project(DOCUMENT), document).expect("the document");
        }
    }

    /// The document up to the first question, and from there on.
    fn document_parts() -> (String, String) {
        let document = document();
        let chapter = document.find("## Questions").expect("a chapter");
        let first = chapter + document[chapter..].find("\n### ").expect("a question");
        let (before, questions) = document.split_at(first);
        (before.to_owned(), questions.to_owned())
    }
}

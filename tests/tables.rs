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
    use std::time::Duration;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{
        TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    };
    use arrow_array::{Array, ArrayRef, RecordBatch};
    use arrow_schema::DataType;
    use mqttdump::tables::schema::{self, TABLES};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use serde_json::Value;

    use crate::support::files::Format;
    use crate::support::program::{Folder, mqttdump, project, run};
    use crate::support::recorded::Recorded;
    use crate::support::scene::{merged, scene};
    use crate::support::stack::Stack;
    use crate::support::transcript::Conversation;
    use crate::support::wire::Wire;

    const DOCUMENT: &str = "docs/tables.md";
    /// The capture of the document.
    const PLANT: &str = "fixtures/tables/plant.pcapng";

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
            // A topic of no bytes is not an unknown one.
            "fixtures/violations/v34.pcap",
            // Reasons of layers.
            "fixtures/transport/tls-refused.pcap",
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
            let reasons: Vec<_> = events
                .iter()
                .map(|event| event["reason"].as_str())
                .collect();
            let found = texts(&of("events"), "reason");
            let found: Vec<_> = found.iter().map(Option::as_deref).collect();
            assert_eq!(found, reasons, "{capture}");
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
        // A folder with tables is not written to, nor one that a killed run has left.
        let refused = || {
            let again = run(&args);
            assert_eq!(again.code, Some(2));
            assert!(again.err.contains("holds no tables"), "{}", again.err);
        };
        refused();
        fs::remove_file(folder.path("parts/manifest.json")).expect("a manifest");
        refused();

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

    /// A cell as text.
    /// Captures are read at the same time, and written in their order.
    #[test]
    fn tables_do_not_depend_on_threads() {
        let captures = [
            "captures/seed-5.0-qos2",
            "captures/bridge",
            "captures/fusesource-qos2",
            // Many exchanges are open at its end.
            "verdicts/real/r11-amqtt-paho4",
        ];
        let captures = captures.map(|name| format!("fixtures/{name}.pcap"));
        let written = |threads: &str| {
            let folder = Folder::new();
            let dir = folder.name("tables");
            let mut args = vec!["tables", "-o", &dir, "--threads", threads];
            args.extend(captures.iter().map(String::as_str));
            run(&args).clean();
            let tables = TABLES.iter().map(|table| format!("{}.parquet", table.name));
            let names = tables.chain(["manifest.json".into()]);
            let read = |name: String| fs::read(folder.path("tables").join(name)).expect("a file");
            names.map(read).collect::<Vec<_>>()
        };
        let one = written("1");
        for threads in ["2", "8"] {
            assert!(written(threads) == one, "{threads} threads");
        }
    }

    /// A capture of one conversation with each of so many servers, which take turns.
    fn with_servers(servers: usize, text: &str) -> Vec<u8> {
        let conversation = Conversation::new(text);
        let wires = (0..servers).map(|number| {
            let server = format!("10.9.{}.{}:1883", number / 250, number % 250 + 1);
            let isn = number as u32 * 0x1000;
            // With the same numbers it would be one connection behind address translation.
            let wire = Wire::new(&conversation).starting_at([isn, isn + 0x800]);
            let wire = wire.between("10.1.1.1:40000", &server);
            wire.after(Duration::from_micros(number as u64 % 97))
        });
        let packets = merged(&wires.collect::<Vec<_>>(), &Stack::default());
        let format = Format::Pcap {
            nano: true,
            big: false,
        };
        format.write(&packets)
    }

    /// More parts than files may be open, with servers taking turns.
    #[cfg(unix)]
    #[test]
    fn tables_of_a_thousand_servers() {
        const SERVERS: usize = 1000;
        let text = "> CONNECT client=c\n< CONNACK\n> PUBLISH topic=a qos=1 id=1\n< PUBACK id=1";
        let folder = Folder::new();
        let capture = folder.write("a.pcap", &with_servers(SERVERS, text));
        let dir = folder.name("tables");
        let table = "frames,connections";
        let status = Command::new("sh")
            .args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""])
            .arg(mqttdump().get_program())
            .args([
                "tables",
                "-o",
                &dir,
                "--table",
                table,
                "--partition",
                "server",
                &capture,
            ])
            .status();
        assert!(status.expect("a shell").success());
        for (table, rows) in [("frames", 4), ("connections", 1)] {
            let parts = fs::read_dir(folder.path("tables").join(table)).expect("a folder");
            let parts: Vec<_> = parts.map(|part| part.expect("a part").path()).collect();
            assert_eq!(parts.len(), SERVERS);
            let mut sum = 0;
            for part in parts {
                for file in fs::read_dir(part).expect("a folder") {
                    let batches = batches(&file.expect("a file").path());
                    sum += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
                }
            }
            assert_eq!(sum, SERVERS * rows, "{table}");
        }
    }

    /// Rows of many parts take turns, and most wait at the end of the capture.
    #[test]
    fn parts_have_the_rows_of_the_whole() {
        const SERVERS: usize = 500;
        let text = "> CONNECT client=c\n< CONNACK\n> SUBSCRIBE id=1 filter=a:1\n< SUBACK id=1\n\
                    > PUBLISH topic=a qos=1 id=2\n< PUBACK id=2\n> PUBLISH topic=b";
        let folder = Folder::new();
        let capture = folder.write("a.pcap", &with_servers(SERVERS, text));
        let written = |name: &str, more: &[&str]| {
            let dir = folder.name(name);
            let args = ["tables", "-o", &dir, "--max-memory", "160M"];
            run(&[&args, more, &[&capture]].concat()).clean();
            let manifest = fs::read(folder.path(name).join("manifest.json")).expect("a manifest");
            let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
            manifest
        };
        let whole = written("whole", &[]);
        let parts = written("parts", &["--partition", "hour,server"]);
        for table in TABLES {
            let [whole, parts] = [&whole, &parts].map(|it| &it["tables"][table.name]["rows"]);
            assert_eq!(whole, parts, "{}", table.name);
        }
        let again = written("again", &["--partition", "hour,server"]);
        assert_eq!(again, parts, "the same files in each run");
        let files = again["tables"].as_object().expect("tables").values();
        for file in files.flat_map(|table| table["files"].as_array().expect("files")) {
            let name = file["name"].as_str().expect("a name");
            let read = |run: &str| fs::read(folder.path(run).join(name)).expect("a file");
            assert!(read("parts") == read("again"), "{name}");
        }
    }

    fn cell(column: &ArrayRef, row: usize) -> String {
        if column.is_null(row) {
            return "null".into();
        }
        match column.data_type() {
            DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).to_string(),
            DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).to_string(),
            DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).to_string(),
            DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).to_string(),
            DataType::Timestamp(..) => column
                .as_primitive::<TimestampNanosecondType>()
                .value(row)
                .to_string(),
            DataType::Boolean => column.as_boolean().value(row).to_string(),
            DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
            DataType::Binary => format!("{:?}", column.as_binary::<i32>().value(row)),
            DataType::List(_) => {
                let list = column.as_list::<i32>().value(row);
                let cells = (0..list.len()).map(|row| cell(&list, row));
                format!("[{}]", cells.collect::<Vec<_>>().join(" "))
            }
            other => panic!("{other}"),
        }
    }

    /// The rows of a table as text, without some columns.
    fn rows(folder: &Path, table: &str, without: &[&str]) -> Vec<String> {
        rows_of(batches(&folder.join(format!("{table}.parquet"))), without)
    }

    fn rows_of(batches: Vec<RecordBatch>, without: &[&str]) -> Vec<String> {
        let mut rows = Vec::new();
        for batch in batches {
            let schema = batch.schema();
            let named = schema.fields().iter().zip(batch.columns());
            let kept = named.filter(|(field, _)| !without.contains(&field.name().as_str()));
            let kept: Vec<&ArrayRef> = kept.map(|(_, column)| column).collect();
            for row in 0..batch.num_rows() {
                let cells = kept.iter().map(|column| cell(column, row));
                rows.push(cells.collect::<Vec<_>>().join(" | "));
            }
        }
        rows.sort();
        rows
    }

    /// Pages of Parquet are encoded by the program, and batches of a stream by the crate.
    #[test]
    fn a_stream_has_the_values_of_the_file() {
        let folder = Folder::new();
        for (at, name) in ["captures/ejabberd-paho-5.0", "market/aedes-paho-4"]
            .iter()
            .enumerate()
        {
            let capture = format!("fixtures/{name}.pcap");
            let dir = folder.name(&at.to_string());
            run(&["tables", "-o", &dir, &capture]).clean();
            for table in TABLES {
                let args = ["tables", "-o", "-", "--table", table.name, &capture];
                let output = mqttdump().args(args).output().expect("the program starts");
                let stream = arrow_ipc::reader::StreamReader::try_new(&output.stdout[..], None);
                let stream = stream.expect("a stream").map(|batch| batch.expect("rows"));
                let expected = rows(Path::new(&dir), table.name, &[]);
                assert_eq!(
                    rows_of(stream.collect(), &[]),
                    expected,
                    "{name}: {}",
                    table.name
                );
            }
        }
    }

    /// The rows of two files, the second read with the state of the first, are those of
    /// both files read at once.
    #[test]
    fn tables_of_two_halves_are_those_of_the_whole() {
        for name in [
            "aedes-mqttjs-3.1.1.pcap",
            "ejabberd-paho-5.0.pcap",
            "fusesource-qos2.pcap",
        ] {
            let path = project(&format!("fixtures/captures/{name}"));
            let recorded = Recorded::read(&path).expect("a capture");
            for part in 1..6 {
                let cut = recorded.len() * part / 6;
                if !recorded.is_in_order_at(cut) {
                    continue;
                }
                let folder = Folder::new();
                let parts = recorded.cut(&[cut], &folder);
                let state = folder.name("state");
                let out = |name: &str| folder.name(name);
                let (one, two, all) = (out("one"), out("two"), out("all"));
                let (a, b) = (&parts[0], &parts[1]);
                run(&["tables", "-o", &one, "-r", a, "--state-out", &state]).clean();
                run(&["tables", "-o", &two, "-r", b, "--state-in", &state]).clean();
                run(&["tables", "-o", &all, "-r", a, "-r", b]).clean();
                for table in TABLES {
                    let of = |name: &str| rows(&folder.path(name), table.name, &["file"]);
                    let mut halves = of("one");
                    halves.extend(of("two"));
                    halves.sort();
                    assert_eq!(halves, of("all"), "{name} cut at {cut}: {}", table.name);
                }
            }
        }
    }

    /// Tables of two captures merged are those of both, in whatever order, and merged
    /// again.
    #[test]
    fn merged_tables_do_not_depend_on_the_order() {
        let folder = Folder::new();
        let path = |name: &str| folder.name(name);
        let (a, b, c) = (path("a"), path("b"), path("c"));
        run(&["tables", "-o", &a, PLANT]).clean();
        run(&[
            "tables",
            "-o",
            &b,
            "fixtures/captures/aedes-mqttjs-3.1.1.pcap",
        ])
        .clean();
        run(&["tables", "-o", &c, "fixtures/captures/fusesource-qos2.pcap"]).clean();
        let merge = |to: &str, of: &[&str]| {
            let args = [&["merge", "-o", to], of].concat();
            run(&args).clean();
        };
        let (ab, bc, x, y, z, twice) = (
            path("ab"),
            path("bc"),
            path("x"),
            path("y"),
            path("z"),
            path("twice"),
        );
        merge(&ab, &[&a, &b]);
        merge(&bc, &[&c, &b]);
        merge(&x, &[&ab, &c]);
        merge(&y, &[&a, &bc]);
        merge(&z, &[&c, &b, &a]);
        merge(&twice, &[&a, &a]);
        for table in TABLES {
            let name = format!("{}.parquet", table.name);
            let bytes = |of: &str| fs::read(folder.path(of).join(&name)).expect("a table");
            assert_eq!(bytes("x"), bytes("y"), "{name}");
            assert_eq!(bytes("x"), bytes("z"), "{name}");
            let of = |names: &[&str]| {
                let all = names
                    .iter()
                    .flat_map(|of| rows(&folder.path(of), table.name, &[]));
                let mut all: Vec<_> = all.collect();
                all.sort();
                all
            };
            assert_eq!(of(&["z"]), of(&["a", "b", "c"]), "{name}");
            match table.name {
                // Rows of the same session are added up.
                "sessions" => assert_eq!(of(&["twice"]).len(), of(&["a"]).len()),
                _ => assert_eq!(of(&["twice"]), of(&["a", "a"]), "{name}"),
            }
        }
        let connections = |of: &str| -> u32 {
            let batches = batches(&folder.path(of).join("sessions.parquet"));
            let columns = batches
                .iter()
                .map(|it| it.column_by_name("connections").expect("it"));
            let sums =
                columns.map(|it| it.as_primitive::<UInt32Type>().values().iter().sum::<u32>());
            sums.sum()
        };
        assert_eq!(connections("twice"), 2 * connections("a"));
        let manifest = fs::read(folder.path("z/manifest.json")).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        assert_eq!(manifest["captures"].as_array().map(Vec::len), Some(3));
        let refused = run(&["merge", &a, &b]);
        assert_eq!(refused.code, Some(2));
        assert!(refused.err.contains("need -o DIR"), "{}", refused.err);
    }

    /// Rows that begin at the same time, in files of the same sizes, are ordered by what
    /// they hold.
    #[test]
    fn merged_tables_do_not_depend_on_the_order_of_twins() {
        let folder = Folder::new();
        for topic in ["a", "b", "c"] {
            let packets = scene(&format!(
                "> CONNECT client={topic}\n> PUBLISH topic={topic}"
            ));
            let capture = folder.write(topic, &Format::PCAPNG.write(&packets));
            run(&[
                "tables",
                "-o",
                &folder.name(&format!("t-{topic}")),
                &capture,
            ])
            .clean();
        }
        let of = |order: &str| {
            let to = folder.name(order);
            let parts: Vec<_> = order
                .chars()
                .map(|it| folder.name(&format!("t-{it}")))
                .collect();
            let parts = parts.iter().map(String::as_str);
            run(&["merge", "-o", &to]
                .into_iter()
                .chain(parts)
                .collect::<Vec<_>>())
            .clean();
            let file =
                |table: &schema::Table| folder.path(order).join(format!("{}.parquet", table.name));
            let files = TABLES
                .iter()
                .map(|table| fs::read(file(table)).expect("a table"));
            files.collect::<Vec<_>>()
        };
        let all = of("abc");
        for order in ["acb", "bca", "cba"] {
            assert!(of(order) == all, "{order}");
        }
    }

    /// Nothing is left out silently.
    #[test]
    fn damaged_or_incomplete_tables_are_not_merged() {
        let folder = Folder::new();
        let (a, b, some) = (folder.name("a"), folder.name("b"), folder.name("some"));
        let capture = "fixtures/captures/fusesource-qos2.pcap";
        run(&["tables", "-o", &a, capture]).clean();
        run(&["tables", "-o", &b, capture]).clean();
        run(&["tables", "-o", &some, "--table", "frames,events", capture]).clean();
        let refused = |message: &str, of: [&str; 2]| {
            let run = run(&[&["merge", "-o", &folder.name("x")], &of[..]].concat());
            assert_eq!(run.code, Some(2), "{}", run.err);
            assert!(run.err.contains(message), "{}", run.err);
            assert!(!folder.path("x/manifest.json").exists());
        };
        let same = "expected the same tables in all folders, found no ";
        refused(same, [&a, &some]);
        refused(same, [&some, &a]);
        let other = folder.name("other");
        run(&["tables", "-o", &other, "fixtures/captures/cut.pcap"]);
        fs::copy(
            folder.path("other/frames.parquet"),
            folder.path("b/frames.parquet"),
        )
        .expect("a copy");
        refused("b/frames.parquet: expected ", [&a, &b]);
    }

    #[test]
    fn tables_of_a_selection_have_what_belongs_to_it() {
        let folder = Folder::new();
        let all = folder.name("all");
        run(&["tables", "-o", &all, PLANT]).clean();
        let of = |name: &str, table: &str, column: &str| -> BTreeSet<String> {
            let path = folder.path(&format!("{name}/{table}.parquet"));
            texts(&batches(&path), column)
                .into_iter()
                .flatten()
                .collect()
        };
        for (turn, selection) in [
            &["--client", "panel"][..],
            &["--topic", "plant/2/#"],
            &["--type", "subscribe"],
            &["-Y", "mqtt.qos > 0"],
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("some-{turn}");
            let dir = folder.name(&name);
            run(&[&["tables", "-o", &dir, PLANT], selection].concat()).clean();
            let frames = lines(&[&["--format", "ndjson", "-r", PLANT], selection].concat());
            let frames = frames.iter().filter(|line| line["type"].is_string());
            let exchanges: BTreeSet<String> = frames
                .clone()
                .filter_map(|line| Some(line["exchange_uid"].as_str()?.to_owned()))
                .collect();
            let connections: BTreeSet<String> = frames
                .clone()
                .filter_map(|line| Some(line["connection_uid"].as_str()?.to_owned()))
                .collect();
            assert!(!connections.is_empty());
            assert!(connections.len() < of("all", "connections", "connection_uid").len());
            let rows = batches(&folder.path(&format!("{name}/frames.parquet")));
            let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(count, frames.count(), "{selection:?}");
            assert_eq!(of(&name, "exchanges", "exchange_uid"), exchanges);
            assert_eq!(of(&name, "connections", "connection_uid"), connections);
            for (table, column) in [
                ("overhead", "connection_uid"),
                ("findings", "connection_uid"),
                ("subscriptions", "connection_uid"),
            ] {
                let found = of(&name, table, column);
                assert!(found.is_subset(&connections), "{selection:?} {table}");
            }
            let deliveries = of(&name, "deliveries", "exchange_uid");
            assert!(deliveries.len() < of("all", "deliveries", "exchange_uid").len());
        }
        let wrong = run(&["tables", "-o", &folder.name("none"), "--topic", "x", PLANT]);
        assert_eq!(wrong.code, Some(2), "{}", wrong.err);
        assert!(
            wrong.err.contains("no message matches --topic x"),
            "{}",
            wrong.err
        );
        // The corrected command finds its folder free.
        run(&["tables", "-o", &folder.name("none"), PLANT]).clean();
        let nothing = run(&["tables", "-o", &folder.name("nothing"), "no-such-file.pcap"]);
        assert_eq!(nothing.code, Some(2), "{}", nothing.err);
        assert!(!folder.path("nothing/manifest.json").exists());
    }

    /// What came before the range of time has no rows, and what does not belong to the
    /// selected messages: the other commands count the same.
    #[test]
    fn tables_of_a_range_or_a_filter_agree_with_the_other_commands() {
        let real = "fixtures/market/aedes-paho-4.pcap";
        for (capture, selection) in [
            (real, &["--from", "+28.9s"][..]),
            (real, &["--from", "+10s"]),
            (real, &["--from", "+10s", "--to", "+20s"]),
            ("fixtures/captures/lost.pcap", &["--from", "+2s"]),
            (real, &["-Y", "client_id == \"keeper\""]),
        ] {
            let folder = Folder::new();
            run(&[&["tables", "-o", &folder.name("t"), capture], selection].concat()).clean();
            let of = |name: &str| batches(&folder.path(&format!("t/{name}.parquet")));
            let rows = |name: &str| of(name).iter().map(RecordBatch::num_rows).sum::<usize>();
            let unique = |name: &str, column: &str| {
                let all = texts(&of(name), column).into_iter().flatten();
                all.collect::<BTreeSet<_>>()
            };
            let lines = |command: &[&str]| lines(&[command, selection, &["-r", capture]].concat());

            let frames = lines(&["--format", "ndjson"]);
            let frames = frames.iter().filter(|line| line["type"].is_string());
            assert_eq!(rows("frames"), frames.count(), "{selection:?}");
            let findings = lines(&["check", "--format", "ndjson", "--fail-on", "never"]);
            let findings = findings.iter().filter(|line| line["rule"].is_string());
            assert_eq!(rows("findings"), findings.count(), "{selection:?}");
            let sessions = lines(&["sessions", "--format", "ndjson"]);
            let uids = |key: &str| -> BTreeSet<String> {
                let all = sessions.iter().filter_map(|line| line[key].as_str());
                all.map(str::to_owned).collect()
            };
            let column = "connection_uid";
            assert_eq!(unique("connections", column), uids(column), "{selection:?}");
            let column = "session_uid";
            assert_eq!(unique("sessions", column), uids(column), "{selection:?}");
            let published = lines(&["sessions", "--deliveries", "--format", "ndjson"]);
            let found = unique("deliveries", "exchange_uid").len();
            assert_eq!(found, published.len(), "{selection:?}");
            if selection[0] == "--from" {
                let account = &lines(&["overhead", "--format", "json"])[0];
                let causes = account["causes"].as_object().expect("causes").values();
                let bytes: u64 = causes.filter_map(Value::as_u64).sum();
                assert_eq!(sum(&of("overhead"), "bytes"), bytes, "{selection:?}");
            }
        }
    }

    /// The exchanges of findings are those of the table; a message that is sent again on
    /// the next connection of its session names the one before.
    #[test]
    fn tables_link_findings_and_continued_exchanges() {
        let folder = Folder::new();
        let transcript = "
! connection 1
> CONNECT client=c version=5 clean=0 session_expiry_interval=3600
< CONNACK
> PUBLISH topic=a qos=1 id=7 payload=x
! reset <
! connection 2
> CONNECT client=c version=5 clean=0 session_expiry_interval=3600
< CONNACK session_present=1
> PUBLISH topic=a qos=1 id=7 payload=x dup=1
< PUBACK id=7
";
        let capture = folder.write("c.pcapng", &Format::PCAPNG.write(&scene(transcript)));
        let dir = folder.name("tables");
        run(&["tables", "-o", &dir, &capture]).clean();
        let exchanges = batches(&folder.path("tables/exchanges.parquet"));
        let uids = texts(&exchanges, "exchange_uid");
        let continues = texts(&exchanges, "continues");
        let linked: Vec<_> = uids
            .iter()
            .zip(&continues)
            .filter(|(_, to)| to.is_some())
            .collect();
        let [(again, Some(first))] = linked[..] else {
            panic!("{linked:?}");
        };
        let ends = |uid: &str, end: &str| assert!(uid.ends_with(end), "{uid}");
        ends(first, "-up-7-2");
        ends(again.as_deref().expect("an identity"), "-up-7-2");
        assert!(uids.contains(&Some(first.clone())) && again.as_ref() != Some(first));
        let dir = folder.name("qos-3");
        let capture = "fixtures/third-party/mqtt/suricata-mqtt-events-invalid-qos.pcap";
        run(&["tables", "-o", &dir, capture]).clean();
        let of = |table: &str| {
            let batches = batches(&folder.path(&format!("qos-3/{table}.parquet")));
            let uids = texts(&batches, "exchange_uid").into_iter().flatten();
            uids.collect::<BTreeSet<_>>()
        };
        let found = of("findings");
        assert_eq!(found.len(), 1);
        assert!(found.is_subset(&of("frames")));
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

    /// The capture of the document is that of its transcript; `BLESS=1` writes it.
    #[test]
    fn the_capture_of_the_document_is_that_of_its_transcript() {
        let transcript = project("fixtures/tables/plant.mqtt");
        let transcript = fs::read_to_string(transcript).expect("a scene");
        let made = Format::PCAPNG.write(&scene(&transcript));
        if std::env::var_os("BLESS").is_some() {
            fs::write(project(PLANT), &made).expect("the capture");
        }
        assert!(fs::read(project(PLANT)).expect("the capture") == made);
    }

    /// The answers in the document are those of DuckDB; `BLESS=1` writes them.
    #[test]
    fn tables_answer_questions() {
        let Some(python) = python() else {
            eprintln!("skipped: there is no Python with DuckDB (pip install duckdb)");
            return;
        };
        let folder = Folder::new();
        let dir = folder.name("tables");
        run(&["tables", "-o", &dir, PLANT]).clean();
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

//! Any options, settings and damaged captures, by every command: the program ends by itself
//! with an exit code of its own and, where it fails, a message.
//!
//! `MQTTDUMP_ROUNDS=50000 cargo test --test integration arbitrary` tries more.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::program::{Folder, mqttdump, project, run};

const COMMANDS: [&str; 12] = [
    "", "check", "overhead", "sessions", "stats", "shard", "tables", "merge", "redact", "reduce",
    "fields", "explain",
];

/// Options that capture, wait, run a program or listen.
const LEFT_OUT: [&str; 6] = [
    "--interface",
    "--list-interfaces",
    "--follow",
    "-z",
    "--relinquish-privileges",
    "--listen",
];

/// Longest time that a run may take; they take some milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// xorshift, from a fixed seed: a failure is repeatable.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// An option as its help prints it.
struct Opt {
    name: String,
    takes_value: bool,
}

fn options(command: &str) -> Vec<Opt> {
    let words: Vec<_> = [command, "--help"]
        .into_iter()
        .filter(|w| !w.is_empty())
        .collect();
    let help = run(&words).clean();
    let lines = help.lines().filter_map(|line| {
        let definition = line.strip_prefix("      --").map(|_| line);
        let definition = definition.or_else(|| line.strip_prefix("  -").map(|_| line))?;
        let mut names = definition.split([' ', ',', '[', '=', '.']);
        let name = names.rfind(|name| name.starts_with('-'))?;
        Some(Opt {
            takes_value: line.contains('<'),
            name: name.to_owned(),
        })
    });
    lines
        .filter(|option| !LEFT_OUT.contains(&option.name.as_str()))
        .collect()
}

const VALUES: [&str; 44] = [
    "",
    "0",
    "1",
    "-1",
    "3",
    "64",
    "65536",
    "4294967296",
    "99999999999999999999",
    "0.5",
    "1e9",
    "NaN",
    "1s",
    "10ms",
    "2h",
    "64K",
    "32M",
    "1:2",
    "2-5",
    "-",
    "a",
    "json",
    "ndjson",
    "csv",
    "sarif",
    "junit",
    "zeek",
    "eve",
    "otlp",
    "utc",
    "always",
    "never",
    "warning",
    "alarm/#=300",
    "1883=mqtt",
    "8883=wss",
    "mqtt.qos == 1",
    "mqtt.topic matches \"(\"",
    "+/#",
    "\u{202e}evil",
    "a\nb",
    "capture",
    "missing",
    "/dev/null",
];

const TOML: [&str; 22] = [
    "[check]\n",
    "[overhead]\n",
    "[read]\n",
    "[sessions]\n",
    "fail-on = ",
    "allow = ",
    "max-ack-ms = ",
    "level = ",
    "max-bytes-per-message = ",
    "\"warning\"\n",
    "\"l3\"\n",
    "[\"a\", 1]\n",
    "500\n",
    "-1\n",
    "true\n",
    "{}\n",
    "\"",
    "\n",
    "#",
    "= ",
    "\u{0}",
    "baseline = \"capture\"\n",
];

#[test]
fn any_options_settings_and_captures() {
    let rounds = match std::env::var("MQTTDUMP_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("a number of rounds"),
        Err(_) => 150,
    };
    let seed = match std::env::var("MQTTDUMP_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => 0x9e37_79b9_7f4a_7c15,
    };
    let captures: Vec<_> = std::fs::read_dir(project("fixtures/captures"))
        .expect("captures")
        .filter_map(|entry| std::fs::read(entry.ok()?.path()).ok())
        .filter(|capture| capture.len() < 20_000)
        .collect();
    let commands = COMMANDS.map(|command| (command, options(command)));
    for (command, options) in &commands {
        assert!(!options.is_empty(), "options of '{command}'");
    }
    let mut random = Random(seed);
    for round in 0..rounds {
        let folder = Folder::new();
        let mut capture = captures[random.below(captures.len())].clone();
        for _ in 0..random.below(6) {
            let at = random.below(capture.len());
            capture[at] = random.below(256) as u8;
        }
        folder.write("capture", &capture);
        let (command, options) = &commands[random.below(commands.len())];
        let mut words: Vec<String> = Vec::new();
        if random.below(3) == 0 && !options.is_empty() {
            let text: String = (0..random.below(8)).map(|_| random.one(&TOML)).collect();
            folder.write("settings", text.as_bytes());
            words.extend(["--config".to_owned(), "settings".to_owned()]);
        }
        for _ in 0..random.below(4) {
            let option = &options[random.below(options.len())];
            words.push(option.name.clone());
            if option.takes_value && random.below(20) != 0 {
                words.push(random.one(&VALUES).to_owned());
            }
        }
        match random.below(8) {
            0 => {}
            1 => words.push(random.one(&VALUES).to_owned()),
            _ if command.is_empty() => words.extend(["-r".to_owned(), "capture".to_owned()]),
            _ => words.push("capture".to_owned()),
        }
        if !command.is_empty() {
            words.insert(0, (*command).to_owned());
        }
        let child = mqttdump()
            .current_dir(folder.path(""))
            .args(&words)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (code, errors) = wait(child);
        let told = format!("round {round}: {words:?}: {code:?}: {errors}");
        assert!(matches!(code, Some(0..=2)), "{told}");
        assert!(!errors.contains("panicked"), "{told}");
        assert!(code != Some(2) || !errors.trim().is_empty(), "{told}");
        let is_raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!errors.contains(is_raw), "{told}");
        assert_eq!(
            std::fs::read(folder.path("capture")).ok().as_ref(),
            Some(&capture),
            "the input stays: {told}"
        );
    }
}

/// Exit code, if the program ended by itself, and standard error.
fn wait(mut child: Child) -> (Option<i32>, String) {
    let mut stderr = child.stderr.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(stderr.read_to_end(&mut bytes));
        bytes
    });
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("the state of the program") {
            Some(status) => break Some(status),
            None if start.elapsed() > PATIENCE => {
                drop(child.kill());
                drop(child.wait());
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let errors = reader.join().expect("the reader ends");
    let errors = String::from_utf8_lossy(&errors).into_owned();
    (status.and_then(|status| status.code()), errors)
}

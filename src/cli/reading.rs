//! Validated options of commands that read captures: where packets come from,
//! which are read, and how. Errors that need no packet are reported here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use mqttdump::select::Selection;
use mqttdump::{engine, limits};

use super::args::{Captures, Input, Live, Output, Packets, Selecting, Watching};
use super::gate::Expression;
use super::keylog::KeyLogPlan;
use super::memory;
use super::range::Range;
use super::records;
use super::sandbox::Sandbox;
use super::source::Source;
use super::state::StatePlan;
use super::surroundings::{Stdin, Surroundings};
use super::watch::WatchPlan;
use super::zone::zone;

/// How captures are read.
pub(crate) struct Reading {
    /// The captures. Never empty.
    pub(crate) captures: Vec<Source>,
    /// Where TLS keys come from.
    pub(crate) keys: KeyLogPlan,
    /// The BPF expression; `None` for every packet.
    pub(crate) expression: Option<String>,
    /// The range of time that is read.
    pub(crate) range: Range,
    /// Time zone of printed times.
    pub(crate) zone: TimeZone,
    /// What is selected.
    pub(crate) selection: Selection,
    /// Accept a selection that selects nothing.
    pub(crate) allow_empty: bool,
    /// Stop after this many packets that matched the expression.
    pub(crate) max_packets: Option<u64>,
    /// The state of an earlier run, and for a later one.
    pub(crate) state: StatePlan,
    /// Engine options; commands add what they need.
    pub(crate) engine: engine::Config,
    /// Options for captures that are still growing.
    pub(crate) watch: WatchPlan,
    /// Captures that are read at the same time; `None` for as many as there are
    /// processors.
    pub(crate) threads: Option<u64>,
    /// Show a progress bar on standard error.
    pub(crate) progress: bool,
    /// Write each line as soon as it is complete.
    pub(crate) line_buffered: bool,
    /// Report the opened files, as tcpdump does.
    pub(crate) chatty: bool,
    /// Memory that may be used, in bytes.
    pub(crate) max_memory: usize,
    /// What the run needs of the system.
    pub(crate) sandbox: Sandbox,
}

/// Bytes kept of each payload when payloads are decoded, which needs complete
/// payloads.
pub(crate) const DECODED_PAYLOAD: u32 = 1 << 20;

/// The name of a command in messages.
#[derive(Clone, Copy)]
pub(crate) struct Verb {
    /// Its name.
    pub(crate) command: &'static str,
    /// What it does, such as `check`.
    pub(crate) verb: &'static str,
}

/// Memory for each finding that is kept: four times what one needs with the frames around
/// it.
const FINDING_BYTES: usize = 4096;

impl Reading {
    /// How many findings are kept.
    pub(crate) fn most_findings(&self) -> usize {
        limits::FINDINGS.min(self.max_memory / FINDING_BYTES)
    }

    /// Sets which messages are selected. What a display filter looks at in payloads is
    /// kept.
    pub(crate) fn select(&mut self, typed: &Selecting) -> Result<(), String> {
        self.selection = typed.selection(&self.zone)?;
        self.allow_empty = typed.connections.allow_empty;
        if self.selection.needs_payloads() {
            self.engine.payload = DECODED_PAYLOAD;
        }
        Ok(())
    }

    /// Captures of a command: the interface; else the parts of `-r` as one and each
    /// FILE as another; else standard input.
    pub(crate) fn of_command(
        typed: &Captures,
        watching: &Watching,
        every: Option<Duration>,
        output: &Output,
        around: &Surroundings<'_>,
        Verb { command, verb }: Verb,
    ) -> Result<Self, String> {
        let expression = match (&typed.filter, &typed.packets.filter_file) {
            (Some(text), _) => Expression::Text(text.clone()),
            (None, Some(path)) => Expression::File(path.clone()),
            (None, None) => Expression::All,
        };
        refuse_an_expression_among_files(&typed.files, command, around)?;
        let all = Inputs {
            input: &typed.input,
            live: &typed.live,
            packets: &typed.packets,
        };
        if let Some((source, expression)) = Source::interface(all.input, all.live, &expression)? {
            if let Some(file) = typed.files.first() {
                return Err(format!(
                    "{command} reads an interface or files, not both: leave out -i or {} \
                     (use --filter for a BPF expression)",
                    file.display()
                ));
            }
            return all.reading(vec![source], expression, watching, every, output, around);
        }
        let mut captures = Vec::new();
        if !all.input.read.is_empty() {
            captures.push(all.input.read.clone());
        }
        captures.extend(typed.files.iter().map(|file| vec![file.clone()]));
        let captures = if all.input.follow {
            match captures.as_slice() {
                [] | [_] => vec![Source::growing(&captures.concat())?],
                _ => {
                    return Err("--follow reads one capture that has no end: give one FILE".into());
                }
            }
        } else {
            if captures.is_empty() {
                if around.stdin == Stdin::Nothing {
                    return Err(format!(
                        "nothing to {verb}\nUsage: mqttdump {command} [OPTIONS] FILE..."
                    ));
                }
                captures.push(vec!["-".into()]);
            }
            one_standard_input(captures.iter().flatten())?;
            match captures
                .concat()
                .iter()
                .any(|path| records::is_records(path))
            {
                // The shards of one capture.
                true => vec![Source::Facts(captures.concat())],
                false => captures.into_iter().map(Source::Files).collect(),
            }
        };
        let mut reading = all.reading(
            captures,
            expression.text()?,
            watching,
            every,
            output,
            around,
        )?;
        reading.threads = typed.threads;
        Ok(reading)
    }

    /// The capture of the reading command.
    pub(crate) fn of_one(
        (input, live, packets): (&Input, &Live, &Packets),
        expression: &Expression,
        watching: &Watching,
        output: &Output,
        around: &Surroundings<'_>,
    ) -> Result<Self, String> {
        let all = Inputs {
            input,
            live,
            packets,
        };
        if let Some((source, expression)) = Source::interface(input, live, expression)? {
            return all.reading(vec![source], expression, watching, None, output, around);
        }
        let source = if input.follow {
            Source::growing(&input.read)?
        } else if input.read.is_empty() {
            Source::Files(vec!["-".into()])
        } else {
            one_standard_input(&input.read)?;
            Source::Files(input.read.clone())
        };
        if *expression == Expression::File("-".into()) && source.is_piped() {
            return Err("-F - and -r - cannot both read standard input".into());
        }
        all.reading(
            vec![source],
            expression.text()?,
            watching,
            None,
            output,
            around,
        )
    }
}

/// Options of input.
struct Inputs<'a> {
    input: &'a Input,
    live: &'a Live,
    packets: &'a Packets,
}

impl Inputs<'_> {
    fn reading(
        &self,
        mut captures: Vec<Source>,
        expression: Option<String>,
        watching: &Watching,
        every: Option<Duration>,
        output: &Output,
        around: &Surroundings<'_>,
    ) -> Result<Reading, String> {
        let state = StatePlan::new(&self.input.rotation, &mut captures)?;
        let zone = zone(output.utc);
        let (from, to) = (self.packets.from.as_deref(), self.packets.to.as_deref());
        let watch = WatchPlan::new(watching, every, &captures, output, around)?;
        let keys = KeyLogPlan::new(self.input.tls_keylog.as_deref());
        let mut engine = engine::Config {
            only_known_ports: self.input.only_known_ports,
            keep_views: self.input.keep_duplicates,
            verify_checksums: self.input.verify_checksums,
            expects_keys: keys.is_given(),
            ..engine::Config::default()
        };
        engine.ports.extend(self.input.decode.iter().copied());
        let read = captures.iter().flat_map(|source| source.paths());
        memory::open();
        let mut sandbox = Sandbox::reading(read.map(PathBuf::as_path).chain(keys.path()));
        sandbox.names = expression.is_some();
        sandbox.writes.extend(self.input.rotation.state_out.clone());
        Ok(Reading {
            max_memory: self.input.max_memory.unwrap_or(memory::DEFAULT),
            sandbox,
            keys,
            expression,
            range: Range::new(from, to, &zone)?,
            zone,
            selection: Selection::default(),
            allow_empty: false,
            max_packets: self.packets.max,
            threads: None,
            engine,
            state,
            progress: around.stderr_terminal
                && !around.stdout_terminal
                && captures.iter().all(Source::is_files),
            line_buffered: output.line_buffered || around.stdout_terminal || watch.endless,
            chatty: false,
            watch,
            captures,
        })
    }
}

/// Rejects `check f tcp port 1883`: a BPF expression in place of FILEs.
fn refuse_an_expression_among_files(
    files: &[PathBuf],
    command: &str,
    around: &Surroundings<'_>,
) -> Result<(), String> {
    let is_word = |file: &&PathBuf| {
        !(around.is_file)(file) && file.to_str().is_some_and(super::gate::is_bpf_word)
    };
    let Some(first) = files.iter().position(|file| is_word(&file)) else {
        return Ok(());
    };
    let words: Vec<_> = files
        .iter()
        .skip(first)
        .map(|word| word.to_string_lossy())
        .collect();
    let words = words.join(" ");
    Err(format!(
        "{command} takes FILEs, and file '{}' does not exist; \
         use --filter for a BPF expression: --filter '{words}'",
        files[first].display()
    ))
}

fn one_standard_input<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), String> {
    let pipes = paths.into_iter().filter(|path| *path == Path::new("-"));
    match pipes.count() {
        0 | 1 => Ok(()),
        _ => Err("- can be given only once".into()),
    }
}

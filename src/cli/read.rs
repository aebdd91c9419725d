//! The reading command, which has no name: one line per control packet.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::tz::TimeZone;
use mqttdump::packet::CapturedPacket;
use mqttdump::payload::{Decoder, Rule};
use mqttdump::select::Selector;

use super::annotate;
use super::args::{Decoding, Input, Lines, Live, Output, Packets, Saving, Selecting, Watching};
use super::closing;
use super::command::{Command, Exit};
use super::console::complain;
use super::driver::{Driver, Job, Select};
use super::export::{Export, Template};
use super::gate::{Expression, is_primitive};
use super::generate::Generate;
use super::hex;
use super::look_ahead::look_ahead;
use super::memory;
use super::output;
use super::reading::{DECODED_PAYLOAD, Reading};
use super::save::{Connections, Exchanges, Save};
use super::source::{Describe, Source};
use super::state::Rotation;
use super::stop::Stop;
use super::surroundings::{Stdin, Surroundings};
use super::unmatched;
use super::view::{Print, View};

/// Options of reading.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    pub(crate) input: Input,

    #[command(flatten)]
    pub(crate) live: Live,

    /// List the interfaces that can be captured on
    #[arg(short = 'D', long = "list-interfaces", help_heading = "Live capture")]
    pub(crate) list_interfaces: bool,

    /// Read only packets that match a BPF expression, as in tcpdump
    ///
    /// All words that are not options form one expression in the language of
    /// pcap-filter(7), for example `host 10.0.0.1 and tcp port 1883`. It selects
    /// captured packets before anything is decoded; to select messages, see
    /// --topic and --client. A single word that names a file is read as if
    /// given with -r.
    #[arg(
        value_name = "BPF EXPRESSION",
        help_heading = "Packets",
        conflicts_with = "filter_file",
        value_hint = clap::ValueHint::FilePath
    )]
    pub(crate) expression: Vec<OsString>,

    #[command(flatten)]
    pub(crate) packets: Packets,

    #[command(flatten)]
    pub(crate) selecting: Selecting,

    #[command(flatten)]
    pub(crate) lines: Lines,

    #[command(flatten)]
    pub(crate) decoding: Decoding,

    #[command(flatten)]
    pub(crate) output: Output,

    #[command(flatten)]
    pub(crate) saving: Saving,

    #[command(flatten)]
    pub(crate) watching: Watching,

    /// Decode control packets typed in hexadecimal, without a capture
    ///
    /// Digits with or without 0x, \x, spaces, commas and colons. After a CONNECT
    /// its version counts; else the version is inferred, and printed.
    #[arg(
        long = "hex",
        value_name = "BYTES",
        help_heading = "Other",
        conflicts_with_all = ["read", "interface", "follow", "write", "export",
            "count", "payload_only", "format", "number", "link_header", "time"],
    )]
    pub(crate) bytes: Option<String>,

    /// Print the manual page or a shell's completions
    #[arg(
        long,
        value_name = "WHAT",
        help_heading = "Other",
        value_enum,
        exclusive = true
    )]
    pub(crate) generate: Option<Generate>,
}

impl Command for ReadArgs {
    const NAME: &'static str = "";
    const ABOUT: &'static str =
        "Packet-capture analyser and protocol dissector for MQTT 3.1, 3.1.1 and 5.0";
    const DESCRIPTION: &'static str = "\
Reads MQTT from packet captures and interfaces and prints one line per control packet, marking lost bytes, \
doubts and defects.

Each command has its own options: mqttdump COMMAND --help. Options may be given anywhere: before and after \
the command's name, files and the words of a BPF expression; `--` ends them.";
    const USAGE: &'static str = "\
mqttdump [OPTIONS] -r FILE | -i IF [BPF EXPRESSION]
mqttdump [COMMAND] [OPTIONS] FILE...";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("mqttdump capture.pcap", "every MQTT message of a capture"),
        ("mqttdump -i eth0", "live, until Ctrl-C"),
        (
            "mqttdump -r capture.pcap host 10.0.0.7",
            "packets of one host (BPF, as in tcpdump)",
        ),
        (
            "mqttdump -r a.pcap -r b.pcap --topic 'plant/#'",
            "rotated files, selected topics",
        ),
        (
            "ssh box tcpdump -U -w - | mqttdump -l -r -",
            "from a pipe, live",
        ),
        (
            "mqttdump -i eth0 -w r.pcap -C 100 -W 20",
            "keep the last 2 GB of packets",
        ),
        (
            "mqttdump -r capture.pcap --client s7 -w s7.pcap",
            "the packets of one client's connections",
        ),
        (
            "mqttdump check capture.pcap",
            "which rules were broken, and by whom",
        ),
        ("mqttdump explain id-in-use", "documentation of a rule"),
    ];
    const SHORT_HELP: &'static [&'static str] =
        &["read", "interface", "topic", "quiet", "verbose", "write"];

    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        if self.list_interfaces {
            return list_interfaces();
        }
        if let Some(typed) = &self.bytes {
            return decode_hex(&self, typed, around);
        }
        run(&Plan::new(self, around)?)
    }
}

/// `--hex`: messages have no time and no endpoints.
fn decode_hex(args: &ReadArgs, typed: &str, around: &Surroundings<'_>) -> Result<Exit, Stop> {
    if !args.expression.is_empty() {
        return Err(Stop::Failed(
            "--hex decodes what is typed: put the bytes in quotes, and leave out files and \
             expressions"
                .into(),
        ));
    }
    let bytes = hex::parse(typed).map_err(|why| format!("--hex: {why}"))?;
    let rules = args.decoding.rules()?;
    let decoder = (!rules.is_empty()).then(|| Decoder::new(rules));
    let print = Print::new(&args.lines, &args.output, around, TimeZone::UTC, false);
    let mut report = print.of_bytes();
    hex::run(&bytes, &mut *report, decoder.as_ref())
}

/// `-D`.
fn list_interfaces() -> Result<Exit, Stop> {
    #[cfg(feature = "live")]
    {
        let lines = super::live::list()?;
        super::output::print(lines.as_bytes())?;
        Ok(Exit::Success)
    }
    #[cfg(not(feature = "live"))]
    Err(Stop::Failed(super::source::HOW_TO_GET_LIVE.into()))
}

/// The validated options.
pub(crate) struct Plan {
    /// The capture and how it is read.
    pub(crate) reading: Reading,
    /// Stop after this many selected frames.
    pub(crate) max_frames: Option<u64>,
    /// Formats of payloads.
    pub(crate) decode: Vec<Rule>,
    /// How to print; `None` with `-w` alone and with `--count`.
    pub(crate) print: Option<Print>,
    /// Print the number of frames at the end.
    pub(crate) count: bool,
    /// Where to save packets.
    pub(crate) save: Option<Save>,
    /// Where to write payloads, and how their files are named.
    pub(crate) export: Option<(PathBuf, Template)>,
    /// Only what was asked for on standard error (`-q`).
    pub(crate) quiet: bool,
}

/// Bytes kept of each payload without --payload.
const PAYLOAD: u32 = 4096;

impl Plan {
    /// Validates the options; the error is a message for the user.
    pub(crate) fn new(mut args: ReadArgs, around: &Surroundings<'_>) -> Result<Self, String> {
        if let Some(file) = file_alone(&args, around) {
            args.input.read.push(file);
            args.expression.clear();
        }
        refuse_files_in_the_expression(&args, around)?;
        if args.lines.time > 5 {
            return Err("expected -t, -tt, -ttt, -tttt or -ttttt, found more of them".into());
        }
        let expression = match &args.packets.filter_file {
            Some(path) => Expression::File(path.clone()),
            None if args.expression.is_empty() => Expression::All,
            None => Expression::Text(words(&args.expression)?),
        };
        if args.input.read.is_empty()
            && args.live.interface.is_empty()
            && !args.input.follow
            && around.stdin == Stdin::Nothing
        {
            let missing = match &expression {
                Expression::Text(word) if !word.contains(' ') => {
                    format!("there is no file '{word}'; ")
                }
                _ => String::new(),
            };
            return Err(format!(
                "nothing to read: {missing}give a FILE, -r FILE or -i IF, or pipe a capture in"
            ));
        }
        let mut reading = Reading::of_one(
            (&args.input, &args.live, &args.packets),
            &expression,
            &args.watching,
            &args.output,
            around,
        )?;
        let save = Save::new(&args.saving, &reading.zone)?;
        let to_stderr = save.as_ref().is_some_and(Save::is_stdout);
        let export = export(&args.saving)?;
        let writes = save.is_some() || export.is_some();
        if args.saving.print && !writes {
            return Err("--print goes with -w or --export".into());
        }
        if args.lines.payload_only && around.stdout_terminal {
            return Err(
                "--payload-only writes bytes that may control a terminal: redirect them to a \
                 file or a program, such as | cat -v"
                    .into(),
            );
        }
        let printing = !args.lines.count && (!writes || args.saving.print);
        let print = printing.then(|| {
            let zone = reading.zone.clone();
            Print::new(&args.lines, &args.output, around, zone, to_stderr)
        });
        reading.select(&args.selecting)?;
        let decode = args.decoding.rules()?;
        let decodes = !decode.is_empty() || reading.selection.needs_payloads();
        // A body that is neither printed nor examined is counted, not kept.
        let prints = print.as_ref().is_some_and(|print| !print.quiet);
        let extracts = export.is_some() || args.lines.payload_only;
        reading.engine.payload = match prints || reading.selection.filter.is_some() || extracts {
            true if extracts => args.lines.payload.unwrap_or(u32::MAX),
            true if decodes => args.lines.payload.unwrap_or(DECODED_PAYLOAD),
            true => args.lines.payload.unwrap_or(PAYLOAD),
            false => 0,
        };
        let print = print.map(|print| Print {
            payloads: !decode.is_empty(),
            ..print
        });
        reading.chatty = args.lines.verbose > 0;
        let files = save.as_ref().filter(|save| !save.is_stdout());
        reading.sandbox.programs = files.is_some_and(|save| save.command.is_some());
        reading.sandbox.confine(
            reading.chatty,
            [
                files.map(|save| save.path.as_path()),
                export.as_ref().map(|(folder, _)| folder.as_path()),
            ],
        );
        Ok(Self {
            reading,
            max_frames: args.lines.frames,
            decode,
            count: args.lines.count,
            quiet: args.lines.quiet,
            save,
            export,
            print,
        })
    }

    /// The payload decoder: by the given rules, else, for a display filter, by
    /// format `auto`.
    fn decoder(&self) -> Option<Decoder> {
        match self.decode.is_empty() {
            false => Some(Decoder::new(self.decode.clone())),
            true => {
                let wanted = self.reading.selection.needs_payloads() || self.export.is_some();
                wanted.then(Decoder::default)
            }
        }
    }

    /// The capture.
    pub(crate) fn source(&self) -> &Source {
        // `Reading::of_one` returns exactly one.
        &self.reading.captures[0]
    }

    /// Which connections are collected for `-w`.
    fn connections(&self) -> Option<Connections> {
        let save = self.save.as_ref()?;
        let exchanges = save.exchanges.then(Exchanges::default);
        let wanted = exchanges.is_some() || !self.reading.selection.is_empty();
        wanted.then(|| Connections {
            exchanges,
            ..Connections::default()
        })
    }

    /// `-w -`: packets go to standard output.
    fn saves_to_stdout(&self) -> bool {
        self.save.as_ref().is_some_and(Save::is_stdout)
    }
}

/// Reads, prints and saves.
fn run(plan: &Plan) -> Result<Exit, Stop> {
    let source = plan.source();
    let selecting = !plan.reading.selection.is_empty();
    let mut driver = Driver::new(&plan.reading)?;
    let selection = &plan.reading.selection;
    let foresight = look_ahead(&mut driver, source, selection)?;
    let mut save = plan.save.clone();
    if let Some(save) = save.as_mut().filter(|save| save.annotate) {
        save.notes = Some(Arc::new(annotate::notes(&mut driver, source)?));
    }
    let selector = selecting.then(|| Selector::new(selection.clone()).with_foresight(foresight));
    let mut job = ReadJob {
        plan,
        save,
        view: View::new(
            selector,
            plan.decoder(),
            plan.print.as_ref(),
            source,
            plan.max_frames,
            plan.connections(),
            plan.export
                .clone()
                .map(|(folder, template)| Export::new(folder, template)),
        ),
        describe: source.describe(plan.print.as_ref().is_some_and(|print| print.link)),
    };
    let outcome = driver.read(source, &mut job)?;
    let shown = job.view.shown;
    if plan.count {
        let line = format!("{shown}\n");
        match plan.saves_to_stdout() {
            true => output::print_error(&line),
            false => output::print(line.as_bytes())?,
        }
    }
    if let Some(export) = &job.view.export {
        complain(&export.summary());
    }
    let kept = memory::report_cut(plan.reading.engine.payload, job.view.unkept);
    let selected = unmatched::report(driver.begin().as_ref());
    let (notes, failed) = closing::notes(&closing::Facts {
        summary: outcome.summary,
        shown,
        selecting,
        stopped: outcome.stopped || !selected,
        expression: plan.reading.expression.as_deref(),
        hidden: outcome.hidden,
        evicted: outcome.evicted.exchanges,
        unsaved: outcome.unsaved,
        quiet: plan.quiet,
        chatty: plan.reading.chatty,
    });
    notes.iter().for_each(|note| complain(note));
    if let Some(counts) = &outcome.counts {
        counts.report(outcome.passed, shown, "shown");
    }
    Ok(Exit::success(outcome.whole && selected && !failed && kept))
}

/// State of reading one capture.
struct ReadJob<'a> {
    plan: &'a Plan,
    /// That of the plan, with comments.
    save: Option<Save>,
    view: View,
    /// Describes the link of a packet.
    describe: Describe,
}

impl Job for ReadJob<'_> {
    /// Lines are printed as they come.
    fn reports(&self) -> bool {
        false
    }

    type Sink = View;

    fn sink(&mut self) -> &mut View {
        &mut self.view
    }

    fn needs_facts(&self) -> bool {
        let plan = self.plan;
        plan.print.is_some() || plan.count || plan.max_frames.is_some() || plan.export.is_some()
    }

    fn rotation(&self) -> Rotation {
        Rotation::New
    }

    fn saving(&self) -> Option<(&Save, Select)> {
        let save = self.save.as_ref()?;
        let select = match self.plan.reading.selection.is_empty() {
            _ if save.exchanges => Select::Exchanges,
            true => Select::All,
            false => Select::Some,
        };
        Some((save, select))
    }

    fn connections(&mut self) -> Option<&mut Connections> {
        self.view.connections.as_mut()
    }

    fn may_begin(&mut self) -> Result<(), String> {
        self.view.export.as_mut().map_or(Ok(()), Export::begin)
    }

    fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        if let Some(packet) = packet {
            self.view.packet(packet.time);
        }
        let describe = &mut self.describe;
        self.view
            .link_header(|| packet.map_or_else(String::new, describe));
    }

    fn settle(&mut self) -> Result<(), Stop> {
        self.view.settle()
    }

    fn flush(&mut self) -> Result<(), Stop> {
        self.view.flush()
    }

    fn is_done(&self) -> bool {
        self.view.is_full()
    }

    fn writes_to_stdout(&self) -> bool {
        let prints = self.plan.print.as_ref().is_some_and(|it| !it.to_stderr);
        self.plan.saves_to_stdout() || prints
    }
}

/// `--export` and `--export-name`.
fn export(typed: &Saving) -> Result<Option<(PathBuf, Template)>, String> {
    let Some(folder) = typed.export.clone() else {
        return Ok(None);
    };
    let template = match &typed.export_name {
        Some(name) => Template::parse(name).map_err(|why| format!("--export-name: {why}"))?,
        None => Template::default(),
    };
    Ok(Some((folder, template)))
}

/// `mqttdump f.pcap`: a file, as the only word, that is no BPF expression.
fn file_alone(args: &ReadArgs, around: &Surroundings<'_>) -> Option<PathBuf> {
    let [word] = &args.expression[..] else {
        return None;
    };
    let is_alone = args.input.read.is_empty() && args.live.interface.is_empty();
    let is_expression = word.to_str().is_some_and(is_primitive);
    let file = Path::new(word);
    (is_alone && !is_expression && (around.is_file)(file)).then(|| file.to_owned())
}

/// Rejects `mqttdump -r *.pcap`: files in place of a BPF expression, which
/// libpcap would report as a syntax error.
fn refuse_files_in_the_expression(
    args: &ReadArgs,
    around: &Surroundings<'_>,
) -> Result<(), String> {
    let Some(first) = args.expression.first() else {
        return Ok(());
    };
    // BPF expressions do not start with a word that contains a dot or a slash.
    let is_name = first.to_string_lossy().contains(['.', '/']);
    if !is_name || !(around.is_file)(Path::new(first)) {
        return Ok(());
    }
    let first = Path::new(first).display();
    Err(match args.input.read.is_empty() {
        true => format!("'{first}' is a file: did you mean -r {first}?"),
        false => format!("'{first}' is a file: give each file its own -r (-r A -r B)"),
    })
}

fn words(expression: &[OsString]) -> Result<String, String> {
    let words: Option<Vec<&str>> = expression.iter().map(|word| word.to_str()).collect();
    words
        .map(|words| words.join(" "))
        .ok_or_else(|| "expected a BPF expression in UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::Entry;
    use clap::FromArgMatches;
    use mqttdump::engine::Decode;
    use mqttdump::mqtt::PacketType;

    const PIPES: Surroundings<'_> = Surroundings {
        stdin: Stdin::Pipe,
        stdout_terminal: false,
        stderr_terminal: false,
        columns: None,
        colour: false,
        is_file: &|path| path.as_os_str() == "x.pcap" || path.as_os_str() == "tcp",
    };
    const TERMINAL: Surroundings<'_> = Surroundings {
        stdin: Stdin::Nothing,
        stdout_terminal: true,
        stderr_terminal: true,
        columns: Some(80),
        colour: true,
        ..PIPES
    };

    fn args(line: &str) -> Result<ReadArgs, String> {
        let words = std::iter::once("mqttdump").chain(line.split_whitespace());
        Entry::of::<ReadArgs>()
            .define()
            .try_get_matches_from(words)
            .and_then(|matches| ReadArgs::from_arg_matches(&matches))
            .map_err(|error| error.to_string())
    }

    fn plan_in(line: &str, around: &Surroundings<'_>) -> Plan {
        match Plan::new(args(line).unwrap(), around) {
            Ok(plan) => plan,
            Err(message) => panic!("{line}: {message}"),
        }
    }

    fn plan(line: &str) -> Plan {
        plan_in(line, &PIPES)
    }

    fn refusal(line: &str, around: &Surroundings<'_>) -> String {
        match Plan::new(args(line).unwrap(), around) {
            Err(message) => message,
            Ok(_) => panic!("{line} was not refused"),
        }
    }

    #[test]
    fn standard_input_is_read_when_it_is_piped() {
        assert_eq!(plan("tcp port 1883").source().paths(), [PathBuf::from("-")]);
        assert!(refusal("tcp port 1883", &TERMINAL).contains("nothing to read"));
        assert!(refusal("x1.pcap", &TERMINAL).contains("no file 'x1.pcap'"));
        assert!(refusal("-r - -r -", &PIPES).contains("only once"));
        assert!(refusal("-r - -F -", &PIPES).contains("standard input"));
    }

    #[test]
    fn a_file_alone_is_read() {
        assert_eq!(
            plan("x.pcap -q").source().paths(),
            [PathBuf::from("x.pcap")]
        );
        let message = refusal("x.pcap tcp port 1883", &PIPES);
        assert!(message.contains("did you mean -r x.pcap?"), "{message}");
        assert!(refusal("-r a x.pcap", &PIPES).contains("its own -r"));
        // A file named like a BPF primitive is no obstacle.
        let expression = |line| plan(line).reading.expression;
        assert_eq!(expression("tcp"), Some("tcp".into()));
        assert_eq!(expression("-r a tcp"), Some("tcp".into()));
    }

    #[cfg(not(feature = "live"))]
    #[test]
    fn without_live_capture_it_says_how_to_get_it() {
        for line in ["-i eth0", "-ni any tcp port 1883"] {
            let message = refusal(line, &TERMINAL);
            assert!(message.contains("feature 'live'"), "{line}: {message}");
            assert!(message.contains("mqttdump -l -r -"), "{line}: {message}");
        }
    }

    #[test]
    fn bodies_are_kept_only_for_those_who_print_them() {
        assert_eq!(plan("-r f").reading.engine.payload, 4096);
        assert_eq!(plan("-r f --payload 7").reading.engine.payload, 7);
        for line in ["-r f -q", "-r f --count"] {
            assert_eq!(plan(line).reading.engine.payload, 0, "{line}");
        }
        assert_eq!(plan("-r f -w out --print").reading.engine.payload, 4096);
    }

    #[test]
    fn saving_prints_only_when_asked() {
        assert!(plan("-r f -w out").print.is_none());
        assert!(plan("-r f --count").print.is_none());
        let print = plan("-r f -w out --print").print.unwrap();
        assert!(!print.to_stderr);
        assert!(plan("-r f -w - --print").print.unwrap().to_stderr);
    }

    #[test]
    fn rotation_needs_a_file_and_a_reason() {
        let save = plan("-r f -w o -C 1k -G 5 -W 3 -z gzip -U").save.unwrap();
        let rotation = save.rotation;
        assert_eq!(
            (rotation.bytes, rotation.seconds, rotation.count),
            (Some(1024), Some(5), Some(3))
        );
        assert!(save.packet_buffered);
        for line in ["-r f -w - -C 1", "-r f -w - -G 1", "-r f -w - -z gzip"] {
            assert!(
                refusal(line, &PIPES).contains("-w - is one stream"),
                "{line}"
            );
        }
        assert!(refusal("-r f -w o -W 3", &PIPES).contains("-C or -G"));
    }

    #[test]
    fn terminals() {
        let print = plan_in("-r f", &TERMINAL).print.unwrap();
        assert!(print.colour && print.line_buffered);
        assert_eq!(print.width, Some(80));
        let print = plan("-r f").print.unwrap();
        assert!(!print.colour && !print.line_buffered);
        assert_eq!(print.width, None);
        let plain = Surroundings {
            colour: false,
            ..TERMINAL
        };
        assert!(!plan_in("-r f", &plain).print.unwrap().colour);
        assert!(plan_in("-r f --color always", &plain).print.unwrap().colour);
        assert!(
            !plan_in("-r f --color never", &TERMINAL)
                .print
                .unwrap()
                .colour
        );
    }

    #[test]
    fn the_rest_of_the_plan() {
        let plan = plan("-r f --decode 1884=mqtt --only-known-ports --qos 2 -ttttt -# -vvv");
        assert_eq!(
            plan.reading
                .engine
                .ports
                .keys()
                .copied()
                .collect::<Vec<_>>(),
            [1883, 1884, 8883]
        );
        assert!(plan.reading.engine.only_known_ports);
        assert_eq!(plan.reading.selection.qos, [2]);
        let print = plan.print.unwrap();
        assert_eq!((print.time, print.number, print.detail), (5, true, 2));
        assert!(refusal("-r f -tttttt", &PIPES).contains("-ttttt"));
        assert!(refusal("-r f --topic a/#/b", &PIPES).contains("topic filter"));
    }

    #[test]
    fn tcpdump_habits() {
        let typed = args("-nr f.pcap -c 5 host 10.0.0.1 and tcp port 1883").unwrap();
        assert_eq!(typed.input.read, [PathBuf::from("f.pcap")]);
        assert_eq!((typed.packets.numeric, typed.packets.max), (1, Some(5)));
        assert_eq!(
            words(&typed.expression).unwrap(),
            "host 10.0.0.1 and tcp port 1883"
        );

        let typed = args("-ttttnnr f.pcap").unwrap();
        assert_eq!((typed.lines.time, typed.packets.numeric), (4, 2));
        assert_eq!(typed.input.read, [PathBuf::from("f.pcap")]);

        assert_eq!(args("-r f -vvv").unwrap().lines.verbose, 3);
        assert_eq!(
            args("-s 0 -r f -s0 -n -nn").unwrap().live.snapshot_length,
            Some(0)
        );
        assert_eq!(
            args("-r f -v -s 0 -A tcp port 1883").unwrap().lines.verbose,
            1
        );
        assert!(args("-# -r f").unwrap().lines.number);
        assert!(args("--number -r f").unwrap().lines.number);
        assert_eq!(args("-rf.pcap -XX").unwrap().lines.hex_ascii, 2);
        assert_eq!(args("-r -").unwrap().input.read, [PathBuf::from("-")]);
        assert!(args("-lr -").unwrap().output.line_buffered);
        assert_eq!(
            args("-r f -w - -U").unwrap().saving.write,
            Some(PathBuf::from("-"))
        );
    }

    #[test]
    fn options_may_follow_the_expression() {
        let typed = args("host ::1 and ( port 1883 or port 1884 ) -r f -q not vlan").unwrap();
        assert_eq!(
            words(&typed.expression).unwrap(),
            "host ::1 and ( port 1883 or port 1884 ) not vlan"
        );
        assert!(typed.lines.quiet);
        // A word that begins with a minus sign comes after `--`.
        let typed = args("-r f -- tcp[0] > -1").unwrap();
        assert_eq!(words(&typed.expression).unwrap(), "tcp[0] > -1");
    }

    #[test]
    fn selections() {
        let typed = args(
            "-r f --type connect,ConnAck --type PUBLISH --qos 1,2 --topic a/# --topic b \
             --connection 3 --client x",
        )
        .unwrap();
        assert_eq!(
            typed.selecting.types,
            [
                PacketType::Connect,
                PacketType::Connack,
                PacketType::Publish
            ]
        );
        assert_eq!(typed.selecting.qos, [1, 2]);
        assert_eq!(typed.selecting.topic, ["a/#", "b"]);
        assert_eq!(typed.selecting.connections.connection, [3]);
        let size = |typed| {
            args(&format!("-r f -w o -C {typed}"))
                .unwrap()
                .saving
                .file_size
        };
        assert_eq!(size("2"), Some(2_000_000));
        assert_eq!(size("2k"), Some(2048));
        assert_eq!(size("3M"), Some(3 << 20));
        assert_eq!(size("1g"), Some(1 << 30));
        let typed = args("-r f -w %H -G 60 -W 5 -z gzip -U --print").unwrap();
        assert_eq!(
            (typed.saving.file_seconds, typed.saving.file_count),
            (Some(60), Some(5))
        );
        assert_eq!(typed.saving.command, Some("gzip".into()));
        // A client identifier may contain a comma.
        assert_eq!(
            args("-r f --client a,b")
                .unwrap()
                .selecting
                .connections
                .client,
            ["a,b"]
        );
    }

    #[test]
    fn values() {
        assert_eq!(
            args("--decode 1884=mqtt -r f").unwrap().input.decode,
            [(1884, Decode::Mqtt)]
        );
        assert_eq!(args("-r f").unwrap().lines.payload, None);
        assert_eq!(
            args("-r f --payload all").unwrap().lines.payload,
            Some(u32::MAX)
        );
        assert!(
            args("-r f --colour=always")
                .unwrap()
                .output
                .color
                .is_on(false)
        );
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "-r f -c 0",
            "-r f -c x",
            "-r f --frames 0",
            "-r f --qos 4",
            "-r f --type PUBLSH",
            "-r f --decode 1884",
            "-r f --decode 0=mqtt",
            "-r f --decode 443=quic",
            "-r f --decode x=mqtt",
            "-r f --payload many",
            "-r f --format xml",
            "-r f --connection 0",
            "-r f -F filter tcp",
            "-r f -C 1",
            "-r f -w o -C 0",
            "-r f -w o -C 0k",
            "-r f -w o -C 1.5",
            "-r f -w o -C -1",
            "-r f -w o -C k",
            "-r f -w o -C 99999999999999999g",
            "-r f -w o -G 0",
            "-r f -w o -W 0",
            "-r f -z gzip",
            "-r f --nonsense",
            "-r",
        ] {
            assert!(args(line).is_err(), "{line}");
        }
    }
}

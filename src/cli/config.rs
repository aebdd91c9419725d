//! What the words that were typed mean together.
//!
//! [`Args`] says `-w x --print -tt`; a [`Plan`] says where packets come from,
//! what is kept of them, and where it goes. Everything that can be refused
//! without reading a packet is refused here, with one message that says what
//! to type instead. What the surroundings look like (terminals, files) comes
//! in as [`Surroundings`], so that the tests need none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use mqttdump::engine;
use mqttdump::mqtt::topic::TopicFilter;
use mqttdump::report::{Format, TEXT};
use mqttdump::select::Selection;

use super::args::{Args, Generate, When};
use super::check::CheckPlan;
use super::keylog::KeyLogPlan;
use super::overhead::OverheadPlan;
use super::save::Rotation;
use super::source::Source;
use super::view;
use super::watch::WatchPlan;

/// What to do.
pub(crate) enum Task {
    /// Write the manual page or completions.
    Generate(Generate),
    /// Read a capture.
    Read(Box<Plan>),
    /// Judge captures.
    Check(Box<CheckPlan>),
    /// Count captures.
    Overhead(Box<OverheadPlan>),
    /// List interfaces.
    Interfaces,
    /// Tell what rules say.
    Explain(Vec<String>),
}

/// How to read a capture, and what for.
pub(crate) struct Plan {
    /// The capture.
    pub(crate) source: Source,
    /// Where keys to TLS are to be had.
    pub(crate) keys: KeyLogPlan,
    /// Which packets are read.
    pub(crate) expression: Expression,
    /// Stop after this many packets that passed the expression.
    pub(crate) max_packets: Option<u64>,
    /// Stop after this many frames that were selected.
    pub(crate) max_frames: Option<u64>,
    /// How the engine reads.
    pub(crate) engine: engine::Config,
    /// Which frames are wanted.
    pub(crate) selection: Selection,
    /// How to print; `None` with `-w` alone and with `--count`.
    pub(crate) print: Option<Print>,
    /// Print the number of frames at the end.
    pub(crate) count: bool,
    /// Where to save packets.
    pub(crate) save: Option<Save>,
    /// Say no more than is asked for (`-q`).
    pub(crate) quiet: bool,
    /// Say more on standard error (`-v`).
    pub(crate) chatty: bool,
    /// Show a progress bar on standard error.
    pub(crate) progress: bool,
    /// What to do besides.
    pub(crate) watch: WatchPlan,
}

/// A BPF expression, or where it is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// None: every packet.
    All,
    /// As typed.
    Text(String),
    /// In a file; `-` is standard input.
    File(PathBuf),
}

impl Expression {
    /// The one of `--filter` or `-F`, which is how commands are given it.
    pub(crate) fn of_command(args: &Args) -> Self {
        match (&args.filter, &args.filter_file) {
            (Some(text), _) => Self::Text(text.clone()),
            (None, Some(path)) => Self::File(path.clone()),
            (None, None) => Self::All,
        }
    }
}

/// How to print.
pub(crate) struct Print {
    /// The format.
    pub(crate) format: &'static Format,
    /// Whether to print events at all: not with `-q`.
    pub(crate) events: bool,
    /// `MQTTFrame { … }` alone.
    pub(crate) quiet: bool,
    /// 0 to 2: how much of each frame.
    pub(crate) detail: u8,
    /// Bytes as text.
    pub(crate) ascii: bool,
    /// Bytes in hexadecimal.
    pub(crate) hex: bool,
    /// Bytes in hexadecimal and as text.
    pub(crate) hex_ascii: bool,
    /// Link-layer facts: `-e`.
    pub(crate) link: bool,
    /// 0 to 5: how many `-t`.
    pub(crate) time: u8,
    /// A number before each line.
    pub(crate) number: bool,
    /// Nanoseconds instead of microseconds.
    pub(crate) nanoseconds: bool,
    pub(crate) absolute: bool,
    /// Passwords in clear.
    pub(crate) secrets: bool,
    /// Terminal colours.
    pub(crate) colour: bool,
    /// Columns of the terminal, if lines go to one.
    pub(crate) width: Option<usize>,
    /// Write each line as soon as it is complete.
    pub(crate) line_buffered: bool,
    /// Lines go to standard error, because `-w -` has standard output.
    pub(crate) to_stderr: bool,
}

/// Where to save packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Save {
    /// The file; `-` is standard output.
    pub(crate) path: PathBuf,
    /// Write each packet at once.
    pub(crate) packet_buffered: bool,
    /// When the next file begins.
    pub(crate) rotation: Rotation,
    /// What to run for each file that is complete.
    pub(crate) command: Option<OsString>,
}

impl Save {
    fn new(args: &Args) -> Result<Option<Self>, String> {
        let Some(path) = args.write.clone() else {
            return Ok(None);
        };
        let rotation = Rotation {
            bytes: args.file_size,
            seconds: args.file_seconds,
            count: args.file_count,
        };
        if path.as_os_str() == "-" && (rotation.is_any() || args.command.is_some()) {
            return Err(
                "-w - is one stream: -C, -G and -z need the name of a file, such as -w out.pcap"
                    .into(),
            );
        }
        if rotation.count.is_some() && !rotation.is_any() {
            return Err("-W counts the files of -C or -G: give one of them too".into());
        }
        Ok(Some(Self {
            path,
            packet_buffered: args.packet_buffered,
            rotation,
            command: args.command.clone(),
        }))
    }
}

/// What the program finds around it.
pub(crate) struct Surroundings<'a> {
    /// Standard input is a terminal.
    pub(crate) stdin_terminal: bool,
    /// Standard input is a regular file.
    pub(crate) stdin_file: bool,
    /// Standard output is a terminal.
    pub(crate) stdout_terminal: bool,
    /// Standard error is a terminal.
    pub(crate) stderr_terminal: bool,
    /// Columns of the terminal at standard output.
    pub(crate) columns: Option<usize>,
    /// Colour is welcome on standard output: a terminal that can do it, and no
    /// `NO_COLOR`.
    pub(crate) colour: bool,
    /// Whether a path names an existing regular file.
    pub(crate) is_file: &'a dyn Fn(&Path) -> bool,
}

/// Commands of later versions. A BPF expression cannot begin with any of these
/// words, so they are free to become commands.
const RESERVED: [&str; 1] = ["sessions"];

/// What only commands know what to do with.
fn refuse_what_is_for_commands(args: &Args) -> Result<(), String> {
    if view::format(&args.format).is_none() {
        return Err(format!(
            "--format {} is for the command check: mqttdump check FILE...",
            args.format
        ));
    }
    if args.every.is_some() {
        return Err("--every is for the commands check and overhead".into());
    }
    if args.filter.is_some() {
        return Err("--filter is for commands; here the expression stands alone".into());
    }
    Ok(())
}

impl Task {
    /// What the arguments ask for, or the message that says why not.
    pub(crate) fn new(args: Args, around: &Surroundings<'_>) -> Result<Self, String> {
        if let Some(what) = args.generate {
            return Ok(Self::Generate(what));
        }
        refuse_what_is_not_here(&args)?;
        if args.list_interfaces {
            return Ok(Self::Interfaces);
        }
        match args.expression.first().map(String::as_str) {
            Some("check") => return CheckPlan::new(args, around).map(|p| Self::Check(Box::new(p))),
            Some("overhead") => {
                return OverheadPlan::new(&args, around).map(|p| Self::Overhead(Box::new(p)));
            }
            Some("explain") => return Ok(Self::Explain(args.expression[1..].to_vec())),
            _ => refuse_what_is_for_commands(&args)?,
        }
        refuse_files_in_the_expression(&args, around)?;
        if args.time > 5 {
            return Err("expected -t, -tt, -ttt, -tttt or -ttttt, found more of them".into());
        }
        Plan::new(args, around).map(|plan| Self::Read(Box::new(plan)))
    }
}

impl Plan {
    /// Whether standard output is where lines or packets go.
    pub(super) fn writes_to_stdout(&self) -> bool {
        let saved = self
            .save
            .as_ref()
            .is_some_and(|save| save.path.as_os_str() == "-");
        saved || self.print.as_ref().is_some_and(|print| !print.to_stderr)
    }

    fn new(args: Args, around: &Surroundings<'_>) -> Result<Self, String> {
        let expression = match &args.filter_file {
            Some(path) => Expression::File(path.clone()),
            None if args.expression.is_empty() => Expression::All,
            None => Expression::Text(args.expression.join(" ")),
        };
        let (source, expression) = match Source::interface(&args, &expression)? {
            Some(interface) => interface,
            None => (Source::of_reading(&args, around)?, expression),
        };
        if expression == Expression::File("-".into()) && source.paths().contains(&"-".into()) {
            return Err("-F - and -r - cannot both read standard input".into());
        }

        let watch = WatchPlan::new(&args, std::slice::from_ref(&source), around)?;
        let printing = !args.count && (args.write.is_none() || args.print);
        let print = printing.then(|| Print::new(&args, around));
        let mut engine = engine::Config {
            only_known_ports: args.only_known_ports,
            verify_checksums: args.verify_checksums,
            // A body that nobody prints is counted through, not kept.
            payload: match &print {
                Some(print) if !print.quiet => args.payload,
                _ => 0,
            },
            ..engine::Config::default()
        };
        let keys = KeyLogPlan::new(&args);
        engine.expects_keys = keys.is_given();
        engine.ports.extend(args.decode.iter().copied());

        Ok(Self {
            keys,
            expression,
            max_packets: args.packets,
            max_frames: args.frames,
            engine,
            selection: selection(&args)?,
            count: args.count,
            quiet: args.quiet,
            chatty: args.verbose > 0,
            progress: around.stderr_terminal && !around.stdout_terminal && source.is_files(),
            save: Save::new(&args)?,
            source,
            print,
            watch,
        })
    }
}

impl Print {
    fn new(args: &Args, around: &Surroundings<'_>) -> Self {
        let to_stderr = args.write.as_deref() == Some(Path::new("-"));
        let terminal = match to_stderr {
            true => around.stderr_terminal,
            false => around.stdout_terminal,
        };
        Self {
            // The names were checked when they were parsed.
            format: view::format(&args.format).unwrap_or(&TEXT),
            events: !args.quiet,
            quiet: args.quiet,
            detail: args.verbose.min(2),
            ascii: args.ascii,
            hex: args.hex > 0,
            hex_ascii: args.hex_ascii > 0,
            link: args.link_header,
            time: args.time,
            number: args.number,
            nanoseconds: args.nano,
            absolute: args.absolute,
            secrets: args.show_secrets,
            colour: match args.color {
                When::Always => true,
                When::Never => false,
                When::Auto => around.colour && !to_stderr,
            },
            width: around.columns.filter(|_| terminal),
            line_buffered: args.line_buffered || terminal,
            to_stderr,
        }
    }
}

/// Commands and options of later versions.
fn refuse_what_is_not_here(args: &Args) -> Result<(), String> {
    if let Some(word) = args.expression.first()
        && RESERVED.contains(&word.as_str())
    {
        return Err(format!(
            "the command '{word}' is not in this version, which reads and checks: \
             mqttdump -r FILE [BPF EXPRESSION]..."
        ));
    }
    #[cfg(not(feature = "live"))]
    if !args.interface.is_empty() || args.list_interfaces {
        return Err(super::source::HOW_TO_GET_LIVE.into());
    }
    Ok(())
}

/// `mqttdump f.pcap` and `mqttdump -r *.pcap`: a file where a BPF expression is
/// expected. libpcap would call it a syntax error, and nobody would guess.
fn refuse_files_in_the_expression(args: &Args, around: &Surroundings<'_>) -> Result<(), String> {
    let Some(first) = args.expression.first() else {
        return Ok(());
    };
    // No expression begins with a word that has a dot or a slash in it, and
    // none consists of one word that happens to be a file's name here, except
    // for primitives such as `tcp`, which then had better be read as such.
    let plausible = first.contains(['.', '/'])
        || (args.expression.len() == 1 && args.read.is_empty() && !PRIMITIVES.contains(&&**first));
    if !plausible || !(around.is_file)(Path::new(first)) {
        return Ok(());
    }
    Err(match args.read.is_empty() {
        true => format!("'{first}' is a file: did you mean -r {first}?"),
        false => format!("'{first}' is a file: give each file its own -r (-r A -r B)"),
    })
}

/// Words that are a whole BPF expression.
const PRIMITIVES: [&str; 14] = [
    "ip", "ip6", "arp", "rarp", "tcp", "udp", "icmp", "icmp6", "igmp", "sctp", "vlan", "mpls",
    "inbound", "outbound",
];

pub(crate) fn selection(args: &Args) -> Result<Selection, String> {
    let topics = args
        .topic
        .iter()
        .map(|filter| {
            TopicFilter::parse(filter.as_bytes())
                .map_err(|why| format!("--topic {filter:?} is not a topic filter: {why}"))
        })
        .collect::<Result<_, _>>()?;
    Ok(Selection {
        topics,
        clients: args
            .client
            .iter()
            .map(|client| client.as_bytes().into())
            .collect(),
        types: args.types.clone(),
        qos: args.qos.clone(),
        connections: args.connection.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const PIPES: Surroundings<'_> = Surroundings {
        stdin_terminal: false,
        stdin_file: false,
        stdout_terminal: false,
        stderr_terminal: false,
        columns: None,
        colour: false,
        is_file: &|path| path.as_os_str() == "x.pcap" || path.as_os_str() == "tcp",
    };
    const TERMINAL: Surroundings<'_> = Surroundings {
        stdin_terminal: true,
        stdout_terminal: true,
        stderr_terminal: true,
        columns: Some(80),
        colour: true,
        ..PIPES
    };

    fn task(line: &str, around: &Surroundings<'_>) -> Result<Task, String> {
        let words = std::iter::once("mqttdump").chain(line.split_whitespace());
        Task::new(Args::try_parse_from(words).unwrap(), around)
    }

    fn plan_in(line: &str, around: &Surroundings<'_>) -> Plan {
        match task(line, around) {
            Ok(Task::Read(plan)) => *plan,
            Ok(_) => panic!("{line}"),
            Err(message) => panic!("{line}: {message}"),
        }
    }

    fn plan(line: &str) -> Plan {
        plan_in(line, &PIPES)
    }

    fn refusal(line: &str, around: &Surroundings<'_>) -> String {
        match task(line, around) {
            Err(message) => message,
            Ok(_) => panic!("{line} was not refused"),
        }
    }

    #[test]
    fn standard_input_is_read_when_it_is_piped() {
        assert_eq!(plan("tcp port 1883").source.paths(), [PathBuf::from("-")]);
        assert!(refusal("tcp port 1883", &TERMINAL).contains("Usage:"));
        assert!(refusal("-r - -r -", &PIPES).contains("only once"));
        assert!(refusal("-r - -F -", &PIPES).contains("standard input"));
    }

    #[test]
    fn a_forgotten_r_is_recognised() {
        for line in ["x.pcap", "x.pcap tcp port 1883"] {
            let message = refusal(line, &PIPES);
            assert!(message.contains("did you mean -r x.pcap?"), "{message}");
        }
        assert!(refusal("-r a x.pcap", &PIPES).contains("its own -r"));
        // A file that is called as a BPF primitive does not get in the way.
        assert_eq!(plan("tcp").expression, Expression::Text("tcp".into()));
        assert_eq!(plan("-r a tcp").expression, Expression::Text("tcp".into()));
    }

    #[test]
    fn what_later_versions_will_do_is_refused_clearly() {
        for word in RESERVED {
            assert!(refusal(word, &TERMINAL).contains(&format!("'{word}'")));
            assert!(refusal(&format!("-r f {word} x"), &PIPES).contains("not in this version"));
        }
    }

    #[cfg(not(feature = "live"))]
    #[test]
    fn without_live_capture_it_says_how_to_get_it() {
        for line in [
            "-i eth0",
            "-D",
            "-ni any tcp port 1883",
            "check -i lo",
            "overhead -i lo",
        ] {
            let message = refusal(line, &TERMINAL);
            assert!(message.contains("feature 'live'"), "{line}: {message}");
            assert!(message.contains("mqttdump -l -r -"), "{line}: {message}");
        }
    }

    #[test]
    fn bodies_are_kept_only_for_those_who_print_them() {
        assert_eq!(plan("-r f").engine.payload, 4096);
        assert_eq!(plan("-r f --payload 7").engine.payload, 7);
        for line in ["-r f -q", "-r f --count"] {
            assert_eq!(plan(line).engine.payload, 0, "{line}");
        }
        assert_eq!(plan("-r f -w out --print").engine.payload, 4096);
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
        let expected = Rotation {
            bytes: Some(1024),
            seconds: Some(5),
            count: Some(3),
        };
        assert_eq!((save.rotation, save.packet_buffered), (expected, true));
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
            plan.engine.ports.keys().copied().collect::<Vec<_>>(),
            [1883, 1884, 8883]
        );
        assert!(plan.engine.only_known_ports);
        assert_eq!(plan.selection.qos, [2]);
        let print = plan.print.unwrap();
        assert_eq!((print.time, print.number, print.detail), (5, true, 2));
        assert!(refusal("-r f -tttttt", &PIPES).contains("-ttttt"));
        assert!(refusal("-r f --topic a/#/b", &PIPES).contains("topic filter"));
    }
}

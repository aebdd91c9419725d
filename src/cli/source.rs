//! Where the packets of a command come from, opened in one place.
//!
//! ```text
//! -r A -r B, FILE, -   Files   ─┐
//! -r A --follow        Growing ─┤
//! -i IF                Live    ─┴ open → Opened ─ begin → captures
//! ```
//! Between opening and beginning, whatever else needs the rights of the user
//! who typed the command is opened: the file of `-w`, a socket. [`Opened::begin`]
//! then gives these rights up, before the first packet is parsed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mqttdump::capture::{self, Capture};
use mqttdump::link;
use mqttdump::packet::{CapturedPacket, LinkType};

use super::args::Args;
use super::closing::counted;
use super::complain;
use super::config::{Expression, Surroundings};
#[cfg(feature = "live")]
use super::live::{self, Cooked, Heir, Listening, LivePlan};
use super::run::Stop;

/// Where packets come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The parts of one capture; `-` is standard input. Never empty.
    Files(Vec<PathBuf>),
    /// The same, of which the last is still being written (`--follow`).
    Growing(Vec<PathBuf>),
    /// An interface.
    #[cfg(feature = "live")]
    Live(LivePlan),
}

/// Describes the link of a packet.
pub(super) type Describe = Box<dyn FnMut(&CapturedPacket<'_>) -> String>;

/// A source that was opened.
pub(super) struct Opened {
    /// The parts that can be read. None only if there are errors.
    pub(super) captures: Vec<Capture>,
    /// Why others cannot.
    pub(super) errors: Vec<capture::Error>,
    #[cfg(feature = "live")]
    listening: Option<Listening>,
}

impl Source {
    /// The interface that was asked for, and what is left for the gate of the
    /// expression: nothing, for the kernel chooses. `None` without `-i`.
    pub(super) fn interface(
        args: &Args,
        expression: &Expression,
    ) -> Result<Option<(Self, Expression)>, String> {
        refuse_what_is_for_interfaces(args)?;
        let interface = match &args.interface[..] {
            [] => return Ok(None),
            [interface] => interface,
            _ => return Err("-i can be given only once; -i any captures on all".into()),
        };
        #[cfg(feature = "live")]
        {
            let text = super::gate::text(expression)?;
            let live = LivePlan::new(args, interface, text)?;
            Ok(Some((Self::Live(live), Expression::All)))
        }
        #[cfg(not(feature = "live"))]
        {
            let _ = (interface, expression);
            Err(HOW_TO_GET_LIVE.into())
        }
    }

    /// What to read without a command: files, or what is piped in.
    pub(super) fn of_reading(args: &Args, around: &Surroundings<'_>) -> Result<Self, String> {
        if args.follow {
            return Self::growing(&args.read);
        }
        if args.read.is_empty() {
            return match around.stdin_terminal {
                true => Err(SHORT_USAGE.into()),
                false => Ok(Self::Files(vec!["-".into()])),
            };
        }
        one_standard_input(&args.read)?;
        Ok(Self::Files(args.read.clone()))
    }

    /// The captures that a command is given: the interface; else the parts of
    /// `-r` together, each FILE alone, else standard input. With what is left
    /// of the expression.
    pub(super) fn of_command(
        args: &Args,
        around: &Surroundings<'_>,
        command: &str,
        verb: &str,
    ) -> Result<(Vec<Self>, Expression), String> {
        let expression = Expression::of_command(args);
        let files = args.expression.get(1..).unwrap_or_default();
        if let Some((source, expression)) = Self::interface(args, &expression)? {
            return match files {
                [] => Ok((vec![source], expression)),
                [file, ..] => Err(format!(
                    "{command} reads either an interface or files: leave out -i or {file} \
                     (a BPF expression is given with --filter)"
                )),
            };
        }
        let mut captures = Vec::new();
        if !args.read.is_empty() {
            captures.push(args.read.clone());
        }
        captures.extend(files.iter().map(|word| vec![PathBuf::from(word)]));
        if args.follow {
            return match captures.as_slice() {
                [] | [_] => Ok((vec![Self::growing(&captures.concat())?], expression)),
                _ => Err("--follow reads one capture, which has no end: give one FILE".into()),
            };
        }
        if captures.is_empty() {
            if around.stdin_terminal {
                return Err(format!(
                    "nothing to {verb}\nUsage: mqttdump {command} [OPTIONS] FILE..."
                ));
            }
            captures.push(vec!["-".into()]);
        }
        one_standard_input(captures.iter().flatten())?;
        Ok((captures.into_iter().map(Self::Files).collect(), expression))
    }

    fn growing(paths: &[PathBuf]) -> Result<Self, String> {
        match paths {
            [] => Err("--follow needs the file that grows: -r FILE".into()),
            _ if paths.iter().any(|path| path.as_os_str() == "-") => {
                Err("-r - needs no --follow: what a pipe brings is read as it comes".into())
            }
            _ => Ok(Self::Growing(paths.to_vec())),
        }
    }

    /// Paths of the parts; none of an interface.
    pub(super) fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Files(paths) | Self::Growing(paths) => paths,
            #[cfg(feature = "live")]
            Self::Live(_) => &[],
        }
    }

    /// Names of the parts.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Files(paths) | Self::Growing(paths) => paths
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            #[cfg(feature = "live")]
            Self::Live(live) => vec![live.options.interface.clone()],
        }
    }

    /// What messages call it.
    pub(super) fn name(&self) -> String {
        match self.paths() {
            [path, ..] if path.as_os_str() == "-" => "standard input".to_owned(),
            _ => self.names().into_iter().next().unwrap_or_default(),
        }
    }

    /// It has an end that is known, so that progress can be shown, and it can
    /// be read again.
    pub(super) fn is_files(&self) -> bool {
        match self {
            Self::Files(paths) => paths.iter().all(|path| path.as_os_str() != "-"),
            _ => false,
        }
    }

    /// Packets come as they happen, so that the clock tells their time.
    pub(super) fn is_live(&self) -> bool {
        match self {
            Self::Files(_) | Self::Growing(_) => false,
            #[cfg(feature = "live")]
            Self::Live(_) => true,
        }
    }

    /// It ends only when it is told to.
    pub(super) fn is_endless(&self) -> bool {
        !matches!(self, Self::Files(_))
    }

    /// How to describe the link of a packet, with the `whole` header or only
    /// with what is always worth saying.
    pub(super) fn describe(&self, whole: bool) -> Describe {
        match self {
            Self::Files(_) | Self::Growing(_) if whole => Box::new(link::describe),
            Self::Files(_) | Self::Growing(_) => Box::new(|_| String::new()),
            #[cfg(feature = "live")]
            Self::Live(_) => {
                let mut cooked = Cooked::new(whole);
                Box::new(move |packet| cooked.describe(packet))
            }
        }
    }

    /// Whether packets come from several interfaces, so that each has to say
    /// from which.
    pub(super) fn is_any(&self) -> bool {
        match self {
            Self::Files(_) | Self::Growing(_) => false,
            #[cfg(feature = "live")]
            Self::Live(live) => live.options.interface == "any",
        }
    }

    /// It goes on until somebody ends it.
    pub(super) fn is_growing(&self) -> bool {
        match self {
            Self::Files(_) => false,
            Self::Growing(_) => true,
            #[cfg(feature = "live")]
            Self::Live(_) => true,
        }
    }

    /// It is, or has, what is at standard input.
    pub(super) fn is_piped(&self) -> bool {
        self.paths().iter().any(|path| path.as_os_str() == "-")
    }

    /// Opens it.
    pub(super) fn open(&self) -> Result<Opened, Stop> {
        match self {
            Self::Files(paths) => Ok(open_files(paths, None)),
            Self::Growing(paths) => {
                let stop = super::signals::stop().map_err(Stop::Failed)?;
                Ok(open_files(paths, Some(&stop)))
            }
            #[cfg(feature = "live")]
            Self::Live(live) => {
                let (capture, listening) = live.open()?;
                Ok(Opened {
                    captures: vec![capture],
                    errors: Vec::new(),
                    listening: Some(listening),
                })
            }
        }
    }
}

/// `follow`: the last one grows, until this is set.
fn open_files(paths: &[PathBuf], follow: Option<&Arc<AtomicBool>>) -> Opened {
    let mut opened = Opened {
        captures: Vec::new(),
        errors: Vec::new(),
        #[cfg(feature = "live")]
        listening: None,
    };
    for (file, path) in (0..).zip(paths) {
        let is_last = paths.last().is_some_and(|last| std::ptr::eq(last, path));
        let capture = match follow {
            Some(stop) if is_last => Capture::follow(path, file, Arc::clone(stop)),
            _ => Capture::open(path, file),
        };
        match capture {
            Ok(capture) => opened.captures.push(capture),
            Err(error) => opened.errors.push(error),
        }
    }
    opened
}

fn one_standard_input<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), String> {
    let pipes = paths.into_iter().filter(|path| *path == Path::new("-"));
    match pipes.count() {
        0 | 1 => Ok(()),
        _ => Err("- can be given only once: there is one standard input".into()),
    }
}

impl Opened {
    /// The link types that are known before the first packet.
    pub(super) fn link_types(&self) -> Vec<LinkType> {
        let mut link_types: Vec<_> = self
            .captures
            .iter()
            .filter_map(|capture| Some(capture.interface()?.link_type))
            .collect();
        link_types.sort_unstable_by_key(|link_type| link_type.0);
        link_types.dedup();
        link_types
    }

    /// Everything else is open: gives up what rights there are, makes sure that
    /// what has to be done later can `still` be done without them, and says
    /// that it listens. Of files, there is nothing to do.
    pub(super) fn begin(&self, still: impl FnOnce() -> Result<(), String>) -> Result<(), Stop> {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return listening.begin(still).map_err(Stop::Failed);
        }
        let _ = still;
        Ok(())
    }

    /// To whom files have to belong that are created before [`Opened::begin`]
    /// and written after it; `None` if to nobody else.
    #[cfg(feature = "live")]
    pub(super) fn heir(&self) -> Option<&Heir> {
        self.listening.as_ref()?.heir()
    }

    /// Whether somebody has asked for the counts since the last time.
    pub(super) fn wants_counts(&self) -> bool {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return listening.wants_counts();
        }
        false
    }

    /// What was counted so far; `None` of files.
    pub(super) fn counts(&self) -> Option<Counts> {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return Some(listening.counts());
        }
        None
    }

    /// The same, for looking at while it is read.
    #[cfg(feature = "metrics")]
    pub(super) fn counter(&self) -> Option<Box<dyn Fn() -> Counts>> {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return Some(listening.counter());
        }
        None
    }
}

/// Whether whoever reads standard output has gone; known only where the feature
/// `live` is.
pub(super) fn reader_is_gone() -> bool {
    #[cfg(feature = "live")]
    return live::reader_is_gone();
    #[cfg(not(feature = "live"))]
    false
}

/// Options that would change nothing, or not what their user thinks.
fn refuse_what_is_for_interfaces(args: &Args) -> Result<(), String> {
    if !args.interface.is_empty() {
        return Ok(());
    }
    // Habits such as -s 0 do no harm.
    for (given, option) in [
        (args.direction.is_some(), "-Q"),
        (args.link_type.is_some(), "-y"),
        (args.user.is_some(), "-Z"),
        (args.no_promiscuous, "-p"),
    ] {
        if given {
            return Err(format!(
                "{option} is for capturing from an interface: -i IF"
            ));
        }
    }
    Ok(())
}

/// Packets that were not captured.
pub(super) struct Counts {
    /// For want of room in the kernel.
    pub(super) dropped: u64,
    /// By the interface or its driver.
    pub(super) dropped_by_interface: u64,
}

impl Counts {
    /// At the end, as tcpdump does: so many packets were captured, so many
    /// messages `done` with them.
    pub(super) fn say(&self, captured: u64, messages: u64, done: &str) {
        for (count, what, how) in [
            (captured, "packet", "captured"),
            (messages, "message", done),
            (self.dropped, "packet", "dropped by kernel"),
            (self.dropped_by_interface, "packet", "dropped by interface"),
        ] {
            complain(&format!("{} {how}", counted(count, what)));
        }
    }

    /// In between, as tcpdump does on SIGUSR1.
    pub(super) fn in_short(&self, captured: u64) -> String {
        format!(
            "{} captured, {} dropped by kernel, {} dropped by interface",
            counted(captured, "packet"),
            counted(self.dropped, "packet"),
            counted(self.dropped_by_interface, "packet")
        )
    }
}

const SHORT_USAGE: &str = "\
nothing to read
Usage: mqttdump [OPTIONS] -r FILE [BPF EXPRESSION]...
       mqttdump [OPTIONS] -i IF [BPF EXPRESSION]...
       mqttdump -r capture.pcap
       ssh host tcpdump -U -w - | mqttdump -l -r -
For more, try --help.";

/// What `-i` and `-D` answer in a program that cannot.
#[cfg(not(feature = "live"))]
pub(super) const HOW_TO_GET_LIVE: &str = "this program was built without live capture: \
     build it with the feature 'live', or pipe it in: \
     tcpdump -i IF -U -s 0 -w - tcp port 1883 | mqttdump -l -r -";

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

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mqttdump::capture::{self, Capture};
use mqttdump::link;
use mqttdump::packet::{CapturedPacket, LinkType};

use super::args::{Input, Live};
use super::counts::Counts;
use super::gate::Expression;
#[cfg(feature = "live")]
use super::live::{self, Cooked, Heir, Listening, LivePlan};
use super::stop::Stop;

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
pub(crate) type Describe = Box<dyn FnMut(&CapturedPacket<'_>) -> String>;

/// A source that was opened.
pub(crate) struct Opened {
    /// The parts that can be read. None only if there are errors.
    pub(crate) captures: Vec<Capture>,
    /// Why others cannot.
    pub(crate) errors: Vec<capture::Error>,
    #[cfg(feature = "live")]
    listening: Option<Listening>,
}

impl Source {
    /// The interface that was asked for, and what remains of the expression:
    /// nothing, for the kernel filters. `None` without `-i`.
    pub(crate) fn interface(
        input: &Input,
        live: &Live,
        expression: &Expression,
    ) -> Result<Option<(Self, Option<String>)>, String> {
        refuse_options_of_interfaces(live)?;
        let interface = match &live.interface[..] {
            [] => return Ok(None),
            [interface] => interface,
            _ => return Err("-i can be given only once; -i any captures on all".into()),
        };
        #[cfg(feature = "live")]
        {
            let ports = input.decode.iter().map(|(port, _)| *port);
            let plan = LivePlan::new(live, interface, expression.text()?, ports)?;
            Ok(Some((Self::Live(plan), None)))
        }
        #[cfg(not(feature = "live"))]
        {
            let _ = (input, interface, expression);
            Err(HOW_TO_GET_LIVE.into())
        }
    }

    /// Whether it is there to be read again: regular files.
    pub(crate) fn can_be_read_twice(&self) -> bool {
        match self {
            Self::Files(paths) => paths
                .iter()
                .all(|path| std::fs::metadata(path).is_ok_and(|it| it.is_file())),
            _ => false,
        }
    }

    /// Files of which the last is still being written.
    pub(crate) fn growing(paths: &[PathBuf]) -> Result<Self, String> {
        match paths {
            [] => Err("--follow needs the file that grows: -r FILE".into()),
            _ if paths.iter().any(|path| path.as_os_str() == "-") => {
                Err("-r - needs no --follow: what a pipe brings is read as it comes".into())
            }
            _ => Ok(Self::Growing(paths.to_vec())),
        }
    }

    /// Paths of the parts; none of an interface.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Files(paths) | Self::Growing(paths) => paths,
            #[cfg(feature = "live")]
            Self::Live(_) => &[],
        }
    }

    /// Names of the parts.
    pub(crate) fn names(&self) -> Vec<String> {
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
    pub(crate) fn name(&self) -> String {
        match self.paths() {
            [path, ..] if path.as_os_str() == "-" => "standard input".to_owned(),
            _ => self.names().into_iter().next().unwrap_or_default(),
        }
    }

    /// It has an end that is known, so that progress can be shown, and it can
    /// be read again.
    pub(crate) fn is_files(&self) -> bool {
        match self {
            Self::Files(paths) => paths.iter().all(|path| path.as_os_str() != "-"),
            _ => false,
        }
    }

    /// Packets come as they happen, so that the clock tells their time.
    pub(crate) fn is_live(&self) -> bool {
        match self {
            Self::Files(_) | Self::Growing(_) => false,
            #[cfg(feature = "live")]
            Self::Live(_) => true,
        }
    }

    /// It ends only when it is told to.
    pub(crate) fn is_endless(&self) -> bool {
        !matches!(self, Self::Files(_))
    }

    /// How to describe the link of a packet, with the `whole` header or only
    /// with what is always worth saying.
    pub(crate) fn describe(&self, whole: bool) -> Describe {
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
    pub(crate) fn is_any(&self) -> bool {
        match self {
            Self::Files(_) | Self::Growing(_) => false,
            #[cfg(feature = "live")]
            Self::Live(live) => live.options.interface == "any",
        }
    }

    /// It goes on until somebody ends it.
    pub(crate) fn is_growing(&self) -> bool {
        match self {
            Self::Files(_) => false,
            Self::Growing(_) => true,
            #[cfg(feature = "live")]
            Self::Live(_) => true,
        }
    }

    /// It is, or has, what is at standard input.
    pub(crate) fn is_piped(&self) -> bool {
        self.paths().iter().any(|path| path.as_os_str() == "-")
    }

    /// Opens it.
    pub(crate) fn open(&self) -> Result<Opened, Stop> {
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

impl Opened {
    /// The link types that are known before the first packet.
    pub(crate) fn link_types(&self) -> Vec<LinkType> {
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
    /// that it listens.
    pub(crate) fn begin(&self, still: impl FnOnce() -> Result<(), String>) -> Result<(), Stop> {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return listening.begin(still).map_err(Stop::Failed);
        }
        still().map_err(Stop::Failed)
    }

    /// To whom files have to belong that are created before [`Opened::begin`]
    /// and written after it; `None` if to nobody else.
    #[cfg(feature = "live")]
    pub(crate) fn heir(&self) -> Option<&Heir> {
        self.listening.as_ref()?.heir()
    }

    /// Whether somebody has asked for the counts since the last time.
    pub(crate) fn wants_counts(&self) -> bool {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return listening.wants_counts();
        }
        false
    }

    /// What was counted so far; `None` of files.
    pub(crate) fn counts(&self) -> Option<Counts> {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return Some(listening.counts());
        }
        None
    }

    /// The same, for looking at while it is read.
    #[cfg(feature = "metrics")]
    pub(crate) fn counter(&self) -> Option<Box<dyn Fn() -> Counts>> {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return Some(listening.counter());
        }
        None
    }
}

/// Whether whoever reads standard output has gone; known only where the feature
/// `live` is.
pub(crate) fn reader_is_gone() -> bool {
    #[cfg(feature = "live")]
    return live::reader_is_gone();
    #[cfg(not(feature = "live"))]
    false
}

/// Options without effect on files, except for habits such as -s 0.
fn refuse_options_of_interfaces(live: &Live) -> Result<(), String> {
    if !live.interface.is_empty() {
        return Ok(());
    }
    for (given, option) in [
        (live.direction.is_some(), "-Q"),
        (live.link_type.is_some(), "-y"),
        (live.user.is_some(), "-Z"),
        (live.no_promiscuous, "-p"),
    ] {
        if given {
            return Err(format!(
                "{option} is for capturing from an interface: -i IF"
            ));
        }
    }
    Ok(())
}

/// What `-i` and `-D` answer in a program that cannot.
#[cfg(not(feature = "live"))]
pub(crate) const HOW_TO_GET_LIVE: &str = "this program was built without live capture: \
     build it with the feature 'live', or pipe it in: \
     tcpdump -i IF -U -s 0 -w - tcp port 1883 | mqttdump -l -r -";

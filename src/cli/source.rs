//! Opens the sources of packets: files, pipes and interfaces.
//!
//! ```text
//! -r A -r B, FILE, -   Files   ─┐
//! -r A --follow        Growing ─┤
//! -i IF                Live    ─┴ open → Opened ─ begin → captures
//! ```
//! Everything else that needs the caller's privileges is opened between `open`
//! and `begin`: the file of `-w`, a socket. [`Opened::begin`] then drops
//! privileges, before the first packet is parsed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mqttdump::capture::{self, Capture};
use mqttdump::link;
use mqttdump::packet::{CapturedPacket, LinkType};

use super::args::{Input, Live};
use super::counts::Counts;
use super::gate::Expression;
#[cfg(feature = "live")]
use super::live::{self, Cooked, Listening, LivePlan, TargetUser};
use super::records;
use super::stop::Stop;

/// Where packets come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The parts of one capture; `-` is standard input. Never empty.
    Files(Vec<PathBuf>),
    /// The same, but the last file is still being written (`--follow`).
    Growing(Vec<PathBuf>),
    /// What `check --facts-out` has written of the shards of one capture.
    Facts(Vec<PathBuf>),
    /// An interface.
    #[cfg(feature = "live")]
    Live(LivePlan),
}

/// A function that describes the link of a packet.
pub(crate) type Describe = Box<dyn FnMut(&CapturedPacket<'_>) -> String>;

/// An opened source.
pub(crate) struct Opened {
    /// The readable parts. Empty only if there are errors.
    pub(crate) captures: Vec<Capture>,
    /// Errors of the others.
    pub(crate) errors: Vec<capture::Error>,
    #[cfg(feature = "live")]
    listening: Option<Listening>,
}

impl Source {
    /// The interface of `-i`; `None` without `-i`. Takes the expression, because the
    /// kernel filters.
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

    /// Whether it can be read twice: regular files. That there is no such file is
    /// reported when it is opened.
    pub(crate) fn can_be_read_twice(&self) -> bool {
        let is_regular = |path: &PathBuf| {
            path.as_os_str() != "-"
                && std::fs::metadata(path).map_or(true, |metadata| metadata.is_file())
        };
        match self {
            Self::Files(paths) => paths.iter().all(is_regular),
            _ => false,
        }
    }

    /// Files of which the last is still being written.
    pub(crate) fn growing(paths: &[PathBuf]) -> Result<Self, String> {
        match paths {
            [] => Err("--follow needs a file: -r FILE".into()),
            _ if paths.iter().any(|path| path.as_os_str() == "-") => {
                Err("-r - needs no --follow: a pipe is read as it grows".into())
            }
            _ => Ok(Self::Growing(paths.to_vec())),
        }
    }

    /// Paths of the parts; empty for an interface.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Files(paths) | Self::Growing(paths) | Self::Facts(paths) => paths,
            #[cfg(feature = "live")]
            Self::Live(_) => &[],
        }
    }

    /// Names of the files that packets come from: the parts, and for a shard the files
    /// that were split.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Files(paths) | Self::Growing(paths) => {
                paths.iter().flat_map(|path| origins(path)).collect()
            }
            Self::Facts(paths) => records::files(paths),
            #[cfg(feature = "live")]
            Self::Live(live) => vec![live.options.interface.clone()],
        }
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> String {
        match self.paths() {
            [path, ..] if path.as_os_str() == "-" => "standard input".to_owned(),
            [path, ..] if self.is_shard() => path.display().to_string(),
            _ => self.names().into_iter().next().unwrap_or_default(),
        }
    }

    /// Whether it is a part of several files.
    fn is_shard(&self) -> bool {
        match self.paths() {
            [path] if path.is_file() => {
                let capture = Capture::open(path, 0).ok();
                let origin = capture.as_ref().and_then(Capture::origin);
                origin.is_some_and(|origin| origin.shard.is_some())
            }
            _ => false,
        }
    }

    /// Whether it has a known end, so that progress can be shown, and can be read
    /// again.
    pub(crate) fn is_files(&self) -> bool {
        match self {
            Self::Files(paths) => paths.iter().all(|path| path.as_os_str() != "-"),
            _ => false,
        }
    }

    /// Whether packets are captured now, so that the clock is their time.
    pub(crate) fn is_live(&self) -> bool {
        match self {
            Self::Files(_) | Self::Growing(_) | Self::Facts(_) => false,
            #[cfg(feature = "live")]
            Self::Live(_) => true,
        }
    }

    /// Whether it ends only when stopped.
    pub(crate) fn is_endless(&self) -> bool {
        !matches!(self, Self::Files(_) | Self::Facts(_))
    }

    /// A function that describes the link of a packet: the `whole` header, or only
    /// the interface where there are several.
    pub(crate) fn describe(&self, whole: bool) -> Describe {
        match self {
            Self::Files(_) | Self::Growing(_) | Self::Facts(_) if whole => Box::new(link::describe),
            Self::Files(_) | Self::Growing(_) | Self::Facts(_) => Box::new(|_| String::new()),
            #[cfg(feature = "live")]
            Self::Live(_) => {
                let mut cooked = Cooked::new(whole);
                Box::new(move |packet| cooked.describe(packet))
            }
        }
    }

    /// Whether packets come from several interfaces, so that each line has to name
    /// one.
    pub(crate) fn is_any(&self) -> bool {
        match self {
            Self::Files(_) | Self::Growing(_) | Self::Facts(_) => false,
            #[cfg(feature = "live")]
            Self::Live(live) => live.options.interface == "any",
        }
    }

    /// Whether it is still growing.
    pub(crate) fn is_growing(&self) -> bool {
        match self {
            Self::Files(_) | Self::Facts(_) => false,
            Self::Growing(_) => true,
            #[cfg(feature = "live")]
            Self::Live(_) => true,
        }
    }

    /// Whether standard input is one of its parts.
    pub(crate) fn is_piped(&self) -> bool {
        self.paths().iter().any(|path| path.as_os_str() == "-")
    }

    /// Opens it. With `reports`, there is output at the end, so that a signal ends the
    /// input and not the program.
    pub(crate) fn open(&self, reports: bool) -> Result<Opened, Stop> {
        match self {
            Self::Files(paths) => match reports && !self.can_be_read_twice() {
                true => {
                    let stop = super::signals::stop().map_err(Stop::Failed)?;
                    Ok(open_files(paths, |path, file, _| {
                        Capture::open_until(path, file, Arc::clone(&stop))
                    }))
                }
                false => Ok(open_files(paths, |path, file, _| Capture::open(path, file))),
            },
            Self::Facts(_) => Err(Stop::Failed(
                "files of --facts-out have no packets: they are for check".into(),
            )),
            // The last file grows until the flag is set.
            Self::Growing(paths) => {
                let stop = super::signals::stop().map_err(Stop::Failed)?;
                Ok(open_files(paths, |path, file, is_last| match is_last {
                    true => Capture::follow(path, file, Arc::clone(&stop)),
                    false => Capture::open(path, file),
                }))
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

/// The files that the packets of a file come from: itself, or those that were split or
/// continued.
fn origins(path: &Path) -> Vec<String> {
    let itself = || vec![path.display().to_string()];
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Capture::open(path, 0)
            .ok()
            .and_then(|capture| Some(capture.origin()?.files.clone()))
            .unwrap_or_else(itself),
        _ => itself(),
    }
}

/// `open` gets the path of each part, its number, and whether it is the last.
fn open_files(
    paths: &[PathBuf],
    open: impl Fn(&Path, u32, bool) -> Result<Capture, capture::Error>,
) -> Opened {
    let mut opened = Opened {
        captures: Vec::new(),
        errors: Vec::new(),
        #[cfg(feature = "live")]
        listening: None,
    };
    let mut file = 0;
    for path in paths {
        let is_last = paths.last().is_some_and(|last| std::ptr::eq(last, path));
        match open(path, file, is_last) {
            Ok(capture) => {
                file += capture.origins();
                opened.captures.push(capture);
            }
            Err(error) => {
                file += 1;
                opened.errors.push(error);
            }
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

    /// Drops privileges, checks with `still` that later steps are possible without
    /// them, and reports that it listens. Call it when everything else is open.
    pub(crate) fn begin(&self, still: impl FnOnce() -> Result<(), String>) -> Result<(), Stop> {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return listening.begin(still).map_err(Stop::Failed);
        }
        still().map_err(Stop::Failed)
    }

    /// The user who must own files that are created before [`Opened::begin`] and
    /// written after it; `None` if unchanged.
    #[cfg(feature = "live")]
    pub(crate) fn target_user(&self) -> Option<&TargetUser> {
        self.listening.as_ref()?.target_user()
    }

    /// Whether the counts were requested since the last call.
    pub(crate) fn wants_counts(&self) -> bool {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return listening.wants_counts();
        }
        false
    }

    /// Packets counted so far; `None` for files.
    pub(crate) fn counts(&self) -> Option<Counts> {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return Some(listening.counts());
        }
        None
    }

    /// A function that returns the counts, for use while it is read.
    #[cfg(feature = "metrics")]
    pub(crate) fn counter(&self) -> Option<Box<dyn Fn() -> Counts>> {
        #[cfg(feature = "live")]
        if let Some(listening) = &self.listening {
            return Some(listening.counter());
        }
        None
    }
}

/// Whether the reader of standard output is gone; known only with the feature
/// `live`.
pub(crate) fn reader_is_gone() -> bool {
    #[cfg(feature = "live")]
    return live::reader_is_gone();
    #[cfg(not(feature = "live"))]
    false
}

/// Rejects options without effect on files, except for habits such as -s 0.
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
            return Err(format!("{option} applies only to live capture: -i IF"));
        }
    }
    Ok(())
}

/// The message for `-i` and `-D` in a build without live capture.
#[cfg(not(feature = "live"))]
pub(crate) const HOW_TO_GET_LIVE: &str = "this program was built without live capture: \
     build it with the feature 'live', or read from a pipe: \
     tcpdump -i IF -U -s 0 -w - tcp port 1883 | mqttdump -l -r -";

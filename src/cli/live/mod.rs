//! `-i`: capturing from an interface.
//!
//! ```text
//! LivePlan ─open→ Capture, Listening ─begin→ reading …  ←─ Signals
//!  what, whom       as whoever typed it        as the heir
//! ```
//! What was asked for ([`LivePlan`]) is opened with the rights of whoever typed
//! the command; then these are given up ([`privileges`]), and only then packets
//! are parsed. What the library does with the interface is in
//! `mqttdump::capture`.

mod cooked;
mod list;
mod ports;
mod privileges;
mod signals;

use mqttdump::capture::{
    Capture, LiveCounter, LiveOptions, Problem, RING_BYTES, Way, interface_given,
};

use super::args::{Live, PacketDirection};
use super::console::complain;
use super::counts::Counts;
use super::stop::Stop;

pub(crate) use cooked::Cooked;
pub(crate) use list::list;
pub(crate) use privileges::Heir;
use signals::Signals;

/// What to capture, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct LivePlan {
    pub(crate) options: LiveOptions,
    /// No expression was given: MQTT's ports.
    is_default: bool,
    user: Option<String>,
}

/// The largest packet that tcpdump keeps.
const WHOLE: u32 = 262_144;

impl LivePlan {
    /// `expression` is the BPF expression; without one, MQTT's ports.
    pub(crate) fn new(
        args: &Live,
        interface: &str,
        expression: Option<String>,
        decoded: impl Iterator<Item = u16>,
    ) -> Result<Self, String> {
        let is_default = expression.is_none();
        let filters = expression.map_or_else(|| ports::expressions(decoded), |text| vec![text]);
        let interface =
            interface_given(interface).map_err(|error| format!("-i {interface}: {error}"))?;
        Ok(Self {
            options: LiveOptions {
                interface,
                snap_length: args.snapshot_length.filter(|&n| n > 0).unwrap_or(WHOLE),
                promiscuous: !args.no_promiscuous,
                ring: args
                    .buffer
                    .map_or(RING_BYTES, |kib| kib.saturating_mul(1024)),
                link_type: args.link_type.clone(),
                way: match args.direction {
                    Some(PacketDirection::In) => Some(Way::In),
                    Some(PacketDirection::Out) => Some(Way::Out),
                    Some(PacketDirection::Inout) | None => None,
                },
                filters,
            },
            is_default,
            user: args.user.clone(),
        })
    }

    /// Opens the interface, as whoever we are.
    pub(crate) fn open(&self) -> Result<(Capture, Listening), Stop> {
        let heir = Heir::choose(self.user.as_deref()).map_err(Stop::Failed)?;
        let signals = Signals::listen().map_err(Stop::Failed)?;
        let opened = Capture::live(&self.options, signals.stop.clone());
        let (capture, counter) = opened.map_err(|error| match error.problem {
            Problem::NotPermitted => {
                Stop::Failed(format!("{error}: {}", privileges::how_to_be_allowed()))
            }
            _ => error.into(),
        })?;
        let link_type = capture.interface().map(|interface| interface.link_type);
        let filter = match (&self.options.filters[..], self.is_default) {
            ([], _) => String::new(),
            ([.., filter], true) => {
                format!(
                    "\nfilter: {filter}, also with VLAN tags; `tcp` as expression captures all ports"
                )
            }
            ([filter, ..], false) => format!("\nfilter: {filter}"),
        };
        let said = format!(
            "listening on {}, link-type {}, snapshot length {} bytes{filter}",
            capture.name(),
            link_type
                .map(|link_type| link_type.to_string())
                .unwrap_or_default(),
            self.options.snap_length
        );
        let listening = Listening {
            heir,
            said,
            counter,
            signals,
        };
        Ok((capture, listening))
    }
}

/// An interface that is open.
pub(crate) struct Listening {
    heir: Option<Heir>,
    said: String,
    counter: LiveCounter,
    signals: Signals,
}

impl Listening {
    /// Whom root is going to become.
    pub(crate) fn heir(&self) -> Option<&Heir> {
        self.heir.as_ref()
    }

    /// Gives up root, tries what has to be possible without it, and says that
    /// it listens.
    pub(crate) fn begin(&self, still: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        privileges::give_up(self.heir.as_ref())?;
        still().map_err(|error| match &self.heir {
            Some(heir) => format!("{error} (as {}; -Z USER names another user)", heir.name()),
            None => error,
        })?;
        complain(&self.said);
        Ok(())
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> Counts {
        counts(&self.counter)
    }

    /// The same, for looking at while packets are read.
    #[cfg(feature = "metrics")]
    pub(crate) fn counter(&self) -> Box<dyn Fn() -> Counts> {
        let counter = self.counter.clone();
        Box::new(move || counts(&counter))
    }

    /// Whether somebody has asked for the counts since the last time.
    pub(crate) fn wants_counts(&self) -> bool {
        self.signals.wants_counts()
    }
}

fn counts(counter: &LiveCounter) -> Counts {
    let counts = counter.get();
    Counts {
        dropped: counts.dropped,
        dropped_by_interface: counts.dropped_by_interface,
    }
}

/// Whether whoever reads standard output has gone. On a quiet link nothing is
/// written, so nobody would notice.
pub(crate) fn reader_is_gone() -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;

    let stdout = std::io::stdout();
    let mut asked = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    match poll(&mut asked, PollTimeout::ZERO) {
        Ok(1) => asked[0].revents().is_some_and(|told| told.intersects(gone)),
        _ => false,
    }
}

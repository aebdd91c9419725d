//! `-i`: capturing from an interface.
//!
//! ```text
//! LivePlan ─open→ Capture, Listening ─begin→ reading …  ←─ Signals
//!              as the calling user      as the target user
//! ```
//! The interface ([`LivePlan`]) is opened with the rights of the user who typed
//! the command; then root and capabilities are dropped ([`privileges`]); only
//! then are packets parsed. The library side is in `mqttdump::capture`.

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
pub(crate) use privileges::TargetUser;
use signals::Signals;

/// What to capture, and as which user.
#[derive(Clone, Debug)]
pub(crate) struct LivePlan {
    pub(crate) options: LiveOptions,
    /// No expression was given: the ports of MQTT.
    is_default: bool,
    user: Option<String>,
}

/// Snapshot length of tcpdump for whole packets.
const WHOLE: u32 = 262_144;

impl LivePlan {
    /// `expression` is the BPF expression; `None` for the ports of MQTT.
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

    /// Opens the interface with the current privileges.
    pub(crate) fn open(&self) -> Result<(Capture, Listening), Stop> {
        let target_user = TargetUser::choose(self.user.as_deref()).map_err(Stop::Failed)?;
        let signals = Signals::listen().map_err(Stop::Failed)?;
        let opened = Capture::live(&self.options, signals.stop.clone());
        let (capture, counter) = opened.map_err(|error| match error.problem {
            Problem::NotPermitted => {
                Stop::Failed(format!("{error}: {}", privileges::permission_hint()))
            }
            _ => error.into(),
        })?;
        let link_type = capture.interface().map(|interface| interface.link_type);
        let filter = match (&self.options.filters[..], self.is_default) {
            ([], _) => String::new(),
            ([.., filter], true) => {
                format!(
                    "\nfilter: {filter}, and with VLAN tags; use the expression `tcp` for all ports"
                )
            }
            ([filter, ..], false) => format!("\nfilter: {filter}"),
        };
        let banner = format!(
            "listening on {}, link-type {}, snapshot length {} bytes{filter}",
            capture.name(),
            link_type
                .map(|link_type| link_type.to_string())
                .unwrap_or_default(),
            self.options.snap_length
        );
        let listening = Listening {
            target_user,
            banner,
            counter,
            signals,
        };
        Ok((capture, listening))
    }
}

/// An open interface.
pub(crate) struct Listening {
    target_user: Option<TargetUser>,
    banner: String,
    counter: LiveCounter,
    signals: Signals,
}

impl Listening {
    /// The user that root changes to.
    pub(crate) fn target_user(&self) -> Option<&TargetUser> {
        self.target_user.as_ref()
    }

    /// Drops root, checks with `still` that later steps are possible without it,
    /// and reports that it listens.
    pub(crate) fn begin(&self, still: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        privileges::drop_privileges(self.target_user.as_ref())?;
        still().map_err(|error| match &self.target_user {
            Some(target_user) => format!(
                "{error} (as {}; -Z USER names another user)",
                target_user.name()
            ),
            None => error,
        })?;
        complain(&self.banner);
        Ok(())
    }

    /// Packets counted so far.
    pub(crate) fn counts(&self) -> Counts {
        counts(&self.counter)
    }

    /// A function that returns the counts, for use while packets are read.
    #[cfg(feature = "metrics")]
    pub(crate) fn counter(&self) -> Box<dyn Fn() -> Counts> {
        let counter = self.counter.clone();
        Box::new(move || counts(&counter))
    }

    /// Whether the counts were requested since the last call.
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

/// Whether the reader of standard output is gone. On a quiet link nothing is
/// written, so no write error would show it.
pub(crate) fn reader_is_gone() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let stdout = std::io::stdout();
    let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
    let gone = PollFlags::ERR | PollFlags::HUP;
    match poll(&mut asked, Some(&Timespec::default())) {
        Ok(1) => asked[0].revents().intersects(gone),
        _ => false,
    }
}

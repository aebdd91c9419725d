//! Capturing from an interface: what is asked for, when to stop, and who to be
//! while packets are read.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mqttdump::capture::{Capture, LiveCounter, LiveOptions, Problem};
use nix::unistd::{Gid, Uid, User, setgid, setgroups, setuid};

use super::args::Args;
use super::complain;
use super::run::Stop;
use super::source::Counts;

/// What to capture, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct LivePlan {
    pub(crate) options: LiveOptions,
    user: Option<String>,
}

/// The largest packet that tcpdump keeps.
const WHOLE: u32 = 262_144;

impl LivePlan {
    /// `expression` is the BPF expression; without one, MQTT's ports.
    pub(super) fn new(args: &Args, interface: &str, expression: Option<String>) -> Self {
        let filters = match expression {
            Some(text) => vec![text],
            None => {
                let decoded = args.decode.iter().map(|(port, _)| *port);
                let ports: Vec<String> = [1883, 8883]
                    .into_iter()
                    .chain(decoded)
                    .map(|port| format!("tcp port {port}"))
                    .collect();
                let ports = ports.join(" or ");
                // Not every link type knows of VLANs.
                vec![format!("({ports}) or (vlan and ({ports}))"), ports]
            }
        };
        Self {
            options: LiveOptions {
                interface: interface.to_owned(),
                snap_length: args.snapshot_length.filter(|&n| n > 0).unwrap_or(WHOLE),
                promiscuous: !args.no_promiscuous,
                buffer: args.buffer.map(|kib| kib.saturating_mul(1024)),
                link_type: args.link_type.clone(),
                filters,
            },
            user: args.user.clone(),
        }
    }
}

impl LivePlan {
    /// Opens the interface, as whoever we are.
    pub(super) fn open(&self) -> Result<(Capture, Listening), Stop> {
        let stop = stop_on_signals().map_err(Stop::Failed)?;
        let opened = Capture::live(&self.options, stop);
        let (capture, counter) = opened.map_err(|error| match error.problem {
            Problem::NotPermitted => Stop::Failed(format!("{error}: {}", how_to_be_allowed())),
            _ => error.into(),
        })?;
        let link_type = capture.interface().map(|interface| interface.link_type);
        let said = format!(
            "listening on {}, link-type {}, snapshot length {} bytes",
            capture.name(),
            link_type
                .map(|link_type| link_type.to_string())
                .unwrap_or_default(),
            self.options.snap_length
        );
        let listening = Listening {
            user: self.user.clone(),
            said,
            counter,
        };
        Ok((capture, listening))
    }
}

/// An interface that is open.
pub(super) struct Listening {
    user: Option<String>,
    said: String,
    counter: LiveCounter,
}

impl Listening {
    /// Gives up root, tries what has to be possible without it, and says that
    /// it listens.
    pub(super) fn begin(&self, still: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        drop_privileges(self.user.as_deref())?;
        still()?;
        complain(&self.said);
        Ok(())
    }

    pub(super) fn counts(&self) -> Counts {
        let counts = self.counter.get();
        Counts {
            dropped: counts.dropped,
            dropped_by_interface: counts.dropped_by_interface,
        }
    }
}

/// Set by Ctrl-C and SIGTERM. A second one ends the program at once.
fn stop_on_signals() -> Result<Arc<AtomicBool>, String> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;

    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let registered = flag::register_conditional_shutdown(signal, 2, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)));
        registered.map_err(|error| format!("signals: {error}"))?;
    }
    Ok(stop)
}

/// Gives up root, before the first packet is read: for the user of `-Z`, else
/// for who called sudo, else for nobody. Without root there is nothing to give
/// up.
fn drop_privileges(asked: Option<&str>) -> Result<(), String> {
    if !Uid::effective().is_root() {
        return match asked {
            Some(user) => Err(format!("-Z {user}: only root can become another user")),
            None => Ok(()),
        };
    }
    let caller = std::env::var("SUDO_USER")
        .ok()
        .filter(|user| user != "root");
    let name = asked.map(str::to_owned).or(caller);
    let name = name.unwrap_or_else(|| "nobody".to_owned());
    let failed = |error: nix::errno::Errno| format!("-Z {name}: cannot become this user: {error}");
    let user = User::from_name(&name).map_err(failed)?;
    let user = user.ok_or_else(|| format!("-Z {name}: there is no such user"))?;
    if user.uid.is_root() {
        return Ok(());
    }
    setgroups(&[user.gid]).map_err(failed)?;
    setgid(user.gid).map_err(failed)?;
    setuid(user.uid).map_err(failed)?;
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_no_new_privs().map_err(failed)?;
    // Root must not come back.
    match (Uid::effective().is_root(), Gid::effective() == user.gid) {
        (false, true) => Ok(()),
        _ => Err(format!("-Z {name}: this user is not what we became")),
    }
}

/// How to be allowed to capture.
fn how_to_be_allowed() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("mqttdump"));
    format!(
        "run it with sudo, or allow it once and for all: sudo setcap cap_net_raw,cap_net_admin=eip {}",
        program.display()
    )
}

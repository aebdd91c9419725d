//! Capturing from an interface, as a stream of pcap bytes, so that it is read
//! like files and pipes.
//!
//! ```text
//!        filter   ring of blocks
//! wire ──→ kernel ──→ ▓▓▓▒░░░░ ──→ libpcap ──→ stream ─Read→ Capture
//!                       └ delivered when full, or some time after its first packet
//! ```
//!
//! This file opens an interface; [`stream`] reads it; [`interfaces`] lists them.
//!
//! **The ring.** A line should appear when its message is captured, and a burst should not be
//! lost. libpcap's immediate mode gives only the first: each packet takes a
//! slot for the largest packet, so that on loopback 64 MiB hold a thousand
//! packets, however small. Without it, packets are adjacent in blocks of 256
//! KiB, and a block is delivered when it is full or after a time (`hand_over`).
//! That time is short here: `docs/live.md` has the measurements.

mod interfaces;
mod stream;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pcap::{Active, Linktype, Precision};

use super::error::{Error, Place, Problem};
use super::source::Capture;

pub use interfaces::{InterfaceError, Listed, interface_given, interface_name, interfaces};
pub use stream::{LiveCounter, LiveCounts};

use stream::Live;

/// Default size of the kernel's ring in bytes: room for a third of a second of
/// the highest rate measured on loopback. libpcap uses less if memory is short.
pub const RING_BYTES: u32 = 64 << 20;
/// Bytes of a block, as libpcap divides the ring: room for one packet of the
/// greatest snap length.
const BLOCK_BYTES: u32 = 256 << 10;
/// How long the kernel may at least wait for more packets before it hands a
/// block over; and at most, if blocks are few.
const HAND_OVER: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(100)];
/// How long all blocks together last at least, as far as that can be.
const RING_LASTS: Duration = Duration::from_millis(640);
/// LINKTYPE_LINUX_SLL2, used for `any` because it has the interface number.
const LINUX_SLL2: Linktype = Linktype(276);

/// What to capture.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// The interface, such as `eth0`; `any` for all.
    pub interface: String,
    /// Bytes to keep of each packet.
    pub snap_length: u32,
    /// Whether to see packets for others.
    pub promiscuous: bool,
    /// Bytes of the kernel's ring.
    pub ring: u32,
    /// The link type, by libpcap's name for it, if other than the usual one.
    pub link_type: Option<String>,
    /// Only incoming or outgoing packets.
    pub way: Option<Way>,
    /// The first of these BPF expressions that the interface can do. Packets
    /// are chosen in the kernel.
    pub filters: Vec<String>,
}

/// Direction of packets at the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Received.
    In,
    /// Sent.
    Out,
}

impl Capture {
    /// Captures from an interface until `stop` is set.
    ///
    /// # Errors
    ///
    /// No such interface, no permission, an expression that libpcap refuses.
    pub fn live(
        options: &LiveOptions,
        stop: Arc<AtomicBool>,
    ) -> Result<(Self, LiveCounter), Error> {
        let name = &options.interface;
        let failed = |problem| Error::new(name, Place::File, problem);
        let capture = open(options).map_err(failed)?;
        let hand_over = hand_over(options.ring);
        let (live, counter) = Live::new(capture, options.snap_length, hand_over, stop);
        let capture = Self::from_read(Box::new(live), name, 0)?;
        Ok((capture, counter))
    }
}

fn open(options: &LiveOptions) -> Result<pcap::Capture<Active>, Problem> {
    let is_any = options.interface == "any";
    let inactive = pcap::Capture::from_device(options.interface.as_str())
        .map_err(problem)?
        .snaplen(number(options.snap_length))
        // `any` does not support it, and the crate treats the warning as an error.
        .promisc(options.promiscuous && !is_any)
        .timeout(i32::try_from(hand_over(options.ring).as_millis()).unwrap_or(1))
        .buffer_size(number(options.ring))
        .precision(Precision::Nano);
    let mut capture = inactive.open().map_err(refused)?;
    keep_to_ourselves(&capture)?;
    let wanted = match &options.link_type {
        Some(name) => Some(Linktype::from_name(name).map_err(problem)?),
        None => is_any.then_some(LINUX_SLL2),
    };
    if let Some(wanted) = wanted {
        let result = capture.set_datalink(wanted);
        // An old libpcap has SLL alone.
        if options.link_type.is_some() {
            result.map_err(problem)?;
        }
    }
    if let Some(way) = options.way {
        let way = match way {
            Way::In => pcap::Direction::In,
            Way::Out => pcap::Direction::Out,
        };
        capture.direction(way).map_err(problem)?;
    }
    filter(&mut capture, &options.filters)?;
    capture.setnonblock().map_err(problem)
}

/// Child processes (`-z`) must not inherit the socket: libpcap does not set
/// close-on-exec, and the socket gives access to every packet.
fn keep_to_ourselves(capture: &pcap::Capture<Active>) -> Result<(), Problem> {
    rustix::io::fcntl_setfd(capture.as_fd(), rustix::io::FdFlags::CLOEXEC)
        .map_err(|error| Problem::Live(std::io::Error::from(error).to_string()))
}

/// How long the kernel may wait before it delivers a block that is not full. An
/// incomplete block is one block less for a burst, so with few blocks lines
/// appear a little later.
fn hand_over(ring: u32) -> Duration {
    let blocks = (ring / BLOCK_BYTES).max(1);
    let [least, most] = HAND_OVER;
    (RING_LASTS / blocks).clamp(least, most)
}

/// Has the kernel choose by the first expression that it can do.
fn filter(capture: &mut pcap::Capture<Active>, expressions: &[String]) -> Result<(), Problem> {
    let mut first_refusal = None;
    for expression in expressions {
        match capture.filter(expression, true) {
            Ok(()) => return Ok(()),
            Err(error) => {
                let problem =
                    Problem::Live(format!("BPF expression \"{expression}\": {}", text(error)));
                first_refusal.get_or_insert(problem);
            }
        }
    }
    first_refusal.map_or(Ok(()), Err)
}

/// Why an interface could not be opened.
fn refused(error: pcap::Error) -> Problem {
    let text = text(error);
    match text.contains("ermitted") || text.contains("ermission") {
        true => Problem::NotPermitted,
        false => Problem::Live(text),
    }
}

fn problem(error: pcap::Error) -> Problem {
    Problem::Live(text(error))
}

/// libpcap's error text.
fn text(error: pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text,
        other => other.to_string(),
    }
}

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

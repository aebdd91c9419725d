//! Capturing from an interface, as a stream of pcap bytes: what reads files and
//! pipes reads this too.
//!
//! ```text
//! kernel ─→ libpcap ─→ Live: pcap header, record, record … ─Read→ Capture
//! ```
//!
//! libpcap may wait past its own time-out on a quiet link. So it never waits
//! here: the socket is polled, and between two polls a request to stop is
//! looked at. Then the stream ends like a file.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Linktype, Precision};

use super::error::{Error, Place, Problem};
use super::source::Capture;

/// What to capture.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// The interface, such as `eth0`; `any` for all.
    pub interface: String,
    /// Bytes to keep of each packet.
    pub snap_length: u32,
    /// Whether to see packets for others.
    pub promiscuous: bool,
    /// Bytes of the kernel's buffer, if other than libpcap's usual 2 MiB.
    pub buffer: Option<u32>,
    /// The link type, by libpcap's name for it, if other than the usual one.
    pub link_type: Option<String>,
    /// The first of these BPF expressions that the interface can do. Packets
    /// are chosen in the kernel.
    pub filters: Vec<String>,
}

/// What the kernel has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveCounts {
    /// Packets that were handed on.
    pub captured: u64,
    /// Packets for which the kernel had no room.
    pub dropped: u64,
    /// Packets that the interface or its driver dropped.
    pub dropped_by_interface: u64,
}

/// Counts that can be looked at while the capture is being read.
#[derive(Clone, Debug, Default)]
pub struct LiveCounter(Arc<Mutex<LiveCounts>>);

impl LiveCounter {
    /// The counts up to now.
    pub fn get(&self) -> LiveCounts {
        *self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn set(&self, counts: LiveCounts) {
        *self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = counts;
    }
}

/// Interfaces that can be captured on: name, addresses, state.
///
/// # Errors
///
/// What libpcap says.
pub fn interfaces() -> Result<Vec<(String, Vec<String>, &'static str)>, String> {
    let devices = pcap::Device::list().map_err(|error| error.to_string())?;
    let described = devices.into_iter().map(|device| {
        let addresses = device.addresses.iter().map(|a| a.addr.to_string());
        let state = match (device.flags.is_up(), device.flags.is_running()) {
            (true, true) => "up, running",
            (true, false) => "up",
            _ => "down",
        };
        (device.name.clone(), addresses.collect(), state)
    });
    Ok(described.collect())
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
        let live = Live::open(options, stop).map_err(|problem| failed(problem))?;
        let counter = live.counter.clone();
        Ok((Self::from_read(Box::new(live), name, 0)?, counter))
    }
}

/// An interface being read.
struct Live {
    capture: pcap::Capture<Active>,
    /// Bytes of the pcap stream, and how many of them were taken.
    ready: Vec<u8>,
    taken: usize,
    stop: Arc<AtomicBool>,
    counter: LiveCounter,
    captured: u64,
}

/// Milliseconds after which a request to stop is looked at.
const POLL_MILLIS: u16 = 100;
/// Bytes that are made ready at once.
const BATCH: usize = 256 << 10;
/// LINKTYPE_LINUX_SLL2: what `any` is read as, because it tells the interface.
const LINUX_SLL2: Linktype = Linktype(276);

impl Live {
    fn open(options: &LiveOptions, stop: Arc<AtomicBool>) -> Result<Self, Problem> {
        let told = |error: pcap::Error| Problem::Live(error.to_string());
        let mut inactive = pcap::Capture::from_device(options.interface.as_str())
            .map_err(told)?
            .snaplen(i32::try_from(options.snap_length).unwrap_or(i32::MAX))
            .promisc(options.promiscuous)
            .immediate_mode(true)
            .precision(Precision::Nano);
        if let Some(bytes) = options.buffer {
            inactive = inactive.buffer_size(i32::try_from(bytes).unwrap_or(i32::MAX));
        }
        let mut capture = inactive.open().map_err(|error| match error {
            pcap::Error::PcapError(text) if text.contains("permitted") => Problem::NotPermitted,
            pcap::Error::PcapError(text) if text.contains("ermission") => Problem::NotPermitted,
            other => told(other),
        })?;
        let wanted = match &options.link_type {
            Some(name) => Some(Linktype::from_name(name).map_err(told)?),
            None => (options.interface == "any").then_some(LINUX_SLL2),
        };
        if let Some(wanted) = wanted {
            let result = capture.set_datalink(wanted);
            // An old libpcap has SLL alone.
            if options.link_type.is_some() {
                result.map_err(told)?;
            }
        }
        let mut refused = None;
        for filter in &options.filters {
            match capture.filter(filter, true) {
                Ok(()) => {
                    refused = None;
                    break;
                }
                Err(error) => {
                    let told = Problem::Live(format!("BPF expression \"{filter}\": {error}"));
                    refused.get_or_insert(told);
                }
            }
        }
        if let Some(problem) = refused {
            return Err(problem);
        }
        let link_type = capture.get_datalink().0;
        let capture = capture.setnonblock().map_err(told)?;
        Ok(Self {
            ready: header(link_type, options.snap_length),
            taken: 0,
            capture,
            stop,
            counter: LiveCounter::default(),
            captured: 0,
        })
    }

    /// Makes what has come ready to be taken; waits until something has.
    /// Nothing is ready when the capture is over.
    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.taken = 0;
        while self.ready.is_empty() {
            // What was captured before the request is still read.
            let stopping = self.stop.load(Ordering::Relaxed);
            while self.ready.len() < BATCH {
                match self.capture.next_packet() {
                    Ok(packet) => {
                        self.captured += 1;
                        put_record(&mut self.ready, &packet);
                    }
                    Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) => break,
                    Err(error) => {
                        self.count();
                        return Err(io::Error::other(error.to_string()));
                    }
                }
            }
            self.count();
            if stopping {
                break;
            }
            if self.ready.is_empty() {
                let mut wait = [PollFd::new(self.capture.as_fd(), PollFlags::POLLIN)];
                match poll(&mut wait, PollTimeout::from(POLL_MILLIS)) {
                    Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn count(&mut self) {
        let before = self.counter.get();
        let stats = self.capture.stats().ok();
        self.counter.set(LiveCounts {
            // Of libpcap's own count of packets, those on loopback are twice.
            captured: self.captured,
            dropped: stats.map_or(before.dropped, |stats| stats.dropped.into()),
            dropped_by_interface: stats
                .map_or(before.dropped_by_interface, |stats| stats.if_dropped.into()),
        });
    }
}

impl Read for Live {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ready.len() {
            self.fill()?;
        }
        let ready = self.ready.get(self.taken..).unwrap_or_default();
        let length = ready.len().min(buffer.len());
        buffer[..length].copy_from_slice(&ready[..length]);
        self.taken += length;
        Ok(length)
    }
}

/// A pcap file header, times in nanoseconds.
fn header(link_type: i32, snap_length: u32) -> Vec<u8> {
    const MAGIC: u32 = 0xa1b2_3c4d;
    let mut bytes = Vec::new();
    bytes.extend(MAGIC.to_le_bytes());
    bytes.extend(2_u16.to_le_bytes());
    bytes.extend(4_u16.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(snap_length.to_le_bytes());
    bytes.extend(link_type.to_le_bytes());
    bytes
}

fn put_record(bytes: &mut Vec<u8>, packet: &pcap::Packet<'_>) {
    // With nanosecond precision `tv_usec` counts these.
    for field in [
        packet.header.ts.tv_sec as u32,
        packet.header.ts.tv_usec as u32,
        packet.data.len() as u32,
        packet.header.len,
    ] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend_from_slice(packet.data);
}

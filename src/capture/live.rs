//! Capturing from an interface, as a stream of pcap bytes: what reads files and
//! pipes reads this too.
//!
//! ```text
//! kernel ─ring→ libpcap ─→ Live: pcap header, record, record … ─Read→ Capture
//!                               └ Tick, Dropped (see meanwhile)
//! ```
//!
//! libpcap may wait past its own time-out on a quiet link. So it never waits
//! here: the socket is polled, and between two polls a request to stop is
//! looked at. Then the stream ends like a file.
//!
//! **Time.** Every packet of time *t* has been read when the ring was found
//! empty after *t*, and the kernel has had [`GRACE`] to hand over the block that
//! it was filling. Then, and [`TICK`] after the last time, capture time is said
//! to have come to *t*. While there is always more to read, capture time is that
//! of the packets.
//!
//! **Drops.** The kernel only counts them. They are said before the packets that
//! were read with them, for those may come after; and they are said to go up to
//! the time of counting, for a full ring holds packets from before the loss.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Linktype, Precision};

use crate::time::Timestamp;

use super::error::{Error, Place, Problem};
use super::meanwhile::Meanwhile;
use super::source::{Capture, Dropped};

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
    /// Packets for which the kernel had no room.
    pub dropped: u64,
    /// Packets that the interface or its driver dropped.
    pub dropped_by_interface: u64,
}

impl LiveCounts {
    fn total(self) -> u64 {
        self.dropped.saturating_add(self.dropped_by_interface)
    }
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
        let live = Live::open(options, stop).map_err(failed)?;
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
    /// To be told before them.
    dropped: Option<Dropped>,
    /// Time of the latest packet.
    latest: Timestamp,
    last_tick: Instant,
    counter: LiveCounter,
    stop: Arc<AtomicBool>,
    /// When the request to stop was seen.
    stopping: Option<Timestamp>,
    /// Everything has been handed on.
    over: bool,
}

/// How often the time is told.
const TICK: Duration = Duration::from_millis(100);
/// How long the kernel may take to hand over a packet.
const GRACE: Duration = Duration::from_millis(50);
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
            // `any` cannot be, and the crate takes the warning for an error.
            .promisc(options.promiscuous && options.interface != "any")
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
            dropped: None,
            latest: Timestamp::MIN,
            last_tick: Instant::now(),
            capture,
            counter: LiveCounter::default(),
            stop,
            stopping: None,
            over: false,
        })
    }

    /// Makes what has come ready to be taken, and waits until something has.
    /// Nothing is ready when the capture is over.
    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.taken = 0;
        while !self.over {
            let now = now();
            if self.stopping.is_none() && self.stop.load(Ordering::Relaxed) {
                self.stopping = Some(now);
            }
            let is_empty = self.drain()?;
            self.count();
            self.over |= self
                .stopping
                .is_some_and(|since| is_empty && now.since(since) > GRACE);
            if self.dropped.is_some() || !self.ready.is_empty() || self.over {
                return Ok(());
            }
            self.tick(now)?;
            self.wait()?;
        }
        Ok(())
    }

    /// Takes packets from the ring, as many as make a batch; whether it is
    /// empty now.
    fn drain(&mut self) -> io::Result<bool> {
        while self.ready.len() < BATCH {
            match self.capture.next_packet() {
                Ok(packet) => {
                    let seconds = packet.header.ts.tv_sec;
                    // With nanosecond precision `tv_usec` counts these.
                    let nanos = packet.header.ts.tv_usec as u32;
                    self.latest = Timestamp::from_parts(seconds, nanos);
                    // What was captured before the request is still read.
                    if self.stopping.is_some_and(|since| self.latest > since) {
                        self.over = true;
                        return Ok(true);
                    }
                    put_record(&mut self.ready, &packet);
                }
                Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) => return Ok(true),
                Err(error) => {
                    self.count();
                    return Err(io::Error::other(error.to_string()));
                }
            }
        }
        Ok(false)
    }

    /// Looks at what the kernel has counted.
    fn count(&mut self) {
        let until = now();
        let Ok(stats) = self.capture.stats() else {
            return;
        };
        let before = self.counter.get();
        // Of libpcap's own count of packets, those on loopback are twice.
        let counts = LiveCounts {
            dropped: before.dropped.max(stats.dropped.into()),
            dropped_by_interface: before.dropped_by_interface.max(stats.if_dropped.into()),
        };
        self.counter.set(counts);
        let packets = counts.total() - before.total();
        if packets > 0 {
            self.dropped = Some(Dropped { packets, until });
        }
    }

    /// Tells the time, if it is time to: everything up to `now` was read, but
    /// for what the kernel still has in its hands.
    fn tick(&mut self, now: Timestamp) -> Result<(), Meanwhile> {
        if self.last_tick.elapsed() < TICK {
            return Ok(());
        }
        self.last_tick = Instant::now();
        let grace = i64::try_from(GRACE.as_nanos()).unwrap_or(0);
        let come = Timestamp::from_nanos(now.nanos().saturating_sub(grace));
        Err(Meanwhile::Tick(come))
    }

    /// Waits for packets, for a signal, or until it is time to tell the time.
    fn wait(&self) -> io::Result<()> {
        let patience = match self.stopping {
            None => TICK.saturating_sub(self.last_tick.elapsed()),
            Some(_) => GRACE / 10,
        };
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
        let mut wait = [PollFd::new(self.capture.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wait, patience) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read for Live {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ready.len() {
            // While there is always more to read, this is the time.
            if !self.over && self.latest > Timestamp::MIN {
                self.tick(self.latest)?;
            }
            self.fill()?;
        }
        if let Some(dropped) = self.dropped.take() {
            return Err(Meanwhile::Dropped(dropped).into());
        }
        let ready = self.ready.get(self.taken..).unwrap_or_default();
        let length = ready.len().min(buffer.len());
        buffer[..length].copy_from_slice(&ready[..length]);
        self.taken += length;
        Ok(length)
    }
}

/// The clock that the kernel's timestamps are from.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_parts(seconds, since.subsec_nanos())
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

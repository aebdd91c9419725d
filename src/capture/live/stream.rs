//! Reads an open interface: packets as in a pcap file, with ticks and losses between
//! them.
//!
//! ```text
//! poll ─→ drain the ring ─→ count drops ─→ bytes | Dropped | Tick
//!  └──────── nothing ready: wait ─────────────┘
//! ```
//!
//! **No blocking read.** On a quiet link libpcap may block longer than its time-out. So the socket
//! is polled, and between two polls a request to stop is checked.
//!
//! **Time.** When the ring is found empty at time *t*, every packet up to *t* has been read, except
//! those in the block that the kernel has not delivered yet: `grace` accounts
//! for these. While there is always more to read, capture time is that of the
//! packets. In both cases there is a tick every [`TICK`].
//!
//! **Drops.** The kernel only counts them. They are reported before the packets that were read with
//! them, because these may be later; and their range extends to the time of
//! counting, because a full ring has packets from before the loss.
//!
//! **The end.** Packets captured before the request to stop are still delivered: until a later packet
//! arrives, or the ring is empty and the kernel had time to deliver the rest. A
//! flood of packets does not prevent the end.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use pcap::Active;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::time::Timestamp;

use super::super::item::Dropped;
use super::super::meanwhile::{Lost, Meanwhile};

/// Interval of ticks.
const TICK: Duration = Duration::from_millis(100);
/// How long a packet may be in the kernel's hands, besides the time after which a
/// block is handed over: several ticks of a slow timer, and being scheduled.
const GRACE: Duration = Duration::from_millis(50);
/// Bytes that are made ready at once.
const BATCH: usize = 256 << 10;

/// Counters of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveCounts {
    /// Packets dropped because the kernel's buffer was full.
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
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, counts: LiveCounts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }
}

/// An interface being read.
pub(super) struct Live {
    capture: pcap::Capture<Active>,
    /// Bytes of the pcap stream, and the number that was taken.
    ready: Vec<u8>,
    taken: usize,
    /// Reported before them.
    dropped: Option<Dropped>,
    /// Time of the latest packet.
    latest: Timestamp,
    last_tick: Instant,
    /// How long a packet may be in the kernel's hands.
    grace: Duration,
    counter: LiveCounter,
    /// The last counters of libpcap: dropped, and by the interface.
    said: [u32; 2],
    stop: Arc<AtomicBool>,
    /// Time of the request to stop: by the clock of the packets, and by the
    /// monotonic clock.
    stopping: Option<(Timestamp, Instant)>,
    /// Everything has been delivered.
    over: bool,
    /// Why the interface cannot be read any more, reported after that.
    lost: Option<Lost>,
}

impl Live {
    pub(super) fn new(
        capture: pcap::Capture<Active>,
        snap_length: u32,
        hand_over: Duration,
        stop: Arc<AtomicBool>,
    ) -> (Self, LiveCounter) {
        let counter = LiveCounter::default();
        let live = Self {
            ready: header(capture.get_datalink().0, snap_length),
            taken: 0,
            dropped: None,
            latest: Timestamp::MIN,
            last_tick: Instant::now(),
            grace: hand_over + GRACE,
            capture,
            counter: counter.clone(),
            said: [0; 2],
            stop,
            stopping: None,
            over: false,
            lost: None,
        };
        (live, counter)
    }

    /// Prepares available output, and waits until there is some. There is none
    /// at the end of the capture.
    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.taken = 0;
        while !self.over {
            let (now, looked) = (now(), Instant::now());
            if self.stopping.is_none() && self.stop.load(Ordering::Relaxed) {
                self.stopping = Some((now, looked));
            }
            let is_empty = self.drain();
            self.count();
            self.over |= self
                .stopping
                .is_some_and(|(_, since)| is_empty && looked.duration_since(since) > self.grace);
            if self.over || self.dropped.is_some() || !self.ready.is_empty() {
                break;
            }
            self.tick(now)?;
            self.wait()?;
        }
        Ok(())
    }

    /// Takes a batch of packets from the ring; returns whether it is empty now.
    fn drain(&mut self) -> bool {
        while self.ready.len() < BATCH {
            match self.capture.next_packet() {
                Ok(packet) => {
                    // With nanosecond precision `tv_usec` counts these.
                    let (seconds, nanos) = (packet.header.ts.tv_sec, packet.header.ts.tv_usec);
                    self.latest = Timestamp::from_parts(seconds, nanos as u32);
                    if self.stopping.is_some_and(|(since, _)| self.latest > since) {
                        self.over = true;
                        return true;
                    }
                    put_record(&mut self.ready, &packet);
                }
                Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) => return true,
                Err(error) => {
                    self.lost = Some(Lost(super::text(error)));
                    self.over = true;
                    return true;
                }
            }
        }
        false
    }

    /// Reads the kernel's counters.
    fn count(&mut self) {
        let until = now();
        let Ok(stats) = self.capture.stats() else {
            return;
        };
        let before = self.counter.get();
        let [dropped, by_interface] = self.said;
        // libpcap counts packets on loopback twice.
        let counts = LiveCounts {
            dropped: before.dropped + more(dropped, stats.dropped),
            dropped_by_interface: before.dropped_by_interface
                + more(by_interface, stats.if_dropped),
        };
        self.said = [stats.dropped, stats.if_dropped];
        self.counter.set(counts);
        let packets = counts.total() - before.total();
        if packets > 0 {
            self.dropped = Some(Dropped { packets, until });
        }
    }

    /// Returns a tick if it is due: everything up to `now` was read, except
    /// what the kernel has not delivered.
    fn tick(&mut self, now: Timestamp) -> Result<(), Meanwhile> {
        if self.last_tick.elapsed() < TICK {
            return Ok(());
        }
        self.last_tick = Instant::now();
        let grace = i64::try_from(self.grace.as_nanos()).unwrap_or(0);
        let come = Timestamp::from_nanos(now.nanos().saturating_sub(grace));
        Err(Meanwhile::Tick(come))
    }

    /// Waits for packets, a signal, or the next tick.
    fn wait(&self) -> io::Result<()> {
        let patience = match self.stopping {
            None => TICK.saturating_sub(self.last_tick.elapsed()),
            Some(_) => self.grace / 10,
        };
        let patience = Timespec::try_from(patience).unwrap_or_default();
        let mut wait = [PollFd::from_borrowed_fd(
            self.capture.as_fd(),
            PollFlags::IN,
        )];
        match poll(&mut wait, Some(&patience)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read for Live {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ready.len() {
            // While there is always more to read, this is capture time.
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
        if length == 0
            && let Some(lost) = self.lost.take()
        {
            return Err(lost.into());
        }
        buffer[..length].copy_from_slice(&ready[..length]);
        self.taken += length;
        Ok(length)
    }
}

/// The increase of a counter that wraps after 2³²−1. A counter that has
/// decreased, because a driver was reloaded, has not increased.
fn more(before: u32, now: u32) -> u64 {
    match now.wrapping_sub(before) {
        grown if grown <= u32::MAX / 2 => grown.into(),
        _ => 0,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_begin_again() {
        assert_eq!(more(0, 0), 0);
        assert_eq!(more(3, 10), 7);
        assert_eq!(more(u32::MAX - 1, 4), 6);
        assert_eq!(more(1_000, 0), 0);
    }
}

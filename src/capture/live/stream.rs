//! Reading an open interface: packets as a pcap file would hold them, and what
//! is to be told between them.
//!
//! ```text
//! poll ─→ drain the ring ─→ count drops ─→ bytes | Dropped | Tick
//!  └──────── nothing ready: wait ─────────────┘
//! ```
//!
//! **Never a blocking read.** libpcap may wait past its own time-out on a quiet
//! link. So it never waits here: the socket is polled, and between two polls a
//! request to stop is looked at.
//!
//! **Time.** Every packet up to a time *t* has been read when the ring was found
//! empty at *t*, except for those in the block that the kernel has not handed
//! over yet: `grace` is for these. While there is always more to read, capture
//! time is that of the packets. Either way it is told every [`TICK`].
//!
//! **Drops.** The kernel only counts them. They are said before the packets that
//! were read with them, for those may come after; and they are said to go up to
//! the time of counting, for a full ring holds packets from before the loss.
//!
//! **The end.** What was captured before the request to stop is still handed on:
//! until a packet comes that is later, or the ring is empty and the kernel has
//! had its time to hand over the rest. A flood does not keep the program alive.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::Active;

use crate::time::Timestamp;

use super::super::item::Dropped;
use super::super::meanwhile::{Lost, Meanwhile};

/// How often the time is told.
const TICK: Duration = Duration::from_millis(100);
/// How long a packet may be in the kernel's hands, besides the time after which a
/// block is handed over: several ticks of a slow timer, and being scheduled.
const GRACE: Duration = Duration::from_millis(50);
/// Bytes that are made ready at once.
const BATCH: usize = 256 << 10;

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
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, counts: LiveCounts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }
}

/// An interface being read.
pub(super) struct Live {
    capture: pcap::Capture<Active>,
    /// Bytes of the pcap stream, and how many of them were taken.
    ready: Vec<u8>,
    taken: usize,
    /// To be told before them.
    dropped: Option<Dropped>,
    /// Time of the latest packet.
    latest: Timestamp,
    last_tick: Instant,
    /// How long a packet may be in the kernel's hands.
    grace: Duration,
    counter: LiveCounter,
    /// What libpcap said last: dropped, and by the interface.
    said: [u32; 2],
    stop: Arc<AtomicBool>,
    /// When the request to stop was seen: by the clock of the packets, and by
    /// one that nobody sets.
    stopping: Option<(Timestamp, Instant)>,
    /// Everything has been handed on.
    over: bool,
    /// Why the interface can be read no more, to be told after that.
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

    /// Makes what has come ready to be taken, and waits until something has.
    /// Nothing is ready when the capture is over.
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

    /// Takes packets from the ring, as many as make a batch; whether it is
    /// empty now.
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

    /// Looks at what the kernel has counted.
    fn count(&mut self) {
        let until = now();
        let Ok(stats) = self.capture.stats() else {
            return;
        };
        let before = self.counter.get();
        let [dropped, by_interface] = self.said;
        // Of libpcap's own count of packets, those on loopback are twice.
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

    /// Tells the time, if it is time to: everything up to `now` was read, but
    /// for what the kernel still has in its hands.
    fn tick(&mut self, now: Timestamp) -> Result<(), Meanwhile> {
        if self.last_tick.elapsed() < TICK {
            return Ok(());
        }
        self.last_tick = Instant::now();
        let grace = i64::try_from(self.grace.as_nanos()).unwrap_or(0);
        let come = Timestamp::from_nanos(now.nanos().saturating_sub(grace));
        Err(Meanwhile::Tick(come))
    }

    /// Waits for packets, for a signal, or until it is time to tell the time.
    fn wait(&self) -> io::Result<()> {
        let patience = match self.stopping {
            None => TICK.saturating_sub(self.last_tick.elapsed()),
            Some(_) => self.grace / 10,
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

/// By how much a count has grown that begins again after 2³²−1. One that has
/// gone back, because a driver was loaded again, has not grown.
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

//! Interim reports (`--every`) and metrics (`--listen`) while a capture grows.
//!
//! ```text
//! Watch::time(now) ─→ an interval that has passed ─→ the command's summary
//! Watch::push(output) ─→ metrics        Watch::settle ─→ sums of the ledger
//! ```
//!
//! Intervals are in capture time: packet timestamps, and the clock while there
//! are no packets. So a file gives the same reports as the live capture did.

use std::net::SocketAddr;
use std::time::Duration;

use mqttdump::facts::{Fact, Facts, Needs, Sink};
use mqttdump::rules::Tally;
use mqttdump::time::Timestamp;

use super::args::{Output as OutputArgs, Watching};
#[cfg(feature = "metrics")]
use super::counts::Counts;
use super::source::{Opened, Source};
use super::surroundings::{Stdin, Surroundings};

/// Validated options of watching.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchPlan {
    every: Option<Duration>,
    listen: Option<SocketAddr>,
    /// The input may still be growing.
    pub(crate) endless: bool,
}

impl WatchPlan {
    pub(crate) fn new(
        typed: &Watching,
        every: Option<Duration>,
        captures: &[Source],
        output: &OutputArgs,
        around: &Surroundings<'_>,
    ) -> Result<Self, String> {
        let grows = captures.iter().any(Source::is_growing);
        let piped = around.stdin != Stdin::File && captures.iter().any(Source::is_piped);
        let listen = typed.listen.as_deref().map(listen_address).transpose()?;
        if listen.is_some() && (captures.len() > 1 || !grows && !piped) {
            return Err(
                "--listen needs one capture that is still growing: an interface (-i), a file (--follow) or a pipe (-)"
                    .into(),
            );
        }
        // Output is read while it is written.
        let seen = output.line_buffered || around.stdout_terminal;
        Ok(Self {
            every,
            listen,
            endless: grows || every.is_some() || listen.is_some() || (piped && seen),
        })
    }

    /// Whether it needs frames.
    pub(crate) fn needs_frames(&self) -> bool {
        self.listen.is_some()
    }
}

#[cfg(feature = "metrics")]
fn listen_address(typed: &str) -> Result<SocketAddr, String> {
    super::listen::address(typed)
}

#[cfg(not(feature = "metrics"))]
fn listen_address(_: &str) -> Result<SocketAddr, String> {
    Err("this program was built without metrics: build it with the feature 'metrics'".into())
}

/// A range of capture time that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// The interval was cut short by the end of the capture.
    pub(crate) is_cut: bool,
}

/// State of watching.
#[derive(Default)]
pub(crate) struct Watch {
    every: Option<Duration>,
    /// Start of the current interval.
    from: Option<Timestamp>,
    #[cfg(feature = "metrics")]
    listener: Option<super::listen::Listener>,
    #[cfg(feature = "metrics")]
    metrics: Option<mqttdump::metrics::Metrics>,
    /// Returns the kernel's drop counts.
    #[cfg(feature = "metrics")]
    drops: Option<Box<dyn Fn() -> Counts>>,
    /// When metrics are settled again: not before this capture time and this
    /// moment.
    #[cfg(feature = "metrics")]
    settle: (Timestamp, Option<std::time::Instant>),
}

/// Interval at which sums are passed on to metrics: much shorter than any
/// scrape interval.
#[cfg(feature = "metrics")]
const SETTLE: Duration = Duration::from_millis(250);
/// Settling goes through all open connections. If it takes longer than this, it
/// may take at most this fraction of the time.
#[cfg(feature = "metrics")]
const QUICK: (Duration, u32) = (Duration::from_micros(500), 20);

impl Watch {
    /// Binds the address of `--listen`. Call it before privileges are dropped.
    pub(crate) fn new(plan: &WatchPlan) -> Result<Self, String> {
        #[cfg(feature = "metrics")]
        let listener = plan.listen.map(super::listen::Listener::bind).transpose()?;
        Ok(Self {
            every: plan.every,
            from: None,
            #[cfg(feature = "metrics")]
            metrics: listener.is_some().then(mqttdump::metrics::Metrics::new),
            #[cfg(feature = "metrics")]
            listener,
            #[cfg(feature = "metrics")]
            drops: None,
            #[cfg(feature = "metrics")]
            settle: (Timestamp::MIN, None),
        })
    }

    /// Starts to serve metrics. Call it after privileges were dropped.
    pub(crate) fn start(&mut self, opened: &Opened) -> Result<(), String> {
        #[cfg(feature = "metrics")]
        {
            self.drops = opened.counter();
        }
        #[cfg(not(feature = "metrics"))]
        let _ = opened;
        #[cfg(feature = "metrics")]
        if let (Some(listener), Some(metrics)) = (self.listener.take(), &self.metrics) {
            let address = listener.serve(metrics.exposition())?;
            super::console::complain(&format!("metrics at http://{address}/metrics"));
        }
        Ok(())
    }

    /// Capture time has reached `now`: returns the interval that has passed, if any.
    /// Several intervals without packets are joined.
    pub(crate) fn time(&mut self, now: Timestamp) -> Option<Interval> {
        let step = u64::try_from(self.every?.as_nanos()).ok()?;
        let from = *self.from.get_or_insert(now);
        let passed = u64::try_from(now.since(from).as_nanos()).ok()? / step;
        if passed == 0 {
            return None;
        }
        let nanos = i64::try_from(passed.saturating_mul(step)).unwrap_or(i64::MAX);
        let to = Timestamp::from_nanos(from.nanos().saturating_add(nanos));
        self.from = Some(to);
        Some(Interval {
            from,
            to,
            is_cut: false,
        })
    }

    /// The last interval, cut short by the end.
    pub(crate) fn rest(&self, now: Timestamp) -> Option<Interval> {
        let from = self.from.filter(|from| *from < now)?;
        self.every.map(|_| Interval {
            from,
            to: now,
            is_cut: true,
        })
    }

    /// Passes sums on to metrics, if due.
    #[inline]
    pub(crate) fn settle(&mut self, now: Option<Timestamp>, facts: &Facts, tally: Option<&Tally>) {
        #[cfg(feature = "metrics")]
        if self.metrics.is_some() && now.is_some_and(|now| now >= self.settle.0) {
            self.settle_now(now, facts, tally);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = (now, facts, tally);
    }

    /// The same, before a wait for input.
    pub(crate) fn settle_now(
        &mut self,
        now: Option<Timestamp>,
        facts: &Facts,
        tally: Option<&Tally>,
    ) {
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &mut self.metrics {
            let begun = std::time::Instant::now();
            if self.settle.1.is_some_and(|next| begun < next) {
                return;
            }
            if let Some(now) = now {
                let nanos = now.nanos().saturating_add(SETTLE.as_nanos() as i64);
                self.settle.0 = Timestamp::from_nanos(nanos);
            }
            if let Some(tally) = tally {
                metrics.findings(tally);
            }
            if let Some(counts) = self.drops.as_ref().map(|drops| drops()) {
                metrics.dropped(counts.dropped, counts.dropped_by_interface);
            }
            metrics.settle(now, facts.summary().mqtt_connections);
            let (quick, share) = QUICK;
            let took = begun.elapsed();
            self.settle.1 = begun.checked_add(took * share).filter(|_| took > quick);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = (now, facts, tally);
    }
}

impl Sink for Watch {
    fn needs(&self) -> Needs {
        #[cfg(feature = "metrics")]
        return self.metrics.needs();
        #[cfg(not(feature = "metrics"))]
        Needs::NONE
    }

    #[inline]
    fn fact(&mut self, fact: Fact<'_>) {
        #[cfg(feature = "metrics")]
        self.metrics.fact(fact);
        #[cfg(not(feature = "metrics"))]
        let _ = fact;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn intervals_follow_each_other_and_begin_with_the_first_packet() {
        let mut watch = Watch::new(&WatchPlan {
            every: Some(Duration::from_secs(1)),
            ..WatchPlan::default()
        })
        .unwrap();
        let between = |from, to| {
            Some(Interval {
                from: at(from),
                to: at(to),
                is_cut: false,
            })
        };
        assert_eq!(watch.time(at(5_300)), None);
        assert_eq!(watch.time(at(6_299)), None);
        assert_eq!(watch.time(at(6_300)), between(5_300, 6_300));
        // No packets for some time, then the clock was set back.
        assert_eq!(watch.time(at(10_100)), between(6_300, 9_300));
        assert_eq!(watch.time(at(2_000)), None);
        let rest = watch.rest(at(10_100)).unwrap();
        assert_eq!(
            (rest.from, rest.to, rest.is_cut),
            (at(9_300), at(10_100), true)
        );
    }
}

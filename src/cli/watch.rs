//! What commands do besides while they watch something that is not over:
//! summaries on an interval (`--every`), and figures for others (`--listen`).
//!
//! ```text
//! Watch::time(now) ─→ an interval that has passed ─→ the command's summary
//! Watch::push(output) ─→ metrics        Watch::settle ─→ what is summed up
//! ```
//!
//! Intervals are of capture time: that of packets, and of the clock when none
//! come. So a file is summed up as it would have been when it was captured.

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

/// What to do besides.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchPlan {
    every: Option<Duration>,
    listen: Option<SocketAddr>,
    /// The input is not over, as far as one can tell.
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
                "--listen is for one capture that is not over: an interface (-i) or a pipe (-)"
                    .into(),
            );
        }
        // Somebody looks at each line when it comes.
        let seen = output.line_buffered || around.stdout_terminal;
        Ok(Self {
            every,
            listen,
            endless: grows || every.is_some() || listen.is_some() || (piped && seen),
        })
    }

    /// Whether it looks at frames.
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
    Err(
        "this program was built without figures for Prometheus: build it with the feature 'metrics'"
            .into(),
    )
}

/// A range of capture time that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// The end of the capture cut it short.
    pub(crate) is_cut: bool,
}

/// Does it.
#[derive(Default)]
pub(crate) struct Watch {
    every: Option<Duration>,
    /// When the interval began that is not over.
    from: Option<Timestamp>,
    #[cfg(feature = "metrics")]
    listener: Option<super::listen::Listener>,
    #[cfg(feature = "metrics")]
    metrics: Option<mqttdump::metrics::Metrics>,
    /// Tells what the kernel has dropped.
    #[cfg(feature = "metrics")]
    drops: Option<Box<dyn Fn() -> Counts>>,
    /// When metrics are to be settled again: in capture time, and not before that
    /// moment.
    #[cfg(feature = "metrics")]
    settle: (Timestamp, Option<std::time::Instant>),
}

/// Between two times that sums are passed on to metrics: much more often than
/// anybody scrapes.
#[cfg(feature = "metrics")]
const SETTLE: Duration = Duration::from_millis(250);
/// Settling goes through all open connections: where it takes longer than this,
/// it may take one part in so many of the time.
#[cfg(feature = "metrics")]
const QUICK: (Duration, u32) = (Duration::from_micros(500), 20);

impl Watch {
    /// Binds the address of `--listen`: before privileges are dropped.
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

    /// Begins to answer those who ask: after privileges were dropped.
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
            super::console::complain(&format!("figures at http://{address}/metrics"));
        }
        Ok(())
    }

    /// Capture time has come to `now`: the interval that has passed with it.
    /// Several without a packet are one.
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

    /// The interval that the end cuts short.
    pub(crate) fn rest(&self, now: Timestamp) -> Option<Interval> {
        let from = self.from.filter(|from| *from < now)?;
        self.every.map(|_| Interval {
            from,
            to: now,
            is_cut: true,
        })
    }

    /// Passes on to metrics what is summed up, if it is time.
    #[inline]
    pub(crate) fn settle(&mut self, now: Option<Timestamp>, facts: &Facts, tally: Option<&Tally>) {
        #[cfg(feature = "metrics")]
        if self.metrics.is_some() && now.is_some_and(|now| now >= self.settle.0) {
            self.settle_now(now, facts, tally);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = (now, facts, tally);
    }

    /// The same before nothing may come for a while.
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
        // Nothing came for long, and then the clock was set back.
        assert_eq!(watch.time(at(10_100)), between(6_300, 9_300));
        assert_eq!(watch.time(at(2_000)), None);
        let rest = watch.rest(at(10_100)).unwrap();
        assert_eq!(
            (rest.from, rest.to, rest.is_cut),
            (at(9_300), at(10_100), true)
        );
    }
}

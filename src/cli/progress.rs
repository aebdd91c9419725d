//! A progress bar on standard error. It appears after half a second, so that
//! short runs stay silent.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Reading takes this long before the bar is drawn.
const PATIENCE: Duration = Duration::from_millis(500);
/// Packets between two checks of the clock.
const STEP: u32 = 4096;

/// State of the progress bar.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
    until_look: u32,
}

impl Progress {
    pub(crate) fn new(wanted: bool) -> Self {
        Self {
            bar: wanted.then(ProgressBar::hidden),
            begun: Instant::now(),
            until_look: STEP,
        }
    }

    /// A packet was read. `position` returns the bytes read and the total, and is
    /// called rarely.
    pub(crate) fn step(&mut self, position: impl FnOnce() -> (u64, Option<u64>)) {
        let Some(bar) = &self.bar else { return };
        self.until_look -= 1;
        if self.until_look > 0 {
            return;
        }
        self.until_look = STEP;
        if self.begun.elapsed() < PATIENCE {
            return;
        }
        let (read, Some(size)) = position() else {
            self.bar = None;
            return;
        };
        if bar.is_hidden() {
            bar.set_length(size);
            bar.set_style(style());
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        }
        bar.set_position(read.min(size));
    }

    /// Removes the bar.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

//! Options for captures that are still growing.

use std::time::Duration;

use clap::Args;

use super::value;

/// Metrics.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "While capturing")]
pub(crate) struct Watching {
    /// Serve metrics for Prometheus at http://ADDRESS:PORT/metrics
    ///
    /// For captures that are still growing: an interface (-i), a file (--follow) or
    /// a pipe. A port alone listens on 127.0.0.1; give an address to listen on
    /// others.
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    pub(crate) listen: Option<String>,
}

/// Interim reports.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "While capturing")]
pub(crate) struct Interim {
    /// Print an interim report every TIME of the capture: 500ms, 10s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub(crate) every: Option<Duration>,
}

//! `mqttdump sessions`: one line per connection.

use std::io;

use clap::Args;
use mqttdump::report::sessions::table;
use mqttdump::sessions::Sessions;

use super::args::{Captures, Output as OutputArgs, Watching};
use super::command::{Command, Exit};
use super::driver::{Driver, Job};
use super::output::Output;
use super::reading::{Reading, Verb};
use super::stop::Stop;
use super::surroundings::Surroundings;

/// Options of `sessions`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    captures: Captures,

    #[command(flatten)]
    watching: Watching,

    #[command(flatten)]
    output: OutputArgs,
}

impl Command for SessionsArgs {
    const NAME: &'static str = "sessions";
    const ABOUT: &'static str = "List the connections: who, how long, how they ended";
    const USAGE: &'static str = "mqttdump sessions [OPTIONS] FILE...";
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("mqttdump sessions capture.pcap", "one line per connection")];
    const SHORT_HELP: &'static [&'static str] = &["read", "interface", "filter"];

    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        let verb = Verb {
            command: Self::NAME,
            verb: "list",
        };
        let reading = Reading::of_command(
            &self.captures,
            &self.watching,
            None,
            &self.output,
            around,
            verb,
        )?;
        let mut driver = Driver::new(&reading)?;
        let mut out = Output::new(io::stdout().lock(), reading.line_buffered);
        let mut whole = true;
        for source in &reading.captures {
            let mut job = SessionsJob(Sessions::default());
            whole &= driver.read(source, &mut job)?.whole;
            table(job.0.iter(), &mut out.lines);
            out.settle()?;
        }
        out.flush()?;
        whole &= driver.finish();
        Ok(Exit::success(whole))
    }
}

struct SessionsJob(Sessions);

impl Job for SessionsJob {
    type Sink = Sessions;

    fn sink(&mut self) -> &mut Sessions {
        &mut self.0
    }
}

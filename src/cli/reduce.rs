//! `mqttdump reduce`: the smallest capture found that still gives a finding.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args, ValueHint};
use mqttdump::capture::{Block, Capture, Item, Options, Packet, Plan, Writer};
use mqttdump::engine::{self, Decode};
use mqttdump::limits;
use mqttdump::net::Endpoint;
use mqttdump::packet::CapturedPacket;
use mqttdump::reduce::{
    self, Attempts, Conditions, Goal, Refused, Sample, Samples, Survey, Surveyed, Trial, minimise,
};
use mqttdump::rules::{self, Rule, Tally};

use super::args::value;
use super::command::{Command, Exit};
use super::console::{complain, counted};
use super::explain::unknown;
use super::keylog::{KeyLogPlan, TLS_KEY_LOG};
use super::output;
use super::reread::{each_item, regular_file, spare};
use super::sandbox::Sandbox;
use super::save::OutputFile;
use super::stop::Stop;
use super::surroundings::Surroundings;

/// Options of `reduce`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ReduceArgs {
    /// The capture: pcap or pcapng, which may be compressed
    #[arg(value_name = "FILE", help_heading = "Input", value_hint = ValueHint::FilePath,
          required = true)]
    file: PathBuf,

    /// Decrypt TLS with the keys in this file (NSS key log format)
    #[arg(long, value_name = "FILE", help_heading = "Input", value_hint = ValueHint::FilePath)]
    tls_keylog: Option<PathBuf>,

    /// Decode this TCP port as MQTT (mqtt), MQTT over TLS (mqtts), over
    /// WebSocket (ws) or over both (wss)
    #[arg(long, value_name = "PORT=PROTOCOL", help_heading = "Input",
          action = ArgAction::Append, value_parser = value::decode)]
    decode: Vec<(u16, Decode)>,

    /// Look for MQTT only on ports 1883, 8883 and those of --decode
    #[arg(long, help_heading = "Input")]
    only_known_ports: bool,

    /// Keep a finding of this rule, and of the others that are separated by commas
    ///
    /// Of each rule, the first finding with its strongest verdict is kept: the result has
    /// a finding of the same rule with the same verdict about the same side, in one of
    /// the same packets.
    #[arg(long, value_name = "RULES", help_heading = "Reduction", value_delimiter = ',',
          action = ArgAction::Append, required = true)]
    keep: Vec<String>,

    /// Start no other trial after this time
    #[arg(long, value_name = "TIME", help_heading = "Reduction", default_value = "60s",
          value_parser = value::duration)]
    budget: Duration,

    /// Assume that the capture has every connection of these clients, as in check
    #[arg(long, help_heading = "Checking")]
    complete: bool,

    /// Time after which a missing answer or delivery is reported
    #[arg(long, value_name = "TIME", help_heading = "Checking", default_value = "20s",
          value_parser = value::duration)]
    patience: Duration,

    /// Treat two addresses as one server, as ADDRESS:PORT=ADDRESS:PORT. Repeatable
    #[arg(long, value_name = "A=B", help_heading = "Checking", action = ArgAction::Append,
          value_parser = value::endpoints)]
    same_server: Vec<(Endpoint, Endpoint)>,

    /// Write the reduced capture to this file; pcapng if it ends in .pcapng
    #[arg(short = 'w', long = "write", value_name = "OUT", help_heading = "Output",
          value_hint = ValueHint::FilePath, required = true)]
    write: PathBuf,
}

impl Command for ReduceArgs {
    const NAME: &'static str = "reduce";
    const ABOUT: &'static str = "Write the smallest capture found that still gives a finding";
    const DESCRIPTION: &'static str = "\
Leaves out connections, then exchanges and control packets, then captured packets, as long as `check` still has the \
same finding: the same rule, verdict and side. Control packets are cut out of their TCP stream, whose sequence \
numbers, lengths and checksums are adjusted; connections over TLS and WebSocket lose whole packets alone. Prints what \
was left out. To share the result, redact it afterwards.";
    const USAGE: &'static str = "mqttdump reduce [OPTIONS] --keep RULES -w OUT FILE";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "mqttdump reduce --keep dup-with-qos-0 -w small.pcap a.pcap",
            "some packets that show the finding",
        ),
        (
            "mqttdump reduce --budget 10m --keep unacked-publish -w small.pcap a.pcap.gz",
            "try longer",
        ),
    ];
    const SHORT_HELP: &'static [&'static str] = &["write", "keep", "budget"];

    fn run(self, _around: &Surroundings<'_>) -> Result<Exit, Stop> {
        regular_file(&self.file, Self::NAME)?;
        spare(
            [Some(&self.file), self.tls_keylog.as_ref()],
            [Some(&self.write)],
        )?;
        let known = |id: &String| rules::find(id).ok_or_else(|| unknown(id));
        let wanted: Vec<&Rule> = self.keep.iter().map(known).collect::<Result<_, _>>()?;
        let keys = KeyLogPlan::new(self.tls_keylog.as_deref());
        let mut engine = engine::Config {
            only_known_ports: self.only_known_ports,
            expects_keys: keys.is_given(),
            ..engine::Config::default()
        };
        engine.ports.extend(self.decode.iter().copied());
        let conditions = Conditions {
            engine,
            rules: rules::Options {
                complete: self.complete,
                patience: self.patience,
                same_server: self.same_server.clone(),
                ..rules::Options::default()
            },
            secrets: keys.open()?.read_all(limits::REDUCED_SECRETS)?,
        };
        let mut sandbox = Sandbox::reading([self.file.as_path()]);
        sandbox.confine(false, [Some(self.write.as_path())]);
        sandbox.enter();
        let mut run = Run {
            args: &self,
            conditions,
            before: Amount::default(),
            is_whole: true,
        };
        run.all(wanted)
    }
}

/// How much there is.
#[derive(Clone, Debug, Default)]
struct Amount {
    connections: BTreeSet<u32>,
    packets: u64,
    bytes: u64,
}

impl Amount {
    fn add(&mut self, connection: u32, packet: &CapturedPacket<'_>) {
        if connection > 0 {
            self.connections.insert(connection);
        }
        self.packets += 1;
        self.bytes += packet.data.len() as u64;
    }
}

/// What is kept of the capture.
enum Kept {
    /// All packets of these connections, which are too many to keep in memory.
    Connections(Vec<u32>),
    /// These packets.
    Samples(Vec<Sample>),
}

struct Run<'a> {
    args: &'a ReduceArgs,
    conditions: Conditions,
    before: Amount,
    is_whole: bool,
}

impl Run<'_> {
    fn all(&mut self, wanted: Vec<&'static Rule>) -> Result<Exit, Stop> {
        let surveyed = self.survey(wanted)?;
        let begun = Instant::now();
        let budget = self.args.budget;
        let mut may_go_on = || begun.elapsed() < budget;
        let mut attempts = Attempts::new(&mut may_go_on);
        let connections = self.connections(&surveyed, &mut attempts)?;
        let kept = match self.load(&surveyed, &connections)? {
            Some(samples) => {
                let secrets = reduce::needed_secrets(&self.conditions.secrets, &samples);
                self.conditions.secrets = secrets;
                let goals = &surveyed.goals;
                let samples = reduce::reduce(&self.conditions, goals, samples, &mut attempts);
                Kept::Samples(samples)
            }
            None => Kept::Connections(connections),
        };
        let after = self.write(&surveyed, &kept)?;
        let mut text = self.report(&surveyed.goals, &after);
        text += &format!("{}\n", counted(attempts.made, "trial"));
        output::print(text.as_bytes())?;
        if attempts.are_over {
            complain("out of time: a longer --budget may leave out more");
        }
        if let Kept::Connections(_) = kept {
            complain(&format!(
                "more than {} MiB are left: only connections were left out",
                limits::REDUCED_BYTES >> 20
            ));
        }
        if !self.is_whole {
            complain(&format!(
                "{}: cut off; what precedes is reduced",
                self.args.file.display()
            ));
        }
        Ok(Exit::success(self.is_whole))
    }

    /// The first reading.
    fn survey(&mut self, wanted: Vec<&'static Rule>) -> Result<Surveyed, Stop> {
        let name = self.args.file.display();
        let refused = |error: Refused| match error {
            Refused::Absent(rule, tally) => Stop::Failed(format!(
                "{name}: no finding of the rule {rule}; {}",
                found(&tally)
            )),
            error @ Refused::TooManyPackets => Stop::Failed(format!("{name}: {error}")),
        };
        let mut survey = Survey::new(&self.conditions, wanted);
        survey.secrets(&self.conditions.secrets);
        let (before, secrets) = (&mut self.before, &mut self.conditions.secrets);
        self.is_whole = each_item(&self.args.file, |item| match item {
            Item::Packet(packet) => {
                before.add(0, &packet.packet);
                survey.push(&packet.packet).map_err(refused)
            }
            Item::Block(Block::Secrets { kind, data, .. }) if kind == TLS_KEY_LOG => {
                survey.secrets(data);
                survey.secrets(b"\n");
                secrets.extend_from_slice(data);
                secrets.push(b'\n');
                match secrets.len() > limits::REDUCED_SECRETS {
                    true => Err(Stop::Failed(format!("{name}: too many TLS keys"))),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        })?;
        let surveyed = survey.finish().map_err(refused)?;
        let numbers = surveyed.connections.iter().copied();
        self.before.connections = numbers.filter(|number| *number > 0).collect();
        Ok(surveyed)
    }

    /// Leaves out connections; each trial reads the capture.
    fn connections(
        &self,
        surveyed: &Surveyed,
        attempts: &mut Attempts<'_>,
    ) -> Result<Vec<u32>, Stop> {
        let mut failure = None;
        let mut has = |numbers: &[u32]| {
            let mut trial = || {
                self.holds(surveyed, numbers)
                    .map_err(|stop| failure = Some(stop))
            };
            let mut made = Ok(false);
            let flow = attempts.make(|| {
                made = trial();
                made.is_ok_and(|holds| holds)
            });
            match made {
                Ok(_) => flow,
                Err(()) => ControlFlow::Break(()),
            }
        };
        let mut numbers: Vec<u32> = self.before.connections.iter().copied().collect();
        let evidence = surveyed.evidence();
        if matches!(has(&evidence), ControlFlow::Continue(true)) {
            numbers = evidence;
        }
        if numbers.len() > 1 {
            numbers = minimise(numbers, &mut has);
        }
        match failure {
            Some(stop) => Err(stop),
            None => Ok(numbers),
        }
    }

    fn holds(&self, surveyed: &Surveyed, numbers: &[u32]) -> Result<bool, Stop> {
        let mut trial = Trial::new(&self.conditions, &surveyed.goals);
        self.each_packet(surveyed, numbers, |packet| {
            trial.push(packet);
            Ok(())
        })?;
        Ok(trial.finish())
    }

    /// The packets of these connections, if they are few enough.
    fn load(&self, surveyed: &Surveyed, numbers: &[u32]) -> Result<Option<Vec<Sample>>, Stop> {
        let mut samples = Samples::up_to(limits::REDUCED_BYTES);
        self.each_packet(surveyed, numbers, |packet| {
            samples.push(packet);
            Ok(())
        })?;
        Ok(samples.all())
    }

    fn each_packet(
        &self,
        surveyed: &Surveyed,
        numbers: &[u32],
        mut each: impl FnMut(&CapturedPacket<'_>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        each_item(&self.args.file, |item| match item {
            Item::Packet(packet) => {
                let number = surveyed.connection(packet.packet.id);
                match numbers.binary_search(&number) {
                    Ok(_) => each(&packet.packet),
                    Err(_) => Ok(()),
                }
            }
            _ => Ok(()),
        })?;
        Ok(())
    }

    /// Writes what is kept.
    fn write(&self, surveyed: &Surveyed, kept: &Kept) -> Result<Amount, Stop> {
        let path = &self.args.write;
        let at = |error: io::Error| format!("{}: {error}", path.display());
        let mut plan = Plan::new(path, &[Capture::open(&self.args.file, 0)?]);
        plan.look_ahead(&[&self.args.file]);
        let (mut output, file) = OutputFile::create(path, true).map_err(at)?;
        match self.written(plan, file, surveyed, kept) {
            Ok(after) => {
                output.complete(false).map_err(at)?;
                Ok(after)
            }
            Err(stop) => {
                output.take_back(path);
                Err(stop)
            }
        }
    }

    fn written(
        &self,
        plan: Plan,
        file: File,
        surveyed: &Surveyed,
        kept: &Kept,
    ) -> Result<Amount, Stop> {
        let mut writer = Writer::later(plan);
        writer.next_file(&self.args.write, Ok(file))?;
        let mut after = Amount::default();
        let mut samples = match kept {
            Kept::Samples(samples) => samples.iter(),
            Kept::Connections(_) => [].iter(),
        }
        .peekable();
        each_item(&self.args.file, |item| match item {
            Item::Packet(packet) => {
                let number = surveyed.connection(packet.packet.id);
                let lent = match kept {
                    Kept::Connections(numbers) => {
                        numbers.binary_search(&number).ok().map(|_| packet.packet)
                    }
                    Kept::Samples(_) => samples
                        .next_if(|sample| sample.id == packet.packet.id)
                        .map(Sample::lend),
                };
                let Some(lent) = lent else { return Ok(()) };
                after.add(number, &lent);
                let options = packet.options.only(&PACKET_OPTIONS);
                Ok(writer.packet(&Packet {
                    packet: lent,
                    options: Options::new(&options, packet.options.order()),
                    ..packet
                })?)
            }
            Item::Block(block @ Block::Section { .. }) => Ok(writer.block(&block)?),
            Item::Block(Block::Secrets {
                kind,
                data,
                options,
            }) => {
                let needed = match kept {
                    Kept::Samples(samples) if kind == TLS_KEY_LOG => {
                        reduce::needed_secrets(data, samples)
                    }
                    Kept::Samples(_) => Vec::new(),
                    Kept::Connections(_) => data.to_vec(),
                };
                match needed.is_empty() {
                    true => Ok(()),
                    false => Ok(writer.block(&Block::Secrets {
                        kind,
                        data: &needed,
                        options,
                    })?),
                }
            }
            _ => Ok(()),
        })?;
        writer.finish()?;
        Ok(after)
    }

    fn report(&self, goals: &[Goal], after: &Amount) -> String {
        let mut text = String::new();
        for goal in goals {
            let by = goal
                .by
                .map_or_else(String::new, |by| format!(" by {}", by.name()));
            let verdict = goal.verdict.name().replace('_', " ");
            text += &format!("{}: {verdict}{by}, kept\n", goal.rule.id);
        }
        let left_out = |what: &str, before: u64, after: u64| {
            let all = counted(before, what);
            format!("{after} of {all} left\n")
        };
        let connections = |amount: &Amount| amount.connections.len() as u64;
        text += &left_out("connection", connections(&self.before), connections(after));
        text += &left_out("packet", self.before.packets, after.packets);
        text += &left_out("byte", self.before.bytes, after.bytes);
        text
    }
}

/// Options of packets that stay true: comment, flags, drop count, packet and queue
/// number, verdict; not the hash.
const PACKET_OPTIONS: [u16; 6] = [1, 2, 4, 5, 6, 7];

/// The findings of a capture, in words.
fn found(tally: &Tally) -> String {
    const MOST: usize = 8;
    let mut all: Vec<String> = tally
        .iter()
        .map(|it| format!("{} ({})", it.rule.id, it.verdict.name().replace('_', " ")))
        .collect();
    all.dedup();
    let more = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    match (all.is_empty(), more) {
        (true, _) => "it has no findings".to_owned(),
        (false, 0) => format!("it has {}", all.join(", ")),
        (false, more) => format!("it has {} and {more} more", all.join(", ")),
    }
}

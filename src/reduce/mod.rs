//! A small capture that still gives a finding, by delta debugging.
//!
//! ```text
//! capture ─Survey→ goals, connection of each packet
//!    │                 whole connections are left out, the capture being read again for each trial
//!    └─ what is left → reduce   exchanges and control packets: their bytes are cut out of TCP's
//!                               streams; then captured packets
//! ```
//! A [`Trial`] checks what is left; a part stays left out if every [`Goal`] is met. So
//! the result gives the findings by construction, whatever the parts have to do with
//! them. The parts that the evidence names are tried alone first, so that a fault in
//! hours of traffic takes a few trials.
//!
//! A control packet in the middle of a TCP stream cannot be left out as it is: a gap
//! would make most verdicts inconclusive. It is cut out, and sequence and
//! acknowledgement numbers, lengths and checksums are adjusted (`edit.rs`), where TCP
//! carries MQTT directly. Other connections lose captured packets alone.

mod edit;
mod minimise;
mod script;
mod secrets;

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::engine::Config;
use crate::event::Side;
use crate::facts::Facts;
use crate::limits;
use crate::packet::{CapturedPacket, LinkType, PacketRef};
use crate::rules::{self, Finding, Judge, Rule, Tally, Verdict};
use crate::time::Timestamp;

pub use minimise::minimise;
pub use secrets::needed as needed_secrets;

use edit::Cuts;
use script::{Message, Script};

/// How captures are read and checked.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// Of the engine.
    pub engine: Config,
    /// Of the check.
    pub rules: rules::Options,
    /// TLS keys, in the NSS key log format.
    pub secrets: Vec<u8>,
}

/// A finding that has to be found again.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The rule.
    pub rule: &'static Rule,
    /// With this verdict.
    pub verdict: Verdict,
    /// By this side.
    pub by: Option<Side>,
    /// Its packets. A finding meets the goal if it names one of them, so that another
    /// fault, which comes from leaving something out, is not taken for it.
    pub packets: Vec<PacketRef>,
}

impl Goal {
    fn is_met_by(&self, finding: &Finding) -> bool {
        std::ptr::eq(self.rule, finding.rule)
            && self.verdict == finding.verdict
            && self.by == finding.by
            && (self.packets.is_empty()
                || finding.packets.iter().any(|it| self.packets.contains(it)))
    }
}

/// A check of some packets of a capture, until all goals are met.
#[derive(Debug)]
pub struct Trial<'a> {
    facts: Facts,
    judge: Judge,
    /// Goals that are not met so far.
    left: Vec<&'a Goal>,
}

impl<'a> Trial<'a> {
    /// Before the first packet.
    pub fn new(conditions: &Conditions, goals: &'a [Goal]) -> Self {
        let judge = Judge::new(conditions.rules.clone());
        let options = conditions.rules.facts();
        let mut facts = Facts::new(conditions.engine.clone(), options, &judge);
        if !conditions.secrets.is_empty() {
            facts.expect_secrets();
            facts.secrets(&conditions.secrets);
        }
        Self {
            facts,
            judge,
            left: goals.iter().collect(),
        }
    }

    /// Reads a packet. Returns whether all goals are met, so that no more need be read.
    pub fn push(&mut self, packet: &CapturedPacket<'_>) -> bool {
        self.facts.push(packet, &mut self.judge);
        self.judge.has_finished() && self.is_met()
    }

    /// Whether all goals are met, after the last packet.
    pub fn finish(mut self) -> bool {
        self.left.is_empty() || {
            self.facts.finish(&mut self.judge);
            self.is_met()
        }
    }

    fn is_met(&mut self) -> bool {
        for finding in self.judge.take_finished() {
            self.left.retain(|goal| !goal.is_met_by(&finding));
        }
        self.left.is_empty()
    }
}

/// The first reading of a capture: its findings, and the connection of each packet.
#[derive(Debug)]
pub struct Survey {
    facts: Facts,
    judge: Judge,
    wanted: Vec<&'static Rule>,
    goals: Vec<Goal>,
    connections: Vec<u32>,
    /// How many packets may be read.
    most: usize,
}

/// What the first reading shows.
#[derive(Clone, Debug, Default)]
pub struct Surveyed {
    /// For each wanted rule, the first of its findings with the strongest verdict.
    pub goals: Vec<Goal>,
    /// For each packet the number of its TCP connection; 0 for other packets.
    pub connections: Vec<u32>,
}

/// Why a capture is not reduced.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It has no finding of the rule; here are those that it has.
    #[error("no finding of the rule {0}")]
    Absent(&'static str, Tally),
    /// More than [`limits::REDUCED_PACKETS`].
    #[error(
        "more than {} packets: save some connections with -w first",
        limits::REDUCED_PACKETS
    )]
    TooManyPackets,
}

impl Survey {
    /// For findings of these rules.
    pub fn new(conditions: &Conditions, wanted: Vec<&'static Rule>) -> Self {
        let judge = Judge::new(conditions.rules.clone());
        let options = conditions.rules.facts();
        Self {
            facts: Facts::new(conditions.engine.clone(), options, &judge),
            judge,
            wanted,
            goals: Vec::new(),
            connections: Vec::new(),
            most: limits::REDUCED_PACKETS,
        }
    }

    /// Adds TLS keys.
    pub fn secrets(&mut self, text: &[u8]) {
        self.facts.expect_secrets();
        self.facts.secrets(text);
    }

    /// Reads the next packet of a file.
    ///
    /// # Errors
    ///
    /// [`Refused::TooManyPackets`].
    pub fn push(&mut self, packet: &CapturedPacket<'_>) -> Result<(), Refused> {
        if self.connections.len() >= self.most {
            return Err(Refused::TooManyPackets);
        }
        let placed = self.facts.push(packet, &mut self.judge);
        let number = placed
            .connection
            .and_then(|number| u32::try_from(number).ok());
        let number = number.unwrap_or(0);
        for fragment in placed.fragments {
            if let Some(earlier) = place(*fragment).and_then(|at| self.connections.get_mut(at)) {
                *earlier = number;
            }
        }
        self.connections.push(number);
        if self.judge.has_finished() {
            self.collect();
        }
        Ok(())
    }

    /// The capture has ended.
    ///
    /// # Errors
    ///
    /// [`Refused::Absent`].
    pub fn finish(mut self) -> Result<Surveyed, Refused> {
        self.facts.finish(&mut self.judge);
        self.collect();
        for rule in &self.wanted {
            if !self.goals.iter().any(|goal| std::ptr::eq(goal.rule, *rule)) {
                return Err(Refused::Absent(rule.id, self.judge.tally().clone()));
            }
        }
        Ok(Surveyed {
            goals: self.goals,
            connections: self.connections,
        })
    }

    fn collect(&mut self) {
        for finding in self.judge.take_finished() {
            if !self
                .wanted
                .iter()
                .any(|rule| std::ptr::eq(*rule, finding.rule))
            {
                continue;
            }
            let goal = Goal {
                rule: finding.rule,
                verdict: finding.verdict,
                by: finding.by,
                packets: finding.packets,
            };
            let same = |it: &&mut Goal| std::ptr::eq(it.rule, goal.rule);
            match self.goals.iter_mut().find(same) {
                Some(known) if known.verdict >= goal.verdict => {}
                Some(known) => *known = goal,
                None => self.goals.push(goal),
            }
        }
    }
}

impl Surveyed {
    /// The connection of a packet; 0 if it has none.
    pub fn connection(&self, packet: PacketRef) -> u32 {
        place(packet)
            .and_then(|at| self.connections.get(at))
            .map_or(0, |number| *number)
    }

    /// The connections that the evidence names.
    pub fn evidence(&self) -> Vec<u32> {
        let packets = self.goals.iter().flat_map(|goal| &goal.packets);
        let mut numbers: Vec<u32> = packets.map(|it| self.connection(*it)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.retain(|number| *number > 0);
        numbers
    }
}

/// Index of a packet in its file.
fn place(packet: PacketRef) -> Option<usize> {
    usize::try_from(packet.number.checked_sub(1)?).ok()
}

/// The trials: how many were made, and whether there may be another.
pub struct Attempts<'a> {
    may_go_on: &'a mut dyn FnMut() -> bool,
    /// How many were made.
    pub made: u64,
    /// The last one was not made any more.
    pub are_over: bool,
}

impl<'a> Attempts<'a> {
    /// Asks before each trial whether there may be another.
    pub fn new(may_go_on: &'a mut dyn FnMut() -> bool) -> Self {
        Self {
            may_go_on,
            made: 0,
            are_over: false,
        }
    }

    /// Makes another, if there may be one.
    pub fn make(&mut self, trial: impl FnOnce() -> bool) -> ControlFlow<(), bool> {
        if self.are_over || !(self.may_go_on)() {
            self.are_over = true;
            return ControlFlow::Break(());
        }
        self.made += 1;
        ControlFlow::Continue(trial())
    }
}

/// A packet of the result: a captured one, from which bytes may be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which packet of the capture it is.
    pub id: PacketRef,
    /// When it was captured.
    pub time: Timestamp,
    /// Link type of its first header.
    pub link_type: LinkType,
    /// Bytes on the wire.
    pub original_len: u32,
    /// Bytes captured.
    pub data: Vec<u8>,
}

impl Sample {
    /// A copy of a packet.
    pub fn of(packet: &CapturedPacket<'_>) -> Self {
        Self {
            id: packet.id,
            time: packet.time,
            link_type: packet.link_type,
            original_len: packet.original_len,
            data: packet.data.to_vec(),
        }
    }

    /// The packet.
    pub fn lend(&self) -> CapturedPacket<'_> {
        CapturedPacket {
            id: self.id,
            time: self.time,
            link_type: self.link_type,
            original_len: self.original_len,
            data: &self.data,
        }
    }
}

/// Packets, as long as they are few enough.
#[derive(Debug)]
pub struct Samples {
    all: Vec<Sample>,
    bytes: usize,
    most: usize,
}

impl Samples {
    /// Packets that take up to this number of bytes, such as
    /// [`limits::REDUCED_BYTES`].
    pub fn up_to(bytes: usize) -> Self {
        Self {
            all: Vec::new(),
            bytes: 0,
            most: bytes,
        }
    }

    /// Adds a packet.
    pub fn push(&mut self, packet: &CapturedPacket<'_>) {
        self.bytes += packet.data.len() + size_of::<Sample>();
        match self.bytes <= self.most {
            true => self.all.push(Sample::of(packet)),
            false => self.all = Vec::new(),
        }
    }

    /// All packets; `None` if they were too many.
    pub fn all(self) -> Option<Vec<Sample>> {
        (self.bytes <= self.most).then_some(self.all)
    }
}

/// Reduces packets that meet the goals, until nothing more can be left out or
/// `attempts` are over.
pub fn reduce(
    conditions: &Conditions,
    goals: &[Goal],
    mut samples: Vec<Sample>,
    attempts: &mut Attempts<'_>,
) -> Vec<Sample> {
    let reducer = Reducer { conditions, goals };
    loop {
        let before = size(&samples);
        samples = reducer.without_messages(samples, attempts);
        samples = reducer.without_packets(samples, attempts);
        // A cut packet may make another superfluous, and the reverse.
        if attempts.are_over || size(&samples) == before {
            return samples;
        }
    }
}

fn size(samples: &[Sample]) -> (usize, usize) {
    let bytes = samples.iter().map(|sample| sample.data.len()).sum();
    (samples.len(), bytes)
}

struct Reducer<'a> {
    conditions: &'a Conditions,
    goals: &'a [Goal],
}

impl Reducer<'_> {
    fn holds<'s>(&self, samples: impl Iterator<Item = &'s Sample>) -> bool {
        let mut trial = Trial::new(self.conditions, self.goals);
        for sample in samples {
            if trial.push(&sample.lend()) {
                return true;
            }
        }
        trial.finish()
    }

    /// Cuts out exchanges, then single control packets.
    fn without_messages(&self, samples: Vec<Sample>, attempts: &mut Attempts<'_>) -> Vec<Sample> {
        let script = Script::of(self.conditions, &samples);
        let rendered = |kept: &[&Message]| {
            let kept: HashSet<u64> = kept.iter().map(|message| message.number).collect();
            let gone = script.messages.iter();
            let cuts = Cuts::of(gone.filter(|message| !kept.contains(&message.number)));
            cuts.applied(&script, &samples)
        };
        let mut has = |kept: &[&Message]| attempts.make(|| self.holds(rendered(kept).iter()));
        let mut kept: Vec<&Message> = script.messages.iter().collect();
        if kept.is_empty() {
            return samples;
        }
        let of = |groups: &[u64]| -> Vec<&Message> {
            let messages = script.messages.iter();
            messages
                .filter(|message| groups.binary_search(&message.group).is_ok())
                .collect()
        };
        let mut groups = script.groups(|_| true);
        // Most often these are enough.
        let evidence = script.groups(|message| message.opens || self.is_evidence(message));
        if matches!(has(&of(&evidence)), ControlFlow::Continue(true)) {
            groups = evidence;
        }
        groups = minimise(groups, &mut |groups| has(&of(groups)));
        kept = of(&groups);
        kept = minimise(kept, &mut |kept| has(kept));
        rendered(&kept)
    }

    fn is_evidence(&self, message: &Message) -> bool {
        let mut packets = self.goals.iter().flat_map(|goal| &goal.packets);
        packets.any(|packet| *packet == message.first || *packet == message.last)
    }

    /// Leaves out captured packets.
    fn without_packets(&self, samples: Vec<Sample>, attempts: &mut Attempts<'_>) -> Vec<Sample> {
        let all: Vec<usize> = (0..samples.len()).collect();
        let kept = minimise(all, &mut |kept| {
            attempts.make(|| self.holds(kept.iter().filter_map(|at| samples.get(*at))))
        });
        let kept: HashSet<usize> = kept.into_iter().collect();
        let samples = samples.into_iter().enumerate();
        samples
            .filter(|(at, _)| kept.contains(at))
            .map(|(_, sample)| sample)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u64) -> CapturedPacket<'static> {
        CapturedPacket {
            id: PacketRef { number, file: 0 },
            time: Timestamp::from_nanos(number as i64),
            link_type: LinkType(1),
            original_len: 60,
            data: &[0; 60],
        }
    }

    #[test]
    fn captures_of_too_many_packets_are_refused() {
        let mut survey = Survey {
            most: 3,
            ..Survey::new(&Conditions::default(), Vec::new())
        };
        for number in 1..=3 {
            assert!(survey.push(&packet(number)).is_ok());
        }
        let refused = survey.push(&packet(4));
        assert!(matches!(refused, Err(Refused::TooManyPackets)));
    }

    #[test]
    fn packets_of_too_many_bytes_are_not_kept() {
        let each = 60 + size_of::<Sample>();
        for (count, kept) in [(3, Some(3)), (4, None), (9, None)] {
            let mut samples = Samples::up_to(3 * each + 1);
            for number in 1..=count {
                samples.push(&packet(number));
                assert!(samples.all.len() <= 3);
            }
            assert_eq!(samples.all().map(|all| all.len()), kept);
        }
    }
}

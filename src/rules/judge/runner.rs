//! [`RuleRunner`]: applies rules to a fact, and puts findings together.

use super::super::allowance::Budgets;
use super::super::clause::{About, Case, Circumstances, Clause};
use super::super::excuse::Faulty;
use super::super::finding::{Finding, MOST_PACKETS, Rung};
use super::super::rule::{Check, Rule, Severity, Wrong};
use super::super::scope::{Part, Scope, scope_at};
use super::super::tally::Tally;
use super::super::verdict::{Fault, Judged, Verdict};
use super::super::{RULES, verdict};
use super::options::Options;
use super::tables::{RuleSet, TABLES, VERSIONS, place};
use crate::event::Side;
use crate::facts::by_connection::ByConnection;
use crate::facts::{
    ConnectionFacts, Deadline, Doubt, Ending, Endpoint, FrameFacts, FrameRef, Missed, Overdue,
    Reason, Shown, Silence, Step, StillOpen, Stream, Undelivered,
};
use crate::frame::{MQTTFrame, PerDirection};
use crate::identity::ExchangeId;
use crate::mqtt::{ControlPacket, Defect, DefectCode, PacketType, Version};
use crate::packet::PacketRef;
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Frames before a finding in its ladder.
const BEFORE: usize = 5;

/// Frames after it.
const AFTER: u8 = 2;

/// Where findings are put together.
#[derive(Debug)]
pub(super) struct RuleRunner {
    pub(super) options: Options,
    open: ByConnection<OfConnection>,
    pub(super) finished: Vec<Finding>,
    /// Findings about the whole capture, one for each rule.
    of_capture: Vec<Finding>,
    /// New findings, if they are reported as they arise.
    pub(super) arisen: Vec<Finding>,
    pub(super) tally: Tally,
    pub(super) kept: usize,
    pub(super) more: u64,
    pub(super) connections: u64,
    pub(super) judged: RuleSet,
    /// What was before is known, and no finding.
    pub(super) from: Timestamp,
    /// Some packet has broken a rule.
    any_faulty: bool,
    /// What is checked is a part of a capture.
    pub(super) part: Option<Part>,
    /// When the latest finding arose that rests on which publication a message is.
    resting: Timestamp,
    /// By version: when the first connection with it had its first frame.
    since: [Option<Timestamp>; VERSIONS.len()],
}

/// State of a connection.
#[derive(Debug, Default)]
struct OfConnection {
    findings: Vec<Finding>,
    recent: VecDeque<Rung>,
    /// Memory for the topic of a frame to come.
    spare: Vec<u8>,
    /// Findings whose ladder wants more frames, and how many.
    unfinished: Vec<(usize, u8)>,
    /// What was reported as it arose.
    shown: Vec<(usize, Verdict, Option<Side>)>,
    /// The packets that broke a rule.
    faulty: Faulty,
}

/// Origin of a finding.
struct Place<'a> {
    connection: &'a ConnectionFacts,
    kind: Option<PacketType>,
    field: &'static str,
    qos: Option<u8>,
    by: Option<Side>,
    version: Version,
    topic: Option<&'a [u8]>,
    packet: PacketRef,
    time: Timestamp,
    /// Provisional: the missing packet may still arrive.
    so_far: bool,
    /// It was reported before, as provisional.
    reported: bool,
    /// What it is about: a fault in it excuses what follows, and what follows
    /// from a fault is excused.
    of: Of<'a>,
    /// The exchange that it is about.
    exchange: Option<ExchangeId>,
}

impl<'a> Place<'a> {
    /// A packet of a connection, about which nothing else is known.
    fn at(connection: &'a ConnectionFacts, packet: PacketRef, time: Timestamp) -> Self {
        Self {
            connection,
            kind: None,
            field: "",
            qos: None,
            by: None,
            version: version(connection),
            topic: None,
            packet,
            time,
            so_far: false,
            reported: false,
            of: Of::Other,
            exchange: None,
        }
    }
}

/// What a finding is about.
#[derive(Clone, Copy)]
enum Of<'a> {
    /// A control packet, and whether it answers one that broke a rule.
    Frame(&'a MQTTFrame<'a>, bool),
    /// An answer that this packet never got.
    Answer(FrameRef),
    /// Something else.
    Other,
}

impl RuleRunner {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            open: ByConnection::default(),
            finished: Vec::new(),
            of_capture: Vec::new(),
            arisen: Vec::new(),
            tally: Tally::default(),
            kept: 0,
            more: 0,
            connections: 0,
            judged: RuleSet::default(),
            from: Timestamp::MIN,
            any_faulty: false,
            part: None,
            resting: Timestamp::MIN,
            since: [None; VERSIONS.len()],
        }
    }

    pub(super) fn wants(&self, rule: &'static Rule) -> bool {
        let wanted = &self.options.rules;
        wanted.is_empty() || wanted.iter().any(|other| std::ptr::eq(*other, rule))
    }

    /// Whether the finding is selected.
    fn is_selected(&self, place: &Place<'_>) -> bool {
        let asked = &self.options.selection;
        if asked.is_empty() {
            return true;
        }
        let client = place.connection.client_id.as_deref();
        let has = |list: bool, found: bool| list || found;
        has(
            asked.connections.is_empty(),
            asked.connections.contains(&place.connection.number),
        ) && has(
            asked.clients.is_empty(),
            client.is_some_and(|id| asked.clients.iter().any(|asked| **asked == *id)),
        ) && has(
            asked.topics.is_empty(),
            place
                .topic
                .is_some_and(|topic| asked.topics.iter().any(|filter| filter.matches(topic))),
        ) && has(
            asked.types.is_empty(),
            place.kind.is_some_and(|kind| asked.types.contains(&kind)),
        ) && has(
            asked.qos.is_empty(),
            place.qos.is_some_and(|qos| asked.qos.contains(&qos)),
        )
    }

    #[cold]
    fn found(&mut self, at: usize, mut fault: Box<Fault>, place: &Place<'_>) {
        let rule = RULES[at];
        if let Some(part) = &self.part
            && !part.decides(scope_at(at))
        {
            // Only with --complete do other connections prove a violation.
            let proved = fault.verdict == Verdict::Violation && !self.options.complete;
            let is_note = fault.verdict == Verdict::Note;
            fault = fault.unless_when(!proved && !is_note, Reason::Shard);
        }
        let by = fault.by.or(place.by);
        let verdict = fault.verdict;
        let number = place.connection.number;
        let of_capture = matches!(rule.check, Check::Security(..));
        let excusable = !of_capture && !fault.answers_fault;
        if excusable && self.is_excused(number, rule, verdict, by, place) {
            return;
        }
        if !self.wants(rule) || !self.is_selected(place) || place.time < self.from {
            return;
        }
        if of_capture {
            self.found_in_capture(rule, *fault, place);
            return;
        }
        let connection = self.open.get_or_insert_with(number, Default::default);
        let what = (at, verdict, by);
        let shown = connection.shown.contains(&what);
        if place.so_far {
            // Provisional findings that are inconclusive are not reported.
            if verdict < Verdict::Warning {
                return;
            }
            self.tally.add(rule, verdict, by, !shown);
            if !shown {
                connection.shown.push(what);
                let finding = finding(rule, *fault, by, place, connection);
                self.arisen.push(finding);
            }
            return;
        }
        let known = connection.findings.iter_mut().find(|known| {
            std::ptr::eq(known.rule, rule) && known.verdict == verdict && known.by == by
        });
        // A provisional finding became final, or inconclusive: nothing new if it was
        // reported with the same or a higher verdict.
        let is_less = |reported: &(usize, Verdict, Option<Side>)| {
            (reported.0, reported.2) == (at, by) && reported.1 >= verdict
        };
        let shown = shown || place.reported && connection.shown.iter().any(is_less);
        if !(place.reported && shown) {
            let first = !shown && known.is_none();
            self.tally.add(rule, verdict, by, first);
        }
        if let Some(known) = known {
            known.again(place.packet);
            return;
        }
        let room = self.kept < self.options.most_findings;
        let arises = self.options.live && !shown;
        if !room && !arises {
            self.more += 1;
            return;
        }
        let finding = finding(rule, *fault, by, place, connection);
        if arises {
            connection.shown.push(what);
            self.arisen.push(finding.clone());
        }
        if !room {
            self.more += 1;
            return;
        }
        self.kept += 1;
        if finding.rests_on.is_some() {
            self.resting = self.resting.max(finding.time);
        }
        if self.options.ladders {
            connection
                .unfinished
                .push((connection.findings.len(), AFTER));
        }
        connection.findings.push(finding);
    }

    /// The capture has ended.
    pub(super) fn finish(&mut self) {
        for connection in self.open.numbers() {
            self.settle(connection);
        }
        self.undecided();
        self.finished.append(&mut self.of_capture);
    }

    /// What only all shards decide: neither right nor wrong.
    fn undecided(&mut self) {
        let (Some(part), Some(time)) = (&self.part, self.since.iter().flatten().min()) else {
            return;
        };
        for (at, rule) in RULES.iter().copied().enumerate() {
            let scope = scope_at(at);
            let seen = (VERSIONS.into_iter().zip(self.since)).filter(|(_, since)| since.is_some());
            let mut versions = seen.map(|(version, _)| version);
            if part.decides(scope)
                || !self.wants(rule)
                || !versions.clone().any(|version| rule.applies_to(version))
            {
                continue;
            }
            let about = match scope {
                Scope::Message => "messages between clients",
                Scope::Session | Scope::Connection => "all connections of a session",
            };
            let every = Circumstances {
                by: None,
                packet: None,
                field: "",
                about: About::Frame,
            };
            self.kept += 1;
            self.of_capture.push(Finding {
                rule,
                clauses: versions
                    .find_map(|version| {
                        Some(clauses(rule, version, &every)).filter(|it| !it.is_empty())
                    })
                    .unwrap_or_default(),
                verdict: Verdict::CannotTell(Reason::Shard),
                by: None,
                connection: None,
                connection_id: None,
                session_uid: None,
                exchange: None,
                client_id: None,
                topic: None,
                packets: Vec::new(),
                count: 1,
                time: *time,
                message: format!("it is about {about}, and this is {}", part.name),
                ladder: Vec::new(),
                rests_on: None,
            });
        }
    }

    /// Adds to the finding of a rule about the whole capture. It blames neither side.
    fn found_in_capture(&mut self, rule: &'static Rule, fault: Fault, place: &Place<'_>) {
        let known = self
            .of_capture
            .iter_mut()
            .find(|known| std::ptr::eq(known.rule, rule));
        self.tally.add(rule, fault.verdict, None, known.is_none());
        if let Some(known) = known {
            known.again(place.packet);
            return;
        }
        let finding = Finding {
            connection: None,
            connection_id: None,
            session_uid: None,
            exchange: None,
            client_id: None,
            topic: None,
            ..finding(rule, fault, None, place, &OfConnection::default())
        };
        if self.options.live {
            self.arisen.push(finding.clone());
        }
        self.kept += 1;
        self.of_capture.push(finding);
    }

    /// Whether something follows from a fault of the other side; otherwise
    /// remembers the packet that it is a fault of.
    fn is_excused(
        &mut self,
        connection: u64,
        rule: &Rule,
        verdict: Verdict,
        by: Option<Side>,
        place: &Place<'_>,
    ) -> bool {
        match place.of {
            Of::Frame(frame, answers_fault) => {
                let by_sender = by == Some(frame.direction.sender());
                if answers_fault && by_sender {
                    return true;
                }
                let is_fault = match verdict {
                    Verdict::Violation => true,
                    Verdict::CannotTell(_) => rule.severity >= Severity::Error,
                    Verdict::Warning | Verdict::Note => false,
                };
                if is_fault && by_sender && !rule.clauses.is_empty() {
                    let connection = self.open.get_or_insert_with(connection, Default::default);
                    connection.faulty.add(frame);
                    self.any_faulty = true;
                }
                false
            }
            Of::Answer(request) => {
                let asked = by.map(|side| side.sends().reversed());
                let of = self.open.get(connection);
                of.zip(asked)
                    .is_some_and(|(of, asked)| of.faulty.has(asked, request))
            }
            Of::Other => false,
        }
    }

    /// Whether a frame answers one that broke a rule; what is known of its own
    /// Packet Identifier begins anew with it.
    fn answers_fault(&mut self, facts: &FrameFacts<'_>) -> bool {
        if !self.any_faulty {
            return false;
        }
        let Some(of) = self.open.get_mut(facts.frame.connection.number) else {
            return false;
        };
        of.faulty.begin(facts.frame);
        of.faulty.is_answered_by(facts.frame, facts.step)
    }

    /// Applies all rules of a trigger.
    fn ask(&mut self, place: &Place<'_>, ask: impl Fn(&Check) -> Option<Judged>) {
        for (at, rule) in RULES.iter().enumerate() {
            if !rule.applies_to(place.version) {
                continue;
            }
            if let Some(judged) = ask(&rule.check) {
                self.judged.add(at);
                if let Some(fault) = judged {
                    let assumed = place.connection.version_assumed;
                    let fault = fault.unless_when(assumed, Reason::VersionAssumed);
                    self.found(at, fault, place);
                }
            }
        }
    }

    pub(super) fn settle(&mut self, connection: u64) {
        if let Some(of) = self.open.remove(connection) {
            let before = of.findings.len();
            let findings = cut_off(merged(of.findings));
            self.kept -= before - findings.len();
            self.finished.extend(findings);
        }
    }

    /// Adds a frame to incomplete ladders.
    fn climb(&mut self, frame: &MQTTFrame<'_>) {
        let connection = self
            .open
            .get_or_insert_with(frame.connection.number, Default::default);
        let oldest = match connection.recent.len() > BEFORE {
            true => connection.recent.pop_front(),
            false => None,
        };
        // Its memory is used again: 200 instructions less a frame.
        let mut memory = oldest
            .and_then(|rung| rung.topic)
            .unwrap_or_else(|| std::mem::take(&mut connection.spare));
        let topic = topic(frame);
        let rung = Rung {
            packet: frame.last,
            time: frame.time,
            direction: frame.direction,
            first: frame.header.first,
            packet_id: frame.packet.packet_id(),
            topic: topic.map(|topic| {
                memory.clear();
                memory.extend_from_slice(topic);
                std::mem::take(&mut memory)
            }),
            marked: false,
        };
        if memory.capacity() > 0 {
            connection.spare = memory;
        }
        for (at, left) in &mut connection.unfinished {
            connection.findings[*at].ladder.push(rung.clone());
            *left -= 1;
        }
        connection.unfinished.retain(|(_, left)| *left > 0);
        connection.recent.push_back(rung);
    }

    /// An unfinished control packet is checked only for its bytes and its
    /// direction. Its content has no effect.
    pub(super) fn unfinished(&mut self, facts: &FrameFacts<'_>) {
        let frame = facts.frame;
        if facts.connection.frames == PerDirection::both(0) {
            return;
        }
        if self.options.ladders {
            self.climb(frame);
        }
        let assumed = frame.connection.version_assumed || frame.connection.version.is_none();
        let doubt = assumed.then_some(Reason::VersionAssumed);
        let answers_fault = self.answers_fault(facts);
        self.defects(facts, doubt, answers_fault);
        let tables = &*TABLES;
        let at = place(frame.header.packet_type(), frame.version);
        for rule in &tables.frame[frame.direction][at] {
            if RULES[rule.at].id == "packet-direction"
                && let Some(fault) = (rule.check)(facts)
            {
                self.found(rule.at, fault, &of_frame(facts, "", answers_fault));
            }
        }
    }

    pub(super) fn frame(&mut self, facts: &FrameFacts<'_>) {
        let frame = facts.frame;
        if facts.connection.frames == PerDirection::both(0) {
            self.connections += 1;
            self.since[frame.version as usize].get_or_insert(frame.time);
        }
        if self.options.ladders {
            self.climb(frame);
        }
        let tables = &*TABLES;
        let kind = frame.header.packet_type();
        let at = place(kind, frame.version);
        self.judged.add_all(tables.judge[at]);
        let assumed = frame.connection.version_assumed || frame.connection.version.is_none();
        // A CONNECT has its own version.
        let assumed = assumed && kind != PacketType::Connect;
        let doubt = assumed.then_some(Reason::VersionAssumed);
        let answers_fault = self.answers_fault(facts);
        if !frame.defects.is_empty() {
            self.defects(facts, doubt, answers_fault);
        }
        if self.options.budgets.any() {
            for &(rule, check) in &tables.budget[kind as usize] {
                self.judged.add(rule);
                if let Some(fault) = check(facts, &self.options.budgets) {
                    self.found(rule, fault, &of_frame(facts, "", answers_fault));
                }
            }
        }
        let mut websocket: &[_] = &[];
        if frame.connection.transport.is_websocket() {
            websocket = &tables.websocket[at];
            for rule in websocket {
                self.judged.add(rule.at);
            }
        }
        let is_alone = matches!(facts.step, Step::None);
        for rules in [&tables.frame[frame.direction][at][..], websocket] {
            for rule in rules {
                if !(is_alone && rule.in_exchange)
                    && let Some(fault) = (rule.check)(facts)
                {
                    let place = of_frame(facts, "", answers_fault);
                    let doubt = doubt.filter(|_| !fault.any_version);
                    self.found(rule.at, fault.unless(doubt), &place);
                }
            }
        }
    }

    pub(super) fn overdue(&mut self, facts: &Overdue<'_>) {
        let place = Place {
            kind: Some(facts.expected),
            qos: (facts.qos > 0).then_some(facts.qos),
            by: Some(facts.by.sender()),
            topic: facts.topic,
            so_far: facts.ending == Ending::Open,
            reported: facts.reported.any(),
            of: Of::Answer(facts.request),
            exchange: facts.exchange_id(),
            ..Place::at(facts.connection, facts.request.packet, facts.time)
        };
        let budgets = Budgets {
            ack: self.options.budgets.ack,
            ..Budgets::default()
        };
        self.ask(&place, |check| match (check, facts.deadline) {
            (Check::Overdue(check), None | Some(Deadline::Patience)) => Some(check(facts)),
            (Check::Budget(.., Some(check)), None | Some(Deadline::Budget)) => {
                budgets.ack.map(|_| check(facts, &budgets))
            }
            _ => None,
        });
    }

    pub(super) fn undelivered(&mut self, facts: &Undelivered<'_>) {
        let place = Place {
            kind: Some(PacketType::Publish),
            by: Some(Side::Server),
            topic: Some(&facts.publication.topic),
            ..Place::at(facts.connection, facts.of.packet, facts.of.time)
        };
        self.ask(&place, |check| match check {
            Check::Undelivered(check) => Some(check(facts)),
            _ => None,
        });
    }

    /// Publications may be missing: findings that rest on which one a message is are
    /// inconclusive, unless they arose before.
    #[inline]
    pub(super) fn missed(&mut self, facts: &Missed) {
        if self.resting >= facts.since {
            self.revise(facts);
        }
    }

    #[cold]
    fn revise(&mut self, facts: &Missed) {
        let of_open = self.open.iter_mut().flat_map(|of| &mut of.findings);
        for found in of_open.chain(&mut self.finished) {
            let is_same = |(server, key): (Endpoint, u64)| {
                server == facts.server && facts.key.is_none_or(|other| other == key)
            };
            let rests = found.rests_on.is_some_and(is_same) && found.time >= facts.since;
            if rests && found.verdict.reason().is_none() {
                let before = found.verdict;
                found.verdict = Verdict::CannotTell(facts.reason);
                self.tally.revise(before, found);
            }
        }
    }

    pub(super) fn still_open(&mut self, facts: &StillOpen<'_>) {
        let place = Place {
            by: Some(facts.due.by.sender()),
            ..Place::at(facts.connection, facts.packet, facts.time)
        };
        self.ask(&place, |check| match check {
            // Each rule covers one cause.
            Check::StillOpen(check) => {
                let fault = check(facts)?;
                Some(Some(fault.only_warning_if(!facts.steady)))
            }
            _ => None,
        });
    }

    pub(super) fn silence(&mut self, facts: &Silence<'_>) {
        let place = Place {
            so_far: facts.shown == Shown::Time,
            reported: facts.reported.any(),
            ..Place::at(facts.connection, facts.packet, facts.time)
        };
        self.ask(&place, |check| match check {
            Check::Silence(check) => Some(check(facts)),
            _ => None,
        });
    }

    pub(super) fn stream(&mut self, facts: &Stream<'_>) {
        let place = Place {
            by: (!facts.encrypted).then(|| facts.direction.sender()),
            ..Place::at(facts.connection, facts.packet, facts.time)
        };
        self.ask(&place, |check| match check {
            Check::Stream(check) => Some(check(facts)),
            _ => None,
        });
    }

    /// The rules that the defects of a frame break, each once.
    #[cold]
    fn defects(&mut self, facts: &FrameFacts<'_>, doubt: Doubt, answers_fault: bool) {
        let frame = facts.frame;
        let mut reported = RuleSet::default();
        // All bytes of an unfinished packet that were sent are known.
        let lacks = frame.missing > 0 && !frame.unfinished;
        let doubt = doubt
            .or(facts.doubt_of_sender())
            .or(lacks.then_some(Reason::Gap));
        for defect in frame.defects {
            for &(wrong, at) in &TABLES.format {
                if !RULES[at].applies_to(frame.version)
                    || reported.has(at)
                    || !is(wrong, frame, defect)
                {
                    continue;
                }
                reported.add(at);
                let kind = frame.header.packet_type();
                let message = format!("{kind}: {}", without(&defect.message, kind));
                let mut fault = verdict::violation(message).unless(doubt);
                if defect.code == DefectCode::TrailingBytes {
                    fault = fault.about(Case::Trailing);
                }
                // What it repeats is not its own; all else is.
                let repeats = answers_fault && defect.field == "Packet Identifier";
                self.found(at, fault, &of_frame(facts, defect.field, repeats));
            }
        }
    }
}

fn without(message: &str, kind: PacketType) -> &str {
    message
        .strip_prefix(kind.name())
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(message)
}

fn is(wrong: &Wrong, frame: &MQTTFrame<'_>, defect: &Defect) -> bool {
    wrong.code == defect.code
        && (wrong.types.is_empty() || wrong.types.contains(&frame.header.packet_type()))
        && (wrong.field.is_empty() || wrong.field == defect.field)
}

fn of_frame<'a>(facts: &FrameFacts<'a>, field: &'static str, answers_fault: bool) -> Place<'a> {
    let frame = facts.frame;
    Place {
        kind: Some(frame.header.packet_type()),
        field,
        qos: (frame.header.packet_type() == PacketType::Publish).then(|| frame.header.qos()),
        by: Some(frame.direction.sender()),
        version: frame.version,
        topic: topic(frame),
        of: Of::Frame(frame, answers_fault),
        exchange: facts.exchange_id(),
        ..Place::at(facts.connection, frame.last, frame.time)
    }
}

/// The topic of a message, or the first filter of a request.
fn topic<'a>(frame: &MQTTFrame<'a>) -> Option<&'a [u8]> {
    match &frame.packet {
        ControlPacket::Publish(_) => frame.topic.map(|topic| topic.bytes()),
        ControlPacket::Subscribe(packet) => packet.filters().next().map(|s| s.filter.bytes()),
        ControlPacket::Unsubscribe(packet) => packet.filters().next().map(|f| f.bytes()),
        _ => None,
    }
}

fn version(connection: &ConnectionFacts) -> Version {
    connection
        .opening
        .as_ref()
        .map_or(Version::V3_1_1, |opening| opening.version)
}

/// The result of a rule.
fn finding(
    rule: &'static Rule,
    fault: Fault,
    by: Option<Side>,
    place: &Place<'_>,
    connection: &OfConnection,
) -> Finding {
    let mut packets = fault.packets;
    packets.retain(|packet| *packet != place.packet);
    packets.truncate(MOST_PACKETS - 1);
    packets.sort_unstable();
    packets.push(place.packet);
    let mut ladder: Vec<Rung> = connection.recent.iter().cloned().collect();
    for rung in &mut ladder {
        rung.marked = rung.packet == place.packet;
    }
    let circumstances = Circumstances {
        by,
        packet: place.kind,
        field: place.field,
        about: fault.about,
    };
    Finding {
        rule,
        clauses: clauses(rule, place.version, &circumstances),
        verdict: fault.verdict,
        by,
        connection: Some(place.connection.number),
        connection_id: Some(place.connection.id),
        session_uid: place.connection.session_uid.clone(),
        exchange: place.exchange,
        client_id: place.connection.client_id.clone(),
        topic: place.topic.map(Into::into),
        packets,
        count: 1,
        time: place.time,
        message: fault.message,
        ladder,
        rests_on: fault.rests_on.map(|key| (place.connection.server, key)),
    }
}

/// Findings whose verdict was revised may now be repetitions of others.
fn merged(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::with_capacity(findings.len());
    for found in findings {
        let same = |other: &&mut Finding| {
            std::ptr::eq(other.rule, found.rule)
                && (other.verdict, other.by) == (found.verdict, found.by)
        };
        match kept.iter_mut().find(same) {
            Some(known) => known.join(found),
            None => kept.push(found),
        }
    }
    kept
}

/// All missing answers at a reset, or at the end of the capture, are one finding, since
/// the end explains them.
fn cut_off(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::with_capacity(findings.len());
    let mut first: [Option<usize>; 2] = [None; 2];
    for found in findings {
        let of = match (found.verdict.reason(), found.rule.check) {
            (Some(Reason::Reset), Check::Overdue(_) | Check::Undelivered(_)) => Some(0),
            (Some(Reason::CaptureEnd), Check::Overdue(_) | Check::Undelivered(_)) => Some(1),
            _ => None,
        };
        let Some(of) = of else {
            kept.push(found);
            continue;
        };
        match first[of] {
            None => {
                first[of] = Some(kept.len());
                kept.push(found);
            }
            Some(at) => kept[at].join(found),
        }
    }
    kept
}

/// Most clauses of a finding. A rule lists the most specific ones first.
const MOST_CLAUSES: usize = 2;

/// The clauses that a finding breaks: those of its version that are meant, or
/// all of it if none is.
fn clauses(rule: &'static Rule, version: Version, c: &Circumstances) -> Vec<&'static Clause> {
    let of_version = rule
        .clauses
        .iter()
        .filter(|clause| clause.version == version);
    let mut chosen: Vec<_> = of_version
        .clone()
        .filter(|clause| clause.is_meant(c))
        .collect();
    if chosen.is_empty() {
        chosen = of_version.collect();
    }
    chosen.truncate(MOST_CLAUSES);
    chosen
}

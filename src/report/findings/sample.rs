//! Findings to try the formats with.

use crate::event::Side;
use crate::facts::Reason;
use crate::frame::Direction;
use crate::mqtt::Version;
use crate::packet::PacketRef;
use crate::rules::{self, Finding, Rung, Verdict};
use crate::time::Timestamp;

use super::{CaptureResult, CheckSummary};

pub(super) fn finding() -> Finding {
    let rule = rules::find("dup-with-qos-0").expect("a rule");
    let packet = |number| PacketRef { number, file: 0 };
    let rung = |number, direction, first, id| Rung {
        packet: packet(number),
        time: Timestamp::from_parts(1_404_123_300, 0),
        direction,
        first,
        packet_id: id,
        topic: id.map(|_| b"plant/7/temp".as_slice().into()),
        marked: number == 7,
    };
    Finding {
        rule,
        clauses: rule
            .clauses
            .iter()
            .filter(|clause| clause.version.name() == "3.1.1")
            .collect(),
        verdict: Verdict::Violation,
        by: Some(Side::Client),
        connection: Some(3),
        connection_id: Some(super::super::sample::connection(Version::V5).id()),
        session_uid: None,
        exchange: None,
        client_id: Some(b"sensor-7\x1b".as_slice().into()),
        topic: Some(b"plant/7/temp".as_slice().into()),
        packets: vec![packet(4), packet(7)],
        count: 12,
        time: Timestamp::from_parts(1_404_123_300, 5_000),
        message: "PUBLISH: expected DUP 0 with QoS 0, found <DUP> 1".into(),
        ladder: vec![
            rung(4, Direction::Up, 0x10, None),
            rung(5, Direction::Down, 0x20, None),
            rung(7, Direction::Up, 0x3a, Some(3)),
        ],
        rests_on: None,
    }
}

pub(super) fn result() -> CaptureResult {
    let found = finding();
    let mut unsure = finding();
    unsure.rule = rules::find("id-in-use").expect("a rule");
    unsure.clauses = vec![&unsure.rule.clauses[1]];
    unsure.verdict = Verdict::CannotTell(Reason::Gap);
    unsure.count = 1;
    unsure.message = "expected an unused Packet Identifier, found 1".into();
    let mut summary = CheckSummary {
        frames: 120,
        connections: 4,
        rules_evaluated: 3,
        ..CheckSummary::default()
    };
    summary.count(found.verdict);
    summary.count(unsure.verdict);
    let judged = ["dup-with-qos-0", "id-in-use", "packet-id-zero"];
    CaptureResult {
        name: "a b.pcap".into(),
        files: vec!["a b.pcap".into()],
        summary,
        findings: vec![found, unsure],
        judged: judged.iter().filter_map(|id| rules::find(id)).collect(),
        errors: Vec::new(),
        tally: None,
    }
}

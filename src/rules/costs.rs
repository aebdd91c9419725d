//! Messages that exceed `--max-bytes-per-message` with `--level`: findings derived
//! from an account, not from a frame.

use crate::overhead::{Account, Level};

use super::allowance::SizeBudget;
use super::budget::MESSAGE_SIZE;
use super::finding::{Finding, MOST_PACKETS};
use super::verdict::Verdict;

/// A finding for each connection, topic and direction with a message above the
/// budget.
pub fn expensive(account: &Account, budget: &SizeBudget, level: Level) -> Vec<Finding> {
    let level = level.to_string();
    let mut findings: Vec<Finding> = Vec::new();
    for connection in &account.connections {
        let first = findings.len();
        for message in &connection.messages {
            let name = account.topics[message.topic as usize].name.as_ref();
            let topic = (message.topic > 0).then_some(name);
            let (Some(most), cost) = (budget.most(topic), message.marginal()) else {
                continue;
            };
            if cost <= most {
                continue;
            }
            let finding = Finding {
                rule: &MESSAGE_SIZE,
                clauses: Vec::new(),
                verdict: Verdict::Violation,
                by: Some(message.direction.sender()),
                connection: Some(connection.number),
                connection_id: connection.id,
                session_uid: None,
                exchange: None,
                client_id: connection.client_id.as_deref().map(Into::into),
                topic: topic.map(Into::into),
                packets: vec![message.completed_by],
                count: 1,
                time: message.time,
                message: format!(
                    "expected at most {most} bytes at {level} for a message with its acknowledgements, found {cost}"
                ),
                ladder: Vec::new(),
                rests_on: None,
            };
            let same =
                |known: &&mut Finding| known.topic == finding.topic && known.by == finding.by;
            match findings[first..].iter_mut().find(same) {
                Some(known) => {
                    known.count += 1;
                    if known.packets.len() < MOST_PACKETS {
                        known.packets.push(message.completed_by);
                    }
                }
                None => findings.push(finding),
            }
        }
    }
    findings
}

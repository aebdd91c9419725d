//! Identity of findings for baselines and code scanning: rule, side, client, topic
//! and verdict. Packet numbers, ports and times are excluded, because they change
//! with every recording.

use super::Finding;

/// The fingerprint of a finding: its parts in one line of readable text.
///
/// Numbers within identifiers (levels of a topic, ends of a Client Identifier) are
/// replaced by `+`, because they differ between recordings.
pub fn fingerprint(finding: &Finding) -> String {
    let side = finding.by.map_or("-", |side| side.name());
    let client = finding.client_id.as_deref().unwrap_or_default();
    let topic = finding.topic.as_deref().unwrap_or_default();
    format!(
        "{} {} {} client={:?} topic={:?}",
        finding.rule.id,
        finding.verdict.name(),
        side,
        pattern(&String::from_utf8_lossy(client)),
        pattern(&String::from_utf8_lossy(topic)),
    )
}

/// Text with what looks like a number or an identifier in each level replaced.
fn pattern(text: &str) -> String {
    text.split('/')
        .map(|level| {
            let parts = level.split('-').map(|part| {
                let long = part.len() >= 8 && part.bytes().all(|b| b.is_ascii_hexdigit());
                let number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                if long || number { "+" } else { part }
            });
            parts.collect::<Vec<_>>().join("-")
        })
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{RULES, Verdict};
    use crate::time::Timestamp;

    #[test]
    fn numbers_do_not_count() {
        assert_eq!(pattern("plant/7/temp"), "plant/+/temp");
        assert_eq!(pattern("sensor-0815"), "sensor-+");
        assert_eq!(pattern("a1b2c3d4e5/x9"), "+/x9");
        let mut one = Finding {
            rule: RULES[0],
            clauses: Vec::new(),
            verdict: Verdict::Violation,
            by: None,
            connection: Some(1),
            connection_id: None,
            session_uid: None,
            exchange: None,
            client_id: None,
            topic: None,
            packets: Vec::new(),
            count: 1,
            time: Timestamp::default(),
            message: String::new(),
            ladder: Vec::new(),
            rests_on: None,
        };
        let mut other = one.clone();
        other.count = 9;
        other.connection = Some(17);
        one.topic = Some(b"plant/7".as_slice().into());
        other.topic = Some(b"plant/8".as_slice().into());
        assert_eq!(fingerprint(&one), fingerprint(&other));
        other.topic = Some(b"other".as_slice().into());
        assert_ne!(fingerprint(&one), fingerprint(&other));
    }
}

//! Encrypted connections: one inconclusive finding per connection, for all rules that
//! need to decode it.

use crate::facts::{Reason, Stream};

use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Judged, note};

pub(super) static RULES: &[&Rule] = &[&ENCRYPTED];

static ENCRYPTED: Rule = Rule {
    id: "encrypted",
    title: "The connection is not encrypted, or its keys are known",
    why: "Without keys, only the sizes and times of TLS traffic can be checked. Most clients write their keys to the file named by SSLKEYLOGFILE, and --tls-keylog reads it.",
    binds: Binds::Both,
    severity: Severity::Info,
    clauses: &[],
    examples: Examples {
        good: "",
        bad: "",
        cut: "",
    },
    check: Check::Stream(encrypted),
};

fn encrypted(f: &Stream<'_>) -> Judged {
    f.encrypted.then(|| {
        note(format!(
            "expected MQTT that can be read, found TLS: {}",
            f.reason
        ))
        .unless(Some(Reason::Encrypted))
    })
}

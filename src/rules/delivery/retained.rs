//! Retained messages: what new subscriptions get.

use crate::facts::{Because, FrameFacts, Subscription, Undelivered};
use crate::mqtt::{PacketType as P, Version};

use super::super::clause::{Case, v5, v31, v311};
use super::super::rule::{Binds, Check, Examples, Rule, Severity};
use super::super::verdict::{Judged, warning};
use super::{APART, as_published, missing, single};

pub(super) static RETAINED_WITHOUT_FLAG: Rule = Rule {
    id: "retained-without-flag",
    title: "A retained message that is sent to a new subscription has RETAIN 1",
    why: "A subscriber cannot distinguish the last known value from a new one.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[v31(), v311("MQTT-3.3.1-8"), v5("")],
    examples: Examples {
        good: "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
! connection 2
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
> PUBACK id=1",
        bad: "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
! wait 2s
! connection 2
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x qos=1 id=1
> PUBACK id=1",
        cut: "\
! midstream
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
! wait 2s
! connection 2
! midstream
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x qos=1 id=1
> PUBACK id=1",
    },
    check: Check::Frame(&[P::Publish], retained_without_flag),
};

fn retained_without_flag(f: &FrameFacts<'_>) -> Judged {
    let (delivery, publication) = single(f)?;
    if !publication.retain || !delivery.is_latest_retained || f.frame.header.retain() {
        return None;
    }
    // Published before the client had subscribed to it at all.
    let after = |s: &Subscription| s.first.started.since(publication.seen.time) >= APART;
    let mut subscriptions = f.matching();
    let first = subscriptions.next()?;
    let old = after(first) && subscriptions.all(after) && !publication.will;
    (old && !f.frame.header.dup()).then(|| {
        warning(
            "expected RETAIN 1 in a retained message that is sent for a new subscription, found 0",
        )
        .at(publication.seen.packet)
        .unless(f.any_doubt())
        .unless(f.doubt_of_subscriptions())
        .resting_on(delivery)
    })
}

pub(super) static RETAINED_STALE: Rule = Rule {
    id: "retained-stale",
    title: "Only the last message that was published with RETAIN 1 is retained",
    why: "A subscriber starts with a value that was replaced, cleared, or never meant to stay.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-3.3.1-5").when(Case::Replaced),
        v311("MQTT-3.3.1-7").when(Case::Replaced),
        v311("MQTT-3.3.1-10").when(Case::Cleared),
        v311("MQTT-3.3.1-12").when(Case::Retain0),
        v311("MQTT-3.1.2-16").when(Case::Will),
        v5("MQTT-3.3.1-5").when(Case::Replaced),
        v5("MQTT-3.3.1-6").when(Case::Cleared),
        v5("MQTT-3.3.1-8").when(Case::Retain0),
        v5("MQTT-3.1.2-14").when(Case::Will),
    ],
    examples: Examples {
        good: "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
! connection 2
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
> PUBACK id=1",
        bad: "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
> PUBLISH topic=t/a payload=y retain=1 qos=1 id=2
< PUBACK id=2
! wait 2s
! connection 2
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
> PUBACK id=1",
        cut: "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
> PUBLISH topic=t/a payload=y retain=1 qos=1 id=2
< PUBACK id=2
! wait 2s
! connection 2
! midstream
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
> PUBACK id=1",
    },
    check: Check::Frame(&[P::Publish], retained_stale),
};

fn retained_stale(f: &FrameFacts<'_>) -> Judged {
    let (delivery, publication) = single(f)?;
    if !f.frame.header.retain() || as_published(f) {
        return None;
    }
    let subscribed = f.matching().map(|s| s.since.started).max()?;
    let (message, about, packet) = if publication.retain {
        // When a will is published is not on the wire.
        let latest = delivery
            .retained
            .as_deref()
            .filter(|_| !delivery.is_latest_retained && !publication.will)?;
        if subscribed.since(latest.seen.time) < APART {
            return None;
        }
        let (message, about) = match latest.empty {
            true => ("found one that was cleared", Case::Cleared),
            false => ("found one that was replaced", Case::Replaced),
        };
        (message, about, latest.seen.packet)
    } else {
        let about = if publication.will {
            Case::Will
        } else {
            Case::Retain0
        };
        (
            "found one that was published with RETAIN 0",
            about,
            publication.seen.packet,
        )
    };
    Some(
        warning(format!(
            "expected the last message published with RETAIN 1, {message}"
        ))
        .about(about)
        .at(packet)
        .unless(f.any_doubt())
        .unless(f.doubt_of_subscriptions())
        .resting_on(delivery),
    )
}

pub(super) static EMPTY_RETAINED: Rule = Rule {
    id: "empty-retained",
    title: "An empty message is never retained",
    why: "It clears a topic; a subscriber that gets it treats it as a value.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-3.3.1-11"),
        v311("MQTT-3.3.1-10"),
        v5("MQTT-3.3.1-7"),
        v5("MQTT-3.3.1-6"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x retain=1",
        bad: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a retain=1",
        cut: "\
! midstream
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a retain=1",
    },
    check: Check::Frame(&[P::Publish], empty_retained),
};

fn empty_retained(f: &FrameFacts<'_>) -> Judged {
    f.delivery?;
    let crate::mqtt::ControlPacket::Publish(publish) = &f.frame.packet else {
        return None;
    };
    let bridge = f
        .connection
        .opening
        .as_ref()
        .is_none_or(|opening| opening.bridge);
    let empty = publish.payload_len == Some(0) && f.frame.header.retain();
    (empty && !bridge && !as_published(f)).then(|| {
        warning("expected no retained message without payload, found one")
            .unless(f.any_doubt())
            .unless(f.doubt_of_subscriptions())
    })
}

pub(super) static RETAIN_HANDLING: Rule = Rule {
    id: "retain-handling",
    title: "With Retain Handling 2 no retained messages are sent, with 1 only for a new subscription",
    why: "The client gets the flood of retained messages at each reconnect that it asked to avoid.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v5("MQTT-3.3.1-11").when(Case::RetainHandling2),
        v5("U-4.8-1").when(Case::Shared),
    ],
    examples: Examples {
        good: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:0x01
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x retain=1",
        bad: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:0x21
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x retain=1",
        cut: "\
! midstream
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:0x21
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x retain=1",
    },
    check: Check::Frame(&[P::Publish], retain_handling),
};

fn retain_handling(f: &FrameFacts<'_>) -> Judged {
    f.delivery?;
    let none = |s: &Subscription| s.options >> 4 & 3 == 2 || s.shared;
    if !f.frame.header.retain() || f.frame.version != Version::V5 || as_published(f) {
        return None;
    }
    let first = f.matching().next()?;
    f.matching().all(none).then(|| {
        warning("expected no retained message for this subscription, found one")
            .about(if first.shared {
                Case::Shared
            } else {
                Case::RetainHandling2
            })
            .at(first.since.packet)
            .unless(f.any_doubt())
            .unless(f.doubt_of_subscriptions())
    })
}

pub(super) static MISSING_RETAINED: Rule = Rule {
    id: "missing-retained",
    title: "A new subscription gets the retained messages that match",
    why: "The client does not get the current state it has subscribed to.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-3.3.1-6"),
        v311("MQTT-3.3.1-5"),
        v311("MQTT-3.1.2-7"),
        v311("MQTT-3.8.4-3"),
        v5("MQTT-3.3.1-9"),
        v5("MQTT-3.8.4-4"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
! connection 2
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
> PUBACK id=1",
        bad: "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
! connection 2
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
        cut: "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
! connection 2
! open
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! wait 40s
> PINGREQ
< PINGRESP",
    },
    check: Check::Undelivered(missing_retained),
};

fn missing_retained(f: &Undelivered<'_>) -> Judged {
    if f.because != Because::Retained {
        return None;
    }
    let fault = missing(f, "the retained message of a topic that was subscribed to");
    // It may have been cleared.
    Some(fault.unless(f.missed))
}

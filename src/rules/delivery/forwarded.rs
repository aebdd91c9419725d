//! What a subscriber gets of a publication, and until when.

use std::time::Duration;

use crate::facts::properties as p;
use crate::facts::{Because, CarriedFields, FrameFacts, Reason, Subscription, Undelivered};
use crate::mqtt::{PacketType as P, Version};

use super::super::clause::{About, Case, v5, v31, v311};
use super::super::rule::{Binds, Check, Examples, Rule, Severity};
use super::super::verdict::{Judged, warning};
use super::{missing, single};

pub(super) static QOS_RAISED: Rule = Rule {
    id: "qos-raised",
    title: "A delivery has the smaller of published and granted QoS",
    why: "A message published without acknowledgement does not become reliable later; a higher QoS only adds handshakes.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[v31(), v311("MQTT-3.8.4-6"), v5("MQTT-3.8.4-8")],
    examples: Examples {
        good: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x
! connection 1
< PUBLISH topic=t/a payload=x",
        bad: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x
! connection 1
< PUBLISH topic=t/a payload=x qos=1 id=1
> PUBACK id=1",
        cut: "\
! midstream
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x
! connection 1
< PUBLISH topic=t/a payload=x qos=1 id=1
> PUBACK id=1",
    },
    check: Check::Frame(&[P::Publish], qos_raised),
};

fn qos_raised(f: &FrameFacts<'_>) -> Judged {
    let (delivery, publication) = single(f)?;
    let qos = f.frame.header.qos();
    if f.frame.header.dup() || publication.retain {
        return None;
    }
    // A QoS above the granted one is another rule.
    let mut subscriptions = f.matching();
    let first = subscriptions.next()?;
    let granted = match subscriptions.next() {
        // Each of several subscriptions may get its own copy.
        Some(_) => None,
        None => first
            .current
            .filter(|_| first.was_settled_before(publication.seen)),
    };
    let lowered = granted.is_some_and(|granted| qos < publication.qos.min(granted));
    (qos > publication.qos || lowered).then(|| {
        let expected = publication.qos.min(granted.unwrap_or(2));
        warning(format!(
            "expected QoS {expected}, the smaller of published ({}) and granted ({}), found {qos}",
            publication.qos,
            granted.map_or("several".to_owned(), |qos| qos.to_string()),
        ))
        .at(publication.seen.packet)
        .unless(f.any_doubt())
        .unless(f.doubt_of_subscriptions())
        .resting_on(delivery)
    })
}

pub(super) static PROPERTIES_ALTERED: Rule = Rule {
    id: "properties-altered",
    title: "A server passes properties of a message on unaltered, and in order",
    why: "They correlate requests and responses; signatures over User Properties break.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v5("MQTT-3.3.2-4").field("Payload Format Indicator"),
        v5("MQTT-3.3.2-20").field("Content Type"),
        v5("MQTT-3.3.2-15").field("Response Topic"),
        v5("MQTT-3.3.2-16").field("Correlation Data"),
        v5("MQTT-3.3.2-17").field("User Property"),
        v5("MQTT-3.3.2-18").field("User Property"),
        v5("MQTT-3.1.3-10").when(Case::UserPropertyOfWill),
    ],
    examples: Examples {
        good: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x content_type=c
! connection 1
< PUBLISH topic=t/a payload=x content_type=c",
        bad: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x content_type=c
! connection 1
< PUBLISH topic=t/a payload=x",
        cut: "\
! midstream
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x content_type=c
! connection 1
< PUBLISH topic=t/a payload=x",
    },
    check: Check::Frame(&[P::Publish], properties_altered),
};

fn properties_altered(f: &FrameFacts<'_>) -> Judged {
    let (delivery, publication) = single(f)?;
    let properties = f.frame.packet.properties();
    if publication.carried.is_same(properties) {
        return None;
    }
    let (sent, found) = (publication.carried.fields(), CarriedFields::of(properties));
    let what = if sent.payload_format.unwrap_or(0) != found.payload_format.unwrap_or(0) {
        "Payload Format Indicator"
    } else if sent.content_type != found.content_type {
        "Content Type"
    } else if sent.response_topic != found.response_topic {
        "Response Topic"
    } else if sent.correlation_data != found.correlation_data {
        "Correlation Data"
    } else if !sent.user.iter().all(|pair| found.user.contains(pair))
        || !found
            .user
            .iter()
            .filter(|pair| sent.user.contains(pair))
            .eq(&sent.user)
    {
        "User Property"
    } else {
        return None;
    };
    // A publisher of an older version sends no properties.
    let versions = f.frame.version == Version::V5 && sent != CarriedFields::default();
    versions.then(|| {
        warning(format!(
            "expected {what} as it was published, found another or none"
        ))
        .about(match publication.will && what == "User Property" {
            true => About::Case(Case::UserPropertyOfWill),
            false => About::Field(what),
        })
        .at(publication.seen.packet)
        .unless(f.any_doubt())
        .resting_on(delivery)
    })
}

pub(super) static RETAIN_FORWARDED: Rule = Rule {
    id: "retain-forwarded",
    title: "A live delivery has RETAIN 0, unless the subscription asks for Retain As Published",
    why: "Subscribers treat a live message as an old one, and may ignore it.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-3.3.1-9"),
        v5("MQTT-3.3.1-12").when(Case::Live),
        v5("MQTT-3.3.1-13").when(Case::RetainAsPublished),
    ],
    examples: Examples {
        good: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1
! connection 1
< PUBLISH topic=t/a payload=x",
        bad: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1
! connection 1
< PUBLISH topic=t/a payload=x retain=1",
        cut: "\
! midstream
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1
! connection 1
< PUBLISH topic=t/a payload=x retain=1",
    },
    check: Check::Frame(&[P::Publish], retain_forwarded),
};

fn retain_forwarded(f: &FrameFacts<'_>) -> Judged {
    let (delivery, publication) = single(f)?;
    let facts = f.connection;
    if facts.opening.as_ref().is_none_or(|opening| opening.bridge) {
        return None;
    }
    // When a will is published is not on the wire, so it may be a retained one.
    if publication.will && publication.retain {
        return None;
    }
    // Live: subscribed, and acknowledged, before it was published.
    let live = |s: &Subscription| s.was_settled_before(publication.seen);
    let mut as_published = f
        .matching()
        .map(|s| f.frame.version == Version::V5 && s.options & 8 != 0);
    let first = as_published.next()?;
    if !f.matching().all(live) || as_published.any(|other| other != first) {
        return None;
    }
    let expected = first && publication.retain;
    (f.frame.header.retain() != expected).then(|| {
        warning(format!(
            "expected RETAIN {} in a delivery to an established subscription, found {}",
            u8::from(expected),
            u8::from(f.frame.header.retain())
        ))
        .about(if first {
            Case::RetainAsPublished
        } else {
            Case::Live
        })
        .at(publication.seen.packet)
        .unless(f.any_doubt())
        .unless(f.doubt_of_subscriptions())
        .resting_on(delivery)
    })
}

pub(super) static EXPIRED: Rule = Rule {
    id: "expired-delivery",
    title: "A message is not delivered after its Message Expiry Interval, which counts down while it waits",
    why: "An outdated command is carried out.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[v5("MQTT-3.3.2-5"), v5("MQTT-3.3.2-6").when(Case::Countdown)],
    examples: Examples {
        good: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x message_expiry_interval=10
! connection 1
< PUBLISH topic=t/a payload=x message_expiry_interval=10",
        bad: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x message_expiry_interval=10
! wait 30s
! connection 1
< PUBLISH topic=t/a payload=x message_expiry_interval=10",
        cut: "\
! midstream
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x message_expiry_interval=10
! wait 30s
! connection 1
< PUBLISH topic=t/a payload=x message_expiry_interval=10",
    },
    check: Check::Frame(&[P::Publish], expired),
};

fn expired(f: &FrameFacts<'_>) -> Judged {
    let (delivery, publication) = single(f)?;
    let expiry = publication.expiry?;
    let waited = f.frame.started.since(publication.seen.time);
    let left = p::number(f.frame.packet.properties(), p::MESSAGE_EXPIRY);
    let (message, about) = if waited > Duration::from_secs(u64::from(expiry) + 2) {
        (
            format!(
                "expected nothing of a message that expired after {expiry} s, found it delivered after {} s",
                waited.as_secs()
            ),
            None,
        )
    } else if f.frame.version == Version::V5
        && left.is_none_or(|left| u64::from(left) + waited.as_secs() > u64::from(expiry) + 2)
    {
        let left = left.map_or("none".to_owned(), |left| format!("{left} s"));
        (
            format!(
                "expected a Message Expiry Interval of {expiry} s less the {} s that it waited, found {left}",
                waited.as_secs()
            ),
            Some(Case::Countdown),
        )
    } else {
        return None;
    };
    (!f.frame.header.dup()).then(|| {
        warning(message)
            .about(about)
            .at(publication.seen.packet)
            .unless(f.any_doubt())
            .resting_on(delivery)
    })
}

pub(super) static LOST_DELIVERY: Rule = Rule {
    id: "lost-delivery",
    title: "A message that the server has accepted is delivered to every subscribed client",
    why: "QoS 1 and 2 promise it. Access rules and limits may be the reason.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-4.5.0-1").when(Case::Live),
        v311("MQTT-3.1.2-5").when(Case::Queued),
        v5("MQTT-4.5.0-1").when(Case::Live),
        v5("MQTT-3.1.2-5").when(Case::Queued),
    ],
    examples: Examples {
        good: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t/a payload=x qos=1 id=1
> PUBACK id=1",
        bad: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x qos=1 id=1
< PUBACK id=1
! wait 40s
! connection 1
> PINGREQ
< PINGRESP
> DISCONNECT",
        cut: "\
! open
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x qos=1 id=1
< PUBACK id=1
! wait 40s
! connection 1
> PINGREQ
< PINGRESP",
    },
    check: Check::Undelivered(lost_delivery),
};

fn lost_delivery(f: &Undelivered<'_>) -> Judged {
    match f.because {
        Because::Published => Some(
            missing(f, "a delivery of a message that the server has accepted").about(Case::Live),
        ),
        Because::Queued => {
            let fault = missing(f, "what was published while the client was away")
                .about(Case::Queued)
                .unless(f.missed)
                // A queue has limits, and what it drops is configurable.
                .unless_when(f.overtaken_by.is_none(), Reason::AmbiguousMatch);
            Some(fault)
        }
        _ => None,
    }
}

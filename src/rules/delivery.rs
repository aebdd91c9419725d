//! Deliveries: what a server sends to subscribers for a publication.
//!
//! Servers may be configured, have plug-ins, and get messages from connections that
//! were not captured. So all findings are warnings, and only for deliveries that
//! match exactly one publication.

use std::time::Duration;

use crate::facts::properties as p;
use crate::facts::{
    Because, CarriedFields, Delivery, Ending, FrameFacts, Lacks, Publication, Reason, Subscription,
    Undelivered, UnwantedWill,
};
use crate::mqtt::{PacketType as P, Version};

use super::clause::{About, Case, v5, v31, v311};
use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Judged, warning};

pub(super) static RULES: &[&Rule] = &[
    &QOS_RAISED,
    &PROPERTIES_ALTERED,
    &RETAIN_FORWARDED,
    &RETAINED_WITHOUT_FLAG,
    &RETAINED_STALE,
    &EMPTY_RETAINED,
    &RETAIN_HANDLING,
    &NO_LOCAL,
    &ORDER,
    &DELIVERED_TWICE,
    &EXPIRED,
    &DROPPED_WILL,
    &WILL_FLAGS,
    &LOST_DELIVERY,
    &MISSING_RETAINED,
    &MISSING_WILL,
    &OVERLAP_COPY,
    &SHARED_TWICE,
];

/// Events closer in time than this may have happened in any order; a later one may be
/// another message with the same bytes.
const APART: Duration = Duration::from_secs(1);

static QOS_RAISED: Rule = Rule {
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

static PROPERTIES_ALTERED: Rule = Rule {
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

static RETAIN_FORWARDED: Rule = Rule {
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

static RETAINED_WITHOUT_FLAG: Rule = Rule {
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

static RETAINED_STALE: Rule = Rule {
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

static EMPTY_RETAINED: Rule = Rule {
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

static RETAIN_HANDLING: Rule = Rule {
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

static NO_LOCAL: Rule = Rule {
    id: "no-local",
    title: "With No Local a client does not get its own messages back",
    why: "Two bridges that subscribe to each other forward a message in an endless loop.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[v5("MQTT-3.8.3-3")],
    examples: Examples {
        good: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:5
< SUBACK id=1 codes=1
> PUBLISH topic=t/a payload=x",
        bad: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:5
< SUBACK id=1 codes=1
> PUBLISH topic=t/a payload=x
< PUBLISH topic=t/a payload=x",
        cut: "\
! midstream
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:5
< SUBACK id=1 codes=1
> PUBLISH topic=t/a payload=x
< PUBLISH topic=t/a payload=x",
    },
    check: Check::Frame(&[P::Publish], no_local),
};

fn no_local(f: &FrameFacts<'_>) -> Judged {
    let (delivery, publication) = single(f)?;
    let own = publication.seen.connection == f.frame.connection.number && !publication.will;
    let mut matching = f.matching();
    let first = matching.next()?;
    let local = |s: &Subscription| s.options & 4 == 0;
    let no_local = f.frame.version == Version::V5 && !local(first) && !matching.any(local);
    (own && no_local && !f.frame.header.retain()).then(|| {
        warning("expected no delivery of the client's own message, because of No Local; found one")
            .at(publication.seen.packet)
            .unless(f.any_doubt())
            .unless(f.doubt_of_subscriptions())
            .resting_on(delivery)
    })
}

static ORDER: Rule = Rule {
    id: "delivery-order",
    title: "Messages of one publisher, topic and QoS are delivered in the order in which they were published",
    why: "The older value overwrites the newer one. Servers may be configured to treat topics as unordered.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-4.6.0-5"),
        v311("MQTT-4.6.0-6"),
        v5("MQTT-4.6.0-5"),
        v5("MQTT-4.6.0-6"),
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
> PUBLISH topic=t/a payload=x
> PUBLISH topic=t/a payload=y
! connection 1
< PUBLISH topic=t/a payload=x
< PUBLISH topic=t/a payload=y",
        bad: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x
> PUBLISH topic=t/a payload=y
! connection 1
< PUBLISH topic=t/a payload=y
< PUBLISH topic=t/a payload=x",
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
> PUBLISH topic=t/a payload=y
! connection 1
< PUBLISH topic=t/a payload=y
< PUBLISH topic=t/a payload=x",
    },
    check: Check::Frame(&[P::Publish], order),
};

fn order(f: &FrameFacts<'_>) -> Judged {
    let (delivery, publication) = single(f)?;
    let by = delivery.overtaken_by?;
    // Overlapping subscriptions may get the messages at different times.
    let one = f.matching().count() == 1 && !f.matching().any(|s| s.shared);
    (one && delivery.before.is_none()).then(|| {
        warning("expected messages in the order in which they were published, found an older one after a newer")
            .at(publication.seen.packet)
            .at(by.packet)
            .unless(f.any_doubt())
            .resting_on(delivery)
    })
}

static DELIVERED_TWICE: Rule = Rule {
    id: "delivered-twice",
    title: "One subscription gets one copy of a message",
    why: "Counters count twice, valves open twice. QoS 2 promises one delivery, and subscribing again replaces a subscription.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-3.8.4-3").when(Case::OneCopy),
        v311("MQTT-4.3.3-2").when(Case::SentAgain),
        v5("MQTT-3.8.4-3").when(Case::OneCopy),
        v5("MQTT-3.8.4-4").when(Case::OneCopy),
        v5("MQTT-4.3.3-10").when(Case::SentAgain),
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
< PUBLISH topic=t/a payload=x
< PUBLISH topic=t/a payload=x",
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
< PUBLISH topic=t/a payload=x
< PUBLISH topic=t/a payload=x",
    },
    check: Check::Frame(&[P::Publish], delivered_twice),
};

fn delivered_twice(f: &FrameFacts<'_>) -> Judged {
    let (delivery, publication) = single(f)?;
    let before = delivery.before?;
    let one = f.matching().count() == 1 && f.matching().all(|s| s.until.is_none());
    // A retained message is sent again for each SUBSCRIBE.
    let live = !f.frame.header.retain() && !f.frame.header.dup() && !publication.retain;
    if !one || !live || publication.returned.get() {
        return None;
    }
    let resent = publication.resent.get() > 0;
    if resent && publication.qos < 2 {
        // At least once.
        return None;
    }
    // Later, it may be the same message of a publisher that was not captured.
    let soon = f.frame.started.since(before) < APART;
    Some(
        warning(match resent {
            true => "expected one copy of a message of QoS 2 whose PUBLISH was sent again before PUBREL, found another",
            false => "expected one copy of a message for one subscription, found another",
        })
        .about(if resent { Case::SentAgain } else { Case::OneCopy })
        .at(publication.seen.packet)
        .unless_when(!soon, Reason::AmbiguousMatch)
        .unless(f.any_doubt())
        .unless(f.doubt_of_subscriptions())
        .resting_on(delivery),
    )
}

static EXPIRED: Rule = Rule {
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

static DROPPED_WILL: Rule = Rule {
    id: "dropped-will",
    title: "A will is not published after DISCONNECT, or if its client reconnects before the Will Delay is over",
    why: "Subscribers assume that the device has failed although it disconnected normally.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-3.1.2-10"),
        v311("MQTT-3.14.4-3"),
        v5("MQTT-3.1.2-10").when(Case::Disconnected),
        v5("MQTT-3.14.4-3").when(Case::Disconnected),
        v5("MQTT-3.1.3-9").when(Case::CameBack),
    ],
    examples: Examples {
        good: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=w will_topic=t/w will_payload=gone will_qos=1
< CONNACK
> DISCONNECT
! fin >
! fin <
! connection 1
> PINGREQ
< PINGRESP",
        bad: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=w will_topic=t/w will_payload=gone will_qos=1
< CONNACK
> DISCONNECT
! fin >
! fin <
! connection 1
< PUBLISH topic=t/w payload=gone qos=1 id=1
> PUBACK id=1",
        cut: "\
! midstream
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=w will_topic=t/w will_payload=gone will_qos=1
< CONNACK
> DISCONNECT
! fin >
! fin <
! connection 1
< PUBLISH topic=t/w payload=gone qos=1 id=1
> PUBACK id=1",
    },
    check: Check::Frame(&[P::Publish], dropped_will),
};

fn dropped_will(f: &FrameFacts<'_>) -> Judged {
    let delivery = f.delivery?;
    let fault = match delivery.unwanted_will? {
        UnwantedWill::Disconnected(by) => {
            warning("expected no will of a client that has sent DISCONNECT, found it delivered")
                .at(by.packet)
                .about(Case::Disconnected)
        }
        UnwantedWill::CameBack(by) => {
            warning("expected no will of a client that came back before its delay was over, found it delivered")
                .at(by.packet)
                .about(Case::CameBack)
        }
    };
    Some(fault.unless(f.any_doubt()).resting_on(delivery))
}

static WILL_FLAGS: Rule = Rule {
    id: "will-as-asked",
    title: "A will is published once, with its QoS and RETAIN",
    why: "Later subscribers see an offline device as online, or the other way round.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[v31(), v311("MQTT-3.1.2-17"), v5("MQTT-3.1.2-15")],
    examples: Examples {
        good: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=w will_topic=t/w will_payload=gone will_qos=1
< CONNACK
! reset >
! wait 2s
! connection 1
< PUBLISH topic=t/w payload=gone qos=1 id=1
> PUBACK id=1",
        bad: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:9
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=w version=5 will_retain=1 will_topic=t/w will_payload=gone will_qos=1
< CONNACK
! reset >
! wait 2s
! connection 1
< PUBLISH topic=t/w payload=gone qos=1 id=1
> PUBACK id=1",
        cut: "\
! midstream
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:9
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=w version=5 will_retain=1 will_topic=t/w will_payload=gone will_qos=1
< CONNACK
! reset >
! wait 2s
! connection 1
< PUBLISH topic=t/w payload=gone qos=1 id=1
> PUBACK id=1",
    },
    check: Check::Frame(&[P::Publish], will_as_asked),
};

fn will_as_asked(f: &FrameFacts<'_>) -> Judged {
    let (delivery, publication) = single(f)?;
    let lost =
        publication.will && publication.retain && !f.frame.header.retain() && as_published(f);
    lost.then(|| {
        warning("expected a will with RETAIN 1, as it was asked for, found 0")
            .at(publication.seen.packet)
            .unless(f.any_doubt())
            .resting_on(delivery)
    })
}

static LOST_DELIVERY: Rule = Rule {
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

static MISSING_RETAINED: Rule = Rule {
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

static MISSING_WILL: Rule = Rule {
    id: "missing-will",
    title: "The will of a client that closes without DISCONNECT is published",
    why: "Subscribers are not informed that the device has failed.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-3.1.2-8"),
        v5("MQTT-3.1.2-8"),
        v5("MQTT-3.1.2-7"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=w will_topic=t/w will_payload=gone will_qos=1
< CONNACK
! reset >
! wait 2s
! connection 1
< PUBLISH topic=t/w payload=gone qos=1 id=1
> PUBACK id=1",
        bad: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=w will_topic=t/w will_payload=gone will_qos=1
< CONNACK
! reset >
! wait 40s
! connection 1
> PINGREQ
< PINGRESP
! wait 40s
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
> CONNECT client=w will_topic=t/w will_payload=gone will_qos=1
< CONNACK
! reset >
! wait 40s
! connection 1
> PINGREQ
< PINGRESP
! wait 40s
> PINGREQ
< PINGRESP",
    },
    check: Check::Undelivered(missing_will),
};

fn missing_will(f: &Undelivered<'_>) -> Judged {
    if f.because != Because::Will {
        return None;
    }
    Some(missing(f, "the will of a client that went away"))
}

static OVERLAP_COPY: Rule = Rule {
    id: "overlap-copy",
    title: "The one copy of a message for overlapping subscriptions has their highest QoS and all their identifiers",
    why: "The client expects QoS 2 and gets QoS 1, or one of its handlers never gets the message.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v311("MQTT-3.3.5-1"),
        v5("MQTT-3.3.4-2").field("QoS"),
        v5("MQTT-3.3.4-4").field("Subscription Identifier"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
> SUBSCRIBE id=2 filter=t/a:0
< SUBACK id=2 codes=0
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t/a payload=x qos=1 id=1
> PUBACK id=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
        bad: "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
> SUBSCRIBE id=2 filter=t/a:0
< SUBACK id=2 codes=0
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t/a payload=x
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
        cut: "\
! open
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
> SUBSCRIBE id=2 filter=t/a:0
< SUBACK id=2 codes=0
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t/a payload=x",
    },
    check: Check::Undelivered(overlap_copy),
};

fn overlap_copy(f: &Undelivered<'_>) -> Judged {
    let Because::Overlap(lacks) = f.because else {
        return None;
    };
    let (what, about) = match lacks {
        Lacks::Qos { expected, found } => (
            format!("a copy with QoS {expected} besides the one with QoS {found}"),
            "QoS",
        ),
        Lacks::Identifier(id) => (
            format!("Subscription Identifier {id} in the one copy or in another"),
            "Subscription Identifier",
        ),
    };
    Some(missing(f, &what).about(about))
}

static SHARED_TWICE: Rule = Rule {
    id: "shared-twice",
    title: "A shared subscription gives each message to one of its members",
    why: "Shared work is done twice.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[v5("U-4.8-1")],
    examples: Examples {
        good: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g/t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=r version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g/t:1
< SUBACK id=1 codes=1
> PUBLISH topic=t payload=x
! connection 1
< PUBLISH topic=t payload=x",
        bad: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g/t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=r version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g/t:1
< SUBACK id=1 codes=1
> PUBLISH topic=t payload=x
< PUBLISH topic=t payload=x
! connection 1
< PUBLISH topic=t payload=x",
        cut: "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g/t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=r version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g/t:1
< SUBACK id=1 codes=1
> PUBLISH topic=t payload=x
< PUBLISH topic=t payload=x
! wait 30s
! connection 1
< PUBLISH topic=t payload=x",
    },
    check: Check::Frame(&[P::Publish], shared_twice),
};

fn shared_twice(f: &FrameFacts<'_>) -> Judged {
    let (delivery, publication) = single(f)?;
    let (other, time) = delivery.other_member?;
    // Later, it may be the same message of a publisher that was not captured.
    let soon = f.frame.started.since(time) < APART;
    Some(
        warning(format!(
            "expected one copy for the members of a shared subscription, found another after the one on connection {other}"
        ))
        .at(publication.seen.packet)
        .unless_when(!soon, Reason::AmbiguousMatch)
        .unless(f.any_doubt())
        .unless(f.doubt_of_subscriptions())
        .resting_on(delivery),
    )
}

/// The publication that a delivery matches, if it is unambiguous.
fn single<'a>(f: &FrameFacts<'a>) -> Option<(&'a Delivery, &'a Publication)> {
    let delivery = f.delivery?;
    Some((delivery, delivery.publication.as_ref()?))
}

/// Whether a subscription requests Retain As Published.
fn as_published(f: &FrameFacts<'_>) -> bool {
    f.frame.version == Version::V5 && f.matching().any(|s| s.options & 8 != 0)
}

/// A missing delivery.
fn missing(f: &Undelivered<'_>, what: &str) -> Box<super::Fault> {
    let topic = String::from_utf8_lossy(&f.publication.topic);
    let fault = warning(format!("expected {what} (topic {topic:?}), found none"))
        .at(f.of.packet)
        .unless(f.connection.any_doubt())
        .unless_when(f.connection.unidentified.down, Reason::Clipped)
        .unless_when(f.connection.session.elsewhere, Reason::SessionUnknown);
    if let Some(by) = f.overtaken_by {
        // It should have arrived before that one.
        return fault.at(by.packet);
    }
    fault
        .unless_when(f.ending == Ending::Unseen, Reason::CaptureEnd)
        .unless_when(f.ending == Ending::Reset, Reason::Reset)
        .unless_when(f.unacknowledged, Reason::Tolerance)
        .unless_when(f.waited < f.connection.patience, Reason::Tolerance)
}

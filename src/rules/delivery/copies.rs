//! How often a subscriber gets a message, and in which order.

use crate::facts::{Because, FrameFacts, Lacks, Reason, Subscription, Undelivered};
use crate::mqtt::{PacketType as P, Version};

use super::super::clause::{Case, v5, v31, v311};
use super::super::rule::{Binds, Check, Examples, Rule, Severity};
use super::super::verdict::{Judged, warning};
use super::{APART, missing, single};

pub(super) static NO_LOCAL: Rule = Rule {
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

pub(super) static ORDER: Rule = Rule {
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

pub(super) static DELIVERED_TWICE: Rule = Rule {
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

pub(super) static OVERLAP_COPY: Rule = Rule {
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

pub(super) static SHARED_TWICE: Rule = Rule {
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

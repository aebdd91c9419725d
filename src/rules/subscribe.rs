//! SUBSCRIBE and UNSUBSCRIBE, their answers, and deliveries for subscriptions.

use crate::facts::properties as p;
use crate::facts::{
    AnswerStep, FrameFacts, FrameRef, Overdue, Reason, Request, Step, Subscription,
};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::{ControlPacket, PacketType as P, Version};

use super::clause::{Case, v5, v31, v311};
use super::qos::{never_answered, so_far};
use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Judged, violation, warning};

pub(super) static RULES: &[&Rule] = &[
    &SUBACK_ID,
    &SUBACK_ONCE,
    &SUBACK_COUNT,
    &GRANTED_QOS,
    &BAD_OPTIONS_ACCEPTED,
    &MISSING_SUBACK,
    &NO_SUBSCRIPTION,
    &DELIVERED_QOS,
    &DELIVERY_AFTER_UNSUBSCRIBE,
    &FOREIGN_SUBSCRIPTION_ID,
    &MISSING_SUBSCRIPTION_ID,
];

static SUBACK_ID: Rule = Rule {
    id: "suback-id",
    title: "SUBACK and UNSUBACK have the Packet Identifier of their request",
    why: "The client waits for its own answer without end.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-2.3.1-7"),
        v311("MQTT-3.8.4-2").packet(P::Suback),
        v311("MQTT-3.10.4-4").packet(P::Unsuback),
        v5("MQTT-2.2.1-6"),
        v5("MQTT-3.8.4-2").packet(P::Suback),
        v5("MQTT-3.10.4-5").packet(P::Unsuback),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=2 codes=0",
        cut: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0
! gap 6 >
< SUBACK id=2 codes=0
> PINGREQ
< PINGRESP",
    },
    check: Check::Frame(&[P::Suback, P::Unsuback], suback_id),
};

fn suback_id(f: &FrameFacts<'_>) -> Judged {
    let kind = f.frame.header.packet_type();
    let fault = match f.step {
        Step::Answer(AnswerStep::Unknown) => violation(format!(
            "expected {kind} to answer a request that waits, found id {} of none",
            f.frame.packet.packet_id()?
        )),
        Step::Answer(AnswerStep::WrongType(request)) => violation(format!(
            "expected the answer to {} with id {}, found {kind}",
            request.kind, request.id
        ))
        .at(request.seen.packet)
        .unless(request.doubt),
        _ => return None,
    };
    Some(fault.unless(f.any_doubt()))
}

static SUBACK_ONCE: Rule = Rule {
    id: "suback-once",
    title: "A request gets one SUBACK or UNSUBACK, however many filters it has",
    why: "The second one answers the next request with the same identifier.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-3.8.4-4").packet(P::Suback),
        v311("MQTT-3.10.4-6").packet(P::Unsuback),
        v5("MQTT-3.8.4-5").packet(P::Suback),
        v5("MQTT-3.10.4-6").packet(P::Unsuback),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0 filter=b:0
< SUBACK id=1 codes=0,0",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0 filter=b:0
< SUBACK id=1 codes=0,0
< SUBACK id=1 codes=0,0",
        cut: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0 filter=b:0
< SUBACK id=1 codes=0,0
! gap 13 >
< SUBACK id=1 codes=0,0
> PINGREQ
< PINGRESP",
    },
    check: Check::Frame(&[P::Suback, P::Unsuback], suback_once),
};

fn suback_once(f: &FrameFacts<'_>) -> Judged {
    let Step::Answer(AnswerStep::Again(before)) = f.step else {
        return None;
    };
    Some(
        violation(format!(
            "expected one {} for the request with id {}, found a second",
            f.frame.header.packet_type(),
            f.frame.packet.packet_id()?
        ))
        .at(before.packet)
        .unless(f.any_doubt()),
    )
}

static SUBACK_COUNT: Rule = Rule {
    id: "suback-count",
    title: "SUBACK has a code for each Topic Filter, and so has UNSUBACK in 5.0",
    why: "The client does not know which of its subscriptions failed.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-3.8.4-5"),
        v5("MQTT-3.8.4-6").packet(P::Suback),
        v5("U-3.11-1").packet(P::Unsuback),
        v5("MQTT-3.11.3-1").packet(P::Unsuback),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0 filter=b:0
< SUBACK id=1 codes=0,0",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0 filter=b:0
< SUBACK id=1 codes=0",
        cut: "\
! midstream
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0 filter=b:0
< SUBACK id=1 codes=0",
    },
    check: Check::Frame(&[P::Suback, P::Unsuback], suback_count),
};

fn suback_count(f: &FrameFacts<'_>) -> Judged {
    let request = answered(f)?;
    let codes = codes(f)?.len();
    let filters = request.filters.len();
    (request.whole && f.frame.missing == 0 && codes != filters).then(|| {
        violation(format!(
            "expected {filters} codes in {}, one for each filter, found {codes}",
            f.frame.header.packet_type()
        ))
        .at(request.seen.packet)
        .unless(request.doubt)
        .unless(f.any_doubt())
    })
}

static GRANTED_QOS: Rule = Rule {
    id: "granted-qos",
    title: "The granted QoS is not above the requested one",
    why: "Either the codes are in another order than the filters, or the client gets a QoS that it did not request.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("U-3.9-1"),
        v311("MQTT-3.9.3-1"),
        v5("U-3.9-1"),
        v5("MQTT-3.9.3-1"),
        v5("MQTT-3.8.4-7"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:1
< SUBACK id=1 codes=1",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=1",
        cut: "\
! midstream
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=1",
    },
    check: Check::Frame(&[P::Suback], granted_qos),
};

fn granted_qos(f: &FrameFacts<'_>) -> Judged {
    let request = answered(f)?;
    let pairs = request.filters.iter().zip(codes(f)?);
    let above = |(filter, code): (&(Box<[u8]>, u8), &u8)| {
        let asked = filter.1 & 3;
        (*code <= 2 && *code > asked).then_some((asked, *code))
    };
    let (asked, granted) = pairs.into_iter().find_map(above)?;
    Some(
        warning(format!(
            "expected at most the requested QoS {asked}, found {granted} granted"
        ))
        .at(request.seen.packet)
        .unless(request.doubt)
        .unless(f.any_doubt()),
    )
}

static BAD_OPTIONS_ACCEPTED: Rule = Rule {
    id: "bad-options-accepted",
    title: "A server closes the connection for reserved bits in Subscription Options",
    why: "It answers a request that it cannot interpret.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v311("MQTT-3.8.3-4"), v5("MQTT-3.8.3-5")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:2
< SUBACK id=1 codes=2",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:3
< SUBACK id=1 codes=2",
        cut: "\
! midstream
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:3
< SUBACK id=1 codes=2",
    },
    check: Check::Frame(&[P::Suback], bad_options_accepted),
};

fn bad_options_accepted(f: &FrameFacts<'_>) -> Judged {
    let request = answered(f)?;
    let reserved = if f.frame.version == Version::V5 {
        0xc0
    } else {
        0xfc
    };
    let bad = |options: &u8| options & reserved != 0 || options & 3 == 3;
    let options = request
        .filters
        .iter()
        .map(|(_, options)| *options)
        .find(bad)?;
    Some(
        violation(format!(
            "expected the server to close over Subscription Options 0x{options:02x}, found SUBACK"
        ))
        .in_answer_to_a_fault()
        .at(request.seen.packet)
        .unless(request.doubt)
        .unless(f.any_doubt()),
    )
}

static MISSING_SUBACK: Rule = Rule {
    id: "missing-suback",
    title: "SUBSCRIBE is answered by SUBACK, UNSUBSCRIBE by UNSUBACK",
    why: "The client does not know whether it is subscribed. UNSUBACK is sent even if no subscription was deleted.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-3.8.4-1").packet(P::Suback),
        v311("MQTT-3.10.4-4").packet(P::Unsuback),
        v311("MQTT-3.10.4-5").packet(P::Unsuback),
        v5("MQTT-3.8.4-1").packet(P::Suback),
        v5("MQTT-3.10.4-4").packet(P::Unsuback),
        v5("MQTT-3.10.4-5").packet(P::Unsuback),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=0
> DISCONNECT",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0
! wait 30s
> PINGREQ
< PINGRESP
> DISCONNECT",
        cut: "\
! open
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:0",
    },
    check: Check::Overdue(missing_suback),
};

fn missing_suback(f: &Overdue<'_>) -> Judged {
    if !matches!(f.expected, P::Suback | P::Unsuback) || !f.is_due() {
        return None;
    }
    let fault = warning(format!(
        "expected {} for the request with id {}{}, found none{}",
        f.expected,
        f.id.unwrap_or(0),
        f.topic.map_or_else(String::new, |filter| {
            format!(" and filter {:?}", String::from_utf8_lossy(filter))
        }),
        so_far(f)
    ));
    never_answered(f, fault)
}

static NO_SUBSCRIPTION: Rule = Rule {
    id: "no-subscription",
    title: "A server delivers only messages that match a filter of the client",
    why: "They are messages for another client, or for a subscription that the client does not know. Servers may be configured to add subscriptions, so it is a warning.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-3.3.2-3"),
        v311("MQTT-4.7.2-1").when(Case::DollarTopic),
        v5("MQTT-3.3.2-3"),
        v5("MQTT-4.7.2-1").when(Case::DollarTopic),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=a/b",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=b/c",
        cut: "\
! midstream
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=b/c",
    },
    check: Check::Frame(&[P::Publish], no_subscription),
};

fn no_subscription(f: &FrameFacts<'_>) -> Judged {
    let topic = delivered(f)?;
    if f.matching().next().is_some() {
        return None;
    }
    let subscriptions = &f.connection.session.subscriptions;
    // Would it match but for the $?
    let dollar = topic.first() == Some(&b'$')
        && subscriptions
            .all()
            .any(|s| matches!(s.filter.first(), Some(b'+' | b'#')));
    Some(
        warning(format!(
            "expected a delivery for one of the client's subscriptions, found topic {:?}, which none of them matches",
            String::from_utf8_lossy(topic)
        ))
        .about(dollar.then_some(Case::DollarTopic))
        .unless(f.any_doubt())
        .unless(f.doubt_of_subscriptions()),
    )
}

static DELIVERED_QOS: Rule = Rule {
    id: "delivered-qos",
    title: "A delivery has at most the highest QoS that was granted for it",
    why: "The client handles handshakes that it did not request.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-3.8.4-6"),
        v5("MQTT-3.8.4-8"),
        v5("MQTT-4.8.2-3").when(Case::Shared),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=a/b qos=1 id=1
> PUBACK id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0
< SUBACK id=1 codes=0
< PUBLISH topic=a/b qos=1 id=1
> PUBACK id=1",
        cut: "\
! midstream
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0
< SUBACK id=1 codes=0
< PUBLISH topic=a/b qos=1 id=1
> PUBACK id=1",
    },
    check: Check::Frame(&[P::Publish], delivered_qos),
};

fn delivered_qos(f: &FrameFacts<'_>) -> Judged {
    delivered(f)?;
    let header = f.frame.header;
    let granted = f.matching().map(Subscription::highest_qos).max()?;
    let shared = f.matching().any(|s| s.shared);
    (header.qos() > granted && !header.dup()).then(|| {
        warning(format!(
            "expected at most the granted QoS {granted}, found {} in a delivery",
            header.qos()
        ))
        .about(shared.then_some(Case::Shared))
        .unless(f.any_doubt())
        .unless(f.doubt_of_subscriptions())
    })
}

static DELIVERY_AFTER_UNSUBSCRIBE: Rule = Rule {
    id: "delivery-after-unsubscribe",
    title: "After UNSUBACK no new message is delivered for the filter",
    why: "The client cannot stop the messages. Messages already in flight may still arrive.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-3.10.4-1"),
        v311("MQTT-3.10.4-2"),
        v5("MQTT-3.10.4-1"),
        v5("MQTT-3.10.4-2"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/+:1
< SUBACK id=1 codes=1
> UNSUBSCRIBE id=2 filter=a/+
< UNSUBACK id=2",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/+:1
< SUBACK id=1 codes=1
> UNSUBSCRIBE id=2 filter=a/+
< UNSUBACK id=2
! wait 10s
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=a/b
! connection 1
< PUBLISH topic=a/b",
        cut: "\
! midstream
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a/+:1
< SUBACK id=1 codes=1
> UNSUBSCRIBE id=2 filter=a/+
< UNSUBACK id=2
! wait 10s
< PUBLISH topic=a/b",
    },
    check: Check::Frame(&[P::Publish], delivery_after_unsubscribe),
};

fn delivery_after_unsubscribe(f: &FrameFacts<'_>) -> Judged {
    delivered(f)?;
    let ended = |s: &Subscription| {
        let here = |until: &FrameRef| until.connection == f.frame.connection.number;
        s.until.filter(here)
    };
    let mut subscriptions = f.matching();
    let first = ended(subscriptions.next()?)?;
    let latest = subscriptions.try_fold(first, |latest, s| {
        ended(s).map(|until| {
            if until.time > latest.time {
                until
            } else {
                latest
            }
        })
    })?;
    let publication = f
        .delivery
        .and_then(|delivery| delivery.publication.as_deref());
    // A message published before may have been queued for the client.
    let new = publication.map(|publication| publication.seen.started > latest.time);
    if new == Some(false) || f.frame.header.dup() || publication.is_some_and(|p| p.will) {
        return None;
    }
    let mut fault =
        warning("expected nothing new for a filter that was unsubscribed, found a delivery")
            .at(latest.packet);
    if let Some(publication) = publication {
        fault = fault.at(publication.seen.packet);
    }
    Some(
        fault
            .unless_when(new.is_none(), Reason::AmbiguousMatch)
            .unless(f.any_doubt())
            .unless(f.doubt_of_subscriptions()),
    )
}

static FOREIGN_SUBSCRIPTION_ID: Rule = Rule {
    id: "foreign-subscription-id",
    title: "A delivery has only Subscription Identifiers that the client assigned",
    why: "The client hands the message to the wrong handler, or to none.",
    binds: Binds::Server,
    severity: Severity::Fatal,
    clauses: &[v5("U-3.3-6")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
< PUBLISH topic=a/b subscription_identifier=3",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
< PUBLISH topic=a/b subscription_identifier=4",
        cut: "\
! midstream
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
< PUBLISH topic=a/b subscription_identifier=4",
    },
    check: Check::Frame(&[P::Publish], foreign_subscription_id),
};

fn foreign_subscription_id(f: &FrameFacts<'_>) -> Judged {
    if f.frame.direction == Up {
        return None;
    }
    let subscriptions = &f.connection.session.subscriptions;
    let given = |id: u32| id == 0 || subscriptions.all().any(|s| s.ids.contains(&id));
    let id = subscription_ids(f).find(|id| !given(*id))?;
    Some(
        violation(format!(
            "expected a Subscription Identifier that the client gave, found {id}"
        ))
        .unless(f.any_doubt())
        .unless(f.doubt_of_subscriptions()),
    )
}

static MISSING_SUBSCRIPTION_ID: Rule = Rule {
    id: "missing-subscription-id",
    title: "A delivery has the Subscription Identifiers of the matching subscriptions",
    why: "A client that dispatches by identifier drops the message.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v5("MQTT-3.3.4-3").when(Case::OneIdentifier),
        v5("MQTT-3.3.4-5").when(Case::Copies),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
< PUBLISH topic=a/b subscription_identifier=3",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
< PUBLISH topic=a/b",
        cut: "\
! midstream
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
< PUBLISH topic=a/b",
    },
    check: Check::Frame(&[P::Publish], missing_subscription_id),
};

fn missing_subscription_id(f: &FrameFacts<'_>) -> Judged {
    delivered(f)?;
    if f.frame.header.dup() || f.matching().any(|s| !s.is_settled()) {
        return None;
    }
    // A message may have been published for the subscription as it was before
    // the client subscribed again.
    let publication = f
        .delivery
        .and_then(|delivery| delivery.publication.as_deref());
    let as_it_is = |s: &Subscription| match publication {
        Some(publication) => s.was_settled_before(publication.seen) && !publication.will,
        None => s.first == s.since,
    };
    if !f.matching().all(as_it_is) {
        return None;
    }
    let mut subscriptions = f.matching();
    let first = subscriptions.next()?;
    let several = subscriptions.next().is_some();
    // With several subscriptions, each copy may be for another.
    if f.matching().any(|s| s.id.is_none()) && several {
        return None;
    }
    let current = |id: u32| f.matching().any(|s| s.id == Some(id));
    let fault = if let Some(stale) = subscription_ids(f).find(|id| !current(*id)) {
        let known = f.matching().any(|s| s.ids.contains(&stale));
        known.then(|| {
            warning(format!(
                "expected the Subscription Identifier of the latest SUBSCRIBE, found {stale} of an earlier one"
            ))
        })?
    } else if let Some(id) = first.id
        && subscription_ids(f).next().is_none()
    {
        warning(format!(
            "expected Subscription Identifier {id} in a delivery for its subscription, found none"
        ))
    } else {
        return None;
    };
    Some(
        fault
            .at(first.since.packet)
            .about(if several {
                Case::Copies
            } else {
                Case::OneIdentifier
            })
            .unless(f.any_doubt())
            .unless_when(f.frame.missing > 0, Reason::Clipped)
            .unless(f.doubt_of_subscriptions()),
    )
}

/// The request that a SUBACK or UNSUBACK answers.
fn answered<'a>(f: &FrameFacts<'a>) -> Option<&'a Request> {
    match f.step {
        Step::Answer(AnswerStep::Expected(request)) => Some(request),
        _ => None,
    }
}

/// The codes of a SUBACK, and of an UNSUBACK of 5.0.
fn codes<'a>(f: &FrameFacts<'a>) -> Option<&'a [u8]> {
    match &f.frame.packet {
        ControlPacket::Suback(suback) => Some(suback.codes),
        ControlPacket::Unsuback(unsuback) if f.frame.version == Version::V5 => Some(unsuback.codes),
        _ => None,
    }
}

/// The topic of a delivery to a client.
fn delivered<'a>(f: &FrameFacts<'a>) -> Option<&'a [u8]> {
    let accepted = f.connection.accepted.as_ref()?;
    let topic = f.frame.topic?.bytes();
    (f.frame.direction == Down && accepted.accepted() && !topic.is_empty()).then_some(topic)
}

fn subscription_ids<'a>(f: &FrameFacts<'a>) -> impl Iterator<Item = u32> + use<'a> {
    let properties = f.frame.packet.properties();
    properties
        .iter()
        .filter(|property| property.id == p::SUBSCRIPTION_ID)
        .filter_map(|property| p::as_number(property.value))
}

//! Wills: what subscribers get when a client is gone.

use crate::facts::{Because, FrameFacts, Undelivered, UnwantedWill};
use crate::mqtt::PacketType as P;

use super::super::clause::{Case, v5, v31, v311};
use super::super::rule::{Binds, Check, Examples, Rule, Severity};
use super::super::verdict::{Judged, warning};
use super::{as_published, missing, single};

pub(super) static DROPPED_WILL: Rule = Rule {
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

pub(super) static WILL_FLAGS: Rule = Rule {
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

pub(super) static MISSING_WILL: Rule = Rule {
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

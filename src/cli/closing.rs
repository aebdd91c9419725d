//! What is said on standard error once everything was read.
//!
//! Standard error stays quiet unless something is worth saying: what was asked
//! for and could not be done, and what a reader of the lines would otherwise
//! never learn.

use mqttdump::engine::Summary;

use super::console::{are, counted, does, were};

/// What there is to tell.
#[derive(Debug, Default)]
pub(crate) struct Facts<'a> {
    /// What the engine read, if it was needed.
    pub(crate) summary: Option<Summary>,
    /// Messages that were selected.
    pub(crate) shown: u64,
    /// Only some of the messages were asked for.
    pub(crate) selecting: bool,
    /// Reading stopped before the end, as asked for.
    pub(crate) stopped: bool,
    /// The BPF expression.
    pub(crate) expression: Option<&'a str>,
    /// Packets that it dropped, although what is inside them matches.
    pub(crate) hidden: u64,
    /// Exchanges that the selection could not remember.
    pub(crate) forgotten: u64,
    /// Packets of saved connections that could not be held long enough.
    pub(crate) unsaved: u64,
    /// `-q`.
    pub(crate) quiet: bool,
    /// `-v`.
    pub(crate) chatty: bool,
}

/// The messages, and whether something could not be done.
pub(crate) fn notes(facts: &Facts<'_>) -> (Vec<String>, bool) {
    let mut notes = Vec::new();
    let mut failed = false;
    if let Some(summary) = &facts.summary {
        failed = undecodable(summary, &mut notes);
        if !failed && !facts.quiet && !facts.stopped {
            nothing_found(facts, summary, &mut notes);
        }
        if !facts.quiet && !facts.selecting && summary.other_connections > 0 {
            let sealed = match summary.tls_connections {
                0 => String::new(),
                n => format!(" ({n} of TLS that could not be read: see --tls-keylog)"),
            };
            notes.push(format!(
                "{} not MQTT and not shown{sealed}",
                are(summary.other_connections, "TCP connection")
            ));
        }
        if !facts.quiet {
            unread(summary, &mut notes);
        }
        if facts.chatty {
            notes.push(totals(summary));
        }
    }
    if let Some(expression) = facts.expression
        && facts.hidden > 0
    {
        notes.push(format!(
            "{} not match \"{expression}\", but what is inside a VLAN tag or tunnel does: \
             try \"({expression}) or (vlan and ({expression}))\", or no expression",
            does(facts.hidden, "packet"),
        ));
    }
    if facts.forgotten > 0 {
        notes.push(format!(
            "{} not remembered, because too many were open at once; \
             their acknowledgements are marked ?",
            were(facts.forgotten, "exchange")
        ));
    }
    if facts.unsaved > 0 {
        notes.push(format!(
            "{} not written: they came too long before the first selected message of their \
             connection; read from a file instead of a pipe, nothing is lost",
            were(facts.unsaved, "packet")
        ));
        failed = true;
    }
    (notes, failed)
}

/// Names each link type that could not be decoded. That is a failure only when
/// nothing could be.
fn undecodable(summary: &Summary, notes: &mut Vec<String>) -> bool {
    let mut all = 0;
    for (link_type, count) in &summary.net.undecodable {
        all += count;
        notes.push(format!(
            "{} of link type {link_type} ({}), which cannot be decoded",
            are(*count, "packet"),
            link_type.0
        ));
    }
    all > 0 && all == summary.packets
}

/// Packets that may have held MQTT, and could not be looked into.
fn unread(summary: &Summary, notes: &mut Vec<String>) {
    let net = &summary.net;
    let given_up = net.fragments.expired + net.fragments.evicted;
    let mut say = |count: u64, what: &str, why: &str| {
        if count > 0 {
            notes.push(format!("{} {why}", counted(count, what)));
        }
    };
    say(net.cut, "packet", "cut by the snap length within a header");
    say(
        net.encrypted_frames,
        "802.11 frame",
        "encrypted and not looked into",
    );
    say(
        net.too_deep,
        "packet",
        "with more tunnels within each other than are followed",
    );
    say(
        given_up,
        "IP datagram",
        "given up, because fragments were missing or too many were waiting",
    );
    say(net.wrong_checksums, "TCP segment", "with a wrong checksum");
    say(net.mqtt_sn, "packet", "of MQTT-SN, which is not decoded");
    say(
        net.quic,
        "packet",
        "of QUIC on a port of MQTT, which is not decoded",
    );
    say(
        summary.http2_connections,
        "TCP connection",
        "of HTTP/2, which is not decoded",
    );
}

/// A capture without a line is a riddle: tell what was looked at.
fn nothing_found(facts: &Facts<'_>, summary: &Summary, notes: &mut Vec<String>) {
    if summary.packets == 0 {
        if facts.expression.is_some() {
            notes.push("no packet matches the BPF expression".to_owned());
        }
    } else if summary.frames == 0 {
        notes.push(format!(
            "no MQTT message in {}",
            counted(summary.packets, "packet")
        ));
    } else if facts.selecting && facts.shown == 0 {
        notes.push(format!(
            "none of {} was asked for",
            counted(summary.frames, "message")
        ));
    }
}

fn totals(summary: &Summary) -> String {
    format!(
        "{}, {}, {}, {} of a packet",
        counted(summary.packets, "packet"),
        counted(summary.frames, "message"),
        counted(summary.mqtt_connections, "MQTT connection"),
        match summary.duplicates {
            1 => "1 second copy".to_owned(),
            n => format!("{n} second copies"),
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqttdump::packet::LinkType;

    fn summary(packets: u64, frames: u64) -> Option<Summary> {
        Some(Summary {
            packets,
            frames,
            ..Summary::default()
        })
    }

    fn said(facts: &Facts<'_>) -> String {
        notes(facts).0.join("\n")
    }

    #[test]
    fn nothing_to_say() {
        let facts = Facts {
            summary: summary(10, 4),
            shown: 4,
            ..Facts::default()
        };
        assert_eq!(notes(&facts), (vec![], false));
        assert_eq!(notes(&Facts::default()), (vec![], false));
    }

    #[test]
    fn link_types_fail_only_when_nothing_is_left() {
        let with = |packets| {
            let mut summary = summary(packets, 0).unwrap();
            summary.net.undecodable.insert(LinkType(299), 7);
            notes(&Facts {
                summary: Some(summary),
                ..Facts::default()
            })
        };
        let (notes, failed) = with(7);
        assert!(failed);
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].starts_with("7 packets are of link type "),
            "{notes:?}"
        );
        assert!(!with(8).1);
    }

    #[test]
    fn what_could_not_be_looked_into() {
        let mut summary = summary(10, 4).unwrap();
        summary.net.encrypted_frames = 2;
        summary.net.fragments.expired = 1;
        let mut facts = Facts {
            summary: Some(summary),
            ..Facts::default()
        };
        assert_eq!(
            said(&facts),
            "2 802.11 frames encrypted and not looked into\n\
             1 IP datagram given up, because fragments were missing or too many were waiting"
        );
        facts.quiet = true;
        assert_eq!(said(&facts), "");
    }

    #[test]
    fn an_empty_answer_is_explained() {
        let mut facts = Facts {
            summary: summary(10, 0),
            ..Facts::default()
        };
        assert_eq!(said(&facts), "no MQTT message in 10 packets");
        facts.summary = summary(10, 3);
        facts.selecting = true;
        assert_eq!(said(&facts), "none of 3 messages was asked for");
        facts.stopped = true;
        assert_eq!(said(&facts), "");
        // A capture without packets is a capture, and has no messages.
        let facts = Facts {
            summary: summary(0, 0),
            ..Facts::default()
        };
        assert_eq!(said(&facts), "");
    }

    #[test]
    fn what_the_expression_could_not_see() {
        let facts = Facts {
            expression: Some("tcp port 1883"),
            hidden: 1,
            ..Facts::default()
        };
        assert!(said(&facts).contains("try \"(tcp port 1883) or (vlan and (tcp port 1883))\""));
    }

    #[test]
    fn bounds_that_bit() {
        let (notes, failed) = notes(&Facts {
            forgotten: 1,
            unsaved: 2,
            ..Facts::default()
        });
        assert!(notes[0].starts_with("1 exchange was "));
        assert!(notes[1].starts_with("2 packets were not written"));
        assert!(failed);
    }
}

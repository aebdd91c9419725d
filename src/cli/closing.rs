//! Messages on standard error after everything was read.
//!
//! Standard error stays quiet unless there is something to report: what could
//! not be done, and what the printed lines do not show.

use mqttdump::engine::Summary;

use super::console::{are, counted, does, were};

/// What the messages are about.
#[derive(Debug, Default)]
pub(crate) struct Facts<'a> {
    /// Counts of the engine, if it ran.
    pub(crate) summary: Option<Summary>,
    /// Messages that were selected.
    pub(crate) shown: u64,
    /// Only some messages were selected.
    pub(crate) selecting: bool,
    /// Reading stopped before the end, as requested.
    pub(crate) stopped: bool,
    /// The BPF expression.
    pub(crate) expression: Option<&'a str>,
    /// Packets that did not match it, although the IP packet inside them does.
    pub(crate) hidden: u64,
    /// Exchanges evicted from the selection's table.
    pub(crate) evicted: u64,
    /// Packets of saved connections that were dropped from the buffer.
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
        if !is_undecodable(summary) && !facts.quiet && !facts.stopped {
            nothing_found(facts, summary, &mut notes);
        }
        if !facts.quiet && !facts.selecting && summary.other_connections > 0 {
            let sealed = match summary.tls_connections {
                0 => String::new(),
                n => format!(" ({n} of TLS without keys: see --tls-keylog)"),
            };
            notes.push(format!(
                "{} not recognised as MQTT and not shown{sealed}",
                were(summary.other_connections, "TCP connection")
            ));
        }
        if !facts.quiet && summary.views > 0 {
            notes.push(format!(
                "{} captured before under other addresses (NAT) and shown once: \
                 --keep-duplicates shows all",
                were(summary.views, "connection")
            ));
        }
        for (port, count) in &summary.likely_connections {
            let looks = match count {
                1 => "looks",
                _ => "look",
            };
            notes.push(format!(
                "{} on port {port} {looks} like MQTT, but the capture does not have enough of it \
                 to be sure: try --decode {port}=mqtt",
                counted(*count, "connection")
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
            "{} not match \"{expression}\", but their content inside a VLAN tag or tunnel does: \
             try \"({expression}) or (vlan and ({expression}))\", or no expression",
            does(facts.hidden, "packet"),
        ));
    }
    if facts.evicted > 0 {
        notes.push(format!(
            "{} evicted: too many open at once; \
             their acknowledgements are marked ?",
            were(facts.evicted, "exchange")
        ));
    }
    if facts.unsaved > 0 {
        notes.push(format!(
            "{} not written: captured too long before the first selected message of their \
             connection; save from a file instead of a pipe to keep all",
            were(facts.unsaved, "packet")
        ));
        failed = true;
    }
    (notes, failed)
}

/// One message for each link type that could not be decoded.
pub(crate) fn undecodable(summary: &Summary) -> impl Iterator<Item = String> {
    let types = summary.net.undecodable.iter();
    types.map(|(link_type, count)| {
        format!(
            "{} of link type {link_type} ({}), which cannot be decoded",
            are(*count, "packet"),
            link_type.0
        )
    })
}

/// Whether no packet could be decoded.
pub(crate) fn is_undecodable(summary: &Summary) -> bool {
    let all: u64 = summary.net.undecodable.values().sum();
    all > 0 && all == summary.packets
}

/// Reports packets that may carry MQTT but were not decoded.
fn unread(summary: &Summary, notes: &mut Vec<String>) {
    let net = &summary.net;
    let given_up = net.fragments.expired + net.fragments.evicted;
    let mut note = |count: u64, what: &str, why: &str| {
        if count > 0 {
            notes.push(format!("{} {why}", counted(count, what)));
        }
    };
    note(net.cut, "packet", "cut by the snap length within a header");
    note(
        net.encrypted_frames,
        "802.11 frame",
        "encrypted and not decoded",
    );
    note(net.too_deep, "packet", "with tunnels nested too deeply");
    note(
        given_up,
        "IP datagram",
        "dropped: fragments missing, or too many incomplete",
    );
    note(net.wrong_checksums, "TCP segment", "with a wrong checksum");
    for ((application, port), count) in &summary.datagrams {
        let what = format!("{} datagram", application.name());
        let why = format!("on UDP port {port}, which is not decoded");
        note(*count, &what, &why);
    }
    note(
        summary.http2_connections,
        "TCP connection",
        "of HTTP/2, which is not decoded",
    );
    note(
        summary.undecided_connections,
        "TCP connection",
        "not recognised: too many were undecided at once",
    );
}

/// Explains why nothing was printed.
fn nothing_found(facts: &Facts<'_>, summary: &Summary, notes: &mut Vec<String>) {
    if summary.packets == 0 {
        if facts.expression.is_some() {
            notes.push("no packet matches the BPF expression".to_owned());
        }
    } else if summary.frames == 0 {
        notes.push(format!(
            "no MQTT messages in {}",
            counted(summary.packets, "packet")
        ));
    } else if facts.selecting && facts.shown == 0 {
        notes.push(format!(
            "none of {} selected",
            counted(summary.frames, "message")
        ));
    }
}

fn totals(summary: &Summary) -> String {
    format!(
        "{}, {}, {}, {}",
        counted(summary.packets, "packet"),
        counted(summary.frames, "message"),
        counted(summary.mqtt_connections, "MQTT connection"),
        counted(summary.duplicates, "duplicate packet")
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

    fn text(facts: &Facts<'_>) -> String {
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
            summary
        };
        let notes: Vec<_> = undecodable(&with(7)).collect();
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].starts_with("7 packets are of link type "),
            "{notes:?}"
        );
        assert!(is_undecodable(&with(7)) && !is_undecodable(&with(8)));
        let facts = |packets| Facts {
            summary: Some(with(packets)),
            ..Facts::default()
        };
        assert_eq!(text(&facts(7)), "");
        assert_eq!(text(&facts(8)), "no MQTT messages in 8 packets");
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
            text(&facts),
            "2 802.11 frames encrypted and not decoded\n\
             1 IP datagram dropped: fragments missing, or too many incomplete"
        );
        facts.quiet = true;
        assert_eq!(text(&facts), "");
    }

    #[test]
    fn an_empty_answer_is_explained() {
        let mut facts = Facts {
            summary: summary(10, 0),
            ..Facts::default()
        };
        assert_eq!(text(&facts), "no MQTT messages in 10 packets");
        facts.summary = summary(10, 3);
        facts.selecting = true;
        assert_eq!(text(&facts), "none of 3 messages selected");
        facts.stopped = true;
        assert_eq!(text(&facts), "");
        // A capture without packets is valid and has no messages.
        let facts = Facts {
            summary: summary(0, 0),
            ..Facts::default()
        };
        assert_eq!(text(&facts), "");
    }

    #[test]
    fn what_the_expression_could_not_see() {
        let facts = Facts {
            expression: Some("tcp port 1883"),
            hidden: 1,
            ..Facts::default()
        };
        assert!(text(&facts).contains("try \"(tcp port 1883) or (vlan and (tcp port 1883))\""));
    }

    #[test]
    fn bounds_that_bit() {
        let (notes, failed) = notes(&Facts {
            evicted: 1,
            unsaved: 2,
            ..Facts::default()
        });
        assert!(notes[0].starts_with("1 exchange was "));
        assert!(notes[1].starts_with("2 packets were not written"));
        assert!(failed);
    }
}

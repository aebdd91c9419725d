//! Which captured packets are read: the BPF expression, `--from`, `--to` and
//! `-c`.
//!
//! A BPF expression looks at fixed offsets, so `tcp port 1883` does not match a
//! TCP header behind a VLAN tag or in a tunnel. tcpdump drops such packets
//! silently. Here they are counted: packets that do not match, although the IP
//! packet inside them does.

use std::io;
use std::path::{Path, PathBuf};

use mqttdump::capture::{Filter, FilterError};
use mqttdump::net;
use mqttdump::packet::{CapturedPacket, LinkType};

use super::bounded;
use super::range::{Place, Range};

/// Filters captured packets.
#[derive(Debug)]
pub(crate) struct Gate {
    filter: Option<Filter>,
    range: Range,
    /// How many more packets may pass; `None` for no limit.
    left: Option<u64>,
    /// Packets that passed.
    pub(crate) passed: u64,
    /// Packets that did not match, although the IP packet inside them does.
    pub(crate) hidden: u64,
    /// Link types for which the expression does not compile.
    pub(crate) refused: Vec<FilterError>,
}

impl Gate {
    /// `text` is the complete expression; `link_types` are those known before the
    /// first packet.
    pub(crate) fn new(
        text: Option<&str>,
        range: Range,
        max: Option<u64>,
        link_types: &[LinkType],
    ) -> Result<Self, FilterError> {
        Ok(Self {
            range,
            filter: text.map(|text| Filter::new(text, link_types)).transpose()?,
            left: max,
            passed: 0,
            hidden: 0,
            refused: Vec::new(),
        })
    }

    /// Whether to read a packet, and whether it lies before what is shown.
    #[inline(always)]
    pub(crate) fn place(&mut self, packet: &CapturedPacket<'_>) -> Place {
        let place = self.range.place(packet.time);
        if place == Place::Outside || self.filter.is_some() && !self.matches(packet) {
            return Place::Outside;
        }
        if place == Place::Inside {
            self.passed += 1;
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(1);
            }
        }
        place
    }

    /// Whether a packet matches the expression.
    fn matches(&mut self, packet: &CapturedPacket<'_>) -> bool {
        let Some(filter) = &mut self.filter else {
            return true;
        };
        match filter.matches(packet) {
            Ok(true) => return true,
            Ok(false) => {
                let inside = net::inner_ip(packet);
                self.hidden += u64::from(inside.is_some_and(|ip| filter.matches_raw_ip(ip)));
            }
            Err(error) => self.refused.push(error),
        }
        false
    }

    /// Whether the limit of `-c` is reached.
    pub(crate) fn is_closed(&self) -> bool {
        self.left == Some(0)
    }
}

/// A BPF expression, or the file that contains it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// None: every packet.
    All,
    /// As typed.
    Text(String),
    /// In a file; `-` is standard input.
    File(PathBuf),
}

impl Expression {
    /// The complete expression; `None` for every packet.
    pub(crate) fn text(&self) -> Result<Option<String>, String> {
        let text = match self {
            Self::All => return Ok(None),
            Self::Text(text) => text.clone(),
            Self::File(path) => without_comments(&read(path)?),
        };
        Ok(Some(text).filter(|text| !text.trim().is_empty()))
    }
}

/// Maximum size of an expression; libpcap refuses much shorter ones.
const MOST_BYTES: u64 = 1 << 20;

fn read(path: &Path) -> Result<String, String> {
    let read = match path.as_os_str() == "-" {
        true => bounded::text(io::stdin(), MOST_BYTES),
        false => bounded::read_text(path, MOST_BYTES),
    };
    read.map_err(|error| format!("-F {}: {error}", path.display()))
}

/// Whether a BPF expression may contain this keyword.
pub(crate) fn is_bpf_word(word: &str) -> bool {
    const WORDS: [&str; 22] = [
        "host",
        "net",
        "port",
        "portrange",
        "src",
        "dst",
        "ether",
        "proto",
        "not",
        "and",
        "or",
        "greater",
        "less",
        "gateway",
        "broadcast",
        "multicast",
        "inbound",
        "outbound",
        "ifname",
        "pppoes",
        "geneve",
        "(",
    ];
    is_primitive(word) || WORDS.contains(&word)
}

/// Whether a word alone is a complete BPF expression.
pub(crate) fn is_primitive(word: &str) -> bool {
    const PRIMITIVES: [&str; 14] = [
        "ip", "ip6", "arp", "rarp", "tcp", "udp", "icmp", "icmp6", "igmp", "sctp", "vlan", "mpls",
        "inbound", "outbound",
    ];
    PRIMITIVES.contains(&word)
}

/// Removes comments: as in tcpdump, `#` starts one that ends with its line.
fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| {
        line.split_once('#')
            .map_or(line, |(before, _)| before)
            .trim()
    });
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_part_of_an_expression() {
        let file = "# the broker\nhost 10.0.1.1 # new\n\n  and tcp port 1883\n";
        assert_eq!(without_comments(file), "host 10.0.1.1  and tcp port 1883");
        assert_eq!(without_comments("# nothing\n"), "");
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = Expression::File("no/such/file".into()).text().unwrap_err();
        assert!(message.starts_with("-F no/such/file: "), "{message}");
    }

    #[cfg(feature = "live")]
    #[test]
    fn packets_behind_a_vlan_tag_are_noticed() {
        use mqttdump::packet::PacketRef;
        use mqttdump::time::Timestamp;

        let ip_and_tcp = [
            0x45, 0, 0, 40, 0, 7, 0, 0, 64, 6, 0, 0, 10, 0, 0, 7, 10, 0, 1, 1, //
            0x9c, 0xba, 0x07, 0x5b, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
        ];
        let plain = [&[0; 12][..], &[8, 0], &ip_and_tcp].concat();
        let tagged = [&[0; 12][..], &[0x81, 0, 0, 10, 8, 0], &ip_and_tcp].concat();
        let packet = |data| CapturedPacket {
            id: PacketRef::default(),
            time: Timestamp::default(),
            link_type: LinkType(1),
            original_len: 60,
            data,
        };
        let mut gate = Gate::new(
            Some("tcp port 1883"),
            Range::default(),
            Some(2),
            &[LinkType(1)],
        )
        .unwrap();
        assert_eq!(gate.place(&packet(&plain)), Place::Inside);
        assert_eq!(gate.place(&packet(&tagged)), Place::Outside);
        assert_eq!((gate.hidden, gate.is_closed()), (1, false));
        assert_eq!(gate.place(&packet(&plain)), Place::Inside);
        assert!(gate.is_closed());
        let mut gate = Gate::new(Some("udp"), Range::default(), None, &[]).unwrap();
        assert_eq!(gate.place(&packet(&tagged)), Place::Outside);
        assert_eq!(gate.hidden, 0);
        assert!(Gate::new(Some("host and"), Range::default(), None, &[]).is_err());
    }
}

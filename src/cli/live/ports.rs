//! The default capture filter: packets that may carry MQTT.
//!
//! BPF looks for ports at fixed offsets, and a VLAN tag shifts them. In
//! libpcap's language `vlan` shifts everything *after* it by one tag, up to the
//! end of the expression, so the tagged alternatives come last and are nested:
//!
//! ```text
//! P or (vlan and (P or (vlan and P)))
//! │             │               └ two tags (QinQ)
//! │             └ one tag, in the packet or taken out of it by the card
//! └ none
//! ```

/// BPF expressions, the most complete first: not every link type supports tags,
/// and packets on those have none.
pub(super) fn expressions(decoded: impl Iterator<Item = u16>) -> Vec<String> {
    let mut ports: Vec<u16> = [1883, 8883].into_iter().chain(decoded).collect();
    ports.sort_unstable();
    ports.dedup();
    let ports: Vec<String> = ports
        .iter()
        .map(|port| format!("tcp port {port}"))
        .collect();
    let ports = ports.join(" or ");
    vec![
        format!("{ports} or (vlan and ({ports} or (vlan and ({ports}))))"),
        ports,
    ]
}

#[cfg(test)]
mod tests {
    use mqttdump::capture::Filter;
    use mqttdump::packet::{CapturedPacket, LinkType, PacketRef};
    use mqttdump::time::Timestamp;

    use super::*;

    const ETHERNET: LinkType = LinkType(1);

    /// Ethernet, tags, IP, TCP to this port.
    fn packet(tags: &[u16], v6: bool, port: u16) -> Vec<u8> {
        let mut bytes = vec![2; 12];
        for tag in tags {
            bytes.extend(tag.to_be_bytes());
            bytes.extend([0, 10]);
        }
        let tcp = [&[0x9c, 0xba][..], &port.to_be_bytes(), &[0; 16]].concat();
        if v6 {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
            bytes.extend([7; 32]);
        } else {
            bytes.extend([8, 0, 0x45, 0, 0, 40, 0, 7, 0, 0, 64, 6, 0, 0]);
            bytes.extend([10, 0, 0, 7, 10, 0, 1, 1]);
        }
        bytes.extend(tcp);
        bytes
    }

    fn matches(expression: &str, data: &[u8]) -> bool {
        let mut filter = Filter::new(expression, &[ETHERNET]).expect("an expression");
        let packet = CapturedPacket {
            id: PacketRef::default(),
            time: Timestamp::default(),
            link_type: ETHERNET,
            original_len: data.len() as u32,
            data,
        };
        filter.matches(&packet).expect("no error")
    }

    #[test]
    fn every_port_behind_up_to_two_tags() {
        let expressions = expressions([8884, 1883].into_iter());
        assert_eq!(
            expressions[1],
            "tcp port 1883 or tcp port 8883 or tcp port 8884"
        );
        for v6 in [false, true] {
            for tags in [
                &[][..],
                &[0x8100],
                &[0x88a8],
                &[0x8100, 0x8100],
                &[0x88a8, 0x8100],
            ] {
                for (port, wanted) in [(1883, true), (8883, true), (8884, true), (1884, false)] {
                    let packet = packet(tags, v6, port);
                    assert_eq!(
                        matches(&expressions[0], &packet),
                        wanted,
                        "{port}, {tags:x?}, IPv6: {v6}"
                    );
                }
            }
        }
        assert!(matches(&expressions[1], &packet(&[], false, 8884)));
        assert!(!matches(&expressions[1], &packet(&[0x8100], false, 8884)));
    }
}

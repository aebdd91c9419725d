//! BPF expressions on files: `host 10.0.0.1 and tcp port 1883`.
//!
//! libpcap compiles the expression, because its language is what users know;
//! the program is run here, by [`machine`](super::machine), because libpcap's
//! safe interface takes the captured length for the original one, so that
//! `greater 1000` would be wrong on packets cut by the snap length.
//!
//! A program is good for one link type. A pcapng file may hold several, so
//! programs are compiled when a link type first appears. NULL and LOOP need more
//! care: their four bytes of address family depend on the byte order and the
//! operating system of the machine that captured, which a program compiled
//! without a file at hand cannot know. Where those bytes are not what this
//! machine would have written, the packet behind them is filtered as raw IP.
//!
//! Without the feature `live` there is no libpcap, and no filter can be made.

use std::fmt;

#[cfg(feature = "live")]
pub use with_libpcap::Filter;
#[cfg(not(feature = "live"))]
pub use without_libpcap::Filter;

use crate::packet::LinkType;

/// An expression that libpcap refuses.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct FilterError {
    /// The expression as the user gave it.
    pub expression: String,
    /// For packets of this link type.
    pub link_type: Option<LinkType>,
    /// Why, in libpcap's words.
    pub message: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BPF expression \"{}\"", self.expression)?;
        if let Some(link_type) = self.link_type {
            write!(f, " on link type {link_type}")?;
        }
        write!(f, ": {}", self.message)
    }
}

#[cfg(feature = "live")]
mod with_libpcap {
    use super::FilterError;
    use crate::capture::machine::Program;
    use crate::packet::{CapturedPacket, LinkType};

    const NULL: LinkType = LinkType(0);
    const RAW: LinkType = LinkType(101);
    const LOOP: LinkType = LinkType(108);
    /// Bytes of address family before the packet, with either of the two.
    const FAMILY: usize = 4;

    /// A BPF expression, compiled for each link type it meets.
    #[derive(Debug)]
    pub struct Filter {
        expression: String,
        /// `None` where libpcap refuses the expression. In order of appearance;
        /// the last one used is tried first, so the usual one costs a compare.
        programs: Vec<(LinkType, Option<Program>)>,
        last: usize,
    }

    impl Filter {
        /// Compiles an expression for the link types that are known already, or
        /// for Ethernet, so that mistakes are reported early.
        pub fn new(expression: &str, link_types: &[LinkType]) -> Result<Self, FilterError> {
            const ETHERNET: LinkType = LinkType(1);
            let mut filter = Self {
                expression: expression.to_owned(),
                programs: Vec::new(),
                last: 0,
            };
            if link_types.is_empty() {
                filter.compile(ETHERNET)?;
            }
            for &link_type in link_types {
                filter.program(link_type)?;
            }
            Ok(filter)
        }

        /// Whether a packet matches.
        ///
        /// An error is reported once per link type; after it, no packet of that
        /// link type matches.
        #[inline]
        pub fn matches(&mut self, packet: &CapturedPacket<'_>) -> Result<bool, FilterError> {
            let (link_type, data) = match packet.link_type {
                NULL | LOOP => family(packet),
                other => (other, packet.data),
            };
            Ok(match self.program(link_type)? {
                Some(program) => program.matches(data, packet.original_len),
                None => false,
            })
        }

        /// Whether a bare IP packet would match: for what is inside a tunnel or
        /// behind a VLAN tag, where the expression did not look. False when the
        /// expression makes no sense for bare IP, such as `ether host`.
        pub fn matches_raw_ip(&mut self, ip: &[u8]) -> bool {
            let len = u32::try_from(ip.len()).unwrap_or(u32::MAX);
            match self.program(RAW) {
                Ok(Some(program)) => program.matches(ip, len),
                _ => false,
            }
        }

        /// The expression as the user gave it.
        pub fn expression(&self) -> &str {
            &self.expression
        }

        #[inline]
        fn program(&mut self, link_type: LinkType) -> Result<Option<&Program>, FilterError> {
            let is_last = |(known, _): &(LinkType, _)| *known == link_type;
            if !self.programs.get(self.last).is_some_and(is_last) {
                self.last = self.find(link_type)?;
            }
            Ok(match self.programs.get(self.last) {
                Some((_, Some(program))) => Some(program),
                _ => None,
            })
        }

        #[cold]
        fn find(&mut self, link_type: LinkType) -> Result<usize, FilterError> {
            let known = self.programs.iter().position(|(t, _)| *t == link_type);
            if let Some(index) = known {
                return Ok(index);
            }
            let (program, error) = match self.compile(link_type) {
                Ok(program) => (Some(program), None),
                Err(error) => (None, Some(error)),
            };
            self.programs.push((link_type, program));
            match error {
                Some(error) => Err(error),
                None => Ok(self.programs.len() - 1),
            }
        }

        fn compile(&self, link_type: LinkType) -> Result<Program, FilterError> {
            let refused = |message: String| FilterError {
                expression: self.expression.clone(),
                link_type: Some(link_type),
                message,
            };
            // A NUL would end the expression early on libpcap's side.
            let compiled = pcap::Capture::dead(pcap::Linktype(dlt(link_type)))
                .and_then(|dead| dead.compile(&self.expression, true))
                .map_err(|error| refused(message(error)))?;
            let instructions = compiled.get_instructions();
            // The fields of an instruction are private; its text is not.
            Program::new(instructions.iter().map(ToString::to_string))
                .map_err(|unsupported| refused(unsupported.to_string()))
        }
    }

    fn message(error: pcap::Error) -> String {
        match error {
            pcap::Error::PcapError(message) => message,
            pcap::Error::InvalidInputString => "contains a NUL character".to_owned(),
            other => other.to_string(),
        }
    }

    /// How to filter a packet that starts with an address family.
    fn family<'a>(packet: &CapturedPacket<'a>) -> (LinkType, &'a [u8]) {
        const AF_INET: u32 = 2;
        let Some((first, behind)) = packet.data.split_first_chunk::<FAMILY>() else {
            return (packet.link_type, packet.data);
        };
        let family = match packet.link_type {
            LOOP => u32::from_be_bytes(*first),
            _ => u32::from_ne_bytes(*first),
        };
        // IPv6 is 10, 24, 28 or 30, depending on the system; a filter cannot ask for
        // other values by name.
        let is_ipv6 = behind.first().is_some_and(|byte| byte >> 4 == 6);
        let is_ipv4 = behind.first().is_some_and(|byte| byte >> 4 == 4);
        let foreign = (is_ipv4 && family != AF_INET) || is_ipv6;
        match foreign
            && [AF_INET, 10, 24, 28, 30]
                .iter()
                .any(|&known| known == family || known == family.swap_bytes())
        {
            true => (RAW, behind),
            false => (packet.link_type, packet.data),
        }
    }

    /// libpcap compiles for DLT_ values, files hold LINKTYPE_ values. They
    /// differ where systems did not agree on a DLT_ value (`pcap-common.c`).
    fn dlt(link_type: LinkType) -> i32 {
        match link_type.0 {
            100 => 11, // ATM_RFC1483
            101 if cfg!(target_os = "openbsd") => 14,
            101 => 12, // RAW
            102 => 15, // SLIP_BSDOS
            103 => 16, // PPP_BSDOS
            106 => 19, // ATM_CLIP
            other => i32::from(other),
        }
    }
}

#[cfg(not(feature = "live"))]
mod without_libpcap {
    use super::FilterError;
    use crate::packet::{CapturedPacket, LinkType};

    /// A BPF expression; never constructed in a build without libpcap.
    #[derive(Debug)]
    pub struct Filter {
        never: std::convert::Infallible,
    }

    impl Filter {
        /// The error of a build without BPF.
        pub fn new(expression: &str, _link_types: &[LinkType]) -> Result<Self, FilterError> {
            Err(FilterError {
                expression: expression.to_owned(),
                link_type: None,
                message: "this build has no BPF (feature `live`)".to_owned(),
            })
        }

        /// Whether a packet matches.
        pub fn matches(&mut self, _packet: &CapturedPacket<'_>) -> Result<bool, FilterError> {
            match self.never {}
        }

        /// Whether a bare IP packet would match.
        pub fn matches_raw_ip(&mut self, _ip: &[u8]) -> bool {
            match self.never {}
        }

        /// The expression as the user gave it.
        pub fn expression(&self) -> &str {
            match self.never {}
        }
    }
}

#[cfg(all(test, feature = "live"))]
mod tests {
    use super::*;
    use crate::packet::{CapturedPacket, PacketRef};
    use crate::time::Timestamp;

    const ETHERNET: LinkType = LinkType(1);
    const RAW: LinkType = LinkType(101);

    fn packet(link_type: LinkType, data: &[u8]) -> CapturedPacket<'_> {
        CapturedPacket {
            id: PacketRef::default(),
            time: Timestamp::default(),
            link_type,
            original_len: data.len() as u32,
            data,
        }
    }

    /// 10.0.0.`from`:1883 > 10.0.0.9:`to`, with four bytes of payload.
    fn ipv4(from: u8, to: u16) -> Vec<u8> {
        let mut bytes = vec![
            0x45, 0, 0, 44, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, from, 10, 0, 0, 9,
        ];
        bytes.extend_from_slice(&1883_u16.to_be_bytes());
        bytes.extend_from_slice(&to.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0, 9, 0, 0, 0, 0]);
        bytes.extend_from_slice(b"\xc0\x00\xd0\x00");
        bytes
    }

    fn ethernet(ether_type: u16, behind: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        bytes.extend_from_slice(&ether_type.to_be_bytes());
        bytes.extend_from_slice(behind);
        bytes
    }

    fn matches(expression: &str, packet: &CapturedPacket<'_>) -> bool {
        let mut filter = Filter::new(expression, &[packet.link_type]).expect(expression);
        filter.matches(packet).expect(expression)
    }

    #[test]
    fn agrees_with_libpcap() {
        const EXPRESSIONS: &[&str] = &[
            "",
            "ip",
            "ip6",
            "arp or rarp",
            "host 10.0.0.7",
            "host 10.0.0.1 and tcp port 1883",
            "src net 10.0.0.0/29 and not dst port 80",
            "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
            "tcp[tcpflags] & tcp-push != 0",
            "tcp[((tcp[12] & 0xf0) >> 2):1] = 0xc0",
            "portrange 1000-2000",
            "greater 60",
            "less 59",
            "len = 58",
            "ip[2:2] - ((ip[0] & 0xf) << 2) > 20",
            "ip[8] * 2 / 4 % 5 = 2",
            "-ip[8] = -64",
            "ip[8] ^ 0xff | 1 = 191",
            "(ip[8] << 1) >> 2 = 32",
            "ip[8] / ip[1] = 3",
            "ip[16:4] & 0xff = 9",
            "ether host 02:00:00:00:00:02",
            "ether multicast or ip broadcast",
            "vlan and tcp port 1883",
            "vlan 5 and vlan 6",
            "mpls and tcp",
            "pppoes and ip",
            "ip6 and tcp port 1883",
            "ip6 proto 6 and ip6[40:2] = 1883",
            "ip proto 6 and ip[6:2] & 0x1fff = 0",
            "icmp[icmptype] = icmp-echo",
            "udp port 53 or sctp",
            "dst port 1883 and src host 10.0.0.1",
        ];
        let tcp = ipv4(1, 40000);
        let mut packets = vec![
            ethernet(0x0800, &tcp),
            ethernet(0x0800, &ipv4(7, 80)),
            ethernet(0x8100, &[&[0, 5, 8, 0], &tcp[..]].concat()),
            ethernet(0x8100, &[&[0, 5, 0x81, 0, 0, 6, 8, 0], &tcp[..]].concat()),
            ethernet(0x8847, &[&[0, 1, 0x11, 64], &tcp[..]].concat()),
            ethernet(
                0x8864,
                &[&[0x11, 0, 0, 1, 0, 46, 0, 0x21], &tcp[..]].concat(),
            ),
            ethernet(0x0806, &[0; 28]),
        ];
        // Cut at every byte, and noise: loads beyond the end.
        let whole = packets[0].clone();
        packets.extend((0..whole.len()).map(|len| whole[..len].to_vec()));
        let mut state = 1_u32;
        packets.extend((0..400).map(|n| {
            let noise = std::iter::from_fn(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                Some((state >> 24) as u8)
            });
            let mut bytes: Vec<u8> = noise.take(n % 90).collect();
            if let Some(ether_type) = bytes.get_mut(12..15) {
                ether_type.copy_from_slice(&[8, 0, 0x45]);
            }
            bytes
        }));
        let mut hits = 0;
        for expression in EXPRESSIONS {
            let mut filter = Filter::new(expression, &[]).expect(expression);
            let dead = pcap::Capture::dead(pcap::Linktype::ETHERNET).expect("memory");
            let theirs = dead.compile(expression, true).expect(expression);
            for bytes in &packets {
                let ours = filter.matches(&packet(ETHERNET, bytes)).expect(expression);
                assert_eq!(ours, theirs.filter(bytes), "{expression}: {bytes:02x?}");
                hits += u32::from(ours);
            }
        }
        assert!(hits > 1000, "{hits}");
    }

    #[test]
    fn the_length_is_the_original_one() {
        let data = ethernet(0x0800, &ipv4(1, 2));
        let cut = CapturedPacket {
            original_len: 1400,
            ..packet(ETHERNET, &data)
        };
        assert!(matches("greater 1400", &cut));
        assert!(!matches("less 1399", &cut));
        assert!(matches("len = 1400 and tcp port 1883", &cut));
        assert!(!matches("len = 1400", &packet(ETHERNET, &data)));
    }

    #[test]
    fn programs_are_made_for_each_link_type() {
        let mut filter = Filter::new("src host 10.0.0.1 and port 1883", &[]).expect("valid");
        let ip = ipv4(1, 2);
        let link_types = [(RAW, 0), (LinkType(228), 0), (LinkType(113), 16)];
        for (link_type, header) in link_types {
            let mut bytes = vec![0; header];
            if header > 0 {
                bytes[14..].copy_from_slice(&[8, 0]);
            }
            bytes.extend_from_slice(&ip);
            assert!(filter.matches(&packet(link_type, &bytes)).expect("valid"));
            assert!(
                !filter
                    .matches(&packet(link_type, &bytes[1..]))
                    .expect("valid")
            );
        }
    }

    #[test]
    fn address_families_of_other_machines() {
        let ip6 = [
            &[0x60, 0, 0, 0, 0, 20, 6, 64][..],
            &[0; 32],
            &ipv4(1, 2)[20..],
        ]
        .concat();
        let ip4 = ipv4(1, 2);
        for (family, ip) in [
            (2_u32, &ip4),
            (10, &ip6),
            (24, &ip6),
            (28, &ip6),
            (30, &ip6),
        ] {
            for (link_type, bytes) in [
                (LinkType(0), family.to_le_bytes()),
                (LinkType(0), family.to_be_bytes()),
                (LinkType(108), family.to_be_bytes()),
            ] {
                let data = [&bytes[..], ip].concat();
                let packet = packet(link_type, &data);
                assert!(matches("tcp port 1883", &packet), "{link_type:?} {family}");
                assert!(!matches("tcp port 1884", &packet), "{link_type:?} {family}");
            }
        }
        let raw = [&2_u32.to_ne_bytes()[..], &ip4].concat();
        assert!(matches("link[0:4] != 7 and ip", &packet(LinkType(0), &raw)));
    }

    #[test]
    fn inner_packets_are_tried_as_raw_ip() {
        let mut filter = Filter::new("tcp port 1883", &[ETHERNET]).expect("valid");
        let tagged = ethernet(0x8100, &[&[0, 5, 8, 0], &ipv4(1, 2)[..]].concat());
        assert!(!filter.matches(&packet(ETHERNET, &tagged)).expect("valid"));
        assert!(filter.matches_raw_ip(&tagged[18..]));
        let mut of_ethernet = Filter::new("ether host 1:2:3:4:5:6", &[]).expect("valid");
        assert!(!of_ethernet.matches_raw_ip(&tagged[18..]));
    }

    #[test]
    fn mistakes_are_reported_in_libpcaps_words() {
        let error = Filter::new("tcp prot 1883", &[]).expect_err("a typing mistake");
        let message = error.to_string();
        assert!(message.starts_with("BPF expression \"tcp prot 1883\" on link type "));
        assert!(message.ends_with("syntax error"), "{message}");
        assert!(Filter::new("ip\0", &[]).is_err());
        // Compiles, but asks the kernel.
        assert!(Filter::new("inbound", &[ETHERNET]).is_err());
    }

    #[test]
    fn a_link_type_that_an_expression_does_not_suit_is_reported_once() {
        let mut filter = Filter::new("ether host 1:2:3:4:5:6", &[ETHERNET]).expect("valid");
        let ip = ipv4(1, 2);
        let packet = packet(RAW, &ip);
        assert!(filter.matches(&packet).is_err());
        assert_eq!(filter.matches(&packet), Ok(false));
    }
}

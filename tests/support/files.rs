//! Capture files of every kind from packets.

use std::io::Write;

use super::stack::OwnedPacket;

/// A file format and its knobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Classic pcap.
    Pcap { nano: bool, big: bool },
    /// Kuznetzov's variant with 8 more bytes per record.
    Modified { big: bool },
    /// pcapng. Packets are spread over `sections`; each section has one
    /// interface per link type. `resolution` is `if_tsresol` as in the file
    /// (6: microseconds, 0x80 | 20: 2^-20 s), `offset` is `if_tsoffset`.
    Pcapng {
        big: bool,
        sections: usize,
        resolution: u8,
        offset: i64,
        /// The obsolete packet block instead of the enhanced one.
        obsolete: bool,
    },
}

impl Format {
    /// pcapng as most programs write it.
    pub const PCAPNG: Self = Self::Pcapng {
        big: false,
        sections: 1,
        resolution: 6,
        offset: 0,
        obsolete: false,
    };

    /// Some of each.
    pub const ALL: [Self; 12] = [
        Self::Pcap {
            nano: false,
            big: false,
        },
        Self::Pcap {
            nano: false,
            big: true,
        },
        Self::Pcap {
            nano: true,
            big: false,
        },
        Self::Pcap {
            nano: true,
            big: true,
        },
        Self::Modified { big: false },
        Self::Modified { big: true },
        Self::PCAPNG,
        Self::Pcapng {
            big: true,
            sections: 1,
            resolution: 6,
            offset: 0,
            obsolete: false,
        },
        Self::Pcapng {
            big: false,
            sections: 3,
            resolution: 9,
            offset: 0,
            obsolete: false,
        },
        Self::Pcapng {
            big: true,
            sections: 2,
            resolution: 0x80 | 20,
            offset: 0,
            obsolete: false,
        },
        Self::Pcapng {
            big: false,
            sections: 1,
            resolution: 3,
            offset: 1_000_000_000,
            obsolete: false,
        },
        Self::Pcapng {
            big: true,
            sections: 1,
            resolution: 6,
            offset: -3_600,
            obsolete: true,
        },
    ];

    /// Nanoseconds that one unit of its times has at most, so that a test
    /// knows how exactly it must come back.
    pub fn unit(self) -> i64 {
        match self {
            Self::Pcap { nano: true, .. } => 1,
            Self::Pcap { .. } | Self::Modified { .. } => 1_000,
            Self::Pcapng { resolution, .. } => 1_000_000_000 / per_second(resolution) as i64 + 1,
        }
    }

    /// The file. pcap holds one link type: all packets must have the first's.
    pub fn write(self, packets: &[OwnedPacket]) -> Vec<u8> {
        match self {
            Self::Pcap { nano, big } => pcap(packets, nano, big),
            Self::Modified { big } => modified(packets, big),
            Self::Pcapng { .. } => self.pcapng(packets),
        }
    }

    fn pcapng(self, packets: &[OwnedPacket]) -> Vec<u8> {
        let Self::Pcapng {
            big,
            sections,
            resolution,
            offset,
            obsolete,
        } = self
        else {
            return Vec::new();
        };
        let mut file = Vec::new();
        let per_section = packets.len().div_ceil(sections).max(1);
        for part in packets.chunks(per_section) {
            let mut header = Bytes::new(big);
            header.u32(0x1a2b_3c4d).u16(1).u16(0);
            header.u32(u32::MAX).u32(u32::MAX);
            block(&mut file, big, 0x0a0d_0d0a, &header.out);
            let mut links: Vec<u16> = Vec::new();
            for packet in part {
                if !links.contains(&packet.link.0) {
                    links.push(packet.link.0);
                    let mut idb = Bytes::new(big);
                    idb.u16(packet.link.0).u16(0).u32(262_144);
                    idb.u16(9).u16(1).raw(&[resolution, 0, 0, 0]);
                    if offset != 0 {
                        idb.u16(14).u16(8);
                        idb.raw(&if big {
                            offset.to_be_bytes()
                        } else {
                            offset.to_le_bytes()
                        });
                    }
                    idb.u32(0);
                    block(&mut file, big, 1, &idb.out);
                }
                let interface = links.iter().position(|l| *l == packet.link.0);
                let interface = interface.unwrap_or(0) as u32;
                let nanos = i128::from(packet.time) - i128::from(offset) * 1_000_000_000;
                let units = (nanos * i128::from(per_second(resolution)) / 1_000_000_000) as u64;
                let mut epb = Bytes::new(big);
                if obsolete {
                    epb.u16(interface as u16).u16(0);
                } else {
                    epb.u32(interface);
                }
                epb.u32((units >> 32) as u32).u32(units as u32);
                epb.u32(packet.data.len() as u32).u32(packet.original_len);
                epb.raw(&packet.data);
                let kind = if obsolete { 2 } else { 6 };
                block(&mut file, big, kind, &epb.out);
            }
        }
        file
    }
}

/// gzip around a file.
pub fn gz(file: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(file).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

/// LZ4 frame around a file.
pub fn lz4(file: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(file).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

/// Zstandard around a file.
pub fn zst(file: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(file, ruzstd::encoding::CompressionLevel::Fastest)
}

fn pcap(packets: &[OwnedPacket], nano: bool, big: bool) -> Vec<u8> {
    let magic = if nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = pcap_header(packets, magic, big);
    for packet in packets {
        record(&mut file, packet, if nano { 1 } else { 1_000 });
        file.raw(&packet.data);
    }
    file.out
}

fn modified(packets: &[OwnedPacket], big: bool) -> Vec<u8> {
    let mut file = pcap_header(packets, 0xa1b2_cd34, big);
    for packet in packets {
        record(&mut file, packet, 1_000);
        file.u32(2).u16(0x0800).raw(&[0, 0]).raw(&packet.data);
    }
    file.out
}

fn pcap_header(packets: &[OwnedPacket], magic: u32, big: bool) -> Bytes {
    let link = packets.first().map_or(1, |p| p.link.0);
    assert!(
        packets.iter().all(|p| p.link.0 == link),
        "pcap holds one link type"
    );
    let mut file = Bytes::new(big);
    file.u32(magic).u16(2).u16(4).u32(0).u32(0);
    file.u32(262_144).u32(link.into());
    file
}

fn record(file: &mut Bytes, packet: &OwnedPacket, unit: i64) {
    let (seconds, nanos) = (packet.time / 1_000_000_000, packet.time % 1_000_000_000);
    file.u32(seconds as u32).u32((nanos / unit) as u32);
    file.u32(packet.data.len() as u32).u32(packet.original_len);
}

fn block(file: &mut Vec<u8>, big: bool, kind: u32, body: &[u8]) {
    let padded = body.len().next_multiple_of(4);
    let length = (padded + 12) as u32;
    let mut bytes = Bytes::new(big);
    bytes.u32(kind).u32(length).raw(body);
    bytes.out.resize(8 + padded, 0);
    bytes.u32(length);
    file.extend(bytes.out);
}

fn per_second(resolution: u8) -> u64 {
    match resolution & 0x80 {
        0 => 10_u64.pow(resolution.into()),
        _ => 1 << (resolution & 0x7f),
    }
}

/// Bytes in one of the two orders.
struct Bytes {
    out: Vec<u8>,
    big: bool,
}

impl Bytes {
    fn new(big: bool) -> Self {
        Self {
            out: Vec::new(),
            big,
        }
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&if self.big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        })
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&if self.big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        })
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }
}

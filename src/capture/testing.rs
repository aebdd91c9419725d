//! Capture files built by hand, byte by byte, for the tests of this module.

use std::io::{self, Read};

use super::bytes::{ByteOrder, padded};
use super::{Capture, Error, Item};

pub(super) const BOTH: [ByteOrder; 2] = [ByteOrder::Little, ByteOrder::Big];

/// Appends integers in one byte order.
#[derive(Clone)]
pub(super) struct Bytes {
    pub(super) order: ByteOrder,
    pub(super) bytes: Vec<u8>,
}

impl Bytes {
    pub(super) fn new(order: ByteOrder) -> Self {
        Self {
            order,
            bytes: Vec::new(),
        }
    }

    fn append<const N: usize>(mut self, little_endian: [u8; N]) -> Self {
        let mut bytes = little_endian;
        if self.order == ByteOrder::Big {
            bytes.reverse();
        }
        self.bytes.extend_from_slice(&bytes);
        self
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.append(value.to_le_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.append(value.to_le_bytes())
    }

    pub(super) fn u64(self, value: u64) -> Self {
        self.append(value.to_le_bytes())
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(super) fn pad(mut self) -> Self {
        self.bytes.resize(padded(self.bytes.len()), 0);
        self
    }

    /// A pcap file header.
    pub(super) fn pcap(order: ByteOrder, magic: u32, minor: u16, link_type: u32) -> Self {
        Self::new(order)
            .u32(magic)
            .u16(2)
            .u16(minor)
            .u64(0)
            .u32(65_535)
            .u32(link_type)
    }

    /// A pcap record of whole data.
    pub(super) fn record(self, seconds: u32, fraction: u32, data: &[u8]) -> Self {
        let len = data.len() as u32;
        self.u32(seconds).u32(fraction).u32(len).u32(len).raw(data)
    }

    /// A pcapng block.
    pub(super) fn block(self, kind: u32, body: impl FnOnce(Self) -> Self) -> Self {
        let body = body(Self::new(self.order)).pad().bytes;
        let length = body.len() as u32 + 12;
        self.u32(kind).u32(length).raw(&body).u32(length)
    }

    /// A section header; what follows is in `order`.
    pub(super) fn section(mut self, order: ByteOrder, options: impl FnOnce(Self) -> Self) -> Self {
        self.order = order;
        self.block(0x0a0d_0d0a, |body| {
            options(body.u32(0x1a2b_3c4d).u16(1).u16(0).u64(u64::MAX))
        })
    }

    pub(super) fn interface(
        self,
        link_type: u16,
        snap_length: u32,
        options: impl FnOnce(Self) -> Self,
    ) -> Self {
        self.block(1, |body| {
            options(body.u16(link_type).u16(0).u32(snap_length))
        })
    }

    pub(super) fn enhanced(
        self,
        interface: u32,
        ticks: u64,
        original: u32,
        data: &[u8],
        options: impl FnOnce(Self) -> Self,
    ) -> Self {
        self.block(6, |body| {
            let body = body.u32(interface).u32((ticks >> 32) as u32);
            let body = body.u32(ticks as u32).u32(data.len() as u32);
            options(body.u32(original).raw(data).pad())
        })
    }

    pub(super) fn option(self, code: u16, value: &[u8]) -> Self {
        let padding = padded(value.len()) - value.len();
        self.u16(code)
            .u16(value.len() as u16)
            .raw(value)
            .raw(&[0; 3][..padding])
    }

    pub(super) fn end(self) -> Self {
        self.u32(0)
    }

    pub(super) fn capture(&self) -> Result<Capture, Error> {
        capture(&self.bytes)
    }

    pub(super) fn seen(&self) -> (Vec<Seen>, Vec<Error>) {
        seen(&mut self.capture().expect("a header"))
    }
}

/// No options.
pub(super) fn plain(body: Bytes) -> Bytes {
    body
}

pub(super) fn capture(bytes: &[u8]) -> Result<Capture, Error> {
    Capture::from_read(Box::new(io::Cursor::new(bytes.to_vec())), "test", 0)
}

/// The properties of a packet that tests compare.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    pub(super) number: u64,
    pub(super) nanos: i64,
    pub(super) link_type: u16,
    pub(super) original: u32,
    pub(super) data: Vec<u8>,
}

/// All packets, and the errors at the end.
pub(super) fn seen(capture: &mut Capture) -> (Vec<Seen>, Vec<Error>) {
    let (mut packets, mut errors) = (Vec::new(), Vec::new());
    loop {
        match capture.next() {
            Ok(Some(Item::Packet(packet))) => packets.push(Seen {
                number: packet.packet.id.number,
                nanos: packet.packet.time.nanos(),
                link_type: packet.packet.link_type.0,
                original: packet.packet.original_len,
                data: packet.packet.data.to_vec(),
            }),
            Ok(Some(_)) => assert!(errors.is_empty(), "errors come last"),
            Ok(None) => return (packets, errors),
            Err(error) => errors.push(error),
        }
    }
}

/// Yields one byte at a time.
pub(super) struct Trickle(pub(super) io::Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = out.len().min(1);
        self.0.read(&mut out[..len])
    }
}

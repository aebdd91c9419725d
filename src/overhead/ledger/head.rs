//! The headers of captured frames, and how many bytes they carry.

use super::super::layer::Layer;
use super::super::level::Measures;
use crate::net::Anatomy;

/// The headers of frames, and what they carry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Bytes by layer, in the order of [`Head::LAYERS`].
    layers: [u64; 8],
    pub(super) frames: u64,
    /// Bytes of payload that the frames have.
    pub(super) payload: u64,
}

/// Headers or a share of them: bytes of frames, bytes of IP packets, frames.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::overhead) struct HeaderBytes {
    pub(in crate::overhead) l2: u64,
    pub(in crate::overhead) l3: u64,
    pub(in crate::overhead) packets: u64,
}

impl Head {
    const LAYERS: [Layer; 8] = [
        Layer::LinkHeader,
        Layer::LinkVlan,
        Layer::LinkTrailer,
        Layer::Tunnel,
        Layer::IpHeader,
        Layer::IpOptions,
        Layer::TcpHeader,
        Layer::TcpOptions,
    ];
    /// Index among them.
    const TUNNEL: usize = 3;
    /// Start of the headers of the IP packet.
    const IP: usize = 4;

    pub(super) fn new(anatomy: &Anatomy) -> Self {
        Self {
            layers: [
                anatomy.link.into(),
                anatomy.vlan.into(),
                anatomy.trailer.into(),
                anatomy.tunnel.into(),
                anatomy.ip.into(),
                anatomy.ip_options.into(),
                anatomy.tcp.into(),
                anatomy.tcp_options.into(),
            ],
            frames: 1,
            payload: anatomy.payload.into(),
        }
    }

    /// Adds a fragment's headers.
    pub(super) fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.layers.iter_mut().zip(other.layers) {
            *ours += theirs;
        }
        self.frames += other.frames;
        self.payload += other.payload;
    }

    /// Bytes of fragments beyond the reassembled segment: headers of a fragmented
    /// tunnel, and duplicate bytes.
    pub(super) fn settle_fragments(&mut self, segment: u64) {
        let more = self.payload.saturating_sub(segment);
        self.payload -= more;
        self.layers[Self::TUNNEL] += more;
    }

    /// Bytes by layer.
    pub(super) fn layers(&self) -> impl Iterator<Item = (Layer, u64)> {
        Self::LAYERS.into_iter().zip(self.layers)
    }

    /// The headers, whatever their layer.
    pub(super) fn bytes(&self) -> HeaderBytes {
        let l3 = self.layers[Self::IP..].iter().sum();
        HeaderBytes {
            l2: self.layers[..Self::IP].iter().sum::<u64>() + l3,
            l3,
            packets: self.frames,
        }
    }
}

impl HeaderBytes {
    pub(super) fn add(&mut self, other: &Self) {
        self.l2 += other.l2;
        self.l3 += other.l3;
        self.packets += other.packets;
    }

    /// With a payload.
    pub(super) fn with(&self, payload: Payload) -> Measures {
        Measures {
            l2: self.l2 + payload.bytes,
            l3: self.l3 + payload.bytes,
            packets: self.packets,
            tcp: payload.bytes,
            mqtt: payload.mqtt,
            app: payload.app,
        }
    }
}

/// Bytes of TCP payload; those of control packets; those of PUBLISH payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Payload {
    pub(super) bytes: u64,
    pub(super) mqtt: u64,
    pub(super) app: u64,
}

impl Payload {
    /// Bytes that are no MQTT.
    pub(super) fn other(bytes: u64) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.mqtt += other.mqtt;
        self.app += other.app;
    }
}

//! The headers of frames, and how many bytes they carry.

use super::super::layer::Layer;
use super::super::level::Measures;
use crate::net::Anatomy;

/// The headers of frames, and what they carry.
#[derive(Clone, Copy, Debug)]
pub(in crate::overhead) struct Head {
    pub(super) layers: [(Layer, u64); 8],
    pub(super) frames: u64,
    /// Bytes of payload that the frames have.
    pub(super) payload: u64,
}

impl Head {
    pub(in crate::overhead) fn new(anatomy: &Anatomy) -> Self {
        Self {
            layers: [
                (Layer::LinkHeader, anatomy.link.into()),
                (Layer::LinkVlan, anatomy.vlan.into()),
                (Layer::LinkTrailer, anatomy.trailer.into()),
                (Layer::Tunnel, anatomy.tunnel.into()),
                (Layer::IpHeader, anatomy.ip.into()),
                (Layer::IpOptions, anatomy.ip_options.into()),
                (Layer::TcpHeader, anatomy.tcp.into()),
                (Layer::TcpOptions, anatomy.tcp_options.into()),
            ],
            frames: 1,
            payload: anatomy.payload.into(),
        }
    }

    /// Adds another frame's headers, or a fragment's.
    pub(in crate::overhead) fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.layers.iter_mut().zip(other.layers) {
            ours.0 = theirs.0;
            ours.1 += theirs.1;
        }
        self.frames += other.frames;
        self.payload += other.payload;
    }

    /// What fragments hold beyond the segment that was joined from them: the
    /// headers of a tunnel that was fragmented, and bytes that came twice.
    pub(super) fn settle_fragments(&mut self, segment: u64) {
        let more = self.payload.saturating_sub(segment);
        self.payload -= more;
        self.layers[3] = (Layer::Tunnel, self.layers[3].1 + more);
    }

    /// The headers at every level.
    pub(super) fn measures(&self) -> Measures {
        let mut measures = Measures {
            packets: self.frames,
            ..Measures::default()
        };
        for (layer, bytes) in self.layers {
            measures.l2 += bytes;
            measures.l3 += if layer.is_ip() { bytes } else { 0 };
        }
        measures
    }
}

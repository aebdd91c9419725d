//! Axis A: which layer a byte belongs to. Every byte of a frame has one.

/// A layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Layer {
    LinkHeader,
    LinkVlan,
    LinkTrailer,
    Tunnel,
    IpHeader,
    IpOptions,
    TcpHeader,
    TcpOptions,
    Proxy,
    TlsHandshake,
    TlsRecord,
    WsUpgrade,
    WsFrame,
    MqttFixedHeader,
    MqttTopic,
    MqttPacketId,
    MqttProperties,
    MqttVariableHeader,
    MqttBody,
    App,
    Unparsed,
}

impl Layer {
    /// All of them, from the outside in.
    pub const ALL: [Self; 21] = [
        Self::LinkHeader,
        Self::LinkVlan,
        Self::LinkTrailer,
        Self::Tunnel,
        Self::IpHeader,
        Self::IpOptions,
        Self::TcpHeader,
        Self::TcpOptions,
        Self::Proxy,
        Self::TlsHandshake,
        Self::TlsRecord,
        Self::WsUpgrade,
        Self::WsFrame,
        Self::MqttFixedHeader,
        Self::MqttTopic,
        Self::MqttPacketId,
        Self::MqttProperties,
        Self::MqttVariableHeader,
        Self::MqttBody,
        Self::App,
        Self::Unparsed,
    ];

    /// Its name in reports, such as `mqtt.fh`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkHeader => "link.hdr",
            Self::LinkVlan => "link.vlan",
            Self::LinkTrailer => "link.trailer",
            Self::Tunnel => "tunnel",
            Self::IpHeader => "ip.hdr",
            Self::IpOptions => "ip.opt",
            Self::TcpHeader => "tcp.hdr",
            Self::TcpOptions => "tcp.opt",
            Self::Proxy => "proxy",
            Self::TlsHandshake => "tls.hs",
            Self::TlsRecord => "tls.rec",
            Self::WsUpgrade => "ws.up",
            Self::WsFrame => "ws.frm",
            Self::MqttFixedHeader => "mqtt.fh",
            Self::MqttTopic => "mqtt.topic",
            Self::MqttPacketId => "mqtt.pid",
            Self::MqttProperties => "mqtt.prop",
            Self::MqttVariableHeader => "mqtt.vh",
            Self::MqttBody => "mqtt.body",
            Self::App => "app",
            Self::Unparsed => "unparsed",
        }
    }

    /// Whether its bytes are part of an MQTT control packet.
    pub const fn is_mqtt(self) -> bool {
        matches!(
            self,
            Self::MqttFixedHeader
                | Self::MqttTopic
                | Self::MqttPacketId
                | Self::MqttProperties
                | Self::MqttVariableHeader
                | Self::MqttBody
                | Self::App
        )
    }

    /// Whether its bytes belong to a protocol between TCP and MQTT.
    pub const fn is_carrier(self) -> bool {
        matches!(
            self,
            Self::Proxy | Self::TlsHandshake | Self::TlsRecord | Self::WsUpgrade | Self::WsFrame
        )
    }

    /// Whether its bytes are part of a TCP payload.
    pub const fn is_payload(self) -> bool {
        self.is_mqtt() || self.is_carrier() || matches!(self, Self::Unparsed)
    }

    /// Whether its bytes are part of the innermost IP packet.
    pub const fn is_ip(self) -> bool {
        !matches!(
            self,
            Self::LinkHeader | Self::LinkVlan | Self::LinkTrailer | Self::Tunnel
        )
    }
}

/// Bytes by layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers([u64; Layer::ALL.len()]);

impl Layers {
    /// Adds bytes of a layer.
    pub fn add(&mut self, layer: Layer, bytes: u64) {
        self.0[layer as usize] += bytes;
    }

    /// Bytes of a layer.
    pub fn get(&self, layer: Layer) -> u64 {
        self.0[layer as usize]
    }

    /// Layers that have bytes, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (Layer, u64)> + '_ {
        Layer::ALL
            .into_iter()
            .map(|layer| (layer, self.get(layer)))
            .filter(|(_, bytes)| *bytes > 0)
    }

    /// Bytes of all layers.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds another count.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().zip(other.0) {
            *ours += theirs;
        }
    }

    /// What is left without a part.
    #[must_use]
    pub(super) fn less(&self, part: &Self) -> Self {
        let mut left = *self;
        for (ours, theirs) in left.0.iter_mut().zip(part.0) {
            *ours = ours.saturating_sub(theirs);
        }
        left
    }
}

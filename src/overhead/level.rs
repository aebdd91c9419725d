//! Levels at which bytes are counted.

use std::ops::{Add, AddAssign};

/// Which bytes of each frame are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Frames as captured.
    #[default]
    L2,
    /// The innermost IP packet: what most SIM plans bill.
    L3,
    /// The same and N bytes for each packet: plans that bill a tunnel.
    L3Plus(u32),
    /// TCP payload.
    Tcp,
    /// MQTT control packets.
    Mqtt,
    /// Payload of PUBLISH.
    App,
}

impl Level {
    /// Reads `l2`, `l3`, `l3+54`, `tcp`, `mqtt` or `app`.
    ///
    /// ```
    /// use mqttdump::overhead::Level;
    ///
    /// assert_eq!(Level::parse("l3+54"), Some(Level::L3Plus(54)));
    /// assert_eq!(Level::parse("l4"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "l2" => Self::L2,
            "l3" => Self::L3,
            "tcp" => Self::Tcp,
            "mqtt" => Self::Mqtt,
            "app" => Self::App,
            _ => Self::L3Plus(text.strip_prefix("l3+")?.parse().ok()?),
        })
    }

    /// The bytes that count at this level.
    pub fn of(self, measures: &Measures) -> u64 {
        match self {
            Self::L2 => measures.l2,
            Self::L3 => measures.l3,
            Self::L3Plus(more) => measures.l3 + u64::from(more) * measures.packets,
            Self::Tcp => measures.tcp,
            Self::Mqtt => measures.mqtt,
            Self::App => measures.app,
        }
    }

    /// Whether bytes of a layer count at this level.
    pub fn counts(self, layer: super::Layer) -> bool {
        match self {
            Self::L2 => true,
            Self::L3 | Self::L3Plus(_) => layer.is_ip(),
            Self::Tcp => layer.is_payload(),
            Self::Mqtt => layer.is_mqtt(),
            Self::App => layer == super::Layer::App,
        }
    }

    /// Bytes of one frame beyond the sum of its layers.
    pub fn per_packet(self) -> u64 {
        match self {
            Self::L3Plus(more) => more.into(),
            _ => 0,
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::L2 => f.write_str("l2"),
            Self::L3 => f.write_str("l3"),
            Self::L3Plus(more) => write!(f, "l3+{more}"),
            Self::Tcp => f.write_str("tcp"),
            Self::Mqtt => f.write_str("mqtt"),
            Self::App => f.write_str("app"),
        }
    }
}

/// The same frames counted at every level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Bytes of frames.
    pub l2: u64,
    /// Bytes of IP packets.
    pub l3: u64,
    /// Frames.
    pub packets: u64,
    /// Bytes of TCP payload.
    pub tcp: u64,
    /// Bytes of control packets.
    pub mqtt: u64,
    /// Bytes of PUBLISH payload.
    pub app: u64,
}

impl Add for Measures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            l2: self.l2 + other.l2,
            l3: self.l3 + other.l3,
            packets: self.packets + other.packets,
            tcp: self.tcp + other.tcp,
            mqtt: self.mqtt + other.mqtt,
            app: self.app + other.app,
        }
    }
}

impl Measures {
    /// What is left without a part.
    #[must_use]
    pub(super) fn less(&self, part: &Self) -> Self {
        Self {
            l2: self.l2.saturating_sub(part.l2),
            l3: self.l3.saturating_sub(part.l3),
            packets: self.packets.saturating_sub(part.packets),
            tcp: self.tcp.saturating_sub(part.tcp),
            mqtt: self.mqtt.saturating_sub(part.mqtt),
            app: self.app.saturating_sub(part.app),
        }
    }
}

impl AddAssign for Measures {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Measures {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

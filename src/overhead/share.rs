//! How the headers of a frame are divided among the control packets whose
//! bytes it carries.

/// A policy. It moves bytes between messages only: totals of connections,
/// layers and directions do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// By the bytes that each packet has in the frame.
    #[default]
    Proportional,
    /// Alike.
    Equal,
    /// All to the packet of the first byte.
    First,
    /// Alike to those whose last byte is in the frame; without such, by bytes.
    Completes,
}

impl Share {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Proportional,
        Self::Equal,
        Self::First,
        Self::Completes,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proportional => "proportional",
            Self::Equal => "equal",
            Self::First => "first",
            Self::Completes => "completes",
        }
    }

    /// The weight of each packet, given its bytes and whether it ends in the
    /// frame.
    pub(super) fn weights(self, pieces: impl Iterator<Item = (u64, bool)> + Clone) -> Vec<u64> {
        let proportional = || pieces.clone().map(|(bytes, _)| bytes).collect();
        match self {
            Self::Proportional => proportional(),
            Self::Equal => pieces.map(|_| 1).collect(),
            Self::First => pieces.enumerate().map(|(i, _)| u64::from(i == 0)).collect(),
            Self::Completes if pieces.clone().any(|(_, ends)| ends) => {
                pieces.map(|(_, ends)| u64::from(ends)).collect()
            }
            Self::Completes => proportional(),
        }
    }
}

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
    pub(super) fn weights(
        self,
        portions: impl Iterator<Item = (u64, bool)> + Clone,
        weights: &mut Vec<u64>,
    ) {
        weights.clear();
        match self {
            Self::Equal => weights.extend(portions.map(|_| 1)),
            Self::First => weights.extend(portions.enumerate().map(|(i, _)| u64::from(i == 0))),
            Self::Completes if portions.clone().any(|(_, ends)| ends) => {
                weights.extend(portions.map(|(_, ends)| u64::from(ends)));
            }
            Self::Proportional | Self::Completes => {
                weights.extend(portions.map(|(bytes, _)| bytes));
            }
        }
    }
}

//! Reason and return codes by name. (to be written)

use super::header::PacketType;
use super::version::Version;

/// The name of a code in a packet type of a version, such as
/// `Not authorized`; `None` where the specification defines none.
pub fn name(_version: Version, _packet: PacketType, _code: u8) -> Option<&'static str> {
    None
}

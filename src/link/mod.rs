//! (to be written)
use crate::packet::LinkType;

/// (to be written)
pub fn name(_: LinkType) -> Option<&'static str> {
    None
}

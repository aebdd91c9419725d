//! stub
use super::{FixedHeader, Version};
#[allow(missing_docs, dead_code)]
pub enum Evidence {
    Impossible,
    NeedMore,
    Plausible {
        bits: u32,
        packet_len: u64,
        header: FixedHeader,
        version: Option<Version>,
    },
}
#[allow(missing_docs)]
pub fn evidence(_: &[u8], _: Option<bool>, _: Option<Version>) -> Evidence {
    Evidence::Impossible
}

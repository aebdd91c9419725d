//! Raw IP (101, and 12 and 14 in files of old systems), IPv4 (228) and IPv6
//! (229): no link header at all.
//!
//! The version is taken from the first four bits whatever the link type is, as in
//! tcpdump.

use super::{Bytes, Link, Next, Step};
use crate::packet::LinkType;

/// LINKTYPE_RAW.
pub(super) const RAW: Link = link(101, "RAW");
/// DLT_RAW on most systems, found in files whose writer did not translate it.
pub(super) const RAW_12: Link = link(12, "RAW12");
/// DLT_RAW on OpenBSD.
pub(super) const RAW_14: Link = link(14, "RAW14");
/// LINKTYPE_IPV4.
pub(super) const IPV4: Link = link(228, "IPV4");
/// LINKTYPE_IPV6.
pub(super) const IPV6: Link = link(229, "IPV6");

const fn link(number: u16, name: &'static str) -> Link {
    Link {
        number: LinkType(number),
        name,
        open,
        show: |_| Some(String::from("ip")),
    }
}

fn open(bytes: Bytes<'_>) -> Step<'_> {
    Ok((Next::Ip, bytes))
}

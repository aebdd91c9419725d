//! Distributed Switch Architecture: the tags that switch chips add between a
//! frame's addresses and its EtherType (or before the addresses) on the link to
//! their host.
//!
//! ```text
//! DSA (284)           | destination 6 | source 6 | tag 4 | EtherType 2
//! EDSA (285)          | destination 6 | source 6 | DADA 2 | 0 2 | tag 4 | EtherType 2
//! BRCM (281)          | destination 6 | source 6 | tag 4 | EtherType 2
//! BRCM prepend (282)  | tag 4 | destination 6 | source 6 | EtherType 2
//! ```

use super::{Bytes, Link, Next, Step, ethernet};
use crate::packet::LinkType;

/// LINKTYPE_DSA_TAG_DSA.
pub(super) const DSA: Link = Link {
    number: LinkType(284),
    name: "DSA_TAG_DSA",
    open: |bytes| open(bytes, 4),
    show: ethernet::show,
};
/// LINKTYPE_DSA_TAG_EDSA.
pub(super) const EDSA: Link = Link {
    number: LinkType(285),
    name: "DSA_TAG_EDSA",
    open: |bytes| open(bytes, 8),
    show: ethernet::show,
};
/// LINKTYPE_DSA_TAG_BRCM.
pub(super) const BRCM: Link = Link {
    number: LinkType(281),
    name: "DSA_TAG_BRCM",
    open: |bytes| open(bytes, 4),
    show: ethernet::show,
};
/// LINKTYPE_DSA_TAG_BRCM_PREPEND.
pub(super) const BRCM_PREPEND: Link = Link {
    number: LinkType(282),
    name: "DSA_TAG_BRCM_PREPEND",
    open: |bytes| Ok((Next::Ethernet, bytes.skip(4)?)),
    show: |data| ethernet::show(data.get(4..)?),
};

/// Reads past the addresses and a tag of this length.
fn open(bytes: Bytes<'_>, tag: usize) -> Step<'_> {
    const ADDRESSES: usize = 12;
    let ether_type = bytes.u16(ADDRESSES + tag)?;
    Ok((
        Next::EtherType(ether_type),
        bytes.skip(ADDRESSES + tag + 2)?,
    ))
}

//! The link header as text, for `-e`.

use super::{find, name};
use crate::packet::CapturedPacket;

/// What tcpdump prints with `-e`, abbreviated: addresses, EtherType and VLAN tags, or
/// interface and direction, and the length on the wire.
///
/// ```
/// # use mqttdump::{link, packet::*, time::Timestamp};
/// # let mut data = vec![0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0, 0x11, 0x22, 0x33, 0x44, 0x55];
/// # data.extend([0x81, 0, 0x20, 10, 8, 0]);
/// # let packet = CapturedPacket {
/// #     id: PacketRef { number: 1, file: 0 }, time: Timestamp::from_nanos(0),
/// #     link_type: LinkType(1), original_len: 78, data: &data,
/// # };
/// assert_eq!(
///     link::describe(&packet),
///     "00:11:22:33:44:55 > 66:77:88:99:aa:bb, ethertype 802.1Q (0x8100), vlan 10, p 1, \
///      ethertype IPv4 (0x0800), length 78"
/// );
/// ```
pub fn describe(packet: &CapturedPacket<'_>) -> String {
    let length = packet.original_len;
    let header = find(packet.link_type).and_then(|link| (link.show)(packet.data));
    match (header, name(packet.link_type)) {
        (Some(header), _) => format!("{header}, length {length}"),
        (None, Some(name)) => format!("{name}, length {length}"),
        (None, None) => format!("{}, length {length}", packet.link_type),
    }
}

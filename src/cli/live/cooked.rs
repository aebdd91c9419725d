//! The link of a captured packet as text; for `any`, with the interface's name in
//! place of its number.

use std::collections::HashMap;

use mqttdump::capture::interface_name;
use mqttdump::link;
use mqttdump::packet::CapturedPacket;

/// Describes links.
#[derive(Debug)]
pub(crate) struct Cooked {
    /// `-e`: the whole header. Otherwise only interface and direction.
    whole: bool,
    /// Cache of interface names. The kernel does not reuse interface numbers.
    names: HashMap<u32, Option<String>>,
}

impl Cooked {
    pub(crate) fn new(whole: bool) -> Self {
        Self {
            whole,
            names: HashMap::new(),
        }
    }

    /// `eth0 In`, or with the whole header
    /// `eth0 In 00:11:22:33:44:55, ethertype IPv4 (0x0800), length 78`.
    pub(crate) fn describe(&mut self, packet: &CapturedPacket<'_>) -> String {
        let Some((index, direction)) = link::cooked_interface(packet) else {
            return match self.whole {
                true => link::describe(packet),
                false => String::new(),
            };
        };
        let name = self.names.entry(index);
        let name = name.or_insert_with(|| interface_name(index));
        let numbered = format!("ifindex {index}");
        let name = name.as_deref().unwrap_or(&numbered);
        match self.whole {
            true => link::describe(packet).replacen(&numbered, name, 1),
            false => format!("{name} {direction}"),
        }
    }
}

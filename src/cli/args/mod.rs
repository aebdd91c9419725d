//! Groups of options, each a struct that a command flattens into its own.
//!
//! ```text
//! read      Input Live Packets Selecting Lines Decoding Saving Watching Output
//! check     Captures (Input Live Packets) Selecting Watching Output, its own
//! overhead  Captures                                Watching Output, its own
//! ```
//!
//! A command takes the groups whose options it obeys and no others, so an
//! option without effect is an error. The groups record what was typed; its
//! meaning is decided where it is used. A letter that tcpdump has means what it
//! means in tcpdump, so that old habits work:
//!
//! ```text
//! mqttdump -nr f.pcap -c 5 host 10.0.0.1 and tcp port 1883
//! mqttdump -ttttnnr f.pcap -vvv
//! tcpdump -U -s 0 -w - | mqttdump -l -r -
//! ```

mod decoding;
mod input;
mod lines;
mod output;
mod saving;
mod selecting;
pub(crate) mod value;
mod watching;

pub(crate) use decoding::Decoding;
#[cfg(feature = "live")]
pub(crate) use input::PacketDirection;
pub(crate) use input::{Captures, Input, Live, Packets};
pub(crate) use lines::Lines;
pub(crate) use output::Output;
pub(crate) use saving::{Saving, What};
pub(crate) use selecting::{Connections, Selecting};
pub(crate) use watching::{Interim, Watching};

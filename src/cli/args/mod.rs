//! Groups of options. Each is a struct that commands flatten into their own.
//!
//! ```text
//! read      Input Live Packets Selecting Lines Decoding Saving Watching Output
//! check     Captures (Input Live Packets) Selecting Watching Output, its own
//! overhead  Captures                                Watching Output, its own
//! ```
//!
//! A command takes only the groups whose options have an effect there, so an
//! option without effect is an error. The groups record what was typed; it is
//! interpreted where it is used. Letters that tcpdump has mean the same as in
//! tcpdump, so that these work:
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
pub(crate) use input::{Captures, Input, Live, Packets, RotationArgs};
pub(crate) use lines::Lines;
pub(crate) use output::Output;
pub(crate) use saving::{Saving, What};
pub(crate) use selecting::Selecting;
pub(crate) use watching::{Interim, Watching};

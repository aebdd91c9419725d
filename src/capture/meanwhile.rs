//! What a source reports between its bytes: ticks and losses.
//!
//! An interface, or a growing file, is read like any other stream of bytes. But
//! where a file would end, there are no more bytes *yet*, while time passes or
//! packets are lost. The source reports that as an error of kind `WouldBlock`
//! that contains a [`Meanwhile`].
//!
//! ```text
//! read  → Ok(bytes), Ok(bytes), Err(WouldBlock, Tick), Ok(bytes), …, Ok(0)
//! items → packets,   packets,   Item::Tick,            packets,   …, None
//! ```
//! So it arrives at its position among the packets.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::time::Timestamp;

use super::item::Dropped;

/// A report other than bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meanwhile {
    /// Capture time has reached this point.
    #[cfg_attr(not(feature = "live"), allow(dead_code))]
    Tick(Timestamp),
    /// Time since the last bytes.
    Still(Duration),
    /// Packets were lost to the capture.
    Dropped(Dropped),
}

impl Meanwhile {
    /// Whether a read has failed only with such a report.
    pub(super) fn is_in(error: &io::Error) -> bool {
        Self::of(error).is_some()
    }

    /// The report, if the read has not failed otherwise.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Meanwhile> for io::Error {
    fn from(meanwhile: Meanwhile) -> Self {
        Self::new(io::ErrorKind::WouldBlock, meanwhile)
    }
}

/// The end of a source that has disappeared, with the reason.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
#[cfg_attr(not(feature = "live"), allow(dead_code))]
pub(super) struct Lost(pub(super) String);

impl Lost {
    /// Whether a read has failed because the source has disappeared.
    pub(super) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Lost> for io::Error {
    fn from(lost: Lost) -> Self {
        Self::other(lost)
    }
}

impl fmt::Display for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing more yet")
    }
}

impl std::error::Error for Meanwhile {}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::Read;

    use super::super::bytes::ByteOrder;
    use super::super::testing::{Bytes, plain};
    use super::super::{Capture, Item, Merge};
    use super::*;

    /// Bytes, and reports between them.
    struct Script(VecDeque<Result<Vec<u8>, Meanwhile>>);

    impl Read for Script {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.pop_front() {
                None => Ok(0),
                Some(Err(meanwhile)) => Err(meanwhile.into()),
                Some(Ok(mut bytes)) => {
                    let length = bytes.len().min(out.len());
                    out[..length].copy_from_slice(&bytes[..length]);
                    if length < bytes.len() {
                        self.0.push_front(Ok(bytes.split_off(length)));
                    }
                    Ok(length)
                }
            }
        }
    }

    fn script(bytes: &[u8], told: impl Fn(usize) -> Option<Meanwhile>) -> Box<Script> {
        let mut script = VecDeque::new();
        for (at, byte) in bytes.iter().enumerate() {
            script.extend(told(at).map(Err));
            script.push_back(Ok(vec![*byte]));
        }
        script.extend(told(bytes.len()).map(Err));
        Box::new(Script(script))
    }

    fn tick(seconds: i64) -> Meanwhile {
        Meanwhile::Tick(Timestamp::from_parts(seconds, 0))
    }

    fn pcap(seconds: &[u32]) -> Vec<u8> {
        let header = Bytes::pcap(ByteOrder::Little, 0xa1b2_c3d4, 4, 1);
        let file = seconds
            .iter()
            .fold(header, |file, &seconds| file.record(seconds, 0, b"data"));
        file.bytes
    }

    /// Packets by their time, and what comes between them.
    fn items(mut next: impl FnMut(&mut String) -> bool) -> String {
        let mut said = String::new();
        while next(&mut said) {}
        said.trim_end().to_owned()
    }

    fn say(item: Item<'_>, said: &mut String) {
        *said += &match item {
            Item::Packet(packet) => format!("{} ", packet.packet.time.seconds()),
            Item::Block(_) => "block ".to_owned(),
            Item::Tick(now) => format!("tick@{} ", now.seconds()),
            Item::Dropped(Dropped { packets, until }) => {
                format!("-{packets}<{} ", until.seconds())
            }
        };
    }

    fn of_capture(reader: Box<Script>) -> String {
        let mut capture = Capture::from_read(reader, "script", 0).expect("a header");
        items(|said| match capture.next().expect("no error") {
            Some(item) => {
                say(item, said);
                true
            }
            None => false,
        })
    }

    #[test]
    fn it_comes_at_its_place_wherever_the_bytes_were_torn() {
        let order = ByteOrder::Big;
        let pcapng = Bytes::new(order)
            .section(order, plain)
            .interface(1, 0, |body| body.option(9, &[0]).end())
            .enhanced(0, 1, 4, b"data", plain)
            .enhanced(0, 2, 4, b"data", plain);
        for (file, start, plainly) in [
            (pcap(&[1, 2]), 24, "1 2"),
            (pcapng.bytes, 4, "block block 1 2"),
        ] {
            for torn in start..=file.len() {
                let reader = script(&file, |at| (at == torn).then(|| tick(9)));
                let said = of_capture(reader);
                let without: Vec<_> = said.split(' ').filter(|word| *word != "tick@9").collect();
                assert_eq!(without.join(" "), plainly, "torn at {torn}");
                assert_eq!(said.matches("tick@9").count(), 1, "torn at {torn}: {said}");
            }
        }
    }

    #[test]
    fn between_records_it_comes_between_packets() {
        let file = pcap(&[1, 2]);
        let dropped = Meanwhile::Dropped(Dropped {
            packets: 3,
            until: Timestamp::from_parts(2, 0),
        });
        let said = of_capture(script(&file, |at| match at {
            24 => Some(tick(0)),
            44 => Some(dropped),
            64 => Some(tick(3)),
            _ => None,
        }));
        assert_eq!(said, "tick@0 1 -3<2 2 tick@3");
    }

    #[test]
    fn one_of_several_does_not_tell_the_time_of_all() {
        let grows = script(&pcap(&[1, 5]), |at| (at == 44).then(|| tick(4)));
        let grows = Capture::from_read(grows, "a", 0).expect("a header");
        let other = script(&pcap(&[2, 3]), |_| None);
        let other = Capture::from_read(other, "b", 1).expect("a header");
        let mut merge = Merge::new(vec![grows, other]);
        let said = items(|said| match merge.next().expect("no error") {
            Some(item) => {
                say(item, said);
                true
            }
            None => false,
        });
        assert_eq!(said, "1 tick@2 2 3 5");
    }

    #[test]
    fn a_read_that_really_would_block_is_an_error() {
        struct Blocks(bool);
        impl Read for Blocks {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let bytes = pcap(&[]);
                out[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
        }
        let mut capture = Capture::from_read(Box::new(Blocks(false)), "x", 0).expect("a header");
        assert!(capture.next().is_err());
        assert!(capture.next().expect("told once").is_none());
    }
}

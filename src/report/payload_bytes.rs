//! Payload bytes and nothing else: for other programs.

use super::{Format, FrameItem, FrameNeeds, Frames, Report};
use crate::facts::Needs;
use crate::payload::Message;

/// `--payload-only`: the payloads of PUBLISH packets, one after another, as they
/// were sent. It is no choice of `--format`, because its output is no text.
pub static PAYLOAD_BYTES: Format<Frames> = Format {
    name: "payload-bytes",
    help: "payload bytes alone",
    needs: FrameNeeds {
        events: false,
        facts: |_| Needs::FIELDS,
    },
    new: |_| Box::new(PayloadBytes),
};

struct PayloadBytes;

impl Report<Frames> for PayloadBytes {
    fn put(&mut self, item: &FrameItem<'_>, out: &mut Vec<u8>) {
        if let FrameItem::Frame { frame, .. } = item
            && let Some(message) = Message::of(frame)
        {
            out.extend_from_slice(message.payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Options, sample};

    #[test]
    fn only_payloads_are_written() {
        let mut report = (PAYLOAD_BYTES.new)(&Options::default());
        let mut out = Vec::new();
        let mut expected = Vec::new();
        for (_, sample) in sample::all() {
            sample.with(|frame| {
                expected.extend_from_slice(Message::of(frame).map_or(&[], |it| it.payload));
                let item = FrameItem::Frame {
                    frame,
                    exchange: None,
                    topic_unknown: false,
                    payload: None,
                };
                report.put(&item, &mut out);
            });
        }
        assert!(!expected.is_empty());
        assert_eq!(out, expected);
    }
}

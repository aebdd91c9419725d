//! Reports: frames and events become bytes. (to be extended)

use crate::event::Event;
use crate::frame::MQTTFrame;

/// A report format. It never fetches, waits or decides; it appends bytes.
pub trait Report {
    /// What comes before everything else, such as the heading of a table.
    fn begin(&mut self, _out: &mut Vec<u8>) {}

    /// A frame. `topic_unknown` marks one that was kept by a topic selection
    /// only because nobody can tell its topic.
    fn frame(&mut self, frame: &MQTTFrame<'_>, topic_unknown: bool, out: &mut Vec<u8>);

    /// Something that is not a frame.
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>);
}

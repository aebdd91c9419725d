//! A selection at work, with what decodes payloads for its display filter.

use mqttdump::event::Event;
use mqttdump::facts::{Fact, FrameFact, Needs, Sink};
use mqttdump::payload::{Decoder, Lazy, Message};
use mqttdump::select::{Foresight, Selection, Selector};
use mqttdump::time::Timestamp;

use super::console::complain;
use super::driver::Outcome;

/// Which messages of a capture are wanted.
pub(crate) struct Messages {
    selector: Selector,
    decoder: Decoder,
    /// Any was wanted.
    any: bool,
    /// A display filter is among the criteria.
    has_filter: bool,
}

impl Messages {
    /// Those of a selection; `None` if it asks for all. `foresight` is what an earlier
    /// reading has found out.
    pub(crate) fn new(selection: &Selection, foresight: Foresight) -> Option<Self> {
        (!selection.is_empty()).then(|| Self {
            selector: Selector::new(selection.clone()).with_foresight(foresight),
            decoder: Decoder::default(),
            any: false,
            has_filter: selection.filter.is_some(),
        })
    }

    /// The next packet was captured at this time.
    pub(crate) fn packet(&mut self, time: Timestamp) {
        self.selector.packet(time);
    }

    /// What it has to know of frames.
    pub(crate) fn needs(&self) -> Needs {
        self.selector.needs()
    }

    /// Whether a message is wanted. Every frame of the capture has to be passed, in
    /// order, to this or to [`Self::matches`].
    pub(crate) fn selects(&mut self, fact: &FrameFact<'_>) -> bool {
        let is_wanted = self.matches(fact);
        self.any |= is_wanted;
        is_wanted
    }

    /// The same for a message from before the range of time, or of an earlier run, which
    /// does not count.
    pub(crate) fn matches(&mut self, fact: &FrameFact<'_>) -> bool {
        let message = Message::of(fact.frame);
        if let Some(message) = &message {
            self.decoder.observe(message);
        }
        let payload = message.map(|message| Lazy::new(&self.decoder, message));
        self.selector.frame(fact, payload.as_ref()).is_shown()
    }

    /// Whether any message was wanted.
    pub(crate) fn any(&self) -> bool {
        self.any
    }

    /// Notes that a display filter has selected nothing in the capture of this name, if it
    /// could be opened.
    pub(crate) fn note_if_none(&self, name: &str, outcome: &Outcome) {
        if self.has_filter && !self.any && outcome.opened {
            complain(&format!("{name}: -Y selects no message"));
        }
    }

    /// Whether an event is wanted.
    pub(crate) fn shows(&self, event: &Event<'_>) -> bool {
        self.selector.event(event)
    }
}

/// A sink that gets frames and events of the selected messages alone.
pub(crate) struct Selected<S> {
    /// `None` for all.
    pub(crate) messages: Option<Messages>,
    pub(crate) sink: S,
}

impl<S: Sink> Sink for Selected<S> {
    fn needs(&self) -> Needs {
        let own = self.messages.as_ref().map_or(Needs::NONE, Messages::needs);
        own | self.sink.needs()
    }

    fn fact(&mut self, fact: Fact<'_>) {
        let is_wanted = match (&mut self.messages, fact) {
            (Some(messages), Fact::Frame(fact)) => messages.selects(&fact),
            (Some(messages), Fact::Event(event)) => messages.shows(event),
            (Some(messages), Fact::Tcp(tcp)) => messages.selector.wants(tcp.connection),
            _ => true,
        };
        if is_wanted {
            self.sink.fact(fact);
        }
    }

    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        if let (Some(messages), Fact::Frame(fact)) = (&mut self.messages, fact) {
            messages.matches(&fact);
        }
        self.sink.earlier(fact, from);
    }

    fn tick(&mut self, now: Timestamp) {
        self.sink.tick(now);
    }

    fn finish(&mut self) {
        self.sink.finish();
    }
}

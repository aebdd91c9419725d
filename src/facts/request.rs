//! SUBSCRIBE and UNSUBSCRIBE with their answers, on one connection: a request
//! that waits for its answer is not session state (5.0: 4.1).

use std::collections::{HashMap, VecDeque};

use crate::mqtt::{ControlPacket, PacketType};

use super::doubt::{Doubt, Reason};
use super::due::Reported;
use super::frame_ref::FrameRef;
use super::since::Since;
use crate::time::Timestamp;

/// A SUBSCRIBE or UNSUBSCRIBE that was not answered yet.
#[derive(Clone, Debug)]
pub struct Request {
    /// SUBSCRIBE or UNSUBSCRIBE.
    pub kind: PacketType,
    /// Packet Identifier.
    pub id: u16,
    /// The request.
    pub seen: FrameRef,
    /// Its Topic Filters, each with its options; options are 0 in UNSUBSCRIBE.
    pub filters: Vec<(Box<[u8]>, u8)>,
    /// Subscription Identifier (5.0).
    pub subscription_id: Option<u32>,
    /// Whether all of it could be read.
    pub whole: bool,
    /// Why it may have been answered outside the capture, or need not be answered as it
    /// seems.
    pub doubt: Doubt,
    /// When it was acknowledged by TCP.
    pub acked: Option<Timestamp>,
    copies: u32,
    /// The report made because no answer had come in time.
    pub(super) reported: Reported,
}

impl Request {
    /// The packet type that has to answer it.
    pub(super) fn expects(&self) -> PacketType {
        match self.kind {
            PacketType::Subscribe => PacketType::Suback,
            _ => PacketType::Unsuback,
        }
    }
}

/// How a SUBACK or UNSUBACK relates to its request.
#[derive(Clone, Debug)]
pub enum AnswerStep {
    /// It answers this request.
    Expected(Box<Request>),
    /// It answers another copy of a request that was repeated.
    Repeated,
    /// The request of that identifier is of the other kind.
    WrongType(Box<Request>),
    /// The request was answered before, by this.
    Again(FrameRef),
    /// No request of that identifier waits.
    Unknown,
}

/// The requests of a connection.
#[derive(Debug, Default)]
pub struct Requests {
    open: HashMap<u16, Request, foldhash::fast::RandomState>,
    /// Those that have no doubt yet.
    undoubted: Since,
    /// The latest answered ones, with the answers that copies may still get.
    answered: VecDeque<(u16, PacketType, FrameRef, u32)>,
}

/// Answered requests that are remembered.
const ANSWERED: usize = 16;

impl Requests {
    /// The request with this identifier that waits.
    pub fn open(&self, id: u16) -> Option<&Request> {
        self.open.get(&id)
    }

    /// All that wait, in no order.
    pub fn waiting(&self) -> impl Iterator<Item = &Request> {
        self.open.values()
    }

    pub(super) fn open_mut(&mut self, id: u16) -> Option<&mut Request> {
        self.open.get_mut(&id)
    }

    /// A request; returns the one that waited with the same identifier, unless
    /// this repeats it.
    pub(super) fn request(
        &mut self,
        kind: PacketType,
        id: u16,
        frame_ref: FrameRef,
        packet: &ControlPacket<'_>,
        whole: bool,
    ) -> Option<Request> {
        let mut filters = Vec::new();
        let mut subscription_id = None;
        match packet {
            ControlPacket::Subscribe(subscribe) => {
                filters.extend(
                    subscribe
                        .filters()
                        .map(|s| (s.filter.bytes().into(), s.options.unwrap_or(0))),
                );
                subscription_id = super::properties::number(
                    subscribe.properties,
                    super::properties::SUBSCRIPTION_ID,
                );
            }
            ControlPacket::Unsubscribe(unsubscribe) => {
                filters.extend(unsubscribe.filters().map(|f| (f.bytes().into(), 0)));
            }
            _ => {}
        }
        if let Some(old) = self.open.get_mut(&id)
            && old.kind == kind
            && old.filters == filters
        {
            old.copies += 1;
            return None;
        }
        // Another request took its identifier: both may be answered.
        let mut copies = 1;
        if let Some(old) = self.open.get(&id) {
            match old.kind == kind {
                true => copies += old.copies,
                false => {
                    let answer = old.expects();
                    let copies = old.copies;
                    self.remember(id, answer, frame_ref, copies);
                }
            }
        }
        let request = Request {
            kind,
            id,
            seen: frame_ref,
            filters,
            subscription_id,
            whole,
            doubt: (!whole).then_some(Reason::Clipped),
            acked: None,
            copies,
            reported: Reported::default(),
        };
        let len = self.open.len();
        self.undoubted
            .add(id, len, |id| self.open.contains_key(&id));
        self.open.insert(id, request)
    }

    fn remember(&mut self, id: u16, answer: PacketType, by: FrameRef, copies: u32) {
        if self.answered.len() == ANSWERED {
            self.answered.pop_front();
        }
        self.answered.push_back((id, answer, by, copies));
    }

    /// An answer.
    pub(super) fn answer(&mut self, kind: PacketType, id: u16, frame_ref: FrameRef) -> AnswerStep {
        match self.open.remove(&id) {
            Some(request) if request.expects() == kind => {
                self.remember(id, kind, frame_ref, request.copies - 1);
                AnswerStep::Expected(Box::new(request))
            }
            Some(request) => {
                let wrong = request.clone();
                self.open.insert(id, request);
                let mut answered = self.answered.iter_mut().rev();
                // The request that had the identifier before.
                match answered.find(|(other, of, _, left)| *other == id && *of == kind && *left > 0)
                {
                    Some((_, _, _, left)) => {
                        *left -= 1;
                        AnswerStep::Repeated
                    }
                    None => AnswerStep::WrongType(Box::new(wrong)),
                }
            }
            None => {
                let before = self
                    .answered
                    .iter_mut()
                    .rev()
                    .find(|(other, of, ..)| *other == id && *of == kind);
                match before {
                    Some((_, _, _, left)) if *left > 0 => {
                        *left -= 1;
                        AnswerStep::Repeated
                    }
                    Some((_, _, frame_ref, _)) => AnswerStep::Again(*frame_ref),
                    None => AnswerStep::Unknown,
                }
            }
        }
    }

    /// TCP has acknowledged a request.
    pub(super) fn arrived(&mut self, id: u16, end: u64, at: Timestamp) {
        if let Some(request) = self.open.get_mut(&id)
            && request.seen.end == end
        {
            request.acked = Some(at);
        }
    }

    /// Bytes are missing: any of them may have been answered, and others may
    /// have been sent.
    pub(super) fn taint(&mut self, reason: Reason) {
        for id in self.undoubted.take() {
            if let Some(request) = self.open.get_mut(&id) {
                request.doubt.get_or_insert(reason);
            }
        }
    }
}

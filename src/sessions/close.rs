//! Who closed a connection, and why: the verdict.
//!
//! [`judge`] is a decision table over [`Evidence`]. It reads from the most specific
//! cause to the least, in the order in which things happened, and stops at the first
//! that the packets support:
//!
//! | first sign of the end | cause |
//! |---|---|
//! | SYN alone; RST as its answer | `tcp_unanswered`, `tcp_refused` |
//! | HTTP status other than 101, a TLS alert, CONNACK with a code | `http_refused`, `tls_alert`, `refused` |
//! | DISCONNECT | by its Reason Code, else `disconnect` |
//! | WebSocket close frame | `websocket_close` |
//! | FIN or RST | the reason its sender had: `protocol_error`, `too_large`, `taken_over`, `keep_alive`, `ping_unanswered`, `network_loss`, `broker_stopped`; else `no_disconnect`, `reset` |
//! | nothing | `network_loss`, `still_open`, `unknown` |
//!
//! A verdict is [`Certainty::Proved`] only when nothing that may be missing from the capture could
//! change it. Hence: a cause that rests on absence (no DISCONNECT, no PINGRESP) needs
//! both streams without a gap up to the end, which TCP's acknowledgements show; times
//! between packets are taken from those that can only make the claim weaker when a
//! packet is missing; and a verdict that another connection could explain better (a server that
//! closes for no visible reason) is never proved.

use std::time::Duration;

use crate::frame::Direction;
use crate::layer::alert_name;
use crate::mqtt::{PacketType, Version, reason};
use crate::packet::PacketRef;

use super::cause::{By, Cause, Certainty, Close};
use super::evidence::{Evidence, Takeover};
use super::mark::Mark;
use super::tcp::{End, Reset};
use super::words::{address, duration, printable};

/// How long a server that must close at once may take to do so, as measured in captures.
pub(super) const MOMENT: Duration = Duration::from_secs(1);
/// A request that waits this long is not answered promptly.
const PROMPT: Duration = Duration::from_secs(1);
/// Retransmissions of the same bytes that count as a lost path.
const RETRIES: u32 = 3;
/// A SYN that stays alone for so long is unanswered: Linux and Windows repeat it
/// after one second.
const SYN_PATIENCE: Duration = Duration::from_secs(3);

/// The verdict on a connection that has ended, or whose capture has.
pub(super) fn judge(evidence: &Evidence) -> Close {
    handshake(evidence)
        .or_else(|| declared(evidence))
        .or_else(|| match evidence.trail.end {
            Some(end) => Some(ended(evidence, end)),
            None => lost(evidence, None),
        })
        .unwrap_or_else(|| unseen(evidence))
}

/// `Proved` if `proof` holds.
fn proved_if(proof: bool) -> Certainty {
    match proof {
        true => Certainty::Proved,
        false => Certainty::Likely,
    }
}

/// The connection was never opened.
fn handshake(e: &Evidence) -> Option<Close> {
    let up = &e.trail.streams.up;
    let down = &e.trail.streams.down;
    let syn = up.syn?;
    if down.syn.is_some() || down.last.is_some() || e.trail.carried || e.frames > 0 {
        return None;
    }
    if let Some(End::Reset(reset)) = e.trail.end
        && reset.from == Direction::Down
    {
        return Some(verdict(
            By::Server,
            Cause::TcpRefused,
            proved_if(reset.answers_syn),
            &[syn, reset.at],
            "RST answered the SYN: nothing listens on the port, or a firewall rejects it",
        ));
    }
    let until = e.trail.end.map_or(e.until, |end| end.at().time);
    let waited = until.since(syn.time);
    if up.syns > 1 || waited >= SYN_PATIENCE {
        let again = up.last.unwrap_or(syn);
        let message = match up.syns {
            1 => format!("nothing answered the SYN within {}", duration(waited)),
            n => format!(
                "nothing answered the SYN, which was sent {n} times in {}",
                duration(again.time.since(syn.time))
            ),
        };
        return Some(verdict(
            By::Unknown,
            Cause::TcpUnanswered,
            Certainty::Likely,
            &[syn, again],
            &message,
        ));
    }
    None
}

/// One side has stated why it closes, in the protocol of some layer.
fn declared(e: &Evidence) -> Option<Close> {
    if let Some((at, status)) = e.http_refused {
        return Some(
            verdict(
                By::Server,
                Cause::HttpRefused,
                Certainty::Proved,
                &[at],
                &format!("server answered the request for a WebSocket with HTTP status {status}"),
            )
            .code(status, None),
        );
    }
    if let Some((from, at, description)) = e.alert
        && e.disconnect.up.or(e.disconnect.down).is_none()
    {
        let name = alert_name(description);
        let message = format!(
            "{} sent the TLS alert {}",
            from.sender().name(),
            name.map_or_else(|| description.to_string(), str::to_owned)
        );
        return Some(
            verdict(
                By::sends(from),
                Cause::TlsAlert,
                proved_if(
                    e.is_complete() && e.trail.end.is_none_or(|end| not_before(end.at(), at)),
                ),
                &[at],
                &message,
            )
            .code(description.into(), name),
        );
    }
    if let Some((at, code, certain)) = e.connack
        && code != 0
    {
        let version = e.version.unwrap_or(Version::V3_1_1);
        let name = reason::name(version, PacketType::Connack, code);
        let message = format!(
            "server refused the CONNECT with {}",
            coded(code.into(), name)
        );
        return Some(
            verdict(
                By::Server,
                Cause::Refused,
                proved_if(certain),
                &e.connect.into_iter().chain([at]).collect::<Vec<_>>(),
                &message,
            )
            .code(code.into(), name),
        );
    }
    // A DISCONNECT counts if its sender had not closed, nor received the other's FIN or RST.
    let ended = e.trail.end.map(|end| end.at());
    // Data of a side precedes its own FIN, even if it was captured after it.
    let precedes_fin =
        |direction| matches!(e.trail.end, Some(End::Fin(from, _)) if from == direction);
    let timely = |direction: Direction| {
        e.disconnect[direction].filter(|(at, ..)| {
            precedes_fin(direction) || ended.is_none_or(|end| not_before(end, *at))
        })
    };
    match (timely(Direction::Up), timely(Direction::Down)) {
        (Some(up), Some(down)) if not_before(up.0, down.0) => Some(by_server(e, down)),
        (Some(up), _) => Some(by_client(e, up)),
        (None, Some(down)) => Some(by_server(e, down)),
        (None, None) => websocket(e),
    }
}

/// Whether `one` was captured at the same time as `other`, or later.
fn not_before(one: Mark, other: Mark) -> bool {
    (one.time, one.packet) >= (other.time, other.packet)
}

fn by_client(e: &Evidence, (at, code, certain): (Mark, u8, bool)) -> Close {
    let name = reason_of_disconnect(e, code);
    let message = match code {
        0 => "client sent DISCONNECT".to_owned(),
        _ => format!("client sent DISCONNECT with {}", coded(code.into(), name)),
    };
    let proof = certain && e.is_accepted && !e.trail.streams.down.has_loss();
    let close = verdict(
        By::Client,
        Cause::Disconnect,
        proved_if(proof),
        &[at],
        &message,
    );
    match (e.version, code) {
        (Some(Version::V5), _) | (_, 1..) => close.code(code.into(), name),
        _ => close,
    }
}

fn by_server(e: &Evidence, (at, code, certain): (Mark, u8, bool)) -> Close {
    let name = reason_of_disconnect(e, code);
    let stated = format!("server sent DISCONNECT with {}", coded(code.into(), name));
    let whole = e.is_whole();
    let mut marks = vec![at];
    let (cause, certainty, message) = match code {
        0x8D => {
            let since = e.latest.up.map(|last| {
                marks.insert(0, last);
                format!(
                    " after {} of silence{}",
                    duration(at.time.since(last.time)),
                    times_keep_alive(e, at.time.since(last.time))
                )
            });
            let message = stated + &since.unwrap_or_default();
            (Cause::KeepAlive, proved_if(certain), message)
        }
        0x8E => {
            let mut message = stated;
            if let Some(taken) = &e.takeover {
                marks.insert(0, taken.connect);
                message += &format!(": {}", connected_elsewhere(taken));
            }
            (Cause::TakenOver, proved_if(certain), message)
        }
        0x95 => {
            let size = e.largest_up.map(|(size, mark)| {
                marks.insert(0, mark);
                format!("; the largest packet of the client had {size} bytes")
            });
            let message = stated + &size.unwrap_or_default();
            (Cause::TooLarge, proved_if(certain), message)
        }
        // Other connections decide it, and they may not be in the capture.
        0x8B => match &e.stop {
            Some(stop) => {
                let message = format!("{stated}; {}", stop.in_words());
                (Cause::BrokerStopped, Certainty::Likely, message)
            }
            None => (Cause::Disconnect, Certainty::Likely, stated),
        },
        _ => match e.fault.as_ref().filter(|_| is_of_protocol(code)) {
            Some(fault) => {
                marks.insert(0, fault.at);
                let message = format!("{stated} in answer to a violation: {}", fault.message);
                (Cause::ProtocolError, proved_if(certain), message)
            }
            None => (Cause::Disconnect, proved_if(certain && whole), stated),
        },
    };
    verdict(By::Server, cause, certainty, &marks, &message).code(code.into(), name)
}

/// Reason Codes that blame the client for a packet (5.0: 2.4).
const fn is_of_protocol(code: u8) -> bool {
    matches!(
        code,
        0x81 | 0x82 | 0x8F | 0x90 | 0x93 | 0x94 | 0x99 | 0x9A | 0x9B | 0x9E | 0xA1 | 0xA2
    )
}

fn websocket(e: &Evidence) -> Option<Close> {
    let (from, at, code) = e.websocket_close?;
    if e.trail.end.is_some_and(|end| !not_before(end.at(), at)) {
        return None;
    }
    let with = code.map_or_else(
        || "without a code".to_owned(),
        |code| format!("with code {}", coded(code, websocket_code(code))),
    );
    let message = format!(
        "{} closed the WebSocket {with}, without DISCONNECT",
        from.sender().name()
    );
    let close = verdict(
        By::sends(from),
        Cause::WebSocketClose,
        proved_if(e.is_whole()),
        &[at],
        &message,
    );
    Some(match code {
        Some(code) => close.code(code, websocket_code(code)),
        None => close,
    })
}

/// FIN or RST came first.
fn ended(e: &Evidence, end: End) -> Close {
    if let End::Reset(reset) = end
        && let Some(close) = from_the_path(e, reset)
    {
        return close;
    }
    match end.from() {
        Direction::Up => lost(e, Some(end)).or_else(|| gave_up(e, end)),
        Direction::Down => threw_out(e, end).or_else(|| lost(e, Some(end))),
    }
    .unwrap_or_else(|| without_reason(e, end))
}

/// A RST that its supposed sender did not send.
fn from_the_path(e: &Evidence, reset: Reset) -> Option<Close> {
    let second = e.trail.second_reset;
    let foreign = [Some(reset), second]
        .into_iter()
        .flatten()
        .find_map(|reset| Some((reset.from.sender().name(), reset.foreign_ttl?)));
    // No host answers a RST with a RST (RFC 9293, 3.10.7).
    let both = second.map(|second| second.at.time.since(reset.at.time));
    let message = match (foreign, both) {
        (Some((name, (ttl, usual))), _) => {
            let both = both.map_or("", |_| ", and both sides got one");
            format!(
                "RST in the name of the {name} came with TTL {ttl}, where its packets have {usual}{both}: something on the path sent it"
            )
        }
        (None, Some(within)) => format!(
            "both sides were sent RST within {}: something on the path resets connections",
            duration(within)
        ),
        (None, None) => return None,
    };
    let marks: Vec<Mark> = [Some(reset), second]
        .into_iter()
        .flatten()
        .map(|reset| reset.at)
        .collect();
    Some(verdict(
        By::Network,
        Cause::Reset,
        Certainty::Likely,
        &marks,
        &message,
    ))
}

/// One side sent the same bytes again and again, and nothing came back.
fn lost(e: &Evidence, end: Option<End>) -> Option<Close> {
    let (from, retries, first, latest) = e.trail.unanswered()?;
    let gave_up = end.is_none_or(|end| end.from() == from);
    if retries < RETRIES || !gave_up {
        return None;
    }
    // The other side was alive after the first attempt: it is a slow path.
    let other = e.trail.streams[from.reversed()].last;
    if other.is_some_and(|last| last.time > latest.time) {
        return None;
    }
    let marks: Vec<Mark> = [first, latest]
        .into_iter()
        .chain(end.map(|end| end.at()))
        .collect();
    let name = from.sender().name();
    let then = match end {
        Some(_) => format!(", then {name} closed"),
        None => String::new(),
    };
    let message = format!(
        "{name} sent the same bytes {} in {} without an answer{then}",
        times(retries + 1),
        duration(latest.time.since(first.time)),
    );
    Some(verdict(
        By::Network,
        Cause::NetworkLoss,
        Certainty::Likely,
        &marks,
        &message,
    ))
}

/// The client closed without DISCONNECT: because the server did not answer?
fn gave_up(e: &Evidence, end: End) -> Option<Close> {
    let (what, since) = match (e.ping, e.connect, e.connack) {
        (Some(ping), ..) => ("PINGRESP", ping),
        (None, Some(connect), None) if !e.is_accepted => ("CONNACK", connect),
        _ => return None,
    };
    let waited = end.at().time.since(since.time);
    if waited < PROMPT {
        return None;
    }
    // Libraries wait for the Keep Alive, or for a time of their own below it.
    let long = e
        .keep_alive
        .is_none_or(|seconds| waited.as_secs_f64() >= f64::from(seconds) / 2.0);
    // A server that sends other packets is alive.
    let silent = e.latest.down.is_none_or(|down| !not_before(down, since));
    let message = format!(
        "client closed after it had waited {} for {what}{}",
        duration(waited),
        match (what, e.keep_alive) {
            ("PINGRESP", Some(seconds)) => format!(", with a keep alive of {seconds} s"),
            _ => String::new(),
        }
    );
    Some(verdict(
        By::Client,
        Cause::PingUnanswered,
        proved_if(long && what == "PINGRESP" && silent && e.is_whole() && is_own(end)),
        &[since, end.at()],
        &message,
    ))
}

/// The server closed without a packet that states why.
fn threw_out(e: &Evidence, end: End) -> Option<Close> {
    let at = end.at();
    let sure = e.is_whole() && is_own(end) && acknowledges(end);
    if let Some(fault) = e.fault.as_ref().filter(|fault| fault.obliges)
        && at.time.since(fault.at.time) <= MOMENT
    {
        let message = format!(
            "server closed {} after a violation by the client: {}",
            duration(at.time.since(fault.at.time)),
            fault.message
        );
        return Some(verdict(
            By::Server,
            Cause::ProtocolError,
            proved_if(sure),
            &[fault.at, at],
            &message,
        ));
    }
    if let Some((begun, had, Some(wanted))) = e.unfinished_up
        && at.time.since(begun.time) <= MOMENT
        && wanted > e.largest_up.map_or(0, |(size, _)| size)
        && wanted >= LARGE
    {
        let message = format!(
            "server closed when it had {had} bytes of a packet of {wanted}, the largest of this client"
        );
        return Some(verdict(
            By::Server,
            Cause::TooLarge,
            Certainty::Likely,
            &[begun, at],
            &message,
        ));
    }
    // Who closes with bytes that no program has read sends RST (RFC 9293, 3.10.4).
    if let End::Reset(_) = end
        && let Some((size, large)) = e.largest_up
        && size >= LARGE
        && e.latest.up == Some(large)
        && at.time.since(large.time) <= MOMENT
    {
        let message = format!(
            "server reset the connection {} after a packet of {size} bytes, the largest of this client, and had not read all of it",
            duration(at.time.since(large.time))
        );
        return Some(verdict(
            By::Server,
            Cause::TooLarge,
            Certainty::Likely,
            &[large, at],
            &message,
        ));
    }
    taken_over(e, end, sure)
        .or_else(|| silent(e, end, sure))
        .or_else(|| {
            let stop = e.stop.as_ref()?;
            Some(verdict(
                By::Server,
                Cause::BrokerStopped,
                Certainty::Likely,
                &[at],
                &stop.in_words(),
            ))
        })
}

/// Smaller packets are not refused for their size.
const LARGE: u64 = 1024;

fn taken_over(e: &Evidence, end: End, sure: bool) -> Option<Close> {
    let taken = e.takeover.as_ref()?;
    let at = end.at();
    if !not_before(at, taken.connect) || at.time.since(taken.connect.time) > MOMENT {
        return None;
    }
    // Of a client that was silent for too long, both could be the reason.
    let silent = e.latest.up.map(|last| at.time.since(last.time));
    let silent = silent.zip(e.keep_alive).is_some_and(|(silent, seconds)| {
        seconds > 0 && silent > Duration::from_secs(seconds.into())
    });
    let message = format!(
        "server closed {} after {}",
        duration(at.time.since(taken.connect.time)),
        connected_elsewhere(taken)
    );
    Some(verdict(
        By::Server,
        Cause::TakenOver,
        proved_if(sure && taken.accepted && !silent),
        &[taken.connect, at],
        &message,
    ))
}

fn connected_elsewhere(taken: &Takeover) -> String {
    format!(
        "the same client identifier connected from {} (connection {})",
        address(taken.client),
        taken.connection
    )
}

fn silent(e: &Evidence, end: End, sure: bool) -> Option<Close> {
    let last = e.latest.up?;
    let seconds = e.keep_alive.filter(|seconds| *seconds > 0)?;
    let at = end.at();
    let silent = at.time.since(last.time);
    let keep_alive = Duration::from_secs(seconds.into());
    if silent <= keep_alive {
        return None;
    }
    // Servers count in whole seconds: 1.5 × 5 s may be 7 s.
    let limit = Duration::from_secs(u64::from(seconds) * 3 / 2).saturating_sub(TIMER);
    // Since then the server surely had everything that the client had sent; a
    // packet that is missing can only make it later.
    let surely = e
        .trail
        .streams
        .up
        .acked_all
        .map(|acked| at.time.since(acked.time));
    let proof = sure
        && surely.is_some_and(|surely| surely >= limit)
        && silent <= keep_alive * 2 + Duration::from_secs(3);
    let mut message = format!(
        "server closed after {} of silence{}",
        duration(silent),
        times_keep_alive(e, silent)
    );
    if let Some((Direction::Down, retries, ..)) = e.trail.unanswered() {
        message += &format!(
            "; nor had the client acknowledged what was sent {}",
            times(retries + 1)
        );
    }
    Some(verdict(
        By::Server,
        Cause::KeepAlive,
        proved_if(proof),
        &[last, at],
        &message,
    ))
}

/// Largest difference between timers and the time stamps of a capture.
const TIMER: Duration = Duration::from_millis(100);

fn times_keep_alive(e: &Evidence, silent: Duration) -> String {
    match e.keep_alive {
        Some(seconds) if seconds > 0 => format!(
            ", {:.1} × keep alive {seconds} s",
            silent.as_secs_f64() / f64::from(seconds)
        ),
        _ => String::new(),
    }
}

/// FIN, or RST, and nothing that explains it.
fn without_reason(e: &Evidence, end: End) -> Close {
    let from = end.from();
    let name = from.sender().name();
    let at = end.at();
    if let Some(why) = e.encrypted {
        return verdict(
            By::sends(from),
            Cause::Unknown,
            Certainty::CannotTell,
            &[at],
            &format!("{name} closed; the data before it is encrypted and was not decrypted: {why}"),
        );
    }
    // A server may have reasons that lie in connections outside the capture.
    let proof = from == Direction::Up && e.is_whole() && is_own(end);
    match end {
        End::Fin(..) => {
            let message = match (from, e.unfinished_up) {
                (Direction::Up, Some((_, had, Some(wanted)))) => format!(
                    "client closed (FIN) without DISCONNECT, after {had} of the {wanted} bytes of a packet"
                ),
                (Direction::Up, _) => "client closed (FIN) without DISCONNECT".to_owned(),
                (Direction::Down, _) => {
                    "server closed (FIN) without a reason that this capture shows".to_owned()
                }
            };
            verdict(
                By::sends(from),
                Cause::NoDisconnect,
                proved_if(proof),
                &[at],
                &message,
            )
        }
        End::Reset(reset) => {
            let fits = match reset.fits {
                true => "",
                false => ", with a sequence number that is not its next one",
            };
            let message = format!(
                "{name} reset the connection (RST) without a reason that this capture shows{fits}"
            );
            verdict(
                By::sends(from),
                Cause::Reset,
                proved_if(proof),
                &[at],
                &message,
            )
        }
    }
}

/// Whether the packet that ended the connection is beyond doubt its sender's.
fn is_own(end: End) -> bool {
    match end {
        End::Fin(..) => true,
        End::Reset(reset) => reset.fits && reset.ttl_known && reset.foreign_ttl.is_none(),
    }
}

/// Whether it acknowledges the data that its sender had received.
fn acknowledges(end: End) -> bool {
    match end {
        End::Fin(..) => true,
        End::Reset(reset) => reset.acks,
    }
}

/// No packet ended it.
fn unseen(e: &Evidence) -> Close {
    use super::evidence::Ended;
    let marks: Vec<Mark> = [e.trail.streams.up.last, e.trail.streams.down.last]
        .into_iter()
        .flatten()
        .max_by_key(|mark| (mark.time, mark.packet))
        .into_iter()
        .collect();
    let (cause, certainty, by, message) = match e.ended {
        Ended::CaptureEnd => (
            Cause::StillOpen,
            Certainty::Likely,
            By::StillOpen,
            "open when the capture ended",
        ),
        Ended::Replaced => (
            Cause::Unknown,
            Certainty::CannotTell,
            By::Unknown,
            "a new connection took the port pair; the end of this one is not in the capture",
        ),
        Ended::Idle => (
            Cause::Unknown,
            Certainty::CannotTell,
            By::Unknown,
            "no more packets of it were captured",
        ),
        Ended::Evicted => (
            Cause::Unknown,
            Certainty::CannotTell,
            By::Unknown,
            "evicted: the table of connections was full",
        ),
        Ended::Closed => (
            Cause::Unknown,
            Certainty::CannotTell,
            By::Unknown,
            "closed by packets that do not fit the connection",
        ),
    };
    verdict(by, cause, certainty, &marks, message)
}

fn reason_of_disconnect(e: &Evidence, code: u8) -> Option<&'static str> {
    (e.version == Some(Version::V5))
        .then(|| reason::name(Version::V5, PacketType::Disconnect, code))
        .flatten()
}

/// `0x8E (Session taken over)`, `1001 (going away)`.
fn coded(code: u16, name: Option<&str>) -> String {
    let number = match code {
        0..=0xFF => format!("0x{code:02X}"),
        _ => code.to_string(),
    };
    match name {
        Some(name) => format!("{number} ({})", printable(name)),
        None => number,
    }
}

fn websocket_code(code: u16) -> Option<&'static str> {
    Some(match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1007 => "invalid payload",
        1008 => "policy violation",
        1009 => "message too big",
        1010 => "missing extension",
        1011 => "internal error",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        _ => return None,
    })
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

fn verdict(by: By, cause: Cause, certainty: Certainty, marks: &[Mark], message: &str) -> Close {
    let mut marks = marks.to_vec();
    marks.sort_by_key(|mark| (mark.time, mark.packet));
    marks.dedup();
    let packets: Vec<PacketRef> = marks.iter().map(|mark| mark.packet).collect();
    let named: Vec<String> = packets.iter().map(|p| p.number.to_string()).collect();
    let message = match named.len() {
        0 => message.to_owned(),
        1 => format!("{message} (packet {})", named[0]),
        _ => format!("{message} (packets {})", named.join(", ")),
    };
    Close {
        by,
        cause,
        certainty,
        reason_code: None,
        reason: None,
        packets,
        message,
    }
}

impl Close {
    fn code(mut self, code: u16, name: Option<&str>) -> Self {
        self.reason_code = Some(code);
        self.reason = name.map(str::to_owned);
        self
    }
}

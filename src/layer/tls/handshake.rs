//! Handshake messages, as far as a reader of records needs them.
//!
//! ```text
//! records    ├──── 22 ────┤├────── 22 ──────┤├─ 22 ─┤
//! messages   ├ServerHello┤├── Certificate ──────┤├──┤  type 1, length 3, body
//! ```
//! Messages and records are cut independently: several messages share a
//! record, and one goes over several. [`Messages`] puts them together and keeps
//! no more than [`limits::TLS_MESSAGE_KEPT`] bytes of one, whatever length it
//! claims; the rest is counted through. Each byte is looked at once.
//!
//! Parsing takes the readable parts and leaves the rest out: no peer is judged
//! here. Signatures, key shares and tickets are not even looked at.

use nom::bytes::complete::take;
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16, be_u24};
use nom::{IResult, Parser};

use super::keylog::Random;
use super::x509;
use crate::limits;

/// A message that matters here.
#[derive(Debug)]
pub(super) enum Message {
    /// The client's first, or its second after a HelloRetryRequest.
    ClientHello(Box<ClientHello>),
    /// The server's answer, a HelloRetryRequest included.
    ServerHello(ServerHello),
    /// TLS 1.3: the server's choices that only the key shows.
    EncryptedExtensions {
        /// The application protocol that it chose.
        alpn: Option<String>,
        /// It takes the client's early data.
        early_data: bool,
    },
    /// The subject of a side's own certificate.
    Certificate {
        /// As a name, `CN=…`.
        subject: Option<String>,
    },
    /// The end of a side's handshake.
    Finished,
    /// TLS 1.3: the end of data that came before the handshake was over.
    EndOfEarlyData,
    /// TLS 1.3: from the next record on this side's keys are new.
    KeyUpdate,
}

/// A ClientHello.
#[derive(Debug)]
pub(super) struct ClientHello {
    pub(super) random: Random,
    pub(super) session_id: Vec<u8>,
    /// The highest version that the client offers.
    pub(super) version: u16,
    pub(super) suites: Vec<u16>,
    pub(super) server_name: Option<String>,
    pub(super) alpn: Vec<String>,
    pub(super) early_data: bool,
    /// It offers a ticket of an earlier session, not a key from elsewhere
    /// (RFC 8446, 4.2.11: the age of such a key is given as 0).
    pub(super) ticket: bool,
}

/// A ServerHello.
#[derive(Debug)]
pub(super) struct ServerHello {
    /// Version from here on.
    pub(super) version: u16,
    pub(super) random: Random,
    pub(super) session_id: Vec<u8>,
    pub(super) suite: u16,
    pub(super) compressed: bool,
    pub(super) alpn: Option<String>,
    /// RFC 7366.
    pub(super) encrypt_then_mac: bool,
    /// RFC 6066, 7: an HMAC of ten bytes.
    pub(super) truncated_hmac: bool,
    /// TLS 1.3: a key that both had before.
    pub(super) psk: bool,
}

impl ServerHello {
    /// Whether it asks for another ClientHello (RFC 8446, 4.1.3).
    pub(super) fn is_retry(&self) -> bool {
        self.random == HELLO_RETRY
    }
}

/// SHA-256 of "HelloRetryRequest".
const HELLO_RETRY: Random = [
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
    0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
];

/// The messages of one direction, put together.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The message that is not complete, or its beginning.
    kept: Vec<u8>,
    /// Bytes of it that have come, kept or not.
    got: usize,
    /// A part of the handshake was lost: whether a record begins a message is
    /// no longer known.
    unsure: bool,
}

impl Messages {
    /// Takes the content of a record, and returns the messages that it completes. `v13` is
    /// whether certificates are those of TLS 1.3.
    pub(super) fn push(&mut self, mut content: &[u8], v13: bool) -> Vec<Message> {
        let mut out = Vec::new();
        if self.unsure && !begins_message(content) {
            return out;
        }
        self.unsure = false;
        while !content.is_empty() {
            if self.got == 0
                && let Some((message, rest)) = whole(content)
            {
                out.extend(parse(message, v13));
                content = rest;
                continue;
            }
            content = self.gather(content);
            if self.got >= HEADER && self.got == self.wanted() {
                out.extend(parse(&self.kept, v13));
                self.clear();
            }
        }
        out
    }

    /// Records were lost.
    pub(super) fn lost(&mut self) {
        self.restart(true);
    }

    /// The message that was begun will not go on. `unsure` is whether the next record may
    /// begin within a message.
    pub(super) fn restart(&mut self, unsure: bool) {
        self.clear();
        self.unsure = unsure;
    }

    /// Bytes kept.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    fn clear(&mut self) {
        self.kept = Vec::new();
        self.got = 0;
    }

    /// Length of the message that is not complete; of its header while that
    /// is not.
    fn wanted(&self) -> usize {
        match message_len(&self.kept) {
            Some(len) => HEADER + len,
            None => HEADER,
        }
    }

    fn gather<'a>(&mut self, content: &'a [u8]) -> &'a [u8] {
        let (mine, rest) = content.split_at(content.len().min(self.wanted() - self.got));
        let room = limits::TLS_MESSAGE_KEPT.saturating_sub(self.kept.len());
        self.kept.extend(mine.iter().take(room));
        self.got += mine.len();
        rest
    }
}

/// Type and length.
const HEADER: usize = 4;

/// The extension that offers early data, and takes it (RFC 8446, 4.2.10).
const EARLY_DATA: u16 = 42;

fn message_len(bytes: &[u8]) -> Option<usize> {
    let &[_, a, b, c, ..] = bytes else {
        return None;
    };
    Some(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
}

fn whole(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(HEADER + message_len(bytes)?)
}

/// Whether content looks as if a message began with it: it is messages to its
/// end, the last of which may go on.
fn begins_message(mut content: &[u8]) -> bool {
    let mut any = false;
    loop {
        let known = content.first().is_some_and(|kind| is_known(*kind));
        match whole(content) {
            Some((_, [])) if known => return true,
            Some((_, rest)) if known => content = rest,
            // The last one: as long as a certificate, at most.
            _ => return any && known && message_len(content).is_some_and(|len| len < 1 << 16),
        }
        any = true;
    }
}

fn is_known(kind: u8) -> bool {
    matches!(kind, 1..=5 | 8 | 11..=16 | 20..=25)
}

/// Reads a message, or the beginning of a long one.
fn parse(message: &[u8], v13: bool) -> Option<Message> {
    let (&kind, body) = (message.first()?, message.get(HEADER..)?);
    Some(match kind {
        1 => Message::ClientHello(Box::new(client_hello(body)?)),
        2 => Message::ServerHello(server_hello(body)?),
        5 => Message::EndOfEarlyData,
        8 => {
            let list = vec16(body).map_or(&[][..], |(_, list)| list);
            Message::EncryptedExtensions {
                alpn: selected_alpn(list),
                early_data: extensions(list).any(|(kind, _)| kind == EARLY_DATA),
            }
        }
        11 => Message::Certificate {
            subject: first_certificate(body, v13).and_then(x509::subject),
        },
        20 => Message::Finished,
        24 => Message::KeyUpdate,
        _ => return None,
    })
}

fn client_hello(body: &[u8]) -> Option<ClientHello> {
    let (rest, (version, random, session_id, suites)) =
        (be_u16, random, vec8, vec16).parse(body).ok()?;
    let mut hello = ClientHello {
        random,
        session_id: session_id.into(),
        version,
        suites: numbers(suites),
        server_name: None,
        alpn: Vec::new(),
        early_data: false,
        ticket: false,
    };
    // Before extensions were invented, a hello ended here.
    let Ok((_, (_, list))) = (vec8, vec16_as_far).parse(rest) else {
        return Some(hello);
    };
    for (kind, body) in extensions(list) {
        match kind {
            0 => hello.server_name = server_name(body),
            16 => hello.alpn = alpn(body),
            41 => hello.ticket = first_ticket_age(body).is_some_and(|age| age != 0),
            EARLY_DATA => hello.early_data = true,
            43 => {
                if let Ok((_, versions)) = vec8(body) {
                    let known = |v: &u16| (0x0300..=0x0304).contains(v);
                    let best = numbers(versions).into_iter().filter(known).max();
                    hello.version = best.unwrap_or(hello.version);
                }
            }
            _ => {}
        }
    }
    Some(hello)
}

fn server_hello(body: &[u8]) -> Option<ServerHello> {
    let (rest, (version, random)) = (be_u16, random).parse(body).ok()?;
    let (rest, (session_id, suite, compression)) = match version {
        // Drafts of TLS 1.3 up to the 21st left two fields out.
        0x7F00..=0x7FFF => {
            let (rest, suite) = be_u16::<_, nom::error::Error<_>>(rest).ok()?;
            (rest, (&[][..], suite, 0))
        }
        _ => (vec8, be_u16, be_u8).parse(rest).ok()?,
    };
    let mut hello = ServerHello {
        version,
        random,
        session_id: session_id.into(),
        suite,
        compressed: compression != 0,
        alpn: None,
        encrypt_then_mac: false,
        truncated_hmac: false,
        psk: false,
    };
    let Ok((_, list)) = vec16_as_far(rest) else {
        return Some(hello);
    };
    for (kind, body) in extensions(list) {
        match kind {
            4 => hello.truncated_hmac = true,
            16 => hello.alpn = alpn(body).into_iter().next(),
            22 => hello.encrypt_then_mac = true,
            41 => hello.psk = true,
            43 => hello.version = numbers(body).first().copied().unwrap_or(version),
            _ => {}
        }
    }
    Some(hello)
}

/// The first of the certificates of a side, which is its own.
fn first_certificate(body: &[u8], v13: bool) -> Option<&[u8]> {
    let list = match v13 {
        // After the context of the certificate request.
        true => vec8(body).ok()?.0,
        false => body,
    };
    let (list, _) = be_u24::<_, nom::error::Error<_>>(list).ok()?;
    // Of a long chain only the beginning may be here.
    let (certificate, len) = be_u24::<_, nom::error::Error<_>>(list).ok()?;
    certificate.get(..usize::try_from(len).ok()?)
}

fn selected_alpn(list: &[u8]) -> Option<String> {
    let (_, body) = extensions(list).find(|(kind, _)| *kind == 16)?;
    alpn(body).into_iter().next()
}

fn server_name(body: &[u8]) -> Option<String> {
    let (_, list) = vec16(body).ok()?;
    let (_, (kind, name)) = (be_u8, vec16).parse(list).ok()?;
    (kind == 0 && name.len() <= 255).then(|| String::from_utf8_lossy(name).into_owned())
}

fn alpn(body: &[u8]) -> Vec<String> {
    let mut list = vec16(body).map_or(&[][..], |(_, list)| list);
    let mut names = Vec::new();
    while let Ok((rest, name)) = vec8(list)
        && names.len() < limits::TLS_ALPN
    {
        names.push(String::from_utf8_lossy(name).into_owned());
        list = rest;
    }
    names
}

fn first_ticket_age(body: &[u8]) -> Option<u32> {
    let (_, identities) = vec16(body).ok()?;
    let (rest, _) = vec16(identities).ok()?;
    rest.first_chunk().map(|age| u32::from_be_bytes(*age))
}

/// Extensions as far as they can be read.
fn extensions(mut list: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (rest, extension) = (be_u16::<_, nom::error::Error<_>>, vec16)
            .parse(list)
            .ok()?;
        list = rest;
        Some(extension)
    })
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    let (pairs, _) = bytes.as_chunks();
    pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect()
}

fn random(bytes: &[u8]) -> IResult<&[u8], Random> {
    let (rest, random) = take(32usize)(bytes)?;
    Ok((rest, Random::try_from(random).unwrap_or_default()))
}

fn vec8(bytes: &[u8]) -> IResult<&[u8], &[u8]> {
    length_data(be_u8).parse(bytes)
}

fn vec16(bytes: &[u8]) -> IResult<&[u8], &[u8]> {
    length_data(be_u16).parse(bytes)
}

/// A list, or as much of it as was kept.
fn vec16_as_far(bytes: &[u8]) -> IResult<&[u8], &[u8]> {
    let (rest, len) = be_u16(bytes)?;
    take(usize::from(len).min(rest.len()))(rest)
}

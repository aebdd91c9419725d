//! Questions of a security review. All of it is legal, so each rule gives one note
//! for the whole capture, with the number of cases; `--allow` turns it off.

use crate::facts::FrameFacts;
use crate::frame::Transport;
use crate::mqtt::{ControlPacket, PacketType as P, topic};

use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Judged, note};

pub(super) static RULES: &[&Rule] = &[
    &CLEAR_TEXT_PASSWORD,
    &ANONYMOUS_CLIENT,
    &SUBSCRIBES_TO_EVERYTHING,
    &CLIENT_ID_MOVES,
];

/// Whether the content is readable on the path.
fn is_clear(transport: Transport) -> bool {
    !transport.is_tls()
}

static CLEAR_TEXT_PASSWORD: Rule = Rule {
    id: "clear-text-password",
    title: "Passwords are sent over TLS only",
    why: "Anyone on the path, and anyone who has this capture, can connect as this client.",
    binds: Binds::Client,
    severity: Severity::Info,
    clauses: &[],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK",
        bad: "\
> CONNECT client=c user=u password=p
< CONNACK",
        cut: "",
    },
    check: Check::Security(&[P::Connect], clear_text_password),
};

fn clear_text_password(f: &FrameFacts<'_>) -> Judged {
    let ControlPacket::Connect(connect) = &f.frame.packet else {
        return None;
    };
    let exposed = connect.password.is_some() && is_clear(f.frame.connection.transport);
    exposed.then(|| note("expected TLS below a CONNECT with a password, found none"))
}

static ANONYMOUS_CLIENT: Rule = Rule {
    id: "anonymous-client",
    title: "A server accepts authenticated clients only",
    why: "A server that accepts a CONNECT without user name lets anyone who reaches its port publish and subscribe.",
    binds: Binds::Server,
    severity: Severity::Info,
    clauses: &[],
    examples: Examples {
        good: "\
> CONNECT client=c user=u password=p
< CONNACK",
        bad: "\
> CONNECT client=c
< CONNACK",
        cut: "",
    },
    check: Check::Security(&[P::Connack], anonymous_client),
};

/// Not over TLS: a client certificate may authenticate the client there.
fn anonymous_client(f: &FrameFacts<'_>) -> Judged {
    let opening = f.connection.opening.as_deref()?;
    let is_anonymous = opening.username.is_none() && opening.auth_method.is_none();
    let accepted = f.frame.packet.code() == Some(0) && opening.whole;
    (accepted && is_anonymous && is_clear(f.frame.connection.transport)).then(|| {
        note("expected a user name or an Authentication Method in CONNECT, found CONNACK with success without them")
            .at(opening.seen.packet)
    })
}

static SUBSCRIBES_TO_EVERYTHING: Rule = Rule {
    id: "subscribes-to-everything",
    title: "A client subscribes to the topics that it needs",
    why: "A client that subscribes to `#` reads the messages of all others; one that subscribes to `$SYS/#` reads the server's statistics.",
    binds: Binds::Client,
    severity: Severity::Info,
    clauses: &[],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=plant/#:0
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=#:0
< SUBACK id=1 codes=0",
        cut: "",
    },
    check: Check::Security(&[P::Subscribe], subscribes_to_everything),
};

fn subscribes_to_everything(f: &FrameFacts<'_>) -> Judged {
    let ControlPacket::Subscribe(subscribe) = &f.frame.packet else {
        return None;
    };
    let asked =
        subscribe
            .filters()
            .find_map(|asked| match topic::without_share(asked.filter.bytes()) {
                b"#" => Some("#"),
                b"$SYS/#" => Some("$SYS/#"),
                _ => None,
            })?;
    Some(note(format!(
        "expected a Topic Filter for what the client needs, found {asked:?}"
    )))
}

static CLIENT_ID_MOVES: Rule = Rule {
    id: "client-id-moves",
    title: "A Client Identifier is used from one address",
    why: "Two devices with one identifier disconnect each other, and a stolen identity shows in the same way. A client that roams, or is behind NAT, changes its address legitimately.",
    binds: Binds::Client,
    severity: Severity::Info,
    clauses: &[],
    examples: Examples {
        good: "",
        bad: "",
        cut: "",
    },
    check: Check::Security(&[P::Connack], client_id_moves),
};

fn client_id_moves(f: &FrameFacts<'_>) -> Judged {
    let before = f.connection.other_address?;
    let opening = f.connection.opening.as_deref()?;
    let now = f.connection.client.addr;
    (f.frame.packet.code() == Some(0)).then(|| {
        note(format!(
            "expected the Client Identifier from {before}, as before, found it from {now}"
        ))
        .at(opening.seen.packet)
    })
}

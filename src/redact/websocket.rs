//! HTTP heads that open a WebSocket, and its control frames.

use super::pseudonym::Pseudonyms;

/// Header fields whose names are no secret.
const NAMES: [&[u8]; 34] = [
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"access-control-allow-origin",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-length",
    b"content-type",
    b"cookie",
    b"date",
    b"host",
    b"keep-alive",
    b"location",
    b"origin",
    b"pragma",
    b"referer",
    b"sec-fetch-dest",
    b"sec-fetch-mode",
    b"sec-fetch-site",
    b"sec-websocket-accept",
    b"sec-websocket-extensions",
    b"sec-websocket-key",
    b"sec-websocket-protocol",
    b"sec-websocket-version",
    b"server",
    b"set-cookie",
    b"strict-transport-security",
    b"transfer-encoding",
    b"upgrade",
    b"user-agent",
    b"vary",
    b"via",
    b"x-forwarded-for",
];

/// Header fields whose values are structure.
const STRUCTURE: [&[u8]; 9] = [
    b"connection",
    b"content-length",
    b"sec-websocket-accept",
    b"sec-websocket-extensions",
    b"sec-websocket-key",
    b"sec-websocket-protocol",
    b"sec-websocket-version",
    b"transfer-encoding",
    b"upgrade",
];

/// Replaces what a request or response head says: path and query, values of header
/// fields, names of unusual ones, a body.
pub(super) fn head(bytes: &mut [u8], names: &mut Pseudonyms) {
    let mut at = 0;
    let mut is_first = true;
    while at < bytes.len() {
        let end = match bytes[at..].iter().position(|&byte| byte == b'\n') {
            Some(length) => at + length + 1,
            None => bytes.len(),
        };
        let line = &mut bytes[at..end];
        at = end;
        let content = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
        let line = &mut line[..content.map_or(0, |last| last + 1)];
        if line.is_empty() {
            break;
        }
        match std::mem::take(&mut is_first) {
            true => first_line(line, names),
            false => field(line, names),
        }
    }
    names.text(&mut bytes[at..]);
}

fn first_line(line: &mut [u8], names: &mut Pseudonyms) {
    if line.starts_with(b"HTTP/") {
        // Version, status code, reason.
        if let Some(reason) = line.splitn_mut(3, |&byte| byte == b' ').nth(2)
            && reason != b"Switching Protocols"
        {
            names.text(reason);
        }
        return;
    }
    let mut words = line.splitn_mut(3, |&byte| byte == b' ');
    if let Some(method) = words.next()
        && method != b"GET"
    {
        names.text(method);
    }
    if let Some(path) = words.next()
        && path != b"/mqtt"
    {
        names.text(path);
    }
    if let Some(version) = words.next()
        && !version.starts_with(b"HTTP/")
    {
        names.text(version);
    }
}

fn field(line: &mut [u8], names: &mut Pseudonyms) {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return names.text(line);
    };
    let (name, value) = line.split_at_mut(colon);
    let lower = name.to_ascii_lowercase();
    if !NAMES.contains(&&*lower) {
        names.text(name);
    }
    if !STRUCTURE.contains(&&*lower) {
        names.text(value);
    }
}

/// Replaces the payload of a control frame: of a ping or pong everything, of a close
/// frame the reason. `frame` is the whole of it.
pub(super) fn control_frame(frame: &mut [u8], is_close: bool, names: &mut Pseudonyms) {
    const MASKED: u8 = 0x80;
    let Some(&second) = frame.get(1) else { return };
    // Control frames have at most 125 bytes.
    let masked = second & MASKED != 0;
    let header = if masked { 6 } else { 2 };
    let Some((head, payload)) = frame.split_at_mut_checked(header) else {
        return;
    };
    let mask: [u8; 4] = match masked {
        true => [head[2], head[3], head[4], head[5]],
        false => [0; 4],
    };
    let unmask = |payload: &mut [u8]| {
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
    };
    unmask(payload);
    let code = if is_close { 2 } else { 0 };
    if let Some(rest) = payload.get_mut(code..) {
        names.opaque(rest);
    }
    unmask(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_keep_what_opens_a_websocket() {
        let mut names = Pseudonyms::new(b"a key of the tests", Vec::new(), Vec::new(), false);
        let text = "GET /site/ws?access_token=abcdef HTTP/1.1\r\nHost: broker.example.com:8080\r\n\
                    X-Customer: Acme\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n\r\nbody";
        let mut bytes = text.as_bytes().to_vec();
        head(&mut bytes, &mut names);
        let new = String::from_utf8(bytes).expect("ASCII");
        assert_eq!(new.len(), text.len());
        assert!(new.starts_with("GET /") && new.contains(" HTTP/1.1\r\nHost: "));
        assert!(new.contains("\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"));
        for secret in [
            "access_token",
            "abcdef",
            "broker.example",
            "Customer",
            "Acme",
            "body",
        ] {
            assert!(!new.contains(secret), "{new}");
        }
    }
}

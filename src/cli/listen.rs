//! `--listen`: metrics for Prometheus over HTTP, at `/metrics`.
//!
//! ```text
//! bind ─→ open the interface ─→ become another user ─→ serve ─→ read
//! ```
//!
//! The address is bound first, with the caller's privileges, so that a port below
//! 1024 is possible. The thread that answers starts after privileges were
//! dropped: capabilities belong to threads, and an existing thread would keep
//! them.
//!
//! Requests cannot end or slow down the capture: a request is a GET of at most
//! 8 KiB within five seconds, at most eight are answered at once, and further
//! connections are closed without an answer. The default address is 127.0.0.1.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mqttdump::metrics::Exposition;

/// Maximum number of requests answered at once.
const MOST_CONNECTIONS: usize = 8;
/// Maximum size of a request, headers included.
const MOST_BYTES: usize = 8 << 10;
/// Maximum number of headers in a request.
const MOST_HEADERS: usize = 64;
/// Time limit for a request to arrive and for its answer to leave.
const PATIENCE: Duration = Duration::from_secs(5);
/// Delay before accept is retried when there are no file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound address.
#[derive(Debug)]
pub(crate) struct Listener(TcpListener);

impl Listener {
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, String> {
        TcpListener::bind(address)
            .map(Self)
            .map_err(|error| format!("--listen {address}: {error}"))
    }

    /// Answers requests until the program ends; returns the address.
    pub(crate) fn serve(self, figures: Exposition) -> Result<SocketAddr, String> {
        let failed = |error: io::Error| format!("--listen: {error}");
        let address = self.0.local_addr().map_err(failed)?;
        std::thread::Builder::new()
            .name("metrics".into())
            .spawn(move || accept(&self.0, &Arc::new(figures)))
            .map_err(failed)?;
        Ok(address)
    }
}

fn accept(listener: &TcpListener, figures: &Arc<Exposition>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            std::thread::sleep(PAUSE);
            continue;
        };
        if open.load(Ordering::Relaxed) >= MOST_CONNECTIONS {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (figures, ours) = (Arc::clone(figures), Arc::clone(&open));
        let spawned = std::thread::Builder::new()
            .name("scrape".into())
            .spawn(move || {
                // A client that disconnects is not an error.
                let _ = serve(stream, &figures);
                ours.fetch_sub(1, Ordering::Relaxed);
            });
        if spawned.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Reads one request and answers it. Pipelined requests are ignored.
fn serve(mut stream: TcpStream, figures: &Exposition) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let until = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    let answer = loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            read => request.extend_from_slice(chunk.get(..read).unwrap_or_default()),
        }
        if let Some(answer) = answer(&request, figures) {
            break answer;
        }
    };
    stream.write_all(&answer)?;
    stream.shutdown(Shutdown::Write)?;
    // Closing with unread bytes would reset the connection and lose the
    // answer.
    stream.set_read_timeout(Some(PAUSE))?;
    for _ in 0..8 {
        if matches!(stream.read(&mut chunk), Ok(0) | Err(_)) {
            break;
        }
    }
    Ok(())
}

/// The answer to the bytes received so far; `None` if the request is not
/// complete.
fn answer(request: &[u8], figures: &Exposition) -> Option<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let (status, media_type, text) = match parsed.parse(request) {
        Ok(httparse::Status::Complete(_)) => {
            let path = parsed.path.unwrap_or_default();
            match (parsed.method, path.split('?').next().unwrap_or_default()) {
                (Some("GET" | "HEAD"), "/metrics") => {
                    ("200 OK", Exposition::MEDIA_TYPE, figures.text())
                }
                (Some("GET" | "HEAD"), _) => (
                    "404 Not Found",
                    PLAIN,
                    "the metrics are at /metrics\n".to_owned(),
                ),
                _ => ("405 Method Not Allowed", PLAIN, "expected GET\n".to_owned()),
            }
        }
        Ok(httparse::Status::Partial) if request.len() < MOST_BYTES => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => (
            "431 Request Header Fields Too Large",
            PLAIN,
            "expected a shorter request\n".to_owned(),
        ),
        Err(_) => ("400 Bad Request", PLAIN, "expected HTTP\n".to_owned()),
    };
    let length = text.len();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )
    .into_bytes();
    if parsed.method != Some("HEAD") {
        answer.extend(text.bytes());
    }
    Some(answer)
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// Parses the address of `--listen`: `9883`, `:9883` and `localhost:9883` are
/// this machine only; other addresses have to be typed.
pub(crate) fn address(typed: &str) -> Result<SocketAddr, String> {
    let error = || {
        format!(
            "--listen {typed}: expected a port, or ADDRESS:PORT, such as 9883 or 192.0.2.1:9883"
        )
    };
    let port = |text: &str| text.parse::<u16>().map_err(|_| error());
    let here = |port| SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    if let Some(rest) = typed
        .strip_prefix("localhost:")
        .or_else(|| typed.strip_prefix(':'))
    {
        return port(rest).map(here);
    }
    match typed.parse::<SocketAddr>() {
        Ok(address) => Ok(address),
        Err(_) => port(typed).map(here),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &[u8]) -> Option<String> {
        let answer = answer(request, &mqttdump::metrics::Metrics::new().exposition())?;
        let text = String::from_utf8(answer).unwrap();
        Some(text.split(' ').nth(1).unwrap().to_owned())
    }

    #[test]
    fn whatever_is_asked_is_answered_or_waited_for_within_limits() {
        for (request, expected) in [
            (&b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"[..], "200"),
            (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", "200"),
            (b"GET / HTTP/1.1\r\n\r\n", "404"),
            (
                b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
                "405",
            ),
            (b"\x16\x03\x01\x02\x00\x01", "400"),
        ] {
            assert_eq!(status(request).as_deref(), Some(expected));
        }
        let endless = b"A: x\r\n".repeat(2_000);
        let endless = [b"GET / HTTP/1.1\r\n", &endless[..]].concat();
        assert_eq!(status(&endless[..300]), None);
        assert_eq!(status(&endless).as_deref(), Some("431"));
        let long = [b"GET /", &[b'x'; MOST_BYTES][..]].concat();
        assert_eq!(status(&long).as_deref(), Some("431"));
        // Every prefix of a request is incomplete or answered.
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        for at in 0..request.len() {
            assert_eq!(status(&request[..at]), None, "{at}");
        }
    }

    #[test]
    fn only_this_machine_unless_more_is_typed() {
        for typed in ["9883", ":9883", "localhost:9883", "127.0.0.1:9883"] {
            assert_eq!(address(typed).unwrap().to_string(), "127.0.0.1:9883");
        }
        assert_eq!(address("0.0.0.0:9883").unwrap().to_string(), "0.0.0.0:9883");
        assert_eq!(address("[::1]:80").unwrap().to_string(), "[::1]:80");
        for typed in ["", "x", "broker:9883", "127.0.0.1", "99999", "1.2.3.4:x"] {
            assert!(address(typed).unwrap_err().contains("--listen"), "{typed}");
        }
    }
}

//! `--listen`: figures for Prometheus over HTTP, at `/metrics`.
//!
//! ```text
//! bind ─→ open the interface ─→ become another user ─→ serve ─→ read
//! ```
//!
//! The address is bound first, as whoever we are, so that a port below 1024 can
//! be asked for. The thread that answers starts after privileges were dropped:
//! capabilities belong to threads, and one that is there before keeps them.
//!
//! The thread only ever reads: a scraper that is slow, or many of them, never
//! hold up the capture. They can hold up each other, for answers are given one
//! by one, and one who asks again and again without reading the answers keeps
//! the others waiting. So the address is this machine's own, unless another is
//! typed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use mqttdump::metrics::Exposition;
use tiny_http::{Header, Method, Request, Response, Server};

/// An address that is bound, and not served yet.
#[derive(Debug)]
pub(crate) struct Listener(TcpListener);

impl Listener {
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, String> {
        TcpListener::bind(address)
            .map(Self)
            .map_err(|error| format!("--listen {address}: {error}"))
    }

    /// Answers until the program ends; returns the address.
    pub(crate) fn serve(self, figures: Exposition) -> Result<SocketAddr, String> {
        let told = |error: &dyn std::fmt::Display| format!("--listen: {error}");
        let address = self.0.local_addr().map_err(|error| told(&error))?;
        let server = Server::from_listener(self.0, None).map_err(|error| told(&error))?;
        std::thread::Builder::new()
            .name("metrics".into())
            .spawn(move || {
                for request in server.incoming_requests() {
                    answer(request, &figures);
                }
            })
            .map_err(|error| told(&error))?;
        Ok(address)
    }
}

fn answer(request: Request, figures: &Exposition) {
    let path = request.url().split('?').next().unwrap_or_default();
    let is_read = matches!(request.method(), Method::Get | Method::Head);
    let (status, media_type, text) = match (path, is_read) {
        ("/metrics", true) => (200, Exposition::MEDIA_TYPE, figures.text()),
        (_, true) => (404, PLAIN, "the figures are at /metrics\n".to_owned()),
        (_, false) => (405, PLAIN, "expected GET\n".to_owned()),
    };
    let mut response = Response::from_string(text).with_status_code(status);
    if let Ok(header) = Header::from_bytes("Content-Type", media_type) {
        response.add_header(header);
    }
    // A scraper that went away is content.
    let _ = request.respond(response);
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// What `--listen` says: `9883`, `:9883` and `localhost:9883` are this machine
/// alone; anything wider has to be typed.
pub(crate) fn address(typed: &str) -> Result<SocketAddr, String> {
    let told = || {
        format!(
            "--listen {typed}: expected a port, or ADDRESS:PORT, such as 9883 or 192.0.2.1:9883"
        )
    };
    let port = |text: &str| text.parse::<u16>().map_err(|_| told());
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

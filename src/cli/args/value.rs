//! Parsers of option values. Their errors name what was expected.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeBounds;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use mqttdump::engine::Decode;
use mqttdump::mqtt::PacketType;
use mqttdump::net::Endpoint;

use super::super::memory;

/// A whole number in `range`, which `expected` describes.
pub(crate) fn number<N>(
    range: impl RangeBounds<N> + Clone + Send + Sync + 'static,
    expected: &'static str,
) -> impl Fn(&str) -> Result<N, String> + Clone + Send + Sync + 'static
where
    N: FromStr + PartialOrd + Display,
{
    move |typed| {
        typed
            .parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("expected {expected}"))
    }
}

/// A count of at least 1.
pub(crate) fn count(typed: &str) -> Result<u64, String> {
    number(1u64.., "a whole number from 1")(typed)
}

/// A number of milliseconds, messages or bytes.
pub(crate) fn whole(typed: &str) -> Result<u64, String> {
    number(0u64.., "a whole number")(typed)
}

/// The formats of a command, by name and help.
pub(crate) fn formats(
    formats: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> PossibleValuesParser {
    let values = formats
        .into_iter()
        .map(|(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(values)
}

/// `1884=mqtt`.
pub(crate) fn decode(typed: &str) -> Result<(u16, Decode), String> {
    let (port, protocol) = typed
        .split_once('=')
        .ok_or("expected PORT=mqtt, mqtts, ws or wss, such as 1884=mqtt")?;
    let port = port
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("expected a port from 1 to 65535, found {port:?}"))?;
    match protocol {
        "mqtt" => Ok((port, Decode::Mqtt)),
        "mqtts" => Ok((port, Decode::Mqtts)),
        "ws" => Ok((port, Decode::Ws)),
        "wss" => Ok((port, Decode::Wss)),
        _ => Err(format!(
            "expected mqtt, mqtts, ws or wss, found {protocol:?}"
        )),
    }
}

/// `10` (millions of bytes), `500k`, `20m` or `1g`, as in tcpdump since
/// 4.99.5.
pub(super) fn file_size(typed: &str) -> Result<u64, String> {
    let (number, unit) = match typed.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (typed.get(..at), 1 << 10),
        Some((at, 'm' | 'M')) => (typed.get(..at), 1 << 20),
        Some((at, 'g' | 'G')) => (typed.get(..at), 1 << 30),
        _ => (Some(typed), 1_000_000),
    };
    number
        .and_then(|number| number.parse::<u64>().ok())
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "expected a size such as 10 (million bytes), 500k, 20m or 1g".to_owned())
}

/// The memory that may be used.
pub(crate) fn memory(typed: &str) -> Result<usize, String> {
    let bytes = size(typed)
        .ok()
        .and_then(|bytes| usize::try_from(bytes).ok());
    bytes
        .filter(|bytes| *bytes >= memory::LEAST)
        .ok_or_else(|| "expected a size from 16M, such as 512M or 2G".to_owned())
}

/// `4096` or `all`.
pub(crate) fn payload(typed: &str) -> Result<u32, String> {
    match typed {
        "all" => Ok(u32::MAX),
        _ => typed
            .parse()
            .map_err(|_| "expected a number of bytes, or all".to_owned()),
    }
}

/// `10.0.0.1:1883=10.0.0.1:8883`: two addresses of one server.
pub(crate) fn endpoints(typed: &str) -> Result<(Endpoint, Endpoint), String> {
    let endpoint = |text: &str| {
        let address: SocketAddr = text.parse().ok()?;
        Some(Endpoint {
            addr: address.ip(),
            port: address.port(),
        })
    };
    typed
        .split_once('=')
        .and_then(|(one, other)| Some((endpoint(one)?, endpoint(other)?)))
        .ok_or_else(|| {
            "expected ADDRESS:PORT=ADDRESS:PORT, such as 10.0.0.1:1883=10.0.0.1:8883".to_owned()
        })
}

/// `500ms`, `10s`, `5m`, `1h`.
pub(crate) fn duration(typed: &str) -> Result<Duration, String> {
    let expected = || "expected a time such as 500ms, 10s, 5m or 1h".to_owned();
    let parsed: jiff::SignedDuration = typed.parse().map_err(|_| expected())?;
    Duration::try_from(parsed)
        .ok()
        .filter(|duration| *duration >= Duration::from_millis(1))
        .ok_or_else(expected)
}

/// Names of packet types, in any case.
pub(super) fn packet_type() -> impl TypedValueParser<Value = PacketType> {
    PossibleValuesParser::new(PacketType::ALL.map(PacketType::name)).try_map(|name| {
        PacketType::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(&name))
            .ok_or("no such type")
    })
}

/// A number of bytes, such as 64K, 256M or 1G, in powers of 1024.
pub(crate) fn size(typed: &str) -> Result<u64, String> {
    let (digits, power) = match typed.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&typed[..typed.len() - 1], 10),
        Some(b'M') => (&typed[..typed.len() - 1], 20),
        Some(b'G') => (&typed[..typed.len() - 1], 30),
        _ => (typed, 0),
    };
    let bytes = digits.parse::<u64>().ok();
    bytes
        .and_then(|number| number.checked_mul(1 << power))
        .ok_or_else(|| format!("expected a size such as 64K, 256M or 1G, found {typed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (typed, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                duration(typed).unwrap(),
                Duration::from_millis(millis),
                "{typed}"
            );
        }
        for typed in ["", "10", "0s", "-1s", "1 fortnight", "s"] {
            assert!(duration(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn two_addresses_of_one_server() {
        let (one, other) = endpoints("10.0.0.1:1883=[::1]:8883").unwrap();
        assert_eq!(one.to_string(), "10.0.0.1:1883");
        assert_eq!(other.to_string(), "[::1]:8883");
        for typed in ["", "10.0.0.1:1883", "broker:1883=broker:8883", "a=b=c"] {
            assert!(endpoints(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn errors_name_what_was_expected() {
        assert_eq!(count("x").unwrap_err(), "expected a whole number from 1");
        assert_eq!(count("0").unwrap_err(), "expected a whole number from 1");
        assert_eq!(whole("0"), Ok(0));
        assert!(whole("-1").is_err());
    }
}

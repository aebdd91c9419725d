//! Literals: parsed by the type of the field they are compared with.

use std::net::{IpAddr, SocketAddr};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::field::{Field, Kind, Values};
use super::literal_error::LiteralError;
use super::node::{Compare, ItemLiteral, Network, Test};
use super::syntax::Form;
use crate::payload::Number;
use crate::time::Timestamp;

/// The test for a comparison of a field of that kind with a literal. The error names
/// what was expected.
pub(super) fn test(
    field: &Field,
    kind: Kind,
    compare: Compare,
    form: &Form,
    zone: &TimeZone,
) -> Result<Test, LiteralError> {
    let equality = matches!(compare, Compare::Eq | Compare::Ne);
    Ok(match kind {
        Kind::Presence => {
            return Err(LiteralError::NoValue(field.name.clone()));
        }
        Kind::Flag => Test::Flag(compare, flag(form)?),
        Kind::Number => Test::Number(compare, number(field, form)?),
        Kind::Real => Test::Real(compare, real(form)?),
        Kind::Text | Kind::Topic | Kind::TopicFilter => {
            let text = match (field.values, equality) {
                (Values::Names(names), true) => one_of(field, names, form)?.as_bytes().into(),
                _ => text(form),
            };
            Test::Bytes(compare, text)
        }
        Kind::Bytes => Test::Bytes(compare, bytes(form)?),
        Kind::Ipv4 | Kind::Ipv6 => {
            let network = network(form, kind)?;
            let whole = network.prefix == if network.addr.is_ipv4() { 32 } else { 128 };
            match compare {
                Compare::Eq => Test::Network(network),
                Compare::Ne => Test::NotNetwork(network),
                _ if whole => Test::Address(compare, network.addr),
                _ => return Err(LiteralError::NetworkOrder),
            }
        }
        Kind::Endpoint if equality => {
            let (network, port) = endpoint(form)?;
            Test::Endpoint {
                network,
                port,
                equal: compare == Compare::Eq,
            }
        }
        Kind::Endpoint => return Err(LiteralError::EndpointOrder),
        Kind::Time => Test::Time(compare, time(form, zone)?),
        Kind::Elapsed => Test::Elapsed(compare, nanos(&lossy(form), "a number of seconds")?),
        Kind::Any => Test::Item(compare, item(form)),
    })
}

/// The bytes of text, quoted or not.
pub(super) fn text(form: &Form) -> Box<[u8]> {
    match form {
        Form::Word(word) => word.as_bytes().into(),
        Form::Quoted(bytes) => bytes.as_slice().into(),
        Form::Char(byte) => [*byte].into(),
    }
}

/// The bytes of a quoted text, or of hexadecimal digits with or without `:`,
/// `-` or `.` between bytes.
pub(super) fn bytes(form: &Form) -> Result<Box<[u8]>, LiteralError> {
    let Form::Word(word) = form else {
        return Ok(text(form));
    };
    let digits: String = match word.strip_prefix("0x") {
        Some(digits) => digits.to_owned(),
        None => word.split([':', '-', '.']).collect(),
    };
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let even = digits.len().is_multiple_of(2) && !digits.starts_with('+');
    let read: Option<Box<[u8]>> = (0..digits.len()).step_by(2).map(pair).collect();
    read.filter(|bytes| even && !bytes.is_empty())
        .ok_or_else(|| LiteralError::Expected {
            expected: "bytes such as 0a:ff, or text in quotes".into(),
            found: word.clone(),
        })
}

/// The integer of a field without names.
pub(super) fn integer(form: &Form) -> Option<u64> {
    let text = match form {
        Form::Char(byte) => return Some((*byte).into()),
        form => lossy(form),
    };
    let (digits, radix) = match text.as_str() {
        text if text.len() > 2 && text.starts_with("0x") => (&text[2..], 16),
        text if text.len() > 2 && text.starts_with("0b") => (&text[2..], 2),
        text if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        text => (text, 10),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    u64::from_str_radix(digits, radix).ok().filter(|_| plain)
}

fn number(field: &Field, form: &Form) -> Result<u64, LiteralError> {
    if let Some(number) = integer(form) {
        return Ok(number);
    }
    let name = lossy(form);
    field
        .values
        .numbers(&name)
        .ok_or_else(|| match field.values {
            Values::Numbers(table) => {
                let names: Vec<_> = table.iter().map(|(_, name)| format!("{name:?}")).collect();
                let expected = format!("a number or one of {}", names.join(", "));
                LiteralError::expected(expected, &name)
            }
            Values::Reasons(_) => LiteralError::expected("a number or the name of a code", &name),
            Values::None | Values::Names(_) => LiteralError::expected("a number", &name),
        })
}

fn one_of<'n>(field: &Field, names: &[&'n str], form: &Form) -> Result<&'n str, LiteralError> {
    let name = lossy(form);
    let known = names.iter().find(|known| known.eq_ignore_ascii_case(&name));
    known.copied().ok_or_else(|| LiteralError::OneOf {
        field: field.name.clone(),
        names: names.join(", "),
        found: name,
    })
}

fn flag(form: &Form) -> Result<bool, LiteralError> {
    let word = lossy(form).to_ascii_lowercase();
    match word.as_str() {
        "true" | "set" => Ok(true),
        "false" | "not set" => Ok(false),
        _ => match integer(form) {
            Some(number) => Ok(number != 0),
            None => Err(LiteralError::expected("true, false, 1 or 0", &word)),
        },
    }
}

fn real(form: &Form) -> Result<f64, LiteralError> {
    let word = lossy(form);
    let value: Option<f64> = word.parse().ok();
    value
        .filter(|value| value.is_finite())
        .ok_or_else(|| LiteralError::expected("a number", &word))
}

fn network(form: &Form, kind: Kind) -> Result<Network, LiteralError> {
    let word = lossy(form);
    let network =
        parse_network(&word).filter(|network| network.addr.is_ipv4() == (kind == Kind::Ipv4));
    network.ok_or_else(|| {
        let expected = match kind {
            Kind::Ipv4 => "an IPv4 address, with or without /prefix",
            _ => "an IPv6 address, with or without /prefix",
        };
        LiteralError::expected(expected, &word)
    })
}

fn parse_network(word: &str) -> Option<Network> {
    let (addr, prefix) = match word.split_once('/') {
        Some((addr, prefix)) => (addr, Some(prefix)),
        None => (word, None),
    };
    let addr: IpAddr = addr.parse().ok()?;
    let most = if addr.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= most)?,
        None => most,
    };
    Some(Network { addr, prefix })
}

fn endpoint(form: &Form) -> Result<(Network, Option<u16>), LiteralError> {
    let word = lossy(form);
    if let Ok(end) = word.parse::<SocketAddr>() {
        let prefix = if end.is_ipv4() { 32 } else { 128 };
        let network = Network {
            addr: end.ip(),
            prefix,
        };
        return Ok((network, Some(end.port())));
    }
    parse_network(&word)
        .map(|network| (network, None))
        .ok_or_else(|| {
            let expected = "an address, with or without a port or /prefix";
            LiteralError::expected(expected, &word)
        })
}

/// A point in time, as Wireshark writes it or as RFC 3339 does, or seconds
/// since 1970.
pub(super) fn time(form: &Form, zone: &TimeZone) -> Result<Timestamp, LiteralError> {
    let word = lossy(form);
    let expected =
        "a time such as \"2026-01-31 10:15:00\", 2026-01-31T10:15:00Z or seconds since 1970";
    if let Ok(nanos) = nanos(&word, expected) {
        return Ok(Timestamp::from_nanos(nanos));
    }
    let read = |time: jiff::Timestamp| {
        let nanos = i64::try_from(time.as_nanosecond()).ok()?;
        Some(Timestamp::from_nanos(nanos))
    };
    if let Some(time) = word.parse::<jiff::Timestamp>().ok().and_then(read) {
        return Ok(time);
    }
    let civil = word
        .parse::<DateTime>()
        .or_else(|_| word.parse::<Date>().map(|date| date.at(0, 0, 0, 0)))
        .or_else(|_| DateTime::strptime("%b %d, %Y %H:%M:%S%.f", &word));
    civil
        .ok()
        .and_then(|civil| civil.to_zoned(zone.clone()).ok())
        .and_then(|zoned| read(zoned.timestamp()))
        .ok_or_else(|| LiteralError::expected(expected, &word))
}

/// Decimal seconds as nanoseconds, exactly.
fn nanos(word: &str, expected: &'static str) -> Result<i64, LiteralError> {
    let fail = || LiteralError::expected(expected, word);
    let (digits, negative) = match word.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (word, false),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || fraction.len() > 9 {
        return Err(fail());
    }
    let scaled = format!("{whole}{fraction:0<9}");
    let nanos: i64 = scaled.parse().map_err(|_| fail())?;
    Ok(if negative { -nanos } else { nanos })
}

/// Quoted literals are text; a word is a number, a boolean or null if possible.
fn item(form: &Form) -> ItemLiteral {
    let Form::Word(word) = form else {
        return ItemLiteral::Bytes(text(form));
    };
    match word.as_str() {
        "true" => return ItemLiteral::Bool(true),
        "false" => return ItemLiteral::Bool(false),
        "null" => return ItemLiteral::Null,
        _ => {}
    }
    if let Ok(integer) = word.parse() {
        return ItemLiteral::Number(Number::Integer(integer));
    }
    match word.parse::<f64>() {
        Ok(real) if real.is_finite() => ItemLiteral::Number(Number::Float(real)),
        _ => ItemLiteral::Bytes(text(form)),
    }
}

fn lossy(form: &Form) -> String {
    match form {
        Form::Word(word) => word.clone(),
        Form::Quoted(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Form::Char(byte) => char::from(*byte).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Form {
        Form::Word(text.into())
    }

    #[test]
    fn integers() {
        for (text, value) in [
            ("10", Some(10)),
            ("0", Some(0)),
            ("0x1F", Some(31)),
            ("0b101", Some(5)),
            ("074", Some(60)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-1", None),
            ("+1", None),
            ("0x+1", None),
            ("1e3", None),
            ("", None),
        ] {
            assert_eq!(integer(&word(text)), value, "{text}");
        }
    }

    #[test]
    fn hexadecimal_bytes() {
        for (text, value) in [
            ("0a:ff", Some(&[0x0a, 0xff][..])),
            ("0a-ff", Some(&[0x0a, 0xff])),
            ("0aff", Some(&[0x0a, 0xff])),
            ("0x0aff", Some(&[0x0a, 0xff])),
            ("456", None),
            ("zz", None),
            ("üü", None),
            ("", None),
        ] {
            assert_eq!(bytes(&word(text)).ok().as_deref(), value, "{text}");
        }
    }

    #[test]
    fn times() {
        let second = 1_000_000_000;
        for (text, nanos) in [
            ("2014-06-30 08:15:00", 1_404_116_100 * second),
            (
                "2014-06-30T08:15:00.5Z",
                1_404_116_100 * second + second / 2,
            ),
            ("2014-06-30T10:15:00+02:00", 1_404_116_100 * second),
            ("2014-06-30", 1_404_086_400 * second),
            (
                "Jun 30, 2014 08:15:00.25",
                1_404_116_100 * second + second / 4,
            ),
            ("1404116100.000000001", 1_404_116_100 * second + 1),
        ] {
            let time = time(&word(text), &TimeZone::UTC).expect(text);
            assert_eq!(time.nanos(), nanos, "{text}");
        }
        for text in ["2014", "yesterday", "1e9", "-", ""] {
            let time = time(&word(text), &TimeZone::UTC);
            assert_eq!(time.is_err(), text != "2014", "{text}");
        }
    }
}

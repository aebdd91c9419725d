//! Names of exported files: a template, filled with fields of a message.
//!
//! Topics and client identifiers come from the wire. They are encoded so that
//! names stay below the folder on any file system: bytes other than letters,
//! digits and `-_.+=,@` are written as `%XX`, a leading dot too, an empty topic
//! level as `%`.

use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use mqttdump::frame::MQTTFrame;
use mqttdump::mqtt::Text;

/// Maximum bytes of an encoded topic level, or client identifier; the rest becomes a
/// digest. File systems allow 255.
const LEVEL_BYTES: usize = 120;
/// Maximum bytes of an encoded topic.
const TOPIC_BYTES: usize = 1024;
/// Replacement for an unknown topic or client identifier.
const UNKNOWN: &str = "%unknown";

/// The template of `--export-name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Topic,
    Client,
    Connection,
    Time,
    Packet,
    Number,
    Ext,
}

impl Field {
    const ALL: [(&'static str, Self); 7] = [
        ("topic", Self::Topic),
        ("client", Self::Client),
        ("connection", Self::Connection),
        ("time", Self::Time),
        ("packet", Self::Packet),
        ("number", Self::Number),
        ("ext", Self::Ext),
    ];
}

impl Default for Template {
    fn default() -> Self {
        use Field::{Ext, Packet, Time, Topic};
        let text = |text: &str| Part::Text(text.to_owned());
        let field = Part::Field;
        Self(vec![
            field(Topic),
            text("/"),
            field(Time),
            text("-"),
            field(Packet),
            text("."),
            field(Ext),
        ])
    }
}

impl Template {
    /// `{topic}/{time}-{packet}.{ext}`, or the error message.
    pub(crate) fn parse(typed: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = typed;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("expected }} after {{{after}"))?;
            let field = Field::ALL.iter().find(|(known, _)| *known == name);
            let (_, field) = field.ok_or_else(|| {
                let known: Vec<_> = Field::ALL.iter().map(|(name, _)| *name).collect();
                format!(
                    "expected one of {{{}}}, found {{{name}}}",
                    known.join("}, {")
                )
            })?;
            parts.push(Part::Field(*field));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        // A filled-in value is one or more names, never `..` or a root.
        let filled: String = parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text,
                Part::Field(_) => "x",
            })
            .collect();
        let inside = |component| matches!(component, Component::Normal(_));
        let is_name = !filled.ends_with('/') && !filled.contains('\0');
        match is_name && !filled.is_empty() && Path::new(&filled).components().all(inside) {
            true => Ok(Self(parts)),
            false => Err("expected the name of a file below the folder".to_owned()),
        }
    }

    /// The name of the file for the payload of a message, the `number`th that is
    /// exported, below the folder.
    pub(crate) fn path(&self, frame: &MQTTFrame<'_>, number: u64, ext: &str) -> PathBuf {
        let mut name = String::new();
        for part in &self.0 {
            let _ = match part {
                Part::Text(text) => name.write_str(text),
                Part::Field(Field::Topic) => name.write_str(&topic(frame.topic.map(Text::bytes))),
                Part::Field(Field::Client) => {
                    let client = frame.connection.client_id.as_deref();
                    name.write_str(&client.map_or(UNKNOWN.to_owned(), level))
                }
                Part::Field(Field::Connection) => write!(name, "{}", frame.connection.number),
                Part::Field(Field::Time) => {
                    let nanos = frame.time.nanos().into();
                    let time = Timestamp::from_nanosecond(nanos).unwrap_or_default();
                    write!(name, "{}", time.strftime("%Y%m%dT%H%M%S%.6fZ"))
                }
                Part::Field(Field::Packet) => write!(name, "{}", frame.last.number),
                Part::Field(Field::Number) => write!(name, "{number}"),
                Part::Field(Field::Ext) => name.write_str(ext),
            };
        }
        PathBuf::from(name)
    }
}

/// A topic as folders within each other.
fn topic(topic: Option<&[u8]>) -> String {
    let Some(topic) = topic else {
        return UNKNOWN.to_owned();
    };
    let mut path = String::new();
    for one in topic.split(|byte| *byte == b'/') {
        let one = level(one);
        if path.len() + one.len() > TOPIC_BYTES {
            let _ = write!(path, "/~{:016x}", digest(topic));
            break;
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&one);
    }
    path
}

/// The name of a file or folder.
fn level(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "%".to_owned();
    }
    let mut name = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if name.len() > LEVEL_BYTES - 3 {
            let _ = write!(name, "~{:016x}", digest(bytes));
            break;
        }
        let _ = match byte {
            b'.' if at == 0 => write!(name, "%2E"),
            b'-' | b'_' | b'.' | b'+' | b'=' | b',' | b'@' => write!(name, "{}", *byte as char),
            byte if byte.is_ascii_alphanumeric() => write!(name, "{}", *byte as char),
            byte => write!(name, "%{byte:02X}"),
        };
    }
    name
}

/// Distinguishes long names; the same in every run.
fn digest(bytes: &[u8]) -> u64 {
    foldhash::quality::FixedState::default().hash_one(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_folder() {
        for (name, right) in [
            ("plant/7/temp", "plant/7/temp"),
            ("../../etc/passwd", "%2E./%2E./etc/passwd"),
            ("/leading//empty/", "%/leading/%/empty/%"),
            ("a b\\c:d\n\u{1b}", "a%20b%5Cc%3Ad%0A%1B"),
            ("grüße", "gr%C3%BC%C3%9Fe"),
            (".hidden", "%2Ehidden"),
        ] {
            assert_eq!(topic(Some(name.as_bytes())), right);
        }
        let long = vec![b'a'; 70_000];
        assert!(level(&long).len() < 200);
        assert_ne!(level(&long), level(&long[1..]));
        let deep = [b'/'; 65_535];
        let path = topic(Some(&deep));
        assert!(path.len() < TOPIC_BYTES + 200, "{}", path.len());
    }

    #[test]
    fn templates_are_checked() {
        assert_eq!(
            Template::parse("{topic}/{time}-{packet}.{ext}"),
            Ok(Template::default())
        );
        assert!(Template::parse("all-{number}").is_ok());
        for (bad, why) in [
            ("", "below the folder"),
            ("/tmp/{topic}", "below the folder"),
            ("../{topic}", "below the folder"),
            ("{topic}/", "below the folder"),
            ("{topc}", "{topic}"),
            ("{topic", "expected }"),
        ] {
            let error = Template::parse(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}

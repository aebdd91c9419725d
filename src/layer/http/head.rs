//! The head of an HTTP/1.1 message (RFC 9112): its first line and its fields.

use crate::direction::Direction;
use crate::limits;

/// Finds the blank line that ends a head, in chunks.
#[derive(Debug, Default)]
pub(crate) struct BlankLine {
    /// The line so far is empty, and not the first.
    is_empty: bool,
}

impl BlankLine {
    /// Position after the blank line, if it is in these bytes.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        for (position, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if self.is_empty => return Some(position + 1),
                b'\n' => self.is_empty = true,
                b'\r' => {}
                _ => self.is_empty = false,
            }
        }
        None
    }
}

/// Content of the first line and the fields.
#[derive(Debug)]
pub(crate) struct Head {
    /// Of a request, such as `GET`.
    pub(crate) method: String,
    /// Of a request.
    pub(crate) target: String,
    /// Of a response.
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The first field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The elements of all lists of that name.
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.all(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|element| !element.is_empty())
    }

    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|t| t.eq_ignore_ascii_case(token))
    }
}

/// Reads a whole head; `None` if it is not HTTP.
pub(crate) fn fields(bytes: &[u8], direction: Direction) -> Option<Head> {
    let mut storage = [httparse::EMPTY_HEADER; limits::UPGRADE_FIELDS];
    let (method, target, status, fields) = match direction {
        Direction::Up => {
            let mut request = httparse::Request::new(&mut storage);
            request.parse(bytes).ok()?;
            (request.method?, request.path?, 0, request.headers)
        }
        Direction::Down => {
            let mut response = httparse::Response::new(&mut storage);
            response.parse(bytes).ok()?;
            ("", "", response.code?, response.headers)
        }
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    Some(Head {
        method: method.to_owned(),
        target: target.to_owned(),
        status,
        fields: fields
            .iter()
            .map(|field| (field.name.to_owned(), text(field.value)))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_of_too_many_fields_is_none() {
        let head = |count: usize| {
            let text = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
            fields(text.as_bytes(), Direction::Up)
        };
        let most = head(limits::UPGRADE_FIELDS).expect("a head");
        assert_eq!(most.all("A").count(), limits::UPGRADE_FIELDS);
        assert!(head(limits::UPGRADE_FIELDS + 1).is_none());
    }
}

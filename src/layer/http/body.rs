//! How long the body of an HTTP/1.1 message is (RFC 9112, 6.3 and 7.1).

use super::head::Head;

/// The body after a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// That many bytes; 0 for none.
    Length(u64),
    /// Chunks, the last of which is empty.
    Chunked(Chunked),
    /// Everything until the connection ends, or an unknown number.
    UntilClose,
}

impl Head {
    /// The body of a request.
    pub(crate) fn request_body(&self) -> Body {
        match (self.coding(), self.field("Content-Length")) {
            (None, None) => Body::Length(0),
            _ => self.body(),
        }
    }

    /// The body of the response to anything but HEAD.
    pub(crate) fn response_body(&self) -> Body {
        match self.status {
            100..200 | 204 | 304 => Body::Length(0),
            _ => self.body(),
        }
    }

    fn coding(&self) -> Option<&str> {
        self.list("Transfer-Encoding").last()
    }

    fn body(&self) -> Body {
        match self.coding() {
            Some(last) if last.eq_ignore_ascii_case("chunked") => Body::Chunked(Chunked::default()),
            Some(_) => Body::UntilClose,
            None => {
                let length = self.field("Content-Length");
                let length = length.and_then(|length| length.trim().parse().ok());
                length.map_or(Body::UntilClose, Body::Length)
            }
        }
    }
}

/// A position in a body of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// In the size of a chunk: its value so far, and its number of digits.
    Size(u64, u8),
    /// After the size, before the end of its line.
    Extension(u64),
    /// In a chunk, with so many bytes to come.
    Data(u64),
    /// In the line end after a chunk.
    After,
    /// After the last chunk, and whether the line so far is empty.
    Trailer(bool),
}

impl Default for Chunked {
    fn default() -> Self {
        Self::Size(0, 0)
    }
}

/// Result of [`Body::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// All bytes are of the body.
    All,
    /// So many bytes are, and then it is over.
    Ends(usize),
    /// It breaks the format.
    Malformed,
}

impl Body {
    /// Takes bytes that follow.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Taken {
        match self {
            Self::Length(left) => {
                let here = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= here as u64;
                match *left {
                    0 => Taken::Ends(here),
                    _ => Taken::All,
                }
            }
            Self::Chunked(chunked) => chunked.take(bytes),
            Self::UntilClose => Taken::All,
        }
    }
}

impl Chunked {
    fn take(&mut self, bytes: &[u8]) -> Taken {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            *self = match *self {
                Self::Size(size, digits) => match (byte as char).to_digit(16) {
                    Some(_) if digits == 15 => return Taken::Malformed,
                    Some(digit) => Self::Size(size << 4 | u64::from(digit), digits + 1),
                    None if digits == 0 => return Taken::Malformed,
                    None if byte == b'\n' => Self::after_size(size),
                    None => Self::Extension(size),
                },
                Self::Extension(size) if byte == b'\n' => Self::after_size(size),
                Self::Extension(size) => Self::Extension(size),
                Self::Data(left) => {
                    let rest = bytes.len() - at;
                    let here = usize::try_from(left).map_or(rest, |left| left.min(rest));
                    at += here;
                    *self = match left - here as u64 {
                        0 => Self::After,
                        left => Self::Data(left),
                    };
                    continue;
                }
                Self::After if byte == b'\n' => Self::default(),
                Self::After if byte == b'\r' => Self::After,
                Self::After => return Taken::Malformed,
                Self::Trailer(true) if byte == b'\n' => return Taken::Ends(at + 1),
                Self::Trailer(_) if byte == b'\n' => Self::Trailer(true),
                Self::Trailer(empty) => Self::Trailer(empty && byte == b'\r'),
            };
            at += 1;
        }
        Taken::All
    }

    fn after_size(size: u64) -> Self {
        match size {
            0 => Self::Trailer(true),
            size => Self::Data(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_where_the_empty_one_does() {
        let body = b"4\r\nWiki\r\n6;x=y\r\npedia \r\n0\r\nExpires: never\r\n\r\n";
        let all = [&body[..], b"GET"].concat();
        for cut in 0..all.len() {
            let mut taken = Body::Chunked(Chunked::default());
            let (first, second) = all.split_at(cut);
            match taken.take(first) {
                Taken::Ends(end) => assert_eq!(end, body.len()),
                Taken::All => assert_eq!(taken.take(second), Taken::Ends(body.len() - cut)),
                Taken::Malformed => panic!("cut at {cut}"),
            }
        }
        for wrong in [&b"x\r\n"[..], b"\r\n", b"1\r\nabc", b"1111111111111111\r\n"] {
            assert_eq!(
                Body::Chunked(Chunked::default()).take(wrong),
                Taken::Malformed
            );
        }
    }
}

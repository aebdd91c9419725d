//! Reads small files completely, with a limit on their size: a path may name
//! `/dev/zero`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a text file of at most `most` bytes.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<String, String> {
    File::open(path)
        .map_err(|error| error.to_string())
        .and_then(|file| text(file, most))
}

/// Reads text of at most `most` bytes.
pub(crate) fn text(from: impl Read, most: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error: io::Error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("expected at most {most} bytes, found more"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("expected UTF-8 text, found an invalid byte at offset {at}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_files_end() {
        let error = text(io::repeat(b'x'), 1000).unwrap_err();
        assert_eq!(error, "expected at most 1000 bytes, found more");
        assert_eq!(text(&b"abc"[..], 3).unwrap(), "abc");
        assert!(text(&b"a\xff"[..], 3).unwrap_err().ends_with("offset 1"));
    }
}

//! Payloads kept for trying out compression.

use crate::limits;

/// Some payloads of a topic, spread over the capture: the first so many, then
/// every second, every fourth and so on.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    kept: Vec<Box<[u8]>>,
    bytes: usize,
    /// Every so many payloads one is kept; 0 stands for 1.
    stride: u64,
    seen: u64,
    /// Payloads that were too long, or not captured whole.
    pub skipped: u64,
}

impl Samples {
    /// Shows it a payload, of which `bytes` were captured.
    pub(super) fn offer(&mut self, bytes: &[u8], len: Option<u32>) {
        let is_whole = len == Some(bytes.len() as u32);
        if !is_whole || bytes.len() > limits::SAMPLE_BYTES / 8 {
            self.skipped += 1;
            return;
        }
        let stride = self.stride.max(1);
        let wanted = self.seen.is_multiple_of(stride);
        self.seen += 1;
        if !wanted {
            return;
        }
        self.bytes += bytes.len();
        self.kept.push(bytes.into());
        if self.kept.len() > limits::SAMPLES || self.bytes > limits::SAMPLE_BYTES {
            self.stride = stride * 2;
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.bytes = self.kept.iter().map(|payload| payload.len()).sum();
        }
    }

    /// The payloads, in the order in which they came.
    pub fn payloads(&self) -> &[Box<[u8]>] {
        &self.kept
    }
}

/// A way to compress payloads, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Raw deflate (RFC 1951).
    Deflate,
    /// The same with a dictionary for the topic.
    DeflateDictionary,
    /// Zstandard (RFC 8878).
    Zstd,
    /// The same with a dictionary for the topic.
    ZstdDictionary,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Deflate,
        Self::DeflateDictionary,
        Self::Zstd,
        Self::ZstdDictionary,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deflate => "deflate",
            Self::DeflateDictionary => "deflate-dict",
            Self::Zstd => "zstd",
            Self::ZstdDictionary => "zstd-dict",
        }
    }

    const fn has_dictionary(self) -> bool {
        matches!(self, Self::DeflateDictionary | Self::ZstdDictionary)
    }
}

/// What compressing payloads came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trial {
    /// Payloads that were compressed.
    pub tested: usize,
    /// Their bytes.
    pub before: u64,
    /// The same compressed; those that would grow are sent as they are.
    pub after: u64,
    /// Bytes of the dictionary that both ends must have.
    pub dictionary: usize,
}

impl Trial {
    /// Part of the bytes that is left.
    pub fn ratio(&self) -> f64 {
        match self.before {
            0 => 1.0,
            before => self.after as f64 / before as f64,
        }
    }
}

/// Compresses payloads of a topic. A dictionary is made from the first half and
/// tested on the second; `None` if there are too few for that.
pub fn trial(payloads: &[Box<[u8]>], codec: Codec) -> Option<Trial> {
    /// Longest distance that deflate can look back.
    const WINDOW: usize = 32 << 10;
    if payloads.is_empty() {
        return None;
    }
    let (training, tested) = match codec.has_dictionary() {
        true if payloads.len() < 4 => return None,
        true => payloads.split_at(payloads.len() / 2),
        false => payloads.split_at(0),
    };
    let dictionary = match codec {
        Codec::DeflateDictionary => {
            let all = training.concat();
            all[all.len().saturating_sub(WINDOW)..].to_vec()
        }
        // What cannot be trained (too few, too short) is used as it is.
        Codec::ZstdDictionary => {
            zstd::dict::from_samples(training, WINDOW / 4).unwrap_or_else(|_| training.concat())
        }
        Codec::Deflate | Codec::Zstd => Vec::new(),
    };
    let mut trial = Trial {
        dictionary: dictionary.len(),
        ..Trial::default()
    };
    let mut zstd = match codec {
        Codec::Zstd | Codec::ZstdDictionary => Some(zstandard(&dictionary)?),
        Codec::Deflate | Codec::DeflateDictionary => None,
    };
    for payload in tested {
        let compressed = match &mut zstd {
            Some(zstd) => zstd.compress(payload).ok()?.len(),
            None => deflate(payload, &dictionary)?,
        };
        trial.tested += 1;
        trial.before += payload.len() as u64;
        trial.after += payload.len().min(compressed) as u64;
    }
    Some(trial)
}

fn deflate(payload: &[u8], dictionary: &[u8]) -> Option<usize> {
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    if !dictionary.is_empty() {
        compress.set_dictionary(dictionary).ok()?;
    }
    let mut out = Vec::with_capacity(payload.len() + payload.len() / 100 + 64);
    let status = compress.compress_vec(payload, &mut out, flate2::FlushCompress::Finish);
    matches!(status, Ok(flate2::Status::StreamEnd)).then_some(out.len())
}

fn zstandard(dictionary: &[u8]) -> Option<zstd::bulk::Compressor<'_>> {
    /// The best that is not slow; payloads are short.
    const LEVEL: i32 = 12;
    zstd::bulk::Compressor::with_dictionary(LEVEL, dictionary).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(n: usize) -> Vec<Box<[u8]>> {
        let text = |i| {
            format!(
                "{{\"c\":{}.25,\"ok\":true,\"station\":\"north\"}}",
                60 + i % 40
            )
        };
        (0..n).map(|i| text(i).into_bytes().into()).collect()
    }

    #[test]
    fn short_payloads_need_a_dictionary() {
        let payloads = payloads(200);
        let ratio = |codec| trial(&payloads, codec).unwrap().ratio();
        assert!(ratio(Codec::Deflate) > 0.9, "{}", ratio(Codec::Deflate));
        assert!(ratio(Codec::DeflateDictionary) < 0.5);
        assert!(ratio(Codec::Zstd) > 0.9);
        assert!(ratio(Codec::ZstdDictionary) < 0.9);
        let tested = trial(&payloads, Codec::ZstdDictionary).unwrap();
        assert_eq!(tested.tested, 100);
        assert!(tested.dictionary > 0);
    }

    #[test]
    fn samples_are_bounded_and_spread() {
        let mut samples = Samples::default();
        for i in 0..10_000u32 {
            samples.offer(&i.to_be_bytes(), Some(4));
        }
        assert!(samples.payloads().len() <= limits::SAMPLES);
        let last = samples.payloads().last().unwrap();
        assert!(u32::from_be_bytes(last[..].try_into().unwrap()) > 9_000);
        samples.offer(b"cut", Some(4));
        assert_eq!(samples.skipped, 1);
    }
}

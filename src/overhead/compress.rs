//! Payloads kept as a sample for trying compression.

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::limits;

/// Some payloads of a topic, spread over the capture: the first few, then every
/// second, every fourth and so on.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    kept: Vec<Box<[u8]>>,
    bytes: usize,
    /// One payload in this many is kept; 0 stands for 1.
    stride: u64,
    /// Number of payloads that could have been kept.
    seen: u64,
    /// Bytes of those payloads.
    pub seen_bytes: u64,
    /// Payloads that were too long, or not captured whole.
    pub skipped: u64,
}

impl Samples {
    /// Offers a payload of `len` bytes, of which `bytes` were captured.
    pub(super) fn offer(&mut self, bytes: &[u8], len: Option<u32>) {
        let is_whole = len == Some(bytes.len() as u32);
        if !is_whole || bytes.len() > limits::SAMPLE_BYTES / 8 {
            self.skipped += 1;
            return;
        }
        let stride = self.stride.max(1);
        let wanted = self.seen.is_multiple_of(stride);
        self.seen += 1;
        self.seen_bytes += bytes.len() as u64;
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

    /// The payloads, in order of arrival.
    pub fn payloads(&self) -> &[Box<[u8]>] {
        &self.kept
    }
}

/// A way to compress payloads, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Raw deflate (RFC 1951).
    Deflate,
    /// The same with a preset dictionary for the topic.
    DeflateDictionary,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Deflate, Self::DeflateDictionary];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deflate => "deflate",
            Self::DeflateDictionary => "deflate-dict",
        }
    }
}

/// Result of compressing payloads.
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
    /// Ratio of compressed to uncompressed size.
    pub fn ratio(&self) -> f64 {
        match self.before {
            0 => 1.0,
            before => self.after as f64 / before as f64,
        }
    }
}

/// Compresses payloads. Its tables are large (some 300 kB), so they are made
/// once and reset for each payload.
#[derive(Debug)]
pub struct Compressor {
    codec: Codec,
    deflate: Compress,
    out: Vec<u8>,
}

impl Compressor {
    /// One for a codec.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            deflate: Compress::new(Compression::best(), false),
            out: Vec::new(),
        }
    }

    /// Compresses at most `most` of the payloads of one topic, spread evenly. A
    /// dictionary is taken from the end of the first half of all of them, and
    /// tested on payloads of the second; `None` if there are too few payloads.
    pub fn trial<P: AsRef<[u8]>>(&mut self, payloads: &[P], most: usize) -> Option<Trial> {
        if payloads.is_empty() {
            return None;
        }
        let (dictionary, tested) = match self.codec {
            Codec::Deflate => (Vec::new(), spread(payloads, most)),
            Codec::DeflateDictionary if payloads.len() < 4 => return None,
            Codec::DeflateDictionary => {
                let (known, others) = payloads.split_at(payloads.len() / 2);
                (dictionary(known), spread(others, most.div_ceil(2)))
            }
        };
        let mut trial = Trial {
            dictionary: dictionary.len(),
            ..Trial::default()
        };
        for payload in tested {
            let compressed = self.compressed_len(payload, &dictionary)?;
            trial.tested += 1;
            trial.before += payload.len() as u64;
            trial.after += payload.len().min(compressed) as u64;
        }
        Some(trial)
    }

    fn compressed_len(&mut self, payload: &[u8], dictionary: &[u8]) -> Option<usize> {
        self.deflate.reset();
        if !dictionary.is_empty() {
            self.deflate.set_dictionary(dictionary).ok()?;
        }
        self.out.clear();
        self.out.reserve(payload.len() + payload.len() / 100 + 64);
        let finish = FlushCompress::Finish;
        let status = self.deflate.compress_vec(payload, &mut self.out, finish);
        matches!(status, Ok(Status::StreamEnd)).then_some(self.out.len())
    }
}

/// The end of what the payloads are together.
fn dictionary<P: AsRef<[u8]>>(payloads: &[P]) -> Vec<u8> {
    /// Bytes of a dictionary. Deflate looks back no further than 32 KiB, but a
    /// device has to keep it.
    const DICTIONARY: usize = 4 << 10;
    let (mut first, mut len) = (payloads.len(), 0);
    while first > 0 && len < DICTIONARY {
        first -= 1;
        len += payloads[first].as_ref().len();
    }
    let last: Vec<&[u8]> = payloads[first..].iter().map(AsRef::as_ref).collect();
    let mut all = last.concat();
    all.drain(..all.len().saturating_sub(DICTIONARY));
    all
}

/// At most `most` of the payloads, spread evenly.
fn spread<P: AsRef<[u8]>>(payloads: &[P], most: usize) -> impl Iterator<Item = &[u8]> {
    let n = payloads.len();
    let most = most.min(n);
    (0..most).map(move |i| payloads[i * n / most].as_ref())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trial(payloads: &[Vec<u8>], codec: Codec) -> Option<Trial> {
        Compressor::new(codec).trial(payloads, 256)
    }

    #[test]
    fn short_payloads_need_a_dictionary() {
        let text = |i| {
            format!(
                "{{\"c\":{}.25,\"ok\":true,\"station\":\"north\"}}",
                60 + i % 40
            )
        };
        let payloads: Vec<_> = (0..200).map(|i| text(i).into_bytes()).collect();
        let alone = trial(&payloads, Codec::Deflate).unwrap();
        assert!(alone.ratio() > 0.9, "{}", alone.ratio());
        let with = trial(&payloads, Codec::DeflateDictionary).unwrap();
        assert!(with.ratio() < 0.5, "{}", with.ratio());
        assert_eq!(with.tested, 100);
        assert!((1..=4 << 10).contains(&with.dictionary));
    }

    #[test]
    fn compressed_lengths_do_not_depend_on_what_was_compressed_before() {
        let payload = b"{\"c\":21.25,\"ok\":true,\"c2\":21.25,\"ok2\":true}";
        let mut fresh = Compressor::new(Codec::Deflate);
        let mut used = Compressor::new(Codec::Deflate);
        used.compressed_len(payload, b"something else before it, c2\":21.25");
        assert_eq!(
            fresh.compressed_len(payload, &[]),
            used.compressed_len(payload, &[])
        );
    }

    proptest! {
        /// zstd's trainer in C read out of bounds with 16 payloads of one byte.
        #[test]
        fn no_payload_is_too_short_or_too_odd(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40),
        ) {
            for codec in Codec::ALL {
                if let Some(trial) = trial(&payloads, codec) {
                    prop_assert!(trial.after <= trial.before);
                }
            }
        }
    }

    #[test]
    fn samples_are_limited_and_spread() {
        let mut samples = Samples::default();
        for i in 0..10_000u32 {
            samples.offer(&i.to_be_bytes(), Some(4));
        }
        assert!(samples.payloads().len() <= limits::SAMPLES);
        let last = samples.payloads().last().unwrap();
        assert!(u32::from_be_bytes(last[..].try_into().unwrap()) > 9_000);
        assert_eq!(spread(samples.payloads(), 8).count(), 8);
        let all = samples.payloads().len();
        assert_eq!(spread(samples.payloads(), 1_000).count(), all);
        assert_eq!(samples.seen_bytes, 40_000);
        samples.offer(b"cut", Some(4));
        assert_eq!(samples.skipped, 1);
    }

    #[test]
    fn samples_of_long_payloads_take_no_more_bytes_than_the_limit() {
        let mut samples = Samples::default();
        let longest = vec![b'x'; limits::SAMPLE_BYTES / 8];
        for _ in 0..100 {
            samples.offer(&longest, Some(longest.len() as u32));
            assert!(samples.bytes <= limits::SAMPLE_BYTES);
        }
        assert!(samples.payloads().len() >= 4);
        let longer = vec![b'x'; longest.len() + 1];
        samples.offer(&longer, Some(longer.len() as u32));
        assert_eq!((samples.skipped, samples.seen), (1, 100));
    }
}

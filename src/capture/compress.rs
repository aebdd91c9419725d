//! Compressed captures: recognised by their first bytes, unpacked as a stream.
//!
//! | first bytes | format | decoder |
//! |---|---|---|
//! | `1f 8b` | gzip, members one after another | `flate2` |
//! | `28 b5 2f fd`, `5? 2a 4d 18` | zstd, frames one after another, skippable frames | `ruzstd` |
//! | `04 22 4d 18`, `02 21 4c 18` | lz4 frames, legacy lz4 | `lz4_flex` |
//! | `fd 37 7a 58` | xz, streams one after another | `lzma-rust2` |
//! | `42 5a 68` | bzip2, streams one after another | `bzip2`, in Rust |
//!
//! gzip and lz4 return bytes as soon as they are unpacked, so they are suitable
//! for a growing pipe; `ruzstd` keeps a window back until a frame ends.
//! `lz4_flex` treats an end of file between two blocks as the end of the frame:
//! such a truncation is visible only as a truncated packet record.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder as ZstdDecoder};

use super::error::Compression;

/// Compressed bytes fetched at a time.
const INPUT_BYTES: usize = 128 << 10;

/// Which compression a file starting with these four bytes has.
pub(super) fn recognise(magic: [u8; 4]) -> Option<Compression> {
    match magic {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Compression::Zstd),
        [0x04, 0x22, 0x4d, 0x18] | [0x02, 0x21, 0x4c, 0x18] => Some(Compression::Lz4),
        [0xfd, b'7', b'z', b'X'] => Some(Compression::Xz),
        [b'B', b'Z', b'h', b'1'..=b'9'] => Some(Compression::Bzip2),
        _ => None,
    }
}

/// A reader of the uncompressed bytes.
pub(super) fn unpack(
    compression: Compression,
    input: impl Read + Send + 'static,
) -> Box<dyn Read + Send> {
    let input = BufReader::with_capacity(INPUT_BYTES, input);
    match compression {
        Compression::Gzip => Box::new(Chunks(MultiGzDecoder::new(input))),
        Compression::Zstd => Box::new(Zstd::new(input)),
        Compression::Lz4 => Box::new(Lz4(Lz4Decoder::new(input))),
        Compression::Xz => Box::new(XzReader::new(input, true)),
        Compression::Bzip2 => Box::new(Chunks(MultiBzDecoder::new(input))),
    }
}

/// Reads a little at a time: if a call encounters damage, `flate2` discards
/// everything that the call has unpacked before.
struct Chunks<R>(R);

impl<R: Read> Read for Chunks<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        const CHUNK: usize = 8 << 10;
        let len = out.len().min(CHUNK);
        self.0.read(out.get_mut(..len).unwrap_or_default())
    }
}

/// All frames of an lz4 stream; `lz4_flex` by itself pauses after each.
struct Lz4<R: Read>(Lz4Decoder<R>);

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.0.read(out)?;
            if got > 0 || out.is_empty() || self.0.get_mut().fill_buf()?.is_empty() {
                return Ok(got);
            }
        }
    }
}

/// All frames of a zstd stream; `ruzstd` by itself stops after the first, does
/// not support skippable frames and does not verify checksums.
struct Zstd<R> {
    input: AtEnd<R>,
    decoder: ZstdDecoder,
    in_frame: bool,
    /// Returned when everything unpacked before it has been read.
    error: Option<io::Error>,
}

impl<R: BufRead> Zstd<R> {
    fn new(input: R) -> Self {
        Self {
            input: AtEnd {
                inner: input,
                ended: false,
            },
            decoder: ZstdDecoder::new(),
            in_frame: false,
            error: None,
        }
    }

    /// Starts the next frame; false at the end of the input.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.input.inner.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.input) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let wanted = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.input).take(wanted), &mut io::sink())?;
                    if skipped < wanted {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(false)
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        match self.decoder.get_checksum_from_data() {
            Some(sum) if Some(sum) != self.decoder.get_calculated_checksum() => Err(
                io::Error::new(io::ErrorKind::InvalidData, "checksum does not match"),
            ),
            _ => Ok(()),
        }
    }

    fn decode_block(&mut self) -> Result<(), FrameDecoderError> {
        let one = BlockDecodingStrategy::UptoBlocks(1);
        self.decoder.decode_blocks(&mut self.input, one).map(drop)
    }

    /// The frame is damaged. `ruzstd` keeps up to a window of unpacked bytes
    /// until the frame ends, so this ends it: with an empty last block, and
    /// room for a checksum.
    fn give_up(&mut self, error: io::Error) -> io::Result<()> {
        const EMPTY_LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];
        let one = BlockDecodingStrategy::UptoBlocks(1);
        let ended = self.decoder.decode_blocks(&EMPTY_LAST_BLOCK[..], one);
        match (self.error.is_some(), ended) {
            (false, Ok(_)) => {
                self.error = Some(error);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Finds an early end of file in `ruzstd`'s own errors.
    fn failed(&self, error: FrameDecoderError) -> io::Error {
        if self.input.ended {
            io::ErrorKind::UnexpectedEof.into()
        } else {
            io::Error::new(io::ErrorKind::InvalidData, error)
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame && !self.next_frame()? {
                return Ok(0);
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(out);
            }
            if self.decoder.is_finished() {
                self.end_frame()?;
            } else if let Err(error) = self.decode_block() {
                let error = self.failed(error);
                self.give_up(error)?;
            }
        }
    }
}

/// Remembers that its reader ran dry.
struct AtEnd<R> {
    inner: R,
    ended: bool,
}

impl<R: Read> Read for AtEnd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(out)?;
        self.ended |= got == 0 && !out.is_empty();
        Ok(got)
    }
}

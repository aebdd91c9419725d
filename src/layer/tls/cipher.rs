//! Opening sealed records: the only file that knows ciphers.
//!
//! ```text
//!            ┌─ header ─┬ before ┬──── content ────┬── after ──────────────┐
//! TLS 1.3    │ 5        │        │                 │ type 1, zeros, tag    │
//! 1.2 AEAD   │ 5        │ 8 or 0 │                 │ tag                   │
//! 1.2 CBC    │ 5        │ IV 16  │                 │ MAC, padding, length 1│
//! 1.2 EtM    │ 5        │ IV 16  │                 │ padding, length, MAC  │
//!            └──────────┴────────┴─────────────────┴───────────────────────┘
//! ```
//! Content has as many bytes sealed as open, and in the same ranges. A record
//! opens only under the right key *and* the right sequence number: a record that
//! opens is proof of both (2⁻⁶⁴ at the worst, for CCM_8), and one that does not is
//! never guessed at. No peer waits for an answer from here, so that constant
//! time is no concern.

#[cfg(test)]
mod seal;

use aes::cipher::{
    Array, BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit,
    consts::{U8, U12, U16},
};
use aes::{Aes128, Aes256};
use aes_gcm::aead::{AeadInOut, Nonce, Tag, inout::InOutBuf};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;
use hmac::Hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::suite::{Cipher, Mac, Suite};

/// Opens the records that one side sealed with one set of keys.
pub(super) struct Opener {
    suite: Suite,
    keyed: Keyed,
    iv: [u8; 12],
    /// CBC only: the MAC is one of the ciphertext (RFC 7366).
    encrypt_then_mac: bool,
}

/// Content of a record; the bytes themselves are in the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Opened {
    /// Type of the content.
    pub(super) kind: u8,
    /// Bytes of content.
    pub(super) len: usize,
    /// Whether there is more than has to be after it.
    pub(super) padded: bool,
}

/// Keys as they are derived.
pub(super) struct Material<'a> {
    pub(super) key: &'a [u8],
    /// CBC only.
    pub(super) mac: &'a [u8],
    /// All of the nonce, or the part that is not sent.
    pub(super) iv: &'a [u8],
}

enum Keyed {
    Gcm128(Box<Aes128Gcm>),
    Gcm256(Box<Aes256Gcm>),
    Ccm128(Box<Ccm<Aes128, U16, U12>>),
    Ccm256(Box<Ccm<Aes256, U16, U12>>),
    Ccm8of128(Box<Ccm<Aes128, U8, U12>>),
    Ccm8of256(Box<Ccm<Aes256, U8, U12>>),
    ChaCha(Box<ChaCha20Poly1305>),
    Cbc128(Box<Aes128>, Box<KeyedMac>),
    Cbc256(Box<Aes256>, Box<KeyedMac>),
}

#[derive(Clone)]
enum KeyedMac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
}

impl Opener {
    /// From keys of the suite's lengths.
    pub(super) fn new(suite: Suite, keys: &Material<'_>, encrypt_then_mac: bool) -> Option<Self> {
        let key = keys.key;
        let keyed = match suite.cipher {
            Cipher::Gcm(16) => Keyed::Gcm128(boxed(key)?),
            Cipher::Gcm(_) => Keyed::Gcm256(boxed(key)?),
            Cipher::Ccm(16, 16) => Keyed::Ccm128(boxed(key)?),
            Cipher::Ccm(_, 16) => Keyed::Ccm256(boxed(key)?),
            Cipher::Ccm(16, _) => Keyed::Ccm8of128(boxed(key)?),
            Cipher::Ccm(..) => Keyed::Ccm8of256(boxed(key)?),
            Cipher::ChaCha => Keyed::ChaCha(boxed(key)?),
            Cipher::Cbc(16, mac) => Keyed::Cbc128(boxed(key)?, KeyedMac::new(mac, keys.mac)?),
            Cipher::Cbc(_, mac) => Keyed::Cbc256(boxed(key)?, KeyedMac::new(mac, keys.mac)?),
        };
        let mut iv = [0; 12];
        iv.iter_mut()
            .zip(keys.iv)
            .for_each(|(to, from)| *to = *from);
        Some(Self {
            suite,
            keyed,
            iv,
            encrypt_then_mac,
        })
    }

    /// The suite that the keys are for.
    pub(super) fn suite(&self) -> Suite {
        self.suite
    }

    /// Opens a record, header included, as the one with this sequence number.
    pub(super) fn open(&self, sequence: u64, record: &[u8], out: &mut Vec<u8>) -> Option<Opened> {
        let (header, body) = record.split_first_chunk::<5>()?;
        match self.suite.cipher {
            Cipher::Cbc(_, mac) => self.open_cbc(sequence, header, body, mac, out),
            _ if self.suite.v13 => self.open_v13(sequence, header, body, out),
            _ => self.open_aead(sequence, header, body, out),
        }
    }

    fn open_v13(
        &self,
        sequence: u64,
        header: &[u8; 5],
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Opened> {
        self.unseal(&self.nonce(sequence), header, body, out)?;
        // A record of nothing but zeros breaks the format, but opened.
        let inner = out.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        Some(Opened {
            kind: out.get(inner).copied().unwrap_or_default(),
            len: inner,
            padded: inner + 1 < out.len(),
        })
    }

    fn open_aead(
        &self,
        sequence: u64,
        header: &[u8; 5],
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Opened> {
        let (explicit, sealed) = body.split_at_checked(self.suite.before())?;
        let nonce = match explicit {
            [] => self.nonce(sequence),
            explicit => {
                let mut nonce = self.iv;
                let (_, end) = nonce.split_last_chunk_mut::<8>()?;
                end.copy_from_slice(explicit);
                nonce
            }
        };
        let len = sealed.len().checked_sub(self.suite.after())?;
        self.unseal(&nonce, &pseudo_header(sequence, header, len), sealed, out)?;
        Some(Opened {
            kind: header[0],
            len,
            padded: false,
        })
    }

    fn open_cbc(
        &self,
        sequence: u64,
        header: &[u8; 5],
        body: &[u8],
        mac: Mac,
        out: &mut Vec<u8>,
    ) -> Option<Opened> {
        let mut sealed = body;
        if self.encrypt_then_mac {
            let (rest, tag) = body.split_at_checked(body.len().checked_sub(mac.len())?)?;
            let pseudo = pseudo_header(sequence, header, rest.len());
            self.mac()?.verify(&[&pseudo, rest], tag)?;
            sealed = rest;
        }
        match &self.keyed {
            Keyed::Cbc128(cipher, _) => unchain(&**cipher, sealed, out)?,
            Keyed::Cbc256(cipher, _) => unchain(&**cipher, sealed, out)?,
            _ => return None,
        }
        let padding = *out.last()?;
        let len = out.len().checked_sub(1 + usize::from(padding))?;
        if out.get(len..)?.iter().any(|byte| *byte != padding) {
            return None;
        }
        let len = match self.encrypt_then_mac {
            true => len,
            false => {
                let len = len.checked_sub(mac.len())?;
                let (content, after) = out.split_at_checked(len)?;
                let pseudo = pseudo_header(sequence, header, len);
                self.mac()?
                    .verify(&[&pseudo, content], after.get(..mac.len())?)?;
                len
            }
        };
        Some(Opened {
            kind: header[0],
            len,
            padded: padding != 0,
        })
    }

    fn mac(&self) -> Option<&KeyedMac> {
        match &self.keyed {
            Keyed::Cbc128(_, mac) | Keyed::Cbc256(_, mac) => Some(mac),
            _ => None,
        }
    }

    /// RFC 8446, 5.3; RFC 7905, 2.
    fn nonce(&self, sequence: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        let bytes = sequence.to_be_bytes();
        let end = nonce.iter_mut().rev();
        end.zip(bytes.iter().rev()).for_each(|(n, s)| *n ^= s);
        nonce
    }

    fn unseal(
        &self,
        nonce: &[u8; 12],
        data: &[u8],
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<()> {
        match &self.keyed {
            Keyed::Gcm128(cipher) => unseal(&**cipher, nonce, data, sealed, out),
            Keyed::Gcm256(cipher) => unseal(&**cipher, nonce, data, sealed, out),
            Keyed::Ccm128(cipher) => unseal(&**cipher, nonce, data, sealed, out),
            Keyed::Ccm256(cipher) => unseal(&**cipher, nonce, data, sealed, out),
            Keyed::Ccm8of128(cipher) => unseal(&**cipher, nonce, data, sealed, out),
            Keyed::Ccm8of256(cipher) => unseal(&**cipher, nonce, data, sealed, out),
            Keyed::ChaCha(cipher) => unseal(&**cipher, nonce, data, sealed, out),
            Keyed::Cbc128(..) | Keyed::Cbc256(..) => None,
        }
    }
}

impl KeyedMac {
    fn new(mac: Mac, key: &[u8]) -> Option<Box<Self>> {
        Some(Box::new(match mac {
            Mac::Sha1 => Self::Sha1(Hmac::new_from_slice(key).ok()?),
            Mac::Sha256 => Self::Sha256(Hmac::new_from_slice(key).ok()?),
            Mac::Sha384 => Self::Sha384(Hmac::new_from_slice(key).ok()?),
        }))
    }

    fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Option<()> {
        match self.clone() {
            Self::Sha1(mac) => verify(mac, parts, tag),
            Self::Sha256(mac) => verify(mac, parts, tag),
            Self::Sha384(mac) => verify(mac, parts, tag),
        }
    }
}

fn verify(mut mac: impl hmac::Mac, parts: &[&[u8]], tag: &[u8]) -> Option<()> {
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(tag).ok()
}

fn boxed<C: KeyInit>(key: &[u8]) -> Option<Box<C>> {
    C::new_from_slice(key).ok().map(Box::new)
}

/// The additional data that TLS 1.2 authenticates (RFC 5246, 6.2.3.3).
fn pseudo_header(sequence: u64, header: &[u8; 5], len: usize) -> [u8; 13] {
    let mut out = [0; 13];
    let len = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    let (&[kind, major, minor, ..], bytes) = (header, sequence.to_be_bytes());
    let parts = bytes.into_iter().chain([kind, major, minor]).chain(len);
    out.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    out
}

fn unseal<A: AeadInOut>(
    cipher: &A,
    nonce: &[u8],
    data: &[u8],
    sealed: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let tag_len = Tag::<A>::default().len();
    let (sealed, tag) = sealed.split_at_checked(sealed.len().checked_sub(tag_len)?)?;
    let nonce = <&Nonce<A>>::try_from(nonce).ok()?;
    let tag = <&Tag<A>>::try_from(tag).ok()?;
    out.resize(sealed.len(), 0);
    let buffer = InOutBuf::new(sealed, out).ok()?;
    cipher.decrypt_inout_detached(nonce, data, buffer, tag).ok()
}

/// Cipher block chaining, with the initial value before the ciphertext.
fn unchain<C>(cipher: &C, sealed: &[u8], out: &mut Vec<u8>) -> Option<()>
where
    C: BlockCipherDecrypt<BlockSize = U16> + Clone,
{
    let (iv, sealed) = sealed.split_at_checked(16)?;
    let iv = <&Array<u8, U16>>::try_from(iv).ok()?;
    out.clear();
    out.extend_from_slice(sealed);
    let (blocks, []) = Array::slice_as_chunks_mut(out) else {
        return None;
    };
    cbc::Decryptor::inner_iv_init(cipher.clone(), iv).decrypt_blocks(blocks);
    Some(())
}

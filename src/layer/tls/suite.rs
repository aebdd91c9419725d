//! The parameters that a cipher suite requires to read its records.
//!
//! A suite is read out of its registered name, which has all of it:
//!
//! ```text
//! TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8             TLS 1.2: cipher after WITH
//! TLS_RSA_WITH_AES_256_CBC_SHA384                  and the hash of MAC or PRF
//! TLS_CHACHA20_POLY1305_SHA256                   TLS 1.3: cipher and hash
//! ```
//! How keys were exchanged does not matter to a reader who has the secret.
//! Ciphers that must not be used any more (RC4, DES), that are national
//! (ARIA, Camellia, GOST, SM4) or that hide nothing (NULL) are named, and not
//! decoded.

use super::names::NAMES;

/// A cipher suite that can be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Suite {
    /// Its number.
    pub(super) id: u16,
    /// How records are sealed.
    pub(super) cipher: Cipher,
    /// The hash that keys are derived with.
    pub(super) hash: Hash,
    /// Whether it is one of TLS 1.3.
    pub(super) v13: bool,
}

/// How records are sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cipher {
    /// AES in Galois/counter mode, with a key of so many bytes.
    Gcm(usize),
    /// AES in counter mode with CBC-MAC: key and tag.
    Ccm(usize, usize),
    /// ChaCha20 and Poly1305.
    ChaCha,
    /// AES in cipher block chaining mode, and an HMAC.
    Cbc(usize, Mac),
}

/// The hash that keys are derived with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

/// The HMAC of a CBC suite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mac {
    /// HMAC-SHA-1.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-384.
    Sha384,
}

impl Suite {
    /// The suite of a number, if it can be decoded.
    pub(super) fn find(id: u16) -> Option<Self> {
        Self::parse(id, name(id)?)
    }

    /// All suites of TLS 1.3 with keys derived by `hash`.
    pub(super) fn v13(hash: Hash) -> impl Iterator<Item = Self> {
        (0x1301..=0x1305)
            .filter_map(Self::find)
            .filter(move |suite| suite.hash == hash)
    }

    fn parse(id: u16, name: &str) -> Option<Self> {
        let (v13, what) = match name.split_once("_WITH_") {
            Some((_, what)) => (false, what),
            None => (true, name.strip_prefix("TLS_")?),
        };
        let (cipher, hash) = match what {
            "AES_128_GCM_SHA256" => (Cipher::Gcm(16), Hash::Sha256),
            "AES_256_GCM_SHA384" => (Cipher::Gcm(32), Hash::Sha384),
            // The names from RFC 6655 leave out the hash; it is SHA-256.
            "AES_128_CCM" | "AES_128_CCM_SHA256" => (Cipher::Ccm(16, 16), Hash::Sha256),
            "AES_256_CCM" => (Cipher::Ccm(32, 16), Hash::Sha256),
            "AES_128_CCM_8" | "AES_128_CCM_8_SHA256" => (Cipher::Ccm(16, 8), Hash::Sha256),
            "AES_256_CCM_8" => (Cipher::Ccm(32, 8), Hash::Sha256),
            "CHACHA20_POLY1305_SHA256" => (Cipher::ChaCha, Hash::Sha256),
            "AES_128_CBC_SHA" => (Cipher::Cbc(16, Mac::Sha1), Hash::Sha256),
            "AES_256_CBC_SHA" => (Cipher::Cbc(32, Mac::Sha1), Hash::Sha256),
            "AES_128_CBC_SHA256" => (Cipher::Cbc(16, Mac::Sha256), Hash::Sha256),
            "AES_256_CBC_SHA256" => (Cipher::Cbc(32, Mac::Sha256), Hash::Sha256),
            "AES_128_CBC_SHA384" => (Cipher::Cbc(16, Mac::Sha384), Hash::Sha384),
            "AES_256_CBC_SHA384" => (Cipher::Cbc(32, Mac::Sha384), Hash::Sha384),
            _ => return None,
        };
        Some(Self {
            id,
            cipher,
            hash,
            v13,
        })
    }

    /// Bytes of a record's body before the ciphertext of its content.
    pub(super) fn before(self) -> usize {
        match self.cipher {
            Cipher::Cbc(..) => 16,
            Cipher::Gcm(_) | Cipher::Ccm(..) if !self.v13 => 8,
            _ => 0,
        }
    }

    /// The least that a record's body has after its content; exactly that,
    /// unless it is padded.
    pub(super) fn after(self) -> usize {
        match self.cipher {
            Cipher::Cbc(_, mac) => mac.len() + 1,
            cipher => cipher.tag_len() + usize::from(self.v13),
        }
    }

    /// How many bytes of content a body of `len` bytes has; `None` where only
    /// the key shows.
    pub(super) fn content(self, len: usize) -> Option<usize> {
        match self.cipher {
            Cipher::Cbc(..) => None,
            _ => len.checked_sub(self.before() + self.after()),
        }
    }
}

impl Cipher {
    /// Bytes of its key.
    #[cfg(feature = "tls")]
    pub(super) fn key_len(self) -> usize {
        match self {
            Self::Gcm(key) | Self::Ccm(key, _) | Self::Cbc(key, _) => key,
            Self::ChaCha => 32,
        }
    }

    /// Bytes of the tag of an authenticated cipher.
    fn tag_len(self) -> usize {
        match self {
            Self::Ccm(_, tag) => tag,
            Self::Gcm(_) | Self::ChaCha => 16,
            Self::Cbc(..) => 0,
        }
    }
}

impl Hash {
    /// Bytes of its output, and of secrets that go with it.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    /// The one whose secrets have `len` bytes.
    pub(super) fn of_secret(len: usize) -> Option<Self> {
        [Self::Sha256, Self::Sha384]
            .into_iter()
            .find(|hash| hash.len() == len)
    }
}

impl Mac {
    /// Bytes of its output and of its key.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// The registered name of a cipher suite.
pub(super) fn name(id: u16) -> Option<&'static str> {
    let at = NAMES.binary_search_by_key(&id, |(id, _)| *id).ok()?;
    NAMES.get(at).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order() {
        assert!(NAMES.windows(2).all(|two| two[0].0 < two[1].0));
    }

    #[test]
    fn suites_match_their_registration() {
        let of = |id| Suite::find(id).map(|s| (s.cipher, s.hash, s.v13));
        // RFC 8446, B.4; RFC 5288; RFC 6655; RFC 7251; RFC 7905; RFC 5246; RFC 5289.
        let table = [
            (0x1302, Cipher::Gcm(32), Hash::Sha384, true),
            (0x1303, Cipher::ChaCha, Hash::Sha256, true),
            (0x1305, Cipher::Ccm(16, 8), Hash::Sha256, true),
            (0x009C, Cipher::Gcm(16), Hash::Sha256, false),
            (0xC0A1, Cipher::Ccm(32, 8), Hash::Sha256, false),
            (0xC0AE, Cipher::Ccm(16, 8), Hash::Sha256, false),
            (0xCCA9, Cipher::ChaCha, Hash::Sha256, false),
            (0x002F, Cipher::Cbc(16, Mac::Sha1), Hash::Sha256, false),
            (0x003D, Cipher::Cbc(32, Mac::Sha256), Hash::Sha256, false),
            (0xC028, Cipher::Cbc(32, Mac::Sha384), Hash::Sha384, false),
        ];
        for (id, cipher, hash, v13) in table {
            assert_eq!(of(id), Some((cipher, hash, v13)), "{id:04X}");
        }
        // RC4, 3DES, NULL, Camellia.
        for id in [0x0005, 0x000A, 0x003B, 0xC086] {
            assert_eq!(of(id), None);
            assert!(name(id).is_some(), "{id:04X} has a name all the same");
        }
    }

    /// RFC 8446: 5 + 1 + 16; RFC 5288: 5 + 8 + 16.
    #[test]
    fn overhead_of_a_record_is_as_published() {
        let overhead = |id| Suite::find(id).map(|s| 5 + s.before() + s.after());
        assert_eq!(overhead(0x1301), Some(22));
        assert_eq!(overhead(0x1305), Some(14));
        assert_eq!(overhead(0xC02F), Some(29));
        assert_eq!(overhead(0xC0AE), Some(21));
        assert_eq!(overhead(0xCCA8), Some(21));
    }
}

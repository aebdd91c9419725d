//! From secrets to keys: RFC 8446, 7 and RFC 5246, 6.3.
//!
//! ```text
//! 1.3   traffic secret ──"key", "iv"──→ keys of one direction
//!             └──"traffic upd"──→ next traffic secret, after a KeyUpdate
//! 1.2   premaster ──"master secret", randoms──→ master secret
//!             └──"key expansion", randoms──→ MACs, keys, IVs of both directions
//! ```

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384};

use super::cipher::{Material, Opener};
use super::facts::Negotiated;
use super::keylog::Secret;
use super::suite::{Cipher, Hash, Suite};
use crate::direction::Direction;

/// The keys of a direction of TLS 1.3, unless the secret is for another hash.
pub(super) fn traffic(suite: Suite, secret: &Secret) -> Option<Opener> {
    if !suite.v13 || secret.bytes().len() != suite.hash.len() {
        return None;
    }
    let key = expand(suite.hash, secret, "key", suite.cipher.key_len())?;
    let iv = expand(suite.hash, secret, "iv", 12)?;
    let material = Material {
        key: &key,
        mac: &[],
        iv: &iv,
    };
    Opener::new(suite, &material, false)
}

/// The traffic secret after a KeyUpdate.
pub(super) fn updated(hash: Hash, secret: &Secret) -> Option<Secret> {
    let next = expand(hash, secret, "traffic upd", hash.len())?;
    Some(Secret::new(&next))
}

/// The keys of a direction of TLS 1.2.
pub(super) fn connection(
    negotiated: &Negotiated,
    master: &Secret,
    direction: Direction,
) -> Option<Opener> {
    let suite = negotiated.suite;
    let mac = match suite.cipher {
        Cipher::Cbc(_, mac) => mac.len(),
        _ => 0,
    };
    let key = suite.cipher.key_len();
    let iv = match suite.cipher {
        Cipher::ChaCha => 12,
        // In TLS 1.2 the IV of CBC is sent.
        Cipher::Cbc(..) => 0,
        _ => 4,
    };
    let seed = [negotiated.server_random, negotiated.client_random?].concat();
    let block = prf(
        suite.hash,
        master,
        "key expansion",
        &seed,
        2 * (mac + key + iv),
    );
    let mut rest = &block[..];
    let mut ours = |len| {
        let (up, after) = rest.split_at_checked(len)?;
        let (down, after) = after.split_at_checked(len)?;
        rest = after;
        Some(match direction {
            Direction::Up => up,
            Direction::Down => down,
        })
    };
    let material = Material {
        mac: ours(mac)?,
        key: ours(key)?,
        iv: ours(iv)?,
    };
    Opener::new(suite, &material, negotiated.encrypt_then_mac)
}

/// The master secret of a premaster secret, without the extension that mixes
/// in the handshake (RFC 7627).
pub(super) fn master(negotiated: &Negotiated, premaster: &Secret) -> Option<Secret> {
    let seed = [negotiated.client_random?, negotiated.server_random].concat();
    let secret = prf(negotiated.suite.hash, premaster, "master secret", &seed, 48);
    Some(Secret::new(&secret))
}

/// HKDF-Expand-Label with no context.
fn expand(hash: Hash, secret: &Secret, label: &str, len: usize) -> Option<Vec<u8>> {
    let label = [b"tls13 ", label.as_bytes()].concat();
    let mut info = u16::try_from(len).ok()?.to_be_bytes().to_vec();
    info.push(u8::try_from(label.len()).ok()?);
    info.extend(label);
    info.push(0);
    let mut out = vec![0; len];
    match hash {
        Hash::Sha256 => Hkdf::<Sha256>::from_prk(secret.bytes())
            .ok()?
            .expand(&info, &mut out)
            .ok()?,
        Hash::Sha384 => Hkdf::<Sha384>::from_prk(secret.bytes())
            .ok()?
            .expand(&info, &mut out)
            .ok()?,
    }
    Some(out)
}

/// RFC 5246, 5.
fn prf(hash: Hash, secret: &Secret, label: &str, seed: &[u8], len: usize) -> Vec<u8> {
    let seed = [label.as_bytes(), seed].concat();
    let mut a = seed.clone();
    let mut out = Vec::new();
    for _ in 0..len.div_ceil(hash.len()) {
        a = hmac(hash, secret, &a, &[]);
        out.extend(hmac(hash, secret, &a, &seed));
    }
    out.truncate(len);
    out
}

fn hmac(hash: Hash, secret: &Secret, first: &[u8], second: &[u8]) -> Vec<u8> {
    fn of<M: Mac + KeyInit>(key: &[u8], first: &[u8], second: &[u8]) -> Vec<u8> {
        // An HMAC takes a key of any length.
        let Ok(mac) = M::new_from_slice(key) else {
            return Vec::new();
        };
        let mac = mac.chain_update(first).chain_update(second);
        mac.finalize().into_bytes().to_vec()
    }
    match hash {
        Hash::Sha256 => of::<Hmac<Sha256>>(secret.bytes(), first, second),
        Hash::Sha384 => of::<Hmac<Sha384>>(secret.bytes(), first, second),
    }
}

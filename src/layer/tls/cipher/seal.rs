//! Sealing records, for tests: the way back from [`Opener::open`].
//!
//! What is sealed here proves that records are put together and taken apart
//! alike; that it is what others do rests on recorded conversations and on
//! published traces.

use aes::cipher::{BlockCipherEncrypt, BlockModeEncrypt, BlockSizeUser};

use super::*;

impl Opener {
    /// A record of this content, with this much padding beyond the required.
    pub(in crate::layer::tls) fn seal(
        &self,
        sequence: u64,
        kind: u8,
        content: &[u8],
        padding: usize,
    ) -> Vec<u8> {
        let tag = match self.suite.cipher {
            Cipher::Ccm(_, tag) => tag,
            _ => 16,
        };
        if let Cipher::Cbc(_, mac) = self.suite.cipher {
            return self.seal_cbc(sequence, kind, content, mac, padding);
        }
        if self.suite.v13 {
            let mut body = [content, &[kind]].concat();
            body.resize(body.len() + padding, 0);
            let header = header(23, body.len() + tag);
            let sealed = self.seal_with(&self.nonce(sequence), &header, &body);
            return [&header[..], &sealed].concat();
        }
        let header = header(kind, content.len() + self.suite.before() + tag);
        let mut nonce = self.nonce(sequence);
        let mut explicit = Vec::new();
        if self.suite.before() > 0 {
            explicit = (sequence ^ 0x0102_0304_0506_0708).to_be_bytes().to_vec();
            nonce[..4].copy_from_slice(&self.iv[..4]);
            nonce[4..].copy_from_slice(&explicit);
        }
        let data = pseudo_header(sequence, &header, content.len());
        let sealed = self.seal_with(&nonce, &data, content);
        [&header[..], &explicit, &sealed].concat()
    }

    fn seal_cbc(
        &self,
        sequence: u64,
        kind: u8,
        content: &[u8],
        mac: Mac,
        padding: usize,
    ) -> Vec<u8> {
        let iv = [sequence as u8 ^ 0x5A; 16];
        let keyed = self.mac().unwrap();
        let mut plain = content.to_vec();
        if !self.encrypt_then_mac {
            let data = pseudo_header(sequence, &header(kind, 0), content.len());
            plain.extend(keyed.code(&[&data, content]));
        }
        let least = 15 - plain.len() % 16;
        let pad = (least + padding / 16 * 16).min(240 + least);
        plain.extend(std::iter::repeat_n(pad as u8, pad + 1));
        match &self.keyed {
            Keyed::Cbc128(cipher, _) => chain(&**cipher, &iv, &mut plain),
            Keyed::Cbc256(cipher, _) => chain(&**cipher, &iv, &mut plain),
            _ => unreachable!(),
        }
        let mut body = [&iv[..], &plain].concat();
        if self.encrypt_then_mac {
            let data = pseudo_header(sequence, &header(kind, 0), body.len());
            body.extend(keyed.code(&[&data, &body]));
        }
        assert!(!self.encrypt_then_mac || body.len() % 16 == mac.len() % 16);
        [&header(kind, body.len())[..], &body].concat()
    }

    fn seal_with(&self, nonce: &[u8; 12], data: &[u8], content: &[u8]) -> Vec<u8> {
        match &self.keyed {
            Keyed::Gcm128(cipher) => seal(&**cipher, nonce, data, content),
            Keyed::Gcm256(cipher) => seal(&**cipher, nonce, data, content),
            Keyed::Ccm128(cipher) => seal(&**cipher, nonce, data, content),
            Keyed::Ccm256(cipher) => seal(&**cipher, nonce, data, content),
            Keyed::Ccm8of128(cipher) => seal(&**cipher, nonce, data, content),
            Keyed::Ccm8of256(cipher) => seal(&**cipher, nonce, data, content),
            Keyed::ChaCha(cipher) => seal(&**cipher, nonce, data, content),
            Keyed::Cbc128(..) | Keyed::Cbc256(..) => unreachable!(),
        }
    }
}

impl KeyedMac {
    fn code(&self, parts: &[&[u8]]) -> Vec<u8> {
        match self.clone() {
            Self::Sha1(mac) => code(mac, parts),
            Self::Sha256(mac) => code(mac, parts),
            Self::Sha384(mac) => code(mac, parts),
        }
    }
}

fn code(mut mac: impl hmac::Mac, parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn header(kind: u8, len: usize) -> [u8; 5] {
    [kind, 3, 3, (len >> 8) as u8, len as u8]
}

fn seal<A: AeadInOut>(cipher: &A, nonce: &[u8], data: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out = content.to_vec();
    let nonce = <&Nonce<A>>::try_from(nonce).unwrap();
    let tag = cipher
        .encrypt_inout_detached(nonce, data, InOutBuf::from(&mut out[..]))
        .unwrap();
    out.extend_from_slice(&tag);
    out
}

fn chain<C>(cipher: &C, iv: &[u8; 16], plain: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Clone,
{
    let iv = <&Array<u8, U16>>::try_from(&iv[..]).unwrap();
    let (blocks, []) = Array::slice_as_chunks_mut(plain) else {
        unreachable!()
    };
    cbc::Encryptor::inner_iv_init(cipher.clone(), iv).encrypt_blocks(blocks);
}

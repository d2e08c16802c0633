//! Encryption of a session: AES-256-GCM both ways, each way with its own key.

use bytes::Bytes;
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use crate::kms::{fill, unbound};

/// The agent's side of an encrypted session.
pub(super) struct Cipher {
    seal: LessSafeKey,
    open: LessSafeKey,
    /// Counts up from a random start: three words, the first counts first.
    counter: [u32; 3],
}

impl Cipher {
    /// From the data key: the first half encrypts what the agent sends, the second what the client sends.
    pub(super) fn new(data_key: &[u8; 64]) -> Self {
        let half = |at: usize| {
            let mut half = [0; 32];
            half.copy_from_slice(&data_key[at..at + 32]);
            LessSafeKey::new(unbound(&half))
        };
        let mut start = [0; 12];
        fill(&mut start);
        let word = |at: usize| u32::from_le_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]);
        Self {
            seal: half(0),
            open: half(32),
            counter: [word(0), word(4), word(8)],
        }
    }

    /// Nonce, ciphertext, tag.
    pub(super) fn seal(&mut self, clear: &[u8]) -> Bytes {
        let nonce = self.nonce();
        let mut body = clear.to_vec();
        // The only error is a text of more than 64 GiB.
        #[expect(
            clippy::unwrap_used,
            reason = "payloads are far smaller than the cipher's limit"
        )]
        self.seal
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body)
            .unwrap();
        let mut frame = nonce.to_vec();
        frame.extend_from_slice(&body);
        frame.into()
    }

    /// What the client sealed; `None` for anything else.
    pub(super) fn open(&self, frame: &[u8]) -> Option<Bytes> {
        let (nonce, sealed) = frame.split_first_chunk::<NONCE_LEN>()?;
        let mut body = sealed.to_vec();
        let clear = self
            .open
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut body)
            .ok()?
            .len();
        body.truncate(clear);
        Some(body.into())
    }

    fn nonce(&mut self) -> [u8; NONCE_LEN] {
        for word in &mut self.counter {
            *word = word.wrapping_add(1);
            if *word != 0 {
                break;
            }
        }
        let mut nonce = [0; NONCE_LEN];
        for (place, word) in nonce.as_chunks_mut::<4>().0.iter_mut().zip(self.counter) {
            *place = word.to_le_bytes();
        }
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swapped(key: &[u8; 64]) -> [u8; 64] {
        let mut other = [0; 64];
        other[..32].copy_from_slice(&key[32..]);
        other[32..].copy_from_slice(&key[..32]);
        other
    }

    fn key() -> [u8; 64] {
        std::array::from_fn(|n| n as u8)
    }

    #[test]
    fn each_side_opens_what_the_other_sealed_and_not_its_own() {
        let mut agent = Cipher::new(&key());
        let mut client = Cipher::new(&swapped(&key()));
        let frame = agent.seal(b"hello");
        assert_eq!(frame.len(), 12 + 5 + 16);
        assert_eq!(client.open(&frame).as_deref(), Some(&b"hello"[..]));
        assert_eq!(agent.open(&frame), None);
        let back = client.seal(b"ls\r");
        assert_eq!(agent.open(&back).as_deref(), Some(&b"ls\r"[..]));
    }

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let mut agent = Cipher::new(&key());
        let client = Cipher::new(&swapped(&key()));
        let frame = agent.seal(b"hello");
        for at in 0..frame.len() {
            let mut damaged = frame.to_vec();
            damaged[at] ^= 1;
            assert_eq!(client.open(&damaged), None, "{at}");
        }
        assert_eq!(client.open(b""), None);
    }

    #[test]
    fn the_nonce_counts_over_its_words_and_never_stands_still() {
        let mut agent = Cipher::new(&key());
        agent.counter = [u32::MAX, u32::MAX, 7];
        assert_eq!(agent.nonce(), [0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0]);
        assert_eq!(agent.nonce(), [1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0]);
    }
}

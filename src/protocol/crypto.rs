//! Encryption by a KMS data key: AES-256-GCM, each direction with a key of its own.
//!
//! The key itself is fetched by others: the session asks for it with [`KeyWish`] and is given a [`DataKey`].

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::payload::encode;
use crate::secret::Secret;

/// The length of a data key: one half for each direction.
pub const KEY_LENGTH: usize = 64;
const NONCE_LENGTH: usize = 12;
const TAG_LENGTH: usize = 16;

/// The data key that an encrypted session needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWish {
    /// The KMS key that the session's preferences name.
    pub key_id: String,
    /// Part of the encryption context where the agent sent it; base64, used as it came.
    pub challenge: Option<String>,
}

impl KeyWish {
    /// The encryption context, which the agent has to repeat when it decrypts the key.
    pub fn context(&self, session: &str, target: &str) -> Vec<(&'static str, String)> {
        let mut context = vec![
            ("aws:ssm:SessionId", session.to_owned()),
            ("aws:ssm:TargetId", target.to_owned()),
        ];
        if let Some(challenge) = &self.challenge {
            context.push(("aws:ssm:RandomChallenge", challenge.clone()));
        }
        context
    }
}

/// What KMS's GenerateDataKey answers with.
#[derive(Debug, Clone)]
pub struct DataKey {
    /// The key.
    pub plaintext: Secret<Vec<u8>>,
    /// The same for the agent, readable by KMS alone.
    pub ciphertext: Vec<u8>,
}

/// What cannot be deciphered: the keys of the two ends differ, or somebody has changed a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The data key has another length.
    #[error("the data key has {0} bytes instead of {KEY_LENGTH}")]
    KeyLength(usize),
    /// Too short to hold a nonce and a tag.
    #[error("an encrypted message is cut short ({0} bytes)")]
    Short(usize),
    /// The tag does not fit.
    #[error("a message does not decrypt: the agent uses another key, or the message was changed on its way")]
    Tag,
    /// Bytes of the session came in clear while its key was being fetched.
    #[error("the agent sent output before the session was encrypted")]
    TooEarly,
    /// The agent's challenge is no JSON with base64.
    #[error("the agent's encryption challenge cannot be read")]
    Challenge,
}

/// The two directions' ciphers. Their keys are wiped when this is dropped.
pub(crate) struct Ciphers {
    opening: Aes256Gcm,
    sealing: Aes256Gcm,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Challenge {
    challenge: String,
}

impl Ciphers {
    /// Splits a data key: the agent encrypts with the first half, we with the second.
    pub(super) fn new(key: &Secret<Vec<u8>>) -> Result<Self, CryptoError> {
        let key = key.expose();
        let wrong = CryptoError::KeyLength(key.len());
        let (first, second) = key.split_at_checked(KEY_LENGTH / 2).ok_or(wrong)?;
        let cipher = |half: &[u8]| {
            let key = <&Key<Aes256Gcm>>::try_from(half).map_err(|_| wrong)?;
            Ok(Aes256Gcm::new(key))
        };
        Ok(Self {
            opening: cipher(first)?,
            sealing: cipher(second)?,
        })
    }

    /// Nonce, ciphertext and tag. A nonce must never come twice.
    pub(crate) fn seal(&self, nonce: [u8; NONCE_LENGTH], plaintext: &[u8]) -> Bytes {
        let sealed = self.sealing.encrypt(&Nonce::from(nonce), plaintext);
        // It fails for more than 64 GiB at once only.
        let sealed = sealed.unwrap_or_default();
        let mut frame = Vec::with_capacity(NONCE_LENGTH + sealed.len());
        frame.extend_from_slice(&nonce);
        frame.extend_from_slice(&sealed);
        frame.into()
    }

    pub(crate) fn open(&self, frame: &[u8]) -> Result<Bytes, CryptoError> {
        open(&self.opening, frame)
    }

    /// Answers the agent's check that both ends have the same keys.
    pub(super) fn answer(&self, nonce: [u8; NONCE_LENGTH], request: &[u8]) -> Result<Bytes, CryptoError> {
        let request: Challenge = serde_json::from_slice(request).map_err(|_| CryptoError::Challenge)?;
        let frame = STANDARD
            .decode(request.challenge)
            .map_err(|_| CryptoError::Challenge)?;
        let plaintext = self.open(&frame)?;
        let challenge = STANDARD.encode(self.seal(nonce, &plaintext));
        Ok(encode(&Challenge { challenge }))
    }
}

fn open(cipher: &Aes256Gcm, frame: &[u8]) -> Result<Bytes, CryptoError> {
    let short = CryptoError::Short(frame.len());
    let (nonce, sealed) = frame.split_at_checked(NONCE_LENGTH).ok_or(short)?;
    if sealed.len() < TAG_LENGTH {
        return Err(short);
    }
    let nonce = <[u8; NONCE_LENGTH]>::try_from(nonce).map_err(|_| short)?;
    let plaintext = cipher.decrypt(&Nonce::from(nonce), sealed);
    plaintext.map(Bytes::from).map_err(|_| CryptoError::Tag)
}

/// The other end, for tests: what it seals we open, and the other way round.
#[cfg(test)]
pub(crate) fn agents_end(key: &Secret<Vec<u8>>) -> Ciphers {
    let ours = Ciphers::new(key).unwrap();
    Ciphers {
        opening: ours.sealing,
        sealing: ours.opening,
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    fn key() -> Secret<Vec<u8>> {
        Secret::new((0..64).collect())
    }

    /// Computed with Python's `cryptography`: AESGCM(bytes(range(32, 64))).encrypt(bytes(12), b"ls\r", None).
    const SEALED: [u8; 31] = hex!("000000000000000000000000 8f5decf8efe47c04d769935d8a208bd4808946");

    #[test]
    fn a_frame_is_nonce_ciphertext_and_tag_of_the_second_half() {
        let frame = Ciphers::new(&key()).unwrap().seal([0; 12], b"ls\r");
        assert_eq!(frame, &SEALED[..]);
        assert_eq!(agents_end(&key()).open(&SEALED).unwrap(), &b"ls\r"[..]);
    }

    #[test]
    fn each_direction_has_its_own_key() {
        let ours = Ciphers::new(&key()).unwrap();
        assert_eq!(ours.open(&SEALED), Err(CryptoError::Tag));
        let theirs = agents_end(&key()).seal([7; 12], b"$ ");
        assert_eq!(ours.open(&theirs).unwrap(), &b"$ "[..]);
    }

    #[test]
    fn a_key_of_another_length_is_none() {
        for length in [0, 31, 32, 63, 65, 128] {
            let key = Secret::new(vec![0; length]);
            assert_eq!(Ciphers::new(&key).err(), Some(CryptoError::KeyLength(length)));
        }
    }

    #[test]
    fn the_challenge_comes_back_under_the_other_key() {
        let (ours, theirs) = (Ciphers::new(&key()).unwrap(), agents_end(&key()));
        let secret = [42; 64];
        let challenge = STANDARD.encode(theirs.seal([1; 12], &secret));
        let request = encode(&Challenge { challenge });
        let answer = ours.answer([2; 12], &request).unwrap();
        let answer: Challenge = serde_json::from_slice(&answer).unwrap();
        let frame = STANDARD.decode(answer.challenge).unwrap();
        assert_eq!(theirs.open(&frame).unwrap(), &secret[..]);
        for rubbish in [&b"{"[..], br#"{"Challenge":"*"}"#] {
            assert_eq!(ours.answer([3; 12], rubbish), Err(CryptoError::Challenge));
        }
    }

    #[test]
    fn the_context_has_the_challenge_where_the_agent_sent_one() {
        let mut wish = KeyWish {
            key_id: "k".to_owned(),
            challenge: None,
        };
        assert_eq!(wish.context("me-1", "i-1").len(), 2);
        wish.challenge = Some("AAEC".to_owned());
        let context = wish.context("me-1", "i-1");
        assert_eq!(context[0], ("aws:ssm:SessionId", "me-1".to_owned()));
        assert_eq!(context[1], ("aws:ssm:TargetId", "i-1".to_owned()));
        assert_eq!(context[2], ("aws:ssm:RandomChallenge", "AAEC".to_owned()));
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened_and_damage_is_seen(
            plaintext in proptest::collection::vec(any::<u8>(), 0..300), nonce: [u8; 12], at: usize, flip in 1_u8..,
        ) {
            let frame = Ciphers::new(&key()).unwrap().seal(nonce, &plaintext);
            let theirs = agents_end(&key());
            prop_assert_eq!(theirs.open(&frame).unwrap(), Bytes::from(plaintext));
            let mut damaged = frame.to_vec();
            let at = at % damaged.len();
            damaged[at] ^= flip;
            prop_assert_eq!(theirs.open(&damaged), Err(CryptoError::Tag));
        }

        #[test]
        fn opening_never_panics(frame in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(Ciphers::new(&key()).unwrap().open(&frame).is_err());
        }
    }
}

//! KMS, as far as sessions need it: data keys bound to an encryption context.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Names and values that must be the same when a key is made and when it is opened.
pub type Context = BTreeMap<String, String>;

const NONCE: usize = 12;

/// The keys of an account and region.
#[derive(Clone, Default)]
pub struct Keyring {
    keys: Arc<RwLock<Vec<Key>>>,
}

/// A customer master key.
struct Key {
    arn: String,
    aliases: Vec<String>,
    enabled: bool,
    seal: LessSafeKey,
}

/// What GenerateDataKey gives.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey {
    /// The key's ARN.
    pub key_id: String,
    /// The data key.
    pub plaintext: Vec<u8>,
    /// The data key, sealed: what Decrypt takes.
    pub ciphertext: Vec<u8>,
}

/// Why KMS refuses. [`KmsError::code`] is AWS's name for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KmsError {
    /// There is no such key.
    #[error("Key '{0}' does not exist")]
    NotFound(String),
    /// The key is disabled.
    #[error("{0} is disabled.")]
    Disabled(String),
    /// The bytes were not sealed here, or for another context. KMS tells no more.
    #[error("")]
    InvalidCiphertext,
    /// The size of the wanted data key is out of range (1 to 1024 bytes).
    #[error("NumberOfBytes must be between 1 and 1024")]
    Size,
}

impl KmsError {
    /// AWS's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "NotFoundException",
            Self::Disabled(_) => "DisabledException",
            Self::InvalidCiphertext => "InvalidCiphertextException",
            Self::Size => "ValidationException",
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring")
    }
}

impl Keyring {
    /// Adds a key by its ARN; it is also found by the id at the ARN's end and by `aliases` (`alias/…`).
    pub fn add(&self, arn: &str, aliases: &[&str]) {
        let mut secret = [0; 32];
        fill(&mut secret);
        self.write().push(Key {
            arn: arn.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            enabled: true,
            seal: LessSafeKey::new(unbound(&secret)),
        });
    }

    /// Enables or disables a key. Unknown keys are left alone.
    pub fn set_enabled(&self, key_id: &str, enabled: bool) {
        if let Some(key) = self.write().iter_mut().find(|key| key.is_called(key_id)) {
            key.enabled = enabled;
        }
    }

    /// Whether a key is enabled; `None` for one that does not exist.
    pub fn is_enabled(&self, key_id: &str) -> Option<bool> {
        let keys = self.keys.read().unwrap_or_else(|broken| broken.into_inner());
        Some(keys.iter().find(|key| key.is_called(key_id))?.enabled)
    }

    /// The ARN of a key named by id, ARN or alias.
    pub fn arn(&self, key_id: &str) -> Option<String> {
        let keys = self.keys.read().unwrap_or_else(|broken| broken.into_inner());
        Some(keys.iter().find(|key| key.is_called(key_id))?.arn.clone())
    }

    /// GenerateDataKey: `length` random bytes, in the clear and sealed for `context`.
    ///
    /// # Errors
    /// For an unknown or disabled key, or a length out of range.
    pub fn generate_data_key(
        &self,
        key_id: &str,
        length: usize,
        context: &Context,
    ) -> Result<DataKey, KmsError> {
        if !(1..=1024).contains(&length) {
            return Err(KmsError::Size);
        }
        let keys = self.keys.read().unwrap_or_else(|broken| broken.into_inner());
        let key = keys
            .iter()
            .find(|key| key.is_called(key_id))
            .ok_or_else(|| KmsError::NotFound(key_id.to_owned()))?;
        if !key.enabled {
            return Err(KmsError::Disabled(key.arn.clone()));
        }
        let mut plaintext = vec![0; length];
        fill(&mut plaintext);
        let mut nonce = [0; NONCE];
        fill(&mut nonce);
        let mut sealed = plaintext.clone();
        key.seal
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound(context)),
                &mut sealed,
            )
            .map_err(|_| KmsError::Size)?;
        let mut ciphertext = nonce.to_vec();
        ciphertext.extend_from_slice(&sealed);
        Ok(DataKey {
            key_id: key.arn.clone(),
            plaintext,
            ciphertext,
        })
    }

    /// Decrypt: the ARN of the key and the plaintext.
    ///
    /// # Errors
    /// When no key here sealed these bytes for this context, or the one that did is disabled.
    pub fn decrypt(&self, ciphertext: &[u8], context: &Context) -> Result<(String, Vec<u8>), KmsError> {
        let (nonce, sealed) = ciphertext
            .split_first_chunk::<NONCE>()
            .ok_or(KmsError::InvalidCiphertext)?;
        let keys = self.keys.read().unwrap_or_else(|broken| broken.into_inner());
        for key in keys.iter() {
            let mut opened = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            if let Ok(plaintext) = key
                .seal
                .open_in_place(nonce, Aad::from(bound(context)), &mut opened)
            {
                if !key.enabled {
                    return Err(KmsError::Disabled(key.arn.clone()));
                }
                return Ok((key.arn.clone(), plaintext.to_vec()));
            }
        }
        Err(KmsError::InvalidCiphertext)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Key>> {
        self.keys.write().unwrap_or_else(|broken| broken.into_inner())
    }
}

impl Key {
    fn is_called(&self, name: &str) -> bool {
        self.arn == name
            || self.arn.rsplit('/').next() == Some(name)
            || self.aliases.iter().any(|alias| {
                alias == name
                    || name
                        .strip_suffix(alias.as_str())
                        .is_some_and(|arn| arn.starts_with("arn:") && arn.ends_with(':'))
            })
    }
}

/// The context as bytes that tell apart any two contexts: each text is preceded by its length.
fn bound(context: &Context) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in context.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// An AES-256-GCM key of 32 bytes.
pub(crate) fn unbound(secret: &[u8; 32]) -> UnboundKey {
    // The only error is a wrong length, which the type excludes.
    #[expect(clippy::unwrap_used, reason = "AES-256 keys have 32 bytes")]
    UnboundKey::new(&AES_256_GCM, secret).unwrap()
}

/// Fills with random bytes of the operating system.
pub(crate) fn fill(bytes: &mut [u8]) {
    // Linux's getrandom does not fail once the machine is up; a sandbox without it cannot go on.
    #[expect(clippy::unwrap_used, reason = "no randomness, no sandbox")]
    SystemRandom::new().fill(bytes).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:eu-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn context(id: &str) -> Context {
        Context::from([("aws:ssm:SessionId".to_owned(), id.to_owned())])
    }

    fn keyring() -> Keyring {
        let keys = Keyring::default();
        keys.add(ARN, &["alias/sessions"]);
        keys
    }

    #[test]
    fn a_data_key_opens_with_its_context_alone() {
        let keys = keyring();
        let made = keys.generate_data_key(ARN, 64, &context("a")).unwrap();
        assert_eq!(made.plaintext.len(), 64);
        let (arn, opened) = keys.decrypt(&made.ciphertext, &context("a")).unwrap();
        assert_eq!((arn.as_str(), opened), (ARN, made.plaintext));
        assert_eq!(
            keys.decrypt(&made.ciphertext, &context("b")),
            Err(KmsError::InvalidCiphertext)
        );
        assert_eq!(
            keyring().decrypt(&made.ciphertext, &context("a")),
            Err(KmsError::InvalidCiphertext)
        );
        assert_eq!(
            keys.decrypt(b"short", &context("a")),
            Err(KmsError::InvalidCiphertext)
        );
    }

    #[test]
    fn keys_go_by_id_arn_and_alias() {
        let keys = keyring();
        for name in [
            ARN,
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "alias/sessions",
            "arn:aws:kms:eu-west-2:111122223333:alias/sessions",
        ] {
            assert_eq!(keys.arn(name).as_deref(), Some(ARN), "{name}");
        }
        let error = keys.generate_data_key("alias/other", 64, &context("a")).err();
        assert_eq!(error.map(|error| error.code()), Some("NotFoundException"));
    }

    #[test]
    fn a_disabled_key_neither_makes_nor_opens() {
        let keys = keyring();
        let made = keys.generate_data_key(ARN, 64, &context("a")).unwrap();
        keys.set_enabled(ARN, false);
        let disabled = Some(KmsError::Disabled(ARN.to_owned()));
        assert_eq!(keys.generate_data_key(ARN, 64, &context("a")).err(), disabled);
        assert_eq!(keys.decrypt(&made.ciphertext, &context("a")).err(), disabled);
    }

    #[test]
    fn contexts_do_not_run_together() {
        let one = Context::from([("ab".to_owned(), "c".to_owned())]);
        let other = Context::from([("a".to_owned(), "bc".to_owned())]);
        assert_ne!(bound(&one), bound(&other));
    }
}

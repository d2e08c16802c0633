//! Data keys for encrypted sessions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use zeroize::{Zeroize as _, Zeroizing};

use super::Aws;
use super::call::Service;
use super::error::{ErrorKind, ServiceError};
use crate::secret::Secret;

const KMS: Service = Service {
    name: "kms",
    target: "TrentService",
};
const OPERATION: &str = "GenerateDataKey";

/// A data key, in clear and encrypted under its KMS key.
#[derive(Debug, Clone)]
pub struct GeneratedKey {
    /// In clear.
    pub plaintext: Secret<Vec<u8>>,
    /// Encrypted.
    pub ciphertext: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    plaintext: String,
    ciphertext_blob: String,
}

impl Aws {
    /// A fresh data key of `length` bytes under a KMS key, bound to an encryption context.
    ///
    /// # Errors
    /// What AWS refuses; an answer that is none.
    pub async fn generate_data_key(
        &self,
        key_id: &str,
        length: usize,
        context: &[(&str, String)],
    ) -> Result<GeneratedKey, ServiceError> {
        let context: serde_json::Map<_, _> = context
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_str().into()))
            .collect();
        let request = json!({ "KeyId": key_id, "NumberOfBytes": length, "EncryptionContext": context });
        let body = self.call(KMS, OPERATION, &request).await?;
        read(body.expose()).ok_or_else(|| ServiceError {
            operation: format!("{}:{OPERATION}", KMS.name),
            ..ServiceError::local(ErrorKind::Other, "the answer has no usable data key")
        })
    }
}

/// A KMS key, as far as sessions go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// Its ARN, whichever way it was named.
    pub arn: String,
    /// Such as `Enabled`.
    pub state: String,
}

impl Aws {
    /// What KMS says of a key, named by id, ARN or alias.
    ///
    /// # Errors
    /// What AWS refuses; an answer that is none.
    pub async fn kms_key(&self, key_id: &str) -> Result<KeyFacts, ServiceError> {
        let body = self.call(KMS, "DescribeKey", &json!({ "KeyId": key_id })).await?;
        let told: Option<serde_json::Value> = serde_json::from_slice(body.expose()).ok();
        let text = |key: &str| {
            let value = told.as_ref()?.pointer(&format!("/KeyMetadata/{key}"))?;
            value.as_str().map(ToOwned::to_owned)
        };
        let facts = text("Arn").map(|arn| KeyFacts {
            arn,
            state: text("KeyState").unwrap_or_default(),
        });
        facts.ok_or_else(|| ServiceError {
            operation: format!("{}:DescribeKey", KMS.name),
            ..ServiceError::local(ErrorKind::Other, "the answer tells of no key")
        })
    }
}

/// What was parsed on the way is wiped: it holds the key as well.
fn read(body: &[u8]) -> Option<GeneratedKey> {
    let mut answer: Answer = serde_json::from_slice(body).ok()?;
    let plaintext = Zeroizing::new(std::mem::take(&mut answer.plaintext));
    let key = GeneratedKey {
        plaintext: Secret::new(STANDARD.decode(plaintext.as_bytes()).ok()?),
        ciphertext: STANDARD.decode(&answer.ciphertext_blob).ok()?,
    };
    answer.ciphertext_blob.zeroize();
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_rubbish_is_none() {
        let key = read(br#"{"KeyId":"arn:k","Plaintext":"AAEC","CiphertextBlob":"AwQ="}"#).unwrap();
        assert_eq!(key.plaintext.expose(), &[0, 1, 2]);
        assert_eq!(key.ciphertext, [3, 4]);
        for rubbish in ["{", "{}", r#"{"Plaintext":"*","CiphertextBlob":"AwQ="}"#] {
            assert!(read(rubbish.as_bytes()).is_none(), "{rubbish}");
        }
    }
}

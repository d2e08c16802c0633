//! KMS: the calls that encrypted sessions need, and what doctor asks of a key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::{ApiError, Request, Service, Wire};
use crate::kms::{Context, KmsError};
use crate::world::World;

pub(super) const SERVICE: Service = Service {
    name: "kms",
    wire: Wire::Json {
        target: "TrentService",
    },
    call,
};

fn call(world: &World, request: &Request<'_>) -> Option<Result<String, ApiError>> {
    Some(match request.operation {
        "GenerateDataKey" => generate(world, request),
        "Decrypt" => decrypt(world, request),
        "DescribeKey" => describe(world, request),
        _ => return None,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Generate {
    key_id: String,
    number_of_bytes: Option<usize>,
    key_spec: Option<String>,
    #[serde(default)]
    encryption_context: Context,
}

fn generate(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let wanted: Generate = request.input.parse()?;
    let length = match (wanted.number_of_bytes, wanted.key_spec.as_deref()) {
        (Some(length), None) => length,
        (None, Some("AES_256")) => 32,
        (None, Some("AES_128")) => 16,
        _ => {
            return Err(ApiError::new(
                "ValidationException",
                "Please specify either number of bytes or key spec.",
            ));
        }
    };
    let keys = world.sessions.keyring(&request.place);
    let made = keys
        .generate_data_key(&wanted.key_id, length, &wanted.encryption_context)
        .map_err(refused)?;
    Ok(json!({
        "CiphertextBlob": STANDARD.encode(made.ciphertext),
        "Plaintext": STANDARD.encode(made.plaintext),
        "KeyId": made.key_id,
    })
    .to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypt {
    ciphertext_blob: String,
    #[serde(default)]
    encryption_context: Context,
}

fn decrypt(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let wanted: Decrypt = request.input.parse()?;
    let sealed = STANDARD
        .decode(&wanted.ciphertext_blob)
        .map_err(|_| refused(KmsError::InvalidCiphertext))?;
    let keys = world.sessions.keyring(&request.place);
    let (key_id, plaintext) = keys
        .decrypt(&sealed, &wanted.encryption_context)
        .map_err(refused)?;
    Ok(json!({
        "KeyId": key_id,
        "Plaintext": STANDARD.encode(plaintext),
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    })
    .to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    key_id: String,
}

fn describe(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let Describe { key_id } = request.input.parse()?;
    let keys = world.sessions.keyring(&request.place);
    let (arn, enabled) = keys
        .arn(&key_id)
        .zip(keys.is_enabled(&key_id))
        .ok_or_else(|| refused(KmsError::NotFound(key_id)))?;
    let state = if enabled { "Enabled" } else { "Disabled" };
    Ok(
        json!({ "KeyMetadata": { "KeyId": arn.rsplit('/').next(), "Arn": arn, "KeyState": state } })
            .to_string(),
    )
}

fn refused(error: KmsError) -> ApiError {
    ApiError::new(error.code(), error.to_string())
}

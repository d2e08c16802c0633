//! The handshake, the agent's side: what is asked of the client, and what becomes of its answers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use ssmx::protocol::message::PayloadType;

use super::channel::Channel;
use super::crypto::Cipher;
use super::version::{above, compare};
use crate::gateway::{Encryption, Kind, SessionSpec};
use crate::kms::{Context, fill};

/// How long the client may take for each answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// The first agents that send a challenge with the key.
const CHALLENGES_FROM: &str = "3.3.808.0";
/// Clients up to this one do not show stderr and exit codes apart.
const OLD_CLIENT: &str = "1.2.295";
const TIMED_OUT: &str =
    "Handshake timed out. Please ensure that you have the latest version of the session manager plugin.";

/// What the client sends in a handshake.
pub(super) enum Answer {
    /// HandshakeResponse.
    Response(Value),
    /// EncChallengeResponse.
    Challenge(Value),
}

/// Shakes hands; gives the client's version.
///
/// # Errors
/// When the client does not answer in time or cannot do what is asked, with the words for the person.
pub(super) async fn shake(
    spec: &SessionSpec,
    encryption: Option<&Encryption>,
    channel: &Arc<Channel>,
    mut answers: mpsc::Receiver<Answer>,
) -> Result<String, String> {
    let began = Instant::now();
    let challenge = encryption.filter(|_| compare(&spec.agent.version, CHALLENGES_FROM).is_ge());
    let challenge = challenge.map(|_| {
        let mut random = [0; 16];
        fill(&mut random);
        STANDARD.encode(random)
    });
    let request = request(
        spec,
        encryption,
        challenge.as_deref(),
        channel.faults().unknown_actions,
    );
    channel
        .send(PayloadType::HANDSHAKE_REQUEST, request.to_string().into())
        .await;
    let response = loop {
        match timeout_at(began + PATIENCE, answers.recv()).await {
            Ok(Some(Answer::Response(response))) => break response,
            Ok(Some(Answer::Challenge(_))) => {}
            Ok(None) | Err(_) => return Err(TIMED_OUT.to_owned()),
        }
    };
    channel.note(|observed| observed.handshake_response = Some(response.clone()));
    let client_version = response["ClientVersion"].as_str().unwrap_or_default().to_owned();
    let actions = response["ProcessedClientActions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for action in &actions {
        if action["ActionStatus"].as_u64() != Some(1) {
            return Err(format!(
                "Failed to process action {}: {}",
                action["ActionType"].as_str().unwrap_or_default(),
                action["Error"].as_str().unwrap_or_default()
            ));
        }
    }
    let of_type = |name: &str| actions.iter().find(|action| action["ActionType"] == name);
    if of_type("SessionType").is_none() {
        return Err("Failed to process action SessionType: no answer".to_owned());
    }
    let mut message = String::new();
    if let Some(encryption) = encryption {
        let result = of_type("KMSEncryption").ok_or("Failed to process action KMSEncryption: no answer")?;
        let data_key = data_key(spec, encryption, challenge.as_deref(), &result["ActionResult"])?;
        let mut cipher = Cipher::new(&data_key);
        verify(channel, &mut cipher, &mut answers).await?;
        channel.encrypt(cipher);
        message.push_str("This session is encrypted using AWS KMS.");
    }
    let apart = matches!(
        spec.kind,
        Kind::NonInteractiveCommands {
            separate_output: true,
            ..
        }
    );
    if apart && !above(&client_version, OLD_CLIENT) {
        message.push_str("Please update session manager plugin version (minimum required version 1.2.312.0) for fully support of separate StdOut/StdErr output.");
    }
    let complete = json!({
        "HandshakeTimeToComplete": u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX),
        "CustomerMessage": message,
    });
    channel
        .send(PayloadType::HANDSHAKE_COMPLETE, complete.to_string().into())
        .await;
    Ok(client_version)
}

fn request(
    spec: &SessionSpec,
    encryption: Option<&Encryption>,
    challenge: Option<&str>,
    unknown: bool,
) -> Value {
    let properties = match &spec.kind {
        Kind::Port(properties) => json!(properties),
        _ => Value::Null,
    };
    let mut actions = vec![json!({
        "ActionType": "SessionType",
        "ActionParameters": { "SessionType": spec.kind.name(), "Properties": properties },
    })];
    if let Some(encryption) = encryption {
        let mut parameters = json!({ "KMSKeyId": encryption.key_id });
        if let Some(challenge) = challenge {
            parameters["Challenge"] = challenge.into();
        }
        actions.push(json!({ "ActionType": "KMSEncryption", "ActionParameters": parameters }));
    }
    if unknown {
        actions.push(json!({ "ActionType": "Teleportation", "ActionParameters": { "Speed": "c" } }));
    }
    json!({ "AgentVersion": spec.agent.version, "RequestedClientActions": actions })
}

/// Asks KMS for the data key that the client had made, with the context that it must have been made for.
fn data_key(
    spec: &SessionSpec,
    encryption: &Encryption,
    challenge: Option<&str>,
    result: &Value,
) -> Result<[u8; 64], String> {
    let acknowledged = result["ChallengeAcknowledgement"].as_bool().unwrap_or(false);
    if encryption.require_challenge && !acknowledged {
        return Err(
            "Failed to process action KMSEncryption: the client did not acknowledge the challenge".to_owned(),
        );
    }
    let sealed = result["KMSCipherTextKey"]
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or("Failed to process action KMSEncryption: no KMSCipherTextKey")?;
    let mut context = Context::from([
        ("aws:ssm:SessionId".to_owned(), spec.id.clone()),
        ("aws:ssm:TargetId".to_owned(), spec.target.clone()),
    ]);
    if let (Some(challenge), true) = (challenge, acknowledged) {
        context.insert("aws:ssm:RandomChallenge".to_owned(), challenge.to_owned());
    }
    let (_, clear) = encryption.keys.decrypt(&sealed, &context).map_err(|error| {
        format!(
            "Fetching data key failed: Unable to retrieve data key, Error when decrypting data key {}: {error}",
            error.code()
        )
    })?;
    clear
        .try_into()
        .map_err(|_| "Fetching data key failed: the data key has not 64 bytes".to_owned())
}

/// Lets the client prove that it has the keys.
async fn verify(
    channel: &Arc<Channel>,
    cipher: &mut Cipher,
    answers: &mut mpsc::Receiver<Answer>,
) -> Result<(), String> {
    let mut secret = [0; 64];
    fill(&mut secret);
    let challenge = json!({ "Challenge": STANDARD.encode(cipher.seal(&secret)) });
    channel
        .send(PayloadType::ENC_CHALLENGE_REQUEST, challenge.to_string().into())
        .await;
    let deadline = Instant::now() + PATIENCE;
    let answer = loop {
        match timeout_at(deadline, answers.recv()).await {
            Ok(Some(Answer::Challenge(answer))) => break answer,
            Ok(Some(Answer::Response(_))) => {}
            Ok(None) | Err(_) => return Err(TIMED_OUT.to_owned()),
        }
    };
    let proof: Option<Bytes> = answer["Challenge"]
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|frame| cipher.open(&frame));
    if proof.as_deref() == Some(&secret[..]) {
        Ok(())
    } else {
        Err("Encryption challenge does not match".to_owned())
    }
}

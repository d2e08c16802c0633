//! Sessions encrypted by a KMS key. The client's half is written here, from the description.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ring::aead::{Aad, LessSafeKey, Nonce};
use serde_json::{Value, json};

use ssmx::protocol::message::PayloadType;

use super::super::{AgentFacts, Encryption, Gateway, Kind, SessionSpec};
use super::client::Client;
use super::{node, session, shell};
use crate::kms::{Context, Keyring, unbound};

const ARN: &str = "arn:aws:kms:eu-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

struct Keys {
    open: LessSafeKey,
    seal: LessSafeKey,
}

impl Keys {
    fn open(&self, frame: &[u8]) -> Vec<u8> {
        let (nonce, sealed) = frame.split_first_chunk::<12>().unwrap();
        let mut body = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.open
            .open_in_place(nonce, Aad::empty(), &mut body)
            .unwrap()
            .to_vec()
    }

    fn seal(&self, clear: &[u8]) -> Bytes {
        let nonce: [u8; 12] = uuid::Uuid::new_v4().as_bytes()[..12].try_into().unwrap();
        let mut body = clear.to_vec();
        self.seal
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body)
            .unwrap();
        [&nonce[..], &body].concat().into()
    }
}

fn encrypted(agent: AgentFacts, kind: Kind, require_challenge: bool) -> (SessionSpec, Keyring) {
    let keys = Keyring::default();
    keys.add(ARN, &["alias/sessions"]);
    let mut spec = session(agent, kind);
    spec.encryption = Some(Encryption {
        key_id: ARN.to_owned(),
        keys: keys.clone(),
        require_challenge,
    });
    (spec, keys)
}

/// Answers the request; `acknowledges` puts the challenge into the context and says so.
async fn answer(client: &mut Client, keyring: &Keyring, target: &str, acknowledges: bool) -> (Keys, Value) {
    let request = client.read_json(PayloadType::HANDSHAKE_REQUEST).await;
    let parameters = request["RequestedClientActions"][1]["ActionParameters"].clone();
    let mut context = Context::from([
        ("aws:ssm:SessionId".to_owned(), client.id.clone()),
        ("aws:ssm:TargetId".to_owned(), target.to_owned()),
    ]);
    if acknowledges {
        let challenge = parameters["Challenge"].as_str().unwrap().to_owned();
        context.insert("aws:ssm:RandomChallenge".to_owned(), challenge);
    }
    let made = keyring
        .generate_data_key(parameters["KMSKeyId"].as_str().unwrap(), 64, &context)
        .unwrap();
    let result = json!({
        "KMSCipherTextKey": STANDARD.encode(&made.ciphertext),
        "KMSCipherTextHash": null,
        "ChallengeAcknowledgement": acknowledges,
    });
    let actions = json!([
        { "ActionType": "SessionType", "ActionStatus": 1, "ActionResult": null, "Error": "" },
        { "ActionType": "KMSEncryption", "ActionStatus": 1, "ActionResult": result, "Error": "" },
    ]);
    let response = json!({ "ClientVersion": "1.2.804.0", "ProcessedClientActions": actions, "Errors": null });
    client
        .send(PayloadType::HANDSHAKE_RESPONSE, response.to_string())
        .await;
    let half = |at: usize| {
        let half: &[u8; 32] = made.plaintext[at..at + 32].try_into().unwrap();
        LessSafeKey::new(unbound(half))
    };
    let keys = Keys {
        open: half(0),
        seal: half(32),
    };
    (keys, parameters)
}

async fn prove(client: &mut Client, keys: &Keys) {
    let request = client.read_json(PayloadType::ENC_CHALLENGE_REQUEST).await;
    let secret = keys.open(&STANDARD.decode(request["Challenge"].as_str().unwrap()).unwrap());
    assert_eq!(secret.len(), 64);
    let response = json!({ "Challenge": STANDARD.encode(keys.seal(&secret)) });
    client
        .send(PayloadType::ENC_CHALLENGE_RESPONSE, response.to_string())
        .await;
}

#[tokio::test]
async fn an_encrypted_shell_speaks_and_listens_in_cipher() {
    for acknowledges in [true, false] {
        let (_home, agent) = node();
        let (spec, keyring) = encrypted(agent, shell(), false);
        let gateway = Gateway::new();
        let mut client = Client::start(&gateway, spec).await;
        let (keys, _) = answer(&mut client, &keyring, "i-0123456789abcdef0", acknowledges).await;
        prove(&mut client, &keys).await;
        let complete = client.read_json(PayloadType::HANDSHAKE_COMPLETE).await;
        assert_eq!(
            complete["CustomerMessage"],
            "This session is encrypted using AWS KMS."
        );
        client.send(PayloadType::SIZE, r#"{"cols":99,"rows":33}"#).await;
        let keystrokes = keys.seal(b"stty size; exit\r");
        client.send(PayloadType::OUTPUT, keystrokes).await;
        let mut said = String::new();
        while let Some(message) = client.read().await {
            assert_eq!(message.payload_type, PayloadType::OUTPUT);
            said.push_str(&String::from_utf8(keys.open(&message.payload)).unwrap());
        }
        assert!(said.contains("33 99\r\n"), "{said}");
    }
}

#[tokio::test]
async fn exit_codes_and_stderr_are_in_cipher_too() {
    let kind = Kind::NonInteractiveCommands {
        command: "echo oops >&2; exit 3".to_owned(),
        separate_output: true,
        stdout_prefix: String::new(),
        stderr_prefix: String::new(),
    };
    let (_home, agent) = node();
    let (spec, keyring) = encrypted(agent, kind, true);
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, spec).await;
    let (keys, _) = answer(&mut client, &keyring, "i-0123456789abcdef0", true).await;
    prove(&mut client, &keys).await;
    client.read_json(PayloadType::HANDSHAKE_COMPLETE).await;
    let mut said = Vec::new();
    while let Some(message) = client.read().await {
        said.push((message.payload_type, keys.open(&message.payload)));
    }
    let wanted = [
        (PayloadType::STDERR, b"oops\n".to_vec()),
        (PayloadType::EXIT_CODE, b"EXIT_CODE: 3".to_vec()),
    ];
    assert_eq!(said, wanted);
}

#[tokio::test]
async fn a_key_for_another_target_or_a_missing_acknowledgement_is_refused() {
    for (target, require, words) in [
        ("i-0ther", false, "Fetching data key failed"),
        ("i-0123456789abcdef0", true, "did not acknowledge"),
    ] {
        let (_home, agent) = node();
        let (spec, keyring) = encrypted(agent, shell(), require);
        let gateway = Gateway::new();
        let mut client = Client::start(&gateway, spec).await;
        answer(&mut client, &keyring, target, false).await;
        client.rest().await;
        let closed = client.closed.unwrap();
        assert!(closed.contains(words), "{closed}");
    }
}

#[tokio::test]
async fn a_client_without_the_keys_is_found_out() {
    let (_home, agent) = node();
    let (spec, keyring) = encrypted(agent, shell(), false);
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, spec).await;
    answer(&mut client, &keyring, "i-0123456789abcdef0", true).await;
    client.read_json(PayloadType::ENC_CHALLENGE_REQUEST).await;
    let made_up = json!({ "Challenge": STANDARD.encode([7; 92]) });
    client
        .send(PayloadType::ENC_CHALLENGE_RESPONSE, made_up.to_string())
        .await;
    client.rest().await;
    assert_eq!(
        client.closed.as_deref(),
        Some("Encryption challenge does not match")
    );
}

#[tokio::test]
async fn old_agents_send_no_challenge() {
    let (_home, mut agent) = node();
    agent.version = "3.3.700.0".to_owned();
    let (spec, keyring) = encrypted(agent, shell(), false);
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, spec).await;
    let (_, parameters) = answer(&mut client, &keyring, "i-0123456789abcdef0", false).await;
    assert_eq!(parameters, json!({ "KMSKeyId": ARN }));
}

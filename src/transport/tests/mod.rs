//! Whole sessions in a real pty: this test binary again as the child, which runs one ignored test, against an
//! AWS and an agent of a few lines on loopback.

mod far;
mod near;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::protocol::crypto::agents_end;
use crate::protocol::message::{MessageType, PayloadType};
use crate::secret::Secret;
use far::{Api, Story};

#[tokio::test]
async fn a_shell_from_the_size_to_the_last_byte() {
    let mut story = Story::start("child_auto", Api::default()).await;
    let mut agent = story.agent().await;
    agent.say("$ ").await;
    let (payload_type, size) = agent.hear().await.unwrap();
    assert_eq!(payload_type, PayloadType::SIZE);
    assert_eq!(&size[..], br#"{"cols":133,"rows":41}"#);
    story.hear("Entering(Raw)").await;
    story.hear("$ ").await;
    assert!(story.is_raw());
    story.type_keys(b"sleep 9\r\x03\x1a\x1c").await;
    agent.hear_typed(b"sleep 9\r\x03\x1a\x1c").await;
    story.pty.resize(pty_process::Size::new(10, 20)).unwrap();
    loop {
        let (payload_type, size) = agent.hear().await.unwrap();
        if payload_type == PayloadType::SIZE && &size[..] == br#"{"cols":20,"rows":10}"# {
            break;
        }
    }
    let numbers: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
    let numbers = numbers.join(",");
    for piece in numbers.as_bytes().chunks(1024) {
        agent.say(Bytes::copy_from_slice(piece)).await;
    }
    agent.say("\u{1}the last byte").await;
    agent.close("bye").await;
    let seen = story.hear("\u{1}the last byte").await;
    assert!(seen.ends_with(&numbers), "{} bytes", seen.len());
    story.hear("<Left>").await;
    story.hear(r#"end: Remote("bye")"#).await;
    assert!(story.is_as_before());
    assert!(story.wait().await.success());
    assert!(story.terminated().is_empty());
}

#[tokio::test]
async fn the_escape_ends_what_is_stuck() {
    let mut story = Story::start("child_auto", Api::default()).await;
    let _agent = story.agent().await;
    story.hear("Entering").await;
    // The agent never answers.
    story.type_keys(b"hello\r~.").await;
    story.hear("end: Escape").await;
    assert!(story.is_as_before());
    assert_eq!(story.terminated(), ["me-1"]);
}

#[tokio::test]
async fn signals_end_the_session_and_put_the_terminal_back() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut story = Story::start("child_auto", Api::default()).await;
        let mut agent = story.agent().await;
        agent.say("$ ").await;
        story.hear("$ ").await;
        assert!(story.is_raw());
        story.kill(signal);
        story.hear(&format!("end: Signal({})", signal.as_raw())).await;
        assert!(story.is_as_before());
        assert_eq!(story.terminated(), ["me-1"]);
    }
}

#[tokio::test]
async fn a_bug_of_ours_leaves_neither_a_raw_terminal_nor_a_session() {
    let mut story = Story::start("child_auto", Api::default()).await;
    let mut agent = story.agent().await;
    agent.say("$ ").await;
    story.hear("$ ").await;
    story.type_keys(b"~?").await;
    story.hear("a bug on purpose\r\n").await;
    story.call("TerminateSession").await;
    assert!(story.is_as_before());
    assert!(!story.wait().await.success());
}

#[tokio::test]
async fn input_waits_for_the_gate() {
    let api = Api {
        held: "GetConnectionStatus",
        status: "connected",
        ..Api::default()
    };
    let mut story = Story::start("child_gated", api).await;
    let mut agent = story.agent().await;
    agent.say("$ ").await;
    story.hear("$ ").await;
    story.type_keys(b"early").await;
    // What comes after the keys shows that they are held: a size overtakes them.
    story.pty.resize(pty_process::Size::new(10, 20)).unwrap();
    loop {
        let (payload_type, payload) = agent.hear().await.unwrap();
        assert_eq!(payload_type, PayloadType::SIZE);
        if &payload[..] == br#"{"cols":20,"rows":10}"# {
            break;
        }
    }
    story.api.release.notify_one();
    agent.hear_typed(b"early").await;
    story.type_keys(b"late").await;
    agent.hear_typed(b"late").await;
    agent.close("").await;
    story.hear("end: Remote").await;
}

#[tokio::test]
async fn a_gate_that_refuses_ends_the_session_before_a_byte_was_sent() {
    let api = Api {
        held: "GetConnectionStatus",
        status: "notconnected",
        ..Api::default()
    };
    let mut story = Story::start("child_gated", api).await;
    let mut agent = story.agent().await;
    agent.say("$ ").await;
    story.hear("$ ").await;
    story.type_keys(b"rm -rf /\r").await;
    story.api.release.notify_one();
    assert!(agent.hear_rest().await.is_empty());
    story.hear(r#"end: GateRefused("it is another one now")"#).await;
    assert!(story.is_as_before());
    assert_eq!(story.terminated(), ["me-1"]);
}

#[tokio::test]
async fn a_session_whose_start_was_interrupted_is_ended() {
    let api = Api {
        held: "StartSession",
        ..Api::default()
    };
    let mut story = Story::start("child_auto", api).await;
    story.call("StartSession").await;
    story.kill(Signal::TERM);
    story.hear("<Interrupted>").await;
    story.api.release.notify_one();
    story.hear("<<Err(Interrupted(15))>>").await;
    assert_eq!(story.terminated(), ["me-1"]);
}

#[tokio::test]
async fn no_token_goes_to_a_stranger() {
    let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gateway.local_addr().unwrap().port();
    let api = Api {
        stream_url: Some(format!("ws://user@127.0.0.1:{port}/v1/data-channel/me-1")),
        ..Api::default()
    };
    let mut story = Story::start("child_auto", api).await;
    story.hear("<<Err(StreamUrl(").await;
    assert_eq!(story.terminated(), ["me-1"]);
    assert!(timeout(Duration::ZERO, gateway.accept()).await.is_err());
}

#[tokio::test]
async fn piped_input_ends_with_ctrl_d_and_the_output_is_not_cut() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut story = Story::start_with("child_auto", Api::default(), Some(reader.into()), "exit 0").await;
    std::io::Write::write_all(&mut writer, b"~.\nls\n").unwrap();
    drop(writer);
    let mut agent = story.agent().await;
    story.hear("Entering(AsItIs)").await;
    agent.say("$ ").await;
    agent.hear_typed(b"~.\nls\n\x04").await;
    agent.say("a file").await;
    agent.close("").await;
    story.hear("a file").await;
    story.hear("end: Remote").await;
}

#[tokio::test]
async fn what_is_not_understood_goes_to_the_plugin() {
    let plugin = "stty -echo cbreak; echo plugin has $AWS_SSM_START_SESSION_RESPONSE";
    let mut story = Story::start_with("child_auto", Api::default(), None, plugin).await;
    let mut agent = story.agent().await;
    agent.speak_gibberish().await;
    let before = story.hear("FellBack").await;
    assert!(before.contains("<Left>"), "{before}");
    assert_eq!(story.terminated(), ["me-1"]);
    story.hear(r#"plugin has {"SessionId":"me-2""#).await;
    story.hear("end: Remote").await;
    assert!(story.is_as_before());
    // AWS does not list the second one any more, so there is nothing to end.
    assert_eq!(story.terminated(), ["me-1"]);
}

#[tokio::test]
async fn the_gate_holds_for_the_second_session_too() {
    let api = Api {
        held: "GetConnectionStatus",
        status: "notconnected",
        ..Api::default()
    };
    let mut story = Story::start_with("child_gated", api, None, "echo plugin was here").await;
    let mut agent = story.agent().await;
    agent.speak_gibberish().await;
    story.hear("FellBack").await;
    story.api.release.notify_one();
    let before = story.hear("end: GateRefused").await;
    assert!(!before.contains("plugin was here"), "{before}");
    assert_eq!(story.terminated(), ["me-1", "me-2"]);
}

#[tokio::test]
async fn without_auto_or_after_a_byte_there_is_no_falling_back() {
    let mut story = Story::start("child_natively", Api::default()).await;
    let mut agent = story.agent().await;
    agent.speak_gibberish().await;
    story.hear("<<Err(Channel(NotUnderstood(").await;
    assert_eq!(story.terminated(), ["me-1"]);

    let mut story = Story::start("child_auto", Api::default()).await;
    let mut agent = story.agent().await;
    agent.say("$ ").await;
    agent.speak_gibberish().await;
    agent.say("still here").await;
    story.hear("still here").await;
    agent.close("").await;
    let before = story.hear("end: Remote").await;
    assert!(!before.contains("FellBack"), "{before}");
}

#[tokio::test]
async fn a_cut_is_told_and_survived() {
    let mut story = Story::start("child_auto", Api::default()).await;
    let mut agent = story.agent().await;
    agent.say("$ ").await;
    story.hear("$ ").await;
    drop(agent);
    story.hear("<Reconnecting(").await;
    let mut agent = story.agent().await;
    story.hear("<Back(").await;
    agent.said = 1;
    agent.say("still here").await;
    story.hear("still here").await;
    agent.close("").await;
    story.hear("end: Remote").await;
}

#[tokio::test]
async fn a_resumed_session_does_not_lead_to_a_stranger_either() {
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = stranger.local_addr().unwrap().port();
    let api = Api {
        resumed_url: Some(format!("ws://me@127.0.0.1:{port}/v1/data-channel/me-1")),
        ..Api::default()
    };
    let mut story = Story::start("child_auto", api).await;
    let mut agent = story.agent().await;
    agent.say("$ ").await;
    story.hear("$ ").await;
    drop(agent);
    story.hear("<<Err(Channel(Gateway(").await;
    assert_eq!(story.terminated(), ["me-1"]);
    assert!(timeout(Duration::ZERO, stranger.accept()).await.is_err());
}

fn encryption_request() -> String {
    json!({ "AgentVersion": "3.3.1142.0", "RequestedClientActions": [
        { "ActionType": "SessionType", "ActionParameters": { "SessionType": "Standard_Stream" } },
        { "ActionType": "KMSEncryption", "ActionParameters": { "KMSKeyId": "alias/k", "Challenge": "AAEC" } },
    ]})
    .to_string()
}

#[tokio::test]
async fn without_a_data_key_the_session_ends_and_does_not_go_to_the_plugin() {
    let mut story = Story::start("child_auto", Api::default()).await;
    let mut agent = story.agent().await;
    agent
        .send(
            MessageType::OutputStreamData,
            PayloadType::HANDSHAKE_REQUEST,
            encryption_request(),
        )
        .await;
    story
        .hear("<<Err(Refused(Encryption(\"kms:GenerateDataKey: the answer has no usable data key\")))>>")
        .await;
    assert_eq!(story.terminated(), ["me-1"]);
}

#[tokio::test]
async fn an_encrypted_session_is_encrypted_both_ways() {
    let key: Vec<u8> = (0..64).collect();
    let api = Api {
        data_key: Some(key.clone()),
        ..Api::default()
    };
    let mut story = Story::start("child_auto", api).await;
    let mut agent = story.agent().await;
    let ciphers = agents_end(&Secret::new(key));
    let data = MessageType::OutputStreamData;
    let request = encryption_request();
    agent
        .send(data.clone(), PayloadType::HANDSHAKE_REQUEST, request)
        .await;
    let asked = story.call("GenerateDataKey").await;
    assert_eq!(
        asked,
        json!({ "KeyId": "alias/k", "NumberOfBytes": 64, "EncryptionContext": {
            "aws:ssm:SessionId": "me-1", "aws:ssm:TargetId": "i-0123456789abcdef0", "aws:ssm:RandomChallenge": "AAEC",
        }})
    );
    let response = agent.hear_of(PayloadType::HANDSHAKE_RESPONSE).await;
    let response: serde_json::Value = serde_json::from_slice(&response).unwrap();
    let result = &response["ProcessedClientActions"][1]["ActionResult"];
    assert_eq!(result["KMSCipherTextKey"], "Zm9yIHRoZSBhZ2VudA==");
    assert_eq!(result["ChallengeAcknowledgement"], true);

    let challenge = STANDARD.encode(ciphers.seal([1; 12], &[9; 64]));
    let challenge = json!({ "Challenge": challenge }).to_string();
    agent
        .send(data.clone(), PayloadType::ENC_CHALLENGE_REQUEST, challenge)
        .await;
    let answer = agent.hear_of(PayloadType::ENC_CHALLENGE_RESPONSE).await;
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let frame = STANDARD.decode(answer["Challenge"].as_str().unwrap()).unwrap();
    assert_eq!(ciphers.open(&frame).unwrap(), &[9; 64][..]);

    let words =
        json!({ "HandshakeTimeToComplete": 1, "CustomerMessage": "This session is encrypted" }).to_string();
    agent
        .send(data.clone(), PayloadType::HANDSHAKE_COMPLETE, words)
        .await;
    story.hear("This session is encrypted").await;
    agent.say(ciphers.seal([2; 12], b"$ ")).await;
    story.hear("$ ").await;
    story.type_keys(b"ls\r").await;
    let typed = agent.hear_of(PayloadType::OUTPUT).await;
    assert_eq!(ciphers.open(&typed).unwrap(), &b"ls\r"[..]);

    let mut damaged = ciphers.seal([3; 12], b"README").to_vec();
    damaged[20] ^= 1;
    agent.say(damaged).await;
    story.hear("<<Err(Channel(Undecipherable(Tag)))>>").await;
    assert!(story.is_as_before());
    assert_eq!(story.terminated(), ["me-1"]);
}

#[tokio::test]
async fn a_plugin_that_leaves_an_open_session_has_failed() {
    let api = Api {
        status: "connected",
        immortal: true,
        ..Api::default()
    };
    let mut story = Story::start_with(
        "child_by_plugin",
        api,
        None,
        "echo Cannot perform start session: EOF",
    )
    .await;
    story.hear("Cannot perform start session").await;
    story.hear("<<Err(Plugin(Left))>>").await;
    assert_eq!(story.terminated(), ["me-1"]);
}

#[tokio::test]
async fn the_plugin_does_not_start_where_the_gate_refuses() {
    let api = Api {
        status: "notconnected",
        ..Api::default()
    };
    let mut story = Story::start_with("child_by_plugin", api, None, "echo plugin was here").await;
    let before = story.hear("end: GateRefused").await;
    assert!(!before.contains("plugin was here"), "{before}");
    assert_eq!(story.terminated(), ["me-1"]);
}

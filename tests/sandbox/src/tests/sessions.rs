//! Sessions by the API, and the upgrade's signature.

use http::Request;
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::demo;
use crate::gateway::Status;
use crate::scenario::State;
use crate::{Sandbox, Scenario};

const WEB: &str = "i-0a1b2c3d4e5f60001";

async fn start(client: &Client) -> Value {
    let answer = client
        .ssm("StartSession", json!({ "Target": WEB, "Reason": "a look" }))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn listed(client: &Client, state: &str, filters: Value) -> Vec<Value> {
    let answer = client
        .ssm("DescribeSessions", json!({ "State": state, "Filters": filters }))
        .await;
    answer.json()["Sessions"]
        .as_array()
        .unwrap_or_else(|| panic!("{}", answer.body))
        .clone()
}

async fn upgrade(client: &Client, url: &str, signed_for: Option<&str>) -> Answer {
    let path = url.split_once("://").unwrap().1.split_once('/').unwrap().1;
    let mut request = Request::get(format!("/{path}"))
        .header("host", &client.address)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Vec::new())
        .unwrap();
    if let Some(service) = signed_for {
        client.sign(service, &mut request);
    }
    client.send(request).await
}

#[tokio::test]
async fn a_session_is_started_listed_and_ended() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    let first = start(&alice).await;
    let id = first["SessionId"].as_str().unwrap();
    assert!(id.starts_with("alice-"));
    let url = first["StreamUrl"].as_str().unwrap();
    let base = format!(
        "ws://{}/v1/data-channel/{id}?role=publish_subscribe",
        alice.address
    );
    assert!(url.starts_with(&base), "{url}");
    let second = start(&alice).await;

    let owner = json!([{ "key": "Owner", "value": "arn:aws:iam::111122223333:user/alice" }]);
    let active = listed(&alice, "Active", owner).await;
    assert_eq!(active.len(), 2);
    assert_eq!(
        active[0]["SessionId"], second["SessionId"],
        "the newest comes first"
    );
    assert_eq!(active[1]["Reason"], "a look");
    assert_eq!(active[1]["DocumentName"], "SSM-SessionManagerRunShell");
    let nobody = json!([{ "key": "Owner", "value": "arn:aws:iam::111122223333:user/bob" }]);
    assert!(listed(&alice, "Active", nobody).await.is_empty());

    assert_eq!(
        alice
            .ssm("TerminateSession", json!({ "SessionId": id }))
            .await
            .status,
        200
    );
    let history = listed(&alice, "History", json!([])).await;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0]["Status"], "Terminated");
    assert!(history[0]["EndDate"].is_number());
    assert!(sandbox.gateway().status(id).unwrap().status.is_over());

    let resumed = alice
        .ssm("ResumeSession", json!({ "SessionId": "alice-unknown" }))
        .await;
    assert_eq!(resumed.code(), "DoesNotExistException");
    let resumed = alice
        .ssm("ResumeSession", json!({ "SessionId": second["SessionId"] }))
        .await
        .json();
    assert_ne!(resumed["TokenValue"], second["TokenValue"]);
    assert_ne!(resumed["StreamUrl"], second["StreamUrl"], "another cell");
}

#[tokio::test]
async fn sessions_are_paged() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    for _ in 0..5 {
        start(&alice).await;
    }
    let page = async |token: Value| {
        let mut ask = json!({ "State": "Active", "MaxResults": 2 });
        if token.is_string() {
            ask["NextToken"] = token;
        }
        alice.ssm("DescribeSessions", ask).await
    };
    let mut token = Value::Null;
    let mut ids = Vec::new();
    loop {
        let answer = page(token).await.json();
        ids.extend(
            answer["Sessions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["SessionId"].to_string()),
        );
        token = answer["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(ids.len(), 5);
    assert_eq!(page(json!("x")).await.code(), "InvalidNextToken");
}

#[tokio::test]
async fn what_cannot_be_started_is_told_apart() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    let code = async |parameters: Value| alice.ssm("StartSession", parameters).await.code();
    for target in [
        "i-0a1b2c3d4e5f60006",
        "i-0a1b2c3d4e5f60007",
        "i-0a1b2c3d4e5f60008",
        "i-0a1b2c3d4e5f6ffff",
    ] {
        assert_eq!(
            code(json!({ "Target": target })).await,
            "TargetNotConnected",
            "{target}"
        );
    }
    assert_eq!(code(json!({ "Target": "" })).await, "ValidationException");
    assert_eq!(code(json!({ "Reason": "x" })).await, "ValidationException");
    assert_eq!(
        code(json!({ "Target": WEB, "Reason": "x".repeat(257) })).await,
        "ValidationException"
    );
    assert_eq!(
        code(json!({ "Target": WEB, "DocumentName": "Nope" })).await,
        "InvalidDocument"
    );
    let port = json!({ "Target": WEB, "DocumentName": "AWS-StartPortForwardingSession", "Parameters": { "portNumber": ["0"] } });
    assert_eq!(code(port).await, "InvalidParameters");
    let dev = Client {
        key: "ASIASANDBOXDEV000001",
        secret: "sandbox/dev/alice/not-a-real-secret",
        token: Some("sandbox-session-token-of-the-dev-account"),
        ..alice.clone()
    };
    let other = dev.ssm("StartSession", json!({ "Target": WEB })).await;
    assert_eq!(other.code(), "TargetNotConnected", "another account's node");
    sandbox.world().set_state(WEB, State::Stopping);
    assert_eq!(code(json!({ "Target": WEB })).await, "TargetNotConnected");
    assert!(sandbox.sessions().is_empty());
}

#[tokio::test]
async fn the_upgrade_must_be_signed_by_the_session_s_account() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    let session = start(&alice).await;
    let url = session["StreamUrl"].as_str().unwrap();
    assert_eq!(upgrade(&alice, url, None).await.status, 403);
    assert_eq!(upgrade(&alice, url, Some("ssm")).await.status, 403);
    let dev = Client {
        key: "ASIASANDBOXDEV000001",
        secret: "sandbox/dev/alice/not-a-real-secret",
        token: Some("sandbox-session-token-of-the-dev-account"),
        ..alice.clone()
    };
    assert_eq!(upgrade(&dev, url, Some("ssmmessages")).await.status, 403);
    let elsewhere = Client {
        region: "eu-west-1",
        ..alice.clone()
    };
    assert_eq!(upgrade(&elsewhere, url, Some("ssmmessages")).await.status, 403);
    let accepted = upgrade(&alice, url, Some("ssmmessages")).await;
    assert_eq!(accepted.status, 101);
    assert!(
        accepted.head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "{}",
        accepted.head
    );
    let upgrades = sandbox.calls_of("ssmmessages:OpenDataChannel");
    let statuses: Vec<_> = upgrades.iter().filter_map(|call| call.status).collect();
    assert_eq!(statuses, [403, 403, 403, 403, 101]);
    sandbox.world().allow_unsigned_upgrades(true);
    assert_eq!(upgrade(&alice, url, None).await.status, 101);
}

#[tokio::test]
async fn preferences_shape_the_session_and_its_document() {
    let mut scenario = Scenario::demo();
    let text = "account = \"111122223333\"\nmax_session_duration = 30\nkms_key_id = \"alias/sessions\"\nidle_session_timeout = 5";
    scenario.preferences.push(toml::from_str(text).unwrap());
    let key = "account = \"111122223333\"\nid = \"1234abcd-12ab-34cd-56ef-1234567890ab\"\naliases = [\"alias/sessions\"]";
    scenario.kms_keys.push(toml::from_str(key).unwrap());
    let sandbox = Sandbox::start(scenario).await.unwrap();
    let alice = Client::alice(&sandbox);
    let document = alice
        .ssm("GetDocument", json!({ "Name": "SSM-SessionManagerRunShell" }))
        .await
        .json();
    let content: Value = serde_json::from_str(document["Content"].as_str().unwrap()).unwrap();
    assert_eq!(content["inputs"]["kmsKeyId"], "alias/sessions");
    let session = start(&alice).await;
    let id = session["SessionId"].as_str().unwrap();
    let rows = listed(&alice, "Active", json!([])).await;
    assert_eq!(rows[0]["MaxSessionDuration"], "30");
    assert_eq!(sandbox.gateway().status(id).unwrap().status, Status::Connecting);

    let context = json!({ "aws:ssm:SessionId": id, "aws:ssm:TargetId": WEB });
    let ask = json!({ "KeyId": "alias/sessions", "NumberOfBytes": 64, "EncryptionContext": context });
    let made = alice
        .json("kms", "TrentService.GenerateDataKey", ask)
        .await
        .json();
    let ask = json!({ "CiphertextBlob": made["CiphertextBlob"], "EncryptionContext": context });
    let opened = alice.json("kms", "TrentService.Decrypt", ask).await.json();
    assert_eq!(opened["Plaintext"], made["Plaintext"]);
    let ask = json!({ "CiphertextBlob": made["CiphertextBlob"], "EncryptionContext": {} });
    let refused = alice.json("kms", "TrentService.Decrypt", ask).await;
    assert_eq!(refused.code(), "InvalidCiphertextException");
}

#[tokio::test]
async fn a_command_runs_in_a_container() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    let ecs = async |operation: &str, ask: Value| {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        alice.json("ecs", &target, ask).await
    };
    let task = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
    let ask = json!({ "cluster": "shop", "tasks": [task] });
    let described = ecs("DescribeTasks", ask).await.json();
    let runtime = described["tasks"][0]["containers"][0]["runtimeId"]
        .as_str()
        .unwrap()
        .to_owned();
    let ask =
        json!({ "cluster": "shop", "task": task, "container": "app", "command": "sh", "interactive": true });
    let session = ecs("ExecuteCommand", ask).await.json()["session"].clone();
    let id = session["sessionId"].as_str().unwrap();
    assert!(id.starts_with("ecs-execute-command-"), "{id}");
    assert_eq!(sandbox.sessions()[0].target, format!("ecs:shop_{task}_{runtime}"));
    let url = session["streamUrl"].as_str().unwrap();
    assert_eq!(upgrade(&alice, url, Some("ssmmessages")).await.status, 101);
    let ask = json!({ "cluster": "shop", "task": task, "command": "sh", "interactive": true });
    assert_eq!(
        ecs("ExecuteCommand", ask).await.code(),
        "InvalidParameterException",
        "which container?"
    );
    let ask = json!({ "cluster": "other", "tasks": [] });
    assert_eq!(ecs("DescribeTasks", ask).await.code(), "ClusterNotFoundException");
}

//! Commands without a pty.

use ssmx::protocol::message::{Message, PayloadType};

use super::super::{Gateway, Kind};
use super::client::Client;
use super::{node, session};

fn command(line: &str, separate_output: bool) -> Kind {
    Kind::NonInteractiveCommands {
        command: line.to_owned(),
        separate_output,
        stdout_prefix: String::new(),
        stderr_prefix: String::new(),
    }
}

async fn started(kind: Kind) -> (Gateway, tempfile::TempDir, Client) {
    let (home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, kind)).await;
    let request = client.shake().await;
    let action = &request["RequestedClientActions"][0];
    assert_eq!(
        action["ActionParameters"]["SessionType"], "NonInteractiveCommands",
        "{request}"
    );
    (gateway, home, client)
}

fn of_type(messages: &[Message], payload_type: PayloadType) -> String {
    let of_type = messages
        .iter()
        .filter(|message| message.payload_type == payload_type);
    of_type
        .map(|message| String::from_utf8_lossy(&message.payload).into_owned())
        .collect()
}

#[tokio::test]
async fn merged_output_comes_after_the_end_and_without_a_code() {
    let line = "echo out; echo err >&2; read x || echo no input; echo \"$HOME\" | wc -l; exit 3";
    let (_gateway, _home, mut client) = started(command(line, false)).await;
    let said = client.rest().await;
    assert_eq!(String::from_utf8_lossy(&said), "out\nerr\nno input\n1\n");
    assert_eq!(of_type(&client.heard, PayloadType::EXIT_CODE), "");
    assert_eq!(client.closed.as_deref(), Some(""));
}

#[tokio::test]
async fn separate_output_comes_apart_with_its_code() {
    let (_gateway, _home, mut client) = started(command("echo out; echo err >&2; exit 3", true)).await;
    client.rest().await;
    assert_eq!(of_type(&client.heard, PayloadType::OUTPUT), "out\n");
    assert_eq!(of_type(&client.heard, PayloadType::STDERR), "err\n");
    assert_eq!(of_type(&client.heard, PayloadType::EXIT_CODE), "EXIT_CODE: 3");
}

#[tokio::test]
async fn a_megabyte_of_separate_output_is_whole() {
    let line = "seq 1 150000; seq 1 1000 >&2";
    let (_gateway, _home, mut client) = started(command(line, true)).await;
    client.rest().await;
    let wanted: String = (1..=150_000).map(|n| format!("{n}\n")).collect();
    assert!(of_type(&client.heard, PayloadType::OUTPUT) == wanted);
    let wanted: String = (1..=1000).map(|n| format!("{n}\n")).collect();
    assert!(of_type(&client.heard, PayloadType::STDERR) == wanted);
    assert_eq!(of_type(&client.heard, PayloadType::EXIT_CODE), "EXIT_CODE: 0");
}

#[tokio::test]
async fn control_c_interrupts_and_other_keys_do_nothing() {
    let (_gateway, _home, mut client) = started(command("echo on; exec sleep 1000", true)).await;
    client.hear("on\n").await;
    client.type_keys("q\r").await;
    client.type_keys("\x03").await;
    client.rest().await;
    assert_eq!(of_type(&client.heard, PayloadType::EXIT_CODE), "EXIT_CODE: 130");
}

#[tokio::test]
async fn lines_bear_the_document_s_prefixes() {
    let kind = Kind::NonInteractiveCommands {
        command: "printf 'a\\nb\\n'; echo c >&2".to_owned(),
        separate_output: true,
        stdout_prefix: "OUT:".to_owned(),
        stderr_prefix: "ERR:".to_owned(),
    };
    let (_gateway, _home, mut client) = started(kind).await;
    client.rest().await;
    assert_eq!(of_type(&client.heard, PayloadType::OUTPUT), "OUT:a\nOUT:b\n");
    assert_eq!(of_type(&client.heard, PayloadType::STDERR), "ERR:c\n");
}

#[tokio::test]
async fn old_clients_are_told_to_update() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, command("true", true))).await;
    client.shake_as("1.2.295.0").await;
    client.rest().await;
    // 1.2.295.0 is longer than 1.2.295, and so above it to the agent.
    assert!(!of_type(&client.heard, PayloadType::HANDSHAKE_COMPLETE).contains("update"));
    let mut client = Client::start(&gateway, session(node().1, command("true", true))).await;
    client.shake_as("1.2.279.0").await;
    client.rest().await;
    assert!(of_type(&client.heard, PayloadType::HANDSHAKE_COMPLETE).contains("Please update"));
}

//! The agent's rules of order, acknowledgement and repetition.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use ssmx::protocol::message::{MessageType, PayloadType};

use super::super::{Gateway, Handshake, Kind, Pacing};
use super::client::{Client, blank};
use super::{node, session, shell};

fn input(sequence: i64, payload: &str) -> ssmx::protocol::message::Message {
    ssmx::protocol::message::Message {
        sequence,
        payload_type: PayloadType::OUTPUT,
        payload: payload.to_owned().into(),
        ..blank()
    }
}

#[tokio::test]
async fn before_the_handshake_is_over_data_is_acknowledged_and_thrown_away() {
    let (_home, mut agent) = node();
    agent.handshake = Handshake::Always;
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, shell())).await;
    client.read_json(PayloadType::HANDSHAKE_REQUEST).await;
    client.type_keys("echo ear''ly\r").await;
    while gateway.observed(&client.id).unwrap().input_messages == 0 {
        sleep(Duration::from_millis(2)).await;
    }
    let action = r#"{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}"#;
    let response =
        format!(r#"{{"ClientVersion":"1.2.804.0","ProcessedClientActions":[{action}],"Errors":null}}"#);
    client.send(PayloadType::HANDSHAKE_RESPONSE, response).await;
    client.read_json(PayloadType::HANDSHAKE_COMPLETE).await;
    client.type_keys("echo la''te; exit\r").await;
    let said = String::from_utf8(client.rest().await).unwrap();
    assert!(said.contains("late") && !said.contains("early"), "{said}");
}

#[tokio::test]
async fn a_refused_action_cancels_the_session() {
    let (_home, mut agent) = node();
    agent.handshake = Handshake::Always;
    let gateway = Gateway::new();
    let mut spec = session(agent, shell());
    spec.faults.unknown_actions = true;
    let mut client = Client::start(&gateway, spec).await;
    let request = client.read_json(PayloadType::HANDSHAKE_REQUEST).await;
    assert_eq!(
        request["RequestedClientActions"][1]["ActionType"],
        "Teleportation"
    );
    let response = r#"{"ClientVersion":"1.2.804.0","ProcessedClientActions":[
        {"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""},
        {"ActionType":"Teleportation","ActionStatus":3,"ActionResult":null,"Error":"never heard of it"}],"Errors":null}"#;
    client.send(PayloadType::HANDSHAKE_RESPONSE, response).await;
    client.rest().await;
    assert_eq!(
        client.closed.as_deref(),
        Some("Failed to process action Teleportation: never heard of it")
    );
    let seen = gateway.observed(&client.id).unwrap().handshake_response.unwrap();
    assert_eq!(seen["ProcessedClientActions"][1]["ActionStatus"], 3);
}

#[tokio::test]
async fn input_is_put_in_order_and_repetitions_are_acknowledged_again() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let kind = Kind::InteractiveCommands {
        command: "stty -echo raw; echo ready; head -c 6".to_owned(),
    };
    let mut client = Client::start(&gateway, session(agent, kind)).await;
    client.hear("ready").await;
    for message in [
        input(1, "cd"),
        input(2, "ef"),
        input(0, "ab"),
        input(0, "ab"),
        input(1, "cd"),
    ] {
        client.put(&message).await;
    }
    let said = String::from_utf8(client.rest().await).unwrap();
    assert!(said.ends_with("abcdef"), "{said:?}");
    let observed = gateway.observed(&client.id).unwrap();
    assert_eq!((observed.input_messages, observed.input_repeated), (5, 2));
}

#[tokio::test]
async fn a_shell_that_has_not_started_takes_nothing() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut spec = session(agent, shell());
    spec.pacing = Pacing {
        pty_start: Duration::from_millis(200),
        ..Pacing::quick()
    };
    let began = Instant::now();
    let mut client = Client::start(&gateway, spec).await;
    client.hear("$ ").await;
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn only_the_front_is_sent_again_until_it_is_acknowledged() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let kind = Kind::InteractiveCommands {
        command: "for n in 1 2 3; do echo $n; sleep 0.02; done; sleep 1000".to_owned(),
    };
    let mut client = Client::start(&gateway, session(agent, kind)).await;
    let mut numbers = Vec::new();
    while numbers.len() < 6 {
        let message = client.message().await.unwrap();
        if message.message_type == MessageType::OutputStreamData {
            numbers.push(message.sequence);
        }
    }
    assert_eq!(numbers, [0, 1, 2, 0, 0, 0]);
}

#[tokio::test]
async fn counters_may_begin_far_out() {
    let far = (1_i64 << 32) + 5;
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut spec = session(agent, shell());
    spec.faults.first_sequence = far;
    let mut client = Client::start(&gateway, spec).await;
    (client.expected, client.next) = (far, far);
    client.hear("$ ").await;
    client.type_keys("exit\r").await;
    client.rest().await;
    assert_eq!(client.closed.as_deref(), Some(""));
}

#[tokio::test]
async fn a_paused_agent_keeps_its_output_for_later() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, shell())).await;
    client.hear("$ ").await;
    client.type_keys("sleep 0.3; echo la''ter\r").await;
    client.hear("\r\n").await;
    // Whatever else is under way must have been acknowledged before: an acknowledgement ends the pause.
    while timeout(Duration::from_millis(100), client.read()).await.is_ok() {}
    gateway.pause(&client.id, true);
    let waited = timeout(Duration::from_millis(600), client.message()).await;
    assert!(waited.is_err(), "{waited:?}");
    gateway.pause(&client.id, false);
    client.hear("later").await;
}

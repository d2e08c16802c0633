//! The recorded sessions of the official plugin with the real agent: read, written back, and answered.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use super::delivery::outgoing::Limits;
use super::handshake::{PortMode, SessionType};
use super::message::{Message, MessageType, PayloadType};
use super::payload::{Acknowledgement, Flag, Size};
use super::samples::Counting;
use super::session::{CLIENT_VERSION, Event, Session};

struct Recorded {
    from_agent: bool,
    ms: u64,
    bytes: Vec<u8>,
    message: Message,
}

fn recorded(jsonl: &str) -> Vec<Recorded> {
    let unhex = |hex: &str| -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    };
    let read = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let bytes = unhex(line["hex"].as_str().unwrap());
        Recorded {
            from_agent: line["from"] == "agent",
            ms: line["ms"].as_f64().unwrap() as u64,
            message: Message::decode(&bytes).unwrap(),
            bytes,
        }
    };
    jsonl.lines().map(read).collect()
}

const SHELL: &str = include_str!("../../tests/fixtures/captures/shell.jsonl");
const INTERACTIVE: &str = include_str!("../../tests/fixtures/captures/interactive.jsonl");
const NONINTERACTIVE: &str = include_str!("../../tests/fixtures/captures/noninteractive.jsonl");
const SEPARATE: &str = include_str!("../../tests/fixtures/captures/separate.jsonl");
const PORT: &str = include_str!("../../tests/fixtures/captures/port.jsonl");
const SSH: &str = include_str!("../../tests/fixtures/captures/ssh.jsonl");

#[test]
fn every_recorded_message_is_read_and_written_back_to_the_byte() {
    for jsonl in [SHELL, INTERACTIVE, NONINTERACTIVE, SEPARATE, SSH, PORT] {
        for Recorded { bytes, message, .. } in recorded(jsonl) {
            assert_eq!(message.encode(), bytes, "{message:?}");
        }
    }
}

struct Replay {
    sent: Vec<Message>,
    events: VecDeque<Event>,
}

/// Plays the agent's side of a recording against our session; the person types what the recorded one typed,
/// at the same moments. The agent's acknowledgements are made to fit our numbers.
#[expect(clippy::disallowed_methods, reason = "any instant will do as the start")]
fn replay(jsonl: &str, size: Size) -> Replay {
    let start = Instant::now();
    let mut session = Session::new(Limits::SHELL, Box::new(Counting::default()));
    session.resize(size);
    let mut replay = Replay {
        sent: Vec::new(),
        events: VecDeque::new(),
    };
    for Recorded {
        from_agent,
        ms,
        bytes,
        message,
    } in recorded(jsonl)
    {
        let now = start + Duration::from_millis(ms);
        match (from_agent, &message.message_type) {
            (true, MessageType::Acknowledge) => {}
            (true, _) => session.handle_message(now, &bytes),
            (false, MessageType::InputStreamData) if message.payload_type == PayloadType::OUTPUT => {
                session.write(message.payload.clone());
            }
            (false, MessageType::InputStreamData) if message.payload_type == PayloadType::SIZE => {
                session.resize(serde_json::from_slice(&message.payload).unwrap());
            }
            _ => {}
        }
        while let Some(sent) = session.poll_transmit(now) {
            let sent = Message::decode(&sent).unwrap();
            if sent.message_type == MessageType::InputStreamData {
                session.handle_message(now, &acknowledgement_of(&sent));
            }
            replay.sent.push(sent);
        }
        replay.events.extend(std::iter::from_fn(|| session.poll_event()));
    }
    replay
}

fn acknowledgement_of(sent: &Message) -> Vec<u8> {
    Message {
        message_type: MessageType::Acknowledge,
        payload_type: PayloadType::NONE,
        payload: Acknowledgement {
            acknowledged_message_type: sent.message_type.name().to_owned(),
            acknowledged_message_id: sent.id.to_string(),
            acknowledged_message_sequence_number: sent.sequence,
            is_sequential_message: true,
        }
        .encode(),
        ..sent.clone()
    }
    .encode()
}

/// The plugin's acknowledgements in a recording, as the numbers it acknowledged.
fn acknowledged(messages: impl Iterator<Item = Message>) -> Vec<i64> {
    messages
        .filter(|message| message.message_type == MessageType::Acknowledge)
        .map(|message| {
            Acknowledgement::decode(&message.payload)
                .unwrap()
                .acknowledged_message_sequence_number
        })
        .collect()
}

fn plugins_side(jsonl: &str) -> Vec<Message> {
    recorded(jsonl)
        .into_iter()
        .filter(|recorded| !recorded.from_agent)
        .map(|recorded| recorded.message)
        .collect()
}

fn bytes_of(sent: &[Message], payload_type: PayloadType) -> Vec<Bytes> {
    let wanted = |message: &&Message| {
        message.message_type == MessageType::InputStreamData && message.payload_type == payload_type
    };
    sent.iter()
        .filter(wanted)
        .map(|message| message.payload.clone())
        .collect()
}

#[test]
fn the_recorded_shell_is_answered_as_the_plugin_did_or_better() {
    let ours = replay(SHELL, Size { cols: 120, rows: 40 });
    let theirs = plugins_side(SHELL);
    // The same input, byte for byte, in the same cuts.
    assert_eq!(
        bytes_of(&ours.sent, PayloadType::OUTPUT),
        bytes_of(&theirs, PayloadType::OUTPUT)
    );
    assert_eq!(
        acknowledged(ours.sent.iter().cloned()),
        acknowledged(theirs.iter().cloned())
    );
    // Ours tells the size twice: before anything else, so that a program that starts at once sees it, and
    // after the first output, since what comes before the pty is there may be thrown away.
    let sizes = bytes_of(&ours.sent, PayloadType::SIZE);
    assert_eq!(sizes[0], sizes[1]);
    assert_eq!(sizes[1..], bytes_of(&theirs, PayloadType::SIZE));
    let Some(Event::Ready {
        session_type,
        agent_version,
        ..
    }) = ours.events.front()
    else {
        panic!("not ready")
    };
    assert_eq!(
        (session_type, agent_version),
        (&SessionType::StandardStream, &None)
    );
    let output: Vec<u8> = ours.events.iter().filter_map(output).flatten().collect();
    let output = String::from_utf8(output).unwrap();
    assert!(
        output.starts_with("$ echo hello-$((6*7))\r\nhello-42\r\n"),
        "{output}"
    );
    assert!(output.ends_with("$ exit\r\n"), "{output}");
}

fn output(event: &Event) -> Option<Bytes> {
    match event {
        Event::Output(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

#[test]
fn a_recorded_interactive_command_arrives_whole() {
    let ours = replay(INTERACTIVE, Size { cols: 120, rows: 40 });
    let output: Vec<u8> = ours.events.iter().filter_map(output).flatten().collect();
    assert_eq!(output, b"Linux\r\n");
}

#[test]
fn recorded_handshakes_get_the_plugins_answer() {
    for jsonl in [NONINTERACTIVE, SEPARATE, SSH, PORT] {
        let ours = replay(jsonl, Size { cols: 120, rows: 40 });
        let theirs = plugins_side(jsonl);
        let response = |sent: &[Message]| {
            let all = bytes_of(sent, PayloadType::HANDSHAKE_RESPONSE);
            assert_eq!(all.len(), 1);
            String::from_utf8(all[0].to_vec()).unwrap()
        };
        // But for the version, which is ours to claim.
        assert_eq!(
            response(&ours.sent),
            response(&theirs).replace("1.2.677.0", CLIENT_VERSION)
        );
        assert!(
            ours.events
                .iter()
                .any(|event| matches!(event, Event::Ready { .. }))
        );
    }
}

#[test]
fn both_streams_and_the_status_of_a_recorded_command_arrive() {
    let ours = replay(SEPARATE, Size { cols: 120, rows: 40 });
    assert!(
        ours.events
            .iter()
            .any(|event| matches!(event, Event::ErrorOutput(_)))
    );
    assert!(ours.events.contains(&Event::ExitCode(3)));
}

#[test]
fn the_first_bytes_of_a_server_that_speaks_at_once_are_taken_the_first_time() {
    // The plugin drops the agent's first data message, which comes while it is setting up, and waits for the
    // agent to send it again; ours acknowledges it when it first arrives, and the repeat once more.
    let ours = replay(SSH, Size { cols: 80, rows: 24 });
    let agents = recorded(SSH);
    let first_data = agents
        .iter()
        .find(|recorded| recorded.from_agent && recorded.message.payload_type == PayloadType::OUTPUT)
        .unwrap();
    let times = |numbers: &[i64]| {
        numbers
            .iter()
            .filter(|number| **number == first_data.message.sequence)
            .count()
    };
    assert_eq!(times(&acknowledged(plugins_side(SSH).into_iter())), 1);
    assert_eq!(times(&acknowledged(ours.sent.into_iter())), 2);
}

#[test]
fn a_recorded_forward_is_known_for_one_and_its_flag_is_heard() {
    let ours = replay(PORT, Size { cols: 80, rows: 24 });
    let Some(Event::Ready {
        session_type: SessionType::Port,
        agent_version,
        properties,
    }) = ours.events.front()
    else {
        panic!("not ready")
    };
    assert_eq!(properties.mode(*agent_version), PortMode::Mux);
    assert!(properties.port_number.is_some());
    let failed = Event::Flag(Flag::ConnectToPortError);
    assert_eq!(ours.events.iter().filter(|event| **event == failed).count(), 1);
    // Not a byte of the stream is lost: what the agent sent, repeats left out, is what comes.
    let agents = recorded(PORT);
    let mut by_number = std::collections::BTreeMap::new();
    for Recorded { message, .. } in agents.iter().filter(|recorded| recorded.from_agent) {
        if message.message_type == MessageType::OutputStreamData
            && message.payload_type == PayloadType::OUTPUT
        {
            by_number.insert(message.sequence, message.payload.clone());
        }
    }
    let sent: Vec<u8> = by_number.into_values().flatten().collect();
    let heard: Vec<u8> = ours.events.iter().filter_map(output).flatten().collect();
    assert_eq!(heard, sent);
}

//! What the agent receives: put in order, acknowledged once it is processed, given to whatever runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};

use ssmx::protocol::message::{Message, MessageType, PayloadType};

use super::channel::Channel;
use super::command::Signals;
use super::handshake::Answer;
use super::mux::MuxInput;
use super::port::PortInput;
use super::pty::PtyInput;

/// How many early messages are kept.
const EARLY: usize = 100_000;

/// What takes the client's stream data once the session runs.
pub(super) enum Input {
    /// A pty.
    Pty(PtyInput),
    /// A command without a pty.
    Signals(Signals),
    /// A port with one connection.
    Port(PortInput),
    /// A port with many.
    Mux(MuxInput),
}

/// The receiving half of a session's channel.
pub(super) struct Desk {
    channel: Arc<Channel>,
    /// Whether the handshake is over or there is none: before, stream data is acknowledged and thrown away.
    open: AtomicBool,
    /// Empty: not ready, stream data is neither taken nor acknowledged.
    input: Mutex<Option<Input>>,
    answers: mpsc::Sender<Answer>,
    first: i64,
}

impl Desk {
    pub(super) fn new(channel: Arc<Channel>, first: i64) -> (Self, mpsc::Receiver<Answer>) {
        let (answers, answered) = mpsc::channel(8);
        let desk = Self {
            channel,
            open: AtomicBool::new(false),
            input: Mutex::new(None),
            answers,
            first,
        };
        (desk, answered)
    }

    /// From now on stream data is for the session.
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    /// The session is ready for input.
    pub(super) async fn give(&self, input: Input) {
        *self.input.lock().await = Some(input);
    }

    /// Reads the client's messages until the gateway has no more.
    pub(super) async fn read(&self, inbox: &mut mpsc::Receiver<Bytes>) {
        let mut expected = self.first;
        let mut early = BTreeMap::new();
        while let Some(bytes) = inbox.recv().await {
            let Ok(message) = Message::decode(&bytes) else {
                continue;
            };
            match message.message_type {
                MessageType::Acknowledge => {
                    self.channel.pause(false);
                    self.channel.note(|observed| observed.acknowledgements += 1);
                    let number = serde_json::from_slice::<Value>(&message.payload)
                        .ok()
                        .and_then(|payload| payload.get("AcknowledgedMessageSequenceNumber")?.as_i64());
                    if let Some(number) = number {
                        self.channel.acknowledged(number);
                    }
                }
                MessageType::InputStreamData => {
                    self.channel.pause(false);
                    self.channel.note(|observed| {
                        observed.input_messages += 1;
                        observed.input_repeated +=
                            u64::from(message.sequence < expected || early.contains_key(&message.sequence));
                    });
                    self.receive(message, &mut expected, &mut early).await;
                }
                MessageType::PausePublication => self.channel.pause(true),
                MessageType::StartPublication => self.channel.pause(false),
                MessageType::ChannelClosed => return,
                _ => {}
            }
        }
    }

    async fn receive(&self, message: Message, expected: &mut i64, early: &mut BTreeMap<i64, Message>) {
        if message.sequence < *expected {
            self.channel.acknowledge(&message).await;
        } else if message.sequence > *expected {
            if early.len() < EARLY {
                self.channel.acknowledge(&message).await;
                early.insert(message.sequence, message);
            }
        } else if self.process(&message).await {
            self.channel.acknowledge(&message).await;
            *expected += 1;
            while let Some(next) = early.get(expected) {
                if !self.process(next).await {
                    break;
                }
                early.remove(expected);
                *expected += 1;
            }
        }
    }

    /// Whether the message was taken; else it is as if it had not come.
    async fn process(&self, message: &Message) -> bool {
        match message.payload_type {
            PayloadType::HANDSHAKE_RESPONSE => self.answer(Answer::Response, &message.payload).await,
            PayloadType::ENC_CHALLENGE_RESPONSE => self.answer(Answer::Challenge, &message.payload).await,
            _ if !self.open.load(Ordering::SeqCst) => true,
            payload_type => {
                // What does not open is an error to the agent, and is not acknowledged.
                let Some(payload) = self.channel.opened(payload_type, &message.payload) else {
                    return false;
                };
                // An empty payload is skipped in silence.
                if payload.is_empty() {
                    return true;
                }
                match &mut *self.input.lock().await {
                    None => false,
                    Some(Input::Pty(input)) => input.take(payload_type, payload).await,
                    Some(Input::Signals(input)) => input.take(payload_type, &payload),
                    Some(Input::Port(input)) => input.take(payload_type, payload).await,
                    Some(Input::Mux(input)) => input.take(payload_type, payload).await,
                }
            }
        }
    }

    async fn answer(&self, kind: fn(Value) -> Answer, payload: &[u8]) -> bool {
        // Outside a handshake nobody listens, and the message is none the less taken.
        if let Ok(payload) = serde_json::from_slice(payload) {
            let _ = self.answers.try_send(kind(payload));
        }
        true
    }
}

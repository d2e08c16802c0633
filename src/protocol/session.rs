//! One session, whole: messages come in, acknowledgements, answers and bytes of the session go out.
//!
//! Mutate once, then drain [`Session::poll_transmit`] and [`Session::poll_event`], then wait for the socket
//! or [`Session::poll_timeout`]. The state outlives the socket: counters go on over a reconnect.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use uuid::Uuid;

use super::delivery::incoming::{Arrival, Incoming};
use super::delivery::outgoing::{Limits, Outgoing};
use super::handshake::{self, Refusal, SessionType};
use super::message::{FIN, Message, MessageType, PayloadType, SYN};
use super::payload::{Acknowledgement, ChannelClosed, Size, exit_code};
use crate::ids::Version;

/// What we claim to be. The agent switches features by it (mux from 1.1.70, no smux keepalive above
/// 1.2.331.0) and AWS supports 1.2.764.0 and later; four numbers, as the plugin has them.
pub const CLIENT_VERSION: &str = "1.2.835.0";

/// So many unreadable messages, and not one readable, before we say that the peer speaks something else.
const PATIENCE: u32 = 3;

/// What differs from message to message and is neither logic nor payload.
pub trait Stamp: Send {
    /// A fresh id.
    fn id(&mut self) -> Uuid;
    /// The date, milliseconds since the epoch; not zero.
    fn created(&mut self) -> u64;
}

/// What the peer's messages amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Input is taken from now on.
    Ready {
        /// The session's type; a shell where the agent did not say.
        session_type: SessionType,
        /// The agent's version, where it was told.
        agent_version: Option<Version>,
    },
    /// Bytes of the session.
    Output(Bytes),
    /// Bytes of a command's stderr.
    ErrorOutput(Bytes),
    /// A command's exit status.
    ExitCode(i32),
    /// The agent's word to the person. Untrusted.
    CustomerMessage(String),
    /// The agent asked for what we cannot do; it will cancel the session.
    Refused(Refusal),
    /// The peer speaks what we do not understand, and nothing of the session was seen.
    NotUnderstood(String),
    /// The session is over. The text is the service's or the agent's; untrusted, often empty.
    Closed(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Nothing of the session was seen: a handshake may come, or output.
    Opening,
    /// The handshake was answered; the agent completes it.
    Answered,
    /// Bytes flow.
    Ready,
    /// channel_closed came.
    Closed,
}

/// The state of one session.
pub struct Session {
    stamp: Box<dyn Stamp>,
    phase: Phase,
    session_type: SessionType,
    agent_version: Option<Version>,
    incoming: Incoming,
    outgoing: Outgoing,
    size: Option<Size>,
    unreadable: u32,
    acknowledgements: VecDeque<Vec<u8>>,
    /// Ids of what was sent, so that a retransmission repeats the message and not only its number.
    ids: std::collections::BTreeMap<i64, (Uuid, u64)>,
    events: VecDeque<Event>,
}

impl Session {
    /// A session whose data channel is about to open.
    pub fn new(limits: Limits, stamp: Box<dyn Stamp>) -> Self {
        Self {
            stamp,
            phase: Phase::Opening,
            session_type: SessionType::StandardStream,
            agent_version: None,
            incoming: Incoming::default(),
            outgoing: Outgoing::new(limits),
            size: None,
            unreadable: 0,
            acknowledgements: VecDeque::new(),
            ids: std::collections::BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes one binary message from the socket. Unreadable and unknown ones are ignored, as both Go peers
    /// ignore them.
    pub fn handle_message(&mut self, now: Instant, bytes: &[u8]) {
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(error) => {
                tracing::trace!(%error, "unreadable message");
                self.unreadable = self.unreadable.saturating_add(1);
                if self.unreadable == PATIENCE && self.phase == Phase::Opening {
                    self.events.push_back(Event::NotUnderstood(error.to_string()));
                }
                return;
            }
        };
        self.unreadable = 0;
        tracing::trace!(
            message_type = message.message_type.name(),
            sequence = message.sequence,
            payload_type = message.payload_type.0,
            length = message.payload.len(),
            "message"
        );
        match message.message_type {
            MessageType::Acknowledge => {
                if let Some(acknowledged) = Acknowledgement::decode(&message.payload) {
                    let sequence = acknowledged.acknowledged_message_sequence_number;
                    self.ids.remove(&sequence);
                    self.outgoing.acknowledge(now, sequence);
                }
            }
            MessageType::OutputStreamData => self.handle_stream_data(message),
            MessageType::ChannelClosed => {
                if self.phase != Phase::Closed {
                    self.phase = Phase::Closed;
                    self.events
                        .push_back(Event::Closed(ChannelClosed::decode(&message.payload).output));
                }
            }
            // A pause means that the agent is away: what we send is kept until it acknowledges anyway.
            MessageType::StartPublication
            | MessageType::PausePublication
            | MessageType::InputStreamData
            | MessageType::AgentSessionState
            | MessageType::Other(_) => {}
        }
    }

    /// Queues input. Before the session is ready it is held: agents acknowledge what comes earlier and throw
    /// it away.
    pub fn write(&mut self, bytes: Bytes) {
        self.outgoing.write(bytes);
    }

    /// Sends bytes ahead of all input that is not sent yet, which is dropped: for Ctrl-C and the like.
    pub fn interrupt(&mut self, bytes: Bytes) {
        self.outgoing.overtake(bytes);
    }

    /// Tells the agent the terminal's size.
    pub fn resize(&mut self, size: Size) {
        if self.size != Some(size) {
            self.size = Some(size);
            self.outgoing.control(PayloadType::SIZE, size.encode());
        }
    }

    /// Whether the caller should wait with more input.
    pub fn is_full(&self) -> bool {
        self.outgoing.is_full()
    }

    /// Whether all input was sent and acknowledged.
    pub fn is_drained(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Whether channel_closed came.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// A new socket for the same session: all that was not acknowledged is sent again, at once and in order.
    /// Acknowledgements that wait are still good: without them the agent would repeat one message per 100 ms.
    pub fn reconnected(&mut self) {
        self.outgoing.resend_all();
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Closed {
            None
        } else {
            self.outgoing.timeout()
        }
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.outgoing.handle_timeout(now);
    }

    /// The next message to send: acknowledgements first, for the agent counts on them.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some(acknowledgement) = self.acknowledgements.pop_front() {
            return Some(acknowledgement);
        }
        if self.phase == Phase::Closed {
            return None;
        }
        let due = self.outgoing.poll(now)?;
        let stamp = &mut self.stamp;
        let (id, created) = *self
            .ids
            .entry(due.sequence)
            .or_insert_with(|| (stamp.id(), stamp.created()));
        let message = Message {
            message_type: MessageType::InputStreamData,
            schema_version: 1,
            created,
            sequence: due.sequence,
            flags: 0,
            id,
            payload_type: due.payload_type,
            payload: due.payload,
        };
        Some(message.encode())
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn handle_stream_data(&mut self, message: Message) {
        let acknowledgement = Acknowledgement {
            acknowledged_message_type: message.message_type.name().to_owned(),
            acknowledged_message_id: message.id.to_string(),
            acknowledged_message_sequence_number: message.sequence,
            is_sequential_message: true,
        };
        let arrival = self.incoming.arrive(message);
        if arrival != Arrival::Dropped {
            self.acknowledge(&acknowledgement);
        }
        if let Arrival::InOrder(messages) = arrival {
            for message in messages {
                self.handle_in_order(message);
            }
        }
    }

    fn acknowledge(&mut self, acknowledgement: &Acknowledgement) {
        let message = Message {
            message_type: MessageType::Acknowledge,
            schema_version: 1,
            created: self.stamp.created(),
            sequence: 0,
            flags: SYN | FIN,
            id: self.stamp.id(),
            payload_type: PayloadType::NONE,
            payload: acknowledgement.encode(),
        };
        self.acknowledgements.push_back(message.encode());
    }

    fn handle_in_order(&mut self, message: Message) {
        match message.payload_type {
            PayloadType::HANDSHAKE_REQUEST => self.handle_handshake(&message.payload),
            PayloadType::HANDSHAKE_COMPLETE => {
                self.become_ready();
                let words = handshake::customer_message(&message.payload);
                if !words.is_empty() {
                    self.events.push_back(Event::CustomerMessage(words));
                }
            }
            PayloadType::OUTPUT => {
                self.become_ready();
                self.events.push_back(Event::Output(message.payload));
            }
            PayloadType::STDERR => {
                self.become_ready();
                self.events.push_back(Event::ErrorOutput(message.payload));
            }
            PayloadType::EXIT_CODE => {
                if let Some(code) = exit_code(&message.payload) {
                    self.events.push_back(Event::ExitCode(code));
                }
            }
            other => tracing::trace!(payload_type = other.0, "payload type ignored"),
        }
    }

    fn handle_handshake(&mut self, payload: &[u8]) {
        if self.phase != Phase::Opening {
            return;
        }
        let Some(request) = handshake::Request::decode(payload) else {
            self.events.push_back(Event::NotUnderstood(
                "the agent's handshake request cannot be read".to_owned(),
            ));
            return;
        };
        let answer = request.answer(CLIENT_VERSION);
        self.phase = Phase::Answered;
        self.session_type = answer.session_type;
        self.agent_version = answer.agent_version;
        self.outgoing
            .control(PayloadType::HANDSHAKE_RESPONSE, answer.response);
        match answer.refused {
            None => {}
            Some(Refusal::Encryption) => self.events.push_back(Event::Refused(Refusal::Encryption)),
            Some(refusal) => self.events.push_back(Event::NotUnderstood(refusal.to_string())),
        }
    }

    /// HandshakeComplete, or the first output of a session without handshake.
    fn become_ready(&mut self) {
        if matches!(self.phase, Phase::Ready | Phase::Closed) {
            return;
        }
        self.phase = Phase::Ready;
        // A size that came before the pty was there may have been acknowledged and thrown away.
        if let Some(size) = self.size {
            self.outgoing.control(PayloadType::SIZE, size.encode());
        }
        self.outgoing.release();
        self.events.push_back(Event::Ready {
            session_type: self.session_type.clone(),
            agent_version: self.agent_version,
        });
    }
}

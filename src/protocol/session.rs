//! One session, whole: messages come in, acknowledgements, answers and bytes of the session go out.
//!
//! Mutate once, then drain [`Session::poll_transmit`] and [`Session::poll_event`], then wait for the socket
//! or [`Session::poll_timeout`]. The state outlives the socket: counters go on over a reconnect.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;

use super::crypto::{Ciphers, CryptoError, DataKey, KeyWish};
use super::delivery::incoming::{Arrival, Incoming};
use super::delivery::outgoing::{Finish, Finished, Limits, Outgoing, Tried};
use super::handshake::{self, Key, PortMode, Properties, Refusal, SessionType};
use super::idle::Idle;
use super::message::{FIN, Message, MessageType, PayloadType, SYN};
use super::payload::{Acknowledgement, ChannelClosed, Flag, Size, exit_code};
use super::smux::{self, frame};
use crate::ids::Version;

/// What we claim to be. The agent switches features by it (mux from 1.1.70, no smux keepalive above
/// 1.2.331.0) and AWS supports 1.2.764.0 and later; four numbers, as the plugin has them.
pub const CLIENT_VERSION: &str = "1.2.835.0";

/// So many unreadable messages, and not one readable, before we say that the peer speaks something else.
const PATIENCE: u32 = 3;
/// So many acknowledgements wait for a peer that does not read, about a mebibyte of them. A peer that reads only when
/// it has written all it had may be owed some ten thousand.
const MOST_OWED: usize = 40_000;
/// A size for sessions that have none.
const NO_SIZE: Size = Size { cols: 80, rows: 24 };

/// What differs from message to message and is neither logic nor payload.
pub trait Stamp: Send {
    /// A fresh id.
    fn id(&mut self) -> Uuid;
    /// The date, milliseconds since the epoch; not zero.
    fn created(&mut self) -> u64;
    /// A nonce for encryption, which has not been used before in this session.
    fn nonce(&mut self) -> [u8; 12];
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
        /// What it told of a port.
        properties: Properties,
    },
    /// The session is to be encrypted: [`Session::provide_key`] within the agent's 15 s.
    NeedKey(KeyWish),
    /// Bytes of the session.
    Output(Bytes),
    /// Bytes of a command's stderr.
    ErrorOutput(Bytes),
    /// A command's exit status.
    ExitCode(i32),
    /// A port's flag.
    Flag(Flag),
    /// What became of [`Session::try_size`].
    Tried(Tried),
    /// The agent's word to the person. Untrusted.
    CustomerMessage(String),
    /// The agent asked for what we cannot do; it will cancel the session.
    Refused(Refusal),
    /// The peer speaks what we do not understand, and nothing of the session was seen.
    NotUnderstood(String),
    /// What came does not decrypt. The session is of no more use.
    Undecipherable(CryptoError),
    /// The session is over.
    Closed {
        /// The service's or the agent's word; untrusted, often empty.
        words: String,
        /// Messages were still missing before the last ones: an agent waits 2 s for acknowledgements and then leaves
        /// (protocol.md 9).
        torn: bool,
    },
}

#[derive(Debug)]
enum Phase {
    /// Nothing of the session was seen: a handshake may come, or output.
    Opening,
    /// The handshake waits for its data key.
    Keying(handshake::Request),
    /// The handshake was answered; the agent completes it.
    Answered,
    /// Bytes flow.
    Ready,
    /// channel_closed came, or what came could not be deciphered.
    Closed,
}

/// The state of one session.
pub struct Session {
    phase: Phase,
    session_type: SessionType,
    agent_version: Option<Version>,
    properties: Properties,
    incoming: Incoming,
    outgoing: Outgoing,
    finishing: Finishing,
    size: Option<Size>,
    idle: Idle,
    unreadable: u32,
    owed: VecDeque<Owed>,
    /// Messages that were heard for the first time.
    heard: u64,
    /// Whether HandshakeComplete came.
    completed: bool,
    events: VecDeque<Event>,
}

/// A message that is still to be acknowledged.
struct Owed {
    sequence: i64,
    id: Uuid,
}

/// What makes messages of payloads.
struct Finishing {
    stamp: Box<dyn Stamp>,
    ciphers: Option<Ciphers>,
}

impl Finish for Finishing {
    /// Of what a client sends, agents expect the session's own bytes encrypted and nothing else.
    fn finish(&mut self, payload_type: PayloadType, payload: Bytes) -> Finished {
        let payload = match &self.ciphers {
            Some(ciphers) if payload_type == PayloadType::OUTPUT => {
                ciphers.seal(self.stamp.nonce(), &payload)
            }
            _ => payload,
        };
        Finished {
            id: self.stamp.id(),
            created: self.stamp.created(),
            payload,
        }
    }
}

impl Session {
    /// A session whose data channel is about to open.
    pub fn new(limits: Limits, stamp: Box<dyn Stamp>) -> Self {
        Self {
            phase: Phase::Opening,
            session_type: SessionType::StandardStream,
            agent_version: None,
            properties: Properties::default(),
            incoming: Incoming::default(),
            outgoing: Outgoing::new(limits),
            finishing: Finishing { stamp, ciphers: None },
            size: None,
            idle: Idle::default(),
            unreadable: 0,
            owed: VecDeque::new(),
            heard: 0,
            completed: false,
            events: VecDeque::new(),
        }
    }

    /// Other sizes of sending, for a session that has not sent data yet.
    pub fn limit(&mut self, limits: Limits) {
        self.outgoing.limit(limits);
    }

    /// Keeps the session from its idle timeout: when nothing of ours went for so long, something goes that
    /// changes nothing.
    pub fn keep_alive(&mut self, after: Duration) {
        self.idle.at_most(after);
    }

    /// Takes one binary message from the socket. Unreadable and unknown ones are ignored, as both Go peers
    /// ignore them.
    pub fn handle_message(&mut self, now: Instant, bytes: &[u8]) {
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(error) => {
                tracing::trace!(%error, "unreadable message");
                self.unreadable = self.unreadable.saturating_add(1);
                if self.unreadable == PATIENCE && matches!(self.phase, Phase::Opening) {
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
                    if let Some(tried) = self.outgoing.acknowledge(now, sequence) {
                        self.events.push_back(Event::Tried(tried));
                    }
                }
            }
            MessageType::OutputStreamData => self.handle_stream_data(message),
            MessageType::ChannelClosed => {
                if !self.is_closed() {
                    self.phase = Phase::Closed;
                    self.events.push_back(Event::Closed {
                        words: ChannelClosed::decode(&message.payload).output,
                        torn: self.incoming.has_gap(),
                    });
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

    /// Tries out whether messages may be as large as `large`, which must mean nothing to the peer, however often
    /// it comes; `small` means nothing either and takes its place where it does not pass.
    pub fn try_size(&mut self, large: Bytes, small: Bytes) {
        self.outgoing.try_size(large, small);
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

    /// Raises a port's flag. That the local connection has gone is told after its last bytes; that the
    /// session shall end is told at once.
    pub fn flag(&mut self, flag: Flag) {
        match flag {
            Flag::TerminateSession => self.outgoing.control(PayloadType::FLAG, flag.encode()),
            Flag::DisconnectToPort | Flag::ConnectToPortError => {
                self.outgoing.in_order(PayloadType::FLAG, flag.encode());
            }
        }
    }

    /// Answers [`Event::NeedKey`], with the key or with why there is none. An answer that nobody asked for is
    /// ignored.
    pub fn provide_key(&mut self, key: Result<DataKey, String>) {
        let request = match std::mem::replace(&mut self.phase, Phase::Answered) {
            Phase::Keying(request) => request,
            other => {
                self.phase = other;
                return;
            }
        };
        let ready = key.and_then(|key| {
            let ciphers = Ciphers::new(&key.plaintext).map_err(|error| error.to_string())?;
            Ok((ciphers, key.ciphertext))
        });
        match ready {
            Ok((ciphers, ciphertext)) => {
                self.finishing.ciphers = Some(ciphers);
                self.answer(&request, Key::Ciphertext(&ciphertext));
            }
            Err(why) => self.answer(&request, Key::Refused(&why)),
        }
    }

    /// How much input to hand over at once.
    pub fn handful(&self) -> usize {
        self.outgoing.handful()
    }

    /// Whether the caller should wait with more input.
    pub fn is_full(&self) -> bool {
        self.outgoing.is_full()
    }

    /// Whether all input was sent and acknowledged.
    pub fn is_drained(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Marks the end of what was written; see [`Session::passed_marks`].
    pub fn mark(&mut self) {
        self.outgoing.mark();
    }

    /// Sends what changes nothing, and marks its end.
    pub fn write_nothing(&mut self) {
        self.show_use();
        self.outgoing.mark();
    }

    /// How many marks more, in the order in which they were set, have nothing before them that is not
    /// acknowledged: the agent has taken it, which it does only once the session's port or shell is there.
    pub fn passed_marks(&mut self) -> usize {
        self.outgoing.passed_marks()
    }

    /// Whether so many acknowledgements wait that the peer should not be heard before it takes some.
    pub fn owes_too_much(&self) -> bool {
        self.owed.len() >= MOST_OWED
    }

    /// Grows with each message of either side that was new to the other.
    pub fn progress(&self) -> u64 {
        self.heard + self.outgoing.acknowledged()
    }

    /// Whether channel_closed came.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// A new socket for the same session: all that was not acknowledged is sent again, at once and in order.
    /// Acknowledgements that wait are still good: without them the agent would repeat one message per 100 ms.
    pub fn reconnected(&mut self, now: Instant) {
        self.outgoing.resend_all(now);
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_closed() {
            return None;
        }
        let idle = self.idle.due().filter(|_| self.may_be_idle());
        self.outgoing.timeout().into_iter().chain(idle).min()
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.outgoing.handle_timeout(now);
        if self.may_be_idle() && self.idle.is_over(now) {
            self.show_use();
        }
    }

    /// What waits to be acknowledged goes out again and again, which is use enough.
    fn may_be_idle(&self) -> bool {
        matches!(self.phase, Phase::Ready) && self.outgoing.is_empty()
    }

    /// Sends what changes nothing. To a mux it is a NOP, between two of the caller's writes, which are whole frames.
    /// To everything else it is the terminal's size once more, which amazon-ssm-agent (3.3) reads
    /// over where there is no terminal: in port sessions of both kinds (`HandleStreamMessage` in `port_basic.go` and
    /// `port_mux.go` knows Output and Flag only) and for commands (`InputStreamMessageHandler` in `shell_unix.go`
    /// and `shell_windows.go` says so). Nothing of it comes to the service or the command.
    fn show_use(&mut self) {
        let is_port = self.session_type == SessionType::Port;
        if is_port && self.properties.mode(self.agent_version) == PortMode::Mux {
            return self.outgoing.write(smux::nothing(frame::HEADER));
        }
        let has_terminal = !is_port && self.session_type != SessionType::NonInteractiveCommands;
        // A terminal whose size we never told keeps it.
        if let Some(size) = self.size.or((!has_terminal).then_some(NO_SIZE)) {
            self.outgoing.in_order(PayloadType::SIZE, size.encode());
        }
    }

    /// The next message to send: acknowledgements first, for the agent counts on them.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some(owed) = self.owed.pop_front() {
            return Some(self.acknowledgement(&owed));
        }
        if self.is_closed() {
            return None;
        }
        let due = self.outgoing.poll(now, &mut self.finishing)?;
        self.idle.begin(now);
        let message = Message {
            message_type: MessageType::InputStreamData,
            schema_version: 1,
            created: due.finished.created,
            sequence: due.sequence,
            flags: 0,
            id: due.finished.id,
            payload_type: due.payload_type,
            payload: due.finished.payload,
        };
        Some(message.encode())
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn handle_stream_data(&mut self, message: Message) {
        let owed = Owed {
            sequence: message.sequence,
            id: message.id,
        };
        let arrival = self.incoming.arrive(message);
        if arrival != Arrival::Dropped {
            self.owed.push_back(owed);
        }
        if matches!(arrival, Arrival::InOrder(_) | Arrival::Early) {
            self.heard += 1;
        }
        if let Arrival::InOrder(messages) = arrival {
            for message in messages {
                self.handle_in_order(message);
            }
        }
    }

    fn acknowledgement(&mut self, owed: &Owed) -> Vec<u8> {
        let acknowledgement = Acknowledgement {
            acknowledged_message_type: MessageType::OutputStreamData.name().to_owned(),
            acknowledged_message_id: owed.id.to_string(),
            acknowledged_message_sequence_number: owed.sequence,
            is_sequential_message: true,
        };
        let message = Message {
            message_type: MessageType::Acknowledge,
            schema_version: 1,
            created: self.finishing.stamp.created(),
            sequence: 0,
            flags: SYN | FIN,
            id: self.finishing.stamp.id(),
            payload_type: PayloadType::NONE,
            payload: acknowledgement.encode(),
        };
        message.encode()
    }

    fn handle_in_order(&mut self, message: Message) {
        if self.is_closed() {
            return;
        }
        let payload_type = message.payload_type;
        let is_late = matches!(
            payload_type,
            PayloadType::OUTPUT
                | PayloadType::STDERR
                | PayloadType::EXIT_CODE
                | PayloadType::HANDSHAKE_COMPLETE
        );
        if is_late && matches!(self.phase, Phase::Keying(_)) {
            return self.give_up(CryptoError::TooEarly);
        }
        let Some(payload) = self.deciphered(payload_type, message.payload) else {
            return;
        };
        match payload_type {
            PayloadType::HANDSHAKE_REQUEST => self.handle_handshake(&payload),
            PayloadType::ENC_CHALLENGE_REQUEST => self.handle_challenge(&payload),
            // Each would be a word to the person, and an agent could say one without end.
            PayloadType::HANDSHAKE_COMPLETE if self.completed => {}
            PayloadType::HANDSHAKE_COMPLETE => {
                self.completed = true;
                self.become_ready();
                let words = handshake::customer_message(&payload);
                if !words.is_empty() {
                    self.events.push_back(Event::CustomerMessage(words));
                }
            }
            PayloadType::OUTPUT => {
                self.become_ready();
                self.events.push_back(Event::Output(payload));
            }
            PayloadType::STDERR => {
                self.become_ready();
                self.events.push_back(Event::ErrorOutput(payload));
            }
            PayloadType::EXIT_CODE => {
                if let Some(code) = exit_code(&payload) {
                    self.events.push_back(Event::ExitCode(code));
                }
            }
            PayloadType::FLAG => {
                if let Some(flag) = Flag::decode(&payload) {
                    self.events.push_back(Event::Flag(flag));
                }
            }
            other => tracing::trace!(payload_type = other.0, "payload type ignored"),
        }
    }

    /// The payload in clear; `None` where it does not decrypt.
    fn deciphered(&mut self, payload_type: PayloadType, payload: Bytes) -> Option<Bytes> {
        let is_encrypted = matches!(
            payload_type,
            PayloadType::OUTPUT | PayloadType::STDERR | PayloadType::EXIT_CODE
        );
        match &self.finishing.ciphers {
            Some(ciphers) if is_encrypted => match ciphers.open(&payload) {
                Ok(payload) => Some(payload),
                Err(error) => {
                    self.give_up(error);
                    None
                }
            },
            _ => Some(payload),
        }
    }

    fn give_up(&mut self, error: CryptoError) {
        self.phase = Phase::Closed;
        self.events.push_back(Event::Undecipherable(error));
    }

    fn handle_handshake(&mut self, payload: &[u8]) {
        if !matches!(self.phase, Phase::Opening) {
            return;
        }
        let Some(request) = handshake::Request::decode(payload) else {
            self.events.push_back(Event::NotUnderstood(
                "the agent's handshake request cannot be read".to_owned(),
            ));
            return;
        };
        match request.wish() {
            Some(wish) => {
                self.events.push_back(Event::NeedKey(wish));
                self.phase = Phase::Keying(request);
            }
            None => {
                self.phase = Phase::Answered;
                self.answer(&request, Key::Refused("nobody asked for one"));
            }
        }
    }

    fn answer(&mut self, request: &handshake::Request, key: Key<'_>) {
        let answer = request.answer(CLIENT_VERSION, key);
        self.session_type = answer.session_type;
        self.agent_version = answer.agent_version;
        self.properties = answer.properties;
        self.outgoing
            .control(PayloadType::HANDSHAKE_RESPONSE, answer.response);
        match answer.refused {
            None => {}
            Some(refusal @ Refusal::Encryption(_)) => self.events.push_back(Event::Refused(refusal)),
            Some(refusal) => self.events.push_back(Event::NotUnderstood(refusal.to_string())),
        }
    }

    fn handle_challenge(&mut self, payload: &[u8]) {
        let Some(ciphers) = &self.finishing.ciphers else {
            return;
        };
        match ciphers.answer(self.finishing.stamp.nonce(), payload) {
            Ok(answer) => self.outgoing.control(PayloadType::ENC_CHALLENGE_RESPONSE, answer),
            Err(error) => self.give_up(error),
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
            properties: self.properties.clone(),
        });
    }
}

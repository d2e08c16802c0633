//! Two state machines, ours and a scripted agent, over a network that loses, repeats, delays, reorders, pauses
//! and cuts, on a clock that only the test moves. And the plugin's known mistakes, each with its test.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;

use super::delivery::outgoing::Limits;
use super::message::{FIN, Message, MessageType, PayloadType, SYN};
use super::payload::{Acknowledgement, Size};
use super::session::{Event, Session, Stamp};

const SEEDS: u64 = 300;
const AMOUNT: usize = 6_000;
const LIMITS: Limits = Limits {
    payload: 97,
    in_flight: 700,
    unsent: 500,
};
const SIZE: Size = Size { cols: 120, rows: 40 };

/// A small generator of pseudo-random numbers (splitmix64): a seed is a whole story.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

struct Counting(u128);

impl Stamp for Counting {
    fn id(&mut self) -> Uuid {
        self.0 += 1;
        Uuid::from_u128(self.0)
    }

    fn created(&mut self) -> u64 {
        1_700_000_000_000
    }

    fn nonce(&mut self) -> [u8; 12] {
        let mut nonce = [0; 12];
        self.0 += 1;
        nonce.copy_from_slice(&self.0.to_be_bytes()[4..]);
        nonce
    }
}

#[expect(clippy::disallowed_methods, reason = "any instant will do as the start")]
fn start() -> Instant {
    Instant::now()
}

fn session(limits: Limits) -> Session {
    Session::new(limits, Box::new(Counting(0)))
}

fn stream_data(sequence: i64, payload_type: PayloadType, payload: impl Into<Bytes>) -> Message {
    Message {
        message_type: MessageType::OutputStreamData,
        schema_version: 1,
        created: 1,
        sequence,
        flags: if sequence == 0 { SYN } else { 0 },
        id: Uuid::from_u128(0xa9e4_0000_u128 + u128::from(sequence.unsigned_abs())),
        payload_type,
        payload: payload.into(),
    }
}

fn acknowledgement(of: &Message) -> Vec<u8> {
    let payload = Acknowledgement {
        acknowledged_message_type: of.message_type.name().to_owned(),
        acknowledged_message_id: of.id.to_string(),
        acknowledged_message_sequence_number: of.sequence,
        is_sequential_message: true,
    };
    Message {
        message_type: MessageType::Acknowledge,
        schema_version: 1,
        created: 1,
        sequence: 0,
        flags: SYN | FIN,
        id: Uuid::nil(),
        payload_type: PayloadType::NONE,
        payload: payload.encode(),
    }
    .encode()
}

fn pattern(salt: u8) -> Vec<u8> {
    (0..AMOUNT)
        .map(|at| (at % 251) as u8 ^ (at / 251) as u8 ^ salt)
        .collect()
}

/// The agent as protocol and source have it: it acknowledges and forgets what comes before the handshake is
/// complete, keeps silent before its pty stands, resends only its oldest message, and that on every scan.
struct Agent {
    handshake: bool,
    complete: bool,
    /// From when on the pty stands.
    stands: Instant,
    paused: bool,
    expected: i64,
    early: BTreeMap<i64, Message>,
    next: i64,
    unacknowledged: BTreeMap<i64, (Message, Instant)>,
    to_send: Vec<u8>,
    received: Vec<u8>,
    responses: usize,
    last_size: Option<Bytes>,
    out: Vec<Vec<u8>>,
}

impl Agent {
    fn new(handshake: bool, stands: Instant) -> Self {
        Self {
            handshake,
            complete: !handshake,
            stands,
            paused: false,
            expected: 0,
            early: BTreeMap::new(),
            next: 0,
            unacknowledged: BTreeMap::new(),
            to_send: pattern(0x5a),
            received: Vec::new(),
            responses: 0,
            last_size: None,
            out: Vec::new(),
        }
    }

    fn send(&mut self, now: Instant, payload_type: PayloadType, payload: Vec<u8>) {
        let message = stream_data(self.next, payload_type, payload);
        self.next += 1;
        if !self.paused {
            self.out.push(message.encode());
        }
        self.unacknowledged.insert(message.sequence, (message, now));
    }

    fn hear(&mut self, now: Instant, bytes: &[u8]) {
        let message = Message::decode(bytes).unwrap();
        self.paused = false;
        match message.message_type {
            MessageType::Acknowledge => {
                let sequence = Acknowledgement::decode(&message.payload)
                    .unwrap()
                    .acknowledged_message_sequence_number;
                self.unacknowledged.remove(&sequence);
            }
            MessageType::InputStreamData if message.sequence < self.expected => {
                self.out.push(acknowledgement(&message));
            }
            MessageType::InputStreamData if message.sequence > self.expected => {
                self.out.push(acknowledgement(&message));
                self.early.insert(message.sequence, message);
            }
            MessageType::InputStreamData => {
                if self.complete && now < self.stands {
                    return;
                }
                self.out.push(acknowledgement(&message));
                self.process(now, message);
                while let Some(message) = self.early.remove(&self.expected) {
                    self.process(now, message);
                }
            }
            other => panic!("the client sent {other:?}"),
        }
    }

    fn process(&mut self, now: Instant, message: Message) {
        assert!(!message.payload.is_empty(), "Go peers cannot read empty payloads");
        self.expected += 1;
        match message.payload_type {
            PayloadType::HANDSHAKE_RESPONSE => {
                self.responses += 1;
                self.complete = true;
                let complete = br#"{"HandshakeTimeToComplete":1,"CustomerMessage":""}"#;
                self.send(now, PayloadType::HANDSHAKE_COMPLETE, complete.to_vec());
            }
            _ if !self.complete => {}
            PayloadType::SIZE => self.last_size = Some(message.payload),
            PayloadType::OUTPUT => self.received.extend_from_slice(&message.payload),
            other => panic!("the client sent {other:?}"),
        }
    }

    /// Every 100 ms: some output, and the oldest message once more.
    fn scan(&mut self, now: Instant, dice: &mut Dice) {
        if self.handshake && self.next == 0 {
            let request = br#"{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Standard_Stream"}}]}"#;
            self.send(now, PayloadType::HANDSHAKE_REQUEST, request.to_vec());
        }
        if self.paused {
            return;
        }
        if self.complete && now >= self.stands {
            for _ in 0..dice.below(6) {
                let cut = self.to_send.len().min(1 + dice.below(200) as usize);
                if cut > 0 {
                    let rest = self.to_send.split_off(cut);
                    let payload = std::mem::replace(&mut self.to_send, rest);
                    self.send(now, PayloadType::OUTPUT, payload);
                }
            }
        }
        if let Some((message, at)) = self.unacknowledged.values_mut().next()
            && now.saturating_duration_since(*at) >= Duration::from_millis(200)
        {
            *at = now;
            self.out.push(message.encode());
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    Client,
    Agent,
}

/// Messages on their way, by their time of arrival.
#[derive(Default)]
struct Network {
    count: u64,
    flying: BTreeMap<(Instant, u64), (To, Vec<u8>)>,
}

impl Network {
    fn carry(&mut self, now: Instant, dice: &mut Dice, to: To, bytes: Vec<u8>) {
        if dice.percent(12) {
            return;
        }
        let copies = if dice.percent(12) { 2 } else { 1 };
        for _ in 0..copies {
            let most = if dice.percent(5) { 2_500 } else { 120 };
            let arrival = now + Duration::from_millis(1 + dice.below(most));
            self.count += 1;
            self.flying.insert((arrival, self.count), (to, bytes.clone()));
        }
    }
}

fn story(seed: u64) {
    let mut dice = Dice(seed);
    let begin = start();
    let mut now = begin;
    let mut client = session(LIMITS);
    let stands = begin + Duration::from_millis(dice.below(1_500));
    let mut agent = Agent::new(seed.is_multiple_of(2), stands);
    let mut network = Network::default();
    let mut typed = Bytes::from(pattern(0));
    let mut seen = Vec::new();
    let mut ready = 0;
    let mut next_scan = begin;
    // While the socket is cut, nothing is carried, and nobody asks the session for its timeouts.
    let mut away_until = None;
    client.resize(SIZE);
    loop {
        if away_until.is_some_and(|until| now >= until) {
            away_until = None;
            agent.paused = false;
            client.reconnected();
        }
        if now >= next_scan {
            next_scan = now + Duration::from_millis(100);
            agent.scan(now, &mut dice);
            if !typed.is_empty() && !client.is_full() && dice.percent(60) {
                let cut = typed.len().min(1 + dice.below(300) as usize);
                client.write(typed.split_to(cut));
            }
            if away_until.is_none() && dice.percent(1) {
                network.flying.clear();
                away_until = Some(now + Duration::from_millis(dice.below(4_000)));
            }
            agent.paused |= dice.percent(2);
            if dice.percent(2) {
                // Publication messages come at any time and mean nothing to a client that only waits.
                let publication = Message {
                    message_type: MessageType::PausePublication,
                    created: 0,
                    ..stream_data(0, PayloadType::NONE, &b"{}"[..])
                };
                client.handle_message(now, &publication.encode());
            }
        }
        if away_until.is_none() {
            client.handle_timeout(now);
            while let Some(bytes) = client.poll_transmit(now) {
                network.carry(now, &mut dice, To::Agent, bytes);
            }
        }
        for bytes in std::mem::take(&mut agent.out) {
            if away_until.is_none() {
                network.carry(now, &mut dice, To::Client, bytes);
            }
        }
        while let Some(event) = client.poll_event() {
            match event {
                Event::Ready { .. } => ready += 1,
                Event::Output(bytes) => seen.extend_from_slice(&bytes),
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        let whole = typed.is_empty() && client.is_drained() && agent.to_send.is_empty();
        if whole && agent.unacknowledged.is_empty() {
            break;
        }
        assert!(
            now - begin < Duration::from_secs(1_800),
            "seed {seed}: stalled with {} of {AMOUNT} seen, {} received, {} of the agent's unacknowledged",
            seen.len(),
            agent.received.len(),
            agent.unacknowledged.len()
        );
        let arrival = network.flying.keys().next().map(|(at, _)| *at);
        let timeout = client.poll_timeout().filter(|_| away_until.is_none());
        let wake = [arrival, timeout, Some(next_scan), away_until];
        now = now.max(wake.into_iter().flatten().min().unwrap());
        while let Some(flying) = network.flying.first_entry() {
            if flying.key().0 > now {
                break;
            }
            match flying.remove() {
                (To::Client, bytes) => client.handle_message(now, &bytes),
                (To::Agent, bytes) => agent.hear(now, &bytes),
            }
        }
    }
    assert_eq!(seen, pattern(0x5a), "seed {seed}: what the person saw");
    assert_eq!(
        agent.received,
        pattern(0),
        "seed {seed}: what the remote received"
    );
    assert_eq!(ready, 1, "seed {seed}");
    assert_eq!(agent.responses, usize::from(agent.handshake), "seed {seed}");
    assert_eq!(
        agent.last_size,
        Some(SIZE.encode()),
        "seed {seed}: the pty's size"
    );
}

#[test]
fn every_byte_arrives_once_and_in_order_over_a_bad_network() {
    for seed in 0..SEEDS {
        story(seed);
    }
}

fn ready_session(now: Instant, limits: Limits) -> Session {
    let mut session = session(limits);
    session.handle_message(now, &stream_data(0, PayloadType::OUTPUT, &b"$ "[..]).encode());
    while session.poll_transmit(now).is_some() {}
    while session.poll_event().is_some() {}
    session
}

fn sent(session: &mut Session, now: Instant) -> Vec<Message> {
    std::iter::from_fn(|| session.poll_transmit(now))
        .map(|bytes| Message::decode(&bytes).unwrap())
        .collect()
}

/// The plugin keeps silent; with its first acknowledgement lost the agent resends that message for ever.
#[test]
fn a_repeated_message_is_acknowledged_again_and_shown_once() {
    let now = start();
    let mut session = session(LIMITS);
    let output = stream_data(0, PayloadType::OUTPUT, &b"$ "[..]).encode();
    for _ in 0..3 {
        session.handle_message(now, &output);
        let acknowledgements = sent(&mut session, now);
        assert_eq!(acknowledgements.len(), 1);
        assert_eq!(acknowledgements[0].message_type, MessageType::Acknowledge);
    }
    let outputs =
        std::iter::from_fn(|| session.poll_event()).filter(|event| matches!(event, Event::Output(_)));
    assert_eq!(outputs.count(), 1);
}

/// The plugin forgets when it last sent, and repeats on every scan of 100 ms.
#[test]
fn a_silent_agent_is_not_flooded() {
    let begin = start();
    let mut session = ready_session(begin, LIMITS);
    session.write(Bytes::from_static(b"ls\r"));
    let mut repeats = 0;
    for scan in 0..300 {
        let now = begin + Duration::from_millis(100) * scan;
        session.handle_timeout(now);
        repeats += sent(&mut session, now).len();
    }
    assert!(
        (5..=25).contains(&repeats),
        "{repeats} in 30 s; the plugin sends 300"
    );
}

/// The plugin evicts the oldest of more than 10,000 unacknowledged messages, and repeats one per 100 ms.
#[test]
fn nothing_is_evicted_and_a_reconnect_repeats_everything_at_once() {
    let limits = Limits {
        payload: 1,
        in_flight: 20_000,
        unsent: 20_000,
    };
    let now = start();
    let mut session = ready_session(now, limits);
    let all = [pattern(1), pattern(2)].concat();
    session.write(all.clone().into());
    let first = sent(&mut session, now);
    assert_eq!(first.len(), all.len());
    session.reconnected();
    assert_eq!(sent(&mut session, now), first, "the same messages, ids and dates");
}

/// The plugin turns a payload that is one line feed into a carriage return, in every session.
#[test]
fn a_lone_line_feed_stays_one() {
    let now = start();
    let mut session = ready_session(now, LIMITS);
    session.write(Bytes::from_static(b"\n"));
    assert_eq!(sent(&mut session, now)[0].payload, &b"\n"[..]);
}

/// A handshake request that comes twice, as another message with the same number, is answered once.
#[test]
fn a_repeated_handshake_request_is_answered_once() {
    let now = start();
    let mut session = session(LIMITS);
    let request = br#"{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Standard_Stream"}}]}"#;
    let mut responses = 0;
    for sequence in [0, 0, 1] {
        session.handle_message(
            now,
            &stream_data(sequence, PayloadType::HANDSHAKE_REQUEST, &request[..]).encode(),
        );
        responses += sent(&mut session, now)
            .iter()
            .filter(|message| message.payload_type == PayloadType::HANDSHAKE_RESPONSE)
            .count();
    }
    assert_eq!(responses, 1);
}

/// Go peers cannot read an empty payload, so there is no empty message, whoever asks for one.
#[test]
fn nothing_empty_is_sent() {
    let now = start();
    let mut session = ready_session(now, LIMITS);
    session.write(Bytes::new());
    session.interrupt(Bytes::new());
    assert_eq!(sent(&mut session, now), []);
}

/// Acknowledgements that a cut kept from leaving are sent on the next socket.
#[test]
fn acknowledgements_outlive_the_socket() {
    let now = start();
    let mut session = session(LIMITS);
    session.handle_message(now, &stream_data(0, PayloadType::OUTPUT, &b"$ "[..]).encode());
    session.reconnected();
    assert_eq!(sent(&mut session, now)[0].message_type, MessageType::Acknowledge);
}

//! Two state machines, ours and a scripted agent, over a network that loses, repeats, delays, reorders, pauses
//! and cuts, on a clock that only the test moves.

mod agent;
mod encryption;
mod idle;
mod mistakes;
mod operations;
mod streams;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::crypto::DataKey;
use super::delivery::outgoing::Limits;
use super::delivery::window::Bounds;
use super::message::{Message, MessageType, PayloadType};
use super::payload::Size;
use super::samples::{Counting, acknowledgement, stream_data};
use super::session::{Event, Session};
use crate::secret::Secret;
use agent::{Agent, Opening};

/// Stories, in shards that run side by side.
const SEEDS: u64 = 10_000;
const SHARDS: u64 = 4;
const AMOUNT: usize = 1_000;
const LIMITS: Limits = Limits {
    payload: 97,
    in_flight: Bounds::fixed(700),
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

#[expect(clippy::disallowed_methods, reason = "any instant will do as the start")]
fn start() -> Instant {
    Instant::now()
}

fn session(limits: Limits) -> Session {
    Session::new(limits, Box::new(Counting::default()))
}

fn pattern(salt: u8) -> Vec<u8> {
    (0..AMOUNT)
        .map(|at| (at % 251) as u8 ^ (at / 251) as u8 ^ salt)
        .collect()
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

    /// When the next message arrives.
    fn next_arrival(&self) -> Option<Instant> {
        self.flying.keys().next().map(|(at, _)| *at)
    }

    /// The next message that has arrived by `now`.
    fn arrived(&mut self, now: Instant) -> Option<(To, Vec<u8>)> {
        let first = self.flying.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

fn story(seed: u64) {
    let mut dice = Dice(seed);
    let begin = start();
    let mut now = begin;
    let mut client = session(LIMITS);
    let stands = begin + Duration::from_millis(dice.below(1_500));
    let opening = match seed % 4 {
        0 => Opening::AtOnce,
        1 => Opening::Encrypted,
        _ => Opening::Handshake,
    };
    let mut agent = Agent::new(opening, stands);
    let mut key_at = None;
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
            client.reconnected(now);
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
        if key_at.is_some_and(|at| now >= at) {
            key_at = None;
            client.provide_key(Ok(data_key()));
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
                Event::NeedKey(wish) => {
                    assert_eq!(wish.key_id, "alias/k");
                    key_at = Some(now + Duration::from_millis(dice.below(3_000)));
                }
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
        let arrival = network.next_arrival();
        let timeout = client.poll_timeout().filter(|_| away_until.is_none());
        let wake = [arrival, timeout, Some(next_scan), away_until, key_at];
        now = now.max(wake.into_iter().flatten().min().unwrap());
        while let Some(message) = network.arrived(now) {
            match message {
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
    assert_eq!(
        agent.responses,
        usize::from(opening != Opening::AtOnce),
        "seed {seed}"
    );
    assert_eq!(
        agent.last_size,
        Some(SIZE.encode()),
        "seed {seed}: the pty's size"
    );
}

fn stories(shard: u64) {
    for seed in (shard..SEEDS).step_by(SHARDS as usize) {
        story(seed);
    }
}

/// Every byte arrives once and in order over a bad network, in clear and encrypted.
macro_rules! stories {
    ($($name:ident: $shard:literal),*) => {
        $(
            #[test]
            fn $name() {
                stories($shard);
            }
        )*
    };
}

stories!(
    every_byte_arrives_once_and_in_order_0: 0,
    every_byte_arrives_once_and_in_order_1: 1,
    every_byte_arrives_once_and_in_order_2: 2,
    every_byte_arrives_once_and_in_order_3: 3
);

fn data_key() -> DataKey {
    DataKey {
        plaintext: Secret::new((0..64).collect()),
        ciphertext: vec![1, 2, 3],
    }
}
